"""An encoder that is trained after its generator, which stays as it is."""

import keras
import tensorflow as tf

from keras_gan import (
    averaging,
    checks,
    inputs,
    keras_private,
    minibatches,
    players,
)
from keras_gan.generation import GenerativeModel, at_least_float32
from keras_gan.inference import encoding
from keras_gan.inference.latent_space import LatentSpace
from keras_gan.keras_private import BuiltModel

# Draws by which the deviation of each latent is estimated.
_NUM_DRAWS = 10_000
# What stands for the examples of a batch where there are none.
_ROWS = "rows"


@keras.saving.register_keras_serializable("keras_gan")
class Encoder(BuiltModel, keras.Model):
    """Learns z from G(z), for a fixed generator G: learned approximate inference.

    "Learned approximate inference can be performed by training an auxiliary network to
    predict z given x" (arXiv 1406.2661, section 7, point 2). With the latents z of the
    prior, whose deviations are s, and real examples x, E descends

        mean_i E_z ((E(G(z))_i - z_i) / s_i)^2  +  reconstruction * E_x |G(E(x)) - x|^2

    where |.|^2 is a mean over the values of an example. The first term, `latent_loss`,
    is the share of the latents' variance that E leaves unexplained: 1 for an encoder
    that always answers the prior's mean. Squares in z, not in the coordinates of
    `LatentSpace`, because those of a uniform prior's edges are far apart for latents
    that G can hardly tell apart. The second, `reconstruction_loss`, is for what G never
    makes: without it E has seen samples alone.

    It is compiled, trained and saved as any Keras model. `fit` takes what `GAN.fit`
    takes, and its own latents by `seed`.

    Args:
        gan: `GAN`. G is a copy of its averaged generator, or of its generator where no
            average is kept: what it learns later does not change this one.
        network: built Keras model from samples to coordinates `(batch, L)`, such as
            `networks.encoder` builds; from {"samples", "labels"} where the prior draws
            labels. E(x) is the latents that these stand for, see `LatentSpace`.
        reconstruction: float >= 0, the weight of the second term.
        seed: int in [0, 2**32) or None, of the latents that it is trained on.
        name: str or None.

    Attributes:
        generator: Keras model, G, which nothing trains.
        network, latent_prior, spec: as given.

    Raises:
        ValueError: a network that does not fit, a negative weight, or a prior that has
            no coordinates.
    """

    def __init__(self, gan, network, reconstruction=0.0, seed=None, name=None):
        super().__init__(name=name, dtype="float32")
        if not isinstance(gan, GenerativeModel):
            raise ValueError(f"Expected a GAN. Received: {gan!r}")
        if not checks.is_number(reconstruction) or reconstruction < 0:
            raise ValueError(
                f"Expected reconstruction >= 0. Received: {reconstruction!r}"
            )
        prior = gan.latent_prior
        self.latent_prior, self.spec = prior, gan.spec
        self.latent_space = LatentSpace(prior)
        encoding.check_network(
            network, self.spec.shape, prior.latent_dim, prior.is_labelled
        )
        self.network = network
        self.reconstruction = float(reconstruction)
        self.seed = checks.seed(seed)
        self.generator = averaging.copy_of(
            gan.averaged_generator or gan.generator, prior.symbolic_sample()
        )
        draws = _latents(prior.sample(_NUM_DRAWS, 0))
        self._deviations = tf.math.reduce_std(draws, axis=0).numpy()
        self._seeds = keras.random.SeedGenerator(seed)
        names = ["loss", "latent_loss", *["reconstruction_loss"] * bool(reconstruction)]
        self._means = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True

    def compile(self, optimizer="adam", **options):
        """Configures the training.

        Args:
            optimizer: Keras optimizer or its name.
            **options: `jit_compile`, `run_eagerly` and `steps_per_execution`, as in
                `keras.Model.compile`.
        """
        optimizer = players.optimizer_for(optimizer, "encoder")
        if "float16" in keras_private.compute_dtypes(self.network):
            optimizer = players.loss_scaled(optimizer)
        super().compile(optimizer=optimizer, **options)

    def fit(self, x=None, y=None, batch_size=None, **options):
        """Trains as `keras.Model.fit` does.

        Args:
            x: real examples as `GAN.fit` takes them; or None, with `steps_per_epoch`:
                the latents alone are drawn.
            y: labels of an array `x`, where the prior draws labels.
            batch_size: int, latents in a step; None is Keras's 32.
            **options: as in `keras.Model.fit`; `validation_data` as `GAN.fit` takes
                it.

        Returns:
            `keras.callbacks.History`.

        Raises:
            ValueError: no examples, where `reconstruction` asks for some; or no
                `steps_per_epoch` without examples.
        """
        if x is None:
            if self.reconstruction:
                raise ValueError(
                    "Expected real examples for reconstruction="
                    f"{self.reconstruction:g}. Received: None"
                )
            checks.count("steps_per_epoch", options.get("steps_per_epoch"))
            rows = tf.zeros((checks.count("batch_size", batch_size or 32),))
            x, batch_size = tf.data.Dataset.from_tensors({_ROWS: rows}).repeat(), None
        else:
            x, batch_size = inputs.checked(x, self, batch_size)
            x, y = inputs.checked_labels(x, y, self)
        if options.get("validation_data") is not None:
            given = options["validation_data"]
            options["validation_data"] = inputs.checked_pair(given, self)
        return super().fit(x, y, batch_size=batch_size, **options)

    @property
    def is_labelled(self):
        """Whether the network takes labels beside the examples."""
        return self.latent_prior.is_labelled

    def call(self, examples, training=False):
        """Returns the latents of what the network takes.

        Args:
            examples: float `(n, *spec.shape)`, or a dict with "samples" and "labels".
            training: bool, passed to the network.

        Returns:
            float32 `(n, L)`, within the bounds of the prior.
        """
        coordinates = self.network(examples, training=training)
        return self.latent_space.latents(at_least_float32(coordinates))

    def encode(self, images, labels=None, batch_size=256):
        """Returns the latents E(x) of given examples.

        Args:
            images: array `(n, *spec.shape)`, float in the GAN's range, or uint8.
            labels: the class of all examples, or n of them: ints or names. Where the
                prior draws labels they are needed.
            batch_size: int, examples at once.

        Returns:
            float32 array `(n, L)`, within the bounds of the prior.

        Raises:
            ValueError: examples of another shape, dtype or range; none; labels that are
                missing or no classes.
        """
        if self.is_labelled and labels is None:
            raise ValueError(
                "Expected `labels` of the examples: the encoder of a conditional model "
                "takes them. Received: None"
            )
        if labels is not None:
            labels = self.latent_prior.labels_of(labels, len(images))
        return encoding.encode(
            self.network, self.latent_space, images, self.spec, batch_size, labels
        )

    # === Training ===

    @minibatches.once_there
    def train_step(self, data):
        """Makes one step of E's optimizer, on latents of its own and a batch.

        Args:
            data: an element of what `fit` takes.

        Returns:
            dict of the running means of the loss and its terms.
        """
        real, size = self._batch(data)
        latents = self.latent_prior.sample(size, self._seeds.next())
        with tf.GradientTape() as tape:
            loss = self._loss(real, latents, training=True)
            scaled = self.optimizer.scale_loss(loss)
        weights = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(scaled, weights), weights)
        return self.get_metrics_result()

    @minibatches.once_there
    def test_step(self, data):
        """Returns both terms with `training=False`; nothing is updated.

        Args:
            data: as of `train_step`.
        """
        real, size = self._batch(data)
        latents = self.latent_prior.sample(size, self._seeds.next())
        self._loss(real, latents, training=False)
        return self.get_metrics_result()

    def _batch(self, data):
        """Returns the examples of an element, or None, and how many they are."""
        if isinstance(data, dict) and _ROWS in data:
            return None, tf.shape(data[_ROWS])[0]
        real = minibatches.examples(data, self.spec, self.latent_prior)
        return real, tf.shape(minibatches.samples_in(real))[0]

    def _loss(self, real, latents, training):
        """Returns what E descends, and keeps the means of its terms."""
        samples = tf.cast(self.generator(latents, training=False), tf.float32)
        # Not by the GAN's own: what a BiGAN's critic takes is not what E takes.
        found = self(GenerativeModel.critic_inputs(samples, latents), training=training)
        errors = (found - _latents(latents)) / self._deviations
        terms = {"latent_loss": tf.reduce_mean(tf.square(errors))}
        loss = terms["latent_loss"]
        if self.reconstruction:
            inferred = self(real, training=training)
            if isinstance(real, dict):
                inferred = {"latents": inferred, "labels": real["labels"]}
            again = self.generator(inferred, training=False)
            errors = tf.cast(again, tf.float32) - minibatches.samples_in(real)
            terms["reconstruction_loss"] = tf.reduce_mean(tf.square(errors))
            loss += self.reconstruction * terms["reconstruction_loss"]
        for name, term in {"loss": loss, **terms}.items():
            self._means[name].update_state(term)
        return loss

    @property
    def metrics(self):
        return list(self._means.values())

    # === Saving ===

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "generator": serialize(self.generator),
            "latent_prior": serialize(self.latent_prior),
            "value_range": self.spec.value_range,
            "network": serialize(self.network),
            "reconstruction": self.reconstruction,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        generator, prior, network = (
            keras.saving.deserialize_keras_object(config.pop(name), custom_objects)
            for name in ("generator", "latent_prior", "network")
        )
        shape = generator(prior.symbolic_sample()).shape[1:]
        gan = GenerativeModel(generator, prior, shape, config.pop("value_range"), 0)
        return cls(gan, network, **config)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        # Now, so that the loaded weights find its slots.
        self.optimizer.build(self.network.trainable_variables)


def _latents(drawn):
    """Returns the latents of what a prior draws, without labels."""
    return drawn["latents"] if isinstance(drawn, dict) else drawn
