"""Penalties against gradients by hand, in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import critics, losses, minibatches, penalties
from tests import extensions, helpers

X = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
W = np.float32([[0.5], [-2.0], [1.5]])


def test_r1_of_a_linear_critic_is_the_square_of_its_weights():
    value = penalties.R1(0.7)(lambda x: x @ W + 3.0, tf.constant(X), None, None)
    assert float(value) == pytest.approx(0.35 * (0.25 + 4 + 2.25), rel=1e-6)


def test_r1_of_a_quadratic_critic_sums_over_all_values_of_an_image():
    images = X.reshape(5, 3, 1, 1)
    value = penalties.R1(2.0)(
        lambda x: tf.reduce_sum(x**2, axis=(1, 2, 3))[:, None],
        tf.constant(images),
        None,
        None,
    )
    expected = np.mean(np.sum((2 * X.astype(np.float64)) ** 2, axis=1))
    assert float(value) == pytest.approx(expected, rel=1e-6)


Z = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
SEED = tf.constant([3, 4], tf.int32)
NORM = np.sqrt(0.25 + 4 + 2.25)


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (penalties.R2(0.7), 0.35 * NORM**2),
        (penalties.GradientPenalty(3.0), 3.0 * (NORM - 1) ** 2),
        (penalties.DRAGAN(3.0), 3.0 * (NORM - 1) ** 2),
    ],
)
def test_penalties_of_a_linear_critic(penalty, expected):
    value = penalty(lambda x: x @ W + 3.0, tf.constant(X), tf.constant(Z), SEED)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def squares(x):
    """A critic whose gradient is 2 x."""
    return tf.reduce_sum(x**2, axis=1)[:, None]


def off_unit(points):
    return np.mean((2 * np.linalg.norm(points.astype(np.float64), axis=1) - 1) ** 2)


def test_r2_is_r1_of_the_samples():
    value = penalties.R2(2.0)(squares, tf.constant(X), tf.constant(Z), None)
    expected = np.mean(np.sum((2 * Z.astype(np.float64)) ** 2, axis=1))
    assert float(value) == pytest.approx(expected, rel=1e-6)


def test_the_gradient_penalty_is_between_each_pair_by_one_share():
    value = penalties.GradientPenalty(1.0)(
        squares, tf.constant(X), tf.constant(Z), SEED
    )
    share = tf.random.stateless_uniform((5, 1), SEED).numpy()
    expected = off_unit(share * X + (1 - share) * Z)
    assert float(value) == pytest.approx(expected, rel=1e-5)
    labelled = penalties.GradientPenalty(1.0)(
        lambda x: squares(x["samples"]) + tf.cast(x["labels"], tf.float32)[:, None],
        {"samples": tf.constant(X), "labels": tf.range(5)},
        {"samples": tf.constant(Z), "labels": tf.range(5) + 1},
        SEED,
    )
    assert float(labelled) == pytest.approx(expected, rel=1e-5)


def test_dragan_is_around_the_examples():
    value = penalties.DRAGAN(1.0, noise=0.3)(squares, tf.constant(X), None, SEED)
    noise = tf.random.stateless_normal((5, 3), SEED).numpy()
    expected = off_unit(X + 0.3 * X.std() * noise)
    assert float(value) == pytest.approx(expected, rel=1e-5)
    still = penalties.DRAGAN(1.0, noise=0.0)(squares, tf.constant(X), None, SEED)
    assert float(still) == pytest.approx(off_unit(X), rel=1e-5)


@pytest.mark.parametrize("name", sorted(penalties.BY_NAME))
def test_a_constant_critic_has_finite_gradients(name):
    kernel = tf.Variable(np.zeros((3, 1), np.float32))
    with tf.GradientTape() as tape:
        value = penalties.BY_NAME[name]()(
            lambda x: x @ kernel, tf.constant(X), tf.constant(Z), SEED
        )
    gradient = tape.gradient(value, kernel)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("name", sorted(penalties.BY_NAME))
def test_gradients_in_the_critics_weights_are_finite_differences(name):
    """Of D(x) = sum w x^2, whose slope is 2 w x: in float64, by hand."""
    penalty, weights = penalties.BY_NAME[name](), np.float64([0.5, -0.8, 0.3])
    kernel = tf.Variable(weights.astype(np.float32))

    def value(kernel):
        return penalty(
            lambda x: tf.reduce_sum(kernel * x**2, axis=1)[:, None],
            tf.constant(X),
            tf.constant(Z),
            SEED,
        )

    share = tf.random.stateless_uniform((5, 1), SEED).numpy()
    noise = tf.random.stateless_normal((5, 3), SEED).numpy()
    points = {
        "r1": X,
        "r2": Z,
        "gradient_penalty": share * X + (1 - share) * Z,
        "dragan": X + 0.5 * X.std() * noise,
    }[name].astype(np.float64)

    def by_hand(weights):
        norms = np.sqrt(np.sum((2 * weights * points) ** 2, axis=1))
        if name in ("r1", "r2"):
            return 0.5 * np.mean(norms**2)
        return 10.0 * np.mean((norms - 1) ** 2)

    with tf.GradientTape() as tape:
        found = value(kernel)
    assert float(found) == pytest.approx(by_hand(weights), rel=1e-5)
    gradient = tape.gradient(found, kernel).numpy()
    for index in range(3):
        step = 1e-6 * np.eye(3)[index]
        difference = (by_hand(weights + step) - by_hand(weights - step)) / 2e-6
        assert gradient[index] == pytest.approx(difference, rel=1e-3, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (loss, name)
        for loss in losses.names()
        if losses.BY_NAME[loss].columns == 1
        for name in sorted(penalties.BY_NAME)
    ],
)
def test_every_loss_trains_with_every_penalty_alike_in_every_mode(loss, name):
    """Eagerly, in a graph and, if nothing is drawn, by XLA, which draws otherwise."""
    weights = []
    for mode in ({"run_eagerly": True}, {}, {"jit_compile": True}):
        gan = helpers.tiny_gan(
            helpers.deterministic_prior(),
            loss=loss,
            penalties=[penalties.BY_NAME[name](every=2)],
            discriminator_steps=2,
            **mode,
        )
        logs = helpers.train_steps(gan, [helpers.examples(8, seed=i) for i in (0, 1)])
        assert np.isfinite(list(logs.values())).all() and name in logs
        weights.append(np.concatenate([w.ravel() for w in helpers.weights_of(gan)]))
    draws = name in ("dragan", "gradient_penalty")
    for other in weights[1:2] if draws else weights[1:]:
        np.testing.assert_allclose(weights[0], other, atol=1e-4)


@pytest.mark.parametrize("name", sorted(penalties.BY_NAME))
@pytest.mark.parametrize("gamma", [-1.0, np.nan, "1", True, None])
def test_factors_are_numbers_of_at_least_0(name, gamma):
    with pytest.raises(ValueError, match="Expected gamma >= 0. Received: "):
        penalties.BY_NAME[name](gamma)


def test_a_critic_that_ignores_its_input_has_no_penalty_and_finite_gradients():
    bias = tf.Variable([[1.0]])
    with tf.GradientTape() as tape:
        value = penalties.R1()(lambda x: tf.tile(bias, (5, 1)), tf.constant(X), 0, 0)
    assert float(value) == 0.0
    gradient = tape.gradient(value, bias)
    assert gradient is None or np.isfinite(gradient).all()


def test_its_gradient_is_that_of_finite_differences():
    """d R1 / d w of D(x) = tanh(w . x), against central differences in float64."""
    w = tf.Variable(W)
    with tf.GradientTape() as tape:
        value = penalties.R1(1.0)(lambda x: tf.tanh(x @ w), tf.constant(X), None, None)
    gradient = tape.gradient(value, w).numpy().ravel()

    def by_hand(weights):
        slope = 1 - np.tanh(X.astype(np.float64) @ weights) ** 2
        return 0.5 * np.mean(slope**2) * np.sum(weights**2)

    flat, step = W.ravel().astype(np.float64), 1e-5
    for index in range(3):
        change = np.zeros(3)
        change[index] = step
        difference = by_hand(flat + change) - by_hand(flat - change)
        assert gradient[index] == pytest.approx(difference / (2 * step), abs=1e-4)


def test_a_lazy_penalty_acts_every_nth_step_with_n_times_the_weight():
    """Constant in the critic's weights, so that each step's term can be read."""

    @keras.saving.register_keras_serializable("tests")
    class Constant(penalties.Penalty):
        def __call__(self, critic, real, fake, seed):
            return tf.constant(2.0)

    gan = helpers.tiny_gan(penalties=[Constant(every=3, name="constant")])
    terms = []
    for _ in range(7):
        gan.reset_metrics()
        terms.append(helpers.train_steps(gan, [helpers.examples(8)])["constant"])
    assert terms == [6.0, 0.0, 0.0, 6.0, 0.0, 0.0, 6.0]


@pytest.mark.parametrize("every", [1, 2])
def test_a_penalty_of_a_users_own_may_ask_for_all_answers(every):
    seen = []

    class Asking(penalties.Penalty):
        def __call__(self, critic, real, fake, seed):
            seen.append(critic.answers(real).shape)
            return tf.reduce_mean(critic(real))

    critic = critics.Critic(lambda x: tf.concat([smooth(x)] * 2, axis=1))
    penalties.terms([Asking(every)], critic, tf.constant(X), None, SEED, 0)
    assert seen == [(5, 2)]


def test_a_schedule_is_a_factor_by_the_steps_of_d():
    """k = 2: a falls from 1 to .2 over four steps of D, which are two of G."""
    schedule = keras_gan.optimizers.LinearRamp(1.0, 0.2, 0, 4)

    @keras.saving.register_keras_serializable("tests")
    class Two(penalties.Penalty):
        def __call__(self, critic, real, fake, seed):
            return tf.constant(2.0)

    gan = helpers.tiny_gan(
        penalties=[Two(every=2, name="two", schedule=schedule)], discriminator_steps=2
    )
    terms = []
    for _ in range(3):
        gan.reset_metrics()
        terms.append(helpers.train_steps(gan, [helpers.examples(8)])["two"])
    # Means over a due step (doubled) and one that is not: at steps 0, 2 and 4.
    assert terms == pytest.approx([2.0, 1.2, 0.4])


def test_a_schedule_is_saved(tmp_path):
    schedule = keras.optimizers.schedules.CosineDecay(1.0, 10, alpha=0.1)
    gan = helpers.tiny_gan(penalties=[penalties.R1(0.5, schedule=schedule)])
    gan.save(tmp_path / "gan.keras")
    [loaded] = keras.saving.load_model(tmp_path / "gan.keras").penalties
    assert [float(loaded.schedule(s)) for s in (0, 5, 20)] == pytest.approx(
        [1.0, 0.55, 0.1]
    )
    with pytest.raises(ValueError, match="schedule to be None or a Keras schedule"):
        penalties.R1(0.5, schedule=0.3)


def test_penalties_draw_seeds_only_where_there_are_any():
    """So that a training without them is what it was before they existed."""
    plain, penalised = (
        helpers.tiny_gan(penalties=given) for given in ((), [penalties.R1(0.0)])
    )
    for gan in (plain, penalised):
        helpers.train_steps(gan, [helpers.examples(8)])
    states = [gan._training_seeds.state.numpy() for gan in (plain, penalised)]
    assert (states[0] != states[1]).any()


def test_r1_changes_d_and_not_g_in_the_step_and_not_evaluation():
    batch = helpers.examples(8)
    plain = helpers.tiny_gan(prior=helpers.deterministic_prior())
    penalised = helpers.tiny_gan(
        prior=helpers.deterministic_prior(), penalties=[penalties.R1(5.0)]
    )
    values = [gan.evaluate(batch, verbose=0, return_dict=True) for gan in
              (plain, penalised)]  # fmt: skip
    assert values[0]["discriminator_loss"] == values[1]["discriminator_loss"]
    logs = helpers.train_steps(penalised, [batch])
    helpers.train_steps(plain, [batch])
    assert logs["r1"] > 0
    first, second = (
        helpers.weights_of(gan.discriminator) for gan in (plain, penalised)
    )
    assert max(np.abs(a - b).max() for a, b in zip(first, second, strict=True)) > 1e-4


@pytest.mark.parametrize("arguments", [{"gamma": -1}, {"gamma": "1"}, {"every": 0}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="Expected"):
        keras_gan.penalties.R1(**arguments)


# === The pass that a loss and a penalty share ===


def smooth(x):
    return tf.tanh(x @ tf.constant(W)) ** 2


def test_gradients_go_back_through_the_pass_of_the_loss():
    calls = []

    def answers(inputs):
        calls.append(inputs)
        return tf.concat([smooth(inputs), 7.0 * smooth(inputs)], axis=1)

    critic, x = critics.Critic(answers), tf.constant(X)
    assert critic.watched_answers(x).shape == (5, 2)
    assert len(calls) == 1
    shared, again = (
        penalties.squared_gradient_norms(critic, x, shared=True) for _ in range(2)
    )
    assert len(calls) == 2  # a tape answers once
    alone = penalties.squared_gradient_norms(smooth, x)
    np.testing.assert_array_equal(shared, again)
    np.testing.assert_array_equal(shared, alone)
    # Equal values are not the same pass.
    critic.watched_answers(x)
    penalties.squared_gradient_norms(critic, tf.constant(X), shared=True)
    assert len(calls) == 4


def test_a_tape_around_the_norms_sees_a_pass_of_their_own():
    """As a user's penalty may open one."""

    def bent(x):
        return tf.reduce_sum(x * tf.tanh(3 * x), axis=1, keepdims=True)

    critic, x = critics.Critic(bent), tf.constant(X)
    critic.watched_answers(x)
    slopes = []
    for function in (critic, bent):
        with tf.GradientTape() as tape:
            tape.watch(x)
            norms = penalties.squared_gradient_norms(function, x)
        slopes.append(tape.gradient(norms, x))
    np.testing.assert_array_equal(*slopes)


def test_a_critic_of_a_users_own_may_give_logits_without_columns():
    x = tf.constant(X)
    alone = penalties.squared_gradient_norms(lambda x: smooth(x)[:, 0], x)
    np.testing.assert_array_equal(alone, penalties.squared_gradient_norms(smooth, x))


def test_the_objective_takes_arrays():
    gan = helpers.tiny_gan(penalties=[penalties.R1(1.0)])
    x, latents = helpers.examples(4), np.zeros((4, 3), np.float32)
    loss, _ = gan.discriminator_objective(x, latents, training=False)
    expected, _ = gan.discriminator_objective(tf.constant(x), latents, training=False)
    assert float(loss) == float(expected)


@pytest.mark.parametrize("name", ["r1", "r2", "gradient_penalty", "dragan"])
def test_a_shared_pass_changes_no_gradient_of_the_critics_weights(name):
    weights = tf.Variable(W)
    labels = tf.range(5)

    def answers(inputs):
        shift = tf.cast(inputs["labels"], tf.float32)[:, None]
        return tf.tanh(inputs["samples"] @ weights + shift) ** 2

    def of(critic, judged):
        real, fake = (
            {"samples": tf.constant(each), "labels": labels} for each in (X, Z)
        )
        with tf.GradientTape() as tape:
            a, b = judged(real), judged(fake)
            loss = losses.get("relativistic").discriminator_loss(a, b)
            penalty = penalties.BY_NAME[name](0.7)
            term = penalties.terms([penalty], critic, real, fake, SEED, 0)[name]
            total = loss + term
        gradient = tape.gradient(total, weights)
        return float(term), gradient.numpy()

    shared = critics.Critic(answers)
    value, gradient = of(shared, shared.watched_answers)
    expected = of(answers, answers)
    assert value == pytest.approx(expected[0], rel=1e-6)
    np.testing.assert_allclose(gradient, expected[1], rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        ([], 2),
        ([penalties.R1(1.0), penalties.R2(1.0)], 2),
        ([penalties.R1(1.0), penalties.R1(1.0, name="again")], 3),
        ([penalties.R1(1.0, every=2)], 3),
        ([penalties.GradientPenalty(1.0)], 3),
    ],
)
def test_passes_through_d_in_a_step(given, passes):
    """Of D's own step; G's makes one more. The third step is one that is due."""
    calls = []

    class Counting(keras.layers.Layer):
        def call(self, x):
            calls.append(0)
            return x

    discriminator = keras.Sequential(
        [keras.Input((4,)), Counting(), keras.layers.Dense(1)]
    )
    generator, _ = helpers.tiny_networks()
    gan = keras_gan.GAN(generator, discriminator, keras_gan.priors.Normal(3), None)
    gan.compile("sgd", "sgd", penalties=given, run_eagerly=True)
    helpers.train_steps(gan, [helpers.examples(8)] * 2)
    calls.clear()
    helpers.train_steps(gan, [helpers.examples(8)])
    assert len(calls) == passes + 1


@pytest.mark.parametrize("make", [helpers.tiny_gan, extensions.bigan_with])
def test_steps_in_a_loop_share_passes_and_train_what_they_would_without(
    make, monkeypatch
):
    """k = 3: a loop of the graph with passes shared; unrolled, each with its own."""
    monkeypatch.setattr(minibatches.Deal, "most_unrolled", 1)
    both = [penalties.R1(0.3), penalties.R2(0.4)]
    options = {"penalties": both, "loss": "relativistic", "discriminator_steps": 3}

    def trained():
        gan = make(**options)
        logs = helpers.train_steps(gan, [helpers.examples(12)])
        return [*helpers.weights_of(gan.discriminator), logs["r1"], logs["r2"]]

    shared = trained()
    monkeypatch.setattr(critics.Critic, "taken", lambda self, inputs: None)
    monkeypatch.setattr(minibatches.Deal, "most_unrolled", 100)
    for one, other in zip(shared, trained(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
