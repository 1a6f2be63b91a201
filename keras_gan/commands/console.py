"""Runs a command: its help, its flags, and one line for each of a user's mistakes."""

import contextlib
import importlib
import logging
import os
import pathlib
import re
import shlex
import shutil
import signal
import sys
import textwrap
from collections.abc import Iterable, Sequence

from absl import flags

from keras_gan.commands import wording
from keras_gan.streams import ProgressStream
from keras_gan.version import __version__

COMMANDS = (
    "train", "generate", "walk", "project", "complete", "resample", "evaluate",
    "figures", "export", "serve", "demo", "theory",
)  # fmt: skip
_HELP = {"--help", "-help", "-h", "--helpfull", "--helpshort"}


def run(arguments: Sequence[str], command: str | None = None) -> int:
    """Runs a command.

    Args:
        arguments: the words after the program's name.
        command: one of `COMMANDS`; None takes it from `arguments`.

    Returns:
        The exit status: 0, 1 after a user's mistake, 130 after Ctrl-C.

    Raises:
        SystemExit: 143, where a training was stopped by SIGTERM.
        Exception: an error of the package itself, or any with --traceback.
    """
    if command is None:
        name, *arguments = arguments or [""]
        if name in _HELP:
            _tell(overview())
            return 0
        if name == "--version":
            _tell(__version__)
            return 0
        if name not in COMMANDS:
            from keras_gan import checks

            hint = checks.did_you_mean(name, COMMANDS)
            received = repr(name) if name else "none"
            return _fail(
                f"Expected a command among {', '.join(COMMANDS)}. Received: {received}."
                f"{hint} See keras-gan --help"
            )
        command = name
    module = _module(command)
    values = flag_values(module)
    if _HELP & set(arguments):
        _tell(help_text(command, arguments))
        return 0
    try:
        _, *stray = values([command, *arguments])
    except flags.Error as error:
        missing = re.match(r"flag --(\w+)=None: Flag .* must have a value", str(error))
        reason = f"Expected --{missing[1]}=... Received: none." if missing else error
        return _fail(f"{reason} See keras-gan {command} --help")
    if stray:
        return _fail(f"Expected only flags. Received: {' '.join(stray)}")
    # Whoever reads the output may close it. A training continues without a reader.
    stdout, stderr = _lasting(sys.stdout), _lasting(sys.stderr)
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        status = _guarded(module, values)
        if (
            stdout.has_ended
            and command not in ("train", "serve", "demo")
            and status == 0
        ):
            return _fail(
                "Expected a standard output that can be written to. Received: "
                "one that cannot"
            )
        return status


def _tell(text):
    """Prints a text that its reader may leave: `keras-gan train --help | head`."""
    print(text, file=_lasting(sys.stdout), flush=True)


def _lasting(stream):
    """A standard stream that ignores writes once one has failed."""
    if stream is None:  # closed before this process began
        stream = open(os.devnull, "w")  # noqa: SIM115 (as long as the process)
    return ProgressStream(stream)


def _module(command):
    return importlib.import_module(f"keras_gan.commands.{command}")


def _guarded(module, values):
    """Runs `module.main(values)`; returns its exit status."""
    logger = logging.getLogger("keras_gan")
    handler = _PrintingHandler(values)
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        module.main(values)
        return 0
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        from keras_gan import checks

        if values.traceback or not checks.is_mistake(error):
            raise
        return _fail(wording.in_flags(str(error), values))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = True


def _fail(message):
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 1


class _PrintingHandler(logging.Handler):
    """Prints what the package logs: notes on stdout, warnings on stderr."""

    def __init__(self, values):
        super().__init__()
        self._values = values

    def emit(self, record):
        message = wording.in_flags(record.getMessage(), self._values)
        if record.levelno >= logging.WARNING:
            print(f"warning: {message}", file=sys.stderr, flush=True)
        else:
            print(message, flush=True)


# === Flags and help ===


def flag_values(module) -> flags.FlagValues:
    """Returns the flags of a command's module, unread.

    A command has flags of its own: two of them may share a name, in one process.
    """
    values = flags.FlagValues()
    module.define_flags(values)
    flags.DEFINE_bool(
        "traceback",
        False,
        "Show where in the code an error arose.",
        flag_values=values,
    )
    return values


def overview() -> str:
    """Returns the help of `keras-gan` itself."""
    lines = [
        "Generative adversarial nets: keras-gan COMMAND [--FLAG=VALUE ...]",
        "",
        "Commands:",
        *table((name, _summary(_module(name))) for name in COMMANDS),
        "",
        "keras-gan COMMAND --help lists the flags of a command.",
    ]
    return "\n".join(lines)


def _summary(module):
    """The first sentence of a module's docstring."""
    return module.__doc__.partition(":")[0] + "."


def help_text(command: str, arguments: Sequence[str] = ()) -> str:
    """Returns the help of a command.

    Args:
        command: one of `COMMANDS`.
        arguments: flags that stand beside --help: the help may depend on them.
    """
    module = _module(command)
    values = flag_values(module)
    with contextlib.suppress(flags.Error):
        values([command, *(word for word in arguments if word not in _HELP)])
    # In the order of their definition, which absl keeps for each module.
    defined = [
        flag for flags_ in values.flags_by_module_dict().values() for flag in flags_
    ]
    lines = [
        module.__doc__.strip(),
        "",
        "Flags:",
        *table((_usage(flag), _meaning(flag)) for flag in defined),
    ]
    if hasattr(module, "more_help"):
        lines += ["", module.more_help(values)]
    return "\n".join(lines)


def _usage(flag):
    if flag.boolean:
        return f"--[no]{flag.name}"
    values = getattr(flag.parser, "enum_values", None)
    return f"--{flag.name}={'|'.join(values) if values else flag.name.upper()}"


def _meaning(flag):
    # absl puts an enum's values before the help and a note on repetition after it.
    text = re.sub(
        r"^<[^>]*>: |;\s+repeat this option to .*$", "", flag.help, flags=re.S
    )
    if flag.default is None or flag.default == []:
        return text
    return f"{text} Default: {flag.default_as_str.strip(chr(39))}."


def table(rows: Iterable[tuple[str, str]], name_width: int = 22) -> list[str]:
    """Returns the lines of a two-column table: names, and sentences on them.

    Args:
        rows: the pairs.
        name_width: columns for the names. A longer name has a line of its own.
    """
    width = min(100, shutil.get_terminal_size().columns)
    indent = " " * (name_width + 3)
    lines = []
    for name, text in rows:
        first = f"  {name:{name_width}} "
        if len(name) > name_width:
            lines.append(f"  {name}")
            first = indent
        lines += textwrap.wrap(
            " ".join(text.split()),
            width,
            initial_indent=first,
            subsequent_indent=indent,
            break_on_hyphens=False,
        ) or [first.rstrip()]
    return lines


# === The next command ===


def typed(command: str, *arguments: str) -> str:
    """Returns a command line as the user would type it, in the way of the present one.

    Args:
        command: one of `COMMANDS`.
        arguments: its flags.
    """
    program = pathlib.Path(sys.argv[0])
    python = _from_here(sys.executable)
    if program.stem == "keras_gan_command":
        words = [python, "-m", program.stem, command]
    elif program.suffix == ".py":  # scripts/train.py
        words = [python, _from_here(program.with_name(f"{command}.py"))]
    else:
        words = [_from_here(program), command]
        found = shutil.which(program.name)
        if found and pathlib.Path(found).absolute() == program.absolute():
            words[0] = program.name
    return shlex.join([*words, *arguments])


def _from_here(path):
    """A path relative to the working directory where it is below it."""
    path, here = pathlib.Path(path), pathlib.Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
