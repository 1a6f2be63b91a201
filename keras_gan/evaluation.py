"""A generator and a dataset in, scores out."""

import numpy as np

from keras_gan import metrics

# Widths, in grey levels of 0..16, among which the best is taken.
DIGITS_PARZEN_WIDTHS = np.geomspace(0.75, 6.0, 13)


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
        logits = gan.discriminator.predict(inputs, batch_size=batch_size, verbose=0)
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
        levels 0..16 with the row as centres, best of `DIGITS_PARZEN_WIDTHS`; None for
        the held-out digits, which cannot judge themselves) and `within_class_distance`
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


def format_report(report):
    """The scores of a run, `training.evaluate`, as text."""
    distance = report["pixel_frechet_distance"]
    first_distance = report["pixel_frechet_distance_at_start"]
    lines = [
        f"step {report['step']:,}; {report['num_samples']:,} samples of seed "
        f"{report['seed']}",
        f"Frechet distance to the data, on raw values: {distance:.4g}; "
        f"at the start: {first_distance:.4g}; ratio: {distance / first_distance:.3f}",
        f"accuracy of D, training=False: {report['discriminator_accuracy']:.3f}",
    ]
    if "digits" in report:
        lines += ["", format_digits_report(report["digits"])]
    return "\n".join(lines)
