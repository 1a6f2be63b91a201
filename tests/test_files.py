"""Files are replaced whole or not at all, and one process holds a lock."""

import errno
import os
import pathlib
import subprocess
import sys

import pytest

from keras_gan import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_replacing_shows_the_new_content_only_at_the_end(tmp_path):
    path = tmp_path / "model.keras"
    path.write_text("old")
    with files.replacing(path) as temporary:
        # Keras and others choose a format by the suffix.
        assert temporary.suffix == ".keras" and temporary.parent == tmp_path
        assert temporary != path
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["model.keras"]


@pytest.mark.parametrize("existed", [True, False])
def test_a_block_that_raises_changes_nothing(tmp_path, existed):
    path = tmp_path / "notes.txt"
    if existed:
        path.write_text("old")
    with pytest.raises(RuntimeError, match="^half way$"):
        with files.replacing(path) as temporary:
            temporary.write_text("hal")
            raise RuntimeError("half way")
    assert names(tmp_path) == (["notes.txt"] if existed else [])
    assert not existed or path.read_text() == "old"


def test_two_writers_with_one_process_id_do_not_mix(tmp_path):
    """Two threads, or two containers that share a folder: each calls itself 7, say."""
    path = tmp_path / "notes.txt"
    with files.replacing(path) as ours:
        ours.write_text("ours")
        with files.replacing(path) as theirs:
            theirs.write_text("theirs")
        assert path.read_text() == "theirs"
    assert path.read_text() == "ours"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_writes_nothing_keeps_the_old_content(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError):
        with files.replacing(path):
            pass
    assert path.read_text() == "old" and names(tmp_path) == ["notes.txt"]


def test_an_interrupt_leaves_nothing_beside(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with files.replacing(tmp_path / "notes.txt") as temporary:
            temporary.write_text("hal")
            raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_folders_are_created_and_strings_are_paths(tmp_path):
    path = tmp_path / "a" / "b" / "notes.tar.gz"
    with files.replacing(str(path)) as temporary:
        assert temporary.name.endswith("notes.tar.gz")
        temporary.write_bytes(b"x")
    assert path.read_bytes() == b"x"
    assert names(path.parent) == ["notes.tar.gz"]


def test_write_takes_text_and_bytes(tmp_path):
    files.write(tmp_path / "new" / "text", "σ\n")
    assert (tmp_path / "new" / "text").read_bytes() == b"\xcf\x83\n"
    files.write(tmp_path / "new" / "text", b"\x00\r\n")
    assert (tmp_path / "new" / "text").read_bytes() == b"\x00\r\n"
    assert names(tmp_path / "new") == ["text"]


def test_write_of_something_else_keeps_the_old_content(tmp_path):
    files.write(tmp_path / "text", "old")
    with pytest.raises(TypeError):
        files.write(tmp_path / "text", 3)
    assert (tmp_path / "text").read_text() == "old" and names(tmp_path) == ["text"]


def test_an_output_that_cannot_be_written_is_known_before(tmp_path):
    files.check_output(tmp_path / "new" / "deeper" / "x.json")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="Received a directory"):
        files.check_output(tmp_path)
    (tmp_path / "file").write_text("")
    files.check_output(tmp_path / "file")
    with pytest.raises(ValueError, match="below the file"):
        files.check_output(tmp_path / "file" / "x.json")


def test_an_output_directory_may_exist_and_must_be_one(tmp_path):
    files.check_output(tmp_path, directory=True)
    files.check_output(tmp_path / "new" / "deeper", directory=True)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="output directory. Received a file: .*file$"):
        files.check_output(tmp_path / "file", directory=True)
    with pytest.raises(ValueError, match="output directory in a directory.*below the"):
        files.check_output(tmp_path / "file" / "deeper", directory=True)


@pytest.mark.parametrize("directory", [True, False])
def test_a_folder_without_the_right_to_write_is_named(tmp_path, monkeypatch, directory):
    # The superuser may write anywhere.
    monkeypatch.setattr(files.os, "access", lambda path, mode: False)
    with pytest.raises(
        PermissionError, match=f"can be written. Received: .*x.json, where {tmp_path}"
    ):
        files.check_output(tmp_path / "x.json", directory)


def test_a_relative_path_is_checked_where_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    files.check_output("new/x.json")
    with pytest.raises(ValueError, match="below the file"):
        files.check_output("file/new", directory=True)


# === Locks ===


def test_one_lock_one_process(tmp_path):
    lock = tmp_path / ".lock"
    lock.write_text("999999\n")  # of a process that was killed
    with files.locked(lock):
        assert lock.read_text().strip() == str(os.getpid())
        with pytest.raises(ValueError) as error, files.locked(lock):
            pass
        assert str(error.value) == (
            f"{tmp_path} is in use by process {os.getpid()}. Wait for it to finish, or "
            "choose another directory."
        )
        # Whoever was refused has changed nothing.
        assert lock.read_text().strip() == str(os.getpid())
        (tmp_path / "other").mkdir()
        with files.locked(tmp_path / "other" / ".lock"):
            pass
    assert not lock.exists()
    with pytest.raises(RuntimeError, match="^in between$"), files.locked(str(lock)):
        raise RuntimeError("in between")
    assert not lock.exists()


def test_the_lock_of_a_process_ends_with_it(tmp_path):
    script = (
        "import pathlib, sys\nfrom keras_gan import files\n"
        "with files.locked(sys.argv[1]):\n    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    lock = tmp_path / ".lock"
    # The package imports TensorFlow; this module alone does not.
    package = "import sys, types\nkeras_gan = types.ModuleType('keras_gan')\n"
    package += f"keras_gan.__path__ = [{str(pathlib.Path(files.__file__).parent)!r}]\n"
    package += "sys.modules['keras_gan'] = keras_gan\n"
    child = subprocess.Popen(
        [sys.executable, "-c", package + script, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"in use by process {child.pid}. Wait"):
            files.locked(lock).__enter__()
        child.kill()
    assert lock.exists()
    with files.locked(lock):
        assert lock.read_text().strip() == str(os.getpid())


@pytest.mark.parametrize("target", ["precious.txt", "missing.txt"])
def test_a_lock_that_is_a_link_is_not_written_through(tmp_path, target):
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "precious.txt").write_text("precious")
    (run / ".lock").symlink_to(tmp_path / target)
    with pytest.raises(ValueError) as error, files.locked(run / ".lock"):
        pass
    assert str(error.value) == (
        f"{run / '.lock'} is a symbolic link, not a lock file. Remove it, or choose "
        "another directory."
    )
    assert names(tmp_path) == ["precious.txt", "run"] and names(run) == [".lock"]
    assert (tmp_path / "precious.txt").read_text() == "precious"


def test_a_file_that_is_no_lock_is_left_alone(tmp_path):
    """A hard link to another file, and a file with other content."""
    precious, lock = tmp_path / "precious.txt", tmp_path / ".lock"
    precious.write_text("12")
    os.link(precious, lock)
    for _ in range(2):
        with pytest.raises(ValueError, match=r"\.lock is not a lock file of keras_gan"):
            files.locked(lock).__enter__()
        assert names(tmp_path) == [".lock", "precious.txt"]
        assert precious.read_text() == "12"
    lock.unlink()
    lock.write_text("the lock of another program")
    with pytest.raises(ValueError, match=r"\.lock is not a lock file of keras_gan"):
        files.locked(lock).__enter__()
    assert lock.read_text() == "the lock of another program"


def test_a_lock_that_its_holder_removes_meanwhile_is_made_anew(tmp_path, monkeypatch):
    """Between our opening the file and our locking it: we would hold a ghost."""
    lock, calls = tmp_path / ".lock", []

    def try_lock(descriptor, original=files.try_lock):
        calls.append(descriptor)
        if len(calls) == 1:
            lock.unlink()
        return original(descriptor)

    monkeypatch.setattr(files, "try_lock", try_lock)
    with files.locked(lock):
        assert len(calls) == 2
        with pytest.raises(ValueError, match="is in use by process"):
            files.locked(lock).__enter__()
    assert not lock.exists()


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    number = errno.ENOLCK

    def refuse(descriptor, blocking):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("filelock.lock_descriptor", refuse)
    with files.locked(tmp_path / ".lock"), files.locked(tmp_path / ".lock"):
        pass
    assert names(tmp_path) == []
    with pytest.raises(files.LocksUnavailable, match="No locks available"):
        files.try_lock(0)
    number = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        files.locked(tmp_path / ".lock").__enter__()


def test_a_folder_can_be_locked_by_its_descriptor(tmp_path):
    one, other = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    assert files.try_lock(one) and not files.try_lock(other)
    os.close(one)
    assert files.try_lock(other)
    os.close(other)
    files.sync_folder(tmp_path)


def test_cleaning_takes_files_alone(tmp_path):
    """A folder of that name is a version that is being exported."""
    (tmp_path / ".incoming-1-gan.keras").write_text("half")
    (tmp_path / ".incoming-0f").mkdir()
    (tmp_path / "gan.keras").write_text("whole")
    files.clean(tmp_path)
    assert names(tmp_path) == [".incoming-0f", "gan.keras"]
