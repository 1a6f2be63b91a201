"""Any folder of image files, decoded once."""

import itertools
import os
import stat as stat_module
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tqdm

from keras_gan import checks
from keras_gan.datasets import cache
from keras_gan.datasets.base import Dataset, DatasetError, SplitError
from keras_gan.datasets.resizing import fit, split_size
from keras_gan.streams import ProgressStream

PREFIX = "folder:"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
# The formats of these suffixes, by Pillow's names. Pillow decides by content and not by
# name: without this list a .png that holds PostScript would start Ghostscript. A JPEG
# called .png is common, and fine.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
# Transparent pixels get this colour. Their own is often noise, because it never shows.
_BACKGROUND = "white"
# The formats that cameras write, by Pillow's names. Reading the orientation of a PNG
# would decode the whole image. Pillow's JPEG reader makes MPO images as well.
_ORIENTED = ("JPEG", "MPO")


def load(name, split, data_dir=None):
    """Loads all images below a folder, as uint8, in the sorted order of their paths.

    Files: png, jpg, jpeg, bmp, gif (its first frame), webp, tif, tiff; names that begin
    with a dot are skipped. JPEGs are turned as their EXIF orientation says. Transparent
    pixels are laid on white. Files of 16 bits are read as of the fewest of 8, 10, 12,
    14 or 16 bits that hold the largest value in any of them, which is how microscopes,
    scanners and cameras write them. One channel if all files are grey, else three.

    The decoded images are cached (`cache.directory`) under a key of every file's path,
    size and modification time: a folder that changes is decoded anew.

    Args:
        name: "folder:PATH", or "folder:PATH@64" (64x64), "folder:PATH@48x64" (48 high,
            64 wide): crop the centre to that aspect ratio, then resize. Without a size
            all images must be of one size.
        split: PATH/<split>/ if there is such a subfolder; else "train" or "all", and
            the whole folder is meant.
        data_dir: where to cache, unless $KERAS_GAN_CACHE says.

    Returns:
        Dataset of uint8 (H, W, 1 or 3) in (0, 1). The labels number the first-level
        subfolders in sorted order, which are `class_names`, if every image lies in one;
        else they are None.

    Raises:
        SplitError: no such split.
        DatasetError: no such folder; no image; files or subfolders that cannot be read,
            are no files, or hold another format than those above, by name; images of
            different sizes without a size to bring them to.
    """
    # Not by `Path.expanduser`, which fails where there is no such user.
    path, size = os.path.expanduser(name.removeprefix(PREFIX)), None
    # A folder whose own name ends like a size goes before one with a size.
    if not Path(path).is_dir():
        path, size = split_size(path)
    root = _root(Path(path), split)
    listing = _listing(root)
    if not listing:
        raise DatasetError(
            f"Expected image files ({', '.join(SUFFIXES)}) below {root}. Received: none"
        )
    # The root too: archives unpack files of other content with equal names and times.
    key = cache.key("folder", str(root.resolve()), listing, size)
    found = cache.read(key, data_dir)
    if found is None:
        found = _decode(root, [path for path, *_ in listing], size, key, data_dir)
    images, labels = found
    names = None if labels is None else _class_names(path for path, *_ in listing)
    return Dataset(images, labels, name=name, split=split, class_names=names)


def _root(folder, split):
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist"
        raise DatasetError(
            f"Expected a folder of images. Received: {folder}; it {what}"
        )
    # From the listing: a path such as ".." is no split.
    if split in os.listdir(folder) and (folder / split).is_dir():
        return folder / split
    if split in ("train", "all"):
        return folder
    raise SplitError(
        f"Expected split 'train' or 'all' (the whole folder), or a subfolder of "
        f"{folder} by that name. Received: {split!r}"
    )


def _listing(root):
    """Returns sorted [relative path, bytes, mtime in ns] of the images below `root`."""
    listing = []

    def refuse(error):
        raise DatasetError(
            f"Expected subfolders that can be read below {root}. Received: "
            f"{error.filename} ({checks.one_line(error)})"
        ) from error

    # Links to folders too: classes are often linked together from other places.
    for directory, subdirectories, names in os.walk(
        root, onerror=refuse, followlinks=True
    ):
        _check_no_loop(root, directory)
        subdirectories[:] = [name for name in subdirectories if name[0] != "."]
        for name in names:
            if name[0] != "." and name.lower().endswith(SUFFIXES):
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
    return sorted(listing)


def _check_no_loop(root, directory):
    """Raises DatasetError where a link leads back to a folder above itself."""
    directory = Path(directory)
    if directory.parent.resolve().is_relative_to(directory.resolve()):
        raise DatasetError(
            f"Expected subfolders below {root}. Received: {directory}, a link to a "
            "folder that it lies in"
        )


def _labels(paths):
    if not all("/" in path for path in paths):
        return None
    number = {name: i for i, name in enumerate(_class_names(paths))}
    return [number[path.partition("/")[0]] for path in paths]


def _class_names(paths):
    """The first-level subfolders of relative paths, in sorted order."""
    return sorted({path.partition("/")[0] for path in paths})


def _decode(root, paths, size, key, data_dir):
    headers = _for_each(_header, root, paths, "Reading headers")
    grey = all(is_grey for _, is_grey, _ in headers)
    # Bits that a 16-bit value loses to become one of 8.
    shift = max(0, _bits(max(largest for *_, largest in headers)) - 8)
    if size is None:
        first = headers[0][0]
        for path, (other, *_) in zip(paths, headers, strict=True):
            if other != first:
                raise DatasetError(
                    f"Expected images of one size below {root}. Received: "
                    f"{first[0]}x{first[1]} ({paths[0]}) and {other[0]}x{other[1]} "
                    f"({path}); add a size to the name to crop and resize, for example "
                    f"{PREFIX}{root}@64"
                )
    shape = (len(paths), *(size or first), 1 if grey else 3)

    def fill(images):
        rows = {path: row for row, path in enumerate(paths)}

        def decode(root, path):
            images[rows[path]] = _pixels(root, path, grey, size, shift)

        _for_each(decode, root, paths, "Decoding images")
        return _labels(paths)

    return cache.write(key, data_dir, str(root), shape, fill)


def _bits(largest):
    """The bits that files of 16 bits use, whose largest value this is."""
    return next(bits for bits in (8, 10, 12, 14, 16) if largest < 2**bits)


def _header(root, path):
    """Returns ((height, width), whether it is grey, the largest value of 16 bits).

    From the file's header alone, but for 16 bits, whose range no header states; the
    largest value of all other files is 0.
    """
    from PIL import Image

    with Image.open(root / path, formats=_FORMATS) as image:
        _check_mode(image.mode)
        width, height = image.size
        # EXIF orientations 5 to 8 lie on their side.
        if image.format in _ORIENTED and image.getexif().get(0x0112, 1) >= 5:
            width, height = height, width
        grey = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I;")
        largest = image.getextrema()[1] if image.mode.startswith("I;") else 0
        return (height, width), grey, int(largest)


def _pixels(root, path, grey, size, shift):
    from PIL import Image, ImageOps

    with Image.open(root / path, formats=_FORMATS) as image:
        if image.format in _ORIENTED:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;"):
            # Pillow's own conversion clips 16 bits at 255.
            image = Image.fromarray((np.asarray(image) >> shift).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            background = Image.new("RGBA", image.size, _BACKGROUND)
            image = Image.alpha_composite(background, image)
        return fit(image.convert("L" if grey else "RGB"), size)


def _check_mode(mode):
    if mode in ("I", "F"):
        raise ValueError("pixels of 32 bits")


def _for_each(function, root, paths, message):
    """Returns [function(root, path) for each path], run in threads.

    A progress bar appears on stderr if this takes more than two seconds.

    Raises:
        DatasetError: the function failed for some paths; the message names them.
    """
    from PIL import Image

    results, failures = [], []

    def attempt(path):
        try:
            return function(root, path), None
        except MemoryError:
            raise
        # A damaged file raises OSError, SyntaxError, ValueError, EOFError, ...
        except Exception as error:
            return None, f"{path} ({type(error).__name__})"

    Image.init()
    pool = ThreadPoolExecutor(min(32, os.cpu_count() or 1))
    try:
        # In blocks, as starting a task takes as long as reading a small file.
        blocks = [paths[i : i + 64] for i in range(0, len(paths), 64)]
        done = pool.map(lambda block: [attempt(path) for path in block], blocks)
        outcomes = itertools.chain.from_iterable(done)
        for result, failure in tqdm.tqdm(
            outcomes,
            message,
            len(paths),
            file=ProgressStream(),
            unit=" images",
            delay=2,
        ):
            results.append(result)
            if failure:
                failures.append(failure)
    finally:
        pool.shutdown(cancel_futures=True)
    if failures:
        more = f" and {len(failures) - 5:,} more" if len(failures) > 5 else ""
        raise DatasetError(
            f"Expected image files that can be read below {root}. Received "
            f"{len(failures):,} that cannot: {', '.join(failures[:5])}{more}; "
            "remove or replace them"
        )
    return results
