"""Asks a model server for samples: python serving/client.py --model=digits

A script of its own: it needs NumPy and Pillow, for gRPC also `tensorflow-serving-api`,
and neither Keras nor keras_gan. Latents are drawn by the server, from the seeds, with
the signature `sample`; `serving_default` and `png` are then asked with these latents,
or with those of --latents. `sample_png` gives PNGs of seeds at once.
"""

import argparse
import base64
import http.client
import importlib.util
import io
import json
import math
import pathlib
import random
import sys
import time
import urllib.parse

import numpy as np

PORTS = {"grpc": 8500, "rest": 8501}
# TensorFlow's numbers of the dtypes that the signatures have.
FLOAT, STRING, INT64 = 1, 7, 9
FIELDS = {FLOAT: ("float_val", np.float32), INT64: ("int64_val", np.int64)}
DEFAULT_MESSAGE_MIB = 4
# The signatures that take seeds. All others take latents.
SEEDED = ("sample", "sample_png")


class ServingError(Exception):
    """An error whose message is one line."""


class Unavailable(ServingError):
    """The server is missing or not ready yet: worth another try."""


class Grpc:
    """Asks by gRPC.

    Args:
        address: str, "host:port".
        max_message_mib: number, the largest answer; gRPC's own default is 4.
    """

    def __init__(self, address, max_message_mib):
        try:
            import grpc

            # TensorFlow's protos lie in its packages; to import all of TensorFlow
            # would take seconds and add nothing.
            if "tensorflow" not in sys.modules:
                spec = importlib.util.find_spec("tensorflow")
                if spec is not None:
                    module = importlib.util.module_from_spec(spec)
                    sys.modules["tensorflow"] = module
            from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
        except ImportError as error:
            raise ServingError(
                f"gRPC needs the package tensorflow-serving-api ({error}). Run: pip "
                "install tensorflow-serving-api, or use --protocol=rest"
            ) from error
        self._grpc, self._predict_pb2 = grpc, predict_pb2
        size = int(max_message_mib * 2**20)
        self._channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_receive_message_length", size),
                ("grpc.max_send_message_length", size),
                # Where a name stands for several replicas, each gets its share.
                ("grpc.lb_policy_name", "round_robin"),
            ],
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def predict(self, model, signature, inputs, timeout, version=None, label=None):
        """Returns the answer to one request.

        Args:
            model, signature: str.
            inputs: dict of names to float32 or int64 arrays.
            timeout: seconds.
            version: int, or None.
            label: str, or None; without both the latest version answers.

        Returns:
            (dict of names to arrays, strings as lists of bytes; int, the version).
        """
        request = self._predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        if label is not None:
            request.model_spec.version_label = label
        for name, array in inputs.items():
            proto = request.inputs[name]
            proto.dtype = FLOAT if array.dtype == np.float32 else INT64
            for size in array.shape:
                proto.tensor_shape.dim.add(size=size)
            proto.tensor_content = array.astype(array.dtype.newbyteorder("<")).tobytes()
        try:
            response = self._stub.Predict(request, timeout=timeout)
        except self._grpc.RpcError as error:
            message = f"{error.code().name}: {_one_line(error.details())}"
            if error.code() == self._grpc.StatusCode.UNAVAILABLE:
                raise Unavailable(message) from error
            if "larger than max" in message:
                message += "; raise --max_message_mib or lower --batch_size"
            raise ServingError(message) from error
        outputs = {name: _array(proto) for name, proto in response.outputs.items()}
        return outputs, response.model_spec.version.value

    def close(self):
        self._channel.close()


class Rest:
    """Asks by HTTP and JSON, in columns; its arguments are those of `Grpc`."""

    def __init__(self, address, max_message_mib=None):
        self._address = address
        self._connection = None

    def predict(self, model, signature, inputs, timeout, version=None, label=None):
        """As `Grpc.predict`. JSON names no version: it is None unless asked for."""
        path = f"/v1/models/{urllib.parse.quote(model, safe='')}"
        if version is not None:
            path += f"/versions/{version}"
        if label is not None:
            path += f"/labels/{urllib.parse.quote(label, safe='')}"
        columns = {name: array.tolist() for name, array in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns})
        code, text = self._post(f"{path}:predict", body, time.monotonic() + timeout)
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {"error": text.decode(errors="replace")[:200]}
        if code != 200:
            message = f"HTTP {code}: {_one_line(str(answer.get('error', answer)))}"
            raise (Unavailable if code == 503 else ServingError)(message)
        outputs = answer["outputs"]
        if not isinstance(outputs, dict):
            # A single output comes without its name.
            value = _of_json(outputs)
            name = "images" if np.ndim(value) == 4 else "samples"
            outputs = {"image_bytes" if isinstance(value, list) else name: value}
        else:
            outputs = {name: _of_json(value) for name, value in outputs.items()}
        return outputs, version

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, path, body, deadline):
        """Returns (status, content); the deadline is that of the whole answer."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self._address)
            connection = self._connection
            connection.timeout = _left(deadline)
            if connection.sock is not None:
                connection.sock.settimeout(connection.timeout)
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            socket = connection.sock
            socket.settimeout(_left(deadline))
            response = connection.getresponse()
            parts = []
            while part := response.read1(1 << 20):
                parts.append(part)
                socket.settimeout(_left(deadline))
            # Reads nothing more, but frees the connection for the next request.
            parts.append(response.read())
            return response.status, b"".join(parts)
        except TimeoutError as error:
            self.close()
            raise ServingError(
                "DEADLINE_EXCEEDED: no complete answer in time; raise --timeout"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unavailable(
                f"{self._address}: {_one_line(str(error) or type(error).__name__)}"
            ) from error


def with_retries(request, timeout, retries, sleep=time.sleep):
    """Returns `request(seconds left)`, tried again while it raises `Unavailable`.

    Args:
        request: function of the seconds that are left.
        timeout: seconds, of all tries together.
        retries: int, tries after the first.
        sleep: function of seconds.

    Waits 0.1, 0.2, 0.4 ... 5 seconds between tries, each scaled by a random factor in
    [0.5, 1], so that many clients do not return at once. Nothing but `Unavailable` is
    tried again: the same request would fail the same way.
    """
    deadline = time.monotonic() + timeout
    for attempt in range(retries + 1):
        try:
            return request(max(deadline - time.monotonic(), 1e-3))
        except Unavailable as error:
            wait = min(0.1 * 2**attempt, 5.0) * random.uniform(0.5, 1.0)
            if attempt == retries or time.monotonic() + wait >= deadline:
                raise ServingError(
                    f"{error} (after {attempt + 1} "
                    f"{'try' if attempt == 0 else 'tries'})"
                ) from error
            sleep(wait)


def ask(client, arguments, signature, name, rows):
    """Returns the outputs of all rows, and the versions that answered."""
    parts, versions = [], []
    for start in range(0, len(rows), arguments.batch_size):
        inputs = {name: rows[start : start + arguments.batch_size]}
        outputs, version = with_retries(
            lambda seconds, inputs=inputs: client.predict(
                arguments.model,
                signature,
                inputs,
                seconds,
                arguments.version,
                arguments.label,
            ),
            arguments.timeout,
            arguments.retries,
        )
        parts.append(outputs)
        versions.append(version)
    joined = {
        key: (
            sum((part[key] for part in parts), [])
            if isinstance(parts[0][key], list)
            else np.concatenate([part[key] for part in parts])
        )
        for key in parts[0]
    }
    for key, value in joined.items():
        if not isinstance(value, list) and not np.isfinite(value).all():
            raise ServingError(
                f"Expected finite {key}. Received: NaN or infinity from the server"
            )
    return joined, sorted({version for version in versions if version is not None})


def read_latents(path):
    """Reads finite float32 latents `(batch, L)` from a .npy file."""
    try:
        latents = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ServingError(
            f"Expected --latents to be a .npy file. Received: {path} "
            f"({_one_line(str(error))})"
        ) from error
    if not isinstance(latents, np.ndarray) or latents.dtype.kind not in "fiu":
        raise ServingError(f"Expected --latents of numbers. Received: {path}")
    if latents.ndim != 2 or not len(latents):
        raise ServingError(
            "Expected --latents of shape (batch, L), batch >= 1. "
            f"Received: {latents.shape}"
        )
    latents = latents.astype(np.float32)
    if not np.isfinite(latents).all():
        raise ServingError("Expected finite --latents. Received: NaN or infinity")
    return latents


def save_grid(path, images):
    """Writes a PNG of `(batch, H, W, C)` images in [0, 1], in about a square."""
    from PIL import Image

    pixels = np.rint(np.clip(images, 0.0, 1.0) * 255).astype(np.uint8)
    count, height, width, channels = pixels.shape
    if channels not in (1, 3, 4):
        raise ServingError(
            "Expected images of 1, 3 or 4 channels for a PNG. "
            f"Received: {channels}; give --output a name that ends with .npz"
        )
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    grid = np.zeros((rows * columns, height, width, channels), np.uint8)
    grid[:count] = pixels
    grid = grid.reshape(rows, columns, height, width, channels)
    grid = grid.swapaxes(1, 2).reshape(rows * height, columns * width, channels)
    Image.fromarray(grid[..., 0] if channels == 1 else grid).save(path)


def save(arguments, outputs, names):
    """Writes the outputs; returns where they are."""
    path = pathlib.Path(arguments.output)
    if "image_bytes" in outputs:
        if path.suffix == ".png":
            from PIL import Image

            images = [
                np.asarray(Image.open(io.BytesIO(content))) / np.float32(255)
                for content in outputs["image_bytes"]
            ]
            images = np.stack(images)
            save_grid(path, images if images.ndim == 4 else images[..., None])
            return str(path)
        path.mkdir(parents=True, exist_ok=True)
        for name, content in zip(names, outputs["image_bytes"], strict=True):
            (path / f"{name}.png").write_bytes(content)
        return f"{path}/ ({len(names)} PNGs)"
    if path.suffix == ".npz":
        with open(path, "wb") as file:
            np.savez(file, **outputs)
        return str(path)
    images = outputs.get("images")
    if images is None or images.ndim != 4 or path.suffix != ".png":
        raise ServingError(
            "Expected --output to end with .npz for samples, with .png for images of "
            f"(H, W, C). Received: {path}"
        )
    save_grid(path, images)
    return str(path)


def run(arguments):
    """Asks and saves; returns one line that says what was written."""
    address = f"{arguments.host}:{arguments.port or PORTS[arguments.protocol]}"
    kind = Grpc if arguments.protocol == "grpc" else Rest
    client = kind(address, arguments.max_message_mib)
    try:
        if arguments.latents is not None:
            latents = read_latents(arguments.latents)
            names = list(range(len(latents)))
        else:
            names = arguments.seeds
            if names is None:
                names = list(range(arguments.num_samples))
            seeds = np.array(names, np.int64)
            asked = arguments.signature
            signature = asked if asked in SEEDED else "sample"
            drawn, versions = ask(client, arguments, signature, "seed", seeds)
            latents = drawn.get("latents")
        if arguments.signature in SEEDED:
            outputs = drawn
        else:
            outputs, versions = ask(
                client, arguments, arguments.signature, "latents", latents
            )
    finally:
        client.close()
    where = save(arguments, outputs, names)
    answered = f", version {', '.join(map(str, versions))}" if versions else ""
    return f"{where}: {len(names)} samples of {arguments.model}{answered}"


def parsed_arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, help="the model's name")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="8500 of gRPC, 8501 of REST")
    parser.add_argument("--protocol", choices=sorted(PORTS), default="grpc")
    parser.add_argument(
        "--signature",
        choices=("serving_default", "sample", "png", "sample_png"),
        default="sample",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--version", type=int, help="the latest without one")
    which.add_argument("--label", help="such as stable or canary")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--num_samples", type=int, default=16, help="of seeds 0, 1, ...")
    what.add_argument("--seeds", type=_seeds, help="int64s: --seeds=3,1,4")
    what.add_argument("--latents", help="a .npy file of latents (batch, L)")
    parser.add_argument(
        "--output",
        default="samples.png",
        help="a grid (.png), arrays (.npz), or a folder for the PNGs of png",
    )
    parser.add_argument("--batch_size", type=int, default=64, help="rows a request")
    parser.add_argument("--timeout", type=float, default=30.0, help="s a request")
    parser.add_argument("--retries", type=int, default=8, help="while unavailable")
    parser.add_argument(
        "--max_message_mib",
        type=float,
        default=64.0,
        help=f"of gRPC, whose own default is {DEFAULT_MESSAGE_MIB}",
    )
    arguments = parser.parse_args(argv)
    for name in ("num_samples", "batch_size", "timeout", "max_message_mib"):
        if not 0 < getattr(arguments, name) < math.inf:
            parser.error(f"Expected --{name} > 0. Received: {getattr(arguments, name)}")
    if arguments.retries < 0:
        parser.error(f"Expected --retries >= 0. Received: {arguments.retries}")
    if arguments.latents is not None and arguments.signature in SEEDED:
        parser.error(
            f"Expected --seeds for the signature {arguments.signature}. Received: "
            "--latents"
        )
    return arguments


def _seeds(text):
    try:
        seeds = [int(seed) for seed in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or any(not -(2**63) <= seed < 2**63 for seed in seeds):
        raise argparse.ArgumentTypeError(
            f"Expected int64s with commas between. Received: {text!r}"
        )
    return seeds


def _array(proto):
    """Returns a TensorProto as an array, strings as a list of bytes."""
    if proto.dtype == STRING:
        return list(proto.string_val)
    field, dtype = FIELDS[proto.dtype]
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    if proto.tensor_content:
        return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
    values = np.array(getattr(proto, field), dtype)
    # Values that a proto omits repeat its last one.
    missing = math.prod(shape) - len(values)
    if missing and len(values):
        values = np.pad(values, (0, missing), mode="edge")
    return values.reshape(shape)


def _of_json(value):
    if value and isinstance(value[0], dict):
        return [base64.b64decode(row["b64"]) for row in value]
    return np.asarray(value, np.float32)


def _left(deadline):
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _one_line(text):
    return " ".join((text or "").split())[:300]


def main(argv=None):
    arguments = parsed_arguments(argv)
    try:
        print(run(arguments))
    except (ServingError, OSError) as error:
        sys.exit(f"error: {_one_line(str(error))}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
