"""What `fit` and its like are given, checked before the first step where it can be.

Arrays are there as a whole. What comes batch by batch, `watching.Watch` looks at after
the first batch and the first epoch.
"""

import types

import keras
import numpy as np
import tensorflow as tf

from keras_gan import datasets, layer_checks, minibatches, model_checks, watching
from keras_gan import labels as class_labels
from keras_gan.datasets import arrays


class CheckedInputs:
    """Mixin for a `keras.Model` with a `spec` and a `data_watch`: a `GAN`."""

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        **options,
    ):
        """Trains as `keras.Model.fit` does, and watches data and weights.

        Args:
            x: what Keras takes, with elements as the class says; uint8 stands for
                `value_range` linearly. A `datasets.Dataset` gives its own batches.
            y: labels of an array `x`, where the prior draws labels: ints `(N,)`, or
                one-hot rows.
            batch_size, epochs, verbose, callbacks, **options: as in `keras.Model.fit`.

        Raises:
            ValueError: a frozen network, or layers frozen since `compile`; a callback
                that needs the one optimizer of a model; data of another shape, dtype,
                range or number of classes (arrays before the first step, all else after
                it); labels that are missing; arrays that are not finite.
            TrainingDiverged: weights that are not finite, which NaN in a stream of data
                makes them, see `watching.Watch`.
        """
        layer_checks.check_trainable({p.name: p.network for p in self.players})
        for player in self.players:
            player.check_weights()
        _refuse_weights(options)
        x, batch_size = checked(x, self, batch_size)
        x, y = checked_labels(x, y, self)
        if options.get("validation_data") is not None:
            options["validation_data"] = checked_pair(options["validation_data"], self)
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = keras.tree.flatten(callbacks or [])
            model_checks.check_callbacks(callbacks)
            callbacks = [watching.Watch(knows_all=_is_whole(x)), *callbacks]
        if isinstance(x, tf.data.Dataset):
            options.setdefault("shuffle", False)  # Keras warns that it ignores True
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, **options)

    def evaluate(self, x=None, y=None, batch_size=None, **options):
        """Evaluates as `keras.Model.evaluate` does, on arrays checked as by `fit`.

        Of a stream that is not finite the logs are NaN.

        Raises:
            ValueError: as `fit`; labels of a stream are refused at its end.
        """
        _refuse_weights(options)
        x, batch_size = checked(x, self, batch_size)
        x, y = checked_labels(x, y, self)
        logs = super().evaluate(x, y, batch_size, **options)
        self.data_watch.check_labels()
        return logs

    def train_on_batch(
        self, x, y=None, sample_weight=None, class_weight=None, return_dict=False
    ):
        """Trains as `keras.Model.train_on_batch` does, on a batch that is checked.

        Args:
            x: array or tensor of one batch, or a dict of them, see the class.
            y: labels `(batch,)`, where the prior draws labels, or None.
            sample_weight, class_weight: None; others are refused.
            return_dict: bool, as in Keras.

        Raises:
            ValueError: another shape, dtype or range; NaN or infinity; weights; labels
                that are missing or no classes.
        """
        _refuse_weights({"sample_weight": sample_weight, "class_weight": class_weight})
        check_batch(x, self.spec)
        x, y = checked_labels(x, y, self)
        return super().train_on_batch(x, y, return_dict=return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Evaluates as `keras.Model.test_on_batch` does, on a batch that is checked.

        Args:
            x, y, sample_weight, return_dict: see `train_on_batch`.

        Raises:
            ValueError: as `train_on_batch`.
        """
        _refuse_weights({"sample_weight": sample_weight})
        check_batch(x, self.spec)
        x, y = checked_labels(x, y, self)
        return super().test_on_batch(x, y, return_dict=return_dict)


def _refuse_weights(options):
    """Raises for weights of samples or classes, which Algorithm 1 has no place for."""
    for name in ("sample_weight", "class_weight"):
        if options.get(name) is not None:
            raise ValueError(
                f"Expected no {name}: the losses of a GAN are plain means. Received "
                "some; repeat the examples that should count more"
            )


def check_batch(x, spec):
    """Raises ValueError for one batch as `fit` does for an array.

    Args:
        x: array, tensor or dict of them; anything else is not looked at.
        spec: `samples.SampleSpec` of one sample.
    """
    if _is_whole(x):
        # Without the warning: a batch of dark pictures lies in one half of the range.
        _check_array(_samples_in(x), spec, is_all=False)


def checked(x, gan, batch_size=None):
    """Returns what Keras takes for `x`, and for the batch size.

    Args:
        x: array, tensor or dict of these; `datasets.Dataset`; or anything else that
            Keras takes, which is returned as it is.
        gan: `GAN`.
        batch_size: int, of the batches of a `datasets.Dataset`; None is Keras's 32.

    Raises:
        ValueError: arrays of another shape or dtype than the networks take, with NaN or
            infinity, or of another range.
    """
    if isinstance(x, datasets.Dataset):
        _check_spec(x, gan.spec)
        _check_classes(x, gan.latent_prior)
        batches = x.batches(batch_size or 32, gan.seed or 0, labels=gan.is_labelled)
        return batches, None
    if isinstance(x, types.GeneratorType):
        # Keras takes tuples alone.
        return (e if isinstance(e, tuple) else (e,) for e in x), batch_size
    if _is_whole(x):
        _check_array(_samples_in(x), gan.spec)
    return x, batch_size


def examples_given(x, spec) -> np.ndarray:
    """Returns examples that a function is given outside of a training.

    Args:
        x: array `(n, *spec.shape)`: floats in `spec.value_range`, or uint8 for these.
        spec: `SampleSpec`.

    Returns:
        float32 array of the same shape, in `spec.value_range`.

    Raises:
        ValueError: as `checked`.
    """
    x = np.asarray(x)
    _check_array(x, spec, is_all=False)
    if x.dtype == np.uint8:
        x = spec.from_uint8(x.astype(np.float32))
    return x.astype(np.float32)


def _is_whole(x):
    """Whether `x` is an array, a tensor or a dict of them."""
    return isinstance(x, np.ndarray | dict) or tf.is_tensor(x)


def _samples_in(x):
    """Returns the examples of an array, a tensor or a dict of them, as an array."""
    return np.asarray(minibatches.samples_of(x) if isinstance(x, dict) else x)


def checked_labels(x, y, gan):
    """Returns x and y of `fit` with labels as integers, where both are whole.

    Args:
        x, y: arrays, tensors or dicts of them, or None; anything else is returned as
            it is. A dict's labels are in it.
        gan: `GAN`; where its prior draws no labels, nothing is looked at.

    Raises:
        ValueError: labels that are missing, of another length or no classes.
    """
    if not (gan.is_labelled and _is_whole(x)):
        return x, y
    labels = minibatches.labels_of(x, y) if isinstance(x, dict) else y
    minibatches.check_labels_given(labels)
    count = len(_samples_in(x))
    labels = class_labels.of_examples(labels, count, gan.latent_prior.num_classes)
    return (_samples_in(x) if isinstance(x, dict) else x), labels


def checked_pair(data, gan):
    """Returns validation data, (x, ...) or what stands alone, with x `checked`."""
    if isinstance(data, tuple):
        x, y = checked_labels(checked(data[0], gan)[0], *(data[1:2] or (None,)), gan)
        return (x, y, *data[2:])
    x, y = checked_labels(checked(data, gan)[0], None, gan)
    return x if y is None else (x, y)


def _check_classes(data, prior):
    """Raises ValueError unless a `Dataset` has the classes of a labelled prior."""
    if prior.num_classes is None or data.labels is None:
        return  # `batches` says that there are none
    ours, theirs = prior.class_names, data.class_names
    differ = None not in (ours, theirs) and ours != theirs
    if differ or data.num_classes > prior.num_classes:
        raise ValueError(
            f"Expected data of the prior's {prior.num_classes} classes{_listed(ours)}. "
            f"Received: {data.num_classes} classes{_listed(theirs)}; see "
            "Dataset.with_classes_of"
        )


def _listed(names):
    """Returns the first names in brackets, or nothing."""
    return f" ({', '.join(names[:5])}{', ...' * (len(names) > 5)})" if names else ""


def _check_spec(data, spec):
    expected = (spec.shape, spec.value_range)
    received = (data.spec.shape, data.spec.value_range)
    if expected != received:
        raise ValueError(
            f"Expected data of shape {spec.shape} in value_range={spec.value_range}, "
            f"which the GAN was made with. Received: shape {data.spec.shape} in "
            f"{data.spec.value_range}; see Dataset.to_range, or make the GAN anew"
        )


def _check_array(array, spec, is_all=True):
    minibatches.check_shape((None, *array.shape[1:]), spec)
    minibatches.check_dtype(array.dtype, spec)
    if not array.size:
        raise ValueError(
            f"Expected at least one example. Received: shape {array.shape}"
        )
    if array.dtype == np.uint8:
        return
    for rows in arrays.chunks(array.shape):
        finite = np.isfinite(array[rows]).reshape(rows.stop - rows.start, -1)
        if not finite.all():
            first = rows.start + int(np.argmin(finite.all(axis=1)))
            raise ValueError(
                f"Expected finite data. Received: {np.count_nonzero(~finite)} NaN or "
                f"infinite values, the first in row {first}"
            )
    parts = [array[rows] for rows in arrays.chunks(array.shape)]  # views
    watching.check_range(spec, parts, is_all)
