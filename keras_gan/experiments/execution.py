"""How an experiment's steps are executed."""

import math

import tensorflow as tf

from keras_gan import networks, replicas

# Between two moments of figure 1, which trainings in one dimension record.
FIGURE_1_STEPS = 10
# Beyond this, what Python takes between executions is nothing to them.
_MOST_STEPS_PER_EXECUTION = 16


def steps_per_execution(experiment, gan, data, checkpoint_steps=0) -> int:
    """Returns how many training steps are compiled into one call.

    That is what the experiment says. Where it leaves the number open, it is the largest
    that divides an epoch, within a bound that keeps a call well below a second: between
    two calls, Python, Keras and the callbacks take a millisecond or so, and within one
    nothing can be logged, saved or stopped.

    Args:
        experiment: `Experiment`.
        gan: what `build` made of it.
        data: `datasets.Dataset`.
        checkpoint_steps: int, between two checkpoints; 0 for no such interval.

    Returns:
        int >= 1; 1 on several replicas, where Keras cannot do it.

    Raises:
        ValueError: the experiment asks for several steps on several replicas.
    """
    strategy = gan.distribute_strategy
    asked = experiment.runtime.steps_per_execution
    if asked is not None:
        replicas.check_steps_per_execution(strategy, asked)
        return asked
    if strategy.num_replicas_in_sync > 1:
        return 1
    batch_size = experiment.train.discriminator_steps * experiment.train.batch_size
    work = batch_size * sum(
        networks.multiply_adds(player.network) for player in gan.players
    )
    budget = 10**11 if tf.config.list_physical_devices("GPU") else 10**9
    most = min(_MOST_STEPS_PER_EXECUTION, max(1, budget // work))
    steps = math.gcd(
        data.steps_per_epoch(batch_size),
        checkpoint_steps,
        FIGURE_1_STEPS if is_one_dimensional(gan, data) else 0,
    )
    return max(n for n in range(1, most + 1) if steps % n == 0)


def is_one_dimensional(gan, data) -> bool:
    """Whether figure 1 can show this training: samples and latents are numbers."""
    return (
        data.spec.shape == (1,)
        and gan.latent_prior.latent_dim == 1
        and data.distribution is not None
    )
