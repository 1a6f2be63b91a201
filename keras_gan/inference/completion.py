"""Completion: samples of p(x_unknown | x_known), from the latents of what is known."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_gan import checks, datasets
from keras_gan.inference import given, projection
from keras_gan.inference.descent import Descent
from keras_gan.inference.latent_space import LatentSpace
from keras_gan.inference.nearest import nearest, nearest_draws

# Draws of the prior: of those nearest to a picture, and for the spread of coordinates.
_NUM_DRAWS = 1000
_NUM_COORDINATES = 10_000
# Examples of a dataset that are compared at once.
_BLOCK = 5000


@dataclasses.dataclass(frozen=True, eq=False)
class Completion:
    """What `complete` made of n pictures, k times; the least error comes first.

    Attributes:
        completions: float32 `(n, k, *sample_shape)` in `value_range`: the known values
            as they were given, and those of `samples` elsewhere.
        latents: float32 `(n, k, L)`, within the range of the prior.
        labels: int32 `(n, k)`, or None where the model is not conditional.
        samples: float32 `(n, k, *sample_shape)`, G of these.
        errors: float32 `(n, k)`, the mean squared error of `samples` over the known
            values.
        explained: float, the share of the unknown values' variance about the mean image
            that the mean of a picture's completions explains, see `explained_share`;
            None where `complete` was not given that image.
    """

    completions: np.ndarray
    latents: np.ndarray
    labels: np.ndarray | None
    samples: np.ndarray
    errors: np.ndarray
    explained: float | None


def complete(
    gan,
    images,
    mask,
    num_completions=5,
    seed=0,
    steps=200,
    restarts=4,
    labels=None,
    learning_rate=0.1,
    noise=None,
    batch_size=100,
    mean_image=None,
    progress=None,
) -> Completion:
    """Completes pictures of which a part is known, each in several ways.

    A completion is the unknown part of G(z), where z is drawn from p(z | x_known),
    about: the model is that of `project`, normal noise about the known values of G(z).
    Draw j perturbs the problem and solves it,

        E_j(u) = |M (G(b(u)) - x - noise e_j)|^2 / (2 noise^2) + |(u - u_j) / s|^2 / 2,

    e_j standard normal, u_j the coordinates of a draw of the prior, s their standard
    deviations over the prior. With a linear G and a normal prior the minima are draws
    of p(z | x_known), exactly: this is randomised maximum likelihood (D. Oliver, N. He
    and A. Reynolds, 1996), or randomize-then-optimize (J. Bardsley et al., SIAM J. Sci.
    Comput. 36, 2014). Else they are an approximation that needs no burn-in. Each draw
    is a descent of its own, or the best of several; these begin at the draws of the
    prior, of 1,000, whose samples are nearest to what is known.

    Args:
        gan: see `project`.
        images: float `(n, *sample_shape)` in `value_range`, or uint8 that stands for
            it. Unknown values may be NaN.
        mask: bool, True where a value is known: `(n, *sample_shape)`, `sample_shape`,
            or `(H, W)` of images.
        num_completions: int >= 1, k.
        seed: int, of the draws. The same seed gives the same completions, whatever the
            other pictures are and up to the rounding of sums.
        restarts: int >= 1, descents of each completion.
        labels: the class of all pictures, or one each, ints or names. None leaves it
            open: completions may be of several classes.
        mean_image: `(*sample_shape)`, the mean of the training examples. With it, the
            unknown values of `images` are the true ones, and `explained` is found.
        noise: as of `project`. None is a tenth of the range's width, or 0.2 without a
            range: what G cannot make of neighbouring pixels is not independent, so that
            more noise than of one pixel weighs the prior better.
        steps, learning_rate, batch_size, progress: see `project`.

    Returns:
        `Completion`.

    Raises:
        ValueError: as `project`; nothing that is unknown; a mean image of another
            shape, or true values that are not finite.
    """
    space = LatentSpace(gan.latent_prior)
    restarts = checks.count("restarts", restarts, maximum=_NUM_DRAWS)
    count = checks.count(
        "num_completions", num_completions, maximum=_NUM_DRAWS // restarts
    )
    seed = checks.count("seed", seed, minimum=-(2**63), maximum=2**64 - 1)
    steps = checks.count("steps", steps)
    batch_size = checks.count("batch_size", batch_size)
    learning_rate = given.positive("learning_rate", learning_rate)
    noise = given.noise(noise, gan.spec, share=0.1)
    truth = None
    if mean_image is not None:
        truth, _ = given.pictures(images, gan.spec)
        mean_image = _mean_image(mean_image, gan.spec)
    images, known = given.pictures(images, gan.spec, mask)
    if known.all():
        raise ValueError(
            "Expected `mask` to be False somewhere. Received: one that knows all; "
            "`project` finds the latents of whole pictures"
        )
    labels = given.labels(labels, gan.latent_prior, len(images))

    starts, tried = nearest_draws(
        gan, images, known, count * restarts, _NUM_DRAWS, seed, labels
    )
    # Completion j begins at the draws j, k + j, ...
    starts, tried = (
        x if x is None else _by_completion(x, count) for x in (starts, tried)
    )
    rows, prior_term = _perturbed(gan, space, images, known, count, noise, seed)
    descent = Descent(
        gan, space, noise, prior_term, None, steps, learning_rate, batch_size
    )
    latents, labels, _ = descent(starts, tried, rows, progress)
    found = _assembled(gan, images, known, latents, labels)
    if truth is None:
        return found
    mean = found.completions.mean(axis=1)
    return dataclasses.replace(
        found, explained=explained_share(truth, mean, known, mean_image)
    )


def _assembled(gan, images, known, latents, labels):
    """Returns the `Completion` of latents `(n * k, L)` and their labels or None."""
    shape = (len(images), len(latents) // len(images))
    samples = gan.samples_of(projection.with_labels(latents, labels))
    images, known = (np.repeat(x, shape[1], axis=0) for x in (images, known))
    errors = projection.errors_of(samples, images, known)
    order = np.argsort(errors.reshape(shape), axis=1, kind="stable")

    def sorted_rows(values):
        values = values.reshape(*shape, *values.shape[1:])
        return np.take_along_axis(
            values, order.reshape(*shape, *(1 for _ in values.shape[2:])), axis=1
        )

    return Completion(
        sorted_rows(np.where(known, images, samples)),
        sorted_rows(latents),
        None if labels is None else sorted_rows(labels),
        sorted_rows(samples),
        sorted_rows(errors),
        None,
    )


def _by_completion(draws, count):
    """Returns `(n, T * k, ...)` as `(n * k, T, ...)`; every k-th belongs together."""
    shape = (len(draws), -1, count, *draws.shape[2:])
    draws = np.swapaxes(draws.reshape(shape), 1, 2)
    return draws.reshape(-1, *draws.shape[2:])


def _perturbed(gan, space, images, known, count, noise, seed):
    """Returns `rows` and `prior_term` of `Descent`, of `count` problems a picture."""
    own = np.random.default_rng(seed % 2**64)
    # The same for every picture, so that its completions do not depend on the others.
    noises = noise * own.standard_normal((count, *gan.spec.shape), np.float32)
    draws = gan.latent_prior.distribution.sample(
        _NUM_COORDINATES, seed=[int(word) for word in own.integers(2**31, size=2)]
    )
    draws = space.coordinates(draws)
    anchors, spread = draws[:count].numpy(), tf.math.reduce_std(draws, axis=0)

    def rows(problems):
        picture, draw = problems // count, problems % count
        return {
            "images": images[picture] + noises[draw],
            "known": known[picture],
            "anchors": anchors[draw],
        }

    def prior_term(coordinates, given):
        away = (coordinates - given["anchors"]) / spread
        return tf.reduce_sum(away**2, axis=1) / 2

    return rows, prior_term


def explained_share(images, completions, known, mean_image) -> float:
    """Returns the share of the unknown values' variance that completions explain.

    1 - sum (x - c)^2 / sum (x - mean)^2 over the unknown values x of all pictures: 0
    for the mean image, 1 for the truth.

    Args:
        images, completions: float `(n, *shape)`, the truth and one completion each, or
            the mean of several.
        known: bool `(n, *shape)`.
        mean_image: float `shape`.
    """
    images = np.asarray(images, np.float64)
    unexplained = ((images - completions) ** 2)[~known].sum()
    return float(1 - unexplained / ((images - mean_image) ** 2)[~known].sum())


# === Baselines ===


def completed_by_nearest(images, mask, data: datasets.Dataset) -> np.ndarray:
    """Completes pictures by the examples that are nearest to them by what is known.

    Args:
        images, mask: see `complete`.
        data: `Dataset`, whose `spec` the pictures have.

    Returns:
        float32 `(n, *shape)`, the known values as they were given.

    Raises:
        ValueError: see `complete`.
    """
    images, known = given.pictures(images, data.spec, mask)
    best = np.full(len(images), np.inf)
    completed = images.copy()
    for start in range(0, len(data), _BLOCK):
        examples = data.examples(slice(start, start + _BLOCK))
        indices, distances = nearest(images, known, examples)
        nearer = distances[:, 0] < best
        best[nearer] = distances[nearer, 0]
        found = examples[indices[nearer, 0]]
        completed[nearer] = np.where(known[nearer], images[nearer], found)
    return completed


def completed_by_mean(images, mask, data: datasets.Dataset) -> np.ndarray:
    """Returns pictures completed by the mean of all examples.

    Args:
        images, mask, data: as of `completed_by_nearest`.
    """
    images, known = given.pictures(images, data.spec, mask)
    return np.where(known, images, data.pixel_means().astype(np.float32))


def _mean_image(image, spec):
    """Returns a mean image as float64 `spec.shape`."""
    image = np.asarray(image, np.float64)
    if image.shape != spec.shape or not np.isfinite(image).all():
        raise ValueError(
            f"Expected `mean_image` to be finite, of shape {spec.shape}, as "
            f"Dataset.pixel_means gives it. Received: shape {image.shape}"
        )
    return image
