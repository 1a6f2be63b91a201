"""Generators as SavedModels that TensorFlow Serving loads, published and verified.

Or as one file, by `export_file`: ONNX or LiteRT, for what has no TensorFlow.

`verify` and `VerificationError` are imported when they are first used: what they need,
TensorFlow's C API and processes of their own, is of no use to anybody else.
"""

import typing

from keras_gan.export.cards import CARD as CARD
from keras_gan.export.cards import read_card as read_card
from keras_gan.export.graph import read_signatures as read_signatures
from keras_gan.export.loading import ExportedGenerator as ExportedGenerator
from keras_gan.export.loading import is_export as is_export
from keras_gan.export.portable import export_file as export_file
from keras_gan.export.publishing import export_generator as export_generator
from keras_gan.export.publishing import latest as latest
from keras_gan.export.publishing import versions as versions

if typing.TYPE_CHECKING:
    from keras_gan.export.verification import VerificationError as VerificationError
    from keras_gan.export.verification import verify as verify

_LAZY = ("VerificationError", "verify")


def __getattr__(name):
    if name in _LAZY:
        from keras_gan.export import verification

        return getattr(verification, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LAZY})
