"""A generator as one file that runs without TensorFlow: ONNX, or LiteRT's `.tflite`.

The file computes what the signature `serving_default` does: latents to samples, images
mapped to [0, 1] and clipped. It holds the card of `publishing`, which says what the
latents and the samples are. Seeds and PNGs stay with the SavedModel: neither format has
TensorFlow's random numbers by seed, or an encoder of PNG.
"""

import contextlib
import dataclasses
import json
import pathlib

import keras
import numpy as np

from keras_gan import checks, files, keras_private, priors
from keras_gan.export import cards, litert, onnx, publishing, signatures
from keras_gan.export.signatures import Servable
from keras_gan.samples import check_value_range

SAVED_MODEL = "saved_model"
# Each a module with `NAME`, `SUFFIX`, `check_installed`, `convert` and `load`.
_MODULES = {"onnx": onnx, "litert": litert}
FORMATS = (SAVED_MODEL, *_MODULES)
# How far the samples of two runtimes may lie apart, of values up to 1; it grows with
# larger ones. Each adds up in an order of its own, in every layer.
TOLERANCE = 1e-4


def export_file(
    generator: keras.Model,
    latent_prior,
    path,
    format: str,
    value_range: tuple[float, float] | None = (0.0, 1.0),
    card: dict | None = None,
) -> pathlib.Path:
    """Writes a generator as one file, after it was run in the format's own runtime.

    The file takes `latents`, float32 `(batch, L)`, and gives `images` in [0, 1], or
    `samples` that are no images, float32 `(batch, *sample_shape)`; the batch is of any
    size. A conditional generator's takes `labels`, int64 `(batch,)`, as well. It
    computes in float32, also where the generator computes in 16 bits. A row of latents
    that are not finite gives NaN, and so does one whose label is no class.

    Args:
        generator, latent_prior, value_range, card: see `publishing.export_generator`.
        path: str or path-like that ends in `.onnx` or `.tflite`. A file that is there
            is replaced, once the new one was checked.
        format: "onnx" or "litert".

    Returns:
        `pathlib.Path` of the file.

    Raises:
        ValueError: another format or suffix; a path that is a directory; what
            `publishing.export_generator` refuses; an operation that the format lacks;
            samples that are not Keras's within `TOLERANCE`. Nothing is written.
        ModuleNotFoundError: the extra `onnx` is not installed.
        OSError: the disk is full or read-only.
    """
    checks.one_of("format", format, _MODULES)
    check_path(path, format)
    path, module = pathlib.Path(path), _MODULES[format]
    latent_prior = priors.get(latent_prior)
    value_range = check_value_range(value_range)
    card = cards.as_json(card or {})
    files.check_output(path)
    module.check_installed()
    servable = publishing.servable_of(generator, latent_prior, value_range)
    # Neither format has an operation that stops.
    servable = dataclasses.replace(servable, refuses=False)
    with _computing_in_float32(servable.generator):
        written = {"name": path.stem, "format": format, "tolerance": TOLERANCE}
        card = {**card, **publishing.describe(servable), **written}
        # The inputs and outputs that a file has stand in it.
        del card["signatures"]
        try:
            _check_weights(servable.generator, module)
            content = module.convert(servable, json.dumps(cards.as_json(card)))
            answer = module.load(content)
            fault = _fault(servable, answer)
        except OSError:  # a full disk
            raise
        except Exception as error:  # a user's own layers fail in many ways
            raise ValueError(
                f"Cannot write the generator {generator.name!r} in the format "
                f"{module.NAME}: {checks.one_line(error)[:300].rstrip('.')}. Replace "
                "the layers that need it, or export a SavedModel."
            ) from error
    if fault:
        raise ValueError(
            f"{module.NAME} computes other samples than Keras for the generator "
            f"{generator.name!r}: {fault}. Nothing was written. Replace layers that "
            "draw random numbers or depend on other rows, or export a SavedModel."
        )
    files.write(path, content)
    return path


def check_path(path, format: str, **only_saved_model) -> None:
    """Raises unless the arguments of an export are those of its format.

    Args:
        path: str or path-like.
        format: one of `FORMATS`.
        **only_saved_model: arguments that a file cannot have, None where not given.

    Raises:
        ValueError: an unknown format, another suffix than it has, or an argument that
            it does not take.
    """
    checks.one_of("format", format, FORMATS)
    suffix = pathlib.Path(path).suffix.lower()
    if format == SAVED_MODEL:
        for name, module in _MODULES.items():
            if suffix == module.SUFFIX:
                raise ValueError(
                    "Expected a directory, for a SavedModel. Received: "
                    f"{path}; pass format={name!r} for a file"
                )
        return
    if suffix != _MODULES[format].SUFFIX:
        raise ValueError(
            f"Expected a file that ends in {_MODULES[format].SUFFIX}, for "
            f"format={format!r}. Received: {path}"
        )
    given = [name for name, value in only_saved_model.items() if value is not None]
    if given:
        raise ValueError(
            f"Expected no `{given[0]}` for format={format!r}, which is one file that "
            "is always checked. Leave it out, or export a SavedModel."
        )


def suffix_of(format: str) -> str:
    """Returns the suffix of a file format, such as ".onnx"."""
    return _MODULES[checks.one_of("format", format, _MODULES)].SUFFIX


def _fault(servable: Servable, answer) -> str | None:
    """Returns how a runtime's samples differ from Keras's, or None.

    Args:
        servable: what was converted.
        answer: function of a dict of the inputs, arrays, to samples.
    """
    inputs = signatures.inputs_of_seeds(servable.latent_prior, range(9))
    expected = signatures.expected_outputs(servable, inputs).copy()
    # One row each way of not being finite, between others.
    inputs["latents"][2, 0], inputs["latents"][5, -1] = np.nan, -np.inf
    expected[[2, 5]] = np.nan
    if "labels" in inputs:
        inputs["labels"][[1, 7]] = -1, servable.latent_prior.classes[-1] + 1
        expected[[1, 7]] = np.nan
    bound = TOLERANCE * max(1.0, float(np.nanmax(np.abs(expected))))
    # The batch is variable: all rows, one, some.
    for rows in (slice(None), slice(1), slice(4, 7)):
        found = np.asarray(answer({key: x[rows] for key, x in inputs.items()}))
        wanted = expected[rows]
        if found.dtype != np.float32 or found.shape != wanted.shape:
            return f"it gives {found.dtype} {found.shape} for float32 {wanted.shape}"
        if not np.array_equal(np.isnan(found), np.isnan(wanted)):
            return "NaN stands elsewhere"
        difference = float(np.nanmax(np.abs(found - wanted), initial=0.0))
        if difference > bound:
            return f"they differ by {difference:.2g}, where {bound:.2g} is allowed"
    return None


def _check_weights(generator, module):
    """Raises ValueError for weights in floats that the format does not compute in."""
    dtypes = {weight.dtype for weight in generator.weights}
    wrong = sorted(dtypes & {"float16", "bfloat16", "float64"} - module.FLOATS)
    if wrong:
        raise ValueError(f"it computes in float32, but weights are {', '.join(wrong)}")


@contextlib.contextmanager
def _computing_in_float32(generator):
    """Lets mixed precision compute in float32 while the block runs.

    LiteRT has no layers in 16 bits, ONNX not all. Mixed precision keeps the weights in
    float32, so that nothing is lost.
    """
    changed = []
    try:
        for layer in keras_private.layers_of(generator):
            policy = layer.dtype_policy
            # Quantized layers and maps of policies are of other classes.
            is_plain = type(policy) is keras.DTypePolicy
            if is_plain and policy.name in ("mixed_float16", "mixed_bfloat16"):
                changed.append((layer, policy))
                layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in changed:
            layer.dtype_policy = policy
