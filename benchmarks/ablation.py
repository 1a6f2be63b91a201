"""Compares all losses, each with every stabiliser, by one protocol.

    python benchmarks/ablation.py --data=grid25 --output=ablation.jsonl

All trainings of one dataset have the same networks, optimizers, batches, seeds and
number of steps: those of its preset, but for what is compared. The table has a row for
each loss and a column for each stabiliser, and in each cell the mean over the seeds. A
training that has a line in the output already is not run again, so that the command
goes on where it was stopped.

For the toys a cell is the modes found and the share of samples of high quality (see
`metrics.mode_coverage`), for images the Frechet distance on a classifier's features.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import time

import cases

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

LOSSES = (
    *("minimax", "non_saturating", "hinge", "least_squares", "wasserstein"),
    "relativistic",
)
# Each is added to the plain training. The option --gamma is that of R1 and R2.
STABILISERS = ("none", "r1", "r1_r2", "gradient_penalty", "spectral")
PRESETS = {"ring8": "ring8", "grid25": "grid25", "mnist": "mnist_conv"}
# Half of the preset's channels: 90 trainings of digits take an hour on one core.
SETTINGS = {"mnist": {"networks.width": 16}}


def main():
    arguments = parsed_arguments()
    common = {name: getattr(arguments, name) for name in ("data", "steps", "gamma")}
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    asked = [
        {**common, "loss": loss, "stabiliser": stabiliser, "seed": seed}
        for seed in seeds
        for loss in arguments.losses
        for stabiliser in arguments.stabilisers
    ]

    def told(case):
        found = trained(case, arguments.data_dir)
        print(json.dumps({**case, **found}), flush=True)
        return found

    rows = cases.run(arguments.output, asked, told)
    print(table([row for row in rows if common.items() <= row.items()]))


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=PRESETS, default="grid25")
    parser.add_argument("--data_dir", help="where MNIST is or is cached")
    parser.add_argument("--steps", type=int, default=3000, help="generator steps")
    parser.add_argument("--gamma", type=float, default=0.3, help="of R1 and R2")
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--first_seed", type=int, default=0)
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=LOSSES)
    parser.add_argument(
        "--stabilisers", nargs="+", choices=STABILISERS, default=STABILISERS
    )
    parser.add_argument("--output", default="ablation.jsonl", help="a line a training")
    return parser.parse_args()


def experiment_of(case):
    """Returns the experiment of one cell and seed, but for its number of epochs."""
    from keras_gan import experiments

    penalties = {
        "r1": [{"name": "r1", "gamma": case["gamma"], "every": 2}],
        "r1_r2": [
            {"name": name, "gamma": case["gamma"], "every": 2} for name in ("r1", "r2")
        ],
        "gradient_penalty": [{"name": "gradient_penalty", "every": 2}],
    }.get(case["stabiliser"], [])
    normalization = "spectral" if case["stabiliser"] == "spectral" else None
    return experiments.get_preset(
        PRESETS[case["data"]],
        {
            **SETTINGS.get(case["data"], {}),
            "loss": case["loss"],
            "penalties": penalties,
            "networks.discriminator_normalization": normalization,
            "train.seed": case["seed"],
        },
    )


def trained(case, data_dir=None):
    """Trains one cell and seed, and returns its scores and seconds."""
    import keras

    from keras_gan import experiments
    from keras_gan.experiments import building

    keras.backend.clear_session()
    experiment = experiment_of(case)
    data = experiments.load_data(experiment.data, data_dir)
    batch_size = experiment.train.batch_size
    # Falling rates last as long as the training.
    epochs = math.ceil(case["steps"] / data.steps_per_epoch(batch_size))
    experiment = experiment.with_settings({"train.epochs": epochs})
    gan = experiments.build(experiment, data)
    # A step of the toys is so short that several are compiled into one call.
    is_toy = experiment.networks.name == "toy_mlp"
    gan.steps_per_execution = math.gcd(case["steps"], 16) if is_toy else 1
    begun = time.perf_counter()
    gan.fit(
        data.batches(batch_size, seed=case["seed"], endless=True),
        steps_per_epoch=case["steps"],
        verbose=0,
    )
    seconds = time.perf_counter() - begun
    try:
        scores = _scores(gan, data, building, experiment, data_dir)
    except ValueError:  # samples that are not finite
        scores = None
    return {"seconds": round(seconds, 1), "scores": scores}


def _scores(gan, data, building, experiment, data_dir):
    from keras_gan import evaluation, metrics

    if data.distribution is not None:
        modes, scale = metrics.modes_of(data.distribution)
        found = metrics.mode_coverage(gan.generate(2500, seed=1), modes, scale)
        return {
            "modes_covered": found.modes_covered,
            "high_quality_share": found.high_quality_share,
            "reverse_kl": found.reverse_kl,
        }
    test = building.load_data(experiment.data, data_dir, "test")
    cache = pathlib.Path.home() / ".cache" / "keras_gan"
    classifier = metrics.Classifier.trained(data, test, cache)
    real = metrics.cached_features(classifier, test, cache)
    fake = classifier.features(gan.generate(10_000, seed=1))
    scores = evaluation.feature_scores(real, fake)
    return {name: scores[name] for name in ("frechet_distance", "coverage")}


def table(rows):
    """Returns the cells as a table in Markdown."""
    losses, stabilisers = (
        [name for name in names if any(row[key] == name for row in rows)]
        for key, names in (("loss", LOSSES), ("stabiliser", STABILISERS))
    )
    lines = [f"| | {' | '.join(stabilisers)} |", "|---" * (len(stabilisers) + 1) + "|"]
    for loss in losses:
        cells = [
            _cell(
                row for row in rows if (row["loss"], row["stabiliser"]) == (loss, name)
            )
            for name in stabilisers
        ]
        lines.append(f"| {loss} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(rows):
    rows = list(rows)
    scores = [row["scores"] for row in rows if row["scores"] is not None]
    lost = f" ({len(rows) - len(scores)} diverged)" if len(scores) < len(rows) else ""
    if not scores:
        return "diverged" if rows else ""
    means = {key: statistics.mean(each[key] for each in scores) for key in scores[0]}
    if "modes_covered" in means:
        share = 100 * means["high_quality_share"]
        return f"{means['modes_covered']:.1f}, {share:.0f}%{lost}"
    return f"{means['frechet_distance']:.1f}{lost}"


if __name__ == "__main__":
    main()
