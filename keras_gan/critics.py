"""The discriminator as losses and penalties see it: a function to logits."""

import tensorflow as tf


def logits(answers):
    """Returns D's logits among all that it answers: the first column.

    Args:
        answers: float array or tensor `(m, columns)`.

    Returns:
        float `(m, 1)`; answers of one column as they are.
    """
    return answers if answers.shape[-1] == 1 else answers[:, :1]


def continuous(inputs) -> dict:
    """Returns the parts of what D takes that have gradients: all but labels.

    Args:
        inputs: float tensor `(m, ...)`, or a dict with "samples" and with "labels" or
            "latents".

    Returns:
        dict of float tensors; a tensor is its "samples".
    """
    parts = inputs if isinstance(inputs, dict) else {"samples": inputs}
    return {
        name: part
        for name, part in parts.items()
        if tf.as_dtype(part.dtype).is_floating
    }


class Critic:
    """The discriminator as a function of what it takes to its logits `(m, 1)`.

    Penalties see no more of it. Losses see all `answers`.

    Gradients at the very examples or samples that the loss has judged need no pass
    through D of their own: `watched_answers` keeps the loss's pass, and `gradients` can
    go back through it, once.

    Args:
        answers: function of what D takes to what it answers, float `(m, columns)`.
    """

    def __init__(self, answers):
        self.answers = answers
        self._passes = []

    def __call__(self, inputs):
        return logits(self.answers(inputs))

    def watched_answers(self, inputs):
        """Returns `answers(inputs)`, a pass that `gradients` can take up, once."""

        def judged(inputs):
            answers = self.answers(inputs)
            return answers, logits(answers)

        tape, (answers, found) = _watched(judged, inputs)
        self._passes.append((inputs, tape, found))
        return answers

    def taken(self, inputs):
        """Returns the tape and the logits of the pass of these very inputs, or None."""
        for index, (seen, tape, found) in enumerate(self._passes):
            if seen is inputs:
                del self._passes[index]  # a tape answers once
                return tape, found
        return None


def gradients(critic, inputs, shared=False):
    """Returns the logits of `inputs`, and the gradients of their sum by each part.

    Args:
        critic: `Critic`, or any function of `inputs` to logits.
        inputs: see `continuous`.
        shared: bool, whether to take up the pass of these very inputs that
            `Critic.watched_answers` kept, if it did.

    Returns:
        (logits `(m, 1)`, list of float tensors, one for each of `continuous(inputs)`):
        zeros by what the critic does not look at.
    """
    kept = critic.taken(inputs) if shared and isinstance(critic, Critic) else None
    tape, found = kept or _watched(critic, inputs)
    parts = list(continuous(inputs).values())
    return found, tape.gradient(found, parts, unconnected_gradients="zero")


def _watched(function, inputs):
    """Returns the tape that watched a function's result being made, and the result."""
    parts = [part for part in continuous(inputs).values() if tf.is_tensor(part)]
    with tf.GradientTape() as tape:
        tape.watch(parts)
        return tape, function(inputs)
