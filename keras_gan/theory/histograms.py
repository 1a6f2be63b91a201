"""Quantiles of a one-dimensional density, and the JSD of samples in its bins."""

import math

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.optimize.elementwise import find_root

from keras_gan import checks
from keras_gan.theory.densities import (
    check_one_dimension,
    in_one_line,
    log_density,
    support,
)
from keras_gan.theory.integration import Coordinates, apply_rule, integrate

tfd = tfp.distributions


def quantile(distribution: tfd.Distribution, levels) -> np.ndarray:
    """Returns the x below which a distribution has the probabilities `levels`.

    It inverts the distribution's cdf, or the integral of its density where TFP has no
    cdf (a MultivariateNormalDiag, or a mixture of these).

    Args:
        distribution: a continuous TFP distribution, event shape () or (1,).
        levels: array `(L,)`, each in (0, 1).

    Returns:
        float64 `(L,)`.

    Raises:
        ValueError: another event shape, or other levels.
    """
    check_one_dimension(distribution)
    levels = np.asarray(levels, np.float64)
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
        raise ValueError(
            f"Expected levels (L,), each in (0, 1). Received: {in_one_line(levels)}"
        )
    cumulative = _cumulative(distribution)
    coordinates = Coordinates([distribution])

    def to_x(t):
        return coordinates.to_x(t[:, None])[:, 0]

    def excess(t, level):
        return cumulative(to_x(t)) - level

    # In t every quantile lies in one short interval; its ends are 5e11 scales away.
    most = 1 - 1e-12
    return to_x(find_root(excess, (-most, most), args=(levels,)).x)


def quantile_edges(distribution: tfd.Distribution, num_bins: int) -> np.ndarray:
    """Returns edges that cut a distribution into bins of equal probability.

    Args:
        distribution: a continuous TFP distribution, event shape () or (1,).
        num_bins: int >= 2.

    Returns:
        float64 `(num_bins - 1,)`, the quantiles j / num_bins, ascending. With the two
        outer bins, which reach to infinity, they make num_bins bins.

    Raises:
        ValueError: another event shape, or fewer bins.
    """
    checks.count("num_bins", num_bins, 2)
    return quantile(distribution, np.arange(1, num_bins) / num_bins)


def binned_jensen_shannon_divergence(
    samples, distribution: tfd.Distribution, edges
) -> float:
    """Returns the JSD between bin masses and the shares of samples in the bins.

    Masses are exact: from the distribution's cdf, or from the integral of its density
    where TFP has no cdf. Two errors work against each other. Binning only loses: with
    infinitely many samples the result is at most the JSD of the densities. And n
    samples scatter: where they come from the distribution itself, the JSD is to second
    order 1/8 sum (share - mass)^2 / mass, whose mean is (bins - 1) / (8 n), with bins =
    edges + 1. Read a result of this size as 0.

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
    check_one_dimension(distribution)
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
            f"{in_one_line(edges)}"
        )
    cumulative = np.concatenate([[0.0], _cumulative(distribution)(edges), [1.0]])
    mass = np.maximum(np.diff(cumulative), 0.0)
    # A sample on an edge belongs to the bin on its left, as in P(x <= edge).
    bins = np.searchsorted(edges, samples.ravel(), side="left")
    share = np.bincount(bins, minlength=len(mass)) / samples.size
    with np.errstate(divide="ignore", invalid="ignore"):
        log_mass, log_share = np.log(mass), np.log(share)
        log_m = np.logaddexp(log_mass, log_share) - math.log(2.0)
        terms = np.where(mass > 0, mass * (log_mass - log_m), 0.0)
        terms += np.where(share > 0, share * (log_share - log_m), 0.0)
    return float(max(0.0, terms.sum() / 2))


def _cumulative(distribution):
    """Returns the cdf of a distribution as a function of float64 `(N,)`."""
    event = tuple(distribution.event_shape)
    low, high, _ = support(distribution)

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
    """Returns the cdf from the density, where TFP has no cdf."""
    log_p = log_density(distribution)

    def density(x):
        return np.exp(log_p(x))[:, None]

    single = distribution.dtype != tf.float64
    cells = integrate(density, [distribution], single=single)
    order = np.argsort(cells.lows[:, 0])
    lows = cells.lows[order]
    before = np.concatenate([[0.0], np.cumsum(cells.values[order, 0])])

    def cdf(x):
        t = cells.coordinates.to_t(x[:, None])
        cell = np.searchsorted(lows[:, 0], t[:, 0], side="right") - 1
        part, _ = apply_rule(density, cells.coordinates, lows[cell], t)
        return np.clip((before[cell] + part[:, 0]) / before[-1], 0.0, 1.0)

    return cdf
