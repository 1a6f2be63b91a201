"""The folder that a version is written in before it gets its number.

Its name is one that a model server ignores, and it is locked while its exporter lives.
The system releases the lock when the exporter ends, however it ends, so that the next
exporter can tell a folder that was left behind from one that is being written. A
process id could not: the system uses ids again, and each container that shares the disk
counts its own.

Without locks (Windows, some network disks) publishing is as safe, but what a killed
exporter left behind stays until somebody deletes it.
"""

import contextlib
import os
import pathlib
import shutil
import uuid

from keras_gan import files

_PREFIX = ".incoming-"


class _LocksUnavailable(Exception):
    """The system, or the file system, has no locks."""


@contextlib.contextmanager
def folder_in(base: pathlib.Path):
    """Makes a new, locked folder in `base`, and removes it if it was not renamed.

    Args:
        base: directory of versions.

    Yields:
        `pathlib.Path` of the folder.
    """
    while True:
        folder = base / f"{_PREFIX}{uuid.uuid4().hex}"
        folder.mkdir()
        try:
            handle = _lock(folder)
        except _LocksUnavailable:
            handle = None
            break
        # None: another exporter swept the folder away before it was locked.
        if handle is not None:
            break
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def sweep(base: pathlib.Path) -> None:
    """Removes the folders in `base` that killed exporters left, and no others."""
    with contextlib.suppress(_LocksUnavailable):
        for folder in base.glob(f"{_PREFIX}*"):
            handle = _lock(folder)
            if handle is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(handle)


def flush(folder: pathlib.Path) -> None:
    """Flushes every file and folder in `folder`, and itself, to the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as content:
                os.fsync(content.fileno())
        else:
            files.sync_folder(path)
    files.sync_folder(folder)


def _lock(folder):
    """Returns a handle of `folder` that nobody else has while it is open, or None.

    Raises:
        _LocksUnavailable: this system or this file system has no locks.
    """
    if os.name == "nt":  # Windows opens no folders
        raise _LocksUnavailable
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # another exporter removed it
        return None
    try:
        # Another exporter may have removed the folder between opening and locking it;
        # its lock would then protect nothing.
        if files.try_lock(handle) and files.is_open_at(folder, handle):
            return handle
    except OSError as error:
        os.close(handle)
        raise _LocksUnavailable from error
    os.close(handle)
    return None
