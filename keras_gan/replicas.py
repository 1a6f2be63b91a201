"""Strategies to train on several devices, by name."""

import json
import operator
import os

import numpy as np
import tensorflow as tf

# Inputs and outputs that one `predict` gets and gives. While it runs it holds the
# outputs three times: as batches, as arrays, and joined.
_PREDICT_BYTES = 64 * 2**20

NAMES = ("none", "mirrored", "multi_worker")


def strategy(name):
    """The `tf.distribute` strategy of a name, for `with strategy.scope()`.

    Make it before anything else touches a device.

    Args:
        name: "none" (TensorFlow's default, one replica), "mirrored" (a replica on each
            GPU of this machine; without any, on each logical CPU), or "multi_worker"
            (those of several machines, which TF_CONFIG names; each runs this).

    Raises:
        ValueError: another name; "multi_worker" without a TF_CONFIG that names a
            cluster of workers and this one's place in it.
    """
    if name == "none":
        return tf.distribute.get_strategy()
    if name == "mirrored":
        return tf.distribute.MirroredStrategy()
    if name != "multi_worker":
        raise ValueError(
            f"Expected a strategy among {', '.join(NAMES)}. Received: {name!r}"
        )
    _check_cluster(os.environ.get("TF_CONFIG", ""))
    return tf.distribute.MultiWorkerMirroredStrategy()


def is_chief(strategy):
    """Whether this process is the one that writes files: the first of all workers."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_type == "worker" and resolver.task_id == 0


def agree(strategy, number):
    """Whether an int is the same on all workers; every worker gets the same answer."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return True

    def sums():
        value = tf.constant(number, tf.int64)
        context = tf.distribute.get_replica_context()
        return context.all_reduce(
            tf.distribute.ReduceOp.SUM, tf.stack([tf.ones_like(value), value, value**2])
        )

    total = strategy.run(tf.function(sums))
    count, first, second = strategy.experimental_local_results(total)[0].numpy()
    return bool(count * second == first**2)


def check_steps_per_execution(strategy, steps):
    """Raises ValueError for several steps at once on several replicas.

    Keras makes them in a loop of the graph, in which replicas cannot sum.
    """
    if steps != 1 and strategy.num_replicas_in_sync > 1:
        raise ValueError(
            "Expected `steps_per_execution` to be 1 on several replicas, which sum "
            f"after each step. Received: {steps!r}"
        )


def predict_locally(network, inputs, batch_size=256):
    """Returns `network(inputs)` as float32 `(N, ...)`, by this process alone.

    With several workers `predict` waits for all of them to predict too.

    Args:
        network: Keras model.
        inputs: array or tensor `(N, ...)`, or a dict of them.
        batch_size: int, rows at a time.
    """
    predict = _predicted_alone
    if network.distribute_strategy.num_replicas_in_sync > 1:
        predict = _called
    num_rows = len(tf.nest.flatten(inputs)[0])
    # The first batch tells how large the outputs are.
    start, size, result = 0, batch_size, None
    while start < num_rows:
        rows = slice(start, min(start + size, num_rows))
        part = tf.nest.map_structure(operator.itemgetter(rows), inputs)
        outputs = predict(network, part, batch_size)
        if len(outputs) == num_rows:
            return outputs
        if result is None:
            result = np.empty((num_rows, *outputs.shape[1:]), np.float32)
            row_bytes = sum(
                np.asarray(values[:1]).nbytes
                for values in (outputs, *tf.nest.flatten(inputs))
            )
            # Whole batches: they are those of a single call, to the last bit.
            size = batch_size * max(1, _PREDICT_BYTES // (batch_size * row_bytes))
        result[rows] = outputs
        start = rows.stop
    return result


def _predicted_alone(network, inputs, batch_size):
    # Several batches in one execution would be traced anew for each number of them, and
    # be held in memory at once.
    steps, network.steps_per_execution = network.steps_per_execution, 1
    try:
        outputs = network.predict(inputs, batch_size=batch_size, verbose=0)
    finally:
        network.steps_per_execution = steps
    return outputs.astype(np.float32, copy=False)


def _called(network, inputs, batch_size):
    num_rows = len(tf.nest.flatten(inputs)[0])
    outputs = []
    for start in range(0, num_rows, batch_size):
        rows = slice(start, start + batch_size)
        batch = tf.nest.map_structure(operator.itemgetter(rows), inputs)
        outputs.append(np.asarray(network(batch), np.float32))
    return np.concatenate(outputs)


def _check_cluster(config):
    """What TensorFlow would wait for, or fail on with a traceback."""
    try:
        config = json.loads(config)
        workers = config["cluster"]
        addresses = workers[config["task"]["type"]]
        fits = set(workers) <= {"chief", "worker"} and (
            0 <= config["task"]["index"] < len(addresses)
        )
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise ValueError(
            'Expected the environment variable TF_CONFIG={"cluster": {"worker": '
            '["host:port", ...]}, "task": {"type": "worker", "index": 0}}, each worker '
            f"with its own index. Received: {config or 'none'}"
        )
