"""The figures of a run: which fit it, and that they are drawn from what it wrote."""

import json

import numpy as np
import PIL.Image
import pytest

import keras_gan
from keras_gan import experiments, pictures, runs
from keras_gan.runs import figures as drawing


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
    preset = experiments.get_preset("digits", {"epochs": 3, "sample_epochs": 1})
    return runs.train(runs.Run(tmp_path_factory.mktemp("runs") / "x", preset)).path


@pytest.fixture(scope="module")
def gaussian1d_run(tmp_path_factory):
    preset = experiments.get_preset("gaussian1d", {"epochs": 1})
    return runs.train(runs.Run(tmp_path_factory.mktemp("runs") / "x", preset)).path


def read(path):
    return pictures.decode_png(path.read_bytes())


def test_all_figures_of_a_run_of_images(digits_run, tmp_path, caplog):
    caplog.set_level("INFO", logger="keras_gan")
    written = drawing.draw_figures(digits_run, output=tmp_path / "out", seed=3)
    images = ["figure_2.png", "figure_3.png", "curves.png", "health.png"]
    names = [*images, "training.gif"]
    assert written == [tmp_path / "out" / name for name in names]
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(names)
    assert "Figure 1 is left out. Expected a run with moments.npz" in caplog.text
    assert "Figure classes is left out. Expected a conditional run" in caplog.text

    gan, data = runs.load_gan(digits_run), keras_gan.datasets.load("digits", "train")
    samples = gan.generate(30, seed=3)
    indices, _ = pictures.nearest_examples(samples[5::6], data)
    expected = pictures.figure_2(samples, data.examples(indices), gan.spec, columns=6)
    np.testing.assert_array_equal(read(written[0]), expected)
    lines = runs.Run.open(digits_run).metrics()
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    np.testing.assert_array_equal(read(written[2]), pictures.training_curves(lines))
    # The page shows the first, the middle and the last of epochs 0 to 3.
    epochs = [epoch for epoch, _ in runs.Run.open(digits_run).snapshots()]
    assert epochs == [0, 2, 3]
    with PIL.Image.open(written[4]) as film:
        assert film.n_frames == 4
        for frame, (_, picture) in enumerate(runs.Run.open(digits_run).snapshots(4)):
            film.seek(frame)
            drawn = np.asarray(film.convert("RGB")).astype(int)
            expected = pictures.resize_within(picture, 400)
            assert np.abs(drawn - expected).max() <= 8  # a palette of 256 colours
            assert film.info["duration"] == (2000 if frame == 3 else 120)


@pytest.mark.slow
def test_all_figures_of_a_one_dimensional_run(gaussian1d_run, caplog):
    caplog.set_level("INFO", logger="keras_gan")
    written = drawing.draw_figures(gaussian1d_run)
    assert [path.relative_to(gaussian1d_run / "figures").name for path in written] == [
        "figure_1.png", "figure_1.gif", "curves.png", "health.png", "training.gif",
    ]  # fmt: skip
    text = caplog.text
    assert "Figure 2 is left out" in text and "Figure 3 is left out" in text
    frames = pictures.load_frames(gaussian1d_run / "moments.npz")
    # At least ten steps, and a twelfth of those so far: 140 would come after 130.
    assert [frame.step for frame in frames] == [*range(0, 81, 10), 84]
    np.testing.assert_array_equal(read(written[0]), pictures.figure_1(frames))
    with PIL.Image.open(written[1]) as gif:
        assert gif.n_frames == len(frames)
    contents = runs.Run.open(gaussian1d_run).contents()
    assert {"moments.npz", "figures"} < set(contents)


def test_a_figure_by_name_that_does_not_fit_is_one_line(digits_run, gaussian1d_run):
    for run, figure, message in (
        (digits_run, "1", "moments.npz for figure 1"),
        (gaussian1d_run, "2", "images for figure 2"),
        (gaussian1d_run, "3", "images for figure 3"),
        (digits_run, "classes", "a conditional run for figure classes"),
        (gaussian1d_run, "classes", "images for figure classes"),
        (digits_run, "4", "one of '1', '2', '3', 'classes', 'curves', 'health', 'tr"),
        (digits_run / "nothing", "curves", "the directory of a run, with a config"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            drawing.draw_figures(run, figure)
        assert "\n" not in str(error.value)
        assert not (run / "figures" / f"figure_{figure}.png").exists()
    with pytest.raises(ValueError, match="Expected an output directory"):
        drawing.draw_figures(digits_run, "curves", digits_run / "config.json")


def test_a_damaged_run_is_named(digits_run, tmp_path):
    """Also among all figures, where one that does not fit is left out."""
    run = tmp_path / "run"
    (run / "samples").mkdir(parents=True)
    for name in ("config.json", "gan.keras"):
        (run / name).write_bytes((digits_run / name).read_bytes())
    good = (digits_run / "metrics.jsonl").read_text()
    path = run / "metrics.jsonl"
    for content, message in (
        (None, "at least one epoch, with its metrics.jsonl"),
        ("", "at least one epoch"),
        (good + '{"epoch": 4, "st', "line 4 is damaged"),
        (good + "7\n", "line 4 is damaged"),
        (good + json.dumps({"epoch": 4}) + "\n", "line 4 without discriminator_loss"),
        ("\udc80", "directory with a metrics.jsonl"),
    ):
        if content is not None:
            path.write_bytes(content.encode(errors="surrogateescape"))
        with pytest.raises(ValueError, match=message) as error:
            drawing.draw_figures(run, "curves")
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=message):
        drawing.draw_figures(run, "health")
    path.write_text(good)
    (run / "samples" / "epoch_00001.png").write_bytes(b"half a picture")
    with pytest.raises(ValueError, match="epoch_00001.png, which is damaged"):
        drawing.draw_figures(run, "health")
    (run / "moments.npz").write_bytes(b"half a fi")
    with pytest.raises(ValueError, match="cannot be read as the frames of figure 1"):
        drawing.draw_figures(run, "all")


def test_a_run_that_ended_in_its_first_epoch_has_the_figures_that_fit(
    digits_run, tmp_path, caplog
):
    caplog.set_level("INFO", logger="keras_gan")
    (run := tmp_path / "run").mkdir()
    for name in ("config.json", "gan.keras"):
        (run / name).write_bytes((digits_run / name).read_bytes())
    written = drawing.draw_figures(run)
    assert [path.name for path in written] == ["figure_2.png", "figure_3.png"]
    for name in ("curves", "health"):
        assert f"Figure {name} is left out. Expected a run of at" in caplog.text


def test_without_matplotlib_the_figures_of_images_are_drawn(
    digits_run, gaussian1d_run, tmp_path, caplog, no_matplotlib
):
    caplog.set_level("INFO", logger="keras_gan")
    written = drawing.draw_figures(digits_run, output=tmp_path / "out")
    assert [path.name for path in written] == [
        "figure_2.png", "figure_3.png", "training.gif",
    ]  # fmt: skip
    for name in ("curves", "health"):
        assert f"Figure {name} is left out. matplotlib is not installed" in caplog.text
    with pytest.raises(ModuleNotFoundError, match=r"keras_gan\[figures\]"):
        drawing.draw_figures(digits_run, "curves")
    # Of this one the film alone is left to draw.
    written = drawing.draw_figures(gaussian1d_run, output=tmp_path / "film")
    assert [path.name for path in written] == ["training.gif"]
    (run := tmp_path / "run").mkdir()
    for name in ("config.json", "gan.keras", "metrics.jsonl"):
        (run / name).write_bytes((gaussian1d_run / name).read_bytes())
    with pytest.raises(ValueError, match="two pictures of samples or more"):
        drawing.draw_figures(run, "training")
    # Of that one nothing is.
    with pytest.raises((ValueError, ModuleNotFoundError)):
        drawing.draw_figures(run, output=tmp_path / "none")
    assert not (tmp_path / "none").exists()
