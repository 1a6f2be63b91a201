"""What is nearest to pictures, by their known values: samples of G, or examples."""

import numpy as np

# Pictures that are compared with others at once.
_BLOCK = 256


def nearest(images, known, others, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Finds those of other pictures that are nearest to each picture.

    By the sum of squared differences over the known values alone.

    Args:
        images: float32 `(n, *shape)`.
        known: bool `(n, *shape)`.
        others: float32 `(m, *shape)`, m >= count.
        count: int, how many of them.

    Returns:
        (indices, distances): int64 and float64 `(n, count)`, the nearest first.
    """
    others = np.reshape(others, (len(others), -1)).astype(np.float64)
    squares = others**2
    indices, distances = [], []
    for start in range(0, len(images), _BLOCK):
        weights = known[start : start + _BLOCK].reshape(-1, others.shape[1])
        weights = weights.astype(np.float64)
        rows = images[start : start + _BLOCK].reshape(weights.shape) * weights
        # |k x|^2 - 2 k x.s + k.s^2: where k is 0, a value does not count.
        found = (rows**2).sum(axis=1)[:, None] - 2 * rows @ others.T
        found += weights @ squares.T
        order = np.argsort(found, axis=1, kind="stable")[:, :count]
        indices.append(order)
        distances.append(np.take_along_axis(found, order, axis=1))
    return np.concatenate(indices), np.concatenate(distances)


def nearest_draws(gan, images, known, count, num_draws, seed, labels=None):
    """Finds latents whose samples are nearest to pictures, among draws of the prior.

    The draws are the same for every picture: what is found for one does not depend on
    the others.

    Args:
        gan: a `GAN` or an `export.ExportedGenerator`.
        images, known, count: see `nearest`.
        num_draws: int >= count.
        seed: int.
        labels: int32 `(n,)`, the classes to draw; None draws them, where there are any.

    Returns:
        (latents, labels): float32 `(n, count, L)`, and int32 `(n, count)` or None.
    """
    drawn = gan.latent_prior.sample(num_draws, seed)
    if labels is None:
        indices, _ = nearest(images, known, gan.samples_of(drawn), count)
        if not isinstance(drawn, dict):
            return drawn.numpy()[indices], None
        return drawn["latents"].numpy()[indices], drawn["labels"].numpy()[indices]
    latents = drawn["latents"].numpy()
    indices = np.empty((len(images), count), np.int64)
    for label in np.unique(labels):
        rows = labels == label
        samples = gan.samples_of({**drawn, "labels": np.full(num_draws, label)})
        indices[rows], _ = nearest(images[rows], known[rows], samples, count)
    return latents[indices], np.repeat(labels[:, None], count, axis=1)
