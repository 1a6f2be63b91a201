"""Plots: that they show the samples that they are given."""

import warnings

import numpy as np
import pytest

from keras_gan.pictures import plots


def normal(count, dimensions, mean=0.0, seed=0):
    return np.random.default_rng(seed).normal(mean, 1.0, (count, dimensions))


def greenish(picture):
    """Where a sample is drawn, through the scatter plot's transparency as well."""
    red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
    return (green - red > 30) & (green - blue > 30)


def share_of_grey(picture):
    """The share of pixels in the greys, .7 and .8, that data are drawn in."""
    grey = (picture == picture[:, :, :1]).all(axis=-1)
    return (grey & (picture[:, :, 0] > 174) & (picture[:, :, 0] < 206)).mean()


@pytest.mark.parametrize("dimensions", [1, 2])
def test_plot_is_a_square_picture_of_its_samples(dimensions):
    data = normal(300, dimensions)
    first = plots.sample_plot(normal(300, dimensions, seed=1), data)
    assert first.shape == (480, 480, 3) and first.dtype == np.uint8
    again = plots.sample_plot(normal(300, dimensions, seed=1), data)
    np.testing.assert_array_equal(again, first)
    # Samples in green, data in grey; without data no grey area.
    assert 0.001 < greenish(first).mean() < 0.5
    alone = plots.sample_plot(normal(300, dimensions, seed=1))
    assert share_of_grey(first) > 5 * share_of_grey(alone)
    # The axes follow the data, so samples that move are seen to move: by one of about
    # nine units that are shown.
    moved = plots.sample_plot(normal(300, dimensions, mean=1.0, seed=1), data)
    columns = [np.nonzero(greenish(x))[1].mean() for x in (first, moved)]
    assert columns[1] > columns[0] + 15


def test_plot_has_the_side_that_is_asked_for():
    for side in (201, 230, 402):
        # 230 / 100 * 100 is 229.99999999999997 in floating point.
        picture = plots.sample_plot(normal(10, 2), side=side)
        assert picture.shape == (side, side, 3)


@pytest.mark.parametrize("dimensions", [1, 2])
def test_samples_far_from_the_data_can_be_plotted(dimensions):
    """A generator at its start, or one that collapsed: no sample in the frame."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = plots.sample_plot(
            normal(50, dimensions, mean=1000.0), normal(50, dimensions)
        )
    assert picture.shape == (480, 480, 3)


def test_a_histogram_shows_the_density_of_all_samples():
    """Half of the samples fall outside of the frame: the other half is half as high.

    The data is uniform, so that samples of the same law fill the same height.
    """
    data = np.random.default_rng(0).uniform(0, 1, (100_000, 1))
    inside = np.random.default_rng(1).uniform(0, 1, (100_000, 1))
    samples = np.concatenate([inside, inside + 1000.0])

    def height(picture):
        """Rows between the plateau of the samples' outline and the axis."""
        columns = slice(200, 280)
        row = np.argmax(greenish(picture[:, columns]).sum(axis=1))
        grey = (picture[:, columns] == 204).all(axis=-1)
        bottom = np.nonzero(grey.any(axis=1))[0].max()
        return bottom - row

    whole = height(plots.sample_plot(inside, data))
    half = height(plots.sample_plot(samples, data))
    assert whole > 200
    assert half == pytest.approx(whole / 2, rel=0.1)


def test_samples_all_equal_can_be_plotted():
    for dimensions in (1, 2):
        picture = plots.sample_plot(np.full((20, dimensions), 3.0))
        assert greenish(picture).any()


def test_long_vectors_show_their_first_two_values():
    samples = np.random.default_rng(0).normal(size=(50, 6))
    picture = plots.sample_plot(samples, samples)
    assert greenish(picture).any()
    changed = samples.copy()
    changed[:, 2:] += 1.0
    assert np.array_equal(plots.sample_plot(changed, changed), picture)
    changed[:, 1] *= -1
    assert not np.array_equal(plots.sample_plot(changed, changed), picture)


@pytest.mark.parametrize("features", [1, 3, 6])
def test_series_are_lines(features):
    rng = np.random.default_rng(0)
    samples, data = np.cumsum(rng.normal(size=(2, 20, 30, features)), axis=2)
    picture = plots.series_plot(samples, data, count=3)
    assert picture.shape == (480, 480, 3) and greenish(picture).any()
    # The first three are drawn, and of more than four features the first four.
    changed = samples.copy()
    changed[3:], changed[:, :, 4:] = 0, 0
    assert np.array_equal(plots.series_plot(changed, data, count=3), picture)
    changed[2, :, 0] = 0
    assert not np.array_equal(plots.series_plot(changed, data, count=3), picture)
    assert greenish(plots.series_plot(samples)).any()
    for wrong in (samples[0], samples[:0], samples[..., None]):
        with pytest.raises(ValueError, match=r"^Expected samples \(N, T, F\)"):
            plots.series_plot(wrong)


def test_plot_refuses_samples_of_another_shape():
    for shape in ((0, 3), (5,), (5, 2, 1)):
        with pytest.raises(ValueError, match=r"^Expected samples \(N, D\)") as error:
            plots.sample_plot(np.zeros(shape))
        assert str(shape) in str(error.value) and "\n" not in str(error.value)


def test_plot_refuses_examples_of_another_width():
    for samples, examples in (((5, 1), (5, 2)), ((5, 2), (5, 1))):
        with pytest.raises(ValueError, match="^Expected "):
            plots.sample_plot(np.zeros(samples), np.zeros(examples))
