"""Extensions of a user's own, and each loss, penalty and layer that stabilises.

Each is given to the constructor or to `compile`, and must train, save, load, resume,
and work on replicas and in 16 bits.
"""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan.runs import checkpoint
from tests import extensions, helpers

ON_REPLICAS = ("own_relativistic", "player", "spectral", extensions.CLASSIFIED)
ON_REPLICAS = (*ON_REPLICAS, extensions.BIGAN)


def kinds(*fast):
    """Every kind for a test, which runs fast with those that it can fail by most."""
    return pytest.mark.parametrize("kind", helpers.mostly_slow(extensions.KINDS, fast))


def train(gan, kind, seeds):
    for seed in seeds:
        batch = extensions.batch_for(kind, seed=seed)
        x, labels = batch if isinstance(batch, tuple) else (batch, None)
        gan.reset_metrics()  # Keras below 3.13 does not do it by itself
        logs = gan.train_on_batch(x, labels, return_dict=True)
    return {name: float(value) for name, value in logs.items()}


@kinds(*extensions.OWN, "gradient_penalty", "relativistic")
def test_it_trains_and_logs_by_name(kind):
    gan = extensions.gan_with(kind)
    before = [helpers.weights_of(player.network) for player in gan.players]
    logs = train(gan, kind, range(3))
    names = {"value", "d_real", "d_fake"}
    if kind in (*extensions.LOSSES, "own_relativistic"):
        names = {"real_logits", "fake_logits"}
    if kind in extensions.PENALTIES:
        names = {*names, kind}
    more = {
        "own_penalty": ("interpolated_gradient", "lazy"),
        "player": ("encoder_loss",),
        extensions.CLASSIFIED: ("class_loss_real", "class_loss_fake", "r1"),
        extensions.BIGAN: ("encoder_loss", "reconstruction_error", "r1"),
    }
    names = {*names, *more.get(kind, ())}
    assert set(logs) == {"discriminator_loss", "generator_loss", *names}
    assert np.isfinite(list(logs.values())).all()
    for player, weights in zip(gan.players, before, strict=True):
        moved = [
            np.abs(w - old).max()
            for w, old in zip(helpers.weights_of(player.network), weights, strict=True)
        ]
        assert max(moved) > 1e-4, player.name


@pytest.mark.parametrize("jit_compile", [False, True])
@kinds("own_penalty", "spectral")
def test_eager_graph_and_xla_agree(kind, jit_compile):
    results = []
    for options in ({"run_eagerly": True}, {"jit_compile": jit_compile}):
        gan = extensions.gan_with(kind, fixed=True, **options)
        logs = train(gan, kind, range(4))
        results.append((extensions.weights_of(gan), logs))
    if jit_compile and kind in ("dragan", "gradient_penalty"):
        assert np.isfinite(results[1][0]).all()  # XLA draws other numbers
        return
    np.testing.assert_allclose(results[1][0], results[0][0], atol=1e-5)
    assert results[1][1] == pytest.approx(results[0][1], abs=1e-5)


@kinds("own_penalty", "player", "labelled")
def test_a_saved_gan_comes_back_whole(kind, tmp_path):
    gan = extensions.gan_with(kind)
    train(gan, kind, range(3))
    gan.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    np.testing.assert_array_equal(
        extensions.weights_of(loaded), extensions.weights_of(gan)
    )
    np.testing.assert_array_equal(loaded.generate(5, seed=1), gan.generate(5, seed=1))
    assert loaded.get_compile_config() == gan.get_compile_config()
    assert [p.name for p in loaded.players] == [p.name for p in gan.players]
    assert [p.steps for p in loaded.players] == [p.steps for p in gan.players]
    assert [type(p) for p in loaded.penalties] == [type(p) for p in gan.penalties]
    assert type(loaded.adversarial_loss) is type(gan.adversarial_loss)
    logs = train(loaded, kind, [3])
    assert np.isfinite(list(logs.values())).all()


@kinds("own_penalty", "player", "spectral")
def test_n_and_m_steps_are_n_plus_m_to_the_last_bit(kind):
    whole = extensions.gan_with(kind)
    train(whole, kind, range(5))
    first = extensions.gan_with(kind)
    train(first, kind, range(3))
    second = extensions.gan_with(kind)
    checkpoint.restore(second, checkpoint.snapshot(first, 3))
    train(second, kind, range(3, 5))
    np.testing.assert_array_equal(
        extensions.weights_of(second), extensions.weights_of(whole)
    )


def in_policy(policy, kind):
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        return extensions.gan_with(kind)
    finally:
        keras.mixed_precision.set_dtype_policy(before)


@kinds("own_penalty", "labelled")
def test_in_bfloat16_losses_are_finite_float32(kind):
    gan = in_policy("mixed_bfloat16", kind)
    assert np.isfinite(list(train(gan, kind, range(3)).values())).all()
    assert gan.generate(2, seed=0).dtype == np.float32


@kinds("own_penalty", "player")
def test_in_float16_losses_are_finite_float32(kind):
    gan = in_policy("mixed_float16", kind)
    assert all(player.is_loss_scaled for player in gan.players)
    logs = train(gan, kind, range(8))
    assert np.isfinite(list(logs.values())).all()
    skips = {name: logs[name] for name in logs if name.endswith("_skipped_steps")}
    assert set(skips) == {f"{player.name}_skipped_steps" for player in gan.players}
    assert max(skips.values()) < 8  # steps were made
    assert gan.generate(2, seed=0).dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param(ON_REPLICAS, id="some"),
        pytest.param(
            tuple(sorted(set(extensions.KINDS) - set(ON_REPLICAS))),
            id="others",
        ),
    ],
)
def test_on_two_replicas_they_are_what_one_device_does(kinds):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    process = subprocess.run(
        [sys.executable, "-m", "tests.extensions_child", *kinds],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
        timeout=600,
    )
    assert process.returncode == 0, process.stderr[-4000:]
    report = json.loads(process.stdout.split("REPORT ")[1].splitlines()[0])
    assert set(report) == set(kinds)
    for kind in kinds:
        if kind == "labelled":  # the first replica's labels alone were classes
            expected = "Expected `labels` in [0, 3). Received: values from 0 to 99"
            assert report[kind]["refused"] == expected
        if kind in extensions.DIFFERS_ON_REPLICAS:
            assert np.isfinite(list(report[kind]["logs"].values())).all(), kind
            continue
        gan = extensions.gan_with(kind, fixed=True)
        batch = extensions.batch_for(kind)
        data = tf.data.Dataset.from_tensors(batch).unbatch().take(7).batch(7).repeat(3)
        history = gan.fit(data, epochs=1, verbose=0).history
        ours = [
            np.ravel(w.numpy())
            for player in gan.players
            for w in player.network.trainable_variables
        ]
        for theirs, weights in zip(report[kind]["weights"], ours, strict=True):
            np.testing.assert_allclose(theirs, weights, atol=1e-5, err_msg=kind)
        logs = {name: values[-1] for name, values in history.items()}
        assert report[kind]["logs"] == pytest.approx(logs, abs=1e-5)


def test_a_relativistic_generator_meets_the_last_minibatch():
    gan = extensions.gan_with("own_relativistic", fixed=True, rate=0.0)
    batch = extensions.batch_for("own_relativistic")
    logs = train(gan, "own_relativistic", [0])
    real = np.asarray(gan.discriminator(batch[1::2]))  # k = 2: rows 1, 3, 5, 7
    latents = np.tile(np.float32([0.3, -1.0, 0.7]), (4, 1))
    fake = np.asarray(gan.discriminator(gan.generator(latents)))
    expected = np.mean(np.log1p(np.exp(real - fake)))
    assert logs["generator_loss"] == pytest.approx(expected, abs=1e-6)
    other = np.mean(np.log1p(np.exp(np.asarray(gan.discriminator(batch[::2])) - fake)))
    assert abs(expected - other) > 1e-4


def test_labels_reach_the_networks_and_nothing_else():
    """Fakes carry the labels of the prior, reals those of the data."""
    seen = []

    class Watch(keras_gan.GAN):
        def discriminator_objective(self, real, latents, training):
            seen.append((real, latents, self.judged(latents, training)))
            return super().discriminator_objective(real, latents, training)

    gan = Watch(*extensions.labelled_networks(), extensions.ClassPrior(3), None, seed=0)
    gan.compile("sgd", "sgd", run_eagerly=True)
    x, labels = extensions.batch_for("labelled")
    for element in (
        {"x": x, "y": labels},
        {"x": {"image": x, "label": labels}},
        {"x": {"samples": x, "labels": labels}},
    ):
        seen.clear()
        gan.train_on_batch(**element)
        [(real, latents, judged)] = seen
        np.testing.assert_array_equal(real["samples"], x)
        np.testing.assert_array_equal(real["labels"], labels)
        np.testing.assert_array_equal(judged["labels"], latents["labels"])
    assert gan.generate(7, seed=0).shape == (7, 4)
    assert gan.evaluate((x, labels)[0], labels, verbose=0, return_dict=True)


@pytest.mark.parametrize(
    "data, words",
    [
        ({"x": np.zeros((4, 4), np.float32)}, "labels.*x alone"),
        (
            {"x": np.zeros((4, 4), np.float32), "y": np.zeros(4, np.float32)},
            "integer `labels`.*float32",
        ),
        ({"x": {"pixels": np.zeros((4, 4), np.float32)}}, "'samples'.*'pixels'"),
    ],
)
def test_wrong_elements_are_one_line(data, words):
    gan = extensions.gan_with("labelled", discriminator_steps=1)
    with pytest.raises(ValueError, match=words):
        gan.train_on_batch(**data)


def test_a_term_that_an_overridden_objective_adds_is_logged():
    class Curious(keras_gan.GAN):
        def generator_objective(self, real, latents, training):
            loss, terms = super().generator_objective(real, latents, training)
            return loss, {**terms, "samples_mean": tf.reduce_mean(self.call(latents))}

    gan = Curious(*helpers.tiny_networks(), keras_gan.priors.Normal(3), None, seed=0)
    gan.compile("sgd", "sgd")
    history = gan.fit(helpers.examples(32), batch_size=8, epochs=2, verbose=0).history
    assert len(history["samples_mean"]) == 2
    assert np.isfinite(history["samples_mean"]).all()


@pytest.mark.parametrize(
    "players, compiled, words",
    [
        ({"generator": None}, {}, "names of their own"),
        ({"encoder": keras.Sequential([keras.layers.Dense(3)])}, {}, "built"),
        ({"encoder": "network"}, {}, "`optimizers` for .*encoder"),
        (
            {"encoder": "network"},
            {"optimizers": {"encoder": "sgd"}},
            "`objectives` for encoder",
        ),
        (
            {"encoder": "network"},
            {"optimizers": {"encoder": "sgd"}, "objectives": {"encoder": 3}},
            "players.Objective",
        ),
        ({}, {"optimizers": {"critic": "sgd"}}, "Received.*critic"),
        ({}, {"penalties": ["r1"]}, "penalties.R1"),
        (
            {},
            {"penalties": [keras_gan.penalties.R1(), keras_gan.penalties.R1()]},
            "2 t",
        ),
    ],
)
def test_mistakes_are_one_line(players, compiled, words):
    players = {
        name: extensions.encoder() if network == "network" else network
        for name, network in players.items()
    }
    with pytest.raises(ValueError, match=words):
        gan = keras_gan.GAN(
            *helpers.tiny_networks(), keras_gan.priors.Normal(3), None, players=players
        )
        gan.compile("sgd", "sgd", **compiled)


@pytest.mark.parametrize(
    "activation, value_range, fits",
    [
        ("tanh", (0.0, 1.0), False),
        ("sigmoid", (-1.0, 1.0), False),
        ("tanh", (-1.0, 1.0), True),
        ("sigmoid", (0.0, 1.0), True),
        ("linear", (0.0, 1.0), True),
        ("sigmoid", None, True),
    ],
)
@pytest.mark.parametrize("reshaped", [False, True])
def test_a_generator_that_cannot_reach_the_range_is_refused(
    activation, value_range, fits, reshaped
):
    _, discriminator = helpers.tiny_networks()
    layers = [keras.Input((3,)), keras.layers.Dense(4, activation=activation)]
    generator = keras.Sequential(layers + [keras.layers.Reshape((4,))] * reshaped)
    arguments = (generator, discriminator, keras_gan.priors.Normal(3), value_range)
    if fits:
        keras_gan.GAN(*arguments)
        return
    with pytest.raises(ValueError, match=f"{activation} as its last activation"):
        keras_gan.GAN(*arguments)
