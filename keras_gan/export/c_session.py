"""A SavedModel in the server's own loader: TensorFlow's C API, by ctypes.

What TensorFlow Serving does to load a model, with the library that the wheel holds, and
nothing of TensorFlow's Python. It refuses models that `tf.saved_model.load` lets pass.
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
    """What the C API reports: the model cannot be loaded, or a request fails."""


class Session:
    """A loaded SavedModel, which answers requests by signature.

    Args:
        path: str or path-like, a version's directory.
        signatures: dict of signature names to `{"inputs": names, "outputs": names}`,
            each a dict of the signature's names to tensors in the graph.
        disable_xla: bool, as the server's `main` does before anything else. It holds
            for the process.

    Raises:
        SessionError: a SavedModel that the loader refuses.
    """

    def __init__(self, path, signatures, disable_xla=True):
        self._library = _library()
        if disable_xla:
            # The C++ symbol of tensorflow::DisableXlaCompilation().
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
        """One request.

        Args:
            signature: str.
            inputs: dict of the signature's input names to arrays, float32, int64, int32
                or uint8.

        Returns:
            dict of output names to arrays; strings as object arrays of bytes.

        Raises:
            SessionError: what the runtime reports, such as a wrong dtype or shape.
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
            for tensor in (*fed, *fetched):
                if tensor:
                    library.TF_DeleteTensor(tensor)

    def close(self):
        """Frees the session; it answers no more."""
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
            raise SessionError(f"Expected {operation!r} in the graph. There is none.")
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
            raise SessionError(f"Expected an output that REST can write. Code: {code}")
        array = np.empty(shape, _DTYPES[code])
        if array.nbytes:
            ctypes.memmove(array.ctypes.data, data, array.nbytes)
        return array


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class _TString(ctypes.Structure):
    """Of tensorflow/c/tf_tstring.h: 24 bytes, read by functions of the library only."""

    _fields_ = [("words", ctypes.c_uint64 * 3)]


class _Status:
    """TF_Status, freed with the object."""

    def __init__(self, library):
        self._library = library
        self.handle = library.TF_NewStatus()

    def check(self):
        if self._library.TF_GetCode(self.handle):
            message = self._library.TF_Message(self.handle).decode(errors="replace")
            raise SessionError(" ".join(message.split())[:500])

    def __del__(self):
        self._library.TF_DeleteStatus(self.handle)


@functools.cache
def _library():
    """The wheel's library, its functions declared; TensorFlow's Python stays out."""
    spec = importlib.util.find_spec("tensorflow")
    folder = pathlib.Path(spec.submodule_search_locations[0])
    # By its absolute path first, so that the second finds it loaded. Not for all to
    # see: symbols of its own would take the place of NumPy's.
    ctypes.CDLL(str(folder / "libtensorflow_framework.so.2"))
    library = ctypes.CDLL(str(folder / "libtensorflow_cc.so.2"))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    for name, result, *arguments in (
        ("TF_NewStatus", pointer),
        ("TF_DeleteStatus", None, pointer),
        ("TF_GetCode", number, pointer),
        ("TF_Message", text, pointer),
        ("TF_NewSessionOptions", pointer),
        ("TF_DeleteSessionOptions", None, pointer),
        ("TF_NewGraph", pointer),
        ("TF_DeleteGraph", None, pointer),
        (
            "TF_LoadSessionFromSavedModel", pointer, pointer, pointer, text,
            ctypes.POINTER(text), number, pointer, pointer, pointer,
        ),
        ("TF_CloseSession", None, pointer, pointer),
        ("TF_DeleteSession", None, pointer, pointer),
        ("TF_GraphOperationByName", pointer, pointer, text),
        (
            "TF_AllocateTensor", pointer, number, ctypes.POINTER(ctypes.c_int64),
            number, ctypes.c_size_t,
        ),
        ("TF_DeleteTensor", None, pointer),
        ("TF_TensorData", pointer, pointer),
        ("TF_TensorType", number, pointer),
        ("TF_NumDims", number, pointer),
        ("TF_Dim", ctypes.c_int64, pointer, number),
        ("TF_StringGetDataPointer", pointer, pointer),
        ("TF_StringGetSize", ctypes.c_size_t, pointer),
        (
            "TF_SessionRun", None, pointer, pointer, ctypes.POINTER(_Output),
            ctypes.POINTER(pointer), number, ctypes.POINTER(_Output),
            ctypes.POINTER(pointer), number, pointer, number, pointer, pointer,
        ),
        ("_ZN10tensorflow21DisableXlaCompilationEv", None),
    ):  # fmt: skip
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
