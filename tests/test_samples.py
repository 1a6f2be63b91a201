"""The map between scales: linear, rounded to the nearest level, clipped."""

import numpy as np
import pytest

from keras_gan.samples import check_value_range, to_uint8, to_unit


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
