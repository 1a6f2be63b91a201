"""Figure 2 of the paper: samples beside the training examples nearest to them.

Reference: Goodfellow et al., Generative Adversarial Nets, arXiv 1406.2661.
"""

import numpy as np

from keras_gan.datasets import Dataset
from keras_gan.pictures import grids
from keras_gan.samples import SampleSpec

_YELLOW = (255, 214, 0)


def nearest_examples(
    samples, data: Dataset, block: int = 4096
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the example of a dataset that is nearest to each sample (Euclidean).

    Passes over the data once, in blocks, by matrix products in float64.

    Args:
        samples: array `(N, *data.spec.shape)`, in the range of the data.
        data: `Dataset`.
        block: int, examples held at once.

    Returns:
        (indices, distances): int64 and float64 `(N,)`. Of equally near examples the
        first counts.

    Raises:
        ValueError: samples of another shape, or none.
    """
    samples = np.asarray(samples, np.float64)
    if samples.shape[1:] != data.spec.shape or not len(samples):
        raise ValueError(
            f"Expected samples of shape {(None, *data.spec.shape)}, as the data have. "
            f"Received: {samples.shape}"
        )
    flat = samples.reshape(len(samples), -1)
    best = np.full(len(flat), np.inf)
    indices = np.zeros(len(flat), np.int64)
    for start in range(0, len(data), block):
        rows = data.examples(slice(start, start + block))
        rows = rows.reshape(len(rows), -1).astype(np.float64)
        # |x|^2 - 2 s.x, (N, block): |s|^2 is the same for all examples.
        partial = np.einsum("ij,ij->i", rows, rows) - 2 * flat @ rows.T
        nearest = partial.argmin(axis=1)
        values = partial[np.arange(len(flat)), nearest]
        indices = np.where(values < best, start + nearest, indices)
        best = np.minimum(best, values)
    # Computed again: the sum above cancels where a sample is nearly an example.
    differences = flat - data.examples(indices).reshape(flat.shape)
    return indices, np.linalg.norm(differences, axis=1)


def figure_2(samples, nearest, spec: SampleSpec, columns: int = 6) -> np.ndarray:
    """Draws figure 2 of the paper: samples, and the nearest examples of some of them.

    The rightmost column, set off in yellow, holds the training example that is nearest
    to the sample on its left, "in order to demonstrate that the model has not memorized
    the training set".

    Args:
        samples: array `(rows * columns, H, W, C)`, row by row.
        nearest: array `(rows, H, W, C)`, for the last sample of each row.
        spec: `SampleSpec` of both, images.
        columns: int, samples in a row.

    Returns:
        uint8 `(height, width, 3)`, within 640 pixels where the images allow.

    Raises:
        ValueError: numbers or shapes that do not fit, or samples that are no images.
    """
    grids.check_images(spec)
    samples, nearest = np.asarray(samples), np.asarray(nearest)
    if samples.shape != (len(nearest) * columns, *nearest.shape[1:]):
        raise ValueError(
            f"Expected {columns} samples for each nearest example, of the same shape. "
            f"Received: {samples.shape} and {nearest.shape}"
        )
    left = grids.grid(grids.visible(samples, spec), columns=columns)
    nearest = grids.visible(nearest, spec)
    framed = [
        grids.grid(nearest[..., channel : channel + 1], columns=1, fill=level)
        for channel, level in zip(_channels(nearest), _YELLOW, strict=True)
    ]
    left = left[..., list(_channels(left))]
    gap = np.full((len(left), 2, 3), 255, np.uint8)
    picture = np.concatenate([left, gap, np.concatenate(framed, axis=2)], axis=1)
    return grids.enlarge(picture)


def _channels(pictures):
    """Returns the channels that stand for red, green and blue."""
    return range(3) if pictures.shape[-1] == 3 else (0, 0, 0)
