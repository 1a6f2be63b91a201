"""The Inception score: T. Salimans et al., Improved techniques for training GANs,
arXiv 1606.03498, section 4.
"""

import dataclasses

import numpy as np
from scipy.special import log_softmax, logsumexp

from keras_gan import checks


@dataclasses.dataclass(frozen=True)
class InceptionScore:
    """The result of `inception_score`.

    Attributes:
        mean: float in [1, number of classes], the mean over the splits.
        standard_deviation: float, over the splits (ddof=0, as it is published).
        num_splits: int.
    """

    mean: float
    standard_deviation: float
    num_splits: int


def inception_score(
    logits, num_splits: int = 10, seed: int | None = 0
) -> InceptionScore:
    """Returns exp(E_x KL(p(y | x) || p(y))) of samples' logits, in float64.

    p(y | x) is the softmax of a sample's logits and p(y) its mean over the samples of a
    split. The score is high where each sample is surely of one class, and all classes
    occur. It never sees the data. Fewer samples in a split score lower.

    Args:
        logits: array `(N, C)`, finite; C is 1,008 in the published score.
        num_splits: int, equal parts of the samples, of N // num_splits or one more.
        seed: int, of the shuffling before, without which samples in the order of their
            classes would score 1; None keeps the order.

    Returns:
        `InceptionScore`.

    Raises:
        ValueError: logits of another shape, NaN or infinity, or fewer samples than
            splits.
    """
    logits = np.asarray(logits, np.float64)
    checks.count("num_splits", num_splits)
    if logits.ndim != 2 or not logits.size:
        raise ValueError(f"Expected logits (N, C). Received: shape {logits.shape}")
    if not np.isfinite(logits).all():
        raise ValueError("Expected finite logits. Received: NaN or infinity")
    if len(logits) < num_splits:
        raise ValueError(
            f"Expected at least {num_splits} samples, one for each split. Received: "
            f"{len(logits)}"
        )
    count = len(logits)
    order = np.arange(count)
    if seed is not None:
        order = np.random.default_rng(seed).permutation(count)
    bounds = [count * split // num_splits for split in range(num_splits + 1)]
    scores = []
    for start, stop in zip(bounds[:-1], bounds[1:], strict=True):
        part = log_softmax(logits[order[start:stop]], axis=1)
        # From logarithms: a class that is nobody's has a p(y) that underflows to 0.
        log_marginal = logsumexp(part, axis=0) - np.log(len(part))
        divergence = np.sum(np.exp(part) * (part - log_marginal), axis=1)
        scores.append(np.exp(divergence.mean()))
    return InceptionScore(
        mean=float(np.mean(scores)),
        standard_deviation=float(np.std(scores)),
        num_splits=int(num_splits),
    )
