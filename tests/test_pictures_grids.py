"""Grids: where each image is put, pixel by pixel, and at which size."""

import numpy as np
import pytest

from keras_gan.pictures import grids, plots
from keras_gan.samples import SampleSpec, to_uint8


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def test_grid_puts_every_pixel_in_its_place():
    """Five images 2x3 in three columns, margin 2: by hand, pixel by pixel."""
    tiles = pictures(5, 2, 3, 3)
    picture = grids.grid(tiles, columns=3, margin=2, fill=77)
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
    np.testing.assert_array_equal(grids.grid(tiles, columns=3, margin=0), expected)


def test_grid_is_nearly_square_by_default():
    for count, rows, columns in (
        (1, 1, 1),
        (2, 1, 2),
        (5, 2, 3),
        (9, 3, 3),
    ):
        picture = grids.grid(np.zeros((count, 3, 4, 1), np.uint8))
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
            grids.grid(wrong)
        expected = f"{wrong.dtype} {wrong.shape}" if len(wrong) else "none"
        assert expected in str(error.value) and "\n" not in str(error.value)


def test_enlarge_repeats_pixels_by_a_whole_factor():
    for shape, side, factor in (
        ((5, 9), 512, 56),
        ((5, 9), 18, 2),
        ((9, 5), 17, 1),
        ((20, 30), 10, 1),
    ):
        picture = pictures(*shape, 3)
        enlarged = grids.enlarge(picture, side)
        assert enlarged.shape == (factor * shape[0], factor * shape[1], 3)
        expected = np.kron(picture, np.ones((factor, factor, 1), np.uint8))
        np.testing.assert_array_equal(enlarged, expected)


def test_fit_undoes_and_redoes_what_enlarge_repeated():
    small = pictures(10, 15, 1)
    for factor, side, expected in ((1, 30, 2), (7, 30, 2), (4, 15, 1), (6, 100, 6)):
        picture = small.repeat(factor, axis=0).repeat(factor, axis=1)
        fitted = grids.resize_within(picture, side)
        shown = small.repeat(expected, axis=0).repeat(expected, axis=1)
        np.testing.assert_array_equal(fitted, np.broadcast_to(shown, fitted.shape))
        assert fitted.shape == (10 * expected, 15 * expected, 3)
    # Too large as it is: resampled, its proportions and its mean kept.
    large = pictures(60, 90, 3)
    fitted = grids.resize_within(large, 30)
    assert fitted.shape == (20, 30, 3)
    assert fitted.mean() == pytest.approx(large.mean(), abs=3)


@pytest.mark.parametrize("channels", [1, 3])
def test_picture_of_images_is_their_enlarged_grid(channels):
    samples = np.random.default_rng(0).uniform(-1, 1, (5, 8, 8, channels))
    spec = SampleSpec.of((8, 8, channels), (-1.0, 1.0))
    picture = grids.sample_picture(samples, spec)
    # Two rows and three columns of 9 pixels and a margin: 19 x 28, times 22.
    assert picture.shape == (19 * 22, 28 * 22, channels)
    assert picture.dtype == np.uint8
    tiles = picture[::22, ::22]
    expected = to_uint8(samples, (-1.0, 1.0))
    np.testing.assert_array_equal(tiles[1:9, 10:18], expected[1])
    np.testing.assert_array_equal(tiles[10:18, 1:9], expected[3])
    changed = samples.copy()
    changed[4] *= -1
    assert (grids.sample_picture(changed, spec) != picture).any()


@pytest.mark.parametrize("channels", [2, 4, 7])
def test_other_numbers_of_channels_are_shown_in_colour(channels):
    samples = np.random.default_rng(0).uniform(-1, 1, (5, 8, 8, channels))
    spec = SampleSpec.of((8, 8, channels), (-1.0, 1.0))
    pixels = to_uint8(samples, (-1.0, 1.0))
    shown = grids.visible(samples, spec)
    assert shown.shape == (5, 8, 8, 3)
    np.testing.assert_array_equal(shown[..., :2], pixels[..., :2])
    blue = pixels[..., 2] if channels > 2 else np.zeros((5, 8, 8))
    np.testing.assert_array_equal(shown[..., 2], blue)
    last = channels - 1
    assert np.array_equal(grids.visible(samples, spec, [last]), pixels[..., -1:])
    assert grids.sample_picture(samples, spec).shape == (19 * 22, 28 * 22, 3)


def test_picture_of_points_is_the_plot():
    rng = np.random.default_rng(0)
    samples, data = rng.normal(size=(2, 50, 2))
    # With a range of values too: what decides is the kind.
    for value_range in (None, (0.0, 1.0)):
        np.testing.assert_array_equal(
            grids.sample_picture(samples, SampleSpec.of((2,), value_range), data),
            plots.sample_plot(samples, data),
        )


def test_picture_refuses_what_it_cannot_draw():
    """Another shape than the spec's, and no samples."""
    images, volume = SampleSpec.of((8, 8, 1), (0.0, 1.0)), SampleSpec.of((8, 8, 1))
    for samples, spec, message in (
        (np.zeros((50, 2)), images, r"shape \(None, 8, 8, 1\).*Received: \(50, 2\)"),
        (np.zeros((5, 8, 8, 3)), images, r"Received: \(5, 8, 8, 3\)"),
        (np.zeros((0, 8, 8, 1)), images, "at least one image"),
        (np.zeros((5, 8, 8)), volume, r"Received: \(5, 8, 8\)"),
        (np.zeros((5, 4)), SampleSpec.of((5,)), r"Received: \(5, 4\)"),
        (np.zeros((0, 9, 2)), SampleSpec.of((9, 2)), r"Received: \(0, 9, 2\)"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            grids.sample_picture(samples, spec)
        assert "\n" not in str(error.value)


def test_images_need_no_matplotlib_and_plots_name_the_extra(no_matplotlib):
    images = np.zeros((4, 8, 8, 1), np.float32)
    picture = grids.sample_picture(images, SampleSpec.of((8, 8, 1), (0.0, 1.0)))
    assert picture.shape == (19 * 33, 19 * 33, 1)
    with pytest.raises(ModuleNotFoundError, match=r"keras_gan\[figures\]") as error:
        grids.sample_picture(np.zeros((4, 2)), SampleSpec.of((2,)))
    assert "\n" not in str(error.value)


def test_a_sheet_puts_what_belongs_together_in_a_row():
    """Three pictures 2x3, two of each beside them, two rows a block: by hand."""
    spec = SampleSpec((2, 3, 1), "image", (0.0, 1.0))
    rng = np.random.default_rng(0)
    first, second = rng.random((3, 2, 3, 1)), rng.random((3, 2, 2, 3, 1))
    sheet = grids.sheet([first, second], spec, rows=2)
    blocks = []
    for rows in (slice(0, 2), slice(2, 3)):
        pairs = to_uint8(second[rows], (0, 1)).reshape(-1, 2, 3, 1)
        parts = [
            grids.grid(to_uint8(first[rows], (0, 1)), columns=1),
            np.full((3 * len(first[rows]) + 1, 2, 1), 255, np.uint8),
            grids.grid(pairs, columns=2),
        ]
        blocks.append(np.concatenate(parts, axis=1))
    expected = np.full((7, 16 + 8 + 16, 1), 255, np.uint8)
    expected[:, :16], expected[:4, 24:] = blocks
    np.testing.assert_array_equal(sheet, grids.enlarge(expected))


@pytest.mark.parametrize(
    "groups",
    [
        [],
        [np.zeros((2, 2, 3, 1)), np.zeros((3, 2, 3, 1))],
        [np.zeros((2, 3, 3, 1))],
        [np.zeros((0, 2, 3, 1))],
    ],
    ids=["none", "lengths", "another shape", "no images"],
)
def test_a_sheet_of_what_does_not_fit_is_one_line(groups):
    with pytest.raises(ValueError, match="groups of as many images") as caught:
        grids.sheet(groups, SampleSpec((2, 3, 1), "image", (0.0, 1.0)))
    assert "\n" not in str(caught.value)


def test_frames_colour_the_margin_of_an_image_alone():
    images = np.arange(6, dtype=np.uint8)[:, None, None, None] + np.zeros(
        (6, 2, 3, 1), np.uint8
    )
    plain = grids.grid(images, columns=3)
    framed = grids.framed(plain, (2, 3, 1), 3, {4: (255, 0, 0)})
    expected = np.broadcast_to(plain, (*plain.shape[:2], 3)).copy()
    expected[3:7, 4:9] = (255, 0, 0)
    expected[4:6, 5:8] = 4
    np.testing.assert_array_equal(framed, expected)


@pytest.mark.parametrize("factor", [1, 5])
def test_a_place_in_a_grid_is_that_of_an_image(factor):
    images = np.arange(7, dtype=np.uint8)[:, None, None, None] + np.zeros(
        (7, 4, 2, 1), np.uint8
    )
    picture = grids.grid(images, columns=3).repeat(factor, 0).repeat(factor, 1)
    height, width = picture.shape[:2]
    seen = {
        grids.number_at(x, y, picture.shape, (4, 2, 1), 3): picture[y, x, 0]
        for y in range(height)
        for x in range(width)
        if picture[y, x, 0] != 128
    }
    assert seen == {number: number for number in range(7)}
    # Beyond the last column is still the last.
    assert grids.number_at(width, 0, picture.shape, (4, 2, 1), 3) == 2
