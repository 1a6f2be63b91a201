"""Pictures as files: PNG and animated GIF by Pillow, MP4 by ffmpeg."""

import io
from collections.abc import Sequence

import numpy as np

from keras_gan import checks

# Grey, RGB, RGB and alpha. Of two channels the second would be taken for alpha.
PNG_CHANNELS = (1, 3, 4)


def encode_png(picture: np.ndarray) -> bytes:
    """Returns the bytes of a PNG file of a picture.

    Args:
        picture: uint8 `(H, W, C)`, C in `PNG_CHANNELS`.
    """
    from PIL import Image

    picture = picture[:, :, 0] if picture.shape[2] == 1 else picture
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def decode_png(content: bytes) -> np.ndarray:
    """Decodes the bytes of a PNG file.

    Args:
        content: bytes.

    Returns:
        uint8 `(H, W, 1)` for grey levels, `(H, W, 3)` for all else.

    Raises:
        ValueError: no PNG file, or a damaged one.
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


def encode_gif(
    pictures: Sequence[np.ndarray], milliseconds: int | Sequence[int] = 100
) -> bytes:
    """Returns the bytes of an animated GIF of pictures, which plays for ever.

    All frames share one palette of 256 colours: those of the pictures where they have
    no more, otherwise the ones that Pillow's median cut finds.

    Args:
        pictures: sequence of uint8 `(H, W, C)`, C = 1 or 3, of one shape. A picture
            that equals the one before it lengthens that one's frame.
        milliseconds: int, or one for each picture; GIF counts in hundredths of a
            second.

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
    height, width, _ = shapes.pop()
    pixels = [np.broadcast_to(picture, (height, width, 3)) for picture in pictures]
    # One tall image is quantized as a whole: mapping each frame to a given palette
    # (`quantize(palette=...)`) is off by up to 7 levels, and makes white grey.
    tall = Image.fromarray(np.concatenate(pixels)).quantize(
        256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    first, *rest = (
        tall.crop((0, top, width, top + height))
        for top in range(0, len(pixels) * height, height)
    )
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


def write_mp4(path, pictures: Sequence[np.ndarray], frames_per_second: int = 25):
    """Writes pictures as a film: H.264, which every browser plays.

    Needs the extra `video`: imageio and its ffmpeg.

    Args:
        path: path-like, ends in `.mp4`; a file there is overwritten.
        pictures: sequence of uint8 `(H, W, C)`, C = 1 or 3, of one shape. An odd height
            or width grows by one pixel, which H.264 asks for.
        frames_per_second: int.

    Raises:
        ModuleNotFoundError: the extra is not installed.
    """
    checks.require("imageio_ffmpeg", extra="video")
    imageio = checks.require("imageio.v3", extra="video")
    height, width, _ = pictures[0].shape
    frames = [
        np.pad(
            np.broadcast_to(picture, (height, width, 3)),
            ((0, height % 2), (0, width % 2), (0, 0)),
            mode="edge",
        )
        for picture in pictures
    ]
    imageio.imwrite(
        path,
        frames,
        plugin="FFMPEG",
        fps=frames_per_second,
        codec="libx264",
        quality=8,
        macro_block_size=2,
        ffmpeg_log_level="error",
    )
