"""Samples from a run, a `.keras` file or an export, into a file and back."""

import os
import pathlib
import zipfile

import numpy as np

from keras_gan import evaluation, export, files
from keras_gan.experiments.model_files import MODEL, load_gan
from keras_gan.pictures import formats, grids
from keras_gan.runs import sample_folder
from keras_gan.samples import CONTRAST_NORMALIZED_RANGE, check_value_range


def load_generator(path):
    """Loads what draws samples: a run's model, a `.keras` file, or an export.

    Returns:
        a `GAN` or an `export.ExportedGenerator`: both have `generate(num_samples,
        seed)`, `value_range`, `sample_shape` and `latent_prior`.

    Raises:
        ValueError: there is none at `path`, or none that can be read.
    """
    path = pathlib.Path(path)
    if not (path / MODEL).exists() and export.is_export(path):
        return export.ExportedGenerator(path)
    return load_gan(path, compile=False)


def write_samples(model, output, num_samples, seed):
    """Draws samples from a run or an export and writes them.

    Args:
        model: str or path-like, see `load_generator`.
        output: str or path-like. `.png` gets a grid (a plot, where samples are no
            images); `.npz` gets `samples`, float32 `(num_samples, ...)` in the model's
            own scale, and `value_range`, float32 `(2,)` (empty where there is none). A
            directory, which has no suffix or ends in "/", gets a PNG file for each of
            the seeds from `seed` on, see `sample_folder.write_folder`.
        num_samples: int >= 1.
        seed: int; the same seed gives the same samples.

    Raises:
        ValueError: another suffix, no model, or `num_samples` below 1.
        OSError: an output that cannot be written.
    """
    if is_folder(output):
        sample_folder.write_folder(load_generator(model), output, num_samples, seed)
        return
    output = pathlib.Path(output)
    if output.suffix not in (".png", ".npz"):
        raise ValueError(
            "Expected an output that ends in .png or .npz, or a directory, which ends "
            f"in /. Received: {output}"
        )
    files.check_output(output)
    gan = load_generator(model)
    samples = gan.generate(num_samples, seed=seed)
    if output.suffix == ".png":
        picture = grids.sample_picture(samples, gan.spec)
        files.write(output, formats.encode_png(picture))
        return
    with files.replacing(output) as temporary:
        np.savez_compressed(
            temporary,
            samples=samples,
            value_range=np.asarray(gan.value_range or (), np.float32),
        )


def is_folder(output) -> bool:
    """Returns whether an output of `write_samples` stands for a directory."""
    output = str(output)
    return output.endswith(("/", os.sep)) or not pathlib.Path(output).suffix


def load_samples(path, data):
    """Loads the samples of an `.npz` that `write_samples` wrote.

    Args:
        path: str or path-like; the file holds `samples`, real numbers, and, for images,
            `value_range`, which any generator's samples can be stored with: (0, 255)
            for uint8, say.
        data: `Dataset`, what they stand for.

    Returns:
        float32 array `(N, ...)` in `data.value_range`.

    Raises:
        ValueError: no such file, or another content; images without a range, of values
            far outside of it, or contrast normalised where the data are not.
    """

    def refuse(reason):
        return ValueError(
            "Expected an .npz with samples and value_range, as write_samples writes "
            f"it. Received: {path}{reason}"
        )

    try:
        # NumPy would take any other file for a pickle, and say so.
        if not zipfile.is_zipfile(path):
            raise OSError("no .npz" if pathlib.Path(path).exists() else "no such file")
        with np.load(path, allow_pickle=False) as file:
            samples = file["samples"]
            value_range = file["value_range"].tolist()
    # KeyError, zipfile.BadZipFile, zlib.error, ...: all mean another content.
    except Exception as error:
        raise refuse(f" ({str(error).strip(chr(39))})") from error
    if samples.dtype.kind not in "fiu":
        raise refuse(f", with samples of {samples.dtype}")
    samples = samples.astype(np.float32)
    spec = data.spec
    if spec.value_range is None:
        return samples
    if value_range in (None, []):
        raise refuse(", without the value_range of its images")
    low, high = check_value_range(value_range)
    if spec.value_range != (low, high) == CONTRAST_NORMALIZED_RANGE:
        raise ValueError(
            f"Expected samples that stand for images in {spec.value_range}. Received: "
            f"contrast-normalised ones, by the value_range of {path}; score the run "
            "that they are from, by its directory"
        )
    evaluation.check_samples(samples, spec.shape, (low, high))
    data_low, data_high = spec.value_range
    return (samples - low) / (high - low) * (data_high - data_low) + data_low
