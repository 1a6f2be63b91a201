"""Feature extractors and their cache."""

import json

import keras
import numpy as np
import pytest

import keras_gan
from keras_gan import metrics
from keras_gan.metrics import features
from keras_gan.metrics.features import cache


@pytest.fixture(scope="module")
def digits():
    return [keras_gan.datasets.load("digits", split) for split in ("train", "test")]


@pytest.fixture(scope="module")
def classifier(digits):
    return metrics.Classifier.train(*digits, steps=300)


def test_pixels_are_the_values():
    images = np.arange(24, dtype=np.float32).reshape(2, 2, 3, 2)
    np.testing.assert_array_equal(
        metrics.Pixels().features(images), np.arange(24).reshape(2, 12)
    )


def test_the_classifier_knows_digits(classifier, digits):
    _, test = digits
    assert classifier.test_accuracy > 0.95
    classes = classifier.classes(test.examples())
    assert np.mean(classes == test.labels) == classifier.test_accuracy
    assert classifier.features(test.examples(slice(0, 7))).shape == (7, 128)
    np.testing.assert_allclose(
        classifier.probabilities(test.examples(slice(0, 7))).sum(axis=1), 1, atol=1e-5
    )


def test_an_image_has_the_same_features_in_any_company(classifier, digits):
    images = digits[1].examples(slice(0, 40))
    alone = np.concatenate([classifier.features(images[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(classifier.features(images)[:5], alone, atol=1e-5)
    # A blank and a saturated neighbour would move a batch's own minimum and maximum.
    company = np.concatenate([images[:5], np.zeros_like(images), np.ones_like(images)])
    np.testing.assert_allclose(classifier.features(company)[:5], alone, atol=1e-5)


def test_many_images_have_the_same_features_as_few(classifier, digits):
    """They are predicted 2,000 at a time, and read from the data 4,000 at a time."""
    rows = np.arange(5003) % len(digits[1])
    many = digits[1].subset(rows, "many")
    result = classifier.features(many.examples())
    cached = metrics.cached_features(classifier, many, None)
    assert result.shape == cached.shape == (5003, 128)
    few = classifier.features(digits[1].examples())
    np.testing.assert_allclose(result, few[rows], atol=1e-5)
    np.testing.assert_allclose(cached, few[rows], atol=1e-5)


def test_data_is_read_in_pieces_of_bounded_size(digits):
    """4,000 images at most, and of large ones as many values as 4,000 of 32x32x3."""
    sizes = []

    def first_values(images):
        sizes.append(len(images))
        return images.reshape(len(images), -1)[:, :2]

    data = keras_gan.datasets.Dataset(
        np.arange(9000, dtype=np.float32).reshape(4500, 2) / 9000
    )
    np.testing.assert_array_equal(features.in_pieces(first_values, data), data.images)
    assert sizes == [4000, 500]
    sizes.clear()
    assert len(features.in_pieces(first_values, data, limit=7)) == 7
    assert sizes == [7]
    sizes.clear()
    pixels = np.broadcast_to(np.uint8([0, 255]), (5, 2400, 1280, 2))
    large = keras_gan.datasets.Dataset(pixels)
    result = features.in_pieces(first_values, large)
    np.testing.assert_array_equal(result, np.tile(np.float32([0, 1]), (5, 1)))
    assert sizes == [2, 2, 1]


@pytest.mark.slow
def test_the_classifier_follows_its_seed_and_not_the_global_one(digits):
    def key(seed):
        return metrics.Classifier.train(*digits, seed=seed, steps=3).key

    first = key(0)
    keras.utils.set_random_seed(99)
    assert key(0) == first != key(1)


def test_a_trained_classifier_comes_from_the_cache(tmp_path, digits):
    calls = []
    first, again = (
        metrics.Classifier.trained(*digits, tmp_path, steps=20, progress=calls.append)
        for _ in range(2)
    )
    assert len(calls) == 20 and calls[-1] == 1.0
    assert again.key == first.key and again.test_accuracy == first.test_accuracy
    assert len(list(tmp_path.iterdir())) == 1
    # Everything that it depends on makes another file.
    train, test = digits
    metrics.Classifier.trained(train, test, tmp_path, steps=21)
    metrics.Classifier.trained(train, test, tmp_path, steps=20, seed=1)
    fewer = train.subset(slice(0, 1000), "train[:1000]")
    metrics.Classifier.trained(fewer, test, tmp_path, steps=20)
    assert len(list(tmp_path.iterdir())) == 4


def test_of_two_that_train_at_once_the_first_ones_serves_both(tmp_path, digits):
    """What the other process has written meanwhile stays, and is used."""

    def other(share):
        if share == 1.0:
            metrics.Classifier.trained(*digits, tmp_path, steps=2)
            (path,) = tmp_path.iterdir()
            with np.load(path, allow_pickle=False) as file:
                arrays = dict(file)
            # Its own last bits, made visible.
            arrays["weight_0"] = arrays["weight_0"] + np.float32(1)
            np.savez(path, **arrays)
            written.append(path.read_bytes())

    written = []
    ours = metrics.Classifier.trained(*digits, tmp_path, steps=2, progress=other)
    (path,) = tmp_path.iterdir()
    assert [path.read_bytes()] == written
    theirs = metrics.Classifier.trained(*digits, tmp_path, steps=2)
    assert ours.key == theirs.key


def test_a_class_without_images_makes_another_classifier(tmp_path, digits):
    """The same images and labels of more classes: the weights have other shapes."""
    train, test = (data.subset(slice(0, 200), "first") for data in digits)
    metrics.Classifier.trained(train, test, tmp_path, steps=2)
    train.num_classes = test.num_classes = 11
    eleven = metrics.Classifier.trained(train, test, tmp_path, steps=2)
    assert eleven.probabilities(test.examples(slice(0, 3))).shape == (3, 11)


@pytest.fixture
def half_precision():
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    yield
    keras.mixed_precision.set_dtype_policy(before)


def test_a_policy_for_the_networks_is_none_for_the_classifier(
    tmp_path, digits, request
):
    """The cache and the protocol's hash know its weights, but not its precision."""
    first = metrics.Classifier.trained(*digits, tmp_path, steps=2)
    request.getfixturevalue("half_precision")
    again = metrics.Classifier.trained(*digits, tmp_path, steps=2)
    found = again.features(digits[1].examples())
    assert again.key == first.key and found.dtype == np.float32
    np.testing.assert_array_equal(found, first.features(digits[1].examples()))


def test_features_of_real_images_come_from_the_cache(tmp_path, classifier, digits):
    _, test = digits
    first = metrics.cached_features(classifier, test, tmp_path, limit=50)
    np.testing.assert_allclose(
        first, classifier.features(test.examples(slice(0, 50))), atol=1e-6
    )
    (path,) = tmp_path.iterdir()
    # Told apart by what is in the file: it is read, not computed again.
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    arrays["features"] += 1
    np.savez(path, **arrays)
    again = metrics.cached_features(classifier, test, tmp_path, limit=50)
    np.testing.assert_array_equal(again, first + 1)
    # Another limit, other images, another range: another file.
    metrics.cached_features(classifier, test, tmp_path, limit=51)
    metrics.cached_features(
        classifier, test.subset(slice(1, None), "rest"), tmp_path, limit=50
    )
    assert len(list(tmp_path.iterdir())) == 3


def test_a_cache_that_does_not_match_is_refused(tmp_path, classifier, digits):
    _, test = digits
    metrics.cached_features(classifier, test, tmp_path, limit=50)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)

    def refused(message):
        with pytest.raises(ValueError, match=message) as error:
            metrics.cached_features(classifier, test, tmp_path, limit=50)
        assert "\n" not in str(error.value) and "remove it" in str(error.value)

    path.write_bytes(whole[: len(whole) // 2])
    refused("Expected the cache of these images.*cannot be read")
    np.savez(path, **{**arrays, "features": arrays["features"][:20]})
    refused(r"features of shape \(20, 128\)")
    described = json.loads(str(arrays["described"]))
    described["data"] = "other"
    np.savez(path, **{**arrays, "described": json.dumps(described, sort_keys=True)})
    refused("one of other data or settings")
    np.savez(path, described=np.array([{"a": 1}], dtype=object), features=[1])
    refused("cannot be read")  # a pickle inside is not loaded


def test_an_extractor_of_another_range_is_refused(tmp_path, classifier, digits):
    """It would scale the images wrongly, and the file would pass for a right one."""
    data = digits[1].to_range((-1, 1))
    message = r"Expected images in \(0.0, 1.0\).*in \(-1.0, 1.0\)"
    for cache_dir in (None, tmp_path):
        with pytest.raises(ValueError, match=message) as error:
            metrics.cached_features(classifier, data, cache_dir, limit=5)
        assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_files_that_state_no_range_are_not_read(tmp_path, classifier, digits):
    """Earlier versions wrote some by an extractor of another range."""
    _, test = digits
    described = {
        "format": 1,
        "extractor": classifier.key,
        "data": metrics.data_key(test),
        "limit": 5,
    }
    path = cache.file_for(tmp_path, "features", described)
    cache.write(path, described, features=np.zeros((5, 128), np.float32))
    assert metrics.cached_features(classifier, test, tmp_path, limit=5).any()


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, classifier, digits):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.warns(UserWarning, match="not cached.*KERAS_GAN_CACHE"):
        result = metrics.cached_features(classifier, digits[1], blocked, limit=5)
    assert result.shape == (5, 128)


def test_data_without_labels_or_of_another_shape_are_refused(digits, classifier):
    train, test = digits
    unlabelled = keras_gan.datasets.Dataset(np.zeros((4, 8, 8, 1), np.uint8))
    with pytest.raises(ValueError, match="labelled images.*without labels; use"):
        metrics.Classifier.train(unlabelled, test)
    larger = keras_gan.datasets.Dataset(np.zeros((4, 9, 9, 1), np.uint8), [0, 1, 2, 3])
    with pytest.raises(ValueError, match=r"test images of shape \(8, 8, 1\)"):
        metrics.Classifier.train(train, larger)
    few = test.subset(test.labels < 9, "nine")
    few.num_classes = 9
    with pytest.raises(ValueError, match="of 10 classes.*Received: 9; use"):
        metrics.Classifier.train(train, few)
    with pytest.raises(ValueError, match=r"shape \(None, 8, 8, 1\).*\(4, 9, 9, 1\)"):
        classifier.features(larger.examples())


def test_inception_without_its_weights_is_a_clear_error(tmp_path):
    with pytest.raises(ValueError, match="InceptionV3's ImageNet weights.*Received"):
        metrics.Inception((0, 1), weights=str(tmp_path / "none.weights.h5"))


@pytest.mark.slow
def test_the_key_of_inception_states_its_weights(half_precision):
    """Those of a file are other ones when the file is; random ones always are."""
    first, second = (metrics.Inception((0, 1), weights=None) for _ in range(2))
    assert first.key != second.key
    assert first._model.compute_dtype == "float32"
    assert {layer.compute_dtype for layer in first._model.layers} == {"float32"}


@pytest.mark.slow
def test_inception_takes_grey_and_colour_images_one_by_one():
    keras.utils.set_random_seed(0)
    inception = metrics.Inception((-1, 1), weights=None)
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (3, 32, 32, 1)).astype(np.float32)
    result = inception.features(images, batch_size=2)
    assert result.shape == (3, 2048) and result.dtype == np.float32
    colour = inception.features(np.repeat(images, 3, axis=3), batch_size=3)
    np.testing.assert_allclose(result, colour, atol=1e-4)
    with pytest.raises(ValueError, match=r"\(N, H, W, 1 or 3\)"):
        inception.features(images[0])


def test_keys_state_the_data(digits):
    train, _ = digits
    key = features.data_key(train)
    assert key == features.data_key(keras_gan.datasets.load("digits", "train"))
    changed = train.subset(slice(0, None), "train")
    changed.labels = changed.labels.copy()
    changed.labels[0] += 1
    assert features.data_key(changed) != key
    changed.labels = train.labels
    changed.images = changed.images.copy()
    changed.images[-1, -1, -1] += 0.25
    assert features.data_key(changed) != key


@pytest.mark.slow
def test_the_classifier_of_mnist(test_data, tmp_path):
    data_dir = tmp_path / "tfds"
    manual = data_dir / "downloads" / "manual"
    manual.mkdir(parents=True)
    for path in (test_data / "mnist").glob("*.gz"):
        (manual / path.name).symlink_to(path)
    train, test = (
        keras_gan.datasets.load("mnist", split, data_dir) for split in ("train", "test")
    )
    assert metrics.Classifier.train(train, test).test_accuracy >= 0.985
