"""Layers: NumPy as the oracle for maxout, pooling, untied bias and sparse weights."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gan.layers import Maxout, MaxoutConv2D, SparseNormal, UntiedBias


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def set_weights(layer, input_shape, seed=1):
    """Builds the layer and gives all of its weights, biases too, normal values."""
    layer.build(input_shape)
    layer.set_weights(
        [normal(*w.shape, seed=seed + i) for i, w in enumerate(layer.weights)]
    )
    return layer


def slow_maxout_conv(layer, inputs):
    """Convolution, maximum over pieces and ragged pooling as loops in float64."""
    kernel, bias = (w.numpy().astype(np.float64) for w in layer.weights)
    p, size = layer.padding, layer.kernel_size
    padded = np.pad(inputs.astype(np.float64), ((0, 0), (p, p), (p, p), (0, 0)))
    count, height, width = (
        len(inputs),
        *(n - size + 1 for n in padded.shape[1:3]),
    )
    maxout = np.empty((count, height, width, layer.filters))
    for i in range(height):
        for j in range(width):
            patch = padded[:, i : i + size, j : j + size]
            linear = np.einsum("nhwc,hwcf->nf", patch, kernel) + bias
            for f in range(layer.filters):
                own = linear[:, f :: layer.filters]
                maxout[:, i, j, f] = own.max(axis=1)

    def starts(n):
        """Windows until one reaches the border, so that each pixel is in one."""
        found = [0]
        while found[-1] + layer.pool_size < n:
            found.append(found[-1] + layer.pool_strides)
        return found

    return np.stack(
        [
            np.stack(
                [
                    # A slice past the border is the partial window.
                    maxout[:, i : i + layer.pool_size, j : j + layer.pool_size].max(
                        axis=(1, 2)
                    )
                    for j in starts(width)
                ],
                axis=1,
            )
            for i in starts(height)
        ],
        axis=1,
    )


# === Maxout ===


def test_maxout_is_the_maximum_over_consecutive_columns():
    for units, pieces in (
        (4, 3),
        (1, 5),
        (6, 1),
    ):
        layer = set_weights(Maxout(units, pieces), (None, 7))
        inputs = normal(5, 7)
        kernel, bias = (w.numpy().astype(np.float64) for w in layer.weights)
        assert kernel.shape == (7, units * pieces)
        expected = np.stack(
            [
                np.max(
                    [
                        inputs @ kernel[:, p * units + u] + bias[p * units + u]
                        for p in range(pieces)
                    ],
                    axis=0,
                )
                for u in range(units)
            ],
            axis=1,
        )
        outputs = layer(inputs)
        np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)
        assert layer.compute_output_shape((5, 7)) == outputs.shape == (5, units)


def test_maxout_gradient_reaches_the_winning_piece_only():
    layer = set_weights(Maxout(2, 3), (None, 4))
    inputs = normal(1, 4)
    linear = (inputs @ layer.kernel.numpy() + layer.bias.numpy()).reshape(3, 2)
    winners = linear.argmax(axis=0)
    with tf.GradientTape() as tape:
        outputs = layer(inputs)
    kernel, bias = tape.gradient(outputs, layer.trainable_variables)
    expected = np.zeros((3, 2), np.float32)
    expected[winners, np.arange(2)] = 1.0
    np.testing.assert_array_equal(bias, expected.ravel())
    np.testing.assert_allclose(kernel, np.outer(inputs[0], expected.ravel()), rtol=1e-6)


def test_maxout_config_round_trip():
    layer = Maxout(
        4,
        3,
        kernel_initializer=keras.initializers.RandomUniform(-0.1, 0.1, seed=5),
        bias_initializer=keras.initializers.Constant(-2.0),
        kernel_constraint=keras.constraints.MaxNorm(1.5, axis=0),
        name="m",
    )
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(copy) is Maxout
    assert copy.get_config() == layer.get_config()
    layer.build((None, 6))
    copy.build((None, 6))
    np.testing.assert_array_equal(copy.kernel.numpy(), layer.kernel.numpy())
    assert copy.kernel.constraint.max_value == 1.5
    assert copy.kernel.constraint.axis == 0
    np.testing.assert_array_equal(copy.bias.numpy(), np.full(12, -2.0))


def test_max_norm_bounds_each_piece_after_a_large_step():
    layer = Maxout(3, 2, kernel_constraint=keras.constraints.MaxNorm(1.9365, axis=0))
    layer.build((None, 8))
    # Two pieces stay short: the constraint bounds norms, it does not set them.
    gradient = normal(8, 6) * [50, 50, 50, 50, 0, 0]
    before = layer.kernel.numpy()
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.apply(
        [gradient.astype(np.float32), np.zeros(6, np.float32)], layer.weights
    )
    norms = np.linalg.norm(layer.kernel.numpy(), axis=0)
    np.testing.assert_allclose(norms[:4], 1.9365, rtol=1e-5)
    step = before - gradient
    np.testing.assert_allclose(
        layer.kernel.numpy()[:, :4],
        (step / np.linalg.norm(step, axis=0) * 1.9365)[:, :4],
        rtol=1e-4,
    )
    assert norms[4:].max() < 1.9
    np.testing.assert_allclose(layer.kernel.numpy()[:, 4:], before[:, 4:], rtol=1e-6)


def test_a_size_below_one_is_refused_in_one_line():
    for make in (
        lambda: Maxout(0, 5),
        lambda: Maxout(5, 0),
        lambda: Maxout(2.0, 5),
        lambda: MaxoutConv2D(0, 2, 3),
        lambda: MaxoutConv2D(2, 0, 3),
        lambda: MaxoutConv2D(2, 2, 0),
        lambda: MaxoutConv2D(2, 2, 3, pool_size=0),
        lambda: MaxoutConv2D(2, 2, 3, pool_strides=0),
        lambda: SparseNormal(0),
    ):
        message = r"^Expected \w+ to be a positive int\. Received: \S+$"
        with pytest.raises(ValueError, match=message):
            make()


def test_a_negative_padding_is_refused():
    with pytest.raises(ValueError, match=r"^Expected padding .*-1"):
        MaxoutConv2D(2, 2, 3, padding=-1)


def test_an_input_of_another_rank_is_refused_in_one_line():
    for layer, shape in (
        (Maxout(2, 2), (2, 3, 4)),
        (MaxoutConv2D(2, 2, 3), (2, 16)),
    ):
        with pytest.raises(ValueError, match="expected ndim=") as error:
            layer(np.zeros(shape, np.float32))
        assert f"found ndim={len(shape)}" in str(error.value)
        assert "\n" not in str(error.value)


# === MaxoutConv2D ===


def test_maxout_conv_is_the_slow_loop():
    for size, options in (
        ((6, 6), {}),
        ((5, 8), {"padding": 2}),
        ((6, 6), {"pool_size": 2, "pool_strides": 2}),
        ((7, 7), {"padding": 1, "pool_size": 2, "pool_strides": 2}),
        ((9, 6), {"padding": 2, "pool_size": 4, "pool_strides": 2}),
        ((8, 7), {"pool_size": 3, "pool_strides": 1}),
        ((8, 8), {"pool_size": 3, "pool_strides": 3}),
        ((4, 4), {"pool_size": 4, "pool_strides": 2}),
    ):
        for pieces in (1, 2, 3):
            layer = set_weights(MaxoutConv2D(3, pieces, 3, **options), (None, *size, 2))
            inputs = normal(2, *size, 2)
            outputs = layer(inputs)
            expected = slow_maxout_conv(layer, inputs)
            assert outputs.shape == expected.shape
            assert layer.compute_output_shape(inputs.shape) == expected.shape
            np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_a_stride_above_the_pool_size_makes_no_window_without_a_pixel():
    """n = 5, size 1, stride 3: windows at 0 and 3 see pixels, one at 6 would not."""
    layer = set_weights(
        MaxoutConv2D(1, 1, 1, pool_size=1, pool_strides=3), (None, 5, 5, 1)
    )
    outputs = layer(normal(1, 5, 5, 1)).numpy()
    assert np.abs(outputs).max() < 1e3


def test_partial_windows_of_negative_activations_keep_them():
    """All activations are -1000 - column: a border of zeros would win with 0."""
    for dtype in (
        "float32",
        "float16",
        "bfloat16",
    ):
        layer = MaxoutConv2D(1, 2, 1, pool_size=2, pool_strides=2, dtype=dtype)
        layer.build((None, 3, 3, 1))
        layer.set_weights([np.full((1, 1, 1, 2), -1.0), np.float32([-1000.0, -2000.0])])
        columns = np.broadcast_to(8 * np.arange(3.0).reshape(1, 1, 3, 1), (1, 3, 3, 1))
        outputs = np.asarray(keras.ops.cast(layer(columns), "float32"))
        np.testing.assert_array_equal(outputs[0, :, :, 0], [[-1000.0, -1016.0]] * 2)


def test_sizes_of_the_papers_three_layers():
    for size, kernel_size, padding, pool_size, linear, pooled in (
        (32, 8, 4, 4, 33, 16),
        (16, 8, 3, 4, 15, 7),
        (7, 5, 3, 2, 9, 5),
    ):
        options = {"filters": 2, "pieces": 2, "kernel_size": kernel_size}
        shape = (1, size, size, 1)
        plain = MaxoutConv2D(padding=padding, **options)
        layer = MaxoutConv2D(
            padding=padding, pool_size=pool_size, pool_strides=2, **options
        )
        assert plain(np.zeros(shape, np.float32)).shape == (1, linear, linear, 2)
        assert layer(np.zeros(shape, np.float32)).shape == (1, pooled, pooled, 2)
        assert layer.compute_output_shape(shape) == (1, pooled, pooled, 2)
        assert layer(keras.Input(shape[1:])).shape == (None, pooled, pooled, 2)


@pytest.mark.parametrize(
    "layer",
    [
        Maxout(4, 3),
        MaxoutConv2D(3, 2, 3, padding=1, pool_size=4, pool_strides=2),
        UntiedBias(),
    ],
)
def test_compiled_by_xla_outputs_and_gradients_are_the_eager_ones(layer):
    shape = (2, 9) if isinstance(layer, Maxout) else (2, 9, 9, 2)
    set_weights(layer, (None, *shape[1:]))
    inputs = tf.constant(normal(*shape))

    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs)
            loss = tf.reduce_sum(outputs**2)
        variables = [v.value for v in layer.trainable_variables]
        return outputs, *tape.gradient(loss, [inputs, *variables])

    eager = step(inputs)
    compiled = tf.function(step, jit_compile=True)(inputs)
    assert len(eager) == len(layer.weights) + 2
    for ours, theirs in zip(eager, compiled, strict=True):
        assert np.abs(ours).max() > 0.1
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_low_precision_is_finite_and_near_float32(policy):
    for make, shape in (
        (lambda dtype: Maxout(4, 3, dtype=dtype), (2, 9)),
        (
            lambda dtype: MaxoutConv2D(
                3, 2, 3, padding=1, pool_size=4, pool_strides=2, dtype=dtype
            ),
            (2, 9, 9, 2),
        ),
        (lambda dtype: UntiedBias(dtype=dtype), (2, 9, 9, 2)),
    ):
        exact = set_weights(make("float32"), (None, *shape[1:]))
        layer = make(policy)
        layer.build((None, *shape[1:]))
        layer.set_weights(exact.get_weights())
        inputs = normal(*shape)
        with tf.GradientTape() as tape:
            outputs = layer(inputs)
            loss = keras.ops.sum(keras.ops.cast(outputs, "float32"))
        gradients = tape.gradient(loss, layer.trainable_variables)
        assert outputs.dtype == policy.removeprefix("mixed_")
        np.testing.assert_allclose(
            np.asarray(keras.ops.cast(outputs, "float32")),
            exact(inputs),
            rtol=0.05,
            atol=0.1,
        )
        for gradient in gradients:
            values = np.asarray(keras.ops.cast(gradient, "float32"))
            assert np.isfinite(values).all() and np.abs(values).max() > 0


def test_maxout_conv_config_round_trip():
    layer = MaxoutConv2D(
        3,
        2,
        5,
        padding=3,
        pool_size=4,
        pool_strides=2,
        kernel_initializer=keras.initializers.RandomUniform(-0.1, 0.1, seed=5),
        bias_initializer="ones",
    )
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(copy) is MaxoutConv2D
    assert copy.get_config() == layer.get_config()
    inputs = normal(1, 8, 8, 2)
    np.testing.assert_array_equal(copy(inputs), layer(inputs))
    assert copy(inputs).shape == (1, 4, 4, 3)


# === UntiedBias ===


def test_untied_bias_adds_a_bias_of_its_own_to_every_value():
    layer = UntiedBias(bias_initializer=keras.initializers.Constant(0.5))
    inputs = normal(2, 3, 4, 2)
    np.testing.assert_allclose(layer(inputs), inputs + np.float32(0.5), rtol=1e-6)
    assert layer.count_params() == 3 * 4 * 2
    bias = normal(3, 4, 2, seed=3)
    layer.set_weights([bias])
    np.testing.assert_allclose(layer(inputs), inputs + bias[None], rtol=1e-6)
    assert layer.compute_output_shape((None, 3, 4, 2)) == (None, 3, 4, 2)
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    np.testing.assert_allclose(copy(inputs), inputs + np.float32(0.5), rtol=1e-6)


# === SparseNormal ===


def test_sparse_normal_has_exactly_so_many_weights_a_column():
    for rows, nonzero in (
        (100, 15),
        (15, 15),
    ):
        weights = np.asarray(SparseNormal(nonzero, seed=3)((rows, 60)))
        np.testing.assert_array_equal((weights != 0).sum(axis=0), nonzero)
        assert weights.dtype == np.float32
        if nonzero < rows:
            patterns = {tuple(np.flatnonzero(column)) for column in weights.T}
            assert len(patterns) > 20  # the columns differ in where they are nonzero


def test_sparse_normal_values_are_normal_and_rows_equally_likely():
    weights = np.asarray(SparseNormal(10, stddev=0.3, seed=3)((50, 4000)))
    values = weights[weights != 0]
    # 40,000 draws: the standard error of the deviation is .3 / sqrt(80,000).
    assert values.std() == pytest.approx(0.3, abs=5 * 0.3 / math.sqrt(80_000))
    assert values.mean() == pytest.approx(0.0, abs=5 * 0.3 / math.sqrt(40_000))
    assert np.mean(np.abs(values) < 0.3) == pytest.approx(0.6827, abs=0.012)
    # Binomial(4000, .2) a row: mean 800, deviation 25.3.
    np.testing.assert_allclose((weights != 0).sum(axis=1), 800, atol=5 * 25.3)
    # Values are independent of the choice of rows: top rows are as large.
    halves = [part[part != 0].std() for part in np.split(weights, 2)]
    assert halves[0] == pytest.approx(halves[1], rel=0.03)


def test_sparse_normal_seeds():
    def draw(seed=None):
        return np.asarray(SparseNormal(3, seed=seed)((20, 30)))

    np.testing.assert_array_equal(draw(7), draw(7))
    assert np.abs(draw(7) - draw(8)).max() > 0.1
    assert np.abs(draw() - draw()).max() > 0.1
    assert ((draw(7) != 0) != (draw(8) != 0)).any()


def test_sparse_normal_config_round_trip():
    initializer = SparseNormal(3, stddev=0.2, seed=7)
    config = keras.initializers.serialize(initializer)
    copy = keras.initializers.deserialize(config)
    assert type(copy) is SparseNormal
    assert copy.get_config() == {"nonzero": 3, "stddev": 0.2, "seed": 7}
    np.testing.assert_array_equal(copy((20, 30)), initializer((20, 30)))


def test_sparse_normal_refuses_too_few_rows_and_other_ranks():
    for shape in ((9, 30), (10,), (10, 10, 10)):
        with pytest.raises(
            ValueError, match=r"inputs >= 10, units.* Received"
        ) as error:
            SparseNormal(10)(shape)
        assert str(shape) in str(error.value) and "\n" not in str(error.value)
