"""Labels of classes: integers, one-hot rows or names, checked where they enter."""

import logging

import numpy as np

from keras_gan import checks

_log = logging.getLogger("keras_gan")


def of_examples(labels, num_examples: int, num_classes: int | None = None):
    """Returns the labels of given examples as integers.

    Args:
        labels: integers (N,), or one-hot rows (N, C) of any number type; a line is
            logged where these are converted.
        num_examples: int, N.
        num_classes: int C, or None where any label >= 0 will do.

    Returns:
        int64 array (N,).

    Raises:
        ValueError: another shape, no integers, or outside [0, C).
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.dtype.kind in "biuf":
        labels = _from_one_hot(labels, num_classes)
    if labels.shape != (num_examples,):
        raise ValueError(
            f"Expected `labels` of shape ({num_examples},), one for each example. "
            f"Received: shape {labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"Expected integer `labels`. Received: dtype {labels.dtype}")
    if labels.size:
        check_bounds(labels.min(), labels.max(), num_classes)
    return labels.astype(np.int64)


def asked_for(labels, num_samples: int, num_classes=None, class_names=None):
    """Returns the labels that samples are asked for, one each.

    Args:
        labels: a class or `num_samples` of them: integers, or names. Where classes have
            no names, a number as text is one.
        num_samples: int, N.
        num_classes: int C, or None where any label >= 0 will do.
        class_names: sequence of str, the names of the classes 0, 1, ..., or None.

    Returns:
        int32 array (N,).

    Raises:
        ValueError: of another length, neither integers nor names, outside [0, C), or a
            name that no class has.
    """
    labels = np.asarray(labels)
    if labels.dtype.kind in "US":
        numbers = [_number_of(str(name), class_names) for name in labels.ravel()]
        labels = np.array(numbers, np.int64).reshape(labels.shape)
    if labels.dtype.kind not in "iu" or labels.shape not in ((), (num_samples,)):
        raise ValueError(
            "Expected `labels` to be an int or a name, or an array of "
            f"{num_samples} of them. Received: {labels.dtype} of shape {labels.shape}"
        )
    if labels.size:
        check_bounds(labels.min(), labels.max(), num_classes)
    return np.broadcast_to(labels, (num_samples,)).astype(np.int32)


def check_bounds(lowest, highest, num_classes: int | None):
    """Raises ValueError where labels from `lowest` to `highest` are not all classes.

    Args:
        lowest, highest: int.
        num_classes: int C, or None where any label >= 0 will do.
    """
    if lowest >= 0 and (num_classes is None or highest < num_classes):
        return
    bounds = ">= 0" if num_classes is None else f"in [0, {num_classes})"
    hint = "; -1 stands for rows that are not one-hot, too" if lowest == -1 else ""
    raise ValueError(
        f"Expected `labels` {bounds}. Received: values from {lowest} to {highest}{hint}"
    )


def check_names(class_names, num_classes: int | None):
    """Returns names as a tuple of str, or None without.

    Args:
        class_names: None, or `num_classes` different names.
        num_classes: int, or None without labels.

    Raises:
        ValueError: another number of names, or a name twice.
    """
    if class_names is None or num_classes is None:
        return None
    names = tuple(str(name) for name in class_names)
    if len(names) != num_classes or len(set(names)) != len(names):
        raise ValueError(
            f"Expected `class_names` to be {num_classes} different names. "
            f"Received: {', '.join(names)}"
        )
    return names


def say_one_hot(num_classes: int):
    """Logs that one-hot labels are taken as integers."""
    _log.warning(
        "Labels are one-hot rows of %d; they are taken as the integers 0 to %d.",
        num_classes,
        num_classes - 1,
    )


def _from_one_hot(rows, num_classes):
    """Returns the place of the 1 in each row."""
    is_hot = rows == 1
    if not ((is_hot | (rows == 0)).all() and (is_hot.sum(axis=1) == 1).all()):
        raise ValueError(
            "Expected integer `labels` of shape (N,), or one-hot rows: a 1 and zeros. "
            f"Received: {rows.dtype} of shape {rows.shape} with other rows"
        )
    if num_classes is not None and rows.shape[1] != num_classes:
        raise ValueError(
            f"Expected one-hot `labels` of {num_classes} classes. Received: rows of "
            f"{rows.shape[1]}"
        )
    say_one_hot(rows.shape[1])
    return is_hot.argmax(axis=1)


def _number_of(name, class_names):
    if class_names is None and name.isdecimal():
        return int(name)
    if class_names is None:
        raise ValueError(
            "Expected `labels` to be integers: the classes have no names. Received: "
            f"{name!r}"
        )
    checks.one_of("labels", name, class_names)
    return list(class_names).index(name)
