"""Locks, and writes that leave the old file or the new one, never half of one."""

import contextlib
import errno
import os
import pathlib
import re
import secrets
import stat

# === Writing ===


@contextlib.contextmanager
def replacing(path):
    """Writes beside, fsyncs, renames: `path` holds the old content or all of the new.

    Args:
        path: str or path-like; its folder is created.

    Yields:
        The path to write to, in the same folder and with the same suffixes. It is
        renamed to `path` when the block ends, and removed when it raises.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A random number keeps two writers of one path apart: threads share a process id,
    # and so do containers that share a folder. The suffix stays last because Keras and
    # others choose the format by it.
    number = secrets.randbelow(10**9)
    temporary = path.with_name(f".incoming-{number}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write(path, content: str | bytes) -> None:
    """Writes `content`, bytes or text (UTF-8), to `path` as `replacing` does."""
    with replacing(path) as temporary:
        if isinstance(content, str):
            content = content.encode()
        temporary.write_bytes(content)


def sync_folder(folder) -> None:
    """Flushes a folder's entries to disk, so that a rename in it survives a power cut.

    Systems that open no folders (Windows) flush them by themselves.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def clean(directory) -> None:
    """Removes what a killed process has left half-written in `directory`.

    Call it only where no other process writes there, see `locked`.
    """
    for path in pathlib.Path(directory).glob(".incoming-*"):
        # By the names that `replacing` makes, and no others.
        if re.match(r"\.incoming-\d+-", path.name) and not path.is_dir():
            path.unlink(missing_ok=True)


def check_output(path, directory: bool = False) -> None:
    """Raises unless `path` could be written now: call it before the work, not after.

    Args:
        path: str or path-like; it need not exist, nor need the folders above it.
        directory: whether `path` is to be a directory with files in it, or a file.

    Raises:
        ValueError: `path` is the other of the two, or lies below a file.
        PermissionError: the nearest folder that exists is not writable.
    """
    path = pathlib.Path(path)
    kind = "directory" if directory else "file"
    if directory and path.exists() and not path.is_dir():
        raise ValueError(f"Expected an output directory. Received a file: {path}")
    if not directory and path.is_dir():
        raise ValueError(f"Expected an output file. Received a directory: {path}")
    candidates = [path] if directory else []
    candidates += path.absolute().parents
    # `os.path.exists`, unlike `Path.exists`, is False for what may not be looked at;
    # the folder above, which forbids that, is then the one to name.
    nearest = next(folder for folder in candidates if os.path.exists(folder))
    if not nearest.is_dir():
        raise ValueError(
            f"Expected an output {kind} in a directory. Received: {path}, below the "
            f"file {nearest}"
        )
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(
            f"Expected an output {kind} that can be written. Received: {path}, where "
            f"{nearest} is not writable. Choose another path."
        )


# === Locks ===

# File systems that know no locks answer with one of these.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)


class LocksUnavailable(OSError):
    """The system, or the file system, has no locks."""


def try_lock(descriptor: int) -> bool:
    """Locks an open file for this process, or returns False where it is locked already.

    The system releases the lock when the descriptor is closed or its process ends.

    Args:
        descriptor: of an open file, or on POSIX of a folder.

    Raises:
        LocksUnavailable: the file system has no locks.
        OSError: another failure.
    """
    # Here, because versions before 4.2 write a file and remove it when imported.
    import filelock

    try:
        return filelock.lock_descriptor(descriptor, blocking=False)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise LocksUnavailable(error.errno, error.strerror) from error


@contextlib.contextmanager
def locked(path):
    """Holds the lock file `path`, which exists as long as it is held.

    A lock file that a killed process has left does not block. On file systems without
    locks nothing is locked.

    Args:
        path: str or path-like, in a folder that exists, which is what the lock is for.

    Raises:
        ValueError: another process holds the lock, or this one, elsewhere; or `path` is
            a link, or a file that is no lock file. Such a file is not changed.
        OSError: the file cannot be written.
    """
    path = pathlib.Path(path)
    descriptor = _open_locked(path)
    try:
        # Windows forbids others to read the byte that is locked, which is the first.
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.truncate(descriptor, 0)
        os.write(descriptor, f" {os.getpid()}\n".encode())
        yield
    finally:
        # POSIX: while it is still locked, so that nobody can lock a file that is then
        # removed. Windows: after it is closed, as open files cannot be removed there.
        ours = is_open_at(path, descriptor)
        if os.name == "nt":
            os.close(descriptor)
        with contextlib.suppress(OSError):
            if ours:
                path.unlink()
        if os.name != "nt":
            os.close(descriptor)


def _open_locked(path):
    """Returns a descriptor of the file at `path`, locked."""
    while True:
        descriptor = _open_lock_file(path)
        try:
            with contextlib.suppress(LocksUnavailable):
                if not try_lock(descriptor):
                    raise ValueError(_in_use(path, descriptor))
            # Its last holder may have removed it between our two calls.
            if is_open_at(path, descriptor):
                _check_lock_file(path, descriptor)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _open_lock_file(path):
    # Windows has no O_NOFOLLOW.
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        return os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError(
                f"{path} is a symbolic link, not a lock file. Remove it, or choose "
                "another directory."
            ) from None
        raise


def _check_lock_file(path, descriptor):
    """Raises for a file that holds more than a process number, or has another name.

    What is written to a hard link would be written to the file of the other name.
    """
    status = os.fstat(descriptor)
    regular = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    if not regular or not re.fullmatch(rb"\s*\d{0,20}\s*", os.read(descriptor, 64)):
        raise ValueError(
            f"{path} is not a lock file of keras_gan. Remove it, or choose another "
            "directory."
        )


def _in_use(path, descriptor):
    os.lseek(descriptor, 1, os.SEEK_SET)
    holder = os.read(descriptor, 20).decode(errors="replace").strip()
    process = f"process {holder}" if holder.isdecimal() else "another process"
    return (
        f"{path.parent} is in use by {process}. Wait for it to finish, or choose "
        "another directory."
    )


def is_open_at(path, descriptor):
    """Whether `path` is still the name of the open file or folder."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError:
        return False
