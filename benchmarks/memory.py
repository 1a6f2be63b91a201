"""What memory a training takes, by preset, and whether it grows over many steps.

    python benchmarks/memory.py --output=memory.json

Each preset trains a few steps in a process of its own, on random bytes of its data's
shape (4,000 examples, so that the networks and not the data count): the process's peak,
and what of it a process has that has imported everything and built nothing. Then the
first preset's step runs on, and its memory is read after every tenth of `--steps`.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Preset: the shape of its data.
SHAPES = {
    "digits": (8, 8, 1),
    "mnist": (28, 28, 1),
    "mnist_tuned": (28, 28, 1),
    "tfd": (48, 48, 1),
    "cifar10_mlp": (32, 32, 3),
    "cifar10_conv": (32, 32, 3),
    "gaussian1d": None,
    "ring8": None,
}


def main():
    arguments = parsed_arguments()
    if arguments.child:
        report = peak(arguments.child) if arguments.child != "none" else imported()
        print(json.dumps(report))
        return
    if arguments.growth:
        print(json.dumps(growth(arguments.presets[0], arguments.steps)))
        return
    base = child("--child=none")["mib"]
    print(f"imports alone: {base:,.0f} MiB")
    print(f"{'preset':16}{'parameters':>14}{'peak, MiB':>11}")
    rows = []
    for name in arguments.presets:
        row = {"preset": name, **child(f"--child={name}")}
        print(f"{name:16}{row['parameters']:14,}{row['mib']:11,.0f}", flush=True)
        rows.append(row)
    grown = child(
        "--growth", f"--steps={arguments.steps}", "--presets", *arguments.presets
    )
    print(f"{arguments.presets[0]}, MiB after each tenth of {arguments.steps:,} steps:")
    print(" ".join(f"{value:,.1f}" for value in grown["mib"]))
    if arguments.output:
        report = {"imports_mib": base, "rows": rows, "growth": grown}
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--presets", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--output", help="a JSON file for the tables")
    parser.add_argument("--child", choices=(*SHAPES, "none"), help=argparse.SUPPRESS)
    parser.add_argument("--growth", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps < 10:
        parser.error(f"Expected --steps >= 10. Received: {arguments.steps}")
    return arguments


def child(*arguments):
    """What a process of this script reports."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def imported():

    return {"mib": peak_mib()}


def peak(name):
    gan, batches = training_of(name)
    for _ in range(3):
        float(gan.train_function(batches)["value"])
    parameters = gan.generator.count_params() + gan.discriminator.count_params()
    return {"parameters": parameters, "mib": peak_mib()}


def growth(name, steps):
    """Resident MiB now and after each tenth of the steps."""
    gan, batches = training_of(name)
    float(gan.train_function(batches)["value"])
    sizes = [resident_mib()]
    for _ in range(10):
        for _ in range(steps // 10):
            logs = gan.train_function(batches)
        float(logs["value"])
        sizes.append(resident_mib())
    made = gan.generator_steps
    return {"preset": name, "steps": steps, "steps_made": made, "mib": sizes}


def training_of(name):
    """(the preset's GAN, ready to step, and an endless iterator of its batches)."""
    import numpy as np

    from keras_gan import datasets, experiments
    from keras_gan.experiments import building

    preset = experiments.get_preset(name)
    if SHAPES[name] is None:
        data = building.load_data(preset.data)
    else:
        shape = (4_000, *SHAPES[name])
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        data = datasets.Dataset(
            pixels, value_range=(0.0, 1.0), name=name, split="train"
        )
        if preset.data.contrast_normalization:
            data = data.contrast_normalized()
    gan = building.build(preset, data)
    gan.make_train_function()
    size = preset.train.discriminator_steps * preset.train.batch_size
    return gan, iter(data.batches(size, seed=0).repeat())


def peak_mib():
    import resource

    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def resident_mib():
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


if __name__ == "__main__":
    main()
