"""Descent of the criterion in function space, and the gradient through a generator."""

import dataclasses

import numpy as np

from keras_gan import checks
from keras_gan.theory.densities import BLOCK, evaluate, in_one_line
from keras_gan.theory.propositions import Estimate


@dataclasses.dataclass(frozen=True)
class Descent:
    """The trajectory of `discrete_descent`.

    Attributes:
        p_g: float64 `(steps + 1, n)`; the first row is the start.
        criterion: float64 `(steps + 1,)`, C(G) of each row.
    """

    p_g: np.ndarray
    criterion: np.ndarray


# === Proposition 2 ===


def discrete_descent(p_data, p_g, learning_rate: float = 0.5, steps: int = 100):
    """Descends V(D*, G) over n outcomes, with D optimal at every step.

    Proposition 2 is Algorithm 1 in function space. p_g descends V(D*, G) with D* held,
    whose gradient with respect to p_g(x) is log(1 - D*(x)), by mirror descent on the
    simplex:

        p_g(x) <- p_g(x) exp(-learning_rate * log(1 - D*(x))) / Z

    This step stays on the simplex, and it follows the proof, where the criterion is
    convex in p_g (it is not convex in the logits of a softmax, whose plain gradient
    also vanishes with p_g). The criterion's second derivative, p_data / (p_g (p_data +
    p_g)), is at most that of the negative entropy, 1 / p_g. The criterion is therefore
    1-smooth relative to the entropy, and never increases for learning_rate <= 1 [1]. At
    1 the step is p_g <- (p_data + p_g) / 2. Near p_data each step multiplies the error
    by 1 - learning_rate / 2; above 4 it diverges.

    Args:
        p_data: array `(n,)`, probabilities.
        p_g: array `(n,)`, the probabilities at the start, positive wherever p_data is:
            an outcome that is never generated gives G no gradient.
        learning_rate: float > 0.
        steps: int >= 0.

    Returns:
        Descent.

    Raises:
        ValueError: arguments that are no probabilities, have different shapes, or a p_g
            that is 0 where p_data is not.

    [1] H. Lu, R. M. Freund and Y. Nesterov, Relatively smooth convex optimization by
        first-order methods, and applications, arXiv 1610.05708.
    """
    p_data, p_g = _probabilities(p_data, "p_data"), _probabilities(p_g, "p_g")
    if p_data.shape != p_g.shape:
        raise ValueError(
            "Expected p_data and p_g over the same outcomes. Received shapes: "
            f"{p_data.shape} and {p_g.shape}"
        )
    if (p_data[p_g == 0] > 0).any():
        outcome = int(np.argmax((p_g == 0) & (p_data > 0)))
        raise ValueError(
            "Expected p_g > 0 wherever p_data > 0. Received: p_g = 0 and p_data = "
            f"{p_data[outcome]:.3g} at outcome {outcome}"
        )
    _check_positive("learning_rate", learning_rate)
    checks.count("steps", steps, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_p, log_q = np.log(p_data), np.log(p_g)
        log_qs, criteria = [log_q], [_optimal_value(log_p, log_q)]
        for _ in range(steps):
            # log(1 - D*), which is 0 where there are no data. An outcome that p_g never
            # had, or has lost to underflow, stays lost.
            log_reject = np.where(log_q > -np.inf, -np.logaddexp(0, log_p - log_q), 0.0)
            log_q = log_q - learning_rate * log_reject
            log_q = log_q - np.logaddexp.reduce(log_q)
            log_qs.append(log_q)
            criteria.append(_optimal_value(log_p, log_q))
    return Descent(np.exp(log_qs), np.array(criteria))


def _optimal_value(log_p, log_q):
    """Returns C(G) of discrete log probabilities `(n,)`, from its definition."""
    logits = log_p - log_q  # of D*; NaN where both probabilities are 0
    accept, reject = -np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)
    terms = np.where(log_p > -np.inf, np.exp(log_p) * accept, 0.0)
    return float((terms + np.where(log_q > -np.inf, np.exp(log_q) * reject, 0.0)).sum())


def _probabilities(p, name):
    p = np.asarray(p, np.float64)
    # NaN fails every comparison.
    if p.ndim != 1 or not ((p >= 0).all() and abs(p.sum() - 1) < 1e-6):
        raise ValueError(
            f"Expected {name} (n,) of probabilities >= 0 whose sum is 1. Received: "
            f"{in_one_line(p)}, shape {p.shape}"
        )
    return p / p.sum()


def _check_positive(name, value):
    if not (np.isfinite(value) and value > 0):
        raise ValueError(f"Expected {name} > 0. Received: {value}")


# === The gradient of section 3 ===


def smoothed_gradient(
    f, x, sigma: float, num_samples: int = 100_000, seed: int = 0
) -> Estimate:
    """Estimates grad_x E_{eps ~ N(0, sigma^2 I)} f(x + eps) without derivatives of f.

    Section 3: the limit for sigma -> 0 is grad_x f(x), which lets the gradient pass
    through a generator whose output has noise. By Stein's identity the gradient is
    E[f(x + eps) eps] / sigma^2. Antithetic pairs, (f(x + eps) - f(x - eps)) eps /
    (2 sigma^2), have the same mean, and a variance that stays finite as sigma -> 0. The
    result differs from grad_x f(x) by sigma^2 / 2 * grad_x (Laplacian of f)(x) +
    O(sigma^4).

    A float32 f rounds its values, which adds errors of about 1e-7 |f| / sigma.

    Args:
        f: a function from float64 `(N, D)` to `(N,)` or `(N, 1)`, such as a Keras
            model.
        x: array `(D,)`.
        sigma: float > 0, in units of x.
        num_samples: int >= 2, antithetic pairs.
        seed: int >= 0.

    Returns:
        Estimate of float64 arrays `(D,)`; the error is the standard error.

    Raises:
        ValueError: x of another shape, sigma <= 0, or an f that returns NaN or another
            shape.
    """
    x = np.asarray(x, np.float64)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise ValueError(
            f"Expected finite x of shape (D,). Received: shape {x.shape}, "
            f"{np.count_nonzero(~np.isfinite(x))} not finite"
        )
    _check_positive("sigma", sigma)
    checks.count("num_samples", num_samples, 2)
    total, squares = np.zeros(len(x)), np.zeros(len(x))
    rng = np.random.default_rng(checks.count("seed", seed, 0))
    for start in range(0, num_samples, BLOCK):
        count = min(BLOCK, num_samples - start)
        noise = rng.normal(size=(count, len(x)))  # of unit variance
        difference = evaluate(f, x + sigma * noise) - evaluate(f, x - sigma * noise)
        terms = difference[:, None] * noise / (2 * sigma)
        total += terms.sum(axis=0)
        squares += (terms**2).sum(axis=0)
    mean = total / num_samples
    if not np.isfinite(mean).all():
        raise ValueError("Expected f with finite values. Received NaN or infinity")
    variance = np.maximum(squares / num_samples - mean**2, 0.0)
    return Estimate(mean, np.sqrt(variance / (num_samples - 1)))
