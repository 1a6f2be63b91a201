"""Samples as single files by seed, folders as samples, and models of `fit` alone."""

import json
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow_probability as tfp
from PIL import Image

import keras_gan
from keras_gan import datasets, evaluation, experiments, files, runs
from keras_gan.commands import console
from keras_gan.datasets import Dataset
from keras_gan.networks import dcgan
from keras_gan.runs import callbacks, fitted, sample_folder, scoring, subjects
from tests.export_helpers import conditional_gan, image_gan


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny GAN of 4x5 grey images, saved."""
    path = tmp_path_factory.mktemp("model") / "gan.keras"
    image_gan().save(path)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "cache"))


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


# === Files by seed ===


def test_each_file_is_a_function_of_its_seed(model, tmp_path):
    gan = keras.saving.load_model(model)
    runs.write_samples(model, f"{tmp_path}/a/", 70, seed=3)
    names = sorted(path.name for path in (tmp_path / "a").glob("*.png"))
    assert names == [f"{seed:07}.png" for seed in range(3, 73)]
    for seed in (3, 40, 72):
        expected = gan.spec.to_uint8(gan.generate(1, seed=seed))[0, ..., 0]
        assert np.abs(pixels(tmp_path / f"a/{seed:07}.png") - 0.0 - expected).max() <= 1


def test_truncated_samples_are_files_of_their_own_folder(model, tmp_path, capsys):
    gan = keras.saving.load_model(model)
    exported = keras_gan.export.ExportedGenerator(gan.export(tmp_path / "export"))
    expected = gan.generate(3, seed=5, truncation=0.5)
    samples = exported.generate(3, seed=5, truncation=0.5)
    np.testing.assert_allclose(samples, expected, atol=1e-5)
    each = exported.generate_each([5, 6, 7], truncation=0.5)
    np.testing.assert_allclose(each[:1], expected[:1], atol=1e-5)
    asked = ["generate", f"--model={model}", "--num_samples=3", "--seed=5"]
    asked.append("--truncation=0.5")
    assert console.run([*asked, f"--output={tmp_path / 'samples.npz'}"]) == 0
    with np.load(tmp_path / "samples.npz") as found:
        np.testing.assert_array_equal(found["samples"], expected)
    folder = f"--output={tmp_path / 'folder'}/"
    assert console.run([*asked, folder]) == 0
    for seed, image in zip((5, 6, 7), gan.spec.to_uint8(each), strict=True):
        found = pixels(tmp_path / f"folder/{seed:07}.png")
        assert np.abs(found - 0.0 - image[..., 0]).max() <= 1
    capsys.readouterr()
    # Samples of one truncation alone are in a folder.
    assert console.run([*asked[:-1], folder]) == 1
    assert "or another truncation. Choose" in capsys.readouterr().err
    assert console.run([*asked, "--truncation=1.5", folder]) == 1
    assert "--truncation=1.5" in capsys.readouterr().err


def test_what_cannot_be_truncated_leaves_no_folder(tmp_path, capsys):
    gan = image_gan()
    codes = tfp.distributions.OneHotCategorical(probs=[0.5, 0.25, 0.25])
    gan = keras_gan.GAN(gan.generator, gan.discriminator, codes, seed=0)
    gan.save(tmp_path / "gan.keras")
    asked = ["generate", f"--model={tmp_path / 'gan.keras'}", "--truncation=0.5"]
    for output in ("folder/", "samples.npz"):
        assert console.run([*asked, f"--output={tmp_path}/{output}"]) == 1
        error = capsys.readouterr().err
        assert "error: Expected a prior of continuous latents" in error
        assert not (tmp_path / output).exists()


def test_what_was_cut_off_is_resumed(model, tmp_path):
    runs.write_samples(model, tmp_path / "a", 20, seed=0)
    mine = tmp_path / "a" / ".incoming-notes.txt"
    mine.write_text("of the user")
    whole = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    stays = tmp_path / "a" / "0000004.png"
    age = stays.stat().st_mtime_ns
    (tmp_path / "a" / "0000000.png").unlink()
    (tmp_path / "a" / "0000007.png").write_bytes(b"")
    cut = tmp_path / "a" / "0000019.png"
    cut.write_bytes(cut.read_bytes()[:50])
    (tmp_path / "a" / ".incoming-7-0000007.png").write_bytes(b"half")
    generator = runs.load_gan(model)
    assert sample_folder.write_folder(generator, tmp_path / "a", 20, 0) == 3
    assert {p.name: p.read_bytes() for p in (tmp_path / "a").iterdir()} == whole
    assert stays.stat().st_mtime_ns == age
    assert sample_folder.write_folder(generator, tmp_path / "a", 25, 0) == 5


def test_an_export_writes_the_same_files(model, tmp_path):
    gan = runs.load_gan(model)
    gan.export(tmp_path / "export")
    runs.write_samples(model, tmp_path / "a", 5, seed=0)
    runs.write_samples(tmp_path / "export", tmp_path / "b", 5, seed=0)
    for seed in range(5):
        a, b = (pixels(tmp_path / f / f"{seed:07}.png") for f in "ab")
        assert np.abs(a.astype(int) - b).max() <= 1


def test_samples_of_another_generator_are_left_alone(model, tmp_path):
    runs.write_samples(model, tmp_path / "a", 2, seed=0)
    other = keras.saving.load_model(model)
    other.generator.trainable_variables[0].assign_add(
        np.ones(other.generator.trainable_variables[0].shape, np.float32)
    )
    with pytest.raises(ValueError, match="holds the samples of another generator"):
        sample_folder.write_folder(other, tmp_path / "a", 2, 0)
    (tmp_path / "a" / "samples.json").write_text("{")
    record = tmp_path / "a" / "samples.json"
    for content in ("[" * 200_000, None):
        record.unlink()
        if content is None:
            os.mkfifo(record)  # would wait for ever
        else:
            record.write_text(content)
        with pytest.raises(ValueError, match="samples.json cannot be read"):
            runs.write_samples(model, tmp_path / "a", 2, seed=0)
    record.unlink()
    with pytest.raises(ValueError, match="no generator of keras_gan is known to have"):
        runs.write_samples(model, tmp_path / "a", 2, seed=0)
    assert len(list((tmp_path / "a").iterdir())) == 2


def test_a_folder_of_the_users_pictures_is_left_alone(model, tmp_path):
    write_pictures(tmp_path / "photos", random_images(3, 8, 8))
    with pytest.raises(ValueError, match="no generator of keras_gan is known to have"):
        runs.write_samples(model, tmp_path / "photos", 2, seed=0)
    assert len(list((tmp_path / "photos").iterdir())) == 3


def test_equal_weights_of_another_activation_are_another_generator(tmp_path):
    first, second = image_gan(), image_gan((-1.0, 1.0), activation="tanh")
    second.generator.set_weights(first.generator.get_weights())
    sample_folder.write_folder(first, tmp_path / "a", 2, 0)
    with pytest.raises(ValueError, match="of another generator"):
        sample_folder.write_folder(second, tmp_path / "a", 2, 0)


def test_one_process_writes_a_folder_at_a_time(model, tmp_path):
    (tmp_path / "a").mkdir()
    with files.locked(tmp_path / "a" / ".lock"):
        with pytest.raises(ValueError, match="is in use by"):
            runs.write_samples(model, tmp_path / "a", 2, seed=0)


@pytest.mark.parametrize("channels", [2, 3, 4, 5])
def test_files_of_several_channels(tmp_path, channels):
    gan = gan_of((4, 5, channels))
    if channels in (2, 5):
        with pytest.raises(ValueError, match="1, 3 or 4 channels for PNG.*in .npz"):
            sample_folder.write_folder(gan, tmp_path / "a", 2, 0)
        assert not (tmp_path / "a").exists()
        return
    sample_folder.write_folder(gan, tmp_path / "a", 2, 0)
    with Image.open(tmp_path / "a" / "0000001.png") as image:
        assert image.mode == {3: "RGB", 4: "RGBA"}[channels]
        expected = gan.spec.to_uint8(gan.generate_each([1]))[0]
        np.testing.assert_array_equal(np.asarray(image), expected)


def gan_of(shape):
    size = int(np.prod(shape))
    latents, samples = keras.Input((3,)), keras.Input(shape)
    x = keras.layers.Dense(size, activation="sigmoid")(latents)
    logits = keras.layers.Dense(1)(keras.layers.Flatten()(samples))
    return keras_gan.GAN(
        keras.Model(latents, keras.layers.Reshape(shape)(x)),
        keras.Model(samples, logits),
        keras_gan.priors.Normal(3),
        value_range=(0.0, 1.0),
        seed=0,
    )


def test_the_command_names_the_seeds(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("keras_gan.commands.quiet.load_package", lambda values: None)
    arguments = ["generate", f"--model={model}", "--num_samples=3", "--seed=5"]
    assert console.run([*arguments, f"--output={tmp_path}/a/"]) == 0
    assert "3 samples, of the seeds 5 to 7, are in" in capsys.readouterr().out
    assert console.run([*arguments, f"--output={tmp_path}/a.jpg"]) == 1
    assert "or a directory, which ends in /" in capsys.readouterr().err


# === Folders as samples ===


def write_pictures(folder, images):
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03}.png")
    return f"folder:{folder}"


def random_images(count, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def test_a_folder_is_scored_as_an_npz_of_the_same_samples(tmp_path):
    samples = random_images(40, 8, 8, seed=1)
    name = write_pictures(tmp_path / "samples", samples)
    data = write_pictures(tmp_path / "data", random_images(50, 8, 8))
    np.savez(
        tmp_path / "s.npz", samples=samples[..., None], value_range=np.float32([0, 255])
    )
    folder = scoring.evaluate(name, dataset=data)
    file = scoring.evaluate(tmp_path / "s.npz", dataset=data)
    assert list(folder["rows"]) == ["samples"] and folder["step"] is None
    for measure, value in file["rows"]["samples"].items():
        found = folder["rows"]["samples"][measure]
        # One subset has no standard error.
        assert found is value is None or found == pytest.approx(value, rel=1e-4)
    assert folder["protocol_hash"] == file["protocol_hash"]
    assert folder["folder_settings"] == {"background": "white", "skip_broken": False}
    assert "transparent pixels" not in evaluation.format_report(folder)
    # Nothing is written into a folder of pictures.
    assert not list(tmp_path.rglob("samples/*.json"))


def test_images_of_another_size_and_of_other_channels(tmp_path):
    data = Dataset(random_images(10, 8, 8, 3), value_range=(-1.0, 1.0))
    name = write_pictures(tmp_path / "data", random_images(3, 8, 8, 3))
    settings = experiments.Data(name=name, value_range=(-1.0, 1.0))

    def load(images, name="a", size="", data=data):
        folder = write_pictures(tmp_path / name, images)
        return sample_folder.load_folder(folder + size, settings, data)

    found = load(random_images(6, 8, 8, 3))
    expected = data.spec.from_uint8(random_images(6, 8, 8, 3).astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # Of any size, each by its own centre.
    shutil.rmtree(tmp_path / "a")
    mixed = [random_images(1, size, 30, 3)[0] for size in (16, 20, 30)]
    assert load(mixed).shape == (3, 8, 8, 3)
    assert load(mixed, size="@8").shape == (3, 8, 8, 3)
    with pytest.raises(
        ValueError, match=r"Expected images of \(8, 8, 3\).*\(9, 9, 3\)"
    ):
        load(mixed, size="@9")
    grey = load(random_images(5, 8, 8), "grey")
    assert grey.shape == (5, 8, 8, 3) and not np.ptp(grey, axis=3).any()
    of_grey = Dataset(random_images(10, 8, 8, 1), value_range=(-1.0, 1.0))
    equal = np.repeat(random_images(5, 8, 8, 1), 3, axis=3)
    assert load(equal, "equal", data=of_grey).shape == (5, 8, 8, 1)
    with pytest.raises(ValueError, match=r"Expected images of \(8, 8, 1\)"):
        load(random_images(5, 8, 8, 3), "colours", data=of_grey)
    with pytest.raises(ValueError, match="does not exist"):
        sample_folder.load_folder(f"folder:{tmp_path}/none", settings, data)


def test_a_folder_needs_a_dataset(tmp_path):
    name = write_pictures(tmp_path / "a", random_images(3, 8, 8))
    with pytest.raises(ValueError, match="Expected the dataset that folder:.* stands"):
        scoring.evaluate(name)
    with pytest.raises(ValueError, match="Expected a dataset of images for folder:"):
        scoring.evaluate(name, dataset="ring8")


# === Names of folders ===


@pytest.mark.parametrize(
    ("name", "others", "expected"),
    [
        ("folder:/data/cats/train", [], "folder:cats/train"),
        ("folder:/data/cats/train@64", [], "folder:cats/train@64"),
        ("folder:/a/x/train", ["folder:/b/x/train"], "folder:a/x/train"),
        ("folder:/a/x/train@64", ["folder:/b/x/train"], "folder:a/x/train@64"),
        ("folder:/a/x/train", ["folder:/b/y/train", "digits"], "folder:x/train"),
        ("folder:/a/x/train", ["folder:/a/x/train"], "folder:x/train"),
        ("folder:x/train", ["folder:/b/x/train"], "folder:x/train"),
        ("folder:train", ["folder:/b/train"], "folder:train"),
        ("celeb_a@64", ["folder:/b/celeb_a"], "celeb_a@64"),
    ],
)
def test_names_tell_folders_apart(name, others, expected):
    assert datasets.distinct_name(name, others) == expected


def test_a_report_tells_folders_of_one_last_name_apart(tmp_path):
    """Its protocol, whose hash is that of equal data anywhere, names no path."""
    names = [
        write_pictures(
            tmp_path / place / "set" / "imgs", random_images(20, 8, 8, seed=i)
        )
        for i, place in enumerate("abc")
    ]
    texts = []
    for dataset in names[1:]:
        report = scoring.evaluate(names[0], dataset=dataset)
        assert report["dataset"] == f"folder:{dataset[-10:]}"
        assert report["protocol"]["dataset"] == "folder:imgs"
        texts.append(evaluation.format_report(report).splitlines()[:2])
    assert texts[0][0].startswith(f"{names[0]}: ")
    assert texts[0][1].startswith("against folder:b/set/imgs, split train")
    assert texts[1][1].startswith("against folder:c/set/imgs, split train")


# === Settings of folders ===


def transparent_images(count, seed=0):
    """RGBA, whose left half is transparent."""
    images = random_images(count, 8, 8, 4, seed=seed)
    images[..., 3] = 255
    images[:, :, :4, 3] = 0
    return images


def samples_scored(model, dataset, **settings):
    """What is scored, and the training data, of a subject."""
    subject = subjects.subject_of(model, dataset, folder_settings=settings)
    train, *_ = subject.splits()
    return subject.load_samples(train), train.examples()


@pytest.mark.parametrize(
    ("background", "level"), [("black", 0.0), ("#ff0000", (1.0, 0.0, 0.0))]
)
def test_folders_are_laid_on_a_background(tmp_path, background, level):
    model = write_pictures(tmp_path / "a", transparent_images(12, seed=1))
    data = write_pictures(tmp_path / "b", transparent_images(12))
    for images in samples_scored(model, data):
        assert (images[:, :, :4] == 1).all()
    for images in samples_scored(model, data, background=background):
        assert images.shape == (12, 8, 8, 3)
        np.testing.assert_array_equal(
            images[:, :, :4], np.broadcast_to(level, (12, 8, 4, 3))
        )
    samples, _ = samples_scored(model, data, background=None)
    assert samples.shape == (12, 8, 8, 4) and not samples[:, :, :4].any()


def test_a_folder_of_samples_has_settings_of_its_own(tmp_path):
    """Beside data that are no folder, and have no such settings."""
    equal = np.repeat(random_images(20, 8, 8, 1), 4, axis=3)
    equal[..., 3] = 0
    model = write_pictures(tmp_path / "a", equal)
    (tmp_path / "a" / "broken.png").write_bytes(b"no image")
    samples, _ = samples_scored(model, "digits", background="black", skip_broken=True)
    assert samples.shape == (20, 8, 8, 1) and not samples.any()
    with pytest.raises(datasets.DatasetError, match="broken.png"):
        samples_scored(model, "digits")


def test_the_command_says_how_folders_were_read(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("keras_gan.commands.quiet.load_package", lambda values: None)
    model = write_pictures(tmp_path / "a", transparent_images(40, seed=1))
    data = write_pictures(tmp_path / "b", transparent_images(50))
    arguments = ["evaluate", f"--model={model}", f"--dataset={data}"]
    out = tmp_path / "scores.json"
    reports = {}
    for flags_ in (["--background=black", "--skip_broken"], ["--background=none"]):
        assert console.run([*arguments, f"--output={out}", *flags_]) == 0
        reports[" ".join(flags_)] = json.loads(out.read_text()), capsys.readouterr().out
    (black, of_black), (kept, of_kept) = reports.values()
    assert black["folder_settings"] == {"background": "black", "skip_broken": True}
    assert "transparent pixels of folders: laid on black" in of_black
    assert "files of folders that cannot be read are left out" in of_black
    assert kept["folder_settings"]["background"] is None
    assert "transparent pixels of folders: kept as a channel" in of_kept
    assert "left out" not in of_kept
    assert black["protocol_hash"] != kept["protocol_hash"]


def test_settings_of_folders_need_a_folder_and_a_colour(directory, tmp_path):
    def refused(message, model, **options):
        with pytest.raises(ValueError, match=message) as error:
            scoring.evaluate(model, **options)
        assert "\n" not in str(error.value)

    black = {"background": "black"}
    refused(
        "a folder of images as model or dataset for background. Received: .*digits",
        directory,
        dataset="digits",
        folder_settings=black,
    )
    refused("a folder of images.*dataset=None", directory, folder_settings=black)
    model = write_pictures(tmp_path / "a", random_images(9, 8, 8))
    for settings, message in (
        ({"background": "no colour"}, "Expected background to be a colour"),
        ({"skip_broken": "perhaps"}, "skip_broken to be true or false"),
        ({"skip_brokn": True}, "Did you mean 'skip_broken'"),
    ):
        refused(message, model, dataset="digits", folder_settings=settings)


# === Models of fit alone ===


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """What `fit` and the callbacks leave, of digits in (-1, 1)."""
    path = tmp_path_factory.mktemp("fit")
    data = keras_gan.datasets.load("digits").to_range((-1, 1))
    generator = keras.Sequential(
        [
            keras.Input((5,)),
            keras.layers.Dense(64, activation="tanh"),
            keras.layers.Reshape((8, 8, 1)),
        ]
    )
    discriminator = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    gan = keras_gan.GAN(
        generator, discriminator, keras_gan.priors.Normal(5), (-1, 1), seed=0
    )
    gan.compile("sgd", "sgd")
    gan.fit(
        data.batches(200, seed=0),
        epochs=2,
        verbose=0,
        callbacks=[
            callbacks.SaveModel(path / "gan.keras"),
            callbacks.MetricsLog(path / "metrics.jsonl"),
            callbacks.SampleGrid(path / "samples"),
        ],
    )
    return path


@pytest.mark.parametrize("name", ["", "gan.keras"])
def test_a_model_of_fit_alone_is_scored(directory, name):
    model = directory / name
    with pytest.raises(ValueError, match="was trained on: GAN.fit notes none"):
        scoring.evaluate(model, features="pixels")
    report = scoring.evaluate(
        model, num_samples=100, features="pixels", dataset="digits"
    )
    assert report["protocol"]["value_range"] == [-1.0, 1.0] and report["step"] == 12
    assert list(report["rows"]) == ["samples", "training examples"]
    assert 0 <= report["discriminator_accuracy"] <= 1
    assert "pixel_frechet_distance_at_start" not in report
    text = evaluation.format_report(report)
    assert "pixel Frechet distance: " in text and "initial" not in text
    assert json.loads((directory / "gan.scores.json").read_text()) == report


@pytest.mark.parametrize(
    ("value_range", "activation"),
    [((0, 1), "sigmoid"), ((-1, 1), "tanh"), ((-3, 3), "linear")],
)
def test_an_export_of_fit_alone_is_scored_as_its_model(
    tmp_path, value_range, activation
):
    """On all data: nobody knows that some were held out, and none were.

    In the range of its samples; that of (-3, 3) makes contrast-normalised ones.
    """
    data = write_pictures(tmp_path / "data", random_images(1200, 4, 5))
    gan = image_gan(value_range, activation=activation)
    gan.save(tmp_path / "gan.keras")
    gan.export(tmp_path / "export")
    reports = [
        scoring.evaluate(tmp_path / name, num_samples=50, dataset=data)
        for name in ("gan.keras", "export")
    ]
    assert reports[0]["protocol"] == reports[1]["protocol"]
    assert reports[1]["protocol"]["test"] is None
    assert reports[1]["protocol"]["value_range"] == list(value_range)


def test_samples_of_another_range_than_the_data_are_refused(tmp_path):
    """A card may say anything: here that data of (0, 1) were trained on."""
    gan = conditional_gan(dcgan, width=8)
    data = {"name": "digits"}
    gan.export(tmp_path, card={"dataset": "digits", "experiment": {"data": data}})
    with pytest.raises(ValueError, match=r"data in \(-1.0, 1.0\), as") as error:
        scoring.evaluate(tmp_path, num_samples=50, features="pixels")
    assert "\n" not in str(error.value)


def test_scores_replace_no_other_file(directory, tmp_path):
    before = (directory / "gan.keras").read_bytes()
    with pytest.raises(ValueError, match="an output that ends in .json"):
        scoring.evaluate(directory, dataset="digits", output=directory / "gan.keras")
    assert (directory / "gan.keras").read_bytes() == before


def test_figures_of_a_training_by_fit_alone(directory, tmp_path, caplog):
    with caplog.at_level("INFO", "keras_gan"):
        drawn = runs.draw_figures(directory, output=tmp_path / "a")
    names = ["figure_3.png", "curves.png", "training.gif"]
    assert [path.name for path in drawn] == names
    assert "pass its name as dataset" in caplog.text
    drawn = runs.draw_figures(directory, output=tmp_path / "b", dataset="digits")
    assert {path.name for path in drawn} == {"figure_2.png", "health.png", *names}
    assert runs.Run(directory, None).is_run is False
    assert "FittedRun" in repr(fitted.open_run(directory, "digits"))
    with pytest.raises(ValueError, match="pass its name as dataset"):
        runs.draw_figures(directory, "2", output=tmp_path / "c")


def test_a_run_that_is_damaged_is_no_training_by_fit_alone(directory, tmp_path):
    shutil.copy(directory / "gan.keras", tmp_path)
    (tmp_path / "config.json").write_text("{}")
    for function in (scoring.evaluate, runs.draw_figures):
        with pytest.raises(ValueError, match="the directory of a run, with a config"):
            function(tmp_path, dataset="digits")
