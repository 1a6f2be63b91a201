"""Trains a BiGAN, and classifies images by the nearest neighbour of their latents.

    python benchmarks/bigan.py --data_dir=PATH --output=bigan.jsonl
    python benchmarks/bigan.py --data_dir=PATH --model=runs/mnist_bigan

Each test image gets the label of the training image whose E(x) is nearest to its own,
as in arXiv 1605.09782, table 2: no label enters the training. Beside E(x) its
coordinates, which have no bounds (`inference.LatentSpace`); the last hidden layer of E,
which is what the code that was released with the paper reports too; and the pixels.
--held_out takes a tenth of the training images for the test images, to choose settings
by. A training that has a line in the output already is not run again.
"""

import argparse
import hashlib
import json
import os
import pathlib
import time

import cases

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402

# Test images that are compared with all training images at once.
BLOCK = 500
# Images in the figure.
DRAWN = 48


def main():
    arguments = parsed_arguments()
    if arguments.model:
        print(table([of_run(arguments)]))
        return
    names = ("preset", "split", "held_out", "settings")
    common = {name: getattr(arguments, name) for name in names}
    common["recipe"] = recipe(arguments.preset, json.loads(arguments.settings))
    first = arguments.first_seed
    asked = [{**common, "seed": first + each} for each in range(arguments.seeds)]
    rows = cases.run(
        arguments.output, asked, lambda case: trained(case, arguments.data_dir)
    )
    print(table([row for row in rows if common.items() <= row.items()]))


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="mnist_bigan")
    parser.add_argument(
        "--split", default="train[:60000]", help="of the images with labels"
    )
    parser.add_argument(
        "--settings", default="{}", help="of the preset, as JSON by their paths"
    )
    parser.add_argument("--held_out", action="store_true", help="test by a tenth of it")
    parser.add_argument("--data_dir", help="where the data are or are cached")
    parser.add_argument("--model", help="a run that is scored as it is")
    parser.add_argument(
        "--figure",
        help="with --model: a PNG of test images, and of G(E(x)) beside each",
    )
    parser.add_argument("--first_seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--output", default="bigan.jsonl", help="a line a run")
    arguments = parser.parse_args()
    if arguments.figure and not arguments.model:
        parser.error("Expected --figure with --model")
    return arguments


def recipe(preset, settings):
    """Returns a digest of all settings: a preset of another day is another case."""
    from keras_gan import experiments

    experiment = experiments.get_preset(preset, settings)
    text = json.dumps(experiment.to_dict(), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def load(experiment, case, data_dir):
    """Returns the training images and the test images."""
    from keras_gan.experiments import building

    data = building.load_data(experiment.data, data_dir, case["split"])
    if not case["held_out"]:
        return data, building.load_data(experiment.data, data_dir, "test")
    order = np.random.default_rng(100).permutation(len(data))
    count = len(data) // 10
    return (
        data.subset(np.sort(order[count:]), data.split),
        data.subset(np.sort(order[:count]), data.split),
    )


def trained(case, data_dir):
    """Trains one BiGAN, and returns its scores and seconds."""
    import keras

    from keras_gan import experiments

    keras.backend.clear_session()
    settings = {**json.loads(case["settings"]), "train.seed": case["seed"]}
    experiment = experiments.get_preset(case["preset"], settings)
    data, test = load(experiment, case, data_dir)
    gan = experiments.build(experiment, data)
    batches = data.batches(experiment.train.batch_size, seed=case["seed"])
    begun = time.perf_counter()
    history = gan.fit(batches, epochs=experiment.train.epochs, verbose=0).history
    seconds = time.perf_counter() - begun
    logs = {name: round(float(values[-1]), 4) for name, values in history.items()}
    return {"seconds": round(seconds, 1), "logs": logs, **scores(gan, data, test)}


def of_run(arguments):
    """Returns the scores of a run that is there, and draws its figure."""
    from keras_gan import runs

    run = runs.Run.open(arguments.model)
    case = {"split": arguments.split, "held_out": False}
    data, test = load(run.experiment, case, arguments.data_dir)
    gan = run.gan()
    if arguments.figure:
        draw(arguments.figure, gan, test.examples(np.arange(DRAWN)))
    return {"seed": run.experiment.train.seed, **scores(gan, data, test)}


def draw(path, gan, images):
    """Draws images, each beside what comes back of it, into a PNG."""
    from keras_gan import pictures

    again = gan.samples_of(gan.encode(images))
    picture = pictures.sheet([images, again], gan.spec, rows=6)
    pathlib.Path(path).write_bytes(pictures.encode_png(picture))


def scores(gan, data, test):
    """Returns accuracies by the nearest neighbour, and how far G(E(x)) is from x."""
    import keras

    encoder = gan.encoder if gan.averaged_encoder is None else gan.averaged_encoder
    hidden = keras.Model(encoder.input, encoder.get_layer("coordinates").input)
    spaces = {
        "latents": gan.encode,
        "coordinates": lambda x: encoder.predict(x, batch_size=BLOCK, verbose=0),
        "hidden": lambda x: hidden.predict(x, batch_size=BLOCK, verbose=0),
        "pixels": lambda x: x,
    }
    images, tested = (part.examples(np.arange(len(part))) for part in (data, test))
    accuracies = {
        name: accuracy(space(images), data.labels, space(tested), test.labels)
        for name, space in spaces.items()
    }
    errors = gan.samples_of(gan.encode(tested)) - tested
    return {
        "accuracy": accuracies,
        "reconstruction_error": float(np.mean(errors**2)),
        "value": value(gan, tested),
    }


def value(gan, images):
    """Returns V(D, G, E) on images and as many samples, see `best_value`."""
    critic = gan.critic(training=False)
    found = []
    for start in range(0, len(images), BLOCK):
        real = images[start : start + BLOCK]
        latents = gan.latent_prior.sample(len(real), start)
        of_real = critic(gan.judged_real(real, training=False))
        of_fake = critic(gan.judged(latents, training=False))
        found.append((np.ravel(of_real), np.ravel(of_fake)))
    return best_value(*(np.concatenate(part) for part in zip(*found, strict=True)))


def best_value(real_logits, fake_logits):
    """Returns the greatest V of logits that are all moved by the same number.

    A relativistic loss compares logits, and so leaves open at which level they are.

    Args:
        real_logits, fake_logits: float arrays `(N,)` and `(M,)`.

    Returns:
        A float; -log 4 where the logits cannot tell.
    """
    import scipy.optimize

    from keras_gan import losses

    best = scipy.optimize.minimize_scalar(
        lambda level: -float(losses.value(real_logits + level, fake_logits + level))
    )
    return -float(best.fun)


def accuracy(known, labels, points, expected):
    """Returns the share of points whose nearest neighbour has their label.

    Args:
        known, points: float arrays `(N, ...)` and `(M, ...)`.
        labels, expected: int arrays `(N,)` and `(M,)`.
    """
    known, points = (
        np.asarray(part, np.float32).reshape(len(part), -1) for part in (known, points)
    )
    squares = np.sum(known**2, axis=1)
    right = 0
    for start in range(0, len(points), BLOCK):
        block = points[start : start + BLOCK]
        # |k - p|^2 without |p|^2, which is the same for all k.
        nearest = np.argmin(squares - 2 * block @ known.T, axis=1)
        right += np.sum(labels[nearest] == expected[start : start + BLOCK])
    return float(right) / len(points)


def table(rows):
    """Returns the scores as a table in Markdown."""
    lines = [
        "| seed | E(x) | its coordinates | last hidden layer of E | pixels | "
        "error of G(E(x)) | V |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        shares = [f"{row['accuracy'][name]:.2%}" for name in row["accuracy"]]
        rest = [f"{row['reconstruction_error']:.4f}", f"{row['value']:.3f}"]
        lines.append(f"| {row['seed']} | {' | '.join((*shares, *rest))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
