"""Shared by the tests of servers: the stand-in in a process of its own, requests."""

import json
import pathlib
import re
import subprocess
import sys
import urllib.error
import urllib.request

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

ROOT = pathlib.Path(__file__).resolve().parent.parent


class StandIn:
    """Starts a stand-in, and holds its process and ports."""

    def __init__(self, *flags, port=0):
        command = [sys.executable, str(ROOT / "tests" / "serving_standin.py"), *flags]
        self.process = subprocess.Popen(
            [*command, f"--port={port}"], stdout=subprocess.PIPE, text=True
        )
        line = self.process.stdout.readline()
        assert line, "the stand-in ended"
        ports = json.loads(line)
        self.grpc, self.rest = ports["grpc"], ports["rest"]
        self.url = f"http://127.0.0.1:{self.rest}/v1/models"
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.grpc}")
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self.channel)

    def predict(self, signature, model="digits", **inputs):
        """Returns (dict of arrays, version), by the API's own protos."""
        request = predict_request(model, signature, **inputs)
        response = self.stub.Predict(request, timeout=30)
        outputs = {
            name: tf.make_ndarray(proto) for name, proto in response.outputs.items()
        }
        return outputs, response.model_spec.version.value

    def resident_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024

    def stop(self):
        self.channel.close()
        self.process.terminate()
        self.process.wait(timeout=30)
        self.process.stdout.close()


def predict_request(model, signature, version=None, label=None, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def post(url, content):
    """(status, JSON) of a POST."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    try:
        with urllib.request.urlopen(url, data=body, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
