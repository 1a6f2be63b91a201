"""From the logits of D to log p_data/p_g, by held-out examples."""

import dataclasses
import math

import numpy as np

from keras_gan import checks
from keras_gan.inference import judges

METHODS = ("platt", "isotonic")


@dataclasses.dataclass(frozen=True, eq=False)
class Calibration:
    """A map from D's logits to log density ratios, and what it is worth.

    Attributes:
        judge: Keras model that judges each sample alone, whose logits these are.
        method: "platt" or "isotonic".
        slope, offset: floats, Platt's map: log p_data/p_g = slope * logit + offset.
        knots: None, or float64 arrays (logits, log ratios), both ascending: the
            isotonic map goes through these on straight lines.
        auc: float, the probability that D prefers a held-out example to a sample.
        auc_standard_error: float, what `auc` varies by where D cannot tell them apart.
        log_loss_before, log_loss_after: floats, nats: the mean of -log of the
            probability given to what an input is, example or sample, by the logits as
            they are and by the map. log 2 = .693 is what chance has. The second is by
            maps of one half of the inputs, on the other half.
        log_loss_standard_error: float, of the mean `log_loss_after`.
        real_ratios: float64 `(n,)`, log ratios of the held-out examples.
        real_labels: int32 `(n,)`, their classes, or None.
    """

    judge: object
    method: str
    slope: float
    offset: float
    knots: tuple | None
    auc: float
    auc_standard_error: float
    log_loss_before: float
    log_loss_after: float
    log_loss_standard_error: float
    real_ratios: np.ndarray = dataclasses.field(repr=False)
    real_labels: np.ndarray | None = dataclasses.field(repr=False)

    @property
    def can_help(self) -> bool:
        """Whether D prefers held-out examples by more than chance would have it.

        By two standard errors: `auc` is above 1/2, or the map, which must rise, has a
        log loss below log 2. The latter notices a D that knows a few bad samples.
        """
        gain = math.log(2) - self.log_loss_after
        return self.slope > 0 and (
            self.auc > 0.5 + 2 * self.auc_standard_error
            or gain > 2 * self.log_loss_standard_error
        )

    def log_ratios(self, logits) -> np.ndarray:
        """Returns log p_data/p_g of logits, float64 of the same shape."""
        logits = np.asarray(logits, np.float64)
        if self.knots is None:
            return self.slope * logits + self.offset
        return np.interp(logits, *self.knots)


def calibrate(
    gan,
    held_out,
    method: str = "platt",
    discriminator=None,
    num_samples: int = 10_000,
    seed: int = 0,
) -> Calibration:
    """Learns what D's logits mean: log p_data/p_g, up to what held-out data tell.

    At its best D's logit is that log ratio (Proposition 1). It is not where D is
    smooth, overfits or lags behind G; and a relativistic D leaves a constant open. Here
    D's logits of held-out examples and of as many fresh samples of G are told apart by
    one variable: by logistic regression (Platt's scaling), or by isotonic regression,
    which takes any map that rises. The logit of the probability
    that they give is the log ratio.

    Args:
        gan: `GAN`.
        held_out: data that D was not trained on, as `discriminate` takes them; labelled
            where the GAN is.
        method: "platt" (two numbers, smooth) or "isotonic" (needs some thousand
            examples; its ratios are between 1/N and N for N inputs).
        discriminator: None for the GAN's, or what `discriminate` returned.
        num_samples: int >= 10, held-out examples to use at most.
        seed: int in [0, 2**32), of the samples.

    Returns:
        `Calibration`.

    Raises:
        ValueError: no GAN, another method, or held-out data that do not fit; logits
            that are not finite.
    """
    from sklearn.metrics import roc_auc_score

    judges.check_gan(gan)
    checks.one_of("method", method, METHODS)
    num_samples = checks.count("num_samples", num_samples, minimum=10)
    seed = checks.count("seed", seed, minimum=0, maximum=2**32 - 1)
    examples, labels = judges.examples_of(gan, held_out, num_samples)
    if len(examples) < 10:
        raise ValueError(
            "Expected at least 10 held-out examples, to calibrate by. Received: "
            f"{len(examples)}"
        )
    judge = judges.judge_of(gan) if discriminator is None else discriminator
    samples = gan.generate(len(examples), seed=seed, labels=labels)
    real = judges.logits_of(judge, examples, labels)
    fake = judges.logits_of(judge, samples, labels)
    logits = np.concatenate([real, fake])
    judges.check_finite(logits)
    is_real = np.repeat([1, 0], len(examples))
    slope, offset = _platt(logits, is_real)
    knots = _isotonic(logits, is_real) if method == "isotonic" else None
    losses = _held_out_log_losses(logits, is_real, method)
    fitted = Calibration(
        judge=judge,
        method=method,
        slope=slope,
        offset=offset,
        knots=knots,
        auc=float(roc_auc_score(is_real, logits)),
        # Of the rank sum of Mann and Whitney, which `auc` is, for two equal sets.
        auc_standard_error=math.sqrt((2 * len(real) + 1) / 12) / len(real),
        log_loss_before=float(_log_losses(logits, is_real).mean()),
        log_loss_after=float(losses.mean()),
        log_loss_standard_error=float(losses.std() / math.sqrt(len(losses))),
        real_ratios=np.empty(0),
        real_labels=labels,
    )
    return dataclasses.replace(fitted, real_ratios=fitted.log_ratios(real))


def _platt(logits, is_real):
    """Returns (slope, offset) of the logistic regression, floats."""
    from sklearn.linear_model import LogisticRegression

    # Of one size whatever D's logits are. The penalty only keeps the slope finite where
    # all examples lie above all samples.
    middle, scale = np.median(logits), np.std(logits) or 1.0
    model = LogisticRegression(C=1e4, max_iter=1000)
    model.fit(((logits - middle) / scale)[:, None], is_real)
    slope = float(model.coef_[0, 0] / scale)
    return slope, float(model.intercept_[0] - slope * middle)


def _isotonic(logits, is_real):
    """Returns the knots of the isotonic regression, as log ratios."""
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(out_of_bounds="clip").fit(logits, is_real)
    # No finite number of inputs tells that a ratio is 0 or infinite.
    least = 1 / len(logits)
    shares = np.clip(model.y_thresholds_, least, 1 - least)
    return (
        np.asarray(model.X_thresholds_, np.float64),
        np.log(shares) - np.log1p(-shares),
    )


def _log_losses(log_ratios, is_real):
    """Returns -log of the probability given to what each input is, `(n,)`."""
    return np.logaddexp(0, np.where(is_real, -log_ratios, log_ratios))


def _held_out_log_losses(logits, is_real, method):
    """Returns `_log_losses` of each half by the map of the other."""
    losses, half = np.empty(len(logits)), np.arange(len(logits)) % 2
    for one in (0, 1):
        fit, rest = half == one, half != one
        if method == "isotonic":
            ratios = np.interp(logits[rest], *_isotonic(logits[fit], is_real[fit]))
        else:
            slope, offset = _platt(logits[fit], is_real[fit])
            ratios = slope * logits[rest] + offset
        losses[rest] = _log_losses(ratios, is_real[rest])
    return losses
