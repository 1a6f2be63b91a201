"""Metrics: NumPy, SciPy, scikit-learn and TFP as oracles; closed forms."""

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
import tensorflow_probability as tfp
from sklearn.neighbors import KernelDensity

from keras_gan.metrics import (
    PAPER_SIGMAS,
    Moments,
    frechet_distance,
    parzen_estimate,
    parzen_log_likelihood,
)

tfd = tfp.distributions


def normal(count, dimensions, seed=0, scale=1.0, mean=0.0):
    rng = np.random.default_rng(seed)
    # Correlated, so that covariances are full matrices.
    mixing = rng.normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)
    return mean + scale * rng.normal(size=(count, dimensions)) @ mixing


def moments_of(mean, covariance):
    """Moments that are exactly these: 2 D points along the covariance's root."""
    dimensions = len(mean)
    root = np.linalg.cholesky(np.asarray(covariance, np.float64))
    points = np.concatenate([root.T, -root.T]) * np.sqrt((2 * dimensions - 1) / 2)
    moments = Moments().update(points + np.asarray(mean))
    np.testing.assert_allclose(moments.covariance, covariance, rtol=1e-9, atol=1e-12)
    return moments


# === Moments ===


def test_streaming_moments_are_numpys_for_any_split():
    for split in (
        [200],
        [1] * 200,
        [1, 199],
        [199, 1],
        [7, 93, 100],
    ):
        features = normal(200, 5, mean=3.0)
        moments = Moments()
        for batch in np.split(features, np.cumsum(split)[:-1]):
            assert moments.update(batch) is moments
        assert moments.count == 200
        np.testing.assert_allclose(moments.mean, features.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(
            moments.covariance, np.cov(features, rowvar=False), rtol=1e-10, atol=1e-12
        )


def test_a_large_offset_costs_no_digits():
    """|x|^2 is 1e12 times the variance here: E x^2 - (E x)^2 would keep 4 digits."""
    small = np.round(normal(300, 4), 9)
    shifted = small + 1e6
    exact = np.cov(shifted - 1e6, rowvar=False)
    moments = Moments()
    for batch in np.array_split(shifted, 11):
        moments.update(batch)
    np.testing.assert_allclose(moments.covariance, exact, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(moments.mean - 1e6, small.mean(axis=0), atol=1e-8)


def test_images_are_flattened_and_float32_is_summed_in_float64():
    features = np.full((3, 2, 2, 1), 0.1, np.float32)
    features[0, 1, 0, 0] = 0.4
    moments = Moments().update(features)
    flat = features.reshape(3, 4).astype(np.float64)
    assert moments.mean.dtype == moments.covariance.dtype == np.float64
    np.testing.assert_allclose(moments.mean, flat.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(
        moments.covariance, np.cov(flat, rowvar=False), rtol=1e-12, atol=1e-16
    )
    single = Moments().update(features[:1])
    np.testing.assert_array_equal(single.covariance, np.zeros((4, 4)))


def test_wrong_features_are_refused_and_leave_the_moments_alone():
    moments = Moments().update(normal(10, 3))
    mean, covariance = moments.mean.copy(), moments.covariance.copy()
    broken = normal(4, 3)
    broken[1, 2], broken[3, 0] = np.nan, np.inf
    for features, message in (
        (normal(5, 2), "Expected 3 features. Received: 2"),
        (np.zeros((0, 3)), "Expected at least one example. Received: none"),
        (broken, "Expected finite features. Received NaN or infinity in 2 examples"),
    ):
        with pytest.raises(ValueError) as error:
            moments.update(features)
        assert str(error.value) == message
    assert moments.count == 10
    np.testing.assert_array_equal(moments.mean, mean)
    np.testing.assert_array_equal(moments.covariance, covariance)


def test_moments_tell_when_their_covariance_must_be_singular():
    moments = Moments()
    assert moments.rank_deficient
    features = normal(6, 5)
    assert moments.update(features[:5]).rank_deficient
    assert np.linalg.matrix_rank(moments.covariance) == 4
    assert not moments.update(features[5:]).rank_deficient
    assert np.linalg.matrix_rank(moments.covariance) == 5


def test_moments_refuse_what_has_no_features():
    for features, shape in ((np.float64(3.0), "()"), (np.zeros((4, 0)), "(4, 0)")):
        with pytest.raises(ValueError) as error:
            Moments().update(features)
        assert str(error.value) == (
            f"Expected features (N, ...). Received: shape {shape}"
        )


# === Frechet distance ===


def test_frechet_distance_of_diagonal_gaussians():
    """|m1 - m2|^2 + sum_i (s1_i - s2_i)^2, by hand."""
    first = moments_of([0.0, 1.0, 2.0], np.diag([1.0, 4.0, 9.0]))
    second = moments_of([1.0, 1.0, 4.0], np.diag([4.0, 4.0, 0.25]))
    # 1 + 0 + 4, and (1 - 2)^2 + 0 + (3 - 1/2)^2.
    assert frechet_distance(first, second) == pytest.approx(5.0 + 1.0 + 6.25, rel=1e-9)


def test_frechet_distance_of_commuting_covariances():
    """With common axes: the distance between the roots of the eigenvalues."""
    axes, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))
    ours, theirs = np.array([[0.1, 1, 2, 3, 5, 8], [7, 1, 0.3, 2, 2, 0.5]])
    first = moments_of(np.zeros(6), (axes * ours) @ axes.T)
    second = moments_of(np.full(6, 0.5), (axes * theirs) @ axes.T)
    expected = 6 * 0.25 + np.sum((np.sqrt(ours) - np.sqrt(theirs)) ** 2)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_is_the_matrix_square_root_of_scipy():
    """20 dimensions: with 8 or 6 examples a covariance is singular."""
    for counts in (
        (500, 400),
        (8, 400),
        (400, 8),
        (8, 6),
    ):
        sets = normal(counts[0], 20, seed=1), normal(counts[1], 20, seed=2, mean=0.3)
        first, second = (Moments().update(features) for features in sets)
        (m1, c1), (m2, c2) = ((x.mean(axis=0), np.cov(x, rowvar=False)) for x in sets)
        if min(counts) > 20:
            root_trace = np.trace(scipy.linalg.sqrtm(c1 @ c2)).real
            tolerance = 1e-9
        else:
            # The product is singular and not symmetric: with a ridge instead, whose
            # error is at most of the order of the ridge's root.
            ridge = 1e-10 * np.eye(20)
            root_trace = np.trace(scipy.linalg.sqrtm((c1 + ridge) @ (c2 + ridge))).real
            tolerance = 1e-4
        expected = np.sum((m1 - m2) ** 2) + np.trace(c1) + np.trace(c2) - 2 * root_trace
        distance = frechet_distance(first, second)
        assert expected > 1
        assert distance == pytest.approx(expected, rel=tolerance)
        assert frechet_distance(second, first) == pytest.approx(distance, rel=1e-7)


@pytest.mark.parametrize("count", [500, 6])
def test_frechet_distance_of_a_set_to_itself_is_zero(count):
    features = normal(count, 20, mean=5.0)
    first = Moments().update(features)
    second = Moments().update(features[::-1])
    distance = frechet_distance(first, second)
    assert 0.0 <= distance < 1e-6
    assert isinstance(distance, float)
    # And no other set has zero: moved by .1 along each of 20 axes.
    moved = Moments().update(features + 0.1)
    assert frechet_distance(first, moved) == pytest.approx(20 * 0.01, rel=1e-5)


def test_frechet_distance_is_biased_up_the_more_the_fewer_the_examples():
    """Sets of one distribution; with fewer than 20 examples, ranks are missing."""
    distances = [
        np.mean(
            [
                frechet_distance(
                    *(
                        Moments().update(np.random.default_rng(s).normal(size=(n, 20)))
                        for s in (2 * seed, 2 * seed + 1)
                    )
                )
                for seed in range(20)
            ]
        )
        for n in (1000, 200, 40, 10)
    ]
    assert 0 < distances[0] < 0.5
    assert all(2 * a < b for a, b in zip(distances, distances[1:], strict=False))


def test_frechet_distance_refuses_moments_that_do_not_fit():
    two, three = Moments().update(normal(9, 2)), Moments().update(normal(9, 3))
    with pytest.raises(ValueError, match="^Expected .* equally many .* 2 and 3$"):
        frechet_distance(two, three)
    for few, count in ((Moments(), 0), (Moments().update(normal(1, 2)), 1)):
        for pair in ((few, two), (two, few)):
            with pytest.raises(ValueError, match=f"at least 2 .* Received: {count}$"):
                frechet_distance(*pair)


# === Parzen window ===


def mixture(centres, sigma):
    """The estimate's density as TFP has it, float64."""
    count = len(centres)
    return tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.zeros(count, tf.float64)),
        tfd.MultivariateNormalDiag(
            loc=tf.constant(centres, tf.float64),
            scale_diag=tf.fill(centres.shape, tf.constant(sigma, tf.float64)),
        ),
    )


def test_parzen_is_scikit_learns_and_tfps():
    for sigma in (
        0.05,
        0.2,
        1.0,
        10.0,
    ):
        offset = 100.0
        centres = offset + normal(60, 8, seed=1)
        centres[40:] = centres[:20]  # duplicates
        inputs = np.concatenate([offset + normal(40, 8, seed=2), centres[:5]])
        ours = parzen_log_likelihood(inputs, centres, sigma)
        assert ours.shape == (45,) and ours.dtype == np.float64
        # No tolerance in its tree: the default cuts off at 1e-8 of each density.
        density = KernelDensity(bandwidth=sigma, rtol=0, atol=0).fit(centres)
        np.testing.assert_allclose(ours, density.score_samples(inputs), rtol=1e-8)
        tfps = mixture(centres, sigma).log_prob(tf.constant(inputs, tf.float64))
        np.testing.assert_allclose(ours, tfps, rtol=1e-8)


def test_parzen_of_one_centre_is_the_normal_density():
    example = np.full((1, 2, 2, 1), 3.0)
    centre = np.full((1, 2, 2, 1), 1.0)
    # 4 dimensions at distance 2: -16 / (2 * .25) - 4 log(.5 sqrt(2 pi)).
    expected = -32.0 - 4 * np.log(0.5) - 2 * np.log(2 * np.pi)
    value = parzen_log_likelihood(example, centre, 0.5)
    np.testing.assert_allclose(value, [expected], rtol=1e-12)
    # N copies of one centre are that centre.
    copies = np.repeat(centre, 17, axis=0)
    np.testing.assert_allclose(
        parzen_log_likelihood(example, copies, 0.5), [expected], rtol=1e-12
    )


def test_parzen_integrates_to_one():
    centres = np.array([[-1.0], [0.5], [0.7]])
    line = np.linspace(-6, 6, 4001)[:, None]
    density = np.exp(parzen_log_likelihood(line, centres, 0.3))
    assert density.sum() * (12 / 4000) == pytest.approx(1.0, abs=1e-9)


def test_parzen_does_not_depend_on_the_block_size():
    inputs, centres = normal(23, 5, seed=2), normal(30, 5, seed=1)
    whole = parzen_log_likelihood(inputs, centres, 0.2)
    for block_size in (1, 7, 23, 24):
        blocks = parzen_log_likelihood(inputs, centres, 0.2, block_size=block_size)
        np.testing.assert_allclose(blocks, whole, rtol=1e-12)


def test_parzen_of_float32_pixels_is_taken_in_float64():
    """MNIST's size: 784 values, where a float32 exponent would lose digits."""
    rng = np.random.default_rng(0)
    inputs, centres = (rng.random((6, 28, 28, 1)).astype(np.float32) for _ in "ab")
    density = KernelDensity(bandwidth=0.1, rtol=0, atol=0)
    density.fit(centres.reshape(6, -1).astype(np.float64))
    expected = density.score_samples(inputs.reshape(6, -1).astype(np.float64))
    np.testing.assert_allclose(
        parzen_log_likelihood(inputs, centres, 0.1), expected, rtol=1e-8
    )


def test_parzen_is_finite_far_away():
    """exp(-5e9) is 0 in float64; its logarithm is not."""
    value = parzen_log_likelihood(np.full((1, 1), 1e4), np.zeros((2, 1)), 0.1)
    expected = -0.5 * 1e10 - np.log(0.1 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(value, [expected], rtol=1e-12)


def test_parzen_refuses_what_has_no_density():
    inputs = normal(4, 3)
    for sigma in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match=f"^Expected sigma > 0.*: {sigma}$"):
            parzen_log_likelihood(inputs, inputs, sigma)
    with pytest.raises(ValueError, match=r"^Expected .*\(4, 3\) and \(4, 2\)$"):
        parzen_log_likelihood(inputs, normal(4, 2), 1.0)


def test_parzen_refuses_no_centres_in_its_own_words():
    with pytest.raises(ValueError, match=r"^Expected .* N >= 1.* and \(0, 3\)$"):
        parzen_log_likelihood(normal(4, 3), np.zeros((0, 3)), 1.0)


def test_parzen_refuses_what_is_empty_or_not_finite():
    inputs, broken = normal(4, 3), normal(4, 3)
    broken[2, 1] = np.inf
    for arguments, message in (
        (
            (inputs[:0], inputs, 1.0),
            "Expected examples and centres of one shape (N, ...), N >= 1, none empty. "
            "Received: (0, 3) and (4, 3)",
        ),
        (
            (broken, inputs, 1.0),
            "Expected finite examples. Received: NaN or infinity in 1 of 4",
        ),
        (
            (inputs, broken, 1.0),
            "Expected finite centres. Received: NaN or infinity in 1 of 4",
        ),
        ((inputs, inputs, np.inf), "Expected sigma > 0 and finite. Received: inf"),
        (
            (inputs, inputs, 1.0, 0),
            "Expected `block_size` to be an int >= 1. Received: 0",
        ),
    ):
        with pytest.raises(ValueError) as error:
            parzen_log_likelihood(*arguments)
        assert str(error.value) == message


@pytest.mark.slow
def test_parzen_blocks_in_both_directions_are_one_sum():
    """A near centre in one block and far ones in the others, in any order."""
    rng = np.random.default_rng(0)
    centres = np.concatenate([rng.normal(size=(9, 4)), 50 + rng.normal(size=(9, 4))])
    inputs = np.concatenate([centres[[0, 17]], rng.normal(25, 20, size=(7, 4))])
    for sigma in (0.05, 0.5, 10.0):
        expected = mixture(centres, sigma).log_prob(tf.constant(inputs))
        for block_size in (1, 5, 9, 100):
            for flipped in (centres, centres[::-1]):
                ours = parzen_log_likelihood(inputs, flipped, sigma, block_size)
                np.testing.assert_allclose(ours, expected, rtol=1e-9)


def test_parzen_bounds_its_blocks(monkeypatch):
    from keras_gan.metrics import _distances

    sizes = []
    product = _distances._squared_distances

    def recorded(first, second):
        sizes.append((first.shape[0], second.shape[0]))
        return product(first, second)

    monkeypatch.setattr(_distances, "_squared_distances", recorded)
    parzen_log_likelihood(normal(7, 3), normal(8, 3), 1.0, block_size=3)
    assert sizes == [(m, n) for m in (3, 3, 1) for n in (3, 3, 2)]
    # Once for all widths on the validation examples, once on the test examples.
    sizes.clear()
    parzen_estimate(normal(7, 3), normal(5, 3), normal(8, 3))
    assert sizes == [(5, 8), (7, 8)]


def test_rows_of_many_features_come_in_smaller_blocks():
    from keras_gan.metrics import _distances

    def sizes(features, block_size=1000):
        rows = np.broadcast_to(np.float32(0), (2500, features))
        blocks = _distances.row_blocks(rows, block_size)
        return [block.stop - block.start for block, _ in blocks]

    assert sizes(6144) == [1000, 1000, 500]
    assert sizes(12_288) == [500] * 5
    assert sizes(12_288, block_size=400) == [400] * 6 + [100]


def test_parzen_estimate_is_the_protocol_by_hand():
    """One centre at 0 in one dimension: the best sigma^2 is the mean of v^2."""
    validation, test = np.array([[1.0], [-3.0]]), np.array([[2.0], [0.0], [1.0]])
    sigmas = np.sqrt([1.0, 3.0, 5.0, 8.0])
    estimate = parzen_estimate(test, validation, np.zeros((1, 1)), sigmas)
    assert estimate.sigma == np.sqrt(5.0) and not estimate.sigma_at_edge
    logs = -np.array([4.0, 0.0, 1.0]) / 10 - 0.5 * np.log(10 * np.pi)
    np.testing.assert_allclose(estimate.log_likelihoods, logs, rtol=1e-13)
    assert estimate.mean == pytest.approx(logs.mean(), rel=1e-13)
    # Sample variance of (-.4, 0, -.1): mean -1/6, squares .0544 + .0278 + .0044.
    error = np.sqrt((0.16 + 0.0 + 0.01 - 0.25 / 3) / 2 / 3)
    assert estimate.standard_error == pytest.approx(error, rel=1e-12)
    means = -5 / (2 * sigmas**2) - 0.5 * np.log(2 * np.pi * sigmas**2)
    np.testing.assert_allclose(estimate.validation_means, means, rtol=1e-13)
    np.testing.assert_array_equal(estimate.sigmas, sigmas)
    assert np.isnan(
        parzen_estimate(test[:1], validation, np.zeros((1, 1))).standard_error
    )


def test_parzen_estimate_chooses_on_validation_alone_and_shows_the_edge():
    centres, narrow = np.zeros((1, 1)), np.full((1, 1), 0.01)
    wide = np.full((1, 1), 30.0)
    for test in (narrow, wide):
        low = parzen_estimate(test, narrow, centres)
        high = parzen_estimate(test, wide, centres)
        assert low.sigma == pytest.approx(0.1) and low.sigma_at_edge
        assert high.sigma == pytest.approx(1.0) and high.sigma_at_edge
    # In whatever order they come.
    shuffled = parzen_estimate(narrow, np.ones((1, 1)), centres, [1.0, 9.0, 0.1])
    assert shuffled.sigma == 1.0 and not shuffled.sigma_at_edge
    assert PAPER_SIGMAS.shape == (10,)
    np.testing.assert_allclose(PAPER_SIGMAS[[0, 3, 9]], [0.1, 10 ** (-2 / 3), 1.0])


def test_parzen_estimate_reports_its_progress():
    shares = []
    sets = normal(10, 3), normal(5, 3), normal(12, 3)
    reported = parzen_estimate(*sets, block_size=5, progress=shares.append)
    # 15 x 12 pairs in blocks of 5 x (5, 5, 2).
    expected = np.cumsum([25, 25, 10] * 3) / 180
    np.testing.assert_allclose(shares, expected, rtol=1e-15)
    assert shares[-1] == 1.0 and all(type(share) is float for share in shares)
    silent = parzen_estimate(*sets)
    assert silent.sigma == reported.sigma
    assert silent.mean == pytest.approx(reported.mean, rel=1e-13)


def test_parzen_estimate_refuses_what_it_cannot_estimate():
    rows = normal(4, 3)
    for arguments, message in (
        (
            (rows, rows[:, :2], rows),
            "Expected test, validation and centres of one shape (N, ...), N >= 1, none "
            "empty. Received: (4, 3), (4, 2) and (4, 3)",
        ),
        (
            (rows, rows, rows, []),
            "Expected sigmas (S,), S >= 1. Received: an array of shape (0,)",
        ),
        (
            (rows, rows, rows, [0.1, -0.2]),
            "Expected sigma > 0 and finite. Received: -0.2",
        ),
    ):
        with pytest.raises(ValueError) as error:
            parzen_estimate(*arguments)
        assert str(error.value) == message


@pytest.mark.parametrize(("size", "digits"), [(1e3, 8), (1e5, 6), (1e7, 3)])
def test_outliers_leave_the_frechet_distance_its_digits(size, digits):
    """Of the same outlier in both sets, in the order of the features or another."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(500, 20)), rng.normal(size=(500, 20)) + 0.1
    first[0, 0] = second[0, 0] = size

    def distance(order):
        return frechet_distance(
            *(Moments().update(rows[:, order]) for rows in (first, second))
        )

    order = rng.permutation(20)
    assert distance(order) == pytest.approx(distance(range(20)), rel=10.0**-digits)
    # Without the outlier it is of the same size.
    assert 0.5 < distance(order) < 1.0
