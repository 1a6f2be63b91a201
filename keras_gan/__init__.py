"""Generative adversarial nets as an ordinary Keras model."""

import sys

from keras_gan.version import __version__ as __version__

# Importing TensorFlow takes seconds. The console command reads its flags first, from
# modules of this package that need no TensorFlow, and then reloads this module.
if not getattr(sys.modules.get("keras_gan_command"), "reading_flags", False):
    from keras_gan import backend

    backend.check()
    from keras_gan.api import *  # noqa: F403
