"""The fully connected networks of BiGAN for MNIST: arXiv 1605.09782, appendix C.1.

`networks` documents the arguments that all builders share.
"""

import math

import keras
from keras import layers

from keras_gan import checks
from keras_gan.networks.common import (
    LayerSeeds,
    check_normalization,
    logit_layer,
    maybe_spectral,
    sample_shape,
)
from keras_gan.networks.images import output_activation
from keras_gan.normalization import BatchNormalization


def bigan_mlp(
    spec,
    latent_dim: int = 50,
    units: int = 1024,
    discriminator_normalization: str | None = "batch",
    encoder_noise: float = 0.0,
    seed: int | None = None,
) -> tuple[keras.Model, keras.Model, keras.Model]:
    """Builds a generator, a discriminator of pairs, and an encoder, for `BiGAN`.

    Each has two hidden layers of 1,024 units: in G with ReLU, in D and E with leaky
    ReLU of slope .2. Batch normalisation stands before the activation of both layers
    in G, and of the second in D and E. D takes the sample and the latents as one
    vector. Kernels are from N(0, .02^2).

    Args:
        units: int >= 1, of each hidden layer.
        discriminator_normalization: "batch"; None or "spectral" where the loss or a
            penalty compares single rows.
        encoder_noise: float in [0, 1] (the bound of Keras), standard deviation of the
            normal noise that is added to E's coordinates in training: E then stands for
            a distribution, as in ALI (V. Dumoulin et al., arXiv 1606.00704), of which
            E(x) is the mean. With `BiGAN.compile(reconstruction=...)` G has to make of
            all latents near E(x) what resembles x.
        spec, latent_dim, seed: see `networks`.

    Returns:
        (generator, discriminator, encoder): the discriminator takes {"samples",
        "latents"}; the encoder gives coordinates `(batch, latent_dim)`.

    Raises:
        ValueError: an unknown normalisation; noise outside [0, 1].
    """
    shape = sample_shape(spec)
    if not (checks.is_number(encoder_noise) and 0 <= encoder_noise <= 1):
        raise ValueError(
            f"Expected encoder_noise in [0, 1]. Received: {encoder_noise!r}"
        )
    check_normalization(
        "discriminator_normalization", discriminator_normalization, "batch", "spectral"
    )
    seeds = LayerSeeds(seed)

    def hidden(x, activation, normalizations):
        for normalization in normalizations:
            initializer = seeds.normal_initializer(0.02)
            dense = layers.Dense(units, kernel_initializer=initializer)
            x = maybe_spectral(dense, normalization)(x)
            if normalization == "batch":
                x = BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
            x = activation(x)
        return x

    def leaky(x):
        return layers.LeakyReLU(0.2)(x)

    latents = keras.Input((latent_dim,), name="latents")
    x = hidden(latents, lambda x: layers.ReLU()(x), ("batch", "batch"))
    output = layers.Dense(
        math.prod(shape),
        activation=output_activation(spec),
        kernel_initializer=seeds.normal_initializer(0.02),
        dtype="float32",
    )
    x = layers.Reshape(shape, name="samples", dtype="float32")(output(x))
    generator = keras.Model(latents, x, name="generator")

    latents = keras.Input((latent_dim,), name="latents")
    samples = keras.Input(shape, name="samples")
    x = layers.Concatenate()([layers.Flatten()(samples), latents])
    normalization = discriminator_normalization
    first = "spectral" if normalization == "spectral" else None
    x = hidden(x, leaky, (first, normalization))
    logits = maybe_spectral(logit_layer(seeds.normal_initializer(0.02)), normalization)
    discriminator = keras.Model(
        {"samples": samples, "latents": latents}, logits(x), name="discriminator"
    )

    samples = keras.Input(shape, name="samples")
    x = hidden(layers.Flatten()(samples), leaky, (None, "batch"))
    output = layers.Dense(
        latent_dim,
        kernel_initializer=seeds.normal_initializer(0.02),
        name="coordinates",
        dtype="float32",
    )
    coordinates = _noisy(output(x), encoder_noise, seeds)
    encoder = keras.Model(samples, coordinates, name="encoder")
    return generator, discriminator, encoder


def _noisy(coordinates, stddev, seeds):
    """Returns coordinates with normal noise in training; as they are, for none."""
    if not stddev:
        return coordinates
    noise = layers.GaussianNoise(stddev, seed=seeds.next(), dtype="float32")
    return noise(coordinates)
