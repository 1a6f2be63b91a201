"""Small networks for the toy densities in one and two dimensions."""

import math

import keras
from keras import layers

from keras_gan import checks
from keras_gan.layers import Pack
from keras_gan.networks.common import (
    LayerSeeds,
    check_normalization,
    dense_generator,
    maybe_spectral,
    sample_shape,
)
from keras_gan.networks.conditioning import Labels


def toy_mlp(
    spec,
    latent_dim: int = 2,
    units: int = 128,
    depth: int = 2,
    pack: int = 1,
    discriminator_normalization: str | None = None,
    auxiliary_classifier: bool = False,
    num_classes: int | None = None,
    seed: int | None = None,
) -> tuple[keras.Model, keras.Model]:
    """Builds small fully connected networks without dropout.

    G latents -> 128 ReLU -> 128 ReLU -> samples, linear; D 128 ReLU -> 128 ReLU -> 1.
    Initial weights are Glorot's.

    Args:
        spec: of vectors of shape (D,), or that shape.
        units: int >= 1, of each hidden layer.
        depth: int >= 1, hidden layers of each network.
        pack: int >= 1, samples that D judges at once, see `layers.Pack`.
        discriminator_normalization: None or "spectral".
        latent_dim, auxiliary_classifier, num_classes, seed: see `networks`.

    Returns:
        (generator, discriminator); samples are unbounded.

    Raises:
        ValueError: an unknown normalisation; an auxiliary classifier of packs.
    """
    shape = sample_shape(spec)
    checks.count("depth", depth)
    normalization = discriminator_normalization
    check_normalization("discriminator_normalization", normalization, "spectral")
    if auxiliary_classifier and pack > 1:
        raise ValueError(
            "Expected pack=1 with an auxiliary classifier: samples of a pack have no "
            f"label in common. Received: pack={pack}"
        )
    seeds = LayerSeeds(seed)

    def hidden():
        return [
            layers.Dense(
                units, activation="relu", kernel_initializer=seeds.glorot_initializer()
            )
            for _ in range(depth)
        ]

    output = layers.Dense(
        math.prod(shape), kernel_initializer=seeds.glorot_initializer(), dtype="float32"
    )
    labels = Labels(num_classes, seeds)
    generator = dense_generator(latent_dim, hidden(), output, shape, labels)
    labels = Labels(num_classes, seeds, auxiliary_classifier)
    samples = keras.Input(shape, name="samples")
    x = labels.joined(layers.Flatten()(samples))
    if pack > 1:
        x = Pack(pack)(x)
    for layer in hidden():
        x = maybe_spectral(layer, normalization)(x)
    last = layers.Dense(
        1, kernel_initializer=seeds.glorot_initializer(), dtype="float32"
    )
    logits = maybe_spectral(last, normalization)(x)
    logits = labels.classified(logits, x, seeds.glorot_initializer, normalization)
    return generator, labels.model(samples, logits, "discriminator")
