"""Draws pictures while a GAN trains: its samples, and figure 1 of the paper."""

import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_gan import checks, files, watching
from keras_gan.pictures import by_class, formats, frames, grids


class SampleGrid(keras.callbacks.Callback):
    """Draws samples of fixed latents: a PNG before the first step, then as it goes.

    Images become a grid, vectors a histogram or a scatter plot, series lines, see
    `grids.sample_picture`. Where the prior draws labels, the grid shows classes beside
    each other, at the same latents, see `by_class.samples`.

    Args:
        directory: str or path-like, gets `epoch_00000.png` and so on.
        num_samples: int; None draws 100 images, or 2,000 vectors or series. A grid of
            classes has as many at most.
        every: int, epochs between pictures; the last epoch is always drawn.
        seed: int, of the latents.
        examples: real data, to draw behind points and lines; unused for images.
        summary_writer: a `tf.summary` writer that gets each picture too, or None.
        channels: the channels of images to show, see `grids.visible`.

    Raises:
        ValueError: `every` or `num_samples` below 1; from `fit`, channels that are not
            there.
    """

    def __init__(
        self,
        directory,
        num_samples=None,
        every=1,
        seed=0,
        examples=None,
        summary_writer=None,
        channels=None,
    ):
        super().__init__()
        if num_samples is not None:
            num_samples = checks.count("num_samples", num_samples)
        self.directory = pathlib.Path(directory)
        self.num_samples = num_samples
        self.every = checks.count("every", every)
        self.seed = seed
        self.examples = examples
        self.summary_writer = summary_writer
        self.channels = channels

    def on_train_begin(self, logs=None):
        self._drawn = self._epoch = None
        if self.model.generator_steps == 0:
            self._draw(0)

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        if self._epoch % self.every == 0:
            self._draw(self._epoch)

    def on_train_end(self, logs=None):
        if self._drawn != self._epoch:
            self._draw(self._epoch)

    def _draw(self, epoch):
        spec = self.model.spec
        count = self.num_samples or (100 if spec.is_image else 2000)
        if spec.is_image and self.model.latent_prior.num_classes is not None:
            samples, columns = by_class.samples(self.model, self.seed, count)
        else:
            samples = self.model.generate(count, seed=self.seed)
            columns = None
        picture = grids.sample_picture(
            samples, spec, self.examples, channels=self.channels, columns=columns
        )
        path = self.directory / f"epoch_{epoch:05}.png"
        files.write(path, formats.encode_png(picture))
        if self.summary_writer is not None:
            step = self.model.generator_steps
            with self.summary_writer.as_default(step=step):
                tf.summary.image("samples", picture[None])
        self._drawn = self._epoch = epoch


class FigureOne(keras.callbacks.Callback):
    """Records the moments of a one-dimensional training that figure 1 is drawn from.

    It records one before the first step and one after the last. Between two lie `every`
    steps, and at least a twelfth of the steps so far: p_g moves fastest at the start.
    The file is replaced as a whole at each moment, so that an interrupted training has
    its moments too; a resumed training adds to those of its past.

    Args:
        path: str or path-like, ends in `.npz`; see `frames.load_frames`.
        distribution: TFP distribution of the data, see `frames.frame_of`.
        every: int, generator steps.

    Raises:
        ValueError: from `fit`, a GAN whose samples or latents are not one-dimensional.
        TrainingDiverged: from `fit`, instead of recording NaN or infinity.
    """

    def __init__(self, path, distribution, every=10):
        super().__init__()
        self.path = pathlib.Path(path)
        if self.path.suffix != ".npz":
            raise ValueError(f"Expected a path that ends in .npz. Received: {path}")
        self.distribution = distribution
        self.every = checks.count("every", every)

    def on_train_begin(self, logs=None):
        self.moments = []
        step = self.model.generator_steps
        if step and self.path.exists():
            past = frames.load_frames(self.path)
            self.moments = [moment for moment in past if moment.step <= step]
        if not self.moments:
            self._record()

    def on_train_batch_end(self, batch, logs=None):
        step = self.model.generator_steps
        last = self.moments[-1].step
        if step >= last + max(self.every, last / 12):
            self._record()

    def on_train_end(self, logs=None):
        step = self.model.generator_steps
        if self.moments[-1].step != step:
            self._record()

    def _record(self):
        moment = frames.frame_of(self.model, self.distribution)
        if not all(
            np.isfinite(x).all() for x in (moment.samples, moment.discriminator)
        ):
            raise watching.diverged(self.model, "the samples or D(x) are not finite")
        self.moments.append(moment)
        frames.save_frames(self.path, self.moments)
