"""Layers that labels enter: Keras and NumPy as oracles, class by class."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gan import networks
from keras_gan.conditional import (
    ConditionalBatchNormalization,
    LabelProjection,
    MixtureEmbedding,
)
from keras_gan.layers import SpectralNormalization

LABELS = np.array([2, 0, 0, 1, 2, 0], np.int32)


def normal(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def with_weights(layer, inputs, seed=1):
    """Builds a layer, and gives its trainable weights normal values."""
    layer(inputs)
    for i, weight in enumerate(layer.trainable_weights):
        weight.assign(normal(*weight.shape, seed=seed + i))
    return layer


def normalized_by_hand(layer, x, labels, mean, variance):
    """The layer's equation, one example at a time in float64."""
    gain, shift = (w.numpy().astype(np.float64) for w in (layer.gain, layer.shift))
    epsilon = layer.normalization.epsilon
    rows = (x.astype(np.float64) - mean) / np.sqrt(variance + epsilon)
    pairs = zip(rows, labels, strict=True)
    return np.stack([gain[label] * row + shift[label] for row, label in pairs])


def moments(x):
    axes = tuple(range(x.ndim - 1))
    x = x.astype(np.float64)
    return x.mean(axes), x.var(axes)


# === Conditional batch normalisation ===


@pytest.mark.parametrize("shape", [(6, 5), (6, 3, 2, 5)])
def test_with_one_class_it_is_that_of_keras(shape):
    x, labels = 3 * normal(*shape) + 1, np.zeros(6, np.int32)
    ours = with_weights(ConditionalBatchNormalization(1, 0.9, 1e-5), [x, labels])
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    theirs.build(shape)
    theirs.gamma.assign(ours.gain.numpy()[0])
    theirs.beta.assign(ours.shift.numpy()[0])
    for training in (False, True, True, False):
        inputs, options = tf.constant(x), {"training": training}
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(inputs)
            found = ours([inputs, labels], **options)
            expected = theirs(inputs, **options)
            loss, expected_loss = (tf.reduce_sum(y**3) for y in (found, expected))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        for ours_of, theirs_of in (
            (inputs, inputs),
            (ours.gain.value, theirs.gamma.value),
            (ours.shift.value, theirs.beta.value),
        ):
            gradient = tf.convert_to_tensor(tape.gradient(loss, ours_of))
            wanted = tape.gradient(expected_loss, theirs_of).numpy()
            gradient = np.reshape(gradient, wanted.shape)
            scale = np.abs(wanted).max()
            np.testing.assert_allclose(gradient, wanted, atol=1e-4 * scale)
    for name in ("moving_mean", "moving_variance"):
        moved = getattr(ours.normalization, name).numpy()
        np.testing.assert_allclose(moved, getattr(theirs, name), rtol=1e-5)
        assert (moved != 0).all() and (moved != 1).all()


@pytest.mark.parametrize("shape", [(6, 4), (6, 3, 2, 4), (6, 5, 4)])
def test_three_classes_by_hand(shape):
    x = 2 * normal(*shape) - 1
    layer = with_weights(ConditionalBatchNormalization(3, 0.8, 1e-2), [x, LABELS])
    mean, variance = moments(x)
    found = layer([x, LABELS], training=True)
    expected = normalized_by_hand(layer, x, LABELS, mean, variance)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # The moving statistics are one for all classes.
    moving_mean, moving_variance = 0.2 * mean, 0.8 + 0.2 * variance
    kept = layer.normalization
    np.testing.assert_allclose(kept.moving_mean, moving_mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(kept.moving_variance, moving_variance, rtol=1e-4)
    other, labels = normal(*shape, seed=9), LABELS[::-1]
    expected = normalized_by_hand(layer, other, labels, moving_mean, moving_variance)
    for output in (layer([other, labels]), layer([other, labels], training=False)):
        np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)
    assert len(layer.trainable_weights) == len(layer.non_trainable_weights) == 2


def test_it_starts_without_a_difference_between_classes():
    x = normal(6, 4)
    layer, plain = ConditionalBatchNormalization(3), keras.layers.BatchNormalization()
    for labels in (LABELS, np.zeros_like(LABELS)):
        expected = plain(x, training=True)
        found = layer([x, labels], training=True)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_only_the_classes_of_a_batch_have_gradients():
    x, labels = normal(4, 3), np.array([2, 0, 0, 2])
    layer = with_weights(ConditionalBatchNormalization(4), [x, labels])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer([x, labels], training=True) ** 3)
    for found in tape.gradient(loss, [layer.gain.value, layer.shift.value]):
        gradient = tf.convert_to_tensor(found).numpy()  # of a gather it is sparse
        assert [bool(row.any()) for row in gradient] == [True, False, True, False]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_in_16_bits_it_computes_in_float32(dtype):
    x = tf.cast(500 * normal(6, 3, 3, 4) + 300, dtype)  # squares beyond float16
    half = ConditionalBatchNormalization(3, dtype=f"mixed_{dtype}")
    half = with_weights(half, [x, LABELS])
    single = with_weights(ConditionalBatchNormalization(3), [x, LABELS])
    for training in (True, False):
        found = half([x, LABELS], training=training)
        assert found.dtype == dtype and np.isfinite(tf.cast(found, "float32")).all()
        expected = single([tf.cast(x, tf.float32), LABELS], training=training)
        np.testing.assert_array_equal(
            tf.cast(found, tf.float32), tf.cast(tf.cast(expected, dtype), tf.float32)
        )
    assert {w.dtype for w in half.weights} == {"float32"}


def test_a_frozen_layer_keeps_its_statistics():
    """As that of Keras, which then runs as outside of training."""
    x = normal(6, 4)
    layer = with_weights(ConditionalBatchNormalization(3), [x, LABELS])
    layer.trainable = False
    before = [w.numpy() for w in layer.weights]
    frozen = layer([x, LABELS], training=True)
    np.testing.assert_array_equal(frozen, layer([x, LABELS], training=False))
    for old, new in zip(before, layer.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


# === Projection ===


def test_a_projection_is_its_equation():
    features = normal(6, 5)
    layer = with_weights(LabelProjection(3), [features, LABELS])
    embeddings = layer.embeddings.numpy().astype(np.float64)
    expected = [[f @ embeddings[y]] for f, y in zip(features, LABELS, strict=True)]
    found = layer([features, LABELS])
    assert found.shape == (6, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    # int64 labels, as datasets have them.
    same = layer([features, LABELS.astype(np.int64)])
    np.testing.assert_array_equal(same, found)


def test_a_projection_can_be_spectrally_normalised():
    inputs = [normal(6, 5), LABELS]
    layer = SpectralNormalization(LabelProjection(3))
    first = layer(inputs)
    for _ in range(200):
        layer.advance()
    embeddings = layer.layer.embeddings.numpy()
    sigma = np.linalg.svd(embeddings.astype(np.float64), compute_uv=False)[0]
    assert float(layer.sigma()) == pytest.approx(sigma, rel=1e-5)
    expected = np.sum(inputs[0] * embeddings[LABELS] / sigma, axis=1, keepdims=True)
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-4, atol=1e-6)
    # The embedding itself is left to the optimizer, and its scale is nothing.
    np.testing.assert_array_equal(layer.layer.embeddings.numpy(), embeddings)
    layer.layer.embeddings.assign(7 * embeddings)
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-4, atol=1e-6)
    assert np.abs(first).max() > 0 and layer.compute_dtype == "float32"


def critic():
    """A smooth projection discriminator in float64."""
    options = {"dtype": "float64"}
    samples = keras.Input((4,), name="samples", dtype="float64")
    labels = keras.Input((), dtype="int32", name="labels")
    x = keras.layers.Dense(5, "tanh", **options)(samples)
    x = keras.layers.Dense(5, "tanh", **options)(x)
    logits = keras.layers.Dense(1, **options)(x)
    projected = LabelProjection(3, **options)([x, labels])
    logits = keras.layers.Add(**options)([logits, projected])
    model = keras.Model({"samples": samples, "labels": labels}, logits)
    for i, weight in enumerate(model.trainable_weights):
        weight.assign(normal(*weight.shape, seed=i, dtype=np.float64))
    return model


@pytest.mark.parametrize("compiled", [None, False, True])
def test_the_gradient_of_r1_is_that_of_its_differences(compiled):
    model = critic()
    weights = model.trainable_weights
    real = {
        "samples": tf.constant(normal(6, 4, dtype=np.float64)),
        "labels": tf.constant(LABELS),
    }

    def penalty():  # R1 in float64, which that of `penalties` is not
        samples = real["samples"]
        with tf.GradientTape() as tape:
            tape.watch(samples)
            logits = model({**real, "samples": samples}, training=True)
        return tf.reduce_sum(tape.gradient(logits, samples) ** 2)

    def gradients():
        with tf.GradientTape() as tape:
            value = penalty()
        return [  # of embeddings they are sparse
            tf.zeros_like(weight.value) if each is None else tf.convert_to_tensor(each)
            for weight, each in zip(
                weights, tape.gradient(value, [w.value for w in weights]), strict=True
            )
        ]

    if compiled is not None:
        gradients = tf.function(gradients, jit_compile=compiled)
    for weight, gradient in zip(weights, gradients(), strict=True):
        direction = normal(*weight.shape, seed=7, dtype=np.float64)
        start, step, values = weight.numpy(), 1e-5, []
        for signed in (step, -step):
            weight.assign(start + signed * direction)
            values.append(float(penalty()))
        weight.assign(start)
        expected = (values[0] - values[1]) / (2 * step)
        found = float(np.sum(gradient * direction))
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-8)
        assert found != 0 or weight.name == "bias"


# === Mixtures of classes ===

WEIGHTS = np.float32([[0, 0, 1], [1, 0, 0], [0.5, 0.25, 0.25], [-1, 0, 2]])


def test_the_gains_and_shifts_of_a_mixture_are_mixed():
    x = normal(6, 3, 2, 4)
    layer = with_weights(ConditionalBatchNormalization(3), [x, LABELS])
    one_hot = np.eye(3, dtype=np.float32)[LABELS]
    for training in (True, False):
        found = layer([x, one_hot], training=training)
        expected = layer([x, LABELS], training=training)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    # y is linear in the rows, whatever x is.
    found = layer([np.tile(x[:1], (4, 1, 1, 1)), WEIGHTS])
    of_classes = layer([np.tile(x[:1], (3, 1, 1, 1)), np.arange(3)])
    expected = np.einsum("mc,c...->m...", WEIGHTS, of_classes)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_projection_of_a_mixture_is_mixed():
    features = normal(1, 5)
    layer = with_weights(LabelProjection(3), [features, LABELS[:1]])
    found = layer([np.tile(features, (4, 1)), WEIGHTS])
    expected = WEIGHTS @ (layer.embeddings.numpy() @ features.T)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_vector_of_a_mixture_is_mixed(tmp_path):
    weights = keras.Input((3,), name="labels")
    layer = MixtureEmbedding(3, 2, "normal")
    model = keras.Model(weights, layer(weights))
    assert model.output_shape == (None, 2)
    expected = WEIGHTS @ layer.embeddings.numpy()
    np.testing.assert_allclose(model(WEIGHTS), expected, rtol=1e-5, atol=1e-7)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(WEIGHTS), model(WEIGHTS))


@pytest.mark.parametrize("width", [1, 2, 4])
def test_weights_of_another_number_of_classes_are_refused(width):
    for make in BOTH:
        message = rf"\(batch, 3\) for mixtures. Received shapes: .*\(None, {width}\)"
        with pytest.raises(ValueError, match=message):
            make().build([(None, 5), (None, width)])


# === What both have ===

BOTH = [
    lambda **options: ConditionalBatchNormalization(3, 0.7, 1e-4, **options),
    lambda **options: LabelProjection(3, "he_normal", **options),
]


@pytest.mark.parametrize("make", BOTH)
def test_a_layer_comes_back_from_its_configuration(make, tmp_path):
    layer = make(name="one", dtype="mixed_bfloat16")
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert type(copy) is type(layer) and copy.get_config() == layer.get_config()
    values = keras.Input((5,))
    labels = keras.Input((), dtype="int32")
    model = keras.Model([values, labels], make()([values, labels]))
    for i, weight in enumerate(model.weights):
        weight.assign(np.abs(normal(*weight.shape, seed=i)))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    inputs = [normal(6, 5), LABELS]
    np.testing.assert_array_equal(loaded(inputs), model(inputs))


def test_symbolic_shapes():
    labels = keras.Input((), dtype="int32")
    images = keras.Input((None, 7, 5))
    layer = ConditionalBatchNormalization(3, dtype="mixed_float16")
    found = layer([images, labels])
    assert found.shape == (None, None, 7, 5) and found.dtype == "float16"
    found = LabelProjection(3)([keras.Input((5,)), labels])
    assert found.shape == (None, 1) and found.dtype == "float32"


@pytest.mark.parametrize("make", BOTH)
def test_graphs_of_any_batch_size_and_xla(make):
    layer = with_weights(make(), [normal(6, 5), LABELS])
    signature = [[tf.TensorSpec((None, 5)), tf.TensorSpec((None,), tf.int32)]]
    any_size = tf.function(layer, input_signature=signature)
    compiled = tf.function(layer, jit_compile=True)
    for count in (0, 1, 6):
        inputs = [tf.constant(normal(count, 5)), tf.constant(LABELS[:count])]
        expected = layer(inputs)
        for function in (any_size, compiled):
            np.testing.assert_allclose(function(inputs), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("wrong", [-1, 3])
def test_a_label_that_is_no_class_is_an_error_on_cpus(make, wrong):
    with tf.device("cpu"):
        layer = make()
        layer([normal(6, 5), LABELS])
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"not in \[0, 3\)"):
            layer([normal(1, 5), np.array([wrong], np.int32)])


@pytest.mark.parametrize("make", BOTH)
def test_other_inputs_are_refused_in_one_line(make):
    for shapes in ((None, 5), [(None, 5)], [(None, 5), (None, 1)], [(None, 5), ()],
                   [(None,), (None,)]):  # fmt: skip
        message = (
            r"^Expected inputs of '.*' to be \[values, labels\] .* Received shapes"
        )
        with pytest.raises(ValueError, match=message) as error:
            make().build(shapes)
        assert "\n" not in str(error.value)
    for kind in (ConditionalBatchNormalization, LabelProjection):
        for wrong in (0, True, 2.0):
            with pytest.raises(ValueError, match="^Expected `num_classes` to be an"):
                kind(wrong)
    with pytest.raises(ValueError, match=r"\(batch, features\)"):
        LabelProjection(3).build([(None, 4, 5), (None,)])


def test_the_work_of_a_label_is_that_of_its_row():
    labels = keras.Input((), dtype="int32")
    images, features = keras.Input((4, 6, 5)), keras.Input((5,))
    for classes in (1, 3, 1000):
        for inputs, layer, work in (
            # A gain, a shift and two statistics of 5 channels, in 24 places.
            (images, ConditionalBatchNormalization(classes), 4 * 5 * 24),
            (features, LabelProjection(classes), 5),
            (features, SpectralNormalization(LabelProjection(classes)), 5),
        ):
            model = keras.Model([inputs, labels], layer([inputs, labels]))
            assert networks.multiply_adds(model) == work
        embedded = keras.layers.Embedding(classes, 7)(labels)
        assert networks.multiply_adds(keras.Model(labels, embedded)) == 7
