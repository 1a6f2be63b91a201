"""The kernel distance between two sets of features: KID on those of Inception [1].

[1] M. Binkowski et al., "Demystifying MMD GANs", arXiv 1801.01401.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_gan import checks
from keras_gan.metrics._distances import (
    matched_rows,
    row_blocks,
    standard_error,
)


@dataclasses.dataclass(frozen=True)
class KernelDistance:
    """The result of `kernel_distance`.

    Attributes:
        distance: float, the mean of the subsets' estimates; it may be negative.
        standard_error: float, their std(ddof=1) / sqrt(num_subsets); NaN for one.
        num_subsets: int.
        subset_size: int, examples of either set in each subset.
    """

    distance: float
    standard_error: float
    num_subsets: int
    subset_size: int


def squared_mmd(first, second, block_size: int = 1000) -> float:
    """Returns the unbiased MMD^2 with k(x, y) = (x.y / D + 1)^3: section 4 of [1].

    sum_{i != j} k(x_i, x_j) / (M (M - 1)) + sum_{i != j} k(y_i, y_j) / (N (N - 1))
    - 2 sum_{i, j} k(x_i, y_j) / (M N), in float64. Its mean is 0 where both sets come
    from one distribution, so that half of its values are negative there.

    Args:
        first, second: arrays `(M, ...)` and `(N, ...)`, flattened to D features.
        block_size: int, examples of either set at once; fewer where D is large.

    Returns:
        float.

    Raises:
        ValueError: fewer than two examples, shapes that differ in more than N, or NaN
            or infinity.
    """
    first, second = _checked_sets(first, second)
    checks.count("block_size", block_size)
    return _squared_mmd(first, second, block_size)


def kernel_distance(
    first, second, subset_size: int = 1000, seed: int = 0
) -> KernelDistance:
    """Returns the mean of `squared_mmd` over disjoint random subsets, and its error.

    Both sets are shuffled and dealt into as many pairs of subsets as the smaller one
    fills; what remains is left out. [1] draws each subset from all examples instead:
    disjoint ones are independent of each other, and the standard error says so.

    Args:
        first, second: arrays `(M, ...)` and `(N, ...)`, flattened to D features.
        subset_size: int >= 2. A smaller set with fewer examples is one subset, and
            is compared with equally many of the larger.
        seed: int, of the shuffling.

    Returns:
        `KernelDistance`.

    Raises:
        ValueError: as in `squared_mmd`, or subset_size < 2.
    """
    first, second = _checked_sets(first, second)
    checks.count("subset_size", subset_size, minimum=2)
    smaller = min(len(first), len(second))
    subset_size = min(int(subset_size), smaller)
    num_subsets = smaller // subset_size
    rng = np.random.default_rng(seed)
    deals = [
        rng.permutation(len(rows))[: num_subsets * subset_size]
        for rows in (first, second)
    ]
    estimates = [
        _squared_mmd(first[ours], second[theirs], block_size=1000)
        for ours, theirs in zip(
            *(deal.reshape(num_subsets, subset_size) for deal in deals), strict=True
        )
    ]
    return KernelDistance(
        distance=float(np.mean(estimates)),
        standard_error=standard_error(estimates),
        num_subsets=num_subsets,
        subset_size=subset_size,
    )


def _checked_sets(first, second):
    sets = matched_rows(first=first, second=second)
    fewest = min(map(len, sets))
    if fewest < 2:
        raise ValueError(
            f"Expected at least 2 examples in each set. Received: {fewest}"
        )
    return sets


def _squared_mmd(first, second, block_size):
    def mean_kernel(ours, theirs, off_diagonal=False):
        total = 0.0
        for rows, block in row_blocks(ours, block_size):
            for columns, others in row_blocks(theirs, block_size):
                diagonal = off_diagonal and rows == columns
                total += float(_kernel_sum(block, others, without_diagonal=diagonal))
        return total / (len(ours) * (len(theirs) - off_diagonal))

    return (
        mean_kernel(first, first, off_diagonal=True)
        + mean_kernel(second, second, off_diagonal=True)
        - 2.0 * mean_kernel(first, second)
    )


@tf.function(reduce_retracing=True)
def _kernel_sum(first, second, without_diagonal):
    features = tf.cast(tf.shape(first)[1], tf.float64)
    kernel = (tf.matmul(first, second, transpose_b=True) / features + 1.0) ** 3
    if without_diagonal:
        kernel = tf.linalg.set_diag(kernel, tf.zeros_like(kernel[:, 0]))
    return tf.reduce_sum(kernel)
