"""The measures on real MNIST: oracles at full size, and growing corruption, seen in
pixels and in a classifier's features."""

import dataclasses
import gzip

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from sklearn.neighbors import KernelDensity

from keras_gan import datasets, evaluation
from keras_gan.metrics import (
    Classifier,
    Moments,
    frechet_distance,
    kernel_distance,
    parzen_estimate,
    parzen_log_likelihood,
    prdc,
)
from tests import helpers

tfd = tfp.distributions

COUNT = 1000


@pytest.fixture(scope="module")
def mnist(test_data):
    """float64 images (10000, 784) in [0, 1] and labels, shuffled: the test set."""
    with gzip.open(test_data / "mnist" / "t10k-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
    with gzip.open(test_data / "mnist" / "t10k-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    order = np.random.default_rng(0).permutation(len(images))
    return images[order] / 255.0, labels[order]


# === Parzen window ===


def density_of(centres, sigma):
    """scikit-learn's density, exact: one leaf, and no tolerance.

    With more leaves its sums over pruned nodes cancel: at MNIST's size it is hundreds
    of nats off, even with rtol = atol = 0 (its issue 7492).
    """
    density = KernelDensity(
        bandwidth=sigma, rtol=0, atol=0, leaf_size=len(centres), algorithm="ball_tree"
    )
    return density.fit(centres)


@pytest.mark.parametrize("sigma", [0.05, helpers.slow(0.2), helpers.slow(1.0), 10.0])
def test_parzen_is_scikit_learns_and_tfps_on_real_digits(mnist, sigma):
    images, _ = mnist
    centres = images[:150].copy()
    centres[100:] = centres[:50]  # duplicates
    # The last examples are centres, once or twice there.
    examples = np.concatenate([images[200:240], centres[45:55]])
    sklearns = density_of(centres, sigma).score_samples(examples)
    tfps = tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.zeros(len(centres), tf.float64)),
        tfd.MultivariateNormalDiag(tf.constant(centres), sigma * tf.ones_like(centres)),
    ).log_prob(tf.constant(examples))
    np.testing.assert_allclose(sklearns, tfps, rtol=1e-8)
    for block_size in (37, 50, 1000):
        ours = parzen_log_likelihood(examples, centres, sigma, block_size=block_size)
        np.testing.assert_allclose(ours, sklearns, rtol=1e-8)
        np.testing.assert_allclose(ours, tfps, rtol=1e-8)
    singly = parzen_log_likelihood(examples[38:42], centres, sigma, block_size=1)
    np.testing.assert_allclose(singly, sklearns[38:42], rtol=1e-8)


def test_the_papers_estimate_with_real_digits_as_centres(mnist):
    """Sigma, mean and ± as scikit-learn's density gives them."""
    images, _ = mnist
    test, validation, centres = images[:200], images[200:300], images[300:1300]
    estimate = parzen_estimate(test, validation, centres, block_size=170)
    densities = [density_of(centres, sigma) for sigma in np.logspace(-1, 0, 10)]
    means = [density.score_samples(validation).mean() for density in densities]
    np.testing.assert_allclose(estimate.validation_means, means, rtol=1e-8)
    best = int(np.argmax(means))
    expected = densities[best].score_samples(test)
    np.testing.assert_allclose(estimate.log_likelihoods, expected, rtol=1e-8)
    assert estimate.sigma == np.logspace(-1, 0, 10)[best]
    assert not estimate.sigma_at_edge
    # Far above 0, and below the 240 or so of 10,000 training digits.
    assert 50 < estimate.mean < 240


# === Growing corruption, in pixels ===


@pytest.fixture(scope="module")
def score(mnist):
    """A function from samples to all scores against 1,000 digits held apart."""
    real = mnist[0][:COUNT]
    moments = Moments().update(real)

    def score(samples):
        assert samples.shape == real.shape
        result = prdc(real, samples)
        return {
            "frechet": frechet_distance(moments, Moments().update(samples)),
            "kernel": kernel_distance(real, samples, subset_size=500).distance,
            "precision": result.precision,
            "recall": result.recall,
            "density": result.density,
            "coverage": result.coverage,
        }

    return score


@pytest.fixture(scope="module")
def clean(mnist, score):
    return score(mnist[0][COUNT : 2 * COUNT])


def assert_worsens(scores, *names):
    """Every named score is strictly worse at each step."""
    for name in names:
        values = np.array([each[name] for each in scores])
        sign = 1 if name in ("frechet", "kernel") else -1
        assert (sign * np.diff(values) > 0).all(), f"{name}: {values}"


def test_other_digits_are_near(clean):
    """What there is to lose: without corruption all is well."""
    assert abs(clean["kernel"]) < 1e-3 and clean["frechet"] < 4
    assert min(clean["precision"], clean["recall"]) > 0.9
    assert 0.9 < clean["density"] < 1.1
    assert clean["coverage"] > 0.94


def test_noise_worsens_what_measures_quality(mnist, score, clean):
    images = mnist[0][COUNT : 2 * COUNT]
    noise = np.random.default_rng(0).normal(size=images.shape)
    scores = [clean] + [score(images + std * noise) for std in (0.2, 0.4, 0.8)]
    assert_worsens(scores, "frechet")
    real = mnist[0][:COUNT]
    little = dataclasses.asdict(prdc(real, images + 0.1 * noise))
    assert_worsens([clean, little, scores[1]], "precision", "density", "coverage")
    # Noise of .4 in 784 pixels is a distance of 11, where digits are some 6 from their
    # neighbours: nothing is left, and nothing more to lose.
    for name in ("precision", "density", "coverage"):
        assert scores[1][name] < 0.03
        assert scores[2][name] == scores[3][name] == 0.0
    # Recall rewards it: balls of noisy samples are large enough to hold all digits.
    assert scores[3]["recall"] == 1.0 > clean["recall"]
    # And centred noise hardly moves moments of third order: KID on pixels is blind to
    # what no eye misses, unless pixels are clipped, which moves their means.
    assert abs(scores[1]["kernel"]) < 1e-3
    clipped = np.clip(images + 0.2 * noise, 0, 1)
    assert kernel_distance(real, clipped, subset_size=500).distance > 0.01


def test_dropped_classes_worsen_what_measures_diversity(mnist, score, clean):
    images, labels = (part[COUNT:] for part in mnist)
    scores = [clean] + [
        score(images[labels < classes][:COUNT]) for classes in (9, 5, 2)
    ]
    assert_worsens(scores, "frechet", "kernel", "coverage")
    assert_worsens([scores[0], *scores[2:]], "recall")
    # One class of ten costs recall nothing that 1,000 pixel images show: nines lie
    # among the balls of fours and sevens.
    assert abs(scores[1]["recall"] - clean["recall"]) < 0.03
    # Each sample is as good as before.
    assert all(each["precision"] > 0.9 for each in scores)


def test_duplicates_worsen_what_measures_diversity(mnist, score, clean):
    images = mnist[0][COUNT:]
    scores = [clean] + [
        score(np.repeat(images[: COUNT // copies + 1], copies, axis=0)[:COUNT])
        for copies in (4, 16)
    ]
    assert_worsens(scores, "recall", "coverage")
    # With 15 equals and k = 5, a sample's ball holds nothing but itself.
    assert scores[-1]["recall"] == 0.0
    assert all(each["precision"] > 0.9 for each in scores)


# === Growing corruption, in a classifier's features ===


@pytest.fixture(scope="module")
def features_score(mnist):
    """A function from float images (1000, 784) to all scores against 1,000 digits held
    apart, on features of a classifier of the other digits; these, and their labels."""
    images, labels = mnist
    held = datasets.Dataset(images[:COUNT].reshape(-1, 28, 28, 1), labels[:COUNT])
    others = datasets.Dataset(images[COUNT:].reshape(-1, 28, 28, 1), labels[COUNT:])
    classifier = Classifier.train(others, held, steps=150)
    assert classifier.test_accuracy > 0.9
    real = classifier.features(held.examples())

    def score(samples):
        assert samples.shape == (COUNT, 784)
        fake = classifier.features(samples.reshape(-1, 28, 28, 1))
        return evaluation.feature_scores(real, fake, subset_size=500)

    return score, images[COUNT:], labels[COUNT:]


@pytest.fixture(scope="module")
def features_clean(features_score):
    score, images, _ = features_score
    return score(images[:COUNT])


def assert_worse_than(clean, scores, *names):
    """Each of `scores` is worse than `clean` by more than the luck of the draw."""
    for name in names:
        values = np.array([each[name] for each in scores])
        if name == "frechet_distance":
            worse = values > 2 * clean[name]
        elif name == "kernel_distance":
            worse = values > 0.03
        else:
            worse = values < clean[name] - 0.02
        assert worse.all(), f"{name}: {values}, without corruption {clean[name]}"


@pytest.mark.slow
def test_other_digits_are_near_in_features(features_clean):
    assert features_clean["frechet_distance"] < 2
    assert abs(features_clean["kernel_distance"]) < 0.03
    assert min(features_clean["precision"], features_clean["recall"]) > 0.9
    assert 0.85 < features_clean["density"] < 1.15
    assert features_clean["coverage"] > 0.92


@pytest.mark.slow
def test_noise_in_features(features_score, features_clean):
    score, images, _ = features_score
    images = images[:COUNT]
    noise = np.random.default_rng(0).normal(size=images.shape)
    little, some, much = (
        score(np.clip(images + std * noise, 0, 1)) for std in (0.2, 0.4, 0.8)
    )
    assert_worse_than(
        features_clean,
        (little, some, much),
        *("frechet_distance", "kernel_distance", "recall", "coverage"),
    )
    assert_worse_than(features_clean, (some, much), "density")
    assert_worse_than(features_clean, (much,), "precision")
    # The classifier still sees digits in little noise, and plainer ones: nothing is
    # lost in what pixels lose first.
    for name in ("precision", "density"):
        assert little[name] > features_clean[name] - 0.03


@pytest.mark.slow
def test_dropped_classes_in_features(features_score, features_clean):
    score, images, labels = features_score
    scores = [score(images[labels < kept][:COUNT]) for kept in (9, 7, 5, 2)]
    diversity = ("frechet_distance", "kernel_distance", "recall", "coverage")
    assert_worse_than(features_clean, scores, *diversity)
    assert_worsens(scores, "recall", "coverage")
    for each in scores:
        assert each["precision"] > features_clean["precision"] - 0.03
        assert each["density"] > features_clean["density"] - 0.1


@pytest.mark.slow
def test_duplicates_in_features(features_score, features_clean):
    score, images, _ = features_score
    scores = [
        score(np.resize(images[: COUNT // copies], (COUNT, 784)))
        for copies in (2, 4, 16, 64)
    ]
    assert_worse_than(features_clean, scores, "recall", "coverage")
    assert_worsens(scores, "coverage")
    # With more equals than k = 5, a sample's ball holds nothing but itself.
    assert scores[2]["recall"] == scores[3]["recall"] == 0.0
    # Moments of two copies of 500 are those of 500: the distances hardly see them.
    assert scores[0]["kernel_distance"] < 0.03
    assert all(each["precision"] > 0.85 for each in scores)
