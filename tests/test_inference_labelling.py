"""Classifiers of few labels, against scikit-learn's own and known features."""

import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_gan import datasets, inference
from keras_gan.inference import labelling


def clusters(count, distance, num_classes=3, values=20, seed=0):
    """Features around one centre a class, and labels; classes in turn."""
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(num_classes, values))
    labels = np.arange(count) % num_classes
    features = distance * centres[labels] + random.normal(size=(count, values))
    return features.astype(np.float32), labels


def test_draws_are_balanced_and_do_not_depend_on_the_features():
    _, labels = clusters(300, 1.0)
    classes = np.unique(labels)
    for size in (3, 8, 30, 31):
        rows = labelling._draw(labels, classes, size, (0, size, 0))
        assert len(set(rows.tolist())) == size
        counts = np.bincount(labels[rows])
        assert counts.max() - counts.min() <= 1
    features, labels = clusters(300, 0.4)
    test = clusters(90, 0.4, seed=1)
    found = inference.few_labels(features, labels, *test, (6, 30), draws=4)
    again = inference.few_labels(features, labels, *test, (30,), draws=2)
    assert found[1].draws[:2] == again[0].draws
    # The scale of a feature is no matter, nor one that never changes.
    scaled = np.hstack([1000 * features + 5, np.ones((300, 1), np.float32)])
    of_test = np.hstack([1000 * test[0] + 5, np.ones((90, 1), np.float32)])
    same = inference.few_labels(scaled, labels, of_test, test[1], (6, 30), draws=4)
    for ours, theirs in zip(found, same, strict=True):
        np.testing.assert_allclose(ours.draws, theirs.draws, atol=0.012)
    other = inference.few_labels(features, labels, *test, (30,), draws=4, seed=1)
    assert other[0].draws != found[1].draws


def test_a_classifier_is_scikit_learns_of_standardised_features():
    """Of more features than labels, where it sees their space alone."""
    features, labels = clusters(30, 0.3, values=200)
    test, test_labels = clusters(500, 0.3, values=200, seed=1)
    reference = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, tol=1e-8, max_iter=5000)
    )
    rows = np.array([0, 1, 2])
    expected = reference.fit(features[rows], labels[rows]).score(test, test_labels)
    found = labelling._accuracy(features[rows], labels[rows], test, test_labels)
    assert 0.4 < expected < 0.95
    assert found == pytest.approx(expected, abs=0.005)
    scores = [
        make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=5000))
        .fit(features, labels)
        .score(test, test_labels)
        for c in labelling._STRENGTHS
    ]
    found = labelling._accuracy(features, labels, test, test_labels)
    assert min(np.abs(np.subtract(scores, found))) < 0.005


@pytest.mark.slow
def test_pixels_on_which_an_svd_does_not_converge(tmp_path, test_data):
    """The second of ten draws of 1,000 labels of MNIST."""
    target = tmp_path / "downloads" / "manual"
    target.mkdir(parents=True)
    for file in (test_data / "mnist").glob("*.gz"):
        (target / file.name).symlink_to(file)
    data = datasets.load("mnist", "train[:10000]", tmp_path).to_range((-1.0, 1.0))
    pixels = data.examples().reshape(len(data), -1)
    (found,) = inference.few_labels(
        pixels, data.labels, pixels[:500], data.labels[:500], 1000, draws=2
    )
    assert min(found.draws) > 0.8


def test_more_labels_and_better_features_are_seen():
    labels = clusters(600, 1.0)[1]
    test_labels = clusters(900, 1.0, seed=1)[1]
    poor = inference.few_labels(
        clusters(600, 0.3)[0],
        labels,
        clusters(900, 0.3, seed=1)[0],
        test_labels,
        (6, 60, 300),
        draws=5,
    )
    good = inference.few_labels(
        clusters(600, 0.5)[0],
        labels,
        clusters(900, 0.5, seed=1)[0],
        test_labels,
        (6, 60, 300),
        draws=5,
    )
    for rows in (poor, good):
        assert [row.num_labels for row in rows] == [6, 60, 300]
        means = [row.mean for row in rows]
        assert 1 / 3 < means[0] < means[1] < means[2] < 1
    mean, half = good[1].above(poor[1])
    assert mean > 0.1 and mean - half > 0.05
    assert mean == pytest.approx(good[1].mean - poor[1].mean)


def test_intervals_are_students():
    draws = (0.5, 0.6, 0.75)
    found = labelling.Accuracy(10, draws)
    low, high = scipy.stats.t.interval(0.95, 2, np.mean(draws), scipy.stats.sem(draws))
    assert found.mean == pytest.approx((low + high) / 2)
    assert found.half_width == pytest.approx((high - low) / 2)
    assert np.isnan(labelling.Accuracy(10, (0.5,)).half_width)
    with pytest.raises(ValueError, match="^Expected accuracies of 10 labels and 3"):
        found.above(labelling.Accuracy(10, (0.5, 0.6)))
    with pytest.raises(ValueError, match="Received: 20 labels and 3 draws"):
        found.above(labelling.Accuracy(20, draws))


def test_what_cannot_be_drawn_is_one_line():
    features, labels = clusters(60, 1.0)
    test = clusters(30, 1.0, seed=1)
    for arguments, expected in (
        ((features, labels, *test, (2,)), "`num_labels` to be an int in .3, 60."),
        ((features, labels, *test, (10.5,)), "`num_labels` to be an int"),
        ((features, labels[:-1], *test), "`labels` of shape .60,."),
        ((features, labels / 2, *test), "integer `labels`"),
        ((features[:, 0], labels, *test), "`features` to be real numbers of shape"),
        ((features, labels, test[0][:, :3], test[1]), "`test_features` of 20 values"),
        ((features * np.nan, labels, *test), "finite `features`"),
        ((features, 0 * labels, *test), "labels of two classes or more"),
        ((features, labels, *test, (6,), 0), "`draws` to be an int >= 1"),
        ((features, labels, *test, (6,), 1, -1), "`seed` to be an int >= 0"),
    ):
        with pytest.raises(ValueError, match=f"^Expected {expected}"):
            inference.few_labels(*arguments)
    rare = np.where(np.arange(60) == 7, 2, np.arange(60) % 2)
    with pytest.raises(ValueError, match="Received: 1 of class 2$"):
        inference.few_labels(features, rare, *test, (6,))
