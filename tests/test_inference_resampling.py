"""Better samples by D, where p_data, p_g and D at its best are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

import keras_gan
from keras_gan import inference, layers, priors
from keras_gan.inference import chains, judges, resampling
from tests import extensions, helpers
from tests.export_helpers import image_gan
from tests.helpers import one_dimensional_gan, tiny_networks, warned

tfd = tfp.distributions
METHODS = ("rejection", "metropolis_hastings", "langevin")
SLOW_BUT_REJECTION = helpers.mostly_slow(METHODS, METHODS[:1])
# Rejection by p_data/p_g itself.
EXACT = {"percentile": None}

# Means, scales and weights of Gaussians: what the data are.
ONE = np.array([[-1.0], [1.2]]), 0.45, np.array([0.4, 0.6])
CORNERS = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
TWO = CORNERS, 0.5, np.array([0.4, 0.2, 0.2, 0.2])


def mixture(means, scale, weights):
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=weights.astype(np.float32)),
        tfd.MultivariateNormalDiag(
            means.astype(np.float32), np.full(means.shape, scale, np.float32)
        ),
    )


class LogRatio(keras.layers.Layer):
    """log p_data(x) - log p_g(x), distorted by a function."""

    def __init__(self, data, generated, distorted):
        super().__init__()
        self.data, self.generated, self.distorted = data, generated, distorted

    def call(self, x):
        ratios = self.data.log_prob(x) - self.generated.log_prob(x)
        return self.distorted(ratios)[:, None]


def known_gan(data=ONE, distorted=lambda ratios: ratios):
    """G(z) = 2 z; p_g is normal in one dimension, uniform in two. D is exact."""
    dim = data[0].shape[1]
    if dim == 1:
        prior = priors.Normal(1)
        generated = tfd.MultivariateNormalDiag([0.0], [2.0])
    else:
        prior = priors.Uniform(dim, -1.5, 1.5)
        generated = tfd.Independent(tfd.Uniform([-3.0] * dim, [3.0] * dim), 1)
    double = keras.initializers.Identity(2.0)
    generator = keras.Sequential(
        [keras.Input((dim,)), keras.layers.Dense(dim, kernel_initializer=double)]
    )
    discriminator = keras.Sequential(
        [keras.Input((dim,)), LogRatio(mixture(*data), generated, distorted)]
    )
    return keras_gan.GAN(generator, discriminator, prior, value_range=None, seed=0)


def p_value(samples, means, scale, weights):
    """Of Kolmogorov and Smirnov's test along some directions, Bonferroni's."""
    directions = [[1.0]] if means.shape[1] == 1 else [[1, 0], [0, 1], [0.6, 0.8]]
    found = []
    for direction in np.array(directions):
        centres = means @ direction

        def cdf(x, centres=centres):
            return stats.norm.cdf((x[:, None] - centres) / scale) @ weights

        found.append(stats.kstest(samples @ direction, cdf).pvalue)
    return min(found) * len(found)


def examples(count, data=ONE, seed=5):
    return mixture(*data).sample(count, seed=(seed, 0)).numpy()


# === Samples of the data ===


@pytest.mark.parametrize(
    ("data", "method"),
    [
        *(pytest.param(ONE, method, id=f"1-D-{method}") for method in METHODS),
        pytest.param(TWO, "rejection", id="2-D-rejection"),
        *(
            pytest.param(TWO, method, id=f"2-D-{method}", marks=pytest.mark.slow)
            for method in METHODS[1:]
        ),
    ],
)
def test_samples_follow_the_data_where_d_is_at_its_best(method, data):
    gan = known_gan(data)
    assert p_value(gan.generate(1000, seed=1), *data) < 1e-10
    found = inference.resample(gan, 1000, method, seed=3, **EXACT)
    assert p_value(found.samples, *data) > 0.01
    assert found.samples.shape == (1000, data[0].shape[1])
    assert found.samples.dtype == found.latents.dtype == np.float32
    np.testing.assert_allclose(found.samples, 2 * found.latents, rtol=1e-6)
    assert 0 < found.acceptance < 1 and found.can_help and found.labels is None
    if method == "rejection":
        assert found.effective_sample_size is None and found.r_hat is None
    else:
        assert 2 < found.effective_sample_size < 100
        assert found.r_hat == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("method", SLOW_BUT_REJECTION)
def test_a_calibration_mends_a_distorted_d(method):
    """D's logits are too small and have another zero, as those of relativistic D."""
    gan = known_gan(distorted=lambda ratios: 0.2 * ratios - 3.0)
    uncalibrated = inference.resample(gan, 1000, method, **EXACT)
    assert p_value(uncalibrated.samples, *ONE) < 1e-3
    calibration = inference.calibrate(gan, examples(5000))
    found = inference.resample(gan, 1000, method, calibration, **EXACT)
    assert p_value(found.samples, *ONE) > 0.01


def test_metropolis_hastings_by_an_isotonic_map():
    gan = known_gan(distorted=lambda ratios: ratios * tf.abs(ratios) / 5)
    calibration = inference.calibrate(gan, examples(10_000), "isotonic")
    found = inference.resample(gan, 1000, "metropolis_hastings", calibration)
    assert p_value(found.samples, *ONE) > 0.01


@pytest.mark.parametrize("method", helpers.mostly_slow(METHODS, METHODS[:2]))
def test_the_same_seed_gives_the_same_samples(method):
    gan = known_gan()
    options = {"num_steps": 5} if method != "rejection" else {}
    first, again, other = (
        inference.resample(gan, 7, method, seed=seed, **options).samples
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).min() > 0


@pytest.mark.parametrize("method", ["rejection", "metropolis_hastings"])
def test_batches_make_no_difference(method):
    gan = known_gan()
    burn_in = {"burn_in": 200} if method == "rejection" else {"num_steps": 9}
    # As many places as a batch has: rejection proposes by batches.
    one, other = (
        inference.resample(gan, 60, method, batch_size=size, **burn_in).samples
        for size in (60, 13)
    )
    if method == "metropolis_hastings":
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert one.shape == other.shape


@pytest.mark.parametrize("method", SLOW_BUT_REJECTION)
def test_classes_keep_their_labels(method):
    """p_g(x | y) = N(m, 1), and D's logit x - m - 1/2: p_data(x | y) = N(m + 1, 1)."""
    means = np.array([-4.0, 0.0, 6.0])
    gan = one_dimensional_gan(means=means, shifts=-means - 0.5)
    labels = np.repeat([2, 0], 400)
    held_out = means[np.resize([0, 1, 2], 3000)] + 1
    held_out = held_out + np.random.default_rng(0).normal(size=3000)
    held_out = held_out.astype(np.float32)[:, None], np.resize([0, 1, 2], 3000)
    calibration = inference.calibrate(gan, held_out)
    assert calibration.slope == pytest.approx(1.0, abs=0.1)
    found = inference.resample(gan, 800, method, calibration, labels=labels, **EXACT)
    np.testing.assert_array_equal(found.labels, labels)
    for label in (2, 0):
        of_class = found.samples[labels == label, 0]
        assert stats.kstest(of_class - means[label] - 1, "norm").pvalue > 0.01
    drawn = inference.resample(gan, 300, method, calibration)
    assert sorted(set(drawn.labels)) == [0, 1, 2]
    np.testing.assert_allclose(
        gan.samples_of({"latents": drawn.latents, "labels": drawn.labels}),
        drawn.samples,
        rtol=1e-6,
    )


def test_the_bound_of_rejection_knows_all_classes():
    """Class 1 has ratios e^2 times those of class 0; p_data(x | y) = N(1, 1)."""
    gan = one_dimensional_gan(shifts=[-0.5, 1.5, -0.5])
    labels = np.repeat([0, 1], 1000)
    found = inference.resample(
        gan, 2000, "rejection", labels=labels, burn_in=1000, **EXACT
    )
    for label in (0, 1):
        of_class = found.samples[labels == label, 0]
        assert stats.kstest(of_class - 1, "norm").pvalue > 0.01


def test_places_are_burnt_in_evenly():
    """7 of 5 places: each once, and two of them again, which are not the first."""
    seen = []

    class Judged(chains.Judged):
        def log_ratios(self, latents, places):
            seen.append(places)
            return super().log_ratios(latents, places)

    judged = Judged(known_gan(), None, None, 5, seed=3)
    resampling._rejection(judged, 5, burn_in=7, percentile=20)
    burnt = np.bincount(seen[0], minlength=5)
    assert sorted(burnt) == [1, 1, 1, 2, 2] and burnt[:2].tolist() != [2, 2]


# === Acceptance and mixing, by hand ===

GRID = np.linspace(-8, 8, 4001)


def ratios_on_grid():
    """(p_g of each point, log p_data/p_g), which sum and integrate."""
    generated = stats.norm.pdf(GRID, scale=2.0)
    data = mixture(*ONE).prob(GRID[:, None].astype(np.float32)).numpy()
    return generated / generated.sum(), np.log(data + 1e-30) - np.log(generated)


def test_rejection_accepts_one_in_m():
    _, log_ratios = ratios_on_grid()
    found = inference.resample(known_gan(), 2000, **EXACT)
    assert found.acceptance == pytest.approx(np.exp(-log_ratios.max()), rel=0.06)


def test_the_percentile_shifts_the_score_of_rejection():
    shares, log_ratios = ratios_on_grid()
    d = log_ratios - log_ratios.max()
    score = d - np.log(-np.expm1(d - 1e-6))
    order = np.argsort(score)
    shift = score[order][np.searchsorted(np.cumsum(shares[order]), 0.3)]
    expected = (shares / (1 + np.exp(shift - score))).sum()
    found = inference.resample(known_gan(), 2000, percentile=30)
    assert found.acceptance == pytest.approx(expected, rel=0.06)
    # A low percentile accepts more than p_data/p_g asks for.
    assert expected > 1.2 * np.exp(-log_ratios.max())


def test_metropolis_hastings_accepts_as_often_as_its_integral_says():
    shares, log_ratios = ratios_on_grid()
    ratios = np.exp(log_ratios)
    # E min(1, r(y) / r(x)), x of the data and y of G.
    expected = shares @ np.minimum(ratios[:, None], ratios[None, :]) @ shares
    calibration = inference.calibrate(known_gan(), examples(10_000))
    found = inference.resample(
        known_gan(), 2000, "metropolis_hastings", calibration, num_steps=30
    )
    assert found.acceptance == pytest.approx(expected, rel=0.03)


def test_a_chain_by_hand():
    chain = chains._Chains([0.0, 0.0], latent_dim=1)
    log = np.log
    # Twice the ratio is always taken; half of it where the uniform number is below.
    chain.step(np.full((2, 1), 1.0), log([2.0, 2.0]), log([0.99, 0.01]))
    chain.step(np.full((2, 1), 2.0), log([1.0, 1.0]), log([0.51, 0.49]))
    np.testing.assert_array_equal(chain.latents, [[1.0], [2.0]])
    np.testing.assert_array_equal(chain.accepted, [[True, True], [False, True]])
    np.testing.assert_allclose(np.exp(chain.trace), [[2, 2], [2, 1]])


def test_a_chain_that_never_leaves_its_example_starts_at_a_sample():
    """No sample is as good as such an example, whose latents nobody knows."""
    gan = known_gan()
    calibration = inference.calibrate(gan, examples(100))
    calibration.real_ratios[:] = 1e3
    found = inference.resample(
        gan, 400, "metropolis_hastings", calibration, num_steps=30
    )
    # Not zeros, but the state of the chain that began at a sample.
    assert np.abs(found.latents).min() > 0
    assert p_value(found.samples, *ONE) > 0.001


def test_mixing_by_hand():
    trace = np.array([[1.0, 2.0], [3.0, 2.5], [2.0, 6.0]])
    length, count = trace.shape
    within = trace.var(axis=0, ddof=1).mean()
    pooled = (length - 1) / length * within + trace.mean(axis=0).var(ddof=1)
    # S. Brooks and A. Gelman (1998), equation 1.1 and the text after it.
    expected = (count + 1) / count * pooled / within - (length - 1) / (count * length)
    assert chains.mixing(trace)["r_hat"] == pytest.approx(expected)


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9])
def test_the_effective_sample_size_of_known_chains(correlation):
    random = np.random.default_rng(0)
    trace = [random.normal(size=200)]
    for _ in range(999):
        noise = np.sqrt(1 - correlation**2) * random.normal(size=200)
        trace.append(correlation * trace[-1] + noise)
    found = chains.mixing(np.array(trace))
    expected = 1000 * (1 - correlation) / (1 + correlation)
    assert found["effective_sample_size"] == pytest.approx(expected, rel=0.08)
    alone = chains.mixing(np.array(trace)[:, :1])
    assert np.isnan(alone["r_hat"])
    assert alone["effective_sample_size"] == pytest.approx(expected, rel=0.5)


# === Calibration ===


def test_platt_undoes_a_line():
    gan = known_gan(distorted=lambda ratios: 0.25 * ratios - 3.0)
    found = inference.calibrate(gan, examples(10_000))
    assert found.slope == pytest.approx(4.0, rel=0.05)
    assert found.offset == pytest.approx(12.0, rel=0.05)
    assert found.can_help and found.log_loss_after < found.log_loss_before
    np.testing.assert_allclose(found.log_ratios([-3.0]), [0.0], atol=0.1)
    assert found.real_ratios.shape == (10_000,)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_both_maps_of_an_exact_d_say_what_it_says(method):
    found = inference.calibrate(known_gan(), examples(10_000), method)
    logits = np.linspace(-1.5, 0.6, 8)
    np.testing.assert_allclose(found.log_ratios(logits), logits, atol=0.2)
    assert found.log_loss_after == pytest.approx(found.log_loss_before, abs=0.002)


def test_isotonic_undoes_any_map_that_rises():
    """The order of the logits is all that it sees."""
    held_out = examples(3000)
    straight, curve = (
        inference.calibrate(known_gan(distorted=distorted), held_out, "isotonic")
        for distorted in (tf.identity, lambda ratios: 3 * ratios * tf.abs(ratios))
    )
    logits, ratios = straight.knots
    inside = np.abs(ratios) < 5
    np.testing.assert_allclose(
        curve.log_ratios(3 * logits * np.abs(logits))[inside],
        ratios[inside],
        atol=0.05,
    )
    assert curve.log_loss_after == pytest.approx(straight.log_loss_after, abs=1e-3)
    assert curve.log_loss_before > curve.log_loss_after
    # Ratios of what was never seen are finite.
    assert np.isfinite(curve.log_ratios([-1e9, 1e9])).all()


def test_the_auc_is_the_share_of_pairs_in_order():
    gan = known_gan()
    held_out = examples(200)
    found = inference.calibrate(gan, held_out, seed=4)
    real, fake = (
        gan.discriminator.predict(x, verbose=0)[:, 0]
        for x in (held_out, gan.generate(200, seed=4))
    )
    assert found.auc == pytest.approx(np.mean(real[:, None] > fake[None]))
    assert found.auc_standard_error == pytest.approx(np.sqrt(401 / 12) / 200)


@pytest.mark.parametrize(
    "distorted",
    [tf.zeros_like, lambda ratios: tf.sin(1e5 * ratios), tf.negative],
    ids=["constant", "noise", "the wrong way round"],
)
def test_a_d_that_knows_nothing_cannot_help(distorted, caplog):
    gan = known_gan(distorted=distorted)
    calibration = inference.calibrate(gan, examples(2000))
    assert not calibration.can_help
    found = inference.resample(gan, 20, "metropolis_hastings", calibration, num_steps=3)
    assert not found.can_help and len(found.samples) == 20
    (line,) = warned(caplog)
    assert "resampling does not help" in line and "\n" not in line


def test_a_d_that_knows_a_few_bad_samples_helps():
    """Its preference is within chance, but not what it says of these samples."""
    far = tf.constant(4.5)  # of 2 standard deviations, beyond which are 2.4%
    gan = known_gan()
    gan.discriminator.layers[-1].call = lambda x: (
        -9.0 * tf.cast(tf.abs(x) > far, tf.float32)
    )
    near = gan.generate(2200, seed=9)
    near = near[np.abs(near[:, 0]) < 4.5][:2000]
    found = inference.calibrate(gan, near)
    assert found.auc < 0.5 + 2 * found.auc_standard_error
    assert found.can_help
    better = inference.resample(gan, 1000, "rejection", found, **EXACT)
    assert np.abs(better.samples).max() < 4.5 < np.abs(gan.generate(1000)).max()
    assert better.acceptance == pytest.approx(0.976, abs=0.01)


def test_the_order_of_held_out_examples_makes_little_difference():
    gan, held_out = known_gan(), examples(5000)
    found = inference.calibrate(gan, np.sort(held_out, axis=0), num_samples=1000)
    assert found.slope == pytest.approx(1.0, abs=0.12)
    of_data = keras_gan.datasets.Dataset(held_out, value_range=None)
    same = [
        inference.calibrate(gan, data, num_samples=100).real_ratios
        for data in (held_out, of_data)
    ]
    np.testing.assert_array_equal(*same)


def test_uint8_is_calibrated_by_as_what_it_stands_for():
    gan = image_gan()
    pixels = np.random.default_rng(0).integers(0, 256, (60, 4, 5, 1), np.uint8)
    low, high = gan.value_range
    x = (pixels / 255.0 * (high - low) + low).astype(np.float32)
    by_pixels, by_floats = (inference.calibrate(gan, each) for each in (pixels, x))
    np.testing.assert_allclose(
        by_pixels.real_ratios, by_floats.real_ratios, rtol=1e-3, atol=1e-5
    )


# === D trained further ===


def small_gan(seed=0, **options):
    generator, discriminator = keras_gan.networks.toy_mlp(
        (2,), units=32, seed=seed, **options
    )
    return keras_gan.GAN(
        generator, discriminator, priors.Normal(2), value_range=None, seed=seed
    )


def test_d_learns_what_g_gets_wrong_and_nothing_of_the_gan_changes():
    gan = small_gan()
    before = [weight.numpy() for weight in gan.weights]
    data = examples(4000, TWO)
    shares = []
    judge = inference.discriminate(
        gan, data[:3000], steps=200, progress=lambda share: shares.append(share)
    )
    for now, then in zip(gan.weights, before, strict=True):
        np.testing.assert_array_equal(now, then)
    assert shares[0] == 1 / 200 and shares[-1] == 1.0 and len(shares) == 200
    untrained = inference.calibrate(gan, data[3000:])
    trained = inference.calibrate(gan, data[3000:], discriminator=judge)
    assert trained.auc > max(0.9, untrained.auc + 0.05)
    assert trained.log_loss_before < min(0.6, untrained.log_loss_before)
    again = inference.discriminate(gan, data[:3000], steps=200)
    for one, other in zip(judge.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    other = inference.discriminate(gan, data[:3000], steps=200, seed=1)
    assert np.abs(judge.weights[0] - other.weights[0]).max() > 0


def fine_points(count, seed=0):
    """Points on eight lines across a width that a small network takes for one."""
    generator = np.random.default_rng(seed)
    lines = generator.integers(8, size=(count, 2)) / 8
    return np.float32(lines + generator.normal(scale=0.005, size=(count, 2)))


def test_another_network_learns_the_detail_that_a_copy_of_d_does_not():
    data, width = fine_points(4000), 7 / 8
    everywhere = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    everywhere.set_weights([np.eye(2) * width / 2, np.full(2, width / 2)])
    gan = keras_gan.GAN(
        everywhere, small_gan().discriminator, priors.Uniform(2), value_range=None
    )
    before = [weight.numpy() for weight in gan.weights]
    network = keras_gan.networks.fourier_discriminator((2,), 0, width, seed=0)
    waves = network.get_layer("waves").kernel.numpy()
    trained = inference.discriminate(gan, data[:3000], 300, discriminator=network)
    assert trained is network
    np.testing.assert_array_equal(network.get_layer("waves").kernel, waves)
    for now, then in zip(gan.weights, before, strict=True):
        np.testing.assert_array_equal(now, then)
    copy = inference.discriminate(gan, data[:3000], 300)
    losses = [
        inference.calibrate(gan, data[3000:], discriminator=judge).log_loss_after
        for judge in (copy, network)
    ]
    assert losses[1] < losses[0] - 0.1
    # As the same seed trains it in another process.
    again = keras_gan.networks.fourier_discriminator((2,), 0, width, seed=0)
    inference.discriminate(gan, data[:3000], 300, discriminator=again)
    for one, other in zip(network.weights, again.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_discriminator_that_does_not_fit_is_refused():
    layers, inputs = keras.layers, keras.Input((2,))
    data = np.zeros((20, 2), np.float32)

    def refuses(output, message):
        network = keras.Model(inputs, output)
        refused(
            lambda: inference.discriminate(small_gan(), data, discriminator=network),
            message,
        )

    refuses(layers.Dense(2)(inputs), "one logit for each sample")
    refuses(layers.Dense(1, activation="sigmoid")(inputs), "ends in a logit")
    packed = keras_gan.layers.Pack(2)(inputs)
    refuses(layers.Dense(1)(packed), "by that sample alone")
    image = layers.Reshape((1, 1, 2))(inputs)
    deviation = keras_gan.layers.MinibatchStandardDeviation()(image)
    refuses(layers.Dense(1)(layers.Flatten()(deviation)), "by that sample alone")
    gan = small_gan()
    refused(
        lambda: inference.discriminate(gan, data, discriminator=gan.discriminator),
        "of its own weights",
    )
    other = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    refused(
        lambda: inference.discriminate(small_gan(), data, discriminator=other),
        "Expected a discriminator that takes what the generator's output gives",
    )
    refused(
        lambda: inference.discriminate(small_gan(), data, discriminator="fourier"),
        "Keras model",
    )


def test_what_is_frozen_in_a_network_of_ones_own_stays():
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)]
    network = keras.Sequential([keras.Input((2,)), *layers])
    layers[0].trainable = False
    before = network.get_weights()
    data = examples(100, TWO)
    inference.discriminate(small_gan(), data, 3, discriminator=network)
    assert layers[1].trainable and not layers[0].trainable
    moved = [
        (old != new).any()
        for old, new in zip(before, network.get_weights(), strict=True)
    ]
    assert moved == [False, False, True, True]
    # Once more, it goes on.
    before = network.get_weights()
    inference.discriminate(small_gan(), data, 3, discriminator=network)
    assert (before[2] != network.get_weights()[2]).any()
    network.trainable = False
    refused(
        lambda: inference.discriminate(small_gan(), data, discriminator=network),
        "weights to train",
    )


def test_the_same_seed_trains_the_same_d_whatever_drew_before():
    """Whatever the global seed is, and with dropout that has no seed of its own."""
    gan = helpers.tiny_gan(dropout=0.5)
    x = helpers.examples(50)
    trained = []
    for seed in (5, 6):
        keras.utils.set_random_seed(seed)
        trained.append(inference.discriminate(gan, x, steps=5, batch_size=10))
    for one, other in zip(*(each.weights for each in trained), strict=True):
        np.testing.assert_array_equal(one, other)


def test_layers_of_a_judge_advance_once_a_step(monkeypatch):
    gan = extensions.gan_with("spectral")
    advanced = []
    advance = layers.SpectralNormalization.advance

    def counted(layer):
        advanced.append(layer)
        advance(layer)

    monkeypatch.setattr(layers.SpectralNormalization, "advance", counted)
    tf.config.run_functions_eagerly(True)
    try:
        inference.discriminate(gan, helpers.examples(20), steps=3, batch_size=10)
    finally:
        tf.config.run_functions_eagerly(False)
    assert len(advanced) == 3 * 2  # steps, layers


def test_d_is_trained_on_latents_of_its_own():
    """Not on those that `resample` proposes by the same seed."""
    gan, drawn = small_gan(), []
    sample = gan.latent_prior.sample

    def kept(count, seed):
        if tf.executing_eagerly():
            drawn.append(np.asarray(seed).tolist())
        return sample(count, seed)

    gan.latent_prior.sample = kept
    tf.config.run_functions_eagerly(True)
    try:
        inference.discriminate(gan, examples(64, TWO), steps=8, batch_size=8)
    finally:
        tf.config.run_functions_eagerly(False)
    of_d = {tuple(seed) for seed in drawn}
    assert len(of_d) == 8
    others = [(0, *words) for word in range(9) for words in ((word,), (word, 0))]
    found = (priors.stateless_seed(judges.seed_of(*words)) for words in others)
    assert not of_d & {tuple(seed.numpy().tolist()) for seed in found}


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_d_is_trained_on_arrays_of_any_float(dtype):
    gan, x = small_gan(), examples(40, TWO).astype(dtype)
    trained = [
        inference.discriminate(gan, each, steps=3, batch_size=10)
        for each in (x, x.astype(np.float32))
    ]
    for one, other in zip(*(each.weights for each in trained), strict=True):
        np.testing.assert_array_equal(one, other)


def test_d_with_minibatch_statistics_judges_each_sample_alone():
    samples = keras.Input((4,))
    x = layers.MinibatchStandardDeviation(4)(samples)
    discriminator = keras.Model(samples, keras.layers.Dense(1)(x))
    generator, _ = tiny_networks()
    gan = keras_gan.GAN(generator, discriminator, priors.Normal(3), value_range=None)
    x = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    judge = judges.judge_of(gan)
    assert judge is not discriminator
    trained = inference.discriminate(gan, x, steps=2, batch_size=8)
    for each in (judge, trained):
        together = judges.logits_of(each, x)
        alone = np.concatenate([judges.logits_of(each, x[[i]]) for i in range(5)])
        np.testing.assert_allclose(together[:5], alone, rtol=1e-5)
    beside = judges.logits_of(discriminator, x)
    assert np.abs(beside - judges.logits_of(judge, x)).max() > 1e-3
    assert discriminator.layers[1].group_size == 4


# === Mistakes ===


def refused(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_samples": 0}, "`num_samples`"),
        ({"method": "rejecton"}, "Did you mean 'rejection'"),
        ({"seed": -1}, "`seed`"),
        ({"labels": 1}, "not conditional"),
        ({"percentile": 101}, "`percentile` to be a number in"),
        ({"num_steps": 5}, "Expected no `num_steps` for method='rejection'"),
        ({"method": "langevin", "burn_in": 0}, "`burn_in`"),
        ({"percentile": "20"}, "`percentile` to be a number in"),
        ({"method": "metropolis_hastings", "num_steps": 0}, "`num_steps`"),
        ({"burn_in": 0}, "`burn_in`"),
        ({"method": "langevin", "step_size": 0.0}, "`step_size`"),
        ({"batch_size": 0}, "`batch_size`"),
    ],
)
def test_wrong_arguments_of_resample_are_one_line(options, message):
    gan = known_gan()
    refused(lambda: inference.resample(gan, **{"num_samples": 3, **options}), message)


def test_rejection_that_would_not_end_is_refused():
    gan = known_gan(distorted=lambda ratios: 1e6 * ratios)
    refused(lambda: inference.resample(gan, 10, burn_in=20_000, **EXACT), "to accept")


def test_a_class_that_is_hardly_ever_accepted_is_refused():
    """It is a tenth of the samples: the mean acceptance is .9 of that of others."""
    gan = one_dimensional_gan(
        scales=np.ones(10), means=np.zeros(10), shifts=[0.0] * 9 + [-40.0]
    )
    labels = np.resize(np.arange(10), 100)
    refused(lambda: inference.resample(gan, 100, labels=labels), "of class 9, whose")
    found = inference.resample(gan, 90, labels=labels[labels < 9])
    assert found.acceptance > 0.1
    chain = inference.resample(
        gan, 20, "metropolis_hastings", labels=labels[:20], num_steps=5
    )
    assert chain.acceptance > 0.1


def test_latents_that_cannot_move_have_no_langevin_chain():
    generator = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    discriminator = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    prior = tfd.OneHotCategorical(probs=[0.5, 0.5])
    gan = keras_gan.GAN(generator, discriminator, prior, value_range=None)
    refused(lambda: inference.resample(gan, 3, "langevin"), "move continuously")
    assert len(inference.resample(gan, 3, "metropolis_hastings").samples) == 3


@pytest.mark.parametrize(
    ("held_out", "options", "message"),
    [
        (np.zeros((50, 2), np.float32), {}, r"batches of shape \(None, 1\)"),
        (np.zeros((9, 1), np.float32), {}, "at least 10 held-out examples"),
        (np.full((50, 1), np.nan, np.float32), {}, "finite data"),
        (np.zeros((50, 1), np.float32), {"method": "plat"}, "Did you mean 'platt'"),
        (np.zeros((50, 1), np.float32), {"num_samples": 2}, "`num_samples`"),
        (tf.data.Dataset.range(3), {}, "Expected whole data"),
    ],
)
def test_wrong_arguments_of_calibrate_are_one_line(held_out, options, message):
    gan = known_gan()
    refused(lambda: inference.calibrate(gan, held_out, **options), message)


def test_a_conditional_gan_asks_for_labels():
    gan = one_dimensional_gan()
    refused(lambda: inference.calibrate(gan, np.zeros((50, 1), "f4")), "labels")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "`steps`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"learning_rate": -1.0}, "`learning_rate`"),
        ({"seed": None}, "`seed`"),
        ({"data": np.zeros((5, 3), np.float32)}, "batches of shape"),
    ],
)
def test_wrong_arguments_of_discriminate_are_one_line(options, message):
    given = {"data": np.zeros((5, 2), np.float32), **options}
    refused(lambda: inference.discriminate(small_gan(), **given), message)


def test_packs_and_generators_without_d_are_refused(tmp_path):
    gan = small_gan(pack=2)
    refused(lambda: inference.resample(gan, 3), "packs of samples")
    small_gan().export(tmp_path / "export")
    export = keras_gan.runs.load_generator(tmp_path / "export")
    refused(lambda: inference.resample(export, 3), "which has none")
    refused(lambda: inference.calibrate(export, examples(50, TWO)), "which has none")
