"""Features that are the values themselves."""

import numpy as np

from keras_gan.metrics.features.extractor import FORMAT


class Pixels:
    """Features that are the values themselves, flattened."""

    name = "pixels"
    key = f"pixels-{FORMAT}"
    # They are the data: reading them from a second file saves nothing.
    cacheable = False

    def features(self, images) -> np.ndarray:
        """Returns float32 `(N, D)` for images of any shape `(N, ...)`."""
        images = np.asarray(images, np.float32)
        return images.reshape(len(images), -1)
