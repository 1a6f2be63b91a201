"""How long a training takes to its first step: import, build, trace and compile.

    python benchmarks/startup.py --output=startup.json

Each round starts a fresh process for each way, in random order, and takes the time of
its stages; minima over the rounds. The second step shows what the first had to do once.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import time

WAYS = {"graph": False, "XLA": True}


def main():
    arguments = parsed_arguments()
    if arguments.child:
        print(json.dumps(stages(arguments.preset, WAYS[arguments.child])))
        return
    order = random.Random(0)
    rounds = {way: [] for way in WAYS}
    for _ in range(arguments.rounds):
        for way in order.sample(list(WAYS), k=len(WAYS)):
            done = subprocess.run(
                [sys.executable, __file__, f"--preset={arguments.preset}"]
                + [f"--child={way}"],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            rounds[way].append(json.loads(done.stdout.splitlines()[-1]))
    rows = {
        way: {stage: min(each[stage] for each in seconds) for stage in seconds[0]}
        for way, seconds in rounds.items()
    }
    print(
        f"{arguments.preset}: seconds, minima of {arguments.rounds} processes each; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'stage':40}" + "".join(f"{way:>9}" for way in WAYS))
    for stage in rows["graph"]:
        print(f"{stage:40}" + "".join(f"{rows[way][stage]:9.3f}" for way in WAYS))
    if arguments.output:
        report = {
            "preset": arguments.preset,
            "cores": os.cpu_count(),
            "load_after": os.getloadavg()[0],
            "rows": rows,
            "rounds": rounds,
        }
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--preset", default="digits", help="one with its own data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", help="a JSON file for the table")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"Expected --rounds > 0. Received: {arguments.rounds}")
    return arguments


def stages(preset, jit_compile):
    """Seconds of each stage of a training in this process."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    marks = [("", time.perf_counter())]

    def mark(stage):
        marks.append((stage, time.perf_counter()))

    import tensorflow  # noqa: F401

    mark("import tensorflow")
    import keras_gan  # noqa: F401
    from keras_gan import experiments
    from keras_gan.experiments import building

    mark("import keras_gan, with TFP and the rest")
    preset = experiments.get_preset(preset)
    data = building.load_data(preset.data)
    mark("load the data")
    gan = building.build(preset, data)
    gan.jit_compile = jit_compile
    mark("build and compile the GAN")
    size = preset.train.discriminator_steps * preset.train.batch_size
    batches = iter(data.batches(size, seed=0))
    gan.make_train_function()
    float(gan.train_function(batches)["discriminator_loss"])
    mark("first step: trace, compile, run")
    float(gan.train_function(batches)["discriminator_loss"])
    mark("second step")
    return {
        stage: end - start
        for (_, start), (stage, end) in zip(marks, marks[1:], strict=False)
    }


if __name__ == "__main__":
    main()
