"""How many epochs fit some minutes: from what a training's first moments take."""

import dataclasses
import itertools
import math
import statistics
import time

import keras

from keras_gan import checks
from keras_gan.experiments.experiment import Experiment
from keras_gan.experiments.parts import MOST_EPOCHS, Train

# This share of the time stays free: for checkpoints, and for a machine that is slower
# later than it was while it was measured.
_FREE = 0.1
# Steps are measured for this share of the time, but no longer than so many seconds.
_MEASURED, _MOST_MEASURED_SECONDS = 0.02, 10.0
# Their time is the median over so many windows, which a pause of the machine, or the
# first epoch's end with a model to save, does not move. Two must do for long steps.
_WINDOWS, _FEWEST_WINDOWS = 5, 2


@dataclasses.dataclass(frozen=True)
class Costs:
    """The seconds that the parts of a training take.

    Attributes:
        start: float, from loaded data to the end of the first execution: the networks,
            their compilation, the first picture and checkpoint.
        step: float, a training step, with its share of what every epoch's end takes.
        picture: float, a picture of samples.
        evaluation: float, scoring the model once; 0 where nothing is scored.
        end: float, from the last step to the end: a picture, scores, saving.
    """

    start: float
    step: float
    picture: float = 0.0
    evaluation: float = 0.0
    end: float = 0.0


class Timer(keras.callbacks.Callback):
    """Measures a training from its making on, and ends it after some seconds of steps.

    The first execution counts as the start, since it compiles.

    Args:
        seconds: float, for which steps are measured; up to twice as long where it
            takes so long to fill the windows, and two executions at least.
        clock: function that returns seconds.
    """

    def __init__(self, seconds, clock=time.monotonic):
        super().__init__()
        self.seconds = seconds
        self._clock = clock
        self._made = clock()
        self._marks = []  # of (seconds, steps), between windows

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        now = self._clock()
        step = self._epoch * self.params["steps"] + batch + 1
        if not self._marks or now - self._marks[-1][0] >= self.seconds / _WINDOWS:
            self._marks.append((now, step))
        windows, passed = len(self._marks) - 1, now - self._marks[0][0]
        enough = _WINDOWS if passed < 2 * self.seconds else _FEWEST_WINDOWS
        if passed >= self.seconds and windows >= enough:
            self.model.stop_training = True
            self._stopped = now

    def costs(self, picture=0.0, evaluation=0.0) -> Costs:
        """Returns what was measured. Call it when the training has ended.

        Args:
            picture, evaluation: see `Costs`, which this callback does not see.
        """
        paces = [
            (then[0] - first[0]) / (then[1] - first[1])
            for first, then in itertools.pairwise(self._marks)
        ]
        return Costs(
            start=self._marks[0][0] - self._made,
            step=statistics.median(paces),
            picture=picture,
            evaluation=evaluation,
            end=self._clock() - self._stopped,
        )


class TimeBudget:
    """The minutes that a training may take, counted from the making of this object.

    Args:
        minutes: float > 0.
        clock: function that returns seconds.

    Raises:
        ValueError: other minutes.
    """

    def __init__(self, minutes, clock=time.monotonic):
        if not (checks.is_number(minutes) and minutes > 0):
            raise ValueError(
                f"Expected `minutes` to be a number above 0. Received: {minutes!r}"
            )
        self.minutes = minutes
        self._clock = clock
        self._began = clock()

    @property
    def measuring_seconds(self) -> float:
        """How long steps are measured."""
        return min(_MOST_MEASURED_SECONDS, _MEASURED * 60 * self.minutes)

    def epochs(self, costs: Costs, steps_per_epoch: int, train: Train):
        """Returns how many epochs fit the minutes that are left, and a line on it.

        Start and end are taken off, and a tenth of the rest stays free.

        Args:
            costs: `Costs`, measured.
            steps_per_epoch: int.
            train: `Train`, whose `sample_epochs` and `evaluation_epochs` say how often
                pictures are drawn and the model is scored.

        Returns:
            (int >= 1, str).

        Raises:
            ValueError: the steps of one epoch alone take longer than all minutes.
        """
        of_steps = steps_per_epoch * costs.step
        if of_steps > 60 * self.minutes:
            raise ValueError(
                "Expected `minutes` for one epoch at least, whose "
                f"{_many(steps_per_epoch, 'step')} of {duration(costs.step)} take "
                f"{duration(of_steps)}. Received: {self.minutes:g}; allow more, or "
                "pass epochs=1 instead"
            )
        epoch = of_steps + costs.picture / train.sample_epochs
        if train.evaluation_epochs is not None:
            epoch += costs.evaluation / train.evaluation_epochs
        around = self._clock() - self._began + costs.start + costs.end
        left = (60 * self.minutes - around) * (1 - _FREE)
        # Of a step that takes no time, as a coarse clock has it, the most fit.
        fit = math.floor(min(left / epoch, MOST_EPOCHS)) if epoch > 0 else MOST_EPOCHS
        epochs = max(1, fit)
        said = (
            f"A step takes {duration(costs.step)}: {_many(epochs, 'epoch')} of "
            f"{_many(steps_per_epoch, 'step')} "
        )
        if fit >= 1:
            verb = "fits" if epochs == 1 else "fit"
            return epochs, f"{said}{verb} {_many(self.minutes, 'minute')}."
        whole = duration(around + epoch)
        return epochs, f"{said}takes about {whole}, with its start and its end."


def of(experiment: Experiment, minutes) -> TimeBudget | None:
    """Returns the budget of a training from now on, or None where `minutes` is None.

    Raises:
        ValueError: other minutes, or several workers.
    """
    if minutes is None:
        return None
    budget = TimeBudget(minutes)
    if experiment.runtime.distribute == "multi_worker":
        raise ValueError(
            "Expected a number of epochs where several workers train, each of which "
            f"would measure another time. Received: minutes={minutes}; pass epochs=..."
        )
    return budget


def seconds_of(function, *arguments) -> float:
    """Returns the seconds that a call of `function` takes."""
    began = time.monotonic()
    function(*arguments)
    return time.monotonic() - began


def duration(seconds: float) -> str:
    """Returns a time as a reader would say it: "85 ms", "1.4 s", "75 minutes"."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:,.0f} minutes"


def _many(number, word):
    """Returns "1 epoch", "1,200 epochs" or "0.2 minutes"."""
    text = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{text} {word}{'' if number == 1 else 's'}"
