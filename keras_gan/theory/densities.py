"""TFP distributions and discriminators as functions of NumPy arrays, in float64."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

# Rows per call, which bounds the memory of a discriminator's layers.
BLOCK = 1 << 16


def check_pair(p: tfd.Distribution, q: tfd.Distribution) -> None:
    """Checks that two distributions have a density on the same space.

    Raises:
        ValueError: other types, a batch shape, discrete distributions other than
            `tfd.Categorical`, or different spaces.
    """
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
        or (isinstance(p, tfd.Categorical) and num_outcomes(p) != num_outcomes(q))
    ):
        raise ValueError(
            "Expected two distributions over the same space. Received: "
            f"{_describe(p)} and {_describe(q)}"
        )


def check_one_dimension(distribution: tfd.Distribution) -> None:
    """Checks that a distribution is continuous, with event shape () or (1,).

    Raises:
        ValueError: it is not.
    """
    check_pair(distribution, distribution)
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
        kind += f" over {num_outcomes(distribution)} outcomes"
    return kind


def num_outcomes(categorical: tfd.Categorical) -> int:
    """Returns the number of outcomes of a categorical distribution."""
    return int(categorical.probs_parameter().shape[-1])


def log_density(distribution: tfd.Distribution):
    """Returns a function from x `(..., *event_shape)` to log densities `(...)`.

    Its values are float64 and -inf outside the support. It raises ValueError where x
    has another shape or contains NaN, or where TFP returns NaN.
    """
    if isinstance(distribution, tfd.Categorical):
        with np.errstate(divide="ignore"):
            table = np.log(np.asarray(distribution.probs_parameter(), np.float64))
        return lambda x: table[x.astype(np.int64)]
    low, high, within = support(distribution)
    event = tuple(distribution.event_shape)
    dtype = distribution.dtype.as_numpy_dtype

    def function(x):
        if x.shape[x.ndim - len(event) :] != event or np.isnan(x).any():
            raise ValueError(
                f"Expected x of shape {('...', *event)} without NaN, as "
                f"{distribution.name} has it. Received: shape {x.shape}, "
                f"{np.count_nonzero(np.isnan(x))} NaN"
            )
        inside = (x >= low) & (x <= high)
        try:
            # Outside the support TFP may return NaN, or evaluate the formula there
            # (a Gamma, an Exponential): it is asked about a point inside instead.
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

    return function


def support(distribution: tfd.Distribution):
    """Returns the ends of a support and a point inside it, along each axis.

    TFP does not tell the support, but it has a bijector that maps R onto it: the ends
    are the images of very large numbers, the point inside is the image of 0.

    Returns:
        (low, high, inside), arrays of the event shape; (-inf, inf, 0) where TFP has no
        such bijector.
    """
    event = tuple(distribution.event_shape)
    far = np.full(event, 1e30, distribution.dtype.as_numpy_dtype)
    try:
        bijector = distribution.experimental_default_event_space_bijector()
        ends = [
            np.asarray(bijector.forward(t), np.float64) for t in (-far, far, 0 * far)
        ]
    except Exception:  # a bijector may raise anything, or not be there
        ends = [np.full(event, np.nan)] * 3
    low, high, inside = np.minimum(*ends[:2]), np.maximum(*ends[:2]), ends[2]
    # NaN fails the comparisons too.
    if low.shape != event or not ((low < inside) & (inside < high)).all():
        return np.full(event, -np.inf), np.full(event, np.inf), np.zeros(event)
    return (
        np.where(low > -1e20, low, -np.inf),
        np.where(high < 1e20, high, np.inf),
        inside,
    )


def evaluate(function, x: np.ndarray) -> np.ndarray:
    """Evaluates a discriminator, or another function of samples, in blocks of rows.

    Args:
        function: from `(N, ...)` to one number each, `(N,)` or `(N, 1)`.
        x: array `(N, ...)`.

    Returns:
        float64 `(N,)`.

    Raises:
        ValueError: the function returns another shape.
    """
    blocks = []
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        result = np.asarray(function(block))
        if result.shape not in ((len(block),), (len(block), 1)):
            raise ValueError(
                "Expected a function that gives one number for each x, shape (N,) or "
                f"(N, 1). Received: x {block.shape}, result {result.shape}"
            )
        blocks.append(result.astype(np.float64).reshape(-1))
    return np.concatenate(blocks)


def sample(
    distribution: tfd.Distribution, count: int, seed: int, stream: int
) -> np.ndarray:
    """Draws samples that are a function of (seed, stream) alone.

    Returns:
        float64 `(count, *event_shape)`, or integers where the distribution is discrete.

    Raises:
        ValueError: a sample is NaN or infinite.
    """
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


def in_one_line(array: np.ndarray) -> str:
    """Returns an array as one line of text, shortened, for messages."""
    text = np.array2string(array, threshold=6, max_line_width=10**6)
    return " ".join(text.split())
