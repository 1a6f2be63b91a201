"""Features of a GAN's layers, against the layers called by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import inference, networks, priors
from tests.helpers import examples, tiny_gan

SHAPE = (8, 8, 1)


def gan_of(builder, num_classes=None, **options):
    """An untrained GAN of small images in (0, 1)."""
    prior = priors.Normal(8)
    if num_classes is not None:
        prior = priors.Labelled(prior, np.full(num_classes, 1 / num_classes))
        options["num_classes"] = num_classes
    pair = networks.BUILDERS[builder](SHAPE, latent_dim=8, seed=0, **options)
    return keras_gan.GAN(*pair, prior, seed=0)


def images(count, shape=SHAPE, seed=0):
    """float32 `(count, *shape)` in (0, 1)."""
    return np.random.default_rng(seed).uniform(size=(count, *shape)).astype(np.float32)


@pytest.fixture
def in_16_bits():
    """The global policy of float16, for networks made before."""
    before = keras.config.dtype_policy()
    yield lambda: keras.config.set_dtype_policy("mixed_float16")
    keras.config.set_dtype_policy(before)


def test_features_do_not_depend_on_the_global_policy(in_16_bits):
    """Joined ones were float16, to three digits and below 65504."""
    samples = keras.Input(SHAPE)
    far = keras.initializers.RandomNormal(stddev=1e5, seed=0)
    x = keras.layers.Conv2D(3, 1, kernel_initializer=far, name="wide")(samples)
    x = keras.layers.Dense(5, name="flat")(keras.layers.Flatten()(x))
    discriminator = keras.Model(samples, keras.layers.Dense(1)(x))
    generator, _ = networks.BUILDERS["paper_mlp"](SHAPE, latent_dim=8, seed=0)
    gan = keras_gan.GAN(generator, discriminator, priors.Normal(8), seed=0)
    x, asked = images(3), ["wide", "flat"]
    expected = inference.features(gan, x, asked)
    in_16_bits()
    found = inference.features(gan, x, asked)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32 and np.abs(found).max() > 65504


CASES = {
    "paper_mlp": {},
    "paper_mlp of labels": {"num_classes": 3},
    "dcgan, hidden units": {"width": 8, "dense_units": 12},
    "dcgan, minibatch": {"width": 8, "minibatch_stddev": True},
    "dcgan, classifier": {"width": 8, "num_classes": 3, "auxiliary_classifier": True},
    "resnet": {"width": 16, "num_classes": 3, "minibatch_stddev": True},
    "r3gan": {"width": 16, "depth": 1},
    "r3gan of labels": {"width": 16, "depth": 1, "num_classes": 3},
}


@pytest.mark.parametrize("case", CASES)
def test_features_are_by_default_what_the_last_weights_see(case):
    gan = gan_of(case.split()[0].strip(","), **CASES[case])
    x, labels = images(5), np.array([0, 1, 2, 0, 1])
    found = inference.features(gan, x, pool=None, labels=labels, batch_size=2)
    assert found.dtype == np.float32
    # D's own layers, of one image after the other.
    network = gan.discriminator
    weighted = [layer for layer in network.layers if layer.weights]
    before = weighted[-1].input
    own = keras.Model(network.input, before[0] if isinstance(before, list) else before)
    for i in range(5):
        given = x[i : i + 1]
        if gan.is_labelled:
            given = {"samples": given, "labels": labels[i : i + 1]}
        expected = np.ravel(own(given))
        np.testing.assert_allclose(found[i], expected, rtol=1e-4, atol=1e-5)


def test_features_of_each_named_layer_are_its_outputs():
    gan = gan_of("dcgan", width=8, discriminator_normalization="spectral")
    x = images(3)
    names = inference.layer_names(gan)
    assert names == [layer.name for layer in gan.discriminator.layers[1:]]
    for number, name in list(enumerate(names))[::3]:
        own = keras.Model(
            gan.discriminator.input, gan.discriminator.get_layer(name).output
        )
        expected = np.reshape(own(x), (3, -1))
        for layer in (name, number, number - len(names)):
            found = inference.features(gan, x, layer, pool=None)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_maps_are_pooled_and_layers_joined():
    gan = gan_of("dcgan", width=8)
    x = images(3)
    first = np.asarray(
        keras.Model(gan.discriminator.input, gan.discriminator.layers[1].output)(x)
    )
    assert first.shape == (3, 4, 4, 8)
    by_hand = first.reshape(3, 2, 2, 2, 2, 8).max(axis=(2, 4)).reshape(3, -1)
    found = inference.features(gan, x, 0, pool=2)
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
    # 3 does not divide 4: places of 2, the last row and column of one pixel alone.
    assert inference.features(gan, x, 0, pool=3).shape == (3, 2 * 2 * 8)
    whole = inference.features(gan, x, 0, pool=4)
    np.testing.assert_array_equal(whole, first.reshape(3, -1))
    joined = inference.features(gan, x, [0, None], pool=2)
    last = inference.features(gan, x, pool=2)
    np.testing.assert_allclose(joined, np.hstack([by_hand, last]), rtol=1e-5)


def test_series_are_pooled_along_time():
    samples = keras.Input((7, 2), name="samples")
    x = keras.layers.Conv1D(3, 3, padding="same")(samples)
    logits = keras.layers.Dense(1)(keras.layers.Flatten()(x))
    generator = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(14), keras.layers.Reshape((7, 2))]
    )
    gan = keras_gan.GAN(
        generator, keras.Model(samples, logits), priors.Normal(3), None, seed=0
    )
    x = np.random.default_rng(0).normal(size=(2, 7, 2)).astype(np.float32)
    own = np.asarray(keras.Model(samples, gan.discriminator.layers[1].output)(x))
    expected = np.stack([own[:, :2].max(1), own[:, 2:4].max(1), own[:, 4:6].max(1)], 1)
    expected = np.concatenate([expected, own[:, 6:]], axis=1).reshape(2, -1)
    np.testing.assert_allclose(inference.features(gan, x, 0), expected, rtol=1e-5)


def nested_gan():
    """A GAN whose D is sequential around a functional model around a sequential one."""
    inner = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(6, activation="tanh", name="deep")],
        name="inner",
    )
    given = keras.Input((4,))
    x = keras.layers.Dense(5, name="wide")(given)
    x = keras.ops.tanh(x)
    trunk = keras.Model(given, keras.layers.Add(name="sum")([inner(x), inner(-x)]))
    trunk.name = "trunk"
    network = keras.Sequential(
        [keras.Input((4,)), trunk, keras.layers.Dense(1, name="last")]
    )
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)])
    return keras_gan.GAN(generator, network, priors.Normal(3), None, seed=0)


def test_layers_of_nested_models_have_paths():
    gan = nested_gan()
    trunk = gan.discriminator.get_layer("trunk")
    x = examples(5)
    wide = keras.Model(trunk.input, trunk.get_layer("wide").output)(x)
    np.testing.assert_allclose(
        inference.features(gan, x, "trunk/wide"), wide, rtol=1e-5, atol=1e-6
    )
    deep = trunk.get_layer("inner")
    # A layer that is used twice: its first output.
    np.testing.assert_allclose(
        inference.features(gan, x, "trunk/inner/deep"),
        deep(np.tanh(wide)),
        rtol=1e-5,
        atol=1e-6,
    )
    for layer in ("trunk", "trunk/sum", None):
        found = inference.features(gan, x, layer)
        np.testing.assert_allclose(found, trunk(x), rtol=1e-5, atol=1e-6)


def test_features_of_an_image_depend_on_that_image_alone():
    options = {"minibatch_stddev": True, "discriminator_normalization": None}
    gan = gan_of("dcgan", width=8, dense_units=6, **options)
    x = images(7)
    all_at_once = inference.features(gan, x)
    shuffled = inference.features(gan, x[::-1], batch_size=3)[::-1]
    np.testing.assert_allclose(all_at_once, shuffled, rtol=1e-5, atol=1e-6)
    # D's own answers do depend on the others.
    alone = gan.discriminator(x[:1])
    assert np.abs(gan.discriminator(x)[:1] - alone).max() > 1e-3


def test_uint8_stands_for_the_range():
    gan = gan_of("dcgan", width=8)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), np.uint8)
    np.testing.assert_allclose(
        inference.features(gan, pixels),
        inference.features(gan, pixels.astype(np.float32) / 255),
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_layer_before_the_labels_needs_none():
    gan = gan_of("dcgan", width=8, num_classes=3)
    x = images(2)
    found = inference.features(gan, x)
    np.testing.assert_array_equal(found, inference.features(gan, x, labels=[0, 2]))
    with pytest.raises(ValueError, match="^Expected `labels`.*'labelled_logits'"):
        inference.features(gan, x, "labelled_logits")
    logits = inference.features(gan, x, "labelled_logits", labels=[0, 2])
    given = {"samples": x, "labels": np.array([0, 2])}
    np.testing.assert_allclose(logits, gan.discriminator(given), rtol=1e-5, atol=1e-6)


def test_a_layer_behind_the_labels_asks_for_them():
    gan = gan_of("paper_mlp", num_classes=3)
    with pytest.raises(ValueError, match="^Expected `labels` .*the last hidden layer"):
        inference.features(gan, images(2))
    found = inference.features(gan, images(2), labels=[0, 2])
    other = inference.features(gan, images(2), labels=[0, 1])
    np.testing.assert_array_equal(found[0], other[0])
    assert np.abs(found[1] - other[1]).max() > 0
    with pytest.raises(ValueError, match=r"in \[0, 3\)"):
        inference.features(gan, images(2), labels=[0, 3])
    with pytest.raises(ValueError, match="one for each example"):
        inference.features(gan, images(2), labels=[0])


def test_features_of_a_further_network():
    encoder = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(7), keras.layers.Dense(3)]
    )
    base = tiny_gan()
    gan = keras_gan.GAN(
        base.generator,
        base.discriminator,
        priors.Normal(3),
        None,
        seed=0,
        players={"encoder": encoder},
    )
    x = examples(5)
    np.testing.assert_allclose(
        inference.features(gan, x, player="encoder"),
        encoder.layers[0](x),
        rtol=1e-5,
        atol=1e-6,
    )
    codes = inference.features(gan, x, -1, player="encoder")
    np.testing.assert_allclose(codes, encoder(x), rtol=1e-5, atol=1e-6)


def test_the_model_of_features_is_a_copy_with_gradients():
    gan = tiny_gan()
    x = examples(5)
    model = inference.feature_model(gan)
    before = model(x).numpy()
    np.testing.assert_allclose(inference.features(gan, x), before, rtol=1e-5)
    names = inference.layer_names(gan)
    gan.fit(x, epochs=1, verbose=0)
    np.testing.assert_array_equal(model(x), before)
    assert np.abs(inference.features(gan, x) - before).max() > 0
    assert inference.layer_names(gan) == names
    point = tf.Variable(x)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(point))
    assert np.abs(tape.gradient(total, point)).min() > 0
    assert not model.trainable_weights


class Subclassed(keras.Model):
    """A discriminator whose graph nobody knows."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x):
        return self.dense(x)


def test_what_has_no_features_is_one_line():
    gan = tiny_gan()
    x = examples(3)
    names = ", ".join(inference.layer_names(gan))
    for layer in ("dence", 2, -3, 1.5, True):
        with pytest.raises(ValueError, match=f"^Expected `layer` .* {names}, or a nu"):
            inference.features(gan, x, layer)
    for options, expected in (
        ({"layer": []}, "at least one `layer`"),
        ({"player": "encoder"}, "`player` to be one of 'discriminator'"),
        ({"pool": 0}, "`pool` to be an int >= 1"),
        ({"batch_size": 0}, "`batch_size`"),
    ):
        with pytest.raises(ValueError, match=f"^Expected {expected}"):
            inference.features(gan, x, **options)
    with pytest.raises(ValueError, match="^Expected batches of shape"):
        inference.features(gan, x[:, :3])
    with pytest.raises(ValueError, match="^Expected float examples"):
        inference.features(gan, x.astype(int))
    with pytest.raises(ValueError, match="^Expected finite data"):
        inference.features(gan, x * np.nan)
    with pytest.raises(ValueError, match="^Expected a GAN, .* Received: Functional"):
        inference.features(gan.generator, x)
    subclassed = keras_gan.GAN(gan.generator, Subclassed(), priors.Normal(3), None)
    with pytest.raises(ValueError, match="functional or a sequential") as raised:
        inference.features(subclassed, x)
    assert "\n" not in str(raised.value)
