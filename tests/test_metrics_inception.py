"""The FID's own network: its weights file, its input, its features, its score."""

import hashlib
import json
import pathlib
import pickle
import socketserver
import threading
import tracemalloc

import keras
import numpy as np
import pytest
import safetensors.numpy
from PIL import Image

from keras_gan import GAN, datasets, evaluation, metrics, priors
from keras_gan.commands import console
from keras_gan.metrics.features import (
    inception_2015,
    inception_input,
    inception_weights,
    torch_files,
)
from keras_gan.runs import scoring
from tests import inception_helpers as helpers

ARRAYS = {
    "a.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "a.bias": np.float32([1.5, -2.0]),
    "a.num_batches_tracked": np.int64(7).reshape(()),
    "b.weight": np.float64([[0.1, 0.2]]),
    "b.none": np.zeros((0, 3), np.float32),
}
FORMS = {"zip": helpers.zip_file, "pickles": helpers.row_of_pickles}


def write(form, value, storages=(), **options):
    more = (None,) if form == "pickles" else ()
    return FORMS[form](helpers.pickled(value, more), storages, **options)


# === The file ===


@pytest.mark.parametrize("form", FORMS)
def test_a_state_dict_is_read_from_both_forms(form):
    for parameter in (False, True):
        content = write(form, *helpers.tensors_of(ARRAYS, parameter))
        result = torch_files.read(content)
        assert list(result) == list(ARRAYS)
        for name, array in ARRAYS.items():
            assert result[name].dtype == array.dtype, name
            np.testing.assert_array_equal(result[name], array)


@pytest.mark.parametrize("form", FORMS)
def test_tensors_may_share_a_storage_and_lie_in_any_order(form):
    values = np.arange(10, dtype=np.float32)
    storage = helpers.Storage("0", values)
    tensors = {
        "columns": helpers.Tensor(storage, (3, 2), (1, 3), 1),
        "repeated": helpers.Tensor(storage, (2, 3), (0, 2), 4),
    }
    result = torch_files.read(write(form, tensors, [storage]))
    np.testing.assert_array_equal(result["columns"], [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(result["repeated"], [[4, 6, 8], [4, 6, 8]])


def test_a_file_of_a_newer_pickle_protocol_is_read():
    """Names by STACK_GLOBAL, memory by MEMOIZE, frames."""
    stream = pickle.dumps({"little_endian": True, "more": [(1, 2.5, None), ()]}, 4)
    assert b"\x94" in stream  # MEMOIZE
    machine = torch_files._Machine()
    assert machine.run(helpers.io.BytesIO(stream)) == pickle.loads(stream)
    ordered = pickle.dumps(helpers.collections.OrderedDict(a=1), 4)
    assert torch_files._Machine().run(helpers.io.BytesIO(ordered)) == {"a": 1}


class Runs:
    """A pickle that calls a function when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def refused(content, message):
    with pytest.raises(torch_files.NotAStateDict, match=message) as error:
        torch_files.read(content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("form", [*FORMS, "alone"])
def test_nothing_in_a_file_is_run(tmp_path, form, protocol):
    mark = tmp_path / "ran"
    for evil in (
        Runs(pathlib.Path.touch, mark),
        Runs(exec, f"open({str(mark)!r}, 'w')"),
        {"a": Runs(eval, f"open({str(mark)!r}, 'w')")},
        helpers.collections.OrderedDict(a=Runs(exec, f"open({str(mark)!r}, 'w')")),
    ):
        content = pickle.dumps(evil, protocol)
        # It would do harm.
        pickle.loads(content)
        assert mark.exists()
        mark.unlink()
        whole = content if form == "alone" else FORMS[form](content)
        refused(whole, "not run|did not write|cannot be read")
        assert not mark.exists()


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        # What the known names stand for cannot be called with anything else.
        (b"\x80\x02ccollections\nOrderedDict\n(lp0\n(K\x01K\x02etR.", "LIST|not run"),
        (b"\x80\x02ccollections\nOrderedDict\n]\x85R.", "a call that is not run"),
        (b"\x80\x02ctorch\nFloatStorage\n)R.", "a call that is not run"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "a call that is not run"),
        # Other names of the same modules, and other ways to make an object.
        (b"\x80\x02ctorch._utils\n_rebuild_tensor\n.", r"names torch\._utils\._reb"),
        (b"\x80\x02ccollections\ndeque\n.", r"names collections\.deque, which is not"),
        (b"\x80\x02ctorch\nload\n.", r"names torch\.load, which is not run"),
        (b"\x80\x02(ios\nsystem\n.", "opcode INST, which is not run"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "opcode NEWOBJ"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
        (b"\x80\x02}K\x010.", "opcode POP"),
        (b"\x80\x02}K\x01}b.", "sets up a int"),
        (b"\x80\x02ctorch\nFloatStorage\n}b.", "sets up a"),
        (b"\x80\x02\x8c\x02os\x8c\x06system\x93.", r"names os\.system, which"),
        (b"\x80\x02K\x01K\x02\x93.", "a int for a name"),
        (b"\x80\x02K\x01Q.", "cannot be read"),
        (b"\x80\x02.", "cannot be read"),
        (b"\x80\x02K\x01", "cannot be read"),
        (b"\x80\x02h\x05.", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_a_pickle_of_anything_else_is_refused(stream, message):
    refused(helpers.zip_file(stream), message)


# A million tuples, each in the next; and forty, each twice in the next: to hash the
# first ends a process, to hash or print the second never ends.
DEEP = b"}" + b")" + b"\x85" * 1_000_000
WIDE = b")" + b"q\x00h\x00\x86" * 40


@pytest.mark.parametrize(
    "stream",
    [
        DEEP + b"Ns.",
        b"}" + WIDE + b"Ns.",
        b"}(" + WIDE + b"Nu.",
        WIDE + b"h\x00\x93.",
        b"(\x8c\x07storagectorch\nFloatStorage\n" + WIDE + b"\x8c\x03cpuK\x01tQ.",
    ],
)
def test_names_that_would_never_end_are_refused(stream):
    refused(helpers.zip_file(b"\x80\x04" + stream), "a tuple for a name")


def test_many_names_of_one_storage_take_no_memory():
    tensors, storages = helpers.tensors_of({"a": np.zeros(1000, np.float32)})
    shared = dict.fromkeys(map(str, range(2000)), tensors["a"])
    content = write("zip", shared, storages)
    assert len(content) < 200_000
    refused(content, "tensors of more bytes than the file has")


def test_what_is_no_dict_of_tensors_is_refused():
    for value, message in (
        ([], "a list"),
        ({}, "a dict"),
        ({"a": 1.5}, "a dict with a float in it"),
        ({"state_dict": {}}, "a dict with a dict in it"),
        (1, "an? int"),
    ):
        refused(write("zip", value), message)
    tensors, storages = helpers.tensors_of({"a": np.float32([1])})
    refused(write("zip", tensors["a"], storages), "a tensor")
    refused(write("zip", {3: tensors["a"]}, storages), "a pickle with a int for a name")


@pytest.mark.parametrize("form", FORMS)
def test_a_tensor_stays_within_its_storage(form):
    values = np.arange(6, dtype=np.float32)

    def content(shape, strides, offset=0, count=None):
        storage = helpers.Storage("0", values, count)
        return write(
            form, {"a": helpers.Tensor(storage, shape, strides, offset)}, [storage]
        )

    assert torch_files.read(content((2, 3), (3, 1)))["a"].tolist()[1] == [3, 4, 5]
    for shape, strides, offset in (
        ((2, 3), (3, 1), 1),
        ((7,), (1,), 0),
        ((2,), (6,), 0),
        ((1,), (1,), 6),
        ((10**9, 10**9), (0, 0), 0),
        ((7,), (0,), 0),
    ):
        refused(
            content(shape, strides, offset), "larger than its storage|more bytes than"
        )
    for shape, strides, offset in (
        ((-1,), (1,), 0),
        ((2,), (-1,), 3),
        ((2,), (1,), -1),
        ((2.0,), (1,), 0),
        ((2, 3), (1,), 0),
        ((True,), (1,), 0),
    ):
        refused(content(shape, strides, offset), "no valid shape")
    refused(content((6,), (1,), count=7), "ends too early|another size")
    refused(content((6,), (1,), count=5), "ends too early|another size")
    refused(content((6,), (1,), count=-1), "cannot be read")
    refused(content((6,), (1,), count=10**15), "ends too early|another size")


def test_other_zips_are_refused():
    tensors, storages = helpers.tensors_of({"a": np.float32([1])})
    content = helpers.pickled(tensors)
    assert torch_files.read(helpers.zip_file(content, storages, byteorder="little"))
    refused(helpers.zip_file(content, storages, byteorder="big"), "big-endian")
    refused(write("pickles", tensors, storages, little_endian=False), "big-endian")
    script = helpers.zip_file(content, storages, **{"constants.pkl": ""})
    refused(script, "a TorchScript program")
    refused(helpers.zip_file(content, storages, compression=8), "compressed zip")
    refused(
        helpers.zip_file(content, storages, **{"b/data.pkl": ""}), "without a state"
    )
    refused(helpers.zip_file(content), "cannot be read.*no item")
    part = write("pickles", tensors, storages)
    assert torch_files.read(part)
    view = helpers.row_of_pickles(helpers.pickled(tensors, (("0", 0, 1),)), storages)
    refused(view, "something else than a whole storage")


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_file_is_one_line_wherever_it_is_damaged(form):
    whole = write(form, *helpers.tensors_of(ARRAYS))
    for length in range(0, len(whole), 7):
        refused(whole[:length], "")
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 400):
        other = bytearray(whole)
        other[place] ^= 1 << int(rng.integers(8))
        try:
            torch_files.read(bytes(other))
        except torch_files.NotAStateDict as error:
            assert "\n" not in str(error)


# === The weights ===


@pytest.fixture(scope="module")
def weights():
    return helpers.random_weights()


@pytest.fixture(scope="module")
def path(weights, tmp_path_factory):
    """The file in the form of before PyTorch 1.6, which the released one has."""
    folder = tmp_path_factory.mktemp("weights")
    return helpers.write_pth(folder / "random.pth", weights, helpers.row_of_pickles)


@pytest.fixture(scope="module")
def extractor(path):
    return metrics.Inception2015((0, 255), path)


def test_the_released_file_is_as_large_as_these_weights(weights):
    """95,628,359 bytes, of which names and shapes take some; 94 convolutions."""
    total = sum(array.nbytes for array in weights.values())
    assert 95_500_000 < total < 95_628_359
    assert sum(name.endswith("conv.weight") for name in weights) == 94
    assert inception_2015.shapes()["Mixed_6c.branch7x7dbl_3.conv.weight"] == (
        (160, 160, 1, 7)
    )


def test_both_formats_hold_the_same_weights(weights, path, tmp_path, extractor):
    safe = tmp_path / "random.safetensors"
    safetensors.numpy.save_file(weights, safe)
    zipped = helpers.write_pth(tmp_path / "zipped.pth", weights)
    keys = set()
    for other in (path, safe, zipped):
        arrays, digest = inception_weights.read(other)
        assert digest == hashlib.sha256(other.read_bytes()).hexdigest()
        for name, array in weights.items():
            np.testing.assert_array_equal(arrays[name], array)
        keys.add(digest)
    assert len(keys) == 3


def test_weights_of_another_network_are_named(weights, path, tmp_path, monkeypatch):
    def refused(message, change):
        other = dict(weights)
        change(other)
        monkeypatch.setattr(inception_weights, "read", lambda path: (other, "0"))
        with pytest.raises(ValueError, match=message) as error:
            metrics.Inception2015((0, 1), path)
        assert "\n" not in str(error.value) and inception_weights.URL in str(
            error.value
        )

    name = "Mixed_7c.branch_pool.bn.running_var"
    refused(f"without {name};", lambda other: other.pop(name))
    refused("without Conv2d_1a_3x3.bn.bias, .*, ...;", lambda other: other.clear())
    refused(
        "with AuxLogits.fc.bias;", lambda other: other.update({"AuxLogits.fc.bias": 0})
    )
    # torchvision's own InceptionV3 has the classes of ImageNet.
    refused(
        r"fc.weight of shape \(1000, 2048\) instead of \(1008, 2048\)",
        lambda other: other.update({"fc.weight": other["fc.weight"][:1000]}),
    )
    refused(
        f"{name} with values that are no finite floats",
        lambda other: other.update({name: np.full(192, np.nan, np.float32)}),
    )
    refused(
        f"{name} with values that are no finite floats",
        lambda other: other.update({name: np.ones(192, np.int64)}),
    )


def test_a_file_that_is_not_there_or_not_as_its_name_says(tmp_path):
    def refused(message, path):
        with pytest.raises(ValueError, match=message) as error:
            metrics.Inception2015((0, 1), path)
        assert "\n" not in str(error.value) and "fetch https" in str(error.value)

    refused("Received: No such file", tmp_path / "none.pth")
    refused("Received: Is a directory", tmp_path)
    half = tmp_path / inception_weights.FILE
    half.write_bytes(b"half")
    refused("a damaged file, of the sha256", half)
    (tmp_path / "other.pth").write_bytes(pickle.dumps(Runs(print, "ran")))
    refused(
        "a pickle that names builtins.print, which is not run", tmp_path / "other.pth"
    )
    (tmp_path / "other.safetensors").write_bytes(b"\x10" + bytes(7) + b"{" * 16)
    refused("Received: ", tmp_path / "other.safetensors")
    header = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    bfloat16 = len(header).to_bytes(8, "little") + header + bytes(4)
    (tmp_path / "half.safetensors").write_bytes(bfloat16)
    refused(
        "tensors of the type BF16, which NumPy lacks", tmp_path / "half.safetensors"
    )
    # A name with a digest of its own, as that of a file which was converted.
    content = safetensors.numpy.save({"a": np.float32([1])})
    named = tmp_path / f"mine-{hashlib.sha256(content).hexdigest()[:8]}.safetensors"
    named.write_bytes(content)
    arrays, _ = inception_weights.read(named)
    assert list(arrays) == ["a"]


def test_an_answer_that_is_no_http_is_one_line(tmp_path, monkeypatch):
    """As of a proxy, or of a connection that breaks: no OSError, as Python has it."""
    monkeypatch.setenv("no_proxy", "*")

    class Nonsense(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(4096)
            self.request.sendall(b"nonsense\r\n\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Nonsense) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        monkeypatch.setattr(inception_weights, "URL", url)
        with pytest.raises(ValueError, match="once. Received: nonsense; fetch http"):
            inception_weights.fetched(tmp_path)
        thread.join()
    assert not list(tmp_path.iterdir())


def test_the_released_file_is_fetched_once_and_checked(tmp_path, monkeypatch):
    source = tmp_path / "source.pth"
    source.write_bytes(b"weights")
    monkeypatch.setattr(inception_weights, "URL", source.as_uri())
    with pytest.raises(ValueError, match="of another sha256.*features='fid:PATH'"):
        inception_weights.fetched(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    digest = hashlib.sha256(b"weights").hexdigest()
    monkeypatch.setattr(inception_weights, "SHA256", digest)
    path = inception_weights.fetched(tmp_path / "cache")
    assert path.read_bytes() == b"weights"
    source.unlink()
    assert inception_weights.fetched(tmp_path / "cache") == path
    with pytest.raises(ValueError, match="Expected a network.*No such file") as error:
        inception_weights.fetched(tmp_path / "other")
    assert "\n" not in str(error.value)


# === The input ===


def bilinear(image, half):
    """`(H, W)` to 299x299; `half`: centres lie at half pixels."""

    def positions(size):
        source = (np.arange(299) + half) * (size / 299) - half
        source = np.maximum(source, 0)
        low = np.minimum(np.floor(source).astype(int), size - 1)
        return low, np.minimum(low + 1, size - 1), source - low

    top, bottom, down = positions(image.shape[0])
    left, right, along = positions(image.shape[1])
    upper = image[top][:, left] * (1 - along) + image[top][:, right] * along
    lower = image[bottom][:, left] * (1 - along) + image[bottom][:, right] * along
    return upper * (1 - down[:, None]) + lower * down[:, None]


def bicubic(image):
    """`(H, W)` to 299x299 by Keys' filter with a = -1/2, wider where it shrinks."""

    def matrix(size):
        scale = size / 299
        stretch = max(scale, 1)
        centres = (np.arange(299) + 0.5) * scale
        x = np.abs((np.arange(size) + 0.5 - centres[:, None]) / stretch)
        near = (1.5 * x - 2.5) * x * x + 1
        far = ((-0.5 * x + 2.5) * x - 4) * x + 2
        rows = np.where(x < 1, near, np.where(x < 2, far, 0))
        return rows / rows.sum(axis=1, keepdims=True)

    rows, columns = (matrix(size) for size in image.shape)
    return rows @ image @ columns.T


@pytest.mark.parametrize("size", [(32, 20), (299, 299), (400, 311), (1, 2)])
def test_the_three_resizes(size):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, *size, 3)).astype(np.uint8)
    planes = pixels.transpose(0, 3, 1, 2).reshape(6, *size).astype(np.float64)

    def expected(function):
        resized = np.stack([function(plane) for plane in planes])
        return resized.reshape(2, 3, 299, 299).transpose(0, 2, 3, 1)

    original = inception_input.resized_2015(pixels)
    assert original.dtype == np.float32 and original.shape == (2, 299, 299, 3)
    values = expected(lambda plane: bilinear(plane, 0))
    np.testing.assert_allclose(original, (values - 128) / 128, atol=2e-4)
    clean = inception_input.resized_clean(pixels)
    assert clean.dtype == np.float32
    values = expected(bicubic).clip(0, 255)
    np.testing.assert_allclose(clean, (values - 128) / 128, atol=1e-5)
    pytorch = inception_input.resized_pytorch(pixels)
    assert pytorch.dtype == np.float32
    values = expected(lambda plane: bilinear(plane, 0.5))
    np.testing.assert_allclose(pytorch, values / 127.5 - 1, atol=2e-4)
    if size == (299, 299):
        np.testing.assert_array_equal(original, (pixels / 128.0 - 1))
        np.testing.assert_array_equal(original, clean)


# === The features ===

# torch-fidelity 0.4.0, "inception-v3-compat" with these weights and images.
FIRST = [
    [0.43092784, 5.99769497, 0.10861447, 0.30488887, 0.00584414, 9.16542149],
    [0.79363751, 12.76946545, 0.46093944, 0.61615694, 0.0, 18.07985115],
    [0.21919887, 8.20464802, 0.21163008, 0.52878571, 0.00272874, 11.46530914],
]
LAST = [
    [0.0, 3.62377977, 1.6239004],
    [0.0, 6.9561023, 1.25122809],
    [0.0, 4.2593584, 1.01358116],
]
LOGITS = [
    [0.97157717, -4.95943594, -0.44433212],
    [0.99073839, -9.91506958, -0.64513826],
    [1.86698449, -6.08993912, -0.92719531],
]


def test_features_and_logits_are_torch_fidelitys(extractor, monkeypatch):
    images = helpers.images(3)
    result = extractor.features(images.astype(np.float32))
    assert result.shape == (3, 2048) and result.dtype == np.float32
    np.testing.assert_allclose(result[:, :6], FIRST, atol=1e-4)
    np.testing.assert_allclose(result[:, -3:], LAST, atol=1e-4)
    logits = extractor.logits(result)
    assert logits.shape == (3, 1008) and logits.dtype == np.float64
    np.testing.assert_allclose(logits[:, [0, 7, 1007]], LOGITS, atol=1e-4)
    # Another range, other numbers together, and a fraction of a level.
    monkeypatch.setattr(extractor, "value_range", (-1.0, 1.0))
    scaled = extractor.features((images + 0.3) / 127.5 - 1, batch_size=2)
    np.testing.assert_allclose(scaled, result, atol=1e-4)


def test_grey_images_are_repeated(extractor):
    grey = helpers.images(2)[..., :1].astype(np.float32)
    np.testing.assert_allclose(
        extractor.features(grey),
        extractor.features(np.repeat(grey, 3, axis=3), batch_size=1),
        atol=1e-4,
    )
    for wrong in (grey[0], np.zeros((2, 8, 8, 4)), np.zeros((2, 8, 8, 2))):
        with pytest.raises(ValueError, match=r"\(N, H, W, 1 or 3\)"):
            extractor.features(wrong)


def test_keys_state_the_weights_and_the_resize(path, extractor, monkeypatch):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert extractor.name == "fid" and digest[:32] in extractor.key
    seen = []

    class Network:
        def predict_on_batch(self, inputs):
            seen.append(inputs)
            return np.zeros((len(inputs), 2048))

    monkeypatch.setattr(inception_2015, "_network", lambda: (Network(), {}))
    monkeypatch.setattr(inception_2015, "_check", lambda arrays, expected: None)
    pixels = helpers.images(2, 20)[..., :1]
    keys = {}
    for resize, function in inception_input.RESIZES.items():
        one = metrics.Inception2015((0, 1), path, resize)
        keys[one.name] = one.key
        assert one.features(pixels / 255.0).shape == (2, 2048)
        np.testing.assert_array_equal(seen[-1], np.repeat(function(pixels), 3, axis=3))
    assert list(keys) == ["fid", "fid-clean", "fid-pytorch"]
    assert keys["fid"] == extractor.key and len(set(keys.values())) == 3
    with pytest.raises(ValueError, match="`resize` .*'clean'.*Received: 'cleen'"):
        metrics.Inception2015((0, 1), path, "cleen")


# === The score ===


def test_the_inception_score_by_hand():
    """Sure of one class each: exp(H) of the classes. All alike: 1."""
    sure = 1000.0 * np.eye(4)[np.arange(40) % 4]
    score = metrics.inception_score(sure, num_splits=1)
    assert score.mean == pytest.approx(4) and score.standard_deviation == 0
    assert metrics.inception_score(np.ones((40, 7))).mean == pytest.approx(1)
    # Classes 0, 0, 0, 1: exp(log 4 - 3/4 log 3).
    uneven = 1000.0 * np.eye(1008)[[0, 0, 0, 1]]
    expected = 4 / 3**0.75
    assert metrics.inception_score(uneven, 1).mean == pytest.approx(expected)
    # p = (3/4, 1/4) and (1/4, 3/4): the marginal is 1/2 each.
    logits = np.log([[0.75, 0.25], [0.25, 0.75]])
    divergence = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert metrics.inception_score(logits, 1).mean == pytest.approx(np.exp(divergence))


def test_the_inception_score_of_splits_by_hand():
    logits = np.random.default_rng(0).normal(size=(23, 5))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    parts = [p[0:7], p[7:15], p[15:23]]
    scores = [
        np.exp(np.mean(np.sum(part * np.log(part / part.mean(axis=0)), axis=1)))
        for part in parts
    ]
    score = metrics.inception_score(logits, num_splits=3, seed=None)
    assert score.mean == pytest.approx(np.mean(scores), rel=1e-12)
    assert score.standard_deviation == pytest.approx(np.std(scores), rel=1e-12)
    assert score.num_splits == 3
    # Samples in the order of their classes are shuffled.
    ordered = 1000.0 * np.eye(4)[np.arange(400) // 100]
    assert metrics.inception_score(ordered, 4, seed=None).mean == pytest.approx(1)
    shuffled = metrics.inception_score(ordered, 4)
    assert shuffled.mean > 3.9 and shuffled == metrics.inception_score(ordered, 4)


def test_the_inception_score_takes_the_memory_of_a_split():
    """50,000 x 1,008 logits have 400 MB; four copies of all of them were made."""
    logits = np.random.default_rng(0).normal(size=(20_000, 100))
    tracemalloc.start()
    try:
        metrics.inception_score(logits)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < logits.nbytes


def test_the_inception_score_refuses_what_has_none():
    for logits, splits, message in (
        (np.ones((9, 3)), 10, "at least 10 samples, .*Received: 9"),
        (np.ones(9), 1, r"logits \(N, C\).*\(9,\)"),
        (np.ones((0, 3)), 1, r"logits \(N, C\)"),
        (np.full((9, 3), np.nan), 1, "finite logits"),
        (np.ones((9, 3)), 0, "`num_splits`"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            metrics.inception_score(logits, splits)
        assert "\n" not in str(error.value)


# === keras-gan evaluate ===


@pytest.fixture
def pictures(tmp_path):
    """A folder of eight pictures without splits, and eight samples of its range."""
    (tmp_path / "flowers").mkdir()
    for number, image in enumerate(helpers.images(8, 16)):
        Image.fromarray(image).save(tmp_path / "flowers" / f"{number}.png")
    samples = helpers.images(8, 16, seed=2) / np.float32(255)
    np.savez(tmp_path / "s.npz", samples=samples, value_range=np.float32([0, 1]))
    return f"folder:{tmp_path / 'flowers'}", tmp_path / "s.npz"


@pytest.mark.slow
def test_evaluate_reports_fid_and_score(pictures, path, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "cache"))
    dataset, samples = pictures
    arguments = [f"--model={samples}", f"--dataset={dataset}", f"--features=fid:{path}"]
    assert console.run(["evaluate", *arguments]) == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "s.scores.json").read_text())
    (row,) = report["rows"].values()
    extractor = metrics.Inception2015((0, 1), path)
    data = datasets.load(dataset)
    real = extractor.features(data.examples())
    with np.load(samples) as file:
        fake = extractor.features(file["samples"])
    expected = evaluation.feature_scores(real, fake)
    assert row["frechet_distance"] == pytest.approx(expected["frechet_distance"], 1e-4)
    score = metrics.inception_score(extractor.logits(fake), 8)
    assert row["inception_score"] == pytest.approx(score.mean, 1e-4)
    deviation = row["inception_score_standard_deviation"]
    assert deviation == pytest.approx(score.standard_deviation, abs=1e-4)
    assert report["protocol"]["features"] == "fid"
    assert report["protocol"]["features_key"] == extractor.key
    assert "features: fid" in printed and " IS " in printed
    assert "Frechet distance of samples: no more examples than features" in printed


def save_gan(folder, activation, value_range):
    """Saves a GAN of the pictures' shape, as `fit` alone leaves it."""
    folder.mkdir()
    generator = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(16 * 16 * 3, activation=activation),
            keras.layers.Reshape((16, 16, 3)),
        ]
    )
    discriminator = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    prior = priors.Normal(3)
    GAN(generator, discriminator, prior, value_range, seed=0).save(folder / "gan.keras")
    return folder


@pytest.mark.slow
def test_models_of_two_ranges_have_features_of_their_own(
    pictures, path, monkeypatch, tmp_path
):
    """The network of the FID is read once for both, and scales by one range."""
    dataset, _ = pictures
    options = {"dataset": dataset, "num_samples": 8, "features": f"fid:{path}"}
    models = [
        save_gan(tmp_path / "tanh", "tanh", (-1, 1)),
        save_gan(tmp_path / "sigmoid", "sigmoid", (0, 1)),
    ]
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "together"))
    made = []
    with pytest.raises(ValueError, match="which differ in train, value_range, sigmas"):
        scoring.evaluate_all(models, on_report=made.append, **options)
    afterwards = scoring.evaluate(models[1], **options)
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "alone"))
    alone = scoring.evaluate(models[1], **options)
    assert made[1]["rows"] == alone["rows"] == afterwards["rows"]


def test_features_are_refused_before_anything_is_loaded(tmp_path):
    for features, message in (
        (
            "fdi",
            "`features` .*'fid'.*or 'fid:PATH'.*Received: 'fdi'. Did you mean 'fid'",
        ),
        ("fid:", "path of a weights file after fid, .*Received: features='fid:'"),
        ("pixels:a.pth", "path of a weights file after .*'pixels:a.pth'"),
        ("", "`features`"),
        (None, "`features`"),
    ):
        with pytest.raises(ValueError, match=message) as error:
            scoring.evaluate(tmp_path / "none", features=features)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="`reference` .*'test', 'train'"):
        scoring.evaluate(tmp_path / "none", reference="valid")
    with pytest.raises(ValueError, match="reference='test' with features='classifier'"):
        scoring.evaluate(tmp_path / "none", features="classifier", reference="train")


def test_weights_that_are_not_there_are_one_line(pictures, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "cache"))
    dataset, samples = pictures
    with pytest.raises(ValueError, match="FID's Inception network in none.pth"):
        scoring.evaluate(samples, dataset=dataset, features="fid-clean:none.pth")
    monkeypatch.setattr(inception_weights, "URL", (tmp_path / "none").as_uri())
    with pytest.raises(ValueError, match="Expected a network, to fetch"):
        scoring.evaluate(samples, dataset=dataset, features="fid")


def test_samples_are_compared_with_the_training_examples_on_request(tmp_path):
    train = datasets.load("digits", "train")
    samples = train.examples(slice(0, 60))
    np.savez(tmp_path / "s.npz", samples=samples, value_range=np.float32([0, 1]))
    reports = [
        scoring.evaluate(
            tmp_path / "s.npz", dataset="digits", features="pixels", reference=reference
        )
        for reference in ("test", "train")
    ]
    test, own = (report["rows"]["samples"] for report in reports)
    assert own["precision"] == 1.0 > test["precision"]
    assert "log_likelihood" in test and "log_likelihood" not in own
    assert reports[1]["protocol"]["test"] is None
    assert list(reports[1]["rows"]) == ["samples"]
    assert reports[0]["protocol_hash"] != reports[1]["protocol_hash"]
    # 60 samples of 64 pixels: their covariance is singular. Of 65 it need not be.
    assert own["frechet_rank_deficient"]
    rng = np.random.default_rng(0)
    for count, deficient in ((64, True), (65, False)):
        scores = evaluation.feature_scores(
            rng.normal(size=(200, 64)), rng.normal(size=(count, 64))
        )
        assert scores["frechet_rank_deficient"] is deficient
        scores = evaluation.feature_scores(
            rng.normal(size=(count, 64)), rng.normal(size=(200, 64))
        )
        assert scores["frechet_rank_deficient"] is deficient
