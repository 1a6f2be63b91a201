"""What the graph of a SavedModel says of itself, read without running it."""

import hashlib
import pathlib
import re

import numpy as np

_PREDICT = "tensorflow/serving/predict"
# What REST can write as JSON; TensorFlow's numbers of the dtypes.
_SERVABLE = {1: "float32", 3: "int32", 7: "string", 9: "int64"}
# Inputs and outputs of the signatures there may be; two choices of what samples are.
_SIGNATURES = {
    "serving_default": ({"latents"}, ({"images"}, {"samples"})),
    "sample": ({"seed"}, ({"images", "latents"}, {"samples", "latents"})),
    "png": ({"latents"}, ({"image_bytes"},)),
}
_PYTHON_OPS = re.compile(r"(Eager)?PyFunc(Stateless)?$")
# TensorFlow's own registry says which operations have a state. These have one and need
# it: they read weights and constant tables, call functions, report, or (algorithm,
# TensorArray, cuDNN) keep it within one request.
_HARMLESS_STATE = re.compile(
    r"(VarHandleOp|ReadVariableOp|ResourceGather(Nd)?|VariableShape|VarIsInitializedOp"
    r"|StatefulPartitionedCall|If|While|Case|Assert|CheckNumerics(V2)?|Print(V2)?"
    r"|HashTable(V2)?|LookupTable(Find|Size)(V2)?|StatelessRandomGetAlg"
    r"|TensorArray\w*|CudnnRNN\w*)$"
)
_RANDOM_OPS = re.compile(
    r"Random|Multinomial|TruncatedNormal|StandardNormal|StatefulUniform|Rng"
    r"|NonDeterministic|Candidate|SampleDistorted|SeedGenerator"
)
# Those of TensorFlow 1 have a reference for an input, and no state of their own.
_ASSIGN_OPS = re.compile(r"Assign|Scatter(Update|Add|Sub|Mul|Div|Nd)|Resource\w*Apply")
_REFERENCE_OPS = re.compile(r"(Assign|Scatter(Nd)?(Update|Add|Sub|Mul|Div))")


def read_signatures(path):
    """What a SavedModel's signatures are called, inside and outside.

    Returns:
        dict of signature names to `{"inputs": {name: tensor}, "outputs": {name:
        tensor}}`, as `c_session.Session` takes them.
    """
    return {
        name: {
            "inputs": {key: info.name for key, info in signature.inputs.items()},
            "outputs": {key: info.name for key, info in signature.outputs.items()},
        }
        for name, signature in _signatures(_meta_graph(path)).items()
    }


def check(path, weight_bytes=None):
    """What a server would not bear: words on all of it, or an empty list.

    Tag, signatures and their names, dimension 0, dtypes; no Python, no state but the
    weights, no assignment and no forced XLA in any function that a signature reaches;
    each weight is stored once.

    Args:
        path: str or path-like, a SavedModel's directory.
        weight_bytes: int, what the generator's weights take, or None where nobody
            knows.
    """
    meta_graph = _meta_graph(path)
    words = _check_signatures(_signatures(meta_graph))
    functions = {
        function.signature.name: function
        for function in meta_graph.graph_def.library.function
    }
    found = set()
    for name, signature in _signatures(meta_graph).items():
        for node, function in _reachable(meta_graph.graph_def, functions, signature):
            # TensorFlow 1 calls a function by an operation of its name.
            fault = None if node.op in functions else _fault(node, function)
            if fault:
                found.add(f"{name} {fault}")
    return words + sorted(found) + _check_weights(path, weight_bytes)


def _meta_graph(path):
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString(
            (pathlib.Path(path) / "saved_model.pb").read_bytes()
        )
    except DecodeError as error:
        raise ValueError("saved_model.pb is damaged") from error
    for meta_graph in saved_model.meta_graphs:
        if "serve" in meta_graph.meta_info_def.tags:
            return meta_graph
    raise ValueError("no MetaGraph with the tag serve")


def _signatures(meta_graph):
    """All but TensorFlow's own, which runs the restore."""
    return {
        name: signature
        for name, signature in meta_graph.signature_def.items()
        if not name.startswith("__")
    }


def _check_signatures(signatures):
    words = [
        f"signature {name} is missing"
        for name in ("serving_default", "sample")
        if name not in signatures
    ]
    for name, signature in signatures.items():
        if signature.method_name != _PREDICT:
            words.append(f"{name}: method {signature.method_name!r}")
        inputs, outputs = _SIGNATURES.get(name, (None, None))
        if inputs is None:
            words.append(f"signature {name} is none of a generator's")
            continue
        if set(signature.inputs) != inputs:
            words.append(f"{name}: inputs {sorted(signature.inputs)}")
        if set(signature.outputs) not in outputs:
            words.append(f"{name}: outputs {sorted(signature.outputs)}")
        for key, info in (*signature.inputs.items(), *signature.outputs.items()):
            if info.dtype not in _SERVABLE:
                words.append(f"{name}: {key} has a dtype that REST cannot write")
            shape = info.tensor_shape
            if shape.unknown_rank or not shape.dim or shape.dim[0].size != -1:
                words.append(f"{name}: dimension 0 of {key} is not -1")
    return words


def _fault(node, function):
    """What is wrong with a node in a function (None: in the graph itself), or None."""
    from tensorflow.python.framework import op_def_registry

    operation = node.op
    if node.attr["_XlaMustCompile"].b or (
        function is not None and function.attr["_XlaMustCompile"].b
    ):
        return "must be compiled by XLA, which the server disables"
    if _PYTHON_OPS.match(operation):
        return f"calls Python ({operation})"
    definition = op_def_registry.get(operation)
    if definition is None:
        return f"calls {operation}, which TensorFlow does not have"
    stateful = definition.is_stateful and not _HARMLESS_STATE.match(operation)
    if not stateful and not _REFERENCE_OPS.match(operation):
        return None
    if _ASSIGN_OPS.search(operation):
        return f"assigns to a variable ({operation})"
    if _RANDOM_OPS.search(operation):
        return f"keeps a random state ({operation})"
    return f"keeps a state ({operation})"


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
        calls += _called(node, functions)
    while calls:
        name = calls.pop()
        if name in seen_functions or name not in functions:
            continue
        seen_functions.add(name)
        function = functions[name]
        for node in function.node_def:
            yield node, function
            calls += _called(node, functions)


def _called(node, functions):
    """Names of the functions that a node calls."""
    names = [node.op] if node.op in functions else []
    for value in node.attr.values():
        if value.HasField("func"):
            names.append(value.func.name)
        names += [function.name for function in value.list.func]
    return names


def _check_weights(path, weight_bytes):
    """Weights that are stored twice: more than there should be, or else by content."""
    import tensorflow as tf

    reader = tf.train.load_checkpoint(
        str(pathlib.Path(path) / "variables" / "variables")
    )
    total, contents, doubled = 0, {}, []
    for name in sorted(reader.get_variable_to_shape_map()):
        if not name.endswith("/.ATTRIBUTES/VARIABLE_VALUE"):
            continue
        value = np.asarray(reader.get_tensor(name))
        total += value.nbytes
        # Biases are often alike, at zero; kernels only where one seed drew them.
        if value.ndim >= 2 and value.any():
            digest = hashlib.sha256(value.tobytes()).hexdigest()
            if digest in contents:
                doubled.append(f"weights stored twice: {contents[digest]} and {name}")
            contents[digest] = name
    if weight_bytes is None:
        return doubled
    if total > 1.05 * weight_bytes:
        return [
            f"weights of {total:,} bytes stored, where the generator has "
            f"{weight_bytes:,}",
            *doubled,
        ]
    return []
