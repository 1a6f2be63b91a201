"""What one step of training costs, against whom, and how near the floor.

    python benchmarks/train_step.py --output=train_step.json

A step is k updates of the discriminator, then one of the generator, on the same
networks by the same rule (`contestant.OPTIMIZER`: SGD with momentum, or Adam), each way
with its own dropout, latents and running means of the losses: `GAN.fit`'s compiled
step, as a graph and under XLA; PyTorch, eager, and with `torch.compile` and its fused
optimizers; the GAN of Keras's guide to a custom `train_step`, rewritten, compiled as a
graph; and the floor, the step's matrix products and convolutions alone. PyTorch's rows
need `pip install -e ".[benchmarks]"` and are left out without it.

`--networks` chooses the networks. `dcgan32`, `dcgan64` and `resnet32` are those of
`networks.dcgan` and `networks.resnet`, for pictures; `--width` sets their channels, and
`--additions` what a step does besides:

    none         nothing, and D has no normalisation
    r1           R1 in each step of D
    lazy_r1      R1 in every 16th step, 16 times as strong; a window is a multiple of 16
    spectral     spectral normalisation in D
    diffaugment  DiffAugment of all that D sees

PyTorch has the same networks with the channels last, its own spectral normalisation
(one power iteration in each pass of D; here it is one a step), R1 from the pass whose
logits the loss takes (as here, but for lazy R1), and DiffAugment by gather and scatter,
as its authors wrote it.
The guide's GAN has no additions. Before anything is timed, both networks must have as
many parameters everywhere, and PyTorch must find the losses of `GAN` at its weights
(with `none` and `r1`, which draw nothing).

TensorFlow and PyTorch run in a process each, of which one works at a time. In each
round every way runs once, in random order; minima over the rounds are printed, and
their ratios, and TFLOP/s from the products' count. Mixed precision is timed with a GPU,
under XLA, or where `--ways` names it.

`--before=CHECKOUT` adds the compiled graph of another checkout of this project, which
tells what a change costs.
"""

import argparse
import dataclasses
import importlib.util
import json
import math
import os
import pathlib
import platform
import random
import sys
import tempfile

import contestant

TENSORFLOW = ("graph", "XLA", "guide", "products")
MIXED = ("mixed_bfloat16", "mixed_float16")
TORCH = ("torch eager", "torch.compile")
# The graph of another checkout.
BEFORE = "before"


def main():
    arguments = parsed_arguments()
    workers = start_workers(arguments.ways, arguments.before)
    try:
        rows = [
            row
            for networks in arguments.networks
            for k in arguments.discriminator_steps
            for batch_size in arguments.batch_sizes
            for addition in arguments.additions
            for row in measured(
                contestant.Case(networks, k, batch_size, arguments.width, addition),
                workers,
                arguments,
            )
        ]
    finally:
        for worker in {id(each): each for each in workers.values()}.values():
            worker.close()
    if arguments.output:
        report = {
            "rounds": arguments.rounds,
            "seconds_a_window": arguments.seconds,
            "cores": os.cpu_count(),
            "load_after": os.getloadavg()[0],
            "python": platform.python_version(),
            "rows": rows,
        }
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--networks", nargs="+", choices=contestant.SHAPES, default=["mnist_mlp"]
    )
    parser.add_argument("--discriminator_steps", type=int, nargs="+", default=[1])
    parser.add_argument("--batch_sizes", type=int, nargs="+", default=[100])
    parser.add_argument(
        "--width",
        type=int,
        help=f"channels of networks for pictures, by default {contestant.WIDTHS}",
    )
    parser.add_argument(
        "--additions", nargs="+", choices=contestant.ADDITIONS, default=["none"]
    )
    parser.add_argument(
        "--ways",
        nargs="+",
        choices=(*TENSORFLOW, *MIXED, *TORCH),
        help="which to time; all that there are by default",
    )
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a window")
    parser.add_argument(
        "--before", help="another checkout of this project, to compare with"
    )
    parser.add_argument("--output", help="a JSON file for the table")
    arguments = parser.parse_args()
    sizes = (
        ("discriminator_steps", min(arguments.discriminator_steps)),
        ("batch_sizes", min(arguments.batch_sizes)),
        ("rounds", arguments.rounds),
        ("seconds", arguments.seconds),
        ("width", 1 if arguments.width is None else arguments.width),
    )
    for name, value in sizes:
        if not value > 0:
            parser.error(f"Expected --{name} > 0. Received: {value}")
    others = [n for n in arguments.networks if n not in contestant.WIDTHS]
    if others and (arguments.width is not None or arguments.additions != ["none"]):
        parser.error(
            "Expected --width and --additions with --networks of "
            f"{', '.join(contestant.WIDTHS)}. Received: {', '.join(others)}"
        )
    return arguments


# === Workers ===


def start_workers(ways, before=None):
    """Returns a worker for each way; `before` is a checkout, or None."""
    gpu = pathlib.Path("/dev/nvidia0").exists()
    # Most CPUs emulate 16 bits: there it is timed only if asked for.
    mixed = MIXED if gpu or ways else ()
    there = {"contestant_tensorflow.py": TENSORFLOW + mixed}
    if importlib.util.find_spec("torch"):
        there["contestant_torch.py"] = TORCH
    else:
        print("PyTorch is not installed: its rows are left out.", file=sys.stderr)
    workers = {}
    for file, names in there.items():
        names = [name for name in names if not ways or name in ways]
        if names:
            worker = contestant.Worker(file)
            workers.update({name: worker for name in names})
    if before is not None:
        workers[BEFORE] = contestant.Worker(
            "contestant_tensorflow.py",
            environment={"PYTHONPATH": str(pathlib.Path(before).resolve())},
        )
    return workers


# === Measuring ===


def measured(case, workers, arguments):
    """The rows of one case, printed as well."""
    if case.addition != "none":  # which the guide does not have
        workers = {way: each for way, each in workers.items() if way != "guide"}
    if not workers:
        return []
    of_pictures = check_losses(case, workers)
    rows = {}
    for way, worker in workers.items():
        answer = worker.ask(do="build", case=dataclasses.asdict(case), variant=way)
        rows[way] = {**dataclasses.asdict(case), "way": way, **answer, **of_pictures}
    check_parameters(rows)
    # The fewest steps whose work is that of any others in a row.
    unit, steps = case.every or 1, {}
    for way, worker in workers.items():
        seconds = worker.ask(do="time", variant=way, steps=unit)["seconds"]
        steps[way] = unit * max(1, math.ceil(arguments.seconds / seconds))
    order = random.Random(0)
    seconds = {way: [] for way in workers}
    for _ in range(arguments.rounds):
        for way in order.sample(list(workers), k=len(workers)):
            answer = workers[way].ask(do="time", variant=way, steps=steps[way])
            seconds[way].append(answer["seconds"] / steps[way])
    for worker in workers.values():
        worker.ask(do="forget")
    flop = flop_of(case)
    for way, row in rows.items():
        row["seconds"] = min(seconds[way])
        row["seconds_of_rounds"] = seconds[way]
        row["tflop_per_second"] = flop / row["seconds"] / 1e12
    reference = rows.get("graph", next(iter(rows.values())))["seconds"]
    floor = rows.get("products", {}).get("seconds")
    for row in rows.values():
        row["ratio_to_graph"] = row["seconds"] / reference
        row["ratio_to_products"] = floor and row["seconds"] / floor
    show(case, rows, flop)
    return list(rows.values())


def check_parameters(rows):
    """Ends with an error unless both networks are as large everywhere.

    A row's pair of counts becomes "parameters_of_networks", their sum "parameters".
    """
    for row in rows.values():
        row["parameters_of_networks"] = row["parameters"]
        row["parameters"] = sum(row["parameters"])
    if len({tuple(row["parameters_of_networks"]) for row in rows.values()}) > 1:
        raise SystemExit(
            "error: Expected the same networks everywhere. Received parameters of G "
            "and D: "
            + "; ".join(
                "{} {:,} and {:,}".format(way, *row["parameters_of_networks"])
                for way, row in rows.items()
            )
        )


def check_losses(case, workers):
    """Ends with an error unless TensorFlow and PyTorch have the same losses.

    Returns:
        dict, {"losses": D's and G's at the weights of `GAN`, "losses_torch": those of
        PyTorch}; empty where only one of them runs, or losses depend on draws.
    """
    ours = next((workers[way] for way in TENSORFLOW if way in workers), None)
    theirs = next((workers[way] for way in TORCH if way in workers), None)
    is_fixed = case.networks in contestant.WIDTHS and case.addition in ("none", "r1")
    if not (ours and theirs and is_fixed):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        request = {
            "do": "losses",
            "case": dataclasses.asdict(case),
            "file": str(pathlib.Path(folder) / "weights.npz"),
        }
        found = [worker.ask(**request)["losses"] for worker in (ours, theirs)]
    for a, b in zip(*found, strict=True):
        if not abs(a - b) <= 1e-4 * abs(a):
            raise SystemExit(
                "error: Expected the same losses of D and G from the same weights, to "
                f"1e-4. Received: {found[0]} of GAN and {found[1]} of PyTorch"
            )
    return {"losses": found[0], "losses_torch": found[1]}


def flop_of(case):
    """Floating-point operations of a step's matrix products and convolutions.

    A network's forward pass is one unit, its gradients of kernels and of inputs one
    each (a little less, for the first layer needs none of its inputs): k (G + 2 * 3 D)
    in the discriminator's steps, 3 G + 2 D in the generator's. R1 is 3 D: the gradient
    of the inputs, and two products to descend that.
    """
    generator, discriminator = forward_products(case)
    k = case.discriminator_steps
    passes = k * (generator + 6 * discriminator) + 3 * generator + 2 * discriminator
    if case.every:
        passes += k * 3 * discriminator / case.every
    return 2 * case.batch_size * passes


def forward_products(case):
    """Multiplications of one sample's forward pass, (generator, discriminator)."""
    if case.networks == "resnet32":
        return _resnet32_products(case.width)
    if case.networks in contestant.WIDTHS:
        return _dcgan_products(contestant.SHAPES[case.networks][0], case.width)
    return FORWARD[case.networks]


def _dcgan_products(size, width):
    generator = discriminator = 0
    level, inputs, outputs = size // 2, 3, width
    while level >= 4:
        # A transposed convolution's places are those of its input.
        generator += level**2 * 16 * inputs * outputs
        discriminator += level**2 * 16 * inputs * outputs
        level, inputs, outputs = level // 2, outputs, min(2 * outputs, 8 * width)
    bottom = 16 * inputs
    return contestant.LATENT_DIM * bottom + generator, discriminator + bottom


def _resnet32_products(width):
    generator = contestant.LATENT_DIM * 16 * width + 32**2 * 9 * width * 3
    for size in (8, 16, 32):
        # Two 3x3 after the doubling, and the shortcut's 1x1 before it.
        generator += size**2 * 18 * width**2 + (size // 2) ** 2 * width**2
    half = width // 2
    discriminator = 32**2 * 9 * (3 + half) * half + 16**2 * 3 * half
    discriminator += 16**2 * 18 * half**2 + 8**2 * half**2
    discriminator += 2 * 8**2 * 18 * half**2
    return generator, discriminator + half


# Those of networks that have one size.
FORWARD = {
    "digits_mlp": (
        100 * 256 + 256 * 512 + 512 * 64,
        64 * 1280 + 256 * 1280 + 256,
    ),
    "mnist_mlp": (
        100 * 1200 + 1200 * 1200 + 1200 * 784,
        784 * 1200 + 240 * 1200 + 240,
    ),
    "cifar_conv": (
        100 * 8000 + 8000 * 8000 + 10 * 10 * 80 * 5 * 5 * 3,
        33 * 33 * 8 * 8 * 3 * 64
        + 15 * 15 * 8 * 8 * 32 * 64
        + 9 * 9 * 5 * 5 * 32 * 384
        + 4800 * 2500
        + 500,
    ),
    "conv64": _dcgan_products(64, contestant.CONV64_CHANNELS[-1]),
}


def show(case, rows, flop):
    networks = case.networks
    if case.width is not None:
        networks += f", width {case.width}, {case.addition}"
    print(
        f"{networks}, k = {case.discriminator_steps}, m = {case.batch_size}: "
        f"{next(iter(rows.values()))['parameters']:,} parameters, {flop / 1e9:.1f} "
        f"GFLOP of products a step; {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}"
    )
    print(f"{'way':16}{'ms':>9}{'to graph':>10}{'to floor':>10}{'TFLOP/s':>9}")
    for way, row in sorted(rows.items(), key=lambda item: item[1]["seconds"]):
        to_floor = row["ratio_to_products"]
        print(
            f"{way:16}{1e3 * row['seconds']:9.2f}{row['ratio_to_graph']:10.2f}"
            f"{'-' if to_floor is None else format(to_floor, '.2f'):>10}"
            f"{row['tflop_per_second']:9.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
