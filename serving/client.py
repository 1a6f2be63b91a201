"""Asks a model server for samples: python serving/client.py --model=digits

A script of its own: it needs NumPy and Pillow, for gRPC also `tensorflow-serving-api`,
and neither Keras nor keras_gan. Latents are drawn by the server, from the seeds, with
the signature `sample`; `serving_default` and `png` are then asked with these latents,
or with those of --latents. `sample_png` gives PNGs of seeds at once. A conditional
generator needs --labels as well.
"""

import argparse
import base64
import contextlib
import http.client
import importlib.util
import io
import json
import math
import os
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
# What an export's signatures answer: one of these, and latents besides.
OUTPUTS = {
    "serving_default": ("images", "samples"),
    "sample": ("images", "samples"),
    "png": ("image_bytes",),
    "sample_png": ("image_bytes",),
}


class ServingError(Exception):
    """An error whose message is one line."""


class Unavailable(ServingError):
    """The server is missing or not ready yet: worth another try."""


def unexpected(expected, received):
    """Returns the error of an answer that no server of such an export gives."""
    return ServingError(
        f"Expected {expected} from the server. Received: {_one_line(str(received))}; "
        "check --host, --port and --model"
    )


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
        size = self._most_bytes = int(max_message_mib * 2**20)
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
            details = _one_line(error.details()) or "no details"
            message = f"{error.code().name}: {details}"
            if error.code() == self._grpc.StatusCode.UNAVAILABLE:
                raise Unavailable(message) from error
            if "larger than max" in message:
                message += "; raise --max_message_mib or lower --batch_size"
            raise ServingError(message) from error
        outputs = {
            name: _array(name, proto, self._most_bytes)
            for name, proto in response.outputs.items()
        }
        return outputs, response.model_spec.version.value

    def close(self):
        self._channel.close()


class Rest:
    """Asks by HTTP and JSON, in columns; its arguments are those of `Grpc`."""

    def __init__(self, address, max_message_mib=math.inf):
        self._address = address
        self._most_bytes = max_message_mib * 2**20
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
        shown = text[:200].decode(errors="replace")
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError):
            answer = None
        if code != 200:
            # Another try may reach another replica.
            self.close()
            error = answer.get("error", shown) if isinstance(answer, dict) else shown
            message = f"HTTP {code}: {_one_line(str(error)) or 'an empty answer'}"
            if 300 <= code < 400:
                message += "; give the --host and --port of the model server itself"
            raise (Unavailable if code == 503 else ServingError)(message)
        if not isinstance(answer, dict) or "outputs" not in answer:
            raise unexpected('JSON with "outputs"', shown or "an empty answer")
        outputs = answer["outputs"]
        if not isinstance(outputs, dict):
            # A single output comes without its name.
            value = _of_json("outputs", outputs)
            name = "images" if np.ndim(value) == 4 else "samples"
            outputs = {"image_bytes" if isinstance(value, list) else name: value}
        else:
            outputs = {name: _of_json(name, value) for name, value in outputs.items()}
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
            parts, size = [], 0
            while part := response.read1(1 << 20):
                parts.append(part)
                size += len(part)
                if size > self._most_bytes:
                    self.close()
                    raise ServingError(
                        f"The answer is larger than {self._most_bytes / 2**20:g} MiB; "
                        "raise --max_message_mib or lower --batch_size"
                    )
                socket.settimeout(_left(deadline))
            # Reads nothing more, but frees the connection for the next request.
            parts.append(response.read())
            # `read1` takes an early end for the end.
            stated = response.getheader("Content-Length", "")
            if stated.isdecimal() and size < int(stated[:18]):
                raise http.client.IncompleteRead(b"", int(stated[:18]) - size)
            return response.status, b"".join(parts)
        except TimeoutError as error:
            self.close()
            raise ServingError(
                "DEADLINE_EXCEEDED: no complete answer in time; raise --timeout"
            ) from error
        except (http.client.HTTPException, UnicodeError) as error:
            self.close()
            if not isinstance(error, http.client.IncompleteRead | OSError):
                raise unexpected(
                    f"HTTP at {self._address}", f"{type(error).__name__} {error}"
                ) from error
            raise Unavailable(
                f"{self._address}: the answer ended early ({_one_line(str(error))})"
            ) from error
        except OSError as error:
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
    given = {name: rows}
    if arguments.labels is not None:
        given["labels"] = np.resize(np.array(arguments.labels, np.int64), len(rows))
    parts, versions = [], []
    for start in range(0, len(rows), arguments.batch_size):
        stop = start + arguments.batch_size
        inputs = {key: value[start:stop] for key, value in given.items()}
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
        parts.append(checked(outputs, signature, len(inputs[name])))
        versions.append(version)
    if any(_form(part) != _form(parts[0]) for part in parts):
        raise unexpected("rows of one shape", "others in a later request")
    joined = {
        key: (
            sum((part[key] for part in parts), [])
            if isinstance(parts[0][key], list)
            else np.concatenate([part[key] for part in parts])
        )
        for key in parts[0]
    }
    return joined, sorted({version for version in versions if version is not None})


def checked(outputs, signature, count):
    """Returns the outputs of a request, which are what the signature promises.

    Args:
        outputs: dict of names to arrays, or to lists of bytes.
        signature: str, that was asked.
        count: int, the rows that were asked for.

    Raises:
        ServingError: another name, dtype or number of rows, or values that are not
            finite.
    """
    names = OUTPUTS.get(signature, ("images", "samples", "image_bytes"))
    found = ", ".join(outputs) or "no outputs"
    if not set(outputs) & set(names) or not set(outputs) <= {*names, "latents"}:
        raise unexpected(f"the output {' or '.join(names)} of {signature}", found)
    if signature == "sample" and "latents" not in outputs:
        raise unexpected("the output latents of sample", found)
    for name, value in outputs.items():
        if isinstance(value, list) != (name == "image_bytes"):
            kind = "bytes" if name == "image_bytes" else "numbers"
            raise unexpected(f"{kind} for {name}", "the other")
        if isinstance(value, list):
            for content in value:
                _pixels(content)
        elif value.dtype != np.float32:
            raise unexpected(f"{name} of float32", value.dtype)
        elif (
            not value.ndim
            or (name == "latents" and value.ndim != 2)
            or not all(value.shape[1:])
        ):
            raise unexpected(f"{name} with a row for each sample", value.shape)
        elif not np.isfinite(value).all():
            raise ServingError(
                f"Expected finite {name}. Received: NaN or infinity from the server"
            )
        if len(value) != count:
            raise unexpected(f"{count} rows of {name}", len(value))
    return outputs


def _form(outputs):
    """What the parts of an output must share to be joined."""
    return {
        name: None if isinstance(value, list) else value.shape[1:]
        for name, value in outputs.items()
    }


def _pixels(content):
    """Returns the pixels `(H, W, C)` of a PNG, in [0, 1].

    Raises:
        ServingError: anything else, or half a PNG.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            image.verify()  # each chunk, to the last
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            if image.mode not in ("L", "RGB", "RGBA"):
                raise ValueError(f"a PNG of mode {image.mode}")
            pixels = np.asarray(image)
    # Pillow has several errors for a damaged file, and one for one that is too large.
    except (
        OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise unexpected(
            "PNGs", f"{len(content)} bytes that are none ({content[:12]!r})"
        ) from error
    return np.atleast_3d(pixels) / np.float32(255)


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
    with _replacing(path) as file:
        Image.fromarray(grid[..., 0] if channels == 1 else grid).save(file, "PNG")


@contextlib.contextmanager
def _replacing(path):
    """Gives a file to write to, which becomes `path` when all of it is written."""
    path = pathlib.Path(path)
    part = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        with open(part, "wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def save(arguments, outputs, names):
    """Writes the outputs; returns where they are."""
    path = pathlib.Path(arguments.output)
    if "image_bytes" in outputs:
        if path.suffix == ".png":
            images = [_pixels(content) for content in outputs["image_bytes"]]
            if len({image.shape for image in images}) > 1:
                raise unexpected("PNGs of one size", "several sizes")
            save_grid(path, np.stack(images))
            return str(path)
        path.mkdir(parents=True, exist_ok=True)
        for name, content in zip(names, outputs["image_bytes"], strict=True):
            with _replacing(path / f"{name}.png") as file:
                file.write(content)
        return f"{path}/ ({len(names)} PNGs)"
    if path.suffix == ".npz":
        with _replacing(path) as file:
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
    what.add_argument("--seeds", type=_int64s, help="int64s: --seeds=3,1,4")
    what.add_argument("--latents", help="a .npy file of latents (batch, L)")
    parser.add_argument(
        "--labels",
        type=_int64s,
        help="of a conditional generator: classes, taken in turn: --labels=7",
    )
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


def _int64s(text):
    try:
        values = [int(value) for value in text.split(",")]
    except ValueError:
        values = []
    if not values or any(not -(2**63) <= value < 2**63 for value in values):
        raise argparse.ArgumentTypeError(
            f"Expected int64s with commas between. Received: {text!r}"
        )
    return values


def _array(name, proto, most_bytes):
    """Returns a TensorProto as an array, strings as a list of bytes."""
    if proto.dtype == STRING:
        return list(proto.string_val)
    if proto.dtype not in FIELDS:
        raise unexpected(f"{name} of float32", f"number {proto.dtype} of DataType")
    field, dtype = FIELDS[proto.dtype]
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    size = math.prod(shape)
    try:
        if proto.tensor_content:
            return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
        values = np.array(getattr(proto, field), dtype)
        # Values that a proto omits repeat its last one; a few bytes may claim many.
        if len(values) and len(values) < size <= most_bytes // 4:
            values = np.pad(values, (0, size - len(values)), mode="edge")
        if min(shape, default=0) < 0 or len(values) != size:
            raise ValueError(f"{len(values)} values")
        return values.reshape(shape)
    except ValueError as error:
        raise unexpected(f"{name} of shape {shape}", error) from error


def _of_json(name, value):
    """Returns an output, from JSON, as a float32 array or as a list of bytes."""
    try:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return [base64.b64decode(row["b64"], validate=True) for row in value]
        array = np.asarray(value)
        # NumPy would read numbers from text.
        if array.dtype.kind not in "fiu":
            raise ValueError(f"values of {array.dtype}")
        with np.errstate(over="ignore"):
            return array.astype(np.float32)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise unexpected(f"numbers or base64 for {name}", reason) from error


def _left(deadline):
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _one_line(text):
    """Text of a server as one line, without what would command a terminal."""
    line = " ".join((text or "").split())[:300]
    return "".join(each if each.isprintable() else "?" for each in line)


def main(argv=None):
    arguments = parsed_arguments(argv)
    try:
        print(run(arguments))
    except (ServingError, OSError) as error:
        # Our own sentences: none is cut.
        sys.exit(f"error: {' '.join(str(error).split())}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
