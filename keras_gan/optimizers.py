"""What training two networks needs beyond Keras: schedules, and updates in one pass.

Keras's optimizers compute an update by elementary operations, each of which passes over
all weights. Those here call TensorFlow's kernel for the whole update.
"""

import math

import keras
import tensorflow as tf
from keras import ops

from keras_gan import checks

Schedule = keras.optimizers.schedules.LearningRateSchedule


@keras.saving.register_keras_serializable("keras_gan")
class InverseExponentialDecay(Schedule):
    """The learning-rate rule of the released recipes: divide after every step.

        rate(step) = max(initial_learning_rate / divisor ** step, minimum)

    Args:
        initial_learning_rate: float > 0, the rate of step 0.
        divisor: float >= 1; 1.000004 in the recipes.
        minimum: float >= 0, the floor; 1e-6 in the recipes.

    Raises:
        ValueError: an argument is outside its range.
    """

    def __init__(self, initial_learning_rate, divisor=1.000004, minimum=1e-6):
        super().__init__()
        if not (initial_learning_rate > 0 and divisor >= 1 and minimum >= 0):
            raise ValueError(
                "Expected initial_learning_rate > 0, divisor >= 1 and minimum >= 0. "
                f"Received: {initial_learning_rate}, {divisor}, {minimum}"
            )
        self.initial_learning_rate = initial_learning_rate
        self.divisor = divisor
        self.minimum = minimum

    def __call__(self, step):
        step = ops.cast(step, "float32")
        # Not divisor ** -step: in float32 1.000004 is 1.00000405, and its decay 1.3%
        # too fast. The logarithm is taken in float64.
        decay = ops.exp(-step * math.log(self.divisor))
        return ops.maximum(self.initial_learning_rate * decay, self.minimum)

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "divisor": self.divisor,
            "minimum": self.minimum,
        }


@keras.saving.register_keras_serializable("keras_gan")
class LinearRamp(Schedule):
    """A value that goes linearly from `start_value` to `final_value`, then stays.

    The recipes' momentum: from .5 to .7 between epochs 1 and 250.

    Args:
        start_value: float, the value up to `start_step`.
        final_value: float, the value from `final_step` on.
        start_step: int >= 0, in updates of the optimizer that uses the schedule.
        final_step: int > start_step.

    Raises:
        ValueError: the steps are not in order.
    """

    def __init__(self, start_value, final_value, start_step, final_step):
        super().__init__()
        if not 0 <= start_step < final_step:
            raise ValueError(
                "Expected 0 <= start_step < final_step. "
                f"Received: start_step={start_step}, final_step={final_step}"
            )
        self.start_value = start_value
        self.final_value = final_value
        self.start_step = start_step
        self.final_step = final_step

    def __call__(self, step):
        step = ops.cast(step, "float32")
        progress = (step - self.start_step) / (self.final_step - self.start_step)
        progress = ops.clip(progress, 0.0, 1.0)
        return self.start_value + (self.final_value - self.start_value) * progress

    def get_config(self):
        return {
            "start_value": self.start_value,
            "final_value": self.final_value,
            "start_step": self.start_step,
            "final_step": self.final_step,
        }


@keras.saving.register_keras_serializable("keras_gan")
class WarmUp(Schedule):
    """Another schedule, of which the first steps rise linearly from 0.

        value(step) = schedule(step) * min((step + 1) / steps, 1)

    Args:
        schedule: Keras schedule, or a float that stays.
        steps: int >= 1, updates of the optimizer that uses it.

    Raises:
        ValueError: `steps` below 1.
    """

    def __init__(self, schedule, steps):
        super().__init__()
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        self.schedule = schedule
        self.steps = checks.count("steps", steps)

    def __call__(self, step):
        share = ops.minimum((ops.cast(step, "float32") + 1.0) / self.steps, 1.0)
        return share * (
            self.schedule(step) if callable(self.schedule) else self.schedule
        )

    def get_config(self):
        schedule = self.schedule
        if callable(schedule):
            schedule = keras.saving.serialize_keras_object(schedule)
        return {"schedule": schedule, "steps": self.steps}


@keras.saving.register_keras_serializable("keras_gan")
class ExponentialFall(Schedule):
    """A value that falls by a constant factor a step to `final_value`, then stays.

    Keras's `ExponentialDecay` falls on.

    Args:
        initial_value, final_value: floats > 0.
        steps: int >= 1, updates of the optimizer that uses it.

    Raises:
        ValueError: an argument is outside its range.
    """

    def __init__(self, initial_value, final_value, steps):
        super().__init__()
        if not (initial_value > 0 and final_value > 0):
            raise ValueError(
                "Expected initial_value and final_value > 0. Received: "
                f"{initial_value!r}, {final_value!r}"
            )
        self.initial_value = initial_value
        self.final_value = final_value
        self.steps = checks.count("steps", steps)

    def __call__(self, step):
        progress = ops.minimum(ops.cast(step, "float32") / self.steps, 1.0)
        fall = math.log(self.final_value / self.initial_value)
        return self.initial_value * ops.exp(fall * progress)

    def get_config(self):
        return {
            "initial_value": self.initial_value,
            "final_value": self.final_value,
            "steps": self.steps,
        }


def fall(kind, initial_value, final_share, steps):
    """Returns a schedule from a value to a share of it, which then stays.

    Args:
        kind: "cosine" (half a cosine wave) or "exponential".
        initial_value: float > 0.
        final_share: float in (0, 1].
        steps: int >= 1, updates of the optimizer that uses it.

    Raises:
        ValueError: another kind.
    """
    checks.one_of("kind", kind, ("cosine", "exponential"))
    if kind == "exponential":
        return ExponentialFall(initial_value, final_share * initial_value, steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_value, steps, alpha=final_share
    )


@keras.saving.register_keras_serializable("keras_gan")
class ScheduledSGD(keras.optimizers.Optimizer):
    """Stochastic gradient descent whose momentum may follow a schedule.

        velocity <- momentum(step) * velocity - learning_rate(step) * gradient
        weights  <- weights + velocity

    With a constant momentum it is `keras.optimizers.SGD(momentum=...)`, which takes a
    number only. This is the update of the released recipes (no Nesterov step), in one
    pass over the weights.

    Args:
        learning_rate: float or schedule.
        momentum: float in [0, 1], or a schedule of the optimizer's own steps, such
            as `LinearRamp`.
        name: str.
        **kwargs: what every Keras optimizer takes (`clipnorm`, `weight_decay`, ...).

    Raises:
        ValueError: a constant momentum outside [0, 1].
    """

    def __init__(
        self, learning_rate=0.01, momentum=0.5, name="scheduled_sgd", **kwargs
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if isinstance(momentum, dict):
            momentum = keras.saving.deserialize_keras_object(momentum)
        if not callable(momentum) and not 0 <= momentum <= 1:
            raise ValueError(
                f"Expected momentum in [0, 1] or a schedule. Received: {momentum}"
            )
        self.momentum = momentum

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity")

    def update_step(self, gradient, variable, learning_rate):
        momentum = self.momentum
        if callable(momentum):
            momentum = momentum(self.iterations)
        velocity = self.velocities[self._get_variable_index(variable)]
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=velocity.value.handle,
            lr=tf.cast(learning_rate, variable.dtype),
            grad=tf.cast(tf.convert_to_tensor(gradient), variable.dtype),
            momentum=tf.cast(momentum, variable.dtype),
        )

    def get_config(self):
        momentum = self.momentum
        if callable(momentum):
            momentum = keras.saving.serialize_keras_object(momentum)
        return {**super().get_config(), "momentum": momentum}


@keras.saving.register_keras_serializable("keras_gan")
class Adam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` in one pass over the weights: the same arguments, slots
    and updates up to rounding (D. Kingma and J. Ba, arXiv 1412.6980, the formulation
    just before section 2.1).

    `amsgrad`, and gradients that are `tf.IndexedSlices` (of embeddings), take Keras's
    own update.
    """

    def update_step(self, gradient, variable, learning_rate):
        if self.amsgrad or isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)

        def cast(value):
            return tf.cast(value, variable.dtype)

        step = cast(self.iterations + 1)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(cast(self.beta_1), step),
            beta2_power=tf.pow(cast(self.beta_2), step),
            lr=cast(learning_rate),
            beta1=cast(self.beta_1),
            beta2=cast(self.beta_2),
            epsilon=cast(self.epsilon),
            grad=cast(gradient),
        )
