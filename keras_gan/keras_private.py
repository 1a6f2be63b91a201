"""The names of Keras that are not public and that nothing public replaces.

Each is used here alone and has a test of its own, so that a new Keras that changes one
says so by name.
"""


def compute_dtypes(*networks) -> set[str]:
    """Returns the dtypes that the layers of networks compute in.

    `Layer.layers` names direct sublayers of models only, and not those of a layer that
    holds others.
    """
    return {
        layer.compute_dtype
        for network in networks
        for layer in network._flatten_layers()
    }


def gradients_taken(optimizer):
    """Returns the variable that counts each gradient an optimizer was given.

    With gradient accumulation the public `iterations` counts updates only.
    """
    return optimizer._iterations


class BuiltModel:
    """Mixin for a `keras.Model` whose networks are built when it is made.

    Under a strategy Keras would draw a batch from the data to build by. A stream of
    batches that depends on how often it was asked, such as `Dataset.batches`, would
    enter the first epoch one batch late, and its last would end the epoch early.
    """

    def _maybe_symbolic_build(self, *args, **kwargs):
        """Does nothing."""
