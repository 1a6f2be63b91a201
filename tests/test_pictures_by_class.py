"""Samples of classes beside each other, and on the way from one to another."""

import numpy as np
import pytest

import keras_gan
from keras_gan import conditional, networks
from keras_gan.pictures import by_class, figure_three, grids
from tests import helpers


def of_classes(probabilities, known=None, names=None):
    """An untrained GAN of images whose level is that of the label, nearly."""
    num_classes = len(probabilities)
    pair = networks.digits_mlp(
        (4, 5, 1), latent_dim=2, num_classes=known or num_classes, seed=0
    )
    prior = keras_gan.priors.Labelled(
        keras_gan.priors.Normal(2), np.asarray(probabilities), names
    )
    return keras_gan.GAN(*pair, prior, value_range=(0.0, 1.0), seed=0)


def equal(num_classes, **options):
    return of_classes(np.full(num_classes, 1 / num_classes), **options)


# === Classes beside each other ===


@pytest.mark.parametrize(
    ("num_classes", "count", "drawn", "columns"),
    [
        (2, 100, [0, 1], 10),
        (10, 100, range(10), 10),
        (11, 100, range(11), 9),
        helpers.slow(20, 100, range(20), 10),  # two classes in a row
        helpers.slow(25, 100, range(25), 8),
        helpers.slow(37, 100, range(37), 8),
        helpers.slow(100, 100, range(100), 10),
        helpers.slow(199, 100, range(0, 199, 2), 10),  # every other one
        (10, 25, range(10), 4),
        (10, 3, [0, 4, 9], 2),
        (3, 1, [0], 1),
    ],
)
def test_classes_share_their_latents_and_fill_a_square(
    num_classes, count, drawn, columns
):
    gan = equal(num_classes)
    samples, found = by_class.samples(gan, seed=3, count=count)
    assert found == columns and len(samples) <= count
    drawn, each = list(drawn), len(samples) // len(drawn)
    assert len(samples) == each * len(drawn) and columns % each == 0
    latents = gan.latent_prior.sample(each, 3)["latents"]
    for i, label in enumerate(drawn):
        labels = np.full(each, label, np.int32)
        expected = gan.samples_of({"latents": latents, "labels": labels})
        np.testing.assert_allclose(
            samples[i * each : (i + 1) * each], expected, atol=1e-6
        )
    picture = grids.sample_picture(samples, gan.spec, columns=columns)
    # No picture of many classes is a strip.
    height, width = picture.shape[:2]
    assert num_classes < 5 or count < 5 or 0.4 < height / width < 2


def test_classes_that_are_never_drawn_are_left_out():
    gan = of_classes([0.5, 0.0, 0.5])
    samples, _ = by_class.samples(gan, seed=0)
    expected, _ = by_class.samples(gan, seed=0, count=20)
    np.testing.assert_array_equal(samples, expected)
    latents = gan.latent_prior.sample(10, 0)["latents"]
    last = gan.samples_of({"latents": latents, "labels": np.full(10, 2, np.int32)})
    np.testing.assert_allclose(samples[10:], last, atol=1e-6)


# === From class to class ===


def test_a_line_leads_from_a_class_to_the_next_at_one_latent():
    gan = equal(8)
    lines = by_class.lines(gan, seed=5, steps=4)
    assert lines.shape == (7, 4, 4, 5, 1)
    latent = gan.latent_prior.sample(1, 5)["latents"].numpy()
    for label, line in enumerate(lines):
        for end, sample in ((label, line[0]), (label + 1, line[-1])):
            inputs = {"latents": latent, "labels": np.array([end], np.int32)}
            np.testing.assert_allclose(sample, gan.samples_of(inputs)[0], atol=1e-5)
    mixed = conditional.of_mixtures(gan.generator)
    weights = np.eye(8, dtype=np.float32)[3] * 2 / 3 + np.eye(8)[4] / 3
    expected = mixed({"latents": latent, "labels": weights[None].astype("float32")})
    np.testing.assert_allclose(lines[3, 1], expected[0], atol=1e-5)
    # Neighbours on a line are nearer to each other than its ends are.
    moved = np.abs(np.diff(lines, axis=1)).mean(axis=(1, 2, 3, 4))
    assert (moved < 0.6 * np.abs(lines[:, -1] - lines[:, 0]).mean((1, 2, 3))).all()
    picture = figure_three.figure_3(lines, gan.spec)
    assert picture.dtype == np.uint8


def test_classes_by_name_and_few_of_them_for_several_latents():
    gan = equal(3, names=("ant", "bee", "cat"))
    lines = by_class.lines(gan, 1, ["cat", "ant"], steps=2)
    assert lines.shape == (6, 2, 4, 5, 1)
    latents = gan.latent_prior.sample(6, 1)["latents"]
    for step, label in ((0, 2), (1, 0)):
        labels = np.full(6, label, np.int32)
        expected = gan.samples_of({"latents": latents, "labels": labels})
        np.testing.assert_allclose(lines[:, step], expected, atol=1e-5)
    there_and_back = by_class.lines(gan, 1, [2, 0, 2], steps=3)
    assert len(there_and_back) == 6
    np.testing.assert_allclose(there_and_back[0, ::-1], there_and_back[1], atol=1e-5)


def test_many_classes_are_some_of_them_and_the_unseen_are_none():
    assert by_class.lines(equal(100), 0, steps=2).shape[:2] == (16, 2)
    gan = of_classes([0.5, 0.0, 0.25, 0.25])
    assert by_class.lines(gan, 0, steps=2).shape[:2] == (6, 2)
    with pytest.raises(ValueError, match="whose probability is 0"):
        by_class.lines(gan, 0, [0, 1])


def test_a_network_may_know_more_classes_than_are_drawn():
    gan = equal(3, known=5)
    lines = by_class.lines(gan, 0, [0, 2], steps=2)
    latents = gan.latent_prior.sample(6, 0)["latents"]
    expected = gan.samples_of({"latents": latents, "labels": np.full(6, 2, np.int32)})
    np.testing.assert_allclose(lines[:, 1], expected, atol=1e-5)


def test_the_average_is_what_is_drawn():
    gan = equal(2)
    gan.compile("sgd", "sgd", ema_decay=0.9)
    for weight in gan.generator.trainable_weights:
        weight.assign(weight + 1.0)
    lines = by_class.lines(gan, 0, steps=2)
    latents = gan.latent_prior.sample(6, 0)["latents"]
    inputs = {"latents": latents, "labels": np.zeros(6, np.int32)}
    np.testing.assert_allclose(lines[:, 0], gan.samples_of(inputs), atol=1e-5)
    raw = gan.samples_of(inputs, averaged=False)
    assert np.abs(lines[:, 0] - raw).max() > 0.01


@pytest.mark.parametrize(
    ("labels", "steps", "message"),
    [
        ([1], 3, r"of two classes or more. Received: \[1\]"),
        (2, 3, "of two classes or more"),
        ([0, 9], 3, r"in \[0, 3\)"),
        ([0, 1], 1, "`steps` to be an int >= 2"),
    ],
)
def test_what_is_no_way_is_one_line(labels, steps, message):
    with pytest.raises(ValueError, match=message) as error:
        by_class.lines(equal(3), 0, labels, steps)
    assert "\n" not in str(error.value)


def test_samples_that_are_not_finite_are_refused():
    gan = equal(2)
    gan.generator.weights[-1].assign(np.full(20, np.nan, np.float32))
    with pytest.raises(ValueError, match="finite"):
        by_class.lines(gan, 0)
