"""Samples of each class beside each other, and on the way from one class to another."""

import numpy as np
import tensorflow as tf

from keras_gan import checks, conditional, replicas
from keras_gan.samples import finite

# Samples of one class, at most.
_PER_CLASS = 10
# Rows of a picture of ways: more could not be told apart.
_MOST_ROWS = 16
# Rows where classes are so few that each way is drawn for several latents.
_FEWEST_ROWS = 6


def samples(gan, seed: int, count: int = 100) -> tuple[np.ndarray, int]:
    """Draws samples of each class, those of a class after each other.

    All classes share their latents. Up to ten classes have a row of ten samples each.
    Of more, each has fewer samples, and several share a row; of more than `count`,
    `count` of them are drawn, evenly over the list of classes.

    Args:
        gan: `GAN` whose prior is `priors.Labelled`.
        seed: int, of the latents.
        count: int >= 1, of samples at most. Classes that are never drawn are left out.

    Returns:
        (samples, columns): float32 `(classes * n, *sample_shape)`, and how many of them
        a row of the picture has, a multiple of n.
    """
    prior = gan.latent_prior
    drawn = _some(prior.classes, count)
    per_class = min(_PER_CLASS, count // len(drawn))
    latents = prior.sample(per_class, seed)["latents"]
    drawn_samples = gan.samples_of(
        {
            "latents": tf.tile(latents, [len(drawn), 1]),
            "labels": np.repeat(drawn, per_class).astype(np.int32),
        }
    )
    # As near to a square as whole classes allow.
    beside = round(np.sqrt(len(drawn) / per_class))
    return drawn_samples, per_class * max(1, beside)


def lines(gan, seed: int, labels=None, steps: int = 11) -> np.ndarray:
    """Draws samples on the way from each class to the next one, at fixed latents.

    The share of the next class grows evenly, see `conditional.of_mixtures`. All ways
    start from the same latents; where there are fewer than six, they are drawn again
    for other latents.

    Args:
        gan: `GAN` whose prior is `priors.Labelled`.
        seed: int, of the latents.
        labels: two classes or more, ints or names, in their order; None takes all that
            are drawn, or 17 of them, evenly over their list.
        steps: int >= 2, samples on a way, both classes among them.

    Returns:
        float32 `(rows, steps, *sample_shape)`, for `figure_three.figure_3`.

    Raises:
        ValueError: fewer than two classes, or some that are none; a generator that
            takes no mixtures.
    """
    checks.count("steps", steps, minimum=2)
    prior = gan.latent_prior
    if labels is None:
        labels = _some(prior.classes, _MOST_ROWS + 1)
    labels = prior.labels_of(labels, np.size(labels))
    if len(labels) < 2:
        raise ValueError(
            f"Expected `labels` of two classes or more. Received: {labels.tolist()}"
        )
    repeats = max(1, _FEWEST_ROWS // (len(labels) - 1))
    latents = np.asarray(prior.sample(repeats, seed)["latents"])
    # (ways, steps, C), then the ways of each latent after each other.
    weights = np.stack(
        [
            weights_between(labels[:-1], labels[1:], share, prior.num_classes)
            for share in np.linspace(0, 1, steps)
        ],
        axis=1,
    )
    ways = len(weights)
    weights = np.tile(weights, (repeats, 1, 1)).reshape(repeats * ways * steps, -1)
    found = of_mixtures(gan)(np.repeat(latents, ways * steps, axis=0), weights)
    return found.reshape(repeats * ways, steps, *found.shape[1:])


def of_mixtures(gan):
    """Returns a function that draws samples of mixtures of classes.

    Args:
        gan: `GAN` whose prior is `priors.Labelled`.

    Returns:
        function of latents `(n, L)` and weights `(n, num_classes)` to samples, float32
        `(n, *sample_shape)`, by the generator that `gan.generate` uses.

    Raises:
        ValueError: see `conditional.of_mixtures`.
    """
    generator = conditional.of_mixtures(gan.averaged_generator or gan.generator)
    # Networks may know more classes than the prior draws.
    known = generator.input["labels"].shape[1]

    def samples_of(latents, weights):
        weights = np.pad(weights, ((0, 0), (0, known - weights.shape[1])))
        inputs = {"latents": latents, "labels": weights}
        inputs = {name: tf.cast(each, tf.float32) for name, each in inputs.items()}
        return finite(replicas.predict_locally(generator, inputs))

    return samples_of


def weights_between(start, end, share: float, num_classes: int) -> np.ndarray:
    """Returns the mixtures on the way between classes, float32 `(n, num_classes)`.

    Args:
        start, end: int `(n,)`, classes.
        share: float in [0, 1] of the way.
        num_classes: int.
    """
    one_hot = np.eye(num_classes, dtype=np.float32)
    return (1 - np.float32(share)) * one_hot[start] + np.float32(share) * one_hot[end]


def _some(classes, most):
    """Returns `classes`, or `most` of them evenly over the list, the ends included."""
    if len(classes) <= most:
        return classes
    return classes[np.linspace(0, len(classes) - 1, most).round().astype(int)]
