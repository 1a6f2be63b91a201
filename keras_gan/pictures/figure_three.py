"""Figure 3 of the paper: samples along straight lines in the space of z.

Reference: Goodfellow et al., Generative Adversarial Nets, arXiv 1406.2661.
"""

import numpy as np

from keras_gan.gan import GAN
from keras_gan.pictures import grids
from keras_gan.replicas import predict_locally
from keras_gan.samples import SampleSpec


def interpolation(gan: GAN, start, end, steps: int = 9, labels=None) -> np.ndarray:
    """Generates samples on straight lines in the space of z.

    Args:
        gan: `GAN`.
        start, end: float `(rows, L)`, latents at the ends.
        steps: int >= 2, samples on a line, both ends among them.
        labels: int `(rows,)`, the class of each line, where the prior draws labels.

    Returns:
        float32 `(rows, steps, *sample_shape)`: G((1 - t) * start + t * end), t evenly
        spaced in [0, 1].

    Raises:
        ValueError: latents of another shape, or fewer than two steps.
    """
    start, end = np.asarray(start, np.float32), np.asarray(end, np.float32)
    width = gan.latent_prior.latent_dim
    if start.shape != end.shape or start.shape != (len(start), width) or steps < 2:
        raise ValueError(
            f"Expected start and end of shape {(None, width)}, and at least 2 steps. "
            f"Received: {start.shape}, {end.shape} and {steps}"
        )
    share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    # (rows, steps, L)
    latents = (1 - share) * start[:, None] + share * end[:, None]
    latents = latents.reshape(-1, width)
    if labels is not None:
        labels = np.repeat(np.asarray(labels, np.int32), steps)
        latents = {"latents": latents, "labels": labels}
    samples = predict_locally(gan, latents)
    return samples.reshape(len(start), steps, *samples.shape[1:])


def figure_3(lines, spec: SampleSpec) -> np.ndarray:
    """Draws figure 3 of the paper: each row goes along a line in the space of z.

    Args:
        lines: array `(rows, steps, H, W, C)`, see `interpolation`.
        spec: `SampleSpec` of the samples, images.

    Returns:
        uint8 `(height, width, 1 or 3)`, within 960 pixels where the images allow.

    Raises:
        ValueError: samples that are no images.
    """
    grids.check_images(spec)
    pixels = grids.visible(lines, spec)
    rows, steps, *shape = pixels.shape
    picture = grids.grid(pixels.reshape(rows * steps, *shape), columns=steps)
    return grids.enlarge(picture, 960)
