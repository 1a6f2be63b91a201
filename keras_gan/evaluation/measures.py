"""The measures of a protocol, applied to samples, to data and to a discriminator."""

import hashlib
import math

import numpy as np

from keras_gan import critics, metrics, theory
from keras_gan.evaluation import by_class
from keras_gan.evaluation.distances import feature_scores
from keras_gan.evaluation.protocol import Protocol, has_density
from keras_gan.metrics import Extractor
from keras_gan.replicas import predict_locally

# === Samples and examples ===


def check_samples(
    samples, shape: tuple[int, ...], value_range=None, min_samples: int = 2
) -> np.ndarray:
    """Returns samples as float32 `(N, *shape)`, checked once, at the border.

    Args:
        samples: array.
        shape: tuple of int, of one example of the data.
        value_range: (low, high) that the samples of a file are in, as it states; None
            for a generator's own, whose output may be without bounds.
        min_samples: int, how many there must be.

    Raises:
        ValueError: another shape, fewer than `min_samples`, NaN or infinity, or a
            hundredth of the values or more outside `value_range` by a quarter of its
            width: they are of another scale.
    """
    samples = np.asarray(samples)
    if samples.shape[1:] != tuple(shape) or len(samples) < min_samples:
        raise ValueError(
            f"Expected at least {min_samples} samples of shape {(None, *shape)}, as "
            f"the data. Received: {samples.shape}"
        )
    if not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(
            f"Expected float samples in {value_range or 'the range of the data'}. "
            f"Received: {samples.dtype}"
        )
    samples = samples.astype(np.float32, copy=False)
    bad = 0
    # In chunks: a mask of all values takes a quarter of the samples' memory.
    for start in range(0, len(samples), 1024):
        finite = np.isfinite(samples[start : start + 1024])
        bad += np.count_nonzero(~finite.reshape(len(finite), -1).all(axis=1))
    if bad:
        raise ValueError(
            f"Expected finite samples. Received: NaN or infinity in {bad:,} of "
            f"{len(samples):,}; the generator has diverged"
        )
    if value_range is not None:
        _check_scale(samples, value_range)
    return samples


def _check_scale(samples, value_range):
    low, high = value_range
    slack = (high - low) / 4
    outside = np.mean((samples < low - slack) | (samples > high + slack))
    if outside >= 0.01:
        raise ValueError(
            f"Expected samples in {value_range}. Received: values from "
            f"{samples.min():.4g} to {samples.max():.4g}, {outside:.0%} of them far "
            "outside; rescale them, or state their own value_range"
        )


def representative_rows(data, count: int) -> np.ndarray:
    """Returns row numbers of `count` examples that stand for all.

    They are the same every time: the first ones, as in the paper; but evenly spread
    ones where the labels are sorted, as in a folder of classes, whose first images are
    all of one class.

    Args:
        data: `Dataset`.
        count: int; where the data are fewer, all of their rows are returned.
    """
    count = min(count, len(data))
    labels = data.labels
    if labels is None or len(labels) < 2 or (np.diff(labels) < 0).any():
        return np.arange(count)
    return np.arange(count) * len(data) // count


def shared_examples(train, test) -> int:
    """Returns how many test examples are equal, to the last bit, to training examples.

    Args:
        train, test: `Dataset`s.
    """

    def digests(data):
        return (
            hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()
            for image in data.images
        )

    training_digests = set(digests(train))
    return sum(digest in training_digests for digest in digests(test))


# === Scores ===


def score(
    samples,
    train,
    valid,
    test,
    extractor: Extractor | None,
    protocol: Protocol,
    cache_dir,
    progress=None,
    labels=None,
) -> dict:
    """Returns the scores of samples, by `score_points` or by `score_images`.

    The former where the training data have a density.

    Args:
        samples: float32 `(N, *sample_shape)`.
        train, valid, test: `Dataset`s; `valid` and `test` may be None.
        extractor, cache_dir, progress, labels: see `score_images`. Points need none.
        protocol: `Protocol`.

    Raises:
        ValueError: data that have neither a density nor a range, or what the function
            that is called refuses.
    """
    if has_density(train):
        return score_points(samples, train.distribution, protocol.bins)
    return score_images(
        samples, train, valid, test, extractor, protocol, cache_dir, progress, labels
    )


def score_images(
    samples,
    train,
    valid,
    test,
    extractor: Extractor,
    protocol: Protocol,
    cache_dir=None,
    progress=None,
    labels=None,
) -> dict:
    """Scores samples against examples, by every measure that fits the data.

    Args:
        samples: float32 `(N, H, W, C)` in the range of the data.
        train, valid, test: `Dataset`s; `valid` and `test` may be None.
        extractor: `metrics.Extractor`; one with `classes` counts classes too.
        protocol: `Protocol`.
        cache_dir: str or path-like, keeps the features of real images; None does not.
        progress: None, or a function of a stage's name and the share done.
        labels: int `(N,)`, the classes that the samples were asked for, or None.

    Returns:
        dict of floats (and `class_shares` and `by_class`, lists):

        - `log_likelihood` (mean over `test`, nats), `log_likelihood_standard_error`,
          `validation_log_likelihood`, `sigma`, `sigma_at_edge`: the Parzen-window
          estimate, where there are `valid` and `test`; not of stacked digits.
        - those of `feature_scores`, on the extractor's features, against `test`, or
          `train` where there is none.
        - `class_shares`, `classes_covered`, `class_kl_divergence` (nats, to the
          reference's classes), where the extractor is a classifier.
        - those of `by_class.scores_by_class`, where there are `labels` of both sides,
          and `accuracy_of_samples`, see `by_class`, where the extractor is a
          classifier.
        - `inception_score`, `inception_score_standard_deviation`, where the extractor
          has `logits`: over ten splits, fewer where there are fewer samples.
    """
    report_progress = progress or (lambda stage, share: None)
    scores = {}
    # No paper states windows of stacked digits, and those of 26,000 samples take longer
    # than all else.
    is_stacked = isinstance(extractor, metrics.ChannelClassifier)
    if valid is not None and test is not None and not is_stacked:
        scores |= _parzen_scores(samples, valid, test, protocol, report_progress)
    reference = train if test is None else test
    limit = max(10_000, protocol.num_samples)
    if limit < len(reference):
        rows = representative_rows(reference, limit)
        reference = reference.subset(rows, reference.split)
    report_progress("features", 0.0)
    real = metrics.cached_features(extractor, reference, cache_dir)
    report_progress("features", 0.5)
    fake = extractor.features(samples)
    report_progress("features", 1.0)
    scores |= feature_scores(
        real,
        fake,
        protocol.nearest_k,
        protocol.subset_size,
        lambda share: report_progress("distances", share),
    )
    classes = None
    if hasattr(extractor, "classes"):
        classes = extractor.classes(samples)
        scores |= _class_scores(classes, reference, extractor)
    if labels is not None and reference.labels is not None:
        scores |= by_class.scores_by_class(
            real, reference.labels, fake, labels, classes, protocol.nearest_k
        )
        if isinstance(extractor, metrics.Classifier):
            scores["accuracy_of_samples"] = by_class.accuracy_of_samples(
                samples,
                labels,
                reference,
                progress=lambda share: report_progress("classifier of samples", share),
            )
    if hasattr(extractor, "logits"):
        score = metrics.inception_score(extractor.logits(fake), min(10, len(fake)))
        scores["inception_score"] = score.mean
        scores["inception_score_standard_deviation"] = score.standard_deviation
    return scores


def _parzen_scores(samples, valid, test, protocol, report_progress):
    estimate = metrics.parzen_estimate(
        test.examples(),
        valid.examples(representative_rows(valid, protocol.num_validation)),
        samples,
        sigmas=protocol.sigmas,
        progress=lambda share: report_progress("Parzen windows", share),
    )
    return {
        "log_likelihood": estimate.mean,
        "log_likelihood_standard_error": estimate.standard_error,
        "validation_log_likelihood": float(np.max(estimate.validation_means)),
        "sigma": estimate.sigma,
        "sigma_at_edge": estimate.sigma_at_edge,
    }


def _class_scores(classes, reference, classifier):
    counts = np.bincount(reference.labels, minlength=classifier.num_classes)
    counts = counts.astype(float)
    coverage = metrics.class_coverage(
        classes, classifier.num_classes, counts / counts.sum()
    )
    return {
        "class_shares": np.asarray(coverage.shares).tolist(),
        "classes_covered": coverage.classes_covered,
        "class_kl_divergence": coverage.kl_divergence,
    }


def score_points(samples, distribution, bins: int = 100) -> dict:
    """Scores samples in one or more dimensions against the density of their data.

    Args:
        samples: float array `(N, D)`.
        distribution: TFP distribution of the data, an equal mixture of Gaussians.
        bins: int.

    Returns:
        dict of floats. D = 1: `jensen_shannon_divergence`, nats, by a histogram with
        `bins` bins of equal probability under the data. D > 1: `modes_covered`,
        `high_quality_share` and `reverse_kl_divergence`, by the protocol of PacGAN,
        arXiv 1712.04086 (within 3 standard deviations).
    """
    if samples.shape[1] == 1:
        edges = theory.quantile_edges(distribution, bins)
        return {
            "jensen_shannon_divergence": theory.binned_jensen_shannon_divergence(
                samples, distribution, edges
            )
        }
    coverage = metrics.mode_coverage(samples, *metrics.modes_of(distribution))
    return {
        "modes_covered": coverage.modes_covered,
        "high_quality_share": coverage.high_quality_share,
        "reverse_kl_divergence": coverage.reverse_kl,
    }


# === Discriminators ===


def central_intervals(data, gan, share: float = 0.95) -> list:
    """Returns where D is asked about data of one dimension: their central `share`.

    Args:
        data: `Dataset` with a `distribution`, of one dimension; for a conditional GAN a
            mixture whose components are the classes.
        gan: `GAN`.
        share: float in (0, 1).

    Returns:
        list of (low, high): one, or one for each class where the GAN is conditional.
    """
    parts = [data.distribution]
    if gan.is_labelled:
        components = data.distribution.components_distribution
        parts = [components[label] for label in range(data.num_classes)]
    levels = [(1 - share) / 2, (1 + share) / 2]
    return [theory.quantile(part, levels) for part in parts]


def largest_deviation_of_d(gan, intervals, num_points: int = 1001) -> float:
    """Returns max |D(x) - 1/2| over an interval, or max |D(x, y) - 1/2| over several.

    D runs with `training=False`, on `num_points` points of each at equal distances.

    Args:
        gan: `GAN`.
        intervals: see `central_intervals`.
        num_points: int.

    Returns:
        float in [0, 1/2]; NaN where D answers NaN.
    """
    largest = 0.0
    for label, interval in enumerate(intervals):
        x = np.linspace(*interval, num_points, dtype=np.float32)[:, None]
        if gan.is_labelled:
            x = {"samples": x, "labels": np.full(num_points, label, np.int32)}
        answers = predict_locally(gan.discriminator, x, batch_size=num_points)
        logits = critics.logits(answers).astype(np.float64)
        # 1 / (1 + exp(-l)) - 1/2 = tanh(l / 2) / 2, which nothing overflows.
        # Unlike Python's `max`, this one keeps NaN.
        largest = np.maximum(largest, np.max(np.abs(np.tanh(logits / 2))) / 2)
    return float(largest)


def discriminator_accuracy(gan, examples, samples, batch_size: int = 256) -> float:
    """Returns the share of examples and samples that D tells apart, each weighing half.

    By the loss's `boundary`. Where it has none, by the median of all logits.

    Args:
        gan: `GAN`; its discriminator runs with `training=False`.
        examples, samples: what D takes: arrays in the GAN's own scale, or dicts of
            them as "samples" with "labels".
        batch_size: int.

    Returns:
        float in [0, 1]; 1/2 where D cannot tell them apart, NaN where it answers NaN.
    """

    of_examples, of_samples = (
        critics.logits(predict_locally(gan.discriminator, inputs, batch_size))
        for inputs in (examples, samples)
    )
    if np.isnan(of_examples).any() or np.isnan(of_samples).any():
        return math.nan
    boundary = getattr(getattr(gan, "adversarial_loss", None), "boundary", 0.0)
    if boundary is None:
        boundary = np.median(np.concatenate([of_examples, of_samples]))
    found = np.mean(of_examples > boundary), np.mean(of_samples > boundary)
    return float(found[0] + 1 - found[1]) / 2
