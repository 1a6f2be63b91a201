"""Scores within each class, and of a classifier that saw samples alone."""

import numpy as np
import pytest

from keras_gan import datasets, metrics
from keras_gan.evaluation import by_class, format_report, measures, protocol_for
from keras_gan.evaluation.distances import feature_scores


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_each_class_is_compared_with_its_own_examples():
    real, fake = normal(90, 4), normal(150, 4, seed=1) + 0.3
    real_labels, labels = np.arange(90) % 3, np.arange(150) % 4
    classes = labels.copy()
    classes[:10] = (classes[:10] + 1) % 4
    found = by_class.scores_by_class(real, real_labels, fake, labels, classes)
    assert found["class_accuracy"] == pytest.approx(140 / 150)
    rows = found["by_class"]
    assert [row["label"] for row in rows] == [0, 1, 2, 3]
    assert [row["num_samples"] for row in rows] == [38, 38, 37, 37]
    for row in rows[:3]:
        of_class = labels == row["label"]
        expected = feature_scores(
            real[real_labels == row["label"]], fake[of_class], 5, 30
        )
        for name in ("frechet_distance", "precision", "recall", "coverage"):
            assert row[name] == expected[name]
        right = np.mean(classes[of_class] == row["label"])
        assert row["class_accuracy"] == pytest.approx(right)
    # No examples of this one.
    assert "coverage" not in rows[3]


def test_without_a_classifier_and_with_few_of_a_class():
    real, fake = normal(60, 3), normal(60, 3, seed=1)
    labels = np.repeat([0, 1], [45, 15])
    found = by_class.scores_by_class(real, labels, fake, labels)
    assert "class_accuracy" not in found
    first, second = found["by_class"]
    assert "coverage" in first and second == {"label": 1, "num_samples": 15}


def halves(count, seed=0, swapped=False):
    """Images that are bright on the left (0) or on the right (1), with labels."""
    labels = np.arange(count) % 2
    images = 0.1 * np.random.default_rng(seed).random((count, 8, 8, 1), np.float32)
    images[labels == 0, :, :4] += 0.8
    images[labels == 1, :, 4:] += 0.8
    return images, 1 - labels if swapped else labels


@pytest.mark.parametrize(("swapped", "accuracy"), [(False, 1.0), (True, 0.0)])
def test_a_classifier_of_samples_is_right_where_they_are(swapped, accuracy):
    test = datasets.Dataset(*halves(60, seed=1), name="halves")
    samples, labels = halves(200, swapped=swapped)
    # What lies a little outside of the range is clipped, as an export does.
    found = by_class.accuracy_of_samples(samples * 1.2, labels, test, steps=40)
    assert found == accuracy


@pytest.fixture(scope="module")
def digits():
    train, test = (datasets.load("digits", split) for split in ("train", "test"))
    return train, test, metrics.Classifier.train(train, test, steps=150)


def test_examples_with_wrong_labels_score_as_such(digits, monkeypatch):
    monkeypatch.setattr(metrics.Classifier, "STEPS", 150)
    train, test, classifier = digits
    stated = protocol_for("digits", False, train, None, test, 300)
    samples, labels = train.examples()[:300], train.labels[:300]
    right, wrong = (
        measures.score_images(
            samples, train, None, test, classifier, stated, labels=given
        )
        for given in (labels, (labels + 1) % 10)
    )
    assert right["class_accuracy"] > 0.9 and wrong["class_accuracy"] < 0.1
    assert right["accuracy_of_samples"] > 0.8 and wrong["accuracy_of_samples"] < 0.1
    # What is said of all samples together does not see their labels.
    assert right["frechet_distance"] == wrong["frechet_distance"]
    assert len(right["by_class"]) == 10
    report = {
        "model": "runs/x",
        "step": 3,
        "protocol_hash": "0",
        "protocol": {
            "num_samples": 300,
            "sample_seed": 0,
            "test": ["test", 719],
            "dataset": "digits",
            "features": "classifier",
            "value_range": [0.0, 1.0],
        },
        "rows": {"samples": right},
        "class_names": list("abcdefghij"),
    }
    lines = format_report(report).splitlines()
    share = 100 * right["class_accuracy"]
    assert f"samples of the class asked for: {share:.2f}%" in lines
    worst = min(right["by_class"], key=lambda row: row["coverage"])
    name = "abcdefghij"[worst["label"]]
    assert any(
        line.startswith(f"coverage of samples within a class: {worst['coverage']:.3f}")
        and f"({name}) to" in line
        for line in lines
    )
