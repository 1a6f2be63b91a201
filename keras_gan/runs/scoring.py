"""From a run, or a file of samples, to a table of scores."""

import dataclasses
import functools
import inspect
import json
import math
import pathlib

import tqdm

from keras_gan import datasets, evaluation, export, files, metrics
from keras_gan.runs import run as runs
from keras_gan.runs import training
from keras_gan.experiments.presets import Preset


def evaluate(
    model,
    num_samples=None,
    data_dir=None,
    seed=0,
    features="auto",
    dataset=None,
    output=None,
):
    """Scores a generator by a stated protocol, and writes the scores as JSON.

    Args:
        model: str or path-like: a run's directory, a `.keras` file in one, an
            exported generator, or an `.npz` of samples with `samples` and
            `value_range`, as `scripts/generate.py` writes it.
        num_samples: int, samples to score; by default the protocol's: 10,000 images as
            in the paper, 2,500 points (PacGAN's), 100,000 values in one dimension, and
            all of an `.npz`.
        data_dir: as for `train`; by default the run's own.
        seed: int, of the samples.
        features: "classifier", trained on the data's labels and cached, "pixels",
            "inception", or "auto": the classifier where there are labels, else pixels.
        dataset: str, for an `.npz`: what its samples stand for, see `datasets.load`.
        output: path of the JSON; by default `scores.json` in the run
            (`best.scores.json` of its `best.keras`), or beside the `.npz`; of an export
            none is written unless this says where.

    Returns:
        dict: `model`, `step` (None for an `.npz`), `protocol` (see
        `evaluation.Protocol`), `protocol_hash`, and `rows`: a dict of scores for
        "samples", for "samples, raw weights" where the run averages its generator's
        weights, and for "training examples", as many or all there are
        (`num_training_examples`), which is what memorising would score; this row is
        left out of images without a test split, which are compared with the training
        examples themselves. Of images with one also `test_examples_in_training`, see
        `evaluation.shared_examples`. Of a run on images `pixel_frechet_distance` and
        `pixel_frechet_distance_at_start` (`num_pixel_samples` samples of the generator
        and of the same before its first step, to all training data, raw values),
        `discriminator_accuracy`, and for the digits `digits`, see
        `evaluation.digits_report`. Images of more than
        `evaluation.MAX_COVARIANCE_VALUES` values have no Frechet distance of raw
        values; `pixel_frechet_distance_left_out` gives the reason.

    Raises:
        ValueError: no model, too few samples, or samples that do not fit the data.
        OSError: an output that cannot be written.
    """
    return _evaluate(
        model, num_samples, data_dir, seed, features, dataset, output, known={}
    )


def _evaluate(model, num_samples, data_dir, seed, features, dataset, output, known):
    """`evaluate`. What models share is found in `known`, or left there."""
    model = pathlib.Path(model)
    if model.suffix == ".npz":
        if dataset is None:
            raise ValueError(
                f"Expected the dataset that {model} stands for. Received: none; pass "
                "--dataset"
            )
        gan = generator = None
        preset = _preset_for(dataset)
        output = output or model.with_suffix(".scores.json")
    elif not (model / runs.MODEL).exists() and export.is_export(model):
        gan, generator = None, export.ExportedGenerator(model)
        dataset = dataset or generator.card.get("dataset")
        if dataset is None:
            raise ValueError(
                f"Expected the dataset that {model} stands for: its card names none. "
                "Received: none; pass --dataset"
            )
        preset = dataclasses.replace(
            _preset_for(dataset),
            contrast_normalization=generator.card.get("contrast_normalization", False),
        )
    else:
        workdir = model.parent if model.suffix == ".keras" else model
        best = model.name == runs.BEST
        output = output or workdir / (runs.BEST_SCORES if best else runs.SCORES)
        config = runs.load_config(workdir)
        if dataset not in (None, config["preset"]["dataset"]):
            raise ValueError(
                f"Expected no dataset, or the run's {config['preset']['dataset']!r}. "
                f"Received: {dataset!r}"
            )
        preset = training.get_preset(config["preset"]["name"], config["preset"])
        data_dir = data_dir or config["data_dir"]
        gan = generator = runs.load_gan(model)
    if output is not None:
        files.check_output(output)
    train_data, valid, test = training.splits(preset, data_dir)
    protocol = evaluation.protocol_for(
        preset.dataset,
        preset.contrast_normalization,
        train_data,
        valid,
        test,
        num_samples,
        seed,
        training.environment()["versions"],
    )
    if generator is None:
        samples = runs.load_samples(model, train_data)[:num_samples]
        protocol = dataclasses.replace(protocol, num_samples=len(samples))
    else:
        samples = generator.generate(protocol.num_samples, seed=seed)
    images = not evaluation.has_density(train_data)
    min_samples = protocol.nearest_k + 1 if images else 2
    samples = evaluation.check_samples(
        samples, train_data.spec.shape, min_samples=min_samples
    )
    some_samples = samples[:2000].copy()
    # Each row is drawn when its turn comes, and only one is held: 10,000 images of
    # 64x64x3 take half a gigabyte.
    rows = {"samples": lambda: samples}
    if gan is not None and gan.averaged_generator is not None:
        rows["samples, raw weights"] = lambda: gan.generate(
            protocol.num_samples, seed=seed, averaged=False
        )
    if not images or test is not None:
        rows["training examples"] = lambda: train_data.some(protocol.num_samples)
    report = {
        "model": str(model),
        "step": None if gan is None else gan.generator_steps,
        "protocol": {},
        "protocol_hash": "",
        "rows": {},
    }
    with _Bars() as bars:
        extractor, cache_dir = None, datasets.cache.directory(data_dir)
        if images:
            extractor = _extractor(features, train_data, test, cache_dir, bars, known)
            protocol = dataclasses.replace(
                protocol, features=extractor.name, features_key=extractor.key
            )
            if isinstance(extractor, metrics.Classifier):
                report["classifier_accuracy"] = extractor.test_accuracy
        elif features != "auto":
            raise ValueError(
                "Expected features='auto' for samples that are no images. Received: "
                f"{features!r}"
            )
        for name, draw in rows.items():
            # The training examples have the same scores for every model.
            key = (name, protocol.hash) if name == "training examples" else None
            scores = known.get(key)
            if scores is None:
                scores = evaluation.score(
                    evaluation.check_samples(
                        draw(), train_data.spec.shape, min_samples=min_samples
                    ),
                    train_data,
                    valid,
                    test,
                    extractor,
                    protocol,
                    cache_dir,
                    functools.partial(bars, name),
                )
            if key is not None:
                known[key] = scores
            report["rows"][name] = scores
            samples = None  # the first row: freed before the next is drawn
    if "training examples" in rows:
        report["num_training_examples"] = min(protocol.num_samples, len(train_data))
    if images and test is not None:
        report["test_examples_in_training"] = evaluation.shared_examples(
            train_data, test
        )
    if gan is not None and not images:
        if train_data.spec.num_values == 1:
            report["rows"]["samples"]["largest_deviation_of_d"] = (
                evaluation.largest_deviation_of_d(
                    gan, evaluation.central_interval(train_data.distribution)
                )
            )
    elif gan is not None:
        report |= _progress_since_start(gan, preset, train_data, some_samples, seed)
    if images:
        left_out = evaluation.why_no_covariance(train_data.spec.num_values)
        if left_out is not None and (gan is not None or extractor.name == "pixels"):
            report["pixel_frechet_distance_left_out"] = left_out
    report["protocol"] = dataclasses.asdict(protocol)
    report["protocol_hash"] = protocol.hash
    report = _without_nan(json.loads(json.dumps(report)))
    if output is not None:  # a published version stays as it is
        files.write(output, _as_json(report))
    return report


def evaluate_all(models, output=None, **options):
    """Scores several generators and prints the tables, with means over them.

    Args:
        models: list of what `evaluate` takes.
        output: path of a JSON. For one model as in `evaluate`; for several it gets
            their reports and the `summary`, by `evaluation.summarize`.
        **options: of `evaluate`.

    Returns:
        list of dicts of `evaluate`.

    Raises:
        ValueError: as `evaluate`; models that cannot be scored by one protocol.
    """
    if len(models) == 1:
        reports = [evaluate(models[0], output=output, **options)]
        print(evaluation.format_report(reports[0]))
        return reports
    paths = [pathlib.Path(model).resolve() for model in models]
    for path in paths:
        if paths.count(path) > 1:
            raise ValueError(
                f"Expected several models, to tell how they differ. Received: {path} "
                f"{paths.count(path)} times"
            )
    if output is not None:
        files.check_output(output)
    settings = {
        name: parameter.default
        for name, parameter in inspect.signature(evaluate).parameters.items()
        if name not in ("model", "output")
    }
    reports, known = [], {}
    for model in models:
        reports.append(
            _evaluate(model, output=None, known=known, **{**settings, **options})
        )
        print(evaluation.format_report(reports[-1]), end="\n\n")
        evaluation.check_one_protocol(reports)
    summary = evaluation.summarize(reports)
    print(evaluation.format_summary(reports, summary))
    if output is not None:
        files.write(output, _as_json({"reports": reports, "summary": summary}))
    return reports


def _as_json(content):
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _without_nan(content):
    """JSON knows no NaN and no infinity: None stands for them."""
    if isinstance(content, dict):
        return {name: _without_nan(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_without_nan(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content


def _preset_for(dataset):
    """Some preset on this dataset: how the data are read and normalised."""
    return Preset(
        name="samples",
        source="",
        dataset=dataset,
        networks="",
        epochs=1,
        generator_learning_rate=1.0,
        discriminator_learning_rate=1.0,
    )


def _extractor(features, data, test, cache_dir, bars, known):
    """The feature extractor of this name for images like `data`."""
    names = ("auto", "classifier", "pixels", "inception")
    if features not in names:
        raise ValueError(
            f"Expected features among {', '.join(names)}. Received: {features!r}."
            f"{training.did_you_mean(features, names)}"
        )
    if features == "auto":
        labelled = test is not None and None not in (data.num_classes, test.num_classes)
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
    # Without a cache that can be written, one training must still serve all models.
    key = ("classifier", metrics.data_key(data), metrics.data_key(test))
    if key not in known:
        known[key] = metrics.Classifier.trained(
            data, test, cache_dir, progress=functools.partial(bars, "", "classifier")
        )
    return known[key]


def _progress_since_start(gan, preset, data, samples, seed):
    """Scores a run on images against its own start, and its discriminator.

    Args:
        gan: `GAN` of the run.
        preset: `Preset` that it was built by.
        data: `Dataset` that it was trained on.
        samples: float32 `(N, *image_shape)`, the generator's.
        seed: int, that they were drawn with.

    Returns:
        dict, the part of `evaluate`'s report that speaks of them.
    """
    report = {}
    left_out = evaluation.why_no_covariance(data.spec.num_values)
    if left_out is None:
        first_samples = training.build(preset, data).generate(len(samples), seed=seed)
        moments = evaluation.data_moments(data)
        distance, first_distance = (
            metrics.frechet_distance(metrics.Moments().update(drawn), moments)
            for drawn in (samples, first_samples)
        )
        report = {
            "num_pixel_samples": len(samples),
            "pixel_frechet_distance": distance,
            "pixel_frechet_distance_at_start": first_distance,
        }
    report["discriminator_accuracy"] = evaluation.discriminator_accuracy(
        gan, data.some(len(samples)), samples
    )
    # The table holds the other split back, and reads pixels from 0 to 1.
    if (data.name, data.split, data.value_range) == ("digits", "train", (0.0, 1.0)):
        report["digits"] = evaluation.digits_report(
            gan.generate(1000, seed=seed), data, datasets.load("digits", "test")
        )
    return report


class _Bars:
    """Progress bars on a terminal, one after the other; silent elsewhere."""

    def __enter__(self):
        self._bar = None
        return self

    def __exit__(self, *error):
        if self._bar is not None:
            self._bar.close()

    def __call__(self, row, stage, share):
        words = f"{row}: {stage}" if row else stage
        if self._bar is None or self._bar.desc != words:
            self.__exit__()
            self._bar = tqdm.tqdm(
                total=1.0,
                desc=words,
                disable=None,  # where the output is no terminal
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}",
            )
            self._bar.desc = words
        self._bar.update(share - self._bar.n)
