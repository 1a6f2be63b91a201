"""Conditional generators: their signatures, files and servers take labels."""

import importlib.util
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import export, networks, priors
from keras_gan.export import warmup
from keras_gan.export.signatures import Servable, write_saved_model
from keras_gan.export.verification import VerificationError, verify
from keras_gan.samples import SampleSpec
from tests.export_helpers import (
    CLASS_NAMES,
    Child,
    compiled,
    conditional_gan,
    loaded,
    reseal,
)

SIGNATURES = ("serving_default", "sample", "png", "sample_png")
LABELS = np.array([3, 0, 1, 3, 0], np.int64)
SEEDS = np.array([5, 6, -7, 2**41, 9], np.int64)

with_onnx = pytest.mark.skipif(
    not importlib.util.find_spec("tf2onnx"), reason="needs the extra onnx"
)


@pytest.fixture(scope="module")
def gan():
    return conditional_gan(networks.dcgan, width=4)


@pytest.fixture(scope="module")
def version(gan, tmp_path_factory):
    return gan.export(tmp_path_factory.mktemp("served") / "animals")


@pytest.fixture(scope="module")
def server():
    child = Child()
    yield child
    child.close()


def inputs_of(signature, rows=slice(None)):
    """Returns what a signature takes, five rows."""
    latents = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    seeded = signature in ("sample", "sample_png")
    first = {"seed": SEEDS} if seeded else {"latents": latents}
    return {key: x[rows] for key, x in {**first, "labels": LABELS}.items()}


# === What it answers ===


def test_samples_are_those_of_the_gan(gan, version, server):
    given = inputs_of("serving_default")
    expected = gan.samples_of(
        {"latents": given["latents"], "labels": LABELS.astype(np.int32)}
    )
    expected = (expected + 1) / 2
    found = server.run(version, "serving_default", **given)["images"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    other = server.run(
        version, "serving_default", **{**given, "labels": np.zeros(5, np.int64)}
    )
    differ = np.abs(other["images"] - found).max(axis=(1, 2, 3)) > 0.01
    assert differ.tolist() == (LABELS != 0).tolist()


def test_seeds_are_those_of_generate_each(gan, version, server):
    expected = (gan.generate_each(SEEDS.tolist(), labels=LABELS) + 1) / 2
    found = server.run(version, "sample", **inputs_of("sample"))
    np.testing.assert_allclose(found["images"], expected, atol=1e-5)
    assert found["latents"].shape == (5, 3)


def test_pngs_show_the_samples(version, server):
    for name, shown in (("png", "serving_default"), ("sample_png", "sample")):
        images = server.run(version, shown, **inputs_of(shown))["images"]
        contents = server.run(version, name, **inputs_of(name))["image_bytes"]
        pixels = np.stack([tf.io.decode_png(each).numpy() for each in contents])
        np.testing.assert_allclose(pixels / 255, images, atol=0.51 / 255)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_rows_do_not_depend_on_their_batch(version, server, signature):
    whole = server.run(version, signature, **inputs_of(signature))
    for rows in (slice(0, 1), slice(1, 5), slice(0, 0)):
        part = server.run(version, signature, **inputs_of(signature, rows))
        for key, value in part.items():
            if value.dtype == object:
                assert value.shape == whole[key][rows].shape
            else:
                np.testing.assert_allclose(value, whole[key][rows], atol=1e-5)


# === What it refuses ===


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.parametrize("label", [-1, 2, 4, 2**32 + 1, -(2**63)])
def test_another_label_is_an_error(version, server, signature, label):
    given = inputs_of(signature)
    given["labels"] = np.append(LABELS[1:], label)
    with pytest.raises(RuntimeError, match="Expected labels among 0, 1, 3. Received:"):
        server.run(version, signature, **given)


def test_python_loads_the_same_refusal(version):
    given = inputs_of("sample")
    given["labels"] = np.append(LABELS[1:], 4)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Expected labels among"):
        loaded(version, "sample", **given)


@pytest.mark.parametrize("signature", SIGNATURES)
def test_labels_of_another_number_type_or_rank_are_errors(version, server, signature):
    given = inputs_of(signature)
    for labels in (LABELS[:1], LABELS[:4], np.append(LABELS, 0)):
        with pytest.raises(RuntimeError, match="Expected one label for each row"):
            server.run(version, signature, **{**given, "labels": labels})
    for labels in (LABELS.astype(np.float32), LABELS.astype(np.int32), LABELS[:, None]):
        with pytest.raises(RuntimeError):
            server.run(version, signature, **{**given, "labels": labels})
    without = {key: value for key, value in given.items() if key != "labels"}
    with pytest.raises(RuntimeError):
        server.run(version, signature, **without)


def test_nan_latents_spoil_their_row_alone(version, server):
    given = inputs_of("serving_default")
    given["latents"][1, 2] = np.nan
    found = server.run(version, "serving_default", **given)["images"]
    assert np.isnan(found).any(axis=(1, 2, 3)).tolist() == [False, True, *[False] * 3]


def test_a_prior_must_know_its_classes(tmp_path):
    class AnyLabel(priors.Normal):
        def sample(self, num_samples, seed):
            latents = super().sample(num_samples, seed)
            return {"latents": latents, "labels": tf.zeros((num_samples,), tf.int32)}

        def symbolic_sample(self):
            labels = keras.KerasTensor((None,), dtype="int32")
            return {"latents": super().symbolic_sample(), "labels": labels}

    generator, _ = networks.toy_mlp((2,), num_classes=4, seed=0)
    for path in (tmp_path / "base", tmp_path / "x.tflite"):
        format = "litert" if path.suffix else None
        options = {"format": format} if format else {}
        write = export.export_file if format else export.export_generator
        with pytest.raises(ValueError, match="a prior that knows its classes") as error:
            write(generator, AnyLabel(2), path, **options)
        assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


# === Its card, its check, its place in Python ===


def test_the_card_names_the_classes(version):
    card = export.read_card(version)
    assert card["classes"] == [0, 1, 3] and card["class_names"] == list(CLASS_NAMES)
    # Seeds of the goldens take the classes in turn: one alone might ignore its label.
    assert [golden["label"] for golden in card["goldens"]] == [0, 1, 3, 0]


@pytest.mark.parametrize(
    "build",
    [pytest.param(networks.toy_mlp, marks=pytest.mark.slow), networks.digits_mlp],
)
def test_verify_passes(tmp_path, build):
    spec = SampleSpec((2,), "vector") if build is networks.toy_mlp else None
    path = conditional_gan(build, spec).export(tmp_path / "x")
    assert verify(path) == ["files", "graph", "python", "server"]


@pytest.mark.slow
def test_verify_finds_labels_that_are_clamped(gan, version):
    """Each fault is planted in a copy of the version, with a valid card."""

    class Clamping(Servable):
        def _classes_of(self, labels, latents):
            clamped = tf.cast(tf.clip_by_value(labels, 0, 3), tf.int32)
            return clamped, tf.ones_like(labels, tf.bool)

    class Ignoring(Servable):
        def _generated(self, latents, labels):
            return super()._generated(latents, tf.zeros_like(labels))

    def of(cls, names=None):
        servable = cls(gan.generator, gan.latent_prior, gan.spec)
        path = version.parent / f"other-{cls.__name__}"
        (path / "assets.extra").mkdir(parents=True)
        card = (version / export.CARD).read_text()
        (path / export.CARD).write_text(card)
        write_saved_model(servable, path, names)
        reseal(path)
        return path

    with pytest.raises(VerificationError) as caught:
        verify(of(Clamping))
    (faults,) = caught.value.failures.values()
    for label in (-1, 2, 4, 2**40):
        assert f"png: takes labels of {label}" in faults
    with pytest.raises(VerificationError, match="values of seed 1 are not the card's"):
        verify(of(Ignoring))


def test_the_graph_needs_labels_in_all_signatures_or_in_none(gan, tmp_path):
    class Forgetful(Servable):
        def sample(self, seed):
            return super().sample(seed, tf.zeros_like(seed))

    servable = Forgetful(gan.generator, gan.latent_prior, gan.spec)
    archive = keras.export.ExportArchive()
    latents, labels = keras_gan.export.signatures.input_specs(gan.latent_prior)
    seed = tf.TensorSpec((None,), tf.int64, name="seed")
    archive.add_endpoint("serving_default", servable.serving_default, [latents, labels])
    archive.add_endpoint("sample", servable.sample, [seed])
    archive.write_out(str(tmp_path), verbose=False)
    faults = export.graph.find_faults(tmp_path)
    assert faults == ["sample: no labels, where others take them"]


def test_warmup_requests_have_labels_that_are_served(version, server):
    read = warmup._prediction_log_class().FromString
    requests = [
        read(record.numpy()).predict_log.request
        for record in tf.data.TFRecordDataset(str(version / warmup.WARMUP))
    ]
    assert len(requests) == 2 * len(SIGNATURES)
    for request in requests:
        given = {key: tf.make_ndarray(x) for key, x in request.inputs.items()}
        assert given["labels"].dtype == np.int64
        server.run(version, request.model_spec.signature_name, **given)


def test_the_exported_generator_draws_as_the_gan(gan, version):
    exported = export.ExportedGenerator(version)
    for labels in (None, "fox", ["cat", "dog", "fox"]):
        found = exported.generate(3, seed=4, labels=labels)
        expected = gan.generate(3, seed=4, labels=labels)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    found = exported.generate_each([4, 5], labels="dog", batch_size=1)
    np.testing.assert_allclose(
        found, gan.generate_each([4, 5], labels="dog"), atol=1e-5
    )
    for labels in ("eel", "bat", -1, 4, 1.5, [0, 1]):
        with pytest.raises(ValueError, match="Expected `labels`") as caught:
            exported.generate(3, seed=4, labels=labels)
        assert "\n" not in str(caught.value)
    inputs = exported.latent_prior.sample(3, 4)
    with pytest.raises(ValueError, match=r"in \[0, 4\)"):
        exported.samples_of({**inputs, "labels": np.array([0, 1, 4], np.int32)})
    by_name = exported.samples_of({**inputs, "labels": np.array(["cat", "dog", "fox"])})
    np.testing.assert_array_equal(
        by_name, exported.generate(3, seed=4, labels=["cat", "dog", "fox"])
    )


def test_latents_of_another_shape_are_one_line(gan, version):
    exported = export.ExportedGenerator(version)
    drawn = exported.latent_prior.sample(3, 4)
    latents, labels = (np.asarray(drawn[name]) for name in ("latents", "labels"))
    for wrong in (
        latents,
        {"latents": latents},
        {"labels": labels},
        {"latents": latents[:, :1], "labels": labels},
    ):
        said = []
        for model in (gan, exported):
            with pytest.raises(ValueError, match="^Expected latents of") as caught:
                model.samples_of(wrong)
            said.append(str(caught.value))
        assert said[0] == said[1] and "\n" not in said[0]


def test_no_seeds_and_no_batches_are_one_line(gan, version):
    drawn = gan.latent_prior.sample(3, 4)
    for model in (gan, export.ExportedGenerator(version)):
        for call, arguments, words in (
            (model.generate_each, ([],), "at least one seed"),
            (model.generate_each, ([1], 0), "`batch_size`"),
            (model.samples_of, (drawn, 0), "`batch_size`"),
        ):
            with pytest.raises(ValueError, match=words) as caught:
                call(*arguments)
            assert "\n" not in str(caught.value)


def test_the_averaged_generator_is_exported(tmp_path):
    gan = compiled(conditional_gan(), ema_decay=0.5)
    gan.averaged_generator.set_weights([w * 0.5 for w in gan.generator.get_weights()])
    found = export.ExportedGenerator(gan.export(tmp_path / "x")).generate(4, seed=0)
    np.testing.assert_allclose(found, gan.generate(4, seed=0), atol=1e-5)


# === Files ===


@pytest.mark.parametrize("format", ["litert", pytest.param("onnx", marks=with_onnx)])
@pytest.mark.parametrize(
    "build",
    [
        networks.digits_mlp,
        pytest.param(networks.dcgan, marks=pytest.mark.slow),
        pytest.param(networks.r3gan, marks=pytest.mark.slow),
    ],
)
def test_files_take_labels(tmp_path, format, build):
    size = {"width": 4} if build is not networks.digits_mlp else {}
    gan = conditional_gan(build, **size)
    path = gan.export(tmp_path / f"x{export.portable.suffix_of(format)}", format=format)
    module = getattr(export, format)
    answer = module.load(path.read_bytes())
    given = inputs_of("serving_default")
    low, high = gan.value_range
    expected = gan.samples_of(given | {"labels": LABELS.astype(np.int32)})
    found = answer(given)
    np.testing.assert_allclose(found, (expected - low) / (high - low), atol=1e-4)
    # These runtimes raise no errors of a graph: a label that is no class gives NaN.
    found = answer({**given, "labels": np.array([0, 2, 4, -1, 3])})
    is_nan = np.isnan(found).all(axis=(1, 2, 3))
    assert is_nan.tolist() == [False, True, True, True, False]
    with pytest.raises(Exception, match="."):
        answer({**given, "labels": LABELS[:1]})


def test_a_file_has_the_classes_on_its_card(tmp_path):
    import zipfile

    path = conditional_gan().export(tmp_path / "x.tflite", format="litert")
    card = json.loads(zipfile.ZipFile(path).read("gan_card.json"))
    assert card["class_names"] == list(CLASS_NAMES) and card["classes"] == [0, 1, 3]
