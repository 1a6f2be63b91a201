"""The figures of the paper, pictures of samples, and the health of a training.

All are drawn off screen, into arrays of pixels. In every plot the data are black, the
generator green and the discriminator blue, as in figure 1 of the paper.

Reference: Goodfellow et al., Generative Adversarial Nets, arXiv 1406.2661.
"""

import dataclasses
import math
import textwrap
import zipfile
import zlib

import numpy as np

from keras_gan import files
from keras_gan.pictures import raster
from keras_gan.replicas import predict_locally
from keras_gan.samples import to_uint8

_DATA, _GENERATOR, _DISCRIMINATOR = "black", "tab:green", "tab:blue"
_YELLOW = (255, 214, 0)


def sample_plot(samples, examples=None, side=480, label="samples"):
    """Samples in one or two dimensions as a picture: a histogram, or a scatter plot.

    Args:
        samples: array `(N, 1)` or `(N, 2)`.
        examples: array `(M, 1)` or `(M, 2)` of real data to draw behind, or None.
        side: int, height and width of the picture in pixels.
        label: str, what the legend calls the samples.

    Returns:
        uint8 `(side, side, 3)`.

    Raises:
        ValueError: samples or examples of another shape, or none.
    """
    samples = np.asarray(samples, np.float64)
    # The axes follow the data where it is known, so that pictures of one run compare.
    frame = samples if examples is None else np.asarray(examples, np.float64)
    if (
        samples.ndim != 2
        or frame.shape[1:] != samples.shape[1:]
        or not (samples.shape[1] in (1, 2) and len(samples) and len(frame))
    ):
        raise ValueError(
            "Expected samples (N, 1) or (N, 2) to plot, and examples likewise. "
            f"Received: {samples.shape} and {frame.shape}"
        )
    low, high = frame.min(axis=0), frame.max(axis=0)
    margin = 0.25 * np.maximum(high - low, 1e-3)
    low, high = low - margin, high + margin
    figure = _figure(side, side)
    axes = figure.add_subplot()
    if samples.shape[1] == 1:
        bins = np.linspace(low[0], high[0], 61)

        def histogram(values, **options):
            # Of all values: `density=True` would leave out those beyond the frame.
            weights = np.full(len(values), 1 / (len(values) * (bins[1] - bins[0])))
            axes.hist(values, bins=bins, weights=weights, **options)

        if examples is not None:
            histogram(frame[:, 0], color="0.8", label="data")
        histogram(samples[:, 0], histtype="step", color="tab:green", label=label)
        axes.set(xlabel="x", ylabel="density", xlim=(low[0], high[0]))
    else:
        if examples is not None:
            axes.scatter(*frame.T, s=8, color="0.7", label="data", linewidths=0)
        axes.scatter(*samples.T, s=5, color="green", label=label, linewidths=0)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    beyond = np.mean(((samples < low) | (samples > high)).any(axis=1))
    if beyond:
        axes.set_title(f"{100 * beyond:.1f}% of the samples lie outside", fontsize=8)
    axes.legend(loc="upper right", fontsize=8, markerscale=2)
    return _pixels(figure)


def sample_picture(samples, value_range, examples=None, label="samples"):
    """Samples as one picture: a grid of images, or a plot where they are no images.

    Args:
        samples: array `(N, H, W, C)` in `value_range`, or `(N, 1)` or `(N, 2)`.
        value_range: (low, high), or None where samples are no images.
        examples: real data behind a plot, or None; unused for images.
        label: str, what a plot calls the samples.

    Returns:
        uint8 `(height, width, 1 or 3)`.
    """
    if value_range is None:
        return sample_plot(samples, examples, label=label)
    return raster.enlarge(raster.grid(to_uint8(samples, value_range)))


# === Figure 1 ===


@dataclasses.dataclass(frozen=True)
class Moment:
    """A one-dimensional game at one moment of its training, as figure 1 shows it.

    Attributes:
        step: int, generator steps made.
        x: float64 `(B,)`, ascending: the centres of equal cells.
        data_density: float64 `(B,)`, p_data(x), exact.
        generator_density: float64 `(B,)`, p_g over each cell, a histogram.
        discriminator: float64 `(B,)`, D(x).
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


def moment(gan, distribution, num_samples=50_000, seed=0):
    """The game of a GAN with 1-D samples and 1-D latents, as it stands.

    p_g is a histogram of samples, not a kernel estimate, which would blur its edges and
    peaks; the same seed at each moment keeps the noise from moving between moments.

    Args:
        gan: `GAN`; both networks run with `training=False`.
        distribution: TFP distribution of the data, event shape `(1,)`. The cells are
            100, within 5 standard deviations of its mean.
        num_samples: int, samples in the histogram.
        seed: int, of the latents.

    Returns:
        `Moment` with 100 cells and 17 arrows.

    Raises:
        ValueError: other dimensions, or a distribution without mean and variance.
    """
    shapes = (
        tuple(gan.sample_shape),
        (gan.latent_prior.latent_dim,),
        tuple(distribution.event_shape),
    )
    if shapes != ((1,),) * 3:
        raise ValueError(
            "Expected samples, latents and data of one dimension, shape (1,) each. "
            f"Received: {shapes[0]}, {shapes[1]} and {shapes[2]}"
        )
    centre, spread = np.float64(distribution.mean()), np.float64(distribution.stddev())
    if not (np.isfinite(centre).all() and np.isfinite(spread).all()):
        raise ValueError(
            "Expected a distribution with a mean and a variance. "
            f"Received: {distribution!r}"
        )
    edges = np.linspace((centre - 5 * spread)[0], (centre + 5 * spread)[0], 101)
    x = (edges[1:] + edges[:-1]) / 2
    column = x[:, None].astype(np.float32)
    latents = np.asarray(gan.latent_prior.sample(num_samples, seed))
    samples = predict_locally(gan, latents, batch_size=10_000)[:, 0]
    logits = np.asarray(gan.discriminator(column, training=False), np.float64)[:, 0]
    counts, _ = np.histogram(samples, edges)
    # The middle of each seventeenth of the latents.
    order = np.argsort(latents[:, 0])
    rows = order[(np.arange(17) * 2 + 1) * num_samples // 34]
    return Moment(
        step=gan.generator_steps if gan.compiled else 0,
        x=x,
        data_density=np.asarray(distribution.prob(column), np.float64),
        generator_density=counts / (num_samples * (edges[1] - edges[0])),
        # By tanh: exp would overflow.
        discriminator=(1 + np.tanh(logits / 2)) / 2,
        latents=latents[rows, 0].astype(np.float64),
        samples=samples[rows].astype(np.float64),
    )


def save_moments(path, moments):
    """Writes a list of `Moment`s as an `.npz` of one array for each attribute.

    Args:
        path: str or path-like, ends in `.npz`.
        moments: list of `Moment`, of as many cells and arrows each.
    """
    names = [field.name for field in dataclasses.fields(Moment)]
    arrays = {name: np.stack([getattr(m, name) for m in moments]) for name in names}
    with files.replacing(path) as temporary:
        np.savez(temporary, **arrays)


def load_moments(path):
    """The list of `Moment`s that `save_moments` wrote.

    Raises:
        ValueError: a file that is not there, or is damaged.
    """
    names = [field.name for field in dataclasses.fields(Moment)]
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in names}
        widths = {name: array.shape[1:] for name, array in arrays.items()}
        cells, arrows = widths["x"], widths["latents"]
        expected = dict(zip(names, [(), *[cells] * 4, *[arrows] * 2], strict=True))
        lengths = {len(array) for array in arrays.values()}
        if widths != expected or len(lengths) != 1 or lengths == {0}:
            raise ValueError("its arrays do not fit each other")
        if not all(np.isfinite(array).all() for array in arrays.values()):
            raise ValueError("it holds NaN or infinity")
    except (
        OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile,
        zlib.error,
    ) as error:  # fmt: skip
        reason = getattr(error, "strerror", None) or str(error) or "it ends early"
        raise ValueError(
            f"Expected moments of a one-dimensional training. Received: {path} "
            f"({' '.join(reason.split())})"
        ) from error
    return [
        Moment(int(step), *row)
        for step, *row in zip(*(arrays[name] for name in names), strict=True)
    ]


def total_variation(moment):
    """The total variation distance of p_g and p_data, in [0, 1]: 1 - their overlap."""
    shared = np.minimum(moment.data_density, moment.generator_density)
    return float(1 - shared.sum() * (moment.x[1] - moment.x[0]))


def four_moments(moments):
    """The first, the last, and two between: p_g a third and two thirds of the way.

    The way is that of the total variation distance from p_g to p_data. Where there are
    no such two, the steps are spaced evenly.
    """
    last = len(moments) - 1
    if last < 4:
        return list(moments)
    distances = np.array([total_variation(each) for each in moments])
    targets = distances[0] + (distances[-1] - distances[0]) * np.array([1, 2]) / 3
    second, third = (np.abs(distances - target).argmin() for target in targets)
    if not 0 < second < third < last:
        second, third = round(last / 3), round(2 * last / 3)
    return [moments[index] for index in (0, second, third, last)]


def figure_1(moments):
    """Figure 1 of the paper: a one-dimensional game at up to four moments.

    p_data(x) dotted black, p_g(x) solid green, D(x) dashed blue. Where both densities
    are below 1% of the largest p_data, D has seen next to nothing and is arbitrary: it
    is drawn faint. Below, arrows from z to x = G(z), each for an equal share of p_z.
    The axes are the same in all panels; p_g may leave them at the top.

    Args:
        moments: list of `Moment`; `four_moments` chooses among more than four.

    Returns:
        uint8 `(380, 1200, 3)`, less wide for fewer than four.

    Raises:
        ValueError: no moment.
    """
    _check_moments(moments)
    limits = _limits(moments)
    moments = four_moments(moments)
    titles = [
        f"({letter}) step {each.step:,}"
        for letter, each in zip("abcd", moments, strict=False)
    ]
    return _draw_moments(moments, limits, titles, (60 + 285 * len(moments), 380))


def figure_1_animation(moments):
    """Figure 1 as it moves: one picture for each moment, on the same axes.

    Returns:
        list of uint8 `(400, 400, 3)`, for `raster.encode_gif`.

    Raises:
        ValueError: no moment.
    """
    _check_moments(moments)
    limits = _limits(moments)
    return [
        _draw_moments([each], limits, [f"step {each.step:,}"], (400, 400))
        for each in moments
    ]


def _check_moments(moments):
    if not len(moments):
        raise ValueError("Expected at least one moment. Received: none")


def _limits(moments):
    """((x low, high), (z low, high), density's top) that all moments share."""
    x, latents = moments[0].x, np.concatenate([each.latents for each in moments])
    # p_g may be a spike, of any height: the data and the last p_g decide.
    top = max(moments[0].data_density.max(), moments[-1].generator_density.max())
    return (x[0], x[-1]), (latents.min(), latents.max()), 1.25 * top


def _draw_moments(moments, limits, titles, size):
    """The moments side by side, as a picture of `size` (width, height)."""
    figure = _figure(*size)
    above, below = figure.subplots(
        2, len(moments), height_ratios=(2.6, 1), squeeze=False
    )
    for densities, arrows, each, title in zip(
        above, below, moments, titles, strict=True
    ):
        judged = _draw_densities(densities, each, limits)
        _draw_arrows(arrows, each, limits)
        densities.set_title(title, fontsize=10)
        if each is not moments[0]:
            densities.set_yticklabels([])
        if each is not moments[-1]:
            judged.set_yticklabels([])
    above[0].set_ylabel("density", fontsize=9)
    judged.set_ylabel("D(x)", fontsize=9, color=_DISCRIMINATOR)
    lines = [*above[0].lines, judged.lines[-1]]
    figure.legend(
        lines,
        (r"$p_\mathrm{data}(x)$", "$p_g(x)$", "$D(x)$"),
        loc="outside upper center",
        ncols=3,
        fontsize=10,
        frameon=False,
    )
    return _pixels(figure)


def _draw_densities(axes, moment, limits):
    """p_data, p_g and D; returns the axes of D, whose scale is on the right."""
    x_limits, _, top = limits
    axes.plot(moment.x, moment.data_density, ":", color=_DATA, lw=1.8)
    axes.plot(moment.x, moment.generator_density, color=_GENERATOR, lw=1.6)
    axes.set(xlim=x_limits, ylim=(0, top))
    axes.tick_params(labelsize=8)
    judged = axes.twinx()
    seen = np.maximum(moment.data_density, moment.generator_density)
    seen = np.where(
        seen > 0.01 * moment.data_density.max(), moment.discriminator, np.nan
    )
    judged.plot(moment.x, moment.discriminator, "--", color=_DISCRIMINATOR, alpha=0.25)
    judged.plot(moment.x, seen, "--", color=_DISCRIMINATOR, lw=1.6)
    judged.set(ylim=(0, 1.25), yticks=(0, 0.5, 1), yticklabels=("0", "½", "1"))
    judged.tick_params(labelsize=8, colors=_DISCRIMINATOR)
    return judged


def _draw_arrows(axes, moment, limits):
    """Arrows from z, the lower line, to x, the upper one, at the scale of the plot."""
    (low, high), (z_low, z_high), _ = limits
    # The domain of z, of whatever width, becomes nine tenths of the frame.
    share = (moment.latents - z_low) / max(z_high - z_low, 1e-12)
    starts = low + (high - low) * (0.05 + 0.9 * share)
    axes.hlines([0, 1], low, high, color="black", lw=1)
    for start, end in zip(starts, moment.samples, strict=True):
        axes.annotate(
            "",
            xy=(end, 1),
            xytext=(start, 0),
            arrowprops={
                "arrowstyle": "-|>",
                "lw": 0.7,
                "mutation_scale": 7,
                "shrinkA": 0,
                "shrinkB": 0,
                "color": "0.25",
                "clip_on": True,
            },
            annotation_clip=False,
        )
    middle = len(starts) // 2
    axes.set_xticks(
        starts[[0, middle, -1]],
        [f"{moment.latents[row]:z.1f}" for row in (0, middle, -1)],
    )
    axes.set(xlim=(low, high), ylim=(-0.05, 1.05))
    axes.set_yticks((0, 1), ("z", "x"), fontsize=10, style="italic")
    axes.tick_params(length=0, labelsize=8, axis="x")
    axes.tick_params(length=0, axis="y")
    axes.spines[:].set_visible(False)


# === Figure 2 ===


def nearest_examples(samples, data, block=4096):
    """The example of a dataset that is nearest to each sample, by Euclidean distance.

    The data are passed over once, in blocks, by matrix products in float64.

    Args:
        samples: array `(N, *image_shape)`, in the data's `value_range`.
        data: `Dataset`.
        block: int, examples held at once.

    Returns:
        (indices, distances): int64 and float64 `(N,)`. Of equally near examples the
        first counts.

    Raises:
        ValueError: samples of another shape.
    """
    samples = np.asarray(samples, np.float64)
    if samples.shape[1:] != data.image_shape or not len(samples):
        raise ValueError(
            f"Expected samples of shape {(None, *data.image_shape)}, as the data have. "
            f"Received: {samples.shape}"
        )
    flat = samples.reshape(len(samples), -1)
    best = np.full(len(flat), np.inf)
    indices = np.zeros(len(flat), np.int64)
    for start in range(0, len(data), block):
        rows = data.examples(slice(start, start + block))
        rows = rows.reshape(len(rows), -1).astype(np.float64)
        # |x|^2 - 2 s.x: |s|^2 is the same for all examples.
        partial = np.einsum("ij,ij->i", rows, rows) - 2 * flat @ rows.T
        nearest = partial.argmin(axis=1)
        values = partial[np.arange(len(flat)), nearest]
        indices = np.where(values < best, start + nearest, indices)
        best = np.minimum(best, values)
    # Anew, for the sum above cancels where a sample is nearly an example.
    differences = flat - data.examples(indices).reshape(flat.shape)
    return indices, np.linalg.norm(differences, axis=1)


def figure_2(samples, nearest, value_range, columns=6):
    """Figure 2 of the paper: samples, and the training example nearest to some of them.

    The rightmost column, set off in yellow, holds the example that is nearest to the
    sample on its left, "in order to demonstrate that the model has not memorized the
    training set".

    Args:
        samples: array `(rows * columns, H, W, C)`, row by row.
        nearest: array `(rows, H, W, C)`, for the last sample of each row.
        value_range: (low, high) of both.
        columns: int, samples in a row.

    Returns:
        uint8 `(height, width, 3)`, within 640 pixels where the images allow.

    Raises:
        ValueError: numbers or shapes that do not fit.
    """
    samples, nearest = np.asarray(samples), np.asarray(nearest)
    if samples.shape != (len(nearest) * columns, *nearest.shape[1:]):
        raise ValueError(
            f"Expected {columns} samples for each nearest example, of the same shape. "
            f"Received: {samples.shape} and {nearest.shape}"
        )
    left = raster.grid(to_uint8(samples, value_range), columns=columns)
    nearest = to_uint8(nearest, value_range)
    framed = [
        raster.grid(nearest[..., channel : channel + 1], columns=1, fill=colour)
        for channel, colour in zip(_channels(nearest), _YELLOW, strict=True)
    ]
    left = left[..., list(_channels(left))]
    gap = np.full((len(left), 2, 3), 255, np.uint8)
    picture = np.concatenate([left, gap, np.concatenate(framed, axis=2)], axis=1)
    return raster.enlarge(picture)


def _channels(pictures):
    """The channels that stand for red, green and blue."""
    return range(3) if pictures.shape[-1] == 3 else (0, 0, 0)


# === Figure 3 ===


def interpolation(gan, start, end, steps=9):
    """Samples on straight lines in the space of z, as in figure 3 of the paper.

    Args:
        gan: `GAN`.
        start, end: float `(rows, L)`, latents at the ends.
        steps: int >= 2, samples on a line, both ends among them.

    Returns:
        float32 `(rows, steps, *sample_shape)`: G((1 - t) * start + t * end), t evenly
        spaced in [0, 1].

    Raises:
        ValueError: latents of another shape, or fewer than two steps.
    """
    start, end = np.asarray(start, np.float32), np.asarray(end, np.float32)
    width = gan.latent_prior.latent_dim
    if start.shape != end.shape or start.shape != (len(start), width) or steps < 2:
        raise ValueError(
            f"Expected start and end of shape {(None, width)}, and at least 2 steps. "
            f"Received: {start.shape}, {end.shape} and {steps}"
        )
    share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    latents = (1 - share) * start[:, None] + share * end[:, None]
    samples = predict_locally(gan, latents.reshape(-1, width))
    return samples.reshape(len(start), steps, *samples.shape[1:])


def figure_3(lines, value_range):
    """Figure 3 of the paper: each row goes along a line in the space of z.

    Args:
        lines: array `(rows, steps, H, W, C)`, see `interpolation`.
        value_range: (low, high).

    Returns:
        uint8 `(height, width, 1 or 3)`, within 960 pixels where the images allow.
    """
    lines = to_uint8(lines, value_range)
    rows, steps, *shape = lines.shape
    return raster.enlarge(raster.grid(lines.reshape(-1, *shape), columns=steps), 960)


# === The health of a training ===

_LOGS = ("discriminator_loss", "generator_loss", "value", "d_real", "d_fake")
_EQUILIBRIUM = -math.log(4)


def training_curves(lines):
    """What a training logged: losses, V(D, G) and D's answers, over the epochs.

    Lines mark what theorem 1 and its proof say of the equilibrium: V = -log 4, D = 1/2.

    Args:
        lines: list of dicts, the lines of a run's `metrics.jsonl`.

    Returns:
        uint8 `(300, 1000, 3)`.

    Raises:
        ValueError: no line, or one without a log.
    """
    from matplotlib.ticker import MaxNLocator

    _check_lines(lines)
    columns = {name: [line[name] for line in lines] for name in ("epoch", *_LOGS)}
    mark = {"color": "0.45", "ls": (0, (6, 3)), "lw": 1}
    figure = _figure(1000, 300)
    figure.get_layout_engine().set(w_pad=0.1)
    losses, value, answers = figure.subplots(1, 3)
    for axes, title, curves in (
        (losses, "losses", ("discriminator_loss", "generator_loss")),
        (value, "value V(D, G)", ("value",)),
        (answers, "mean answers of D", ("d_real", "d_fake")),
    ):
        for name in curves:
            color, label = {
                "discriminator_loss": (_DISCRIMINATOR, "discriminator"),
                "generator_loss": (_GENERATOR, "generator"),
                "value": (_DISCRIMINATOR, None),
                "d_real": (_DATA, "D(x), of data"),
                "d_fake": (_GENERATOR, "D(G(z)), of samples"),
            }[name]
            axes.plot(
                columns["epoch"],
                columns[name],
                color=color,
                label=label,
                lw=1.4,
                marker="o" if len(lines) < 10 else None,
                ms=3,
            )
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.margins(y=0.15)
    value.axhline(_EQUILIBRIUM, **mark, label="−log 4, equilibrium")
    answers.axhline(0.5, **mark, label="½, equilibrium")
    answers.set_ylim(0, 1)
    for axes in (losses, value, answers):
        axes.legend(fontsize=8, framealpha=0.8)
    return _pixels(figure)


def _check_lines(lines):
    if not lines:
        raise ValueError("Expected the logs of at least one epoch. Received: none")
    for number, line in enumerate(lines, start=1):
        for name in ("epoch", *_LOGS):
            if not isinstance(line, dict) or not isinstance(
                line.get(name), int | float
            ):
                raise ValueError(
                    f"Expected lines with {', '.join(('epoch', *_LOGS))}, numbers. "
                    f"Received: line {number} without {name}"
                )


def sample_spread(samples, examples):
    """How far samples lie from each other, and from the data, in units of the data's.

    Args:
        samples, examples: arrays `(N, ...)` and `(M, ...)`, N and M >= 2.

    Returns:
        (diversity, offset): floats. Diversity is the mean Euclidean distance of two
        samples, offset that of the means of samples and examples, each divided by the
        mean distance of two examples. Samples of the data's law have 1 and about 0; a
        generator that makes one sample has diversity 0. A generator that misses some of
        several modes may well have a diversity near 1.

    Raises:
        ValueError: fewer than two, another shape, or examples that are all equal.
    """
    from scipy.spatial.distance import pdist

    samples, examples = (
        np.asarray(array, np.float64).reshape(len(array), -1)
        for array in (samples, examples)
    )
    shapes = f"Received: {samples.shape} and {examples.shape}"
    if min(len(samples), len(examples)) < 2 or samples.shape[1] != examples.shape[1]:
        raise ValueError(
            f"Expected at least two samples and two examples, of one shape. {shapes}"
        )
    unit = pdist(examples).mean()
    if not unit > 0:
        raise ValueError(f"Expected examples that are not all equal. {shapes}")
    offset = np.linalg.norm(samples.mean(axis=0) - examples.mean(axis=0))
    return float(pdist(samples).mean() / unit), float(offset / unit)


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What the logs of a training, and its samples, say.

    Attributes:
        state: "diverged", "discriminator has run away", "discriminator has not left its
            start", "generator has collapsed", "discriminator is behind", "near
            equilibrium", "near equilibrium or at the start", or "training".
        words: str, sentences for the user: what was seen, and what the paper advises.
    """

    state: str
    words: str


# What `diagnose` takes for near, far and collapsed. Diversity and offset are in units
# of the mean distance of two examples.
_RUN_AWAY = 0.05
_NEAR = 0.1
_COLLAPSED = 0.5
_ALIKE = 0.75
_FAR = 0.25

_ADVICE = {
    "diverged": "A log is NaN or infinite: go back to the last saved model, and lower "
    "the learning rates or check the data.",
    "discriminator has run away": "D rejects the samples with high confidence, and G "
    "learns little from it. log(1 - D(G(z))) saturates here: train G to maximise "
    "log D(G(z)) instead, the non_saturating loss (section 3). If it is that already, "
    "slow D down: a lower rate for D, a smaller discriminator_steps (k), dropout in D.",
    "discriminator has not left its start": "D answers 1/2 to everything while the "
    "samples are far from the data: a value of -log 4 is no equilibrium here. Give it "
    "more steps, a higher rate for D, or a larger discriminator_steps (k).",
    "generator has collapsed": "The samples resemble each other far more than the data "
    'do, the "Helvetica scenario" of section 6: G must not be trained too much without '
    "updating D. Keep them synchronised: a larger discriminator_steps (k), or a lower "
    "rate for G. In the first steps of a training it may also mean that G has not "
    "spread its samples yet.",
    "discriminator is behind": "D judges worse than a coin would, so its gradient "
    "misleads G. G must not be trained too much without updating D (section 6): a "
    "larger discriminator_steps (k), a higher rate for D, or a lower one for G.",
    "near equilibrium": "D cannot tell samples from data (theorem 1: V = -log 4 and "
    "D = 1/2 where p_g = p_data), and the samples spread as the data do, around the "
    "same mean. A weak D cannot tell either: look at the samples.",
    "near equilibrium or at the start": "V is near -log 4 and D near 1/2, as at the "
    "equilibrium; a D that has not left its start says the same of a G that never "
    "learned. Look at the samples.",
    "training": "Neither network has won. Losses say who is ahead, not how good the "
    "samples are: look at them.",
}


def diagnose(lines, sample_diversity=None, sample_offset=None):
    """The state of a training, from its logs and its samples.

    The means of the last tenth of the epochs count, of three at least where there are
    as many.

    - D has run away where d_real > .95 and d_fake < .05.
    - Value, d_real and d_fake within .1 of -log 4 and of 1/2 are near equilibrium only
      with samples of diversity .75 to 1.33 and offset below .25; otherwise, with d_real
      and d_fake within .02 of each other, D has not left its start.
    - G has collapsed where the diversity is below .5.
    - D is behind where the value is below -log 4 by more than .1: a constant D = 1/2
      would do better.

    Args:
        lines: list of dicts, the lines of a run's `metrics.jsonl`.
        sample_diversity, sample_offset: floats, see `sample_spread`, or None.

    Returns:
        `Diagnosis`.

    Raises:
        ValueError: no line, or one without a log.
    """
    _check_lines(lines)
    lines = lines[-max(3, len(lines) // 10) :]
    means = {name: float(np.mean([line[name] for line in lines])) for name in _LOGS}
    state = _state(means, sample_diversity, sample_offset)
    first, last = lines[0]["epoch"], lines[-1]["epoch"]
    epochs = f"Epoch {last}" if first == last else f"Epochs {first} to {last}"
    seen = (
        f"{epochs}: D(x) {means['d_real']:.2f}, D(G(z)) {means['d_fake']:.2f}, value "
        f"{means['value']:.2f} (-log 4 = -1.39)."
    )
    if sample_diversity is not None:
        seen += f" Diversity of the samples: {sample_diversity:.2f} of the data's."
    if sample_offset is not None:
        seen += (
            f" Their mean is off the data's by {sample_offset:.2f} of the mean "
            "distance of two examples."
        )
    return Diagnosis(state, f"{seen} {_ADVICE[state]}")


def _state(means, diversity, offset):
    value, real, fake = means["value"], means["d_real"], means["d_fake"]
    if not all(math.isfinite(mean) for mean in means.values()):
        return "diverged"
    # Before the collapse: a G that met such a D at its start has no diversity yet.
    if real > 1 - _RUN_AWAY and fake < _RUN_AWAY:
        return "discriminator has run away"
    undecided = (
        abs(value - _EQUILIBRIUM) < _NEAR
        and abs(real - 0.5) < _NEAR
        and abs(fake - 0.5) < _NEAR
    )
    collapsed = diversity is not None and diversity < _COLLAPSED
    if undecided and diversity is None and offset is None:
        return "near equilibrium or at the start"
    alike = (diversity is None or _ALIKE <= diversity <= 1 / _ALIKE) and (
        offset is None or offset < _FAR
    )
    if undecided and alike:
        return "near equilibrium"
    if undecided and abs(real - fake) < 0.02:
        return "discriminator has not left its start"
    if collapsed:
        return "generator has collapsed"
    if value < _EQUILIBRIUM - _NEAR:
        return "discriminator is behind"
    return "training"


def health_page(lines, diagnosis, grids=()):
    """A training on one page: what it means in words, the curves, samples over time.

    Args:
        lines: list of dicts, the lines of a run's `metrics.jsonl`.
        diagnosis: `Diagnosis`.
        grids: list of (title, picture), pictures uint8 `(H, W, 1 or 3)`, three or so:
            they become a row of equal shares.

    Returns:
        uint8 `(height, 1000, 3)`.

    Raises:
        ValueError: no line, or one without a log.
    """
    width = 1000
    words = textwrap.wrap(diagnosis.words, 125)
    height = 60 + 19 * len(words)
    figure = _figure(width, height)
    figure.text(0.012, 1 - 14 / height, diagnosis.state.capitalize(), va="top",
                fontsize=15, weight="bold")  # fmt: skip
    figure.text(0.012, 1 - 46 / height, "\n".join(words), va="top", fontsize=10,
                linespacing=1.4)  # fmt: skip
    parts = [_pixels(figure), training_curves(lines)]
    if grids:
        share = width // len(grids)
        fitted = [raster.fit(picture, share - 13) for _, picture in grids]
        row = np.full((max(map(len, fitted)) + 12, width, 3), 255, np.uint8)
        titles = _figure(width, 36)
        for index, ((title, _), picture) in enumerate(zip(grids, fitted, strict=True)):
            centre = share * index + share // 2
            left = centre - picture.shape[1] // 2
            row[: len(picture), left : left + picture.shape[1]] = picture
            titles.text(centre / width, 0.3, title, ha="center", fontsize=10)
        parts += [_pixels(titles), row]
    return np.concatenate(parts)


# === Details ===


def _figure(width, height):
    """An empty matplotlib figure of `width` x `height` pixels that is on no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 100, height / 100), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[:, :, :3].copy()
