"""Pictures of samples."""

import numpy as np

from keras_gan import images


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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

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
    figure = Figure(figsize=(side / 100, side / 100), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
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
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


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
    return images.enlarge(images.grid(images.to_uint8(samples, value_range)))
