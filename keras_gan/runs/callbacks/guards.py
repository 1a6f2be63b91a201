"""Ends a training whose losses are no longer finite."""

import keras
import numpy as np

from keras_gan.watching import diverged

# The loss scale after 35 halvings of Keras's first, 2 ** 15, that have not helped.
_LEAST_LOSS_SCALE = 2.0**-20


class NonFiniteGuard(keras.callbacks.Callback):
    """Stops a training at the first loss that is NaN or infinite.

    `keras.callbacks.TerminateOnNaN` looks at a log named "loss" only. Put this before
    callbacks that save: they then never see the corrupt weights.

    A step that a loss scale skips, in float16, is no divergence. A player that is
    skipped at every scale has diverged: the guard stops where a scale falls below
    2 ** -20.

    Raises:
        TrainingDiverged: from `fit`, with the step's number, counted from 1; where
            several steps make one execution, with those of its first and last.
    """

    def on_train_begin(self, logs=None):
        self._seen = self.model.generator_steps

    def on_train_batch_end(self, batch, logs=None):
        # The logs are running means: NaN and infinity stay in them.
        found = [
            f"{name} is {'NaN' if np.isnan(value) else 'infinite'}"
            for name, value in sorted(logs.items())
            if not np.isfinite(value)
        ]
        if found:
            raise diverged(self.model, ", ".join(found), self._seen + 1)
        self._seen = self.model.generator_steps
        for player in self.model.players:
            optimizer = player.optimizer
            if not isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
                continue
            if optimizer.dynamic_scale.numpy() < _LEAST_LOSS_SCALE:
                reason = f"the {player.name}'s gradient is not finite at any loss scale"
                raise diverged(self.model, reason)
