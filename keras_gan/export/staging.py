"""The folder that a version is written in before it gets its number.

Its name is one that a model server ignores, and it is locked while its exporter lives.
The system releases the lock when the exporter ends, however it ends, so that the next
exporter can tell a folder that was left behind from one that is being written. A
process id could not: the system uses ids again, and each container that shares the disk
counts its own.

Without locks (Windows, some network disks) publishing is as safe, but what a killed
exporter left behind stays until somebody deletes it.

A user who copies a version into a base does as the exporter does, under a name of his
own, such as `.copying-2`. His process holds no lock. The names of exporters therefore
end with 32 random digits, and nothing else is ever swept away.
"""

import contextlib
import os
import pathlib
import re
import shutil
import uuid

from keras_gan import files

_PREFIX = ".incoming-"
_OF_AN_EXPORTER = re.compile(re.escape(_PREFIX) + "[0-9a-f]{32}")


@contextlib.contextmanager
def folder_in(base: pathlib.Path):
    """Makes a new, locked folder in `base`, and removes it if it was not renamed.

    Args:
        base: directory of versions.

    Yields:
        `pathlib.Path` of the folder.
    """
    locked = False
    while not locked:
        folder = base / f"{_PREFIX}{uuid.uuid4().hex}"
        folder.mkdir()
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            try:
                # False: another exporter swept the folder away before it was locked.
                locked = stack.enter_context(_locked(folder))
            except files.LocksUnavailable:
                locked = True
            if locked:
                yield folder


def sweep(base: pathlib.Path) -> None:
    """Removes the folders in `base` that killed exporters left, and no others.

    Args:
        base: directory of versions.
    """
    for folder in base.iterdir():
        if not _OF_AN_EXPORTER.fullmatch(folder.name) or folder.is_symlink():
            continue
        # Without locks nobody knows whose a folder is; what cannot be opened stays.
        with contextlib.suppress(OSError), _locked(folder) as locked:
            if locked:
                shutil.rmtree(folder, ignore_errors=True)


def flush(folder: pathlib.Path) -> None:
    """Flushes every file and folder in `folder`, and itself, to the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as content:
                os.fsync(content.fileno())
        else:
            files.sync_folder(path)
    files.sync_folder(folder)


@contextlib.contextmanager
def _locked(folder):
    """Locks a folder, and yields whether nobody else holds it and it is still there.

    Raises:
        files.LocksUnavailable: this system or this file system cannot lock folders.
    """
    if os.name == "nt":  # which opens no folders
        raise files.LocksUnavailable
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:  # another exporter removed it
        yield False
        return
    try:
        # Another exporter may have removed the folder between opening and locking it;
        # its lock would then protect nothing.
        yield files.try_lock(handle) and files.is_open_at(folder, handle)
    finally:
        os.close(handle)
