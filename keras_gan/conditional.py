"""Layers that labels enter: they compute p(x | label) where Keras has p(x).

A layer here takes [values, labels]: int labels `(batch,)`, from 0 to num_classes - 1.
Another label is an error on CPUs, and passes unnoticed on GPUs and under XLA. (Keras's
Embedding takes -1 for the last class.) Networks do not check labels: `GAN` does, where
they enter.

References: V. Dumoulin et al., A Learned Representation for Artistic Style, arXiv
1610.07629; H. de Vries et al., Modulating early visual processing by language, arXiv
1707.00683; T. Miyato and M. Koyama, cGANs with Projection Discriminator, arXiv
1802.05637; A. Odena et al., Conditional Image Synthesis with Auxiliary Classifier
GANs, arXiv 1610.09585.
"""

import keras
import tensorflow as tf
from keras import ops

from keras_gan import checks
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

    Input: [float `(batch, ..., C)`, int labels `(batch,)`]. Output: as the values.

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
        shape, _ = _check_shapes(self, input_shape)
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

    Input: [features phi(x), float `(batch, F)`, int labels `(batch,)`]. Output: float
    `(batch, 1)`.

    Raises:
        ValueError: `num_classes` below 1, or other inputs.
    """

    def __init__(self, num_classes, embeddings_initializer="glorot_uniform", **kwargs):
        super().__init__(**kwargs)
        self.num_classes = checks.count("num_classes", num_classes)
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)

    def build(self, input_shape):
        shape, _ = _check_shapes(self, input_shape, rank=2)
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

    What the auxiliary classifier of arXiv 1610.09585 answers, and all that
    `losses.AuxiliaryClassifier` has to know of labels.

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
        shape, _ = _check_shapes(self, input_shape, rank=2)
        self.num_classes = shape[-1]

    def call(self, inputs):
        logits, labels = inputs
        log_probabilities = ops.log_softmax(logits, axis=-1)
        return tf.gather(log_probabilities, labels, batch_dims=1)[:, None]

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 1)


def _rows(weight, labels):
    """Returns the row of a label for each example.

    `keras.ops.take` would count a negative label from the end.
    """
    return tf.gather(ops.convert_to_tensor(weight), labels)


def _check_shapes(layer, shapes, rank=None):
    """Returns the shapes of the values and of the labels that a layer is built for."""
    is_pair = len(shapes) == 2 and all(isinstance(x, list | tuple) for x in shapes)
    if is_pair and len(shapes[1]) == 1:
        found = len(shapes[0])
        if (rank or max(found, 2)) == found and shapes[0][-1] is not None:
            return shapes
    values = "(batch, features)" if rank else "(batch, ..., channels)"
    raise ValueError(
        f"Expected inputs of {layer.name!r} to be [values, labels] of shapes {values} "
        f"and (batch,). Received shapes: {shapes}"
    )
