"""Trains a GAN: keras-gan train --preset=digits

The run's directory (--workdir) gets the model, pictures of samples and the losses.
"""

from absl import flags

from keras_gan.commands import quiet, settings


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan train`."""
    settings.define_flags(values)
    flags.DEFINE_string(
        "workdir",
        None,
        "The run's directory. By default runs/PRESET.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "data_dir", None, "Where the data are or are cached.", flag_values=values
    )
    flags.DEFINE_bool(
        "overwrite",
        False,
        "Replace a run that is in the directory already.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "resume",
        "never",
        ["auto", "never"],
        "auto resumes from the newest valid checkpoint in the run's directory, and "
        "starts anew where there is none.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "checkpoint_minutes",
        2.0,
        "Minutes between checkpoints. 0 sets none by time.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "checkpoint_steps",
        0,
        "Steps between checkpoints. 0 sets none by steps.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "keep_checkpoints",
        2,
        "The number of newest checkpoints that are kept.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "dry_run",
        False,
        "Print the parameters, the time and the memory of a step, and write nothing.",
        flag_values=values,
    )


def main(values: flags.FlagValues):
    """Trains a preset into --workdir, or says what that would take."""
    fields = settings.read(values)
    quiet.load_package()
    from keras_gan.runs import training

    preset = training.get_preset(values.preset, fields)
    if values.dry_run:
        print(training.format_dry_run(training.dry_run(preset, values.data_dir)))
        return
    training.train(
        preset,
        workdir=values.workdir,
        data_dir=values.data_dir,
        overwrite=values.overwrite,
        resume=values.resume,
        checkpoint_minutes=values.checkpoint_minutes,
        checkpoint_steps=values.checkpoint_steps,
        keep_checkpoints=values.keep_checkpoints,
    )


def more_help() -> str:
    """Returns the presets and the fields that --set takes, for --help."""
    from keras_gan.commands import console

    presets, fields = settings.help_rows()
    return "\n".join(
        ["Presets:", *console.table(presets), "", "Fields:", *console.table(fields)]
    )
