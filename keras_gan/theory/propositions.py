"""The propositions of Goodfellow et al. (2014), section 4, as numbers.

Densities are TFP distributions with batch shape () that can be sampled: their event
shape is (), (1,) or (2,) for quadrature, any for Monte Carlo; a `tfd.Categorical` is
summed over its outcomes. Everything is float64 and in nats; a distribution or a
discriminator in float32 brings the error of float32 with it (about 1e-6).

Integrals are adaptive: Gauss-Legendre rules on cells that are halved until a cell and
its parts agree. The first cells come from samples of the densities, so that narrow
modes are met, and jumps are found by the halving. The densities themselves are
integrated along: where they do not give 1, the result would be wrong, and is refused.

Reference: Goodfellow et al., Generative Adversarial Nets, arXiv 1406.2661.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

LOG_4 = math.log(4.0)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number and how far off it may be.

    Attributes:
        value: float, or float64 array.
        error: the same shape, at least 0: of quadrature an estimated bound, how far
            cells and their parts differ and the densities' own integrals miss 1; of
            Monte Carlo the standard error.
    """

    value: float
    error: float


@dataclasses.dataclass(frozen=True)
class Descent:
    """The trajectory of `discrete_descent`.

    Attributes:
        p_g: float64 `(steps + 1, n)`, the first row is where it started.
        criterion: float64 `(steps + 1,)`, C(G) at each.
    """

    p_g: np.ndarray
    criterion: np.ndarray


# === Proposition 1 ===


def optimal_discriminator(p_data, p_g):
    """Proposition 1, equation (2): D*(x) = p_data(x) / (p_data(x) + p_g(x)).

    It is the sigmoid of the difference of the log densities, so that it holds where
    both densities underflow. Where one of them is exactly 0 it is 0 or 1; where both
    are it is NaN, for "the discriminator does not need to be defined outside of
    Supp(p_data) u Supp(p_g)".

    Args:
        p_data, p_g: TFP distributions of one event shape.

    Returns:
        A function from x `(..., *event_shape)` to D*(x), float64 `(...)`.

    Raises:
        ValueError: distributions that do not fit each other.
    """
    logit = optimal_discriminator_logit(p_data, p_g)
    return lambda x: _sigmoid(logit(x))


def optimal_discriminator_logit(p_data, p_g):
    """logit D*(x) = log p_data(x) - log p_g(x), what a discriminator network learns.

    Args and errors as for `optimal_discriminator`; the function that is returned gives
    +inf and -inf where D* is 1 and 0.
    """
    _check_pair(p_data, p_g)
    log_p_data, log_p_g = _log_density(p_data), _log_density(p_g)

    def logit(x):
        x = np.asarray(x)
        with np.errstate(invalid="ignore"):
            return log_p_data(x) - log_p_g(x)

    return logit


# === The value function and Theorem 1 ===


def value(
    discriminator,
    p_data,
    p_g,
    method="quadrature",
    breakpoints=(),
    num_samples=100_000,
    seed=0,
):
    """V(D, G) of equation (1): E_{p_data} log D(x) + E_{p_g} log(1 - D(x)).

    Args:
        discriminator: a function from x, float64 `(N, *event_shape)`, to one logit
            each, `(N,)` or `(N, 1)`: a Keras model (with event shape (1,) or more), or
            what `optimal_discriminator_logit` returns.
        p_data, p_g: TFP distributions of one event shape.
        method: "quadrature", or "monte_carlo" from `num_samples` of each distribution.
        breakpoints: for quadrature, where densities or D jump, in one dimension a
            sequence, in two a pair of them, one for each axis. In one dimension jumps
            are found without.
        num_samples: int >= 2, for Monte Carlo.
        seed: int >= 0, of all samples.

    Returns:
        Estimate of floats, in nats; -inf where D is sure and wrong.

    Raises:
        ValueError: distributions that do not fit each other, or do not integrate to 1;
            logits that are NaN or not one for each x; another method.
    """

    def rewards(x, log_p, log_q):
        logits = _logits(discriminator, x)
        return -np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)

    _check_pair(p_data, p_g)
    # Of float32, whose rounding no finer cells undo.
    single = np.asarray(discriminator(_sample(p_data, 2, 0, 3))).dtype != "float64"
    return _estimate(
        p_data, p_g, rewards, method, breakpoints, num_samples, seed, single
    )


def criterion(p_data, p_g, **options):
    """C(G) = max_D V(D, G) = V(D*_G, G), equation (4), from this definition.

    Theorem 1: its minimum is -log 4, where p_g = p_data, and (equation 6)
    C(G) = -log 4 + 2 JSD(p_data || p_g).

    Args:
        p_data, p_g: TFP distributions of one event shape.
        **options: method, breakpoints, num_samples and seed, as for `value`.

    Returns:
        Estimate of floats in [-log 4, 0] up to the error, in nats.

    Raises:
        ValueError: as `value` does.
    """

    def rewards(x, log_p, log_q):
        logits = log_p - log_q  # of D*
        return -np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)

    return _estimate(p_data, p_g, rewards, **options)


def kl_divergence(p, q, **options):
    """KL(p || q) = E_p [log p(x) - log q(x)].

    Args:
        p, q: TFP distributions of one event shape.
        **options: method, breakpoints, num_samples and seed, as for `value`.

    Returns:
        Estimate of floats, in nats; inf where q is 0 and p is not.

    Raises:
        ValueError: as `value` does.
    """

    def rewards(x, log_p, log_q):
        return log_p - log_q, np.zeros_like(log_q)

    return _estimate(p, q, rewards, **options)


def jensen_shannon_divergence(p, q, **options):
    """JSD(p || q) = KL(p || m) / 2 + KL(q || m) / 2 with m = (p + q) / 2.

    As in equation (5), where C(G) is -log 4 and these two without their halves.

    Args:
        p, q: TFP distributions of one event shape.
        **options: method, breakpoints, num_samples and seed, as for `value`.

    Returns:
        Estimate of floats in [0, log 2] up to the error, in nats.

    Raises:
        ValueError: as `value` does.
    """

    def rewards(x, log_p, log_q):
        log_m = np.logaddexp(log_p, log_q) - math.log(2.0)
        return (log_p - log_m) / 2, (log_q - log_m) / 2

    return _estimate(p, q, rewards, **options)


def jensen_shannon_lower_bound(value):
    """(V + log 4) / 2: what any discriminator's value says about JSD(p_data || p_g).

    V(D, G) <= C(G) = -log 4 + 2 JSD for any D (equation 4 and Theorem 1), with equality
    at D* alone: the divergence is at least this, and may be far larger where D is weak.
    It holds for expectations: a V from finitely many samples has its error, and one
    from examples that D was trained on is too high where D has memorised them.

    Args:
        value: V in nats, float, array, or Estimate.

    Returns:
        The same type, in nats.
    """
    if isinstance(value, Estimate):
        return Estimate((value.value + LOG_4) / 2, value.error / 2)
    return (value + LOG_4) / 2


# === Proposition 2 ===


def discrete_descent(p_data, p_g, learning_rate=0.5, steps=100):
    """Proposition 2: Algorithm 1 in function space, D optimal at every step.

    p_g is a distribution over n outcomes and descends V(D*, G) with D* held, whose
    gradient with respect to p_g(x) is log(1 - D*(x)), by mirror descent on the simplex:

        p_g(x) <- p_g(x) exp(-learning_rate * log(1 - D*(x))) / Z

    which stays on the simplex, and follows the proof, where the criterion is convex in
    p_g (it is not in the logits of a softmax, whose plain gradient also dies with
    p_g). The criterion's second derivative, p_data / (p_g (p_data + p_g)), is at most
    that of the negative entropy, 1 / p_g: it is 1-smooth relative to it, so that it
    never increases for learning_rate <= 1 [1]. At 1 the step is p_g <- (p_data + p_g)
    / 2. Near p_data each step takes the error times 1 - learning_rate / 2; above 4 it
    diverges.

    Args:
        p_data: array `(n,)`, probabilities.
        p_g: array `(n,)`, probabilities to start from, positive wherever p_data is: an
            outcome that is never generated tells G nothing.
        learning_rate: float > 0.
        steps: int >= 0.

    Returns:
        Descent.

    Raises:
        ValueError: no probabilities, of other shapes, or p_g without p_data's support.

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
    if not (np.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"Expected learning_rate > 0. Received: {learning_rate}")
    if not _is_int(steps) or steps < 0:
        raise ValueError(f"Expected steps to be an int >= 0. Received: {steps!r}")
    with np.errstate(divide="ignore", invalid="ignore"):
        log_p, log_q = np.log(p_data), np.log(p_g)
        log_qs, criteria = [log_q], [_optimal_value(log_p, log_q)]
        for _ in range(steps):
            # log(1 - D*), 0 where there are no data; an outcome that p_g has lost to
            # underflow, or never had, stays lost.
            log_reject = np.where(log_q > -np.inf, -np.logaddexp(0, log_p - log_q), 0.0)
            log_q = log_q - learning_rate * log_reject
            log_q = log_q - np.logaddexp.reduce(log_q)
            log_qs.append(log_q)
            criteria.append(_optimal_value(log_p, log_q))
    return Descent(np.exp(log_qs), np.array(criteria))


# === The gradient of section 3 ===


def smoothed_gradient(f, x, sigma, num_samples=100_000, seed=0):
    """grad_x E_{eps ~ N(0, sigma^2 I)} f(x + eps), without differentiating f.

    Section 3: its limit for sigma -> 0 is grad_x f(x), the observation that lets the
    gradient pass through a generator whose output has noise. By Stein's identity it is
    E[f(x + eps) eps] / sigma^2; antithetic pairs, (f(x + eps) - f(x - eps)) eps /
    (2 sigma^2), have the same mean, and a variance that stays finite as sigma -> 0. It
    differs from grad_x f(x) by sigma^2 / 2 * grad_x (Laplacian of f)(x) + O(sigma^4).

    A float32 f rounds its differences: errors of about 1e-7 |f| / sigma come in.

    Args:
        f: a function from float64 `(N, D)` to `(N,)` or `(N, 1)`, a Keras model say.
        x: array `(D,)`.
        sigma: float > 0, in units of x.
        num_samples: int >= 2, antithetic pairs.
        seed: int >= 0.

    Returns:
        Estimate of float64 arrays `(D,)`; the error is the standard error.

    Raises:
        ValueError: x of another shape, sigma <= 0, or f with NaN or another shape.
    """
    x = np.asarray(x, np.float64)
    if x.ndim != 1 or not np.isfinite(x).all():
        raise ValueError(
            f"Expected finite x of shape (D,). Received: shape {x.shape}, "
            f"{np.count_nonzero(~np.isfinite(x))} not finite"
        )
    if not (np.isfinite(sigma) and sigma > 0):
        raise ValueError(f"Expected sigma > 0. Received: {sigma}")
    _check_num_samples(num_samples)
    total, squares = np.zeros(len(x)), np.zeros(len(x))
    rng = np.random.default_rng(_check_seed(seed))
    for start in range(0, num_samples, _BLOCK):
        count = min(_BLOCK, num_samples - start)
        noise = rng.normal(size=(count, len(x)))  # of unit variance
        difference = _logits(f, x + sigma * noise) - _logits(f, x - sigma * noise)
        terms = difference[:, None] * noise / (2 * sigma)
        total += terms.sum(axis=0)
        squares += (terms**2).sum(axis=0)
    mean = total / num_samples
    if not np.isfinite(mean).all():
        raise ValueError("Expected f with finite values. Received NaN or infinity")
    variance = np.maximum(squares / num_samples - mean**2, 0.0)
    return Estimate(mean, np.sqrt(variance / (num_samples - 1)))


# === Tracking a generator in one dimension ===


def quantile(distribution, levels):
    """The x below which a distribution has the probabilities `levels`.

    By halving, from the distribution's cdf, or from the integral of its density where
    TFP has none, as of the toy mixture.

    Args:
        distribution: a continuous TFP distribution, event shape () or (1,).
        levels: array `(L,)`, each in (0, 1).

    Returns:
        float64 `(L,)`.

    Raises:
        ValueError: another event shape, or other levels.
    """
    _check_one_dimension(distribution)
    levels = np.asarray(levels, np.float64)
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(
            f"Expected levels (L,), each in (0, 1). Received: {_in_one_line(levels)}"
        )
    cumulative = _cumulative(distribution)
    line = _Line([distribution])
    low, high = np.full(len(levels), -1.0), np.full(len(levels), 1.0)
    for _ in range(44):  # halvings of an interval of length 2: to 1e-13
        middle = (low + high) / 2
        below = cumulative(line.to_x(middle)) < levels
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return line.to_x((low + high) / 2)


def quantile_edges(distribution, num_bins):
    """Edges that cut a distribution into bins of equal probability.

    Args:
        distribution: a continuous TFP distribution, event shape () or (1,).
        num_bins: int >= 2.

    Returns:
        float64 `(num_bins - 1,)`, the quantiles j / num_bins, ascending: with the two
        outer bins, which reach to infinity, they are num_bins bins.

    Raises:
        ValueError: another event shape, or fewer bins.
    """
    if not _is_int(num_bins) or num_bins < 2:
        raise ValueError(f"Expected num_bins to be an int >= 2. Received: {num_bins!r}")
    return quantile(distribution, np.arange(1, num_bins) / num_bins)


def binned_jensen_shannon_divergence(samples, distribution, edges):
    """JSD between a distribution's bin masses and the shares of samples in the bins.

    Masses are exact, from the distribution's cdf, or from the integral of its density
    where TFP has none. Two errors work against each other. Binning can only lose: with
    infinitely many samples this is at most the JSD of the densities. And n samples
    scatter: where they do come from the distribution, JSD is to second order 1/8 sum
    (share - mass)^2 / mass, whose mean is (bins - 1) / (8 n), with bins = edges + 1;
    read a result of this size as 0.

    Args:
        samples: array `(n,)` or `(n, 1)`, finite.
        distribution: a continuous TFP distribution, event shape () or (1,).
        edges: array `(E,)`, ascending; the two outer bins reach to infinity.

    Returns:
        float in [0, log 2], in nats.

    Raises:
        ValueError: samples or edges of other shapes, or not finite; another event
            shape.
    """
    _check_one_dimension(distribution)
    samples = np.asarray(samples, np.float64)
    if (
        samples.ndim not in (1, 2)
        or samples.shape[1:] not in ((), (1,))
        or not samples.size
        or not np.isfinite(samples).all()
    ):
        raise ValueError(
            "Expected finite samples of shape (n,) or (n, 1), n >= 1. Received: shape "
            f"{samples.shape}, {np.count_nonzero(~np.isfinite(samples))} not finite"
        )
    edges = np.asarray(edges, np.float64)
    if (
        edges.ndim != 1
        or not edges.size
        or not np.isfinite(edges).all()
        or not (np.diff(edges) > 0).all()
    ):
        raise ValueError(
            "Expected edges (E,), E >= 1, finite and ascending. Received: "
            f"{_in_one_line(edges)}"
        )
    cumulative = np.concatenate([[0.0], _cumulative(distribution)(edges), [1.0]])
    mass = np.maximum(np.diff(cumulative), 0.0)
    # A sample on an edge counts to its left, as in P(x <= edge).
    bins = np.searchsorted(edges, samples.ravel(), side="left")
    share = np.bincount(bins, minlength=len(mass)) / samples.size
    with np.errstate(divide="ignore", invalid="ignore"):
        log_mass, log_share = np.log(mass), np.log(share)
        log_m = np.logaddexp(log_mass, log_share) - math.log(2.0)
        terms = np.where(mass > 0, mass * (log_mass - log_m), 0.0)
        terms += np.where(share > 0, share * (log_share - log_m), 0.0)
    return float(max(0.0, terms.sum() / 2))


# === Checks ===


def _is_int(number):
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def _in_one_line(array):
    text = np.array2string(array, threshold=6, max_line_width=10**6)
    return " ".join(text.split())


def _check_seed(seed):
    if not _is_int(seed) or seed < 0:
        raise ValueError(f"Expected seed to be an int >= 0. Received: {seed!r}")
    return int(seed)


def _check_num_samples(num_samples):
    if not _is_int(num_samples) or num_samples < 2:
        raise ValueError(
            f"Expected num_samples to be an int >= 2. Received: {num_samples!r}"
        )


def _check_pair(p, q):
    for distribution in (p, q):
        if not isinstance(distribution, tfd.Distribution):
            raise ValueError(
                "Expected tfp.distributions.Distribution. Received: "
                f"{type(distribution).__name__}"
            )
        if distribution.batch_shape.rank != 0:
            raise ValueError(
                f"Expected distributions with batch shape (). Received: {distribution}"
            )
        if not (
            distribution.dtype.is_floating or isinstance(distribution, tfd.Categorical)
        ):
            raise ValueError(
                "Expected a density or a tfd.Categorical. Received: "
                f"{distribution.name} of {distribution.dtype.name}"
            )
    if (
        p.event_shape != q.event_shape
        or isinstance(p, tfd.Categorical) != isinstance(q, tfd.Categorical)
        or (isinstance(p, tfd.Categorical) and _outcomes(p) != _outcomes(q))
    ):
        raise ValueError(
            "Expected two distributions over the same space. Received: "
            f"{_describe(p)} and {_describe(q)}"
        )


def _check_one_dimension(distribution):
    _check_pair(distribution, distribution)
    if distribution.event_shape.as_list() not in ([], [1]) or isinstance(
        distribution, tfd.Categorical
    ):
        raise ValueError(
            "Expected a continuous distribution with event shape () or (1,). "
            f"Received: {_describe(distribution)}"
        )


def _describe(distribution):
    kind = f"{distribution.name} with event shape {tuple(distribution.event_shape)}"
    if isinstance(distribution, tfd.Categorical):
        kind += f" over {_outcomes(distribution)} outcomes"
    return kind


def _optimal_value(log_p, log_q):
    """C(G) of discrete log probabilities `(n,)`, from its definition."""
    logits = log_p - log_q  # of D*; NaN where both are 0
    accept, reject = -np.logaddexp(0.0, -logits), -np.logaddexp(0.0, logits)
    terms = np.where(log_p > -np.inf, np.exp(log_p) * accept, 0.0)
    return float((terms + np.where(log_q > -np.inf, np.exp(log_q) * reject, 0.0)).sum())


def _probabilities(p, name):
    p = np.asarray(p, np.float64)
    # NaN fails every comparison.
    if p.ndim != 1 or not ((p >= 0).all() and abs(p.sum() - 1) < 1e-6):
        raise ValueError(
            f"Expected {name} (n,) of probabilities >= 0 whose sum is 1. Received: "
            f"{_in_one_line(p)}, shape {p.shape}"
        )
    return p / p.sum()


# === Densities and discriminators as functions of arrays ===

_BLOCK = 1 << 16  # rows at once, to bound the memory of a discriminator's layers


def _outcomes(categorical):
    return int(categorical.probs_parameter().shape[-1])


def _sigmoid(logits):
    # 1 / (1 + exp(-l)) without overflow; NaN stays NaN.
    with np.errstate(invalid="ignore"):
        return np.exp(-np.logaddexp(0.0, -logits))


def _log_density(distribution):
    """A function from x `(..., *event_shape)` to log densities, float64 `(...)`."""
    if isinstance(distribution, tfd.Categorical):
        with np.errstate(divide="ignore"):
            table = np.log(np.asarray(distribution.probs_parameter(), np.float64))
        return lambda x: table[x.astype(np.int64)]
    low, high, within = _support(distribution)
    event = tuple(distribution.event_shape)
    dtype = distribution.dtype.as_numpy_dtype

    def log_density(x):
        if x.shape[x.ndim - len(event) :] != event or np.isnan(x).any():
            raise ValueError(
                f"Expected x of shape {('...', *event)} without NaN, as "
                f"{distribution.name} has it. Received: shape {x.shape}, "
                f"{np.count_nonzero(np.isnan(x))} NaN"
            )
        inside = (x >= low) & (x <= high)
        try:
            # Outside of the support TFP may say NaN, or what the formula gives there.
            result = distribution.log_prob(np.where(inside, x, within).astype(dtype))
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(
                "Expected a distribution that takes any x (validate_args=False). "
                f"Received: {distribution.name}"
            ) from error
        result = np.asarray(result, np.float64)
        if np.isnan(result).any():
            raise ValueError(
                "Expected log densities that are numbers. Received NaN from "
                f"{distribution.name} at {np.count_nonzero(np.isnan(result))} points"
            )
        inside = inside.all(axis=tuple(range(-len(event), 0)))
        return np.where(inside, result, -np.inf)

    return log_density


def _support(distribution):
    """(lowest, highest, some) x of the support; all numbers where TFP cannot tell.

    It is the image of the bijector that maps R to the support, along each axis.
    Arrays of the event shape.
    """
    event = tuple(distribution.event_shape)
    far = np.full(event, 1e30, distribution.dtype.as_numpy_dtype)
    try:
        bijector = distribution.experimental_default_event_space_bijector()
        ends = [np.float64(bijector.forward(t)) for t in (-far, far, 0 * far)]
    except (
        NotImplementedError,
        AttributeError,
        TypeError,
        ValueError,
        tf.errors.InvalidArgumentError,
    ):
        ends = [np.full(event, math.nan)] * 3
    low, high, within = np.minimum(*ends[:2]), np.maximum(*ends[:2]), ends[2]
    if low.shape != event or not ((low < within) & (within < high)).all():
        return np.full(event, -np.inf), np.full(event, np.inf), np.zeros(event)
    return (
        np.where(low > -1e20, low, -np.inf),
        np.where(high < 1e20, high, np.inf),
        within,
    )


def _logits(discriminator, x):
    """What a function says of x `(N, ...)`, float64 `(N,)`."""
    blocks = []
    for start in range(0, len(x), _BLOCK):
        block = x[start : start + _BLOCK]
        logits = np.asarray(discriminator(block))
        if logits.shape not in ((len(block),), (len(block), 1)):
            raise ValueError(
                "Expected a function that gives one number for each x, shape (N,) or "
                f"(N, 1). Received: x {block.shape}, result {logits.shape}"
            )
        blocks.append(logits.astype(np.float64).reshape(-1))
    return np.concatenate(blocks)


def _sample(distribution, count, seed, stream):
    """Samples `(count, *event_shape)` as NumPy; a function of (seed, stream) alone."""
    words = np.random.SeedSequence([seed, stream]).generate_state(2)
    with tf.device("CPU:0"):
        samples = distribution.sample(count, seed=tf.constant(words.view(np.int32)))
    samples = np.asarray(samples)
    if not np.isfinite(samples).all():
        raise ValueError(
            "Expected distributions with finite samples. Received NaN or infinity "
            f"from {distribution.name}"
        )
    return samples if samples.dtype.kind == "i" else samples.astype(np.float64)


# === Expectations ===


def _estimate(
    p,
    q,
    rewards,
    method="quadrature",
    breakpoints=(),
    num_samples=100_000,
    seed=0,
    single=False,
):
    """E_p a(x) + E_q b(x), where `rewards(x, log p(x), log q(x))` gives a and b.

    `single` says that rewards are float32, which quadrature cannot take further.
    """
    _check_pair(p, q)
    _check_seed(seed)
    _check_num_samples(num_samples)
    if method not in ("quadrature", "monte_carlo"):
        raise ValueError(
            f"Expected method to be 'quadrature' or 'monte_carlo'. Received: {method!r}"
        )
    log_p, log_q = _log_density(p), _log_density(q)

    def evaluate(x):
        logs = log_p(x), log_q(x)
        with np.errstate(invalid="ignore"):
            return logs, rewards(x, *logs)

    if method == "monte_carlo":
        _, (a, _) = evaluate(_sample(p, num_samples, seed, 0))
        _, (_, b) = evaluate(_sample(q, num_samples, seed, 1))
        if np.isnan(a).any() or np.isnan(b).any():
            raise _not_a_number(np.isnan(a) | np.isnan(b))
        mean = a.mean() + b.mean()
        if np.isinf(mean):
            return Estimate(float(mean), 0.0)
        return Estimate(
            float(mean), float(np.sqrt((a.var() + b.var()) / (num_samples - 1)))
        )

    def integrand(x):
        """Columns: p, q, and what is sought."""
        logs, both = evaluate(x)
        densities = np.exp(logs)
        # A pole of a density, met by rounding, is a point without mass.
        densities[:, np.isinf(densities).any(axis=0)] = 0.0
        with np.errstate(invalid="ignore"):
            terms = np.where(densities > 0, densities * both, 0.0)
        if np.isnan(terms).any():
            raise _not_a_number(np.isnan(terms).any(axis=0))
        return np.stack([*densities, terms.sum(axis=0)], axis=-1)

    if isinstance(p, tfd.Categorical):
        return Estimate(float(integrand(np.arange(_outcomes(p)))[:, 2].sum()), 0.0)
    single = single or any(d.dtype != tf.float64 for d in (p, q))
    total, error, _ = _integrate(integrand, [p, q], breakpoints, single, seed)
    if np.isinf(total[2]):
        return Estimate(float(total[2]), 0.0)
    for i, distribution in enumerate((p, q)):
        _check_mass(distribution, total[i], error[i], single)
    off = np.abs(total[:2] - 1).max()
    return Estimate(float(total[2]), float(error[2] + off))


def _not_a_number(where):
    return ValueError(
        "Expected logits that are numbers wherever there is density. Received NaN at "
        f"{np.count_nonzero(where)} of {len(where)} points"
    )


def _check_mass(distribution, mass, error, single):
    if not abs(mass - 1) <= (1e-5 if single else 1e-6) + error:
        raise ValueError(
            "Expected a density whose integral is 1. Received: "
            f"{distribution.name}, whose integral was found to be {mass:.8g}; where it "
            "is a density, pass `breakpoints` around its narrowest parts."
        )


def _cumulative(distribution):
    """The cdf of a distribution in one dimension, a function of float64 `(N,)`."""
    event = tuple(distribution.event_shape)
    low, high, _ = _support(distribution)

    def cdf(x):
        x = np.clip(x, low, high).reshape((-1, *event))
        x = x.astype(distribution.dtype.as_numpy_dtype)
        return np.asarray(distribution.cdf(x), np.float64)

    try:
        cdf(np.zeros(1))
    except NotImplementedError:
        return _integrated(distribution)
    return cdf


def _integrated(distribution):
    """The same from the density, where TFP has no cdf."""
    log_density = _log_density(distribution)
    single = distribution.dtype != tf.float64

    def integrand(x):
        return np.exp(log_density(x))[:, None]

    [mass], [error], (lows, masses) = _integrate(
        integrand, [distribution], (), single, seed=0
    )
    _check_mass(distribution, mass, error, single)
    order = np.argsort(lows)
    lows, masses = lows[order], masses[order]
    before = np.concatenate([[0.0], np.cumsum(masses)])
    line = _Line([distribution])

    def cdf(x):
        t = line.to_t(x)
        cell = np.searchsorted(lows, t, side="right") - 1
        part, _ = _gauss_legendre(
            integrand, [line], lows[cell][:, None], t[:, None], _NODES[1], (-1,) + event
        )
        return np.clip((before[cell] + part[:, 0]) / before[-1], 0.0, 1.0)

    event = tuple(distribution.event_shape)
    return cdf


# === Quadrature ===

_NODES = {1: 16, 2: 8}  # along each axis of a cell
_QUANTILES = {1: 257, 2: 9}  # of each distribution, among the first cells' edges
_TOLERANCE = {1: 1e-13, 2: 1e-10}  # of a cell
_EVALUATIONS = 4_000_000  # where jumps in two dimensions would go on for ever


class _Line:
    """One axis of x, as the image of t in (-1, 1): x = centre + scale t / (1 - t^2).

    Args:
        distributions: one or two of them; samples show where they live.
        axis: int.
    """

    def __init__(self, distributions, axis=0, seed=0):
        self.samples = [
            _sample(distribution, 4096, seed, 2).reshape(4096, -1)[:, axis]
            for distribution in distributions
        ]
        self.centre = np.median(np.concatenate(self.samples))
        supports = [_support(distribution)[:2] for distribution in distributions]
        ends = np.reshape(supports, (2 * len(supports), -1))[:, axis]
        self.ends = ends[np.isfinite(ends)]
        low, high = np.quantile(np.concatenate(self.samples), (0.05, 0.95))
        self.scale = (high - low) or 1.0

    def to_x(self, t):
        with np.errstate(divide="ignore"):
            return self.centre + self.scale * t / (1 - t**2)

    def to_t(self, x):
        ratio = 2 * (np.asarray(x, np.float64) - self.centre) / self.scale
        return ratio / (1 + np.hypot(1.0, ratio))

    def slope(self, t):
        """dx / dt."""
        return self.scale * (1 + t**2) / (1 - t**2) ** 2

    def edges(self, quantiles, breakpoints):
        """The first cells' edges in t: quantiles, steps into the tails, jumps."""
        edges = [np.asarray(breakpoints, np.float64), self.ends]
        for samples in self.samples:
            inner = np.quantile(samples, np.linspace(0, 1, quantiles))
            low, high = np.quantile(samples, (0.05, 0.95))
            # Small ones too: a density may end just beyond its outermost sample.
            small = -14 if quantiles > 100 else -2
            steps = (high - low) * 2.0 ** np.arange(small, 5)
            edges += [inner, inner[0] - steps, inner[-1] + steps]
        return np.unique(
            np.concatenate([[-1.0], self.to_t(np.concatenate(edges)), [1]])
        )


def _integrate(integrand, distributions, breakpoints, single, seed):
    """Integrals over R or R^2 of the columns of `integrand`.

    Args:
        integrand: from x `(N, *event_shape)` to float64 `(N, C)`.
        distributions: what the integrand lives on, for the first cells.
        breakpoints: as for `value`.
        single: bool, the integrand is only as good as float32.

    Returns:
        (totals `(C,)`, errors `(C,)`, (low ends of the cells in t,
        integrals of the first column over them)).
    """
    event = tuple(distributions[0].event_shape)
    dimension = math.prod(event)
    if event not in ((), (1,), (2,)):
        raise ValueError(
            "Expected event shape (), (1,) or (2,) for quadrature. Received: "
            f"{event}; use method='monte_carlo'"
        )
    if dimension == 1:
        breakpoints = [breakpoints]
    elif len(breakpoints) == 0:
        breakpoints = [(), ()]
    if len(breakpoints) != dimension or any(
        np.ndim(points) != 1 or not np.isfinite(points).all() for points in breakpoints
    ):
        raise ValueError(
            "Expected breakpoints to be finite numbers, in two dimensions a pair of "
            "sequences, one for each axis. Received: "
            f"{' '.join(repr(breakpoints).split())}"
        )
    lines = [_Line(distributions, axis, seed) for axis in range(dimension)]
    edges = [
        line.edges(_QUANTILES[dimension], points)
        for line, points in zip(lines, breakpoints, strict=True)
    ]
    lows, highs = (
        np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, dimension)
        for ends in ([e[:-1] for e in edges], [e[1:] for e in edges])
    )
    relative = 64 * np.finfo(np.float32 if single else np.float64).eps
    shape, nodes = (-1, *event), _NODES[dimension]
    whole, _ = _gauss_legendre(integrand, lines, lows, highs, nodes, shape)
    total = error = 0.0
    cells, evaluations = [], whole.shape[0] * nodes**dimension
    corners = np.array(list(np.ndindex(*[2] * dimension)))  # (2^d, d) of 0 and 1
    for depth in range(60):
        # (cells, parts, axes)
        step = (highs - lows)[:, None, :] / 2
        part_lows = (lows[:, None, :] + corners * step).reshape(-1, dimension)
        part_highs = part_lows + np.repeat(step[:, 0], len(corners), axis=0)
        parts, sizes = _gauss_legendre(
            integrand, lines, part_lows, part_highs, nodes, shape
        )
        evaluations += len(parts) * nodes**dimension
        # A point that rounding puts on the edge of a support has no mass.
        point = (part_highs - part_lows).min(axis=1) < 1e-13
        parts[point] = np.where(np.isinf(parts[point]), 0.0, parts[point])
        if np.isinf(parts).any():
            # An infinite integrand on more than points; no refining changes it.
            return np.where(np.isinf(parts).any(axis=0), parts.sum(axis=0), 0), 0.0, ()
        parts, sizes = (
            array.reshape(len(lows), len(corners), -1) for array in (parts, sizes)
        )
        gap = np.abs(parts.sum(axis=1) - whole)
        close = gap <= _TOLERANCE[dimension] + relative * sizes.sum(axis=1)
        done = close.all(axis=1)
        next_evaluations = (~done).sum() * len(corners) ** 2 * nodes**dimension
        if depth == 59 or evaluations + next_evaluations > _EVALUATIONS:
            done[:] = True
        total = total + parts[done].sum(axis=(0, 1))
        error = error + gap[done].sum(axis=0)
        part_lows, part_highs = (
            array.reshape(len(lows), len(corners), dimension)
            for array in (part_lows, part_highs)
        )
        cells.append((part_lows[done][..., 0].ravel(), parts[done][..., 0].ravel()))
        if done.all():
            break
        lows = part_lows[~done].reshape(-1, dimension)
        highs = part_highs[~done].reshape(-1, dimension)
        whole = parts[~done].reshape(-1, parts.shape[-1])
    return (
        total,
        error,
        tuple(np.concatenate(column) for column in zip(*cells, strict=True)),
    )


def _gauss_legendre(integrand, lines, lows, highs, nodes, shape):
    """The rule on each of the cells `(n, d)` in t: integrals `(n, C)`, and of |.|."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    axes = range(len(lines))
    grid = np.stack(np.meshgrid(*[points for _ in axes], indexing="ij"), axis=-1)
    grid = grid.reshape(-1, len(lines))  # (nodes^d, d)
    weight = np.prod(
        np.stack(np.meshgrid(*[weights for _ in axes], indexing="ij")), axis=0
    ).ravel()
    half = (highs - lows)[:, None, :] / 2
    t = lows[:, None, :] + half * (1 + grid)  # (n, nodes^d, d)
    x = np.stack([line.to_x(t[..., i]) for i, line in enumerate(lines)], axis=-1)
    measure = weight * np.prod(half, axis=-1)
    for i, line in enumerate(lines):
        measure = measure * line.slope(t[..., i])
    flat = x.reshape(shape)
    values = np.concatenate(
        [integrand(flat[i : i + _BLOCK]) for i in range(0, len(flat), _BLOCK)]
    ).reshape(*measure.shape, -1)
    values = values * measure[..., None]
    return values.sum(axis=1), np.abs(values).sum(axis=1)
