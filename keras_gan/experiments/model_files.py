"""GANs that a training has saved: the one way to read a `.keras` file back."""

import pathlib
import re
import zipfile

import keras

from keras_gan import checks
from keras_gan.gan import GAN

# The model's name in the directory of a run.
MODEL = "gan.keras"


def model_file(path) -> pathlib.Path:
    """Returns the file of the model in a run's directory, or the `.keras` file itself.

    Raises:
        ValueError: there is none.
    """
    path = pathlib.Path(path)
    file = path / MODEL if path.is_dir() else path
    if not file.is_file():
        raise ValueError(
            f"Expected a run's directory with a {MODEL}, a .keras file or an exported "
            f"generator. Received: {path}, where there is none"
        )
    return file


def load_gan(path, compile=True) -> GAN:
    """Returns the `GAN` of a run's directory, or of a `.keras` file.

    Args:
        path: str or path-like.
        compile: bool, whether loss and optimizers are loaded too.

    Raises:
        ValueError: there is no model at `path`, or none that can be read.
    """
    file = model_file(path)
    try:
        gan = keras.saving.load_model(file, compile=compile)
        if not isinstance(gan, GAN):
            raise TypeError(f"it holds a {type(gan).__name__}")
        return gan
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        unknown = re.search(r"Could not locate (?:class|function) '(\S+)'", str(error))
        if unknown:
            raise ValueError(
                f"{file} needs {unknown[1]}, which is not registered with Keras. "
                "Import the module that registers it first."
            ) from error
        reason = checks.one_line(error).split(". ")[0]
        raise ValueError(
            f"Expected a GAN saved by keras_gan. Received: {file}, which cannot be "
            f"read ({reason})"
        ) from error
