"""LiteRT, which was TensorFlow Lite: a generator as the content of a `.tflite` file.

The card is a ZIP archive behind the model, the place where the format keeps files that
belong to a model: `zipfile.ZipFile(path).read("gan_card.json")`.
"""

import io
import pathlib
import re
import tempfile
import warnings
import zipfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_gan.export import signatures
from keras_gan.export.signatures import Servable
from keras_gan.samples import to_unit

NAME, SUFFIX = "LiteRT", ".tflite"
# In which it computes.
FLOATS = {"float32"}
_CARD = "gan_card.json"
# The converter's words for operations that LiteRT's own runtime lacks.
_MISSING = re.compile(r"'tf\.(\w+)' op is neither a custom op nor a flex op")


class _Convertible(Servable):
    """A servable whose map to [0, 1] survives the converter.

    The converter takes the addition of one number after a transposed convolution for
    its bias, a bias of one value, which the runtime refuses for several channels
    (TensorFlow 2.21). Of a vector it makes a right one.
    """

    def _to_unit(self, samples):
        low, high = self.spec.value_range
        shift = np.full(self.spec.shape[-1], low, np.float32)
        return to_unit(samples - shift, (0.0, high - low))


def check_installed() -> None:
    """Does nothing: TensorFlow has the converter and a runtime."""


def convert(servable: Servable, card: str) -> bytes:
    """Returns the content of a `.tflite` file, with the signature `serving_default`.

    Args:
        servable: what is exported.
        card: JSON text.

    Raises:
        ValueError: operations that LiteRT does not have.
        Exception: whatever else TensorFlow's converter finds.
    """
    with tempfile.TemporaryDirectory() as folder:
        names = ("serving_default",)
        # Through a SavedModel: a function alone would lose the names.
        servable = _Convertible(**vars(servable))
        signatures.write_saved_model(servable, pathlib.Path(folder), names)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=list(names)
        )
        try:
            model = converter.convert()
        except Exception as error:
            missing = sorted(set(_MISSING.findall(str(error))))
            if not missing:
                raise
            raise ValueError(f"it has no operation {', '.join(missing)}") from error
    content = io.BytesIO(model)
    # In the mode "a" an archive is put behind whatever is there.
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(zipfile.ZipInfo(_CARD), card)
    return content.getvalue()


def load(content: bytes) -> Callable[[dict], np.ndarray]:
    """Returns a model as a function from a dict of its inputs to samples."""
    run = _interpreter(content).get_signature_runner("serving_default")

    def answer(inputs):
        (samples,) = run(**inputs).values()
        return samples

    return answer


def _interpreter(content):
    """LiteRT's own package where it is installed, else TensorFlow's."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        Interpreter = tf.lite.Interpreter
    with warnings.catch_warnings():
        # TensorFlow recommends the other package.
        warnings.simplefilter("ignore", UserWarning)
        return Interpreter(model_content=content)
