"""Frames of a one-dimensional game, which figure 1 of the paper is drawn from.

A training records one every few steps; `figure_one` draws them.
"""

import dataclasses
import zipfile
import zlib
from collections.abc import Sequence

import numpy as np

from keras_gan import checks, files
from keras_gan.gan import GAN
from keras_gan.replicas import predict_locally


@dataclasses.dataclass(frozen=True)
class Frame:
    """A one-dimensional game at one step of its training, as figure 1 shows it.

    Of a conditional game, what depends on the class has an axis of classes before the
    others: p_data(x | y), p_g(x | y), D(x, y) and G(z, y).

    Attributes:
        step: int, generator steps made.
        x: float64 `(B,)`, ascending: the centres of equal cells.
        data_density: float64 `(B,)`, p_data(x), exact.
        generator_density: float64 `(B,)`, p_g over each cell, a histogram.
        discriminator: float64 `(B,)`, D(x) = sigmoid(logit).
        latents: float64 `(A,)`, ascending; each stands for an equal share of p_z.
        samples: float64 `(A,)`, G of these latents.
    """

    step: int
    x: np.ndarray
    data_density: np.ndarray
    generator_density: np.ndarray
    discriminator: np.ndarray
    latents: np.ndarray
    samples: np.ndarray

    @property
    def num_classes(self) -> int | None:
        """How many classes the game has; None where it is not conditional."""
        return len(self.samples) if self.samples.ndim > 1 else None

    def of_class(self, label: int) -> "Frame":
        """Returns the game of one class, as one that is not conditional."""
        own = {name: getattr(self, name)[label] for name in _OF_CLASSES}
        return dataclasses.replace(self, **own)


# The attributes that depend on the class.
_OF_CLASSES = ("data_density", "generator_density", "discriminator", "samples")


def frame_of(gan: GAN, distribution, num_samples: int = 50_000, seed: int = 0) -> Frame:
    """Records the frame of a GAN with 1-D samples and 1-D latents as it stands.

    p_g is a histogram of samples, not a kernel estimate, which would blur its edges and
    peaks; the same seed in each frame keeps the noise from moving between frames.

    Args:
        gan: `GAN`; both networks run with `training=False`.
        distribution: TFP distribution of the data, event shape `(1,)`. The cells are
            100, within 5 standard deviations of its mean. For a conditional GAN a
            `MixtureSameFamily` with a component for each class, in order.
        num_samples: int, samples in the histogram, or in that of each class.
        seed: int, of the latents, which all classes share.

    Returns:
        `Frame` with 100 cells and 17 arrows.

    Raises:
        ValueError: other dimensions, a distribution without mean and variance, or
            another number of components than classes.
    """
    prior = gan.latent_prior
    shapes = (
        tuple(gan.sample_shape),
        (prior.latent_dim,),
        tuple(distribution.event_shape),
    )
    if shapes != ((1,),) * 3:
        raise ValueError(
            "Expected samples, latents and data of one dimension, shape (1,) each. "
            f"Received: {shapes[0]}, {shapes[1]} and {shapes[2]}"
        )
    parts, labels = _parts(distribution, prior)
    # Not np.float64(...), which made a scalar of one value in NumPy 2.0.
    centres = np.asarray(parts.mean(), np.float64)
    spreads = np.asarray(parts.stddev(), np.float64)
    if not (np.isfinite(centres).all() and np.isfinite(spreads).all()):
        raise ValueError(
            "Expected a distribution with a mean and a variance. "
            f"Received: {distribution!r}"
        )
    low, high = (centres - 5 * spreads).min(), (centres + 5 * spreads).max()
    edges = np.linspace(low, high, 101)
    x = (edges[1:] + edges[:-1]) / 2
    latents = prior.sample(num_samples, seed)
    latents = np.asarray(latents if labels is None else latents["latents"])
    # The middle of each seventeenth of the latents.
    order = np.argsort(latents[:, 0])
    rows = order[(np.arange(17) * 2 + 1) * num_samples // 34]
    # (100,), or (classes, 100).
    density = parts.prob(x.astype(np.float32).reshape(-1, *[1] * centres.ndim))
    if labels is None:
        played = _played(gan, edges, latents, rows)
    else:
        games = [_played(gan, edges, latents, rows, label) for label in labels]
        played = {name: np.stack([game[name] for game in games]) for name in games[0]}
    return Frame(
        step=gan.generator_steps if gan.compiled else 0,
        x=x,
        data_density=np.asarray(density, np.float64).T,
        latents=latents[rows, 0].astype(np.float64),
        **played,
    )


def _parts(distribution, prior):
    """Returns what the cells follow, and the labels that it is of.

    That is the distribution itself and None, or its components and their numbers.
    """
    if not prior.is_labelled:
        return distribution, None
    parts = getattr(distribution, "components_distribution", None)
    count = None if parts is None else int(parts.batch_shape[0])
    if count is None or count != prior.num_classes:
        raise ValueError(
            f"Expected a mixture with a component for each of {prior.num_classes} "
            f"classes. Received: {distribution!r}"
        )
    return parts, range(count)


def _played(gan, edges, latents, rows, label=None):
    """Returns p_g, D and some samples of a game, or of one class of it, by name."""

    def inputs(name, values):
        if label is None:
            return values
        return {name: values, "labels": np.full(len(values), label, np.int32)}

    samples = predict_locally(gan, inputs("latents", latents), batch_size=10_000)[:, 0]
    counts, _ = np.histogram(samples, edges)
    x = ((edges[1:] + edges[:-1]) / 2)[:, None].astype(np.float32)
    logits = gan.discriminator(inputs("samples", x), training=False)
    logits = np.asarray(logits, np.float64)[:, 0]
    return {
        "generator_density": counts / (len(latents) * (edges[1] - edges[0])),
        # The sigmoid by tanh: exp would overflow.
        "discriminator": (1 + np.tanh(logits / 2)) / 2,
        "samples": samples[rows].astype(np.float64),
    }


def save_frames(path, frames: Sequence[Frame]) -> None:
    """Writes frames as an `.npz` with one array for each attribute.

    Args:
        path: str or path-like, ends in `.npz`.
        frames: list of `Frame`, with as many cells and arrows each.
    """
    names = [field.name for field in dataclasses.fields(Frame)]
    arrays = {
        name: np.stack([getattr(frame, name) for frame in frames]) for name in names
    }
    with files.replacing(path) as temporary:
        np.savez(temporary, **arrays)


def load_frames(path) -> list[Frame]:
    """Returns the frames that `save_frames` wrote.

    Args:
        path: str or path-like.

    Raises:
        ValueError: a file that is not there, or is damaged.
    """
    names = [field.name for field in dataclasses.fields(Frame)]
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names}
        widths = {name: array.shape[1:] for name, array in arrays.items()}
        cells, arrows = widths["x"], widths["latents"]
        classes = widths["samples"][:-1]  # none, or their number
        expected = dict(zip(names, [(), *[cells] * 4, *[arrows] * 2], strict=True))
        expected |= {name: classes + expected[name] for name in _OF_CLASSES}
        lengths = {len(array) for array in arrays.values()}
        if widths != expected or len(lengths) != 1 or 0 in {*lengths, *classes}:
            raise ValueError("its arrays do not fit each other")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("it holds NaN or infinity")
    except (
        OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile,
        zlib.error,
    ) as error:  # fmt: skip
        raise ValueError(
            f"{path} cannot be read as the frames of figure 1: {checks.one_line(error)}"
        ) from error
    return [
        Frame(int(step), *row)
        for step, *row in zip(*(arrays[name] for name in names), strict=True)
    ]


def total_variation(frame: Frame) -> float:
    """Returns the total variation distance of p_g and p_data, in [0, 1].

    Args:
        frame: `Frame`; of a conditional game, the distance is the mean over classes.
    """
    # 1 minus the overlap of the two densities.
    shared = np.minimum(frame.data_density, frame.generator_density).sum(axis=-1)
    return float(1 - shared.mean() * (frame.x[1] - frame.x[0]))


def four_frames(frames: Sequence[Frame]) -> list[Frame]:
    """Returns the first, the last, and two with p_g a third and two thirds of the way.

    The way is that of the total variation distance from p_g to p_data. Where there are
    no such two, the steps are spaced evenly.

    Args:
        frames: sequence of `Frame`. Of four or fewer, all are returned.
    """
    last = len(frames) - 1
    if last < 4:
        return list(frames)
    distances = np.array([total_variation(each) for each in frames])
    targets = distances[0] + (distances[-1] - distances[0]) * np.array([1, 2]) / 3
    second, third = (np.abs(distances - target).argmin() for target in targets)
    if not 0 < second < third < last:
        second, third = round(last / 3), round(2 * last / 3)
    return [frames[index] for index in (0, second, third, last)]
