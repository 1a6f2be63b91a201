"""Encoders that are trained after their generator, which stays as it is."""

import keras
import numpy as np
import pytest

import keras_gan
from keras_gan import networks
from keras_gan.inference import Encoder
from tests import extensions, helpers

X = helpers.examples(64)


def linear_gan(prior=None, ema_decay=None):
    """G(z) = z W with orthonormal rows: z is G(z) W^T."""
    prior = keras_gan.priors.Normal(2) if prior is None else prior
    generator = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(4, use_bias=False)]
    )
    rows = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 2)))[0].T
    generator.layers[0].kernel.assign(rows)
    discriminator = helpers.tiny_networks()[1]
    gan = keras_gan.GAN(generator, discriminator, prior, None, seed=0)
    gan.compile("sgd", "sgd", ema_decay=ema_decay)
    return gan, rows


def linear_network(seed=0):
    init = keras.initializers.GlorotUniform(seed)
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(2, kernel_initializer=init)]
    )


def trained(gan, seed=0, steps=150, **options):
    encoder = Encoder(gan, linear_network(), seed=seed, **options)
    encoder.compile(keras.optimizers.Adam(0.05))
    history = encoder.fit(steps_per_epoch=steps, batch_size=64, verbose=0).history
    return encoder, history


@pytest.mark.parametrize("kind", ["normal", "uniform"])
def test_it_finds_the_latents_that_samples_were_made_of(kind):
    prior = {
        "normal": keras_gan.priors.Normal(2, 1.0, 2.0),
        "uniform": keras_gan.priors.Uniform(2, -1.0, 2.0),
    }[kind]
    gan, _ = linear_gan(prior)
    before = [w.numpy() for w in gan.weights]
    encoder, _ = trained(gan, steps=400)
    latents = prior.sample(500, 1).numpy()
    found = encoder.encode(gan.samples_of(latents))
    assert found.dtype == np.float32 and found.shape == (500, 2)
    # Predicting the prior's mean has an error of the prior's variance.
    error = np.mean((found - latents) ** 2)
    assert error < {"normal": 1e-3, "uniform": 0.1}[kind] * latents.var()
    if kind == "uniform":
        assert -1 <= found.min() and found.max() <= 2
    for weight, old in zip(gan.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_the_loss_is_the_share_of_the_variance_that_is_left():
    prior = keras_gan.priors.Normal(2, 3.0, 5.0)
    gan, _ = linear_gan(prior)
    network = linear_network()
    network.layers[0].kernel.assign(np.zeros((4, 2)))
    network.layers[0].bias.assign([3.0, 3.0])  # the prior's mean, whatever x
    encoder = Encoder(gan, network, seed=0)
    encoder.compile("sgd")
    logs = encoder.evaluate(X, batch_size=64, verbose=0, return_dict=True)
    assert logs["latent_loss"] == pytest.approx(1.0, abs=0.3)
    many = np.tile(X, (200, 1))
    logs = encoder.evaluate(many, batch_size=6400, verbose=0, return_dict=True)
    assert logs["latent_loss"] == pytest.approx(1.0, abs=0.03)
    assert logs["loss"] == logs["latent_loss"]


def test_reconstructions_of_real_data_count_where_they_are_asked_for():
    """By hand, of what E and G give: mean |G(E(x)) - x|^2, times its weight."""
    gan, rows = linear_gan()
    network = linear_network()
    encoder = Encoder(gan, network, reconstruction=3.0, seed=0)
    encoder.compile("sgd")
    logs = encoder.evaluate(X, batch_size=64, verbose=0, return_dict=True)
    kernel, bias = (w.numpy() for w in network.weights)
    again = (X @ kernel + bias) @ rows
    assert logs["reconstruction_loss"] == pytest.approx(
        np.mean((again - X) ** 2), rel=1e-4
    )
    assert logs["loss"] == pytest.approx(
        logs["latent_loss"] + 3 * logs["reconstruction_loss"], rel=1e-5
    )
    encoder.compile(keras.optimizers.Adam(0.05))
    history = encoder.fit(X, batch_size=16, epochs=60, verbose=0).history
    # The best is the projection on what G can make.
    best = np.mean((X @ rows.T @ rows - X) ** 2)
    assert best <= history["reconstruction_loss"][-1] < 1.1 * best + 1e-3
    with pytest.raises(ValueError, match="real examples for reconstruction=3"):
        encoder.fit(steps_per_epoch=3)


def test_the_same_seed_is_the_same_training():
    gan, _ = linear_gan()
    ones = [trained(gan, seed, steps=5)[0].network.get_weights() for seed in (1, 1, 2)]
    for first, same, other in zip(*ones, strict=True):
        np.testing.assert_array_equal(first, same)
        assert (first != other).any()


def test_its_generator_is_the_averaged_one_and_stays_as_it_is():
    gan, _ = linear_gan(ema_decay=0.5)
    gan.averaged_generator.layers[0].kernel.assign(np.ones((2, 4)))
    encoder = Encoder(gan, linear_network())
    gan.averaged_generator.layers[0].kernel.assign(np.zeros((2, 4)))
    np.testing.assert_array_equal(encoder.generator.weights[0], np.ones((2, 4)))
    assert not encoder.generator.trainable_variables and gan.generator.trainable
    assert {w.path for w in encoder.trainable_variables} == {
        w.path for w in encoder.network.weights
    }


def test_a_saved_encoder_comes_back_and_trains_on(tmp_path):
    gan, _ = linear_gan(keras_gan.priors.Uniform(2, -1.0, 2.0))
    encoder, _ = trained(gan, steps=20)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.saving.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(loaded.encode(X), encoder.encode(X))
    assert int(loaded.optimizer.iterations) == 20
    for one, other in zip(
        loaded.optimizer.variables, encoder.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(one, other)
    history = loaded.fit(steps_per_epoch=5, batch_size=8, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert (loaded.encode(X) != encoder.encode(X)).any()


def test_validation_data_are_what_fit_takes():
    encoder = Encoder(linear_gan()[0], linear_network(), reconstruction=1.0, seed=0)
    encoder.compile("adam")
    data = keras_gan.datasets.Dataset(X, value_range=None)
    for given in (data, X, (X, None)):
        history = encoder.fit(data, validation_data=given, verbose=0).history
        assert np.isfinite(history["val_reconstruction_loss"]).all()
    with pytest.raises(ValueError, match="batches of shape"):
        encoder.fit(data, validation_data=X[:, :2], verbose=0)


def test_labels_enter_beside_the_samples():
    prior = keras_gan.priors.Labelled(keras_gan.priors.Normal(3), [0.2, 0.3, 0.5])
    gan = keras_gan.GAN(*extensions.labelled_networks(), prior, None, seed=0)
    network = networks.encoder((4,), 3, dense_units=8, num_classes=3, seed=0)
    encoder = Encoder(gan, network, reconstruction=0.5, seed=0)
    encoder.compile(keras.optimizers.Adam(0.01))
    labels = (np.arange(64) % 3).astype(np.int32)
    history = encoder.fit(X, labels, batch_size=16, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    found = encoder.encode(X[:3], labels=[0, 1, 2])
    expected = network({"samples": X[:3], "labels": np.int32([0, 1, 2])})
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (encoder.encode(X[:3], labels=1) != found).any()
    for wrong, words in ((None, "Expected `labels`"), (3, r"in \[0, 3\)")):
        with pytest.raises(ValueError, match=words):
            encoder.encode(X[:3], labels=wrong)


def test_it_encodes_for_a_bigan_too():
    gan = extensions.bigan_with()
    encoder = Encoder(gan, extensions.encoder(), seed=0)
    encoder.compile("adam")
    encoder.fit(steps_per_epoch=2, verbose=0)
    assert encoder.encode(X).shape == (64, 3)


@pytest.mark.parametrize("shape", [(28, 28, 1), (9, 12, 3), (5, 5, 1), (4,)])
def test_the_default_network_takes_samples_of_any_shape(shape):
    network = networks.encoder(shape, 7, width=4, dense_units=6, seed=0)
    assert network.input_shape == (None, *shape)
    assert network.output_shape == (None, 7)
    x = np.random.default_rng(0).normal(size=(200, *shape)).astype(np.float32)
    deviation = np.std(network(x), axis=0).mean()
    assert 0.3 < deviation < 3  # the signal neither dies nor grows on its way
    kinds = {type(layer).__name__ for layer in network.layers}
    assert ("Conv2D" in kinds) == (len(shape) == 3 and min(shape[:2]) >= 8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gan": 3}, "Expected a GAN. Received: 3"),
        ({"network": extensions.encoder()}, r"output shape \(None, 2\).*\(None, 3\)"),
        ({"network": 3}, "the encoder to be a Keras model"),
        ({"reconstruction": -1}, "reconstruction >= 0. Received: -1"),
        ({"reconstruction": True}, "reconstruction >= 0. Received: True"),
        ({"seed": -1}, "`seed` to be an int"),
    ],
)
def test_what_does_not_fit_is_one_line(options, words):
    options = {"gan": linear_gan()[0], "network": linear_network(), **options}
    with pytest.raises(ValueError, match=words) as caught:
        Encoder(**options)
    assert "\n" not in str(caught.value)


def test_without_examples_the_number_of_steps_is_needed():
    encoder = Encoder(linear_gan()[0], linear_network())
    encoder.compile()
    with pytest.raises(ValueError, match="`steps_per_epoch` to be an int"):
        encoder.fit()
    for wrong in (X[:, :2], X.astype(int), np.full((2, 4), np.nan, np.float32)):
        with pytest.raises(ValueError):
            encoder.fit(wrong, verbose=0)
        with pytest.raises(ValueError):
            encoder.encode(wrong)
