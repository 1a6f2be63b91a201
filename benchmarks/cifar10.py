"""Compares generators of colour pictures whose contrast is normalised, or is not.

    python benchmarks/cifar10.py --model=RUN --model=RUN --dataset=folder:CIFAR10@32

The paper's networks for CIFAR-10 are trained on images of equal mean and norm, those of
later presets on the images as they are: `keras-gan evaluate` compares each with its own
data. Here all samples, training and test images get the paper's contrast first
(`Dataset.contrast_normalized`), and one classifier of such images gives the features
for all (`evaluation.feature_scores`). The training images are scored as samples are:
no generator should be better.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

COLUMNS = ("frechet_distance", "precision", "recall", "coverage")


def main():
    arguments = parsed_arguments()
    accuracy, rows = scores(
        arguments.model,
        arguments.dataset,
        arguments.data_dir,
        arguments.num_samples,
        arguments.seed,
    )
    print(f"The classifier is right on {accuracy:.1%} of the test images.\n")
    print(table(rows))


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", required=True, help="a run")
    parser.add_argument("--dataset", default="cifar10", help="with labels, and a test")
    parser.add_argument("--data_dir", help="where the data are or are cached")
    parser.add_argument("--num_samples", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the samples")
    return parser.parse_args()


def scores(models, dataset, data_dir, num_samples, seed):
    """Returns the classifier's accuracy, and rows of (name, scores)."""
    from keras_gan import datasets, evaluation, metrics, runs

    train, test = (
        datasets.load(dataset, split, data_dir).contrast_normalized()
        for split in ("train", "test")
    )
    cache = pathlib.Path.home() / ".cache" / "keras_gan"
    classifier = metrics.Classifier.trained(train, test, cache)
    real = classifier.features(test.examples())

    def scored(images):
        return evaluation.feature_scores(real, classifier.features(images))

    rows = [("training images", scored(train.fixed_examples(num_samples)))]
    for model in models:
        gan = runs.Run.open(model).gan(compile=False)
        samples = gan.generate(num_samples, seed=seed)
        if not gan.spec.contrast_normalized:
            samples = datasets.Dataset(samples, value_range=gan.value_range)
            samples = samples.contrast_normalized().examples()
        rows.append((str(model), scored(samples)))
    return classifier.test_accuracy, rows


def table(rows):
    """Returns the scores as a table in Markdown."""
    lines = [
        f"| samples | {' | '.join(name.replace('_', ' ') for name in COLUMNS)} |",
        "|---" * (len(COLUMNS) + 1) + "|",
    ]
    for name, found in rows:
        cells = [f"{found[column]:.3f}" for column in COLUMNS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
