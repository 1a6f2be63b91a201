"""Directions, ways and truncation of latents, against what is known exactly."""

import numpy as np
import pytest
import tensorflow_probability as tfp

import keras_gan
from keras_gan import inference, priors
from tests.helpers import tiny_gan

tfd = tfp.distributions

NORMALS = tfd.MixtureSameFamily(
    tfd.Categorical(probs=[0.5, 0.5]),
    tfd.MultivariateNormalDiag([[-3.0] * 3, [3.0] * 3], [[0.5] * 3] * 2),
)
BLOCKS = tfd.Blockwise(
    [tfd.Sample(tfd.Uniform(-1.0, 3.0), 2), tfd.Sample(tfd.Normal(5.0, 1.0), 1)]
)


def test_truncated_latents_are_nearer_to_the_mean():
    for prior, mean in (
        (priors.Normal(3, loc=2.0, scale=0.5), [2.0] * 3),
        (priors.Uniform(3, 0.0, 4.0), [2.0] * 3),
        (priors.get(BLOCKS), [1.0, 1.0, 5.0]),
    ):
        z = np.asarray(prior.sample(50, 0))
        for psi in (1.0, 0.7, 0.0):
            found = prior.truncated(z, psi)
            np.testing.assert_allclose(found, mean + psi * (z - mean), atol=1e-5)
            np.testing.assert_array_equal(found, inference.truncated(prior, z, psi))
            assert np.isfinite(prior.distribution.log_prob(found)).all()
        assert prior.truncated(z, None) is z


def test_samples_are_truncated_and_keep_their_seeds():
    gan = tiny_gan()
    z = gan.latent_prior.sample(5, 7)
    expected = gan.samples_of(0.7 * z)
    found = gan.generate(5, seed=7, truncation=0.7)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    each = gan.generate_each([7, 8], truncation=0.5)
    latents = 0.5 * np.asarray(gan.latent_prior.sample_each([7, 8]))
    np.testing.assert_allclose(each, gan.samples_of(latents), rtol=1e-5, atol=1e-6)
    prior = priors.Labelled(priors.Normal(3), [0.5, 0.5])
    drawn = prior.sample(5, 7)
    pulled = prior.truncated(drawn, 0.7)
    np.testing.assert_allclose(pulled["latents"], 0.7 * z, rtol=1e-6)
    np.testing.assert_array_equal(pulled["labels"], drawn["labels"])


@pytest.mark.parametrize(
    "prior",
    [
        NORMALS,
        tfd.Blockwise([NORMALS, tfd.Sample(tfd.Normal(0.0, 1.0), 2)]),
        tfd.OneHotCategorical(probs=[0.5, 0.25, 0.25]),
        tfd.Independent(tfd.Poisson([2.0, 3.0]), 1),
        tfd.Independent(tfd.Cauchy([0.0, 1.0], 1.0), 1),
    ],
    ids=["mixture", "blocks with one", "codes", "counts", "no mean"],
)
def test_priors_around_no_mean_are_not_truncated(prior):
    prior = priors.get(prior)
    with pytest.raises(ValueError, match="^Expected a prior of continuous") as raised:
        prior.truncated(prior.sample(3, 0), 0.5)
    assert "\n" not in str(raised.value)


def test_only_shares_truncate():
    gan = tiny_gan()
    for psi in (-0.1, 1.1, np.nan, True, "0.7"):
        with pytest.raises(ValueError, match="^Expected a truncation `psi` in .0, 1."):
            gan.generate(2, seed=0, truncation=psi)


def test_a_linear_attribute_has_its_own_direction():
    for prior in (priors.Normal(6, loc=1.0, scale=2.0), tiny_gan()):
        own = prior if isinstance(prior, priors.LatentPrior) else prior.latent_prior
        z = np.asarray(own.sample(400, 0))
        weights = np.random.default_rng(1).normal(size=(own.latent_dim, 2))
        attributes = z @ weights + 3.0
        found = inference.directions(prior, z, attributes)
        expected = (weights / np.linalg.norm(weights, axis=0)).T
        np.testing.assert_allclose(found, expected, atol=5e-3)
        assert found.dtype == np.float32
        (one,) = inference.directions(prior, z, attributes[:, 1])
        np.testing.assert_allclose(one, found[1], atol=1e-5)


def test_directions_are_ridge_regressions():
    """In closed form, of latents whose deviations differ."""
    prior = tfd.MultivariateNormalDiag([0.0] * 4, [1.0, 5.0, 0.1, 2.0])
    z = np.asarray(priors.get(prior).sample(50, 0), np.float64)
    y = np.sin(z @ [1.0, 0.3, 2.0, 0.0])
    scale = z.std(axis=0)
    u = (z - z.mean(axis=0)) / scale
    for ridge in (0.0, 0.5):
        slopes = np.linalg.solve(u.T @ u + 50 * ridge * np.eye(4), u.T @ (y - y.mean()))
        expected = slopes / scale / np.linalg.norm(slopes / scale)
        (found,) = inference.directions(prior, z, y, ridge)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_classes_have_a_direction_each():
    """Class i is where latent i is the largest: its direction leads there."""
    prior = priors.Normal(4)
    z = np.asarray(prior.sample(4000, 0))
    labels = z[:, :3].argmax(axis=1)
    found = inference.directions(prior, z, labels)
    assert found.shape == (3, 4)
    expected = np.array([[2, -1, -1, 0], [-1, 2, -1, 0], [-1, -1, 2, 0]]) / np.sqrt(6)
    np.testing.assert_allclose(found, expected, atol=0.06)
    further = inference.moved(prior, z, found[1], 2.0)
    assert (further[:, :3].argmax(axis=1) == 1).mean() > 0.85
    # A class that none has: no direction.
    np.testing.assert_array_equal(
        inference.directions(prior, z, np.where(labels == 1, 2, labels))[1], 0.0
    )


def test_moved_latents_stay_in_range_and_come_back():
    for prior in (priors.Uniform(3, 0.0, 4.0), BLOCKS, NORMALS, priors.Normal(3)):
        space = inference.LatentSpace(prior)
        z = np.asarray(priors.get(prior).sample(20, 0))
        direction = np.array([0.6, 0.0, -0.8], np.float32)
        amounts = [-8.0, 0.0, 1.0]
        found = inference.moved(prior, z, direction, amounts)
        assert found.shape == (20, 3, 3)
        assert np.isfinite(space.log_density(found)).all()
        np.testing.assert_allclose(found[:, 1], z, atol=1e-4)
        np.testing.assert_allclose(found[:, :, 1], z[:, [1] * 3], atol=1e-4)
        one = inference.moved(prior, z, direction, 1.0)
        np.testing.assert_allclose(one, found[:, 2], atol=1e-6)
        back = inference.moved(prior, one, direction, -1.0)
        np.testing.assert_allclose(back, z, atol=1e-3)
    np.testing.assert_allclose(one, z + direction, rtol=1e-5, atol=1e-6)


def test_ways_between_latents_that_are_alike_stay_there():
    prior = priors.Normal(8, loc=3.0)
    start, end = np.asarray(prior.sample(2, 0))
    for share in (0.0, 0.3, 1.0):
        same = inference.between(prior, start, start, share)
        np.testing.assert_allclose(same, start, rtol=1e-4)
        # A way of its own for each row.
        rows = inference.between(prior, [start, end], [end, end], share)
        one = inference.between(prior, start, end, share)
        np.testing.assert_allclose(rows, [one, end], rtol=1e-4)
    np.testing.assert_allclose(inference.between(prior, start, end, 0.0), start, 1e-4)
    np.testing.assert_allclose(inference.between(prior, start, end, 1.0), end, 1e-4)
    # Halfway: half way between the lengths, at half of the angle.
    half = inference.between(prior, start, end, 0.5) - 3.0
    a, b = start - 3.0, end - 3.0
    lengths = [np.linalg.norm(each) for each in (a, half, b)]
    assert lengths[1] == pytest.approx((lengths[0] + lengths[2]) / 2, rel=1e-4)
    cosines = [each @ half / np.linalg.norm(each) / lengths[1] for each in (a, b)]
    assert cosines[0] == pytest.approx(cosines[1], rel=1e-4)
    # Opposite ones, or the mean: a line.
    np.testing.assert_allclose(
        inference.between(prior, start, 6.0 - start, 0.5), np.full(8, 3.0), atol=1e-5
    )
    np.testing.assert_allclose(
        inference.between(prior, np.full(8, 3.0), end, 0.25), 3.0 + 0.25 * b, rtol=1e-5
    )
    labelled = priors.Labelled(prior, [1.0])
    np.testing.assert_allclose(
        inference.between(labelled, start, end, 0.5), half + 3.0, rtol=1e-5
    )
    uniform = priors.Uniform(8)
    np.testing.assert_allclose(
        inference.between(uniform, start, end, 0.25), 0.75 * start + 0.25 * end, 1e-5
    )


def test_what_has_no_direction_is_one_line():
    prior = priors.Normal(3)
    z = np.asarray(prior.sample(5, 0))
    y = np.arange(5.0)
    for arguments, expected in (
        ((prior, z[:, :2], y), "`latents` to be finite, of shape .None, 3."),
        ((prior, z * np.nan, y), "`latents` to be finite"),
        ((prior, z, y[:4]), "`labels` to be numbers of shape .5,. or .5, A."),
        ((prior, z, np.arange(4)), "`labels` of shape .5,."),
        ((prior, z, list("abcde")), "`labels` to be numbers"),
        ((prior, z, y * np.nan), "finite `labels`"),
        ((prior, z, 0 * y), "labels that differ"),
        ((prior, z, np.zeros(5, int)), "labels that differ"),
        ((prior, z, y, -1.0), "`ridge` to be a float >= 0"),
        ((tfd.OneHotCategorical(probs=[0.5] * 2), z, y), "a prior whose latents move"),
        ((3, z, y), "a latent prior"),
    ):
        with pytest.raises(ValueError, match=f"^Expected {expected}"):
            inference.directions(*arguments)
    for direction, amount, expected in (
        ([1.0, 0.0], 1.0, "`direction` to be finite, of shape"),
        (np.eye(3)[:2], 1.0, "`direction` to be finite, of shape .3,., a row of"),
        ([1.0, 0.0, 0.0], [[1.0]], "`amount` to be a finite float"),
        ([1.0, 0.0, 0.0], np.inf, "`amount` to be a finite float"),
    ):
        with pytest.raises(ValueError, match=f"^Expected {expected}"):
            inference.moved(prior, z, direction, amount)


def test_latents_that_the_prior_cannot_draw_are_one_line():
    prior = priors.Uniform(3, -1.0, 1.0)
    z = np.array(prior.sample(5, 0))
    z[2, 1] = 1.5
    for call in (
        lambda: inference.moved(prior, z, [1.0, 0.0, 0.0], 1.0),
        lambda: inference.directions(prior, z, np.arange(5.0)),
    ):
        with pytest.raises(ValueError, match="that the prior can draw") as caught:
            call()
        assert "\n" not in str(caught.value) and "1.5" in str(caught.value)


def test_a_single_direction_may_stand_in_its_row():
    prior = priors.Normal(3)
    z = np.asarray(prior.sample(40, 0))
    found = inference.directions(prior, z, z[:, 0])
    np.testing.assert_array_equal(
        inference.moved(prior, z, found, 2.0), inference.moved(prior, z, found[0], 2.0)
    )


def two_clusters(count=512):
    """Points in the plane, around (-2, 0) and (2, 0) in turn."""
    random = np.random.default_rng(0)
    points = 0.2 * random.normal(size=(count, 2)).astype(np.float32)
    points[:, 0] += np.where(np.arange(count) % 2, 2.0, -2.0)
    return points


def test_a_mixture_as_prior_trains_saves_exports_and_interpolates(tmp_path):
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(probs=[0.5, 0.5]),
        tfd.MultivariateNormalDiag([[-2.0, 0.0], [2.0, 0.0]], [[0.5, 0.5]] * 2),
    )
    data = two_clusters()
    pair = keras_gan.networks.toy_mlp((2,), latent_dim=2, seed=0)
    gan = keras_gan.GAN(*pair, mixture, value_range=None, seed=0)
    gan.compile("adam", "adam")
    gan.fit(data, batch_size=64, epochs=2, verbose=0)
    samples = gan.generate(20, seed=3)
    gan.save(tmp_path / "gan.keras")
    loaded = keras_gan.runs.load_gan(tmp_path / "gan.keras")
    np.testing.assert_array_equal(loaded.generate(20, seed=3), samples)
    assert isinstance(loaded.latent_prior.distribution, tfd.MixtureSameFamily)
    path = gan.export(tmp_path / "export")
    exported = keras_gan.export.ExportedGenerator(path)
    np.testing.assert_allclose(exported.generate(20, seed=3), samples, atol=1e-5)
    left, right = [-2.0, 0.0], [2.0, 0.0]
    half = gan.latent_prior.between(np.float32(left), np.float32(right), 0.5)
    np.testing.assert_array_equal(half, [0.0, 0.0])
    np.testing.assert_array_equal(inference.between(gan, left, right, 0.5), half)
    # There the prior has drawn next to nothing.
    densities = inference.LatentSpace(gan.latent_prior).log_density(
        np.float32([left, half])
    )
    assert densities[0] - densities[1] > 7
