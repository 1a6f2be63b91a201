"""Shows how each measure responds to MNIST that is corrupted more and more.

    python benchmarks/corruption.py --data_dir=PATH --output=corruption.json \\
        --figure=corruption.png

The reference is test images, the samples are training images: with Gaussian noise and
clipped to [0, 1]; from ever fewer classes; or ever fewer images, each repeated. All are
compared on the features of a classifier that was trained on the training images and is
kept in the cache. Where a class has too few images they repeat, and the column of
distinct images says so.
"""

import argparse
import json
import os
import pathlib
import platform

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

DEVIATIONS = (0.0, 0.1, 0.2, 0.4, 0.8)
CLASSES = (10, 9, 7, 5, 2, 1)
COPIES = (1, 2, 4, 16, 64)
# Scores, and their headings.
MEASURES = {
    "frechet_distance": "FID",
    "kernel_distance": "KID",
    "precision": "precision",
    "recall": "recall",
    "density": "density",
    "coverage": "coverage",
}


def main():
    arguments = parsed_arguments()

    import keras
    import numpy as np

    from keras_gan import datasets, evaluation, metrics

    train, test = (
        datasets.load("mnist", split, arguments.data_dir) for split in ("train", "test")
    )
    count = arguments.num_images
    if not 10 <= count <= len(test):
        raise SystemExit(
            f"error: Expected --num_images from 10 to {len(test)}. Received: {count}"
        )
    cache_dir = datasets.cache.directory(arguments.data_dir)
    classifier = metrics.Classifier.trained(train, test, cache_dir)
    real = metrics.cached_features(classifier, test, cache_dir, limit=count)
    print(
        f"MNIST: {count:,} training images against as many test images; features of a "
        f"classifier that is right on {classifier.test_accuracy:.2%} of the test images"
    )
    rows = {}
    for corruption, levels in corruptions(train, count).items():
        print(f"\n{corruption:22}{'distinct':>9}", end="")
        print("".join(f"{heading:>11}" for heading in MEASURES.values()))
        rows[corruption] = []
        for level, distinct, samples in levels:
            scores = evaluation.feature_scores(
                real,
                classifier.features(samples),
                subset_size=min(1000, count // 2),
            )
            scores = {name: scores[name] for name in MEASURES}
            rows[corruption].append({"level": level, "distinct": distinct, **scores})
            print(f"{level:<22}{distinct:9}", end="")
            print("".join(f"{scores[name]:11.4g}" for name in MEASURES), flush=True)
    if arguments.output:
        report = {
            "num_images": count,
            "classifier_accuracy": classifier.test_accuracy,
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "keras": keras.__version__,
            },
            "rows": rows,
        }
        pathlib.Path(arguments.output).write_text(json.dumps(report, indent=2) + "\n")
    if arguments.figure:
        draw(rows, arguments.figure)


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data_dir", help="where TFDS has MNIST")
    parser.add_argument("--num_images", type=int, default=10_000)
    parser.add_argument("--output", help="a JSON file for the tables")
    parser.add_argument("--figure", help="a PNG file")
    return parser.parse_args()


def corruptions(data, count):
    """Corrupts `count` images of labelled `data` in [0, 1], level by level.

    Returns:
        dict of names to iterators of (level, number of distinct images, float32 images
        `(count, ...)`). The first level of each leaves the images as they are.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    order = rng.permutation(len(data))
    noise = rng.standard_normal((count, *data.image_shape), np.float32)

    def noisy(deviation):
        images = data.examples(order[:count])
        return count, np.clip(images + np.float32(deviation) * noise, 0, 1)

    def of_classes(kept):
        rows = order[data.labels[order] < kept]
        return min(count, len(rows)), data.examples(np.resize(rows, count))

    def repeated(copies):
        distinct = max(1, count // copies)
        return distinct, data.examples(np.resize(order[:distinct], count))

    return {
        "noise, deviation": ((level, *noisy(level)) for level in DEVIATIONS),
        "classes kept": ((level, *of_classes(level)) for level in CLASSES),
        "copies of each image": ((level, *repeated(level)) for level in COPIES),
    }


def draw(rows, path):
    """Draws a PNG: a row of panels for each corruption, a column for each measure.

    The grey line is the score without corruption.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.2), dpi=80, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(rows), len(MEASURES), sharex="row")
    for line, (corruption, levels) in zip(panels, rows.items(), strict=True):
        for axes, (name, heading) in zip(line, MEASURES.items(), strict=True):
            # Levels are spaced evenly, since they share no scale.
            axes.plot(
                [row[name] for row in levels], "o-", color="tab:blue", clip_on=False
            )
            axes.axhline(levels[0][name], color="0.7", linewidth=0.8, zorder=0)
            axes.set_xticks(range(len(levels)), [f"{row['level']:g}" for row in levels])
            axes.set_title(heading, fontsize=11)
            axes.set_xlabel(corruption)
            # Shares lie in [0, 1]; density is 1 on average for real images.
            largest = {"precision": 1, "recall": 1, "density": 1.2, "coverage": 1}
            axes.set_ylim(min(0, *(row[name] for row in levels)), largest.get(name))
            axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    main()
