"""A run's directory: what is in it, and drawing from it."""

import json
import pathlib
import zipfile

import keras
import numpy as np
import tensorflow as tf

from keras_gan import evaluation, export, files
from keras_gan.pictures import figures
from keras_gan.samples import CONTRAST_NORMALIZED_RANGE, check_value_range
from keras_gan.pictures import raster
from keras_gan.gan import GAN

CONFIG = "config.json"
METRICS = "metrics.jsonl"
MODEL = "gan.keras"
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
# Everything of a run, which a run that takes its place removes.
CONTENTS = (
    CONFIG, METRICS, MODEL, EVENTS, SAMPLES, REALS, SCORES, BEST_SCORES, EVALUATIONS,
    BEST, MOMENTS, FIGURES, CHECKPOINTS,
)  # fmt: skip


def load_gan(path, compile=True):
    """The `GAN` of a run's directory, or of a `.keras` file.

    Args:
        path: str or path-like.
        compile: bool, whether loss and optimizers are loaded too.

    Raises:
        ValueError: there is no model at `path`, or none that can be read.
    """
    path = pathlib.Path(path)
    file = path / MODEL if path.is_dir() else path
    if not file.is_file():
        raise ValueError(
            f"Expected a run's directory with a {MODEL}, a .keras file or an exported "
            f"generator. Received: {path}, where there is none"
        )
    try:
        gan = keras.saving.load_model(file, compile=compile)
        if not isinstance(gan, GAN):
            raise TypeError(f"it holds a {type(gan).__name__}")
        return gan
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = (
            (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        )
        raise ValueError(
            f"Expected a GAN saved by keras_gan. Received: {file}, which cannot be "
            f"read ({reason})"
        ) from error


def load_generator(path):
    """What `path` draws samples from: a run, a `.keras` file, or an exported generator.

    Returns:
        a `GAN` or an `export.ExportedGenerator`: both have `generate(num_samples,
        seed)`, `value_range`, `sample_shape` and `latent_prior`.

    Raises:
        ValueError: there is none at `path`, or none that can be read.
    """
    path = pathlib.Path(path)
    if not (path / MODEL).exists() and export.is_export(path):
        return export.ExportedGenerator(path)
    return load_gan(path, compile=False)


def load_config(workdir):
    """The dict of a run's `config.json`.

    Raises:
        ValueError: `workdir` is no run's directory, or its file is damaged.
    """
    path = pathlib.Path(workdir) / CONFIG
    try:
        config = json.loads(path.read_text())
        missing = {"preset", "data_dir"} - set(config)
        if missing or "name" not in config["preset"]:
            raise ValueError("it does not describe one")
        return config
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"Expected a directory that scripts/train.py made, with a {CONFIG}. "
            f"Received: {workdir} ({getattr(error, 'strerror', None) or error})"
        ) from error


def load_metrics(workdir):
    """The lines of a run's `metrics.jsonl`: a list of dicts, one for each epoch.

    Raises:
        ValueError: no file, no line, or a damaged one.
    """
    path = pathlib.Path(workdir) / METRICS
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"Expected a run's directory with a {METRICS}. "
            f"Received: {workdir} ({getattr(error, 'strerror', None) or error})"
        ) from error
    if not lines:
        raise ValueError(f"Expected a run of at least one epoch. Received: {path}")
    metrics = []
    for number, line in enumerate(lines, start=1):
        try:
            metrics.append(dict(json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"Expected a line of JSON for each epoch. Received: {path}, whose line "
                f"{number} is damaged"
            ) from error
    return metrics


def rewind(workdir, epochs, steps):
    """Removes what a run wrote after `epochs` epochs and `steps` generator steps.

    Lines of metrics and evaluations, pictures of samples, TensorBoard's events, and
    what was only half written when the run was cut off. (`callbacks.FigureOne` cuts the
    moments by itself.) For who holds the run's lock.
    """
    workdir = pathlib.Path(workdir)
    for directory in (workdir, workdir / SAMPLES, workdir / EVENTS):
        files.clean(directory)
    for name in (METRICS, EVALUATIONS):
        path = workdir / name
        if not path.exists():
            continue
        lines = path.read_text(errors="replace").splitlines(keepends=True)
        kept = [line for line in lines if _epoch_of(line) <= epochs]
        if kept != lines:
            files.write(path, "".join(kept))
    for path in (workdir / SAMPLES).glob("epoch_*.png"):
        number = path.stem.removeprefix("epoch_")
        if number.isdecimal() and int(number) > epochs:
            path.unlink()
    for path in (workdir / EVENTS).glob("*.tfevents.*"):
        if not steps:  # what is drawn of the start will be drawn again
            path.unlink()
            continue
        records, whole = _records(path)
        kept = [
            record
            for record in records
            if tf.compat.v1.Event.FromString(record).step <= steps
        ]
        if not whole or len(kept) < len(records):
            with (
                files.replacing(path) as temporary,
                tf.io.TFRecordWriter(str(temporary)) as writer,
            ):
                for record in kept:
                    writer.write(record)


def _epoch_of(line):
    """The epoch of a line of JSON; infinite, where it is damaged."""
    try:
        return int(json.loads(line)["epoch"]) if line.endswith("\n") else np.inf
    except (ValueError, TypeError, KeyError):
        return np.inf


def _records(path):
    """The records of a file of events up to the first damaged one; if that is all."""
    records = []
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            records.append(record)
    except tf.errors.DataLossError:
        return records, False
    return records, True


def load_sample_pictures(workdir, count=3):
    """Pictures of a run's samples: its first, its last, and some evenly between.

    Args:
        workdir: str or path-like.
        count: int >= 2, how many at most.

    Returns:
        list of (epoch, picture), ints and uint8 `(H, W, 1 or 3)`; empty where the run
        has none.

    Raises:
        ValueError: a damaged picture.
    """
    paths = sorted((pathlib.Path(workdir) / SAMPLES).glob("epoch_*.png"))
    rows = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    pictures = []
    for path in (paths[row] for row in rows):
        try:
            epoch = int(path.stem.removeprefix("epoch_"))
            pictures.append((epoch, raster.decode_png(path.read_bytes())))
        except ValueError as error:
            raise ValueError(
                f"Expected a picture of samples. Received: {path}, which is damaged"
            ) from error
    return pictures


def write_samples(model, output, num_samples, seed):
    """Draws samples from a run or an export and writes them to a file.

    Args:
        model: str or path-like, see `load_generator`.
        output: str or path-like. `.png` gets a grid (a plot, where samples are no
            images); `.npz` gets `samples`, float32 `(num_samples, ...)` in the model's
            own scale, and `value_range`, float32 `(2,)` (empty where there is none).
        num_samples: int >= 1.
        seed: int; the same seed gives the same samples.

    Raises:
        ValueError: another suffix, no model, or `num_samples` below 1.
    """
    output = pathlib.Path(output)
    if output.suffix not in (".png", ".npz"):
        raise ValueError(
            f"Expected an output that ends in .png or .npz. Received: {output}"
        )
    if output.is_dir():
        raise ValueError(f"Expected an output file. Received a directory: {output}")
    gan = load_generator(model)
    samples = gan.generate(num_samples, seed=seed)
    if output.suffix == ".png":
        picture = figures.sample_picture(samples, gan.value_range)
        files.write(output, raster.encode_png(picture))
        return
    with files.replacing(output) as temporary:
        np.savez_compressed(
            temporary,
            samples=samples,
            value_range=np.asarray(gan.value_range or (), np.float32),
        )


def load_samples(path, data):
    """The samples of an `.npz` that `write_samples` wrote, in the range of `data`.

    Args:
        path: str or path-like; the file holds `samples`, real numbers, and, for images,
            `value_range`, which any generator's samples can be stored with: (0, 255)
            for uint8, say.
        data: `Dataset`, what they stand for.

    Returns:
        float32 array `(N, ...)` in `data.value_range`.

    Raises:
        ValueError: no such file, or another content; images without a range, of values
            far outside of it, or contrast normalised where the data are not.
    """

    def refuse(reason):
        return ValueError(
            "Expected an .npz with samples and value_range, as scripts/generate.py "
            f"writes it. Received: {path}{reason}"
        )

    try:
        # What is no .npz NumPy would take for a pickle, and say so.
        if not zipfile.is_zipfile(path):
            raise OSError("no .npz" if pathlib.Path(path).exists() else "no such file")
        with np.load(path, allow_pickle=False) as file:
            samples = file["samples"]
            value_range = file["value_range"].tolist()
    # KeyError, zipfile.BadZipFile, zlib.error, ...: all mean another content.
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise refuse(f" ({str(error).strip(chr(39))})") from error
    if samples.dtype.kind not in "fiu":
        raise refuse(f", with samples of {samples.dtype}")
    samples = samples.astype(np.float32)
    if data.value_range is None:
        return samples
    if value_range in (None, []):
        raise refuse(", without the value_range of its images")
    low, high = check_value_range(value_range)
    if data.value_range != (low, high) == CONTRAST_NORMALIZED_RANGE:
        raise ValueError(
            f"Expected samples that stand for images in {data.value_range}. Received: "
            f"contrast-normalised ones, by the value_range of {path}; score the run "
            "that they are from, by its directory"
        )
    evaluation.check_samples(samples, data.image_shape, (low, high))
    data_low, data_high = data.value_range
    return (samples - low) / (high - low) * (data_high - data_low) + data_low


def export_run(model, base=None, version=None, verify=False):
    """Publishes a run's generator, with what its run knows of it on its card.

    Args:
        model: str or path-like, a run's directory or a `.keras` file in one.
        base: str or path-like, where versions are kept; `export/` in the run.
        version: int >= 1, or None for the next.
        verify: bool, whether it is checked before it is published, see `export.verify`.

    Returns:
        `pathlib.Path` of the version's directory.

    Raises:
        ValueError: no run; see `export.export_generator` and `export.verify`.
    """
    model = pathlib.Path(model)
    workdir = model if model.is_dir() else model.parent
    gan = load_gan(model)
    card = {}
    if (workdir / CONFIG).exists():
        config = load_config(workdir)
        card = {
            "dataset": config["preset"]["dataset"],
            "contrast_normalization": config["preset"]["contrast_normalization"],
            "preset": config["preset"],
            "git_commit": config.get("git_commit"),
            "training_versions": config.get("versions"),
        }
    scores = _scores_of(workdir, gan.generator_steps)
    if scores:
        card["scores"] = scores
    check = verify_export if verify else None
    return gan.export(base or workdir / EXPORT, version, card, check)


def _scores_of(workdir, step):
    """What `scripts/evaluate.py` found of this very model, for its card; or None."""
    try:
        report = json.loads((workdir / SCORES).read_text())
        names = ("rows", "protocol", "protocol_hash")
        return {n: report[n] for n in names} if report["step"] == step else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def verify_export(path):
    """Checks a version, or the latest of a base, and prints what was checked.

    Raises:
        ValueError: no version, or one that a server must not get.
    """
    path = pathlib.Path(path)
    if not (path / "saved_model.pb").is_file():
        path = export.latest(path)
    words = {
        "files": "every file is as its card states",
        "graph": "signatures, dtypes, no state, weights once",
        "python": "loads without keras, matches its goldens",
        "server": "loads by the server's loader, rows do not depend on their batch",
    }
    for name in export.verify(path, progress=lambda name: print(f"{name} ...")):
        print(f"{name:8} {words[name]}")
    print("It can be served.")
