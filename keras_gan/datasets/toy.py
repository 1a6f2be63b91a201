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


def mixture1d():
    """Returns three Gaussians on a line, event shape (1,).

    Means -2, 0 and 2, standard deviations 0.8, 0.4 and 0.8: neighbours overlap, so that
    x alone does not tell which of them it is from. Samples have it as their label.
    """
    return _mixture([[-2.0], [0.0], [2.0]], scale=[[0.8], [0.4], [0.8]])


DISTRIBUTIONS = {
    "gaussian1d": gaussian1d,
    "ring8": ring8,
    "grid25": grid25,
    "mixture1d": mixture1d,
}
# Of those whose samples are labelled, by the component that they are from.
_CLASS_NAMES = {"mixture1d": ("left", "middle", "right")}


def load(name, split, data_dir=None):
    """Loads samples of one of `DISTRIBUTIONS`, the same at every call.

    Args:
        name: "gaussian1d", "ring8", "grid25" or "mixture1d".
        split: "train" (50,000 samples), "valid" (10,000) or "test" (10,000), drawn
            independently.
        data_dir: ignored.

    Returns:
        Dataset of float32 samples (N, D); `value_range` is None, and `distribution` is
        the `tfp.distributions.MixtureSameFamily` they came from, with event shape (D,)
        and equal weights. Samples of "mixture1d" have labels, the numbers of their
        components; others have none.

    Raises:
        SplitError: another split.
    """
    if split not in SPLITS:
        raise unknown_split(name, split, SPLITS)
    seed = (list(DISTRIBUTIONS).index(name), list(SPLITS).index(split))
    with tf.device("CPU:0"):
        distribution = DISTRIBUTIONS[name]()
        seed, labels = tf.constant(seed, tf.int32), None
        if name in _CLASS_NAMES:
            samples, labels = _labelled_samples(distribution, SPLITS[split], seed)
        else:
            samples = distribution.sample(SPLITS[split], seed=seed).numpy()
    return Dataset(
        samples,
        labels,
        value_range=None,
        name=name,
        split=split,
        distribution=distribution,
        class_names=_CLASS_NAMES.get(name),
    )


def _labelled_samples(distribution, count, seed):
    """Returns samples of a mixture and the components that they are from."""
    of_labels, of_samples = tf.unstack(tfp.random.split_seed(seed, 2))
    labels = distribution.mixture_distribution.sample(count, seed=of_labels)
    # (count, components, D), of which the label's are kept.
    samples = distribution.components_distribution.sample(count, seed=of_samples)
    return tf.gather(samples, labels, axis=1, batch_dims=1).numpy(), labels.numpy()


def _mixture(means, scale):
    """Returns a mixture of equal weights; `means` (K, D), `scale` of each or of all."""
    means = np.asarray(means, np.float32)
    # Not Independent(Normal), which would have a cdf: its samples are the same, but its
    # log_prob differs in the last bits, and with it every score that was ever written.
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=np.zeros(len(means), np.float32)),
        tfd.MultivariateNormalDiag(
            means, np.broadcast_to(np.float32(scale), means.shape)
        ),
    )
