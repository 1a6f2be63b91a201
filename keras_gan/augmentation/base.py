"""What an augmentation is, and what those of images have in common."""

import keras
import tensorflow as tf

from keras_gan import checks


class Augmentation(keras.layers.Layer):
    """Changes samples at random before D sees them; subclass it to write another.

    A subclass overrides `call`, returns its constructor's arguments from `get_config`,
    and is registered with `keras.saving.register_keras_serializable`, so that a saved
    GAN brings it back. It must be differentiable in `samples`; R1 differentiates twice.

    An object belongs to one GAN. Where it has variables of its own (made in `prepare`),
    they are saved, and resumed, with the GAN. A GAN that is compiled again with the
    same object keeps their values; another object starts anew.

    Args:
        name: str or None.

    Attributes:
        spec: `samples.SampleSpec` of one sample; None before `GAN.compile`.
    """

    def __init__(self, name=None):
        # Without `autocast`, Keras casts no argument: samples are what D takes.
        super().__init__(name=name, trainable=False, dtype="float32", autocast=False)
        self.spec = None
        self.built = True

    def prepare(self, spec, loss):
        """Takes what samples are, and makes the variables; `GAN.compile` calls it.

        Args:
            spec: `samples.SampleSpec`.
            loss: `losses.AdversarialLoss`.

        Raises:
            ValueError: an object that belongs to a GAN of other samples.
        """
        if self.spec not in (None, spec):
            raise ValueError(
                "Expected an augmentation of its own for each GAN. Received: "
                f"{self.name!r}, which is that of a GAN of shape {self.spec.shape}"
            )
        self.spec = spec

    def call(self, samples, seed):
        """Returns the samples, each augmented by draws of its own.

        The same seed gives the same draws: row i of examples and row i of samples are
        augmented alike in one objective.

        Args:
            samples: float `(m, *spec.shape)`, in `spec.value_range`.
            seed: int tensor of shape `(2,)`.

        Returns:
            tensor of the shape and dtype of `samples`; its values may lie outside of
            the range.
        """
        raise NotImplementedError

    def terms(self, real_logits) -> dict:
        """Returns what is logged in a step of D, a dict of scalars.

        Args:
            real_logits: float32 `(m, 1)`, of augmented examples.
        """
        return {}

    def update(self, terms, size, all_replicas):
        """Takes a step of D in, after it was made.

        Args:
            terms: dict, what the objective of D has logged, `terms` among it.
            size: int or int scalar, examples in the minibatch; 0 where it was empty, or
                a loss scale had the step skipped.
            all_replicas: `replicas.Replicas`.
        """

    def get_config(self):
        return {"name": self.name}


class ImageAugmentation(Augmentation):
    """An augmentation of images by groups of transformations.

    A subclass overrides `transform`, which works in the papers' range.

    Args:
        policy: str, names among `groups`, separated by commas, in any order.
        name: str or None.

    Attributes:
        groups: tuple of str, the names that a policy may have.
        policy: str, as given.

    Raises:
        ValueError: an unknown group, or none.
    """

    groups = ()

    def __init__(self, policy, name=None):
        super().__init__(name)
        self.policy = policy
        given = str(policy).split(",")
        self._chosen = {checks.one_of("policy", g.strip(), self.groups) for g in given}

    def prepare(self, spec, loss):
        if not spec.is_image:
            raise ValueError(
                f"Expected images, which {type(self).__name__} is for. Received: a GAN "
                f"of samples of shape {spec.shape} ({spec.kind}); compile it without "
                "augmentation, or with an Augmentation of your own"
            )
        super().prepare(spec, loss)

    def call(self, samples, seed):
        low, high = self.spec.value_range
        half, middle = 0.5 * (high - low), 0.5 * (high + low)
        images = tf.cast(samples, tf.float32)
        if (half, middle) != (1.0, 0.0):  # the papers' range is (-1, 1)
            images = (images - middle) / half
        images = self.transform(images, seed)
        if (half, middle) != (1.0, 0.0):
            images = images * half + middle
        return tf.cast(images, samples.dtype)

    def transform(self, images, seed):
        """Returns augmented images.

        Args:
            images: float32 `(m, H, W, C)` on the scale of (-1, 1), 0 being its middle.
            seed: int tensor of shape `(2,)`.
        """
        raise NotImplementedError

    def get_config(self):
        return {**super().get_config(), "policy": self.policy}


def of_image(draws):
    """Returns draws, one for each image, in the rank of images."""
    return tf.reshape(draws, (-1, 1, 1, 1))
