"""From samples back to latents, and from latents to better samples.

The 2014 paper ends with five directions; these are its second, third and fourth: to
infer z of a given x, to complete x from a part of it, and to put what the networks have
learned to other uses.
"""

from keras_gan.inference.feature_models import feature_model, features, layer_names
from keras_gan.inference.labelling import Accuracy, few_labels
from keras_gan.inference.latent_space import LatentSpace
from keras_gan.inference.latents import between, directions, moved, truncated

__all__ = [
    "Accuracy",
    "LatentSpace",
    "between",
    "directions",
    "feature_model",
    "features",
    "few_labels",
    "layer_names",
    "moved",
    "truncated",
]
