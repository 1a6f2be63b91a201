"""serving/client.py and servers that answer what no model server does."""

import base64
import http.server
import importlib.util
import io
import json
import pathlib
import re
import socket
import subprocess
import sys
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
from PIL import Image
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "serving" / "client.py"


@pytest.fixture(scope="module")
def client():
    """serving/client.py as a module."""
    spec = importlib.util.spec_from_file_location("client", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def png(size=(2, 2), mode="L", length=None):
    file = io.BytesIO()
    Image.new(mode, size).save(file, "PNG")
    return file.getvalue()[:length]


def b64(*contents):
    return [{"b64": base64.b64encode(content).decode()} for content in contents]


def answer(content, code=200, **headers):
    """The bytes of an HTTP answer."""
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    headers = {"Content-Length": len(content), **headers}
    lines = [f"HTTP/1.1 {code} Any", *(f"{k}: {v}" for k, v in headers.items())]
    lines = [line.replace("_", "-", 1) for line in lines]
    return "\r\n".join([*lines, "", ""]).encode() + content


class Hostile:
    """Reads a request, sends these bytes, and hangs up; for each connection."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._socket.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                length = 0
                while (line := file.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                file.read(length)
                last = min(self.asked, len(self.answers) - 1)
                self.asked += 1
                try:
                    connection.sendall(self.answers[last])
                except OSError:
                    pass


def refused(client, tmp_path, port, *flags, protocol="rest", output="out.png"):
    """The one line that the client ends with; nothing is written."""
    (tmp_path / "kept").mkdir(exist_ok=True)
    old = tmp_path / "kept" / output
    if not old.suffix == "":
        old.write_bytes(b"old")
    with pytest.raises(SystemExit) as caught:
        client.main(
            ["--model=digits", f"--protocol={protocol}", f"--port={port}",
             "--num_samples=3", "--retries=1", "--timeout=5", f"--output={old}", *flags]
        )  # fmt: skip
    line = caught.value.code
    # `sys.exit` of a text prints it and ends with 1.
    assert isinstance(line, str) and line.startswith("error: ")
    assert "\n" not in line and line.isprintable() and len(line) < 700, line
    found = [path.name for path in (tmp_path / "kept").iterdir()]
    assert found == ([output] if old.suffix else [])
    assert not old.suffix or old.read_bytes() == b"old"
    return line


IMAGES = np.zeros((3, 2, 2, 1)).tolist()
LATENTS = np.zeros((3, 4)).tolist()
GOOD = {"images": IMAGES, "latents": LATENTS}


def test_a_good_answer_is_saved(client, tmp_path, capsys):
    """The answers below differ from this one in one thing each."""
    for signature, outputs, path in (
        ("sample", [GOOD], "a.png"),
        ("sample", [GOOD], "a.npz"),
        ("serving_default", [GOOD, IMAGES], "b.png"),
        ("png", [GOOD, b64(*[png()] * 3)], "c.png"),
        ("png", [GOOD, {"image_bytes": b64(*[png(mode="RGB")] * 3)}], "d.png"),
        ("png", [GOOD, b64(*[png()] * 3)], "each"),
    ):
        answers = [answer({"outputs": content}) for content in outputs]
        with Hostile(*answers) as server:
            client.main(
                ["--model=x", "--protocol=rest", f"--port={server.port}",
                 f"--signature={signature}", "--seeds=4,5,6",
                 f"--output={tmp_path / path}"]
            )  # fmt: skip
        assert (tmp_path / path).exists()
        assert "3 samples of x" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "each").iterdir()) == [
        "4.png", "5.png", "6.png",
    ]  # fmt: skip
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


NO_JSON = 'Expected JSON with "outputs" from the server. Received: '


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # No JSON.
        (answer(b""), NO_JSON + "an empty answer; check --host, --port and --model"),
        (answer(b"<html>\n<h1>Hi</h1>"), NO_JSON + "<html> <h1>Hi</h1>; check"),
        (answer(b"\xff\xfe\x00\x1b[31m"), NO_JSON),
        (answer(b'{"outputs": {"images": [[[['), NO_JSON),
        (answer(b"[" * 100_000), NO_JSON),
        (answer(b'{"outputs": ' + b"9" * 5000 + b"}"), NO_JSON),
        (answer(b"\x1f\x8b\x08", Content_Encoding="gzip"), NO_JSON),
        # Other JSON.
        (answer([1]), NO_JSON + r"\[1\]"),
        (answer(None), NO_JSON + "null"),
        (answer("outputs"), NO_JSON),
        (answer({}), NO_JSON + "{}"),
        (answer({"predictions": IMAGES}), NO_JSON),
        (answer({"error": "x"}), NO_JSON),
        # Other values.
        (answer({"outputs": None}), "Expected numbers or base64 for outputs"),
        (answer({"outputs": 5}), "Expected the output latents of sample"),
        (answer({"outputs": "abc"}), "Expected numbers or base64 for outputs"),
        (answer({"outputs": []}), "Expected the output latents of sample"),
        (answer({"outputs": {}}), "of sample from the server. Received: no outputs"),
        (answer({"outputs": IMAGES}), "Expected the output latents of sample"),
        (answer({"outputs": {"images": IMAGES}}), "Expected the output latents of"),
        (answer({"outputs": {"latents": LATENTS}}), "the output images or samples of"),
        (answer({"outputs": {**GOOD, "file": [1]}}), "Received: images, latents, file"),
        (answer({"outputs": {**GOOD, "images": 3}}), "with a row for each sample"),
        (answer({"outputs": {**GOOD, "images": {}}}), "numbers or base64 for images"),
        (answer({"outputs": {**GOOD, "images": [[1], [1, 2], [3]]}}), "for images"),
        (answer({"outputs": {**GOOD, "images": ["0.5"] * 3}}), "for images"),
        (answer({"outputs": {**GOOD, "images": [None] * 3}}), "for images"),
        (answer({"outputs": {**GOOD, "images": [True] * 3}}), "values of bool"),
        (answer({"outputs": {**GOOD, "images": [{}] * 3}}), "KeyError: 'b64'"),
        (answer({"outputs": {**GOOD, "images": b64(b"a") * 3}}), "numbers for images"),
        (answer({"outputs": {**GOOD, "latents": [0, 0, 0]}}), "latents with a row for"),
        (answer({"outputs": {**GOOD, "images": [[]] * 3}}), r"Received: \(3, 0\)"),
        (answer({"outputs": {**GOOD, "images": [0.5] * 3}}), "--output to end"),
        (answer({"outputs": {**GOOD, "images": [[[[1] * 2]]] * 3}}), "1, 3 or 4 chann"),
        (answer(json.dumps({"outputs": {**GOOD, "latents": [[float("nan")]] * 3}})
                .encode()), "Expected finite latents"),
        (answer({"outputs": {**GOOD, "images": [[[[1e39]]]] * 3}}), "finite images"),
        # Another number of rows.
        (answer({"outputs": {k: v[:1] for k, v in GOOD.items()}}),
         "Expected 3 rows of images from the server. Received: 1; check"),
        (answer({"outputs": {**GOOD, "latents": LATENTS[:2]}}), "3 rows of latents"),
        (answer({"outputs": {k: v * 2 for k, v in GOOD.items()}}), "Received: 6"),
        # Other codes.
        (answer(b"", 301, Location="http://x/"), "HTTP 301: an empty answer; give the"),
        (answer(b"<html>moved", 308), "HTTP 308: <html>moved; give the --host"),
        (answer(b"", 204), "HTTP 204: an empty answer"),
        (answer([1], 400), r"HTTP 400: \[1\]"),
        (answer("no", 400), 'HTTP 400: "no"'),
        (answer({"error": {"a": "\x1b[2J\nb"}}, 404), r"HTTP 404: \{'a'"),
        (answer({"error": "\x1b[2J\nb"}, 404), r"HTTP 404: \?\[2J b"),
        (answer(b"<html>busy", 503), r"HTTP 503: <html>busy \(after 2 tries\)"),
        # No HTTP.
        (b"", r"closed connection.* \(after 2 tries\)"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "HTTP at 127.0.0.1:.* Received: BadStatus"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", "Expected HTTP at"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 300 + b"\r\n", "Expected HTTP at"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", "Expected HTTP at"),
        (answer(b'{"outputs', **{"Content-Length": 500}),
         r"the answer ended early .*491 more.* \(after 2 tries\)"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "ended"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "Incomplete"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value[-40:]),
)  # fmt: skip
def test_answers_of_rest(client, tmp_path, content, message):
    with Hostile(content) as server:
        line = refused(client, tmp_path, server.port)

    assert re.search(message, line), line


@pytest.mark.parametrize("output", ["out.png", "folder"])
@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (b64(b"", b"", b""), "Expected PNGs from the server. Received: 0 bytes"),
        (b64(*[b"<html>"] * 3), "6 bytes that are none"),
        (b64(*[png(length=40)] * 3), "40 bytes that are none"),
        (b64(png(), png(), png()[:-20]), "bytes that are none"),
        (b64(*[png(mode="1")] * 3), "bytes that are none"),
        ([{"b64": "%%%"}] * 3, "numbers or base64 for outputs"),
        ([{"b64": 5}] * 3, "numbers or base64 for outputs"),
        ([{"b64": "AAAA"}, 3, 4], "numbers or base64 for outputs"),
        ([{"b65": "AAAA"}] * 3, "KeyError: 'b64'"),
        (b64(png()), "Expected 3 rows of image_bytes from the server. Received: 1"),
        (IMAGES, "the output image_bytes of png from the server. Received: images"),
        ({"image_bytes": [1, 2, 3]}, "Expected bytes for image_bytes"),
    ],
    ids=lambda value: None if isinstance(value, str) else repr(value)[:40],
)
def test_pngs_that_are_none(client, tmp_path, outputs, message, output):
    answers = [answer({"outputs": each}) for each in (GOOD, outputs)]
    with Hostile(*answers) as server:
        line = refused(client, tmp_path, server.port, "--signature=png", output=output)
    assert message in line, line


def test_pngs_of_several_sizes_make_no_grid(client, tmp_path):
    pngs = b64(png(), png((3, 2)), png())
    answers = [answer({"outputs": each}) for each in (GOOD, pngs)]
    with Hostile(*answers) as server:
        line = refused(client, tmp_path, server.port, "--signature=png")
    assert "Expected PNGs of one size" in line


def test_parts_that_do_not_fit_each_other(client, tmp_path):
    one = {"images": IMAGES[:1], "latents": LATENTS[:1]}
    other = {"images": [[[[0.0]]]], "latents": LATENTS[:1]}
    named = {"samples": IMAGES[:1], "latents": LATENTS[:1]}
    for second in (other, named):
        answers = [answer({"outputs": each}) for each in (one, second, one)]
        with Hostile(*answers) as server:
            line = refused(client, tmp_path, server.port, "--batch_size=1")
        assert "Expected rows of one shape" in line


def test_an_answer_that_never_ends(client, tmp_path):
    with Hostile(answer(b" " * (3 << 20))) as server:
        line = refused(client, tmp_path, server.port, "--max_message_mib=1")
    assert "larger than 1 MiB; raise --max_message_mib or lower --batch_size" in line


class Slow(http.server.BaseHTTPRequestHandler):
    """Sends a byte of its answer now and then."""

    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(200):
                self.wfile.write(b" ")
                time.sleep(0.05)
        except OSError:
            pass

    def log_message(self, *arguments):
        pass


def test_an_answer_that_comes_byte_by_byte(client, tmp_path):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        line = refused(client, tmp_path, server.server_address[1], "--timeout=0.5")
    finally:
        server.shutdown()
        server.server_close()
    assert "DEADLINE_EXCEEDED" in line and "raise --timeout" in line


def test_a_failed_write_leaves_the_old_file(client, tmp_path, monkeypatch):
    def fail(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(client.np, "savez", fail)
    with Hostile(answer({"outputs": GOOD})) as server:
        line = refused(client, tmp_path, server.port, output="out.npz")
    assert "No space left on device" in line


def test_as_a_program_it_ends_with_1_and_one_line(tmp_path):
    with Hostile(answer(b"<html>")) as server:
        found = subprocess.run(
            [sys.executable, str(SCRIPT), "--model=x", "--protocol=rest",
             f"--port={server.port}"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert (found.returncode, found.stdout) == (1, "")
    assert len(found.stderr.splitlines()) == 1 and "<html>" in found.stderr
    assert list(tmp_path.iterdir()) == []


# === gRPC ===


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers each request by the next of its functions of the answer."""

    def __init__(self):
        self.fill = None

    def Predict(self, request, context):
        response = predict_pb2.PredictResponse()
        self.fill(response.outputs, context)
        return response


@pytest.fixture(scope="module")
def prediction():
    servicer = Prediction()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        servicer, server
    )
    servicer.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield servicer
    server.stop(None)


def tensor(
    proto, dtype=1, shape=(3, 2, 2, 1), field="float_val", values=(0.5,), raw=b""
):
    proto.dtype = dtype
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    getattr(proto, field).extend(values)
    proto.tensor_content = raw


def good(outputs):
    tensor(outputs["images"])
    tensor(outputs["latents"], shape=(3, 4))


def images(**options):
    def fill(outputs, context):
        good(outputs)
        outputs["images"].Clear()
        tensor(outputs["images"], **options)

    return fill


def aborted(code, details):
    return lambda outputs, context: context.abort(code, details)


def failing(outputs, context):
    raise ValueError("a fault\nof the server")


def test_a_good_answer_by_grpc(client, prediction, tmp_path):
    prediction.fill = lambda outputs, context: good(outputs)
    client.main(
        ["--model=x", f"--port={prediction.port}", "--num_samples=3",
         f"--output={tmp_path / 'a.npz'}"]
    )  # fmt: skip
    assert np.load(tmp_path / "a.npz")["images"].shape == (3, 2, 2, 1)


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda outputs, context: None, "Received: no outputs"),
        (lambda outputs, context: tensor(outputs["images"]), "the output latents"),
        (
            images(dtype=2, field="double_val"),
            "of float32 from the server",
        ),
        (images(dtype=19, field="half_val", values=[1]), "number 19 of DataType"),
        (images(dtype=0, values=()), "number 0 of DataType"),
        (images(dtype=9, field="int64_val", values=[1]), "images of float32"),
        (images(dtype=7, field="string_val", values=[b"a"] * 3), "numbers for images"),
        (images(shape=(1, 2, 2, 1)), "Expected 3 rows of images"),
        (images(shape=()), "images with a row for each sample"),
        (images(shape=(-1, 4), values=[0.5] * 4), r"images of shape [-1, 4]"),
        (images(values=()), "images of shape [3, 2, 2, 1]"),
        (images(values=[0.5] * 13), "Received: 13 values"),
        (images(raw=b"abc", values=()), "images of shape"),
        (images(raw=b"abcd" * 5, values=()), "images of shape"),
        (images(shape=(3, 2**40)), "Received: 1 values"),
        (images(shape=(2**62, 2**62)), "Received: 1 values"),
        (images(values=[float("inf")]), "Expected finite images"),
        (aborted(grpc.StatusCode.NOT_FOUND, "no\nmodel"), "NOT_FOUND: no model"),
        (aborted(grpc.StatusCode.UNIMPLEMENTED, ""), "UNIMPLEMENTED: no details"),
        (aborted(grpc.StatusCode.UNAVAILABLE, "x"), "UNAVAILABLE: x (after 2 tries)"),
        (failing, "UNKNOWN: Exception calling application: a fault of the server"),
    ],
)
def test_answers_of_grpc(client, prediction, tmp_path, fill, message):
    prediction.fill = fill
    line = refused(client, tmp_path, prediction.port, protocol="grpc")
    assert message in line, line


def test_a_server_of_http_is_asked_by_grpc(client, tmp_path):
    with Hostile(answer(b"<html>", 400)) as server:
        line = refused(client, tmp_path, server.port, "--timeout=2", protocol="grpc")
    assert "UNAVAILABLE" in line or "DEADLINE_EXCEEDED" in line or "INTERNAL" in line
