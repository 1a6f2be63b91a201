"""Clients by gRPC, REST, curl and C, against a stand-in for the server.

The stand-in (`serving_standin`) answers with the server's own loader; the server's
image is not run here.
"""

import base64
import collections
import functools
import http.server
import importlib.util
import io
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
)
from PIL import Image
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

import keras_gan
from tests import export_helpers
from tests.serving_helpers import StandIn, post, predict_request

ROOT = pathlib.Path(__file__).resolve().parent.parent
SERVING = ROOT / "serving"
CONDITIONAL = ROOT / "saved_models" / "mnist_conditional"
TOLERANCE = 1e-5
SEEDS = (0, 1, -3, 2**40 + 7)
# Narrower than the samples, so that the export scales and clips.
RANGE = (0.1, 0.9)


def build_gan(seed):
    generator, discriminator = keras_gan.networks.digits_mlp((8, 8, 1))
    rng = np.random.default_rng(seed)
    generator.set_weights(
        [rng.normal(0, 0.3, w.shape).astype(w.dtype) for w in generator.get_weights()]
    )
    return keras_gan.GAN(
        generator,
        discriminator,
        latent_prior=keras_gan.priors.Normal(100),
        value_range=RANGE,
        seed=seed,
    )


def expected(gan, seeds=SEEDS):
    """Returns the images of these seeds, computed by the model in Python."""
    samples = np.concatenate([gan.generate(1, seed=seed) for seed in seeds])
    return to_unit(samples)


def to_unit(samples):
    low, high = RANGE
    return np.clip((samples - low) / (high - low), 0.0, 1.0)


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


@pytest.fixture(scope="module", autouse=True)
def no_proxy():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        yield


@pytest.fixture(scope="module")
def client():
    """serving/client.py as a module."""
    spec = importlib.util.spec_from_file_location("client", SERVING / "client.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def gans():
    return {1: build_gan(1), 2: build_gan(2)}


@pytest.fixture(scope="module")
def base(gans, tmp_path_factory):
    """`digits/1` and, to be published in a test, `next/digits/2`."""
    folder = tmp_path_factory.mktemp("models")
    gans[1].export(folder / "digits")
    gans[2].export(folder / "next" / "digits", version=2)
    return folder


LABELS_FIRST = "--allow_version_labels_for_unavailable_models=true"


@pytest.fixture(scope="module")
def server(base):
    config = base / "models.config"
    write_config(config, base / "digits", [1], 1, 1)
    standin = StandIn(f"--model_config_file={config}", LABELS_FIRST)
    yield standin
    standin.stop()


# === gRPC ===


@pytest.mark.parametrize("size", [1, 3, 64])
def test_grpc_answers_what_the_generator_computes(server, gans, size):
    latents = gans[1].latent_prior.sample(size, 5).numpy()
    images, version = server.predict("serving_default", latents=latents)
    wanted = to_unit(gans[1].predict(latents, verbose=0))
    assert version == 1 and set(images) == {"images"}
    assert images["images"].shape == (size, 8, 8, 1)
    np.testing.assert_allclose(images["images"], wanted, rtol=0, atol=TOLERANCE)
    pngs, _ = server.predict("png", latents=latents)
    for content, image in zip(pngs["image_bytes"], wanted, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(content)), np.float64)
        # Half a grey level of rounding.
        assert np.abs(pixels / 255 - image[..., 0]).max() <= 0.5 / 255 + TOLERANCE


def test_grpc_samples_are_those_of_generate(server, gans):
    outputs, _ = server.predict("sample", seed=np.array(SEEDS, np.int64))
    np.testing.assert_allclose(
        outputs["images"], expected(gans[1]), rtol=0, atol=TOLERANCE
    )
    images, _ = server.predict("serving_default", latents=outputs["latents"])
    np.testing.assert_array_equal(images["images"], outputs["images"])


def test_grpc_tells_the_signatures_and_the_status(server):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "digits"
    request.metadata_field.append("signature_def")
    response = server.stub.GetModelMetadata(request, timeout=30)
    found = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(found)
    assert {
        name: (set(signature.inputs), set(signature.outputs))
        for name, signature in found.signature_def.items()
    } == {
        "serving_default": ({"latents"}, {"images"}),
        "sample": ({"seed"}, {"images", "latents"}),
        "png": ({"latents"}, {"image_bytes"}),
        "sample_png": ({"seed"}, {"image_bytes"}),
    }
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "digits"
    (status,) = server.models.GetModelStatus(request, timeout=30).model_version_status
    assert (status.version, status.state) == (1, status.AVAILABLE)


@pytest.mark.parametrize(
    "signature, inputs, code, message",
    [
        ("serving_default", {"latents": np.zeros((2, 7), np.float32)},
         grpc.StatusCode.INVALID_ARGUMENT, r"\[2,7\]"),
        ("serving_default", {"latents": np.zeros(100, np.float32)},
         grpc.StatusCode.INVALID_ARGUMENT, r"\[100\]"),
        ("serving_default", {"latents": np.zeros((1, 100), np.int64)},
         grpc.StatusCode.INVALID_ARGUMENT, "int64"),
        ("sample", {"seed": np.int64(3)}, grpc.StatusCode.INVALID_ARGUMENT, "shape"),
        ("sample", {"seeds": np.zeros(1, np.int64)},
         grpc.StatusCode.INVALID_ARGUMENT, r"\['seeds'\].*\['seed'\]"),
        ("jpeg", {"latents": np.zeros((1, 100), np.float32)},
         grpc.StatusCode.INVALID_ARGUMENT, '"jpeg" not found'),
    ],
)  # fmt: skip
def test_grpc_refuses_what_does_not_fit(server, signature, inputs, code, message):
    with pytest.raises(grpc.RpcError) as caught:
        server.predict(signature, **inputs)
    assert caught.value.code() == code
    assert re.search(message, caught.value.details()), caught.value.details()


def test_an_unknown_model_version_or_label_is_an_error(server):
    seed = np.zeros(1, np.int64)
    for request, code in (
        (predict_request("faces", "sample", seed=seed), grpc.StatusCode.NOT_FOUND),
        (
            predict_request("digits", "sample", version=9, seed=seed),
            grpc.StatusCode.NOT_FOUND,
        ),
        (
            predict_request("digits", "sample", label="old", seed=seed),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            server.stub.Predict(request, timeout=30)
        assert caught.value.code() == code
    seeds = {"signature_name": "sample", "instances": [1]}
    assert post(f"{server.url}/faces:predict", seeds)[0] == 404
    assert post(f"{server.url}/digits/versions/9:predict", seeds)[0] == 404
    code, answer = post(f"{server.url}/digits/labels/old:predict", seeds)
    assert (code, answer["error"]) == (400, "Unrecognized servable version label: old")


# === REST ===


def test_rest_in_rows_and_in_columns(server, gans):
    seeds, images = list(SEEDS), expected(gans[1])
    url = f"{server.url}/digits:predict"
    for instances in (seeds, [{"seed": seed} for seed in seeds]):
        code, rows = post(url, {"signature_name": "sample", "instances": instances})
        assert code == 200 and set(rows) == {"predictions"}
        found = [row["images"] for row in rows["predictions"]]
        np.testing.assert_allclose(found, images, rtol=0, atol=TOLERANCE)
    latents = [row["latents"] for row in rows["predictions"]]
    for inputs in (seeds, {"seed": seeds}):
        code, columns = post(url, {"signature_name": "sample", "inputs": inputs})
        assert code == 200
        np.testing.assert_array_equal(columns["outputs"]["latents"], latents)
    # One output comes without its name, and serving_default is the default.
    code, rows = post(f"{server.url}/digits/versions/1:predict", {"instances": latents})
    np.testing.assert_allclose(rows["predictions"], images, rtol=0, atol=TOLERANCE)
    code, columns = post(url, {"inputs": {"latents": latents}})
    np.testing.assert_allclose(columns["outputs"], images, rtol=0, atol=TOLERANCE)
    for key, found in (("instances", "predictions"), ("inputs", "outputs")):
        code, answer = post(url, {"signature_name": "png", key: latents})
        # By seed, it is one request.
        of_seeds = {"signature_name": "sample_png", key: seeds}
        assert post(url, of_seeds) == (200, answer)
        for row, image in zip(answer[found], images, strict=True):
            content = io.BytesIO(base64.b64decode(row["b64"]))
            assert list(row) == ["b64"] and Image.open(content).format == "PNG"
            pixels = np.asarray(Image.open(content), np.float64)
            assert np.abs(pixels / 255 - image[..., 0]).max() <= 0.5 / 255 + TOLERANCE


@pytest.mark.parametrize(
    "content, message",
    [
        (b"{", "JSON Parse error"),
        ({"signature_name": "sample"}, "'instances' or 'inputs'"),
        ({"instances": []}, "not empty"),
        ({"instances": [[0.0] * 7]}, r"\[1,7\]"),
        ({"instances": [[0.0] * 100, [0.0] * 7]}, "not a tensor of float32"),
        ({"instances": [["a"] * 100]}, "not a tensor of float32"),
        ({"signature_name": "sample", "instances": [1.5]}, "not a tensor of int64"),
        ({"signature_name": "sample", "instances": [2**63]}, "not a tensor of int64"),
        ({"signature_name": "jpeg", "instances": [1]}, '"jpeg" not found'),
        ({"inputs": {"noise": [[0.0]]}}, r"\['latents'\]"),
    ],
)
def test_rest_refuses_what_does_not_fit(server, content, message):
    code, answer = post(f"{server.url}/digits:predict", content)
    assert code == 400 and re.search(message, answer["error"]), answer


def test_rest_tells_the_status_and_the_signatures(server):
    assert get(f"{server.url}/digits") == {
        "model_version_status": [
            {
                "version": "1",
                "state": "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }
    found = get(f"{server.url}/digits/metadata")["metadata"]["signature_def"]
    seed = found["signature_def"]["sample"]["inputs"]["seed"]
    assert seed["dtype"] == "DT_INT64"
    assert [size["size"] for size in seed["tensor_shape"]["dim"]] == ["-1"]


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
@pytest.mark.parametrize("page", ["docs/serving.md", "serving/README.md"])
def test_the_commands_of_the_docs(server, gans, tmp_path, page):
    """Returns the commands that ask a server, in order, with the stand-in's ports."""
    needs_more = (
        "docker",
        "kubectl",
        "monitoring",
        "keras-gan ",
        "scripts/",
        "make ",
        "standin",
        "gcc",
        "cp -r",
    )
    blocks = [
        block
        for block in re.findall(r"```sh\n(.+?)```", (ROOT / page).read_text(), re.S)
        if not any(word in block for word in needs_more)
    ]
    (tmp_path / "serving").symlink_to(SERVING)
    python = str(pathlib.Path(sys.executable).parent)
    found = ""
    for block in blocks:
        lines = block.replace("\\\n", " ").replace(":8501", f":{server.rest}")
        script = "\n".join(
            line.replace(
                "client.py",
                "client.py --port="
                + str(server.rest if "protocol=rest" in line else server.grpc),
            )
            for line in lines.splitlines()
        )
        done = subprocess.run(
            ["bash", "-ec", script],
            env={**os.environ, "PATH": f"{python}:{os.environ['PATH']}"},
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert not done.returncode, (script, done.stderr)
        found += done.stdout
    start = found.index('{\n    "predictions"')
    rows = json.JSONDecoder().raw_decode(found, start)[0]["predictions"]
    images = [row["images"] for row in rows]
    wanted = expected(gans[1], range(3))
    np.testing.assert_allclose(images, wanted, rtol=0, atol=TOLERANCE)
    (seven,) = expected(gans[1], [7])
    for name in ("seven.png", "pictures/7.png", "digits/7.png"):
        if (tmp_path / name).exists():
            pixels = np.asarray(Image.open(tmp_path / name), np.float64) / 255
            assert np.abs(pixels - seven[..., 0]).max() <= 0.5 / 255 + TOLERANCE
    if page == "docs/serving.md":  # by curl, of the published conditional generator
        generator = keras_gan.export.ExportedGenerator(CONDITIONAL)
        wanted = (generator.generate_each([1], labels=7)[0] + 1) / 2
        pixels = np.asarray(Image.open(tmp_path / "digit.png"), np.float64) / 255
        assert np.abs(pixels - wanted[..., 0]).max() <= 0.5 / 255 + TOLERANCE
        assert (tmp_path / "sevens.png").exists()
    names = {path.name for path in tmp_path.iterdir()}
    assert {"grid.png"} < names
    assert names & {"seven.png", "digits"}


# === client.py ===


def arguments_of(server, protocol, *more):
    port = server.grpc if protocol == "grpc" else server.rest
    return ["--model=digits", f"--protocol={protocol}", f"--port={port}", *more]


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_the_client_writes_arrays_grids_and_pngs(
    server, gans, client, tmp_path, capsys, protocol
):
    ask = functools.partial(arguments_of, server, protocol)
    seeds = f"--seeds={','.join(map(str, SEEDS))}"
    wanted = expected(gans[1])
    # Two requests for four rows: the parts are joined.
    client.main(ask(seeds, "--batch_size=3", f"--output={tmp_path / 'all.npz'}"))
    arrays = np.load(tmp_path / "all.npz")
    np.testing.assert_allclose(arrays["images"], wanted, rtol=0, atol=TOLERANCE)
    np.save(tmp_path / "latents.npy", arrays["latents"].astype(np.float64))

    rows = np.rint(wanted[..., 0] * 255).reshape(2, 2, 8, 8)
    grid = rows.swapaxes(1, 2).reshape(16, 16)
    for number, flags in enumerate(
        [
            (seeds,),
            (seeds, "--signature=serving_default"),
            (seeds, "--signature=png"),
            (seeds, "--signature=sample_png", "--batch_size=3"),
            (
                f"--latents={tmp_path / 'latents.npy'}",
                "--signature=serving_default",
                "--version=1",
            ),
        ]
    ):
        path = tmp_path / f"{number}.png"
        client.main(ask(*flags, f"--output={path}"))
        np.testing.assert_allclose(np.asarray(Image.open(path)), grid, atol=1)
    client.main(ask(seeds, "--signature=sample_png", f"--output={tmp_path / 'each'}"))
    names = sorted(path.name for path in (tmp_path / "each").iterdir())
    assert names == sorted(f"{seed}.png" for seed in SEEDS)
    image = np.asarray(Image.open(tmp_path / "each" / "-3.png"))
    np.testing.assert_allclose(image, rows[1, 0], atol=1)
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1].startswith(f"{tmp_path / 'each'}/ (4 PNGs): 4 samples of digits")
    assert protocol == "rest" or printed[0].endswith(", version 1")


def test_the_client_needs_no_keras_and_not_all_of_tensorflow(server, tmp_path):
    code = (
        "import runpy, sys\n"
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')\n"
        "loaded = {'keras', 'keras_gan', 'tensorflow.python'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {loaded}' if loaded else 0)"
    )
    for protocol in ("grpc", "rest"):
        found = subprocess.run(
            [sys.executable, "-c", code, str(SERVING / "client.py"),
             *arguments_of(server, protocol, "--num_samples=2")],
            cwd=tmp_path, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert not found.returncode, found.stderr
        with Image.open(tmp_path / "samples.png") as image:
            assert image.size == (16, 8)
        (tmp_path / "samples.png").unlink()


@pytest.mark.parametrize(
    "protocol, flags, message",
    [
        ("grpc", ["--label=old"], "INVALID_ARGUMENT: Unrecognized servable version"),
        ("rest", ["--label=old"], "HTTP 400: Unrecognized servable version label: old"),
        ("rest", ["--version=9"], "HTTP 404: Servable not found"),
        ("grpc", ["--max_message_mib=0.001"], "raise --max_message_mib or lower"),
        ("grpc", ["--output=x.gif"], r"end with .npz for samples, with .png.*x\.gif"),
    ],
)
def test_the_clients_errors_are_one_line(server, client, protocol, flags, message):
    with pytest.raises(SystemExit) as caught:
        client.main(arguments_of(server, protocol, "--retries=5", *flags))
    assert re.match(f"error: .*{message}", caught.value.code), caught.value.code
    assert "\n" not in caught.value.code
    # Tried once: another try would fail the same way.
    assert "tries" not in caught.value.code


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_the_client_gives_up_on_a_server_that_does_not_answer(client, protocol):
    # Connections are taken and nothing is said: no race with a fast server.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(SystemExit) as caught:
            client.main(
                ["--model=digits", f"--protocol={protocol}", f"--port={port}",
                 "--timeout=0.3"]
            )  # fmt: skip
    assert re.match("error: .*DEADLINE_EXCEEDED", caught.value.code), caught.value.code
    assert "\n" not in caught.value.code and "tries" not in caught.value.code


@pytest.mark.parametrize(
    "latents, message",
    [
        (np.full((2, 100), np.nan), "finite --latents. Received: NaN or infinity"),
        (np.full((2, 100), np.inf), "finite --latents. Received: NaN or infinity"),
        (np.full((2, 100), 1e300), "finite --latents. Received: NaN or infinity"),
        (np.zeros(100), r"shape \(batch, L\), batch >= 1. Received: \(100,\)"),
        (np.zeros((0, 100)), r"Received: \(0, 100\)"),
        (np.zeros((2, 7)), r"\[2,7\]"),
        (np.array(["a"]), "--latents of numbers"),
    ],
)
def test_the_client_checks_latents(server, client, tmp_path, latents, message):
    np.save(tmp_path / "latents.npy", latents)
    with pytest.raises(SystemExit) as caught, np.errstate(over="ignore"):
        client.main(
            arguments_of(
                server, "grpc", "--signature=serving_default",
                f"--latents={tmp_path / 'latents.npy'}",
            )
        )  # fmt: skip
    assert re.search(message, caught.value.code), caught.value.code


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--seeds=1,x"], "Expected int64s with commas between. Received: '1,x'"),
        (["--seeds=9223372036854775808"], "Expected int64s"),
        (["--num_samples=0"], "Expected --num_samples > 0. Received: 0"),
        (["--timeout=nan"], "Expected --timeout > 0. Received: nan"),
        (["--latents=a.npy"], "Expected --seeds for the signature sample"),
        (
            ["--latents=a.npy", "--signature=sample_png"],
            "Expected --seeds for the signature sample_png",
        ),
        (["--version=1", "--label=stable"], "not allowed with"),
    ],
)
def test_the_client_refuses_flags(client, capsys, flags, message):
    with pytest.raises(SystemExit):
        client.main(["--model=digits", *flags])
    assert message in capsys.readouterr().err


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_the_client_waits_for_a_server_that_is_not_up_yet(base, client, tmp_path):
    port, outcome = free_port(), []

    def ask():
        try:
            client.main(
                ["--model=digits", f"--port={port}", "--timeout=60", "--retries=200",
                 f"--output={tmp_path / 'late.png'}"]
            )  # fmt: skip
            outcome.append("done")
        except SystemExit as error:
            outcome.append(error.code)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.5)
    assert not outcome
    standin = StandIn(
        "--model_name=digits", f"--model_base_path={base / 'digits'}", port=port
    )
    try:
        thread.join(timeout=60)
        assert outcome == ["done"] and (tmp_path / "late.png").exists()
    finally:
        standin.stop()


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_the_client_gives_up_on_a_server_that_stays_away(client, protocol):
    with pytest.raises(SystemExit) as caught:
        client.main(
            ["--model=digits", f"--protocol={protocol}", f"--port={free_port()}",
             "--retries=2", "--timeout=20"]
        )  # fmt: skip
    assert re.fullmatch(
        r"error: .*(UNAVAILABLE|refused).* \(after 3 tries\)", caught.value.code
    ), caught.value.code


class Flaky(http.server.BaseHTTPRequestHandler):
    """Answers with the codes it is given, then with samples."""

    codes = []

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        code = self.codes.pop(0) if self.codes else 200
        content = {"error": "not\nnow"}
        if code == 200:
            content = {"outputs": {"images": [[[[0.5]]]], "latents": [[float("nan")]]}}
        self.send_response(code)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize(
    "codes, left, message",
    [
        ([503, 503, 400, 503], [503], "HTTP 400: not now"),
        ([500, 503], [503], "HTTP 500: not now"),
        ([503, 503, 503, 200], [200], "HTTP 503: not now (after 3 tries)"),
        ([503], [], "Expected finite latents. Received: NaN or infinity from the"),
    ],
)
def test_only_unavailable_is_tried_again(client, codes, left, message):
    Flaky.codes = codes
    flaky = http.server.HTTPServer(("127.0.0.1", 0), Flaky)
    threading.Thread(target=flaky.serve_forever, daemon=True).start()
    try:
        with pytest.raises(SystemExit) as caught:
            client.main(
                ["--model=digits", "--protocol=rest", "--retries=2",
                 f"--port={flaky.server_address[1]}", "--num_samples=1"]
            )  # fmt: skip
    finally:
        flaky.shutdown()
        flaky.server_close()
    assert caught.value.code.startswith(f"error: {message}")
    assert Flaky.codes == left


def test_waits_grow_and_stay_within_the_deadline(client):
    waits, given = [], []

    def request(seconds):
        given.append(seconds)
        raise client.Unavailable("away")

    with pytest.raises(client.ServingError, match=r"away \(after 11 tries\)"):
        client.with_retries(request, 1000, 10, waits.append)
    caps = [min(0.1 * 2**attempt, 5.0) for attempt in range(10)]
    assert len(waits) == 10
    assert all(cap / 2 <= wait <= cap for wait, cap in zip(waits, caps, strict=True))
    assert all(seconds <= 1000 for seconds in given) and given == sorted(given)[::-1]
    # A wait that would end after the deadline is not begun.
    waits.clear()
    with pytest.raises(client.ServingError, match=r"after 1 try\)"):
        client.with_retries(request, 0.01, 10, waits.append)
    assert waits == []


# === Versions ===


def write_config(path, base, versions, stable, canary):
    """Writes the models.config of serving/, for digits in `base`, without `mnist`."""
    text = (SERVING / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    models = {model.name: model for model in config.model_config_list.config}
    model, conditional = models["digits"], models["mnist_conditional"]
    assert model.base_path == "/models/digits"
    model.base_path = str(base)
    conditional.base_path = str(CONDITIONAL)
    del config.model_config_list.config[:]
    model.model_version_policy.specific.versions[:] = versions
    model.version_labels["stable"] = stable
    model.version_labels["canary"] = canary
    config.model_config_list.config.extend([model, conditional])
    # By a rename: the stand-in may read the file at any moment, and an empty one is a
    # valid configuration without models.
    incoming = path.with_name(f"{path.name}.incoming")
    incoming.write_text(text_format.MessageToString(config))
    incoming.replace(path)
    return config


def test_a_roll_out_and_a_roll_back_by_labels(base, gans, tmp_path):
    """Takes the steps of serving/README.md on the shipped configuration."""
    models = tmp_path / "digits"
    shutil.copytree(base / "digits" / "1", models / "1")
    shutil.copytree(base / "next" / "digits" / "2", models / "2")
    config = tmp_path / "models.config"
    write_config(config, models, [1], 1, 1)
    standin = StandIn(
        f"--model_config_file={config}",
        "--model_config_file_poll_wait_seconds=0.2",
        LABELS_FIRST,
    )
    images = {version: expected(gan, [7])[0] for version, gan in gans.items()}
    assert np.abs(images[1] - images[2]).max() > 0.1

    def answered(label):
        content = {"signature_name": "sample", "instances": [7]}
        url = f"{standin.url}/digits/labels/{label}:predict"
        code, answer = post(url, content)
        assert code == 200, answer
        found = np.asarray(answer["predictions"][0]["images"])
        return min(images, key=lambda number: np.abs(found - images[number]).max())

    def wait_until(condition):
        deadline = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def loaded():
        statuses = get(f"{standin.url}/digits")["model_version_status"]
        return {int(status["version"]) for status in statuses}

    try:
        assert loaded() == {1}
        assert (answered("stable"), answered("canary")) == (1, 1)
        # A version and a label that moves to it, at once: refused, nothing moves.
        request = model_management_pb2.ReloadConfigRequest()
        request.config.CopyFrom(write_config(tmp_path / "x", models, [1, 2], 1, 2))
        status = standin.models.HandleReloadConfigRequest(request, timeout=30).status
        assert status.error_code == 9 and "not currently available" in (
            status.error_message
        )
        assert answered("canary") == 1
        write_config(config, models, [1, 2], 1, 1)
        wait_until(lambda: loaded() == {1, 2})
        write_config(config, models, [1, 2], 1, 2)
        wait_until(lambda: answered("canary") == 2)
        assert answered("stable") == 1
        write_config(config, models, [1, 2], 2, 2)
        wait_until(lambda: answered("stable") == 2)
        # Back: the old version is still loaded.
        write_config(config, models, [1, 2], 1, 2)
        wait_until(lambda: answered("stable") == 1)
    finally:
        standin.stop()


def test_labels_at_the_start_need_the_flag(base, tmp_path):
    config = tmp_path / "models.config"
    write_config(config, base / "digits", [1], 1, 1)
    found = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "serving_standin.py"),
         f"--model_config_file={config}"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert found.returncode == 1
    assert "not currently available for inference" in found.stderr


class Load:
    """Asks by gRPC and by REST, in threads, until it is stopped."""

    def __init__(self, client, standin, images):
        self.errors, self.answers = [], collections.Counter()
        self._client, self._standin, self._images = client, standin, images
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._ask, args=(number,)) for number in range(6)
        ]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)

    def count(self):
        with self._lock:
            return sum(self.answers.values())

    def wait_for(self, count):
        deadline = time.monotonic() + 120
        while self.count() < count and not self.errors:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _ask(self, number):
        if number % 2:
            client = self._client.Rest(f"127.0.0.1:{self._standin.rest}")
        else:
            client = self._client.Grpc(f"127.0.0.1:{self._standin.grpc}", 64)
        rng = np.random.default_rng(number)
        signatures = ("sample", "serving_default", "png")
        latents = None
        while not self._stop.is_set():
            signature = signatures[rng.integers(3)] if latents is not None else "sample"
            size = int(rng.integers(1, len(SEEDS) + 1))
            inputs = {"seed": np.array(SEEDS[:size], np.int64)}
            if signature != "sample":
                inputs = {"latents": latents[:size]}
            try:
                outputs, _ = client.predict("digits", signature, inputs, 60)
                version = self._version(outputs, size)
            except Exception as error:
                self.errors.append(f"{type(error).__name__}: {error}")
                break
            if signature == "sample" and size == len(SEEDS):
                latents = outputs["latents"]
            with self._lock:
                self.answers[version, type(client).__name__, signature] += 1
        client.close()

    def _version(self, outputs, size):
        """Returns the version whose samples these are; raises for any others."""
        if "image_bytes" in outputs:
            found = np.stack(
                [
                    np.asarray(Image.open(io.BytesIO(content)))[..., None] / 255
                    for content in outputs["image_bytes"]
                ]
            )
            tolerance = 0.5 / 255 + TOLERANCE
        else:
            found, tolerance = outputs["images"], TOLERANCE
        for version, images in self._images.items():
            if np.abs(found - images[:size]).max() <= tolerance:
                return version
        raise AssertionError("samples of no version")


def test_a_new_version_takes_over_under_load(base, gans, client, tmp_path):
    models = tmp_path / "digits"
    shutil.copytree(base / "digits" / "1", models / "1")
    images = {version: expected(gan) for version, gan in gans.items()}
    standin = StandIn("--model_name=digits", f"--model_base_path={models}")
    try:
        with Load(client, standin, images) as load:
            load.wait_for(150)
            before = dict(load.answers)
            shutil.copytree(base / "next" / "digits" / "2", models / ".incoming-1-a")
            os.rename(models / ".incoming-1-a", models / "2")
            deadline = time.monotonic() + 60
            while not any(version == 2 for version, _, _ in list(load.answers)):
                assert time.monotonic() < deadline and not load.errors
                time.sleep(0.01)
            load.wait_for(load.count() + 150)
        assert load.errors == []
        assert {version for version, _, _ in before} == {1}
        # Every way and every signature was asked, before and after.
        ways = {(way, name) for _, way, name in load.answers}
        assert len(ways) == 6
        # The old one went, and nothing answers with it.
        statuses = get(f"{standin.url}/digits")["model_version_status"]
        assert [status["version"] for status in statuses] == ["2"]
        outputs, version = standin.predict("sample", seed=np.array(SEEDS, np.int64))
        assert version == 2
        np.testing.assert_allclose(outputs["images"], images[2], rtol=0, atol=TOLERANCE)
    finally:
        standin.stop()


def _steady(client, server, gans, seconds):
    """(requests, seconds, MiB after warmup, MiB at the end) of a load."""
    with Load(client, server, {1: expected(gans[1])}) as load:
        load.wait_for(200)
        warm, first, start = server.resident_mib(), load.count(), time.monotonic()
        while time.monotonic() - start < seconds and not load.errors:
            time.sleep(0.05)
        count, took = load.count() - first, time.monotonic() - start
    assert load.errors == []
    return count, took, warm, server.resident_mib()


def test_load_leaves_no_error_and_no_memory(server, client, gans):
    count, _, warm, end = _steady(client, server, gans, seconds=3)
    # A leak of 64 KiB a request would show; arenas of new threads may not.
    assert count > 0 and end - warm < 48


@pytest.mark.slow
def test_a_minute_of_load(server, client, gans, capsys):
    count, took, warm, end = _steady(client, server, gans, seconds=60)
    with capsys.disabled():
        print(
            f"\n{count:,} requests in {took:.0f} s, no error; resident memory "
            f"{warm:.0f} MiB after warmup, {end:.0f} MiB at the end"
        )
    assert end - warm < 48


# === No Python ===


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """tests/serve.c as a program."""
    if not shutil.which("gcc"):
        pytest.skip("there is no gcc")
    folder = pathlib.Path(tf.__file__).parent
    program = tmp_path_factory.mktemp("c") / "serve"
    # Reads the library of 1 GB several times faster than the default linker.
    gold = ["-fuse-ld=gold"] if shutil.which("ld.gold") else []
    subprocess.run(
        ["gcc", "-Wall", "-Wextra", "-Werror", *gold,
         str(ROOT / "tests" / "serve.c"), "-o", str(program),
         f"-I{folder / 'include'}", f"-L{folder}", "-l:libtensorflow_cc.so.2",
         "-l:libtensorflow_framework.so.2", f"-Wl,-rpath,{folder}"],
        check=True, timeout=300,
    )  # fmt: skip
    return program


def tensors_of(names):
    """Returns the tensors that the program takes, of a version's signatures."""
    return [
        names["sample"]["inputs"]["seed"],
        names["sample"]["outputs"]["images"],
        names["sample"]["outputs"]["latents"],
        names["png"]["inputs"]["latents"],
        names["png"]["outputs"]["image_bytes"],
    ]


def test_a_program_in_c_serves_the_same_samples(program, base, gans, tmp_path):
    model = base / "digits" / "1"
    tensors = tensors_of(keras_gan.export.read_signatures(model))
    for seed in SEEDS[2:]:
        found = subprocess.run(
            [str(program), str(model), *tensors, str(seed), str(tmp_path / "c.png")],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert not found.returncode, found.stderr
        values = np.array(found.stdout.split(), np.float32).reshape(8, 8, 1)
        (wanted,) = expected(gans[1], [seed])
        np.testing.assert_allclose(values, wanted, rtol=0, atol=TOLERANCE)
        pixels = np.asarray(Image.open(tmp_path / "c.png"), np.float64)
        assert np.abs(pixels / 255 - wanted[..., 0]).max() <= 0.5 / 255 + TOLERANCE
    missing = subprocess.run(
        [str(program), str(tmp_path / "no"), *tensors, "0", str(tmp_path / "c.png")],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert missing.returncode == 1 and "error: loading:" in missing.stderr


def test_a_program_in_c_asks_for_a_class(program, tmp_path):
    gan = export_helpers.conditional_gan()
    model = gan.export(tmp_path / "animals")
    names = keras_gan.export.read_signatures(model)
    labels = [names[each]["inputs"]["labels"] for each in ("sample", "png")]

    def ask(label):
        picture = tmp_path / "c.png"
        return subprocess.run(
            [str(program), str(model), *tensors_of(names), "-3", str(picture),
             *labels, str(label)],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    for label in (0, 3):
        found = ask(label)
        assert not found.returncode, found.stderr
        values = np.array(found.stdout.split(), np.float32).reshape(8, 8, 1)
        (wanted,) = gan.generate_each([-3], labels=label)
        np.testing.assert_allclose(values, wanted, rtol=0, atol=TOLERANCE)
        pixels = np.asarray(Image.open(tmp_path / "c.png"), np.float64)
        assert np.abs(pixels / 255 - wanted[..., 0]).max() <= 0.5 / 255 + TOLERANCE
    refused = ask(4)
    assert refused.returncode == 1 and not refused.stdout
    assert "error: sample: assertion failed: [Expected labels among" in refused.stderr


# === Configuration ===


def parsed(path, message, fields):
    """Parses a text proto whose definition the wheel lacks, from its public fields."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{message}.proto", package=f"of_{message}", syntax="proto3"
    )
    types = descriptor_pb2.FieldDescriptorProto
    for name, members in {message: fields, **NESTED}.items():
        entry = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(members.items(), 1):
            added = entry.field.add(
                name=field, number=number, label=types.LABEL_OPTIONAL
            )
            if kind.startswith("repeated "):
                added.label, kind = types.LABEL_REPEATED, kind.split()[1]
            if kind in NESTED:
                added.type, added.type_name = types.TYPE_MESSAGE, kind
            else:
                added.type = getattr(types, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName(f"of_{message}.{message}")
    return text_format.Parse(path.read_text(), message_factory.GetMessageClass(found)())


NESTED = {
    "Int64Value": {"value": "int64"},
    "StringValue": {"value": "string"},
    "PrometheusConfig": {"enable": "bool", "path": "string"},
}


def test_models_config_names_models_versions_and_labels():
    text = (SERVING / "models.config").read_text()
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    models = config.model_config_list.config
    published = sorted(
        each.name for each in CONDITIONAL.parent.iterdir() if each.is_dir()
    )
    assert [model.name for model in models] == published
    for model in models:
        assert model.base_path == f"/models/{model.name}"
        assert model.model_platform == "tensorflow"
        versions = set(model.model_version_policy.specific.versions)
        assert set(model.version_labels) == {"stable", "canary"}
        assert set(model.version_labels.values()) <= versions


def test_batching_config_suits_the_clients(client):
    # BatchingParameters of session_bundle_config.proto.
    config = parsed(
        SERVING / "batching.config",
        "BatchingParameters",
        {
            "max_batch_size": "Int64Value",
            "batch_timeout_micros": "Int64Value",
            "max_enqueued_batches": "Int64Value",
            "num_batch_threads": "Int64Value",
            "thread_pool_name": "StringValue",
            "allowed_batch_sizes": "repeated int64",
            "pad_variable_length_inputs": "bool",
        },
    )
    allowed = list(config.allowed_batch_sizes)
    assert allowed == sorted(set(allowed))
    assert allowed[-1] == config.max_batch_size.value
    asked = client.parsed_arguments(["--model=digits"]).batch_size
    assert asked <= config.max_batch_size.value
    assert config.num_batch_threads.value >= 1
    assert 0 < config.batch_timeout_micros.value <= 10_000


def test_monitoring_config_is_for_prometheus():
    config = parsed(
        SERVING / "monitoring.config",
        "MonitoringConfig",
        {"prometheus_config": "PrometheusConfig"},
    )
    assert config.prometheus_config.enable
    assert config.prometheus_config.path == "/monitoring/prometheus/metrics"


@pytest.fixture(scope="module")
def manifests():
    """(the service of docker-compose.yml, {kind: document} of kubernetes.yaml)."""
    yaml = pytest.importorskip("yaml")
    compose = yaml.safe_load((SERVING / "docker-compose.yml").read_text())
    documents = yaml.safe_load_all((SERVING / "kubernetes.yaml").read_text())
    kinds = {document["kind"]: document for document in documents}
    return compose["services"]["serving"], kinds


def test_docker_and_kubernetes_run_the_same_server(manifests):
    compose, kinds = manifests
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert compose["image"] == container["image"] == "tensorflow/serving:2.20.0"
    assert compose["entrypoint"] == container["command"]
    assert compose["command"] == container["args"]
    flags = dict(flag.split("=") for flag in container["args"])
    for name in ("model_config", "batching_parameters", "monitoring_config"):
        path = pathlib.PurePosixPath(flags[f"--{name}_file"])
        assert path.parent.as_posix() == "/config" and (SERVING / path.name).is_file()
    assert flags["--allow_version_labels_for_unavailable_models"] == "true"
    assert compose["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    assert compose["volumes"] == ["../saved_models:/models:ro", ".:/config:ro"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    served = kinds["Service"]["spec"]["ports"]
    assert {port["targetPort"]: port["port"] for port in served} == ports
    assert ports == {
        "grpc": int(flags["--port"]),
        "rest": int(flags["--rest_api_port"]),
    }
    mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert set(mounted) == {volume["name"] for volume in pod["volumes"]}
    assert mounted["models"]["readOnly"] and mounted["models"]["mountPath"] == "/models"
    (claim,) = (
        volume["persistentVolumeClaim"]
        for volume in pod["volumes"]
        if volume["name"] == "models"
    )
    assert claim["claimName"] == kinds["PersistentVolumeClaim"]["metadata"]["name"]


def test_the_pod_is_locked_up_and_selected(manifests):
    _, kinds = manifests
    deployment = kinds["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["securityContext"]["runAsNonRoot"]
    assert {"requests", "limits"} == set(container["resources"])
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["selector"]["matchLabels"] == labels
    assert kinds["Service"]["spec"]["selector"] == labels
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_the_health_checks_tell_a_loaded_model(manifests, server):
    compose, kinds = manifests
    (container,) = kinds["Deployment"]["spec"]["template"]["spec"]["containers"]
    docker = compose["healthcheck"]["test"]
    assert docker[0] == "CMD"
    commands = [docker[1:], container["startupProbe"]["exec"]["command"]]
    assert container["readinessProbe"]["exec"]["command"] == commands[1]

    def code(command, model="digits", port=server.rest):
        command = [
            word.replace("/8501", f"/{port}").replace("/digits", f"/{model}")
            for word in command
        ]
        return subprocess.run(command, capture_output=True, timeout=30).returncode

    for command in commands:
        assert code(command) == 0
        assert code(command, model="faces") == 1
        assert code(command, port=free_port()) == 1


@pytest.mark.slow
def test_the_benchmark_prints_its_tables_and_writes_them(tmp_path):
    output = tmp_path / "serving.json"
    # In a process of its own: the server's loader disables XLA for all of one.
    process = subprocess.run(
        [
            sys.executable, str(ROOT / "benchmarks" / "serving.py"),
            "--batch_sizes", "1", "3", "--rounds=2", "--repeats=1", "--loads=1",
            "--requests=3", f"--output={output}",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    printed = process.stdout
    report = json.loads(output.read_text())
    first = {row["signature"]: row for row in report["first_requests"]}
    assert set(first) == {"serving_default", "sample", "png", "sample_png"}
    for row in first.values():
        assert row["first_to_median"] == row["first_after_warmup"] / row["median_after"]
        assert f"{1e3 * row['median_after']:.3f}" in printed
    assert [row["batch_size"] for row in report["rows"]] == [1, 3]
    for row in report["rows"]:
        assert row["samples_per_second"] == row["batch_size"] / row["session"]
        assert row["share_of_products"] == row["products"] / row["session"]
        assert f"{1e3 * row['session']:.3f}" in printed
