"""BiGAN: Algorithm 1 with a third player, its losses, its encoder, its networks."""

import keras
import numpy as np
import pytest

import keras_gan
from keras_gan import critics, experiments, networks, runs
from keras_gan.inference import BiGAN, bigan
from keras_gan.runs import dry_run
from tests import export_helpers, extensions, helpers
from tests.test_gan_algorithm1 import Replay, sigmoid

X = helpers.examples(9)


def both(values):
    """float64 copies."""
    return [np.asarray(each, np.float64) for each in values]


class ThreePlayers(Replay):
    """Steps of D, G and E by hand. D takes a pair as one vector of 4 + 3 values."""

    def __init__(self, gan, rate):
        super().__init__(gan, rate)
        self.e = both(helpers.weights_of(gan.encoder))
        self.weight = gan.reconstruction

    def inferred(self, x):
        hidden, latents = self.forward(self.e, x)
        return hidden, np.concatenate([x, latents], axis=1)

    def generated(self, z):
        hidden, samples = self.forward(self.g, z)
        return hidden, np.concatenate([samples, z], axis=1)

    def through(self, pairs, slope):
        """Gradients of D's weights and of the pairs, from d loss / d logit."""
        hidden, logits = self.forward(self.d, pairs)
        return self.backward(self.d, pairs, hidden, slope(logits) / len(pairs))

    def reconstruction(self, x):
        """Gradients of G's and of E's weights of w mean((x - G(E(x)))^2)."""
        hidden_e, latents = self.forward(self.e, x)
        hidden_g, again = self.forward(self.g, latents)
        slope = self.weight * 2 * (again - x) / x.size
        of_g, of_latents = self.backward(self.g, latents, hidden_g, slope)
        return of_g, self.backward(self.e, x, hidden_e, of_latents)[0]

    def descended(self, weights, *gradients):
        return [
            w - self.rate * sum(g) for w, *g in zip(weights, *gradients, strict=True)
        ]

    def discriminator_step(self, x, z):
        of_real, _ = self.through(self.inferred(x)[1], lambda a: sigmoid(a) - 1)
        of_fake, _ = self.through(self.generated(z)[1], sigmoid)
        for weight, one, other in zip(self.d, of_real, of_fake, strict=True):
            weight -= self.rate * (one + other)

    def generator_step(self, x, z, loss):
        hidden, pairs = self.generated(z)
        slope = (
            (lambda b: -sigmoid(b)) if loss == "minimax" else lambda b: sigmoid(b) - 1
        )
        _, of_pairs = self.through(pairs, slope)
        found, _ = self.backward(self.g, z, hidden, of_pairs[:, :4])
        self.g = self.descended(self.g, found, self.reconstruction(x)[0])

    def encoder_step(self, x, loss):
        """Descends E log D(x, E(x)), or -E log(1 - D(x, E(x)))."""
        hidden, pairs = self.inferred(x)
        slope = (lambda a: 1 - sigmoid(a)) if loss == "minimax" else sigmoid
        _, of_pairs = self.through(pairs, slope)
        found, _ = self.backward(self.e, x, hidden, of_pairs[:, 4:])
        self.e = self.descended(self.e, found, self.reconstruction(x)[1])


@pytest.mark.parametrize("loss", ["minimax", "non_saturating"])
@pytest.mark.parametrize(("k", "weight"), [(1, 0.0), (2, 0.0), (2, 3.0)])
def test_a_step_is_algorithm_1_with_a_third_player_by_hand(k, weight, loss):
    drawn = []

    class Recorded(BiGAN):
        def _latents(self, *args):
            drawn.append(super()._latents(*args))
            return drawn[-1]

    gan = Recorded(
        helpers.tiny_networks()[0],
        extensions.critic_of_pairs(),
        extensions.encoder(),
        keras_gan.priors.Normal(3),
        None,
        seed=0,
    )
    sgd = [keras.optimizers.SGD(0.1) for _ in range(3)]
    options = {"loss": loss, "discriminator_steps": k, "run_eagerly": True}
    gan.compile(*sgd, reconstruction=weight, **options)
    replay = ThreePlayers(gan, rate=0.1)
    before = both(helpers.weights_of(gan))
    gan.train_on_batch(X)
    # k steps of D, one of G, one of E: each with latents of its own.
    assert len(drawn) == k + 2
    assert len({each.numpy().tobytes() for each in drawn}) == k + 2
    for j in range(k):
        replay.discriminator_step(*both([X[j::k], drawn[j]]))
    replay.generator_step(*both([X[::k], drawn[k]]), loss)
    replay.encoder_step(*both([X[::k]]), loss)
    found = both(helpers.weights_of(gan))
    assert all(np.abs(a - b).max() > 1e-4 for a, b in zip(found, before, strict=True))
    for network, expected in (
        (gan.discriminator, replay.d),
        (gan.generator, replay.g),
        (gan.encoder, replay.e),
    ):
        for actual, weight in zip(helpers.weights_of(network), expected, strict=True):
            np.testing.assert_allclose(actual, weight, atol=1e-5)


def pairs_of(gan, x):
    x = keras.ops.convert_to_tensor(x)
    return {"samples": x, "latents": gan.encoder(x)}


def test_logs_are_of_pairs():
    gan = extensions.bigan_with(fixed=True, rate=0.0, ema_decay=None)
    logs = helpers.train_steps(gan, [X])
    latents = np.full((9, 3), 0.3, np.float32)
    of_real = gan.discriminator(pairs_of(gan, X))
    latents = keras.ops.convert_to_tensor(latents)
    samples = gan.generator(latents)
    of_fake = gan.discriminator({"samples": samples, "latents": latents})
    a, b = (np.asarray(each, np.float64) for each in (of_real, of_fake))
    assert logs["d_real"] == pytest.approx(sigmoid(a).mean(), abs=1e-5)
    assert logs["d_fake"] == pytest.approx(sigmoid(b).mean(), abs=1e-5)
    assert logs["generator_loss"] == pytest.approx(
        np.log1p(np.exp(-b)).mean(), abs=1e-5
    )
    assert logs["encoder_loss"] == pytest.approx(np.log1p(np.exp(a)).mean(), abs=1e-5)
    gan.reset_metrics()
    found = gan.evaluate(X, verbose=0, return_dict=True)
    assert found["d_real"] == pytest.approx(logs["d_real"], abs=1e-5)
    assert found["encoder_loss"] == pytest.approx(logs["encoder_loss"], abs=1e-5)


def test_logs_of_reconstructions():
    gan = extensions.bigan_with(rate=0.0, ema_decay=None, reconstruction=3.0)
    without = extensions.bigan_with(rate=0.0, ema_decay=None)
    logs, others = (helpers.train_steps(each, [X]) for each in (gan, without))
    again = np.asarray(gan.generator(gan.encoder(X)), np.float64)
    error = np.mean((again - X) ** 2)
    assert logs["reconstruction_error"] == pytest.approx(error, abs=1e-6)
    for name in ("generator_loss", "encoder_loss"):
        assert logs[name] - others[name] == pytest.approx(3 * error, abs=1e-5)
    assert logs["discriminator_loss"] == others["discriminator_loss"]
    found = gan.evaluate(X, verbose=0, return_dict=True)
    assert found["reconstruction_error"] == pytest.approx(error, abs=1e-6)
    assert "reconstruction_error" not in others


def test_the_weight_of_reconstructions_is_saved(tmp_path):
    gan = extensions.bigan_with(reconstruction=3.0)
    gan.save(tmp_path / "gan.keras")
    assert runs.load_gan(tmp_path / "gan.keras").reconstruction == 3.0


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf"), "1", True])
def test_the_weight_of_reconstructions_is_a_number(weight):
    with pytest.raises(ValueError, match="reconstruction. to be a number >= 0"):
        extensions.bigan_with(reconstruction=weight)


def test_a_compile_that_fails_leaves_the_weight_of_reconstructions():
    gan = extensions.bigan_with(reconstruction=3.0)
    with pytest.raises(ValueError, match="loss"):
        gan.compile("sgd", "sgd", "sgd", reconstruction=1.0, loss="typo")
    assert gan.reconstruction == 3.0


# What E descends, by hand, of logits a of (x, E(x)) and b of (G(z), z).
SWAPPED = {
    "minimax": lambda a, b: -np.log1p(np.exp(-a)),
    "non_saturating": lambda a, b: np.log1p(np.exp(a)),
    "hinge": lambda a, b: a,
    "least_squares": lambda a, b: a**2,
    "wasserstein": lambda a, b: a,
    "relativistic": lambda a, b: np.log1p(np.exp(a - b)),
}


@pytest.mark.parametrize("name", SWAPPED)
def test_the_encoder_descends_every_loss_with_swapped_labels(name):
    gan = extensions.bigan_with(loss=name, penalties=[])
    latents = gan.latent_prior.sample(9, 0)
    found = bigan.FoolDiscriminator()(gan, gan.encoder, X, latents, False)
    a = gan.discriminator(pairs_of(gan, X))
    b = gan.discriminator({"samples": gan.generator(latents), "latents": latents})
    expected = SWAPPED[name](*both([a, b])).mean()
    assert float(found) == pytest.approx(expected, abs=1e-6)
    # A discriminator whose labels are swapped loses and wins what this one does.
    loss, (a, b) = gan.adversarial_loss, (np.asarray(each) for each in (a, b))
    mirrored = (2 * (loss.boundary or 0.0) - each for each in (b, a))
    assert float(loss.discriminator_loss(a, b)) == pytest.approx(
        float(loss.discriminator_loss(*mirrored)), abs=1e-6
    )


def test_every_loss_of_logits_is_there():
    of_logits = [
        name
        for name in keras_gan.losses.names()
        if keras_gan.losses.get(name).columns < 2
    ]
    assert sorted(SWAPPED) == of_logits


# === Penalties ===


def linear_critic():
    """D(x, z) = x a + z b: its gradient is (a, b) everywhere."""
    samples, latents = (
        keras.Input((size,), name=name)
        for size, name in ((4, "samples"), (3, "latents"))
    )
    joined = keras.layers.Concatenate()([samples, latents])
    start = keras.initializers.RandomNormal(seed=3)
    logits = keras.layers.Dense(1, kernel_initializer=start)(joined)
    return keras.Model({"samples": samples, "latents": latents}, logits)


def test_penalties_see_both_parts_of_a_pair():
    discriminator = linear_critic()
    slope = discriminator.trainable_variables[0].numpy()
    critic = critics.Critic(discriminator)
    pairs = [
        {"samples": helpers.examples(5, seed), "latents": helpers.examples(5, 9)[:, :3]}
        for seed in range(2)
    ]
    pairs = [keras.tree.map_structure(keras.ops.convert_to_tensor, p) for p in pairs]
    for name, expected in (
        ("r1", 0.5 * (slope**2).sum()),
        ("r2", 0.5 * (slope**2).sum()),
        ("gradient_penalty", 1.0 * (np.sqrt((slope**2).sum()) - 1) ** 2),
        ("dragan", 1.0 * (np.sqrt((slope**2).sum()) - 1) ** 2),
    ):
        penalty = keras_gan.penalties.BY_NAME[name](1.0)
        found = penalty(critic, *pairs, np.int32([1, 2]))
        assert float(found) == pytest.approx(expected, rel=1e-5), name
    # Not only one part: the samples' share alone is less.
    assert (slope[:4] ** 2).sum() < 0.9 * (slope**2).sum()


def test_between_pairs_both_parts_lie_at_the_same_share():
    seen = []

    def critic(inputs):
        seen.append(inputs)
        return keras.ops.sum(inputs["samples"], axis=1, keepdims=True)

    zeros = {"samples": np.zeros((6, 4), "f"), "latents": np.zeros((6, 3), "f")}
    zeros = keras.tree.map_structure(keras.ops.convert_to_tensor, zeros)
    ones = keras.tree.map_structure(keras.ops.ones_like, zeros)
    keras_gan.penalties.GradientPenalty()(critic, ones, zeros, np.int32([1, 2]))
    share = seen[0]["samples"].numpy()[:, :1]
    assert 0 < share.min() < share.max() < 1
    np.testing.assert_array_equal(seen[0]["latents"], np.tile(share, 3))


# === The encoder ===


def test_encode_gives_latents_within_the_range_of_the_prior():
    uniform = keras_gan.priors.Uniform(3, -1.0, 2.0)
    gan = extensions.bigan_with(prior=uniform)
    gan.encoder.trainable_variables[-1].assign([-300.0, 0.0, 300.0])
    coordinates = gan.encoder(X).numpy().astype(np.float64)
    found = gan.encode(X, batch_size=4)
    assert found.dtype == np.float32 and found.shape == (9, 3)
    assert (found[:, 0] == -1).all() and (found[:, 2] == 2).all()
    np.testing.assert_allclose(
        found[:, 1], -1 + 3 * sigmoid(coordinates[:, 1]), atol=1e-5
    )
    # The critic sees the same latents.
    np.testing.assert_allclose(gan.judged_real(X, False)["latents"], found, atol=1e-6)


def test_encode_takes_what_fit_takes():
    builder = networks.bigan_mlp((4, 4, 1), latent_dim=3, units=5, seed=0)
    gan = BiGAN(*builder, keras_gan.priors.Normal(3), (0.0, 1.0), seed=0)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 1)).astype(np.uint8)
    np.testing.assert_allclose(
        gan.encode(pixels), gan.encode(pixels / np.float32(255)), atol=1e-6
    )
    for wrong, words in (
        (pixels[..., 0], r"add the channel axis"),
        (pixels.astype(np.float32), r"value_range=\(0.0, 1.0\)"),
        (pixels.astype(int), "float examples"),
        (pixels[:0], "at least one example"),
        (np.full((2, 4, 4, 1), np.nan, np.float32), "finite data"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            gan.encode(wrong)
        assert "\n" not in str(caught.value)


def test_the_encoders_average_is_of_its_own_steps():
    """After two steps with d = 1/2: (w_1 + 2 w_2) / 3."""
    gan = extensions.bigan_with(ema_decay=0.5)
    assert gan.averaged_encoder is not None
    weights = []
    for seed in range(2):
        helpers.train_steps(gan, [helpers.examples(8, seed)])
        weights.append(helpers.weights_of(gan.encoder))
    found = [weight.numpy() for weight in gan.averaged_encoder.weights]
    for average, first, second in zip(found, *weights, strict=True):
        np.testing.assert_allclose(average, (first + 2 * second) / 3, atol=1e-6)
    raw = gan.encode(X, averaged=False)
    np.testing.assert_allclose(raw, gan.encoder(X), atol=1e-6)
    np.testing.assert_allclose(gan.encode(X), gan.averaged_encoder(X), atol=1e-6)
    assert np.abs(raw - gan.encode(X)).max() > 1e-4
    gan.compile("sgd", "sgd", "sgd")
    assert gan.averaged_encoder is None
    np.testing.assert_allclose(gan.encode(X), raw, atol=1e-6)


def test_a_saved_encoder_comes_back(tmp_path):
    gan = extensions.bigan_with(ema_decay=0.5)
    helpers.train_steps(gan, [X])
    gan.save(tmp_path / "gan.keras")
    loaded = runs.load_gan(tmp_path / "gan.keras")
    assert type(loaded) is BiGAN
    for averaged in (False, True):
        np.testing.assert_array_equal(
            loaded.encode(X, averaged=averaged), gan.encode(X, averaged=averaged)
        )


def test_on_a_line_the_encoder_learns_to_invert_the_generator():
    """The data are N(0, I) turned and stretched; then E(x) tells z, and G(E(x)) x."""
    generator = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    encoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    samples, latents = (keras.Input((2,), name=name) for name in ("samples", "latents"))
    x = keras.layers.Concatenate()([samples, latents])
    for _ in range(2):
        x = keras.layers.Dense(32, activation="relu")(x)
    critic = keras.Model(
        {"samples": samples, "latents": latents}, keras.layers.Dense(1)(x)
    )
    keras.utils.set_random_seed(0)
    gan = BiGAN(generator, critic, encoder, keras_gan.priors.Normal(2), None, seed=0)
    adam = [keras.optimizers.Adam(5e-3, 0.0, 0.99) for _ in range(3)]
    gan.compile(*adam, loss="relativistic", penalties=[keras_gan.penalties.R1(0.1)])
    data = np.random.default_rng(0).normal(size=(4096, 2)).astype(np.float32)
    data = data @ np.float32([[1.0, 0.5], [-0.5, 1.0]])
    gan.fit(data, batch_size=128, epochs=12, verbose=0)
    found = gan.samples_of(gan.encode(data[:500]))
    error = np.mean((found - data[:500]) ** 2)
    assert error < 0.1 * data.var()


# === Mistakes ===


def made(**replaced):
    parts = {
        "generator": helpers.tiny_networks()[0],
        "discriminator": extensions.critic_of_pairs(),
        "encoder": extensions.encoder(),
        "latent_prior": keras_gan.priors.Normal(3),
        "value_range": None,
        **replaced,
    }
    return BiGAN(**parts)


def wrong_encoder(size, latent_dim):
    return keras.Sequential([keras.Input((size,)), keras.layers.Dense(latent_dim)])


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"encoder": wrong_encoder(4, 2)}, r"output shape \(None, 3\).*\(None, 2\)"),
        ({"encoder": wrong_encoder(5, 3)}, r"an encoder that takes .*\(None, 4\)"),
        ({"encoder": "none"}, "the player 'encoder' to be a built Keras model"),
        ({"discriminator": helpers.tiny_networks()[1]}, "a discriminator that takes"),
        ({"latent_prior": helpers.deterministic_prior()}, "move continuously"),
        (
            {
                "latent_prior": keras_gan.priors.Labelled(
                    keras_gan.priors.Normal(3), [0.5, 0.5]
                )
            },
            "takes no labels",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(replaced, words):
    with pytest.raises(ValueError, match=words) as caught:
        made(**replaced)
    assert "\n" not in str(caught.value)


def test_compile_asks_for_three_optimizers():
    gan = made()
    with pytest.raises(TypeError, match="encoder_optimizer"):
        gan.compile("sgd", "sgd")
    one = keras.optimizers.SGD()
    with pytest.raises(ValueError, match="the same object twice"):
        gan.compile(one, "sgd", one)


# === The paper's networks, and the preset ===


def test_the_papers_networks_by_hand():
    built = networks.bigan_mlp((28, 28, 1), seed=0)
    generator, discriminator, encoder = built
    h, pixels, latents = 1024, 784, 50
    # Kernels and biases; batch normalisation has four values a unit.
    of_norm = 4 * h
    assert generator.count_params() == (
        (latents + 1) * h + (h + 1) * h + 2 * of_norm + (h + 1) * pixels
    )
    assert encoder.count_params() == (
        (pixels + 1) * h + (h + 1) * h + of_norm + (h + 1) * latents
    )
    assert discriminator.count_params() == (
        (pixels + latents + 1) * h + (h + 1) * h + of_norm + (h + 1)
    )
    kinds = [type(layer).__name__ for layer in encoder.layers]
    assert kinds == [
        *("InputLayer", "Flatten", "Dense", "LeakyReLU"),
        *("Dense", "BatchNormalization", "LeakyReLU", "Dense"),
    ]
    kernel = encoder.layers[2].kernel.numpy()
    assert kernel.std() == pytest.approx(0.02, rel=0.01)
    assert encoder.layers[3].negative_slope == pytest.approx(0.2)
    plain = networks.bigan_mlp((8, 8, 1), 3, 5, discriminator_normalization=None)
    names = {type(layer).__name__ for layer in plain[1].layers}
    assert "BatchNormalization" not in names
    with pytest.raises(ValueError, match="discriminator_normalization.*or None"):
        networks.bigan_mlp((8, 8, 1), discriminator_normalization="group")


def test_the_encoder_is_noisy_in_training_alone():
    options = {"latent_dim": 3, "units": 5, "seed": 0}
    plain, noisy = (
        networks.bigan_mlp((8, 8, 1), encoder_noise=noise, **options)[2]
        for noise in (0.0, 0.5)
    )
    x = np.random.default_rng(0).random((4000, 8, 8, 1), np.float32)
    np.testing.assert_array_equal(plain(x), noisy(x))
    noise = np.asarray(noisy(x, training=True)) - np.asarray(plain(x, training=True))
    assert noise.std(axis=0) == pytest.approx([0.5] * 3, rel=0.05)
    assert noise.mean(axis=0) == pytest.approx([0.0] * 3, abs=0.05)
    for wrong in (-0.1, 1.5, "1"):
        with pytest.raises(ValueError, match="encoder_noise in"):
            networks.bigan_mlp((8, 8, 1), encoder_noise=wrong, **options)


def test_d_and_g_see_the_noise_of_the_encoder():
    """Each step of each network draws noise of its own; what is encoded has none."""
    drawn = []

    class Kept(BiGAN):
        def judged_real(self, real, training):
            pairs = super().judged_real(real, training)
            drawn.append(pairs["latents"].numpy())
            return pairs

    built = networks.bigan_mlp((2, 2, 1), 3, 5, None, 0.5, seed=0)
    gan = Kept(*built, keras_gan.priors.Normal(3), seed=0)
    gan.compile("sgd", "sgd", "sgd", reconstruction=1.0, run_eagerly=True)
    x = np.random.default_rng(0).random((8, 2, 2, 1), np.float32)
    helpers.train_steps(gan, [x])
    assert len(drawn) == 3
    assert all(
        np.abs(a - b).max() > 0.1 for a, b in zip(drawn, drawn[1:], strict=False)
    )
    np.testing.assert_array_equal(gan.encode(x), gan.encode(x))


def test_initial_weights_are_a_function_of_the_seed():
    def kernels(seed):
        built = networks.bigan_mlp((8, 8, 1), 3, 5, seed=seed)
        return [w.numpy() for each in built for w in each.weights if "kernel" in w.name]

    for one, same, other in zip(kernels(1), kernels(1), kernels(2), strict=True):
        np.testing.assert_array_equal(one, same)
        assert (one != other).all()


SMALL = {
    "dataset": "digits",
    "networks.units": 16,
    "latent_dim": 4,
    "batch_size": 200,
    # Nothing that depends on the number of epochs.
    "decay": "none",
    "penalties": [],
}


def trained(path, epochs, **options):
    settings = {**SMALL, "epochs": epochs}
    run = runs.Run(path, experiments.get_preset("mnist_bigan", settings))
    return runs.train(run, **options)


@pytest.mark.usefixtures("short_classifier")
def test_a_preset_with_three_networks_is_trained_and_resumed_to_the_last_bit(tmp_path):
    whole = trained(tmp_path / "whole", 2)
    gan = whole.gan()
    assert type(gan) is BiGAN and gan.averaged_encoder is not None
    assert "encoder_loss" in whole.metrics()[-1]
    trained(tmp_path / "parts", 1)
    resumed = trained(tmp_path / "parts", 2, resume="auto").gan()
    for one, other in zip(resumed.weights, gan.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    report = runs.evaluate(whole.path, num_samples=100)
    assert 0 <= report["discriminator_accuracy"] <= 1


@pytest.mark.slow
def test_a_run_starts_from_the_averaged_encoder_of_another(tmp_path):
    trained(tmp_path / "first", 1)
    settings = {**SMALL, "epochs": 1, "init_from": str(tmp_path / "first")}
    experiment = experiments.get_preset("mnist_bigan", settings)
    source = runs.initial.load(experiment)
    gan = experiments.build(experiment, keras_gan.datasets.load("digits"))
    runs.initial.take(gan, source)
    for network in (gan.encoder, gan.averaged_encoder):
        for ours, theirs in zip(
            network.weights, source.gan.averaged_encoder.weights, strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_a_dry_run_counts_the_encoder_too():
    report = dry_run.dry_run(experiments.get_preset("mnist_bigan", SMALL), steps=1)
    assert report["encoder_parameters"] == 65 * 16 + 17 * 16 + 4 * 16 + 17 * 4
    assert "encoder multiply adds" in dry_run.format_dry_run(report)


def test_only_networks_with_an_encoder_weigh_reconstructions():
    settings = {"reconstruction": 1.0}
    experiment = experiments.get_preset("digits", settings)
    with pytest.raises(ValueError, match="train.reconstruction to be 0 for dig"):
        experiments.build(experiment, keras_gan.datasets.load("digits"))


def test_networks_with_an_encoder_need_more_than_numbers():
    settings = {"networks": "bigan_mlp", "networks.units": 4}
    experiment = experiments.get_preset("gaussian1d", settings)
    with pytest.raises(ValueError, match="several values .*'gaussian1d', of one"):
        experiments.build(experiment, keras_gan.datasets.load("gaussian1d"))


# === The export ===


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A BiGAN of small images with latents in (-1, 2), and its verified version."""
    built = networks.bigan_mlp((8, 6, 1), latent_dim=3, units=6, seed=0)
    prior = keras_gan.priors.Uniform(3, -1.0, 2.0)
    gan = BiGAN(*built, prior, (0.0, 1.0), seed=0)
    gan.compile("sgd", "sgd", "sgd", ema_decay=0.5)
    gan.averaged_encoder.layers[-1].bias.assign([1.0, -2.0, 0.5])
    base = tmp_path_factory.mktemp("exported") / "model"
    return gan, gan.export(base, check=keras_gan.export.verify)


def test_the_export_encodes_as_the_averaged_encoder_does(exported):
    gan, path = exported
    loaded = keras_gan.export.ExportedGenerator(path)
    assert loaded.card["signatures"][-1] == "encode"
    images = np.random.default_rng(0).uniform(size=(5, 8, 6, 1)).astype(np.float32)
    found = loaded.encode(images, batch_size=2)
    np.testing.assert_allclose(found, gan.encode(images), atol=1e-5)
    assert np.abs(found - gan.encode(images, averaged=False)).max() > 0.1
    nan = images.copy()
    nan[1, 0, 0, 0] = np.nan
    serve = export_helpers.loaded(path, "encode", images=nan)["latents"]
    assert np.isnan(serve[1]).all()
    np.testing.assert_allclose(serve[[0, 2, 3, 4]], found[[0, 2, 3, 4]], atol=1e-5)


def test_the_export_takes_and_refuses_what_the_model_does(exported):
    gan, path = exported
    loaded = keras_gan.export.ExportedGenerator(path)
    x = np.random.default_rng(0).integers(0, 256, (5, 8, 6, 1)).astype(np.uint8)
    np.testing.assert_allclose(loaded.encode(x), gan.encode(x), atol=1e-5)
    np.testing.assert_allclose(loaded.encode(x), loaded.encode(x / 255), atol=1e-5)
    nan = np.full((2, 8, 6, 1), np.nan)
    for wrong in (x.astype(np.float32), nan, x.astype(int), x[:, :4], x[:0]):
        said = []
        for model in (gan, loaded):
            with pytest.raises(ValueError) as caught:
                model.encode(wrong)
            said.append(str(caught.value))
        assert said[0] == said[1] and "\n" not in said[0]


def test_verification_knows_another_encoder_by_its_goldens(exported):
    from keras_gan.export import cards
    from keras_gan.export.verification import verifier

    _, path = exported
    stated = cards.read_card(path)["goldens"]
    assert all(len(golden["encoded"]) == 3 for golden in stated)
    others = [{**g, "encoded": [v + 1e-2 for v in g["encoded"]]} for g in stated]
    assert verifier._golden_faults(stated, stated, 1e-5) == []
    faults = verifier._golden_faults(stated, others, 1e-5)
    assert faults[0] == "encoded of seed 0 are not the card's" and len(faults) == 4


def test_an_export_without_an_encoder_says_so(tmp_path):
    gan = keras_gan.GAN(
        *networks.digits_mlp((8, 8, 1), latent_dim=3, seed=0),
        keras_gan.priors.Normal(3),
        seed=0,
    )
    loaded = keras_gan.export.ExportedGenerator(gan.export(tmp_path / "model"))
    assert "encode" not in loaded.card["signatures"]
    assert "encoded" not in loaded.card["goldens"][0]
    with pytest.raises(ValueError, match="an export with an encoder"):
        loaded.encode(np.zeros((1, 8, 8, 1), np.float32))
