"""SNGAN's residual networks: T. Miyato et al., arXiv 1802.05957 (2018), table 4."""

import keras
from keras import layers

from keras_gan import checks
from keras_gan.layers import MinibatchStandardDeviation
from keras_gan.networks import images
from keras_gan.networks.common import (
    LayerSeeds,
    check_normalization,
    logit_layer,
    maybe_spectral,
)
from keras_gan.networks.conditioning import Labels
from keras_gan.resampling import Downsample2D, Upsample2D

# D halves the image to 8 pixels at most, and keeps that size in its last two blocks.
_BOTTOM_OF_D = 8


def resnet(
    spec,
    latent_dim: int = 128,
    width: int = 64,
    depth: int = 1,
    generator_normalization: str | None = "batch",
    discriminator_normalization: str | None = "spectral",
    minibatch_stddev: bool = False,
    auxiliary_classifier: bool = False,
    num_classes: int | None = None,
    seed: int | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Builds SNGAN's residual networks for images of any size from 8 to 256.

    G: latents -> dense to the bottom (4 to 7 pixels a side) -> blocks that double the
    size -> BN, ReLU, 3x3 to the channels. A block is BN, ReLU, nearest upsampling, 3x3,
    BN, ReLU, 3x3, plus a 1x1 on its shortcut. D: blocks that halve the size, down to 8
    or less -> two blocks that keep it -> ReLU, sum over all places -> 1. A block is
    ReLU, 3x3, ReLU, 3x3, mean of 2x2; the first one has no ReLU before it. A shortcut
    has a 1x1 where the size or the width changes. Initial weights are uniform: Glorot's
    in shortcuts and at the ends, sqrt(2) times as wide in 3x3 convolutions.

    Labels enter as in arXiv 1802.05637: G's batch normalisation is conditional, and D
    adds phi(x) . embed(label) to its logit, where phi(x) is the sum over all places. In
    a G without batch normalisation labels join the latents.

    With `width=256` these are the networks of table 4 at 32x32. They take a GPU.

    Args:
        width: int >= 2, channels of G up to 32 pixels a side; each doubling above has
            half of them, down to 16. D starts from half as many.
        depth: int, blocks for each doubling of G and each halving of D. Those after the
            first keep the size.
        generator_normalization: "batch" or None.
        discriminator_normalization: "spectral" or None.
        minibatch_stddev: bool, whether `layers.MinibatchStandardDeviation` stands
            before D's last block.
        spec, latent_dim, auxiliary_classifier, num_classes, seed: see `networks`.

    Returns:
        (generator, discriminator); samples in the range of `spec`, (0, 1) for a shape.

    Raises:
        ValueError: no images of 8 to 256 pixels a side in (-1, 1), (0, 1) or without
            bounds; an unknown normalisation; a width or a depth that is too small.
    """
    shape = images.image_shape(spec)
    activation = images.output_activation(spec)
    checks.count("width", width, minimum=2)
    checks.count("depth", depth)
    check_normalization("generator_normalization", generator_normalization, "batch")
    check_normalization(
        "discriminator_normalization", discriminator_normalization, "spectral"
    )
    seeds = LayerSeeds(seed)
    generator = _generator(
        seeds,
        keras.Input((latent_dim,), name="latents"),
        Labels(num_classes, seeds),
        shape,
        (width, depth),
        generator_normalization,
        activation,
    )
    return generator, _discriminator(
        seeds,
        Labels(num_classes, seeds, auxiliary_classifier),
        shape,
        (width // 2, depth),
        discriminator_normalization,
        minibatch_stddev,
    )


class _Convolutions:
    """Makes the convolutions of one network, with its seeds and its normalisation."""

    def __init__(self, seeds, normalization):
        self._seeds = seeds
        self._normalization = normalization

    def three(self, width):
        """Returns a 3x3 convolution of a block."""
        initializer = keras.initializers.VarianceScaling(
            2.0, "fan_avg", "uniform", seed=self._seeds.next()
        )
        return self._normalized(width, 3, initializer)

    def one(self, width):
        """Returns a 1x1 convolution of a shortcut."""
        return self._normalized(width, 1, self._seeds.glorot_initializer())

    def _normalized(self, width, kernel_size, initializer):
        layer = layers.Conv2D(
            width, kernel_size, padding="same", kernel_initializer=initializer
        )
        return maybe_spectral(layer, self._normalization)


def _generator(seeds, latents, labels, shape, width_depth, normalization, activation):
    width, depth = width_depth
    sizes = images.halvings(shape)[::-1]
    convolutions = _Convolutions(seeds, None)

    def activated(x):
        if normalization == "batch":
            x = labels.batch_normalized(x)
        return layers.ReLU()(x)

    def block(x, size):
        channels = images.level_width(width, size)
        y = _resized(Upsample2D, activated(x), size)
        y = convolutions.three(channels)(y)
        y = convolutions.three(channels)(activated(y))
        # A 1x1 convolution and a nearest upsampling commute; this order is cheaper.
        if x.shape[1:] != (*size, channels):
            x = _resized(Upsample2D, convolutions.one(channels)(x), size)
        return layers.Add()([x, y])

    bottom = (*sizes[0], images.level_width(width, sizes[0]))
    x = layers.Dense(
        bottom[0] * bottom[1] * bottom[2],
        kernel_initializer=seeds.glorot_initializer(),
    )(latents if normalization == "batch" else labels.joined(latents))
    x = layers.Reshape(bottom)(x)
    for size in sizes[1:]:
        for _ in range(depth):
            x = block(x, size)
    x = layers.Conv2D(
        shape[2],
        3,
        padding="same",
        kernel_initializer=seeds.glorot_initializer(),
        dtype="float32",
    )(activated(x))
    return labels.model(latents, images.samples_from(x, activation), "resnet_g")


def _discriminator(seeds, labels, shape, width_depth, normalization, minibatch_stddev):
    width, depth = width_depth
    sizes = images.halvings(shape, _BOTTOM_OF_D)
    convolutions = _Convolutions(seeds, normalization)

    def block(x, size, channels, is_first=False):
        y = x if is_first else layers.ReLU()(x)
        y = layers.ReLU()(convolutions.three(channels)(y))
        y = _resized(Downsample2D, convolutions.three(channels)(y), size)
        # Means and 1x1 convolutions commute too.
        if x.shape[1:] != (*size, channels):
            x = convolutions.one(channels)(_resized(Downsample2D, x, size))
        return layers.Add()([x, y])

    samples = x = keras.Input(shape, name="samples")
    # The size after each block, and its width: that of the size before it.
    blocks = []
    for large, small in zip(sizes, sizes[1:], strict=False):
        blocks += [(small, images.level_width(width, large))] * depth
    blocks += [(sizes[-1], images.level_width(width, sizes[-1]))] * 2
    for number, (size, channels) in enumerate(blocks):
        if minibatch_stddev and number == len(blocks) - 1:
            x = MinibatchStandardDeviation()(x)
        x = block(x, size, channels, is_first=number == 0)
    # The sum over all places, in float32: in float16 it would overflow first.
    x = layers.GlobalAveragePooling2D(dtype="float32")(layers.ReLU()(x))
    x = layers.Rescaling(float(sizes[-1][0] * sizes[-1][1]), dtype="float32")(x)
    logits = maybe_spectral(logit_layer(seeds.glorot_initializer()), normalization)(x)
    logits = labels.projected(logits, x, seeds.glorot_initializer, normalization)
    return labels.model(samples, logits, "resnet_d")


def _resized(layer, x, size):
    return x if x.shape[1:3] == size else layer(*size)(x)
