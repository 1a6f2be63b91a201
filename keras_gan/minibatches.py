"""From an element of a dataset to the minibatches of Algorithm 1."""

import keras
import tensorflow as tf

# What `fit` may be given for an element that is a dict.
_SAMPLE_KEYS = ("samples", "sample", "images", "image")
_LABEL_KEYS = ("labels", "label")


def examples(data, spec, labelled):
    """Returns the examples of a dataset element: what the discriminator takes.

    Args:
        data: x, (x, labels), or a dict with `_SAMPLE_KEYS` and perhaps `_LABEL_KEYS`.
        spec: `samples.SampleSpec` of one sample.
        labelled: bool, whether the discriminator takes labels.

    Returns:
        float tensor `(n, *spec.shape)`; where labelled, a dict with that as "samples"
        and int "labels" `(n,)`.

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
        labels = _one_of_keys(samples, _LABEL_KEYS, labels)
        found = _one_of_keys(samples, _SAMPLE_KEYS)
        if found is None:
            raise ValueError(
                f"Expected a dict with {' or '.join(map(repr, _SAMPLE_KEYS))}. "
                f"Received one with: {', '.join(map(repr, samples))}"
            )
        samples = found
    samples = tf.convert_to_tensor(samples)
    if not samples.dtype.is_floating:
        raise ValueError(
            f"Expected float examples in {spec.value_range or 'the data range'}. "
            f"Received {samples.dtype.name}: scale and cast them in the dataset."
        )
    if not samples.shape[1:].is_compatible_with(spec.shape):
        raise ValueError(
            f"Expected batches of shape {(None, *spec.shape)}, as the generator makes "
            f"them. Received: {tuple(samples.shape)}"
        )
    if not labelled:
        return samples
    if labels is None:
        raise ValueError(
            "Expected elements (x, labels), which a prior that draws labels asks for. "
            "Received: x alone"
        )
    labels = tf.convert_to_tensor(labels)
    if not labels.dtype.is_integer or labels.shape.rank != 1:
        raise ValueError(
            "Expected integer labels of shape (batch,). Received: "
            f"{labels.dtype.name} of shape {tuple(labels.shape)}"
        )
    return {"samples": samples, "labels": tf.cast(labels, tf.int32)}


def _one_of_keys(element, keys, default=None):
    return next((element[key] for key in keys if key in element), default)


def deal(examples, parts, replicas):
    """Returns [(minibatch, size), ...]: minibatch j is the rows j::parts.

    Sizes differ by at most one, and nothing is dropped. An empty one has size 0, and
    the batch's last row for examples: networks must not see an empty batch, whose mean
    is NaN, in batch normalisation say.

    Args:
        examples: tensor `(n, ...)`, or a dict of such tensors.
        parts: int >= 1, k of Algorithm 1.
        replicas: `replicas.Replicas`.

    Raises:
        ValueError: while tracing, batches that are known to have fewer rows than parts.
    """
    rows = shown = tf.nest.flatten(examples)[0].shape[0]
    if rows is not None and rows < parts and not tf.executing_eagerly():
        raise ValueError(
            f"Expected batches of at least k = {parts} examples: `discriminator_steps` "
            f"minibatches are dealt out of each. Received batches of {rows}."
        )
    if rows is None:
        rows = tf.shape(tf.nest.flatten(examples)[0])[0]
        examples = replicas.never_empty(examples, rows)
        # What stands in for the rows of an empty replica makes none.
        shown = tf.maximum(rows, 1)
    if parts == 1:
        return [(examples, rows)]

    def minibatch(j):
        first = tf.minimum(j, shown - 1)
        return tf.nest.map_structure(lambda values: values[first::parts], examples)

    return [
        (minibatch(j), tf.maximum(rows - j + parts - 1, 0) // parts)
        for j in range(parts)
    ]
