"""Whether the data are there before the step needs them, and what `fit` adds to it.

    python benchmarks/input.py --output=input.json

For each preset, in interleaved windows of the same number of steps: the input pipeline
alone (`Dataset.batches`: an index shuffle, a gather, and scaling to floats), the same
with labels (which the presets do not ask for: class i % 10 of row i), the compiled step
on a batch that lies ready, the step fed by the pipeline, and whole epochs
as `runs.train` makes them, but for its callbacks: `checkpoint.fit` with its logs,
and as many steps in one execution as the preset comes to. The data are random bytes of
the presets' shapes: what they show costs nothing. Minima over the rounds.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import timing  # noqa: E402

# Preset: its data's shape and number of examples.
DATA = {
    "digits": ((8, 8, 1), 1_078),
    "mnist": ((28, 28, 1), 50_000),
    "ring8": ((2,), 50_000),
    "cifar10_conv": ((32, 32, 3), 40_000),
}


def main():
    arguments = parsed_arguments()
    rows = [measured(name, arguments) for name in arguments.presets]
    if arguments.output:
        report = {
            "rounds": arguments.rounds,
            "steps": arguments.steps,
            "cores": os.cpu_count(),
            "load_after": os.getloadavg()[0],
            "rows": rows,
        }
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--presets", nargs="+", choices=DATA, default=["ring8", "digits", "mnist"]
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=100, help="in a window")
    parser.add_argument("--output", help="a JSON file for the table")
    arguments = parser.parse_args()
    for name in ("rounds", "steps"):
        if getattr(arguments, name) < 1:
            parser.error(f"Expected --{name} > 0. Received: {getattr(arguments, name)}")
    return arguments


def measured(name, arguments):
    """Measures one preset; prints and returns milliseconds a step of each way."""
    import math

    import numpy as np
    import tensorflow as tf

    from keras_gan import datasets, experiments
    from keras_gan.experiments import building, execution
    from keras_gan.runs import checkpoint

    preset = experiments.get_preset(name)
    shape, count = DATA[name]
    random = np.random.default_rng(0)
    if len(shape) == 1:
        values, value_range = random.normal(size=(count, *shape)), None
    else:
        values = random.integers(0, 256, (count, *shape), np.uint8)
        value_range = (0.0, 1.0)
    data = datasets.Dataset(
        values,
        labels=np.arange(count) % 10,
        value_range=value_range,
        name=name,
        split="train",
    )
    if preset.data.contrast_normalization:
        data = data.contrast_normalized()
    gan = building.build(preset, data)
    gan.make_train_function()
    fitted = building.build(preset, data)
    fitted.steps_per_execution = execution.steps_per_execution(preset, fitted, data)
    batch_size = preset.train.batch_size * preset.train.discriminator_steps
    endless = data.batches(batch_size, seed=0, endless=True)
    steps = arguments.steps
    epochs = math.ceil(steps / data.steps_per_epoch(batch_size))
    fed = iter(endless)
    ready = iter(tf.data.Dataset.from_tensors(next(fed)).repeat())
    alone = iter(endless)
    labelled = iter(data.batches(batch_size, seed=0, endless=True, labels=True))

    def run(iterator):
        for _ in range(steps):
            logs = gan.train_function(iterator)
        float(logs["discriminator_loss"])

    def draw(iterator):
        for _ in range(steps):
            next(iterator)

    ways = {
        "pipeline alone": lambda: draw(alone),
        "with labels": lambda: draw(labelled),
        "step, batch ready": lambda: run(ready),
        "step, fed": lambda: run(fed),
        "fit": lambda: checkpoint.fit(
            fitted, data, batch_size, seed=0, epochs=epochs, verbose=0
        ),
    }
    for way in ways.values():
        way()
    seconds = timing.windows(ways, arguments.rounds)
    counts = dict.fromkeys(ways, steps)
    counts["fit"] = epochs * data.steps_per_epoch(batch_size)
    milliseconds = {way: 1e3 * min(each) / counts[way] for way, each in seconds.items()}
    bare = milliseconds["step, batch ready"]
    print(
        f"{name}, m = {preset.train.batch_size}: minima of {arguments.rounds} windows "
        f"of {steps} steps, fit's of {epochs} epochs, {fitted.steps_per_execution} "
        f"steps at once; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'way':20}{'ms a step':>10}{'to the bare step':>18}")
    for way, value in milliseconds.items():
        print(f"{way:20}{value:10.3f}{value / bare:18.3f}", flush=True)
    return {
        "preset": name,
        "batch_size": preset.train.batch_size,
        "steps_per_execution_of_fit": fitted.steps_per_execution,
        "milliseconds": milliseconds,
        "fit_to_bare_step": milliseconds["fit"] / bare,
    }


if __name__ == "__main__":
    main()
