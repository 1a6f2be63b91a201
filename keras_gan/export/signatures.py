"""The three signatures of an exported generator, and their SavedModel."""

import keras
import numpy as np
import tensorflow as tf

from keras_gan import keras_private
from keras_gan.samples import to_unit

# Batch sizes of the warmup requests: one request, and a batch of them.
WARMUP_SIZES = (1, 8)


def write_saved_model(generator, latent_prior, sample_shape, value_range, path):
    """Writes `saved_model.pb`, `variables/` and `fingerprint.pb`.

    | signature | inputs | outputs |
    |---|---|---|
    | `serving_default` | `latents` float32 [-1, L] | `images` float32, in [0, 1] |
    | `sample` | `seed` int64 [-1], one a row | `images`, `latents` |
    | `png` | `latents` | `image_bytes` string [-1] |

    Samples that are no images are called `samples`, stay as they are, and have no
    `png`. Nothing in them is compiled by XLA, and nothing keeps a random state. A row's
    result depends on that row alone: latents that are NaN give samples that are NaN (a
    black PNG), and requests that a server merged with theirs are answered as ever.

    Args:
        generator: Keras model from latents `(batch, L)` to samples.
        latent_prior: `priors.LatentPrior`.
        sample_shape: tuple of int.
        value_range: (low, high) of the samples, or None where they are no images.
        path: path-like, a directory.

    Raises:
        tf.errors.OpError: a disk that is full.
    """
    latent_dim = latent_prior.latent_dim
    name = output_name(value_range)

    def outputs(latents):
        # The runtime checks no placeholder's shape by itself.
        latents = tf.ensure_shape(latents, (None, latent_dim))
        samples = tf.cast(generator(latents, training=False), tf.float32)
        if value_range is None:
            return samples
        low, high = value_range
        return tf.clip_by_value((samples - low) / (high - low), 0.0, 1.0)

    def serving_default(latents):
        return {name: outputs(latents)}

    def latents_of(seed):
        # Two int32 words are TFP's stateless seed: a row's latents are its own.
        return latent_prior.sample(1, tf.bitcast(seed, tf.int32))[0]

    def sample(seed):
        latents = tf.map_fn(
            latents_of,
            tf.ensure_shape(seed, (None,)),
            fn_output_signature=tf.TensorSpec((latent_dim,), tf.float32),
        )
        return {name: outputs(latents), "latents": latents}

    def png(latents):
        pixels = tf.round(outputs(latents) * 255.0)
        # What a cast makes of NaN may depend on the row's place in the batch.
        pixels = tf.where(tf.math.is_nan(pixels), 0.0, pixels)
        pixels = tf.cast(pixels, tf.uint8)
        encoded = tf.map_fn(
            tf.io.encode_png, pixels, fn_output_signature=tf.TensorSpec((), tf.string)
        )
        return {"image_bytes": encoded}

    archive = keras.export.ExportArchive()
    latents_spec = tf.TensorSpec((None, latent_dim), tf.float32, name="latents")
    seed_spec = tf.TensorSpec((None,), tf.int64, name="seed")
    archive.add_endpoint("serving_default", serving_default, [latents_spec])
    archive.add_endpoint("sample", sample, [seed_spec])
    if has_png(sample_shape, value_range):
        archive.add_endpoint("png", png, [latents_spec])
    archive.write_out(str(path), verbose=False)


def output_name(value_range):
    """What samples are called in the signatures."""
    return "samples" if value_range is None else "images"


def has_png(sample_shape, value_range):
    """Whether samples are images that PNG can hold: grey, colour, with alpha."""
    return (
        value_range is not None
        and len(sample_shape) == 3
        and sample_shape[2] in (1, 3, 4)
    )


def write_warmup(path, name, latent_prior, signatures):
    """Writes the requests that the server runs before it says that it is ready.

    Args:
        path: `pathlib.Path`, the version's directory.
        name: str, the model's name.
        latent_prior: `priors.LatentPrior`.
        signatures: names of signatures; each gets a request of every `WARMUP_SIZES`.
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    folder = path / "assets.extra"
    folder.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / "tf_serving_warmup_requests")) as writer:
        for signature in signatures:
            for size in WARMUP_SIZES:
                request = predict_pb2.PredictRequest()
                request.model_spec.name = name
                request.model_spec.signature_name = signature
                if signature == "sample":
                    request.inputs["seed"].CopyFrom(
                        tf.make_tensor_proto(np.arange(size, dtype=np.int64))
                    )
                else:
                    request.inputs["latents"].CopyFrom(
                        tf.make_tensor_proto(latent_prior.sample(size, 0).numpy())
                    )
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(request=request)
                )
                writer.write(log.SerializeToString())


def latents_of_seeds(latent_prior, seeds):
    """The latents that the signature `sample` draws, float32 `(len(seeds), L)`."""
    return np.concatenate([latent_prior.sample(1, int(seed)).numpy() for seed in seeds])


def expected_outputs(generator, latents, value_range):
    """What `serving_default` answers, computed by Keras on the CPU without XLA."""
    # Not by `predict`: XLA and GPUs round where the server's CPU does not.
    with tf.device("CPU:0"):
        samples = generator(tf.constant(latents), training=False)
    samples = np.asarray(keras.ops.convert_to_numpy(samples), np.float32)
    return samples if value_range is None else to_unit(samples, value_range)


def tolerance(generator):
    """How far two computations of an output in [0, 1] may lie apart.

    1e-5 in float32: sums in another order. Where a layer computes in 16 bits, ten
    roundings of its dtype.
    """
    roundings = {"float16": 2.0**-11, "bfloat16": 2.0**-8}
    dtypes = keras_private.compute_dtypes(generator)
    return max([1e-5] + [10 * roundings[d] for d in dtypes if d in roundings])
