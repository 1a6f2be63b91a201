"""What a GAN has learnt since its start, and what its discriminator can tell."""

import operator

import keras
import numpy as np

from keras_gan import datasets, evaluation, metrics
from keras_gan.experiments.building import build


def progress_since_start(gan, experiment, data, samples, seed):
    """Scores a run on images against its own start, and its discriminator.

    Args:
        gan: `GAN` of the run.
        experiment: `Experiment` that it was built by, or None: `GAN.fit` alone leaves
            nothing of the start.
        data: `Dataset` that it was trained on.
        samples: float32 `(N, *image_shape)`, the generator's.
        seed: int, that they were drawn with.

    Returns:
        dict, the part of `evaluate`'s report that speaks of them.
    """
    report = {}
    if evaluation.why_no_covariance(data.spec.num_values) is None:
        drawn = {"pixel_frechet_distance": samples}
        # What a run has taken of another one may be gone.
        if experiment is not None and experiment.train.init_from is None:
            first = build(experiment, data).generate(len(samples), seed=seed)
            drawn["pixel_frechet_distance_at_start"] = first
        moments = evaluation.data_moments(data)
        report = {
            name: metrics.frechet_distance(metrics.Moments().update(rows), moments)
            for name, rows in drawn.items()
        }
        report["num_pixel_samples"] = len(samples)
    examples = data.fixed_examples(len(samples))
    latents = gan.latent_prior.sample(len(samples), seed)
    if gan.is_labelled:
        samples = gan.samples_of(latents)
        labels = data.labels[data.fixed_rows(len(examples))]
        examples = {"samples": examples, "labels": labels.astype("int32")}
    judged = keras.tree.map_structure(np.asarray, gan.critic_inputs(samples, latents))
    report["discriminator_accuracy"] = evaluation.discriminator_accuracy(
        gan, _judged(gan, examples), judged
    )
    # The table holds the other split back, and reads pixels from 0 to 1.
    if (data.name, data.split, data.value_range) == ("digits", "train", (0.0, 1.0)):
        report["digits"] = evaluation.digits_report(
            gan.generate(1000, seed=seed), data, datasets.load("digits", "test")
        )
    return report


def _judged(gan, examples, batch_size=256):
    """Returns what D takes of examples, found for a batch at a time."""
    parts = []
    for start in range(0, len(keras.tree.flatten(examples)[0]), batch_size):
        rows = operator.itemgetter(slice(start, start + batch_size))
        batch = keras.tree.map_structure(rows, examples)
        parts.append(gan.judged_real(batch, training=False))
    return keras.tree.map_structure(lambda *each: np.concatenate(each), *parts)
