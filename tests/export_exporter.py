"""Exports in processes that are killed, or race, or find a full disk: a script.

`python export_exporter.py <folder> <mode>:<number>,... ...`. The modes: `kill`, for
each number n a process that is killed at the n-th change that it makes in
`<folder>/kill`; `race`, n processes at once; `limit`, one that can write no file of
more than n bytes; `mirrored`, one with n devices. One line of JSON for each process:
its mode and number, whether it was killed, the version or the error, what it left.

The processes are forked before TensorFlow starts its threads: importing it takes
longer than all else.
"""

import functools
import json
import os
import pathlib
import resource
import signal
import sys

import numpy as np

import keras_gan
from keras_gan import export
from tests import helpers


def publish(base):
    import keras

    generator = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(600), keras.layers.Dense(2)]
    )
    return export.export_generator(
        generator, keras_gan.priors.Normal(2), base, value_range=None
    )


def count_changes(base, when):
    """Calls `when(n)` before the n-th event that touches the base."""
    changes = 0
    sync = os.fsync

    def changed(event, arguments):
        nonlocal changes
        written = event == "open" and (
            "w" in str(arguments[1]) or arguments[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if not written and event not in (
            "os.mkdir", "os.rename", "os.rmdir", "os.remove", "fsync",
        ):  # fmt: skip
            return
        if str(arguments[0]).startswith(str(base)) or event in ("fsync", "os.rmdir"):
            changes += 1
            when(changes)

    def fsync(handle):
        changed("fsync", (handle,))
        sync(handle)

    sys.addaudithook(changed)
    os.fsync = fsync


def mirrored(base, devices):
    """Exports a GAN whose weights lie on several devices."""
    import keras
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    configurations = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(cpu, configurations)
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(devices)])
    with strategy.scope():
        gan = helpers.tiny_gan()
        gan.fit(tf.data.Dataset.from_tensors(helpers.examples(8)), verbose=0)
        try:
            gan.export(base)
        except ValueError as error:
            if "strategy's scope" not in str(error):
                raise
        else:
            raise RuntimeError("exported in a scope")
    path = gan.export(base)
    latents = gan.latent_prior.sample(5, 0)
    found = tf.saved_model.load(str(path)).signatures["serving_default"](
        latents=latents
    )["samples"]
    expected = keras.ops.convert_to_numpy(gan.generator(latents))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
    return path


def in_child(function):
    """Forks; returns the process id and the end of the pipe that it reports to."""
    reader, writer = os.pipe()
    process = os.fork()
    if process:
        os.close(writer)
        return process, reader
    try:
        found = {"version": function().name}
    except BaseException as error:
        found = {"error": f"{type(error).__name__}: {error}"}
    os.write(writer, json.dumps(found).encode())
    os._exit(0)


def report(mode, number, base, process, reader):
    with os.fdopen(reader) as file:
        content = file.read()
    _, status = os.waitpid(process, 0)
    found = {
        "mode": mode,
        "number": number,
        "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
        "left": sorted(os.listdir(base)) if base.exists() else None,
        **json.loads(content or "{}"),
    }
    print(json.dumps(found), flush=True)


def killed(base, number):
    def kill(changes):
        if changes == number:
            os.kill(os.getpid(), signal.SIGKILL)

    count_changes(base, kill)
    return publish(base)


def limited(base, size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    return publish(base)


def main(folder, *modes):
    for mode in modes:
        mode, _, numbers = mode.partition(":")
        base = pathlib.Path(folder) / mode
        numbers = [int(number) for number in numbers.split(",")]
        if mode == "race":
            (number,) = numbers
            children = [
                in_child(functools.partial(publish, base)) for _ in range(number)
            ]
            for child in children:
                report(mode, number, base, *child)
            continue
        function = {"kill": killed, "limit": limited, "mirrored": mirrored}[mode]
        for number in numbers:
            child = in_child(functools.partial(function, base, number))
            report(mode, number, base, *child)


if __name__ == "__main__":
    main(*sys.argv[1:])
