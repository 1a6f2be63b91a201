"""DiffAugment: transformations of fixed strength (arXiv 2006.10738)."""

import keras
import tensorflow as tf

from keras_gan.augmentation.base import ImageAugmentation, of_image


@keras.saving.register_keras_serializable("keras_gan")
class DiffAugment(ImageAugmentation):
    """The fixed augmentation of arXiv 2006.10738: each image is transformed each time.

    | group | transformations, in this order |
    |---|---|
    | color | brightness + U(-.5, .5), saturation * U(0, 2), contrast * U(.5, 1.5) |
    | translation | by up to 1/8 of each side, whole pixels |
    | cutout | a square of half of each side, which may lie partly outside |

    The amounts are those for images in (-1, 1); other ranges are scaled to it, so that
    brightness in (0, 1) moves by up to .25. What moves in and what is cut out has the
    middle of the range: 0 of (-1, 1), as in the paper, and .5 of (0, 1). Saturation is
    the distance from the mean over all channels; images of one channel have none.

    Args:
        policy: str, of color, translation and cutout, separated by commas.
        name: str or None.

    Raises:
        ValueError: an unknown group, or none; in `GAN.compile`, samples that are no
            images.
    """

    groups = ("color", "translation", "cutout")

    def __init__(self, policy="color,translation,cutout", name=None):
        super().__init__(policy, name)

    def transform(self, images, seed):
        # A column for each draw: a group draws the same, whatever the others are.
        draws = tf.random.stateless_uniform((tf.shape(images)[0], 7), seed)
        draws = tf.unstack(draws, axis=1)
        if "color" in self._chosen:
            brightness, saturation, contrast = (of_image(d) for d in draws[:3])
            images += brightness - 0.5
            if images.shape[-1] > 1:
                gray = tf.reduce_mean(images, axis=-1, keepdims=True)
                images = gray + (images - gray) * (2.0 * saturation)
            mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
            images = mean + (images - mean) * (0.5 + contrast)
        height, width = images.shape[1:3]
        if "translation" in self._chosen:
            rows, columns = (
                _whole(draw, 2 * _share(side, 1 / 8) + 1) - _share(side, 1 / 8)
                for draw, side in zip(draws[3:5], (height, width), strict=True)
            )
            images = _moved(images, rows, columns)
        if "cutout" in self._chosen:
            outside = [
                _outside(side, _whole(draw, side + 1 - _share(side, 1 / 2) % 2))
                for draw, side in zip(draws[5:7], (height, width), strict=True)
            ]
            kept = outside[0][:, :, None] | outside[1][:, None, :]
            images *= tf.cast(kept, images.dtype)[..., None]
        return images


def _moved(images, rows, columns):
    """Returns images moved down and right by whole pixels, ints `(m,)`; 0 moves in."""
    height, width, channels = images.shape[1:]
    rows = tf.range(height) - rows[:, None]
    columns = tf.range(width) - columns[:, None]
    inside = [
        (places >= 0) & (places < side)
        for places, side in ((rows, height), (columns, width))
    ]
    kept = tf.cast(inside[0][:, :, None] & inside[1][:, None, :], images.dtype)
    rows = tf.clip_by_value(rows, 0, height - 1)
    columns = tf.clip_by_value(columns, 0, width - 1)
    places = rows[:, :, None] * width + columns[:, None, :]
    pixels = tf.gather(
        tf.reshape(images, (-1, height * width, channels)),
        tf.reshape(places, (-1, height * width)),
        batch_dims=1,
    )
    return tf.reshape(pixels, (-1, height, width, channels)) * kept[..., None]


def _outside(side, centre):
    """Returns which places of a side lie outside of half of it, bool `(m, side)`."""
    size = _share(side, 1 / 2)
    start = centre[:, None] - size // 2
    places = tf.range(side)
    return (places < start) | (places >= start + size)


def _share(side, share):
    return int(side * share + 0.5)


def _whole(draw, count):
    """Returns ints uniform on 0 to count - 1, from floats uniform on [0, 1)."""
    return tf.cast(draw * count, tf.int32)
