"""Shows how far a training is: a line that moves, or one for every tenth."""

import time

import keras
import tqdm

from keras_gan.streams import ProgressStream

# Seconds between two movements of the line: faster ones nobody reads.
_INTERVAL = 0.1


class Progress(keras.callbacks.Callback):
    """Shows how far a training is, over all its steps, in place of `verbose`.

    On a terminal one line moves: the share of the steps, the time spent and expected,
    the epoch, and `d_real` and `d_fake`, or the losses where those are not logged.
    Elsewhere, in a file say, a line is written for every tenth of the training: epoch,
    step, logs, seconds, and the seconds that the rest is expected to take. A resumed
    training counts from the step that it was resumed at.

    A stream that can no longer be written to ends the display, not the training.

    Args:
        stream: text stream to write to; None takes `sys.stderr` when a training begins.
    """

    def __init__(self, stream=None):
        super().__init__()
        self.stream = stream
        self._bar = None

    def on_train_begin(self, logs=None):
        self._to = ProgressStream(self.stream)
        self._moves = self._to.isatty()
        self._begun = time.monotonic()
        self._first = self._step = None
        # Keras does not know the steps of an epoch of some data before its end.
        self._steps = self.params.get("steps")

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if self._step is None:
            self._step = self._start = self._epoch * (self._steps or 0) + batch
            self._tenth = self._tenths(self._start)
            self._shown = -float("inf")

    def on_train_batch_end(self, batch, logs=None):
        self._step = self._epoch * (self._steps or 0) + batch + 1
        self._logs = dict(logs or {})
        if self._first is None:
            # Behind the first execution lies its tracing: no measure of the others.
            self._first = self._step, time.monotonic()
        self._show()

    def on_epoch_end(self, epoch, logs=None):
        if not self._steps:
            self._steps = self._step

    def on_train_end(self, logs=None):
        if self._step is not None:
            self._show(last=True)
        self.close()

    def close(self):
        """Ends the line that moves. Call it where an error has ended `fit`."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    # === Details ===

    def _total(self):
        return self._steps and self._steps * self.params["epochs"]

    def _tenths(self, step):
        return 10 * step // self._total() if self._total() else 0

    def _show(self, last=False):
        if self._moves:
            now = time.monotonic()
            if last or now - self._shown >= _INTERVAL:
                self._shown = now
                self._move()
        elif self._tenths(self._step) > self._tenth or (
            # A training that a callback ended within a tenth.
            last and self._step != self._total()
        ):
            self._tenth = self._tenths(self._step)
            print(self._line(), file=self._to, flush=True)

    def _move(self):
        if self._bar is None:
            self._bar = tqdm.tqdm(
                total=self._total(),
                initial=self._start,
                file=self._to,
                unit="step",
                dynamic_ncols=True,
                # Each update is shown: `_INTERVAL` has chosen it.
                mininterval=0.0,
                miniters=1,
            )
        self._bar.total = self._total()
        shown = [f"{name}={value:.3f}" for name, value in self._selected()]
        shown.insert(0, f"epoch={self._epoch + 1}/{self.params['epochs']}")
        self._bar.set_postfix_str(", ".join(shown), refresh=False)
        self._bar.update(self._step - self._bar.n)

    def _line(self):
        total, epochs = self._total(), self.params["epochs"]
        seconds = time.monotonic() - self._begun
        of_steps = f" of {total:,} ({100 * self._step // total}%)" if total else ""
        parts = [
            f"epoch {self._epoch + 1} of {epochs}",
            f"step {self._step:,}{of_steps}",
        ]
        parts += [
            f"{name} {value:.3f}" for name, value in self._selected(all_losses=True)
        ]
        parts.append(f"{seconds:.0f} s")
        rest = self._rest(seconds)
        if rest is not None:
            parts.append(f"{rest:.0f} s left")
        return ", ".join(parts)

    def _selected(self, all_losses=False):
        """The (name, value) of the logs that are shown."""
        shares = [name for name in ("d_real", "d_fake") if name in self._logs]
        losses = [name for name in self._logs if name.endswith("loss")]
        names = losses + shares if all_losses else shares or losses
        return [(name, float(self._logs[name])) for name in names]

    def _rest(self, seconds):
        """The seconds that the steps to come are expected to take, or None."""
        if not self._total():
            return None
        steps, since = self._first
        if self._step > steps:
            pace = (time.monotonic() - since) / (self._step - steps)
        else:
            pace = seconds / (self._step - self._start)
        return pace * (self._total() - self._step)
