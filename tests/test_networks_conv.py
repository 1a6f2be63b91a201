"""Convolutional networks: sizes, ranges, seeds, precision, gradients of gradients."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import experiments, networks
from keras_gan.layers import MinibatchStandardDeviation, SpectralNormalization
from keras_gan.model_checks import last_activation
from keras_gan.networks import images
from keras_gan.networks.r3gan import GenerativeBasis, GroupedConv2D
from keras_gan.resampling import Downsample2D, Upsample2D
from keras_gan.samples import SampleSpec
from tests import helpers

NAMES = ["dcgan", "resnet", "r3gan"]
# Small ones. None has no state, so that a step can be replayed.
PLAIN = {
    "dcgan": {
        "width": 4,
        "generator_normalization": None,
        "discriminator_normalization": None,
    },
    "resnet": {
        "width": 8,
        "generator_normalization": None,
        "discriminator_normalization": None,
    },
    "r3gan": {"width": 8, "depth": 1},
}


def small(name, shape=(8, 8, 1), **options):
    """The networks with 3 latents and few channels."""
    widths = {"dcgan": 4, "resnet": 8, "r3gan": 8}
    options = {"width": widths[name], "latent_dim": 3, "seed": 0, **options}
    return getattr(networks, name)(shape, **options)


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def kernels_of(model):
    return [w for w in model.trainable_weights if w.name in ("kernel", "basis")]


# === Sizes ===


def test_an_axis_is_halved_upwards_until_it_is_short():
    for shape, expected in (
        ((8, 8, 1), [(8, 8), (4, 4)]),
        ((28, 28, 1), [(28, 28), (14, 14), (7, 7)]),
        ((32, 32, 3), [(32, 32), (16, 16), (8, 8), (4, 4)]),
        ((30, 45, 1), [(30, 45), (15, 23), (8, 12), (4, 6)]),
        ((9, 40, 1), [(9, 40), (5, 20), (5, 10), (5, 5)]),
    ):
        assert images.halvings(shape) == expected
    assert len(images.halvings((256, 256))) == 7
    for height in range(8, 257):
        assert all(4 <= n <= 7 for n in images.halvings((height, 8))[-1])
    assert images.halvings((28, 33), 8) == [(28, 33), (14, 17), (7, 9), (7, 5)]


def test_levels_above_32_pixels_are_narrower():
    widths = [images.level_width(64, (n, 8)) for n in (8, 32, 33, 64, 65, 128, 256)]
    assert widths == [64, 64, 32, 32, 16, 16, 16]
    assert images.level_width(8, (256, 256)) == 8


SWEEP = [
    *((name, (30, 45, 4)) for name in ("dcgan", "r3gan")),
    helpers.slow("resnet", (30, 45, 4)),
    *(("dcgan", shape) for shape in [(8, 8, 1), (28, 28, 1)]),
    *(
        pytest.param(name, shape, marks=pytest.mark.slow)
        for name in NAMES
        for shape in [(32, 32, 3), (64, 64, 3), (9, 120, 2), (256, 256, 3)]
    ),
    *(
        pytest.param(name, shape, marks=pytest.mark.slow)
        for name in ("resnet", "r3gan")
        for shape in [(8, 8, 1), (28, 28, 1)]
    ),
]


@pytest.mark.parametrize(("name", "shape"), SWEEP)
def test_images_of_any_size(name, shape):
    generator, discriminator = small(name, shape)
    assert generator.output_shape == discriminator.input_shape == (None, *shape)
    samples = generator(normal(3, 3), training=True)
    assert samples.shape == (3, *shape) and samples.dtype == tf.float32
    assert 0 < np.min(samples) and np.max(samples) < 1
    # Another latent is another sample at each border, so that no row is left out.
    difference = np.ptp(samples, axis=0).max(-1)
    for border in (difference[0], difference[-1], difference[:, 0], difference[:, -1]):
        assert (border > 1e-7).all()
    real = tf.constant(np.random.default_rng(1).uniform(size=(3, *shape)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(real)
        logits = discriminator(real, training=True)
    assert logits.shape == (3, 1) and np.ptp(logits) > 0
    # D sees every pixel.
    assert (np.abs(tape.gradient(logits, real)).max((0, -1)) > 0).all()


# === Ranges ===


def test_the_last_activation_suits_the_range():
    shape = (8, 8, 1)
    normalized = SampleSpec(shape, "image", (-3, 3), contrast_normalized=True)
    for spec, expected in (
        (shape, "sigmoid"),
        (SampleSpec(shape, "image", (0, 1)), "sigmoid"),
        (SampleSpec(shape, "image", (-1, 1)), "tanh"),
        (normalized, "linear"),
        (SampleSpec(shape, "vector"), "linear"),
    ):
        pair = small("dcgan", spec)
        assert last_activation(pair[0]) == images.output_activation(spec) == expected
        bounds = getattr(spec, "value_range", (0, 1))
        keras_gan.GAN(*pair, keras_gan.priors.Normal(3), bounds)
    for name in ("resnet", "r3gan"):
        generator, _ = small(name, SampleSpec((9, 8, 1), "image", (-1, 1)))
        assert last_activation(generator) == "tanh"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_builder_cannot_make_is_refused_in_one_line(name):
    builder = getattr(networks, name)
    image = (8, 8, 1)
    for spec, options, message in (
        ((7, 8, 1), {}, r"8 to 256 pixels a side\. Received: \(7, 8, 1\)"),
        ((8, 257, 1), {}, r"Received: \(8, 257, 1\)"),
        ((64,), {}, r"shape \(H, W, C\).* Received: \(64,\)"),
        (SampleSpec((8, 8), "series"), {}, r"Received: \(8, 8\)"),
        (SampleSpec(image, "image", (0, 255)), {}, r"value_range=\(0\.0, 255\.0\)"),
        (None, {}, "to be a SampleSpec"),
        (image, {"width": 0}, "`width` to be an int >= "),
        (image, {"width": 2.5}, "Received: 2.5"),
        (image, {"discriminator_normalization": "layer"}, "Received: 'layer'"),
    ):
        with pytest.raises(ValueError, match=f"^Expected .*{message}") as error:
            builder(spec, **options)
        assert "\n" not in str(error.value)
    for options in ({"depth": 0}, {"generator_normalization": "spectral"}):
        if set(options) <= set(builder.__annotations__):
            with pytest.raises(ValueError, match=f"^Expected `{next(iter(options))}`"):
                builder(image, **options)


@pytest.mark.parametrize("name", [*NAMES, "paper_cifar_conv"])
def test_another_layout_of_images_is_refused(name):
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(
            ValueError, match="^Expected image_data_format 'channels_la"
        ):
            getattr(networks, name)((32, 32, 3))
        found = Downsample2D(4, 4)(np.zeros((1, 8, 8, 3), "float32"))
    finally:
        keras.config.set_image_data_format("channels_last")
    assert found.shape == (1, 4, 4, 3)


def test_settings_of_an_experiment_are_checked():
    settings = {"networks": "dcgan", "networks.width": 4}
    experiment = experiments.get_preset("digits", settings)
    data = keras_gan.datasets.load("digits")
    gan = experiments.build(experiment, data)
    assert gan.discriminator.layers[1].filters == 4
    for wrong in ({"networks.width": "wide"}, {"networks.minibatch_stddev": 1}):
        with pytest.raises(ValueError, match="^Expected networks"):
            wrong = experiments.get_preset("digits", {"networks": "resnet", **wrong})
            experiments.build(wrong, data)


# === Seeds and initial weights ===


@pytest.mark.parametrize("name", helpers.mostly_slow(NAMES, ["dcgan", "r3gan"]))
def test_weights_are_a_function_of_the_seed(name):
    first, again, other = (small(name, seed=seed) for seed in (5, 5, 6))
    for a, b, c in zip(first, again, other, strict=True):
        for x, y in zip(a.weights, b.weights, strict=True):
            np.testing.assert_array_equal(x.numpy(), y.numpy())
        drawn = [
            (x.numpy(), y.numpy())
            for x, y in zip(kernels_of(a), kernels_of(c), strict=True)
            if np.any(x.numpy())
        ]
        assert len(drawn) >= 2
        for x, y in drawn:
            assert (x != y).mean() > 0.99
    # No two layers of a pair share a seed.
    firsts = [
        w.numpy().ravel()[0] / w.numpy().std()
        for model in first
        for w in kernels_of(model)
        if np.any(w.numpy())
    ]
    assert len({round(float(value), 5) for value in firsts}) == len(firsts)
    unseeded = [kernels_of(small(name, seed=None)[0])[0].numpy() for _ in range(2)]
    assert (unseeded[0] != unseeded[1]).mean() > 0.99


def test_dcgan_starts_at_the_papers_deviation():
    for model in networks.dcgan((32, 32, 3), width=16, seed=0):
        for kernel in kernels_of(model):
            error = 4 / math.sqrt(kernel.shape.num_elements())
            assert kernel.numpy().std() == pytest.approx(0.02, rel=error)
    # Without batch normalisation the signal keeps its size.
    _, plain = networks.dcgan((32, 32, 3), discriminator_normalization=None, seed=0)
    assert 0.1 < np.std(plain(normal(200, 32, 32, 3))) < 10


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (15, 30, 2)])
def test_dcgans_transposed_convolutions_start_from_their_fan_in(shape):
    """Without batch normalisation: N(0, 2 / fan in) of what a pixel is made of."""
    generator, _ = networks.dcgan(shape, 20, 32, generator_normalization=None, seed=0)
    kind = keras.layers.Conv2DTranspose
    layers = [layer for layer in generator.layers if isinstance(layer, kind)]
    for layer in layers:
        # Rows of the kernel that meet a pixel: of 4, one for each 2 of stride 2.
        taps = math.prod(4 / stride for stride in layer.strides)
        fan_in = taps * layer.kernel.shape[-1]
        error = 4 / math.sqrt(2 * layer.kernel.shape.num_elements())
        deviation = layer.kernel.numpy().std()
        assert deviation == pytest.approx(math.sqrt(2 / fan_in), rel=error)
    # So the signal keeps its size up to the image, before its activation.
    probe = keras.Model(generator.inputs, [layer.output for layer in layers])
    for found in tf.nest.flatten(probe(normal(64, 20))):
        inside = np.asarray(found)[:, 1:-1, 1:-1]
        assert 0.7 < np.sqrt(np.mean(inside**2)) < 2.8


def test_r3gans_blocks_start_as_the_identity():
    for depth in (1, 2):
        for model in small("r3gan", depth=depth):
            scale = 2 / 1.04 / math.sqrt(2 * depth)  # two sizes
            blocks = [x for x in model.layers if isinstance(x, keras.layers.Add)]
            assert len(blocks) == 2 * depth
            inside = [x for x in model.layers if getattr(x, "filters", 0) == 16]
            assert [x.groups for x in inside] == [1, 1] * 2 * depth
            for layer in inside:
                fan_in = math.prod(layer.kernel.shape[:3])
                deviation = math.sqrt(scale / fan_in)
                error = 4 / math.sqrt(2 * layer.kernel.shape.num_elements())
                assert layer.kernel.numpy().std() == pytest.approx(deviation, rel=error)
            probe = keras.Model(
                model.inputs, [block.input + [block.output] for block in blocks]
            )
            inputs = normal(2, *model.input_shape[1:])
            for before, change, after in probe(inputs):
                assert np.any(before) and not np.any(change)
                np.testing.assert_array_equal(before, after)
    # Scaled to norm 1, a kernel of zeros would jump.
    _, spectral = small("r3gan", discriminator_normalization="spectral")
    assert all(np.any(kernel.numpy()) for kernel in kernels_of(spectral))


def test_r3gans_groups_and_depthwise_end():
    generator, discriminator = networks.r3gan((32, 32, 3), width=24, depth=1, seed=0)
    grouped = [x for x in generator.layers if getattr(x, "kernel_size", 0) == (3, 3)]
    assert [x.groups for x in grouped] == [3] * 4  # 48 channels by 16
    (end,) = (
        x for x in discriminator.layers if isinstance(x, keras.layers.DepthwiseConv2D)
    )
    assert end.kernel.shape == (4, 4, 24, 1) and end.output.shape == (None, 1, 1, 24)
    assert end.kernel.numpy().std() == pytest.approx(1 / 4, rel=0.15)


# === The published sizes ===


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_groups_have_gradients_where_tensorflow_has_none_of_them(dtype):
    """On CPUs it has them in float32 and bfloat16, where oneDNN computes."""
    options = {"groups": 2, "padding": "same", "bias_initializer": "ones"}
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 6)).astype("float32")
    kernel = np.random.default_rng(1).normal(size=(3, 3, 3, 4)).astype("float32")

    def of(kind, dtype):
        layer = kind(4, 3, dtype=dtype, **options)
        layer.build(x.shape)
        layer.kernel.assign(kernel)
        inputs = tf.cast(x, dtype)
        with tf.GradientTape() as outer:
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = layer(inputs)
                total = tf.reduce_sum(tf.math.square(outputs))
            gradient = tape.gradient(total, inputs)
            norm = tf.reduce_sum(tf.math.square(gradient) / 2**8)
        return outputs, gradient, outer.gradient(norm, layer.kernel.value)

    found = of(GroupedConv2D, dtype)
    expected = of(keras.layers.Conv2D, "float32")
    tolerance = 0.02 if dtype == "float16" else 1e-4
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == dtype
        scale = np.abs(theirs).max()
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=tolerance)


def test_resnet_has_the_papers_sizes():
    """Table 4 of arXiv 1802.05957, layer by layer, for latents of 128."""
    generator, discriminator = networks.resnet((32, 32, 3), width=256, seed=0)

    def convolution(size, inputs, outputs):
        return size * size * inputs * outputs + outputs

    norm = 2 * 256  # scale and shift
    block = 2 * convolution(3, 256, 256) + convolution(1, 256, 256) + 2 * norm
    end = norm + convolution(3, 256, 3)
    expected = 129 * 4 * 4 * 256 + 3 * block + end
    assert sum(w.shape.num_elements() for w in generator.trainable_weights) == expected
    # 4.28 M: 4.08 M where shortcuts have no convolution.
    assert expected == 4_276_739
    three = convolution(3, 128, 128)
    first = convolution(3, 3, 128) + three + convolution(1, 3, 128)
    down = 2 * three + convolution(1, 128, 128)
    expected = first + down + 2 * 2 * three + 129
    trained = discriminator.trainable_weights
    assert sum(w.shape.num_elements() for w in trained) == expected == 1_053_825
    assert [
        x.output.shape[1]
        for x in discriminator.layers
        if isinstance(x, keras.layers.Add)
    ] == [16, 8, 8, 8]


def test_the_summary_counts_by_hand():
    generator, discriminator = networks.dcgan((8, 8, 1), 3, width=4, seed=0)
    # Dense 3 * 64, norms 2 * 4, 4x4 from 4 to 1; 4x4 from 1 to 4, dense 64.
    assert networks.summary(generator, discriminator) == (
        "generator:     265 parameters, 1,488 multiply-adds an example\n"
        "discriminator: 133 parameters, 1,153 multiply-adds an example"
    )
    # Dense; 16 numbers of a norm in 16 places; a transposed one in its input's places.
    assert networks.multiply_adds(generator) == 3 * 64 + 16 * 16 + 65 * 16
    # D's convolution in its output's places.
    assert networks.multiply_adds(discriminator) == 68 * 16 + 65
    # Spectral normalisation's own state does no work; a basis is used once.
    _, spectral = networks.dcgan(
        (8, 8, 1), 3, width=4, discriminator_normalization="spectral", seed=0
    )
    assert networks.multiply_adds(spectral) == 68 * 16 + 65
    latents = keras.Input((3,))
    basis = keras.Model(latents, GenerativeBasis(4, 5)(latents))
    assert networks.multiply_adds(basis) == 60


@pytest.mark.parametrize(
    ("options", "generator_weights", "discriminator_weights"),
    [
        # Batch normalisation shifts, so that the dense layers have no bias.
        ({}, [(3, 5), (5, 64)], [(64, 5), (5, 1), (1,)]),
        (
            {"generator_normalization": None, "discriminator_normalization": None},
            [(3, 5), (5,), (5, 64), (64,)],
            [(64, 5), (5,), (5, 1), (1,)],
        ),
        (
            {"discriminator_normalization": "spectral", "minibatch_stddev": True},
            [(3, 5), (5, 64)],
            [(80, 5), (5,), (5, 1), (1,)],
        ),
    ],
)
def test_dcgan_has_dense_layers_at_its_ends_where_they_are_asked_for(
    options, generator_weights, discriminator_weights
):
    pair = small("dcgan", dense_units=5, **options)
    for model, expected in zip(
        pair, (generator_weights, discriminator_weights), strict=True
    ):
        dense = [
            getattr(layer, "layer", layer)
            for layer in model.layers
            if isinstance(getattr(layer, "layer", layer), keras.layers.Dense)
        ]
        assert [tuple(w.shape) for layer in dense for w in layer.weights] == expected
    # Each comes with its activation and its network's batch normalisation.
    kinds = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.BatchNormalization)
    for model, plain in zip(pair, small("dcgan", **options), strict=True):
        counts, plain_counts = (
            np.array([sum(isinstance(x, kind) for x in each.layers) for kind in kinds])
            for each in (model, plain)
        )
        is_generator = model is pair[0]
        player = "generator" if is_generator else "discriminator"
        is_normalized = options.get(f"{player}_normalization", "batch") == "batch"
        expected = [is_generator, not is_generator, is_normalized]
        np.testing.assert_array_equal(counts - plain_counts, expected)


def test_dcgan_refuses_units_below_zero():
    with pytest.raises(ValueError, match="`dense_units` to be an int >= 0. Received"):
        small("dcgan", dense_units=-1)


# === Precision ===


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("dcgan", "mixed_float16"),
        *(
            pytest.param(name, policy, marks=pytest.mark.slow)
            for name, policy in (
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
    pair = small(name, minibatch_stddev=True)
    for network in pair:
        layers = [x for x in network._flatten_layers() if not list(x._layers)]
        weighted = [x for x in layers if x.trainable_weights]
        assert layers[-1].compute_dtype == weighted[-1].compute_dtype == "float32"
        half = policy.removeprefix("mixed_")
        assert {x.compute_dtype for x in weighted[:-1]} == {half}
        inputs = normal(2, *network.input_shape[1:])
        assert network(inputs).dtype == tf.float32
    gan = keras_gan.GAN(*pair, keras_gan.priors.Normal(3), seed=0)
    gan.compile(keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.01))
    before = [w.numpy() for w in gan.trainable_weights]
    # In float16 the first steps may be skipped, until the loss scale fits.
    batch = np.random.default_rng(0).uniform(size=(8, 8, 8, 1)).astype(np.float32)
    logs = helpers.train_steps(gan, [batch] * 12)
    assert all(np.isfinite(value) for value in logs.values())
    after = [w.numpy() for w in gan.trainable_weights]
    assert all(np.isfinite(w).all() for w in after)
    assert all((a != b).any() for a, b in zip(before, after, strict=True) if a.size > 4)


# === One step in every mode, with gradients of gradients ===


def stepped(name, mode, shape=(9, 12, 2), **options):
    """The weights and the logs after one step of SGD with R1 on the same latents."""
    pair = small(name, shape, **{**PLAIN[name], **options})
    prior = helpers.deterministic_prior()
    gan = keras_gan.GAN(*pair, prior, seed=0)
    gan.compile(
        keras.optimizers.SGD(0.1),
        keras.optimizers.SGD(0.1),
        loss="non_saturating",
        penalties=[keras_gan.penalties.R1(1.0)],
        jit_compile=mode == "xla",
        run_eagerly=mode == "eager",
    )
    real = np.random.default_rng(0).uniform(size=(4, *shape)).astype(np.float32)
    logs = helpers.train_steps(gan, [real])
    return helpers.weights_of(gan.generator) + helpers.weights_of(
        gan.discriminator
    ), logs


def check_modes(name, modes, **options):
    (first, logs), *others = (stepped(name, mode, **options) for mode in modes)
    assert logs["r1"] > 0
    for weights, its_logs in others:
        for x, y in zip(first, weights, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-4, atol=2e-6)
        for key, value in logs.items():
            assert its_logs[key] == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dcgan", {"minibatch_stddev": True, "dense_units": 5}),
        pytest.param("resnet", {}, marks=pytest.mark.slow),
        pytest.param("r3gan", {"minibatch_stddev": True}, marks=pytest.mark.slow),
    ],
)
def test_a_step_is_the_same_eagerly_and_as_a_graph(name, options):
    check_modes(name, ["eager", "graph"], **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dcgan", {}),
        pytest.param("resnet", {"minibatch_stddev": True}, marks=pytest.mark.slow),
        pytest.param("r3gan", {"minibatch_stddev": True}, marks=pytest.mark.slow),
    ],
)
def test_a_step_is_the_same_in_xla(name, options):
    check_modes(name, ["graph", "xla"], **options)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_xla_compiles_the_defaults_with_both_penalties(name):
    pair = small(name, (28, 28, 1))
    gan = keras_gan.GAN(*pair, keras_gan.priors.Normal(3), seed=0)
    gan.compile(
        "adam",
        "adam",
        loss="non_saturating",
        penalties=[keras_gan.penalties.R1(1.0), keras_gan.penalties.R2(1.0)],
        jit_compile=True,
    )
    logs = helpers.train_steps(gan, [np.full((6, 28, 28, 1), 0.5, np.float32)] * 2)
    assert all(np.isfinite(value) for value in logs.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_r1_is_that_of_its_differences(name):
    """A resampling without a second gradient would make R1 a constant to D."""
    _, discriminator = small(name, (9, 12, 2), **PLAIN[name])
    weights = discriminator.trainable_variables
    real = tf.constant(normal(4, 9, 12, 2))
    r1 = keras_gan.penalties.R1(1.0)

    @tf.function
    def penalty():
        return r1(discriminator, real, real, tf.constant([0, 0]))

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            value = penalty()
        return tape.gradient(value, weights)

    if name == "r3gan":  # away from the identity, where most gradients are 0
        for kernel in kernels_of(discriminator):
            kernel.assign(kernel + 0.05 * normal(*kernel.shape, seed=1))
    found = [
        np.zeros(w.shape) if g is None else g.numpy()
        for w, g in zip(weights, gradients(), strict=True)
    ]
    for weight, gradient in zip(weights, found, strict=True):
        assert np.any(gradient) or weight.name != "kernel"
    norm = math.sqrt(sum((g**2).sum() for g in found))
    # So short a step that no unit passes its kink, where R1 itself would jump.
    start, step, values = [w.numpy() for w in weights], 1e-4, []
    for signed in (step, -step):
        for weight, value, gradient in zip(weights, start, found, strict=True):
            weight.assign(value + signed / norm * gradient)
        values.append(float(penalty()))
    assert (values[0] - values[1]) / (2 * step) == pytest.approx(norm, rel=5e-3)


# === Spectral normalisation and the batch's deviation ===


@pytest.mark.parametrize("name", helpers.mostly_slow(NAMES, ["dcgan", "resnet"]))
def test_spectral_normalisation_wraps_each_layer_of_d(name):
    _, discriminator = small(name, discriminator_normalization="spectral")
    wrapped = [x for x in discriminator.layers if isinstance(x, SpectralNormalization)]
    others = [x for x in discriminator.layers if x not in wrapped]
    assert not any(x.weights for x in others)
    assert len(wrapped) == len(kernels_of(discriminator)) >= 2
    _, plain = small(name, discriminator_normalization=None)
    assert len(kernels_of(plain)) == len(wrapped)
    samples = normal(2, 8, 8, 1)
    logits = discriminator(samples).numpy()
    # The scale of a kernel is nothing to the outputs: but for biases, which are 0 here.
    for kernel in kernels_of(discriminator):
        kernel.assign(3.0 * kernel)
    np.testing.assert_allclose(discriminator(samples), logits, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_minibatch_stddev_lets_d_see_the_batch(name):
    one, other = normal(4, 8, 8, 1), normal(4, 8, 8, 1, seed=1)
    other[0] = one[0]
    options = PLAIN[name]
    _, apart = small(name, **options)
    np.testing.assert_allclose(apart(one)[0], apart(other)[0], rtol=1e-5)
    _, together = small(name, minibatch_stddev=True, **options)
    assert abs(float(together(one)[0, 0] - together(other)[0, 0])) > 1e-4


def slow_deviation(x, group_size):
    """The channel in float64, group by group."""
    x = x.astype(np.float64).reshape(len(x), -1)
    groups = math.ceil(len(x) / group_size)
    found = np.empty(len(x))
    for group in range(groups):
        members = x[group::groups]
        assert 1 <= len(members) <= group_size
        found[group::groups] = np.sqrt(members.var(axis=0) + 1e-8).mean()
    return found


@pytest.mark.parametrize("count", [8, 7, 5, 3, 1])
@pytest.mark.parametrize("group_size", [4, 1, 3])
def test_minibatch_standard_deviation(count, group_size):
    layer = MinibatchStandardDeviation(group_size)
    for shape in ((count, 3, 2, 5), (count, 6)):
        x = normal(*shape)
        outputs = layer(x).numpy()
        np.testing.assert_array_equal(outputs[..., :-1], x)
        expected = slow_deviation(x, group_size)
        channel = outputs[..., -1].reshape(count, -1)
        np.testing.assert_allclose(
            channel, np.repeat(expected[:, None], channel.shape[1], 1), rtol=1e-5
        )


def test_minibatch_standard_deviation_in_graphs_of_any_batch_size():
    layer = MinibatchStandardDeviation()
    signature = [tf.TensorSpec((None, 2, 3), tf.float32)]
    any_size = tf.function(layer, input_signature=signature)
    compiled = tf.function(layer, jit_compile=True)
    for count in (1, 4, 6, 9):
        x = normal(count, 2, 3)
        for function in (any_size, compiled):
            np.testing.assert_allclose(function(x), layer(x), rtol=1e-6)
    assert layer(keras.Input((2, 3))).shape == (None, 2, 4)
    again = MinibatchStandardDeviation.from_config(layer.get_config())
    assert again.group_size == 4
    with pytest.raises(ValueError, match="^Expected group_size.* Received: 0"):
        MinibatchStandardDeviation(0)


def test_equal_examples_have_finite_gradients():
    layer = MinibatchStandardDeviation(dtype="float32")
    x = tf.ones((5, 3))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            deviation = layer(x)[:, -1]
        first = tape.gradient(deviation, x)
        total = tf.reduce_sum(first**2)
    np.testing.assert_allclose(deviation, 1e-4, rtol=1e-5)
    np.testing.assert_array_equal(first, np.zeros((5, 3)))
    assert np.isfinite(outer.gradient(total, x)).all()


def test_minibatch_standard_deviation_of_large_float16_values():
    layer = MinibatchStandardDeviation(dtype="mixed_float16")
    x = np.float16([[1000.0], [-1000.0]])  # squares beyond float16
    np.testing.assert_array_equal(layer(x)[:, 1], np.float16([1000.0, 1000.0]))


# === Resampling ===


@pytest.mark.parametrize("size", [(8, 6), (7, 6), (8, 5), (4, 6), (8, 3), (4, 3)])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_upsampling_is_tensorflows_resizing_cropped(size, interpolation):
    x = normal(2, 4, 3, 5)
    target = [n if want == n else 2 * n for n, want in zip((4, 3), size, strict=True)]
    expected = tf.image.resize(x, target, interpolation)[:, : size[0], : size[1]]
    layer = Upsample2D(*size, interpolation)
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)
    assert layer(keras.Input((4, 3, 5))).shape == (None, *size, 5)


@pytest.mark.parametrize("size", [(4, 4), (8, 4), (4, 7), (8, 7)])
def test_downsampling_is_the_mean_of_the_pixels_that_are_there(size):
    x = normal(2, 8, 7, 3)
    steps = [1 if want == n else 2 for n, want in zip((8, 7), size, strict=True)]
    expected = np.empty((2, *size, 3))
    for i in range(size[0]):
        for j in range(size[1]):
            rows = slice(steps[0] * i, steps[0] * (i + 1))
            columns = slice(steps[1] * j, steps[1] * (j + 1))
            expected[:, i, j] = x[:, rows, columns].astype(np.float64).mean((1, 2))
    layer = Downsample2D(*size)
    np.testing.assert_allclose(layer(x), expected, atol=1e-6)
    assert layer(keras.Input((8, 7, 3))).shape == (None, *size, 3)
    if size == (4, 7):  # an even axis alone
        np.testing.assert_allclose(layer(x), tf.image.resize(x, size), atol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [Upsample2D(7, 6), Upsample2D(7, 6, "bilinear"), Downsample2D(2, 2)],
    ids=["nearest", "bilinear", "means"],
)
def test_resampling_has_gradients_of_gradients_in_every_mode(layer):
    x = tf.constant(normal(2, 4, 3, 2))

    def second():
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                value = tf.reduce_sum(layer(x) ** 3)
            total = tf.reduce_sum(tape.gradient(value, x) ** 2)
        return outer.gradient(total, x)

    eagerly = second()
    assert np.abs(eagerly).min() > 0
    for compiled in (False, True):
        found = tf.function(second, jit_compile=compiled)()
        np.testing.assert_allclose(found, eagerly, rtol=1e-3, atol=1e-5)

    # The map is linear: the second gradient has a closed form.
    matrix = layer(np.eye(24, dtype=np.float32).reshape(24, 4, 3, 2)).numpy()
    matrix = matrix.reshape(24, -1).astype(np.float64)
    y = x.numpy().reshape(2, 24) @ matrix
    gradient = (3 * y**2) @ matrix.T
    expected = ((2 * gradient) @ matrix * 6 * y) @ matrix.T
    np.testing.assert_allclose(eagerly, expected.reshape(x.shape), rtol=1e-3, atol=1e-4)


def test_sizes_that_no_resampling_makes_are_refused():
    for layer, message in (
        (Upsample2D(9, 6), r"doubles to \(9, 6\)\. Received: \(4, 3\)$"),
        (Upsample2D(4, 4), r"doubles to \(4, 4\)\. Received: \(4, 3\)$"),
        (Downsample2D(2, 1), r"halves to \(2, 1\)\. Received: \(4, 3\)$"),
    ):
        with pytest.raises(ValueError, match=message):
            layer(normal(1, 4, 3, 1))
    with pytest.raises(ValueError, match="^Expected `interpolation` .*'cubic'"):
        Upsample2D(2, 2, "cubic")
    with pytest.raises(ValueError, match="^Expected `height` .* 0"):
        Downsample2D(0, 2)


# === Saving and exporting ===


@pytest.mark.parametrize("name", helpers.mostly_slow(NAMES, ["dcgan"]))
def test_a_saved_gan_comes_back(name, tmp_path):
    normalization = "batch" if name == "dcgan" else "spectral"
    pair = small(
        name, (9, 8, 1), minibatch_stddev=True,
        discriminator_normalization=normalization,
    )  # fmt: skip
    gan = keras_gan.GAN(*pair, keras_gan.priors.Normal(3), seed=2)
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    samples = gan.generate(3, seed=4)
    assert samples.shape == (3, 9, 8, 1) and np.ptp(samples) > 0
    np.testing.assert_array_equal(loaded.generate(3, seed=4), samples)
    np.testing.assert_array_equal(
        loaded.discriminator(samples), gan.discriminator(samples)
    )
    for ours, theirs in zip(
        gan.discriminator.layers, loaded.discriminator.layers, strict=True
    ):
        assert type(theirs) is type(ours) and theirs.dtype_policy == ours.dtype_policy


def test_signatures_answer_an_empty_batch():
    """TensorFlow's convolution on CPUs gives an empty batch its input's shape."""
    generator, _ = small("resnet")
    prior = keras_gan.priors.Normal(3)
    servable = keras_gan.export.publishing.servable_of(generator, prior, (0, 1))
    latents = tf.TensorSpec((None, 3), tf.float32)
    answer = tf.function(servable.serving_default, input_signature=[latents])
    for count in (0, 1, 3):
        rows = normal(count, 3)
        images = answer(rows)["images"]
        assert images.shape == (count, 8, 8, 1)
        if count:
            np.testing.assert_allclose(images, generator(rows), atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_exported_generator_verifies(name, tmp_path):
    gan = keras_gan.GAN(*small(name, (9, 8, 1)), keras_gan.priors.Normal(3), seed=0)
    path = gan.export(tmp_path / "export")
    assert keras_gan.export.verify(path) == ["files", "graph", "python", "server"]
