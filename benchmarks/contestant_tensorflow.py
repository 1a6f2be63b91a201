"""Worker of train_step.py: this library, the guide's GAN, and the products alone."""

import collections
import dataclasses
import itertools
import os
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import contestant  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

import keras_gan  # noqa: E402

POLICIES = {"mixed_bfloat16": "mixed_bfloat16", "mixed_float16": "mixed_float16"}


class GuideGAN(keras.Model):
    """The GAN of Keras's guide "Customizing what happens in fit", written anew.

    One discriminator pass over fakes and reals together, noisy labels, cross-entropy
    from logits, one optimizer each, metrics of both losses. k steps as in Keras's
    WGAN-GP example: a loop over the same real batch.
    """

    def __init__(self, discriminator, generator, latent_dim, discriminator_steps):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.latent_dim = latent_dim
        self.discriminator_steps = discriminator_steps
        self.d_loss_tracker = keras.metrics.Mean(name="d_loss")
        self.g_loss_tracker = keras.metrics.Mean(name="g_loss")
        self.seed_generator = keras.random.SeedGenerator(0)
        self.built = True

    @property
    def metrics(self):
        return [self.d_loss_tracker, self.g_loss_tracker]

    def compile(self, d_optimizer, g_optimizer, loss_fn, jit_compile):
        super().compile(optimizer=None, jit_compile=jit_compile)
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn

    def latents(self, size):
        return keras.random.normal((size, self.latent_dim), seed=self.seed_generator)

    def train_step(self, real):
        size = tf.shape(real)[0]
        ones, zeros = tf.ones((size, 1)), tf.zeros((size, 1))
        labels = tf.concat([ones, zeros], axis=0)
        for _ in range(self.discriminator_steps):
            generated = self.generator(self.latents(size), training=True)
            combined = tf.concat([generated, real], axis=0)
            noisy = labels + 0.05 * tf.random.uniform(tf.shape(labels))
            with tf.GradientTape() as tape:
                loss = self.loss_fn(noisy, self.discriminator(combined, training=True))
            weights = self.discriminator.trainable_weights
            self.d_optimizer.apply_gradients(
                zip(tape.gradient(loss, weights), weights, strict=True)
            )
            self.d_loss_tracker.update_state(loss)
        latents = self.latents(size)
        with tf.GradientTape() as tape:
            fake = self.generator(latents, training=True)
            loss = self.loss_fn(zeros, self.discriminator(fake, training=True))
        weights = self.generator.trainable_weights
        self.g_optimizer.apply_gradients(
            zip(tape.gradient(loss, weights), weights, strict=True)
        )
        self.g_loss_tracker.update_state(loss)
        return {metric.name: metric.result() for metric in self.metrics}


def build_networks(case):
    name = case.networks
    shape = contestant.SHAPES[name]
    if name in contestant.WIDTHS:
        builder = keras_gan.networks.BUILDERS[name.rstrip("0123456789")]
        return builder(
            keras_gan.samples.SampleSpec(shape, "image", (-1.0, 1.0)),
            latent_dim=contestant.LATENT_DIM,
            width=case.width,
            discriminator_normalization=(
                "spectral" if case.addition == "spectral" else None
            ),
            seed=0,
        )
    if name == "digits_mlp":
        return keras_gan.networks.digits_mlp(shape, seed=0)
    if name == "mnist_mlp":
        return keras_gan.networks.paper_mlp(shape, seed=0)
    if name == "cifar_conv":
        return keras_gan.networks.paper_cifar_conv(shape, seed=0)
    return conv64(shape)


def conv64(shape):
    """A DCGAN of 64x64 images."""
    first, *channels = contestant.CONV64_CHANNELS
    latents = x = keras.Input((contestant.LATENT_DIM,))
    x = layers.Dense(4 * 4 * first, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Reshape((4, 4, first))(x)))
    for filters in channels:
        x = layers.Conv2DTranspose(filters, 4, 2, "same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2DTranspose(
        shape[-1], 4, 2, "same", activation="tanh", dtype="float32"
    )(x)
    samples = y = keras.Input(shape)
    for filters in reversed(contestant.CONV64_CHANNELS):
        y = layers.Conv2D(filters, 4, 2, "same")(y)
        y = layers.LeakyReLU(0.2)(y)
    logits = layers.Dense(1, dtype="float32")(layers.Flatten()(y))
    return keras.Model(latents, x), keras.Model(samples, logits)


def build_optimizer(name, guide):
    """Keras's own optimizer, as a guide has it, or that of this library's presets."""
    arguments = contestant.OPTIMIZER[name]
    if "momentum" in arguments:
        kinds = keras_gan.optimizers.ScheduledSGD, keras.optimizers.SGD
    else:
        kinds = keras_gan.optimizers.Adam, keras.optimizers.Adam
    return kinds[guide](**arguments)


def build(case, variant):
    keras.config.set_dtype_policy(POLICIES.get(variant, "float32"))
    networks = build_networks(case)
    keras.config.set_dtype_policy("float32")
    parameters = [network.count_params() for network in networks]
    k, m = case.discriminator_steps, case.batch_size
    if variant == "products":
        # Those of the same layers, which a wrapper would hide.
        bare = dataclasses.replace(case, addition="none")
        return products(*build_networks(bare), case), parameters
    if variant == "guide":
        generator, discriminator = networks
        model = GuideGAN(discriminator, generator, contestant.LATENT_DIM, k)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)
        optimizers = [build_optimizer(case.networks, True) for _ in range(2)]
        model.compile(*optimizers, loss, jit_compile=False)
        size = m
    else:
        jit_compile = variant == "XLA" or ("auto" if variant in POLICIES else False)
        model = build_gan(case, networks, jit_compile)
        size = k * m
    examples = np.random.default_rng(0).random(
        (size, *contestant.SHAPES[case.networks]), np.float32
    )
    data = tf.data.Dataset.from_tensors(examples).repeat()
    model.make_train_function()
    batches = iter(data)

    def run(steps):
        for _ in range(steps):
            logs = model.train_function(batches)
        for value in logs.values():
            float(value)  # waits for a GPU

    return run, parameters


def build_gan(case, networks, jit_compile):
    """The compiled `GAN` of a case."""
    is_plain = case.networks in ("digits_mlp", "mnist_mlp", "cifar_conv")
    gan = keras_gan.GAN(
        *networks,
        keras_gan.priors.Uniform(contestant.LATENT_DIM),
        (0.0, 1.0) if is_plain else (-1.0, 1.0),
        seed=0,
    )
    more = {}
    if case.every:
        r1 = keras_gan.penalties.R1(contestant.R1_GAMMA, every=case.every)
        more["penalties"] = [r1]
    if case.addition == "diffaugment":
        more["augmentation"] = "diffaugment"
    gan.compile(
        *(build_optimizer(case.networks, False) for _ in range(2)),
        discriminator_steps=case.discriminator_steps,
        jit_compile=jit_compile,
        **more,
    )
    return gan


# === The same losses ===


def losses(case, file):
    """The losses of D and of G at a first step, whose weights and data go to `file`."""
    networks = build_networks(case)
    gan = build_gan(case, networks, jit_compile=False)
    random = np.random.default_rng(0)
    shape = contestant.SHAPES[case.networks]
    examples = random.uniform(-1.0, 1.0, (case.batch_size, *shape))
    latents = random.uniform(-1.0, 1.0, (case.batch_size, contestant.LATENT_DIM))
    data = {
        "examples": examples.astype(np.float32),
        "latents": latents.astype(np.float32),
    }
    weights = {
        f"{network}.{name}": value
        for network, model in zip("gd", networks, strict=True)
        for name, value in weights_of(model).items()
    }
    np.savez(file, **data, **weights)
    real, z = map(tf.constant, data.values())
    objectives = gan.discriminator_objective, gan.generator_objective
    return [float(objective(real, z, training=True)[0]) for objective in objectives]


def weights_of(model):
    """Weights by the kind of their layer and its place among those, as it was made."""
    made = sorted(
        (layer for layer in contestant.leaves(model) if layer.trainable_weights),
        # Keras numbers the names of a kind: conv2d, conv2d_1, ...
        key=lambda layer: int((re.findall(r"_(\d+)$", layer.name) or ["0"])[0]),
    )
    counts, weights = collections.Counter(), {}
    for layer in made:
        kind = type(layer).__name__
        for weight in layer.trainable_weights:
            weights[f"{kind}.{counts[kind]}.{weight.name}"] = weight.numpy()
        counts[kind] += 1
    return weights


# === The floor ===


def products(generator, discriminator, case):
    """A function that runs the matrix products and convolutions of steps, no more.

    Of each layer the forward product, and where the step needs them the gradients of
    its kernel and of its inputs. G's step needs no gradient of D's kernels, D's step
    none of the samples. R1 needs the gradients of the inputs, and to descend it two
    products more of each layer, of the sizes of its forward and its kernel's gradient.
    """
    k, m = case.discriminator_steps, case.batch_size
    calls = []
    for count, network, size, kernels, inputs in (
        (k, generator, m, False, False),
        (2 * k, discriminator, m, True, False),
        (1, generator, m, True, False),
        (1, discriminator, m, False, True),
    ):
        one_pass = network_products(network, size, kernels, inputs)
        calls += count * one_pass
    penalty_calls = network_products(discriminator, m, True, True) if case.every else []

    @tf.function
    def step(penalties):
        # One value of each, so that none is left out: what costs nothing else.
        made = calls + penalties * penalty_calls
        return tf.add_n([tf.reshape(call(), [-1])[0] for call in made])

    d_steps = itertools.count()

    def run(steps):
        for _ in range(steps):
            of_step = list(itertools.islice(d_steps, k))
            value = step(sum(j % case.every == 0 for j in of_step) if case.every else 0)
        float(value)

    return run


def network_products(network, size, kernels, inputs):
    calls = []
    first = True
    for layer in contestant.leaves(network):
        kernel = getattr(layer, "kernel", None)
        if kernel is None:
            continue
        backward = inputs or (kernels and not first)
        calls += layer_products(layer, size, kernels, backward)
        first = False
    return calls


def layer_products(layer, size, kernels, inputs):
    kernel = tf.constant(layer.kernel.numpy())
    if len(kernel.shape) == 2:
        x = tf.Variable(tf.random.normal((size, kernel.shape[0])))
        gradient = tf.Variable(tf.random.normal((size, kernel.shape[1])))
        calls = [lambda: tf.matmul(x, kernel)]
        if kernels:
            calls.append(lambda: tf.matmul(x, gradient, transpose_a=True))
        if inputs:
            calls.append(lambda: tf.matmul(gradient, kernel, transpose_b=True))
        return calls

    transposed = isinstance(layer, layers.Conv2DTranspose)
    if isinstance(layer, keras_gan.layers.MaxoutConv2D):
        stride, padding = 1, "VALID"
        height, width, channels = layer.input.shape[1:]
        margin = 2 * layer.padding
        fine = (height + margin, width + margin, channels)
    else:
        stride, padding = layer.strides[0], layer.padding.upper()
        # A transposed convolution is a convolution's gradient.
        fine = (layer.output if transposed else layer.input).shape[1:]
    coarse = (*linear_positions(layer), kernel.shape[-1])
    x = tf.Variable(tf.random.normal((size, *fine)))
    gradient = tf.Variable(tf.random.normal((size, *coarse)))
    arguments = {"strides": [1, stride, stride, 1], "padding": padding}

    def convolution():
        return tf.nn.conv2d(x, kernel, **arguments)

    def input_gradient():
        return tf.raw_ops.Conv2DBackpropInput(
            input_sizes=x.shape, filter=kernel, out_backprop=gradient, **arguments
        )

    def kernel_gradient():
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=kernel.shape, out_backprop=gradient, **arguments
        )

    forward, backward = convolution, input_gradient
    if transposed:
        forward, backward = backward, forward
    return (
        [forward]
        + ([kernel_gradient] if kernels else [])
        + ([backward] if inputs else [])
    )


def linear_positions(layer):
    """(height, width) of the positions at which a convolution's kernel is applied."""
    if isinstance(layer, layers.Conv2DTranspose):
        return layer.input.shape[1:3]
    if isinstance(layer, layers.Conv2D):
        return layer.output.shape[1:3]
    margin = 2 * layer.padding + 1 - layer.kernel_size
    return tuple(size + margin for size in layer.input.shape[1:3])


if __name__ == "__main__":
    contestant.serve(build, losses)
