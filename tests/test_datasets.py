"""Dataset: what it accepts, what it delivers, and the stream of its batches."""

import doctest

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gan import datasets
from keras_gan.datasets import Dataset, DatasetError
from keras_gan.samples import SampleSpec


def numbered(count, **options):
    """uint8 vectors; row i begins with i."""
    images = np.zeros((count, 3), np.uint8)
    images[:, 0] = np.arange(count)
    return Dataset(images, value_range=(0.0, 255.0), **options)


def rows_of(batches):
    """The row numbers in each batch of a `numbered` dataset."""
    return [batch.numpy()[:, 0].astype(int).tolist() for batch in batches]


def on_disk(images, path):
    np.save(path, images)
    return np.load(path, mmap_mode="r")


# === The stream of batches ===


def test_each_epoch_visits_every_example_once_in_an_order_of_its_own():
    stream = numbered(23).batches(5, seed=1)
    epochs = [rows_of(stream) for _ in range(4)]
    for epoch in epochs:
        assert [len(batch) for batch in epoch] == [5, 5, 5, 5, 3]
        assert sorted(sum(epoch, [])) == list(range(23))
    assert len({str(epoch) for epoch in epochs}) == 4
    assert str(epochs[0]) != str(rows_of(numbered(23).batches(5, seed=2)))


def test_step_s_holds_what_the_recipe_says():
    stream = numbered(23).batches(5, seed=7)
    for epoch in range(3):
        # Every position by itself, eagerly, from (epoch, seed) alone.
        order = [
            int(tf.random.experimental.index_shuffle(position, [epoch, 7], 22))
            for position in range(23)
        ]
        assert sum(rows_of(stream), []) == order


def test_two_datasets_give_bit_equal_streams():
    images = np.random.default_rng(0).random((31, 4, 4, 1), np.float32)
    streams = [Dataset(images.copy()).batches(8, seed=3) for _ in range(2)]
    for _ in range(2):
        first, second = (list(stream.as_numpy_iterator()) for stream in streams)
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("start_step", [0, 1, 4, 5, 13])
def test_a_resumed_stream_is_the_tail_of_the_uninterrupted_one(start_step):
    whole, resumed = numbered(23).batches(5, 0), numbered(23).batches(5, 0, start_step)
    uninterrupted = sum((rows_of(whole) for _ in range(5)), [])
    tail = rows_of(resumed) + rows_of(resumed)
    assert tail == uninterrupted[start_step : start_step + 10]


@pytest.mark.parametrize("start_step", [0, 1, 5, 13])
def test_an_endless_stream_is_all_epochs_in_one_iteration(start_step):
    whole = numbered(23).batches(5, 0)
    epochs = sum((rows_of(whole) for _ in range(5)), [])
    endless = numbered(23).batches(5, 0, start_step, endless=True)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    for _ in range(2):  # the second iteration starts again
        assert rows_of(endless.take(12)) == epochs[start_step : start_step + 12]
    asked = iter([3, 8])
    stream = numbered(23).batches(5, 0, lambda: next(asked), endless=True)
    assert rows_of(stream.take(9)) == epochs[3:12]
    assert rows_of(stream.take(9)) == epochs[8:17]


def test_to_end_the_epoch_that_was_begun():
    data = numbered(23)
    rest = rows_of(data.batches(5, 0, 7).take(5 - 7 % 5))
    stream = data.batches(5, 0)
    rows_of(stream)
    assert rest == rows_of(stream)[2:]


def test_an_abandoned_iteration_counts_and_an_unused_one_does_not():
    stream, same = numbered(23).batches(5, 0), numbered(23).batches(5, 0)
    unused = iter(stream)
    begun = iter(stream)
    next(begun)
    del unused, begun
    rows_of(same)
    assert rows_of(stream) == rows_of(same)


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_keras_fit_sees_one_epoch_an_epoch(steps_per_execution):
    seen = []

    class Recorder(keras.Model):
        def __init__(self):
            super().__init__()
            self.built = True

        def train_step(self, x):
            tf.numpy_function(
                lambda x: seen.append(x[:, 0].astype(int).tolist()), [x], []
            )
            return {"mean": tf.reduce_mean(x)}

    model = Recorder()
    model.compile(
        optimizer=None, steps_per_execution=steps_per_execution, jit_compile=False
    )
    options = {"epochs": 3, "verbose": 0, "shuffle": False}
    model.fit(numbered(23).batches(5, seed=0), **options)
    stream = numbered(23).batches(5, seed=0)
    assert seen == sum((rows_of(stream) for _ in range(3)), [])

    seen.clear()
    model.fit(numbered(23).batches(5, seed=0, start_step=5), initial_epoch=1, **options)
    stream = numbered(23).batches(5, seed=0, start_step=5)
    assert seen == rows_of(stream) + rows_of(stream)


def test_shape_dtype_and_cardinality_are_known():
    data = Dataset(np.zeros((10, 6, 5, 3), np.uint8))
    for start_step in (0, 2):
        stream = data.batches(4, 0, start_step)
        assert stream.element_spec == tf.TensorSpec((None, 6, 5, 3), tf.float32)
        assert int(stream.cardinality()) == 3 == data.steps_per_epoch(4)
        assert len(list(stream)) == 3


def test_a_batch_of_everything_and_a_dataset_of_one():
    assert sorted(rows_of(numbered(9).batches(100, seed=0))[0]) == list(range(9))
    assert rows_of(numbered(1).batches(4, seed=-5)) == [[0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_on_disk_and_in_memory_are_the_same(dtype, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (37, 4, 5, 3)).astype(dtype)
    if dtype is np.float32:
        images /= 255
    kept = Dataset(images)
    streamed = Dataset(on_disk(images, tmp_path / "images.npy"))
    assert isinstance(streamed.images, np.memmap)
    for _ in range(2):
        pairs = zip(kept.batches(8, 5), streamed.batches(8, 5), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)
    assert streamed.batches(8, 5).element_spec == kept.batches(8, 5).element_spec
    assert np.array_equal(kept.examples(), streamed.examples())
    assert np.array_equal(kept.pixel_means(), streamed.pixel_means())
    a, b = kept.contrast_normalized(), streamed.contrast_normalized()
    assert np.array_equal(a.images, b.images)


# === Labels ===


@pytest.mark.parametrize("disk", [False, True])
def test_labels_come_with_their_examples_in_the_order_without(disk, tmp_path):
    images = np.zeros((23, 2, 2, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(23)
    if disk:
        images = on_disk(images, tmp_path / "images.npy")
    # The label of row i is 100 - i.
    data = Dataset(images, labels=100 - np.arange(23), value_range=(0, 255))
    labelled = data.batches(5, seed=3, labels=True)
    assert labelled.element_spec == (
        tf.TensorSpec((None, 2, 2, 1), tf.float32),
        tf.TensorSpec((None,), tf.int32),
    )
    assert int(labelled.cardinality()) == 5
    alone = data.batches(5, seed=3)
    for _ in range(2):
        for (x, labels), same in zip(labelled, alone, strict=True):
            np.testing.assert_array_equal(x, same)
            np.testing.assert_array_equal(labels, 100 - x.numpy()[:, 0, 0, 0])
    rest = data.batches(5, seed=3, start_step=7, endless=True, labels=True).take(4)
    tail = data.batches(5, seed=3, start_step=7, endless=True).take(4)
    for (x, labels), same in zip(rest, tail, strict=True):
        np.testing.assert_array_equal(x, same)
        np.testing.assert_array_equal(labels, 100 - x.numpy()[:, 0, 0, 0])


def of_classes(*counts, num_classes=None):
    """Data of so many examples of each class; the first pixel of row i is i."""
    images = np.zeros((sum(counts), 2, 2, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(images))
    labels = np.random.default_rng(0).permutation(
        np.repeat(np.arange(len(counts)), counts)
    )
    return Dataset(images, labels, value_range=(0, 255), num_classes=num_classes)


def test_class_probabilities_are_the_shares_of_the_examples():
    data = of_classes(6, 0, 2, num_classes=4)
    np.testing.assert_array_equal(data.class_probabilities(), [0.75, 0, 0.25, 0])
    np.testing.assert_array_equal(data.class_probabilities(True), [0.5, 0, 0.5, 0])
    with pytest.raises(ValueError, match=r"with labels for class_probabilities\(\)"):
        numbered(3).class_probabilities()


def test_balanced_batches_take_the_classes_in_turn():
    data = of_classes(3, 17, 0, 9)
    stream = data.batches(6, seed=1, balanced=True, labels=True)
    epochs = [list(stream.as_numpy_iterator()) for _ in range(12)]
    assert [len(x) for x, _ in epochs[0]] == [6, 6, 6, 6, 5]
    rows = np.concatenate([x[:, 0, 0, 0] for epoch in epochs for x, _ in epoch])
    labels = np.concatenate([labels for epoch in epochs for _, labels in epoch])
    rows = rows.astype(int)
    np.testing.assert_array_equal(labels, data.labels[rows])
    # Each in every three positions, also across the end of an epoch; not in one order.
    turns = labels.reshape(-1, 3)
    np.testing.assert_array_equal(np.sort(turns), np.broadcast_to([0, 1, 3], (116, 3)))
    assert len(np.unique(turns, axis=0)) == 6
    for label, count in ((0, 3), (1, 17), (3, 9)):
        of_class = rows[labels == label]
        passes = of_class[: len(of_class) // count * count].reshape(-1, count)
        # Every example of the class, before one comes again.
        expected = np.flatnonzero(data.labels == label)
        assert (np.sort(passes) == expected).all()
        assert len(np.unique(passes, axis=0)) > 1


def test_balanced_batches_are_a_function_of_the_seed_and_the_step():
    data = of_classes(3, 17, 9)
    whole = data.batches(5, 4, balanced=True)
    uninterrupted = sum((rows_of(whole) for _ in range(4)), [])
    resumed = data.batches(5, 4, 7, balanced=True)
    assert rows_of(resumed) + rows_of(resumed) == uninterrupted[7:19]
    endless = data.batches(5, 4, 3, endless=True, balanced=True).take(15)
    assert rows_of(endless) == uninterrupted[3:18]
    assert rows_of(data.batches(5, 5, balanced=True)) != uninterrupted[:6]


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, bool])
def test_one_hot_labels_are_the_integers_they_stand_for(dtype, caplog):
    data = Dataset(FLOATS, np.eye(5, dtype=dtype)[[0, 3, 3, 1]])
    np.testing.assert_array_equal(data.labels, [0, 3, 3, 1])
    assert (data.labels.dtype, data.num_classes) == (np.int64, 5)
    assert caplog.messages == [
        "Labels are one-hot rows of 5; they are taken as the integers 0 to 4."
    ]
    for rows in (np.ones((4, 3)), np.zeros((4, 3)), np.full((4, 3), 1 / 3)):
        with pytest.raises(ValueError, match="or one-hot rows: a 1 and zeros"):
            Dataset(FLOATS, rows)
    with pytest.raises(ValueError, match="one-hot `labels` of 4 classes.*rows of 5"):
        Dataset(FLOATS, np.eye(5)[:4], num_classes=4)


# === The kind of the data ===


@pytest.mark.parametrize(
    ("shape", "options", "kind"),
    [
        ((4, 2, 2, 1), {}, "image"),
        ((4, 2, 2, 1), {"value_range": None}, "vector"),
        ((4, 3), {}, "vector"),
        ((4, 3), {"value_range": None}, "vector"),
        ((4, 3, 2), {"value_range": None}, "series"),
        ((4, 3, 2), {"kind": "series"}, "series"),
        ((4, 3, 2), {"kind": "series", "value_range": None}, "series"),
        ((4, 3, 2), {"kind": "vector"}, "vector"),
        ((4, 3, 2, 1), {"kind": "vector"}, "vector"),
    ],
)
def test_the_spec_says_what_an_example_is(shape, options, kind):
    values = np.linspace(0, 1, np.prod(shape), dtype=np.float32).reshape(shape)
    data = Dataset(values, **options)
    value_range = options.get("value_range", (0.0, 1.0))
    assert data.spec == SampleSpec(shape[1:], kind, value_range)
    assert data.subset(slice(1, 3), "some").spec == data.spec
    assert np.array_equal(data.examples(), values)
    batch = next(iter(data.batches(4, seed=0))).numpy()
    assert np.array_equal(np.sort(batch, axis=0), values)


# === What is delivered ===


def test_to_range_of_uint8_changes_the_delivery_alone():
    images = np.arange(256, dtype=np.uint8).reshape(64, 2, 2, 1)
    data = Dataset(images, labels=np.arange(64) % 3)
    wide = data.to_range((-1, 1))
    assert wide.images is data.images
    assert wide.spec == SampleSpec((2, 2, 1), "image", (-1.0, 1.0))
    assert (wide.num_classes, data.value_range) == (3, (0.0, 1.0))
    direct = Dataset(images, value_range=(-1, 1))
    assert np.array_equal(wide.examples(), direct.examples())
    for x, y in zip(wide.batches(9, 1), direct.batches(9, 1), strict=True):
        assert np.array_equal(x, y)
    # The tensor of the data is shared, and each keeps its own range.
    list(data.batches(9, 1))
    after = data.to_range((0, 255))
    batch = next(iter(after.batches(64, 0))).numpy()
    assert np.array_equal(np.sort(batch.ravel()), np.arange(256))


def test_to_range_stays_on_disk(tmp_path):
    images = np.arange(24, dtype=np.uint8).reshape(6, 2, 2, 1)
    data = Dataset(on_disk(images, tmp_path / "x.npy")).to_range((-1, 1))
    assert isinstance(data.images, np.memmap)
    np.testing.assert_allclose(data.examples(), images / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize("target", [(-1.0, 1.0), (0.0, 255.0), (-0.1, 0.3)])
def test_to_range_of_floats_is_linear(target, monkeypatch):
    random = np.random.default_rng(0)
    values = random.uniform(-2, 6, (50, 3)).astype(np.float32)
    values[0] = [-2, 6, 2]
    data = Dataset(values, value_range=(-2, 6))
    monkeypatch.setattr(datasets.arrays, "CHUNK_BYTES", 7 * 3 * 8)
    mapped = data.to_range(target)
    low, high = target
    expected = low + (high - low) * (values.astype(np.float64) + 2) / 8
    np.testing.assert_allclose(mapped.examples(), expected, rtol=1e-6, atol=1e-6)
    ends = np.float32([low, high, (low + high) / 2])
    np.testing.assert_allclose(mapped.images[0], ends, rtol=1e-6)
    assert low <= mapped.images.min() and mapped.images.max() <= high
    assert mapped.images.dtype == np.float32 and mapped.value_range == target
    Dataset(mapped.images, value_range=target)  # holds floats to their range
    assert data.images is values and data.value_range == (-2.0, 6.0)
    assert np.array_equal(data.to_range((-2, 6)).images, values)


def test_to_range_refuses_what_has_no_bounds():
    images = Dataset(FLOATS)
    for data, wanted, message in (
        (images.contrast_normalized(), (-1, 1), r"'array', contrast-normalised$"),
        (Dataset([[3.0]], value_range=None), (0, 1), r"without a value_range$"),
        (images, None, r"`value_range` to be \(low, high\)\. Received: None$"),
        (images, (1, -1), r"low < high.*\(1, -1\)$"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            data.to_range(wanted)
        assert "\n" not in str(caught.value)


def test_fixed_examples_are_the_same_at_every_call():
    data = numbered(23)
    rows = data.fixed_examples(7)[:, 0].astype(int).tolist()
    # Frozen: scores and pictures are compared across versions.
    assert rows == sorted(np.random.default_rng(0).permutation(23)[:7].tolist())
    assert np.array_equal(data.fixed_examples(7), data.fixed_examples(7))
    assert np.array_equal(data.fixed_examples(99), data.examples())
    with pytest.raises(ValueError, match="`count` to be an int >= 1"):
        data.fixed_examples(0)


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0), (-3.0, 5.0)])
def test_uint8_stands_for_the_value_range(value_range):
    low, high = value_range
    images = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    data = Dataset(images, value_range=value_range)
    delivered = data.examples().ravel()
    expected = low + (high - low) * np.arange(256) / 255
    np.testing.assert_allclose(delivered, expected, rtol=0, atol=1e-6)
    assert delivered.dtype == np.float32
    assert (delivered[0], delivered[-1]) == value_range
    batch = next(iter(data.batches(256, seed=0))).numpy().ravel()
    assert np.array_equal(np.sort(batch), delivered)


def test_examples_by_index_and_as_a_copy():
    images = np.random.default_rng(0).random((6, 2, 2, 1), np.float32)
    data = Dataset(images, labels=[0, 1, 2, 0, 1, 2])
    assert np.array_equal(data.examples([4, 0, 4]), images[[4, 0, 4]])
    assert np.array_equal(data.examples(slice(2, 4)), images[2:4])
    assert np.array_equal(data.examples(data.labels == 1), images[[1, 4]])
    assert data.examples([]).shape == (0, 2, 2, 1)
    data.examples()[:] = 9
    data.examples(slice(0, 2))[:] = 9
    assert data.images.max() <= 1


def test_attributes():
    images = np.zeros((4, 6, 5, 3))
    data = Dataset(images, [2, 0, 1, 1], value_range=(-1, 1), name="x", split="y")
    assert (data.name, data.split, len(data), data.num_classes) == ("x", "y", 4, 3)
    assert data.image_shape == (6, 5, 3)
    assert data.value_range == (-1.0, 1.0)
    assert data.images.dtype == np.float32
    assert data.labels.dtype == np.int64
    assert data.distribution is None
    assert Dataset(images).labels is None
    assert Dataset(images).num_classes is None


def test_pixel_means_are_those_of_numpy(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (50, 3, 4, 3), np.uint8)
    data = Dataset(images, value_range=(-1.0, 1.0))
    expected = images.astype(np.float64).mean(axis=0) / 255 * 2 - 1
    monkeypatch.setattr(datasets.arrays, "CHUNK_BYTES", 7 * 36 * 8)
    means = data.pixel_means()
    assert means.dtype == np.float64
    np.testing.assert_allclose(means, expected, rtol=0, atol=1e-14)


def test_contrast_normalisation(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3), np.uint8)
    images[7] = 131  # of one value
    images[8] = 131
    images[8, 0, 0, 0] = 132  # and nearly so
    data = Dataset(images, labels=np.arange(50) % 4)
    monkeypatch.setattr(datasets.arrays, "CHUNK_BYTES", 7 * 192 * 8)
    result = data.contrast_normalized()

    x = images.astype(np.float64).reshape(50, -1)
    x -= x.mean(axis=1, keepdims=True)
    norms = np.sqrt((x**2).sum(axis=1, keepdims=True))
    expected = np.where(norms > 1e-9, 55 * x / np.maximum(norms, 1e-9), 0.0)
    flat = result.images.reshape(50, -1).astype(np.float64)
    np.testing.assert_allclose(flat, expected, rtol=1e-6, atol=1e-6)
    others = np.arange(50) != 7
    np.testing.assert_allclose(flat.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(flat[others], axis=1), 55, rtol=1e-6)
    assert not result.images[7].any()

    assert result.value_range == (-3.0, 3.0)
    assert result.spec == SampleSpec((8, 8, 3), "image", (-3.0, 3.0), True)
    assert np.abs(flat).max() > 3  # a range to show it in, not a bound
    assert result.images.dtype == np.float32
    assert np.array_equal(result.labels, data.labels)
    assert data.value_range == (0.0, 1.0) and data.images is images
    batch = next(iter(result.batches(50, seed=0))).numpy()
    assert np.array_equal(np.sort(batch, axis=0), np.sort(result.images, axis=0))


def test_contrast_normalisation_does_not_see_the_scale():
    images = np.random.default_rng(0).integers(0, 128, (5, 4, 4, 1), np.uint8)
    one = Dataset(images).contrast_normalized().images
    two = Dataset(images * 2, value_range=(-1, 1)).contrast_normalized().images
    np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7)
    constant = np.full((1, 7, 7, 1), 0.1, np.float32)  # whose mean is not 0.1
    assert not Dataset(constant).contrast_normalized().images.any()


# === What is refused ===

FLOATS = np.full((4, 2, 2, 1), 0.5, np.float32)
NAN = FLOATS.copy()
NAN[2, 0, 1, 0] = NAN[3, 1, 1, 0] = np.nan


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"images": FLOATS[:0]}, r"at least one example.*shape \(0, 2, 2, 1\)"),
        ({"images": FLOATS[..., 0]}, r"shape \(4, 2, 2\); .*images\[\.\.\., None\]"),
        (
            {"images": FLOATS[..., 0]},
            r"series of shape \(N, T, F\), pass kind",
        ),
        (
            {"images": FLOATS, "kind": "series"},
            r"one series to have 2 dim.*\(2, 2, 1\)",
        ),
        (
            {"images": FLOATS[..., 0], "kind": "image"},
            r"one image .* 3 dim.*: \(2, 2\)$",
        ),
        ({"images": FLOATS, "kind": "images"}, r"'images'\. Did you mean 'image'\?$"),
        (
            {"images": FLOATS[:, 0, 0] * 4},
            r"value_range, None where they have no bounds$",
        ),
        ({"images": FLOATS[0, 0, 0]}, r"\(N, H, W, C\) or \(N, D\).*shape \(1,\)"),
        ({"images": NAN}, r"2 NaN or Inf values, the first in row 2$"),
        ({"images": FLOATS * np.inf}, r"16 NaN or Inf values, the first in row 0$"),
        ({"images": FLOATS * 4}, r"value_range=\(0\.0, 1\.0\).*from 2 to 2"),
        ({"images": FLOATS - 1}, r"from -0\.5 to -0\.5"),
        ({"images": FLOATS.astype(int)}, r"dtype uint8 .*Received: dtype int64"),
        ({"images": FLOATS.astype("S1")}, r"Received: dtype \|S1"),
        ({"images": FLOATS.astype("u1"), "value_range": None}, r"for uint8 to stand"),
        ({"images": FLOATS, "value_range": (1, 0)}, r"low < high.*\(1, 0\)"),
        ({"images": FLOATS, "value_range": (0, np.inf)}, r"low < high"),
        ({"images": FLOATS, "value_range": 1.0}, r"low < high.*Received: 1\.0"),
        ({"images": FLOATS, "labels": [0, 1]}, r"shape \(4,\).*shape \(2,\)"),
        ({"images": FLOATS, "labels": [0.0] * 4}, r"integer `labels`.*float64"),
        ({"images": FLOATS, "labels": [0, 1, -1, 1]}, r">= 0\. .*from -1 to 1"),
        ({"images": FLOATS, "labels": [0, 1, 2, 3], "num_classes": 3}, r"\[0, 3\)"),
    ],
)
def test_bad_data(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        Dataset(**arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0), r"`batch_size` to be an int >= 1\. Received: 0"),
        ((2.0, 0), r"`batch_size` .*Received: 2\.0"),
        ((True, 0), r"`batch_size` .*Received: True"),
        ((2, None), r"`seed` .*Received: None"),
        ((2, 2**63), r"`seed` .*Received: 9223372036854775808"),
        ((2, 0, -1), r"`start_step` to be an int >= 0\. Received: -1"),
        ((2, 0, 0, False, True), r"with labels for labels=True\. Received: 'array'"),
        ((2, 0, 0, False, False, True), r"with labels for balanced=True\. Received"),
    ],
)
def test_bad_arguments_of_batches(arguments, message):
    with pytest.raises(ValueError, match=message):
        numbered(4).batches(*arguments)


def test_vectors_without_a_range_have_no_contrast():
    data = Dataset(np.array([[5.0], [-7.0]]), value_range=None)
    assert np.array_equal(data.examples(), np.float32([[5], [-7]]))
    with pytest.raises(ValueError, match="Expected images .*of kind 'vector'$"):
        data.contrast_normalized()


@pytest.mark.parametrize("module", [datasets, datasets.base])
def test_examples_of_the_docstrings(module):
    results = doctest.testmod(module)
    assert results.attempted > 0 and results.failed == 0


def test_messages_are_one_line_whatever_they_quote():
    assert str(DatasetError("one\n  two")) == "one two"


def test_a_function_as_start_step_is_asked_whenever_an_iteration_starts():
    """What was consumed of the one before does not matter then."""
    data, step = numbered(23), [7]
    whole = data.batches(5, 0)
    uninterrupted = sum((rows_of(whole) for _ in range(4)), [])
    stream = data.batches(5, 0, start_step=lambda: step[0])
    for begin, count in ((7, 2), (7, 5), (0, 1), (11, 5)):
        step[0] = begin
        assert rows_of(stream.take(count)) == uninterrupted[begin : begin + count]


def test_examples_of_several_chunks_are_scaled_as_one():
    """They come in chunks of 64 MiB in float64: here two, of 8 million values."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 2048, 2048, 1), np.uint8)
    data = Dataset(pixels, value_range=(-1.0, 1.0))
    expected = pixels.astype(np.float32) / 255.0 * 2.0 - 1.0
    np.testing.assert_array_equal(data.examples(), expected)
    np.testing.assert_array_equal(data.examples([2, 0]), expected[[2, 0]])
    assert data.examples(slice(0, 0)).shape == (0, 2048, 2048, 1)
