"""Walks through the latents: where they lead, and that films hold them."""

import math

import numpy as np
import pytest
from PIL import Image

from keras_gan import inference, priors, runs
from keras_gan.pictures import formats, grids
from keras_gan.runs import given_images, walking
from tests.export_helpers import conditional_gan, image_gan


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "gan.keras"
    image_gan().save(path)
    return path


def frames_of(path):
    with Image.open(path) as film:
        frames = []
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")))
        return frames, film.info["duration"]


def test_a_walk_passes_the_samples_of_its_seeds(model, tmp_path):
    runs.write_walk(
        model, tmp_path / "w.gif", num_samples=4, seed=10, stops=3, frames=5, fps=20
    )
    frames, duration = frames_of(tmp_path / "w.gif")
    assert len(frames) == 15 and duration == 50
    gan = runs.load_gan(model)
    for stop in range(3):
        images = gan.generate_each([10 + 3 * walk + stop for walk in range(4)])
        expected = grids.enlarge(grids.grid(grids.visible(images, gan.spec)), 480)
        difference = frames[5 * stop].astype(int) - expected
        assert np.abs(difference).max() <= 1
    steps = [
        np.abs(a.astype(int) - b).mean()
        for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)
    ]
    # It moves everywhere, also from the last frame to the first, and never jumps.
    assert min(steps) > 0 and max(steps) < 6 * np.median(steps)


def test_a_gif_of_frames_that_are_no_hundredths_lasts_as_long_as_it_says(
    model, tmp_path
):
    path = tmp_path / "w.gif"
    runs.write_walk(model, path, num_samples=1, stops=2, frames=30, fps=30)
    with Image.open(path) as film:
        durations = []
        for number in range(film.n_frames):
            film.seek(number)
            durations.append(film.info["duration"])
    assert sum(durations) == 2000


def test_latents_on_the_way_of_a_normal_prior_follow_it():
    prior = priors.Normal(4000, loc=2.0, scale=3.0)
    start, end = np.asarray(prior.sample(2, seed=0))
    for share in (0.0, 0.3, 0.5, 1.0):
        latents = prior.between(start, end, share)
        assert latents.mean() == pytest.approx(2.0, abs=0.2)
        assert latents.std() == pytest.approx(3.0, abs=0.15)
    np.testing.assert_allclose(prior.between(start, end, 0.0), start, rtol=1e-6)
    np.testing.assert_allclose(prior.between(start, end, 1.0), end, rtol=1e-5)
    # A straight line would be too short half way: 3 / sqrt(2).
    assert (start + end).std() / 2 == pytest.approx(3 / math.sqrt(2), abs=0.15)


def test_latents_on_the_way_of_other_priors_stay_inside():
    prior = priors.Uniform(50)
    start, end = np.asarray(prior.sample(2, seed=0))
    np.testing.assert_allclose(prior.between(start, end, 0.5), (start + end) / 2)
    assert np.abs(prior.between(start, end, 0.3)).max() <= prior.high


def test_an_export_walks_as_its_gan_does(model, tmp_path):
    runs.load_gan(model).export(tmp_path / "export")
    options = {"num_samples": 2, "stops": 2, "frames": 2}
    runs.write_walk(model, tmp_path / "a.gif", **options)
    runs.write_walk(tmp_path / "export", tmp_path / "b.gif", **options)
    for a, b in zip(*(frames_of(tmp_path / f"{x}.gif")[0] for x in "ab"), strict=True):
        assert np.abs(a.astype(int) - b).max() <= 2


def test_a_film(model, tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "w.mp4"
    runs.write_walk(model, path, num_samples=4, stops=2, frames=6, fps=12)
    film = imageio.imread(path, plugin="FFMPEG")
    assert len(film) == 12
    assert imageio.immeta(path, plugin="FFMPEG")["fps"] == pytest.approx(12)
    runs.write_walk(model, tmp_path / "w.gif", num_samples=4, stops=2, frames=6)
    frames, _ = frames_of(tmp_path / "w.gif")
    for a, b in zip(film, frames, strict=True):
        height, width = b.shape[:2]
        assert a.shape == (height + height % 2, width + width % 2, 3)
        assert np.abs(a[:height, :width].astype(int) - b).mean() < 6


def test_a_film_needs_an_extra(model, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(ModuleNotFoundError, match=r"keras_gan\[video\]"):
        runs.write_walk(model, tmp_path / "w.mp4")
    with pytest.raises(ModuleNotFoundError, match=r"keras_gan\[video\]"):
        formats.write_mp4(tmp_path / "w.mp4", [np.zeros((2, 2, 1), np.uint8)])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"output": "w.avi"}, "ends in .gif or .mp4"),
        ({"stops": 1}, "`stops` to be an int >= 2"),
        ({"stops": 1, "labels": 3}, "`stops` to be an int >= 2"),
        ({"labels": [3, 8]}, "Expected no `labels`: the model is not conditional"),
        ({"frames": 0}, "`frames`"),
        ({"fps": 51}, r"`fps` to be an int in \[1, 50\]"),
        ({"seed": -1}, "`seed`"),
        ({"num_samples": 0}, "num_samples"),
        ({"frames": 10**6}, "Expected at most 3,106 frames in a film"),
        ({"num_samples": 10**6}, "Expected at most 19 frames in a film of 1,000,000"),
    ],
)
def test_what_cannot_be_filmed_is_one_line(model, tmp_path, changes, message):
    options = {"output": "w.gif", **changes}
    options["output"] = tmp_path / options["output"]
    with pytest.raises(ValueError, match=message) as error:
        walking.write_walk(model, **options)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


@pytest.fixture
def files(model, tmp_path):
    """Three samples of the model as files, and a fourth that is the first again."""
    gan = runs.load_gan(model)
    images = gan.generate(3, seed=5)[[0, 1, 2, 0]]
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, image in zip(paths, gan.spec.to_uint8(images), strict=True):
        Image.fromarray(image[..., 0]).save(path)
    return [str(path) for path in paths]


@pytest.mark.slow
def test_a_walk_visits_given_pictures(model, files, tmp_path):
    output = tmp_path / "w.gif"
    count = runs.write_walk(model, output, images=files, frames=5, steps=200)
    frames, _ = frames_of(output)
    # From the fourth back to the first, one picture, nothing moves, and a .gif
    # holds equal frames once.
    assert count == 20 and len(frames) == 16
    gan = runs.load_gan(model)
    pictures = given_images.load_images(files, gan.spec)
    found = inference.project(gan, pictures, steps=200, seed=0)
    for stop in range(4):
        image = grids.visible(found.samples[[stop]], gan.spec)
        expected = grids.enlarge(grids.grid(image), 480)
        assert np.abs(frames[5 * stop].astype(int) - expected).max() <= 1


@pytest.mark.slow
def test_walks_through_pictures_of_classes(files, tmp_path):
    gan = conditional_gan()
    gan.save(tmp_path / "gan.keras")
    output = tmp_path / "w.gif"
    options = {"images": files[:2], "frames": 2, "steps": 5}
    for labels in (None, 1, [1]):
        asked = {**options, "labels": labels}
        assert runs.write_walk(tmp_path / "gan.keras", output, **asked) == 4


def test_pictures_that_no_walk_visits_are_one_line(model, files, tmp_path):
    output = tmp_path / "w.gif"
    for options, expected in (
        ({"images": files[:1]}, "`images` of two pictures or more"),
        ({"images": []}, "`images` to name files"),
        ({"images": files, "stops": 3}, "no `num_samples`, no `stops`"),
        ({"images": files, "num_samples": 4}, "no `num_samples`, no `stops`"),
        ({"images": files, "labels": [0, 1]}, "no `num_samples`, no `stops`"),
        ({"images": files, "labels": 1}, "no `labels`: the model is not"),
        ({"images": files, "steps": 0}, "`steps` to be an int >= 1"),
    ):
        with pytest.raises(ValueError, match=f"^Expected {expected}"):
            runs.write_walk(model, output, **options)
    assert not output.exists()
    with pytest.raises((ValueError, OSError)) as raised:
        runs.write_walk(model, output, images=[files[0], str(tmp_path / "none.png")])
    assert "\n" not in str(raised.value)
