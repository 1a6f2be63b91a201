"""Experiment: everything that decides a training, as frozen, validated data.

This module imports neither TensorFlow nor Keras, so that a command can list every
setting with its limits before it loads them. It therefore knows components (networks,
losses, penalties) by name only; `experiments.building` checks them against what there
is.
"""

import json
import re
from typing import Annotated, Any

import pydantic
from pydantic import Field

from keras_gan import checks
from keras_gan.experiments.fields import (
    Component,
    Part,
    SettingError,
    alternatives,
    part_of,
)
from keras_gan.experiments.parts import Data, Optimizer, Prior, Runtime, Train

# A short name that is not the last name of its path.
_ALIASES = {"dataset": "data.name"}
# The size of a folder of images, as `datasets.resizing.split_size` reads it; that
# package loads TensorFlow.
_FOLDER_SIZE = re.compile(r"folder:.+?(@[1-9]\d{0,4}(?:x[1-9]\d{0,4})?)?")


class Experiment(Part):
    """Everything that decides a training.

    Two experiments that differ in `runtime` and `source` alone give the same training
    where they are executed alike.

    Example:

        >>> experiment = Experiment(
        ...     name="mine",
        ...     data=Data(name="digits"),
        ...     networks=Component(name="digits_mlp", generator_noise=0.1),
        ...     generator=Optimizer(optimizer="adam", learning_rate=1e-3),
        ...     discriminator=Optimizer(optimizer="adam", learning_rate=1e-3),
        ...     train=Train(epochs=10),
        ... )
        >>> experiment.with_settings({"generator.learning_rate": "2e-4", "epochs": 3})
    """

    name: str = Field(description="What the experiment is called.")
    source: str = Field(
        "", description="Where the recipe is from, and what departs from it."
    )
    data: Data = Field(description="The examples.")
    networks: Component = Field(description="The builder of both networks.")
    prior: Prior = Field(Prior(), description="The distribution of the latents.")
    loss: Component = Field(
        Component(name="non_saturating"),
        description="The adversarial loss: non_saturating, minimax, hinge, "
        "least_squares, wasserstein, relativistic, or auxiliary_classifier around one "
        "of these.",
    )
    penalties: Annotated[tuple[Component, ...], Field(strict=False)] = Field(
        (),
        description="Penalties that are added to the discriminator's loss: r1, r2, "
        "gradient_penalty or dragan, each with its arguments.",
    )
    augmentation: Component | None = Field(
        None,
        description="What the discriminator's images go through in training: "
        "diffaugment, ada, or none.",
    )
    generator: Optimizer = Field(description="The generator's optimizer.")
    discriminator: Optimizer = Field(description="The discriminator's optimizer.")
    train: Train = Field(description="Algorithm 1's sizes, and what a run keeps.")
    runtime: Runtime = Field(Runtime(), description="How the training is executed.")

    # === Dictionaries ===

    def to_dict(self) -> dict:
        """Returns nested dicts, lists and scalars, as JSON can hold them."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, values) -> "Experiment":
        """Returns the experiment that `to_dict` described.

        A setting that is missing gets its default: it is newer than `values`.

        Raises:
            SettingError: an unknown or invalid setting, or one without a default.
        """
        return cls(**values)

    # === Settings ===

    def with_settings(self, settings) -> "Experiment":
        """Returns a copy with some settings replaced.

        Args:
            settings: dict from dotted paths such as "generator.learning_rate" to
                values. The last name of a path stands for it, and for every path that
                ends in it: "epochs" for "train.epochs", "learning_rate" for both
                networks'. "dataset" stands for "data.name". Text is read as the
                setting's type; "none" is None. The path of a component ("loss") takes
                its name, and drops the arguments of the one before.

        Raises:
            SettingError: an unknown path, or an invalid value.
        """
        values = self.to_dict()
        for path, value in settings.items():
            for full_path in _full_paths(path):
                if full_path == ("data", "name"):
                    value = sized_as(values["data"]["name"], value)
                _assign(values, full_path, value)
        return Experiment.from_dict(values)

    def differences(self, other) -> list[str]:
        """Returns the dotted paths of all settings that differ from `other`'s."""
        return _differing(self.to_dict(), other.to_dict())

    def resume_conflicts(self, begun) -> list[str]:
        """Returns the paths that forbid to resume the experiment `begun` as this one.

        Those are all that differ, but for `runtime` and `source`, which do not decide
        the training, for a larger number of epochs, if no schedule lasts all of them,
        for the place of a folder of images, which is known by its content, and for
        that of the run whose networks this one took in, which the checkpoint holds.
        """
        free = {"source"}
        taken = "networks.pretrained"
        if self.get(taken) and begun.get(taken):
            free.add(taken)
        if self.data.is_folder and begun.data.is_folder:
            free.add("data.name")
        if self.train.epochs >= begun.train.epochs and not self._lasts_all_epochs:
            free.add("train.epochs")
        return [
            path
            for path in self.differences(begun)
            if path not in free and not path.startswith("runtime.")
        ]

    @property
    def _lasts_all_epochs(self):
        optimizers = (self.generator, self.discriminator)
        return any(each.lasts_all_epochs for each in optimizers) or any(
            "final_share" in penalty.arguments for penalty in self.penalties
        )

    def get(self, path):
        """Returns the value of a dotted path; None where it is an absent argument."""
        value = self.to_dict()
        for name in path.split("."):
            value = (value or {}).get(name)
        return value


def settings() -> dict[str, pydantic.fields.FieldInfo]:
    """Returns every setting that has a path of its own, by that path.

    Each has a `description` and a `default` (`is_required()` without one);
    `fields.expectation` has words for its type and limits. The arguments of components
    are not among them: the components have these.
    """
    return dict(_walk(Experiment, ()))


def sized_as(before: str, name: str) -> str:
    """Returns a folder's name, with the size of another folder where it has none.

    Args:
        before: str, the name whose size is taken, "folder:a@64" say.
        name: str. If one of both is no folder, it is returned as it is.
    """
    before, given = (_FOLDER_SIZE.fullmatch(str(each)) for each in (before, name))
    if not (before and given) or given[1]:
        return name
    return name + (before[1] or "")


# === Paths ===


def _walk(part, path):
    for name, field in part.model_fields.items():
        inner = part_of(field)
        if inner is None:
            yield ".".join((*path, name)), field
        else:
            yield from _walk(inner, (*path, name))


def _full_paths(path):
    """The paths, as tuples, that a dotted path or a short name stands for."""
    names = tuple(str(path).split("."))
    if len(names) == 1:
        paths = settings()
        if names[0] in _ALIASES:
            return [tuple(_ALIASES[names[0]].split("."))]
        if names[0] in Experiment.model_fields:
            return [names]
        # "name" alone is the experiment's: found above.
        found = [p for p in paths if p.rpartition(".")[2] == names[0]]
        if found:
            return [tuple(p.split(".")) for p in found]
        short = {p.rpartition(".")[2] for p in paths} - {"name"}
        raise _unknown(path, [*_ALIASES, *Experiment.model_fields, *short, *paths])
    part = Experiment
    for place, name in enumerate(names):
        field = part.model_fields.get(name)
        if field is None and issubclass(part, Component) and place == len(names) - 1:
            return [names]
        inner = None if field is None else part_of(field)
        if field is None or (inner is None and place < len(names) - 1):
            raise _unknown(path, settings())
        part = inner
    return [names]


def _unknown(path, paths):
    hint = checks.did_you_mean(path, paths)
    return SettingError(
        ("a setting",), "by its path, such as train.epochs or epochs", path, hint
    )


def _assign(values, path, value):
    """Sets `path` in the nested dicts `values`, text being read as its type."""
    part, field = Experiment, None
    for name in path:
        field = None if part is None else part.model_fields.get(name)
        part = None if field is None else part_of(field)
    *parents, last = path
    for depth, name in enumerate(parents, start=1):
        values = values[name]
        if values is None:
            what = f"to have a name before {last} is set"
            raise SettingError(path[:depth], what, None)
    if part is not None and isinstance(value, pydantic.BaseModel):
        value = value.model_dump(mode="json")
    if part is None:
        values[last] = _read(field, value) if isinstance(value, str) else value
    elif part is Component and isinstance(value, str):
        values[last] = None if _is_none(field, value) else {"name": value}
    elif isinstance(value, str) and "name" in part.model_fields:
        values[last] = {**values[last], "name": value}
    else:
        values[last] = value


def _read(field, text):
    """The value that `text` stands for in `field`; None is a component's argument."""
    if _is_none(field, text):
        return None
    kinds = [Any] if field is None else list(alternatives(field.annotation, []))
    lower = text.strip().lower()
    if str in kinds:
        return text
    if lower in ("true", "false"):
        return lower == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    try:
        # "(-1, 1)" is how Python writes a range.
        return json.loads(text.replace("(", "[").replace(")", "]"))
    except ValueError:
        return text


def _is_none(field, text):
    """Whether `text` is None in `field`; None is a component's argument."""
    may_be = field is None or type(None) in alternatives(field.annotation, [])
    return may_be and text.strip().lower() == "none"


def _differing(ours, theirs, path=()):
    found = []
    for name in dict.fromkeys((*ours, *theirs)):
        one, other = ours.get(name), theirs.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            found += _differing(one, other, (*path, name))
        elif one != other:
            found.append(".".join((*path, name)))
    return found
