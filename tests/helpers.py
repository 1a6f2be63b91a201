"""Tiny networks and data that several test modules use."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import keras_gan
from keras_gan import experiments, runs

tfd = tfp.distributions


def slow(*values):
    """One case of `parametrize` that `make test` leaves out."""
    return pytest.param(*values, marks=pytest.mark.slow)


def mostly_slow(cases, fast):
    """Cases of `parametrize` of which `make test` runs those in `fast` alone.

    A case that is a tuple holds several values.
    """
    return [
        case if case in fast else slow(*case) if isinstance(case, tuple) else slow(case)
        for case in cases
    ]


def digits_run(path):
    """A `Run` on digits in a new directory, trained for an epoch."""
    run = runs.Run(path, experiments.get_preset("digits", {"train.epochs": 1}))
    runs.train(run)
    return run


def tiny_networks(seed=0, dropout=0.0, batch_normalization=False):
    """G: 3 latents -> 5 tanh -> 4 values; D: 4 -> 6 tanh -> one logit."""
    init = [keras.initializers.GlorotUniform(seed=seed + i) for i in range(4)]
    latents = keras.Input((3,))
    x = keras.layers.Dense(5, activation="tanh", kernel_initializer=init[0])(latents)
    if batch_normalization:
        x = keras.layers.BatchNormalization()(x)
    generator = keras.Model(
        latents, keras.layers.Dense(4, kernel_initializer=init[1])(x)
    )

    samples = keras.Input((4,))
    x = keras.layers.Dropout(dropout)(samples) if dropout else samples
    x = keras.layers.Dense(6, activation="tanh", kernel_initializer=init[2])(x)
    if batch_normalization:
        x = keras.layers.BatchNormalization()(x)
    logits = keras.layers.Dense(1, kernel_initializer=init[3])(x)
    return generator, keras.Model(samples, logits)


def deterministic_prior(value=(0.3, -1.0, 0.7)):
    """Every latent vector is `value`."""
    return tfd.Independent(tfd.Deterministic(np.float32(value)), 1)


def tiny_gan(
    prior=None, seed=0, dropout=0.0, batch_normalization=False, **compile_options
):
    """A compiled GAN of `tiny_networks`; SGD at 0.1 unless `compile_options` differ."""
    gan = keras_gan.GAN(
        *tiny_networks(seed, dropout, batch_normalization),
        latent_prior=keras_gan.priors.Normal(3) if prior is None else prior,
        value_range=None,
        seed=seed,
    )
    options = {
        "generator_optimizer": keras.optimizers.SGD(0.1),
        "discriminator_optimizer": keras.optimizers.SGD(0.1),
        **compile_options,
    }
    gan.compile(**options)
    return gan


def one_dimensional_gan(scales=(1.0,) * 3, means=(0.0,) * 3, shifts=(0.0,) * 3):
    """A conditional GAN: G(z, y) = scales[y] z + means[y], and D's logit x + shifts[y].

    The latents are normal, and all classes equally frequent.
    """
    labels = keras.Input((), dtype="int32", name="labels")
    latents = keras.Input((1,), name="latents")
    samples = keras.Input((1,), name="samples")

    def of_class(values):
        start = keras.initializers.Constant(np.reshape(values, (-1, 1)))
        return keras.layers.Embedding(len(values), 1, start)(labels)

    scaled = keras.layers.Multiply()([latents, of_class(scales)])
    generated = keras.layers.Add()([scaled, of_class(means)])
    logits = keras.layers.Add()([samples, of_class(shifts)])
    prior = keras_gan.priors.Labelled(
        keras_gan.priors.Normal(1), np.full(len(means), 1 / len(means))
    )
    return keras_gan.GAN(
        keras.Model({"latents": latents, "labels": labels}, generated),
        keras.Model({"samples": samples, "labels": labels}, logits),
        prior,
        value_range=None,
        seed=0,
    )


def examples(count, seed=0):
    """float32 `(count, 4)`, normal around 1."""
    rng = np.random.default_rng(seed)
    return rng.normal(1.0, 0.5, size=(count, 4)).astype(np.float32)


def weights_of(model):
    """The trainable weights as one list of NumPy arrays."""
    return [variable.numpy() for variable in model.trainable_variables]


def train_steps(gan, batches):
    """One training step of the compiled GAN on each batch; the last logs, as floats."""
    logs = None
    for batch in batches:
        gan.reset_metrics()  # Keras below 3.13 does not do it by itself
        logs = gan.train_on_batch(tf.constant(batch), return_dict=True)
    return {name: float(value) for name, value in logs.items()}


def warned(caplog):
    """The messages that the package has logged: TensorFlow logs its own."""
    return [r.getMessage() for r in caplog.records if r.name == "keras_gan"]
