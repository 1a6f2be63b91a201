"""A walk through the latents, as an animated picture or a film."""

import pathlib

import numpy as np
import tensorflow as tf

from keras_gan import checks, files
from keras_gan.pictures import formats, grids
from keras_gan.runs.generating import load_generator

_SIDE = 480
# What a film's frames may take in memory, as pixels.
_MOST_BYTES = 2 * 1024**3


def write_walk(
    model, output, num_samples=16, seed=0, stops=4, frames=20, fps=20
) -> None:
    """Films G(z) while z goes from one draw of the prior to the next, and back.

    Between two draws the latents follow `priors.LatentPrior.between`. The last frame
    leads to the first, so that the film can be looped.

    Args:
        model: str or path-like, see `generating.load_generator`; of images.
        output: str or path-like, ends in `.gif`, or in `.mp4`, which needs the extra
            `video`.
        num_samples: int >= 1, walks side by side, in a grid.
        seed: int >= 0; walk i visits the latents of the seeds from `seed + i * stops`
            on, those of `generate_each`. Labels, where the prior draws them, stay those
            of the first.
        stops: int >= 2, draws that a walk visits.
        frames: int >= 1, from one of them to the next.
        fps: int >= 1, frames in a second; of a `.gif` a divisor of 100 is exact.

    Raises:
        ValueError: another suffix, a model that makes no images, or more frames than
            memory should hold.
        OSError: an output that cannot be written.
        ModuleNotFoundError: a `.mp4` without the extra.
    """
    output = pathlib.Path(output)
    if output.suffix not in (".gif", ".mp4"):
        raise ValueError(
            f"Expected an output that ends in .gif or .mp4. Received: {output}"
        )
    num_samples = checks.num_samples(num_samples)
    seed = checks.count("seed", seed, minimum=0, maximum=10**18)
    stops = checks.count("stops", stops, minimum=2)
    frames = checks.count("frames", frames)
    fps = checks.count("fps", fps, maximum=100)
    files.check_output(output)
    if output.suffix == ".mp4":
        checks.require("imageio_ffmpeg", extra="video")
    generator = load_generator(model)
    grids.check_images(generator.spec)
    if stops * frames * 3 * _SIDE**2 > _MOST_BYTES:
        most = _MOST_BYTES // (3 * _SIDE**2)
        raise ValueError(
            f"Expected at most {most:,} frames in a film. Received: {stops} stops of "
            f"{frames} frames"
        )
    pictures = [
        grids.enlarge(grids.grid(images), _SIDE)
        for images in _walk(generator, num_samples, seed, stops, frames)
    ]
    with files.replacing(output) as temporary:
        if output.suffix == ".mp4":
            formats.write_mp4(temporary, pictures, fps)
        else:
            temporary.write_bytes(formats.encode_gif(pictures, round(1000 / fps)))


def _walk(generator, num_samples, seed, stops, frames):
    """Yields the images of each frame: uint8 `(num_samples, H, W, 1 or 3)`."""
    prior = generator.latent_prior
    # Of walk i the rows i * stops and on.
    draws = prior.sample_each(range(seed, seed + num_samples * stops))
    labels = None
    if isinstance(draws, dict):
        draws, labels = draws["latents"], draws["labels"][::stops]
    draws = np.reshape(draws, (num_samples, stops, -1))
    for stop in range(stops):
        start, end = draws[:, stop], draws[:, (stop + 1) % stops]
        for frame in range(frames):
            latents = prior.between(start, end, frame / frames)
            latents = tf.convert_to_tensor(latents, tf.float32)
            if labels is not None:
                latents = {"latents": latents, "labels": labels}
            yield grids.visible(generator.samples_of(latents), generator.spec)
