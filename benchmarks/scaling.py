"""What a step costs against k, the batch and the width of the networks.

    python benchmarks/scaling.py --output=scaling.json

Fully connected networks as the paper's for MNIST: G 100 -> width ReLU -> width ReLU ->
784, D maxout width / 5 units of 5 pieces, twice -> 1. From one point (k = 1, m = 100,
width = 1200) one of the three varies. In each round every point runs once, in random
order; minima over the rounds. The cost of k is fitted by a line: its slope is what one
more discriminator update costs, to be compared with a whole step at k = 1.
"""

import argparse
import dataclasses
import json
import math
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

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
        }
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--discriminator_steps", type=int, nargs="+", default=[2, 3, 5])
    parser.add_argument(
        "--batch_sizes", type=int, nargs="+", default=[32, 200, 400, 1024]
    )
    parser.add_argument("--widths", type=int, nargs="+", default=[300, 600, 2400])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a window")
    parser.add_argument("--output", help="a JSON file for the table")
    arguments = parser.parse_args()
    for name, value in vars(arguments).items():
        least = min(value) if isinstance(value, list) else value
        if name != "output" and not least > 0:
            parser.error(f"Expected --{name} > 0. Received: {value}")
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


if __name__ == "__main__":
    main()
