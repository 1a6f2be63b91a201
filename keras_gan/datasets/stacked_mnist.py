"""Stacked MNIST: three digits in the three channels of an image, and 1,000 modes.

Reference: L. Metz et al., Unrolled GANs, arXiv 1611.02163, and Z. Lin et al., PacGAN,
arXiv 1712.04086, whose protocol scores it.
"""

import numpy as np

from keras_gan.datasets import tfds_images
from keras_gan.datasets.base import Dataset, unknown_split

NAME = "stacked_mnist"
DIGITS, CHANNELS = 10, 3
# Examples of each of the 1,000 modes. The test split has the 26,000 of the protocol.
_OF_EACH_MODE = {"train": 100, "valid": 10, "test": 26}


def load(name, split, data_dir=None):
    """Stacks digits of MNIST, of the same split, at random.

    Every mode, a triple of classes, has as many examples as any other, so that the
    modes of the data are uniform, as the score assumes. Papers draw the three digits
    without regard to their classes, which makes them nearly so. The images are the same
    at every call, in any process.

    Args:
        name: str, what the dataset is called in messages.
        split: "train" (100,000 examples), "valid" (10,000) or "test" (26,000).
        data_dir: TFDS's data_dir, where MNIST is; None is TFDS's default.

    Returns:
        Dataset of uint8 (28, 28, 3) in (0, 1); the label of digits a, b and c in the
        channels is 100 a + 10 b + c, and the class is called "abc".

    Raises:
        SplitError: another split.
        DatasetError: MNIST cannot be loaded, see `tfds_images.load`.
    """
    if split not in _OF_EACH_MODE:
        raise unknown_split(name, split, tuple(_OF_EACH_MODE))
    digits = tfds_images.load("mnist", split, data_dir)
    modes = DIGITS**CHANNELS
    # RandomState, whose stream NumPy has promised never to change.
    random = np.random.RandomState(0)
    labels = random.permutation(np.repeat(np.arange(modes), _OF_EACH_MODE[split]))
    images = np.empty((len(labels), *digits.image_shape[:2], CHANNELS), np.uint8)
    for channel in range(CHANNELS):
        wanted = labels // DIGITS ** (CHANNELS - 1 - channel) % DIGITS
        for digit in range(DIGITS):
            places = np.flatnonzero(wanted == digit)
            sources = np.flatnonzero(digits.labels == digit)
            rows = sources[random.randint(len(sources), size=len(places))]
            images[places, :, :, channel] = digits.images[rows, :, :, 0]
    return Dataset(
        images,
        labels,
        name=name,
        split=split,
        class_names=[f"{mode:0{CHANNELS}d}" for mode in range(modes)],
    )
