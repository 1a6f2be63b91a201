"""Checks an exported version before a server sees it, from weak to strict.

The files, the graph, a process without Keras, the server's own loader, and what
batching demands. The one thing that it cannot prove is that the server's image runs.
"""

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import numpy as np

from keras_gan.export import cards, graph, listing

_PROBE = pathlib.Path(__file__).with_name("probe.py")
_PROBE_SECONDS = 300


class VerificationError(ValueError):
    """A version that a server cannot run; the message gives every reason.

    Args:
        path: str or path-like, of the version.
        failures: dict of the names of the checks that failed to lists of reasons.

    Attributes:
        failures: as given.
    """

    def __init__(self, path, failures: dict[str, list[str]]):
        self.failures = failures
        reasons = "; ".join(
            f"{check}: {', '.join(found)}" for check, found in failures.items()
        )
        super().__init__(f"A server cannot run {path} ({reasons}). Export it again.")


def verify(path, progress: Callable[[str], object] | None = None) -> list[str]:
    """Checks an exported version, from weak to strict.

    1. `files`: the card is there and as it was written, and every file has the digest
       that it states.
    2. `graph`: tag, signatures and their names, dimension 0, dtypes; no Python, no
       state but the weights, no assignment and no forced XLA in any function that a
       signature reaches; each weight is stored once; no operation anywhere but those
       that compute (`graph.unsafe_operations`). A version that fails these two is not
       loaded.
    3. `python`: a process that finds neither keras nor keras_gan loads it and matches
       the card's goldens.
    4. `server`: the server's own loader, XLA disabled as the server does, loads it and
       matches the goldens; a row's result does not depend on its batch; batches of 0 to
       8 rows work, a wrong dtype or rank is an error, and so is a label of no class.

    Args:
        path: str or path-like, a version's directory.
        progress: None, or a function of the name of the check that begins.

    Returns:
        list of the names of the checks.

    Raises:
        ValueError: there is no SavedModel at `path`.
        VerificationError: at least one check failed.
    """
    path = pathlib.Path(path)
    if not (path / "saved_model.pb").is_file():
        hint = ""
        if listing.versions(path):
            hint = f"; its latest version is {listing.latest(path)}"
        raise ValueError(
            "Expected a version's directory, with a saved_model.pb. "
            f"Received: {path}{hint}"
        )
    checks = {
        "files": cards.file_faults,
        "graph": graph_faults,
        "python": lambda path: probe_faults(path, "python"),
        "server": lambda path: probe_faults(path, "server"),
    }
    failures = {}
    for name, find_faults in checks.items():
        if progress:
            progress(name)
        try:
            faults = find_faults(path)
        except Exception as error:  # a damaged model fails in many ways
            faults = [_shortened(str(error).strip() or type(error).__name__)]
        if faults:
            failures[name] = faults
        if failures and name == "graph":
            break  # what follows would run it
    if failures:
        raise VerificationError(path, failures)
    return list(checks)


def graph_faults(path) -> list[str]:
    """Lists every reason why a server would reject a version's graph."""
    try:
        weight_bytes = cards.read_card(path)["weight_bytes"]
    except ValueError:  # `file_faults` reports the card
        weight_bytes = None
    return graph.find_faults(path, weight_bytes)


def probe_faults(path, loader: str) -> list[str]:
    """Lists what a process of its own finds wrong with a version.

    Args:
        path: `pathlib.Path`, the version's directory.
        loader: "python" or "server", see `probe`.
    """
    card = cards.read_card(path)
    request = {
        "path": str(path.resolve()),
        "signatures": graph.read_signatures(path),
        "goldens": card["goldens"],
        "latent_dim": card["latent_dim"],
        "sample_shape": card["sample_shape"],
        "classes": card.get("classes"),
        "tolerance": card["tolerance"],
    }
    process = subprocess.run(
        [sys.executable, str(_PROBE), loader],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
        # On the CPU, as the goldens: this process may hold the GPU's memory, and a GPU
        # may round products to 10 bits.
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [
            f"the process ended with {process.returncode}"
        ]
        return [_shortened(lines[-1])]
    answer = json.loads(process.stdout.strip().splitlines()[-1])
    return answer.get("failures", []) + _golden_faults(
        card["goldens"], answer["goldens"], card["tolerance"]
    )


def _golden_faults(stated, found, tolerance):
    faults = []
    for golden, other in zip(stated, found, strict=True):
        for name in ("latents", "values", "mean", "encoded"):
            expected, given = (
                np.asarray(each.get(name, ())) for each in (golden, other)
            )
            scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
            # Another process may add up in another order, at every layer.
            bound = scale * (max(tolerance, 1e-4) if name != "latents" else 1e-5)
            if expected.shape != given.shape or not np.allclose(
                given, expected, rtol=0, atol=bound
            ):
                faults.append(f"{name} of seed {golden['seed']} are not the card's")
    return faults


def _shortened(text):
    return " ".join(text.split())[:300]
