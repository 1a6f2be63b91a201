"""Watches over a training's data and weights: NaN, and values of another range.

Losses alone tell too little. A discriminator of ReLUs turns NaN into 0, and its logs
then read like the equilibrium.
"""

import time
import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_gan import labels as class_labels

# Data that lie outside their range by more than this share of its width, on average,
# have another range: less may be rounding, or what resizing overshoots.
_MOST_OUTSIDE = 0.01
# Examples of a batch that are kept to be looked at.
_NUM_WATCHED = 16
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


def check_range(spec, values, is_all) -> None:
    """Raises, or warns, where data are not in the range that they are said to be in.

    Args:
        spec: `samples.SampleSpec`; without bounds nothing is checked.
        values: list of finite float arrays, whose values are looked at together.
        is_all: bool, whether they are all data there are, or stand for them.

    Raises:
        ValueError: values outside the range, beyond some that stick out.
    """
    if spec.bounds is None:
        return
    low, high = spec.bounds
    lowest = min(float(part.min()) for part in values)
    highest = max(float(part.max()) for part in values)
    if lowest < low or highest > high:
        outside = sum(
            np.abs(part - np.clip(part, low, high)).sum(dtype=np.float64)
            for part in values
        )
        if outside > _MOST_OUTSIDE * (high - low) * sum(part.size for part in values):
            raise ValueError(
                f"Expected data in value_range={spec.value_range}, which the GAN was "
                f"made with. Received: values from {lowest:g} to {highest:g}; rescale "
                "them, or make the GAN with their value_range"
            )
    middle = (low + high) / 2
    if is_all and (lowest >= middle or highest <= middle):
        warnings.warn(
            f"The data lie between {lowest:g} and {highest:g}, in one half of "
            f"value_range={spec.value_range}, which the GAN was made with. Rescale "
            "them, or make the GAN with their value_range.",
            stacklevel=2,
        )


class DataWatch:
    """Keeps a few examples of the last batch, to be looked at between the steps.

    And the smallest and the largest label so far. A graph does not refuse a label that
    is no class: some devices stop the step, others take another label instead.

    To look at all of them in each step would cost some percent of its time, and a range
    is known by a few. One NaN among the others makes weights NaN, which are looked at.

    Args:
        spec: `samples.SampleSpec` of one sample.
        num_classes: int, of the labels that are watched; None watches none.
        replicas: `replicas.Replicas`.
    """

    def __init__(self, spec, num_classes, replicas):
        self.spec = spec
        self.replicas = replicas
        self.num_classes = num_classes
        self.examples = keras.Variable(
            np.zeros((_NUM_WATCHED, *spec.shape), np.float32),
            trainable=False,
            aggregation="only_first_replica",
            name="data_watch",
        )
        self.bounds = None
        if num_classes is not None:
            self.bounds = keras.Variable(
                np.zeros(2, np.int32),
                trainable=False,
                aggregation="only_first_replica",
                name="label_watch",
            )

    def classes(self, examples):
        """Returns examples whose labels are classes, and keeps the bounds of theirs.

        Args:
            examples: float tensor, or a dict with int32 "labels" `(n,)`.
        """
        if self.bounds is None:
            return examples
        labels = examples["labels"]
        seen = tf.concat([self.bounds.value, labels], axis=0)
        bounds = self.replicas.joined(
            tf.stack([tf.reduce_min(seen), tf.reduce_max(seen)])
        )
        self.bounds.assign([tf.reduce_min(bounds), tf.reduce_max(bounds)])
        labels = tf.clip_by_value(labels, 0, self.num_classes - 1)
        return {**examples, "labels": labels}

    def update(self, samples):
        """Keeps some of a batch, a float tensor `(n, ...)`; n >= 1."""
        rows = tf.minimum(tf.range(_NUM_WATCHED), tf.shape(samples)[0] - 1)
        self.examples.assign(tf.cast(tf.gather(samples, rows), tf.float32))

    def check(self, seen, is_all):
        """Raises, or warns, where the examples have another range.

        Args:
            seen: list of arrays, examples of before; these are appended.
            is_all: see `check_range`.

        Raises:
            ValueError: another range, or labels that are no classes.
        """
        self.check_labels()
        examples = self.examples.numpy()
        if np.isfinite(examples).all():
            seen.append(examples)
            check_range(self.spec, seen, is_all)

    def check_labels(self):
        """Raises ValueError for labels that are no classes; then forgets them all."""
        if self.bounds is not None:
            lowest, highest = self.bounds.numpy()
            self.bounds.assign([0, 0])
            class_labels.check_bounds(lowest, highest, self.num_classes)


class Watch(keras.callbacks.Callback):
    """Looks at the watched data and the weights while a GAN trains.

    At the range of the data after the first batch and the first epoch; at their labels
    after the first batch and each epoch; at the weights at the end of the first epoch,
    of later ones as often as it costs next to nothing, and at the training's end.
    `GAN.fit` puts it before all other callbacks, so that they never save what it
    refuses.

    Args:
        knows_all: bool, whether all data were checked before the first step.

    Raises:
        ValueError: from `fit`, data of another range, or labels that are no classes.
        TrainingDiverged: from `fit`, a weight that is NaN or infinite.
    """

    def __init__(self, knows_all=False):
        super().__init__()
        self.knows_all = knows_all

    def on_train_begin(self, logs=None):
        self._seen = []
        self._has_ended_one = self.knows_all
        self._next_look = 0.0

    def on_train_batch_end(self, batch, logs=None):
        if not self._seen and not self.knows_all:
            self.model.data_watch.check(self._seen, is_all=False)

    def on_epoch_end(self, epoch, logs=None):
        now = time.monotonic()
        if now >= self._next_look:
            check_weights(self.model)
            took = time.monotonic() - now
            self._next_look = now + took / _SHARE_OF_TIME
        if not self._has_ended_one:
            self._has_ended_one = True
            self.model.data_watch.check(self._seen, is_all=True)
        self.model.data_watch.check_labels()

    def on_train_end(self, logs=None):
        check_weights(self.model)
