"""The Frechet distance between two sets of features, seen as Gaussians.

Reference: Dowson and Landau, The Frechet distance between multivariate normal
distributions, Journal of Multivariate Analysis 12 (1982). Applied to features of an
Inception network it is the FID of Heusel et al. (2017); applied to pixels it compares
nothing but means and covariances of pixels.
"""

import numpy as np


class Moments:
    """The pair (mean, covariance) of features that arrive in batches.

    Batches are merged as in Chan, Golub and LeVeque (1979), around each batch's own
    mean, so that a large common offset costs no digits.

    Attributes:
        count: int, examples seen.
        mean: float64 `(D,)`.
        covariance: float64 `(D, D)`, unbiased; zeros for a single example.
        rank_deficient: bool, no more examples than features, so that the covariance
            must be singular. (With more examples it still is, where features depend on
            each other, as in the margins of MNIST.)
    """

    def __init__(self):
        self.count = 0
        self.mean = None
        self._scatter = None

    def update(self, features) -> "Moments":
        """Adds a batch; examples of higher rank are flattened.

        Args:
            features: array `(N, ...)`, finite.

        Returns:
            self.

        Raises:
            ValueError: other features than before, none at all, or non-finite ones.
        """
        features = np.asarray(features, np.float64)
        if features.ndim == 0 or features.size == 0 < len(features):
            raise ValueError(
                f"Expected features (N, ...). Received: shape {features.shape}"
            )
        if not len(features):
            raise ValueError("Expected at least one example. Received: none")
        features = features.reshape(len(features), -1)
        if not np.isfinite(features).all():
            raise ValueError(
                "Expected finite features. Received NaN or infinity in "
                f"{np.count_nonzero(~np.isfinite(features).all(axis=1))} examples"
            )
        if self.count == 0:
            self.mean = np.zeros(features.shape[1])
            self._scatter = np.zeros((features.shape[1],) * 2)
        if features.shape[1] != len(self.mean):
            raise ValueError(
                f"Expected {len(self.mean)} features. Received: {features.shape[1]}"
            )
        count = self.count + len(features)
        mean = features.mean(axis=0)
        centred = features - mean
        shift = mean - self.mean
        self._scatter += centred.T @ centred
        self._scatter += np.outer(shift, shift) * self.count * len(features) / count
        self.mean = self.mean + shift * len(features) / count
        self.count = count
        return self

    @property
    def covariance(self) -> np.ndarray:
        """float64 `(D, D)`, with N - 1 below the sum of squares."""
        return self._scatter / max(1, self.count - 1)

    @property
    def rank_deficient(self) -> bool:
        """Whether there were no more examples than features, see `frechet_distance`."""
        return self.mean is None or self.count <= len(self.mean)


def frechet_distance(first: Moments, second: Moments) -> float:
    """Returns |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), a squared distance.

    The trace of the root is the sum of the singular values of F1' F2, where C = F F'.
    It needs no matrix square root of a product, which turns complex where covariances
    are singular, and no product of covariances, whose small eigenvalues drown in the
    rounding of the large ones: values of 1e7 among values near 1 keep three digits.

    With finitely many examples the distance is biased up: sets of one distribution are
    at a positive distance, the larger the fewer examples they have. The bias is worst
    for a set with no more examples than features, `Moments.rank_deficient`: its
    covariance has no extent along most axes of the other. The distance is then defined,
    but compares only with distances between equally many examples.

    Memory is about six D x D matrices of float64, and time grows as D^3: 12,288
    features (the pixels of 64x64x3) take 7 GB, and 64 times as long as 3,072.

    Args:
        first, second: `Moments` of equally many features.

    Returns:
        float, at least 0, in squared units of the features.

    Raises:
        ValueError: features that differ in number, or fewer than two examples.
    """
    for moments in (first, second):
        if moments.count < 2:
            raise ValueError(
                f"Expected moments of at least 2 examples. Received: {moments.count}"
            )
    if first.mean.shape != second.mean.shape:
        raise ValueError(
            "Expected moments of equally many features. Received: "
            f"{len(first.mean)} and {len(second.mean)}"
        )
    product = _factor(first.covariance).T @ _factor(second.covariance)
    root_trace = np.linalg.svd(product, compute_uv=False).sum()
    distance = np.sum((first.mean - second.mean) ** 2)
    distance += np.trace(first.covariance) + np.trace(second.covariance)
    return float(max(0.0, distance - 2.0 * root_trace))


def _factor(covariance):
    """Returns a matrix F of which the covariance is F F'."""
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))
