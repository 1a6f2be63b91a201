"""The convolutional networks of Goodfellow et al., arXiv 1406.2661 (2014).

Sizes and initial weights are those of the recipes that were released with the paper.
`networks` documents the arguments that all builders share.
"""

import keras
from keras import layers

from keras_gan.layers import Maxout, MaxoutConv2D, UntiedBias
from keras_gan.networks.common import (
    Disturbance,
    LayerSeeds,
    check_data_format,
    dense_generator,
    hidden_layer,
    logit_layer,
    sample_shape,
)
from keras_gan.networks.conditioning import Labels


def paper_cifar_conv(
    spec=(32, 32, 3),
    latent_dim: int = 100,
    generator_noise: float = 0.0,
    generator_dropout: float = 0.0,
    num_classes: int | None = None,
    seed: int | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Builds the paper's deconvolutional generator and convolutional discriminator.

    G 100 -> 8000 ReLU -> 8000 sigmoid -> 10x10x80 -> transposed convolution 5x5, stride
    3, to 32x32x3, with one bias a pixel and channel. D, maxout convolutions of 2
    pieces: 32 channels 8x8 (padding 4, pooling 4, stride 2) -> 32 channels 8x8 (padding
    3, pooling 4, stride 2) -> 192 channels 5x5 (padding 3, pooling 2, stride 2) ->
    maxout 500 x 5 -> 1, with the dropout of `paper_mlp`. Labels enter D after its
    convolutions: they join the inputs of the maxout layer.

    Args:
        spec: of images of shape (32, 32, 3), the only one that the strides make.
        latent_dim, generator_noise, generator_dropout, num_classes, seed: see
            `networks`.

    Returns:
        (generator, discriminator); samples as in `paper_cifar_mlp`.

    Raises:
        ValueError: another image shape.
    """
    check_data_format()
    shape = sample_shape(spec)
    if shape != (32, 32, 3):
        raise ValueError(
            "Expected images of shape (32, 32, 3), which the strides of "
            f"paper_cifar_conv make. Received: {shape}"
        )
    seeds = LayerSeeds(seed)
    hidden = [hidden_layer(seeds, 8000, "relu"), hidden_layer(seeds, 8000, "sigmoid")]
    output = keras.Sequential(
        [
            layers.Reshape((10, 10, 80), dtype="float32"),
            layers.Conv2DTranspose(
                3,
                kernel_size=5,
                strides=3,
                use_bias=False,
                kernel_initializer=seeds.uniform_initializer(0.05),
                dtype="float32",
            ),
            UntiedBias(dtype="float32"),
        ],
        name="deconvolution",
    )
    disturbance = Disturbance(seeds, generator_noise, generator_dropout)
    generator = dense_generator(
        latent_dim, hidden, output, shape, Labels(num_classes, seeds), disturbance
    )
    return generator, _discriminator(seeds, shape, Labels(num_classes, seeds))


def _discriminator(seeds, shape, labels):
    samples = keras.Input(shape, name="samples")
    x = seeds.dropout_layer(keep=0.8)(samples)
    for channels, kernel_size, padding, pool_size in (
        (32, 8, 4, 4),  # to (16, 16, 32)
        (32, 8, 3, 4),  # to (7, 7, 32)
        (192, 5, 3, 2),  # to (5, 5, 192)
    ):
        x = MaxoutConv2D(
            channels,
            pieces=2,
            kernel_size=kernel_size,
            padding=padding,
            pool_size=pool_size,
            pool_strides=2,
            kernel_initializer=seeds.uniform_initializer(0.005),
        )(x)
        x = seeds.dropout_layer(keep=0.5)(x)
    x = labels.joined(layers.Flatten()(x))
    x = Maxout(500, 5, kernel_initializer=seeds.uniform_initializer(0.005))(x)
    x = seeds.dropout_layer(keep=0.5)(x)
    logits = logit_layer(seeds.uniform_initializer(0.005))(x)
    return labels.model(samples, logits, "discriminator")
