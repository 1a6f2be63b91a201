"""The signatures of an exported generator, and their SavedModel.

| signature | inputs | outputs |
|---|---|---|
| `serving_default` | `latents` float32 [-1, L] | `images` float32, in [0, 1] |
| `sample` | `seed` int64 [-1], one a row | `images`, `latents` |
| `png` | `latents` | `image_bytes` string [-1] |
| `sample_png` | `seed` int64 [-1] | `image_bytes` string [-1] |
| `encode` | `images` float32, in [0, 1] | `latents` float32 [-1, L] |

There is an `encode` where the GAN has an encoder.

Samples that are no images are called `samples`, keep their values, and have no PNGs.
Where the prior draws labels, each signature takes `labels`, int64 [-1], as well. One
that is no class of the training is an error of the whole request: an answer would be
the sample of another class.

But for that, a row's result depends on that row alone, because a server merges requests
into batches: latents that are NaN give samples that are NaN (a black PNG), and leave
the other rows as they are. Nothing is compiled by XLA, which the server disables, and
nothing keeps a random state, which every replica of a server would start anew.
"""

import dataclasses
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_gan import keras_private, priors
from keras_gan.samples import SampleSpec

IMAGES, SAMPLES = "images", "samples"
# Those that draw the latents from seeds. All others take latents.
SEEDED = ("sample", "sample_png")
# The one that takes samples and gives latents.
ENCODE = "encode"


@dataclasses.dataclass(frozen=True, eq=False)
class Servable:
    """A generator and what its signatures must know: the functions that a server runs.

    Attributes:
        generator: Keras model from what the prior draws to samples.
        latent_prior: `priors.LatentPrior`.
        spec: `SampleSpec` of one sample.
        refuses: bool, whether a label that is no class is an error. Where a runtime has
            no errors to raise, its row gives NaN.
        encoder: None, or a function of samples `(batch, *spec.shape)` in their range to
            float32 latents `(batch, L)`.
    """

    generator: keras.Model
    latent_prior: priors.LatentPrior
    spec: SampleSpec
    refuses: bool = True
    encoder: Callable | None = None

    @property
    def output_name(self) -> str:
        """What the signatures call the samples."""
        return IMAGES if self.spec.is_image else SAMPLES

    @property
    def signature_names(self) -> tuple[str, ...]:
        # PNG holds grey pictures, and coloured ones without and with alpha.
        has_png = self.spec.is_image and self.spec.shape[2] in (1, 3, 4)
        of_png = ("png", "sample_png") if has_png else ()
        of_encoder = () if self.encoder is None else (ENCODE,)
        return ("serving_default", "sample", *of_png, *of_encoder)

    def serving_default(self, latents, labels=None):
        return {self.output_name: self._outputs(latents, labels)}

    def sample(self, seed, labels=None):
        latents = self._latents_of_seeds(seed)
        return {self.output_name: self._outputs(latents, labels), "latents": latents}

    def png(self, latents, labels=None):
        pixels = tf.round(self._outputs(latents, labels) * 255.0)
        # A cast of NaN may give a value that depends on the row's place in the batch.
        pixels = tf.where(tf.math.is_nan(pixels), 0.0, pixels)
        pixels = tf.cast(pixels, tf.uint8)
        encoded = tf.map_fn(
            tf.io.encode_png, pixels, fn_output_signature=tf.TensorSpec((), tf.string)
        )
        return {"image_bytes": encoded}

    def sample_png(self, seed, labels=None):
        return self.png(self._latents_of_seeds(seed), labels)

    def encode(self, samples):
        samples = tf.ensure_shape(samples, (None, *self.spec.shape))
        flat = tf.reshape(samples, (-1, self.spec.num_values))
        is_valid = tf.reduce_all(tf.math.is_finite(flat), axis=1, keepdims=True)
        given = self.spec.from_unit(samples) if self.spec.is_image else samples
        latents = _never_empty(self.encoder, given)
        return {"latents": tf.where(is_valid, latents, np.float32(np.nan))}

    def _outputs(self, latents, labels):
        # The runtime does not check the shape of a placeholder.
        latents = tf.ensure_shape(latents, (None, self.latent_prior.latent_dim))
        # A ReLU would make a number of NaN, and the answer would look like any other.
        is_valid = tf.reduce_all(tf.math.is_finite(latents), axis=1)
        if labels is not None:
            labels, is_class = self._classes_of(labels, latents)
            is_valid &= is_class
        samples = self._generated(latents, labels)
        if self.spec.is_image:
            samples = self._to_unit(samples)
        is_valid = tf.reshape(is_valid, (-1, *(1 for _ in self.spec.shape)))
        return tf.where(is_valid, samples, np.float32(np.nan))

    def _classes_of(self, labels, latents):
        """Returns labels that the generator has a class for, and where they are given.

        Args:
            labels: int64 `(batch,)`, of any value.
            latents: `(batch, L)`.

        Returns:
            int32 and bool tensors `(batch,)`.
        """
        labels = tf.ensure_shape(labels, (None,))
        classes = self.latent_prior.classes
        is_class = tf.reduce_any(labels[:, None] == classes.astype(np.int64), axis=1)
        if self.refuses:
            # The operation itself: a choice around it would be a function more.
            refusals = [
                tf.raw_ops.Assert(
                    condition=tf.equal(tf.size(labels), tf.shape(latents)[0]),
                    data=["Expected one label for each row. Received:", labels],
                ),
                tf.raw_ops.Assert(
                    condition=tf.reduce_all(is_class),
                    data=[f"Expected labels {_words(classes)}. Received:", labels],
                ),
            ]
            # Both: else another operation might fail first, with another message.
            with tf.control_dependencies(refusals):
                labels, is_class = tf.identity(labels), tf.identity(is_class)
        else:
            # Side by side, which fails where there is one label for several rows: a
            # layer would take it for all of them.
            rows = tf.zeros_like(latents[:, :1], tf.int64)
            labels = tf.concat([labels[:, None], rows], axis=1)[:, 0]
        labels = tf.where(is_class, labels, classes[0])
        return tf.cast(labels, tf.int32), is_class

    def _generated(self, latents, labels):
        # A network is not to see an empty batch: TensorFlow's convolution on CPUs would
        # answer it in the shape of its input.
        count = tf.shape(latents)[0]
        missing = tf.cast(count < 1, tf.int32)
        inputs = filled = tf.pad(latents, ((0, missing), (0, 0)))
        if labels is not None:
            inputs = {"latents": filled, "labels": tf.pad(labels, ((0, missing),))}
        return tf.cast(self.generator(inputs, training=False), tf.float32)[:count]

    def _to_unit(self, samples):
        return self.spec.to_unit(samples)

    def _latents_of_seeds(self, seeds):
        return tf.map_fn(
            self._latents_of,
            tf.ensure_shape(seeds, (None,)),
            fn_output_signature=tf.TensorSpec(
                (self.latent_prior.latent_dim,), tf.float32
            ),
        )

    def _latents_of(self, seed):
        # TFP's stateless seed is two int32 words. One seed a row, so that a row's
        # latents do not depend on the rows before it.
        drawn = self.latent_prior.sample(1, tf.bitcast(seed, tf.int32))
        return _latents(drawn)[0]


def input_specs(latent_prior: priors.LatentPrior, name="serving_default") -> list:
    """Returns what a signature takes, a list of `tf.TensorSpec`."""
    specs = [tf.TensorSpec((None, latent_prior.latent_dim), tf.float32, name="latents")]
    if name in SEEDED:
        specs = [tf.TensorSpec((None,), tf.int64, name="seed")]
    if latent_prior.is_labelled:
        specs.append(tf.TensorSpec((None,), tf.int64, name="labels"))
    return specs


def encode_specs(servable: Servable) -> list:
    """Returns what the signature `encode` takes, a list of `tf.TensorSpec`."""
    shape = (None, *servable.spec.shape)
    return [tf.TensorSpec(shape, tf.float32, name=servable.output_name)]


def write_saved_model(servable: Servable, path: pathlib.Path, names=None) -> None:
    """Writes `saved_model.pb`, `variables/` and `fingerprint.pb` into a directory.

    Args:
        servable: what is exported.
        path: the directory.
        names: signatures, or None for all that `servable` has.

    Raises:
        tf.errors.OpError: the disk is full.
    """
    # `add_endpoint` alone: `track` would store the weights a second time.
    archive = keras.export.ExportArchive()
    for name in names or servable.signature_names:
        inputs = input_specs(servable.latent_prior, name)
        if name == ENCODE:
            inputs = encode_specs(servable)
        archive.add_endpoint(name, getattr(servable, name), inputs)
    archive.write_out(str(path), verbose=False)


def inputs_of_seeds(latent_prior: priors.LatentPrior, seeds) -> dict:
    """Returns what `serving_default` takes, with the latents that `sample` draws.

    Args:
        latent_prior: `priors.LatentPrior`.
        seeds: ints.

    Returns:
        dict, see `inputs_of`.
    """
    drawn = latent_prior.sample_each([int(seed) for seed in seeds])
    return inputs_of(latent_prior, drawn)


def inputs_of(latent_prior: priors.LatentPrior, drawn) -> dict:
    """Returns what `serving_default` takes, with latents that a prior drew.

    Args:
        latent_prior: `priors.LatentPrior`.
        drawn: what it drew, n rows.

    Returns:
        dict of "latents", float32 array `(n, L)`, and, where the prior draws labels,
        "labels", int64 `(n,)`: the classes in turn.
    """
    latents = _latents(drawn).numpy()
    if not latent_prior.is_labelled:
        return {"latents": latents}
    labels = np.resize(latent_prior.classes, len(latents)).astype(np.int64)
    return {"latents": latents, "labels": labels}


def expected_outputs(servable: Servable, inputs: dict) -> np.ndarray:
    """Returns what `serving_default` answers, computed by Keras on the CPU.

    Args:
        servable: what is exported.
        inputs: dict of "latents", float32 array `(batch, L)`, and "labels", int64
            `(batch,)`, where the prior draws some.

    Returns:
        float32 array `(batch, *sample_shape)`; images in [0, 1].
    """
    # Not by `predict`: XLA and GPUs round where the server's CPU does not.
    with tf.device("CPU:0"):
        given = tf.constant(inputs["latents"])
        if "labels" in inputs:
            labels = tf.constant(inputs["labels"], tf.int32)
            given = {"latents": given, "labels": labels}
        samples = servable.generator(given, training=False)
    samples = np.asarray(keras.ops.convert_to_numpy(samples), np.float32)
    return servable.spec.to_unit(samples) if servable.spec.is_image else samples


def expected_latents(servable: Servable, outputs: np.ndarray) -> np.ndarray:
    """Returns what `encode` answers, computed by Keras on the CPU.

    Args:
        servable: what is exported, with an encoder.
        outputs: float32 array `(batch, *sample_shape)`, as `serving_default` gives it.

    Returns:
        float32 array `(batch, L)`.
    """
    with tf.device("CPU:0"):
        return servable.encode(tf.constant(outputs))["latents"].numpy()


def tolerance(generator: keras.Model) -> float:
    """Returns how far two computations of an output in [0, 1] may lie apart.

    1e-5 in float32, whose sums may be added in another order; ten roundings of the
    dtype where a layer computes in 16 bits.
    """
    roundings = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
    dtypes = keras_private.compute_dtypes(generator)
    return max([1e-5] + [10 * roundings[d] for d in dtypes if d in roundings])


def _never_empty(network, batch):
    """Returns what a network makes of a batch, which may have no rows."""
    count = tf.shape(batch)[0]
    missing = tf.cast(count < 1, tf.int32)
    filled = tf.pad(batch, ((0, missing), *[(0, 0)] * (batch.shape.rank - 1)))
    return network(filled)[:count]


def _latents(drawn):
    """Returns the latents of what a prior draws, without labels."""
    return drawn["latents"] if isinstance(drawn, dict) else drawn


def _words(classes):
    """Returns classes in words: "from 0 to 9", or one by one if some are missing."""
    if len(classes) == classes[-1] - classes[0] + 1:
        return f"from {classes[0]} to {classes[-1]}"
    return f"among {', '.join(map(str, classes))}"
