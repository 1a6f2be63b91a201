"""What a page can do with a generator: each action a method, held to limits."""

import dataclasses
import functools
import pathlib
import threading
import time

import numpy as np
import tensorflow as tf
from PIL import Image

from keras_gan import checks, inference, pictures, runs
from keras_gan.datasets.image_files import UnreadableImages
from keras_gan.demo.drawn import Drawn
from keras_gan.demo.limits import Limits
from keras_gan.inference.projection import with_labels
from keras_gan.pictures import formats, grids
from keras_gan.runs import figures, generating, given_images
from keras_gan.runs.run import CONFIG
from keras_gan.samples import finite

# Samples that attributes are measured on, to find directions: as many as a few seconds
# allow, at least so many that a direction in some hundred latents is more than noise.
_NUM_MEASURED, _LEAST_MEASURED = 2000, 500
_SECONDS_OF_MEASURING = 5.0
# Held-out examples, and samples, that D is calibrated by.
_NUM_CALIBRATED, _LEAST_CALIBRATED = 2000, 200
# Steps of the descent to latents, where the time allows, and the fewest.
_STEPS, _LEAST_STEPS = 300, 50
_RESTARTS = 2
# A step with gradients takes about as long as so many samples, and this at least.
_SAMPLES_OF_A_STEP, _SECONDS_OF_A_STEP = 4, 0.003
# How far the neighbours of a projection are, as a share of the way to other draws.
_NEIGHBOURHOOD = 0.3
_FRAMES, _FRAME_MILLISECONDS = 24, 60
# Colours of the frames around the picks: the first, and the one that a way leads to.
FIRST_COLOR, SECOND_COLOR = (255, 140, 0), (0, 150, 255)


class Studio:
    """A generator of images, and what a page can do with it.

    Args:
        model: str or path-like, a run, a `.keras` file or an export.
        data_dir: where a run's data are now; None where the run had them.
        limits: `Limits` of each action.

    Attributes:
        name: str, what the model is called.
        generator: a `GAN` or an `export.ExportedGenerator`.
        spec: `SampleSpec` of its samples, images.
        run: `Run`, or None.
        class_names: list of str, the classes to choose from; None without any.
        class_numbers: list of int, their numbers; None without any.
        attributes: list of str, what `edit` can change; may be empty.
        limits: `Limits`, with fewer samples where the generator is slow.

    Raises:
        ValueError: no model, or one whose samples are no images.
    """

    def __init__(self, model, data_dir=None, limits=None):
        model = pathlib.Path(model)
        self.limits = limits or Limits()
        self.generator = runs.load_generator(model)
        self.spec = self.generator.spec
        grids.check_images(self.spec)
        # Cached: it may read all files of the training's folder.
        self._trained_bits = functools.cache(
            functools.partial(given_images.trained_bits, model, self.generator)
        )
        is_run = (model / CONFIG).is_file()
        self.run = runs.Run.open(model, data_dir) if is_run else None
        resolved = model.resolve()
        is_version = resolved.name.isdecimal()
        self.name = resolved.parent.name if is_version else resolved.stem
        self.class_names = self.class_numbers = None
        prior = self.generator.latent_prior
        if prior.classes is not None:
            self.class_numbers = [int(number) for number in prior.classes]
            names = prior.class_names or [str(n) for n in range(prior.num_classes)]
            self.class_names = [names[number] for number in self.class_numbers]
        self._graph = tf.function(self.generator, reduce_retracing=True)
        self._lock = threading.Lock()
        self._directions = {}
        self._measure()

    # === What it cannot do ===

    @functools.cached_property
    def missing(self) -> dict[str, str]:
        """What is not possible with this model: names of parts to what they need.

        The parts are "reject", "training", "truncation" and "edit".
        """
        found = {}
        if self.run is None:
            found["reject"] = (
                "Choosing samples by D needs the directory of a run: its discriminator "
                "and its held-out examples. An export has neither."
            )
            found["training"] = (
                "Curves and health need the directory of a run, which holds the logs "
                "of its training: keras-gan demo --model=runs/NAME."
            )
        prior = self.generator.latent_prior
        try:
            prior.truncated(prior.sample(1, 0), 1.0)
        except ValueError as reason:
            found["truncation"] = f"Truncation needs another prior. {reason}."
        if not self.attributes:
            found["edit"] = (
                "Sliders need latents that can move continuously, and samples that "
                "differ. This model has no such latents, or makes one picture only."
            )
        return found

    # === Samples ===

    def draw(self, num_samples, seed, label=None, truncation=None, reject=False):
        """Draws samples: those of `keras-gan generate` with this seed.

        Args:
            num_samples: int in [1, `limits.num_samples`].
            seed: int in [0, 2**32).
            label: int, the class of all; None draws classes, where there are any.
            truncation: float in [0, 1], or None.
            reject: bool, whether samples are chosen by D, see `inference.resample`.
                They are not truncated then.

        Returns:
            `Drawn`.

        Raises:
            ValueError: another number, seed or class; a part that is `missing`.
            TimeoutError: D accepts too few samples to be done in time.
        """
        most = self.limits.num_samples
        num_samples = checks.count("num_samples", num_samples, maximum=most)
        seed = checks.count("seed", seed, minimum=0, maximum=2**32 - 1)
        if reject:
            return self._chosen(num_samples, seed, label)
        latents, labels = self._latents(num_samples, seed, label, truncation)
        # To the last bit those of `generate`, which Keras takes longer for than a
        # slider can wait.
        samples = self.generator.samples_of(with_labels(latents, labels))
        return Drawn(samples, latents, labels)

    def _latents(self, num_samples, seed, label, truncation=None):
        """Returns latents float32 `(n, L)` and labels int32 `(n,)` or None."""
        prior = self.generator.latent_prior
        drawn = prior.truncated(prior.sample(num_samples, seed), truncation)
        latents, labels = drawn, None
        if isinstance(drawn, dict):
            latents, labels = drawn["latents"], np.asarray(drawn["labels"])
        if label is not None:
            labels = prior.labels_of(label, num_samples)
        return np.asarray(latents), labels

    def _samples_of(self, latents, labels=None):
        """Returns the `Drawn` of latents, at the pace of a slider."""
        samples = self._graph(with_labels(latents, labels)).numpy()
        return Drawn(finite(samples), latents, labels)

    def _chosen(self, num_samples, seed, label):
        """Returns the `Drawn` of samples that D accepts."""
        if "reject" in self.missing:
            raise ValueError(self.missing["reject"])
        progress = self.limits.deadline()
        with self._lock:
            calibration = self._calibration
        found = inference.resample(
            self.generator,
            num_samples,
            calibration=calibration,
            seed=seed,
            labels=label,
            burn_in=self._num_calibrated,
            progress=progress,
        )
        return Drawn(found.samples, found.latents, found.labels)

    @functools.cached_property
    def _calibration(self):
        """`inference.Calibration` of D by held-out examples."""
        held_out = [data for data in self.run.splits()[1:] if data is not None]
        if not held_out or self._num_calibrated < _LEAST_CALIBRATED:
            raise ValueError(
                "Choosing samples by D needs held-out examples and a fast generator. "
                "This model has none, or is too slow here; use keras-gan resample"
            )
        data = given_images.in_range_of(held_out[0], self.spec)
        return inference.calibrate(
            self.generator, data, "isotonic", num_samples=self._num_calibrated
        )

    @property
    def _num_calibrated(self):
        # The examples, as many samples, and the samples of the burn-in.
        fast = self.limits.seconds / 4 / self._seconds_of_a_sample
        return int(min(_NUM_CALIBRATED, fast))

    def grid(self, drawn, first=None, second=None) -> np.ndarray:
        """Draws samples as a grid, with frames around two of them.

        Args:
            drawn: `Drawn`.
            first, second: ints, numbers of the picks, or None.

        Returns:
            uint8 `(height, width, 1 or 3)`.
        """
        columns = self._columns(drawn)
        picture = grids.grid(grids.visible(drawn.samples, self.spec), columns)
        frames = {second: SECOND_COLOR, first: FIRST_COLOR}
        frames.pop(None, None)
        if frames:
            picture = grids.framed(picture, self.spec.shape, columns, frames)
        return grids.enlarge(picture)

    def number_at(self, drawn, x, y) -> int:
        """Returns which sample a click on `grid` at pixel (x, y) meant."""
        shape, columns = self.spec.shape, self._columns(drawn)
        number = grids.number_at(x, y, self.grid(drawn).shape, shape, columns)
        return min(number, len(drawn) - 1)

    @staticmethod
    def _columns(drawn):
        return int(np.ceil(np.sqrt(len(drawn))))

    # === Edits ===

    def edit(self, first, second, amounts=(), share=0.0, label=None) -> Drawn:
        """Moves a sample towards another, and along directions.

        Args:
            first, second: `Drawn` of length 1, where a way starts and ends.
            amounts: float for each of `attributes`, see `inference.moved`.
            share: float in [0, 1] of the way, or several.
            label: int, the class to draw. With None a way from class to class changes
                it where half of the way is done.

        Returns:
            `Drawn`, one for each share.
        """
        way, labels = [], []
        amounts = np.asarray(amounts, np.float32)
        for each in np.atleast_1d(share):
            latents = inference.between(
                self.generator, first.latents, second.latents, each
            )
            own = (first if each < 0.5 else second).label if label is None else label
            if amounts.any():
                step = amounts @ self._directions_of(own)
                latents = inference.moved(self.generator, latents, step, 1.0)
            way.append(latents)
            labels.append(own)
        prior = self.generator.latent_prior
        labels = None if labels[0] is None else prior.labels_of(labels, len(labels))
        return self._samples_of(np.concatenate(way), labels)

    def film(self, first, second, amounts=(), label=None) -> bytes:
        """Films the way from one sample to another and back.

        Args:
            first, second, amounts, label: see `edit`.

        Returns:
            bytes of an animated GIF.
        """
        shares = np.linspace(0, 1, _FRAMES)
        drawn = self.edit(first, second, amounts, shares, label)
        frames = [
            grids.enlarge(picture, 320)
            for picture in grids.visible(drawn.samples, self.spec)
        ]
        return formats.encode_gif([*frames, *frames[-2:0:-1]], _FRAME_MILLISECONDS)

    def _measure(self):
        """Measures how fast samples are, and what directions there are."""
        one = self._samples_of(*self._latents(1, 0, None))  # the graph is made here
        for size in (1, 4, 16, 64):
            latents, labels = self._latents(size, 0, None)
            self._samples_of(latents, labels)  # for another size maybe anew
            start = time.monotonic()
            self._samples_of(latents, labels)
            seconds = max(time.monotonic() - start, 1e-4)
            if seconds > 0.2:
                break
        seconds /= size
        self._seconds_of_a_sample = seconds
        most = max(1, min(self.limits.num_samples, int(self.limits.seconds / seconds)))
        self.limits = dataclasses.replace(self.limits, num_samples=most)
        fast = int(_SECONDS_OF_MEASURING / seconds)
        self._num_measured = min(_NUM_MEASURED, max(_LEAST_MEASURED, fast))
        first_class = self.class_numbers[0] if self.class_numbers else None
        self.attributes = list(inference.attributes_of(one.samples, self.spec))
        try:
            found = self._directions_of(first_class).any()
        except ValueError:  # discrete latents have no directions
            found = False
        if not found:
            self.attributes = []

    def _directions_of(self, label):
        """Returns the directions of `attributes` in a class, float32 `(A, L)`.

        That of an attribute which all samples have alike is 0.
        """
        with self._lock:
            if label not in self._directions:
                self._directions[label] = self._find_directions(label)
            return self._directions[label]

    def _find_directions(self, label):
        drawn = self._samples_of(*self._latents(self._num_measured, 0, label))
        measured = inference.attributes_of(drawn.samples, self.spec).values()
        found = np.zeros((len(measured), drawn.latents.shape[1]), np.float32)
        vary = [row for row, values in enumerate(measured) if np.ptp(values) > 0]
        if vary:
            values = np.stack(list(measured), axis=1)[:, vary]
            found[vary] = inference.directions(self.generator, drawn.latents, values)
        return found

    # === Given pictures ===

    def load(self, path, invert=False) -> np.ndarray:
        """Reads an uploaded picture, as the generator would make it.

        Args:
            path: str or path-like.
            invert: bool, whether light becomes dark.

        Returns:
            float32 `spec.shape` in `spec.value_range`.

        Raises:
            ValueError: no picture, or one that is too large.
        """
        path = pathlib.Path(path)
        if path.stat().st_size > self.limits.max_bytes:
            raise ValueError(
                f"Expected a file of at most {self.limits.max_bytes / 2**20:.0f} MiB. "
                f"Received: {path.name}, of {path.stat().st_size / 2**20:.1f} MiB; "
                "choose a smaller picture"
            )
        try:
            most, bits = self.limits.max_pixels, self._trained_bits
            return given_images.load_picture(path, self.spec, most, invert, bits)
        except UnreadableImages as error:
            # The path of the upload tells nobody anything.
            (reason,) = error.reasons.values()
            raise ValueError(
                "Expected a picture in a PNG, JPEG, WebP, GIF, BMP or TIFF file. "
                f"Received: {path.name} ({reason}); choose another file"
            ) from error

    def picture(self, images, columns=None) -> np.ndarray:
        """Returns a picture of images `(n, *spec.shape)`, uint8 `(H, W, 1 or 3)`."""
        return grids.sample_picture(np.asarray(images), self.spec, columns=columns)

    def project(self, image, label=None):
        """Finds the latents of a picture, and the samples in their neighbourhood.

        The neighbours lie a part of the way from these latents to draws of the prior.

        Args:
            image: float32 `spec.shape`, see `load`.
            label: int, its class; None tries all, where there are any.

        Returns:
            (found, error, neighbours): `Drawn` of length 1; float, the mean squared
            error of a value, each in [0, 1]; `Drawn` of length 9.

        Raises:
            ValueError: a prior without coordinates.
            TimeoutError: it took too long.
        """
        classes = len(self.class_numbers or [None]) if label is None else 1
        found = inference.project(
            self.generator,
            image[None],
            steps=self._steps(_RESTARTS * classes),
            restarts=_RESTARTS,
            labels=label,
            progress=self.limits.deadline("choose its class" if classes > 1 else None),
        )
        latents, label = found.latents, None
        if found.labels is not None:
            label = int(found.labels[0])
        projected = self._samples_of(latents, found.labels)
        others = self.draw(9, seed=0, label=label)
        latents = inference.between(
            self.generator, latents, others.latents, _NEIGHBOURHOOD
        )
        low, high = self.spec.value_range
        error = float(found.errors[0]) / (high - low) ** 2
        return projected, error, self._samples_of(latents, others.labels)

    def complete(self, image, hidden, label=None) -> np.ndarray:
        """Completes a picture of which a part is hidden, in six ways.

        Args:
            image: float32 `spec.shape`, see `load`.
            hidden: bool `(H, W)`, of the samples' size or a multiple, see `shrunk`.
            label: int, its class; None leaves it open.

        Returns:
            float32 `(6, *spec.shape)`, that of the least error first.

        Raises:
            ValueError: nothing that is hidden, or all.
            TimeoutError: it took too long.
        """
        hidden = self.shrunk(hidden)
        if not hidden.any() or hidden.all():
            raise ValueError(
                "Expected a part of the picture to be painted over, and a part not. "
                f"Received: {'all' if hidden.any() else 'nothing'} painted; paint over "
                "what is to be completed"
            )
        count = 6
        found = inference.complete(
            self.generator,
            image[None],
            ~hidden,
            num_completions=count,
            steps=self._steps(count * _RESTARTS),
            restarts=_RESTARTS,
            labels=label,
            progress=self.limits.deadline(),
        )
        return found.completions[0]

    def shrunk(self, hidden) -> np.ndarray:
        """Returns which pixels of a sample are hidden by paint on a larger picture.

        Args:
            hidden: bool `(height, width)`, of any size.

        Returns:
            bool `(H, W)`: at least half of the pixel's place is painted.
        """
        height, width, _ = self.spec.shape
        image = Image.fromarray(np.asarray(hidden, bool).astype(np.uint8) * 255)
        return np.asarray(image.resize((width, height), Image.Resampling.BOX)) >= 128

    def _steps(self, restarts):
        """Returns the steps of a descent that half of the time allows."""
        step = restarts * _SAMPLES_OF_A_STEP * self._seconds_of_a_sample
        fast = self.limits.seconds / 2 / (step + _SECONDS_OF_A_STEP)
        return int(np.clip(fast, _LEAST_STEPS, _STEPS))

    # === The training ===

    def diagnosis(self):
        """Returns the `pictures.Diagnosis` of the run's training.

        Raises:
            ValueError: no run, or data that are not where they were.
        """
        self._check_run()
        with self._lock:
            data = self.run.data()
        return figures.diagnose(self.run, self.generator, data)

    def curves(self) -> np.ndarray:
        """Returns the curves of the run's training, uint8 `(H, 1000, 3)`.

        Raises:
            ValueError: no run, or one without logs.
            ModuleNotFoundError: matplotlib is not installed.
        """
        self._check_run()
        return pictures.training_curves(self.run.metrics())

    def snapshots(self):
        """Returns pictures of samples over the training, see `Run.snapshots`."""
        self._check_run()
        return self.run.snapshots()

    def _check_run(self):
        if self.run is None:
            raise ValueError(self.missing["training"])

    # === Files ===

    def write(self, path, drawn):
        """Writes samples as `keras-gan generate` does, a `.png` or a `.npz`.

        Args:
            path: `pathlib.Path`.
            drawn: `Drawn`.
        """
        generating.write_file(path, drawn.samples, self.spec, drawn.labels)
