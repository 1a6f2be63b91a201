"""The paths that a run and the settings of its experiment hold."""

import os
import pathlib

from keras_gan import datasets

# Other runs, or their models.
_RUNS = ("networks.pretrained", "train.init_from")


def absolute(experiment):
    """Returns the experiment with paths that mean the same from any folder."""
    settings = _of_runs(experiment, lambda path: path.resolve())
    if experiment.data.is_folder:
        prefix, colon, path = experiment.data.name.partition(":")
        path = pathlib.Path(os.path.expanduser(path)).absolute()
        settings["data.name"] = f"{prefix}{colon}{path}"
    return experiment.with_settings(settings)


def absolute_place(path) -> str | None:
    """Returns the absolute path of a directory; URLs such as gs://bucket stay."""
    if path is None or "://" in str(path):
        return path and str(path)
    return os.path.abspath(os.path.expanduser(path))


def without(experiment):
    """Returns the experiment without the paths of who made it: names alone."""
    settings = _of_runs(experiment, lambda path: path.name)
    settings["data.name"] = datasets.public_name(experiment.data.name)
    return experiment.with_settings(settings)


def _of_runs(experiment, change):
    found = {setting: experiment.get(setting) for setting in _RUNS}
    return {
        setting: str(change(pathlib.Path(path)))
        for setting, path in found.items()
        if path is not None
    }
