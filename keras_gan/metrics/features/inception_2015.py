"""The features that the FID of the papers is computed on.

The network is the Inception of 2015-12-05 that the authors of the FID [1] and of the
Inception score [2] took from TensorFlow. It differs from what is known as InceptionV3:
its average pools do not count padding, the last block's pool takes the maximum, and it
has 1,008 logits.

[1] M. Heusel et al., arXiv 1706.08500. [2] T. Salimans et al., arXiv 1606.03498.
"""

import keras
import numpy as np

from keras_gan import checks
from keras_gan.metrics.features import inception_weights
from keras_gan.metrics.features.extractor import FORMAT, grey_or_colour
from keras_gan.metrics.features.inception_input import RESIZES, SIZE
from keras_gan.samples import check_value_range, to_uint8

_NUM_FEATURES = 2048
_NUM_LOGITS = 1008
_EPSILON = 1e-3  # of the batch normalisations
# The name of each resize, as tables and flags call it.
NAMES = {"2015": "fid", "clean": "fid-clean", "pytorch": "fid-pytorch"}

# === The extractor ===


class Inception2015:
    """The 2,048 pooled features ("pool3") of the FID's own Inception network.

    Images are rounded to 0..255, as if they had been saved as pictures, and resized to
    299x299: by default as in the graph of 2015, see `inception_input`.

    Args:
        value_range: (low, high) of the images.
        weights: path of `inception_weights.FILE`, or of a `.safetensors` with the same
            names.
        resize: "2015" (the original, and torch-fidelity), "clean" (clean-fid, arXiv
            2104.11222) or "pytorch" (pytorch-fid). Distances compare only within one.

    Attributes:
        name: str, "fid", "fid-clean" or "fid-pytorch".
        key: str, with the resize and a digest of the weights file, see `Extractor`.

    Raises:
        ValueError: an unknown resize, or weights that cannot be used.
    """

    def __init__(self, value_range, weights, resize: str = "2015"):
        self.value_range = check_value_range(value_range)
        self.resize = checks.one_of("resize", resize, RESIZES)
        self.name = NAMES[resize]
        arrays, digest = inception_weights.read(weights)
        self._model, convolutions = _network()
        try:
            _check(arrays, _shapes(convolutions))
        except ValueError as error:
            raise inception_weights.refused(weights, str(error)) from error
        for name, layer in convolutions.items():
            layer.set_weights(_folded(arrays, name))
        self._logits_kernel = arrays["fc.weight"].astype(np.float64).T
        self.key = f"{self.name}-{FORMAT}-{digest[:32]}-{resize}"

    def features(self, images, batch_size: int = 32) -> np.ndarray:
        """Returns float32 `(N, 2048)` for images `(N, H, W, 1 or 3)`.

        Args:
            images: float array in `value_range`; grey ones are repeated three times.
            batch_size: int, images at a time.

        Raises:
            ValueError: images of another shape.
        """
        images = grey_or_colour(images)
        result = np.empty((len(images), _NUM_FEATURES), np.float32)
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            pixels = to_uint8(images[rows], self.value_range)
            inputs = RESIZES[self.resize](pixels)
            if inputs.shape[3] == 1:
                inputs = np.repeat(inputs, 3, axis=3)
            result[rows] = self._model.predict_on_batch(inputs)
        return result

    def logits(self, features) -> np.ndarray:
        """Returns float64 `(N, 1008)` for `features` `(N, 2048)`, without the biases.

        The Inception score of [2] is of these logits: its code leaves the biases out.
        """
        return np.asarray(features, np.float64) @ self._logits_kernel


# === The weights ===


def shapes() -> dict[str, tuple[int, ...]]:
    """Returns the names of the arrays in a weights file, and their shapes."""
    return _shapes(_network()[1])


def _shapes(convolutions):
    expected = {"fc.weight": (_NUM_LOGITS, _NUM_FEATURES), "fc.bias": (_NUM_LOGITS,)}
    for name, layer in convolutions.items():
        height, width, inputs, outputs = layer.kernel.shape
        expected[f"{name}.conv.weight"] = (outputs, inputs, height, width)
        for part in ("weight", "bias", "running_mean", "running_var"):
            expected[f"{name}.bn.{part}"] = (outputs,)
    return expected


def _check(arrays, expected):
    """Raises ValueError, which says what differs, unless `arrays` are the network's."""
    # PyTorch counts the batches of a training, which nothing is computed from.
    given = {name for name in arrays if not name.endswith(".num_batches_tracked")}
    differing = (("without", set(expected) - given), ("with", given - set(expected)))
    for kind, names in differing:
        if names:
            few = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
            raise ValueError(f"a file {kind} {few}")
    for name, shape in expected.items():
        array = arrays[name]
        if array.shape != shape:
            raise ValueError(f"{name} of shape {array.shape} instead of {shape}")
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"{name} with values that are no finite floats")


def _folded(arrays, name):
    """Returns [kernel, bias] of a convolution with its batch normalisation in it."""
    kernel, scale, shift, mean, variance = (
        arrays[f"{name}.{part}"].astype(np.float64)
        for part in (
            "conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"
        )
    )  # fmt: skip
    scale = scale / np.sqrt(variance + _EPSILON)
    # (outputs, inputs, height, width) becomes (height, width, inputs, outputs).
    return [kernel.transpose(2, 3, 1, 0) * scale, shift - mean * scale]


# === The network ===


def _network():
    """Returns the network of inputs in [-1, 1], and its convolutions by name."""
    net = _Net()
    x = inputs = keras.Input((*SIZE, 3), dtype="float32")
    x = net.convolution(x, "Conv2d_1a_3x3", 32, 3, 2, "valid")
    x = net.convolution(x, "Conv2d_2a_3x3", 32, 3, padding="valid")
    x = net.convolution(x, "Conv2d_2b_3x3", 64, 3)
    x = _halved(x)
    x = net.convolution(x, "Conv2d_3b_1x1", 80, 1)
    x = net.convolution(x, "Conv2d_4a_3x3", 192, 3, padding="valid")
    x = _halved(x)
    for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        x = net.block_35(x, name, pooled)
    x = net.block_35_to_17(x, "Mixed_6a")
    for name, channels in zip("bcde", (128, 160, 160, 192), strict=True):
        x = net.block_17(x, f"Mixed_6{name}", channels)
    x = net.block_17_to_8(x, "Mixed_7a")
    x = net.block_8(x, "Mixed_7b", _averaged)
    x = net.block_8(x, "Mixed_7c", _maximum)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    return keras.Model(inputs, x), net.convolutions


class _Net:
    """Makes the blocks. Names are those of the weights file, sizes of the features."""

    def __init__(self):
        self.convolutions = {}

    def convolution(self, x, name, channels, size, strides=1, padding="same"):
        layer = self.convolutions[name] = keras.layers.Conv2D(
            channels,
            size,
            strides,
            padding,
            activation="relu",
            kernel_initializer="zeros",  # the weights follow
            dtype="float32",
        )
        return layer(x)

    def chain(self, x, name, *steps, last=()):
        """Convolutions `name_1`, `name_2`, ..., each of a step (channels, size).

        `last` are strides and padding of the last one.
        """
        for number, step in enumerate(steps, start=1):
            options = last if number == len(steps) else ()
            x = self.convolution(x, f"{name}_{number}", *step, *options)
        return x

    def block_35(self, x, name, pooled):
        return _joined(
            self.convolution(x, f"{name}.branch1x1", 64, 1),
            self.chain(x, f"{name}.branch5x5", (48, 1), (64, 5)),
            self.chain(x, f"{name}.branch3x3dbl", (64, 1), (96, 3), (96, 3)),
            self.convolution(_averaged(x), f"{name}.branch_pool", pooled, 1),
        )

    def block_35_to_17(self, x, name):
        half = (2, "valid")
        return _joined(
            self.convolution(x, f"{name}.branch3x3", 384, 3, *half),
            self.chain(x, f"{name}.branch3x3dbl", (64, 1), (96, 3), (96, 3), last=half),
            _halved(x),
        )

    def block_17(self, x, name, channels):
        row, column = (channels, (1, 7)), (channels, (7, 1))
        first = (channels, 1)
        return _joined(
            self.convolution(x, f"{name}.branch1x1", 192, 1),
            self.chain(x, f"{name}.branch7x7", first, row, (192, (7, 1))),
            self.chain(
                x, f"{name}.branch7x7dbl", first, column, row, column, (192, (1, 7))
            ),
            self.convolution(_averaged(x), f"{name}.branch_pool", 192, 1),
        )

    def block_17_to_8(self, x, name):
        half = (2, "valid")
        long = ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3))
        return _joined(
            self.chain(x, f"{name}.branch3x3", (192, 1), (320, 3), last=half),
            self.chain(x, f"{name}.branch7x7x3", *long, last=half),
            _halved(x),
        )

    def block_8(self, x, name, pool):
        short = self.chain(x, f"{name}.branch3x3", (384, 1))
        long = self.chain(x, f"{name}.branch3x3dbl", (448, 1), (384, 3))
        return _joined(
            self.convolution(x, f"{name}.branch1x1", 320, 1),
            self.convolution(short, f"{name}.branch3x3_2a", 384, (1, 3)),
            self.convolution(short, f"{name}.branch3x3_2b", 384, (3, 1)),
            self.convolution(long, f"{name}.branch3x3dbl_3a", 384, (1, 3)),
            self.convolution(long, f"{name}.branch3x3dbl_3b", 384, (3, 1)),
            self.convolution(pool(x), f"{name}.branch_pool", 192, 1),
        )


def _halved(x):
    return keras.layers.MaxPooling2D(3, 2, dtype="float32")(x)


def _averaged(x):
    """3x3 averages at each place. TensorFlow's do not count what padding adds."""
    return keras.layers.AveragePooling2D(3, 1, "same", dtype="float32")(x)


def _maximum(x):
    return keras.layers.MaxPooling2D(3, 1, "same", dtype="float32")(x)


def _joined(*branches):
    return keras.layers.Concatenate(dtype="float32")(list(branches))
