"""The health of a training: its curves, its diagnosis, and the page of both."""

import math
import warnings

import numpy as np
import pytest

from keras_gan.pictures import (
    diagnose,
    grids,
    health_page,
    sample_spread,
    training_curves,
)


def is_colour(picture, colour):
    return (np.abs(picture.astype(int) - colour) < 40).all(axis=-1)


GREEN = (44, 160, 44)
LOG_4 = math.log(4)


def history(epochs=20, value=-1.0, d_real=0.7, d_fake=0.3, generator_loss=1.4):
    return [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "seconds": 1.0,
            "discriminator_loss": -value,
            "generator_loss": generator_loss,
            "value": value,
            "d_real": d_real,
            "d_fake": d_fake,
        }
        for epoch in range(1, epochs + 1)
    ]


def test_the_curves_mark_the_equilibrium():
    """On a linear axis the mark at 1/2 lies midway between .9 and .1."""
    picture = training_curves(history(d_real=0.9, d_fake=0.1))
    assert picture.shape == (300, 1000, 3)
    panel = picture[40:240, 780:790]
    rows = []
    for colour in ((0, 0, 0), (115, 115, 115), GREEN):
        shown = is_colour(panel, colour)
        rows.append(np.nonzero(shown.any(axis=1))[0].mean())
    assert rows[2] - rows[0] > 100
    assert rows[1] == pytest.approx((rows[0] + rows[2]) / 2, abs=1.5)


def critic_history(epochs=20, real=2.0, fake=-1.0, **more):
    """The logs of a loss whose D has no probability for its sigmoid."""
    return [
        {
            "epoch": epoch,
            "step": 10 * epoch,
            "seconds": 1.0,
            "discriminator_loss": fake - real,
            "generator_loss": -fake,
            "critic_real": real,
            "critic_fake": fake,
            **more,
        }
        for epoch in range(1, epochs + 1)
    ]


def test_curves_of_any_logs_have_a_panel_for_each_quantity():
    """Losses share one, and so do what differs in a number or in real and fake."""
    losses = {"epoch": 1, "discriminator_loss": 1.0, "generator_loss": 2.0}
    for more, rows in (
        ({}, 1),
        ({"encoder_loss": 1.0, "critic_real": 1.0, "critic_fake": 0.0}, 1),
        ({"r1": 1.0, "r2": 2.0, "value": -1.0}, 1),
        ({"margin": 1.0, "penalty": 2.0, "r1": 1.0, "val_r1": 1.0}, 2),
        ({f"{letter}_term": 1.0 for letter in "abcdef"}, 3),
    ):
        picture = training_curves([{**losses, **more}])
        assert picture.shape == (300 * rows, 1000, 3), more
    alone = training_curves([losses])
    assert not np.array_equal(alone, training_curves([{**losses, "encoder_loss": 1}]))


def test_curves_of_a_critic_show_its_terms():
    """Three panels: the critic's on data is drawn black, above its own on samples."""
    picture = training_curves(critic_history(gradient_penalty=0.1))
    assert picture.shape == (300, 1000, 3)
    middle = picture[:, 333:667]
    rows = [
        np.nonzero(is_colour(middle, colour).sum(axis=1) > 200)[0].mean()
        for colour in ((0, 0, 0), GREEN)
    ]
    assert rows[1] - rows[0] > 100
    purple = (148, 103, 189)
    assert is_colour(picture[:, 700:], purple).any()
    assert not is_colour(picture[:, :667], purple).any()


def test_a_log_may_be_missing_from_some_lines():
    """Scores of validation every other epoch; the curve goes on between them."""
    lines = history(20)
    panels = [training_curves(lines)]
    for line in lines[::2]:
        line["val_d_real"] = 0.2
    panels.append(training_curves(lines))
    # The lower half of the axes of D's answers: d_real, at 0.7, lies above.
    plain, dotted = (
        is_colour(picture[110:190, 720:980], (0, 0, 0)).any(axis=0).mean()
        for picture in panels
    )
    assert plain == 0 and dotted > 0.15


def test_curves_of_what_is_not_finite():
    """A training that diverged, and a score that is infinite at the start."""
    lines = history(20)
    lines[0]["score"], lines[-1]["score"] = -math.inf, 1.0
    lines[-1]["generator_loss"] = math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = training_curves(lines)
    assert is_colour(picture[:, :333], GREEN).any()


@pytest.mark.parametrize("last", [0.1, 9.0])
def test_no_legend_covers_a_curve(last):
    """The generator's loss lies at the top or at the bottom all the way."""
    lines = history(100, value=-5.0, generator_loss=last)
    losses = training_curves(lines)[:, :333]
    # One row of pixels has the whole of the curve, ten elevenths of the axes.
    assert is_colour(losses, GREEN).sum(axis=1).max() > 240


def test_curves_of_one_epoch_can_be_seen():
    several, one = (training_curves(history(n)) for n in (20, 1))
    assert is_colour(several, GREEN).any() and is_colour(one, GREEN).sum() > 20


@pytest.mark.parametrize("draw", [training_curves, diagnose])
def test_lines_without_logs_are_named(draw):
    with pytest.raises(ValueError, match="at least one epoch"):
        draw([])
    for wrong in ({}, [], {**history(1)[0], "d_fake": "0.5"}):
        with pytest.raises(ValueError, match="Received: line 3 without") as error:
            draw([*history(2), wrong])
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("logs", "spread", "state", "advice"),
    [
        ({"value": -0.01, "d_real": 0.99, "d_fake": 0.01}, (), "discriminator has run",
         "non_saturating"),
        ({"value": -0.01, "d_real": 0.99, "d_fake": 0.01}, (0.1, 2.0),
         "discriminator has run", "log(1 - D(G(z))) saturates"),
        ({}, (0.1, 0.2), "generator has collapsed", "Helvetica"),
        ({"value": -1.35, "d_real": 0.55, "d_fake": 0.45}, (0.1, 0.2),
         "generator has collapsed", "discriminator_steps (k)"),
        ({"value": -LOG_4, "d_real": 0.5, "d_fake": 0.5}, (0.1, 0.2),
         "discriminator has not left", "no equilibrium"),
        ({"value": -LOG_4, "d_real": 0.5, "d_fake": 0.5}, (1.0, 3.0),
         "discriminator has not left", "higher rate for D"),
        ({"value": -1.37, "d_real": 0.51, "d_fake": 0.49}, (0.97, 0.1),
         "near equilibrium", "theorem 1"),
        ({"value": -1.37, "d_real": 0.51, "d_fake": 0.49}, (),
         "near equilibrium or at the start", "Look at the samples"),
        ({"value": -1.8, "d_real": 0.4, "d_fake": 0.6}, (0.9, 0.1),
         "discriminator is behind", "without updating D"),
        ({}, (), "training", "Neither network has won"),
        ({}, (0.9, 0.1), "training", "look at them"),
        ({"generator_loss": math.nan}, (0.9, 0.1), "diverged", "last saved model"),
        ({"value": -math.inf}, (), "diverged", "learning rates"),
    ],
)  # fmt: skip
def test_diagnose(logs, spread, state, advice):
    diagnosis = diagnose(history(**logs), *spread)
    assert diagnosis.state.startswith(state) and advice in diagnosis.explanation
    if state == "near equilibrium":
        assert diagnosis.state == state
    assert "Epochs 18 to 20" in diagnosis.explanation


def test_diagnose_looks_at_the_last_epochs():
    early = history(17, value=-0.01, d_real=0.99, d_fake=0.01)
    late = history(20)[17:]
    assert diagnose([*early, *late]).state == "training"
    assert diagnose(early).state == "discriminator has run away"
    assert "Epochs 91 to 100:" in diagnose(history(100)).explanation
    assert diagnose(history(1)).explanation.startswith("Epoch 1: D(x) 0.70, ")


@pytest.mark.parametrize(
    ("logs", "spread", "state", "said"),
    [
        ({}, (0.9, 0.1), "training", "Nothing here points to a failure"),
        ({}, (), "training", "look at them"),
        ({}, (0.1, 0.2), "generator has collapsed", "Helvetica"),
        ({"fake": math.inf}, (0.9, 0.1), "diverged",
         "discriminator_loss and generator_loss are NaN or infinite: restore the last "
         "saved model"),
        ({"score": -math.inf}, (), "training", "Nothing here points to a failure"),
    ],
)  # fmt: skip
def test_diagnose_without_probabilities(logs, spread, state, said):
    diagnosis = diagnose(critic_history(**logs), *spread)
    assert diagnosis.state == state and said in diagnosis.explanation
    assert (
        "D(x), D(G(z)) and value are not logged, so the logs do not say whether D has "
        "run away, D is behind or the two are near equilibrium."
        in diagnosis.explanation
    )
    for wrong in ("-log 4", "log(1 - D(G(z)))", "Neither network has won"):
        assert wrong not in diagnosis.explanation


def test_diagnose_tells_what_the_logs_of_a_critic_were():
    explanation = diagnose(critic_history(r1=0.125)).explanation
    assert explanation.startswith(
        "Epochs 18 to 20: discriminator_loss -3.00, generator_loss 1.00, "
        "critic_real 2.00, critic_fake -1.00, r1 0.12. "
    )


def test_diagnose_uses_the_answers_that_are_there():
    run_away = {"value": -0.01, "d_real": 0.99, "d_fake": 0.01}
    behind = {"value": -1.8, "d_real": 0.4, "d_fake": 0.6}
    for values, missing, state, unsaid in (
        (run_away, ["value"], "discriminator has run away",
         "value is not logged, so the logs do not say whether D is behind or"),
        (behind, ["d_real", "d_fake"], "discriminator is behind",
         "D(x) and D(G(z)) are not logged, so the logs do not say whether D has run "
         "away or the two are near"),
        (run_away, ["d_fake"], "training", "D(G(z)) is not logged"),
    ):  # fmt: skip
        lines = history(**values)
        for line in lines:
            for name in missing:
                del line[name]
        diagnosis = diagnose(lines)
        assert diagnosis.state == state and unsaid in diagnosis.explanation


def test_sample_spread_by_hand():
    examples = np.array([[0.0, 0.0], [0.0, 2.0]])
    samples = np.array([[3.0, 1.0], [4.0, 1.0]])
    assert sample_spread(samples, examples) == pytest.approx((0.5, 1.75))
    rng = np.random.default_rng(0)
    alike = rng.random((2, 2000, 3, 3, 1))
    diversity, offset = sample_spread(*alike)
    assert diversity == pytest.approx(1, abs=0.02) and offset < 0.05
    assert sample_spread(np.zeros((5, 9)), alike[0])[0] == 0
    for wrong in ((samples[:1], examples), (samples, np.zeros((5, 3)))):
        with pytest.raises(ValueError, match="at least two samples and two examples"):
            sample_spread(*wrong)
    with pytest.raises(ValueError, match="not all equal"):
        sample_spread(samples, np.ones((5, 2)))


def test_the_health_page_holds_words_curves_and_samples():
    lines = history()
    diagnosis = diagnose(lines)
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (30, 40, 1)).astype(np.uint8)
    pictures = [(f"epoch {i}", grids.enlarge(small)) for i in range(3)]
    page = health_page(lines, diagnosis, pictures)
    plain = health_page(lines, diagnosis)
    assert page.shape[1:] == plain.shape[1:] == (1000, 3)
    height = 60 + 19 * 2
    curves = training_curves(lines)
    np.testing.assert_array_equal(page[height : height + 300], curves)
    assert len(plain) == height + 300 and (plain[:height] < 128).any()
    # Of 320 pixels, 40 fit eight times.
    shown = small.repeat(8, axis=0).repeat(8, axis=1)
    for index in range(3):
        left = 333 * index + 166 - 160
        part = page[height + 336 : height + 336 + 240, left : left + 320]
        np.testing.assert_array_equal(part, np.broadcast_to(shown, part.shape))


def test_the_health_page_of_a_critic():
    lines = critic_history(r1=0.1)
    page = health_page(lines, diagnose(lines))
    curves = training_curves(lines)
    np.testing.assert_array_equal(page[-len(curves) :], curves)
    assert (page[: len(page) - len(curves)] < 128).any()
