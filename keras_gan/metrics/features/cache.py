"""Features and classifiers on disk, each in a file that states what it depends on."""

import hashlib
import json
import os
import pathlib
import warnings

import numpy as np

from keras_gan import checks, files
from keras_gan.metrics.features.extractor import FORMAT, Extractor, in_pieces
from keras_gan.samples import check_value_range


def cached_features(
    extractor: Extractor, data, cache_dir, limit: int | None = None
) -> np.ndarray:
    """Returns the features of real images, from the cache where it has them.

    The file is named after the extractor's key and range, a digest of the images, and
    the count, and is replaced atomically.

    Args:
        extractor: `Extractor`, of the data's range if it has a `value_range`. Nothing
            is cached if it has `cacheable = False`.
        data: as in `Classifier.train`; labels are not needed.
        cache_dir: str or path-like, or None for no cache.
        limit: int or None, takes the first so many images.

    Returns:
        float32 `(N, D)`.

    Raises:
        ValueError: an extractor of another range than the data's; a cache file that is
            damaged or of other images.
    """
    value_range = check_value_range(getattr(extractor, "value_range", None))
    if value_range not in (None, data.value_range):
        raise ValueError(
            f"Expected images in {value_range}, which the extractor "
            f"{extractor.name!r} was made for. Received: {data.name!r}, in "
            f"{data.value_range}; make an extractor for that range"
        )
    if cache_dir is None or not getattr(extractor, "cacheable", True):
        return in_pieces(extractor.features, data, limit)
    described = {
        "format": FORMAT,
        "extractor": extractor.key,
        # Files without it may hold what an extractor of another range made.
        "value_range": value_range,
        "data": data_key(data),
        "limit": limit,
    }
    path = file_for(cache_dir, "features", described)
    if path.exists():
        (features,) = read(path, described, ["features"])
        count = len(data.images[:limit])
        if features.ndim != 2 or len(features) != count:
            raise mismatch(path, f"features of shape {features.shape}")
        return features
    features = in_pieces(extractor.features, data, limit)
    write(path, described, features=features)
    return features


def data_key(data) -> str:
    """Returns a digest of a dataset's images, labels and range, hexadecimal."""
    digest = hashlib.sha256()
    described = (str(data.images.dtype), data.images.shape, data.value_range)
    digest.update(repr(described).encode())
    for start in range(0, len(data.images), 4096):
        digest.update(np.ascontiguousarray(data.images[start : start + 4096]))
    if data.labels is not None:
        digest.update(np.ascontiguousarray(data.labels))
    return digest.hexdigest()


# === Files ===


def file_for(cache_dir, kind: str, described: dict) -> pathlib.Path:
    """Returns the path of the file that holds what `described` states.

    Args:
        cache_dir: str or path-like.
        kind: str, the beginning of the file's name.
        described: dict that JSON can hold, everything that the content depends on.
    """
    text = json.dumps(described, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return pathlib.Path(os.path.expanduser(cache_dir), f"{kind}-{digest}.npz")


def write(path: pathlib.Path, described: dict, **arrays) -> None:
    """Writes arrays and what they depend on; a failure is a warning."""
    try:
        with files.replacing(path) as temporary:
            np.savez(
                temporary, described=json.dumps(described, sort_keys=True), **arrays
            )
    except OSError as error:
        warnings.warn(
            f"{path.name} is not cached and will be computed again next time: {error}. "
            "Set KERAS_GAN_CACHE to a directory that can be written.",
            stacklevel=2,
        )


def read(path: pathlib.Path, described: dict, names: list[str]) -> list[np.ndarray]:
    """Returns the named arrays of a file that `write` wrote.

    Raises:
        ValueError: a damaged file, or one that states something else than `described`.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["described"]) != json.dumps(described, sort_keys=True):
                raise mismatch(path, "one of other data or settings")
            return [file[name] for name in names]
    except _Mismatch:
        raise
    # zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError: all mean damage.
    except Exception as error:
        reason = checks.one_line(error)
        raise mismatch(path, f"a file that cannot be read ({reason})") from error


class _Mismatch(ValueError):
    pass


def mismatch(path: pathlib.Path, received: str) -> ValueError:
    """Returns the error of a cache file with another content than its name says."""
    return _Mismatch(
        f"Expected the cache of these images in {path}. Received: {received}; remove "
        "it, and it is computed again"
    )
