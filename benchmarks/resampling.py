"""Scores samples of runs, plain and resampled by D (see `inference.resample`).

    python benchmarks/resampling.py runs/grid25 --output=resampling.jsonl

For each run D is calibrated by the validation examples. With --steps it is trained
further first, on the training examples, against a G that stands still. With
--judge=fourier another network is, which sees finer detail of points. The samples of
each method are scored as those of the run are: points by the modes that they are near;
images by a classifier's features, against the test images. A run that has a line in the
output already is not scored again.
"""

import argparse
import os
import pathlib
import time

import cases

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402

METHODS = ("rejection", "metropolis_hastings", "langevin")
POINTS = ("high_quality_share", "modes_covered", "reverse_kl_divergence")
IMAGES = ("frechet_distance", "precision", "recall", "density", "coverage")


def main():
    arguments = parsed_arguments()
    common = {
        name: value
        for name, value in vars(arguments).items()
        if name not in ("models", "data_dir", "output", "figure")
    }
    asked = [{"model": model, **common} for model in arguments.models]
    rows = cases.run(
        arguments.output,
        asked,
        lambda case: scored(case, arguments.data_dir, arguments.figure),
    )
    print(table([row for row in rows if any(c.items() <= row.items() for c in asked)]))


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="directories of runs")
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=METHODS)
    parser.add_argument(
        "--judge",
        default="discriminator",
        choices=("discriminator", "fourier"),
        help="D, or a network for points",
    )
    parser.add_argument("--steps", type=int, default=0, help="of the judge")
    parser.add_argument("--learning_rate", type=float, default=1e-3, help="its")
    parser.add_argument("--batch_size", type=int, default=256, help="its")
    parser.add_argument("--calibration", default="isotonic", help="or platt")
    parser.add_argument("--percentile", type=float, default=20.0, help="of rejection")
    parser.add_argument("--num_steps", type=int, default=100, help="of a chain")
    parser.add_argument("--num_samples", type=int, help="as the run is scored")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data_dir", help="where the data are or are cached")
    parser.add_argument("--output", default="resampling.jsonl", help="a line a run")
    parser.add_argument("--figure", help="a PNG: plain samples beside the first method")
    arguments = parser.parse_args()
    if arguments.judge == "fourier" and not arguments.steps:
        parser.error("Expected --steps of at least 1 with --judge=fourier")
    return arguments


def scored(case, data_dir, figure):
    """Returns what D says of a run, and the scores of its samples by each method."""
    import keras

    from keras_gan import evaluation, inference, runs
    from keras_gan.runs.resampling import fourier_judge

    keras.backend.clear_session()
    run = runs.Run.open(case["model"], data_dir)
    gan = run.gan(compile=False)
    train, valid, test = run.splits()
    count = case["num_samples"] or evaluation.default_num_samples(train)
    score = scorer(train, test, data_dir)
    begun = time.process_time()
    judge = None
    if case["judge"] == "fourier":
        judge = fourier_judge(gan, train, case["seed"])
    if case["steps"]:
        names = ("steps", "learning_rate", "batch_size", "seed")
        options = {name: case[name] for name in names}
        judge = inference.discriminate(gan, train, discriminator=judge, **options)
    row = {"seconds_of_d": round(time.process_time() - begun, 1)}
    calibration = inference.calibrate(
        gan, valid, case["calibration"], judge, seed=case["seed"]
    )
    for name in ("auc", "auc_standard_error", "log_loss_before", "log_loss_after"):
        row[name] = getattr(calibration, name)
    plain = gan.generate(count, seed=case["seed"])
    row["scores"] = {"plain": score(plain)}
    row["scores"]["training examples"] = score(train.fixed_examples(count))
    pictures = [plain]
    for method in case["methods"]:
        options = {"percentile": case["percentile"]}
        if method != "rejection":
            options = {"num_steps": case["num_steps"]}
        begun = time.process_time()
        found = inference.resample(
            gan, count, method, calibration, seed=case["seed"], **options
        )
        row["scores"][method] = {
            **score(found.samples),
            "acceptance": found.acceptance,
            "effective_sample_size": found.effective_sample_size,
            "r_hat": found.r_hat,
            "seconds": round(time.process_time() - begun, 1),
        }
        pictures.append(found.samples)
    if figure:
        draw(figure, pictures[:2], train, ["plain", case["methods"][0]])
    return row


def scorer(train, test, data_dir):
    """Returns a function of samples to their scores, as the run's protocol has them."""
    from keras_gan import datasets, evaluation, metrics

    if evaluation.has_density(train):
        return lambda samples: evaluation.score_points(samples, train.distribution)
    cache = datasets.cache.directory(data_dir)
    classifier = metrics.Classifier.trained(train, test, cache)
    real = classifier.features(test.examples())

    def score(samples):
        found = evaluation.feature_scores(real, classifier.features(samples))
        return {name: found[name] for name in IMAGES}

    return score


def draw(path, samples, data, labels):
    """Draws two sets of samples side by side into a PNG."""
    from keras_gan import pictures

    drawn = [
        pictures.sample_picture(part, data.spec, data.fixed_examples(2500), label)
        if not data.spec.is_image
        else pictures.sample_picture(part[:100], data.spec)
        for part, label in zip(samples, labels, strict=True)
    ]
    picture = np.concatenate(drawn, axis=1)
    pathlib.Path(path).write_bytes(pictures.encode_png(picture))


def table(rows):
    """Returns the scores as a table in Markdown: means over the runs, with ranges."""
    names = [name for name in (*POINTS, *IMAGES) if name in rows[0]["scores"]["plain"]]
    lines = [
        f"| samples | {' | '.join(names)} | accepted | R-hat |",
        "|---" * (len(names) + 3) + "|",
    ]
    for method in rows[0]["scores"]:
        scores = [row["scores"][method] for row in rows]
        cells = []
        for name in (*names, "acceptance", "r_hat"):
            values = [each.get(name) for each in scores]
            if None in values:
                cells.append("")
                continue
            cell = f"{np.mean(values):.4g}"
            if len(rows) > 1:
                cell += f" ({min(values):.4g} to {max(values):.4g})"
            cells.append(cell)
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
