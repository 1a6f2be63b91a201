"""The Toronto Face Database, from the file that its owners hand out on request."""

import os
from pathlib import Path

import numpy as np

from keras_gan import checks
from keras_gan.datasets.base import Dataset, DatasetError, SplitError, unknown_split

FILE = "TFD_48x48.mat"
# A fold's column of `folds` says which split each image is in.
SPLITS = {"unlabeled": 0, "train": 1, "valid": 2, "test": 3}
_REQUEST = (
    f"{FILE} is not public: ask the owners (J. Susskind, A. Anderson, G. Hinton, "
    "University of Toronto) for it"
)


def load(name, split, data_dir=None):
    """Loads 48x48 grey faces, with one of seven expressions where labelled.

    The file `data_dir`/TFD_48x48.mat is a MATLAB file up to version 7 with `images`
    (N, 48, 48) uint8; `folds` (N, 5), 0 unlabeled, 1 train, 2 valid, 3 test; `labs_ex`
    (N, 1), the expression 1 to 7, or -1.

    Args:
        name: str, what the dataset is called in messages.
        split: "unlabeled", "train", "valid" or "test", of fold 0; or of the fold that
            follows, "train/fold0" to "train/fold4".
        data_dir: the directory that holds the file.

    Returns:
        Dataset of uint8 (48, 48, 1) in (0, 1), with labels 0 to 6 (None for
        "unlabeled").

    Raises:
        SplitError: another split, or one without images.
        DatasetError: no file, or one that is not as above.
    """
    part, column = _parse_split(name, split)
    path = _find(data_dir)
    arrays = _read(path)
    images, folds, expressions = arrays["images"], arrays["folds"], arrays["labs_ex"]
    rows = np.flatnonzero(folds[:, column] == SPLITS[part])
    if not len(rows):
        raise SplitError(
            f"Expected images of split {split!r}: rows of `folds` in {path} with "
            f"{SPLITS[part]} in column {column}. Received: none"
        )
    labels = None
    if part != "unlabeled":
        labels = expressions[rows, 0].astype(np.int64) - 1
        if labels.min() < 0 or labels.max() > 6:
            raise DatasetError(
                f"Expected `labs_ex` in {path} to be 1 to 7 throughout split {split!r}."
                f" Received: values from {labels.min() + 1} to {labels.max() + 1}"
            )
    return Dataset(
        images[rows][..., None], labels, name=name, split=split, num_classes=7
    )


def _parse_split(name, split):
    part, slash, fold = str(split).partition("/")
    folds = {f"fold{column}": column for column in range(5)}
    if part not in SPLITS:
        raise unknown_split(name, split, list(SPLITS))
    if slash and fold not in folds:
        raise SplitError(
            f"Expected a fold of {name!r} from {part}/fold0 to {part}/fold4. "
            f"Received: {split!r}"
        )
    return part, folds[fold] if slash else 0


def _find(data_dir):
    if data_dir is None:
        raise DatasetError(
            f"Expected a data_dir that holds {FILE}. Received: None; {_REQUEST}"
        )
    path = Path(os.path.expanduser(data_dir), FILE)
    if not path.is_file():
        raise DatasetError(
            f"Expected the file {path}. Received: no such file; {_REQUEST}"
        )
    return path


def _read(path):
    import scipy.io

    shapes = {"images": ("N", 48, 48), "folds": ("N", 5), "labs_ex": ("N", 1)}
    again = f"copy {FILE} again from its owners' original"
    try:
        arrays = scipy.io.loadmat(path, variable_names=list(shapes))
    except NotImplementedError:
        raise DatasetError(
            f"Expected {path} to be a MATLAB file up to version 7. Received: version "
            "7.3 (HDF5); save it in MATLAB with save(..., '-v7')"
        ) from None
    # SciPy raises whatever its parser trips over.
    except Exception as error:
        raise DatasetError(
            f"Expected {path} to be a MATLAB file. Received: {checks.one_line(error)}; "
            f"{again}"
        ) from error
    missing = [key for key in shapes if key not in arrays]
    if missing:
        held = [key for key, *_ in scipy.io.whosmat(path)]
        raise DatasetError(
            f"Expected {path} to hold {', '.join(shapes)}. Received: {held} without "
            f"{', '.join(missing)}; {again}"
        )
    num_images = len(arrays["images"])
    for key, (_, *rest) in shapes.items():
        if arrays[key].shape != (num_images, *rest):
            raise DatasetError(
                f"Expected `{key}` in {path} to have shape "
                f"{(num_images, *rest)}. Received: {arrays[key].shape}; {again}"
            )
    if arrays["images"].dtype != np.uint8:
        raise DatasetError(
            f"Expected `images` in {path} to be uint8. Received: "
            f"{arrays['images'].dtype}; {again}"
        )
    return arrays
