"""Saves a GAN while it trains: its model, and checkpoints to resume from."""

import logging
import pathlib
import time

import keras
import numpy as np

from keras_gan import checks, files, watching
from keras_gan.runs import checkpoint

_log = logging.getLogger("keras_gan")


class SaveModel(keras.callbacks.Callback):
    """Saves the model at an epoch's end: the file holds the old one or the new one.

    A model with a weight that is not finite never replaces a good one: the step that
    ruins the weights may be the epoch's last, and a ReLU may hide a NaN from the loss.

    A full disk, or a model that Keras cannot save, ends no training: a warning of the
    logger "keras_gan" names the reason, and the next epoch's end tries again. The
    training's end raises.

    Args:
        path: str or path-like, ends in `.keras`.
        min_seconds: float, the least time between two saves; an epoch that ends
            earlier is not saved, except the last.

    Raises:
        ValueError: a path with another ending.
        TrainingDiverged: from `fit`, at the end of any epoch, instead of saving such a
            model.
        OSError: from `fit`, at its end: the model cannot be saved.
    """

    def __init__(self, path, min_seconds=0.0):
        super().__init__()
        self.path = pathlib.Path(path)
        if self.path.suffix != ".keras":
            raise ValueError(f"Expected a path that ends in .keras. Received: {path}")
        self.min_seconds = min_seconds
        self._saved = -np.inf
        self._pending = False

    def on_epoch_end(self, epoch, logs=None):
        self._pending = time.monotonic() < self._saved + self.min_seconds
        if self._pending:
            watching.check_weights(self.model)
            return
        try:
            self.save()
        except OSError as error:
            _log.warning("%s The training goes on.", error)
            self._saved, self._pending = time.monotonic(), True

    def on_train_end(self, logs=None):
        if self._pending:
            self.save()

    def save(self):
        """Saves the model now.

        Raises:
            TrainingDiverged: a weight is not finite; nothing is saved.
            OSError: the file cannot be written, or Keras cannot save the model; the
                file before it stays.
        """
        watching.check_weights(self.model)
        try:
            with files.replacing(self.path) as temporary:
                self.model.save(temporary)
        except Exception as error:  # Keras fails in many ways, h5py in others
            remedy = "Replace the layers that Keras cannot save."
            if isinstance(error, OSError):
                remedy = "Make room, or make the folder writable."
            raise OSError(
                f"The model was not saved in {self.path} ({checks.one_line(error)}). "
                f"{remedy}"
            ) from error
        self._saved = time.monotonic()
        self._pending = False


def check_intervals(every_minutes: float, every_steps: int) -> None:
    """Raises an error unless `Checkpoints` takes these intervals.

    Args:
        every_minutes, every_steps: see `Checkpoints`.

    Raises:
        ValueError: one is negative, or the steps are no int.
    """
    fits = checks.is_int(every_steps) and every_steps >= 0
    if not (fits and every_minutes >= 0):  # NaN is not
        raise ValueError(
            "Expected intervals between checkpoints of at least 0 minutes and 0 steps "
            f"(an int). Received: {every_minutes} minutes and {every_steps} steps"
        )


class Checkpoints(keras.callbacks.Callback):
    """Writes checkpoints while a training runs, from which it can be resumed exactly.

    Make it the last of the callbacks of `checkpoint.fit`: at an epoch's end it then
    saves the state that the others have left. One checkpoint is written before the
    first step and one after the last; the others on a background thread. One that is
    due while another is still being written waits for the next step.

    Args:
        writer: `checkpoint.Writer`.
        metadata: dict of what else a checkpoint says, as JSON can hold.
        every_minutes: float > 0, or 0 for no such interval.
        every_steps: int >= 1, or 0 for no such interval.
        start: the `checkpoint.Checkpoint` that the training resumes from, or None.
        request: an `interrupts.StopRequest`, on which the training is saved and ends.
        summary_writer: a `tf.summary` writer, flushed with each checkpoint; or None.

    Raises:
        ValueError: an interval below 0.
        TrainingDiverged: from `fit`, instead of saving a weight that is not finite.
        KeyboardInterrupt, SystemExit: from `fit`, see `interrupts.StopRequest.stop`.
    """

    def __init__(
        self,
        writer,
        metadata=None,
        every_minutes=2.0,
        every_steps=0,
        start=None,
        request=None,
        summary_writer=None,
    ):
        super().__init__()
        check_intervals(every_minutes, every_steps)
        self.writer = writer
        self.metadata = metadata
        self.every_minutes = every_minutes
        self.every_steps = every_steps
        self.request = request
        self.summary_writer = summary_writer
        self.step = start.step if start else 0
        writer.step = start.step if start else None
        self._tried = self.step

    def on_train_begin(self, logs=None):
        if self.writer.step is None:
            self._submit()
        self._time = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.step = self._epoch * self.params["steps"] + batch + 1
        # The epoch's last step waits for what the callbacks do at its end.
        if batch + 1 < self.params["steps"]:
            self._save_if_due()

    def on_epoch_end(self, epoch, logs=None):
        # The last epoch's end likewise waits for what they do at the training's end.
        if epoch + 1 < self.params["epochs"]:
            self._save_if_due()

    def on_train_end(self, logs=None):
        self.save()

    def save(self):
        """Writes a checkpoint of this step, unless there is one, and waits for it."""
        self.writer.wait()
        if self.writer.step != self.step:
            self._submit()
            self.writer.wait()

    def _save_if_due(self):
        if self.request is not None and self.request.signal is not None:
            self.request.saving = True
            self.save()
            self.request.stop()
        minutes = (time.monotonic() - self._time) / 60
        due = (self.every_minutes and minutes >= self.every_minutes) or (
            self.every_steps
            and self.step // self.every_steps > self._tried // self.every_steps
        )
        if due and not self.writer.busy:
            self._submit()

    def _submit(self):
        watching.check_weights(self.model)
        if self.summary_writer is not None:
            self.summary_writer.flush()
        self.writer.submit(checkpoint.snapshot(self.model, self.step, self.metadata))
        self._tried = self.step
        self._time = time.monotonic()
