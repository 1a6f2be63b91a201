"""Writing so that a reader, or a crash, never meets half a file."""

import contextlib
import errno
import fcntl
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


def check_output(path):
    """Raises unless the file `path` could be written now: before the work, not after.

    Raises:
        ValueError: `path` is a directory, or lies below a file.
        PermissionError: its folder, or the nearest one that exists, is not writable.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(f"Expected an output file. Received a directory: {path}")
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    if not nearest.is_dir():
        raise ValueError(
            f"Expected an output file in a directory. Received: {path}, below the file "
            f"{nearest}"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(
            f"Expected an output that can be written. Received: {path}; choose another "
            "--output"
        )


@contextlib.contextmanager
def locked(path, words="something"):
    """Holds the lock of the file `path`, which exists as long as it is held.

    One that a killed process has left does not block: the system lets go of a lock when
    its process ends. File systems without locks get none.

    Args:
        path: str or path-like, in a folder that exists.
        words: str, what the lock is for, for the message.

    Raises:
        ValueError: another process holds it, or this one, elsewhere.
        OSError: the file cannot be written.
    """
    path = pathlib.Path(path)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            raise ValueError(
                f"Expected {words} that no other process is at work in. Received: "
                f"{path.parent}, where process {holder or 'another'} is"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
                os.close(descriptor)
                raise
        # Who held it before may have removed it between our two calls.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                break
        os.close(descriptor)
    try:
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def clean(directory):
    """Removes what a killed process has left half-written in `directory`.

    For who knows that no other process writes there, see `locked`.
    """
    for path in pathlib.Path(directory).glob(".incoming-*"):
        path.unlink(missing_ok=True)
