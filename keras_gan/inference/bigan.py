"""Bidirectional GANs: an encoder that learns in the same game.

References: J. Donahue et al., Adversarial Feature Learning, arXiv 1605.09782 (BiGAN);
V. Dumoulin et al., Adversarially Learned Inference, arXiv 1606.00704 (ALI).
"""

import math

import keras

from keras_gan import checks, players, priors
from keras_gan.gan import GAN
from keras_gan.generation import at_least_float32
from keras_gan.inference import encoding
from keras_gan.inference.latent_space import LatentSpace


@keras.saving.register_keras_serializable("keras_gan")
class BiGAN(GAN):
    """A generator, a discriminator of pairs, and an encoder E from samples to latents.

        min_{G, E} max_D  E_x log D(x, E(x)) + E_z log(1 - D(G(z), z))

    At the equilibrium the pairs (x, E(x)) and (G(z), z) follow one distribution, and E
    inverts G (arXiv 1605.09782, theorem 2). `fit` is that of `GAN`: Algorithm 1 with a
    third player. E's step follows G's, on the same examples and with fresh latents. G
    and E descend the loss with swapped labels, see `FoolDiscriminator`. `encoder_loss`
    is logged as well; all other names are those of `GAN`, where "real" is (x, E(x)).

    Training reaches that equilibrium slowly; until then E can fool D with latents that
    tell little about x. With `compile(reconstruction=w)` G and E descend, besides, w
    times the mean of (x - G(E(x)))^2 over the values of the examples, which is 0 at the
    equilibrium too (C. Li et al., ALICE, arXiv 1709.01215, section 3.2). It is logged
    as `reconstruction_error`. G then runs on E(x) as well as on z, and its batch
    normalisation keeps running statistics of both.

    Penalties take the gradient by both parts of a pair. An augmentation changes what D
    sees, not what E sees.

    Args:
        generator: Keras model from latents `(batch, L)` to samples `(batch, ...)`.
        discriminator: Keras model from {"samples", "latents"} to one logit each,
            `(batch, 1)`, with no sigmoid.
        encoder: built Keras model from samples to coordinates `(batch, L)`. E(x) is the
            latents that these stand for, see `LatentSpace`: the coordinates themselves
            for a normal prior, their scaled sigmoid for a uniform one.
        latent_prior: one of `priors`, or a TFP distribution, that `LatentSpace` takes.
        value_range, seed, name: see `GAN`.

    Attributes:
        encoder: Keras model, as given.
        averaged_encoder: Keras model or None, see `compile`.
        latent_space: `LatentSpace` of the prior.

    Raises:
        ValueError: see `GAN`; a prior that draws labels or has no coordinates; an
            encoder that does not fit.
    """

    def __init__(
        self,
        generator,
        discriminator,
        encoder,
        latent_prior,
        value_range=(0.0, 1.0),
        seed=None,
        name=None,
    ):
        latent_prior = priors.get(latent_prior)
        if latent_prior.is_labelled:
            raise ValueError(
                "Expected a prior of latents alone: a BiGAN takes no labels. "
                f"Received: {latent_prior!r}"
            )
        space = LatentSpace(latent_prior)
        super().__init__(
            generator,
            discriminator,
            latent_prior,
            value_range,
            seed,
            name,
            players={"encoder": encoder},
        )
        encoding.check_network(encoder, self.sample_shape, latent_prior.latent_dim)
        self.latent_space = space
        self.encoder_average = self.averaged_encoder = self._encoder_steps = None
        self.reconstruction = 0.0

    @property
    def encoder(self):
        return self.further_networks["encoder"]

    @property
    def averages(self):
        return {**super().averages, "encoder": self.encoder_average}

    def compile(
        self,
        generator_optimizer,
        discriminator_optimizer,
        encoder_optimizer,
        reconstruction=0.0,
        **options,
    ):
        """Configures the training.

        Args:
            generator_optimizer, discriminator_optimizer, encoder_optimizer: Keras
                optimizers or their names, one object each.
            reconstruction: float >= 0, the weight w of the reconstruction error.
            **options: as in `GAN.compile`. With `ema_decay`, the weights of E are
                averaged as those of G are; `encode` then uses `averaged_encoder`.

        Raises:
            TypeError, ValueError: see `GAN.compile`; a weight that is no number >= 0.
        """
        weight = reconstruction
        if not (checks.is_number(weight) and 0 <= weight < math.inf):
            raise ValueError(
                f"Expected `reconstruction` to be a number >= 0. Received: {weight!r}"
            )
        before, self.reconstruction = self.reconstruction, float(weight)
        try:
            super().compile(
                generator_optimizer,
                discriminator_optimizer,
                optimizers={"encoder": encoder_optimizer},
                objectives={"encoder": FoolDiscriminator()},
                **options,
            )
        except BaseException:  # what was compiled before goes on as it was
            self.reconstruction = before
            raise
        # What `compile` takes again where the model is loaded.
        del self._compile_arguments["objectives"]
        chosen = self._compile_arguments.pop("optimizers")
        self._compile_arguments["encoder_optimizer"] = chosen["encoder"]
        self._compile_arguments["reconstruction"] = self.reconstruction

    def encode(self, images, batch_size=256, averaged=True):
        """Returns the latents E(x) of given examples.

        Args:
            images: array `(n, *sample_shape)`, float in `value_range`, or uint8.
            batch_size: int, examples at once.
            averaged: bool. Where an average of the weights is kept
                (`compile(ema_decay=...)`), False encodes with the weights themselves.

        Returns:
            float32 array `(n, L)`, within the bounds of the prior.

        Raises:
            ValueError: examples of another shape, dtype or range; none.
        """
        encoder = self.averaged_encoder if averaged else None
        encoder = self.encoder if encoder is None else encoder
        return encoding.encode(
            encoder, self.latent_space, images, self.spec, batch_size
        )

    def latents_model(self):
        """Returns E as a Keras model of samples to latents: the averaged, if any."""
        encoder = self.averaged_encoder or self.encoder
        return encoding.Latents(encoder, self.latent_space)

    # === The game ===

    @staticmethod
    def critic_inputs(samples, latents):
        return {"samples": samples, "latents": latents}

    def judged_real(self, real, training):
        """Returns the pairs (x, E(x)) of examples.

        As `judged` does, with the averaged network where there is one, but in training.

        Args:
            real: float `(m, *sample_shape)`.
            training: bool, passed to E.

        Returns:
            what D takes, see `critic_inputs`.
        """
        average = None if training else self.averaged_encoder
        encoder = self.encoder if average is None else average
        coordinates = at_least_float32(encoder(real, training=training))
        latents = self.latent_space.latents(coordinates)
        # Keras takes tensors, or arrays, not both.
        return self.critic_inputs(keras.ops.convert_to_tensor(real), latents)

    def reconstruction_error(self, pairs, training):
        """Returns the mean of (x - G(E(x)))^2 over pairs (x, E(x)), a scalar."""
        again = self.call(pairs["latents"], training=training)
        difference = keras.ops.subtract(again, pairs["samples"])
        return keras.ops.mean(keras.ops.square(difference))

    def generator_objective(self, real, latents, training):
        loss, terms = super().generator_objective(real, latents, training)
        if not self.reconstruction:
            return loss, terms
        error = self.reconstruction_error(self.judged_real(real, training), training)
        loss += self.reconstruction * error
        return loss, {"generator_loss": loss, "reconstruction_error": error}

    def _terms(self):
        more = ["reconstruction_error"] if self.reconstruction else []
        return [*super()._terms(), *more]

    # === Saving ===

    def get_config(self):
        config = super().get_config()
        config["encoder"] = config.pop("players")["encoder"]
        return config

    def _keep_average(self, decay, ramp=None):
        super()._keep_average(decay, ramp)
        samples = keras.KerasTensor((None, *self.sample_shape), dtype="float32")
        self.averaged_encoder, self._encoder_steps, self.encoder_average = self._kept(
            self.encoder_average, self.encoder, samples, decay, ramp
        )


@keras.saving.register_keras_serializable("keras_gan")
class FoolDiscriminator(players.Objective):
    """What the encoder descends: the generator's loss, the two kinds of pairs swapped.

    With D's logits a of (x, E(x)) and b of (G(z), z), G descends loss_G(b), or
    loss_G(b, a) where the loss is relativistic. E descends loss_G(-a), or
    loss_G(-a, -b): a logit that speaks for the one kind speaks, with the other sign,
    against the other. For `losses.LeastSquares`, whose boundary is 1/2, it is 1 - a. So

        minimax:         E log D(x, E(x)), the part of equation (1) that has E in it
        non-saturating:  -E log(1 - D(x, E(x)))

    E also descends `BiGAN.reconstruction` times the error of the reconstructions.
    """

    def __call__(self, gan, network, real, latents, training):
        loss, critic = gan.adversarial_loss, gan.critic(training)
        pairs = [gan.judged_real(real, training)]
        if loss.relativistic:
            pairs.append(gan.judged(latents, training))
        boundary = loss.boundary or 0.0
        swapped = (2.0 * boundary - critic.answers(each) for each in pairs)
        descended = loss.generator_loss(*swapped)
        if gan.reconstruction:
            error = gan.reconstruction_error(pairs[0], training)
            descended += gan.reconstruction * error
        return descended
