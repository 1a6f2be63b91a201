"""Keras for the whole process: its backend, and the precision of new layers."""

import contextlib
import os


def check():
    """Raises unless Keras runs on TensorFlow: now, and not somewhere in a training.

    Raises:
        ImportError: another backend.
    """
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    try:
        import keras

        backend = keras.backend.backend()
    except ImportError:  # of JAX, say, where that is not installed
        if backend == "tensorflow":
            raise
    if backend != "tensorflow":
        raise ImportError(
            "Expected Keras on TensorFlow, which keras_gan is built on. Received: "
            f"{backend}; set KERAS_BACKEND=tensorflow, or the backend in "
            "~/.keras/keras.json, before keras is imported"
        )


@contextlib.contextmanager
def dtype_policy(policy: str):
    """Gives the layers that are made inside a dtype policy, such as "float32"."""
    import keras

    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)
