"""Projection: the latents of given pictures, by descent through the generator."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_gan import checks
from keras_gan.inference import given
from keras_gan.inference.descent import Descent
from keras_gan.inference.latent_space import LatentSpace
from keras_gan.inference.nearest import nearest_draws

# Draws of the prior of which those nearest to a picture are where its restarts begin.
_NUM_DRAWS = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Projection:
    """What `project` found for n pictures.

    Attributes:
        latents: float32 `(n, L)`, within the range of the prior.
        labels: int32 `(n,)`, or None where the model is not conditional.
        samples: float32 `(n, *sample_shape)`, G of these, in `value_range`.
        errors: float32 `(n,)`, the mean squared error of `samples`, per known value and
            in `value_range`.
        path: float32 `(steps + 1, n)`, the same error of the best point so far: at the
            start, and after each step of the restart that was kept.
    """

    latents: np.ndarray
    labels: np.ndarray | None
    samples: np.ndarray
    errors: np.ndarray
    path: np.ndarray


def project(
    gan,
    images,
    steps=500,
    restarts=4,
    seed=0,
    mask=None,
    features=None,
    labels=None,
    start=None,
    learning_rate=0.1,
    noise=None,
    prior_weight=1.0,
    batch_size=100,
    progress=None,
) -> Projection:
    """Finds latents whose samples are the given pictures, as far as G can make them.

    They minimise

        E(z) = |M (G(z) - x)|^2 / (2 noise^2) - prior_weight * log p_z(z),

    where M leaves the known values. With `prior_weight=1` the minimum is the mode of
    p(z | x) where x is G(z) with independent normal noise of that standard deviation.
    With a linear G and a normal prior this is ridge regression.

    Adam moves the coordinates of `LatentSpace`, so that z stays within the range of
    the prior. Each picture begins anew from several latents: those whose samples are
    nearest to it among 1,000 draws. The restart of the least E is kept.

    Args:
        gan: `GAN` or another `GenerativeModel`, by its averaged generator if there is
            one; or an `export.ExportedGenerator`.
        images: float `(n, *sample_shape)` in `value_range`, or uint8 that stands for
            it. Unknown values may be NaN.
        steps: int >= 1, of Adam.
        restarts: int >= 1.
        seed: int, of the draws. The same seed gives the same result, whatever the other
            pictures are and up to the rounding of sums.
        mask: None, or bool, True where a value is known: `(n, *sample_shape)`,
            `sample_shape`, or `(H, W)` of images.
        features: f, a Keras model or a function from samples `(n, *sample_shape)` to a
            tensor `(n, ...)` of any floats, which takes the place of the values:
            |f(G(z)) - f(x)|^2. `noise` is then that of the features, and 1 by default.
        labels: the class of all pictures, or one each, ints or names. None tries every
            class of a conditional model, in so many times the time.
        start: latents `(n, L)`, or an object such as an `Encoder`, whose
            `encode(images)`, or `encode(images, labels=...)` of a conditional model,
            gives these: one of the restarts begins there.
        learning_rate: float > 0, of the first step; it falls to 0 by a cosine.
        noise: float > 0, the standard deviation of what G cannot make of a picture, in
            the unit of `value_range`. None is a twentieth of the range's width, or 0.1
            where there is no range.
        prior_weight: float >= 0; 0 leaves the prior out.
        batch_size: int >= 1, latents that move at once.
        progress: None, or a function of the share done, a float in (0, 1].

    Returns:
        `Projection`.

    Raises:
        ValueError: pictures of another shape, dtype or range, or that are not finite; a
            mask of another shape, or that knows nothing of a picture, or beside
            `features` or an encoder; a prior of discrete latents; labels that are no
            class; latents to start from of another shape or range; gradients that are
            finite nowhere; other arguments outside their bounds.
    """
    space = LatentSpace(gan.latent_prior)
    steps = checks.count("steps", steps)
    restarts = checks.count("restarts", restarts, maximum=_NUM_DRAWS)
    seed = checks.count("seed", seed, minimum=-(2**63), maximum=2**64 - 1)
    batch_size = checks.count("batch_size", batch_size)
    learning_rate = given.positive("learning_rate", learning_rate)
    noise = 1.0 if noise is None and features is not None else noise
    noise = given.noise(noise, gan.spec, share=0.05)
    if not checks.is_number(prior_weight) or prior_weight < 0:
        raise ValueError(
            f"Expected `prior_weight` to be a number >= 0. Received: {prior_weight!r}"
        )
    images, known = given.pictures(images, gan.spec, mask)
    labels = given.labels(labels, gan.latent_prior, len(images))
    _check_features(features, images, known)
    starts, tried = _starts(gan, images, known, restarts, seed, labels, start)
    prior_term = None
    if prior_weight:

        def prior_term(coordinates, _):
            return -prior_weight * space.log_density(space.latents(coordinates))

    descent = Descent(
        gan, space, noise, prior_term, features, steps, learning_rate, batch_size
    )
    latents, labels, path = descent(
        starts,
        tried,
        lambda rows: {"images": images[rows], "known": known[rows]},
        progress,
    )
    samples = gan.samples_of(with_labels(latents, labels))
    errors = errors_of(samples, images, known)
    return Projection(latents, labels, samples, errors, path)


def with_labels(latents, labels):
    """Returns what G takes: latents, or a dict with labels that are not None."""
    return latents if labels is None else {"latents": latents, "labels": labels}


def errors_of(samples, images, known) -> np.ndarray:
    """Returns the mean squared error of each sample over the known values.

    Args:
        samples, images: float32 `(n, *shape)`.
        known: bool `(n, *shape)`.

    Returns:
        float32 `(n,)`.
    """
    flat = (len(images), -1)
    known = known.reshape(flat)
    squares = (samples.astype(np.float64) - images).reshape(flat) ** 2 * known
    return (squares.sum(axis=1) / known.sum(axis=1)).astype(np.float32)


def _starts(gan, images, known, restarts, seed, labels, start):
    """Returns where restarts begin: latents `(n, T, L)`, labels `(n, T)` or None."""
    classes = [labels]
    if labels is None and gan.latent_prior.is_labelled:
        every = gan.latent_prior.classes.astype(np.int32)
        classes = [np.full(len(images), each) for each in every]
    starts = []
    if start is not None:
        for asked in classes:
            first = _first(start, images, known, asked, gan)[:, None]
            starts.append((first, None if asked is None else asked[:, None]))
    if count := restarts - (start is not None):
        starts += [
            nearest_draws(gan, images, known, count, _NUM_DRAWS, seed, asked)
            for asked in classes
        ]
    latents, tried = zip(*starts, strict=True)
    tried = None if tried[0] is None else np.concatenate(tried, axis=1)
    return np.concatenate(latents, axis=1), tried


def _first(start, images, known, labels, gan):
    """Returns the latents that one restart begins at, float32 `(n, L)`."""
    if hasattr(start, "encode"):
        if not known.all():
            raise ValueError(
                "Expected `start` to be latents where a mask hides values, which an "
                f"encoder would take for known ones. Received: {start!r}"
            )
        given_labels = {} if labels is None else {"labels": labels}
        start = start.encode(images, **given_labels)
    latents = np.asarray(start, np.float32)
    expected = (len(images), gan.latent_prior.latent_dim)
    if latents.shape != expected:
        raise ValueError(
            f"Expected `start` to be latents {expected}, or an object with `encode`. "
            f"Received: shape {latents.shape}"
        )
    LatentSpace(gan.latent_prior).coordinates_of(latents, "start")
    return latents


def _check_features(features, images, known):
    """Raises ValueError unless `features` is None, or f of all values."""
    if features is None:
        return
    if not known.all():
        raise ValueError(
            "Expected no `mask` beside features, which are functions of all values. "
            "Received both"
        )
    try:
        found = features(tf.constant(images[:1]))
        fits = tf.is_tensor(found) and found.dtype.is_floating
        fits = fits and found.shape.rank > 1 and found.shape[0] == 1
        reason = f"{features!r}, which gives {found!r}" if not fits else None
    except Exception as error:  # whatever a user's own function raises
        reason = f"{features!r}, which fails on samples: {checks.one_line(error)}"
    if reason:
        raise ValueError(
            "Expected `features` to be a Keras model or a function from samples (n, "
            f"...) to a float tensor (n, ...). Received: {' '.join(reason.split())}"
        )
