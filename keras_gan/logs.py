"""The running means that a training logs, one for each term of its objectives."""

import tensorflow as tf

from keras_gan import replicas


class RunningMeans:
    """Means over the examples of an epoch, by name.

    Args:
        names: of the terms that are known now; one that comes later gets a mean when it
            is first logged.
        all_replicas: `replicas.Replicas`.

    Attributes:
        metrics: dict of names to `keras.metrics.Mean`.

    Raises:
        ValueError: a name that comes twice.
    """

    def __init__(self, names, all_replicas):
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    "Expected terms of different names in the logs. Received: "
                    f"{name!r} twice; pass name= to the penalty"
                )
        self.replicas = all_replicas
        self.metrics = {name: replicas.Mean(name=name) for name in names}

    def update(self, terms, size):
        """Takes the terms of a minibatch's `size` examples in; at 0 nothing changes."""
        terms = {  # 0 * NaN is NaN
            name: tf.where(size > 0, tf.cast(term, tf.float32), 0.0)
            for name, term in terms.items()
        }
        terms, size = self.replicas.mean(terms, size)
        for name, term in terms.items():
            if name not in self.metrics:
                # A term of a user's own objective: its variables outlive the graph
                # that is traced now.
                with tf.init_scope():
                    self.metrics[name] = replicas.Mean(name=name)
            self.metrics[name].update_state(term, sample_weight=size)
