"""Whether 16-bit training reaches float32's scores: several seeds of each policy.

    python benchmarks/precision.py --workdir=runs/precision --output=precision.json

Trains a preset by `scripts/train.py` under each policy and seed, scores each run by
`scripts/evaluate.py`, and prints for each score the mean under float32, the difference
of each other policy's mean from it with Welch's 95% interval, both in percent of
float32's mean. A run that is there with its scores is not trained again, so that the
work can be divided among processes and continued.
"""

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
ROOT = pathlib.Path(__file__).resolve().parent.parent
REFERENCE = "float32"
# Of `scores.json`, what says how good samples are; the digits' own table last.
SCORES = (
    "log_likelihood",
    "frechet_distance",
    "precision",
    "recall",
    "density",
    "coverage",
)
DIGITS_SCORES = ("log_likelihood", "top_probability", "within_class_distance")


def main():
    arguments = parsed_arguments()
    scores = {}
    for seed in arguments.seeds:
        for policy in arguments.policies:
            workdir = pathlib.Path(arguments.workdir, f"{policy}_{seed}")
            scores.setdefault(policy, []).append(
                scored(workdir, policy, seed, arguments)
            )
    report = {
        "arguments": vars(arguments),
        "python": platform.python_version(),
        "scores": scores,
        "differences": {},
    }
    if REFERENCE in scores and len(scores) > 1 and len(arguments.seeds) > 1:
        report["differences"] = differences(scores)
        print_table(report["differences"], len(arguments.seeds), arguments.margin)
    if arguments.output:
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--preset", default="digits")
    parser.add_argument(
        "--policies",
        nargs="+",
        default=[REFERENCE, "mixed_bfloat16", "mixed_float16"],
        choices=[REFERENCE, "mixed_bfloat16", "mixed_float16"],
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    parser.add_argument(
        "--margin", type=float, default=10.0, help="percent of float32's mean"
    )
    parser.add_argument("--workdir", required=True, help="a folder for all runs")
    parser.add_argument("--epochs", type=int, help="the preset's by default")
    parser.add_argument("--output", help="a JSON file for the table")
    arguments = parser.parse_args()
    if not arguments.margin > 0:
        parser.error(f"Expected --margin > 0. Received: {arguments.margin}")
    return arguments


def scored(workdir, policy, seed, arguments):
    """The scores of one run, which is trained first where it is not there."""
    path = workdir / "scores.json"
    if not path.exists():
        epochs = [f"--epochs={arguments.epochs}"] if arguments.epochs else []
        script(
            "train.py", f"--preset={arguments.preset}", f"--seed={seed}",
            f"--mixed_precision={policy}", f"--workdir={workdir}", "--resume=auto",
            *epochs,
        )  # fmt: skip
        script("evaluate.py", f"--model={workdir}")
    check_settings(workdir, policy, seed, arguments)
    found = json.loads(path.read_text())
    row = found["rows"]["samples"]
    scores = {name: row[name] for name in SCORES if row.get(name) is not None}
    if "class_shares" in row:
        scores["smallest_class_share"] = min(row["class_shares"])
    for name in DIGITS_SCORES if "digits" in found else ():
        scores[f"digits/{name}"] = found["digits"]["rows"]["samples"][name]
    print(f"{workdir.name}: " + ", ".join(f"{k} {v:.4g}" for k, v in scores.items()))
    return scores


def check_settings(workdir, policy, seed, arguments):
    """Ends where the run that is there is another than is asked for."""
    from keras_gan.experiments import PRESETS

    asked = {
        "name": arguments.preset,
        "seed": seed,
        "mixed_precision": policy,
        "epochs": arguments.epochs or PRESETS[arguments.preset].train.epochs,
    }
    config = json.loads((workdir / "config.json").read_text())["experiment"]
    there = {
        "name": config["name"],
        "seed": config["train"]["seed"],
        "mixed_precision": config["runtime"]["mixed_precision"],
        "epochs": config["train"]["epochs"],
    }
    if there != asked:
        sys.exit(
            f"error: Expected in {workdir} a run of {asked}. Received: {there}; choose "
            "another --workdir"
        )


def script(name, *flags):
    output = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / name), *flags],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
    )  # fmt: skip
    if output.returncode:
        sys.exit(f"error: Expected {name} to end well. Received:\n{output.stdout}")


def differences(scores):
    """For each other policy and each score, the means and Welch's 95% interval.

    Args:
        scores: dict of policies to lists, one dict of scores for each seed.

    Returns:
        dict of policies to dicts of scores to dicts of `reference`, its mean;
        `difference`, of the means; `low` and `high`, the interval of the difference;
        and all three in percent of the reference, `percent`.
    """
    import numpy as np
    from scipy import stats

    found = {}
    for policy in scores:
        if policy == REFERENCE:
            continue
        for name in scores[REFERENCE][0]:
            reference, other = (
                np.array([row[name] for row in scores[key]], "float64")
                for key in (REFERENCE, policy)
            )
            interval = stats.ttest_ind(
                other, reference, equal_var=False
            ).confidence_interval(0.95)
            mean, difference = reference.mean(), other.mean() - reference.mean()
            values = (difference, float(interval.low), float(interval.high))
            found.setdefault(policy, {})[name] = {
                "reference": mean,
                "difference": difference,
                "low": values[1],
                "high": values[2],
                "percent": [100 * value / abs(mean) for value in values],
            }
    return found


def print_table(found, seeds, margin):
    width = max(len(name) for rows in found.values() for name in rows)
    for policy, rows in found.items():
        print(f"\n{policy} - {REFERENCE}, {seeds} seeds each, 95% intervals")
        print(f"{'score':<{width}}{REFERENCE:>11}{'difference, % of it':>32}")
        for name, row in rows.items():
            difference, low, high = row["percent"]
            inside = "inside" if -margin < low and high < margin else "not inside"
            print(
                f"{name:<{width}}{row['reference']:11.4g}{difference:+12.1f} "
                f"[{low:+6.1f}, {high:+6.1f}]  {inside} +-{margin:g}"
            )


if __name__ == "__main__":
    main()
