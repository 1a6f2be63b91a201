"""Better samples of a run, by its D and the examples that it was not trained on."""

import pathlib

import numpy as np

from keras_gan import checks, inference, networks
from keras_gan.runs import generating
from keras_gan.runs.run import Run

# What judges the samples: the run's discriminator or, of points, a new network.
JUDGES = ("discriminator", "fourier")


def write_resampled(
    model,
    output,
    num_samples=100,
    method="rejection",
    seed=0,
    steps=0,
    labels=None,
    data_dir=None,
    progress=None,
    judge="discriminator",
):
    """Draws samples by `inference.resample` and writes them.

    D is calibrated by the run's validation examples, or by its test examples where it
    has no others (`inference.calibrate`, isotonic). With `steps` it is first trained
    further on the training examples, against a G that stands still
    (`inference.discriminate`). Where the run's data are points, another network can
    learn to judge in D's place: one that sees finer detail.

    Args:
        model: str or path-like, the directory of a run.
        output: str or path-like, a `.png` or `.npz`, see `generating.write_samples`.
        num_samples: int >= 1.
        method: see `inference.resample`.
        seed: int in [0, 2**32), of everything that is drawn.
        steps: int >= 0, in which D is trained further.
        labels: a class or several, as of `generating.write_samples`.
        data_dir: where the data are now; None where the run had them.
        progress: None, or a function of the share of `steps` that are made.
        judge: "discriminator", or "fourier" for points: a new
            `networks.fourier_discriminator`, which learns in `steps` >= 1.

    Returns:
        (`inference.Resampled`, `inference.Calibration`).

    Raises:
        ValueError: another suffix, no run, data without held-out examples, a judge that
            is unknown, untrained or of no points, or what `inference.resample` refuses.
        OSError: an output that cannot be written.
    """
    output = generating.check_file(output)
    num_samples = checks.num_samples(num_samples)
    steps = checks.count("steps", steps, minimum=0)
    checks.one_of("method", method, inference.RESAMPLING_METHODS)
    checks.one_of("judge", judge, JUDGES)
    if judge == "fourier" and not steps:
        raise ValueError(
            "Expected `steps` >= 1 with judge='fourier', a network that has learned "
            "nothing yet. Received: 0; 3000 are enough for the toy data"
        )
    if pathlib.Path(model).is_file():
        raise ValueError(
            "Expected a run's directory: its held-out examples say what D is worth. "
            f"Received: {model}, a file; in Python, give `inference.calibrate` data"
        )
    run = Run.open(model, data_dir)
    gan = run.gan(compile=False)
    labels = generating.labels_in_turn(gan, num_samples, seed, labels)
    train, *held_out = run.splits()
    held_out = [data for data in held_out if data is not None]
    if not held_out:
        raise ValueError(
            "Expected data with validation or test examples, to say what D is worth. "
            f"Received: {train.name!r}, which has neither"
        )
    discriminator = None
    if judge == "fourier":
        discriminator = fourier_judge(gan, train, seed)
    if steps:
        discriminator = inference.discriminate(
            gan,
            train,
            steps,
            seed=seed,
            progress=progress,
            discriminator=discriminator,
        )
    calibration = inference.calibrate(
        gan, held_out[0], "isotonic", discriminator, seed=seed
    )
    found = inference.resample(
        gan, num_samples, method, calibration, seed=seed, labels=labels
    )
    generating.write_file(output, found.samples, gan.spec, found.labels)
    return found, calibration


def fourier_judge(gan, data, seed=0):
    """Returns a `networks.fourier_discriminator` of a GAN's points, untrained.

    Args:
        gan: `GAN`.
        data: `datasets.Dataset` of points, whose bounds are the network's.
        seed: int >= 0, of its weights and waves.

    Raises:
        ValueError: data that are not points, or that are the same in a coordinate.
    """
    if gan.spec.kind != "vector":
        raise ValueError(
            "Expected points, for judge='fourier'. Received: samples of kind "
            f"{gan.spec.kind!r}; use judge='discriminator'"
        )
    points = data.examples()
    low, high = points.min(axis=0), points.max(axis=0)
    fixed = np.flatnonzero(low == high)
    if fixed.size:
        raise ValueError(
            "Expected points whose every coordinate varies, for judge='fourier'. "
            f"Received: only {low[fixed[0]]} in coordinate {fixed[0]}; use "
            "judge='discriminator'"
        )
    classes = gan.latent_prior.num_classes
    return networks.fourier_discriminator(
        gan.spec, low, high, num_classes=classes, seed=seed
    )
