"""ADA: augmentation whose probability follows the overfitting (arXiv 2006.06676)."""

import math

import keras
import tensorflow as tf

from keras_gan import checks
from keras_gan.augmentation.base import ImageAugmentation, of_image


@keras.saving.register_keras_serializable("keras_gan")
class ADA(ImageAugmentation):
    """Augmentation that grows where D overfits, arXiv 2006.06676.

    Each transformation acts on an image with probability p, which starts at 0. Every
    `every` steps of D, p moves by their examples / `images`: up where the mean of
    sign(D(x)) over them, D meaning its logit, is above `target`, else down. It stays in
    [0, 1]. `augmentation_p` and `real_sign`, that mean, are logged as means over the
    epoch so far. Below p = .8 samples do not learn to look augmented (section 2.2); a p
    that stays above says that the data are too few.

    | group | transformations, in the paper's order |
    |---|---|
    | blit | mirrored; turned by 0 to 3 quarters, where images are square; moved by up to 1/8 of each side, whole pixels |
    | geometry | scaled by 2^N(0, .2^2); turned by U(-pi, pi); stretched by 2^N(0, .2^2); turned; moved by N(0, 1/8^2) of each side |
    | color | brightness + N(0, .2^2); contrast * 2^N(0, .5^2); luma mirrored; hue turned by U(-pi, pi); saturation * 2^N(0, 1) |
    | cutout | a square of half of each side |

    These are the paper's transformations and amounts (appendix B), on the scale of
    (-1, 1). Three things are not the paper's: images are sampled bilinearly, without
    its wavelet filters, so that shrunk ones alias; what moves in is the image mirrored
    at its edge, as often as needed; and there are no filters of frequency bands and no
    noise. Hue needs three channels; luma and saturation are those of all channels.

    Args:
        policy: str, of blit, geometry, color and cutout, separated by commas.
        target: float in [-1, 1]. None leaves p where it starts.
        images: float >= 1, examples in which p moves by 1.
        every: int >= 1, steps of D between two moves.
        initial_p: float in [0, 1], p at the start.
        name: str or None.

    Attributes:
        p: float32 scalar variable.

    Raises:
        ValueError: an argument outside its bounds; in `GAN.compile`, samples that are
            no images, or a target with a relativistic loss. (That of `wasserstein`
            leaves the level of the logits as free.)
    """  # noqa: E501 (tables)

    groups = ("blit", "geometry", "color", "cutout")

    def __init__(
        self,
        policy="blit,geometry,color",
        target: float | None = 0.6,
        images=500_000,
        every=4,
        initial_p=0.0,
        name=None,
    ):
        super().__init__(policy, name)
        self.target = target
        if target is not None:
            self.target = _between("target", target, -1.0, 1.0)
        self.images = _between("images", images, 1, math.inf)
        self.every = checks.count("every", every)
        self.initial_p = _between("initial_p", initial_p, 0.0, 1.0)
        self.p = None

    def prepare(self, spec, loss):
        if loss.relativistic and self.target is not None:
            raise ValueError(
                "Expected a loss whose logits have a level, which ADA's target asks "
                f"for. Received: {type(loss).__name__}, which sees differences alone; "
                "pass ADA(target=None, initial_p=...), or DiffAugment()"
            )
        super().prepare(spec, loss)
        if self.p is not None:
            return

        def variable(name, dtype, value=0):
            return self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(value),
                dtype=dtype,
                trainable=False,
                aggregation="only_first_replica",
                name=name,
            )

        self.p = variable("p", "float32", self.initial_p)
        # Since p moved last: the sum of signs, examples, and steps of D.
        self._signs = variable("signs", "float32")
        self._examples = variable("examples", "int64")
        self._steps = variable("steps", "int64")

    # === The controller ===

    def terms(self, real_logits):
        terms = {"augmentation_p": tf.identity(self.p)}
        if self.target is not None:
            terms["real_sign"] = tf.reduce_mean(tf.sign(real_logits))
        return terms

    def update(self, terms, size, all_replicas):
        if self.target is None:
            return
        if "real_sign" not in terms:
            raise ValueError(
                "Expected discriminator_objective to return the term 'real_sign', "
                f"which ADA moves p by. Received: {', '.join(terms)}; add "
                "augmentation.terms(real_logits) to them"
            )
        # That of a skipped step may be NaN, and 0 * NaN is NaN.
        sign = tf.where(size > 0, terms["real_sign"], 0.0)
        means, size = all_replicas.mean({"real_sign": sign}, size)
        signs = self._signs + means["real_sign"] * tf.cast(size, tf.float32)
        examples = self._examples + tf.cast(size, tf.int64)
        steps = self._steps + tf.cast(size > 0, tf.int64)
        due = steps >= self.every
        count = tf.cast(examples, tf.float32)
        move = tf.sign(signs / tf.maximum(count, 1.0) - self.target)
        move *= count / self.images
        self.p.assign(tf.clip_by_value(self.p + tf.where(due, move, 0.0), 0.0, 1.0))
        self._signs.assign(tf.where(due, 0.0, signs))
        self._examples.assign(tf.where(due, tf.zeros_like(examples), examples))
        self._steps.assign(tf.where(due, tf.zeros_like(steps), steps))

    # === The transformations ===

    def transform(self, images, seed):
        fold_in = tf.random.experimental.stateless_fold_in
        count, p = tf.shape(images)[0], tf.convert_to_tensor(self.p)
        # Columns: whether to transform, and by how much. A transformation draws the
        # same, whatever the policy is.
        gates = tf.random.stateless_uniform((count, 14), fold_in(seed, 0))
        uniform = tf.random.stateless_uniform((count, 10), fold_in(seed, 1))
        normal = tf.random.stateless_normal((count, 7), fold_in(seed, 2))
        draws = _Draws(gates, uniform, normal, p)
        transformed = images
        if self._chosen & {"blit", "geometry"}:
            positions = self._positions(images.shape, draws)
            is_whole = "geometry" not in self._chosen
            transformed = _sampled(transformed, *positions, is_whole)
        if "color" in self._chosen:
            transformed = _recolored(transformed, draws)
        if "cutout" in self._chosen:
            transformed *= _cutout(images.shape, draws)
        # Where nothing acts, images are what they were, to the last bit.
        untouched = tf.reduce_all(gates >= p, axis=1)[:, None, None, None]
        return tf.where(untouched, images, transformed)

    def _positions(self, shape, draws):
        """Returns the rows and columns, float `(m, H, W)`, that pixels are taken from.

        A pixel's place goes backwards through the transformations, from the last to the
        first; all but the moves are distributed as their inverses are.
        """
        height, width = shape[1:3]
        # An affine map of places (y, x), from the centre: y' = y @ (row, column, 1).
        y, x = tf.constant([[1.0, 0.0, 0.0]]), tf.constant([[0.0, 1.0, 0.0]])
        one = tf.constant([[0.0, 0.0, 1.0]])
        if "geometry" in self._chosen:
            y -= draws.when(0, draws.normal[0] / 8, 0.0) * height * one
            x -= draws.when(0, draws.normal[1] / 8, 0.0) * width * one
            y, x = _turned(y, x, draws.turn(1, 0))
            stretch = draws.when(2, 0.2 * draws.normal[2], 0.0)
            y, x = y * 2.0**stretch, x * 2.0**-stretch
            y, x = _turned(y, x, draws.turn(3, 1))
            scale = 2.0 ** draws.when(4, 0.2 * draws.normal[3], 0.0)
            y, x = y * scale, x * scale
        if "blit" in self._chosen:
            far = (2 * draws.uniform[2] - 1) / 8, (2 * draws.uniform[3] - 1) / 8
            y -= tf.round(draws.when(5, far[0], 0.0) * height) * one
            x -= tf.round(draws.when(5, far[1], 0.0) * width) * one
            if height == width:
                quarters = draws.when(6, tf.floor(4 * draws.uniform[4]), 0.0)
                # Of a quarter of a circle, whose cosine is not quite 0 in floats.
                cosine = tf.abs(quarters - 2) - 1
                sine = 1 - tf.abs(quarters - 1)
                y, x = cosine * y - sine * x, sine * y + cosine * x
            x *= draws.when(7, 1 - 2 * tf.floor(2 * draws.uniform[5]), 1.0)
        rows = tf.range(height, dtype=tf.float32)[:, None] - (height - 1) / 2
        columns = tf.range(width, dtype=tf.float32) - (width - 1) / 2

        def places(way, side):
            by_row, by_column, shift = tf.split(way[:, None, :], 3, axis=2)
            return by_row * rows + by_column * columns + shift + (side - 1) / 2

        return places(y, height), places(x, width)

    def get_config(self):
        return {
            **super().get_config(),
            "target": self.target,
            "images": self.images,
            "every": self.every,
            "initial_p": self.initial_p,
        }


class _Draws:
    """What ADA draws for each image, each a column `(m, 1)`."""

    def __init__(self, gates, uniform, normal, p):
        self.gates, self.uniform, self.normal = (
            tf.split(draws, draws.shape[1], axis=1)
            for draws in (gates, uniform, normal)
        )
        self.p = p

    def when(self, gate, value, otherwise):
        """Returns `value` with probability p, which `gate` decides."""
        return tf.where(self.gates[gate] < self.p, value, otherwise)

    def turn(self, gate, column):
        """Returns an angle; one of two such is not 0 with probability p."""
        is_turned = self.gates[gate] < 1.0 - tf.sqrt(1.0 - self.p)
        return tf.where(is_turned, math.pi * (2 * self.uniform[column] - 1), 0.0)


def _turned(y, x, angle):
    return (
        tf.cos(angle) * y - tf.sin(angle) * x,
        tf.sin(angle) * y + tf.cos(angle) * x,
    )


def _sampled(images, rows, columns, is_whole):
    """Returns images taken at given places, bilinearly; mirrored beyond their edges.

    Args:
        images: float `(m, H, W, C)`.
        rows, columns: float `(m, H, W)`, places in pixels.
        is_whole: bool, whether places are whole numbers, where one pixel is enough.
    """
    height, width, channels = images.shape[1:]
    rows, columns = _mirrored(rows, height), _mirrored(columns, width)
    first = [
        tf.floor(places + (0.5 if is_whole else 0.0)) for places in (rows, columns)
    ]
    top, left = (tf.cast(places, tf.int32) for places in first)
    pixels = tf.reshape(images, (-1, height * width, channels))

    def taken(rows, columns):
        places = tf.reshape(rows * width + columns, (-1, height * width))
        return tf.reshape(
            tf.gather(pixels, places, batch_dims=1), (-1, height, width, channels)
        )

    if is_whole:
        return taken(top, left)
    down, right = (rows - first[0])[..., None], (columns - first[1])[..., None]
    bottom = tf.minimum(top + 1, height - 1)
    beside = tf.minimum(left + 1, width - 1)
    above = (1 - right) * taken(top, left) + right * taken(top, beside)
    below = (1 - right) * taken(bottom, left) + right * taken(bottom, beside)
    return (1 - down) * above + down * below


def _mirrored(places, side):
    """Returns places within [0, side - 1]: beyond the ends they run back."""
    last = float(max(side - 1, 1))
    places = last - tf.abs(tf.math.floormod(places, 2 * last) - last)
    return tf.clip_by_value(places, 0.0, side - 1.0)


def _recolored(images, draws):
    """Returns images in other colours: each pixel's, turned and scaled about gray."""
    channels = images.shape[-1]
    brightness = draws.when(8, 0.2 * draws.normal[4], 0.0)
    contrast = 2.0 ** draws.when(9, 0.5 * draws.normal[5], 0.0)
    luma = draws.when(10, 1 - 2 * tf.floor(2 * draws.uniform[6]), 1.0)
    images += of_image(brightness)
    if channels == 1:
        return images * of_image(contrast * luma)
    saturation = 2.0 ** draws.when(12, draws.normal[6], 0.0)
    gray = tf.reduce_mean(images, axis=-1, keepdims=True)
    color = images - gray
    if channels == 3:
        hue = draws.when(11, math.pi * (2 * draws.uniform[7] - 1), 0.0)
        # About the axis (1, 1, 1) / sqrt(3), whose cross product with a colour this is.
        across = (tf.roll(color, 1, axis=-1) - tf.roll(color, -1, axis=-1)) / 3**0.5
        color = of_image(tf.cos(hue)) * color + of_image(tf.sin(hue)) * across
    return of_image(contrast * luma) * gray + of_image(contrast * saturation) * color


def _cutout(shape, draws):
    """Returns 0 in a square of half of each side and 1 around it, `(m, H, W, 1)`."""
    outside = [
        tf.abs((tf.range(side, dtype=tf.float32) + 0.5) / side - centre) >= 0.25
        for side, centre in zip(shape[1:3], draws.uniform[8:10], strict=True)
    ]
    kept = outside[0][:, :, None] | outside[1][:, None, :]
    kept = draws.when(13, 0.0, 1.0)[..., None] + tf.cast(kept, tf.float32)
    return tf.minimum(kept, 1.0)[..., None]


def _between(name, value, low, high):
    if not checks.is_number(value) or not low <= value <= high:
        raise ValueError(
            f"Expected `{name}` to be a number in [{low:g}, {high:g}]. "
            f"Received: {value!r}"
        )
    return value
