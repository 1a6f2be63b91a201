"""Generators as SavedModels that TensorFlow Serving loads, published and verified.

Or as one file, by `export_file`: ONNX or LiteRT, for what has no TensorFlow.

Every name is imported when it is first used: `keras-gan serve` needs the cards and the
graphs and neither Keras nor TensorFlow's Python, which take seconds to import.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from keras_gan.export.cards import CARD as CARD
    from keras_gan.export.cards import read_card as read_card
    from keras_gan.export.graph import read_signatures as read_signatures
    from keras_gan.export.listing import latest as latest
    from keras_gan.export.listing import versions as versions
    from keras_gan.export.loading import ExportedGenerator as ExportedGenerator
    from keras_gan.export.loading import is_export as is_export
    from keras_gan.export.portable import export_file as export_file
    from keras_gan.export.publishing import export_generator as export_generator
    from keras_gan.export.verification import VerificationError as VerificationError
    from keras_gan.export.verification import verify as verify

# The module of each name.
_LAZY = {
    "CARD": "cards",
    "read_card": "cards",
    "read_signatures": "graph",
    "latest": "listing",
    "versions": "listing",
    "ExportedGenerator": "loading",
    "is_export": "loading",
    "export_file": "portable",
    "export_generator": "publishing",
    "VerificationError": "verification",
    "verify": "verification",
}


def __getattr__(name):
    if name in _LAZY:
        module = importlib.import_module(f"{__name__}.{_LAZY[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_LAZY})
