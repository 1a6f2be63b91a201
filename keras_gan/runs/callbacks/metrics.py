"""Records numbers while a GAN trains: its logs, and the scores of evaluations."""

import json
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

from keras_gan import checks
from keras_gan.runs import history
from keras_gan.runs.callbacks import saving


class MetricsLog(keras.callbacks.Callback):
    """Writes the logs of each epoch as a line of JSON, and to TensorBoard.

    A line has `epoch`, `step` (generator steps so far), `seconds` (of the epoch) and
    every log of the model; null stands for NaN and infinity, which JSON does not know.

    Args:
        path: str or path-like, of the file of lines (`metrics.jsonl`); its folder is
            created when a training begins.
        summary_writer: a `tf.summary` writer that gets the logs as scalars, or None.
    """

    def __init__(self, path, summary_writer=None):
        super().__init__()
        self.path = pathlib.Path(path)
        self.summary_writer = summary_writer

    def on_train_begin(self, logs=None):
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        step = self.model.generator_steps
        logs = {name: float(value) for name, value in logs.items()}
        seconds = round(time.monotonic() - self._started, 3)
        history.append_line(
            self.path, {"epoch": epoch + 1, "step": step, "seconds": seconds, **logs}
        )
        _summarise(self.summary_writer, step, logs)


class Evaluation(keras.callbacks.Callback):
    """Scores the GAN every n epochs, and can keep the model that scored best.

    It writes a line of JSON for each evaluation: `epoch`, `step` (generator steps so
    far) and the scores, null where they are not finite. The scores also enter the
    epoch's logs, so that other callbacks can monitor them. Choose by scores that take
    no test examples: otherwise the test no longer measures unseen data.

    Args:
        scores: function from the `GAN` to a dict of numbers, such as
            `evaluation.ValidationScores`.
        path: str or path-like, of the file of lines; its folder is created when a
            training begins.
        every: int, epochs between evaluations; the last epoch is always scored.
        keep: str, the score that the best model is chosen by; None keeps none.
        mode: "max" or "min", whether the best score is the highest or the lowest.
        best_path: str or path-like, ends in `.keras`: where the best model is saved.
        summary_writer: a `tf.summary` writer that gets the scores too, or None.

    Raises:
        ValueError: another mode, or no path to keep the best model in; from `fit`,
            `keep` names none of the scores.
    """

    def __init__(
        self,
        scores,
        path,
        every=1,
        keep=None,
        mode="max",
        best_path=None,
        summary_writer=None,
    ):
        super().__init__()
        if keep is not None and best_path is None:
            raise ValueError(f"Expected a `best_path` to keep the best {keep} in.")
        self.scores = scores
        self.path = pathlib.Path(path)
        self.every = checks.count("every", every)
        self.keep = keep
        self.mode = checks.one_of("mode", mode, ("max", "min"))
        self.saver = None if keep is None else saving.SaveModel(best_path)
        self.summary_writer = summary_writer
        self.best = None

    def on_train_begin(self, logs=None):
        self._scored = self._epoch = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.keep is not None and self.best is None and self.path.exists():
            # A resumed training must not replace a better model of its past.
            for line in self.path.read_text().splitlines():
                self._better(json.loads(line).get(self.keep))

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        if self._epoch % self.every == 0:
            self._score(logs)

    def on_train_end(self, logs=None):
        if self._scored != self._epoch:
            self._score(logs)

    def _score(self, logs):
        step = self.model.generator_steps
        scores = {name: float(x) for name, x in self.scores(self.model).items()}
        if self.keep is not None and self.keep not in scores:
            raise ValueError(
                f"Expected `keep` to be a score among {', '.join(scores)}. "
                f"Received: {self.keep!r}.{checks.did_you_mean(self.keep, scores)}"
            )
        # The model before its line: a line that claims a best score whose model was
        # never saved would keep a resumed training from saving the next best.
        if self.keep is not None and self._better(scores[self.keep]):
            self.saver.set_model(self.model)
            self.saver.save()
        history.append_line(self.path, {"epoch": self._epoch, "step": step, **scores})
        _summarise(
            self.summary_writer, step, {f"evaluation/{n}": x for n, x in scores.items()}
        )
        if logs is not None:
            logs.update(scores)
        self._scored = self._epoch

    def _better(self, score):
        """Whether `score` beats the best so far, which it then becomes."""
        if score is None or not np.isfinite(score):
            return False
        sign = 1 if self.mode == "max" else -1
        if self.best is not None and sign * score <= sign * self.best:
            return False
        self.best = score
        return True


def _summarise(summary_writer, step, scalars):
    if summary_writer is not None:
        with summary_writer.as_default(step=step):
            for name, value in scalars.items():
                tf.summary.scalar(name, value)
