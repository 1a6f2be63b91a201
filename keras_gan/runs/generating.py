"""Samples from a run, a `.keras` file or an export, into a file and back."""

import os
import pathlib
import zipfile

import numpy as np

from keras_gan import checks, evaluation, export, files
from keras_gan.experiments.model_files import MODEL, load_gan
from keras_gan.pictures import formats, grids
from keras_gan.runs import archives, sample_folder
from keras_gan.samples import CONTRAST_NORMALIZED_RANGE, check_value_range

# The largest number of values that are loaded from an `.npz`: 4 GiB as float32, which
# are 10,000 images of 188x188x3, or 87,000 of 64x64x3.
MAX_VALUES = 2**30
# Two numbers, and what else may have been stored in their place.
_MOST_RANGE_BYTES = 1024


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


def write_samples(model, output, num_samples, seed, labels=None, truncation=None):
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
        labels: a class or several, ints or names; several are taken in turn. None draws
            them, where the model is conditional. An `.npz` gets them as `labels`.
        truncation: see `generation.GenerativeModel.generate`.

    Raises:
        ValueError: another suffix, no model, `num_samples` below 1, no class, or a
            prior that cannot be truncated.
        OSError: an output that cannot be written.
    """
    if is_folder(output):
        sample_folder.write_folder(
            load_generator(model), output, num_samples, seed, labels, truncation
        )
        return
    output = check_file(output, "or a directory, which ends in /")
    gan = load_generator(model)
    labels = labels_in_turn(gan, num_samples, seed, labels)
    samples = gan.generate(num_samples, seed=seed, labels=labels, truncation=truncation)
    write_file(output, samples, gan.spec, labels)


def check_file(output, otherwise="") -> pathlib.Path:
    """Returns the path of a file of samples, if it can be written.

    Args:
        output: str or path-like.
        otherwise: str, what else could be given, for the message.

    Raises:
        ValueError: another suffix than `.png` or `.npz`.
        OSError: it cannot be written.
    """
    output = pathlib.Path(output)
    if output.suffix not in (".png", ".npz"):
        otherwise = f", {otherwise}" if otherwise else ""
        raise ValueError(
            f"Expected an output that ends in .png or .npz{otherwise}. Received: "
            f"{output}"
        )
    files.check_output(output)
    return output


def write_file(output, samples, spec, labels=None):
    """Writes samples into a `.png` or `.npz`, see `write_samples`.

    Args:
        output: `pathlib.Path`, see `check_file`.
        samples: float32 `(n, *spec.shape)`.
        spec: `samples.SampleSpec`.
        labels: int `(n,)` or None.
    """
    if output.suffix == ".png":
        picture = grids.sample_picture(samples, spec)
        files.write(output, formats.encode_png(picture))
        return
    with files.replacing(output) as temporary:
        np.savez_compressed(
            temporary,
            samples=samples,
            value_range=np.asarray(spec.value_range or (), np.float32),
            **({} if labels is None else {"labels": labels}),
        )


def labels_in_turn(gan, num_samples, seed, labels):
    """Returns the labels of samples, int32 `(num_samples,)`; None without any.

    Args:
        gan, num_samples, seed: what `generate` is called of and with.
        labels: as of `write_samples`.
    """
    if labels is not None:
        return gan.latent_prior.labels_of(np.resize(labels, num_samples), num_samples)
    if not gan.latent_prior.is_labelled:
        return None
    return np.asarray(gan.latent_prior.sample(num_samples, seed)["labels"])


def is_folder(output) -> bool:
    """Returns whether an output of `write_samples` stands for a directory.

    Raises:
        ValueError: an empty path, which would be the working directory.
    """
    output = str(output)
    if not output:
        raise ValueError(
            "Expected `output` to name a file or a directory. Received: ''; a dot is "
            "the working directory"
        )
    return output.endswith(("/", os.sep)) or not pathlib.Path(output).suffix


def load_samples(path, data, num_samples=None):
    """Loads the samples of an `.npz` that `write_samples` wrote.

    Args:
        path: str or path-like; the file holds `samples`, real numbers, and, for images,
            `value_range`, which any generator's samples can be stored with: (0, 255)
            for uint8, say.
        data: `Dataset`, what they stand for.
        num_samples: int, how many of the first ones are needed; no more are unpacked.
            None takes all.

    Returns:
        float32 array `(N, ...)` in `data.value_range`.

    Raises:
        ValueError: no such file, or another content; images without a range, of values
            far outside of it, or contrast normalised where the data are not; more than
            `MAX_VALUES` values.
    """
    spec = data.spec
    samples, value_range = _unpacked(path, spec, num_samples)
    if spec.value_range is None:
        return samples
    if value_range in (None, []):
        raise _refusal(path, ", without the value_range of its images")
    low, high = check_value_range(value_range)
    if spec.value_range != (low, high) == CONTRAST_NORMALIZED_RANGE:
        raise ValueError(
            f"Expected samples that stand for images in {spec.value_range}. Received: "
            f"contrast-normalised ones, by the value_range of {path}; score the run "
            "that they are from, by its directory"
        )
    evaluation.check_samples(samples, spec.shape, (low, high))
    data_low, data_high = spec.value_range
    # In place: each step would else take as much memory again.
    samples -= low
    samples /= high - low
    samples *= data_high - data_low
    samples += data_low
    return samples


def _unpacked(path, spec, num_samples):
    """Returns float32 samples and the value_range of an `.npz`, both as they are."""
    try:
        if not zipfile.is_zipfile(path):
            raise OSError("no .npz" if pathlib.Path(path).exists() else "no such file")
        with zipfile.ZipFile(path) as archive:
            member = archives.Member(archive, "samples")
            value_range = archives.Member(archive, "value_range")
            value_range = value_range.read(most_bytes=_MOST_RANGE_BYTES).tolist()
            if member.dtype.kind not in "fiu":
                raise ValueError(f"samples of {member.dtype}")
            _check_size(member.shape, spec, num_samples)
            samples = member.read(num_samples, MAX_VALUES * member.dtype.itemsize)
    # KeyError, zipfile.BadZipFile, zlib.error, ...: all mean another content.
    except Exception as error:
        raise _refusal(path, f" ({checks.one_line(error).strip(chr(39))})") from error
    return samples.astype(np.float32), value_range


def _check_size(shape, spec, num_samples):
    """Raises ValueError where a header states what need not be unpacked."""
    if shape[1:] != spec.shape:
        raise ValueError(f"samples of shape {shape}, not {(None, *spec.shape)}")
    count = shape[0] if num_samples is None else min(num_samples, shape[0])
    if count * spec.num_values > MAX_VALUES:
        most = MAX_VALUES // spec.num_values
        raise ValueError(
            f"{count:,} samples, where {most:,} of {spec.shape} can be loaded; set "
            "num_samples"
        )


def _refusal(path, reason):
    return ValueError(
        "Expected an .npz with samples and value_range, as write_samples writes it. "
        f"Received: {path}{reason}"
    )
