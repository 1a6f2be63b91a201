"""What memory a training takes, by preset, and an evaluation of large pictures.

    python benchmarks/memory.py --output=memory.json
    python benchmarks/memory.py --evaluation --output=evaluation.json

Each preset trains a few steps in a process of its own, on random bytes of its data's
shape (4,000 examples, so that the networks and not the data count): the process's peak,
and what of it a process has that has imported everything and built nothing. Then the
first preset's step runs on, and its memory is read after every tenth of `--steps`.

With --evaluation instead: folders of random pictures of 64x64x3 are made, a run is
trained on each for one epoch, with averaged weights, and a fresh process evaluates it
with the protocol's 10,000 samples. One folder has labels and a test split: Parzen
windows, and a classifier's features (of 20 steps: more take no more memory). The other
has neither: features that are pixels.
"""

import argparse
import importlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

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
PICTURE = (64, 64, 3)
# What `evaluate` of such a run must stay below.
EVALUATION_LIMIT_MIB = 3 * 1024


def main():
    arguments = parsed_arguments()
    if arguments.child:
        report = peak(arguments.child) if arguments.child != "none" else imported()
        print(json.dumps(report))
        return
    if arguments.growth:
        print(json.dumps(growth(arguments.presets[0], arguments.steps)))
        return
    if arguments.train_on:
        trained_run(arguments.train_on, arguments.run)
        print("{}")
        return
    if arguments.run:
        print(json.dumps(evaluated(arguments.run)))
        return
    if arguments.evaluation:
        report = evaluation(arguments.pictures)
    else:
        report = training(arguments)
    if arguments.output:
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def training(arguments):
    """Peaks of the presets, and the growth of the first; printed as they come."""
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
    return {"imports_mib": base, "rows": rows, "growth": grown}


def evaluation(num_pictures):
    """Peaks of `evaluate`, with a classifier's features and with pixels."""
    base = child("--child=none")["mib"]
    print(f"imports alone: {base:,.0f} MiB")
    print(
        f"{'features':12}{'samples':>9}{'pictures':>10}{'seconds':>9}{'peak, MiB':>11}"
    )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        pictures = pathlib.Path(folder, "pictures")
        write_pictures(pictures, num_pictures)
        # Without its subfolders the second has no split but the whole.
        for name, source in (("labelled", pictures), ("whole", pictures / "train")):
            run = f"{folder}/{name}"
            environment = {"KERAS_GAN_CACHE": f"{folder}/cache"}
            child(f"--train_on={source}", f"--run={run}", **environment)
            row = child(f"--run={run}", **environment)
            print(
                f"{row['features']:12}{row['num_samples']:9,}{num_pictures:10,}"
                f"{row['seconds']:9,.0f}{row['mib']:11,.0f}",
                flush=True,
            )
            rows.append(row)
    most = max(row["mib"] for row in rows)
    print(
        f"largest peak: {most:,.0f} MiB, "
        f"{'below' if most < EVALUATION_LIMIT_MIB else 'ABOVE'} the limit of "
        f"{EVALUATION_LIMIT_MIB:,} MiB"
    )
    return {
        "imports_mib": base,
        "pictures": num_pictures,
        "limit_mib": EVALUATION_LIMIT_MIB,
        "rows": rows,
    }


def write_pictures(folder, count):
    """`count` pictures of noise for training and as many for tests, in two classes."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in range(2):
            (folder / split / str(label)).mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 256, PICTURE, np.uint8)
            # Uncompressed: noise compresses badly, and takes the longer.
            path = folder / split / str(index % 2) / f"{index}.bmp"
            Image.fromarray(pixels).save(path)


def trained_run(source, path):
    from keras_gan import experiments, runs

    settings = {"dataset": f"folder:{source}", "epochs": 1, "ema_decay": 0.9}
    runs.train(runs.Run(path, experiments.get_preset("digits", settings)))


def evaluated(path):
    """What evaluating a run took, in this process."""
    from keras_gan import metrics
    from keras_gan.runs import scoring

    metrics.Classifier.STEPS = 20
    start = time.perf_counter()
    report = scoring.evaluate(path)
    return {
        "features": report["protocol"]["features"],
        "num_samples": report["protocol"]["num_samples"],
        "rows": list(report["rows"]),
        "seconds": time.perf_counter() - start,
        "mib": peak_mib(),
    }


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--presets", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--output", help="a JSON file for the tables")
    parser.add_argument(
        "--evaluation", action="store_true", help="measure evaluate, not training"
    )
    parser.add_argument(
        "--pictures", type=int, default=10_000, help="to train on, and to test with"
    )
    parser.add_argument("--train_on", help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--child", choices=(*SHAPES, "none"), help=argparse.SUPPRESS)
    parser.add_argument("--growth", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.steps < 10:
        parser.error(f"Expected --steps >= 10. Received: {arguments.steps}")
    # Nearest neighbours and two halves of the test pictures take so many.
    if arguments.pictures < 20:
        parser.error(f"Expected --pictures >= 20. Received: {arguments.pictures}")
    return arguments


def child(*arguments, **environment):
    """What a process of this script reports."""
    done = subprocess.run(
        [sys.executable, __file__, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def imported():
    importlib.import_module("keras_gan.runs.scoring")
    return {"mib": peak_mib()}


def peak(name):
    gan, batches = training_of(name)
    for _ in range(3):
        float(gan.train_function(batches)["discriminator_loss"])
    parameters = gan.generator.count_params() + gan.discriminator.count_params()
    return {"parameters": parameters, "mib": peak_mib()}


def growth(name, steps):
    """Resident MiB now and after each tenth of the steps."""
    gan, batches = training_of(name)
    float(gan.train_function(batches)["discriminator_loss"])
    sizes = [resident_mib()]
    for _ in range(10):
        for _ in range(steps // 10):
            logs = gan.train_function(batches)
        float(logs["discriminator_loss"])
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
