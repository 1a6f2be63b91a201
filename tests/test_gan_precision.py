"""GAN in 16 bits and under XLA: loss scales, skipped steps, what stays float32."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan.runs import callbacks
from tests import helpers

LossScaleOptimizer = keras.mixed_precision.LossScaleOptimizer
PLAYERS = ("discriminator", "generator")
LOGS = {"discriminator_loss", "generator_loss", "value", "d_real", "d_fake"}
SKIPS = {f"{player}_skipped_steps" for player in PLAYERS}


@pytest.fixture(autouse=True)
def policy():
    """Each test leaves the global policy as it was."""
    before = keras.mixed_precision.dtype_policy()
    yield
    keras.mixed_precision.set_dtype_policy(before)


def gan_in(policy, prior=None, **options):
    """`helpers.tiny_gan` whose every layer has the policy, its last ones too."""
    keras.mixed_precision.set_dtype_policy(policy)
    gan = helpers.tiny_gan(
        prior=helpers.deterministic_prior() if prior is None else prior, **options
    )
    keras.mixed_precision.set_dtype_policy("float32")
    return gan


def scaled(optimizer, scale=2.0**7, growth=2000):
    return LossScaleOptimizer(
        optimizer, initial_scale=scale, dynamic_growth_steps=growth
    )


def optimizer_of(gan, player):
    return getattr(gan, f"{player}_optimizer")


def state_of(gan, player):
    """Weights, slots and counters of a network, one array."""
    inner = optimizer_of(gan, player).inner_optimizer
    variables = [*getattr(gan, player).trainable_variables, *inner.variables]
    return np.concatenate([v.numpy().ravel() for v in variables]).astype(np.float64)


# === Loss scales ===


def test_float16_in_either_network_scales_both_losses():
    gan = gan_in("mixed_float16")
    for player in PLAYERS:
        optimizer = optimizer_of(gan, player)
        assert isinstance(optimizer, LossScaleOptimizer)
        assert isinstance(optimizer.inner_optimizer, keras.optimizers.SGD)
    for policy in ("float32", "mixed_bfloat16"):
        gan = gan_in(policy)
        assert isinstance(gan.generator_optimizer, keras.optimizers.SGD)
        assert set(helpers.train_steps(gan, [helpers.examples(4)])) == LOGS

    keras.mixed_precision.set_dtype_policy("mixed_float16")
    generator, _ = helpers.tiny_networks()
    keras.mixed_precision.set_dtype_policy("float32")
    _, discriminator = helpers.tiny_networks()
    gan = keras_gan.GAN(generator, discriminator, helpers.deterministic_prior(), None)
    own = scaled(keras.optimizers.Adam(), scale=8.0)
    gan.compile("sgd", own)
    assert gan.discriminator_optimizer is own
    assert isinstance(gan.generator_optimizer, LossScaleOptimizer)
    assert set(helpers.train_steps(gan, [helpers.examples(4)])) == LOGS | SKIPS


@pytest.mark.parametrize("run_eagerly", [helpers.slow(False), True])
def test_a_scale_changes_nothing_but_the_range_of_gradients(run_eagerly):
    """float32 networks, with and without loss scales and a fixed factor: equal."""
    results = []
    for wrap in (
        lambda optimizer: optimizer,
        lambda optimizer: scaled(optimizer, 2.0**10),
        lambda optimizer: type(optimizer)(1e-2, loss_scale_factor=2.0**10),
    ):
        gan = helpers.tiny_gan(
            prior=helpers.deterministic_prior(),
            generator_optimizer=wrap(keras.optimizers.Adam(1e-2)),
            discriminator_optimizer=wrap(keras.optimizers.Adam(1e-2)),
            discriminator_steps=2,
            run_eagerly=run_eagerly,
        )
        batches = [helpers.examples(7, seed=seed) for seed in range(4)]
        logs = helpers.train_steps(gan, batches)
        results.append((helpers.weights_of(gan), {name: logs[name] for name in LOGS}))
    for weights, logs in results[1:]:
        for actual, expected in zip(weights, results[0][0], strict=True):
            np.testing.assert_allclose(actual, expected, atol=1e-6)
        assert logs == pytest.approx(results[0][1], abs=1e-6)


@keras.saving.register_keras_serializable("tests")
class Overflowing(keras_gan.losses.NonSaturating):
    """One player's gradient, not its loss, is infinite where a logit is above 100."""

    def __init__(self, player):
        self.player = player

    def discriminator_loss(self, real_logits, fake_logits):
        loss = super().discriminator_loss(real_logits, fake_logits)
        return self._spoil(loss, real_logits, "discriminator")

    def generator_loss(self, fake_logits):
        return self._spoil(
            super().generator_loss(fake_logits), fake_logits, "generator"
        )

    def _spoil(self, loss, logits, player):
        if player != self.player:
            return loss

        @tf.custom_gradient
        def spoil(x):
            wild = tf.reduce_max(tf.abs(logits)) > 100.0
            return x, lambda upstream: upstream * tf.where(wild, np.inf, 1.0)

        return spoil(loss)

    def get_config(self):
        return {"player": self.player}


def overflowing_gan(player, **options):
    """float32 networks with loss scales, of which one can be made to overflow."""
    return helpers.tiny_gan(
        prior=helpers.deterministic_prior(),
        loss=Overflowing(player),
        generator_optimizer=scaled(keras.optimizers.Adam(1e-2)),
        discriminator_optimizer=scaled(keras.optimizers.Adam(1e-2)),
        **options,
    )


@pytest.mark.parametrize(
    ("player", "k", "jit_compile"),
    [
        ("discriminator", 2, False),
        ("generator", 1, False),
        helpers.slow("discriminator", 1, False),
        helpers.slow("generator", 2, False),
        helpers.slow("generator", 1, True),
        helpers.slow("discriminator", 2, True),
    ],
)
def test_an_overflow_skips_the_step_of_one_network(player, k, jit_compile):
    gan = overflowing_gan(
        player, discriminator_steps=k, jit_compile=jit_compile, ema_decay=0.5
    )
    other = PLAYERS[player == "discriminator"]
    batch = helpers.examples(6 * k)
    logs = helpers.train_steps(gan, [batch])
    assert [logs[name] for name in sorted(SKIPS)] == [0.0, 0.0]
    # D's last bias: both players see logits beyond 100, and one of them is spoilt.
    gan.discriminator.trainable_variables[-1].assign([-1e4])
    before = {name: state_of(gan, name) for name in PLAYERS}
    average = [w.numpy() for w in gan.averaged_generator.weights]
    average_steps = int(gan._average_steps)
    logs = helpers.train_steps(gan, [batch])
    skipped = k if player == "discriminator" else 1
    assert logs[f"{player}_skipped_steps"] == skipped
    assert logs[f"{other}_skipped_steps"] == 0
    np.testing.assert_array_equal(state_of(gan, player), before[player])
    assert (state_of(gan, other) != before[other]).any()
    assert optimizer_of(gan, player).dynamic_scale.numpy() == 2.0 ** (7 - skipped)
    assert optimizer_of(gan, other).dynamic_scale.numpy() == 2.0**7
    same = [
        (w.numpy() == old).all()
        for w, old in zip(gan.averaged_generator.weights, average, strict=True)
    ]
    assert all(same) == (player == "generator")
    assert int(gan._average_steps) - average_steps == (player == "discriminator")
    assert all(np.isfinite(v.numpy()).all() for v in gan.variables)
    # A step that was skipped is in no mean.
    names = {"generator_loss"} if player == "generator" else LOGS - {"generator_loss"}
    assert all(logs[name] == 0 for name in names)
    others = {f"{other}_loss", "value"} - names
    assert all(abs(logs[name]) > 100 for name in others)


def test_one_of_two_discriminator_steps_is_skipped():
    """A wild example among the rows 0::2 spoils the first of k = 2 minibatches."""
    gan = overflowing_gan("discriminator", discriminator_steps=2)
    batch = helpers.examples(8)
    gan.discriminator.trainable_variables[0].assign(np.eye(4, 6, dtype=np.float32))
    gan.discriminator.trainable_variables[2].assign(np.full((6, 1), 300.0, np.float32))
    gan.generator.trainable_variables[2].assign(np.zeros((5, 4), np.float32))
    batch *= 1e-3  # logits of about 300 * 4 * tanh(1e-3), samples of 0
    batch[2] = 5.0  # a logit of 1,200
    logs = helpers.train_steps(gan, [batch])
    assert logs["discriminator_skipped_steps"] == 1
    assert gan.discriminator_optimizer.iterations == 1
    assert gan.generator_optimizer.iterations == 1


def test_scales_grow_again():
    gan = helpers.tiny_gan(
        generator_optimizer=scaled(keras.optimizers.SGD(0.01), 4.0, growth=3),
        discriminator_optimizer=scaled(keras.optimizers.SGD(0.01), 4.0, growth=3),
        discriminator_steps=2,
    )
    helpers.train_steps(gan, [helpers.examples(4)] * 3)
    assert gan.generator_optimizer.dynamic_scale.numpy() == 8.0
    assert gan.discriminator_optimizer.dynamic_scale.numpy() == 16.0  # six steps


def test_float16_comes_down_from_a_scale_that_overflows_and_trains():
    """A true overflow: 2 ** 40 times any gradient is infinite in float16."""
    gan = gan_in("mixed_float16")
    options = {"initial_scale": 2.0**40, "dynamic_growth_steps": 10**6}
    gan.compile(
        *(LossScaleOptimizer(keras.optimizers.SGD(0.1), **options) for _ in range(2))
    )
    before = helpers.weights_of(gan)
    data = tf.data.Dataset.from_tensors(helpers.examples(8)).repeat(60)
    guard = callbacks.NonFiniteGuard()
    history = gan.fit(data, verbose=0, callbacks=[guard]).history
    for player in PLAYERS:
        optimizer = optimizer_of(gan, player)
        (skipped,) = history[f"{player}_skipped_steps"]
        assert 10 < skipped < 40
        assert int(optimizer.iterations) == 60 - skipped
        assert optimizer.dynamic_scale.numpy() == 2.0 ** (40 - skipped)
    assert all(np.isfinite(values).all() for values in history.values())
    for weight, old in zip(helpers.weights_of(gan), before, strict=True):
        assert np.isfinite(weight).all() and (weight != old).any()


def test_the_guard_tells_endless_skipping_from_an_overflow():
    """NaN data have every step skipped, which no scale mends."""
    gan = gan_in("mixed_float16")
    data = tf.data.Dataset.from_tensors(np.full((8, 4), np.nan, np.float32)).repeat()
    with pytest.raises(callbacks.TrainingDiverged, match="discriminator.*loss scale"):
        gan.fit(
            data, steps_per_epoch=60, verbose=0, callbacks=[callbacks.NonFiniteGuard()]
        )
    assert all(np.isfinite(v.numpy()).all() for v in gan.trainable_variables)


# === Numbers ===


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_a_few_steps_in_16_bits_stay_close_to_float32(policy):
    runs = {}
    for name in ("float32", policy):
        gan = gan_in(name, discriminator_steps=2)
        if name == "mixed_float16":  # a first scale that skips no step
            gan.compile(
                *(scaled(keras.optimizers.SGD(0.1)) for _ in range(2)),
                discriminator_steps=2,
            )
        start = helpers.weights_of(gan)
        batches = [helpers.examples(8, seed=seed) for seed in range(5)]
        logs = helpers.train_steps(gan, batches)
        moved = [w - s for w, s in zip(helpers.weights_of(gan), start, strict=True)]
        runs[name] = np.concatenate([m.ravel() for m in moved]), logs
    (exact, exact_logs), (close, logs) = runs.values()
    assert not (exact == close).all()
    assert np.linalg.norm(close - exact) < 0.03 * np.linalg.norm(exact)
    for name in LOGS:
        assert logs[name] == pytest.approx(exact_logs[name], abs=0.02)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_losses_logs_samples_and_weights_are_float32(policy):
    """The tiny networks end in 16 bits: what the GAN makes of them does not."""
    gan = gan_in(policy, ema_decay=0.5)
    half = policy.removeprefix("mixed_")
    real, latents = helpers.examples(4), np.zeros((4, 3), np.float32)
    assert gan.generator(latents).dtype == half
    assert gan.discriminator(real).dtype == half
    for loss, terms in (
        gan.discriminator_objective(real, latents, training=True),
        gan.generator_objective(real, latents, training=True),
    ):
        assert loss.dtype == tf.float32
        assert {term.dtype for term in terms.values()} == {tf.float32}
    assert gan(latents).dtype == tf.float32
    for samples in (
        gan.predict(latents, verbose=0),
        gan.generate(3, seed=0),
        gan.generate(3, seed=0, averaged=False),
    ):
        assert samples.dtype == np.float32
    helpers.train_steps(gan, [real])
    assert {v.dtype for v in gan.variables if "seed" not in v.path} <= {
        "float32", "int64",
    }  # fmt: skip


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (keras_gan.networks.digits_mlp, (8, 8, 1)),
        (keras_gan.networks.toy_mlp, (2,)),
        pytest.param(
            keras_gan.networks.paper_cifar_conv, (32, 32, 3), marks=pytest.mark.slow
        ),
    ],
)
def test_our_networks_compute_in_16_bits_and_end_in_float32(policy, build, shape):
    keras.mixed_precision.set_dtype_policy(policy)
    networks = build(shape, latent_dim=5, seed=0)
    half = policy.removeprefix("mixed_")
    for network in networks:
        assert network.compute_dtype == half
        layers = [x for x in network._flatten_layers() if not list(x._layers)]
        assert layers[-1].compute_dtype == "float32"
        weighted = [x for x in layers if x.weights]
        assert weighted[-1].compute_dtype == "float32"
        assert {x.compute_dtype for x in weighted[:-2]} == {half}
        assert {w.dtype for w in network.trainable_weights} == {"float32"}
        inputs = np.zeros((2, *network.input_shape[1:]), np.float32)
        assert network(inputs).dtype == tf.float32


# === Saving ===


def test_a_loaded_model_has_its_scales_and_slots_back(tmp_path):
    gan = gan_in(
        "mixed_float16",
        generator_optimizer=keras.optimizers.Adam(0.01),
        discriminator_optimizer=scaled(keras.optimizers.Adam(0.01), 2.0**30, 1000),
        ema_decay=0.5,
    )
    helpers.train_steps(gan, [helpers.examples(4, seed=seed) for seed in range(5)])
    assert gan.discriminator_optimizer.dynamic_scale.numpy() == 2.0**25
    gan.save(tmp_path / "gan.keras")
    copy = keras.saving.load_model(tmp_path / "gan.keras")
    for player in PLAYERS:
        ours, theirs = optimizer_of(gan, player), optimizer_of(copy, player)
        assert isinstance(theirs, LossScaleOptimizer)
        assert not isinstance(theirs.inner_optimizer, LossScaleOptimizer)
        for a, b in zip(ours.variables, theirs.variables, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert theirs.dynamic_growth_steps == ours.dynamic_growth_steps
    for model in (gan, copy):
        helpers.train_steps(model, [helpers.examples(4, seed=9)] * 20)
    assert int(gan.generator_optimizer.iterations) > 10
    for a, b in zip(gan.weights, copy.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    np.testing.assert_array_equal(copy.generate(3, seed=1), gan.generate(3, seed=1))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_the_export_answers_in_float32(policy, tmp_path):
    gan = gan_in(policy, prior=keras_gan.priors.Normal(3), ema_decay=0.5)
    helpers.train_steps(gan, [helpers.examples(4)])
    exported = keras_gan.export.ExportedGenerator(gan.export(tmp_path / "export"))
    samples = exported.generate(6, seed=2)
    assert samples.dtype == np.float32
    np.testing.assert_allclose(samples, gan.generate(6, seed=2), atol=0.03)


# === XLA ===


@pytest.mark.slow
def test_fifty_steps_with_xla_are_fifty_without():
    runs = []
    for jit_compile in (False, True):
        gan = helpers.tiny_gan(
            prior=helpers.deterministic_prior(),
            generator_optimizer=keras.optimizers.Adam(1e-3),
            discriminator_optimizer=keras.optimizers.Adam(1e-3),
            discriminator_steps=2,
            jit_compile=jit_compile,
        )
        batches = [helpers.examples(8, seed=seed) for seed in range(50)]
        logs = helpers.train_steps(gan, batches)
        runs.append((helpers.weights_of(gan), logs))
    for actual, expected in zip(runs[1][0], runs[0][0], strict=True):
        np.testing.assert_allclose(actual, expected, atol=2e-4)
    assert runs[1][1] == pytest.approx(runs[0][1], abs=2e-4)


class Counting(keras_gan.GAN):
    """Counts how often its training step is traced."""

    traces = 0

    def train_step(self, data):
        self.traces += 1
        return super().train_step(data)


@pytest.mark.parametrize(
    ("jit_compile", "loss_scale"),
    [
        (False, True),
        helpers.slow(False, False),
        helpers.slow(True, False),
        helpers.slow(True, True),
    ],
)
def test_a_training_is_traced_once_for_each_shape(jit_compile, loss_scale):
    gan = Counting(*helpers.tiny_networks(), keras_gan.priors.Normal(3), None, seed=0)
    optimizers = [keras.optimizers.Adam() for _ in range(2)]
    gan.compile(
        *(map(scaled, optimizers) if loss_scale else optimizers),
        jit_compile=jit_compile,
        discriminator_steps=2,
        ema_decay=0.9,
    )
    # Static shapes (8 and 3 rows), as arrays have; the second of each may relax them.
    data = helpers.examples(19)
    gan.fit(data, batch_size=8, epochs=2, verbose=0)
    traced = gan.traces
    assert 1 <= traced <= 2
    gan.fit(data, batch_size=8, epochs=3, verbose=0)
    gan.fit(data[:11], batch_size=8, epochs=2, verbose=0)
    assert gan.traces == traced
    # Batches of unknown size, as training.py has them: once for all.
    batches = keras_gan.datasets.Dataset(data, value_range=None).batches(8, seed=0)
    gan.fit(batches, epochs=2, verbose=0, shuffle=False)
    assert gan.traces <= traced + 1


def test_an_accumulated_gradient_is_no_skipped_step():
    gan = helpers.tiny_gan(
        **{
            f"{player}_optimizer": keras.mixed_precision.LossScaleOptimizer(
                keras.optimizers.Adam(gradient_accumulation_steps=2), initial_scale=2.0
            )
            for player in ("generator", "discriminator")
        }
    )
    logs = [gan.train_on_batch(helpers.examples(5), return_dict=True) for _ in range(4)]
    for player in ("generator", "discriminator"):
        assert logs[-1][f"{player}_skipped_steps"] == 0
    assert gan.generator_steps == 2
