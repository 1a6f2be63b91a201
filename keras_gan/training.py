"""From a preset to a run: the only place that composes the rest."""

import dataclasses
import datetime
import difflib
import functools
import importlib.metadata
import inspect
import json
import math
import os
import pathlib
import platform
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time

import keras
import numpy as np
import tensorflow as tf
import tqdm

from keras_gan import (
    callbacks,
    datasets,
    evaluation,
    figures,
    files,
    images,
    losses,
    metrics,
    networks,
    optimizers,
    priors,
    runs,
)
from keras_gan.gan import GAN
from keras_gan.presets import PRESETS, Preset
from keras_gan.version import __version__

# What a preset's `networks` may name: builders of (generator, discriminator).
NETWORKS = {
    "digits_mlp": networks.digits_mlp,
    "paper_mnist_mlp": functools.partial(networks.paper_mlp, size="mnist"),
    "paper_tfd_mlp": functools.partial(networks.paper_mlp, size="tfd"),
    "paper_tfd_stage2": networks.paper_tfd_stage2,
    "paper_cifar_mlp": networks.paper_cifar_mlp,
    "paper_cifar_conv": networks.paper_cifar_conv,
    "toy_mlp": networks.toy_mlp,
}
LATENT_PRIORS = {"uniform": priors.Uniform, "normal": priors.Normal}

# What the fields of a preset may be: a test and its words.
_AT_LEAST_ONE = (lambda value: value >= 1, "at least 1")
# Beyond this no size fits a machine, and some do not fit an int64.
_SIZE = (lambda value: 1 <= value <= 10**7, "from 1 to 10,000,000")
_POSITIVE = (lambda value: value > 0, "above 0")
_NOT_NEGATIVE = (lambda value: value >= 0, "at least 0")
_SHARE = (lambda value: 0 <= value < 1, "in [0, 1)")


def _one_of(names):
    return (lambda value: value in names, f"one of {', '.join(sorted(names))}")


_LIMITS = {
    "networks": _one_of(NETWORKS),
    "latent_prior": _one_of(LATENT_PRIORS),
    "loss": _one_of(losses.names()),
    "optimizer": _one_of(("adam", "sgd")),
    "epochs": _SIZE,
    "batch_size": _SIZE,
    "discriminator_steps": _SIZE,
    "latent_dim": _SIZE,
    "sample_epochs": _SIZE,
    "evaluation_epochs": _NOT_NEGATIVE,
    "keep_best": _one_of(("", *evaluation.VALIDATION_SCORES)),
    "generator_learning_rate": _POSITIVE,
    "discriminator_learning_rate": _POSITIVE,
    "learning_rate_divisor": _AT_LEAST_ONE,
    "min_learning_rate": _NOT_NEGATIVE,
    "generator_noise": (lambda value: 0 <= value <= 1, "in [0, 1]"),
    "generator_dropout": _SHARE,
    "initial_momentum": _SHARE,
    "final_momentum": _SHARE,
    "beta_1": _SHARE,
    "ema_decay": _SHARE,
    "momentum_start_epoch": _NOT_NEGATIVE,
    "seed": (lambda value: 0 <= value < 2**32, "in [0, 2**32)"),
}


def get_preset(name, settings=None):
    """A preset by its name, some of its fields set anew.

    Args:
        name: str, a key of `PRESETS`.
        settings: dict of field names to values; text is read as the field's type.

    Returns:
        `Preset`.

    Raises:
        ValueError: an unknown preset or field, or a value that does not fit.
    """
    if name not in PRESETS:
        raise ValueError(
            f"Expected a preset among {', '.join(PRESETS)}. "
            f"Received: {name!r}.{_did_you_mean(name, PRESETS)}"
        )
    fields = {field.name: field.type for field in dataclasses.fields(Preset)}
    del fields["name"]
    values = {}
    for field, value in (settings or {}).items():
        if field == "name" and value == name:
            continue
        if field not in fields:
            raise ValueError(
                f"Expected a field of a preset among {', '.join(fields)}. "
                f"Received: {field!r}.{_did_you_mean(field, fields)}"
            )
        values[field] = _read(field, value, fields[field])
    preset = dataclasses.replace(PRESETS[name], **values)
    if not preset.momentum_start_epoch < preset.momentum_final_epoch:
        raise ValueError(
            "Expected momentum_start_epoch < momentum_final_epoch. Received: "
            f"{preset.momentum_start_epoch} and {preset.momentum_final_epoch}"
        )
    if preset.keep_best and not preset.evaluation_epochs:
        raise ValueError(
            "Expected evaluation_epochs above 0 to keep the best model by "
            f"{preset.keep_best}. Received: 0"
        )
    return preset


def _did_you_mean(name, names):
    close = difflib.get_close_matches(str(name), names, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _read(field, value, kind):
    """`value` as `kind` within the limits of the field."""
    fits, words = _LIMITS.get(field, (lambda value: True, ""))
    try:
        if kind is bool and isinstance(value, str):
            read = {"true": True, "false": False}[value.lower()]
        elif kind is int and isinstance(value, float):
            raise ValueError
        else:
            read = kind(value)
        if (kind is float and not math.isfinite(read)) or not fits(read):
            raise ValueError
    except (ValueError, TypeError, KeyError):
        raise ValueError(
            f"Expected {field} to be {kind.__name__}{words and ', '}{words}. "
            f"Received: {value!r}"
        ) from None
    return read


def load_data(preset, data_dir=None):
    """The `Dataset` that a preset trains on.

    Raises:
        ValueError: see `datasets.load`.
    """
    data = datasets.load(preset.dataset, preset.split, data_dir=data_dir)
    return data.contrast_normalized() if preset.contrast_normalization else data


def build(preset, data):
    """The compiled `GAN` of a preset, as it is before its first step.

    Args:
        preset: `Preset`.
        data: `Dataset`; its image shape, pixel means and length enter.

    Raises:
        ValueError: networks that cannot make the data's images or take no such option.
    """
    builder = NETWORKS[preset.networks]
    options = {"latent_dim": preset.latent_dim, "seed": preset.seed}
    parameters = inspect.signature(builder).parameters
    for option in ("generator_noise", "generator_dropout"):
        if option in parameters:
            options[option] = getattr(preset, option)
        elif getattr(preset, option):
            raise ValueError(
                f"Expected {option}=0: {preset.networks} has no such option. "
                f"Received: {getattr(preset, option)}"
            )
    if "pixel_means" in parameters:
        options["pixel_means"] = data.pixel_means()
    if "pretrained_generator" in parameters:
        options["pretrained_generator"] = runs.load_gan(preset.pretrained).generator
    shape = "sample_shape" if "sample_shape" in parameters else "image_shape"
    generator, discriminator = builder(**{shape: data.image_shape}, **options)
    gan = GAN(
        generator,
        discriminator,
        latent_prior=LATENT_PRIORS[preset.latent_prior](preset.latent_dim),
        value_range=data.value_range,
        seed=preset.seed,
    )
    k = preset.discriminator_steps
    steps_per_epoch = data.steps_per_epoch(k * preset.batch_size)
    gan.compile(
        generator_optimizer=_optimizer(
            preset, preset.generator_learning_rate, steps_per_epoch, 1
        ),
        discriminator_optimizer=_optimizer(
            preset, preset.discriminator_learning_rate, steps_per_epoch, k
        ),
        loss=preset.loss,
        discriminator_steps=k,
        ema_decay=preset.ema_decay or None,
    )
    return gan


def _optimizer(preset, learning_rate, steps_per_epoch, updates):
    """An optimizer that makes `updates` updates in each generator step.

    Presets state schedules in generator steps.
    """
    if preset.learning_rate_divisor > 1:
        learning_rate = optimizers.InverseExponentialDecay(
            learning_rate,
            divisor=preset.learning_rate_divisor ** (1 / updates),
            minimum=preset.min_learning_rate,
        )
    if preset.optimizer == "adam":
        return keras.optimizers.Adam(learning_rate, beta_1=preset.beta_1)
    steps_per_epoch *= updates
    momentum = optimizers.LinearRamp(
        preset.initial_momentum,
        preset.final_momentum,
        start_step=preset.momentum_start_epoch * steps_per_epoch,
        final_step=preset.momentum_final_epoch * steps_per_epoch,
    )
    return optimizers.ScheduledSGD(learning_rate, momentum)


def train(preset, workdir=None, data_dir=None, overwrite=False):
    """Trains a preset's GAN into a run's directory.

    The directory gets `config.json`, `metrics.jsonl`, TensorBoard's `events/`,
    `samples/epoch_*.png` from fixed latents, `reals.png`, and `gan.keras`, which is
    replaced as a whole at each epoch's end and on Ctrl-C.

    Args:
        preset: `Preset`.
        workdir: str or path-like; `runs/<preset.name>` by default.
        data_dir: where `datasets.load` looks.
        overwrite: bool, whether a run that is there already is replaced.

    Returns:
        The run's directory, a `pathlib.Path`.

    Raises:
        ValueError: data or networks that do not fit, or a run that is there already.
        OSError: a directory that cannot be written.
        KeyboardInterrupt: Ctrl-C, once the model is saved.
        callbacks.TrainingDiverged: the training diverged; `gan.keras` is the last good.
    """
    workdir = pathlib.Path(workdir or pathlib.Path("runs", preset.name))
    if preset.pretrained:
        # The run's config.json must mean the same from any folder.
        pretrained = str(pathlib.Path(preset.pretrained).resolve())
        preset = dataclasses.replace(preset, pretrained=pretrained)
    _check_workdir(workdir, overwrite)
    data = load_data(preset, data_dir)
    gan = build(preset, data)
    batches = data.batches(
        preset.discriminator_steps * preset.batch_size, seed=preset.seed
    )
    summary_writer = _start_run(workdir, preset, data, data_dir)
    save_model = callbacks.SaveModel(workdir / runs.MODEL)
    save_model.set_model(gan)
    print(
        f"Training {preset.name} on {preset.dataset} ({len(data):,} examples of shape "
        f"{data.image_shape}), epochs: {preset.epochs}, into {workdir}"
    )
    try:
        gan.fit(
            batches,
            epochs=preset.epochs,
            shuffle=False,  # the batches are shuffled already
            verbose=1 if sys.stdout.isatty() else 2,
            callbacks=[
                callbacks.NonFiniteGuard(),
                *_evaluation(preset, data, data_dir, workdir, summary_writer),
                callbacks.MetricsLog(workdir / runs.METRICS, summary_writer),
                save_model,
                callbacks.SampleGrid(
                    workdir / runs.SAMPLES,
                    every=preset.sample_epochs,
                    seed=preset.seed,
                    examples=None if data.value_range else _some(data, 2000),
                    summary_writer=summary_writer,
                ),
                *_figure_1_recorder(gan, data, workdir),
            ],
        )
    except KeyboardInterrupt:
        # A second Ctrl-C must not cut the saving short.
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        save_model.save()
        signal.signal(signal.SIGINT, handler)
        print(f"\nStopped at step {int(gan.generator_optimizer.iterations)}.")
        _print_ending(workdir)
        raise
    finally:
        summary_writer.close()
    _print_ending(workdir)
    return workdir


def _evaluation(preset, data, data_dir, workdir, summary_writer):
    """The callback that scores the run as it goes, in a list; empty for none."""
    if not preset.evaluation_epochs:
        return []
    _, valid, _ = _splits(preset, data_dir)
    return [
        callbacks.Evaluation(
            evaluation.ValidationScores(data, valid, seed=preset.seed),
            workdir / runs.EVALUATIONS,
            every=preset.evaluation_epochs,
            keep=preset.keep_best or None,
            mode="max" if evaluation.VALIDATION_SCORES.get(preset.keep_best) else "min",
            best_path=workdir / runs.BEST,
            summary_writer=summary_writer,
        )
    ]


def _print_ending(workdir):
    """Where things are, of those that are there, and the next command."""
    words = {
        runs.MODEL: "model",
        runs.SAMPLES: "pictures of samples",
        runs.METRICS: "losses",
    }
    for name, word in words.items():
        if (workdir / name).exists():
            print(f"{word + ':':22}{workdir / name}")
    print(
        f"Next: {_python()} scripts/generate.py --model={workdir} --num_samples=100 "
        "--output=grid.png"
    )


def _python():
    """This Python as one would type it: its path from here, where it is below here."""
    path = pathlib.Path(sys.executable)
    here = pathlib.Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _check_workdir(workdir, overwrite):
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(
            f"Expected a directory for the run. Received a file: {workdir}"
        )
    found = [name for name in runs.CONTENTS if (workdir / name).exists()]
    if found and not overwrite:
        raise ValueError(
            f"Expected a directory without a run. Received: {workdir}, which holds "
            f"{', '.join(found)}; choose another --workdir, or pass --overwrite to "
            "replace them"
        )
    # The nearest folder that exists decides, before minutes of loading data.
    nearest = next(
        path for path in (workdir, *workdir.absolute().parents) if path.exists()
    )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(
            f"Expected a directory that can be written. Received: {workdir}; "
            "choose another --workdir"
        )


def _start_run(workdir, preset, data, data_dir):
    """Clears and describes the run's directory; returns its summary writer."""
    workdir.mkdir(parents=True, exist_ok=True)
    for path in (workdir / name for name in runs.CONTENTS):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    reals = _some(data, 100 if data.value_range else 2000)
    picture = figures.sample_picture(reals, data.value_range, label="data")
    files.write(workdir / runs.REALS, images.encode_png(picture))
    config = {
        "preset": dataclasses.asdict(preset),
        "data_dir": None if data_dir is None else str(data_dir),
        "data": {
            "name": data.name,
            "split": data.split,
            "examples": len(data),
            "image_shape": data.image_shape,
            "value_range": data.value_range,
        },
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **_environment(),
    }
    files.write(workdir / runs.CONFIG, json.dumps(config, indent=2) + "\n")
    return tf.summary.create_file_writer(str(workdir / runs.EVENTS))


def _some(data, count):
    """`count` examples of the data, the same ones every time."""
    rows = np.random.default_rng(0).permutation(len(data))[:count]
    return data.examples(np.sort(rows))


def _environment():
    """Versions, machine and commit: what else decides the numbers of a run."""
    packages = ("keras", "tensorflow", "tensorflow-probability", "tensorflow-datasets")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {
        "versions": {
            "keras_gan": __version__,
            **versions,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "machine": {
            "platform": platform.platform(),
            "devices": [
                device.device_type for device in tf.config.list_physical_devices()
            ],
        },
        "git_commit": _git_commit(),
    }


def _git_commit():
    """The commit of the checkout that this package runs from, or None."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=pathlib.Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()


def dry_run(preset, data_dir=None, steps=10):
    """What a training would take: a few steps on real data, nothing written.

    Args:
        preset, data_dir: as for `train`.
        steps: int, training steps after the first, which compiles.

    Returns:
        dict: `generator_parameters`, `discriminator_parameters`, `steps_per_epoch`,
        `first_step_seconds` (with compilation), `step_seconds` (median),
        `epoch_seconds` (their product, without saving and pictures), and
        `peak_memory_gib`, of the process in main memory.
    """
    data = load_data(preset, data_dir)
    gan = build(preset, data)
    batch_size = preset.discriminator_steps * preset.batch_size
    batch = next(iter(data.batches(batch_size, seed=preset.seed)))
    seconds = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        gan.train_on_batch(batch)
        seconds.append(time.perf_counter() - started)
    step_seconds = statistics.median(seconds[1:])
    steps_per_epoch = data.steps_per_epoch(batch_size)
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {
        "generator_parameters": gan.generator.count_params(),
        "discriminator_parameters": gan.discriminator.count_params(),
        "steps_per_epoch": steps_per_epoch,
        "first_step_seconds": seconds[0],
        "step_seconds": step_seconds,
        "epoch_seconds": step_seconds * steps_per_epoch,
        "peak_memory_gib": peak_memory / 2**30,
    }


def format_dry_run(report):
    """The table of `dry_run` as text."""
    words = {
        "generator_parameters": "{:,}",
        "discriminator_parameters": "{:,}",
        "steps_per_epoch": "{:,}",
        "first_step_seconds": "{:.2f}",
        "step_seconds": "{:.4f}",
        "epoch_seconds": "{:.1f}",
        "peak_memory_gib": "{:.2f}",
    }
    return "\n".join(
        f"{name.replace('_', ' '):26}{form.format(report[name]):>14}"
        for name, form in words.items()
    )


def evaluate(
    model,
    num_samples=None,
    data_dir=None,
    seed=0,
    features="auto",
    dataset=None,
    output=None,
):
    """Scores a generator by a stated protocol, and writes the scores as JSON.

    Args:
        model: str or path-like: a run's directory, a `.keras` file in one, or an
            `.npz` of samples with `samples` and `value_range`, as
            `scripts/generate.py` writes it.
        num_samples: int, samples to score; by default the protocol's: 10,000 images as
            in the paper, 2,500 points (PacGAN's), 100,000 values in one dimension, and
            all of an `.npz`.
        data_dir: as for `train`; by default the run's own.
        seed: int, of the samples.
        features: "classifier", trained on the data's labels and cached, "pixels",
            "inception", or "auto": the classifier where there are labels, else pixels.
        dataset: str, for an `.npz`: what its samples stand for, see `datasets.load`.
        output: path of the JSON; by default `scores.json` in the run, or beside the
            `.npz`.

    Returns:
        dict: `model`, `step` (None for an `.npz`), `protocol` (see
        `evaluation.Protocol`), `protocol_hash`, and `rows`: a dict of scores for
        "samples", for "samples, raw weights" where the run averages its generator's
        weights, and for "training examples", as many, which is what memorising would
        score. Of a run on images also `pixel_frechet_distance` and
        `pixel_frechet_distance_at_start` (`num_pixel_samples` samples of the generator
        and of the same before its first step, to all training data, raw values),
        `discriminator_accuracy`, and for the digits `digits`, see
        `evaluation.digits_report`.

    Raises:
        ValueError: no model, too few samples, or samples that do not fit the data.
    """
    model = pathlib.Path(model)
    if model.suffix == ".npz":
        if dataset is None:
            raise ValueError(
                f"Expected the dataset that {model} stands for. Received: none; pass "
                "--dataset"
            )
        gan = None
        preset = _preset_for(dataset)
    else:
        workdir = model if model.is_dir() or not model.suffix else model.parent
        config = runs.load_config(workdir)
        if dataset not in (None, config["preset"]["dataset"]):
            raise ValueError(
                f"Expected no dataset, or the run's {config['preset']['dataset']!r}. "
                f"Received: {dataset!r}"
            )
        preset = get_preset(config["preset"]["name"], config["preset"])
        data_dir = data_dir or config["data_dir"]
        gan = runs.load_gan(model)
    train_data, valid, test = _splits(preset, data_dir)
    protocol = evaluation.protocol_for(
        preset, train_data, valid, test, num_samples, seed, _environment()["versions"]
    )
    if gan is None:
        samples = {"samples": runs.load_samples(model, train_data)[:num_samples]}
        count = len(samples["samples"])
        protocol = dataclasses.replace(protocol, num_samples=count)
    else:
        samples = {"samples": gan.generate(protocol.num_samples, seed=seed)}
        if gan.averaged_generator is not None:
            samples["samples, raw weights"] = gan.generate(
                protocol.num_samples, seed=seed, averaged=False
            )
    samples["training examples"] = _some(train_data, protocol.num_samples)
    report = {
        "model": str(model),
        "step": None if gan is None else int(gan.generator_optimizer.iterations),
        "protocol": {},
        "protocol_hash": "",
        "rows": {},
    }
    with _Bars() as bars:
        extractor, cache_dir = None, datasets.cache.directory(data_dir)
        if train_data.value_range is not None:
            extractor = _extractor(features, train_data, test, cache_dir, bars)
            protocol = dataclasses.replace(
                protocol, features=extractor.name, features_key=extractor.key
            )
            if isinstance(extractor, metrics.Classifier):
                report["classifier_accuracy"] = extractor.test_accuracy
        elif features != "auto":
            raise ValueError(
                "Expected features='auto' for samples that are no images. Received: "
                f"{features!r}"
            )
        for name, row in samples.items():
            row = evaluation.check_samples(
                row, train_data.image_shape, train_data.value_range
            )
            report["rows"][name] = evaluation.score(
                row,
                train_data,
                valid,
                test,
                extractor,
                protocol,
                cache_dir,
                functools.partial(bars, name),
            )
    if gan is not None and train_data.value_range is None:
        if train_data.image_shape == (1,):
            report["rows"]["samples"]["largest_deviation_of_d"] = (
                evaluation.largest_deviation_of_d(gan, train_data.distribution)
            )
    elif gan is not None:
        report |= _beside_its_start(gan, preset, train_data, samples["samples"], seed)
    report["protocol"] = json.loads(json.dumps(dataclasses.asdict(protocol)))
    report["protocol_hash"] = protocol.hash
    if output is None:
        output = (
            model.with_suffix(".scores.json")
            if gan is None
            else pathlib.Path(workdir, runs.SCORES)
        )
    files.write(output, json.dumps(report, indent=2) + "\n")
    return report


def evaluate_all(models, output=None, **options):
    """Scores several generators and prints the tables, with means over them.

    Args:
        models: list of what `evaluate` takes.
        output: path of a JSON. For one model as in `evaluate`; for several it gets
            their reports and the `summary`, by `evaluation.summarize`.
        **options: of `evaluate`.

    Returns:
        list of dicts of `evaluate`.

    Raises:
        ValueError: as `evaluate`; models that cannot be scored by one protocol.
    """
    if len(models) == 1:
        reports = [evaluate(models[0], output=output, **options)]
        print(evaluation.format_report(reports[0]))
        return reports
    reports = []
    for model in models:
        reports.append(evaluate(model, **options))
        print(evaluation.format_report(reports[-1]), end="\n\n")
    summary = evaluation.summarize(reports)
    print(evaluation.format_summary(reports, summary))
    if output is not None:
        content = {"reports": reports, "summary": summary}
        files.write(output, json.dumps(content, indent=2) + "\n")
    return reports


def _preset_for(dataset):
    """Some preset on this dataset: how the data are read and normalised."""
    return Preset(
        name="samples",
        source="",
        dataset=dataset,
        networks="",
        epochs=1,
        generator_learning_rate=1.0,
        discriminator_learning_rate=1.0,
    )


def _splits(preset, data_dir):
    """(train, valid, test); the last two None where the dataset has no such split.

    Where there is a test split alone, its even rows validate and its odd rows test.
    """

    def other(*names):
        for name in names:
            try:
                return load_data(dataclasses.replace(preset, split=name), data_dir)
            except datasets.DatasetError:
                continue
        return None

    data = load_data(preset, data_dir)
    test = other("test")
    valid = other("valid", "validation")
    if valid is None and test is not None:
        valid = test.subset(slice(0, None, 2), "test[0::2]")
        test = test.subset(slice(1, None, 2), "test[1::2]")
    return data, valid, test


def _extractor(features, data, test, cache_dir, bars):
    """The feature extractor of this name for images like `data`."""
    known = ("auto", "classifier", "pixels", "inception")
    if features not in known:
        raise ValueError(
            f"Expected features among {', '.join(known)}. Received: {features!r}."
            f"{_did_you_mean(features, known)}"
        )
    if features == "auto":
        labelled = data.labels is not None and test is not None
        features = "classifier" if labelled else "pixels"
    if features == "pixels":
        return metrics.Pixels()
    if features == "inception":
        return metrics.Inception(data.value_range)
    if test is None:
        raise ValueError(
            "Expected a test split, to say what a classifier is worth. Received: "
            f"{data.name!r}, which has none; take pixels or inception for features"
        )
    return metrics.Classifier.trained(
        data, test, cache_dir, progress=functools.partial(bars, "", "classifier")
    )


def _beside_its_start(gan, preset, data, samples, seed):
    """How far a run on images has come, and what its D knows."""
    samples = samples[:2000]
    first_samples = build(preset, data).generate(len(samples), seed=seed)
    moments = evaluation.data_moments(data)
    distance, first_distance = (
        metrics.frechet_distance(metrics.Moments().update(drawn), moments)
        for drawn in (samples, first_samples)
    )
    report = {
        "num_pixel_samples": len(samples),
        "pixel_frechet_distance": distance,
        "pixel_frechet_distance_at_start": first_distance,
        "discriminator_accuracy": evaluation.discriminator_accuracy(
            gan, _some(data, len(samples)), samples
        ),
    }
    # The table holds the other split back, and reads pixels from 0 to 1.
    if (data.name, data.split, data.value_range) == ("digits", "train", (0.0, 1.0)):
        report["digits"] = evaluation.digits_report(
            gan.generate(1000, seed=seed), data, datasets.load("digits", "test")
        )
    return report


class _Bars:
    """Progress bars on a terminal, one after the other; silent elsewhere."""

    def __enter__(self):
        self._bar = None
        return self

    def __exit__(self, *error):
        if self._bar is not None:
            self._bar.close()

    def __call__(self, row, stage, share):
        words = f"{row}: {stage}" if row else stage
        if self._bar is None or self._bar.desc != words:
            self.__exit__()
            self._bar = tqdm.tqdm(
                total=1.0,
                desc=words,
                disable=None,  # where the output is no terminal
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}",
            )
            self._bar.desc = words
        self._bar.update(share - self._bar.n)


# === Figures ===

# Of a run, by the name that `draw_figures` and --figure know them by.
FIGURES = ("1", "2", "3", "curves", "health")


class _DoesNotFit(ValueError):
    """A figure that this run cannot have."""


def _figure_1_recorder(gan, data, workdir):
    """The callback that records figure 1, in a list; empty unless all is 1-D."""
    if data.image_shape != (1,) or gan.latent_prior.latent_dim != 1:
        return []
    if data.distribution is None:
        return []
    return [callbacks.FigureOne(workdir / runs.MOMENTS, data.distribution)]


def draw_figures(workdir, figure="all", output=None, seed=0, data_dir=None):
    """Draws the paper's figures, and the health of a training, from a run.

    Args:
        workdir: str or path-like, a run's directory.
        figure: "1", "2", "3", "curves", "health", or "all" of those that fit the run:
            figure 1 takes samples and latents of one dimension, 2 and 3 take images.
        output: str or path-like, a directory; `figures/` in the run by default.
        seed: int, of the samples and latents in figures 2 and 3 and the health page.
        data_dir: as for `train`; by default the run's own. Figure 2 and the health page
            need the data.

    Returns:
        list of `pathlib.Path`, the files written; each is printed too.

    Raises:
        ValueError: no run, a damaged one, or a figure by name that does not fit it.
    """
    if figure not in (*FIGURES, "all"):
        raise ValueError(
            f"Expected a figure among {', '.join(FIGURES)}, all. Received: {figure!r}"
        )
    workdir = pathlib.Path(workdir)
    output = pathlib.Path(output or workdir / runs.FIGURES)
    if output.exists() and not output.is_dir():
        raise ValueError(f"Expected an output directory. Received a file: {output}")
    run = _Run(workdir, seed, data_dir)
    written = []
    for name in FIGURES if figure == "all" else (figure,):
        try:
            drawn = _DRAW[name](run)
        except _DoesNotFit as reason:
            if figure != "all":
                raise
            print(f"Figure {name} is left out. {reason}")
            continue
        for file, content in drawn.items():
            files.write(output / file, content)
            written.append(output / file)
            print(f"Wrote {output / file}")
    return written


class _Run:
    """A run's directory, its parts loaded when a figure asks for them."""

    def __init__(self, workdir, seed, data_dir):
        self.workdir = workdir
        self.seed = seed
        config = runs.load_config(workdir)
        self.preset = get_preset(config["preset"]["name"], config["preset"])
        self.data_dir = data_dir or config["data_dir"]

    @functools.cached_property
    def gan(self):
        return runs.load_gan(self.workdir, compile=False)

    @functools.cached_property
    def data(self):
        return load_data(self.preset, self.data_dir)

    def expect_images(self, number):
        if self.gan.value_range is None:
            raise _DoesNotFit(
                f"Expected a run whose samples are images for figure {number}. "
                f"Received: {self.workdir}, with samples of shape "
                f"{self.gan.sample_shape}"
            )


def _draw_figure_1(run):
    path = run.workdir / runs.MOMENTS
    if not path.exists():
        raise _DoesNotFit(
            f"Expected a run with {runs.MOMENTS} for figure 1, which a training with "
            "samples and latents of one dimension writes (--preset=gaussian1d). "
            f"Received: {run.workdir}, which has none"
        )
    moments = figures.load_moments(path)
    frames = figures.figure_1_animation(moments)
    return {
        "figure_1.png": images.encode_png(figures.figure_1(moments)),
        # The last picture stands for two seconds before all begins anew.
        "figure_1.gif": images.encode_gif(frames, [120] * (len(frames) - 1) + [2000]),
    }


def _draw_figure_2(run, rows=5, columns=6):
    run.expect_images(2)
    samples = run.gan.generate(rows * columns, seed=run.seed)
    indices, _ = figures.nearest_examples(samples[columns - 1 :: columns], run.data)
    picture = figures.figure_2(
        samples, run.data.examples(indices), run.gan.value_range, columns
    )
    return {"figure_2.png": images.encode_png(picture)}


def _draw_figure_3(run, rows=5, steps=11):
    run.expect_images(3)
    latents = np.asarray(run.gan.latent_prior.sample(2 * rows, run.seed))
    lines = figures.interpolation(run.gan, latents[:rows], latents[rows:], steps)
    picture = figures.figure_3(lines, run.gan.value_range)
    return {"figure_3.png": images.encode_png(picture)}


def _draw_curves(run):
    lines = runs.load_metrics(run.workdir)
    return {"curves.png": images.encode_png(figures.training_curves(lines))}


def _draw_health(run, count=500):
    lines = runs.load_metrics(run.workdir)
    spread = figures.sample_spread(
        run.gan.generate(count, seed=run.seed), _some(run.data, count)
    )
    diagnosis = figures.diagnose(lines, *spread)
    print(f"{diagnosis.state.capitalize()}. {diagnosis.words}")
    grids = [
        (f"samples, epoch {epoch}", picture)
        for epoch, picture in runs.load_sample_pictures(run.workdir)
    ]
    page = figures.health_page(lines, diagnosis, grids)
    return {"health.png": images.encode_png(page)}


_DRAW = {
    "1": _draw_figure_1,
    "2": _draw_figure_2,
    "3": _draw_figure_3,
    "curves": _draw_curves,
    "health": _draw_health,
}
