"""Losses: golden values, extreme logits, gradients, and the toy's fixed point."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gan import losses
from tests import helpers

# Real and fake logits, and the losses that they have, worked out independently.
REAL = np.float32([[-5], [1.4], [12.5], [2.7]])
FAKE = np.float32([[10], [4.4], [-5.5], [3.6]])
GOLDEN = {
    "minimax": {"discriminator": 5.83387, "generator": -4.51082},
    "non_saturating": {"discriminator": 5.83387, "generator": 1.38582},
    "hinge": {"discriminator": 6.75, "generator": -3.125},
    "least_squares": {"discriminator": 83.4675, "generator": 35.3925},
    "wasserstein": {"discriminator": 0.225, "generator": -3.125},
    "relativistic": {"discriminator": 4.82244, "generator": 4.59744},
}
PAPERS = ("minimax", "non_saturating")


def test_every_loss_of_logits_has_golden_values():
    alone = [name for name in losses.names() if losses.BY_NAME[name].columns == 1]
    assert sorted(GOLDEN) == alone


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name):
    loss = losses.get(name)
    golden = GOLDEN[name]
    assert float(loss.discriminator_loss(REAL, FAKE)) == pytest.approx(
        golden["discriminator"], abs=1e-5
    )
    assert float(generator_loss(loss, FAKE, REAL)) == pytest.approx(
        golden["generator"], abs=1e-5
    )


def generator_loss(loss, fake, real):
    """What G descends, as `GAN.generator_objective` asks for it."""
    return loss.generator_loss(*([fake, real] if loss.relativistic else [fake]))


@pytest.mark.parametrize("name", sorted(set(GOLDEN) - set(PAPERS)))
def test_later_losses_at_extreme_logits(name):
    """Finite, with finite gradients that push each logit to its side, or not at all."""
    loss = losses.get(name)
    real, fake = tf.Variable([[-100.0], [100.0]]), tf.Variable([[100.0], [-100.0]])
    with tf.GradientTape(persistent=True) as tape:
        discriminator_loss = loss.discriminator_loss(real, fake)
        of_generator = generator_loss(loss, fake, real)
    assert np.isfinite([discriminator_loss, of_generator]).all()
    of_real, of_fake = tape.gradient(discriminator_loss, [real, fake])
    assert of_real[0] < 0 < of_fake[0]
    assert tape.gradient(of_generator, fake)[1] < 0
    for gradient in (of_real, of_fake, tape.gradient(of_generator, fake)):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize("name", GOLDEN)
def test_losses_are_saved_by_name_and_by_class(name):
    loss = losses.get(name)
    saved = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(saved)
    assert type(again) is type(loss)
    assert float(again.discriminator_loss(REAL, FAKE)) == float(
        loss.discriminator_loss(REAL, FAKE)
    )
    found = loss.diagnostics(REAL, FAKE)
    assert set(found) == (
        {"value", "d_real", "d_fake"}
        if name in PAPERS
        else {"real_logits", "fake_logits"}
    )


def test_losses_are_the_papers_formulas_of_probabilities():
    real, fake = (1 / (1 + np.exp(-np.float64(x))) for x in (REAL, FAKE))
    value = np.log(real).mean() + np.log(1 - fake).mean()
    assert float(losses.value(REAL, FAKE)) == pytest.approx(value, rel=1e-4)
    assert float(losses.minimax_generator_loss(FAKE)) == pytest.approx(
        np.log(1 - fake).mean(), rel=1e-4
    )
    assert float(losses.non_saturating_generator_loss(FAKE)) == pytest.approx(
        -np.log(fake).mean(), rel=1e-4
    )


def test_value_at_the_equilibrium_is_minus_log_4():
    zeros = np.zeros((5, 1), np.float32)
    assert float(losses.value(zeros, zeros)) == pytest.approx(-np.log(4), abs=1e-6)


@pytest.mark.parametrize("name", PAPERS)
def test_extreme_logits_have_finite_losses_and_gradients(name):
    loss = losses.get(name)
    real, fake = tf.Variable([[-100.0], [100.0]]), tf.Variable([[100.0], [-100.0]])
    with tf.GradientTape(persistent=True) as tape:
        discriminator_loss = loss.discriminator_loss(real, fake)
        generator_loss = loss.generator_loss(fake)
    # softplus(100) = 100 on the wrong side, 0 on the right side.
    assert float(discriminator_loss) == pytest.approx(100.0)
    gradients = [
        *tape.gradient(discriminator_loss, [real, fake]),
        tape.gradient(generator_loss, fake),
    ]
    np.testing.assert_allclose(gradients[0], [[-0.5], [0.0]], atol=1e-6)
    np.testing.assert_allclose(gradients[1], [[0.5], [0.0]], atol=1e-6)
    assert np.isfinite(gradients[2]).all()
    assert np.abs(gradients[2]).max() == pytest.approx(0.5)


def test_minimax_generator_gradient_is_minus_the_discriminators_fake_term():
    fake = tf.Variable(FAKE)
    with tf.GradientTape(persistent=True) as tape:
        loss = losses.Minimax()
        generator_loss = loss.generator_loss(fake)
        discriminator_loss = loss.discriminator_loss(REAL, fake)
    np.testing.assert_array_equal(
        tape.gradient(generator_loss, fake), -tape.gradient(discriminator_loss, fake)
    )


@pytest.mark.parametrize("name", helpers.mostly_slow(PAPERS, ["minimax"]))
def test_both_generator_losses_have_the_same_fixed_point(name):
    """Data at 2, one sample at g, logit D(x) = w (x - 2), weight decay on w.

    The decay makes the dynamics contract; the only stationary point is g = 2, w = 0.
    """
    loss = losses.get(name)
    g, w = tf.Variable(1.2), tf.Variable(0.4)
    data = tf.constant([[2.0]])

    def gradients():
        with tf.GradientTape(persistent=True) as tape:
            real = w * (data - 2.0)
            fake = w * (tf.reshape(g, (1, 1)) - 2.0)
            discriminator_loss = loss.discriminator_loss(real, fake) + 0.5 * w**2
            generator_loss = loss.generator_loss(fake)
        return tape.gradient(generator_loss, g), tape.gradient(discriminator_loss, w)

    for _ in range(600):
        g_gradient, w_gradient = gradients()
        g.assign_sub(0.2 * g_gradient)
        w.assign_sub(0.2 * w_gradient)
    assert float(g) == pytest.approx(2.0, abs=1e-3)
    assert float(w) == pytest.approx(0.0, abs=1e-3)
    g.assign(2.0)
    w.assign(0.0)
    assert [float(x) for x in gradients()] == [0.0, 0.0]
    g.assign(1.9)
    assert float(gradients()[1]) != 0.0


def test_get_passes_objects_and_names_what_it_expected():
    loss = losses.Minimax()
    assert losses.get(loss) is loss
    with pytest.raises(ValueError, match=r"to be one of .*Received: 'minmax'.*mean"):
        losses.get("minmax")
    with pytest.raises(ValueError, match="not a class"):
        losses.get(losses.Minimax)
    with pytest.raises(ValueError, match="subclass of AdversarialLoss.*Received: 3"):
        losses.get(3)


@pytest.mark.parametrize("name", losses.names())
def test_serialization(name):
    config = keras.saving.serialize_keras_object(losses.get(name))
    assert type(keras.saving.deserialize_keras_object(config)) is type(losses.get(name))
