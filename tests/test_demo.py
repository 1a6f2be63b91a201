"""What the page of `keras-gan demo` can do, without a browser; and its command."""

import json
import logging
import re
import socket

import numpy as np
import pytest
from PIL import Image

from keras_gan import experiments, inference, runs
from keras_gan.demo import server
from keras_gan.demo.downloads import Downloads
from keras_gan.demo.drawn import Picks
from keras_gan.demo.limits import Limits
from keras_gan.demo.studio import Studio
from keras_gan.pictures import grids
from keras_gan.runs import given_images
from keras_gan.samples import SampleSpec
from tests import helpers
from tests.export_helpers import CLASS_NAMES, conditional_gan, image_gan


@pytest.fixture(scope="module")
def digits(root):
    """The published generator of 8x8 digits."""
    return Studio(root / "saved_models/digits/1")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return helpers.digits_run(tmp_path_factory.mktemp("runs") / "digits")


@pytest.fixture(scope="module")
def of_run(run):
    return Studio(run.path)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """An export of four classes, of which one is never drawn."""
    path = tmp_path_factory.mktemp("classes") / "animals"
    conditional_gan().export(path)
    return Studio(path)


def two(studio):
    drawn = studio.draw(2, seed=5)
    return drawn.pick(0), drawn.pick(1)


# === Samples ===


@pytest.mark.parametrize("options", [{}, {"truncation": 0.5}])
def test_the_samples_of_a_seed_are_those_of_generate(digits, root, tmp_path, options):
    for suffix in ("npz", "png"):
        digits.write(tmp_path / f"a.{suffix}", digits.draw(9, seed=3, **options))
        runs.write_samples(digits_path(root), tmp_path / f"b.{suffix}", 9, 3, **options)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with np.load(tmp_path / "a.npz") as ours, np.load(tmp_path / "b.npz") as theirs:
        assert set(ours) == set(theirs) == {"samples", "value_range"}
        np.testing.assert_array_equal(ours["samples"], theirs["samples"])


def digits_path(root):
    return root / "saved_models/digits/1"


def test_samples_of_a_class(classes):
    assert classes.class_names == ["cat", "dog", "fox"]
    assert classes.class_numbers == [0, 1, 3]
    assert classes.name == "animals"
    drawn = classes.draw(6, seed=1, label=CLASS_NAMES.index("fox"))
    expected = classes.generator.generate(6, seed=1, labels="fox")
    np.testing.assert_array_equal(drawn.samples, expected)
    assert drawn.labels.tolist() == [3] * 6
    anything = classes.draw(20, seed=1)
    np.testing.assert_array_equal(
        anything.samples, classes.generator.generate(20, seed=1)
    )
    assert set(anything.labels) <= {0, 1, 3} and len(set(anything.labels)) > 1


def test_a_sample_is_found_where_it_is_shown(digits):
    drawn = digits.draw(7, seed=0)
    picture = digits.grid(drawn)
    height, width = picture.shape[:2]
    for number in range(7):
        row, column = divmod(number, 3)
        x, y = (column + 0.5) * width / 3, (row + 0.5) * height / 3
        assert digits.number_at(drawn, x, y) == number
    # The empty places of the last row.
    assert digits.number_at(drawn, width - 5, height - 5) == 6
    framed = digits.grid(drawn, first=2, second=0)
    assert framed.shape == (height, width, 3)
    changed = (framed != picture).any(axis=2)
    middle = np.s_[:, width // 3 + 30 : 2 * width // 3 - 30]
    assert changed.any() and not changed[middle].any()


def test_samples_that_d_rejects_are_left_out(of_run):
    plain, chosen = of_run.draw(60, 0), of_run.draw(60, 0, reject=True)
    again = of_run.draw(60, 0, reject=True)
    np.testing.assert_array_equal(chosen.samples, again.samples)
    assert not np.allclose(chosen.samples, plain.samples)
    # By D as the examples that it was not trained on calibrate it.
    gan, count = of_run.generator, of_run._num_calibrated
    held_out = of_run.run.splits()[1]
    calibration = inference.calibrate(gan, held_out, "isotonic", num_samples=count)
    expected = inference.resample(
        gan, 60, calibration=calibration, seed=0, burn_in=count
    )
    np.testing.assert_array_equal(chosen.latents, expected.latents)


def test_rejection_tells_how_far_it_is(of_run):
    shares = []
    inference.resample(
        of_run.generator, 20, burn_in=100, batch_size=10, progress=shares.append
    )
    assert shares == sorted(shares) and len(shares) > 1 and shares[-1] == 1.0
    for method in ("metropolis_hastings", "langevin"):
        shares = []
        steps = {"num_steps": 2} | ({"burn_in": 2} if method == "langevin" else {})
        inference.resample(
            of_run.generator, 4, method, progress=shares.append, batch_size=2, **steps
        )
        assert shares == [0.5, 1.0]


# === Edits ===


def test_sliders_move_what_they_say(digits):
    assert digits.attributes == ["thickness", "slant", "width", "brightness"]
    drawn = digits.draw(40, seed=9)
    for row, name in enumerate(digits.attributes):
        means = []
        for amount in (-2.0, 0.0, 2.0):
            amounts = [0.0] * len(digits.attributes)
            amounts[row] = amount
            samples = [
                digits.edit(drawn.pick(n), drawn.pick(0), amounts).samples[0]
                for n in range(40)
            ]
            found = inference.attributes_of(np.stack(samples), digits.spec)
            means.append(found[name].mean())
        assert means[0] < means[1] < means[2], name


def test_the_way_leads_from_one_pick_to_the_other(digits):
    first, second = two(digits)
    way = digits.edit(first, second, share=[0.0, 0.5, 1.0])
    np.testing.assert_allclose(way.samples[0], first.samples[0], atol=1e-5)
    np.testing.assert_allclose(way.samples[2], second.samples[0], atol=1e-5)
    expected = inference.between(digits.generator, first.latents, second.latents, 0.5)
    np.testing.assert_allclose(way.latents[1], expected[0], rtol=1e-6)


def test_an_edit_may_change_the_class(classes):
    drawn = classes.draw(8, seed=1)
    first = drawn.pick(list(drawn.labels).index(0))
    changed = classes.edit(first, first, label=3)
    expected = classes.generator.samples_of({"latents": first.latents, "labels": [3]})
    np.testing.assert_allclose(changed.samples, expected, atol=1e-5)
    assert changed.labels.tolist() == [3]
    assert classes.edit(first, first).labels.tolist() == [0]


def test_a_way_from_class_to_class_ends_at_the_second_sample(classes):
    drawn = classes.draw(8, seed=1)
    labels = drawn.labels.tolist()
    first = drawn.pick(0)
    second = drawn.pick(next(i for i, each in enumerate(labels) if each != labels[0]))
    way = classes.edit(first, second, share=[0.0, 0.4, 0.6, 1.0])
    assert way.labels.tolist() == [first.label] * 2 + [second.label] * 2
    np.testing.assert_allclose(way.samples[3], second.samples[0], atol=1e-5)


def test_the_film_of_a_way_goes_there_and_back(digits, tmp_path):
    first, second = two(digits)
    path = tmp_path / "way.gif"
    path.write_bytes(digits.film(first, second))
    with Image.open(path) as film:
        assert film.n_frames == 46 and film.info["duration"] == 60
        for frame, sample in ((0, first), (23, second)):
            film.seek(frame)
            shown = np.asarray(film.convert("RGB")).astype(int)
            expected = grids.enlarge(grids.visible(sample.samples[0], digits.spec), 320)
            assert np.abs(shown - expected).max() <= 1


def test_picks_are_replaced_one_at_a_time(digits):
    first, second = two(digits)
    picks = Picks(first, second, 0, 1)
    changed = picks.replaced("second", first, None)
    assert (changed.first, changed.first_number) == (first, 0)
    assert (changed.second, changed.second_number) == (first, None)
    assert changed.chosen and not picks.chosen
    assert changed.elsewhere().first is first
    assert changed.elsewhere().first_number is None


def test_where_latents_cannot_move_there_are_no_sliders(tmp_path):
    gan = image_gan()
    for weight in gan.generator.trainable_weights:
        weight.assign(weight * 0)  # one picture, whatever z is
    gan.save(tmp_path / "gan.keras")
    studio = Studio(tmp_path / "gan.keras")
    assert studio.attributes == [] and "edit" in studio.missing
    first, second = two(studio)
    assert studio.edit(first, second, share=0.5).samples.shape == (1, 4, 5, 1)


# === Given pictures ===


def saved(path, image, **options):
    image.save(path, **options)
    return path


def test_uploads_that_are_no_pictures_are_one_sentence(digits, tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    saved(tmp_path / "large.png", Image.new("1", (8000, 5000)))
    saved(tmp_path / "cut.png", Image.effect_noise((64, 64), 50))
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:900])
    for name, reason in (
        ("notes.png", "no image of these formats"),
        ("empty.jpg", "no image of these formats"),
        ("large.png", "8,000x5,000 pixels, where 25,000,000 are read"),
        ("cut.png", "image file is truncated"),
    ):
        with pytest.raises(ValueError, match=f"Received: {name} ") as error:
            digits.load(tmp_path / name)
        message = str(error.value)
        assert "\n" not in message and reason in message
        # The folder of uploads is nobody's business.
        assert str(tmp_path) not in message
    (tmp_path / "heavy.png").write_bytes(bytes(17 * 2**20))
    with pytest.raises(ValueError, match="at most 16 MiB. Received: heavy.png, of 17"):
        digits.load(tmp_path / "heavy.png")


def test_pictures_of_any_kind_become_samples(digits, tmp_path):
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    grey = digits.load(saved(tmp_path / "a.png", Image.fromarray(ramp)))
    assert grey.shape == (8, 8, 1) and grey.dtype == np.float32
    assert 0 <= grey.min() < 0.1 and 0.9 < grey.max() <= 1
    same = Image.fromarray(np.stack([ramp] * 3, axis=-1))
    colours = digits.load(saved(tmp_path / "b.png", same))
    np.testing.assert_allclose(colours, grey, atol=0.01)
    cmyk = digits.load(saved(tmp_path / "c.jpg", same.convert("CMYK"), quality=95))
    np.testing.assert_allclose(cmyk, grey, atol=0.05)
    inverted = digits.load(tmp_path / "a.png", invert=True)
    np.testing.assert_allclose(inverted, 1 - grey, atol=0.01)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    path = saved(tmp_path / "d.jpg", Image.fromarray(ramp), exif=exif, quality=95)
    turned = digits.load(path)[..., 0]
    np.testing.assert_allclose(turned, np.rot90(grey[..., 0], -1), atol=0.03)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_picture_without_transparency_is_opaque(tmp_path, mode):
    path = saved(tmp_path / "a.png", Image.new("RGB", (9, 9), "gray").convert(mode))
    spec = SampleSpec((8, 8, 4), "image", (0, 1))
    expected = np.tile(np.float32([128, 128, 128, 255]) / 255, (8, 8, 1))
    np.testing.assert_allclose(given_images.load_picture(path, spec), expected)
    # Nobody needs to know where uploads are.
    other = SampleSpec((8, 8, 2), "image", (0, 1))
    with pytest.raises(ValueError, match="as the data have, in a.png. Received"):
        given_images.load_picture(path, other)


def test_an_upload_is_on_the_scale_of_the_training(tmp_path):
    dark = np.full((4, 5), 1000, np.uint16)
    bright = saved(tmp_path / "bright.png", Image.fromarray(dark * 4))
    data = {"data.name": f"folder:{tmp_path}"}
    experiment = experiments.get_preset("digits", data)
    run = runs.Run.create(tmp_path / "run", experiment)
    image_gan().save(run.model_path)
    (tmp_path / "uploads").mkdir()
    upload = saved(tmp_path / "uploads" / "a.png", Image.fromarray(dark))
    studio = Studio(run.path)
    for _ in range(2):
        np.testing.assert_allclose(studio.load(upload), (1000 >> 4) / 255, atol=1e-6)
        bright.unlink(missing_ok=True)  # it is looked up once


def test_a_picture_is_projected(digits):
    image = digits.draw(1, seed=7).samples[0]
    found, error, neighbours = digits.project(image)
    assert error < 0.01
    assert error == pytest.approx(((found.samples[0] - image) ** 2).mean(), rel=1e-2)
    assert len(neighbours) == 9
    nearest = np.linalg.norm(neighbours.latents - found.latents, axis=1)
    others = np.linalg.norm(digits.draw(9, 0).latents - found.latents, axis=1)
    np.testing.assert_allclose(nearest, 0.3 * others, rtol=1e-4)


def test_a_picture_is_projected_in_its_class(classes):
    image = classes.draw(1, seed=7, label=1).samples[0]
    found, _, neighbours = classes.project(image, label=1)
    assert found.labels.tolist() == [1] and set(neighbours.labels) == {1}
    found, _, _ = classes.project(image)
    assert found.label in (0, 1, 3)


def test_what_is_painted_over_is_completed(digits):
    image = digits.draw(1, seed=7).samples[0]
    hidden = np.zeros((80, 80), bool)
    hidden[41:] = True  # a tenth less of a row is painted, which still is most of it
    completions = digits.complete(image, hidden)
    assert completions.shape == (6, 8, 8, 1)
    for completion in completions:
        np.testing.assert_array_equal(completion[:4], image[:4])
    assert np.ptp(completions[:, 4:], axis=0).max() > 0.05
    for painted, word in ((hidden & False, "nothing"), (hidden | True, "all")):
        with pytest.raises(ValueError, match=f"Received: {word} painted"):
            digits.complete(image, painted)


# === Limits ===


def test_an_action_ends_when_its_time_is_up(root, of_run):
    studio = Studio(digits_path(root), limits=Limits(seconds=1e-6))
    # As many samples at once as it can make in this time, at least one.
    assert studio.limits.num_samples == 1
    image = studio.draw(1, seed=0).samples[0]
    hidden = np.eye(8, dtype=bool)
    for action in (studio.project, lambda image: studio.complete(image, hidden)):
        with pytest.raises(TimeoutError, match="^Stopped after 1e-06 s, with"):
            action(image)


def test_numbers_outside_of_the_limits_are_refused(digits):
    for arguments in ((101, 0), (0, 0), (1, -1), (1, 2**32), (1.5, 0)):
        with pytest.raises(ValueError, match="^Expected"):
            digits.draw(*arguments)
    with pytest.raises(ValueError, match=r"truncation `psi` in \[0, 1\]"):
        digits.draw(1, 0, truncation=1.5)
    with pytest.raises(ValueError, match="not conditional"):
        digits.draw(1, 0, label=3)


def test_old_downloads_are_removed(tmp_path):
    downloads = Downloads(tmp_path / "files")
    paths = [downloads.new("a.png") for _ in range(60)]
    for path in paths:
        assert path.name == "a.png"
    assert [path.parent.exists() for path in paths] == [False] * 10 + [True] * 50


# === What is missing ===


def test_an_export_says_what_its_missing_parts_need(digits, of_run):
    assert set(digits.missing) == {"reject", "training"} and of_run.missing == {}
    with pytest.raises(ValueError, match="needs the directory of a run"):
        digits.draw(4, 0, reject=True)
    for action in (digits.curves, digits.diagnosis, digits.snapshots):
        with pytest.raises(ValueError, match="need the directory of a run"):
            action()


def test_a_run_shows_its_training(of_run):
    pytest.importorskip("matplotlib")
    found = of_run.diagnosis()
    expected = runs.figures.diagnose(
        of_run.run, of_run.generator, of_run.run.data(), seed=0
    )
    assert found == expected and "Epoch 1" in found.explanation
    assert of_run.curves().shape[1:] == (1000, 3)
    assert [epoch for epoch, _ in of_run.snapshots()] == [0, 1]


def test_samples_that_are_no_images_have_no_page(tmp_path):
    helpers.tiny_gan().save(tmp_path / "gan.keras")
    with pytest.raises(ValueError, match="^Expected samples that are images"):
        Studio(tmp_path / "gan.keras")


# === The command and the server ===


@pytest.mark.parametrize("command_line", [["demo"], ["demo", "--model=nowhere"]])
def test_mistakes_are_one_line(command, command_line):
    pytest.importorskip("gradio")
    status, out, errors = command(*command_line)
    assert status == 1 and out == ""
    assert errors.startswith("error: Expected") and errors.count("\n") == 1


def test_without_the_extra_one_line_names_it(command, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gradio", None)
    status, _, errors = command("demo", "--model=nowhere")
    assert status == 1
    assert errors == (
        "error: gradio is not installed. Run: pip install 'keras_gan[demo]'\n"
    )


def test_a_port_that_is_taken_is_one_line(command, root):
    pytest.importorskip("gradio")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, out, errors = command(
            "demo", f"--model={digits_path(root)}", f"--port={port}"
        )
    assert status == 1 and out == ""
    assert re.fullmatch(
        rf"error: Expected a free port .* 127\.0\.0\.1:{port} \(.*in use\); .*\n",
        errors,
    )


@pytest.fixture(scope="module")
def client(digits, tmp_path_factory):
    """A client of the page, in this process."""
    pytest.importorskip("gradio")
    from starlette.testclient import TestClient

    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "cache"))
        with TestClient(server.application(digits, folder / "files")) as client:
            client.cache = folder / "cache"
            yield client


def test_the_page_names_no_other_server(client):
    answer = client.get("/")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "http" not in policy
    loaded = r"""(?:src|href)=["'](?:https?:)?//|@import|url\(["']?(?:https?:)?//"""
    for text in (answer.text, client.get("/theme.css").text):
        assert not re.search(loaded, text)
    assert client.get("/config").json()["analytics_enabled"] is False


def test_no_action_is_an_interface_for_programs(client):
    found = client.get("/gradio_api/info").json()
    assert found["named_endpoints"] == {} and found["unnamed_endpoints"] == {}
    assert client.get("/docs").status_code == 404
    assert client.get("/openapi.json").status_code == 404


def test_a_request_reads_no_other_file_of_the_machine(client, tmp_path):
    """Only what was uploaded, whatever path a request names as its upload."""
    path = saved(tmp_path / "other.png", Image.new("L", (8, 8)))
    read, _ = [  # by a new file, and by the swap of light and dark
        action
        for action in client.get("/config").json()["dependencies"]
        if [_type_of(client, each) for each in action["inputs"]] == ["file", "checkbox"]
    ]

    def answer(path):
        file = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        request = {
            "data": [file, False], "fn_index": read["id"], "session_hash": "a",
        }  # fmt: skip
        assert client.post("/gradio_api/queue/join", json=request).status_code == 200
        events = client.get("/gradio_api/queue/data", params={"session_hash": "a"}).text
        (last,) = (line for line in events.splitlines() if "process_completed" in line)
        return json.loads(last.removeprefix("data: "))

    assert not answer(path)["success"]
    assert not list(client.cache.rglob("other.png"))
    with open(path, "rb") as file:
        (uploaded,) = client.post(
            "/gradio_api/upload", files={"files": ("mine.png", file)}
        ).json()
    assert answer(uploaded)["success"]


def _type_of(client, number):
    components = client.get("/config").json()["components"]
    return next(each["type"] for each in components if each["id"] == number)


def test_uploads_are_limited(client, digits):
    content = b"0" * (digits.limits.max_bytes + 1)
    answer = client.post("/gradio_api/upload", files={"files": ("a.png", content)})
    assert answer.status_code == 413


def test_mistakes_become_sentences_and_errors_are_logged(caplog):
    gradio = pytest.importorskip("gradio")
    from keras_gan.demo.answers import answering

    @answering
    def act(error):
        raise error

    with pytest.raises(gradio.Error) as raised:
        act(ValueError("Expected x. Received: <b>y</b>"))
    assert raised.value.message == "Expected x. Received: &lt;b&gt;y&lt;/b&gt;"
    assert not caplog.records
    with caplog.at_level(logging.ERROR), pytest.raises(gradio.Error) as raised:
        act(KeyError("inner"))
    assert "inner" not in raised.value.message and "terminal" in raised.value.message
    assert "KeyError" in caplog.text
