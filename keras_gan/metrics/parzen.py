"""The Parzen-window log-likelihood estimate of the 2014 paper (Breuleux et al. 2011).

It is biased and noisy in high dimensions and rewards memorising (Theis et al., A note
on the evaluation of generative models, arXiv 1511.01844): read it beside the same
estimate with training examples as centres.
"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from keras_gan import checks
from keras_gan.metrics._distances import (
    distance_blocks,
    matched_rows,
    standard_error,
)

# The ten widths among which the paper's released script searches.
PAPER_SIGMAS = np.logspace(-1, 0, 10)


@dataclasses.dataclass(frozen=True, eq=False)
class ParzenEstimate:
    """The result of `parzen_estimate`; log-likelihoods in nats.

    Attributes:
        sigma: float, the width that was chosen.
        mean: float, of the test examples' log-likelihoods.
        standard_error: float, their std(ddof=1) / sqrt(M): the ± of the paper's table 1
            for MNIST. It knows nothing of other draws of centres, nor of other training
            runs. NaN for one test example.
        log_likelihoods: float64 `(M,)`, one for each test example.
        validation_means: float64 `(S,)`, of the validation examples at each width.
        sigmas: float64 `(S,)`, the widths that were tried, in the same order.
    """

    sigma: float
    mean: float
    standard_error: float
    log_likelihoods: np.ndarray
    validation_means: np.ndarray
    sigmas: np.ndarray

    @property
    def sigma_at_edge(self) -> bool:
        """Whether the chosen width is the smallest or largest of those tried, so that a
        better one may lie outside."""
        return self.sigma in (self.sigmas.min(), self.sigmas.max())


def parzen_log_likelihood(
    examples, centres, sigma: float, block_size: int = 1000
) -> np.ndarray:
    """Returns log 1/N sum_i N(x; c_i, sigma^2 I) for each example x.

    Args:
        examples: array `(M, ...)`, flattened to `(M, D)`.
        centres: array `(N, ...)`, flattened to `(N, D)`.
        sigma: float > 0, the Gaussians' standard deviation, in units of the data.
        block_size: int, examples and centres at once, fewer where D is large; memory
            beyond the data is about 4 * 8 * block_size * (block_size + D) bytes.

    Returns:
        float64 `(M,)`, in nats.

    Raises:
        ValueError: sigma <= 0, no examples, no centres, examples of another shape than
            centres, or NaN or infinity in either.
    """
    examples, centres = matched_rows(examples=examples, centres=centres)
    sigmas = _checked_sigmas([sigma])
    checks.count("block_size", block_size)
    return _log_likelihoods(examples, centres, sigmas, block_size)[0]


def parzen_estimate(
    test,
    validation,
    centres,
    sigmas=PAPER_SIGMAS,
    block_size: int = 1000,
    progress=None,
) -> ParzenEstimate:
    """Estimates by the protocol of the paper's table 1: sigma from validation examples,
    the mean from test examples.

    The paper takes 10,000 samples as centres, sigma from `PAPER_SIGMAS` on the first
    1,000 validation images, and the mean over the 10,000 test images.

    Args:
        test, validation, centres: arrays `(M, ...)`, `(V, ...)`, `(N, ...)`.
        sigmas: floats > 0 `(S,)`, in units of the data. The one with the largest mean
            log-likelihood of `validation` is taken, the first among equals.
        block_size: int, as in `parzen_log_likelihood`.
        progress: None, or a function called after each block with the share of the
            work that is done, a float in (0, 1].

    Returns:
        `ParzenEstimate`.

    Raises:
        ValueError: as in `parzen_log_likelihood`, or no sigmas.
    """
    test, validation, centres = matched_rows(
        test=test, validation=validation, centres=centres
    )
    sigmas = _checked_sigmas(sigmas)
    checks.count("block_size", block_size)
    pairs = (len(validation) + len(test)) * len(centres)
    done = 0

    def advance(count):
        nonlocal done
        done += count
        if progress is not None:
            progress(done / pairs)

    validation_means = _log_likelihoods(
        validation, centres, sigmas, block_size, advance
    ).mean(axis=1)
    best = int(np.argmax(validation_means))
    log_likelihoods = _log_likelihoods(
        test, centres, sigmas[best : best + 1], block_size, advance
    )[0]
    return ParzenEstimate(
        sigma=float(sigmas[best]),
        mean=float(log_likelihoods.mean()),
        standard_error=standard_error(log_likelihoods),
        log_likelihoods=log_likelihoods,
        validation_means=validation_means,
        sigmas=sigmas,
    )


def _checked_sigmas(sigmas):
    values = np.array(sigmas, np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(
            f"Expected sigmas (S,), S >= 1. Received: an array of shape {values.shape}"
        )
    for sigma in values:
        if not 0 < sigma < math.inf:
            raise ValueError(f"Expected sigma > 0 and finite. Received: {sigma}")
    return values


def _log_likelihoods(examples, centres, sigmas, block_size, advance=None):
    """float64 `(S, M)`; `advance` takes the number of pairs in each block done."""
    log_sums = np.full((len(sigmas), len(examples)), -np.inf)
    origin = centres.mean(axis=0, dtype=np.float64)
    blocks = distance_blocks(examples, centres, block_size, origin)
    for rows, columns, squared in blocks:
        smallest = tf.reduce_min(squared, axis=1)
        # One distance serves all widths; exp(0) is in each sum, so none underflows.
        squared -= smallest[:, None]
        for index, sigma in enumerate(sigmas):
            rate = tf.constant(-0.5 / sigma**2, tf.float64)
            block = _log_sum_exp(squared, rate) + rate * smallest
            log_sums[index, rows] = np.logaddexp(log_sums[index, rows], block)
        if advance is not None:
            advance((rows.stop - rows.start) * (columns.stop - columns.start))
    log_normalizers = np.log(len(centres)) + examples.shape[1] * np.log(
        sigmas * np.sqrt(2 * np.pi)
    )
    return log_sums - log_normalizers[:, None]


@tf.function(
    input_signature=[
        tf.TensorSpec([None, None], tf.float64),
        tf.TensorSpec([], tf.float64),
    ]
)
def _log_sum_exp(excess, rate):
    """log sum_j exp(rate * excess_ij), where each row's least excess is 0."""
    return tf.math.log(tf.reduce_sum(tf.exp(rate * excess), axis=1))
