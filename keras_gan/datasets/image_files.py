"""Image files, decoded by Pillow: the formats that are read, and the form they get."""

import dataclasses
import itertools
import logging
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf
import tqdm

from keras_gan import checks
from keras_gan.datasets.base import DatasetError
from keras_gan.datasets.resizing import fit
from keras_gan.streams import ProgressStream

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
# Phones write these. Pillow reads HEIF with the package pillow-heif, AVIF from 11.3 on.
PHONE_SUFFIXES = {".heic": "HEIF", ".heif": "HEIF", ".avif": "AVIF"}
# The formats of `SUFFIXES`, by Pillow's names. Pillow decides by content and not by
# name: without this list a .png that holds PostScript would start Ghostscript. A JPEG
# called .png is common, and fine.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
# The formats that cameras and phones write, by Pillow's names, but for TIFF and HEIF,
# which their readers turn. Pillow's JPEG reader makes MPO images as well. Reading the
# orientation of a PNG would decode the whole image.
_ORIENTED = ("JPEG", "MPO", "WEBP", "AVIF")

_log = logging.getLogger("keras_gan")


class UnreadableImages(DatasetError):
    """Image files that cannot be read.

    Args:
        message: see `DatasetError`.
        reasons: dict of each file's path to the reason.
    """

    def __init__(self, message, reasons):
        super().__init__(message)
        self.reasons = reasons


def read(
    path, size=None, background=(255, 255, 255), max_pixels=None, bits=None
) -> np.ndarray:
    """Returns the image in one file: uint8 `(H, W, C)`; C is 1 where it is grey.

    Args:
        path: str or path-like.
        size: (height, width) to crop and resize to, or None.
        background: (red, green, blue) that transparent pixels are laid on, or None.
        max_pixels: int, how many pixels it may have, which its header says before
            memory is taken for them; None sets no limit but Pillow's.
        bits: int in [8, 16], of which a file of 16 bits is read; None takes those that
            it uses, see `used_bits`.

    Raises:
        UnreadableImages: a file that is not there, or cannot be read.
    """
    path = Path(path)
    reading = Reading(path.parent, [path.name], size, background, False, max_pixels)
    form = reading.form([path.name])
    images = np.empty((1, *form.shape), np.uint8)
    reading.decode([path.name], form, bits or _fewest_bits(form.largest), images)
    return images[0]


def used_bits(root, paths, max_pixels=None) -> int | None:
    """Returns the fewest of 8, 10, 12, 14 or 16 bits that hold files of 16 bits.

    Args:
        root, paths, max_pixels: see `Reading`. Files that cannot be read are passed
            over.

    Returns:
        int, for the largest value of all these files; None where there are none.
    """
    reading = Reading(root, paths, None, None, False, max_pixels)
    largest = reading.largest(paths)
    return _fewest_bits(largest) if largest else None


def _fewest_bits(largest):
    return next(bits for bits in (8, 10, 12, 14, 16) if largest < 2**bits)


class Reading:
    """Reads image files below a folder.

    Args:
        root: `pathlib.Path` of the folder.
        paths: list of str, relative to it; their suffixes say what may be opened.
        size: (height, width) to crop and resize to, or None.
        background: (red, green, blue) that transparent pixels are laid on, or None.
        skip_broken: bool, whether files that cannot be read are left out.
        max_pixels: int, or None; a file with more pixels is one that cannot be read.
    """

    def __init__(self, root, paths, size, background, skip_broken, max_pixels=None):
        self.root = root
        self._loads = skip_broken
        self.size = size
        self.background = background
        self.skip_broken = skip_broken
        self.max_pixels = max_pixels
        self.formats = _formats(paths)

    def form(self, paths):
        """Returns the `Form` that all images get.

        Raises:
            DatasetError: files that cannot be read; different sizes.
        """
        headers, failures = self._for_each(self.header, paths, "Reading headers")
        if failures and not self._loads:  # name those too that decoding would find
            self._loads = True
            _, more = self._for_each(self.header, list(headers), "Looking for others")
            failures |= more
        self._check(failures, len(paths))
        if self.size is None:
            self._check_sizes(headers)
        else:
            self._say_what_is_enlarged(headers)
        mode = "L" if all(header.is_grey for header in headers.values()) else "RGB"
        if self.background is None and any(x.is_transparent for x in headers.values()):
            mode = "RGBA"
        largest = max(header.largest for header in headers.values())
        size = self.size or next(iter(headers.values())).size
        return Form(frozenset(headers), size, mode, largest)

    def largest(self, paths):
        """Returns the largest value of files of 16 bits; others have none.

        Files that cannot be read are passed over.
        """
        headers, _ = self._for_each(self.header, paths, "Reading headers")
        return max((header.largest for header in headers.values()), default=0)

    def decode(self, paths, form, bits, images):
        """Decodes files of the `Form` into rows of `images`, uint8 (N, *form.shape).

        In files of 16 bits, the value 2**bits - 1 becomes 255.

        Raises:
            DatasetError: files that cannot be read.
        """
        rows = {path: row for row, path in enumerate(paths)}

        def decode(path):
            images[rows[path]] = self.pixels(path, form, bits)

        _, failures = self._for_each(decode, paths, "Decoding images")
        self._check(failures, len(paths), may_skip=False)

    def _check_sizes(self, headers):
        (first, header), *others = headers.items()
        for path, other in others:
            if other.size != header.size:
                raise DatasetError(
                    f"Expected images of one size below {self.root}. Received: "
                    f"{header.size[0]}x{header.size[1]} ({first}) and {other.size[0]}x"
                    f"{other.size[1]} ({path}); add a size to the name to crop and "
                    f"resize, for example folder:{self.root}@64"
                )

    def _say_what_is_enlarged(self, headers):
        """Logs how many files have fewer pixels than their images will have."""
        height, width = self.size
        small = [
            header.size
            for header in headers.values()
            if header.size[0] < height or header.size[1] < width
        ]
        if small:
            _log.info(
                "%s of %s images below %s are enlarged to %dx%d; the smallest is "
                "%dx%d.",
                f"{len(small):,}",
                f"{len(headers):,}",
                self.root,
                height,
                width,
                *min(small, key=min),
            )

    def header(self, path):
        """Returns the `Header` of a file.

        It is read from the file's header alone, but for 16 bits, whose range no header
        states, and where broken files are left out, which decoding alone finds.
        """
        from PIL import Image

        with Image.open(self.root / path, formats=self.formats) as image:
            if image.mode in ("I", "F"):
                raise ValueError("pixels of 32 bits")
            width, height = image.size
            if self.max_pixels is not None and width * height > self.max_pixels:
                most = f"{self.max_pixels:,}"
                raise ValueError(f"{width:,}x{height:,} pixels, where {most} are read")
            # EXIF orientations 5 to 8 lie on their side.
            if image.format in _ORIENTED and image.getexif().get(0x0112, 1) >= 5:
                width, height = height, width
            # Pillow calls grey levels of 16 bits with alpha RGBA.
            is_grey = image.mode in ("1", "L", "LA", "La")
            is_grey = is_grey or image.mode.startswith("I;")
            is_grey = is_grey or _rawmode(image).startswith("LA")
            values, _ = _sixteen_bits(image, self.root / path)
            if self._loads:
                image.load()
            return Header(
                size=(height, width),
                is_grey=is_grey,
                is_transparent=image.has_transparency_data,
                largest=0 if values is None else _largest(values),
            )

    def pixels(self, path, form, bits):
        """Returns the pixels of a file: uint8 `form.shape`."""
        from PIL import Image, ImageOps

        with Image.open(self.root / path, formats=self.formats) as image:
            if image.format in _ORIENTED:
                image = ImageOps.exif_transpose(image)
            values, is_cut = _sixteen_bits(image, self.root / path)
            if is_cut and bits < 16:
                raise ValueError(
                    f"colours of 16 bits in a TIFF, of which {bits} are used; save it "
                    "as PNG"
                )
            if values is not None:
                image = Image.fromarray(_eight_bits(values, bits))
            if image.has_transparency_data and self.background is not None:
                image = image.convert("RGBA")
                background = Image.new("RGBA", image.size, self.background)
                image = Image.alpha_composite(background, image)
            pixels = fit(image.convert(form.mode), self.size)
        if form.mode == "RGBA":
            pixels = np.where(pixels[..., 3:], pixels, 0)
        return pixels

    def _check(self, failures, count, may_skip=True):
        """Names the files that cannot be read, in a warning or in an error."""
        if not failures:
            return
        # A name may hold a line end, or what a terminal takes for a command.
        named = [
            f"{path if path.isprintable() else ascii(path)} ({reason})"
            for path, reason in failures.items()
        ]
        more = f" and {len(named) - 5:,} more" if len(named) > 5 else ""
        named = ", ".join(named[:5]) + more
        if may_skip and self.skip_broken and len(failures) < count:
            _log.warning("Files below %s that cannot be read: %s.", self.root, named)
            return
        # Without the only one there would be none.
        may_skip = count > 1 and not self.skip_broken
        skip = ", or pass skip_broken=True" if may_skip else ""
        raise UnreadableImages(
            f"Expected image files that can be read below {self.root}. Received "
            f"{len(failures):,} that cannot: {named}; remove or replace them{skip}",
            failures,
        )

    def _for_each(self, function, paths, message):
        """Calls function(path) for each path, in threads.

        A progress bar appears on stderr if this takes more than two seconds.

        Returns:
            two dicts, of path to result, and of path to the reason why there is none.
        """
        from PIL import Image, UnidentifiedImageError

        results, failures = {}, {}

        def attempt(path):
            try:
                return function(path), None
            except MemoryError:
                raise
            # Their messages say what no user can guess: an unusual mode, a size beyond
            # Pillow's limit.
            except (ValueError, Image.DecompressionBombError) as error:
                return None, checks.one_line(error)
            except UnidentifiedImageError:
                return None, "no image of these formats"
            # A damaged file raises OSError, SyntaxError, EOFError, ...
            except Exception as error:
                return None, checks.one_line(error)[:80] or type(error).__name__

        Image.init()
        pool = ThreadPoolExecutor(min(32, os.cpu_count() or 1))
        # Between its limit and twice that, Pillow warns in two lines and goes on.
        ignored = warnings.catch_warnings(
            action="ignore", category=Image.DecompressionBombWarning
        )
        with ignored, pool:
            try:
                # In blocks, as starting a task takes as long as reading a small file.
                blocks = [paths[i : i + 64] for i in range(0, len(paths), 64)]
                done = pool.map(lambda block: [attempt(path) for path in block], blocks)
                outcomes = tqdm.tqdm(
                    itertools.chain.from_iterable(done),
                    message,
                    len(paths),
                    file=ProgressStream(),
                    unit=" images",
                    delay=2,
                )
                for path, (result, reason) in zip(paths, outcomes, strict=True):
                    if reason is None:
                        results[path] = result
                    else:
                        failures[path] = reason
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return results, failures


@dataclasses.dataclass(frozen=True)
class Form:
    """The form that all images of a folder get.

    Attributes:
        paths: frozenset of str, the files that can be read.
        size: (height, width).
        mode: "L", "RGB" or "RGBA".
        largest: int, the largest value of files of 16 bits; 0 where there are none.
    """

    paths: frozenset
    size: tuple
    mode: str
    largest: int

    @property
    def shape(self) -> tuple:
        """(H, W, C) of one image."""
        return (*self.size, len(self.mode))


@dataclasses.dataclass(frozen=True)
class Header:
    """Describes a file's image before it is decoded.

    Attributes:
        size: (height, width) as it is to be seen.
        is_grey, is_transparent: bools.
        largest: int, the largest value of an image of 16 bits; 0 of all others.
    """

    size: tuple
    is_grey: bool
    is_transparent: bool
    largest: int


def _formats(paths):
    """The formats, by Pillow's names, that files by these names are opened as."""
    suffixes = {os.path.splitext(path)[1].lower() for path in paths}
    formats = {PHONE_SUFFIXES[suffix] for suffix in suffixes & {*PHONE_SUFFIXES}}
    if "HEIF" in formats:
        checks.require("pillow_heif", extra="heic").register_heif_opener()
    if "AVIF" in formats:
        from PIL import Image

        Image.init()
        if "AVIF" not in Image.OPEN:
            raise DatasetError(
                "Expected Pillow 11.3 or later, which reads .avif. Received: Pillow "
                f"{Image.__version__}; update it"
            )
    return (*_FORMATS, *sorted(formats))


def _rawmode(image):
    """Returns how a PNG holds its values, "RGB;16B" say; "" of any other file.

    Args:
        image: `PIL.Image.Image`, opened and not loaded.
    """
    if image.format != "PNG" or not image.tile:
        return ""
    return image.tile[0][3]


def _sixteen_bits(image, path):
    """Returns the values of a file of 16 bits a channel.

    Args:
        image: `PIL.Image.Image`, opened and not loaded.
        path: `pathlib.Path` of its file.

    Returns:
        (values, is_cut): uint16 `(H, W)` of grey levels, `(H, W, 4)` of all else, with
        its alpha; None of files of 8 bits. And whether the lower 8 bits are lost.
    """
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    if image.mode.startswith("I;") and "transparency" not in image.info:
        values = np.asarray(image)
        # "White is zero", which Pillow heeds in files of 8 bits alone.
        return (65535 - values if tags.get(262) == 0 else values), False
    # Pillow keeps the upper 8 bits alone of other files.
    if _rawmode(image).endswith(";16B"):
        image.load()  # names what a damaged file lacks
        try:
            values = tf.io.decode_png(path.read_bytes(), channels=4, dtype=tf.uint16)
        except tf.errors.OpError as error:
            raise ValueError("a PNG of 16 bits that libpng cannot decode") from error
        return values.numpy(), False
    if image.format == "TIFF" and np.max(tags.get(258, 1)) == 16:
        upper = np.asarray(image.convert("RGBA")).astype(np.uint16)
        return upper << 8 | 255, True
    return None, False


def _largest(values):
    """Returns the largest of `_sixteen_bits` that can be seen: an int."""
    if values.ndim == 3:
        values = values[values[..., 3] > 0, :3]
    return int(values.max(initial=0))


def _eight_bits(values, bits):
    """Returns `_sixteen_bits` as uint8; 2**bits - 1 and all beyond becomes 255."""
    used = np.full(values.shape[2:], bits)
    # An opaque alpha may be 65535 also where the colours use fewer bits.
    if values.ndim == 3 and values[..., 3].max() >= 2**bits:
        used[3] = 16
    values = np.minimum(values, (2**used - 1).astype(np.uint16))
    return (values >> (used - 8).astype(np.uint16)).astype(np.uint8)
