"""Loads a SavedModel in a process of its own: `python probe.py python|server`.

A request, JSON on standard input: `path`, `signatures` (see `c_session.Session`),
the card's `goldens`, `latent_dim`, `sample_shape` and `classes` (None without labels),
`tolerance` (of outputs of up to 1; it grows with larger ones). The answer, JSON on
standard output: `goldens` as they are found and, for the server's loader, `failures`,
one reason for each property that does not hold.

This file runs as a script that imports nothing of `keras_gan` or `keras`: a model that
needs them to load would not load in a server.
"""

import importlib.util
import io
import json
import pathlib
import sys

import numpy as np

# A dtype that each input must refuse.
_OTHER_DTYPES = {
    "latents": "int64",
    "seed": "float32",
    "labels": "int32",
    "images": "int64",
    "samples": "int64",
}
_ROWS = 8


def _load_goldens():
    """Returns the module `export/goldens.py`, loaded by its path."""
    file = pathlib.Path(__file__).resolve().parent.parent / "goldens.py"
    spec = importlib.util.spec_from_file_location("goldens", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found_goldens(request, answer):
    """Returns the card's goldens as a loaded model computes them.

    Args:
        request: dict, see above.
        answer: function from a signature and its inputs to its outputs.
    """
    goldens = _load_goldens()
    inputs = goldens.inputs_of(request["goldens"])
    answers = answer("sample", inputs)
    name = next(name for name in answers if name != "latents")
    encoded = None
    if "encode" in request["signatures"]:
        encoded = answer("encode", {name: answers[name]})["latents"]
    return goldens.goldens(
        inputs["seed"].tolist(),
        answers["latents"],
        answers[name],
        inputs.get("labels"),
        encoded,
    )


class _Blind:
    """A finder that does not find some packages, and leaves the rest to another."""

    def __init__(self, finder, packages):
        self._finder = finder
        self._packages = packages

    def find_spec(self, name, path=None, target=None):
        # None, not an error: TensorFlow asks whether there is a Keras.
        if name.partition(".")[0] in self._packages:
            return None
        return self._finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self._finder, name)


def by_python(request):
    """Answers by `tf.saved_model.load`, where keras and keras_gan cannot be found."""
    hidden = ("keras", "keras_gan")
    sys.meta_path[:] = [_Blind(finder, hidden) for finder in sys.meta_path]
    import tensorflow as tf

    model = tf.saved_model.load(request["path"])

    def answer(signature, inputs):
        inputs = {name: tf.constant(value) for name, value in inputs.items()}
        outputs = model.signatures[signature](**inputs)
        return {name: value.numpy() for name, value in outputs.items()}

    goldens = found_goldens(request, answer)
    loaded = sorted(set(hidden) & set(sys.modules))
    if loaded:
        raise ImportError(f"{', '.join(loaded)} was loaded all the same")
    return {"goldens": goldens}


def by_server(request):
    """Answers by the server's own loader, and tests what batching demands."""
    import c_session

    session = c_session.Session(request["path"], request["signatures"])
    rng = np.random.default_rng(0)
    latents = rng.uniform(-1, 1, (_ROWS, request["latent_dim"])).astype(np.float32)
    given = {"latents": latents, "seed": rng.integers(-(2**63), 2**63 - 1, _ROWS)}
    classes = request["classes"]
    if classes is not None:
        given["labels"] = rng.choice(np.asarray(classes, np.int64), _ROWS)
    failures, answers = [], {}
    for signature, names in request["signatures"].items():
        if signature == "encode":
            (name,) = names["inputs"]
            given[name] = rng.uniform(0, 1, (_ROWS, *request["sample_shape"]))
            given[name] = given[name].astype(np.float32)
        inputs = {name: given[name] for name in names["inputs"]}
        answers[signature] = session.run(signature, inputs)
        failures += _batching_failures(
            session, signature, inputs, answers[signature], request["tolerance"]
        )
        failures += _input_failures(session, signature, inputs)
        failures += _label_failures(session, signature, inputs, classes)
    failures += _png_failures(answers, request["tolerance"])
    goldens = found_goldens(request, session.run)
    session.close()
    return {"goldens": goldens, "failures": failures}


def _batching_failures(session, signature, inputs, answer, tolerance):
    """Lists the outputs whose rows change where the batch is cut in two."""
    failures = []
    for size in range(_ROWS + 1):
        first = session.run(signature, {key: x[:size] for key, x in inputs.items()})
        rest = session.run(signature, {key: x[size:] for key, x in inputs.items()})
        for output, whole in answer.items():
            parts, bound = np.concatenate([first[output], rest[output]]), tolerance
            if whole.dtype == object:
                # PNG rounds: a value halfway between two levels may become either.
                parts, whole = _pixels(parts), _pixels(whole)
                bound = tolerance + 1.01 / 255
            if not _equal(parts, whole, bound):
                failures.append(
                    f"{signature}: {output} of a row depends on its batch, "
                    f"{size} + {_ROWS - size} rows"
                )
    return failures


def _input_failures(session, signature, inputs):
    """Lists the wrong inputs that a signature takes without an error."""
    failures = []
    for name, rows in inputs.items():
        dtype = _OTHER_DTYPES[name]
        wrong = {dtype: rows.astype(dtype), "another rank": rows[0]}
        for description, value in wrong.items():
            if _is_taken(session, signature, {**inputs, name: value}):
                failures.append(f"{signature}: takes {name} of {description}")
    return failures


def _label_failures(session, signature, inputs, classes):
    """Lists the wrong labels that a signature takes without an error."""
    if classes is None:
        return []
    labels = inputs["labels"]
    # What is no class at either end, and between them if one was never trained on.
    others = set(range(-1, max(classes) + 2)) - set(classes)
    wrong = {
        str(label): np.append(labels[1:], label) for label in [*sorted(others), 2**40]
    }
    wrong["another number of rows"] = labels[:1]
    return [
        f"{signature}: takes labels of {description}"
        for description, value in wrong.items()
        if _is_taken(session, signature, {**inputs, "labels": value})
    ]


def _is_taken(session, signature, inputs):
    """Whether a signature answers."""
    import c_session

    try:
        session.run(signature, inputs)
    except c_session.SessionError:
        return False
    return True


def _png_failures(answers, tolerance):
    """Lists the signatures whose PNGs show other images than those they stand for."""
    failures = []
    for name, shown in (("png", "serving_default"), ("sample_png", "sample")):
        if name not in answers:  # of no images, or of an older export
            continue
        pixels = _pixels(answers[name]["image_bytes"])
        images = answers[shown]["images"].reshape(pixels.shape)
        if not _equal(pixels, images, tolerance + 0.51 / 255):
            failures.append(f"{name}: its pixels are not those of {shown}")
    return failures


def _equal(first, second, tolerance):
    """Whether two answers are equal, but for sums in another order."""
    if first.shape != second.shape:
        return False
    bound = tolerance * max(1.0, float(np.abs(second).max(initial=0.0)))
    return bool(np.allclose(first, second, rtol=0, atol=bound))


def _pixels(contents):
    """Returns the pixels of PNG files, in [0, 1]."""
    from PIL import Image

    pixels = []
    for content in contents:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            pixels.append(np.asarray(image) / 255.0)
    return np.stack(pixels)


if __name__ == "__main__":
    request = json.load(sys.stdin)
    answer = {"python": by_python, "server": by_server}[sys.argv[1]](request)
    print(json.dumps(answer))
