"""A Keras model that draws samples: a latent prior, a generator, maybe its average."""

import keras
import tensorflow as tf

from keras_gan import averaging, checks, keras_private, model_checks, priors, replicas
from keras_gan.keras_private import BuiltModel
from keras_gan.samples import SampleSpec, finite


class GenerativeModel(BuiltModel, keras.Model):
    """The part of a GAN that outlives its training.

    Args:
        generator, latent_prior, value_range, name: see `gan.GAN`.
        sample_shape: tuple of int, what the generator makes of one row of latents.
        seed: int, or None for a random one, of `generate(seed=None)` and `evaluate`.

    Attributes:
        spec: `samples.SampleSpec` of one sample.
        average: `averaging.WeightAverage`, or None.
        averaged_generator: Keras model, its weights; or None.
        replicas: `replicas.Replicas` of the strategy that it is made in.
    """

    def __init__(
        self, generator, latent_prior, sample_shape, value_range, seed, name=None
    ):
        # float32 whatever the global policy: nothing but the networks computes in less.
        super().__init__(name=name, dtype="float32")
        self.generator = generator
        self.latent_prior = priors.get(latent_prior)
        self.spec = SampleSpec.of_generated(sample_shape, value_range)
        model_checks.check_reach(generator, self.spec)
        # Of its own, so that evaluating or drawing samples never changes a training.
        self._sampling_seeds = keras.random.SeedGenerator(seed)
        self.average = self.averaged_generator = self._average_steps = None
        self.replicas = replicas.of(tf.distribute.get_strategy())

    @property
    def value_range(self):
        """(low, high) of the samples, or None."""
        return self.spec.value_range

    @property
    def sample_shape(self):
        """The shape of one sample, a tuple of int."""
        return self.spec.shape

    @property
    def generator_steps(self):
        """Steps of the generator so far, an int, without those that were skipped."""
        return int(self.generator_optimizer.iterations.numpy())

    @property
    def is_labelled(self):
        """Whether the prior draws labels, and the discriminator takes them."""
        return self.latent_prior.is_labelled

    def call(self, latents, training=False):
        """Returns the generator's samples of latents, in `value_range`.

        With `compile(ema_decay=...)` the averaged one's, except in training. float32
        also where it computes in 16 bits.

        Args:
            latents: what `latent_prior.sample` gives: float `(n, L)`, or a dict.
            training: bool, passed to the generator.
        """
        average = None if training else self.averaged_generator
        generator = self.generator if average is None else average
        return at_least_float32(generator(latents, training=training))

    def judged(self, latents, training):
        """Returns what D takes of samples: G(z), with the labels of z if it has any."""
        return self.critic_inputs(self.call(latents, training=training), latents)

    def judged_real(self, real, training):
        """Returns what D takes of examples: here, of a batch of `fit`, all of it."""
        return real

    @staticmethod
    def critic_inputs(samples, latents):
        """Returns what D takes of samples and of the latents that they belong to."""
        if isinstance(latents, dict):
            return {"samples": samples, "labels": latents["labels"]}
        return samples

    def generate(
        self,
        num_samples,
        seed=None,
        batch_size=256,
        averaged=True,
        labels=None,
        truncation=None,
    ):
        """Returns samples G(z), z ~ p_z; or G(z, y), where the prior draws labels.

        Args:
            num_samples: int >= 1.
            seed: int or None. The same seed gives the same samples in any process and,
                up to the rounding of sums, for any batch size; None draws new ones at
                each call.
            batch_size: int, samples that the generator makes at once.
            averaged: bool. Where an average of the weights is kept
                (`compile(ema_decay=...)`), False draws with the weights themselves.
            labels: the class of all samples, or `num_samples` of them: ints or names.
                None draws them from the prior. The latents are the same either way.
            truncation: float in [0, 1] or None, psi of `LatentPrior.truncated`: below 1
                samples are more typical and vary less. The seed's latents are pulled.

        Returns:
            float32 array `(num_samples, *sample_shape)`, in `value_range`.

        Raises:
            ValueError: labels that are no class of the prior; a prior that cannot be
                truncated; samples that are not finite, as those of a training that
                diverged.
        """
        num_samples = checks.num_samples(num_samples)
        batch_size = checks.count("batch_size", batch_size)
        if labels is not None:
            labels = self.latent_prior.labels_of(labels, num_samples)
        if seed is None:
            seed = self._sampling_seeds.next()
        latents = self.latent_prior.sample(num_samples, seed)
        latents = self.latent_prior.truncated(latents, truncation)
        latents = priors.with_labels(latents, labels)
        return self.samples_of(latents, batch_size, averaged)

    def generate_each(self, seeds, batch_size=256, labels=None, truncation=None):
        """Returns one sample for each seed, whatever the other seeds are.

        Args:
            seeds: sequence of ints of at most 64 bits, at least one.
            batch_size: int, samples that the generator makes at once.
            labels, truncation: see `generate`.

        Returns:
            float32 array `(len(seeds), *sample_shape)`, in `value_range`. Row i is that
            of `generate(1, seeds[i])`, up to the rounding of sums.

        Raises:
            ValueError: as `generate`; no seeds.
        """
        batch_size = checks.count("batch_size", batch_size)
        if labels is not None:
            labels = self.latent_prior.labels_of(labels, len(seeds))
        latents = self.latent_prior.sample_each(seeds)
        latents = self.latent_prior.truncated(latents, truncation)
        return self.samples_of(priors.with_labels(latents, labels), batch_size)

    def predict(self, x, *args, **options):
        """Returns G(z) of given latents, as `keras.Model.predict` does.

        Args:
            x: latents, what `latent_prior.sample` gives: float `(n, L)`, or a dict; or
                a `tf.data.Dataset` of them.
            *args, **options: as in `keras.Model.predict`.

        Returns:
            float32 array `(n, *sample_shape)`, in `value_range`; also with NaN, which
            `generate` and `samples_of` refuse.

        Raises:
            ValueError: no latents, but samples say; labels that are no class.
        """
        model_checks.check_latents(x, self.latent_prior, self.spec)
        return super().predict(x, *args, **options)

    def predict_on_batch(self, x):
        """Returns G(z) of one batch of latents, see `predict`."""
        model_checks.check_latents(x, self.latent_prior, self.spec)
        return super().predict_on_batch(x)

    def samples_of(self, latents, batch_size=256, averaged=True):
        """Returns G(z) of given latents.

        Args:
            latents: what `latent_prior.sample` gives: float `(n, L)`, or a dict.
            batch_size, averaged: see `generate`.

        Returns:
            float32 array `(n, *sample_shape)`, in `value_range`.

        Raises:
            ValueError: no latents; labels that are no class; samples that are not
                finite.
        """
        batch_size = checks.count("batch_size", batch_size)
        model_checks.check_latents(latents, self.latent_prior, self.spec)
        # By `predict` of this model where it can be: a compiled function, kept.
        model = self if averaged else self.generator
        return finite(replicas.predict_locally(model, latents, batch_size))

    def save(self, filepath, *args, **options):
        """Saves the model as `keras.Model.save` does, to a file that ends in `.keras`.

        Args:
            filepath: str or path-like.
            *args, **options: as in `keras.Model.save`.

        Raises:
            ValueError: another suffix.
        """
        if not str(filepath).endswith(".keras"):
            raise ValueError(
                f"Expected a file that ends in .keras. Received: {filepath}; for a "
                "server, `export` writes a SavedModel"
            )
        super().save(filepath, *args, **options)

    def export(self, base, version=None, card=None, check=None, format="saved_model"):
        """Publishes the generator as a SavedModel that TensorFlow Serving loads.

        In the place of Keras's own `export`, whose SavedModel would hold this model.
        The averaged generator, where there is one.

        Args:
            base, version, card, check: see `export.export_generator`.
            format: "saved_model"; or "onnx" or "litert", for one file that turns
                latents into samples where there is no TensorFlow. `base` is then the
                file, which ends in `.onnx` or `.tflite`; see `export.export_file`.

        Returns:
            `pathlib.Path` of the version's directory, or of the file.
        """
        from keras_gan import export
        from keras_gan.export import portable

        portable.check_path(base, format, version=version, check=check)
        described = {"seed": self.seed, "averaged": self.averaged_generator is not None}
        if self.compiled:
            described["step"] = self.generator_steps
        card = {**described, **(card or {})}
        generator = self.averaged_generator or self.generator
        if format != portable.SAVED_MODEL:
            return export.export_file(
                generator, self.latent_prior, base, format, self.value_range, card
            )
        return export.export_generator(
            generator,
            self.latent_prior,
            base,
            version,
            self.value_range,
            card,
            check,
            self.latents_model(),
        )

    def latents_model(self):
        """Returns a Keras model of samples to latents; None without an encoder."""
        return None

    def _latents(self, seed_generator, size):
        """Returns the latents of a step, of this replica's own."""
        seed = self.replicas.seed(seed_generator.next())
        return self.latent_prior.sample(tf.maximum(size, 1), seed)

    def _let_go(self, *parts):
        """Forgets layers or variables that attributes hold, before these change."""
        keras_private.let_go(self, *parts)

    def _keep_average(self, decay, ramp=None):
        """Starts to average G, goes on with the average that is there, or ends it."""
        inputs = self.latent_prior.symbolic_sample()
        self.averaged_generator, self._average_steps, self.average = self._kept(
            self.average, self.generator, inputs, decay, ramp
        )

    def _kept(self, average, network, inputs, decay, ramp):
        """Returns the average of a network's weights as `compile` wants it.

        Args:
            average: `WeightAverage` that there is, or None.
            network, inputs: see `averaging.copy_of`.
            decay, ramp: see `WeightAverage`; without a decay it ends.

        Returns:
            (averaged Keras model, counter of its steps, `WeightAverage`), or Nones.
        """
        copy, steps = (average.average, average.steps) if average else (None, None)
        if decay is None:
            self._let_go(copy, steps)
            return None, None, None
        if average is None:
            copy = averaging.copy_of(network, inputs)
            steps = averaging.step_counter(self)
        average = averaging.WeightAverage(network, copy, steps, decay, ramp)
        return copy, steps, average

    @property
    def averages(self) -> dict:
        """`averaging.WeightAverage`, or None, of each network that may have one."""
        return {"generator": self.average}


def at_least_float32(tensor):
    """Returns float16 and bfloat16 as float32: what a loss, a log or a pixel needs."""
    return tf.cast(tensor, tf.float32) if tensor.dtype.size < 4 else tensor
