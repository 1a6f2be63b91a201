"""Undocumented names of Keras and TensorFlow: each still does what is asked of it."""

import types

import keras
import numpy as np

from keras_gan import keras_private


@keras.saving.register_keras_serializable("tests")
class Nested(keras.layers.Layer):
    """A layer that keeps others in an attribute, a list, a dict and a tuple."""

    def __init__(self):
        super().__init__(dtype="float32")
        self.attribute = keras.layers.Dense(2, dtype="mixed_float16")
        self.several = [keras.layers.Dense(2, dtype="mixed_bfloat16")]
        self.inner = {"model": keras.Sequential([keras.layers.Dense(2)])}
        self.pair = (keras.layers.Dropout(0.5, dtype="float64"),)

    def build(self, input_shape):
        self.attribute.build(input_shape)

    def call(self, inputs):
        return self.attribute(inputs)


def network(layer):
    return keras.Sequential([keras.Input((2,)), layer])


def test_compute_dtypes_reach_layers_inside_of_layers():
    plain = network(keras.layers.Dense(2))
    assert keras_private.compute_dtypes(plain) == {"float32"}
    half = network(keras.layers.Dense(2, dtype="mixed_float16"))
    assert keras_private.compute_dtypes(half) == {"float32", "float16"}
    wrapped = network(
        keras.layers.SpectralNormalization(
            keras.layers.Dense(2, dtype="mixed_bfloat16"), dtype="float32"
        )
    )
    assert keras_private.compute_dtypes(wrapped) == {"float32", "bfloat16"}
    # A model inside of a model, whose layers keep layers in every kind of container.
    nested = network(network(Nested()))
    assert keras_private.compute_dtypes(nested) == {
        "float32", "float16", "bfloat16", "float64",
    }  # fmt: skip


def test_compute_dtypes_of_several_networks_are_their_union():
    first = network(keras.layers.Dense(2, dtype="float64"))
    second = network(keras.layers.Dense(2, dtype="mixed_float16"))
    assert keras_private.compute_dtypes(first, second) == {
        "float64", "float32", "float16",
    }  # fmt: skip
    assert keras_private.compute_dtypes() == set()


def test_operations_say_whether_they_keep_a_state():
    assert not keras_private.operation("MatMul").is_stateful
    assert keras_private.operation("RandomUniform").is_stateful
    assert keras_private.operation("NoSuchOperation") is None


def test_gradients_taken_counts_accumulated_ones():
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    weight = keras.Variable([1.0, 2.0])
    optimizer.build([weight])
    for taken, updates in ((1, 0), (2, 1), (3, 1)):
        optimizer.apply([keras.ops.ones(2)], [weight])
        assert int(keras_private.gradients_taken(optimizer)) == taken
        assert int(optimizer.iterations) == updates


def test_an_optimizer_clips_what_all_replicas_gave_together():
    """As on two replicas that have the same gradient; this one stands for both."""
    replicas = types.SimpleNamespace(count=2, sum=lambda given: [2 * x for x in given])
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=5.0)
    weights = [keras.Variable([0.0]), keras.Variable([0.0])]
    optimizer.build(weights)
    for _ in range(2):
        keras_private.clip_sums(optimizer, replicas)
    # (6, 8) at norm 5 is (3, 4), of which each replica gives half.
    optimizer.apply([keras.ops.array([3.0]), keras.ops.array([4.0])], weights)
    found = [float(weight.numpy()[0]) for weight in weights]
    np.testing.assert_allclose(found, [-1.5, -2.0], rtol=1e-6)


def test_keras_builds_by_the_name_that_built_models_override():
    assert callable(keras.Model._maybe_symbolic_build)


def test_names_count_on_as_if_nothing_had_been_made_between():
    keras.layers.Dense(1)
    with keras_private.numbers_of_names_kept():
        inside = [keras.layers.Dense(1).name for _ in range(3)]
        keras.layers.Dropout(0.1)
    after = keras.layers.Dense(1).name
    assert after == inside[0] != inside[1]
    assert keras.layers.Dense(1).name == inside[1]


def test_a_model_lets_go_of_what_an_attribute_held():
    model = keras.Model()
    model.extra, model.other = keras.layers.Dense(3), keras.layers.Dense(4)
    for layer in (model.extra, model.other):
        layer.build((None, 2))
    model.counter = counter = model.add_weight((), name="counter")
    assert len(model.weights) == 2 + 2 + 1
    keras_private.let_go(model, model.extra, counter, None, keras.layers.Dense(1))
    assert model.layers == [model.other] and len(model.weights) == 2
    # What it lets go, it takes again.
    model.extra = model.extra
    assert model.layers == [model.other, model.extra] and len(model.weights) == 2 + 2
