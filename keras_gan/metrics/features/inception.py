"""The features of an Inception network, as the FID has them."""

import keras
import numpy as np

from keras_gan import backend, checks
from keras_gan.metrics.features.extractor import (
    FORMAT,
    grey_or_colour,
    weights_digest,
)
from keras_gan.samples import check_value_range, to_unit


class Inception:
    """The 2,048 pooled features of Keras's InceptionV3, trained on ImageNet.

    The images are mapped from `value_range` to [-1, 1], clipped, and resized to 299x299
    bilinearly. The architecture is that of the FID, but the weights are not: compare
    these distances with each other, and not with published ones.

    Reference: Szegedy et al., arXiv 1512.00567; Heusel et al., arXiv 1706.08500.

    Args:
        value_range: (low, high) of the images.
        weights: "imagenet", which Keras downloads once, the path of a weights file, or
            None for random weights.

    Raises:
        ValueError: the weights cannot be loaded.
    """

    name = "inception"

    def __init__(self, value_range, weights: str | None = "imagenet"):
        self.value_range = check_value_range(value_range)
        try:
            with backend.dtype_policy("float32"):
                self._model = keras.applications.InceptionV3(
                    include_top=False, pooling="avg", weights=weights
                )
        except Exception as error:  # a failed download raises one of many types
            raise ValueError(
                "Expected InceptionV3's ImageNet weights in Keras's cache, or a "
                f"network to download them once. Received: {checks.one_line(error)}; "
                "download them where there is a network, or use features='classifier' "
                "or 'pixels'"
            ) from error
        # A file of one name may come to hold other weights; Keras checks its own.
        stated = weights if weights == "imagenet" else weights_digest(self._model)
        self.key = f"inception-{FORMAT}-{keras.__version__}-{stated}"

    def features(self, images, batch_size: int = 32) -> np.ndarray:
        """Returns float32 `(N, 2048)` for images `(N, H, W, 1 or 3)`.

        Args:
            images: float array in `value_range`; grey ones are repeated three times.
            batch_size: int, images at a time.

        Raises:
            ValueError: images of another shape.
        """
        images = grey_or_colour(images)
        result = np.empty((len(images), 2048), np.float32)
        for start in range(0, len(images), batch_size):
            batch = to_unit(images[start : start + batch_size], self.value_range)
            if batch.shape[3] == 1:
                batch = np.repeat(batch, 3, axis=3)
            batch = keras.ops.image.resize(2.0 * batch - 1.0, (299, 299))
            result[start : start + batch_size] = self._model.predict_on_batch(batch)
        return result
