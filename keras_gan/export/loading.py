"""An exported generator in Python: to draw from it as from a model."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_gan import checks, inputs, model_checks, priors
from keras_gan.export import cards, graph, listing, signatures
from keras_gan.priors import with_labels
from keras_gan.samples import finite


class ExportedGenerator:
    """A version that `export_generator` published, loaded by TensorFlow.

    Args:
        path: str or path-like, a version's directory; or a base, whose latest version
            is loaded.

    Attributes:
        path: `pathlib.Path` of the version's directory.
        card: dict, its `gan_card.json`.
        latent_prior: `priors.LatentPrior`.
        spec: `SampleSpec` of what `generate` returns.
        value_range: (low, high) of what `generate` returns, or None.
        sample_shape: tuple of int.

    Raises:
        ValueError: there is no version; its files are not those of its card, or its
            graph does more than compute samples, and it is not loaded; or it cannot be.
    """

    def __init__(self, path):
        path = pathlib.Path(path)
        if not (path / "saved_model.pb").is_file():
            path = listing.latest(path)
        self.path = path
        self.card = cards.read_card(path)
        try:
            # Before it is loaded: a SavedModel is a program.
            faults = cards.file_faults(path) or graph.unsafe_operations(path)
            if faults:
                raise ValueError("; ".join(faults))
            # Anybody can write a card: it may name another object of Keras.
            self.latent_prior = priors.get(
                keras.saving.deserialize_keras_object(self.card["latent_prior"])
            )
            self.spec = cards.read_spec(self.card)
            self._model = tf.saved_model.load(str(path))
            self._serve = self._model.signatures["serving_default"]
        except Exception as error:  # a damaged SavedModel fails in many ways
            raise ValueError(
                "Expected a version that keras_gan exported. Received: "
                f"{path}, which cannot be loaded ({checks.one_line(error)})"
            ) from error
        self.value_range = self.spec.value_range
        self.sample_shape = self.spec.shape

    def encode(self, images, batch_size: int = 256) -> np.ndarray:
        """Returns the latents of given examples, as `inference.BiGAN.encode`.

        Args:
            images: array `(n, *sample_shape)`, float in `value_range`, or uint8.
            batch_size: int >= 1.

        Returns:
            float32 array `(n, L)`.

        Raises:
            ValueError: a version that has no encoder; examples of another shape, dtype
                or range, that are not finite, or none.
        """
        checks.count("batch_size", batch_size)
        if signatures.ENCODE not in self._model.signatures:
            raise ValueError(
                f"Expected an export with an encoder. Received: {self.path}, of a GAN "
                "without one; inference.BiGAN has one"
            )
        images = inputs.examples_given(images, self.spec)
        if self.card["output"] == signatures.IMAGES:
            images = self.spec.to_unit(images)
        name = self.card["output"]
        encode = self._model.signatures[signatures.ENCODE]
        return np.concatenate(
            [
                encode(**{name: images[start : start + batch_size]})["latents"]
                for start in range(0, len(images), batch_size)
            ]
        )

    def generate(
        self,
        num_samples: int,
        seed=0,
        batch_size: int = 256,
        labels=None,
        truncation=None,
    ) -> np.ndarray:
        """Draws samples, the same as the `GAN`'s for the same seed.

        Args:
            num_samples: int >= 1.
            seed: int of at most 64 bits.
            batch_size: int >= 1.
            labels, truncation: see `generation.GenerativeModel.generate`.

        Returns:
            float32 array `(num_samples, *sample_shape)` in `value_range`, to which the
            export clips images.

        Raises:
            ValueError: another number, batch size or seed; labels that are no class of
                the prior; a prior that cannot be truncated; samples that are not
                finite.
        """
        num_samples = checks.num_samples(num_samples)
        batch_size = checks.count("batch_size", batch_size)
        if labels is not None:
            labels = self.latent_prior.labels_of(labels, num_samples)
        latents = self.latent_prior.sample(num_samples, seed)
        latents = self.latent_prior.truncated(latents, truncation)
        return self.samples_of(with_labels(latents, labels), batch_size)

    def generate_each(
        self, seeds, batch_size: int = 256, labels=None, truncation=None
    ) -> np.ndarray:
        """Draws one sample for each seed, the same as the `GAN`'s.

        Args:
            seeds: sequence of ints of at most 64 bits.
            batch_size, labels, truncation: see `generate`.

        Returns:
            float32 array `(len(seeds), *sample_shape)`; row i is that of
            `generate(1, seeds[i])`, up to the rounding of sums.

        Raises:
            ValueError: as `generate`.
        """
        batch_size = checks.count("batch_size", batch_size)
        if labels is not None:
            labels = self.latent_prior.labels_of(labels, len(seeds))
        latents = self.latent_prior.sample_each(seeds)
        latents = self.latent_prior.truncated(latents, truncation)
        return self.samples_of(with_labels(latents, labels), batch_size)

    def samples_of(self, latents, batch_size: int = 256) -> np.ndarray:
        """Returns the samples of given latents, as `GAN.samples_of`.

        Args:
            latents: what `latent_prior.sample` gives: float `(n, L)`, or a dict.
            batch_size: int >= 1.

        Returns:
            float32 array `(n, *sample_shape)`, in `value_range`.

        Raises:
            ValueError: no latents; labels that are no class; samples that are not
                finite.
        """
        batch_size = checks.count("batch_size", batch_size)
        # The graph refuses wrong ones too, with the words of TensorFlow.
        if isinstance(latents, dict) and {"latents", "labels"} <= latents.keys():
            labels = self.latent_prior.labels_of(
                latents["labels"], len(latents["latents"])
            )
            latents = {**latents, "labels": labels}
        model_checks.check_latents(latents, self.latent_prior, self.spec)
        given = latents if isinstance(latents, dict) else {"latents": latents}
        batches = [
            self({key: x[start : start + batch_size] for key, x in given.items()})
            for start in range(0, len(given["latents"]), batch_size)
        ]
        return finite(np.concatenate([batch.numpy() for batch in batches]))

    def __call__(self, latents, training: bool = False):
        """Returns the samples of a batch of latents, for gradients to flow through.

        As a `GAN` does when it is called. A value that the export has clipped has no
        gradient; a generator that ends in tanh or a sigmoid has none of these.

        Args:
            latents: float32 tensor `(batch, L)`, or a dict of "latents" and, where the
                prior draws labels, integer "labels" `(batch,)`.
            training: unused: an export computes as in inference.

        Returns:
            float32 tensor `(batch, *sample_shape)`, in `value_range`.
        """
        given = latents if isinstance(latents, dict) else {"latents": latents}
        given = {
            name: tf.cast(x, tf.int64 if name == "labels" else tf.float32)
            for name, x in given.items()
        }
        samples = self._serve(**given)[self.card["output"]]
        # By the output's name and not by `spec`: older exports mapped everything that
        # has a range to [0, 1], and called it images.
        if self.card["output"] != signatures.IMAGES:
            return samples
        return self.spec.from_unit(samples)


def is_export(path) -> bool:
    """Returns whether `path` is an exported version, or a directory of versions."""
    path = pathlib.Path(path)
    return (path / "saved_model.pb").is_file() or bool(listing.versions(path))
