"""Experiments: everything that a training needs, as frozen data.

An `Experiment` and the presets load without TensorFlow; `build` makes the compiled GAN
of one, and brings TensorFlow with it.
"""

import typing

from keras_gan.experiments.experiment import Experiment as Experiment
from keras_gan.experiments.experiment import settings as settings
from keras_gan.experiments.fields import Component as Component
from keras_gan.experiments.fields import SettingError as SettingError
from keras_gan.experiments.fields import expectation as expectation
from keras_gan.experiments.fields import part_of as part_of
from keras_gan.experiments.parts import Data as Data
from keras_gan.experiments.parts import Optimizer as Optimizer
from keras_gan.experiments.parts import Prior as Prior
from keras_gan.experiments.parts import Runtime as Runtime
from keras_gan.experiments.parts import Train as Train
from keras_gan.experiments.presets import PRESETS as PRESETS
from keras_gan.experiments.presets import get_preset as get_preset

if typing.TYPE_CHECKING:
    from keras_gan.experiments.building import build as build
    from keras_gan.experiments.building import check as check
    from keras_gan.experiments.building import load_data as load_data
    from keras_gan.experiments.building import load_gan as load_gan

# What needs TensorFlow is imported when it is asked for, not with the package: a
# command lists settings and presets without it.
_BUILDING = ("build", "check", "load_data", "load_gan")


def __getattr__(name):
    if name in _BUILDING:
        from keras_gan.experiments import building

        return getattr(building, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
