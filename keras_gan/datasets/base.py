"""Dataset: examples in memory or memory-mapped, and their repeatable batches."""

import copy
import difflib
import functools
import itertools
import math

import numpy as np
import tensorflow as tf

from keras_gan.samples import (
    CONTRAST_NORMALIZED_RANGE,
    SampleSpec,
    check_value_range,
    from_uint8,
)

# Passes over a whole dataset go in pieces of about this many bytes of float64.
_CHUNK_BYTES = 64 * 1024**2


class DatasetError(ValueError):
    """A dataset that cannot be loaded: one line with what was expected, what was
    received, and what to do."""

    def __init__(self, message):
        super().__init__(" ".join(str(message).split()))


def unknown_split(name, split, known):
    """The `DatasetError` for a `split` that is not among the `known` ones."""
    close = difflib.get_close_matches(str(split), known, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return DatasetError(
        f"Expected a split of {name!r} among {', '.join(map(repr, known))}. "
        f"Received: {split!r}.{hint}"
    )


class Dataset:
    """Examples with, perhaps, labels; validated once, here.

    Args:
        images: array of shape (N, H, W, C), or (N, D) for vectors. uint8 stands for
            `value_range` linearly (0 is its low end, 255 its high end). Floating point
            must be finite and lie in `value_range`; other than float32 is converted.
            A `np.memmap` stays on disk, and batches are read from there.
        labels: None, or integers of shape (N,) in [0, num_classes).
        value_range: (low, high), the range in which examples are delivered; None for
            data that are no images, whose values have no bounds.
        name, split: str, what the data are called in messages.
        num_classes: int; without it, the largest label plus one.
        distribution: the distribution that the examples were drawn from, where known:
            a `tfp.distributions.Distribution` with event shape (D,).

    Attributes:
        images: uint8 or float32 array (N, ...), in memory or a `np.memmap`.
        labels: int64 array (N,), or None.
        num_classes: int, or None without labels.
        image_shape: tuple of int, the shape of one example.
        value_range: (low, high) as floats, or None.
        name, split, distribution: as given.

    Raises:
        ValueError: no examples; not 2 or 4 dimensions; another dtype; NaN or Inf;
            floats outside `value_range`; labels of another length, not integers or
            outside [0, num_classes).

    Example:

    >>> data = Dataset(np.zeros((6, 8, 8, 1), "uint8"), value_range=(-1.0, 1.0))
    >>> [batch.shape[0] for batch in data.batches(4, seed=0)]
    [4, 2]
    """

    def __init__(
        self,
        images,
        labels=None,
        value_range=(0.0, 1.0),
        name="array",
        split="all",
        num_classes=None,
        distribution=None,
    ):
        self.name = name
        self.split = split
        self.value_range = check_value_range(value_range)
        self.images = _check_images(images, self.value_range)
        self.labels, self.num_classes = _check_labels(labels, len(self), num_classes)
        self.distribution = distribution
        self.contrast_is_normalized = False
        self._tensor = None

    @property
    def spec(self) -> SampleSpec:
        """The shape, kind and range of one example."""
        return SampleSpec.of(
            self.image_shape, self.value_range, self.contrast_is_normalized
        )

    @property
    def image_shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.images.shape[1:])

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self):
        return (
            f"<Dataset {self.name!r}, split {self.split!r}: {len(self):,} examples of "
            f"shape {self.image_shape}, value_range={self.value_range}>"
        )

    def examples(self, indices=None) -> np.ndarray:
        """All examples, or those at `indices`, as a new float32 array in `value_range`.

        Args:
            indices: None, a slice, or an array of row numbers or booleans.

        Returns:
            float32 array (N, *image_shape), or (len(indices), *image_shape).

        Raises:
            IndexError: an index outside the data.
        """
        rows = slice(None) if indices is None else indices
        if isinstance(rows, list | tuple):
            rows = np.asarray(rows, dtype=None if len(rows) else np.int64)
        return _deliver(np.array(self.images[rows], np.float32), self)

    def steps_per_epoch(self, batch_size) -> int:
        """Batches that hold every example once: ceil(N / batch_size).

        Raises:
            ValueError: `batch_size` is not a positive int.
        """
        return math.ceil(len(self) / _check_int("batch_size", batch_size, low=1))

    def batches(self, batch_size, seed, start_step=0, endless=False) -> tf.data.Dataset:
        """Shuffled float32 batches in `value_range`, a function of `seed` and the step.

        Step s, counted over all epochs from 0, belongs to epoch
        e = s // steps_per_epoch and always holds the same examples: those at positions
        (s % steps_per_epoch) * batch_size and on of the permutation that (seed, e)
        stands for. Each epoch visits every example once, in an order of its own; its
        last batch is short when `batch_size` does not divide N.

        One iteration of the result is `steps_per_epoch` consecutive steps, and the next
        iteration goes on where it ended, however much of it was consumed: so
        `fit(data.batches(200, seed=0), epochs=50)` sees 50 epochs. An iteration counts
        from its first element on. Call `batches` again for the same stream from its
        start.

        A resumed run passes the number of steps done as `start_step` and gets the tail
        of the uninterrupted stream, to the last bit. From the middle of an epoch every
        iteration still has `steps_per_epoch` batches, and so crosses into the next
        epoch. To end at the epoch's own end instead, run
        `.take(steps_per_epoch - start_step % steps_per_epoch)` first and go on with a
        new stream from there. (Shorter first iterations would mislead Keras, which
        reads the cardinality once and cuts every later epoch to it.)

        Args:
            batch_size: positive int.
            seed: int of 64 bits, signed.
            start_step: int >= 0, the step of the first batch; or a function without
                arguments that gives it, which is asked whenever an iteration starts.
            endless: bool, whether an iteration goes on into all further epochs, for
                `fit(..., steps_per_epoch=data.steps_per_epoch(batch_size))`: Keras
                starts a finite pipeline anew, twice, for each epoch. A
                `steps_per_execution` has to divide that number. An iteration after
                the first starts at `start_step` again, where this is no function.

        Returns:
            `tf.data.Dataset` of float32 tensors (batch, *image_shape), prefetched, with
            cardinality `steps_per_epoch`, or infinite.

        Raises:
            ValueError: an argument of another type, or outside these bounds.
        """
        steps = self.steps_per_epoch(batch_size)
        seed = _check_int("seed", seed, low=-(2**63), high=2**63 - 1)
        if not callable(start_step):
            start_step = _check_int("start_step", start_step, low=0)
            # Of an endless iteration nothing is left for the next to go on with.
            step = 0 if endless else steps
            start_step = functools.partial(next, itertools.count(start_step, step))
        num_examples = len(self)
        gather = self._gather_function()

        def iteration(_):
            # Not a tf.Variable: a strategy's scope would mirror it.
            first = tf.numpy_function(lambda: np.int64(start_step()), [], tf.int64)
            first = tf.ensure_shape(first, ())
            last = tf.int64.max if endless else first + steps
            return tf.data.Dataset.range(first, last)

        def batch(step):
            epoch, index = step // steps, step % steps
            begin = index * batch_size
            position = tf.range(begin, tf.minimum(begin + batch_size, num_examples))
            rows = tf.random.experimental.index_shuffle(
                position,
                tf.stack([epoch, tf.constant(seed, tf.int64)]),
                tf.constant(num_examples - 1, tf.int64),
            )
            return _deliver(tf.cast(gather(rows), tf.float32), self)

        return (
            tf.data.Dataset.from_tensors(0)
            .flat_map(iteration)
            .map(batch, num_parallel_calls=tf.data.AUTOTUNE)
            .prefetch(tf.data.AUTOTUNE)
            .apply(
                tf.data.experimental.assert_cardinality(
                    tf.data.INFINITE_CARDINALITY if endless else steps
                )
            )
        )

    def some(self, count) -> np.ndarray:
        """`count` examples (all, where there are fewer), the same ones every time.

        Returns:
            float32 array (count, *image_shape) in `value_range`, in the data's order.
        """
        rows = np.random.default_rng(0).permutation(len(self))[:count]
        return self.examples(np.sort(rows))

    def subset(self, rows, split) -> "Dataset":
        """The examples at `rows`, a slice or an array of row numbers, as a Dataset.

        Args:
            rows: slice, or int array.
            split: str, what the subset is called in messages.

        Raises:
            ValueError: no rows.
        """
        result = copy.copy(self)
        result.images = self.images[rows]
        result.labels = None if self.labels is None else self.labels[rows]
        result.split = split
        result._tensor = None
        if not len(result):
            raise ValueError(f"Expected at least one example in {split!r}. Got none.")
        return result

    def contrast_normalized(self) -> "Dataset":
        """Global contrast normalisation, as the paper's CIFAR-10 experiments had it.

            x <- 55 * (x - mean(x)) / ||x - mean(x)||_2

        with the mean and the norm over all H * W * C values of the image: the scale of
        the pixels is irrelevant. An image of one value becomes zeros. Computed in
        float64, held in memory as float32 (4 bytes a value).

        The mean and the norm are discarded, so it cannot be undone. `value_range` of
        the result is (-3, 3), the range to show it in, not a bound: a few values lie
        outside.

        Returns:
            a new Dataset; this one is unchanged.

        Raises:
            ValueError: the data are no images (`value_range` is None).
        """
        if self.value_range is None:
            raise ValueError(
                "Expected images to normalise the contrast of. Received: "
                f"{self.name!r}, whose value_range is None"
            )
        normalized = np.empty(self.images.shape, np.float32)
        for rows in self._chunks():
            x = self._float64(rows).reshape(rows.stop - rows.start, -1)
            # Not by the norm: the mean of equal values need not equal them.
            constant = x.max(axis=1, keepdims=True) == x.min(axis=1, keepdims=True)
            x -= x.mean(axis=1, keepdims=True)
            norm = np.linalg.norm(x, axis=1, keepdims=True)
            x *= np.where(constant, 0.0, 55.0 / np.where(constant, 1.0, norm))
            normalized[rows] = x.reshape(-1, *self.image_shape)
        # Not through the constructor, which holds floats to their value_range.
        result = copy.copy(self)
        result.images = normalized
        result.value_range = CONTRAST_NORMALIZED_RANGE
        result.contrast_is_normalized = True
        result._tensor = None
        return result

    def pixel_means(self) -> np.ndarray:
        """Mean over the examples, in `value_range`: float64 array of `image_shape`."""
        total = np.zeros(self.image_shape, np.float64)
        for rows in self._chunks():
            total += self._float64(rows).sum(axis=0)
        return total / len(self)

    def _float64(self, rows):
        return _deliver(np.array(self.images[rows], np.float64), self)

    def _chunks(self):
        chunk = max(1, _CHUNK_BYTES // (8 * math.prod(self.image_shape)))
        for begin in range(0, len(self), chunk):
            yield slice(begin, min(begin + chunk, len(self)))

    def _gather_function(self):
        """A graph function from rows (batch,) to examples (batch, *image_shape)."""
        images = self.images
        if isinstance(images, np.memmap):

            def read(rows):
                # Ascending, as a disk likes to be read.
                order = np.argsort(rows)
                batch = np.empty((len(rows), *images.shape[1:]), images.dtype)
                batch[order] = images[rows[order]]
                return batch

            def gather(rows):
                batch = tf.numpy_function(read, [rows], images.dtype, stateful=False)
                return tf.ensure_shape(batch, (None, *self.image_shape))

            return gather

        if self._tensor is None:
            with tf.device("CPU:0"):
                self._tensor = tf.constant(images)
            # A view of the tensor's own memory: the data are held once.
            self.images = self._tensor.numpy()
        return lambda rows: tf.gather(self._tensor, rows)


def _deliver(values, data):
    """Float `values` of `data.images`, NumPy or TensorFlow, mapped to value_range."""
    if data.images.dtype != np.uint8:
        return values
    return from_uint8(values, data.value_range)


def _check_int(name, value, low, high=None):
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not integer or value < low or (high is not None and value > high):
        bounds = f">= {low}" if high is None else f"in [{low}, {high}]"
        raise ValueError(
            f"Expected `{name}` to be an int {bounds}. Received: {value!r}"
        )
    return int(value)


def _check_images(images, value_range):
    if not isinstance(images, np.memmap):
        images = np.asarray(images)
    if images.ndim not in (2, 4):
        hint = "; add the channel axis: images[..., None]" if images.ndim == 3 else ""
        raise ValueError(
            "Expected `images` of shape (N, H, W, C) or (N, D). "
            f"Received: shape {images.shape}{hint}"
        )
    if images.size == 0:
        raise ValueError(
            f"Expected at least one example. Received: shape {images.shape}"
        )
    if images.dtype == np.uint8:
        if value_range is None:
            raise ValueError(
                "Expected a `value_range` for uint8 to stand for. Received: None"
            )
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(
            "Expected `images` of dtype uint8 (0 to 255) or floating point. "
            f"Received: dtype {images.dtype}"
        )
    if images.dtype != np.float32:
        images = images.astype(np.float32)
    _check_floats(images, value_range)
    return images


def _check_floats(images, value_range):
    chunk = max(1, _CHUNK_BYTES // (4 * math.prod(images.shape[1:])))
    bad_values, first_bad_row = 0, None
    lowest, highest = math.inf, -math.inf
    for begin in range(0, len(images), chunk):
        x = images[begin : begin + chunk].reshape(-1, math.prod(images.shape[1:]))
        bad = ~np.isfinite(x)
        if bad.any():
            bad_values += int(bad.sum())
            if first_bad_row is None:
                first_bad_row = begin + int(bad.any(axis=1).argmax())
        lowest, highest = min(lowest, x.min()), max(highest, x.max())
    if bad_values:
        raise ValueError(
            f"Expected finite `images`. Received: {bad_values} NaN or Inf values, the "
            f"first in row {first_bad_row}"
        )
    if value_range and not (value_range[0] <= lowest and highest <= value_range[1]):
        raise ValueError(
            f"Expected float `images` in value_range={value_range}. Received: values "
            f"from {lowest:g} to {highest:g}; rescale them or pass their value_range"
        )


def _check_labels(labels, num_examples, num_classes):
    if labels is None:
        return None, None
    labels = np.asarray(labels)
    if labels.shape != (num_examples,):
        raise ValueError(
            f"Expected `labels` of shape ({num_examples},), one for each example. "
            f"Received: shape {labels.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"Expected integer `labels`. Received: dtype {labels.dtype}")
    labels = labels.astype(np.int64)
    if num_classes is None:
        num_classes = int(labels.max()) + 1
    if labels.min() < 0 or labels.max() >= num_classes:
        raise ValueError(
            f"Expected `labels` in [0, {num_classes}). Received: values from "
            f"{labels.min()} to {labels.max()}"
        )
    return labels, num_classes
