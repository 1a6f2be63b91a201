"""What several builders share: shapes, seeds, and the 2014 recipes' parts."""

import keras
import numpy as np
from keras import layers

from keras_gan import checks
from keras_gan.layers import Maxout, SpectralNormalization
from keras_gan.samples import SampleSpec


def sample_shape(spec) -> tuple[int, ...]:
    """Returns the shape of one sample.

    Args:
        spec: `SampleSpec`, or the shape itself: ints, each >= 1.

    Raises:
        ValueError: neither.
    """
    if isinstance(spec, SampleSpec):
        return spec.shape
    try:
        shape = tuple(spec)
    except TypeError:
        shape = ()
    if not shape or not all(checks.is_int(size) and size > 0 for size in shape):
        raise ValueError(
            "Expected `spec` to be a SampleSpec, such as data.spec, or the shape of a "
            f"sample, such as (28, 28, 1). Received: {spec!r}"
        )
    return tuple(int(size) for size in shape)


def check_data_format():
    """Raises ValueError where Keras is set to images of another layout than samples."""
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "Expected image_data_format 'channels_last', as samples have it. Received: "
            f"{keras.config.image_data_format()!r}; call "
            "keras.config.set_image_data_format('channels_last') first"
        )


class LayerSeeds:
    """Gives each layer a seed of its own, drawn in order from one seed.

    The order of the calls is part of a builder: another order gives other weights.

    Args:
        seed: int >= 0 or None; None gives every layer a random seed.

    Raises:
        ValueError: another seed.
    """

    def __init__(self, seed: int | None):
        if seed is not None:
            seed = checks.count("seed", seed, minimum=0)
        self._sequence = None if seed is None else np.random.SeedSequence(seed)

    def next(self) -> int | None:
        """Returns the next seed, None where the first was None."""
        if self._sequence is None:
            return None
        (child,) = self._sequence.spawn(1)
        return int(child.generate_state(1)[0])

    def uniform_initializer(self, bound: float):
        """Returns the 2014 recipes' initialiser: uniform on (-bound, bound)."""
        return keras.initializers.RandomUniform(-bound, bound, seed=self.next())

    def glorot_initializer(self):
        return keras.initializers.GlorotUniform(seed=self.next())

    def normal_initializer(self, stddev: float):
        """Returns an initialiser that draws from N(0, stddev^2)."""
        return keras.initializers.RandomNormal(stddev=stddev, seed=self.next())

    def he_initializer(self, scale: float = 2.0, fan: str = "fan_in"):
        """Returns an initialiser that draws from N(0, scale / fan in); He's is 2.

        Keras takes the two fans of a transposed convolution for each other: its fan in,
        but for the strides, is "fan_out".
        """
        return keras.initializers.VarianceScaling(
            scale, fan, "untruncated_normal", seed=self.next()
        )

    def dropout_layer(self, keep: float):
        """Returns a layer that keeps with probability `keep` and scales by 1 / keep."""
        return layers.Dropout(1.0 - keep, seed=self.next())


class Disturbance:
    """Makes the layers that disturb a hidden layer of a generator in training.

    Args:
        seeds: `LayerSeeds`.
        noise: float in [0, 1], standard deviation of Gaussian noise.
        dropout: float in [0, 1), share that is dropped out.

    Raises:
        ValueError: outside these bounds.
    """

    def __init__(self, seeds: LayerSeeds, noise: float, dropout: float):
        if not (0 <= noise <= 1 and 0 <= dropout < 1):
            raise ValueError(
                "Expected generator_noise in [0, 1] and generator_dropout in [0, 1). "
                f"Received: {noise} and {dropout}"
            )
        self._seeds = seeds
        self._noise = noise
        self._dropout = dropout

    def layers(self) -> list:
        """Returns new layers, as many as were asked for: none, one or two."""
        made = []
        if self._noise:
            made.append(layers.GaussianNoise(self._noise, seed=self._seeds.next()))
        if self._dropout:
            made.append(self._seeds.dropout_layer(keep=1.0 - self._dropout))
        return made


def hidden_layer(
    seeds: LayerSeeds,
    units: int,
    activation: str,
    bias: float = 0.0,
    kernel_constraint=None,
):
    """Returns a hidden layer of the 2014 generators: initial weights within +-.05."""
    return layers.Dense(
        units,
        activation=activation,
        kernel_initializer=seeds.uniform_initializer(0.05),
        bias_initializer=keras.initializers.Constant(bias),
        kernel_constraint=kernel_constraint,
    )


def dense_generator(
    latent_dim: int,
    hidden,
    output,
    shape,
    labels,
    disturbance: Disturbance | None = None,
) -> keras.Model:
    """Returns the generator: latents -> hidden layers -> output layer -> samples.

    Args:
        latent_dim: int, L.
        hidden: list of layers; a `disturbance` follows each of them.
        output: the layer that gives all values of a sample.
        shape: of one sample; the output is reshaped to it.
        labels: `conditioning.Labels`, which join the latents.
        disturbance: None for no noise and no dropout.
    """
    latents = keras.Input((latent_dim,), name="latents")
    x = labels.joined(latents)
    for layer in hidden:
        x = layer(x)
        for disturbing in disturbance.layers() if disturbance else ():
            x = disturbing(x)
    x = layers.Reshape(shape, name="samples", dtype="float32")(output(x))
    return labels.model(latents, x, "generator")


def maxout_discriminator(
    seeds: LayerSeeds,
    shape,
    labels,
    units: int,
    constraint=None,
    initializer=None,
    keep: tuple[float, float] = (0.8, 0.5),
) -> keras.Model:
    """Returns the 2014 recipes' discriminator: two maxout layers of 5 pieces -> 1.

    Args:
        seeds: `LayerSeeds`.
        shape: of one sample.
        labels: `conditioning.Labels`, which join what dropout leaves of the samples: no
            part of a label is dropped, as no other would say the same.
        units: int, of each maxout layer.
        constraint: None, or a Keras constraint of every kernel.
        initializer: function that returns the initialiser of a kernel; None is uniform
            on (-.005, .005).
        keep: shares of the input and of the hidden units that dropout keeps.
    """
    initializer = initializer or (lambda: seeds.uniform_initializer(0.005))
    samples = keras.Input(shape, name="samples")
    x = seeds.dropout_layer(keep=keep[0])(layers.Flatten()(samples))
    x = labels.joined(x)
    for _ in range(2):
        x = Maxout(
            units,
            pieces=5,
            kernel_initializer=initializer(),
            kernel_constraint=constraint,
        )(x)
        x = seeds.dropout_layer(keep=keep[1])(x)
    logits = logit_layer(initializer(), constraint)(x)
    logits = labels.classified(logits, x, initializer, constraint=constraint)
    return labels.model(samples, logits, "discriminator")


def check_normalization(name: str, value, *kinds: str):
    """Raises ValueError unless `value` is None or one of the `kinds`."""
    if value is not None:
        checks.one_of(name, value, kinds, "or None")


def maybe_spectral(layer, normalization: str | None):
    """Returns the layer, spectrally normalised where that is asked for.

    Args:
        layer: Keras layer with a kernel.
        normalization: "spectral" normalises, all else leaves the layer alone.
    """
    if normalization != "spectral":
        return layer
    return SpectralNormalization(layer, name=f"spectral_{layer.name}")


def logit_layer(initializer, constraint=None, units=1, name="logits"):
    """Returns a last layer of a discriminator: one logit or more, in float32."""
    return layers.Dense(
        units,
        kernel_initializer=initializer,
        kernel_constraint=constraint,
        name=name,
        dtype="float32",
    )
