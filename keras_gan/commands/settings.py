"""The presets and their settings as flags and as help, without TensorFlow."""

import json

from absl import flags

from keras_gan.experiments import (
    PRESETS,
    Component,
    Experiment,
    expectation,
    get_preset,
    part_of,
    settings,
)

# The preset for a user's own pictures.
_OF_FOLDERS = "pictures64"
# The settings that have a flag of their own, by its name. --set reaches all others.
SHORT_FLAGS = {
    "dataset": "data.name",
    "conditional": "data.conditional",
    "loss": "loss",
    "epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "discriminator_steps": "train.discriminator_steps",
    "seed": "train.seed",
    "init_from": "train.init_from",
    "mixed_precision": "runtime.mixed_precision",
    "jit_compile": "runtime.jit_compile",
    "distribute": "runtime.distribute",
}


def define_flags(values: flags.FlagValues):
    """Defines --preset, --set, and a flag for each of `SHORT_FLAGS`."""
    flags.DEFINE_string(
        "preset",
        "digits",
        "The experiment, see below. Where it is left out and --dataset is a folder, it "
        f"is {_OF_FOLDERS}.",
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "set",
        [],
        "SETTING=VALUE replaces a setting of the preset, see below. May be repeated.",
        flag_values=values,
    )
    described, fields = _described(), settings()
    for name, path in SHORT_FLAGS.items():
        # --conditional alone is true.
        is_bool = path in fields and fields[path].annotation is bool
        define = flags.DEFINE_bool if is_bool else flags.DEFINE_string
        define(name, None, described[path], flag_values=values)


def preset_name(values: flags.FlagValues) -> str:
    """Returns the preset that the flags ask for, by --preset or by --dataset."""
    is_folder = (values.dataset or "").startswith("folder:")
    return _OF_FOLDERS if is_folder and not values["preset"].present else values.preset


def read(values: flags.FlagValues) -> Experiment:
    """Returns the preset, its settings replaced by those that the flags give.

    Raises:
        ValueError: an unknown preset or setting, or an invalid value.
    """
    given = {
        path: values[name].value
        for name, path in SHORT_FLAGS.items()
        if values[name].value is not None
    }
    # The name of a component drops the arguments before it, and --set may give some.
    replaced = {path: given[path] for path in given if _is_component(path)}
    for text in values.set:
        path, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"Expected --set=SETTING=VALUE. Received: --set={text}")
        replaced[path] = value
    return get_preset(preset_name(values), {**replaced, **given})


def assignments(experiment: Experiment, preset: str) -> list[str]:
    """Returns the --set flags by which `read` makes a preset this experiment.

    Args:
        experiment: read from `preset`.
        preset: the preset's name.
    """
    flags_, components = [], set()
    for path in experiment.differences(PRESETS[preset]):
        part = path.partition(".")[0]
        if not _is_component(part):
            flags_.append(f"--set={path}={_text(experiment.get(path))}")
        elif part not in components:
            # The name alone drops the arguments that the preset gives it.
            components.add(part)
            flags_ += [f"--set={row}" for row, _ in _component_rows(experiment, part)]
    return flags_


# === Help ===


def preset_rows() -> list[tuple[str, str]]:
    """Returns (name, source) of every preset."""
    return [(name, f"{preset.source}.") for name, preset in PRESETS.items()]


def setting_rows(experiment: Experiment) -> list[tuple[str, str]]:
    """Returns ("path=value", meaning) of every setting that --set takes.

    Args:
        experiment: whose values are shown.
    """
    rows = []
    for path, meaning in _described().items():
        if _is_component(path):
            (name, _), *arguments = _component_rows(experiment, path)
            rows += [(name, meaning), *arguments]
        else:
            rows.append((f"{path}={_text(experiment.get(path))}", meaning))
    return rows


def _is_component(part):
    """Whether a part of an experiment has a name, and arguments of its own."""
    field = Experiment.model_fields.get(part)
    return field is not None and part_of(field) is Component


def _component_rows(experiment, part):
    """("path=value", meaning) of a component and of its arguments."""
    component = getattr(experiment, part)
    if component is None:
        return [(f"{part}=none", "")]
    return [
        (f"{part}={component.name}", ""),
        *(
            (f"{part}.{name}={_text(value)}", f"An argument of {component.name}.")
            for name, value in component.arguments.items()
        ),
    ]


def _described() -> dict[str, str]:
    """What every setting means and which values it takes, by its path."""
    meanings = {}
    for path, field in settings().items():
        part, _, name = path.rpartition(".")
        if name == "name" and _is_component(part):
            meanings[part] = Experiment.model_fields[part].description
        elif path not in ("name", "source"):  # they change no training
            description = field.description.removesuffix(".")
            meanings[path] = f"{description} ({expectation(field)})."
    return meanings


def _text(value):
    """A value as --set reads it."""
    if value is None:
        return "none"
    # Text as it is; numbers, true and false, lists and objects as JSON has them.
    return value if isinstance(value, str) else json.dumps(value)
