"""Adaptive quadrature of vector-valued integrands in one and two dimensions.

The rule and its error are SciPy's: `scipy.integrate.cubature`, Gauss-Kronrod. The loop
that halves cells is ours, because a TFP density costs 0.4 ms (a normal) to 40 ms (a
mixture of multivariate normals) per call, for one point as for ten thousand. SciPy's
loop calls the density twice for each cell, and `quad_vec` calls it for each point; here
two calls serve all cells that have not converged yet.
"""

import dataclasses

import numpy as np
import tensorflow_probability as tfp
from scipy.integrate import cubature

from keras_gan.theory.densities import BLOCK, sample, support

tfd = tfp.distributions

# By dimension.
QUANTILES = {1: 257, 2: 9}  # of each distribution, as edges of the first cells
# Powers of two: steps beyond the outermost samples, in units of a distribution's width.
# The small ones are for a density that ends just beyond them.
STEPS = {1: np.arange(-14, 5), 2: np.arange(-2, 5)}
TOLERANCE = {1: 1e-13, 2: 1e-10}  # absolute, per cell
# The rule has 15 nodes per axis. A jump along a curve in the plane never converges: it
# ends here, with the error of its last cells.
MAX_CELLS = 10_000
# Widths in t at which rounding ends the search for a jump or a pole.
NARROWEST = 1e-13


@dataclasses.dataclass(frozen=True)
class Cells:
    """Integrals over cells that together cover R or R^2.

    Attributes:
        coordinates: Coordinates, in which the cells are boxes.
        lows, highs: float64 `(n, d)`, their corners in t.
        values: float64 `(n, C)`, the integral of each column over each cell.
        errors: float64 `(n, C)`, a bound on the error of each.
    """

    coordinates: "Coordinates"
    lows: np.ndarray
    highs: np.ndarray
    values: np.ndarray
    errors: np.ndarray

    @property
    def value(self) -> np.ndarray:
        """The integrals over all of the space, `(C,)`."""
        return self.values.sum(axis=0)

    @property
    def error(self) -> np.ndarray:
        """A bound on the error of `value`, `(C,)`."""
        return self.errors.sum(axis=0)


class Coordinates:
    """R^d as the image of t in (-1, 1)^d: x = centre + scale t / (1 - t^2), per axis.

    Centre and scale are those of samples of the distributions, so that their bulk fills
    the cube; a tail that falls as slowly as 1 / x^2 remains a smooth function of t.

    Args:
        distributions: one or two continuous TFP distributions of one event shape, (),
            (1,) or (2,).
        seed: int >= 0, of the samples.
    """

    def __init__(self, distributions: list[tfd.Distribution], seed: int = 0):
        self.event = tuple(distributions[0].event_shape)
        self.dimension = len(np.zeros(self.event).ravel())
        # (4096, d) each.
        self.samples = [
            sample(distribution, 4096, seed, 2).reshape(-1, self.dimension)
            for distribution in distributions
        ]
        supports = [support(distribution)[:2] for distribution in distributions]
        self.ends = np.reshape(supports, (-1, self.dimension))
        pooled = np.concatenate(self.samples)
        self.centre = np.median(pooled, axis=0)
        low, high = np.quantile(pooled, (0.05, 0.95), axis=0)
        self.scale = np.where(high > low, high - low, 1.0)

    def to_x(self, t: np.ndarray) -> np.ndarray:
        """Maps t `(..., d)` to x `(..., d)`."""
        with np.errstate(divide="ignore"):
            return self.centre + self.scale * t / (1 - t**2)

    def to_t(self, x: np.ndarray) -> np.ndarray:
        """Maps finite x `(..., d)` to t `(..., d)`."""
        ratio = 2 * (x - self.centre) / self.scale
        return ratio / (1 + np.hypot(1.0, ratio))

    def volume(self, t: np.ndarray) -> np.ndarray:
        """Returns dx / dt at t `(..., d)`, the Jacobian determinant `(...)`."""
        return (self.scale * (1 + t**2) / (1 - t**2) ** 2).prod(axis=-1)

    def first_cells(self, breakpoints=()) -> tuple[np.ndarray, np.ndarray]:
        """Cuts the space at quantiles of the samples, ends of supports, breakpoints.

        The quantiles show where the densities have their mass, however narrow. Steps
        that double lead from the outermost samples into the tails.

        Args:
            breakpoints: finite numbers; in two dimensions a pair of sequences, one for
                each axis.

        Returns:
            (lows, highs) in t, float64 `(n, d)`.

        Raises:
            ValueError: other breakpoints.
        """
        if self.dimension == 1:
            breakpoints = [breakpoints]
        elif len(breakpoints) == 0:
            breakpoints = [()] * self.dimension
        if len(breakpoints) != self.dimension or any(
            np.ndim(points) != 1 or not np.isfinite(points).all()
            for points in breakpoints
        ):
            raise ValueError(
                "Expected breakpoints to be finite numbers, in two dimensions a pair "
                "of sequences, one for each axis. Received: "
                f"{' '.join(repr(breakpoints).split())}"
            )
        levels = np.linspace(0, 1, QUANTILES[self.dimension])
        points = [self.ends]  # (number, d) each
        for samples in self.samples:
            inner = np.quantile(samples, levels, axis=0)
            low, high = np.quantile(samples, (0.05, 0.95), axis=0)
            steps = (high - low) * 2.0 ** STEPS[self.dimension][:, None]
            points += [inner, inner[0] - steps, inner[-1] + steps]
        edges = []
        for axis, jumps in enumerate(breakpoints):
            x = np.concatenate([p[:, axis] for p in points] + [np.float64(jumps)])
            x = np.stack([x[np.isfinite(x)]] * self.dimension, axis=-1)
            edges.append(np.unique([-1.0, *self.to_t(x)[:, axis], 1.0]))
        return tuple(
            np.stack(np.meshgrid(*corner, indexing="ij"), axis=-1).reshape(
                -1, self.dimension
            )
            for corner in ([e[:-1] for e in edges], [e[1:] for e in edges])
        )


def integrate(
    integrand,
    distributions: list[tfd.Distribution],
    breakpoints=(),
    single: bool = False,
    seed: int = 0,
) -> Cells:
    """Integrates the columns of a function over R or R^2.

    Cells are halved along each axis until the rule's error in a cell is small; this
    finds jumps and poles. The densities themselves are integrated as well: where one
    does not give 1, the cells have missed a part of it, or it is no density.

    Args:
        integrand: a function from x `(N, *event_shape)` to float64 `(N, C)`, whose
            first columns are the densities of `distributions`.
        distributions: one or two continuous TFP distributions of one event shape, (),
            (1,) or (2,).
        breakpoints: where the integrand jumps, or has narrow parts; see
            `Coordinates.first_cells`.
        single: whether the integrand is only as accurate as float32.
        seed: int >= 0, of the samples that place the first cells.

    Returns:
        Cells. A column that is infinite on more than points has an infinite `value`;
        the other columns are then unfinished.

    Raises:
        ValueError: another event shape, other breakpoints, or a density whose integral
            is not 1.
    """
    event = tuple(distributions[0].event_shape)
    if event not in ((), (1,), (2,)):
        raise ValueError(
            "Expected event shape (), (1,) or (2,) for quadrature. Received: "
            f"{event}; use method='monte_carlo'"
        )
    coordinates = Coordinates(distributions, seed)
    dimension = coordinates.dimension
    lows, highs = coordinates.first_cells(breakpoints)
    corners = np.array(list(np.ndindex(*[2] * dimension)))  # (2^d, d) of 0 and 1
    relative = 64 * np.finfo(np.float32 if single else np.float64).eps
    finished, num_cells = [], 0
    while len(lows):
        values, errors = apply_rule(integrand, coordinates, lows, highs)
        num_cells += len(lows)
        # In the narrowest cells a point that rounding puts on the edge of a support,
        # where the integrand may be infinite, has no mass.
        narrow = (highs - lows).min(axis=1) < NARROWEST
        for array in (values, errors):
            array[narrow] = np.where(np.isfinite(array[narrow]), array[narrow], 0.0)
        if np.isinf(values).any():  # no halving changes that
            return Cells(coordinates, lows, highs, values, errors)
        # All columns share the rounding of the densities, hence the largest of them.
        rounding = relative * np.abs(values).max(axis=1, keepdims=True)
        small = (errors <= TOLERANCE[dimension] + rounding).all(axis=1)
        done = narrow | small
        if num_cells + len(corners) * (~done).sum() > MAX_CELLS:
            done[:] = True
        finished.append((lows[done], highs[done], values[done], errors[done]))
        half = (highs - lows)[~done, None] / 2  # (cells, 1, d)
        lows = (lows[~done, None] + corners * half).reshape(-1, dimension)
        highs = lows + np.repeat(half[:, 0], len(corners), axis=0)
    columns = (np.concatenate(column) for column in zip(*finished, strict=True))
    cells = Cells(coordinates, *columns)
    for distribution, mass, error in zip(
        distributions, cells.value, cells.error, strict=False
    ):
        if not abs(mass - 1) <= (1e-5 if single else 1e-6) + error:
            raise ValueError(
                "Expected a density whose integral is 1. Received: "
                f"{distribution.name}, whose integral was found to be {mass:.8g}; "
                "where it is a density, pass `breakpoints` around its narrowest parts."
            )
    return cells


def apply_rule(
    integrand, coordinates: Coordinates, lows: np.ndarray, highs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Applies the Gauss-Kronrod rule to each of n cells, all in one call.

    The integral over a cell is one over the unit cube, and the integrand's values in
    all cells are one long vector; an infinite tolerance keeps SciPy from halving.

    Args:
        integrand: a function from x `(N, *event_shape)` to float64 `(N, C)`.
        coordinates: Coordinates.
        lows, highs: float64 `(n, d)`, corners in t.

    Returns:
        (integrals, errors), float64 `(n, C)`.
    """
    width = highs - lows

    def in_all_cells(unit):  # (nodes, d) to (nodes, n, C)
        t = lows + unit[:, None] * width
        measure = coordinates.volume(t) * width.prod(axis=-1)
        x = coordinates.to_x(t).reshape((-1, *coordinates.event))
        values = [integrand(x[i : i + BLOCK]) for i in range(0, len(x), BLOCK)]
        return np.concatenate(values).reshape(*measure.shape, -1) * measure[..., None]

    zeros, ones = np.zeros(lows.shape[1]), np.ones(lows.shape[1])
    with np.errstate(invalid="ignore"):  # infinity less infinity, as an error
        rule = cubature(in_all_cells, zeros, ones, rule="gk15", atol=np.inf)
    return rule.estimate, rule.error
