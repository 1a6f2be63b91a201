"""What a step costs against k, the batch and the width of the networks.

    python benchmarks/scaling.py --output=scaling.json

Fully connected networks as the paper's for MNIST: G 100 -> width ReLU -> width ReLU ->
784, D maxout width / 5 units of 5 pieces, twice -> 1. From one point (k = 1, m = 100,
width = 1200) one of the three varies. In each round every point runs once, in random
order; minima over the rounds. The cost of k is fitted by a line: its slope is what one
more discriminator update costs, to be compared with a whole step at k = 1.

Then the paper's networks on one process and on several (`MultiWorkerMirroredStrategy`
on 127.0.0.1), each bound to a core of its own, which share out the same batch.
"""

import argparse
import dataclasses
import json
import math
import os
import pathlib
import socket
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import contestant  # noqa: E402
import timing  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Point:
    """One size of the game."""

    k: int = 1
    batch_size: int = 100
    width: int = 1200


def main():
    arguments = parsed_arguments()
    start = Point()
    points = list(
        dict.fromkeys(
            [Point(k=k) for k in arguments.discriminator_steps]
            + [Point(batch_size=size) for size in arguments.batch_sizes]
            + [Point(width=width) for width in arguments.widths]
            + [start]
        )
    )
    ways = {point: step_function(point, arguments.seconds) for point in points}
    seconds = timing.windows(
        {point: run for point, (run, _) in ways.items()}, arguments.rounds
    )
    milliseconds = {
        point: 1e3 * min(seconds[point]) / steps for point, (_, steps) in ways.items()
    }
    print(
        f"minima of {arguments.rounds} windows; {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}"
    )
    print(f"{'k':>3}{'m':>6}{'width':>7}{'ms':>9}{'to the first':>14}")
    for point, value in sorted(
        milliseconds.items(), key=lambda item: dataclasses.astuple(item[0])
    ):
        print(
            f"{point.k:3}{point.batch_size:6}{point.width:7}{value:9.2f}"
            f"{value / milliseconds[start]:14.2f}"
        )
    slope = k_slope(milliseconds)
    print(
        f"One more discriminator update costs {slope:.2f} ms, "
        f"{slope / milliseconds[start]:.2f} of a whole step at k = 1."
    )
    process_rows = measured_processes(arguments)
    if arguments.output:
        report = {
            "cores": os.cpu_count(),
            "load_after": os.getloadavg()[0],
            "rows": [
                {**dataclasses.asdict(point), "milliseconds": value}
                for point, value in milliseconds.items()
            ],
            "milliseconds_of_one_more_k": slope,
            "slope_to_step": slope / milliseconds[start],
            "process_rows": process_rows,
        }
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--discriminator_steps", type=int, nargs="+", default=[2, 3, 5])
    parser.add_argument(
        "--batch_sizes", type=int, nargs="+", default=[32, 200, 400, 1024]
    )
    parser.add_argument("--widths", type=int, nargs="+", default=[300, 600, 2400])
    parser.add_argument(
        "--processes", type=int, nargs="*", default=[1, 2], help="none to leave out"
    )
    parser.add_argument(
        "--process_batch_sizes", type=int, nargs="+", default=[100, 400, 1600]
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a window")
    parser.add_argument("--output", help="a JSON file for the table")
    arguments = parser.parse_args()
    for name, value in vars(arguments).items():
        least = min(value, default=1) if isinstance(value, list) else value
        if name != "output" and not least > 0:
            parser.error(f"Expected --{name} > 0. Received: {value}")
    cores = len(os.sched_getaffinity(0))
    if max(arguments.processes, default=1) > cores:
        parser.error(
            f"Expected --processes up to the {cores} cores that there are, one for "
            f"each. Received: {arguments.processes}"
        )
    return arguments


def step_function(point, seconds):
    """(a function that runs one window of steps, the number of steps in it)."""
    import time

    import keras
    import numpy as np
    import tensorflow as tf
    from keras import layers

    import keras_gan

    latents, samples = keras.Input((100,)), keras.Input((784,))
    x, y = latents, layers.Dropout(0.2)(samples)
    for _ in range(2):
        x = layers.Dense(point.width, activation="relu")(x)
        maxout = keras_gan.layers.Maxout(max(1, point.width // 5), 5)
        y = layers.Dropout(0.5)(maxout(y))
    gan = keras_gan.GAN(
        keras.Model(latents, layers.Dense(784, activation="sigmoid")(x)),
        keras.Model(samples, layers.Dense(1)(y)),
        latent_prior=keras_gan.priors.Uniform(100),
        seed=0,
    )
    gan.compile(
        *(keras_gan.optimizers.ScheduledSGD(0.01, 0.5) for _ in range(2)),
        discriminator_steps=point.k,
    )
    size = point.k * point.batch_size
    examples = np.random.default_rng(0).random((size, 784), np.float32)
    batches = iter(tf.data.Dataset.from_tensors(examples).repeat())
    gan.make_train_function()

    def run(steps):
        for _ in range(steps):
            logs = gan.train_function(batches)
        float(logs["value"])

    run(2)
    start = time.perf_counter()
    run(1)
    steps = max(1, math.ceil(seconds / (time.perf_counter() - start)))
    return lambda: run(steps), steps


def k_slope(milliseconds):
    """The slope of the line through the costs of k, by least squares."""
    costs = {
        point.k: value
        for point, value in milliseconds.items()
        if point == Point(k=point.k)
    }
    mean_k = sum(costs) / len(costs)
    mean = sum(costs.values()) / len(costs)
    above = sum((k - mean_k) * (value - mean) for k, value in costs.items())
    below = sum((k - mean_k) ** 2 for k in costs)
    return above / below if below else float("nan")


# === Processes ===


class Cluster:
    """So many processes that train together, each on its own core."""

    def __init__(self, size):
        cores = sorted(os.sched_getaffinity(0))
        environments = cluster_environments(size) if size > 1 else [{}]
        self.workers = [
            contestant.Worker("contestant_cluster.py", [str(core)], environment)
            for core, environment in zip(cores, environments, strict=False)
        ]

    def ask(self, **request):
        for worker in self.workers:
            worker.tell(**request)
        return [worker.hear() for worker in self.workers]

    def close(self):
        # The first coordinates the others, who would complain to find it gone.
        for worker in reversed(self.workers):
            worker.close()


def cluster_environments(size):
    """A TF_CONFIG for each of `size` workers on this machine."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(size)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    cluster = {"worker": addresses}
    return [
        {
            "TF_CONFIG": json.dumps(
                {"cluster": cluster, "task": {"type": "worker", "index": index}}
            )
        }
        for index in range(size)
    ]


def measured_processes(arguments):
    """The rows of one process and of several, printed as well."""
    if not arguments.processes:
        return []
    clusters = {size: Cluster(size) for size in arguments.processes}
    rows = []
    print(f"{'m':>6}{'processes':>11}{'ms':>9}{'to the first':>14}")
    try:
        for batch_size in arguments.process_batch_sizes:
            case = dataclasses.asdict(contestant.Case("mnist_mlp", 1, batch_size))
            ways = {
                size: steps_of(cluster, case, arguments.seconds)
                for size, cluster in clusters.items()
            }
            seconds = timing.windows(
                {size: run for size, (run, _) in ways.items()}, arguments.rounds
            )
            for size, (_, steps) in ways.items():
                value = 1e3 * min(seconds[size]) / steps
                rows.append(
                    {"processes": size, "batch_size": batch_size, "milliseconds": value}
                )
                first = rows[-1 - list(ways).index(size)]["milliseconds"]
                print(f"{batch_size:6}{size:11}{value:9.2f}{value / first:14.2f}")
                sys.stdout.flush()
    finally:
        for cluster in clusters.values():
            cluster.close()
    return rows


def steps_of(cluster, case, seconds):
    """(a function that runs one window of steps on a cluster, the steps in it)."""
    cluster.ask(do="forget")
    cluster.ask(do="build", case=case, variant="gan")
    once = max(
        answer["seconds"] for answer in cluster.ask(do="time", variant="gan", steps=1)
    )
    steps = max(1, math.ceil(seconds / once))
    return lambda: cluster.ask(do="time", variant="gan", steps=steps), steps


if __name__ == "__main__":
    main()
