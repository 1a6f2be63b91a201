"""The state of a training in words, from its logs and its samples."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from keras_gan.pictures import log_lines

# What `diagnose` takes for near, far and collapsed. Diversity and offset are in units
# of the mean distance of two examples.
_RUN_AWAY = 0.05
_NEAR = 0.1
_COLLAPSED = 0.5
_ALIKE = 0.75
_FAR = 0.25

_ADVICE = {
    "diverged": "restore the last saved model, and lower the learning rates or check "
    "the data.",
    "discriminator has run away": "D rejects the samples with high confidence, and G "
    "learns little from it. log(1 - D(G(z))) saturates here: train G to maximise "
    "log D(G(z)) instead, the non_saturating loss (section 3). If it is that already, "
    "slow D down: a lower rate for D, a smaller discriminator_steps (k), dropout in D.",
    "discriminator has not left its start": "D answers 1/2 to everything while the "
    "samples are far from the data: a value of -log 4 is no equilibrium here. Give it "
    "more steps, a higher rate for D, or a larger discriminator_steps (k).",
    "generator has collapsed": "The samples resemble each other far more than the data "
    'do, the "Helvetica scenario" of section 6: G must not be trained too much without '
    "updating D. Keep them synchronised: a larger discriminator_steps (k), or a lower "
    "rate for G. In the first steps of a training it may also mean that G has not "
    "spread its samples yet.",
    "discriminator is behind": "D judges worse than a coin would, so its gradient "
    "misleads G. G must not be trained too much without updating D (section 6): a "
    "larger discriminator_steps (k), a higher rate for D, or a lower one for G.",
    "near equilibrium": "D cannot tell samples from data (theorem 1: V = -log 4 and "
    "D = 1/2 where p_g = p_data), and the samples spread as the data do, around the "
    "same mean. A weak D cannot tell either: look at the samples.",
    "near equilibrium or at the start": "V is near -log 4 and D near 1/2, as at the "
    "equilibrium; a D that has not left its start says the same of a G that never "
    "learned. Look at the samples.",
    "training": "Neither network has won. Losses say who is ahead, not how good the "
    "samples are: look at them.",
}
# Instead of the last one, where the logs do not say who is ahead.
_ADVICE_WITHOUT_ANSWERS = (
    "Nothing here points to a failure. Losses do not say how good the samples are: "
    "look at them."
)

# How the explanation calls the logs whose meaning is known.
_LABELS = {"d_real": "D(x)", "d_fake": "D(G(z))", "value": "value"}


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What the logs of a training, and its samples, say.

    Attributes:
        state: "diverged", "discriminator has run away", "discriminator has not left its
            start", "generator has collapsed", "discriminator is behind", "near
            equilibrium", "near equilibrium or at the start", or "training".
        explanation: str, sentences for the user: what was seen, what cannot be said,
            and what the paper advises.
    """

    state: str
    explanation: str


def diagnose(
    lines: Sequence[dict],
    sample_diversity: float | None = None,
    sample_offset: float | None = None,
) -> Diagnosis:
    """Tells the state of a training from its logs and its samples.

    The means of the last tenth of the epochs count, of three at least where there are
    as many.

    - D has run away where d_real > .95 and d_fake < .05.
    - Value, d_real and d_fake within .1 of -log 4 and of 1/2 are near equilibrium only
      with samples of diversity .75 to 1.33 and offset below .25; otherwise, with d_real
      and d_fake within .02 of each other, D has not left its start.
    - G has collapsed where the diversity is below .5.
    - D is behind where the value is below -log 4 by more than .1: a constant D = 1/2
      would do better.

    A loss whose D has no probability for its sigmoid does not log d_real, d_fake or
    value. The rules that need a missing one are left out, and the explanation says so.

    Args:
        lines: list of dicts, the lines of a run's `metrics.jsonl`.
        sample_diversity, sample_offset: floats, see `sample_spread`, or None.

    Returns:
        `Diagnosis`.

    Raises:
        ValueError: no line, or one without an epoch or a loss, or a log that is no
            number.
    """
    log_lines.check_lines(lines)
    lines = lines[-max(3, len(lines) // 10) :]
    means = {
        name: float(np.mean(log_lines.column(lines, name)[1]))
        for name in log_lines.names_in(lines)
    }
    state = _state(means, sample_diversity, sample_offset)
    sentences = [
        _seen(lines, means),
        *_seen_in_samples(sample_diversity, sample_offset),
        *_not_said(means),
        _advice(state, means),
    ]
    return Diagnosis(state, " ".join(sentences))


def _state(means, diversity, offset):
    real, fake = (means.get(name) for name in log_lines.ANSWERS)
    value = means.get("value")
    answered = real is not None and fake is not None
    if _not_finite(means):
        return "diverged"
    # Before the collapse: a G that met such a D at its start has no diversity yet.
    if answered and real > 1 - _RUN_AWAY and fake < _RUN_AWAY:
        return "discriminator has run away"
    undecided = (
        answered
        and value is not None
        and abs(value - log_lines.EQUILIBRIUM_VALUE) < _NEAR
        and abs(real - 0.5) < _NEAR
        and abs(fake - 0.5) < _NEAR
    )
    if undecided and diversity is None and offset is None:
        return "near equilibrium or at the start"
    alike = (diversity is None or _ALIKE <= diversity <= 1 / _ALIKE) and (
        offset is None or offset < _FAR
    )
    if undecided and alike:
        return "near equilibrium"
    if undecided and abs(real - fake) < 0.02:
        return "discriminator has not left its start"
    if diversity is not None and diversity < _COLLAPSED:
        return "generator has collapsed"
    if value is not None and value < log_lines.EQUILIBRIUM_VALUE - _NEAR:
        return "discriminator is behind"
    return "training"


def _not_finite(means):
    """Returns the names of the losses and D's answers that are NaN or infinite.

    Every term of a loss makes that loss so. A score of an evaluation may be infinite in
    a training that is well.
    """
    names = (*log_lines.LOSSES, *_LABELS)
    return [name for name in names if not math.isfinite(means.get(name, 0.0))]


def _seen(lines, means):
    """Returns a sentence with the logs that count, or all where none of these is."""
    first, last = lines[0]["epoch"], lines[-1]["epoch"]
    epochs = f"Epoch {last}" if first == last else f"Epochs {first} to {last}"
    labelled = {label: means[name] for name, label in _LABELS.items() if name in means}
    seen = ", ".join(f"{name} {mean:.2f}" for name, mean in (labelled or means).items())
    return f"{epochs}: {seen}{' (-log 4 = -1.39)' if 'value' in means else ''}."


def _seen_in_samples(diversity, offset):
    if diversity is not None:
        yield f"Diversity of the samples: {diversity:.2f} of the data's."
    if offset is not None:
        yield (
            f"Their mean is off the data's by {offset:.2f} of the mean distance of two "
            "examples."
        )


def _not_said(means):
    """Yields a sentence on what the logs that are missing would have said."""
    missing = [label for name, label in _LABELS.items() if name not in means]
    if not missing:
        return
    questions = ["the two are near equilibrium"]
    if "value" not in means:
        questions.insert(0, "D is behind")
    if not means.keys() >= set(log_lines.ANSWERS):
        questions.insert(0, "D has run away")
    yield (
        f"{_enumerate(missing, 'and')} {'is' if len(missing) == 1 else 'are'} not "
        f"logged, so the logs do not say whether {_enumerate(questions, 'or')}."
    )


def _enumerate(words, conjunction):
    """Returns "a", "a or b", "a, b or c"."""
    *others, last = words
    return f"{', '.join(others)} {conjunction} {last}" if others else last


def _advice(state, means):
    if state == "diverged":
        names = _not_finite(means)
        verb = "is" if len(names) == 1 else "are"
        return f"{_enumerate(names, 'and')} {verb} NaN or infinite: {_ADVICE[state]}"
    if state == "training" and not means.keys() >= set(_LABELS):
        return _ADVICE_WITHOUT_ANSWERS
    return _ADVICE[state]


def sample_spread(samples, examples) -> tuple[float, float]:
    """Returns how far samples lie from each other, and from the data, in its units.

    Args:
        samples, examples: arrays `(N, ...)` and `(M, ...)`, N and M >= 2.

    Returns:
        (diversity, offset): floats. Diversity is the mean Euclidean distance of two
        samples, offset that of the means of samples and examples, each divided by the
        mean distance of two examples. Samples of the data's law have 1 and about 0; a
        generator that makes one sample has diversity 0. A generator that misses some of
        several modes may well have a diversity near 1.

    Raises:
        ValueError: fewer than two, another shape, or examples that are all equal.
    """
    from scipy.spatial.distance import pdist

    samples, examples = (
        np.asarray(array, np.float64).reshape(len(array), -1)
        for array in (samples, examples)
    )
    shapes = f"Received: {samples.shape} and {examples.shape}"
    if min(len(samples), len(examples)) < 2 or samples.shape[1] != examples.shape[1]:
        raise ValueError(
            f"Expected at least two samples and two examples, of one shape. {shapes}"
        )
    unit = pdist(examples).mean()
    if not unit > 0:
        raise ValueError(f"Expected examples that are not all equal. {shapes}")
    offset = np.linalg.norm(samples.mean(axis=0) - examples.mean(axis=0))
    return float(pdist(samples).mean() / unit), float(offset / unit)
