"""Checks of the arrays that a Dataset is made of, and passes over them in pieces."""

import math
from collections.abc import Iterator

import numpy as np

from keras_gan import labels as class_labels

# Passes over a whole dataset go in pieces of about this many bytes of float64.
CHUNK_BYTES = 64 * 1024**2


def chunks(shape, bytes_per_value: int = 8) -> Iterator[slice]:
    """Yields slices of rows that cover an array of `shape`, `CHUNK_BYTES` each."""
    size = max(1, CHUNK_BYTES // (bytes_per_value * math.prod(shape[1:])))
    for begin in range(0, shape[0], size):
        yield slice(begin, min(begin + size, shape[0]))


def check_shape(images, kind, value_range):
    """Refuses arrays whose shape does not say what one example is.

    Args:
        images: array of any shape.
        kind: None, or the kind of `SampleSpec` that the caller names.
        value_range: None where values have no bounds, as those of images always have.

    Raises:
        ValueError: no examples, or a number of dimensions that could be several kinds.
    """
    is_clear = images.ndim in (2, 4) or (images.ndim == 3 and value_range is None)
    if images.ndim < 2 or (kind is None and not is_clear):
        hint = ""
        if images.ndim == 3:
            hint = (
                "; if these are grey images, add the channel axis: images[..., None]; "
                "if they are series of shape (N, T, F), pass kind='series'"
            )
        raise ValueError(
            "Expected `images` of shape (N, H, W, C) or (N, D). "
            f"Received: shape {images.shape}{hint}"
        )
    if images.size == 0:
        raise ValueError(
            f"Expected at least one example. Received: shape {images.shape}"
        )


def check_values(images, spec) -> np.ndarray:
    """Returns the examples as uint8 or float32; a `np.memmap` of these stays one.

    Args:
        images: array `(N, *spec.shape)`.
        spec: `SampleSpec`, whose range the values lie in.

    Raises:
        ValueError: another dtype than uint8 or floating point; uint8 without a range to
            stand for; NaN or Inf; floats outside the range.
    """
    if images.dtype == np.uint8:
        if spec.value_range is None:
            raise ValueError(
                "Expected a `value_range` for uint8 to stand for. Received: None"
            )
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            "Expected `images` of dtype uint8 (0 to 255) or floating point. "
            f"Received: dtype {images.dtype}"
        )
    if images.dtype != np.float32:
        images = images.astype(np.float32)
    _check_floats(images, spec)
    return images


def _check_floats(images, spec):
    bad_values, first_bad_row = 0, None
    lowest, highest = math.inf, -math.inf
    for rows in chunks(images.shape, bytes_per_value=4):
        x = images[rows].reshape(-1, spec.num_values)
        bad = ~np.isfinite(x)
        if bad.any():
            bad_values += int(bad.sum())
            if first_bad_row is None:
                first_bad_row = rows.start + int(bad.any(axis=1).argmax())
        lowest, highest = min(lowest, x.min()), max(highest, x.max())
    if bad_values:
        raise ValueError(
            f"Expected finite `images`. Received: {bad_values} NaN or Inf values, the "
            f"first in row {first_bad_row}"
        )
    if spec.value_range is None:
        return
    low, high = spec.value_range
    if not (low <= lowest and highest <= high):
        unbounded = "" if spec.is_image else ", None where they have no bounds"
        raise ValueError(
            f"Expected float `images` in value_range={spec.value_range}. Received: "
            f"values from {lowest:g} to {highest:g}; rescale them or pass their "
            f"value_range{unbounded}"
        )


def check_labels(labels, num_examples, num_classes):
    """Returns labels as int64 `(N,)` and the number of classes; None both without.

    Args:
        labels: None, or what `labels.of_examples` takes.
        num_examples: int, N.
        num_classes: int, or None for the largest label plus one.

    Raises:
        ValueError: as `labels.of_examples`.
    """
    if labels is None:
        return None, None
    if num_classes is None and np.ndim(labels) == 2:
        num_classes = np.shape(labels)[1]
    labels = class_labels.of_examples(labels, num_examples, num_classes)
    return labels, num_classes or int(labels.max()) + 1
