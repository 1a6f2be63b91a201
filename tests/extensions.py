"""What a GAN is extended by: a user's own classes, and the package's stabilisers.

The former by the public classes alone, as docs/extend.md tells users to.
"""

import keras
import numpy as np
import tensorflow as tf

import keras_gan
from tests import helpers

NUM_CLASSES = 3
# A user's own.
OWN = ("own_penalty", "own_relativistic", "player", "labelled")
# The package's, by name.
PENALTIES = tuple(sorted(keras_gan.penalties.BY_NAME))
LOSSES = tuple(
    name
    for name in keras_gan.losses.names()
    if name not in ("minimax", "non_saturating", "auxiliary_classifier")
)
LAYERS = ("spectral", "packed")
# With an auxiliary classifier, and R1, which is not to see it.
CLASSIFIED = "classified"
# With an encoder in the same game, and R1, which is to see both parts of a pair.
BIGAN = "bigan"
KINDS = (*OWN, *PENALTIES, *LOSSES, *LAYERS, CLASSIFIED, BIGAN)
# Whose steps draw numbers, or group rows, on each replica anew.
DIFFERS_ON_REPLICAS = ("dragan", "gradient_penalty", "packed")


@keras.saving.register_keras_serializable("tests")
class InterpolatedGradient(keras_gan.penalties.Penalty):
    """A user's penalty that draws: E (|grad D| - 1)^2 between examples and samples."""

    def __init__(self, weight=10.0, every=1, name="interpolated_gradient"):
        super().__init__(every, name)
        self.weight = weight

    def __call__(self, critic, real, fake, seed):
        share = tf.random.stateless_uniform((tf.shape(real)[0], 1), seed, alg="philox")
        between = share * real + (1 - share) * fake
        norms = keras_gan.penalties.squared_gradient_norms(critic, between)
        return self.weight * tf.reduce_mean((tf.sqrt(norms + 1e-12) - 1) ** 2)

    def get_config(self):
        return {**super().get_config(), "weight": self.weight}


@keras.saving.register_keras_serializable("tests")
class Relativistic(keras_gan.losses.AdversarialLoss):
    """A user's loss that pairs samples with examples, row by row (arXiv 1807.00734)."""

    relativistic = True

    def discriminator_loss(self, real_logits, fake_logits):
        return keras.ops.mean(keras.ops.softplus(fake_logits - real_logits))

    def generator_loss(self, fake_logits, real_logits=None):
        return keras.ops.mean(keras.ops.softplus(real_logits - fake_logits))


@keras.saving.register_keras_serializable("tests")
class InferLatents(keras_gan.players.Objective):
    """A user's third player: E learns z from G(z)."""

    def __call__(self, gan, network, real, latents, training):
        inferred = network(gan.call(latents, training=training), training=training)
        return tf.reduce_mean((tf.cast(inferred, tf.float32) - latents) ** 2)


@keras.saving.register_keras_serializable("tests")
class ClassPrior(keras_gan.priors.Normal):
    """A user's labelled prior: normal latents, and a class from 0 to 2.

    Args:
        fixed: bool, whether every row is the same, so that replicas can be compared.
    """

    num_classes = NUM_CLASSES

    def __init__(self, latent_dim, fixed=False):
        super().__init__(latent_dim)
        self.fixed = fixed

    def sample(self, num_samples, seed):
        if self.fixed:
            latents = tf.ones((num_samples, self.latent_dim)) * 0.3
            return {"latents": latents, "labels": tf.ones((num_samples,), tf.int32)}
        seed = keras_gan.priors.stateless_seed(seed)
        own = tf.random.experimental.stateless_fold_in(seed, 1)
        labels = tf.random.stateless_uniform(
            (num_samples,), own, 0, NUM_CLASSES, tf.int32, alg="philox"
        )
        return {"latents": super().sample(num_samples, seed), "labels": labels}

    def symbolic_sample(self):
        labels = keras.KerasTensor((None,), dtype="int32")
        return {"latents": super().symbolic_sample(), "labels": labels}

    def get_config(self):
        return {"latent_dim": self.latent_dim, "fixed": self.fixed}


def labelled_networks(seed=0):
    """G and D of `helpers.tiny_networks`' sizes that are given a class as well."""
    init = [keras.initializers.GlorotUniform(seed=seed + i) for i in range(6)]
    labels = keras.Input((), dtype="int32", name="labels")
    latents = keras.Input((3,), name="latents")
    embedded = keras.layers.Embedding(NUM_CLASSES, 2, init[4])(labels)
    x = keras.layers.Concatenate()([latents, embedded])
    x = keras.layers.Dense(5, activation="tanh", kernel_initializer=init[0])(x)
    samples = keras.layers.Dense(4, kernel_initializer=init[1])(x)
    generator = keras.Model({"latents": latents, "labels": labels}, samples)

    labels = keras.Input((), dtype="int32", name="labels")
    samples = keras.Input((4,), name="samples")
    embedded = keras.layers.Embedding(NUM_CLASSES, 2, init[5])(labels)
    x = keras.layers.Concatenate()([samples, embedded])
    x = keras.layers.Dense(6, activation="tanh", kernel_initializer=init[2])(x)
    logits = keras.layers.Dense(1, kernel_initializer=init[3])(x)
    return generator, keras.Model({"samples": samples, "labels": labels}, logits)


def classifier(seed=0):
    """D of `helpers.tiny_networks`' sizes that names the class of what it sees."""
    init = [keras.initializers.GlorotUniform(seed=seed + i) for i in range(3)]
    labels = keras.Input((), dtype="int32", name="labels")
    samples = keras.Input((4,), name="samples")
    x = keras.layers.Dense(6, activation="tanh", kernel_initializer=init[0])(samples)
    options = {"dtype": "float32"}
    logits = keras.layers.Dense(1, kernel_initializer=init[1], **options)(x)
    classes = keras.layers.Dense(NUM_CLASSES, kernel_initializer=init[2], **options)(x)
    named = keras_gan.conditional.LabelLogProbability(**options)([classes, labels])
    answers = keras.layers.Concatenate(**options)([logits, named])
    return keras.Model({"samples": samples, "labels": labels}, answers)


def encoder(seed=0):
    """4 values -> 5 tanh -> 3 latents."""
    init = [keras.initializers.GlorotUniform(seed=seed + i) for i in range(2)]
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(5, activation="tanh", kernel_initializer=init[0]),
        keras.layers.Dense(3, kernel_initializer=init[1]),
    ]
    return keras.Sequential(layers)


def critic_of_pairs(seed=0):
    """D of samples of 4 values with 3 latents: 7 -> 6 tanh -> one logit."""
    init = [keras.initializers.GlorotUniform(seed=seed + i) for i in range(2)]
    samples, latents = (
        keras.Input((size,), name=name)
        for size, name in ((4, "samples"), (3, "latents"))
    )
    x = keras.layers.Concatenate()([samples, latents])
    x = keras.layers.Dense(6, activation="tanh", kernel_initializer=init[0])(x)
    logits = keras.layers.Dense(1, kernel_initializer=init[1], dtype="float32")(x)
    return keras.Model({"samples": samples, "latents": latents}, logits)


def critic(kind, seed=0):
    """D of `helpers.tiny_networks`' sizes, normalised or judging pairs."""
    init = [keras.initializers.GlorotUniform(seed=seed + i) for i in range(2)]
    samples = x = keras.Input((4,))
    if kind == "packed":
        x = keras_gan.layers.Pack(2)(x)
    layers = [
        keras.layers.Dense(6, activation="tanh", kernel_initializer=init[0]),
        keras.layers.Dense(1, kernel_initializer=init[1], dtype="float32"),
    ]
    for layer in layers:
        if kind == "spectral":
            layer = keras_gan.layers.SpectralNormalization(layer)
        x = layer(x)
    return keras.Model(samples, x)


def gan_with(kind, fixed=False, rate=0.1, **options):
    """A compiled GAN with one of `KINDS`; SGD, k = 2, averaged weights.

    Args:
        fixed: bool, whether all latents are equal, so that nothing is random.
        rate: float, of every optimizer.
    """
    prior = helpers.deterministic_prior() if fixed else keras_gan.priors.Normal(3)
    networks, players = helpers.tiny_networks(), None
    options = {"discriminator_steps": 2, "ema_decay": 0.5, **options}
    if kind == "own_penalty":
        own = keras_gan.penalties.R1(0.5) if fixed else InterpolatedGradient(2.0)
        options["penalties"] = [own, keras_gan.penalties.R1(1.0, every=2, name="lazy")]
    elif kind == "own_relativistic":
        options["loss"] = Relativistic()
    elif kind in PENALTIES:
        options["penalties"] = [keras_gan.penalties.BY_NAME[kind](0.5, every=2)]
    elif kind in LOSSES:
        options["loss"] = kind
    elif kind in LAYERS:
        networks = networks[0], critic(kind)
    elif kind == "player":
        players = {"encoder": encoder()}
        options["optimizers"] = {"encoder": keras.optimizers.SGD(rate)}
        options["objectives"] = {"encoder": InferLatents()}
    elif kind == CLASSIFIED:
        networks = labelled_networks()[0], classifier()
        prior = ClassPrior(3, fixed)
        options["loss"] = keras_gan.losses.AuxiliaryClassifier(weight=0.5)
        options["penalties"] = [keras_gan.penalties.R1(0.5, every=2)]
    elif kind == BIGAN:
        return bigan_with(fixed, rate, reconstruction=0.5, **options)
    else:
        networks, prior = labelled_networks(), ClassPrior(3, fixed)
    gan = keras_gan.GAN(*networks, prior, value_range=None, seed=0, players=players)
    gan.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate), **options)
    return gan


def bigan_with(fixed=False, rate=0.1, prior=None, **options):
    """A compiled BiGAN of `gan_with`'s sizes."""
    if prior is None:
        # Latents that are nearly equal have coordinates; equal ones have none.
        prior = keras_gan.priors.Normal(3, 0.3, 1e-7 if fixed else 1.0)
    gan = keras_gan.inference.BiGAN(
        helpers.tiny_networks()[0], critic_of_pairs(), encoder(), prior, None, seed=0
    )
    options = {"penalties": [keras_gan.penalties.R1(0.5, every=2)], **options}
    gan.compile(*(keras.optimizers.SGD(rate) for _ in range(3)), **options)
    return gan


def batch_for(kind, count=8, seed=0):
    """What `fit` takes for an element: examples, with classes where they count."""
    x = helpers.examples(count, seed)
    if kind in ("labelled", CLASSIFIED):
        return x, (np.arange(count) % NUM_CLASSES).astype(np.int32)
    return x


def weights_of(gan):
    """Every weight of every network, as one vector."""
    return np.concatenate([np.ravel(w.numpy()) for w in gan.weights])
