"""From a run to the paper's figures, the curves of its training and its health."""

import functools
import pathlib

import numpy as np

from keras_gan import files
from keras_gan.pictures import figures
from keras_gan.pictures import raster
from keras_gan.runs import run as runs
from keras_gan.runs import training

# Of a run, by the name that `draw_figures` and --figure know them by.
FIGURES = ("1", "2", "3", "curves", "health")


class _DoesNotFit(ValueError):
    """A figure that this run cannot have."""


def draw_figures(workdir, figure="all", output=None, seed=0, data_dir=None):
    """Draws the paper's figures, and the health of a training, from a run.

    Args:
        workdir: str or path-like, a run's directory.
        figure: "1", "2", "3", "curves", "health", or "all" of those that fit the run:
            figure 1 takes samples and latents of one dimension, 2 and 3 take images.
        output: str or path-like, a directory; `figures/` in the run by default.
        seed: int, of the samples and latents in figures 2 and 3 and the health page.
        data_dir: as for `train`; by default the run's own. Figure 2 and the health page
            need the data.

    Returns:
        list of `pathlib.Path`, the files written; each is printed too.

    Raises:
        ValueError: no run, a damaged one, or a figure by name that does not fit it.
    """
    if figure not in (*FIGURES, "all"):
        raise ValueError(
            f"Expected a figure among {', '.join(FIGURES)}, all. Received: {figure!r}"
        )
    workdir = pathlib.Path(workdir)
    output = pathlib.Path(output or workdir / runs.FIGURES)
    if output.exists() and not output.is_dir():
        raise ValueError(f"Expected an output directory. Received a file: {output}")
    run = _Run(workdir, seed, data_dir)
    written = []
    for name in FIGURES if figure == "all" else (figure,):
        try:
            drawn = _DRAW[name](run)
        except _DoesNotFit as reason:
            if figure != "all":
                raise
            print(f"Figure {name} is left out. {reason}")
            continue
        for file, content in drawn.items():
            files.write(output / file, content)
            written.append(output / file)
            print(f"Wrote {output / file}")
    return written


class _Run:
    """A run's directory, its parts loaded when a figure asks for them."""

    def __init__(self, workdir, seed, data_dir):
        self.workdir = workdir
        self.seed = seed
        config = runs.load_config(workdir)
        self.preset = training.get_preset(config["preset"]["name"], config["preset"])
        self.data_dir = data_dir or config["data_dir"]

    @functools.cached_property
    def gan(self):
        return runs.load_gan(self.workdir, compile=False)

    @functools.cached_property
    def data(self):
        return training.load_data(self.preset, self.data_dir)

    def expect_images(self, number):
        if self.gan.value_range is None:
            raise _DoesNotFit(
                f"Expected a run whose samples are images for figure {number}. "
                f"Received: {self.workdir}, with samples of shape "
                f"{self.gan.sample_shape}"
            )


def _draw_figure_1(run):
    path = run.workdir / runs.MOMENTS
    if not path.exists():
        raise _DoesNotFit(
            f"Expected a run with {runs.MOMENTS} for figure 1, which a training with "
            "samples and latents of one dimension writes (--preset=gaussian1d). "
            f"Received: {run.workdir}, which has none"
        )
    moments = figures.load_moments(path)
    frames = figures.figure_1_animation(moments)
    return {
        "figure_1.png": raster.encode_png(figures.figure_1(moments)),
        # The last picture stands for two seconds before all begins anew.
        "figure_1.gif": raster.encode_gif(frames, [120] * (len(frames) - 1) + [2000]),
    }


def _draw_figure_2(run, rows=5, columns=6):
    run.expect_images(2)
    samples = run.gan.generate(rows * columns, seed=run.seed)
    indices, _ = figures.nearest_examples(samples[columns - 1 :: columns], run.data)
    picture = figures.figure_2(
        samples, run.data.examples(indices), run.gan.value_range, columns
    )
    return {"figure_2.png": raster.encode_png(picture)}


def _draw_figure_3(run, rows=5, steps=11):
    run.expect_images(3)
    latents = np.asarray(run.gan.latent_prior.sample(2 * rows, run.seed))
    lines = figures.interpolation(run.gan, latents[:rows], latents[rows:], steps)
    picture = figures.figure_3(lines, run.gan.value_range)
    return {"figure_3.png": raster.encode_png(picture)}


def _draw_curves(run):
    lines = runs.load_metrics(run.workdir)
    return {"curves.png": raster.encode_png(figures.training_curves(lines))}


def _draw_health(run, count=500):
    lines = runs.load_metrics(run.workdir)
    spread = figures.sample_spread(
        run.gan.generate(count, seed=run.seed), run.data.fixed_examples(count)
    )
    diagnosis = figures.diagnose(lines, *spread)
    print(f"{diagnosis.state.capitalize()}. {diagnosis.words}")
    grids = [
        (f"samples, epoch {epoch}", picture)
        for epoch, picture in runs.load_sample_pictures(run.workdir)
    ]
    page = figures.health_page(lines, diagnosis, grids)
    return {"health.png": raster.encode_png(page)}


_DRAW = {
    "1": _draw_figure_1,
    "2": _draw_figure_2,
    "3": _draw_figure_3,
    "curves": _draw_curves,
    "health": _draw_health,
}
