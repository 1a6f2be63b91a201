"""Generative adversarial nets as a Keras model: Algorithm 1 of the 2014 paper.

Reference: Goodfellow et al., Generative Adversarial Nets, arXiv 1406.2661.
"""

from functools import partial

import keras
import tensorflow as tf

from keras_gan import augmentation as augmentations
from keras_gan import checks, critics, layer_checks, minibatches, model_checks, priors
from keras_gan import penalties as penalties_module
from keras_gan.generation import GenerativeModel, at_least_float32
from keras_gan.inputs import CheckedInputs
from keras_gan.logs import RunningMeans
from keras_gan.players import Player, step_of_players, weight_penalty
from keras_gan.serialization import Serializable
from keras_gan.watching import DataWatch


@keras.saving.register_keras_serializable("keras_gan")
class GAN(CheckedInputs, Serializable, GenerativeModel):
    """A generator and a discriminator that play the minimax game of equation (1).

        min_G max_D V(D, G) = E_{x ~ p_data} log D(x) + E_{z ~ p_z} log(1 - D(G(z)))

    `fit` takes any data that Keras takes: an element is x, (x, labels), or a dict with
    "image" or "samples" and perhaps "label" or "labels"; x is float
    `(k * m, *sample_shape)`. One element is one pass through the body of Algorithm 1: k
    discriminator steps, then one generator step.

    The logs are means over an epoch so far: `discriminator_loss`, `generator_loss`,
    each penalty by its name, and what the loss has to say. For the paper's losses that
    is `value` (V(D, G); -log 4 = -1.386 at the equilibrium), `d_real` and `d_fake`
    (mean D(x) and D(G(z)); 1/2 each). `evaluate` logs the same with `training=False`
    and without penalties or augmentation. In float16 `discriminator_skipped_steps` and
    `generator_skipped_steps` count steps whose gradient was not finite; the means leave
    these out. Callbacks that monitor a log need `mode=` ("min" or "max").

    Made and compiled in the scope of a `tf.distribute` strategy, it trains on all of
    its replicas as on one device, see `replicas.SeveralReplicas`. Keras makes the masks
    of dropout and noise layers alike on all replicas, and leaves each its own running
    statistics, of which the first's are saved.

    Args:
        generator: Keras model from latents `(batch, L)` to samples `(batch, ...)`; from
            {"latents", "labels"}, where the prior draws labels too.
        discriminator: Keras model from samples to ONE logit each, `(batch, 1)`, with no
            sigmoid: D(x) = sigmoid(logit). It takes {"samples", "labels"} where the
            prior draws labels; see `losses.AuxiliaryClassifier` for `(batch, 2)`.
        latent_prior: one of `priors`, or any TFP distribution of event shape `(L,)`.
        value_range: (low, high) of the samples that the networks work in, or None where
            their values have no bounds.
        seed: int in [0, 2**32) or None. Latents, and the masks and noise of every
            seeded layer of both networks (dropout, say), are a function of it; initial
            weights are the networks' own. None takes a random seed.
        name: str or None.
        players: dict of names to built Keras models, further networks that `compile`
            gives an optimizer and an objective each: an encoder, say.

    Attributes:
        spec: `samples.SampleSpec` of one sample.
        players: tuple of `players.Player`, those that a step updates, in the order in
            which it does; empty before `compile`.
        averaged_generator: Keras model or None, see `compile`.
        augmentation: `augmentation.Augmentation` or None, see `compile`.

    Raises:
        ValueError: networks or a prior that do not fit each other or the range.
    """

    def __init__(
        self,
        generator,
        discriminator,
        latent_prior,
        value_range=(0.0, 1.0),
        seed=None,
        name=None,
        players=None,
    ):
        latent_prior = priors.get(latent_prior)
        shape, columns = model_checks.shapes(
            generator, discriminator, latent_prior, self.critic_inputs
        )
        further_networks = model_checks.further_networks(players)
        networks = [generator, discriminator, *further_networks.values()]
        layer_checks.check_layers(networks, latent_prior)
        training_seed, sampling_seed = model_checks.spread_seed(seed, networks)
        super().__init__(
            generator, latent_prior, shape, value_range, sampling_seed, name
        )
        self.seed = checks.seed(seed)
        self.discriminator, self._columns = discriminator, columns
        self.further_networks = further_networks
        self._training_seeds = keras.random.SeedGenerator(training_seed)
        # === Training, see `compile` ===
        self.players = ()
        self.augmentation = None
        self.running_means = RunningMeans((), self.replicas)
        self.data_watch = DataWatch(self.spec, latent_prior.num_classes, self.replicas)
        # Every network is built. Without this, `fit` may build by `call` on the DATA.
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
        penalties=(),
        optimizers=None,
        objectives=None,
        ema_ramp=None,
        augmentation=None,
        **others,
    ):
        """Configures the training.

        Args:
            generator_optimizer, discriminator_optimizer: Keras optimizers or their
                names, one object each. Where a layer of any network computes in
                float16, they are wrapped in `keras.mixed_precision.LossScaleOptimizer`
                (what is wrapped already stays as it is): a step whose gradient is not
                finite changes no weight, slot or counter, halves its network's loss
                scale, and is left out of the averaged weights.
            loss: "non_saturating" (section 3 of the paper), "minimax" (equation 1), or
                a `losses.AdversarialLoss`.
            discriminator_steps: int >= 1, k of Algorithm 1.
            jit_compile, steps_per_execution, run_eagerly: as in `keras.Model.compile`.
            ema_decay: float d in (0, 1) or None. `averaged_generator` then holds the
                mean of the generator's weights over its steps, see
                `averaging.WeightAverage`. `call`, `generate`, `predict` and `evaluate`
                use it, the training never does. A model that is compiled again keeps
                its average.
            penalties: list of `penalties.Penalty`, terms that D descends as well.
            optimizers, objectives: dicts with an optimizer and a `players.Objective`
                for each further player, by its name.
            ema_ramp: float in (0, 1] or None, see `averaging.WeightAverage`.
            augmentation: None, an `augmentation.Augmentation` or its name, of what D
                sees in training. An object that is compiled again keeps its state.

        Raises:
            TypeError: another argument, such as Keras's `metrics`.
            ValueError: a loss that is unknown or does not read what D answers, k < 1,
                one optimizer for two networks, what cannot be saved, a decay outside
                (0, 1), or an augmentation that is not for such samples; a call in
                another strategy's scope than the GAN was made in; on several replicas
                XLA, several steps in one execution, or accumulated gradients.
        """
        model_checks.refuse_others(others)
        given = {
            "generator_optimizer": generator_optimizer,
            "discriminator_optimizer": discriminator_optimizer,
            "loss": model_checks.loss_for(self._columns, loss),
            "discriminator_steps": discriminator_steps,
            "jit_compile": jit_compile,
            "steps_per_execution": steps_per_execution,
            "run_eagerly": run_eagerly,
            "ema_decay": ema_decay,
            "penalties": penalties,
            "optimizers": optimizers,
            "objectives": objectives,
            "ema_ramp": ema_ramp,
            "augmentation": augmentation,
        }
        arguments = model_checks.compile_arguments(given, self)
        self._keep_average(ema_decay, ema_ramp)
        super().compile(
            optimizer=None,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
            run_eagerly=run_eagerly,
        )
        self._compile_arguments = arguments
        self.adversarial_loss = arguments["loss"]
        self.discriminator_steps = arguments["discriminator_steps"]
        self.penalties = arguments["penalties"]
        self.objectives = arguments["objectives"]
        if self.augmentation is not arguments["augmentation"]:
            self._let_go(self.augmentation)
        self.augmentation = arguments["augmentation"]
        # Attributes of the model itself, so that Keras saves their state.
        self.generator_optimizer = arguments["generator_optimizer"]
        self.discriminator_optimizer = arguments["discriminator_optimizer"]
        self.further_optimizers = arguments["optimizers"]
        chosen, averages = model_checks.optimizers_by_player(arguments), self.averages
        # With k = 1 on one device no minibatch is empty: the choice, for which all
        # gradients have to wait, is left out.
        may_be_empty = self.replicas.count > 1 or self.discriminator_steps > 1
        self.players = tuple(
            Player(name, each, chosen[name], self.replicas, may_be_empty, averages)
            for name, each in self.networks.items()
        )
        self.running_means = RunningMeans(self._terms(), self.replicas)

    # === Algorithm 1 ===

    @minibatches.once_there
    @step_of_players
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
        advance wherever a network runs. Further players follow, one step each.

        Args:
            data: x, (x, labels) or a dict, see the class.

        Returns:
            dict of the running means named in the class.

        Raises:
            ValueError: while tracing, data of another shape or dtype, or batches known
                to have fewer than k rows (on one of several replicas).
        """
        discriminator, generator, *others = self.players
        deal = self._deal(data, self.discriminator_steps)

        def step(real, size):
            latents = self._latents(self._training_seeds, size)
            with tf.GradientTape() as tape:
                loss, terms = self.discriminator_objective(real, latents, training=True)
            made = discriminator.descend(tape, loss, size)
            self.running_means.update(terms, made)
            if self.augmentation is not None:
                self.augmentation.update(terms, made, self.replicas)

        # An objective of the user's may keep tensors, which a loop would not let out.
        is_ours = type(self).discriminator_objective is GAN.discriminator_objective
        deal.for_each(step, self.jit_compile, may_loop=is_ours)

        # A loss that pairs samples with examples takes the last, which D saw last.
        real, size = deal[-1 if self.adversarial_loss.relativistic else 0]
        latents = self._latents(self._training_seeds, size)
        with tf.GradientTape() as tape:
            loss, terms = self.generator_objective(real, latents, training=True)
        self.running_means.update(terms, generator.descend(tape, loss, size))

        for player in others:
            latents = self._latents(self._training_seeds, size)
            with tf.GradientTape() as tape:
                loss, terms = self.further_objective(player, real, latents, True)
            self.running_means.update(terms, player.descend(tape, loss, size))
        return self.replicas.reducible(self.get_metrics_result())

    def discriminator_objective(self, real, latents, training):
        """Returns what D descends on one minibatch, and the terms to log.

        Args:
            real: what D takes, examples: float `(m, *sample_shape)`, or a dict with
                these as "samples" and with "labels".
            latents: what G takes: float `(m, L)`, or a dict.
            training: bool, passed to both networks.

        Returns:
            (scalar loss, dict of scalars): the adversarial loss, D's weight
            regularisers (losses that layers add by themselves do not count) and, in
            training, the penalties.
        """
        critic = self.critic(training)
        real = self.judged_real(real, training)
        fake = self.judged(latents, training)
        of_real, of_fake = map(critic.watched_answers, (real, fake))
        loss = self.adversarial_loss.discriminator_loss(of_real, of_fake)
        loss += weight_penalty(self.discriminator)
        terms = self.adversarial_loss.diagnostics(of_real, of_fake)
        if training and self.augmentation is not None:
            terms = {**terms, **self.augmentation.terms(critics.logits(of_real))}
        if training and self.penalties:  # without any, no seed is drawn
            seed = self.replicas.seed(self._training_seeds.next())
            step = self.discriminator_optimizer.iterations
            due = penalties_module.terms(self.penalties, critic, real, fake, seed, step)
            loss += sum(due.values())
            terms = {**terms, **due}
        return loss, {"discriminator_loss": loss, **terms}

    def generator_objective(self, real, latents, training):
        """Returns what G descends on one minibatch, and the terms to log.

        Args:
            real, latents, training: as for the discriminator. The loss sees what D
                answers to `real` only where it is relativistic.

        Returns:
            (scalar loss, dict of scalars): the adversarial loss plus G's weight
            regularisers.
        """
        critic = self.critic(training)
        answers = [critic.answers(self.judged(latents, training))]
        if self.adversarial_loss.relativistic:
            answers.append(critic.answers(self.judged_real(real, training)))
        loss = self.adversarial_loss.generator_loss(*answers)
        loss += weight_penalty(self.generator)
        return loss, {"generator_loss": loss}

    def further_objective(self, player, real, latents, training):
        """Returns what a further player descends on one minibatch, and its terms."""
        objective = self.objectives[player.name]
        loss = objective(self, player.network, real, latents, training)
        loss += weight_penalty(player.network)
        return loss, {f"{player.name}_loss": loss}

    def critic(self, training):
        """Returns the discriminator as a `critics.Critic`, a function to float logits.

        With `training` it augments first: whatever one critic is called on, row i of
        it gets the same draws, examples, samples and what penalties ask for alike.
        """
        augment = augmentations.of_one_draw(
            self.augmentation if training else None, self._training_seeds, self.replicas
        )
        return critics.Critic(
            lambda inputs: at_least_float32(
                self.discriminator(augment(inputs), training=training)
            )
        )

    @minibatches.once_there
    def test_step(self, data):
        """Returns the logs of all objectives on the batch `data`; updates nothing."""
        real, size = self._deal(data, 1)[0]
        further = [partial(self.further_objective, p) for p in self.players[2:]]
        names = []  # of what is measured: penalties, say, are not
        for each in (self.discriminator_objective, self.generator_objective, *further):
            latents = self._latents(self._sampling_seeds, size)
            _, terms = each(real, latents, training=False)
            self.running_means.update(minibatches.nan_unless_finite(terms, real), size)
            names += terms
        logs = self.get_metrics_result()
        return self.replicas.reducible({name: logs[name] for name in names})

    # === What Keras asks for ===

    @property
    def metrics(self):
        skips = [p.skipped_steps for p in self.players if p.skipped_steps is not None]
        return [*self.running_means.metrics.values(), *skips]

    # === Details ===

    @property
    def networks(self):
        """The networks of all players by name, in the order of their steps."""
        return {
            "discriminator": self.discriminator,
            "generator": self.generator,
            **self.further_networks,
        }

    def _terms(self):
        """Returns the names of what the objectives log."""
        answers = tf.zeros((1, self._columns))
        return [
            *(f"{player.name}_loss" for player in self.players),
            *self.adversarial_loss.diagnostics(answers, answers),
            *(self.augmentation.terms(answers) if self.augmentation else ()),
            *(penalty.name for penalty in self.penalties),
        ]

    def _deal(self, data, parts):
        """Returns the `minibatches.Deal` of what D takes of a batch."""
        examples = minibatches.examples(data, self.spec, self.latent_prior)
        examples = self.data_watch.classes(examples)
        deal = minibatches.Deal(examples, parts, self.replicas)
        self.data_watch.update(minibatches.samples_in(deal.examples))
        return deal
