"""Averaged weights of the generator: `compile(ema_decay=...)`."""

import keras
import numpy as np
import pytest

import keras_gan
from keras_gan.runs import checkpoint
from tests import helpers


@keras.saving.register_keras_serializable("tests")
class OneLayer(keras.Model):
    """One dense layer."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units)

    def build(self, input_shape):
        self.dense.build(input_shape)

    def call(self, latents):
        return self.dense(latents)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


def averaged_gan(**kwargs):
    return helpers.tiny_gan(
        prior=helpers.deterministic_prior(),
        generator_optimizer=keras.optimizers.SGD(0.5),
        **{"ema_decay": 0.75, **kwargs},
    )


def generator_weights(gan):
    return [weight.numpy() for weight in gan.generator.weights]


def average_weights(gan):
    return [weight.numpy() for weight in gan.averaged_generator.weights]


def test_the_average_is_the_weighted_mean_of_the_weights_so_far():
    gan = averaged_gan()
    history = []
    for seed in range(4):
        helpers.train_steps(gan, [helpers.examples(6, seed=seed)])
        history.append(generator_weights(gan))
        if seed == 1:  # goes on, with another optimizer, where it stood
            gan.compile(keras.optimizers.SGD(0.5), "sgd", ema_decay=0.75)
    shares = 0.75 ** np.arange(3, -1, -1)
    shares /= shares.sum()
    for index, weight in enumerate(average_weights(gan)):
        expected = sum(
            share * past[index] for share, past in zip(shares, history, strict=True)
        )
        np.testing.assert_allclose(weight, expected, atol=1e-6)
        assert np.abs(weight - history[-1][index]).max() > 1e-4


def test_a_ramp_keeps_the_half_life_to_a_share_of_the_steps():
    gan = averaged_gan(ema_decay=0.999, ema_ramp=0.5)
    expected = None
    for step in range(1, 5):
        helpers.train_steps(gan, [helpers.examples(6, seed=step)])
        weights = generator_weights(gan)
        # The half-life is step / 2; the mean of all weights would give each 1 / step.
        share = max(0.001 / (1 - 0.999**step), 1 - 0.5 ** (2 / step))
        if step == 1:
            expected, share = weights, 1.0
        expected = [
            old + share * (new - old)
            for old, new in zip(expected, weights, strict=True)
        ]
        for found, wanted in zip(average_weights(gan), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("ramp", "decay", "message"),
    [
        (0, 0.9, r"ema_ramp.*\(0, 1\].*Received: 0"),
        (1.5, 0.9, r"ema_ramp.*\(0, 1\]"),
        ("0.1", 0.9, r"ema_ramp.*\(0, 1\]"),
        (0.1, None, "ema_ramp` with an `ema_decay"),
    ],
)
def test_the_ramp_is_checked(ramp, decay, message):
    with pytest.raises(ValueError, match=message):
        averaged_gan(ema_decay=decay, ema_ramp=ramp)


def test_after_one_step_the_average_is_the_weights():
    gan = averaged_gan(ema_decay=0.9999)
    helpers.train_steps(gan, [helpers.examples(6)])
    for average, weight in zip(
        average_weights(gan), generator_weights(gan), strict=True
    ):
        np.testing.assert_allclose(average, weight, atol=1e-6)


def test_the_training_does_not_see_the_average():
    gans = [averaged_gan(), averaged_gan(ema_decay=None)]
    for gan in gans:
        helpers.train_steps(gan, [helpers.examples(6), helpers.examples(6, seed=1)])
    for a, b in zip(*map(generator_weights, gans), strict=True):
        np.testing.assert_array_equal(a, b)
    assert gans[1].averaged_generator is None


def test_samples_and_evaluation_are_those_of_the_average():
    gan = averaged_gan()
    helpers.train_steps(gan, [helpers.examples(6), helpers.examples(6, seed=1)])
    latents = gan.latent_prior.sample(5, 3)
    averaged = gan.averaged_generator(latents).numpy()
    raw = gan.generator(latents).numpy()
    assert np.abs(averaged - raw).max() > 1e-4
    np.testing.assert_allclose(gan.generate(5, seed=3), averaged, atol=1e-6)
    np.testing.assert_allclose(gan(latents), averaged, atol=1e-6)
    np.testing.assert_allclose(gan.predict(latents, verbose=0), averaged, atol=1e-6)
    np.testing.assert_allclose(gan.generate(5, seed=3, averaged=False), raw, atol=1e-6)
    # What `evaluate` logs is D's opinion of the average.
    examples = helpers.examples(6)
    d_fake = gan.evaluate(examples, batch_size=6, verbose=0, return_dict=True)["d_fake"]
    opinion = keras.ops.sigmoid(gan.discriminator(gan.generate(6, seed=0)))
    assert d_fake == pytest.approx(float(keras.ops.mean(opinion)), abs=1e-6)


def test_running_statistics_are_copied():
    gan = helpers.tiny_gan(batch_normalization=True, ema_decay=0.9)
    helpers.train_steps(gan, [helpers.examples(8)])
    pairs = [
        (weight.numpy(), average.numpy())
        for weight, average in zip(
            gan.generator.non_trainable_weights,
            [w for w in gan.averaged_generator.weights if "moving" in w.name],
            strict=True,
        )
    ]
    assert pairs
    for weight, average in pairs:
        np.testing.assert_array_equal(weight, average)


@pytest.mark.parametrize("compiled", [True, False])
def test_the_average_is_saved(tmp_path, compiled):
    gan = averaged_gan()
    helpers.train_steps(gan, [helpers.examples(6), helpers.examples(6, seed=1)])
    gan.save(tmp_path / "gan.keras")
    copy = keras.saving.load_model(tmp_path / "gan.keras", compile=compiled)
    np.testing.assert_array_equal(copy.generate(5, seed=0), gan.generate(5, seed=0))
    np.testing.assert_array_equal(
        copy.generate(5, seed=0, averaged=False),
        gan.generate(5, seed=0, averaged=False),
    )
    if compiled:
        for model in (gan, copy):
            helpers.train_steps(model, [helpers.examples(6, seed=1)])
        for a, b in zip(average_weights(gan), average_weights(copy), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_new_compile_keeps_the_average_or_drops_it():
    gan = averaged_gan()
    helpers.train_steps(gan, [helpers.examples(6), helpers.examples(6, seed=1)])
    before = average_weights(gan)
    gan.compile("sgd", "sgd", ema_decay=0.5)
    for a, b in zip(before, average_weights(gan), strict=True):
        np.testing.assert_array_equal(a, b)
    gan.compile("sgd", "sgd")
    assert gan.averaged_generator is None
    latents = gan.latent_prior.sample(5, 3)
    np.testing.assert_allclose(
        gan.generate(5, seed=3), gan.generator(latents), atol=1e-6
    )


def test_a_gan_without_its_average_is_one_that_never_had_it():
    gan, fresh = averaged_gan(), averaged_gan(ema_decay=None)
    helpers.train_steps(gan, [helpers.examples(6)])
    gan.compile(keras.optimizers.SGD(0.5), "sgd")
    fresh.compile(keras.optimizers.SGD(0.5), "sgd")
    checkpoint.restore(fresh, checkpoint.snapshot(gan, 0))
    # A later average starts anew, and is saved again.
    gan.compile("sgd", "sgd", ema_decay=0.5)
    helpers.train_steps(gan, [helpers.examples(6)])
    for a, b in zip(average_weights(gan), generator_weights(gan), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    fresh.compile("sgd", "sgd", ema_decay=0.5)
    checkpoint.restore(fresh, checkpoint.snapshot(gan, 0))


@pytest.mark.parametrize("ema_decay", [0, 1, 1.5, -0.1, "0.9", float("nan"), True])
def test_the_decay_is_checked(ema_decay):
    with pytest.raises(ValueError, match=r"ema_decay.*\(0, 1\).*Received"):
        averaged_gan(ema_decay=ema_decay)


def test_a_generator_that_cannot_be_copied_is_refused():
    class Unsaved(keras.Model):
        def __init__(self, initializer):
            super().__init__()
            self.dense = keras.layers.Dense(4, kernel_initializer=initializer)

        def call(self, latents):
            return self.dense(latents)

    gan = keras_gan.GAN(
        Unsaved(lambda shape, dtype: np.ones(shape, dtype)),
        helpers.tiny_networks()[1],
        helpers.deterministic_prior(),
        value_range=None,
    )
    with pytest.raises(ValueError, match="get_config.*ema_decay.*Received"):
        gan.compile("sgd", "sgd", ema_decay=0.9)


def test_a_subclassed_generator_is_copied_too(tmp_path):
    gan = keras_gan.GAN(
        OneLayer(4), helpers.tiny_networks()[1], keras_gan.priors.Normal(3), None, 0
    )
    gan.compile("sgd", "sgd", ema_decay=0.5)
    helpers.train_steps(gan, [helpers.examples(6), helpers.examples(6, seed=1)])
    gan.save(tmp_path / "gan.keras")
    copy = keras.saving.load_model(tmp_path / "gan.keras")
    samples = gan.generate(5, seed=3)
    assert np.abs(samples - gan.generate(5, seed=3, averaged=False)).max() > 1e-5
    np.testing.assert_array_equal(copy.generate(5, seed=3), samples)


def test_graph_and_xla_average_alike():
    results = []
    for mode in ({"run_eagerly": True}, {"jit_compile": False}, {"jit_compile": True}):
        gan = averaged_gan(**mode)
        helpers.train_steps(gan, [helpers.examples(6, seed=s) for s in range(3)])
        results.append(average_weights(gan))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)
