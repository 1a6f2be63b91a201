"""How much a few labels teach a linear classifier that sees given features."""

import dataclasses
import warnings

import numpy as np
import scipy.stats

from keras_gan import checks
from keras_gan import labels as class_labels

# Weights of the penalty, as C of scikit-learn, that cross-validation chooses from.
_STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)
# Where no class has two labels there is nothing to validate on.
_STRENGTH_BY_DEFAULT = 1e-2
_FOLDS = 3


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """The accuracies of classifiers, each trained on another draw of labels.

    Attributes:
        num_labels: int, labels that each was trained on.
        draws: tuple of float in [0, 1], the accuracy on the test examples by draw.
    """

    num_labels: int
    draws: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean of the draws."""
        return float(np.mean(self.draws))

    @property
    def half_width(self) -> float:
        """Half of the 95% interval of the mean, by Student's t; NaN of one draw."""
        return _half_width(self.draws)

    def above(self, other: "Accuracy") -> tuple[float, float]:
        """Returns by how much these are better than others of the same draws.

        The draws of `few_labels` depend on labels and seed alone, so that those of two
        kinds of features are pairs, whose differences vary less than either.

        Args:
            other: `Accuracy` of as many labels and draws.

        Returns:
            (mean difference, half of its 95% interval).

        Raises:
            ValueError: other numbers of labels or draws.
        """
        ours, theirs = ((each.num_labels, len(each.draws)) for each in (self, other))
        if ours != theirs:
            raise ValueError(
                f"Expected accuracies of {ours[0]} labels and {ours[1]} draws. "
                f"Received: {theirs[0]} labels and {theirs[1]} draws"
            )
        differences = np.subtract(self.draws, other.draws)
        return float(np.mean(differences)), _half_width(differences)


def few_labels(
    features,
    labels,
    test_features,
    test_labels,
    num_labels=(10, 100, 1000),
    draws: int = 10,
    seed: int = 0,
) -> list[Accuracy]:
    """Trains linear classifiers on few labels, and returns how good they are.

    For each draw some examples are chosen at random, equally many of each class, and
    logistic regression is trained on them alone: by them the features get mean 0 and
    deviation 1, and by three-fold cross-validation within them the weight of the
    penalty on squared weights is chosen (C of .001, .01, .1 or 1, the least log loss;
    .01 where a class has a single label).

    Args:
        features, test_features: float `(n, F)` and `(m, F)`, of any kind: of a layer
            (`features`), latents by an encoder, or pixels.
        labels, test_labels: int `(n,)` and `(m,)`.
        num_labels: ints, how many labels a classifier is trained on; each at least the
            number of classes. What is left over goes to classes chosen at random.
        draws: int >= 1, classifiers for each number of labels.
        seed: int >= 0. Draw i is the same for any features.

    Returns:
        list of `Accuracy`, one for each of `num_labels`.

    Raises:
        ValueError: features and labels that do not fit each other; fewer labels than
            classes, or more than a class has examples.
    """
    features, labels = _checked("features", features, labels)
    test_features, test_labels = _checked("test_features", test_features, test_labels)
    if features.shape[1] != test_features.shape[1]:
        raise ValueError(
            f"Expected `test_features` of {features.shape[1]} values, as `features`. "
            f"Received: {test_features.shape[1]}"
        )
    draws = checks.count("draws", draws)
    seed = checks.count("seed", seed, minimum=0)
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f"Expected labels of two classes or more. Received: {classes}")
    sizes = [
        checks.count("num_labels", size, minimum=len(classes), maximum=len(labels))
        for size in np.atleast_1d(num_labels).tolist()
    ]
    # All draws before any work: a class may have too few examples.
    chosen = [
        [_draw(labels, classes, size, (seed, size, draw)) for draw in range(draws)]
        for size in sizes
    ]
    return [
        Accuracy(
            size,
            tuple(
                _accuracy(features[rows], labels[rows], test_features, test_labels)
                for rows in rows_of_draws
            ),
        )
        for size, rows_of_draws in zip(sizes, chosen, strict=True)
    ]


def _checked(name, features, labels):
    """Returns features as a finite array `(n, F)`, and their labels."""
    features = np.asarray(features)
    is_real = features.dtype.kind in "fiu"
    if features.ndim != 2 or not features.size or not is_real:
        raise ValueError(
            f"Expected `{name}` to be real numbers of shape (n, F). Received: "
            f"{features.dtype} of shape {features.shape}"
        )
    if not np.isfinite(features).all():
        raise ValueError(f"Expected finite `{name}`. Received: NaN or infinity")
    return features, class_labels.of_examples(labels, len(features))


def _draw(labels, classes, size, seed):
    """Returns the rows of `size` examples, equally many of each class."""
    random = np.random.default_rng(seed)
    each, rest = divmod(size, len(classes))
    more = set(random.permutation(classes)[:rest].tolist())
    rows = []
    for label in classes.tolist():
        of_class = np.flatnonzero(labels == label)
        count = each + (label in more)
        if count > len(of_class):
            raise ValueError(
                f"Expected at least {count} examples of each class for {size} labels. "
                f"Received: {len(of_class)} of class {label}"
            )
        rows.append(random.choice(of_class, count, replace=False))
    return np.concatenate(rows)


def _accuracy(features, labels, test_features, test_labels):
    """Trains one classifier, and returns its accuracy on the test examples."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    deviation[deviation == 0] = 1.0  # a value that no labelled example changes
    features = (features - mean) / deviation
    # The weights of penalised regression are sums of the examples. So their space, of
    # as many dimensions as there are labels, is all that it sees: the same classifier,
    # sooner where features are many. (Not by NumPy's SVD, which does not converge on
    # some pixels of MNIST.)
    basis = np.linalg.qr(features.T)[0].T
    features = features @ basis.T
    basis = basis / deviation
    test_features = test_features @ basis.T - mean @ basis.T
    classifier = LogisticRegression(C=_STRENGTH_BY_DEFAULT, max_iter=1000)
    fewest = min(np.unique(labels, return_counts=True)[1])
    if fewest > 1:
        folds = StratifiedKFold(min(_FOLDS, fewest), shuffle=True, random_state=0)
        strengths = {"C": _STRENGTHS}
        classifier = GridSearchCV(
            classifier, strengths, scoring="neg_log_loss", cv=folds
        )
    with warnings.catch_warnings():
        # Of weak penalties, which lose to others.
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(features, labels)
    return float(np.mean(classifier.predict(test_features) == test_labels))


def _half_width(values):
    """Returns half of the 95% interval of a mean, by Student's t."""
    count = len(values)
    if count < 2:
        return float("nan")
    error = np.std(values, ddof=1) / np.sqrt(count)
    return float(scipy.stats.t.ppf(0.975, count - 1) * error)
