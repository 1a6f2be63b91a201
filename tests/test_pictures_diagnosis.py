"""The states of trainings with each loss, from logs as that loss writes them."""

import math

import keras
import numpy as np
import pytest

import keras_gan
from keras_gan import critics, evaluation, losses
from keras_gan.pictures import diagnose, training_curves
from tests import extensions

PAPERS = ("minimax", "non_saturating")
LATER = ("hinge", "least_squares", "relativistic", "wasserstein")
ALIKE, COLLAPSED = (0.95, 0.05), (0.1, 0.3)


def logs(loss, real=0.6, fake=-0.6, val_real=None, train_real=None, **more):
    """One line, as a GAN logs it whose logits are all `real` and all `fake`."""
    loss = losses.get(loss)

    def tensor(logit):
        return keras.ops.convert_to_tensor([[np.float32(logit)]])

    def said(prefix, real):
        found = loss.diagnostics(tensor(real), tensor(fake))
        return {f"{prefix}{name}": float(x) for name, x in found.items()}

    line = {
        "discriminator_loss": float(
            loss.discriminator_loss(tensor(real), tensor(fake))
        ),
        "generator_loss": float(loss.generator_loss(tensor(fake), tensor(real))),
        **said("", real),
        **more,
    }
    if val_real is not None:
        line |= said("val_", val_real)
    if train_real is not None:
        line |= {n: x for n, x in said("train_", train_real).items() if "real" in n}
    return line


def history(line, epochs=20, start=None):
    """Epochs that end as `line`; the first ones as `start`, if given."""
    return [
        {"epoch": n, "step": 10 * n, "seconds": 1.0, **(start if n < 4 and start else
                                                        line)}
        for n in range(1, epochs + 1)
    ]  # fmt: skip


@pytest.mark.parametrize("loss", PAPERS + LATER)
def test_a_healthy_training_is_called_so(loss):
    for more in ({}, {"val_real": 0.55}):
        said = diagnose(history(logs(loss, **more)), *ALIKE)
        assert said.state == "training", said
        for word in ("gamma", "augmentation"):
            assert word not in said.explanation


@pytest.mark.parametrize("loss", PAPERS + LATER)
def test_a_collapsed_generator_is_named(loss):
    said = diagnose(history(logs(loss)), *COLLAPSED)
    assert said.state == "generator has collapsed"
    assert "discriminator_steps (k)" in said.explanation
    for word in ("r1 and r2", "gamma", "batch_size"):
        assert (word in said.explanation) == (loss in LATER)
    # Less than the data's diversity, and more than half of it.
    assert diagnose(history(logs(loss)), 0.6, 0.1).state == "training"


@pytest.mark.parametrize("loss", PAPERS + LATER)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_has_diverged(loss, value):
    line = {**logs(loss), "generator_loss": value}
    said = diagnose(history(line), *ALIKE)
    assert said.state == "diverged"
    assert "generator_loss is NaN or infinite: restore" in said.explanation
    assert "learning rates" in said.explanation
    assert ("gamma" in said.explanation) == (loss in LATER)


@pytest.mark.parametrize("loss", LATER)
def test_logits_that_grow_without_end_have_diverged(loss):
    start = logs(loss, 1.0, -1.0)
    said = diagnose(history(logs(loss, 200.0, -200.0), start=start), *ALIKE)
    assert said.state == "diverged"
    size = "79,601" if loss == "least_squares" else "400"
    assert f"is {size}, and was " in said.explanation
    for word in (
        "gradient_penalty",
        "learning rates",
        "r1 and r2",
        "gamma",
        "batch_size",
    ):
        assert word in said.explanation
    # From the first epoch on: no growth, but no logits either.
    said = diagnose(history(logs(loss, 2e3, -2e3)), *ALIKE)
    assert said.state == "diverged"


@pytest.mark.parametrize("loss", ["hinge", "relativistic", "wasserstein"])
def test_what_only_looks_as_if_it_diverged_is_not_named(loss):
    # Distances of a large picture: as large at the start, or not so much smaller.
    for begun in (40.0, 100.0):
        start = logs(loss, begun, -begun)
        said = diagnose(history(logs(loss, 100.0, -100.0), start=start), *ALIKE)
        assert said.state == "training"
    # Ten times the start, and small still.
    start = logs(loss, 0.05, -0.05)
    assert diagnose(history(logs(loss, 5.0, -5.0), start=start)).state == "training"


def test_squares_may_be_larger_than_logits():
    start, end = (logs("least_squares", x, -x) for x in (0.1, 3.0))
    assert diagnose(history(end, start=start), *ALIKE).state == "training"


@pytest.mark.parametrize("loss", ["wasserstein", "relativistic"])
def test_logits_that_drift_together_have_not_diverged(loss):
    """Both losses see differences alone."""
    line = logs(loss, -5000.0, -5001.0)
    assert diagnose(history(line, start=logs(loss, 1.0, 0.0)), *ALIKE).state == (
        "training"
    )


@pytest.mark.parametrize("loss", PAPERS + LATER)
def test_a_discriminator_that_knows_its_examples_by_heart_is_named(loss):
    real, fake, held_out = (4.0, -4.0, -3.0) if loss in PAPERS else (1.0, -1.0, -0.7)
    line = logs(loss, real, fake, val_real=held_out)
    said = diagnose(history(line), *ALIKE)
    # It has run away, too: this says why.
    assert said.state == "discriminator overfits"
    for word in ("augmentation (diffaugment or ada)", "fewer steps", "penalty r1"):
        assert word in said.explanation
    if loss in PAPERS:
        told = (
            "D answers 0.05 on held-out examples, 0.98 on training examples, "
            "0.02 on samples."
        )
    else:
        told = (
            "D's mean logit is -0.70 on held-out examples, 1.00 on training examples, "
            "-1.00 on samples."
        )
    assert told in said.explanation


@pytest.mark.parametrize("loss", PAPERS + LATER)
def test_small_gaps_between_training_and_held_out_examples_are_not_named(loss):
    for real, fake, held_out in (
        (1.0, -1.0, 0.2),  # two fifths of the way
        (0.05, -0.05, -0.04),  # nearly the whole way, which is a short one
        (1.0, -1.0, 1.5),  # held-out examples look more real, if anything
        (-1.0, 1.0, -3.0),  # D is wrong on all
    ):
        said = diagnose(history(logs(loss, real, fake, held_out)), 0.9, 0.1)
        assert said.state != "discriminator overfits", (real, fake, held_out)
        assert "on held-out examples" in said.explanation


@pytest.mark.parametrize("loss", ["non_saturating", "hinge"])
def test_dropout_is_no_overfitting(loss):
    """The training's D drops out units; in the same mode it answers all alike."""
    line = logs(loss, 3.0, -1.0, val_real=0.3, train_real=0.35)
    assert diagnose(history(line), *ALIKE).state == "training"
    line = logs(loss, 0.4, -1.0, val_real=-0.9, train_real=3.0)
    said = diagnose(history(line), *ALIKE)
    assert said.state == "discriminator overfits"


def test_a_shift_between_the_modes_is_no_overfitting():
    """Keras's own validation: running statistics move examples and samples alike."""
    line = logs("hinge", 1.0, -1.0)
    line |= {"val_real_logits": -0.6, "val_fake_logits": -2.5}
    assert diagnose(history(line), *ALIKE).state == "training"
    line["val_fake_logits"] = -1.0
    assert diagnose(history(line), *ALIKE).state == "discriminator overfits"


def test_the_last_evaluation_counts_where_the_last_epochs_have_none():
    lines = history(logs("hinge", 1.0, -1.0))
    early, late = (logs("hinge", 1.0, -1.0, val_real=x) for x in (0.9, -0.9))
    lines[3] |= early
    lines[9] |= late
    assert diagnose(lines, *ALIKE).state == "discriminator overfits"
    lines[18] |= early
    assert diagnose(lines, *ALIKE).state == "training"


@pytest.mark.parametrize("loss", LATER)
def test_a_discriminator_that_prefers_samples_is_behind(loss):
    said = diagnose(history(logs(loss, -0.3, 0.3)), *ALIKE)
    assert said.state == "discriminator is behind" and "gamma" in said.explanation
    assert "D has run away or the two are near equilibrium" in said.explanation
    assert diagnose(history(logs(loss, 0.0, 0.05)), *ALIKE).state == "training"


def test_curves_of_held_out_answers_share_the_panel_of_the_others():
    line = logs("hinge", 1.0, -1.0)
    more = logs("hinge", 1.0, -1.0, val_real=0.5, train_real=0.8)
    assert training_curves(history(line)).shape == training_curves(history(more)).shape
    pictures = [training_curves(history({**more, **x})) for x in (
        {}, {"train_real_logits": 0.2})]  # fmt: skip
    assert not np.array_equal(*pictures)


# === Where the logs are from ===


class Fixed:
    """What `HeldOutAnswers` asks of a GAN; D's logit is the sum of a sample."""

    is_labelled = False
    adversarial_loss = losses.get("hinge")

    def __init__(self, latent_prior, fake):
        self.latent_prior = latent_prior
        self.fake = np.float32(fake)
        self.discriminator = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(1, kernel_initializer="ones")]
        )

    def critic(self, training):
        assert not training
        return critics.Critic(self.discriminator)

    def samples_of(self, latents):
        return np.full((len(latents), 4), self.fake)

    def critic_inputs(self, samples, latents):
        return samples

    def judged_real(self, real, training):
        assert not training
        return real


def dataset(value, count=30):
    rows = np.full((count, 4), value, np.float32)
    rows[::2] -= 0.25
    rows[1::2] += 0.25
    return keras_gan.datasets.Dataset(rows, value_range=None)


def test_held_out_answers_by_hand():
    gan = Fixed(keras_gan.priors.Normal(3), fake=-0.5)
    answers = evaluation.HeldOutAnswers(dataset(0.5), dataset(0.125, count=10))
    assert answers.count == 10
    assert answers(gan) == pytest.approx(
        {"train_real_logits": 2.0, "val_real_logits": 0.5, "val_fake_logits": -2.0}
    )
    gan.adversarial_loss = losses.get("minimax")
    found = answers(gan)
    assert set(found) == {"train_d_real", "val_d_real", "val_d_fake", "val_value"}
    assert found["val_d_fake"] == pytest.approx(1 / (1 + math.exp(2)))
    line = {"epoch": 1, **logs("minimax", 2.0, -2.0), **found}
    assert "on held-out examples" in diagnose([line]).explanation


def test_held_out_answers_of_a_labelled_gan_and_of_packs():
    rows = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    labels = np.arange(300) % extensions.NUM_CLASSES
    data = keras_gan.datasets.Dataset(rows, labels, value_range=None)
    gan = extensions.gan_with("labelled")
    answers = evaluation.HeldOutAnswers(data, data.subset(slice(280), "valid"))
    found = answers(gan)
    assert answers.count == 280  # more than a batch
    logits = gan.discriminator({"samples": rows[:280], "labels": labels[:280]})
    expected = np.mean(1 / (1 + np.exp(-np.asarray(logits, np.float64))))
    assert found["val_d_real"] == found["train_d_real"] == pytest.approx(expected)
    assert 0 < found["val_d_fake"] < 1

    gan = Fixed(keras_gan.priors.Normal(3), fake=-0.5)
    pack = keras_gan.layers.Pack(3)
    dense = keras.layers.Dense(1, kernel_initializer="ones")
    gan.discriminator = keras.Sequential([keras.Input((4,)), pack, dense])
    found = evaluation.HeldOutAnswers(data, data)(gan)
    assert found["val_fake_logits"] == pytest.approx(-6.0)
