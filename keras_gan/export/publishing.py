"""Versions of an exported generator: published whole, never overwritten."""

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
import uuid

import numpy as np

from keras_gan import priors
from keras_gan.export import graph, probe, signatures
from keras_gan.samples import check_value_range
from keras_gan.version import __version__

CARD = "assets.extra/gan_card.json"
# Seeds whose samples the card remembers: small, negative, and beyond 32 bits.
GOLDEN_SEEDS = (0, 1, -3, 2**40 + 7)
# What reading and verifying a version needs of its card.
_NEEDED = (
    "signatures", "output", "latent_dim", "latent_prior", "sample_shape", "tolerance",
    "goldens", "files",
)  # fmt: skip
_INCOMING = ".incoming-"


def export_generator(
    generator,
    latent_prior,
    base,
    version=None,
    value_range=(0.0, 1.0),
    card=None,
    check=None,
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
        check: None, or a function of a folder that is called before the folder becomes
            the version, such as `verify`; what it raises, it keeps from being
            published.

    Returns:
        `pathlib.Path` of the version's directory.

    Raises:
        ValueError: a base that is a file, a version that is there already or no int, a
            generator that does not fit the prior, whose samples are not finite, or that
            a server cannot run (see `graph.check`); a card that JSON cannot hold.
        OSError: a disk that is full or read-only; nothing half-written stays.
    """
    base = pathlib.Path(base)
    latent_prior = priors.get(latent_prior)
    value_range = check_value_range(value_range)
    card = _as_json(card or {})
    _check_base(base)
    _check_version(base, version)
    generator, sample_shape = _plain(generator, latent_prior)
    new = [folder for folder in (base, *base.absolute().parents) if not folder.exists()]
    try:
        base.mkdir(parents=True, exist_ok=True)
        _sweep(base)
        with _incoming(base) as incoming:
            described = _write(
                generator, latent_prior, sample_shape, value_range, incoming,
                base.resolve().name,
            )  # fmt: skip
            return _publish(incoming, base, version, {**card, **described}, check)
    except BaseException:
        for folder in new:
            with contextlib.suppress(OSError):  # not empty: of use to another
                folder.rmdir()
        raise


def versions(base):
    """The versions that a base holds, ascending: a list of ints."""
    try:
        names = os.listdir(base)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(
        int(name)
        for name in names
        if _is_version(name) and (pathlib.Path(base) / name).is_dir()
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
        missing = [name for name in _NEEDED if not card.get(name)]
        if missing:
            raise ValueError(f"without {', '.join(missing)}")
        return card
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"Expected a version that keras_gan exported, with a {CARD}. "
            f"Received: {path} ({reason})"
        ) from error


def is_sealed(path):
    """Whether a version's card is, to the byte, what the exporter wrote."""
    content = (pathlib.Path(path) / CARD).read_bytes()
    card = json.loads(content)
    card.pop("seal", None)
    return content == _sealed(card)


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


def _write(generator, latent_prior, sample_shape, value_range, incoming, name):
    """Writes all of a version but its card; returns what the card says of it."""
    import tensorflow as tf

    names = ["serving_default", "sample"]
    if signatures.has_png(sample_shape, value_range):
        names.append("png")
    described = _describe(generator, latent_prior, sample_shape, value_range, names)
    try:
        signatures.write_saved_model(
            generator, latent_prior, sample_shape, value_range, incoming
        )
        # Keras leaves an empty folder for assets.
        shutil.rmtree(incoming / "assets", ignore_errors=True)
        signatures.write_warmup(incoming, name, latent_prior, names)
    except tf.errors.OpError as error:  # TensorFlow's, of a full disk too
        # TensorFlow's message may name no more than the file.
        reason = " ".join(error.message.rpartition("}} ")[2].split())[:300]
        raise OSError(
            f"Expected a disk with room, where {incoming.parent} can be written. "
            f"Received: {type(error).__name__}, {reason}"
        ) from error
    faults = graph.check(incoming, described["weight_bytes"])
    if faults:
        raise ValueError(
            f"Expected a generator that a server can run. Received: {generator.name!r} "
            f"({'; '.join(faults)})"
        )
    return {"name": name, **described}


def _describe(generator, latent_prior, sample_shape, value_range, names):
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
        "sample_shape": list(sample_shape),
        "value_range": value_range,
        "latent_dim": latent_prior.latent_dim,
        "latent_prior": _serialized(latent_prior),
        "parameters": generator.count_params(),
        "weight_bytes": int(sum(w.nbytes for w in generator.get_weights())),
        "tolerance": signatures.tolerance(generator),
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


def _as_json(card):
    """What is left of a card in a file: NaN, which JSON lacks, becomes null."""
    try:
        return json.loads(json.dumps(dict(card)), parse_constant=lambda name: None)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Expected a card that JSON can hold. Received: {card!r} ({error})"
        ) from error


def _sealed(card):
    """A card's bytes, with the digest of all else in them as its last entry."""
    content = json.dumps(card, indent=2)
    seal = hashlib.sha256(content.encode()).hexdigest()
    return (json.dumps({**card, "seal": seal}, indent=2) + "\n").encode()


def _publish(incoming, base, version, card, check):
    """Writes the card, checks, flushes all to disk and renames; returns the path."""
    while True:
        number = _next_version(base) if version is None else int(version)
        content = _as_json({**card, "version": number, "files": digests(incoming)})
        (incoming / CARD).write_bytes(_sealed(content))
        if check is not None:
            check(incoming)
            check = None  # another number, for another round, changes nothing else
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


def _next_version(base):
    """One more than any name that a server would read as a version, file or folder."""
    return max((int(n) for n in os.listdir(base) if n.isdecimal()), default=0) + 1


def _is_version(name):
    return name.isdecimal() and str(int(name)) == name


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


@contextlib.contextmanager
def _incoming(base):
    """A new folder in `base`, locked while its exporter lives, removed if it is left.

    The lock says who is at work, not a process id: those are used again, and count by
    themselves in each container that shares the disk.
    """
    while True:
        folder = base / f"{_INCOMING}{uuid.uuid4().hex}"
        folder.mkdir()
        handle = _lock(folder)
        if handle is not None:
            break
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _sweep(base):
    """Removes what exporters left that were killed; those at work keep theirs."""
    for folder in base.glob(f"{_INCOMING}*"):
        handle = _lock(folder)
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)


def _lock(folder):
    """A handle of `folder` that nobody else has while it is open, or None."""
    import fcntl

    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # another has removed it
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between the two lines above it may have gone.
        if os.path.samestat(os.fstat(handle), os.stat(folder)):
            return handle
    except OSError:
        pass
    os.close(handle)
    return None


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
    """The generator, a copy where its variables lie on replicas; a sample's shape."""
    import keras
    import tensorflow as tf

    if not isinstance(generator, keras.Model):
        raise ValueError(
            f"Expected a Keras model for a generator. Received: {generator!r}"
        )
    if tf.distribute.has_strategy():
        raise ValueError(
            "Expected to export outside of a strategy's scope. Received: "
            f"{type(tf.distribute.get_strategy()).__name__}; leave its `with` block"
        )
    expected = (None, latent_prior.latent_dim)
    try:
        output = generator(keras.KerasTensor(expected, dtype="float32"))
        sample_shape = tuple(int(size) for size in output.shape[1:])
    except Exception as error:  # whatever a user's own network raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"Expected a generator that takes the prior's latents, shape {expected}, "
            f"to samples of one known shape. Received: {generator.name!r}, which fails "
            f"on them: {reason}"
        ) from error
    spread = any(
        isinstance(weight.value, tf.distribute.DistributedValues)
        for weight in generator.weights
    )
    if spread:
        copy = keras.models.clone_model(generator)
        if not copy.built:
            copy(keras.KerasTensor(expected, dtype="float32"))
        copy.set_weights(generator.get_weights())
        generator = copy
    return generator, sample_shape
