"""How labels enter the networks that a builder makes, where `num_classes` asks for it.

References: M. Mirza and S. Osindero, Conditional Generative Adversarial Nets, arXiv
1411.1784; T. Miyato and M. Koyama, cGANs with Projection Discriminator, arXiv
1802.05637; A. Odena et al., Conditional Image Synthesis with Auxiliary Classifier GANs,
arXiv 1610.09585.
"""

import keras
from keras import layers

from keras_gan import checks
from keras_gan.conditional import (
    ConditionalBatchNormalization,
    LabelLogProbability,
    LabelProjection,
)
from keras_gan.networks.common import LayerSeeds, logit_layer, maybe_spectral
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
        auxiliary_classifier: bool, of a discriminator: whether it answers how likely a
            label is (`classified`). Its logit is then that of a network without labels.

    Attributes:
        num_classes, auxiliary_classifier: as given.
        tensor: None, or the network's symbolic labels, int32 `(batch,)`.

    Raises:
        ValueError: `num_classes` below 1, or no int; None with an auxiliary classifier.
    """

    def __init__(
        self,
        num_classes: int | None,
        seeds: LayerSeeds,
        auxiliary_classifier: bool = False,
    ):
        if auxiliary_classifier and num_classes is None:
            raise ValueError(
                "Expected `num_classes` for an auxiliary classifier, which tells "
                "classes apart. Received: None"
            )
        self.num_classes = num_classes
        self.auxiliary_classifier = auxiliary_classifier
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
        if self.tensor is None or self.auxiliary_classifier:
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

        An auxiliary classifier takes its place, see `classified`.

        Args:
            logits: symbolic, `(batch, 1)`: psi(phi(x)) there.
            features: symbolic, `(batch, F)`: phi(x).
            make_initializer: function that returns the embedding's initialiser.
            normalization: see `projection`.
        """
        if self.auxiliary_classifier:
            return self.classified(logits, features, make_initializer, normalization)
        if self.tensor is None:
            return logits
        projection = self.projection(features, make_initializer(), normalization)
        return layers.Add(name="labelled_logits", dtype="float32")([logits, projection])

    def classified(
        self, logits, features, make_initializer, normalization=None, constraint=None
    ):
        """Joins log p(label | sample) to the logits, where there is a classifier.

        A dense layer of the features gives the classes' logits (arXiv 1610.09585).

        Args:
            logits: symbolic, `(batch, 1)`.
            features: symbolic, `(batch, F)`, what the last layer sees.
            make_initializer: function that returns the dense layer's initialiser.
            normalization: "spectral" normalises it, as all of such a discriminator.
            constraint: None, or a Keras constraint of its kernel.

        Returns:
            `(batch, 2)`; `logits` where there is no auxiliary classifier.
        """
        if not self.auxiliary_classifier:
            return logits
        dense = logit_layer(
            make_initializer(), constraint, self.num_classes, "class_logits"
        )
        classes = maybe_spectral(dense, normalization)(features)
        log_probability = LabelLogProbability(
            name="label_log_probability", dtype="float32"
        )([classes, self.tensor])
        join = layers.Concatenate(name="answers", dtype="float32")
        return join([logits, log_probability])
