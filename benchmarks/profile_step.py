"""Where the time of a training step goes: TensorFlow's profiler, by kind of operation.

    python benchmarks/profile_step.py --output=profile.json

The compiled step as a graph (XLA fuses operations, so that its kernels have no such
kinds), by default of the paper's MNIST networks with m = 100 and k = 1. Times are sums
over the threads, which overlap: read the shares.
"""

import argparse
import collections
import json
import os
import pathlib
import tempfile

import contestant


def main():
    arguments = parsed_arguments()
    import contestant_tensorflow

    case = contestant.Case(
        arguments.networks,
        arguments.k,
        arguments.batch_size,
        addition=arguments.addition,
    )
    run, _ = contestant_tensorflow.build(case, "graph")
    run(3)
    events = profiled(run, arguments.steps)
    kinds = collections.Counter()
    for name, milliseconds in events.items():
        kinds[kind_of(name)] += milliseconds
    total = sum(kinds.values())
    print(
        f"{case.networks}, {case.addition}, k = {case.discriminator_steps}, "
        f"m = {case.batch_size}: "
        f"operations of a step, means of {arguments.steps} steps; {os.cpu_count()} "
        f"cores, load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'kind':28}{'ms':>8}{'share':>8}")
    for kind, value in kinds.most_common():
        print(f"{kind:28}{value:8.2f}{value / total:8.1%}")
    print(f"\n{'the longest':72}{'ms':>8}")
    for name, value in events.most_common(arguments.longest):
        print(f"{name[-71:]:72}{value:8.2f}")
    if arguments.output:
        report = {
            "case": vars(arguments),
            "cores": os.cpu_count(),
            "load_after": os.getloadavg()[0],
            "milliseconds_of_kinds": dict(kinds.most_common()),
            "milliseconds_of_operations": dict(events.most_common()),
        }
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", choices=contestant.SHAPES, default="mnist_mlp")
    parser.add_argument("--k", type=int, default=1, help="discriminator steps")
    parser.add_argument("--batch_size", type=int, default=100)
    parser.add_argument(
        "--addition",
        # R1 in every 16th step is due in too few of the steps that are profiled.
        choices=[name for name in contestant.ADDITIONS if name != "lazy_r1"],
        default="none",
        help="of networks for pictures, see train_step.py",
    )
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--longest", type=int, default=12, help="operations to name")
    parser.add_argument("--output", help="a JSON file for the table")
    arguments = parser.parse_args()
    for name in ("k", "batch_size", "steps"):
        if getattr(arguments, name) < 1:
            parser.error(f"Expected --{name} > 0. Received: {getattr(arguments, name)}")
    return arguments


def profiled(run, steps):
    """Milliseconds a step of each operation, by its name and type."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        run(steps)
        tf.profiler.experimental.stop()
        (file,) = pathlib.Path(folder).glob("**/*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    events = collections.Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                # "path/of/the/operation:Type"; the rest is the runtime's own.
                if ":" in name and "/" in name and "::" not in name:
                    events[name] += event.duration_ps / 1e9 / steps
    return events


def kind_of(name):
    path, _, operation = name.rpartition(":")
    if "MatMul" in operation or "Conv" in operation:
        return "products"
    if operation.startswith("ResourceApply") or "sgd" in path or "adam" in path:
        return "optimizer updates"
    if "Random" in operation or "random" in path or "seed" in path:
        return "random numbers"
    if "maxout" in path:
        return "maxout"
    if operation == "AddN":
        return "sums of gradients"
    return "other element-wise work"


if __name__ == "__main__":
    main()
