"""Translates the package's messages, which speak Python, into flags."""

import re

from absl import flags

# An argument with a value, such as overwrite=True or resume='auto'. The characters that
# may not stand before it keep out --set=epochs=3, generator.learning_rate=0.1 and, as
# those that may not stand after it, paths: runs/seed=1 and seed=1/gan.keras.
_ASSIGNED = re.compile(
    r"(?<![\w.=/\\-])(?P<name>[a-z_]+)="
    r"(?P<value>'[^']*'|\"[^\"]*\"|[\w.+-]*\w|\.\.\.)(?![\w/\\])"
)
# An argument's name in backticks, or where a message asks for it in words.
_NAMED = re.compile(r"`(?P<name>[a-z_]+)`|pass its name as (?P<asked>[a-z_]+)")


def in_flags(message: str, values: flags.FlagValues) -> str:
    """Returns `message` with the flags of a command for the arguments of a function.

    `overwrite=True` becomes --overwrite, `resume='auto'` becomes --resume=auto, and
    `num_samples` in backticks becomes --num_samples, each where the command has such a
    flag. `skip_broken=True` becomes --set=skip_broken=true where the command has
    settings. All else stays.

    Args:
        message: what an exception or a log record says.
        values: the command's flags.
    """

    def assigned(match):
        name, value = match["name"], match["value"].strip("'\"")
        if name not in values:
            if "set" in values and value in ("True", "False"):
                return f"--set={name}={value.lower()}"
            return match[0]
        if values[name].boolean:
            return {"True": f"--{name}", "False": f"--no{name}"}.get(value, match[0])
        return f"--{name}={value}"

    def named(match):
        name = match["name"] or match["asked"]
        if name not in values:
            return match[0]
        return f"--{name}" if match["name"] else f"pass --{name}"

    if "import" in values:
        message = message.replace(
            "Import the module that registers it first", "Pass --import=ITS_MODULE"
        )
    return _NAMED.sub(named, _ASSIGNED.sub(assigned, message))
