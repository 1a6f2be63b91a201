"""Pixels: scales, rounding, where a grid puts each image, and PNG as PIL reads it."""

import io

import numpy as np
import PIL.Image
import pytest

from keras_gan.pictures import raster
from keras_gan.samples import check_value_range, to_uint8, to_unit


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


# === Scales ===


def test_value_range_becomes_a_pair_of_floats():
    assert check_value_range([-1, 1]) == (-1.0, 1.0)
    assert check_value_range(None) is None
    for wrong in ((1, 0), (0, 0), (0, float("nan")), (0, float("inf")), (1,), 3, "ab"):
        with pytest.raises(ValueError, match=r"^Expected `value_range`") as error:
            check_value_range(wrong)
        assert repr(wrong) in str(error.value) and "\n" not in str(error.value)


def test_to_unit_is_linear_and_clips():
    for value_range, values in (
        ((0.0, 1.0), [0.0, 0.25, 0.5, 1.0, -0.1, 7.0]),
        ((-1.0, 1.0), [-1.0, -0.5, 0.0, 1.0, -1.1, 2.0]),
        ((-3.0, 3.0), [-3.0, -1.5, 0.0, 3.0, -50.0, 50.0]),
        ((0, 255), [0, 63.75, 127.5, 255, -1, 256]),
    ):
        unit = to_unit(np.reshape(values, (2, 3)), value_range)
        np.testing.assert_allclose(unit, [[0, 0.25, 0.5], [1, 0, 1]], rtol=0, atol=1e-7)
        assert unit.dtype == np.float32


def test_to_uint8_rounds_to_the_nearest_level():
    levels = np.arange(256)
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (-3.0, 3.0)):
        for offset in (-0.49, 0.0, 0.49):
            values = low + (levels + offset) / 255 * (high - low)
            pixels = to_uint8(values, (low, high))
            np.testing.assert_array_equal(pixels, levels)
    assert pixels.dtype == np.uint8
    # Clipped, not wrapped around.
    np.testing.assert_array_equal(to_uint8([-9, 9.0], (0, 1)), [0, 255])


# === Grids ===


def test_grid_puts_every_pixel_in_its_place():
    """Five images 2x3 in three columns, margin 2: by hand, pixel by pixel."""
    tiles = pictures(5, 2, 3, 3)
    picture = raster.grid(tiles, columns=3, margin=2, fill=77)
    assert picture.shape == (2 * (2 + 2) + 2, 3 * (3 + 2) + 2, 3)
    assert picture.dtype == np.uint8
    expected = np.full((10, 17, 3), 77, np.uint8)
    for index, (top, left) in enumerate([(2, 2), (2, 7), (2, 12), (6, 2), (6, 7)]):
        expected[top : top + 2, left : left + 3] = tiles[index]
    np.testing.assert_array_equal(picture, expected)
    # The last row's rest.
    assert (picture[6:, 12:] == 77).all()


def test_grid_without_a_margin_is_a_reshape():
    tiles = pictures(6, 4, 5, 1)
    expected = tiles.reshape(2, 3, 4, 5).transpose(0, 2, 1, 3).reshape(8, 15, 1)
    np.testing.assert_array_equal(raster.grid(tiles, columns=3, margin=0), expected)


def test_grid_is_nearly_square_by_default():
    for count, rows, columns in (
        (1, 1, 1),
        (2, 1, 2),
        (5, 2, 3),
        (9, 3, 3),
    ):
        picture = raster.grid(np.zeros((count, 3, 4, 1), np.uint8))
        assert picture.shape == (rows * 4 + 1, columns * 5 + 1, 1)
        assert picture[0, 0, 0] == 128
        assert (picture == 0).sum() == count * 12


def test_grid_refuses_what_is_no_stack_of_pictures():
    for wrong in (
        np.zeros((2, 3, 3, 2), np.uint8),
        np.zeros((2, 3, 3), np.uint8),
        np.zeros((2, 3, 3, 1), np.float32),
        np.zeros((0, 3, 3, 1), np.uint8),
    ):
        with pytest.raises(ValueError, match=r"^Expected .* Received: ") as error:
            raster.grid(wrong)
        expected = f"{wrong.dtype} {wrong.shape}" if len(wrong) else "none"
        assert expected in str(error.value) and "\n" not in str(error.value)


# === Files ===


def test_enlarge_repeats_pixels_by_a_whole_factor():
    for shape, side, factor in (
        ((5, 9), 512, 56),
        ((5, 9), 18, 2),
        ((9, 5), 17, 1),
        ((20, 30), 10, 1),
    ):
        picture = pictures(*shape, 3)
        enlarged = raster.enlarge(picture, side)
        assert enlarged.shape == (factor * shape[0], factor * shape[1], 3)
        expected = np.kron(picture, np.ones((factor, factor, 1), np.uint8))
        np.testing.assert_array_equal(enlarged, expected)


def test_png_decodes_to_the_same_pixels():
    for channels, mode in (
        (1, "L"),
        (3, "RGB"),
    ):
        picture = pictures(7, 5, channels)
        content = raster.encode_png(picture)
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        decoded = PIL.Image.open(io.BytesIO(content))
        assert decoded.mode == mode and decoded.size == (5, 7)
        np.testing.assert_array_equal(
            np.asarray(decoded).reshape(picture.shape), picture
        )


def test_fit_undoes_and_redoes_what_enlarge_repeated():
    small = pictures(10, 15, 1)
    for factor, side, expected in ((1, 30, 2), (7, 30, 2), (4, 15, 1), (6, 100, 6)):
        picture = small.repeat(factor, axis=0).repeat(factor, axis=1)
        fitted = raster.fit(picture, side)
        shown = small.repeat(expected, axis=0).repeat(expected, axis=1)
        np.testing.assert_array_equal(fitted, np.broadcast_to(shown, fitted.shape))
        assert fitted.shape == (10 * expected, 15 * expected, 3)
    # Too large as it is: resampled, its proportions and its mean kept.
    large = pictures(60, 90, 3)
    fitted = raster.fit(large, 30)
    assert fitted.shape == (20, 30, 3)
    assert fitted.mean() == pytest.approx(large.mean(), abs=3)


@pytest.mark.parametrize("channels", [1, 3])
def test_decode_png_is_the_inverse_of_encode_png(channels):
    picture = pictures(7, 5, channels)
    content = raster.encode_png(picture)
    np.testing.assert_array_equal(raster.decode_png(content), picture)
    for damaged in (b"", b"no picture", content[:40], content[: len(content) // 2]):
        with pytest.raises(ValueError, match="the bytes of a PNG file"):
            raster.decode_png(damaged)


@pytest.mark.parametrize("channels", [1, 3])
def test_gif_of_few_colours_decodes_to_the_same_pixels(channels):
    colours = pictures(1, 30, channels)
    frames = [colours[0][np.random.default_rng(i).integers(0, 30, (12, 9))]
              for i in range(3)]  # fmt: skip
    content = raster.encode_gif(frames, 70)
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
            raster.encode_gif(wrong)
        assert "\n" not in str(error.value)
