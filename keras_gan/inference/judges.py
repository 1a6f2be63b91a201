"""Discriminators that judge one sample at a time, as close to their best as can be."""

import types

import keras
import numpy as np
import tensorflow as tf

from keras_gan import (
    averaging,
    checks,
    critics,
    inputs,
    layer_checks,
    layers,
    losses,
    minibatches,
    model_checks,
    priors,
)
from keras_gan import replicas as all_replicas
from keras_gan.datasets import Dataset
from keras_gan.generation import at_least_float32
from keras_gan.keras_private import compute_dtypes, layers_of
from keras_gan.players import Player, loss_scaled, step_of_players

_BATCH_SIZE = 500


def discriminate(
    gan,
    data,
    steps: int = 2000,
    batch_size: int = 256,
    learning_rate: float = 1e-3,
    seed: int = 0,
    progress=None,
    discriminator=None,
) -> keras.Model:
    """Trains a copy of D against a G that stands still, and returns it.

    By Proposition 1, D/(1 - D) is p_data/p_g where D is at its best for G. A training
    leaves D behind: G has moved on since, penalties kept D smooth, or the loss, as a
    relativistic one, compared logits alone. The copy starts from D's weights and
    ascends V(D, G) of equation (1), which no penalty and no augmentation changes, by
    Adam with a rate that falls to 0 along a cosine. The samples are those that
    `gan.generate` draws: of the averaged generator, where there is one.

    A copy of D sees what D can see. Another network may see more: for points,
    `networks.fourier_discriminator`.

    Args:
        gan: `GAN`. Nothing of it changes.
        data: what `GAN.fit` takes as a whole: a `datasets.Dataset`, an array, (x,
            labels) or a dict. Other data than `calibrate` is given: D knows these.
        steps: int >= 1.
        batch_size: int >= 1, examples a step, and as many samples.
        learning_rate: float > 0, the first.
        seed: int in [0, 2**32), of the order of the examples, of the latents and of
            what layers draw. The same seed gives the same model.
        progress: None, or a function of the share of the steps that are made.
        discriminator: None for a copy of D, or a built Keras model of what D takes to
            one logit each, which is trained itself, but for layers that are frozen, and
            returned.

    Returns:
        Keras model of what D takes. It judges each sample alone: where D has layers of
        minibatch standard deviation, those of the copy see groups of one.

    Raises:
        ValueError: no GAN, data that do not fit it, or another argument; a D of packs,
            or one that Keras cannot copy; a discriminator that does not fit, or that
            judges samples together.
    """
    check_gan(gan)
    if discriminator is not None:
        _check_discriminator(gan, discriminator)
    steps = checks.count("steps", steps)
    batch_size = checks.count("batch_size", batch_size)
    if not (checks.is_number(learning_rate) and learning_rate > 0):
        raise ValueError(
            f"Expected `learning_rate` to be a float > 0. Received: {learning_rate!r}"
        )
    seed = checks.count("seed", seed, minimum=0, maximum=2**32 - 1)
    data = _dataset(gan, data)
    batches = data.batches(batch_size, seed, endless=True, labels=gan.is_labelled)
    judge = discriminator
    if discriminator is None:
        judge = _copy_alone(gan)
        judge.trainable = True
    model_checks.spread_seed(seed, [judge])
    rate = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = keras.optimizers.Adam(rate)
    if "float16" in compute_dtypes(judge):
        optimizer = loss_scaled(optimizer)
    one = all_replicas.Replicas(tf.distribute.get_strategy())
    player = Player("discriminator", judge, optimizer, one, may_be_empty=False)

    @tf.function(reduce_retracing=True)
    @step_of_players
    def step(batch, seed):
        real = minibatches.examples(batch, gan.spec, gan.latent_prior)
        size = tf.shape(minibatches.samples_in(real))[0]
        latents = gan.latent_prior.sample(size, seed)
        if gan.is_labelled:
            latents = priors.with_labels(latents, real["labels"])
        fake = gan.judged(latents, training=False)
        # All at once: what normalises by a batch sees both kinds, as it will later.
        both = tf.nest.map_structure(
            lambda x, y: tf.concat([x, tf.cast(y, x.dtype)], 0), real, fake
        )
        with tf.GradientTape() as tape:
            logits = critics.logits(at_least_float32(judge(both, training=True)))
            loss = losses.discriminator_loss(logits[:size], logits[size:])
        player.descend(tape, loss, size)

    for number, batch in enumerate(batches.take(steps)):
        step(batch, priors.stateless_seed(seed_of(seed, 10, number)))
        if progress is not None:
            progress((number + 1) / steps)
    if discriminator is None:
        judge.trainable = False
    return judge


def judge_of(gan) -> keras.Model:
    """Returns D as one that judges each sample alone: D itself, where it does so.

    Raises:
        ValueError: as `discriminate`.
    """
    check_gan(gan)
    if any(isinstance(layer, _OF_BATCHES) for layer in layers_of(gan.discriminator)):
        return _copy_alone(gan)
    return gan.discriminator


def logits_of(judge, samples, labels=None, batch_size: int = _BATCH_SIZE) -> np.ndarray:
    """Returns the logits of samples, float64 `(n,)`.

    Args:
        judge: Keras model, see `judge_of`.
        samples: float `(n, *sample_shape)`.
        labels: int `(n,)`, where D takes them, or None.
        batch_size: int, samples that it judges at once.
    """
    given = samples if labels is None else {"samples": samples, "labels": labels}
    answers = all_replicas.predict_locally(judge, given, batch_size)
    return critics.logits(answers)[:, 0].astype(np.float64)


def check_gan(gan):
    """Raises ValueError unless there is a D that judges sample by sample."""
    if not hasattr(gan, "discriminator"):
        raise ValueError(
            "Expected a GAN, whose discriminator judges its samples. Received: "
            f"{type(gan).__name__}, which has none; load the run or the .keras file"
        )
    taken = getattr(gan.discriminator, "input", None)
    others = set(taken) - {"samples", "labels"} if isinstance(taken, dict) else ()
    if others:
        raise ValueError(
            "Expected a discriminator of samples, or of samples and labels. Received: "
            f"{gan.discriminator.name!r}, which takes {', '.join(sorted(others))} too"
        )
    if any(isinstance(layer, layers.Pack) for layer in layers_of(gan.discriminator)):
        raise ValueError(
            "Expected a discriminator that judges each sample. Received: "
            f"{gan.discriminator.name!r}, which judges packs of samples together"
        )


def _check_discriminator(gan, discriminator):
    """Raises ValueError unless it judges, sample by sample, what the GAN's D takes."""
    _, columns = model_checks.shapes(
        gan.generator, discriminator, gan.latent_prior, gan.critic_inputs
    )
    layer_checks.check_layers([discriminator], gan.latent_prior)
    of_batches = (_OF_BATCHES, layers.Pack)
    found = [each for each in layers_of(discriminator) if isinstance(each, of_batches)]
    known = {id(variable) for variable in gan.variables}
    if any(id(variable) in known for variable in discriminator.variables):
        raise ValueError(
            "Expected a discriminator of its own weights, which are trained. Received: "
            f"{discriminator.name!r}, which shares some with the GAN; leave it out to "
            "train a copy of D"
        )
    if not discriminator.trainable_variables:
        raise ValueError(
            "Expected a discriminator with weights to train. Received: "
            f"{discriminator.name!r}, all of whose layers are frozen or have none"
        )
    if found or columns != 1:
        what = f"layer {found[0].name!r}" if found else f"{columns} columns"
        raise ValueError(
            "Expected a discriminator that gives each sample one logit, by that sample "
            f"alone. Received: {discriminator.name!r}, with {what}"
        )


def check_finite(logits):
    """Raises ValueError for logits that are NaN or infinite."""
    bad = np.count_nonzero(~np.isfinite(logits))
    if bad:
        raise ValueError(
            "Expected a discriminator whose logits are finite. Received: NaN or "
            f"infinity in {bad:,} of {len(logits):,}; its training diverged: load an "
            "earlier model"
        )


def seed_of(*words) -> int:
    """Returns a seed of 64 bits that ints >= 0 stand for.

    Zeros at the end count for nothing: (7, 3, 0) gives what (7, 3) gives. So the second
    word names what the seed is for, and nothing else has that word.
    """
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


def examples_of(gan, data, most: int):
    """Returns at most so many examples of whole data, as D takes them.

    Args:
        gan: `GAN`.
        data: see `discriminate`.
        most: int.

    Returns:
        (examples, labels): float32 `(n, *sample_shape)`; int32 `(n,)` or None.

    Raises:
        ValueError: data that do not fit the GAN.
    """
    data = _dataset(gan, data)
    rows = data.fixed_rows(min(most, len(data)))
    labels = data.labels[rows].astype(np.int32) if gan.is_labelled else None
    return data.examples(rows), labels


# D's layers that make an answer depend on the other samples of a batch.
_OF_BATCHES = layers.MinibatchStandardDeviation


def _copy_alone(gan):
    """Returns a copy of D in which each sample is a group of its own."""
    samples = keras.KerasTensor((None, *gan.sample_shape), dtype="float32")
    inputs_of_d = samples
    if gan.is_labelled:
        labels = keras.KerasTensor((None,), dtype="int32")
        inputs_of_d = {"samples": samples, "labels": labels}
    copy = averaging.copy_of(
        gan.discriminator, inputs_of_d, "a discriminator", "another training of it"
    )
    for layer in layers_of(copy):
        if isinstance(layer, _OF_BATCHES):
            layer.group_size = 1
    return copy


def _dataset(gan, data):
    """Returns whole data as a `Dataset`, checked as `fit` checks them."""
    if isinstance(data, Dataset):
        inputs.checked(data, gan)
        return data
    parts = data if isinstance(data, tuple) else tf.nest.flatten(data)
    if not all(
        isinstance(x, np.ndarray | types.NoneType) or tf.is_tensor(x) for x in parts
    ):
        raise ValueError(
            "Expected whole data: a Dataset of keras_gan, an array, (x, labels) or a "
            f"dict. Received: {type(data).__name__}"
        )
    data = tf.nest.map_structure(lambda x: x if x is None else np.asarray(x), data)
    data = inputs.checked_pair(data, gan)
    if isinstance(data, dict):
        data = minibatches.samples_of(data)
    x, labels, *_ = data if isinstance(data, tuple) else (data, None)
    # Floats may lie outside the range by a little, as in `fit`: they are not scaled.
    value_range = gan.value_range if x.dtype == np.uint8 else None
    labels = labels if gan.is_labelled else None
    return Dataset(x, labels, value_range, kind="vector")
