"""Plots by matplotlib, drawn off screen into arrays of pixels.

In every plot the data are black or grey, the generator green and the discriminator
blue, as in figure 1 of Goodfellow et al. (2014).

matplotlib comes with the extra `figures` and is imported when a plot is drawn.
"""

import numpy as np

from keras_gan import checks

DATA_COLOR, GENERATOR_COLOR, DISCRIMINATOR_COLOR = "black", "tab:green", "tab:blue"


def new_figure(width: int, height: int):
    """Returns an empty matplotlib figure of `width` x `height` pixels, off screen.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.
    """
    backend = checks.require("matplotlib.backends.backend_agg", extra="figures")
    matplotlib = checks.require("matplotlib.figure", extra="figures")
    figure = matplotlib.Figure(
        # A little more than whole pixels, of which older versions round down.
        figsize=((width + 0.01) / 100, (height + 0.01) / 100),
        dpi=100,
        layout="constrained",
    )
    backend.FigureCanvasAgg(figure)
    return figure


def to_pixels(figure) -> np.ndarray:
    """Draws a figure of `new_figure`: uint8 `(height, width, 3)`."""
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[:, :, :3].copy()


def sample_plot(
    samples, examples=None, side: int = 480, label: str = "samples"
) -> np.ndarray:
    """Plots vectors: a histogram of single values, else a scatter plot of two.

    Args:
        samples: array `(N, D)`. Where D > 2 the first two values of each are drawn, and
            the axes say so.
        examples: array `(M, D)` of real data to draw behind, or None.
        side: int, height and width of the picture in pixels.
        label: str, what the legend calls the samples.

    Returns:
        uint8 `(side, side, 3)`.

    Raises:
        ValueError: samples or examples of another shape, or none.
        ModuleNotFoundError: matplotlib is not installed.
    """
    samples, frame = _checked(samples, examples, "(N, D)")
    num_values = samples.shape[1]
    samples, frame = samples[:, :2], frame[:, :2]
    low, high = frame.min(axis=0), frame.max(axis=0)
    margin = 0.25 * np.maximum(high - low, 1e-3)
    low, high = low - margin, high + margin
    figure = new_figure(side, side)
    axes = figure.add_subplot()
    data = None if examples is None else frame
    if samples.shape[1] == 1:
        _draw_histograms(axes, samples, data, np.linspace(low[0], high[0], 61), label)
    else:
        if data is not None:
            axes.scatter(*data.T, s=8, color="0.7", label="data", linewidths=0)
        axes.scatter(*samples.T, s=5, color="green", label=label, linewidths=0)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        if num_values == 2:
            axes.set_aspect("equal")
        else:  # they may have other units
            axes.set(
                xlabel=f"value 1 of {num_values}", ylabel=f"value 2 of {num_values}"
            )
    outside = np.mean(~((samples >= low) & (samples <= high)).all(axis=1))
    if outside:
        axes.set_title(f"{100 * outside:.1f}% of the samples lie outside", fontsize=8)
    axes.legend(loc="upper right", fontsize=8, markerscale=2)
    return to_pixels(figure)


def series_plot(
    samples, examples=None, count: int = 8, side: int = 480, label: str = "samples"
) -> np.ndarray:
    """Plots series as lines over their steps: a panel for each of the first features.

    Args:
        samples: array `(N, T, F)`.
        examples: array `(M, T, F)` of real data to draw behind, or None.
        count: int, series to draw, and examples. The first ones are drawn.
        side: int, height and width of the picture in pixels.
        label: str, what the legend calls the samples.

    Returns:
        uint8 `(side, side, 3)`. Of more than four features the first four are
        drawn; the axes say of how many.

    Raises:
        ValueError: samples or examples of another shape, or none.
        ModuleNotFoundError: matplotlib is not installed.
    """
    samples, frame = _checked(samples, examples, "(N, T, F)")
    num_features = samples.shape[2]
    drawn = [(GENERATOR_COLOR, label, samples[:count])]
    if examples is not None:
        drawn.insert(0, ("0.6", "data", frame[:count]))
    figure = new_figure(side, side)
    panels = figure.subplots(min(4, num_features), squeeze=False, sharex=True)[:, 0]
    for feature, axes in enumerate(panels):
        for color, name, series in drawn:
            lines = axes.plot(series[:, :, feature].T, color=color, linewidth=0.8)
            lines[0].set_label(name)
        axes.set_ylabel(f"feature {feature + 1} of {num_features}", fontsize=8)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2, fontsize=8)
    panels[-1].set_xlabel("step")
    return to_pixels(figure)


def _checked(samples, examples, form):
    """Returns samples, and what the axes follow, as float64 of a form.

    The axes follow the data where they are known, so that pictures of one run can be
    compared.
    """
    samples = np.asarray(samples, np.float64)
    frame = samples if examples is None else np.asarray(examples, np.float64)
    if (
        samples.ndim != form.count(",") + 1
        or frame.shape[1:] != samples.shape[1:]
        or not (samples.size and len(frame))
    ):
        raise ValueError(
            f"Expected samples {form} to plot, and examples likewise. "
            f"Received: {samples.shape} and {frame.shape}"
        )
    return samples, frame


def _draw_histograms(axes, samples, data, edges, label):
    """Draws the densities of `(N, 1)` samples, and of data behind them if not None."""

    def histogram(values, **options):
        # The share of all values: `density=True` would leave out those that lie outside
        # of the frame.
        weights = np.full(len(values), 1 / (len(values) * (edges[1] - edges[0])))
        axes.hist(values[:, 0], bins=edges, weights=weights, **options)

    if data is not None:
        histogram(data, color="0.8", label="data")
    histogram(samples, histtype="step", color=GENERATOR_COLOR, label=label)
    axes.set(xlabel="x", ylabel="density", xlim=(edges[0], edges[-1]))
