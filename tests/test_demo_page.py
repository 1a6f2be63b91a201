"""The page of `keras-gan demo` in Chromium: each control moves what it says."""

import importlib.util
import io
import signal

import numpy as np
import pytest
from PIL import Image

from keras_gan import inference, runs
from keras_gan.pictures import grids
from tests import helpers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(root):
    """`benchmarks/demo.py`, which serves a page and opens Chromium."""
    pytest.importorskip("gradio")
    pytest.importorskip("playwright")
    path = root / "benchmarks/demo.py"
    spec = importlib.util.spec_from_file_location("benchmark_demo", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if module.chromium() is None:
        pytest.skip("no Chromium is installed")
    return module


@pytest.fixture(scope="module")
def exported(demo, root):
    """(URL, process) of the page of an export whose samples have classes."""
    with demo.served(root / "saved_models/mnist_conditional/1") as served:
        yield served


@pytest.fixture(scope="module")
def of_run(demo, tmp_path_factory):
    """(URL, process) of the page of a run, trained for an epoch."""
    run = helpers.digits_run(tmp_path_factory.mktemp("runs") / "digits")
    with demo.served(run.path) as served:
        yield served


@pytest.fixture
def page(demo, exported):
    with demo.opened(exported[0]) as page:
        yield page


@pytest.fixture(scope="module")
def generator(root):
    return runs.load_generator(root / "saved_models/mnist_conditional/1")


# === What a user does, and sees ===


def pixels(page, name):
    """The picture in an element, uint8 `(H, W)` or `(H, W, 3)`."""
    source = page.locator(f"#{name} img").first.get_attribute("src")
    content = page.request.get(source).body()
    return np.asarray(Image.open(io.BytesIO(content)))


def changed(page, name, act):
    """The pictures in an element before and after an act."""
    place = f"#{name} img"
    before, source = pixels(page, name), page.locator(place).get_attribute("src")
    act()
    page.wait_for_function(
        "([place, source]) => ![null, undefined, source].includes("
        "document.querySelector(place)?.getAttribute('src'))",
        arg=[place, source],
    )
    return before, pixels(page, name)


def go(page, tab):
    page.get_by_role("tab", name=tab).click()


def slider(page, label):
    return page.get_by_role("slider", name=label)


def click_sample(page, number):
    """Clicks one of the 36 samples."""
    box = page.locator("#grid img").bounding_box()
    row, column = divmod(number, 6)
    page.mouse.click(
        box["x"] + box["width"] * (column + 0.5) / 6,
        box["y"] + box["height"] * (row + 0.5) / 6,
    )
    page.wait_for_selector("#edited img")


def choose(page, label, option):
    page.get_by_label(label, exact=True).locator("visible=true").click()
    page.get_by_role("option", name=option, exact=True).click()


def upload(page, path):
    remove = page.locator("#upload button[aria-label=Clear]")
    if remove.count():
        remove.click()
    page.set_input_files("#upload input[type=file]", path)


def saved_by(page, button):
    """What a button lets the browser save: (name, bytes)."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button).locator("visible=true").click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def as_sample(picture, spec):
    """An enlarged picture of one sample as the generator's values, `(1, H, W, 1)`."""
    factor = len(picture) // spec.shape[0]
    return spec.from_uint8(picture[None, ::factor, ::factor, None].astype(np.float32))


# === Tests ===


def test_nothing_is_loaded_from_elsewhere(page, exported):
    for tab in ("Edit", "Your picture", "Training"):
        go(page, tab)
    page.wait_for_timeout(2000)
    hosts = {url.partition("//")[2].partition("/")[0] for url in page.requested}
    assert {host for host in hosts if host} == {exported[0].partition("//")[2]}


def check_last_row(shown, generator, **options):
    """Compares the last row of a grid, in which the first picks have no frames."""
    samples = generator.generate(**options)
    expected = grids.enlarge(grids.grid(grids.visible(samples, generator.spec)))
    rows = np.ceil(len(samples) ** 0.5)
    last = np.s_[int(len(shown) * (rows - 1) / rows) + 12 :]
    np.testing.assert_array_equal(
        shown[last], np.broadcast_to(expected[last], shown[last].shape)
    )


def test_the_first_grid_is_that_of_generate(page, generator):
    check_last_row(pixels(page, "grid"), generator, num_samples=36, seed=0)


def test_controls_of_the_samples(page, generator):
    options = {"num_samples": 36, "seed": 1}
    _, shown = changed(
        page, "grid", lambda: page.get_by_role("button", name="Next seed").click()
    )
    check_last_row(shown, generator, **options)
    options["num_samples"] = 4
    _, shown = changed(page, "grid", lambda: slider(page, "Samples").fill("4"))
    check_last_row(shown, generator, **options)
    options["labels"] = 7
    _, shown = changed(page, "grid", lambda: choose(page, "Class", "7"))
    check_last_row(shown, generator, **options)
    options["truncation"] = 0.5
    _, shown = changed(page, "grid", lambda: slider(page, "Truncation").fill("0.5"))
    check_last_row(shown, generator, **options)


def test_a_sample_is_made_thinner_and_thicker(page, generator):
    """The user's way: click a digit, move "Thickness"."""
    click_sample(page, 8)
    spec = generator.spec
    start = pixels(page, "edited")
    expected = generator.generate(36, seed=0)[8]
    np.testing.assert_allclose(
        as_sample(start, spec)[0], expected, atol=1.5 * np.ptp(spec.value_range) / 255
    )
    for name in ("Thickness", "Slant", "Width", "Brightness"):
        control, values = slider(page, name), {}
        for amount in ("-2", "2", "0"):
            _, picture = changed(page, "edited", lambda: control.fill(amount))  # noqa: B023
            of = inference.attributes_of(as_sample(picture, spec), spec)
            values[amount] = of[name.lower()][0]
        assert values["-2"] < values["0"] < values["2"], (name, values)
        np.testing.assert_array_equal(picture, start)


def test_the_way_leads_to_the_second_pick(page, generator):
    click_sample(page, 3)
    go(page, "Samples")
    page.get_by_label("where its way leads").check()
    _, way = changed(page, "way", lambda: click_sample(page, 20))
    assert np.ptp(way) > 100
    _, end = changed(
        page, "edited", lambda: slider(page, "Way to the second").fill("1")
    )
    expected = generator.generate(36, seed=0)[20:21]
    np.testing.assert_allclose(as_sample(end, generator.spec), expected, atol=0.02)
    _, restored = changed(
        page, "edited", lambda: page.get_by_role("button", name="Undo").click()
    )
    first = generator.generate(36, seed=0)[3]
    np.testing.assert_allclose(as_sample(restored, generator.spec)[0], first, atol=0.02)
    _, other = changed(page, "edited", lambda: choose(page, "Class", "7"))
    assert not np.array_equal(other, restored)


def test_what_is_saved(page, generator):
    name, content = saved_by(page, "Save NPZ")
    assert name == "mnist_conditional_seed0.npz"
    with np.load(io.BytesIO(content)) as file:
        np.testing.assert_array_equal(file["samples"], generator.generate(36, seed=0))
        assert file["labels"].shape == (36,)
    name, content = saved_by(page, "Save PNG")
    samples = generator.generate(36, seed=0)
    expected = grids.sample_picture(samples, generator.spec)[..., 0]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), expected)
    go(page, "Edit")
    name, content = saved_by(page, "Save GIF")
    assert name == "mnist_conditional_edited.gif"
    assert Image.open(io.BytesIO(content)).n_frames > 20


@pytest.fixture
def seven(generator, tmp_path):
    """A picture of a sample, larger than samples are."""
    image = generator.spec.to_uint8(generator.generate(1, seed=4, labels=7))[0, ..., 0]
    path = tmp_path / "seven.png"
    Image.fromarray(image).resize((280, 280), Image.Resampling.NEAREST).save(path)
    return path, image


def test_a_picture_is_projected_edited_and_completed(page, seven):
    path, image = seven
    go(page, "Your picture")
    choose(page, "Its class", "7")
    upload(page, path)
    page.wait_for_selector("#neighbours img", timeout=60_000)
    both = pixels(page, "found").astype(int)
    half = both.shape[1] // 2
    own, found = both[:, :half], both[:, half : 2 * half]
    assert np.abs(own - found).mean() < 20 and np.ptp(own) > 200
    canvas = page.locator("#canvas canvas").last
    canvas.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)  # its background is drawn
    page.get_by_role("button", name="Complete").click()
    page.get_by_text("paint over what is to be completed").wait_for()
    box = canvas.bounding_box()
    middle = box["x"] + box["width"] / 2
    page.mouse.move(middle - 60, box["y"] + box["height"] * 0.7)
    page.mouse.down()
    page.mouse.move(middle + 60, box["y"] + box["height"] * 0.7, steps=10)
    page.mouse.up()
    page.get_by_role("button", name="Complete").click()
    page.wait_for_selector("#completions img", timeout=60_000)
    first = pixels(page, "completions")
    factor = first.shape[1] // (3 * 29 + 1)
    first = first[factor : 29 * factor : factor, factor : 29 * factor : factor]
    # What was not painted over is as it was.
    own = own[10:290:10, 10:290:10]
    assert np.abs(first[:12].astype(int) - own[:12]).max() <= 1
    assert (first != own).any()
    page.get_by_role("button", name="Change it in Edit").click()
    page.wait_for_selector("#edited img")
    shown = pixels(page, "edited")[::12, ::12].astype(int)
    assert np.abs(shown - image).mean() < 20


def test_wrong_uploads_are_sentences_and_the_server_lives(page, seven, tmp_path):
    path, image = seven
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.new("1", (8000, 5000)).save(tmp_path / "large.png")
    (tmp_path / "heavy.png").write_bytes(bytes(17 * 2**20))
    go(page, "Your picture")
    choose(page, "Its class", "7")
    for name, sentence in (
        ("text.png", "Received: text.png (no image of these formats)"),
        ("empty.png", "Received: empty.png (no image of these formats)"),
        ("large.png", "8,000x5,000 pixels, where 25,000,000 are read"),
        ("heavy.png", "exceed the maximum allowed size"),
    ):
        upload(page, tmp_path / name)
        page.get_by_text(sentence).first.wait_for()
    # CMYK is a picture as any other.
    cmyk = Image.fromarray(image).convert("RGB").convert("CMYK")
    cmyk.save(tmp_path / "cmyk.jpg", quality=95)
    upload(page, tmp_path / "cmyk.jpg")
    page.wait_for_selector("#found img", timeout=60_000)
    assert np.ptp(pixels(page, "found")) > 200


def test_an_export_says_what_is_missing(page):
    assert page.get_by_text("Choosing samples by D needs").is_visible()
    go(page, "Training")
    page.get_by_text("need the directory of a run").wait_for()


def test_the_page_of_a_run(demo, of_run):
    with demo.opened(of_run[0], width=400) as page:
        plain, chosen = changed(
            page, "grid", lambda: page.get_by_label("Reject by D").check()
        )
        assert plain.shape == chosen.shape and (plain != chosen).any()
        _, again = changed(
            page, "grid", lambda: page.get_by_label("Reject by D").uncheck()
        )
        np.testing.assert_array_equal(plain, again)
        go(page, "Training")
        page.get_by_text("Epoch 1").first.wait_for()
        assert pixels(page, "curves").shape[1] == 1000
        assert page.locator("#snapshots img").count() == 2
        # Nothing is wider than the window but the curves, which scroll.
        assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_memory_stays_flat(demo, exported, page):
    demo.move(page, 50)
    before = demo.resident_mib(exported[1].pid)
    demo.move(page, 200)
    assert demo.resident_mib(exported[1].pid) - before < 30


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_removes_its_files(
    demo, root, tmp_path, monkeypatch, capfd, request, number
):
    # Under nohup the hangup is ignored, also by the processes that tests start.
    handler = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    request.addfinalizer(lambda: signal.signal(signal.SIGHUP, handler))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with demo.served(root / "saved_models/digits/1") as (url, process):
        with demo.opened(url):  # its tab is open, as a user's is
            assert list(tmp_path.glob("keras_gan_demo_*"))
            process.send_signal(number)
            assert process.wait(60) == 0
        assert not list(tmp_path.glob("keras_gan_demo_*"))
    assert "Traceback" not in capfd.readouterr().err


def test_what_was_picked_stays_where_other_samples_are_drawn(page, generator):
    click_sample(page, 3)
    go(page, "Samples")
    edited = pixels(page, "edited")
    changed(page, "grid", lambda: page.get_by_role("button", name="Next seed").click())
    np.testing.assert_array_equal(pixels(page, "edited"), edited)
    page.get_by_label("where its way leads").check()
    changed(page, "way", lambda: click_sample(page, 20))
    np.testing.assert_array_equal(pixels(page, "edited"), edited)
    _, end = changed(
        page, "edited", lambda: slider(page, "Way to the second").fill("1")
    )
    expected = generator.generate(36, seed=1)[20:21]
    np.testing.assert_allclose(as_sample(end, generator.spec), expected, atol=0.02)


def test_a_wrong_file_leaves_nothing_of_the_one_before(page, seven, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    go(page, "Your picture")
    choose(page, "Its class", "7")
    upload(page, seven[0])
    page.get_by_text("Root mean squared error").wait_for(timeout=60_000)
    upload(page, tmp_path / "text.png")
    page.get_by_text("Received: text.png").first.wait_for()
    assert page.get_by_text("Root mean squared error").count() == 0
    assert page.locator("#found img").count() == 0


@pytest.mark.parametrize("second", ["picture", "wrong file"])
def test_a_second_file_takes_the_place_of_one_that_is_projected(
    page, seven, tmp_path, second
):
    """The result of the first picture is not shown beside the second."""
    path, _ = seven
    Image.new("L", (28, 28), "white").save(tmp_path / "white.png")
    (tmp_path / "text.png").write_text("no picture")
    go(page, "Your picture")
    choose(page, "Its class", "7")
    upload(page, tmp_path / "white.png")
    page.wait_for_selector("#canvas canvas")
    page.wait_for_timeout(500)  # it is being projected
    if second == "wrong file":
        upload(page, tmp_path / "text.png")
        page.get_by_text("Received: text.png").first.wait_for()
        # An action of the same lane comes after that of the first file.
        go(page, "Edit")
        saved_by(page, "Save GIF")
        assert page.get_by_text("Root mean squared error").count() == 0
        return
    upload(page, path)
    page.get_by_text("Root mean squared error").wait_for(timeout=60_000)
    own = pixels(page, "found")
    assert own[15, 15] == 0  # black, not white
