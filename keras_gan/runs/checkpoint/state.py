"""The state of a training: its variables by name, taken and given back."""

import dataclasses
import itertools
import pathlib
import re

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The state of a training after `step` batches.

    Attributes:
        step: int, batches since the start, over all epochs.
        state: dict of variable names to arrays, see `variables`.
        metadata: dict of what the writer adds, as JSON can hold.
        path: `pathlib.Path` that it was read from, or None.
    """

    step: int
    state: dict[str, np.ndarray]
    metadata: dict
    path: pathlib.Path | None = None


def variables(gan) -> dict:
    """Returns every variable that a training of the compiled `gan` reads or writes.

    A name is the part of the GAN and the variable's Keras path in it:
    "generator/dense/kernel", "generator_optimizer/adam/iteration",
    "averaged_generator/dense/kernel", "logs/d_real/total". A variable that two parts
    share is listed once, in the first. Where two of one part share a path, "#2" is
    appended to the second, "#3" to the third.

    Args:
        gan: compiled `GAN`.

    Returns:
        dict of names to Keras variables, in an order that depends on the GAN alone.
    """
    parts = [
        part
        for player in gan.players
        for part in (
            (player.name, player.network.variables),
            (f"{player.name}_optimizer", player.optimizer.variables),
        )
    ]
    parts += [
        (f"averaged_{name}", average.average.variables)
        for name, average in gan.averages.items()
        if average is not None
    ]
    parts += [("logs", log_variables(gan)), ("gan", gan.variables)]
    names, seen = {}, set()
    for part, listed in parts:
        for variable in listed:
            if id(variable) not in seen:
                seen.add(id(variable))
                names[_unused(f"{part}/{variable.path}", names)] = variable
    return names


def snapshot(gan, step: int, metadata: dict | None = None) -> Checkpoint:
    """Returns the state of `gan` after `step` batches; all values are copies."""
    state = {
        name: keras.ops.convert_to_numpy(variable)
        for name, variable in variables(gan).items()
    }
    return Checkpoint(step, state, dict(metadata or {}))


def restore(gan, checkpoint: Checkpoint) -> None:
    """Assigns the state of `checkpoint` to `gan`, built and compiled alike.

    Raises:
        ValueError: variables with other names, shapes or dtypes; nothing is changed.
    """
    for variable, value in matched(gan, checkpoint):
        variable.assign(value)


def matched(gan, checkpoint: Checkpoint) -> list:
    """Returns a (variable of `gan`, its value in `checkpoint`) for every variable.

    Raises:
        ValueError: variables with other names, shapes or dtypes.
    """
    ours, theirs = variables(gan), checkpoint.state
    if ours.keys() != theirs.keys():
        # Keras numbers layers and optimizers through a process: the second GAN of a
        # notebook has "dense_4" where the first has "dense". Such names pair by order.
        pairs = itertools.zip_longest(ours, theirs)
        for name, other in pairs:
            if _unnumbered(name) != _unnumbered(other):
                raise _mismatch(name or "none", other or "none", checkpoint)
        theirs = dict(zip(ours, theirs.values(), strict=True))
    for name, variable in ours.items():
        expected = f"{variable.dtype} {tuple(variable.shape)}"
        received = f"{theirs[name].dtype} {theirs[name].shape}"
        if expected != received:
            raise _mismatch(f"{name}, {expected}", received, checkpoint)
    return [(variable, theirs[name]) for name, variable in ours.items()]


def log_variables(gan) -> list:
    """Returns the variables of the running means that `gan` logs."""
    return [variable for metric in gan.metrics for variable in metric.variables]


def _unused(name, names):
    numbered = (f"{name}#{number}" for number in itertools.count(2))
    return next(each for each in itertools.chain([name], numbered) if each not in names)


def _unnumbered(name):
    """ "generator/dense_4/kernel" as "generator/dense/kernel"; None stays None."""
    return name and re.sub(r"_\d+(?=[/_#]|$)", "", name)


def _mismatch(expected, received, checkpoint):
    return ValueError(
        "Expected a checkpoint of the same networks and optimizers, with the variable "
        f"{expected}. Received: {received}, in {checkpoint.path or 'the checkpoint'}"
    )
