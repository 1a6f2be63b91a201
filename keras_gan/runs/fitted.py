"""What `GAN.fit` alone has left in a directory, read as a run."""

import pathlib

from keras_gan.experiments.building import load_data, load_held_out
from keras_gan.experiments.model_files import MODEL
from keras_gan.experiments.parts import Data
from keras_gan.runs.run import CONFIG, Run


class FittedRun(Run):
    """A directory with a `gan.keras` that no experiment describes.

    A training by `GAN.fit` and the callbacks `SaveModel`, `MetricsLog` and `SampleGrid`
    leaves one, if they write `gan.keras`, `metrics.jsonl` and `samples/`, as those of a
    run do. It can be read, drawn from and scored, but not resumed.

    Args:
        path: str or path-like, the directory.
        dataset: str, what the model was trained on, see `datasets.load`; None where it
            is not needed.
        data_dir: where `datasets.load` looks.
    """

    def __init__(self, path, dataset: str | None = None, data_dir=None):
        super().__init__(path, None, data_dir)
        self.dataset = dataset

    def __repr__(self):
        return f"<FittedRun {str(self.path)!r}, dataset {self.dataset!r}>"

    @property
    def data_settings(self) -> Data:
        """The `Data` of `dataset`, all of it, in the range of the model.

        Raises:
            ValueError: no dataset, or no such one.
        """
        if self.dataset is None:
            raise ValueError(
                f"Expected the dataset that the model in {self.path} was trained on: "
                "GAN.fit notes none. Received: none; pass its name as dataset"
            )
        return settings_for(self.dataset, self.gan(compile=False).spec)

    def data(self, split=None):
        return load_data(self.data_settings, self.data_dir, split)

    def splits(self):
        train = self.data()
        return train, *load_held_out(self.data_settings, train, self.data_dir)


def settings_for(dataset: str, spec=None) -> Data:
    """Returns the `Data` of a dataset by name, all of it.

    Args:
        dataset: str, see `datasets.load`.
        spec: `SampleSpec` of a generator, whose range the data are to be in; None
            leaves them in their own.
    """
    data = Data(name=dataset)
    changes = {"held_out": 0.0} if data.is_folder else {}
    if spec is not None and spec.contrast_normalized:
        changes["contrast_normalization"] = True
    elif spec is not None and spec.is_image:
        changes["value_range"] = spec.value_range
    return data.model_copy(update=changes)


def open_run(path, dataset: str | None = None, data_dir=None) -> Run:
    """Opens what a training has left: a run, or the directory of a `FittedRun`.

    Args:
        path: str or path-like.
        dataset: str, for a `FittedRun` alone.
        data_dir: see `Run.open`.

    Raises:
        ValueError: neither; see `Run.open`.
    """
    path = pathlib.Path(path)
    if (path / MODEL).is_file() and not (path / CONFIG).exists():
        return FittedRun(path, dataset, data_dir)
    return Run.open(path, data_dir)
