"""Reads the graph of a SavedModel without running it, for what a server rejects."""

import hashlib
import pathlib
import re
from collections.abc import Callable

import numpy as np

from keras_gan.export import operations

_PREDICT = "tensorflow/serving/predict"
# Dtypes that REST can write as JSON, by TensorFlow's numbers.
_SERVABLE = {1: "float32", 3: "int32", 7: "string", 9: "int64"}
# The signatures there may be: their inputs and their outputs, of images or of others.
# All of a conditional generator take labels besides.
_SAMPLES = ({"images"}, {"samples"})
_SIGNATURES = {
    "serving_default": (({"latents"},), _SAMPLES),
    "sample": (({"seed"},), ({"images", "latents"}, {"samples", "latents"})),
    "png": (({"latents"},), ({"image_bytes"},)),
    "sample_png": (({"seed"},), ({"image_bytes"},)),
    "encode": (_SAMPLES, ({"latents"},)),
}
_PYTHON_OPS = re.compile(r"(Eager)?PyFunc(Stateless)?$")
# TensorFlow's own registry says which operations have a state. These may have theirs:
# they read weights and constant tables, call functions, report, or (algorithm,
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
_ASSIGN_OPS = re.compile(r"Assign|Scatter(Update|Add|Sub|Mul|Div|Nd)|Resource\w*Apply")
# The assignments of TensorFlow 1: they have no state, but a reference for an input.
_REFERENCE_OPS = re.compile(r"(Assign|Scatter(Nd)?(Update|Add|Sub|Mul|Div))")


def read_signatures(path) -> dict[str, dict]:
    """Returns the signatures of a SavedModel, and the tensors that they stand for.

    Args:
        path: str or path-like, the SavedModel's directory.

    Returns:
        dict of signature names to `{"inputs": {name: tensor}, "outputs": {name:
        tensor}}`, as `c_session.Session` takes them.

    Raises:
        ValueError: saved_model.pb is damaged.
        OSError: it cannot be read.
    """
    return {
        name: {
            "inputs": {key: info.name for key, info in signature.inputs.items()},
            "outputs": {key: info.name for key, info in signature.outputs.items()},
        }
        for name, signature in signature_defs(path).items()
    }


def signature_defs(path) -> dict:
    """Returns the SignatureDef of each signature of a SavedModel, by its name.

    Args:
        path: str or path-like, the SavedModel's directory.

    Raises:
        ValueError: saved_model.pb is damaged.
        OSError: it cannot be read.
    """
    return _signatures(_served(_saved_model(path)))


def find_faults(path, weight_bytes: int | None = None) -> list[str]:
    """Lists every reason why TensorFlow Serving would reject this SavedModel.

    Tag, signatures and their names, dimension 0, dtypes; no Python, no state but the
    weights, no assignment and no forced XLA in any function that a signature reaches;
    each weight is stored once.

    Args:
        path: str or path-like, a SavedModel's directory.
        weight_bytes: size of the generator's weights, or None where it is unknown.

    Returns:
        list of str, empty where there is none.

    Raises:
        ValueError: saved_model.pb is damaged, or no graph in it has the tag `serve`.
    """
    saved_model = _saved_model(path)
    meta_graph = _served(saved_model)
    signatures = _signatures(meta_graph)
    functions = _functions(meta_graph)
    found = set()
    for name, signature in signatures.items():
        outputs = [info.name for info in signature.outputs.values()]
        for node, function in _reachable(meta_graph.graph_def, functions, outputs):
            # TensorFlow 1 calls a function by an operation of its name.
            fault = None if node.op in functions else _node_fault(node, function)
            if fault:
                found.add(f"{name} {fault}")
    return (
        _signature_faults(signatures)
        + (sorted(found) or _unsafe_operations(saved_model))
        + _weight_faults(path, weight_bytes)
    )


def unsafe_operations(
    path, is_operation: Callable[[str], bool] | None = None
) -> list[str]:
    """Lists what a SavedModel could do besides computing samples.

    A SavedModel is a program, which can read and write files when it is loaded and when
    it is asked. Nothing of it is run here. Every operation of every function must be in
    `operations.ALLOWED`; what restores and saves the weights may have its own besides,
    unless something else calls it too.

    Args:
        path: str or path-like, a SavedModel's directory.
        is_operation: function of a name that says whether TensorFlow has an operation
            of it; None asks TensorFlow's Python, and `c_session.is_operation` does
            without.

    Returns:
        list of str, empty where there is nothing.

    Raises:
        ValueError: saved_model.pb is damaged, or no graph in it has the tag `serve`.
    """
    return _unsafe_operations(_saved_model(path), is_operation)


def _unsafe_operations(saved_model, is_operation=None):
    is_operation = is_operation or _definition
    meta_graph = _served(saved_model)
    graph, functions = meta_graph.graph_def, _functions(meta_graph)
    faults = {
        f"calls a function like an operation ({name})"
        for name in functions
        if is_operation(name)
    }
    if len(saved_model.meta_graphs) > 1:
        faults.add(f"holds {len(saved_model.meta_graphs)} graphs")
    if meta_graph.asset_file_def:
        faults.add("reads files of assets")

    def reached(tensors, calls=()):
        pairs = _reachable(graph, functions, tensors, calls)
        return {_identity(*pair) for pair in pairs}

    run = reached(
        _run_tensors(meta_graph), meta_graph.object_graph_def.concrete_functions
    )
    saver = meta_graph.saver_def
    # Further operations that nodes may have which only restore or save the weights.
    also_allowed = {
        **dict.fromkeys(reached([saver.save_tensor_name]) - run, operations.SAVING),
        **dict.fromkeys(reached([saver.restore_op_name]) - run, operations.RESTORING),
    }
    nodes = [(node, None) for node in graph.node]
    nodes += [(node, each) for each in functions.values() for node in each.node_def]
    for node, function in nodes:
        also = also_allowed.get(_identity(node, function), ())
        if not any(node.op in each for each in (operations.ALLOWED, functions, also)):
            faults.add(f"has an operation that no generator needs ({node.op})")
        # By this name a function may take the place of another one: of one that only
        # computes, TensorFlow's own do.
        if also and function is not None and "api_implements" in function.attr:
            faults.add(f"replaces functions ({function.signature.name})")
    return sorted(faults)


def _functions(meta_graph):
    """The functions of a graph by their names."""
    return {each.signature.name: each for each in meta_graph.graph_def.library.function}


def _identity(node, function):
    """A node's name, unique with that of the function that it lies in."""
    return (None if function is None else function.signature.name, node.name)


def _run_tensors(meta_graph):
    """The tensors and nodes that are computed when a graph is loaded or asked."""
    tensors = [
        info.name
        for signature in meta_graph.signature_def.values()
        for info in signature.outputs.values()
    ]
    # Collections name the operation that initialises the graph.
    for collection in meta_graph.collection_def.values():
        tensors += collection.node_list.value
    return tensors


def _saved_model(path):
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString(
            (pathlib.Path(path) / "saved_model.pb").read_bytes()
        )
    except DecodeError as error:
        raise ValueError("saved_model.pb is damaged") from error
    return saved_model


def _served(saved_model):
    for meta_graph in saved_model.meta_graphs:
        if "serve" in meta_graph.meta_info_def.tags:
            return meta_graph
    raise ValueError("no MetaGraph with the tag serve")


def _signatures(meta_graph):
    """Returns all signatures but TensorFlow's own, which restores the weights."""
    return {
        name: signature
        for name, signature in meta_graph.signature_def.items()
        if not name.startswith("__")
    }


def _signature_faults(signatures):
    faults = [
        f"signature {name} is missing"
        for name in ("serving_default", "sample")
        if name not in signatures
    ]
    with_labels = {
        name for name, signature in signatures.items() if "labels" in signature.inputs
    }
    if with_labels and with_labels != set(signatures):
        without = sorted(set(signatures) - with_labels)
        faults.append(f"{', '.join(without)}: no labels, where others take them")
    for name, signature in signatures.items():
        if signature.method_name != _PREDICT:
            faults.append(f"{name}: method {signature.method_name!r}")
        inputs, outputs = _SIGNATURES.get(name, (None, None))
        if inputs is None:
            faults.append(f"unknown signature {name}")
            continue
        if set(signature.inputs) - {"labels"} not in inputs:
            faults.append(f"{name}: inputs {sorted(signature.inputs)}")
        if set(signature.outputs) not in outputs:
            faults.append(f"{name}: outputs {sorted(signature.outputs)}")
        for key, info in (*signature.inputs.items(), *signature.outputs.items()):
            if info.dtype not in _SERVABLE:
                faults.append(f"{name}: {key} has a dtype that REST cannot write")
            shape = info.tensor_shape
            if shape.unknown_rank or not shape.dim or shape.dim[0].size != -1:
                faults.append(f"{name}: dimension 0 of {key} is not -1")
    return faults


def _node_fault(node, function):
    """Returns what a server rejects in a node, or None.

    Args:
        node: NodeDef.
        function: FunctionDef that the node lies in; None for the graph itself.
    """
    operation = node.op
    if node.attr["_XlaMustCompile"].b or (
        function is not None and function.attr["_XlaMustCompile"].b
    ):
        return "must be compiled by XLA, which the server disables"
    if _PYTHON_OPS.match(operation):
        return f"calls Python ({operation})"
    definition = _definition(operation)
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


def _definition(operation):
    """TensorFlow's OpDef of an operation, or None where it has none."""
    # Here, because it imports Keras.
    from keras_gan import keras_private

    return keras_private.operation(operation)


def _reachable(graph, functions, tensors, calls=()):
    """Yields every node that tensors of the graph need, and its function or None.

    Args:
        graph: GraphDef.
        functions: dict of the names of its functions to FunctionDefs.
        tensors: names of tensors or nodes of the graph.
        calls: names of functions that are called besides.
    """
    nodes = {node.name: node for node in graph.node}
    # First the nodes of the graph, from the tensors back; then the functions that they
    # call, and the functions that those call, whole.
    waiting = [_node_name(name) for name in tensors]
    seen_nodes, seen_functions = set(), set()
    calls = list(calls)
    while waiting:
        name = waiting.pop()
        if name in seen_nodes or name not in nodes:
            continue
        seen_nodes.add(name)
        node = nodes[name]
        yield node, None
        waiting += [_node_name(source) for source in node.input]
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


def _node_name(tensor):
    """ "^dense/kernel:0" as "dense/kernel"."""
    return tensor.lstrip("^").partition(":")[0]


def _called(node, functions):
    """Returns the names of the functions that a node calls."""
    names = [node.op] if node.op in functions else []
    for value in node.attr.values():
        if value.HasField("func"):
            names.append(value.func.name)
        names += [function.name for function in value.list.func]
    return names


def _weight_faults(path, weight_bytes):
    """Lists the weights that are stored twice.

    By their size in all where `weight_bytes` is known, and by their content where not:
    two layers may have equal weights for a reason, such as one seed.
    """
    import tensorflow as tf

    reader = tf.train.load_checkpoint(
        str(pathlib.Path(path) / "variables" / "variables")
    )
    total, first_names, doubled = 0, {}, []
    for name in sorted(reader.get_variable_to_shape_map()):
        if not name.endswith("/.ATTRIBUTES/VARIABLE_VALUE"):
            continue
        value = np.asarray(reader.get_tensor(name))
        total += value.nbytes
        # Vectors are often equal, such as biases at zero; matrices are not.
        if value.ndim >= 2 and value.any():
            digest = hashlib.sha256(value.tobytes()).hexdigest()
            first = first_names.setdefault(digest, name)
            if first != name:
                doubled.append(f"weights stored twice: {first} and {name}")
    if weight_bytes is None:
        return doubled
    if total > 1.05 * weight_bytes:
        return [
            f"weights of {total:,} bytes stored, where the generator has "
            f"{weight_bytes:,}",
            *doubled,
        ]
    return []
