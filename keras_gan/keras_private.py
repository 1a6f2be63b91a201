"""Everything that this package uses of Keras and TensorFlow beyond documented names.

One function for each name, each with a test in tests/test_keras_private.py that fails
where a version no longer has it. (`export.verification.c_session` calls TensorFlow's C
API, which is public in C.)
"""

import collections
import contextlib

import keras


def layers_of(network: keras.Model) -> list:
    """Returns the layers of a network, and the layers in them.

    Uses `keras.Layer._flatten_layers`. `Model.layers` stops at the layers of a layer,
    and `tf.train.TrackableView` misses those that a layer keeps in a list or a tuple.

    Args:
        network: Keras model, built or not.
    """
    return list(network._flatten_layers())


def compute_dtypes(*networks: keras.Model) -> set[str]:
    """Returns the dtypes that the layers of networks compute in, nested layers too.

    Args:
        *networks: Keras models, built or not.

    Returns:
        set of dtype names, such as `{"float16", "float32"}`.
    """
    return {layer.compute_dtype for network in networks for layer in layers_of(network)}


def let_go(model: keras.Model, *parts):
    """Makes a model forget layers or variables that its attributes held.

    Uses `keras.Layer._tracker`. An attribute that is given another layer leaves the
    one before among the model's `layers`, and so among its weights and in its files.

    Args:
        model: Keras model.
        *parts: layers or variables; those that it does not hold, and None, are passed
            over.
    """
    was_locked = model._tracker.locked
    model._tracker.unlock()
    try:
        for part in parts:
            model._tracker.untrack(part)
    finally:
        if was_locked:
            model._tracker.lock()


def gradients_taken(optimizer):
    """Returns the variable that counts each gradient an optimizer was given.

    With gradient accumulation the public `iterations` counts updates only.
    """
    return optimizer._iterations


def clip_sums(optimizer, replicas):
    """Makes an optimizer of several replicas clip the sums of their gradients.

    Replaces `keras.optimizers.Optimizer._clip_gradients`, by which Keras clips the
    gradients of each replica, before it sums them.

    Args:
        optimizer: Keras optimizer; one that does not clip stays as it is.
        replicas: `replicas.Replicas`.
    """
    limits = optimizer.clipnorm, optimizer.global_clipnorm, optimizer.clipvalue
    if all(limit is None for limit in limits):
        return

    def clipped(gradients):
        # The class's: on the object an earlier `compile` may have replaced it.
        own = type(optimizer)._clip_gradients(optimizer, replicas.sum(gradients))
        return [gradient / replicas.count for gradient in own]  # which Keras sums

    optimizer._clip_gradients = clipped


@contextlib.contextmanager
def numbers_of_names_kept():
    """Lets Keras number layers and models made inside anew for those made afterwards.

    Uses the counts behind `keras.backend.get_uid`. What is made afterwards is named as
    if nothing had been made inside.
    """
    from keras.src.backend.common import global_state

    name = "object_name_uids"
    before = dict(global_state.get_global_attribute(name, {}))
    try:
        yield
    finally:
        counts = collections.defaultdict(int, before)
        global_state.set_global_attribute(name, counts)


def operation(name: str):
    """Returns TensorFlow's OpDef of an operation, or None where it has none.

    No public name says whether an operation keeps a state.
    """
    from tensorflow.python.framework import op_def_registry

    return op_def_registry.get(name)


class BuiltModel:
    """Mixin for a `keras.Model` whose networks are built when it is made.

    Under a strategy Keras would draw a batch from the data to build by. A stream of
    batches that depends on how often it was asked, such as `Dataset.batches`, would
    enter the first epoch one batch late, and its last would end the epoch early.
    """

    def _maybe_symbolic_build(self, *args, **kwargs):
        """Does nothing."""
