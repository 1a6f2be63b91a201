"""Experiments: everything that a training needs, as frozen data."""

from keras_gan.experiments import presets as presets
