"""Publishing a run's generator, for a server or as a file."""

import pathlib

from keras_gan import datasets, export
from keras_gan.experiments.model_files import load_gan
from keras_gan.export import portable
from keras_gan.runs import paths
from keras_gan.runs.run import CONFIG, EXPORT, Run

# What `export.verify` checks, by the names that it gives its stages.
CHECKED = {
    "files": "every file is as its card states",
    "graph": "signatures, dtypes, no state, weights once",
    "python": "loads without keras, matches its goldens",
    "server": "loads by the server's loader, rows do not depend on their batch",
}


def export_run(model, base=None, version=None, verify=False, progress=None):
    """Publishes a run's generator, with what its run knows of it on its card.

    Args:
        model: str or path-like, a run's directory or a `.keras` file in one.
        base: str or path-like, where versions are kept; `export/` in the run.
        version: int >= 1, or None for the next.
        verify: bool, whether it is checked before it is published, see `export.verify`.
        progress: None, or a function of a stage's name, called before each check.

    Returns:
        `pathlib.Path` of the version's directory.

    Raises:
        ValueError: no run; see `export.export_generator` and `export.verify`.
    """
    directory = _directory(model)
    portable.check_path(base or directory / EXPORT, portable.SAVED_MODEL)
    gan, card = _load(model)

    def check(path):
        verify_export(path, progress)

    return gan.export(
        base or directory / EXPORT, version, card, check if verify else None
    )


def export_run_file(model, format, output=None):
    """Writes a run's generator as one file, with what its run knows of it in its card.

    Args:
        model: see `export_run`.
        format: "onnx" or "litert".
        output: str or path-like, the file; by default one named after the run, in
            `export/` in the run.

    Returns:
        `pathlib.Path` of the file.

    Raises:
        ValueError: no run; see `export.export_file`.
    """
    directory = _directory(model)
    name = directory.resolve().name + portable.suffix_of(format)
    path = output or directory / EXPORT / name
    portable.check_path(path, format)
    gan, card = _load(model)
    return gan.export(path, card=card, format=format)


def _directory(model):
    """The directory of a run, or of a `.keras` file."""
    model = pathlib.Path(model)
    return model if model.is_dir() else model.parent


def _load(model):
    """Returns the `GAN`, and what its run says on its card."""
    directory = _directory(model)
    gan = load_gan(model)
    is_of_run = (directory / CONFIG).exists()
    return gan, _card(Run.open(directory), gan) if is_of_run else {}


def _card(run, gan):
    """What a run knows of its generator."""
    config, experiment = run.config, run.experiment
    card = {
        "dataset": datasets.public_name(experiment.data.name),
        "contrast_normalization": experiment.data.contrast_normalization,
        "experiment": paths.without(experiment).to_dict(),
        "data": {
            name: value
            for name, value in config.get("data", {}).items()
            if name in ("examples", "content")
        },
        "git_commit": config.get("git_commit"),
        "training_versions": config.get("versions"),
    }
    scores = run.scores or {}
    names = ("rows", "protocol", "protocol_hash")
    # Scores of an earlier step are another model's.
    if scores.get("step") == gan.generator_steps and set(names) <= set(scores):
        card["scores"] = {name: scores[name] for name in names}
    return card


def verify_export(path, progress=None) -> list[str]:
    """Checks a version, or the latest of a base.

    Args:
        path: str or path-like.
        progress: None, or a function of a stage's name, called before each check.

    Returns:
        list of str, the names of the checks that it passed, see `CHECKED`.

    Raises:
        ValueError: no version, or one that a server must not get.
    """
    path = pathlib.Path(path)
    if not (path / "saved_model.pb").is_file():
        path = export.latest(path)
    return list(export.verify(path, progress=progress))
