"""What else decides the numbers of a run: versions, machine, commit, and the data."""

import hashlib
import importlib.metadata
import pathlib
import platform
import subprocess

import numpy as np
import tensorflow as tf

from keras_gan.experiments.building import dtype_policy
from keras_gan.version import __version__

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
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()


def describe_data(data) -> dict:
    """Returns what decides whether a run's data are still the same.

    `content` is a digest of 1,000 of the examples.
    """
    digest = hashlib.sha256(data.fixed_examples(1000).tobytes())
    return {
        "name": data.name,
        "split": data.split,
        "examples": len(data),
        "image_shape": list(data.image_shape),
        "value_range": data.value_range and list(data.value_range),
        "content": digest.hexdigest()[:16],
    }


def describe_execution(experiment, gan) -> dict:
    """Returns what the experiment's "auto" settings came to."""
    return {
        "dtype_policy": dtype_policy(experiment.runtime.mixed_precision),
        "jit_compile": bool(gan.jit_compile),
        "replicas": gan.distribute_strategy.num_replicas_in_sync,
    }
