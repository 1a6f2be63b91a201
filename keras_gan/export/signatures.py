"""The signatures of an exported generator, and their SavedModel.

| signature | inputs | outputs |
|---|---|---|
| `serving_default` | `latents` float32 [-1, L] | `images` float32, in [0, 1] |
| `sample` | `seed` int64 [-1], one a row | `images`, `latents` |
| `png` | `latents` | `image_bytes` string [-1] |
| `sample_png` | `seed` int64 [-1] | `image_bytes` string [-1] |

Samples that are no images are called `samples`, keep their values, and have no PNGs.

A row's result depends on that row alone, because a server merges requests into
batches: latents that are NaN give samples that are NaN (a black PNG), and leave the
other rows as they are. Nothing is compiled by XLA, which the server disables, and
nothing keeps a random state, which every replica of a server would start anew.
"""

import dataclasses
import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_gan import keras_private, priors
from keras_gan.samples import SampleSpec

IMAGES, SAMPLES = "images", "samples"
# Those that draw the latents from seeds. All others take latents.
SEEDED = ("sample", "sample_png")


@dataclasses.dataclass(frozen=True, eq=False)
class Servable:
    """A generator and what its signatures must know: the functions that a server runs.

    Attributes:
        generator: Keras model from latents `(batch, L)` to samples.
        latent_prior: `priors.LatentPrior` whose `sample` gives one tensor.
        spec: `SampleSpec` of one sample.
    """

    generator: keras.Model
    latent_prior: priors.LatentPrior
    spec: SampleSpec

    @property
    def output_name(self) -> str:
        """What the signatures call the samples."""
        return IMAGES if self.spec.is_image else SAMPLES

    @property
    def signature_names(self) -> tuple[str, ...]:
        # PNG holds grey pictures, and coloured ones without and with alpha.
        has_png = self.spec.is_image and self.spec.shape[2] in (1, 3, 4)
        of_png = ("png", "sample_png") if has_png else ()
        return ("serving_default", "sample", *of_png)

    def serving_default(self, latents):
        return {self.output_name: self._outputs(latents)}

    def sample(self, seed):
        latents = self._latents_of_seeds(seed)
        return {self.output_name: self._outputs(latents), "latents": latents}

    def png(self, latents):
        pixels = tf.round(self._outputs(latents) * 255.0)
        # A cast of NaN may give a value that depends on the row's place in the batch.
        pixels = tf.where(tf.math.is_nan(pixels), 0.0, pixels)
        pixels = tf.cast(pixels, tf.uint8)
        encoded = tf.map_fn(
            tf.io.encode_png, pixels, fn_output_signature=tf.TensorSpec((), tf.string)
        )
        return {"image_bytes": encoded}

    def sample_png(self, seed):
        return self.png(self._latents_of_seeds(seed))

    def _outputs(self, latents):
        # The runtime does not check the shape of a placeholder.
        latents = tf.ensure_shape(latents, (None, self.latent_prior.latent_dim))
        samples = self._generated(latents)
        if self.spec.is_image:
            samples = self._to_unit(samples)
        # A ReLU would make a number of NaN, and the answer would look like any other.
        is_finite = tf.reduce_all(tf.math.is_finite(latents), axis=1)
        is_finite = tf.reshape(is_finite, (-1, *(1 for _ in self.spec.shape)))
        return tf.where(is_finite, samples, np.float32(np.nan))

    def _generated(self, latents):
        # A network is not to see an empty batch: TensorFlow's convolution on CPUs would
        # answer it in the shape of its input.
        count = tf.shape(latents)[0]
        filled = tf.pad(latents, ((0, tf.cast(count < 1, tf.int32)), (0, 0)))
        return tf.cast(self.generator(filled, training=False), tf.float32)[:count]

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
        return self.latent_prior.sample(1, tf.bitcast(seed, tf.int32))[0]


def latents_spec(latent_prior: priors.LatentPrior) -> tf.TensorSpec:
    """Returns what every signature but the seeded ones takes, float32 `(None, L)`."""
    return tf.TensorSpec((None, latent_prior.latent_dim), tf.float32, name="latents")


def write_saved_model(servable: Servable, path: pathlib.Path, names=None) -> None:
    """Writes `saved_model.pb`, `variables/` and `fingerprint.pb` into a directory.

    Args:
        servable: what is exported.
        path: the directory.
        names: signatures, or None for all that `servable` has.

    Raises:
        tf.errors.OpError: the disk is full.
    """
    latents = latents_spec(servable.latent_prior)
    seed = tf.TensorSpec((None,), tf.int64, name="seed")
    # `add_endpoint` alone: `track` would store the weights a second time.
    archive = keras.export.ExportArchive()
    for name in names or servable.signature_names:
        inputs = seed if name in SEEDED else latents
        archive.add_endpoint(name, getattr(servable, name), [inputs])
    archive.write_out(str(path), verbose=False)


def latents_of_seeds(latent_prior: priors.LatentPrior, seeds) -> np.ndarray:
    """Returns the latents that `sample` draws, float32 `(len(seeds), L)`."""
    return np.concatenate([latent_prior.sample(1, int(seed)).numpy() for seed in seeds])


def expected_outputs(servable: Servable, latents: np.ndarray) -> np.ndarray:
    """Returns what `serving_default` answers, computed by Keras on the CPU.

    Args:
        servable: what is exported.
        latents: float32 array `(batch, L)`.

    Returns:
        float32 array `(batch, *sample_shape)`; images in [0, 1].
    """
    # Not by `predict`: XLA and GPUs round where the server's CPU does not.
    with tf.device("CPU:0"):
        samples = servable.generator(tf.constant(latents), training=False)
    samples = np.asarray(keras.ops.convert_to_numpy(samples), np.float32)
    return servable.spec.to_unit(samples) if servable.spec.is_image else samples


def tolerance(generator: keras.Model) -> float:
    """Returns how far two computations of an output in [0, 1] may lie apart.

    1e-5 in float32, whose sums may be added in another order; ten roundings of the
    dtype where a layer computes in 16 bits.
    """
    roundings = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
    dtypes = keras_private.compute_dtypes(generator)
    return max([1e-5] + [10 * roundings[d] for d in dtypes if d in roundings])
