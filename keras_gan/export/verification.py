"""What must hold of an exported version before a server sees it.

`verify` goes from weak to strict: the files, the graph, a process without Keras, the
server's own loader, and what batching asks. It cannot prove what only the server's
image can.
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys

import numpy as np

from keras_gan.export import probe, publishing

_PROBE = pathlib.Path(probe.__file__)
_PREDICT = "tensorflow/serving/predict"
# What REST can write as JSON; TensorFlow's numbers of the dtypes.
_SERVABLE = {1: "float32", 3: "int32", 7: "string", 9: "int64"}
_PYTHON_OPS = re.compile(r"(Eager)?PyFunc(Stateless)?$")
_RANDOM_STATE_OPS = re.compile(
    r"(Random|Multinomial|TruncatedNormal|ParameterizedTruncatedNormal"
    r"|StandardNormal|Stateful(Random|Uniform|Standard|Truncated)|Rng"
    r"|NonDeterministicInts|StatelessRandomGetKeyCounterAlgFromState)"
)
_ASSIGN_OPS = re.compile(r"(Assign|Resource.*Update|ScatterUpdate)")
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

    1. `files`: the card is there, and every file has the digest that the card states.
    2. `graph`: tag, signatures and their names, dimension 0, dtypes; no Python, no
       random state, no assignment and no forced XLA in any function that a signature
       reaches; each weight is stored once.
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


def read_signatures(path):
    """What a SavedModel's signatures are called, inside and outside.

    Returns:
        dict of signature names to `{"inputs": {name: tensor}, "outputs": {name:
        tensor}}`, as `c_session.Session` takes them.
    """
    meta_graph = _meta_graph(path)
    return {
        name: {
            "inputs": {key: info.name for key, info in signature.inputs.items()},
            "outputs": {key: info.name for key, info in signature.outputs.items()},
        }
        for name, signature in meta_graph.signature_def.items()
        # Of TensorFlow's own: it runs the restore.
        if not name.startswith("__")
    }


def _meta_graph(path):
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((pathlib.Path(path) / "saved_model.pb").read_bytes())
    for meta_graph in saved_model.meta_graphs:
        if "serve" in meta_graph.meta_info_def.tags:
            return meta_graph
    raise ValueError("no MetaGraph with the tag serve")


def _check_files(path):
    card = publishing.read_card(path)
    found, stated = publishing.digests(path), card["files"]
    return (
        [f"{name} is missing" for name in sorted(set(stated) - set(found))]
        + [f"{name} is not on the card" for name in sorted(set(found) - set(stated))]
        + [
            f"{name} is not as it was exported"
            for name in sorted(set(found) & set(stated))
            if found[name] != stated[name]
        ]
    )


def _check_graph(path):
    meta_graph = _meta_graph(path)
    words = _check_signatures(meta_graph)
    functions = {
        function.signature.name: function
        for function in meta_graph.graph_def.library.function
    }
    found = set()
    for name, signature in meta_graph.signature_def.items():
        if name.startswith("__"):
            continue
        for node, function in _reachable(meta_graph.graph_def, functions, signature):
            if _PYTHON_OPS.match(node.op):
                found.add(f"{name} calls Python ({node.op})")
            if _RANDOM_STATE_OPS.match(node.op):
                found.add(f"{name} keeps a random state ({node.op})")
            if _ASSIGN_OPS.match(node.op):
                found.add(f"{name} assigns to a variable ({node.op})")
            if node.attr["_XlaMustCompile"].b or (
                function is not None and function.attr["_XlaMustCompile"].b
            ):
                found.add(f"{name} must be compiled by XLA, which the server disables")
    return words + sorted(found) + _check_weights(path)


def _check_signatures(meta_graph):
    signatures = {
        name: signature
        for name, signature in meta_graph.signature_def.items()
        if not name.startswith("__")
    }
    words = []
    for name in ("serving_default", "sample"):
        if name not in signatures:
            words.append(f"signature {name} is missing")
    expected = {
        "serving_default": ({"latents"}, ({"images"}, {"samples"})),
        "sample": ({"seed"}, ({"images", "latents"}, {"samples", "latents"})),
        "png": ({"latents"}, ({"image_bytes"},)),
    }
    for name, signature in signatures.items():
        if signature.method_name != _PREDICT:
            words.append(f"{name}: method {signature.method_name!r}")
        inputs, outputs = expected.get(name, (None, None))
        if inputs is not None and set(signature.inputs) != inputs:
            words.append(f"{name}: inputs {sorted(signature.inputs)}")
        if outputs is not None and set(signature.outputs) not in outputs:
            words.append(f"{name}: outputs {sorted(signature.outputs)}")
        for key, info in (*signature.inputs.items(), *signature.outputs.items()):
            if info.dtype not in _SERVABLE:
                words.append(f"{name}: {key} has a dtype that REST cannot write")
            shape = info.tensor_shape
            if shape.unknown_rank or not shape.dim or shape.dim[0].size != -1:
                words.append(f"{name}: dimension 0 of {key} is not -1")
    return words


def _reachable(graph, functions, signature):
    """(node, function it lies in) of everything that a signature's outputs need."""
    nodes = {node.name: node for node in graph.node}
    waiting = [info.name.partition(":")[0] for info in signature.outputs.values()]
    seen_nodes, seen_functions = set(), set()
    calls = []
    while waiting:
        name = waiting.pop()
        if name in seen_nodes or name not in nodes:
            continue
        seen_nodes.add(name)
        node = nodes[name]
        yield node, None
        waiting += [source.lstrip("^").partition(":")[0] for source in node.input]
        calls += _called(node)
    while calls:
        name = calls.pop()
        if name in seen_functions or name not in functions:
            continue
        seen_functions.add(name)
        function = functions[name]
        for node in function.node_def:
            yield node, function
            calls += _called(node)


def _called(node):
    """Names of the functions that a node calls."""
    names = []
    for value in node.attr.values():
        if value.HasField("func"):
            names.append(value.func.name)
        names += [function.name for function in value.list.func]
    return names


def _check_weights(path):
    """Weights that are stored twice, by content, or more than the card states."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
    total, contents, doubled = 0, {}, []
    for name in reader.get_variable_to_shape_map():
        if not name.endswith("/.ATTRIBUTES/VARIABLE_VALUE"):
            continue
        value = np.asarray(reader.get_tensor(name))
        total += value.nbytes
        # Biases are often alike, at zero; a kernel is not.
        if value.ndim >= 2 and value.any():
            digest = hashlib.sha256(value.tobytes()).hexdigest()
            if digest in contents:
                doubled.append(f"weights stored twice: {contents[digest]} and {name}")
            contents[digest] = name
    try:
        stated = publishing.read_card(path)["weight_bytes"]
    except ValueError:
        return doubled
    if total > 1.05 * stated:
        doubled.append(
            f"weights of {total:,} bytes stored, where the generator has {stated:,}"
        )
    return doubled


def _check_probe(path, kind):
    """What a process of its own finds, see `probe`."""
    card = publishing.read_card(path)
    request = {
        "path": str(path.resolve()),
        "signatures": read_signatures(path),
        "seeds": [golden["seed"] for golden in card["goldens"]],
        "latent_dim": card["latent_dim"],
    }
    process = subprocess.run(
        [sys.executable, str(_PROBE), kind],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        timeout=_PROBE_SECONDS,
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [
            f"the process ended with {process.returncode}"
        ]
        return [" ".join(lines[-1].split())[:300]]
    answer = json.loads(process.stdout.strip().splitlines()[-1])
    return answer.get("failures", []) + _compare(card["goldens"], answer["goldens"])


def _compare(stated, found):
    words = []
    for golden, other in zip(stated, found, strict=True):
        for name in ("latents", "values", "mean"):
            expected = np.asarray(golden[name])
            scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
            if not np.allclose(
                other[name], expected, rtol=0, atol=10 * probe.TOLERANCE * scale
            ):
                words.append(f"{name} of seed {golden['seed']} are not the card's")
    return words
