"""Pictures that a user gives by files, in the form of a generator's samples."""

import logging
import os
import pathlib

import numpy as np
from PIL import Image

from keras_gan import checks, datasets, export
from keras_gan.datasets import folder, image_files, resizing
from keras_gan.pictures import grids
from keras_gan.runs import subjects
from keras_gan.runs.run import CONFIG, Run

_log = logging.getLogger("keras_gan")


def load_images(names, spec, data_dir=None, trained_bits=None) -> np.ndarray:
    """Loads pictures as a generator would make them.

    The centre is cropped to the aspect ratio of the samples, then resized. Transparent
    pixels lie on white, where the samples have no transparency of their own.

    Args:
        names: list of str, files and folders of images; "folder:PATH" is one, too.
        spec: `SampleSpec` of the generator.
        data_dir: where the decoded images of folders are cached.
        trained_bits: function without arguments, which returns the bits that the
            generator's training read files of 16 bits as, or None: see `trained_bits`.
            It is called where such files are given. Without it, or where it returns
            None, these are read by the bits that they use, all by the same.

    Returns:
        float32 array `(n, *spec.shape)` in `spec.value_range`.

    Raises:
        ValueError: samples that are no images; files that cannot be read, or of other
            channels; no names.
    """
    grids.check_images(spec)
    if not names:
        raise ValueError("Expected `images` to name files or folders. Received: none")
    height, width, _ = spec.shape
    background = _background(spec)
    paths = [os.path.expanduser(str(x).removeprefix(folder.PREFIX)) for x in names]
    bits = _bits(paths, trained_bits)
    parts = []
    for name, path in zip(names, paths, strict=True):
        if str(name).startswith(folder.PREFIX) or os.path.isdir(path):
            loaded = datasets.load(
                f"{folder.PREFIX}{path}@{height}x{width}",
                "all",
                data_dir,
                background=background and "white",
                bits=bits,
            ).images
        else:
            size = (height, width)
            loaded = image_files.read(path, size, background, bits=bits)[None]
        parts.append(resizing.with_channels(loaded, spec.shape, name))
    data = datasets.Dataset(np.concatenate(parts))
    return in_range_of(data, spec).examples()


def load_picture(
    path, spec, max_pixels=None, invert=False, trained_bits=None
) -> np.ndarray:
    """Loads one picture, whatever its colours, as a generator would make it.

    As `load_images`, but that colours become grey levels where the samples are grey.

    Args:
        path: str or path-like.
        spec: `SampleSpec` of the generator.
        max_pixels: see `image_files.read`.
        invert: bool, whether light becomes dark and dark light, as for ink on paper
            where the samples are light on dark.
        trained_bits: see `load_images`.

    Returns:
        float32 array `spec.shape` in `spec.value_range`.

    Raises:
        UnreadableImages: a file that cannot be read.
        ValueError: samples that are no images, or of other channels.
    """
    grids.check_images(spec)
    height, width, channels = spec.shape
    bits = _bits([path], trained_bits, max_pixels)
    background = _background(spec)
    pixels = image_files.read(path, (height, width), background, max_pixels, bits)
    if channels == 1 and pixels.shape[2] == 3:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    if channels == 4 and pixels.shape[2] < 4:  # without transparency
        colours = resizing.channels_like(pixels[None], (height, width, 3))[0]
        opaque = np.full_like(colours[..., :1], 255)
        pixels = np.concatenate([colours, opaque], axis=2)
    name = pathlib.Path(path).name
    pixels = resizing.with_channels(pixels[None], spec.shape, name)
    if invert:
        pixels = np.concatenate([255 - pixels[..., :3], pixels[..., 3:]], axis=3)
    return in_range_of(datasets.Dataset(pixels), spec).examples()[0]


def _background(spec):
    """Returns what transparent pixels are laid on: white, or None to keep them."""
    return None if spec.shape[-1] == 4 else (255, 255, 255)


def trained_bits(model, generator, dataset=None) -> int | None:
    """Returns the bits that a model's training read files of 16 bits as.

    Args:
        model: str or path-like, see `generating.load_generator`.
        generator: what that returns of it.
        dataset: str, "folder:PATH", where the training's folder is now; an export's
            card does not say where it was.

    Returns:
        int; None where nobody knows: data that are no folder, that have no such files,
        or that are no longer where they were.
    """
    model, settings = pathlib.Path(model), {}
    directory = model if model.is_dir() else model.parent
    if isinstance(generator, export.ExportedGenerator):
        card = generator.card.get("experiment", {}).get("data", {})
        settings = {"bits": card.get("bits")}
    elif (directory / CONFIG).is_file():
        settings = Run.open(directory).experiment.data.model_dump()
    bits, name = settings.get("bits"), dataset or settings.get("name", "")
    if bits is not None or not name.startswith(folder.PREFIX):
        return bits
    try:
        return folder.bits_of(name)
    except datasets.DatasetError:
        return None


def _bits(paths, trained_bits, max_pixels=None):
    """Returns what given files of 16 bits are read as; None where there are none."""
    used = []
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            used.append(folder.bits_of(f"{folder.PREFIX}{path}"))
        else:
            used.append(image_files.used_bits(path.parent, [path.name], max_pixels))
    used = max(filter(None, used), default=None)
    if used is None:
        return None
    bits = trained_bits and trained_bits()
    if bits is not None:  # maybe of a card, which anybody can write
        return checks.count("bits", bits, minimum=8, maximum=16)
    message = "Given pictures of 16 bits are read as of %d, the bits that they use."
    _log.info(message, used)
    return used


def held_out_images(model, dataset=None, data_dir=None):
    """Returns the generator of a model, with pictures that it was not trained on.

    Args:
        model: see `load_generator`.
        dataset, data_dir: see `scoring.evaluate`.

    Returns:
        (generator, train, test): a `GAN` or an `export.ExportedGenerator`, and two
        `Dataset`s in its range. Without a test split, validation takes its place.

    Raises:
        ValueError: no model, a model whose dataset nobody names, or a dataset without
            such splits.
    """
    subject = subjects.subject_of(model, dataset, data_dir)
    generator = subject.generator
    if generator is None:
        raise ValueError(
            "Expected a run's directory, a .keras file or an export. Received: "
            f"{model}, which holds samples alone"
        )
    train, valid, test = subject.splits()
    test = valid if test is None else test
    if test is None:
        raise ValueError(
            f"Expected held-out data of {train.name!r}. Received: none; name pictures "
            "as `images`"
        )
    train, test = (in_range_of(data, generator.spec) for data in (train, test))
    if test.spec.shape != generator.spec.shape:
        raise ValueError(
            f"Expected data of shape {generator.spec.shape}, as {model} makes them. "
            f"Received: {test.name!r}, of shape {test.spec.shape}"
        )
    return generator, train, test


def in_range_of(data: datasets.Dataset, spec) -> datasets.Dataset:
    """Returns data in the range of a generator's samples, where both have one."""
    if spec.contrast_normalized != data.spec.contrast_normalized:
        return data.contrast_normalized() if spec.contrast_normalized else data
    if data.spec.bounds is None or spec.bounds in (None, data.spec.bounds):
        return data
    return data.to_range(spec.value_range)
