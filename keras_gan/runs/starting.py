"""Where a training starts: at the beginning, or at a checkpoint of the same run."""

import logging

from keras_gan.experiments.experiment import Experiment
from keras_gan.runs import checkpoint
from keras_gan.runs.run import Run

_log = logging.getLogger("keras_gan")


def find_start(run, resume, overwrite):
    """Returns the checkpoint to resume from, or None where the run is to start.

    Args:
        run: `Run`, whose lock this process holds where its directory exists.
        resume, overwrite: see `train`.

    Raises:
        ValueError: what is there can neither be resumed nor replaced.
    """
    if not run.is_run:
        run.check_free()
        return None
    if resume == "auto" and (start := checkpoint_of(run)):
        return start
    has_checkpoints = bool(checkpoint.paths(run.checkpoints_dir))
    # Killed before its first checkpoint, which is of the start: nothing is lost.
    is_fresh = not has_checkpoints and not run.trained()
    if overwrite or run.is_untouched or (is_fresh and resume == "auto"):
        return None
    if resume == "auto":
        raise run.already_there("It has no valid checkpoint to resume from. ")
    hint = "Pass resume='auto' to resume it. " if has_checkpoints else ""
    raise run.already_there(hint)


def keep_epochs(run):
    """Gives `run` the number of epochs that the run in its directory has."""
    epochs = Run.open(run.path).experiment.train.epochs
    run.experiment = run.experiment.with_settings({"train.epochs": epochs})


def checkpoint_of(run):
    """The newest valid checkpoint of a run with the settings of `run`, or None.

    Raises:
        ValueError: the run has other settings.
    """
    start = checkpoint.newest(run.checkpoints_dir)
    if start:
        _check_settings(start, run)
    return start


def _check_settings(start, run):
    """Raises unless a run may resume a checkpoint: same settings, no fewer epochs."""
    begun = Experiment.from_dict(start.metadata["experiment"])
    changed = run.experiment.resume_conflicts(begun)
    if changed:
        may_grow = "only epochs may grow"
        if run.experiment.train.epochs > begun.train.epochs and (
            "train.epochs" in changed
        ):
            may_grow = "its schedules last all epochs, which therefore may not grow"
        raise ValueError(
            "Expected "
            + ", ".join(f"{path}={begun.get(path)!r}" for path in changed)
            + f", as the run in {run.path} has it ({may_grow}). Received: "
            + ", ".join(f"{path}={run.experiment.get(path)!r}" for path in changed)
            + ". Choose another directory for other settings, in which "
            f"init_from={run.path} starts from the networks of this run; or pass "
            "overwrite=True with resume='never' to replace the run."
        )


def check_same(part, start, described, run):
    """Raises unless the run began with the same data, or execution, as it has now."""
    ours = described[part]
    theirs = {**ours, **start.metadata.get(part, {})}
    # Names are for people: a folder that has moved is the same data.
    changed = [n for n in ours if n != "name" and ours[n] != theirs[n]]
    if changed:
        raise ValueError(
            f"Expected the {part} that the run in {run.path} began with: "
            + ", ".join(f"{name} {theirs[name]!r}" for name in changed)
            + ". Received: "
            + ", ".join(f"{name} {ours[name]!r}" for name in changed)
            + ". Choose another directory, or pass overwrite=True with resume='never' "
            "to replace the run."
        )


def log_resuming(start, last_step):
    """Logs which step a training resumes after, and whether any is left to make."""
    if start.step < last_step:
        _log.info("Resuming after step %s, from %s", start.step, start.path)
        return
    _log.info(
        "All %s steps of the run were made before, so nothing is trained. A longer "
        "training in another directory may start from this one, by `init_from`.",
        f"{last_step:,}",
    )
