"""Runs on real data: what a training leaves, and what can be made of it."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image

import keras_gan
from keras_gan import evaluation, experiments, runs
from keras_gan.experiments import building, execution
from keras_gan.runs import generating, provenance
from keras_gan.runs.dry_run import dry_run, format_dry_run
from tests import helpers


def small(name="digits", settings=None, **short):
    """A preset cut down to seconds."""
    cut = {"epochs": 2, "sample_epochs": 1}
    return experiments.get_preset(name, {**cut, **short, **(settings or {})})


def trained(experiment, path, **options):
    """The directory of a run, once it is trained."""
    return runs.train(runs.Run(path, experiment), **options).path


@pytest.fixture(scope="module")
def one_epoch(tmp_path_factory):
    return trained(small(epochs=1), tmp_path_factory.mktemp("one_epoch") / "run")


@pytest.fixture
def path(one_epoch, tmp_path):
    """The directory of a run of one epoch, which a test may change."""
    return shutil.copytree(one_epoch, tmp_path / "run")


# === A run ===


@pytest.mark.parametrize("decay", [0.9, 0.999])
def test_an_average_over_more_steps_than_there_are_is_said(tmp_path, caplog, decay):
    """22 steps: .999 averages over 1,000."""
    caplog.set_level("WARNING", "keras_gan")
    trained(small(ema_decay=decay), tmp_path / "run")
    said = [text for text in helpers.warned(caplog) if "ema_decay" in text]
    assert bool(said) == (decay == 0.999)
    if said:
        assert "over some 1,000 steps, and this training has 22" in said[0]
        assert "A decay of 0.5455 would" in said[0]


@pytest.mark.usefixtures("short_classifier")
def test_a_run_leaves_what_it_promises_and_can_be_drawn_from(tmp_path):
    preset = small()
    workdir = trained(preset, tmp_path / "run")
    assert sorted(path.name for path in workdir.iterdir()) == [
        "checkpoints", "config.json", "events", "gan.keras", "metrics.jsonl",
        "reals.png", "samples",
    ]  # fmt: skip
    config = runs.Run.open(workdir).config
    assert config["format"] == "keras_gan run 2"
    assert config["experiment"] == preset.to_dict()
    run = runs.Run.open(workdir)
    assert run.experiment == preset and run.data_dir is None
    assert config["versions"]["keras"] == keras.__version__
    assert config["data"]["examples"] == len(keras_gan.datasets.load("digits", "train"))

    gan = runs.load_gan(workdir)
    runs.write_samples(workdir, tmp_path / "samples.npz", 5, seed=3)
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(file["samples"], gan.generate(5, seed=3), atol=1e-6)
        assert file["value_range"].tolist() == [0.0, 1.0]
    runs.write_samples(workdir / "gan.keras", tmp_path / "grid.png", 5, seed=3)
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")

    report = runs.evaluate(workdir, num_samples=200)
    assert report == json.loads((workdir / "scores.json").read_text())
    assert "held-out digits" in evaluation.format_report(report)


@pytest.mark.slow
def test_a_run_is_repeatable_and_not_overwritten_unasked(tmp_path):
    preset = small(discriminator_steps=2)
    weights = []
    for name in ("a", "b"):
        trained(preset, tmp_path / name)
        gan = runs.load_gan(tmp_path / name)
        weights.append([variable.numpy() for variable in gan.trainable_variables])
        keras.utils.set_random_seed(99)
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="holds a run already .*overwrite=True"):
        trained(preset, tmp_path / "a")
    (tmp_path / "a" / "notes.txt").write_text("mine")
    trained(small(epochs=1), tmp_path / "a", overwrite=True)
    assert len((tmp_path / "a" / "metrics.jsonl").read_text().splitlines()) == 1
    assert (tmp_path / "a" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "settings, checkpoint_steps, expected",
    [
        # 11 steps an epoch, all at once; those between two checkpoints; one, if told.
        ({}, 0, 11),
        ({}, 22, 11),
        ({}, 8, 1),
        ({"steps_per_execution": 1}, 0, 1),
        ({"steps_per_execution": 4}, 8, 4),
        # 22 an epoch; half as much work, but no 22 divides it within 16.
        ({"batch_size": 50}, 0, 11),
        # 6 an epoch, of which two pass between checkpoints.
        ({"discriminator_steps": 2}, 8, 2),
        # 2 an epoch, but too long a step for two at once.
        ({"batch_size": 1000}, 0, 1),
    ],
)
def test_short_steps_are_made_several_at_once(settings, checkpoint_steps, expected):
    preset = small(**settings)
    data = building.load_data(preset.data)
    gan = building.build(preset, data)
    together = execution.steps_per_execution(preset, gan, data, checkpoint_steps)
    assert together == expected
    # Of a GAN by itself Keras asks for one, so that a saved one fits any data.
    assert gan.steps_per_execution == 1


def test_figure_1_is_recorded_at_its_steps():
    preset = small("gaussian1d")  # 84 steps an epoch: 14 would divide it
    data = building.load_data(preset.data)
    gan = building.build(preset, data)
    assert execution.steps_per_execution(preset, gan, data) == 2


@pytest.mark.slow
def test_several_steps_at_once_are_the_same_training(tmp_path):
    """To the last bit, losses too, with Adam, dropout, k = 2 and a short batch."""
    ends = []
    for together in (1, 3, 4, 6):  # of 6 an epoch: 4 does not divide it
        preset = small(discriminator_steps=2, steps_per_execution=together)
        workdir = trained(preset, tmp_path / str(together))
        gan = runs.load_gan(workdir)
        assert gan.steps_per_execution == 1
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        logs = [json.loads(line) for line in lines]
        for line in logs:
            del line["seconds"]
        state = [variable.numpy().tobytes() for variable in gan.variables]
        ends.append((logs, state))
    assert len(ends[0][0]) == 2 and ends[0][0][-1]["step"] == 12
    assert all(end == ends[0] for end in ends[1:])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ring8", "gaussian1d", "grid25"])
def test_toy_presets_run(name, tmp_path):
    workdir = trained(small(name, epochs=1), tmp_path / name)
    assert (workdir / "samples" / "epoch_00001.png").exists()
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    # 50,000 examples in batches of k * m: 600 of the Gaussian, 500 of the others.
    assert json.loads(lines[-1])["step"] == (84 if name == "gaussian1d" else 100)


def evaluations(workdir, name):
    """One score of each evaluation of a run."""
    lines = (workdir / "evaluations.jsonl").read_text().splitlines()
    return np.array([json.loads(line)[name] for line in lines])


@pytest.mark.slow
def test_gaussian1d_approaches_its_data(tmp_path):
    """A twentieth of the training. Untrained it is .67 nats away; log 2 is .69."""
    preset = small("gaussian1d", epochs=5, evaluation_epochs=5, sample_epochs=5)
    data = building.load_data(preset.data)
    untrained = evaluation.ValidationScores(data)(building.build(preset, data))
    workdir = trained(preset, tmp_path / "run")
    [divergence] = evaluations(workdir, "jensen_shannon_divergence")
    assert untrained["jensen_shannon_divergence"] > 0.4
    assert divergence < 0.08


@pytest.mark.slow
def test_gaussian1d_ends_at_its_data(tmp_path):
    """docs/results.md: medians of the last ten evaluations."""
    preset = experiments.get_preset("gaussian1d", {"seed": 3})
    workdir = trained(preset, tmp_path / "run")
    divergences = evaluations(workdir, "jensen_shannon_divergence")
    assert len(divergences) == preset.train.epochs // preset.train.evaluation_epochs
    assert np.median(divergences[-10:]) < 0.01
    deviations = evaluations(workdir, "largest_deviation_of_d")
    assert np.median(deviations[-10:]) < 0.05


def test_a_diverging_run_keeps_the_last_good_model(tmp_path):
    good = small("ring8", epochs=1)
    workdir = trained(good, tmp_path / "run")
    before = (workdir / "gan.keras").read_bytes()
    bad = small("ring8", {"generator.learning_rate": 1e9}, epochs=3, optimizer="sgd")
    with pytest.raises(
        keras_gan.callbacks.TrainingDiverged, match="diverged in steps 1 to 10: "
    ):
        trained(bad, tmp_path / "bad")
    files = {path.name for path in (tmp_path / "bad").iterdir()}
    if "gan.keras" in files:
        gan = runs.load_gan(tmp_path / "bad")
        assert all(np.isfinite(v.numpy()).all() for v in gan.trainable_variables)
    assert (workdir / "gan.keras").read_bytes() == before


def test_the_settings_of_a_preset_reach_the_run(tmp_path):
    """k, m, loss, prior, seed: each changes what the run leaves."""
    preset = small(
        discriminator_steps=2,
        batch_size=60,
        loss="minimax",
        prior="normal",
        latent_dim=7,
        scale=2.5,
        epochs=1,
        seed=5,
    )
    workdir = trained(preset, tmp_path / "run")
    gan = runs.load_gan(workdir)
    assert isinstance(gan.adversarial_loss, keras_gan.losses.Minimax)
    assert isinstance(gan.latent_prior, keras_gan.priors.Normal)
    assert (gan.latent_prior.latent_dim, gan.latent_prior.scale) == (7, 2.5)
    assert (gan.seed, gan.discriminator_steps) == (5, 2)
    # Batches of k * m = 120: ceil(1078 / 120) = 9.
    assert gan.generator_optimizer.iterations == 9
    assert gan.discriminator_optimizer.iterations == 18
    expected = keras_gan.pictures.sample_picture(gan.generate(100, seed=5), gan.spec)
    with Image.open(workdir / "samples" / "epoch_00001.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected[:, :, 0])


@pytest.mark.slow
def test_a_run_in_float16_can_be_loaded_scored_and_exported(tmp_path):
    preset = small(mixed_precision="mixed_float16", ema_decay=0.9)
    workdir = trained(preset, tmp_path / "run")
    assert runs.Run.open(workdir).config["execution"] == {
        "dtype_policy": "mixed_float16",
        "jit_compile": False,
        "replicas": 1,
    }
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    line = json.loads(lines[-1])
    gan = runs.load_gan(workdir)
    optimizer = gan.generator_optimizer
    assert isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)
    skipped = sum(json.loads(line)["generator_skipped_steps"] for line in lines)
    assert int(optimizer.iterations) == line["step"] == 2 * 11 - skipped
    exported = keras_gan.export.ExportedGenerator(runs.export_run(workdir, verify=True))
    np.testing.assert_allclose(
        exported.generate(4, seed=1), gan.generate(4, seed=1), atol=0.01
    )


def test_files_of_another_kind_are_never_removed(tmp_path):
    """Not when they have a run's names, not with `overwrite`, and not on resume."""
    foreign = {
        "config.json": "{}",
        "checkpoints/model.bin": "x",
        "checkpoints/step_000000001.safetensors": "y",
        "samples/precious.png": "mine",
        "metrics.jsonl": "",
    }
    for name, content in foreign.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    for options in (
        {}, {"resume": "auto"}, {"overwrite": True},
        {"resume": "auto", "overwrite": True},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="config.json, .*is not a run that keras"):
            trained(small(), tmp_path, **options)
        with pytest.raises(ValueError, match="is not a run that keras"):
            runs.Run.create(tmp_path, small(), overwrite=True)
    found = {p for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {tmp_path / name for name in foreign}
    for name, content in foreign.items():
        assert (tmp_path / name).read_text() == content


def test_what_others_put_into_a_run_stays_when_it_is_replaced(path):
    mine = [
        "notes.txt", "samples/precious.png", "samples/epoch_1.png.bak", "export/1/x",
        "checkpoints/model.bin", "events/notes", "figures/mine.png",
    ]  # fmt: skip
    for name in mine:
        (path / name).parent.mkdir(exist_ok=True, parents=True)
        (path / name).write_text(name)
    for name in ("curves.png", "training.gif"):
        (path / "figures" / name).write_text("the run's own")
    trained(small(epochs=1, seed=1, sample_epochs=3), path, overwrite=True)
    for name in mine:
        assert (path / name).read_text() == name
    assert [x.name for x in (path / "figures").iterdir()] == ["mine.png"]
    assert len(list((path / "events").glob("*.tfevents.*"))) == 1
    assert runs.Run.open(path).experiment.train.seed == 1


def test_plots_that_cannot_be_drawn_end_a_training_before_it_changes_anything(
    tmp_path, no_matplotlib
):
    """With `overwrite` the run that is there would be lost for nothing."""
    with pytest.raises(
        ModuleNotFoundError, match=r"pip install 'keras_gan\[figures\]'"
    ):
        trained(small("ring8"), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    path = trained(small(epochs=1), tmp_path / "run")  # images need none
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    with pytest.raises(ModuleNotFoundError, match="matplotlib is not installed"):
        trained(small("ring8"), path, overwrite=True)
    assert before == {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"evaluation_epochs": 1, "keep_best": "modes_covered"},
            "Expected `train.keep_best` to be one of 'pixel_frechet_distance', 'valid",
        ),
        ({"data.split": "tset"}, "Received: 'tset'. Did you mean 'test'"),
        ({"data.value_range": "(-1, 1)"}, "generator whose samples reach value_range"),
    ],
    ids=["score", "split", "range"],
)
def test_a_mistake_does_not_cost_the_run_that_is_replaced(
    tmp_path, path, settings, message
):
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    for directory in (path, tmp_path / "new"):
        with pytest.raises(ValueError, match=re.escape(message)):
            trained(small(**settings), directory, overwrite=True)
    assert before == {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    assert not (tmp_path / "new").exists()


def test_a_run_that_is_finished_says_so_when_it_is_resumed(path, caplog):
    before = (path / "gan.keras").read_bytes()
    caplog.set_level("INFO", "keras_gan")
    trained(small(epochs=1), path, resume="auto")
    assert "steps of the run were made before, so nothing is trained" in caplog.text
    assert (path / "gan.keras").read_bytes() == before
    caplog.clear()
    trained(small(epochs=2), path, resume="auto")
    assert "Resuming after step" in caplog.text
    assert "nothing is trained" not in caplog.text


def test_outputs_are_checked_before_the_work(tmp_path, monkeypatch):
    def work(*arguments, **options):
        raise AssertionError("worked for an output that cannot be written")

    path = runs.Run.create(tmp_path / "run", small()).path
    (tmp_path / "file").write_text("mine")
    monkeypatch.setattr(generating, "load_generator", work)
    with pytest.raises(ValueError, match="Received: .*x.png, below the file"):
        runs.write_samples(path, tmp_path / "file" / "x.png", 3, seed=0)
    for write in (runs.write_samples, runs.write_projection):
        with pytest.raises(ValueError, match="Expected `output` to name a file or a"):
            write(path, "", 3, seed=0)  # of --output=$UNSET
    monkeypatch.setattr(runs.Run, "gan", work)
    with pytest.raises(ValueError, match="output directory. Received a file"):
        runs.draw_figures(path, output=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_kill_while_a_run_is_replaced_leaves_nothing_to_resume(path, monkeypatch):
    """Checkpoints go first, and what is left is still known as a run."""
    unlink, removed = pathlib.Path.unlink, []

    def killed(self, *arguments, **options):
        if self.name == "gan.keras":
            raise KeyboardInterrupt
        removed.append(self.name)
        unlink(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            trained(small(epochs=1), path, overwrite=True)
    assert any(name.endswith(".safetensors") for name in removed)
    assert not list((path / "checkpoints").glob("*"))
    with pytest.raises(ValueError, match="no valid checkpoint to resume from"):
        trained(small(epochs=1), path, resume="auto")
    trained(small(epochs=1), path, resume="auto", overwrite=True)
    assert len(runs.Run.open(path).metrics()) == 1


def test_a_commit_is_that_of_the_package_alone(tmp_path, monkeypatch):
    """Not that of a user's repository with a .venv in it."""
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    (tmp_path / "provenance.py").write_text("")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x"]
    for words in (["init"], ["commit", "--allow-empty", "-m", "x"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True, capture_output=True)
    assert provenance.environment()["git_commit"] is None
    for words in (["add", "provenance.py"], ["commit", "-m", "y"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True, capture_output=True)
    assert len(provenance.environment()["git_commit"]) == 40


def test_a_data_dir_means_the_same_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    runs.Run.create("run", small(), data_dir="data")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert runs.Run.open("../run").data_dir == str(tmp_path / "data")
    assert runs.Run("x", small(), "gs://bucket/data").data_dir == "gs://bucket/data"


def test_a_created_run_can_be_opened_and_trained(tmp_path):
    run = runs.Run.create(tmp_path / "run", small(epochs=1), data_dir=tmp_path)
    assert [path.name for path in run.path.iterdir()] == ["config.json"]
    opened = runs.Run.open(run.path)
    assert opened.experiment == run.experiment and opened.data_dir == str(tmp_path)
    runs.Run.create(run.path, small(epochs=2))  # nothing was trained in it
    run = runs.train(runs.Run.open(run.path))
    assert [line["step"] for line in run.metrics()] == [11, 22]
    assert [epoch for epoch, _ in run.snapshots()] == [0, 1, 2]
    assert run.scores is None
    with pytest.raises(ValueError, match="holds a run already"):
        runs.Run.create(run.path, small())
    again = runs.Run.create(run.path, small(), overwrite=True)
    assert [path.name for path in again.path.iterdir()] == ["config.json"]


def test_a_run_of_the_version_before_is_named_and_kept(tmp_path, path):
    old = {"preset": {"name": "digits", "dataset": "digits"}, "data_dir": None}
    (path / "config.json").write_text(json.dumps(old))
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    for work in (
        lambda: runs.Run.open(path),
        lambda: runs.Run.create(path, small(), overwrite=True),
        lambda: trained(small(), path, overwrite=True),
        lambda: trained(small(), path, resume="auto"),
        lambda: runs.evaluate(path),
        lambda: runs.draw_figures(path, "curves"),
        lambda: runs.export_run(path),
    ):
        with pytest.raises(ValueError, match="^keras_gan 0.1 wrote the run in ") as e:
            work()
        assert "\n" not in str(e.value)
    assert before == {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    samples = runs.load_gan(path).generate(3, seed=0)
    runs.write_samples(path, tmp_path / "x.npz", 3, seed=0)
    with np.load(tmp_path / "x.npz") as file:
        np.testing.assert_array_equal(file["samples"], samples)


def test_a_run_of_a_newer_version_is_named_and_kept(path):
    """Where its settings are unknown; one that can be read is a run as any other."""
    config = json.loads((path / "config.json").read_text())
    config["versions"]["keras_gan"] = "0.10.1"
    (path / "config.json").write_text(json.dumps(config))
    assert runs.Run.open(path).experiment.name == config["experiment"]["name"]
    for change in (
        {"experiment": {**config["experiment"], "telepathy": True}},
        {"format": "keras_gan run 3"},
    ):
        (path / "config.json").write_text(json.dumps({**config, **change}))
        before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
        for work in (
            lambda: runs.Run.open(path),
            lambda: trained(small(), path, overwrite=True),
            lambda: trained(small(), path, resume="auto"),
        ):
            with pytest.raises(ValueError, match="^keras_gan 0.10.1 wrote") as e:
                work()
            assert "\n" not in str(e.value)
        assert before == {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}


@pytest.mark.usefixtures("short_classifier")
def test_the_digits_table_needs_digits_that_were_held_back(tmp_path):
    workdir = trained(small(split="all", epochs=1), tmp_path / "run")
    assert "digits" not in runs.evaluate(workdir, num_samples=100)


def test_bad_data_leaves_no_directory(tmp_path):
    preset = small(dataset=f"folder:{tmp_path}/nothing")
    with pytest.raises(ValueError):
        trained(preset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_directory_that_cannot_be_written_is_named_before_any_work(
    tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="Received a file"):
        trained(small(), tmp_path / "file")
    (tmp_path / "locked").mkdir(mode=0o500)
    if os.geteuid() == 0:  # root writes anywhere: what others would be told
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="can be written.*another path"):
        trained(small(), tmp_path / "locked" / "run")
    assert list((tmp_path / "locked").iterdir()) == []


@pytest.mark.slow
def test_ctrl_c_saves_the_model(tmp_path, root):
    """A real SIGINT to a real training; the step saved is the step said."""
    process = subprocess.Popen(
        [sys.executable, "scripts/train.py", f"--workdir={tmp_path}/run",
         "--epochs=100000", "--set=sample_epochs=100000"],
        cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell starts what runs in its background with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    metrics = tmp_path / "run" / "metrics.jsonl"
    try:
        for _ in range(600):
            if metrics.exists() and process.poll() is None:
                break
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    step = int(output.split("Stopped at step ")[1].split(".")[0])
    gan = runs.load_gan(tmp_path / "run")
    assert int(gan.generator_optimizer.iterations) == step > 0


def test_dry_run_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = dry_run(small())
    assert report["generator_parameters"] == 101 * 256 + 257 * 512 + 513 * 64
    assert report["steps_per_epoch"] == 11 and report["peak_memory_gib"] > 0.1
    assert "peak memory gib" in format_dry_run(report)
    assert list(tmp_path.iterdir()) == []


# === Reading a run ===


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"run's directory with a gan\.keras"):
        runs.load_gan(tmp_path)
    for content in (
        None,
        "{}",
        "[]",
        '{"preset": {}, "data_dir": null}',
        '{"format": "keras_gan run 2"}',
        '{"format": "keras_gan run 2", "experiment": {"name": "x"}}',
        '{"format": "keras_gan run 3", "experiment": {}}',
        "half a fi",
    ):
        if content is not None:
            (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=r"of a run, with a config\.json") as error:
            runs.Run.open(tmp_path)
        assert "\n" not in str(error.value)
    (tmp_path / "gan.keras").write_bytes(b"PK half a file")
    with pytest.raises(ValueError, match="cannot be read"):
        runs.load_gan(tmp_path)
    with pytest.raises(ValueError, match=r"ends in \.png or \.npz"):
        runs.write_samples(tmp_path, tmp_path / "x.jpg", 1, 0)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match="Received a directory"):
        runs.write_samples(tmp_path, tmp_path / "folder.png", 1, 0)
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "gan.keras")
    with pytest.raises(ValueError, match="a GAN saved by keras_gan"):
        runs.load_gan(tmp_path)


# === The paper's presets ===


@pytest.mark.parametrize("jit_compile", [False, helpers.slow(True)])
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mnist", (28, 28, 1)),
        pytest.param("tfd", (48, 48, 1), marks=pytest.mark.slow),
        pytest.param("cifar10_mlp", (32, 32, 3), marks=pytest.mark.slow),
        pytest.param("cifar10_conv", (32, 32, 3), marks=pytest.mark.slow),
    ],
)
def test_the_papers_networks_compile_and_step(name, shape, jit_compile):
    """Two steps on noise, in a graph and under XLA: finite, and both networks move."""
    preset = small(name, batch_size=4)
    noise = np.random.default_rng(0).integers(0, 256, (8, *shape)).astype(np.uint8)
    data = keras_gan.datasets.Dataset(noise)
    if preset.data.contrast_normalization:
        data = data.contrast_normalized()
    gan = building.build(preset, data)
    gan.jit_compile = jit_compile
    networks = (gan.generator, gan.discriminator)
    before = [network.trainable_variables[-1].numpy() for network in networks]
    for batch in data.batches(4, seed=0):
        logs = gan.train_on_batch(batch, return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    for network, old in zip(networks, before, strict=True):
        assert np.abs(network.trainable_variables[-1].numpy() - old).max() > 0
    assert gan.generate(2, seed=0).shape == (2, *shape)


@pytest.mark.slow
def test_the_second_stage_continues_the_whole_first(tmp_path, monkeypatch):
    """tfd_stage2 on small networks: stage 1's generator is inside, and goes on."""
    networks = keras_gan.networks
    monkeypatch.setitem(
        networks.BUILDERS,
        "paper_mlp",
        lambda spec, latent_dim=100, size="mnist", seed=None: networks.digits_mlp(
            spec, latent_dim, seed=seed
        ),
    )
    trained(small("tfd", dataset="digits", split="train", epochs=1), tmp_path / "tfd")
    trained(
        small("tfd", dataset="digits", split="train", epochs=1, ema_decay=0.9),
        tmp_path / "averaged",
    )
    stage2 = small(
        "tfd_stage2",
        {"networks.pretrained": str(tmp_path / "tfd")},
        dataset="digits",
        split="train",
    )
    data = building.load_data(stage2.data)
    gan = building.build(stage2, data)
    first = runs.load_gan(tmp_path / "tfd").generator
    inner = gan.generator.layers[-1]
    latents = np.random.default_rng(0).random((3, 100), np.float32)
    np.testing.assert_allclose(inner(latents), first(latents), atol=1e-6)
    gan.fit(data.batches(100, seed=0), verbose=0, shuffle=False)
    assert np.abs(np.asarray(inner(latents)) - np.asarray(first(latents))).max() > 0
    # Of a run that keeps an average, the average: what it was scored by.
    source = runs.load_gan(tmp_path / "averaged")
    averaged = stage2.with_settings({"networks.pretrained": str(tmp_path / "averaged")})
    inner = building.build(averaged, data).generator.layers[-1]
    np.testing.assert_allclose(
        inner(latents), source.averaged_generator(latents), atol=1e-6
    )
    assert np.abs(np.asarray(inner(latents)) - source.generator(latents)).max() > 1e-4
    # The first stage may move. Its weights are in the checkpoint, wherever it is now.
    begun = stage2.with_settings({"train.epochs": 1})
    trained(begun, tmp_path / "second")
    (tmp_path / "tfd").rename(tmp_path / "moved")
    moved = begun.with_settings(
        {"networks.pretrained": str(tmp_path / "moved"), "train.epochs": 2}
    )
    again = trained(moved, tmp_path / "second", resume="auto")
    assert (
        runs.Run.open(again)
        .experiment.networks.arguments["pretrained"]
        .endswith("moved")
    )
    with pytest.raises(ValueError, match="run's directory with a gan.keras"):
        nowhere = stage2.with_settings({"networks.pretrained": "nowhere"})
        building.build(nowhere, data)


# === What a training is worth ===


def digits_scores(workdir):
    report = runs.evaluate(workdir)
    rows = report["digits"]["rows"]
    return report, rows["samples"], rows["held-out digits"], rows["Gaussian draws"]


@pytest.mark.slow
def test_a_fifth_of_the_digits_training_beats_the_blob(tmp_path):
    """Already after 100 epochs the samples explain held-out digits better."""
    workdir = trained(small(epochs=100, sample_epochs=100), tmp_path / "run")
    report, samples, _, blob = digits_scores(workdir)
    assert (
        report["pixel_frechet_distance"] < report["pixel_frechet_distance_at_start"] / 2
    )
    assert samples["log_likelihood"] > blob["log_likelihood"]


@pytest.mark.slow
def test_the_digits_training_makes_digits_of_all_classes(tmp_path):
    workdir = trained(experiments.get_preset("digits"), tmp_path / "run")
    report, samples, real, blob = digits_scores(workdir)
    assert report["digits"]["classifier_accuracy"] > 0.98
    assert min(samples["class_shares"]) >= 0.04
    assert samples["log_likelihood"] > blob["log_likelihood"] + 8
    assert samples["within_class_distance"] > real["within_class_distance"] / 2
