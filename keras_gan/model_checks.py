"""What `GAN` takes, checked where it enters: networks, seeds, optimizers and data."""

import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_gan import (
    augmentation,
    averaging,
    checks,
    keras_private,
    layer_checks,
    losses,
    penalties,
    players,
    replicas,
)
from keras_gan import labels as class_labels

_TWO_PLAYERS = ("generator", "discriminator")
# Activations with bounds, and what they can reach.
_REACH = {"sigmoid": (0.0, 1.0), "hard_sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
# What moves values and changes none, by the names of layers and of `keras.ops`.
_MOVES = ("Reshape", "Flatten", "Squeeze", "ExpandDims", "Transpose", "Permute")
# Activations that are layers of their own, or functions of `keras.ops`.
_FUNCTIONS = {
    "Sigmoid": "sigmoid",
    "HardSigmoid": "hard_sigmoid",
    "Softmax": "softmax",
    "Tanh": "tanh",
    "ReLU": "relu",
    "Relu": "relu",
}
# Callbacks that need what a GAN has two of, and what does their work here.
_ELSEWHERE = {
    "LearningRateScheduler": "give each optimizer a schedule as its learning_rate",
    "ReduceLROnPlateau": "give each optimizer a schedule as its learning_rate",
    "SwapEMAWeights": "pass ema_decay to compile",
}


# === Networks ===
# Arguments of `keras.Model.compile` that a GAN has no use for, and what it has instead.
_INSTEAD = {
    "optimizer": "pass generator_optimizer and discriminator_optimizer",
    "metrics": "score samples by callbacks.Evaluation, or return more terms from an "
    "objective",
    "weighted_metrics": "score samples by callbacks.Evaluation",
    "loss_weights": "give each penalty its factor",
    "auto_scale_loss": "in float16 both losses are scaled",
}


def shapes(generator, discriminator, latent_prior, critic_inputs) -> tuple:
    """Returns the shape of one sample and D's columns, if prior, G and D fit in a row.

    `critic_inputs` is what D takes, a function of samples and of what G takes.

    Raises:
        ValueError: a network that is no Keras model, does not take what the one before
            gives, or fails on it; a discriminator with another output than one logit
            or, where it takes labels, than the two columns that
            `losses.AuxiliaryClassifier` reads.
    """
    latents = latent_prior.symbolic_sample()
    samples = output(generator, "generator", latents, "latent prior")
    judged = critic_inputs(samples, latents)
    answers = output(discriminator, "discriminator", judged, "generator's output")
    may_classify = isinstance(latents, dict)
    if answers.shape[1:] not in ([(1,), (2,)] if may_classify else [(1,)]):
        more = ", or (None, 2) with an auxiliary classifier" if may_classify else ""
        raise ValueError(
            "Expected a discriminator with one logit for each sample, output shape "
            f"(None, 1){more}. Received output shape: {tuple(answers.shape)}"
        )
    activation = last_activation(discriminator)
    if activation in ("sigmoid", "softmax", "hard_sigmoid"):
        raise ValueError(
            "Expected a discriminator that ends in a logit, of which the losses take "
            f"the sigmoid. Received: {activation} as its last activation; remove it."
        )
    return tuple(samples.shape[1:]), answers.shape[1]


def check_reach(generator, spec):
    """Raises unless the generator's last activation suits the samples' range.

    A sigmoid never makes the lower half of (-1, 1), and half of what a tanh makes for
    (0, 1) is clipped to black when samples are shown.

    Raises:
        ValueError: a bounded activation at the end that does not reach the range, or
            of whose values the range is no more than half.
    """
    activation = last_activation(generator)
    if spec.value_range is None or activation not in _REACH:
        return
    (low, high), (lowest, highest) = spec.value_range, _REACH[activation]
    if low < lowest or high > highest or 2 * (high - low) <= highest - lowest:
        raise ValueError(
            f"Expected a generator whose samples reach value_range={spec.value_range}. "
            f"Received: {activation} as its last activation, whose range is "
            f"{_REACH[activation]}; pass value_range={_REACH[activation]} and data in "
            "that range, or change the activation"
        )


def last_activation(network) -> str | None:
    """Returns the name of the activation that a network ends in, where layers tell.

    Layers, and functions of `keras.ops`, that move values but do not change them
    (Reshape, Flatten) are passed over.
    """
    # A functional model's operations are its layers and the functions between them.
    steps = getattr(network, "operations", None) or getattr(network, "layers", [])
    for step in reversed(steps):
        name = type(step).__name__
        if name in _MOVES:
            continue
        if isinstance(step, keras.Model):
            return last_activation(step)
        activation = getattr(step, "activation", None)
        return getattr(activation, "__name__", _FUNCTIONS.get(name))
    return None


def output(network, role, inputs, source):
    """Returns the symbolic output of `network` for the symbolic `inputs`."""
    if not isinstance(network, keras.Model):
        hint = ""
        if type(network).__module__.partition(".")[0] == "tf_keras":
            hint = ", which is one of tf_keras; build it with keras"
        raise ValueError(
            f"Expected the {role} to be a Keras model. Received: {network!r}{hint}"
        )
    shapes = keras.tree.map_structure(lambda tensor: tuple(tensor.shape), inputs)
    article = "an" if role == "encoder" else "a"
    misfit = (
        f"Expected {article} {role} that takes what the {source} gives, shape "
        f"{shapes}. Received {network.name!r}"
    )
    declared = getattr(network, "input_shape", None) if network.built else None
    if (
        isinstance(declared, tuple)
        and not isinstance(inputs, dict)
        and not tf.TensorShape(declared).is_compatible_with(shapes)
    ):
        raise ValueError(f"{misfit} with input shape {declared}.")
    try:
        output = network(inputs)
    except Exception as error:  # whatever a user's own network raises
        raise ValueError(
            f"{misfit}, which fails on it: {checks.one_line(error)}"
        ) from error
    if not isinstance(output, keras.KerasTensor):
        raise ValueError(
            f"Expected {article} {role} with one output tensor. "
            f"Received: {type(output)}"
        )
    return output


def further_networks(networks) -> dict:
    """Returns the networks of further players by name.

    Raises:
        ValueError: a name that is taken, or a network that is not built.
    """
    networks = dict(networks or {})
    for name, network in networks.items():
        if name in _TWO_PLAYERS or not str(name).isidentifier():
            raise ValueError(
                "Expected `players` to have names of their own, such as 'encoder'. "
                f"Received: {name!r}"
            )
        if not isinstance(network, keras.Model) or not network.built:
            raise ValueError(
                f"Expected the player {name!r} to be a built Keras model. "
                f"Received: {network!r}"
            )
    return networks


def check_callbacks(callbacks):
    """Raises, or warns, where a Keras callback asks for the one optimizer of a model.

    Args:
        callbacks: list of Keras callbacks.

    Raises:
        ValueError: one that would fail, or do nothing, in the midst of a training.
    """
    for callback in callbacks:
        name = type(callback).__name__
        instead = _ELSEWHERE.get(name)
        if name == "TensorBoard" and getattr(callback, "write_steps_per_second", False):
            instead = "leave write_steps_per_second out"
        if instead:
            raise ValueError(
                f"Expected callbacks that do without the optimizer of a model: a GAN "
                f"has two. Received: {name}; {instead}"
            )
        if name == "BackupAndRestore":
            warnings.warn(
                "BackupAndRestore starts an epoch anew, with other data and latents. "
                "keras_gan.checkpoint.fit resumes to the last bit.",
                stacklevel=2,
            )


def spread_seed(seed, networks):
    """Returns seeds for training and sampling; seeds the layers' generators as well.

    Keras seeds an unseeded Dropout at random, and offers no other handle on it than
    the state variable.

    Args:
        seed: int in [0, 2**32), or None for random ones.
        networks: list of Keras models.

    Raises:
        ValueError: another seed.
    """
    if checks.seed(seed) is None:
        return None, None
    states = [
        variable
        for network in networks
        for variable in network.variables
        if variable.name == "seed_generator_state"
    ]
    training, sampling, *layers = np.random.SeedSequence(int(seed)).generate_state(
        2 + len(states)
    )
    for state, layer_seed in zip(states, layers, strict=True):
        state.assign([int(layer_seed), 0])
    return int(training), int(sampling)


# === compile ===


def refuse_others(arguments):
    """Raises TypeError for arguments that `GAN.compile` does not take."""
    for name in arguments:
        instead = _INSTEAD.get(name, "see its docstring")
        raise TypeError(f"GAN.compile() takes no argument {name!r}: {instead}.")


def check_strategy(all_replicas, arguments, chosen):
    """Raises unless `compile` was called where the GAN was made, for what can be done.

    Args:
        all_replicas: `replicas.Replicas`.
        arguments: dict of what `compile` was given.
        chosen: list of Keras optimizers.

    Raises:
        ValueError: another strategy's scope, or what several replicas cannot do.
    """
    here = tf.distribute.get_strategy()
    if here is not all_replicas.strategy:
        raise ValueError(
            "Expected to compile in the scope of the strategy that the GAN was "
            f"made in, {type(all_replicas.strategy).__name__}. Received: "
            f"{type(here).__name__}"
        )
    if arguments["jit_compile"] is True and all_replicas.count > 1:
        raise ValueError(
            "Expected `jit_compile` to be 'auto' or False on several replicas, "
            "whose sums XLA does not compile. Received: True"
        )
    for optimizer in chosen:
        steps = players.inner(optimizer).gradient_accumulation_steps
        if steps and all_replicas.count > 1:
            raise ValueError(
                "Expected optimizers without gradient_accumulation_steps on several "
                "replicas, which sum at each step; a larger batch is the same. "
                f"Received: {steps!r}"
            )
    replicas.check_steps_per_execution(
        all_replicas.strategy, arguments["steps_per_execution"]
    )


def loss_for(columns, identifier) -> losses.AdversarialLoss:
    """Returns the loss that `identifier` stands for, if it reads all that D answers.

    Args:
        columns: int, of the discriminator's output.
        identifier: see `losses.get`.

    Raises:
        ValueError: the loss of an auxiliary classifier that is not there, or a
            classifier that no loss reads; an unknown loss.
    """
    loss = losses.get(identifier)
    if columns < loss.columns:
        raise ValueError(
            f"Expected a discriminator of output shape (None, {loss.columns}), a logit "
            f"and log p(label | sample), for the loss {type(loss).__name__}. Received "
            f"output shape: (None, {columns}); see auxiliary_classifier in networks"
        )
    if columns > loss.columns:
        raise ValueError(
            "Expected loss=losses.AuxiliaryClassifier(...) for a discriminator of "
            f"output shape (None, {columns}), a logit and log p(label | sample). "
            f"Received: {type(loss).__name__}, which reads the logit alone"
        )
    return loss


def compile_arguments(arguments, gan) -> dict:
    """Returns the arguments of `GAN.compile`, names replaced by what they stand for.

    Args:
        arguments: dict of what `compile` was given.
        gan: `GAN`.

    Raises:
        ValueError: see `GAN.compile`.
    """
    networks = gan.networks
    layer_checks.check_trainable(networks)
    further = [name for name in networks if name not in _TWO_PLAYERS]
    chosen = optimizers(networks, optimizers_by_player(arguments))
    check_strategy(gan.replicas, arguments, chosen.values())
    arguments = {
        **arguments,
        "generator_optimizer": chosen["generator"],
        "discriminator_optimizer": chosen["discriminator"],
        "discriminator_steps": checks.count(
            "discriminator_steps", arguments["discriminator_steps"]
        ),
        "ema_decay": averaging.check_decay(arguments["ema_decay"]),
        "ema_ramp": averaging.check_ramp(arguments["ema_ramp"], arguments["ema_decay"]),
        "penalties": penalties.check(arguments["penalties"]),
        "optimizers": {name: chosen[name] for name in further},
        "objectives": objectives(further, arguments["objectives"]),
        "augmentation": augmentation.get(arguments["augmentation"]),
    }
    layer_checks.check_second_gradients(
        networks["discriminator"], arguments["penalties"]
    )
    check_serializable(arguments)
    if arguments["augmentation"] is not None:  # last, as it makes variables
        arguments["augmentation"].prepare(gan.spec, arguments["loss"])
    return arguments


def optimizers_by_player(arguments) -> dict:
    """Returns the optimizers among the arguments of `compile`, by players' names."""
    return {
        "discriminator": arguments["discriminator_optimizer"],
        "generator": arguments["generator_optimizer"],
        **(arguments["optimizers"] or {}),
    }


def optimizers(networks, identifiers) -> dict:
    """Returns an optimizer for each network, by name.

    Args:
        networks: dict of names to Keras models. Where a layer of any computes in
            float16, all optimizers are loss scaled.
        identifiers: dict of names to Keras optimizers or their names.

    Raises:
        ValueError: no Keras optimizer, one that is missing or one too many, or one
            object for two networks.
    """
    _check_names("optimizers", networks, identifiers)
    chosen = {name: players.optimizer_for(identifiers[name], name) for name in networks}
    if len({id(optimizer) for optimizer in chosen.values()}) < len(chosen):
        raise ValueError(
            "Expected one optimizer for each network: an optimizer keeps the state of "
            "its own weights. Received the same object twice."
        )
    if "float16" not in keras_private.compute_dtypes(*networks.values()):
        return chosen
    return {name: players.loss_scaled(each) for name, each in chosen.items()}


def objectives(networks, given) -> dict:
    """Returns an objective for each further player, by name.

    Raises:
        ValueError: one that is missing, one too many, or one of another class.
    """
    given = dict(given or {})
    _check_names("objectives", networks, given)
    for name, objective in given.items():
        if not isinstance(objective, players.Objective):
            raise ValueError(
                f"Expected the objective of {name!r} to be a players.Objective. "
                f"Received: {objective!r}"
            )
    return given


def _check_names(argument, networks, given):
    if set(given) != set(networks):
        raise ValueError(
            f"Expected `{argument}` for {', '.join(sorted(networks)) or 'no player'}. "
            f"Received: {', '.join(sorted(given)) or 'none'}"
        )


def check_serializable(arguments):
    """Raises unless Keras can save what `compile` was given: now, not after an epoch.

    Raises:
        ValueError: something that it cannot.
    """
    for name, argument in arguments.items():
        try:
            keras.saving.serialize_keras_object(argument)
        except (TypeError, ValueError, NotImplementedError) as error:
            raise ValueError(
                f"Expected `{name}` to be what Keras can serialise: an object with "
                f"`get_config`, whose values JSON can hold. Received: {argument!r}"
            ) from error


def check_latents(x, prior, spec):
    """Raises where `predict` is given what are no latents: images, say.

    Args:
        x: array, tensor, a dict of them or a `tf.data.Dataset`; anything else that
            Keras takes is not looked at.
        prior: of `priors`.
        spec: `samples.SampleSpec` of one sample, to recognise these.

    Raises:
        ValueError: another shape, or other keys, than the prior's latents have; labels
            that are no class of the prior.
    """
    received = x
    if isinstance(x, tf.data.Dataset):
        received = x.element_spec
        received = received[0] if isinstance(received, tuple) else received
    named = {"": received} if not isinstance(received, dict) else received
    if not all(
        isinstance(each, np.ndarray | tf.TensorSpec) or tf.is_tensor(each)
        for each in named.values()
    ):
        return
    expected = prior.symbolic_sample()
    wanted = {"": expected} if not isinstance(expected, dict) else expected
    shapes = {name: tf.TensorShape(each.shape) for name, each in named.items()}
    if shapes.keys() == wanted.keys() and all(
        shape.is_compatible_with(wanted[name].shape) for name, shape in shapes.items()
    ):
        labels = named.get("labels")
        if labels is not None and not isinstance(labels, tf.TensorSpec):
            class_labels.of_examples(labels, len(labels), prior.num_classes)
        return
    hint = ""
    if any(shape.rank and shape[1:] == spec.shape for shape in shapes.values()):
        hint = ", as samples have; `discriminator.predict` judges these"
    raise ValueError(
        f"Expected latents of {_shapes(wanted)}, as `latent_prior.sample` gives them. "
        f"Received: {_shapes(shapes)}{hint}"
    )


def _shapes(parts):
    """Returns "shape (n, 3)", or "shapes {'latents': (n, 3)}", of what has rows."""
    words = {}
    for name, part in parts.items():
        shape = getattr(part, "shape", part)
        if tf.TensorShape(shape).rank is None:
            words[name] = "(unknown)"
            continue
        sizes = ["n" if size is None else str(size) for size in shape]
        words[name] = f"({', '.join(sizes)}{',' * (len(sizes) == 1)})"
    if "" in words:
        return f"shape {words['']}"
    each = ", ".join(f"{name!r}: {shape}" for name, shape in words.items())
    return f"shapes {{{each}}}"
