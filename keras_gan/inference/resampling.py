"""Better samples of a trained G, by what D knows of p_data/p_g."""

import dataclasses
import itertools
import logging
import math

import numpy as np

from keras_gan import checks
from keras_gan.inference import chains, judges

METHODS = ("rejection", "metropolis_hastings", "langevin")

_log = logging.getLogger("keras_gan")


@dataclasses.dataclass(frozen=True, eq=False)
class Resampled:
    """What `resample` returns.

    Attributes:
        samples: float32 `(n, *sample_shape)`, in the range of the GAN.
        latents: float32 `(n, L)`, of which `samples` are G's.
        labels: int32 `(n,)`, or None where the GAN is not conditional.
        acceptance: float, the share of all proposals that were accepted.
        effective_sample_size: float, how many independent draws the states of a chain
            are worth, mean over all chains; None of rejection, which has no chain.
        r_hat: float, the potential scale reduction of all chains (Gelman and Rubin): 1
            where they have forgotten their starts; None of rejection. Both are of the
            log ratio of the states that a chain keeps, and NaN where it is constant.
        can_help: bool, see `Calibration`; True without one.
    """

    samples: np.ndarray
    latents: np.ndarray
    labels: np.ndarray | None
    acceptance: float
    effective_sample_size: float | None
    r_hat: float | None
    can_help: bool


def resample(
    gan,
    num_samples: int,
    method: str = "rejection",
    calibration=None,
    seed: int = 0,
    labels=None,
    batch_size: int = 500,
    burn_in: int | None = None,
    percentile: float | None = 20.0,
    num_steps: int | None = None,
    step_size: float = 0.1,
    progress=None,
) -> Resampled:
    """Draws from p_g(x) * r(x), where r = p_data/p_g is what D says: from p_data.

    As far as D is right and G makes all that the data hold: no method makes what G does
    not. With l = log r, from D's logits by `calibration`:

    - "rejection" [1]: a sample of G is accepted with the probability sigmoid(F - g),

          F(x) = d - log(1 - exp(d)),   d = min(l(x) - log M, 0)

      M is the largest r of `burn_in` samples, and g the `percentile` of F over them:
      there a half is accepted, of better samples more, of much worse ones next to none.
      With percentile=None g is 0, and a sample is accepted with the probability r(x)/M:
      that is exact, as far as M bounds r and D is right where G hardly ever goes.
    - "metropolis_hastings" [2]: each sample is the last state of a chain of its own,
      whose `num_steps` proposals are samples of G. One is accepted with the probability
      min(1, r(proposal)/r(state)). A chain starts at the ratio of a held-out example.
      One that never leaves it starts at its first proposal instead.
    - "langevin" [3]: each sample is the last state of a chain that moves z, by the
      Metropolis-adjusted Langevin algorithm in the coordinates u of `LatentSpace`,
      with the density p(u) r(G(z)). It starts at a draw of the prior, and adapts the
      length of its steps during `burn_in` steps, to an acceptance of .574; then come
      `num_steps`. The gradient needs a smooth map: of an isotonic calibration, Platt's
      slope is taken.

    The number of samples of G, or steps, that a method takes is roughly n / acceptance,
    n * num_steps, and n * (burn_in + num_steps) with gradients.

    Args:
        gan: `GAN`.
        num_samples: int n >= 1.
        method: "rejection", "metropolis_hastings" or "langevin".
        calibration: `Calibration`; None takes D's logits for log ratios as they are.
        seed: int in [0, 2**32). The same seed gives the same samples.
        labels: as of `GAN.generate`, where the GAN is conditional. Each sample keeps
            its label, drawn from the prior where None are given.
        batch_size: int, samples that G and D work on at once.
        burn_in: int, samples (10,000) of rejection, or steps (200) of langevin.
        percentile: float in [0, 100] or None, of rejection; other methods have none.
        num_steps: int, of each chain: 100 of either kind.
        step_size: float > 0, the first of langevin, in units of u.
        progress: None, or a function of the share done, a float in [0, 1].

    Returns:
        `Resampled`. Where D cannot help, a warning is logged as well.

    Raises:
        ValueError: no GAN, an unknown method, an argument that the method does not
            take or that is out of bounds; langevin with a discrete prior; rejection
            that accepts fewer than 1 of 1,000, of all samples or of those of a class.

    References:
        [1] S. Azadi et al., Discriminator Rejection Sampling, arXiv 1810.06758.
        [2] R. Turner et al., Metropolis-Hastings Generative Adversarial Networks, arXiv
            1811.11357.
        [3] T. Che et al., Your GAN is Secretly an Energy-based Model and You Should Use
            Discriminator Driven Latent Sampling, arXiv 2003.06060.
    """
    judges.check_gan(gan)
    checks.one_of("method", method, METHODS)
    num_samples = checks.num_samples(num_samples)
    seed = checks.count("seed", seed, minimum=0, maximum=2**32 - 1)
    batch_size = checks.count("batch_size", batch_size)
    options = _options(method, {"burn_in": burn_in, "num_steps": num_steps})
    if method == "rejection":
        options["percentile"] = _checked_percentile(percentile)
    if not (checks.is_number(step_size) and step_size > 0):
        raise ValueError(
            f"Expected `step_size` to be a float > 0. Received: {step_size!r}"
        )
    if labels is not None:
        labels = gan.latent_prior.labels_of(labels, num_samples)
    elif gan.is_labelled:
        own = gan.latent_prior.sample(num_samples, judges.seed_of(seed, 0))
        labels = np.asarray(own["labels"])
    can_help = calibration is None or calibration.can_help
    if not can_help:
        _log.warning(
            "D cannot tell held-out examples from samples (AUC %.3f, standard error "
            "%.3f): resampling does not help",
            calibration.auc,
            calibration.auc_standard_error,
        )
    judged = chains.Judged(gan, calibration, labels, batch_size, seed, progress)
    if method == "langevin":
        found = chains.langevin(judged, num_samples, step_size=step_size, **options)
    elif method == "rejection":
        found = _rejection(judged, num_samples, **options)
    else:
        found = chains.metropolis_hastings(judged, num_samples, **options)
    latents, statistics = found
    drawn = {"latents": latents, "labels": labels} if gan.is_labelled else latents
    return Resampled(
        gan.samples_of(drawn, batch_size), latents, labels, **statistics,
        can_help=can_help,
    )  # fmt: skip


def _rejection(judged, num_samples, burn_in, percentile):
    """Draws by rejection, see `resample`; returns as `chains.metropolis_hastings`."""
    repeats, rest = divmod(burn_in, num_samples)
    # Not the first ones: labels may be in order.
    places = judged.uniform(9).permutation(num_samples)[:rest]
    places = np.concatenate([np.tile(np.arange(num_samples), repeats), places])
    burnt = judged.log_ratios(judged.latents(places, 6), places)
    largest = burnt.max()

    def score(ratios):
        d = np.minimum(ratios - largest, 0.0)
        return d - np.log(-np.expm1(d - _EPSILON))

    shift = 0.0 if percentile is None else np.percentile(score(burnt), percentile)
    expected = np.mean(np.exp(-np.logaddexp(0, shift - score(burnt))))
    if expected < _LEAST_ACCEPTANCE:
        raise ValueError(
            f"Expected to accept at least {_LEAST_ACCEPTANCE:.2%} of G's samples. "
            f"Received: {expected:.2%}, as a few ratios are far above the others; pass "
            "percentile=20, or take method='metropolis_hastings'"
        )
    random, patience = judged.uniform(7), _Patience(judged.labels)
    latents = np.zeros((num_samples, judged.gan.latent_prior.latent_dim), np.float32)
    accepted, proposed = 0, 0
    left = np.arange(num_samples)
    for number in itertools.count():
        # Each place gets its own proposals, and keeps the first that is accepted.
        places = np.tile(left, math.ceil(judged.batch_size / len(left)))
        proposals = judged.latents(places, 8, number)
        scores = score(judged.log_ratios(proposals, places)) - shift
        # The logit of a uniform number is below them with the probability sigmoid.
        uniform = random.uniform(size=len(places))
        taken = np.log(uniform) - np.log1p(-uniform) < scores
        accepted, proposed = accepted + taken.sum(), proposed + len(taken)
        filled, first = np.unique(places[taken], return_index=True)
        latents[filled] = proposals[taken][first]
        left = np.setdiff1d(left, filled)
        judged.progress(1 - len(left) / num_samples)
        if not len(left):
            break
        patience.check(places, scores, left)
    return latents, {
        "acceptance": float(accepted / proposed),
        "effective_sample_size": None,
        "r_hat": None,
    }


class _Patience:
    """Ends a wait for samples of a class of which next to none are accepted.

    A place keeps its class. One that D thinks little of is outweighed by the others in
    the mean acceptance, and would be proposed for ever.

    Args:
        labels: int `(n,)`, the classes of n places; or None, of which none is judged.
    """

    def __init__(self, labels):
        self._is_labelled = labels is not None
        if self._is_labelled:
            self._classes, self._places = np.unique(labels, return_inverse=True)
            self._proposed = np.zeros(len(self._classes))
            self._expected = np.zeros(len(self._classes))

    def check(self, places, scores, left):
        """Raises ValueError for a class that has waited long enough.

        Args:
            places: int `(m,)`, those of proposals.
            scores: float `(m,)`, the logits of the probabilities to accept these.
            left: int, the places without a sample.
        """
        if not self._is_labelled:
            return
        probabilities = np.exp(-np.logaddexp(0, -scores))
        np.add.at(self._proposed, self._places[places], 1)
        np.add.at(self._expected, self._places[places], probabilities)
        for which in np.unique(self._places[left]):
            share = self._expected[which] / self._proposed[which]
            if self._proposed[which] >= _ENOUGH and share < _LEAST_ACCEPTANCE:
                raise ValueError(
                    f"Expected to accept at least {_LEAST_ACCEPTANCE:.2%} of G's "
                    f"samples of each class. Received: {share:.2%} of class "
                    f"{self._classes[which]}, whose ratios are far below those of "
                    "others; leave it out of `labels`, or take "
                    "method='metropolis_hastings'"
                )


# The options of each method, with their defaults.
_DEFAULTS = {
    "rejection": {"burn_in": 10_000},
    "metropolis_hastings": {"num_steps": 100},
    "langevin": {"burn_in": 200, "num_steps": 100},
}
# Below, a call would seem to hang.
_LEAST_ACCEPTANCE = 1e-3
# Proposals by which the acceptance of a class is known.
_ENOUGH = 10_000
# Keeps the score of the largest ratio finite, as in the paper.
_EPSILON = 1e-6


def _options(method, given):
    """Returns the options of a method, those that are None by default."""
    options = dict(_DEFAULTS[method])
    for name, value in given.items():
        if value is None:
            continue
        if name not in options:
            raise ValueError(
                f"Expected no `{name}` for method={method!r}. Received: {value!r}"
            )
        options[name] = checks.count(name, value)
    return options


def _checked_percentile(value):
    if value is None or (checks.is_number(value) and 0 <= value <= 100):
        return value
    raise ValueError(
        f"Expected `percentile` to be a number in [0, 100] or None. Received: {value!r}"
    )
