"""A discriminator of points that sees fine detail.

Reference: M. Tancik et al., Fourier Features Let Networks Learn High Frequency
Functions in Low Dimensional Domains, arXiv 2006.10739.
"""

import math

import keras
import numpy as np
from keras import layers

from keras_gan import checks
from keras_gan.networks.common import LayerSeeds, sample_shape
from keras_gan.networks.conditioning import Labels


def fourier_discriminator(
    spec,
    low,
    high,
    units: int = 256,
    depth: int = 3,
    num_features: int = 128,
    octaves: float = 5.0,
    num_classes: int | None = None,
    seed: int | None = None,
) -> keras.Model:
    """Builds a discriminator that sees the waves which a point lies on.

    With y from -1 at `low` to 1 at `high`, a fully connected network takes y and, for
    each wave f, the sine and cosine of pi f.y. The directions of the waves are uniform;
    their numbers in the width of the data are log-uniform from 1 to 2^octaves. They are
    not trained. A network of y alone learns the coarse shape of a density first, and
    its detail late or never. For points of few coordinates; as the judge of
    `inference.discriminate`.

    Args:
        spec, num_classes, seed: see `networks`. Equal seeds have equal waves.
        low, high: floats, or arrays of the shape of a sample: the data's bounds.
        units: int >= 1, of each hidden layer.
        depth: int >= 1, hidden layers.
        num_features: int >= 1, waves.
        octaves: float >= 0. The shortest wave is 1 / 2^octaves of the data's width: a
            few times the size of what has to be told apart.

    Returns:
        discriminator, of logits `(batch, 1)`.

    Raises:
        ValueError: bounds that are no bounds, or another argument.
    """
    shape = sample_shape(spec)
    for name, value in (("units", units), ("depth", depth)):
        checks.count(name, value)
    num_features = checks.count("num_features", num_features)
    if not checks.is_number(octaves) or not 0 <= octaves <= 20:
        raise ValueError(f"Expected octaves from 0 to 20. Received: {octaves!r}")
    low, width = _low_and_width(low, high, shape)
    seeds = LayerSeeds(seed)
    waves = _waves(len(low), num_features, octaves, seeds.next())

    samples = keras.Input(shape, name="samples")
    x = layers.Flatten(dtype="float32")(samples)
    # From -1 to 1, as hidden layers like it.
    middle = low + width / 2
    position = layers.Rescaling(2 / width, -2 * middle / width, dtype="float32")(x)
    phases = layers.Dense(
        num_features, use_bias=False, trainable=False, name="waves", dtype="float32"
    )
    angles = phases(position)
    phases.set_weights([np.pi * waves])  # of half the width
    features = [position, keras.ops.sin(angles), keras.ops.cos(angles)]
    labels = Labels(num_classes, seeds)
    x = labels.joined(layers.Concatenate(dtype="float32")(features))
    for _ in range(depth):
        start = seeds.glorot_initializer()
        x = layers.Dense(units, activation="relu", kernel_initializer=start)(x)
    start = seeds.glorot_initializer()
    logits = layers.Dense(1, kernel_initializer=start, dtype="float32")(x)
    return labels.model(samples, logits, "discriminator")


def _low_and_width(low, high, shape):
    """Returns the lower bounds and the widths, float64 `(D,)`, each."""
    low, high = (np.asarray(each, np.float64) for each in (low, high))
    if not all(each.shape in ((), shape) for each in (low, high)):
        raise ValueError(
            f"Expected low and high to be floats or arrays of shape {shape}. Received "
            f"shapes: {low.shape} and {high.shape}"
        )
    if not (np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all()):
        raise ValueError(
            f"Expected low < high, finite. Received: {low.tolist()}, {high.tolist()}"
        )
    low, high = (np.broadcast_to(each, shape).ravel() for each in (low, high))
    return low, high - low


def _waves(coordinates, count, octaves, seed):
    """Returns the waves f, in widths of the data: float32 `(coordinates, count)`."""
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(coordinates, count))
    directions /= np.linalg.norm(directions, axis=0)
    lengths = np.exp(generator.uniform(0, octaves * math.log(2), size=count))
    return np.float32(directions * lengths)
