"""What the networks of GANs need and Keras lacks.

References: Goodfellow et al., Maxout Networks, arXiv 1302.4389; T. Miyato et al.,
Spectral Normalization for GANs, arXiv 1802.05957; Z. Lin et al., PacGAN, arXiv
1712.04086; T. Karras et al., Progressive Growing of GANs, arXiv 1710.10196.
"""

import math

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("keras_gan")
class Maxout(keras.layers.Layer):
    """A dense layer of maxout units: h_i(x) = max_j (x W_ij + b_ij).

    Column j * units + i of the kernel is piece j of unit i.

    Args:
        units: int > 0, maxout units.
        pieces: int > 0, linear pieces that each unit takes the maximum of.
        kernel_initializer, bias_initializer: Keras initializers.
        kernel_constraint: Keras constraint on the kernel, whose columns are the
            pieces: `MaxNorm(c, axis=0)` bounds each piece's incoming weights.
        name, dtype: as for every layer.

    Input: float `(batch, features)`. Output: `(batch, units)`.

    Raises:
        ValueError: `units` or `pieces` below 1, or an input of another rank.
    """

    def __init__(
        self,
        units,
        pieces,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_positive(units=units, pieces=pieces)
        self.units = units
        self.pieces = pieces
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_constraint = keras.constraints.get(kernel_constraint)
        self.input_spec = keras.layers.InputSpec(ndim=2)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.units * self.pieces),
            initializer=self.kernel_initializer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.units * self.pieces,),
            initializer=self.bias_initializer,
            name="bias",
        )

    def call(self, inputs):
        linear = ops.matmul(inputs, self.kernel) + self.bias
        # A maximum over the outer axis runs over contiguous memory: half the time.
        return ops.max(ops.reshape(linear, (-1, self.pieces, self.units)), axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "pieces": self.pieces,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
            "kernel_constraint": keras.constraints.serialize(self.kernel_constraint),
        }


@keras.saving.register_keras_serializable("keras_gan")
class MaxoutConv2D(keras.layers.Layer):
    """A convolutional maxout layer with the 2014 networks' max pooling.

    Piece j of output channel i is the convolution's channel j * filters + i.

    Zero padding, convolution with stride 1, the maximum over each channel's pieces,
    then max pooling that keeps the partial windows at the lower and right border:
    an axis of n gives ceil((n - pool_size) / pool_strides) + 1 (33 -> 16 for size 4
    and stride 2, where Keras's "valid" gives 15 and "same" 17).

    Args:
        filters: int > 0, output channels.
        pieces: int > 0, linear pieces that each channel takes the maximum of.
        kernel_size: int > 0, of a square kernel.
        padding: int >= 0, zeros added on each side.
        pool_size, pool_strides: ints > 0, of the square pooling windows.
        kernel_initializer, bias_initializer: Keras initializers.
        name, dtype: as for every layer.

    Input: float `(batch, height, width, channels)`. Output: `(batch, pooled height,
    pooled width, filters)`.

    Raises:
        ValueError: a size below 1, padding below 0, or an input of another rank.
    """

    def __init__(
        self,
        filters,
        pieces,
        kernel_size,
        padding=0,
        pool_size=1,
        pool_strides=1,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check_positive(
            filters=filters,
            pieces=pieces,
            kernel_size=kernel_size,
            pool_size=pool_size,
            pool_strides=pool_strides,
        )
        if not isinstance(padding, int) or padding < 0:
            raise ValueError(
                f"Expected padding to be an int >= 0. Received: {padding!r}"
            )
        self.filters = filters
        self.pieces = pieces
        self.kernel_size = kernel_size
        self.padding = padding
        self.pool_size = pool_size
        self.pool_strides = pool_strides
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(
                self.kernel_size,
                self.kernel_size,
                input_shape[-1],
                self.filters * self.pieces,
            ),
            initializer=self.kernel_initializer,
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(self.filters * self.pieces,),
            initializer=self.bias_initializer,
            name="bias",
        )

    def call(self, inputs):
        margin = (self.padding, self.padding)
        padded = ops.pad(inputs, ((0, 0), margin, margin, (0, 0)))
        linear = ops.conv(padded, self.kernel, 1, "valid", "channels_last") + self.bias
        height, width = linear.shape[1:3]
        # The pieces on the outer axis, as in `Maxout`.
        linear = ops.reshape(linear, (-1, height, width, self.pieces, self.filters))
        return self._pool(ops.max(linear, axis=-2))

    def _pool(self, outputs):
        if self.pool_size == self.pool_strides == 1:
            return outputs
        missing = []
        for size in outputs.shape[1:3]:
            end = (self._pooled(size) - 1) * self.pool_strides + self.pool_size
            missing.append((0, max(0, end - size)))
        # Maxout units may be negative: a border of zeros would win the maximum.
        lowest = ops.cast(-1e30 if outputs.dtype != "float16" else -6e4, outputs.dtype)
        outputs = ops.pad(outputs, ((0, 0), *missing, (0, 0)), constant_values=lowest)
        return ops.max_pool(
            outputs, self.pool_size, self.pool_strides, "valid", "channels_last"
        )

    def _pooled(self, size):
        """The number of windows on an axis; each starts inside it."""
        windows = max(0, math.ceil((size - self.pool_size) / self.pool_strides)) + 1
        return min(windows, math.ceil(size / self.pool_strides))

    def compute_output_shape(self, input_shape):
        sizes = (
            self._pooled(size + 2 * self.padding - self.kernel_size + 1)
            for size in input_shape[1:3]
        )
        return (input_shape[0], *sizes, self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "pieces": self.pieces,
            "kernel_size": self.kernel_size,
            "padding": self.padding,
            "pool_size": self.pool_size,
            "pool_strides": self.pool_strides,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


@keras.saving.register_keras_serializable("keras_gan")
class UntiedBias(keras.layers.Layer):
    """Adds a bias of its own to every value: x + b, b of one example's shape.

    The 2014 deconvolutional generator has one bias a pixel and channel, where a
    convolution of Keras shares one a channel.

    Args:
        bias_initializer: Keras initializer.
        name, dtype: as for every layer.

    Input and output: float `(batch, ...)`.
    """

    def __init__(self, bias_initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.bias_initializer = keras.initializers.get(bias_initializer)

    def build(self, input_shape):
        self.bias = self.add_weight(
            shape=input_shape[1:], initializer=self.bias_initializer, name="bias"
        )

    def call(self, inputs):
        return inputs + self.bias

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "bias_initializer": keras.initializers.serialize(self.bias_initializer),
        }


@keras.saving.register_keras_serializable("keras_gan")
class SparseNormal(keras.initializers.RandomNormal):
    """Sparse initial weights: each unit has `nonzero` weights ~ N(0, stddev^2).

    Args:
        nonzero: int > 0, nonzero weights of each unit (column of the kernel).
        stddev: float > 0, their standard deviation.
        seed: int or None.

    Raises:
        ValueError: a kernel that is no matrix or has fewer rows than `nonzero`.
    """

    def __init__(self, nonzero, stddev=1.0, seed=None):
        super().__init__(stddev=stddev, seed=seed)
        _check_positive(nonzero=nonzero)
        self.nonzero = nonzero

    def __call__(self, shape, dtype=None):
        if len(shape) != 2 or shape[0] < self.nonzero:
            raise ValueError(
                f"Expected a kernel (inputs >= {self.nonzero}, units). "
                f"Received shape: {tuple(shape)}"
            )
        weights = super().__call__(shape, dtype)
        # The rows with the `nonzero` smallest of uniform keys are a random subset.
        keys = keras.random.uniform(shape, seed=self.seed + 1)
        ranks = ops.argsort(ops.argsort(keys, axis=0), axis=0)
        return ops.where(ranks < self.nonzero, weights, ops.zeros_like(weights))

    def get_config(self):
        config = {**super().get_config(), "nonzero": self.nonzero}
        del config["mean"]
        return config


@keras.saving.register_keras_serializable("keras_gan")
class SpectralNormalization(keras.layers.Wrapper):
    """Computes a layer with W / sigma(W) in the place of its kernel W.

    sigma(W) is the largest singular value of W, flattened to a matrix of its last axis.
    The layer itself keeps W, which the optimizer updates: a reparameterisation, as in
    arXiv 1802.05957, where the layer of Keras overwrites W. The gradient passes through
    sigma, with the singular vectors held (section 2.1 there).

    The left vector of sigma is found by power iteration, of which one is made after
    each step of the player that owns the layer, and none in the steps of others. So a
    discriminator is the same function throughout a step. Outside of a GAN's steps, and
    in a network that is none of its players, one is made at each call with
    `training=True`. Ten are made at the start.

    Args:
        layer: Keras layer with one `kernel` or `embeddings` and no state beside its
            weights: a Dense, a convolution, an Embedding, a Maxout.
        name, trainable: as for every layer.

    Input and output: those of the layer.

    Raises:
        ValueError: a layer without a kernel, or with other state.
    """

    def __init__(self, layer, name=None, trainable=True):
        # Without a scope of its own W is read in float32 in every precision. The inner
        # layer casts what it computes.
        super().__init__(
            layer, name=name, trainable=trainable, dtype="float32", autocast=False
        )
        self.advances_in_call = lambda: True  # a player of a GAN puts another here

    def build(self, input_shape):
        super().build(input_shape)
        names = [v.name for v in self.layer.variables]
        num_kernels = sum(name.endswith(("kernel", "embeddings")) for name in names)
        # That of a frozen layer is not trainable, and no other state.
        was, self.layer.trainable = self.layer.trainable, True
        has_state = bool(self.layer.non_trainable_variables)
        self.layer.trainable = was
        if self._kernel is None or num_kernels > 1 or has_state:
            raise ValueError(
                "Expected a layer to normalise that has one kernel, and no state "
                f"beside its weights. Received: {self.layer.name!r}, a "
                f"{type(self.layer).__name__}"
            )
        self.left = self.add_weight(
            shape=(self._kernel.shape[-1],),
            initializer=self._first_left,
            dtype=keras.backend.result_type(self._kernel.dtype, "float32"),
            trainable=False,
            aggregation="only_first_replica",
            name="left",
        )

    @property
    def _kernel(self):
        # No attribute: Keras would list, and save, the layer's kernel twice.
        kernels = ("kernel", "embeddings")
        return next((v for v in self.layer.variables if v.name in kernels), None)

    def _first_left(self, shape, dtype=None):
        # From a random vector sigma would be far too small in the first steps: over ten
        # layers D would then have a slope of 30, where 1 is wanted.
        left = keras.random.normal(shape, seed=0, dtype=dtype)
        for _ in range(10):
            left = self._iterated(left)
        return left

    def advance(self):
        """Makes one power iteration. A kernel of zeros leaves the vector as it is."""
        self.left.assign(self._iterated(ops.convert_to_tensor(self.left)))

    def _iterated(self, left):
        matrix = self._matrix()
        right = _unit(ops.matmul(matrix, left))
        iterated = _unit(ops.matmul(right, matrix))
        # A vector of zeros would stay one, whatever the kernel becomes.
        return ops.where(ops.any(iterated != 0), iterated, left)

    def sigma(self):
        """Returns the estimate of W's largest singular value, float32 at least."""
        matrix = self._matrix()
        image = ops.matmul(matrix, _unit(self.left))
        return ops.sum(image * ops.stop_gradient(_unit(image)))

    def call(self, inputs, training=False):
        if training and self.advances_in_call():
            self.advance()
        sigma = self.sigma()
        # A kernel of zeros stays one.
        kernel = ops.cast(self._kernel.value, sigma.dtype)
        kernel = kernel / ops.where(sigma > 0, sigma, ops.ones_like(sigma))
        kernel = ops.cast(kernel, self._kernel.dtype)
        scope = keras.StatelessScope(
            [(self._kernel, kernel)], initialize_variables=False
        )
        with scope:
            return self.layer(inputs)

    def _matrix(self):
        matrix = ops.reshape(self._kernel.value, (-1, self._kernel.shape[-1]))
        return ops.cast(matrix, keras.backend.result_type(matrix.dtype, "float32"))

    def get_config(self):
        config = super().get_config()
        del config["dtype"]
        return config


@keras.saving.register_keras_serializable("keras_gan")
class Pack(keras.layers.Layer):
    """Joins `size` examples to one, along the last axis: PacGAN (arXiv 1712.04086).

    The first layer of a discriminator that judges several samples at once, and so sees
    when they are too alike. Of m examples p = max(1, m // size) packs are made: pack j
    is the rows j, j + p, ... The last m - p * size rows are in none; where m < size,
    rows come again. The discriminator then returns p logits for m examples.

    Args:
        size: int >= 1, examples in a pack.
        name, dtype: as for every layer.

    Input: float `(m, ..., C)`. Output: `(p, ..., size * C)`.

    Raises:
        ValueError: `size` below 1.
    """

    def __init__(self, size, **kwargs):
        super().__init__(**kwargs)
        _check_positive(size=size)
        self.size = size

    def call(self, inputs):
        count = ops.shape(inputs)[0]
        packs = ops.maximum(count // self.size, 1)
        rows = [ops.arange(packs) + j * packs for j in range(self.size)]
        return ops.concatenate(
            [ops.take(inputs, each % count, axis=0) for each in rows], axis=-1
        )

    def compute_output_shape(self, input_shape):
        return (None, *input_shape[1:-1], self.size * input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable("keras_gan")
class MinibatchStandardDeviation(keras.layers.Layer):
    """Appends one channel: how much the examples of a group differ (arXiv 1710.10196).

    The m examples are in M = ceil(m / group_size) groups: example i is in group i mod
    M, so that groups differ in size by one at most. Each value has a variance within
    its group; the channel is the mean of sqrt(variance + 1e-8) over all values, the
    same number at each place and for each example of a group. An example that is alone,
    or a group of equal ones, gives 1e-4, and gradients that are 0.

    Only a batch shows a discriminator that G collapses to a few samples.

    Args:
        group_size: int >= 1, examples in a group at most.
        name, dtype: as for every layer.

    Input: float `(m, ..., C)`. Output: `(m, ..., C + 1)`, computed in float32.

    Raises:
        ValueError: `group_size` below 1.
    """

    def __init__(self, group_size=4, **kwargs):
        super().__init__(**kwargs)
        _check_positive(group_size=group_size)
        self.group_size = group_size

    def call(self, inputs):
        count = tf.shape(inputs)[0]
        groups = (count + self.group_size - 1) // self.group_size
        x = tf.reshape(tf.cast(inputs, tf.float32), (count, -1))
        # Row r * groups + j of the padded batch is member r of group j. Sums with
        # weights, unlike segment sums, are the same in every run on a GPU.
        missing = groups * self.group_size - count
        grid = (self.group_size, groups, -1)
        x = tf.reshape(tf.pad(x, ((0, missing), (0, 0))), grid)
        present = tf.reshape(tf.pad(tf.ones((count, 1)), ((0, missing), (0, 0))), grid)
        size = tf.reduce_sum(present, axis=0)
        mean = tf.reduce_sum(x, axis=0) / size
        variance = tf.reduce_sum(present * (x - mean) ** 2, axis=0) / size
        deviation = tf.reduce_mean(tf.sqrt(variance + 1e-8), axis=1)
        each = tf.tile(deviation, (self.group_size,))[:count]
        shape = tf.shape(inputs[..., :1])
        each = tf.reshape(each, (-1, *[1] * (len(inputs.shape) - 1)))
        channel = tf.broadcast_to(tf.cast(each, inputs.dtype), shape)
        return tf.concat([inputs, channel], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self):
        return {**super().get_config(), "group_size": self.group_size}


def _unit(vector):
    """The vector at length 1; zeros stay zeros."""
    return vector / ops.maximum(ops.norm(vector), 1e-12)


def _check_positive(**sizes):
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise ValueError(
                f"Expected {name} to be a positive int. Received: {size!r}"
            )
