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
    labels: np.ndarray | None = None,
) -> tf.data.Dataset:
    """Returns the stream that `Dataset.batches` documents.

    Args:
        read: graph function from row numbers, int64 `(batch,)`, to what a batch is.
        num_examples: int, N.
        batch_size, seed, start_step, endless: as `Dataset.batches` checked them.
        labels: int array `(num_examples,)` of the classes that each come as often as
            any other; None takes each example once an epoch.
    """
    if labels is None:
        rows_at = functools.partial(_rows_once_each, num_examples, seed)
    else:
        rows_at = _balanced_rows(labels, seed)
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
        return read(rows_at(epoch, position))

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


def _rows_once_each(num_examples, seed, epoch, position):
    """Returns the rows at positions `(n,)` of one epoch: a permutation of all."""
    # Without a table of N entries, from (epoch, seed) alone.
    return tf.random.experimental.index_shuffle(
        position,
        tf.stack([epoch, tf.constant(seed, tf.int64)]),
        tf.constant(num_examples - 1, tf.int64),
    )


def _balanced_rows(labels, seed):
    """Returns a function of an epoch and positions to rows, all classes in turn.

    C classes that have examples come once each in every C positions, in an order of
    their own. The examples of a class come once each before one of them comes again.
    """
    present, counts = np.unique(labels, return_counts=True)
    by_class = tf.constant(np.argsort(labels, kind="stable"), tf.int64)
    begins = tf.constant(np.cumsum(counts) - counts, tf.int64)
    counts = tf.constant(counts, tf.int64)

    def shuffled(index, word, count):
        """Returns where permutations of `count` places, those of `word`, have these."""
        # One seed for each index, of three words: `tf.random.experimental` pads seeds
        # to three on the wrong axis, where there are several.
        *words, last = (
            tf.broadcast_to(tf.cast(part, tf.int64), tf.shape(index))
            for part in (word, seed, 0, count - 1)
        )
        return tf.raw_ops.RandomIndexShuffle(
            index=index, seed=tf.stack(words, axis=-1), max_index=last, rounds=4
        )

    def rows_at(epoch, position):
        position += epoch * len(labels)
        turn, place = position // len(present), position % len(present)
        # Even words for the order of the classes, odd ones for those of their examples.
        chosen = shuffled(place, 2 * turn, len(present))
        count = tf.gather(counts, chosen)
        word = 2 * (turn // count * len(present) + chosen) + 1
        of_class = shuffled(turn % count, word, count)
        return tf.gather(by_class, tf.gather(begins, chosen) + of_class)

    return rows_at


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
