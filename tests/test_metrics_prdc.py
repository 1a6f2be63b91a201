"""Precision, recall, density, coverage: scikit-learn's neighbours, and by hand."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from keras_gan.metrics import prdc


def scores(result):
    return result.precision, result.recall, result.density, result.coverage


def direct(real, fake, nearest_k):
    """All distances at once, radii of scikit-learn."""

    def radii(rows):
        # Without an argument, kneighbors leaves each example itself out.
        tree = NearestNeighbors(n_neighbors=nearest_k, algorithm="brute").fit(rows)
        return tree.kneighbors()[0][:, -1]

    distances = pairwise_distances(real, fake)
    in_real = distances <= radii(real)[:, None]
    in_fake = distances <= radii(fake)[None, :]
    return (
        in_real.any(axis=0).mean(),
        in_fake.any(axis=1).mean(),
        in_real.sum() / (nearest_k * len(fake)),
        in_real.any(axis=1).mean(),
    )


def test_random_sets_are_scored_as_by_all_pairs():
    seen = []
    for seed, (counts, nearest_k, shift, scale) in enumerate(
        (
            ((60, 60), 5, 0.0, 1.0),
            ((50, 83), 3, 0.5, 0.7),
            ((83, 50), 1, 0.3, 1.3),
            ((30, 6), 5, 0.0, 0.5),
            ((70, 40), 10, 1.0, 1.0),
        )
    ):
        rng = np.random.default_rng(seed)
        real = 100 + rng.normal(size=(counts[0], 6))
        fake = 100 + shift + scale * rng.normal(size=(counts[1], 6))
        expected = direct(real, fake, nearest_k)
        seen.append(expected)
        # Blocks of one, and of fewer candidates than neighbours are sought.
        for block_size in (7, 30, 1000) if counts[1] > 6 else (1, 2, 6):
            result = prdc(real, fake, nearest_k, block_size=block_size)
            np.testing.assert_allclose(scores(result), expected, rtol=1e-13)
        assert result.nearest_k == nearest_k
        assert all(type(score) is float for score in scores(result))
    # The cases tell the four apart.
    for values in np.transpose(seen):
        assert len(set(values)) > 3
    assert all(len(set(values)) == 4 for values in seen[1:])


def test_points_on_a_line_by_hand():
    """k = 1: real radii 1, 1, 7, and fake radii .5, .5, 17."""
    real = np.array([[0.0], [1.0], [8.0]])
    fake = np.array([[1.5], [2.0], [19.0]])
    # 1.5 is in the balls of 1 and 8, [1, 15]; 2 in those of 1, [0, 2], on its surface,
    # and of 8; 19 in none.
    # Fake balls [1, 2], [1.5, 2.5], [2, 36]: 1 and 8 are inside, 0 is not.
    result = prdc(real, fake, nearest_k=1)
    assert scores(result) == pytest.approx((2 / 3, 2 / 3, 4 / 3, 2 / 3), rel=1e-15)


def test_neighbours_on_a_grid_are_ties():
    """The 4 corners of a unit square against its centre and beyond: all is on surfaces.

    Distances to the 2 nearest corners are 1, the diagonal is sqrt(2).
    """
    square = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    moved = square + [1.0, 0.0]
    for offset in (0.0, 0.1, 1e3 + 0.1):
        for nearest_k in (1, 2):
            result = prdc(square + offset, moved + offset, nearest_k)
            # Two points are shared; (2, y) is on the surface of (1, y)'s ball. Of each
            # moved point at x = 1: its own ball, (0, y)'s and (1, 1 - y)'s; of each at
            # x = 2: (1, y)'s.
            expected = (1.0, 1.0, 8 / (4 * nearest_k), 1.0)
            assert scores(result) == pytest.approx(expected, rel=1e-13)
        # k = 3: radius sqrt(2), all but the 2-by-1 diagonals and 2-by-0 sides.
        result = prdc(square + offset, moved + offset, 3)
        assert scores(result) == pytest.approx((1.0, 1.0, 12 / 12, 1.0), rel=1e-13)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_a_set_against_its_copy(offset):
    """Each ball holds its centre's copy and, without ties, k neighbours' copies."""
    rows = offset + np.random.default_rng(0).normal(size=(40, 7))
    for nearest_k in (1, 5):
        result = prdc(rows, rows[::-1].copy(), nearest_k, block_size=9)
        expected = (1.0, 1.0, 1 + 1 / nearest_k, 1.0)
        assert scores(result) == pytest.approx(expected, rel=1e-13)


def test_duplicates_have_balls_of_radius_zero_that_hold_their_equals():
    """Products leave some 1e-13 of a distance of 0; it must not open or shut a ball."""
    rng = np.random.default_rng(0)
    base = 3.0 + rng.normal(size=(10, 50))
    real = np.repeat(base, 4, axis=0)
    # With 3 equals each, k = 3 reaches nothing else.
    same = prdc(real, base[rng.permutation(np.repeat(np.arange(10), 5))], 3)
    assert scores(same) == pytest.approx((1.0, 1.0, 4 / 3, 1.0), rel=1e-13)
    others = prdc(real, np.repeat(3.0 + rng.normal(size=(10, 50)), 4, axis=0), 3)
    assert scores(others) == (0.0, 0.0, 0.0, 0.0)
    # A step of 1e-5 along one axis is seen, by real balls and by fake ones.
    moved = real.copy()
    moved[:, 0] += 1e-5
    assert scores(prdc(real, moved, 3)) == (0.0, 0.0, 0.0, 0.0)
    half = np.concatenate([real[:20], 100 + real[20:]])
    result = prdc(real, half, 3)
    assert scores(result) == pytest.approx((0.5, 0.5, 4 * 0.5 / 3, 0.5), rel=1e-13)
    # All examples are one.
    result = prdc(np.ones((7, 3)), np.ones((6, 3)), 5)
    assert scores(result) == pytest.approx((1.0, 1.0, 7 / 5, 1.0), rel=1e-13)


def test_density_and_coverage_of_one_distribution():
    """Density is 1 in the mean; coverage 1 - prod_i (N - i) / (N + M - i), i = 1..k,
    for N, M examples (lemma 2 of Naeem et al.)."""
    nearest_k, count = 3, 300
    results = []
    for seed in range(12):
        first, second = np.random.default_rng(seed).normal(size=(2, count, 2))
        results.append(scores(prdc(first, second, nearest_k)))
    i = np.arange(1, nearest_k + 1)
    coverage = 1 - np.prod((count - i) / (2 * count - i))
    assert coverage == pytest.approx(1 - 0.5**nearest_k, abs=0.01)
    errors = np.std(results, axis=0, ddof=1) / np.sqrt(12)
    means = np.mean(results, axis=0)
    assert abs(means[2] - 1.0) < 4 * errors[2] < 0.2
    assert abs(means[3] - coverage) < 4 * errors[3] < 0.1


def test_an_outlier_gains_precision_not_density():
    """Figure 1 of Naeem et al.: one real outlier's ball takes in all samples."""
    rng = np.random.default_rng(0)
    real = np.concatenate([rng.normal(size=(99, 2)), [[60.0, 0.0]]])
    fake = np.array([30.0, 0.0]) + rng.normal(size=(100, 2))
    result = prdc(real, fake, 5)
    assert result.precision == 1.0 and result.coverage == 0.01
    assert result.density == pytest.approx(1 / 5)


def test_images_of_any_dtype_are_flattened():
    rng = np.random.default_rng(0)
    real, fake = rng.integers(0, 256, size=(2, 20, 4, 4, 1)).astype(np.uint8)
    expected = direct(real.reshape(20, 16) * 1.0, fake.reshape(20, 16) * 1.0, 3)
    assert scores(prdc(real, fake, 3)) == pytest.approx(expected, rel=1e-13)


def test_wrong_sets_are_refused_in_one_line():
    rows = np.random.default_rng(0).normal(size=(6, 3))
    broken = rows.copy()
    broken[2] = np.nan
    for arguments, message in (
        (
            (rows, rows[:, :2]),
            "Expected real and fake of one shape (N, ...), N >= 1, none empty. "
            "Received: (6, 3) and (6, 2)",
        ),
        (
            (rows, rows[:0]),
            "Expected real and fake of one shape (N, ...), N >= 1, none "
            "empty. Received: (6, 3) and (0, 3)",
        ),
        (
            (np.float64(3), rows),
            "Expected real and fake of one shape (N, ...), N >= 1, "
            "none empty. Received: () and (6, 3)",
        ),
        ((broken, rows), "Expected finite real. Received: NaN or infinity in 1 of 6"),
        (
            (rows, rows[:5]),
            "Expected more than nearest_k = 5 fake examples. Received: 5",
        ),
        (
            (rows[:5], rows),
            "Expected more than nearest_k = 5 real examples. Received: 5",
        ),
        ((rows, rows, 0), "Expected `nearest_k` to be an int >= 1. Received: 0"),
        ((rows, rows, 2.0), "Expected `nearest_k` to be an int >= 1. Received: 2.0"),
        ((rows, rows, 5, 0), "Expected `block_size` to be an int >= 1. Received: 0"),
    ):
        with pytest.raises(ValueError) as error:
            prdc(*arguments)
        assert str(error.value) == message
    result = prdc(rows, rows, 5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.recall = 0.0
