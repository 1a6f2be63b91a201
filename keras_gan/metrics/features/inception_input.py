"""From pixels to the input of the FID's network: three ways to resize to 299x299.

Published FIDs differ by it: see G. Parmar et al., On aliased resizing and surprising
subtleties in GAN evaluation, arXiv 2104.11222.
"""

import numpy as np
import tensorflow as tf
from PIL import Image

SIZE = (299, 299)


def resized_2015(pixels) -> np.ndarray:
    """Resizes as the graph of 2015 does: bilinearly, without half-pixel centres.

    Output pixel i lies at i * H / 299 in the image, and not at (i + 1/2) * H / 299 -
    1/2: the image moves by half a pixel. A smaller image is not low-passed. Then
    (x - 128) / 128.

    Args:
        pixels: array `(N, H, W, C)` in 0..255.

    Returns:
        float32 `(N, 299, 299, C)` in [-1, 1).
    """
    resized = tf.raw_ops.ResizeBilinear(
        images=np.asarray(pixels, np.float32),
        size=SIZE,
        align_corners=False,
        half_pixel_centers=False,
    )
    return (resized.numpy() - 128) / 128


def resized_clean(pixels) -> np.ndarray:
    """Resizes as clean-fid does: by Pillow's bicubic filter, which antialiases.

    Each channel is resized in float32, clipped to 0..255 and not rounded. Then
    (x - 128) / 128.

    Args, Returns: see `resized_2015`.
    """
    pixels = np.asarray(pixels, np.float32)
    resized = np.empty((len(pixels), *SIZE, pixels.shape[3]), np.float32)
    for image, result in zip(pixels, resized, strict=True):
        for channel in range(pixels.shape[3]):
            plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
            result[..., channel] = plane.resize(SIZE, Image.Resampling.BICUBIC)
    return (resized.clip(0, 255) - 128) / 128


def resized_pytorch(pixels) -> np.ndarray:
    """Resizes as pytorch-fid does: bilinearly, with half-pixel centres.

    A smaller image is not low-passed. Then 2 * (x / 255) - 1, which is not the scale of
    the graph of 2015: it reaches 1, and its zero is at 127.5.

    Args, Returns: see `resized_2015`.
    """
    pixels = np.asarray(pixels, np.float32) / 255
    resized = tf.image.resize(pixels, SIZE, "bilinear", antialias=False)
    return 2 * resized.numpy() - 1


RESIZES = {"2015": resized_2015, "clean": resized_clean, "pytorch": resized_pytorch}
