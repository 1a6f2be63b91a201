"""Trains a conditional generator on few examples of a class, and scores that class.

    python benchmarks/rare_class.py --data_dir=PATH --output=rare_class.jsonl

All but --examples of one class are left out of the training. Two generators are trained
alike, but that one sees each class as often as the data have it, and the other all
classes equally often (`batches(balanced=True)`). Each is asked for 1,000 samples of the
class. A classifier of all training images says how many of them are of that class; its
features compare them with the test images of the class (see `metrics.prdc`), beside the
examples themselves and all training images of the class. A training that has a line in
the output already is not run again.
"""

import argparse
import math
import os
import pathlib
import time

import cases

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402

NUM_SAMPLES = 1000


def main():
    arguments = parsed_arguments()
    names = ("preset", "label", "examples", "steps")
    common = {name: getattr(arguments, name) for name in names}
    asked = [
        {**common, "seed": seed, "balanced": balanced}
        for seed in range(arguments.seeds)
        for balanced in (False, True)
    ]
    rows = cases.run(
        arguments.output, asked, lambda case: trained(case, arguments.data_dir)
    )
    print(table([row for row in rows if common.items() <= row.items()]))


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="mnist_conditional")
    parser.add_argument("--data_dir", help="where the data are or are cached")
    parser.add_argument("--label", type=int, default=5)
    parser.add_argument("--examples", type=int, default=100, help="of that class")
    parser.add_argument("--steps", type=int, default=8000, help="generator steps")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--output", default="rare_class.jsonl", help="a line a run")
    return parser.parse_args()


def without_most(data, label, examples):
    """Returns data with the first examples of one class, and all of the others."""
    rows = np.flatnonzero(data.labels == label)[examples:]
    return data.subset(np.delete(np.arange(len(data)), rows), data.split)


def trained(case, data_dir):
    """Trains one generator, and returns its scores and seconds."""
    import keras

    from keras_gan import experiments, metrics
    from keras_gan.experiments import building

    keras.backend.clear_session()
    settings = {"train.seed": case["seed"], "data.balanced": case["balanced"]}
    experiment = experiments.get_preset(case["preset"], settings)
    whole = building.load_data(experiment.data, data_dir)
    test = building.load_data(experiment.data, data_dir, "test")
    data = without_most(whole, case["label"], case["examples"])
    batch_size = experiment.train.batch_size
    # Falling rates last as long as the training.
    epochs = math.ceil(case["steps"] / data.steps_per_epoch(batch_size))
    experiment = experiment.with_settings({"train.epochs": epochs})
    gan = experiments.build(experiment, data)
    batches = data.batches(
        batch_size,
        seed=case["seed"],
        endless=True,
        labels=True,
        balanced=case["balanced"],
    )
    begun = time.perf_counter()
    gan.fit(batches, steps_per_epoch=case["steps"], verbose=0)
    seconds = time.perf_counter() - begun
    cache = pathlib.Path.home() / ".cache" / "keras_gan"
    classifier = metrics.Classifier.trained(whole, test, cache)

    def of_class(images):
        return images.examples(np.flatnonzero(images.labels == case["label"]))

    reals = of_class(test)
    samples = gan.generate(NUM_SAMPLES, seed=1, labels=case["label"])
    return {
        "seconds": round(seconds, 1),
        "test_accuracy": classifier.test_accuracy,
        "scores": {
            "samples": _scores(classifier, reals, samples, case["label"]),
            "examples": _scores(classifier, reals, of_class(data), case["label"]),
            "training images": _scores(
                classifier, reals, of_class(whole)[:NUM_SAMPLES], case["label"]
            ),
        },
    }


def _scores(classifier, reals, images, label):
    """Returns how images compare with the test images of a class."""
    from keras_gan.evaluation import by_class

    label_of_all = np.full(len(images), label)
    found = by_class.scores_by_class(
        classifier.features(reals),
        np.full(len(reals), label),
        classifier.features(images),
        label_of_all,
        classifier.classes(images),
    )
    (row,) = found["by_class"]
    names = ("class_accuracy", "precision", "recall", "coverage", "frechet_distance")
    return {name: row[name] for name in names if name in row}


def table(rows):
    """Returns the scores as a table in Markdown."""
    lines = [
        "| images | in the class | precision | recall | coverage |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        of_both = "training images", "examples"
        for images in (*of_both, "samples") if row is rows[0] else ("samples",):
            name = images
            if images == "samples":
                kind = "balanced batches" if row["balanced"] else "batches as they come"
                name = f"samples, {kind}, seed {row['seed']}"
            scores = row["scores"][images]
            cells = [f"{scores['class_accuracy']:.1%}"]
            cells += [
                f"{scores[key]:.3f}" for key in ("precision", "recall", "coverage")
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
