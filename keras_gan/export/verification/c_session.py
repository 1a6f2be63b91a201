"""Loads a SavedModel as TensorFlow Serving does: by TensorFlow's C API, through ctypes.

It uses the library in TensorFlow's wheel and nothing of its Python. The C loader
refuses models that `tf.saved_model.load` accepts.
"""

import ctypes
import functools
import importlib.util
import pathlib

import numpy as np

# TF_DataType of tensorflow/c/tf_datatype.h. Strings are read, never written.
_STRING = 7
_DTYPES = {1: np.float32, 3: np.int32, 4: np.uint8, 9: np.int64}
_CODES = {np.dtype(dtype): code for code, dtype in _DTYPES.items()}


class SessionError(RuntimeError):
    """An error that the C API reports: no model loaded, or a request that fails."""


class Session:
    """Answers requests to the signatures of a loaded SavedModel.

    Args:
        path: str or path-like, a version's directory.
        signatures: dict of signature names to `{"inputs": names, "outputs": names}`,
            each a dict of the signature's names to tensors in the graph.
        disable_xla: bool, whether to disable XLA for this process, as the server's
            `main` does before anything else.

    Raises:
        SessionError: a SavedModel that the loader refuses.
    """

    def __init__(self, path, signatures, disable_xla=True):
        self._library = _library()
        if disable_xla:
            self._library._ZN10tensorflow21DisableXlaCompilationEv()
        self.signatures = signatures
        library, status = self._library, _Status(self._library)
        options = library.TF_NewSessionOptions()
        self._graph = library.TF_NewGraph()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = library.TF_LoadSessionFromSavedModel(
            options, None, str(path).encode(), tags, 1, self._graph, None, status.handle
        )
        library.TF_DeleteSessionOptions(options)
        try:
            status.check()
        except SessionError:
            library.TF_DeleteGraph(self._graph)
            self._session = None
            raise

    def run(self, signature, inputs):
        """Returns the answer to one request.

        Args:
            signature: str, its name.
            inputs: dict of the signature's input names to arrays, float32, int64, int32
                or uint8.

        Returns:
            dict of output names to arrays; strings as object arrays of bytes.

        Raises:
            SessionError: the runtime refuses the request, such as a wrong dtype or
                shape.
        """
        if not self._session:
            raise SessionError("Expected an open session. Received: a closed one")
        if signature not in self.signatures:
            raise SessionError(
                f"Expected a signature among {', '.join(self.signatures)}. "
                f"Received: {signature!r}"
            )
        names = self.signatures[signature]
        if set(inputs) != set(names["inputs"]):
            raise SessionError(
                f"Expected inputs {sorted(names['inputs'])} for {signature!r}. "
                f"Received: {sorted(inputs)}"
            )
        library, status = self._library, _Status(self._library)
        outputs = list(names["outputs"])
        feeds = (_Output * len(inputs))()
        fetches = (_Output * len(outputs))()
        fed = (ctypes.c_void_p * len(inputs))()
        fetched = (ctypes.c_void_p * len(outputs))()
        try:
            for index, (name, array) in enumerate(inputs.items()):
                feeds[index] = self._tensor_of(names["inputs"][name])
                fed[index] = self._to_tensor(array)
            for index, name in enumerate(outputs):
                fetches[index] = self._tensor_of(names["outputs"][name])
            library.TF_SessionRun(
                self._session, None, feeds, fed, len(inputs), fetches, fetched,
                len(outputs), None, 0, None, status.handle,
            )  # fmt: skip
            status.check()
            return {
                name: self._to_array(fetched[index])
                for index, name in enumerate(outputs)
            }
        finally:
            # The C API leaves all tensors to its caller, also those of a request that
            # failed halfway.
            for tensor in (*fed, *fetched):
                if tensor:
                    library.TF_DeleteTensor(tensor)

    def close(self):
        """Frees the session, which then answers every request with SessionError."""
        if self._session:
            status = _Status(self._library)
            self._library.TF_CloseSession(self._session, status.handle)
            self._library.TF_DeleteSession(self._session, status.handle)
            self._library.TF_DeleteGraph(self._graph)
            self._session = None

    def _tensor_of(self, name):
        operation, _, index = name.partition(":")
        handle = self._library.TF_GraphOperationByName(self._graph, operation.encode())
        if not handle:
            raise SessionError(f"The graph has no operation {operation!r}.")
        return _Output(handle, int(index or 0))

    def _to_tensor(self, array):
        array = np.asarray(array, order="C")  # a scalar stays one
        if array.dtype not in _CODES:
            raise SessionError(
                f"Expected {', '.join(map(str, _CODES))}. Received: {array.dtype}"
            )
        shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        tensor = self._library.TF_AllocateTensor(
            _CODES[array.dtype], shape, array.ndim, array.nbytes
        )
        if array.nbytes:
            ctypes.memmove(
                self._library.TF_TensorData(tensor), array.ctypes.data, array.nbytes
            )
        return tensor

    def _to_array(self, tensor):
        library = self._library
        shape = tuple(
            library.TF_Dim(tensor, axis) for axis in range(library.TF_NumDims(tensor))
        )
        code = library.TF_TensorType(tensor)
        data = library.TF_TensorData(tensor)
        if code == _STRING:
            size = ctypes.sizeof(_TString)
            values = [
                ctypes.string_at(
                    library.TF_StringGetDataPointer(data + index * size),
                    library.TF_StringGetSize(data + index * size),
                )
                for index in range(int(np.prod(shape, dtype=np.int64)))
            ]
            result = np.empty(len(values), object)
            result[:] = values
            return result.reshape(shape)
        if code not in _DTYPES:
            raise SessionError(
                f"Expected an output of a dtype among {', '.join(map(str, _CODES))}. "
                f"Received: number {code} of TF_DataType"
            )
        array = np.empty(shape, _DTYPES[code])
        if array.nbytes:
            ctypes.memmove(array.ctypes.data, data, array.nbytes)
        return array


def start() -> None:
    """Loads TensorFlow's library and finds this machine's devices.

    The first session does so by itself. Both write notes to stderr, which a caller may
    want to have at a time of its own.

    Raises:
        OSError: the library is not there, as in TensorFlow for other systems.
        SessionError: the devices cannot be used.
    """
    library = _library()
    status, graph = _Status(library), library.TF_NewGraph()
    options = library.TF_NewSessionOptions()
    session = library.TF_NewSession(graph, options, status.handle)
    library.TF_DeleteSessionOptions(options)
    try:
        status.check()
        library.TF_CloseSession(session, status.handle)
        library.TF_DeleteSession(session, status.handle)
    finally:
        library.TF_DeleteGraph(graph)


def is_operation(name: str) -> bool:
    """Returns whether TensorFlow has an operation of this name.

    Args:
        name: such as "MatMul".
    """
    library = _library()
    status = _Status(library)
    graph, definition = library.TF_NewGraph(), library.TF_NewBuffer()
    try:
        library.TF_GraphGetOpDef(graph, name.encode(), definition, status.handle)
        return library.TF_GetCode(status.handle) == 0
    finally:
        library.TF_DeleteBuffer(definition)
        library.TF_DeleteGraph(graph)


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class _TString(ctypes.Structure):
    """TF_TString of tensorflow/c/tf_tstring.h: 24 bytes.

    The library's functions read it, because its layout depends on the string's length.
    """

    _fields_ = [("words", ctypes.c_uint64 * 3)]


class _Status:
    """A TF_Status, freed together with this object."""

    def __init__(self, library):
        self._library = library
        self.handle = library.TF_NewStatus()

    def check(self):
        if self._library.TF_GetCode(self.handle):
            message = self._library.TF_Message(self.handle).decode(errors="replace")
            raise SessionError(" ".join(message.split())[:500])

    def __del__(self):
        self._library.TF_DeleteStatus(self.handle)


_POINTER, _TEXT, _NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
# Name, result and arguments of each function of tensorflow/c/c_api.h that is called.
_FUNCTIONS = (
    ("TF_NewStatus", _POINTER),
    ("TF_DeleteStatus", None, _POINTER),
    ("TF_GetCode", _NUMBER, _POINTER),
    ("TF_Message", _TEXT, _POINTER),
    ("TF_NewSessionOptions", _POINTER),
    ("TF_DeleteSessionOptions", None, _POINTER),
    ("TF_NewGraph", _POINTER),
    ("TF_DeleteGraph", None, _POINTER),
    ("TF_NewBuffer", _POINTER),
    ("TF_DeleteBuffer", None, _POINTER),
    ("TF_GraphGetOpDef", None, _POINTER, _TEXT, _POINTER, _POINTER),
    (
        "TF_LoadSessionFromSavedModel", _POINTER, _POINTER, _POINTER, _TEXT,
        ctypes.POINTER(_TEXT), _NUMBER, _POINTER, _POINTER, _POINTER,
    ),
    ("TF_NewSession", _POINTER, _POINTER, _POINTER, _POINTER),
    ("TF_CloseSession", None, _POINTER, _POINTER),
    ("TF_DeleteSession", None, _POINTER, _POINTER),
    ("TF_GraphOperationByName", _POINTER, _POINTER, _TEXT),
    (
        "TF_AllocateTensor", _POINTER, _NUMBER, ctypes.POINTER(ctypes.c_int64),
        _NUMBER, ctypes.c_size_t,
    ),
    ("TF_DeleteTensor", None, _POINTER),
    ("TF_TensorData", _POINTER, _POINTER),
    ("TF_TensorType", _NUMBER, _POINTER),
    ("TF_NumDims", _NUMBER, _POINTER),
    ("TF_Dim", ctypes.c_int64, _POINTER, _NUMBER),
    ("TF_StringGetDataPointer", _POINTER, _POINTER),
    ("TF_StringGetSize", ctypes.c_size_t, _POINTER),
    (
        "TF_SessionRun", None, _POINTER, _POINTER, ctypes.POINTER(_Output),
        ctypes.POINTER(_POINTER), _NUMBER, ctypes.POINTER(_Output),
        ctypes.POINTER(_POINTER), _NUMBER, _POINTER, _NUMBER, _POINTER, _POINTER,
    ),
    # tensorflow::DisableXlaCompilation(), which the C API lacks: its C++ symbol.
    ("_ZN10tensorflow21DisableXlaCompilationEv", None),
)  # fmt: skip


@functools.cache
def _library():
    """Returns the wheel's library, its functions declared.

    TensorFlow's Python stays out: `find_spec` imports nothing.
    """
    spec = importlib.util.find_spec("tensorflow")
    folder = pathlib.Path(spec.submodule_search_locations[0])
    # The second library needs the first and finds it loaded, by its absolute path. Not
    # with RTLD_GLOBAL: some of its symbols would take the place of NumPy's.
    ctypes.CDLL(str(folder / "libtensorflow_framework.so.2"))
    library = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"))
    for name, result, *arguments in _FUNCTIONS:
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
