"""Files of samples: no more is unpacked than is asked for and fits."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from keras_gan.datasets import Dataset
from keras_gan.runs import archives, generating, scoring

SHAPE = (8, 8, 1)


def data(shape=SHAPE):
    return Dataset(np.random.default_rng(0).random((20, *shape), np.float32))


def header(shape, dtype="<f4", fortran_order=False):
    stream = io.BytesIO()
    described = {"descr": dtype, "fortran_order": fortran_order, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, described)
    return stream.getvalue()


def write(path, samples, value_range=(0, 255)):
    """An .npz whose samples are these bytes, whatever they state."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples.npy", samples)
        with archive.open("value_range.npy", "w") as stream:
            np.lib.format.write_array(stream, np.asarray(value_range))
    return path


def refused(message, path, num_samples=None, of=None):
    tracemalloc.start()
    with pytest.raises(ValueError, match=message) as error:
        generating.load_samples(path, of or data(), num_samples)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "\n" not in str(error.value)
    return most


# === More than fits ===


def test_many_zeros_in_a_small_file_are_not_unpacked(tmp_path):
    """51 MB of them, as a whole fewer than may be loaded: of these 300 are read."""
    count = 800_000
    path = write(tmp_path / "a.npz", header((count, *SHAPE), "|u1") + bytes(count * 64))
    assert path.stat().st_size < 10**6
    tracemalloc.start()
    samples = generating.load_samples(path, data(), 300)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert samples.shape == (300, *SHAPE) and not samples.any()
    assert most < 2**24


@pytest.mark.parametrize(("num_samples", "count"), [(None, 10**12), (10**8, 10**12)])
def test_more_than_the_limit_is_one_line(tmp_path, num_samples, count):
    path = write(tmp_path / "a.npz", header((count, *SHAPE)) + bytes(1000))
    words = r"samples, where 16,777,216 of \(8, 8, 1\) can be loaded; set num_samples"
    assert refused(words, path, num_samples) < 2**22


def test_the_limit_is_exact(tmp_path, monkeypatch):
    monkeypatch.setattr(generating, "MAX_VALUES", 10 * 64)
    np.savez(
        tmp_path / "a.npz", samples=np.ones((11, *SHAPE), "u1"), value_range=[0, 1]
    )
    refused("11 samples, where 10 of", tmp_path / "a.npz")
    for count in (10, 3):
        assert len(generating.load_samples(tmp_path / "a.npz", data(), count)) == count
    # Rows that lie apart are unpacked as a whole.
    samples = np.asfortranarray(np.ones((11, *SHAPE), "u1"))
    np.savez(tmp_path / "b.npz", samples=samples, value_range=[0, 1])
    refused("samples of shape .11, 8, 8, 1. takes 704 bytes", tmp_path / "b.npz", 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header((10**15, 9, 8, 1)), r"shape \(1000000000000000, 9, 8, 1\), not \(None"),
        (header((10**15,)), r"samples of shape \(1000000000000000,\), not"),
        (header(()), r"samples of shape \(\), not"),
        (header((10, *SHAPE), "<U1000000"), "samples of <U1000000"),
        (header((10, *SHAPE), "|O"), "Object arrays cannot be loaded"),
        (header((10, *SHAPE)) + bytes(2559), "samples ends before its 2,560 bytes"),
        (b"", "EOF"),
        (b"\x93NUMPY\x09\x00", "array of version"),
        (b"no array", "magic string"),
    ],
)
def test_what_a_header_states_is_checked_first(tmp_path, content, message):
    assert refused(message, write(tmp_path / "a.npz", content)) < 2**22


@pytest.mark.parametrize(
    ("start", "length"), [(b"\x93NUMPY\x02\x00", 4), (b"\x93NUMPY\x01\x00", 2)]
)
def test_a_header_is_no_longer_than_numbers_need(tmp_path, start, length):
    """NumPy reads as many bytes as it states, up to 4 GiB, before it compares them."""
    size = min(50 * 2**20, 2 ** (8 * length) - 1)
    content = start + size.to_bytes(length, "little") + b" " * size
    path = write(tmp_path / "a.npz", content)
    assert path.stat().st_size < 10**5
    assert refused(f"a header of {size:,} bytes", path) < 2**22


def test_a_value_range_is_two_numbers_whatever_it_states(tmp_path):
    samples = header((10, *SHAPE), "|u1") + bytes(640)
    path = write(tmp_path / "a.npz", samples, value_range=np.zeros(10**6))
    assert refused("value_range of shape .1000000,. takes 8,000,000 b", path) < 2**22


def test_a_damaged_member_is_one_line(tmp_path):
    np.savez(tmp_path / "a.npz", samples=np.ones((9, *SHAPE)), value_range=[0, 1])
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[1000] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    refused("Bad CRC-32", tmp_path / "a.npz")


# === What is read is what NumPy reads ===


@pytest.mark.parametrize("dtype", ["u1", "<f4", ">f8", "<i2", "f2"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("num_rows", [None, 1, 7, 30, 99])
def test_rows_are_those_of_the_array(tmp_path, dtype, order, num_rows):
    shape = (30, 3, 5, 2)
    array = np.random.default_rng(0).integers(0, 100, shape).astype(dtype, order=order)
    np.savez_compressed(tmp_path / "a.npz", x=array, scalar=np.float32(3))
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        member = archives.Member(archive, "x")
        assert (member.shape, member.dtype) == (shape, array.dtype)
        found = member.read(num_rows)
        assert archives.Member(archive, "scalar").read(num_rows) == 3
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array[:num_rows])


def test_scoring_reads_no_more_than_its_number_of_samples(tmp_path, monkeypatch):
    """What follows the rows that are needed may be damaged, or missing."""
    count = 40
    rows = np.random.default_rng(0).integers(0, 256, (count, *SHAPE), np.uint8)
    whole = write(tmp_path / "whole.npz", header(rows.shape, "|u1") + rows.tobytes())
    cut = write(tmp_path / "cut.npz", header((10**9, *SHAPE), "|u1") + rows.tobytes())
    scores = [
        scoring.evaluate(path, count, dataset="digits", features="pixels")
        for path in (whole, cut)
    ]
    assert scores[0]["rows"] == scores[1]["rows"]
    assert scores[0]["protocol"]["num_samples"] == count
    refused("samples, where", cut)
    refused("samples ends before its 2,624 bytes", cut, num_samples=count + 1)
