"""A stand-in for tensorflow_model_server on 127.0.0.1, for the tests of its clients.

    python tests/serving_standin.py --model_config_file=models.config \
        --allow_version_labels_for_unavailable_models=true

It takes the server's flags and speaks its protocols. REST, and what is loaded, are
those of `keras_gan.serving`, the server of `keras-gan serve`. This file adds gRPC
(Predict, GetModelMetadata, GetModelStatus, HandleReloadConfig), several models, and
labels by the server's rules. It batches nothing, and proves clients and shapes, not the
server.

One line of JSON on standard output, `{"grpc": port, "rest": port}`, says that the
models are loaded. It runs in a process of its own that never imports TensorFlow.
"""

import argparse
import concurrent.futures
import contextlib
import functools
import json
import logging
import os
import pathlib
import signal
import socket
import sys
import threading
import time

import numpy as np

# The package of this checkout, and nothing of it that imports TensorFlow.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import keras_gan_command  # noqa: E402

keras_gan_command.reading_flags = True
from keras_gan import serving  # noqa: E402
from keras_gan.export import listing  # noqa: E402
from keras_gan.serving.protocol import DTYPES, FLOAT, STRING, invalid  # noqa: E402

serving.protos_alone()

import grpc  # noqa: E402
from google.protobuf import text_format  # noqa: E402
from tensorflow.core.framework import tensor_pb2  # noqa: E402
from tensorflow_serving.apis import (  # noqa: E402
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2  # noqa: E402

_FIELDS = {FLOAT: "float_val", 3: "int_val", 9: "int64_val"}


class Models(serving.Models):
    """The models of a `ModelServerConfig`, and their labels."""

    def __init__(self, config, labels_first):
        super().__init__({})
        self._labels_first = labels_first
        self.reload(config)

    def reload(self, config):
        """Loads the versions of a `ModelServerConfig`, then moves the labels."""
        with self._changing:
            wanted = {model.name: model for model in config.model_config_list.config}
            before = {name: set(versions) for name, versions in self._loaded.items()}
            self.replace(
                {
                    name: functools.partial(_aspired, model)
                    for name, model in wanted.items()
                }
            )
            labels = {}
            for name, model in wanted.items():
                for label, number in model.version_labels.items():
                    current = self.labels.get(name, {}).get(label)
                    # The server lets a new label wait for its version, not an old one.
                    if number not in before.get(name, set()) and not (
                        self._labels_first and current in (None, number)
                    ):
                        raise serving.Refused(
                            "FAILED_PRECONDITION",
                            f"Request to assign label to version {number} of model "
                            f"{name}, which is not currently available for inference",
                        )
                    labels.setdefault(name, {})[label] = number
            self.labels = labels


def _aspired(model):
    """Returns the versions on the disk that the version policy asks for."""
    policy = model.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind not in ("specific", "all"):
        return serving.latest_in(model.base_path, policy.latest.num_versions or 1)()
    found = listing.versions(model.base_path)
    if kind == "specific":
        found = set(found) & set(policy.specific.versions)
    return {number: pathlib.Path(model.base_path) / str(number) for number in found}


def of_spec(models, spec):
    number = spec.version.value if spec.HasField("version") else None
    return models.find(spec.name, number, spec.version_label)


def to_array(proto):
    """Returns a TensorProto as an array; values that it omits repeat its last."""
    if proto.dtype not in DTYPES:
        raise invalid(f"Expected dtypes {sorted(DTYPES)}. Received: {proto.dtype}")
    shape = [dimension.size for dimension in proto.tensor_shape.dim]
    dtype = DTYPES[proto.dtype]
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
        proto.dtype = STRING
        proto.string_val.extend(array.ravel())
        return proto
    proto.dtype = next(code for code, dtype in DTYPES.items() if dtype == array.dtype)
    getattr(proto, _FIELDS[proto.dtype]).extend(array.ravel().tolist())
    return proto


class Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models):
        self._models = models

    def Predict(self, request, context):
        with _refusals(context):
            with of_spec(self._models, request.model_spec) as version:
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
            numbers = self._models.loaded(spec.name, number, spec.version_label)
            available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
            return get_model_status_pb2.GetModelStatusResponse(
                model_version_status=[
                    {"version": number, "state": available, "status": {}}
                    for number in numbers
                ]
            )

    def HandleReloadConfigRequest(self, request, context):
        response = model_management_pb2.ReloadConfigResponse()
        try:
            self._models.reload(request.config)
        except serving.Refused as refused:
            code = grpc.StatusCode[refused.status]
            response.status.error_code = code.value[0]
            response.status.error_message = refused.message
        return response


def metadata(models, spec):
    with of_spec(models, spec) as version:
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
    except serving.Refused as refused:
        context.abort(grpc.StatusCode[refused.status], refused.message)


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
            except (serving.Refused, OSError, text_format.ParseError) as error:
                print(f"reload: {error}", file=sys.stderr, flush=True)


def main():
    logging.basicConfig(format="%(message)s")
    arguments = parsed_arguments()
    try:
        models = Models(
            read_config(arguments),
            arguments.allow_version_labels_for_unavailable_models,
        )
    except serving.Refused as refused:
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
    rest = serving.Server("127.0.0.1", arguments.rest_api_port, models)
    server.start()
    rest.start()
    threading.Thread(target=keep_polling, args=(models, arguments), daemon=True).start()
    print(json.dumps({"grpc": port, "rest": rest.port}), flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
    server.stop(None)
    # The library's threads need not be joined.
    os._exit(0)


if __name__ == "__main__":
    # Of all threads, so that sigwait alone gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    socket.setdefaulttimeout(60)
    main()
