"""Latents of pictures, and completions of them, from a run into files."""

import dataclasses
import functools
import pathlib

import numpy as np

from keras_gan import checks, files, inference
from keras_gan.datasets import image_files
from keras_gan.pictures import formats, grids
from keras_gan.runs import given_images
from keras_gan.runs.generating import check_file, is_folder, load_generator
from keras_gan.streams import share_bar

# The parts of a picture that can be hidden by name: of its height, and of its width.
MASKS = {
    "lower": ((1 / 2, 1), (0, 1)),
    "upper": ((0, 1 / 2), (0, 1)),
    "left": ((0, 1), (0, 1 / 2)),
    "right": ((0, 1), (1 / 2, 1)),
    "center": ((1 / 4, 3 / 4), (1 / 4, 3 / 4)),
}


def write_projection(
    model, output, images=None, num_images=10, dataset=None, data_dir=None, **options
):
    """Finds the latents of pictures by a run's generator, and writes what it found.

    Args:
        model: str or path-like, see `generating.load_generator`.
        output: str or path-like. `.png` gets a sheet: each picture, and G of its
            latents beside it. `.npz` gets the arrays of the `inference.Projection`
            but for `path`, and `images` and `value_range`. A directory, which has no
            suffix or ends in "/", gets both, as projection.png and projection.npz.
        images: list of str, files and folders, see `given_images.load_images`. None
            takes the first held-out examples of the run's dataset.
        num_images: int >= 1, how many of these.
        dataset, data_dir: see `scoring.evaluate`; of held-out examples, and of the
            scale of `images` of 16 bits, see `given_images.trained_bits`.
        **options: seed, steps, restarts, labels, noise, ... of `inference.project`.

    Returns:
        (found, classes): `inference.Projection`, and the class of each picture, a list
        of names or numbers; None where the model is not conditional.

    Raises:
        ValueError: another suffix, no model, or pictures that cannot be read; see
            `inference.project`.
        OSError: an output that cannot be written.
    """
    outputs = _outputs(output, "projection")
    generator, images, _ = _given(model, images, num_images, dataset, data_dir)
    if ".png" in outputs:
        grids.check_images(generator.spec)
    with share_bar("Projecting") as progress:
        found = inference.project(generator, images, progress=progress, **options)
    if ".png" in outputs:
        picture = grids.sheet([images, found.samples], generator.spec, rows=5)
        files.write(outputs[".png"], formats.encode_png(picture))
    if ".npz" in outputs:
        arrays = {**dataclasses.asdict(found), "path": None, "images": images}
        _write_arrays(outputs[".npz"], generator, arrays)
    names, classes = generator.latent_prior.class_names, found.labels
    if names is not None and classes is not None:
        classes = [names[label] for label in classes]
    return found, classes


def write_completion(
    model,
    output,
    mask="lower",
    images=None,
    num_images=10,
    dataset=None,
    data_dir=None,
    **options,
) -> inference.Completion:
    """Hides a part of pictures, completes them by a run's generator, and writes these.

    Args:
        model, output, images, num_images, dataset, data_dir: see `write_projection`.
            The sheet shows the pictures with the hidden part in grey, their
            completions, and the pictures; its files in a directory are completion.png
            and completion.npz.
        mask: str, the part to hide, one of `MASKS`; or an image file of the size of the
            samples, black where a pixel is hidden.
        **options: seed, steps, num_completions, labels, ... of `inference.complete`.

    Returns:
        `inference.Completion`, with `explained` where the pictures are held-out ones.

    Raises:
        ValueError: as `write_projection`; no such mask, samples that are no images.
        OSError: an output that cannot be written.
    """
    outputs = _outputs(output, "completion")
    if mask not in MASKS and not pathlib.Path(mask).is_file():
        checks.one_of("mask", mask, MASKS, "or an image file")
    generator, images, mean = _given(model, images, num_images, dataset, data_dir)
    spec = generator.spec
    grids.check_images(spec)
    known = _mask(mask, spec)
    with share_bar("Completing") as progress:
        found = inference.complete(
            generator, images, known, mean_image=mean, progress=progress, **options
        )
    if ".png" in outputs:
        hidden = np.where(known[..., None], images, sum(spec.value_range) / 2)
        picture = grids.sheet([hidden, found.completions, images], spec)
        files.write(outputs[".png"], formats.encode_png(picture))
    if ".npz" in outputs:
        arrays = {**dataclasses.asdict(found), "images": images, "mask": known}
        _write_arrays(outputs[".npz"], generator, arrays)
    return found


def _outputs(output, name):
    """Returns the files to write, by their suffix."""
    if is_folder(output):
        folder = pathlib.Path(output)
        files.check_output(folder, directory=True)
        return {suffix: folder / f"{name}{suffix}" for suffix in (".png", ".npz")}
    output = check_file(output, "or a directory, which ends in /")
    return {output.suffix: output}


def _given(model, names, num_images, dataset, data_dir):
    """Returns the generator, the pictures, and the mean training image or None."""
    num_images = checks.count("num_images", num_images)
    if names is not None:
        generator = load_generator(model)
        bits = functools.partial(given_images.trained_bits, model, generator, dataset)
        images = given_images.load_images(names, generator.spec, data_dir, bits)
        return generator, images, None
    generator, train, test = given_images.held_out_images(model, dataset, data_dir)
    images = test.examples(slice(0, num_images))
    return generator, images, train.pixel_means()


def _mask(mask, spec):
    """Returns where the pixels of images are known, bool `(H, W)`."""
    height, width, _ = spec.shape
    if mask in MASKS:
        rows, columns = (
            slice(*(round(share * size) for share in part))
            for part, size in zip(MASKS[mask], (height, width), strict=True)
        )
        known = np.ones((height, width), bool)
        known[rows, columns] = False
        return known
    pixels = image_files.read(mask)
    if pixels.shape[:2] != (height, width):
        raise ValueError(
            f"Expected a mask of {height}x{width} pixels, as the samples have. "
            f"Received: {mask}, of {pixels.shape[0]}x{pixels.shape[1]}"
        )
    return pixels.mean(axis=2) >= 128


def _write_arrays(path, generator, arrays):
    """Writes an `.npz` of the arrays that are not None, with the samples' range."""
    arrays = {name: array for name, array in arrays.items() if array is not None}
    value_range = np.asarray(generator.value_range or (), np.float32)
    with files.replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays, value_range=value_range)
