"""Checkpoints on disk: safetensors files that name their content's SHA-256.

Any reader of safetensors opens them, and nothing in them can run. A tensor is named as
`state.variables` names it. The metadata have one entry, "checkpoint", which is JSON
(one, as the library writes several in random order): `format`, `step`, `metadata`,
`names`, the tensors in the order of `state.variables`, and `sha256`. That digest covers
the other entries, and the names, dtypes, shapes and bytes of all tensors in that order.
"""

import hashlib
import json
import logging
import os
import pathlib
import re
import threading

import numpy as np
import safetensors
import safetensors.numpy
import tensorflow as tf

from keras_gan import checks, files
from keras_gan.runs.checkpoint.state import Checkpoint

_log = logging.getLogger("keras_gan")

_ENTRY = "checkpoint"
_FORMAT = 2
# The files of keras_gan 0.1, in which values went by position.
_OLD_FORMAT = b'"keras_gan checkpoint 1"'
_DTYPES = {
    "BOOL": "bool", "I8": "int8", "U8": "uint8", "I16": "int16", "U16": "uint16",
    "I32": "int32", "U32": "uint32", "I64": "int64", "U64": "uint64",
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip


class DamagedCheckpoint(ValueError):
    """A checkpoint that was cut short or altered."""


class UnsupportedCheckpoint(ValueError):
    """An intact checkpoint that another version of keras_gan wrote."""


def write(path, checkpoint: Checkpoint) -> None:
    """Writes `checkpoint` to `path`: all of it under that name, or nothing.

    Raises:
        OSError: it could not be written, for instance because the disk is full.
    """
    path = pathlib.Path(path)
    # Contiguous, which the library needs and does not check. (NumPy's own
    # `ascontiguousarray` would make vectors of scalars.)
    state = {name: np.asarray(x, order="C") for name, x in checkpoint.state.items()}
    entry = {
        "format": _FORMAT,
        "step": checkpoint.step,
        # As it will be read: JSON makes lists of tuples, and text of all keys.
        "metadata": json.loads(json.dumps(checkpoint.metadata)),
        "names": list(state),
    }
    entry["sha256"] = _digest(entry, state)
    # By `save` and a write of our own: the library's `save_file` writes to a temporary
    # file of its own, which a kill would leave behind, makes it unreadable to others
    # and hides the system's errors. `save` holds the GIL for one copy of the state.
    content = safetensors.numpy.save(state, {_ENTRY: json.dumps(entry)})
    files.write(path, content)
    # So that its name is on disk before those of older ones are removed.
    files.sync_folder(path.parent)


def read(path) -> Checkpoint:
    """Returns the checkpoint that the file `path` holds.

    Raises:
        DamagedCheckpoint: it was cut short or altered, or is no checkpoint.
        UnsupportedCheckpoint: another version of keras_gan wrote it.
        OSError: the file could not be read.
    """
    path = pathlib.Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise OSError(
            error.errno,
            f"The checkpoint {path} cannot be read ({error.strerror}). Nothing was "
            "changed; make it readable, or move it away.",
        ) from error
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    if _OLD_FORMAT in header:
        raise UnsupportedCheckpoint(
            f"The checkpoint {path} was written by keras_gan 0.1. Finish its training "
            "with that version, or start a new one from its gan.keras."
        )
    try:
        # It checks the header and that the tensors fill the file without a gap.
        tensors = dict(safetensors.deserialize(content))
        entry = json.loads(json.loads(header)["__metadata__"][_ENTRY])
        state = {name: _array(tensors.pop(name)) for name in entry["names"]}
        if tensors or entry.pop("sha256") != _digest(entry, state):
            raise ValueError("its content does not have the SHA-256 that it states")
        version, step, metadata = (
            entry[name] for name in ("format", "step", "metadata")
        )
    except (
        safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError,
        RecursionError,
    ) as error:  # fmt: skip
        raise DamagedCheckpoint(
            f"The checkpoint {path} is damaged: {checks.one_line(error)}"
        ) from error
    if version != _FORMAT:
        raise UnsupportedCheckpoint(
            f"The checkpoint {path} has format {version}. This version of keras_gan "
            f"reads format {_FORMAT}: resume with the version that wrote it."
        )
    return Checkpoint(step, state, metadata, path)


def paths(directory) -> list[pathlib.Path]:
    """Returns the checkpoints in `directory`, newest first, damaged ones too.

    Raises:
        OSError: the directory is there and could not be read.
    """
    try:
        # Not by `Path.glob`, to which a folder that may not be read is empty.
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = {}
    for name in names:
        if match := re.fullmatch(r"step_(\d+)\.safetensors", name):
            found[pathlib.Path(directory, name)] = int(match[1])
    return sorted(found, key=found.get, reverse=True)


def newest(directory) -> Checkpoint | None:
    """Returns the newest valid checkpoint in `directory`; None where there is none.

    Each damaged one on the way is a warning of the logger "keras_gan". A checkpoint
    that is merely unreadable, or of another version, ends the search instead: what
    comes before it is not the newest, and must not be taken for it.

    Raises:
        UnsupportedCheckpoint: another version of keras_gan wrote the newest.
        OSError: the newest, or the directory, could not be read.
    """
    for path in paths(directory):
        try:
            return read(path)
        except DamagedCheckpoint as error:
            _log.warning("%s. The checkpoint before it is used.", error)
        except FileNotFoundError:
            continue  # its writer has just removed it: there is a newer one
    return None


def _array(tensor):
    """Returns the array of a tensor as the library gives it."""
    # By TensorFlow, which knows bfloat16 as NumPy does not.
    dtype = tf.as_dtype(_DTYPES[tensor["dtype"]]).as_numpy_dtype
    return np.frombuffer(tensor["data"], dtype).reshape(tensor["shape"])


def _digest(entry, state):
    """Returns the SHA-256 of a checkpoint's metadata and arrays, in hexadecimal."""
    tensors = [[name, x.dtype.name, list(x.shape)] for name, x in state.items()]
    text = json.dumps([entry, tensors], sort_keys=True)
    digest = hashlib.sha256(text.encode())
    for value in state.values():
        digest.update(value.reshape(-1).view(np.uint8))
    return digest.hexdigest()


class Writer:
    """Writes checkpoints on a background thread, one at a time; keeps the newest.

    A write that fails is a warning of the logger "keras_gan": the training continues,
    and the checkpoints before it stay.

    Args:
        directory: str or path-like, gets `step_000001234.safetensors` and so on.
        keep: int >= 1, how many stay.
        logs: paths of files that the training appends to: they are flushed to disk
            before a checkpoint that is later than their lines.

    Attributes:
        step: int, of the last checkpoint that was written; None before.

    Raises:
        ValueError: `keep` is not a positive int.
    """

    def __init__(self, directory, keep: int = 2, logs=()):
        self.directory = pathlib.Path(directory)
        self.keep = checks.count("keep", keep)
        self.logs = [pathlib.Path(path) for path in logs]
        self.step = None
        self._thread = None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._thread is not None and self._thread.is_alive()

    def submit(self, checkpoint: Checkpoint) -> None:
        """Starts to write `checkpoint`, after the one before it is done."""
        self.wait()
        # No daemon: Python waits for it before it ends.
        self._thread = threading.Thread(target=self._write, args=(checkpoint,))
        self._thread.start()

    def wait(self) -> None:
        """Returns when nothing is being written any more."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _write(self, checkpoint):
        path = self.directory / f"step_{checkpoint.step:09}.safetensors"
        try:
            for log in self.logs:
                if log.exists():
                    with open(log) as file:
                        os.fsync(file.fileno())
            write(path, checkpoint)
            self.step = checkpoint.step
            # A later one belongs to another training, and may be all that it has.
            ours = [old for old in paths(self.directory) if old.name <= path.name]
            for old in ours[self.keep :]:
                old.unlink(missing_ok=True)
        except Exception as error:  # whatever it is, the training is worth more
            last = "none" if self.step is None else f"that of step {self.step}"
            _log.warning(
                "The checkpoint %s was not written (%s). The training continues; its "
                "last checkpoint is %s.",
                path,
                checks.one_line(error),
                last,
            )
