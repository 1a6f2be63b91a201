"""Dataset: examples in memory or memory-mapped, and their repeatable batches."""

import copy
import dataclasses
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_gan import checks
from keras_gan import labels as class_labels
from keras_gan.datasets import arrays
from keras_gan.datasets.batches import disk_reader, shuffled_batches
from keras_gan.datasets.resizing import channels_like
from keras_gan.samples import CONTRAST_NORMALIZED_RANGE, SampleSpec, check_value_range


class DatasetError(ValueError):
    """A dataset that cannot be loaded.

    Args:
        message: what was expected, what was received, and what to do. White space
            becomes single spaces, so that it is one line.
    """

    def __init__(self, message):
        super().__init__(" ".join(str(message).split()))


class SplitError(DatasetError):
    """A split that the dataset does not have, or that holds no example."""


def unknown_split(name, split, splits) -> SplitError:
    """Returns the error for a `split` that is not among the `splits` there are."""
    return SplitError(
        f"Expected a split of {name!r} among {', '.join(map(repr, splits))}. "
        f"Received: {split!r}.{checks.did_you_mean(split, splits)}"
    )


class Dataset:
    """Holds examples and, where there are some, their labels; validates them once.

    Args:
        images: array of shape (N, H, W, C), (N, D) for vectors or (N, T, F) for series
            of T steps. uint8 stands for `value_range` linearly (0 is its low end, 255
            its high end). Floating point must be finite and lie in `value_range`; other
            than float32 is converted. A `np.memmap` stays on disk, and batches are read
            from there.
        labels: None, or integers of shape (N,) in [0, num_classes). One-hot rows are
            taken as these.
        value_range: (low, high), the range in which examples are delivered; None for
            data that are no images, whose values have no bounds.
        name, split: str, what the data are called in messages.
        num_classes: int; without it, the largest label plus one.
        distribution: the distribution that the examples were drawn from, where known:
            a `tfp.distributions.Distribution` with event shape (D,).
        class_names: names of the classes 0, 1, ..., or None.
        kind: "image", "vector" or "series". None decides by the shape: four dimensions
            with a `value_range` are images, three without one are series, all else
            vectors.

    Attributes:
        spec: `SampleSpec`, the shape, kind and range of one example.
        images: uint8 or float32 array (N, ...), in memory or a `np.memmap`.
        labels: int64 array (N,), or None.
        num_classes: int, or None without labels.
        class_names: tuple of str, one for each class, or None.
        name, split, distribution: as given.

    Raises:
        ValueError: no examples; a shape that is none of the above; another dtype; NaN
            or Inf; floats outside `value_range`; labels of another length, not integers
            or outside [0, num_classes); class names of another number.

    Example:

        >>> data = Dataset(np.zeros((6, 8, 8, 1), "uint8"), value_range=(-1.0, 1.0))
        >>> [batch.shape[0] for batch in data.batches(4, seed=0)]
        [4, 2]
    """

    def __init__(
        self,
        images,
        labels=None,
        value_range: tuple[float, float] | None = (0.0, 1.0),
        name: str = "array",
        split: str = "all",
        num_classes: int | None = None,
        distribution=None,
        kind: str | None = None,
        class_names=None,
    ):
        self.name = name
        self.split = split
        if not isinstance(images, np.memmap):
            images = np.asarray(images)
        value_range = check_value_range(value_range)
        arrays.check_shape(images, kind, value_range)
        shape = images.shape[1:]
        if kind is None:
            self.spec = SampleSpec.of(shape, value_range)
        else:
            self.spec = SampleSpec(shape, kind, value_range)
        self.images = arrays.check_values(images, self.spec)
        if class_names is not None and num_classes is None:
            num_classes = len(class_names)
        self.labels, self.num_classes = arrays.check_labels(
            labels, len(self), num_classes
        )
        self.class_names = class_labels.check_names(class_names, self.num_classes)
        self.distribution = distribution
        self._tensor = None

    @property
    def image_shape(self) -> tuple[int, ...]:
        """The shape of one example, `spec.shape`."""
        return self.spec.shape

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The range in which examples are delivered, `spec.value_range`."""
        return self.spec.value_range

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self):
        return (
            f"<Dataset {self.name!r}, split {self.split!r}: {len(self):,} examples of "
            f"shape {self.image_shape}, value_range={self.value_range}>"
        )

    # === Examples and batches ===

    def examples(self, indices=None) -> np.ndarray:
        """Returns examples as a new float32 array in `value_range`.

        Args:
            indices: a slice, or an array of row numbers or booleans; None is all.

        Returns:
            float32 array (N, *image_shape), or (len(indices), *image_shape).

        Raises:
            IndexError: an index outside the data.
        """
        rows = slice(None) if indices is None else indices
        if isinstance(rows, list | tuple):
            rows = np.asarray(rows, dtype=None if len(rows) else np.int64)
        images = self.images[rows]
        if images.dtype != np.uint8:
            return self._deliver(np.array(images, np.float32))
        # In chunks: scaling makes copies, which a whole dataset has no room for.
        examples = np.empty(images.shape, np.float32)
        for chunk in arrays.chunks(images.shape):
            examples[chunk] = self._deliver(images[chunk].astype(np.float32))
        return examples

    def fixed_examples(self, count: int) -> np.ndarray:
        """Returns `count` random examples, the same ones at every call.

        Args:
            count: int >= 1; where there are fewer examples, all are returned.

        Returns:
            float32 array (count, *image_shape) in `value_range`, in the data's order.

        Raises:
            ValueError: `count` is not a positive int.
        """
        return self.examples(self.fixed_rows(count))

    def fixed_rows(self, count: int) -> np.ndarray:
        """Returns the row numbers of `fixed_examples`, in ascending order.

        Args:
            count: int >= 1, how many.

        Raises:
            ValueError: `count` is not a positive int.
        """
        count = checks.count("count", count)
        return np.sort(np.random.default_rng(0).permutation(len(self))[:count])

    def steps_per_epoch(self, batch_size: int) -> int:
        """Returns how many batches hold every example once: ceil(N / batch_size).

        Raises:
            ValueError: `batch_size` is not a positive int.
        """
        return math.ceil(len(self) / checks.count("batch_size", batch_size))

    def batches(
        self,
        batch_size: int,
        seed: int,
        start_step: int | Callable[[], int] = 0,
        endless: bool = False,
        labels: bool = False,
        balanced: bool = False,
    ) -> tf.data.Dataset:
        """Returns shuffled batches in `value_range`, a function of `seed` and the step.

        Step s, counted over all epochs from 0, belongs to epoch
        e = s // steps_per_epoch and always holds the same examples: those at positions
        (s % steps_per_epoch) * batch_size and on of the permutation that (seed, e)
        stands for. Each epoch visits every example once, in an order of its own; its
        last batch is short when `batch_size` does not divide N.

        One iteration of the result is `steps_per_epoch` consecutive steps, and the next
        iteration continues where it ended, however much of it was consumed: so
        `fit(data.batches(200, seed=0), epochs=50)` sees 50 epochs. An iteration counts
        from its first element on. Call `batches` again for the same stream from its
        start.

        A resumed run passes the number of steps done as `start_step` and gets the tail
        of the uninterrupted stream, to the last bit. From the middle of an epoch every
        iteration still has `steps_per_epoch` batches, and so crosses into the next
        epoch. To end at the epoch's own end instead, run
        `.take(steps_per_epoch - start_step % steps_per_epoch)` first and continue with
        a new stream from there. (Shorter first iterations would mislead Keras, which
        reads the cardinality once and cuts every later epoch to it.)

        Args:
            batch_size: positive int.
            seed: int of 64 bits, signed.
            start_step: int >= 0, the step of the first batch; or a function without
                arguments that returns it, which is called whenever an iteration starts.
            endless: bool, whether an iteration continues into all further epochs, for
                `fit(..., steps_per_epoch=data.steps_per_epoch(batch_size))`: Keras
                starts a finite pipeline anew, twice, for each epoch. A
                `steps_per_execution` has to divide that number. An iteration after
                the first starts at `start_step` again, where this is no function.
            labels: bool, whether elements are pairs (x, labels). The rows and their
                order do not depend on it.
            balanced: bool, whether each class that has examples comes as often as any
                other. An epoch then has N examples still, those of rare classes more
                than once and not all of the frequent ones.

        Returns:
            `tf.data.Dataset` of float32 tensors (batch, *image_shape), or of pairs of
            these and int32 labels (batch,); prefetched, with cardinality
            `steps_per_epoch`, or infinite.

        Raises:
            ValueError: an argument of another type, or outside these bounds;
                `labels=True` or `balanced=True` for data without labels.
        """
        batch_size = checks.count("batch_size", batch_size)
        seed = checks.count("seed", seed, minimum=-(2**63), maximum=2**63 - 1)
        if not callable(start_step):
            start_step = checks.count("start_step", start_step, minimum=0)
        if labels or balanced:
            self._check_labelled("labels=True" if labels else "balanced=True")
        read = self._labelled_reader() if labels else self._reader()
        return shuffled_batches(
            read,
            len(self),
            batch_size,
            seed,
            start_step,
            endless,
            labels=self.labels if balanced else None,
        )

    def class_probabilities(self, balanced: bool = False) -> np.ndarray:
        """Returns the share of each class among the examples.

        Args:
            balanced: bool, whether the shares are those of balanced batches: equal for
                all classes that have examples.

        Returns:
            float64 array (num_classes,) that sums to 1; 0 for a class without examples.

        Raises:
            ValueError: data without labels.
        """
        self._check_labelled("class_probabilities()")
        counts = np.bincount(self.labels, minlength=self.num_classes)
        if balanced:
            counts = counts > 0
        return counts / counts.sum()

    # === Other datasets made from this one ===

    def subset(self, rows, split: str) -> "Dataset":
        """Returns the examples at `rows` as a Dataset.

        Args:
            rows: slice, or int array of row numbers.
            split: str, what the subset is called in messages.

        Raises:
            ValueError: no rows.
        """
        labels = None if self.labels is None else self.labels[rows]
        result = self._changed(images=self.images[rows], labels=labels, split=split)
        if not len(result):
            raise ValueError(
                f"Expected at least one example in {split!r}. Received: none"
            )
        return result

    def with_classes_of(self, other) -> "Dataset":
        """Returns the same examples, their classes numbered as those of `other`.

        Classes go by their names: the third folder of one split may be the second of
        another. Without names on both sides, the numbers stand as they are.

        Args:
            other: `Dataset`, the training data.

        Raises:
            DatasetError: a class that `other` does not have.
        """
        names = other.class_names
        if None in (names, self.class_names) or names == self.class_names:
            return self
        used = [self.class_names[label] for label in np.unique(self.labels)]
        unknown = [name for name in used if name not in names]
        if unknown:
            raise DatasetError(
                f"Expected the classes of {self.name!r}, split {self.split!r}, among "
                f"those of split {other.split!r}: {', '.join(names)}. Received: "
                f"{', '.join(unknown)}"
            )
        numbers = np.array(
            [names.index(name) if name in names else -1 for name in self.class_names]
        )
        return self._changed(
            labels=numbers[self.labels],
            class_names=names,
            num_classes=other.num_classes,
        )

    def with_channels_of(self, other) -> "Dataset":
        """Returns the same images with the channels of `other`, see `channels_like`.

        Args:
            other: `Dataset`, the training data.

        Raises:
            DatasetError: other channels, or another size.
        """
        images, shape = self.images, other.spec.shape
        if self.spec.shape == shape:
            return self
        if self.spec.is_image and other.spec.is_image:
            images = np.ascontiguousarray(channels_like(images, shape))
        if images.shape[1:] != shape:
            raise DatasetError(
                f"Expected examples of shape {shape}, as split {other.split!r} has, in "
                f"split {self.split!r} of {self.name!r}. Received: {images.shape[1:]}; "
                "convert them"
            )
        spec = dataclasses.replace(self.spec, shape=shape)
        return self._changed(images=images, spec=spec)

    def to_range(self, value_range: tuple[float, float]) -> "Dataset":
        """Returns the same examples, delivered in another range.

        uint8 stays as it is, in memory or on disk. Floating point is mapped linearly
        into a new array in memory (4 bytes a value).

        Args:
            value_range: (low, high), the ends that those of the present range go to.

        Raises:
            ValueError: no such pair; values without bounds, as those of
                contrast-normalised images.

        Example:

            >>> data = Dataset([[0.0, 0.25], [0.5, 1.0]])
            >>> data.to_range((-1, 1)).examples().tolist()
            [[-1.0, -0.5], [0.0, 1.0]]
        """
        if self.value_range is None or self.spec.contrast_normalized:
            normalized = self.spec.contrast_normalized
            what = "contrast-normalised" if normalized else "without a value_range"
            raise ValueError(
                "Expected data whose values have bounds, to map them to another range. "
                f"Received: {self.name!r}, {what}"
            )
        if value_range is None:
            raise ValueError("Expected `value_range` to be (low, high). Received: None")
        spec = dataclasses.replace(self.spec, value_range=value_range)
        if self.images.dtype == np.uint8 or spec == self.spec:
            result = copy.copy(self)
            result.spec = spec
            return result
        mapped = np.empty(self.images.shape, np.float32)
        for rows in arrays.chunks(mapped.shape):
            mapped[rows] = spec.from_unit(self.spec.to_unit(self.images[rows]))
        # Rounding may have left the range by a unit in the last place.
        np.clip(mapped, *spec.value_range, out=mapped)
        return self._changed(images=mapped, spec=spec)

    def contrast_normalized(self) -> "Dataset":
        """Returns the images after global contrast normalisation.

        As the paper's CIFAR-10 experiments had it:

            x <- 55 * (x - mean(x)) / ||x - mean(x)||_2

        with the mean and the norm over all H * W * C values of the image: the scale of
        the pixels is irrelevant. An image of one value becomes zeros. Computed in
        float64, held in memory as float32 (4 bytes a value).

        The mean and the norm are discarded, so it cannot be undone. `value_range` of
        the result is (-3, 3), the range to show it in, not a bound: a few values lie
        outside.

        Raises:
            ValueError: the data are no images.
        """
        if not self.spec.is_image:
            raise ValueError(
                "Expected images to normalise the contrast of. Received: "
                f"{self.name!r}, of kind {self.spec.kind!r}"
            )
        normalized = np.empty(self.images.shape, np.float32)
        for rows in arrays.chunks(self.images.shape):
            x = self._float64(rows).reshape(rows.stop - rows.start, -1)
            # Not by the norm: the mean of equal values need not equal them.
            constant = x.max(axis=1, keepdims=True) == x.min(axis=1, keepdims=True)
            x -= x.mean(axis=1, keepdims=True)
            norm = np.linalg.norm(x, axis=1, keepdims=True)
            x *= np.where(constant, 0.0, 55.0 / np.where(constant, 1.0, norm))
            normalized[rows] = x.reshape(-1, *self.image_shape)
        spec = dataclasses.replace(
            self.spec, value_range=CONTRAST_NORMALIZED_RANGE, contrast_normalized=True
        )
        return self._changed(images=normalized, spec=spec)

    def pixel_means(self) -> np.ndarray:
        """Returns the mean over the examples: float64 array of `image_shape`."""
        total = np.zeros(self.image_shape, np.float64)
        for rows in arrays.chunks(self.images.shape):
            total += self._float64(rows).sum(axis=0)
        return total / len(self)

    # === Inside ===

    def _changed(self, **attributes):
        # Not through the constructor, which holds floats to their value_range.
        result = copy.copy(self)
        result._tensor = None
        for name, value in attributes.items():
            setattr(result, name, value)
        return result

    def _check_labelled(self, what):
        if self.labels is None:
            raise ValueError(
                f"Expected data with labels for {what}. Received: {self.name!r}, split "
                f"{self.split!r}, which has none"
            )

    def _deliver(self, values):
        """Maps float `values` of `images`, NumPy or TensorFlow, to `value_range`."""
        if self.images.dtype != np.uint8:
            return values
        return self.spec.from_uint8(values)

    def _float64(self, rows):
        return self._deliver(np.array(self.images[rows], np.float64))

    def _reader(self):
        """Returns a graph function from rows (batch,) to float32 examples."""
        if isinstance(self.images, np.memmap):
            gather = disk_reader(self.images)
        else:
            if self._tensor is None:
                with tf.device("CPU:0"):
                    self._tensor = tf.constant(self.images)
                # A view of the tensor's own memory: the data are held once.
                self.images = self._tensor.numpy()
            tensor = self._tensor

            def gather(rows):
                return tf.gather(tensor, rows)

        return lambda rows: self._deliver(tf.cast(gather(rows), tf.float32))

    def _labelled_reader(self):
        """Returns a graph function from rows to (examples, int32 labels)."""
        read = self._reader()
        with tf.device("CPU:0"):
            # What the priors of labels draw, too, is int32.
            all_labels = tf.constant(self.labels, tf.int32)
        return lambda rows: (read(rows), tf.gather(all_labels, rows))
