"""Penalties that the discriminator's loss takes beside the adversarial one.

A penalty for `GAN.compile(penalties=[...])` is a `Penalty` that Keras can serialise. It
sees the discriminator as `critic`, a function from what the discriminator takes to its
logits, so that labels and augmentation are none of its business.

References: L. Mescheder et al., Which Training Methods for GANs do actually Converge?,
arXiv 1801.04406 (R1, R2); I. Gulrajani et al., Improved Training of Wasserstein GANs,
arXiv 1704.00028 (GradientPenalty); N. Kodali et al., On Convergence and Stability of
GANs, arXiv 1705.07215 (DRAGAN).
"""

import keras
import tensorflow as tf

from keras_gan import checks, critics


class Penalty:
    """A term of D's loss that needs more than logits; subclass it to write another.

    A subclass with constructor arguments returns them from `get_config`, and is
    registered with `keras.saving.register_keras_serializable`, so that a saved GAN
    brings it back.

    Args:
        every: int >= 1. The penalty enters each `every`-th step of D, multiplied by
            `every`: the same mean gradient for less work ("lazy", T. Karras et al.,
            arXiv 1912.04958, appendix B).
        name: str, what the term is called in the logs.
        schedule: None, or a Keras schedule of D's steps, a factor of the penalty: from
            1 down to a share, say, as arXiv 2501.05441 lets gamma fall.

    Attributes:
        of_gradients: bool, of the class: whether it takes gradients of the critic, so
            that D descends gradients of gradients.

    Raises:
        ValueError: `every` below 1, or no schedule.
    """

    of_gradients = False

    def __init__(self, every=1, name=None, schedule=None):
        self.every = checks.count("every", every)
        self.name = name or type(self).__name__.lower()
        if isinstance(schedule, dict):
            schedule = keras.saving.deserialize_keras_object(schedule)
        kind = keras.optimizers.schedules.LearningRateSchedule
        if schedule is not None and not isinstance(schedule, kind):
            raise ValueError(
                "Expected schedule to be None or a Keras schedule, such as "
                f"keras.optimizers.schedules.CosineDecay. Received: {schedule!r}"
            )
        self.schedule = schedule

    def __call__(self, critic, real, fake, seed):
        """Returns the penalty of one minibatch, a float scalar.

        Args:
            critic: function of what D takes to its logits, float `(m, 1)`.
            real, fake: what D takes, of examples and of samples: tensors
                `(m, *sample_shape)`, or dicts with "samples" and "labels".
            seed: int tensor of shape `(2,)`, of what the penalty draws.
        """
        raise NotImplementedError

    def get_config(self):
        config = {"every": self.every, "name": self.name}
        if self.schedule is not None:
            schedule = keras.saving.serialize_keras_object(self.schedule)
            config["schedule"] = schedule
        return config

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class _Weighted(Penalty):
    """A penalty of gradients with a factor, `gamma`.

    Args:
        gamma: float >= 0.
        every, name, schedule: see `Penalty`.

    Raises:
        ValueError: `gamma` below 0 or no number.
    """

    of_gradients = True

    def __init__(self, gamma, every=1, name=None, schedule=None):
        super().__init__(every, name, schedule)
        self.gamma = _check_number("gamma", gamma)

    def get_config(self):
        return {**super().get_config(), "gamma": self.gamma}


@keras.saving.register_keras_serializable("keras_gan")
class R1(_Weighted):
    """gamma / 2 * E |grad_x D(x)|^2 over real examples, D meaning its logit.

    The square is summed over all values of an example (arXiv 1801.04406, equation 9).

    Args:
        gamma: float >= 0.
        every, name, schedule: see `Penalty`.

    Raises:
        ValueError: `gamma` below 0 or no number.
    """

    def __init__(self, gamma=1.0, every=1, name="r1", schedule=None):
        super().__init__(gamma, every, name, schedule)

    def __call__(self, critic, real, fake, seed):
        squares = squared_gradient_norms(critic, real, shared=True)
        return 0.5 * self.gamma * tf.reduce_mean(squares)


@keras.saving.register_keras_serializable("keras_gan")
class R2(_Weighted):
    """gamma / 2 * E |grad_x D(x)|^2 over samples: R1 where the samples are.

    Equation 10 of arXiv 1801.04406. With a relativistic loss both are needed (arXiv
    2501.05441, section 2).

    Args:
        gamma: float >= 0.
        every, name, schedule: see `Penalty`.

    Raises:
        ValueError: `gamma` below 0 or no number.
    """

    def __init__(self, gamma=1.0, every=1, name="r2", schedule=None):
        super().__init__(gamma, every, name, schedule)

    def __call__(self, critic, real, fake, seed):
        squares = squared_gradient_norms(critic, fake, shared=True)
        return 0.5 * self.gamma * tf.reduce_mean(squares)


@keras.saving.register_keras_serializable("keras_gan")
class GradientPenalty(_Weighted):
    """gamma * E (|grad_x D(x)| - 1)^2 between examples and samples.

    At x = u * real + (1 - u) * fake, with one u a pair, uniform on [0, 1): equation 3
    of arXiv 1704.00028, whose lambda gamma is. Of labelled data x has the example's
    label. A discriminator with batch normalisation mixes the rows of a batch, and this
    says nothing of it.

    Args:
        gamma: float >= 0.
        every, name, schedule: see `Penalty`.

    Raises:
        ValueError: `gamma` below 0 or no number.
    """

    def __init__(self, gamma=10.0, every=1, name="gradient_penalty", schedule=None):
        super().__init__(gamma, every, name, schedule)

    def __call__(self, critic, real, fake, seed):
        count = tf.shape(_samples(real))[0]
        share = tf.random.stateless_uniform((count,), seed)

        def mixed(one, other):
            of_each = tf.reshape(share, (-1, *[1] * (one.shape.rank - 1)))
            of_each = tf.cast(of_each, one.dtype)
            return of_each * one + (1.0 - of_each) * tf.cast(other, one.dtype)

        between = {
            name: mixed(values, critics.continuous(fake)[name])
            for name, values in critics.continuous(real).items()
        }
        return self.gamma * _off_unit_slope(critic, _replaced(real, between))


@keras.saving.register_keras_serializable("keras_gan")
class DRAGAN(_Weighted):
    """gamma * E (|grad_x D(x)| - 1)^2 around the examples.

    At x = real + noise, normal with `noise` times the standard deviation of all values
    of the minibatch. Reference: arXiv 1705.07215, section 2.

    Args:
        gamma: float >= 0.
        noise: float >= 0.
        every, name, schedule: see `Penalty`.

    Raises:
        ValueError: `gamma` or `noise` below 0 or no number.
    """

    def __init__(self, gamma=10.0, noise=0.5, every=1, name="dragan", schedule=None):
        super().__init__(gamma, every, name, schedule)
        self.noise = _check_number("noise", noise)

    def __call__(self, critic, real, fake, seed):
        examples = _samples(real)
        noise = tf.random.stateless_normal(tf.shape(examples), seed)
        noise = tf.cast(noise, examples.dtype) * tf.math.reduce_std(examples)
        around = examples + self.noise * noise
        around = _replaced(real, {"samples": around})
        return self.gamma * _off_unit_slope(critic, around)

    def get_config(self):
        return {**super().get_config(), "noise": self.noise}


# The names by which experiments know them.
BY_NAME = {"dragan": DRAGAN, "gradient_penalty": GradientPenalty, "r1": R1, "r2": R2}


def _check_number(name, value):
    if not checks.is_number(value) or value < 0:
        raise ValueError(f"Expected {name} >= 0. Received: {value!r}")
    return value


def _samples(inputs):
    return inputs["samples"] if isinstance(inputs, dict) else inputs


def _replaced(inputs, parts):
    """Returns what D takes, some of its parts replaced, and the others as they are."""
    return {**inputs, **parts} if isinstance(inputs, dict) else parts["samples"]


def _off_unit_slope(critic, inputs):
    """Returns E (|grad critic| - 1)^2."""
    # Within the root, so that its gradient is finite where the slope is 0.
    norms = tf.sqrt(squared_gradient_norms(critic, inputs) + 1e-12)
    return tf.reduce_mean(tf.square(norms - 1.0))


def squared_gradient_norms(critic, inputs, shared=False):
    """Returns |grad_x critic(x)|^2 for each x, summed over all its values.

    Where the critic takes latents too, x stands for the pair.

    Args:
        critic: function of `inputs` to logits `(m, 1)`, each of its own row. (Under
            batch normalisation a logit depends on all rows, and so does the result.)
            Of packs, `(p, 1)`: logit j of the rows j, j + p, ..., as `layers.Pack`
            makes them.
        inputs: float tensor `(m, ...)`, or a dict with "samples" and with "labels" or
            "latents".
        shared: bool. True goes back through the pass in which D's loss has judged
            `inputs`, where they are the very `real` or `fake` that a penalty is given,
            and saves one. A tape that is opened around this call does not see that
            pass: do not ask it for gradients by `inputs`.

    Returns:
        float32, one for each logit: `(m,)`, or `(p,)`.
    """
    logits, gradients = critics.gradients(critic, inputs, shared)
    samples = _samples(inputs)
    count = tf.shape(samples)[0]
    squares = sum(
        tf.reduce_sum(
            tf.reshape(tf.square(tf.cast(each, tf.float32)), (count, -1)), axis=1
        )
        for each in gradients
    )
    if logits.shape[0] is not None and logits.shape[0] == samples.shape[0]:
        return squares
    packs = tf.shape(logits)[0]
    return tf.math.unsorted_segment_sum(squares, tf.range(count) % packs, packs)


def terms(penalties, critic, real, fake, seed, step) -> dict:
    """Returns the penalties of one step of D by name, each as D's loss takes it.

    Args:
        penalties: list of `Penalty`.
        critic, real, fake, seed: see `Penalty`; each penalty gets a seed of its own.
        step: int scalar, steps of D so far; it decides which lazy penalties are due.
    """
    found = {}
    for index, penalty in enumerate(penalties):
        own_seed = tf.random.experimental.stateless_fold_in(seed, index)

        factor = float(penalty.every)
        if penalty.schedule is not None:
            factor *= tf.cast(penalty.schedule(step), tf.float32)

        # In a branch, going back through the loss's pass would cost each step zeros of
        # its size. A critic anew has kept none.
        is_lazy = penalty.every > 1
        seen = critic
        if is_lazy and isinstance(critic, critics.Critic):
            seen = critics.Critic(critic.answers)

        def term(penalty=penalty, seen=seen, own_seed=own_seed, factor=factor):
            return factor * penalty(seen, real, fake, own_seed)

        if not is_lazy:
            found[penalty.name] = term()
        else:
            due = tf.equal(tf.cast(step, tf.int64) % penalty.every, 0)
            found[penalty.name] = tf.cond(due, term, lambda: tf.zeros(()))
    return found


def check(penalties) -> tuple:
    """Returns `penalties` as a tuple.

    Raises:
        ValueError: no list of `Penalty`s, or two of one name.
    """
    if isinstance(penalties, Penalty):
        penalties = (penalties,)
    penalties = tuple(penalties or ())
    for penalty in penalties:
        if not isinstance(penalty, Penalty):
            raise ValueError(
                "Expected `penalties` to be a list of penalties, such as "
                f"[keras_gan.penalties.R1(1.0)]. Received: {penalty!r}"
            )
    names = [penalty.name for penalty in penalties]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"Expected penalties of different names. Received: {name!r} "
                f"{names.count(name)} times; pass name= to tell them apart"
            )
    return penalties
