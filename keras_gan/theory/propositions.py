"""The optimal discriminator, the value function, the criterion and its divergences.

Proposition 1 and Theorem 1 of Goodfellow et al. (2014), as numbers. Densities are TFP
distributions with batch shape () that can be sampled. Quadrature takes event shapes (),
(1,) and (2,), Monte Carlo any; a `tfd.Categorical` is summed over its outcomes. Results
are float64, in nats; a distribution or a discriminator in float32 brings the error of
float32, about 1e-6.

Reference: Goodfellow et al., Generative Adversarial Nets, arXiv 1406.2661.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_gan import checks
from keras_gan.theory.densities import (
    check_pair,
    evaluate,
    log_density,
    num_outcomes,
    sample,
)
from keras_gan.theory.integration import integrate

tfd = tfp.distributions

LOG_4 = math.log(4.0)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number and a bound on its error.

    Attributes:
        value: float, or float64 array.
        error: the same shape, >= 0. From quadrature it is an estimated bound: the
            rule's errors, and what the densities' own integrals miss to 1. From Monte
            Carlo it is the standard error.
    """

    value: float | np.ndarray
    error: float | np.ndarray


# === Proposition 1 ===


def optimal_discriminator(p_data: tfd.Distribution, p_g: tfd.Distribution):
    """Returns D*(x) = p_data(x) / (p_data(x) + p_g(x)): Proposition 1, equation (2).

    D* is computed as the sigmoid of the difference of the log densities, so that it
    holds where both densities underflow. Where one of them is exactly 0, D* is 0 or 1.
    Where both are, it is NaN: "the discriminator does not need to be defined outside of
    Supp(p_data) u Supp(p_g)".

    Args:
        p_data, p_g: TFP distributions of one event shape.

    Returns:
        A function from x `(..., *event_shape)` to D*(x), float64 `(...)`.

    Raises:
        ValueError: distributions over different spaces.
    """
    logit = optimal_discriminator_logit(p_data, p_g)
    return lambda x: _sigmoid(logit(x))


def optimal_discriminator_logit(p_data: tfd.Distribution, p_g: tfd.Distribution):
    """Returns logit D*(x) = log p_data(x) - log p_g(x), which a trained D approaches.

    The function that is returned gives +inf and -inf where D* is 1 and 0.

    Args:
        p_data, p_g: TFP distributions of one event shape.

    Returns:
        A function from x `(..., *event_shape)` to logit D*(x), float64 `(...)`.

    Raises:
        ValueError: distributions over different spaces.
    """
    check_pair(p_data, p_g)
    log_p_data, log_p_g = log_density(p_data), log_density(p_g)

    def logit(x):
        x = np.asarray(x)
        with np.errstate(invalid="ignore"):
            return log_p_data(x) - log_p_g(x)

    return logit


def _sigmoid(logits):
    # 1 / (1 + exp(-l)) without overflow; NaN stays NaN.
    with np.errstate(invalid="ignore"):
        return np.exp(-np.logaddexp(0.0, -logits))


# === The value function and Theorem 1 ===


def value(
    discriminator,
    p_data: tfd.Distribution,
    p_g: tfd.Distribution,
    method: str = "quadrature",
    breakpoints=(),
    num_samples: int = 100_000,
    seed: int = 0,
) -> Estimate:
    """Returns V(D, G) of equation (1): E_{p_data} log D(x) + E_{p_g} log(1 - D(x)).

    Args:
        discriminator: a function from x, float64 `(N, *event_shape)`, to one logit
            each, `(N,)` or `(N, 1)`: a Keras model (with event shape (1,) or more), or
            the function that `optimal_discriminator_logit` returns.
        p_data, p_g: TFP distributions of one event shape.
        method: "quadrature", or "monte_carlo" from `num_samples` of each distribution.
        breakpoints: for quadrature, the x at which densities or D jump, or have narrow
            parts; in two dimensions a pair of sequences, one for each axis. In one
            dimension quadrature finds jumps without them.
        num_samples: int >= 2, for Monte Carlo.
        seed: int >= 0, of all samples.

    Returns:
        Estimate of floats, in nats; -inf where D is certain and wrong.

    Raises:
        ValueError: distributions over different spaces, or that do not integrate to 1;
            logits that are NaN, or not one for each x; another method.
    """

    def rewards(x, log_p, log_q):
        logits = evaluate(discriminator, x)
        return -np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)

    check_pair(p_data, p_g)
    dtype = np.asarray(discriminator(sample(p_data, 2, 0, 3))).dtype
    return _expectation(
        p_data,
        p_g,
        rewards,
        method=method,
        breakpoints=breakpoints,
        num_samples=num_samples,
        seed=seed,
        single=dtype != np.float64,
    )


def criterion(p_data: tfd.Distribution, p_g: tfd.Distribution, **options) -> Estimate:
    """Returns C(G) = max_D V(D, G) = V(D*_G, G), equation (4), from this definition.

    Theorem 1: its minimum is -log 4, where p_g = p_data, and (equation 6)
    C(G) = -log 4 + 2 JSD(p_data || p_g).

    Args:
        p_data, p_g: TFP distributions of one event shape.
        **options: method, breakpoints, num_samples and seed, as for `value`.

    Returns:
        Estimate of floats in [-log 4, 0] up to the error, in nats.

    Raises:
        ValueError: as for `value`.
    """

    def rewards(x, log_p, log_q):
        logits = log_p - log_q  # of D*
        return -np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)

    return _expectation(p_data, p_g, rewards, **options)


def kl_divergence(p: tfd.Distribution, q: tfd.Distribution, **options) -> Estimate:
    """Returns KL(p || q) = E_p [log p(x) - log q(x)].

    Args:
        p, q: TFP distributions of one event shape.
        **options: method, breakpoints, num_samples and seed, as for `value`.

    Returns:
        Estimate of floats, in nats; inf where q is 0 and p is not.

    Raises:
        ValueError: as for `value`.
    """

    def rewards(x, log_p, log_q):
        return log_p - log_q, np.zeros_like(log_q)

    return _expectation(p, q, rewards, **options)


def jensen_shannon_divergence(
    p: tfd.Distribution, q: tfd.Distribution, **options
) -> Estimate:
    """Returns JSD(p || q) = KL(p || m) / 2 + KL(q || m) / 2 with m = (p + q) / 2.

    Equation (5) has these two terms without their halves: C(G) is -log 4 plus them.

    Args:
        p, q: TFP distributions of one event shape.
        **options: method, breakpoints, num_samples and seed, as for `value`.

    Returns:
        Estimate of floats in [0, log 2] up to the error, in nats.

    Raises:
        ValueError: as for `value`.
    """

    def rewards(x, log_p, log_q):
        log_m = np.logaddexp(log_p, log_q) - math.log(2.0)
        return (log_p - log_m) / 2, (log_q - log_m) / 2

    return _expectation(p, q, rewards, **options)


def jensen_shannon_lower_bound(value):
    """Returns (V + log 4) / 2, a lower bound on JSD(p_data || p_g) from any D's value.

    V(D, G) <= C(G) = -log 4 + 2 JSD for any D (equation 4 and Theorem 1), with equality
    at D* alone: the divergence is at least this, and may be far larger where D is weak.
    The bound holds for expectations. A V from finitely many samples has its error, and
    a V from examples that D was trained on is too high where D has memorised them.

    Args:
        value: V in nats, float, array, or Estimate.

    Returns:
        The same type, in nats.
    """
    if isinstance(value, Estimate):
        return Estimate((value.value + LOG_4) / 2, value.error / 2)
    return (value + LOG_4) / 2


# === Expectations ===


def _expectation(
    p,
    q,
    rewards,
    method="quadrature",
    breakpoints=(),
    num_samples=100_000,
    seed=0,
    single=False,
):
    """Returns E_p a(x) + E_q b(x), where `rewards(x, log p(x), log q(x))` is (a, b).

    `single` says that rewards are float32, which bounds the accuracy of quadrature.
    """
    check_pair(p, q)
    checks.count("seed", seed, 0)
    checks.count("num_samples", num_samples, 2)
    checks.one_of("method", method, ("quadrature", "monte_carlo"))
    log_p, log_q = log_density(p), log_density(q)

    def terms(x):
        logs = log_p(x), log_q(x)
        with np.errstate(invalid="ignore"):
            return logs, rewards(x, *logs)

    if method == "monte_carlo":
        _, (a, _) = terms(sample(p, num_samples, seed, 0))
        _, (_, b) = terms(sample(q, num_samples, seed, 1))
        _check_numbers(np.isnan(a) | np.isnan(b))
        mean = a.mean() + b.mean()
        if np.isinf(mean):
            return Estimate(float(mean), 0.0)
        variance = (a.var() + b.var()) / (num_samples - 1)
        return Estimate(float(mean), float(np.sqrt(variance)))

    def integrand(x):
        """Columns: p, q, and p a + q b."""
        logs, both = terms(x)
        densities = np.exp(logs)
        # Rounding may put x on a pole of a density, a point without mass.
        densities[:, np.isinf(densities).any(axis=0)] = 0.0
        with np.errstate(invalid="ignore"):
            parts = np.where(densities > 0, densities * both, 0.0)
        _check_numbers(np.isnan(parts).any(axis=0))
        return np.stack([*densities, parts.sum(axis=0)], axis=-1)

    if isinstance(p, tfd.Categorical):
        total = integrand(np.arange(num_outcomes(p)))[:, 2].sum()
        return Estimate(float(total), 0.0)
    single = single or any(d.dtype != tf.float64 for d in (p, q))
    cells = integrate(integrand, [p, q], breakpoints, single, seed)
    *masses, total = cells.value
    if np.isinf(total):
        return Estimate(float(total), 0.0)
    missed = np.abs(np.subtract(masses, 1)).max()
    return Estimate(float(total), float(cells.error[2] + missed))


def _check_numbers(is_nan):
    if is_nan.any():
        raise ValueError(
            "Expected logits that are numbers wherever there is density. Received NaN "
            f"at {np.count_nonzero(is_nan)} of {len(is_nan)} points"
        )
