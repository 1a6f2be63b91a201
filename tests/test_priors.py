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
from tests import helpers

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
    # NumPy's float64 is a Python float, too, but TFP draws other numbers from it.
    "float64": lambda: priors.LatentPrior(
        tfd.Sample(tfd.Normal(np.float64(0), np.float64(1)), 3)
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


# Samplers that differ most.
IN_XLA = ("uniform", "truncated normal", "mixture", "blockwise")


@pytest.mark.parametrize("name", helpers.mostly_slow(PRIORS, IN_XLA))
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


@pytest.mark.slow
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


# === Labels ===


def test_labelled_draws_the_priors_latents_and_classes_by_their_share():
    prior = priors.Labelled(priors.Normal(4), [0.5, 0.0, 0.3, 0.2])
    drawn = prior.sample(20_000, seed=3)
    assert drawn["latents"].dtype == tf.float32
    assert drawn["labels"].dtype == tf.int32
    np.testing.assert_array_equal(
        drawn["latents"], priors.Normal(4).sample(20_000, seed=3)
    )
    counts = np.bincount(drawn["labels"], minlength=4)
    assert counts[1] == 0
    # Six standard deviations of the share of a class.
    np.testing.assert_allclose(counts / 20_000, prior.probabilities, atol=0.022)
    # Labels know nothing of their latents.
    means = [drawn["latents"].numpy()[drawn["labels"] == label] for label in (0, 2, 3)]
    assert all(np.abs(part.mean(axis=0)).max() < 0.1 for part in means)
    again, other = prior.sample(20_000, seed=3), prior.sample(20_000, seed=4)
    np.testing.assert_array_equal(drawn["labels"], again["labels"])
    assert (drawn["labels"].numpy() != other["labels"].numpy()).mean() > 0.4
    assert prior.is_labelled and not prior.prior.is_labelled
    assert (prior.latent_dim, prior.num_classes) == (4, 4)
    symbolic = prior.symbolic_sample()
    assert {name: tuple(each.shape) for name, each in symbolic.items()} == {
        "latents": (None, 4),
        "labels": (None,),
    }


LABELLED = {
    "shares": lambda: priors.Labelled(priors.Uniform(3), [0.25, 0.75]),
    "names": lambda: priors.Labelled(priors.Normal(3), [0.5, 0.5], ["cat", "dog"]),
    "categorical": lambda: priors.Labelled(
        tfd.Dirichlet([1.0, 2.0]), tfd.Categorical(logits=[0.0, 1.0, 2.0])
    ),
    # 1 is not the sum of these in float32.
    "many": lambda: priors.Labelled(
        priors.Normal(1), np.full(1000, 1 / 1000, np.float32)
    ),
}


@pytest.mark.parametrize("name", LABELLED)
def test_a_labelled_prior_survives_serialization(name):
    prior = LABELLED[name]()
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(prior)))
    copy = keras.saving.deserialize_keras_object(config)
    assert copy.class_names == prior.class_names
    assert prior.probabilities.sum() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_array_equal(copy.probabilities, prior.probabilities)
    first, second = prior.sample(50, 7), copy.sample(50, 7)
    for key in ("latents", "labels"):
        np.testing.assert_array_equal(first[key], second[key])


def test_row_i_of_sample_each_is_the_sample_of_seed_i():
    prior = LABELLED["names"]()
    rows = prior.sample_each([5, 6, 7])
    for i in range(3):
        one = prior.sample(1, 5 + i)
        for key in ("latents", "labels"):
            np.testing.assert_array_equal(rows[key][i : i + 1], one[key])


def test_xla_draws_labels_of_the_same_distribution():
    prior = priors.Labelled(priors.Normal(2), [0.1, 0.0, 0.9])

    @tf.function(jit_compile=True)
    def compiled(seed):
        return prior.sample(4000, seed)

    counts = np.bincount(compiled(tf.constant([6, 7]))["labels"], minlength=3)
    np.testing.assert_allclose(counts / 4000, [0.1, 0.0, 0.9], atol=0.03)


def test_latents_between_two_draws_are_those_of_the_prior_within():
    start, end = np.ones((2, 3)), np.zeros((2, 3))
    np.testing.assert_array_equal(
        LABELLED["names"]().between(start, end, 0.25),
        priors.Normal(3).between(start, end, 0.25),
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (1, [1, 1, 1]),
        (np.int64(0), [0, 0, 0]),
        ("dog", [1, 1, 1]),
        ([0, 1, 0], [0, 1, 0]),
        (np.array([1, 1, 0], np.uint8), [1, 1, 0]),
        (tf.constant([1, 0, 0]), [1, 0, 0]),
        (["cat", "dog", "cat"], [0, 1, 0]),
    ],
)
def test_labels_are_asked_for_by_number_or_name(asked, expected):
    labels = LABELLED["names"]().labels_of(asked, 3)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (2, r"`labels` in \[0, 2\)\. Received: values from 2 to 2"),
        (-1, r"`labels` in \[0, 2\)\. Received: values from -1 to -1"),
        (1.0, r"to be an int or a name, or an array of 3.*float64 of shape \(\)"),
        (True, r"to be an int or a name.*Received: bool"),
        ([0, 1], r"or an array of 3 of them\. Received: int64 of shape \(2,\)"),
        ([[0, 1, 0]], r"Received: int64 of shape \(1, 3\)"),
        ("dgo", r"one of 'cat', 'dog'\. Received: 'dgo'\. Did you mean 'dog'\?"),
        (["cat", "cow", "dog"], r"one of 'cat', 'dog'\. Received: 'cow'"),
        (None, r"to be an int or a name.*Received: object"),
    ],
)
def test_labels_that_are_no_class_are_one_line(asked, message):
    with pytest.raises(ValueError, match=message) as caught:
        LABELLED["names"]().labels_of(asked, 3)
    assert "\n" not in str(caught.value)


def test_labels_for_whom_there_are_none():
    with pytest.raises(ValueError, match="no `labels`: the model is not conditional"):
        priors.Normal(3).labels_of(0, 3)
    with pytest.raises(ValueError, match="the classes have no names. Received: 'cat'"):
        LABELLED["shares"]().labels_of("cat", 1)
    prior = priors.Labelled(priors.Normal(2), [0.5, 0.0, 0.5], ["a", "b", "c"])
    with pytest.raises(
        ValueError, match=r"trained on. Received: 1 \('b'\), whose prob"
    ):
        prior.labels_of([0, 1], 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([0.5, 0.4], r"sum to 1, or a tfd.Categorical. Received.*sum 0.9"),
        ([1.5, -0.5], "numbers >= 0"),
        ([[0.5, 0.5]], r"of shape \(C,\).*Received: shape \(1, 2\)"),
        (10, r"Received: shape \(\) with sum 10"),
        (["a"], "sum nan"),
        (tfd.Categorical(probs=[[0.5, 0.5]]), r"batch shape \(\). Received: \(1,\)"),
    ],
)
def test_shares_that_are_no_probabilities(arguments, message):
    with pytest.raises(ValueError, match=message):
        priors.Labelled(priors.Normal(2), arguments)


def test_a_prior_is_labelled_once_and_has_a_name_for_each_class():
    with pytest.raises(ValueError, match="alone. Received one that draws labels"):
        priors.Labelled(LABELLED["shares"](), [1.0])
    with pytest.raises(ValueError, match="2 different names. Received: a, a"):
        priors.Labelled(priors.Normal(2), [0.5, 0.5], ["a", "a"])
