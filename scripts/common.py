"""What the scripts share: a user's mistake ends in one line, not in a traceback."""

import logging as python_logging
import os
import pathlib
import shlex
import sys

try:
    from absl import app, flags, logging
except ModuleNotFoundError:
    sys.exit(
        "error: Expected a Python that keras_gan is installed in. "
        f"Received: {sys.executable}; activate .venv (`. .venv/bin/activate`) after "
        "`make train`, or run `pip install -e .`"
    )

# Expected at the border: wrong values, files, and trainings that diverge.
MISTAKES = (ValueError, OSError, ArithmeticError, MemoryError)


def define_flags():
    """Flags that every script has."""
    flags.DEFINE_bool("traceback", False, "Show where in the code an error arose.")


def run(main):
    """Runs `main()` after the flags are parsed; its mistakes become exit status 1."""

    def guarded(argv):
        if len(argv) > 1:
            raise app.UsageError(f"Expected only flags. Received: {' '.join(argv[1:])}")
        try:
            main()
        except KeyboardInterrupt:
            print("Interrupted.", file=sys.stderr)
            sys.exit(130)
        except Exception as mistake:
            # TensorFlow's names: a size that no memory holds, a worker that is gone.
            names = ("ResourceExhaustedError", "UnavailableError", "AbortedError")
            if flags.FLAGS.traceback or not (
                isinstance(mistake, MISTAKES) or type(mistake).__name__ in names
            ):
                raise
            print(
                f"error: {_in_flags(' '.join(str(mistake).split()))}", file=sys.stderr
            )
            sys.exit(1)

    logging.set_verbosity(logging.WARNING)
    # TensorFlow's notes on retracing and on what hardware it has not found.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _show_log()
    app.run(guarded)


def _show_log():
    """Prints what the library logs, as it does so."""
    log = python_logging.getLogger("keras_gan")
    log.setLevel(python_logging.INFO)
    handler = python_logging.StreamHandler(sys.stdout)
    handler.setFormatter(python_logging.Formatter("%(message)s"))
    log.addHandler(handler)
    log.propagate = False


def _in_flags(message):
    """The library's words for arguments, as flags."""
    for argument, flag in (
        ("resume='auto'", "--resume=auto"),
        ("resume='never'", "--resume=never"),
        ("overwrite=True", "--overwrite"),
    ):
        message = message.replace(argument, flag)
    return message


def python():
    """This Python as one would type it: its path from here, where it is below here."""
    path = pathlib.Path(sys.executable)
    here = pathlib.Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def resume_command(run):
    """What resumes a run, as one would type it."""
    from keras_gan.experiments import PRESETS

    experiment = run.experiment
    words = [str(python()), "scripts/train.py", f"--preset={experiment.name}"]
    words += [f"--workdir={run.path}", "--resume=auto"]
    words += [f"--data_dir={run.data_dir}"] if run.data_dir else []
    for path in experiment.differences(PRESETS[experiment.name]):
        value = experiment.get(path)
        words.append(f"--set={path}={'none' if value is None else value}")
    return shlex.join(words)
