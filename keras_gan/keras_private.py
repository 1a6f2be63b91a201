"""Everything that this package uses of Keras beyond its documented names.

One function for each name, each with a test in tests/test_keras_private.py that fails
where a version of Keras no longer has it.
"""

import keras


def compute_dtypes(*networks: keras.Model) -> set[str]:
    """Returns the dtypes that the layers of networks compute in, nested layers too.

    Uses `keras.Layer._flatten_layers`. `Model.layers` stops at the layers of a layer,
    and `tf.train.TrackableView` misses those that a layer keeps in a list or a tuple.

    Args:
        *networks: Keras models, built or not.

    Returns:
        set of dtype names, such as `{"float16", "float32"}`.
    """
    return {
        layer.compute_dtype
        for network in networks
        for layer in network._flatten_layers()
    }
