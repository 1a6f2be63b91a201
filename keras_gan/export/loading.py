"""An exported generator in Python: to draw from it as from a model."""

import pathlib

import keras
import numpy as np

from keras_gan.export import publishing
from keras_gan.samples import check_value_range


class ExportedGenerator:
    """A version that `export_generator` published, loaded by TensorFlow.

    Args:
        path: str or path-like, a version's directory, or a base, whose latest it is.

    Attributes:
        path: `pathlib.Path` of the version's directory.
        card: dict, its `gan_card.json`.
        latent_prior: `priors.LatentPrior`.
        value_range: (low, high) of what `generate` gives, or None.
        sample_shape: tuple of int.

    Raises:
        ValueError: there is no version, or one that cannot be loaded.
    """

    def __init__(self, path):
        import tensorflow as tf

        path = pathlib.Path(path)
        if not (path / "saved_model.pb").is_file():
            path = publishing.latest(path)
        self.path = path
        self.card = publishing.read_card(path)
        try:
            self.latent_prior = keras.saving.deserialize_keras_object(
                self.card["latent_prior"]
            )
            self.value_range = check_value_range(self.card["value_range"])
            self.sample_shape = tuple(self.card["sample_shape"])
            self._model = tf.saved_model.load(str(path))
            self._serve = self._model.signatures["serving_default"]
        except Exception as error:  # a damaged SavedModel fails in many ways
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(
                "Expected a version that keras_gan exported. "
                f"Received: {path}, which cannot be loaded ({reason})"
            ) from error

    def generate(self, num_samples, seed=0, batch_size=256):
        """Samples, the same as the `GAN`'s for the same seed.

        Args:
            num_samples: int >= 1.
            seed: int.
            batch_size: int >= 1.

        Returns:
            float32 array `(num_samples, *sample_shape)` in `value_range`, to which the
            export clips images.
        """
        for size in (num_samples, batch_size):
            is_int = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
            if not is_int or size < 1:
                raise ValueError(
                    "Expected num_samples and batch_size to be ints >= 1. "
                    f"Received: {num_samples!r} and {batch_size!r}"
                )
        latents = self.latent_prior.sample(int(num_samples), seed)
        batches = [
            self._serve(latents=latents[start : start + batch_size])
            for start in range(0, int(num_samples), batch_size)
        ]
        samples = np.concatenate(
            [batch[self.card["output"]].numpy() for batch in batches]
        )
        if self.value_range is None:
            return samples
        low, high = self.value_range
        return (low + samples * (high - low)).astype(np.float32)


def is_export(path):
    """Whether `path` is an exported version, or a directory of versions."""
    path = pathlib.Path(path)
    return (path / "saved_model.pb").is_file() or bool(publishing.versions(path))
