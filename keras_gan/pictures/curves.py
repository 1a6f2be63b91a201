"""The curves of a training: what it logged, over the epochs."""

import dataclasses
import re
import textwrap
from collections.abc import Sequence

import numpy as np

from keras_gan import checks
from keras_gan.pictures import log_lines, plots

_WIDTH, _ROW_HEIGHT = 1000, 300
_OTHER_COLORS = ("tab:purple", "tab:orange", "tab:red", "tab:brown", "tab:olive")
# The logs whose meaning is known: colour, and what the legend calls them.
_KNOWN = {
    "discriminator_loss": (plots.DISCRIMINATOR_COLOR, "discriminator"),
    "generator_loss": (plots.GENERATOR_COLOR, "generator"),
    "value": (plots.DISCRIMINATOR_COLOR, "V(D, G)"),
    "d_real": (plots.DATA_COLOR, "D(x)"),
    "d_fake": (plots.GENERATOR_COLOR, "D(G(z))"),
}


@dataclasses.dataclass
class _Panel:
    """One plot: its title, the logs in it, and the equilibrium of theorem 1 or None."""

    title: str
    names: list
    equilibrium: float | None = None
    equilibrium_label: str | None = None


def training_curves(lines: Sequence[dict]) -> np.ndarray:
    """Draws what a training logged over the epochs: losses, and every further log.

    Losses share one panel. V(D, G) and D's answers, where they are logged, have one
    each, with a line at what theorem 1 and its proof say of the equilibrium: V = -log
    4, D = 1/2. Every other log has a panel by its own name; those that differ only in a
    number, or in "real" and "fake", share one. Logs of validation are dotted, and those
    of training examples in the same mode dashed.

    Args:
        lines: list of dicts, the lines of a run's `metrics.jsonl`; a log may be missing
            from some.

    Returns:
        uint8 `(300 * rows, 1000, 3)`, at most three panels in a row.

    Raises:
        ValueError: no line, or one without an epoch or a loss, or a log that is no
            number.
        ModuleNotFoundError: matplotlib is not installed.
    """
    log_lines.check_lines(lines)
    panels = _panels(log_lines.names_in(lines))
    columns = {1: 1, 2: 2, 4: 2}.get(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = plots.new_figure(_WIDTH, _ROW_HEIGHT * rows)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.08)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw_panel(axes, panel, lines, _WIDTH // columns)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    return plots.to_pixels(figure)


def _panels(names):
    """Sorts the names of logs into panels."""
    losses = _Panel("losses", [])
    value = _Panel(
        "value V(D, G)", [], log_lines.EQUILIBRIUM_VALUE, "−log 4, equilibrium"
    )
    answers = _Panel("mean answers of D", [], 0.5, "½, equilibrium")
    others = {}
    for name in sorted(names, key=_rank):
        base = _without_validation(name)
        if base.endswith("loss"):
            losses.names.append(name)
        elif base == "value":
            value.names.append(name)
        elif base in log_lines.ANSWERS:
            answers.names.append(name)
        else:
            others.setdefault(_quantity(base), []).append(name)
    groups = [
        _Panel(", ".join(dict.fromkeys(map(_without_validation, group))), group)
        for group in others.values()
    ]
    return [panel for panel in (losses, value, answers, *groups) if panel.names]


def _rank(name):
    """Orders names within a panel: the training's own first, data before samples."""
    base = _without_validation(name)
    rank = list(_KNOWN).index(base) if base in _KNOWN else len(_KNOWN)
    return name != base, rank, "fake" in base.split("_")


def _without_validation(name):
    return name.removeprefix(log_lines.VALIDATION).removeprefix(log_lines.TRAINING)


def _quantity(name):
    """Returns a name without "real", "fake" and numbers: "r" of "r1" and "r2"."""
    return re.sub(r"(?<![a-z])(real|fake)(?![a-z])|\d+|_", "", name)


def _draw_panel(axes, panel, lines, width):
    """Draws one panel, `width` pixels wide, its legend below."""
    ticker = checks.require("matplotlib.ticker", extra="figures")
    colors = iter(_OTHER_COLORS * len(panel.names))
    drawn = {}
    for name in panel.names:
        base = _without_validation(name)
        if base not in drawn:
            drawn[base] = _color_and_label(base, colors)
        color, label = drawn[base]
        epochs, values = log_lines.column(lines, name)
        style, of = _style(name)
        axes.plot(
            epochs,
            values,
            style,
            color=color,
            label=f"{label}{of}",
            lw=1.4,
            # A line through few points hides where they are, and one point is no line.
            marker="o" if len(epochs) < 10 else None,
            ms=3,
        )
    if panel.equilibrium is not None:
        axes.axhline(
            panel.equilibrium,
            color="0.45",
            ls=(0, (6, 3)),
            lw=1,
            label=panel.equilibrium_label,
        )
    title = textwrap.shorten(panel.title, width // 8, placeholder=" …")
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("epoch", fontsize=9)
    axes.tick_params(labelsize=8, color="0.8")
    axes.spines[:].set_color("0.8")
    axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
    epochs = [line["epoch"] for line in lines]
    if min(epochs) == max(epochs):
        # Otherwise the axis of one epoch is too short for a whole number.
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    axes.margins(y=0.15)
    if set(panel.names) & set(log_lines.ANSWERS):
        axes.set_ylim(0, 1)
    _draw_legend(axes, width)


def _style(name):
    """How a log is drawn, and what the legend adds to its name."""
    if name.startswith(log_lines.VALIDATION):
        return ":", ", validation"
    if name.startswith(log_lines.TRAINING):
        return "--", ", training"
    return "-", ""


def _color_and_label(name, colors):
    if name in _KNOWN:
        return _KNOWN[name]
    words = name.split("_")
    if "real" in words:
        return plots.DATA_COLOR, name
    if "fake" in words:
        return plots.GENERATOR_COLOR, name
    return next(colors), name


def _draw_legend(axes, width):
    """Draws the legend below the axes, where it covers no curve."""
    labels = axes.get_legend_handles_labels()[1]
    if len(labels) < 2:
        return
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.2),
        ncols=_legend_columns(labels, width - 30),
        fontsize=8,
        frameon=False,
        columnspacing=1.2,
        handlelength=1.8,
    )


def _legend_columns(labels, width):
    """Returns the columns of a legend with the fewest rows within `width` pixels."""
    for rows in range(1, len(labels)):
        # matplotlib fills one column after another. At this size a character takes
        # some 6 pixels, a line's sample and the space around it some 45.
        columns = [labels[i : i + rows] for i in range(0, len(labels), rows)]
        if sum(6 * max(map(len, column)) + 45 for column in columns) <= width:
            return len(columns)
    return 1
