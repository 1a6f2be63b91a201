"""Figure 2: the nearest examples against scikit-learn, and where each is put."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

import keras_gan
from keras_gan.pictures import figure_two
from keras_gan.samples import SampleSpec, to_uint8


@pytest.mark.parametrize("block", [1, 100, 4096])
def test_nearest_examples_are_those_of_scikit_learn(block):
    data = keras_gan.datasets.load("digits", "train")
    rng = np.random.default_rng(0)
    samples = rng.random((20, 8, 8, 1), np.float32)
    samples[3] = data.examples([500])[0]
    indices, distances = figure_two.nearest_examples(samples, data, block)
    search = NearestNeighbors(n_neighbors=1, algorithm="brute")
    search.fit(data.examples().reshape(len(data), -1).astype(np.float64))
    expected, rows = search.kneighbors(samples.reshape(20, -1).astype(np.float64))
    np.testing.assert_array_equal(indices, rows[:, 0])
    np.testing.assert_allclose(distances, expected[:, 0], atol=1e-6)
    assert indices.dtype == np.int64 and distances[3] == 0


def test_of_equally_near_examples_the_first_counts():
    pixels = np.zeros((6, 2, 2, 1), np.uint8)
    pixels[[0, 1]] = 255
    data = keras_gan.datasets.Dataset(pixels)
    for block in (1, 3, 6):
        indices, distances = figure_two.nearest_examples(
            np.zeros((1, 2, 2, 1)), data, block
        )
        assert (indices[0], distances[0]) == (2, 0.0)
    with pytest.raises(ValueError, match=r"shape \(None, 2, 2, 1\)"):
        figure_two.nearest_examples(np.zeros((1, 3, 2, 1)), data)


@pytest.mark.parametrize("channels", [1, 3])
def test_figure_2_puts_the_nearest_beside_the_last_column(channels):
    rng = np.random.default_rng(0)
    samples = rng.uniform(-1, 1, (6, 4, 5, channels))
    nearest = rng.uniform(-1, 1, (2, 4, 5, channels))
    spec = SampleSpec.of((4, 5, channels), (-1.0, 1.0))
    picture = figure_two.figure_2(samples, nearest, spec, columns=3)
    # 3 columns of 6 pixels, a margin, a gap of 2, and a column with two margins.
    assert picture.shape[1] % (19 + 2 + 7) == 0 and picture.shape[2] == 3
    factor = picture.shape[1] // 28
    assert factor == 640 // 28 and picture.shape[0] == 11 * factor
    pixels = picture[::factor, ::factor]
    for row in range(2):
        rows = slice(1 + 5 * row, 5 + 5 * row)
        cells = [slice(1 + 6 * column, 6 + 6 * column) for column in range(3)]
        tiles = [*samples[3 * row : 3 * row + 3], nearest[row]]
        for columns, tile in zip([*cells, slice(22, 27)], tiles, strict=True):
            expected = to_uint8(tile, (-1.0, 1.0))
            np.testing.assert_array_equal(
                pixels[rows, columns], np.broadcast_to(expected, (4, 5, 3))
            )
    for frame in (pixels[:, 21], pixels[:, 27], pixels[0, 21:], pixels[5, 21:]):
        assert (frame == (255, 214, 0)).all()
    assert (pixels[:, 19:21] == 255).all() and (pixels[:, 18] == 128).all()
    with pytest.raises(ValueError, match="Expected 4 samples for each nearest"):
        figure_two.figure_2(samples, nearest, spec, columns=4)


def test_figure_2_takes_images():
    points = np.zeros((6, 2))
    with pytest.raises(ValueError, match=r"images. Received: a vector, shape \(2,\)"):
        figure_two.figure_2(points, points[:1], SampleSpec.of((2,)), columns=6)
