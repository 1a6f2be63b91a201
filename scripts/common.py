"""What the scripts share: a user's mistake ends in one line, not in a traceback."""

import logging as python_logging
import os
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
            print(f"error: {' '.join(str(mistake).split())}", file=sys.stderr)
            sys.exit(1)

    logging.set_verbosity(logging.WARNING)
    # TensorFlow's notes on retracing and on what hardware it has not found.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    app.run(guarded)
