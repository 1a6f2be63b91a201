"""Coverage of modes and of classes: counts by hand, entropies of SciPy."""

import math

import numpy as np
import pytest
import scipy.stats
import tensorflow_probability as tfp

from keras_gan import datasets
from keras_gan.metrics import class_coverage, mode_coverage, modes_of

tfd = tfp.distributions

SQUARE = np.array([[0.0, 0.0], [0.0, 10.0], [10.0, 0.0], [10.0, 10.0]])


# === Modes ===


def test_modes_are_counted_by_hand():
    samples = np.array(
        [
            [0.0, 0.0],
            [1.5, 0.0],  # on the surface, 3 * .5
            [1.5001, 0.0],
            [0.9, 9.1],  # 1.273 from (0, 10)
            [1.2, 11.2],  # 1.697, though either coordinate is within 1.5
            [10.0, 0.0],
            [5.0, 5.0],
            [-900.0, 0.0],
        ]
    )
    result = mode_coverage(samples, SQUARE, scale=0.5)
    np.testing.assert_array_equal(result.counts, [2, 1, 1, 0])
    assert (result.modes_covered, result.num_modes) == (3, 4)
    assert result.high_quality_share == 4 / 8
    assert result.reverse_kl == pytest.approx(
        scipy.stats.entropy([2, 1, 1, 0], [1, 1, 1, 1]), rel=1e-12
    )
    # (1.5001, 0) and (1.2, 11.2) come in at 1.7, the centre of the square at 7.08.
    assert mode_coverage(samples, SQUARE, 0.5, within=3.4).high_quality_share == 6 / 8
    assert mode_coverage(samples, SQUARE, 0.5, within=14.2).high_quality_share == 7 / 8


def test_reverse_kl_is_zero_when_even_and_log_m_in_one_mode():
    even = mode_coverage(np.repeat(SQUARE, 5, axis=0), SQUARE, 1.0)
    assert even.reverse_kl == 0.0 and even.modes_covered == 4
    collapsed = mode_coverage(np.repeat(SQUARE[2:3], 20, axis=0), SQUARE, 1.0)
    assert collapsed.reverse_kl == pytest.approx(math.log(4), rel=1e-15)
    np.testing.assert_array_equal(collapsed.counts, [0, 0, 20, 0])
    nothing = mode_coverage(SQUARE + 5.0, SQUARE, 1.0)
    assert math.isnan(nothing.reverse_kl)
    assert (nothing.modes_covered, nothing.high_quality_share) == (0, 0.0)


def test_a_sample_within_reach_of_two_modes_counts_once_at_the_nearest():
    result = mode_coverage([[4.0, 0.0], [6.0, 0.0], [5.5, 0.0]], SQUARE, scale=3.0)
    np.testing.assert_array_equal(result.counts, [1, 0, 2, 0])


@pytest.mark.parametrize("name, num_modes", [("ring8", 8), ("grid25", 25)])
def test_the_toy_data_cover_their_own_modes(name, num_modes):
    data = datasets.load(name, "test")
    modes, scale = modes_of(data.distribution)
    result = mode_coverage(data.images, modes, scale)
    assert result.modes_covered == result.num_modes == num_modes
    # Rayleigh: P(r <= 3) = 1 - exp(-9 / 2), of 10,000.
    expected = 1 - math.exp(-4.5)
    error = math.sqrt(expected * (1 - expected) / 10_000)
    assert abs(result.high_quality_share - expected) < 4 * error
    # 2 N KL is chi-squared with M - 1 degrees of freedom.
    assert 2 * result.counts.sum() * result.reverse_kl < scipy.stats.chi2.ppf(
        0.9999, num_modes - 1
    )
    # Those nearest to the first mode alone, as a collapsed generator has them.
    near = np.linalg.norm(data.images - modes[0], axis=1) < 0.2
    collapsed = mode_coverage(data.images[near], modes, scale)
    assert collapsed.modes_covered == 1
    assert collapsed.reverse_kl == pytest.approx(math.log(num_modes), rel=1e-12)


def test_modes_of_the_toy_data():
    modes, scale = modes_of(datasets.load("ring8", "test").distribution)
    angles = np.arange(8) * np.pi / 4
    assert modes.dtype == np.float64 and modes.shape == (8, 2)
    np.testing.assert_allclose(
        modes, np.stack([np.cos(angles), np.sin(angles)], 1), atol=1e-7
    )
    assert scale == pytest.approx(0.01, rel=1e-6)
    modes, scale = modes_of(datasets.load("grid25", "test").distribution)
    assert {tuple(mode) for mode in modes} == {
        (x, y) for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)
    }
    assert scale == pytest.approx(0.05, rel=1e-6)
    modes, scale = modes_of(datasets.load("gaussian1d", "test").distribution)
    np.testing.assert_array_equal(modes, [[2.0]])
    assert scale == pytest.approx(0.5, rel=1e-6)


def test_modes_of_anything_else_is_refused():
    def mixture(components, weights=(0.5, 0.5)):
        return tfd.MixtureSameFamily(tfd.Categorical(probs=list(weights)), components)

    means = np.float64([[0.0, 0.0], [1.0, 1.0]])
    correlated = np.float64([[1.0, 0.0], [0.5, math.sqrt(0.75)]])
    start = (
        "Expected a MixtureSameFamily of equally weighted Gaussians with one isotropic "
        "covariance. Received: "
    )
    differ = "covariances that differ along axes or between components"
    for distribution, received in (
        (tfd.Normal(0.0, 1.0), "Normal"),
        (
            mixture(tfd.Independent(tfd.Normal(np.float32(means), 1.0), 1)),
            "components Independent",
        ),
        (mixture(tfd.MultivariateNormalDiag(means, [[1.0, 2.0]] * 2)), differ),
        (mixture(tfd.MultivariateNormalDiag(means, [[1.0, 1.0], [2.0, 2.0]])), differ),
        # Each variance is 1.
        (mixture(tfd.MultivariateNormalTriL(means, correlated)), differ),
        (
            mixture(tfd.MultivariateNormalDiag(means, np.ones((2, 2))), (0.25, 0.75)),
            "weights from 0.25 to 0.75",
        ),
    ):
        with pytest.raises(ValueError) as error:
            modes_of(distribution)
        assert str(error.value) == start + received
    # One scale without a batch of its own is no mistake.
    modes, scale = modes_of(mixture(tfd.MultivariateNormalDiag(means, [0.3, 0.3])))
    np.testing.assert_array_equal(modes, means)
    assert scale == pytest.approx(0.3, rel=1e-12)


def test_mode_coverage_refuses_what_it_cannot_count():
    for arguments, message in (
        (
            (np.zeros((3, 1)), SQUARE, 1.0),
            "Expected samples and modes of one shape (N, ...), N >= 1, none empty. "
            "Received: (3, 1) and (4, 2)",
        ),
        (
            (np.zeros((0, 2)), SQUARE, 1.0),
            "Expected samples and modes of one shape (N, ...), N >= 1, none empty. "
            "Received: (0, 2) and (4, 2)",
        ),
        (
            ([[0.0, np.nan]], SQUARE, 1.0),
            "Expected finite samples. Received: NaN or infinity in 1 of 1",
        ),
        ((SQUARE, SQUARE, 0.0), "Expected scale > 0 and finite. Received: 0.0"),
        ((SQUARE, SQUARE, 1.0, -3), "Expected within > 0 and finite. Received: -3"),
    ):
        with pytest.raises(ValueError) as error:
            mode_coverage(*arguments)
        assert str(error.value) == message


# === Classes ===


def test_classes_are_counted_by_hand():
    result = class_coverage([3, 3, 1, 0, 3, 1, 3, 3], num_classes=5)
    np.testing.assert_array_equal(result.shares, [1 / 8, 2 / 8, 0, 5 / 8, 0])
    assert (result.classes_covered, result.num_classes) == (3, 5)
    assert result.kl_divergence == pytest.approx(
        scipy.stats.entropy([1, 2, 0, 5, 0], np.ones(5)), rel=1e-12
    )


def test_class_coverage_against_given_shares():
    labels, shares = np.repeat([0, 1, 2], [2, 3, 5]), [0.5, 0.25, 0.25]
    result = class_coverage(labels, 3, reference_shares=shares)
    expected = scipy.stats.entropy([0.2, 0.3, 0.5], shares)
    assert result.kl_divergence == pytest.approx(expected, rel=1e-12)
    assert class_coverage(labels, 3, [0.2, 0.3, 0.5]).kl_divergence == pytest.approx(
        0.0, abs=1e-15
    )
    # A class that the data never show, and one that the samples never show.
    assert class_coverage(labels, 3, [0.5, 0.5, 0.0]).kl_divergence == math.inf
    without = class_coverage(np.repeat([0, 1], 5), 3, shares)
    assert without.kl_divergence == pytest.approx(
        0.5 * math.log(0.5 / 0.5) + 0.5 * math.log(0.5 / 0.25), rel=1e-12
    )
    assert without.classes_covered == 2


def test_the_helvetica_scenario_is_log_m_nats_from_even():
    result = class_coverage(np.full(1000, 7), num_classes=10)
    assert result.classes_covered == 1
    assert result.kl_divergence == pytest.approx(math.log(10), rel=1e-14)
    even = class_coverage(np.arange(1000) % 10, num_classes=10)
    assert even.classes_covered == 10 and even.kl_divergence == 0.0


def test_class_coverage_refuses_what_it_cannot_count():
    integer = "Expected integer labels (N,), N >= 1. Received: "
    for arguments, message in (
        (([0.0, 1.0], 2), integer + "float64 of shape (2,)"),
        ((np.zeros((2, 1), int), 2), integer + "int64 of shape (2, 1)"),
        ((np.zeros(0, int), 2), integer + "int64 of shape (0,)"),
        (([0, 2], 2), "Expected labels in [0, 2). Received: 0 to 2"),
        (([-1, 1], 2), "Expected labels in [0, 2). Received: -1 to 1"),
        (([0], 0), "Expected `num_classes` to be an int >= 1. Received: 0"),
        (
            ([0, 1], 2, [0.3, 0.3]),
            "Expected 2 reference shares >= 0 that sum to 1. Received: shape (2,), sum "
            "0.6, least 0.3",
        ),
        (
            ([0, 1], 2, [1.5, -0.5]),
            "Expected 2 reference shares >= 0 that sum to 1. Received: shape (2,), sum "
            "1, least -0.5",
        ),
        (
            ([0, 1], 2, [1.0]),
            "Expected 2 reference shares >= 0 that sum to 1. Received: shape (1,), sum "
            "1, least 1",
        ),
    ):
        with pytest.raises(ValueError) as error:
            class_coverage(*arguments)
        assert str(error.value) == message
