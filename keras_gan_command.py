"""The entry point of the console command `keras-gan`.

This module stands beside the package, because importing any module of keras_gan first
runs keras_gan/__init__.py, which imports TensorFlow and all of the package. While
`reading_flags` is True, keras_gan/__init__.py leaves that out, so that `--help` and a
misspelt flag are answered at once.
"""

import importlib
import os
import sys

reading_flags = False


def main(command: str | None = None):
    """Runs the command of `sys.argv` and ends the process with its exit status.

    Args:
        command: "train", "generate", ...; None takes it from `sys.argv[1]`.
    """
    global reading_flags
    reading_flags = True
    from keras_gan.commands import console

    sys.exit(console.run(sys.argv[1:], command))


def load_package():
    """Imports all of keras_gan, as `import keras_gan` does."""
    global reading_flags
    reading_flags = False
    # Of this process alone, whatever the user's other programs run on.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    importlib.reload(importlib.import_module("keras_gan"))


if __name__ == "__main__":
    # keras_gan/__init__.py looks this module up by its name, which is not "__main__".
    from keras_gan_command import main as _main

    _main()
