"""A folder of samples, a PNG file for each seed: written, and read for scores."""

import contextlib
import hashlib
import json
import os
import pathlib

import numpy as np
import tqdm

from keras_gan import checks, export, files
from keras_gan.datasets import Dataset, folder, resizing
from keras_gan.datasets.image_files import SUFFIXES
from keras_gan.experiments.building import load_data
from keras_gan.experiments.parts import Data
from keras_gan.pictures import formats
from keras_gan.streams import ProgressStream

# What tells a folder of samples, and the generator that it is of.
_RECORD = "samples.json"
_FORMAT = "keras_gan samples 1"
_BATCH = 64


def write_folder(
    generator, output, num_samples: int, seed: int, labels=None, truncation=None
) -> int:
    """Writes a PNG file for each of the seeds `seed`, `seed` + 1, ...

    The file of seed 7 is `0000007.png`, and its image that of `generate(1, seed=7)`.
    Files that are there already stay, if the same generator made them and they can be
    read: what was cut off is resumed, and a larger `num_samples` adds to it.

    Args:
        generator: `GAN` or `export.ExportedGenerator`, of images.
        output: str or path-like, a directory; it is created.
        num_samples: int >= 1.
        seed: int >= 0.
        labels: a class, int or name, or a list of them: the file of seed i is of class
            i modulo their number. None draws them, where the model is conditional.
        truncation: see `generation.GenerativeModel.generate`.

    Returns:
        int, the number of files written now.

    Raises:
        ValueError: samples that no PNG file holds; a directory of another generator's
            samples, with pictures that are none of a generator's, or in use.
        OSError: a directory that cannot be written.
    """
    output = pathlib.Path(output)
    num_samples = checks.num_samples(num_samples)
    seed = checks.count("seed", seed, minimum=0, maximum=10**18)
    spec = generator.spec
    if not spec.is_image or spec.shape[2] not in formats.PNG_CHANNELS:
        raise ValueError(
            "Expected a generator of images with 1, 3 or 4 channels for PNG files. "
            f"Received: samples of shape {spec.shape}, of kind {spec.kind}; write them "
            "to a file that ends in .npz"
        )
    if labels is not None:
        labels = np.atleast_1d(labels)
        labels = generator.latent_prior.labels_of(labels, len(labels))
    prior = generator.latent_prior
    prior.truncated(prior.sample(1, seed), truncation)  # fails before anything is there
    files.check_output(output, directory=True)
    output.mkdir(parents=True, exist_ok=True)
    with files.locked(output / ".lock"):
        _claim(output, generator, labels, truncation)
        return _write(generator, output, num_samples, seed, labels, truncation)


def _write(generator, output, num_samples, seed, labels, truncation):
    seeds = range(seed, seed + num_samples)
    wanted = {number: output / f"{number:07}.png" for number in seeds}
    missing = [number for number, path in wanted.items() if not _is_whole(path)]
    with tqdm.tqdm(
        total=num_samples,
        initial=num_samples - len(missing),
        desc="Samples",
        file=ProgressStream(),
        delay=2,
    ) as bar:
        for start in range(0, len(missing), _BATCH):
            seeds = missing[start : start + _BATCH]
            asked = None
            if labels is not None:
                asked = labels[np.array(seeds) % len(labels)]
            samples = generator.generate_each(
                seeds, labels=asked, truncation=truncation
            )
            images = generator.spec.to_uint8(samples)
            for number, image in zip(seeds, images, strict=True):
                files.write(wanted[number], formats.encode_png(image))
            bar.update(len(seeds))
    return len(missing)


def _is_whole(path):
    """Whether a file is there that is a PNG to its end."""
    try:
        formats.decode_png(path.read_bytes())
        return True
    except (OSError, ValueError):
        return False


def _claim(output, generator, labels, truncation):
    """Makes a directory one of this generator's samples, or finds that it is one."""
    described = {"format": _FORMAT, "generator": _fingerprint(generator)}
    if labels is not None:
        described["labels"] = labels.tolist()
    if truncation is not None:
        described["truncation"] = float(truncation)
    record = output / _RECORD
    try:
        found = None
        if os.path.lexists(record):
            if not record.is_file():  # a pipe would wait for ever
                raise ValueError("it is no file")
            found = json.loads(record.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{record} cannot be read ({checks.one_line(error)}). Choose another "
            "directory, or remove the samples."
        ) from error
    if found == described:
        files.clean(output)
        return
    if found is not None:
        raise ValueError(
            f"{output} holds the samples of another generator, or of other classes or "
            "another truncation. Choose another directory, or remove them."
        )
    pictures = [path for path in output.iterdir() if path.suffix.lower() in SUFFIXES]
    if pictures:
        raise ValueError(
            f"{output} holds pictures that no generator of keras_gan is known to have "
            f"made, such as {pictures[0].name}. Choose another directory."
        )
    files.write(record, json.dumps(described, indent=2) + "\n")


def _fingerprint(generator):
    """A digest of what decides a generator's samples."""
    digest = hashlib.sha256()
    if isinstance(generator, export.ExportedGenerator):
        digest.update(json.dumps(generator.card, sort_keys=True).encode())
    else:
        network = generator.averaged_generator or generator.generator
        # Equal weights of another activation draw other samples.
        networks = [generator.latent_prior.get_config(), generator.spec.to_dict()]
        with contextlib.suppress(NotImplementedError):  # a subclass of the user's
            networks.append(network.get_config())
        digest.update(repr(networks).encode())
        for weights in network.get_weights():
            digest.update(np.ascontiguousarray(weights))
    return digest.hexdigest()


# === Reading ===


def is_folder(model) -> bool:
    """Whether a model is the name of a folder of images, "folder:PATH" say."""
    return Data(name=str(model)).is_folder


def load_folder(
    name: str, data: Data, train: Dataset, data_dir=None, settings: dict | None = None
) -> np.ndarray:
    """Loads a folder of images as samples that stand for a dataset.

    Images of another size are brought to that of the data: the centre is cropped to
    their aspect ratio, then resized by a bicubic filter that antialiases
    (`datasets.resizing.fit`). Grey images stand for colours where the data have
    colours, and colours for grey levels where all their channels are equal.

    Args:
        name: "folder:PATH", see `datasets.folder.load`.
        data: `Data`, what the samples stand for.
        train: `Dataset` of it.
        data_dir: where decoded images are cached.
        settings: dict of settings of `Data` for this folder, "background" say, in the
            place of those of `data`.

    Returns:
        float32 array `(N, *train.spec.shape)` in `train.value_range`.

    Raises:
        ValueError: see `datasets.load`; data that are no images; other channels.
    """
    spec = train.spec
    if not spec.is_image:
        raise ValueError(
            f"Expected a dataset of images for {name}. Received: {train.name!r}, of "
            f"kind {spec.kind}"
        )
    height, width, _ = spec.shape
    # Unless it states a size of its own.
    if os.path.isdir(os.path.expanduser(name.removeprefix(folder.PREFIX))):
        name = f"{name}@{height}x{width}"
    options = {**(settings or {}), "name": name, "split": "all"}
    if data.is_folder:  # one scale for both
        options["bits"] = data.bits or folder.bits_of(data.name)
    loaded = load_data(data.model_copy(update=options), data_dir)
    return resizing.with_channels(loaded.examples(), spec.shape, name)
