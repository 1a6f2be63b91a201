"""Pictures as arrays of pixels: grids, enlarging, PNG and GIF."""

import io
import math

import numpy as np


def grid(images, columns=None, margin=1, fill=128):
    """Tiles images into one picture, row by row.

    Args:
        images: uint8 `(N, H, W, C)`, C = 1 or 3, N >= 1.
        columns: int, images in a row; by default the nearest to a square.
        margin: int, pixels between and around the images.
        fill: int in 0..255, the colour of the margin and of the last row's rest.

    Returns:
        uint8 `(rows * (H + margin) + margin, columns * (W + margin) + margin, C)`.

    Raises:
        ValueError: another rank, dtype, number of channels, or no image at all.
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
    columns = columns or math.ceil(math.sqrt(count))
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


def enlarge(picture, side=640):
    """Repeats pixels by the largest whole factor that keeps a picture within `side`.

    Without it a grid of 8x8 digits is the size of a stamp, and viewers blur it.

    Args:
        picture: `(H, W, C)`.
        side: int, the longer side's limit in pixels; larger pictures stay as they are.

    Returns:
        `(factor * H, factor * W, C)`.
    """
    factor = max(1, side // max(picture.shape[:2]))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def fit(picture, side):
    """A picture as large as it can be within `side`, its pixels kept where they can be.

    What `enlarge` repeated is undone, then done again as far as `side` allows. Only a
    picture that is too large even so is resampled.

    Args:
        picture: uint8 `(H, W, 1 or 3)`.
        side: int, the longer side's limit in pixels.

    Returns:
        uint8 `(height, width, 3)`.
    """
    from PIL import Image

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


def encode_png(picture):
    """A picture as the bytes of a PNG file.

    Args:
        picture: uint8 `(H, W, C)`, C = 1 or 3.
    """
    from PIL import Image

    picture = picture[:, :, 0] if picture.shape[2] == 1 else picture
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def decode_png(content):
    """The picture in the bytes of a PNG file, as `encode_png` writes it.

    Returns:
        uint8 `(H, W, 1)` for grey levels, `(H, W, 3)` for all else.

    Raises:
        ValueError: no picture, or a damaged one.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(
            f"Expected the bytes of a PNG file. Received: {len(content)} bytes that "
            "cannot be read as one"
        ) from error
    return pixels.reshape(*pixels.shape[:2], -1)


def encode_gif(pictures, milliseconds=100):
    """Pictures as the bytes of an animated GIF that plays for ever.

    Args:
        pictures: list of uint8 `(H, W, C)`, C = 1 or 3, of one shape. All share 256
            colours; one that equals the picture before it lengthens that one's frame.
        milliseconds: int, or a list of one for each picture; GIF counts in hundredths
            of a second.

    Raises:
        ValueError: no pictures, or of different shapes.
    """
    from PIL import Image

    shapes = {picture.shape for picture in pictures}
    if len(shapes) != 1:
        raise ValueError(
            "Expected at least one picture, and all of one shape. "
            f"Received: {len(pictures)} of {sorted(shapes) or 'no shape'}"
        )
    pixels = np.stack([np.broadcast_to(x, (*x.shape[:2], 3)) for x in pictures])
    colours, indices = _palette(pixels)
    frames = [Image.fromarray(frame) for frame in indices]
    for frame in frames:
        frame.putpalette(colours.tobytes())
    first, *rest = frames
    buffer = io.BytesIO()
    first.save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=milliseconds,
        loop=0,
    )
    return buffer.getvalue()


def _palette(pixels):
    """At most 256 colours for uint8 `(N, H, W, 3)`, and the nearest one's index.

    Not by Pillow's own mapping, which is off by a few levels even for colours that the
    palette has, and makes white grey. All colours where they are few enough; otherwise
    the 64 most frequent, as they are, and 192 by median cut of all.

    Returns:
        uint8 `(256 or fewer, 3)` and uint8 `(N, H, W)`.
    """
    from PIL import Image
    from scipy.spatial import cKDTree

    codes = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    codes, where, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    colours = colours.astype(np.uint8)
    palette = colours
    if len(colours) > 256:
        frequent = np.argsort(-counts, kind="stable")[:64]
        cut = Image.fromarray(colours[None]).quantize(192)
        cut = np.array(cut.getpalette(), np.uint8).reshape(-1, 3)
        palette = np.concatenate([colours[frequent], cut])
    _, nearest = cKDTree(palette.astype(float)).query(colours.astype(float))
    return palette, nearest.astype(np.uint8)[where].reshape(pixels.shape[:3])
