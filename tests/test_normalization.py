"""Batch normalisation with right gradients of gradients, and the layers without."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan.normalization import BatchNormalization
from tests import helpers

SHAPES = {"vectors": (7, 5), "images": (4, 3, 3, 2)}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("training", [True, False])
def test_values_and_moving_statistics_are_those_of_keras(kind, training):
    options = {"momentum": 0.8, "epsilon": 1e-2, "dtype": "float64"}
    ours = BatchNormalization(**options)
    theirs = keras.layers.BatchNormalization(**options)
    x = 3 * normal(*SHAPES[kind]) + 1
    for layer in (ours, theirs):
        layer.build(x.shape)
        for seed, weight in enumerate(layer.weights):
            weight.assign(np.abs(normal(*weight.shape, seed=seed)) + 0.1)
    for _ in range(2):
        np.testing.assert_allclose(
            ours(x, training=training), theirs(x, training=training), rtol=1e-6
        )
    for found, expected in zip(ours.weights, theirs.weights, strict=True):
        assert found.path.split("/")[-1] == expected.path.split("/")[-1]
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)


def slopes(layer, shape):
    """The slope of sum |dD/dx|^2 along a direction of D's weights: two ways."""
    inputs = keras.Input(shape[1:], dtype="float64")
    first = keras.layers.Dense(6, activation="tanh", dtype="float64")
    x = keras.layers.Activation("tanh", dtype="float64")(layer(first(inputs)))
    x = keras.layers.Dense(1, dtype="float64")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, x)
    for seed, weight in enumerate(model.trainable_weights):
        weight.assign(normal(*weight.shape, seed=seed + 1))
    x = tf.constant(normal(*shape))

    def squared_gradients():
        with tf.GradientTape() as tape:
            tape.watch(x)
            total = tf.reduce_sum(model(x, training=True))
        return tf.reduce_sum(tape.gradient(total, x) ** 2)

    kernel, direction = first.kernel, normal(*first.kernel.shape, seed=9)
    with tf.GradientTape() as tape:
        value = squared_gradients()
    analytic = np.sum(tape.gradient(value, kernel.value).numpy() * direction)
    start, step, values = kernel.numpy(), 1e-5, []
    for sign in (1, -1):
        kernel.assign(start + sign * step * direction)
        values.append(float(squared_gradients()))
    return analytic, (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize("kind", SHAPES)
def test_gradients_of_gradients_are_those_of_their_differences(kind):
    analytic, by_differences = slopes(BatchNormalization(dtype="float64"), SHAPES[kind])
    assert analytic == pytest.approx(by_differences, rel=1e-5)


THEIRS = {
    "BatchNormalization": {},
    "LayerNormalization": {},
    "GroupNormalization": {"groups": 2},
}


@pytest.mark.parametrize("name", THEIRS)
def test_those_of_keras_are_not(name):
    """Should this fail, TensorFlow or Keras has mended it, and the warning can go."""
    layer = getattr(keras.layers, name)(**THEIRS[name], dtype="float64")
    analytic, by_differences = slopes(layer, SHAPES["vectors"])
    assert abs(analytic - by_differences) > 1e-4 * abs(by_differences)


@pytest.mark.parametrize("name", ["RMSNormalization", "UnitNormalization"])
def test_what_the_warning_advises_is_right(name):
    layer = getattr(keras.layers, name)(dtype="float64")
    analytic, by_differences = slopes(layer, SHAPES["vectors"])
    assert analytic == pytest.approx(by_differences, rel=1e-5)


def gan_with(layer):
    generator, _ = helpers.tiny_networks()
    discriminator = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4), layer, keras.layers.Dense(1)]
    )
    return keras_gan.GAN(generator, discriminator, keras_gan.priors.Normal(3), None)


@pytest.mark.parametrize("name", THEIRS)
def test_penalties_of_gradients_through_those_of_keras_are_a_warning(name):
    layer = getattr(keras.layers, name)(**THEIRS[name], name="mine")
    gan = gan_with(layer)
    with pytest.warns(UserWarning, match="'mine': gradients of gradients through"):
        gan.compile("sgd", "sgd", penalties=[keras_gan.penalties.R1(1.0)])
    gan.compile("sgd", "sgd")  # without a penalty there is nothing to warn of


@pytest.mark.parametrize("layer", [BatchNormalization, keras.layers.RMSNormalization])
def test_those_that_are_right_give_no_warning(layer, recwarn):
    gan = gan_with(layer())
    gan.compile("sgd", "sgd", penalties=[keras_gan.penalties.DRAGAN(1.0)])
    assert not recwarn.list


def test_it_is_saved_and_computes_in_float32_within_16_bits(tmp_path):
    layer = BatchNormalization(dtype="mixed_float16")
    x = (1000 * normal(8, 4)).astype(np.float16)
    model = keras.Sequential([keras.Input((4,)), layer])
    found = layer(x, training=True)
    assert found.dtype == tf.float16
    exact = x.astype(np.float64)
    exact = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-3)
    np.testing.assert_allclose(found, exact, atol=2e-3)
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(copy.layers[0], BatchNormalization)
    np.testing.assert_array_equal(copy(x), model(x))


def test_what_it_does_not_take_is_one_line():
    with pytest.raises(ValueError, match="Expected synchronized to be false"):
        BatchNormalization(synchronized=True)
    with pytest.raises(ValueError, match="without a mask"):
        BatchNormalization()(np.ones((2, 3)), training=True, mask=np.ones(2, bool))
