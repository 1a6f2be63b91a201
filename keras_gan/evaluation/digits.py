"""A close look at samples of the 8x8 digits."""

import numpy as np

from keras_gan import metrics

# Widths, in grey levels of 0..16, among which the best is taken.
DIGITS_PARZEN_WIDTHS = np.geomspace(0.75, 6.0, 13)


def digits_report(samples, train, test, seed: int = 0) -> dict:
    """Compares samples of the 8x8 digits with real digits and with a blob.

    The blob is a Gaussian with the mean and covariance of the training digits, clipped
    to the range: any useful measure tells it from digits. A support vector classifier,
    trained on the training digits and calibrated, names the classes.

    Args:
        samples: array `(N, 8, 8, 1)` in [0, 1].
        train, test: `Dataset`s of the digits that the GAN saw, and of the held-out.
        seed: int, of the Gaussian draws.

    Returns:
        dict: `classifier_accuracy` on the held-out digits, and `rows`, a dict for each
        of "held-out digits", "samples", "Gaussian draws" and "training digits" with
        `class_shares` (10 floats), `top_probability` (mean of the largest class
        probability), `log_likelihood` (Parzen, nats, of the held-out digits in grey
        levels 0..16 with the row as centres, best of `DIGITS_PARZEN_WIDTHS` for
        these very digits, which favours all rows alike; None for the held-out digits
        themselves) and `within_class_distance` (mean Euclidean distance of two of one
        class, grey levels, mean over classes).
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
