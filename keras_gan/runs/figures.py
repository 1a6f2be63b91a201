"""From a run to the paper's figures, the curves of its training and its health."""

import functools
import logging
import pathlib

import numpy as np

from keras_gan import checks, conditional, files, pictures
from keras_gan.pictures import by_class
from keras_gan.runs import fitted

# The figures of a run, by the names that `draw_figures` knows them by.
FIGURES = ("1", "2", "3", "classes", "curves", "health", "training")

_log = logging.getLogger("keras_gan")


class _DoesNotFit(ValueError):
    """A figure that this run cannot have."""


def draw_figures(
    path,
    figure="all",
    output=None,
    seed=0,
    data_dir=None,
    dataset=None,
    labels=None,
):
    """Draws the paper's figures, and the health of a training, from a run.

    Args:
        path: str or path-like, a run's directory, or one of `GAN.fit` alone, see
            `fitted.FittedRun`.
        figure: "1", "2", "3", "classes", "curves", "health", "training", or "all" of
            those that fit the run: figure 1 takes samples and latents of one dimension,
            2 and 3 take images, "classes" images of a conditional run, and "training"
            two pictures of samples or more. Those of "all" that do not fit, or need a
            package that is not installed, are logged with the reason, at level INFO.
        output: str or path-like, a directory; `figures/` in the run by default.
        seed: int, of the samples and latents in figures 2 and 3 and the health page.
        data_dir: as for `Run.open`. Figure 2 and the health page need the data.
        dataset: str, what a GAN of `GAN.fit` alone was trained on.
        labels: the classes of the figure "classes", ints or names, in their order; see
            `by_class.lines`.

    Returns:
        list of `pathlib.Path`, the files written.

    Raises:
        ValueError: no run, a damaged one, or a figure by name that does not fit it;
            labels for another figure, or that are no classes.
        OSError: an output that cannot be written.
        ModuleNotFoundError: matplotlib is not installed, which figure 1, the curves and
            the health page need.
    """
    checks.one_of("figure", figure, (*FIGURES, "all"))
    if labels is not None and figure not in ("classes", "all"):
        raise ValueError(
            f"Expected `labels` for the figure classes alone. Received: {labels} for "
            f"figure={figure!r}"
        )
    run = fitted.open_run(path, dataset, data_dir)
    output = pathlib.Path(output or run.figures_dir)
    files.check_output(output, directory=True)
    subject = _Subject(run, seed, labels)
    written = []
    for name in FIGURES if figure == "all" else (figure,):
        try:
            drawn = _DRAW[name](subject)
        except (_DoesNotFit, ModuleNotFoundError) as reason:
            if figure != "all":
                raise
            _log.info("Figure %s is left out. %s", name, reason)
            left_out = reason
            continue
        for file, content in drawn.items():
            files.write(output / file, content)
            written.append(output / file)
    if not written:
        raise left_out
    return written


class _Subject:
    """A run to draw from, its model loaded when a figure asks for it."""

    def __init__(self, run, seed, labels):
        self.run = run
        self.seed = seed
        self.labels = labels

    @functools.cached_property
    def gan(self):
        return self.run.gan(compile=False)

    @functools.cached_property
    def data(self):
        if isinstance(self.run, fitted.FittedRun) and self.run.dataset is None:
            raise _DoesNotFit(
                f"Expected the dataset that the model in {self.run.path} was trained "
                "on. Received: none; pass its name as dataset"
            )
        return self.run.data()

    def lines(self, figure):
        """The logs of each epoch; a run that was stopped in its first has none."""
        path = self.run.metrics_path
        if not (path.exists() and path.stat().st_size):
            raise _DoesNotFit(
                f"Expected a run of at least one epoch, with its {path.name}, for "
                f"figure {figure}. Received: {self.run.path}, which has none"
            )
        return self.run.metrics()

    def expect_images(self, figure):
        if not self.gan.spec.is_image:
            raise _DoesNotFit(
                f"Expected a run whose samples are images for figure {figure}. "
                f"Received: {self.run.path}, with samples of shape "
                f"{self.gan.sample_shape}"
            )


def _draw_figure_1(subject):
    path = subject.run.moments_path
    if not path.exists():
        raise _DoesNotFit(
            f"Expected a run with {path.name} for figure 1, which a training with "
            "samples and latents of one dimension writes (the preset gaussian1d). "
            f"Received: {subject.run.path}, which has none"
        )
    frames = pictures.load_frames(path)
    names = None
    if frames[0].num_classes is not None:
        names = subject.gan.latent_prior.class_names
    return {
        "figure_1.png": pictures.encode_png(pictures.figure_1(frames, names)),
        "figure_1.gif": _animated(pictures.figure_1_animation(frames, names)),
    }


def _animated(frames):
    # The last picture stands for two seconds before all begins anew.
    milliseconds = [120] * (len(frames) - 1) + [2000]
    return pictures.encode_gif(frames, milliseconds)


def _draw_figure_2(subject, rows=5, columns=6):
    subject.expect_images(2)
    data, gan = subject.data, subject.gan
    samples = gan.generate(rows * columns, seed=subject.seed)
    indices, _ = pictures.nearest_examples(samples[columns - 1 :: columns], data)
    picture = pictures.figure_2(samples, data.examples(indices), gan.spec, columns)
    return {"figure_2.png": pictures.encode_png(picture)}


def _draw_figure_3(subject, rows=5, steps=11):
    subject.expect_images(3)
    gan = subject.gan
    latents, labels = gan.latent_prior.sample(2 * rows, subject.seed), None
    if gan.is_labelled:
        # Of a class each; z alone moves.
        latents, labels = latents["latents"], latents["labels"][:rows]
    latents = np.asarray(latents)
    lines = pictures.interpolation(gan, latents[:rows], latents[rows:], steps, labels)
    picture = pictures.figure_3(lines, gan.spec)
    return {"figure_3.png": pictures.encode_png(picture)}


def _draw_classes(subject):
    subject.expect_images("classes")
    gan = subject.gan
    if gan.latent_prior.num_classes is None:
        raise _DoesNotFit(
            "Expected a conditional run for figure classes. Received: "
            f"{subject.run.path}, whose samples have no classes"
        )
    try:
        lines = by_class.lines(gan, subject.seed, subject.labels)
    except conditional.NoMixtures as reason:
        raise _DoesNotFit(str(reason)) from reason
    picture = pictures.figure_3(lines, gan.spec)
    return {"classes.png": pictures.encode_png(picture)}


def _draw_curves(subject):
    lines = subject.lines("curves")
    return {"curves.png": pictures.encode_png(pictures.training_curves(lines))}


def diagnose(run, gan, data, seed=0, count=500) -> pictures.Diagnosis:
    """Tells the state of a run's training, by its logs and by samples of its model.

    Args:
        run: `Run`, or `fitted.FittedRun`.
        gan: `GAN`, its model.
        data: `Dataset`, its training data.
        seed: int, of the samples.
        count: int, how many samples are compared with as many examples.

    Returns:
        `pictures.Diagnosis`.
    """
    spread = pictures.sample_spread(
        gan.generate(count, seed=seed), data.fixed_examples(count)
    )
    return pictures.diagnose(run.metrics(), *spread)


def _draw_health(subject):
    run, lines = subject.run, subject.lines("health")
    diagnosis = diagnose(run, subject.gan, subject.data, subject.seed)
    _log.info("%s. %s", diagnosis.state.capitalize(), diagnosis.explanation)
    snapshots = [
        (f"samples, epoch {epoch}", picture) for epoch, picture in run.snapshots()
    ]
    page = pictures.health_page(lines, diagnosis, snapshots)
    return {"health.png": pictures.encode_png(page)}


def _draw_training(subject, count=25, side=400):
    snapshots = subject.run.snapshots(count)
    if len(snapshots) < 2:
        raise _DoesNotFit(
            "Expected a run with two pictures of samples or more for figure training. "
            f"Received: {subject.run.path}, which has {len(snapshots)}"
        )
    # GIF compresses badly: larger frames, or more of them, take megabytes.
    frames = [pictures.resize_within(picture, side) for _, picture in snapshots]
    return {"training.gif": _animated(frames)}


_DRAW = {
    "1": _draw_figure_1,
    "2": _draw_figure_2,
    "3": _draw_figure_3,
    "classes": _draw_classes,
    "curves": _draw_curves,
    "health": _draw_health,
    "training": _draw_training,
}
