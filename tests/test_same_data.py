"""A run's data are known by their content: where they lie decides nothing."""

import json
import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_gan import datasets, experiments, runs
from keras_gan.experiments.building import load_held_out
from keras_gan.experiments.parts import Data
from keras_gan.runs import provenance
from tests import helpers


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(logging.getLogger("keras_gan"), "propagate", True)
    caplog.set_level(logging.WARNING, "keras_gan")


def write_pictures(folder, count, seed=0):
    """PNGs of noise, named by number; the same ones for the same seed."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


def small(name, epochs=1):
    return experiments.get_preset(
        "digits", {"data.name": name, "epochs": epochs, "batch_size": 10}
    )


# === Classes ===


def test_classes_of_two_splits_are_matched_by_their_names(tmp_path):
    for split, classes in (("train", ("bee", "cat", "dog")), ("test", ("cat", "dog"))):
        for name in classes:
            write_pictures(tmp_path / split / name, 2, seed=len(name))
    data = Data(name=f"folder:{tmp_path}")
    train = datasets.load(data.name)
    assert train.class_names == ("bee", "cat", "dog")
    assert datasets.load(data.name, "test").labels.tolist() == [0, 0, 1, 1]
    valid, test = load_held_out(data, train)
    assert valid.labels.tolist() == test.labels.tolist() == [1, 2]
    assert test.class_names == train.class_names and test.num_classes == 3


def test_a_class_that_the_training_examples_lack_is_named(tmp_path):
    for split, classes in (("train", ("cat", "dog")), ("test", ("dog", "emu"))):
        for name in classes:
            write_pictures(tmp_path / split / name, 1)
    data = Data(name=f"folder:{tmp_path}")
    with pytest.raises(datasets.DatasetError, match="cat, dog. Received: emu"):
        load_held_out(data, datasets.load(data.name))


def test_numbers_stand_where_a_side_has_no_names():
    images = np.zeros((3, 2), np.float32)
    named = datasets.Dataset(images, [0, 1, 1], class_names=("a", "b"))
    plain = datasets.Dataset(images, [0, 1, 1])
    assert plain.with_classes_of(named) is plain
    assert named.with_classes_of(plain) is named
    assert named.num_classes == 2
    with pytest.raises(ValueError, match="3 different names. Received: a, b, a"):
        datasets.Dataset(images, [0, 1, 2], class_names="aba", num_classes=3)
    assert datasets.load("digits").class_names == tuple("0123456789")


# === Folders ===


def test_a_relative_folder_means_the_same_from_anywhere(tmp_path, monkeypatch):
    write_pictures(tmp_path / "here" / "imgs", 20)
    write_pictures(tmp_path / "there" / "imgs", 20, seed=1)
    monkeypatch.chdir(tmp_path / "here")
    run = runs.train(runs.Run("run", small("folder:imgs")))
    expected = run.data().images
    path = run.path.absolute()
    monkeypatch.chdir(tmp_path / "there")
    opened = runs.Run.open(path)
    assert opened.experiment.data.name == f"folder:{tmp_path}/here/imgs"
    assert np.array_equal(opened.data().images, expected)


def test_a_folder_may_move_and_the_run_goes_on(tmp_path, caplog):
    folder = write_pictures(tmp_path / "imgs", 20)
    run = runs.train(runs.Run(tmp_path / "run", small(f"folder:{folder}")))
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    report = runs.evaluate(
        run.path, num_samples=30, features="pixels", dataset=f"folder:{moved}"
    )
    # A path is nothing that scores depend on.
    assert report["protocol"]["dataset"] == "folder:elsewhere"
    again = runs.Run(run.path, small(f"folder:{moved}", epochs=2))
    runs.train(again, resume="auto")
    assert len(runs.Run.open(run.path).metrics()) == 2
    assert not helpers.warned(caplog)


@pytest.mark.parametrize("change", ["one pixel", helpers.slow("one file more")])
def test_a_folder_that_changed_is_not_resumed(tmp_path, caplog, change):
    folder = write_pictures(tmp_path / "imgs", 1200 if change == "one pixel" else 20)
    run = runs.train(runs.Run(tmp_path / "run", small(f"folder:{folder}")))
    if change == "one pixel":
        # Of one in 1,200 pictures.
        pixels = np.array(Image.open(folder / "007.png"))
        pixels[3, 3] ^= 1
        Image.fromarray(pixels).save(folder / "007.png")
    else:
        write_pictures(folder, 21)
    more = runs.Run(run.path, small(f"folder:{folder}", epochs=2))
    with pytest.raises(ValueError, match="Expected the data that the run in"):
        runs.train(more, resume="auto")
    assert len(runs.Run.open(run.path).metrics()) == 1
    assert not helpers.warned(caplog)
    runs.Run.open(run.path).data()
    (warning,) = helpers.warned(caplog)
    assert "was trained on other data than folder:" in warning


def test_an_export_names_no_path_and_asks_where_the_folder_is(tmp_path, monkeypatch):
    folder = write_pictures(tmp_path / "secret" / "imgs", 20)
    run = runs.train(runs.Run(tmp_path / "run", small(f"folder:{folder}")))
    version = runs.export_run(run.path)
    texts = [path.read_bytes() for path in version.rglob("*") if path.is_file()]
    assert not any(str(tmp_path).encode() in text for text in texts)
    card = json.loads(next(version.rglob("gan_card.json")).read_text())
    assert card["dataset"] == card["experiment"]["data"]["name"] == "folder:imgs"
    # Another folder of that name, in the directory that the command runs in.
    write_pictures(tmp_path / "other" / "imgs", 20, seed=1)
    monkeypatch.chdir(tmp_path / "other")
    with pytest.raises(ValueError, match="its card names folder:imgs. Received: none"):
        runs.evaluate(version, num_samples=30)
    report = runs.evaluate(version, num_samples=30, dataset=f"folder:{folder}")
    assert report["protocol"]["dataset"] == "folder:imgs"


def test_an_export_is_scored_as_its_run_where_the_folder_has_another_name(
    tmp_path, caplog
):
    folder = write_pictures(tmp_path / "imgs", 300)
    settings = {"data.value_range": (-1, 1), "held_out": 0.4, "networks": "dcgan"}
    experiment = small(f"folder:{folder}@16").with_settings(
        {**settings, "networks.width": 8, "batch_size": 100}
    )
    run = runs.train(runs.Run(tmp_path / "run", experiment))
    version = runs.export_run(run.path)
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    # Without the size, which the run and the card state.
    options = {"num_samples": 30, "features": "pixels", "dataset": f"folder:{moved}"}
    of_run, of_export = (
        runs.evaluate(model, **options)["protocol"] for model in (run.path, version)
    )
    assert of_run == of_export
    assert of_export["value_range"] == [-1.0, 1.0]
    assert of_export["test"][0] == datasets.folder.HELD_OUT
    assert not helpers.warned(caplog)


@pytest.mark.slow
def test_an_export_is_not_scored_against_other_pictures_in_silence(tmp_path, caplog):
    folder = write_pictures(tmp_path / "imgs", 20)
    run = runs.train(runs.Run(tmp_path / "run", small(f"folder:{folder}")))
    version = runs.export_run(run.path)
    other = write_pictures(tmp_path / "other" / "imgs", 20, seed=1)
    runs.evaluate(version, num_samples=30, dataset=f"folder:{folder}")
    assert not helpers.warned(caplog)
    runs.evaluate(version, num_samples=30, dataset=f"folder:{other}")
    (warning,) = helpers.warned(caplog)
    assert "was trained on other data" in warning


def test_a_config_of_any_other_content_is_one_line(tmp_path):
    for content in ("[" * 100_000, "[]", '{"format": 3}', "{", "\0", '{"preset": []}'):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(
            ValueError, match="Expected the directory of a run"
        ) as found:
            runs.Run.open(tmp_path)
        assert "\n" not in str(found.value) and len(str(found.value)) < 400


# === Rounding ===


@pytest.mark.slow
def test_a_run_is_resumed_with_a_warning_where_sums_round_otherwise(
    tmp_path, caplog, monkeypatch
):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "2")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    folder = write_pictures(tmp_path / "imgs", 20)
    name = f"folder:{folder}"
    run = runs.train(runs.Run(tmp_path / "run", small(name)))
    assert run.config["rounding"]["threads"] == 2
    runs.train(runs.Run(run.path, small(name, epochs=2)), resume="auto")
    assert not helpers.warned(caplog)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    runs.train(runs.Run(run.path, small(name, epochs=3)), resume="auto")
    (warning,) = helpers.warned(caplog)
    assert "(threads 2, onednn True; now threads 1, onednn False)" in warning
    assert len(run.metrics()) == 3


def test_threads_are_those_that_tensorflow_would_take(monkeypatch):
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "not a number")
    described = provenance.describe_rounding()
    assert described["threads"] >= 1 and described["onednn"] is True
