"""Weights files of the FID's network, random, and written without PyTorch."""

import collections
import io
import pickle
import zipfile

import numpy as np

from keras_gan.metrics.features import inception_2015

TYPES = {"float32": "FloatStorage", "float64": "DoubleStorage", "int64": "LongStorage"}


def random_weights(seed=0):
    """Arrays by which activations keep their scale through the network.

    The order of drawing is that of the names: other code can draw the same.
    """
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, shape in sorted(inception_2015.shapes().items()):
        if name.endswith("conv.weight"):
            scale = np.sqrt(2 / np.prod(shape[1:]))
            array = scale * rng.standard_normal(shape, np.float32)
        elif name == "fc.weight":
            array = 0.02 * rng.standard_normal(shape, np.float32)
        elif name.endswith(("bn.weight", "running_var")):
            array = rng.uniform(0.5, 1.5, shape)
        else:
            array = 0.2 * rng.standard_normal(shape)
        arrays[name] = array.astype(np.float32)
    return arrays


def images(count, size=32, seed=1):
    """uint8 `(count, size, size, 3)`: colours that differ, and noise in them."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 256, (count, 1, 1, 3))
    return (
        (base + rng.integers(-60, 60, (count, size, size, 3)))
        .clip(0, 255)
        .astype(np.uint8)
    )


# === Files as PyTorch writes them ===


class Named:
    """A global of a module that need not be there."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def __call__(self):
        """The pickler asks for something that can be called."""


class Storage:
    def __init__(self, key, values, count=None):
        self.key, self.values = key, values
        self.count = values.size if count is None else count


class Tensor:
    """A tensor over a storage; the arguments say how it lies there."""

    def __init__(self, storage, shape, strides, offset=0, parameter=False):
        self.arguments = (storage, offset, shape, strides)
        self.parameter = parameter

    def __reduce__(self):
        hooks = collections.OrderedDict()
        if self.parameter:
            tensor = Tensor(*(self.arguments[i] for i in (0, 2, 3, 1)))
            named = Named("torch._utils", "_rebuild_parameter")
            return named, (tensor, False, hooks)
        named = Named("torch._utils", "_rebuild_tensor_v2")
        return named, (*self.arguments, False, hooks)


class _Pickler(pickle._Pickler):
    dispatch = dict(pickle._Pickler.dispatch)
    more = ()

    def persistent_id(self, value):
        if isinstance(value, Storage):
            kind = Named("torch", TYPES[str(value.values.dtype)])
            return "storage", kind, value.key, "cpu", value.count, *self.more
        return None

    def save_named(self, value):
        self.write(f"c{value.module}\n{value.name}\n".encode())

    dispatch[Named] = save_named


def pickled(value, more=()):
    """bytes; `more` ends the description of each storage."""
    stream = io.BytesIO()
    pickler = _Pickler(stream, protocol=2)
    pickler.more = more
    pickler.dump(value)
    return stream.getvalue()


def tensors_of(arrays, parameter=False):
    """(state dict of `Tensor`s, its storages), one storage for each array."""
    tensors, storages = collections.OrderedDict(), []
    for number, (name, array) in enumerate(arrays.items()):
        storage = Storage(str(number), np.array(array, order="C"))
        strides = tuple(n // array.itemsize for n in storage.values.strides)
        tensors[name] = Tensor(storage, array.shape, strides, parameter=parameter)
        storages.append(storage)
    # As of `Module.state_dict`; it is pickled as an attribute.
    tensors._metadata = collections.OrderedDict([("", {"version": 2})])
    return tensors, storages


def zip_file(content, storages=(), folder="archive", compression=0, **more):
    """bytes of the zip that PyTorch writes since 1.6; `content` is a pickle."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        archive.writestr(f"{folder}/data.pkl", content)
        for storage in storages:
            archive.writestr(f"{folder}/data/{storage.key}", storage.values.tobytes())
        for name, text in {"version": "3\n", **more}.items():
            archive.writestr(f"{folder}/{name}", text)
    return stream.getvalue()


def row_of_pickles(content, storages=(), little_endian=True):
    """bytes of the form that PyTorch wrote before 1.6; `content` is a pickle."""
    magic, system = 0x1950A86A20F9469CFC6C, {"little_endian": little_endian}
    parts = [pickled(magic), pickled(1001), pickled(system), content]
    parts.append(pickled([storage.key for storage in storages]))
    for storage in storages:
        parts.append(storage.values.size.to_bytes(8, "little"))
        parts.append(storage.values.tobytes())
    return b"".join(parts)


def write_pth(path, arrays, form=zip_file):
    """Writes a state dict of arrays to `path`, and returns it."""
    tensors, storages = tensors_of(arrays)
    more = (None,) if form is row_of_pickles else ()
    path.write_bytes(form(pickled(tensors, more), storages))
    return path
