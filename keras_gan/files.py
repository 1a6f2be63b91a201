"""Writing so that a reader, or a crash, never meets half a file."""

import contextlib
import os
import pathlib


@contextlib.contextmanager
def replacing(path):
    """Write beside, fsync, rename: `path` holds the old content or all of the new.

    Args:
        path: str or path-like; its folder is created.

    Yields:
        The path to write to, in the same folder and with the same suffixes. It is
        renamed to `path` when the block ends, and removed when it raises.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The process id keeps two writers of one path apart; the suffix stays last
    # because Keras and others choose the format by it.
    temporary = path.with_name(f".incoming-{os.getpid()}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write(path, content):
    """Writes `content`, bytes or text (UTF-8), to `path` as `replacing` does."""
    with replacing(path) as temporary:
        if isinstance(content, str):
            content = content.encode()
        temporary.write_bytes(content)
