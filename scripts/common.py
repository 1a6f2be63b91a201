"""What the scripts share: the console command, or one line that says how to get it."""

import sys

try:
    from keras_gan_command import main as main
except ModuleNotFoundError:
    sys.exit(
        "error: Expected a Python that keras_gan is installed in. "
        f"Received: {sys.executable}; activate .venv (`. .venv/bin/activate`) after "
        "`make train`, or run `pip install -e .`"
    )
