"""What must hold of an exported version before a server sees it.

`verify` goes from weak to strict: the files, the graph, a process without Keras, the
server's own loader, and what batching asks. It cannot prove what only the server's
image can.
"""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np

from keras_gan.export import graph, probe, publishing

_PROBE = pathlib.Path(probe.__file__)
_PROBE_SECONDS = 300


class VerificationError(ValueError):
    """A version that a server must not get; the message names every check that failed.

    Attributes:
        failures: dict of check names to lists of words.
    """

    def __init__(self, path, failures):
        self.failures = failures
        named = "; ".join(
            f"{check}: {', '.join(words)}" for check, words in failures.items()
        )
        super().__init__(
            f"Expected a version that a server can load. Received: {path} ({named})"
        )


def verify(path, progress=None):
    """Checks an exported version, from weak to strict.

    1. `files`: the card is there and as it was written, and every file has the digest
       that it states.
    2. `graph`: tag, signatures and their names, dimension 0, dtypes; no Python, no
       state but the weights, no assignment and no forced XLA in any function that a
       signature reaches; each weight is stored once.
    3. `python`: a process that finds neither keras nor keras_gan loads it and matches
       the card's goldens.
    4. `server`: the server's own loader, XLA disabled as the server does, loads it and
       matches the goldens; a row's result does not depend on its batch; batches of 0 to
       8 rows work, a wrong dtype or rank is an error.

    Args:
        path: str or path-like, a version's directory.
        progress: None, or a function of the name of the check that begins.

    Returns:
        list of the names of the checks.

    Raises:
        ValueError: there is no SavedModel at `path`.
        VerificationError: what does not hold, all of it.
    """
    path = pathlib.Path(path)
    if not (path / "saved_model.pb").is_file():
        hint = ""
        if publishing.versions(path):
            hint = f"; its latest version is {publishing.latest(path)}"
        raise ValueError(
            "Expected a version's directory, with a saved_model.pb. "
            f"Received: {path}{hint}"
        )
    failures = {}

    def check(name, function):
        if progress:
            progress(name)
        try:
            words = function()
        except Exception as error:  # a damaged model fails in many ways
            text = str(error).strip() or type(error).__name__
            words = [" ".join(text.split())[:300]]
        if words:
            failures[name] = words

    check("files", lambda: _check_files(path))
    check("graph", lambda: _check_graph(path))
    check("python", lambda: _check_probe(path, "python"))
    check("server", lambda: _check_probe(path, "server"))
    if failures:
        raise VerificationError(path, failures)
    return ["files", "graph", "python", "server"]


def _check_files(path):
    card = publishing.read_card(path)
    found, stated = publishing.digests(path), card["files"]
    return (
        ([] if publishing.is_sealed(path) else [f"{publishing.CARD} was altered"])
        + [f"{name} is missing" for name in sorted(set(stated) - set(found))]
        + [f"{name} is not on the card" for name in sorted(set(found) - set(stated))]
        + [
            f"{name} is not as it was exported"
            for name in sorted(set(found) & set(stated))
            if found[name] != stated[name]
        ]
    )


def _check_graph(path):
    try:
        weight_bytes = publishing.read_card(path)["weight_bytes"]
    except ValueError:  # which is for `files` to say
        weight_bytes = None
    return graph.check(path, weight_bytes)


def _check_probe(path, kind):
    """What a process of its own finds, see `probe`."""
    card = publishing.read_card(path)
    request = {
        "path": str(path.resolve()),
        "signatures": graph.read_signatures(path),
        "seeds": [golden["seed"] for golden in card["goldens"]],
        "latent_dim": card["latent_dim"],
        "tolerance": card["tolerance"],
    }
    process = subprocess.run(
        [sys.executable, str(_PROBE), kind],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
        # On the CPU, as the goldens: this process may hold the GPU's memory, and the
        # products of a GPU are rounded to 10 bits.
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [
            f"the process ended with {process.returncode}"
        ]
        return [" ".join(lines[-1].split())[:300]]
    answer = json.loads(process.stdout.strip().splitlines()[-1])
    return answer.get("failures", []) + _compare(
        card["goldens"], answer["goldens"], card["tolerance"]
    )


def _compare(stated, found, tolerance):
    words = []
    for golden, other in zip(stated, found, strict=True):
        for name in ("latents", "values", "mean"):
            expected, given = np.asarray(golden[name]), np.asarray(other[name])
            scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
            # Another process may add up in another order, at every layer.
            bound = scale * (max(tolerance, 1e-4) if name != "latents" else 1e-5)
            if expected.shape != given.shape or not np.allclose(
                given, expected, rtol=0, atol=bound
            ):
                words.append(f"{name} of seed {golden['seed']} are not the card's")
    return words
