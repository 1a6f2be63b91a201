"""Classes of three channels, by a classifier of one."""

import types

import numpy as np
import pytest

from keras_gan import datasets, evaluation, metrics
from keras_gan.runs import scoring
from tests import helpers


@pytest.fixture(scope="module")
def classifier():
    train, test = (datasets.load("digits", split) for split in ("train", "test"))
    return metrics.Classifier.train(train, test, steps=200)


@pytest.fixture(scope="module")
def stacked():
    """Balanced triples of test digits, of which each mode has one."""
    digits = datasets.load("digits", "test")
    labels = np.arange(1000)
    channels = []
    for place in (100, 10, 1):
        rows = [
            np.flatnonzero(digits.labels == label // place % 10)[0] for label in labels
        ]
        channels.append(digits.examples(rows))
    return np.concatenate(channels, axis=-1), labels


def test_classes_are_the_digits_of_a_number(classifier, stacked):
    extractor = metrics.ChannelClassifier(classifier, 3)
    images, labels = stacked
    assert extractor.num_classes == 1000
    found = extractor.classes(images)
    assert np.mean(found == labels) > 0.7  # a wrong digit is wrong in 300 of them
    first, last = (classifier.classes(images[..., c : c + 1]) for c in (0, 2))
    np.testing.assert_array_equal(found // 100, first)
    np.testing.assert_array_equal(found % 10, last)


def test_features_are_those_of_the_channels(classifier, stacked):
    extractor = metrics.ChannelClassifier(classifier, 3)
    images = stacked[0][:5]
    features = extractor.features(images)
    assert features.shape == (5, 384)
    np.testing.assert_allclose(
        features[:, 128:256], classifier.features(images[..., 1:2]), atol=1e-6
    )
    assert extractor.key != classifier.key and classifier.key in extractor.key


def test_data_of_another_range_are_refused(classifier, stacked):
    """As by the classifier itself, whose scale they are not of."""
    data = datasets.Dataset(2 * stacked[0][:3] - 1, value_range=(-1, 1))
    extractor = metrics.ChannelClassifier(classifier, 3)
    with pytest.raises(ValueError, match=r"images in \(0.0, 1.0\).*in \(-1.0, 1.0\)"):
        metrics.cached_features(extractor, data, None)


def test_images_of_other_channels_are_refused(classifier):
    with pytest.raises(ValueError, match="images .N, H, W, 3.. Received: .2, 8, 8, 1."):
        metrics.ChannelClassifier(classifier, 3).classes(np.zeros((2, 8, 8, 1)))


def test_modes_that_are_missing_count(classifier, stacked):
    """Samples of 500 modes score half of them, and log 2 nats and more."""
    images, labels = stacked
    data = datasets.Dataset(images, labels, name="stacked", num_classes=1000)
    extractor = metrics.ChannelClassifier(classifier, 3)
    protocol = evaluation.protocol_for("stacked", False, data, None, data, 500)
    scores = evaluation.score_images(
        images[:500], data, data, data, extractor, protocol
    )
    assert "log_likelihood" not in scores
    assert 300 < scores["classes_covered"] <= 500
    assert scores["class_kl_divergence"] > 0.6


@pytest.mark.parametrize("value_range", [helpers.slow((0.0, 1.0)), (-1.0, 1.0)])
def test_the_classifier_is_of_the_range_that_a_run_works_in(
    stacked, value_range, monkeypatch, tmp_path
):
    """A classifier of (0, 1) would take the black of (-1, 1) for no black at all."""
    digits = {split: datasets.load("digits", split) for split in ("train", "test")}
    monkeypatch.setattr(scoring.datasets, "load", lambda name, split, _: digits[split])
    monkeypatch.setattr(metrics.Classifier, "STEPS", 200)
    images, labels = stacked
    data = datasets.Dataset(images, labels, name="stacked_mnist", num_classes=1000)
    data = data.to_range(value_range)
    asked = types.SimpleNamespace(
        request=types.SimpleNamespace(features="auto"),
        subject=types.SimpleNamespace(data_dir=None),
        train=data,
        test=data,
        shared={},
        cache_dir=tmp_path,
        progress=lambda *_: None,
    )
    extractor = scoring._Scoring.extractor(asked)
    assert extractor.classifier.value_range == value_range
    assert extractor.test_accuracy > 0.9
    found = extractor.classes(data.examples())
    assert np.mean(found == labels) > 0.7
    # Each digit is what the classifier says of it alone, in its own range.
    first = digits["test"].to_range(value_range)
    rows = [np.flatnonzero(first.labels == digit)[0] for digit in range(10)]
    alone = extractor.classifier.classes(first.examples(rows))
    np.testing.assert_array_equal(found % 10, alone[labels % 10])
