"""Decoded images on disk: for each dataset an .npy array, and a .json with its labels.

Both are written under temporary names and renamed. A file that is not as it was written
counts as absent and is written again. Of an array that stays on disk the shape alone
tells: a checksum would read all of it at each start.
"""

import hashlib
import json
import math
import os
import warnings
import zlib
from pathlib import Path

import numpy as np

from keras_gan import files
from keras_gan.datasets.base import DatasetError

# Arrays up to this size are held in memory; larger ones stay on disk, memory-mapped.
IN_MEMORY_BYTES = 2 * 1024**3
# Part of every key: a change of how images are decoded must change it.
_FORMAT = "4"


def key(*parts) -> str:
    """Returns a digest of `parts`, JSON values that describe the images."""
    text = json.dumps([_FORMAT, *parts], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def directory(data_dir) -> Path:
    """Returns $KERAS_GAN_CACHE, else `data_dir`, else ~/.cache/keras_gan."""
    path = os.environ.get("KERAS_GAN_CACHE") or data_dir or "~/.cache/keras_gan"
    expanded = os.path.expanduser(path)
    if expanded.startswith("~"):  # a user without a home, as in some containers
        raise DatasetError(
            f"Expected a home folder, to cache images in {path}. Received: none; set "
            "KERAS_GAN_CACHE to a directory"
        )
    return Path(expanded)


def fits_memory(shape) -> bool:
    """Returns whether uint8 images of `shape` are to be held in memory."""
    return math.prod(shape) <= IN_MEMORY_BYTES


def read(key, data_dir):
    """Returns the (images, labels) that `write` left under `key`, or None.

    Returns:
        uint8 array (N, H, W, C), in memory or a `np.memmap`, and a list of N ints or
        None.
    """
    array_path, json_path = _paths(key, data_dir)
    try:
        record = json.loads(json_path.read_text(encoding="utf-8"))
        shape, labels = tuple(record["shape"]), record["labels"]
        images = np.load(array_path, mmap_mode="r", allow_pickle=False)
    # ValueError covers JSON, and an array cut short or without its header.
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    if images.shape != shape or images.dtype != np.uint8:
        return None
    if not fits_memory(shape):
        return images, labels
    images = np.array(images)
    return None if record.get("crc32") != zlib.crc32(images) else (images, labels)


def write(key, data_dir, source, shape, fill):
    """Decodes images, stores them under `key`, and returns them as `read` would.

    A cache that cannot be written is a warning as long as the images fit in memory.

    Args:
        source: str for people: what the images are.
        shape: (N, H, W, C).
        fill: function that writes into the uint8 array it is given, and returns the
            labels: a list of N ints or None.

    Raises:
        DatasetError: no room for images that do not fit in memory.
        Exception: what `fill` raises; nothing stays on disk then.
    """
    array_path, json_path = _paths(key, data_dir)
    images = np.empty(shape, np.uint8) if fits_memory(shape) else None
    if images is not None:
        labels = fill(images)
    try:
        with files.replacing(array_path) as temporary:
            if images is not None:
                np.save(temporary, images, allow_pickle=False)
            else:
                labels = _fill_on_disk(temporary, shape, fill)
        record = {"source": source, "shape": list(shape), "labels": labels}
        if images is not None:
            record["crc32"] = zlib.crc32(images)
        files.write(json_path, json.dumps(record))
    except OSError as error:
        if images is None:
            raise DatasetError(
                f"Expected room in {array_path.parent} for {math.prod(shape):,} bytes "
                f"of images, too many for memory. Received: {error}; set "
                "KERAS_GAN_CACHE to a directory on a larger disk"
            ) from error
        warnings.warn(
            f"The images of {source} are not cached and will be decoded again next "
            f"time: {error}. Set KERAS_GAN_CACHE to a directory that can be written.",
            stacklevel=2,
        )
    if images is None:
        images = np.load(array_path, mmap_mode="r", allow_pickle=False)
    return images, labels


def _paths(key, data_dir):
    base = directory(data_dir)
    return base / f"{key}.npy", base / f"{key}.json"


def _fill_on_disk(path, shape, fill):
    images = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    # A full disk is an OSError here; later it would be a bus error.
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, os.path.getsize(path))
    labels = fill(images)
    images.flush()
    return labels
