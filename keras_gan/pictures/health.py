"""The health of a training on one page: its state, its curves, its samples."""

import textwrap
from collections.abc import Sequence

import numpy as np

from keras_gan.pictures import grids, plots
from keras_gan.pictures.curves import training_curves
from keras_gan.pictures.diagnosis import Diagnosis

_WIDTH = 1000


def health_page(
    lines: Sequence[dict],
    diagnosis: Diagnosis,
    pictures: Sequence[tuple[str, np.ndarray]] = (),
) -> np.ndarray:
    """Draws a training on one page: the diagnosis, the curves, samples over time.

    Args:
        lines: list of dicts, the lines of a run's `metrics.jsonl`.
        diagnosis: `Diagnosis`.
        pictures: list of (title, picture), pictures uint8 `(H, W, 1 or 3)`, three or
            so: they become a row of equal shares.

    Returns:
        uint8 `(height, 1000, 3)`.

    Raises:
        ValueError: no line, or one without an epoch or a loss, or a log that is no
            number.
        ModuleNotFoundError: matplotlib is not installed.
    """
    parts = [_draw_diagnosis(diagnosis), training_curves(lines)]
    if pictures:
        parts += _draw_row(pictures)
    return np.concatenate(parts)


def _draw_diagnosis(diagnosis):
    """Draws the state and its explanation; the height follows the text."""
    text = textwrap.wrap(diagnosis.explanation, 125)
    height = 60 + 19 * len(text)
    figure = plots.new_figure(_WIDTH, height)
    figure.text(0.012, 1 - 14 / height, diagnosis.state.capitalize(), va="top",
                fontsize=15, weight="bold")  # fmt: skip
    figure.text(0.012, 1 - 46 / height, "\n".join(text), va="top", fontsize=10,
                linespacing=1.4)  # fmt: skip
    return plots.to_pixels(figure)


def _draw_row(pictures):
    """Draws a row of titles, and a row of pictures below it."""
    share = _WIDTH // len(pictures)
    resized = [grids.resize_within(picture, share - 13) for _, picture in pictures]
    row = np.full((max(map(len, resized)) + 12, _WIDTH, 3), 255, np.uint8)
    titles = plots.new_figure(_WIDTH, 36)
    for index, ((title, _), picture) in enumerate(zip(pictures, resized, strict=True)):
        centre = share * index + share // 2
        left = centre - picture.shape[1] // 2
        row[: len(picture), left : left + picture.shape[1]] = picture
        titles.text(centre / _WIDTH, 0.3, title, ha="center", fontsize=10)
    return plots.to_pixels(titles), row
