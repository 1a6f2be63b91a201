"""Better samples of a run: into files, and by the command."""

import numpy as np
import pytest
from PIL import Image

import keras_gan
from keras_gan import datasets, experiments, inference, networks, runs
from keras_gan.commands import console
from keras_gan.runs import resampling


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A conditional run on the digits, of one epoch."""
    settings = {"train.epochs": 1, "train.sample_epochs": 1}
    experiment = experiments.get_preset("digits_conditional", settings)
    run = runs.Run(tmp_path_factory.mktemp("runs") / "digits", experiment)
    runs.train(run)
    return run


def test_a_file_holds_what_resample_draws(run, tmp_path):
    shares = []
    found, calibration = runs.write_resampled(
        run.path,
        tmp_path / "a.npz",
        num_samples=5,
        method="metropolis_hastings",
        seed=3,
        steps=4,
        labels=["7", "2"],
        progress=shares.append,
    )
    gan, (train, valid, _) = run.gan(), run.splits()
    judge = inference.discriminate(gan, train, steps=4, seed=3)
    expected = inference.calibrate(gan, valid, "isotonic", judge, seed=3)
    assert calibration.auc == expected.auc and shares[-1] == 1.0
    again = inference.resample(
        gan, 5, "metropolis_hastings", expected, seed=3, labels=[7, 2, 7, 2, 7]
    )
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["samples"], found.samples)
        np.testing.assert_array_equal(file["samples"], again.samples)
        np.testing.assert_array_equal(file["labels"], [7, 2, 7, 2, 7])
        np.testing.assert_array_equal(file["value_range"], [0, 1])


@pytest.mark.slow
def test_the_command_prints_what_d_is_worth(run, tmp_path, capsys):
    output = tmp_path / "grid.png"
    arguments = (f"--model={run.path}", f"--output={output}", "--num_samples=9")
    chain = ("--method=metropolis_hastings", "--steps=2")
    assert console.run([*arguments, *chain], "resample") == 0
    printed = capsys.readouterr()
    assert "D prefers a held-out example to a sample in" in printed.out
    assert "independent draws, R-hat" in printed.out
    assert f"9 samples by metropolis_hastings of seed 0 are in {output}" in printed.out
    with Image.open(output) as picture:
        assert picture.size[0] == picture.size[1] > 30
    assert console.run([*arguments, "--steps=0"], "resample") == 0
    printed = capsys.readouterr()
    assert "Accepted" in printed.out and "R-hat" not in printed.out


def test_a_d_that_knows_nothing_is_a_line_of_the_command(
    run, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(inference.Calibration, "can_help", False)
    arguments = (f"--model={run.path}", f"--output={tmp_path / 'a.npz'}")
    assert console.run([*arguments, "--steps=0", "--num_samples=2"], "resample") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: D cannot tell held-out examples from samples")


def test_points_are_judged_by_waves(tmp_path, capsys):
    settings = {"train.epochs": 1, "train.sample_epochs": 1}
    run = runs.Run(tmp_path / "ring8", experiments.get_preset("ring8", settings))
    runs.train(run)
    output = tmp_path / "a.npz"
    given = (f"--model={run.path}", f"--output={output}", "--judge=fourier")
    assert console.run([*given, "--steps=3", "--num_samples=5"], "resample") == 0
    gan, (train, valid, _) = run.gan(), run.splits()
    x = train.examples()
    network = networks.fourier_discriminator((2,), x.min(0), x.max(0), seed=0)
    judge = inference.discriminate(gan, train, 3, discriminator=network)
    expected = inference.calibrate(gan, valid, "isotonic", judge)
    assert f"in {expected.auc:.1%} of pairs" in capsys.readouterr().out
    with np.load(output, allow_pickle=False) as file:
        again = inference.resample(gan, 5, "rejection", expected).samples
        np.testing.assert_array_equal(file["samples"], again)
    output.unlink()
    assert console.run([*given], "resample") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "Expected --steps >= 1 with --judge=fourier" in line
    assert not output.exists()


def test_points_on_a_line_have_no_judge_of_waves():
    points = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    points[:, 1] = 3.0
    data = datasets.Dataset(points, value_range=None)
    pair = networks.toy_mlp((2,), seed=0)
    gan = keras_gan.GAN(*pair, keras_gan.priors.Normal(2), value_range=None)
    with pytest.raises(ValueError, match="only 3.0 in coordinate 1") as caught:
        resampling.fourier_judge(gan, data)
    assert "\n" not in str(caught.value)


def test_mistakes_are_one_line(run, tmp_path, capsys, monkeypatch):
    output = f"--output={tmp_path / 'a.npz'}"

    def fails(message, *arguments):
        assert console.run([*arguments], "resample") == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: Expected") and message in line

    file = run.model_path
    fails("a run's directory: its held-out examples", f"--model={file}", output)
    fails("the directory of a run", f"--model={tmp_path}", output)
    fails("ends in .png or .npz. ", f"--model={run.path}", f"--output={tmp_path}/a/")
    fails("--labels", f"--model={run.path}", output, "--labels=x")
    waves = ("--judge=fourier", "--steps=1")
    fails("Expected points, for --judge=fourier", f"--model={run.path}", output, *waves)
    monkeypatch.setattr(runs.Run, "splits", lambda self: (self.data(), None, None))
    fails("validation or test examples", f"--model={run.path}", output)
    assert list(tmp_path.iterdir()) == []
