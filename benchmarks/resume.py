"""Whether trainings that are killed at random end as those that are not, to the bit.

    python benchmarks/resume.py --kills=20 --output=resume.json

One training of `scripts/train.py` runs undisturbed; another is killed by SIGKILL a
random time after a random checkpoint, started again with --resume=auto, killed again,
and so on, and then left alone. The table has a line for each kill: the step that the
training was resumed from before it, and the newest checkpoint after it. The end
compares the final states, variable by variable, and the logs of all epochs.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import random
import re
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    arguments = parsed_arguments()
    from keras_gan.runs import checkpoint

    rng = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = pathlib.Path(folder, "whole"), pathlib.Path(folder, "broken")
        begun = time.perf_counter()
        text, code = train(whole, arguments)
        if code != 0:
            sys.exit(f"error: Expected a training that ends. Received:\n{text}")
        seconds = time.perf_counter() - begun
        steps = checkpoint.newest(whole / "checkpoints").step
        rows = []
        print(
            f"{'kill':>4}{'after s':>10}{'newest checkpoint':>19}{'resumed from':>14}"
        )
        while len(rows) < arguments.kills:
            row = killed(broken, arguments, steps, rng, checkpoint)
            rows.append(row)
            resumed = "start" if row["resumed_from"] is None else row["resumed_from"]
            print(
                f"{len(rows):4}{row['after_seconds']:10.2f}"
                f"{row['newest_checkpoint']:19}{resumed:>14}",
                flush=True,
            )
            if row["ended"]:
                break
        text, code = train(broken, arguments)
        if code != 0:
            sys.exit(f"error: Expected a training that resumes. Received:\n{text}")
        ends = [checkpoint.newest(run / "checkpoints") for run in (whole, broken)]
        differ = differences(ends[0].state, ends[1].state)
        logs = [epochs(run) for run in (whole, broken)]
    kills = sum(not row["ended"] for row in rows)
    report = {
        "arguments": vars(arguments),
        "kills": kills,
        "uninterrupted_seconds": seconds,
        "steps": ends[0].step,
        "same_step": ends[0].step == ends[1].step,
        "variables": len(ends[0].state),
        "variables_that_differ": differ,
        "epochs": len(logs[0]),
        "same_logs": logs[0] == logs[1],
        "python": platform.python_version(),
        "rows": rows,
    }
    print(
        f"{kills} kills in {ends[1].step} steps; variables that differ: {differ} of "
        f"{len(ends[0].state)}; logs of {len(logs[0])} epochs "
        f"{'equal' if report['same_logs'] else 'DIFFERENT'}"
    )
    if arguments.output:
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")
    if differ or not report["same_logs"] or not report["same_step"]:
        sys.exit("error: Expected the same training to the last bit. Received: another")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--checkpoint_steps", type=int, default=8)
    parser.add_argument(
        "--longest", type=float, default=0.5, help="seconds from a checkpoint to a kill"
    )
    parser.add_argument(
        "--set", action="append", default=[], help="field=value of the digits preset"
    )
    parser.add_argument("--output", help="a JSON file for the table")
    arguments = parser.parse_args()
    for name in ("kills", "epochs", "checkpoint_steps", "longest"):
        if not getattr(arguments, name) > 0:
            parser.error(f"Expected --{name} > 0. Received: {getattr(arguments, name)}")
    return arguments


def start(workdir, arguments):
    """Starts a training on the digits, k = 2; returns its process and output file."""
    command = [
        sys.executable, str(ROOT / "scripts" / "train.py"), f"--workdir={workdir}",
        "--resume=auto", "--preset=digits", "--discriminator_steps=2",
        f"--epochs={arguments.epochs}", "--set=sample_epochs=1000000",
        f"--checkpoint_steps={arguments.checkpoint_steps}",
        *(f"--set={setting}" for setting in arguments.set),
    ]  # fmt: skip
    output = workdir.with_suffix(".txt")
    with open(output, "w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, cwd=ROOT
        )
    return process, output


def train(workdir, arguments):
    """Trains undisturbed; returns what the training printed and its exit code."""
    process, output = start(workdir, arguments)
    code = process.wait()
    return output.read_text(), code


def killed(workdir, arguments, steps, rng, checkpoint):
    """Kills a training once and returns the table's line.

    All kills of a table together move the training on by three quarters of `steps`, on
    average.
    """

    def newest():
        found = checkpoint.paths(workdir / "checkpoints")
        return int(found[0].stem.removeprefix("step_")) if found else -1

    target = max(newest(), 0) + rng.randrange(1 + 3 * steps // (2 * arguments.kills))
    after = rng.uniform(0.0, arguments.longest)
    process, output = start(workdir, arguments)
    try:
        while process.poll() is None and (
            "Training " not in output.read_text() or newest() < target
        ):
            time.sleep(0.01)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=after)
    finally:
        process.kill()
        code = process.wait()
    text = output.read_text()
    if code not in (0, -9):
        sys.exit(f"error: Expected a training that is killed. Received:\n{text}")
    match = re.search(r"Going on after step (\d+)", text)
    return {
        "after_seconds": after,
        "resumed_from": int(match[1]) if match else None,
        "newest_checkpoint": newest(),
        "ended": code == 0,
    }


def differences(one, other):
    """Returns how many variables differ in a bit, or are missing in one state."""
    names = one.keys() | other.keys()
    return sum(
        name not in one
        or name not in other
        or one[name].tobytes() != other[name].tobytes()
        for name in names
    )


def epochs(workdir):
    """Returns the logs of all epochs, without the time they took."""
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


if __name__ == "__main__":
    main()
