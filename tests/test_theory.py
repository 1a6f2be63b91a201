"""The propositions of the paper, against SciPy, sums by hand and trained networks."""

import math

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from keras_gan import theory
from keras_gan.datasets import toy
from keras_gan.theory import figures as theory_figures

tfd = tfp.distributions
LOG_2, LOG_4 = math.log(2), math.log(4)


def normal(mean, scale=1.0):
    return tfd.Normal(np.float64(mean), np.float64(scale))


def uniform(low, high):
    return tfd.Uniform(np.float64(low), np.float64(high))


def mixture(weights, means, scales):
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=np.float64(weights)),
        tfd.Normal(np.float64(means), np.float64(scales)),
    )


def plane(means, scales):
    return tfd.MultivariateNormalDiag(np.float64(means), np.float64(scales))


def one_line(error):
    return "\n" not in str(error.value)


# === Proposition 1 ===


def test_optimal_discriminator_is_equation_2():
    x = np.linspace(-6, 6, 25)
    p, q = scipy.stats.norm(0, 1).pdf(x), scipy.stats.norm(1, 2).pdf(x)
    d = theory.optimal_discriminator(normal(0), normal(1, 2))
    logit = theory.optimal_discriminator_logit(normal(0), normal(1, 2))
    assert d(x).dtype == np.float64
    np.testing.assert_allclose(d(x), p / (p + q), rtol=1e-12)
    np.testing.assert_allclose(logit(x), scipy.special.logit(p / (p + q)), atol=1e-11)
    assert d(x.reshape(5, 5)).shape == (5, 5) and d(0.5).shape == ()


def test_optimal_discriminator_where_both_densities_underflow():
    """log N(x; 0, 1) - log N(x; 1, 1) = 1/2 - x: at 100 both densities are 0."""
    p, q = normal(0), normal(1)
    assert np.exp(p.log_prob(np.float64(100))) == 0
    logit = theory.optimal_discriminator_logit(p, q)(np.array([-100.0, 0.5, 100.0]))
    np.testing.assert_allclose(logit, [100.5, 0.0, -99.5], rtol=1e-12, atol=1e-12)
    d = theory.optimal_discriminator(p, q)(np.array([100.0]))
    np.testing.assert_allclose(d, math.exp(-99.5), rtol=1e-10)


def test_optimal_discriminator_outside_of_a_support():
    p, q = uniform(0, 2), uniform(1, 3)
    x = np.array([0.5, 1.5, 2.5, 9.0])
    d = theory.optimal_discriminator(p, q)
    np.testing.assert_array_equal(d(x), [1.0, 0.5, 0.0, np.nan])
    # TFP gives NaN for a Gamma below 0, and more than 1 for an Exponential.
    gamma = tfd.Gamma(np.float64(2), np.float64(1))
    exponential = tfd.Exponential(np.float64(1))
    x = np.array([-1.0, 1.0])
    np.testing.assert_allclose(
        theory.optimal_discriminator(normal(0), gamma)(x),
        [1.0, 1 / (1 + math.exp(-1) / scipy.stats.norm.pdf(1))],
    )
    assert theory.optimal_discriminator(exponential, normal(0))(x)[0] == 0


def test_optimal_discriminator_in_two_dimensions_and_of_outcomes():
    p, q = plane([0, 0], [1, 1]), plane([1, 0], [1, 2])
    x = np.random.default_rng(0).normal(size=(4, 3, 2))
    ratio = scipy.stats.norm(0, 1).pdf(x).prod(-1) / (
        scipy.stats.norm(1, 1).pdf(x[..., 0]) * scipy.stats.norm(0, 2).pdf(x[..., 1])
    )
    d = theory.optimal_discriminator(p, q)(x)
    np.testing.assert_allclose(d, ratio / (1 + ratio), rtol=1e-10)
    outcomes = (
        tfd.Categorical(probs=np.float64(p)) for p in ([0.2, 0.8, 0], [0.6, 0, 0.4])
    )
    d = theory.optimal_discriminator(*outcomes)(np.arange(3))
    np.testing.assert_allclose(d, [0.25, 1.0, 0.0])


# === Theorem 1 ===


def divergence_by_scipy(p, q, points):
    """JSD of two frozen scipy.stats densities."""

    def density(x):
        a, b = p.pdf(x), q.pdf(x)
        return (
            scipy.special.rel_entr(a, (a + b) / 2)
            + scipy.special.rel_entr(b, (a + b) / 2)
        ) / 2

    return sum(
        scipy.integrate.quad(density, a, b, epsabs=1e-12, epsrel=1e-12, limit=200)[0]
        for a, b in zip(points[:-1], points[1:], strict=True)
    )


def overlapping_uniforms(overlap):
    """JSD of U(0, 1) and U(1 - overlap, 2 - overlap): log 2 where they are apart."""
    return (1 - overlap) * LOG_2


NESTED = (math.log(4 / 3) + math.log(2 / 3) / 2 + LOG_2 / 2) / 2
CASES = {
    "equal": (normal(0.3), normal(0.3), 0.0),
    "equal mixtures": (
        mixture([0.2, 0.8], [-3, 1], [0.1, 2]),
        mixture([0.2, 0.8], [-3, 1], [0.1, 2]),
        0.0,
    ),
    "disjoint": (uniform(0, 1), uniform(2, 3), LOG_2),
    "overlapping": (uniform(0, 1), uniform(0.7, 1.7), overlapping_uniforms(0.3)),
    "barely overlapping": (
        uniform(0, 1),
        uniform(0.999, 1.999),
        overlapping_uniforms(0.001),
    ),
    # p = 1 and q = 1/2 on [0, 1], m = 3/4; q alone on [1, 2].
    "nested": (uniform(0, 1), uniform(0, 2), NESTED),
    "far apart": (normal(0), normal(80), LOG_2),
    "normals": (
        normal(0),
        normal(1, 2),
        divergence_by_scipy(
            scipy.stats.norm(0, 1), scipy.stats.norm(1, 2), [-25, -3, 0, 3, 25]
        ),
    ),
    "narrow": (
        normal(0),
        normal(1, 1e-3),
        divergence_by_scipy(
            scipy.stats.norm(0, 1),
            scipy.stats.norm(1, 1e-3),
            [-12, 0.98, 0.995, 1, 1.005, 1.02, 12],
        ),
    ),
    "heavy tails": (
        tfd.Cauchy(np.float64(0), np.float64(1)),
        normal(0),
        divergence_by_scipy(
            scipy.stats.cauchy(), scipy.stats.norm(), [-np.inf, -8, 0, 8, np.inf]
        ),
    ),
    "a pole": (
        tfd.Beta(np.float64(0.5), np.float64(0.5)),
        uniform(0, 1),
        divergence_by_scipy(
            scipy.stats.beta(0.5, 0.5), scipy.stats.uniform(), [0, 1e-6, 0.5, 1]
        ),
    ),
    "outcomes": (
        tfd.Categorical(probs=np.float64([0.5, 0.5, 0])),
        tfd.Categorical(probs=np.float64([0, 0.5, 0.5])),
        LOG_2 / 2,
    ),
    "outcomes, one sure": (
        tfd.Categorical(probs=np.float64([1, 0])),
        tfd.Categorical(probs=np.float64([0.5, 0.5])),
        NESTED,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_criterion_is_minus_log_4_plus_twice_the_divergence(name):
    p_data, p_g, divergence = CASES[name]
    found = theory.criterion(p_data, p_g)
    assert found.value == pytest.approx(-LOG_4 + 2 * divergence, abs=1e-6)
    assert found.error < 1e-6
    # The estimated error is no less than what is seen, up to SciPy's and rounding.
    assert abs(found.value + LOG_4 - 2 * divergence) <= found.error + 2e-9
    own = theory.jensen_shannon_divergence(p_data, p_g)
    assert own.value == pytest.approx(divergence, abs=1e-6)
    swapped = theory.jensen_shannon_divergence(p_g, p_data)
    assert swapped.value == pytest.approx(own.value, abs=1e-9)


def test_minimum_of_the_criterion_is_where_p_g_is_p_data():
    p_data = mixture([0.4, 0.6], [-1, 2], [0.5, 1])
    least = theory.criterion(p_data, mixture([0.4, 0.6], [-1, 2], [0.5, 1])).value
    assert abs(least + LOG_4) < 1e-12
    others = [
        mixture([0.41, 0.59], [-1, 2], [0.5, 1]),
        mixture([0.4, 0.6], [-1.01, 2], [0.5, 1]),
        mixture([0.4, 0.6], [-1, 2], [0.5, 1.01]),
        normal(0.8, 1.7),
        uniform(-3, 5),
        tfd.Cauchy(np.float64(0), np.float64(1)),
    ]
    for p_g in others:
        assert theory.criterion(p_data, p_g).value > least + 1e-6


def test_kl_divergence():
    # log(s2 / s1) + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2
    found = theory.kl_divergence(normal(0), normal(1, 2))
    assert found.value == pytest.approx(LOG_2 + 2 / 8 - 0.5, abs=1e-10)
    assert theory.kl_divergence(uniform(0, 1), uniform(0, 2)).value == pytest.approx(
        LOG_2
    )
    assert theory.kl_divergence(uniform(0, 2), uniform(0, 1)).value == math.inf
    # Beta(2, 2) is 6 x (1 - x), and 0 at the ends of the uniform's support.
    beta = tfd.Beta(np.float64(2), np.float64(2))
    found = theory.kl_divergence(uniform(0, 1), beta)
    assert found.value == pytest.approx(2 - math.log(6), abs=1e-7)
    by_samples = theory.kl_divergence(
        uniform(0, 2), uniform(0, 1), method="monte_carlo"
    )
    assert by_samples.value == math.inf


def test_single_precision_gives_six_digits():
    """The toy data's own distributions are float32."""
    p_data, p_g = toy.gaussian1d(), tfd.MultivariateNormalDiag([1.0], [1.0])
    expected = divergence_by_scipy(
        scipy.stats.norm(2, 0.5), scipy.stats.norm(1, 1), [-12, 0, 1, 2, 3, 12]
    )
    found = theory.criterion(p_data, p_g)
    assert found.value == pytest.approx(-LOG_4 + 2 * expected, abs=1e-6)
    assert 1e-10 < found.error < 1e-5
    edges = theory.quantile_edges(p_data, 4)
    law = scipy.stats.norm(2, 0.5)
    np.testing.assert_allclose(edges, law.ppf([0.25, 0.5, 0.75]), atol=1e-6)


def test_two_dimensions():
    """Two normals that differ along one axis alone have the JSD of one dimension."""
    p, q = plane([0, 3], [1, 0.01]), plane([1, 3], [2, 0.01])
    expected = CASES["normals"][2]
    found = theory.criterion(p, q)
    assert found.value == pytest.approx(-LOG_4 + 2 * expected, abs=1e-7)
    squares = (
        tfd.Independent(uniform(np.zeros(2), np.ones(2)), 1),
        tfd.Independent(uniform(np.full(2, 0.5), np.full(2, 1.5)), 1),
    )
    found = theory.jensen_shannon_divergence(*squares)
    assert found.value == pytest.approx(0.75 * LOG_2, abs=1e-9)


def test_jumps_are_found():
    """Of a mixture of uniforms TFP knows no support; no sample lies on its jumps."""
    p = tfd.MixtureSameFamily(
        tfd.Categorical(probs=np.float64([0.3, 0.7])),
        uniform([0.0, 1.2345], [2.0, 3.0]),
    )
    left, right = 0.3 / 2, 0.7 / (3 - 1.2345)
    pieces = ((1.2345, left), (2 - 1.2345, left + right), (1.0, right))
    expected = sum(length * p * math.log(3 * p) for length, p in pieces)
    found = theory.kl_divergence(p, uniform(0, 3))
    assert abs(found.value - expected) <= found.error + 1e-14 < 1e-11


@pytest.mark.slow
def test_a_jump_along_a_curve_in_the_plane_is_within_the_error():
    p = plane([0, 0], [1, 1])
    inside = 1 - math.exp(-1.3 / 2)  # P(|x|^2 < 1.3)

    def discriminator(x):
        return np.where((x**2).sum(axis=-1) < 1.3, 0.7, -0.4)

    expected = sum(
        -share * (np.logaddexp(0, logit) + np.logaddexp(0, -logit))
        for share, logit in ((inside, 0.7), (1 - inside, -0.4))
    )
    found = theory.value(discriminator, p, plane([0, 0], [1, 1]))
    assert abs(found.value - expected) <= found.error < 1e-4


def test_monte_carlo_agrees_within_its_error_and_repeats():
    p, q = toy.ring8(), plane([0, 0], [0.8, 0.8])
    q = tfd.MultivariateNormalDiag([0.0, 0.0], [0.8, 0.8])
    exact = theory.jensen_shannon_divergence(p, q)
    assert exact.error < 1e-4
    found = theory.jensen_shannon_divergence(p, q, method="monte_carlo", seed=3)
    assert 0 < found.error < 1e-3
    assert abs(found.value - exact.value) < 4 * found.error + exact.error
    again = theory.jensen_shannon_divergence(p, q, method="monte_carlo", seed=3)
    other = theory.jensen_shannon_divergence(p, q, method="monte_carlo", seed=4)
    assert found == again and found != other


def test_monte_carlo_standard_error_is_the_scatter_over_seeds():
    estimates = [
        theory.criterion(
            normal(0), normal(1, 2), method="monte_carlo", num_samples=500, seed=seed
        )
        for seed in range(60)
    ]
    scatter = np.std([estimate.value for estimate in estimates], ddof=1)
    assert estimates[0].error == pytest.approx(scatter, rel=0.35)
    mean = np.mean([estimate.value for estimate in estimates])
    exact = -LOG_4 + 2 * CASES["normals"][2]
    assert abs(mean - exact) < 4 * scatter / math.sqrt(60)


# === The value of any discriminator ===


def test_value_of_a_constant_and_of_a_linear_logit():
    p, q = normal(0), normal(1, 2)
    found = theory.value(lambda x: np.zeros(len(x)), p, q)
    assert found.value == pytest.approx(-LOG_4, abs=1e-12)
    expected = sum(
        scipy.integrate.quad(
            lambda x, law=law, sign=sign: (
                -law.pdf(x) * np.logaddexp(0, sign * (0.5 - 2 * x))
            ),
            -30,
            30,
            points=[-3, 0, 1, 3],
            epsabs=1e-12,
        )[0]
        for law, sign in ((scipy.stats.norm(0, 1), -1), (scipy.stats.norm(1, 2), 1))
    )
    found = theory.value(lambda x: 0.5 - 2 * x, p, q)
    assert found.value == pytest.approx(expected, abs=1e-9)
    by_samples = theory.value(lambda x: 0.5 - 2 * x, p, q, method="monte_carlo")
    assert abs(by_samples.value - expected) < 4 * by_samples.error < 0.1


def test_value_is_at_most_the_criterion_which_optimal_discriminator_attains():
    p, q = normal(0), mixture([0.5, 0.5], [-1, 2], [0.5, 1])
    optimal = theory.optimal_discriminator_logit(p, q)
    criterion = theory.criterion(p, q).value
    assert theory.value(optimal, p, q).value == pytest.approx(criterion, abs=1e-12)
    for change in (
        lambda x: 0.01 + 0 * x,
        lambda x: 0.05 * np.sin(3 * x),
        lambda x: 0.1 * (x > 0),
        lambda x: -0.02 * x,
    ):
        less = theory.value(lambda x, change=change: optimal(x) + change(x), p, q).value
        assert less < criterion - 1e-6


def test_value_where_a_discriminator_is_sure():
    p, q = uniform(0, 1), uniform(2, 3)
    right = theory.value(lambda x: np.where(x < 1.5, np.inf, -np.inf), p, q)
    wrong = theory.value(lambda x: np.where(x < 0.5, np.inf, -np.inf), p, q)
    assert right.value == 0 and wrong.value == -math.inf


def test_value_of_a_keras_model_equals_its_formula():
    inputs = keras.Input((1,))
    layer = keras.layers.Dense(1)
    model = keras.Model(inputs, layer(inputs))
    layer.set_weights([np.float32([[-2.0]]), np.float32([0.5])])
    p = tfd.Independent(normal([0.0]), 1)
    q = tfd.Independent(normal([1.0], 2.0), 1)
    expected = theory.value(lambda x: 0.5 - 2 * x, normal(0), normal(1, 2)).value
    found = theory.value(model, p, q)
    assert found.value == pytest.approx(expected, abs=1e-6)


def test_lower_bound_on_the_divergence():
    assert theory.jensen_shannon_lower_bound(-LOG_4) == 0
    assert theory.jensen_shannon_lower_bound(0.0) == pytest.approx(LOG_2)
    np.testing.assert_allclose(
        theory.jensen_shannon_lower_bound(np.array([-LOG_4, -1.0])), [0, LOG_2 - 0.5]
    )
    found = theory.jensen_shannon_lower_bound(theory.Estimate(-1.0, 0.1))
    assert found == theory.Estimate(pytest.approx(LOG_2 - 0.5), 0.05)


@pytest.fixture(scope="module")
def game():
    """(p_data, p_g, their even mixture), event shape (1,), far from each other."""
    return (
        theory_figures.normal_mixture([0.5, 0.5], [-1.5, 1.5], [0.5, 0.8]),
        theory_figures.normal_mixture([1.0], [0.0], [1.0]),
        theory_figures.normal_mixture([0.25, 0.25, 0.5], [-1.5, 1.5, 0], [0.5, 0.8, 1]),
    )


@pytest.mark.slow
def test_a_trained_discriminator_approaches_the_optimal_one(game):
    """Proposition 1, and the bound that its value gives (G frozen, no dropout)."""
    p_data, p_g, both = game
    gan = theory_figures.fit_discriminator(p_data, p_g, steps=1000, seed=1)
    x = np.linspace(*theory.quantile(both, [0.025, 0.975]), 501)[:, None]
    found = keras.ops.convert_to_numpy(keras.ops.sigmoid(gan.discriminator(x)))[:, 0]
    gap = np.abs(found - theory.optimal_discriminator(p_data, p_g)(x)).max()
    assert gap < 0.04
    assert np.ptp(found) > 0.6  # not by saying 1/2 everywhere

    divergence = theory.jensen_shannon_divergence(p_data, p_g).value
    value = theory.value(gan.discriminator, p_data, p_g)
    bound = theory.jensen_shannon_lower_bound(value.value)
    assert divergence - 0.002 < bound <= divergence + value.error

    # As a user sees it, in the logs: on 100,000 fresh examples and latents.
    fresh = theory_figures.draws(p_data, 100_000, 1000, seed=9)
    logged = gan.evaluate(fresh, return_dict=True, verbose=0)["value"]
    scatter = theory.value(gan.discriminator, p_data, p_g, method="monte_carlo").error
    assert abs(logged - value.value) < 4 * scatter < 0.02
    assert abs(theory.jensen_shannon_lower_bound(logged) - divergence) < 0.01


def test_a_half_trained_discriminator_gives_a_lower_bound(game):
    p_data, p_g, _ = game
    gan = theory_figures.fit_discriminator(p_data, p_g, steps=30, seed=1)
    value = theory.value(gan.discriminator, p_data, p_g).value
    divergence = theory.jensen_shannon_divergence(p_data, p_g).value
    assert 0.01 < theory.jensen_shannon_lower_bound(value) < divergence - 0.003


# === Proposition 2 ===


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("learning_rate", [0.3, 1.0])
def test_descent_converges_to_the_data_and_never_rises(seed, learning_rate):
    rng = np.random.default_rng(seed)
    p_data, start = rng.dirichlet(np.full(20, 0.5)), rng.dirichlet(np.ones(20))
    run = theory.discrete_descent(p_data, start, learning_rate, 300)
    assert run.p_g.shape == (301, 20) and run.criterion.shape == (301,)
    np.testing.assert_allclose(run.p_g[0], start, rtol=1e-12)
    np.testing.assert_allclose(run.p_g.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(run.p_g[-1], p_data, atol=1e-8)
    assert run.criterion[0] > -LOG_4 + 0.05
    assert abs(run.criterion[-1] + LOG_4) < 1e-12
    assert np.diff(run.criterion).max() < 1e-14
    assert (np.diff(run.criterion[:10]) < 0).all()


def test_descent_takes_the_steps_that_its_formula_says():
    p_data, start = np.array([0.7, 0.2, 0.1]), np.array([0.1, 0.3, 0.6])
    run = theory.discrete_descent(p_data, start, learning_rate=1.0, steps=5)
    halves = 0.5 ** np.arange(6)[:, None]
    np.testing.assert_allclose(run.p_g, p_data + halves * (start - p_data), rtol=1e-12)
    # Any rate: p_g exp(-rate log(1 - D*)), normalised; and C(G) as a sum over outcomes.
    run = theory.discrete_descent(p_data, start, learning_rate=0.3, steps=1)
    step = start * (start / (p_data + start)) ** -0.3
    np.testing.assert_allclose(run.p_g[1], step / step.sum(), rtol=1e-12)
    d = p_data / (p_data + start)
    by_hand = (p_data * np.log(d) + start * np.log(1 - d)).sum()
    assert run.criterion[0] == pytest.approx(by_hand, abs=1e-14)


def test_descent_at_too_large_a_rate_does_not_converge():
    rng = np.random.default_rng(0)
    run = theory.discrete_descent(rng.dirichlet(np.ones(5)), np.full(5, 0.2), 6.0, 200)
    assert np.diff(run.criterion).max() > 0 and run.criterion[-1] > -LOG_4 + 1e-3


def test_descent_with_outcomes_that_data_or_generator_never_have():
    p_data, start = [0.5, 0.5, 0.0, 0.0], [0.1, 0.2, 0.7, 0.0]
    run = theory.discrete_descent(p_data, start, 0.5, 300)
    np.testing.assert_allclose(run.p_g[-1], p_data, atol=1e-9)
    assert np.isfinite(run.criterion).all() and np.diff(run.criterion).max() < 1e-14


@pytest.mark.parametrize(
    ("p_data", "p_g", "options", "message"),
    [
        ([0.5, 0.6], [0.5, 0.5], {}, "Expected p_data .* whose sum is 1"),
        ([0.5, 0.5], [1.5, -0.5], {}, "Expected p_g .* >= 0"),
        ([0.5, math.nan], [0.5, 0.5], {}, "Expected p_data .*nan"),
        ([[0.5], [0.5]], [0.5, 0.5], {}, r"shape \(2, 1\)"),
        ([0.5, 0.5], [0.2, 0.2, 0.6], {}, "same outcomes"),
        ([0.5, 0.5], [1.0, 0.0], {}, "Expected p_g > 0 .* outcome 1"),
        ([1.0], [1.0], {"learning_rate": 0.0}, "learning_rate > 0"),
        ([1.0], [1.0], {"learning_rate": math.nan}, "learning_rate > 0"),
        ([1.0], [1.0], {"steps": -1}, "steps"),
    ],
)
def test_descent_refuses(p_data, p_g, options, message):
    with pytest.raises(ValueError, match=message) as error:
        theory.discrete_descent(p_data, p_g, **options)
    assert one_line(error) and str(error.value).startswith("Expected ")


# === The gradient of section 3 ===


DIRECTION = np.array([1.0, 0.5, -0.5])
POINT = np.array([0.3, -0.2, 0.9])


def wave(x):
    return np.sin(x @ DIRECTION)


def smoothed_wave(sigma):
    """E cos(a.(x + eps)) a = cos(a.x) exp(-|a|^2 sigma^2 / 2) a, exactly."""
    damping = math.exp(-DIRECTION @ DIRECTION * sigma**2 / 2)
    return np.cos(POINT @ DIRECTION) * damping * DIRECTION


@pytest.mark.parametrize("sigma", [1e-4, 0.1, 1.0])
def test_smoothed_gradient_is_that_of_the_smoothed_function(sigma):
    found = theory.smoothed_gradient(wave, POINT, sigma, seed=5)
    assert found.value.shape == found.error.shape == (3,)
    assert (0 < found.error).all() and (found.error < 0.01).all()
    assert (np.abs(found.value - smoothed_wave(sigma)) < 4 * found.error).all()


def test_smoothed_gradients_bias_falls_as_the_square_of_sigma():
    gradient = np.cos(POINT @ DIRECTION) * DIRECTION
    biases = [
        np.linalg.norm(
            theory.smoothed_gradient(wave, POINT, sigma, 500_000).value - gradient
        )
        for sigma in (0.6, 0.3)
    ]
    exact = [np.linalg.norm(smoothed_wave(sigma) - gradient) for sigma in (0.6, 0.3)]
    assert exact[0] / exact[1] == pytest.approx(4, rel=0.12)
    assert biases[0] / biases[1] == pytest.approx(exact[0] / exact[1], rel=0.1)


def test_smoothed_gradient_is_the_tapes_at_small_sigma():
    inputs = keras.Input((3,))
    x = keras.layers.Dense(8, activation="tanh")(inputs)
    network = keras.Model(inputs, keras.layers.Dense(1)(x))
    point = tf.constant(POINT[None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(point)
        output = network(point)
    gradient = tape.gradient(output, point).numpy()[0]
    found = theory.smoothed_gradient(network, POINT, 0.01)
    assert (np.abs(found.value - gradient) < 4 * found.error + 1e-4).all()
    assert (found.error < 0.05 * np.linalg.norm(gradient)).all()


def test_smoothed_gradients_error_is_the_scatter_over_seeds():
    runs = [
        theory.smoothed_gradient(wave, POINT, 0.1, 1000, seed) for seed in range(60)
    ]
    scatter = np.std([run.value for run in runs], axis=0, ddof=1)
    np.testing.assert_allclose(runs[0].error, scatter, rtol=0.35)
    assert len({run.value[0] for run in runs}) == 60
    again = theory.smoothed_gradient(wave, POINT, 0.1, 1000, 0)
    np.testing.assert_array_equal(again.value, runs[0].value)


@pytest.mark.parametrize(
    ("f", "x", "options", "message"),
    [
        (wave, POINT[None], {}, "Expected finite x"),
        (wave, POINT * math.nan, {}, "Expected finite x"),
        (wave, POINT, {"sigma": 0.0}, "Expected sigma > 0"),
        (wave, POINT, {"sigma": math.inf}, "Expected sigma > 0"),
        (wave, POINT, {"num_samples": 1}, "num_samples"),
        (wave, POINT, {"seed": -1}, "seed"),
        (lambda x: x, POINT, {}, "one number for each x"),
        (lambda x: wave(x) * math.nan, POINT, {}, "Expected f with finite values"),
    ],
)
def test_smoothed_gradient_refuses(f, x, options, message):
    with pytest.raises(ValueError, match=message) as error:
        theory.smoothed_gradient(f, x, **{"sigma": 0.1, **options})
    assert one_line(error)


# === Bins ===


@pytest.mark.slow
def test_quantile_edges():
    levels = np.arange(1, 8) / 8
    for distribution, law in (
        (normal(2, 0.5), scipy.stats.norm(2, 0.5)),
        (uniform(1, 5), scipy.stats.uniform(1, 4)),
        (tfd.Gamma(np.float64(2), np.float64(1)), scipy.stats.gamma(2)),
        (tfd.Cauchy(np.float64(0), np.float64(1)), scipy.stats.cauchy()),
        # TFP has no cdf of it.
        (plane([2], [0.5]), scipy.stats.norm(2, 0.5)),
    ):
        edges = theory.quantile_edges(distribution, 8)
        np.testing.assert_allclose(edges, law.ppf(levels), rtol=1e-9, atol=1e-11)
        (tail,) = theory.quantile(distribution, [0.999])
        assert tail == pytest.approx(law.ppf(0.999), rel=1e-9)


def test_binned_divergence_is_that_of_the_shares_by_hand():
    edges = np.array([-1.0, 0.0, 2.0])
    samples = np.array([-3, -0.5, -0.4, 0.0, 1, 2.0, 1.5, 0.3, 9, 8])
    share = np.array([1, 3, 4, 2]) / 10
    mass = np.diff(scipy.stats.norm.cdf([-np.inf, *edges, np.inf]))
    m = (share + mass) / 2
    entropies = scipy.special.rel_entr(share, m) + scipy.special.rel_entr(mass, m)
    expected = entropies.sum() / 2
    for distribution in (normal(0), tfd.Independent(normal([0.0]), 1), plane([0], [1])):
        found = theory.binned_jensen_shannon_divergence(samples, distribution, edges)
        assert found == pytest.approx(expected, abs=1e-10)
    column = theory.binned_jensen_shannon_divergence(samples[:, None], normal(0), edges)
    assert column == pytest.approx(expected, abs=1e-12)


def test_binned_divergence_at_its_ends():
    edges = theory.quantile_edges(uniform(0, 1), 10)
    far = np.full(50, 0.5)
    # All in one of ten bins: m is 0.55 there and 0.05 in the nine others.
    expected = (math.log(1 / 0.55) + 0.1 * math.log(0.1 / 0.55) + 0.9 * LOG_2) / 2
    found = theory.binned_jensen_shannon_divergence(far, uniform(0, 1), edges)
    assert found == pytest.approx(expected, abs=1e-9)
    found = theory.binned_jensen_shannon_divergence(far + 9, uniform(0, 1), [2.0, 3.0])
    assert found == pytest.approx(LOG_2)


def test_binned_divergences_bias_is_bins_minus_one_over_eight_n():
    rng, bins, n = np.random.default_rng(0), 20, 2000
    edges = theory.quantile_edges(normal(0), bins)
    found = [
        theory.binned_jensen_shannon_divergence(rng.normal(size=n), normal(0), edges)
        for _ in range(200)
    ]
    assert np.mean(found) == pytest.approx((bins - 1) / (8 * n), rel=0.1)


def test_binned_divergence_approaches_that_of_the_densities_from_below():
    exact = theory.jensen_shannon_divergence(normal(0), normal(1)).value
    samples = np.random.default_rng(0).normal(1.0, size=200_000)
    found = [
        theory.binned_jensen_shannon_divergence(
            samples, normal(0), theory.quantile_edges(normal(0), bins)
        )
        for bins in (2, 8, 100)
    ]
    assert found[0] < found[1] - 0.005 < found[2]
    assert found[1] < exact - 0.001 and found[2] == pytest.approx(exact, abs=0.002)


# === Bad input ===


@pytest.mark.parametrize(
    ("p", "q", "options", "message"),
    [
        (normal(0), plane([0, 0], [1, 1]), {}, "over the same space"),
        (normal(0), tfd.Independent(normal([0.0]), 1), {}, "over the same space"),
        (normal(0), tfd.Categorical(probs=[0.5, 0.5]), {}, "over the same space"),
        (
            tfd.Categorical(probs=[0.5, 0.5]),
            tfd.Categorical(probs=[0.2, 0.3, 0.5]),
            {},
            "2 outcomes and .* 3 outcomes",
        ),
        (normal(0), normal([0.0, 1.0]), {}, r"batch shape \(\)"),
        (normal(0), "normal", {}, "Expected tfp.distributions"),
        (normal(0), normal(math.nan), {}, "Received NaN"),
        (normal(0), tfd.Bernoulli(probs=0.5), {}, "Received: Bernoulli of int32"),
        (tfd.Poisson(np.float64(2)), normal(0), {}, "integral is 1"),
        (
            normal(0),
            tfd.MixtureSameFamily(
                tfd.Categorical(probs=[0.5, 0.5]),
                tfd.Uniform(np.float64([0, 1]), np.float64([2, 3]), validate_args=True),
            ),
            {},
            "validate_args=False",
        ),
        (tfd.Deterministic(np.float64(0)), normal(0), {}, "integral is 1"),
        (normal(0), normal(0), {"method": "quad"}, "Expected `method`"),
        (normal(0), normal(0), {"seed": -1}, "Expected `seed`"),
        (normal(0), normal(0), {"num_samples": 1}, "Expected `num_samples`"),
        (normal(0), normal(0), {"breakpoints": [math.nan]}, "Expected breakpoints"),
        (plane([0] * 3, [1] * 3), plane([0] * 3, [1] * 3), {}, "monte_carlo"),
        (
            normal(0),
            tfd.Uniform(np.float64(0), np.float64(1), validate_args=True),
            {},
            None,
        ),
    ],
)
def test_densities_that_do_not_fit(p, q, options, message):
    functions = (
        theory.criterion,
        theory.jensen_shannon_divergence,
        theory.kl_divergence,
        lambda p, q, **options: theory.value(lambda x: 0 * x, p, q, **options),
    )
    for function in functions:
        if message is None:  # a support that is known needs no special treatment
            assert np.isfinite(function(q, p).value)
            continue
        with pytest.raises(ValueError, match=message) as error:
            function(p, q, **options)
        assert one_line(error) and str(error.value).startswith("Expected ")


class Twice(tfd.Normal):
    """A normal density times two."""

    def _log_prob(self, x):
        return super()._log_prob(x) + LOG_2


def test_a_density_that_is_not_normalised_is_refused():
    twice = Twice(np.float64(0), np.float64(1), name="Twice")
    with pytest.raises(ValueError, match="integral is 1.*Twice.* 2;") as error:
        theory.criterion(normal(0), twice)
    assert one_line(error)


def test_narrow_parts_that_samples_miss_are_refused_or_pointed_to():
    """A mode of width 1e-9 and weight 1e-5 that none of the first cells shows."""
    p = mixture([1 - 1e-5, 1e-5], [0, 7], [1, 1e-9])
    with pytest.raises(ValueError, match="breakpoints"):
        theory.criterion(p, normal(0))
    around = 7 + 1e-9 * np.array([-12, -4, 0, 4, 12])
    found = theory.criterion(p, normal(0), breakpoints=around)
    assert found.error < 1e-6 and found.value > -LOG_4 + 1e-6


def test_discriminators_that_do_not_fit():
    p = tfd.Independent(normal([0.0]), 1)
    for discriminator, message in (
        (lambda x: x[:, 0] * math.nan, "NaN"),
        (lambda x: np.zeros((len(x), 2)), "one number for each x"),
        (lambda x: np.zeros(()), "one number for each x"),
    ):
        for method in ("quadrature", "monte_carlo"):
            with pytest.raises(ValueError, match=message) as error:
                theory.value(discriminator, p, p, method=method)
            assert one_line(error)
    with pytest.raises(ValueError, match="Expected x of shape"):
        theory.optimal_discriminator(p, p)(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="without NaN"):
        theory.optimal_discriminator(normal(0), normal(1))(math.nan)


@pytest.mark.parametrize(
    ("samples", "edges", "message"),
    [
        (np.zeros((3, 2)), [0.0], "Expected finite samples"),
        (np.zeros(0), [0.0], "Expected finite samples"),
        ([0.0, math.nan], [0.0], "1 not finite"),
        ([0.0], [], "Expected edges"),
        ([0.0], [1.0, 1.0], "ascending"),
        ([0.0], [0.0, math.inf], "Expected edges"),
    ],
)
def test_binned_divergence_refuses(samples, edges, message):
    with pytest.raises(ValueError, match=message) as error:
        theory.binned_jensen_shannon_divergence(samples, normal(0), edges)
    assert one_line(error)


def test_bins_of_other_distributions_are_refused():
    with pytest.raises(ValueError, match="num_bins"):
        theory.quantile_edges(normal(0), 1)
    for levels in ([0.0], [0.5, 1.0], [math.nan], 0.5, [[0.1, 0.2], [0.3, 0.4]]):
        with pytest.raises(ValueError, match="Expected levels") as error:
            theory.quantile(normal(0), levels)
        assert one_line(error)
    for distribution in (plane([0, 0], [1, 1]), tfd.Categorical(probs=[0.5, 0.5])):
        with pytest.raises(ValueError, match="Expected a continuous distribution"):
            theory.quantile_edges(distribution, 4)


# === Figures ===


def test_figures_of_theory(tmp_path):
    """Each is a picture; its checks hold what their proposition says."""
    paths = [tmp_path / "new" / f"{i}.png" for i in range(2)]
    criterion = theory_figures.criterion_figure(paths[0])
    descent = theory_figures.descent_figure(paths[1])
    for path in paths:
        picture = tf.io.decode_png(path.read_bytes()).numpy()
        assert picture.shape[0] == 320 and np.ptp(picture[..., :3]) > 200
    assert criterion[0].found == criterion[0].expected == "-1.386294361120"
    assert float(criterion[1].found) > -1.38 and float(criterion[2].found) < 1e-12
    assert all(float(check.found) < 1e-7 for check in descent)
    table = theory_figures.format_checks(criterion + descent).splitlines()
    assert len(table) == 8 and len({line.find("Prop") for line in table[5:]}) == 1
    with pytest.raises(ValueError, match="seed"):
        theory_figures.draw(tmp_path, seed=-1)


def test_figures_of_theory_are_refused_before_the_work(tmp_path, no_matplotlib):
    with pytest.raises(ModuleNotFoundError, match=r"keras_gan\[figures\]"):
        theory_figures.draw(tmp_path / "new")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="output directory. Received a file"):
        theory_figures.draw(tmp_path / "file")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
