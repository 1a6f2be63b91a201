"""Projection: against closed forms where G is linear, and on other generators."""

import dataclasses

import keras
import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf
import tensorflow_probability as tfp

import keras_gan
from keras_gan import export, inference, priors
from keras_gan.inference import descent, judges, nearest
from tests.export_helpers import conditional_gan, image_gan

tfd = tfp.distributions
NUM_VALUES, NOISE = 6, 0.3


def linear_gan(prior=None, seed=0):
    """G(z) = z W + c of 3 latents and 6 values, and its W and c."""
    prior = priors.Normal(3) if prior is None else prior
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(3, NUM_VALUES)), rng.normal(size=NUM_VALUES)
    generator = keras.Sequential([keras.Input((3,)), keras.layers.Dense(NUM_VALUES)])
    generator.set_weights(weights)
    discriminator = keras.Sequential(
        [keras.Input((NUM_VALUES,)), keras.layers.Dense(1)]
    )
    gan = keras_gan.GAN(generator, discriminator, prior, value_range=None, seed=0)
    return gan, *weights


def given_vectors(count=4, seed=1):
    return np.random.default_rng(seed).normal(0, 2, (count, NUM_VALUES)).astype("f4")


def same(first, second, tolerance=2e-4):
    """Asserts that two projections are the same, up to rounding."""
    for a, b in zip(
        dataclasses.astuple(first)[:4], dataclasses.astuple(second)[:4], strict=True
    ):
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def digits_gan():
    data = keras_gan.datasets.load("digits")
    networks = keras_gan.networks.digits_mlp(data.spec, latent_dim=8, seed=0)
    # Samples that differ as much as those of a long training.
    rng = np.random.default_rng(0)
    for weight in networks[0].trainable_weights:
        weight.assign(weight + rng.normal(0, 0.2, weight.shape))
    gan = keras_gan.GAN(*networks, priors.Normal(8), seed=0)
    gan.compile("adam", "adam", ema_decay=0.99)
    gan.fit(data.batches(64, seed=0), epochs=1, verbose=0)
    return gan


@pytest.fixture(scope="module")
def digits():
    return keras_gan.datasets.load("digits", "test").examples(slice(0, 6))


# === Closed forms ===


@pytest.mark.parametrize("is_masked", [False, True])
@pytest.mark.parametrize("prior_weight", [1.0, 0.25])
def test_a_linear_g_and_a_normal_prior_are_ridge_regression(is_masked, prior_weight):
    gan, weights, bias = linear_gan(priors.Normal(3, loc=0.5, scale=2.0))
    x = given_vectors()
    mask = np.ones(x.shape, bool)
    if is_masked:
        mask = np.random.default_rng(2).random(x.shape) < 0.6
        mask[:, 0] = True
        x[~mask] = np.nan
    found = inference.project(
        gan, x, 1000, mask=mask, noise=NOISE, prior_weight=prior_weight, restarts=2
    )
    for i in range(len(x)):
        known = weights[:, mask[i]]
        hessian = known @ known.T / NOISE**2 + prior_weight * np.eye(3) / 4
        right = known @ (x[i] - bias)[mask[i]] / NOISE**2 + prior_weight * 0.5 / 4
        expected = np.linalg.solve(hessian, right)
        np.testing.assert_allclose(found.latents[i], expected, rtol=1e-3, atol=1e-3)
        residuals = (expected @ weights + bias - x[i])[mask[i]]
        assert found.errors[i] == pytest.approx(np.mean(residuals**2), abs=1e-4)
    np.testing.assert_allclose(
        found.samples, found.latents @ weights + bias, rtol=1e-4, atol=1e-4
    )
    assert found.labels is None and found.latents.dtype == np.float32


def test_without_a_prior_it_is_least_squares():
    gan, weights, bias = linear_gan()
    x = given_vectors()
    found = inference.project(gan, x, prior_weight=0, restarts=1)
    expected = np.linalg.lstsq(weights.T, (x - bias).T, rcond=None)[0].T
    np.testing.assert_allclose(found.latents, expected, atol=1e-3)


def test_the_mode_of_a_uniform_prior_stays_inside():
    gan, weights, bias = linear_gan(priors.Uniform(3))
    x = 5 * given_vectors()  # far from what G can make
    found = inference.project(gan, x)
    high = gan.latent_prior.high
    assert (np.abs(found.latents) < high * 1.0001).all()
    assert (np.abs(found.latents) > 0.99 * high).any()
    for i in range(len(x)):
        oracle = scipy.optimize.lsq_linear(weights.T, x[i] - bias, (-high, high))
        np.testing.assert_allclose(found.latents[i], oracle.x, atol=5e-3)


def test_blocks_of_several_priors():
    blocks = tfd.Blockwise(
        [tfd.Sample(tfd.Uniform(-1.0, 1.0), 1), tfd.Sample(tfd.Normal(0.0, 0.5), 2)]
    )
    gan, weights, bias = linear_gan(blocks)
    x = given_vectors()
    found = inference.project(gan, x, noise=NOISE)

    def energy(z, x):
        misfit = np.sum((z @ weights + bias - x) ** 2) / (2 * NOISE**2)
        return misfit + np.sum(z[1:] ** 2) / (2 * 0.25)

    for i in range(len(x)):
        oracle = scipy.optimize.minimize(
            energy, np.zeros(3), (x[i],), bounds=[(-1, 1), (None, None), (None, None)]
        )
        np.testing.assert_allclose(found.latents[i], oracle.x, atol=5e-3)


def test_features_take_the_place_of_the_values():
    gan, weights, bias = linear_gan()
    matrix = np.random.default_rng(3).normal(size=(NUM_VALUES, 4)).astype("f4")
    layer = keras.Sequential(
        [keras.Input((NUM_VALUES,)), keras.layers.Dense(4, use_bias=False)]
    )
    layer.set_weights([matrix])
    x = given_vectors()
    mapped = weights @ matrix
    hessian = mapped @ mapped.T + np.eye(3)  # noise 1
    expected = np.linalg.solve(hessian, mapped @ ((x - bias) @ matrix).T).T
    for features in (layer, lambda samples: samples @ matrix):
        found = inference.project(gan, x, features=features)
        np.testing.assert_allclose(found.latents, expected, atol=1e-3)
        # What is reported is the error of the values still.
        errors = np.mean((found.samples - x) ** 2, axis=1)
        np.testing.assert_allclose(found.errors, errors, rtol=1e-5)


# === Networks ===


def test_samples_of_g_are_found_again(digits_gan):
    own = digits_gan.generate(10, seed=5)
    found = inference.project(digits_gan, own)
    assert np.quantile(found.errors, 0.9) < 1e-3
    np.testing.assert_allclose(found.path[-1], found.errors, atol=1e-6)
    assert found.path.shape == (501, 10)
    assert found.path[-1].mean() < 0.1 * found.path[0].mean()
    np.testing.assert_array_equal(found.samples, digits_gan.samples_of(found.latents))


def test_the_average_is_what_is_projected_on(digits_gan):
    own = digits_gan.generate(3, seed=5)
    raw = digits_gan.generate(3, seed=5, averaged=False)
    assert np.mean((own - raw) ** 2) > 1e-4
    found = inference.project(digits_gan, own)
    np.testing.assert_allclose(found.samples, own, atol=0.1)


def test_batches_order_and_company_do_not_matter(digits_gan, digits):
    options = {"steps": 60, "restarts": 3}
    found = inference.project(digits_gan, digits, **options)
    same(found, inference.project(digits_gan, digits, **options), tolerance=0)
    same(found, inference.project(digits_gan, digits, batch_size=7, **options))
    reverse = inference.project(digits_gan, digits[::-1], **options)
    np.testing.assert_allclose(reverse.latents[::-1], found.latents, atol=2e-4)
    alone = inference.project(digits_gan, digits[2:3], **options)
    np.testing.assert_allclose(alone.latents[0], found.latents[2], atol=2e-4)
    other = inference.project(digits_gan, digits, seed=1, **options)
    assert np.abs(other.latents - found.latents).max() > 0.01


def test_more_restarts_and_steps_are_never_worse(digits_gan, digits):
    def energies(found):
        squares = np.sum((found.samples - digits) ** 2, axis=(1, 2, 3))
        return squares / (2 * 0.05**2) + np.sum(found.latents**2, axis=1) / 2

    one, four = (
        inference.project(digits_gan, digits, steps=40, restarts=count)
        for count in (1, 4)
    )
    assert (energies(four) <= energies(one) * 1.001).all()
    assert energies(four).mean() < energies(one).mean()
    assert (np.diff(one.path.mean(axis=1)) < 0.01).all()


def test_uint8_stands_for_the_range(digits_gan, digits):
    pixels = digits_gan.spec.to_uint8(digits)
    options = {"steps": 30, "restarts": 1}
    found = inference.project(digits_gan, pixels, **options)
    scaled = inference.project(digits_gan, pixels / np.float32(255), **options)
    same(found, scaled, tolerance=1e-4)


def test_a_restart_begins_at_what_an_encoder_says(digits_gan):
    truth = digits_gan.latent_prior.sample(3, 7).numpy()
    images = digits_gan.samples_of(truth)

    class Encoder:
        def encode(self, given):
            np.testing.assert_array_equal(given, images)
            return truth

    for start in (truth, Encoder()):
        found = inference.project(digits_gan, images, steps=5, restarts=1, start=start)
        # The first point of the path is the start, which is right already.
        assert found.path[0].max() < 1e-6 and found.errors.max() < 1e-2
    # Beside it, others begin at their draws.
    far = np.full((3, 8), 4.0, np.float32)
    with_far = inference.project(digits_gan, images, steps=40, start=far)
    without = inference.project(digits_gan, images, steps=40, restarts=3)
    assert (with_far.errors <= without.errors + 1e-3).all()


def test_one_graph_serves_all_batches(digits):
    traces = []

    @keras.saving.register_keras_serializable("tests")
    class Counted(keras.layers.Layer):
        def call(self, x):
            if not isinstance(x, keras.KerasTensor):
                traces.append(x.shape)
            return x

    gan = image_gan(hidden=[Counted()])
    images = gan.generate(11, seed=0)
    shares = []
    traces.clear()
    inference.project(
        gan, images, steps=30, restarts=2, batch_size=5, progress=shares.append
    )
    # `samples_of` traces one of its own, and the loop's body traces twice at most.
    assert sum(shape[0] == 5 for shape in traces) <= 2
    # 22 points in 5 batches; 31 evaluations, 25 at once.
    assert len(shares) == 10 and shares[-1] == 1.0 and shares == sorted(shares)


def test_an_export_is_projected_on_as_its_gan(digits_gan, digits, tmp_path):
    exported = export.ExportedGenerator(digits_gan.export(tmp_path))
    options = {"steps": 60, "restarts": 2}
    same(
        inference.project(exported, digits, **options),
        inference.project(digits_gan, digits, **options),
    )


def test_the_labels_of_conditional_samples(tmp_path):
    gan = conditional_gan()
    latents = gan.latent_prior.prior.sample(6, 3)
    labels = np.array([0, 1, 3, 3, 1, 0], np.int32)
    images = gan.samples_of({"latents": latents, "labels": labels})
    options = {"steps": 200, "restarts": 2, "noise": 0.01}
    tried = inference.project(gan, images, **options)
    # Each class is tried; the right one fits best.
    np.testing.assert_array_equal(tried.labels, labels)
    assert tried.labels.dtype == np.int32 and tried.errors.max() < 1e-4
    named = ["cat", "dog", "fox", "fox", "dog", "cat"]
    told = inference.project(gan, images, labels=named, **options)
    same(told, tried, tolerance=1e-3)
    wrong = inference.project(gan, images, labels=0, **options)
    assert (wrong.labels == 0).all() and wrong.errors.max() > tried.errors.max()
    exported = export.ExportedGenerator(gan.export(tmp_path))
    same(inference.project(exported, images, **options), tried, tolerance=1e-3)
    asked = []

    class Encoder:
        def encode(self, images, labels):
            asked.append(labels.tolist())
            return latents

    options.update(steps=1, restarts=1)
    started = inference.project(gan, images, start=Encoder(), **options)
    assert asked == [[0] * 6, [1] * 6, [3] * 6]
    np.testing.assert_array_equal(started.labels, labels)
    inference.project(gan, images, start=Encoder(), labels=labels, **options)
    assert asked[3] == labels.tolist()


def test_the_nearest_by_known_values_are_those_of_a_plain_search():
    rng = np.random.default_rng(0)
    images, others = rng.normal(size=(7, 3, 2)), rng.normal(size=(20, 3, 2))
    known = rng.random(images.shape) < 0.5
    indices, distances = nearest.nearest(images, known, others, count=3)
    plain = np.sum((images[:, None] - others) ** 2 * known[:, None], axis=(2, 3))
    np.testing.assert_array_equal(indices, np.argsort(plain, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(plain, axis=1)[:, :3], atol=1e-12)


def test_a_prior_of_numpys_dtype_is_as_one_of_float32():
    """float64: what it draws is float32, and so its coordinates."""
    found = []
    for dtype in (np.float32, np.float64):
        zeros, ones = np.zeros(3, dtype), np.ones(3, dtype)
        gan, *_ = linear_gan(tfd.Independent(tfd.Uniform(-ones, ones), 1))
        x = given_vectors(2)
        mask = np.arange(NUM_VALUES) < 4
        found.append(inference.complete(gan, x, mask, 2, steps=5).samples)
        chain = inference.resample(gan, 4, "langevin", burn_in=5, num_steps=2)
        assert chain.latents.dtype == found[-1].dtype == np.float32
        gan, *_ = linear_gan(tfd.MultivariateNormalDiag(zeros, ones))
        found.append(inference.project(gan, x, 30).latents)
    for single, double in zip(found[:2], found[2:], strict=True):
        assert single.shape == double.shape and np.isfinite(double).all()
    # The draws differ, not where a descent in one valley leads to.
    np.testing.assert_allclose(found[1], found[3], atol=0.1)


# === In 16 bits ===


def wide_gan(policy, num_values=12_288):
    """A G of many values: the sums of their gradients exceed float16's 65504."""
    generator = keras.Sequential([keras.Input((8,))])
    for units, activation, start in (
        (32, "relu", keras.initializers.HeNormal(seed=1)),
        (num_values, "tanh", keras.initializers.RandomNormal(stddev=0.3, seed=0)),
    ):
        generator.add(
            keras.layers.Dense(
                units, activation, kernel_initializer=start, dtype=policy
            )
        )
    discriminator = keras.Sequential(
        [keras.Input((num_values,)), keras.layers.Dense(1)]
    )
    prior = priors.Normal(8)
    return keras_gan.GAN(generator, discriminator, prior, value_range=(-1.0, 1.0))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_g_in_16_bits_is_projected_on_as_in_32(policy):
    x = wide_gan("float32").generate(4, seed=12345)
    found = inference.project(wide_gan(policy), x, steps=100, restarts=1)
    assert found.path[0].max() > 0.1 and found.path[-1].max() < 1e-3


def test_a_g_in_16_bits_completes_as_in_32():
    x = wide_gan("float32").generate(2, seed=12345)
    mask, few = np.arange(x.shape[1]) < 6000, {"steps": 60, "restarts": 1}
    in_16, in_32 = (
        inference.complete(wide_gan(policy), x, mask, 2, noise=0.02, **few).errors
        for policy in ("mixed_float16", "float32")
    )
    np.testing.assert_allclose(in_16, in_32, atol=1e-3)
    assert in_32.max() < 1e-2


def test_a_point_without_a_gradient_goes_back_to_the_best_it_was():
    gan, *_ = linear_gan()
    space = inference.LatentSpace(gan.latent_prior)
    one = descent.Descent(gan, space, NOISE, None, None, 10, 0.1, 2)
    state = {**descent._start(np.ones((2, 3))), "best": tf.zeros((2, 3))}
    gradient = tf.constant([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]])
    moved = one._moved(state, gradient, 0)
    np.testing.assert_allclose(moved["at"], [[0.9] * 3, [0.0] * 3], rtol=1e-6)
    assert np.abs(moved["mean"][0]).min() > 0
    for name in ("mean", "square"):
        np.testing.assert_array_equal(moved[name][1], state[name][1])
    assert moved["moved"].numpy().tolist() == [True, False]


def test_gradients_that_are_never_finite_are_refused():
    gan, *_ = linear_gan()

    @tf.custom_gradient
    def rough(samples):
        return tf.identity(samples), lambda upstream: upstream * np.nan

    with pytest.raises(ValueError, match="wherever 3 of 3 descents began") as caught:
        inference.project(gan, given_vectors(3), 5, features=rough)
    assert "\n" not in str(caught.value)


def test_networks_in_float64_are_taken_as_in_float32():
    """As `fit` and `generate` take them: what they make meets what is float32."""
    found = []
    for dtype in ("float64", "float32"):
        rng = np.random.default_rng(0)
        generator, discriminator, network = (
            keras.Sequential([keras.Input((a,)), keras.layers.Dense(b, dtype=dtype)])
            for a, b in ((3, NUM_VALUES), (NUM_VALUES, 1), (NUM_VALUES, 3))
        )
        for each in (generator, discriminator, network):
            each.layers[0].kernel.assign(rng.normal(size=each.layers[0].kernel.shape))
        gan = keras_gan.GAN(
            generator, discriminator, priors.Normal(3), value_range=None, seed=0
        )
        x, mask = given_vectors(12), np.arange(NUM_VALUES) < 4
        judge = inference.discriminate(gan, x, steps=3, batch_size=4)
        encoder = inference.Encoder(gan, network, reconstruction=1.0, seed=0)
        encoder.compile("adam")
        encoder.fit(x, shuffle=False, verbose=0)
        found.append(
            [
                inference.project(gan, x[:2], 20, start=encoder).latents,
                inference.complete(gan, x[:2], mask, 2, steps=20).samples,
                inference.resample(gan, 3, "langevin", burn_in=5, num_steps=2).samples,
                judges.logits_of(judge, x),
            ]
        )
    for double, single in zip(*found, strict=True):
        np.testing.assert_allclose(double, single, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16"])
def test_features_of_any_float_are_compared(dtype):
    gan, *_ = linear_gan()
    x = given_vectors(2)
    found, expected = (
        inference.project(gan, x, 60, features=f)
        for f in (lambda s: tf.cast(tf.cast(s, dtype), dtype), tf.identity)
    )
    np.testing.assert_allclose(found.errors, expected.errors, atol=0.05)


# === Mistakes ===

IMAGES = np.full((2, 4, 5, 1), 0.5, np.float32)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": IMAGES[..., 0]}, "add the channel axis"),
        ({"images": IMAGES[:0]}, "at least one example"),
        ({"images": IMAGES.astype(int)}, "uint8. Received: int64"),
        ({"images": 200 * IMAGES}, r"Expected data in value_range=\(0.0, 1.0\)"),
        ({"images": np.full_like(IMAGES, np.nan)}, "Expected finite data"),
        ({"mask": np.ones((4, 5))}, r"`mask` to be bool.* Received: float64"),
        ({"mask": np.ones((5, 4), bool)}, r"or \(4, 5\). Received: bool of"),
        ({"mask": np.zeros((4, 5), bool)}, "`mask` to be True somewhere"),
        ({"steps": 0}, "`steps` to be an int >= 1"),
        ({"restarts": 1.0}, "`restarts` to be an int"),
        ({"restarts": 1001}, r"`restarts` to be an int in \[1, 1000\]"),
        ({"seed": None}, "`seed` to be an int"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"learning_rate": 0}, "`learning_rate` to be a number > 0"),
        ({"noise": -1.0}, "`noise` to be a number > 0"),
        ({"prior_weight": -1}, "`prior_weight` to be a number >= 0"),
        ({"labels": 3}, "Expected no `labels`: the model is not conditional"),
        ({"start": np.zeros((2, 4))}, r"`start` to be latents \(2, 3\)"),
        ({"start": np.full((2, 3), np.nan)}, "that the prior can draw"),
        ({"features": 3}, "`features` to be a Keras model or a function"),
        ({"features": lambda x: x[0, 0, 0, 0]}, "which gives"),
        ({"features": lambda x: 1 / 0}, "which fails on samples: division by zero"),
        (
            {"features": lambda x: x, "mask": np.eye(4, 5, dtype=bool)},
            "Expected no `mask` beside features",
        ),
    ],
)
def test_a_wrong_argument_is_one_line(changes, message):
    with pytest.raises(ValueError, match=message) as caught:
        inference.project(image_gan(), **{"images": IMAGES, **changes})
    assert "\n" not in str(caught.value)


def test_other_wrong_arguments_are_one_line():
    class Encoder:
        def encode(self, images):
            return np.zeros((2, 3))

    with pytest.raises(ValueError, match="latents where a mask hides values"):
        mask = np.eye(4, 5, dtype=bool)
        inference.project(image_gan(), IMAGES, mask=mask, start=Encoder())
    uniform, *_ = linear_gan(priors.Uniform(3))
    with pytest.raises(ValueError, match="that the prior can draw"):
        inference.project(uniform, given_vectors(1), start=np.full((1, 3), 9.0))
    discrete, *_ = linear_gan(tfd.OneHotCategorical(probs=[0.2, 0.3, 0.5]))
    with pytest.raises(ValueError, match="move continuously"):
        inference.project(discrete, given_vectors(1))
    conditional = conditional_gan()
    images = conditional.generate(2, seed=0)
    with pytest.raises(ValueError, match="'cat', 'dog'"):
        inference.project(conditional, images, labels="cow")
    with pytest.raises(ValueError, match="whose probability is 0"):
        inference.project(conditional, images, labels=2)
    with pytest.raises(ValueError, match="an array of 2 of them"):
        inference.project(conditional, images, labels=[0, 1, 1])


class AnyLabel(priors.LatentPrior):
    """Latents, and labels of which nobody knows how many there are."""

    def sample(self, num_samples, seed):
        latents = super().sample(num_samples, seed)
        return {"latents": latents, "labels": tf.zeros(num_samples, tf.int32)}

    def symbolic_sample(self):
        labels = keras.KerasTensor((None,), dtype="int32")
        return {"latents": super().symbolic_sample(), "labels": labels}


def test_labels_of_an_unknown_number_must_be_given():
    gan = conditional_gan()
    prior = AnyLabel(gan.latent_prior.distribution)
    gan = keras_gan.GAN(gan.generator, gan.discriminator, prior, gan.value_range)
    images = gan.generate(1, seed=0)
    with pytest.raises(ValueError, match="does not say which classes there are"):
        inference.project(gan, images)
    found = inference.project(gan, images, labels=1, steps=2)
    assert found.labels.tolist() == [1]
