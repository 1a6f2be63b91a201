"""What `datasets.load` finds by name: digits, toy mixtures, TFD, TFDS."""

import shutil
import sys

import numpy as np
import pytest
import scipy.io
import scipy.stats
import tensorflow_datasets as tfds

from keras_gan import datasets
from keras_gan.datasets import DatasetError, cache, tfds_images, toy
from keras_gan.experiments import Data
from keras_gan.experiments.building import load_data, load_held_out


def refusal(*arguments, **options):
    """The message with which `load` refuses; it must be one line."""
    with pytest.raises(DatasetError) as caught:
        datasets.load(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# === The registry ===


def test_names():
    assert datasets.names() == [
        *("digits", "mnist", "cifar10", "tfd", "stacked_mnist"),
        *("gaussian1d", "ring8", "grid25", "mixture1d"),
    ]


def test_unknown_names_suggest_a_close_one():
    message = refusal("digit")
    assert (
        "grid25, mixture1d, folder:PATH, or the name of a TFDS image dataset" in message
    )
    assert message.endswith("Received: 'digit'. Did you mean 'digits'?")
    assert "Did you mean 'celeb_a'?" in refusal("celeba")
    assert refusal("qqqqqqqqqq").endswith("Received: 'qqqqqqqqqq'.")
    assert "to be str. Received: 3, 'train'" in refusal(3)


@pytest.mark.parametrize("name", ["digits", "ring8", "tfd"])
def test_unknown_splits_suggest_a_close_one(name):
    message = refusal(name, "trian")
    assert message.startswith(f"Expected a split of '{name}' among ")
    assert message.endswith("'test'. Received: 'trian'. Did you mean 'train'?")


def test_without_tfds_its_names_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    extra = "Run: pip install 'keras_gan[datasets]'"
    message = refusal("digit")
    assert "Received: 'digit'. Did you mean 'digits'? For TFDS's names: " in message
    assert message.endswith(extra)
    folder = tmp_path / "digit"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    assert "Received: 'digit'. Did you mean 'folder:digit'? For" in refusal("digit")
    for name in ("mnist", "cifar10"):
        with pytest.raises(ModuleNotFoundError) as caught:
            datasets.load(name)
        assert str(caught.value).endswith(extra) and "\n" not in str(caught.value)
    assert len(datasets.load("digits")) == 1078
    assert len(datasets.load("ring8", "test")) == 10_000


# === digits ===


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    raw = load_digits()
    data = datasets.load("digits", "all")
    assert data.image_shape == (8, 8, 1)
    assert (data.value_range, data.num_classes) == ((0.0, 1.0), 10)
    assert np.array_equal(data.examples()[..., 0] * 16, raw.images)
    assert np.array_equal(data.labels, raw.target)


def test_digits_are_split_within_each_class():
    whole, train, test = (datasets.load("digits", s) for s in ("all", "train", "test"))
    assert len(train) + len(test) == len(whole) == 1797
    counts = np.bincount(whole.labels)
    assert np.array_equal(np.bincount(train.labels), np.round(0.6 * counts))
    # Train and test together are the whole, digit by digit.
    both = np.concatenate([train.images, test.images]).reshape(1797, 64)
    rows = whole.images.reshape(1797, 64)
    assert np.array_equal(both[np.lexsort(both.T)], rows[np.lexsort(rows.T)])
    # Frozen: scores are compared across versions.
    assert train.labels[:12].tolist() == [2, 3, 5, 6, 7, 8, 9, 2, 3, 4, 5, 6]
    assert datasets.load("digits").split == "train"


# === Toy mixtures ===


@pytest.mark.parametrize("name", ["gaussian1d", "ring8", "grid25", "mixture1d"])
def test_toy_samples(name):
    splits = [datasets.load(name, split) for split in ("train", "valid", "test")]
    assert [len(data) for data in splits] == [50_000, 10_000, 10_000]
    train = splits[0]
    event_shape = tuple(train.distribution.event_shape)
    assert train.image_shape == event_shape == ((1,) if name.endswith("1d") else (2,))
    assert train.value_range is None
    assert (train.labels is None) == (name != "mixture1d")
    assert np.array_equal(train.images, datasets.load(name).images)
    assert not np.array_equal(splits[1].images, splits[2].images)
    # Samples and distribution agree: E[-log p(x)] of both is the entropy.
    again = train.distribution.sample(50_000, seed=(3, 4))
    ours = -train.distribution.log_prob(train.images).numpy()
    theirs = -train.distribution.log_prob(again).numpy()
    tolerance = 5 * np.hypot(ours.std(), theirs.std()) / np.sqrt(50_000)
    assert abs(ours.mean() - theirs.mean()) < tolerance


def test_gaussian1d_is_that_of_scipy():
    x = np.linspace(0, 4, 41)
    log_prob = toy.gaussian1d().log_prob(x[:, None].astype(np.float32))
    expected = scipy.stats.norm(2, 0.5).logpdf(x)
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4, atol=1e-5)


def test_samples_of_mixture1d_are_of_the_component_that_labels_them():
    for split in ("train", "test"):
        data = datasets.load("mixture1d", split)
        assert data.class_names == ("left", "middle", "right")
        counts = np.bincount(data.labels)
        assert np.abs(counts - len(data) / 3).max() < 5 * np.sqrt(len(data) / 3)
        for label, (mean, scale) in enumerate([(-2, 0.8), (0, 0.4), (2, 0.8)]):
            of_class = data.images[data.labels == label, 0]
            component = data.distribution.components_distribution[label]
            x = np.linspace(-4, 4, 9, dtype=np.float32)[:, None]
            expected = scipy.stats.norm(mean, scale).pdf(x[:, 0])
            np.testing.assert_allclose(component.prob(x), expected, atol=1e-5)
            assert scipy.stats.kstest(of_class, "norm", (mean, scale)).pvalue > 1e-4
    again = datasets.load("mixture1d", "test")
    np.testing.assert_array_equal(data.labels, again.labels)


@pytest.mark.parametrize(
    ("name", "means", "scale"),
    [
        ("ring8", [(np.cos(a), np.sin(a)) for a in np.arange(8) * np.pi / 4], 0.01),
        ("grid25", [(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)], 0.05),
    ],
)
def test_mixtures_are_those_of_scipy(name, means, scale):
    distribution = toy.DISTRIBUTIONS[name]()
    rng = np.random.default_rng(0)
    x = np.concatenate(
        [np.array(mean) + scale * rng.normal(size=(5, 2)) for mean in means]
    )
    density = np.mean(
        [scipy.stats.multivariate_normal(m, scale**2).pdf(x) for m in means], axis=0
    )
    log_prob = distribution.log_prob(x.astype(np.float32))
    np.testing.assert_allclose(log_prob, np.log(density), rtol=1e-3, atol=1e-3)
    held = distribution.components_distribution.mean().numpy()
    np.testing.assert_allclose(held, means, atol=1e-6)
    # Each mode has its share of the samples, within five standard deviations.
    samples = datasets.load(name).images
    nearest = ((samples[:, None] - held) ** 2).sum(axis=-1).argmin(axis=1)
    share = 50_000 / len(means)
    assert np.abs(np.bincount(nearest) - share).max() < 5 * np.sqrt(share)


# === TFD ===


def tfd_arrays():
    rng = np.random.default_rng(0)
    folds = np.stack([rng.permutation(40) % 4 for _ in range(5)], axis=1)
    return {
        "images": rng.integers(0, 256, (40, 48, 48), np.uint8),
        "folds": folds.astype(np.uint8),
        "labs_ex": rng.integers(1, 8, (40, 1)).astype(np.int16),
        "labs_id": rng.integers(1, 9, (40, 1)),
    }


def write_tfd(directory, **changes):
    arrays = {**tfd_arrays(), **changes}
    arrays = {key: value for key, value in arrays.items() if value is not None}
    scipy.io.savemat(directory / "TFD_48x48.mat", arrays)
    return arrays


@pytest.mark.parametrize("split", ["train", "valid", "test", "unlabeled"])
@pytest.mark.parametrize("fold", ["", "/fold0", "/fold3"])
def test_tfd(tmp_path, split, fold):
    arrays = write_tfd(tmp_path)
    data = datasets.load("tfd", split + fold, data_dir=tmp_path)
    code = ["unlabeled", "train", "valid", "test"].index(split)
    rows = np.flatnonzero(arrays["folds"][:, 3 if fold == "/fold3" else 0] == code)
    assert len(rows) == 10
    assert np.array_equal(data.images, arrays["images"][rows][..., None])
    if split == "unlabeled":
        assert data.labels is None and data.num_classes is None
    else:
        assert np.array_equal(data.labels, arrays["labs_ex"][rows, 0] - 1)
        assert data.num_classes == 7


def test_a_fold_of_tfd_is_tested_on_its_own(tmp_path):
    """Test examples of fold 0 are training examples of others."""
    write_tfd(tmp_path)
    data = Data(name="tfd", split="train/fold3")
    held_out = load_held_out(data, load_data(data, tmp_path), tmp_path)
    for found, split in zip(held_out, ("valid/fold3", "test/fold3"), strict=True):
        expected = datasets.load("tfd", split, data_dir=tmp_path)
        np.testing.assert_array_equal(found.images, expected.images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"images": None},
            "to hold images, folds, labs_ex. Received: ['folds', 'labs_",
        ),
        ({"folds": np.zeros((40, 4))}, "`folds` in {} to have shape (40, 5). Received"),
        ({"images": np.zeros((40, 96, 96), "u1")}, "(40, 48, 48). Received: (40, 96,"),
        ({"images": np.zeros((40, 48, 48))}, "to be uint8. Received: float64"),
        ({"labs_ex": np.full((40, 1), -1)}, "split 'train'. Received: values from -1"),
        ({"folds": np.zeros((40, 5))}, "with 1 in column 0. Received: none"),
    ],
)
def test_tfd_that_is_laid_out_otherwise(tmp_path, changes, message):
    write_tfd(tmp_path, **changes)
    path = tmp_path / "TFD_48x48.mat"
    assert message.format(path) in refusal("tfd", data_dir=tmp_path)


def test_tfd_that_cannot_be_read(tmp_path):
    path = tmp_path / "TFD_48x48.mat"
    assert "Received: None; TFD_48x48.mat is not public: ask" in refusal("tfd")
    assert f"file {path}. Received: no such" in refusal("tfd", data_dir=tmp_path)
    path.write_bytes(b"not a matrix " * 50)
    assert "to be a MATLAB file. Received:" in refusal("tfd", data_dir=tmp_path)
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(512))
    assert "version 7.3 (HDF5); save it" in refusal("tfd", data_dir=tmp_path)
    write_tfd(tmp_path)
    path.write_bytes(path.read_bytes()[:-3000])
    assert "to be a MATLAB file. Received:" in refusal("tfd", data_dir=tmp_path)
    assert "train/fold0 to train/fold4" in refusal("tfd", "train/fold5")
    assert "train/fold0 to train/fold4" in refusal("tfd", "train/")


def test_tfd_of_stand_in_faces(tmp_path, test_data):
    from PIL import Image

    raw = np.load(test_data / "faces" / "orl_faces.npz")["images"]
    faces = np.stack([np.asarray(Image.fromarray(f).resize((48, 48))) for f in raw])
    folds = np.tile(np.arange(400)[:, None] % 4, (1, 5))
    write_tfd(tmp_path, images=faces, folds=folds, labs_ex=np.ones((400, 1)))
    data = datasets.load("tfd", "valid", data_dir=tmp_path)
    assert np.array_equal(data.images[..., 0], faces[2::4])


# === TFDS ===


class TinyShapes(tfds.core.GeneratorBasedBuilder):
    """Image i is of one value, 10 i."""

    VERSION = tfds.core.Version("1.0.0")
    HEIGHT, LABELS = 6, ["even", "odd"]

    def _info(self):
        image = tfds.features.Image(shape=(self.HEIGHT, 4, 1))
        label = tfds.features.ClassLabel(names=self.LABELS)
        features = tfds.features.FeaturesDict({"image": image, "label": label})
        return self.dataset_info_from_configs(
            features=features, supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {
            "train": self._generate_examples(20),
            "test": self._generate_examples(5),
        }

    def _generate_examples(self, count):
        for i in range(count):
            shape = (self.HEIGHT or 4 + i % 2, 4, 1)
            yield i, {"image": np.full(shape, 10 * i, np.uint8), "label": i % 2}


class TinyMixedShapes(TinyShapes):
    """The same, 4 or 5 high."""

    HEIGHT = None


class TinyTwoChannels(TinyShapes):
    """The same with a second channel, of 255 - 10 i."""

    CHANNELS = 2

    def _info(self):
        image = tfds.features.Image(shape=(6, 4, self.CHANNELS))
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({"image": image})
        )

    def _generate_examples(self, count):
        for i in range(count):
            image = np.full((6, 4, self.CHANNELS), 10 * i, np.uint8)
            image[..., 1:] = 255 - 10 * i
            yield i, {"image": image}


class TinyFourChannels(TinyTwoChannels):
    """The same with four."""

    CHANNELS = 4


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


def check_tiny(data, count):
    values = data.images[:, 0, 0, 0] // 10
    assert sorted(values) == list(range(count))
    assert (data.images == 10 * values[:, None, None, None]).all()
    assert np.array_equal(data.labels, values % 2)
    assert (data.images.dtype, data.num_classes) == (np.uint8, 2)


def test_tfds_by_name(tfds_dir):
    data = datasets.load("tiny_shapes", data_dir=tfds_dir)
    check_tiny(data, 20)
    assert data.image_shape == (6, 4, 1)
    check_tiny(datasets.load("tiny_shapes", "test", data_dir=tfds_dir), 5)
    parts = [f"train[{part}]" for part in (":8", "8:")]
    parts = [datasets.load("tiny_shapes", part, data_dir=tfds_dir) for part in parts]
    assert np.array_equal(np.concatenate([p.images for p in parts]), data.images)
    message = refusal("tiny_shapes", "tset", data_dir=tfds_dir)
    assert "'tiny_shapes' (train, test) or a slice" in message
    assert message.endswith("Received: 'tset'. Did you mean 'test'?")
    assert "Received: 'train[a:]'" in refusal(
        "tiny_shapes", "train[a:]", data_dir=tfds_dir
    )


def test_tfds_resized(tfds_dir):
    data = datasets.load("tiny_mixed_shapes@8x3", data_dir=tfds_dir)
    check_tiny(data, 20)
    assert data.image_shape == (8, 3, 1)
    message = refusal("tiny_mixed_shapes", data_dir=tfds_dir)
    assert "example tiny_mixed_shapes@64" in message


@pytest.mark.parametrize(
    ("name", "channels"), [("tiny_two_channels", 2), ("tiny_four_channels", 4)]
)
def test_tfds_of_other_channels(tfds_dir, name, channels):
    data = datasets.load(name, data_dir=tfds_dir)
    assert data.images.shape == (20, 6, 4, channels)
    first = data.images[..., 0].astype(int)
    assert sorted(set(first.ravel())) == list(range(0, 200, 10))
    np.testing.assert_array_equal(
        data.images[..., 1:], np.stack([255 - first] * (channels - 1), axis=-1)
    )
    resized = datasets.load(f"{name}@3x2", data_dir=tfds_dir)
    assert resized.images.shape == (20, 3, 2, channels)
    np.testing.assert_array_equal(resized.images[..., -1], data.images[:, :3, :2, -1])


def test_tfds_too_large_for_memory(tfds_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "IN_MEMORY_BYTES", 20 * 24 - 1)
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path))
    data = datasets.load("tiny_shapes", data_dir=tfds_dir)
    assert isinstance(data.images, np.memmap)
    check_tiny(data, 20)
    monkeypatch.setattr(tfds_images, "fit", None)
    monkeypatch.setattr(cache, "write", None)  # a second load only reads
    check_tiny(datasets.load("tiny_shapes", data_dir=tfds_dir), 20)
    assert len(list(tmp_path.iterdir())) == 2


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, "empty", "gone"])
@pytest.mark.parametrize(
    "pattern", ["*.tfrecord*", "dataset_info.json", "features.json", "*.labels.txt"]
)
def test_damaged_tfds_files_are_one_line(
    tfds_dir, tmp_path, monkeypatch, damage, pattern
):
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "cache"))
    whole = datasets.load("tiny_shapes", data_dir=tfds_dir)
    shutil.copytree(tfds_dir, tmp_path / "data")
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "other"))
    for path in (tmp_path / "data").rglob(pattern):
        if damage == "gone":
            path.unlink()
        elif damage == "empty":
            path.write_bytes(b"")
        else:
            damage(path)
    try:
        data = datasets.load("tiny_shapes", data_dir=tmp_path / "data")
    except DatasetError as error:
        assert "\n" not in str(error) and str(tmp_path / "data") in str(error)
    else:  # what TFDS does not need for this, or wrote again
        assert np.array_equal(data.images, whole.images)
        assert np.array_equal(data.labels, whole.labels)


def test_tfds_that_are_no_images(tfds_dir):
    message = refusal("imdb_reviews", data_dir=tfds_dir)
    assert "Received: 'imdb_reviews' with the features text, label" in message
    assert "9.9.9" in refusal("cifar10:9.9.9", data_dir=tfds_dir)


def test_no_network_and_nothing_cached(tmp_path, monkeypatch, caplog):
    # A proxy that does not answer: no network, wherever this runs.
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    message = refusal("cifar10", data_dir=tmp_path)
    assert f"'cifar10' in {tmp_path}, or a network to download it from" in message
    assert "(cifar-10-binary.tar.gz) in downloads/manual/" in message
    assert "the dataset 'digits'" in message
    assert list(tmp_path.iterdir()) == [] and caplog.records == []


def test_original_files_in_part_name_those_that_lack(tmp_path, monkeypatch):
    monkeypatch.setattr(tfds_images, "_answers", lambda url: False)
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    for part in ("train-images-idx3", "train-labels-idx1", "t10k-labels-idx1"):
        (manual / f"{part}-ubyte.gz").touch()
    message = refusal("mnist", data_dir=tmp_path)
    assert "files (t10k-images-idx3-ubyte.gz) in" in message
    # A download that TFDS has made before is not missing either.
    cached = '{"urls": ["https://storage.googleapis.com/cvdf-datasets/mnist/%s"]}'
    info = tmp_path / "downloads" / "mnist" / "x.gz.INFO"
    info.parent.mkdir()
    info.write_text(cached % "t10k-images-idx3-ubyte.gz")
    builder = tfds.builder("mnist", data_dir=tmp_path)
    assert tfds_images._missing_files(builder) == {}


def test_mnist_from_its_original_files(tmp_path, test_data):
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    for file in (test_data / "mnist").glob("*.gz"):
        shutil.copy(file, manual)
    train, valid, test = (
        datasets.load("mnist", split, data_dir=tmp_path)
        for split in ("train", "valid", "test")
    )
    assert [len(data) for data in (train, valid, test)] == [50_000, 10_000, 10_000]
    assert train.image_shape == (28, 28, 1) and train.num_classes == 10
    # Known of the 60,000 originals: 0.1307 is their mean, 5,923 are zeros.
    mean = (5 * train.pixel_means() + valid.pixel_means()).mean() / 6
    assert abs(mean - 0.1307) < 5e-5
    zeros = sum(np.bincount(data.labels)[0] for data in (train, valid))
    assert zeros == 5923
    assert np.bincount(test.labels)[0] == 980


@pytest.mark.slow
def test_stacked_mnist_has_every_mode_equally_often(tmp_path, test_data):
    manual = tmp_path / "downloads" / "manual"
    manual.mkdir(parents=True)
    for file in (test_data / "mnist").glob("*.gz"):
        shutil.copy(file, manual)
    data = datasets.load("stacked_mnist", "test", data_dir=tmp_path)
    assert data.image_shape == (28, 28, 3) and len(data) == 26_000
    assert (np.bincount(data.labels, minlength=1000) == 26).all()
    assert data.class_names[7] == "007" and data.class_names[941] == "941"
    again = datasets.load("stacked_mnist", "test", data_dir=tmp_path)
    np.testing.assert_array_equal(again.images[:100], data.images[:100])
    # Each channel is a test digit of the class that the label has in its place.
    digits = datasets.load("mnist", "test", data_dir=tmp_path)
    known = {image.tobytes(): label for image, label in
             zip(digits.images, digits.labels, strict=True)}  # fmt: skip
    for image, label in zip(data.images[:200], data.labels[:200], strict=True):
        found = [known[image[..., c : c + 1].tobytes()] for c in range(3)]
        assert found == [int(digit) for digit in f"{label:03d}"]
    with pytest.raises(datasets.SplitError, match="'train', 'valid', 'test'"):
        datasets.load("stacked_mnist", "all", data_dir=tmp_path)
