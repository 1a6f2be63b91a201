"""Grids of images: tiling, enlarging and resizing, with NumPy and Pillow alone."""

import math
from collections.abc import Sequence

import numpy as np

from keras_gan import checks
from keras_gan.pictures import plots
from keras_gan.samples import SampleSpec


def sample_picture(
    samples,
    spec: SampleSpec,
    examples=None,
    label: str = "samples",
    channels: Sequence[int] | None = None,
    columns: int | None = None,
) -> np.ndarray:
    """Draws samples as one picture: a grid of images, or a plot.

    Args:
        samples: array `(N, *spec.shape)`, images in `spec.value_range`.
        spec: `SampleSpec`. Images become a grid, see `visible`. Vectors become a plot
            by `plots.sample_plot`, series one by `plots.series_plot`; these need
            matplotlib.
        examples: real data to draw behind a plot, or None; unused for images.
        label: str, what a plot calls the samples.
        channels: see `visible`; unused for plots.
        columns: see `grid`; unused for plots.

    Returns:
        uint8 `(height, width, 1 or 3)`.

    Raises:
        ValueError: samples of another shape, or none; channels that are not there.
        ModuleNotFoundError: a plot, where matplotlib is not installed.
    """
    samples = np.asarray(samples)
    if samples.shape[1:] != spec.shape:
        raise ValueError(
            f"Expected samples of shape {(None, *spec.shape)}, as `spec` says. "
            f"Received: {samples.shape}"
        )
    if spec.is_image:
        return enlarge(grid(visible(samples, spec, channels), columns))
    if spec.kind == "series":
        return plots.series_plot(samples, examples, label=label)
    if examples is not None:
        examples = np.reshape(examples, (len(examples), -1))
    samples = samples.reshape(len(samples), -1)
    return plots.sample_plot(samples, examples, label=label)


def visible(
    images, spec: SampleSpec, channels: Sequence[int] | None = None
) -> np.ndarray:
    """Returns images as pixels that a screen can show.

    Args:
        images: array `(..., *spec.shape)`, in `spec.value_range`.
        spec: `SampleSpec` of images.
        channels: three numbers of channels to show as red, green and blue, or one to
            show in grey. None shows one channel in grey, two as red and green, and of
            more the first three as red, green and blue: of images with alpha, this
            leaves it out.

    Returns:
        uint8 `(..., H, W, 1 or 3)`.

    Raises:
        ValueError: channels that are not there, or another number of them.
    """
    count = spec.shape[-1]
    if channels is None:
        channels = range(3 if count > 2 else count)
    elif len(channels) not in (1, 3) or not all(0 <= c < count for c in channels):
        raise ValueError(
            f"Expected one or three channels of 0 to {count - 1} to show. "
            f"Received: {tuple(channels)}"
        )
    pixels = spec.to_uint8(np.asarray(images)[..., list(channels)])
    if pixels.shape[-1] == 2:
        pixels = np.concatenate([pixels, np.zeros_like(pixels[..., :1])], axis=-1)
    return pixels


def grid(
    images, columns: int | None = None, margin: int = 1, fill: int = 128
) -> np.ndarray:
    """Tiles images into one picture, row by row.

    Args:
        images: uint8 `(N, H, W, C)`, C = 1 or 3, N >= 1.
        columns: int, images in a row; None chooses the nearest to a square.
        margin: int, pixels between and around the images.
        fill: int in 0..255, the grey level of the margin and of the last row's rest.

    Returns:
        uint8 `(rows * (H + margin) + margin, columns * (W + margin) + margin, C)`.

    Raises:
        ValueError: another rank, dtype or number of channels, or no image.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[3] not in (1, 3) or images.dtype != np.uint8:
        raise ValueError(
            "Expected images uint8 (N, H, W, 1 or 3). "
            f"Received: {images.dtype} {images.shape}"
        )
    count, height, width, channels = images.shape
    if count == 0:
        raise ValueError("Expected at least one image. Received: none")
    if columns is None:
        columns = math.ceil(math.sqrt(count))
    columns = checks.count("columns", columns)
    rows = math.ceil(count / columns)
    height, width = height + margin, width + margin
    picture = np.full(
        (rows * height + margin, columns * width + margin, channels), fill, np.uint8
    )
    for index, image in enumerate(images):
        top = margin + index // columns * height
        left = margin + index % columns * width
        picture[top : top + height - margin, left : left + width - margin] = image
    return picture


def framed(picture, shape, columns: int, frames, margin: int = 1) -> np.ndarray:
    """Colours the margin around some images of a `grid`.

    Args:
        picture: uint8 `(height, width, 1 or 3)`, what `grid` returned.
        shape: (H, W, C) of one image.
        columns, margin: those of the grid.
        frames: dict of an image's number to its (red, green, blue).

    Returns:
        uint8 `(height, width, 3)`.
    """
    height, width = (side + margin for side in shape[:2])
    picture = np.broadcast_to(picture, (*picture.shape[:2], 3)).copy()
    for number, color in frames.items():
        top, left = number // columns * height, number % columns * width
        inside = picture[
            top + margin : top + height, left + margin : left + width
        ].copy()
        picture[top : top + height + margin, left : left + width + margin] = color
        picture[top + margin : top + height, left + margin : left + width] = inside
    return picture


def number_at(x, y, picture, shape, columns: int, margin: int = 1) -> int:
    """Returns the number of the image at a place of an enlarged `grid`.

    Args:
        x, y: floats, pixels from the left and from the top.
        picture: (height, width) of the picture, enlarged or not.
        shape, columns, margin: see `framed`.
    """
    factor = picture[1] / (columns * (shape[1] + margin) + margin)
    row, column = (
        max(0, int((place / factor - margin) // (side + margin)))
        for place, side in ((y, shape[0]), (x, shape[1]))
    )
    return row * columns + min(column, columns - 1)


def sheet(groups, spec: SampleSpec, rows: int = 10) -> np.ndarray:
    """Draws rows of images that belong together: a picture, what was made of it, ...

    Args:
        groups: list of arrays `(N, H, W, C)` or `(N, k, H, W, C)` in
            `spec.value_range`: row i shows what each holds of picture i, side by side,
            with a gap between two groups.
        spec: `SampleSpec` of images.
        rows: int >= 1, in a block; further pictures are in blocks to its right.

    Returns:
        uint8 `(height, width, 1 or 3)`, within 640 pixels where the images allow.

    Raises:
        ValueError: no images, groups of different lengths, or none.
    """
    check_images(spec)
    rows = checks.count("rows", rows)
    groups = [np.asarray(group) for group in groups]
    groups = [group[:, None] if group.ndim == 4 else group for group in groups]
    shapes = [(len(group), *group.shape[2:]) for group in groups]
    fits = shapes and shapes[0][0] and all(s == shapes[0] for s in shapes)
    if not fits or shapes[0][1:] != spec.shape:
        raise ValueError(
            f"Expected groups of as many images of shape {spec.shape}. Received: "
            f"{', '.join(str(group.shape) for group in groups) or 'none'}"
        )
    count = len(groups[0])
    blocks = []
    for start in range(0, count, rows):
        parts = [visible(group[start : start + rows], spec) for group in groups]
        grids = [
            grid(part.reshape(-1, *part.shape[2:]), columns=part.shape[1])
            for part in parts
        ]
        blocks.append(_beside(grids, gap=2))
    height = max(len(block) for block in blocks)
    blocks = [
        np.pad(block, ((0, height - len(block)), (0, 0), (0, 0)), constant_values=255)
        for block in blocks
    ]
    return enlarge(_beside(blocks, gap=8))


def _beside(pictures, gap):
    """Joins pictures of one height from left to right, with white between them."""
    white = np.full((len(pictures[0]), gap, pictures[0].shape[2]), 255, np.uint8)
    parts = [part for picture in pictures for part in (white, picture)]
    return np.concatenate(parts[1:], axis=1)


def check_images(spec: SampleSpec) -> None:
    """Refuses a spec of samples that are no images.

    Raises:
        ValueError: `spec.kind` is not "image".
    """
    if not spec.is_image:
        raise ValueError(
            "Expected samples that are images. "
            f"Received: a {spec.kind}, shape {spec.shape}"
        )


def enlarge(picture: np.ndarray, side: int = 640) -> np.ndarray:
    """Repeats pixels by the largest whole factor that keeps a picture within `side`.

    A grid of 8x8 digits would otherwise be the size of a stamp, and viewers blur it.

    Args:
        picture: `(H, W, C)`.
        side: int, the longer side's limit in pixels; larger pictures stay as they are.

    Returns:
        `(factor * H, factor * W, C)`.
    """
    factor = max(1, side // max(picture.shape[:2]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def resize_within(picture: np.ndarray, side: int) -> np.ndarray:
    """Resizes a picture to the largest that `side` allows, pixels intact if possible.

    Undoes what `enlarge` repeated, and repeats anew as far as `side` allows. Resamples
    only a picture that is too large even so.

    Args:
        picture: uint8 `(H, W, 1 or 3)`.
        side: int, the longer side's limit in pixels.

    Returns:
        uint8 `(height, width, 3)`.
    """
    from PIL import Image

    # The largest factor by which every pixel is repeated divides both sides; 1 always
    # fits.
    shortest = math.gcd(*picture.shape[:2])
    for factor in range(shortest, 0, -1):
        small = picture[::factor, ::factor]
        if shortest % factor == 0 and np.array_equal(
            small.repeat(factor, axis=0).repeat(factor, axis=1), picture
        ):
            break
    small = np.broadcast_to(small, (*small.shape[:2], 3))
    if max(small.shape[:2]) <= side:
        return enlarge(small, side)
    image = Image.fromarray(small)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(image)
