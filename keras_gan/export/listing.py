"""The versions that a directory holds."""

import os
import pathlib

MAX_VERSION = 2**63 - 1  # the server's int64


def versions(base) -> list[int]:
    """Returns the versions that a base holds, ascending; of no directory, none."""
    try:
        names = os.listdir(base)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(
        int(name)
        for name in names
        if is_version(name) and (pathlib.Path(base) / name).is_dir()
    )


def latest(base) -> pathlib.Path:
    """Returns the path of the highest version that a base holds.

    Args:
        base: str or path-like, the directory of the versions.

    Raises:
        ValueError: it holds none.
    """
    found = versions(base)
    if not found:
        raise ValueError(
            "Expected a directory with exported versions (1/, 2/, ...). "
            f"Received: {base}, which has none"
        )
    return pathlib.Path(base) / str(found[-1])


def is_version(name: str) -> bool:
    """Returns whether a folder of this name is a version, for us and for a server.

    Args:
        name: of a file or folder, any text.
    """
    # The length first: Python refuses to read an int of thousands of digits.
    return (
        name.isascii()
        and name.isdecimal()
        and len(name) < 20
        and str(int(name)) == name
        and int(name) <= MAX_VERSION
    )
