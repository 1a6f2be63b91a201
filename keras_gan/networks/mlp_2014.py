"""The fully connected networks of Goodfellow et al., arXiv 1406.2661 (2014).

Sizes and initial weights are those of the recipes that were released with the paper.
`networks` documents the arguments that all builders share.
"""

import math

import keras
import numpy as np
from keras import layers

from keras_gan import checks
from keras_gan.layers import SparseNormal
from keras_gan.networks.common import (
    Disturbance,
    LayerSeeds,
    dense_generator,
    hidden_layer,
    maxout_discriminator,
    sample_shape,
)
from keras_gan.networks.conditioning import Labels

# The bound that the TFD recipe sets on the norm of each column of each kernel.
_TFD_MAX_NORM = 1.9365


def paper_mlp(
    spec,
    size: str = "mnist",
    latent_dim: int = 100,
    pixel_means=None,
    generator_noise: float = 0.0,
    generator_dropout: float = 0.0,
    auxiliary_classifier: bool = False,
    num_classes: int | None = None,
    seed: int | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Builds the paper's fully connected networks for MNIST and for TFD.

    MNIST: G 100 -> 1200 ReLU -> 1200 ReLU -> pixels, sigmoid; D maxout 240 units of 5
    pieces, twice -> 1. TFD: G 100 -> 8000 ReLU -> 8000 sigmoid (bias -2) -> pixels,
    sigmoid, 100 nonzero weights a unit; D maxout 1200 x 5, twice -> 1; every column of
    every kernel has norm 1.9365 at most. D drops out its input (keep .8) and hidden
    layers (keep .5). Initial weights are uniform, +-.05 in G, +-.005 in D.

    Args:
        size: "mnist" or "tfd".
        pixel_means: array of the samples' shape in [0, 1], the means of the training
            pixels (`Dataset.pixel_means`). The output's bias starts at their log-odds;
            None starts it at 0.
        spec, latent_dim, generator_noise, generator_dropout: see `networks`.
        auxiliary_classifier, num_classes, seed: see `networks`.

    Returns:
        (generator, discriminator); samples in (0, 1).

    Raises:
        ValueError: another size; `pixel_means` of another shape or outside [0, 1].
    """
    shape = sample_shape(spec)
    checks.one_of("size", size, ("mnist", "tfd"))
    seeds = LayerSeeds(seed)
    if size == "mnist":
        constraint, maxout_units = None, 240
        hidden = [
            hidden_layer(seeds, 1200, "relu"),
            hidden_layer(seeds, 1200, "relu"),
        ]
        output_initializer = seeds.uniform_initializer(0.05)
    else:
        constraint, maxout_units = _max_norm(), 1200
        hidden = [
            hidden_layer(seeds, 8000, "relu", kernel_constraint=constraint),
            hidden_layer(
                seeds, 8000, "sigmoid", bias=-2.0, kernel_constraint=constraint
            ),
        ]
        output_initializer = SparseNormal(100, seed=seeds.next())
    output = layers.Dense(
        math.prod(shape),
        activation="sigmoid",
        kernel_initializer=output_initializer,
        kernel_constraint=constraint,
        dtype="float32",
    )
    disturbance = Disturbance(seeds, generator_noise, generator_dropout)
    generator = dense_generator(
        latent_dim, hidden, output, shape, Labels(num_classes, seeds), disturbance
    )
    if pixel_means is not None:
        output.bias.assign(_log_odds(pixel_means, shape))
    labels = Labels(num_classes, seeds, auxiliary_classifier)
    return generator, maxout_discriminator(
        seeds, shape, labels, maxout_units, constraint
    )


def paper_tfd_stage2(
    spec,
    pretrained_generator: keras.Model,
    latent_dim: int = 100,
    num_classes: int | None = None,
    seed: int | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Builds the second stage of the TFD recipe: new layers before a trained generator.

    100 -> 8000 ReLU -> 100 sigmoid (bias -2) -> the latents of the pretrained
    generator, all of whose layers are trained on; and a new discriminator. Labels join
    the latents, and reach the pretrained generator too where it takes them.

    Args:
        pretrained_generator: built Keras model, the generator of the first stage, of
            latents or of {"latents", "labels"}.
        spec, latent_dim, num_classes, seed: see `networks`.

    Returns:
        (generator, discriminator).

    Raises:
        ValueError: a pretrained generator that takes labels, and no `num_classes`.
    """
    shape = sample_shape(spec)
    inner = pretrained_generator.input
    takes_labels = isinstance(inner, dict)
    (inner_latent_dim,) = (inner["latents"] if takes_labels else inner).shape[1:]
    if takes_labels and num_classes is None:
        raise ValueError(
            "Expected `num_classes` of the labels that the pretrained generator takes. "
            "Received: None"
        )
    seeds = LayerSeeds(seed)
    latents = keras.Input((latent_dim,), name="latents")
    labels = Labels(num_classes, seeds)
    x = labels.joined(latents)
    for layer in (
        hidden_layer(seeds, 8000, "relu", kernel_constraint=_max_norm()),
        hidden_layer(
            seeds,
            inner_latent_dim,
            "sigmoid",
            bias=-2.0,
            kernel_constraint=_max_norm(),
        ),
    ):
        x = layer(x)
    if takes_labels:
        x = {"latents": x, "labels": labels.tensor}
    x = pretrained_generator(x)
    generator = labels.model(latents, x, "stage2_generator")
    labels = Labels(num_classes, seeds)
    return generator, maxout_discriminator(seeds, shape, labels, 1200, _max_norm())


def paper_cifar_mlp(
    spec,
    latent_dim: int = 100,
    generator_noise: float = 0.0,
    generator_dropout: float = 0.0,
    num_classes: int | None = None,
    seed: int | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Builds the paper's fully connected networks for CIFAR-10.

    G 100 -> 8000 ReLU -> 8000 sigmoid -> pixels, linear (initial weights +-.5); D
    maxout 1600 units of 5 pieces, twice -> 1, with the dropout of `paper_mlp`.

    Args:
        spec, latent_dim, generator_noise, generator_dropout, num_classes, seed: see
            `networks`.

    Returns:
        (generator, discriminator); samples are unbounded, for global contrast
        normalised data (`Dataset.contrast_normalized`).
    """
    shape = sample_shape(spec)
    seeds = LayerSeeds(seed)
    hidden = [hidden_layer(seeds, 8000, "relu"), hidden_layer(seeds, 8000, "sigmoid")]
    output = layers.Dense(
        math.prod(shape),
        kernel_initializer=seeds.uniform_initializer(0.5),
        dtype="float32",
    )
    disturbance = Disturbance(seeds, generator_noise, generator_dropout)
    generator = dense_generator(
        latent_dim, hidden, output, shape, Labels(num_classes, seeds), disturbance
    )
    labels = Labels(num_classes, seeds)
    return generator, maxout_discriminator(seeds, shape, labels, 1600)


def _max_norm():
    return keras.constraints.MaxNorm(_TFD_MAX_NORM, axis=0)


def _log_odds(pixel_means, shape):
    """Returns the output biases whose sigmoids are the pixels' means, flattened."""
    means = np.asarray(pixel_means, np.float64)
    if means.shape != shape or not (0 <= means.min() <= means.max() <= 1):
        raise ValueError(
            f"Expected pixel_means of shape {shape} in [0, 1]. Received "
            f"shape {means.shape}, values from {means.min():.4g} to {means.max():.4g}"
        )
    # MNIST's border is never lit: the log-odds of 0 are infinite.
    means = np.clip(means.ravel(), 1e-7, 1 - 1e-7)
    return np.log(means) - np.log1p(-means)
