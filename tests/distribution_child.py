"""Trains under strategies on logical CPUs, for `test_distribution`: one JSON on stdout.

Logical devices must be set before TensorFlow starts, so these are processes of their
own: `python -m tests.distribution_child mirrored FOLDER`, `scenarios NAME ...`, or
`worker FOLDER` with a TF_CONFIG.
"""

import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

FEATURES, LATENTS = 4, (0.3, -1.0, 0.7)


def two_cpus():
    (cpu,) = tf.config.list_physical_devices("CPU")
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, devices)
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def weights(gan):
    return [weight.numpy().ravel().tolist() for weight in gan.weights]


def batches(steps, rows, last=0):
    """Fixed batches of `rows` examples and a last one of `last`, of unknown size."""
    from tests import helpers

    examples = helpers.examples(steps * rows + last, seed=7)
    return tf.data.Dataset.from_tensor_slices(examples).batch(rows)


# An odd number of examples for two replicas, and a last batch that leaves one empty.
SCENARIOS = {
    "k=1": {"k": 1, "rows": 5, "last": 1},
    "k=3": {"k": 3, "rows": 12, "last": 1, "ema_decay": 0.9, "clipnorm": 0.05},
    "ADA": {"k": 3, "rows": 12, "last": 1, "augmented": True},
}
# What only the slow tests compare.
SLOW = ("k=1", "ADA")


def scenario(name):
    """A training without dropout, of one latent vector: nothing but sums may differ."""
    import keras

    from tests import helpers

    options = dict(SCENARIOS[name])
    if options.pop("augmented", False):
        options["augmentation"] = controller()
    data = batches(20, options.pop("rows"), options.pop("last"))
    gan = helpers.tiny_gan(
        prior=helpers.deterministic_prior(LATENTS),
        generator_optimizer=keras.optimizers.Adam(1e-2),
        discriminator_optimizer=keras.optimizers.SGD(
            0.1, momentum=0.5, clipnorm=options.pop("clipnorm", None)
        ),
        discriminator_steps=options.pop("k"),
        **options,
    )
    return gan, data


def controller():
    """ADA's controller alone: what it counts shall not depend on draws."""
    from keras_gan import augmentation

    class Still(augmentation.ADA):
        groups = ("still",)

        def prepare(self, spec, loss):
            # Of vectors, which the images' own `prepare` refuses.
            spec = type(spec)((2, 2, 1), "image", (-1, 1))
            super().prepare(spec, loss)

        def call(self, samples, seed):
            return samples

    # p goes up and down, and does not end on a bound.
    return Still("still", target=0.1, images=300, every=4, initial_p=0.4)


def result(gan, data):
    history = gan.fit(data, verbose=0, shuffle=False).history
    logs = {name: values[-1] for name, values in history.items()}
    evaluated = gan.evaluate(data, verbose=0, return_dict=True)
    found = {"weights": weights(gan), "logs": logs, "evaluated": evaluated}
    if gan.augmentation is not None:
        copies = gan.distribute_strategy.experimental_local_results(
            gan.augmentation.p.value
        )
        found["p"] = [float(p) for p in copies]
    return found


def compared(strategy, name):
    """What one device makes of a scenario, and what two replicas do."""
    one = result(*scenario(name))
    with strategy.scope():
        gan, data = scenario(name)
    return {"one": one, "two": result(gan, data)}


def scenarios(*names):
    strategy = two_cpus()
    return {name: compared(strategy, name) for name in names}


def mirrored(folder):
    import keras
    import numpy as np

    import keras_gan
    from keras_gan import experiments
    from keras_gan.experiments import building, execution
    from keras_gan.runs import checkpoint
    from tests import helpers

    strategy = two_cpus()
    report = {"scenarios": {"k=3": compared(strategy, "k=3")}}

    # --- each replica draws latents of its own, of one seed the same again
    def draws():
        with strategy.scope():
            gan = helpers.tiny_gan(prior=keras_gan.priors.Normal(3))
            run = tf.function(
                lambda: strategy.run(gan._latents, (gan._training_seeds, 5))
            )
            drawn = strategy.experimental_local_results(run())
        return [latents.numpy().tolist() for latents in drawn]

    report["latents"] = [draws(), draws()]

    # --- running statistics, and an empty replica, in the last of two batches
    with strategy.scope():
        report["running"] = running_mean(strategy)

    # --- the data: every epoch's rows, from the first on
    seen = []

    class Watching(keras_gan.GAN):
        def train_step(self, data):
            tf.numpy_function(lambda x: seen.extend(x[:, 0].tolist()), [data], [])
            return super().train_step(data)

    numbers = np.tile(np.arange(11, dtype=np.float32)[:, None], (1, 4))
    numbers = keras_gan.datasets.Dataset(numbers, value_range=None)
    with strategy.scope():
        gan = Watching(*helpers.tiny_networks(), keras_gan.priors.Normal(3), None)
        gan.compile("sgd", "sgd")
    again = numbers.batches(4, seed=0)
    expected = [row[0] for _ in range(2) for x in again for row in x.numpy().tolist()]

    def ends_of_batches(rows):
        return [sorted(rows[a:b]) for a, b in ((0, 4), (8, 11), (11, 15), (19, 22))]

    report["seen"] = {"expected": ends_of_batches(expected)}
    gan.fit(numbers.batches(4, seed=0), epochs=2, verbose=0, shuffle=False)
    report["seen"]["by fit"] = ends_of_batches(seen)
    seen.clear()
    checkpoint.fit(gan, numbers, 4, seed=0, epochs=2, verbose=0)
    report["seen"]["by checkpoint.fit"] = ends_of_batches(seen)
    report["seen"]["epochs"] = [sorted(seen[:11]), sorted(seen[11:])]

    # --- several steps in one execution, which Keras cannot do on several replicas
    preset = experiments.get_preset("digits", {"epochs": 1, "distribute": "mirrored"})
    with strategy.scope():
        data = building.load_data(preset.data)
        gan = building.build(preset, data)
        together = [execution.steps_per_execution(preset, gan, data)]
        for ask in (
            lambda: gan.compile("sgd", "sgd", steps_per_execution=2),
            lambda: checkpoint.fit(gan, data, 100, 0, 1, steps_per_execution=2),
            lambda: execution.steps_per_execution(
                preset.with_settings({"steps_per_execution": 2}), gan, data
            ),
        ):
            try:
                ask()
            except ValueError as error:
                together.append(str(error))
    report["together"] = together

    # --- the rest of a training from a checkpoint of its middle
    report["resumed"] = resumed(strategy, pathlib.Path(folder))

    # --- overflows, planted on either replica, of either player
    report["overflows"] = [
        *overflows(strategy, "discriminator", k=2),
        *overflows(strategy, "generator", k=1),
    ]

    # --- saving, loading and exporting after a training on two
    folder = pathlib.Path(folder)
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    with strategy.scope():
        gan = helpers.tiny_gan(
            ema_decay=0.5, generator_optimizer="adam", discriminator_optimizer="adam"
        )
    keras.mixed_precision.set_dtype_policy("float32")
    gan.fit(batches(12, 6), verbose=0, shuffle=False)
    gan.save(folder / "gan.keras")
    samples = gan.generate(5, seed=1, batch_size=2)
    version = gan.export(folder / "export")
    np.savez(
        folder / "two.npz",
        samples=samples,
        exported=keras_gan.export.ExportedGenerator(version).generate(5, seed=1),
        slots=np.concatenate(
            [v.numpy().ravel() for v in gan.generator_optimizer.variables]
        ),
    )
    with strategy.scope():
        loaded = keras.saving.load_model(folder / "gan.keras")
    loaded.fit(batches(2, 6), verbose=0, shuffle=False)
    report["loaded"] = loaded.generator_steps - gan.generator_steps

    # --- what cannot be
    report["refused"] = []
    with strategy.scope():
        gan = helpers.tiny_gan()
        accumulating = keras.optimizers.SGD(gradient_accumulation_steps=2)
        for options in (
            {"jit_compile": True},
            {"discriminator_optimizer": accumulating},
        ):
            try:
                helpers.tiny_gan(**options)
            except ValueError as error:
                report["refused"].append(str(error))
    try:
        gan.compile("sgd", "sgd")
    except ValueError as error:
        report["refused"].append(str(error))
    return report


def running_mean(strategy):
    """The means of the examples in each batch that a layer of D was shown, summed."""
    import keras

    import keras_gan
    from tests import helpers

    class Running(keras.layers.Layer):
        def build(self, input_shape):
            self.total = self.add_weight(
                shape=input_shape[1:], initializer="zeros", trainable=False
            )

        def call(self, inputs, training=False):
            if training:
                self.total.assign_add(tf.reduce_mean(inputs, axis=0))
            return inputs

    generator, _ = helpers.tiny_networks()
    # G makes zeros, which add nothing to the total.
    generator.trainable_variables[2].assign(tf.zeros((5, 4)))
    discriminator = keras.Sequential(
        [keras.Input((4,)), Running(), keras.layers.Dense(1)]
    )
    gan = keras_gan.GAN(generator, discriminator, helpers.deterministic_prior(), None)
    still = keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0)
    gan.compile(*still)
    examples = helpers.examples(7)
    data = tf.data.Dataset.from_tensor_slices(examples).batch(6)
    gan.fit(data, verbose=0, shuffle=False)
    totals = strategy.experimental_local_results(discriminator.layers[0].total.value)
    # Halves of the first batch; the last example, on one replica and for the other.
    halves = (examples[:3].mean(axis=0), examples[3:6].mean(axis=0))
    return {
        "totals": [total.numpy().tolist() for total in totals],
        "expected": [(half + examples[6]).tolist() for half in halves],
    }


def overflows(strategy, player, k):
    """Two steps in which `player`'s gradient is infinite on one replica alone."""
    import keras
    import numpy as np

    import keras_gan
    from tests import helpers

    class Overflowing(keras_gan.losses.NonSaturating):
        spoilt = tf.Variable(-1)

        def discriminator_loss(self, real_logits, fake_logits):
            loss = super().discriminator_loss(real_logits, fake_logits)
            return self._spoil(loss, "discriminator")

        def generator_loss(self, fake_logits):
            return self._spoil(super().generator_loss(fake_logits), "generator")

        def _spoil(self, loss, whose):
            here = tf.distribute.get_replica_context().replica_id_in_sync_group
            wild = tf.equal(here, self.spoilt)

            @tf.custom_gradient
            def spoil(x):
                return x, lambda upstream: upstream * tf.where(wild, np.inf, 1.0)

            return spoil(loss) if whose == player else loss

    def scaled():
        return keras.mixed_precision.LossScaleOptimizer(
            keras.optimizers.Adam(1e-2, clipvalue=0.1), initial_scale=2.0**7
        )

    loss = Overflowing()
    with strategy.scope():
        gan = helpers.tiny_gan(
            loss=loss,
            generator_optimizer=scaled(),
            discriminator_optimizer=scaled(),
            discriminator_steps=k,
            ema_decay=0.5,
        )
    batch = helpers.examples(8)
    gan.train_on_batch(batch)
    names = ("discriminator", "generator")

    def state(name):
        """Of each replica: weights, slots and counters."""
        optimizer = getattr(gan, f"{name}_optimizer").inner_optimizer
        variables = [*getattr(gan, name).trainable_variables, *optimizer.variables]
        values = [strategy.experimental_local_results(v.value) for v in variables]
        return [
            np.concatenate([value[row].numpy().ravel() for value in values])
            for row in range(2)
        ]

    def average():
        return np.concatenate(
            [w.numpy().ravel() for w in gan.averaged_generator.weights]
        )

    def scales(name):
        scale = getattr(gan, f"{name}_optimizer").dynamic_scale.value
        return [float(x) for x in strategy.experimental_local_results(scale)]

    found = []
    for replica in range(2):
        before, old_average = {name: state(name) for name in names}, average()
        old_scales = {name: scales(name) for name in names}
        loss.spoilt.assign(replica)
        gan.reset_metrics()  # Keras below 3.13 does not do it by itself
        logs = gan.train_on_batch(batch, return_dict=True)
        after = {name: state(name) for name in names}
        found.append(
            {
                "player": player,
                "k": k,
                "moved": {
                    name: [
                        bool((a != b).any())
                        for a, b in zip(before[name], after[name], strict=True)
                    ]
                    for name in names
                },
                "equal": all(bool((a == b).all()) for a, b in after.values()),
                "finite": all(bool(np.isfinite(a).all()) for a, _ in after.values()),
                "average moved": bool((average() != old_average).any()),
                "halved": {
                    name: [
                        float(np.log2(a / b))
                        for a, b in zip(old_scales[name], scales(name), strict=True)
                    ]
                    for name in names
                },
                "skipped": {name: logs[f"{name}_skipped_steps"] for name in names},
            }
        )
    return found


def resumed(strategy, folder):
    """The state at the end of a training, and of one that goes on from a file."""
    import keras
    import numpy as np

    import keras_gan
    from keras_gan import optimizers
    from keras_gan.runs import checkpoint
    from tests import helpers

    data = keras_gan.datasets.Dataset(helpers.examples(23, seed=3), value_range=None)
    options = {"batch_size": 5, "seed": 1, "epochs": 2, "verbose": 0}
    path = folder / "middle.safetensors"

    def built():
        samples = keras.Input((FEATURES,))
        hidden = keras.layers.Dense(5, activation="relu")(samples)
        hidden = keras.layers.Dropout(0.4, seed=5)(hidden)
        generator, _ = helpers.tiny_networks()
        discriminator = keras.Model(samples, keras.layers.Dense(1)(hidden))
        for number, weight in enumerate(discriminator.weights):
            if weight.dtype == "float32":
                random = np.random.default_rng(number).normal(size=weight.shape)
                weight.assign(random)
        gan = keras_gan.GAN(
            generator, discriminator, keras_gan.priors.Normal(3), None, seed=0
        )
        rate = optimizers.InverseExponentialDecay(0.05, 1.1)
        gan.compile(
            optimizers.ScheduledSGD(rate, optimizers.LinearRamp(0.1, 0.9, 2, 9)),
            optimizers.Adam(rate),
            discriminator_steps=2,
            ema_decay=0.9,
        )
        return gan

    class Middle(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.generator_steps == 7:
                checkpoint.write(path, checkpoint.snapshot(self.model, 7))

    ends = []
    for start in (None, 7):
        with strategy.scope():
            gan = built()
            if start:
                start = checkpoint.read(path)
                checkpoint.restore(gan, start)
        callbacks = [] if start else [Middle()]
        history = checkpoint.fit(
            gan, data, start=start, callbacks=callbacks, **options
        ).history
        values = checkpoint.snapshot(gan, 10).state.values()
        ends.append(
            {
                "state": [value.tobytes().hex() for value in values],
                "logs": {name: each[-1] for name, each in history.items()},
                "steps": gan.generator_steps,
            }
        )
    return ends


def main():
    kind, *arguments = sys.argv[1:]
    report = {"mirrored": mirrored, "scenarios": scenarios, "worker": worker}[kind](
        *arguments
    )
    # Keras 3.11 logs arrays, newer ones floats.
    print("REPORT " + json.dumps(report, default=lambda array: array.item()))


def worker(folder):
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    import keras_gan  # noqa: F401

    with strategy.scope():
        gan, data = scenario("k=3")
    report = result(gan, data)
    task = json.loads(os.environ["TF_CONFIG"])["task"]
    # Every worker by itself may draw; the chief alone saves.
    report["samples"] = gan.generate(3, seed=1).tolist()
    if task["index"] == 0:
        gan.save(pathlib.Path(folder) / "chief.keras")
        gan.export(pathlib.Path(folder) / "chief")
    return report


if __name__ == "__main__":
    main()
