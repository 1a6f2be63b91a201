"""Generative adversarial nets as a Keras model: Algorithm 1 of the 2014 paper.

Reference: Goodfellow et al., Generative Adversarial Nets, arXiv 1406.2661.
"""

import math

import keras
import numpy as np
import tensorflow as tf

from keras_gan import losses, priors, replicas
from keras_gan.samples import SampleSpec

LossScaleOptimizer = keras.mixed_precision.LossScaleOptimizer


@keras.saving.register_keras_serializable("keras_gan")
class GAN(keras.Model):
    """A generator and a discriminator that play the minimax game of equation (1).

        min_G max_D V(D, G) = E_{x ~ p_data} log D(x) + E_{z ~ p_z} log(1 - D(G(z)))

    `fit` takes any data that Keras takes: an element is x or (x, labels), x float
    `(k * m, *sample_shape)`; labels are ignored. One element is one pass through the
    body of Algorithm 1: k discriminator steps, then one generator step.

    The logs, as running means over an epoch: `discriminator_loss`, `generator_loss`,
    `value` (V(D, G); -log 4 = -1.386 at the equilibrium), `d_real` and `d_fake` (mean
    D(x) and D(G(z)); 1/2 each at the equilibrium). `evaluate` logs the same with
    `training=False`. (value + log 4) / 2 estimates JSD(p_data, p_g) from below: for any
    D short of its optimum it is less (Theorem 1; `theory.jensen_shannon_lower_bound`).

    Callbacks that monitor one of the logs need `mode=` ("min" or "max"): Keras cannot
    know it. Callbacks that act on `model.optimizer` (`LearningRateScheduler`,
    `ReduceLROnPlateau`) do not apply to a model with two optimizers: give these
    schedules instead. The discriminator's optimizer counts k steps a batch.

    Where a network computes in float16 (see `compile`), the logs hold two more:
    `discriminator_skipped_steps` and `generator_skipped_steps`, how many of the epoch's
    steps had a gradient that was not finite. The means leave these steps out.

    Made and compiled in the scope of a `tf.distribute` strategy, it trains on all of
    its replicas as on one device: every replica deals out its rows of the batch and
    draws latents of its own, what is descended is the mean over the whole batch, also
    where a replica has fewer rows or none, and the logs are those of all. Keras makes
    the masks of dropout and noise layers alike on all replicas, and leaves each its own
    running statistics, of which the first's are saved.

    Args:
        generator: Keras model from latents `(batch, L)` to samples `(batch, ...)`.
        discriminator: Keras model from samples to ONE logit each, `(batch, 1)`, with no
            sigmoid: D(x) = sigmoid(logit).
        latent_prior: one of `priors`, or any TFP distribution of event shape `(L,)`.
        value_range: (low, high) of the samples that the networks work in, or None where
            samples are no images.
        seed: int in [0, 2**32) or None. Latents, and the masks and noise of every
            seeded layer of both networks (dropout, say), are a function of it; initial
            weights are the networks' own. None takes a random seed.
        name: str or None.

    Raises:
        ValueError: networks or a prior that do not fit each other.
    """

    def __init__(
        self,
        generator,
        discriminator,
        latent_prior,
        value_range=(0.0, 1.0),
        seed=None,
        name=None,
    ):
        # float32 whatever the global policy: nothing but the networks computes in less.
        super().__init__(name=name, dtype="float32")
        # === Networks ===
        self.latent_prior = priors.get(latent_prior)
        self.generator = generator
        self.discriminator = discriminator
        self.sample_shape = _check_fit(generator, discriminator, self.latent_prior)

        # === Config ===
        self.spec = SampleSpec.of(self.sample_shape, value_range)
        self.value_range = self.spec.value_range
        self._strategy = tf.distribute.get_strategy()
        # === Randomness ===
        training_seed, sampling_seed = _spread_seed(seed, [generator, discriminator])
        self.seed = None if seed is None else int(seed)
        self._training_seeds = keras.random.SeedGenerator(training_seed)
        # Of its own, so that evaluating or drawing samples never changes a training.
        self._sampling_seeds = keras.random.SeedGenerator(sampling_seed)

        # === Logs ===
        names = ("discriminator_loss", "generator_loss", "value", "d_real", "d_fake")
        self._trackers = {name: _Mean(name=name) for name in names}
        self._skipped_steps = {}

        # === Averaged weights ===
        self.averaged_generator = None
        self._average_steps = None

        # Both networks are built. Without this, `fit` may build by `call` on the DATA.
        self.built = True

    def compile(
        self,
        generator_optimizer,
        discriminator_optimizer,
        loss="non_saturating",
        discriminator_steps=1,
        jit_compile="auto",
        steps_per_execution=1,
        run_eagerly=False,
        ema_decay=None,
    ):
        """Configures the training.

        Args:
            generator_optimizer, discriminator_optimizer: Keras optimizers or their
                names, one object each. Where a layer of either network computes in
                float16, both are wrapped in `keras.mixed_precision.LossScaleOptimizer`
                (what is wrapped already stays as it is): a step whose gradient is not
                finite changes no weight, slot or counter, halves its network's loss
                scale, and is left out of the averaged weights.
            loss: "non_saturating" (section 3 of the paper), "minimax" (equation 1), or
                an object such as `losses.AdversarialLoss`.
            discriminator_steps: int >= 1, k of Algorithm 1.
            jit_compile, steps_per_execution, run_eagerly: as in `keras.Model.compile`.
            ema_decay: float d in (0, 1) or None. After t steps of the generator,
                `averaged_generator`'s weights are the mean of w_1 to w_t, weighted by
                d^(t - i): an exponential average with Adam's correction (arXiv
                1412.6980, section 3), which owes nothing to the initial weights.
                Running statistics are copied. `call`, `generate`, `predict` and
                `evaluate` use the average, the training never does. A model that is
                compiled again goes on with its average.

        Raises:
            ValueError: an unknown loss, k < 1, one optimizer for both networks, what
                cannot be saved, or a decay outside (0, 1); a call in another strategy's
                scope than the GAN was made in, or XLA or several steps in one execution
                on several replicas.
        """
        if tf.distribute.get_strategy() is not self._strategy:
            raise ValueError(
                "Expected to compile in the scope of the strategy that the GAN was "
                f"made in, {type(self._strategy).__name__}. Received: "
                f"{type(tf.distribute.get_strategy()).__name__}"
            )
        if jit_compile is True and self._strategy.num_replicas_in_sync > 1:
            raise ValueError(
                "Expected `jit_compile` to be 'auto' or False on several replicas, "
                "whose sums XLA does not compile. Received: True"
            )
        replicas.check_steps_per_execution(self._strategy, steps_per_execution)
        if not _is_int(discriminator_steps) or discriminator_steps < 1:
            raise ValueError(
                "Expected `discriminator_steps` (k of Algorithm 1) to be an int >= 1. "
                f"Received: {discriminator_steps!r}"
            )
        loss = losses.get(loss)
        generator_optimizer = keras.optimizers.get(generator_optimizer)
        discriminator_optimizer = keras.optimizers.get(discriminator_optimizer)
        for optimizer in (generator_optimizer, discriminator_optimizer):
            if not isinstance(optimizer, keras.optimizers.Optimizer):
                raise ValueError(
                    "Expected two Keras optimizers, or their names. "
                    f"Received: {optimizer!r}"
                )
        if generator_optimizer is discriminator_optimizer:
            raise ValueError(
                "Expected two optimizers, one for each network: an optimizer keeps "
                "the state of its own weights. Received the same object twice."
            )
        if "float16" in _compute_dtypes(self.generator, self.discriminator):
            generator_optimizer = _loss_scaled(generator_optimizer)
            discriminator_optimizer = _loss_scaled(discriminator_optimizer)
        averaged_generator = self._average(ema_decay)
        super().compile(
            optimizer=None,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
            run_eagerly=run_eagerly,
        )
        self.adversarial_loss = loss
        self.discriminator_steps = int(discriminator_steps)
        self.ema_decay = ema_decay
        self.averaged_generator = averaged_generator
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        # Built now, so that a saved model finds the slots when it is loaded.
        generator_optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)
        self._skipped_steps = {
            player: _Sum(name=f"{player}_skipped_steps")
            for player, optimizer in (
                ("discriminator", discriminator_optimizer),
                ("generator", generator_optimizer),
            )
            if isinstance(optimizer, LossScaleOptimizer)
        }
        self._compile_arguments = {
            "generator_optimizer": generator_optimizer,
            "discriminator_optimizer": discriminator_optimizer,
            "loss": loss,
            "discriminator_steps": int(discriminator_steps),
            "jit_compile": jit_compile,
            "steps_per_execution": steps_per_execution,
            "run_eagerly": run_eagerly,
            "ema_decay": ema_decay,
        }
        try:
            self.get_compile_config()
        except (TypeError, ValueError, NotImplementedError) as error:
            # Here, not when the model is saved after the first epoch.
            raise ValueError(
                "Expected a loss and optimizers that Keras can serialise (a loss with "
                f"`get_config`, see `losses.AdversarialLoss`). Received: {loss!r}, "
                f"{generator_optimizer!r}, {discriminator_optimizer!r}"
            ) from error

    # === Algorithm 1 ===

    def train_step(self, data):
        """The body of Algorithm 1: k discriminator updates, then one of the generator.

        A batch of n = k * m examples is dealt out: minibatch j is its rows j::k, so
        that sizes differ by at most one and nothing is dropped. Every step draws fresh
        latents. Where n < k, in the last batch of an epoch, the minibatches that come
        out empty contribute a gradient of zero and nothing to the logs: momentum still
        coasts, and running statistics see the batch's last example again.

        Both networks run with `training=True` throughout, as in the paper, which drops
        out units of D in G's update too. Of the trainable variables only those of the
        network being updated change; running statistics and the seed states of layers
        advance wherever a network runs.

        Args:
            data: x or (x, labels), x float `(n, *sample_shape)`.

        Returns:
            dict of the running means named in the class.

        Raises:
            ValueError: while tracing, data of another shape or dtype, or batches that
                are known to have fewer than k rows (on a replica, where there are
                several).
        """
        minibatches = self._deal(self._examples(data))
        for real, size in minibatches:
            latents = self._latents(self._training_seeds, size)
            with tf.GradientTape() as tape:
                loss, terms = self.discriminator_objective(real, latents, training=True)
            self._log(terms, self._descend("discriminator", tape, loss, size))

        _, size = minibatches[0]
        latents = self._latents(self._training_seeds, size)
        with tf.GradientTape() as tape:
            loss, terms = self.generator_objective(latents, training=True)
        size = self._descend("generator", tape, loss, size)
        self._update_average(size)
        self._log(terms, size)
        return self._logs()

    def discriminator_objective(self, real, latents, training):
        """What D descends on one minibatch, and the terms to log.

        Args:
            real: float `(m, *sample_shape)`, examples.
            latents: float `(m, L)`.
            training: bool, passed to both networks.

        Returns:
            (scalar loss, dict of scalars): the adversarial loss plus D's weight
            regularisers (losses that layers add by themselves do not count); `value` is
            V(D, G) whatever the loss is.
        """
        fake = self.call(latents, training=training)
        real_logits = _at_least_float32(self.discriminator(real, training=training))
        fake_logits = _at_least_float32(self.discriminator(fake, training=training))
        loss = self.adversarial_loss.discriminator_loss(real_logits, fake_logits)
        loss += _weight_penalty(self.discriminator)
        return loss, {
            "discriminator_loss": loss,
            "value": losses.value(real_logits, fake_logits),
            "d_real": tf.reduce_mean(tf.sigmoid(real_logits)),
            "d_fake": tf.reduce_mean(tf.sigmoid(fake_logits)),
        }

    def generator_objective(self, latents, training):
        """What G descends on one minibatch of latents `(m, L)`, and the terms to log.

        Returns:
            (scalar loss, dict of scalars): the adversarial loss plus G's weight
            regularisers.
        """
        fake = self.call(latents, training=training)
        fake_logits = _at_least_float32(self.discriminator(fake, training=training))
        loss = self.adversarial_loss.generator_loss(fake_logits)
        loss += _weight_penalty(self.generator)
        return loss, {"generator_loss": loss}

    def test_step(self, data):
        """Both objectives on one batch with `training=False`; nothing is updated."""
        [(real, size)] = self._deal(self._examples(data), parts=1)
        latents = self._latents(self._sampling_seeds, size)
        _, terms = self.discriminator_objective(real, latents, training=False)
        self._log(terms, size)
        latents = self._latents(self._sampling_seeds, size)
        _, terms = self.generator_objective(latents, training=False)
        self._log(terms, size)
        return self._logs()

    # === Samples ===

    def call(self, latents, training=False):
        """The generator: latents `(batch, L)` to samples, in `value_range`.

        With `compile(ema_decay=...)` the averaged one, except in training. float32 also
        where it computes in 16 bits.
        """
        generator = self._generator(averaged=not training)
        return _at_least_float32(generator(latents, training=training))

    def generate(self, num_samples, seed=None, batch_size=256, averaged=True):
        """Samples G(z), z ~ p_z.

        Args:
            num_samples: int >= 1.
            seed: int or None. The same seed gives the same samples in any process and,
                up to the rounding of sums, for any batch size; None draws new ones at
                each call.
            batch_size: int, samples that the generator makes at once.
            averaged: bool. Where an average of the weights is kept
                (`compile(ema_decay=...)`), False draws with the weights themselves.

        Returns:
            float32 array `(num_samples, *sample_shape)`, in `value_range`.
        """
        if not _is_int(num_samples) or num_samples < 1:
            raise ValueError(
                f"Expected num_samples to be an int >= 1. Received: {num_samples!r}"
            )
        if not _is_int(batch_size) or batch_size < 1:
            raise ValueError(
                f"Expected batch_size to be an int >= 1. Received: {batch_size!r}"
            )
        if seed is None:
            seed = self._sampling_seeds.next()
        latents = self.latent_prior.sample(int(num_samples), seed)
        # By `predict` of this model where it can be: a compiled function, kept.
        model = self if averaged else self.generator
        return replicas.predict_locally(model, latents, int(batch_size))

    def export(self, base, version=None, card=None, check=None):
        """Publishes the generator as a SavedModel that TensorFlow Serving loads.

        In the place of Keras's own `export`, whose SavedModel would hold this model.
        The averaged generator, where there is one. See `export.export_generator`.

        Args:
            base: str or path-like; `<base>/<version>/` is written.
            version: int >= 1, or None for the highest there is + 1.
            card: dict of what else `gan_card.json` is to say, as JSON can hold.
            check: None, or a function that is called before the version is published,
                such as `export.verify`.

        Returns:
            `pathlib.Path` of the version's directory.
        """
        about = {"seed": self.seed, "averaged": self.averaged_generator is not None}
        if self.compiled:
            about["step"] = self.generator_steps
        from keras_gan import export

        return export.export_generator(
            self._generator(averaged=True),
            self.latent_prior,
            base,
            version,
            self.value_range,
            {**about, **(card or {})},
            check,
        )

    # === What Keras asks for ===

    @property
    def generator_steps(self):
        """Steps of the generator so far, an int, without those that were skipped."""
        # Not by `int`, which the variables of several replicas lack.
        return int(self.generator_optimizer.iterations.numpy())

    @property
    def metrics(self):
        return [*self._trackers.values(), *self._skipped_steps.values()]

    def get_config(self):
        return {
            "name": self.name,
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
            "latent_prior": keras.saving.serialize_keras_object(self.latent_prior),
            "value_range": self.value_range,
            "seed": self.seed,
            # Part of the architecture: it has weights of its own.
            "averaged": self.averaged_generator is not None,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        objects = {
            key: keras.saving.deserialize_keras_object(
                config[key], custom_objects=custom_objects
            )
            for key in ("generator", "discriminator", "latent_prior")
        }
        averaged = config.pop("averaged", False)
        gan = cls(**{**config, **objects})
        if averaged:
            gan.averaged_generator = gan._average(ema_decay=0.5)  # `compile` sets it
        return gan

    def get_compile_config(self):
        if not self.compiled:
            return None
        return keras.saving.serialize_keras_object(self._compile_arguments)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def _maybe_symbolic_build(self, *args, **kwargs):
        """Nothing: both networks are built.

        Keras would, under a strategy, draw a batch to build by, and a stream of batches
        such as `Dataset.batches` would enter the first epoch where it ends.
        """

    # === Details ===

    def _examples(self, data):
        """x of a dataset element, checked against what the discriminator takes."""
        examples, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            raise ValueError(
                "Expected a dataset of x or (x, labels). Received sample weights too."
            )
        examples = tf.convert_to_tensor(examples)
        if not examples.dtype.is_floating:
            raise ValueError(
                f"Expected float examples in {self.value_range or 'the data range'}. "
                f"Received {examples.dtype.name}: scale and cast them in the dataset."
            )
        if not examples.shape[1:].is_compatible_with(self.sample_shape):
            raise ValueError(
                f"Expected batches of shape {(None, *self.sample_shape)}, as the "
                f"generator makes them. Received: {tuple(examples.shape)}"
            )
        return examples

    def _deal(self, examples, parts=None):
        """[(examples, size), ...]: minibatch j is the rows j::k.

        An empty one has size 0, and the batch's last row for examples: networks must
        not see an empty batch, whose mean is NaN, in batch normalisation say.
        """
        k = parts or self.discriminator_steps
        rows = examples.shape[0]
        if rows is not None and rows < k and not tf.executing_eagerly():
            raise ValueError(
                f"Expected batches of at least k = {k} examples: `discriminator_steps` "
                f"minibatches are dealt out of each. Received batches of {rows}."
            )
        if rows is None:
            rows = tf.shape(examples)[0]
            examples = self._never_empty(examples, rows)
            # What stands in for the rows of an empty replica makes none.
            shown = tf.maximum(rows, 1)
        else:
            shown = rows
        if k == 1:
            return [(examples, rows)]
        return [
            (
                examples[tf.minimum(j, shown - 1) :: k],
                tf.maximum(rows - j + k - 1, 0) // k,
            )
            for j in range(k)
        ]

    def _never_empty(self, examples, rows):
        """The examples, or one, the mean of the others' first, on an empty replica."""
        if self._strategy.num_replicas_in_sync == 1:
            return examples
        first = tf.reduce_sum(examples[:1], axis=0, keepdims=True)
        spare, count = self._sum([first, tf.cast(rows > 0, examples.dtype)])
        spare /= tf.maximum(count, 1.0)
        return tf.concat([examples, spare[: tf.cast(rows == 0, tf.int32)]], axis=0)

    def _sum(self, values):
        """The sums of a list of tensors over all replicas."""
        if self._strategy.num_replicas_in_sync == 1:
            return values
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

    def _generator(self, averaged):
        average = self.averaged_generator if averaged else None
        return self.generator if average is None else average

    def _average(self, ema_decay):
        """The averaged generator for this decay: the present one, a new one, None."""
        if ema_decay is None:
            return None
        if isinstance(ema_decay, bool) or not (
            isinstance(ema_decay, (float, np.floating)) and 0 < ema_decay < 1
        ):
            raise ValueError(
                "Expected `ema_decay` to be None or a float in (0, 1), such as 0.999. "
                f"Received: {ema_decay!r}"
            )
        if self.averaged_generator is not None:
            return self.averaged_generator
        average = _copy_of(self.generator, self.latent_prior.latent_dim)
        if self._average_steps is None:
            self._average_steps = self.add_weight(
                shape=(),
                dtype="int64",
                trainable=False,
                aggregation="only_first_replica",
                name="average_steps",
            )
        self._average_steps.assign(0)
        return average

    def _descend(self, player, tape, loss, size):
        """One step of a network's optimizer down the loss of a minibatch.

        Args:
            player: "discriminator" or "generator".
            tape: `tf.GradientTape` that recorded `loss`.
            loss: float scalar.
            size: int or int scalar, the minibatch's examples; at 0 the gradient is 0.

        Returns:
            `size`, or 0 where a loss scale had the step skipped.
        """
        weights = getattr(self, player).trainable_variables
        optimizer = getattr(self, f"{player}_optimizer")
        # Optimizers sum over replicas, so that each contributes its share of the mean.
        share = tf.ones_like(loss)
        if self._strategy.num_replicas_in_sync > 1:
            (total,) = self._sum([tf.cast(size, loss.dtype)])
            share *= tf.cast(size, loss.dtype) / tf.maximum(total, 1.0)
        # The gradient of the scaled loss, without a second tape for the scale.
        scale = optimizer.scale_loss(share)
        gradients = tape.gradient(loss, weights, scale)
        # With k = 1 on one device no minibatch is empty, nor is the generator's for any
        # k: the choice, for which all gradients have to wait, is left out.
        several = player == "discriminator" and self.discriminator_steps > 1
        if several or self._strategy.num_replicas_in_sync > 1:
            gradients = _unless_empty(gradients, size)
        if player not in self._skipped_steps:
            optimizer.apply(gradients, weights)
            return size
        # Counts every gradient that is taken, also one that is only accumulated.
        counter = optimizer.inner_optimizer._iterations
        steps = tf.identity(counter)
        optimizer.apply(self._finite_on_all(gradients), weights)
        skipped = tf.equal(steps, counter)
        self._skipped_steps[player].update_state(tf.cast(skipped, tf.float32))
        return tf.where(skipped, 0, size)

    def _finite_on_all(self, gradients):
        """The gradients, one of them NaN where those of any replica are not finite.

        Keras's loss scale asks one replica, and would apply the others' infinity.
        """
        if self._strategy.num_replicas_in_sync == 1:
            return gradients
        known = [gradient for gradient in gradients if gradient is not None]
        finite = [tf.reduce_all(tf.math.is_finite(gradient)) for gradient in known]
        (overflows,) = self._sum([tf.cast(~tf.reduce_all(finite), tf.float32)])
        spoil = tf.where(overflows > 0, np.nan, 0.0)
        least = min(known, key=lambda gradient: gradient.shape.num_elements())
        return [
            gradient + tf.cast(spoil, gradient.dtype) if gradient is least else gradient
            for gradient in gradients
        ]

    def _update_average(self, size):
        """Takes G into its average, unless its step was skipped (size 0)."""
        if self.averaged_generator is None:
            return
        made = size > 0 if "generator" in self._skipped_steps else True
        self._average_steps.assign_add(tf.cast(made, tf.int64))
        steps = tf.cast(self._average_steps, tf.float32)
        # (1 - d) / (1 - d^t), from 1 down to 1 - d, without cancellation.
        share = (1.0 - self.ema_decay) / -tf.math.expm1(
            steps * math.log(self.ema_decay)
        )
        share = tf.where(made, share, 0.0)
        pairs = zip(
            self.averaged_generator.weights, self.generator.weights, strict=True
        )
        for average, weight in pairs:
            if weight.trainable:
                average.assign_add(tf.cast(share, average.dtype) * (weight - average))
            else:
                average.assign(tf.where(made, weight, average))

    def _latents(self, seed_generator, size):
        seed = seed_generator.next()
        if self._strategy.num_replicas_in_sync > 1:
            # Keras gives every replica the same seed.
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            seed = tf.random.experimental.stateless_fold_in(
                tf.cast(seed, tf.int32), replica
            )
        return self.latent_prior.sample(tf.maximum(size, 1), seed)

    def _log(self, terms, size):
        """Takes the terms of a minibatch's `size` examples into the running means."""
        terms = {  # 0 * NaN is NaN
            name: tf.where(size > 0, term, 0.0) for name, term in terms.items()
        }
        if self._strategy.num_replicas_in_sync > 1:
            size = tf.cast(size, tf.float32)
            sums = self._sum([size, *(size * term for term in terms.values())])
            size = sums[0]
            means = [total / tf.maximum(size, 1.0) for total in sums[1:]]
            terms = dict(zip(terms, means, strict=True))
        for name, term in terms.items():
            self._trackers[name].update_state(term, sample_weight=size)

    def _logs(self):
        """The running means, in the shape that Keras's reduction takes."""
        logs = self.get_metrics_result()
        if isinstance(self._strategy, tf.distribute.MultiWorkerMirroredStrategy):
            # Keras takes the mean over an axis 0, which a scalar lacks.
            return {name: tf.reshape(value, (1,)) for name, value in logs.items()}
        return logs


class _Agreed:
    """A metric that every replica is told the same, so that one has all of it.

    Keras's own would sum over the replicas, and to read them, to save the model say,
    all workers would have to read at once.
    """

    def add_variable(self, *args, **kwargs):
        return super().add_variable(
            *args, **{**kwargs, "aggregation": "only_first_replica"}
        )


class _Mean(_Agreed, keras.metrics.Mean):
    pass


class _Sum(_Agreed, keras.metrics.Sum):
    pass


def _compute_dtypes(*networks):
    """The dtypes that the layers of networks compute in, a set of names."""
    return {
        layer.compute_dtype
        for network in networks
        for layer in network._flatten_layers()
    }


def _loss_scaled(optimizer):
    if isinstance(optimizer, LossScaleOptimizer):
        return optimizer
    return LossScaleOptimizer(optimizer)


def _at_least_float32(tensor):
    """float16 and bfloat16 as float32: what a loss, a log or a pixel needs."""
    return tf.cast(tensor, tf.float32) if tensor.dtype.size < 4 else tensor


def _unless_empty(gradients, size):
    """The gradients, or zeros where the minibatch is empty.

    A choice, not a product, for 0 * NaN is NaN; and no `tf.where`, which would cost a
    pass over all weights at each step.
    """
    if isinstance(size, int):
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


def _weight_penalty(network):
    """The sum of the weight regularisers of a network's trainable weights."""
    return sum(
        variable.regularizer(variable)
        for variable in network.trainable_variables
        if variable.regularizer is not None
    )


def _copy_of(generator, latent_dim):
    """A generator of the same architecture and weights, which nothing trains."""
    try:
        copy = keras.models.clone_model(generator)
        if not copy.built:
            copy(keras.KerasTensor((None, latent_dim), dtype="float32"))
        copy.set_weights(generator.get_weights())
    except (TypeError, ValueError, NotImplementedError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            "Expected a generator that Keras can copy (one with `get_config`), for "
            f"`ema_decay`. Received: {generator.name!r}, which fails: {reason}"
        ) from error
    copy.trainable = False
    return copy


def _is_int(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _check_fit(generator, discriminator, latent_prior):
    """The shape of one sample, if prior, generator and discriminator fit in a row."""
    latent_shape = (latent_prior.latent_dim,)
    sample_shape = _output_shape(generator, "generator", latent_shape, "latent prior")
    logit_shape = _output_shape(
        discriminator, "discriminator", sample_shape, "generator's output"
    )
    if logit_shape != (1,):
        raise ValueError(
            "Expected a discriminator with one logit for each sample, output shape "
            f"(None, 1). Received output shape: {(None, *logit_shape)}"
        )
    layers = discriminator.layers
    activation = getattr(layers[-1], "activation", None) if layers else None
    if activation in (keras.activations.sigmoid, keras.activations.softmax):
        raise ValueError(
            "Expected a discriminator that ends in a logit, of which the losses take "
            f"the sigmoid. Received: {activation.__name__} as its last activation; "
            "remove it."
        )
    return sample_shape


def _output_shape(network, role, input_shape, source):
    """The shape of one output of `network` for inputs of `input_shape`."""
    if not isinstance(network, keras.Model):
        raise ValueError(f"Expected the {role} to be a Keras model. Got: {network!r}")
    declared = getattr(network, "input_shape", None) if network.built else None
    misfit = (
        f"Expected a {role} that takes what the {source} gives, shape "
        f"{(None, *input_shape)}. Received {network.name!r}"
    )
    if isinstance(declared, tuple) and not tf.TensorShape(declared).is_compatible_with(
        (None, *input_shape)
    ):
        raise ValueError(f"{misfit} with input shape {declared}.")
    try:
        output = network(keras.KerasTensor((None, *input_shape), dtype="float32"))
    except Exception as error:  # whatever a user's own network raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{misfit}, which fails on it: {reason}") from error
    if not isinstance(output, keras.KerasTensor):
        raise ValueError(
            f"Expected a {role} with one output tensor. Received: {type(output)}"
        )
    return tuple(output.shape[1:])


def _spread_seed(seed, networks):
    """Seeds for training and sampling; seeds the layers' own generators on the way.

    Keras seeds an unseeded Dropout at random, and offers no other handle on it than
    the state variable.
    """
    if seed is None:
        return None, None
    if not _is_int(seed) or not 0 <= seed < 2**32:
        raise ValueError(
            f"Expected `seed` to be an int in [0, 2**32) or None. Received: {seed!r}"
        )
    states = [
        variable
        for network in networks
        for variable in network.variables
        if variable.name == "seed_generator_state"
    ]
    training, sampling, *layers = np.random.SeedSequence(int(seed)).generate_state(
        2 + len(states)
    )
    for state, layer_seed in zip(states, layers, strict=True):
        state.assign([int(layer_seed), 0])
    return int(training), int(sampling)
