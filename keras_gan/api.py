"""What `import keras_gan` gives: all of the package, imported eagerly.

Eagerly, because `keras.saving.load_model` finds a class only if it was imported.
"""

from keras_gan import (
    augmentation,
    conditional,
    datasets,
    evaluation,
    experiments,
    export,
    inference,
    layers,
    losses,
    metrics,
    networks,
    normalization,
    optimizers,
    penalties,
    pictures,
    players,
    priors,
    resampling,
    runs,
    samples,
    theory,
)
from keras_gan.gan import GAN
from keras_gan.runs import callbacks, checkpoint

__all__ = [
    "GAN",
    "augmentation",
    "callbacks",
    "checkpoint",
    "conditional",
    "datasets",
    "evaluation",
    "experiments",
    "export",
    "inference",
    "layers",
    "losses",
    "metrics",
    "networks",
    "normalization",
    "optimizers",
    "penalties",
    "pictures",
    "players",
    "priors",
    "resampling",
    "runs",
    "samples",
    "theory",
]
