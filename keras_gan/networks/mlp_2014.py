"""Generators and discriminators as functional Keras models.

A builder returns `(generator, discriminator)`: the generator takes latents
`(batch, latent_dim)`, the discriminator gives one logit a sample. The arguments that
several builders share:

    image_shape: (H, W, C) of the samples (`sample_shape` where they are no images).
    latent_dim: int, L.
    generator_noise: float in [0, 1] (Keras's bound), standard deviation of Gaussian
        noise added to each hidden layer of the generator in training.
    generator_dropout: float in [0, 1), share of each hidden layer of the generator
        dropped out in training.
    seed: int or None, of initial weights, noise and dropout masks.

The layers that make samples and logits compute in float32 under every dtype policy
(`keras.mixed_precision.set_dtype_policy`).

By default noise enters the generator at the bottom layer only, as in the paper's
experiments, though "our theoretical framework permits the use of dropout and other
noise at intermediate layers of the generator".

Reference: Goodfellow et al., arXiv 1406.2661, and the recipes released with it.
"""

import math

import keras
import numpy as np
from keras import layers

from keras_gan.layers import Maxout, MaxoutConv2D, SparseNormal, UntiedBias

# The bound that the TFD recipe puts on the norm of each column of each kernel.
_TFD_MAX_NORM = 1.9365


def paper_mlp(
    image_shape,
    size="mnist",
    latent_dim=100,
    pixel_means=None,
    generator_noise=0.0,
    generator_dropout=0.0,
    seed=None,
):
    """The paper's fully connected networks for MNIST and for TFD.

    MNIST: G 100 -> 1200 ReLU -> 1200 ReLU -> pixels, sigmoid; D maxout 240 units of 5
    pieces, twice -> 1. TFD: G 100 -> 8000 ReLU -> 8000 sigmoid (bias -2) -> pixels,
    sigmoid, 100 nonzero weights a unit; D maxout 1200 x 5, twice -> 1; every column of
    every kernel has norm 1.9365 at most. D drops out its input (keep .8) and hidden
    layers (keep .5). Initial weights are uniform, +-.05 in G, +-.005 in D.

    Args:
        size: "mnist" or "tfd".
        pixel_means: array of shape `image_shape` in [0, 1], the means of the training
            pixels (`Dataset.pixel_means`), whose log-odds the output's bias starts at.
            None starts it at 0.
        image_shape, latent_dim, generator_noise, generator_dropout, seed: see the
            module.

    Returns:
        (generator, discriminator); samples in (0, 1).

    Raises:
        ValueError: another size; `pixel_means` of another shape or outside [0, 1].
    """
    draw = _Draw(seed)
    if size == "mnist":
        constraint, maxout_units = None, 240
        hidden = [
            _dense(draw, 1200, "relu"),
            _dense(draw, 1200, "relu"),
        ]
        output_initializer = draw.uniform(0.05)
    elif size == "tfd":
        constraint, maxout_units = _max_norm(), 1200
        hidden = [
            _dense(draw, 8000, "relu", kernel_constraint=constraint),
            _dense(draw, 8000, "sigmoid", bias=-2.0, kernel_constraint=constraint),
        ]
        output_initializer = SparseNormal(100, seed=draw())
    else:
        raise ValueError(f"Expected size 'mnist' or 'tfd'. Received: {size!r}")
    output = layers.Dense(
        math.prod(image_shape),
        activation="sigmoid",
        kernel_initializer=output_initializer,
        kernel_constraint=constraint,
        dtype="float32",
    )
    disturbance = _disturbance(draw, generator_noise, generator_dropout)
    generator = _generator(latent_dim, hidden, disturbance, output, image_shape)
    if pixel_means is not None:
        output.bias.assign(_log_odds(pixel_means, image_shape))
    return generator, _maxout_discriminator(draw, image_shape, maxout_units, constraint)


def paper_tfd_stage2(pretrained_generator, image_shape, latent_dim=100, seed=None):
    """The second stage of the TFD recipe: new layers in front of a trained generator.

    100 -> 8000 ReLU -> 100 sigmoid (bias -2), whose outputs are the latents of the
    WHOLE pretrained generator, which is trained on; and a new discriminator.

    Args:
        pretrained_generator: built Keras model, the first stage's generator.
        image_shape, latent_dim, seed: see the module.

    Returns:
        (generator, discriminator).
    """
    draw = _Draw(seed)
    latents = x = keras.Input((latent_dim,), name="latents")
    (inner_latent_dim,) = pretrained_generator.input_shape[1:]
    for layer in (
        _dense(draw, 8000, "relu", kernel_constraint=_max_norm()),
        _dense(
            draw, inner_latent_dim, "sigmoid", bias=-2.0, kernel_constraint=_max_norm()
        ),
        pretrained_generator,
    ):
        x = layer(x)
    generator = keras.Model(latents, x, name="stage2_generator")
    return generator, _maxout_discriminator(draw, image_shape, 1200, _max_norm())


def paper_cifar_mlp(
    image_shape, latent_dim=100, generator_noise=0.0, generator_dropout=0.0, seed=None
):
    """The paper's fully connected networks for CIFAR-10.

    G 100 -> 8000 ReLU -> 8000 sigmoid -> pixels, linear (initial weights +-.5); D
    maxout 1600 units of 5 pieces, twice -> 1, with the dropout of `paper_mlp`.

    Args:
        image_shape, latent_dim, generator_noise, generator_dropout, seed: see the
            module.

    Returns:
        (generator, discriminator); samples are unbounded, for global contrast
        normalised data (`Dataset.contrast_normalized`).
    """
    draw = _Draw(seed)
    hidden = [_dense(draw, 8000, "relu"), _dense(draw, 8000, "sigmoid")]
    output = layers.Dense(
        math.prod(image_shape), kernel_initializer=draw.uniform(0.5), dtype="float32"
    )
    disturbance = _disturbance(draw, generator_noise, generator_dropout)
    generator = _generator(latent_dim, hidden, disturbance, output, image_shape)
    return generator, _maxout_discriminator(draw, image_shape, 1600)


def paper_cifar_conv(
    image_shape=(32, 32, 3),
    latent_dim=100,
    generator_noise=0.0,
    generator_dropout=0.0,
    seed=None,
):
    """The paper's deconvolutional generator and convolutional discriminator.

    G 100 -> 8000 ReLU -> 8000 sigmoid -> 10x10x80 -> transposed convolution 5x5, stride
    3, to 32x32x3, with one bias a pixel and channel. D, maxout convolutions of 2
    pieces: 32 channels 8x8 (padding 4, pooling 4, stride 2) -> 32 channels 8x8 (padding
    3, pooling 4, stride 2) -> 192 channels 5x5 (padding 3, pooling 2, stride 2) ->
    maxout 500 x 5 -> 1, with the dropout of `paper_mlp`.

    Args:
        image_shape: (32, 32, 3), which the recipe's strides make.
        latent_dim, generator_noise, generator_dropout, seed: see the module.

    Returns:
        (generator, discriminator); samples as in `paper_cifar_mlp`.

    Raises:
        ValueError: another image shape.
    """
    if tuple(image_shape) != (32, 32, 3):
        raise ValueError(
            "Expected images of shape (32, 32, 3), which the strides of "
            f"paper_cifar_conv make. Received: {tuple(image_shape)}"
        )
    draw = _Draw(seed)
    hidden = [_dense(draw, 8000, "relu"), _dense(draw, 8000, "sigmoid")]
    output = keras.Sequential(
        [
            layers.Reshape((10, 10, 80), dtype="float32"),
            layers.Conv2DTranspose(
                3,
                kernel_size=5,
                strides=3,
                use_bias=False,
                kernel_initializer=draw.uniform(0.05),
                dtype="float32",
            ),
            UntiedBias(dtype="float32"),
        ],
        name="deconvolution",
    )
    disturbance = _disturbance(draw, generator_noise, generator_dropout)
    generator = _generator(latent_dim, hidden, disturbance, output, image_shape)

    samples = keras.Input(image_shape, name="samples")
    x = draw.dropout(keep=0.8)(samples)
    for channels, kernel_size, padding, pool_size in (
        (32, 8, 4, 4),
        (32, 8, 3, 4),
        (192, 5, 3, 2),
    ):
        x = MaxoutConv2D(
            channels,
            pieces=2,
            kernel_size=kernel_size,
            padding=padding,
            pool_size=pool_size,
            pool_strides=2,
            kernel_initializer=draw.uniform(0.005),
        )(x)
        x = draw.dropout(keep=0.5)(x)
    x = Maxout(500, 5, kernel_initializer=draw.uniform(0.005))(layers.Flatten()(x))
    logits = _logit(draw, draw.dropout(keep=0.5)(x))
    return generator, keras.Model(samples, logits, name="discriminator")


def digits_mlp(
    image_shape, latent_dim=100, generator_noise=0.0, generator_dropout=0.0, seed=None
):
    """Small fully connected networks for the 8x8 digits, not from the paper.

    G 100 -> 256 ReLU -> 512 ReLU -> pixels, sigmoid; D maxout 256 units of 5 pieces,
    twice -> 1, which drops out less than the paper's (keep .9 of the input and .6 of
    the hidden units: an 8x8 digit has no pixel to spare). Initial weights are Glorot's,
    which need no tuning of their range at these sizes.

    Args:
        image_shape, latent_dim, generator_noise, generator_dropout, seed: see the
            module.

    Returns:
        (generator, discriminator); samples in (0, 1).
    """
    draw = _Draw(seed)
    hidden = [
        layers.Dense(units, activation="relu", kernel_initializer=draw.glorot())
        for units in (256, 512)
    ]
    output = layers.Dense(
        math.prod(image_shape),
        activation="sigmoid",
        kernel_initializer=draw.glorot(),
        dtype="float32",
    )
    disturbance = _disturbance(draw, generator_noise, generator_dropout)
    generator = _generator(latent_dim, hidden, disturbance, output, image_shape)
    return generator, _maxout_discriminator(
        draw, image_shape, 256, initializer=draw.glorot, keep=(0.9, 0.6)
    )


def toy_mlp(sample_shape, latent_dim=2, seed=None):
    """Small networks for the toy densities in one and two dimensions.

    G latents -> 128 ReLU -> 128 ReLU -> samples, linear; D 128 ReLU -> 128 ReLU -> 1;
    no dropout. Initial weights are Glorot's.

    Args:
        sample_shape: (D,).
        latent_dim, seed: see the module.

    Returns:
        (generator, discriminator); samples are unbounded.
    """
    draw = _Draw(seed)

    def hidden():
        return [
            layers.Dense(128, activation="relu", kernel_initializer=draw.glorot())
            for _ in range(2)
        ]

    output = layers.Dense(
        math.prod(sample_shape), kernel_initializer=draw.glorot(), dtype="float32"
    )
    generator = _generator(latent_dim, hidden(), lambda: [], output, sample_shape)
    samples = keras.Input(sample_shape, name="samples")
    x = layers.Flatten()(samples)
    for layer in hidden():
        x = layer(x)
    logits = layers.Dense(1, kernel_initializer=draw.glorot(), dtype="float32")(x)
    return generator, keras.Model(samples, logits, name="discriminator")


class _Draw:
    """Seeds, one after the other from one seed, and what takes one."""

    def __init__(self, seed):
        self._sequence = None if seed is None else np.random.SeedSequence(seed)

    def __call__(self):
        if self._sequence is None:
            return None
        (child,) = self._sequence.spawn(1)
        return int(child.generate_state(1)[0])

    def uniform(self, irange):
        """The recipes' initial weights: uniform on (-irange, irange)."""
        return keras.initializers.RandomUniform(-irange, irange, seed=self())

    def glorot(self):
        return keras.initializers.GlorotUniform(seed=self())

    def dropout(self, keep):
        """The recipes' dropout: keep with probability `keep`, scale by 1 / keep."""
        return layers.Dropout(1.0 - keep, seed=self())


def _dense(draw, units, activation, bias=0.0, kernel_constraint=None):
    """A hidden layer of the recipes' generators."""
    return layers.Dense(
        units,
        activation=activation,
        kernel_initializer=draw.uniform(0.05),
        bias_initializer=keras.initializers.Constant(bias),
        kernel_constraint=kernel_constraint,
    )


def _max_norm():
    return keras.constraints.MaxNorm(_TFD_MAX_NORM, axis=0)


def _disturbance(draw, noise, dropout):
    """The layers that disturb a hidden layer of the generator in training, if any."""
    if not (0 <= noise <= 1 and 0 <= dropout < 1):
        raise ValueError(
            "Expected generator_noise in [0, 1] and generator_dropout in [0, 1). "
            f"Received: {noise} and {dropout}"
        )

    def disturb():
        disturbing = []
        if noise:
            disturbing.append(layers.GaussianNoise(noise, seed=draw()))
        if dropout:
            disturbing.append(draw.dropout(keep=1.0 - dropout))
        return disturbing

    return disturb


def _generator(latent_dim, hidden, disturbance, output, image_shape):
    latents = x = keras.Input((latent_dim,), name="latents")
    for layer in hidden:
        x = layer(x)
        for disturbing in disturbance():
            x = disturbing(x)
    x = layers.Reshape(image_shape, name="samples", dtype="float32")(output(x))
    return keras.Model(latents, x, name="generator")


def _maxout_discriminator(
    draw, image_shape, units, constraint=None, initializer=None, keep=(0.8, 0.5)
):
    """Two maxout layers of 5 pieces, dropout before each layer, one logit.

    `keep` are the shares of the input and of the hidden units that dropout keeps.
    """
    initializer = initializer or (lambda: draw.uniform(0.005))
    samples = keras.Input(image_shape, name="samples")
    x = draw.dropout(keep=keep[0])(layers.Flatten()(samples))
    for _ in range(2):
        x = Maxout(
            units,
            pieces=5,
            kernel_initializer=initializer(),
            kernel_constraint=constraint,
        )(x)
        x = draw.dropout(keep=keep[1])(x)
    logits = _logit(draw, x, constraint, initializer)
    return keras.Model(samples, logits, name="discriminator")


def _logit(draw, x, constraint=None, initializer=None):
    initializer = initializer or (lambda: draw.uniform(0.005))
    return layers.Dense(
        1,
        kernel_initializer=initializer(),
        kernel_constraint=constraint,
        name="logits",
        dtype="float32",
    )(x)


def _log_odds(pixel_means, image_shape):
    """The output biases whose sigmoids are the means of the pixels, flattened."""
    means = np.asarray(pixel_means, np.float64)
    if means.shape != tuple(image_shape) or not (0 <= means.min() <= means.max() <= 1):
        raise ValueError(
            f"Expected pixel_means of shape {tuple(image_shape)} in [0, 1]. Received "
            f"shape {means.shape}, values from {means.min():.4g} to {means.max():.4g}"
        )
    # MNIST's border is never lit: the log-odds of 0 are infinite.
    means = np.clip(means.ravel(), 1e-7, 1 - 1e-7)
    return np.log(means) - np.log1p(-means)
