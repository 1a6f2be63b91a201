"""Penalties against gradients by hand, in float64."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import penalties
from tests import helpers

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
