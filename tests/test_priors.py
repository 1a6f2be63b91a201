"""Latent priors: moments, seeds, saving, XLA."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from keras_gan import priors

tfd = tfp.distributions


def mixture():
    return tfd.MixtureSameFamily(
        tfd.Categorical(probs=np.float32([0.25, 0.75])),
        tfd.Independent(tfd.Normal(np.float32([[-2, 0], [2, 1]]), np.float32(0.1)), 1),
    )


PRIORS = {
    "uniform": lambda: priors.Uniform(4),
    "uniform range": lambda: priors.Uniform(4, low=0.0, high=2.0),
    "normal": lambda: priors.Normal(4, loc=1.0, scale=0.5),
    "mixture": lambda: priors.LatentPrior(mixture()),
    "truncated normal": lambda: priors.LatentPrior(
        tfd.Independent(tfd.TruncatedNormal(np.zeros(3, "f"), 1.0, -2.0, 2.0), 1)
    ),
    "full covariance": lambda: priors.LatentPrior(
        tfd.MultivariateNormalTriL(np.float32([0, 1]), np.float32([[1, 0], [0.8, 0.6]]))
    ),
    "one-hot": lambda: priors.LatentPrior(
        tfd.OneHotCategorical(probs=np.float32([0.1, 0.2, 0.7]))
    ),
    "dirichlet": lambda: priors.LatentPrior(tfd.Dirichlet(np.float32([1, 2, 3]))),
    # Python numbers, which TFP takes for float32, where NumPy's would be float64.
    "lists": lambda: priors.LatentPrior(
        tfd.MixtureSameFamily(
            tfd.Categorical(probs=[0.5, 0.5]),
            tfd.Independent(tfd.Normal([[-2.0] * 3, [2.0] * 3], 1.0), 1),
        )
    ),
    "list and tensor": lambda: priors.LatentPrior(
        tfd.MultivariateNormalDiag([0.0, 1.0], tf.constant([1.0, 2.0]))
    ),
    "mixture of lists": lambda: priors.LatentPrior(
        tfd.Mixture(
            tfd.Categorical(probs=[0.3, 0.7]),
            [
                tfd.MultivariateNormalDiag([-1.0, 0.0], [0.1, 0.1]),
                tfd.MultivariateNormalDiag([1.0, 0.0], [0.2, 0.2]),
            ],
        )
    ),
    "blockwise": lambda: priors.LatentPrior(
        tfd.Blockwise(
            [
                tfd.MultivariateNormalDiag([0.0, 0.0], [1.0, 1.0]),
                tfd.OneHotCategorical(probs=[0.5, 0.5], dtype=tf.float32),
            ]
        )
    ),
    "variable": lambda: priors.LatentPrior(
        tfd.Sample(tfd.Laplace(tf.Variable(0.5), tf.constant(2.0)), 3)
    ),
}


@pytest.mark.parametrize("name", PRIORS)
def test_samples_are_seeded_float32_and_survive_serialization(name):
    prior = PRIORS[name]()
    latents = prior.sample(64, seed=3)
    assert latents.dtype == tf.float32
    assert latents.shape == (64, prior.latent_dim)
    np.testing.assert_array_equal(latents, prior.sample(64, seed=3))
    assert np.abs(latents - prior.sample(64, seed=4)).max() > 0

    config = json.loads(json.dumps(keras.saving.serialize_keras_object(prior)))
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(prior)
    np.testing.assert_array_equal(latents, copy.sample(64, seed=3))


@pytest.mark.parametrize("name", PRIORS)
def test_xla_draws_the_same_distribution(name):
    prior = PRIORS[name]()

    @tf.function(jit_compile=True)
    def compiled(seed):
        return prior.sample(4000, seed)

    eager = prior.sample(4000, seed=5).numpy()
    xla = compiled(tf.constant([6, 7])).numpy()
    for i in range(prior.latent_dim):
        assert scipy.stats.ks_2samp(eager[:, i], xla[:, i]).pvalue > 1e-4


def test_the_papers_priors():
    uniform = priors.Uniform(100).sample(1000, seed=0).numpy()
    assert abs(uniform).max() <= np.sqrt(3)
    assert uniform.var() == pytest.approx(1.0, abs=0.02)
    assert (
        scipy.stats.kstest(
            uniform.ravel(), scipy.stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)).cdf
        ).pvalue
        > 1e-3
    )
    normal = priors.Normal(100).sample(1000, seed=0).numpy()
    assert scipy.stats.kstest(normal.ravel(), "norm").pvalue > 1e-3
    assert np.abs(np.corrcoef(normal.T) - np.eye(100)).max() < 0.2


def test_seeds_of_64_bits_are_told_apart_and_equal_across_processes():
    prior = priors.Normal(2)
    draws = [prior.sample(1, seed).numpy().tolist() for seed in (1, 2**32 + 1, -1)]
    assert len({str(draw) for draw in draws}) == 3
    code = (
        "from keras_gan import priors;"
        "print(priors.Normal(2).sample(1, 2**32 + 1).numpy().tolist())"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == str(draws[1])


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        (tfd.Normal(0.0, 1.0), r"event shape \(L,\)"),
        (tfd.Normal(np.zeros(3, "f"), 1.0), r"batch shape \(3,\)"),
        (
            tfd.JointDistributionSequential([tfd.Normal(0.0, 1.0)] * 2),
            r"event shape \(L,\)",
        ),
        (3, r"such as priors.Normal\(100\), or a tfp.distributions.Distribution"),
        (
            tfd.TransformedDistribution(
                tfd.Sample(tfd.Normal(0.0, 1.0), 2), tfp.bijectors.Exp()
            ),
            "cannot be saved",
        ),
    ],
)
def test_what_is_no_prior_is_refused_at_once(distribution, message):
    with pytest.raises(ValueError, match=message):
        priors.LatentPrior(distribution)


def test_a_file_cannot_name_another_class():
    config = {
        "distribution": {"distribution": "Distribution.__init__", "parameters": {}}
    }
    with pytest.raises(ValueError, match="class of tfp.distributions"):
        priors.LatentPrior.from_config(config)


@pytest.mark.parametrize("latent_dim", [0, -1, 2.5])
def test_latent_dim_is_a_positive_int(latent_dim):
    with pytest.raises(ValueError, match="latent_dim"):
        priors.Uniform(latent_dim)


def test_bad_seeds():
    with pytest.raises(ValueError, match="64 bits"):
        priors.stateless_seed(2**64)
    with pytest.raises(ValueError, match="shape"):
        priors.stateless_seed("one")
