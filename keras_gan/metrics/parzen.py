"""The Parzen-window log-likelihood estimate of the 2014 paper (Breuleux et al. 2011).

It is biased and noisy in high dimensions and rewards memorising (Theis et al., A note
on the evaluation of generative models, arXiv 1511.01844): read it beside the same
estimate with training examples as centres.
"""

import math

import numpy as np


def parzen_log_likelihood(examples, centres, sigma, block_size=1000):
    """log 1/N sum_i N(x; c_i, sigma^2 I) for each example x.

    Squared distances come from matrix products, |x|^2 - 2 x.c + |c|^2, after moving the
    centres' mean to the origin, which keeps the terms, and with them the cancellation,
    as small as the data's spread allows.

    Args:
        examples: array `(M, ...)`, flattened to `(M, D)`.
        centres: array `(N, ...)`, flattened to `(N, D)`.
        sigma: float > 0, the Gaussians' standard deviation, in units of the data.
        block_size: int, examples at once; memory is about 16 * block_size * N bytes.

    Returns:
        float64 `(M,)`, in nats.

    Raises:
        ValueError: sigma <= 0, no centres, or examples of another size.
    """
    examples = np.asarray(examples, np.float64)
    centres = np.asarray(centres, np.float64)
    if not sigma > 0:
        raise ValueError(f"Expected sigma > 0. Received: {sigma}")
    if not len(centres) or examples.shape[1:] != centres.shape[1:]:
        raise ValueError(
            "Expected examples (M, ...) and centres (N, ...) of one shape, N >= 1. "
            f"Received: {examples.shape} and {centres.shape}"
        )
    size = math.prod(centres.shape[1:])
    examples, centres = examples.reshape(-1, size), centres.reshape(-1, size)
    origin = centres.mean(axis=0)
    centres = centres - origin
    centre_norms = np.sum(centres**2, axis=1)
    log_normalizer = np.log(len(centres)) + examples.shape[1] * np.log(
        sigma * np.sqrt(2 * np.pi)
    )
    result = np.empty(len(examples))
    for start in range(0, len(examples), block_size):
        block = examples[start : start + block_size] - origin
        squared = np.sum(block**2, axis=1)[:, None] - 2 * block @ centres.T
        squared += centre_norms
        exponents = np.maximum(squared, 0.0, out=squared)
        exponents *= -0.5 / sigma**2
        largest = exponents.max(axis=1, keepdims=True)
        sums = np.exp(exponents - largest, out=exponents).sum(axis=1)
        result[start : start + block_size] = largest[:, 0] + np.log(sums)
    return result - log_normalizer
