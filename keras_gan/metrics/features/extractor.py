"""What a feature extractor is, and how it is applied to a whole dataset."""

import hashlib
import math
import typing

import numpy as np

# Part of every extractor's key and of every file in the cache: raise it whenever the
# features of an image change.
FORMAT = 1
# Images that are held as float32 at once: as many values as 4,000 of 32x32x3 have, 49
# MB, of which scaling makes three copies. 4,000 is a multiple of the batches of
# `Classifier` and `Inception` (500 and 32): all batches are those of one call.
_PIECE_ROWS = 4_000
_PIECE_VALUES = _PIECE_ROWS * 32 * 32 * 3


class Extractor(typing.Protocol):
    """Maps images to the features that samples and data are compared by.

    Any object with these attributes is an extractor; it need not inherit from this.

    A classifier also has `num_classes` and `classes(images)`, which gives int64 `(N,)`;
    scores then count the classes of the samples too. An extractor with
    `logits(features)`, which gives `(N, C)`, has the samples' Inception score computed.
    One with a `value_range` is refused for data of another range.

    Attributes:
        name: str, as tables call it.
        key: str, states everything that the features depend on. Features in the cache
            are found by it, and the protocol's hash contains it.
    """

    name: str
    key: str

    def features(self, images) -> np.ndarray:
        """Returns float32 `(N, D)` for float images `(N, H, W, C)`.

        The `images` are in the `value_range` that the extractor was made for.
        """


def in_pieces(function, data, limit: int | None = None) -> np.ndarray:
    """Applies a function of images to a dataset, a piece in float32 at a time.

    Args:
        function: maps float32 `(n, *image_shape)` to an array `(n, ...)`, row by row.
        data: object with `images`, of which the first axis counts, and
            `examples(rows)`, as a `datasets.Dataset`.
        limit: int or None, takes the first so many images.

    Returns:
        array `(N, ...)`, of the dtype that `function` gives.
    """
    count = len(data.images[:limit])
    num_values = math.prod(data.images.shape[1:])
    size = max(1, min(_PIECE_ROWS, _PIECE_VALUES // num_values))
    result = None
    for start in range(0, count, size):
        rows = slice(start, min(start + size, count))
        piece = function(data.examples(rows))
        if len(piece) == count:
            return piece
        if result is None:
            result = np.empty((count, *piece.shape[1:]), piece.dtype)
        result[rows] = piece
    return result


def weights_digest(model) -> str:
    """Returns 16 hexadecimal digits that state `FORMAT` and a Keras model's weights."""
    digest = hashlib.sha256(str(FORMAT).encode())
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:16]


def grey_or_colour(images) -> np.ndarray:
    """Returns images as an array, if a network of colours can see them.

    Raises:
        ValueError: images of another shape than `(N, H, W, 1 or 3)`.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise ValueError(f"Expected images (N, H, W, 1 or 3). Received: {images.shape}")
    return images
