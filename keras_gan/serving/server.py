"""The server's threads and connections: how many there may be, and how they end."""

import contextlib
import dataclasses
import logging
import os
import socket
import socketserver
import threading
import time

from keras_gan import checks
from keras_gan.serving import connection
from keras_gan.serving.metrics import Metrics

LOGGER = logging.getLogger("keras_gan")
# Connections above the limit that are told so at once; beyond, they are closed.
_REFUSALS = 32
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
    b"Retry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
)
_REFUSED = b'{"error": "The server is busy: too many connections. Try again later"}\n'


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one client may take of a server.

    Attributes:
        max_connections: int >= 1, connections at once; each has a thread. More are
            answered 503.
        max_request_bytes: int >= 1, of a request's body. More are answered 413.
        max_rows: int >= 1, of one request. More are answered 400.
        timeout: seconds in which a request must have arrived and, once more, in which
            its answer must have been taken. Slower clients are answered 408, or cut.
        keep_alive: seconds that a connection may wait for its next request.

    Raises:
        ValueError: any of them is not above 0.
    """

    max_connections: int = 64
    max_request_bytes: int = 8 * 2**20
    max_rows: int = 128
    timeout: float = 30.0
    keep_alive: float = 15.0

    def __post_init__(self):
        for name in ("max_connections", "max_request_bytes", "max_rows"):
            checks.count(name, getattr(self, name))
        for name in ("timeout", "keep_alive"):
            value = getattr(self, name)
            if not checks.is_number(value) or value <= 0:
                raise ValueError(f"Expected `{name}` > 0. Received: {value!r}")


class Server(socketserver.TCPServer):
    """Answers HTTP requests to `models`, from one thread for each connection.

    Args:
        host, port: str and int, where it listens; port 0 takes a free one.
        models: `versions.Models`.
        limits: `Limits`.

    Attributes:
        models, limits: as given.
        metrics: `metrics.Metrics`.
        computing: semaphore of as many predictions as there are cores. More at once
            would take more memory and no less time.

    Raises:
        OSError: the port is in use, or the host is not of this machine.
    """

    # After its end another server can have the port at once.
    allow_reuse_address = os.name != "nt"
    request_queue_size = 128

    def __init__(self, host, port, models, limits=None):
        self.models, self.limits = models, limits or Limits()
        self.metrics = Metrics()
        models.computing = self.metrics.computed
        self.computing = threading.BoundedSemaphore(os.cpu_count() or 1)
        self._changed = threading.Condition()
        self._connections, self._idle, self._refusals = set(), set(), 0
        self.draining = False
        try:
            family, *_, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            self.address_family = family
            super().__init__(address, connection.Connection)
        except (OSError, OverflowError) as error:
            raise OSError(
                f"Cannot listen on {host}, port {port}: {checks.one_line(error)}. "
                "Choose another `port` or `host`."
            ) from error

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self.server_address[1]

    def start(self):
        """Answers from now on, in threads of its own."""
        threading.Thread(
            target=self.serve_forever, args=(0.1,), daemon=True, name="accept"
        ).start()

    def drain(self, seconds: float) -> bool:
        """Takes no more connections, and waits for the requests that have begun.

        Args:
            seconds: how long it waits.

        Returns:
            Whether all of them were answered.
        """
        self.shutdown()
        self.server_close()
        with self._changed:
            self.draining = True
            for request in self._idle:
                # Its thread waits for a request, and reads the end of the connection.
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RD)
            return self._changed.wait_for(lambda: not self._connections, seconds)

    # === Connections ===

    def is_crowded(self) -> bool:
        """Whether a connection should end after its answer, so that others get in."""
        with self._changed:
            most = self.limits.max_connections
            return self.draining or 4 * len(self._connections) > 3 * most

    def connections(self) -> int:
        """Returns the number of clients that are connected."""
        with self._changed:
            return len(self._connections)

    @contextlib.contextmanager
    def waiting(self, request):
        """Marks a connection, while it waits for a request, as one that may be ended.

        Yields:
            Whether it may wait: not once the server ends.
        """
        with self._changed:
            may_wait = not self.draining
            self._idle.add(request)
        try:
            yield may_wait
        finally:
            with self._changed:
                self._idle.discard(request)

    def process_request(self, request, client_address):
        """Starts the thread of a connection; called by `serve_forever`."""
        with self._changed:
            admitted = len(self._connections) < self.limits.max_connections
            if admitted:
                self._connections.add(request)
            elif self._refusals < _REFUSALS:
                self._refusals += 1
            else:
                self.shutdown_request(request)
                return
        target = self._converse if admitted else self._refuse
        try:
            threading.Thread(
                target=target, args=(request, client_address), daemon=True
            ).start()
        except RuntimeError:  # the system gives no more threads
            self._forget(request, admitted)
            self.shutdown_request(request)

    def _converse(self, request, client_address):
        try:
            self.finish_request(request, client_address)
        except Exception as error:
            self.handle_error(request, client_address, error)
        finally:
            self.shutdown_request(request)
            self._forget(request, admitted=True)

    def _refuse(self, request, client_address):
        self.metrics.answered(503)
        with contextlib.suppress(OSError):
            request.settimeout(1.0)
            request.sendall(_REFUSAL % (len(_REFUSED), _REFUSED))
            read_out(request)
        self.shutdown_request(request)
        self._forget(request, admitted=False)

    def _forget(self, request, admitted):
        with self._changed:
            if admitted:
                self._connections.discard(request)
            else:
                self._refusals -= 1
            self._changed.notify_all()

    def handle_error(self, request, client_address, error=None):
        """Logs one line for an error that no client caused."""
        if error is not None and not isinstance(error, OSError):
            LOGGER.warning(
                "A connection ended with %s: %s",
                type(error).__name__,
                checks.one_line(error),
            )


def read_out(request, seconds: float = 1.0) -> None:
    """Ends a connection so that the client gets to read the answer.

    A connection that is closed while there is something to read is reset, and the
    answer may be lost.

    Args:
        request: socket.
        seconds: how long the client's bytes are thrown away.
    """
    request.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        request.settimeout(left)
        if not request.recv(1 << 16):
            return
