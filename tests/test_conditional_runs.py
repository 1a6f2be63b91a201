"""Runs of conditional models: trained, resumed, drawn by class, from the commands."""

import json

import keras
import numpy as np
import PIL.Image
import pytest

from keras_gan import experiments, metrics, pictures, runs
from keras_gan.commands import console
from keras_gan.experiments import SettingError, get_preset
from keras_gan.pictures import by_class
from keras_gan.runs import checkpoint, scoring

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
    samples = by_class.samples(gan, seed=3)
    assert samples.shape == (100, 8, 8, 1)
    latents = gan.latent_prior.sample(10, 3)["latents"]
    for label in (0, 4, 9):
        expected = gan.samples_of(
            {"latents": latents, "labels": np.full(10, label, np.int32)}
        )
        found = samples[10 * label : 10 * label + 10]
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert len(by_class.samples(gan, seed=3, count=25)) == 20
    assert len(by_class.samples(gan, seed=3, count=1)) == 10
    drawn = sorted(run.samples_dir.iterdir())
    assert [path.name for path in drawn] == [
        f"epoch_{epoch:05}.png" for epoch in range(3)
    ]
    height, width = np.asarray(PIL.Image.open(drawn[-1])).shape[:2]
    assert height == width


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


# === The command ===


def command(*arguments):
    return console.run(arguments, "generate")


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
