"""From a run, or a file of samples, to a table of scores."""

import dataclasses
import functools
import json
import pathlib

import tqdm

from keras_gan import checks, datasets, evaluation, files, metrics
from keras_gan.datasets import stacked_mnist
from keras_gan.metrics.features import inception_2015, inception_weights
from keras_gan.runs import history, provenance
from keras_gan.runs.since_start import progress_since_start
from keras_gan.runs.subjects import subject_of
from keras_gan.streams import ProgressStream

# Samples that show, before the features are made, whether they can be scored.
_NUM_TRIED = 256
_FEATURES = ("auto", "classifier", "pixels", "inception")
# The features of the FID, and how each resizes; a file of weights may follow its name.
_RESIZE_OF = {name: resize for resize, name in inception_2015.NAMES.items()}


@dataclasses.dataclass(frozen=True)
class _Request:
    """How models are to be scored, see `evaluate`."""

    num_samples: int | None = None
    data_dir: str | None = None
    seed: int = 0
    features: str = "auto"
    dataset: str | None = None
    reference: str = "test"
    folder_settings: dict | None = None

    def __post_init__(self):
        """Refuses unknown names before anything is loaded."""
        checks.one_of("reference", self.reference, ("test", "train"))
        name, colon, path = str(self.features).partition(":")
        checks.one_of("features", name, (*_FEATURES, *_RESIZE_OF), "or 'fid:PATH'")
        if colon and (name not in _RESIZE_OF or not path):
            raise ValueError(
                f"Expected the path of a weights file after {', '.join(_RESIZE_OF)} "
                f"alone. Received: features={self.features!r}"
            )
        if name == "classifier" and self.reference == "train":
            raise ValueError(
                "Expected reference='test' with features='classifier', which the test "
                "split must judge. Received: reference='train'; take features='fid'"
            )


def evaluate(
    model,
    num_samples=None,
    data_dir=None,
    seed=0,
    features="auto",
    dataset=None,
    output=None,
    progress=None,
    reference="test",
    folder_settings=None,
):
    """Scores a generator by a stated protocol, and writes the scores as JSON.

    Args:
        model: str or path-like: a run's directory, a `.keras` file in one or of
            `GAN.fit` alone, an exported generator, an `.npz` of samples with `samples`
            and `value_range`, as `generating.write_samples` writes it, or
            "folder:PATH", a folder of images, see `sample_folder.load_folder`.
        num_samples: int, samples to score; by default the protocol's: 10,000 images as
            in the paper, 2,500 points (PacGAN's), 100,000 values in one dimension, and
            all of an `.npz` or a folder.
        data_dir: as for `Run.open`; by default the run's own.
        seed: int, of the samples.
        features: "classifier", trained on the data's labels and cached, "pixels",
            "inception" (Keras's weights), or "auto": the classifier where there are
            labels, else pixels. "fid:PATH" is the FID's own network with its weights in
            a file, "fid" fetches them once, and "fid-clean" and "fid-pytorch" resize in
            another way: see `metrics.Inception2015`.
        dataset: str, for an `.npz`, a folder or a model of `GAN.fit` alone: what its
            samples stand for, see `datasets.load`.
        output: path of the JSON; by default `scores.json` in the run
            (`best.scores.json` of its `best.keras`), or beside the `.npz` or the model
            of `GAN.fit`; of an export or a folder none is written unless this says
            where.
        progress: None, or a function of a row's name, a stage's name and the share of
            the stage that is done, such as `Bars()`.
        reference: "test", what images are compared with, if there is such a split, or
            "train", as published FIDs are: as if there were no other split.
        folder_settings: dict of "background" and "skip_broken" for the folders that
            `model` and `dataset` name, see `datasets.folder.load`; None reads them as a
            training does that sets nothing.

    Returns:
        dict: `model`, `step` (None for an `.npz`), `dataset` (of a folder the end of
        its path, see `datasets.distinct_name`), `folder_settings` (of folders of
        images, where there are any), `protocol` (see
        `evaluation.Protocol`), `protocol_hash`, and `rows`: a dict of scores for
        "samples", for "samples, raw weights" where the run averages its generator's
        weights, and for "training examples", as many or all there are
        (`num_training_examples`), which is what memorising would score; this row is
        left out of images without a test split, which are compared with the training
        examples themselves. Of images with one also `test_examples_in_training`, see
        `evaluation.shared_examples`. Of a GAN of images `pixel_frechet_distance` and,
        of a run, `pixel_frechet_distance_at_start` (`num_pixel_samples` samples of the
        generator and of the same before its first step, which a run that started from
        another one leaves out, to all training data, raw values),
        `discriminator_accuracy`, and for the digits `digits`, see
        `evaluation.digits_report`. Images of more than
        `evaluation.MAX_COVARIANCE_VALUES` values have no Frechet distance of raw
        values; `pixel_frechet_distance_left_out` gives the reason.

    Raises:
        ValueError: no model, too few samples, or samples that do not fit the data.
        OSError: an output that cannot be written.
    """
    request = _Request(
        num_samples, data_dir, seed, features, dataset, reference, folder_settings
    )
    return _evaluate(model, request, output, progress, shared={})


def evaluate_all(models, output=None, progress=None, on_report=None, **options):
    """Scores several generators by one protocol.

    Args:
        models: list of what `evaluate` takes.
        output: path of a JSON. For one model as in `evaluate`; for several it gets
            their reports and the `summary`, by `evaluation.summarize`.
        progress: see `evaluate`.
        on_report: None, or a function of each report, called when it is made.
        **options: of `evaluate`.

    Returns:
        list of dicts of `evaluate`.

    Raises:
        ValueError: as `evaluate`; models that cannot be scored by one protocol.
    """
    on_report = on_report or (lambda report: None)
    request = _Request(**options)
    if len(models) == 1:
        report = _evaluate(models[0], request, output, progress, shared={})
        on_report(report)
        return [report]
    paths = [pathlib.Path(model).resolve() for model in models]
    for path in paths:
        if paths.count(path) > 1:
            raise ValueError(
                f"Expected several models, to tell how they differ. Received: {path} "
                f"{paths.count(path)} times"
            )
    if output is not None:
        _check_output(output)
    reports, shared = [], {}
    for model in models:
        report = _evaluate(model, request, None, progress, shared)
        reports.append(report)
        on_report(report)
        evaluation.check_one_protocol(reports)
    if output is not None:
        summary = evaluation.summarize(reports)
        files.write(output, _as_json({"reports": reports, "summary": summary}))
    return reports


def _evaluate(model, request, output, progress, shared):
    """`evaluate`. What models have in common is found in `shared`, or left there."""
    subject = subject_of(
        model, request.dataset, request.data_dir, request.folder_settings
    )
    output = output or subject.output
    if output is not None:
        _check_output(output)
    report = _Scoring(subject, request, progress, shared).report()
    report = history.without_nan(json.loads(json.dumps(report)))
    if output is not None:  # a published version stays as it is
        files.write(output, _as_json(report))
    return report


def _check_output(path):
    """Raises unless scores can be written: any other file would be lost."""
    files.check_output(path)
    if pathlib.Path(path).suffix != ".json":
        raise ValueError(
            f"Expected an output that ends in .json. Received: {path}, which the "
            "scores would replace"
        )


# === Scores ===


class _Scoring:
    """The scoring of one subject."""

    def __init__(self, subject, request, progress, shared):
        self.subject = subject
        self.request = request
        self.progress = progress or (lambda row, stage, share: None)
        self.shared = shared
        self.train, self.valid, self.test = subject.splits()
        self._check_range()
        if request.reference == "train":
            self.valid = self.test = None
        self.cache_dir = datasets.cache.directory(subject.data_dir)
        self.protocol = evaluation.protocol_for(
            datasets.public_name(subject.data.name),
            subject.data.contrast_normalization,
            self.train,
            self.valid,
            self.test,
            request.num_samples,
            request.seed,
            provenance.environment()["versions"],
        )

    def _check_range(self):
        """Raises ValueError where data are of another range than a model's images."""
        model, train = self.subject.generator, self.train
        if model is None or not model.spec.is_image:
            return
        if model.value_range != train.value_range:
            raise ValueError(
                f"Expected data in {model.value_range}, as the samples of "
                f"{self.subject.model} are. Received: {train.name!r}, in "
                f"{train.value_range}; export the model again, with the value_range of "
                "its data on the card"
            )

    def _check_enough_examples(self):
        """Raises ValueError where an image has too few others to be near to."""
        fewest = self.protocol.nearest_k + 1
        for data in (self.train, self.test):
            if data is not None and self.has_examples and len(data) < fewest:
                instead = "" if data is self.train else ", or take reference='train'"
                raise ValueError(
                    f"Expected at least {fewest} images in split {data.split!r}, to "
                    f"compare samples with. Received: {len(data)}; add images{instead}"
                )

    @property
    def has_examples(self):
        """Whether samples are compared with examples, not with an exact density."""
        return not evaluation.has_density(self.train)

    def checked(self, samples):
        """Returns samples that can be scored.

        Raises:
            ValueError: see `evaluation.check_samples`.
        """
        min_samples = self.protocol.nearest_k + 1 if self.has_examples else 2
        return evaluation.check_samples(
            samples, self.train.spec.shape, min_samples=min_samples
        )

    def report(self):
        """Returns the dict of `evaluate`; NaN and infinity may be in it."""
        gan = self.subject.gan
        self._check_enough_examples()
        rows = self.rows()
        report = {
            "model": str(self.subject.model),
            "step": gan.generator_steps if gan is not None and gan.compiled else None,
            "protocol": {},
            "protocol_hash": "",
            "rows": {},
        }
        name, model = self.subject.data.name, str(self.subject.model)
        report["dataset"] = datasets.distinct_name(name, [model])
        if self.subject.folder_settings:
            report["folder_settings"] = self.subject.folder_settings
        # Before the features, which take minutes: a mistake ends the work here. Few
        # samples show it, and all would be held while a classifier trains.
        count = self.protocol.num_samples
        self.checked(rows["samples"](min(_NUM_TRIED, count)))
        extractor = None
        if self.has_examples:
            extractor = self.extractor()
            self.protocol = dataclasses.replace(
                self.protocol, features=extractor.name, features_key=extractor.key
            )
            if isinstance(extractor, metrics.Classifier | metrics.ChannelClassifier):
                report["classifier_accuracy"] = extractor.test_accuracy
                if self.train.class_names is not None:
                    report["class_names"] = list(self.train.class_names)
        elif self.request.features != "auto":
            raise ValueError(
                "Expected features='auto' for samples that are no images. Received: "
                f"{self.request.features!r}"
            )
        for name, draw in rows.items():
            samples = self.checked(draw(count))
            if name == "samples":
                first_samples = samples[:2000].copy()
            report["rows"][name] = self.scores(name, samples, extractor)
            # Only one row is held at a time: 10,000 images of 64x64x3 take half a
            # gigabyte.
            samples = None
        if "training examples" in rows:
            report["num_training_examples"] = min(
                self.protocol.num_samples, len(self.train)
            )
        report |= self.report_on_images(first_samples, extractor)
        if gan is not None and not self.has_examples and self.train.spec.shape == (1,):
            report["rows"]["samples"]["largest_deviation_of_d"] = (
                evaluation.largest_deviation_of_d(
                    gan, evaluation.central_intervals(self.train, gan)
                )
            )
        report["protocol"] = dataclasses.asdict(self.protocol)
        report["protocol_hash"] = self.protocol.hash
        return report

    def rows(self):
        """Returns the name of each row, and a function that draws n of its samples."""
        subject, request, train = self.subject, self.request, self.train
        if subject.generator is None:
            samples = subject.load_samples(train, request.num_samples)
            samples = samples[: request.num_samples]
            self.protocol = dataclasses.replace(self.protocol, num_samples=len(samples))
            rows = {"samples": lambda count: samples[:count]}
        else:
            rows = {
                "samples": lambda count: subject.generator.generate(
                    count, seed=request.seed
                )
            }
            if subject.gan is not None and subject.gan.averaged_generator is not None:
                rows["samples, raw weights"] = lambda count: subject.gan.generate(
                    count, seed=request.seed, averaged=False
                )
        if not self.has_examples or self.test is not None:
            rows["training examples"] = train.fixed_examples
        return rows

    def scores(self, name, samples, extractor):
        """Returns the scores of one row."""
        # The training examples have the same scores for every model.
        is_shared = name == "training examples"
        key = (name, self.protocol.hash, self.is_conditional)
        if is_shared and key in self.shared:
            return self.shared[key]
        scores = evaluation.score(
            samples,
            self.train,
            self.valid,
            self.test,
            extractor,
            self.protocol,
            self.cache_dir,
            functools.partial(self.progress, name),
            self.labels(name, len(samples)),
        )
        if is_shared:
            self.shared[key] = scores
        return scores

    @property
    def is_conditional(self):
        """Whether the generator is asked for classes."""
        generator = self.subject.generator
        return generator is not None and generator.latent_prior.is_labelled

    def labels(self, name, count):
        """Returns the classes of a row's images, int `(count,)`; None without any."""
        if not self.is_conditional:
            return None
        if name == "training examples":
            return self.train.labels[self.train.fixed_rows(count)]
        prior = self.subject.generator.latent_prior
        return prior.sample(count, self.request.seed)["labels"].numpy()

    def extractor(self):
        """Returns the feature extractor that was asked for."""
        features, data, test = self.request.features, self.train, self.test
        name, _, path = features.partition(":")
        if name in _RESIZE_OF:
            key = (features, data.value_range)
            if key not in self.shared:
                path = path or inception_weights.fetched(self.cache_dir)
                self.shared[key] = metrics.Inception2015(
                    data.value_range, path, _RESIZE_OF[name]
                )
            return self.shared[key]
        if features == "auto":
            labelled = test is not None and None not in (
                data.num_classes,
                test.num_classes,
            )
            features = "classifier" if labelled else "pixels"
        if features == "pixels":
            return metrics.Pixels()
        if features == "inception":
            return metrics.Inception(data.value_range)
        if test is None:
            raise ValueError(
                "Expected a test split, to say what a classifier is worth. Received: "
                f"{data.name!r}, which has none; take pixels or inception for features"
            )
        is_stacked = data.name == stacked_mnist.NAME
        if is_stacked:
            # In the range of the samples, which the classifier's inputs are scaled by.
            data, test = (
                datasets.load("mnist", split, self.subject.data_dir).to_range(
                    data.value_range
                )
                for split in ("train", "test")
            )
        # Without a cache that can be written, one training must still serve all models.
        key = ("classifier", metrics.data_key(data), metrics.data_key(test))
        if key not in self.shared:
            self.shared[key] = metrics.Classifier.trained(
                data,
                test,
                self.cache_dir,
                progress=functools.partial(self.progress, "", "classifier"),
            )
        if is_stacked:
            channels = stacked_mnist.CHANNELS
            return metrics.ChannelClassifier(self.shared[key], channels)
        return self.shared[key]

    def report_on_images(self, samples, extractor):
        """Returns what is reported of images beside the rows."""
        subject, found = self.subject, {}
        if not self.has_examples:
            return found
        if self.test is not None:
            found["test_examples_in_training"] = evaluation.shared_examples(
                self.train, self.test
            )
        if subject.gan is not None:
            found |= progress_since_start(
                subject.gan,
                None if subject.run is None else subject.run.experiment,
                self.train,
                samples,
                self.request.seed,
            )
        left_out = evaluation.why_no_covariance(self.train.spec.num_values)
        if left_out and (subject.gan is not None or extractor.name == "pixels"):
            found["pixel_frechet_distance_left_out"] = left_out
        return found


def _as_json(content):
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


class Bars:
    """Progress bars on a terminal, one after the other; elsewhere a line for each.

    A context manager, which closes the last one, and the function that `evaluate` takes
    as `progress`.
    """

    def __enter__(self):
        self._bar = None
        return self

    def __exit__(self, *error):
        if self._bar is not None:
            self._bar.close()

    def __call__(self, row, stage, share):
        label = f"{row}: {stage}" if row else stage
        if self._bar is None or self._bar.desc != label:
            self.__exit__()
            self._bar = tqdm.tqdm(
                total=1.0,
                desc=label,
                file=ProgressStream(),
                disable=None,  # where the output is no terminal
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}",
            )
            self._bar.desc = label
            if self._bar.disable:
                print(f"{label} ...", file=ProgressStream(), flush=True)
        self._bar.update(share - self._bar.n)
