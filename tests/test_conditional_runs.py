"""Runs of conditional models: trained, resumed, drawn by class, from the commands."""

import json

import keras
import numpy as np
import PIL.Image
import pytest

from keras_gan import conditional, experiments, metrics, pictures, runs
from keras_gan.commands import console
from keras_gan.experiments import SettingError, get_preset
from keras_gan.pictures import by_class
from keras_gan.runs import checkpoint, scoring, walking

SETTINGS = {
    "data.conditional": True,
    "train.epochs": 2,
    "train.sample_epochs": 1,
    "train.evaluation_epochs": None,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A conditional run on the digits, of two epochs."""
    path = tmp_path_factory.mktemp("runs") / "digits"
    run = runs.Run(path, get_preset("digits", SETTINGS))
    runs.train(run)
    return run


def weights_of(path):
    model = keras.models.load_model(path, compile=False)
    return np.concatenate([np.ravel(w.numpy()) for w in model.weights])


def test_a_run_has_the_classes_of_its_data(run):
    gan = runs.Run.open(run.path).gan()
    prior = gan.latent_prior
    assert prior.class_names == tuple("0123456789")
    labels = run.data().labels
    np.testing.assert_allclose(prior.probabilities, np.bincount(labels) / len(labels))
    assert {
        key: tuple(each.shape) for key, each in gan.discriminator.input.items()
    } == {"samples": (None, 8, 8, 1), "labels": (None,)}
    # Which label it is makes a difference.
    seven, one = (gan.generate(5, seed=0, labels=name) for name in "71")
    assert np.abs(seven - one).mean() > 1e-3


def test_pictures_have_a_row_a_class_and_one_latent_a_column(run):
    gan = run.gan()
    samples, columns = by_class.samples(gan, seed=3)
    assert samples.shape == (100, 8, 8, 1) and columns == 10
    latents = gan.latent_prior.sample(10, 3)["latents"]
    for label in (0, 4, 9):
        expected = gan.samples_of(
            {"latents": latents, "labels": np.full(10, label, np.int32)}
        )
        found = samples[10 * label : 10 * label + 10]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    drawn = sorted(run.samples_dir.iterdir())
    assert [path.name for path in drawn] == [
        f"epoch_{epoch:05}.png" for epoch in range(3)
    ]
    height, width = np.asarray(PIL.Image.open(drawn[-1])).shape[:2]
    assert height == width


@pytest.mark.slow
def test_a_conditional_run_resumes_to_the_bit(run, tmp_path):
    once = tmp_path / "once"

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.generator_steps >= 15:
                raise KeyboardInterrupt

    plan = runs.CheckpointPlan(0, 5, 2)
    with pytest.raises(KeyboardInterrupt):
        runs.train(
            runs.Run(once, get_preset("digits", SETTINGS)),
            checkpoints=plan,
            callbacks=[Stop()],
        )
    assert checkpoint.newest(once / "checkpoints").step < 22
    runs.train(
        runs.Run(once, get_preset("digits", SETTINGS)), resume="auto", checkpoints=plan
    )
    np.testing.assert_array_equal(
        weights_of(once / "gan.keras"), weights_of(run.model_path)
    )


def test_balanced_batches_change_the_prior_and_the_order(tmp_path):
    experiment = get_preset("digits", {**SETTINGS, "data.balanced": True, "epochs": 1})
    balanced = runs.Run(tmp_path / "balanced", experiment)
    runs.train(balanced)
    np.testing.assert_allclose(balanced.gan().latent_prior.probabilities, [0.1] * 10)
    # What the run without it never saw in that order.
    assert json.loads(balanced.metrics_path.read_text().splitlines()[0])


@pytest.mark.parametrize(
    ("preset", "settings", "message"),
    [
        ("grid25", {"conditional": True}, "data with labels for conditional=true"),
        ("grid25", {"balanced": True}, "data with labels for balanced=true"),
    ],
)
def test_data_without_labels_are_refused(preset, settings, message, tmp_path):
    run = runs.Run(tmp_path / "run", get_preset(preset, settings))
    with pytest.raises(ValueError, match=message):
        experiments.load_data(run.experiment.data)
    with pytest.raises(ValueError, match=message):
        runs.train(run)
    assert not run.path.exists()


def test_a_builder_of_the_users_that_takes_no_labels_is_named(monkeypatch):
    monkeypatch.setitem(
        experiments.building.networks.BUILDERS,
        "own",
        lambda spec, latent_dim, seed=None: None,
    )
    experiment = get_preset("digits", {"networks": "own", "conditional": True})
    with pytest.raises(SettingError, match="false for own, which takes no labels"):
        experiments.building.check(experiment)


@pytest.mark.slow
def test_a_conditional_run_is_scored_by_class(run, tmp_path, monkeypatch):
    monkeypatch.setattr(metrics.Classifier, "STEPS", 60)
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path))
    report = scoring.evaluate(
        run.path, num_samples=300, output=tmp_path / "scores.json"
    )
    assert 0 <= report["discriminator_accuracy"] <= 1
    scores = report["rows"]["samples"]
    gan = run.gan()
    labels = gan.latent_prior.sample(300, 0)["labels"].numpy()
    rows = {row["label"]: row["num_samples"] for row in scores["by_class"]}
    assert rows == dict(enumerate(np.bincount(labels, minlength=10)))
    # Labels of the samples that were scored, and of the examples beside them.
    assert report["rows"]["training examples"]["class_accuracy"] > 0.5
    assert 0 <= scores["accuracy_of_samples"] <= 1


def test_the_figures_of_a_conditional_run_keep_the_class_of_a_line(run, tmp_path):
    runs.draw_figures(run.path, output=tmp_path, figure="3")
    gan = run.gan()
    drawn = gan.latent_prior.sample(10, 0)
    start, end = np.split(drawn["latents"].numpy(), 2)
    lines = pictures.interpolation(gan, start, end, 11, drawn["labels"][:5])
    picture = pictures.figure_3(lines, gan.spec)
    found = np.asarray(PIL.Image.open(tmp_path / "figure_3.png"))
    np.testing.assert_array_equal(found, np.squeeze(picture))


def test_a_figure_leads_from_class_to_class(run, tmp_path):
    gan = run.gan()
    for labels in (None, ["3", "8", "1"]):
        (path,) = runs.draw_figures(
            run.path, "classes", tmp_path, seed=2, labels=labels
        )
        assert path == tmp_path / "classes.png"
        expected = pictures.figure_3(by_class.lines(gan, 2, labels), gan.spec)
        found = np.asarray(PIL.Image.open(path))
        np.testing.assert_array_equal(found, np.squeeze(expected))
    with pytest.raises(ValueError, match="^Expected `labels` for the figure classes"):
        runs.draw_figures(run.path, "2", tmp_path, labels=[3, 8])
    with pytest.raises(ValueError, match="`labels` to be one of '0', '1'"):
        runs.draw_figures(run.path, "all", tmp_path, labels=["3", "x"])


@pytest.mark.slow
def test_a_generator_of_other_layers_has_no_such_figure(run, tmp_path, monkeypatch):
    def no_layers(generator):
        raise conditional.NoMixtures("Expected a functional generator")

    monkeypatch.setattr(conditional, "of_mixtures", no_layers)
    names = {path.name for path in runs.draw_figures(run.path, output=tmp_path)}
    assert "figure_3.png" in names and "classes.png" not in names
    with pytest.raises(ValueError, match="^Expected a functional generator"):
        runs.draw_figures(run.path, "classes", tmp_path)


@pytest.mark.slow
def test_figure_1_of_a_conditional_run_has_its_classes(tmp_path):
    settings = {"data.name": "mixture1d", "conditional": True, "epochs": 2}
    preset = get_preset("gaussian1d", {**settings, "batch_size": 5000})
    game = runs.train(runs.Run(tmp_path / "run", preset))
    found = pictures.load_frames(game.moments_path)
    assert [frame.num_classes for frame in found] == [3] * len(found)
    with np.errstate(all="raise"):
        written = runs.draw_figures(game.path, "1")
    assert [path.name for path in written] == ["figure_1.png", "figure_1.gif"]
    picture = pictures.decode_png(written[0].read_bytes())
    names = game.gan().latent_prior.class_names
    assert names == ("left", "middle", "right")
    np.testing.assert_array_equal(picture, pictures.figure_1(found, names))
    # The evaluations ask D about each class.
    (line,) = map(json.loads, game.evaluations_path.read_text().splitlines())
    assert 0 <= line["largest_deviation_of_d"] <= 0.5


# === Films ===


@pytest.fixture
def frames(monkeypatch):
    """The samples of each frame of the film that was made last."""
    kept = []

    def walk(*args):
        kept[:] = list(original(*args))
        return iter(kept)

    original = walking._walk
    monkeypatch.setattr(walking, "_walk", walk)
    return kept


def test_a_film_goes_from_class_to_class_at_fixed_latents(run, tmp_path, frames):
    options = {"num_samples": 3, "seed": 20, "frames": 4, "labels": ["3", "8", "0"]}
    count = runs.write_walk(run.path, tmp_path / "w.gif", **options)
    assert count == len(frames) == 12
    gan = run.gan()
    latents = gan.latent_prior.sample_each([20, 21, 22])["latents"]
    for label, frame in zip((3, 8, 0), frames[::4], strict=True):
        inputs = {"latents": latents, "labels": np.full(3, label, np.int32)}
        np.testing.assert_allclose(frame, gan.samples_of(inputs), atol=1e-5)
    steps = [np.abs(a - b).mean() for a, b in zip(frames, frames[1:], strict=False)]
    assert min(steps) > 0 and max(steps) < 6 * np.median(steps)


@pytest.mark.slow
def test_a_film_of_classes_may_move_in_the_latents_too(run, tmp_path, frames):
    options = {"num_samples": 2, "seed": 5, "stops": 2, "frames": 2}
    runs.write_walk(run.path, tmp_path / "w.gif", labels=[1, 2, 3, 4], **options)
    assert len(frames) == 8
    gan = run.gan()
    # Both rounds take as long: half of one is half of the other.
    for frame, stop, label in ((0, 0, 1), (4, 1, 3)):
        latents = gan.latent_prior.sample_each([5 + stop, 7 + stop])["latents"]
        inputs = {"latents": latents, "labels": np.full(2, label, np.int32)}
        np.testing.assert_allclose(frames[frame], gan.samples_of(inputs), atol=1e-5)


@pytest.mark.slow
def test_a_film_of_one_class_moves_in_the_latents(run, tmp_path, frames):
    options = {"num_samples": 2, "seed": 5, "stops": 2, "frames": 1}
    runs.write_walk(run.path, tmp_path / "w.gif", labels="7", **options)
    gan = run.gan()
    for stop in (0, 1):
        expected = gan.generate_each([5 + stop, 7 + stop], labels=7)
        np.testing.assert_allclose(frames[stop], expected, atol=1e-5)
    # Without labels each walk stays in the class of its first seed.
    runs.write_walk(run.path, tmp_path / "w.gif", **options)
    drawn = gan.latent_prior.sample_each([5, 7])["labels"]
    for stop in (0, 1):
        expected = gan.generate_each([5 + stop, 7 + stop], labels=drawn)
        np.testing.assert_allclose(frames[stop], expected, atol=1e-5)


# === The command ===


def command(*arguments, name="generate"):
    return console.run(arguments, name)


def test_the_command_draws_the_classes_that_it_names(run, tmp_path, capsys):
    gan = run.gan()
    output = tmp_path / "samples.npz"
    arguments = (f"--model={run.path}", "--num_samples=5", "--seed=4")
    for text, labels in (("7", [7] * 5), ("3,1", [3, 1, 3, 1, 3])):
        assert command(*arguments, f"--labels={text}", f"--output={output}") == 0
        with np.load(output) as found:
            np.testing.assert_array_equal(found["labels"], labels)
            expected = gan.generate(5, seed=4, labels=labels)
            np.testing.assert_allclose(found["samples"], expected, atol=1e-6)
    assert command(*arguments, f"--output={output}") == 0
    with np.load(output) as found:
        drawn = gan.latent_prior.sample(5, 4)["labels"]
        np.testing.assert_array_equal(found["labels"], drawn)
    assert command(*arguments, "--labels=10", f"--output={output}") == 1
    assert "error: Expected --labels to be one of '0', '1'" in capsys.readouterr().err


def test_a_folder_holds_the_samples_of_some_classes(run, tmp_path, capsys):
    gan = run.gan()
    output = tmp_path / "folder"
    arguments = (f"--model={run.path}", "--seed=4", f"--output={output}/")
    assert command(*arguments, "--labels=3,1", "--num_samples=3") == 0
    # A seed's class does not depend on where the folder began.
    for seed, label in ((4, 3), (5, 1), (6, 3)):
        pixels = np.asarray(PIL.Image.open(output / f"{seed:07}.png"))[..., None]
        one = gan.generate(1, seed=seed, labels=label)
        assert np.abs(pixels - gan.spec.to_uint8(one)[0].astype(int)).max() <= 1
    assert command(*arguments, "--labels=3,1", "--num_samples=4") == 0
    assert len(list(output.glob("*.png"))) == 4
    assert command(*arguments, "--labels=2", "--num_samples=3") == 1
    assert "of another generator, or of other classes" in capsys.readouterr().err


def test_the_commands_lead_from_class_to_class(run, tmp_path, capsys):
    model, film = f"--model={run.path}", f"--output={tmp_path / 'w.gif'}"
    small = ("--num_samples=2", "--frames=5")
    assert command(model, film, *small, "--labels=3,8", name="walk") == 0
    assert "A walk of 0.5 s is in" in capsys.readouterr().out
    with PIL.Image.open(tmp_path / "w.gif") as opened:
        assert opened.n_frames == 10
    assert command(model, film, *small, "--labels=3,x", name="walk") == 1
    assert "error: Expected --labels to be one of '0', '1'" in capsys.readouterr().err
    assert command(model, film, "--labels=3", "--stops=1", name="walk") == 1
    assert "error: Expected --stops to be an int >= 2" in capsys.readouterr().err
    output = f"--output={tmp_path}"
    assert (
        command(model, output, "--figure=classes", "--labels=3,8", name="figures") == 0
    )
    assert "classes.png" in capsys.readouterr().out
