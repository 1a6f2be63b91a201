"""What `verify` proves of a version, each proof with a fault that it must find."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_gan import export
from keras_gan.export import cards, graph
from keras_gan.export.verification import verifier
from tests import export_helpers
from tests.export_helpers import reseal


@pytest.fixture(scope="module")
def child():
    child = export_helpers.Child()
    yield child
    child.close()


@pytest.fixture(scope="module")
def gan():
    return export_helpers.image_gan((-1.0, 1.0), activation="tanh")


@pytest.fixture(scope="module")
def good(gan, tmp_path_factory):
    return gan.export(tmp_path_factory.mktemp("good") / "tiny")


@pytest.fixture
def copy(good, tmp_path):
    return shutil.copytree(good, tmp_path / "1")


def request(path):
    card = export.read_card(path)
    return {
        "path": str(path),
        "signatures": export.read_signatures(path),
        "goldens": card["goldens"],
        "latent_dim": card["latent_dim"],
        "classes": card.get("classes"),
        "tolerance": card["tolerance"],
    }


class Plain(tf.Module):
    """A generator without Keras: 3 latents to 4x5 pixels."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(tf.random.stateless_normal((3, 20), [0, 1]))

    def images(self, latents):
        return tf.reshape(tf.sigmoid(latents @ self.kernel), (-1, 4, 5, 1))

    def latents(self, seed):
        return tf.cast(seed[:, None] % 7, tf.float32) / 7 * tf.ones((1, 3))


def plant(path, good, module=None, images=None, sample=None, latents=None, seed=None):
    """Writes a SavedModel with a fault in it, and a good version's other files."""
    module = module or Plain()
    images = images or module.images
    latents = latents or tf.TensorSpec((None, 3), tf.float32, "latents")
    seed = seed or tf.TensorSpec((None,), tf.int64, "seed")

    def default(latents):
        return {"images": images(latents)}

    def drawn(seed):
        latents = module.latents(seed)
        return {"images": images(latents), "latents": latents}

    functions = {
        "serving_default": tf.function(default).get_concrete_function(latents),
        "sample": tf.function(sample or drawn).get_concrete_function(seed),
    }
    tf.saved_model.save(module, str(path), functions)
    shutil.rmtree(path / "assets", ignore_errors=True)
    shutil.copytree(good / "assets.extra", path / "assets.extra")
    reseal(path, signatures=list(functions))
    return path


# === A good version passes ===


def test_a_good_version_passes_all(good, monkeypatch):
    began, kinds = [], []
    run = verifier.subprocess.run

    def recorded(command, **options):
        kinds.append(command[-1])
        assert options["env"]["CUDA_VISIBLE_DEVICES"] == "-1"
        process = run(command, **options)
        assert process.returncode == 0, process.stderr
        assert len(json.loads(process.stdout.splitlines()[-1])["goldens"]) == 4
        return process

    monkeypatch.setattr(verifier.subprocess, "run", recorded)
    names = ["files", "graph", "python", "server"]
    assert export.verify(good, progress=began.append) == names == began
    assert kinds == ["python", "server"]


def test_the_signatures_are_the_contract(good):
    signatures = graph.signature_defs(good)
    described = {
        name: {
            key: (info.dtype, [dim.size for dim in info.tensor_shape.dim])
            for key, info in (*signature.inputs.items(), *signature.outputs.items())
        }
        for name, signature in signatures.items()
    }
    float32, int64, string = 1, 9, 7
    latents, images = (float32, [-1, 3]), (float32, [-1, 4, 5, 1])
    assert described == {
        "serving_default": {"latents": latents, "images": images},
        "sample": {"seed": (int64, [-1]), "images": images, "latents": latents},
        "png": {"latents": latents, "image_bytes": (string, [-1])},
        "sample_png": {"seed": (int64, [-1]), "image_bytes": (string, [-1])},
    }
    assert sorted(path.name for path in good.iterdir()) == [
        "assets.extra", "fingerprint.pb", "saved_model.pb", "variables",
    ]  # fmt: skip


def test_nothing_of_keras_is_needed_by_the_server(good, child):
    latents = np.zeros((1, 3), np.float32)
    assert child.run(good, "serving_default", latents=latents)["images"].shape[0] == 1
    assert not {"keras", "keras_gan", "tensorflow"} & set(child("modules"))


def test_warmup_requests_are_answered(good, child):
    from tensorflow_serving.apis import prediction_log_pb2

    file = good / "assets.extra" / "tf_serving_warmup_requests"
    sizes = []
    for record in tf.data.TFRecordDataset(str(file)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        asked = log.predict_log.request
        inputs = {key: tf.make_ndarray(value) for key, value in asked.inputs.items()}
        signature = asked.model_spec.signature_name
        for answer in child.run(good, signature, **inputs).values():
            assert len(answer) == len(*inputs.values())
        sizes.append((signature, len(answer)))
        assert asked.model_spec.name == "tiny"
    names = ("serving_default", "sample", "png", "sample_png")
    assert sizes == [(name, size) for name in names for size in (1, 8)]


# === Faults in the graph ===


def jitted(module):
    return tf.function(module.images, jit_compile=True)


def in_python(module):
    def images(latents):
        return tf.ensure_shape(
            tf.numpy_function(lambda x: x, [module.images(latents)], tf.float32),
            (None, 4, 5, 1),
        )

    return images


def counting(module):
    """An assignment, deep inside: in a branch of a loop."""
    module.count = tf.Variable(0)

    def images(latents):
        def body(i):
            count = tf.cond(i > 0, lambda: module.count.assign_add(1), lambda: 0)
            return i + 1 + 0 * count

        with tf.control_dependencies([tf.while_loop(lambda i: i < 2, body, [0])[0]]):
            return tf.identity(module.images(latents))

    return images


def noisy(module):
    return lambda latents: module.images(latents + tf.random.normal(tf.shape(latents)))


def generator_state(module):
    module.random = tf.random.Generator.from_seed(1)
    return lambda latents: module.images(
        latents + module.random.normal(tf.shape(latents))
    )


def half(module):
    return lambda latents: tf.cast(module.images(latents), tf.float16)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (jitted, "serving_default must be compiled by XLA"),
        (in_python, "serving_default calls Python"),
        (counting, "serving_default assigns to a variable (AssignAddVariableOp)"),
        (noisy, "serving_default keeps a random state (RandomStandardNormal)"),
        (generator_state, "serving_default keeps a random state (RngReadAndSkip)"),
        (half, "serving_default: images has a dtype that REST cannot write"),
    ],
)
def test_faults_in_a_function_are_named(good, tmp_path, fault, message):
    module = Plain()
    path = plant(tmp_path / "1", good, module, images=fault(module))
    found = verifier.graph_faults(path)
    assert any(reason.startswith(message) for reason in found), found
    assert all("sample" in w for w in found if "serving_default" not in w)


def test_faults_of_shapes_are_named(good, tmp_path):
    module = Plain()
    one = tf.TensorSpec((1, 3), tf.float32, "latents")
    path = plant(tmp_path / "1", good, module, latents=one)
    faults = verifier.graph_faults(path)
    assert set(faults) == {
        "serving_default: dimension 0 of latents is not -1",
        "serving_default: dimension 0 of images is not -1",
    }
    scalar = tf.TensorSpec((), tf.int64, "seed")

    def sample(seed):
        latents = module.latents(seed[None])
        return {"images": module.images(latents), "latents": latents}

    path = plant(tmp_path / "2", good, module, sample=sample, seed=scalar)
    assert "sample: dimension 0 of seed is not -1" in verifier.graph_faults(path)


def test_harmless_operations_are_not_faults(good, tmp_path):
    module = Plain()
    module.table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer([0, 1], [1.0, 1.0]), 0.0
    )

    def images(latents):
        shuffled = tf.raw_ops.RandomIndexShuffle(
            index=1, seed=tf.constant([1, 2, 3]), max_index=5
        )
        noise = tf.random.stateless_gamma((20,), [shuffled, 1], alpha=2.0)
        factor = tf.while_loop(lambda x: x < 0, lambda x: x + 1, [0.0 * noise[0]])[0]
        tf.debugging.assert_all_finite(noise, "noise")
        tf.debugging.assert_equal(shuffled, shuffled)
        images = tf.map_fn(lambda x: x * module.table[tf.constant(0)], latents)
        return module.images(images) + factor

    path = plant(tmp_path / "1", good, module, images=tf.function(images))
    assert verifier.graph_faults(path) == []


def test_weights_twice(good, gan, tmp_path):
    path = tmp_path / "1"
    archive = keras.export.ExportArchive()
    archive.track(gan.generator)
    spec = [tf.TensorSpec((None, 3), tf.float32, name="latents")]
    archive.add_endpoint("serving_default", gan.generator.call, spec)
    archive.write_out(str(path), verbose=False)
    shutil.copytree(good / "assets.extra", path / "assets.extra")
    reseal(path)
    faults = verifier.graph_faults(path)
    assert any("bytes stored, where the generator has" in fault for fault in faults)
    shutil.rmtree(path / "assets.extra")  # where no card says how many there are
    faults = verifier.graph_faults(path)
    assert any(fault.startswith("weights stored twice: ") for fault in faults)


def test_a_keras_model_saved_by_tensorflow(good, gan, tmp_path, child):
    path = tmp_path / "1"
    tf.saved_model.save(gan.generator, str(path))
    shutil.copytree(good / "assets.extra", path / "assets.extra")
    reseal(path)
    assert "signature sample is missing" in verifier.graph_faults(path)
    # `tf.saved_model.load` takes it.
    assert tf.saved_model.load(str(path)).signatures["serving_default"]
    # The server's loader does too, and then finds no weights at any request.
    with pytest.raises(RuntimeError, match="SessionError: Could not find variable"):
        child.run(path, "serving_default", inputs=np.zeros((1, 3), np.float32))


# === Faults that only running shows ===


def test_rows_that_depend_on_their_batch(good, gan, tmp_path, child):
    module = Plain()
    assert child("by_server", request(good))["failures"] == []
    path = plant(tmp_path / "1", good, module)
    assert child("by_server", request(path))["failures"] == []

    def normalized(latents):
        mean, variance = tf.nn.moments(latents, [0])
        return module.images((latents - mean) / tf.sqrt(variance + 1e-3))

    path = plant(tmp_path / "2", good, module, images=normalized)
    assert verifier.graph_faults(path) == []
    failures = child("by_server", request(path))["failures"]
    assert "serving_default: images of a row depends on its batch, 1 + 7 rows" in (
        failures
    )


def test_pngs_of_other_pixels(good, tmp_path, child):
    module = Plain()
    path = plant(tmp_path / "1", good, module)

    def png(latents):
        pixels = tf.cast(255.0 * (1 - module.images(latents)), tf.uint8)
        return {"image_bytes": tf.map_fn(
            tf.io.encode_png, pixels, fn_output_signature=tf.string
        )}  # fmt: skip

    def next_png(seed):
        """The right picture of another seed."""
        pixels = tf.cast(255.0 * module.images(module.latents(seed + 1)), tf.uint8)
        return {"image_bytes": tf.map_fn(
            tf.io.encode_png, pixels, fn_output_signature=tf.string
        )}  # fmt: skip

    spec = tf.TensorSpec((None, 3), tf.float32, "latents")
    seed = tf.TensorSpec((None,), tf.int64, "seed")
    loaded = tf.saved_model.load(str(path))
    functions = {
        **loaded.signatures,
        "png": tf.function(png).get_concrete_function(spec),
        "sample_png": tf.function(next_png).get_concrete_function(seed),
    }
    module.kept = loaded
    tf.saved_model.save(module, str(tmp_path / "2"), functions)
    shutil.copytree(good / "assets.extra", tmp_path / "2" / "assets.extra")
    assert child("by_server", request(tmp_path / "2"))["failures"] == [
        "png: its pixels are not those of serving_default",
        "sample_png: its pixels are not those of sample",
    ]


def test_values_halfway_between_two_levels_are_no_fault(good, tmp_path, child):
    """Batches of other sizes may round them to either; that is no dependence."""
    module = Plain()
    module.kernel.assign(tf.zeros_like(module.kernel))

    def images(latents):  # 127.5 levels, +- the rounding that the batch size decides
        size = tf.cast(tf.shape(latents)[0] % 2, tf.float32)
        return module.images(latents) + (size - 0.5) * 1e-7

    def png(latents):
        pixels = tf.cast(tf.round(255.0 * images(latents)), tf.uint8)
        return {"image_bytes": tf.map_fn(
            tf.io.encode_png, pixels, fn_output_signature=tf.string
        )}  # fmt: skip

    spec = tf.TensorSpec((None, 3), tf.float32, "latents")
    path = tmp_path / "1"
    functions = {
        "png": tf.function(png).get_concrete_function(spec),
        "serving_default": tf.function(
            lambda latents: {"images": images(latents)}
        ).get_concrete_function(spec),
        "sample": tf.function(
            lambda seed: {"images": images(module.latents(seed)), "latents": seed}
        ).get_concrete_function(tf.TensorSpec((None,), tf.int64, "seed")),
    }
    tf.saved_model.save(module, str(path), functions)
    shutil.copytree(good / "assets.extra", path / "assets.extra")
    answers = [child.run(path, "png", latents=np.ones((n, 3), "f")) for n in (1, 2)]
    first, second = (answer["image_bytes"][0] for answer in answers)
    assert first != second
    asked = {**request(path), "goldens": []}
    try:
        failures = child("by_server", asked)["failures"]
    except RuntimeError as error:
        pytest.fail(str(error))
    assert failures == []


def test_forced_xla_fails_where_the_server_disables_it(good, tmp_path, child):
    module = Plain()
    path = plant(tmp_path / "1", good, module, images=jitted(module))
    with pytest.raises(RuntimeError, match="SessionError"):
        child("by_server", request(path))


# === Faults in the files ===


def damage_weights(path):
    file = path / "variables" / "variables.data-00000-of-00001"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


def truncate(name):
    def damage(path):
        content = (path / name).read_bytes()
        (path / name).write_bytes(content[: len(content) // 2])

    return damage


def alter_golden(path):
    text = (path / export.CARD).read_text()
    golden = str(json.loads(text)["goldens"][0]["mean"])
    (path / export.CARD).write_text(text.replace(golden, golden[:-1] + "7", 1))
    assert (path / export.CARD).read_text() != text


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_weights, "variables.data-00000-of-00001 is not as it was exported"),
        (truncate("saved_model.pb"), "saved_model.pb is not as it was exported"),
        (truncate("variables/variables.index"), "variables.index is not as it was"),
        (alter_golden, "gan_card.json was altered"),
        (lambda p: (p / "more").write_text(""), "more is not on the card"),
        (lambda p: shutil.rmtree(p / "variables"), "variables.index is missing"),
        (truncate(export.CARD), "with a card assets.extra/gan_card.json"),
        (lambda p: (p / export.CARD).unlink(), "(No such file or directory)"),
    ],
)
def test_damaged_files_are_named(copy, monkeypatch, damage, message):
    damage(copy)
    monkeypatch.setattr(verifier, "probe_faults", lambda path, loader: [])
    with pytest.raises(export.VerificationError) as caught:
        export.verify(copy)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert "files" in caught.value.failures


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
def test_truncated_files_fail_in_the_loader_too(copy, child, name):
    asked = request(copy)
    truncate(name)(copy)
    with pytest.raises(RuntimeError, match="SessionError"):
        child("by_server", asked)


@pytest.mark.slow
def test_goldens_of_another_generator_fail_where_it_runs(good, tmp_path, monkeypatch):
    """Digests and seal are right, and the weights are another's."""
    other = export_helpers.image_gan((-1.0, 1.0), activation="tanh")
    for weight in other.generator.weights:
        weight.assign(weight + 0.01)
    path = other.export(tmp_path)
    goldens = export.read_card(good)["goldens"]
    reseal(path, goldens=goldens)
    assert cards.file_faults(path) == verifier.graph_faults(path) == []
    with pytest.raises(export.VerificationError) as caught:
        export.verify(path)
    assert set(caught.value.failures) == {"python", "server"}
    for faults in caught.value.failures.values():
        assert "values of seed 0 are not the card's" in faults
        assert not any("latents" in fault for fault in faults)


def test_a_path_without_a_version(good, tmp_path):
    with pytest.raises(ValueError, match="Expected a version's directory"):
        export.verify(tmp_path)
    with pytest.raises(ValueError, match=f"its latest version is {good}"):
        export.verify(good.parent)


# === The client of the C API ===


def test_wrong_requests_are_errors_with_reasons(good, child):
    latents = np.zeros((2, 3), np.float32)
    for inputs, message in (
        ({"latents": latents[:, :2]}, r"\[2,2\]"),
        ({"latents": latents[0]}, r"\[3\]"),
        ({"latents": np.float32(1)}, r"\[\]"),
        ({"latents": latents.astype(np.int64)}, "int64"),
        ({"latents": latents.astype(np.float64)}, "Received: float64"),
        ({"seed": np.zeros(2, np.int64)}, "Expected inputs"),
        ({}, "Expected inputs"),
    ):
        with pytest.raises(RuntimeError, match=f"SessionError: .*{message}"):
            child.run(good, "serving_default", **inputs)
    with pytest.raises(RuntimeError, match="Expected a signature among"):
        child.run(good, "nothing", latents=latents)
    with pytest.raises(RuntimeError, match="SessionError"):
        child.run(good, "sample", seed=np.zeros(2, np.int32))
    signatures = export.read_signatures(good)
    with pytest.raises(RuntimeError, match="Expected an open session"):
        child("closed", str(good), signatures, "png", {"latents": latents})
    with pytest.raises(RuntimeError, match="SessionError"):
        child("closed", str(good / "nothing"), signatures, "png", {"latents": latents})
    # It still answers.
    assert child.run(good, "serving_default", latents=latents[:, ::-1])["images"].any()


def test_latents_that_are_not_finite_never_look_like_an_answer(tmp_path, child):
    """A generator of ReLUs makes numbers of NaN."""
    gan = export_helpers.image_gan((-1.0, 1.0), activation="relu")
    path = gan.export(tmp_path / "relu")
    latents = np.zeros((3, 3), np.float32)
    latents[1, 0], latents[2, 2] = np.nan, -np.inf
    images = child.run(path, "serving_default", latents=latents)["images"]
    assert np.isfinite(images[0]).all() and np.isnan(images[1:]).all()
    exported = export.ExportedGenerator(path)
    assert np.isfinite(exported.generate(3)).all()
    with pytest.raises(ValueError, match="`num_samples` to be an int in"):
        exported.generate(2**32 + 5)


def test_rows_of_nan_leave_their_neighbours_alone(good, child):
    latents = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    clean = child.run(good, "serving_default", latents=latents)["images"]
    files = child.run(good, "png", latents=latents)["image_bytes"]
    damaged = latents.copy()
    damaged[[0, 4, 8], 1] = np.nan, np.inf, np.nan
    images = child.run(good, "serving_default", latents=damaged)["images"]
    others = [1, 2, 3, 5, 6, 7]
    np.testing.assert_allclose(images[others], clean[others], atol=1e-6)
    assert np.isnan(images[[0, 8]]).all()
    found = child.run(good, "png", latents=damaged)["image_bytes"]
    for row in (0, 8):
        assert not tf.io.decode_png(found[row]).numpy().any()
    for row in others:
        difference = tf.io.decode_png(found[row]).numpy().astype(int)
        difference -= tf.io.decode_png(files[row]).numpy()
        assert np.abs(difference).max() <= 1


def check_memory(good, child, times):
    latents = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
    requests = [
        ("serving_default", {"latents": latents}, False),
        ("png", {"latents": latents}, False),
        ("sample", {"seed": np.arange(4)}, False),
        ("sample_png", {"seed": np.arange(4)}, False),
        ("serving_default", {"latents": latents.astype(np.int64)}, True),
        ("serving_default", {"latents": latents.astype(np.float64)}, True),
    ]
    before, after = child(
        "resident", str(good), export.read_signatures(good), requests, times
    )
    # One tensor of images that is never freed in a round would be 2560 bytes.
    assert after - before < 2560 * times / 4 + 2e6


@pytest.mark.slow
def test_ten_thousand_requests_leave_no_memory_behind(good, child):
    check_memory(good, child, 10_000)


def test_digests_leave_out_the_card_alone(good):
    files = {p.relative_to(good).as_posix() for p in good.rglob("*") if p.is_file()}
    assert set(cards.digests(good)) == files - {export.CARD}
