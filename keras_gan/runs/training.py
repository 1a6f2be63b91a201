"""From a preset to a run: the only place that composes the rest."""

import contextlib
import dataclasses
import datetime
import difflib
import functools
import hashlib
import importlib.metadata
import inspect
import io
import json
import math
import os
import pathlib
import platform
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

from keras_gan import datasets, evaluation, files, losses, networks, optimizers, priors
from keras_gan.runs import callbacks
from keras_gan.runs import checkpoint
from keras_gan import replicas
from keras_gan.pictures import figures
from keras_gan.pictures import raster
from keras_gan.runs import run as runs
from keras_gan.gan import GAN
from keras_gan.experiments.presets import PRESETS, Preset
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


def _uniform(latent_dim, scale):
    width = math.sqrt(3) * scale
    return priors.Uniform(latent_dim, -width, width)


def _normal(latent_dim, scale):
    return priors.Normal(latent_dim, scale=scale)


# Of mean 0, by their dimension and their standard deviation.
LATENT_PRIORS = {"uniform": _uniform, "normal": _normal}
DTYPE_POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
# Beyond this, what Python takes between executions is nothing to them.
_MOST_STEPS_PER_EXECUTION = 16
# Between two moments of figure 1.
_FIGURE_1_STEPS = 10
_JIT_COMPILE = {"auto": "auto", "true": True, "false": False}

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
    "discriminator_optimizer": _one_of(("same", "adam", "sgd")),
    "mixed_precision": _one_of(("auto", *DTYPE_POLICIES)),
    "jit_compile": _one_of(_JIT_COMPILE),
    "distribute": _one_of(replicas.NAMES),
    "epochs": _SIZE,
    "batch_size": _SIZE,
    "discriminator_steps": _SIZE,
    "latent_dim": _SIZE,
    # Far beyond what is of use; further out float32 ends.
    "latent_scale": (lambda value: 1e-6 <= value <= 1e6, "from 1e-6 to 1e6"),
    "sample_epochs": _SIZE,
    "steps_per_execution": (lambda value: 0 <= value <= 10**7, "from 0 to 10,000,000"),
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
            f"Received: {name!r}.{did_you_mean(name, PRESETS)}"
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
                f"Received: {field!r}.{did_you_mean(field, fields)}"
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


def did_you_mean(name, names):
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


def splits(preset, data_dir):
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


def dtype_policy(mixed_precision):
    """The Keras policy of a preset's networks, one of `DTYPE_POLICIES`.

    "auto" is float32 without a GPU. On GPUs it is what all of them multiply fast:
    mixed_bfloat16 from compute capability 8.0 on (it has float32's range, and needs no
    loss scale), mixed_float16 from 7.0 on, else float32.
    """
    if mixed_precision != "auto":
        return mixed_precision
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    # Of what is no NVIDIA GPU, nothing is known.
    least = min((capability or (0, 0) for capability in capabilities), default=(0, 0))
    if least >= (8, 0):
        return "mixed_bfloat16"
    return "mixed_float16" if least >= (7, 0) else "float32"


@contextlib.contextmanager
def _global_policy(policy):
    """Layers that are made here have the policy."""
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


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
        options["pretrained_generator"] = runs.load_gan(
            preset.pretrained, compile=False
        ).generator
    with _global_policy(dtype_policy(preset.mixed_precision)):
        generator, discriminator = builder(data.spec, **options)
    gan = GAN(
        generator,
        discriminator,
        latent_prior=LATENT_PRIORS[preset.latent_prior](
            preset.latent_dim, preset.latent_scale
        ),
        value_range=data.value_range,
        seed=preset.seed,
    )
    k = preset.discriminator_steps
    steps_per_epoch = data.steps_per_epoch(k * preset.batch_size)
    discriminator_optimizer = preset.discriminator_optimizer
    if discriminator_optimizer == "same":
        discriminator_optimizer = preset.optimizer
    gan.compile(
        generator_optimizer=_optimizer(
            preset.optimizer, preset, preset.generator_learning_rate, steps_per_epoch, 1
        ),
        discriminator_optimizer=_optimizer(
            discriminator_optimizer,
            preset,
            preset.discriminator_learning_rate,
            steps_per_epoch,
            k,
        ),
        loss=preset.loss,
        discriminator_steps=k,
        ema_decay=preset.ema_decay or None,
        jit_compile=_JIT_COMPILE[preset.jit_compile],
    )
    return gan


def steps_per_execution(preset, gan, data, checkpoint_steps=0):
    """How many steps `train` makes without Python between them.

    What the preset says, or where it leaves that open as many as divide an epoch, with
    a bound that keeps an execution well below a second: between two, Python, Keras and
    the callbacks take a millisecond or so, and within one nothing can be logged, saved
    or stopped.

    Args:
        preset: `Preset`.
        gan: what `build` made of it.
        data: `Dataset`.
        checkpoint_steps: int, between two checkpoints; 0 for no such interval.

    Returns:
        int >= 1; 1 on several replicas, where Keras cannot do it.

    Raises:
        ValueError: the preset asks for several steps on several replicas.
    """
    strategy = gan.distribute_strategy
    if preset.steps_per_execution:
        replicas.check_steps_per_execution(strategy, preset.steps_per_execution)
        return preset.steps_per_execution
    if strategy.num_replicas_in_sync > 1:
        return 1
    k = preset.discriminator_steps
    parameters = gan.generator.count_params() + gan.discriminator.count_params()
    budget = 10**11 if tf.config.list_physical_devices("GPU") else 10**9
    most = budget // (k * preset.batch_size * parameters)
    most = min(_MOST_STEPS_PER_EXECUTION, max(1, most))
    steps = math.gcd(
        data.steps_per_epoch(k * preset.batch_size),
        checkpoint_steps,
        _FIGURE_1_STEPS if _is_one_dimensional(gan, data) else 0,
    )
    return max(n for n in range(1, most + 1) if steps % n == 0)


def _optimizer(name, preset, learning_rate, steps_per_epoch, updates):
    """The optimizer `name`, which makes `updates` updates in each generator step.

    Presets state schedules in generator steps.
    """
    if preset.learning_rate_divisor > 1:
        learning_rate = optimizers.InverseExponentialDecay(
            learning_rate,
            divisor=preset.learning_rate_divisor ** (1 / updates),
            minimum=preset.min_learning_rate,
        )
    if name == "adam":
        return optimizers.Adam(learning_rate, beta_1=preset.beta_1)
    steps_per_epoch *= updates
    momentum = optimizers.LinearRamp(
        preset.initial_momentum,
        preset.final_momentum,
        start_step=preset.momentum_start_epoch * steps_per_epoch,
        final_step=preset.momentum_final_epoch * steps_per_epoch,
    )
    return optimizers.ScheduledSGD(learning_rate, momentum)


def train(
    preset,
    workdir=None,
    data_dir=None,
    overwrite=False,
    resume="never",
    checkpoint_minutes=2.0,
    checkpoint_steps=0,
    keep_checkpoints=2,
):
    """Trains a preset's GAN into a run's directory.

    The directory gets `config.json`, `metrics.jsonl`, TensorBoard's `events/`,
    `samples/epoch_*.png` from fixed latents, `reals.png`, `gan.keras`, which is
    replaced as a whole at an epoch's end, at the training's end and on Ctrl-C, and
    `checkpoints/`, from which a training that was cut off goes on exactly.

    With `preset.distribute` on several replicas; of several workers the first alone
    writes.

    Args:
        preset: `Preset`.
        workdir: str or path-like; `runs/<preset.name>` by default.
        data_dir: where `datasets.load` looks.
        overwrite: bool, whether a run that is there already is replaced.
        resume: "never", or "auto": go on from the newest whole checkpoint in `workdir`,
            and start where there is none; with `overwrite`, only a run without one is
            replaced.
        checkpoint_minutes, checkpoint_steps: what lies between two checkpoints at most;
            0 for no such interval. See `callbacks.Checkpoints`.
        keep_checkpoints: int >= 1, how many of the newest stay.

    Returns:
        The run's directory, a `pathlib.Path`.

    Raises:
        ValueError: data or networks that do not fit, a run that is there already, one
            to go on with that has other settings, or another process at work in it.
        OSError: a directory that cannot be written.
        KeyboardInterrupt: Ctrl-C, once the training is saved.
        SystemExit: 143, after SIGTERM, once the training is saved.
        callbacks.TrainingDiverged: the training diverged; `gan.keras` is the last good.
    """
    if resume not in ("never", "auto"):
        raise ValueError(f"Expected resume 'auto' or 'never'. Received: {resume!r}")
    callbacks.check_intervals(checkpoint_minutes, checkpoint_steps)
    if keep_checkpoints < 1:
        raise ValueError(
            f"Expected keep_checkpoints of at least 1. Received: {keep_checkpoints!r}"
        )
    workdir = pathlib.Path(workdir or pathlib.Path("runs", preset.name))
    writer = checkpoint.Writer(
        workdir / runs.CHECKPOINTS,
        keep_checkpoints,
        logs=[workdir / runs.METRICS, workdir / runs.EVALUATIONS],
    )
    if preset.pretrained:
        # The run's config.json must mean the same from any folder.
        pretrained = str(pathlib.Path(preset.pretrained).resolve())
        preset = dataclasses.replace(preset, pretrained=pretrained)
    # First of all: it must find the devices as they are.
    strategy = replicas.strategy(preset.distribute)
    intervals = checkpoint_minutes, checkpoint_steps
    if replicas.is_chief(strategy):
        return _train(
            preset, workdir, data_dir, strategy, writer, intervals, resume, overwrite
        )
    # A worker does all that the chief does, who would wait in vain where a step of it
    # needs every worker, keeps nothing, and tells nobody where it is. It starts where
    # the chief does, from the same file, which nobody replaces before all have built.
    start = _checkpoint_of(workdir, preset) if resume == "auto" else None
    with (
        tempfile.TemporaryDirectory() as scratch,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        scratch = pathlib.Path(scratch)
        data, gan, about = _restored(preset, data_dir, strategy, start, workdir)
        writer = checkpoint.Writer(scratch / runs.CHECKPOINTS, keep=1)
        _run(scratch, preset, data, data_dir, gan, start, writer, about, intervals)
    return workdir


def _train(preset, workdir, data_dir, strategy, writer, intervals, resume, overwrite):
    """`train`, in the process that writes the run."""
    _check_directory(workdir)
    with contextlib.ExitStack() as stack:
        existed = workdir.exists()
        if existed:
            stack.enter_context(files.locked(workdir / runs.LOCK, "a run"))
        start = _find_start(workdir, preset, resume, overwrite)
        data, gan, about = _restored(preset, data_dir, strategy, start, workdir)
        if not existed:
            workdir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(files.locked(workdir / runs.LOCK, "a run"))
            _find_start(workdir, preset, "never", overwrite)
        return _run(
            workdir, preset, data, data_dir, gan, start, writer, about, intervals
        )


def _restored(preset, data_dir, strategy, start, workdir):
    """(data, the GAN as it is at the start or in the checkpoint, what both are)."""
    data = load_data(preset, data_dir)
    with strategy.scope():
        gan = build(preset, data)
        about = {
            "preset": dataclasses.asdict(preset),
            "data": _describe(data),
            "execution": _execution(preset, gan),
        }
        if start:
            _check_same("data", start, about, workdir)
            _check_same("execution", start, about, workdir)
            checkpoint.restore(gan, start)
    steps = start.step if start else 0
    if not replicas.agree(strategy, steps):
        raise ValueError(
            "Expected every worker to find the same checkpoint: --workdir has to be on "
            f"storage that all share. Received: {workdir}, with step {steps} here and "
            "another elsewhere"
        )
    return data, gan, about


def _execution(preset, gan):
    """What "auto" came to."""
    return {
        "dtype_policy": dtype_policy(preset.mixed_precision),
        "jit_compile": bool(gan.jit_compile),
        "replicas": gan.distribute_strategy.num_replicas_in_sync,
    }


def _run(workdir, preset, data, data_dir, gan, start, writer, about, intervals):
    """The training itself, in a directory that this process alone writes to."""
    together = steps_per_execution(preset, gan, data, intervals[1])
    summary_writer = _start_run(workdir, preset, data, data_dir, gan, start)
    save_model = callbacks.SaveModel(workdir / runs.MODEL, min_seconds=10.0)
    save_model.set_model(gan)
    watch = [
        callbacks.NonFiniteGuard(),
        *_evaluation(preset, data, data_dir, workdir, summary_writer),
        callbacks.MetricsLog(workdir / runs.METRICS, summary_writer),
        save_model,
        callbacks.SampleGrid(
            workdir / runs.SAMPLES,
            every=preset.sample_epochs,
            seed=preset.seed,
            examples=None if data.value_range else data.fixed_examples(2000),
            summary_writer=summary_writer,
        ),
        *_figure_1_recorder(gan, data, workdir),
    ]
    print(
        f"Training {preset.name} on {preset.dataset} ({len(data):,} examples of shape "
        f"{data.image_shape}), epochs: {preset.epochs}, into {workdir}"
    )
    if start:
        print(f"Going on after step {start.step}, from {start.path}", flush=True)
    with checkpoint.StopRequest() as request:
        checkpoints = callbacks.Checkpoints(
            writer,
            about,
            *intervals,
            start=start,
            request=request,
            summary_writer=summary_writer,
        )
        try:
            checkpoint.fit(
                gan,
                data,
                batch_size=preset.discriminator_steps * preset.batch_size,
                seed=preset.seed,
                epochs=preset.epochs,
                start=start,
                callbacks=[*watch, checkpoints],
                verbose=1 if sys.stdout.isatty() else 2,
                steps_per_execution=together,
            )
        except (KeyboardInterrupt, SystemExit):
            request.saving = True  # a second Ctrl-C must not cut it short
            save_model.save()
            print(f"\nStopped at step {gan.generator_steps}.")
            _print_ending(workdir)
            print(f"To go on: {_command(preset, workdir, data_dir)}", flush=True)
            raise
        finally:
            writer.wait()
            summary_writer.close()
    _print_ending(workdir)
    return workdir


def _evaluation(preset, data, data_dir, workdir, summary_writer):
    """The callback that scores the run as it goes, in a list; empty for none."""
    if not preset.evaluation_epochs:
        return []
    _, valid, _ = splits(preset, data_dir)
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


def _figure_1_recorder(gan, data, workdir):
    """The callback that records figure 1, in a list; empty unless all is 1-D."""
    if not _is_one_dimensional(gan, data):
        return []
    path = workdir / runs.MOMENTS
    return [callbacks.FigureOne(path, data.distribution, _FIGURE_1_STEPS)]


def _is_one_dimensional(gan, data):
    return (
        data.image_shape == (1,)
        and gan.latent_prior.latent_dim == 1
        and data.distribution is not None
    )


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


def _command(preset, workdir, data_dir):
    """What goes on with a run, as one would type it."""
    words = [str(_python()), "scripts/train.py", f"--preset={preset.name}"]
    words += [f"--workdir={workdir}", "--resume=auto"]
    words += [f"--data_dir={data_dir}"] if data_dir else []
    for field, value in dataclasses.asdict(preset).items():
        if value != getattr(PRESETS[preset.name], field):
            words.append(f"--set={field}={value}")
    return shlex.join(words)


def _find_start(workdir, preset, resume, overwrite):
    """The checkpoint to go on from, or None where the run is to start.

    Raises:
        ValueError: what is there can neither be gone on with nor replaced.
    """
    if resume == "auto" and (start := _checkpoint_of(workdir, preset)):
        return start
    found = [name for name in runs.CONTENTS if (workdir / name).exists()]
    # Killed before its first checkpoint, which is of the start: nothing is lost.
    begun = {runs.CONFIG, runs.EVENTS, runs.SAMPLES, runs.REALS, runs.CHECKPOINTS}
    fresh = (
        runs.CONFIG in found
        and set(found) <= begun
        and not checkpoint.paths(workdir / runs.CHECKPOINTS)
    )
    if found and not overwrite and not (fresh and resume == "auto"):
        hint = (
            "and no whole checkpoint to go on from"
            if resume == "auto"
            else "which --resume=auto goes on with"
            if checkpoint.paths(workdir / runs.CHECKPOINTS)
            else ""
        )
        raise ValueError(
            f"Expected a directory without a run. Received: {workdir}, which holds "
            f"{', '.join(found)}{hint and ', '}{hint}; choose another --workdir, or "
            "pass --overwrite to replace them"
        )
    return None


def _checkpoint_of(workdir, preset):
    """The newest whole checkpoint of a run with the settings of `preset`, or None.

    Raises:
        ValueError: the run has other settings.
    """
    start = checkpoint.newest(workdir / runs.CHECKPOINTS)
    if start:
        _check_settings(start, preset, workdir)
    return start


def _check_settings(start, preset, workdir):
    """Raises unless `preset` is that of the checkpoint, or has more epochs."""
    settings = dataclasses.asdict(preset)
    # A field that is newer than the checkpoint had its default then.
    theirs = {**settings, **_defaults(), **start.about.get("preset", {})}
    changed = [
        field
        for field, value in settings.items()
        # The source is words about the preset.
        if theirs[field] != value and field not in ("source", "epochs")
    ]
    if settings["epochs"] < theirs["epochs"]:
        changed.append("epochs")
    if changed:
        raise ValueError(
            "Expected "
            + ", ".join(f"{field}={theirs[field]!r}" for field in changed)
            + f", as the run in {workdir} has it (epochs alone may grow). Received: "
            + ", ".join(f"{field}={settings[field]!r}" for field in changed)
            + "; choose another --workdir for other settings, or pass --overwrite "
            "without --resume to replace the run"
        )


def _defaults():
    return {
        field.name: field.default
        for field in dataclasses.fields(Preset)
        if field.default is not dataclasses.MISSING
    }


def _describe(data):
    """What decides whether a run's data are still the same."""
    some = hashlib.sha256(data.fixed_examples(1000).tobytes())
    return {
        "name": data.name,
        "split": data.split,
        "examples": len(data),
        "image_shape": list(data.image_shape),
        "value_range": data.value_range and list(data.value_range),
        "content": some.hexdigest()[:16],
    }


def _check_same(part, start, about, workdir):
    """Raises unless the run began with the same data, or execution, as it has now."""
    ours = about[part]
    theirs = {**ours, **start.about.get(part, {})}
    changed = [field for field in ours if ours[field] != theirs[field]]
    if changed:
        raise ValueError(
            f"Expected the {part} that the run in {workdir} began with: "
            + ", ".join(f"{field} {theirs[field]!r}" for field in changed)
            + ". Received: "
            + ", ".join(f"{field} {ours[field]!r}" for field in changed)
        )


def _check_directory(workdir):
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(
            f"Expected a directory for the run. Received a file: {workdir}"
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


def _start_run(workdir, preset, data, data_dir, gan, start):
    """Clears or rewinds the run's directory and describes it; its summary writer."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    began = {"started": now}
    if start:
        steps = data.steps_per_epoch(preset.discriminator_steps * preset.batch_size)
        runs.rewind(workdir, start.step // steps, gan.generator_steps)
        files.clean(workdir / runs.CHECKPOINTS)
        for path in checkpoint.paths(workdir / runs.CHECKPOINTS):
            if path == start.path:
                break
            path.unlink()  # damaged, and said so; it would outlive newer whole ones
        with contextlib.suppress(ValueError):
            past = runs.load_config(workdir)
            resumed = [*past.get("resumed", []), {"step": start.step, "at": now}]
            began = {"started": past.get("started"), "resumed": resumed}
    else:
        for path in (workdir / name for name in runs.CONTENTS):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
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
        "execution": _execution(preset, gan),
        **began,
        **environment(),
    }
    files.write(workdir / runs.CONFIG, json.dumps(config, indent=2) + "\n")
    reals = data.fixed_examples(100 if data.value_range else 2000)
    picture = figures.sample_picture(reals, data.value_range, label="data")
    files.write(workdir / runs.REALS, raster.encode_png(picture))
    return tf.summary.create_file_writer(str(workdir / runs.EVENTS))


def environment():
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
    """What a training on one device would take: a few steps, nothing written.

    Args:
        preset, data_dir: as for `train`.
        steps: int, training steps after the first, which compiles.

    Returns:
        dict: `generator_parameters`, `discriminator_parameters`, `steps_per_epoch`,
        `first_step_seconds` (with compilation), `step_seconds` (median),
        `epoch_seconds` (their product, without saving and pictures), and
        `peak_memory_gib`, of the process in main memory.

    Raises:
        ValueError: a preset that is to be distributed.
    """
    if preset.distribute != "none":
        raise ValueError(
            "Expected distribute='none' for a dry run, which is of one device. "
            f"Received: {preset.distribute!r}"
        )
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
