"""Times the Parzen-window log-likelihood against scikit-learn and a bare product.

    python benchmarks/parzen.py --tests=500 --centres=5000 --output=parzen.json

One process; in each round every variant runs once, in random order; the minimum of each
and its ratio to the bare matrix product are printed. All compute in float64 at one
width, and must agree. With KERAS_GAN_TEST_DATA set, vectors of 784 features are MNIST's
test images; otherwise they are uniform in [0, 1).
"""

import argparse
import gzip
import json
import os
import pathlib
import platform
import random
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def main():
    arguments = parsed_arguments()

    import numpy as np
    import sklearn
    import tensorflow as tf

    examples, centres, source = vectors(arguments)
    variants = {
        "keras_gan": lambda: ours(examples, centres, arguments),
        "scikit-learn": lambda: scikit_learns(examples, centres, arguments),
        "broadcast": lambda: broadcast(examples, centres, arguments),
        "product alone": lambda: examples @ centres.T,
    }
    values = {name: variant() for name, variant in variants.items()}
    expected = values["broadcast"]
    differences = {
        name: float(np.abs(value / expected - 1).max())
        for name, value in values.items()
        if name != "product alone"
    }
    worst = max(differences, key=differences.get)
    if not differences[worst] < 1e-8:
        raise SystemExit(
            f"error: Expected {worst} to agree with the formula to 1e-8. "
            f"Received: {differences[worst]:.3g}"
        )

    order = random.Random(0)
    seconds = {name: [] for name in variants}
    for _ in range(arguments.rounds):
        for name in order.sample(list(variants), k=len(variants)):
            start = time.perf_counter()
            variants[name]()
            seconds[name].append(time.perf_counter() - start)

    floor = min(seconds["product alone"])
    rows = {
        name: {
            "minimum_seconds": min(times),
            "ratio_to_product": min(times) / floor,
            "largest_relative_difference": differences.get(name),
        }
        for name, times in seconds.items()
    }
    devices = [device.name for device in tf.config.list_logical_devices()]
    print(
        f"{len(examples):,} examples, {len(centres):,} centres, {examples.shape[1]:,} "
        f"features ({source}), sigma {arguments.sigma}; minima of {arguments.rounds} "
        f"rounds; {os.cpu_count()} cores, {', '.join(devices)}"
    )
    print(f"{'':16}{'seconds':>10}{'ratio':>8}{'difference':>12}")
    for name, row in rows.items():
        difference = row["largest_relative_difference"]
        print(
            f"{name:16}{row['minimum_seconds']:10.4f}{row['ratio_to_product']:8.2f}"
            f"{'-' if difference is None else format(difference, '.1e'):>12}"
        )
    if arguments.output:
        report = {
            "arguments": {
                name: value
                for name, value in vars(arguments).items()
                if name != "output"
            },
            "data": source,
            "devices": devices,
            "cores": os.cpu_count(),
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "scikit-learn": sklearn.__version__,
                "tensorflow": tf.__version__,
            },
            "rows": rows,
        }
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tests", type=int, default=500, help="examples to score")
    parser.add_argument("--centres", type=int, default=5000)
    parser.add_argument("--features", type=int, default=784)
    parser.add_argument("--sigma", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--block_size", type=int, default=1000, help="of keras_gan")
    parser.add_argument("--batch_size", type=int, default=10, help="of broadcast")
    parser.add_argument("--output", help="a JSON file for the table")
    arguments = parser.parse_args()
    for name, value in vars(arguments).items():
        if name != "output" and not value > 0:
            parser.error(f"Expected --{name} > 0. Received: {value}")
    return arguments


def vectors(arguments):
    """Returns examples and centres, float64 in [0, 1], and the name of their source."""
    import numpy as np

    count = arguments.tests + arguments.centres
    folder = os.environ.get("KERAS_GAN_TEST_DATA")
    if folder and arguments.features == 784 and count <= 10_000:
        path = pathlib.Path(folder) / "mnist" / "t10k-images-idx3-ubyte.gz"
        with gzip.open(path) as file:
            pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 784)
        rows, source = pixels[:count] / 255.0, "MNIST"
    else:
        rng = np.random.default_rng(0)
        rows, source = rng.random((count, arguments.features)), "uniform"
    return rows[: arguments.tests], rows[arguments.tests :], source


def ours(examples, centres, arguments):
    from keras_gan.metrics import parzen_log_likelihood

    return parzen_log_likelihood(
        examples, centres, arguments.sigma, block_size=arguments.block_size
    )


def scikit_learns(examples, centres, arguments):
    """Runs it with one leaf: with more, sums over pruned nodes cancel (issue 7492)."""
    from sklearn.neighbors import KernelDensity

    density = KernelDensity(
        bandwidth=arguments.sigma, rtol=0, atol=0, leaf_size=len(centres)
    )
    return density.fit(centres).score_samples(examples)


def broadcast(examples, centres, arguments):
    """Computes as the script released with the 2014 paper does, in batches."""
    import numpy as np

    features, sigma = centres.shape[1], arguments.sigma
    parts = []
    for start in range(0, len(examples), arguments.batch_size):
        batch = examples[start : start + arguments.batch_size]
        scaled = (batch[:, None, :] - centres[None, :, :]) / sigma
        exponents = -0.5 * (scaled**2).sum(axis=2)
        largest = exponents.max(axis=1, keepdims=True)
        means = np.exp(exponents - largest).mean(axis=1)
        parts.append(largest[:, 0] + np.log(means))
    return np.concatenate(parts) - features * np.log(sigma * np.sqrt(2 * np.pi))


if __name__ == "__main__":
    main()
