"""The presets and their fields, as flags and as help, without TensorFlow."""

import dataclasses
from collections.abc import Sequence

from absl import flags

from keras_gan.experiments.presets import PRESETS, Preset

# The fields that have a flag of their own; --set reaches all.
SHORT_NAMES = (
    "dataset", "loss", "seed", "epochs", "batch_size", "discriminator_steps",
    "mixed_precision", "jit_compile", "distribute",
)  # fmt: skip


def define_flags(values: flags.FlagValues):
    """Defines --preset, --set, and a flag for each of the most used fields."""
    flags.DEFINE_string(
        "preset", "digits", "The experiment, see below.", flag_values=values
    )
    flags.DEFINE_multi_string(
        "set",
        [],
        "FIELD=VALUE sets any field of the preset, see below. Repeat it for more.",
        flag_values=values,
    )
    for name in SHORT_NAMES:
        flags.DEFINE_string(
            name, None, f"Short for --set={name}=...", flag_values=values
        )


def read(values: flags.FlagValues) -> dict[str, str]:
    """Returns the fields that the flags set, as text.

    Raises:
        ValueError: a --set without "=".
    """
    return {
        **_assignments(values.set),
        **{
            name: values[name].value
            for name in SHORT_NAMES
            if values[name].value is not None
        },
    }


def _assignments(texts: Sequence[str]) -> dict[str, str]:
    settings = {}
    for text in texts:
        field, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"Expected --set=FIELD=VALUE. Received: --set={text}")
        settings[field] = value
    return settings


def help_rows() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Returns (name, meaning) of every preset, and of every field that --set takes."""
    presets = [(name, f"{preset.source}.") for name, preset in PRESETS.items()]
    fields = [(field.name, "") for field in dataclasses.fields(Preset)]
    return presets, fields
