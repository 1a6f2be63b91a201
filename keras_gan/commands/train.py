"""Trains a GAN: keras-gan train --preset=digits

The run's directory (--workdir) gets the model, pictures of samples and the losses.
"""

import contextlib
import os
import sys

from absl import flags

from keras_gan.commands import console, quiet, settings
from keras_gan.experiments import PRESETS


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
    flags.DEFINE_float(
        "minutes",
        None,
        "Train about so long: measures a step, and sets the number of epochs. A run "
        "that is resumed keeps the epochs that it began with.",
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
    quiet.define_import(values)


def more_help(values: flags.FlagValues) -> str:
    """Returns the presets, and the settings with their values in --preset."""
    # absl gives no attributes where another flag was wrong.
    preset = PRESETS.get(values["preset"].value, PRESETS["digits"])
    return "\n".join(
        [
            "Presets (--preset):",
            *console.table(settings.preset_rows()),
            "",
            f"Settings (--set=SETTING=VALUE), with their values in {preset.name}:",
            *console.table(settings.setting_rows(preset), name_width=33),
        ]
    )


def main(values: flags.FlagValues):
    """Trains a preset into --workdir, or measures a few steps of it."""
    experiment = settings.read(values)
    _check_length(values)
    quiet.load_package(values)
    if values.dry_run:
        _dry_run(experiment, values.data_dir)
    else:
        _train(experiment, values)


def _check_length(values):
    """Raises ValueError where --minutes stands beside another length."""
    if values.minutes is None:
        return
    given = [f"--set={text}" for text in values.set if _sets_epochs(text)]
    if values.epochs is not None:
        given.append(f"--epochs={values.epochs}")
    if values.dry_run:
        given.append("--dry_run")
    if given:
        raise ValueError(
            f"Expected one of --minutes and {given[0].partition('=')[0]}. Received: "
            f"--minutes={values.minutes:g} and {given[0]}"
        )


def _sets_epochs(text):
    return text.partition("=")[0] in ("epochs", "train.epochs")


def _dry_run(experiment, data_dir):
    from keras_gan.runs import dry_run

    print(dry_run.format_dry_run(dry_run.dry_run(experiment, data_dir)))


def _train(experiment, values):
    from keras_gan import runs
    from keras_gan.runs.callbacks import Progress

    run = runs.Run(
        values.workdir or f"runs/{experiment.name}", experiment, values.data_dir
    )
    plan = runs.CheckpointPlan(
        values.checkpoint_minutes, values.checkpoint_steps, values.keep_checkpoints
    )
    progress = Progress(sys.stdout)
    try:
        with contextlib.closing(progress):
            runs.train(
                run,
                values.resume,
                values.overwrite,
                plan,
                [progress],
                _announce,
                values.minutes,
            )
    except (KeyboardInterrupt, SystemExit):
        if _writes_the_run(progress):
            _print_files(run)
            print(f"To resume: {_resume_command(run, values)}", flush=True)
        raise
    if _writes_the_run(progress):
        _print_files(run)
        _print_scores(run)
        _print_next(run, values)


def _announce(signal):
    """Says that a signal was noticed; not by print, which it may have interrupted."""
    if sys.__stderr__ is not None:  # closed: its number may be another file's
        os.write(sys.__stderr__.fileno(), b"\nStopping after this step ...\n")


def _writes_the_run(progress):
    """Whether this process is the one of several workers that writes the run.

    The others shall print nothing. They get no callbacks either, which tells them.
    """
    return progress.model is not None


def _print_files(run):
    """Prints where a run's files are, of those that are there."""
    labels = {
        "model": run.model_path,
        "pictures of samples": run.samples_dir,
        "losses": run.metrics_path,
    }
    for label, path in labels.items():
        if path.exists():
            print(f"{label + ':':22}{path}")


def _print_scores(run):
    """Prints what the training's last evaluation found, where it had any."""
    from keras_gan.evaluation import VALIDATION_SCORES
    from keras_gan.runs import history

    if run.evaluations_path.exists():
        *_, last = history.read_metrics(run.evaluations_path)
        scores = [
            f"{name} {score:.4g}"
            for name, score in last.items()
            if name in VALIDATION_SCORES
        ]
        print(f"{'scores:':22}{', '.join(scores)}")


def _print_next(run, values):
    """Prints the commands that a trained run is for, each to be typed as it stands."""
    given = [f"--model={run.path}"]
    given += [f"--import={module}" for module in values["import"].value]
    commands = [
        console.typed("generate", *given, "--num_samples=100", "--output=grid.png"),
        *(console.typed(name, *given) for name in ("evaluate", "figures", "export")),
    ]
    print("Next: " + "\n      ".join(commands))


def _resume_command(run, values):
    """What resumes a training, as the user would type it."""
    names = ("checkpoint_minutes", "checkpoint_steps", "keep_checkpoints")
    return console.typed(
        "train",
        f"--preset={settings.preset_name(values)}",
        f"--workdir={run.path}",
        "--resume=auto",
        *([f"--data_dir={run.data_dir}"] if run.data_dir else []),
        *(f"--import={module}" for module in values["import"].value),
        *(values[name].serialize() for name in names if values[name].present),
        *settings.assignments(run.experiment, settings.preset_name(values)),
    )
