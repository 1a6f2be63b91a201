"""The features of a small classifier, trained on the data's own labels."""

import math

import keras
import numpy as np

from keras_gan import backend
from keras_gan.metrics.features import cache
from keras_gan.metrics.features.extractor import FORMAT, in_pieces, weights_digest
from keras_gan.samples import check_value_range

# Images that the network sees at once: 500 up to 48x48, fewer where they are larger, so
# that its first convolution's output, 32 channels in float32, stays below 150 MB.
_BATCH_SIZE = 500
_BATCH_PIXELS = _BATCH_SIZE * 48 * 48


class Classifier:
    """A small convolutional network trained on labelled images.

    Two 3x3 convolutions (32 and 64 channels, ReLU, each pooled 2x2), 128 ReLU units,
    dropout of one half, softmax; Adam at 1e-3 falling to 0 by a cosine, minibatches of
    128. Its features are the 128 units. On MNIST's 50,000 training images 1,200 steps
    give about 99% on the test images; `test_accuracy` is this classifier's.

    Make one by `train` or, with a cache, `trained`.

    Args:
        image_shape: (H, W, C).
        num_classes: int.
        value_range: (low, high) of the images.
        seed: int, of initial weights and dropout.

    Attributes:
        num_classes, image_shape, value_range: as given.
        test_accuracy: float in [0, 1], on images that it was not trained on.
        name, key: see `Extractor`.
    """

    name = "classifier"
    STEPS = 1200
    BATCH_SIZE = 128

    def __init__(self, image_shape, num_classes: int, value_range, seed: int = 0):
        self.image_shape = tuple(image_shape)
        self.num_classes = int(num_classes)
        self.value_range = check_value_range(value_range)
        self.test_accuracy = math.nan
        # Neither the key nor the cache knows of another precision.
        with backend.dtype_policy("float32"):
            self._model = _classifier_model(self.image_shape, self.num_classes, seed)
            self._features = keras.Model(
                self._model.input, self._model.get_layer("features").output
            )

    @property
    def key(self) -> str:
        """Digest of the weights."""
        return f"classifier-{weights_digest(self._model)}"

    @classmethod
    def train(
        cls, train, test, seed: int = 0, steps: int | None = None, progress=None
    ) -> "Classifier":
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
        _check_labelled(train, test)
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
        classes = in_pieces(classifier.classes, test)
        classifier.test_accuracy = float(np.mean(classes == test.labels))
        return classifier

    @classmethod
    def trained(
        cls,
        train,
        test,
        cache_dir,
        seed: int = 0,
        steps: int | None = None,
        progress=None,
    ) -> "Classifier":
        """Returns the classifier of `train`, from the cache where it is there already.

        The file is named after a digest of the training and test images, their labels,
        the number of classes, the seed, the steps and Keras's version, and is replaced
        atomically.

        Args:
            cache_dir: str or path-like.
            train, test, seed, steps, progress: see `train`.

        Raises:
            ValueError: as `train`; a cache file that is damaged or of other data.
        """
        steps = cls.STEPS if steps is None else steps
        described = {
            "format": FORMAT,
            "train": cache.data_key(train),
            "test": cache.data_key(test),
            "seed": seed,
            "steps": steps,
            "keras": keras.__version__,
        }
        # Files of before do not state the number; their last class has images.
        if train.labels is not None and train.num_classes > train.labels.max() + 1:
            described["num_classes"] = train.num_classes
        path = cache.file_for(cache_dir, "classifier", described)
        if not path.exists():
            classifier = cls.train(train, test, seed, steps, progress)
            # Two processes that train it at the same time get weights that differ in
            # the last bits. Both use the first one's file: their scores compare.
            if not path.exists():
                weights = classifier._model.get_weights()
                cache.write(
                    path,
                    described,
                    accuracy=np.float64(classifier.test_accuracy),
                    **{f"weight_{i}": weight for i, weight in enumerate(weights)},
                )
                return classifier
        classifier = cls(train.image_shape, train.num_classes, train.value_range, seed)
        count = len(classifier._model.get_weights())
        *weights, accuracy = cache.read(
            path, described, [f"weight_{i}" for i in range(count)] + ["accuracy"]
        )
        try:
            classifier._model.set_weights(weights)
        except ValueError as error:
            raise cache.mismatch(path, "weights of other shapes") from error
        classifier.test_accuracy = float(accuracy)
        return classifier

    def features(self, images) -> np.ndarray:
        """Returns float32 `(N, 128)` for images `(N, H, W, C)` in `value_range`."""
        return self._predicted(self._features, images)

    def probabilities(self, images) -> np.ndarray:
        """Returns float32 `(N, num_classes)` for images as `features` takes them."""
        return self._predicted(self._model, images)

    def classes(self, images) -> np.ndarray:
        """Returns int64 `(N,)`, the likeliest class of each image."""
        return self.probabilities(images).argmax(axis=1)

    def _predicted(self, model, images):
        """float32 `(N, ...)`; scales and predicts four batches of images at a time."""
        num_pixels = self.image_shape[0] * self.image_shape[1]
        batch_size = max(1, min(_BATCH_SIZE, _BATCH_PIXELS // num_pixels))
        images = np.asarray(images)
        # Scaling and `predict` make four copies of what they get.
        outputs = [
            model.predict(
                self._scaled(images[start : start + 4 * batch_size]),
                batch_size=batch_size,
                verbose=0,
            )
            for start in range(0, len(images), 4 * batch_size)
        ]
        return np.concatenate(outputs)

    def _scaled(self, values):
        low, high = self.value_range
        values = np.asarray(values, np.float32)
        if values.shape[1:] != self.image_shape:
            raise ValueError(
                f"Expected images of shape {(None, *self.image_shape)}, as the "
                f"classifier was trained on. Received: {values.shape}"
            )
        # Centred but not clipped: contrast-normalised images exceed their range.
        return (values - low) / (high - low) - 0.5


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


def _check_labelled(train, test):
    for data in (train, test):
        if data.labels is None:
            raise ValueError(
                "Expected labelled images to train a classifier on. Received: "
                f"{data.name!r}, split {data.split!r}, without labels; use "
                "features='pixels' or 'inception'"
            )
    if train.image_shape != test.image_shape:
        raise ValueError(
            f"Expected test images of shape {train.image_shape}, as the training's."
            f" Received: {test.image_shape}"
        )
    if train.num_classes != test.num_classes:
        # Each folder numbers its own classes: 1 may mean two things.
        raise ValueError(
            f"Expected test images of {train.num_classes} classes, as the "
            f"training's. Received: {test.num_classes}; use features='pixels' "
            "or 'inception'"
        )
