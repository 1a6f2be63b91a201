"""How large a network is, and how much work it makes."""

import math

import keras
import tensorflow as tf

from keras_gan.conditional import ConditionalBatchNormalization, LabelProjection


def summary(generator: keras.Model, discriminator: keras.Model) -> str:
    """Returns one line for each network: its parameters, and its work for one example.

        >>> print(summary(*digits_mlp((8, 8, 1))))
        generator:     190,272 parameters, 190,272 multiply-adds an example
        discriminator: 412,417 parameters, 412,417 multiply-adds an example

    Args:
        generator, discriminator: built Keras models. State that no optimizer trains,
            such as the statistics of batch normalisation, is no parameter here.
    """
    rows = [
        (
            f"{name}:",
            sum(math.prod(weight.shape) for weight in network.trainable_weights),
            multiply_adds(network),
        )
        for name, network in (
            ("generator", generator),
            ("discriminator", discriminator),
        )
    ]
    widths = [max(len(f"{row[column]:,}") for row in rows) for column in (1, 2)]
    return "\n".join(
        f"{name:14} {parameters:>{widths[0]},} parameters, {work:>{widths[1]},} "
        "multiply-adds an example"
        for name, parameters, work in rows
    )


def multiply_adds(network: keras.Model) -> int:
    """Returns about how many multiply-adds the network makes for one example.

    One for each weight of a dense layer. A convolution uses each weight in every place
    of its output, a transposed one in every place of its input. Other layers with
    weights use each once, if the weights have the shape of the output, or else in
    every place of their input or output, whichever has more. Where a label chooses a
    row of a weight, that row counts.

    Args:
        network: built Keras model. Layers without weights (pooling, activations) count
            nothing.
    """
    total = 0
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            total += multiply_adds(layer)
        elif layer.weights:
            total += _work(layer)
    return total


def _work(layer):
    """The multiply-adds of one layer with weights."""
    try:
        inputs, outputs = (tf.nest.flatten(x) for x in (layer.input, layer.output))
    except (AttributeError, ValueError):  # not part of a functional model
        return layer.count_params()
    inner = layer.layer if isinstance(layer, keras.layers.Wrapper) else layer
    if isinstance(inner, keras.layers.Conv2DTranspose | keras.layers.Conv1DTranspose):
        places = _places(inputs)
    elif isinstance(inner, _CONVOLUTIONS):
        places = _places(outputs)
    else:
        places = _places([*inputs, *outputs])
    shapes = {tuple(tensor.shape[1:]) for tensor in outputs}
    return sum(
        math.prod(shape) * (1 if shape in shapes else places)
        for shape in _shapes_of_weights(inner)
    )


def _shapes_of_weights(layer):
    """The shapes of what an example uses of each weight."""
    by_label = isinstance(layer, _BY_LABEL)
    for weight in layer.weights:
        # Statistics of all classes have one axis.
        chosen = by_label and len(weight.shape) == 2
        yield tuple(weight.shape[1:] if chosen else weight.shape)


# Layers with weights `(num_classes, ...)`, of which a label chooses a row.
_BY_LABEL = (keras.layers.Embedding, ConditionalBatchNormalization, LabelProjection)
_CONVOLUTIONS = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)


def _places(tensors):
    """The places (H * W, or T) of the tensor that has most."""
    return max(math.prod(tensor.shape[1:-1]) for tensor in tensors)
