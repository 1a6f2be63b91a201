"""Worker of scaling.py: one of several processes that train together, on one core.

    TF_CONFIG=... python benchmarks/contestant_cluster.py CORE

Without a TF_CONFIG it trains alone, without a strategy.
"""

import os
import sys

# Before TensorFlow counts the cores.
os.sched_setaffinity(0, {int(sys.argv[1])})
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import contestant  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import keras_gan  # noqa: E402
from keras_gan import replicas  # noqa: E402

strategy = replicas.strategy("multi_worker" if "TF_CONFIG" in os.environ else "none")


def build(case, variant):
    shape = contestant.SHAPES[case.networks]
    with strategy.scope():
        gan = keras_gan.GAN(
            *keras_gan.networks.paper_mlp(shape, seed=0),
            keras_gan.priors.Uniform(contestant.LATENT_DIM),
            seed=0,
        )
        gan.compile(
            *(keras_gan.optimizers.ScheduledSGD(**contestant.SGD) for _ in range(2)),
            discriminator_steps=case.discriminator_steps,
            jit_compile=False,
        )
    # The batch of all processes together; each deals out its share of the rows.
    size = case.discriminator_steps * case.batch_size
    examples = np.random.default_rng(0).random((size, *shape), np.float32)
    data = tf.data.Dataset.from_tensor_slices(examples).batch(size).cache().repeat()
    gan.make_train_function()
    batches = iter(strategy.experimental_distribute_dataset(data))

    def run(steps):
        for _ in range(steps):
            logs = gan.train_function(batches)
        np.asarray(logs["value"])

    return run, gan.generator.count_params() + gan.discriminator.count_params()


if __name__ == "__main__":
    contestant.serve(build)
