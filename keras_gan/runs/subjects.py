"""What is scored: a run, an exported generator, or samples that are there already."""

import dataclasses
import functools
import pathlib
from typing import Any

from keras_gan import datasets, export
from keras_gan.experiments.building import load_data, load_held_out
from keras_gan.experiments.model_files import MODEL, load_gan
from keras_gan.experiments.parts import Data
from keras_gan.runs import fitted, provenance, sample_folder
from keras_gan.runs.generating import load_samples
from keras_gan.runs.run import BEST, CONFIG, Run


@dataclasses.dataclass(frozen=True)
class Subject:
    """What is scored.

    Attributes:
        model: `pathlib.Path`, as it was given.
        data: `Data`, what its samples stand for.
        data_dir: where `datasets.load` looks.
        output: path of the JSON by default; None writes none.
        generator: what draws samples; None where they are there already.
        load_samples: a function of the training data that loads samples; None where
            there is a generator.
        trained_on: dict of an export's card, see `provenance.describe_data`, or None.
        gan: `GAN`; None for an export or a file.
        run: `Run` that the GAN is from, or None.
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


def subject_of(model, dataset=None, data_dir=None) -> Subject:
    """Finds out what `model` is, and what its samples stand for.

    Args:
        model, dataset, data_dir: see `scoring.evaluate`.

    Raises:
        ValueError: no model, or one whose dataset nobody names.
    """
    is_folder = sample_folder.is_folder(model)
    if is_folder or str(model).endswith(".npz"):
        if dataset is None:
            raise ValueError(
                f"Expected the dataset that {model} stands for. Received: none; pass "
                "its name as dataset"
            )
        data = fitted.settings_for(dataset)
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
            load_samples=lambda train: sample_folder.load_folder(
                model, data, train, data_dir
            ),
        )
    model = pathlib.Path(model)
    if not (model / MODEL).exists() and export.is_export(model):
        return _exported(model, dataset, data_dir)
    file = model if model.suffix == ".keras" else model / MODEL
    if file.is_file() and not (file.parent / CONFIG).exists():
        return _fitted(model, file, dataset, data_dir)
    run = Run.open(file.parent, data_dir)
    trained_on = run.experiment.data
    if dataset not in (None, trained_on.name):
        if not (trained_on.is_folder and Data(name=dataset).is_folder):
            raise ValueError(
                f"Expected no dataset, or the run's {trained_on.name!r}. "
                f"Received: {dataset!r}"
            )
        # Where the folder is now.
        run.experiment = run.experiment.with_settings({"data.name": dataset})
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


def _fitted(model, file, dataset, data_dir):
    """The `Subject` of a model that `GAN.fit` alone has trained."""
    run = fitted.FittedRun(file.parent, dataset, data_dir)
    gan = load_gan(file)
    return Subject(
        model,
        run.data_settings,
        data_dir,
        output=file.with_suffix(".scores.json"),
        generator=gan,
        gan=gan,
    )


def _exported(model, dataset, data_dir):
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
    # Of `GAN.fit` alone, or of an older version: all of the data.
    data = fitted.settings_for(name).model_copy(
        update={"contrast_normalization": card.get("contrast_normalization", False)}
    )
    trained = card.get("experiment", {}).get("data", {})
    if trained.get("name") in (name, datasets.public_name(name)):
        data = Data(**{**trained, "name": name})
    return Subject(
        model,
        data,
        data_dir,
        generator=generator,
        trained_on=card.get("data"),
    )
