"""Networks with labels: how these enter, by hand, and what they leave as it was."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import conditional, networks, penalties
from keras_gan.conditional import ConditionalBatchNormalization, LabelProjection
from keras_gan.layers import Maxout, SpectralNormalization
from tests import extensions
from tests.test_networks_conv import PLAIN, kernels_of, normal

IMAGE = (8, 8, 1)
# Each builder at its smallest: the shape of a sample, and its arguments.
SMALL = {
    "digits_mlp": (IMAGE, {}),
    "paper_mlp": (IMAGE, {}),
    "paper_tfd_stage2": (IMAGE, {}),
    "paper_cifar_mlp": (IMAGE, {}),
    "paper_cifar_conv": ((32, 32, 3), {}),
    "toy_mlp": ((2,), {"units": 8}),
    "dcgan": (IMAGE, {"width": 4}),
    "resnet": (IMAGE, {"width": 8}),
    "r3gan": (IMAGE, {"width": 8, "depth": 1}),
}
CONVOLUTIONAL = ("dcgan", "resnet", "r3gan")
# Those with millions of weights.
LARGE = ("paper_cifar_mlp", "paper_cifar_conv")
FAST = [name for name in SMALL if name not in LARGE]
LABELS = np.array([2, 0, 1, 1], np.int32)


def marked(names, slow=LARGE):
    return [
        pytest.param(name, marks=pytest.mark.slow) if name in slow else name
        for name in names
    ]


def small(name, num_classes=3, seed=0, **options):
    """A pair with 3 latents, conditional by default."""
    shape, defaults = SMALL[name]
    options = {"num_classes": num_classes, "seed": seed, **defaults, **options}
    if name == "paper_tfd_stage2" and "pretrained_generator" not in options:
        pretrained, _ = networks.digits_mlp(IMAGE, latent_dim=6, seed=9)
        options["pretrained_generator"] = pretrained
    return networks.BUILDERS[name](shape, latent_dim=3, **options)


def prior(probabilities=(0.2, 0.3, 0.5), latents=None):
    return keras_gan.priors.Labelled(
        latents or keras_gan.priors.Normal(3), np.asarray(probabilities)
    )


def gan_of(pair, latent_prior=None, rate=0.1, **options):
    """A compiled GAN of a pair with three classes."""
    shape = pair[0].output_shape[1:]
    gan = keras_gan.GAN(
        *pair,
        latent_prior=latent_prior or prior(),
        value_range=(0.0, 1.0) if len(shape) > 1 else None,
        seed=0,
    )
    sgd = [keras.optimizers.SGD(rate) for _ in range(2)]
    gan.compile(*sgd, **options)
    return gan


def step(gan, labels=LABELS, seed=0):
    """The logs of one training step on examples in the range of images."""
    shape = (len(labels), *gan.sample_shape)
    x = np.random.default_rng(seed).uniform(size=shape).astype(np.float32)
    gan.reset_metrics()
    logs = gan.train_on_batch(x, labels, return_dict=True)
    return {name: float(value) for name, value in logs.items()}


def generated(generator, labels, training=False):
    latents = np.tile(normal(1, 3), (len(labels), 1))
    inputs = {"latents": latents, "labels": np.asarray(labels, np.int32)}
    return np.asarray(generator(inputs, training=training))


def judged(discriminator, labels, training=False):
    shape = discriminator.input["samples"].shape[1:]
    samples = np.tile(np.abs(normal(1, *shape)), (len(labels), *[1] * len(shape)))
    inputs = {"samples": samples, "labels": np.asarray(labels, np.int32)}
    return np.asarray(discriminator(inputs, training=training))


def layers_of(network, kind):
    inner = [getattr(layer, "layer", layer) for layer in network.layers]
    return [layer for layer in inner if isinstance(layer, kind)]


# === Every builder ===


def test_the_list_is_complete():
    # All but the one whose networks are those of a BiGAN, which takes no labels.
    assert [*SMALL, "bigan_mlp"] == list(networks.BUILDERS)


@pytest.mark.parametrize("num_classes", [None, 1, 3])
@pytest.mark.parametrize("name", marked(SMALL))
def test_with_and_without_labels(name, num_classes):
    generator, discriminator = pair = small(name, num_classes)
    shape, _ = SMALL[name]
    for network, key, wanted in (
        (generator, "latents", (None, 3)),
        (discriminator, "samples", (None, *shape)),
    ):
        if num_classes is None:
            assert network.input_shape == wanted
            assert not layers_of(network, (keras.layers.Embedding, LabelProjection))
            assert not layers_of(network, ConditionalBatchNormalization)
            continue
        assert set(network.input) == {key, "labels"}
        labels = network.input["labels"]
        assert network.input[key].shape == wanted and labels.shape == (None,)
        assert labels.dtype == "int32" and network.input[key].dtype == "float32"
    assert generator.output_shape == (None, *shape)
    assert discriminator.output_shape == (None, 1)
    bounds = (0.0, 1.0) if len(shape) > 1 else None
    normal_prior = keras_gan.priors.Normal(3)
    its_prior, other = normal_prior, prior()
    if num_classes is not None:
        its_prior = prior(np.full(num_classes, 1 / num_classes))
        other = normal_prior
    gan = keras_gan.GAN(*pair, its_prior, bounds, seed=1)
    samples = gan.generate(5, seed=2)
    assert samples.shape == (5, *shape) and samples.dtype == np.float32
    inputs = its_prior.sample(5, 2)
    error = 1e-6 * np.abs(samples).max()
    np.testing.assert_allclose(generator(inputs), samples, rtol=1e-5, atol=error)
    with pytest.raises(ValueError, match="^Expected a .* that takes") as error:
        keras_gan.GAN(*pair, other, bounds)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("wrong", [0, -1, True, 2.0, "3"])
def test_a_number_of_classes_is_an_int(name, wrong):
    message = "^Expected `num_classes` to be an int >= 1. Received"
    with pytest.raises(ValueError, match=message):
        small(name, wrong)


def differences(values):
    """How far rows 0, 1 and 2 are apart at least; rows 1 and 3 are to be equal."""
    np.testing.assert_allclose(values[3], values[1], rtol=1e-5, atol=1e-6)
    pairs = ((0, 1), (0, 2), (1, 2))
    return min(np.abs(values[i] - values[j]).max() for i, j in pairs)


@pytest.mark.parametrize("name", marked(SMALL))
def test_labels_change_what_both_networks_say(name):
    generator, discriminator = small(name)
    labels = [0, 1, 2, 1]
    assert differences(judged(discriminator, labels)) > 1e-7
    # Conditional batch normalisation starts without a difference, anywhere in G.
    norms = layers_of(generator, ConditionalBatchNormalization)
    assert bool(norms) == (name in ("dcgan", "resnet"))
    if not norms:
        assert differences(generated(generator, labels)) > 1e-4
        return
    images = generated(generator, labels)
    np.testing.assert_allclose(images, np.repeat(images[:1], 4, 0), atol=1e-6)
    for weight in (weight for norm in norms for weight in (norm.gain, norm.shift)):
        start = weight.numpy()
        weight.assign(start + normal(*start.shape))
        assert differences(generated(generator, labels)) > 1e-6
        weight.assign(start)


@pytest.mark.parametrize("name", FAST)
def test_weights_are_a_function_of_the_seed(name):
    first, again, other = (small(name, seed=seed) for seed in (5, 5, 6))
    for a, b, c in zip(first, again, other, strict=True):
        for x, y in zip(a.weights, b.weights, strict=True):
            np.testing.assert_array_equal(x.numpy(), y.numpy())
        tables = [
            [w.numpy() for w in model.weights if w.name == "embeddings"]
            for model in (a, c)
        ]
        for x, y in zip(*tables, strict=True):
            assert (x != y).all()
    # The label's vector of D is not that of G.
    tables = [
        w.numpy().ravel()[:3] / w.numpy().std()
        for model in first
        for w in model.weights
        if w.name == "embeddings"
    ]
    assert len({round(float(t[0]), 5) for t in tables}) == len(tables) >= 1


@pytest.mark.parametrize(
    "name", marked(FAST, ("paper_mlp", "paper_tfd_stage2", "resnet"))
)
def test_a_pair_trains_and_survives_saving(name, tmp_path):
    # The last weights of the 2014 discriminators start at +-.005: gradients are small.
    rate = 10.0 if name.startswith("paper") else 0.1
    gan = gan_of(small(name), rate=rate, loss="relativistic")
    before = [w.numpy() for w in gan.trainable_weights if len(w.shape) > 1]
    logs = [step(gan) for _ in range(2)][-1]
    assert all(np.isfinite(value) for value in logs.values())
    after = [w.numpy() for w in gan.trainable_weights if len(w.shape) > 1]
    assert all((a != b).any() for a, b in zip(before, after, strict=True))
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    samples = gan.generate(4, seed=4)
    np.testing.assert_array_equal(loaded.generate(4, seed=4), samples)
    inputs = {"samples": samples, "labels": LABELS}
    np.testing.assert_array_equal(
        loaded.discriminator(inputs), gan.discriminator(inputs)
    )
    for ours, theirs in zip(
        gan.discriminator.layers, loaded.discriminator.layers, strict=True
    ):
        assert type(theirs) is type(ours) and theirs.dtype_policy == ours.dtype_policy


# The sum of all |weights| of G and of D, made before there were labels.
FROZEN = {
    "dcgan": (16.019632601390185, 3.810218151873414),
    "resnet": (315.22168688476086, 175.6626549512148),
    "r3gan": (956.9482302621509, 794.8064386209381),
}


@pytest.mark.parametrize("name", FROZEN)
def test_initial_weights_without_labels_are_frozen(name):
    pair = networks.BUILDERS[name](
        (9, 12, 2), latent_dim=3, width=4 if name == "dcgan" else 8, seed=0
    )
    sums = [
        sum(np.abs(w.numpy().astype(np.float64)).sum() for w in network.weights
            if w.name != "left")  # of spectral normalisation
        for network in pair
    ]  # fmt: skip
    np.testing.assert_allclose(sums, FROZEN[name], rtol=1e-6)


# === Joined to the inputs ===


@pytest.mark.parametrize("name", ["digits_mlp", "paper_mlp", "toy_mlp"])
@pytest.mark.parametrize(("num_classes", "size"), [(3, 3), (64, 64), (1000, 64)])
def test_a_labels_vector_joins_the_inputs(name, num_classes, size):
    generator, discriminator = small(name, num_classes)
    labels = np.array([num_classes - 1, 0, 2], np.int32)
    shape, _ = SMALL[name]
    for network, key, inputs in (
        (generator, "latents", normal(3, 3)),
        (discriminator, "samples", normal(3, *shape)),
    ):
        (embedding,) = layers_of(network, keras.layers.Embedding)
        table = embedding.embeddings.numpy()
        assert table.shape == (num_classes, size)
        assert table.std() == pytest.approx(1, rel=4 / math.sqrt(2 * table.size))
        first = layers_of(network, (keras.layers.Dense, Maxout))[0]
        width = math.prod(inputs.shape[1:]) + size
        assert first.kernel.shape[0] == width
        probe = keras.Model(network.input, first.input)
        expected = np.concatenate([inputs.reshape(3, -1), table[labels]], axis=1)
        found = probe({key: inputs, "labels": labels})
        np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["digits_mlp", *marked(["paper_cifar_conv"])])
def test_a_label_is_not_dropped_out(name):
    _, discriminator = small(name)
    (embedding,) = layers_of(discriminator, keras.layers.Embedding)
    first = layers_of(discriminator, Maxout)[0]
    probe = keras.Model(discriminator.input, first.input)
    samples = np.abs(normal(4, *SMALL[name][0])) + 0.1
    found = np.asarray(probe({"samples": samples, "labels": LABELS}, training=True))
    np.testing.assert_array_equal(found[:, -3:], embedding.embeddings.numpy()[LABELS])
    assert (found[:, :-3] == 0).any()


def test_packs_hold_the_label_of_each_sample():
    _, discriminator = small("toy_mlp", pack=2)
    (embedding,) = layers_of(discriminator, keras.layers.Embedding)
    first = layers_of(discriminator, keras.layers.Dense)[0]
    samples = normal(4, 2)
    found = keras.Model(discriminator.input, first.input)(
        {"samples": samples, "labels": LABELS}
    )
    rows = np.concatenate([samples, embedding.embeddings.numpy()[LABELS]], axis=1)
    np.testing.assert_allclose(found, np.concatenate([rows[:2], rows[2:]], axis=1))
    logs = step(gan_of(small("toy_mlp", pack=2)))
    assert np.isfinite(list(logs.values())).all()


def test_the_second_stage_passes_labels_to_a_generator_that_takes_them():
    pretrained, _ = networks.digits_mlp(IMAGE, latent_dim=6, num_classes=3, seed=9)
    generator, _ = small("paper_tfd_stage2", pretrained_generator=pretrained)
    front = keras.Model(generator.input, generator.layers[-2].output)
    latents = normal(4, 3)
    inputs = {"latents": latents, "labels": LABELS}
    expected = pretrained({"latents": front(inputs), "labels": tf.constant(LABELS)})
    np.testing.assert_allclose(generator(inputs), expected, rtol=1e-6)
    assert front(inputs).shape == (4, 6)
    # The old labels' vectors are trained on.
    ids = {id(w) for w in generator.trainable_weights}
    assert {id(w) for w in pretrained.weights} <= ids
    with pytest.raises(ValueError, match="^Expected `num_classes` of .*None$"):
        small("paper_tfd_stage2", None, pretrained_generator=pretrained)


# === Conditional batch normalisation and projections ===


@pytest.mark.parametrize("name", ["dcgan", "resnet"])
@pytest.mark.parametrize(
    "normalization", ["batch", pytest.param(None, marks=pytest.mark.slow)]
)
def test_labels_enter_g_by_its_normalisation_or_by_its_latents(name, normalization):
    options = {"generator_normalization": normalization}
    if name == "dcgan":
        options["dense_units"] = 5
    generator, _ = small(name, **options)
    plain, _ = small(name, None, **options)
    norms = layers_of(generator, ConditionalBatchNormalization)
    plain_norms = layers_of(plain, keras.layers.BatchNormalization)
    assert len(norms) == len(plain_norms)
    assert bool(norms) == (normalization == "batch")
    assert not layers_of(generator, keras.layers.BatchNormalization)
    for ours, theirs in zip(norms, plain_norms, strict=True):
        assert ours.gain.shape == ours.shift.shape == (3, *theirs.gamma.shape)
        assert ours.get_config()["momentum"] == theirs.momentum == 0.9
        assert ours.get_config()["epsilon"] == theirs.epsilon == 1e-5
    embeddings = layers_of(generator, keras.layers.Embedding)
    assert len(embeddings) == (normalization is None)
    first = layers_of(generator, keras.layers.Dense)[0]
    assert first.kernel.shape[0] == (6 if embeddings else 3)
    # One class makes the samples that the plain generator makes.
    one, _ = small(name, 1, **options)
    if normalization == "batch":
        ours = [w for w in one.weights if w.name in ("kernel", "bias")]
        theirs = [w for w in plain.weights if w.name in ("kernel", "bias")]
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
        latents = normal(4, 3)
        for training in (False, True):
            found = one({"latents": latents, "labels": 0 * LABELS}, training=training)
            expected = plain(latents, training=training)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("dcgan", {}, 4),
        ("dcgan", {"dense_units": 5}, 5),
        ("dcgan", {"discriminator_normalization": "spectral"}, 4),
        ("dcgan", {"minibatch_stddev": True}, 5),
        ("resnet", {}, 4),
        ("resnet", {"discriminator_normalization": None}, 4),
    ],
)
def test_d_adds_the_projection_of_what_its_last_layer_sees(name, options, size):
    _, discriminator = small(name, **options)
    last = discriminator.layers[-1]
    assert isinstance(last, keras.layers.Add) and last.compute_dtype == "float32"
    logits, projection = (x._keras_history.operation for x in last.input)
    features, seen = projection.input[0], logits.input
    assert features.shape == (None, size)
    # Of maps of 4x4 places the last layer sees all, and the label their means.
    is_of_maps = name == "dcgan" and "dense_units" not in options
    assert seen.shape == (None, 16 * size if is_of_maps else size)
    inputs = {"samples": np.abs(normal(4, *IMAGE)), "labels": LABELS}
    outputs = keras.Model(
        discriminator.input, [features, seen, logits.output, discriminator.output]
    )(inputs)
    features, seen, psi, found = (np.asarray(x, np.float64) for x in outputs)
    means = seen.reshape(len(seen), -1, size).mean(axis=1)
    np.testing.assert_allclose(features, means, rtol=1e-5, atol=1e-7)
    is_spectral = isinstance(projection, SpectralNormalization)
    default = "spectral" if name == "resnet" else "batch"
    expected = options.get("discriminator_normalization", default) == "spectral"
    assert is_spectral == isinstance(logits, SpectralNormalization) == expected
    table = (projection.layer if is_spectral else projection).embeddings.numpy()
    assert table.shape == (3, size)
    sigma = float(projection.sigma()) if is_spectral else 1.0
    expected = psi + np.sum(features * table[LABELS] / sigma, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(found - psi).min() > 0


def test_a_projections_embedding_starts_like_a_layer_of_its_features():
    for options, deviation in (
        ({}, 0.02),
        ({"discriminator_normalization": None}, math.sqrt(2 / 4)),
        ({"discriminator_normalization": "spectral"}, math.sqrt(2 / 4)),
    ):
        _, discriminator = small("dcgan", 200, **options)
        (layer,) = layers_of(discriminator, LabelProjection)
        assert layer.embeddings.numpy().std() == pytest.approx(deviation, rel=0.03)
    _, discriminator = small("resnet", 200)
    (layer,) = layers_of(discriminator, LabelProjection)
    bound = math.sqrt(6 / (200 + 4))
    assert 0.9 * bound < np.abs(layer.embeddings.numpy()).max() <= bound


def test_the_parameters_of_a_conditional_resnet():
    generator, discriminator = (
        sum(w.shape.num_elements() for w in network.trainable_weights)
        for network in networks.resnet((32, 32, 3), width=256, num_classes=10)
    )
    # Six norms in blocks and one at the end have ten gains and shifts of 256 channels.
    assert generator == 4_276_739 + 9 * 7 * 512
    assert discriminator == 1_053_825 + 10 * 128


def test_r3gan_embeds_labels_as_its_papers_code_does():
    classes, width = 500, 8
    generator, discriminator = small("r3gan", classes)
    (embedding,) = layers_of(generator, keras.layers.Embedding)
    table = embedding.embeddings.numpy()
    assert table.shape == (classes, 3)  # as many as latents
    assert table.std() == pytest.approx(1 / math.sqrt(classes), rel=0.1)
    dense = layers_of(generator, keras.layers.Dense)[0]
    assert dense.kernel.shape[0] == 6
    features = discriminator.get_layer("features")
    assert features.kernel.shape == (width, width) and not features.use_bias
    (projection,) = layers_of(discriminator, LabelProjection)
    table = projection.embeddings.numpy()
    assert table.shape == (classes, width)
    assert table.std() == pytest.approx(1 / math.sqrt(classes * width), rel=0.1)
    # There is no logit but the projection.
    assert discriminator.layers[-1] is projection
    labels = np.array([7, 499, 0, 7], np.int32)
    inputs = {"samples": np.abs(normal(4, *IMAGE)), "labels": labels}
    probe = keras.Model(discriminator.input, [features.output, discriminator.output])
    seen, found = (np.asarray(x, np.float64) for x in probe(inputs))
    expected = np.sum(seen * table[labels], axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    _, spectral = small("r3gan", discriminator_normalization="spectral")
    wrapped = [x for x in spectral.layers if isinstance(x, SpectralNormalization)]
    assert not any(x.weights for x in spectral.layers if x not in wrapped)
    assert len(layers_of(spectral, LabelProjection)) == 1


def test_kerass_own_spectral_normalisation_of_an_embedding_is_refused():
    generator, _ = small("toy_mlp")
    samples = keras.Input((2,), name="samples")
    labels = keras.Input((), dtype="int32", name="labels")
    embedded = keras.layers.SpectralNormalization(keras.layers.Embedding(3, 2))(labels)
    logits = keras.layers.Dot(axes=1)([samples, embedded])
    theirs = keras.Model({"samples": samples, "labels": labels}, logits)
    with pytest.raises(ValueError, match="keras_gan.layers.SpectralNormalization"):
        keras_gan.GAN(generator, theirs, prior(), None)


def test_the_summary_counts_by_hand():
    pair = networks.dcgan(IMAGE, 3, width=4, num_classes=10, seed=0)
    # Ten gains and shifts of 4 channels where one was; an embedding of 4 channels.
    assert networks.summary(*pair) == (
        "generator:     337 parameters, 1,488 multiply-adds an example\n"
        "discriminator: 173 parameters, 1,157 multiply-adds an example"
    )
    _, spectral = networks.dcgan(
        IMAGE, 3, 4, discriminator_normalization="spectral", num_classes=10
    )
    assert networks.multiply_adds(spectral) == 1_157


# === Mixtures of classes ===


def trained_away(generator):
    """Moves every weight, so that no table is what it was made as."""
    for i, weight in enumerate(generator.trainable_weights):
        weight.assign(weight + 0.1 * normal(*weight.shape, seed=i))
    return generator


# Every builder, and the other places where labels enter some of them.
MIXED = [
    *((name, {}) for name in SMALL),
    ("dcgan", {"generator_normalization": None}),
    ("resnet", {"generator_normalization": None}),
    ("paper_tfd_stage2", {"pretrained_generator": "conditional"}),
]


def one_hot(labels):
    return np.eye(3, dtype=np.float32)[labels]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(*each, marks=pytest.mark.slow) if each[0] in LARGE else each
        for each in MIXED
    ],
)
def test_one_hot_weights_give_what_the_label_gives(name, options):
    if options.get("pretrained_generator"):
        options = {"pretrained_generator": small("digits_mlp", seed=3)[0]}
    generator = trained_away(small(name, **options)[0])
    before = [w.numpy() for w in generator.weights]
    mixed = conditional.of_mixtures(generator)
    assert mixed.input["labels"].shape == (None, 3) and not mixed.trainable_weights
    assert [w.shape for w in mixed.weights] == [w.shape for w in generator.weights]
    latents = np.tile(normal(1, 3), (4, 1))
    expected = np.asarray(generator({"latents": latents, "labels": LABELS}))
    assert differences(expected[[1, 2, 0, 3]]) > 1e-3
    found = mixed({"latents": latents, "labels": one_hot(LABELS)})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    # A mixture is none of its classes, and depends on all of them.
    weights = np.float32([[0.4, 0.6, 0], [0.4, 0, 0.6], [0, 0.6, 0.4], [0.4, 0, 0.6]])
    assert differences(np.asarray(mixed({"latents": latents, "labels": weights}))) > 0
    # The one that is copied stays as it was, and takes labels still.
    again = generator({"latents": latents, "labels": LABELS})
    np.testing.assert_array_equal(again, expected)
    for old, new in zip(before, generator.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"], indirect=True)
@pytest.mark.parametrize("name", ["digits_mlp", "dcgan"])
def test_one_hot_weights_in_16_bits(policy, name):
    generator = trained_away(small(name)[0])
    latents = normal(4, 3)
    expected = generator({"latents": latents, "labels": LABELS})
    found = conditional.of_mixtures(generator)(
        {"latents": latents, "labels": one_hot(LABELS)}
    )
    assert found.dtype == "float32"
    np.testing.assert_allclose(found, expected, rtol=2e-2, atol=2e-2)


def test_a_generator_of_the_users_takes_mixtures_where_it_embeds_labels():
    generator, _ = extensions.labelled_networks()
    latents, labels = normal(3, 3), np.array([2, 0, 1], np.int32)
    expected = generator({"latents": latents, "labels": labels})
    mixed = conditional.of_mixtures(generator)
    found = mixed({"latents": latents, "labels": one_hot(labels)})
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def own_generator(kind):
    """A generator of the user's, whose labels enter by other layers too, or alone."""
    latents = keras.Input((3,), name="latents")
    labels = keras.Input((), dtype="int32", name="labels")
    embedding = keras.layers.Embedding(3, 2)
    x = {
        "encoding": lambda: keras.layers.CategoryEncoding(3, "one_hot")(labels),
        "function": lambda: keras.ops.one_hot(labels, 3),
        "both": lambda: keras.layers.Concatenate()(
            [embedding(labels), keras.ops.one_hot(labels, 3)]
        ),
        # What casts weights to ints without a word.
        "within": lambda: keras.Sequential([keras.Input((), dtype="int32"), embedding])(
            labels
        ),
        "two": lambda: keras.layers.Concatenate()(
            [embedding(labels), keras.layers.Embedding(4, 2)(labels)]
        ),
    }[kind]()
    x = keras.layers.Dense(4)(keras.layers.Concatenate()([latents, x]))
    return keras.Model({"latents": latents, "labels": labels}, x, name="own")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("encoding", "in which none of these takes them"),
        ("function", "in which none of these takes them"),
        ("both", "where 'one_hot.*' takes them"),
        ("within", "in which none of these takes them"),
        ("two", "whose layers know 3 and 4 classes"),
    ],
)
def test_other_layers_of_labels_are_named_in_one_line(kind, reason):
    message = f"^Expected a functional generator .* Received: 'own', {reason}$"
    with pytest.raises(ValueError, match=message):
        conditional.of_mixtures(own_generator(kind))


def test_a_generator_without_labels_has_no_mixtures():
    for generator in (small("toy_mlp", None)[0], keras.Sequential(name="empty")):
        with pytest.raises(ValueError, match="'(generator|empty)', which has no such"):
            conditional.of_mixtures(generator)


# === Precision, gradients and modes ===


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("digits_mlp", "mixed_float16"),
        ("toy_mlp", "mixed_bfloat16"),
        *(
            pytest.param(name, policy, marks=pytest.mark.slow)
            for name, policy in (
                ("digits_mlp", "mixed_bfloat16"),
                ("dcgan", "mixed_float16"),
                ("dcgan", "mixed_bfloat16"),
                ("resnet", "mixed_float16"),
                ("resnet", "mixed_bfloat16"),
                ("r3gan", "mixed_float16"),
                ("r3gan", "mixed_bfloat16"),
            )
        ),
    ],
    indirect=["policy"],
)
def test_16_bits_end_in_float32_and_train(policy, name):
    options = {}
    if name in CONVOLUTIONAL:
        options["discriminator_normalization"] = "spectral"
    pair = small(name, **options)
    for network in pair:
        assert network.output.dtype == network.layers[-1].compute_dtype == "float32"
        variables = {w.dtype for w in network.trainable_weights}
        assert variables == {"float32"}
    for layer in layers_of(pair[1], LabelProjection):
        assert layer.compute_dtype == "float32"
    gan = gan_of(pair, rate=0.01)
    before = [w.numpy() for w in gan.trainable_weights]
    # In float16 the first steps may be skipped, until the loss scale fits.
    logs = [step(gan) for _ in range(12)][-1]
    assert all(np.isfinite(value) for value in logs.values())
    after = [w.numpy() for w in gan.trainable_weights]
    assert all(np.isfinite(w).all() for w in after)
    # The gradient of a bias before batch normalisation is 0.
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a.ndim > 1]
    assert all((a != b).any() for a, b in pairs)


@pytest.mark.parametrize("name", marked(CONVOLUTIONAL, ("dcgan",)))
def test_the_gradient_of_r1_is_that_of_its_differences(name):
    _, discriminator = small(name, **PLAIN[name])
    weights = discriminator.trainable_variables
    real = {"samples": tf.constant(normal(4, *IMAGE)), "labels": tf.constant(LABELS)}

    @tf.function
    def penalty():
        return penalties.R1(1.0)(discriminator, real, real, tf.constant([0, 0]))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            value = penalty()
        return [
            None if each is None else tf.convert_to_tensor(each)
            for each in tape.gradient(value, weights)
        ]

    if name == "r3gan":  # away from the identity, where most gradients are 0
        for kernel in kernels_of(discriminator):
            kernel.assign(kernel + 0.05 * normal(*kernel.shape, seed=1))
    found = [
        np.zeros(w.shape) if g is None else g.numpy()
        for w, g in zip(weights, gradients(), strict=True)
    ]
    for weight, gradient in zip(weights, found, strict=True):
        assert np.any(gradient) or weight.name not in ("kernel", "embeddings")
    norm = math.sqrt(sum((g**2).sum() for g in found))
    start, distance, values = [w.numpy() for w in weights], 1e-4, []
    for signed in (distance, -distance):
        for weight, value, gradient in zip(weights, start, found, strict=True):
            weight.assign(value + signed / norm * gradient)
        values.append(float(penalty()))
    assert (values[0] - values[1]) / (2 * distance) == pytest.approx(norm, rel=5e-3)


def stepped(name, mode):
    """The weights and the logs after one step with R1, on the same latents."""
    options = dict(PLAIN.get(name, {}))
    if "generator_normalization" in options:
        options["generator_normalization"] = "batch"
    # XLA draws other random numbers: one class alone, and latents that are fixed.
    fixed = prior((0.0, 1.0, 0.0), keras_gan.priors.get(fixed_latents()))
    gan = gan_of(
        small(name, **options),
        latent_prior=fixed,
        penalties=[penalties.R1(1.0)],
        jit_compile=mode == "xla",
        run_eagerly=mode == "eager",
    )
    logs = step(gan)
    return [w.numpy() for w in gan.trainable_weights], logs


def fixed_latents():
    tfd = keras_gan.priors.tfd
    return tfd.Independent(tfd.Deterministic(np.float32([0.3, -1.0, 0.7])), 1)


@pytest.mark.parametrize("name", marked(["toy_mlp", *CONVOLUTIONAL], CONVOLUTIONAL))
def test_a_step_is_the_same_in_every_mode(name):
    (first, logs), *others = (stepped(name, mode) for mode in ("graph", "eager", "xla"))
    assert logs["r1"] > 0
    for weights, its_logs in others:
        for x, y in zip(first, weights, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=2e-6)
        for key, value in logs.items():
            assert its_logs[key] == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("name", ["digits_mlp", "toy_mlp", *CONVOLUTIONAL])
def test_networks_of_fewer_classes_than_the_prior_are_refused(name):
    shape, options = SMALL[name]
    pair = getattr(networks, name)(shape, latent_dim=3, num_classes=3, **options)

    def gan_of(classes):
        prior = keras_gan.priors.Labelled(
            keras_gan.priors.Normal(3), np.full(classes, 1 / classes)
        )
        value_range = None if shape == (2,) else (0.0, 1.0)
        return keras_gan.GAN(*pair, prior, value_range=value_range)

    gan_of(3)
    with pytest.raises(ValueError, match="the prior's 4 classes.*has 3; build them"):
        gan_of(4)
