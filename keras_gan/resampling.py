"""Layers that double and halve images, with gradients of every order.

`tf.image.resize` loses what a gradient penalty differentiates: the gradient of its
bilinear gradient leaves terms out and says nothing, and its nearest one has none. These
layers are made of slices, sums and pooling, which XLA compiles and differentiates as
often as it is asked to.
"""

import keras
from keras import ops

from keras_gan import checks


class _Resampling(keras.layers.Layer):
    """What both have: the height and the width of the output.

    Args:
        height, width: ints >= 1, of the output.
        name, dtype: as for every layer.

    Raises:
        ValueError: a size below 1, an input of another rank, or an axis that is neither
            kept nor resampled by 2.
    """

    def __init__(self, height, width, **kwargs):
        super().__init__(**kwargs)
        self.height = checks.count("height", height)
        self.width = checks.count("width", width)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        size = tuple(input_shape[1:3])
        target = (self.height, self.width)
        for before, after in zip(size, target, strict=True):
            if before != after and not self._fits(before, after):
                raise ValueError(
                    f"Expected images whose axes {self.name} keeps or {self._action} "
                    f"to {target}. Received: {size}"
                )

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.height, self.width, input_shape[3])

    def get_config(self):
        return {**super().get_config(), "height": self.height, "width": self.width}


@keras.saving.register_keras_serializable("keras_gan")
class Upsample2D(_Resampling):
    """Doubles the height, the width or both, and crops what is too much.

    An axis of n becomes 2 n. Where 2 n - 1 are asked for, the last row or column is
    dropped, so that an axis comes back to the size that `Downsample2D` halved.

    "nearest" repeats each pixel. "bilinear" gives (3 x_i + x_{i-1}) / 4 and (3 x_i +
    x_{i+1}) / 4 at the places 2 i and 2 i + 1, with pixels repeated beyond the border:
    the values of `tf.image.resize`.

    Args:
        height, width: ints >= 1, of the output: n, 2 n - 1 or 2 n for an axis of n.
        interpolation: "nearest" or "bilinear".
        name, dtype: as for every layer.

    Input: float `(batch, H, W, C)`. Output: `(batch, height, width, C)`.

    Raises:
        ValueError: an unknown interpolation, a size below 1, or an input of another
            rank or size.
    """

    _action = "doubles"

    def __init__(self, height, width, interpolation="nearest", **kwargs):
        super().__init__(height, width, **kwargs)
        self.interpolation = checks.one_of(
            "interpolation", interpolation, ("nearest", "bilinear")
        )

    @staticmethod
    def _fits(before, after):
        return after in (2 * before - 1, 2 * before)

    def call(self, inputs):
        outputs = inputs
        for axis, after in ((1, self.height), (2, self.width)):
            if outputs.shape[axis] != after:
                outputs = self._double(outputs, axis)
            # A slice of all would cost a pass over the gradient.
            if outputs.shape[axis] != after:
                outputs = _slice(outputs, axis, 0, after)
        return outputs

    def _double(self, x, axis):
        if self.interpolation == "nearest":
            pair = [x, x]
        else:
            first = _slice(x, axis, 0, 1)
            last = _slice(x, axis, -1, None)
            before = ops.concatenate([first, _slice(x, axis, 0, -1)], axis)
            after = ops.concatenate([_slice(x, axis, 1, None), last], axis)
            pair = [0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after]
        sizes = list(x.shape)
        sizes[0], sizes[axis] = -1, 2 * sizes[axis]
        return ops.reshape(ops.stack(pair, axis + 1), sizes)

    def get_config(self):
        return {**super().get_config(), "interpolation": self.interpolation}


@keras.saving.register_keras_serializable("keras_gan")
class Downsample2D(_Resampling):
    """Halves the height, the width or both: means of 2, or of 2x2 pixels.

    An axis of n becomes ceil(n / 2). The last mean of an odd axis is that of the pixels
    that are there. On even axes these are the values of bilinear `tf.image.resize`.

    Args:
        height, width: ints >= 1, of the output: n or ceil(n / 2) for an axis of n.
        name, dtype: as for every layer.

    Input: float `(batch, H, W, C)`. Output: `(batch, height, width, C)`.

    Raises:
        ValueError: a size below 1, or an input of another rank or size.
    """

    _action = "halves"

    @staticmethod
    def _fits(before, after):
        return after == -(-before // 2)

    def call(self, inputs):
        window = tuple(
            1 if before == after else 2
            for before, after in zip(
                inputs.shape[1:3], (self.height, self.width), strict=True
            )
        )
        return ops.average_pool(inputs, window, window, "same", "channels_last")


def _slice(x, axis, start, stop):
    """x[start:stop] along an axis."""
    index = [slice(None)] * len(x.shape)
    index[axis] = slice(start, stop)
    return x[tuple(index)]
