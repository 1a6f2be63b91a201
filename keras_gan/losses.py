"""The adversarial losses of Goodfellow et al. (2014), as functions of logits.

With logits `a = logit D(x)` of real examples and `b = logit D(G(z))` of generated
samples, so that `D(.) = sigmoid(logit)`,

    log D(x)          = -softplus(-a)
    log(1 - D(G(z)))  = -softplus(b)

and everything below is finite, with finite gradients, for any finite logit. There is
no hidden label smoothing and no hidden factor.

A loss for `GAN.compile` is an `AdversarialLoss` that Keras can serialise.

Reference: Goodfellow et al., Generative Adversarial Nets, arXiv 1406.2661.
"""

import keras
from keras import ops

from keras_gan import checks


def value(real_logits, fake_logits):
    """Returns V(D, G) of equation (1): E log D(x) + E log(1 - D(G(z))).

    Args:
        real_logits: float tensor `(m, 1)`, logits of real examples.
        fake_logits: float tensor `(m', 1)`, logits of generated samples.

    Returns:
        A float scalar, at most 0; -log 4 where D says 1/2 everywhere.
    """
    return -ops.mean(ops.softplus(-real_logits)) - ops.mean(ops.softplus(fake_logits))


def discriminator_loss(real_logits, fake_logits):
    """Returns what the discriminator descends: -V(D, G), minus equation (1).

    Algorithm 1 ascends `1/m sum_i [log D(x_i) + log(1 - D(G(z_i)))]`; an optimizer
    descends this negative of it.

    Args:
        real_logits: float tensor `(m, 1)`, logits of real examples.
        fake_logits: float tensor `(m', 1)`, logits of generated samples.

    Returns:
        A float scalar, at least 0.
    """
    return -value(real_logits, fake_logits)


def minimax_generator_loss(fake_logits):
    """Returns E log(1 - D(G(z))), which Algorithm 1's generator descends (equation 1).

    It saturates: where D rejects a sample with confidence its gradient vanishes.

    Args:
        fake_logits: float tensor `(m, 1)`, logits of generated samples.

    Returns:
        A float scalar, at most 0.
    """
    return -ops.mean(ops.softplus(fake_logits))


def non_saturating_generator_loss(fake_logits):
    """Returns -E log D(G(z)): section 3's remedy where the minimax loss saturates.

    "Rather than training G to minimize log(1 - D(G(z))) we can train G to maximize
    log D(G(z))": the same fixed point of the dynamics, stronger gradients early.

    Args:
        fake_logits: float tensor `(m, 1)`, logits of generated samples.

    Returns:
        A float scalar, at least 0.
    """
    return ops.mean(ops.softplus(-fake_logits))


def probabilities(real_logits, fake_logits) -> dict:
    """What D's answers mean where its sigmoid is a probability (Proposition 1).

    Args:
        real_logits, fake_logits: float tensors `(m, 1)`.

    Returns:
        dict of float scalars: `value`, V(D, G) of equation (1); `d_real` and `d_fake`,
        the means of D(x) and of D(G(z)), 1/2 each at the equilibrium.
    """
    return {
        "value": value(real_logits, fake_logits),
        "d_real": ops.mean(ops.sigmoid(real_logits)),
        "d_fake": ops.mean(ops.sigmoid(fake_logits)),
    }


class AdversarialLoss:
    """What `GAN.compile(loss=...)` takes; subclass it to write another loss.

    A subclass with constructor arguments returns them from `get_config`, and is
    registered with `keras.saving.register_keras_serializable`, so that a saved GAN
    brings it back.

    Attributes:
        relativistic: bool, whether the generator's loss compares its samples with real
            examples. `generator_loss` then gets their logits too, one for each sample.
    """

    relativistic = False

    def discriminator_loss(self, real_logits, fake_logits):
        """Returns the scalar that the discriminator descends, from logits `(m, 1)`."""
        raise NotImplementedError

    def generator_loss(self, fake_logits, real_logits=None):
        """Returns the scalar that the generator descends, from logits `(m, 1)`.

        `real_logits` are given where `relativistic` is true. A loss that is not may
        leave the argument out.
        """
        raise NotImplementedError

    def diagnostics(self, real_logits, fake_logits) -> dict:
        """Returns what is logged beside the losses: float scalars by name.

        Here the mean logits. A loss under which D's sigmoid is a probability returns
        `losses.probabilities`, which the curves and the health page then read.
        """
        return {
            "real_logits": ops.mean(real_logits),
            "fake_logits": ops.mean(fake_logits),
        }

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("keras_gan")
class Minimax(AdversarialLoss):
    """Equation (1) to the letter: both players on V(D, G)."""

    def discriminator_loss(self, real_logits, fake_logits):
        return discriminator_loss(real_logits, fake_logits)

    def generator_loss(self, fake_logits, real_logits=None):
        return minimax_generator_loss(fake_logits)

    def diagnostics(self, real_logits, fake_logits):
        return probabilities(real_logits, fake_logits)


@keras.saving.register_keras_serializable("keras_gan")
class NonSaturating(AdversarialLoss):
    """The discriminator on V(D, G); the generator maximises log D(G(z))."""

    def discriminator_loss(self, real_logits, fake_logits):
        return discriminator_loss(real_logits, fake_logits)

    def generator_loss(self, fake_logits, real_logits=None):
        return non_saturating_generator_loss(fake_logits)

    def diagnostics(self, real_logits, fake_logits):
        return probabilities(real_logits, fake_logits)


# The names by which `get` and experiments know them.
BY_NAME = {"minimax": Minimax, "non_saturating": NonSaturating}


def names() -> list[str]:
    """Returns the names that `get` knows, sorted."""
    return sorted(BY_NAME)


def get(identifier) -> AdversarialLoss:
    """Returns the adversarial loss that `identifier` stands for.

    Args:
        identifier: "minimax", "non_saturating", or an `AdversarialLoss`, which is
            returned as it is.

    Raises:
        ValueError: `identifier` is neither.
    """
    if isinstance(identifier, AdversarialLoss):
        return identifier
    checks.one_of(
        "loss",
        identifier,
        names(),
        "or an object (not a class) of a subclass of AdversarialLoss",
    )
    return BY_NAME[identifier]()
