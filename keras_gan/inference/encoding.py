"""What encoders have in common: the networks they are, and how examples reach them."""

import keras

from keras_gan import checks, inputs, model_checks, replicas
from keras_gan.generation import at_least_float32


def check_network(network, shape, latent_dim, takes_labels=False):
    """Raises unless a network takes samples and gives coordinates.

    Args:
        network: what was given.
        shape: of one sample.
        latent_dim: int, L.
        takes_labels: bool, whether it takes {"samples", "labels"}.

    Raises:
        ValueError: no Keras model, one that fails on samples, or another output than
            `(batch, L)`.
    """
    samples = keras.KerasTensor((None, *shape), dtype="float32")
    if takes_labels:
        labels = keras.KerasTensor((None,), dtype="int32")
        samples = {"samples": samples, "labels": labels}
    found = model_checks.output(network, "encoder", samples, "generator's output")
    if tuple(found.shape[1:]) != (latent_dim,):
        raise ValueError(
            f"Expected an encoder of output shape (None, {latent_dim}), one coordinate "
            f"for each latent. Received output shape: {tuple(found.shape)}"
        )


def encode(network, space, images, spec, batch_size, labels=None):
    """Returns the latents that an encoder gives examples.

    Args:
        network: Keras model from examples to coordinates `(n, L)`.
        space: `LatentSpace`.
        images: array `(n, *spec.shape)`, float in the range of `spec`, or uint8.
        spec: `samples.SampleSpec` of one example.
        batch_size: int, examples at once.
        labels: int32 array `(n,)`, or None for a network that takes none.

    Returns:
        float32 array `(n, L)`, within the bounds of the prior.

    Raises:
        ValueError: examples of another shape, dtype or range; none.
    """
    checks.count("batch_size", batch_size)
    given = inputs.examples_given(images, spec)
    if labels is not None:
        given = {"samples": given, "labels": labels}
    coordinates = replicas.predict_locally(network, given, batch_size)
    return space.latents(coordinates).numpy()


class Latents(keras.Model):
    """An encoder of samples to latents, for an export; it is not saved as such.

    Args:
        network: built Keras model from samples to coordinates.
        space: `LatentSpace`.
    """

    def __init__(self, network, space):
        super().__init__(dtype="float32")
        self.network, self.space = network, space
        self.built = True

    def call(self, samples):
        coordinates = self.network(samples, training=False)
        return self.space.latents(at_least_float32(coordinates))
