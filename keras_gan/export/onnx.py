"""ONNX: a generator as the content of an `.onnx` file.

The card is the entry `gan_card` of the model's metadata, JSON text.
"""

import contextlib
import logging
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_gan import checks
from keras_gan.export import signatures
from keras_gan.export.signatures import Servable

NAME, SUFFIX = "ONNX", ".onnx"
# In which it computes.
FLOATS = {"float32", "float64"}
_CARD = "gan_card"
# The newest version of ONNX's operations that tf2onnx was made for; all runtimes since
# 2021 have it.
_OPSET = 15


def check_installed() -> None:
    """Raises ModuleNotFoundError, one line, without the extra `onnx`."""
    for module in ("tf2onnx", "onnx", "onnxruntime"):
        checks.require(module, extra="onnx")


def convert(servable: Servable, card: str) -> bytes:
    """Returns the content of an `.onnx` file, from latents to the samples.

    Args:
        servable: what is exported.
        card: JSON text.

    Raises:
        ValueError: operations that ONNX does not have, or more than the 2 GiB that a
            file of it can hold.
        Exception: whatever else tf2onnx finds.
    """
    onnx = checks.require("onnx", extra="onnx")
    tf2onnx = checks.require("tf2onnx", extra="onnx")
    variables = {f"weight_{i}": v for i, v in enumerate(servable.generator.variables)}
    given = signatures.input_specs(servable.latent_prior)
    inputs = given + [
        tf.TensorSpec(v.shape, v.dtype, name) for name, v in variables.items()
    ]

    def of_weights(*values):
        weights = values[len(given) :]
        pairs = list(zip(variables.values(), weights, strict=True))
        with keras.StatelessScope(state_mapping=pairs):
            return servable.serving_default(*values[: len(given)])

    # The weights are inputs here and get their values below: tf2onnx copies constants
    # again and again, some as lists of Python's numbers, and needs 40 times the memory.
    function = tf.function(of_weights, input_signature=inputs)
    with _silent("tf2onnx"):
        model, _ = tf2onnx.convert.from_function(
            function, input_signature=inputs, opset=_OPSET
        )
    _set_weights(model, variables)
    # tf2onnx copies what it does not know.
    missing = {
        node.op_type
        for node in model.graph.node
        if not onnx.defs.has(node.op_type, node.domain)
    }
    if missing:
        raise ValueError(f"it has no operation {', '.join(sorted(missing))}")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.helper.set_model_props(model, {_CARD: card})
    return model.SerializeToString()


def load(content: bytes) -> Callable[[dict], np.ndarray]:
    """Returns a model as a function from a dict of its inputs to samples."""
    onnxruntime = checks.require("onnxruntime", extra="onnx")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors, which are raised as well
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"]
    )

    def answer(inputs):
        (samples,) = session.run(None, inputs)
        return samples

    return answer


def _set_weights(model, variables):
    """Makes constants of the inputs that stand for weights.

    Args:
        model: `onnx.ModelProto`.
        variables: dict of the inputs' names to Keras variables.
    """
    onnx = checks.require("onnx", extra="onnx")
    given = [value for value in model.graph.input if value.name not in variables]
    used = {name for node in model.graph.node for name in node.input}
    for name, variable in variables.items():
        if name in used:
            value = keras.ops.convert_to_numpy(variable)
            model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    del model.graph.input[:]
    model.graph.input.extend(given)


@contextlib.contextmanager
def _silent(name):
    """Keeps a package's log quiet while the block runs."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
