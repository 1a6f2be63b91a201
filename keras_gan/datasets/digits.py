"""The default dataset: 1,797 real handwritten digits that come with scikit-learn."""

import numpy as np

from keras_gan.datasets.base import Dataset, unknown_split

SPLITS = ("all", "train", "test")


def load(name, split, data_dir=None):
    """Loads the digits of scikit-learn's `load_digits`, without network or file.

    8x8 pixels of 17 grey levels (0 to 16, divided by 16), the test part of the UCI
    "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak).

    Args:
        name: str, what the dataset is called in messages.
        split: "all" (1,797 examples), "train" (60 % of each class) or "test" (the
            other 40 %); the split is fixed and does not depend on a user's seed.
        data_dir: ignored.

    Returns:
        Dataset of float32 (8, 8, 1) in (0, 1), with labels 0 to 9.

    Raises:
        SplitError: another split.
    """
    from sklearn.datasets import load_digits

    if split not in SPLITS:
        raise unknown_split(name, split, SPLITS)
    images, labels = load_digits(return_X_y=True)
    rows = _rows(split, labels)
    images = (images[rows] / 16.0).astype(np.float32).reshape(-1, 8, 8, 1)
    return Dataset(
        images, labels[rows], name=name, split=split, class_names="0123456789"
    )


def _rows(split, labels):
    if split == "all":
        return np.arange(len(labels))
    # RandomState, whose stream NumPy has promised never to change.
    random = np.random.RandomState(0)
    in_train = np.zeros(len(labels), bool)
    for label in range(10):
        of_class = random.permutation(np.flatnonzero(labels == label))
        in_train[of_class[: round(0.6 * len(of_class))]] = True
    return np.flatnonzero(in_train if split == "train" else ~in_train)
