"""The size that a dataset's name may end with, "@64" or "@48x64", and how to get it."""

import re

import numpy as np


def split_size(name: str) -> tuple[str, tuple[int, int] | None]:
    """Splits `name` into the name alone and its size, (height, width) or None.

    "@64" is 64x64; "@48x64" is 48 high and 64 wide.
    """
    match = re.fullmatch(r"(.+)@([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?", name)
    if not match:
        return name, None
    name, height, width = match.groups()
    return name, (int(height), int(width or height))


def fit(image, size: tuple[int, int] | None) -> np.ndarray:
    """Returns a PIL image of mode L, RGB or RGBA as uint8 (H, W, C) of a size.

    `PIL.ImageOps.fit`: the centre is cropped to the aspect ratio of `size`, then
    resized by a bicubic filter that antialiases.

    Args:
        image: `PIL.Image.Image`.
        size: (height, width); None keeps the image's.
    """
    from PIL import ImageOps

    if size is not None and image.size != size[::-1]:
        image = ImageOps.fit(image, size[::-1])
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def channels_like(images, shape) -> np.ndarray:
    """Returns images with the channels of a shape, or as they are.

    Grey images stand for colours where the shape has colours, and colours for grey
    levels where all their channels are equal.

    Args:
        images: array `(N, H, W, C)`.
        shape: (H, W, C), whose C to get.
    """
    found, channels = images.shape[3], shape[2]
    if found == 1 < channels == 3:
        return np.repeat(images, 3, axis=3)
    if found == 3 > channels == 1 and not np.ptp(images, axis=3).any():
        return images[..., :1]
    return images


def with_channels(images, shape, name) -> np.ndarray:
    """Returns images with the channels of a shape, see `channels_like`.

    Args:
        images: array `(N, H, W, C)`.
        shape: (H, W, C) to get.
        name: str, what messages call them.

    Raises:
        ValueError: other channels, or another size.
    """
    images = channels_like(images, shape)
    if images.shape[1:] != shape:
        raise ValueError(
            f"Expected images of {shape}, as the data have, in {name}. "
            f"Received: {images.shape[1:]}; convert them, or name other data"
        )
    return images
