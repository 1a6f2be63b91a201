"""What an experiment is made of: parts with limits at their fields, in one-line errors.

This module imports neither TensorFlow nor Keras.
"""

import copy
import types
import typing
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from keras_gan import checks


class SettingError(ValueError):
    """A setting that does not exist or has an invalid value.

    Args:
        path: tuple of str and int, from the part that found the mistake to the setting.
        expected: str, goes on after "Expected <path>".
        received: the value.
        hint: str, appended: " Did you mean 'x'?".
    """

    def __init__(self, path, expected, received, hint=""):
        self.path, self.expected = tuple(path), expected
        self.received, self.hint = received, hint
        what = " ".join(filter(None, (".".join(map(str, path)), expected)))
        super().__init__(
            f"Expected {what}. Received: {received!r}{'.' if hint else ''}{hint}"
        )

    def below(self, *path) -> "SettingError":
        """Returns the same mistake, seen from the part that holds this one."""
        return SettingError(
            (*path, *self.path), self.expected, self.received, self.hint
        )


class Part(pydantic.BaseModel):
    """Settings that belong together. Frozen; unknown names and other types are refused.

    Raises:
        SettingError: from the constructor, with the first mistake on one line.
    """

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )

    def __init__(self, **values):
        try:
            super().__init__(**values)
        except pydantic.ValidationError as error:
            raise _first_mistake(type(self), values, error.errors()[0]) from None


class Component(Part):
    """A network pair, a loss, a penalty, an augmentation: a name and its arguments.

    The arguments stand beside the name, as in `Component(name="r1", weight=1.0)`. They
    are checked against the component's signature when the experiment is built.
    """

    model_config = pydantic.ConfigDict(extra="allow")

    name: str = Field(description="The name that the component is registered by.")

    @property
    def arguments(self) -> dict:
        """The arguments beside the name, a copy."""
        return copy.deepcopy(self.__pydantic_extra__)


# === Fields ===


def expectation(field) -> str:
    """Returns in words a field's type and limits: "an int in [1, 10,000,000]".

    Args:
        field: `pydantic.fields.FieldInfo`, of a `Part`.
    """
    annotation, metadata = field.annotation, list(field.metadata)
    kinds, optional = [], False
    for kind in alternatives(annotation, metadata):
        if kind is type(None):
            optional = True
        elif typing.get_origin(kind) is Literal:
            choices = ", ".join(typing.get_args(kind))
            kinds.append(f"one of {choices}" if not kinds else f"or {choices}")
        elif kind is bool:
            kinds.append("true or false")
        elif typing.get_origin(kind) is tuple and ... not in typing.get_args(kind):
            kinds.append("two numbers, (low, high)")
        elif typing.get_origin(kind) is tuple:
            kinds.append("a list of objects with a name")
        elif isinstance(kind, type) and issubclass(kind, Part):
            kinds.append(f"an object with {', '.join(kind.model_fields)}")
        else:
            name = {int: "an int", float: "a number", str: "text"}[kind]
            kinds.append(f"{name}{_bounds(metadata)}")
    return ", ".join(kinds) + (" or none" if optional else "")


def part_of(field):
    """Returns the `Part` that a field holds, where it is not None; else None."""
    kinds = set(alternatives(field.annotation, [])) - {type(None)}
    kind = kinds.pop()
    is_part = not kinds and isinstance(kind, type) and issubclass(kind, Part)
    return kind if is_part else None


# === Mistakes ===


def _first_mistake(part, values, error):
    """Returns the `SettingError` for one of pydantic's errors in a `part`."""
    cause = error.get("ctx", {}).get("error")
    path = [place for place in error["loc"] if not isinstance(place, str)]
    path = [*error["loc"][:1], *path]  # pydantic adds the members of unions
    if isinstance(cause, SettingError):
        return cause.below(*path)
    name = path[0]
    if error["type"] == "extra_forbidden":
        return SettingError(
            (),
            f"settings among {', '.join(part.model_fields)}",
            name,
            checks.did_you_mean(name, part.model_fields),
        )
    field = part.model_fields[name]
    received = values.get(name)
    return SettingError((name,), f"to be {expectation(field)}", received)


def alternatives(annotation, metadata):
    """Yields the members of a union; limits of annotated ones join `metadata`."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            yield from alternatives(member, metadata)
    elif typing.get_origin(annotation) is Annotated:
        kind, *more = typing.get_args(annotation)
        for info in more:
            metadata.extend(getattr(info, "metadata", []))
        yield from alternatives(kind, metadata)
    else:
        yield annotation


def _bounds(metadata):
    """ " above 0", " in [0, 1)" and the like, or "" without bounds."""
    limits = {}
    for limit in metadata:
        for name in ("ge", "gt", "le", "lt"):
            if (bound := getattr(limit, name, None)) is not None:
                limits[name] = f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"
    below = limits.get("le", limits.get("lt"))
    above = limits.get("ge", limits.get("gt"))
    if below is not None:
        left = "[" if "ge" in limits else "("
        right = "]" if "le" in limits else ")"
        return f" in {left}{above}, {below}{right}"
    if above is not None:
        return f" of at least {above}" if "ge" in limits else f" above {above}"
    return ""
