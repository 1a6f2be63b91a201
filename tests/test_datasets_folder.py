"""Folders of images, and the cache of what was decoded."""

import os
import struct
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_gan import datasets
from keras_gan.datasets import DatasetError, cache, folder
from keras_gan.experiments import Data
from keras_gan.experiments.building import load_data, load_held_out


@pytest.fixture(autouse=True)
def cache_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def images(tmp_path):
    """Writes arrays as image files below a folder, and returns the folder."""
    base = tmp_path / "images"
    base.mkdir()

    def write(**files):
        for path, pixels in files.items():
            path, _, suffix = path.rpartition("_")
            file = base / f"{path.replace('__', '/')}.{suffix}"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
        return base

    return write


def random_pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def load(base, split="train", size=""):
    return datasets.load(f"folder:{base}{size}", split)


def refusal(base, split="train", size=""):
    with pytest.raises(DatasetError) as caught:
        load(base, split, size)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# === What is decoded ===


def test_files_in_sorted_order_with_their_classes(images):
    pixels = [random_pixels(5, 7, 3, seed=i) for i in range(5)]
    base = images(
        cat__b_png=pixels[1], cat__a_bmp=pixels[0], dog__deep__er_png=pixels[3]
    )
    images(dog__a_PNG=pixels[2], eel__x_webp=random_pixels(5, 7, 3))
    (base / "dog" / "notes.txt").write_text("no image")
    (base / "dog" / ".hidden.png").write_text("nor this")
    (base / ".thumbnails").mkdir()
    (base / ".thumbnails" / "a.png").write_text("nor this")
    data = load(base)
    assert data.image_shape == (5, 7, 3)
    assert np.array_equal(data.images[:4], pixels[:4])
    assert data.labels.tolist() == [0, 0, 1, 1, 2]
    assert data.num_classes == 3
    assert data.value_range == (0.0, 1.0)


def test_no_classes_when_an_image_lies_above(images):
    data = load(images(cat__a_png=random_pixels(4, 4), b_png=random_pixels(4, 4)))
    assert data.labels is None and data.num_classes is None


def test_splits(images):
    base = images(
        train__a_png=random_pixels(4, 4, seed=0),
        test__a_png=random_pixels(4, 4, seed=1),
    )
    assert np.array_equal(
        load(base, "test").images[0, ..., 0], random_pixels(4, 4, seed=1)
    )
    assert load(base, "test").labels is None
    assert [len(load(base, split)) for split in ("train", "test", "all")] == [1, 1, 2]
    assert len(load(base / "train", "train")) == 1
    message = refusal(base, "valid")
    assert "'train' or 'all' (the whole folder), or a subfolder" in message
    assert message.endswith("Received: 'valid'")
    assert "Received: '..'" in refusal(base / "train", "..")


def test_one_channel_if_all_are_grey(images):
    grey, colour = random_pixels(4, 6), random_pixels(4, 6, 3)
    base = images(a_png=grey)
    assert np.array_equal(load(base).images[0, ..., 0], grey)
    images(b_png=colour)
    both = load(base).images
    assert np.array_equal(both[0], np.stack([grey] * 3, axis=-1))
    assert np.array_equal(both[1], colour)


def test_modes_of_other_kinds(images):
    grey = random_pixels(4, 6)
    sixteen = grey.astype(np.uint16) * 256 + 17
    alpha = np.stack([grey, np.full_like(grey, 255)], axis=-1)
    base = images(a_png=sixteen, b_png=grey > 127, c_png=alpha, d_gif=grey)
    data = load(base)
    assert data.image_shape == (4, 6, 3 if data.images.shape[-1] == 3 else 1)
    assert np.array_equal(data.images[0, ..., 0], grey)
    assert np.array_equal(data.images[1, ..., 0], np.where(grey > 127, 255, 0))
    assert np.array_equal(data.images[2, ..., 0], grey)
    assert np.array_equal(data.images[3, ..., 0], grey)


def test_transparent_pixels_lie_on_white(images):
    """Their own colours may be noise, which nobody has seen."""
    noise = random_pixels(4, 6, 3)
    alpha = np.zeros((4, 6, 1), np.uint8)
    alpha[:2], alpha[2] = 255, 128
    base = images(a_png=np.concatenate([noise, alpha], axis=-1))
    pixels = load(base).images[0]
    assert np.array_equal(pixels[:2], noise[:2]) and (pixels[3] == 255).all()
    half = (noise[2].astype(float) * 128 + 255 * 127) / 255
    assert np.abs(pixels[2] - half).max() <= 1


def test_other_kinds_of_transparency_lie_on_white_too(images):
    grey = random_pixels(4, 6)
    alpha = np.where(grey > 100, 255, 0).astype(np.uint8)
    base = images(a_png=np.stack([grey, alpha], axis=-1))
    # A palette of which one colour is transparent, as in a GIF.
    palette = Image.fromarray(np.where(grey > 100, 1, 0).astype(np.uint8), "P")
    palette.putpalette([9, 9, 9, 60, 60, 60])
    palette.save(base / "b.gif", transparency=0)
    data = load(base)
    assert data.image_shape[:2] == (4, 6)
    a, b = data.images[:, ..., 0]
    assert np.array_equal(a, np.where(grey > 100, grey, 255))
    assert np.array_equal(b, np.where(grey > 100, 60, 255))


@pytest.mark.parametrize(
    ("largest", "bits"), [(255, 8), (1023, 10), (4095, 12), (9000, 14), (65535, 16)]
)
def test_sixteen_bits_are_read_by_the_range_that_the_files_use(images, largest, bits):
    """A camera of 12 bits writes 0 to 4095: by 65535 its white would be black."""
    bright = np.linspace(0, largest, 24).astype(np.uint16).reshape(4, 6)
    dark = bright // 4
    base = images(a_png=bright, b_png=dark)
    pixels = load(base).images[..., 0]
    # One scale for all files: the darker one stays darker.
    assert np.array_equal(pixels[0], bright >> (bits - 8))
    assert np.array_equal(pixels[1], dark >> (bits - 8))
    assert pixels.max() >= 128


# Pillow writes no colours of 16 bits.


def png_of_16_bits(values):
    """The bytes of a PNG of grey, grey and alpha, colours, or colours and alpha."""
    return tf.io.encode_png(values.astype(np.uint16)).numpy()


def tiff_of_16_bits(values, photometric=2):
    """The bytes of a TIFF of values `(H, W, C)`."""
    height, width, channels = values.shape
    tags = {256: width, 257: height, 259: 1, 262: photometric, 277: channels}
    tags |= {278: height, 279: values.size * 2}
    # After the tags lie the bits of each channel, then the values.
    end = 8 + 2 + 12 * (len(tags) + 2) + 4
    tags |= {258: 16 if channels == 1 else end, 273: end + 2 * channels}
    content = struct.pack("<2sHLH", b"II", 42, 8, len(tags))
    for tag, value in sorted(tags.items()):
        kind, count = (3, channels) if tag == 258 else (4, 1)
        content += struct.pack("<HHLL", tag, kind, count, value)
    content += bytes(4) + struct.pack(f"<{channels}H", *[16] * channels)
    return content + values.astype("<u2").tobytes()


def ramp(largest, channels):
    """Values `(4, 6, channels)` from 0 to `largest`, each colour its own."""
    values = np.linspace(0, largest, 24).astype(np.uint16).reshape(4, 6, 1)
    return np.concatenate([values[::-1], values, values[:, ::-1]][:channels], axis=2)


@pytest.mark.parametrize(("largest", "bits"), [(255, 8), (4095, 12), (65535, 16)])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("opaque", [None, "largest", 65535])
def test_sixteen_bits_are_read_by_their_range_in_colour_and_with_alpha(
    images, largest, bits, colours, opaque
):
    """Pillow keeps the upper 8 bits of these: 12 bits were nearly black."""
    base, values = images(), ramp(largest, colours)
    for name, part in (("a", values), ("b", values // 4)):
        if opaque is not None:
            alpha = np.full((4, 6, 1), largest if opaque == "largest" else opaque)
            alpha[0] = 0
            # Transparent pixels hold larger values than visible ones.
            part = np.concatenate([np.where(alpha, part, 65535), alpha], axis=2)
        (base / f"{name}.png").write_bytes(png_of_16_bits(part))
    expected = np.stack([values, values // 4]) >> (bits - 8)
    if opaque is not None:
        expected[:, 0] = 255
    assert np.array_equal(load(base).images, expected)
    assert folder.bits_of(f"folder:{base}") == bits
    if opaque != "largest":  # which is nearly transparent as of 16 bits
        more = datasets.load(f"folder:{base}", bits=16).images
        assert np.array_equal(more[:, 1:], np.stack([values, values // 4])[:, 1:] >> 8)


def test_transparency_of_16_bits_is_kept(images):
    base, colours = images(), ramp(4095, 3)
    alpha = np.linspace(0, 65535, 24).astype(np.uint16).reshape(4, 6, 1)
    content = png_of_16_bits(np.concatenate([colours, alpha], axis=2))
    (base / "a.png").write_bytes(content)
    found = datasets.load(f"folder:{base}", background=None).images[0]
    assert np.array_equal(found[..., 3:], alpha >> 8)
    assert np.array_equal(found[..., :3], np.where(alpha >> 8, colours >> 4, 0))


def test_a_grey_level_of_16_bits_that_is_transparent_lies_on_white(images):
    base, values = images(), ramp(4095, 1)[..., 0]
    Image.fromarray(values).save(base / "a.png", transparency=int(values[1, 2]))
    found = load(base).images[0, ..., 0]
    assert found[1, 2] == 255 and found.max() == 255
    found[1, 2] = values[1, 2] >> 4
    assert np.array_equal(found, values >> 4)


def test_a_png_of_16_bits_that_is_cut_off_is_named(images):
    base = images()
    content = png_of_16_bits(random_pixels(40, 40, 3).astype(np.uint16) * 257)
    (base / "a.png").write_bytes(content[: len(content) // 2])
    assert "Received 1 that cannot: a.png (image file is truncated" in refusal(base)


def test_colours_of_16_bits_in_a_tiff(images, caplog):
    """Pillow keeps their upper 8 bits, which are enough where all 16 are used."""
    base, values = images(), ramp(65535, 3)
    (base / "a.tif").write_bytes(tiff_of_16_bits(values))
    with caplog.at_level("INFO", "keras_gan"):
        assert np.array_equal(load(base).images[0], values >> 8)
    assert f"Files of 16 bits below {base} are read as of 16." in caplog.text
    values = ramp(4095, 3)
    (base / "a.tif").write_bytes(tiff_of_16_bits(values))
    message = "a.tif (colours of 16 bits in a TIFF, of which 12 are used; save it as"
    assert message in refusal(base)
    with pytest.raises(DatasetError) as caught:
        datasets.load(f"folder:{base}", skip_broken=True)
    assert message in str(caught.value) and "skip_broken" not in str(caught.value)
    found = datasets.load(f"folder:{base}", bits=16)
    assert np.array_equal(found.images[0], values >> 8)


@pytest.mark.parametrize("photometric", [0, 1])
def test_a_tiff_whose_zero_is_white(images, photometric):
    base, values = images(), ramp(65535, 1)
    (base / "a.tif").write_bytes(tiff_of_16_bits(values, photometric))
    seen = values if photometric else 65535 - values
    assert np.array_equal(load(base).images[0], seen >> 8)
    # The range, too, is that of what is seen.
    (base / "a.tif").write_bytes(tiff_of_16_bits(values // 16, photometric))
    assert folder.bits_of(f"folder:{base}") == (12 if photometric else 16)


def test_a_photograph_is_turned_as_its_exif_says(images):
    base = images(b_png=np.zeros((8, 16, 3), np.uint8))
    pixels = np.zeros((16, 8, 3), np.uint8)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(pixels).save(base / "a.jpg", exif=exif, quality=100)
    turned = load(base).images[0, ..., 0]
    assert turned.shape == (8, 16)
    assert (turned[:, :8] < 50).all() and (turned[:, 8:] > 205).all()


def test_a_size_crops_the_centre_and_resizes(images):
    # 8 high, 24 wide: three squares of one value.
    pixels = np.repeat(np.repeat(np.uint8([[10, 200, 90]]), 8, axis=0), 8, axis=1)
    base = images(a_png=pixels, b_png=np.full((5, 5), 200, np.uint8))
    square = load(base, size="@4")
    assert square.image_shape == (4, 4, 1)
    # The filter takes in a little of what lies beside the crop.
    assert np.abs(square.images.astype(int) - 200).max() < 15
    assert (square.images[1] == 200).all()
    wide = load(base, size="@2x6").images
    assert wide.shape == (2, 2, 6, 1)
    assert wide[0, 0, 0, 0] < 30 and abs(int(wide[0, 0, 5, 0]) - 90) < 20


def test_a_cached_pixel_that_changed_is_decoded_again(images, cache_directory):
    base = images(a_png=random_pixels(4, 4), b_png=random_pixels(4, 4, seed=1))
    expected = load(base).images.copy()
    (cached,) = cache_directory.glob("*.npy")
    content = bytearray(cached.read_bytes())
    content[-1] ^= 1
    cached.write_bytes(content)
    assert np.array_equal(load(base).images, expected)
    assert cached.read_bytes() != bytes(content)


def test_links_to_folders_of_classes_are_followed(images, tmp_path):
    images(train__cat__a_png=random_pixels(4, 4))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.fromarray(random_pixels(4, 4, seed=1)).save(elsewhere / "b.png")
    base = images()
    (base / "train" / "dog").symlink_to(elsewhere)
    data = load(base)
    assert data.class_names == ("cat", "dog") and data.labels.tolist() == [0, 1]


# === What is refused ===


@pytest.mark.parametrize("target", [".", "..", "cat"])
def test_a_link_that_leads_back_is_refused(images, target):
    base = images(train__cat__a_png=random_pixels(4, 4))
    place = base / "train" / "cat" / "again"
    place.symlink_to(place.parent / target if target != "cat" else place.parent)
    with pytest.raises(DatasetError, match=f"again, a link to {base}"):
        load(base)


def test_a_folder_that_two_links_lead_to_is_refused(images):
    """Links of links would multiply without end, and its images would count twice."""
    base = images(cat__a_png=random_pixels(4, 4), dog__b_png=random_pixels(4, 4))
    (base / "dog" / "cats").symlink_to(base / "cat")
    with pytest.raises(DatasetError, match="Expected each subfolder below .* once"):
        load(base)


def test_the_working_directory_is_a_folder(images, monkeypatch):
    base = images(cat__a_png=random_pixels(4, 4), dog__b_png=random_pixels(4, 4))
    monkeypatch.chdir(base)
    for name in (".", "./", "../images"):
        assert load(name).class_names == ("cat", "dog")


def test_a_user_that_is_not_there_is_a_folder_that_is_not_there():
    message = refusal("~nosuchuser/images")
    assert "as folder:PATH names it. Received: ~nosuchuser/images; it" in message


def test_a_user_without_a_home_is_told_where_to_cache(monkeypatch):
    monkeypatch.delenv("KERAS_GAN_CACHE")
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(DatasetError, match="Expected a home folder.*KERAS_GAN_CACHE"):
        cache.directory(None)


def test_a_pipe_among_the_files_is_refused_and_does_not_hang(images):
    base = images(a_png=random_pixels(4, 4))
    os.mkfifo(base / "b.png")
    with pytest.raises(DatasetError, match="Received: b.png, which is no file"):
        load(base)


def test_a_folder_that_cannot_be_read_is_named(images, monkeypatch):
    base = images(
        train__cat__a_png=random_pixels(4, 4), train__dog__b_png=random_pixels(4, 4)
    )
    scandir = os.scandir

    def denied(path):
        if str(path).endswith("dog"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(DatasetError, match=r"dog \(Permission denied\)"):
        load(base)


def test_images_of_different_sizes(images):
    base = images(a_png=random_pixels(4, 6), b_png=random_pixels(4, 6))
    images(c_png=random_pixels(4, 5))
    message = refusal(base)
    assert "Received: 4x6 (a.png) and 4x5 (c.png); add a size" in message
    assert message.endswith(f"folder:{base}@64")


def test_unreadable_files_by_name(images, cache_directory):
    base = images(a_png=random_pixels(64, 64))
    whole = (base / "a.png").read_bytes()
    (base / "cut.png").write_bytes(whole[: len(whole) // 2])
    message = refusal(base)
    assert (
        "Received 1 that cannot: cut.png (image file is truncated); remove" in message
    )
    for i in range(7):
        (base / f"x{i}.jpg").write_bytes(b"no image")
    message = refusal(base)
    # Also the one that has a header.
    assert "Received 8 that cannot: x0.jpg (no image of these formats)" in message
    assert "x4.jpg" in message and "x5.jpg" not in message
    assert "and 3 more; remove" in message
    assert not cache_directory.exists()


def test_a_name_does_not_open_the_door_to_other_formats(images, tmp_path, monkeypatch):
    """Pillow would hand PostScript to Ghostscript, whatever the file's name."""
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    base = images(a_png=random_pixels(4, 6, 3))
    postscript = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n%%EndComments\n"
    (base / "evil.png").write_text(postscript + "showpage\n" * 20)
    assert "Received 1 that cannot: evil.png (no image" in refusal(base)
    (base / "evil.png").unlink()
    Image.fromarray(random_pixels(4, 6, 3)).save(base / "b.png", format="PPM")
    assert "Received 1 that cannot: b.png (no image" in refusal(base)
    # A format of the list under another suffix of the list is no harm.
    Image.fromarray(random_pixels(4, 6, 3)).save(base / "b.png", format="BMP")
    assert len(load(base)) == 2
    assert not (tmp_path / "started").exists()


def test_folders_without_images(tmp_path, images):
    assert f"Received: {tmp_path}/absent" in refusal(tmp_path / "absent")
    assert "Expected image files (.png, .jpg," in refusal(images())


# === The cache ===


def test_a_second_load_decodes_nothing(images, cache_directory, monkeypatch):
    base = images(
        cat__a_png=random_pixels(4, 6), dog__b_png=random_pixels(4, 6, seed=1)
    )
    first = load(base)
    assert sorted(path.suffix for path in cache_directory.iterdir()) == [
        ".json",
        ".npy",
    ]
    monkeypatch.setattr(folder, "_decode", None)
    second = load(base)
    assert np.array_equal(first.images, second.images)
    assert np.array_equal(first.labels, second.labels)
    assert second.num_classes == 2


def test_a_folder_that_changed_is_decoded_anew(images):
    base = images(a_png=random_pixels(4, 6))
    load(base)
    images(a_png=random_pixels(4, 6, seed=1))
    os.utime(base / "a.png", ns=(0, 1))
    assert np.array_equal(load(base).images[0, ..., 0], random_pixels(4, 6, seed=1))
    assert load(base, size="@3").image_shape == (3, 3, 1)
    os.rename(base / "a.png", base / "b.png")
    images(a_png=random_pixels(4, 6, seed=2))
    assert np.array_equal(load(base).images[0, ..., 0], random_pixels(4, 6, seed=2))


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("damage", ["empty", "cut", "noise", "gone"])
def test_a_damaged_cache_is_rebuilt(images, cache_directory, suffix, damage):
    base = images(
        cat__a_png=random_pixels(4, 6), dog__b_png=random_pixels(4, 6, seed=1)
    )
    first = load(base)
    (path,) = cache_directory.glob(f"*{suffix}")
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        content = {"empty": b"", "cut": whole[:-9], "noise": b"\x80" * 99}[damage]
        path.write_bytes(content)
    again = load(base)
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.labels, again.labels)
    assert path.read_bytes() == whole


def test_large_folders_stay_on_disk(images, cache_directory, monkeypatch):
    base = images(a_png=random_pixels(4, 6), b_png=random_pixels(4, 6, seed=1))
    in_memory = load(base)
    assert not isinstance(in_memory.images, np.memmap)
    monkeypatch.setattr(cache, "IN_MEMORY_BYTES", 47)
    for path in cache_directory.iterdir():
        path.unlink()
    for _ in range(2):
        data = load(base)
        assert isinstance(data.images, np.memmap)
        assert np.array_equal(data.images, in_memory.images)
        batches = zip(data.batches(1, 0), in_memory.batches(1, 0), strict=True)
        assert all(np.array_equal(a, b) for a, b in batches)
    # A failure on the way leaves nothing.
    for path in cache_directory.iterdir():
        path.unlink()
    (base / "b.png").write_bytes((base / "b.png").read_bytes()[:60])
    assert "b.png" in refusal(base)
    assert list(cache_directory.iterdir()) == []


def test_a_cache_that_cannot_be_written(images, tmp_path, monkeypatch):
    base = images(a_png=random_pixels(4, 6))
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="are not cached.*Set KERAS_GAN_CACHE"):
        data = load(base)
    assert np.array_equal(data.images[0, ..., 0], random_pixels(4, 6))
    monkeypatch.setattr(cache, "IN_MEMORY_BYTES", 23)
    assert "for 24 bytes of images, too many for memory" in refusal(base)


def test_where_the_cache_is(tmp_path, monkeypatch):
    assert cache.directory("/data") == tmp_path / "cache"
    monkeypatch.delenv("KERAS_GAN_CACHE")
    assert str(cache.directory("/data")) == "/data"
    monkeypatch.setenv("HOME", "/home/me")
    assert str(cache.directory(None)) == "/home/me/.cache/keras_gan"


def test_progress_is_shown_when_it_takes_long(images, capsys, monkeypatch):
    base = images(a_png=random_pixels(4, 6), b_png=random_pixels(4, 6, seed=1))
    load(base)
    shown = capsys.readouterr()
    assert shown.out == shown.err == ""
    # Every look at the clock finds three seconds gone.
    clock = iter(range(0, 100_000, 3))
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    load(base, size="@3")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Reading headers: 100%" in shown.err
    assert "Decoding images: 100%" in shown.err and " 2/2 " in shown.err


def test_cifar10_as_a_folder(tmp_path, test_data):
    import tarfile

    with tarfile.open(test_data / "cifar10_jpeg" / "test.tar.gz") as archive:
        members = [m for m in archive if m.isfile() and m.name.endswith("1.jpg")]
        archive.extractall(tmp_path / "cifar", members, filter="data")
    data = load(tmp_path / "cifar", "test")
    assert data.image_shape == (32, 32, 3) and data.num_classes == 10
    assert len(data) == len(members) == len(data.labels)
    assert 100 < data.images.mean() < 140


def test_folders_of_equal_names_and_times_are_told_apart(tmp_path):
    """As unpacked archives have them: the same names, sizes and times, other pixels."""
    means = []
    for name, grey in (("a", 10), ("b", 200)):
        (tmp_path / name).mkdir()
        for i in range(3):
            path = tmp_path / name / f"{i}.bmp"
            Image.new("L", (8, 8), grey).save(path)
            os.utime(path, (1, 1))
        data = datasets.load(f"folder:{tmp_path}/{name}", data_dir=tmp_path / "cache")
        means.append(float(data.images.mean()))
    assert means == [10.0, 200.0]


def test_a_folder_whose_name_ends_like_a_size(tmp_path):
    for name, size in (("b", (8, 8)), ("b@2", (4, 4))):
        (tmp_path / name).mkdir()
        Image.new("L", size).save(tmp_path / name / "0.png")
    data = datasets.load(f"folder:{tmp_path}/b@2", data_dir=tmp_path / "cache")
    assert data.image_shape == (4, 4, 1)


def test_a_broken_link_is_named(tmp_path):
    (tmp_path / "z.png").symlink_to(tmp_path / "nothing.png")
    with pytest.raises(datasets.DatasetError, match=r"Received: z\.png"):
        datasets.load(f"folder:{tmp_path}", data_dir=tmp_path / "cache")


def test_a_held_out_split_that_is_damaged_is_not_taken_for_a_missing_one(images):
    """It would be scored against the training examples, and nobody would know."""
    base = images(train__a_png=random_pixels(4, 4), train__b_png=random_pixels(4, 4))
    data = Data(name=f"folder:{base}")
    train = load(base)
    assert load_held_out(data, train) == (None, None)
    with pytest.raises(datasets.SplitError, match="a subfolder of .* 'test'"):
        load(base, "test")
    images(test__a_png=random_pixels(4, 4), test__b_png=random_pixels(4, 4))
    valid, test = load_held_out(data, train)
    assert (len(valid), len(test)) == (1, 1)
    (base / "test" / "b.png").write_bytes(b"cut off")
    with pytest.raises(DatasetError, match=r"Received 1 that cannot: b\.png"):
        load_held_out(data, train)


@pytest.mark.parametrize("name", ["valid", "validation", "val", "Val"])
def test_every_name_of_a_validation_split_is_one(images, name):
    """The test examples are then all there, and not halved to validate on."""
    base = images(train__a_png=random_pixels(4, 4), test__a_png=random_pixels(4, 4))
    images(test__b_png=random_pixels(4, 4, seed=1))
    images(**{f"{name}__c_png": random_pixels(4, 4, seed=2)})
    valid, test = load_held_out(Data(name=f"folder:{base}"), load(base))
    np.testing.assert_array_equal(valid.images[0, ..., 0], random_pixels(4, 4, seed=2))
    assert len(test) == 2 and test.split == "test"


def test_held_out_images_get_the_channels_of_the_training_examples(images):
    colours, grey = random_pixels(4, 4, 3), random_pixels(4, 4, seed=1)
    base = images(train__a_png=colours, test__a_png=grey, val__a_png=grey)
    data = Data(name=f"folder:{base}")
    for found in load_held_out(data, load_data(data)):
        assert found.images.shape == (1, 4, 4, 3) == (1, *found.spec.shape)
        assert (found.images == grey[..., None]).all()
    # Before the contrast is normalised, by all values of an image.
    data = Data(name=f"folder:{base}", contrast_normalization=True)
    _, test = load_held_out(data, load_data(data))
    assert np.linalg.norm(test.images) == pytest.approx(55)
    # Colours stand for grey levels where their channels are equal.
    equal = np.repeat(grey[..., None], 3, axis=2)
    base = images(g__train__a_png=grey, g__test__a_png=equal, g__val__a_png=grey) / "g"
    data = Data(name=f"folder:{base}", value_range=(-1, 1))
    for found in load_held_out(data, load_data(data)):
        assert found.spec.shape == (4, 4, 1) and found.value_range == (-1, 1)
        assert (found.images[0, ..., 0] == grey).all()


@pytest.mark.parametrize("shape", [(4, 4, 3), (4, 5)])
def test_held_out_images_of_another_shape_are_refused(images, shape):
    base = images(train__a_png=random_pixels(4, 4), test__a_png=random_pixels(*shape))
    data = Data(name=f"folder:{base}")
    message = r"\(4, 4, 1\).* split 'train'.* split 'test'.* Received: \(4, "
    with pytest.raises(DatasetError, match=message) as error:
        load_held_out(data, load_data(data))
    assert "\n" not in str(error.value)


# === Options ===


def test_that_images_are_enlarged_is_said(images, caplog):
    base = images(
        a_png=random_pixels(8, 8), b_png=random_pixels(3, 9), c_png=random_pixels(9, 9)
    )
    caplog.set_level("INFO", "keras_gan")
    load(base, size="@3")
    assert "enlarged" not in caplog.text
    load(base, size="@8x9")
    expected = f"2 of 3 images below {base} are enlarged to 8x9; the smallest is 3x9."
    assert expected in caplog.text


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_sixteen_bits_have_one_scale_in_all_splits(images, byte_order, caplog):
    base = images(train__a_png=random_pixels(4, 4))
    (base / "test").mkdir()
    for split, largest in (("train", 3000), ("test", 900)):
        values = np.full((4, 4), 800, f"{byte_order}u2")
        values[0, 0] = largest
        mode = "I;16" if byte_order == "<" else "I;16B"
        image = Image.frombytes(mode, (4, 4), values.tobytes())
        image.save(base / split / "b.tif")
    with caplog.at_level("INFO", "keras_gan"):
        train, test = load(base, "train"), load(base, "test")
    assert train.images[1, 1, 1, 0] == test.images[0, 1, 1, 0] == 800 >> 4
    assert f"Files of 16 bits below {base} are read as of 12." in caplog.text
    assert folder.bits_of(f"folder:{base}") == 12
    more = datasets.load(f"folder:{base}", "test", bits=16)
    assert more.images[0, 1, 1, 0] == 800 >> 8
    with pytest.raises(ValueError, match="`bits` to be an int in"):
        datasets.load(f"folder:{base}", bits=7)


def test_a_scale_follows_the_other_splits_though_it_is_cached(images):
    base = images(train__a_png=np.full((4, 4), 800, np.uint16))
    assert load(base).images[0, 0, 0, 0] == 800 >> 2
    images(test__b_png=np.full((4, 4), 60000, np.uint16))
    assert load(base).images[0, 0, 0, 0] == 800 >> 8


@pytest.mark.parametrize("split", ["test", "Test", "valid", "val"])
def test_a_split_beside_images_is_not_trained_on(images, split):
    base = images(a_png=random_pixels(4, 4), cat__b_png=random_pixels(4, 4, seed=1))
    images(**{f"{split}__c_png": random_pixels(4, 4, seed=2)})
    assert len(load(base)) == 2 and len(load(base, "all")) == 3
    assert len(load(base, split.lower())) == 1
    assert len(datasets.load(f"folder:{base}", held_out=0.5)) == 2


def test_images_beside_class_folders_are_said(images, caplog):
    files = {f"cat__{i}_png": random_pixels(4, 4, seed=i) for i in range(12)}
    base = images(**files)
    assert load(base).class_names == ("cat",) and not caplog.text
    images(stray_png=random_pixels(4, 4))
    assert load(base).class_names is None
    assert "because 1 of 13 images lie in none, such as stray.png." in caplog.text


def test_names_are_harmless_to_a_terminal(images):
    base = images(a_png=random_pixels(4, 4))
    (base / "e\033[31m\nX.png").write_text("no picture")
    message = refusal(base)
    assert "\\x1b[31m\\nX.png" in message and "\033" not in message


@pytest.mark.parametrize("suffix", ["jpg", "webp", "tif", "avif", "heic"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_photographs_of_every_kind_are_turned(tmp_path, suffix, orientation):
    """Some decoders of Pillow turn the pixels themselves, others leave it to us."""
    Image.init()
    if suffix == "heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    elif suffix == "avif" and "AVIF" not in Image.SAVE:
        pytest.skip("this Pillow writes no AVIF")
    pixels = np.zeros((40, 64, 3), np.uint8)
    pixels[:20, :32] = 255  # the upper left
    exif = Image.Exif()
    exif[0x0112] = orientation
    # As bytes: pillow-heif turns by no other kind.
    exif = exif.tobytes()
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", exif=exif, quality=95)
    image = load(tmp_path).images[0, ..., 0].astype(int)
    # By 180 degrees, or by 90 clockwise: to the lower right, or to the upper right.
    expected = np.rot90(pixels[..., 0], 2 if orientation == 3 else -1)
    assert image.shape == expected.shape
    assert np.abs(image - expected).mean() < 8


def with_alpha(*shape, seed=0):
    """Returns random RGBA pixels, a third of them fully transparent."""
    pixels = random_pixels(*shape, 4, seed=seed)
    pixels[: shape[0] // 3, :, 3] = 0
    return pixels


def test_a_background_of_ones_own(images):
    pixels = with_alpha(6, 4)
    base = images(a_png=pixels)
    found = datasets.load(f"folder:{base}", background="#102030").images[0]
    assert (found[:2] == (16, 32, 48)).all()
    assert (datasets.load(f"folder:{base}").images[0, :2] == 255).all()


@pytest.mark.parametrize("background", ["whitish", "#12", "", 7])
def test_a_background_that_is_no_colour(images, background):
    with pytest.raises(DatasetError, match="Expected background to be a colour"):
        datasets.load(f"folder:{images(a_png=with_alpha(6, 4))}", background=background)


def test_transparency_that_is_kept(images):
    """Nothing shows where alpha is 0, so that nothing is to be learnt there."""
    pixels, opaque = with_alpha(6, 4), random_pixels(6, 4, 3)
    base = images(a_png=pixels, b_png=opaque, c_png=random_pixels(6, 4))
    data = datasets.load(f"folder:{base}", background=None)
    assert data.image_shape == (6, 4, 4) and data.value_range == (0.0, 1.0)
    assert np.array_equal(data.images[0], np.where(pixels[..., 3:], pixels, 0))
    assert np.array_equal(data.images[1, ..., :3], opaque)
    assert (data.images[1:, ..., 3] == 255).all()
    assert datasets.load(f"folder:{base}@3", background=None).image_shape == (3, 3, 4)


def test_without_transparency_there_is_none_to_keep(images):
    base = images(a_png=random_pixels(6, 4))
    assert datasets.load(f"folder:{base}", background=None).image_shape == (6, 4, 1)


def test_broken_files_are_left_out_where_asked(images, caplog):
    base = images(
        cat__a_png=random_pixels(40, 40), dog__b_png=random_pixels(40, 40, seed=1)
    )
    whole = (base / "cat" / "a.png").read_bytes()
    (base / "cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (base / "ant").mkdir()
    (base / "ant" / "text.jpg").write_text("no picture")
    assert "ant/text.jpg" in refusal(base) and "skip_broken=True" in refusal(base)
    for _ in range(2):  # decoded, and from the cache
        caplog.clear()
        data = datasets.load(f"folder:{base}", skip_broken=True)
        assert len(data) == 2 and data.labels.tolist() == [1, 2]
        assert data.class_names == ("ant", "cat", "dog")
        assert "2 of 4 images" in caplog.text
    for path in base.glob("*/*.png"):
        path.write_bytes(b"noise")
    with pytest.raises(DatasetError, match="Received 4 that cannot"):
        datasets.load(f"folder:{base}", skip_broken=True)


def test_pictures_that_are_not_read_are_named(images, caplog):
    base = images(a_png=random_pixels(6, 4))
    (base / "b.CR2").write_bytes(b"raw")
    (base / "c.psd").write_bytes(b"layers")
    (base / "d.txt").write_text("no picture")
    load(base)
    assert f"Pictures below {base} that are not read: 2, of .cr2, .psd." in caplog.text


def test_phone_pictures_need_an_extra(images, monkeypatch):
    base = images(a_png=random_pixels(6, 4))
    (base / "b.HEIC").write_bytes(b"heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ModuleNotFoundError, match=r"keras_gan\[heic\]"):
        load(base)
    monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
    (base / "b.HEIC").rename(base / "b.avif")
    assert "Expected Pillow 11.3 or later" in refusal(base)


@pytest.mark.parametrize("suffix", ["heic", "heif", "avif"])
def test_phone_pictures(tmp_path, suffix):
    if suffix == "avif":
        Image.init()
        if "AVIF" not in Image.SAVE:
            pytest.skip("this Pillow writes no AVIF")
    else:
        pytest.importorskip("pillow_heif").register_heif_opener()
    smooth = np.linspace(0, 255, 32 * 48 * 3).reshape(32, 48, 3).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / f"a.{suffix}", quality=95)
    data = load(tmp_path)
    assert data.image_shape == (32, 48, 3)
    assert np.abs(data.images[0].astype(int) - smooth).mean() < 8


def test_a_picture_beyond_the_limit_of_pixels_is_named(images, monkeypatch):
    base = images(a_png=random_pixels(60, 40), b_png=random_pixels(6, 4))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "a.png (Image size (2400 pixels) exceeds limit" in refusal(base, size="@4")


# === Held-out images ===


@pytest.fixture
def many(tmp_path):
    """A folder of 800 small images in two classes."""
    for i in range(800):
        file = tmp_path / "many" / "ab"[i % 2] / f"{i:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random_pixels(2, 2, seed=i)).save(file)
    return tmp_path / "many"


def rows(data):
    return {image.tobytes() for image in data.images}


def test_images_are_held_out_of_a_folder_without_a_test_split(many):
    name = f"folder:{many}"
    train = datasets.load(name, "train", held_out=0.2)
    test = datasets.load(name, "test", held_out=0.2)
    assert len(train) + len(test) == 800 and 130 <= len(test) <= 190
    assert rows(train) | rows(test) == rows(datasets.load(name))
    assert not rows(train) & rows(test)
    assert set(test.labels) == {0, 1} and test.class_names == ("a", "b")
    assert len(datasets.load(name, "all", held_out=0.2)) == 800
    # A file that comes moves no other to the other part.
    Image.fromarray(random_pixels(2, 2, seed=-1 % 10**6)).save(many / "a" / "new.png")
    assert rows(test) <= rows(datasets.load(name, "test", held_out=0.2))
    assert rows(train) <= rows(datasets.load(name, "train", held_out=0.2))


def test_how_many_are_held_out_is_said(many, caplog):
    caplog.set_level("INFO", "keras_gan")
    count = 800 - len(datasets.load(f"folder:{many}", "train", held_out=0.2))
    expected = f"{count} of the 800 images below {many} are held out, to score by."
    assert expected in caplog.text
    caplog.clear()
    datasets.load(f"folder:{many}", "test", held_out=0.2)
    datasets.load(f"folder:{many}", "all")
    assert "held out" not in caplog.text


def test_too_few_are_not_held_out(many, caplog):
    name = f"folder:{many}"
    caplog.set_level("INFO", "keras_gan")
    assert len(datasets.load(name, "train", held_out=0.02)) == 800
    assert "held out" not in caplog.text
    with pytest.raises(datasets.SplitError, match="enough to hold 100 out"):
        datasets.load(name, "test", held_out=0.02)
    with pytest.raises(datasets.SplitError, match="'train' or 'all'"):
        datasets.load(name, "test")


def test_a_test_split_goes_before_images_held_out(many):
    (many / "a").rename(many / "train")
    (many / "b").rename(many / "test")
    name = f"folder:{many}"
    for split in ("train", "test"):
        assert len(datasets.load(name, split, held_out=0.5)) == 400


def test_held_out_images_score_a_run(many):
    data = Data(name=f"folder:{many}", held_out=0.2)
    train = load_data(data)
    valid, test = load_held_out(data, train)
    assert len(train) + len(test) == 800 and valid is None
    assert test.split == folder.HELD_OUT
    assert load_held_out(Data(name=data.name, held_out=0), train) == (None, None)


@pytest.mark.parametrize("split", ["a", "all"])
def test_images_are_held_out_of_the_training_split_alone(many, split):
    """Those of other splits would be of other data, or training examples."""
    data = Data(name=f"folder:{many}", split=split, held_out=0.4)
    train = load_data(data)
    assert len(train) == {"a": 400, "all": 800}[split]
    assert load_held_out(data, train) == (None, None)


def test_a_split_that_is_trained_on_is_not_held_out(images):
    base = images(test__a_png=random_pixels(4, 4), val__a_png=random_pixels(4, 4))
    images(val__b_png=random_pixels(4, 4, seed=1))
    data = Data(name=f"folder:{base}", split="Test")
    valid, test = load_held_out(data, load_data(data))
    assert len(valid) == 2 and test is None


def test_a_split_may_be_spelt_as_the_folder_is(many):
    (many / "a").rename(many / "Train")
    (many / "b").rename(many / "Valid")
    found = []
    for split in ("train", "Train"):
        data = Data(name=f"folder:{many}", split=split, held_out=0.4)
        train = load_data(data)
        valid, test = load_held_out(data, train)
        assert test.split == folder.HELD_OUT and len(valid) == 400
        assert len(train) + len(test) == 400 and not rows(train) & rows(test)
        found.append(test.images)
    np.testing.assert_array_equal(*found)


def test_options_of_folders_are_for_folders_alone():
    with pytest.raises(DatasetError, match="Expected skip_broken for folder:PATH"):
        datasets.load("digits", skip_broken=True)
    with pytest.raises(ValueError, match="Expected held_out for a folder of images"):
        Data(name="digits", held_out=0.3)
