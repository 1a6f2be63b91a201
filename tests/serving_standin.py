"""A stand-in for tensorflow_model_server on 127.0.0.1, for the tests of its clients.

    python tests/serving_standin.py --model_config_file=models.config \
        --allow_version_labels_for_unavailable_models=true

It takes the server's flags and speaks its protocols: gRPC (Predict, GetModelMetadata,
GetModelStatus, HandleReloadConfig) and REST (`:predict` in rows and columns, status,
metadata). The answers are those of the server's own loader, by `c_session.Session`. It
loads, unloads and labels versions by the server's rules. It batches nothing, and proves
clients and shapes, not the server.

One line of JSON on standard output, `{"grpc": port, "rest": port}`, says that the
models are loaded. It runs in a process of its own that never imports TensorFlow.
"""

import argparse
import base64
import concurrent.futures
import contextlib
import http.server
import importlib.util
import json
import os
import pathlib
import re
import signal
import socket
import sys
import threading
import time

import numpy as np

# The protos lie in packages of TensorFlow; importing those alone is fast.
_spec = importlib.util.find_spec("tensorflow")
sys.modules.setdefault("tensorflow", importlib.util.module_from_spec(_spec))

import grpc  # noqa: E402
from google.protobuf import json_format, text_format  # noqa: E402
from tensorflow.core.framework import tensor_pb2  # noqa: E402
from tensorflow.core.protobuf import saved_model_pb2  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2  # noqa: E402

_PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "keras_gan"
_VERIFICATION = _PACKAGE / "export" / "verification"
sys.path.insert(0, str(_VERIFICATION))
import c_session  # noqa: E402

sys.path.remove(str(_VERIFICATION))

_DTYPES = {1: np.float32, 3: np.int32, 9: np.int64}
_FIELDS = {1: "float_val", 3: "int_val", 9: "int64_val"}
_FLOAT, _STRING = 1, 7
_Code = grpc.StatusCode
# As the server's ToHTTPStatusCode.
_HTTP = {
    _Code.INVALID_ARGUMENT: 400,
    _Code.NOT_FOUND: 404,
    _Code.FAILED_PRECONDITION: 412,
    _Code.UNAVAILABLE: 503,
}


class Refused(Exception):
    """An error for the client: a gRPC code and a message."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


def invalid(message):
    return Refused(_Code.INVALID_ARGUMENT, message)


class Version:
    """A loaded SavedModel that closes when its last request is done."""

    def __init__(self, number, path):
        self.number = number
        saved_model = saved_model_pb2.SavedModel()
        saved_model.ParseFromString((path / "saved_model.pb").read_bytes())
        (meta_graph,) = (
            graph
            for graph in saved_model.meta_graphs
            if "serve" in graph.meta_info_def.tags
        )
        self.signatures = {
            name: signature
            for name, signature in meta_graph.signature_def.items()
            if not name.startswith("__")
        }
        names = {
            name: {
                "inputs": {key: info.name for key, info in signature.inputs.items()},
                "outputs": {key: info.name for key, info in signature.outputs.items()},
            }
            for name, signature in self.signatures.items()
        }
        self._session = c_session.Session(path, names)
        self._users, self._lock, self._retired = 0, threading.Lock(), False

    @contextlib.contextmanager
    def used(self):
        with self._lock:
            self._users += 1
        try:
            yield self
        finally:
            self._leave(-1)

    def retire(self):
        self._retired = True
        self._leave(0)

    def _leave(self, step):
        with self._lock:
            self._users += step
            last = self._retired and not self._users
        if last:
            self._session.close()

    def signature(self, name):
        name = name or "serving_default"
        if name not in self.signatures:
            raise invalid(
                f'Serving signature name: "{name}" not found in signature def'
            )
        return name, self.signatures[name]

    def run(self, signature, inputs):
        expected = set(self.signatures[signature].inputs)
        if set(inputs) != expected:
            raise invalid(
                f"input keys are {sorted(inputs)}, of signature {signature!r} "
                f"{sorted(expected)}"
            )
        try:
            return self._session.run(signature, inputs)
        except c_session.SessionError as error:
            raise invalid(str(error)) from error


class Models:
    """The models that are configured, loaded and labelled."""

    def __init__(self, config, labels_first):
        self._lock = threading.RLock()
        self._labels_first = labels_first
        self._config, self._loaded, self._labels = {}, {}, {}
        self.reload(config)

    def reload(self, config):
        """Loads the versions of a `ModelServerConfig`, then moves the labels."""
        with self._lock:
            wanted = {model.name: model for model in config.model_config_list.config}
            for name in set(self._config) - set(wanted):
                wanted_none = self._loaded.pop(name, {})
                for version in wanted_none.values():
                    version.retire()
            before = {name: set(versions) for name, versions in self._loaded.items()}
            self._config = wanted
            self.poll()
            labels = {}
            for name, model in wanted.items():
                for label, number in model.version_labels.items():
                    current = self._labels.get(name, {}).get(label)
                    # The server lets a new label wait for its version, not an old one.
                    if number not in before.get(name, set()) and not (
                        self._labels_first and current in (None, number)
                    ):
                        raise Refused(
                            _Code.FAILED_PRECONDITION,
                            f"Request to assign label to version {number} of model "
                            f"{name}, which is not currently available for inference",
                        )
                    labels.setdefault(name, {})[label] = number
            self._labels = labels

    def poll(self):
        """Loads versions that appeared, and only then unloads the others."""
        with self._lock:
            for name, model in self._config.items():
                wanted = _aspired(model)
                loaded = self._loaded.setdefault(name, {})
                for number in sorted(wanted - set(loaded)):
                    path = pathlib.Path(model.base_path) / str(number)
                    try:
                        loaded[number] = Version(number, path)
                    except (c_session.SessionError, OSError, ValueError) as error:
                        print(f"{path}: {error}", file=sys.stderr, flush=True)
                # Nothing to serve instead: the server keeps what it has.
                if wanted & set(loaded):
                    for number in set(loaded) - wanted:
                        loaded.pop(number).retire()

    def find(self, name, number=None, label=None):
        """Returns a version, by label, number or the latest, and what frees it."""
        with self._lock:
            loaded = self._loaded.get(name, {})
            if label:
                if label not in self._labels.get(name, {}):
                    raise invalid(f"Unrecognized servable version label: {label}")
                number = self._labels[name][label]
            if number is None and loaded:
                number = max(loaded)
            if number not in loaded:
                asked = f"Latest({name})"
                if number is not None:
                    asked = f"Specific({name}, {number})"
                raise Refused(
                    _Code.NOT_FOUND, f"Servable not found for request: {asked}"
                )
            # Counted here, so that it cannot close before it is used.
            stack = contextlib.ExitStack()
            version = stack.enter_context(loaded[number].used())
        return stack, version

    def status(self, name, number=None, label=None):
        with self._lock:
            if label:
                stack, version = self.find(name, label=label)
                stack.close()
                number = version.number
            numbers = [
                loaded
                for loaded in sorted(self._loaded.get(name, {}), reverse=True)
                if number in (None, loaded)
            ]
        if not numbers:
            wanted = "any versions" if number is None else f"version {number}"
            raise Refused(_Code.NOT_FOUND, f"Could not find {wanted} of model {name}")
        return get_model_status_pb2.GetModelStatusResponse(
            model_version_status=[
                {
                    "version": loaded,
                    "state": get_model_status_pb2.ModelVersionStatus.AVAILABLE,
                    "status": {},
                }
                for loaded in numbers
            ]
        )


def _aspired(model):
    """Returns the versions on the disk that the version policy asks for."""
    with contextlib.suppress(OSError):
        found = {int(name) for name in os.listdir(model.base_path) if name.isdecimal()}
        policy = model.model_version_policy
        kind = policy.WhichOneof("policy_choice")
        if kind == "specific":
            return found & set(policy.specific.versions)
        if kind == "all":
            return found
        return set(sorted(found)[-(policy.latest.num_versions or 1) :])
    return set()


def of_spec(models, spec):
    number = spec.version.value if spec.HasField("version") else None
    return models.find(spec.name, number, spec.version_label)


def to_array(proto):
    """Returns a TensorProto as an array; values that it omits repeat its last."""
    if proto.dtype not in _DTYPES:
        raise invalid(f"Expected dtypes {sorted(_DTYPES)}. Received: {proto.dtype}")
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    dtype = _DTYPES[proto.dtype]
    if proto.tensor_content:
        values = np.frombuffer(proto.tensor_content, dtype)
    else:
        values = np.array(getattr(proto, _FIELDS[proto.dtype]), dtype)
        missing = int(np.prod(shape, dtype=np.int64)) - len(values)
        if missing > 0 and len(values):
            values = np.pad(values, (0, missing), mode="edge")
    if len(values) != np.prod(shape, dtype=np.int64):
        raise invalid(f"{len(values)} values for a tensor of shape {shape}")
    return values.reshape(shape)


def to_proto(array):
    """Returns an array as the server does by default: values one by one."""
    proto = tensor_pb2.TensorProto()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if array.dtype == object:
        proto.dtype = _STRING
        proto.string_val.extend(array.ravel())
        return proto
    proto.dtype = next(code for code, dtype in _DTYPES.items() if dtype == array.dtype)
    getattr(proto, _FIELDS[proto.dtype]).extend(array.ravel().tolist())
    return proto


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models):
        self._models = models

    def Predict(self, request, context):
        with _refusals(context):
            stack, version = of_spec(self._models, request.model_spec)
            with stack:
                name, _ = version.signature(request.model_spec.signature_name)
                inputs = {key: to_array(value) for key, value in request.inputs.items()}
                outputs = version.run(name, inputs)
            response = predict_pb2.PredictResponse()
            _answered_by(response.model_spec, request.model_spec.name, version, name)
            for key in request.output_filter or outputs:
                if key not in outputs:
                    raise invalid(f"output tensor alias not found in signature: {key}")
                response.outputs[key].CopyFrom(to_proto(outputs[key]))
            return response

    def GetModelMetadata(self, request, context):
        with _refusals(context):
            if list(request.metadata_field) != ["signature_def"]:
                raise invalid("Expected metadata_field signature_def")
            return metadata(self._models, request.model_spec)


class Service(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models):
        self._models = models

    def GetModelStatus(self, request, context):
        with _refusals(context):
            spec = request.model_spec
            number = spec.version.value if spec.HasField("version") else None
            return self._models.status(spec.name, number, spec.version_label)

    def HandleReloadConfigRequest(self, request, context):
        response = model_management_pb2.ReloadConfigResponse()
        try:
            self._models.reload(request.config)
        except Refused as refused:
            response.status.error_code = refused.code.value[0]
            response.status.error_message = refused.message
        return response


def metadata(models, spec):
    stack, version = of_spec(models, spec)
    with stack:
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _answered_by(response.model_spec, spec.name, version, "")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in version.signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        response.metadata["signature_def"].Pack(signatures)
        return response


def _answered_by(spec, name, version, signature):
    spec.name = name
    spec.signature_name = signature
    spec.version.value = version.number


@contextlib.contextmanager
def _refusals(context):
    try:
        yield
    except Refused as refused:
        context.abort(refused.code, refused.message)


_PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<number>\d+)|/labels/(?P<label>[^/:]+))?"
    r"(?P<rest>:predict|/metadata)?"
)


class Rest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # With Nagle's algorithm the last packet of an answer waits for an acknowledgement.
    disable_nagle_algorithm = True
    models = None

    def do_GET(self):
        self._answer("GET")

    def do_POST(self):
        self._answer("POST")

    def log_message(self, *arguments):
        pass

    def _answer(self, method):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            code, answer = 200, self._content(method, body)
        except Refused as refused:
            code, answer = _HTTP[refused.code], {"error": refused.message}
        text = json.dumps(answer, indent=4).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _content(self, method, body):
        match = _PATH.fullmatch(self.path)
        if not match or (method == "POST") != (match["rest"] == ":predict"):
            raise invalid(f"Malformed request: {method} {self.path}")
        name, label = match["name"], match["label"]
        number = int(match["number"]) if match["number"] else None
        if match["rest"] == ":predict":
            stack, version = self.models.find(name, number, label)
            with stack:
                return predict(version, body)
        if match["rest"] == "/metadata":
            spec = predict_pb2.PredictRequest().model_spec
            spec.name = name
            if number is not None:
                spec.version.value = number
            if label:
                spec.version_label = label
            response = metadata(self.models, spec)
            signatures = get_model_metadata_pb2.SignatureDefMap()
            response.metadata["signature_def"].Unpack(signatures)
            return {
                "model_spec": _json(response.model_spec),
                "metadata": {"signature_def": _json(signatures)},
            }
        return _json(self.models.status(name, number, label))


def _json(message):
    return json_format.MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )


def predict(version, body):
    """Answers a JSON body, in rows ("instances") or columns ("inputs")."""
    try:
        request = json.loads(body)
    except ValueError as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(request, dict) or ("instances" in request) == (
        "inputs" in request
    ):
        raise invalid("Request has to be a JSON object with 'instances' or 'inputs'")
    name, signature = version.signature(request.get("signature_name", ""))
    given = request.get("instances", request.get("inputs"))
    in_rows = "instances" in request
    if in_rows:
        if not isinstance(given, list) or not given:
            raise invalid("Expected 'instances' to be a list that is not empty")
        if all(isinstance(row, dict) for row in given):
            if any(set(row) != set(given[0]) for row in given):
                raise invalid("Expected every instance to have the same keys")
            given = {key: [row[key] for row in given] for key in given[0]}
    if not isinstance(given, dict):
        if len(signature.inputs) != 1:
            raise invalid(f"Expected inputs by name: {sorted(signature.inputs)}")
        given = {next(iter(signature.inputs)): given}
    inputs = {
        key: _of_json(key, value, signature.inputs[key].dtype)
        for key, value in given.items()
        if key in signature.inputs
    }
    if set(inputs) != set(given):
        raise invalid(f"Expected inputs {sorted(signature.inputs)}")
    outputs = {
        key: _to_json(key, value) for key, value in version.run(name, inputs).items()
    }
    single = len(outputs) == 1
    if not in_rows:
        return {"outputs": next(iter(outputs.values())) if single else outputs}
    if single:
        return {"predictions": next(iter(outputs.values()))}
    rows = zip(*outputs.values(), strict=True)
    return {"predictions": [dict(zip(outputs, row, strict=True)) for row in rows]}


def _of_json(key, value, dtype):
    try:
        array = np.asarray(value)
        # Numbers as text, floats for ints and rows of several lengths are refused.
        kinds = "iuf" if dtype == _FLOAT else "i"
        if array.size and array.dtype.kind not in kinds:
            raise ValueError(f"values of {array.dtype}")
        return array.astype(_DTYPES[dtype])
    except (ValueError, OverflowError) as error:
        raise invalid(
            f"JSON Value of {key!r} is not a tensor of "
            f"{np.dtype(_DTYPES[dtype])}: {error}"
        ) from error


def _to_json(key, array):
    if array.dtype == object:
        # The name says that these are bytes.
        if not key.endswith("_bytes"):
            return [value.decode() for value in array]
        return [{"b64": base64.b64encode(value).decode()} for value in array]
    return array.tolist()


class _RestServer(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _flag(text):
    return {"true": True, "false": False}[text.lower()]


def parsed_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="of gRPC; 0 takes a free")
    parser.add_argument("--rest_api_port", type=int, default=0)
    parser.add_argument("--model_name", default="default")
    parser.add_argument("--model_base_path")
    parser.add_argument("--model_config_file")
    parser.add_argument("--model_config_file_poll_wait_seconds", type=float, default=0)
    parser.add_argument("--file_system_poll_wait_seconds", type=float, default=0.2)
    parser.add_argument(
        "--allow_version_labels_for_unavailable_models", type=_flag, default=False
    )
    return parser.parse_args()


def read_config(arguments):
    config = model_server_config_pb2.ModelServerConfig()
    if arguments.model_config_file:
        text = pathlib.Path(arguments.model_config_file).read_text()
        return text_format.Parse(text, config)
    config.model_config_list.config.add(
        name=arguments.model_name,
        base_path=arguments.model_base_path,
        model_platform="tensorflow",
    )
    return config


def keep_polling(models, arguments):
    """Reads the file system and the configuration until the process ends."""
    config, read = read_config(arguments), time.monotonic()
    while True:
        time.sleep(arguments.file_system_poll_wait_seconds)
        models.poll()
        wait = arguments.model_config_file_poll_wait_seconds
        if wait and time.monotonic() - read >= wait:
            read = time.monotonic()
            try:
                changed = read_config(arguments)
                if changed != config:
                    config = changed
                    models.reload(changed)
            except (Refused, OSError, text_format.ParseError) as error:
                print(f"reload: {error}", file=sys.stderr, flush=True)


def main():
    arguments = parsed_arguments()
    try:
        models = Models(
            read_config(arguments),
            arguments.allow_version_labels_for_unavailable_models,
        )
    except Refused as refused:
        sys.exit(f"Failed to start server. Error: {refused.message}")
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(max_workers=8),
        options=[
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Prediction(models), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(Service(models), server)
    port = server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    Rest.models = models
    rest = _RestServer(("127.0.0.1", arguments.rest_api_port), Rest)
    server.start()
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    threading.Thread(target=keep_polling, args=(models, arguments), daemon=True).start()
    print(json.dumps({"grpc": port, "rest": rest.server_address[1]}), flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    server.stop(None)
    # The library's threads need not be joined.
    os._exit(0)


if __name__ == "__main__":
    # Of all threads, so that sigwait alone gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    socket.setdefaulttimeout(60)
    main()
