"""Layers of discriminators: spectral normalisation against an SVD, packs by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import penalties
from keras_gan.layers import Maxout, Pack, SpectralNormalization
from tests import extensions, helpers


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def unit(vector):
    return vector / np.linalg.norm(vector)


def built(layer, inputs):
    layer = SpectralNormalization(layer)
    layer(inputs)
    return layer


# === Spectral normalisation ===


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (lambda: keras.layers.Dense(7), normal(4, 9)),
        helpers.slow(lambda: keras.layers.Conv2D(5, 3), normal(2, 6, 6, 3)),
        (lambda: keras.layers.Conv2DTranspose(5, 4, strides=2), normal(2, 6, 6, 3)),
        helpers.slow(lambda: keras.layers.DepthwiseConv2D(3), normal(2, 6, 6, 3)),
        (lambda: keras.layers.Embedding(6, 4), np.arange(6)),
        (lambda: Maxout(4, 3), normal(4, 9)),
    ],
)
def test_sigma_is_the_largest_singular_value(layer, inputs):
    normalised = built(layer(), inputs)
    inner = normalised.layer
    for _ in range(300):
        normalised.advance()
    weights = [w.numpy() for w in inner.weights]
    kernel = weights[0].reshape(-1, weights[0].shape[-1]).astype(np.float64)
    sigma = np.linalg.svd(kernel, compute_uv=False)[0]
    assert float(normalised.sigma()) == pytest.approx(sigma, rel=1e-5)
    # The output is that of the layer itself with the kernel divided.
    found = np.asarray(normalised(inputs))
    inner.set_weights([weights[0] / np.float32(sigma), *weights[1:]])
    np.testing.assert_allclose(found, np.asarray(inner(inputs)), atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_a_kernel_of_any_precision_is_normalised(dtype):
    """Its vector is float32 at least; the two were multiplied as they were."""
    layer = built(keras.layers.Dense(3, use_bias=False, dtype=dtype), normal(5, 4))
    for _ in range(50):
        layer.advance()
    kernel = np.asarray(layer.layer.kernel.numpy(), np.float64)
    expected = normal(5, 4) @ (kernel / np.linalg.norm(kernel, 2))
    found = layer(normal(5, 4), training=True)
    assert found.dtype == dtype
    tolerance = {"bfloat16": 0.05, "float16": 0.01, "float64": 1e-6}[dtype]
    np.testing.assert_allclose(np.asarray(found, np.float64), expected, atol=tolerance)


def test_the_gradient_holds_the_singular_vectors():
    """Of f = sum(c * x W / sigma): equation 12 of arXiv 1802.05957 in float64."""
    inputs, factors = normal(5, 4), normal(5, 3, seed=1)
    layer = built(keras.layers.Dense(3, use_bias=False), inputs)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(factors * layer(inputs))
    found = tape.gradient(value, layer.layer.kernel.value).numpy()
    kernel = layer.layer.kernel.numpy().astype(np.float64)
    left = unit(layer.left.numpy().astype(np.float64))
    right = unit(kernel @ left)
    sigma = right @ kernel @ left
    plain = inputs.T @ factors
    expected = plain / sigma - np.sum(plain * kernel) / sigma**2 * np.outer(right, left)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_sigma_is_nearly_right_from_the_start():
    """A slope of D that is 1 / 0.7 too large in each of ten layers is one of 35."""
    for width in (16, 64, 256):
        layer = built(keras.layers.Dense(width), normal(2, 128))
        kernel = layer.layer.kernel.numpy()
        sigma = np.linalg.svd(kernel, compute_uv=False)[0]
        assert 0.93 * sigma < float(layer.sigma()) < 1.0001 * sigma


@pytest.mark.parametrize("steps", [1, 2])
def test_one_power_iteration_a_step_of_its_player_and_none_in_the_others(steps):
    gan = extensions.gan_with("spectral", discriminator_steps=steps)
    layer = gan.discriminator.layers[1]
    kernels = []

    class Watch(keras.optimizers.SGD):
        def apply(self, gradients, variables=None):
            super().apply(gradients, variables)
            kernels.append(layer.layer.kernel.numpy().astype(np.float64))

    gan.compile(
        keras.optimizers.SGD(0.1),
        Watch(0.1),
        discriminator_steps=steps,
        run_eagerly=True,
    )
    left = layer.left.numpy().astype(np.float64)
    helpers.train_steps(gan, [helpers.examples(8)])
    assert len(kernels) == steps
    for kernel in kernels:
        left = unit(kernel.T @ unit(kernel @ left))
    np.testing.assert_allclose(layer.left.numpy(), left, atol=1e-5)
    # G's step saw the same discriminator: D's kernel did not change in it either.
    np.testing.assert_array_equal(layer.layer.kernel.numpy(), np.float32(kernels[-1]))


def test_training_leaves_the_kernel_to_the_optimizer():
    gan = extensions.gan_with("spectral", rate=0.0)
    before = helpers.weights_of(gan.discriminator)
    gan.fit(helpers.examples(32), batch_size=8, epochs=2, verbose=0)
    for old, new in zip(before, helpers.weights_of(gan.discriminator), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_skipped_float16_step_leaves_the_kernel():
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        gan = extensions.gan_with("spectral")
    finally:
        keras.mixed_precision.set_dtype_policy(before)
    layer = gan.discriminator.layers[1]
    assert layer.layer.compute_dtype == "float16" and layer.left.dtype == "float32"
    old = layer.layer.kernel.numpy()
    gan.discriminator_optimizer.dynamic_scale.assign(3e38)
    logs = helpers.train_steps(gan, [helpers.examples(8)])
    assert logs["discriminator_skipped_steps"] == 2
    np.testing.assert_array_equal(layer.layer.kernel.numpy(), old)
    assert np.isfinite(layer.left.numpy()).all()


def test_outside_of_a_gan_each_training_call_makes_an_iteration():
    layer = built(keras.layers.Dense(3), normal(5, 4))
    before = layer.left.numpy()
    layer(normal(5, 4))
    np.testing.assert_array_equal(layer.left.numpy(), before)
    layer(normal(5, 4), training=True)
    assert np.abs(layer.left.numpy() - before).max() > 1e-3


def test_a_discriminator_that_is_trained_by_itself_makes_them_again():
    """Its estimate stayed that of the GAN: the slope of such a layer was 5.6."""
    gan = extensions.gan_with("spectral")
    critic = gan.discriminator
    helpers.train_steps(gan, [helpers.examples(8)])
    critic.compile(keras.optimizers.Adam(0.1), "mse")
    x = helpers.examples(64)
    critic.fit(x, 5 * x[:, :1], epochs=10, verbose=0)
    layer = critic.layers[1]
    sigma = np.linalg.norm(layer.layer.kernel.numpy(), 2)
    assert float(layer.sigma()) == pytest.approx(sigma, rel=0.05)


def test_a_kernel_of_zeros_stays_one_with_finite_gradients():
    layer = built(keras.layers.Dense(3, kernel_initializer="zeros"), normal(5, 4))
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(layer(normal(5, 4), training=True))
    assert float(value) == 0.0
    assert np.isfinite(tape.gradient(value, layer.layer.kernel.value)).all()
    assert np.isfinite(layer.left.numpy()).all()


def test_a_kernel_that_was_zeros_once_is_normalised():
    layer = built(keras.layers.Dense(3, kernel_initializer="zeros"), normal(5, 4))
    layer.advance()
    layer.layer.kernel.assign(normal(4, 3))
    for _ in range(100):
        layer.advance()
    expected = np.linalg.norm(normal(4, 3), 2)
    assert float(layer.sigma()) == pytest.approx(expected, rel=1e-5)


def test_the_kernel_is_held_by_the_layer_alone():
    """Keras writes what a layer holds: it would be in each file twice."""
    layer = built(keras.layers.Dense(3), normal(5, 4))
    store = {}
    layer.save_own_variables(store)
    assert [value.shape for value in store.values()] == [(3,)]
    names = [variable.name for variable in layer.weights]
    assert sorted(names) == ["bias", "kernel", "left"]


@pytest.mark.parametrize(
    "layer", [keras.layers.ReLU(), keras.layers.BatchNormalization()]
)
def test_a_layer_without_a_kernel_is_refused(layer):
    with pytest.raises(ValueError, match="that has one kernel, and no state"):
        built(layer, normal(5, 4))


def test_kerass_own_is_refused_with_the_name_of_ours():
    generator, _ = helpers.tiny_networks()
    theirs = keras.layers.SpectralNormalization(keras.layers.Dense(1))
    critic = keras.Sequential([keras.Input((4,)), theirs])
    with pytest.raises(ValueError, match="keras_gan.layers.SpectralNormalization"):
        keras_gan.GAN(generator, critic, keras_gan.priors.Normal(3), None)


# === Packs ===


@pytest.mark.parametrize(
    ("count", "size", "rows"),
    [
        (6, 2, [(0, 3), (1, 4), (2, 5)]),
        (7, 3, [(0, 2, 4), (1, 3, 5)]),
        (5, 1, [(0,), (1,), (2,), (3,), (4,)]),
        (2, 3, [(0, 1, 0)]),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_packs_are_these_rows(count, size, rows, known):
    images = normal(count, 2, 2, 3)
    shape = (count if known else None, 2, 2, 3)
    packed = tf.function(Pack(size), input_signature=[tf.TensorSpec(shape)])(images)
    expected = [np.concatenate([images[i] for i in pack], axis=-1) for pack in rows]
    np.testing.assert_array_equal(packed, expected)


def test_r1_of_packs_sums_over_a_pack():
    """D of a pair is its sum of squares: the gradient's square is 4 times that."""
    samples = normal(6, 3)
    value = penalties.R1(1.0)(
        lambda x: tf.reduce_sum(Pack(2)(x) ** 2, axis=1)[:, None],
        tf.constant(samples),
        None,
        None,
    )
    expected = 0.5 * np.sum((2 * samples.astype(np.float64)) ** 2) / 3
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_packs_of_zero_are_refused():
    with pytest.raises(ValueError, match="Expected size to be a positive int"):
        Pack(0)


@pytest.mark.slow
def test_a_packed_discriminator_compiles_with_xla_and_odd_batches():
    gan = extensions.gan_with("packed", jit_compile=True, penalties=[penalties.R1(0.1)])
    logs = helpers.train_steps(gan, [helpers.examples(8), helpers.examples(7)])
    assert np.isfinite(list(logs.values())).all()
