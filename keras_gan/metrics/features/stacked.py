"""A classifier of single channels, for images that stack several."""

import numpy as np

from keras_gan.metrics.features.classifier import Classifier


class ChannelClassifier:
    """Classifies each channel of an image, and takes all classes together for one.

    Of stacked MNIST: a digit in each of three channels, 1,000 classes.

    Args:
        classifier: `Classifier` of images of one channel.
        channels: int >= 1, of the images.

    Attributes:
        num_classes: int, `classifier.num_classes ** channels`.
        test_accuracy: float in [0, 1], the classifier's, of one channel.
        value_range: (low, high) of the images, the classifier's.
        name, key: see `Extractor`.
    """

    name = "classifier"

    def __init__(self, classifier: Classifier, channels: int):
        self.classifier = classifier
        self.channels = channels
        self.num_classes = classifier.num_classes**channels
        self.test_accuracy = classifier.test_accuracy
        self.value_range = classifier.value_range

    @property
    def key(self) -> str:
        """That of the classifier, with the number of channels."""
        return f"{self.channels}-channels-{self.classifier.key}"

    def features(self, images) -> np.ndarray:
        """Returns float32 `(N, 128 * channels)`, those of the channels in a row."""
        return np.concatenate(
            [self.classifier.features(each) for each in self._split(images)], axis=1
        )

    def classes(self, images) -> np.ndarray:
        """Returns int64 `(N,)`: the classes are the digits of a number."""
        total = 0
        for each in self._split(images):
            total = total * self.classifier.num_classes + self.classifier.classes(each)
        return total

    def _split(self, images):
        images = np.asarray(images)
        if images.ndim != 4 or images.shape[3] != self.channels:
            raise ValueError(
                f"Expected images (N, H, W, {self.channels}). Received: {images.shape}"
            )
        return [images[..., c : c + 1] for c in range(self.channels)]
