"""Samples of each class beside each other: a row a class, a column the same latents."""

import numpy as np
import tensorflow as tf

# Samples of one class.
COLUMNS = 10


def samples(gan, seed: int, count: int = 100) -> np.ndarray:
    """Returns samples of each class, those of a class after each other.

    Args:
        gan: `GAN` whose prior is `priors.Labelled`.
        seed: int, of the latents, which all classes share.
        count: int, of samples at most, but for those of the first class. Classes that
            are never drawn are left out.

    Returns:
        float32 array `(classes * COLUMNS, *sample_shape)`.
    """
    prior = gan.latent_prior
    drawn = np.flatnonzero(prior.probabilities)[: max(1, count // COLUMNS)]
    latents = prior.sample(COLUMNS, seed)["latents"]
    return gan.samples_of(
        {
            "latents": tf.tile(latents, [len(drawn), 1]),
            "labels": np.repeat(drawn, COLUMNS).astype(np.int32),
        }
    )
