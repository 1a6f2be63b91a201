"""Callbacks for a `GAN`'s `fit`."""

import json
import pathlib
import time

import keras
import numpy as np
import tensorflow as tf

from keras_gan import files
from keras_gan.runs import checkpoint
from keras_gan.pictures import figures
from keras_gan.pictures import raster


class TrainingDiverged(ArithmeticError):
    """A loss or a weight became NaN or infinite."""


def _diverged(gan, what, first_step=None):
    """The error for NaN or infinity now, or at the earliest in `first_step`."""
    step = gan.generator_steps
    when = f"at step {step}"
    if first_step is not None and first_step < step:
        when = f"in steps {first_step} to {step}"
    return TrainingDiverged(
        f"Expected finite losses and weights. Received NaN or infinity {when}, "
        f"in {what}; the weights are spoilt: go back to the last saved model, and "
        "lower the learning rates or check the data"
    )


# A loss scale that so many halvings have not mended: 35 from Keras's first, 2 ** 15.
_LEAST_LOSS_SCALE = 2.0**-20


class NonFiniteGuard(keras.callbacks.Callback):
    """Stops a training at the first loss that is NaN or infinite.

    `keras.callbacks.TerminateOnNaN` looks at a log named "loss" only. Put this before
    callbacks that save: they then never see the spoilt weights.

    A step that a loss scale skips, in float16, is no divergence. One that is skipped
    whatever the scale is: the guard stops where a scale falls below 2 ** -20.

    Raises:
        TrainingDiverged: from `fit`, with the step's number, counted from 1; where
            several steps make one execution, with those of its first and last.
    """

    def on_train_begin(self, logs=None):
        self._seen = self.model.generator_steps

    def on_train_batch_end(self, batch, logs=None):
        # The logs are running means, in which NaN and infinity stay.
        spoilt = [name for name, value in logs.items() if not np.isfinite(value)]
        if spoilt:
            raise _diverged(self.model, ", ".join(sorted(spoilt)), self._seen + 1)
        self._seen = self.model.generator_steps
        for player in ("discriminator", "generator"):
            optimizer = getattr(self.model, f"{player}_optimizer")
            if not isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
                continue
            if optimizer.dynamic_scale.numpy() < _LEAST_LOSS_SCALE:
                raise _diverged(
                    self.model, f"the {player}'s gradient, at any loss scale"
                )


class SampleGrid(keras.callbacks.Callback):
    """Draws samples of fixed latents: a PNG before the first step, then as it goes.

    Images become a grid; samples in one or two dimensions, of a GAN with
    `value_range=None`, a histogram or a scatter plot.

    Args:
        directory: str or path-like, gets `epoch_00000.png` and so on.
        num_samples: int; None draws 100 images, or 2,000 points.
        every: int, epochs between pictures; the last epoch is always drawn.
        seed: int, of the latents.
        examples: real data, to draw behind points; unused for images.
        summary_writer: a `tf.summary` writer that gets each picture too, or None.
    """

    def __init__(
        self,
        directory,
        num_samples=None,
        every=1,
        seed=0,
        examples=None,
        summary_writer=None,
    ):
        super().__init__()
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"Expected `every` to be an int >= 1. Received: {every!r}")
        self.directory = pathlib.Path(directory)
        self.num_samples = num_samples
        self.every = every
        self.seed = seed
        self.examples = examples
        self.summary_writer = summary_writer

    def on_train_begin(self, logs=None):
        self._drawn = self._epoch = None
        if self.model.generator_steps == 0:
            self._draw(0)

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        if self._epoch % self.every == 0:
            self._draw(self._epoch)

    def on_train_end(self, logs=None):
        if self._drawn != self._epoch:
            self._draw(self._epoch)

    def _draw(self, epoch):
        value_range = self.model.value_range
        count = self.num_samples or (2000 if value_range is None else 100)
        samples = self.model.generate(count, seed=self.seed)
        picture = figures.sample_picture(samples, value_range, self.examples)
        path = self.directory / f"epoch_{epoch:05}.png"
        files.write(path, raster.encode_png(picture))
        if self.summary_writer is not None:
            step = self.model.generator_steps
            with self.summary_writer.as_default(step=step):
                tf.summary.image("samples", picture[None])
        self._drawn = self._epoch = epoch


class MetricsLog(keras.callbacks.Callback):
    """Writes the logs of each epoch as a line of JSON, and to TensorBoard.

    A line has `epoch`, `step` (generator steps so far), `seconds` (of the epoch) and
    every log of the model.

    Args:
        path: str or path-like, of the file of lines (`metrics.jsonl`).
        summary_writer: a `tf.summary` writer that gets the logs as scalars, or None.
    """

    def __init__(self, path, summary_writer=None):
        super().__init__()
        self.path = pathlib.Path(path)
        self.summary_writer = summary_writer

    def on_epoch_begin(self, epoch, logs=None):
        self._started = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        step = self.model.generator_steps
        logs = {name: float(value) for name, value in logs.items()}
        seconds = round(time.monotonic() - self._started, 3)
        line = {"epoch": epoch + 1, "step": step, "seconds": seconds, **logs}
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")
        if self.summary_writer is not None:
            with self.summary_writer.as_default(step=step):
                for name, value in logs.items():
                    tf.summary.scalar(name, value)


class Evaluation(keras.callbacks.Callback):
    """Scores the GAN every n epochs, and can keep the model that scored best.

    A line of JSON for each evaluation: `epoch`, `step` (generator steps so far) and the
    scores, which also enter the epoch's logs, so that other callbacks can monitor them.
    Choose by scores that take no test examples, or the test is spoilt.

    Args:
        scores: function from the `GAN` to a dict of numbers, such as
            `evaluation.ValidationScores`.
        path: str or path-like, of the file of lines.
        every: int, epochs between evaluations; the last epoch is always scored.
        keep: str, the score that the best model is chosen by; None keeps none.
        mode: "max" or "min", whether more of it is better or less.
        best_path: str or path-like, ends in `.keras`: where the best model is saved.
        summary_writer: a `tf.summary` writer that gets the scores too, or None.

    Raises:
        ValueError: another mode, or no path for what is to be kept; from `fit`, a
            score of that name that there is not.
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
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"Expected `every` to be an int >= 1. Received: {every!r}")
        if mode not in ("max", "min"):
            raise ValueError(f"Expected mode 'max' or 'min'. Received: {mode!r}")
        if keep is not None and best_path is None:
            raise ValueError(f"Expected a `best_path` to keep the best {keep} in.")
        self.scores = scores
        self.path = pathlib.Path(path)
        self.every = every
        self.keep = keep
        self.mode = mode
        self.saver = None if keep is None else SaveModel(best_path)
        self.summary_writer = summary_writer
        self.best = None

    def on_train_begin(self, logs=None):
        self._scored = self._epoch = None
        if self.keep is not None and self.best is None and self.path.exists():
            # A training that goes on must not replace a better model of its past.
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
                f"Expected a score among {', '.join(scores)} to keep the best model "
                f"by. Received: {self.keep!r}"
            )
        # The model first: a line of a best score that was never saved would mislead.
        if self.keep is not None and self._better(scores[self.keep]):
            self.saver.set_model(self.model)
            self.saver.save()
        with open(self.path, "a") as file:
            line = {"epoch": self._epoch, "step": step, **scores}
            file.write(json.dumps(line) + "\n")
        if self.summary_writer is not None:
            with self.summary_writer.as_default(step=step):
                for name, value in scores.items():
                    tf.summary.scalar(f"evaluation/{name}", value)
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


def _check_weights(gan):
    spoilt = [
        variable.path
        for variable in gan.weights
        if variable.dtype.startswith(("float", "bfloat"))
        and not np.isfinite(keras.ops.convert_to_numpy(variable)).all()
    ]
    if spoilt:
        raise _diverged(gan, f"the weights {', '.join(spoilt)}")


class SaveModel(keras.callbacks.Callback):
    """Saves the model at an epoch's end: the file holds the old one or the new one.

    A model with a weight that is not finite never replaces a good one: the step that
    spoils the weights may be the epoch's last, and a ReLU may hide a NaN from the loss.

    Args:
        path: str or path-like, ends in `.keras`.
        min_seconds: float, what lies at least between two saves; an epoch that ends
            earlier is not saved, except the last.

    Raises:
        TrainingDiverged: from `fit`, at the end of any epoch, instead of saving such a
            model.
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
            _check_weights(self.model)
        else:
            self.save()

    def on_train_end(self, logs=None):
        if self._pending:
            self.save()

    def save(self):
        _check_weights(self.model)
        try:
            with files.replacing(self.path) as temporary:
                self.model.save(temporary)
        except OSError as error:
            raise OSError(
                f"Expected room and the right to save the model in {self.path}. "
                f"Received: {error.strerror or error}"
            ) from error
        self._saved = time.monotonic()
        self._pending = False


def check_intervals(every_minutes, every_steps):
    """Raises ValueError unless `Checkpoints` takes these."""
    whole = isinstance(every_steps, int) and not isinstance(every_steps, bool)
    if not (whole and every_minutes >= 0 and every_steps >= 0):  # NaN is neither
        raise ValueError(
            "Expected intervals between checkpoints of at least 0 minutes and 0 steps "
            "(an int). "
            f"Received: {every_minutes} minutes and {every_steps} steps"
        )


class Checkpoints(keras.callbacks.Callback):
    """Writes checkpoints as a training goes, from which it can go on exactly.

    The last of the callbacks of `checkpoint.fit`: at an epoch's end it then saves what
    the others have left. The first is of the start, the last of the end; those between
    are written beside the training, and one that is due while another is still being
    written waits for the next step.

    Args:
        writer: `checkpoint.Writer`.
        about: dict of what else a checkpoint is to say, as JSON can hold.
        every_minutes: float > 0, or 0 for no such interval.
        every_steps: int >= 1, or 0 for no such interval.
        start: the `checkpoint.Checkpoint` that the training goes on from, or None.
        request: a `checkpoint.StopRequest`, on which the training is saved and ends.
        summary_writer: a `tf.summary` writer, flushed with each checkpoint; or None.

    Raises:
        ValueError: an interval below 0.
        TrainingDiverged: from `fit`, instead of saving a weight that is not finite.
        KeyboardInterrupt, SystemExit: from `fit`, see `checkpoint.StopRequest.stop`.
    """

    def __init__(
        self,
        writer,
        about=None,
        every_minutes=2.0,
        every_steps=0,
        start=None,
        request=None,
        summary_writer=None,
    ):
        super().__init__()
        check_intervals(every_minutes, every_steps)
        self.writer = writer
        self.about = about
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
        # And the last epoch's end for what they do at the end of all.
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
        _check_weights(self.model)
        if self.summary_writer is not None:
            self.summary_writer.flush()
        self.writer.submit(checkpoint.snapshot(self.model, self.step, self.about))
        self._tried = self.step
        self._time = time.monotonic()


class FigureOne(keras.callbacks.Callback):
    """Records the moments of a one-dimensional training that figure 1 is drawn from.

    The first before the first step, the last after the last. Between two lie `every`
    steps, and at least a twelfth of the steps so far: p_g moves fastest at the start.
    The file is replaced as a whole at each moment, so that a training that was stopped
    has its moments too; one that goes on from a saved model adds to those of its past.

    Args:
        path: str or path-like, ends in `.npz`; see `figures.load_moments`.
        distribution: TFP distribution of the data, event shape `(1,)`.
        every: int, generator steps.

    Raises:
        ValueError: from `fit`, a GAN whose samples or latents are not one-dimensional.
        TrainingDiverged: from `fit`, instead of recording NaN or infinity.
    """

    def __init__(self, path, distribution, every=10):
        super().__init__()
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"Expected `every` to be an int >= 1. Received: {every!r}")
        self.path = pathlib.Path(path)
        if self.path.suffix != ".npz":
            raise ValueError(f"Expected a path that ends in .npz. Received: {path}")
        self.distribution = distribution
        self.every = every

    def on_train_begin(self, logs=None):
        self.moments = []
        step = self.model.generator_steps
        if step and self.path.exists():
            past = figures.load_moments(self.path)
            self.moments = [moment for moment in past if moment.step <= step]
        if not self.moments:
            self._record()

    def on_train_batch_end(self, batch, logs=None):
        step = self.model.generator_steps
        last = self.moments[-1].step
        if step >= last + max(self.every, last / 12):
            self._record()

    def on_train_end(self, logs=None):
        step = self.model.generator_steps
        if self.moments[-1].step != step:
            self._record()

    def _record(self):
        moment = figures.moment(self.model, self.distribution)
        if not np.isfinite([*moment.samples, *moment.discriminator]).all():
            raise _diverged(self.model, "the samples or D(x)")
        self.moments.append(moment)
        figures.save_moments(self.path, self.moments)
