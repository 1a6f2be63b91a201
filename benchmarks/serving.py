"""Measures how fast an exported generator answers, against other ways.

    python benchmarks/serving.py --model=runs/digits --output=serving.json

It runs several ways to the same samples in one process: the C API's session, as the
server runs it; the generator as a Keras model in Python, called as it is and as a
`tf.function`; and the floor, the matrix products of its layers alone, by NumPy. In each
round every way runs once for every batch size, in random order. It prints minima, their
ratios, and the share of the session's time that the products would take.

Before that it measures how long a server's first client waits: the first request of
each signature after the export's warmup requests, and without them, against the median
of the requests that follow. Each session is loaded anew; minima over them are printed.
"""

import argparse
import json
import os
import pathlib
import platform
import random
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import contestant  # noqa: E402


def main():
    arguments = parsed_arguments()

    import numpy as np
    import tensorflow as tf

    from keras_gan import export
    from keras_gan.export.verification import c_session

    gan = read_gan(arguments)
    generator = gan.generator
    with tempfile.TemporaryDirectory() as folder:
        path = gan.export(pathlib.Path(folder) / "model")
        names = export.read_signatures(path)
        requests = warmup_requests(path)
        first = first_requests(
            lambda: c_session.Session(path, names), requests, arguments
        )
        session = c_session.Session(path, names)

    function = tf.function(lambda latents: generator(latents, training=False))
    products = matrix_products(generator)
    calls = {
        "session": lambda z: one(session.run("serving_default", {"latents": z})),
        "generator(z)": lambda z: generator(z, training=False).numpy(),
        "tf.function": lambda z: function(z).numpy(),
    }
    if products is not None:
        calls["products"] = products
    rng = np.random.default_rng(0)
    latents = {
        size: rng.normal(size=(size, generator.input_shape[1])).astype(np.float32)
        for size in arguments.batch_sizes
    }
    for z in latents.values():
        check(calls, z, gan.spec)
        for call in calls.values():
            call(z)
    seconds = measured(calls, latents, arguments)
    session.close()

    rows = []
    for size in latents:
        row = {"batch_size": size}
        for way in calls:
            row[way] = min(seconds[way, size])
        row["samples_per_second"] = size / row["session"]
        row["generator_to_session"] = row["generator(z)"] / row["session"]
        if products is not None:
            row["share_of_products"] = row["products"] / row["session"]
        rows.append(row)
    show(generator, first, rows, calls, arguments)
    if arguments.output:
        write_report(generator, first, rows, arguments)


def write_report(generator, first, rows, arguments):
    import keras
    import tensorflow as tf

    report = {
        "arguments": {
            name: value
            for name, value in vars(arguments).items()
            if name not in ("output", "model")
        },
        "parameters": generator.count_params(),
        "cores": os.cpu_count(),
        "versions": {
            "python": platform.python_version(),
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        },
        "first_requests": first,
        "rows": rows,
    }
    pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--model", help="a run or a .keras file; else a new generator of digits"
    )
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5, help="calls a round")
    parser.add_argument("--loads", type=int, default=5, help="sessions loaded anew")
    parser.add_argument("--requests", type=int, default=50, help="after the first")
    parser.add_argument("--output", help="a JSON file for the tables")
    arguments = parser.parse_args()
    for name, value in vars(arguments).items():
        if name not in ("output", "model") and not least(value) > 0:
            parser.error(f"Expected --{name} > 0. Received: {value}")
    return arguments


def least(value):
    return min(value) if isinstance(value, list) else value


def read_gan(arguments):
    """Returns the `GAN` of a run, or a new one with the networks of digits."""
    import keras

    import keras_gan
    from keras_gan.runs import run as runs

    keras.utils.set_random_seed(0)
    if arguments.model:
        return runs.load_gan(arguments.model)
    return keras_gan.GAN(
        *keras_gan.networks.digits_mlp((8, 8, 1)),
        latent_prior=keras_gan.priors.Uniform(100),
        seed=0,
    )


def warmup_requests(path):
    """Returns the export's own requests: list of (signature, dict of arrays)."""
    import tensorflow as tf

    from keras_gan import checks

    prediction_log_pb2 = checks.require(
        "tensorflow_serving.apis.prediction_log_pb2", "serving"
    )
    file = path / "assets.extra" / "tf_serving_warmup_requests"
    requests = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(
            record
        ).predict_log.request
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        requests.append((request.model_spec.signature_name, inputs))
    return requests


def first_requests(load, requests, arguments):
    """Returns rows of seconds for one sample: cold, after warmup, median later."""
    # One row a signature: what a client asks first.
    one_row = {
        signature: inputs
        for signature, inputs in reversed(requests)
        if len(one(inputs)) == 1
    }
    rows = []
    for signature, inputs in one_row.items():
        cold, warm, medians, ratios = [], [], [], []
        for _ in range(arguments.loads):
            session = load()
            cold.append(timed(session, signature, inputs))
            session.close()
            session = load()
            for warmup in requests:
                session.run(*warmup)
            warm.append(timed(session, signature, inputs))
            later = [
                timed(session, signature, inputs) for _ in range(arguments.requests)
            ]
            session.close()
            medians.append(statistics.median(later))
            ratios.append(warm[-1] / medians[-1])
        rows.append(
            {
                "signature": signature,
                "first_without_warmup": min(cold),
                "first_after_warmup": min(warm),
                "median_after": min(medians),
                "first_to_median": min(ratios),
                "first_to_median_of_each_load": ratios,
            }
        )
    return rows


def timed(session, signature, inputs):
    start = time.perf_counter()
    session.run(signature, inputs)
    return time.perf_counter() - start


def measured(calls, latents, arguments):
    """Returns the seconds a call of each (way, batch size), one entry a round."""
    order = random.Random(0)
    seconds = {(way, size): [] for way in calls for size in latents}
    for _ in range(arguments.rounds):
        for way, size in order.sample(list(seconds), k=len(seconds)):
            start = time.perf_counter()
            for _ in range(arguments.repeats):
                calls[way](latents[size])
            took = time.perf_counter() - start
            seconds[way, size].append(took / arguments.repeats)
    return seconds


def matrix_products(generator):
    """Returns a function of the dense layers' products; None with other layers."""
    import keras

    kernels, others = [], []
    for layer in contestant.leaves(generator):
        if isinstance(layer, keras.layers.Dense):
            kernels.append(layer.kernel.numpy())
        elif any(len(weight.shape) > 1 for weight in layer.weights):
            others.append(layer)
    if others or not kernels:
        return None

    def products(latents):
        for kernel in kernels:
            latents = latents @ kernel
        return latents

    return products


def check(calls, latents, spec):
    """Exits unless the session's samples are the generator's, before any timing."""
    import numpy as np

    samples = calls["generator(z)"](latents)
    wanted = spec.to_unit(samples) if spec.is_image else samples
    difference = float(np.abs(calls["session"](latents) - wanted).max())
    if not difference < 1e-5:
        raise SystemExit(
            "error: Expected the session to agree with the generator to 1e-5. "
            f"Received: {difference:.3g}"
        )


def one(outputs):
    (value,) = outputs.values()
    return value


def show(generator, first, rows, calls, arguments):
    print(
        f"{generator.count_params():,} parameters; {os.cpu_count()} cores; minima of "
        f"{arguments.loads} loads and of {arguments.rounds} rounds, milliseconds"
    )
    print(
        f"{'one sample':18}{'first, cold':>13}{'first, warm':>13}{'median':>9}"
        f"{'first/median':>14}"
    )
    for row in first:
        print(
            f"{row['signature']:18}{1e3 * row['first_without_warmup']:13.2f}"
            f"{1e3 * row['first_after_warmup']:13.3f}{1e3 * row['median_after']:9.3f}"
            f"{row['first_to_median']:14.2f}"
        )
    print(
        f"{'batch':>5}"
        + "".join(f"{way:>14}" for way in calls)
        + f"{'samples/s':>12}{'speedup':>9}{'products':>10}"
    )
    for row in rows:
        share = row.get("share_of_products")
        print(
            f"{row['batch_size']:5}"
            + "".join(f"{1e3 * row[way]:14.3f}" for way in calls)
            + f"{row['samples_per_second']:12,.0f}{row['generator_to_session']:9.2f}"
            f"{'-' if share is None else format(share, '.0%'):>10}"
        )


if __name__ == "__main__":
    main()
