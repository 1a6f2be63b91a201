"""The logs of a training as its lines of `metrics.jsonl` hold them.

Every training logs the losses of both networks. `value`, `d_real` and `d_fake` are
logged only by a loss whose D has a probability for its sigmoid; another logs its mean
logits. A loss and a penalty may log more, each by its own name. Logs of validation
begin with "val_"; those that begin with "train_" are of training examples in the same
mode, see `evaluation.HeldOutAnswers`.
"""

import math
from collections.abc import Sequence

# Theorem 1 and its proof: V at the equilibrium, where D is 1/2.
EQUILIBRIUM_VALUE = -math.log(4)
LOSSES = ("discriminator_loss", "generator_loss")
ANSWERS = ("d_real", "d_fake")
LOGITS = ("real_logits", "fake_logits")
VALIDATION, TRAINING = "val_", "train_"
_NO_LOGS = ("epoch", "step", "seconds")


def check_lines(lines: Sequence[dict]) -> None:
    """Refuses lines that are no logs.

    Raises:
        ValueError: no line, one without an epoch or a loss, or a log that is no number.
    """
    if not lines:
        raise ValueError("Expected the logs of at least one epoch. Received: none")
    for number, line in enumerate(lines, start=1):
        line = line if isinstance(line, dict) else {}
        for name in ("epoch", *LOSSES, *line):
            if not isinstance(line.get(name), int | float):
                missing = f"a number for {name}" if name in line else name
                raise ValueError(
                    f"Expected lines with {', '.join(('epoch', *LOSSES))} and further "
                    f"logs, all numbers. Received: line {number} without {missing}"
                )


def names_in(lines: Sequence[dict]) -> list[str]:
    """Returns the names of all logs in `lines`, in the order in which they appear."""
    names = dict.fromkeys(name for line in lines for name in line)
    return [name for name in names if name not in _NO_LOGS]


def column(lines: Sequence[dict], name: str) -> tuple[list, list]:
    """Returns the epochs that have a log by this name, and its values there."""
    having = [line for line in lines if name in line]
    return [line["epoch"] for line in having], [line[name] for line in having]
