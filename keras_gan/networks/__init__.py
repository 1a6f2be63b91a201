"""Builders of generators and discriminators as functional Keras models.

A builder returns `(generator, discriminator)`: the generator takes latents
`(batch, latent_dim)`, the discriminator returns logits `(batch, 1)`. With `num_classes`
both are conditional: the generator takes {"latents", "labels"}, the discriminator takes
{"samples", "labels"}, where labels are int32 `(batch,)`. `bigan_mlp` returns an encoder
as well, and takes no `num_classes`; `fourier_discriminator` is a discriminator alone.
One paper is one module.
Arguments that several builders share:

    spec: `samples.SampleSpec` of the samples, such as `data.spec`, or only their shape:
        (H, W, C) of images, (D,) of vectors.
    latent_dim: int, L.
    generator_noise: float in [0, 1] (the bound of Keras), standard deviation of the
        Gaussian noise that is added to each hidden layer of the generator in training.
    generator_dropout: float in [0, 1), share of each hidden layer of the generator
        that is dropped out in training.
    auxiliary_classifier: bool, whether D has no label for an input, but says how likely
        it is: D returns `(batch, 2)`, a logit that no label changes and log p(label |
        sample), for `losses.AuxiliaryClassifier` (A. Odena et al., arXiv 1610.09585).
    num_classes: int >= 1, or None for networks without labels. Unless the builder says
        otherwise, a label becomes a trained vector of min(num_classes, 64) values, at
        first from N(0, 1), which is joined to G's latents and to D's samples (M. Mirza
        and S. Osindero, arXiv 1411.1784). Labels are from 0 to num_classes - 1; see
        `conditional` for others.
    seed: int >= 0 or None, of initial weights, noise and dropout masks.

`dcgan`, `resnet` and `r3gan` take images of any size from 8 to 256 pixels a side. Their
generators end in the activation of the range of `spec`; all others have one range.

By default noise enters the generator at the bottom layer only, as in the paper's
experiments, though "our theoretical framework permits the use of dropout and other
noise at intermediate layers of the generator".

The layers that output samples and logits compute in float32 under every dtype policy
(`keras.mixed_precision.set_dtype_policy`).
"""

from collections.abc import Callable

from keras_gan.networks.bigan import bigan_mlp
from keras_gan.networks.conv_2014 import paper_cifar_conv
from keras_gan.networks.counting import multiply_adds, summary
from keras_gan.networks.dcgan import dcgan
from keras_gan.networks.digits import digits_mlp
from keras_gan.networks.encoders import encoder
from keras_gan.networks.fourier import fourier_discriminator
from keras_gan.networks.mlp_2014 import paper_cifar_mlp, paper_mlp, paper_tfd_stage2
from keras_gan.networks.r3gan import r3gan
from keras_gan.networks.resnet import resnet
from keras_gan.networks.toy import toy_mlp

__all__ = [
    "BUILDERS",
    "bigan_mlp",
    "dcgan",
    "digits_mlp",
    "encoder",
    "fourier_discriminator",
    "multiply_adds",
    "paper_cifar_conv",
    "paper_cifar_mlp",
    "paper_mlp",
    "paper_tfd_stage2",
    "r3gan",
    "resnet",
    "summary",
    "toy_mlp",
]

# By name. `inspect.signature` of each says which arguments it takes: `spec` first, all
# others by keyword. Those without a default have to be given.
BUILDERS: dict[str, Callable] = {
    builder.__name__: builder
    for builder in (
        digits_mlp,
        paper_mlp,
        paper_tfd_stage2,
        paper_cifar_mlp,
        paper_cifar_conv,
        toy_mlp,
        dcgan,
        resnet,
        r3gan,
        bigan_mlp,
    )
}
