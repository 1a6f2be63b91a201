"""Datasets by name.

One loop over batches is one epoch, the next loop the next:

    >>> data = load("digits", "train")
    >>> data.image_shape, data.value_range, data.num_classes
    ((8, 8, 1), (0.0, 1.0), 10)
    >>> batches = data.batches(200, seed=0)
    >>> [batch.shape[0] for batch in batches]
    [200, 200, 200, 200, 200, 78]
"""

import pathlib

from keras_gan import checks
from keras_gan.datasets import digits, folder, stacked_mnist, tfd, tfds_images, toy
from keras_gan.datasets.base import Dataset, DatasetError, SplitError
from keras_gan.datasets.resizing import split_size

__all__ = [
    "Dataset",
    "DatasetError",
    "SplitError",
    "distinct_name",
    "load",
    "names",
    "public_name",
]

_LOADERS = {
    "digits": digits.load,
    "mnist": tfds_images.load,
    "cifar10": tfds_images.load,
    "tfd": tfd.load,
    stacked_mnist.NAME: stacked_mnist.load,
    **dict.fromkeys(toy.DISTRIBUTIONS, toy.load),
}


def names() -> list[str]:
    """Returns the names that `load` knows besides "folder:PATH" and TFDS's names."""
    return list(_LOADERS)


def load(name: str, split: str = "train", data_dir=None, **options) -> Dataset:
    """Loads a dataset by name.

    | name | examples | splits |
    |---|---|---|
    | "digits" | float32 (8, 8, 1), no file needed | "all", "train", "test" |
    | "mnist" | uint8 (28, 28, 1) | "train" (50,000), "valid", "test", any of TFDS |
    | "cifar10" | uint8 (32, 32, 3) | "train" (40,000), "valid", "test", any of TFDS |
    | "stacked_mnist" | uint8 (28, 28, 3) | "train" (100,000), "valid", "test" |
    | "tfd" | uint8 (48, 48, 1) | "unlabeled", "train", "valid", "test"; "train/fold2" |
    | "gaussian1d", "ring8", "grid25" | float32 (D,) | "train", "valid", "test" |
    | "mixture1d" | float32 (1,), labelled | "train", "valid", "test" |
    | "folder:PATH" | uint8 (H, W, C) | a subfolder; "train", "all": the whole |
    | any image dataset of TFDS | uint8 (H, W, C) | those of TFDS |

    Folders and TFDS names take a size at the end, "celeb_a@64" or "folder:PATH@48x64"
    (height x width): the centre is cropped to that aspect ratio, then resized.

    Images are in `value_range` (0, 1). The modules digits, tfds_images, stacked_mnist,
    tfd, folder and toy in this package document each kind.

    Args:
        name: str, as above.
        split: str.
        data_dir: where the files are: TFDS's data_dir; the directory of
            TFD_48x48.mat; for folders, where to cache. Others ignore it.
        **options: of folders alone: `background`, `skip_broken` and `held_out`, see
            `folder.load`.

    Returns:
        Dataset.

    Raises:
        DatasetError (a ValueError): no such dataset or split, or its files are not
            there or not as expected; the message is one line that says what to do. It
            is a SplitError where the dataset is there without that split.
        ModuleNotFoundError: "mnist", "stacked_mnist" or "cifar10" without the package's
            extra `datasets`.
    """
    if not isinstance(name, str) or not isinstance(split, str):
        raise DatasetError(
            f"Expected `name` and `split` to be str. Received: {name!r}, {split!r}"
        )
    if name.startswith(folder.PREFIX):
        return folder.load(name, split, data_dir, **options)
    if options:
        raise DatasetError(
            f"Expected {', '.join(options)} for {folder.PREFIX}PATH alone. "
            f"Received: {name!r}"
        )
    if name in _LOADERS:
        return _LOADERS[name](name, split, data_dir)
    expected = (
        f"Expected one of {', '.join(names())}, {folder.PREFIX}PATH, or the name of a "
        "TFDS image dataset"
    )
    try:
        checks.require("tensorflow_datasets", extra="datasets")
    # The name may be misspelt or one of TFDS's: only TFDS could tell.
    except ModuleNotFoundError as error:
        raise DatasetError(
            f"{expected}. Received: {name!r}.{_did_you_mean(name, names())} "
            f"For TFDS's names: {checks.one_line(error)}"
        ) from error
    try:
        return tfds_images.load(name, split, data_dir)
    except tfds_images.NotFoundError as error:
        hint = _did_you_mean(name, [*names(), *error.names])
        raise DatasetError(f"{expected}. Received: {name!r}.{hint}") from None


def _did_you_mean(name, known):
    """As `checks.did_you_mean`, of folders too."""
    if pathlib.Path(name).is_dir():
        return f" Did you mean {folder.PREFIX + name!r}?"
    return checks.did_you_mean(name, known)


def public_name(name: str) -> str:
    """Returns a dataset's name without the path of a folder, "folder:imgs@64" say.

    For what leaves this machine: a path tells who made it, and means nothing elsewhere.

    Args:
        name: str, as `load` takes it. Names of other kinds are returned as they are.
    """
    if not name.startswith(folder.PREFIX):
        return name
    return folder.PREFIX + pathlib.PurePath(name.removeprefix(folder.PREFIX)).name


def distinct_name(name: str, others=()) -> str:
    """Returns a folder's name by the last parts of its path, "folder:cats/train" say.

    Two parts, or as many as tell it from the others. Other datasets keep their name.

    Args:
        name: str, a dataset's.
        others: names that stand beside it; those of other kinds do not matter.
    """
    if not name.startswith(folder.PREFIX):
        return name
    parts = _parts(name)
    others = [_parts(other) for other in others if other.startswith(folder.PREFIX)]
    count = 2
    while count < len(parts) and any(
        other != parts and other[-count:] == parts[-count:] for other in others
    ):
        count += 1
    # With the size, if there is one.
    path = pathlib.PurePath(name.removeprefix(folder.PREFIX))
    return folder.PREFIX + str(pathlib.PurePath(*path.parts[-count:]))


def _parts(name):
    """The parts of a folder's path, without a size."""
    path, _ = split_size(name.removeprefix(folder.PREFIX))
    return pathlib.PurePath(path).parts
