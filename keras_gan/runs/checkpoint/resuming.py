"""Fits a GAN from any step on, as if its training had never been interrupted."""

import contextlib

import keras

from keras_gan import datasets, replicas, watching
from keras_gan.runs.checkpoint import state


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
    balanced=False,
):
    """Trains `gan` on `data` from any step on, as if it had never been interrupted.

    Every batch is that of its step, epochs end where they would have ended, and the
    means over an interrupted epoch are over the whole of it. Callbacks see one
    training, whose first epoch may begin with a later batch than its first.

    Args:
        gan: compiled `GAN`; with `start`, restored from it (`restore`).
        data: `Dataset`.
        batch_size: int, examples in a batch: k * m.
        seed: int, of the order of the data.
        epochs: int, counted from the training's very start.
        start: `Checkpoint` to resume from; None for the start.
        callbacks: list of Keras callbacks.
        verbose: as in `keras.Model.fit`.
        steps_per_execution: int, as in `keras.Model.compile` but for this training
            only; None leaves it as the GAN was compiled.
        balanced: bool, whether all classes of the data come equally often.

    Returns:
        Keras's `History`, of the epochs that ended here.

    Raises:
        ValueError: data that are no `Dataset`; several steps in one execution on
            several replicas.
    """
    if not isinstance(data, datasets.Dataset):
        raise ValueError(
            "Expected a keras_gan.datasets.Dataset, whose batches are those of their "
            f"step. Received: {type(data).__name__}; wrap an array in Dataset(...)"
        )
    steps_per_execution = steps_per_execution or gan.steps_per_execution
    replicas.check_steps_per_execution(gan.distribute_strategy, steps_per_execution)
    steps = data.steps_per_epoch(batch_size)
    training = _Training(gan, start, steps, epochs, callbacks, verbose)
    options = {"callbacks": training, "shuffle": False, "verbose": verbose}

    def fit_epochs(first_batch, initial_epoch, epochs):
        count = steps - first_batch
        # A stream without an end spares Keras the making of an iterator in each epoch.
        # An execution of several steps runs past an epoch's end in it, so that there
        # they have to divide the epoch.
        endless = count % gan.steps_per_execution == 0
        batches = data.batches(
            batch_size,
            seed,
            lambda: training.step,
            endless,
            labels=gan.is_labelled,
            balanced=balanced,
        )
        return gan.fit(
            batches if endless else batches.take(count),
            steps_per_epoch=count if endless else None,
            initial_epoch=initial_epoch,
            epochs=epochs,
            **options,
        )

    epoch, batch = divmod(training.step, steps)
    with _executing(gan, steps_per_execution):
        if batch and epoch < epochs:
            # A call of its own: to Keras, all epochs of one call are equally long.
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
    """Lets `gan` make so many steps at once, and afterwards as many as before."""
    before = gan.steps_per_execution
    if steps == before:
        yield
        return
    # Keras traces a function for one number of steps, and keeps it for the next `fit`.
    gan.steps_per_execution, gan.train_function = steps, None
    try:
        yield
    finally:
        gan.steps_per_execution, gan.train_function = before, None


class _Training(keras.callbacks.CallbackList):
    """Presents two calls of `fit` to the callbacks as one training, from any batch on.

    Attributes:
        step: int, batches done. The data ask for it whenever an iteration starts; under
            a strategy, Keras starts one before the first epoch too.
        first_batch: int, batches that this epoch had before this call.
        last_call: bool, whether the training ends with this call.
    """

    def __init__(self, gan, start, steps, epochs, callbacks, verbose):
        super().__init__(
            [watching.Watch(knows_all=True), *callbacks],
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
            logs = {id(variable) for variable in state.log_variables(gan)}
            self._logs = [
                (variable, value)
                for variable, value in state.matched(gan, start)
                if id(variable) in logs
            ]

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
            # `fit` has just reset the means of the part of the epoch before this call.
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
