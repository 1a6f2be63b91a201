"""A generator and a dataset in, scores out, by a protocol that is stated."""

import dataclasses
import hashlib
import json

import numpy as np

from keras_gan import metrics, theory
from keras_gan.replicas import predict_locally

# Widths, in grey levels of 0..16, among which the best is taken.
DIGITS_PARZEN_WIDTHS = np.geomspace(0.75, 6.0, 13)

# Table 1 of the paper: Parzen-window log-likelihood, nats, and the paper's +-: the
# standard error over test examples (MNIST) and over folds (TFD).
PUBLISHED = {
    "mnist": {
        "DBN": (138.0, 2.0),
        "Stacked CAE": (121.0, 1.6),
        "Deep GSN": (214.0, 1.1),
        "Adversarial nets": (225.0, 2.0),
    },
    "tfd": {
        "DBN": (1909.0, 66.0),
        "Stacked CAE": (2110.0, 50.0),
        "Deep GSN": (1890.0, 29.0),
        "Adversarial nets": (2057.0, 26.0),
    },
}


# Of `ValidationScores`, with whether more of it is better.
VALIDATION_SCORES = {
    "validation_log_likelihood": True,
    "pixel_frechet_distance": False,
    "jensen_shannon_divergence": False,
    "largest_deviation_of_d": False,
    "modes_covered": True,
    "high_quality_share": True,
    "reverse_kl_divergence": False,
}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Everything that a table of scores depends on, besides the samples.

    Attributes:
        dataset: str.
        train, valid, test: (split, number of examples, digest of them), or None where
            there is none. Samples are compared with `test` (`train`, where there is
            none), and `valid` chooses the Parzen windows' width. No digest where an
            exact density takes the place of examples.
        contrast_normalization: bool, as in the preset.
        value_range: (low, high) of the values, or None.
        num_samples, sample_seed: ints.
        num_validation: int, examples that the width is chosen on.
        sigmas: widths to choose from, in units of the values.
        features: str, the name of the feature extractor; `features_key`, a digest of
            what its features depend on.
        nearest_k: int, of precision, recall, density and coverage.
        subset_size: int, of the kernel distance.
        bins: int, of the histogram of one-dimensional samples.
        versions: dict of package versions.
    """

    dataset: str
    train: tuple
    valid: tuple | None
    test: tuple | None
    contrast_normalization: bool
    value_range: tuple | None
    num_samples: int
    sample_seed: int
    num_validation: int = 1000
    sigmas: tuple = tuple(metrics.PAPER_SIGMAS.tolist())
    features: str = "none"
    features_key: str = "none"
    nearest_k: int = 5
    subset_size: int = 1000
    bins: int = 100
    versions: dict = dataclasses.field(default_factory=dict)

    @property
    def hash(self):
        """12 hexadecimal digits: scores of one hash can be compared."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def check_samples(samples, shape, value_range=None, least=2):
    """Samples as float32 `(N, *shape)`, checked once, at the border.

    Args:
        samples: array.
        shape: tuple of int, of one example of the data.
        value_range: (low, high) that samples from elsewhere are said to be in; None for
            a generator's own, which may be without bounds at its output.
        least: int, how many it takes.

    Raises:
        ValueError: another shape, fewer than `least`, NaN or infinity, or a hundredth
            of the values or more outside `value_range` by a quarter of its width: they
            are of another scale.
    """
    samples = np.asarray(samples)
    if samples.shape[1:] != tuple(shape) or len(samples) < least:
        raise ValueError(
            f"Expected at least {least} samples of shape {(None, *shape)}, as the "
            f"data. Received: {samples.shape}"
        )
    if not np.issubdtype(samples.dtype, np.floating):
        raise ValueError(
            f"Expected float samples in {value_range or 'the range of the data'}. "
            f"Received: {samples.dtype}"
        )
    samples = samples.astype(np.float32, copy=False)
    bad = ~np.isfinite(samples).reshape(len(samples), -1).all(axis=1)
    if bad.any():
        raise ValueError(
            f"Expected finite samples. Received: NaN or infinity in {bad.sum():,} of "
            f"{len(samples):,}; the generator has diverged"
        )
    if value_range is not None:
        low, high = value_range
        slack = (high - low) / 4
        outside = np.mean((samples < low - slack) | (samples > high + slack))
        if outside >= 0.01:
            raise ValueError(
                f"Expected samples in {value_range}. Received: values from "
                f"{samples.min():.4g} to {samples.max():.4g}, {outside:.0%} of them "
                "far outside; rescale them, or state their own value_range"
            )
    return samples


def some_rows(data, count):
    """Row numbers of `count` examples that stand for all, the same ones every time.

    The first, as the paper takes them; evenly spread ones where the labels are sorted,
    as in a folder of classes, whose first images are all of one class.
    """
    count = min(count, len(data))
    labels = data.labels
    if labels is None or len(labels) < 2 or (np.diff(labels) < 0).any():
        return np.arange(count)
    return np.arange(count) * len(data) // count


def shared_examples(train, test):
    """How many test examples are, to the last bit, training examples too."""

    def digests(data):
        return (
            hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()
            for image in data.images
        )

    known = set(digests(train))
    return sum(digest in known for digest in digests(test))


def score_images(
    samples, train, valid, test, extractor, protocol, cache_dir=None, progress=None
):
    """Scores samples as images, by every measure that fits the data.

    Args:
        samples: float32 `(N, H, W, C)` in the range of the data.
        train, valid, test: `Dataset`s; `valid` and `test` may be None.
        extractor: see `metrics.features`; one with `classes` counts classes too.
        protocol: `Protocol`.
        cache_dir: str or path-like, keeps the features of real images; None does not.
        progress: None, or a function of a stage's name and the share done.

    Returns:
        dict of floats (and `class_shares`, a list):

        - `log_likelihood` (mean over `test`, nats), `log_likelihood_standard_error`,
          `validation_log_likelihood`, `sigma`: the Parzen-window estimate. Without
          `valid` and `test`, left out.
        - `frechet_distance`, `kernel_distance`, `kernel_distance_standard_error`,
          `precision`, `recall`, `density`, `coverage`: on the extractor's features,
          against `test`, or `train` where there is none.
        - `class_shares`, `classes_covered`, `class_kl_divergence` (nats, to the
          reference's classes), where the extractor is a classifier.
    """
    report = progress or (lambda stage, share: None)
    scores = {}
    if valid is not None and test is not None:
        estimate = metrics.parzen_estimate(
            test.examples(),
            valid.examples(some_rows(valid, protocol.num_validation)),
            samples,
            sigmas=protocol.sigmas,
            progress=lambda share: report("Parzen windows", share),
        )
        scores |= {
            "log_likelihood": estimate.mean,
            "log_likelihood_standard_error": estimate.standard_error,
            "validation_log_likelihood": float(np.max(estimate.validation_means)),
            "sigma": estimate.sigma,
            "sigma_at_edge": estimate.sigma_at_edge,
        }
    reference = train if test is None else test
    limit = max(10_000, protocol.num_samples)
    if limit < len(reference):
        reference = reference.subset(some_rows(reference, limit), reference.split)
    report("features", 0.0)
    real = metrics.cached_features(extractor, reference, cache_dir)
    report("features", 0.5)
    fake = extractor.features(samples)
    report("features", 1.0)
    scores |= feature_scores(
        real,
        fake,
        protocol.nearest_k,
        protocol.subset_size,
        lambda share: report("distances", share),
    )
    if hasattr(extractor, "classes"):
        counts = np.bincount(reference.labels, minlength=extractor.num_classes).astype(
            float
        )
        coverage = metrics.class_coverage(
            extractor.classes(samples), extractor.num_classes, counts / counts.sum()
        )
        scores |= {
            "class_shares": np.asarray(coverage.shares).tolist(),
            "classes_covered": coverage.classes_covered,
            "class_kl_divergence": coverage.kl_divergence,
        }
    return scores


def feature_scores(real, fake, nearest_k=5, subset_size=1000, progress=None):
    """Every measure that compares the features of real images and of samples.

    Args:
        real, fake: float arrays `(M, D)` and `(N, D)`.
        nearest_k: int, see `metrics.prdc`.
        subset_size: int, see `metrics.kernel_distance`.
        progress: None, or a function of the share done, a float in [0, 1].

    Returns:
        dict of floats: `frechet_distance`, `kernel_distance`,
        `kernel_distance_standard_error` (None for one subset), `precision`, `recall`,
        `density`, `coverage`.

    Raises:
        ValueError: as these measures.
    """
    report = progress or (lambda share: None)
    report(0.0)
    kernel = metrics.kernel_distance(real, fake, subset_size=subset_size)
    scores = {
        "frechet_distance": metrics.frechet_distance(
            moments_of(real), moments_of(fake)
        ),
        "kernel_distance": kernel.distance,
        # One subset has no spread, and JSON no NaN.
        "kernel_distance_standard_error": kernel.standard_error
        if kernel.num_subsets > 1
        else None,
    }
    report(0.3)
    neighbours = metrics.prdc(real, fake, nearest_k=nearest_k)
    for name in ("precision", "recall", "density", "coverage"):
        scores[name] = getattr(neighbours, name)
    report(1.0)
    return scores


def score_points(samples, distribution, bins=100):
    """Scores samples in one or two dimensions against the density of their data.

    Args:
        samples: float array `(N, 1)` or `(N, 2)`.
        distribution: TFP distribution of the data, an equal mixture of Gaussians.
        bins: int.

    Returns:
        dict of floats. `(N, 1)`: `jensen_shannon_divergence`, nats, by a histogram with
        `bins` bins of equal probability under the data. `(N, 2)`:
        `modes_covered`, `high_quality_share` and `reverse_kl_divergence`, by the
        protocol of PacGAN, arXiv 1712.04086 (within 3 standard deviations).
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


class ValidationScores:
    """Scores that are cheap enough for every few epochs of a training.

    The test examples take no part, so that a choice by these spoils nothing. What does
    not change from one evaluation to the next is computed once, here.

    Calling it with a `GAN` gives a dict of floats. Images: `pixel_frechet_distance` of
    2,000 samples to `data` and, where there is a validation split,
    `validation_log_likelihood`: the Parzen estimate, best of `sigmas_for` the range, of
    its first 1,000 examples with 10,000 samples as centres. One dimension:
    `jensen_shannon_divergence`, of 100,000 samples in 100 bins, and
    `largest_deviation_of_d`. Two dimensions: those of `score_points`, of 2,500 samples.

    Args:
        data: `Dataset` that the GAN is trained on.
        valid: `Dataset` of the validation split, or None.
        seed: int, of the samples.
    """

    def __init__(self, data, valid=None, seed=0):
        self.data = data
        self.seed = seed
        self.validation = (
            None if valid is None else valid.examples(some_rows(valid, 1000))
        )
        if data.value_range is not None:
            self.moments = data_moments(data)
        elif data.image_shape == (1,):
            self.edges = theory.quantile_edges(data.distribution, 100)
            self.interval = central_interval(data.distribution)

    def __call__(self, gan):
        data = self.data
        if data.value_range is not None:
            return self._of_images(gan)
        samples = gan.generate(
            default_num_points(data), seed=self.seed, batch_size=2500
        )
        if data.image_shape != (1,):
            return score_points(samples, data.distribution)
        return {
            "jensen_shannon_divergence": theory.binned_jensen_shannon_divergence(
                samples, data.distribution, self.edges
            ),
            "largest_deviation_of_d": largest_deviation_of_d(gan, self.interval),
        }

    def _of_images(self, gan):
        data = self.data
        num_samples = 2000 if self.validation is None else 10_000
        samples = check_samples(
            gan.generate(num_samples, seed=self.seed), data.image_shape
        )
        scores = {
            "pixel_frechet_distance": metrics.frechet_distance(
                metrics.Moments().update(samples[:2000]), self.moments
            )
        }
        if self.validation is not None:
            # The estimate's test examples are the ones that its width is chosen on.
            estimate = metrics.parzen_estimate(
                self.validation,
                self.validation,
                samples,
                sigmas=sigmas_for(data.value_range),
            )
            scores["validation_log_likelihood"] = estimate.mean
        return scores


def sigmas_for(value_range):
    """The paper's ten widths, in units of the range, which was [0, 1] there."""
    low, high = value_range
    return tuple((metrics.PAPER_SIGMAS * (high - low)).tolist())


def protocol_for(
    dataset,
    contrast_normalization,
    train,
    valid,
    test,
    num_samples=None,
    seed=0,
    versions=None,
):
    """Returns the `Protocol` by which samples that stand for a dataset are scored.

    Args:
        dataset: str, the dataset's name.
        contrast_normalization: bool, whether the images are contrast normalised.
        train, valid, test: `Dataset`s; the last two may be None.
        num_samples: int, or None: 10,000 images, 2,500 points, 100,000 values.
        seed: int, of the samples.
        versions: dict of package versions.
    """
    images = train.value_range is not None
    # A density is exact: of toy data, no examples enter.
    digest = metrics.data_key if images else lambda data: ""
    default = 10_000 if images else default_num_points(train)
    if num_samples is not None and num_samples < 2:
        raise ValueError(f"Expected at least 2 samples. Received: {num_samples}")
    return Protocol(
        dataset=dataset,
        contrast_normalization=contrast_normalization,
        value_range=train.value_range,
        num_samples=num_samples or default,
        sample_seed=seed,
        sigmas=sigmas_for(train.value_range) if images else (),
        versions=versions or {},
        **{
            name: None if data is None else (data.split, len(data), digest(data)[:16])
            for name, data in (("train", train), ("valid", valid), ("test", test))
        },
    )


def default_num_points(data):
    """Samples that a toy density is scored by: 2,500 points are PacGAN's protocol."""
    return 100_000 if data.image_shape == (1,) else 2_500


def score(samples, train, valid, test, extractor, protocol, cache_dir, progress=None):
    """`score_images` or `score_points`, as the data are."""
    if train.value_range is None:
        return score_points(samples, train.distribution, protocol.bins)
    return score_images(
        samples, train, valid, test, extractor, protocol, cache_dir, progress
    )


def central_interval(distribution, share=0.95):
    """(low, high) of the central `share` of a one-dimensional distribution."""
    return theory.quantile(distribution, [(1 - share) / 2, (1 + share) / 2])


def largest_deviation_of_d(gan, interval, num_points=1001):
    """max |D(x) - 1/2| over an interval (low, high), as `central_interval` gives it.

    D runs with `training=False`, on `num_points` points at equal distances.
    """
    x = np.linspace(*interval, num_points, dtype=np.float32)[:, None]
    logits = predict_locally(gan.discriminator, x, batch_size=num_points)
    return float(np.max(np.abs(1 / (1 + np.exp(-logits.astype(np.float64))) - 0.5)))


def moments_of(rows, chunk_size=4096):
    """The `metrics.Moments` of an array `(N, ...)`, a piece in float64 at a time."""
    moments = metrics.Moments()
    for start in range(0, len(rows), chunk_size):
        moments.update(rows[start : start + chunk_size])
    return moments


def data_moments(data, chunk_size=4096):
    """The `metrics.Moments` of all examples of a `Dataset`, on raw pixels."""
    moments = metrics.Moments()
    for start in range(0, len(data), chunk_size):
        moments.update(data.examples(slice(start, start + chunk_size)))
    return moments


def discriminator_accuracy(gan, examples, samples, batch_size=256):
    """The share of examples and samples that D tells apart, both halves weighed alike.

    Args:
        gan: `GAN`; its discriminator runs with `training=False`.
        examples, samples: arrays in the GAN's own scale.
        batch_size: int.

    Returns:
        float in [0, 1]; 1/2 where D has no idea.
    """

    def share_judged_real(inputs):
        logits = predict_locally(gan.discriminator, inputs, batch_size)
        return float(np.mean(logits > 0))

    return (share_judged_real(examples) + 1 - share_judged_real(samples)) / 2


def digits_report(samples, train, test, seed=0):
    """Sets samples of the 8x8 digits beside real digits and beside a blob.

    The blob is a Gaussian with the mean and covariance of the training digits, clipped
    to the range: what any measure must be able to tell from digits. A support vector
    classifier, trained on the training digits and calibrated, names the classes.

    Args:
        samples: array `(N, 8, 8, 1)` in [0, 1].
        train, test: `Dataset` of the digits that the GAN saw, and of those held out.
        seed: int, of the Gaussian draws.

    Returns:
        dict: `classifier_accuracy` on the held-out digits, and `rows`, a dict for each
        of "held-out digits", "samples", "Gaussian draws" and "training digits" with
        `class_shares` (10 floats), `top_probability` (mean of the largest class
        probability), `log_likelihood` (Parzen, nats, of the held-out digits in grey
        levels 0..16 with the row as centres, best of `DIGITS_PARZEN_WIDTHS` for
        these very digits, which favours all rows alike; None for the held-out
        digits, which cannot judge themselves) and `within_class_distance`
        (mean Euclidean distance of two of one class, grey levels, mean over classes).
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    def grey_levels(pixels):
        return np.asarray(pixels, np.float64).reshape(len(pixels), -1) * 16.0

    real_train = grey_levels(train.examples())
    real_test = grey_levels(test.examples())
    rng = np.random.default_rng(seed)
    draws = rng.multivariate_normal(
        real_train.mean(axis=0), np.cov(real_train.T), size=len(samples)
    )
    classifier = CalibratedClassifierCV(SVC(C=10.0, gamma=0.001), ensemble=False)
    classifier.fit(real_train, train.labels)

    rows = {}
    for name, pixels in {
        "held-out digits": real_test,
        "samples": grey_levels(samples),
        "Gaussian draws": np.clip(draws, 0.0, 16.0),
        "training digits": real_train,
    }.items():
        probabilities = classifier.predict_proba(pixels)
        classes = probabilities.argmax(axis=1)
        counts = np.bincount(classes, minlength=train.num_classes)
        rows[name] = {
            "class_shares": (counts / len(pixels)).tolist(),
            "top_probability": float(probabilities.max(axis=1).mean()),
            "log_likelihood": None
            if pixels is real_test
            else max(
                float(metrics.parzen_log_likelihood(real_test, pixels, width).mean())
                for width in DIGITS_PARZEN_WIDTHS
            ),
            "within_class_distance": _within_class_distance(pixels, classes),
        }
    return {
        "classifier_accuracy": float(classifier.score(real_test, test.labels)),
        "rows": rows,
    }


def _within_class_distance(pixels, classes):
    from scipy.spatial.distance import pdist

    groups = (pixels[classes == label] for label in np.unique(classes))
    return float(np.mean([pdist(group).mean() for group in groups if len(group) > 1]))


def format_digits_report(report):
    """The table of `digits_report` as text."""
    lines = [
        f"{'':16}{'class shares in % (0 to 9)':>40}{'top prob.':>11}"
        f"{'Parzen LL':>11}{'within-class':>14}"
    ]
    for name, row in report["rows"].items():
        shares = "".join(f"{100 * share:4.0f}" for share in row["class_shares"])
        likelihood = row["log_likelihood"]
        likelihood = "-" if likelihood is None else f"{likelihood:.1f}"
        lines.append(
            f"{name:16}{shares:>40}{row['top_probability']:11.3f}"
            f"{likelihood:>11}{row['within_class_distance']:14.1f}"
        )
    lines.append(
        "classifier: calibrated RBF support vectors, "
        f"{100 * report['classifier_accuracy']:.1f}% on the held-out digits"
    )
    return "\n".join(lines)


# Columns of the tables: the score, its heading, its form, the score of its error.
_COLUMNS = (
    ("log_likelihood", "Parzen LL", "{:.1f}", "log_likelihood_standard_error"),
    ("frechet_distance", "Frechet", "{:.4g}", None),
    ("kernel_distance", "kernel", "{:.3g}", "kernel_distance_standard_error"),
    ("precision", "precision", "{:.3f}", None),
    ("recall", "recall", "{:.3f}", None),
    ("density", "density", "{:.3f}", None),
    ("coverage", "coverage", "{:.3f}", None),
    ("class_kl_divergence", "class KL", "{:.4f}", None),
    ("jensen_shannon_divergence", "JSD", "{:.5f}", None),
    ("largest_deviation_of_d", "max |D - 1/2|", "{:.3f}", None),
    ("modes_covered", "modes", "{:.3g}", None),
    ("high_quality_share", "high quality", "{:.3f}", None),
    ("reverse_kl_divergence", "reverse KL", "{:.4f}", None),
)


def check_one_protocol(reports):
    """Raises ValueError unless all dicts of `scoring.evaluate` are of one protocol."""
    first = reports[0]["protocol"]
    for report in reports[1:]:
        differing = [
            name for name in first if first[name] != report["protocol"].get(name)
        ]
        if differing:
            raise ValueError(
                "Expected runs that were scored by one protocol. Received: "
                f"{reports[0]['model']} and {report['model']}, which differ in "
                f"{', '.join(differing)}; score them apart"
            )


def summarize(reports):
    """Mean and standard deviation over runs that were scored by one protocol.

    Args:
        reports: list of at least two dicts of `scoring.evaluate`.

    Returns:
        dict of row names to dicts of score names to (mean, standard deviation with
        n - 1).

    Raises:
        ValueError: protocols that differ, fields named.
    """
    check_one_protocol(reports)
    summary = {}
    for row in reports[0]["rows"]:
        if not all(row in report["rows"] for report in reports):
            continue
        summary[row] = {}
        for name, value in reports[0]["rows"][row].items():
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                continue
            values = [report["rows"][row].get(name) for report in reports]
            if None in values:  # some run has no such score
                continue
            summary[row][name] = (float(np.mean(values)), float(np.std(values, ddof=1)))
    return summary


def format_summary(reports, summary):
    """The table of `summarize` as text."""
    runs = ", ".join(report["model"] for report in reports)
    lines = [f"{len(reports)} runs ({runs}), mean +- standard deviation over runs"]
    return "\n".join(lines + _table(summary, _published(reports[0])))


def format_report(report):
    """The scores of a run, `scoring.evaluate`, as text."""
    protocol = report["protocol"]
    of = (
        ""  # a file says nothing of its seed
        if report["step"] is None
        else f" of seed {protocol['sample_seed']} after step {report['step']:,}"
    )
    lines = [
        f"{report['model']}: {protocol['num_samples']:,} samples{of}; protocol "
        f"{report['protocol_hash']}"
    ]
    reference = protocol["test"] or protocol["train"]
    lines.append(
        f"against {protocol['dataset']}, split {reference[0]}, {reference[1]:,} "
        f"examples; features: {protocol['features']}"
        + (
            f" ({100 * report['classifier_accuracy']:.2f}% right on {reference[0]})"
            if "classifier_accuracy" in report
            else ""
        )
    )
    lines += ["", *_table(report["rows"], _published(report))]
    if (
        report.get("num_training_examples", protocol["num_samples"])
        < protocol["num_samples"]
    ):
        lines.append(
            f"training examples: all {report['num_training_examples']:,}, fewer than "
            "the samples"
        )
    if report.get("test_examples_in_training"):
        lines.append(
            f"{report['test_examples_in_training']:,} of the {reference[1]:,} test "
            "examples are training examples too: memorising scores well on them"
        )
    for row, scores in report["rows"].items():
        if "class_shares" in scores:
            shares = " ".join(f"{100 * share:.1f}" for share in scores["class_shares"])
            lines.append(f"class shares of {row} in %: {shares}")
        if scores.get("sigma_at_edge"):
            lines.append(
                f"Parzen windows of {row}: the best width, {scores['sigma']:.3g}, lies "
                "at an end of the grid"
            )
    if "pixel_frechet_distance" in report:
        distance = report["pixel_frechet_distance"]
        first_distance = report["pixel_frechet_distance_at_start"]
        lines += [
            "",
            f"Frechet distance of {report['num_pixel_samples']:,} samples to the "
            f"training data, on raw values: {distance:.4g}; at the start: "
            f"{first_distance:.4g}; ratio: {distance / first_distance:.3f}",
        ]
    if "discriminator_accuracy" in report:
        lines.append(
            "accuracy of D, training=False: "
            f"{report['discriminator_accuracy']:.3f} (1/2 where it has no idea)"
        )
    if "digits" in report:
        lines += ["", format_digits_report(report["digits"])]
    return "\n".join(lines)


def _published(report):
    """Rows of the paper's table 1, where it has the dataset."""
    rows = PUBLISHED.get(report["protocol"]["dataset"], {})
    if not any("log_likelihood" in row for row in report["rows"].values()):
        return {}
    return {f"{name} (2014)": {"log_likelihood": row} for name, row in rows.items()}


def _table(*groups):
    rows = {name: row for group in groups for name, row in group.items()}
    columns = [
        column for column in _COLUMNS if any(column[0] in row for row in rows.values())
    ]
    cells = [["", *(heading for _, heading, _, _ in columns)]]
    for name, row in rows.items():
        cells.append(
            [
                name,
                *(_cell(row, score, form, error) for score, _, form, error in columns),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]


def _cell(row, score, form, error):
    value = row.get(score)
    if value is None:
        return "-"
    if isinstance(value, tuple | list):  # with a spread
        return f"{form.format(value[0])} +- {form.format(value[1])}"
    text = form.format(value)
    spread = row.get(error) if error else None
    if spread is not None:
        text += f" +- {form.format(spread)}"
    return text
