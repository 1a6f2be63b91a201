"""From samples back to latents, and from latents to better samples.

The 2014 paper ends with five directions; these are its second, third and fourth: to
infer z of a given x, to complete x from a part of it, and to put what the networks have
learned to other uses.
"""

from keras_gan.inference.bigan import BiGAN
from keras_gan.inference.encoder import Encoder
from keras_gan.inference.latent_space import LatentSpace

__all__ = ["BiGAN", "Encoder", "LatentSpace"]
