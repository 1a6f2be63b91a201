"""Measures of the quality of samples: pure functions in float64."""

from keras_gan.metrics.coverage import ClassCoverage as ClassCoverage
from keras_gan.metrics.coverage import ModeCoverage as ModeCoverage
from keras_gan.metrics.coverage import class_coverage as class_coverage
from keras_gan.metrics.coverage import mode_coverage as mode_coverage
from keras_gan.metrics.coverage import modes_of as modes_of
from keras_gan.metrics.features import ChannelClassifier as ChannelClassifier
from keras_gan.metrics.features import Classifier as Classifier
from keras_gan.metrics.features import Extractor as Extractor
from keras_gan.metrics.features import Inception as Inception
from keras_gan.metrics.features import Inception2015 as Inception2015
from keras_gan.metrics.features import Pixels as Pixels
from keras_gan.metrics.features import cached_features as cached_features
from keras_gan.metrics.features import data_key as data_key
from keras_gan.metrics.frechet import Moments as Moments
from keras_gan.metrics.frechet import frechet_distance as frechet_distance
from keras_gan.metrics.inception_score import InceptionScore as InceptionScore
from keras_gan.metrics.inception_score import inception_score as inception_score
from keras_gan.metrics.kernel import KernelDistance as KernelDistance
from keras_gan.metrics.kernel import kernel_distance as kernel_distance
from keras_gan.metrics.kernel import squared_mmd as squared_mmd
from keras_gan.metrics.parzen import PAPER_SIGMAS as PAPER_SIGMAS
from keras_gan.metrics.parzen import ParzenEstimate as ParzenEstimate
from keras_gan.metrics.parzen import parzen_estimate as parzen_estimate
from keras_gan.metrics.parzen import parzen_log_likelihood as parzen_log_likelihood
from keras_gan.metrics.prdc import PRDC as PRDC
from keras_gan.metrics.prdc import prdc as prdc
