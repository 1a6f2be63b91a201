"""The kernel distance: a double loop, and what an unbiased estimate must do."""

import math

import numpy as np
import pytest

from keras_gan.metrics import KernelDistance, kernel_distance, squared_mmd


def direct_squared_mmd(first, second):
    """Equation by equation, pair by pair."""

    def kernel(x, y):
        return (sum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1) ** 3

    def within(rows):
        total = sum(
            kernel(x, y)
            for i, x in enumerate(rows)
            for j, y in enumerate(rows)
            if i != j
        )
        return total / (len(rows) * (len(rows) - 1))

    across = sum(kernel(x, y) for x in first for y in second)
    return within(first) + within(second) - 2 * across / (len(first) * len(second))


def gaussian(count, dimensions=8, mean=0.0, seed=0):
    return np.random.default_rng(seed).normal(mean, size=(count, dimensions))


def test_squared_mmd_is_the_double_loop():
    for counts, mean in (
        ((2, 2), 0.0),
        ((13, 17), 0.0),
        ((17, 13), 1.0),
        ((20, 20), -0.5),
    ):
        first, second = gaussian(counts[0], 5), gaussian(counts[1], 5, mean, seed=1)
        expected = direct_squared_mmd(first.tolist(), second.tolist())
        for block_size in (1, 7, 1000):
            value = squared_mmd(first, second, block_size=block_size)
            assert isinstance(value, float)
            assert value == pytest.approx(expected, rel=1e-11, abs=1e-11)
        # Of images, too, and the other way round.
        swapped = squared_mmd(second.reshape(-1, 5, 1), first.reshape(-1, 5, 1))
        assert swapped == pytest.approx(expected, rel=1e-11, abs=1e-11)


def test_squared_mmd_by_hand():
    """One feature: k(0, .) = 1, k(1, 1) = 8, k(-1, 1) = 0."""
    first, second = np.array([[0.0], [1.0]]), np.array([[-1.0], [1.0]])
    # 1 + 0 - 2 (k(0, -1) + k(0, 1) + k(1, -1) + k(1, 1)) / 4 = 1 - 2 * 10 / 4.
    assert squared_mmd(first, second) == pytest.approx(-4.0, rel=1e-14)


def test_kernel_distance_is_the_mean_over_disjoint_subsets():
    first, second = gaussian(47), gaussian(35, mean=0.5, seed=1)
    result = kernel_distance(first, second, subset_size=10, seed=3)
    rng = np.random.default_rng(3)
    deals = rng.permutation(47)[:30], rng.permutation(35)[:30]
    estimates = [
        direct_squared_mmd(
            first[deals[0][part]].tolist(), second[deals[1][part]].tolist()
        )
        for part in (slice(0, 10), slice(10, 20), slice(20, 30))
    ]
    assert result.num_subsets == 3 and result.subset_size == 10
    assert result.distance == pytest.approx(np.mean(estimates), rel=1e-10)
    assert result.standard_error == pytest.approx(
        np.std(estimates, ddof=1) / math.sqrt(3), rel=1e-10
    )
    assert kernel_distance(first, second, subset_size=10, seed=3) == result
    assert kernel_distance(first, second, subset_size=10, seed=4) != result


def test_a_set_smaller_than_a_subset_is_one_subset():
    first, second = gaussian(30), gaussian(30, mean=0.5, seed=1)
    result = kernel_distance(first, second, subset_size=1000)
    assert (result.num_subsets, result.subset_size) == (1, 30)
    assert math.isnan(result.standard_error)
    assert result.distance == pytest.approx(squared_mmd(first, second), rel=1e-10)
    wider = kernel_distance(first, gaussian(500, seed=1), subset_size=1000)
    assert (wider.num_subsets, wider.subset_size) == (1, 30)


def test_halves_of_one_gaussian_are_at_zero_on_either_side():
    results = [
        kernel_distance(*np.split(gaussian(4000, 16, seed=seed), 2), subset_size=100)
        for seed in range(10)
    ]
    assert {result.num_subsets for result in results} == {20}
    scores = np.array([r.distance / r.standard_error for r in results])
    assert (np.abs(scores) < 4).all()
    # Unbiased: clamped at 0 or with the diagonals kept, none would be negative.
    assert (scores < 0).any() and (scores > 0).any()
    # Their mean's own standard error is .32.
    assert abs(scores.mean()) < 1.3


def test_the_subsets_spread_as_the_standard_error_says():
    """Means over 10 disjoint subsets, on 60 fresh pairs of sets."""
    results = [
        kernel_distance(
            gaussian(300, 4, seed=2 * seed), gaussian(300, 4, seed=2 * seed + 1), 30
        )
        for seed in range(60)
    ]
    spread = np.std([r.distance for r in results], ddof=1)
    claimed = np.sqrt(np.mean([r.standard_error**2 for r in results]))
    # Either is known to about 10%.
    assert 0.65 < claimed / spread < 1.5


def test_a_shifted_mean_is_at_a_positive_distance_that_grows():
    first = gaussian(2000, 16)
    distances = [
        kernel_distance(first, gaussian(2000, 16, mean, seed=1), subset_size=200)
        for mean in (0.0, 0.25, 0.5, 1.0)
    ]
    for nearer, farther in zip(distances, distances[1:], strict=False):
        assert farther.distance > nearer.distance + 4 * farther.standard_error
    assert isinstance(distances[0], KernelDistance)


def test_the_distance_does_not_depend_on_the_number_of_examples():
    """Unlike a biased estimate: mean over 150 small sets against one large."""
    shifted = [
        squared_mmd(gaussian(20, 4, seed=2 * i), gaussian(20, 4, 0.5, seed=2 * i + 1))
        for i in range(150)
    ]
    large = squared_mmd(gaussian(3000, 4), gaussian(3000, 4, 0.5, seed=1))
    error = np.std(shifted, ddof=1) / np.sqrt(150)
    assert abs(np.mean(shifted) - large) < 4 * error
    assert large > 8 * error


@pytest.mark.parametrize("function", [squared_mmd, kernel_distance])
def test_wrong_sets_are_refused_in_one_line(function):
    broken = gaussian(4)
    broken[1, 0], broken[3, 2] = np.nan, -np.inf
    for sets, message in (
        (
            (gaussian(4, 3), gaussian(4, 2)),
            "Expected first and second of one shape (N, ...), N >= 1, none empty. "
            "Received: (4, 3) and (4, 2)",
        ),
        (
            (gaussian(4, 3), np.zeros((0, 3))),
            "Expected first and second of one shape (N, ...), N >= 1, none empty. "
            "Received: (4, 3) and (0, 3)",
        ),
        (
            (gaussian(4, 3), gaussian(1, 3)),
            "Expected at least 2 examples in each set. Received: 1",
        ),
        (
            (gaussian(4), broken),
            "Expected finite second. Received: NaN or infinity in 2 of 4",
        ),
    ):
        with pytest.raises(ValueError) as error:
            function(*sets)
        assert str(error.value) == message


def test_wrong_sizes_are_refused():
    for size in (1, 0, -3, 2.5):
        with pytest.raises(ValueError, match=f"^Expected `subset_size`.*: {size}$"):
            kernel_distance(gaussian(4), gaussian(4), subset_size=size)
    with pytest.raises(ValueError, match="^Expected `block_size`.*: 0$"):
        squared_mmd(gaussian(4), gaussian(4), block_size=0)
