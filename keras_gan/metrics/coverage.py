"""Which modes or classes the samples reach, and how evenly.

A generator that "collapses too many values of z to the same value of x" (the Helvetica
scenario; Goodfellow et al. 2014, section 6) shows in the counts.
"""

import dataclasses
import math

import numpy as np
import tensorflow_probability as tfp

from keras_gan import checks
from keras_gan.metrics._distances import matched_rows

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True, eq=False)
class ModeCoverage:
    """The result of `mode_coverage`.

    Attributes:
        modes_covered: int, modes to which a sample of high quality is nearest.
        num_modes: int.
        high_quality_share: float, of all samples.
        reverse_kl: float, nats, KL(high-quality samples' shares of the modes ||
            uniform): 0 when even, log(num_modes) when all lie at one mode; NaN where no
            sample is of high quality.
        counts: int64 `(num_modes,)`, high-quality samples by their nearest mode.
    """

    modes_covered: int
    num_modes: int
    high_quality_share: float
    reverse_kl: float
    counts: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class ClassCoverage:
    """The result of `class_coverage`.

    Attributes:
        shares: float64 `(num_classes,)`, of the samples.
        classes_covered: int, classes that a sample was assigned to.
        num_classes: int.
        kl_divergence: float, nats, KL(shares || reference shares); infinite where a
            sample is of a class that the reference does not have.
    """

    shares: np.ndarray
    classes_covered: int
    num_classes: int
    kl_divergence: float


def mode_coverage(samples, modes, scale: float, within: float = 3.0) -> ModeCoverage:
    """Counts modes as in section 4 of PacGAN (Lin et al., arXiv 1712.04086), which
    follows VEEGAN (Srivastava et al., arXiv 1705.07761).

    A sample is of high quality within `within` standard deviations of its nearest mode,
    and a mode is covered when one such sample is nearest to it. Even samples of the
    data's own distribution are not all of high quality: in two dimensions and within 3,
    a share of 1 - exp(-9/2), 0.989, is.

    Args:
        samples: array `(N, D)`.
        modes: array `(M, D)`, the means of equally weighted isotropic Gaussians.
        scale: float > 0, the standard deviation of each along any axis.
        within: float > 0, the Euclidean distance allowed, in units of `scale`.

    Returns:
        `ModeCoverage`.

    Raises:
        ValueError: no samples or modes, other features, NaN or infinity, or a scale or
            distance that is not positive.
    """
    samples, modes = matched_rows(samples=samples, modes=modes)
    for name, value in (("scale", scale), ("within", within)):
        if not 0 < value < math.inf:
            raise ValueError(f"Expected {name} > 0 and finite. Received: {value}")
    samples = np.asarray(samples, np.float64)
    # Few modes: differences, mode by mode, are exact where products are not.
    distances = np.stack(
        [np.linalg.norm(samples - np.asarray(m, np.float64), axis=1) for m in modes]
    )
    nearest = distances.argmin(axis=0)
    good = distances.min(axis=0) <= within * scale
    counts = np.bincount(nearest[good], minlength=len(modes))
    uniform = np.full(len(modes), 1.0 / len(modes))
    return ModeCoverage(
        modes_covered=int(np.count_nonzero(counts)),
        num_modes=len(modes),
        high_quality_share=float(good.mean()),
        reverse_kl=_divergence(counts / counts.sum(), uniform)
        if good.any()
        else math.nan,
        counts=counts,
    )


def modes_of(distribution) -> tuple[np.ndarray, float]:
    """Returns the modes and the scale of a mixture, as `mode_coverage` takes them.

    Args:
        distribution: `tfp.distributions.MixtureSameFamily` of equally weighted
            Gaussians with one isotropic covariance, event shape (D,): the
            `distribution` of the toy data sets.

    Returns:
        (modes, scale): float64 `(M, D)` and a float.

    Raises:
        ValueError: any other distribution.
    """

    def refuse(what):
        raise ValueError(
            "Expected a MixtureSameFamily of equally weighted Gaussians with one "
            f"isotropic covariance. Received: {what}"
        )

    if not isinstance(distribution, tfd.MixtureSameFamily):
        refuse(type(distribution).__name__)
    components = distribution.components_distribution
    if not isinstance(components, tfd.MultivariateNormalLinearOperator):
        refuse(f"components {type(components).__name__}")
    modes = np.asarray(components.mean(), np.float64)
    if modes.ndim != 2:
        refuse(f"a batch of mixtures, with means {modes.shape}")
    weights = np.asarray(distribution.mixture_distribution.probs_parameter())
    if not np.allclose(weights, 1 / len(modes), rtol=1e-5):
        refuse(f"weights from {weights.min():.3g} to {weights.max():.3g}")
    covariances = np.broadcast_to(
        np.asarray(components.covariance(), np.float64), (*modes.shape, modes.shape[1])
    )
    variance = covariances[0, 0, 0]
    isotropic = variance * np.eye(modes.shape[1])
    if not np.allclose(covariances, isotropic, rtol=1e-5, atol=1e-5 * variance):
        refuse("covariances that differ along axes or between components")
    return modes, float(np.sqrt(variance))


def class_coverage(labels, num_classes: int, reference_shares=None) -> ClassCoverage:
    """Counts the classes that a classifier assigned to samples.

    Args:
        labels: integers `(N,)` in [0, num_classes).
        num_classes: int >= 1.
        reference_shares: floats `(num_classes,)` >= 0 that sum to 1, the classes'
            shares of the data; uniform by default.

    Returns:
        `ClassCoverage`.

    Raises:
        ValueError: no labels, labels that are no such integers, or other shares.
    """
    checks.count("num_classes", num_classes)
    labels = np.asarray(labels)
    if labels.ndim != 1 or not len(labels) or labels.dtype.kind not in "iu":
        raise ValueError(
            "Expected integer labels (N,), N >= 1. "
            f"Received: {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"Expected labels in [0, {num_classes}). "
            f"Received: {labels.min()} to {labels.max()}"
        )
    if reference_shares is None:
        reference = np.full(num_classes, 1.0 / num_classes)
    else:
        reference = np.asarray(reference_shares, np.float64)
        if (
            reference.shape != (num_classes,)
            or not (reference >= 0).all()
            or not abs(reference.sum() - 1.0) < 1e-6
        ):
            raise ValueError(
                f"Expected {num_classes} reference shares >= 0 that sum to 1. "
                f"Received: shape {reference.shape}, sum {reference.sum():.6g}, least "
                f"{reference.min(initial=math.inf):.6g}"
            )
        reference = reference / reference.sum()
    counts = np.bincount(labels, minlength=num_classes)
    shares = counts / len(labels)
    return ClassCoverage(
        shares=shares,
        classes_covered=int(np.count_nonzero(counts)),
        num_classes=int(num_classes),
        kl_divergence=_divergence(shares, reference),
    )


def _divergence(shares, reference):
    """sum_i p_i log(p_i / q_i), nats; 0 log 0 = 0, and p log(p / 0) is infinite."""
    present = shares > 0
    with np.errstate(divide="ignore"):
        terms = shares[present] * np.log(shares[present] / reference[present])
    return float(max(0.0, terms.sum()))
