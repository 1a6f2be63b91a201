"""Pictures of samples."""

import numpy as np

from keras_gan import images


def sample_plot(samples, examples=None, side=480):
    """Samples in one or two dimensions as a picture: a histogram, or a scatter plot.

    Args:
        samples: array `(N, 1)` or `(N, 2)`.
        examples: array `(M, 1)` or `(M, 2)` of real data to draw behind, or None.
        side: int, height and width of the picture in pixels.

    Returns:
        uint8 `(side, side, 3)`.

    Raises:
        ValueError: samples of another shape.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    samples = np.asarray(samples)
    if samples.ndim != 2 or samples.shape[1] not in (1, 2):
        raise ValueError(
            f"Expected samples (N, 1) or (N, 2) to plot. Received: {samples.shape}"
        )
    figure = Figure(figsize=(side / 100, side / 100), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    # The axes follow the data where it is known, so that pictures of one run compare.
    frame = samples if examples is None else np.asarray(examples)
    low, high = frame.min(axis=0), frame.max(axis=0)
    margin = 0.25 * np.maximum(high - low, 1e-3)
    low, high = low - margin, high + margin
    if samples.shape[1] == 1:
        bins = np.linspace(low[0], high[0], 61)
        options = {"bins": bins, "density": True}
        if examples is not None:
            axes.hist(frame[:, 0], color="0.8", label="data", **options)
        axes.hist(
            samples[:, 0],
            histtype="step",
            color="tab:green",
            label="samples",
            **options,
        )
        axes.set(xlabel="x", ylabel="density", xlim=(low[0], high[0]))
    else:
        if examples is not None:
            axes.scatter(*frame.T, s=4, color="0.75", label="data", linewidths=0)
        axes.scatter(
            *samples.T, s=4, color="tab:green", label="samples", alpha=0.6, linewidths=0
        )
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.legend(loc="upper right", fontsize=8)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def sample_picture(samples, value_range, examples=None):
    """Samples as one picture: a grid of images, or a plot where they are no images.

    Args:
        samples: array `(N, H, W, C)` in `value_range`, or `(N, 1)` or `(N, 2)`.
        value_range: (low, high), or None where samples are no images.
        examples: real data behind a plot, or None; unused for images.

    Returns:
        uint8 `(height, width, 1 or 3)`.
    """
    if value_range is None:
        return sample_plot(samples, examples)
    return images.enlarge(images.grid(images.to_uint8(samples, value_range)))
