"""A player of the game: a network, its optimizer, and one step of descent."""

import contextvars
import functools

import keras
import tensorflow as tf

from keras_gan import keras_private
from keras_gan import replicas as all_replicas

LossScaleOptimizer = keras.mixed_precision.LossScaleOptimizer

# One value for each thread: replicas are traced in threads that take turns.
_is_in_step = contextvars.ContextVar("is_in_step", default=False)


def step_of_players(step):
    """Returns a step in which layers advance only when their player descends."""

    @functools.wraps(step)
    def marked(*arguments):
        token = _is_in_step.set(True)
        try:
            return step(*arguments)
        finally:
            _is_in_step.reset(token)

    return marked


def _is_outside_of_steps():
    return not _is_in_step.get()


class Player:
    """A network that descends a loss of its own, whatever the loss is.

    A layer with an attribute `advances_in_call`, a function, has a state that moves on
    once a step of its player, by the layer's method `advance`. Within steps it no
    longer moves where the layer is called.

    Args:
        name: str, such as "generator".
        network: built Keras model.
        optimizer: Keras optimizer, built here for the network's trainable variables.
        replicas: `replicas.Replicas`.
        may_be_empty: bool, whether a minibatch can have no examples.
        averages: dict of names of players to their `averaging.WeightAverage`s; None
            stands for no average.

    Attributes:
        name, network, optimizer: as given.
        average: `averaging.WeightAverage` of the network, or None; each step enters.
        skipped_steps: metric that counts the steps a loss scale had skipped; None where
            the optimizer is no `LossScaleOptimizer`.
    """

    def __init__(self, name, network, optimizer, replicas, may_be_empty, averages=None):
        self.name = name
        self.network = network
        self.optimizer = optimizer
        self.replicas = replicas
        self.may_be_empty = may_be_empty
        self.average = (averages or {}).get(name)
        self.skipped_steps = None
        if self.is_loss_scaled:
            self.skipped_steps = all_replicas.Sum(name=f"{name}_skipped_steps")
        # Now, so that a saved model finds the slots when it is loaded.
        self._weights = network.trainable_variables
        optimizer.build(self._weights)
        if replicas.count > 1:
            keras_private.clip_sums(inner(optimizer), replicas)
        # Layers whose state moves on once a step: those of spectral normalisation.
        self._advancing = [
            layer
            for layer in keras_private.layers_of(network)
            if hasattr(layer, "advances_in_call")
        ]
        for layer in self._advancing:
            layer.advances_in_call = _is_outside_of_steps

    @property
    def is_loss_scaled(self) -> bool:
        """Whether a step whose gradient is not finite is skipped."""
        return isinstance(self.optimizer, LossScaleOptimizer)

    @property
    def steps(self) -> int:
        """Steps made so far, without those that were skipped."""
        # Not by `int`, which the variables of several replicas lack.
        return int(self.optimizer.iterations.numpy())

    def check_weights(self):
        """Looks whether the trainable weights are still those of `compile`.

        Raises:
            ValueError: they are others.
        """
        now = self.network.trainable_variables
        if [*map(id, now)] != [*map(id, self._weights)]:
            raise ValueError(
                f"Expected the {len(self._weights)} weights of the {self.name} that "
                f"were trainable at `compile`. Received {len(now)} others: a layer was "
                "frozen or freed since; compile again, with new optimizers"
            )

    def descend(self, tape, loss, size):
        """Makes one step of the optimizer down the loss of a minibatch.

        Args:
            tape: `tf.GradientTape` that recorded `loss`.
            loss: float scalar, a mean over the minibatch.
            size: int or int scalar, examples in the minibatch; at 0 the gradient is 0.

        Returns:
            `size`, or 0 where a loss scale had the step skipped.
        """
        optimizer = inner(self.optimizer)
        # A step may be skipped, or its gradient only accumulated.
        may_stay = self.is_loss_scaled or optimizer.gradient_accumulation_steps
        before = tf.identity(optimizer.iterations) if may_stay else None
        made = self._descend(tape, loss, size)
        if self.average is not None:
            moved = tf.not_equal(before, optimizer.iterations) if may_stay else True
            self.average.update(moved)
        for layer in self._advancing:
            layer.advance()
        return made

    def _descend(self, tape, loss, size):
        weights = self.network.trainable_variables
        # The gradient of the scaled loss, without a second tape for the scale.
        scale = self.optimizer.scale_loss(self.replicas.share(size, loss))
        gradients = tape.gradient(loss, weights, scale)
        if self.may_be_empty or self.is_loss_scaled:
            # Of an embedding they are sparse, which a choice and a NaN are not.
            gradients = [
                None if each is None else tf.convert_to_tensor(each)
                for each in gradients
            ]
        if self.may_be_empty:
            gradients = _unless_empty(gradients, size)
        if not self.is_loss_scaled:
            self.optimizer.apply(gradients, weights)
            return size
        # Counts every gradient that is taken, also one that is only accumulated.
        counter = keras_private.gradients_taken(self.optimizer.inner_optimizer)
        before = tf.identity(counter)
        self.optimizer.apply(self.replicas.finite_on_all(gradients), weights)
        skipped = tf.equal(before, counter)
        self.skipped_steps.update_state(tf.cast(skipped, tf.float32))
        return tf.where(skipped, 0, size)


class Objective:
    """What a player beyond the two descends; subclass it for `GAN.compile`.

    A subclass with constructor arguments returns them from `get_config`, and is
    registered with `keras.saving.register_keras_serializable`, so that a saved GAN
    brings it back.
    """

    def __call__(self, gan, network, real, latents, training):
        """Returns the loss of one minibatch, a float scalar.

        Args:
            gan: `GAN`; `gan.call(latents, training)` are its samples.
            network: the player's own network, which alone is updated.
            real: what the discriminator takes: a tensor `(m, *sample_shape)`, or a dict
                with "samples" and "labels".
            latents: what the generator takes, `m` rows.
            training: bool, for every network that is called.
        """
        raise NotImplementedError

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def optimizer_for(identifier, name):
    """Returns the Keras optimizer that `identifier`, one or its name, stands for.

    Raises:
        ValueError: no Keras optimizer, or one that keeps an average, which Keras's own
            `fit` would end with. `name` is the player's, for the message.
    """
    optimizer = keras.optimizers.get(identifier)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        raise ValueError(
            f"Expected the {name}'s optimizer to be a Keras optimizer, or its name. "
            f"Received: {optimizer!r}"
        )
    if inner(optimizer).use_ema:
        raise ValueError(
            f"Expected the {name}'s optimizer without use_ema, whose average only "
            "Keras's own fit ends with. Received: use_ema=True; pass ema_decay to "
            "compile, which averages the generator"
        )
    return optimizer


def inner(optimizer):
    """Returns the optimizer in a loss scale, or the optimizer itself without one."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def loss_scaled(optimizer):
    """Returns the optimizer, wrapped in a loss scale unless it is already."""
    if isinstance(optimizer, LossScaleOptimizer):
        return optimizer
    return LossScaleOptimizer(optimizer)


def _unless_empty(gradients, size):
    """Returns the gradients, or zeros where the minibatch is empty.

    A choice, not a product, for 0 * NaN is NaN; and no `tf.where`, which would cost a
    pass over all weights at each step.
    """
    if isinstance(size, int):  # known while tracing, and then at least 1
        return gradients
    known = [gradient for gradient in gradients if gradient is not None]
    chosen = iter(
        tf.cond(
            size > 0,
            lambda: [tf.identity(gradient) for gradient in known],
            lambda: [tf.zeros_like(gradient) for gradient in known],
        )
    )
    return [None if gradient is None else next(chosen) for gradient in gradients]


def weight_penalty(network):
    """Returns the sum of the weight regularisers of a network's trainable weights."""
    return sum(
        variable.regularizer(variable)
        for variable in network.trainable_variables
        if variable.regularizer is not None
    )
