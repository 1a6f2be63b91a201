"""Layers that break what training or saving relies on, found before the first step."""

import warnings

import keras

from keras_gan import keras_private
from keras_gan.conditional import num_classes_of
from keras_gan.normalization import BatchNormalization

# Layers that normalise by `tf.nn.moments`.
_BY_MOMENTS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)


def check_layers(networks, prior):
    """Raises, or warns, where a layer breaks what training or saving relies on.

    Args:
        networks: list of Keras models.
        prior: of `priors`.

    Raises:
        ValueError: a layer that changes its trainable weights whenever it is called, or
            that takes labels and has no row for each class of the prior.
    """
    _check_classes(networks, prior)
    layers = [layer for each in networks for layer in keras_private.layers_of(each)]
    for layer in layers:
        if isinstance(layer, keras.layers.SpectralNormalization):
            raise ValueError(
                "Expected layers that leave their trainable weights to the optimizer. "
                f"Received: {layer.name!r}, a SpectralNormalization, which divides its "
                "kernel in place at each call: G's steps would change D; "
                "keras_gan.layers.SpectralNormalization does not"
            )
    names = [layer.name for layer in layers if isinstance(layer, keras.layers.Lambda)]
    if names:
        warnings.warn(
            f"{', '.join(map(repr, names))}: what a Lambda layer computes is not saved "
            "as data, and a saved GAN with it loads with safe_mode=False alone. A "
            "registered layer of your own does.",
            stacklevel=2,
        )


def check_trainable(networks):
    """Raises where a player cannot learn. One without weights is fixed on purpose.

    Args:
        networks: dict of the names of players to their networks.

    Raises:
        ValueError: a network with weights, of which none is trainable, or one of 16
            bits.
    """
    for name, network in networks.items():
        if network.weights and not network.trainable_variables:
            raise ValueError(
                f"Expected the {name} to have trainable weights. Received: "
                f"{network.name!r}, which is frozen: set trainable=True. Its weights "
                "change in its own step alone, so that nothing has to be frozen"
            )
        for weight in network.trainable_variables:
            if weight.dtype in ("float16", "bfloat16"):
                raise ValueError(
                    f"Expected the {name} to have trainable weights of 32 bits or more:"
                    " in 16 bits small steps are rounded away. Received: "
                    f"{weight.path!r}, {weight.dtype}; with the policy "
                    f"mixed_{weight.dtype} layers only compute in it"
                )


def check_second_gradients(discriminator, given):
    """Warns where penalties of gradients would descend in another direction.

    `tf.nn.moments`, by which some layers of Keras normalise, holds the mean fixed in
    the variance. First gradients are right all the same; second ones lack a part.

    Args:
        discriminator: Keras model.
        given: list of `penalties.Penalty`.
    """
    if not any(penalty.of_gradients for penalty in given):
        return
    names = [
        layer.name
        for layer in keras_private.layers_of(discriminator)
        if isinstance(layer, _BY_MOMENTS) and not isinstance(layer, BatchNormalization)
    ]
    if names:
        warnings.warn(
            f"{', '.join(map(repr, names))}: gradients of gradients through such a "
            "layer, which penalties of gradients descend, are wrong in TensorFlow. "
            "keras_gan.normalization.BatchNormalization, keras.layers.RMSNormalization "
            "and keras_gan.layers.SpectralNormalization have right ones.",
            stacklevel=3,
        )


def _check_classes(networks, prior):
    """Raises ValueError where a network has fewer classes than the prior draws."""
    if prior.num_classes is None:
        return
    for network in networks:
        for layer in keras_private.layers_of(network):
            count = num_classes_of(layer, network)
            if count is not None and count < prior.num_classes:
                raise ValueError(
                    f"Expected networks of the prior's {prior.num_classes} classes. "
                    f"Received: {network.name!r}, whose layer {layer.name!r} has "
                    f"{count}; build them with num_classes={prior.num_classes}"
                )
