"""Scores of a conditional generator: within each class, and whether it obeys."""

import numpy as np

from keras_gan import metrics
from keras_gan.datasets import Dataset
from keras_gan.evaluation.distances import feature_scores

# Of each side that a class needs, to be compared at all.
_FEWEST = 20
_SCORES = ("frechet_distance", "precision", "recall", "coverage")


def scores_by_class(real, real_labels, fake, labels, classes=None, nearest_k=5) -> dict:
    """Compares the samples of each class with the examples of that class.

    Args:
        real, fake: float arrays `(M, D)` and `(N, D)`, features of real images and of
            samples.
        real_labels: int `(M,)`.
        labels: int `(N,)`, the classes that the samples were asked for.
        classes: int `(N,)`, those that a classifier puts them in, or None.
        nearest_k: int, see `metrics.prdc`.

    Returns:
        dict: `class_accuracy`, the share of samples that the classifier puts in the
        class that was asked for (where there are `classes`), and `by_class`, a list of
        a dict for each class: `label`, `num_samples`, perhaps `class_accuracy`, and, of
        classes with 20 examples and 20 samples at least, `frechet_distance`,
        `precision`, `recall` and `coverage`.
    """
    found = {}
    if classes is not None:
        found["class_accuracy"] = float(np.mean(classes == labels))
    rows = []
    for label in np.unique(np.concatenate([real_labels, labels])):
        of_class, asked = real[real_labels == label], labels == label
        row = {"label": int(label), "num_samples": int(asked.sum())}
        if classes is not None and asked.any():
            row["class_accuracy"] = float(np.mean(classes[asked] == label))
        if min(len(of_class), asked.sum()) >= _FEWEST:
            fewest = min(len(of_class), int(asked.sum()))
            scores = feature_scores(of_class, fake[asked], nearest_k, min(1000, fewest))
            row |= {name: scores[name] for name in _SCORES if name in scores}
        rows.append(row)
    return {**found, "by_class": rows}


def accuracy_of_samples(samples, labels, test, seed=0, steps=None, progress=None):
    """Returns the accuracy on real images of a classifier that saw samples alone.

    The classification accuracy score of S. Ravuri and O. Vinyals, arXiv 1905.10887: it
    falls where samples are of another class than they should be, and where they miss a
    part of it.

    Args:
        samples: float `(N, H, W, C)` in the range of `test`.
        labels: int `(N,)`, the classes that they were asked for.
        test: `Dataset` with labels, the real images.
        seed, steps, progress: see `metrics.Classifier.train`.

    Returns:
        float in [0, 1].
    """
    value_range = test.value_range
    if value_range is not None:
        samples = np.clip(samples, *value_range)
    train = Dataset(
        samples, labels, value_range, "samples", num_classes=test.num_classes
    )
    return metrics.Classifier.train(train, test, seed, steps, progress).test_accuracy
