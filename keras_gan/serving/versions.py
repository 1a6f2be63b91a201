"""Exported versions that are loaded, and how new ones take the place of old ones."""

import contextlib
import logging
import pathlib
import threading
import time
from collections.abc import Callable

import numpy as np

from keras_gan import checks
from keras_gan.export import cards, graph, listing
from keras_gan.export.verification import c_session
from keras_gan.serving import protocol
from keras_gan.serving.protocol import Refused, invalid

LOGGER = logging.getLogger("keras_gan")


class Version:
    """A loaded version, which closes when its last request is done.

    It is judged before it is loaded, as by `export.ExportedGenerator`: its files must
    be those of its card, and its graph must do no more than compute. Then each
    signature answers one row of zeros, with a label of its card: a version that cannot
    answer is refused, and the first client does not wait for what TensorFlow does once.

    Args:
        name: str, the model's.
        number: int.
        path: path-like, its directory.

    Attributes:
        name, number: as given.
        signatures: dict of names to SignatureDefs.
        computing: function of (signature, seconds) that is called after each answer.

    Raises:
        ValueError: it is refused.
        c_session.SessionError: it cannot be loaded, or does not answer.
        Exception: a damaged version fails in many ways.
    """

    def __init__(self, name, number, path):
        self.name, self.number = name, number
        faults = cards.file_faults(path) or graph.unsafe_operations(
            path, c_session.is_operation
        )
        if faults:
            raise ValueError("; ".join(faults))
        self.signatures = graph.signature_defs(path)
        if "serving_default" not in self.signatures:
            raise ValueError("signature serving_default is missing")
        label = cards.read_card(path)["goldens"][0].get("label", 0)
        self._users, self._lock, self._retired = 0, threading.Lock(), False
        self.computing = lambda signature, seconds: None
        self._session = c_session.Session(path, graph.read_signatures(path))
        try:
            for each, signature in self.signatures.items():
                self.run(each, _one_row(signature, label))
        except BaseException:
            self._session.close()
            raise

    @contextlib.contextmanager
    def used(self):
        """Keeps the version open."""
        with self._lock:
            self._users += 1
        try:
            yield self
        finally:
            self._leave(1)

    def retire(self):
        """Closes the version when nobody uses it any more."""
        self._leave(0, retired=True)

    def _leave(self, users, retired=False):
        # Both under one lock: of two threads that leave, only the last one closes.
        with self._lock:
            self._users -= users
            self._retired |= retired
            last = self._retired and not self._users
        if last:
            self._session.close()

    def signature(self, name):
        """Returns (name, SignatureDef); "" is the name of the default.

        Raises:
            Refused: there is none of this name.
        """
        if not isinstance(name, str):
            raise invalid("Expected 'signature_name' to be a string")
        name = name or "serving_default"
        if name not in self.signatures:
            raise invalid(
                f'Serving signature name: "{name}" not found in signature def'
            )
        return name, self.signatures[name]

    def run(self, signature, inputs):
        """Returns the answer of a signature.

        Args:
            signature: str, one of `signatures`.
            inputs: dict of names to arrays.

        Returns:
            dict of names to arrays; strings as object arrays of bytes.

        Raises:
            Refused: inputs of other names, dtypes or shapes, or an error of TensorFlow.
        """
        expected = self.signatures[signature].inputs
        if set(inputs) != set(expected):
            raise invalid(
                f"input keys are {sorted(inputs)}, of signature {signature!r} "
                f"{sorted(expected)}"
            )
        for key, array in inputs.items():
            _check(key, array, expected[key])
        start = time.perf_counter()
        try:
            outputs = self._session.run(signature, inputs)
        except c_session.SessionError as error:
            raise invalid(str(error)) from error
        self.computing(signature, time.perf_counter() - start)
        return outputs


def _check(key, array, info):
    """Raises where an array is no value of an input."""
    dtype = protocol.DTYPES.get(info.dtype)
    if dtype is None or array.dtype != dtype:
        expected = f"number {info.dtype}" if dtype is None else np.dtype(dtype)
        raise invalid(f"Expected {key!r} of {expected}. Received: {array.dtype}")
    sizes = _sizes(info)
    if len(sizes) != array.ndim or any(
        size not in (-1, given) for size, given in zip(sizes, array.shape, strict=True)
    ):
        raise invalid(
            f"Expected {key!r} of shape {_shape(sizes)}. Received a tensor of shape "
            f"{_shape(array.shape)}"
        )


def _sizes(info):
    return [dimension.size for dimension in info.tensor_shape.dim]


def _shape(sizes):
    """A shape as TensorFlow writes it: [2,100]."""
    return f"[{','.join(map(str, sizes))}]"


def _one_row(signature, label):
    """Returns a row for each input of a signature: zeros, but for the label."""
    return {
        key: np.full(
            [max(size, 1) for size in _sizes(info)],
            label if key == "labels" else 0,
            _dtype(key, info),
        )
        for key, info in signature.inputs.items()
    }


def _dtype(key, info):
    if info.dtype not in protocol.DTYPES:
        raise ValueError(f"the input {key} has a dtype that REST cannot read")
    return protocol.DTYPES[info.dtype]


def latest_in(base, count: int = 1) -> Callable[[], dict[int, pathlib.Path]]:
    """Returns a function that lists the latest versions in a base.

    Args:
        base: path-like, a directory of versions.
        count: int, how many of them.
    """
    base = pathlib.Path(base)

    def wanted():
        return {each: base / str(each) for each in listing.versions(base)[-count:]}

    return wanted


class Models:
    """The models that are served: which versions there should be, and which there are.

    Args:
        wanted: dict of the models' names to functions that return which of its versions
            should be loaded, `{number: path}`.

    Attributes:
        labels: dict of the models' names to `{label: number}`.
    """

    def __init__(self, wanted):
        # Requests take the first lock, for a moment. Loading takes seconds, and holds
        # the second.
        self._lock, self._changing = threading.RLock(), threading.RLock()
        self._wanted, self._loaded, self._failed = dict(wanted), {}, {}
        self.labels = {}
        self.computing = lambda name, signature, seconds: None

    def replace(self, wanted):
        """Takes other models for those that there were, and drops the others.

        Args:
            wanted: as for the class.
        """
        with self._changing:
            self._wanted = dict(wanted)
            for name in set(self._loaded) - set(wanted):
                self._retire(name, self._loaded[name])
                with self._lock:
                    del self._loaded[name]
            self.poll()

    def poll(self, must_load: bool = False) -> None:
        """Loads versions that appeared, and only then drops those that went.

        A version that cannot be loaded is named once in the log and tried again when
        its files change. Whatever was loaded before stays until another one is.

        Args:
            must_load: whether a version that cannot be loaded is an error instead.

        Raises:
            ValueError: such a version, where `must_load`.
        """
        with self._changing:
            for name, find in self._wanted.items():
                with self._lock:
                    loaded = self._loaded.setdefault(name, {})
                try:
                    wanted = find()
                except OSError:  # a disk that is away for a while
                    continue
                for key in [key for key in self._failed if key[0] == name]:
                    if key[1] not in wanted:
                        del self._failed[key]
                for number in sorted(set(wanted) - set(loaded)):
                    self._load(name, number, wanted[number], must_load)
                # Nothing to serve instead: it keeps what it has.
                if set(wanted) & set(loaded):
                    self._retire(name, set(loaded) - set(wanted))

    def _load(self, name, number, path, must_load):
        state = _state(path)
        known = (name, number) in self._failed
        # None is no state: a link that leads nowhere yet, say.
        if known and state is not None and self._failed[name, number] == state:
            return
        try:
            version = Version(name, number, path)
        except Exception as error:  # a damaged version fails in many ways
            message = f"{path} cannot be served ({checks.one_line(error)})."
            if must_load:
                raise ValueError(f"{message} Export it again.") from error
            self._failed[name, number] = state
            if not known:
                LOGGER.warning("%s What was loaded before stays.", message)
            return
        self._failed.pop((name, number), None)
        version.computing = lambda signature, seconds: self.computing(
            name, signature, seconds
        )
        with self._lock:
            self._loaded[name][number] = version
        LOGGER.info("Version %d of %s is loaded.", number, name)

    def _retire(self, name, numbers):
        for number in list(numbers):
            with self._lock:
                version = self._loaded[name].pop(number)
            version.retire()
            LOGGER.info("Version %d of %s is no longer served.", number, name)

    def close(self):
        """Drops all versions, each when its last request is done."""
        self.replace({})

    def names(self) -> list[str]:
        """Returns the models that have a version that is loaded."""
        with self._lock:
            return [name for name, loaded in self._loaded.items() if loaded]

    def find(self, name, number=None, label=None):
        """Returns a version: by label, by number, or the latest.

        Args:
            name: str, the model's.
            number: int, or None.
            label: str, or None.

        Returns:
            Context manager of a `Version`, which stays open in it. It must be entered.

        Raises:
            Refused: there is none.
        """
        with self._lock:
            loaded = self._loaded.get(name, {})
            if label:
                if label not in self.labels.get(name, {}):
                    raise invalid(f"Unrecognized servable version label: {label}")
                number = self.labels[name][label]
            if number is None and loaded:
                number = max(loaded)
            if number not in loaded:
                asked = f"Latest({name})"
                if number is not None:
                    asked = f"Specific({name}, {number})"
                raise Refused("NOT_FOUND", f"Servable not found for request: {asked}")
            # Counted here, so that it cannot close before it is used.
            stack = contextlib.ExitStack()
            version = stack.enter_context(loaded[number].used())
        return _Held(stack, version)

    def loaded(self, name, number=None, label=None) -> list[int]:
        """Returns the numbers of a model's loaded versions, the latest first.

        Args:
            name, number, label: as for `find`.

        Raises:
            Refused: there is none.
        """
        with self._lock:
            if label:
                with self.find(name, label=label) as version:
                    number = version.number
            numbers = [
                each
                for each in sorted(self._loaded.get(name, {}), reverse=True)
                if number in (None, each)
            ]
        if not numbers:
            wanted = "any versions" if number is None else f"version {number}"
            raise Refused("NOT_FOUND", f"Could not find {wanted} of model {name}")
        return numbers


class _Held:
    """A version that is kept open until the block ends."""

    def __init__(self, stack, version):
        self._stack, self._version = stack, version

    def __enter__(self):
        return self._version

    def __exit__(self, *error):
        self._stack.close()


def _state(path):
    """What changes when any file of a version does."""
    try:
        return sorted(
            (str(file), file.stat().st_size, file.stat().st_mtime_ns)
            for file in pathlib.Path(path).rglob("*")
        )
    except OSError:
        return None
