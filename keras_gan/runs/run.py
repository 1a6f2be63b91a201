"""Run: the directory of a training, and the only place that knows its file names."""

import contextlib
import json
import os
import pathlib
import re

from keras_gan import checks, files
from keras_gan.experiments.building import build, load_data, load_held_out
from keras_gan.experiments.experiment import Experiment
from keras_gan.experiments.model_files import MODEL, load_gan
from keras_gan.runs import history, paths, provenance
from keras_gan.version import __version__

# What `config.json` says of itself: by this alone a directory is known as a run.
FORMAT = "keras_gan run 2"

CONFIG = "config.json"
METRICS = "metrics.jsonl"
EVENTS = "events"
SAMPLES = "samples"
REALS = "reals.png"
SCORES = "scores.json"
EXPORT = "export"
BEST_SCORES = "best.scores.json"
EVALUATIONS = "evaluations.jsonl"
BEST = "best.keras"
MOMENTS = "moments.npz"
FIGURES = "figures"
CHECKPOINTS = "checkpoints"
LOCK = ".lock"

# What a training of at least one epoch leaves. Where there is none of it, and no
# checkpoint, nothing is lost when the run starts anew.
_TRAINED = (METRICS, MODEL, BEST, EVALUATIONS, SCORES, BEST_SCORES)
# What a run writes, by its folder and a pattern of names, in the order in which a run
# that takes its place removes it. Checkpoints come first: a kill on the way must not
# leave one to resume from without the files that belong to it. config.json is not
# among them: it is replaced, so that the directory is a run at any time.
_WRITTEN = (
    (CHECKPOINTS, r"step_\d+\.safetensors"),
    ("", "|".join(map(re.escape, (*_TRAINED, MOMENTS, REALS)))),
    (SAMPLES, r"epoch_\d+\.png"),
    (EVENTS, r"events\.out\.tfevents\..*"),
    (FIGURES, r"figure_[123]\.(png|gif)|(classes|curves|health)\.png|training\.gif"),
)
_CONTENTS = (
    CONFIG, *_TRAINED, MOMENTS, REALS, SAMPLES, EVENTS, FIGURES, CHECKPOINTS,
)  # fmt: skip


class Run:
    """A training in a directory: what it is to be, and what it has left so far.

    `Run(path, experiment)` plans a run and touches no file; `train` creates it once
    the data are loaded and the networks built, so that a mistake leaves nothing.
    `Run.create` writes the directory at once, and `Run.open` opens one.

    Args:
        path: str or path-like, the directory.
        experiment: `Experiment`.
        data_dir: where `datasets.load` looks; None for its default.

    Attributes:
        path: `pathlib.Path`.
        experiment: `Experiment`.
        data_dir: str, which means the same from any folder; or None.
    """

    def __init__(self, path, experiment: Experiment, data_dir=None):
        self.path = pathlib.Path(path)
        self.experiment = experiment
        self.data_dir = paths.absolute_place(data_dir)
        self._loaded = {}
        self._trained_on = None

    def __repr__(self):
        return f"<Run {str(self.path)!r}, experiment {self.experiment.name!r}>"

    @classmethod
    def create(cls, path, experiment, data_dir=None, overwrite=False) -> "Run":
        """Writes the directory of a run in which nothing has been trained yet.

        Args:
            path, experiment, data_dir: see the class.
            overwrite: bool, whether a run that is there already is removed.

        Returns:
            `Run`.

        Raises:
            ValueError: a file, a run that is there already, or files that no run of
                this version wrote, which are never removed; a run in use.
            PermissionError: a directory that cannot be written.
        """
        run = cls(path, experiment, data_dir)
        run.check_place()
        run.path.mkdir(parents=True, exist_ok=True)
        with run.lock():
            if run.is_run:
                if not (overwrite or run.is_untouched):
                    raise run.already_there()
                run.clear()
            else:
                run.check_free()
            run.write_config({})
        return run

    @classmethod
    def open(cls, path, data_dir=None) -> "Run":
        """Opens the run in a directory.

        Args:
            path: str or path-like.
            data_dir: where the data are now; None where the run had them.

        Returns:
            `Run`.

        Raises:
            ValueError: `path` is no run, or one that another version wrote.
        """
        config = _read_config(path)
        experiment = Experiment.from_dict(config["experiment"])
        run = cls(path, experiment, data_dir or config.get("data_dir"))
        run._trained_on = config.get("data")
        return run

    # === Places ===

    @property
    def config_path(self) -> pathlib.Path:
        """The file that says what the run is, see `config`."""
        return self.path / CONFIG

    @property
    def model_path(self) -> pathlib.Path:
        """The trained model, as the last epoch that was saved left it."""
        return self.path / MODEL

    @property
    def best_path(self) -> pathlib.Path:
        """The model that scored best in the training's evaluations."""
        return self.path / BEST

    @property
    def metrics_path(self) -> pathlib.Path:
        """The logs, a line of JSON for each epoch."""
        return self.path / METRICS

    @property
    def evaluations_path(self) -> pathlib.Path:
        """The training's evaluations, a line of JSON for each."""
        return self.path / EVALUATIONS

    @property
    def moments_path(self) -> pathlib.Path:
        """What figure 1 is drawn from; of one-dimensional experiments alone."""
        return self.path / MOMENTS

    @property
    def reals_path(self) -> pathlib.Path:
        """A picture of training examples."""
        return self.path / REALS

    @property
    def samples_dir(self) -> pathlib.Path:
        """Pictures of samples, drawn while the run was trained."""
        return self.path / SAMPLES

    @property
    def events_dir(self) -> pathlib.Path:
        """TensorBoard's."""
        return self.path / EVENTS

    @property
    def figures_dir(self) -> pathlib.Path:
        """The figures that `draw_figures` writes."""
        return self.path / FIGURES

    @property
    def checkpoints_dir(self) -> pathlib.Path:
        """The checkpoints that a training resumes from."""
        return self.path / CHECKPOINTS

    def scores_path(self, best=False) -> pathlib.Path:
        """Returns the file of what `evaluate` found of the last or `best` model."""
        return self.path / (BEST_SCORES if best else SCORES)

    # === Content ===

    @property
    def config(self) -> dict:
        """The content of `config.json`.

        Its keys are `format`, `experiment` and `data_dir`; of a training also `data`,
        `initial` (what it took of `train.init_from`, and of which file; None without),
        `execution` (what "auto" came to), `rounding` (what decides the last bits),
        `started`, `resumed`, `versions`, `machine` and `git_commit`.
        """
        return _read_config(self.path)

    def data(self, split=None):
        """Returns the `Dataset` of a split, loaded once; by default the trained one.

        Where a run that was opened was trained on other data of that name, a warning is
        logged.

        Args:
            split: str, or None for the trained one.

        Raises:
            ValueError: see `datasets.load`.
        """
        split = split or self.experiment.data.split
        if split not in self._loaded:
            loaded = load_data(self.experiment.data, self.data_dir, split)
            if split == self.experiment.data.split and self._trained_on:
                provenance.warn_of_other_data(self._trained_on, loaded, self.path)
            self._loaded[split] = loaded
        return self._loaded[split]

    def splits(self):
        """Returns (train, valid, test), see `building.load_held_out`."""
        train = self.data()
        return train, *load_held_out(self.experiment.data, train, self.data_dir)

    def build(self):
        """Returns the compiled `GAN` as it is before its first step."""
        return build(self.experiment, self.data())

    def gan(self, best=False, compile=True):
        """Returns the trained `GAN`, the last or the best.

        Args:
            best: bool, whether it is the one that scored best.
            compile: bool, whether loss and optimizers are loaded too.

        Raises:
            ValueError: no model, or one that cannot be read.
        """
        return load_gan(self.best_path if best else self.path, compile)

    def metrics(self) -> list[dict]:
        """Returns the logs of each epoch, see `callbacks.MetricsLog`.

        Raises:
            ValueError: no epoch, or a damaged line.
        """
        return history.read_metrics(self.metrics_path)

    @property
    def scores(self) -> dict | None:
        """What `evaluate` found last of the run's model; None before, or damaged."""
        try:
            return dict(json.loads(self.scores_path().read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def snapshots(self, count=3):
        """Returns pictures of samples: the first, the last, some evenly between.

        Args:
            count: int >= 2, how many at most.

        Returns:
            list of (epoch, picture), ints and uint8 `(H, W, 1 or 3)`; empty where the
            run has none.

        Raises:
            ValueError: a damaged picture.
        """
        return history.read_pictures(self.samples_dir, count)

    # === The directory's state ===

    @property
    def is_run(self) -> bool:
        """Whether this version of the package made the directory a run."""
        try:
            return _read_config(self.path) is not None
        except ValueError:
            return False

    @property
    def is_untouched(self) -> bool:
        """Whether the directory holds a run's `config.json`, and nothing else of it."""
        return self.contents() == [CONFIG]

    def contents(self) -> list[str]:
        """Returns the names of a run's files and folders that are there."""
        return [name for name in _CONTENTS if os.path.lexists(self.path / name)]

    def trained(self) -> list[str]:
        """Returns the names of what a training has left, but for checkpoints."""
        return [name for name in self.contents() if name in _TRAINED]

    def check_place(self):
        """Raises unless a run could be written here: before the work, not after.

        Raises:
            ValueError: a file.
            PermissionError: the nearest folder that exists cannot be written.
        """
        files.check_output(self.path, directory=True)

    def check_free(self):
        """Raises where a directory that is no run holds files by a run's names.

        Nobody knows who wrote them, so that nothing here ever removes them.

        Raises:
            ValueError: there are some, or keras_gan 0.1 wrote them.
        """
        found = self.contents()
        if not found:
            return
        _refuse_others(self.path)
        raise ValueError(
            f"{self.path} holds {', '.join(found)}, but is not a run that keras_gan "
            "made. Choose another directory."
        )

    def already_there(self, hint="") -> ValueError:
        """Returns the error for a run that is not to be replaced."""
        return ValueError(
            f"{self.path} holds a run already ({', '.join(self.contents())}). "
            f"{hint}Pass overwrite=True to replace it, or choose another directory."
        )

    # === For who writes the run ===

    @contextlib.contextmanager
    def lock(self):
        """Holds the run for this process, in a `with` block.

        Yields:
            the run.

        Raises:
            ValueError: another process holds it.
        """
        with files.locked(self.path / LOCK):
            yield self

    def write_config(self, described):
        """Writes `config.json`, which makes the directory a run.

        Args:
            described: dict, what else the file says, see `config`.
        """
        config = {
            "format": FORMAT,
            "experiment": self.experiment.to_dict(),
            "data_dir": self.data_dir,
            **described,
        }
        files.write(self.config_path, json.dumps(config, indent=2) + "\n")

    def clear(self):
        """Removes what the run in this directory wrote, but for `config.json`.

        Files of other names stay, in the run's folders too. For who holds the lock.

        Raises:
            ValueError: the directory is no run.
        """
        _read_config(self.path)
        for folder, pattern in _WRITTEN:
            directory = self.path / folder
            if not directory.is_dir():
                continue
            files.clean(directory)
            for path in directory.iterdir():
                if re.fullmatch(pattern, path.name) and not path.is_dir():
                    path.unlink()
            if folder and not any(directory.iterdir()) and not directory.is_symlink():
                directory.rmdir()

    def rewind(self, epochs, steps):
        """Removes what the run wrote after so many epochs and generator steps.

        Lines of metrics and evaluations, pictures of samples, TensorBoard's events, and
        what was only half written when the run was cut off. (`callbacks.FigureOne` cuts
        the moments itself.) For who holds the lock.

        Args:
            epochs: int, epochs that stay.
            steps: int, generator steps that stay; where a loss scale has skipped some,
                they are fewer than the epochs' batches.
        """
        for directory in (self.path, self.samples_dir, self.events_dir):
            files.clean(directory)
        for path in (self.metrics_path, self.evaluations_path):
            history.cut_lines(path, epochs)
        history.cut_pictures(self.samples_dir, epochs)
        history.cut_events(self.events_dir, steps)


def _read_config(path):
    """The content of a run's `config.json`.

    Raises:
        ValueError: `path` is no run, another version wrote it, or the file is damaged.
    """
    path = pathlib.Path(path)
    _refuse_others(path)
    try:
        config = json.loads((path / CONFIG).read_text())
        _check_readable(config)
        return config
    except (
        OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        raise ValueError(
            f"Expected the directory of a run, with a {CONFIG}. Received: {path} "
            f"({checks.one_line(error)})"
        ) from error


def _refuse_others(path):
    """Raises ValueError where another version wrote a run that this one cannot read."""
    try:
        config = json.loads((path / CONFIG).read_text())
        is_old = "format" not in config and "name" in config["preset"]
        by = None if is_old else str(config["versions"]["keras_gan"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return
    if is_old:
        raise ValueError(
            f"keras_gan 0.1 wrote the run in {path}, and this version does not read "
            "its settings. Its model still loads and generates samples. Train in "
            "another directory, or use keras_gan 0.1 for anything else."
        )
    if _numbers(by) <= _numbers(__version__):
        return
    try:
        _check_readable(config)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"keras_gan {by} wrote the run in {path}, and this is {__version__}, which "
            f"does not read its settings ({checks.one_line(error)}). Install that "
            "version, or train in another directory."
        ) from error


def _check_readable(config):
    """Raises ValueError, TypeError or KeyError unless this version reads a run."""
    if config.get("format") != FORMAT:
        raise ValueError(f"its format is {config.get('format')!r}, not {FORMAT!r}")
    Experiment.from_dict(config["experiment"])


def _numbers(version):
    """Returns the numbers of a version, in order: (0, 2, 0) of 0.2.0."""
    return tuple(int(number) for number in re.findall(r"\d+", version))
