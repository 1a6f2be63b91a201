"""What a training would take, before it is started."""

import statistics
import sys
import time

from keras_gan import networks
from keras_gan.experiments.building import build, load_data
from keras_gan.runs import initial


def dry_run(experiment, data_dir=None, steps=10) -> dict:
    """Measures a few steps of a training on one device. Nothing is written.

    Args:
        experiment: `Experiment`.
        data_dir: where `datasets.load` looks.
        steps: int, training steps after the first, which compiles.

    Returns:
        dict: `generator_parameters`, `discriminator_parameters`,
        `generator_multiply_adds`, `discriminator_multiply_adds` (of one example, see
        `networks.multiply_adds`), those of an encoder where there is one,
        `steps_per_epoch`, `first_step_seconds` (with compilation), `step_seconds`
        (median), `epoch_seconds` (their product, without saving and pictures), and
        `peak_memory_gib`, of the process in main memory (None on Windows).

    Raises:
        ValueError: an experiment that is to be distributed; see also `initial.load`.
    """
    if experiment.runtime.distribute is not None:
        raise ValueError(
            "Expected runtime.distribute to be none for a dry run, which is of one "
            f"device. Received: {experiment.runtime.distribute!r}"
        )
    source = initial.load(experiment)
    data = load_data(experiment.data, data_dir)
    gan = build(experiment, data)
    if source:
        initial.take(gan, source)
    batch_size = experiment.train.discriminator_steps * experiment.train.batch_size
    batches = data.batches(
        batch_size,
        seed=experiment.train.seed,
        labels=gan.is_labelled,
        balanced=experiment.data.balanced,
    )
    batch = next(iter(batches))
    element = batch if isinstance(batch, tuple) else (batch,)
    seconds = []
    for _ in range(steps + 1):
        started = time.perf_counter()
        gan.train_on_batch(*element)
        seconds.append(time.perf_counter() - started)
    step_seconds = statistics.median(seconds[1:])
    steps_per_epoch = data.steps_per_epoch(batch_size)
    players = {"generator": gan.generator, **gan.networks}
    return {
        **{f"{name}_parameters": each.count_params() for name, each in players.items()},
        **{
            f"{name}_multiply_adds": networks.multiply_adds(each)
            for name, each in players.items()
        },
        "steps_per_epoch": steps_per_epoch,
        "first_step_seconds": seconds[0],
        "step_seconds": step_seconds,
        "epoch_seconds": step_seconds * steps_per_epoch,
        "peak_memory_gib": _peak_memory_gib(),
    }


def _peak_memory_gib():
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def format_dry_run(report) -> str:
    """Returns the table of `dry_run` as text."""
    forms = {
        "first_step_seconds": "{:.2f}",
        "step_seconds": "{:.4f}",
        "epoch_seconds": "{:.1f}",
        "peak_memory_gib": "{:.2f}",
    }
    return "\n".join(
        f"{name.replace('_', ' '):29}{forms.get(name, '{:,}').format(value):>16}"
        for name, value in report.items()
        if value is not None
    )
