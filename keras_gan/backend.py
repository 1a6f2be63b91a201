"""Keras runs on several backends, and this package on one of them."""

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
