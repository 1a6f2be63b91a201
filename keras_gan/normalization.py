"""Batch normalisation that penalties of gradients can see through."""

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_gan")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's batch normalisation, with gradients of gradients that are right.

    In training, Keras's takes its variance from `tf.nn.moments`, which holds the mean
    fixed in it. That leaves first gradients as they are, but second ones lack a part:
    R1, R2, the gradient penalty and DRAGAN, whose gradients are second ones, would
    descend in another direction. Values and weights are the same.

    Args:
        **options: as in `keras.layers.BatchNormalization`, but for `synchronized` and
            `renorm`.

    Raises:
        ValueError: `synchronized` or `renorm`, or, when it is called, a mask.
    """

    def __init__(self, **options):
        for name in ("synchronized", "renorm"):
            if options.get(name):
                raise ValueError(
                    f"Expected {name} to be false. Received: {options[name]!r}; "
                    "keras.layers.BatchNormalization takes it"
                )
        super().__init__(**options)

    def call(self, inputs, training=None, mask=None):
        if mask is not None:
            raise ValueError("Expected inputs without a mask. Received: one")
        if not (training and self.trainable):
            return super().call(inputs, training=False)
        # As Keras does, in float32 at least.
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        axes = [
            axis for axis in range(len(x.shape)) if axis != self.axis % len(x.shape)
        ]
        mean = ops.mean(x, axes, keepdims=True)
        variance = ops.mean(ops.square(x - mean), axes)
        mean = ops.reshape(mean, ops.shape(variance))
        for moving, now in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            before = ops.cast(moving, x.dtype)
            moving.assign(before * self.momentum + now * (1.0 - self.momentum))
        offset, scale = (
            None if weight is None else ops.cast(weight, x.dtype)
            for weight in (self.beta, self.gamma)
        )
        outputs = ops.batch_normalization(
            x, mean, variance, self.axis, offset, scale, self.epsilon
        )
        return ops.cast(outputs, self.compute_dtype)
