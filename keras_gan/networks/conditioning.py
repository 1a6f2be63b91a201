"""How labels enter the networks that a builder makes, where `num_classes` asks for it.

References: M. Mirza and S. Osindero, Conditional Generative Adversarial Nets, arXiv
1411.1784; T. Miyato and M. Koyama, cGANs with Projection Discriminator, arXiv
1802.05637.
"""

import keras
from keras import layers

from keras_gan import checks
from keras_gan.conditional import ConditionalBatchNormalization, LabelProjection
from keras_gan.networks.common import LayerSeeds, maybe_spectral
from keras_gan.normalization import BatchNormalization

# The layer whose output has the label's values after those that it joins.
JOINED = "with_labels"
# The most values of an embedded label: 1000 classes need no 1000 inputs of their own.
_LARGEST_EMBEDDING = 64


class Labels:
    """The labels that one network takes: none, or one for each example.

    Without labels every method leaves the network as it is and draws no seed.

    Args:
        num_classes: None for no labels, or int >= 1.
        seeds: `LayerSeeds` of the embeddings.

    Attributes:
        num_classes: as given.
        tensor: None, or the network's symbolic labels, int32 `(batch,)`.

    Raises:
        ValueError: `num_classes` below 1, or no int.
    """

    def __init__(self, num_classes: int | None, seeds: LayerSeeds):
        self.num_classes = num_classes
        self.tensor = None
        self._seeds = seeds
        if num_classes is not None:
            self.num_classes = checks.count("num_classes", num_classes)
            self.tensor = keras.Input((), dtype="int32", name="labels")

    def model(self, inputs, outputs, name: str) -> keras.Model:
        """Returns the network: of a tensor, or of a dict with "labels" as well.

        Args:
            inputs: symbolic latents or samples; their name is their key in the dict.
            outputs: symbolic samples or logits.
            name: str, the network's.
        """
        if self.tensor is not None:
            inputs = {inputs.name: inputs, "labels": self.tensor}
        return keras.Model(inputs, outputs, name=name)

    def joined(self, x, size: int | None = None, stddev: float = 1.0):
        """Appends the label's vector to x, as arXiv 1411.1784 does.

        Args:
            x: symbolic, `(batch, F)`.
            size: int, values of the vector; None for one for each class, 64 at most.
            stddev: float, of the normal distribution that they start from. 1 is that
                of the latents.

        Returns:
            `(batch, F + size)`.
        """
        if self.tensor is None:
            return x
        embedding = layers.Embedding(
            self.num_classes,
            size or min(self.num_classes, _LARGEST_EMBEDDING),
            embeddings_initializer=self._seeds.normal_initializer(stddev),
            name="embedded_labels",
        )
        return layers.Concatenate(name=JOINED)([x, embedding(self.tensor)])

    def batch_normalized(self, x):
        """Applies batch normalisation, with gains and shifts of each class."""
        options = {"momentum": 0.9, "epsilon": 1e-5}
        if self.tensor is None:
            return BatchNormalization(**options)(x)
        normalization = ConditionalBatchNormalization(self.num_classes, **options)
        return normalization([x, self.tensor])

    def projection(self, features, initializer, normalization: str | None):
        """Returns `conditional.LabelProjection` of features, float32 `(batch, 1)`.

        Args:
            features: symbolic, `(batch, F)`.
            initializer: Keras initializer of the embedding.
            normalization: "spectral" normalises the embedding too.
        """
        layer = LabelProjection(
            self.num_classes, initializer, name="projection", dtype="float32"
        )
        return maybe_spectral(layer, normalization)([features, self.tensor])

    def projected(self, logits, features, make_initializer, normalization: str | None):
        """Adds the projection of the features to the logits (arXiv 1802.05637).

        Args:
            logits: symbolic, `(batch, 1)`: psi(phi(x)) there.
            features: symbolic, `(batch, F)`: phi(x).
            make_initializer: function that returns the embedding's initialiser.
            normalization: see `projection`.
        """
        if self.tensor is None:
            return logits
        projection = self.projection(features, make_initializer(), normalization)
        return layers.Add(name="labelled_logits", dtype="float32")([logits, projection])
