"""Shuffled batches as a function of (seed, step)."""

import functools
import itertools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf


def shuffled_batches(
    read: Callable,
    num_examples: int,
    batch_size: int,
    seed: int,
    start_step: int | Callable = 0,
    endless: bool = False,
) -> tf.data.Dataset:
    """Returns the stream that `Dataset.batches` documents.

    Args:
        read: graph function from row numbers, int64 `(batch,)`, to what a batch is.
        num_examples: int, N.
        batch_size, seed, start_step, endless: as `Dataset.batches` checked them.
    """
    steps = math.ceil(num_examples / batch_size)
    if not callable(start_step):
        # An endless iteration leaves nothing for the next to continue with.
        step = 0 if endless else steps
        start_step = functools.partial(next, itertools.count(start_step, step))

    def iteration(_):
        # Not a tf.Variable: the scope of a strategy would mirror it.
        first = tf.numpy_function(lambda: np.int64(start_step()), [], tf.int64)
        first = tf.ensure_shape(first, ())
        last = tf.int64.max if endless else first + steps
        return tf.data.Dataset.range(first, last)

    def batch(step):
        epoch, index = step // steps, step % steps
        begin = index * batch_size
        position = tf.range(begin, tf.minimum(begin + batch_size, num_examples))
        # A permutation without a table of N entries, from (epoch, seed) alone.
        rows = tf.random.experimental.index_shuffle(
            position,
            tf.stack([epoch, tf.constant(seed, tf.int64)]),
            tf.constant(num_examples - 1, tf.int64),
        )
        return read(rows)

    return (
        tf.data.Dataset.from_tensors(0)
        .flat_map(iteration)
        .map(batch, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
        .apply(
            tf.data.experimental.assert_cardinality(
                tf.data.INFINITE_CARDINALITY if endless else steps
            )
        )
    )


def disk_reader(images: np.memmap) -> Callable:
    """Returns a graph function from rows `(batch,)` to examples that lie on disk."""

    def read(rows):
        # In ascending order, which disks read fastest.
        order = np.argsort(rows)
        batch = np.empty((len(rows), *images.shape[1:]), images.dtype)
        batch[order] = images[rows[order]]
        return batch

    def gather(rows):
        batch = tf.numpy_function(read, [rows], images.dtype, stateful=False)
        return tf.ensure_shape(batch, (None, *images.shape[1:]))

    return gather
