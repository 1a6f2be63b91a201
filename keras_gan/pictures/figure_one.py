"""Figure 1 of the paper, still and moving: a one-dimensional game as it is played.

Reference: Goodfellow et al., Generative Adversarial Nets, arXiv 1406.2661.
"""

from collections.abc import Sequence

import numpy as np

from keras_gan.pictures import plots
from keras_gan.pictures.frames import Frame, four_frames


def figure_1(frames: Sequence[Frame], class_names=None) -> np.ndarray:
    """Draws figure 1 of the paper: a one-dimensional game in up to four frames.

    p_data(x) dotted black, p_g(x) solid green, D(x) dashed blue. Where both densities
    are below 1% of the largest p_data, D has seen next to nothing and is arbitrary: it
    is drawn faint. Below, arrows from z to x = G(z), each for an equal share of p_z.
    The axes are the same in all panels; p_g may leave them at the top.

    A conditional game has a row for each class y: p_data(x | y), p_g(x | y), D(x, y)
    and G(z, y).

    Args:
        frames: list of `Frame`; `four_frames` chooses among more than four.
        class_names: names of the classes of a conditional game; None numbers them.

    Returns:
        uint8 `(380, 1200, 3)`, less wide for fewer than four; 340 higher for each class
        after the first.

    Raises:
        ValueError: no frame.
    """
    _check_frames(frames)
    limits = _limits(frames)
    frames = four_frames(frames)
    titles = [
        f"({letter}) step {each.step:,}"
        for letter, each in zip("abcd", frames, strict=False)
    ]
    width = 60 + 285 * len(frames)
    if frames[0].num_classes is None:
        return _draw_frames(frames, limits, titles, (width, 380))
    rows = []
    for label, name in enumerate(_names(frames[0], class_names)):
        of_class = [each.of_class(label) for each in frames]
        size = (width, 340 if rows else 380)
        rows.append(_draw_frames(of_class, limits, titles, size, name, not rows))
    return np.concatenate(rows)


def figure_1_animation(frames: Sequence[Frame], class_names=None) -> list[np.ndarray]:
    """Draws figure 1 as it moves: one picture for each frame, on the same axes.

    Args:
        frames, class_names: see `figure_1`.

    Returns:
        list of uint8 `(400, 400, 3)`, for `formats.encode_gif`. The classes of a
        conditional game stand beside each other, each 285 wide.

    Raises:
        ValueError: no frame.
    """
    _check_frames(frames)
    limits = _limits(frames)
    if frames[0].num_classes is None:
        return [
            _draw_frames([each], limits, [f"step {each.step:,}"], (400, 400))
            for each in frames
        ]
    names = _names(frames[0], class_names)
    return [
        _draw_frames(
            [each.of_class(label) for label in range(len(names))],
            limits,
            [f"{name}, step {each.step:,}" for name in names],
            (60 + 285 * len(names), 400),
            "",
        )
        for each in frames
    ]


def _names(frame, class_names):
    return class_names or [f"class {label}" for label in range(frame.num_classes)]


def _check_frames(frames):
    if not len(frames):
        raise ValueError("Expected at least one frame. Received: none")


def _limits(frames):
    """Returns what all frames share: (x low, high), (z low, high), densities' top."""
    x, latents = frames[0].x, np.concatenate([each.latents for each in frames])
    # p_g may be a spike, of any height: the data and the last p_g decide.
    top = max(frames[0].data_density.max(), frames[-1].generator_density.max())
    return (x[0], x[-1]), (latents.min(), latents.max()), 1.25 * top


def _draw_frames(frames, limits, titles, size, name=None, legend=True):
    """Draws frames side by side, a picture of `size` (width, height).

    A `name` is that of a class, "" of several, and None where there is none.
    """
    figure = plots.new_figure(*size)
    above, below = figure.subplots(
        2, len(frames), height_ratios=(2.6, 1), squeeze=False
    )
    for densities, arrows, each, title in zip(
        above, below, frames, titles, strict=True
    ):
        judged = _draw_densities(densities, each, limits)
        _draw_arrows(arrows, each, limits)
        densities.set_title(title, fontsize=10)
        if each is not frames[0]:
            densities.set_yticklabels([])
        if each is not frames[-1]:
            judged.set_yticklabels([])
    above[0].set_ylabel(f"{name}: density" if name else "density", fontsize=9)
    of_class = name is not None
    answer = "D(x, y)" if of_class else "D(x)"
    judged.set_ylabel(answer, fontsize=9, color=plots.DISCRIMINATOR_COLOR)
    if legend:
        x = "x | y" if of_class else "x"
        figure.legend(
            [*above[0].lines, judged.lines[-1]],
            (rf"$p_\mathrm{{data}}({x})$", f"$p_g({x})$", f"${answer}$"),
            loc="outside upper center",
            ncols=3,
            fontsize=10,
            frameon=False,
        )
    return plots.to_pixels(figure)


def _draw_densities(axes, frame, limits):
    """Draws p_data, p_g and D; returns the axes of D, whose scale is on the right."""
    x_limits, _, top = limits
    axes.plot(frame.x, frame.data_density, ":", color=plots.DATA_COLOR, lw=1.8)
    axes.plot(frame.x, frame.generator_density, color=plots.GENERATOR_COLOR, lw=1.6)
    axes.set(xlim=x_limits, ylim=(0, top))
    axes.tick_params(labelsize=8)
    judged = axes.twinx()
    seen = np.maximum(frame.data_density, frame.generator_density)
    seen = np.where(seen > 0.01 * frame.data_density.max(), frame.discriminator, np.nan)
    blue = plots.DISCRIMINATOR_COLOR
    judged.plot(frame.x, frame.discriminator, "--", color=blue, alpha=0.25)
    judged.plot(frame.x, seen, "--", color=blue, lw=1.6)
    judged.set(ylim=(0, 1.25), yticks=(0, 0.5, 1), yticklabels=("0", "½", "1"))
    judged.tick_params(labelsize=8, colors=blue)
    return judged


def _draw_arrows(axes, frame, limits):
    """Draws arrows from z, the lower line, to x, the upper one, to scale."""
    (low, high), (z_low, z_high), _ = limits
    # The domain of z, of whatever width, becomes nine tenths of the width.
    share = (frame.latents - z_low) / max(z_high - z_low, 1e-12)
    starts = low + (high - low) * (0.05 + 0.9 * share)
    axes.hlines([0, 1], low, high, color="black", lw=1)
    for start, end in zip(starts, frame.samples, strict=True):
        arrow = axes.annotate(
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
            },
            annotation_clip=False,
        )
        # An arrow to a sample beyond the axes ends at their edge.
        arrow.arrow_patch.set_clip_box(axes.bbox)
    middle = len(starts) // 2
    axes.set_xticks(
        starts[[0, middle, -1]],
        [f"{frame.latents[row]:z.1f}" for row in (0, middle, -1)],
    )
    axes.set(xlim=(low, high), ylim=(-0.05, 1.05))
    axes.set_yticks((0, 1), ("z", "x"), fontsize=10, style="italic")
    axes.tick_params(length=0, labelsize=8, axis="x")
    axes.tick_params(length=0, axis="y")
    axes.spines[:].set_visible(False)
