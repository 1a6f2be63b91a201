"""Times how long samples of MNIST take to score by every measure, stage by stage.

    python benchmarks/scoring.py --data_dir=PATH --output=scoring.json

It runs the whole of `evaluation.score`. The classifier and the features of the test
images are in the cache, as from the second evaluation on; the "samples" are training
images. Each stage's time is the minimum over the rounds. Seconds mean something only on
an idle machine, so the load before and after is printed with them.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main():
    arguments = parsed_arguments()
    load = [os.getloadavg()[0]]

    import numpy as np
    import tensorflow as tf

    from keras_gan import datasets, evaluation, experiments, metrics, runs

    run = runs.Run("runs/mnist", experiments.PRESETS["mnist"], arguments.data_dir)
    splits = run.splits()
    cache_dir = datasets.cache.directory(arguments.data_dir)
    classifier = metrics.Classifier.trained(splits[0], splits[2], cache_dir)
    samples = splits[0].fixed_examples(arguments.num_samples)
    protocol = evaluation.protocol_for(
        "mnist", False, *splits, num_samples=len(samples)
    )
    metrics.cached_features(classifier, splits[2], cache_dir)
    rounds = []
    for _ in range(arguments.rounds):
        with timed_stages(metrics, classifier) as seconds:
            start = time.perf_counter()
            scores = evaluation.score(samples, *splits, classifier, protocol, cache_dir)
            total = time.perf_counter() - start
        seconds["the rest"] = total - sum(seconds.values())
        rounds.append(seconds)
    load.append(os.getloadavg()[0])
    stages = {name: min(each[name] for each in rounds) for name in rounds[0]}
    total = sum(stages.values())
    devices = [device.name for device in tf.config.list_logical_devices()]
    print(
        f"{len(samples):,} samples against MNIST's {len(splits[2]):,} test images; "
        f"minima of {arguments.rounds} rounds; {os.cpu_count()} cores, "
        f"{', '.join(devices)}; load {load[0]:.1f} before, {load[1]:.1f} after"
    )
    print(f"{'stage':44}{'seconds':>9}{'share':>7}")
    for name, value in stages.items():
        print(f"{name:44}{value:9.2f}{value / total:7.0%}")
    print(f"{'all':44}{total:9.2f}")
    if arguments.output:
        report = {
            "num_samples": len(samples),
            "rounds": arguments.rounds,
            "load_before_and_after": load,
            "cores": os.cpu_count(),
            "devices": devices,
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "tensorflow": tf.__version__,
            },
            "seconds": stages,
            "total_seconds": total,
            "scores": scores,
        }
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data_dir", help="where TFDS has MNIST")
    parser.add_argument("--num_samples", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--output", help="a JSON file for the table")
    arguments = parser.parse_args()
    for name in ("num_samples", "rounds"):
        if not getattr(arguments, name) > 0:
            parser.error(f"Expected --{name} > 0. Received: {getattr(arguments, name)}")
    return arguments


@contextlib.contextmanager
def timed_stages(metrics, classifier):
    """Times the functions that `evaluation.score` calls; yields a dict of seconds."""
    seconds = {}
    stages = (
        (metrics, "cached_features", "features of the test images, cached"),
        (classifier, "features", "features of the samples"),
        (metrics, "kernel_distance", "kernel distance"),
        (metrics.Moments, "update", "Frechet distance: moments"),
        (metrics, "frechet_distance", "Frechet distance"),
        (metrics, "prdc", "precision, recall, density, coverage"),
        (classifier, "classes", "classes of the samples"),
    )

    def timed(function, stage):
        def call(*arguments, **options):
            start = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent = time.perf_counter() - start
                seconds[stage] = seconds.get(stage, 0.0) + spent

        return call

    def parzen(test, validation, centres, progress=None, **options):
        """Calls `parzen_estimate`, whose progress tells the search from the test."""
        start = time.perf_counter()
        share = len(validation) / (len(validation) + len(test))
        searched = []

        def watch(done):
            if not searched and done >= share - 1e-9:
                searched.append(time.perf_counter())
            if progress:
                progress(done)

        result = estimate(test, validation, centres, progress=watch, **options)
        seconds["Parzen windows: search for sigma"] = searched[0] - start
        seconds["Parzen windows: test"] = time.perf_counter() - searched[0]
        return result

    estimate = metrics.parzen_estimate
    saved = [(owner, name, getattr(owner, name)) for owner, name, _ in stages]
    metrics.parzen_estimate = parzen
    for owner, name, stage in stages:
        setattr(owner, name, timed(getattr(owner, name), stage))
    try:
        yield seconds
    finally:
        metrics.parzen_estimate = estimate
        for owner, name, function in saved:
            setattr(owner, name, function)


if __name__ == "__main__":
    main()
