"""Warmup requests: to the byte those of the package tensorflow-serving-api."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_gan import export, priors
from keras_gan.export import warmup
from keras_gan.export.signatures import Servable
from keras_gan.samples import SampleSpec

IMAGE = SampleSpec.of((4, 5, 1), (0.0, 1.0))
VECTOR = SampleSpec.of((2,), None)


def reference(name, servable):
    """The requests, serialized by tensorflow-serving-api."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    for signature in servable.signature_names:
        for size in (1, 8):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            if signature in ("sample", "sample_png"):
                key, value = "seed", np.arange(size, dtype=np.int64)
            else:
                key, value = "latents", servable.latent_prior.sample(size, 0).numpy()
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            yield prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString()


@pytest.mark.parametrize("spec", [IMAGE, VECTOR])
@pytest.mark.parametrize("name", ["digits", "größe", ""])
def test_bytes_are_those_of_tensorflow_serving_api(tmp_path, spec, name):
    servable = Servable(None, priors.Normal(3), spec)
    warmup.write_warmup(tmp_path, name, servable)
    records = tf.data.TFRecordDataset(str(tmp_path / warmup.WARMUP))
    found = list(records.as_numpy_iterator())
    assert len(found) == (8 if spec.is_image else 4)
    assert found == list(reference(name, servable))


class Older(Servable):
    """What was exported before `sample_png` was a signature."""

    signature_names = ("serving_default", "sample", "png")


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_a_published_file_is_written_again_to_the_byte(root, tmp_path, name):
    published = export.ExportedGenerator(root / "saved_models" / name)
    servable = Older(None, published.latent_prior, published.spec)
    assert list(servable.signature_names) == published.card["signatures"]
    warmup.write_warmup(tmp_path, name, servable)
    written = (tmp_path / warmup.WARMUP).read_bytes()
    assert written == (published.path / warmup.WARMUP).read_bytes()


# tensorflow_serving and grpc cannot be found, as where the extra is not installed.
CODE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow_serving", "grpc"):
            raise ModuleNotFoundError(f"{name} is hidden", name=name)

sys.meta_path.insert(0, Hidden())
import keras
import keras_gan
from keras_gan import export

def imported():
    return sorted(name for name in sys.modules if "export.verification" in name)

print("before:", imported())
print("listed:", {"verify", "VerificationError", "CARD"} <= set(dir(export)))
generator = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
prior = keras_gan.priors.Normal(2)
path = export.export_generator(generator, prior, sys.argv[1], value_range=None)
print("published:", sorted(file.name for file in path.glob("*/*")))
print("after:", imported())
print("lazy:", export.verify.__module__, export.VerificationError.__name__)
try:
    export.verfy
except AttributeError as error:
    print("error:", error)
"""


@pytest.mark.slow
def test_exporting_needs_no_extra_and_imports_no_verification(root, tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "base")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-6:] == [
        "before: []",
        "listed: True",
        "published: ['gan_card.json', 'tf_serving_warmup_requests', "
        "'variables.data-00000-of-00001', 'variables.index']",
        "after: []",
        "lazy: keras_gan.export.verification.verifier VerificationError",
        "error: module 'keras_gan.export' has no attribute 'verfy'",
    ]
