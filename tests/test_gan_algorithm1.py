"""Algorithm 1, proven: a NumPy replay, and counted effects of each step."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import minibatches
from tests import helpers


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Replay:
    """Equations (2) and (3) by hand: two-layer tanh networks, float64, SGD.

    Weights are [W1, b1, W2, b2] for each network, as Keras orders them.
    """

    def __init__(self, gan, rate):
        self.g = [w.astype(np.float64) for w in helpers.weights_of(gan.generator)]
        self.d = [w.astype(np.float64) for w in helpers.weights_of(gan.discriminator)]
        self.rate = rate

    @staticmethod
    def forward(weights, x):
        hidden = np.tanh(x @ weights[0] + weights[1])
        return hidden, hidden @ weights[2] + weights[3]

    @staticmethod
    def backward(weights, x, hidden, upstream):
        """Gradients of the weights and of x, given d loss / d output."""
        inner = (upstream @ weights[2].T) * (1 - hidden**2)
        gradients = [x.T @ inner, inner.sum(0), hidden.T @ upstream, upstream.sum(0)]
        return gradients, inner @ weights[0].T

    def discriminator_step(self, x, z):
        """Ascends 1/m sum [log D(x) + log(1 - D(G(z)))]: equation (2)."""
        _, fake = self.forward(self.g, z)
        total = [np.zeros_like(w) for w in self.d]
        # d log s(a) / da = 1 - s(a); d log(1 - s(b)) / db = -s(b).
        for inputs, slope in (
            (x, lambda a: 1 - sigmoid(a)),
            (fake, lambda b: -sigmoid(b)),
        ):
            hidden, logits = self.forward(self.d, inputs)
            upstream = slope(logits) / len(inputs)
            gradients, _ = self.backward(self.d, inputs, hidden, upstream)
            total = [t + g for t, g in zip(total, gradients, strict=True)]
        self.d = [w + self.rate * t for w, t in zip(self.d, total, strict=True)]

    def generator_step(self, z, loss):
        """Descends 1/m sum log(1 - D(G(z))), equation (3), or -1/m sum log D(G(z))."""
        hidden_g, fake = self.forward(self.g, z)
        hidden_d, logits = self.forward(self.d, fake)
        slope = -sigmoid(logits) if loss == "minimax" else sigmoid(logits) - 1
        _, d_fake = self.backward(self.d, fake, hidden_d, slope / len(z))
        gradients, _ = self.backward(self.g, z, hidden_g, d_fake)
        self.g = [w - self.rate * t for w, t in zip(self.g, gradients, strict=True)]


REPLAYS = list(
    itertools.product(
        ("eager", "graph", "xla"), (1, 2, 3), ("minimax", "non_saturating")
    )
)
# Every k and loss eagerly, and each of them once in a graph and in XLA.
FAST_REPLAYS = [
    *(case for case in REPLAYS if case[0] == "eager"),
    ("graph", 1, "non_saturating"),
    ("graph", 3, "minimax"),
    ("xla", 1, "non_saturating"),
    ("xla", 2, "minimax"),
]


@pytest.mark.parametrize(
    ("mode", "k", "loss"), helpers.mostly_slow(REPLAYS, FAST_REPLAYS)
)
def test_train_step_equals_the_numpy_replay(k, loss, mode):
    latent = (0.3, -1.0, 0.7)
    gan = helpers.tiny_gan(
        prior=helpers.deterministic_prior(latent),
        loss=loss,
        discriminator_steps=k,
        run_eagerly=mode == "eager",
        jit_compile=mode == "xla",
    )
    replay = Replay(gan, rate=0.1)
    batch = helpers.examples(4 * k + 1)  # one row more: sizes differ by one for k > 1
    helpers.train_steps(gan, [batch])
    for j in range(k):
        x = batch[j::k].astype(np.float64)
        replay.discriminator_step(x, np.tile(latent, (len(x), 1)))
    replay.generator_step(np.tile(latent, (len(batch[::k]), 1)), loss)
    for network, expected in ((gan.generator, replay.g), (gan.discriminator, replay.d)):
        for actual, weights in zip(helpers.weights_of(network), expected, strict=True):
            np.testing.assert_allclose(actual, weights, atol=1e-5)
    assert int(gan.discriminator_optimizer.iterations) == k
    assert int(gan.generator_optimizer.iterations) == 1


class Recorder(keras_gan.GAN):
    """Keeps what the objectives were given, and the weights that they met."""

    def discriminator_objective(self, real, latents, training):
        self.record.append(("d", real.numpy(), latents.numpy(), training))
        self.met.append(helpers.weights_of(self))
        return super().discriminator_objective(real, latents, training)

    def generator_objective(self, real, latents, training):
        self.record.append(("g", None, latents.numpy(), training))
        self.met.append(helpers.weights_of(self))
        return super().generator_objective(real, latents, training)


def recorder(k):
    gan = Recorder(
        *helpers.tiny_networks(),
        latent_prior=keras_gan.priors.Normal(3),
        value_range=None,
        seed=0,
    )
    gan.record, gan.met = [], []
    gan.compile("sgd", "sgd", discriminator_steps=k, run_eagerly=True)
    return gan


@pytest.mark.parametrize("k", [1, 2, 3])
def test_every_step_sees_fresh_data_and_fresh_latents(k):
    gan = recorder(k)
    batch = helpers.examples(4 * k + 1)
    helpers.train_steps(gan, [batch, batch])
    for records in (gan.record[: k + 1], gan.record[k + 1 :]):
        assert [record[0] for record in records] == ["d"] * k + ["g"]
        rows = np.concatenate([record[1] for record in records[:k]])
        assert len({row.tobytes() for row in rows}) == len(batch)  # each row, once
        sizes = [len(record[1]) for record in records[:k]]
        assert max(sizes) - min(sizes) <= 1
        assert [len(record[2]) for record in records[:k]] == sizes
        assert all(record[3] is True for record in records)
    latents = np.concatenate([record[2] for record in gan.record])
    assert len({row.tobytes() for row in latents}) == len(latents)


def test_a_step_changes_the_trainable_weights_of_its_network_only():
    gan = recorder(k=2)
    helpers.train_steps(gan, [helpers.examples(8)])
    count = len(gan.generator.trainable_variables)
    first, second, third = (
        ([w.tobytes() for w in met[:count]], [w.tobytes() for w in met[count:]])
        for met in gan.met
    )
    last = (
        [w.tobytes() for w in helpers.weights_of(gan.generator)],
        [w.tobytes() for w in helpers.weights_of(gan.discriminator)],
    )
    assert first[0] == second[0] == third[0] != last[0]
    assert first[1] != second[1] != third[1] == last[1]


def test_minimax_generator_gradient_is_minus_the_discriminators_through_d():
    """d/dG of equation (3)'s loss = -d/dG of D's loss, whose real term has no G."""
    gan = helpers.tiny_gan(loss="minimax")
    latents, real = helpers.examples(6)[:, :3], helpers.examples(5, seed=1)
    with tf.GradientTape(persistent=True) as tape:
        d_loss, _ = gan.discriminator_objective(real, latents, training=True)
        g_loss, _ = gan.generator_objective(real, latents, training=True)
    weights = gan.generator.trainable_variables
    of_d, of_g = tape.gradient(d_loss, weights), tape.gradient(g_loss, weights)
    assert max(np.abs(gradient).max() for gradient in of_g) > 1e-3
    for ours, theirs in zip(of_g, of_d, strict=True):
        np.testing.assert_allclose(ours, -theirs, atol=1e-7)


def test_eager_graph_and_xla_agree():
    """Deterministic prior, no dropout, momentum, k = 2: five steps in each mode."""
    runs = []
    for options in (
        {"run_eagerly": True},
        {"jit_compile": False},
        {"jit_compile": True},
    ):
        gan = helpers.tiny_gan(
            prior=helpers.deterministic_prior(),
            generator_optimizer=keras.optimizers.Adam(0.01),
            discriminator_optimizer=keras.optimizers.SGD(0.1, momentum=0.5),
            discriminator_steps=2,
            **options,
        )
        logs = helpers.train_steps(gan, [helpers.examples(9, seed=i) for i in range(5)])
        runs.append((helpers.weights_of(gan), logs))
    for weights, logs in runs[1:]:
        for actual, expected in zip(weights, runs[0][0], strict=True):
            np.testing.assert_allclose(actual, expected, atol=1e-5)
        assert logs == pytest.approx(runs[0][1], abs=1e-5)


def trained(seed=0, **options):
    gan = helpers.tiny_gan(dropout=0.3, seed=seed, discriminator_steps=2, **options)
    helpers.train_steps(gan, [helpers.examples(8, seed=i) for i in range(5)])
    return np.concatenate([w.ravel() for w in helpers.weights_of(gan)])


def test_with_dropout_and_a_random_prior_eager_equals_graph():
    np.testing.assert_allclose(trained(run_eagerly=True), trained(), atol=1e-6)


@pytest.mark.parametrize("jit_compile", [False, helpers.slow(True)])
def test_two_runs_of_one_seed_are_equal_to_the_last_bit(jit_compile):
    first = trained(jit_compile=jit_compile)
    keras.utils.set_random_seed(123)  # nothing may come from the global seed
    np.testing.assert_array_equal(first, trained(jit_compile=jit_compile))


def test_the_seed_reaches_latents_and_dropout():
    """Same initial weights (tiny_networks' own seed), another seed of the GAN."""

    def run(seed, dropout, prior):
        gan = keras_gan.GAN(
            *helpers.tiny_networks(0, dropout), prior, value_range=None, seed=seed
        )
        gan.compile("sgd", "sgd")
        helpers.train_steps(gan, [helpers.examples(8)])
        return np.concatenate([w.ravel() for w in helpers.weights_of(gan)])

    for dropout, prior in (
        (0.5, helpers.deterministic_prior()),
        (0.0, keras_gan.priors.Normal(3)),
    ):
        assert (run(1, dropout, prior) == run(1, dropout, prior)).all()
        assert (run(1, dropout, prior) != run(2, dropout, prior)).any()


def test_xla_draws_latents_from_the_same_distribution():
    """Mean logs over many steps with nothing learned agree within their error."""
    means = []
    for jit_compile in (False, True):
        gan = helpers.tiny_gan(
            dropout=0.3,
            generator_optimizer=keras.optimizers.SGD(0.0),
            discriminator_optimizer=keras.optimizers.SGD(0.0),
            jit_compile=jit_compile,
        )
        batch = helpers.examples(2000)
        logs = [helpers.train_steps(gan, [batch])["d_fake"]]
        gan.reset_metrics()
        logs += [helpers.train_steps(gan, [batch] * 20)["d_fake"]]
        means.append(logs)
    (first, mean), (xla_first, xla_mean) = means
    assert first != xla_first  # the random numbers do differ
    assert mean == pytest.approx(xla_mean, abs=0.004)


# === Many discriminator steps ===


def many_steps(monkeypatch, most_unrolled, jit_compile=False, rows=26, **options):
    """Returns a GAN after two steps with k = 12, unrolled or in a loop."""
    monkeypatch.setattr(minibatches.Deal, "most_unrolled", most_unrolled)
    gan = helpers.tiny_gan(
        discriminator_steps=12, jit_compile=jit_compile, dropout=0.3, **options
    )
    data = [helpers.examples(rows, seed=seed) for seed in range(2)]
    stream = tf.data.Dataset.from_generator(
        lambda: iter(data),
        output_signature=tf.TensorSpec(
            (rows if jit_compile else None, *data[0].shape[1:]), tf.float32
        ),
    )
    history = gan.fit(stream, epochs=1, verbose=0).history
    return [*helpers.weights_of(gan), *gan.discriminator_optimizer.variables], history


# Uneven minibatches, empty ones, equal ones; XLA knows its sizes.
@pytest.mark.parametrize(
    ("rows", "jit_compile"),
    [
        (26, False),
        pytest.param(24, True, marks=pytest.mark.slow),
        pytest.param(7, False, marks=pytest.mark.slow),
        pytest.param(24, False, marks=pytest.mark.slow),
    ],
)
def test_a_loop_of_the_graph_is_the_steps_one_by_one(monkeypatch, rows, jit_compile):
    """Weights, optimizers' slots, seeds and logs, to the last bit."""
    unrolled, logs = many_steps(monkeypatch, 100, jit_compile, rows)
    looped, same_logs = many_steps(monkeypatch, 3, jit_compile, rows)
    assert logs == same_logs
    for a, b in zip(unrolled, looped, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.slow
def test_penalties_and_averages_in_the_loop(monkeypatch):
    options = {"penalties": [keras_gan.penalties.R1(0.1, every=3)], "ema_decay": 0.5}
    unrolled, logs = many_steps(monkeypatch, 100, **options)
    looped, same_logs = many_steps(monkeypatch, 3, **options)
    assert logs == same_logs and "r1" in logs
    for a, b in zip(unrolled, looped, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_a_hundred_steps_are_no_larger_a_graph_than_ten():
    sizes = []
    for k in (10, 100):
        gan = helpers.tiny_gan(discriminator_steps=k)
        step = tf.function(gan.train_step)
        shape = (None, *gan.sample_shape)
        graph = step.get_concrete_function(tf.TensorSpec(shape, tf.float32)).graph
        sizes.append(len(graph.as_graph_def().node))
    assert sizes[0] == sizes[1]


@keras.saving.register_keras_serializable("tests")
class Keeps(keras_gan.GAN):
    """Its generator looks at what the discriminator's last step has left."""

    def discriminator_objective(self, real, latents, training):
        loss, terms = super().discriminator_objective(real, latents, training)
        self.last = loss
        return loss, {**terms, "rows": tf.shape(real)[0]}

    def generator_objective(self, real, latents, training):
        loss, terms = super().generator_objective(real, latents, training)
        return loss + 0.1 * tf.stop_gradient(self.last), terms


@pytest.mark.slow
def test_an_objective_of_the_users_may_keep_tensors_for_any_k():
    gan = Keeps(*helpers.tiny_networks(), keras_gan.priors.Normal(3), None, seed=0)
    gan.compile("sgd", "sgd", discriminator_steps=12)
    logs = helpers.train_steps(gan, [helpers.examples(24)])
    assert logs["rows"] == 2.0 and np.isfinite(logs["generator_loss"])
