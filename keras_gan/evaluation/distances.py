"""How features of samples are compared with those of real images."""

import logging

import numpy as np

from keras_gan import metrics

# Values of a sample up to which covariances are taken: 32x32x3, CIFAR-10's. One matrix
# of float64 has 75 MB there. At 64x64x3 it has 1.2 GB, at 128x128x3 19 GB, and the
# square roots take hours.
MAX_COVARIANCE_VALUES = 32 * 32 * 3
# Values that deviate by so many times the typical deviation leave float64 no digits of
# a kernel distance, which takes their third power.
_MOST_DEVIATION = 1e5
# The typical deviation is estimated from at least this many values, if there are more.
_TYPICAL_VALUES = 1_000_000

_log = logging.getLogger("keras_gan")


def feature_scores(
    real, fake, nearest_k: int = 5, subset_size: int = 1000, progress=None
) -> dict:
    """Computes every measure that compares features of real images and of samples.

    Args:
        real, fake: float arrays `(M, D)` and `(N, D)`.
        nearest_k: int, see `metrics.prdc`.
        subset_size: int, see `metrics.kernel_distance`.
        progress: None, or a function of the share done, a float in [0, 1].

    Returns:
        dict of floats: `frechet_distance` and `frechet_rank_deficient`, a bool: whether
        either set has no more examples than features (both only where D <=
        `MAX_COVARIANCE_VALUES`), `kernel_distance`, `kernel_distance_standard_error`
        (None for one subset), `precision`, `recall`, `density`, `coverage`.

    Raises:
        ValueError: as these measures.
    """
    report_progress = progress or (lambda share: None)
    report_progress(0.0)
    kernel = metrics.kernel_distance(real, fake, subset_size=subset_size)
    _warn_of_outliers(real, fake)
    scores = {}
    if not too_many_values(real.shape[1]):
        moments = moments_of(real), moments_of(fake)
        scores["frechet_distance"] = metrics.frechet_distance(*moments)
        scores["frechet_rank_deficient"] = any(m.rank_deficient for m in moments)
    scores["kernel_distance"] = kernel.distance
    # One subset has no spread, and JSON no NaN.
    scores["kernel_distance_standard_error"] = (
        kernel.standard_error if kernel.num_subsets > 1 else None
    )
    report_progress(0.3)
    neighbours = metrics.prdc(real, fake, nearest_k=nearest_k)
    for name in ("precision", "recall", "density", "coverage"):
        scores[name] = getattr(neighbours, name)
    report_progress(1.0)
    return scores


def _warn_of_outliers(*sets):
    """Logs a warning where the rounding of a few values drowns the distances."""
    for rows in sets:
        rows = np.asarray(rows)
        # Some rows tell what is typical: medians of all take two copies.
        some = rows[:: max(1, rows.size // _TYPICAL_VALUES)]
        middle = np.median(some)
        typical = np.median(np.abs(some - middle))
        farthest = max(rows.max() - middle, middle - rows.min())
        if typical and farthest > _MOST_DEVIATION * typical:
            _log.warning(
                "Features of up to %.3g lie among typical ones of %.3g: the kernel "
                "distance is rounding, and the Frechet distance loses digits. Leave "
                "these samples out.",
                farthest,
                typical,
            )


def too_many_values(num_values: int) -> bool:
    """Returns whether a covariance of so many values a sample is left out."""
    return num_values > MAX_COVARIANCE_VALUES


def why_no_covariance(num_values: int) -> str | None:
    """Returns, in one line, why raw pixels have no Frechet distance; None if they have.

    Args:
        num_values: int, values in one sample.
    """
    if not too_many_values(num_values):
        return None
    return (
        f"left out, because a covariance of {num_values:,} values a sample takes "
        f"{8 * num_values**2 / 1e9:.1f} GB (the limit is {MAX_COVARIANCE_VALUES:,} "
        "values); compare by the features of a classifier or of Inception instead"
    )


def moments_of(rows, chunk_size: int = 4096) -> metrics.Moments:
    """Returns the `metrics.Moments` of an array `(N, ...)`, in float64 by chunks."""
    moments = metrics.Moments()
    for start in range(0, len(rows), chunk_size):
        moments.update(rows[start : start + chunk_size])
    return moments


def data_moments(data, chunk_size: int = 4096) -> metrics.Moments:
    """Returns the `metrics.Moments` of all examples of a `Dataset`, on raw values."""
    moments = metrics.Moments()
    for start in range(0, len(data), chunk_size):
        moments.update(data.examples(slice(start, start + chunk_size)))
    return moments
