"""Directions among latents, and ways between given ones."""

import numpy as np
import tensorflow as tf

from keras_gan import checks, priors
from keras_gan import labels as class_labels
from keras_gan.inference.latent_space import LatentSpace

# Below it two latents, seen from the mean, point in one direction, or in opposite ones.
_LEAST_SINE = 1e-4


def truncated(prior, latents, psi):
    """Returns latents pulled towards the prior's mean: mean + psi (z - mean).

    Args:
        prior: `GAN`, or its prior.
        latents, psi: see `priors.LatentPrior.truncated`, which this calls.
    """
    return _prior_of(prior).truncated(latents, psi)


def directions(prior, latents, labels, ridge: float = 1e-3) -> np.ndarray:
    """Returns the directions in which latents change what labels say of their samples.

    By least squares: of labels y, centred, on the coordinates u of the latents (see
    `LatentSpace`; of a normal prior they are the latents), centred and divided by their
    deviations s,

        b = argmin mean |y - b . u / s|^2 + ridge |b|^2,    direction = b / s

    at length 1. Of normal latents b / s is the mean gradient of the label, if that is
    a smooth function of u (Stein's lemma), however curved it is.

    Args:
        prior: `GAN`, or its prior.
        latents: float `(n, L)`, or a dict with "latents", what it has drawn.
        labels: what is known of their samples. Floats `(n,)` are one attribute, such as
            the mean of all pixels; `(n, A)` are several. Ints `(n,)` are classes: each
            has the direction in which its samples become more frequent.
        ridge: float >= 0. The more there are latents for each of the L, the less it
            matters.

    Returns:
        float32 array `(1, L)` for floats `(n,)`, `(A, L)` for `(n, A)`, and for ints
        `(C, L)`, C the largest plus one; of length 1 each, 0 for a class that none of
        the samples has.

    Raises:
        ValueError: latents or labels of another shape, not finite, or labels that are
            all equal; latents that the prior cannot draw; a prior without coordinates;
            a negative ridge.
    """
    space = LatentSpace(_prior_of(prior))
    latents = _checked(latents, space.latent_dim)
    wanted, is_classes = _attributes(labels, len(latents))
    if not (checks.is_number(ridge) and ridge >= 0):
        raise ValueError(f"Expected `ridge` to be a float >= 0. Received: {ridge!r}")
    u = space.coordinates_of(latents).astype(np.float64)
    u -= u.mean(axis=0)
    scale = u.std(axis=0)
    # What all have alike has no direction.
    u /= np.where(scale > 0, scale, np.inf)
    wanted -= wanted.mean(axis=0)
    vary = wanted.std(axis=0) > 0
    if not (vary.any() if is_classes else vary.all()):
        raise ValueError("Expected labels that differ. Received: all are equal")
    penalty = ridge * np.eye(space.latent_dim)
    # `lstsq`, as coordinates that never change make the matrix singular.
    slopes = np.linalg.lstsq(
        u.T @ u / len(u) + penalty, u.T @ wanted / len(u), rcond=None
    )[0].T / np.where(scale > 0, scale, 1.0)
    lengths = np.linalg.norm(slopes, axis=1, keepdims=True)
    return (slopes / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def moved(prior, latents, direction, amount) -> np.ndarray:
    """Returns latents after a step in a direction, within the prior's range.

    The step is made in the coordinates of `LatentSpace`, which have no bounds.

    Args:
        prior: `GAN`, or its prior.
        latents: float `(n, L)`.
        direction: float `(L,)`, one of `directions`.
        amount: float, the length of the step where the direction has length 1: for
            N(0, I) in standard deviations. Or several, `(k,)`.

    Returns:
        float32 array `(n, L)`; `(n, k, L)` for several amounts.

    Raises:
        ValueError: another shape; latents that the prior cannot draw; a prior without
            coordinates.
    """
    space = LatentSpace(_prior_of(prior))
    latents = _checked(latents, space.latent_dim)
    direction = _checked_direction(direction, space.latent_dim)
    amount = np.asarray(amount, np.float32)
    if amount.ndim > 1 or not np.isfinite(amount).all():
        raise ValueError(
            "Expected `amount` to be a finite float or several, shape (k,). Received: "
            f"{amount}"
        )
    u = space.coordinates_of(latents)
    if amount.ndim == 1:
        u, amount = u[:, None], amount[:, None]
    return np.asarray(space.latents(tf.constant(u + amount * direction, tf.float32)))


def between(prior, start, end, share) -> np.ndarray:
    """Returns latents on the way between given ones, which may be alike.

    Around the mean of a normal prior the way is an arc (K. Shoemake, Animating Rotation
    with Quaternion Curves, SIGGRAPH 1985) by the angle between the two, along which the
    length goes evenly from the one's to the other's. For other priors it is a straight
    line. `priors.LatentPrior.between` is for independent draws, whose angle is near 90
    degrees: between two that are alike, as latents of similar pictures are, its arc
    would lead outwards.

    Args:
        prior: `GAN`, or its prior.
        start, end: float `(..., L)`.
        share: float in [0, 1] of the way.

    Returns:
        float32 array `(..., L)`.
    """
    prior = _prior_of(prior)
    start, end = np.asarray(start, np.float32), np.asarray(end, np.float32)
    if isinstance(prior, priors.Labelled):
        prior = prior.prior
    line = (1 - share) * start + share * end
    if not isinstance(prior, priors.Normal):
        return line.astype(np.float32)
    start, end = start - prior.loc, end - prior.loc
    lengths = [np.linalg.norm(each, axis=-1, keepdims=True) for each in (start, end)]
    units = [
        each / np.maximum(length, 1e-12)
        for each, length in zip((start, end), lengths, strict=True)
    ]
    cosine = np.clip(np.sum(units[0] * units[1], axis=-1, keepdims=True), -1, 1)
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    is_line = (sine < _LEAST_SINE) | (lengths[0] == 0) | (lengths[1] == 0)
    sine = np.where(is_line, 1.0, sine)
    unit = np.sin((1 - share) * angle) * units[0] + np.sin(share * angle) * units[1]
    length = (1 - share) * lengths[0] + share * lengths[1]
    arc = prior.loc + length * unit / sine
    return np.where(is_line, line, arc).astype(np.float32)


def _prior_of(gan):
    """Returns the prior of a GAN or of an export, or what is one already."""
    return priors.get(getattr(gan, "latent_prior", gan))


def _checked(latents, size, name="latents"):
    """Returns latents as a finite float32 array `(n, L)`."""
    if isinstance(latents, dict):
        latents = latents["latents"]
    latents = np.asarray(latents, np.float32)
    if latents.ndim != 2 or latents.shape[1] != size or not np.isfinite(latents).all():
        raise ValueError(
            f"Expected `{name}` to be finite, of shape {(None, size)}, as the prior "
            f"has {size}. Received: shape {latents.shape}"
        )
    return latents


def _checked_direction(direction, size):
    """Returns a direction as a finite float32 array `(L,)`."""
    direction = np.asarray(direction, np.float32)
    # One that `directions` gives for a single attribute stands alone in its row.
    if direction.shape not in ((size,), (1, size)) or not np.isfinite(direction).all():
        raise ValueError(
            f"Expected `direction` to be finite, of shape ({size},), a row of what "
            f"`directions` returns. Received: shape {direction.shape}"
        )
    return direction.reshape(size)


def _attributes(labels, count):
    """Returns float64 `(n, A)`, and whether these are shares of classes."""
    labels = np.asarray(labels)
    is_classes = labels.ndim == 1 and labels.dtype.kind in "iu"
    if is_classes:
        labels = class_labels.of_examples(labels, count)
        return np.eye(labels.max() + 1)[labels], True
    if labels.ndim == 1:
        labels = labels[:, None]
    is_real = labels.dtype.kind in "fiub"
    if labels.ndim != 2 or len(labels) != count or not is_real or not labels.size:
        raise ValueError(
            f"Expected `labels` to be numbers of shape ({count},) or ({count}, A), for "
            f"each of the latents. Received: {labels.dtype} of shape {labels.shape}"
        )
    if not np.isfinite(labels).all():
        raise ValueError("Expected finite `labels`. Received: NaN or infinity")
    return labels.astype(np.float64), False
