"""Networks: layer by layer as the paper's recipes have them, counted by hand."""

import gc
import inspect

import keras
import numpy as np
import pytest

import keras_gan
from keras_gan import networks
from keras_gan.layers import MaxoutConv2D, SparseNormal
from keras_gan.samples import SampleSpec


def layers_of(model):
    """The layers in order; networks and sequences inside are unfolded."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from layers_of(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield layer


def describe(model):
    """The layers in order, as what the recipes say of them."""
    described = []
    for layer in layers_of(model):
        kind = type(layer).__name__
        if kind == "Dense":
            described.append((kind, layer.units, layer.activation.__name__))
        elif kind == "Maxout":
            described.append((kind, layer.units, layer.pieces))
        elif kind == "MaxoutConv2D":
            sizes = (layer.kernel_size, layer.padding)
            pooling = (layer.pool_size, layer.pool_strides)
            described.append((kind, layer.filters, layer.pieces, sizes, pooling))
        elif kind == "Conv2DTranspose":
            sizes = (layer.kernel_size, layer.strides)
            described.append((kind, layer.filters, *sizes, layer.use_bias))
        elif kind == "Dropout":
            described.append((kind, round(layer.rate, 9)))
        elif kind == "GaussianNoise":
            described.append((kind, layer.stddev))
        elif kind == "Reshape":
            described.append((kind, layer.target_shape))
        else:
            described.append((kind,))
    return described


def maxout_mlp(units, rates=(0.2, 0.5)):
    """The recipes' fully connected discriminator."""
    return [
        ("Flatten",),
        ("Dropout", rates[0]),
        ("Maxout", units, 5),
        ("Dropout", rates[1]),
        ("Maxout", units, 5),
        ("Dropout", rates[1]),
        ("Dense", 1, "linear"),
    ]


def weighted(model):
    return [
        layer
        for layer in layers_of(model)
        if layer.weights and hasattr(layer, "kernel")
    ]


def check_initial_weights(model, iranges, biases=None):
    """Uniform on (-irange, irange), all of it; biases as said, 0 by default."""
    layers = weighted(model)
    assert len(layers) == len(iranges)
    for layer, irange in zip(layers, iranges, strict=True):
        if irange is not None:
            kernel = layer.kernel.numpy().ravel()
            assert np.abs(kernel).max() <= irange
            # 75 weights at least: 1 in 50 fail neither side.
            edge = 0.999 if len(kernel) > 20_000 else 0.9
            assert kernel.max() > edge * irange and kernel.min() < -edge * irange
            deviation = irange / np.sqrt(3)
            tolerance = 5 / np.sqrt(len(kernel))
            assert kernel.std() == pytest.approx(deviation, rel=tolerance)
            assert abs(kernel.mean()) < tolerance * deviation
        bias = getattr(layer, "bias", None)
        if bias is not None:
            value = (biases or {}).get(layers.index(layer), 0.0)
            np.testing.assert_array_equal(bias.numpy(), np.full(bias.shape, value))


def check_seeds_differ(*models):
    """No two layers share a seed, of weights or of masks."""
    seeds = []
    for model in models:
        for layer in layers_of(model):
            config = layer.get_config()
            if "seed" in config:
                seeds.append(config["seed"])
            if "kernel_initializer" in config:
                seeds.append(config["kernel_initializer"]["config"]["seed"])
    assert len(seeds) > 5 and None not in seeds
    assert len(set(seeds)) == len(seeds)


def check_constraints(models, bound):
    for model in models:
        for layer in weighted(model):
            constraint = layer.kernel_constraint
            if bound is None:
                assert constraint is None
            else:
                assert type(constraint) is keras.constraints.MaxNorm
                assert (constraint.max_value, constraint.axis) == (bound, 0)
            assert getattr(layer, "bias_constraint", None) is None


def check_config_round_trip(model):
    """The same layers from the configuration alone."""
    copy = keras.Model.from_config(model.get_config())
    assert describe(copy) == describe(model)
    assert copy.count_params() == model.count_params()
    del copy
    gc.collect()


# === The recipes ===


def test_paper_mlp_for_mnist():
    generator, discriminator = networks.paper_mlp((28, 28, 1), seed=1)
    assert describe(generator) == [
        ("Dense", 1200, "relu"),
        ("Dense", 1200, "relu"),
        ("Dense", 784, "sigmoid"),
        ("Reshape", (28, 28, 1)),
    ]
    assert describe(discriminator) == maxout_mlp(240)
    # 101 * 1200 + 1201 * 1200 + 1201 * 784, 785 * 1200 + 241 * 1200 + 241.
    assert generator.count_params() == 121_200 + 1_441_200 + 941_584
    assert discriminator.count_params() == 942_000 + 289_200 + 241
    assert generator.input_shape == (None, 100)
    assert generator.output_shape == discriminator.input_shape == (None, 28, 28, 1)
    assert discriminator.output_shape == (None, 1)
    check_initial_weights(generator, [0.05] * 3)
    check_initial_weights(discriminator, [0.005] * 3)
    check_constraints((generator, discriminator), None)
    check_seeds_differ(generator, discriminator)


@pytest.mark.slow
def test_paper_mlp_for_tfd():
    generator, discriminator = networks.paper_mlp((48, 48, 1), size="tfd", seed=1)
    assert describe(generator) == [
        ("Dense", 8000, "relu"),
        ("Dense", 8000, "sigmoid"),
        ("Dense", 2304, "sigmoid"),
        ("Reshape", (48, 48, 1)),
    ]
    assert describe(discriminator) == maxout_mlp(1200)
    # 101 * 8000 + 8001 * 8000 + 8001 * 2304, 2305 * 6000 + 1201 * 6000 + 1201.
    assert generator.count_params() == 808_000 + 64_008_000 + 18_434_304
    assert discriminator.count_params() == 13_830_000 + 7_206_000 + 1_201
    check_initial_weights(generator, [0.05, 0.05, None], biases={1: -2.0})
    check_initial_weights(discriminator, [0.005] * 3)
    output = weighted(generator)[2]
    assert type(output.kernel_initializer) is SparseNormal
    np.testing.assert_array_equal((output.kernel.numpy() != 0).sum(axis=0), 100)
    check_constraints((generator, discriminator), 1.9365)
    check_seeds_differ(generator, discriminator)
    check_config_round_trip(discriminator)
    keras_gan.GAN(generator, discriminator, keras_gan.priors.Normal(100))


def test_paper_tfd_stage2_contains_the_whole_pretrained_generator():
    # A small one stands in for 8000 units: any generator can be extended.
    pretrained, _ = networks.digits_mlp((8, 8, 1), latent_dim=30, seed=3)
    values = [variable.numpy().copy() for variable in pretrained.variables]
    generator, discriminator = networks.paper_tfd_stage2(
        (8, 8, 1), pretrained, latent_dim=40, seed=1
    )
    assert describe(generator) == [
        ("Dense", 8000, "relu"),
        ("Dense", 30, "sigmoid"),
        *describe(pretrained),
    ]
    assert describe(discriminator) == maxout_mlp(1200)
    assert any(layer is pretrained for layer in generator.layers)
    trainable = {id(variable) for variable in generator.trainable_variables}
    assert {id(variable) for variable in pretrained.variables} <= trainable
    # The two new layers' kernels and biases, and nothing else.
    assert len(trainable) == len(pretrained.variables) + 4
    for variable, value in zip(pretrained.variables, values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    # 41 * 8000 + 8001 * 30.
    new = 328_000 + 240_030
    assert generator.count_params() == new + pretrained.count_params()
    assert discriminator.count_params() == 65 * 6000 + 7_206_000 + 1_201
    front = keras.Sequential(generator.layers[1:3])
    check_initial_weights(front, [0.05, 0.05], biases={1: -2.0})
    check_initial_weights(discriminator, [0.005] * 3)
    check_constraints((front, discriminator), 1.9365)
    check_seeds_differ(front, discriminator)
    # The new layers' outputs are the latents of the old generator.
    latents = np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32)
    np.testing.assert_allclose(
        generator(latents), pretrained(front(latents)), rtol=1e-6
    )
    gan = keras_gan.GAN(generator, discriminator, keras_gan.priors.Normal(40))
    gan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
    gan.train_on_batch(np.full((4, 8, 8, 1), 0.5, np.float32))
    for variable, value in zip(pretrained.variables, values, strict=True):
        assert (variable.numpy() != value).any()


@pytest.mark.slow
def test_paper_cifar_mlp():
    generator, discriminator = networks.paper_cifar_mlp((32, 32, 3), seed=1)
    assert describe(generator) == [
        ("Dense", 8000, "relu"),
        ("Dense", 8000, "sigmoid"),
        ("Dense", 3072, "linear"),
        ("Reshape", (32, 32, 3)),
    ]
    assert describe(discriminator) == maxout_mlp(1600)
    # 101 * 8000 + 8001 * 8000 + 8001 * 3072, 3073 * 8000 + 1601 * 8000 + 1601.
    assert generator.count_params() == 808_000 + 64_008_000 + 24_579_072
    assert discriminator.count_params() == 24_584_000 + 12_808_000 + 1_601
    check_initial_weights(generator, [0.05, 0.05, 0.5])
    check_initial_weights(discriminator, [0.005] * 3)
    check_constraints((generator, discriminator), None)
    check_seeds_differ(generator, discriminator)
    gan = keras_gan.GAN(generator, discriminator, keras_gan.priors.Normal(100))
    assert gan.sample_shape == (32, 32, 3)


def test_paper_cifar_conv():
    generator, discriminator = networks.paper_cifar_conv(seed=1)
    assert describe(generator) == [
        ("Dense", 8000, "relu"),
        ("Dense", 8000, "sigmoid"),
        ("Reshape", (10, 10, 80)),
        ("Conv2DTranspose", 3, (5, 5), (3, 3), False),
        ("UntiedBias",),
        ("Reshape", (32, 32, 3)),
    ]
    assert describe(discriminator) == [
        ("Dropout", 0.2),
        ("MaxoutConv2D", 32, 2, (8, 4), (4, 2)),
        ("Dropout", 0.5),
        ("MaxoutConv2D", 32, 2, (8, 3), (4, 2)),
        ("Dropout", 0.5),
        ("MaxoutConv2D", 192, 2, (5, 3), (2, 2)),
        ("Dropout", 0.5),
        ("Flatten",),
        ("Maxout", 500, 5),
        ("Dropout", 0.5),
        ("Dense", 1, "linear"),
    ]
    convolutions = [x for x in layers_of(discriminator) if isinstance(x, MaxoutConv2D)]
    assert [layer.output.shape[1:] for layer in convolutions] == [
        (16, 16, 32),
        (7, 7, 32),
        (5, 5, 192),
    ]
    # Kernel 5 * 5 * 80 * 3 and one bias a value.
    assert generator.count_params() == 808_000 + 64_008_000 + 6_000 + 3_072
    assert discriminator.count_params() == (
        (8 * 8 * 3 + 1) * 64
        + (8 * 8 * 32 + 1) * 64
        + (5 * 5 * 32 + 1) * 384
        + (5 * 5 * 192 + 1) * 2500
        + 501
    )
    check_initial_weights(generator, [0.05] * 3)
    check_initial_weights(discriminator, [0.005] * 5)
    check_seeds_differ(generator, discriminator)
    check_config_round_trip(discriminator)
    gan = keras_gan.GAN(generator, discriminator, keras_gan.priors.Normal(100))
    assert gan.sample_shape == (32, 32, 3)
    # A transposed convolution is the transpose of a convolution: by its linearity, the
    # image of one unit at (2, 4) of channel 7 is that channel's kernel at (6, 12).
    deconvolution = generator.get_layer("deconvolution")
    unit = np.zeros((1, 10, 10, 80), np.float32)
    unit[0, 2, 4, 7] = 1.0
    image = deconvolution(unit.reshape(1, 8000)).numpy()[0]
    expected = np.zeros((32, 32, 3), np.float32)
    kernel = deconvolution.layers[1].kernel.numpy()  # (5, 5, out, in)
    expected[6:11, 12:17] = kernel[:, :, :, 7]
    np.testing.assert_allclose(image, expected, atol=1e-7)


def test_digits_mlp():
    generator, discriminator = networks.digits_mlp((8, 8, 1), seed=1)
    assert describe(generator) == [
        ("Dense", 256, "relu"),
        ("Dense", 512, "relu"),
        ("Dense", 64, "sigmoid"),
        ("Reshape", (8, 8, 1)),
    ]
    assert describe(discriminator) == maxout_mlp(256, (0.1, 0.4))
    # 101 * 256 + 257 * 512 + 513 * 64, 65 * 1280 + 257 * 1280 + 257.
    assert generator.count_params() == 25_856 + 131_584 + 32_832
    assert discriminator.count_params() == 83_200 + 328_960 + 257
    # Glorot: sqrt(6 / (inputs + outputs)).
    check_initial_weights(generator, np.sqrt([6 / 356, 6 / 768, 6 / 576]))
    check_initial_weights(discriminator, np.sqrt([6 / 1344, 6 / 1536, 6 / 257]))
    check_seeds_differ(generator, discriminator)


def test_toy_mlp():
    generator, discriminator = networks.toy_mlp((2,), latent_dim=5, seed=1)
    hidden = [("Dense", 128, "relu")] * 2
    assert describe(generator) == [*hidden, ("Dense", 2, "linear"), ("Reshape", (2,))]
    assert describe(discriminator) == [("Flatten",), *hidden, ("Dense", 1, "linear")]
    assert generator.input_shape == (None, 5)
    # 6 * 128 + 129 * 128 + 129 * 2, 3 * 128 + 129 * 128 + 129.
    assert generator.count_params() == 768 + 16_512 + 258
    assert discriminator.count_params() == 384 + 16_512 + 129
    check_initial_weights(generator, np.sqrt([6 / 133, 6 / 256, 6 / 130]))
    check_initial_weights(discriminator, np.sqrt([6 / 130, 6 / 256, 6 / 129]))
    check_seeds_differ(generator, discriminator)


# === The output's bias ===


def test_a_generator_without_kernels_makes_the_pixel_means():
    means = np.random.default_rng(0).uniform(0.01, 0.99, (4, 5, 1))
    # Pixels that are never lit and always lit, whose log-odds are infinite.
    means[0, :3] = 0.0
    means[3, 4] = 1.0
    generator, _ = networks.paper_mlp((4, 5, 1), pixel_means=means, seed=0)
    bias = weighted(generator)[-1].bias.numpy().astype(np.float64)
    assert np.isfinite(bias).all()
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), means.ravel(), atol=2e-7)
    for layer in weighted(generator):
        layer.kernel.assign(np.zeros(layer.kernel.shape))
    samples = generator(np.random.default_rng(0).normal(size=(3, 100)))
    np.testing.assert_allclose(samples, np.stack([means] * 3), atol=1e-6)


def test_wrong_arguments_are_refused_in_one_line():
    means = np.full((4, 4, 1), 0.5)
    for options, message in (
        ({"size": "svhn"}, r"^Expected `size` .* 'mnist', 'tfd'\. Received: 'svhn'\.$"),
        ({"pixel_means": means[:3]}, r"\(4, 4, 1\) in .* shape \(3, 4, 1\)"),
        ({"pixel_means": means * 2.5}, r"values from 1\.25 to 1\.25$"),
        ({"pixel_means": means * -1}, r"values from -0\.5 to -0\.5$"),
        ({"pixel_means": means * np.nan}, r"values from nan to nan$"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            networks.paper_mlp((4, 4, 1), **options)
        assert "\n" not in str(error.value)
    for seed in (-1, 1.5):
        with pytest.raises(ValueError, match=f"^Expected `seed` .*>= 0.*: {seed}$"):
            networks.toy_mlp((2,), seed=seed)
    with pytest.raises(ValueError, match=r"\(32, 32, 3\).*: \(28, 28, 1\)$") as error:
        networks.paper_cifar_conv((28, 28, 1))
    assert "\n" not in str(error.value)


# === The registry and what a builder takes first ===


def test_builders_take_the_spec_first_and_all_else_by_keyword():
    assert list(networks.BUILDERS) == [
        "digits_mlp",
        "paper_mlp",
        "paper_tfd_stage2",
        "paper_cifar_mlp",
        "paper_cifar_conv",
        "toy_mlp",
        "dcgan",
        "resnet",
        "r3gan",
        "bigan_mlp",
    ]
    for name, builder in networks.BUILDERS.items():
        assert builder is getattr(networks, name)
        first, *others = inspect.signature(builder).parameters.values()
        assert first.name == "spec"
        assert {"latent_dim", "seed"} <= {parameter.name for parameter in others}
        required = [x.name for x in others if x.default is inspect.Parameter.empty]
        stage2 = name == "paper_tfd_stage2"
        assert required == (["pretrained_generator"] if stage2 else [])


def test_a_spec_stands_for_its_shape():
    for name, spec in (
        ("digits_mlp", SampleSpec((5, 4, 1), "image", (0, 1))),
        ("paper_mlp", SampleSpec((5, 4, 1), "image", (0, 1))),
        ("toy_mlp", SampleSpec((3,), "vector")),
    ):
        ours = networks.BUILDERS[name](spec, seed=2)
        theirs = networks.BUILDERS[name](list(spec.shape), seed=2)
        assert ours[0].output_shape == ours[1].input_shape == (None, *spec.shape)
        for a, b in zip(ours, theirs, strict=True):
            for x, y in zip(a.weights, b.weights, strict=True):
                np.testing.assert_array_equal(x.numpy(), y.numpy())


@pytest.mark.parametrize("spec", [None, 8, (), (8, 8, 0), (8, 8.0, 1), (True,), "ab"])
def test_what_is_no_spec_is_refused(spec):
    with pytest.raises(ValueError, match=r"^Expected `spec` to be a SampleSpec") as e:
        networks.digits_mlp(spec)
    assert str(e.value).endswith(f"Received: {spec!r}")


# === Noise and dropout ===


def probe(network, kind):
    """What enters and what leaves each layer of a kind, in training."""
    layers = [layer for layer in network.layers if isinstance(layer, kind)]
    return keras.Model(network.input, [[x.input, x.output] for x in layers])


def test_generator_noise_and_dropout_appear_where_they_are_asked_for():
    first, second = ("Dense", 256, "relu"), ("Dense", 512, "relu")
    output = ("Dense", 64, "sigmoid")
    for options, between in (
        ({"generator_noise": 0.3}, [("GaussianNoise", 0.3)]),
        ({"generator_dropout": 0.4}, [("Dropout", 0.4)]),
        (
            {"generator_noise": 0.3, "generator_dropout": 0.4},
            [("GaussianNoise", 0.3), ("Dropout", 0.4)],
        ),
    ):
        generator, discriminator = networks.digits_mlp((8, 8, 1), seed=1, **options)
        expected = [first, *between, second, *between, output]
        assert describe(generator)[:-1] == expected
        assert describe(discriminator) == maxout_mlp(256, (0.1, 0.4))
        check_seeds_differ(generator, discriminator)
        latents = np.random.default_rng(0).normal(size=(4, 100)).astype(np.float32)
        still = generator(latents, training=False).numpy()
        np.testing.assert_array_equal(generator(latents), still)
        moving = [generator(latents, training=True).numpy() for _ in range(2)]
        assert np.abs(moving[0] - still).max() > 0.01
        assert np.abs(moving[0] - moving[1]).max() > 0.01
    generator, _ = networks.paper_mlp((4, 4, 1), generator_noise=0.3, seed=1)
    assert [kind[0] for kind in describe(generator)].count("GaussianNoise") == 2


def test_generator_noise_beyond_keras_bound_is_refused():
    with pytest.raises(
        ValueError, match=r"^Expected generator_noise in \[0, 1\].*2\.0"
    ):
        networks.digits_mlp((8, 8, 1), generator_noise=2.0)


def test_generator_dropout_of_everything_is_refused():
    with pytest.raises(ValueError, match=r"^Expected .*generator_dropout.*1\.0"):
        networks.digits_mlp((8, 8, 1), generator_dropout=1.0)


def test_noise_has_its_deviation_and_dropout_its_share_and_scale():
    rng = np.random.default_rng(0)
    generator, discriminator = networks.digits_mlp(
        (8, 8, 1), generator_noise=0.3, generator_dropout=0.4, seed=1
    )
    latents = rng.normal(size=(500, 100)).astype(np.float32)
    for before, after in probe(generator, keras.layers.GaussianNoise)(
        latents, training=True
    ):
        noise = (after - before).numpy()
        # 128,000 draws at least.
        assert noise.std() == pytest.approx(0.3, rel=0.01)
        assert noise.mean() == pytest.approx(0.0, abs=0.005)
    samples = rng.uniform(0.1, 1, (500, 8, 8, 1)).astype(np.float32)
    for network, inputs, keeps in (
        (generator, latents, [0.6, 0.6]),
        (discriminator, samples, [0.9, 0.6, 0.6]),
    ):
        pairs = probe(network, keras.layers.Dropout)(inputs, training=True)
        assert len(pairs) == len(keeps)
        for (before, after), keep in zip(pairs, keeps, strict=True):
            before, after = before.numpy(), after.numpy()
            kept = after[before != 0] != 0
            # 32,000 masks at least: a standard error of .003.
            assert kept.mean() == pytest.approx(keep, abs=0.014)
            np.testing.assert_allclose(
                after[after != 0], before[after != 0] / keep, rtol=1e-5
            )


def test_by_default_noise_enters_at_the_bottom_layer_only():
    latents = np.random.default_rng(0).normal(size=(4, 100)).astype(np.float32)
    for generator, discriminator in (
        networks.paper_mlp((4, 4, 1), seed=0),
        networks.digits_mlp((8, 8, 1), seed=0),
        networks.toy_mlp((2,), latent_dim=100, seed=0),
    ):
        samples = generator(latents, training=False).numpy()
        np.testing.assert_array_equal(generator(latents, training=True), samples)
        assert np.ptp(samples, axis=0).max() > 1e-3
        logits = discriminator(samples, training=False).numpy()
        np.testing.assert_array_equal(discriminator(samples), logits)
        # The paper's discriminators drop out; the toy's does not.
        dropout = "Dropout" in [kind[0] for kind in describe(discriminator)]
        moved = (discriminator(samples, training=True).numpy() != logits).any()
        assert moved == dropout == (generator.output_shape != (None, 2))


# === Seeds and saving ===


def small_networks(name, **options):
    if name == "paper_tfd_stage2":
        first, _ = networks.digits_mlp((8, 8, 1), latent_dim=6, seed=9)
        return networks.paper_tfd_stage2((8, 8, 1), first, latent_dim=6, **options)
    shape = (2,) if name == "toy_mlp" else (8, 8, 1)
    return getattr(networks, name)(shape, latent_dim=6, **options)


SMALL = ["paper_mlp", "paper_tfd_stage2", "digits_mlp", "toy_mlp"]


@pytest.mark.parametrize("name", SMALL)
def test_initial_weights_are_a_function_of_the_seed(name):
    def kernels(seed):
        pair = small_networks(name, seed=seed)
        found = [layer.kernel.numpy() for model in pair for layer in weighted(model)]
        # The pretrained generator's are not drawn here.
        return found[:2] + found[5:] if name == "paper_tfd_stage2" else found

    first, again, other = kernels(5), kernels(5), kernels(6)
    assert len(first) in (5, 6)
    for ours, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(ours, same)
        assert (ours != different).mean() > 0.99
    unseeded = [kernels(None)[0] for _ in range(2)]
    assert (unseeded[0] != unseeded[1]).mean() > 0.99


# The first weight of each kernel: a run with a seed repeats in every later version.
FROZEN = {
    "digits_mlp": [
        *(0.08762552, -0.08705901, -0.02432155),
        *(0.01796068, -0.01869553, -0.05481842),
    ],
    "paper_mlp": [
        *(0.03374815, -0.04924802, -0.01191508),
        *(0.00134405, -0.00149564, -0.00179386),
    ],
    "toy_mlp": [
        *(-0.21160342, -0.03648232, 0.14500530),
        *(0.20210172, 0.04115307, 0.16615209),
    ],
}


@pytest.mark.parametrize("name", FROZEN)
def test_initial_weights_of_a_seed_are_frozen(name):
    shape = (2,) if name == "toy_mlp" else (8, 8, 1)
    pair = networks.BUILDERS[name](shape, seed=0)
    first = [x.kernel.numpy().ravel()[0] for model in pair for x in weighted(model)]
    np.testing.assert_allclose(first, FROZEN[name], rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", SMALL)
def test_a_pair_is_a_gan_that_survives_saving(name, tmp_path):
    gan = keras_gan.GAN(
        *small_networks(name, seed=1),
        latent_prior=keras_gan.priors.Normal(6),
        value_range=None if name == "toy_mlp" else (0.0, 1.0),
        seed=2,
    )
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    for ours, theirs in (
        (gan.generator, loaded.generator),
        (gan.discriminator, loaded.discriminator),
    ):
        assert describe(theirs) == describe(ours)
        assert [type(x.kernel_initializer) for x in weighted(theirs)] == [
            type(x.kernel_initializer) for x in weighted(ours)
        ]
    samples = gan.generate(3, seed=4)
    assert samples.shape == (3, *gan.sample_shape) and np.ptp(samples) > 0
    np.testing.assert_array_equal(loaded.generate(3, seed=4), samples)
    np.testing.assert_array_equal(
        loaded.discriminator(samples), gan.discriminator(samples)
    )
    if name == "paper_tfd_stage2":
        check_constraints((loaded.discriminator,), 1.9365)


def test_weights_stay_in_the_ball_when_a_tfd_network_trains():
    generator, discriminator = small_networks("paper_tfd_stage2", seed=1)
    new = [*weighted(generator)[:2], *weighted(discriminator)]
    for layer in new:
        layer.kernel.assign(1000 * layer.kernel)
        assert np.linalg.norm(layer.kernel.numpy(), axis=0).min() > 1.9365
    gan = keras_gan.GAN(generator, discriminator, keras_gan.priors.Normal(6), seed=2)
    gan.compile(keras.optimizers.SGD(1e-6), keras.optimizers.SGD(1e-6))
    gan.train_on_batch(np.ones((10, 8, 8, 1), np.float32))
    for layer in new:
        norms = np.linalg.norm(layer.kernel.numpy(), axis=0)
        np.testing.assert_allclose(norms, 1.9365, rtol=1e-3)


def test_toy_networks_have_the_units_and_the_depth_that_are_asked_for():
    generator, discriminator = networks.toy_mlp((2,), units=5, depth=3, seed=0)
    dense = [layer for layer in generator.layers if hasattr(layer, "units")]
    assert [layer.units for layer in dense] == [5, 5, 5, 2]
    dense = [layer for layer in discriminator.layers if hasattr(layer, "units")]
    assert [layer.units for layer in dense] == [5, 5, 5, 1]
    with pytest.raises(ValueError, match="depth"):
        networks.toy_mlp((2,), depth=0)


def test_a_toy_discriminator_can_be_normalised_or_judge_packs():
    _, plain = networks.toy_mlp((2,), seed=0)
    _, spectral = networks.toy_mlp((2,), discriminator_normalization="spectral", seed=0)
    kinds = [type(layer).__name__ for layer in spectral.layers]
    assert kinds.count("SpectralNormalization") == 3
    x = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    assert np.abs(plain(x) - spectral(x)).max() > 1e-3
    # The kernels are the same: only what is computed with them differs.
    assert [w.shape for w in plain.trainable_weights] == [
        w.shape for w in spectral.trainable_weights
    ]
    _, packed = networks.toy_mlp((2,), pack=3, seed=0)
    assert packed(x).shape == (2, 1)
    with pytest.raises(ValueError, match="discriminator_normalization.*or None"):
        networks.toy_mlp((2,), discriminator_normalization="batch")
