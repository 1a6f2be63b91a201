"""Loads a SavedModel in a process of its own: `python probe.py python|server`.

A request, JSON on standard input: `path`, `signatures` (see `c_session.Session`),
`seeds`, `latent_dim`, `tolerance` (of outputs of up to 1; it grows with those beyond).
The answer, JSON on standard output: `goldens` of the seeds and, for the server's
loader, `failures`: words on every property that does not hold.

This file runs as a script, with nothing of `keras_gan` or `keras` to import: what needs
them to load would not load in a server.
"""

import io
import json
import sys

import numpy as np


def golden(latents, samples):
    """What is remembered of one sample: all latents, 64 values, the mean."""
    values = np.asarray(samples, np.float64).ravel()
    picked = values[np.linspace(0, len(values) - 1, min(64, len(values))).astype(int)]
    return {
        "latents": np.asarray(latents, np.float64).tolist(),
        "values": picked.tolist(),
        "mean": float(values.mean()),
    }


def goldens(answers, seeds):
    """The goldens of an answer of the signature `sample` to these seeds."""
    samples = next(value for name, value in answers.items() if name != "latents")
    return [
        {"seed": seed, **golden(answers["latents"][row], samples[row])}
        for row, seed in enumerate(seeds)
    ]


class _Blind:
    """A finder that cannot see some packages, and else does what it did."""

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
    """`tf.saved_model.load`, where neither keras nor keras_gan can be found."""
    hidden = ("keras", "keras_gan")
    sys.meta_path[:] = [_Blind(finder, hidden) for finder in sys.meta_path]
    import tensorflow as tf

    model = tf.saved_model.load(request["path"])
    answers = model.signatures["sample"](seed=tf.constant(request["seeds"], tf.int64))
    answers = {name: value.numpy() for name, value in answers.items()}
    loaded = sorted(set(hidden) & set(sys.modules))
    if loaded:
        raise ImportError(f"{', '.join(loaded)} was loaded all the same")
    return {"goldens": goldens(answers, request["seeds"])}


def by_server(request):
    """The server's own loader, and what batching asks of each signature."""
    import c_session

    session = c_session.Session(request["path"], request["signatures"])
    failures = []
    latent_dim, seeds = request["latent_dim"], request["seeds"]
    rng = np.random.default_rng(0)
    inputs = {
        "latents": rng.uniform(-1, 1, (8, latent_dim)).astype(np.float32),
        "seed": rng.integers(-(2**63), 2**63 - 1, 8),
    }
    tolerance = request["tolerance"]
    wholes = {}
    for signature, names in request["signatures"].items():
        (name,) = names["inputs"]
        rows = inputs[name]
        whole = wholes[signature] = session.run(signature, {name: rows})
        for size in range(9):
            part = session.run(signature, {name: rows[:size]})
            rest = session.run(signature, {name: rows[size:]})
            for output, value in whole.items():
                parts = np.concatenate([part[output], rest[output]])
                bound = tolerance
                if value.dtype == object:
                    # A value halfway between two levels may become either.
                    parts, value = _pixels(parts), _pixels(value)
                    bound = tolerance + 1.01 / 255
                if not _equal(parts, value, bound):
                    failures.append(
                        f"{signature}: {output} of a row depends on its batch, "
                        f"{size} + {8 - size} rows"
                    )
        for words, wrong in (
            ("float32" if name == "seed" else "int64", _other_dtype(rows)),
            ("another rank", rows[0]),
        ):
            try:
                session.run(signature, {name: wrong})
                failures.append(f"{signature}: takes {name} of {words}")
            except c_session.SessionError:
                pass
    if "png" in wholes:
        pixels = _pixels(wholes["png"]["image_bytes"])
        pictures = wholes["serving_default"]["images"].reshape(pixels.shape)
        if not _equal(pixels, pictures, tolerance + 0.51 / 255):
            failures.append("png: its pixels are not those of serving_default")
    answers = session.run("sample", {"seed": np.asarray(seeds, np.int64)})
    session.close()
    return {"goldens": goldens(answers, seeds), "failures": failures}


def _other_dtype(rows):
    return rows.astype(np.int64 if rows.dtype == np.float32 else np.float32)


def _equal(first, second, tolerance):
    """Whether two answers are the same, but for sums in another order."""
    if first.shape != second.shape:
        return False
    bound = tolerance * max(1.0, float(np.abs(second).max(initial=0.0)))
    return bool(np.allclose(first, second, rtol=0, atol=bound))


def _pixels(contents):
    """The pixels of PNG files, in [0, 1]."""
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
