"""Mixtures of Gaussians with exact densities, for figure 1 and for counting modes."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_gan.datasets.base import Dataset, unknown_split

tfd = tfp.distributions

SPLITS = {"train": 50_000, "valid": 10_000, "test": 10_000}


def gaussian1d():
    """Returns N(2, 0.5^2), event shape (1,).

    The setting is that of the paper's figure 1, which does not give its parameters.
    """
    return _mixture([[2.0]], scale=0.5)


def ring8():
    """Returns eight Gaussians on the unit circle [1], event shape (2,).

    Means (cos(2 pi i / 8), sin(2 pi i / 8)), standard deviation 0.01.

    [1] Z. Lin et al., "PacGAN: The power of two samples in generative adversarial
        networks", arXiv 1712.04086.
    """
    angles = 2 * np.pi * np.arange(8) / 8
    return _mixture(np.stack([np.cos(angles), np.sin(angles)], axis=1), scale=0.01)


def grid25():
    """Returns 25 Gaussians on a grid, as in PacGAN (see `ring8`), event shape (2,).

    Means (-4 + 2i, -4 + 2j), i, j = 0..4, standard deviation 0.05.
    """
    axis = -4.0 + 2.0 * np.arange(5)
    means = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1)
    return _mixture(means.reshape(25, 2), scale=0.05)


DISTRIBUTIONS = {"gaussian1d": gaussian1d, "ring8": ring8, "grid25": grid25}


def load(name, split, data_dir=None):
    """Loads samples of one of `DISTRIBUTIONS`, the same at every call.

    Args:
        name: "gaussian1d", "ring8" or "grid25".
        split: "train" (50,000 samples), "valid" (10,000) or "test" (10,000), drawn
            independently.
        data_dir: ignored.

    Returns:
        Dataset of float32 samples (N, D) without labels; `value_range` is None, and
        `distribution` is the `tfp.distributions.MixtureSameFamily` they came from, with
        event shape (D,) and equal weights.

    Raises:
        SplitError: another split.
    """
    if split not in SPLITS:
        raise unknown_split(name, split, SPLITS)
    seed = (list(DISTRIBUTIONS).index(name), list(SPLITS).index(split))
    with tf.device("CPU:0"):
        distribution = DISTRIBUTIONS[name]()
        samples = distribution.sample(SPLITS[split], seed=tf.constant(seed, tf.int32))
    return Dataset(
        samples.numpy(),
        value_range=None,
        name=name,
        split=split,
        distribution=distribution,
    )


def _mixture(means, scale):
    """Returns a mixture of equal weights; `means` (K, D), one `scale` for all."""
    means = np.asarray(means, np.float32)
    # Not Independent(Normal), which would have a cdf: its samples are the same, but its
    # log_prob differs in the last bits, and with it every score that was ever written.
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=np.zeros(len(means), np.float32)),
        tfd.MultivariateNormalDiag(means, np.full_like(means, scale)),
    )
