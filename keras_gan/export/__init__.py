"""Generators as SavedModels that TensorFlow Serving loads, published and verified."""

from keras_gan.export.graph import read_signatures as read_signatures
from keras_gan.export.loading import ExportedGenerator as ExportedGenerator
from keras_gan.export.loading import is_export as is_export
from keras_gan.export.publishing import CARD as CARD
from keras_gan.export.publishing import export_generator as export_generator
from keras_gan.export.publishing import latest as latest
from keras_gan.export.publishing import read_card as read_card
from keras_gan.export.publishing import versions as versions
from keras_gan.export.verification import VerificationError as VerificationError
from keras_gan.export.verification import verify as verify
