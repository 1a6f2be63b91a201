"""The averaged generator: an exponential mean of the weights of a training."""

import math

import keras
import tensorflow as tf

from keras_gan import checks


class WeightAverage:
    """Keeps a network's weights averaged over the steps of its training.

    After t steps the weights are the mean of w_1 to w_t, weighted by d^(t - i): an
    exponential average with Adam's correction (D. Kingma and J. Ba, arXiv 1412.6980,
    section 3), which owes nothing to the initial weights. With a ramp the half-life is
    at most a share of the steps so far (T. Karras et al., arXiv 2006.06676, appendix
    B): early samples are those of recent weights. Running statistics are copied as they
    are.

    Args:
        network: Keras model whose weights are averaged.
        average: Keras model of the same architecture, which holds the mean.
        steps: int64 scalar variable, t.
        decay: float d in (0, 1).
        ramp: float in (0, 1] or None, the largest half-life as a share of t.
    """

    def __init__(self, network, average, steps, decay, ramp=None):
        self.network = network
        self.average = average
        self.steps = steps
        self.decay = decay
        self.ramp = ramp

    def update(self, made):
        """Takes the weights of a step in.

        Args:
            made: bool, or bool scalar: False for a step that was skipped.
        """
        self.steps.assign_add(tf.cast(made, tf.int64))
        steps = tf.cast(self.steps, tf.float32)
        # (1 - d) / (1 - d^t), from 1 down to 1 - d, without cancellation.
        share = (1.0 - self.decay) / -tf.math.expm1(steps * math.log(self.decay))
        if self.ramp is not None:
            recent = -tf.math.expm1(-math.log(2.0) / (self.ramp * steps))
            share = tf.maximum(share, recent)
        share = tf.where(made, share, 0.0)
        pairs = zip(self.average.weights, self.network.weights, strict=True)
        for average, weight in pairs:
            if weight.trainable:
                average.assign_add(tf.cast(share, average.dtype) * (weight - average))
            else:
                average.assign(tf.where(made, weight, average))


def check_decay(decay):
    """Returns `decay`: None, or a float in (0, 1).

    Raises:
        ValueError: anything else.
    """
    if decay is not None and not (
        checks.is_number(decay) and not checks.is_int(decay) and 0 < decay < 1
    ):
        raise ValueError(
            "Expected `ema_decay` to be None or a float in (0, 1), such as 0.999. "
            f"Received: {decay!r}"
        )
    return decay


def check_ramp(ramp, decay):
    """Returns `ramp`: None, or a number in (0, 1] where there is a decay.

    Raises:
        ValueError: anything else.
    """
    if ramp is not None and not (checks.is_number(ramp) and 0 < ramp <= 1):
        raise ValueError(
            "Expected `ema_ramp` to be None or a number in (0, 1], such as 0.05. "
            f"Received: {ramp!r}"
        )
    if ramp is not None and decay is None:
        raise ValueError(
            "Expected `ema_ramp` with an `ema_decay`. Received: ema_decay=None"
        )
    return ramp


def step_counter(model):
    """Returns a new int64 variable of a Keras model that counts averaged steps."""
    return model.add_weight(
        shape=(),
        dtype="int64",
        trainable=False,
        aggregation="only_first_replica",
        name="average_steps",
    )


def copy_of(network, inputs, needed="a network", use="`ema_decay`"):
    """Returns a network of the same architecture and weights, which nothing trains.

    Args:
        network: Keras model.
        inputs: `keras.KerasTensor`, or a dict of them: what it is called with.
        needed, use: str, what the network is and what it is copied for, in the message.

    Raises:
        ValueError: a network that Keras cannot copy.
    """
    try:
        copy = keras.models.clone_model(network)
        if not copy.built:
            copy(inputs)
        copy.set_weights(network.get_weights())
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"Expected {needed} that Keras can copy (one with `get_config`), for "
            f"{use}. Received: {network.name!r}, which fails: {checks.one_line(error)}"
        ) from error
    copy.trainable = False
    return copy
