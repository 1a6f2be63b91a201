"""Trains linear classifiers on few labels, by what they see of the images.

    python benchmarks/few_labels.py --run=runs/mnist_conv --output=few_labels.jsonl

They see pixels, features of D (`inference.features`), the same of a D with its initial
weights and, with --encoder, latents and the encoder's last hidden layer. The layer of D
is chosen by --choose_with labels, on the last tenth of the training images, which no
classifier is trained on. The test images judge all kinds of features, by the same draws
of labels. What has a line in the output already is not measured again.
"""

import argparse
import os

import cases

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402

PIXELS, LATENTS = "pixels", "latents of the encoder"
OF_E = "last hidden layer of the encoder"
OF_D, OF_START = "layers of D", "layers of D before its training"


def main():
    arguments = parsed_arguments()
    from keras_gan.runs import Run

    run = Run.open(arguments.run, data_dir=arguments.data_dir)
    study = Study(run, arguments.encoder, arguments.examples)
    names = ("run", "encoder", "draws", "seed", "examples")
    common = {name: getattr(arguments, name) for name in names}

    def rows_of(asked):
        asked = [{**case, **common} for case in asked]
        rows = cases.run(arguments.output, asked, study.measured)
        return [row for case in asked for row in rows if case.items() <= row.items()]

    choice = {"on": "train", "features": OF_D, "num_labels": arguments.choose_with}
    layers = arguments.layers or study.layers(OF_D)
    rows = rows_of([{**choice, "layer": layer} for layer in layers])
    print(choices(rows))
    best = max(rows, key=lambda row: np.mean(row["accuracies"]))["layer"]
    kinds = (OF_D, OF_START, PIXELS) + (OF_E, LATENTS) * bool(arguments.encoder)
    rows = rows_of(
        {
            "on": "test",
            "num_labels": number,
            "features": kind,
            "layer": best if kind in (OF_D, OF_START) else None,
        }
        for number in arguments.num_labels
        for kind in kinds
    )
    print(table(rows, kinds))


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", required=True, help="of labelled images")
    parser.add_argument("--data_dir", help="where the data are or are cached")
    parser.add_argument(
        "--layers",
        type=lambda text: text.split(","),
        help="to choose from, a+b joins two; by default each one alone",
    )
    parser.add_argument("--encoder", help="a .keras file of an inference.Encoder")
    parser.add_argument(
        "--num_labels",
        type=lambda text: [int(number) for number in text.split(",")],
        default=[10, 100, 1000],
    )
    parser.add_argument(
        "--examples", type=int, default=10000, help="images that labels are drawn of"
    )
    parser.add_argument("--choose_with", type=int, default=100, help="labels")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="few_labels.jsonl", help="a line each")
    return parser.parse_args()


class Study:
    """The images of a run, and what its networks make of them."""

    def __init__(self, run, encoder, examples):
        self._run = run
        self._encoder = encoder
        self._gans = {}
        whole = run.data("train")
        rows = np.arange(len(whole))
        held_out = len(whole) // 10
        self._train = whole.subset(rows[:-held_out][:examples], "train")
        self._valid = whole.subset(rows[-held_out:], "valid")

    def layers(self, kind):
        """Returns the names of the layers with features of images alone."""
        from keras_gan import inference

        gan = self._gan(kind)
        names = []
        for name in inference.layer_names(gan):
            model = inference.feature_model(gan, name)
            if not isinstance(model.input, dict) and model.output.shape[-1] > 1:
                names.append(name)
        return names

    def measured(self, case):
        """Returns the accuracies of the classifiers, one for each draw."""
        from keras_gan import inference

        test = self._valid if case["on"] == "train" else self._run.data("test")
        of_train, of_test = (
            self._features(case["features"], case["layer"], data)
            for data in (self._train, test)
        )
        (found,) = inference.few_labels(
            of_train,
            self._train.labels,
            of_test,
            test.labels,
            case["num_labels"],
            case["draws"],
            case["seed"],
        )
        return {"values": of_train.shape[1], "accuracies": found.draws}

    def _features(self, kind, layer, data):
        from keras_gan import inference

        images = data.examples()
        if kind == PIXELS:
            return images.reshape(len(images), -1)
        if kind in (OF_E, LATENTS):
            import keras

            encoder = keras.saving.load_model(self._encoder)
            if kind == LATENTS:
                return np.asarray(encoder.encode(images))
            network = encoder.network
            hidden = keras.Model(network.input, network.layers[-1].input)
            return hidden.predict(images, batch_size=500, verbose=0)
        # Keras numbers the names of layers: those of two networks differ.
        names = inference.layer_names(self._gan(OF_D))
        numbers = [names.index(name) for name in layer.split("+")]
        return inference.features(self._gan(kind), images, numbers)

    def _gan(self, kind):
        if kind not in self._gans:
            make = self._run.gan if kind == OF_D else self._run.build
            self._gans[kind] = make()
        return self._gans[kind]


def choices(rows):
    """Returns the accuracy of each layer on training images, as a table in Markdown."""
    lines = ["| layer of D | values | on held-out training images |", "|---|---|---|"]
    for row in rows:
        mean = np.mean(row["accuracies"])
        lines.append(f"| `{row['layer']}` | {row['values']:,} | {mean:.1%} |")
    return "\n".join(lines)


def table(rows, kinds):
    """Returns accuracies, and what they are above pixels, as a table in Markdown."""
    from keras_gan.inference import Accuracy

    found = {
        (row["num_labels"], row["features"]): Accuracy(
            row["num_labels"], tuple(row["accuracies"])
        )
        for row in rows
    }
    numbers = sorted({number for number, _ in found})
    head = " | ".join(f"{number:,} labels | above pixels" for number in numbers)
    lines = [f"| features | values | {head} |", "|---|---|" + "---|---|" * len(numbers)]
    for kind in kinds:
        row = next(row for row in rows if row["features"] == kind)
        name = kind if row["layer"] is None else f"{kind}: `{row['layer']}`"
        cells = [name, f"{row['values']:,}"]
        for number in numbers:
            ours = found[number, kind]
            mean, half = ours.above(found[number, PIXELS])
            cells += [
                f"{ours.mean:.1%} ± {100 * ours.half_width:.1f}",
                "" if kind == PIXELS else f"{100 * mean:+.1f} ± {100 * half:.1f}",
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
