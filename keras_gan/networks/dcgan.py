"""DCGAN: A. Radford et al., arXiv 1511.06434 (2015)."""

import math

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
from keras_gan.normalization import BatchNormalization

# Even, as the strides of 2 are: then a transposed convolution gives each pixel as many
# weights as its neighbours, and no chequerboard appears.
_KERNEL_SIZE = 4
# The bottom has 8 times the width of the level below the image at most.
_MOST_DOUBLINGS = 3


def dcgan(
    spec,
    latent_dim: int = 100,
    width: int = 32,
    generator_normalization: str | None = "batch",
    discriminator_normalization: str | None = "batch",
    minibatch_stddev: bool = False,
    dense_units: int = 0,
    auxiliary_classifier: bool = False,
    num_classes: int | None = None,
    seed: int | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Builds DCGAN's strided convolutions for images of any size from 8 to 256.

    G: latents -> dense to the bottom (4 to 7 pixels a side) -> transposed convolutions
    4x4 of stride 2 up to the image, with batch normalisation and ReLU between them. D:
    convolutions 4x4 of stride 2 down to the bottom, with batch normalisation (not
    after the first) and leaky ReLU of slope .2 -> 1. Initial weights are N(0, .02^2),
    and N(0, 2 / fan in) in a network without batch normalisation. 32x32 comes from
    4x4x128, 8x8x64 and 16x16x32; `images` says what happens to odd sizes.

    Labels enter as in arXiv 1802.05637: G's batch normalisation is conditional, and D
    adds phi(x) . embed(label) to its logit. With `dense_units` phi(x) is what the last
    layer sees; without them it is the mean over all places of the map at the bottom, a
    number for each channel. In a G without batch normalisation labels join the latents.

    Args:
        width: int, channels of the level next to the image. Each halving of the image
            doubles them, up to 8 times as many. The paper's 64x64 has 128 in G.
        generator_normalization: "batch" or None.
        discriminator_normalization: "batch", "spectral" or None.
        minibatch_stddev: bool, whether `layers.MinibatchStandardDeviation` stands
            after D's last convolution.
        dense_units: int, units of a hidden dense layer after G's latents and before
            D's logit, as in InfoGAN's networks for digits (arXiv 1606.03657). 0 is
            none, as in DCGAN: then D adds up what it sees place by place.
        spec, latent_dim, auxiliary_classifier, num_classes, seed: see `networks`.

    Returns:
        (generator, discriminator); samples in the range of `spec`, (0, 1) for a shape.

    Raises:
        ValueError: no images of 8 to 256 pixels a side in (-1, 1), (0, 1) or without
            bounds; an unknown normalisation; a width below 1; negative units.
    """
    shape = images.image_shape(spec)
    activation = images.output_activation(spec)
    checks.count("width", width)
    checks.count("dense_units", dense_units, minimum=0)
    check_normalization("generator_normalization", generator_normalization, "batch")
    check_normalization(
        "discriminator_normalization", discriminator_normalization, "batch", "spectral"
    )
    seeds = LayerSeeds(seed)
    sizes = images.halvings(shape)
    widths = level_widths(width, sizes)
    latents = keras.Input((latent_dim,), name="latents")
    labels = Labels(num_classes, seeds)
    x = _generator(
        seeds,
        latents,
        labels,
        shape,
        sizes,
        widths,
        generator_normalization,
        dense_units,
    )
    generator = labels.model(latents, images.samples_from(x, activation), "dcgan_g")
    discriminator = _discriminator(
        seeds,
        Labels(num_classes, seeds, auxiliary_classifier),
        shape,
        sizes,
        widths,
        discriminator_normalization,
        minibatch_stddev,
        dense_units,
    )
    return generator, discriminator


def level_widths(width, sizes) -> list[int]:
    """Returns the channels of each level, from the image's down to the bottom."""
    return [width << min(level, _MOST_DOUBLINGS) for level in range(len(sizes) - 1)]


def _initializer(seeds, normalization, transposed_by=None):
    """Returns a kernel's initialiser; of a transposed convolution by its strides."""
    # Where nothing normalises, .02 would shrink the signal from layer to layer.
    if normalization == "batch":
        return seeds.normal_initializer(0.02)
    if transposed_by is None:
        return seeds.he_initializer()
    # A pixel of the output meets the kernel in 1 of so many places.
    return seeds.he_initializer(2.0 * math.prod(transposed_by), "fan_out")


def _generator(seeds, x, labels, shape, sizes, widths, normalization, dense_units):
    """Returns the image before its activation, in float32."""
    batch = normalization == "batch"
    if not batch:
        x = labels.joined(x)

    def activated(x):
        # The shift of batch normalisation is the bias.
        if batch:
            x = labels.batch_normalized(x)
        return layers.ReLU()(x)

    def dense(units, x):
        return layers.Dense(
            units,
            use_bias=not batch,
            kernel_initializer=_initializer(seeds, normalization),
        )(x)

    if dense_units:
        x = activated(dense(dense_units, x))
    height, breadth = sizes[-1]
    x = dense(height * breadth * widths[-1], x)
    x = activated(layers.Reshape((height, breadth, widths[-1]))(x))
    for level in reversed(range(len(sizes) - 1)):
        is_image = level == 0
        strides = images.strides(sizes[level], sizes[level + 1])
        x = layers.Conv2DTranspose(
            shape[2] if is_image else widths[level - 1],
            _KERNEL_SIZE,
            strides=strides,
            padding="same",
            use_bias=is_image or not batch,
            kernel_initializer=_initializer(seeds, normalization, strides),
            dtype="float32" if is_image else None,
        )(x)
        x = images.crop(x, sizes[level])
        if not is_image:
            x = activated(x)
    return x


def features(
    seeds, x, sizes, widths, normalization, minibatch_stddev=False, dense_units=0
):
    """Returns what the discriminator's last layer sees of images, `(batch, F)`.

    Args:
        seeds: `LayerSeeds`.
        x: symbolic images.
        sizes: see `images.halvings`.
        widths: list of int, the channels of each convolution.
        normalization: "batch", "spectral" or None.
        minibatch_stddev, dense_units: see `dcgan`.
    """
    batch = normalization == "batch"

    def activated(layer, x, normalize=batch):
        x = maybe_spectral(layer, normalization)(x)
        if normalize:
            x = BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        return layers.LeakyReLU(negative_slope=0.2)(x)

    for level, width in enumerate(widths):
        normalize = batch and level > 0
        convolution = layers.Conv2D(
            width,
            _KERNEL_SIZE,
            strides=images.strides(sizes[level], sizes[level + 1]),
            padding="same",
            use_bias=not normalize,
            kernel_initializer=_initializer(seeds, normalization),
        )
        x = activated(convolution, x, normalize)
    if minibatch_stddev:
        x = MinibatchStandardDeviation()(x)
    x = layers.Flatten()(x)
    if dense_units:
        kernel = _initializer(seeds, normalization)
        dense = layers.Dense(dense_units, use_bias=not batch, kernel_initializer=kernel)
        x = activated(dense, x)
    return x


def _discriminator(
    seeds, labels, shape, sizes, widths, normalization, minibatch_stddev, dense_units
):
    samples = keras.Input(shape, name="samples")
    x = features(
        seeds, samples, sizes, widths, normalization, minibatch_stddev, dense_units
    )
    last = logit_layer(_initializer(seeds, normalization))
    logits = maybe_spectral(last, normalization)(x)
    if labels.tensor is not None and not dense_units:
        # One weight of a label for each channel, as in arXiv 1802.05637, where the sum
        # over all places is a mean here. With one for each place too, steps of Adam
        # move thousands of them at once, and D's logits with them: it diverged.
        x = layers.Reshape((*sizes[-1], x.shape[-1] // math.prod(sizes[-1])))(x)
        x = layers.GlobalAveragePooling2D()(x)
    # He's deviation of the last layer: Keras takes num_classes for the fan in.
    stddev = 0.02 if normalization == "batch" else math.sqrt(2 / x.shape[-1])
    logits = labels.projected(
        logits, x, lambda: seeds.normal_initializer(stddev), normalization
    )
    return labels.model(samples, logits, "dcgan_d")
