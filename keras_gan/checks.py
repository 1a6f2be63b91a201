"""Checks of arguments at the border: one for each kind, with one-line errors.

A public function checks its arguments by these once; what it calls does not check
again. Each message says what was expected, what was received, and what to do.
"""

import difflib
import importlib
import math
import numbers
import types

# Errors that a user can cause: wrong values, files, trainings that diverge.
_MISTAKES = (ValueError, OSError, ArithmeticError, MemoryError)
# TensorFlow's names for a size that no memory holds and for a worker that is gone.
_TENSORFLOW_MISTAKES = {"ResourceExhaustedError", "UnavailableError", "AbortedError"}


def is_int(value) -> bool:
    """Whether `value` is a Python or NumPy int. `True` and `False` are none."""
    # NumPy registers its ints as `numbers.Integral`.
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def count(name: str, value, minimum: int = 1, maximum: int | None = None) -> int:
    """Returns `value` as an int within bounds.

    Args:
        name: the argument's name, for the message.
        value: what was given; a bool or a float is no int.
        minimum, maximum: the bounds, both included; `maximum=None` sets none.

    Raises:
        ValueError: another type, or outside the bounds.
    """
    highest = math.inf if maximum is None else maximum
    if not is_int(value) or not minimum <= value <= highest:
        bounds = f">= {minimum}" if maximum is None else f"in [{minimum}, {maximum}]"
        raise ValueError(
            f"Expected `{name}` to be an int {bounds}. Received: {value!r}"
        )
    return int(value)


def seed(value, name: str = "seed") -> int | None:
    """Returns a seed as an int in [0, 2**32), or None for a random one.

    Raises:
        ValueError: anything else.
    """
    if value is None:
        return None
    if not is_int(value) or not 0 <= value < 2**32:
        raise ValueError(
            f"Expected `{name}` to be an int in [0, 2**32) or None. Received: {value!r}"
        )
    return int(value)


def num_samples(value, minimum: int = 1) -> int:
    """Returns a number of samples, an int that TensorFlow's int32 shapes can hold.

    Beyond, TFP draws as many as the number's last 32 bits say.

    Raises:
        ValueError: another type, below `minimum`, or above 2**31 - 1.
    """
    return count("num_samples", value, minimum, 2**31 - 1)


def is_number(value) -> bool:
    """Whether `value` is a finite real number. `True` and `False` are none."""
    return (
        isinstance(value, numbers.Real)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def one_of(name: str, value, choices, what: str = "") -> str:
    """Returns `value`, which is one of `choices`.

    Args:
        name: the argument's name, for the message.
        value: what was given.
        choices: the valid names, in the order in which the message lists them.
        what: what else would be valid, for the message: "or a Keras optimizer".

    Raises:
        ValueError: it is none of them; the message proposes a similar one.
    """
    choices = list(choices)
    if not isinstance(value, str) or value not in choices:
        also = f" {what}" if what else ""
        raise ValueError(
            f"Expected `{name}` to be one of {', '.join(map(repr, choices))}{also}. "
            f"Received: {value!r}.{did_you_mean(value, choices)}"
        )
    return value


def did_you_mean(name, names) -> str:
    """Returns " Did you mean 'x'?" where one of `names` is close to `name`, else ""."""
    close = difflib.get_close_matches(str(name), list(names), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def one_line(error: BaseException) -> str:
    """Returns the reason that an exception gives, as one line."""
    reason = getattr(error, "strerror", None) or str(error).strip()
    return (reason or type(error).__name__).splitlines()[0].strip()


def require(module: str, extra: str) -> types.ModuleType:
    """Returns the imported `module`, which an optional extra of the package installs.

    Args:
        module: dotted name, such as "matplotlib.pyplot".
        extra: the extra of setup.py that installs it, such as "figures".

    Raises:
        ModuleNotFoundError: the module, or one that it imports, is not installed; the
            message, one line, names the extra.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or module).partition(".")[0]
        raise ModuleNotFoundError(
            f"{missing} is not installed. Run: pip install 'keras_gan[{extra}]'",
            name=missing,
        ) from error


def is_mistake(error: BaseException) -> bool:
    """Whether an exception is a user's mistake, whose message is all that helps."""
    if isinstance(error, ModuleNotFoundError):
        # `require` names the extra to install; any other is our own mistake.
        return "pip install" in str(error)
    return isinstance(error, _MISTAKES) or type(error).__name__ in _TENSORFLOW_MISTAKES
