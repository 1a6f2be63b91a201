"""Files are replaced whole or not at all."""

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


def test_a_folder_without_the_right_to_write_is_named(tmp_path, monkeypatch):
    # The superuser may write anywhere.
    monkeypatch.setattr(files.os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="can be written. Received: .*x.json"):
        files.check_output(tmp_path / "x.json")
