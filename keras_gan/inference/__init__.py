"""From samples back to latents, and from latents to better samples.

The 2014 paper ends with five directions; these are its second, third and fourth: to
infer z of a given x, to complete x from a part of it, and to put what the networks have
learned to other uses.
"""

from keras_gan.inference.attributes import attributes_of
from keras_gan.inference.bigan import BiGAN
from keras_gan.inference.calibration import Calibration, calibrate
from keras_gan.inference.completion import (
    Completion,
    complete,
    completed_by_mean,
    completed_by_nearest,
    explained_share,
)
from keras_gan.inference.encoder import Encoder
from keras_gan.inference.feature_models import feature_model, features, layer_names
from keras_gan.inference.judges import discriminate
from keras_gan.inference.labelling import Accuracy, few_labels
from keras_gan.inference.latent_space import LatentSpace
from keras_gan.inference.latents import between, directions, moved, truncated
from keras_gan.inference.projection import Projection, project
from keras_gan.inference.resampling import METHODS as RESAMPLING_METHODS
from keras_gan.inference.resampling import Resampled, resample

__all__ = [
    "Accuracy",
    "BiGAN",
    "Calibration",
    "Completion",
    "Encoder",
    "LatentSpace",
    "Projection",
    "RESAMPLING_METHODS",
    "Resampled",
    "attributes_of",
    "between",
    "calibrate",
    "complete",
    "completed_by_mean",
    "completed_by_nearest",
    "directions",
    "discriminate",
    "explained_share",
    "feature_model",
    "features",
    "few_labels",
    "layer_names",
    "moved",
    "project",
    "resample",
    "truncated",
]
