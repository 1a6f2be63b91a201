"""Pictures that are given to inference, which of their values are known, and labels."""

import numpy as np

from keras_gan import checks, inputs, minibatches
from keras_gan.samples import SampleSpec


def pictures(images, spec: SampleSpec, mask=None) -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures as the generator's values, and which of these are known.

    Args:
        images: float array `(n, *spec.shape)` in `spec.value_range`, or uint8 that
            stands for it, as `GAN.fit` takes them. Unknown values may be anything, NaN
            too.
        spec: `SampleSpec`.
        mask: None, which knows all; or bool, True where a value is known:
            `(n, *spec.shape)`, `spec.shape`, or `(H, W)` of images.

    Returns:
        (images, known): float32, in which unknown values are the middle of the range,
        and bool, both `(n, *spec.shape)`.

    Raises:
        ValueError: another shape, dtype or range, or known values that are not finite;
            a picture of which nothing is known.
    """
    images = np.asarray(images)
    minibatches.check_shape(images.shape, spec)
    minibatches.check_dtype(images.dtype, spec)
    known = _known(mask, images.shape, spec)
    if images.dtype == np.uint8:
        images = spec.from_uint8(images.astype(np.float32))
    middle = 0.0 if spec.value_range is None else sum(spec.value_range) / 2
    images = np.where(known, images, middle).astype(np.float32)
    inputs.check_batch(images, spec)
    return images, known


def _known(mask, shape, spec):
    """Returns a mask as bool `shape`, `(n, *spec.shape)`."""
    if mask is None:
        return np.ones(shape, bool)
    mask = np.asarray(mask)
    of_pixels = spec.is_image and mask.shape == spec.shape[:2]
    if mask.dtype != bool or not (of_pixels or mask.shape in (shape, spec.shape)):
        also = f", or {spec.shape[:2]}" if spec.is_image else ""
        raise ValueError(
            f"Expected `mask` to be bool, True where a value is known, of shape {shape}"
            f" or {spec.shape}{also}. Received: {mask.dtype} of shape {mask.shape}"
        )
    known = np.broadcast_to(mask[..., None] if of_pixels else mask, shape)
    if not known.reshape(len(known), -1).any(axis=1).all():
        raise ValueError(
            "Expected `mask` to be True somewhere in each picture. Received: a picture "
            "of which nothing is known; `generate` draws such"
        )
    return known


def labels(given, prior, num_pictures: int) -> np.ndarray | None:
    """Returns the labels of pictures, int32 `(n,)`, or None where none are given.

    Raises:
        ValueError: labels that are no classes of the prior, or of one without labels;
            none, where the prior does not know its classes.
    """
    if given is not None:
        return prior.labels_of(given, num_pictures)
    if prior.is_labelled and prior.classes is None:
        raise ValueError(
            "Expected `labels`, as the prior does not say which classes there are. "
            "Received: None"
        )
    return None


def positive(name: str, value) -> float:
    """Returns a number > 0.

    Raises:
        ValueError: anything else.
    """
    if not checks.is_number(value) or not value > 0:
        raise ValueError(f"Expected `{name}` to be a number > 0. Received: {value!r}")
    return float(value)


def noise(value, spec: SampleSpec, share: float) -> float:
    """Returns the noise, a number > 0; None is a share of the range's width.

    Where values have no range, as if it were (-1, 1).
    """
    if value is not None:
        return positive("noise", value)
    low, high = spec.value_range or (-1.0, 1.0)
    return share * (high - low)
