"""Measures how much longer a step of the discriminator takes with augmentation.

    python benchmarks/augmentation.py --sizes 32 64

A discriminator of strided convolutions (64 channels at half the size, twice as many at
each half of it, at most 256; down to 4x4) descends on 64 examples and 64 samples. In
each round every way runs one step, in random order; minima over the rounds.
"""

import argparse
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
import timing  # noqa: E402

import keras_gan  # noqa: E402
from keras_gan import augmentation, penalties  # noqa: E402

AUGMENTATIONS = {
    "none": lambda: None,
    "diffaugment": augmentation.DiffAugment,
    "ada": lambda: augmentation.ADA(target=None, initial_p=0.3),
}


def main():
    arguments = parsed_arguments()
    rows = []
    for size in arguments.sizes:
        ways = {
            (name, r1): step_function(size, arguments.batch_size, make(), r1)
            for r1 in (False, True)
            for name, make in AUGMENTATIONS.items()
        }
        seconds = timing.windows(ways, arguments.rounds)
        for (name, r1), values in seconds.items():
            rows.append(
                {
                    "size": size,
                    "r1": r1,
                    "augmentation": name,
                    "milliseconds": 1e3 * min(values),
                    "ratio": min(values) / min(seconds["none", r1]),
                }
            )
    print(f"minima of {arguments.rounds} steps; load {os.getloadavg()[0]:.1f}")
    print(f"{'size':>5}{'R1':>6}  {'augmentation':<14}{'ms':>9}{'ratio':>8}")
    for row in rows:
        print(
            f"{row['size']:5}{'yes' if row['r1'] else 'no':>6}  "
            f"{row['augmentation']:<14}{row['milliseconds']:9.1f}{row['ratio']:8.2f}"
        )
    if arguments.output:
        pathlib.Path(arguments.output).write_text(json.dumps(rows, indent=2) + "\n")


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--output", help="a JSON file for the table")
    return parser.parse_args()


def step_function(size, batch_size, augment, r1):
    """A function that makes one step of D, traced already."""
    generator = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(size * size * 3, "tanh"),
            keras.layers.Reshape((size, size, 3)),
        ]
    )
    layers, side, channels = [keras.Input((size, size, 3))], size, 64
    while side > 4:
        layers.append(keras.layers.Conv2D(channels, 4, strides=2, padding="same"))
        layers.append(keras.layers.LeakyReLU(0.2))
        side, channels = side // 2, min(256, 2 * channels)
    layers += [keras.layers.Flatten(), keras.layers.Dense(1)]
    gan = keras_gan.GAN(
        generator,
        keras.Sequential(layers),
        keras_gan.priors.Normal(8),
        value_range=(-1, 1),
        seed=0,
    )
    adam = keras_gan.optimizers.Adam
    gan.compile(
        adam(1e-4),
        adam(1e-4),
        penalties=[penalties.R1(1.0)] if r1 else (),
        augmentation=augment,
    )
    random = np.random.default_rng(0)
    real = random.uniform(-1, 1, (batch_size, size, size, 3)).astype(np.float32)
    real = tf.constant(real)
    latents = gan.latent_prior.sample(batch_size, 0)
    player = gan.players[0]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss, _ = gan.discriminator_objective(real, latents, training=True)
        player.descend(tape, loss, batch_size)
        return loss

    step()
    return lambda: step().numpy()


if __name__ == "__main__":
    main()
