"""Any folder of image files, decoded once."""

import collections
import hashlib
import logging
import os
import stat as stat_module
from pathlib import Path

from keras_gan import checks
from keras_gan.datasets import cache
from keras_gan.datasets.base import Dataset, DatasetError, SplitError
from keras_gan.datasets.image_files import (
    PHONE_SUFFIXES,
    SUFFIXES,
    Reading,
    used_bits,
)
from keras_gan.datasets.resizing import split_size

PREFIX = "folder:"
# Pictures that are not read, and are named for that.
_OTHER_SUFFIXES = (
    ".arw", ".cr2", ".cr3", ".dng", ".eps", ".exr", ".hdr", ".j2k", ".jp2", ".jxl",
    ".nef", ".orf", ".pbm", ".pgm", ".ppm", ".psd", ".raf", ".raw", ".svg", ".tga",
)  # fmt: skip
# The names that a split for validation may have.
VALIDATION_SPLITS = ("valid", "validation", "val")
# Subfolders that are splits, and not part of the whole folder.
_HELD_OUT_SPLITS = ("test", *VALIDATION_SPLITS)
# Fewer held-out images than this say nothing of a generator.
MIN_HELD_OUT = 100
# The name of the split that they are.
HELD_OUT = "held out"
_log = logging.getLogger("keras_gan")


def load(
    name,
    split,
    data_dir=None,
    background: str | None = "white",
    skip_broken: bool = False,
    held_out: float = 0.0,
    bits: int | None = None,
):
    """Loads all images below a folder, as uint8, in the sorted order of their paths.

    Files: png, jpg, jpeg, bmp, gif (its first frame), webp, tif, tiff; heic and heif
    with the extra `heic`, avif with Pillow 11.3 or later. Names that begin with a dot
    are skipped. Photographs are turned as their EXIF orientation says, PNGs are not.
    One channel if all files are grey, else three.

    The decoded images are cached (`cache.directory`) under a key of every file's path,
    size and modification time: a folder that changes is decoded anew.

    Args:
        name: "folder:PATH", or "folder:PATH@64" (64x64), "folder:PATH@48x64" (48 high,
            64 wide): crop the centre to that aspect ratio, then resize. Without a size
            all images must be of one size.
        split: PATH/<split>/ if there is such a subfolder. Else "train" is the whole
            folder but its subfolders "test", "valid", "validation" and "val", and "all"
            is the whole folder.
        data_dir: where to cache, unless $KERAS_GAN_CACHE says.
        background: a colour, "white" or "#ffffff" say, that transparent pixels are laid
            on: their own colours are often noise, because they never show. None keeps
            the transparency: where a file has any, all images get four channels, red,
            green, blue and alpha, black where they are fully transparent.
        skip_broken: bool, whether files that cannot be read are left out, with a
            warning of the logger "keras_gan" that names some; False refuses them.
        held_out: float in [0, .5], the share of the images that is held out of split
            "train" and is given for split "test", where the folder has no subfolder
            "test"; its Dataset's `split` is `HELD_OUT`. A file's path decides on its
            part, so that files that are added move no other. None are held out where
            they would be fewer than `MIN_HELD_OUT`.
        bits: int in [8, 16], of which files of 16 bits use the lowest: microscopes,
            scanners and cameras write 10, 12 or 14. None takes the fewest of 8, 10, 12,
            14 or 16 that hold the largest value in any file of the folder, in all its
            splits, and logs which. TIFFs in colour are read as of 16 alone.

    Returns:
        Dataset of uint8 (H, W, 1, 3 or 4) in (0, 1). The labels number the first-level
        subfolders in sorted order, which are `class_names`, if every image lies in one;
        else they are None.

    Raises:
        SplitError: no such split.
        DatasetError: no such folder; no image; files or subfolders that cannot be read,
            are no files, or hold another format than those above, by name; images of
            different sizes without a size to bring them to; an unknown colour.
    """
    background = _colour(background)
    folder, size = _place(name)
    root, part = _root(folder, split, held_out)
    whole = _listing(folder)
    listing = _of_root(whole, folder, root, split.lower())
    if not listing:
        raise DatasetError(
            f"Expected image files ({', '.join(SUFFIXES)}) below {root}. Received: none"
        )
    chosen = _part(listing, part, held_out)
    if not chosen:
        raise SplitError(
            f"Expected a subfolder {split!r} of {root}, or images enough to hold "
            f"{MIN_HELD_OUT} out. Received: {len(listing):,} images"
        )
    if part == "train" and (count := len(listing) - len(chosen)):
        message = "%s of the %s images below %s are held out, to score by."
        _log.info(message, f"{count:,}", f"{len(listing):,}", root)
    paths = [path for path, *_ in listing]
    names = _class_names(paths)
    if names is None:
        _warn_of_stray_files(paths, root)
    if bits is not None:
        bits = checks.count("bits", bits, minimum=8, maximum=16)
    reading = Reading(root, paths, size, background, skip_broken)
    # The root too: archives unpack files of other content with equal names and times.
    # And all splits: the bits of files in one are those of all.
    key = cache.key(
        "folder", str(root.resolve()), whole, size, background, skip_broken, bits,
        split.lower() in ("train", "test") and [part, held_out],
    )  # fmt: skip
    found = cache.read(key, data_dir)
    if found is None:
        form = reading.form(paths)
        if form.largest:
            bits = bits or _bits_of(folder, whole)
            _log.info("Files of 16 bits below %s are read as of %d.", folder, bits)
        chosen_paths = [path for path, *_ in chosen if path in form.paths]
        found = _decode(reading, form, bits or 8, chosen_paths, names, key, data_dir)
    images, labels = found
    if len(images) < len(chosen):
        _log.warning(
            "%s of %s images below %s are left out, because they cannot be read.",
            f"{len(chosen) - len(images):,}", f"{len(chosen):,}", root,
        )  # fmt: skip
    return Dataset(
        images,
        labels,
        name=name,
        split=HELD_OUT if part == "test" else split,
        class_names=names,
    )


def bits_of(name: str) -> int | None:
    """Returns the bits that a folder's files of 16 bits use, see `load`.

    Args:
        name: "folder:PATH", maybe with a size.

    Returns:
        8, 10, 12, 14 or 16; None where there are no such files.
    """
    folder, _ = _place(name)
    return _bits_of(folder, _listing(folder))


def _bits_of(folder, listing):
    return used_bits(folder, [path for path, *_ in listing])


def _place(name):
    """Returns the folder of "folder:PATH", and the size in it or None."""
    # Not by `Path.expanduser`, which fails where there is no such user.
    path, size = os.path.expanduser(name.removeprefix(PREFIX)), None
    # A folder whose own name ends like a size goes before one with a size.
    if not Path(path).is_dir():
        path, size = split_size(path)
    return Path(path), size


def _colour(background):
    """Returns a background's (red, green, blue), or None."""
    from PIL import ImageColor

    if background is None:
        return None
    try:
        return ImageColor.getrgb(background)[:3]
    except (ValueError, AttributeError, TypeError) as error:
        raise DatasetError(
            "Expected background to be a colour, 'white' or '#ffffff' say, or None, "
            f"which keeps the transparency. Received: {background!r}"
        ) from error


def _root(folder, split, held_out):
    """Returns the folder of a split, and its part: "train", "test", or "all" of it."""
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise DatasetError(
            f"Expected a folder of images, as {PREFIX}PATH names it. Received: "
            f"{folder}; it {what}"
        )
    # From the listing: a path such as ".." is no split. Test/ is one, too.
    splits = {
        name.lower(): name
        for name in sorted(os.listdir(folder), reverse=True)
        if (folder / name).is_dir()
    }
    lower = split.lower()
    holds_out = held_out > 0 and "test" not in splits
    part = lower if holds_out and lower in ("train", "test") else "all"
    if lower in splits:
        return folder / splits[lower], part
    if lower in ("train", "all"):
        return folder, part
    if part == "test":
        return folder / splits.get("train", ""), part
    raise SplitError(
        f"Expected split 'train' or 'all' (the whole folder), or a subfolder of "
        f"{folder} by that name. Received: {split!r}"
    )


def _of_root(whole, folder, root, split):
    """Returns the lines of a folder's listing that belong to one of its splits."""
    if root != folder:
        prefix = f"{root.relative_to(folder).as_posix()}/"
        return [
            [path.removeprefix(prefix), *stat]
            for path, *stat in whole
            if path.startswith(prefix)
        ]
    if split != "train" and split != "test":
        return whole
    # The whole folder is trained on, but what it holds for validation and test.
    return [
        line
        for line in whole
        if line[0].partition("/")[0].lower() not in _HELD_OUT_SPLITS
    ]


def _part(listing, part, held_out):
    """Returns the lines of a listing that belong to "train", "test" or "all"."""
    if part == "all":
        return listing

    def is_held_out(path):
        digest = hashlib.sha256(path.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") < held_out * 2**64

    test = [line for line in listing if is_held_out(line[0])]
    if len(test) < MIN_HELD_OUT:
        return listing if part == "train" else []
    return test if part == "test" else [x for x in listing if not is_held_out(x[0])]


def _listing(root):
    """Returns sorted [relative path, bytes, mtime in ns] of the images below `root`."""
    listing, others, seen = [], collections.Counter(), {}

    def refuse(error):
        raise DatasetError(
            f"Expected subfolders that can be read below {root}. Received: "
            f"{error.filename} ({checks.one_line(error)})"
        ) from error

    # Links to folders too: classes are often linked together from other places.
    for directory, subdirectories, names in os.walk(
        root, onerror=refuse, followlinks=True
    ):
        _check_seen_once(seen, root, directory)
        subdirectories[:] = [name for name in subdirectories if name[0] != "."]
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            if name[0] != "." and suffix in _OTHER_SUFFIXES:
                others[suffix] += 1
            if name[0] != "." and suffix in (*SUFFIXES, *PHONE_SUFFIXES):
                path = Path(directory, name)
                relative = path.relative_to(root).as_posix()
                try:
                    stat = path.stat()
                except OSError as error:  # a broken link, say
                    raise DatasetError(
                        f"Expected image files that can be read below {root}. "
                        f"Received: {relative} ({checks.one_line(error)})"
                    ) from error
                if not stat_module.S_ISREG(stat.st_mode):  # a pipe, which would hang
                    raise DatasetError(
                        f"Expected image files below {root}. Received: {relative}, "
                        "which is no file"
                    )
                listing.append([relative, stat.st_size, stat.st_mtime_ns])
    if others:
        _log.warning(
            "Pictures below %s that are not read: %s, of %s.",
            root, f"{others.total():,}", ", ".join(sorted(others)),
        )  # fmt: skip
    return sorted(listing)


def _check_seen_once(seen, root, directory):
    """Raises DatasetError where links lead to a folder twice, or to one above."""
    real = os.path.realpath(directory)
    if real in seen:
        raise DatasetError(
            f"Expected each subfolder below {root} once. Received: {directory}, a link "
            f"to {seen[real]}"
        )
    seen[real] = directory


def _decode(reading, form, bits, paths, class_names, key, data_dir):
    """Decodes files of a `Form`; see `cache.write`."""

    def fill(images):
        reading.decode(paths, form, bits, images)
        if class_names is None:
            return None
        return [class_names.index(path.partition("/")[0]) for path in paths]

    shape = (len(paths), *form.shape)
    return cache.write(key, data_dir, str(reading.root), shape, fill)


def _class_names(paths):
    """The first-level subfolders in sorted order; None if an image lies in none."""
    if not all("/" in path for path in paths):
        return None
    return sorted({path.partition("/")[0] for path in paths})


def _warn_of_stray_files(paths, root):
    """Logs a warning where images beside class folders are why there are no classes."""
    stray = [path for path in paths if "/" not in path]
    if len(stray) < len(paths) and len(stray) <= len(paths) // 10:
        _log.warning(
            "The folders below %s are no classes, because %s of %s images lie in none, "
            "such as %s.",
            root, f"{len(stray):,}", f"{len(paths):,}", stray[0],
        )  # fmt: skip
