"""What the measures share: checked rows, and squared distances by matrix products."""

import itertools
import math

import numpy as np
import tensorflow as tf

# Values that a block of rows holds at most: 1,000 rows of 6,144 features, 49 MB in
# float64. Rows with more features come in smaller blocks, so that memory has a bound.
_MAX_BLOCK_VALUES = 1_000 * 6_144


def matched_rows(**sets) -> list[np.ndarray]:
    """Returns the sets as `(N, D)`, flattened, each in its own dtype, and checked.

    Args:
        **sets: arrays `(N, ...)` by the names that messages give them.

    Returns:
        list of arrays `(N, D)` in the order of the arguments.

    Raises:
        ValueError: shapes that differ in more than N, something empty, NaN or infinity.
    """
    arrays = [np.asarray(values) for values in sets.values()]
    shapes = [array.shape for array in arrays]
    if (
        any(not shape or 0 in shape for shape in shapes)
        or len({shape[1:] for shape in shapes}) > 1
    ):
        raise ValueError(
            f"Expected {_enumerated(sets)} of one shape (N, ...), N >= 1, none empty. "
            f"Received: {_enumerated(map(str, shapes))}"
        )
    rows = []
    for name, array in zip(sets, arrays, strict=True):
        array = array.reshape(len(array), -1)
        if array.dtype.kind not in "biuf":
            array = array.astype(np.float64)  # bfloat16, say
        finite = np.isfinite(array).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"Expected finite {name}. Received: NaN or infinity in "
                f"{np.count_nonzero(~finite)} of {len(array)}"
            )
        rows.append(array)
    return rows


def standard_error(values) -> float:
    """Returns std(ddof=1) / sqrt(N) of `(N,)`; NaN for a single value."""
    if len(values) < 2:
        return math.nan
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def row_blocks(rows, block_size, origin=0.0):
    """Yields (slice, float64 tensor of `rows[slice] - origin`).

    A block holds `block_size` rows, or fewer where so many would have more than
    `_MAX_BLOCK_VALUES` values.
    """
    block_size = min(block_size, max(1, _MAX_BLOCK_VALUES // rows.shape[1]))
    for start in range(0, len(rows), block_size):
        block = slice(start, min(start + block_size, len(rows)))
        yield block, tf.constant(np.asarray(rows[block], np.float64) - origin)


def distance_blocks(first, second, block_size, origin):
    """Yields squared Euclidean distances, block_size x block_size at once.

    They come from matrix products, |x|^2 - 2 x.c + |c|^2, after moving `origin` to
    zero: near the data's mean, it keeps the terms, and with them the cancellation, as
    small as the data's spread allows. The products run where TensorFlow places them, on
    a GPU where there is one.

    Args:
        first, second: arrays `(M, D)` and `(N, D)`.
        block_size: int, rows of a block, see `row_blocks`; memory is about
            4 * 8 * block_size * (block_size + D) bytes.
        origin: float64 `(D,)`.

    Yields:
        (rows, columns, squared): slices of `first` and `second`, and a float64 tensor,
        at least 0; all columns of some rows come before the next rows.
    """
    for rows, block in row_blocks(first, block_size, origin):
        for columns, others in row_blocks(second, block_size, origin):
            yield rows, columns, _squared_distances(block, others)


_MATRIX = tf.TensorSpec([None, None], tf.float64)


@tf.function(input_signature=[_MATRIX, _MATRIX])
def _squared_distances(first, second):
    squared = tf.reduce_sum(first**2, axis=1)[:, None] + tf.reduce_sum(
        second**2, axis=1
    )
    return tf.maximum(squared - 2 * tf.matmul(first, second, transpose_b=True), 0.0)


def _enumerated(names):
    *most, last = itertools.chain(names)
    return f"{', '.join(most)} and {last}" if most else last
