"""Trains extensions on two replicas, named as arguments, in a process of its own."""

import json
import sys

import numpy as np
import tensorflow as tf

from tests import extensions


def main(kinds):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    report = {}
    for kind in kinds:
        with strategy.scope():
            gan = extensions.gan_with(kind, fixed=True)
        data = tf.data.Dataset.from_tensors(extensions.batch_for(kind)).unbatch()
        options = tf.data.Options()
        options.deterministic = True
        # Seven rows of eight: the replicas get four and three.
        data = data.take(7).batch(7).with_options(options).repeat(3)
        history = gan.fit(data, epochs=1, verbose=0).history
        report[kind] = {
            "weights": [
                np.ravel(w.numpy()).tolist()
                for player in gan.players
                for w in player.network.trainable_variables
            ],
            "logs": {name: values[-1] for name, values in history.items()},
        }
        if kind == "labelled":
            report[kind]["refused"] = refusal(gan)
    print("REPORT " + json.dumps(report))


def refusal(gan):
    """Returns what `fit` says of a stream in which the second replica gets no class."""
    x, labels = extensions.batch_for("labelled")
    labels[-1] = 99
    try:
        gan.fit(tf.data.Dataset.from_tensors((x, labels)), verbose=0)
    except ValueError as error:
        return str(error)


if __name__ == "__main__":
    main(sys.argv[1:])
