"""HTTP: the requests of one connection, one after the other."""

import contextlib
import http.server
import io
import json
import logging
import re
import time
import urllib.parse
from http import HTTPStatus

from keras_gan import checks
from keras_gan.serving import metrics, protocol
from keras_gan.serving import server as servers
from keras_gan.serving.protocol import Refused

LOGGER = logging.getLogger("keras_gan")
_MODEL = re.compile(
    r"/v1/models/(?P<name>[^/:]+)"
    r"(/versions/(?P<number>[0-9]{1,19})|/labels/(?P<label>[^/:]+))?"
    r"(?P<verb>:predict|/metadata)?"
)
# Request line and headers together.
_MOST_HEAD_BYTES = 1 << 16
_JSON = "application/json"


class _Reader(io.RawIOBase):
    """Reads a socket until a time and up to a number of bytes, for all reads together.

    A socket's own timeout starts anew with each byte: a client that sends one a minute
    would hold its thread for ever.
    """

    def __init__(self, sock):
        self._sock = sock
        self.deadline, self.left = 0.0, 0

    def readable(self):
        return True

    def readinto(self, buffer):
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        if self.left <= 0:
            raise _TooLong
        self._sock.settimeout(seconds)
        count = self._sock.recv_into(buffer)
        self.left -= count
        return count


class _TooLong(Exception):
    """The head of a request takes more bytes than it may."""


class Connection(http.server.BaseHTTPRequestHandler):
    """Answers the requests of one client; its `server` is a `server.Server`."""

    protocol_version = "HTTP/1.1"
    # With Nagle's algorithm the last packet of an answer waits for an acknowledgement.
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.rfile.close()
        self._raw = _Reader(self.connection)
        self.rfile = io.BufferedReader(self._raw, 1 << 16)
        self._unread = self._expects = False

    def finish(self):
        super().finish()
        if self._unread:
            with contextlib.suppress(OSError):
                servers.read_out(self.connection)

    def log_message(self, *arguments):
        """Logs nothing: `metrics` counts."""

    def handle_expect_100(self):
        """Lets a client wait until it is known whether its request is too large."""
        self._expects = True
        return True

    def send_error(self, code, message=None, explain=None):
        """Answers a request that the base class cannot read."""
        self.close_connection = self._unread = True
        phrase = HTTPStatus(code).phrase
        self._send(int(code), _error(f"{phrase}: {message}" if message else phrase))

    def handle_one_request(self):
        """Reads one request and answers it."""
        self._expects = False
        self.close_connection = True
        began, self.command = False, None
        limits = self.server.limits
        try:
            with self.server.waiting(self.connection) as may_wait:
                self._raw.left = _MOST_HEAD_BYTES
                self._raw.deadline = time.monotonic() + limits.keep_alive
                if not may_wait or not self._has_begun():
                    return
            began = time.perf_counter()
            self._raw.deadline = time.monotonic() + limits.timeout
            self.raw_requestline = self.rfile.readline(_MOST_HEAD_BYTES + 1)
            if len(self.raw_requestline) > _MOST_HEAD_BYTES:
                raise _TooLong
            if self.parse_request():
                self._respond(began)
        except TimeoutError:
            if began:
                self.send_error(408, f"no whole request in {limits.timeout:g} s")
        except _TooLong:
            self.send_error(431)
        except ConnectionError:
            self.close_connection = True

    def _has_begun(self):
        """Waits for a request; returns whether there is one.

        Its first byte may have come with the request before. Some clients end a body
        with a line end that is not part of it.
        """
        while (first := self.rfile.peek(1)[:1]) in (b"\r", b"\n"):
            self.rfile.read(1)
        return bool(first)

    # === One request ===

    def _respond(self, began):
        match = _MODEL.fullmatch(self._path())
        try:
            body = self._body()
            code, kind, content = 200, *self._content(match, body)
            status, headers = "OK", {}
        except Refused as refused:
            status, headers = refused.status, refused.headers
            code, kind, content = refused.code, _JSON, _error(refused.message)
        except (TimeoutError, _TooLong, ConnectionError):
            raise
        except Exception as error:
            # The server lives; whoever runs it sees what to report.
            reason = f"{type(error).__name__}: {checks.one_line(error)}"
            LOGGER.warning("A request to %.80r failed: %s", self.path, reason)
            status, headers = "INTERNAL", {}
            code, kind, content = 500, _JSON, _error("The server failed")
        if match and match["verb"] == ":predict":
            name = urllib.parse.unquote(match["name"])
            if name in self.server.models.names():
                self.server.metrics.predicted(name, status, time.perf_counter() - began)
        self._send(code, content, kind, headers)

    def _path(self):
        """The request's path alone, which a proxy may precede by the server's name."""
        path = self.path.partition("?")[0]
        return re.sub(r"^https?://[^/]*", "", path, flags=re.I)

    def _body(self):
        """Returns the request's body.

        Raises:
            Refused: a body whose length is not known, or that is too large.
        """
        if self.headers.defects:
            # Python reads no header behind a line that is none: a length, say. A proxy
            # that reads it would take the body for a body, and we for a request.
            raise self._unreadable("Expected headers of the form NAME: VALUE", 400)
        given = self.headers.get_all("Content-Length", [])
        lengths = {value.strip(" \t") for value in given}
        encodings = self.headers.get_all("Transfer-Encoding", [])
        if encodings or (not lengths and self.command in ("POST", "PUT", "PATCH")):
            raise self._unreadable("Expected a Content-Length", 411)
        length = lengths.pop() if lengths else "0"
        if lengths or not re.fullmatch(r"[0-9]{1,18}", length):
            raise self._unreadable("Expected one Content-Length, a number", 400)
        most = self.server.limits.max_request_bytes
        if int(length) > most:
            raise self._unreadable(
                f"Expected a request of at most {most} bytes. Received: {length}", 413
            )
        if self._expects and int(length):
            self.connection.settimeout(self.server.limits.timeout)
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._raw.left = int(length)
        body = self.rfile.read(int(length)) if int(length) else b""
        if len(body) < int(length):
            raise ConnectionError("the client left")
        if self.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refused("INVALID_ARGUMENT", "Expected a body without encoding", 415)
        return body

    def _unreadable(self, message, code):
        """The error of a request whose end nobody knows: the connection must end."""
        self.close_connection = self._unread = True
        return Refused("INVALID_ARGUMENT", message, code)

    def _content(self, match, body):
        """Returns (content type, bytes) of the answer."""
        path, models = self._path(), self.server.models
        if path == "/healthz":
            self._allow("GET", "HEAD")
            if not models.names():
                raise Refused("UNAVAILABLE", "No version is loaded")
            return _JSON, _dumped({"status": "ok"})
        if path == "/monitoring/prometheus/metrics":
            self._allow("GET", "HEAD")
            text = self.server.metrics.text(self.server.connections())
            return metrics.CONTENT_TYPE, text
        if not match:
            raise Refused("NOT_FOUND", f"Malformed request: {self.command} {path}")
        name = urllib.parse.unquote(match["name"])
        label = urllib.parse.unquote(match["label"] or "")
        number = int(match["number"]) if match["number"] else None
        if match["verb"] == ":predict":
            self._allow("POST")
            with self.server.computing:
                return _JSON, protocol.predict(
                    lambda: models.find(name, number, label),
                    body,
                    self.server.limits.max_rows,
                )
        self._allow("GET", "HEAD")
        if match["verb"]:
            with models.find(name, number, label) as version:
                return _JSON, _dumped(protocol.describe(version))
        return _JSON, _dumped(protocol.statuses(models.loaded(name, number, label)))

    def _allow(self, *methods):
        if self.command not in methods:
            raise Refused(
                "INVALID_ARGUMENT",
                f"Malformed request: {self.command} {self._path()}; use "
                f"{' or '.join(methods)}",
                405,
                {"Allow": ", ".join(methods)},
            )

    def _send(self, code, content, kind=_JSON, headers=None):
        """Sends an answer, in one piece."""
        if self.server.is_crowded():
            self.close_connection = True
        if code == 503:
            headers = {"Retry-After": "1", **(headers or {})}
        lines = [
            f"HTTP/1.1 {code} {HTTPStatus(code).phrase}",
            "Server: keras_gan",
            f"Date: {self.date_time_string()}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(content)}",
            f"Connection: {'close' if self.close_connection else 'keep-alive'}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
        ]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.server.metrics.answered(code)
        # Of the whole answer: `sendall` does not start it anew.
        self.connection.settimeout(self.server.limits.timeout)
        try:
            if self.command == "HEAD":
                content = b""
            self.connection.sendall(head + content)
        except OSError:  # the client left, or takes too long
            self.close_connection = True


def _dumped(content):
    return (json.dumps(content, indent=4) + "\n").encode()


def _error(message):
    return (json.dumps({"error": message}) + "\n").encode()
