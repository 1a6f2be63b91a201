"""Figure 3: straight lines in the space of z, a row for each."""

import numpy as np
import pytest

from keras_gan.pictures import figure_three
from keras_gan.samples import SampleSpec, to_uint8
from tests import helpers


def test_interpolation_goes_straight_from_end_to_end():
    gan = helpers.tiny_gan()
    rng = np.random.default_rng(0)
    start, end = rng.normal(size=(2, 4, 3)).astype(np.float32)
    lines = figure_three.interpolation(gan, start, end, steps=5)
    assert lines.shape == (4, 5, 4) and lines.dtype == np.float32
    for step, latents in ((0, start), (4, end), (2, (start + end) / 2),
                          (1, 0.75 * start + 0.25 * end)):  # fmt: skip
        np.testing.assert_allclose(lines[:, step], gan.generator(latents), atol=1e-6)
    for wrong in ((start, end[:3], 5), (start[:, :2], end[:, :2], 5), (start, end, 1)):
        with pytest.raises(ValueError, match=r"start and end of shape \(None, 3\)"):
            figure_three.interpolation(gan, *wrong)


def test_figure_3_is_a_row_for_each_line():
    lines = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, 5, 1))
    picture = figure_three.figure_3(lines, SampleSpec.of((4, 5, 1), (-1.0, 1.0)))
    pixels = picture[:: 960 // 19, :: 960 // 19]
    assert pixels.shape == (11, 19, 1)
    for row, column in ((0, 0), (0, 2), (1, 1)):
        np.testing.assert_array_equal(
            pixels[1 + 5 * row : 5 + 5 * row, 1 + 6 * column : 6 + 6 * column],
            to_uint8(lines[row, column], (-1.0, 1.0)),
        )


def test_figure_3_takes_images():
    with pytest.raises(ValueError, match=r"images. Received: a series, shape \(4, 5\)"):
        figure_three.figure_3(np.zeros((2, 3, 4, 5)), SampleSpec.of((4, 5)))
