"""Versions of an exported generator: complete when they appear, never overwritten."""

import contextlib
import datetime
import importlib.metadata
import os
import pathlib
import shutil
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_gan import checks, files, priors
from keras_gan.export import cards, goldens, graph, listing, signatures, staging, warmup
from keras_gan.export.signatures import Servable
from keras_gan.samples import SampleSpec, check_value_range
from keras_gan.version import __version__

_PACKAGES = ("keras", "tensorflow", "tensorflow-probability")


def export_generator(
    generator: keras.Model,
    latent_prior,
    base,
    version: int | None = None,
    value_range: tuple[float, float] | None = (0.0, 1.0),
    card: dict | None = None,
    check: Callable[[pathlib.Path], object] | None = None,
    encoder: Callable | None = None,
) -> pathlib.Path:
    """Publishes a generator as a SavedModel that TensorFlow Serving loads.

    `<base>/<version>/` gets the SavedModel with the signatures of `signatures`, warmup
    requests, and `assets.extra/gan_card.json`. All of it is written in a folder of
    `base` that the server ignores; renaming that folder publishes the version, so that
    a server never finds half of one.

    Args:
        generator: Keras model from latents `(batch, L)` to samples; from {"latents",
            "labels"}, where the prior draws labels.
        latent_prior: one of `priors`, or a TFP distribution of event shape `(L,)`.
        base: str or path-like, the model's directory; its name is the model's name.
        version: int >= 1, or None for the highest there is + 1.
        value_range: (low, high) of the samples, or None. Images (three dimensions and
            a range) are mapped to [0, 1] and clipped; other samples keep their values.
        card: dict of what else the card says of the generator: `dataset`, `step`,
            `seed`, `scores` and so on, as JSON can hold.
        check: None, or a function of the folder that is called before the folder
            becomes the version, such as `verify`. Where it raises, nothing is
            published.
        encoder: None, or a Keras model of samples in `value_range` to latents
            `(batch, L)`, for the signature `encode`.

    Returns:
        `pathlib.Path` of the version's directory.

    Raises:
        ValueError: a base that is a file; a version that exists or is no int; a
            generator that does not fit the prior, whose samples are not finite, or
            that a server cannot run (see `graph.find_faults`); a prior of labels whose
            number it does not know; a card that JSON cannot hold.
        OSError: the disk is full or read-only; nothing half-written stays.
    """
    base = pathlib.Path(base)
    latent_prior = priors.get(latent_prior)
    value_range = check_value_range(value_range)
    card = cards.as_json(card or {})
    files.check_output(base, directory=True)
    _check_version(base, version)
    servable = servable_of(generator, latent_prior, value_range, encoder)
    new = [folder for folder in (base, *base.absolute().parents) if not folder.exists()]
    try:
        base.mkdir(parents=True, exist_ok=True)
        staging.sweep(base)
        with staging.folder_in(base) as folder:
            description = _write(servable, folder, base.resolve().name)
            return _publish(folder, base, version, {**card, **description}, check)
    except BaseException:
        for folder in new:
            with contextlib.suppress(OSError):  # not empty: another process uses it
                folder.rmdir()
        raise


# === Checks before anything is written ===


def _check_version(base, version):
    if version is None:
        return
    version = checks.count("version", version, maximum=listing.MAX_VERSION)
    if (base / str(version)).exists():
        raise ValueError(
            f"{base} already holds version {version}, and published versions are never "
            "overwritten. Leave `version` out for the next one."
        )


def servable_of(generator, latent_prior, value_range, encoder=None):
    """Returns what is exported, its variables outside of any strategy.

    Args:
        generator: Keras model from latents to samples.
        latent_prior: `priors.LatentPrior`.
        value_range: (low, high) of the samples, or None.
        encoder: see `export_generator`.

    Raises:
        ValueError: a generator that does not fit the prior, or a strategy's scope.
    """
    if not isinstance(generator, keras.Model):
        raise ValueError(
            f"Expected a Keras model for a generator. Received: {generator!r}"
        )
    if tf.distribute.has_strategy():
        raise ValueError(
            "Expected to export outside of a strategy's scope. Received: "
            f"{type(tf.distribute.get_strategy()).__name__}; leave its `with` block"
        )
    if latent_prior.is_labelled and latent_prior.classes is None:
        raise ValueError(
            "Expected a prior that knows its classes, such as priors.Labelled, for a "
            f"server to refuse other labels. Received: {latent_prior!r}, whose "
            "num_classes is None"
        )
    inputs = latent_prior.symbolic_sample()
    try:
        output = generator(inputs)
        sample_shape = tuple(int(size) for size in output.shape[1:])
    except Exception as error:  # a user's own network may raise anything
        raise ValueError(
            "Expected a generator that takes what the prior draws, "
            f"{_shapes(inputs)}, to samples of one known shape. Received: "
            f"{generator.name!r}, which fails on them: {checks.one_line(error)}"
        ) from error
    if _is_distributed(generator):
        copy = keras.models.clone_model(generator)
        if not copy.built:
            copy(inputs)
        copy.set_weights(generator.get_weights())
        generator = copy
    spec = SampleSpec.of_generated(sample_shape, value_range)
    return Servable(generator, latent_prior, spec, encoder=encoder)


def _shapes(inputs):
    """Returns "latents (None, 100)", and the labels as well if there are some."""
    parts = inputs if isinstance(inputs, dict) else {"latents": inputs}
    return ", ".join(f"{name} {part.shape}" for name, part in parts.items())


def _is_distributed(generator):
    """Whether the variables of a generator lie on the replicas of a strategy."""
    return any(
        isinstance(weight.value, tf.distribute.DistributedValues)
        for weight in generator.weights
    )


# === Writing ===


def _write(servable, folder, name):
    """Writes all of a version but its card; returns what the card says of it."""
    description = describe(servable)
    try:
        signatures.write_saved_model(servable, folder)
        # Keras leaves an empty folder for assets.
        shutil.rmtree(folder / "assets", ignore_errors=True)
        warmup.write_warmup(folder, name, servable)
    except tf.errors.OpError as error:  # TensorFlow's error of a full disk, too
        # TensorFlow's message may name no more than the file.
        reason = " ".join(error.message.rpartition("}} ")[2].split())[:300]
        raise OSError(
            f"Cannot write to {folder.parent}: {type(error).__name__}, {reason}. Free "
            "space on its disk, or choose another directory."
        ) from error
    faults = graph.find_faults(folder, description["weight_bytes"])
    if faults:
        raise ValueError(
            f"A server cannot run the generator {servable.generator.name!r}: "
            f"{'; '.join(faults)}. Replace the layers that do this."
        )
    return {"name": name, **description}


def describe(servable):
    """Returns what the card says of a generator, without its files.

    Raises:
        ValueError: samples that are not finite.
    """
    generator, prior, spec = servable.generator, servable.latent_prior, servable.spec
    inputs = signatures.inputs_of_seeds(prior, goldens.SEEDS)
    samples = signatures.expected_outputs(servable, inputs)
    if not np.isfinite(samples).all():
        raise ValueError(
            "The generator's samples hold NaN or infinity. Export the last saved model "
            "whose samples are finite."
        )
    encoded, networks = {}, [generator]
    if servable.encoder is not None:
        encoded = {"encoded": signatures.expected_latents(servable, samples)}
        networks.append(servable.encoder)
    return {
        "output": servable.output_name,
        "sample_shape": list(spec.shape),
        "value_range": spec.value_range,
        "spec": spec.to_dict(),
        "latent_dim": prior.latent_dim,
        "latent_prior": keras.saving.serialize_keras_object(prior),
        **_classes(prior),
        "parameters": generator.count_params(),
        "weight_bytes": int(
            sum(w.nbytes for each in networks for w in each.get_weights())
        ),
        "tolerance": max(map(signatures.tolerance, networks)),
        "precision_policy": generator.dtype_policy.name,
        "signatures": list(servable.signature_names),
        "exported": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {
            "keras_gan": __version__,
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        "goldens": goldens.goldens(goldens.SEEDS, samples=samples, **inputs, **encoded),
    }


def _classes(prior):
    """What the card of a conditional generator says of its classes."""
    if not prior.is_labelled:
        return {}
    return {"classes": prior.classes.tolist(), "class_names": prior.class_names}


def _publish(folder, base, version, card, check):
    """Writes the card, checks, flushes all to disk and renames; returns the path."""
    while True:
        number = _next_version(base) if version is None else int(version)
        written = {"version": number, "files": cards.digests(folder)}
        cards.write_card(folder, cards.as_json({**card, **written}))
        if check is not None:
            check(folder)
            check = None  # the next round changes the number alone
        staging.flush(folder)
        target = base / str(number)
        try:
            # Fails where another exporter took the number: a version is never empty.
            os.rename(folder, target)
        except OSError:
            if not target.exists():
                raise
            _check_version(base, version)  # raises where the caller chose the number
            continue
        files.sync_folder(base)
        return target


def _next_version(base):
    """Returns one more than any name that a server would read as a version."""
    return max((int(n) for n in os.listdir(base) if n.isdecimal()), default=0) + 1
