"""`import keras_gan`: no sockets, no files."""

import os
import subprocess
import sys

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
