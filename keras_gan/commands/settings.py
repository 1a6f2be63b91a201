"""The presets and their settings as flags and as help, without TensorFlow."""

from absl import flags

from keras_gan.experiments import PRESETS, Component, Experiment, get_preset
from keras_gan.experiments.experiment import expectation, settings

# The settings that have a flag of their own, by its name. --set reaches all others.
SHORT_FLAGS = {
    "dataset": "data.name",
    "loss": "loss",
    "epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "discriminator_steps": "train.discriminator_steps",
    "seed": "train.seed",
    "mixed_precision": "runtime.mixed_precision",
    "jit_compile": "runtime.jit_compile",
    "distribute": "runtime.distribute",
}


def define_flags(values: flags.FlagValues):
    """Defines --preset, --set, and a flag for each of `SHORT_FLAGS`."""
    flags.DEFINE_string(
        "preset", "digits", "The experiment, see below.", flag_values=values
    )
    flags.DEFINE_multi_string(
        "set",
        [],
        "SETTING=VALUE replaces a setting of the preset, see below. May be repeated.",
        flag_values=values,
    )
    described = _described()
    for name, path in SHORT_FLAGS.items():
        flags.DEFINE_string(name, None, described[path], flag_values=values)


def read(values: flags.FlagValues) -> Experiment:
    """Returns the preset, its settings replaced by those that the flags give.

    Raises:
        ValueError: an unknown preset or setting, or an invalid value.
    """
    replaced = {}
    for text in values.set:
        path, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"Expected --set=SETTING=VALUE. Received: --set={text}")
        replaced[path] = value
    for name, path in SHORT_FLAGS.items():
        if values[name].value is not None:
            replaced[path] = values[name].value
    return get_preset(values.preset, replaced)


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
        value = experiment.get(path)
        if not isinstance(value, dict):
            rows.append((f"{path}={_text(value)}", meaning))
            continue
        # A component, which takes its name, and its own arguments below it.
        rows.append((f"{path}={value.pop('name')}", meaning))
        rows += [
            (f"{path}.{argument}={_text(given)}", f"An argument of {path}.")
            for argument, given in value.items()
        ]
    return rows


def _described() -> dict[str, str]:
    """What every setting means and which values it takes, by its path."""
    meanings = {}
    for path, field in settings().items():
        part, _, name = path.rpartition(".")
        holder = Experiment.model_fields.get(part)
        if name == "name" and holder is not None and holder.annotation is Component:
            meanings[part] = holder.description
        elif path not in ("name", "source"):  # they change no training
            description = field.description.removesuffix(".")
            meanings[path] = f"{description} ({expectation(field)})."
    return meanings


def _text(value):
    """A value as --set reads it."""
    return str(value).lower() if value in (None, True, False) else str(value)
