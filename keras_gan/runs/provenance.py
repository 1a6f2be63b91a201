"""What else decides the numbers of a run: versions, machine, commit, and the data."""

import importlib.metadata
import logging
import os
import pathlib
import platform
import subprocess

import numpy as np
import tensorflow as tf

from keras_gan import metrics
from keras_gan.experiments.building import dtype_policy
from keras_gan.version import __version__

_log = logging.getLogger("keras_gan")

# Those that are installed; tensorflow-datasets need not be.
_PACKAGES = ("keras", "tensorflow", "tensorflow-probability", "tensorflow-datasets")


def environment() -> dict:
    """Returns `versions` of packages, the `machine` and the `git_commit`."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "versions": {
            "keras_gan": __version__,
            **versions,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "machine": {
            "platform": platform.platform(),
            "devices": [
                device.device_type for device in tf.config.list_physical_devices()
            ],
        },
        "git_commit": _git_commit(),
    }


def _git_commit():
    """The commit of the checkout that this package runs from, or None."""
    file = pathlib.Path(__file__)
    try:
        # A package that is installed may lie below a repository of the user's.
        _git(file.parent, "ls-files", "--error-unmatch", file.name)
        return _git(
            file.parent,
            *("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"),
        )
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder, *words):
    found = subprocess.run(
        ["git", *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return found.stdout.strip()


def describe_data(data) -> dict:
    """Returns what decides whether a run's data are still the same.

    `content` is a digest of every example, label and the range. What the data are
    called decides nothing: a folder may have moved.
    """
    return {
        "name": data.name,
        "split": data.split,
        "examples": len(data),
        "image_shape": list(data.image_shape),
        "value_range": data.value_range and list(data.value_range),
        "content": metrics.data_key(data)[:16],
    }


def warn_of_other_data(described, data, path) -> None:
    """Logs a warning where `data` are not those that `describe_data` described.

    Args:
        described: dict, of the run's training.
        data: `Dataset`, what its name stands for now.
        path: of the run, for the message.
    """
    now = describe_data(data)
    changed = [name for name in ("examples", "content") if now[name] != described[name]]
    if changed:
        _log.warning(
            "%s was trained on other data than %s holds now: %s then, %s now.",
            path,
            data.name,
            " ".join(f"{name} {described[name]}" for name in changed),
            " ".join(f"{name} {now[name]}" for name in changed),
        )


def describe_execution(experiment, gan) -> dict:
    """Returns what the experiment's "auto" settings came to."""
    return {
        "dtype_policy": dtype_policy(experiment.runtime.mixed_precision),
        "jit_compile": bool(gan.jit_compile),
        "replicas": gan.distribute_strategy.num_replicas_in_sync,
    }


def describe_rounding() -> dict:
    """Returns what decides the order of sums, and so the last bits of a training."""
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return {
        "tensorflow": tf.__version__,
        "processor": platform.machine(),
        "devices": [device.device_type for device in tf.config.list_physical_devices()],
        # 0 lets TensorFlow choose: one for each core that the process may use.
        "threads": threads or _environment_int("TF_NUM_INTRAOP_THREADS") or _cores(),
        "onednn": _environment_int("TF_ENABLE_ONEDNN_OPTS", default=1) != 0,
    }


def warn_of_other_rounding(described) -> None:
    """Logs a warning where sums are rounded in another order than `described` says.

    Args:
        described: dict of `describe_rounding`, of the training that is resumed; a
            setting that it lacks is not compared.
    """
    now = describe_rounding()
    changed = [name for name in now if described.get(name, now[name]) != now[name]]
    if changed:
        _log.warning(
            "Resuming with other rounding than before (%s; now %s): the training goes "
            "on, but its last bits are not those of one that was never stopped.",
            ", ".join(f"{name} {described[name]}" for name in changed),
            ", ".join(f"{name} {now[name]}" for name in changed),
        )


def _cores():
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _environment_int(name, default=0):
    try:
        return int(os.environ.get(name, default))
    except ValueError:
        return default
