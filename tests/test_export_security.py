"""What a stranger's version could do: nothing of it is run before it is judged."""

import shutil

import keras
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import keras_gan
from keras_gan import export
from keras_gan.export import graph, operations
from tests import export_helpers
from tests.export_helpers import reseal

MARK = "crafted"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    gan = export_helpers.image_gan((-1.0, 1.0), activation="tanh")
    return gan.export(tmp_path_factory.mktemp("good") / "tiny")


class Crafted(tf.Module):
    """Looks like a generator of 3 latents to 4x5 pixels, and does `also` besides."""

    def __init__(self, also):
        super().__init__()
        self.kernel = tf.Variable(tf.ones((3, 20)))
        self.also = also

    def images(self, latents):
        images = tf.reshape(tf.sigmoid(latents @ self.kernel), (-1, 4, 5, 1))
        return self.also(images)


def writing(path):
    def also(images):
        with tf.control_dependencies([tf.io.write_file(path, "x")]):
            return tf.identity(images)

    return also


def writing_in_a_loop(path):
    """In a branch of a loop."""

    def also(images):
        def write():
            with tf.control_dependencies([tf.io.write_file(path, "x")]):
                return tf.constant(1)

        def body(i):
            return tf.cond(i >= 0, lambda: i + write(), lambda: i)

        with tf.control_dependencies([tf.while_loop(lambda i: i < 1, body, [0])[0]]):
            return tf.identity(images)

    return also


def printing(path):
    def also(images):
        tf.print("x", output_stream=f"file://{path}")
        return images

    return also


def reading(path):
    def also(images):
        content = tf.io.read_file(__file__)
        return images + tf.cast(tf.strings.length(content), tf.float32)

    return also


def listing(path):
    def also(images):
        return images + tf.cast(tf.shape(tf.io.matching_files("/*"))[0], tf.float32)

    return also


def debugging(path):
    def also(images):
        return tf.raw_ops.DebugIdentity(
            input=images, device_name="", tensor_name="x", debug_urls=[f"file://{path}"]
        )

    return also


def saving(path):
    def also(images):
        saved = tf.raw_ops.SaveV2(
            prefix=path, tensor_names=["x"], shape_and_slices=[""], tensors=[images]
        )
        with tf.control_dependencies([saved]):
            return tf.identity(images)

    return also


def crafted(folder, good, module):
    """A SavedModel with a valid card, as a stranger would publish it."""
    path = folder / "1"
    latents = tf.TensorSpec((None, 3), tf.float32, "latents")
    seed = tf.TensorSpec((None,), tf.int64, "seed")

    def drawn(seed):
        latents = tf.cast(seed[:, None], tf.float32) * tf.ones((1, 3))
        return {"images": module.images(latents), "latents": latents}

    functions = {
        "serving_default": tf.function(
            lambda latents: {"images": module.images(latents)}
        ).get_concrete_function(latents),
        "sample": tf.function(drawn).get_concrete_function(seed),
    }
    tf.saved_model.save(module, str(path), functions)
    shutil.rmtree(path / "assets", ignore_errors=True)
    shutil.copytree(good / "assets.extra", path / "assets.extra")
    reseal(path, signatures=list(functions))
    return path


def check_refused(path, mark, match):
    """Neither verified nor loaded, and nothing of it was run."""
    assert not mark.exists()
    with pytest.raises(export.VerificationError, match=match) as caught:
        export.verify(path)
    assert set(caught.value.failures) <= {"files", "graph"}
    with pytest.raises(ValueError, match="cannot be loaded"):
        export.ExportedGenerator(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("attack", "operation"),
    [
        (writing, "WriteFile"),
        (writing_in_a_loop, "WriteFile"),
        (printing, "PrintV2"),
        (reading, "ReadFile"),
        (listing, "MatchingFiles"),
        (debugging, "DebugIdentity"),
        (saving, "SaveV2"),
    ],
)
def test_a_crafted_operation_is_never_run(good, tmp_path, attack, operation):
    mark = tmp_path / MARK
    path = crafted(tmp_path, good, Crafted(attack(str(mark))))
    check_refused(path, mark, f"{operation}")


class WhenLoaded(tf.lookup.KeyValueTensorInitializer):
    """Writes a file when `tf.saved_model.load` fills a table."""

    def __init__(self, path):
        super().__init__([0], [1.0])
        self.path = path

    def initialize(self, table):
        with tf.control_dependencies([tf.io.write_file(self.path, "x")]):
            return super().initialize(table)


def test_what_runs_when_a_version_is_loaded_is_inspected(good, tmp_path):
    mark = tmp_path / MARK
    module = Crafted(lambda images: images)
    module.table = tf.lookup.StaticHashTable(WhenLoaded(str(mark)), 0.0)
    module.also = lambda images: images * module.table[tf.constant(0)]
    mark.unlink(missing_ok=True)  # written when the table was made, here
    path = crafted(tmp_path, good, module)
    mark.unlink(missing_ok=True)
    check_refused(path, mark, "WriteFile")
    tf.saved_model.load(str(path))  # what would have happened
    assert mark.exists()


def edited(good, folder, edit):
    """A good version, its graph changed by `edit`, with a valid card."""
    path = shutil.copytree(good, folder / "1")
    file = path / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString(file.read_bytes())
    edit(saved_model)
    file.write_bytes(saved_model.SerializeToString())
    (path / "fingerprint.pb").unlink()
    reseal(path)
    return path


def write_node(graph_def, mark):
    """Adds a WriteFile to the main graph; its name."""
    for name, value in (("name", str(mark)), ("content", "x")):
        node = graph_def.node.add(name=f"crafted_{name}", op="Const")
        node.attr["dtype"].type = tf.string.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    node = graph_def.node.add(name="crafted", op="WriteFile")
    node.input.extend(["crafted_name", "crafted_content"])
    return node.name


def test_the_init_op_is_inspected(good, tmp_path):
    mark = tmp_path / MARK

    def edit(saved_model):
        (meta_graph,) = saved_model.meta_graphs
        name = write_node(meta_graph.graph_def, mark)
        init = meta_graph.signature_def["__saved_model_init_op"]
        init.outputs["__saved_model_init_op"].name = name
        meta_graph.collection_def["saved_model_main_op"].node_list.value[:] = [name]

    check_refused(edited(good, tmp_path, edit), mark, "WriteFile")


def test_what_restores_the_weights_restores_only(good, tmp_path):
    mark = tmp_path / MARK

    def edit(saved_model):
        (meta_graph,) = saved_model.meta_graphs
        name = write_node(meta_graph.graph_def, mark)
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        nodes[meta_graph.saver_def.restore_op_name].input.append(f"^{name}")

    check_refused(edited(good, tmp_path, edit), mark, "WriteFile")


def test_a_request_cannot_reach_what_saves_the_weights(good, tmp_path):
    def edit(saved_model):
        (meta_graph,) = saved_model.meta_graphs
        nodes = {node.name: node for node in meta_graph.graph_def.node}
        answer = meta_graph.signature_def["serving_default"].outputs["images"].name
        save = meta_graph.saver_def.save_tensor_name.partition(":")[0]
        nodes[answer.partition(":")[0]].input.append(f"^{save}")

    path = edited(good, tmp_path, edit)
    found = graph.unsafe_operations(path)
    assert "has an operation that no generator needs (SaveV2)" in found
    # And of a version that is as it was exported, saving is no fault.
    assert graph.unsafe_operations(good) == []


def test_a_function_cannot_take_the_place_of_another(good, tmp_path):
    def replacing(saved_model):
        for function in saved_model.meta_graphs[0].graph_def.library.function:
            if "traced_save" in function.signature.name:
                function.attr["api_implements"].s = b"images"

    path = edited(good, tmp_path, replacing)
    assert any("replaces functions" in f for f in graph.unsafe_operations(path))

    def named(saved_model):
        function = saved_model.meta_graphs[0].graph_def.library.function.add()
        function.signature.name = "MatMul"

    path = edited(good, tmp_path / "other", named)
    assert graph.unsafe_operations(path) == [
        "calls a function like an operation (MatMul)"
    ]


def test_a_second_graph_and_assets_are_refused(good, tmp_path):
    def two(saved_model):
        saved_model.meta_graphs.add().CopyFrom(saved_model.meta_graphs[0])

    assert graph.unsafe_operations(edited(good, tmp_path, two)) == ["holds 2 graphs"]

    def assets(saved_model):
        saved_model.meta_graphs[0].asset_file_def.add(filename="../../secret")

    path = edited(good, tmp_path / "other", assets)
    assert graph.unsafe_operations(path) == ["reads files of assets"]


def test_a_version_whose_files_changed_is_not_loaded(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "1")
    file = next((path / "variables").glob("*.data*"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="variables.data.* is not as it was exported"):
        export.ExportedGenerator(path)


def test_a_card_names_a_prior_and_no_other_object(good, tmp_path):
    path = shutil.copytree(good, tmp_path / "1")
    dense = keras.saving.serialize_keras_object(keras.layers.Dense(3))
    export_helpers.reseal(path, latent_prior=dense)
    with pytest.raises(ValueError, match="Expected a latent prior such as") as caught:
        export.ExportedGenerator(path)
    assert "\n" not in str(caught.value)


def test_every_allowed_operation_exists_and_touches_no_file():
    """Misspelt names; the oldest TensorFlow lacks a few that the newest has."""
    names = operations.ALLOWED | operations.RESTORING | operations.SAVING
    assert len([name for name in names if not hasattr(tf.raw_ops, name)]) < 6
    for name in operations.ALLOWED:
        assert not any(
            word in name
            for word in ("File", "Write", "Print", "Debug", "PyFunc", "Save", "Summary")
        ) or name.startswith("TensorArrayWrite"), name


@pytest.mark.parametrize(
    "layers",
    [
        lambda k: [k.Dense(4 * 4 * 8), k.Reshape((4, 4, 8)), k.Conv2DTranspose(1, 3)],
        lambda k: [
            k.Dense(16), k.BatchNormalization(), k.LeakyReLU(), k.Dropout(0.1),
            k.Reshape((4, 4, 1)), k.UpSampling2D(interpolation="bilinear"),
            k.Conv2D(2, 3, activation="gelu"), k.GroupNormalization(1),
        ],
        lambda k: [
            k.Reshape((3, 1)), k.LSTM(4, return_sequences=True), k.GRU(4),
            k.LayerNormalization(), k.Dense(20), k.Reshape((4, 5, 1)),
        ],
        lambda k: [
            k.Reshape((3, 1)), k.Conv1DTranspose(4, 2), k.SeparableConv1D(4, 2),
            k.Flatten(), k.Dense(20, activation="softmax"), k.Reshape((4, 5, 1)),
            k.DepthwiseConv2D(2), k.AveragePooling2D(2), k.PReLU(), k.ELU(),
        ],
    ],
)  # fmt: skip
def test_the_layers_of_keras_need_no_other_operations(tmp_path, layers):
    generator = keras.Sequential([keras.Input((3,)), *layers(keras.layers)])
    shape = generator.output_shape[1:]
    discriminator = keras.Sequential(
        [keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(1)]
    )
    gan = keras_gan.GAN(
        generator, discriminator, keras_gan.priors.Normal(3), (-10.0, 10.0), seed=0
    )
    assert export.ExportedGenerator(gan.export(tmp_path)).generate(2).shape[1:] == shape
