"""The files that a page writes for downloads."""

import itertools
import pathlib
import shutil

_MOST_FILES = 50


class Downloads:
    """The last files that were downloaded, each in a folder of its own.

    Args:
        folder: str or path-like; it is made where it is missing.
    """

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._numbers = itertools.count()

    def new(self, name) -> pathlib.Path:
        """Returns the path of a new file; the oldest is removed.

        Args:
            name: str, what the browser will call it.
        """
        number = next(self._numbers)
        shutil.rmtree(self._folder / str(number - _MOST_FILES), ignore_errors=True)
        path = self._folder / str(number) / name
        path.parent.mkdir(parents=True)
        return path
