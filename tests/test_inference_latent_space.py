"""The coordinates of latents, against TFP's own densities and draws."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_gan import inference, priors

tfd = tfp.distributions

NORMALS = tfd.MixtureSameFamily(
    tfd.Categorical(probs=[0.3, 0.7]),
    tfd.MultivariateNormalDiag([[-2.0, 0.0], [2.0, 1.0]], [[0.5, 0.5], [1.0, 0.2]]),
)
PRIORS = {
    "uniform": priors.Uniform(3),
    "uniform of other bounds": priors.Uniform(2, 3.0, 3.5),
    "normal": priors.Normal(3, loc=1.0, scale=2.0),
    "labelled": priors.Labelled(priors.Uniform(3), [0.5, 0.5]),
    "blocks": tfd.Blockwise(
        [tfd.Sample(tfd.Uniform(-1.0, 1.0), 2), tfd.Sample(tfd.Normal(0.0, 1.0), 3)]
    ),
    "truncated": tfd.Sample(tfd.TruncatedNormal(0.0, 1.0, -2.0, 2.0), 2),
    "beta": tfd.Independent(tfd.Beta([2.0, 0.5], [2.0, 3.0]), 1),
    "exponential": tfd.Sample(tfd.Exponential(2.0), 2),
    "mixture": NORMALS,
    "mixture of each": tfd.Independent(
        tfd.MixtureSameFamily(
            tfd.Categorical(probs=[[0.5, 0.5]] * 3), tfd.Normal([[-1.0, 1.0]] * 3, 0.2)
        ),
        1,
    ),
    "two mixed": tfd.Mixture(
        tfd.Categorical(probs=[0.5, 0.5]),
        [
            tfd.Sample(tfd.Normal(0.0, 1.0), 2),
            tfd.MultivariateNormalDiag([3.0, 3.0], [1.0, 1.0]),
        ],
    ),
}

# By NumPy's own dtype, and one of less than float32.
PRIORS |= {
    "float64, normal": tfd.MultivariateNormalDiag(np.ones(3), np.full(3, 2.0)),
    "float64, uniform": tfd.Independent(
        tfd.Uniform(np.full(3, -np.sqrt(3.0)), np.full(3, np.sqrt(3.0))), 1
    ),
    "float64, mixture": tfd.MixtureSameFamily(
        tfd.Categorical(probs=np.array([0.3, 0.7])),
        tfd.MultivariateNormalDiag(
            np.array([[-2.0, 0.0], [2.0, 1.0]]), np.ones((2, 2))
        ),
    ),
    "float64, labelled": priors.Labelled(
        tfd.Independent(tfd.Uniform(np.zeros(2), np.ones(2)), 1), [0.5, 0.5]
    ),
    "float16": tfd.Sample(tfd.Normal(np.float16(0.0), np.float16(1.0)), 2),
}


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_coordinates_and_latents_are_inverse(prior):
    space = inference.LatentSpace(prior)
    latents = priors.get(prior).sample(200, 1)
    if isinstance(latents, dict):
        latents = latents["latents"]
    back = space.latents(space.coordinates(latents))
    np.testing.assert_allclose(back, latents, rtol=1e-4, atol=1e-4)
    assert back.shape == (200, space.latent_dim)


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_any_coordinates_are_latents_of_the_prior(prior):
    space = inference.LatentSpace(prior)
    u = 3.0 * np.random.default_rng(0).normal(size=(50, space.latent_dim))
    z = space.latents(tf.constant(u, tf.float32))
    assert np.isfinite(space.log_density(z)).all()


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_the_density_of_coordinates_is_stretched_by_the_slope(prior):
    space = inference.LatentSpace(prior)
    u = np.random.default_rng(1).normal(size=(5, space.latent_dim))
    u = tf.constant(u, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(u)
        z = space.latents(u)
    slope = tape.batch_jacobian(z, u)
    expected = space.log_density(z) + tf.linalg.slogdet(slope).log_abs_determinant
    found = space.log_density_of_coordinates(u)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert found.shape == (5,)


def test_latents_on_the_edge_have_finite_coordinates():
    space = inference.LatentSpace(priors.Uniform(2, -1.0, 1.0))
    edge = tf.constant([[-1.0, 1.0]])
    u = space.coordinates(edge)
    assert np.isfinite(u).all()
    np.testing.assert_allclose(space.latents(u), edge, atol=1e-6)


def test_bounds_that_float32_rounds_hold_all_latents():
    high = np.array([0.1, 0.2, 1 / 3, np.pi])  # some are rounded up, some down
    prior = tfd.Independent(tfd.Uniform(-high, high), 1)
    space = inference.LatentSpace(prior)
    edges = np.stack([-high, high]).astype(np.float32)
    assert np.isfinite(space.coordinates(edges)).all()
    for far in (-60.0, 60.0):
        z = space.latents(tf.fill((1, 4), far))
        assert z.dtype == tf.float32
        assert np.isfinite(space.log_density(z)).all()


def test_latents_outside_the_range_are_refused():
    space = inference.LatentSpace(priors.Uniform(2, -1.0, 1.0))
    with pytest.raises(tf.errors.InvalidArgumentError, match="range of the prior"):
        space.coordinates([[0.0, 1.5]])


@pytest.mark.parametrize(
    "prior",
    [
        tfd.OneHotCategorical(probs=[0.5, 0.5]),
        tfd.Blockwise(
            [
                tfd.OneHotCategorical(probs=[0.5, 0.5], dtype=tf.float32),
                tfd.Sample(tfd.Normal(0.0, 1.0), 3),
            ]
        ),
        tfd.Sample(tfd.Poisson(3.0), 2),
        tfd.Dirichlet([1.0, 1.0, 1.0]),
        tfd.SphericalUniform(3),
        tfd.Independent(
            tfd.MixtureSameFamily(
                tfd.Categorical(probs=[[0.5, 0.5]]),
                tfd.Uniform([[0.0, 2.0]], [[1.0, 3.0]]),
            ),
            1,
        ),
    ],
    ids=lambda prior: prior.name,
)
def test_a_prior_without_coordinates_is_one_line(prior):
    with pytest.raises(ValueError, match="move continuously") as caught:
        inference.LatentSpace(prior)
    assert "\n" not in str(caught.value)
