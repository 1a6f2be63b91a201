"""A training by minutes: how many epochs fit, and that nothing else changes."""

import json
import math
import sys
import types

import numpy as np
import pytest

from keras_gan import experiments, keras_private, runs
from keras_gan.commands import console, train
from keras_gan.experiments.parts import MOST_EPOCHS, Train
from keras_gan.runs import checkpoint, time_budget
from keras_gan.runs.time_budget import Costs


class Clock:
    """Seconds that pass when told to."""

    now = 100.0

    def __call__(self):
        return self.now


def epochs_of(costs, minutes=30, steps=312, spent=0.0, **train_settings):
    clock = Clock()
    budget = time_budget.TimeBudget(minutes, clock)
    clock.now += spent
    return budget.epochs(costs, steps, Train(epochs=1, **train_settings))


# === The arithmetic ===


@pytest.mark.parametrize(
    ("costs", "more", "epochs"),
    [
        # 1,800 s, of which a tenth stays free: 1620 / (312 * .085) = 61.08.
        (Costs(0.0, 0.085), {}, 61),
        # Start, end and what has passed already come off first.
        (Costs(100.0, 0.085, end=20.0), {"spent": 80.0}, 54),
        # A picture each epoch; one every tenth.
        (Costs(0.0, 0.085, picture=26.52), {}, 30),
        (Costs(0.0, 0.085, picture=26.52), {"sample_epochs": 10}, 55),
        # Scores every fifth epoch, or never.
        (Costs(0.0, 0.085, evaluation=132.6), {"evaluation_epochs": 5}, 30),
        (Costs(0.0, 0.085, evaluation=132.6), {}, 61),
        # An epoch of 1,799 s ends in time, though nothing stays free then.
        (Costs(10.0, 1799 / 312), {}, 1),
        (Costs(0.0, 0.0), {}, MOST_EPOCHS),
        (Costs(0.0, 1e-9), {"minutes": 1e9}, MOST_EPOCHS),
        (Costs(5.0, 0.001), {"minutes": 1e307}, MOST_EPOCHS),  # infinite seconds
        (Costs(5.0, 0.001), {"minutes": 0.05, "steps": 11}, 1),
    ],
)
def test_epochs_that_fit_by_hand(costs, more, epochs):
    assert epochs_of(costs, **more)[0] == epochs


def test_one_line_says_what_was_measured_and_what_follows():
    assert epochs_of(Costs(0.0, 0.085))[1] == (
        "A step takes 85 ms: 61 epochs of 312 steps fit 30 minutes."
    )
    assert epochs_of(Costs(0.0, 40.0), steps=40)[1] == (
        "A step takes 40 s: 1 epoch of 40 steps fits 30 minutes."
    )
    # It starts in time and ends late: no claim that it fits.
    assert epochs_of(Costs(200.0, 1.7), steps=1000)[1] == (
        "A step takes 1.7 s: 1 epoch of 1,000 steps takes about 32 minutes, with its "
        "start and its end."
    )


def test_an_epoch_that_is_longer_than_the_minutes_is_refused_with_its_time():
    with pytest.raises(ValueError) as error:
        epochs_of(Costs(1.0, 1.5), steps=3120)
    assert str(error.value) == (
        "Expected `minutes` for one epoch at least, whose 3,120 steps of 1.5 s take "
        "78 minutes. Received: 30; allow more, or pass epochs=1 instead"
    )
    assert epochs_of(Costs(1.0, 1.5), steps=1199)[0] == 1  # some 1,799 s of 1,800


@pytest.mark.parametrize("minutes", [0, -1, math.nan, math.inf, True, "30"])
def test_other_minutes_are_refused(minutes):
    with pytest.raises(ValueError, match="`minutes` to be a number above 0. Received"):
        time_budget.TimeBudget(minutes)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00025, "0.25 ms"), (0.0021, "2.1 ms"), (0.085, "85 ms"), (0.9994, "999 ms"),
        (0.9999, "1.0 s"), (1.44, "1.4 s"), (9.96, "10 s"), (119, "119 s"),
        (120, "2 minutes"), (360000, "6,000 minutes"),
    ],
)  # fmt: skip
def test_durations_in_words(seconds, text):
    assert time_budget.duration(seconds) == text


# === The measuring ===


def timed(seconds, steps_per_epoch, each, first=30.0, together=1, pause=None):
    """The costs that a `Timer` finds of steps that take `each` seconds."""
    clock = Clock()
    timer = time_budget.Timer(seconds, clock)
    timer.set_params({"steps": steps_per_epoch, "epochs": MOST_EPOCHS})
    model = types.SimpleNamespace(stop_training=False)
    timer.set_model(model)
    done = 0
    while not model.stop_training:
        epoch, batch = divmod(done, steps_per_epoch)
        if batch == 0:
            timer.on_epoch_begin(epoch)
        done += together
        clock.now += first if done == together else together * each
        if pause and done == pause[0]:
            clock.now += pause[1]
        timer.on_train_batch_end(batch + together - 1)
    clock.now += 7.0
    return timer.costs(), done


def test_the_timer_leaves_the_first_execution_to_the_start():
    costs, done = timed(10.0, 312, 0.1)
    assert costs.start == pytest.approx(30.0) and costs.end == pytest.approx(7.0)
    assert costs.step == pytest.approx(0.1)
    assert 100 <= done <= 110
    assert (costs.picture, costs.evaluation) == (0.0, 0.0)


def test_the_timer_counts_steps_over_epochs_and_executions():
    costs, done = timed(1.0, 11, 0.004, together=11)
    assert costs.step == pytest.approx(0.004) and done > 200
    # Steps longer than all seconds: two of them after the first.
    costs, done = timed(1.0, 312, 20.0)
    assert costs.step == pytest.approx(20.0) and done == 3


def test_a_pause_of_the_machine_does_not_move_the_time_of_a_step():
    costs, _ = timed(10.0, 312, 0.1, pause=(50, 4.0))
    assert costs.step == pytest.approx(0.1)
    # The first epoch ends early, with a model to save: longer than all is measured.
    costs, done = timed(1.2, 2, 0.05, together=2, pause=(4, 1.5))
    assert costs.step == pytest.approx(0.05) and done < 40


# === A training ===


def state_of(path):
    """What a run has left, without its times: logs, and the last checkpoint."""
    lines = (path / "metrics.jsonl").read_text().splitlines()
    logs = [json.loads(line) for line in lines]
    for line in logs:
        del line["seconds"]
    last = checkpoint.newest(path / "checkpoints")
    # Its names too: what was made for the measurement counts nowhere.
    weights = {name: value.tobytes() for name, value in last.state.items()}
    return logs, weights, (path / "reals.png").read_bytes()


def test_minutes_decide_the_epochs_and_nothing_else(tmp_path, monkeypatch, caplog):
    """Measured, then trained: to the last bit what --epochs gives."""
    caplog.set_level("INFO", "keras_gan")
    measured = []

    def three(self, costs, steps, settings):
        measured.append((costs, steps))
        return 3, "said"

    monkeypatch.setattr(time_budget.TimeBudget, "epochs", three)
    preset = experiments.get_preset(
        "digits", {"ema_decay": 0.9, "discriminator_steps": 2}
    )
    by_minutes = runs.Run(tmp_path / "minutes", preset)
    with keras_private.numbers_of_names_kept():  # as two processes count them
        runs.train(by_minutes, minutes=0.01)
    [(costs, steps)] = measured
    assert steps == 6 and costs.step > 0 and costs.start > costs.step
    assert costs.picture > 0 and costs.end > 0
    said = [r.getMessage() for r in caplog.records if r.name == "keras_gan"]
    # The measurement itself trains in silence, and one training is announced.
    assert said.count("said") == 1
    assert sum(text.startswith("Training digits on") for text in said) == 1
    assert by_minutes.experiment.train.epochs == 3
    assert runs.Run.open(by_minutes.path).experiment == by_minutes.experiment
    by_epochs = runs.Run(tmp_path / "epochs", preset.with_settings({"train.epochs": 3}))
    runs.train(by_epochs)
    ours, theirs = state_of(by_minutes.path), state_of(by_epochs.path)
    assert len(ours[0]) == 3
    assert ours == theirs
    for name in ("epoch_00000.png", "epoch_00003.png"):
        pictures = [r.samples_dir / name for r in (by_minutes, by_epochs)]
        assert pictures[0].read_bytes() == pictures[1].read_bytes()


@pytest.mark.slow
def test_a_resumed_run_keeps_its_epochs(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "keras_gan")
    monkeypatch.setattr(time_budget.TimeBudget, "epochs", lambda *_: (2, "said"))
    preset = experiments.get_preset("digits")
    runs.train(runs.Run(tmp_path, preset), resume="auto", minutes=0.01)
    monkeypatch.setattr(time_budget.TimeBudget, "epochs", lambda *_: 1 / 0)
    caplog.clear()
    again = runs.Run(tmp_path, preset)
    runs.train(again, resume="auto", minutes=50)
    assert again.experiment.train.epochs == 2
    said = [r.getMessage() for r in caplog.records if r.name == "keras_gan"]
    assert any("is resumed with its 2 epochs: minutes are for" in s for s in said)
    assert len(again.metrics()) == 2
    # With a number of epochs it may grow, as ever.
    longer = runs.Run(tmp_path, preset.with_settings({"train.epochs": 3}))
    runs.train(longer, resume="auto")
    assert len(longer.metrics()) == 3
    with pytest.raises(ValueError, match="holds a run already"):
        runs.train(runs.Run(tmp_path, preset), minutes=1)


@pytest.mark.slow
def test_scores_are_measured_too(tmp_path, monkeypatch):
    found = []

    def one(self, costs, steps, settings):
        found.append(costs)
        return 1, ""

    monkeypatch.setattr(time_budget.TimeBudget, "epochs", one)
    preset = experiments.get_preset("digits", {"evaluation_epochs": 1})
    runs.train(runs.Run(tmp_path, preset), minutes=0.01)
    assert found[0].evaluation > 0.01
    assert len((tmp_path / "evaluations.jsonl").read_text().splitlines()) == 1


@pytest.mark.slow
def test_what_cannot_be_measured_leaves_nothing(tmp_path, monkeypatch):
    preset = experiments.get_preset("digits")
    monkeypatch.setattr(time_budget.Timer, "costs", lambda *_: Costs(1.0, 60.0))
    with pytest.raises(ValueError, match="11 steps of 60 s take 11 minutes. Received"):
        runs.train(runs.Run(tmp_path / "run", preset), minutes=0.02)
    several = preset.with_settings({"runtime.distribute": "multi_worker"})
    with pytest.raises(ValueError, match="several workers train.*pass epochs="):
        runs.train(runs.Run(tmp_path / "run", several), minutes=1)
    assert list(tmp_path.iterdir()) == []


# === The command ===


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--epochs=3"], "one of --minutes and --epochs. Received: --minutes=30 and "
         "--epochs=3"),
        (["--set=epochs=3"], "--minutes and --set. Received: --minutes=30 and --set="),
        (["--set=train.epochs=3"], "Received: --minutes=30 and --set=train.epochs=3"),
        (["--dry_run"], "Expected one of --minutes and --dry_run. Received"),
        (["--minutes=0"], "Expected --minutes to be a number above 0. Received: 0.0"),
        (["--minutes=-2"], "Expected --minutes to be a number above 0. Received: -2.0"),
        (["--minutes=nan"], "Expected --minutes to be a number above 0. Received: nan"),
        (["--minutes=long"], "flag --minutes=long"),
    ],
)  # fmt: skip
def test_minutes_that_cannot_be_meant_are_one_line(
    arguments, line, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert console.run(["train", "--minutes=30", *arguments]) == 1
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith("error: ") and line in said
    assert list(tmp_path.iterdir()) == []


def test_minutes_stand_beside_other_settings(capsys):
    values = console.flag_values(train)
    values(["train", "--minutes=0.5", "--set=sample_epochs=3", "--seed=2"])
    train._check_length(values)
    assert values.minutes == 0.5


@pytest.mark.slow
def test_the_command_trains_for_minutes_and_says_what_comes_next(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["scripts/train.py"])
    given = ["--minutes=0.2", "--set=evaluation_epochs=1000", "--workdir=run"]
    assert console.run(["train", "--preset=digits", *given]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    [said] = [line for line in lines if line.startswith("A step takes ")]
    run = runs.Run.open("run")
    epochs = run.experiment.train.epochs
    assert f": {epochs:,} epoch" in said and " of 11 steps " in said
    assert len(run.metrics()) == epochs
    assert f"epochs: {epochs}, into run" in out
    # Before the first step.
    first = next(i for i, line in enumerate(lines) if line.startswith("epoch "))
    assert lines.index(said) < first
    assert (run.samples_dir / f"epoch_{epochs:05}.png").exists()
    assert any(line.startswith("scores:  ") for line in lines)
    assert "validation_log_likelihood" in out and "pixel_frechet_distance" in out
    for command in ("generate", "evaluate", "figures", "export"):
        assert any(f"scripts/{command}.py --model=run" in line for line in lines)
    assert np.isfinite(run.gan().generate(2, seed=0)).all()
    values = console.flag_values(train)
    values(["train", *given, "--preset=digits"])
    assert f"--set=train.epochs={epochs}" in train._resume_command(run, values)
