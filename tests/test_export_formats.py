"""Generators as one file, ONNX or LiteRT, which computes what Keras does."""

import importlib.util
import json
import os
import pathlib
import sys
import warnings
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gan import experiments, export, priors, runs
from keras_gan.commands import console
from keras_gan.export import goldens, litert, portable
from keras_gan.samples import to_unit
from tests import helpers
from tests.export_helpers import compiled, image_gan, loaded
from tests.test_export import preset_gan

HAS_ONNX = all(
    importlib.util.find_spec(name) for name in ("tf2onnx", "onnx", "onnxruntime")
)
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="needs the extra onnx")
SUFFIXES = {"onnx": ".onnx", "litert": ".tflite"}
both = pytest.mark.parametrize(
    "format", [pytest.param("onnx", marks=needs_onnx), "litert"]
)


def answer(path, latents):
    """Runs a file as a user does; returns (name of the output, its values)."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(
            str(path), providers=["CPUExecutionProvider"]
        )
        (given,), (output,) = session.get_inputs(), session.get_outputs()
        assert (given.name, given.type) == ("latents", "tensor(float)")
        assert given.shape[0] == output.shape[0] == "batch"
        return output.name, session.run(None, {"latents": latents})[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of its new name
        interpreter = tf.lite.Interpreter(model_path=str(path))
    (signature,) = interpreter.get_signature_list().items()
    name, names = signature
    assert (name, names["inputs"]) == ("serving_default", ["latents"])
    # By the tensors, as C does; the signature is run by what is tested.
    (given,), (output,) = (
        interpreter.get_input_details(),
        (interpreter.get_output_details()),
    )
    assert given["shape_signature"][0] == output["shape_signature"][0] == -1
    interpreter.resize_tensor_input(given["index"], latents.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], latents)
    interpreter.invoke()
    return names["outputs"][0], interpreter.get_tensor(output["index"])


def card_of(path):
    if path.suffix == ".onnx":
        import onnxruntime

        metadata = onnxruntime.InferenceSession(str(path)).get_modelmeta()
        return json.loads(metadata.custom_metadata_map["gan_card"])
    return json.loads(zipfile.ZipFile(path).read("gan_card.json"))


def write(gan, folder, format, **options):
    """Exports into a new folder; returns the only file in it."""
    path = folder / f"new/tiny{SUFFIXES[format]}"
    assert gan.export(path, format=format, **options) == path
    assert list(path.parent.iterdir()) == [path]
    return path


# === What the file computes ===


@both
@pytest.mark.parametrize(
    "value_range", [helpers.slow((0.0, 1.0)), helpers.slow((-1.0, 1.0)), (-3.0, 3.0)]
)
def test_images_are_those_of_the_saved_model(tmp_path, format, value_range):
    gan = image_gan(value_range, activation="linear")
    gan.generator.layers[-2].kernel.assign(4 * gan.generator.layers[-2].kernel)
    path = write(gan, tmp_path, format)
    latents = gan.latent_prior.sample(200, 3).numpy()
    name, found = answer(path, latents)
    assert name == "images" and found.dtype == np.float32
    expected = to_unit(gan.predict(latents, verbose=0), value_range)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert (found.min(), found.max()) == (0.0, 1.0)  # clipped
    served = loaded(gan.export(tmp_path / "base"), "serving_default", latents=latents)
    np.testing.assert_allclose(found, served["images"], atol=1e-6)


@both
def test_batches_of_every_size_and_rows_of_nan(tmp_path, format):
    # A ReLU makes a number of NaN.
    gan = image_gan(hidden=[keras.layers.Dense(8, "relu")])
    path = write(gan, tmp_path, format)
    latents = gan.latent_prior.sample(33, 0).numpy()
    whole = answer(path, latents)[1]
    for size in (1, 2, 7, 32):
        np.testing.assert_allclose(
            answer(path, latents[:size])[1], whole[:size], atol=1e-6
        )
    damaged = latents.copy()
    damaged[[0, 4, 8], 1] = np.nan, np.inf, -np.inf
    found = answer(path, damaged)[1]
    assert np.isnan(found[[0, 4, 8]]).all()
    others = np.setdiff1d(np.arange(33), [0, 4, 8])
    np.testing.assert_allclose(found[others], whole[others], atol=1e-6)


@both
def test_samples_that_are_no_images_keep_their_values(tmp_path, format):
    gan = helpers.tiny_gan()
    path = write(gan, tmp_path, format)
    latents = 100 * gan.latent_prior.sample(50, 0).numpy()
    name, found = answer(path, latents)
    expected = gan.predict(latents, verbose=0)
    assert name == "samples" and np.abs(expected).max() > 1
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert card_of(path)["value_range"] is None


@both
def test_the_averaged_generator_is_written(tmp_path, format):
    gan = compiled(image_gan(), ema_decay=0.9)
    gan.averaged_generator.layers[-2].bias.assign(np.linspace(-1, 1, 20))
    path = write(gan, tmp_path, format)
    latents = gan.latent_prior.sample(5, 0).numpy()
    averaged = gan.averaged_generator.predict(latents, verbose=0)
    raw = gan.generator.predict(latents, verbose=0)
    found = answer(path, latents)[1]
    np.testing.assert_allclose(found, averaged, atol=1e-6)
    assert np.abs(found - raw).max() > 0.1
    assert card_of(path)["averaged"] is True


@both
@pytest.mark.parametrize("policy", ["mixed_float16", helpers.slow("mixed_bfloat16")])
def test_mixed_precision_computes_in_float32(tmp_path, format, policy):
    gan = image_gan(hidden=[keras.layers.Dense(16, "relu", dtype=policy)])
    path = write(gan, tmp_path, format)
    # The model is as before.
    assert gan.generator.layers[1].dtype_policy.name == policy
    latents = gan.latent_prior.sample(30, 0).numpy()
    weights = gan.generator.get_weights()
    plain = image_gan(hidden=[keras.layers.Dense(16, "relu")])
    plain.generator.set_weights(weights)
    found = answer(path, latents)[1]
    exactly = plain.predict(latents, verbose=0)
    np.testing.assert_allclose(found, exactly, atol=1e-6)
    mixed = gan.predict(latents, verbose=0)
    assert 1e-6 < np.abs(found - mixed).max() < 0.02


@keras.saving.register_keras_serializable("tests_formats")
class Own(keras.Model):
    """A user's network: convolutions, normalisation, no layer graph."""

    def __init__(self, **options):
        super().__init__(**options)
        self.start = keras.layers.Dense(7 * 7 * 4, "relu")
        self.larger = keras.layers.Conv2DTranspose(8, 4, 2, "same")
        self.normalized = keras.layers.BatchNormalization()
        self.twice = keras.layers.UpSampling2D(interpolation="bilinear")
        self.pixels = keras.layers.Conv2D(1, 3, padding="same", activation="tanh")

    def call(self, latents, training=False):
        values = keras.ops.reshape(self.start(latents), (-1, 7, 7, 4))
        values = self.normalized(self.larger(values), training=training)
        return self.pixels(self.twice(keras.ops.leaky_relu(values)))


@both
def test_a_users_own_network(tmp_path, format):
    generator = Own()
    generator(tf.zeros((1, 3)))
    generator.normalized.moving_mean.assign(np.linspace(-0.1, 0.1, 8))
    path = tmp_path / f"own{SUFFIXES[format]}"
    prior = priors.Uniform(3)
    export.export_file(generator, prior, path, format, value_range=(-1, 1))
    latents = prior.sample(9, 1).numpy()
    expected = to_unit(generator.predict(latents, verbose=0), (-1, 1))
    found = answer(path, latents)[1]
    assert found.shape == (9, 28, 28, 1) and found.std() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5)


@keras.saving.register_keras_serializable("tests_formats")
class OwnVariables(keras.layers.Layer):
    """A layer whose weights are TensorFlow's, of which Keras knows nothing."""

    def __init__(self, **options):
        super().__init__(**options)
        self.shift = tf.Variable([0.5, -0.5, 0.25, 0.0, 1.0, -1.0, 2.0, 3.0])

    def call(self, inputs):
        return inputs + self.shift


@both
def test_layers_with_a_state(tmp_path, format):
    layers = [
        keras.layers.Dropout(0.5, seed=0),
        keras.layers.BatchNormalization(),
        OwnVariables(),
    ]
    gan = image_gan(hidden=layers)
    gan.generator(gan.latent_prior.sample(50, 0), training=True)
    layers[1].moving_mean.assign_add(np.linspace(0, 1, 8))
    path = write(gan, tmp_path, format)
    latents = gan.latent_prior.sample(30, 0).numpy()
    expected = gan.predict(latents, verbose=0)
    np.testing.assert_allclose(answer(path, latents)[1], expected, atol=1e-6)


@both
@pytest.mark.parametrize(
    ("use_bias", "channels"),
    [
        (True, 3),
        helpers.slow(True, 1),
        helpers.slow(False, 1),
        helpers.slow(False, 3),
    ],
)
def test_a_transposed_convolution_before_the_map_to_the_unit_range(
    tmp_path, format, channels, use_bias
):
    """LiteRT's converter makes a wrong bias of the number that the map adds."""
    generator = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(32),
            keras.layers.Reshape((4, 4, 2)),
            keras.layers.Conv2DTranspose(channels, 3, 2, "same", use_bias=use_bias),
        ]
    )
    path = tmp_path / f"x{SUFFIXES[format]}"
    prior = priors.Normal(3)
    export.export_file(generator, prior, path, format, value_range=(-0.5, 2))
    latents = prior.sample(9, 1).numpy()
    expected = to_unit(generator.predict(latents, verbose=0), (-0.5, 2))
    assert 0 < np.median(expected) < 1
    np.testing.assert_allclose(answer(path, latents)[1], expected, atol=1e-6)


@both
@pytest.mark.parametrize(
    "name",
    [
        "digits",
        *map(helpers.slow, ("mnist", "gaussian1d", "tfd", "cifar10_conv")),
    ],
)
def test_networks_of_presets(tmp_path, monkeypatch, format, name):
    generator, prior = preset_gan(experiments.PRESETS[name], monkeypatch)
    is_toy = name == "gaussian1d"
    value_range = None if is_toy else (-2.0, 2.0) if "cifar" in name else (0.0, 1.0)
    path = tmp_path / f"file{SUFFIXES[format]}"
    export.export_file(generator, prior, path, format, value_range=value_range)
    latents = prior.sample(9, 1).numpy()
    expected = generator.predict(latents, verbose=0)
    if not is_toy:
        expected = to_unit(expected, value_range)
    np.testing.assert_allclose(answer(path, latents)[1], expected, atol=1e-5)
    # Weights once, in float32; equal ones, such as biases of zero, may be one.
    size = sum(weight.nbytes for weight in generator.get_weights())
    assert 0.99 * size < path.stat().st_size < 1.05 * size + 30_000


# === What the file says ===


@both
def test_the_card_is_in_the_file(tmp_path, format):
    gan = image_gan((-1.0, 1.0), activation="tanh")
    path = write(gan, tmp_path, format, card={"dataset": "größe"})
    card = card_of(path)
    assert (card["name"], card["format"]) == ("tiny", format)
    assert card["dataset"] == "größe" and card["seed"] == 0
    assert card["sample_shape"] == [4, 5, 1] and card["value_range"] == [-1.0, 1.0]
    assert (card["latent_dim"], card["output"]) == (3, "images")
    assert "signatures" not in card and card["tolerance"] == portable.TOLERANCE
    prior = keras.saving.deserialize_keras_object(card["latent_prior"])
    assert prior.get_config() == gan.latent_prior.get_config()
    # The goldens are of this file.
    latents = np.array([each["latents"] for each in card["goldens"]], np.float32)
    again = goldens.goldens(goldens.SEEDS, latents, answer(path, latents)[1])
    for stated, found in zip(card["goldens"], again, strict=True):
        np.testing.assert_allclose(found["values"], stated["values"], atol=1e-6)


# === What is refused ===


@pytest.mark.parametrize(
    "format", [pytest.param("onnx", marks=needs_onnx), helpers.slow("litert")]
)
def test_nothing_is_written_of_what_differs(tmp_path, monkeypatch, format):
    """A runtime that errs by a little more than the tolerance, everywhere or once."""
    gan = image_gan()
    module = portable._MODULES[format]
    load = module.load
    kept = tmp_path / f"kept{SUFFIXES[format]}"
    kept.write_bytes(b"old")

    def everywhere(samples):
        return samples + np.float32(2 * portable.TOLERANCE)

    def once(samples):
        samples = samples.copy()
        samples[-1, 3, 4] += np.float32(2 * portable.TOLERANCE)
        return samples

    def zero_for_nan(samples):
        return np.nan_to_num(samples)

    for error, reason in (
        (everywhere, "differ by 0.0002"),
        (once, "differ by 0.0002"),
        (zero_for_nan, "NaN stands elsewhere"),
        (lambda samples: samples[:, :3], "it gives float32 (9, 3, 5, 1)"),
        (lambda samples: samples.astype(np.float16), "it gives float16"),
    ):

        def wrong(content, error=error):
            answer = load(content)
            return lambda latents: error(answer(latents))

        monkeypatch.setattr(module, "load", wrong)
        with pytest.raises(ValueError) as caught:
            gan.export(kept, format=format)
        message = str(caught.value)
        assert reason in message and "\n" not in message
        assert message.startswith(f"{module.NAME} computes other samples than Keras")
    assert kept.read_bytes() == b"old" and list(tmp_path.iterdir()) == [kept]
    monkeypatch.setattr(module, "load", load)
    gan.export(kept, format=format)
    assert kept.stat().st_size > 1000


@keras.saving.register_keras_serializable("tests_formats")
class Noise(keras.layers.Layer):
    def call(self, inputs):
        return inputs + tf.random.normal(tf.shape(inputs))


@keras.saving.register_keras_serializable("tests_formats")
class Bessel(keras.layers.Layer):
    def call(self, inputs):
        return tf.math.bessel_i0(inputs) + tf.math.bessel_i1(inputs)


@keras.saving.register_keras_serializable("tests_formats")
class InPython(keras.layers.Layer):
    def call(self, inputs):
        doubled = tf.numpy_function(lambda values: 2 * values, [inputs], tf.float32)
        doubled.set_shape(inputs.shape)
        return doubled


@both
@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Noise, "computes other samples than Keras"),
        (Bessel, "it has no operation BesselI0, BesselI1"),
        (InPython, "it has no operation PyFunc"),
    ],
)
def test_layers_that_no_runtime_has(tmp_path, format, layer, reason):
    gan = image_gan(hidden=[layer()])
    with pytest.raises(ValueError) as caught:
        gan.export(tmp_path / f"new/x{SUFFIXES[format]}", format=format)
    message = str(caught.value)
    assert reason in message and "'tiny'" in message and "\n" not in message
    assert list(tmp_path.iterdir()) == []


def test_litert_has_no_other_floats(tmp_path):
    gan = image_gan(hidden=[keras.layers.Dense(4, dtype="float64")])
    with pytest.raises(ValueError, match="but weights are float64"):
        gan.export(tmp_path / "x.tflite", format="litert")
    assert list(tmp_path.iterdir()) == []


@both
def test_weights_in_16_bits_are_named(tmp_path, format):
    """Mixed precision keeps them in 32, and is exported."""
    gan = image_gan(hidden=[keras.layers.Dense(4, dtype="float16")])
    with pytest.raises(ValueError, match="in float32, but weights are float16"):
        gan.export(tmp_path / f"x{SUFFIXES[format]}", format=format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "options", "message"),
    [
        ("x.onnx", {"format": "onx"}, "Expected `format` to be one of 'saved_model', "
         "'onnx', 'litert'. Received: 'onx'. Did you mean 'onnx'?"),
        ("x.onnx", {"format": "tf_saved_model"}, "Did you mean 'saved_model'"),
        ("x.onnx", {"format": None}, "Expected `format` to be one of"),
        ("x", {"format": "onnx"}, "Expected a file that ends in .onnx, for "
         "format='onnx'. Received: x"),
        ("x.tflite", {"format": "onnx"}, "Expected a file that ends in .onnx"),
        ("x.onnx", {"format": "litert"}, "Expected a file that ends in .tflite"),
        ("x.onnx", {}, "Expected a directory, for a SavedModel. Received: x.onnx; "
         "pass format='onnx' for a file"),
        ("x.tflite", {"format": "saved_model"}, "pass format='litert' for a file"),
        ("x.tflite", {"format": "litert", "version": 3}, "Expected no `version` for "
         "format='litert'"),
        ("x.tflite", {"format": "litert", "check": print}, "Expected no `check`"),
        ("folder.tflite", {"format": "litert"}, "Received a directory: folder.tflite"),
        ("file/x.tflite", {"format": "litert"}, "x.tflite, below the file /"),
        ("x.tflite", {"format": "litert", "card": {"score": {1}}}, "that JSON can"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit(tmp_path, monkeypatch, path, options, message):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("folder.tflite").mkdir()
    pathlib.Path("file").touch()

    def convert(*arguments):
        raise AssertionError("converted before the arguments were checked")

    monkeypatch.setattr(litert, "convert", convert)
    with pytest.raises(ValueError) as caught:
        image_gan().export(path, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(os.listdir()) == ["file", "folder.tflite"]


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(
        ModuleNotFoundError,
        match=r"tf2onnx is not installed. Run: pip install 'keras_gan\[onnx\]'",
    ):
        image_gan().export(tmp_path / "x.onnx", format="onnx")
    assert list(tmp_path.iterdir()) == []


def test_nan_weights(tmp_path):
    gan = image_gan()
    gan.generator.layers[-2].bias.assign(np.full(20, np.nan))
    with pytest.raises(ValueError, match="samples hold NaN or infinity"):
        gan.export(tmp_path / "x.tflite", format="litert")
    assert list(tmp_path.iterdir()) == []


# === Of a run ===


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "tiny"
    experiment = experiments.get_preset("digits", {"epochs": 1, "latent_dim": 4})
    runs.train(runs.Run(path, experiment))
    return path


@both
def test_the_command_writes_a_file(run, tmp_path, capfd, format):
    suffix = SUFFIXES[format]
    flags = [f"--model={run}", f"--format={format}"]
    assert console.run(["export", *flags]) == 0
    path = run / f"export/tiny{suffix}"
    captured = capfd.readouterr()
    assert captured.out.splitlines()[-1] == f"Published {path}"
    assert captured.err == ""
    card = card_of(path)
    assert (card["name"], card["dataset"]) == ("tiny", "digits")
    gan = runs.load_gan(run)
    latents = gan.latent_prior.sample(3, 0).numpy()
    expected = gan.generate(3, seed=0)
    np.testing.assert_allclose(answer(path, latents)[1], expected, atol=1e-5)
    # The folder of versions may hold it.
    assert runs.export_run(run).name == str(len(export.versions(run / "export")))
    output = tmp_path / f"new/own{suffix}"
    assert console.run(["export", *flags, f"--output={output}"]) == 0
    assert card_of(output)["name"] == "own"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format=onnx", "--base=x"], "Expected no --base with --format=onnx. Pass "
         "--output for the file."),
        (["--format=litert", "--version=2"], "Expected no --version"),
        (["--format=litert", "--noverify"], "Expected no --verify"),
        (["--output=x.onnx"], "Expected no --output with --format=saved_model. Pass "
         "--format=onnx or --format=litert for a file."),
        (["--format=tflite"], "flag --format=tflite: value should be one of "
         "<saved_model|onnx|litert>"),
    ],
)  # fmt: skip
def test_flags_of_another_format(capsys, flags, message):
    assert console.run(["export", "--model=nothing", *flags]) == 1
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.startswith("error: ")
    assert captured.out == "" and len(captured.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format=litert", "--output=x.onnx"], "Expected a file that ends in "
         ".tflite, for --format=litert. Received: x.onnx"),
        (["--base=x.onnx"], "pass --format=onnx for a file"),
    ],
)  # fmt: skip
def test_a_wrong_suffix_is_one_line(run, monkeypatch, tmp_path, capfd, flags, message):
    monkeypatch.chdir(tmp_path)
    assert console.run(["export", f"--model={run}", *flags]) == 1
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_converted_is_one_line(tmp_path, capfd):
    """The converter's own report of many lines does not reach the terminal."""
    gan = compiled(image_gan(hidden=[Bessel()]))
    gan.save(tmp_path / "gan.keras")
    flags = [f"--model={tmp_path / 'gan.keras'}", "--format=litert"]
    assert console.run(["export", *flags]) == 1
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1 and "it has no operation BesselI0, BesselI1" in lines[0]
    assert not (tmp_path / "export").exists()
