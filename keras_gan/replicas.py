"""Training on several devices: strategies by name, and what replicas owe each other.

`strategy` makes a `tf.distribute` strategy. `of` gives the `Replicas` that a training
step asks for shares, sums and seeds, whether there is one or more of them.
"""

import json
import operator
import os

import keras
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


def of(strategy) -> "Replicas":
    """Returns the `Replicas` of a `tf.distribute` strategy."""
    if strategy.num_replicas_in_sync == 1:
        return Replicas(strategy)
    return SeveralReplicas(strategy)


class Replicas:
    """What a training step needs of the other replicas: nothing, for there are none.

    The null object of one device. Its methods cost no operation in the graph.

    Args:
        strategy: `tf.distribute` strategy.

    Attributes:
        count: int, replicas that train in step.
    """

    def __init__(self, strategy):
        self.strategy = strategy
        self.count = strategy.num_replicas_in_sync

    def seed(self, seed):
        """Returns the seed of this replica, int of shape (2,), from the common one."""
        return seed

    def sum(self, values):
        """Returns the sums over all replicas of a list of tensors."""
        return values

    def joined(self, values):
        """Returns the values of all replicas in one vector, from vectors of a size."""
        return values

    def mean(self, terms, size):
        """Returns the means over all examples, and their number.

        Args:
            terms: dict of float scalars, means over this replica's `size` examples.
            size: int scalar.
        """
        return terms, size

    def share(self, size, like):
        """Returns this replica's share of all examples, a scalar like `like`.

        Optimizers sum gradients over replicas, so each must contribute its share of the
        mean over the whole batch.
        """
        return tf.ones_like(like)

    def never_empty(self, examples, rows):
        """Returns the examples, or one that stands in where this replica has none.

        Networks must not see an empty batch: in batch normalisation its mean is NaN.

        Args:
            examples: tensor `(rows, ...)`, or a dict of such tensors.
            rows: int scalar tensor.
        """
        return examples

    def finite_on_all(self, gradients):
        """Returns the gradients, with a NaN where those of any replica have one.

        A loss scale must skip a step on all replicas or on none.
        """
        return gradients

    def reducible(self, logs):
        """Returns logs in the shape that Keras's reduction over workers takes."""
        return logs


class SeveralReplicas(Replicas):
    """Several replicas that train as one device would on the whole batch.

    Its methods are called in replica context, inside `train_step`.
    """

    def seed(self, seed):
        # Keras gives every replica the same seed.
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return tf.random.experimental.stateless_fold_in(
            tf.cast(seed, tf.int32), replica
        )

    def sum(self, values):
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

    def joined(self, values):
        context = tf.distribute.get_replica_context()
        return context.all_gather(values, axis=0)

    def mean(self, terms, size):
        size = tf.cast(size, tf.float32)
        size, *totals = self.sum([size, *(size * term for term in terms.values())])
        means = [total / tf.maximum(size, 1.0) for total in totals]
        return dict(zip(terms, means, strict=True)), size

    def share(self, size, like):
        (total,) = self.sum([tf.cast(size, like.dtype)])
        return tf.ones_like(like) * (tf.cast(size, like.dtype) / tf.maximum(total, 1.0))

    def never_empty(self, examples, rows):
        return tf.nest.map_structure(
            lambda values: self._never_empty(values, rows), examples
        )

    def _never_empty(self, values, rows):
        first = tf.reduce_sum(values[:1], axis=0, keepdims=True)
        if values.dtype.is_integer:
            spare = tf.zeros_like(first)  # a label that is always valid
        else:  # the mean of the others' first examples
            spare, count = self.sum([first, tf.cast(rows > 0, values.dtype)])
            spare /= tf.maximum(count, 1.0)
        return tf.concat([values, spare[: tf.cast(rows == 0, tf.int32)]], axis=0)

    def finite_on_all(self, gradients):
        # Keras's loss scale asks one replica, and would apply the others' infinity.
        given = [gradient for gradient in gradients if gradient is not None]
        finite = [tf.reduce_all(tf.math.is_finite(gradient)) for gradient in given]
        (overflows,) = self.sum([tf.cast(~tf.reduce_all(finite), tf.float32)])
        spoil = tf.where(overflows > 0, np.nan, 0.0)
        # One NaN is enough: into the smallest gradient, where it costs least.
        smallest = min(given, key=lambda gradient: gradient.shape.num_elements())
        return [
            gradient + tf.cast(spoil, gradient.dtype)
            if gradient is smallest
            else gradient
            for gradient in gradients
        ]

    def reducible(self, logs):
        if not isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy):
            return logs
        # Keras takes the mean over an axis 0, which a scalar lacks.
        return {name: tf.reshape(value, (1,)) for name, value in logs.items()}


class _OnEveryReplica:
    """A metric that every replica updates with equal values.

    Reading one replica is then enough. Keras's own would sum over the replicas, and to
    read them, to save the model say, all workers would have to read at once.
    """

    def add_variable(self, *args, **kwargs):
        return super().add_variable(
            *args, **{**kwargs, "aggregation": "only_first_replica"}
        )


class Mean(_OnEveryReplica, keras.metrics.Mean):
    """A running mean of values that are equal on every replica."""


class Sum(_OnEveryReplica, keras.metrics.Sum):
    """A running sum of values that are equal on every replica."""


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
