"""`keras-gan serve`: what it answers, what it survives, and how it ends."""

import contextlib
import functools
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_gan import export
from keras_gan.commands import console
from keras_gan.serving import (
    Metrics,
    Models,
    Refused,
    find_export,
    latest_in,
    protocol,
    versions,
)
from keras_gan.serving.versions import Version
from tests import export_helpers

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOLERANCE = 1e-5
PREDICT = b"POST /v1/models/tiny:predict HTTP/1.1\r\n"
LIMITS = ("--max_connections=6", "--max_request_mib=1", "--max_rows=5", "--timeout=2")


@pytest.fixture(scope="module")
def gans():
    return {
        number: export_helpers.image_gan(activation=activation)
        for number, activation in ((1, "sigmoid"), (2, "hard_sigmoid"))
    }


@pytest.fixture(scope="module")
def base(gans, tmp_path_factory):
    """`tiny/1` and, to be published in a test, `next/2`."""
    folder = tmp_path_factory.mktemp("exports")
    gans[1].export(folder / "tiny")
    gans[2].export(folder / "next", version=2)
    return folder


def command(*arguments):
    return [sys.executable, "-m", "keras_gan_command", "serve", *arguments]


def environment():
    values = {**os.environ, "PYTHONPATH": str(ROOT)}
    # The suite sets a log level of its own; a user has none.
    values.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return values


class Serving:
    """A server in a process of its own, and its port."""

    def __init__(self, model, *flags):
        self.process = subprocess.Popen(
            command(f"--model={model}", "--port=0", *flags),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(),
        )  # fmt: skip
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if match := re.match(r"Serving (http://\S+:(\d+)/v1/models/(\S+)) ", line):
                self.url, self.port, self.name = match[1], int(match[2]), match[3]
                return
        raise AssertionError(self.process.stderr.read())

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, JSON or text) of a request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            return read(connection)

    def predict(self, content, name=None, verb=":predict"):
        body = content if isinstance(content, bytes) else json.dumps(content)
        code, _, answer = self.ask(
            "POST", f"/v1/models/{name or self.name}{verb}", body
        )
        return code, answer

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def images(self, seeds):
        code, answer = self.predict({"signature_name": "sample", "instances": seeds})
        assert code == 200, answer
        return np.array([row["images"] for row in answer["predictions"]])

    def stop(self, number=signal.SIGTERM):
        """Ends it; returns (exit code, stdout since the first lines, stderr)."""
        self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=30)
        return self.process.returncode, stdout, stderr


def read(connection):
    answer = connection.getresponse()
    content = answer.read()
    if content and answer.headers["Content-Type"] == "application/json":
        content = json.loads(content)
    return answer.status, answer.headers, content


def raw(server, content, pause=0.0):
    """Everything that the server answers to these bytes; they may be in parts."""
    parts = [content] if isinstance(content, bytes) else content
    with server.connect() as client:
        # It may answer, and close, before it has all of them.
        with contextlib.suppress(ConnectionError):
            for part in parts:
                client.sendall(part)
                time.sleep(pause)
            client.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(ConnectionError):
            while part := client.recv(1 << 16):
                found += part
    return found


def check_refusal(answer, code):
    """An HTTP answer of this code whose body is one line, {"error": ...}."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % code), answer[:300]
    assert b"Content-Type: application/json" in head
    length = int(re.search(rb"Content-Length: (\d+)", head)[1])
    content = json.loads(body[:length])
    assert set(content) == {"error"} and content["error"]
    assert "\n" not in content["error"] and len(content["error"]) <= 600
    return content["error"]


@pytest.fixture(scope="module")
def server(base):
    serving = Serving(base / "tiny", *LIMITS)
    yield serving
    code, stdout, stderr = serving.stop()
    # After everything that the tests of this file sent.
    assert (code, stderr) == (0, ""), stderr
    assert serving.lines[0] == "Version 1 of tiny is loaded.\n"


@pytest.fixture(autouse=True)
def lives(request):
    """The shared server answers after each test."""
    yield
    if "server" in request.fixturenames:
        serving = request.getfixturevalue("server")
        # Connections of the test may still be closing.
        deadline = time.monotonic() + 10
        while serving.ask("GET", "/healthz")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert serving.images([3]).shape == (1, 4, 5, 1)


# === Answers ===


def expected(gan, seeds):
    return np.concatenate([gan.generate(1, seed=seed) for seed in seeds])


def test_it_answers_what_the_generator_computes(server, gans):
    seeds = [0, 1, -3, 2**40]
    found = server.images(seeds)
    np.testing.assert_allclose(found, expected(gans[1], seeds), rtol=0, atol=TOLERANCE)
    code, columns = server.predict({"signature_name": "sample", "inputs": seeds})
    assert code == 200
    latents = columns["outputs"]["latents"]
    code, answer = server.predict({"inputs": latents}, verb="/versions/1:predict")
    np.testing.assert_allclose(answer["outputs"], found, rtol=0, atol=TOLERANCE)
    code, answer = server.predict({"signature_name": "png", "instances": latents})
    assert code == 200 and all(list(row) == ["b64"] for row in answer["predictions"])


def test_it_tells_its_state(server):
    code, headers, status = server.ask("GET", "/v1/models/tiny")
    assert code == 200 and headers["Connection"] == "keep-alive"
    (version,) = status["model_version_status"]
    assert (version["version"], version["state"]) == ("1", "AVAILABLE")
    assert server.ask("GET", "/v1/models/tiny?x=1")[2] == status
    code, _, found = server.ask("GET", "/v1/models/tiny/metadata")
    signatures = found["metadata"]["signature_def"]["signature_def"]
    assert signatures["sample"]["inputs"]["seed"]["dtype"] == "DT_INT64"
    assert found["model_spec"]["version"] == "1"
    assert server.ask("GET", "/healthz")[::2] == (200, {"status": "ok"})
    code, headers, body = server.ask("HEAD", "/healthz")
    assert code == 200 and int(headers["Content-Length"]) > 0


def counts(server):
    text = server.ask("GET", "/monitoring/prometheus/metrics")[2].decode()
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            # The format: a name, labels, a space, a number.
            match = re.fullmatch(r'([\w:]+)(\{(\w+="[^"]*",?)+\})? ([\d.]+)', line)
            assert match, line
            found[match[1] + (match[2] or "")] = float(match[4])
    return found


def test_metrics_count_requests_errors_and_times(server):
    server.predict({"instances": [[0.0] * 3]})
    server.predict({"instances": []})
    before = counts(server)
    for _ in range(3):
        assert server.predict({"instances": [[0.0] * 3]})[0] == 200
    assert server.predict({"instances": [[0.0] * 4]})[0] == 400
    assert server.predict({"instances": [[0.0] * 3]}, name="faces")[0] == 404
    after = counts(server)

    def more(name):
        return after[name] - before.get(name, 0)

    count, latency = (f":tensorflow:serving:request_{n}" for n in ("count", "latency"))
    assert more(f'{count}{{model_name="tiny",status="OK"}}') == 3
    assert more(f'{count}{{model_name="tiny",status="INVALID_ARGUMENT"}}') == 1
    labels = 'model_name="tiny",API="Predict",entrypoint="REST"'
    assert more(f"{latency}_count{{{labels}}}") == 4
    assert 0 < more(f"{latency}_sum{{{labels}}}") < 4 * 20e6
    assert (
        after[f'{latency}_bucket{{{labels},le="+Inf"}}']
        == (after[f"{latency}_count{{{labels}}}"])
    )
    runtime = (
        ':tensorflow:serving:runtime_latency_count{model_name="tiny",API="Predict"}'
    )
    assert more(runtime) == 3
    assert more('keras_gan_serving_http_response_count{code="404"}') == 1
    # A stranger's names make no new rows.
    assert not any("faces" in name for name in after)


def test_metrics_are_cumulative():
    metrics = Metrics()
    for seconds in (1e-5, 1e-4, 1.5e-4, 3e3):
        metrics.predicted('a"b\\', "OK", seconds)
    text = metrics.text(2).decode()
    labels = r'model_name="a\"b\\",API="Predict",entrypoint="REST"'
    rows = re.findall(r'le="([^"]+)"} (\d+)', text)
    assert rows[:3] == [("100", "2"), ("200", "3"), ("400", "3")]
    assert rows[-1] == ("+Inf", "4")
    assert f"{{{labels}}} 3000000260\n" in text
    assert "keras_gan_serving_connections 2\n" in text


def test_it_starts_without_keras_and_without_tensorflows_python(base, tmp_path):
    code = (
        "import os, signal, sys, keras_gan_command\n"
        "keras_gan_command.reading_flags = True\n"
        "from keras_gan.commands import console\n"
        "import keras_gan.serving as serving\n"
        "def started(url):\n"
        "    print(url, sorted({'keras', 'tensorflow.python', 'keras_gan.api',\n"
        "                       'tensorflow_serving', 'grpc'} & set(sys.modules)))\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "serve = serving.serve\n"
        "serving.serve = lambda *a, **k: serve(*a, **{**k, 'started': started})\n"
        "sys.exit(console.run(sys.argv[1:], 'serve'))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, f"--model={base / 'tiny'}", "--port=0"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    # And without TensorFlow's notes on this machine.
    assert found.stderr == ""
    assert re.search(r"http://127.0.0.1:\d+/v1/models/tiny \[\]\n", found.stdout)


# === Requests that are none ===

DEEP = b"[" * 100_000
ROW = [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "JSON Parse error"),
        (b"{", "JSON Parse error"),
        (b"null", "'instances' or 'inputs'"),
        (b"[1]", "'instances' or 'inputs'"),
        (b"\xff\xfe{", "JSON Parse error"),
        (b'{"instances": "\xed\xa0\x80"}', "JSON Parse error"),
        (b'{"instances": ' + DEEP, "JSON Parse error: too many levels"),
        (b'{"a":' * 50_000, "JSON Parse error: too many levels"),
        (b'{"instances": ' + b"[" * 200 + b"0" + b"]" * 200 + b"}", "not a tensor"),
        (b'{"instances": [[NaN, 0, 0]]}', "NaN is no number of JSON"),
        (b'{"instances": [[-Infinity, 0, 0]]}', "-Infinity is no number of JSON"),
        (b'{"instances": [[1e999, 0, 0]]}', "a number is too large"),
        (b'{"instances": [[1e39, 0, 0]]}', "a number is too large"),
        (b'{"instances": [[' + b"9" * 5000 + b", 0, 0]]}", "JSON Parse error"),
        (b'{"instances": [[' + b"9" * 400 + b", 0, 0]]}", "not a tensor of float32"),
        (b'{"signature_name": "sample", "instances": [' + b"9" * 30 + b"]}",
         "not a tensor of int64"),
        ({"signature_name": "sample", "instances": [2**63]}, "not a tensor of int64"),
        ({"signature_name": "sample", "instances": [-(2**63) - 1]}, "not a tensor"),
        ({"signature_name": "sample", "instances": [1.0]}, "not a tensor of int64"),
        ({"signature_name": "sample", "instances": [True]}, "not a tensor of int64"),
        ({"signature_name": "sample", "instances": [True, 5]}, "true and false are no"),
        ({"inputs": {"latents": [[0.5, False, 1]]}}, "true and false are no numbers"),
        ({"signature_name": "sample", "instances": ["1"]}, "not a tensor of int64"),
        ({"signature_name": "sample", "instances": [None]}, "not a tensor of int64"),
        ({"signature_name": "sample", "instances": [[1]]}, r"shape \[-1\]. .*\[1,1\]"),
        ({"signature_name": "sample", "inputs": 1}, r"shape \[-1\]. .*\[\]"),
        ({"signature_name": "sampel", "instances": [1]}, '"sampel" not found'),
        ({"signature_name": ["sample"], "instances": [1]}, "to be a string"),
        ({"signature_name": {}, "instances": [1]}, "to be a string"),
        ({"signature_name": "s\nä\ud800", "instances": [1]}, "not found"),
        ({"signature_name": "x" * 9000, "instances": [1]}, "Serving signature name"),
        ({"instances": []}, "not empty"),
        ({"instances": {}}, "not empty"),
        ({"instances": None}, "not empty"),
        ({"instances": 5}, "not empty"),
        ({"instances": "abc"}, "not empty"),
        ({"instances": [ROW], "inputs": [ROW]}, "'instances' or 'inputs'"),
        ({"instances": [ROW, [0.0]]}, "not a tensor of float32"),
        ({"instances": [[0.0] * 4]}, r"shape \[-1,3\]. .*\[1,4\]"),
        ({"instances": [[ROW]]}, r"\[1,1,3\]"),
        ({"instances": [[]]}, r"\[1,0\]"),
        ({"inputs": []}, r"\[0\]"),
        ({"inputs": {}}, r"Expected inputs \['latents'\]. Received: \[\]"),
        ({"inputs": {"latent": [ROW]}}, r"Received: \['latent'\]"),
        ({"inputs": {"latents": [ROW], "x": 1}}, r"Received: \['latents', 'x'\]"),
        ({"instances": [{"latents": ROW}, {"x": 1}]}, "the same keys"),
        ({"instances": [{"latents": ROW}, ROW]}, "not a tensor"),
        ({"instances": [{"b64": "AAAA"}]}, r"Received: \['b64'\]"),
        ({"instances": [{"latents": {"b64": "AAAA"}}]}, "not a tensor of float32"),
        ({"instances": [{"latents": {"b64": "\u0000!"}}]}, "not a tensor of float32"),
        ({"inputs": {"latents": {"b64": 5}}}, "not a tensor of float32"),
        ({"instances": [ROW] * 6}, "at most 5 rows in 'latents'. Received: 6"),
        ({"signature_name": "sample", "inputs": [1] * 6}, "at most 5 rows in 'seed'"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_request(server, content, message):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    head = PREDICT + b"Host: x\r\nContent-Length: %d\r\n\r\n"
    error = check_refusal(raw(server, head % len(body) + body), 400)
    assert re.search(message, error), error


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/models", 404),
        ("GET", "/v1/models/", 404),
        ("GET", "/v1/models/faces", 404),
        ("GET", "/v1/models/tiny/versions/9", 404),
        ("GET", "/v1/models/tiny/versions/x", 404),
        ("GET", "/v1/models/tiny/versions/" + "9" * 19, 404),
        ("GET", "/v1/models/tiny/versions/" + "9" * 6000, 404),
        ("GET", "/v1/models/tiny/labels/stable", 400),
        ("GET", "/v1/models/tiny/metadata/x", 404),
        ("GET", "/v1/models/tiny/versions/1/labels/stable", 404),
        ("GET", "/v1/models/../../etc/passwd", 404),
        ("GET", "/v1/models/%2e%2e%2f%00:predict", 405),
        ("GET", "/v1/models/%ff%fe", 404),
        ("GET", "http://[/v1/models/tiny:predict", 405),
        ("GET", "*", 404),
        ("POST", "/v1/models/tiny:classify", 404),
        ("POST", "/v1/models/tiny:predict/x", 404),
        ("POST", "/v1/models/faces:predict", 404),
        ("POST", "/v1/models/tiny/versions/2:predict", 404),
        ("POST", "/v1/models/tiny", 405),
        ("POST", "/healthz", 405),
        ("DELETE", "/monitoring/prometheus/metrics", 405),
        ("GET", "/v1/models/tiny:predict", 405),
        ("PUT", "/v1/models/tiny:predict", 405),
        ("OPTIONS", "/v1/models/tiny/metadata", 405),
        ("BREW", "/v1/models/tiny:predict", 405),
    ],
)  # fmt: skip
def test_a_path_or_a_method_that_is_unknown(server, method, path, code):
    body = b'{"instances": [[0, 0, 0]]}'
    head = f"{method} {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = raw(server, head.encode() + body)
    check_refusal(answer, code)
    assert (b"Allow: " in answer) == (code == 405)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"GET\r\n\r\n", 400),
        (b"\r\n" * 40_000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET / HTTP/1.1 x\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 200_000 + b"\r\n\r\n", 431),
        (b"GET /healthz HTTP/1.1\r\na : b\r\nContent-Length: 2\r\n\r\n{}", 400),
        (b"GET /healthz HTTP/1.1\r\nab\r\nTransfer-Encoding: x\r\n\r\n{}", 400),
        (b"GET /healthz HTTP/1.1\r\n Content-Length: 2\r\n\r\n{}", 400),
        (PREDICT + b"\r\n{}", 411),
        (PREDICT + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411),
        (PREDICT + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 411),
        (PREDICT + b"Content-Length: -1\r\n\r\n{}", 400),
        (PREDICT + b"Content-Length: +2\r\n\r\n{}", 400),
        (PREDICT + b"Content-Length: 1_0\r\n\r\n{}", 400),
        (PREDICT + b"Content-Length: two\r\n\r\n{}", 400),
        (PREDICT + b"Content-Length: \xb2\r\n\r\n{}", 400),
        (PREDICT + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (PREDICT + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}", 400),
        (PREDICT + b"Content-Length: 1048577\r\n\r\n{}", 413),
        (PREDICT + b"Content-Length: 1048577\r\n\r\n" + b" " * 1048577, 413),
        (PREDICT + b"Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n", 413),
        (PREDICT + b"Content-Length: 2\r\nContent-Encoding: gzip\r\n\r\n{}", 415),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_bytes_that_are_no_request(server, content, code):
    answer = raw(server, content)
    check_refusal(answer, code)
    if code != 415:
        # Nobody knows where the next request would begin.
        assert b"Connection: close" in answer and answer.count(b"HTTP/1.1") == 1


def test_random_bytes_do_not_end_it(server):
    rng = random.Random(0)
    body = json.dumps({"signature_name": "sample", "instances": [1, 2]}).encode()
    good = PREDICT + b"Content-Length: %d\r\n\r\n" % len(body) + body
    codes = set()
    for _ in range(150):
        content = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(content))
            end = place + rng.randint(0, 2)
            content[place:end] = rng.randbytes(rng.randint(0, 3))
        answer = raw(server, bytes(content))
        if answer:  # none to a body that is too short
            codes.add(int(answer[9:12]))
    assert 400 in codes and codes <= {200, 400, 404, 405, 411, 413, 415, 431, 505}


# === Slow, many and persistent clients ===


def test_one_connection_takes_many_requests(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    with contextlib.closing(connection):
        sockets = set()
        for number in range(5):
            # An error does not end the connection.
            body = json.dumps({"instances": [[0.0] * (3 + number % 2)]})
            connection.request("POST", "/v1/models/tiny:predict", body)
            assert read(connection)[0] == (400 if number % 2 else 200)
            sockets.add(connection.sock)
        assert len(sockets) == 1 and None not in sockets
    # Sent at once, answered in order.
    body = b'{"instances": [[0, 0, 0]]}'
    post = PREDICT + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answer = raw(
        server, post * 2 + b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"
    )
    assert answer.count(b"HTTP/1.1 200 OK") == 3 and b'"ok"' in answer[-40:]
    # White space around a header's value is none of it.
    spaced = post.replace(b"Length: ", b"Length:\t ").replace(b"\r\n\r", b" \r\n\r")
    assert raw(server, spaced).startswith(b"HTTP/1.1 200 OK")
    # A line end after a body is none of a request.
    assert raw(server, post + b"\r\n" + post).count(b"HTTP/1.1 200 OK") == 2
    # An older client's connection ends unless it asks.
    assert b"Connection: close" in raw(server, b"GET /healthz HTTP/1.0\r\n\r\n")
    answer = raw(server, b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert b"Connection: keep-alive" in answer


def test_an_error_after_a_head_has_its_body(server):
    answer = raw(server, b"HEAD /healthz HTTP/1.1\r\n\r\nGET /" + b"x" * 200_000)
    first, _, second = answer.partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200")
    check_refusal(second, 431)


def test_a_client_may_wait_for_a_hundred(server):
    body = b'{"instances": [[0, 0, 0]]}'
    with server.connect() as client:
        head = PREDICT + b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n"
        client.sendall(head % len(body))
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert client.recv(10_000).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_client_that_sends_a_byte_now_and_then_is_cut(server, where):
    start = b"GET /healthz HT" if where == "head" else PREDICT + (
        b"Content-Length: 1000\r\n\r\n"
    )  # fmt: skip
    with server.connect() as client:
        client.sendall(start)
        began, answer = time.monotonic(), b""
        client.settimeout(0.2)
        while not answer:
            assert time.monotonic() - began < 8
            client.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                answer = client.recv(10_000)
        took = time.monotonic() - began
    # Each byte came within the timeout; all of them did not.
    assert 1.5 < took < 6
    check_refusal(answer, 408)


def test_a_client_that_reads_nothing_is_cut(server):
    """Its thread is free again: the metrics tell the connections."""
    body = b'{"signature_name": "sample", "instances": [1, 2, 3, 4, 5]}'
    post = PREDICT + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with server.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        with contextlib.suppress(OSError):
            client.settimeout(1)
            client.sendall(post * 20_000)
        wait_until_alone(server)


def wait_until_alone(server):
    """Waits until the server has noticed that all other clients are gone."""
    # While it is crowded it has nothing else to say.
    wait_until(lambda: server.ask("GET", "/healthz")[0] == 200)
    wait_until(lambda: counts(server)["keras_gan_serving_connections"] == 1)


def test_more_clients_than_it_takes_are_told_to_come_again(server):
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(server.connect()) for _ in range(6)]
        for client in held:
            client.sendall(b"GET /heal")  # a request that has begun
        time.sleep(0.3)
        for _ in range(3):
            code, headers, answer = server.ask(
                "POST", "/v1/models/tiny:predict", json.dumps({"instances": [ROW]})
            )
            assert code == 503 and headers["Retry-After"] == "1"
            assert list(answer) == ["error"] and "busy" in answer["error"]
        held[0].sendall(b"thz HTTP/1.1\r\n\r\n")
        # Crowded: this connection makes room.
        answer = held[0].recv(10_000)
        assert answer.startswith(b"HTTP/1.1 200") and b"Connection: close" in answer
    wait_until_alone(server)


def test_a_crowd_that_leaves_again(server):
    with contextlib.ExitStack() as stack:
        for number in range(120):
            with contextlib.suppress(OSError):
                client = stack.enter_context(server.connect())
                if number % 2:
                    client.sendall(PREDICT + b"Content-Length: 9\r\n\r\n")
    wait_until_alone(server)


# === The end ===


def test_a_signal_ends_it_after_the_requests_in_flight(base):
    server = Serving(base / "tiny", "--timeout=10")
    body = json.dumps({"signature_name": "sample", "instances": [0]}).encode()
    with server.connect() as busy, server.connect() as idle:
        idle.sendall(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert idle.recv(1000).startswith(b"HTTP/1.1 200")
        busy.sendall(PREDICT + b"Content-Length: %d\r\n\r\n{" % len(body))
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        # The idle connection ends, and there are no new ones.
        assert idle.recv(1000) == b""
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        assert server.process.poll() is None
        busy.sendall(body[1:])
        answer = b""
        while part := busy.recv(1 << 16):
            answer += part
        assert answer.startswith(b"HTTP/1.1 200") and b"Connection: close" in answer
    stdout, stderr = server.process.communicate(timeout=20)
    assert (server.process.returncode, stderr) == (0, "")


def test_ctrl_c_ends_it_at_once_where_nobody_asks(base):
    server = Serving(base / "tiny")
    with server.connect():
        start = time.monotonic()
        code, _, stderr = server.stop(signal.SIGINT)
        assert (code, stderr) == (0, "") and time.monotonic() - start < 5


def test_a_second_signal_does_not_wait(base):
    server = Serving(base / "tiny", "--timeout=60")
    with server.connect() as busy:
        busy.sendall(b"GET /heal")
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=10) == -signal.SIGTERM
    server.process.communicate()


# === Mistakes ===


def failing(*arguments, cwd=None):
    """The only line of stderr of a server that does not start."""
    found = subprocess.run(
        command(*arguments), cwd=cwd, env=environment(), capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    assert found.returncode == 1, (found.stdout, found.stderr)
    assert "Serving" not in found.stdout
    (line,) = found.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_a_port_that_is_in_use(base):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = failing(f"--model={base / 'tiny'}", f"--port={port}")
    assert f"Cannot listen on 127.0.0.1, port {port}: Address already in use" in line
    assert "--port" in line


@pytest.mark.parametrize("content", [None, "folder", "file", "saved_model"])
def test_no_export(tmp_path, content):
    path = tmp_path / "model"
    if content == "file":
        path.write_text("")
    elif content is not None:
        path.mkdir()
    if content == "saved_model":
        (path / "saved_model.pb").write_bytes(b"")
    line = failing(f"--model={path}", "--port=0")
    assert re.search("Expected (an export|a version that keras_gan exported)", line)
    assert str(path) in line


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("saved_model.pb", "saved_model.pb is not as it was exported"),
        ("variables/variables.index", "variables/variables.index is not as it was"),
        ("assets.extra/gan_card.json", "gan_card.json"),
    ],
)
def test_a_damaged_export_is_refused(base, tmp_path, file, reason):
    path = tmp_path / "tiny" / "1"
    shutil.copytree(base / "tiny" / "1", path)
    content = bytearray((path / file).read_bytes())
    content[len(content) // 2] ^= 1
    (path / file).write_bytes(content)
    line = failing(f"--model={path.parent}", "--port=0")
    assert reason in line and "cannot be served" in line


def test_an_export_that_writes_files_is_refused_and_not_run(base, tmp_path):
    mark = tmp_path / "mark"
    path = tmp_path / "tiny" / "1"
    shutil.copytree(base / "tiny" / "1", path)
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((path / "saved_model.pb").read_bytes())
    graph = saved_model.meta_graphs[0].graph_def
    for name in ("filename", "contents"):
        node = graph.node.add(name=name, op="Const")
        node.attr["dtype"].type = 7
        node.attr["value"].tensor.dtype = 7
        node.attr["value"].tensor.string_val.append(str(mark).encode())
        node.attr["value"].tensor.tensor_shape.SetInParent()
    graph.node.add(name="write", op="WriteFile", input=["filename", "contents"])
    (path / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    export_helpers.reseal(path)
    line = failing(f"--model={path.parent}", "--port=0")
    assert "WriteFile" in line and not mark.exists()


def test_a_function_with_an_operations_name_is_refused(base, tmp_path):
    """Without TensorFlow's Python, its C API says which operations there are."""
    path = tmp_path / "tiny" / "1"
    shutil.copytree(base / "tiny" / "1", path)
    from tensorflow.core.protobuf import saved_model_pb2

    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString((path / "saved_model.pb").read_bytes())
    library = saved_model.meta_graphs[0].graph_def.library
    library.function.add().signature.name = "MatMul"
    (path / "saved_model.pb").write_bytes(saved_model.SerializeToString())
    export_helpers.reseal(path)
    line = failing(f"--model={path.parent}", "--port=0")
    assert "calls a function like an operation (MatMul)" in line


def test_a_version_that_loads_but_cannot_answer_is_refused(base, tmp_path):
    path = tmp_path / "tiny" / "1"
    shutil.copytree(base / "tiny" / "1", path)
    # TensorFlow loads it without a word, and then fails at every request.
    shutil.rmtree(path / "variables")
    (path / "assets.extra" / "tf_serving_warmup_requests").unlink()
    export_helpers.reseal(path)
    assert "cannot be served" in failing(f"--model={path}", "--port=0")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--port=70000"], "--port"),
        (["--max_rows=0"], "--max_rows"),
        (["--timeout=never"], "--timeout"),
        (["--host=256.0.0.1", "--port=0"], "Cannot listen on 256.0.0.1"),
        (["--host=no.such.host.invalid", "--port=0"], "Cannot listen on no.such"),
        (["--name=a/b"], "Expected a --name without / and :"),
    ],
)
def test_flags_that_are_wrong(base, flags, message):
    line = failing(f"--model={base / 'tiny'}", *flags)
    assert message in line


def test_another_system_is_told_what_to_use(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert console.run(["serve", "--model=x"]) == 1
    line = capsys.readouterr().err
    assert line.startswith("error: Expected Linux") and "TensorFlow Serving" in line


def test_another_host_is_warned_of_in_one_line(base):
    server = Serving(base / "tiny" / "1", "--host=0.0.0.0", "--name=my model")
    assert server.name == "my%20model"
    assert server.images([0]).shape == (1, 4, 5, 1)
    code, _, stderr = server.stop()
    assert code == 0
    (line,) = stderr.splitlines()
    assert line.startswith("warning: Other machines may reach 0.0.0.0: there is no TLS")


def test_help_states_the_limits():
    found = subprocess.run(
        command("--help"), env=environment(), capture_output=True, text=True, timeout=60
    )
    text = " ".join(found.stdout.split())
    for words in ("no TLS", "no password", "127.0.0.1", "503", "413", "400", "SIGTERM",
                  "/healthz", "/monitoring/prometheus/metrics", "Linux"):  # fmt: skip
        assert words in text, words


# === Versions ===


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_versions_come_and_go_and_damaged_ones_change_nothing(base, gans, tmp_path):
    # As a run keeps its export.
    folder = tmp_path / "digits" / "export"
    shutil.copytree(base / "tiny" / "1", folder / "1")
    server = Serving(tmp_path / "digits")
    assert server.name == "digits"
    first, second = (expected(gans[number], [5]) for number in (1, 2))
    assert np.abs(first - second).max() > 0.01

    def publish(number, source, damage=None):
        copy = folder / f".copying-{number}"
        shutil.copytree(source, copy)
        if damage:
            damage(copy)
        copy.rename(folder / str(number))

    def numbers():
        statuses = server.ask("GET", "/v1/models/digits")[2]["model_version_status"]
        return [status["version"] for status in statuses]

    def images():
        return server.images([5])

    # Four kinds of damage, and a file where a version should be.
    publish(2, base / "next" / "2", lambda path: (path / "saved_model.pb").unlink())
    publish(3, base / "next" / "2", lambda p: (p / export.CARD).write_text("[1]"))
    publish(4, base / "next" / "2", lambda p: shutil.rmtree(p / "variables"))
    publish(5, base / "next" / "2", lambda p: (p / "fingerprint.pb").chmod(0) or
            (p / "fingerprint.pb").write_bytes(b"x"))  # fmt: skip
    (folder / "6").write_text("no folder")
    (folder / ("9" * 30)).mkdir()
    (folder / "٧").mkdir()
    time.sleep(3)
    np.testing.assert_allclose(images(), first, rtol=0, atol=TOLERANCE)
    assert numbers() == ["1"]
    # Whole: it takes over, and the old one goes.
    publish(7, base / "next" / "2")
    wait_until(lambda: numbers() == ["7"])
    np.testing.assert_allclose(images(), second, rtol=0, atol=TOLERANCE)
    # A damaged version that is mended is loaded.
    publish(8, base / "tiny" / "1", lambda path: (path / "fingerprint.pb").unlink())
    time.sleep(1.5)
    assert numbers() == ["7"]
    shutil.copy(base / "tiny" / "1" / "fingerprint.pb", folder / "8")
    wait_until(lambda: numbers() == ["8"])
    np.testing.assert_allclose(images(), first, rtol=0, atol=TOLERANCE)
    # Deleted: back to the one before; and with no directory it keeps what it has.
    shutil.rmtree(folder / "8")
    wait_until(lambda: numbers() == ["7"])
    folder.rename(folder.with_name("away"))
    time.sleep(1.5)
    assert numbers() == ["7"] and images().shape == first.shape
    code, stdout, stderr = server.stop()
    assert code == 0
    # Each damaged version that was the latest is named once.
    lines = stderr.splitlines()
    assert all(line.startswith("warning: ") for line in lines)
    named = [re.search(r"/export/(\d+) cannot be served \(", line)[1] for line in lines]
    assert len(named) == len(set(named)) and {"5", "8"} <= set(named)
    loaded = re.findall(r"Version (\d+) of digits is loaded", stdout)
    assert loaded == ["7", "8", "7"]


def test_a_version_in_which_the_last_request_ends_as_it_retires_closes_once():
    """Twice would free TensorFlow's session twice, and end the process."""
    version, closed = object.__new__(Version), []
    version._users, version._retired = 1, False

    class Session:
        def close(self):
            closed.append(True)

    class Lock:
        """Lets the last request end just before the first who waits for the lock."""

        others = [lambda: version._leave(1)]

        def __enter__(self):
            if self.others:
                self.others.pop()()

        def __exit__(self, *error):
            pass

    version._session, version._lock = Session(), Lock()
    version.retire()
    assert len(closed) == 1


def test_a_version_with_a_link_that_leads_nowhere_is_tried_again(
    base, monkeypatch, tmp_path
):
    """Its state cannot be read, and so nobody sees whether it changed."""
    # The other tests of this process need XLA.
    session = functools.partial(versions.c_session.Session, disable_xla=False)
    monkeypatch.setattr(versions.c_session, "Session", session)
    folder = tmp_path / "tiny"
    shutil.copytree(base / "tiny" / "1", folder / "1")
    (folder / "1" / "link").symlink_to(tmp_path / "nothing")
    file = folder / "1" / "fingerprint.pb"
    elsewhere = file.rename(tmp_path / "elsewhere")
    models = Models({"tiny": latest_in(folder)})
    models.poll()
    assert models.names() == []
    elsewhere.rename(file)
    models.poll()
    assert models.names() == ["tiny"]
    models.close()


def test_a_version_of_the_working_directory_has_its_number(base, monkeypatch):
    monkeypatch.chdir(base / "next" / "2")
    name, wanted = find_export(".")
    assert (name, list(wanted())) == ("next", [2])


# === JSON ===


class Answering:
    """Answers what it is given, as `versions.Version` does."""

    def __init__(self, outputs):
        self.outputs = outputs

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def signature(self, name):
        class Signature:
            inputs = {}

        return name, Signature

    def run(self, name, inputs):
        return self.outputs


def written(outputs, key="inputs"):
    answer = protocol.predict(
        lambda: Answering(outputs), json.dumps({key: {}}).encode()
    )
    return json.loads(answer)


def test_answers_that_json_cannot_hold():
    for value in (np.nan, np.inf):
        with pytest.raises(Refused, match="NaN or infinity in 'images'") as caught:
            written({"images": np.float32([1.0, value])})
        assert caught.value.code == 500
    text = np.array([b"a", b"\xff"], object)
    assert written({"names": text}) == {"outputs": ["a", "\ufffd"]}
    assert written({"image_bytes": text})["outputs"][1] == {"b64": "/w=="}
    numbers = np.float32([0.1, 1e-30, 3.4e38])
    np.testing.assert_array_equal(
        np.float32(written({"images": numbers})["outputs"]), numbers
    )


# === Figures ===


def test_the_benchmark_prints_its_tables_and_writes_them(base, tmp_path):
    output = tmp_path / "serve.json"
    found = subprocess.run(
        [
            sys.executable, str(ROOT / "benchmarks" / "serve.py"),
            f"--model={base / 'tiny'}", "--starts=1", "--seconds=0.2", "--rows", "2",
            "--clients", "1", "3", f"--output={output}",
        ],
        env=environment(), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    report = json.loads(output.read_text())
    assert f"first samples {report['starts'][0]:.2f} s after" in found.stdout
    kinds = [(row["signature"], row["clients"]) for row in report["rows"]]
    assert kinds == [("sample", 1), ("sample", 3), ("png", 1), ("png", 3)]
    for row in report["rows"]:
        assert row["samples_per_second"] == 2 * row["requests_per_second"] > 0
        assert 0 < row["median"] <= row["percentile_99"]
        assert f"{1e3 * row['median']:.2f}" in found.stdout
