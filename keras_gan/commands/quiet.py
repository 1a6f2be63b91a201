"""Imports the package without the notes that TensorFlow writes while it starts."""

import contextlib
import importlib
import logging as python_logging
import os
import sys
import tempfile

from absl import flags, logging

import keras_gan_command
from keras_gan import checks

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def define_import(values: flags.FlagValues):
    """Defines --import, the user's modules that `load_package` imports."""
    flags.DEFINE_multi_string(
        "import",
        [],
        "A module of your own, to import first: it registers classes that a model "
        "needs. Repeat the flag for several.",
        flag_values=values,
    )


def load_package(values: flags.FlagValues | None = None):
    """Imports all of keras_gan, and the modules that --import names.

    They are also looked for in the working directory.

    Args:
        values: flags of `define_import`; None imports keras_gan alone.

    Raises:
        ValueError: such a module cannot be imported.
    """
    _load_package()
    modules = [] if values is None else values["import"].value
    if modules:
        sys.path.insert(0, os.getcwd())
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # it is the user's code
            raise ValueError(
                f"Expected a module that can be imported. Received: {module} "
                f"({type(error).__name__}: {checks.one_line(error)})"
            ) from error


def _load_package():
    """Shows what TensorFlow wrote only if the import failed.

    TensorFlow notes at its start which CPU and GPU libraries it found and did not find,
    before its log level is in force. All of that is shown to a user who sets
    TF_CPP_MIN_LOG_LEVEL.
    """
    if _LEVEL in os.environ:
        keras_gan_command.load_package()
        return
    os.environ[_LEVEL] = "3"
    logging.set_verbosity(logging.ERROR)
    with held_back_stderr():
        keras_gan_command.load_package()
        import tensorflow as tf

        # It looks for GPUs here, and complains where there are none. Nothing more may
        # run before a training has chosen its devices.
        tf.config.list_physical_devices()
    # Notes on retracing, of functions that rightly trace anew for another shape.
    python_logging.getLogger("tensorflow").setLevel(python_logging.ERROR)


def load_library():
    """Loads TensorFlow's library alone, without its Python, as `load_package` does."""
    from keras_gan.export.verification import c_session

    if _LEVEL in os.environ:
        c_session.start()
        return
    os.environ[_LEVEL] = "3"
    with held_back_stderr():
        c_session.start()


@contextlib.contextmanager
def held_back_stderr(shown_after_errors=True):
    """Holds back what this process writes to stderr; shows it after an exception.

    C++ code writes to the file descriptor, so `contextlib.redirect_stderr` is not
    enough.

    Args:
        shown_after_errors: bool, whether an exception shows it.
    """
    sys.stderr.flush()
    try:
        original = os.dup(2)
    except OSError:  # the process was started without a stderr
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            held.seek(0)
            if shown_after_errors:
                os.write(original, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
