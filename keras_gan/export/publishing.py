"""Versions of an exported generator: published whole, never overwritten."""

import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
import uuid

import numpy as np

from keras_gan import images, priors
from keras_gan.export import probe, signatures
from keras_gan.version import __version__

CARD = "assets.extra/gan_card.json"
# Seeds whose samples the card remembers: small, negative, and beyond 32 bits.
GOLDEN_SEEDS = (0, 1, -3, 2**40 + 7)


def export_generator(
    generator, latent_prior, base, version=None, value_range=(0.0, 1.0), card=None
):
    """Publishes a generator as a SavedModel that TensorFlow Serving loads.

    `<base>/<version>/` gets the SavedModel with the signatures of `signatures`, warmup
    requests, and `assets.extra/gan_card.json`. It is written beside, under a name that
    the server ignores, and renamed: `base` never holds half a version.

    Args:
        generator: Keras model from latents `(batch, L)` to samples.
        latent_prior: one of `priors`, or a TFP distribution of event shape `(L,)`.
        base: str or path-like, the model's directory; its name is the model's name.
        version: int >= 1, or None for the highest there is + 1.
        value_range: (low, high) of the samples, mapped to [0, 1] and clipped in the
            export; None where samples are no images, which stay as they are.
        card: dict of what else to say of the generator: `dataset`, `step`, `seed`,
            `scores` and so on, as JSON can hold.

    Returns:
        `pathlib.Path` of the version's directory.

    Raises:
        ValueError: a base that is a file, a version that is there already or no int, a
            generator that does not fit the prior, or whose weights are not finite.
        OSError: a disk that is full or read-only; nothing half-written stays.
    """
    base = pathlib.Path(base)
    latent_prior = priors.get(latent_prior)
    value_range = images.check_value_range(value_range)
    _check_base(base)
    _check_version(base, version)
    generator = _plain(generator, latent_prior)
    base.mkdir(parents=True, exist_ok=True)
    _sweep(base)
    incoming = base / f".incoming-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        signatures.write_saved_model(generator, latent_prior, value_range, incoming)
        # Keras leaves an empty folder for assets.
        shutil.rmtree(incoming / "assets", ignore_errors=True)
        names = ["serving_default", "sample"]
        if signatures.has_png(generator.output_shape, value_range):
            names.append("png")
        signatures.write_warmup(incoming, base.resolve().name, latent_prior, names)
        described = _describe(generator, latent_prior, value_range, names)
        described["name"] = base.resolve().name
        described |= {key: card[key] for key in card or {} if key not in described}
        return _publish(incoming, base, version, described)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)


def versions(base):
    """The versions that a base holds, ascending: a list of ints."""
    try:
        names = os.listdir(base)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(
        int(name)
        for name in names
        if name.isdecimal() and (pathlib.Path(base) / name).is_dir()
    )


def latest(base):
    """The path of the highest version that a base holds.

    Raises:
        ValueError: it holds none.
    """
    found = versions(base)
    if not found:
        raise ValueError(
            "Expected a directory with exported versions (1/, 2/, ...). "
            f"Received: {base}, which has none"
        )
    return pathlib.Path(base) / str(found[-1])


def read_card(path):
    """The dict of a version's `gan_card.json`.

    Raises:
        ValueError: none, or a damaged one.
    """
    file = pathlib.Path(path) / CARD
    try:
        card = json.loads(file.read_text())
        missing = {"signatures", "latent_dim", "goldens", "files"} - set(card)
        if missing:
            raise ValueError(f"without {', '.join(sorted(missing))}")
        return card
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"Expected a version that keras_gan exported, with a {CARD}. "
            f"Received: {path} ({reason})"
        ) from error


def digests(path):
    """SHA-256 of every file of a version but its card, by relative name."""
    path = pathlib.Path(path)
    result = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_file() and name != CARD:
            digest = hashlib.sha256()
            with open(file, "rb") as content:
                while block := content.read(1 << 20):
                    digest.update(block)
            result[name] = digest.hexdigest()
    return result


def _describe(generator, latent_prior, value_range, names):
    latents = signatures.latents_of_seeds(latent_prior, GOLDEN_SEEDS)
    samples = signatures.expected_outputs(generator, latents, value_range)
    if not np.isfinite(samples).all():
        raise ValueError(
            "Expected a generator of finite samples. Received: NaN or infinity in its "
            "samples; go back to the last good model"
        )
    packages = ("keras", "tensorflow", "tensorflow-probability")
    return {
        "output": signatures.output_name(value_range),
        "sample_shape": list(generator.output_shape[1:]),
        "value_range": value_range,
        "latent_dim": latent_prior.latent_dim,
        "latent_prior": _serialized(latent_prior),
        "parameters": generator.count_params(),
        "weight_bytes": int(sum(w.nbytes for w in generator.get_weights())),
        "precision_policy": generator.dtype_policy.name,
        "signatures": names,
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "keras_gan": __version__,
            **{name: importlib.metadata.version(name) for name in packages},
        },
        "goldens": [
            {"seed": seed, **probe.golden(latents[row], samples[row])}
            for row, seed in enumerate(GOLDEN_SEEDS)
        ],
    }


def _serialized(latent_prior):
    import keras

    return keras.saving.serialize_keras_object(latent_prior)


def _publish(incoming, base, version, card):
    """Writes the card, flushes all to disk and renames; returns the path."""
    number = version
    while True:
        if version is None:
            number = max(versions(base), default=0) + 1
        content = {**card, "version": number, "files": digests(incoming)}
        (incoming / CARD).write_text(json.dumps(content, indent=2) + "\n")
        _flush(incoming)
        target = base / str(number)
        try:
            # Fails where another exporter was faster: a version is never empty.
            os.rename(incoming, target)
        except OSError:
            if not target.exists():
                raise
            _check_version(base, version)  # raises for a version that was asked for
            continue
        _flush_folder(base)
        return target


def _flush(folder):
    for file in folder.rglob("*"):
        if file.is_file():
            with open(file, "rb") as content:
                os.fsync(content.fileno())
        else:
            _flush_folder(file)
    _flush_folder(folder)


def _flush_folder(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(base):
    """Removes what exporters left that were killed; those at work keep theirs."""
    for folder in base.glob(".incoming-*"):
        _, _, rest = folder.name.partition("-")
        process, _, _ = rest.partition("-")
        if process.isdecimal() and not _alive(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _check_base(base):
    nearest = next(path for path in (base, *base.absolute().parents) if path.exists())
    if not nearest.is_dir():
        raise ValueError(
            f"Expected a directory to export to. Received: {base}, where {nearest} is "
            "a file"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(
            f"Expected a directory that can be written. Received: {base}; choose "
            "another"
        )


def _check_version(base, version):
    if version is None:
        return
    is_int = isinstance(version, (int, np.integer)) and not isinstance(version, bool)
    if not is_int or not 1 <= version < 2**63:
        raise ValueError(f"Expected version to be an int >= 1. Received: {version!r}")
    if (base / str(version)).exists():
        raise ValueError(
            f"Expected a version that {base} does not hold. Received: {version}; "
            "published versions are never overwritten, leave it out for the next one"
        )


def _plain(generator, latent_prior):
    """The generator, its fit checked; a copy where its variables lie on replicas."""
    import keras
    import tensorflow as tf

    if not isinstance(generator, keras.Model):
        raise ValueError(
            f"Expected a Keras model for a generator. Received: {generator!r}"
        )
    expected = (None, latent_prior.latent_dim)
    if not tf.TensorShape(generator.input_shape).is_compatible_with(expected):
        raise ValueError(
            f"Expected a generator that takes the prior's latents, shape {expected}. "
            f"Received: {generator.input_shape}"
        )
    spread = any(
        isinstance(weight.value, tf.distribute.DistributedValues)
        for weight in generator.weights
    )
    if not spread:
        return generator
    copy = keras.models.clone_model(generator)
    copy.set_weights(generator.get_weights())
    return copy
