"""Layers that labels enter: they compute p(x | label) where Keras has p(x).

A layer here takes [values, labels]: int labels `(batch,)`, from 0 to num_classes - 1.
Another label is an error on CPUs, and passes unnoticed on GPUs and under XLA. (Keras's
Embedding takes -1 for the last class.) Networks do not check labels: `GAN` does, where
they enter.

In the place of labels a layer also takes mixtures of classes, float weights `(batch,
num_classes)`, and mixes the rows of its classes by them. `of_mixtures` makes a
generator of such layers one of mixtures.

References: V. Dumoulin et al., A Learned Representation for Artistic Style, arXiv
1610.07629; H. de Vries et al., Modulating early visual processing by language, arXiv
1707.00683; T. Miyato and M. Koyama, cGANs with Projection Discriminator, arXiv
1802.05637; A. Odena et al., Conditional Image Synthesis with Auxiliary Classifier
GANs, arXiv 1610.09585.
"""

import keras
import tensorflow as tf
from keras import ops

from keras_gan import checks, keras_private
from keras_gan.normalization import BatchNormalization


@keras.saving.register_keras_serializable("keras_gan")
class ConditionalBatchNormalization(keras.layers.Layer):
    """Batch normalisation with a gain and a shift for each class.

        y = gain[label] * (x - mean) / sqrt(variance + epsilon) + shift[label]

    mean and variance are those of a channel over the batch and all places, whatever the
    classes are: in training those of the batch, else the moving ones. Gains start at 1
    and shifts at 0, so that the layer starts as that of Keras does (arXiv 1610.07629,
    section 2, and for generators arXiv 1802.05637).

    Args:
        num_classes: int >= 1.
        momentum, epsilon: as in `keras.layers.BatchNormalization`.
        name, dtype: as for every layer. In 16 bits the layer computes in float32, as
            that of Keras does.

    Input: [float `(batch, ..., C)`, int labels `(batch,)` or mixtures]. Output: as the
    values.

    Raises:
        ValueError: `num_classes` below 1, or other inputs.
    """

    def __init__(self, num_classes, momentum=0.99, epsilon=1e-3, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = checks.count("num_classes", num_classes)
        # Its outputs are not rounded before the gain and the shift.
        self.normalization = BatchNormalization(
            momentum=momentum,
            epsilon=epsilon,
            center=False,
            scale=False,
            dtype=keras.backend.result_type(self.compute_dtype, "float32"),
            name="normalization",
        )

    def build(self, input_shape):
        shape, _ = _check_shapes(self, input_shape, self.num_classes)
        self.normalization.build(shape)
        shape = (self.num_classes, shape[-1])
        self.gain = self.add_weight(
            shape=shape, initializer="ones", name="gain", autocast=False
        )
        self.shift = self.add_weight(
            shape=shape, initializer="zeros", name="shift", autocast=False
        )

    def call(self, inputs, training=False):
        values, labels = inputs
        x = self.normalization(values, training=training)
        # (batch, C) to (batch, 1, ..., 1, C).
        shape = (-1, *[1] * (len(x.shape) - 2), x.shape[-1])
        gain, shift = (
            ops.reshape(ops.cast(_rows(each, labels), x.dtype), shape)
            for each in (self.gain, self.shift)
        )
        return ops.cast(x * gain + shift, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0])

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "momentum": self.normalization.momentum,
            "epsilon": self.normalization.epsilon,
        }


@keras.saving.register_keras_serializable("keras_gan")
class LabelProjection(keras.layers.Layer):
    """The product of features and a trained vector of the label: phi(x) . embed(label).

    A projection discriminator (arXiv 1802.05637, section 3) adds it to the logit that
    it has without labels, psi(phi(x)). It is large where x looks like an example of
    that label. `layers.SpectralNormalization` can wrap the layer.

    Args:
        num_classes: int >= 1.
        embeddings_initializer: Keras initializer of the embeddings, `(num_classes, F)`.
        name, dtype: as for every layer.

    Input: [features phi(x), float `(batch, F)`, int labels `(batch,)` or mixtures].
    Output: float `(batch, 1)`.

    Raises:
        ValueError: `num_classes` below 1, or other inputs.
    """

    def __init__(self, num_classes, embeddings_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.num_classes = checks.count("num_classes", num_classes)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape):
        shape, _ = _check_shapes(self, input_shape, self.num_classes, rank=2)
        self.embeddings = self.add_weight(
            shape=(self.num_classes, shape[-1]),
            initializer=self.embeddings_initializer,
            name="embeddings",
        )

    def call(self, inputs):
        features, labels = inputs
        embedded = _rows(self.embeddings, labels)
        return ops.sum(features * embedded, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 1)

    def get_config(self):
        initializer = keras.initializers.serialize(self.embeddings_initializer)
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "embeddings_initializer": initializer,
        }


@keras.saving.register_keras_serializable("keras_gan")
class LabelLogProbability(keras.layers.Layer):
    """The log of the probability that a softmax gives to the label: log p(label | x).

    The auxiliary classifier of arXiv 1610.09585 ends in it. So
    `losses.AuxiliaryClassifier` needs no labels: it reads these logs.

    Args:
        name, dtype: as for every layer.

    Input: [logits of all classes, float `(batch, C)`, int labels `(batch,)`]. Output:
    float `(batch, 1)`, at most 0, in nats.

    Attributes:
        num_classes: int C, known once the layer is built.

    Raises:
        ValueError: other inputs.
    """

    def build(self, input_shape):
        shape, _ = _check_shapes(self, input_shape, None, rank=2)
        self.num_classes = shape[-1]

    def call(self, inputs):
        logits, labels = inputs
        log_probabilities = ops.log_softmax(logits, axis=-1)
        return tf.gather(log_probabilities, labels, batch_dims=1)[:, None]

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 1)


@keras.saving.register_keras_serializable("keras_gan")
class MixtureEmbedding(keras.layers.Embedding):
    """Embeds mixtures of classes, where `keras.layers.Embedding` embeds labels.

    The vector of a mixture is the mean of the classes' vectors, by their weights.

    Args:
        input_dim: int >= 1, classes.
        others: see `keras.layers.Embedding`, whose weights are also these.

    Input: float weights `(batch, input_dim)`. Output: `(batch, output_dim)`.
    """

    def call(self, inputs):
        return ops.cast(_rows(self.embeddings, inputs), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.output_dim)


class NoMixtures(ValueError):
    """A generator that takes labels by other layers than `of_mixtures` knows."""


def of_mixtures(generator: keras.Model) -> keras.Model:
    """Copies a generator of labels as one of mixtures of classes.

    A row of weights with a single 1 gives what the label of that class gives. Weights
    (1 - t, t) of two classes lead from the one to the other: each table of the network
    that has a row for each class, of a label's vectors or of gains and shifts, gives
    (1 - t) times the one row plus t times the other.

    Args:
        generator: functional Keras model of a dict with "labels", which no layers take
            but `keras.layers.Embedding` and those of this module.

    Returns:
        Keras model with copies of the weights. It takes the same dict, with labels
        float32 `(batch, C)`, where C is the number of classes that its layers know.

    Raises:
        NoMixtures: no such model, or one that Keras cannot copy.
    """
    try:
        return _of_mixtures(generator)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise NoMixtures(
            "Expected a functional generator whose labels enter by "
            "keras.layers.Embedding or layers of keras_gan.conditional alone. "
            f"Received: {generator.name!r}, {checks.one_line(error)}"
        ) from error


def num_classes_of(layer, network) -> int | None:
    """Returns how many classes a layer knows; None for one that takes no labels.

    Args:
        layer: of `network`, or of a layer in it.
        network: Keras model, functional where an Embedding of labels is to be found.
    """
    if isinstance(layer, _OF_LABELS):
        return layer.num_classes
    if not isinstance(layer, keras.layers.Embedding):
        return None
    # An embedding within another layer has no input of its own.
    own = getattr(layer, "input", None)
    is_of_labels = own is not None and own is _labels_of(network)
    return layer.input_dim if is_of_labels else None


def _labels_of(network):
    """Returns a network's symbolic labels, or None."""
    inputs = getattr(network, "input", None)
    return inputs.get("labels") if isinstance(inputs, dict) else None


def _of_mixtures(network):
    """Does what `of_mixtures` does; its errors go on "Received: 'name', "."""
    if _labels_of(network) is None:
        raise ValueError("which has no such labels")
    layers = keras_private.layers_of(network)
    counts = {num_classes_of(layer, network) for layer in layers} - {None}
    if not counts:
        raise ValueError("in which none of these takes them")
    if len(counts) > 1:
        raise ValueError(f"whose layers know {min(counts)} and {max(counts)} classes")
    mixtures = keras.Input((counts.pop(),), dtype="float32", name="labels")
    inputs = {
        name: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=name)
        for name, x in network.input.items()
    }

    def is_conditional(layer):
        return isinstance(layer, keras.Model) and _labels_of(layer) is not None

    def copied(layer):
        if is_conditional(layer):
            return _of_mixtures(layer)
        # No subclass of Embedding, which may compute something else.
        of_labels = type(layer) is keras.layers.Embedding and num_classes_of(
            layer, network
        )
        kind = MixtureEmbedding if of_labels else type(layer)
        return kind.from_config(layer.get_config())

    def called(layer, *args, **kwargs):
        takes = any(x is mixtures for x in keras.tree.flatten([args, kwargs]))
        if takes and not (isinstance(layer, _BY_ROWS) or is_conditional(layer)):
            raise ValueError(f"where {layer.name!r} takes them")
        return layer(*args, **kwargs)

    copy = keras.models.clone_model(
        network,
        input_tensors={**inputs, "labels": mixtures},
        clone_function=copied,
        call_function=called,
    )
    copy.set_weights(network.get_weights())
    copy.trainable = False
    return copy


# Layers that take labels.
_OF_LABELS = (ConditionalBatchNormalization, LabelLogProbability, LabelProjection)
# Layers that mix the rows of classes.
_BY_ROWS = (ConditionalBatchNormalization, LabelProjection, MixtureEmbedding)


def _rows(weight, labels):
    """Returns the row of a label, or the mixture of rows, for each example.

    `keras.ops.take` would count a negative label from the end.
    """
    weight = ops.convert_to_tensor(weight)
    if keras.backend.is_float_dtype(keras.backend.standardize_dtype(labels.dtype)):
        return ops.matmul(ops.cast(labels, weight.dtype), weight)
    return tf.gather(weight, labels)


def _check_shapes(layer, shapes, num_classes, rank=None):
    """Returns the shapes of the values and of the labels that a layer is built for.

    `num_classes` is None for a layer that takes no mixtures.
    """
    is_pair = len(shapes) == 2 and all(isinstance(x, list | tuple) for x in shapes)
    if is_pair and shapes[1] and tuple(shapes[1][1:]) in ((), (num_classes or 0,)):
        found = len(shapes[0])
        if (rank or max(found, 2)) == found and shapes[0][-1] is not None:
            return shapes
    values = "(batch, features)" if rank else "(batch, ..., channels)"
    mixtures = f", or (batch, {num_classes}) for mixtures" if num_classes else ""
    raise ValueError(
        f"Expected inputs of {layer.name!r} to be [values, labels] of shapes {values} "
        f"and (batch,){mixtures}. Received shapes: {shapes}"
    )
