"""What samples are compared by: pixels, a classifier's features, Inception's features.

An extractor has `name` and `key`, strings of which the second states everything that
its features depend on, and `features(images)`, which maps float arrays
`(N, *image_shape)` in its `value_range` to float32 `(N, D)`. Nothing is fitted to the
images at hand or stretched batch by batch: an image has the same features in any
company.
"""

import hashlib
import json
import math
import os
import pathlib
import warnings

import keras
import numpy as np

from keras_gan import files
from keras_gan.samples import check_value_range, to_unit

# Part of every key: a change of what is computed must change it.
_FORMAT = 1


class Pixels:
    """Features that are the values themselves, flattened."""

    name = "pixels"
    key = f"pixels-{_FORMAT}"

    def features(self, images):
        """float32 `(N, D)` for images of any shape `(N, ...)`."""
        images = np.asarray(images, np.float32)
        return images.reshape(len(images), -1)


class Classifier:
    """A small convolutional network trained on labelled images.

    Two 3x3 convolutions (32 and 64 channels, ReLU, each pooled 2x2), 128 ReLU units,
    dropout of one half, softmax; Adam at 1e-3 falling to 0 by a cosine, minibatches of
    128. Its features are the 128 units. On MNIST's 50,000 training images 1,200 steps
    give about 99% on the test images; `test_accuracy` says it of the one at hand.

    Make one by `train` or, with a cache, `trained`.

    Attributes:
        num_classes: int.
        image_shape: (H, W, C).
        value_range: (low, high) of the images.
        test_accuracy: float in [0, 1], on images that it was not trained on.
        name, key: see the module.
    """

    name = "classifier"
    STEPS = 1200
    BATCH_SIZE = 128

    def __init__(self, image_shape, num_classes, value_range, seed=0):
        self.image_shape = tuple(image_shape)
        self.num_classes = int(num_classes)
        self.value_range = check_value_range(value_range)
        self.test_accuracy = math.nan
        self._model = _classifier_model(self.image_shape, self.num_classes, seed)
        self._features = keras.Model(
            self._model.input, self._model.get_layer("features").output
        )

    @property
    def key(self):
        digest = hashlib.sha256(str(_FORMAT).encode())
        for weight in self._model.get_weights():
            digest.update(np.ascontiguousarray(weight).tobytes())
        return f"classifier-{digest.hexdigest()[:16]}"

    @classmethod
    def train(cls, train, test, seed=0, steps=None, progress=None):
        """Trains a classifier.

        Args:
            train, test: labelled data: objects with `examples(rows)`, `labels`,
                `num_classes`, `image_shape` and `value_range`, as a `datasets.Dataset`.
            seed: int, of initial weights, order and dropout.
            steps: int, minibatches of 128; `STEPS` by default.
            progress: None, or a function of the share done, a float in (0, 1].

        Returns:
            `Classifier`.

        Raises:
            ValueError: data without labels, or of two shapes.
        """
        for data in (train, test):
            if data.labels is None:
                raise ValueError(
                    "Expected labelled images to train a classifier on. Received: "
                    f"{data.name!r}, split {data.split!r}, without labels; take pixels "
                    "or inception for features"
                )
        if train.image_shape != test.image_shape:
            raise ValueError(
                f"Expected test images of shape {train.image_shape}, as the training's."
                f" Received: {test.image_shape}"
            )
        if train.num_classes != test.num_classes:
            # Folders number the classes that each has: 1 may mean two things.
            raise ValueError(
                f"Expected test images of {train.num_classes} classes, as the "
                f"training's. Received: {test.num_classes}; take pixels or inception "
                "for features"
            )
        steps = cls.STEPS if steps is None else steps
        classifier = cls(train.image_shape, train.num_classes, train.value_range, seed)
        model = classifier._model
        model.compile(
            optimizer=keras.optimizers.Adam(
                keras.optimizers.schedules.CosineDecay(1e-3, steps)
            ),
            loss="sparse_categorical_crossentropy",
        )
        rng = np.random.default_rng(seed)
        rows = np.empty(0, np.int64)
        for step in range(steps):
            if len(rows) < cls.BATCH_SIZE:
                rows = np.concatenate([rows, rng.permutation(len(train.labels))])
            batch, rows = rows[: cls.BATCH_SIZE], rows[cls.BATCH_SIZE :]
            model.train_on_batch(
                classifier._scaled(train.examples(batch)), train.labels[batch]
            )
            if progress:
                progress((step + 1) / steps)
        classes = classifier.classes(test.examples())
        classifier.test_accuracy = float(np.mean(classes == test.labels))
        return classifier

    @classmethod
    def trained(cls, train, test, cache_dir, seed=0, steps=None, progress=None):
        """The classifier of `train`, from the cache where it is there already.

        The file is named after a digest of the training and test images, their labels,
        the seed, the steps and Keras's version, and is replaced as a whole.

        Args:
            cache_dir: str or path-like.
            train, test, seed, steps, progress: see `train`.

        Raises:
            ValueError: as `train`; a cache file that is damaged or not of these data.
        """
        steps = cls.STEPS if steps is None else steps
        described = {
            "format": _FORMAT,
            "train": data_key(train),
            "test": data_key(test),
            "seed": seed,
            "steps": steps,
            "keras": keras.__version__,
        }
        path = _cache_path(cache_dir, "classifier", described)
        if not path.exists():
            classifier = cls.train(train, test, seed, steps, progress)
            # Of two processes that trained it side by side, to weights that differ in
            # the last bits, the first one's serves both: their scores compare.
            if not path.exists():
                weights = classifier._model.get_weights()
                _write(
                    path,
                    described,
                    accuracy=np.float64(classifier.test_accuracy),
                    **{f"weight_{i}": weight for i, weight in enumerate(weights)},
                )
                return classifier
        classifier = cls(train.image_shape, train.num_classes, train.value_range, seed)
        count = len(classifier._model.get_weights())
        *weights, accuracy = _read(
            path, described, [f"weight_{i}" for i in range(count)] + ["accuracy"]
        )
        try:
            classifier._model.set_weights(weights)
        except ValueError as error:
            raise _mismatch(path, "weights of other shapes") from error
        classifier.test_accuracy = float(accuracy)
        return classifier

    def features(self, images):
        """float32 `(N, 128)` for images `(N, H, W, C)` in `value_range`."""
        return self._features.predict(self._scaled(images), batch_size=500, verbose=0)

    def probabilities(self, images):
        """float32 `(N, num_classes)` for images `(N, H, W, C)` in `value_range`."""
        return self._model.predict(self._scaled(images), batch_size=500, verbose=0)

    def classes(self, images):
        """int64 `(N,)`, the likeliest class of each image."""
        return self.probabilities(images).argmax(axis=1)

    def _scaled(self, values):
        low, high = self.value_range
        values = np.asarray(values, np.float32)
        if values.shape[1:] != self.image_shape:
            raise ValueError(
                f"Expected images of shape {(None, *self.image_shape)}, as the "
                f"classifier was trained on. Received: {values.shape}"
            )
        # Centred, not clipped: contrast-normalised images pass their range.
        return (values - low) / (high - low) - 0.5


class Inception:
    """The 2,048 pooled features of Keras's InceptionV3, trained on ImageNet.

    The images are mapped from `value_range` to [-1, 1], clipped, and resized to 299x299
    bilinearly. It is the architecture of the FID, but not the weights of its original:
    compare these distances with each other, and not with published ones.

    Reference: Szegedy et al., arXiv 1512.00567; Heusel et al., arXiv 1706.08500.

    Args:
        value_range: (low, high) of the images.
        weights: "imagenet", which Keras downloads once, the path of a weights file, or
            None for random weights.

    Raises:
        ValueError: the weights cannot be had.
    """

    name = "inception"

    def __init__(self, value_range, weights="imagenet"):
        self.value_range = check_value_range(value_range)
        try:
            self._model = keras.applications.InceptionV3(
                include_top=False, pooling="avg", weights=weights
            )
        except Exception as error:  # what a download raises is not one type
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise ValueError(
                "Expected InceptionV3's ImageNet weights in Keras's cache, or a "
                f"network to download them once. Received: {reason}; fetch them where "
                "there is one, or take classifier or pixels for features"
            ) from error
        self.key = f"inception-{_FORMAT}-{keras.__version__}-{weights}"

    def features(self, images_, batch_size=32):
        """float32 `(N, 2048)` for images `(N, H, W, 1 or 3)` in `value_range`."""
        images_ = np.asarray(images_, np.float32)
        if images_.ndim != 4 or images_.shape[3] not in (1, 3):
            raise ValueError(
                f"Expected images (N, H, W, 1 or 3). Received: {images_.shape}"
            )
        result = np.empty((len(images_), 2048), np.float32)
        for start in range(0, len(images_), batch_size):
            batch = to_unit(images_[start : start + batch_size], self.value_range)
            if batch.shape[3] == 1:
                batch = np.repeat(batch, 3, axis=3)
            batch = keras.ops.image.resize(2.0 * batch - 1.0, (299, 299))
            result[start : start + batch_size] = self._model.predict_on_batch(batch)
        return result


def cached_features(extractor, data, cache_dir, limit=None):
    """The features of real images, from the cache where they are there already.

    The file is named after the extractor's key, a digest of the images, and the count,
    and is replaced as a whole.

    Args:
        extractor: see the module.
        data: as in `Classifier.train`; labels are not needed.
        cache_dir: str or path-like, or None for no cache.
        limit: int or None, takes the first so many images.

    Returns:
        float32 `(N, D)`.

    Raises:
        ValueError: a cache file that is damaged or not of these images.
    """
    rows = slice(0, limit)
    if cache_dir is None or isinstance(extractor, Pixels):
        return extractor.features(data.examples(rows))
    described = {
        "format": _FORMAT,
        "extractor": extractor.key,
        "data": data_key(data),
        "limit": limit,
    }
    path = _cache_path(cache_dir, "features", described)
    if path.exists():
        (features,) = _read(path, described, ["features"])
        count = len(data.images[rows])
        if features.ndim != 2 or len(features) != count:
            raise _mismatch(path, f"features of shape {features.shape}")
        return features
    features = extractor.features(data.examples(rows))
    _write(path, described, features=features)
    return features


def data_key(data):
    """A digest of a dataset's images, labels and range, hexadecimal."""
    digest = hashlib.sha256()
    described = (str(data.images.dtype), data.images.shape, data.value_range)
    digest.update(repr(described).encode())
    for start in range(0, len(data.images), 4096):
        digest.update(np.ascontiguousarray(data.images[start : start + 4096]))
    if data.labels is not None:
        digest.update(np.ascontiguousarray(data.labels))
    return digest.hexdigest()


def _classifier_model(image_shape, num_classes, seed):
    seeds = iter(np.random.SeedSequence(seed).generate_state(8).tolist())

    def glorot():
        return keras.initializers.GlorotUniform(seed=next(seeds))

    x = inputs = keras.Input(image_shape)
    for channels in (32, 64):
        x = keras.layers.Conv2D(
            channels,
            3,
            padding="same",
            activation="relu",
            kernel_initializer=glorot(),
        )(x)
        x = keras.layers.MaxPooling2D(2, padding="same")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(
        128, activation="relu", kernel_initializer=glorot(), name="features"
    )(x)
    x = keras.layers.Dropout(0.5, seed=next(seeds))(x)
    x = keras.layers.Dense(
        num_classes, activation="softmax", kernel_initializer=glorot()
    )(x)
    return keras.Model(inputs, x)


def _cache_path(cache_dir, kind, described):
    text = json.dumps(described, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    return pathlib.Path(os.path.expanduser(cache_dir), f"{kind}-{digest}.npz")


def _write(path, described, **arrays):
    try:
        with files.replacing(path) as temporary:
            np.savez(
                temporary, described=json.dumps(described, sort_keys=True), **arrays
            )
    except OSError as error:
        warnings.warn(
            f"{path.name} is not cached and will be computed again next time: {error}. "
            "Set KERAS_GAN_CACHE to a directory that can be written.",
            stacklevel=2,
        )


def _read(path, described, names):
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["described"]) != json.dumps(described, sort_keys=True):
                raise _mismatch(path, "one of other data or settings")
            return [file[name] for name in names]
    except _Mismatch:
        raise
    # zipfile.BadZipFile, zlib.error, KeyError, ValueError, OSError: all mean damage.
    except Exception as error:
        raise _mismatch(path, f"a file that cannot be read ({error})") from error


class _Mismatch(ValueError):
    pass


def _mismatch(path, received):
    return _Mismatch(
        f"Expected the cache of these images in {path}. Received: {received}; remove "
        "it, and it is computed again"
    )
