"""R3GAN: Y. Huang et al., The GAN is dead; long live the GAN!, arXiv 2501.05441 (2025).

Networks without normalisation, for the relativistic loss with R1 and R2. Their blocks
start as the identity, which takes the place of normalisation (H. Zhang et al., Fixup
Initialization, arXiv 1901.09321).
"""

import functools
import math

import keras
import tensorflow as tf
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

_SLOPE = 0.2
# Channels of one group of the grouped convolutions.
_GROUP_SIZE = 16
# A block is this much wider inside.
_EXPANSION = 2


def r3gan(
    spec,
    latent_dim: int = 64,
    width: int = 64,
    depth: int = 2,
    discriminator_normalization: str | None = None,
    minibatch_stddev: bool = False,
    num_classes: int | None = None,
    seed: int | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Builds R3GAN's residual networks for images of any size from 8 to 256.

    A block is 1x1 to twice the width, grouped 3x3 (groups of 16 channels, or of the
    greatest divisor that 16 and the width share), 1x1 back, with leaky ReLU of slope .2
    between them, added to its input. G: a learned basis of the bottom (4 to 7 pixels a
    side) times a linear map of the latents -> `depth` blocks -> bilinear doubling and
    `depth` blocks, up to the image's size -> 1x1 to the channels. D goes back: 1x1 ->
    `depth` blocks and halving by means of 2x2 -> `depth` blocks at the bottom -> a
    depthwise convolution of the bottom's size -> 1.

    Initial weights are N(0, gain^2 / fan in). Within blocks gain^2 is 2 / (1 + .2^2) /
    sqrt(blocks of the network), and 0 in the last convolution: with three convolutions
    in each of L blocks, the scale L^(-1/4) of Fixup.

    Labels enter as in the paper's code: a vector as long as the latents, from N(0, 1 /
    num_classes), joins them. D's last layer makes as many features as it sees, without
    a bias, and the logit is their product with the label's embedding, which starts from
    N(0, 1 / num_classes / features).

    Two departures: the paper's G has no activation at its end, and its filters for
    resampling are [1, 2, 1], which shift images by half a pixel. The paper's CIFAR-10
    has `width=768`, and takes a GPU. On a CPU leave `jit_compile` at "auto": XLA, which
    it turns off there, takes some 50 times as long for the gradient of a grouped
    convolution.

    Args:
        width: int, channels up to 32 pixels a side; each doubling above has half of
            them, down to 16.
        depth: int, blocks of each size.
        discriminator_normalization: None, or "spectral", where the last convolutions
            of D's blocks start like the others: scaled to norm 1, a kernel of 0 would
            jump there.
        minibatch_stddev: bool, whether `layers.MinibatchStandardDeviation`, and a 1x1
            convolution back to `width`, stand before D's blocks at the bottom.
        spec, latent_dim, num_classes, seed: see `networks`.

    Returns:
        (generator, discriminator); samples in the range of `spec`, (0, 1) for a shape.

    Raises:
        ValueError: no images of 8 to 256 pixels a side in (-1, 1), (0, 1) or without
            bounds; an unknown normalisation; a width or a depth below 1.
    """
    shape = images.image_shape(spec)
    activation = images.output_activation(spec)
    checks.count("width", width)
    checks.count("depth", depth)
    check_normalization(
        "discriminator_normalization", discriminator_normalization, "spectral"
    )
    seeds = LayerSeeds(seed)
    sizes = images.halvings(shape)
    parts = _Parts(seeds, depth * len(sizes), None)
    generator = _generator(
        parts,
        keras.Input((latent_dim,), name="latents"),
        Labels(num_classes, seeds),
        shape,
        sizes,
        (width, depth),
        activation,
    )
    parts = _Parts(seeds, depth * len(sizes), discriminator_normalization)
    return generator, _discriminator(
        parts,
        Labels(num_classes, seeds),
        shape,
        sizes,
        (width, depth),
        minibatch_stddev,
    )


@keras.saving.register_keras_serializable("keras_gan")
class GenerativeBasis(keras.layers.Layer):
    """Multiplies a learned image by a number for each channel: y_ijc = B_ijc x_c.

    Args:
        height, width: ints >= 1, of the image.
        basis_initializer: Keras initializer of B.
        name, dtype: as for every layer.

    Input: float `(batch, C)`. Output: `(batch, height, width, C)`.

    Raises:
        ValueError: a size below 1, or an input of another rank.
    """

    def __init__(self, height, width, basis_initializer="random_normal", **kwargs):
        super().__init__(**kwargs)
        self.height = checks.count("height", height)
        self.width = checks.count("width", width)
        self.basis_initializer = keras.initializers.get(basis_initializer)
        self.input_spec = keras.layers.InputSpec(ndim=2)

    def build(self, input_shape):
        self.basis = self.add_weight(
            shape=(self.height, self.width, input_shape[-1]),
            initializer=self.basis_initializer,
            name="basis",
        )

    def call(self, inputs):
        return self.basis * inputs[:, None, None, :]

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.height, self.width, input_shape[-1])

    def get_config(self):
        return {
            **super().get_config(),
            "height": self.height,
            "width": self.width,
            "basis_initializer": keras.initializers.serialize(self.basis_initializer),
        }


@keras.saving.register_keras_serializable("keras_gan")
class GroupedConv2D(layers.Conv2D):
    """A convolution in groups that TensorFlow computes, of stride 1 and padding "same".

    Keras hands convolutions in groups to XLA, whose gradient on CPUs takes some 50
    times as long. The values are the same. Where TensorFlow has no gradient of them
    (on CPUs, in float16 and float64, or without oneDNN), each group is one convolution.
    """

    def convolution_op(self, inputs, kernel):
        if _has_grouped_gradient(inputs.dtype):
            return tf.nn.conv2d(inputs, kernel, 1, "SAME")
        pairs = zip(
            tf.split(inputs, self.groups, axis=-1),
            tf.split(kernel, self.groups, axis=-1),
            strict=True,
        )
        return tf.concat([tf.nn.conv2d(x, k, 1, "SAME") for x, k in pairs], axis=-1)


@functools.cache
def _has_grouped_gradient(dtype):
    """Whether TensorFlow has gradients of convolutions in groups, on this machine."""
    # Eagerly, also while a step is traced. There no tape records: by the operation.
    with tf.init_scope():
        try:
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=(1, 3, 3, 4),
                filter=tf.ones((3, 3, 2, 4), dtype),
                out_backprop=tf.ones((1, 3, 3, 4), dtype),
                strides=(1, 1, 1, 1),
                padding="SAME",
            )
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True


class _Parts:
    """Makes the layers and blocks of one network.

    Args:
        seeds: `LayerSeeds`.
        num_blocks: int, blocks in the network.
        normalization: None or "spectral".
    """

    def __init__(self, seeds, num_blocks, normalization):
        self.seeds = seeds
        self._scale = 2 / (1 + _SLOPE**2) / math.sqrt(num_blocks)
        self.normalization = normalization

    def convolution(self, x, width, kernel_size=1, scale=1.0, **options):
        """Applies a convolution; scale 0 starts it at 0."""
        # One call each: the number of seeds does not depend on the scale.
        initializer = self.seeds.he_initializer(scale or 1.0)
        kind = GroupedConv2D if options.get("groups", 1) > 1 else layers.Conv2D
        layer = kind(
            width,
            kernel_size,
            padding="same",
            kernel_initializer=initializer if scale else "zeros",
            **options,
        )
        return maybe_spectral(layer, self.normalization)(x)

    def block(self, x):
        """Applies a residual block."""
        width = x.shape[-1]
        inside = _EXPANSION * width
        groups = inside // math.gcd(inside, _GROUP_SIZE)
        y = self.convolution(x, inside, scale=self._scale)
        y = layers.LeakyReLU(negative_slope=_SLOPE)(y)
        y = self.convolution(y, inside, 3, scale=self._scale, groups=groups)
        y = layers.LeakyReLU(negative_slope=_SLOPE)(y)
        last = self._scale if self.normalization == "spectral" else 0.0
        y = self.convolution(y, width, scale=last, use_bias=False)
        return layers.Add()([x, y])

    def widened(self, x, width):
        """Changes the width by a 1x1 convolution, where it changes."""
        if x.shape[-1] == width:
            return x
        return self.convolution(x, width, use_bias=False)


def _generator(parts, latents, labels, shape, sizes, width_depth, activation):
    width, depth = width_depth
    joined = latents
    if labels.num_classes:
        stddev = 1 / math.sqrt(labels.num_classes)
        joined = labels.joined(latents, latents.shape[-1], stddev)
    x = layers.Dense(
        images.level_width(width, sizes[-1]),
        use_bias=False,
        kernel_initializer=parts.seeds.he_initializer(1.0),
    )(joined)
    x = GenerativeBasis(*sizes[-1], parts.seeds.normal_initializer(1.0))(x)
    for size in reversed(sizes):
        if size != sizes[-1]:
            x = parts.widened(x, images.level_width(width, size))
            x = Upsample2D(*size, interpolation="bilinear")(x)
        for _ in range(depth):
            x = parts.block(x)
    x = parts.convolution(x, shape[2], dtype="float32")
    return labels.model(latents, images.samples_from(x, activation), "r3gan_g")


def _discriminator(parts, labels, shape, sizes, width_depth, minibatch_stddev):
    width, depth = width_depth
    samples = keras.Input(shape, name="samples")
    x = parts.convolution(samples, images.level_width(width, sizes[0]), use_bias=False)
    for size in sizes:
        if size != sizes[0]:
            x = Downsample2D(*size)(x)
            x = parts.widened(x, images.level_width(width, size))
        if minibatch_stddev and size == sizes[-1]:
            channels = x.shape[-1]
            x = parts.widened(MinibatchStandardDeviation()(x), channels)
        for _ in range(depth):
            x = parts.block(x)
    # Keras takes the fan in of a depthwise kernel for that of a dense one: C too many.
    initializer = parts.seeds.he_initializer(float(x.shape[-1]))
    spread = layers.DepthwiseConv2D(
        sizes[-1], use_bias=False, depthwise_initializer=initializer
    )
    x = layers.Flatten()(maybe_spectral(spread, parts.normalization)(x))
    logits = _logits(parts, labels, x)
    return labels.model(samples, logits, "r3gan_d")


def _logits(parts, labels, x):
    initializer = parts.seeds.he_initializer(1.0)
    if labels.tensor is None:
        return maybe_spectral(logit_layer(initializer), parts.normalization)(x)
    features = layers.Dense(
        x.shape[-1],
        use_bias=False,
        kernel_initializer=initializer,
        name="features",
        dtype="float32",
    )
    x = maybe_spectral(features, parts.normalization)(x)
    stddev = 1 / math.sqrt(labels.num_classes * x.shape[-1])
    initializer = parts.seeds.normal_initializer(stddev)
    return labels.projection(x, initializer, parts.normalization)
