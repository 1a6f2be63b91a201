"""Watches over a training's data and weights: NaN, and values of another range.

Losses alone tell too little. A discriminator of ReLUs turns NaN into 0, and its logs
then read like the equilibrium.
"""

import time
import warnings

import keras
import numpy as np
import tensorflow as tf

# Data that lie outside their range by more than this share of its width, on average,
# have another range: less may be rounding, or what resizing overshoots.
_MOST_OUTSIDE = 0.01
# Looking at the weights takes no more than this share of a training's time.
_SHARE_OF_TIME = 0.005


class TrainingDiverged(ArithmeticError):
    """A loss or a weight became NaN or infinite."""


def diverged(gan, reason: str, first_step: int | None = None) -> TrainingDiverged:
    """Returns the error for a divergence now, or at the earliest in `first_step`.

    Args:
        gan: the `GAN`, whose steps so far the message states.
        reason: what was found, as a clause: "d_real is NaN".
        first_step: int, the step after the last one that was seen to be fine.
    """
    step = gan.generator_steps
    when = f"at step {step}"
    if first_step is not None and first_step < step:
        when = f"in steps {first_step} to {step}"
    return TrainingDiverged(
        f"Training diverged {when}: {reason}. Restore the last saved model and lower "
        "the learning rates, or check the data."
    )


def check_weights(gan) -> None:
    """Raises TrainingDiverged where a weight of `gan` is NaN or infinite."""
    paths = [
        variable.path
        for variable in gan.weights
        if variable.dtype.startswith(("float", "bfloat"))
        and not np.isfinite(keras.ops.convert_to_numpy(variable)).all()
    ]
    if paths:
        raise diverged(gan, f"the weights {', '.join(paths)} are not finite")


def check_range(spec, outside, below, above, is_all, received) -> None:
    """Raises, or warns, where data are not in the range that they are said to be in.

    Args:
        spec: `samples.SampleSpec` with bounds.
        outside, below, above: floats, how far the values lie outside the range, below
            its middle and above it, on average over all values.
        is_all: bool, whether these are at least an epoch's data.
        received: str, what the values are, for the message.

    Raises:
        ValueError: values outside the range, beyond some that stick out.
    """
    low, high = spec.bounds
    if outside > _MOST_OUTSIDE * (high - low):
        raise ValueError(
            f"Expected data in value_range={spec.value_range}, which the GAN was made "
            f"with. Received: {received}; rescale them, or make the GAN with their "
            "value_range"
        )
    if is_all and min(below, above) <= 1e-6 * (high - low):
        half = "upper" if below < above else "lower"
        warnings.warn(
            f"The data use the {half} half alone of value_range={spec.value_range}, "
            "which the GAN was made with. Rescale them, or make the GAN with their "
            "value_range.",
            stacklevel=2,
        )


class DataWatch:
    """Sums up on the device, over a training, how its data lie in their range.

    Args:
        spec: `samples.SampleSpec` of one sample.
        all_replicas: `replicas.Replicas`.
    """

    def __init__(self, spec, all_replicas):
        self.spec = spec
        self.replicas = all_replicas
        # Batches, and sums over them of means over their values: how far they lie
        # outside the range, below its middle, and from its middle on.
        self.sums = keras.Variable(
            np.zeros(4, np.float32),
            trainable=False,
            aggregation="only_first_replica",
            name="data_watch",
        )

    def update(self, samples):
        """Takes a batch in, a float tensor `(n, ...)`."""
        values = tf.cast(samples, tf.float32)
        if self.spec.bounds is None:
            means = [tf.reduce_mean(values), 0.0, 0.0]
        else:
            low, high = self.spec.bounds
            from_middle = values - (low + high) / 2
            outside = tf.reduce_mean(tf.nn.relu(tf.abs(from_middle) - (high - low) / 2))
            below = tf.reduce_mean(tf.nn.relu(-from_middle))
            means = [outside, below, below + tf.reduce_mean(from_middle)]
        (means,) = self.replicas.sum([tf.stack([1.0, *means])])
        self.sums.assign_add(means)

    def reset(self):
        self.sums.assign(np.zeros(4, np.float32))

    def is_finite(self):
        """Whether the data so far are."""
        return bool(np.isfinite(self.sums.numpy()).all())

    def check_range(self, is_all):
        """Raises, or warns, where finite data so far have another range.

        Args:
            is_all: see `check_range`.

        Raises:
            ValueError: another range.
        """
        count, *sums = self.sums.numpy().tolist()
        if count and self.spec.bounds is not None:
            outside, below, above = (total / count for total in sums)
            received = f"values that lie {outside:g} outside it on average"
            check_range(self.spec, outside, below, above, is_all, received)


class Watch(keras.callbacks.Callback):
    """Looks at the watched data and the weights while a GAN trains.

    At the data after the first batch and at each epoch's end; at the weights at the end
    of the first epoch, of later ones as often as it costs next to nothing, and at the
    training's end. In `evaluate`, at the data alone. `GAN.fit` puts it before all other
    callbacks, so that they never save what it refuses.

    Args:
        knows_all: bool, whether all data were checked before the first step.

    Raises:
        ValueError: from `fit`, data of another range; from `evaluate`, also NaN or
            infinite ones.
        TrainingDiverged: from `fit`, data or a weight that are NaN or infinite.
    """

    def __init__(self, knows_all=False):
        super().__init__()
        self.knows_all = knows_all

    def on_train_begin(self, logs=None):
        self.model.data_watch.reset()
        self._is_first = True
        self._has_warned = self.knows_all
        self._next_look = 0.0

    def on_train_batch_end(self, batch, logs=None):
        if self._is_first:
            self._is_first = False
            # NaN is for `callbacks.NonFiniteGuard`, where there is one, to name a step.
            if self.model.data_watch.is_finite():
                self.model.data_watch.check_range(is_all=False)

    def on_epoch_end(self, epoch, logs=None):
        if not self.model.data_watch.is_finite():
            raise diverged(self.model, "the data have NaN or infinite values")
        self.model.data_watch.check_range(is_all=not self._has_warned)
        self._has_warned = True
        now = time.monotonic()
        if now >= self._next_look:
            check_weights(self.model)
            took = time.monotonic() - now
            self._next_look = now + took / _SHARE_OF_TIME

    def on_train_end(self, logs=None):
        check_weights(self.model)

    def on_test_begin(self, logs=None):
        # Also on validation data, in the midst of a training.
        self._sums = self.model.data_watch.sums.numpy()
        self.model.data_watch.reset()

    def on_test_end(self, logs=None):
        watch = self.model.data_watch
        try:
            if not watch.is_finite():
                raise ValueError("Expected finite data. Received: NaN or infinity")
            watch.check_range(is_all=False)
        finally:
            watch.sums.assign(self._sums)


def watched(callbacks, knows_all=False):
    """Returns Keras callbacks with a `Watch` before them.

    Args:
        knows_all: see `Watch`.
        callbacks: None, a callback, a list of them, or a
            `keras.callbacks.CallbackList`, which brings its own.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    return [Watch(knows_all), *keras.tree.flatten(callbacks or [])]
