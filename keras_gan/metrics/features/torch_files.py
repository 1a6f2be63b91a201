"""Reads the tensors of a PyTorch file without PyTorch, and runs nothing that is in it.

Such a file holds a pickle, and a pickle may name any function of Python to be called.
No pickle is loaded here. `pickletools`, which only parses, lists its opcodes, and a
stack machine follows those of a dict of tensors. The machine imports nothing and calls
nothing by name: of the few names in `_GLOBALS` it makes values of its own, and it
refuses every other name and opcode.
"""

import io
import math
import pickletools
import typing
import zipfile

import numpy as np

from keras_gan import checks

# === The file ===


def read(content: bytes) -> dict[str, np.ndarray]:
    """Returns the tensors of a state dict, as `torch.save` writes it.

    Both forms are read: the zip of PyTorch 1.6 and later, and the row of pickles and
    storages of earlier ones.

    Args:
        content: bytes, of the whole file.

    Returns:
        dict of names to arrays, in the file's order.

    Raises:
        ValueError: a damaged file, or one that holds something else than a dict of
            dense tensors; the message, one line, says what.
    """
    try:
        if content.startswith(b"PK"):
            tensors = _from_zip(content)
        else:
            tensors = _from_pickles(content)
        if not isinstance(tensors, dict) or not tensors:
            raise NotAStateDict(f"a {_kind(tensors)}")
        # Many names of one storage would grow a small file without bound.
        if sum(map(_num_bytes, tensors.values())) > len(content):
            raise NotAStateDict("tensors of more bytes than the file has")
        return {name: _array(tensor) for name, tensor in tensors.items()}
    except NotAStateDict:
        raise
    # A damaged file makes zipfile, pickletools and the machine raise many types.
    except Exception as error:
        raise NotAStateDict(
            f"a file that cannot be read ({checks.one_line(error)})"
        ) from error


class NotAStateDict(ValueError):
    """The file holds something else than a dict of tensors; the message says what."""


def _from_zip(content):
    """The zip: `NAME/data.pkl`, and each storage in `NAME/data/KEY`."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # A compressed entry could grow without bound; PyTorch stores all as they are.
        if any(entry.compress_type for entry in archive.infolist()):
            raise NotAStateDict("a compressed zip, as PyTorch writes none")
        names = set(archive.namelist())
        pickles = [name for name in names if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise NotAStateDict("a zip without a state dict")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}constants.pkl" in names:
            raise NotAStateDict("a TorchScript program, not a state dict")
        if f"{folder}byteorder" in names:
            if archive.read(f"{folder}byteorder") != b"little":
                raise NotAStateDict("tensors of a big-endian machine")
        machine = _Machine()
        result = machine.run(io.BytesIO(archive.read(pickles[0])))
        for storage in machine.storages.values():
            storage.fill(archive.read(f"{folder}data/{storage.key}"))
    return result


def _from_pickles(content):
    """The older form: five pickles, then each storage behind its number of values."""
    stream = io.BytesIO(content)
    if _Machine().run(stream) != 0x1950A86A20F9469CFC6C:
        raise NotAStateDict("a pickle that PyTorch did not write")
    _version, system = _Machine().run(stream), _Machine().run(stream)
    if not system["little_endian"]:
        raise NotAStateDict("tensors of a big-endian machine")
    machine = _Machine()
    result = machine.run(stream)
    for key in _Machine().run(stream):
        storage = machine.storages[_text(key)]
        if stream.read(8) != storage.count.to_bytes(8, "little"):
            raise ValueError(f"storage {key} has another size than its tensors say")
        storage.fill(stream.read(storage.count * storage.dtype.itemsize))
    return result


# === Tensors ===


class _Storage:
    """A row of values that tensors lie in."""

    def __init__(self, dtype, key, count):
        if not isinstance(dtype, np.dtype) or not isinstance(key, str):
            raise ValueError("a storage without a type or a key")
        self.dtype, self.key, self.count = dtype, key, count
        self.values = None

    def fill(self, content):
        if len(content) != self.count * self.dtype.itemsize:
            raise ValueError(f"storage {self.key} ends too early")
        self.values = np.frombuffer(content, self.dtype)


class _Tensor(typing.NamedTuple):
    """A tensor: where it lies in its storage."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


def _array(tensor):
    """Returns a tensor's values, after a look that it lies within its storage."""
    storage, offset, shape, strides = tensor
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or any(type(n) is not int or n < 0 for n in numbers):
        raise ValueError("a tensor of no valid shape")
    size = math.prod(shape)
    last = offset + sum(
        (n - 1) * stride for n, stride in zip(shape, strides, strict=True)
    )
    # Strides of 0 would make a large array of few values.
    if size > storage.count or (size and last >= storage.count):
        raise ValueError("a tensor that is larger than its storage")
    if not size:
        return np.zeros(shape, storage.dtype)
    bytes_apart = [stride * storage.dtype.itemsize for stride in strides]
    values = storage.values[offset:]
    return np.lib.stride_tricks.as_strided(values, shape, bytes_apart).copy()


def _num_bytes(tensor):
    if not isinstance(tensor, _Tensor):
        raise NotAStateDict(f"a dict with a {_kind(tensor)} in it")
    if any(type(size) is not int for size in tensor.shape):
        raise ValueError("a tensor of no valid shape")
    return math.prod(tensor.shape) * tensor.storage.dtype.itemsize


def _kind(value):
    return "tensor" if isinstance(value, _Tensor) else type(value).__name__


# === The machine ===


class _Named(typing.NamedTuple):
    """Stands for a function that the machine knows how to answer for."""

    name: str


# What a state dict's pickle may name, and the value that stands for it here.
_GLOBALS = {
    "collections OrderedDict": _Named("dict"),
    "torch._utils _rebuild_tensor_v2": _Named("tensor"),
    "torch._utils _rebuild_parameter": _Named("parameter"),
    "torch HalfStorage": np.dtype("<f2"),
    "torch FloatStorage": np.dtype("<f4"),
    "torch DoubleStorage": np.dtype("<f8"),
    "torch IntStorage": np.dtype("<i4"),
    "torch LongStorage": np.dtype("<i8"),
}
_MARK = object()
# Opcodes whose argument is a value, and those that are a value themselves.
_WITH_VALUE = {
    "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT",
    "BINUNICODE", "SHORT_BINUNICODE",
}  # fmt: skip
_VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_LENGTHS = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """Follows the opcodes of one pickle. Its stack holds plain values and `_Tensor`s.

    Attributes:
        storages: dict of keys to `_Storage`s that the pickle refers to, still empty.
    """

    def __init__(self):
        self.storages = {}
        self._stack = []
        self._memo = {}

    def run(self, stream):
        """Reads one pickle from a stream, and returns what it describes."""
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return self._stack.pop()
            self._step(opcode.name, argument)
        raise ValueError("a pickle without an end")

    def _step(self, name, argument):
        stack, memo = self._stack, self._memo
        if name in _WITH_VALUE:
            stack.append(argument)
        elif name in _VALUES:
            stack.append(_VALUES[name])
        elif name in _LENGTHS:
            length = _LENGTHS[name]
            stack[-length:] = [tuple(stack[-length:])]
        elif name in ("PROTO", "FRAME"):
            pass
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "TUPLE":
            stack.append(tuple(self._above_the_mark()))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        else:
            self._step_of_structure(name, argument)

    def _step_of_structure(self, name, argument):
        stack = self._stack
        if name == "GLOBAL":
            stack.append(_global(argument))
        elif name == "STACK_GLOBAL":
            attribute, module = _text(stack.pop()), _text(stack.pop())
            stack.append(_global(f"{module} {attribute}"))
        elif name == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_answer(function, arguments))
        elif name == "BUILD":
            stack.pop()  # attributes of the dict: PyTorch's `_metadata`
            if type(stack[-1]) is not dict:
                raise NotAStateDict(f"a pickle that sets up a {_kind(stack[-1])}")
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            stack[-1][_text(key)] = value
        elif name == "SETITEMS":
            items = self._above_the_mark()
            keys = map(_text, items[::2])
            stack[-1].update(zip(keys, items[1::2], strict=True))
        elif name == "APPEND":
            value = stack.pop()
            stack[-1].append(value)
        elif name == "APPENDS":
            values = self._above_the_mark()
            stack[-1].extend(values)
        else:
            raise NotAStateDict(f"a pickle with the opcode {name}, which is not run")

    def _above_the_mark(self):
        """Takes the values down to the last mark from the stack, and the mark."""
        values = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _storage(self, identifier):
        """The storage of ("storage", type, key, device, number of values).

        The older form adds None, or what larger storage this one is a part of.
        """
        kind, dtype, key, _device, count, *part_of = identifier
        if kind != "storage" or part_of not in ([], [None]):
            raise NotAStateDict("a reference to something else than a whole storage")
        if _text(key) not in self.storages:
            self.storages[key] = _Storage(dtype, key, count)
        return self.storages[key]


def _text(value):
    """Returns a key or a name, if it is text.

    To hash or to print a tuple goes down all its levels: a million of them end the
    process, and forty that hold the next one twice never end.
    """
    if type(value) is not str:
        raise NotAStateDict(f"a pickle with a {_kind(value)} for a name")
    return value


def _global(name):
    if name not in _GLOBALS:
        dotted = str(name).replace(" ", ".")
        raise NotAStateDict(f"a pickle that names {dotted}, which is not run")
    return _GLOBALS[name]


def _answer(function, arguments):
    """What the functions of `_GLOBALS` give for the arguments of a state dict."""
    match function, arguments:
        case _Named("dict"), ():
            return {}
        case _Named("tensor"), (_Storage() as storage, offset, shape, strides, *_):
            return _Tensor(storage, offset, tuple(shape), tuple(strides))
        case _Named("parameter"), (_Tensor() as tensor, *_):
            return tensor
    raise NotAStateDict("a pickle with a call that is not run")
