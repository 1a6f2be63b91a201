"""Small networks for the 8x8 digits, the default data; not from the paper."""

import math

import keras
from keras import layers

from keras_gan.networks.common import (
    Disturbance,
    LayerSeeds,
    dense_generator,
    maxout_discriminator,
    sample_shape,
)
from keras_gan.networks.conditioning import Labels


def digits_mlp(
    spec,
    latent_dim: int = 100,
    generator_noise: float = 0.0,
    generator_dropout: float = 0.0,
    auxiliary_classifier: bool = False,
    num_classes: int | None = None,
    seed: int | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Builds small fully connected networks for the 8x8 digits.

    G 100 -> 256 ReLU -> 512 ReLU -> pixels, sigmoid; D maxout 256 units of 5 pieces,
    twice -> 1, which drops out less than the paper's (keep .9 of the input and .6 of
    the hidden units: an 8x8 digit has no pixel to spare). Initial weights are Glorot's,
    which need no tuning of their range at these sizes.

    Args:
        spec, latent_dim, generator_noise, generator_dropout: see `networks`.
        auxiliary_classifier, num_classes, seed: see `networks`.

    Returns:
        (generator, discriminator); samples in (0, 1).
    """
    shape = sample_shape(spec)
    seeds = LayerSeeds(seed)
    hidden = [
        layers.Dense(
            units, activation="relu", kernel_initializer=seeds.glorot_initializer()
        )
        for units in (256, 512)
    ]
    output = layers.Dense(
        math.prod(shape),
        activation="sigmoid",
        kernel_initializer=seeds.glorot_initializer(),
        dtype="float32",
    )
    disturbance = Disturbance(seeds, generator_noise, generator_dropout)
    generator = dense_generator(
        latent_dim, hidden, output, shape, Labels(num_classes, seeds), disturbance
    )
    return generator, maxout_discriminator(
        seeds,
        shape,
        Labels(num_classes, seeds, auxiliary_classifier),
        256,
        initializer=seeds.glorot_initializer,
        keep=(0.9, 0.6),
    )
