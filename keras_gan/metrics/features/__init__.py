"""What samples are compared by: pixels, a classifier's features, Inception's features.

`Extractor` says what an extractor is. Nothing is fitted to the images at hand or
stretched batch by batch: an image has the same features in any company.
"""

from keras_gan.metrics.features.cache import cached_features as cached_features
from keras_gan.metrics.features.cache import data_key as data_key
from keras_gan.metrics.features.classifier import Classifier as Classifier
from keras_gan.metrics.features.extractor import Extractor as Extractor
from keras_gan.metrics.features.extractor import in_pieces as in_pieces
from keras_gan.metrics.features.inception import Inception as Inception
from keras_gan.metrics.features.inception_2015 import Inception2015 as Inception2015
from keras_gan.metrics.features.pixels import Pixels as Pixels
from keras_gan.metrics.features.stacked import ChannelClassifier as ChannelClassifier
