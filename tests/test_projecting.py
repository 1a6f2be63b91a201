"""Projection and completion from runs into files, and the commands for them."""

import numpy as np
import pytest
from PIL import Image

from keras_gan import datasets, experiments, inference, runs
from keras_gan.pictures import grids
from keras_gan.runs import given_images, projecting
from keras_gan.samples import SampleSpec
from tests import helpers
from tests.export_helpers import conditional_gan, image_gan

SMALL = {"steps": 3, "restarts": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return helpers.digits_run(tmp_path_factory.mktemp("runs") / "digits")


def read(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_held_out_pictures_of_a_run(run, tmp_path):
    found, classes = runs.write_projection(
        run.path, f"{tmp_path}/found", num_images=4, **SMALL
    )
    assert classes is None
    arrays = read(tmp_path / "found/projection.npz")
    expected = datasets.load("digits", "test").examples(slice(1, 8, 2))
    np.testing.assert_array_equal(arrays["images"], expected)
    assert set(arrays) == {"images", "latents", "samples", "errors", "value_range"}
    np.testing.assert_array_equal(arrays["latents"], found.latents)
    gan = run.gan(compile=False)
    again = inference.project(gan, expected, **SMALL)
    np.testing.assert_allclose(found.samples, again.samples, atol=1e-5)
    sheet = pixels_of(tmp_path / "found/projection.png")
    expected = grids.sheet([expected, found.samples], gan.spec, rows=5)
    np.testing.assert_array_equal(sheet, expected[..., 0])


def test_completions_of_a_run_and_their_sheet(run, tmp_path):
    found = runs.write_completion(
        run.path, f"{tmp_path}/found/", "left", num_images=3, num_completions=2, **SMALL
    )
    arrays = read(tmp_path / "found/completion.npz")
    np.testing.assert_array_equal(arrays["completions"], found.completions)
    known = arrays["mask"]
    assert known.tolist() == [[False] * 4 + [True] * 4] * 8
    np.testing.assert_array_equal(
        found.completions[:, :, known], arrays["images"][:, None, known].repeat(2, 1)
    )
    assert np.isfinite(found.explained) and float(arrays["explained"]) < 1
    # 3 rows; hidden, two completions, truth.
    sheet = pixels_of(tmp_path / "found/completion.png")
    factor = 640 // max(3 * 9 + 1, 10 + 2 + 19 + 2 + 10)
    assert sheet.shape == (28 * factor, 43 * factor)
    first = sheet[factor : 9 * factor : factor, factor : 9 * factor : factor]
    assert (first[:, :4] == 128).all()
    truth = grids.visible(arrays["images"][0], SampleSpec((8, 8, 1), "image", (0, 1)))
    np.testing.assert_array_equal(first[:, 4:], truth[:, 4:, 0])


def test_files_and_folders_of_pictures(tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, 4, 5), np.uint8)
    (tmp_path / "more").mkdir()
    names = ["a.png", "more/b.png", "more/c.png"]
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(tmp_path / name)
    spec = SampleSpec((4, 5, 1), "image", (-1, 1))
    expected = pictures[..., None] / 127.5 - 1
    for folder in (tmp_path / "more", f"folder:{tmp_path / 'more'}"):
        images = given_images.load_images(
            [tmp_path / "a.png", folder], spec, tmp_path / "cache"
        )
        np.testing.assert_allclose(images, expected, atol=1e-6)
        assert images.dtype == np.float32
    coloured = SampleSpec((4, 5, 3), "image", (0, 1))
    images = given_images.load_images([tmp_path / "a.png"], coloured)
    np.testing.assert_allclose(images[0, ..., 2], pictures[0] / 255, atol=1e-6)
    # Of another size: cropped to the aspect ratio, then resized.
    Image.fromarray(np.full((40, 90), 51, np.uint8)).save(tmp_path / "d.png")
    images = given_images.load_images([tmp_path / "d.png"], spec)
    np.testing.assert_allclose(images, np.full((1, 4, 5, 1), -0.6), atol=1e-6)


def sixteen_bits(folder, **largest):
    """Writes pictures of 16 bits from 0 to the largest value of each, by its name."""
    folder.mkdir()
    for name, most in largest.items():
        ramp = np.linspace(0, most, 20).astype(np.uint16).reshape(4, 5)
        Image.fromarray(ramp).save(folder / f"{name}.png")
    return folder


def test_a_given_picture_is_on_the_scale_of_the_training(tmp_path):
    """A dark picture that was trained on was given four times as bright."""
    photos = sixteen_bits(tmp_path / "photos", bright=4095, dark=1000)
    name, gan = f"folder:{photos}", image_gan()
    data = {"data.name": name, "data.held_out": 0.0}
    run = runs.Run.create(
        tmp_path / "run", experiments.get_preset("digits", data), tmp_path / "cache"
    )
    gan.save(run.model_path)
    gan.save(tmp_path / "alone.keras")
    trained = datasets.load(name, "all", tmp_path / "cache").examples()
    alone = sixteen_bits(tmp_path / "alone", dark=1000)
    for model, given, dataset in (
        (run.path, photos / "dark.png", None),
        (run.model_path, alone, None),  # a folder
        (tmp_path / "alone.keras", photos / "dark.png", name),
    ):
        runs.write_projection(
            model, tmp_path / "p.npz", [given], dataset=dataset, **SMALL
        )
        images = read(tmp_path / "p.npz")["images"]
        np.testing.assert_allclose(images, trained[1:], atol=1e-6)
    # On an export's card are the bits that were set, but no path.
    card = {"experiment": {"data": {"name": "folder:photos", "bits": 14}}}
    exported = runs.load_generator(gan.export(tmp_path / "export", card=card))
    for dataset in (None, name):
        assert given_images.trained_bits(tmp_path / "export", exported, dataset) == 14


def test_given_pictures_have_one_scale_where_the_training_has_none(tmp_path, caplog):
    photos = sixteen_bits(tmp_path / "photos", bright=5000, dark=1000)
    gan, names = image_gan(), [photos / "bright.png", photos / "dark.png"]
    caplog.set_level("INFO", "keras_gan")
    for number, data in enumerate(("digits", f"folder:{tmp_path / 'gone'}")):
        experiment = experiments.get_preset("digits", {"data.name": data})
        run = runs.Run.create(tmp_path / f"run{number}", experiment)
        assert given_images.trained_bits(run.path, gan) is None
    for given in (names, [photos], [*names, photos]):
        caplog.clear()
        images = given_images.load_images(given, gan.spec, tmp_path / "cache")
        # By 14 bits, as the folder.
        assert images.max(axis=(1, 2, 3))[:2].tolist() == [
            np.float32((5000 >> 6) / 255),
            np.float32((1000 >> 6) / 255),
        ]
        assert "pictures of 16 bits are read as of 14" in caplog.text
    caplog.clear()
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "a.png")
    given_images.load_images([tmp_path / "a.png"], gan.spec, trained_bits=pytest.fail)
    assert not caplog.text


def test_pictures_of_files_are_projected(tmp_path):
    gan = image_gan()
    gan.save(tmp_path / "gan.keras")
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "a.png")
    found, _ = runs.write_projection(
        tmp_path / "gan.keras", tmp_path / "p.npz", [tmp_path / "a.png"], **SMALL
    )
    assert found.samples.shape == (1, 4, 5, 1)
    assert read(tmp_path / "p.npz")["images"].max() == 0.0
    mask = np.zeros((4, 5, 3), np.uint8)
    mask[1:, :, 0] = 255
    mask[2:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    runs.write_completion(
        tmp_path / "gan.keras",
        tmp_path / "c.npz",
        str(tmp_path / "mask.png"),
        [tmp_path / "a.png"],
        **SMALL,
    )
    arrays = read(tmp_path / "c.npz")
    assert arrays["mask"].sum(axis=1).tolist() == [0, 0, 5, 5]
    assert "explained" not in arrays


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("lower", np.s_[3:, :]),
        ("upper", np.s_[:3, :]),
        ("left", np.s_[:, :4]),
        ("right", np.s_[:, 4:]),
        ("center", np.s_[2:4, 2:6]),
    ],
)
def test_the_masks(name, hidden):
    expected = np.ones((6, 8), bool)
    expected[hidden] = False
    known = projecting._mask(name, SampleSpec((6, 8, 3), "image", (0, 1)))
    np.testing.assert_array_equal(known, expected)


def test_the_commands(run, tmp_path, command):
    model = f"--model={run.path}"
    small = ("--num_images=2", "--steps=2", "--restarts=1")
    status, text, errors = command("project", model, "--output=p.png", *small)
    assert status == 0, errors
    lines = text.splitlines()
    assert lines[0] == "picture  error" and len(lines) == 5
    assert lines[-1] == "2 pictures are in p.png"
    assert pixels_of(tmp_path / "p.png").ndim == 2
    complete = ("complete", model, *small, "--num_completions=3")
    status, text, errors = command(*complete, "--mask=upper", "--output=c.npz")
    assert status == 0, errors
    assert "Explained of the hidden variance" in text
    assert read(tmp_path / "c.npz")["completions"].shape == (2, 3, 8, 8, 1)
    for mistake, message in (
        ("--mask=lowre", "Expected --mask to be one of 'lower'"),
        ("--output=c.jpg", "Expected an output that ends in .png or .npz"),
        ("--labels=3", "Expected no --labels: the model is not conditional"),
        ("--images=none.png", "none.png"),
        ("--noise=-1", "Expected --noise to be a number > 0"),
        ("--num_completions=2000", "Expected --num_completions to be an int in"),
    ):
        status, _, errors = command(*complete, mistake)
        assert status == 1 and message in errors and errors.count("\n") == 1, errors


def test_the_command_names_classes(tmp_path, command):
    gan = conditional_gan()
    gan.save(tmp_path / "gan.keras")
    images = gan.spec.to_uint8(gan.generate(2, seed=0, labels=[0, 3]))
    for number, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{number}.png")
    words = ("project", "--model=gan.keras", "--images=0.png,1.png", "--restarts=1")
    status, text, errors = command(*words, "--labels=cat,fox", "--steps=2")
    assert status == 0, errors
    table = [line.split() for line in text.splitlines()[:3]]
    assert table[0] == ["picture", "error", "class"]
    assert [row[2] for row in table[1:]] == ["cat", "fox"]
    status, _, errors = command(*words, "--labels=cow")
    assert status == 1 and "Expected --labels to be one of 'cat'" in errors


def test_what_has_no_held_out_pictures_is_one_line(tmp_path):
    image_gan().save(tmp_path / "gan.keras")
    with pytest.raises(ValueError, match="pass its name as dataset"):
        runs.write_projection(tmp_path / "gan.keras", tmp_path / "p.png")
    np.savez(tmp_path / "s.npz", samples=np.zeros((1, 8, 8, 1)), value_range=(0, 1))
    with pytest.raises(ValueError, match="which holds samples alone"):
        runs.write_projection(tmp_path / "s.npz", tmp_path / "p.png", dataset="digits")
    with pytest.raises(ValueError, match=r"data of shape \(4, 5, 1\)"):
        runs.write_projection(
            tmp_path / "gan.keras", tmp_path / "p.png", dataset="digits"
        )
    assert not (tmp_path / "p.png").exists()


def test_a_mask_of_another_size_is_one_line(tmp_path):
    image_gan().save(tmp_path / "gan.keras")
    for name in ("a.png", "mask.png"):
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / name)
    with pytest.raises(ValueError, match="a mask of 4x5 pixels.*of 8x8"):
        runs.write_completion(
            tmp_path / "gan.keras",
            tmp_path / "c.png",
            str(tmp_path / "mask.png"),
            [tmp_path / "a.png"],
        )
