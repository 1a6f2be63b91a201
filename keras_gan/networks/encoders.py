"""Networks from samples to latents, for `inference.Encoder`; of no paper.

`networks` documents the arguments that all builders share.
"""

import keras
from keras import layers

from keras_gan import checks
from keras_gan.networks import images
from keras_gan.networks.common import LayerSeeds, sample_shape
from keras_gan.networks.conditioning import Labels
from keras_gan.networks.dcgan import features, level_widths

_SMALLEST_IMAGE = 8


def encoder(
    spec,
    latent_dim: int = 100,
    width: int = 32,
    dense_units: int = 256,
    num_classes: int | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Builds an encoder: the discriminator's way down, and L values at its end.

    Of images of 8 pixels a side and more, DCGAN's convolutions 4x4 of stride 2 with
    leaky ReLU of slope .2, then a dense layer. Of other samples two dense layers.
    Nothing is normalised: what E learns of samples is to hold for examples too. Initial
    weights are N(0, 2 / fan in). Labels join what the last layer sees.

    Args:
        width: int >= 1, channels of the level next to the image.
        dense_units: int >= 1, units of a hidden dense layer.
        spec, latent_dim, num_classes, seed: see `networks`.

    Returns:
        Keras model from samples, or {"samples", "labels"}, to `(batch, latent_dim)`.

    Raises:
        ValueError: images of more than 256 pixels a side; sizes below 1.
    """
    shape = sample_shape(spec)
    checks.count("latent_dim", latent_dim)
    checks.count("width", width)
    checks.count("dense_units", dense_units)
    seeds = LayerSeeds(seed)
    labels = Labels(num_classes, seeds)
    samples = keras.Input(shape, name="samples")
    if len(shape) == 3 and min(shape[:2]) >= _SMALLEST_IMAGE:
        sizes = images.halvings(images.image_shape(shape))
        widths = level_widths(width, sizes)
        x = features(seeds, samples, sizes, widths, None, dense_units=dense_units)
    else:
        x = layers.Flatten()(samples)
        for _ in range(2):
            initializer = seeds.he_initializer()
            x = layers.Dense(dense_units, kernel_initializer=initializer)(x)
            x = layers.LeakyReLU(negative_slope=0.2)(x)
    last = layers.Dense(
        latent_dim,
        kernel_initializer=seeds.he_initializer(1.0),
        name="coordinates",
        dtype="float32",
    )
    return labels.model(samples, last(labels.joined(x)), "encoder")
