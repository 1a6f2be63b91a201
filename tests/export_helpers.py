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
from keras_gan import export, networks
from keras_gan.export import cards
from keras_gan.samples import SampleSpec

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


CLASS_NAMES = ("cat", "dog", "eel", "fox")


def conditional_gan(build=networks.digits_mlp, spec=None, **options):
    """Returns an untrained conditional GAN whose classes differ; of eels it has none.

    Args:
        build: one of `networks`.
        spec: `SampleSpec`, or None for grey images of 8x8 in the network's usual range.
        **options: of the builder.
    """
    is_mlp = build in (networks.digits_mlp, networks.paper_mlp)
    spec = spec or SampleSpec((8, 8, 1), "image", (0, 1) if is_mlp else (-1, 1))
    pair = build(spec, latent_dim=3, num_classes=4, seed=0, **options)
    shares = (0.5, 0.25, 0.0, 0.25)
    prior = keras_gan.priors.Labelled(keras_gan.priors.Normal(3), shares, CLASS_NAMES)
    gan = keras_gan.GAN(*pair, prior, spec.value_range, seed=0)
    rng = np.random.default_rng(0)
    # Gains and shifts of the classes are alike at first.
    for weight in pair[0].trainable_weights:
        weight.assign(weight + rng.normal(0, 0.2, weight.shape))
    return gan


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
