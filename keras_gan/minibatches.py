"""From an element of a dataset to the minibatches of Algorithm 1."""

import functools

import keras
import numpy as np
import tensorflow as tf

from keras_gan import labels as class_labels

# What `fit` may be given for an element that is a dict.
_SAMPLE_KEYS = ("samples", "sample", "images", "image")
_LABEL_KEYS = ("labels", "label")


def once_there(step):
    """Decorates a step of a model: none of it runs where no data come.

    Keras learns that a dataset has ended by a step that fails to get its data. What
    does not need the data, such as an optimizer's counter or a seed, would move on.
    """

    @functools.wraps(step)
    def guarded(self, data):
        there = [part for part in tf.nest.flatten(data) if part is not None]
        with tf.control_dependencies(there):
            return step(self, data)

    return guarded


def examples(data, spec, prior):
    """Returns the examples of a dataset element: what the discriminator takes.

    Args:
        data: x, (x, labels), or a dict with `_SAMPLE_KEYS` and perhaps `_LABEL_KEYS`.
        spec: `samples.SampleSpec` of one sample.
        prior: of `priors`, which says whether the discriminator takes labels, and of
            how many classes.

    Returns:
        float tensor `(n, *spec.shape)`, of uint8 that in the range which it stands
        for; where the prior draws labels, a dict with that as "samples" and int32
        "labels" `(n,)`, which may be no classes of the prior.

    Raises:
        ValueError: while tracing, another shape or dtype, labels that are missing, or
            sample weights.
    """
    samples, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise ValueError(
            "Expected a dataset of x or (x, labels). Received sample weights too."
        )
    if isinstance(samples, dict):
        labels = labels_of(samples, labels)
        samples = samples_of(samples)
    samples = tf.convert_to_tensor(samples)
    check_dtype(samples.dtype.as_numpy_dtype, spec)
    if samples.shape.rank is None:  # tf.data.Dataset.from_generator(output_types=...)
        samples = tf.ensure_shape(samples, (None, *spec.shape))
    check_shape(samples.shape, spec)
    if samples.dtype == tf.uint8:
        samples = spec.from_uint8(tf.cast(samples, tf.float32))
    if not prior.is_labelled:
        return samples
    return {"samples": samples, "labels": _int_labels(labels, prior.num_classes)}


def check_labels_given(labels):
    """Raises ValueError where a conditional model is given no labels."""
    if labels is None:
        raise ValueError(
            "Expected elements (x, labels), which a prior that draws labels asks for. "
            "Received: x alone"
        )


def _int_labels(labels, num_classes):
    """Returns labels, or the one-hot rows that stand for them, as int32 `(n,)`."""
    check_labels_given(labels)
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank is None:
        labels = tf.ensure_shape(labels, (None,))
    width = labels.shape[1] if labels.shape.rank == 2 else None
    if width is not None and width > 1 and width == (num_classes or width):
        class_labels.say_one_hot(width)
        labels = tf.cast(labels, tf.float32)
        is_hot = tf.reduce_all((labels == 0) | (labels == 1), axis=1)
        is_hot &= tf.reduce_sum(labels, axis=1) == 1
        # No class stands for another row, several ones say: see `watching.DataWatch`.
        return tf.where(is_hot, tf.argmax(labels, 1, output_type=tf.int32), -1)
    if not labels.dtype.is_integer or labels.shape.rank != 1:
        raise ValueError(
            "Expected integer labels of shape (batch,). Received: "
            f"{labels.dtype.name} of shape {tuple(labels.shape)}"
        )
    return tf.cast(labels, tf.int32)


def samples_of(element):
    """Returns the examples of an element that is a dict.

    Raises:
        ValueError: none of its keys is one that stands for examples.
    """
    found = _one_of_keys(element, _SAMPLE_KEYS)
    if found is None:
        raise ValueError(
            f"Expected a dict with {' or '.join(map(repr, _SAMPLE_KEYS))}. "
            f"Received one with: {', '.join(map(repr, element))}"
        )
    return found


def labels_of(element, default=None):
    """Returns the labels of an element that is a dict, or `default` without any."""
    return _one_of_keys(element, _LABEL_KEYS, default)


def check_dtype(dtype, spec):
    """Raises ValueError unless examples are floats, or uint8 for a range."""
    is_float = tf.as_dtype(dtype).is_floating
    if is_float or (dtype == np.uint8 and spec.value_range is not None):
        return
    expected = "float examples"
    if spec.value_range is not None:
        expected = f"float examples in {spec.value_range}, or uint8"
    raise ValueError(
        f"Expected {expected}. Received: {tf.as_dtype(dtype).name}; scale and cast them"
    )


def check_shape(shape, spec):
    """Raises ValueError unless batches have the shape that the generator makes."""
    shape = tf.TensorShape(shape)
    if shape.rank is not None and shape[1:].is_compatible_with(spec.shape):
        return
    *others, channels = spec.shape
    hint = ""
    if shape.rank is not None and shape[1:] == (channels, *others):
        hint = "; move the channels to the last axis"
    elif shape.rank is not None and channels == 1 and shape[1:] == tuple(others):
        hint = "; add the channel axis: x[..., None]"
    raise ValueError(
        f"Expected batches of shape {(None, *spec.shape)}, as the generator makes "
        f"them. Received: {tuple(shape)}{hint}"
    )


def samples_in(examples):
    """Returns the samples of what a discriminator takes: that, or "samples" in it."""
    return examples["samples"] if isinstance(examples, dict) else examples


def nan_unless_finite(terms, examples):
    """Returns the terms, or NaN where the examples are not finite.

    A discriminator of ReLUs would turn NaN into a number.
    """
    is_finite = tf.reduce_all(tf.math.is_finite(samples_in(examples)))
    return {name: tf.where(is_finite, term, np.nan) for name, term in terms.items()}


def _one_of_keys(element, keys, default=None):
    return next((element[key] for key in keys if key in element), default)


class Deal:
    """The k minibatches of a batch: minibatch j is the rows j::k.

    Sizes differ by at most one, and nothing is dropped. An empty one has size 0, and
    the batch's last row for examples: networks must not see an empty batch, whose mean
    is NaN, in batch normalisation say. `deal[j]` is (minibatch j, its size), where j
    may be a tensor.

    Args:
        examples: tensor `(n, ...)`, or a dict of such tensors.
        parts: int >= 1, k of Algorithm 1.
        replicas: `replicas.Replicas`.

    Attributes:
        examples: as given; of at least one row.

    Raises:
        ValueError: while tracing, batches that are known to have fewer rows than parts.
    """

    # Steps that the graph has one by one. A hundred of them take minutes to trace.
    most_unrolled = 8

    def __init__(self, examples, parts, replicas):
        rows = shown = tf.nest.flatten(examples)[0].shape[0]
        if rows is not None and rows < parts and not tf.executing_eagerly():
            raise ValueError(
                f"Expected batches of at least k = {parts} examples: "
                "`discriminator_steps` minibatches are dealt out of each. Received "
                f"batches of {rows}."
            )
        # Of known and equal sizes, which XLA needs in a loop.
        self._is_even = rows is not None and rows % parts == 0
        if rows is None:
            rows = tf.shape(tf.nest.flatten(examples)[0])[0]
            examples = replicas.never_empty(examples, rows)
            # What stands in for the rows of an empty replica makes none.
            shown = tf.maximum(rows, 1)
        self.examples, self._parts = examples, parts
        self._rows, self._shown = rows, shown
        self._replicas = replicas

    def __getitem__(self, j):
        if isinstance(j, int):
            if not -self._parts <= j < self._parts:
                raise IndexError(j)
            j %= self._parts
        if self._parts == 1:
            return self.examples, self._rows
        if self._is_even:
            size = self._rows // self._parts
            rows = j + self._parts * tf.range(size)
        else:
            size = tf.maximum(self._rows - j + self._parts - 1, 0) // self._parts
            rows = tf.range(tf.minimum(j, self._shown - 1), self._shown, self._parts)
        return tf.nest.map_structure(
            lambda values: tf.gather(values, rows), self.examples
        ), size

    def for_each(self, step, jit_compile, may_loop=True):
        """Calls `step(minibatch, size)` for each minibatch, in order.

        Where there are many, in a loop of the graph; but not on several replicas, whose
        optimizers cannot be in one, nor where XLA would not know the sizes.

        Args:
            step: function of a minibatch and its size.
            jit_compile: bool, whether XLA compiles the graph.
            may_loop: bool, whether `step` may be traced once for all: it keeps no
                tensors for others.
        """
        loops = may_loop and self._parts > self.most_unrolled
        loops = loops and not tf.executing_eagerly()
        if jit_compile and not self._is_even:
            loops = False
        if not loops or self._replicas.count > 1:
            for minibatch, size in self:
                step(minibatch, size)
            return

        def body(j):
            step(*self[j])
            return [j + 1]

        tf.while_loop(lambda j: j < self._parts, body, [0], parallel_iterations=1)
