"""Better samples of a run, by its D and the examples that it was not trained on."""

import pathlib

from keras_gan import checks, inference
from keras_gan.runs import generating
from keras_gan.runs.run import Run


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
):
    """Draws samples by `inference.resample` and writes them.

    D is calibrated by the run's validation examples, or by its test examples where it
    has no others (`inference.calibrate`, isotonic). With `steps` it is first trained
    further on the training examples, against a G that stands still
    (`inference.discriminate`).

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

    Returns:
        (`inference.Resampled`, `inference.Calibration`).

    Raises:
        ValueError: another suffix, no run, data without held-out examples, or what
            `inference.resample` refuses.
        OSError: an output that cannot be written.
    """
    output = generating.check_file(output)
    num_samples = checks.num_samples(num_samples)
    steps = checks.count("steps", steps, minimum=0)
    checks.one_of("method", method, inference.RESAMPLING_METHODS)
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
    if steps:
        discriminator = inference.discriminate(
            gan, train, steps, seed=seed, progress=progress
        )
    calibration = inference.calibrate(
        gan, held_out[0], "isotonic", discriminator, seed=seed
    )
    found = inference.resample(
        gan, num_samples, method, calibration, seed=seed, labels=labels
    )
    generating.write_file(output, found.samples, gan.spec, found.labels)
    return found, calibration
