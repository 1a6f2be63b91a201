"""Attributes of images: strokes whose width and slant are known."""

import numpy as np
import pytest

from keras_gan import inference
from keras_gan.samples import SampleSpec

GREY = SampleSpec((40, 40, 1), "image", (-1, 1))
COLOURS = SampleSpec((4, 6, 3), "image", (0, 1))


def stroke(width, slant=0.0, height=30, level=1.0):
    """An image of a stroke in (-1, 1), which leans to the right."""
    image = np.full((40, 40, 1), -1.0, np.float32)
    for row in range(height):
        left = round(12 + slant * (height / 2 - row))
        image[5 + row, left : left + width] = 2 * level - 1
    return image


def attributes(*images, spec=GREY):
    return inference.attributes_of(np.stack(images), spec)


def test_thickness_is_the_width_of_a_stroke_in_pixels():
    found = attributes(*map(stroke, (2, 4, 8)))["thickness"]
    # The ends of the stroke are outline, too: w h / (w + h) and not w.
    expected = [w * 30 / (w + 30) for w in (2, 4, 8)]
    np.testing.assert_allclose(found, expected, rtol=0.03)
    # A pale stroke is as thick as a bright one.
    pale = attributes(stroke(4, level=0.5))["thickness"]
    np.testing.assert_allclose(pale, found[1], rtol=1e-6)


def test_slant_is_to_the_right_for_each_pixel_upwards():
    found = attributes(*(stroke(4, slant) for slant in (-0.5, 0.0, 0.5)))["slant"]
    np.testing.assert_allclose(found, [-0.5, 0.0, 0.5], atol=0.02)


def test_width_is_that_of_the_upright_figure():
    found = attributes(stroke(3), stroke(12), stroke(12, 0.5))["width"]
    # Twice the standard deviation of equally many whole columns.
    expected = [2 * np.sqrt((w**2 - 1) / 12) for w in (3, 12, 12)]
    np.testing.assert_allclose(found, expected, rtol=0.02)


def test_brightness_contrast_and_warmth_of_colours():
    image = np.zeros((4, 6, 3), np.float32)
    image[:, :3] = (1.0, 0.5, 0.0)
    found = attributes(image, spec=COLOURS)
    assert list(found) == ["brightness", "contrast", "warmth"]
    assert found["brightness"] == pytest.approx(0.25)
    assert found["contrast"] == pytest.approx(0.25)
    assert found["warmth"] == pytest.approx(0.5)


def test_images_of_one_level_have_finite_attributes():
    for level in (-1.0, 0.3, 1.0):
        found = attributes(np.full((40, 40, 1), level, np.float32))
        assert list(found) == ["thickness", "slant", "width", "brightness"]
        assert all(np.isfinite(values).all() for values in found.values())
        assert found["slant"] == pytest.approx(0.0, abs=1e-9)
