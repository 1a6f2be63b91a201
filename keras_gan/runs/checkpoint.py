"""Checkpoints: a training that was cut off goes on as if it had not been.

A checkpoint holds every variable that a training step reads or writes: the weights of
both networks and of their average, both optimizers' slots, counters and loss scales,
the states of all random generators, the running means of the logs; and the step, which
decides the position in the data (`Dataset.batches`). N steps, a kill, and M steps in a
new process are N + M steps, to the last bit where the operations themselves are
repeatable, as they are on CPUs.

The file is laid out as safetensors are (8 bytes of length, a JSON header, the values),
so that nothing in it can run, and any reader of that format opens it. Its header holds
a SHA-256 of all the rest.
"""

import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
import re
import signal
import sys
import threading
import time

import keras
import numpy as np
import tensorflow as tf

from keras_gan import files
from keras_gan import replicas

_DTYPES = {
    "bool": "BOOL", "int8": "I8", "uint8": "U8", "int16": "I16", "uint16": "U16",
    "int32": "I32", "uint32": "U32", "int64": "I64", "uint64": "U64",
    "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
}  # fmt: skip
_NUMPY = {name: tf.as_dtype(kind).as_numpy_dtype for kind, name in _DTYPES.items()}
_FORMAT = "keras_gan checkpoint 1"
# The digest comes first, so that its place is known; it counts as zeros in itself.
_PREFIX = b'{"__metadata__": {"sha256": "'
_NO_DIGEST = b"0" * 64


class DamagedCheckpoint(ValueError):
    """A checkpoint that was cut short or altered."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The state of a training after `step` batches.

    Attributes:
        step: int, batches since the start, over all epochs.
        values: list of arrays, in the order of `variables`.
        about: dict of what else the writer had to say, as JSON can hold.
        path: `pathlib.Path` that it was read from, or None.
    """

    step: int
    values: list
    about: dict
    path: pathlib.Path | None = None


def variables(gan):
    """Every variable that a training of the compiled `gan` reads or writes, once each.

    Two GANs that were built alike list theirs alike.
    """
    listed = [
        *gan.variables,
        *gan.discriminator_optimizer.variables,
        *gan.generator_optimizer.variables,
        *_log_variables(gan),
    ]
    return list({id(variable): variable for variable in listed}.values())


def snapshot(gan, step, about=None):
    """The `Checkpoint` of `gan` now, after `step` batches; a copy of all values."""
    values = [keras.ops.convert_to_numpy(variable) for variable in variables(gan)]
    return Checkpoint(step, values, dict(about or {}))


def restore(gan, checkpoint):
    """Gives `gan`, built and compiled alike, the state of `checkpoint`.

    Raises:
        ValueError: variables of another number, shape or dtype; nothing is changed.
    """
    into = variables(gan)
    expected = [f"{variable.dtype} {tuple(variable.shape)}" for variable in into]
    received = [f"{value.dtype} {value.shape}" for value in checkpoint.values]
    pairs = itertools.zip_longest(expected, received, fillvalue="none")
    for number, (ours, theirs) in enumerate(pairs):
        if ours != theirs:
            path = f" ({into[number].path})" if number < len(into) else ""
            raise ValueError(
                "Expected a checkpoint of the same networks and optimizers, whose "
                f"variable {number}{path} is {ours}. Received: {theirs}, in "
                f"{checkpoint.path or 'the checkpoint'}"
            )
    for variable, value in zip(into, checkpoint.values, strict=True):
        variable.assign(value)


def _log_variables(gan):
    return [variable for metric in gan.metrics for variable in metric.variables]


# === Files ===


def write(path, checkpoint):
    """Writes `checkpoint` to `path`: all of it under that name, or nothing.

    Raises:
        OSError: it could not be written, on a full disk say.
    """
    header = {
        "__metadata__": {
            "sha256": _NO_DIGEST.decode(),
            "format": _FORMAT,
            "step": str(checkpoint.step),
            "about": json.dumps(checkpoint.about),
        }
    }
    end = 0
    for number, value in enumerate(checkpoint.values):
        begin, end = end, end + value.nbytes
        header[f"{number:05}"] = {
            "dtype": _DTYPES[value.dtype.name],
            "shape": value.shape,
            "data_offsets": [begin, end],
        }
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    parts = [np.reshape(value, -1).view(np.uint8) for value in checkpoint.values]
    digest = _digest([header, *parts])
    header = _PREFIX + digest + header[len(_PREFIX) + len(digest) :]
    path = pathlib.Path(path)
    with files.replacing(path) as temporary, open(temporary, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for part in parts:
            file.write(part)
    _sync_folder(path.parent)


def read(path):
    """The `Checkpoint` in the file `path`.

    Raises:
        DamagedCheckpoint: it was cut short or altered, or is no checkpoint.
        OSError: it could not be read.
    """
    path = pathlib.Path(path)
    content = path.read_bytes()
    try:
        begin = 8 + int.from_bytes(content[:8], "little")
        header = content[8:begin]
        place = slice(len(_PREFIX), len(_PREFIX) + len(_NO_DIGEST))
        if len(header) != begin - 8 or not header.startswith(_PREFIX):
            raise ValueError("it does not start as one")
        blank = header[: place.start] + _NO_DIGEST + header[place.stop :]
        values = memoryview(content)[begin:]
        if _digest([blank, values]) != header[place]:
            raise ValueError("its content does not have the SHA-256 that it states")
        tensors = json.loads(header)
        metadata = tensors.pop("__metadata__")
        if metadata["format"] != _FORMAT:
            raise ValueError(f"its format is {metadata['format']!r}, not {_FORMAT!r}")
        arrays = []
        for name in sorted(tensors):
            first, last = tensors[name]["data_offsets"]
            array = np.frombuffer(values[first:last], _NUMPY[tensors[name]["dtype"]])
            arrays.append(array.reshape(tensors[name]["shape"]))
        about = json.loads(metadata["about"])
        return Checkpoint(int(metadata["step"]), arrays, about, path)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCheckpoint(
            f"Expected a whole checkpoint. Received: {path} ({error})"
        ) from error


def _digest(parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode()


def _sync_folder(folder):
    """So that a rename outlives a power cut, before what it replaces is removed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def paths(directory):
    """The checkpoints in `directory`, newest first, damaged ones too."""
    found = {}
    for path in pathlib.Path(directory).glob("step_*.safetensors"):
        if match := re.fullmatch(r"step_(\d+)\.safetensors", path.name):
            found[path] = int(match[1])
    return sorted(found, key=found.get, reverse=True)


def newest(directory):
    """The newest whole `Checkpoint` in `directory`, or None where there is none.

    Each damaged one on the way is a line on stderr.
    """
    for path in paths(directory):
        try:
            return read(path)
        except (DamagedCheckpoint, OSError) as error:
            _warn(f"{' '.join(str(error).split())}; the one before it counts")
    return None


def _warn(message):
    print(f"warning: {message}", file=sys.stderr, flush=True)


class Writer:
    """Writes checkpoints on a thread of its own, one at a time, and keeps the newest.

    A write that fails is a line on stderr; the training goes on, and what was there
    stays.

    Args:
        directory: str or path-like, gets `step_000001234.safetensors` and so on.
        keep: int >= 1, how many stay.
        logs: paths of files that are appended to as the training goes: they reach the
            disk before a checkpoint that is later than their lines.

    Attributes:
        step: int, of the last checkpoint that was written; None before.
    """

    def __init__(self, directory, keep=2, logs=()):
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise ValueError(f"Expected `keep` to be an int >= 1. Received: {keep!r}")
        self.directory = pathlib.Path(directory)
        self.keep = keep
        self.logs = [pathlib.Path(path) for path in logs]
        self.step = None
        self._thread = None

    @property
    def busy(self):
        return self._thread is not None and self._thread.is_alive()

    def submit(self, checkpoint):
        """Starts to write `checkpoint`, after the one before it is done."""
        self.wait()
        # No daemon: Python waits for it before it ends.
        self._thread = threading.Thread(target=self._write, args=(checkpoint,))
        self._thread.start()

    def wait(self):
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
            # A later one is not this training's: it may be all that another has.
            ours = [old for old in paths(self.directory) if old.name <= path.name]
            for old in ours[self.keep :]:
                old.unlink(missing_ok=True)
        except Exception as error:  # no reason to lose a training by
            reason = getattr(error, "strerror", None) or str(error) or repr(error)
            there = "none" if self.step is None else f"that of step {self.step}"
            _warn(
                f"{path} was not written ({' '.join(reason.split())}); the training "
                f"goes on, its last checkpoint is {there}"
            )


# === Training from a checkpoint ===


def fit(
    gan,
    data,
    batch_size,
    seed,
    epochs,
    start=None,
    callbacks=(),
    verbose="auto",
    steps_per_execution=None,
):
    """`gan.fit` on `data` from any step on, as if it had never been interrupted.

    Every batch is that of its step, epochs end where they would have ended, and the
    means over an epoch that was interrupted are over the whole of it. Callbacks see one
    training, whose first epoch may begin with a later batch than its first.

    Args:
        gan: compiled `GAN`; with `start`, restored from it (`restore`).
        data: `Dataset`.
        batch_size: int, examples in a batch: k * m.
        seed: int, of the order of the data.
        epochs: int, counted from the training's very start.
        start: `Checkpoint` to go on from; None for the start.
        callbacks: list of Keras callbacks.
        verbose: as in `keras.Model.fit`.
        steps_per_execution: int, as in `keras.Model.compile` but for this training
            only; None leaves it as the GAN was compiled.

    Returns:
        Keras's `History`, of the epochs that ended here.

    Raises:
        ValueError: several steps in one execution on several replicas.
    """
    together = steps_per_execution or gan.steps_per_execution
    replicas.check_steps_per_execution(gan.distribute_strategy, together)
    steps = data.steps_per_epoch(batch_size)
    training = _Training(gan, start, steps, epochs, callbacks, verbose)
    options = {"callbacks": training, "shuffle": False, "verbose": verbose}

    def fit_epochs(first_batch, initial_epoch, epochs):
        count = steps - first_batch
        # An execution of several steps does not see an epoch's end in a stream without
        # one: there it has to come out even.
        endless = count % gan.steps_per_execution == 0
        batches = data.batches(batch_size, seed, lambda: training.step, endless)
        return gan.fit(
            batches if endless else batches.take(count),
            steps_per_epoch=count if endless else None,
            initial_epoch=initial_epoch,
            epochs=epochs,
            **options,
        )

    epoch, batch = divmod(training.step, steps)
    with _executing(gan, together):
        if batch and epoch < epochs:
            # An epoch of its own: Keras takes all epochs of a call to be equally long.
            training.first_batch = batch
            fit_epochs(batch, epoch, epoch + 1)
            training.first_batch = 0
            epoch += 1
            if gan.stop_training:
                epoch = epochs
        training.last_call = True
        return fit_epochs(0, epoch, epochs)


@contextlib.contextmanager
def _executing(gan, steps):
    """`gan` makes so many steps at once; what is saved of it says what it did."""
    before = gan.steps_per_execution
    if steps == before:
        yield
        return
    # The step that is traced for one number is not that for another.
    gan.steps_per_execution, gan.train_function = steps, None
    try:
        yield
    finally:
        gan.steps_per_execution, gan.train_function = before, None


class _Training(keras.callbacks.CallbackList):
    """Callbacks to which two calls of `fit` are one training, from any batch on.

    Attributes:
        step: int, batches done. The data ask for it whenever an iteration starts, which
            under a strategy happens once before the first epoch too.
        first_batch: int, batches that this epoch had before this call.
        last_call: bool, whether the training ends with this call.
    """

    def __init__(self, gan, start, steps, epochs, callbacks, verbose):
        super().__init__(
            list(callbacks),
            add_history=True,
            add_progbar=verbose != 0,
            model=gan,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )
        self.step = start.step if start else 0
        self.first_batch = 0
        self.last_call = False
        self._steps = steps
        self._begun = False
        self._logs = []
        if start:
            values = {
                id(variable): value
                for variable, value in zip(variables(gan), start.values, strict=True)
            }
            self._logs = [(log, values[id(log)]) for log in _log_variables(gan)]

    def on_train_begin(self, logs=None):
        if not self._begun:
            self._begun = True
            super().on_train_begin(logs)

    def on_train_end(self, logs=None):
        if self.last_call:
            super().on_train_end(logs)

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch
        if self.first_batch:
            # `fit` has just reset them.
            for variable, value in self._logs:
                variable.assign(value)
        super().on_epoch_begin(epoch, logs)

    def on_train_batch_begin(self, batch, logs=None):
        super().on_train_batch_begin(batch + self.first_batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        # Several steps in one execution may end beyond the epoch.
        batch = min(batch + self.first_batch, self._steps - 1)
        self.step = self._epoch * self._steps + batch + 1
        super().on_train_batch_end(batch, logs)


class StopRequest:
    """Notes SIGINT (Ctrl-C) and SIGTERM, for a training to act on when Python can.

    That is between two steps, or two executions of several.

    As a context it takes their place; in another thread than the main one, where Python
    allows none of this, it does nothing. What comes after the first is ignored, so that
    a second Ctrl-C does not cut the saving short; only where the training has not come
    to an end of a step within `PATIENCE` seconds, a further Ctrl-C interrupts it there.

    Attributes:
        signal: the first that came, or None.
        saving: bool, set by who acts on it.
    """

    PATIENCE = 10.0

    def __init__(self):
        self.signal = None
        self.saving = False
        self._handlers = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # What a shell has told to ignore stays ignored.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _note(self, number, frame):
        now = time.monotonic()
        if self.signal is None:
            self.signal, self._since = signal.Signals(number), now
            # Not by print, which may be what was interrupted.
            os.write(2, b"\nStopping after this step ...\n")
        elif (
            number == signal.SIGINT
            and not self.saving
            and now - self._since > self.PATIENCE
        ):
            raise KeyboardInterrupt

    def stop(self):
        """Ends the training, the state being saved, as the signal asks for.

        Raises:
            KeyboardInterrupt: after SIGINT.
            SystemExit: 143, after SIGTERM.
        """
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + signal.SIGTERM)
