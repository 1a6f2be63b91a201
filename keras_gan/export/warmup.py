"""The requests that a model server runs before it reports that it is ready.

The server reads a TFRecord file of `tensorflow.serving.PredictionLog`. Of its messages
a warmup needs four, and of those the fields below, so this file declares them itself:
the encoding holds field numbers, not the names of messages, and the bytes are those of
the package tensorflow-serving-api. That package, with gRPC, is for clients; exporting
does without it.
"""

import functools
import pathlib

import numpy as np
import tensorflow as tf

from keras_gan.export.signatures import ENCODE, SEEDED, Servable, inputs_of

# Two sizes: one request, and a batch of them.
BATCH_SIZES = (1, 8)
WARMUP = "assets.extra/tf_serving_warmup_requests"

# By tensorflow_serving/apis/{model,predict,prediction_log}.proto.
_PACKAGE = "keras_gan.warmup"
_MESSAGES = """
    name: "keras_gan/warmup.proto" package: "keras_gan.warmup" syntax: "proto3"
    dependency: "tensorflow/core/framework/tensor.proto"
    message_type {
      name: "ModelSpec"
      field { name: "name" number: 1 type: TYPE_STRING }
      field { name: "signature_name" number: 3 type: TYPE_STRING }
    }
    message_type {
      name: "PredictRequest"
      field { name: "model_spec" number: 1
              type: TYPE_MESSAGE type_name: ".keras_gan.warmup.ModelSpec" }
      field { name: "inputs" number: 2 label: LABEL_REPEATED
              type: TYPE_MESSAGE
              type_name: ".keras_gan.warmup.PredictRequest.InputsEntry" }
      nested_type {
        name: "InputsEntry"
        options { map_entry: true }
        field { name: "key" number: 1 type: TYPE_STRING }
        field { name: "value" number: 2
                type: TYPE_MESSAGE type_name: ".tensorflow.TensorProto" }
      }
    }
    message_type {
      name: "PredictLog"
      field { name: "request" number: 1
              type: TYPE_MESSAGE type_name: ".keras_gan.warmup.PredictRequest" }
    }
    message_type {
      name: "PredictionLog"
      field { name: "predict_log" number: 6
              type: TYPE_MESSAGE type_name: ".keras_gan.warmup.PredictLog" }
    }
"""


def write_warmup(path: pathlib.Path, name: str, servable: Servable) -> None:
    """Writes a request of every size in `BATCH_SIZES` for every signature.

    Args:
        path: the version's directory.
        name: the model's name.
        servable: what is exported.

    Raises:
        tf.errors.OpError: the disk is full.
    """
    file = path / WARMUP
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for signature in servable.signature_names:
            for size in BATCH_SIZES:
                log = _prediction_log(name, signature, size, servable)
                writer.write(log.SerializeToString())


def _prediction_log(name, signature, size, servable):
    log = _prediction_log_class()()
    request = log.predict_log.request
    request.model_spec.name = name
    request.model_spec.signature_name = signature
    latent_prior, spec = servable.latent_prior, servable.spec
    inputs = inputs_of(latent_prior, latent_prior.sample(size, 0))
    if signature == ENCODE:
        inputs = {servable.output_name: np.zeros((size, *spec.shape), np.float32)}
    if signature in SEEDED:
        del inputs["latents"]
        inputs["seed"] = np.arange(size, dtype=np.int64)
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return log


@functools.cache
def _prediction_log_class():
    """Returns the message class `PredictionLog`, its inputs TensorFlow's own protos."""
    from google.protobuf import (
        descriptor_pb2,
        descriptor_pool,
        message_factory,
        text_format,
    )
    from tensorflow.core.framework import tensor_pb2  # noqa: F401, fills the pool

    messages = text_format.Parse(_MESSAGES, descriptor_pb2.FileDescriptorProto())
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(messages.SerializeToString())
    descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.PredictionLog")
    return message_factory.GetMessageClass(descriptor)
