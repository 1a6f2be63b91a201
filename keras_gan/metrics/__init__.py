"""Measures of what samples are worth: pure functions in float64."""

from keras_gan.metrics.features import Classifier as Classifier
from keras_gan.metrics.features import Inception as Inception
from keras_gan.metrics.features import Pixels as Pixels
from keras_gan.metrics.features import cached_features as cached_features
from keras_gan.metrics.frechet import Moments as Moments
from keras_gan.metrics.frechet import frechet_distance as frechet_distance
from keras_gan.metrics.parzen import parzen_log_likelihood as parzen_log_likelihood
