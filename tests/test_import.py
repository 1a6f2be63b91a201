"""`import keras_gan`: no sockets, no files."""

import os
import subprocess
import sys

import pytest

# TensorFlow and Keras themselves probe for IPv6, try a temporary file and make their
# folders when they are imported; the hook watches all that comes after them.
CODE = """
import os, sys
import tensorflow, keras

def audit(event, arguments):
    if event.startswith("socket.") or event in (
        "os.mkdir", "os.rename", "os.remove", "os.rmdir", "subprocess.Popen",
    ):
        events.append((event, repr(arguments)))
    if event == "open":
        path, mode, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and path != os.devnull:
            events.append((event, repr(arguments)))

events = []
sys.addaudithook(audit)
import keras_gan
print("events:", events)
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_of_keras_is_named(root, backend):
    """Without this the import fails somewhere, or the first training does."""
    done = subprocess.run(
        [sys.executable, "-c", "import keras_gan"],
        cwd=root,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: Expected Keras on TensorFlow")
    assert f"Received: {backend}; set KERAS_BACKEND=tensorflow" in last


def test_import_opens_no_socket_and_writes_no_file(root, tmp_path):
    process = subprocess.run(
        # -B: Python writes no compiled modules, which an installation has already.
        [sys.executable, "-B", "-c", CODE],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
    )
    assert "events: []" in process.stdout
    assert list(tmp_path.iterdir()) == []
