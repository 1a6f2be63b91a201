"""What one sample is: its shape, its kind, its range, and the only map of scales.

The maps take NumPy arrays and TensorFlow tensors, and give back what they took.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_gan import checks

KINDS = ("image", "vector", "series")
# The range to show contrast-normalised images in. It is no bound: a few of their values
# lie outside.
CONTRAST_NORMALIZED_RANGE = (-3.0, 3.0)


@dataclasses.dataclass(frozen=True)
class SampleSpec:
    """The shape, kind and range of one sample, of data and of generators alike.

    Attributes:
        shape: tuple of int: (H, W, C) of an image, (T, F) of a series of T steps, any
            of a vector.
        kind: "image", "series" or "vector", which is everything else.
        value_range: (low, high) of the values; None where they have no bounds, as those
            of an image always have.
        contrast_normalized: bool, whether each image's mean was subtracted and its norm
            scaled (`datasets.Dataset.contrast_normalized`). `value_range` is then the
            range to show such images in, `CONTRAST_NORMALIZED_RANGE`, and no bound.

    Raises:
        ValueError: an unknown kind, a shape of another rank than the kind has, or a
            range that is no pair low < high.
    """

    shape: tuple
    kind: str
    value_range: tuple | None = None
    contrast_normalized: bool = False

    def __post_init__(self):
        checks.one_of("kind", self.kind, KINDS)
        shape = tuple(checks.count("shape", size) for size in self.shape)
        rank = {"image": 3, "series": 2}.get(self.kind, len(shape))
        if len(shape) != rank or not shape:
            raise ValueError(
                f"Expected the shape of one {self.kind} to have {rank or 1} "
                f"dimensions. Received: {shape}"
            )
        if self.kind == "image" and self.value_range is None:
            raise ValueError(
                "Expected the value_range that an image's pixels are in. Received: None"
            )
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "value_range", check_value_range(self.value_range))

    @classmethod
    def of(cls, shape, value_range=None) -> "SampleSpec":
        """Returns the spec of a shape and a range.

        Args:
            shape: of one sample: three dimensions with a range are an image, two are a
                series, and all else is a vector.
            value_range: (low, high), or None.
        """
        shape = tuple(shape)
        kind = "series" if len(shape) == 2 else "vector"
        if len(shape) == 3 and value_range is not None:
            kind = "image"
        return cls(shape, kind, value_range)

    @classmethod
    def of_generated(cls, shape, value_range=None) -> "SampleSpec":
        """Returns the spec of a generator's samples, from what a model file states.

        Images in `CONTRAST_NORMALIZED_RANGE` are contrast-normalised: nothing else is
        known to use that range.

        Args:
            shape, value_range: as in `of`.
        """
        spec = cls.of(shape, value_range)
        return dataclasses.replace(
            spec,
            contrast_normalized=spec.is_image
            and spec.value_range == CONTRAST_NORMALIZED_RANGE,
        )

    @property
    def bounds(self):
        """(low, high) that no value lies outside of; None where there are none."""
        return None if self.contrast_normalized else self.value_range

    @property
    def is_image(self) -> bool:
        """Whether a sample is an image."""
        return self.kind == "image"

    @property
    def num_values(self) -> int:
        """Values in one sample."""
        return math.prod(self.shape)

    def to_unit(self, values):
        """Returns `value_range` mapped linearly to [0, 1] and clipped, float32."""
        return to_unit(values, self.value_range)

    def to_uint8(self, values) -> np.ndarray:
        """Returns `value_range` mapped linearly to 0..255, rounded and clipped."""
        return to_uint8(values, self.value_range)

    def from_unit(self, values):
        """Returns [0, 1] mapped linearly to `value_range`."""
        low, high = self.value_range
        return values * (high - low) + low

    def from_uint8(self, pixels):
        """Returns float pixels in 0..255 mapped linearly to `value_range`."""
        return from_uint8(pixels, self.value_range)

    def to_dict(self) -> dict:
        """Returns what JSON can hold; `SampleSpec(**d)` makes it a spec again."""
        return {
            "shape": list(self.shape),
            "kind": self.kind,
            "value_range": None if self.value_range is None else list(self.value_range),
            "contrast_normalized": self.contrast_normalized,
        }


def finite(samples) -> np.ndarray:
    """Returns a generator's samples, if they are finite.

    Args:
        samples: array `(N, ...)`.

    Raises:
        ValueError: NaN or infinity: the generator's weights are.
    """
    rows = np.isfinite(samples.reshape(len(samples), -1)).all(axis=1)
    if not rows.all():
        raise ValueError(
            f"Expected a generator whose samples are finite. Received: NaN or infinity "
            f"in {np.count_nonzero(~rows):,} of {len(rows):,}; its training diverged: "
            "load an earlier model, or train anew with lower learning rates"
        )
    return samples


def check_value_range(value_range) -> tuple[float, float] | None:
    """Returns `value_range` as a pair of floats, or None.

    Raises:
        ValueError: not None and not two finite numbers, low < high.
    """
    if value_range is None:
        return None
    try:
        low, high = (float(bound) for bound in value_range)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not (low < high and math.isfinite(low) and math.isfinite(high)):
        raise ValueError(
            "Expected `value_range` to be (low, high), two finite numbers with low < "
            f"high, or None where values have no bounds. Received: {value_range!r}"
        )
    return low, high


def to_unit(values, value_range):
    """Maps `value_range` linearly to [0, 1] and clips.

    Args:
        values: array or float tensor of any shape, in `value_range`.
        value_range: (low, high).

    Returns:
        float32, of the same shape, in [0, 1].
    """
    low, high = check_value_range(value_range)
    if tf.is_tensor(values):
        return tf.clip_by_value((values - low) / (high - low), 0.0, 1.0)
    values = np.asarray(values, np.float32)
    return np.clip((values - low) / (high - low), 0.0, 1.0).astype(np.float32)


def to_uint8(values, value_range) -> np.ndarray:
    """Returns `value_range` mapped linearly to 0..255, rounded and clipped."""
    unit = np.asarray(to_unit(np.asarray(values), value_range))
    return np.round(unit * 255.0).astype(np.uint8)


def from_uint8(pixels, value_range):
    """Maps 0..255 linearly to `value_range`.

    Args:
        pixels: float array or tensor of any shape, in 0..255.
        value_range: (low, high).

    Returns:
        what `pixels` is, in `value_range`.
    """
    low, high = value_range
    return pixels / 255.0 * (high - low) + low
