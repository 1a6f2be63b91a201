"""Differentiable augmentation of what the discriminator sees, for training on few data.

A discriminator with few examples learns them by heart. Augmented examples alone would
teach the generator to make augmented samples; therefore examples and samples are both
augmented, in the steps of both networks, and G's gradient flows through it. An
augmentation stands inside the critic (`GAN.critic`), so that penalties see it too.

References: S. Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training,
arXiv 2006.10738 (DiffAugment); T. Karras et al., Training Generative Adversarial
Networks with Limited Data, arXiv 2006.06676 (ADA).
"""

from keras_gan import checks
from keras_gan.augmentation.ada import ADA as ADA
from keras_gan.augmentation.base import Augmentation as Augmentation
from keras_gan.augmentation.base import ImageAugmentation as ImageAugmentation
from keras_gan.augmentation.diffaugment import DiffAugment as DiffAugment

# The names by which `GAN.compile` and experiments know them.
BY_NAME = {"ada": ADA, "diffaugment": DiffAugment}


def get(identifier) -> Augmentation | None:
    """Returns the augmentation that a name, or an augmentation, stands for; or None.

    Args:
        identifier: a name of `BY_NAME`, an `Augmentation`, or None.

    Raises:
        ValueError: anything else.
    """
    if identifier is None or isinstance(identifier, Augmentation):
        return identifier
    what = "or an augmentation.Augmentation"
    return BY_NAME[checks.one_of("augmentation", identifier, BY_NAME, what)]()


def of_one_draw(augmentation, seed_generator, all_replicas):
    """Returns a function of what D takes that augments its samples, always alike.

    Args:
        augmentation: `Augmentation`, or None, for which no seed is drawn.
        seed_generator: `keras.random.SeedGenerator`.
        all_replicas: `replicas.Replicas`.
    """
    if augmentation is None:
        return lambda inputs: inputs
    seed = all_replicas.seed(seed_generator.next())

    def augment(inputs):
        if isinstance(inputs, dict):
            return {**inputs, "samples": augmentation(inputs["samples"], seed)}
        return augmentation(inputs, seed)

    return augment
