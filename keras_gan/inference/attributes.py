"""Attributes of images that can be measured without labels, such as slant."""

import numpy as np

from keras_gan.samples import SampleSpec

# Keeps the moments of an image that is all dark finite.
_EPSILON = 1e-9


def attributes_of(images, spec: SampleSpec) -> dict[str, np.ndarray]:
    """Measures what `directions` can find ways to change.

    All are of values in [0, 1], p, where a light figure lies on dark ground; of colours
    their mean is p.

    - "brightness": the mean of p.
    - "contrast": the standard deviation of p.
    - "thickness", pixels: 2 sum p / sum |grad p|. By the coarea formula the sum of
      gradients is the length of the outline, twice that of a stroke, whose width is its
      area by its length.
    - "slant": pixels to the right for each pixel upwards, by second moments.
    - "width", pixels: twice the standard deviation of the columns that p lies in, once
      upright: without what slant adds.
    - "warmth", of colours: the mean of red minus blue.

    Grey images have no contrast here, which follows their brightness closely; colours
    have neither thickness, slant nor width, which are those of a figure on a ground.

    Args:
        images: float `(n, *spec.shape)` in `spec.value_range`.
        spec: `SampleSpec` of images, of one channel, or of three or more, which begin
            with red, green and blue; of two, both count as grey.

    Returns:
        dict of names to float64 arrays `(n,)`.
    """
    pixels = np.asarray(spec.to_unit(images), np.float64)
    if pixels.shape[-1] >= 3:
        colours = pixels[..., :3]
        return {
            "brightness": colours.mean(axis=(1, 2, 3)),
            "contrast": colours.mean(axis=3).std(axis=(1, 2)),
            "warmth": (colours[..., 0] - colours[..., 2]).mean(axis=(1, 2)),
        }
    mass = pixels.mean(axis=3)
    slants, widths = _slants_and_widths(mass)
    return {
        "thickness": _thicknesses(mass),
        "slant": slants,
        "width": widths,
        "brightness": mass.mean(axis=(1, 2)),
    }


def _thicknesses(mass):
    """Returns the width of strokes in pixels, `(n,)`."""
    # Dark ground lies around the image, too: a stroke at its edge has an outline there.
    padded = np.pad(mass, ((0, 0), (1, 1), (1, 1)))
    down = np.diff(padded, axis=1)[:, :, :-1]
    right = np.diff(padded, axis=2)[:, :-1]
    outline = np.hypot(down, right).sum(axis=(1, 2))
    return 2 * mass.sum(axis=(1, 2)) / (outline + _EPSILON)


def _slants_and_widths(mass):
    """Returns slants, and widths in pixels, each `(n,)`, by second moments."""
    shares = mass + _EPSILON
    shares /= shares.sum(axis=(1, 2), keepdims=True)
    up, right = np.meshgrid(
        -np.arange(mass.shape[1]), np.arange(mass.shape[2]), indexing="ij"
    )
    up, right = (
        each - (shares * each).sum(axis=(1, 2), keepdims=True) for each in (up, right)
    )
    slants = (shares * up * right).sum(axis=(1, 2)) / (shares * up**2).sum(axis=(1, 2))
    upright = right - slants[:, None, None] * up
    return slants, 2 * np.sqrt((shares * upright**2).sum(axis=(1, 2)))
