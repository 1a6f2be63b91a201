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
# D overfits where it takes away more than half of what lies between its answers to
# training examples and to samples when an example is held out, T. Karras et al., arXiv
# 2006.06676, equation 1; less than a tenth, of a probability or a logit, is noise.
_BY_HEART, _NOISE = 0.5, 0.1
# Losses and logits of D are of the order of 1, or of a distance in the data. Beyond the
# first of these they are neither; beyond the second, where they were a tenth before.
_BOUNDLESS, _GROWN = 1000.0, 100.0

_ADVICE = {
    "diverged": "lower the learning rates or check the data.",
    "discriminator overfits": "D knows the training examples by heart, and so its "
    "gradient leads G no further to the data. Train for fewer steps and keep the best "
    "model (keep_best), take more examples, an augmentation (diffaugment or ada), or a "
    "penalty r1, with a larger gamma if there is one.",
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

# In addition, where a loss logs logits: what else its trainings are steadied by.
_ADVICE_ON_LOGITS = {
    "diverged": "Bound the slope of D by penalties: r1 and r2, with a larger gamma if "
    "they are there, or gradient_penalty, without which wasserstein has no end. A "
    "larger batch_size makes the steps steadier.",
    "generator has collapsed": "Penalties r1 and r2 (with a larger gamma if they are "
    "there) and a larger batch_size act against it too.",
    "discriminator is behind": "A penalty whose gamma is too large holds D back, too.",
}

# How the explanation calls the logs whose meaning is known.
_LABELS = {"d_real": "D(x)", "d_fake": "D(G(z))", "value": "value"}


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What the logs of a training, and its samples, say.

    Attributes:
        state: "diverged", "discriminator overfits", "discriminator has run away",
            "discriminator has not left its start", "generator has collapsed",
            "discriminator is behind", "near equilibrium", "near equilibrium or at the
            start", or "training".
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
    as many. Of logs that few epochs have, those of evaluations, the last counts where
    none of these has one.

    - The training has diverged where a loss or an answer of D is not finite. It has
      too where the loss of D, or the distance of its mean logits, is above 1,000, or
      above 100 and ten times what it was in one of the first three epochs; this is
      looked for where a loss logs logits.
    - D overfits where its answers (d_real and d_fake, else real_logits and fake_logits)
      tell held-out examples from samples by less than half of what they tell training
      examples by, and by more than .1 less.
    - D has run away where d_real > .95 and d_fake < .05.
    - Value, d_real and d_fake within .1 of -log 4 and of 1/2 are near equilibrium only
      with samples of diversity .75 to 1.33 and offset below .25; otherwise, with d_real
      and d_fake within .02 of each other, D has not left its start.
    - G has collapsed where the diversity is below .5.
    - D is behind where the value is below -log 4 by more than .1: a constant D = 1/2
      would do better; or, where logits are logged instead, real_logits below
      fake_logits by more than .1.

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
    all_lines, lines = lines, lines[-max(3, len(lines) // 10) :]
    means = {
        name: float(np.mean(log_lines.column(lines, name)[1]))
        for name in log_lines.names_in(lines)
    }
    held_out = _held_out(all_lines, lines)
    growth = _growth(all_lines, lines)
    state = _state(means, held_out, growth, sample_diversity, sample_offset)
    sentences = [
        _seen(lines, means),
        *([] if held_out is None else [held_out.sentence()]),
        *_seen_in_samples(sample_diversity, sample_offset),
        *_not_said(means),
        _advice(state, means, growth),
    ]
    return Diagnosis(state, " ".join(sentences))


@dataclasses.dataclass(frozen=True)
class _HeldOut:
    """D's mean answers to training examples, to held-out ones, and to samples.

    The samples are in the mode of the network that each of the two was judged in.
    """

    label: str
    training: float
    held_out: float
    samples: float
    samples_beside_training: float

    def is_overfitted(self):
        of_training = self.training - self.samples_beside_training
        lost = of_training - (self.held_out - self.samples)
        return min(of_training, lost) > _NOISE and lost > _BY_HEART * of_training

    def sentence(self):
        return (
            f"{self.label} {self.held_out:.2f} on held-out examples, "
            f"{self.training:.2f} on training examples, {self.samples:.2f} on samples."
        )


def _held_out(all_lines, lines):
    """What the evaluations that count say of held-out examples, or None."""
    labels = {log_lines.ANSWERS: "D answers", log_lines.LOGITS: "D's mean logit is"}
    for (real, fake), label in labels.items():
        name = log_lines.VALIDATION + real
        having = [line for line in all_lines if line.keys() >= {name, real, fake}]
        if having:
            counting = [line for line in lines if line in having] or having[-1:]
            answers = [_answers(line, real, fake) for line in counting]
            return _HeldOut(label, *map(float, np.mean(answers, axis=0)))
    return None


def _answers(line, real, fake):
    """Those of `_HeldOut` in one line; in the training's mode where it has no other."""
    held_out = line[log_lines.VALIDATION + real]
    samples = line.get(log_lines.VALIDATION + fake, line.get(fake))
    if (same_mode := log_lines.TRAINING + real) in line:
        return line[same_mode], held_out, samples, samples
    return line[real], held_out, samples, line[fake]


def _growth(all_lines, lines):
    """(first, last): what the loss of D, or the distance of its logits, was and is.

    None where it is no larger than it may be, or no logits are logged.
    """
    if not _logs_logits(lines[-1]):
        return None
    first = min(_size(line) for line in all_lines[:3])
    last = float(np.mean([_size(line) for line in lines]))
    has_grown = last > _GROWN and last > 10 * first
    return (first, last) if last > _BOUNDLESS or has_grown else None


def _size(line):
    """The size of D's loss, or the distance of its mean logits if that is larger."""
    real, fake = (line.get(name, 0.0) for name in log_lines.LOGITS)
    return max(abs(line["discriminator_loss"]), abs(real - fake))


def _state(means, held_out, growth, diversity, offset):
    real, fake = (means.get(name) for name in log_lines.ANSWERS)
    value = means.get("value")
    answered = real is not None and fake is not None
    if _not_finite(means) or growth is not None:
        return "diverged"
    if held_out is not None and held_out.is_overfitted():
        return "discriminator overfits"
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
    if _logs_logits(means) and _distance(means) < -_NOISE:
        return "discriminator is behind"
    return "training"


def _logs_logits(means):
    return means.keys() >= set(log_lines.LOGITS)


def _distance(means):
    """How far the mean logits of examples lie above those of samples."""
    real, fake = (means[name] for name in log_lines.LOGITS)
    return real - fake


def _not_finite(means):
    """Returns the names of the losses and D's answers that are NaN or infinite.

    Every term of a loss makes that loss so. A score of an evaluation may be infinite in
    a training that is well.
    """
    names = (*log_lines.LOSSES, *_LABELS, *log_lines.LOGITS)
    return [name for name in names if not math.isfinite(means.get(name, 0.0))]


def _seen(lines, means):
    """Returns a sentence with the logs that count, or all where none of these is."""
    first, last = lines[0]["epoch"], lines[-1]["epoch"]
    epochs = f"Epoch {last}" if first == last else f"Epochs {first} to {last}"
    evaluated = (log_lines.VALIDATION, log_lines.TRAINING)
    means = {n: mean for n, mean in means.items() if not n.startswith(evaluated)}
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
    if "value" not in means and not _logs_logits(means):
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


def _advice(state, means, growth):
    advice = _ADVICE[state]
    if state == "diverged":
        advice = f"{_why_diverged(means, growth)} {advice}"
    if state == "training" and not means.keys() >= set(_LABELS):
        advice = _ADVICE_WITHOUT_ANSWERS
    more = _ADVICE_ON_LOGITS.get(state) if _logs_logits(means) else None
    return f"{advice} {more}" if more else advice


def _why_diverged(means, growth):
    names = _not_finite(means)
    if names:
        verb = "is" if len(names) == 1 else "are"
        return (
            f"{_enumerate(names, 'and')} {verb} NaN or infinite: restore the last "
            "saved model, and"
        )
    first, last = growth
    return (
        f"The loss of D, or the distance of its mean logits, is {last:,.0f}, and was "
        f"{first:,.{2 if first < 100 else 0}f} at the start: train again, and"
    )


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
