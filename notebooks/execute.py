"""Runs notebooks anew and keeps their outputs.

    python notebooks/execute.py [NOTEBOOK ...]

Each runs in a fresh kernel. A notebook in which a cell fails stays as it was. The extra
`notebooks` brings what this needs.
"""

import hashlib
import json
import os
import pathlib
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent


def source_digest(notebook) -> str:
    """Returns the SHA-256 of a notebook's code: with other code, outputs are old."""
    code = [
        "".join(cell["source"])  # one string, or its lines
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]
    return hashlib.sha256(json.dumps(code).encode()).hexdigest()


def execute(path):
    """Returns the notebook of a file with the outputs of a fresh kernel.

    The kernel's temporary files and its history are removed with it. What is written to
    standard error is left out: TensorFlow describes the machine there.

    Args:
        path: str or path-like.

    Returns:
        `nbformat.NotebookNode`. Its metadata hold the digest of the code that ran.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    # Here, because the tests that read the notebooks need none of it.
    import nbclient
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=None,  # a training takes as long as the machine lets it
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(FOLDER)}},
    )
    with tempfile.TemporaryDirectory() as scratch:
        own = {"TMPDIR": scratch, "IPYTHONDIR": scratch, "TF_CPP_MIN_LOG_LEVEL": "3"}
        client.execute(env={**os.environ, **own})
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [x for x in cell["outputs"] if x.get("name") != "stderr"]
    notebook["metadata"] = {
        "kernelspec": notebook["metadata"]["kernelspec"],
        "language_info": {"name": "python"},
        "keras_gan": {"executed": source_digest(notebook)},
    }
    return notebook


def main():
    """Executes the notebooks that the command line names, or all."""
    import nbformat

    for path in sys.argv[1:] or sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(execute(path), path)
        print(f"Wrote {path}", flush=True)


if __name__ == "__main__":
    main()
