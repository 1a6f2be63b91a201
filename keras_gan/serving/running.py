"""From a path to a server that runs until it is told to stop."""

import importlib.util
import logging
import pathlib
import sys
import threading
import urllib.parse
from collections.abc import Callable

from keras_gan import checks
from keras_gan.export import cards, listing
from keras_gan.serving.server import Limits, Server
from keras_gan.serving.versions import Models, latest_in

LOGGER = logging.getLogger("keras_gan")
# Where a run keeps its versions.
_OF_A_RUN = "export"


def protos_alone() -> None:
    """Makes TensorFlow's protos importable without TensorFlow, in this process.

    They lie in its packages, and importing all of TensorFlow would take five seconds
    and Keras. Afterwards nothing else of it can be imported, so it is for a process
    that serves and does nothing else.

    Raises:
        ModuleNotFoundError: TensorFlow is not installed.
    """
    if "tensorflow" in sys.modules:
        return
    spec = importlib.util.find_spec("tensorflow")
    if spec is None:
        raise ModuleNotFoundError(
            "tensorflow is not installed. Run: pip install tensorflow",
            name="tensorflow",
        )
    sys.modules["tensorflow"] = importlib.util.module_from_spec(spec)


def serve(
    path,
    host: str = "127.0.0.1",
    port: int = 8501,
    name: str | None = None,
    limits: Limits | None = None,
    poll_seconds: float = 1.0,
    started: Callable[[str], object] | None = None,
    stop: threading.Event | None = None,
) -> bool:
    """Serves an export over HTTP, by the REST protocol of TensorFlow Serving.

    There is neither TLS nor a password. A version that appears in a directory of
    versions takes the place of the one before, see `versions.Models`. For a process of
    its own: XLA is disabled in all of it, as in TensorFlow Serving.

    Args:
        path: str or path-like: a directory of versions, one version, or a run that has
            an export.
        host, port: where it listens; port 0 takes a free one.
        name: the model's name; None for that of the directory of versions.
        limits: `Limits`; None for its defaults.
        poll_seconds: how often it looks for versions.
        started: None, or a function of the model's URL, called when it answers.
        stop: event that ends it; None serves for ever.

    Returns:
        Whether all requests that had begun were answered before it ended.

    Raises:
        ValueError: no export, or one that is refused; see `versions.Version`.
        OSError: the port is in use.
    """
    name, wanted = find_export(path, name)
    stop = stop or threading.Event()
    limits = limits or Limits()
    models = Models({name: wanted})
    with Server(host, port, models, limits) as server:
        models.poll(must_load=True)
        server.start()
        if started:
            at = f"[{host}]" if ":" in host else host
            quoted = urllib.parse.quote(name, safe="")
            started(f"http://{at}:{server.port}/v1/models/{quoted}")
        while not stop.wait(poll_seconds):
            try:
                models.poll()
            except Exception as error:
                # What is loaded goes on answering.
                reason = checks.one_line(error)
                LOGGER.warning("Looking for versions failed: %s", reason)
        done = server.drain(limits.timeout)
    models.close()
    return done


def find_export(path, name: str | None = None):
    """Returns (name, function that lists the versions to serve) of an export.

    Args:
        path, name: as for `serve`.

    Raises:
        ValueError: there is no export, or the name is none for a URL.
    """
    path = pathlib.Path(path)
    if (path / "saved_model.pb").is_file():
        path = path.absolute()  # "." has no name
        number = path.name if listing.is_version(path.name) else 1
        versions = {int(number): path}
        base, wanted = path.parent, lambda: versions
        cards.read_card(path)  # raises for a SavedModel that is no export
    else:
        base = path if listing.versions(path) else path / _OF_A_RUN
        if not listing.versions(base):
            raise ValueError(
                "Expected an export: a directory of versions (1/, 2/, ...), one of "
                f"them, or a run that has one. Received: {path}; publish one with "
                "keras-gan export --model=RUN"
            )
        base, wanted = base.absolute(), latest_in(base)
    if name is None:
        name = base.parent.name if base.name == _OF_A_RUN else base.name
    if not name or set(name) & set("/:"):
        raise ValueError(
            f"Expected a `name` without / and :. Received: {name!r}; choose a `name`"
        )
    return name, wanted
