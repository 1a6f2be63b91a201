"""What a training writes as it goes: lines of JSON, pictures, TensorBoard's events."""

import json
import math
import pathlib

import numpy as np
import tensorflow as tf

from keras_gan import checks, files
from keras_gan.pictures import formats

# === Lines of JSON, one for each epoch or evaluation ===


def without_nan(content):
    """Returns what JSON can hold, of dicts, lists and scalars: None for NaN, inf."""
    if isinstance(content, dict):
        return {name: without_nan(value) for name, value in content.items()}
    if isinstance(content, list):
        return [without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def append_line(path, line: dict):
    """Appends a line of JSON; a number that is not finite is null in it."""
    with open(path, "a") as file:
        file.write(json.dumps(without_nan(line)) + "\n")


def read_metrics(path) -> list[dict]:
    """Returns the lines of a `metrics.jsonl`, one dict for each epoch.

    A null is NaN: what was logged there was not finite.

    Raises:
        ValueError: no file, no line, or a damaged one.
    """
    path = pathlib.Path(path)
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"Expected a run's directory with a {path.name}. "
            f"Received: {path.parent} ({checks.one_line(error)})"
        ) from error
    if not lines:
        raise ValueError(f"Expected a run of at least one epoch. Received: {path}")
    metrics = []
    for number, line in enumerate(lines, start=1):
        try:
            logs = dict(json.loads(line)).items()
            metrics.append({n: math.nan if x is None else x for n, x in logs})
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"Expected a line of JSON for each epoch. Received: {path}, whose line "
                f"{number} is damaged"
            ) from error
    return metrics


def cut_lines(path, epochs):
    """Removes the lines of later epochs than `epochs`, and damaged ones."""
    path = pathlib.Path(path)
    if not path.exists():
        return
    lines = path.read_text(errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if _epoch_of(line) <= epochs]
    if kept != lines:
        files.write(path, "".join(kept))


def _epoch_of(line):
    """The epoch of a line of JSON; infinite where the line is damaged."""
    try:
        return int(json.loads(line)["epoch"]) if line.endswith("\n") else math.inf
    except (ValueError, TypeError, KeyError):
        return math.inf


# === Pictures of samples, epoch_00012.png ===


def _epoch_of_picture(path):
    number = path.stem.removeprefix("epoch_")
    return int(number) if number.isdecimal() else None


def read_pictures(directory, count):
    """Returns the first picture, the last, and some evenly between.

    Args:
        directory: str or path-like.
        count: int >= 2, how many at most.

    Returns:
        list of (epoch, picture), ints and uint8 `(H, W, 1 or 3)`.

    Raises:
        ValueError: a damaged picture.
    """
    paths = sorted(pathlib.Path(directory).glob("epoch_*.png"))
    rows = np.linspace(0, len(paths) - 1, min(count, len(paths))).round().astype(int)
    pictures = []
    for path in (paths[row] for row in rows):
        try:
            epoch = int(path.stem.removeprefix("epoch_"))
            pictures.append((epoch, formats.decode_png(path.read_bytes())))
        except ValueError as error:
            raise ValueError(
                f"Expected a picture of samples. Received: {path}, which is damaged"
            ) from error
    return pictures


def cut_pictures(directory, epochs):
    """Removes the pictures of later epochs than `epochs`."""
    for path in pathlib.Path(directory).glob("epoch_*.png"):
        epoch = _epoch_of_picture(path)
        if epoch is not None and epoch > epochs:
            path.unlink()


# === TensorBoard's events ===


def cut_events(directory, steps):
    """Removes the events of later steps than `steps`, and damaged ones.

    At step 0 it removes all: what was drawn of the start will be drawn again.
    """
    for path in pathlib.Path(directory).glob("*.tfevents.*"):
        if not steps:
            path.unlink()
            continue
        records, is_intact = _read_records(path)
        kept = [
            record
            for record in records
            if tf.compat.v1.Event.FromString(record).step <= steps
        ]
        if not is_intact or len(kept) < len(records):
            with (
                files.replacing(path) as temporary,
                tf.io.TFRecordWriter(str(temporary)) as writer,
            ):
                for record in kept:
                    writer.write(record)


def _read_records(path):
    """(the records up to the first damaged one, whether those are all)."""
    records = []
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            records.append(record)
    except tf.errors.DataLossError:
        return records, False
    return records, True
