"""PNG and GIF as Pillow reads them."""

import io

import numpy as np
import PIL.Image
import pytest

from keras_gan.pictures import formats


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_png_decodes_to_the_same_pixels():
    for channels, mode in (
        (1, "L"),
        (3, "RGB"),
    ):
        picture = pictures(7, 5, channels)
        content = formats.encode_png(picture)
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        decoded = PIL.Image.open(io.BytesIO(content))
        assert decoded.mode == mode and decoded.size == (5, 7)
        np.testing.assert_array_equal(
            np.asarray(decoded).reshape(picture.shape), picture
        )


@pytest.mark.parametrize("channels", [1, 3])
def test_decode_png_is_the_inverse_of_encode_png(channels):
    picture = pictures(7, 5, channels)
    content = formats.encode_png(picture)
    np.testing.assert_array_equal(formats.decode_png(content), picture)
    for damaged in (b"", b"no picture", content[:40], content[: len(content) // 2]):
        with pytest.raises(ValueError, match="the bytes of a PNG file"):
            formats.decode_png(damaged)


@pytest.mark.parametrize("channels", [1, 3])
def test_gif_of_few_colours_decodes_to_the_same_pixels(channels):
    colours = pictures(1, 30, channels)
    frames = [colours[0][np.random.default_rng(i).integers(0, 30, (12, 9))]
              for i in range(3)]  # fmt: skip
    content = formats.encode_gif(frames, 70)
    with PIL.Image.open(io.BytesIO(content)) as gif:
        assert (gif.format, gif.n_frames, gif.info["loop"]) == ("GIF", 3, 0)
        for index, frame in enumerate(frames):
            gif.seek(index)
            assert gif.info["duration"] == 70
            np.testing.assert_array_equal(
                np.asarray(gif.convert("RGB")), np.broadcast_to(frame, (12, 9, 3))
            )
    for wrong in ([], [pictures(3, 4, 1), pictures(4, 3, 1)]):
        with pytest.raises(ValueError, match="all of one shape") as error:
            formats.encode_gif(wrong)
        assert "\n" not in str(error.value)
