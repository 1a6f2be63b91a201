"""Features of samples: what the layers of a trained network make of them."""

import keras
import numpy as np

from keras_gan import checks, inputs, layers, replicas
from keras_gan import labels as class_labels

# The most names that an error lists.
_MOST_NAMES = 40


def features(
    gan,
    images,
    layer=None,
    player: str = "discriminator",
    pool: int | None = 4,
    labels=None,
    batch_size: int = 256,
) -> np.ndarray:
    """Returns what a layer of a network of the GAN makes of given images.

    Each image is seen alone, as in inference: the features of one do not depend on the
    others. (`layers.MinibatchStandardDeviation` sees groups of one.) A map of a
    convolution is max-pooled to at most `pool` places a side and flattened, as DCGAN's
    authors do it (arXiv 1511.06434, section 5.1).

    Args:
        gan: `GAN`.
        images: `(n, *sample_shape)`, samples of any kind: floats in `gan.value_range`,
            or uint8 where `fit` takes these.
        layer: name of a layer, "outer/inner" for one in a nested model; or its number
            in their order, negative ones from the end; or a list of these, whose
            features are joined. None takes the last hidden one: what the last layer
            with weights sees.
        player: "discriminator", or the name of one of `gan.further_networks` that takes
            images, "encoder" say.
        pool: int >= 1, or None to flatten maps as they are.
        labels: int `(n,)`, the classes of the images. Needed only by a layer that
            depends on them.
        batch_size: int >= 1, images that the network sees at once.

    Returns:
        float32 array `(n, F)`.

    Raises:
        ValueError: no such layer (the message lists them) or network; one that Keras
            cannot take apart, or that depends on more than images and labels; images
            of another shape, dtype or range; labels that are missing or no classes.
    """
    batch_size = checks.count("batch_size", batch_size)
    model = feature_model(gan, layer, player, pool)
    given = inputs.examples_given(images, gan.spec)
    if isinstance(model.input, dict):
        if labels is None:
            raise ValueError(
                f"Expected `labels` of the images, on which {_said(layer)} of the "
                f"{player} depends. Received: None; give them, or another layer"
            )
        labels = class_labels.of_examples(
            labels, len(given), gan.latent_prior.num_classes
        )
        given = {"samples": given, "labels": labels.astype(np.int32)}
    return replicas.predict_locally(model, given, batch_size)


def feature_model(
    gan, layer=None, player: str = "discriminator", pool: int | None = 4
) -> keras.Model:
    """Returns a Keras model from samples to their features, see `features`.

    It is a copy: what a training changes later does not reach it. It computes gradients
    as any model does, so that `project` can compare features in place of pixels.

    Args:
        gan, layer, player, pool: see `features`.

    Returns:
        Keras model from float `(n, *sample_shape)` in `gan.value_range`, or from a
        dict of these as "samples" and of int "labels" where the layer depends on
        labels, to float32 `(n, F)`.

    Raises:
        ValueError: as `features`.
    """
    if pool is not None:
        pool = checks.count("pool", pool)
    network = _network(gan, player)
    given, calls = _taken_apart(network, player)
    wanted = layer if isinstance(layer, list | tuple) else [layer]
    if not wanted:
        raise ValueError("Expected at least one `layer`. Received: none")
    found = [_output(calls, each, player) for each in wanted]
    rows = [_row(tensor, pool) for tensor in found]
    if len(rows) > 1:
        # float32 whatever the global policy, as each of them.
        rows = [keras.layers.Concatenate(dtype="float32")(rows)]
    return _between(given, rows[0], player)


def layer_names(gan, player: str = "discriminator") -> list[str]:
    """Returns the names that `features` takes as `layer`, in the order of the layers.

    Args:
        gan, player: see `features`.
    """
    _, calls = _taken_apart(_network(gan, player), player)
    return [name for name, *_ in calls]


def _network(gan, player):
    """Returns the network of a player by its name, one that sees samples."""
    networks = {
        "discriminator": getattr(gan, "discriminator", None),
        **getattr(gan, "further_networks", {}),
    }
    if networks["discriminator"] is None:
        raise ValueError(
            "Expected a GAN, with the networks of its training. Received: "
            f"{type(gan).__name__}"
        )
    checks.one_of("player", player, networks)
    return networks[player]


def _taken_apart(network, player):
    """Returns the symbolic inputs of a copy of a network, and the calls of its layers.

    Returns:
        (dict of symbolic inputs by name, list of calls). A call is (name, layer, first
        input, output); the last two are symbolic tensors.
    """
    try:
        copy = keras.models.clone_model(network, clone_function=_alone)
        copy.set_weights(network.get_weights())
        copy.trainable = False
        start = copy.inputs[0] if isinstance(copy, keras.Sequential) else copy.input
        calls = []
        _follow(copy, start, "", calls)
    except (AttributeError, TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"Expected the {player} to be a functional or a sequential Keras model, "
            f"which can be taken apart. Received: {network.name!r}, which cannot "
            f"({checks.one_line(error)})"
        ) from error
    return start if isinstance(start, dict) else {"samples": start}, calls


def _alone(layer):
    """Returns a copy of a layer, which sees every example alone."""
    if isinstance(layer, keras.Model):
        return keras.models.clone_model(layer, clone_function=_alone)
    config = layer.get_config()
    if isinstance(layer, layers.MinibatchStandardDeviation):
        config = {**config, "group_size": 1}
    return type(layer).from_config(config)


def _follow(network, x, prefix, calls):
    """Calls the layers of a network on symbolic inputs, one by one.

    Adds each call to `calls`. Layers of a nested model come before the model itself.

    Returns:
        what the network makes of x.
    """

    def called(layer, *args, **kwargs):
        name = prefix + layer.name
        if isinstance(layer, keras.Model):
            output = _follow(layer, args[0], f"{name}/", calls)
        else:
            output = layer(*args, **kwargs)
        if isinstance(output, keras.KerasTensor):
            first = keras.tree.flatten((args, kwargs))[0]
            calls.append((name, layer, first, output))
        return output

    if isinstance(network, keras.Sequential):
        for layer in network.layers:
            x = called(layer, x)
        return x
    return keras.models.clone_model(
        network, input_tensors=x, clone_function=lambda each: each, call_function=called
    ).output


def _output(calls, layer, player):
    """Returns the symbolic output of the layer that a user names."""
    names = [name for name, *_ in calls]
    if layer is None:
        with_weights = [
            first
            for _, each, first, _ in calls
            if not isinstance(each, keras.Model) and getattr(each, "weights", ())
        ]
        if with_weights:
            return with_weights[-1]
    elif checks.is_int(layer) and -len(calls) <= layer < len(calls):
        return calls[layer][-1]
    elif isinstance(layer, str) and layer in names:
        return calls[names.index(layer)][-1]
    listed = ", ".join(names[:_MOST_NAMES])
    if len(names) > _MOST_NAMES:
        listed += f", ... ({len(names)} in all)"
    raise ValueError(
        f"Expected `layer` of the {player} to be one of {listed}, or a number from "
        f"{-len(names)} to {len(names) - 1}. Received: {layer!r}."
        f"{checks.did_you_mean(layer, names)}"
    )


def _row(x, pool):
    """Returns features as rows, float `(n, F)`; maps are pooled before."""
    if pool is not None and len(x.shape) in (3, 4):
        strides = [-(-size // pool) for size in x.shape[1:-1]]
        if max(strides) > 1:
            kind = keras.layers.MaxPooling1D, keras.layers.MaxPooling2D
            maximum = kind[len(strides) - 1]
            x = maximum(strides, strides, padding="same", dtype="float32")(x)
    return keras.layers.Flatten(dtype="float32")(x)


def _between(given, output, player):
    """Returns the model from samples, and labels if it must be, to features."""
    for names in (("samples",), ("samples", "labels")):
        if not given.keys() >= set(names):
            continue
        chosen = {name: given[name] for name in names}
        start = chosen["samples"] if len(chosen) == 1 else chosen
        try:
            return keras.Model(start, output, name="features")
        except ValueError:  # it depends on more
            continue
    raise ValueError(
        f"Expected a layer of the {player} that depends on samples, or on samples and "
        f"labels. Received one that depends on more: {', '.join(given)}"
    )


def _said(layer):
    """Returns how an error calls what a user gave as `layer`."""
    return "the last hidden layer" if layer is None else f"layer {layer!r}"
