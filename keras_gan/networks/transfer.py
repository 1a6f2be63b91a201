"""Takes the weights of one network into another, as far as the two are alike."""

import itertools
import math
import re

import keras
import numpy as np

from keras_gan.conditional import ConditionalBatchNormalization, LabelProjection
from keras_gan.networks.conditioning import JOINED

# Layers whose weights of two dimensions have a row for each class.
_TABLES = (keras.layers.Embedding, ConditionalBatchNormalization, LabelProjection)
# So many weights that are not taken have their names said.
_MOST_NAMES = 8


class Transfer:
    """What a network can take of another one, by the same builder.

    Layers are matched in their order, where they are of one kind and their weights have
    equal shapes: of all ways to do so, by the one that takes the most values. So a
    network for larger images finds the layers that it shares with one for smaller
    images at either end. Three differences do not count:

    - Classes. A layer with a row for each class takes those of the classes of the same
      name.
    - Labels that join a layer's inputs in one of the networks alone, or as another
      number of values. The rows of the other inputs are taken.
    - Labels of a batch normalisation. Where the other one has none, each class takes
      its gain and its shift.

    Args:
        network: Keras model that takes the weights.
        other: Keras model that has them.
        classes, other_classes: the names of the classes 0, 1, ... of each; None for a
            network without labels.

    Attributes:
        fits: bool, whether any layer does.
    """

    def __init__(self, network, other, classes=None, other_classes=None):
        self.network = network
        self._rows = _rows_of_classes(classes, other_classes)
        ours = list(_layers(network, len(classes or ())))
        theirs = list(_layers(other, len(other_classes or ())))
        # Keras numbers the names that it gives, through a process.
        names = {re.sub(r"_\d+$", "", each.name) for each in (network, other)}
        self._places = _aligned(ours, theirs) if len(names) == 1 else []
        self._ours, self._theirs = ours, theirs
        self.fits = bool(self._places)

    def take(self, name: str) -> str:
        """Takes the weights; returns which, and which start as they were built.

        Args:
            name: str, what the network is called in what is returned.

        Returns:
            str, such as "14 of 16 weights of the discriminator; not: logits (256, 1)
            for (512, 1)": a layer or a single weight, and the shapes of its kernel,
            theirs for ours where the other network has a layer of that kind there.
        """
        count, notes = 0, {}
        left_out = list(self._unlike())
        for i, j in self._places:
            for ours, theirs in zip(self._ours[i], self._theirs[j], strict=True):
                if self._give(ours, theirs, notes):
                    count += 1
                else:
                    left_out.append(_described(ours.variable.path, theirs, ours))
        text = f"{count} of {len(self.network.weights)} weights of the {name}"
        text += f" ({', '.join(notes)})" if notes else ""
        if not left_out:
            return text
        text += f"; not: {', '.join(left_out[:_MOST_NAMES])}"
        more = len(left_out) - _MOST_NAMES
        return f"{text} and {more} more" if more > 0 else text

    def _unlike(self):
        """Our layers that fit none, as `take` names them."""
        ends = [(-1, -1), *self._places, (len(self._ours), len(self._theirs))]
        for (i, j), (next_i, next_j) in itertools.pairwise(ends):
            left = self._theirs[j + 1 : next_j]
            for layer in self._ours[i + 1 : next_i]:
                like = [n for n, each in enumerate(left) if each.kind == layer.kind]
                theirs = left[like[0]].kernel if like else None
                yield _described(layer.name, theirs, layer.kernel)
                left = left[like[0] + 1 :] if like else left

    def _give(self, ours, theirs, notes):
        """Assigns the weight `theirs` to `ours`, and says whether it fits."""
        if theirs.by_class and not ours.by_class:
            return False
        values = keras.ops.convert_to_numpy(theirs.variable)
        shape = tuple(ours.variable.shape)
        if ours.by_class and not theirs.by_class:
            values = np.broadcast_to(values, shape)
        elif ours.by_class:
            rows, others = self._rows
            if len(rows) < shape[0]:
                notes[f"{len(rows)} of {shape[0]} classes by name"] = None
            if not rows:
                return False
            values = _with_rows(ours, rows, values[others])
        elif values.shape != shape:
            rows = ours.shape[0]
            if rows < shape[0]:
                notes[f"{rows} of {shape[0]} rows of {ours.variable.path}"] = None
            values = _with_rows(ours, slice(rows), values[:rows])
        ours.variable.assign(values)
        return True


def _with_rows(weight, rows, values):
    """The values of a weight, some rows replaced."""
    replaced = keras.ops.convert_to_numpy(weight.variable).copy()
    replaced[rows] = values
    return replaced


def _described(name, *weights):
    """A name, and the shapes of the weights that there are."""
    shapes = [str(tuple(each.variable.shape)) for each in weights if each is not None]
    return f"{name} {' for '.join(shapes)}"


class _Weight:
    """A weight, and the shape that another one must have to be of use to it.

    Args:
        variable: Keras variable.
        by_class: bool, whether it has a row for each class.
        unlabelled: int or None, its first rows, which read no values of a label.
    """

    def __init__(self, variable, by_class=False, unlabelled=None):
        self.variable = variable
        self.by_class = by_class
        self.shape = tuple(variable.shape)
        if by_class:
            self.shape = self.shape[1:]
        elif unlabelled is not None:
            self.shape = (unlabelled, *self.shape[1:])


class _Layer(list):
    """The `_Weight`s of a layer, its name, its kind and its kernel."""

    def __init__(self, layer, num_classes, unlabelled):
        super().__init__()
        self.name = layer.name
        # With labels and without, these are in the same places.
        self.kind = type(layer).__name__.removeprefix("Conditional")
        inner = layer.layer if isinstance(layer, keras.layers.Wrapper) else layer
        is_table = isinstance(inner, _TABLES)
        for variable in layer.weights:
            is_matrix = len(variable.shape) == 2
            by_class = is_table and is_matrix and variable.shape[0] == num_classes
            self.append(_Weight(variable, by_class, unlabelled if is_matrix else None))
        self.form = self.kind, [weight.shape for weight in self]
        # Not the first, which may be the vector of a spectral normalisation.
        self.kernel = max(self, key=lambda weight: len(weight.shape))
        self.size = sum(math.prod(variable.shape) for variable in layer.weights)


def _layers(network, num_classes):
    """The layers of a network that have weights, in their order."""
    joined = next((each for each in network.layers if each.name == JOINED), None)
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer, num_classes)
        elif layer.weights:
            reads_labels = joined is not None and layer.input is joined.output
            unlabelled = joined.input[0].shape[-1] if reads_labels else None
            yield _Layer(layer, num_classes, unlabelled)


def _aligned(ours, theirs):
    """Returns the places (i, j) of layers that fit, in order, with the most values."""
    # Of the layers from i and from j on.
    best = np.zeros((len(ours) + 1, len(theirs) + 1), np.int64)

    def with_both(i, j):
        is_fit = ours[i].form == theirs[j].form
        return best[i + 1, j + 1] + ours[i].size if is_fit else -1

    for i in reversed(range(len(ours))):
        for j in reversed(range(len(theirs))):
            best[i, j] = max(best[i + 1, j], best[i, j + 1], with_both(i, j))
    places, i, j = [], 0, 0
    while i < len(ours) and j < len(theirs):
        if best[i, j] == with_both(i, j):
            places.append((i, j))
            i, j = i + 1, j + 1
        elif best[i, j] == best[i + 1, j]:
            i += 1
        else:
            j += 1
    return places


def _rows_of_classes(names, others):
    """Returns the rows of the classes that both have: ours, and theirs."""
    places = {name: row for row, name in enumerate(others or ())}
    rows = [row for row, name in enumerate(names or ()) if name in places]
    return rows, [places[names[row]] for row in rows]
