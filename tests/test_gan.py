"""GAN as a Keras model: construction, compile, logs, batches, saving, samples."""

import itertools
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import keras_gan
from keras_gan import players
from tests import helpers

tfd = tfp.distributions
LOGS = {"discriminator_loss", "generator_loss", "value", "d_real", "d_fake"}


def dense(inputs, units, **options):
    return keras.Sequential(
        [keras.Input((inputs,)), keras.layers.Dense(units, **options)]
    )


# === Construction ===


@pytest.mark.parametrize(
    ("generator", "discriminator", "message"),
    [
        (
            dense(3, 4),
            dense(4, 2),
            r"one logit .*output shape \(None, 1\).*\(None, 2\)",
        ),
        (
            dense(5, 4),
            dense(4, 1),
            r"latent prior gives, shape \(None, 3\).*\(None, 5\)",
        ),
        (
            dense(3, 4),
            dense(7, 1),
            r"generator's output gives.*\(None, 4\).*\(None, 7\)",
        ),
        (dense(3, 4), dense(4, 1, activation="sigmoid"), "logit.*Received: sigmoid as"),
        ("networks", dense(4, 1), "generator to be a Keras model"),
        (dense(3, 4), None, "discriminator to be a Keras model"),
    ],
)
def test_networks_that_do_not_fit_are_refused(generator, discriminator, message):
    with pytest.raises(ValueError, match=message) as error:
        keras_gan.GAN(generator, discriminator, keras_gan.priors.Normal(3))
    assert "\n" not in str(error.value)


def test_a_network_that_fails_without_a_word_is_named():
    class Silent(keras.layers.Layer):
        def call(self, inputs):
            raise RuntimeError

    silent = keras.Sequential([Silent()])
    with pytest.raises(ValueError, match="Expected a discriminator that takes"):
        keras_gan.GAN(dense(3, 4), silent, keras_gan.priors.Normal(3))


@pytest.mark.parametrize("value_range", [(1.0, 0.0), (0.0, float("inf")), 3, (0, 1, 2)])
def test_value_range_is_checked(value_range):
    with pytest.raises(ValueError, match=r"`value_range` to be \(low, high\)"):
        keras_gan.GAN(
            *helpers.tiny_networks(),
            keras_gan.priors.Normal(3),
            value_range=value_range,
        )


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True])
def test_seed_is_checked(seed):
    with pytest.raises(ValueError, match=r"`seed` to be an int in \[0, 2\*\*32\)"):
        keras_gan.GAN(*helpers.tiny_networks(), keras_gan.priors.Normal(3), seed=seed)


def test_a_tfp_distribution_and_an_unbuilt_subclassed_network_will_do():
    class Critic(keras.Model):
        def __init__(self):
            super().__init__()
            self.layer = keras.layers.Dense(1)

        def call(self, inputs):
            return self.layer(inputs)

    generator = keras.Sequential([keras.layers.Dense(4)])
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), 3)
    gan = keras_gan.GAN(generator, Critic(), prior, value_range=None, seed=0)
    gan.compile("sgd", "sgd")
    logs = gan.fit(helpers.examples(20), batch_size=10, verbose=0).history
    assert np.isfinite(logs["discriminator_loss"]).all()
    assert gan.generate(2, seed=0).shape == (2, 4)


# === Compile ===


@pytest.mark.parametrize("k", [0, -1, 1.5, "2", True])
def test_k_is_a_positive_int(k):
    with pytest.raises(ValueError, match="`discriminator_steps`.*int >= 1"):
        helpers.tiny_gan(discriminator_steps=k)


def test_compile_refuses_one_optimizer_for_both_and_unknown_losses():
    optimizer = keras.optimizers.SGD()
    with pytest.raises(ValueError, match="one optimizer for each network"):
        helpers.tiny_gan(
            generator_optimizer=optimizer, discriminator_optimizer=optimizer
        )
    with pytest.raises(ValueError, match="Expected `loss` to be one of .*hing'"):
        helpers.tiny_gan(loss="hing")
    with pytest.raises(
        ValueError, match="generator's optimizer to be a Keras optimizer.*None"
    ):
        helpers.tiny_gan(generator_optimizer=None)


def test_what_cannot_be_saved_is_refused_before_the_training():
    class Unsaved(keras_gan.losses.NonSaturating):
        def get_config(self):
            raise NotImplementedError

    class Plain:
        def discriminator_loss(self, real_logits, fake_logits):
            return keras.ops.mean(fake_logits - real_logits)

        def generator_loss(self, fake_logits):
            return -keras.ops.mean(fake_logits)

    with pytest.raises(ValueError, match="Keras can serialise.*get_config"):
        helpers.tiny_gan(loss=Unsaved())
    with pytest.raises(ValueError, match="subclass of AdversarialLoss"):
        helpers.tiny_gan(loss=Plain())


@keras.saving.register_keras_serializable("tests")
class LeastSquares(keras_gan.losses.AdversarialLoss):
    """A user's own loss, with an argument."""

    def __init__(self, target=1.0):
        self.target = target

    def discriminator_loss(self, real_logits, fake_logits):
        return keras.ops.mean((real_logits - self.target) ** 2 + fake_logits**2)

    def generator_loss(self, fake_logits):
        return keras.ops.mean((fake_logits - self.target) ** 2)

    def get_config(self):
        return {"target": self.target}


def test_a_users_loss_trains_and_logs_logits_where_a_sigmoid_means_nothing():
    gan = helpers.tiny_gan(loss=LeastSquares(0.9))
    batch = helpers.examples(8)
    expected = float(np.mean(gan.discriminator(batch)))
    logs = helpers.train_steps(gan, [batch])
    assert logs["discriminator_loss"] > 0
    assert logs["real_logits"] == pytest.approx(expected, abs=1e-5)
    assert set(logs) == {
        "discriminator_loss", "generator_loss", "real_logits", "fake_logits"
    }  # fmt: skip


def test_regularisers_of_the_networks_count():
    generator, _ = helpers.tiny_networks()
    discriminator = dense(4, 1, kernel_regularizer=keras.regularizers.L2(10.0))
    gan = keras_gan.GAN(generator, discriminator, helpers.deterministic_prior(), None)
    gan.compile("sgd", "sgd")
    logs = gan.evaluate(helpers.examples(8), verbose=0, return_dict=True)
    penalty = 10.0 * float(np.sum(discriminator.layers[-1].kernel.numpy() ** 2))
    assert logs["discriminator_loss"] == pytest.approx(
        -logs["value"] + penalty, rel=1e-5
    )


# === Logs ===


def test_logs_are_means_over_examples_of_an_epoch():
    """Nothing is learned, so that the epoch's mean is that of the whole set."""
    gan = helpers.tiny_gan(
        prior=helpers.deterministic_prior(),
        generator_optimizer=keras.optimizers.SGD(0.0),
        discriminator_optimizer=keras.optimizers.SGD(0.0),
        discriminator_steps=2,
    )
    data = helpers.examples(21)
    logs = {
        name: values[0]
        for name, values in gan.fit(data, batch_size=8, verbose=0).history.items()
    }
    assert set(logs) == LOGS
    real = gan.discriminator(data).numpy()
    fake = gan.discriminator(gan.generator(np.float32([[0.3, -1.0, 0.7]]))).numpy()
    expected = {
        "value": float(keras_gan.losses.value(real, fake)),
        "discriminator_loss": -float(keras_gan.losses.value(real, fake)),
        "generator_loss": float(keras_gan.losses.non_saturating_generator_loss(fake)),
        "d_real": float(np.mean(1 / (1 + np.exp(-real)))),
        "d_fake": float(np.mean(1 / (1 + np.exp(-fake)))),
    }
    assert logs == pytest.approx(expected, abs=1e-5)
    evaluated = gan.evaluate(data, batch_size=8, verbose=0, return_dict=True)
    assert evaluated == pytest.approx(expected, abs=1e-5)


def test_labels_are_ignored_and_sample_weights_refused():
    data, labels = helpers.examples(8), np.arange(8)
    first, second = (helpers.tiny_gan() for _ in range(2))
    first.fit(data, batch_size=4, shuffle=False, verbose=0)
    second.fit(data, labels, batch_size=4, shuffle=False, verbose=0)
    for a, b in zip(helpers.weights_of(first), helpers.weights_of(second), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="sample.weight"):
        first.fit(data, labels, sample_weight=labels, verbose=0)


def test_validation_and_samples_do_not_change_the_training():
    def run(disturbed):
        gan = helpers.tiny_gan(dropout=0.3)
        for _ in range(2):
            gan.fit(helpers.examples(8), batch_size=4, shuffle=False, verbose=0)
            if disturbed:
                gan.evaluate(helpers.examples(5), verbose=0)
                gan.generate(3)
        return helpers.weights_of(gan)

    for a, b in zip(run(False), run(True), strict=True):
        np.testing.assert_array_equal(a, b)


def test_monitors_work_with_a_mode():
    gan = helpers.tiny_gan()
    stop = keras.callbacks.EarlyStopping("d_fake", mode="max", patience=1)
    gan.fit(helpers.examples(8), epochs=2, verbose=0, callbacks=[stop])


# === The k * m batch ===


@pytest.mark.parametrize(
    ("rows", "batch_normalization", "run_eagerly"),
    helpers.mostly_slow(
        itertools.product((1, 5, 2, 3, 4, 7), (False, True), (False, True)),
        [(1, True, False), (5, False, True)],
    ),
)
def test_no_batch_makes_a_nan(rows, batch_normalization, run_eagerly):
    """k = 3; the dataset's static batch size is unknown, as at an epoch's end."""
    gan = helpers.tiny_gan(
        discriminator_steps=3,
        batch_normalization=batch_normalization,
        run_eagerly=run_eagerly,
        generator_optimizer="adam",
        discriminator_optimizer="adam",
    )
    data = tf.data.Dataset.from_tensor_slices(helpers.examples(6 + rows)).batch(6)
    logs = gan.fit(data, epochs=2, verbose=0).history
    assert np.isfinite(list(logs.values())).all()
    assert all(np.isfinite(variable.numpy()).all() for variable in gan.variables)


@pytest.mark.parametrize("mode", ["eager", "graph", helpers.slow("xla")])
def test_an_empty_minibatch_contributes_nothing(mode):
    """Two rows: with k = 3 the third minibatch is empty, and SGD leaves the weights and
    the logs as with k = 2."""
    weights = []
    for k in (2, 3):
        gan = helpers.tiny_gan(
            prior=helpers.deterministic_prior(),
            discriminator_steps=k,
            jit_compile=mode == "xla",
            run_eagerly=mode == "eager",
        )
        data = tf.data.Dataset.from_tensor_slices(helpers.examples(2)).batch(4)
        logs = gan.fit(data, verbose=0).history
        weights.append((helpers.weights_of(gan), logs))
        assert gan.discriminator_optimizer.iterations == k
    (first, first_logs), (second, second_logs) = weights
    for a, b in zip(first, second, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)
    for name in LOGS:
        assert first_logs[name] == pytest.approx(second_logs[name], abs=1e-6)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_a_nan_of_an_empty_minibatch_stays_out(mode):
    """A loss may have no gradient on the one row that stands for an empty minibatch."""
    gradients = [tf.constant([np.nan, 1.0]), None, tf.constant([np.inf])]

    def select(size):
        return players._unless_empty(gradients, size)

    function = {
        "eager": select,
        "graph": tf.function(select),
        "xla": tf.function(select, jit_compile=True),
    }[mode]
    first, second, third = function(tf.constant(0))
    assert second is None
    np.testing.assert_array_equal(first, [0.0, 0.0])
    np.testing.assert_array_equal(third, [0.0])
    np.testing.assert_array_equal(function(tf.constant(2))[0], [np.nan, 1.0])


def test_a_batch_statically_smaller_than_k_is_an_error():
    gan = helpers.tiny_gan(discriminator_steps=3)
    data = tf.data.Dataset.from_tensor_slices(helpers.examples(4))
    with pytest.raises(ValueError, match="at least k = 3 examples.*batches of 2"):
        gan.fit(data.batch(2, drop_remainder=True), verbose=0)


def test_wrong_data_is_named():
    gan = helpers.tiny_gan()
    with pytest.raises(ValueError, match=r"shape \(None, 4\).*\(None, 5\)"):
        gan.fit(np.zeros((8, 5), np.float32), verbose=0)
    with pytest.raises(ValueError, match="float examples.*uint8"):
        gan.fit(np.zeros((8, 4), np.uint8), verbose=0)


def test_running_statistics_advance_wherever_a_network_runs():
    """k = 2 D steps and one G step: G's statistics move three times, D's five."""
    gan = helpers.tiny_gan(
        batch_normalization=True,
        generator_optimizer=keras.optimizers.SGD(0.0),
        discriminator_optimizer=keras.optimizers.SGD(0.0),
        prior=helpers.deterministic_prior(),
        discriminator_steps=2,
    )
    helpers.train_steps(gan, [helpers.examples(8)])

    def moving_variance(network):
        (layer,) = (
            x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)
        )
        return layer.moving_variance.numpy()

    # The deterministic prior has no variance: each pass multiplies 1 by .99.
    np.testing.assert_allclose(moving_variance(gan.generator), 0.99**3, rtol=1e-5)
    assert (moving_variance(gan.discriminator) < 0.99**2).all()


# === Samples ===


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_generate_gives_no_samples_that_are_not_finite(value):
    gan = helpers.tiny_gan()
    gan.generator.layers[-1].bias.assign([0.0, value, 0.0, 0.0])
    with pytest.raises(ValueError, match="NaN or infinity in 300 of 300; its training"):
        gan.generate(300, seed=0)


@pytest.mark.parametrize("count", [2**32 + 5, 2**31])
def test_a_number_of_samples_that_would_wrap_is_refused(count):
    """TFP drew as many as its last 32 bits say: 5."""
    with pytest.raises(
        ValueError, match=r"`num_samples` to be an int in \[1, 214748364"
    ):
        helpers.tiny_gan().generate(count, seed=0)


def test_generate_is_seeded_and_blind_to_the_batch_size():
    gan = helpers.tiny_gan()
    samples = gan.generate(10, seed=4)
    assert samples.shape == (10, 4) and samples.dtype == np.float32
    np.testing.assert_allclose(
        gan.generate(10, seed=4, batch_size=3), samples, atol=1e-6
    )
    assert np.abs(gan.generate(10, seed=5) - samples).max() > 1e-3
    assert np.abs(gan.generate(10) - gan.generate(10)).max() > 1e-3
    latents = gan.latent_prior.sample(10, 4)
    np.testing.assert_allclose(gan.predict(latents, verbose=0), samples, atol=1e-6)
    np.testing.assert_allclose(gan(latents), samples, atol=1e-6)
    with pytest.raises(ValueError, match="num_samples` to be an int in"):
        gan.generate(0)
    with pytest.raises(ValueError, match="batch_size` to be an int >= 1"):
        gan.generate(2, batch_size=0)


# === Saving ===


def state(optimizer):
    return np.concatenate([v.numpy().ravel() for v in optimizer.variables])


LOAD = """
import sys
import numpy as np
import keras, keras_gan
from tests import helpers, test_gan
gan = keras.saving.load_model(sys.argv[1])
np.savez(
    sys.argv[2],
    samples=gan.generate(7, seed=2),
    latents=gan.latent_prior.sample(5, 1),
    k=gan.discriminator_steps,
    target=gan.adversarial_loss.target,
    range=np.array(gan.value_range or ()),
    seed=gan.seed,
    d=test_gan.state(gan.discriminator_optimizer),
    g=test_gan.state(gan.generator_optimizer),
    logits=gan.discriminator(helpers.examples(5)),
)
"""


def test_a_new_process_loads_what_was_saved(tmp_path, root):
    prior = keras_gan.priors.LatentPrior(
        tfd.MixtureSameFamily(
            tfd.Categorical(probs=np.float32([0.3, 0.7])),
            tfd.Independent(tfd.Normal(np.zeros((2, 3), "f"), np.float32(1.0)), 1),
        )
    )
    gan = helpers.tiny_gan(
        prior=prior,
        seed=11,
        dropout=0.2,
        loss=LeastSquares(0.75),
        discriminator_steps=3,
        generator_optimizer=keras.optimizers.Adam(1e-2, beta_1=0.5),
        discriminator_optimizer=keras_gan.optimizers.ScheduledSGD(
            keras_gan.optimizers.InverseExponentialDecay(0.1),
            keras_gan.optimizers.LinearRamp(0.5, 0.7, 0, 10),
        ),
    )
    helpers.train_steps(gan, [helpers.examples(9), helpers.examples(9, seed=1)])
    gan.save(tmp_path / "gan.keras")
    subprocess.run(
        [sys.executable, "-c", LOAD, tmp_path / "gan.keras", tmp_path / "back.npz"],
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    back = np.load(tmp_path / "back.npz", allow_pickle=False)
    # The same weights in another process: equal up to the order of a sum.
    np.testing.assert_allclose(back["samples"], gan.generate(7, seed=2), atol=1e-6)
    np.testing.assert_array_equal(back["latents"], prior.sample(5, 1))
    np.testing.assert_allclose(
        back["logits"], gan.discriminator(helpers.examples(5)), atol=1e-6
    )
    assert back["k"] == 3 and back["target"] == 0.75 and back["seed"] == 11
    assert back["range"].size == 0
    for name, optimizer in (
        ("d", gan.discriminator_optimizer),
        ("g", gan.generator_optimizer),
    ):
        np.testing.assert_array_equal(back[name], state(optimizer))
    assert gan.discriminator_optimizer.iterations == 6


def test_a_loaded_model_trains_on_as_the_saved_one(tmp_path):
    """No dropout, deterministic prior: nothing but weights and slots matters."""
    gan = helpers.tiny_gan(
        prior=helpers.deterministic_prior(),
        generator_optimizer="adam",
        discriminator_optimizer="adam",
    )
    helpers.train_steps(gan, [helpers.examples(4)])
    gan.save(tmp_path / "gan.keras")
    copy = keras.saving.load_model(tmp_path / "gan.keras")
    for model in (gan, copy):
        helpers.train_steps(model, [helpers.examples(4, seed=1)])
    for a, b in zip(helpers.weights_of(gan), helpers.weights_of(copy), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_uncompiled_gan_round_trips(tmp_path):
    gan = keras_gan.GAN(
        *helpers.tiny_networks(), keras_gan.priors.Uniform(3), value_range=(-1, 1)
    )
    gan.save(tmp_path / "gan.keras")
    copy = keras.saving.load_model(tmp_path / "gan.keras")
    assert copy.value_range == (-1.0, 1.0) and not copy.compiled
    np.testing.assert_array_equal(gan.generate(3, seed=0), copy.generate(3, seed=0))
