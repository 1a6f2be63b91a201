"""A conditional generator behind a server: labels by gRPC, REST and the client."""

import base64
import http.client
import io
import json
import os
import subprocess
import sys

import grpc
import numpy as np
import pytest
from PIL import Image

from tests.export_helpers import conditional_gan
from tests.serving_helpers import ROOT, StandIn, post

SEEDS = np.array([7, 8, -9], np.int64)
LABELS = np.array([3, 0, 3], np.int64)


@pytest.fixture(scope="module")
def gan():
    return conditional_gan()


@pytest.fixture(scope="module")
def server(gan, tmp_path_factory):
    base = tmp_path_factory.mktemp("served") / "animals"
    gan.export(base)
    server = StandIn("--model_name=animals", f"--model_base_path={base}")
    yield server
    server.stop()


def ask(server, content):
    return post(f"{server.url}/animals:predict", content)


# === By the protocols ===


def test_grpc_samples_are_those_of_the_class(server, gan):
    outputs, _ = server.predict("sample", "animals", seed=SEEDS, labels=LABELS)
    expected = gan.generate_each(SEEDS.tolist(), labels=LABELS)
    np.testing.assert_allclose(outputs["images"], expected, atol=1e-5)
    again, _ = server.predict(
        "serving_default", "animals", latents=outputs["latents"], labels=LABELS
    )
    np.testing.assert_array_equal(again["images"], outputs["images"])


def test_rest_rows_and_columns(server, gan):
    expected = gan.generate_each(SEEDS.tolist(), labels=LABELS)
    columns = {"seed": SEEDS.tolist(), "labels": LABELS.tolist()}
    pairs = zip(columns["seed"], columns["labels"], strict=True)
    rows = [{"seed": seed, "labels": label} for seed, label in pairs]
    code, answer = ask(server, {"signature_name": "sample", "inputs": columns})
    assert code == 200
    np.testing.assert_allclose(answer["outputs"]["images"], expected, atol=1e-5)
    code, answer = ask(server, {"signature_name": "sample", "instances": rows})
    found = [row["images"] for row in answer["predictions"]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    code, answer = ask(server, {"signature_name": "sample_png", "instances": rows})
    for content, image in zip(answer["predictions"], expected, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(content["b64"]))))
        np.testing.assert_allclose(pixels / 255, image[..., 0], atol=0.51 / 255)


# What is asked for labels, and the reason that it is refused for.
REFUSED = [
    ([3, 0, 4], "Expected labels among 0, 1, 3. Received:"),
    ([3, 0, -1], "Expected labels among 0, 1, 3. Received:"),
    ([3, 0, 2], "Expected labels among 0, 1, 3. Received:"),
    ([3, 0, 2**40], "Expected labels among 0, 1, 3. Received:"),
    ([3, 0], "Expected one label for each row. Received:"),
    ([3], "Expected one label for each row. Received:"),
    (3, "shape"),
]


@pytest.mark.parametrize(("labels", "reason"), REFUSED)
def test_wrong_labels_are_one_line_by_both_protocols(server, labels, reason):
    with pytest.raises(grpc.RpcError) as caught:
        server.predict(
            "sample", "animals", seed=SEEDS, labels=np.array(labels, np.int64)
        )
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    inputs = {"seed": SEEDS.tolist(), "labels": labels}
    code, answer = ask(server, {"signature_name": "sample", "inputs": inputs})
    assert code == 400
    for message in (caught.value.details(), answer["error"]):
        assert reason in message and "\n" not in message


@pytest.mark.parametrize("labels", [[3, 0, 1.5], ["fox", "cat", "cat"], [3, 0, None]])
def test_labels_are_integers(server, labels):
    inputs = {"seed": SEEDS.tolist(), "labels": labels}
    code, answer = ask(server, {"signature_name": "sample", "inputs": inputs})
    assert code == 400 and "JSON Value of 'labels' is not a tensor" in answer["error"]
    with pytest.raises(grpc.RpcError, match="Expected 'labels' of int64"):
        server.predict(
            "sample", "animals", seed=SEEDS, labels=LABELS.astype(np.float32)
        )


def test_labels_cannot_be_left_out(server):
    with pytest.raises(grpc.RpcError, match=r"\['labels', 'seed'\]"):
        server.predict("sample", "animals", seed=SEEDS)
    content = {"signature_name": "sample", "inputs": {"seed": SEEDS.tolist()}}
    code, answer = ask(server, content)
    assert code == 400 and "Expected inputs ['labels', 'seed']" in answer["error"]
    # A list alone would be the seeds, where there is no other input.
    code, answer = ask(server, {"signature_name": "sample", "instances": [7, 8]})
    assert code == 400 and "Expected inputs by name" in answer["error"]


def test_the_metadata_tells_of_the_labels(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest, timeout=20)
    connection.request("GET", "/v1/models/animals/metadata")
    answer = json.load(connection.getresponse())
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert len(signatures) == 4
    for signature in signatures.values():
        labels = signature["inputs"]["labels"]
        assert labels["dtype"] == "DT_INT64"
        assert [each["size"] for each in labels["tensor_shape"]["dim"]] == ["-1"]


# === By the client ===


def run_client(server, *arguments):
    protocol = "rest" if "--protocol=rest" in arguments else "grpc"
    port = server.rest if protocol == "rest" else server.grpc
    return subprocess.run(
        [sys.executable, str(ROOT / "serving" / "client.py"), "--model=animals",
         f"--port={port}", "--retries=0", *arguments],
        capture_output=True, text=True, timeout=120, env=dict(os.environ),
    )  # fmt: skip


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_the_client_asks_for_classes(server, gan, tmp_path, protocol):
    output = tmp_path / "x.npz"
    found = run_client(
        server, f"--protocol={protocol}", "--seeds=7,8,-9", "--labels=3,0",
        "--batch_size=2", f"--output={output}",
    )  # fmt: skip
    assert not found.returncode, found.stderr
    with np.load(output) as arrays:
        expected = gan.generate_each(SEEDS.tolist(), labels=LABELS)
        np.testing.assert_allclose(arrays["images"], expected, atol=1e-5)
    # Latents that the server draws first, then asked for by their PNGs.
    found = run_client(
        server, f"--protocol={protocol}", "--seeds=7", "--labels=3",
        "--signature=png", f"--output={tmp_path / 'pictures'}",
    )  # fmt: skip
    assert not found.returncode, found.stderr
    pixels = np.asarray(Image.open(tmp_path / "pictures" / "7.png"))
    np.testing.assert_allclose(pixels / 255, expected[0, ..., 0], atol=0.51 / 255)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["--labels=4"], "Expected labels among 0, 1, 3"),
        (["--labels=fox"], "Expected int64s with commas between"),
        ([], "['labels', 'seed']"),
    ],
)
def test_the_client_says_what_was_wrong(server, tmp_path, labels, reason):
    output = tmp_path / "x.png"
    found = run_client(server, "--seeds=7", *labels, f"--output={output}")
    assert found.returncode and reason in found.stderr.splitlines()[-1]
    assert not output.exists()
