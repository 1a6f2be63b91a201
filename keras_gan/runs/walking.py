"""A walk through the latents, as an animated picture or a film."""

import functools
import math
import pathlib

import numpy as np
import tensorflow as tf

from keras_gan import checks, files, inference
from keras_gan.pictures import by_class, formats, grids
from keras_gan.runs import given_images
from keras_gan.runs.generating import load_generator

_SIDE = 480
# What a film's frames may take in memory, as pixels.
_MOST_BYTES = 2 * 1024**3


def write_walk(
    model,
    output,
    num_samples=None,
    seed=0,
    stops=None,
    frames=20,
    fps=20,
    labels=None,
    images=None,
    steps=500,
) -> int:
    """Films G(z) while z goes from one draw of the prior to the next, and back.

    Between two draws the latents follow `priors.LatentPrior.between`. The last frame
    leads to the first, so that the film can be looped. With `labels` the class goes
    from each to the next and back in the same time, see `conditional.of_mixtures`.

    Args:
        model: str or path-like, see `generating.load_generator`; of images.
        output: str or path-like, ends in `.gif`, or in `.mp4`, which needs the extra
            `video`.
        num_samples: int >= 1, walks side by side, in a grid; 16 by default.
        seed: int >= 0; walk i visits the latents of the seeds from `seed + i * stops`
            on, those of `generate_each`.
        stops: int, draws that a walk visits, 4 by default. Where it visits several
            classes, 1 by default: the latents stay. Else >= 2.
        frames: int >= 1, from one of them, or from one class, to the next: of the two,
            those of which there are more.
        fps: int in [1, 100], frames in a second; at most 50 of a `.gif`: browsers show
            one that is faster at 10. A `.gif` counts in hundredths of a second, so that
            its frames differ by one where `fps` does not divide 100.
        labels: a class or several, ints or names, which all walks visit. None keeps
            those of the first draws, where the prior draws labels.
        images: list of str, see `given_images.load_images`: one walk then visits these
            pictures, by the latents that `inference.project` finds with this seed, in
            the place of draws. Between them `inference.between` leads. `labels` is then
            None or one class for all.
        steps: int >= 1, of `inference.project`.

    Returns:
        The number of frames in the film.

    Raises:
        ValueError: another suffix, a model that makes no images, labels that are no
            classes of it, or more frames than memory should hold; several labels of an
            export, or of a generator that takes no mixtures; fewer than two pictures,
            or some that cannot be read.
        OSError: an output that cannot be written.
        ModuleNotFoundError: a `.mp4` without the extra.
    """
    output = pathlib.Path(output)
    if output.suffix not in (".gif", ".mp4"):
        raise ValueError(
            f"Expected an output that ends in .gif or .mp4. Received: {output}"
        )
    if images is not None:
        _check_alone(num_samples, stops, labels)
    num_samples = checks.num_samples(16 if num_samples is None else num_samples)
    seed = checks.count("seed", seed, minimum=0, maximum=10**18)
    visits_classes = np.size(labels) > 1  # None has the size of one
    if stops is None:
        stops = 1 if visits_classes else 4
    stops = checks.count("stops", stops, minimum=1 if visits_classes else 2)
    frames = checks.count("frames", frames)
    fps = checks.count("fps", fps, maximum=50 if output.suffix == ".gif" else 100)
    files.check_output(output)
    if output.suffix == ".mp4":
        checks.require("imageio_ffmpeg", extra="video")
    generator = load_generator(model)
    grids.check_images(generator.spec)
    if images is not None:
        images = _pictures(images, model, generator)
        stops = len(images)
    if labels is not None:
        labels = generator.latent_prior.labels_of(labels, np.size(labels))
    legs = max(stops, np.size(labels))
    columns = math.ceil(math.sqrt(num_samples))
    side = max(_SIDE, columns * (max(generator.spec.shape[:2]) + 1) + 1)
    most = _MOST_BYTES // (3 * side**2)
    if legs * frames > most:
        raise ValueError(
            f"Expected at most {most:,} frames in a film of {num_samples:,} walks. "
            f"Received: {legs} stops of {frames} frames"
        )
    if images is None:
        between = generator.latent_prior.between
        draws, fixed = _draws(generator.latent_prior, num_samples, seed, stops)
    else:
        between = functools.partial(inference.between, generator)
        draws, fixed, labels = _projected(generator, images, seed, steps, labels)
    walk = _walk(generator, draws, fixed, labels, legs * frames, between)
    pictures = [
        grids.enlarge(grids.grid(grids.visible(samples, generator.spec)), _SIDE)
        for samples in walk
    ]
    _write(output, pictures, fps)
    return len(pictures)


def _write(output, pictures, fps):
    with files.replacing(output) as temporary:
        if output.suffix == ".mp4":
            formats.write_mp4(temporary, pictures, fps)
        else:
            # Each frame ends at the nearest hundredth: their rounding does not add up.
            ends = np.round(np.arange(len(pictures) + 1) * 100 / fps).astype(int)
            milliseconds = (10 * np.diff(ends)).tolist()
            temporary.write_bytes(formats.encode_gif(pictures, milliseconds))


def _check_alone(num_samples, stops, labels):
    """Raises ValueError where a walk through pictures is given what they decide."""
    if num_samples not in (None, 1) or stops is not None or np.size(labels) > 1:
        raise ValueError(
            "Expected no `num_samples`, no `stops` and at most one of `labels` with "
            f"`images`, which one walk visits. Received: {num_samples}, {stops} and "
            f"{labels}"
        )


def _pictures(names, model, generator):
    """Returns the pictures that a walk visits, float32 `(n, *spec.shape)`."""
    bits = functools.partial(given_images.trained_bits, model, generator)
    images = given_images.load_images(names, generator.spec, trained_bits=bits)
    if len(images) < 2:
        raise ValueError(
            "Expected `images` of two pictures or more, between which a walk leads. "
            f"Received: {len(images)}"
        )
    return images


def _draws(prior, num_samples, seed, stops):
    """Returns latents `(num_samples, stops, L)`, and the label of each walk or None."""
    # Of walk i the rows i * stops and on.
    draws = prior.sample_each(range(seed, seed + num_samples * stops))
    fixed = None
    if isinstance(draws, dict):
        draws, fixed = draws["latents"], draws["labels"][::stops]
    return np.reshape(draws, (num_samples, stops, -1)), fixed


def _projected(generator, images, seed, steps, labels):
    """Returns what `_draws` does of pictures, and the classes to visit or None."""
    label = None if labels is None else int(np.ravel(labels)[0])
    found = inference.project(generator, images, steps=steps, seed=seed, labels=label)
    if found.labels is None:
        return found.latents[None], None, None
    if len(np.unique(found.labels)) > 1:
        return found.latents[None], None, found.labels
    return found.latents[None], found.labels[:1], None


def _walk(generator, draws, fixed, labels, num_frames, between):
    """Yields the samples of each frame: float32 `(num_samples, *sample_shape)`.

    Args:
        draws: float `(num_samples, stops, L)`, the latents that each walk visits.
        fixed: None, or int `(num_samples,)`, the class of each walk.
        labels: None, or int `(n,)`, the classes that all walks visit.
        num_frames: int.
        between: function of two latents and the share of the way.
    """
    prior = generator.latent_prior
    num_samples, stops, _ = draws.shape
    mixed = None
    if labels is not None:
        fixed = np.resize(labels, num_samples)
        mixed = _of_mixtures(generator) if len(labels) > 1 else None
    for frame in range(num_frames):
        start, end, share = _place(frame, num_frames, stops)
        latents = between(draws[:, start], draws[:, end], share)
        latents = tf.convert_to_tensor(latents, tf.float32)
        if mixed is not None:
            start, end, share = _place(frame, num_frames, len(labels))
            ends = labels[[start]], labels[[end]]
            weights = by_class.weights_between(*ends, share, prior.num_classes)
            yield mixed(latents, np.repeat(weights, num_samples, axis=0))
            continue
        if fixed is not None:
            latents = {"latents": latents, "labels": fixed}
        yield generator.samples_of(latents)


def _of_mixtures(generator):
    """Returns `by_class.of_mixtures` of what `load_generator` has loaded."""
    if not hasattr(generator, "generator"):
        raise ValueError(
            "Expected a run or a .keras file for several `labels`. Received: an "
            "export, which takes no mixtures of classes"
        )
    return by_class.of_mixtures(generator)


def _place(frame, num_frames, stops):
    """Returns where a round of so many stops is: (stop, next stop, share of the way).

    All rounds of a film take as long, whatever they visit. One stop is no way.
    """
    stop, rest = divmod(frame * stops, num_frames)
    return stop, (stop + 1) % stops, rest / num_frames if stops > 1 else 0.0
