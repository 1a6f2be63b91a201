"""What exported generators answer, for every prior, network and precision."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import stats

import keras_gan
from keras_gan import experiments, export, priors, runs
from keras_gan.experiments import building
from keras_gan.export import cards, publishing
from keras_gan.export.verification import verifier
from keras_gan.pictures import formats
from keras_gan.runs import scoring
from keras_gan.samples import SampleSpec, to_uint8, to_unit
from tests import helpers
from tests.export_helpers import compiled, image_gan, loaded, reseal

tfd = tfp.distributions

# Small, negative, beyond 32 bits, the ends, and words that differ in the upper alone.
SEEDS = np.array([0, 1, -3, 2**40 + 7, -(2**63), 2**63 - 1, 5, 5 + 2**32], np.int64)


def float32(*values):
    return np.asarray(values, np.float32)


def latents_of(path, seeds):
    return loaded(path, "sample", seed=np.asarray(seeds, np.int64))["latents"]


# === Images ===


@pytest.mark.parametrize(
    "value_range", [(0.0, 1.0), helpers.slow((-1.0, 1.0)), (-3.0, 3.0)]
)
def test_images_are_those_of_predict_mapped_and_clipped(tmp_path, value_range):
    gan = image_gan(value_range, activation="linear")
    gan.generator.layers[-2].kernel.assign(4 * gan.generator.layers[-2].kernel)
    latents = gan.latent_prior.sample(200, 3).numpy()
    predicted = gan.predict(latents, verbose=0)
    low, high = value_range
    assert predicted.min() < low and high < predicted.max()  # something to clip
    path = gan.export(tmp_path)
    found = loaded(path, "serving_default", latents=latents)["images"]
    np.testing.assert_allclose(found, to_unit(predicted, value_range), atol=1e-6)
    assert (found.min(), found.max()) == (0.0, 1.0)

    pictures = loaded(path, "png", latents=latents[:9])["image_bytes"]
    for content, image in zip(pictures, found, strict=False):
        pixels = formats.decode_png(content)
        np.testing.assert_array_equal(pixels, to_uint8(image, (0.0, 1.0)))
        assert len(content) > 22  # longer than what TensorFlow's strings hold inline


def test_samples_that_are_no_images(tmp_path):
    gan = helpers.tiny_gan()
    path = gan.export(tmp_path)
    card = export.read_card(path)
    assert card["signatures"] == ["serving_default", "sample"]
    assert (card["output"], card["value_range"], card["step"]) == ("samples", None, 0)
    latents = 100 * gan.latent_prior.sample(50, 0).numpy()
    found = loaded(path, "serving_default", latents=latents)
    assert set(found) == {"samples"}
    expected = gan.predict(latents, verbose=0)
    np.testing.assert_allclose(found["samples"], expected, atol=1e-5)
    assert np.abs(expected).max() > 1  # nothing is clipped


@pytest.mark.parametrize("shape", [(2,), (3, 2)])
def test_vectors_and_series_with_a_range_keep_it(tmp_path, shape):
    units = int(np.prod(shape))
    generator = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(units), keras.layers.Reshape(shape)]
    )
    value_range = (-1.0, 1.0)
    path = export.export_generator(
        generator, priors.Normal(4), tmp_path, value_range=value_range
    )
    assert set(export.read_signatures(path)) == {"serving_default", "sample"}
    latents = priors.Normal(4).sample(50, 0).numpy()
    expected = generator.predict(latents, verbose=0)
    assert np.abs(expected).max() > 1  # nothing is clipped
    found = loaded(path, "serving_default", latents=latents)
    assert set(found) == {"samples"}
    np.testing.assert_allclose(found["samples"], expected, atol=1e-5)
    exported = export.ExportedGenerator(path)
    assert (exported.sample_shape, exported.value_range) == (shape, value_range)
    np.testing.assert_allclose(exported.generate(50), expected, atol=1e-5)


@pytest.mark.parametrize(("channels", "has_png"), [(2, False), (3, True)])
def test_channels_that_png_has(tmp_path, channels, has_png):
    generator = keras.Sequential(
        [
            keras.Input((2,)),
            keras.layers.Dense(6 * channels),
            keras.layers.Reshape((2, 3, channels)),
        ]
    )
    path = export.export_generator(generator, priors.Normal(2), tmp_path)
    found = export.read_signatures(path)
    assert ("png" in found) == ("sample_png" in found) == has_png
    if has_png:
        latents = float32([3, -1])
        (content,) = loaded(path, "png", latents=latents)["image_bytes"]
        expected = to_uint8(generator(latents), (0.0, 1.0))[0]
        np.testing.assert_array_equal(tf.io.decode_png(content), expected)
        (content,) = loaded(path, "sample_png", seed=SEEDS[3:4])["image_bytes"]
        latents = priors.Normal(2).sample(1, int(SEEDS[3]))
        expected = to_uint8(generator(latents), (0.0, 1.0))[0]
        np.testing.assert_allclose(tf.io.decode_png(content), expected, atol=1)


# === Seeds ===


@pytest.fixture(scope="module")
def gan():
    return image_gan()


@pytest.fixture(scope="module")
def version(gan, tmp_path_factory):
    return gan.export(tmp_path_factory.mktemp("version"))


def test_a_row_is_a_function_of_its_seed_alone(gan, version):
    whole = loaded(version, "sample", seed=SEEDS)
    for row, seed in enumerate(SEEDS):
        latents = gan.latent_prior.sample(1, int(seed)).numpy()
        np.testing.assert_allclose(whole["latents"][row], latents[0], atol=1e-6)
        image = to_unit(gan.predict(latents, verbose=0), (0.0, 1.0))
        np.testing.assert_allclose(whole["images"][row], image[0], atol=1e-6)
    assert len(np.unique(whole["latents"], axis=0)) == len(SEEDS)
    pictures = loaded(version, "sample_png", seed=SEEDS)["image_bytes"]
    for content, image in zip(pictures, whole["images"], strict=True):
        pixels = formats.decode_png(content)
        np.testing.assert_allclose(pixels / 255.0, image, atol=0.51 / 255)
    assert len(set(pictures)) == len(SEEDS)
    order = np.random.default_rng(0).integers(0, len(SEEDS), 50)  # repeats, too
    mixed = loaded(version, "sample", seed=SEEDS[order])
    np.testing.assert_array_equal(mixed["latents"], whole["latents"][order])
    np.testing.assert_allclose(mixed["images"], whole["images"][order], atol=1e-6)
    # The card's goldens, which another process matches in `verify`, are these.
    for golden in export.read_card(version)["goldens"]:
        (row,) = np.flatnonzero(golden["seed"] == SEEDS)
        np.testing.assert_allclose(golden["latents"], whole["latents"][row], atol=1e-6)


# Each with the distribution function of its first latent, where SciPy has it.
PRIORS = {
    "uniform": (lambda: priors.Uniform(2, -2.0, 5.0), stats.uniform(-2, 7)),
    "normal": (lambda: priors.Normal(2, 1.0, 3.0), stats.norm(1, 3)),
    "mixture": (
        lambda: tfd.MixtureSameFamily(
            tfd.Categorical(probs=[0.3, 0.7]),
            tfd.MultivariateNormalDiag(float32([-1, 0], [4, 0]), float32([1, 1])),
        ),
        None,
    ),
    "truncated_normal": (
        lambda: tfd.Sample(tfd.TruncatedNormal(0.0, 1.0, -0.5, 2.0), 2),
        stats.truncnorm(-0.5, 2),
    ),
    "multivariate_normal": (
        lambda: tfd.MultivariateNormalTriL(float32(0, 1), float32([2, 0], [1, 1])),
        stats.norm(0, 2),
    ),
    "one_hot": (lambda: tfd.OneHotCategorical(probs=[0.2, 0.8]), None),
    "bernoulli": (lambda: tfd.Sample(tfd.Bernoulli(probs=0.3), 2), None),
    "gamma": (lambda: tfd.Sample(tfd.Gamma(0.5, 3.0), 2), stats.gamma(0.5, 0, 1 / 3)),
    "laplace": (lambda: tfd.Sample(tfd.Laplace(1.0, 2.0), 2), stats.laplace(1, 2)),
    "beta": (lambda: tfd.Sample(tfd.Beta(2.0, 3.0), 2), stats.beta(2, 3)),
    "student": (lambda: tfd.Sample(tfd.StudentT(5.0, 0.0, 1.0), 2), stats.t(5)),
    "dirichlet": (lambda: tfd.Dirichlet(float32(1, 2)), stats.beta(1, 2)),
    "sphere": (lambda: tfd.SphericalUniform(2), None),
    "poisson": (lambda: tfd.Sample(tfd.Poisson(3.0), 2), None),
    "double": (lambda: tfd.Sample(tfd.Normal(np.float64(0), 1), 2), stats.norm()),
    "blocks": (
        lambda: tfd.Blockwise(
            [tfd.Sample(tfd.Normal(0.0, 1.0), 2), tfd.OneHotCategorical(
                probs=[0.5, 0.5], dtype=tf.float32
            )]
        ),
        stats.norm(),
    ),
}  # fmt: skip
FAST_PRIORS = ("truncated_normal", "one_hot")


@pytest.mark.parametrize(
    "name",
    [
        name if name in FAST_PRIORS else pytest.param(name, marks=pytest.mark.slow)
        for name in PRIORS
    ],
)
def test_sample_draws_from_the_prior(tmp_path, name):
    make, distribution = PRIORS[name]
    prior = priors.get(make())
    generator = keras.Sequential(
        [keras.Input((prior.latent_dim,)), keras.layers.Dense(2)]
    )
    path = export.export_generator(generator, prior, tmp_path, value_range=None)
    seeds = np.concatenate([SEEDS, np.arange(-1000, 1000)])
    found = latents_of(path, seeds)
    assert found.dtype == np.float32
    expected = np.concatenate([prior.sample(1, int(seed)) for seed in SEEDS])
    np.testing.assert_allclose(found[: len(SEEDS)], expected, atol=1e-5)
    drawn = prior.sample(20_000, 0).numpy()  # of one seed
    for axis in range(prior.latent_dim):
        # Ties, in discrete priors, only make it more lenient.
        assert stats.ks_2samp(found[:, axis], drawn[:, axis]).pvalue > 1e-4
    if distribution is not None:
        assert stats.kstest(found[:, 0], distribution.cdf).pvalue > 1e-4
    correlation = np.corrcoef(found[8:-1, 0], found[9:, 0])[0, 1]  # of neighbours
    assert abs(correlation) < 5 / np.sqrt(2000)


def test_a_prior_whose_sampler_cannot_be_exported(tmp_path, monkeypatch):
    prior = priors.Normal(3)

    def in_python(num_samples, seed):
        return tf.numpy_function(
            lambda seed: np.zeros((1, 3), np.float32), [seed], tf.float32
        )

    generator, _ = helpers.tiny_networks()
    monkeypatch.setattr(prior, "sample", in_python)
    monkeypatch.setattr(
        publishing.signatures,
        "inputs_of_seeds",
        lambda *a: {"latents": np.zeros((4, 3), "f")},
    )
    with pytest.raises(ValueError, match=r"sample calls Python \(PyFunc") as caught:
        export.export_generator(generator, prior, tmp_path / "base", value_range=None)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# === Networks ===


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A user's own network: no functional graph, no `input_shape`."""

    def __init__(self, units=6, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = keras.layers.Dense(units, activation="relu")
        self.normalized = keras.layers.BatchNormalization()
        self.dropped = keras.layers.Dropout(0.5)
        self.last = keras.layers.Dense(20, activation="sigmoid")
        self.shaped = keras.layers.Reshape((4, 5, 1))

    def call(self, latents, training=False):
        x = self.normalized(self.hidden(latents), training=training)
        return self.shaped(self.last(self.dropped(x, training=training)))

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def check_equal(gan, path, atol=1e-6):
    latents = gan.latent_prior.sample(20, 0).numpy()
    samples = gan.predict(latents, verbose=0)
    if gan.value_range is not None:
        samples = to_unit(samples, gan.value_range)
    (found,) = loaded(path, "serving_default", latents=latents).values()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, samples, atol=atol)


def training_data():
    """Returns a dataset of one batch, whose values use all of (0, 1)."""
    samples = np.random.default_rng(0).random((8, 4, 5, 1), np.float32)
    return tf.data.Dataset.from_tensors(samples)


def test_a_users_own_network(tmp_path):
    reference = image_gan()
    gan = keras_gan.GAN(Subclassed(), reference.discriminator, priors.Normal(3), seed=0)
    compiled(gan, ema_decay=0.5)
    gan.fit(training_data().repeat(3), verbose=0)
    path = gan.export(tmp_path)
    check_equal(gan, path)
    assert export.read_card(path)["sample_shape"] == [4, 5, 1]


def test_the_average_is_exported(tmp_path):
    gan = compiled(image_gan(), ema_decay=0.9)
    gan.fit(training_data().repeat(5), verbose=0)
    path = gan.export(tmp_path)
    check_equal(gan, path)
    latents = gan.latent_prior.sample(20, 0).numpy()
    found = loaded(path, "serving_default", latents=latents)["images"]
    raw = gan.generator.predict(latents, verbose=0)
    assert np.abs(found - raw).max() > 1e-3
    card = export.read_card(path)
    assert card["averaged"] and card["step"] == 5


@pytest.mark.slow
def test_trained_with_xla(tmp_path):
    gan = compiled(image_gan(), jit_compile=True)
    gan.fit(training_data(), verbose=0)
    path = gan.export(tmp_path)
    check_equal(gan, path, atol=1e-5)
    assert verifier.graph_faults(path) == []


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_float32_at_the_boundary(tmp_path, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        gan = image_gan((-1.0, 1.0), activation="tanh")
        path = gan.export(tmp_path)
        signature = tf.saved_model.load(str(path)).signatures["serving_default"]
        assert signature.structured_outputs["images"].dtype == tf.float32
        card = export.read_card(path)
        assert card["precision_policy"] == policy
        check_equal(gan, path, atol=card["tolerance"])
        assert 1e-3 < card["tolerance"] < 0.05
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("fault", ["jit", "python", "seed"])
def test_a_generator_that_a_server_cannot_run_is_not_published(tmp_path, fault):
    @keras.saving.register_keras_serializable("tests")
    class Faulty(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(1)

        def call(self, x):
            if fault == "jit":
                return tf.function(lambda x: 2 * x, jit_compile=True)(x)
            if fault == "python":
                y = tf.numpy_function(lambda x: x, [x], tf.float32)
                return tf.ensure_shape(y, x.shape)
            return x + keras.random.normal((8,), seed=self.seeds)

        def compute_output_spec(self, x):
            return keras.KerasTensor(x.shape, x.dtype)

    fault_message = {
        "jit": "must be compiled by XLA",
        "python": "calls Python",
        "seed": r"assigns to a variable \(Assign",
    }[fault]
    gan = image_gan(hidden=[Faulty()])
    with pytest.raises(ValueError, match=fault_message) as caught:
        gan.export(tmp_path / "base")
    assert str(caught.value).startswith("A server cannot run the generator 'tiny': ")
    assert list(tmp_path.iterdir()) == []


def test_one_seeds_weights_in_two_layers_are_not_twice(tmp_path):
    init = keras.initializers.GlorotUniform(seed=0)
    generator = keras.Sequential(
        [keras.Input((4,))]
        + [keras.layers.Dense(4, kernel_initializer=init) for _ in range(2)]
    )
    first, second = (layer.kernel.numpy() for layer in generator.layers)
    np.testing.assert_array_equal(first, second)
    export.export_generator(generator, priors.Normal(4), tmp_path, value_range=None)


def test_weights_are_stored_once(tmp_path):
    generator = keras.Sequential(
        [keras.Input((100,)), keras.layers.Dense(2000), keras.layers.Dense(16)]
    )
    path = export.export_generator(
        generator, priors.Normal(100), tmp_path, value_range=None
    )
    weights = sum(weight.nbytes for weight in generator.get_weights())
    stored = sum(file.stat().st_size for file in (path / "variables").iterdir())
    assert weights <= stored < 1.05 * weights
    assert (path / "saved_model.pb").stat().st_size < 2e5
    assert export.read_card(path)["weight_bytes"] == weights


# The paper's layers, 8000 units as 8: what differs from the presets is their width.
SMALL = {"tfd", "tfd_stage2", "cifar10_mlp"}


def preset_gan(preset, monkeypatch):
    """The preset's GAN as `building.build` makes it, wide layers made small."""
    real = keras.layers.Dense.__init__

    def narrow(self, units, *arguments, **options):
        if preset.name in SMALL and units == 8000:
            units = 120
        real(self, units, *arguments, **options)

    monkeypatch.setattr(keras.layers.Dense, "__init__", narrow)
    shape = {"tfd": (48, 48, 1), "cifar10": (32, 32, 3), "mnist": (28, 28, 1)}
    networks = keras_gan.networks
    prior = building.build_prior(preset.prior)
    if preset.name in ("mnist", "mnist_tuned"):
        generator, _ = networks.paper_mlp(shape["mnist"], seed=0)
    elif preset.name in ("tfd", "tfd_stage2"):
        generator, _ = networks.paper_mlp(shape["tfd"], size="tfd", seed=0)
        if preset.name == "tfd_stage2":
            generator, _ = networks.paper_tfd_stage2(shape["tfd"], generator, seed=0)
    elif preset.name == "cifar10_mlp":
        generator, _ = networks.paper_cifar_mlp(shape["cifar10"], seed=0)
    elif preset.networks.name == "paper_cifar_conv":
        generator, _ = networks.paper_cifar_conv(seed=0)
    elif preset.networks.name == "bigan_mlp":
        generator, *_ = networks.bigan_mlp(
            shape["mnist"], preset.prior.latent_dim, seed=0, **preset.networks.arguments
        )
    elif preset.networks.name == "dcgan":
        size = {"pictures64": (64, 64, 3), "mnist_conv": (28, 28, 1)}
        shape = size.get(preset.name, (32, 32, 3))
        spec = SampleSpec.of(shape, preset.data.value_range)
        generator, _ = networks.dcgan(
            spec, preset.prior.latent_dim, seed=0, **preset.networks.arguments
        )
    else:
        data = building.load_data(preset.data)
        return building.build(preset, data).generator, prior
    return generator, prior


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        if preset.networks.name in ("paper_cifar_conv", "paper_cifar_mlp")
        or name in ("mnist", "mnist_tuned", "mnist_bigan", "grid25", "ring8")
        or name in ("tfd", "tfd_stage2")
        or (preset.networks.name == "dcgan" and name != "mnist_conv")
        else name
        for name, preset in experiments.PRESETS.items()
        if not preset.data.conditional
    ],
)
def test_networks_of_every_preset(tmp_path, monkeypatch, name):
    preset = experiments.PRESETS[name]
    generator, prior = preset_gan(preset, monkeypatch)
    toy = preset.networks.name == "toy_mlp"
    value_range = None if toy else preset.data.value_range or (0.0, 1.0)
    if preset.data.contrast_normalization:
        value_range = (-2.0, 2.0)
    path = export.export_generator(generator, prior, tmp_path, value_range=value_range)
    assert ("png" in export.read_signatures(path)) != toy
    latents = prior.sample(9, 1).numpy()
    (found,) = loaded(path, "serving_default", latents=latents).values()
    expected = generator.predict(latents, verbose=0)
    if not toy:
        expected = to_unit(expected, value_range)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    stored = sum(file.stat().st_size for file in (path / "variables").iterdir())
    assert stored < 1.05 * export.read_card(path)["weight_bytes"] + 4000


# === Loading ===


@pytest.mark.parametrize("value_range", [helpers.slow((0.0, 1.0)), (-3.0, 3.0), None])
def test_an_export_draws_as_its_gan_does(tmp_path, value_range):
    gan = image_gan(value_range, activation="linear")
    path = gan.export(tmp_path)
    for where in (path, tmp_path):
        generator = runs.load_generator(where)
        assert isinstance(generator, export.ExportedGenerator)
        assert generator.path == path
        assert generator.sample_shape == gan.sample_shape
        assert generator.value_range == gan.value_range
        assert generator.latent_prior.get_config() == gan.latent_prior.get_config()
        drawn = generator.generate(30, seed=7, batch_size=8)
        expected = gan.generate(30, seed=7)
        if value_range is not None:
            expected = np.clip(expected, *value_range)
        assert drawn.dtype == np.float32
        np.testing.assert_allclose(drawn, expected, atol=1e-5)
    for arguments in ((0,), ("3",), (True,), (2.0,), (3, 0, 0)):
        with pytest.raises(
            ValueError, match="Expected `(num_samples|batch_size)` to be an int"
        ):
            generator.generate(*arguments)
    with pytest.raises(ValueError, match="Expected"):
        generator.generate(3, seed="x")


def test_an_older_export_of_vectors_as_images(version, tmp_path):
    """Vectors with a range were mapped to [0, 1], and cards had no spec."""
    module = tf.Module()

    def serving_default(latents):
        return {"images": tf.clip_by_value((latents + 2.0) / 6.0, 0.0, 1.0)}

    spec = tf.TensorSpec((None, 3), tf.float32, "latents")
    function = tf.function(serving_default).get_concrete_function(spec)
    path = tmp_path / "1"
    tf.saved_model.save(module, str(path), {"serving_default": function})
    card = export.read_card(version)
    del card["spec"]
    card |= {"sample_shape": [3], "value_range": [-2.0, 4.0], "output": "images"}
    (path / "assets.extra").mkdir()
    cards.write_card(path, card)
    reseal(path)
    generator = export.ExportedGenerator(path)
    assert (generator.sample_shape, generator.value_range) == ((3,), (-2.0, 4.0))
    latents = generator.latent_prior.sample(500, 1).numpy()
    assert latents.min() < -2
    drawn = generator.generate(500, seed=1)
    np.testing.assert_allclose(drawn, np.clip(latents, -2, 4), atol=1e-6)


def test_damaged_exports_are_one_line(version, tmp_path):
    for damage in ("saved_model.pb", "variables/variables.index", export.CARD):
        path = shutil.copytree(version, tmp_path / damage.replace("/", "-") / "1")
        content = (path / damage).read_bytes()
        (path / damage).write_bytes(content[: len(content) // 3])
        for where in (path, path.parent):
            with pytest.raises(ValueError, match="that keras_gan exported") as caught:
                runs.load_generator(where)
            assert "\n" not in str(caught.value)
    shutil.rmtree(tmp_path / export.CARD.replace("/", "-"))
    with pytest.raises(ValueError, match="Expected a directory with exported versions"):
        export.ExportedGenerator(tmp_path)
    with pytest.raises(ValueError, match="or an exported generator"):
        runs.load_generator(tmp_path / "nothing")


@pytest.mark.slow
def test_a_run_and_its_export(tmp_path, capsys):
    preset = experiments.get_preset("digits", {"epochs": 1, "latent_dim": 10})
    workdir = tmp_path / "run"
    runs.train(runs.Run(workdir, preset))
    gan = runs.load_gan(workdir)
    path = runs.export_run(workdir)
    assert path == workdir / "export" / "1"
    card = export.read_card(path)
    assert (card["dataset"], card["experiment"]["name"]) == ("digits", "digits")
    assert card["step"] > 0 and "scores" not in card
    for where in (workdir, workdir / "gan.keras"):
        assert isinstance(runs.load_generator(where), keras_gan.GAN)
    for where in (path, path.parent):
        drawn = runs.load_generator(where).generate(5, seed=1)
        np.testing.assert_allclose(drawn, gan.generate(5, seed=1), atol=1e-5)
    runs.write_samples(path, tmp_path / "a.npz", 5, seed=1)
    with np.load(tmp_path / "a.npz") as file:
        np.testing.assert_array_equal(file["samples"], drawn)
    before = cards.digests(path)
    options = {"num_samples": 200, "features": "pixels"}
    report = scoring.evaluate(path, **options)
    reference = scoring.evaluate(workdir, **options)
    assert report["protocol_hash"] == reference["protocol_hash"]
    scores = [r["rows"]["samples"] for r in (report, reference)]
    numbers = [k for k, v in scores[1].items() if isinstance(v, float)]
    assert len(numbers) > 2
    for key in numbers:
        assert scores[0][key] == pytest.approx(scores[1][key], rel=1e-2), key
    assert cards.digests(path) == before  # evaluating writes nothing into it
    # The run has scores now, of this very step.
    second = runs.export_run(workdir / "gan.keras", base=tmp_path / "base", version=5)
    assert second == tmp_path / "base" / "5"
    assert export.read_card(second)["scores"]["rows"] == reference["rows"]
