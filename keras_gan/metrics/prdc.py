"""Precision, recall, density and coverage of samples, by nearest neighbours [1, 2].

[1] T. Kynkaanniemi et al., "Improved precision and recall metric for assessing
    generative models", arXiv 1904.06991.
[2] M. F. Naeem et al., "Reliable fidelity and diversity metrics for generative models",
    arXiv 2002.09797.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_gan import checks
from keras_gan.metrics._distances import distance_blocks, matched_rows


@dataclasses.dataclass(frozen=True)
class PRDC:
    """The result of `prdc`: shares in [0, 1], but density in [0, N / nearest_k].

    Attributes:
        precision: float, the share of samples inside the ball of a real example.
        recall: float, the share of real examples inside the ball of a sample.
        density: float, the mean number of real examples' balls that hold a sample,
            over nearest_k; its mean is about 1 for samples of the data's distribution.
        coverage: float, the share of real examples whose ball holds a sample.
        nearest_k: int, the neighbour which each ball reaches.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    nearest_k: int


def prdc(real, fake, nearest_k: int = 5, block_size: int = 1000) -> PRDC:
    """Computes the scores of section 2 of [1] and section 3 of [2], in float64.

    The ball of an example reaches to its nearest_k-th neighbour in its own set, itself
    not counted, and holds the points on its surface, as in [1]. The code published with
    [2] leaves the surface out: there duplicates have empty balls, and a set scores a
    density of 1 against its own copy, here 1 + 1 / nearest_k. Samples without ties get
    equal scores. Distances that differ by less than float64 resolves count as equal.

    Args:
        real, fake: arrays `(N, ...)` and `(M, ...)`, flattened to D features.
        nearest_k: int >= 1; 3 in [1], 5 in [2].
        block_size: int, examples of either set at once, fewer where D is large; memory
            beyond the data is about 4 * 8 * block_size * (block_size + D) bytes.

    Returns:
        `PRDC`.

    Raises:
        ValueError: fewer than nearest_k + 1 examples in either set, shapes that differ
            in more than N, or NaN or infinity.
    """
    real, fake = matched_rows(real=real, fake=fake)
    checks.count("nearest_k", nearest_k)
    checks.count("block_size", block_size)
    for name, rows in (("real", real), ("fake", fake)):
        if len(rows) <= nearest_k:
            raise ValueError(
                f"Expected more than nearest_k = {nearest_k} {name} examples. "
                f"Received: {len(rows)}"
            )
    origin = real.mean(axis=0, dtype=np.float64)
    real_radii = _squared_radii(real, nearest_k, block_size, origin)
    fake_radii = _squared_radii(fake, nearest_k, block_size, origin)

    holders = np.zeros(len(fake), np.int64)
    covered = np.zeros(len(real), bool)
    recalled = np.zeros(len(real), bool)
    blocks = distance_blocks(real, fake, block_size, origin)
    for rows, columns, squared in blocks:
        inside = squared <= real_radii[rows, None]
        holders[columns] += tf.math.count_nonzero(inside, axis=0).numpy()
        covered[rows] |= tf.reduce_any(inside, axis=1).numpy()
        inside = squared <= fake_radii[None, columns]
        recalled[rows] |= tf.reduce_any(inside, axis=1).numpy()
    return PRDC(
        precision=float(np.mean(holders > 0)),
        recall=float(np.mean(recalled)),
        density=float(np.mean(holders) / nearest_k),
        coverage=float(np.mean(covered)),
        nearest_k=int(nearest_k),
    )


def _squared_radii(examples, nearest_k, block_size, origin):
    """float64 `(N,)`, squared distances to the neighbours, rounding errors added.

    A product of D terms is exact to (D + 2) eps |x| |y| (Higham, Accuracy and stability
    of numerical algorithms, 3.1), and |y| <= |x| + r at a distance of r: hence a bound
    on the errors of this distance and of one that is compared with it.
    """
    radii = np.empty(len(examples))
    nearest = None
    blocks = distance_blocks(examples, examples, block_size, origin)
    for rows, columns, squared in blocks:
        # An example's own distance, 0, is among the nearest_k + 1 smallest.
        candidates = -squared
        if columns.start:
            candidates = tf.concat([nearest, candidates], axis=1)
        count = min(nearest_k + 1, candidates.shape[1])
        nearest, _ = tf.math.top_k(candidates, k=count)
        if columns.stop == len(examples):
            radii[rows] = -nearest[:, -1].numpy()
            norms = np.linalg.norm(
                np.asarray(examples[rows], np.float64) - origin, axis=1
            )
            reach = 2 * norms + np.sqrt(radii[rows])
            error = (examples.shape[1] + 2) * np.finfo(np.float64).eps * reach**2
            radii[rows] += 2 * error
    return radii
