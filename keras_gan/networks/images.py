"""What the convolutional builders share: sizes, widths, and how both networks end.

Images have any height and width from 8 to 256, also odd and unequal ones. A
discriminator halves an axis of n to ceil(n / 2) until it is short enough, and then
keeps it while the other axis is halved further. A generator goes the same sizes
backwards: it doubles, and crops one row or column where the size is odd. So 30x45 comes
from 15x23, 8x12 and, at the bottom, 4x6.
"""

import math

from keras import layers

from keras_gan.networks.common import check_data_format, sample_shape
from keras_gan.samples import SampleSpec

_SMALLEST, _LARGEST = 8, 256
# The longest axis at the bottom: 8 is halved once more, to 4.
BOTTOM = 7
# Up to this size all levels have the same width.
_FULL_WIDTH_SIZE = 32
# No level has fewer channels because of its size: with a few of them, all ReLUs of a
# place may be 0 from the start.
_NARROWEST = 16
_ACTIVATIONS = {(-1.0, 1.0): "tanh", (0.0, 1.0): "sigmoid"}


def image_shape(spec) -> tuple[int, int, int]:
    """Returns (H, W, C) of a spec or a shape.

    Raises:
        ValueError: no images, or a side outside of 8 to 256 pixels; Keras is set to
            another layout of images.
    """
    check_data_format()
    shape = sample_shape(spec)
    if len(shape) != 3 or not all(_SMALLEST <= n <= _LARGEST for n in shape[:2]):
        raise ValueError(
            f"Expected images of shape (H, W, C), of {_SMALLEST} to {_LARGEST} pixels "
            f"a side. Received: {shape}; datasets of folders and of TFDS resize"
        )
    return shape


def output_activation(spec) -> str:
    """Returns the activation whose values are the range of the samples.

    tanh for (-1, 1), sigmoid for (0, 1) and for a bare shape, and linear for values
    without bounds.

    Raises:
        ValueError: another range.
    """
    if not isinstance(spec, SampleSpec):
        return "sigmoid"
    if spec.bounds is None:
        return "linear"
    if spec.bounds not in _ACTIVATIONS:
        raise ValueError(
            "Expected images in (-1, 1) or (0, 1), which a tanh or a sigmoid reaches. "
            f"Received: value_range={spec.bounds}; data.to_range((-1, 1)) maps them"
        )
    return _ACTIVATIONS[spec.bounds]


def halvings(shape, longest: int = BOTTOM) -> list[tuple[int, int]]:
    """Returns the sizes from the image's down to the first with no axis over `longest`.

    Args:
        shape: (H, W, ...).
        longest: int, an axis that is longer is halved, rounding up.
    """
    sizes = [tuple(shape[:2])]
    while max(sizes[-1]) > longest:
        sizes.append(tuple(n if n <= longest else -(-n // 2) for n in sizes[-1]))
    return sizes


def level_width(width: int, size: tuple[int, int]) -> int:
    """Returns the channels of a level: `width`, and half for each doubling above 32.

    Not below 16, or below `width`, where that is less.
    """
    doublings = math.ceil(math.log2(max(max(size) / _FULL_WIDTH_SIZE, 1.0)))
    return max(min(width, _NARROWEST), width >> doublings)


def strides(large: tuple[int, int], small: tuple[int, int]) -> tuple[int, int]:
    """Returns the stride of each axis between two neighbouring sizes: 1 or 2."""
    return tuple(1 if a == b else 2 for a, b in zip(large, small, strict=True))


def crop(x, size: tuple[int, int]):
    """Drops the rows and columns of a doubled image beyond `size`."""
    surplus = [have - want for have, want in zip(x.shape[1:3], size, strict=True)]
    if not any(surplus):
        return x
    return layers.Cropping2D([(0, each) for each in surplus])(x)


def samples_from(x, activation: str):
    """Ends a generator: the activation, in float32."""
    return layers.Activation(activation, name="samples", dtype="float32")(x)
