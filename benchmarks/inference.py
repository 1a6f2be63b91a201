"""How well latents of given pictures are found, and pictures completed from a part.

    python benchmarks/inference.py --what=projection --model=RUN --data_dir=PATH
    python benchmarks/inference.py --what=completion --model=RUN --data_dir=PATH
    python benchmarks/inference.py --what=encoder --model=RUN --data_dir=PATH

Projection: the mean squared error of G(z), per value and in the range of the samples,
beside that of the nearest of 10,000 samples; and of pictures that G has made itself.

Completion: the lower half of labelled pictures is hidden, and completed by G, by the
training image nearest to the upper half, and by the mean image. A classifier of all
training images names the digit of each; it sees the upper half as it is, so that the
mean image is the floor.

Encoder: one is trained for the model's G, and one descent from its latents is compared
with one, and with four, from the nearest of 1,000 samples.
"""

import argparse
import os
import pathlib
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np  # noqa: E402

NUM_SAMPLES = 10_000
_BLOCK = 1000


def main():
    arguments = parsed_arguments()
    rows = TRIALS[arguments.what](arguments)
    print("\n".join(table(rows)))


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", choices=TRIALS, required=True)
    parser.add_argument("--model", required=True, help="a run, .keras or export")
    parser.add_argument(
        "--dataset", default="mnist", help="labelled, with a test split"
    )
    parser.add_argument("--data_dir", help="where the data are or are cached")
    parser.add_argument("--split", default="test", help="of the pictures")
    parser.add_argument("--num_images", type=int, default=200)
    parser.add_argument("--num_own", type=int, default=100, help="samples of G")
    parser.add_argument("--num_completions", type=int, default=5)
    parser.add_argument("--steps", type=int, help="by default the function's")
    parser.add_argument("--restarts", type=int)
    parser.add_argument("--noise", type=float)
    parser.add_argument("--learning_rate", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--encoder_steps", type=int, default=16_000)
    parser.add_argument(
        "--reconstruction", type=float, default=50.0, help="weight, see `Encoder`"
    )
    parser.add_argument("--save_encoder", help="a .keras file to keep it in")
    arguments = parser.parse_args()
    if arguments.save_encoder and arguments.what != "encoder":
        parser.error("Expected --save_encoder with --what=encoder")
    if arguments.save_encoder and not arguments.save_encoder.endswith(".keras"):
        parser.error("Expected --save_encoder to end in .keras")
    return arguments


def options(arguments):
    """Returns the arguments of `project` and `complete` that were given."""
    names = ("steps", "restarts", "noise", "learning_rate", "seed")
    given = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def loaded(arguments):
    """Returns (generator, training data, pictures' data), all in one range."""
    from keras_gan import datasets, runs

    generator = runs.load_generator(arguments.model)
    train, given = (
        datasets.load(arguments.dataset, split, arguments.data_dir).to_range(
            generator.value_range
        )
        for split in ("train", arguments.split)
    )
    rows = given.fixed_rows(arguments.num_images)
    return generator, train, given.subset(rows, arguments.split)


def projection(arguments):
    """Returns a row for each way to pictures that look like the given ones."""
    from keras_gan import inference

    generator, _, given = loaded(arguments)
    images = given.examples()
    nearest = nearest_of_samples(generator, images)
    rows = [{"what": f"nearest of {NUM_SAMPLES:,} samples", **spread(nearest)}]
    begun = time.process_time()
    found = inference.project(generator, images, **options(arguments))
    seconds = time.process_time() - begun
    # The first step after which the mean error is at most half of the nearest's.
    is_half = found.path.mean(axis=1) <= nearest.mean() / 2
    step = str(np.argmax(is_half)) if is_half.any() else "never"
    name = f"projection of {len(images):,} images"
    rows.append(
        {
            "what": name,
            **spread(found.errors),
            "half at": step,
            "CPU s": f"{seconds:.0f}",
        }
    )
    own = generator.generate(arguments.num_own, seed=arguments.seed + 10_000)
    found = inference.project(generator, own, **options(arguments))
    name = f"projection of {len(own):,} samples of G"
    return [*rows, {"what": name, **spread(found.errors)}]


def encoder(arguments):
    """Returns a row for the encoder, and for descents from each kind of start."""
    from keras_gan import inference

    generator, train, given = loaded(arguments)
    images = given.examples()
    learned = trained_encoder(generator, train, arguments)
    if arguments.save_encoder:
        learned.save(arguments.save_encoder)
    settings = options(arguments)
    restarts = settings.pop("restarts", 4)
    again = generator.samples_of(learned.encode(images))
    errors = np.mean((again - images) ** 2, axis=tuple(range(1, images.ndim)))
    rows = [{"what": "the encoder alone", **spread(errors)}]
    for start, count in ((None, restarts), (None, 1), (learned, 1)):
        found = inference.project(
            generator, images, start=start, restarts=count, **settings
        )
        name = "the nearest of 1,000 samples" if start is None else "the encoder"
        what = f"{count} of {len(found.path) - 1} steps from {name}"
        rows.append({"what": what, **spread(found.errors)})
    return rows


def trained_encoder(generator, train, arguments):
    """Returns an `inference.Encoder` of a GAN, trained on G(z) and on examples."""
    import keras

    from keras_gan import inference, networks

    steps, seed = arguments.encoder_steps, arguments.seed
    latent_dim = generator.latent_prior.latent_dim
    network = networks.encoder(train.spec, latent_dim=latent_dim, seed=seed)
    learned = inference.Encoder(
        generator, network, reconstruction=arguments.reconstruction, seed=seed
    )
    learned.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-3, steps))
    )
    batches = train.batches(64, seed=seed, endless=True)
    learned.fit(batches, steps_per_epoch=steps, verbose=0)
    return learned


def nearest_of_samples(generator, images):
    """Returns the mean squared error of the nearest of `NUM_SAMPLES` to each image."""
    from keras_gan.inference import nearest

    known = np.ones(images.shape, bool)
    best = np.full(len(images), np.inf)
    samples = generator.generate(NUM_SAMPLES, seed=1)
    for start in range(0, NUM_SAMPLES, _BLOCK):
        block = samples[start : start + _BLOCK]
        _, distances = nearest.nearest(images, known, block)
        best = np.minimum(best, distances[:, 0])
    return best / known[0].size


def spread(errors):
    """Returns what a table says of errors."""
    return {
        "mean error": f"{errors.mean():.4f}",
        "median": f"{np.median(errors):.4f}",
        "95%": f"{np.quantile(errors, 0.95):.4f}",
        "below .001": f"{np.mean(errors < 1e-3):.0%}",
    }


def completion(arguments):
    """Returns a row for each way to complete the lower half."""
    from keras_gan import inference

    generator, train, given = loaded(arguments)
    images, labels = given.examples(), given.labels
    height = images.shape[1]
    mask = np.arange(height) < height // 2
    mask = np.repeat(mask[:, None], images.shape[2], axis=1)
    known = np.broadcast_to(mask[..., None], images.shape)
    mean = train.pixel_means()
    classifier = digits_classifier(train, arguments)

    def row(what, completions):
        """Scores completions `(n, k, *shape)`: each, and what they say together."""
        count = completions.shape[1]
        flat = completions.reshape(-1, *images.shape[1:])
        shares = classifier.probabilities(flat).reshape(len(images), count, -1)
        each = shares.argmax(axis=2) == labels[:, None]
        together = shares.mean(axis=1).argmax(axis=1) == labels
        explained = inference.explained_share(
            images, completions.mean(axis=1), known, mean
        )
        return {
            "lower half": what,
            "named right": f"{each.mean():.1%}",
            "by the mean probability": f"{together.mean():.1%}",
            "one of them right": f"{each.any(axis=1).mean():.1%}",
            "explained": f"{explained:.3f}",
        }

    begun = time.process_time()
    found = inference.complete(
        generator,
        images,
        mask,
        num_completions=arguments.num_completions,
        **options(arguments),
    )
    name = f"{arguments.num_completions} completions"
    nearest = inference.completed_by_nearest(images, mask, without(train, given))
    return [
        row("the truth", images[:, None]),
        row(
            "of the mean image",
            inference.completed_by_mean(images, mask, train)[:, None],
        ),
        row("of the nearest training image", nearest[:, None]),
        row(f"{name}, {time.process_time() - begun:.0f} s of CPU", found.completions),
        row("the first of these, which fit best", found.completions[:, :1]),
    ]


def without(train, given):
    """Returns training data without the pictures themselves, if they are of it."""
    if given.split != train.split:
        return train
    kept = np.delete(np.arange(len(train)), train.fixed_rows(len(given)))
    return train.subset(kept, train.split)


def digits_classifier(train, arguments):
    """Returns a classifier of all training images, trained or from the cache."""
    from keras_gan import datasets, metrics

    test = datasets.load(arguments.dataset, "test", arguments.data_dir)
    cache = pathlib.Path.home() / ".cache" / "keras_gan"
    return metrics.Classifier.trained(train, test.to_range(train.value_range), cache)


def table(rows):
    """Returns the lines of a table in Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names)]
    lines += [[row.get(name, "") for name in names] for row in rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


TRIALS = {"projection": projection, "completion": completion, "encoder": encoder}

if __name__ == "__main__":
    main()
