"""Moves the latents of a run along directions of measured attributes.

    python benchmarks/directions.py --run=runs/mnist_conv --output=directions.png

It measures two things of each sample: ink, the mean pixel, from 0 to 1; and slant, the
pixels to the right for each pixel upwards, by second moments. A classifier that was
trained on the training images says the class. `inference.directions` gives a direction
for ink, one for slant and one for --label. Latents of other seeds are then moved along
each. The table says what becomes of their samples. The picture shows the first of them,
a block for each direction, from --farthest against it to --farthest along it.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402


def main():
    arguments = parsed_arguments()
    from keras_gan import inference, metrics
    from keras_gan.runs import Run

    run = Run.open(arguments.run, data_dir=arguments.data_dir)
    gan = run.gan()
    cache = pathlib.Path.home() / ".cache" / "keras_gan"
    classifier = metrics.Classifier.trained(
        run.data(), run.data("test"), arguments.classifier_dir or cache
    )
    names = ("ink", "slant", f"like a {arguments.label}")

    def measured(samples):
        """Returns ink, slant and whether it is of the class `(n, 3)`, and classes."""
        classes = np.asarray(classifier.classes(samples))
        of = inference.attributes_of(samples, gan.spec)
        is_label = classes == arguments.label
        return np.stack([of["brightness"], of["slant"], is_label], axis=1), classes

    latents = np.asarray(gan.latent_prior.sample(arguments.num_samples, seed=0))
    found = inference.directions(gan, latents, measured(gan.samples_of(latents))[0])
    others = np.asarray(gan.latent_prior.sample(arguments.num_samples // 5, seed=1))
    amounts = np.linspace(-1, 1, 7) * arguments.farthest
    lines = [
        "| direction | moved by | ink | slant | of the class | digit stays |",
        "|---|---|---|---|---|---|",
    ]
    _, at_first = measured(gan.samples_of(others))
    rows = []
    for name, direction in zip(names, found, strict=True):
        moved = inference.moved(gan, others, direction, amounts)
        for place in (0, len(amounts) // 2, -1):
            values, classes = measured(gan.samples_of(moved[:, place]))
            means = values.mean(axis=0)
            lines.append(
                f"| {name} | {amounts[place]:+g} | {means[0]:.3f} | {means[1]:+.2f} | "
                f"{means[2]:.1%} | {np.mean(classes == at_first):.1%} |"
            )
        shown = moved[: arguments.rows].reshape(-1, moved.shape[-1])
        rows.append(gan.samples_of(shown))
    print("\n".join(lines))
    if arguments.output:
        write_picture(arguments.output, rows, len(amounts), gan.spec)


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="of labelled grey images")
    parser.add_argument("--data_dir", help="where the data are or are cached")
    parser.add_argument("--classifier_dir", help="where the classifier is cached")
    parser.add_argument("--num_samples", type=int, default=5000)
    parser.add_argument("--label", type=int, default=0)
    parser.add_argument("--farthest", type=float, default=3.0, help="moved by, at most")
    parser.add_argument("--rows", type=int, default=3, help="of each direction")
    parser.add_argument("--output", help="a .png")
    return parser.parse_args()


def write_picture(output, blocks, columns, spec):
    """Writes blocks of rows of samples, one below the other."""
    from keras_gan import files
    from keras_gan.pictures import formats, grids

    parts = [
        grids.grid(grids.visible(block, spec), columns=columns) for block in blocks
    ]
    gap = np.full((4, *parts[0].shape[1:]), 255, np.uint8)
    picture = np.concatenate([x for part in parts for x in (part, gap)][:-1])
    files.write(output, formats.encode_png(grids.enlarge(picture, 800)))


if __name__ == "__main__":
    main()
