"""What is scored: a run, an exported generator, or samples that are there already."""

import dataclasses
import functools
import pathlib
from typing import Any

from keras_gan import checks, export
from keras_gan.experiments.building import load_data, load_held_out
from keras_gan.experiments.experiment import sized_as
from keras_gan.experiments.model_files import MODEL, load_gan
from keras_gan.experiments.parts import Data
from keras_gan.runs import fitted, provenance, sample_folder
from keras_gan.runs.generating import load_samples
from keras_gan.runs.run import BEST, CONFIG, Run

# Settings of `Data` that say how folders which a scoring names are read.
FOLDER_SETTINGS = ("background", "skip_broken")
_DEFAULTS = {name: Data.model_fields[name].default for name in FOLDER_SETTINGS}


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is scored.

    Attributes:
        model: `pathlib.Path`, as it was given.
        data: `Data`, what its samples stand for.
        data_dir: where `datasets.load` looks.
        output: path of the JSON by default; None writes none.
        generator: what draws samples; None where they are there already.
        load_samples: a function of the training data, and of how many are needed or
            None, that loads samples, maybe more; None where there is a generator.
        trained_on: dict of an export's card, see `provenance.describe_data`, or None.
        gan: `GAN`; None for an export or a file.
        run: `Run` that the GAN is from, or None.
        folder_settings: dict of the `FOLDER_SETTINGS` that the folders of images were
            read with; empty where there is none.
    """

    model: pathlib.Path
    data: Data
    data_dir: Any
    output: pathlib.Path | None = None
    generator: Any = None
    load_samples: Any = None
    trained_on: dict | None = None
    gan: Any = None
    run: Run | None = None
    folder_settings: dict = dataclasses.field(default_factory=dict)

    def splits(self):
        """Returns (train, valid, test), see `building.load_held_out`.

        Where they are not what the generator was trained on, a warning is logged.
        """
        if self.run is not None:
            return self.run.splits()
        train = load_data(self.data, self.data_dir)
        if self.trained_on:
            provenance.warn_of_other_data(self.trained_on, train, self.model)
        return train, *load_held_out(self.data, train, self.data_dir)


def subject_of(model, dataset=None, data_dir=None, folder_settings=None) -> Subject:
    """Finds out what `model` is, and what its samples stand for.

    Args:
        model, dataset, data_dir, folder_settings: see `scoring.evaluate`.

    Raises:
        ValueError: no model, or one whose dataset nobody names; settings of folders
            where none is named.
    """
    settings = _checked_settings(folder_settings, model, dataset)
    subject = _subject_of(model, dataset, data_dir, settings)
    used = {}
    if subject.data.is_folder:
        used = {name: getattr(subject.data, name) for name in FOLDER_SETTINGS}
    elif sample_folder.is_folder(model):
        used = {**_DEFAULTS, **settings}
    return dataclasses.replace(subject, folder_settings=used)


def _checked_settings(settings, model, dataset):
    """Returns a copy of settings of folders, of which at least one is named."""
    settings = dict(settings or {})
    for name in settings:
        checks.one_of("folder_settings", name, FOLDER_SETTINGS)
    if not settings:
        return settings
    folders = [x for x in (model, dataset) if x and sample_folder.is_folder(x)]
    if not folders:
        raise ValueError(
            f"Expected a folder of images as model or dataset for "
            f"{', '.join(settings)}. Received: {model} and dataset={dataset}; name "
            "folder:PATH, or leave them out"
        )
    # Their values, as a training checks them.
    data = Data(name=str(folders[0]), **settings)
    return {name: getattr(data, name) for name in settings}


def _with(data, settings):
    """Returns `Data` with settings of a folder, if it is one."""
    return data.model_copy(update=settings) if data.is_folder else data


def _subject_of(model, dataset, data_dir, settings):
    """The `Subject` of a model, whose `folder_settings` are still to be noted."""
    is_folder = sample_folder.is_folder(model)
    if is_folder or str(model).endswith(".npz"):
        if dataset is None:
            raise ValueError(
                f"Expected the dataset that {model} stands for. Received: none; pass "
                "its name as dataset"
            )
        data = _with(fitted.settings_for(dataset), settings)
        path = pathlib.Path(model)
        if not is_folder:
            return Subject(
                path,
                data,
                data_dir,
                output=path.with_suffix(".scores.json"),
                load_samples=functools.partial(load_samples, path),
            )
        return Subject(
            path,
            data,
            data_dir,
            load_samples=lambda train, num_samples=None: sample_folder.load_folder(
                model, data, train, data_dir, settings
            ),
        )
    model = pathlib.Path(model)
    if not (model / MODEL).exists() and export.is_export(model):
        return _exported(model, dataset, data_dir, settings)
    file = model if model.suffix == ".keras" else model / MODEL
    if file.is_file() and not (file.parent / CONFIG).exists():
        return _fitted(model, file, dataset, data_dir, settings)
    return _of_run(model, file, dataset, data_dir, settings)


def _of_run(model, file, dataset, data_dir, settings):
    """The `Subject` of a run, or of its best model."""
    run = Run.open(file.parent, data_dir)
    trained_on = run.experiment.data
    if dataset not in (None, trained_on.name):
        if not (trained_on.is_folder and Data(name=dataset).is_folder):
            raise ValueError(
                f"Expected no dataset, or the run's {trained_on.name!r}. "
                f"Received: {dataset!r}"
            )
    if dataset is not None and trained_on.is_folder:
        # Where the folder is now.
        replaced = {"name": dataset, **settings}
        run.experiment = run.experiment.with_settings(
            {f"data.{name}": value for name, value in replaced.items()}
        )
    gan = load_gan(model)
    return Subject(
        model,
        run.experiment.data,
        run.data_dir,
        output=run.scores_path(best=model.name == BEST),
        generator=gan,
        gan=gan,
        run=run,
    )


def _fitted(model, file, dataset, data_dir, settings):
    """The `Subject` of a model that `GAN.fit` alone has trained."""
    run = fitted.FittedRun(file.parent, dataset, data_dir)
    gan = load_gan(file)
    return Subject(
        model,
        _with(run.data_settings, settings),
        data_dir,
        output=file.with_suffix(".scores.json"),
        generator=gan,
        gan=gan,
    )


def _exported(model, dataset, data_dir, settings):
    """The `Subject` of an exported generator, whose card says what it was for."""
    generator = export.ExportedGenerator(model)
    card = generator.card
    name = dataset or card.get("dataset")
    # Where a folder was is on no card: another one of that name may be here.
    if name is None or (dataset is None and Data(name=name).is_folder):
        raise ValueError(
            f"Expected the dataset that {model} stands for: its card names "
            f"{name or 'none'}. Received: none; pass its name as dataset"
        )
    trained = card.get("experiment", {}).get("data", {})
    trained_name = trained.get("name", "")
    data = fitted.settings_for(name, generator.spec)
    # Else of `GAN.fit` alone, or of an older version: all of the data.
    if trained_name == name or (data.is_folder and Data(name=trained_name).is_folder):
        # A folder may have another name here.
        data = Data(**{**trained, "name": sized_as(trained_name, name)})
    return Subject(
        model,
        _with(data, settings),
        data_dir,
        generator=generator,
        trained_on=card.get("data"),
    )
