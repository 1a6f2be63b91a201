"""Completion: against the closed form where G is linear, and what must hold always."""

import dataclasses

import numpy as np
import pytest

import keras_gan
from keras_gan import datasets, inference, priors
from tests.export_helpers import conditional_gan, image_gan
from tests.test_inference_projection import NOISE, given_vectors, linear_gan

MASK = np.zeros((4, 5), bool)
MASK[:2] = True


def test_with_a_linear_g_completions_are_draws_of_the_conditional():
    """Their mean and covariance, of 1,000 draws, against the closed form."""
    gan, weights, bias = linear_gan(priors.Normal(3, loc=0.5, scale=2.0))
    x = given_vectors(1)
    mask = np.array([True, True, True, False, False, False])
    found = inference.complete(
        gan, x, mask, num_completions=1000, noise=NOISE, batch_size=1000, restarts=1
    )
    known = weights[:, mask]
    covariance = np.linalg.inv(known @ known.T / NOISE**2 + np.eye(3) / 4)
    right = known @ (x[0] - bias)[mask] / NOISE**2 + 0.5 / 4
    mean = covariance @ right
    latents = found.latents[0].astype(np.float64)
    # In units of the posterior: 1,000 draws are off by some 0.03 and 0.05.
    whiten = np.linalg.inv(np.linalg.cholesky(covariance))
    drawn = (latents - mean) @ whiten.T
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.12)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(3), atol=0.2)
    expected = mean @ weights + bias
    spread = weights.T @ covariance @ weights
    for value in (3, 4, 5):
        values = found.completions[0, :, value]
        deviation = np.sqrt(spread[value, value])
        assert values.mean() == pytest.approx(expected[value], abs=0.12 * deviation)
        assert values.std() == pytest.approx(deviation, rel=0.1)


def test_known_values_stay_and_others_differ():
    gan = image_gan((-1.0, 1.0), activation="tanh", latents=8)
    images = gan.generate(3, seed=1)
    images[:, ~MASK] = np.nan
    found = inference.complete(gan, images, MASK, num_completions=4, steps=100)
    assert found.completions.shape == (3, 4, 4, 5, 1)
    known = found.completions[:, :, MASK]
    np.testing.assert_array_equal(known, np.repeat(images[:, None, MASK], 4, axis=1))
    unknown = found.completions[:, :, ~MASK]
    np.testing.assert_array_equal(unknown, found.samples[:, :, ~MASK])
    for i in range(4):
        for j in range(i):
            assert np.abs(unknown[:, i] - unknown[:, j]).max(axis=(1, 2)).min() > 0.01
    errors = (found.samples - images[:, None])[:, :, MASK] ** 2
    np.testing.assert_allclose(found.errors, errors.mean(axis=(2, 3)), rtol=1e-4)
    assert found.errors.max() < 0.05 and found.explained is None
    assert (np.diff(found.errors, axis=1) >= 0).all()
    samples = gan.samples_of(found.latents.reshape(12, 8))
    np.testing.assert_array_equal(found.samples.reshape(samples.shape), samples)


def test_the_same_seed_alone_or_in_company():
    gan = image_gan((-1.0, 1.0), activation="tanh")
    images = gan.generate(4, seed=1)
    mask = np.broadcast_to(MASK[..., None], images.shape).copy()
    mask[1] = ~mask[1]
    options = {"num_completions": 3, "steps": 40}
    found = inference.complete(gan, images, mask, **options)
    again = inference.complete(gan, images, mask, **options)
    for a, b in zip(
        dataclasses.astuple(found), dataclasses.astuple(again), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    small = inference.complete(gan, images, mask, batch_size=5, **options)
    np.testing.assert_allclose(small.completions, found.completions, atol=2e-4)
    alone = inference.complete(gan, images[2:], mask[2:], **options)
    np.testing.assert_allclose(alone.completions, found.completions[2:], atol=2e-4)
    other = inference.complete(gan, images, mask, seed=1, **options)
    assert np.abs(other.completions - found.completions).max() > 0.01


def test_uniform_latents_stay_inside():
    gan, weights, bias = linear_gan(priors.Uniform(3))
    x = 5 * given_vectors(2)
    mask = np.array([True, True, True, False, False, False])
    found = inference.complete(gan, x, mask, steps=200)
    assert np.abs(found.latents).max() <= gan.latent_prior.high * 1.0001
    assert found.latents.std(axis=1).max() > 0.01


def test_what_is_explained():
    gan = image_gan((-1.0, 1.0), activation="tanh", latents=2)
    images = gan.generate(40, seed=1)
    mean = images.mean(axis=0)
    found = inference.complete(
        gan, images, MASK, num_completions=2, noise=0.02, mean_image=mean
    )
    # Two latents, ten known values: the rest is known, too.
    assert 0.9 < found.explained <= 1
    truth = images[:, ~MASK].astype(np.float64)
    completed = found.completions.mean(axis=1)[:, ~MASK]
    around = np.sum((truth - mean[~MASK]) ** 2)
    expected = 1 - np.sum((truth - completed) ** 2) / around
    assert found.explained == pytest.approx(expected, rel=1e-6)
    known = np.broadcast_to(MASK[..., None], images.shape)
    whole = inference.explained_share(images, images, known, mean)
    assert whole == 1.0
    assert inference.explained_share(images, 0 * images + mean, known, mean) == 0.0


def test_completions_of_labels():
    gan = conditional_gan()
    images = gan.generate(2, seed=3, labels=["dog", "fox"])
    mask = np.zeros((8, 8), bool)
    mask[:4] = True
    told = inference.complete(gan, images, mask, 3, steps=20, labels=["dog", "fox"])
    assert told.labels.tolist() == [[1] * 3, [3] * 3]
    drawn = inference.complete(gan, images, mask, 3, steps=20)
    assert drawn.labels.shape == (2, 3) and set(drawn.labels.ravel()) <= {0, 1, 3}


def test_the_baselines_by_plain_loops():
    data = keras_gan.datasets.load("digits")
    images = keras_gan.datasets.load("digits", "test").examples(slice(0, 5))
    mask = np.zeros((8, 8), bool)
    mask[:4] = True
    nearest = inference.completed_by_nearest(images, mask, data)
    mean = inference.completed_by_mean(images, mask, data)
    examples = data.examples()
    for image, completed, by_mean in zip(images, nearest, mean, strict=True):
        distances = np.sum((examples - image)[:, :4] ** 2, axis=(1, 2, 3))
        best = examples[np.argmin(distances)]
        np.testing.assert_array_equal(completed[4:], best[4:])
        np.testing.assert_allclose(by_mean[4:], examples.mean(axis=0)[4:], atol=1e-5)
        for whole in (completed, by_mean):
            np.testing.assert_array_equal(whole[:4], image[:4])


def test_the_nearest_is_looked_for_in_all_of_the_data(monkeypatch):
    monkeypatch.setattr("keras_gan.inference.completion._BLOCK", 7)
    data = datasets.Dataset(np.random.default_rng(0).random((30, 4, 5, 1)))
    images = data.examples(slice(3, 29, 5))
    np.testing.assert_array_equal(
        inference.completed_by_nearest(images, MASK, data), images
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": np.ones((4, 5), bool)}, "`mask` to be False somewhere"),
        ({"mask": np.zeros((4, 5), bool)}, "`mask` to be True somewhere"),
        ({"mask": None}, "`mask` to be False somewhere"),
        ({"num_completions": 0}, "`num_completions`"),
        ({"num_completions": 251}, r"`num_completions` to be an int in \[1, 250\]"),
        ({"restarts": 0}, "`restarts`"),
        ({"restarts": 2000}, r"`restarts` to be an int in \[1, 1000\]"),
        ({"seed": 0.5}, "`seed`"),
        ({"steps": 0}, "`steps`"),
        ({"noise": 0}, "`noise`"),
        ({"labels": 1}, "Expected no `labels`"),
        ({"mean_image": np.zeros((4, 5))}, "`mean_image` to be finite, of shape"),
        (
            {
                "mean_image": np.zeros((4, 5, 1)),
                "images": np.nan * np.ones((2, 4, 5, 1)),
            },
            "Expected finite data",
        ),
    ],
)
def test_a_wrong_argument_is_one_line(changes, message):
    options = {"images": np.full((2, 4, 5, 1), 0.5, np.float32), "mask": MASK}
    with pytest.raises(ValueError, match=message) as caught:
        inference.complete(image_gan(), **{**options, **changes})
    assert "\n" not in str(caught.value)
