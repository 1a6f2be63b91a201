"""Shared by the tests of `keras_gan.export`."""

import json
import os
import pathlib
import pickle
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

import keras_gan
from keras_gan import export
from keras_gan.export import cards

TESTS = pathlib.Path(__file__).resolve().parent


def image_gan(value_range=(0.0, 1.0), hidden=None, activation="sigmoid", latents=3):
    """Returns an untrained GAN of 4x5 grey images; `hidden` are more layers."""
    generator = keras.Sequential(
        [
            keras.Input((latents,)),
            keras.layers.Dense(8, activation="tanh"),
            *(hidden or []),
            keras.layers.Dense(20, activation=activation),
            keras.layers.Reshape((4, 5, 1)),
        ],
        name="tiny",
    )
    discriminator = keras.Sequential(
        [keras.Input((4, 5, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    prior = keras_gan.priors.Normal(latents)
    return keras_gan.GAN(generator, discriminator, prior, value_range, seed=0)


def compiled(gan, **options):
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), **options)
    return gan


def loaded(path, signature, **inputs):
    """Returns a signature's answer, dict of arrays, by `tf.saved_model.load`."""
    function = tf.saved_model.load(str(path)).signatures[signature]
    inputs = {name: tf.constant(value) for name, value in inputs.items()}
    return {name: value.numpy() for name, value in function(**inputs).items()}


def reseal(path, **changes):
    """Writes a valid card for changed files, so that only the planted fault shows."""
    card = json.loads((path / export.CARD).read_text())
    card.pop("seal")
    card |= {"files": cards.digests(path), **changes}
    cards.write_card(path, card)


class Child:
    """`export_child.py` in a process of its own: TensorFlow's C API, and no Keras."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, str(TESTS / "export_child.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        )

    def __call__(self, name, *arguments):
        """Returns what the child's function does; its errors become RuntimeError."""
        pickle.dump((name, arguments), self._process.stdin)
        self._process.stdin.flush()
        ok, result = pickle.load(self._process.stdout)
        if not ok:
            raise RuntimeError(result)
        return result

    def run(self, path, signature, **inputs):
        """Returns the answer to one request to the version at `path`."""
        signatures = export.read_signatures(path)
        inputs = {name: np.asarray(value) for name, value in inputs.items()}
        return self("run", str(path), signatures, signature, inputs)

    def close(self):
        self._process.stdin.close()
        self._process.wait(60)
