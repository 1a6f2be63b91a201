"""The adversarial losses of Goodfellow et al. (2014), as functions of logits.

With logits `a = logit D(x)` of real examples and `b = logit D(G(z))` of generated
samples, so that `D(.) = sigmoid(logit)`,

    log D(x)          = -softplus(-a)
    log(1 - D(G(z)))  = -softplus(b)

and everything below is finite, with finite gradients, for any finite logit. There is
no hidden label smoothing and no hidden factor.

A loss for `GAN.compile` is any Keras-serialisable object with the two methods of
`AdversarialLoss`.

Reference: Goodfellow et al., Generative Adversarial Nets, arXiv 1406.2661.
"""

import difflib

import keras
from keras import ops


def value(real_logits, fake_logits):
    """V(D, G) of equation (1): E log D(x) + E log(1 - D(G(z))).

    Args:
        real_logits: float tensor `(m, 1)`, logits of real examples.
        fake_logits: float tensor `(m', 1)`, logits of generated samples.

    Returns:
        A float scalar, at most 0; -log 4 where D says 1/2 everywhere.
    """
    return -ops.mean(ops.softplus(-real_logits)) - ops.mean(ops.softplus(fake_logits))


def discriminator_loss(real_logits, fake_logits):
    """What the discriminator descends: -V(D, G), the negative of equation (1).

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
    """E log(1 - D(G(z))), which Algorithm 1's generator descends (equation 1).

    It saturates: where D rejects a sample with confidence its gradient vanishes.

    Args:
        fake_logits: float tensor `(m, 1)`, logits of generated samples.

    Returns:
        A float scalar, at most 0.
    """
    return -ops.mean(ops.softplus(fake_logits))


def non_saturating_generator_loss(fake_logits):
    """-E log D(G(z)): section 3's remedy for the saturation of the minimax loss.

    "Rather than training G to minimize log(1 - D(G(z))) we can train G to maximize
    log D(G(z))": the same fixed point of the dynamics, stronger gradients early.

    Args:
        fake_logits: float tensor `(m, 1)`, logits of generated samples.

    Returns:
        A float scalar, at least 0.
    """
    return ops.mean(ops.softplus(-fake_logits))


class AdversarialLoss:
    """What `GAN.compile(loss=...)` takes; subclass it to write another loss.

    A subclass with constructor arguments returns them from `get_config`, and is
    registered with `keras.saving.register_keras_serializable`, so that a saved GAN
    brings it back.
    """

    def discriminator_loss(self, real_logits, fake_logits):
        """The scalar that the discriminator descends, from logits `(m, 1)`."""
        raise NotImplementedError

    def generator_loss(self, fake_logits):
        """The scalar that the generator descends, from logits `(m, 1)`."""
        raise NotImplementedError

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

    def generator_loss(self, fake_logits):
        return minimax_generator_loss(fake_logits)


@keras.saving.register_keras_serializable("keras_gan")
class NonSaturating(AdversarialLoss):
    """The discriminator on V(D, G); the generator maximises log D(G(z))."""

    def discriminator_loss(self, real_logits, fake_logits):
        return discriminator_loss(real_logits, fake_logits)

    def generator_loss(self, fake_logits):
        return non_saturating_generator_loss(fake_logits)


_LOSSES = {"minimax": Minimax, "non_saturating": NonSaturating}


def names():
    """The names that `get` knows, sorted."""
    return sorted(_LOSSES)


def get(identifier):
    """The adversarial loss that `identifier` names.

    Args:
        identifier: "minimax", "non_saturating", or an object with the methods
            `discriminator_loss` and `generator_loss`, which is returned as it is.

    Raises:
        ValueError: `identifier` is neither.
    """
    if isinstance(identifier, str):
        if identifier not in _LOSSES:
            close = difflib.get_close_matches(identifier, _LOSSES, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"Unknown loss. Expected one of {names()} or an object with "
                f"`discriminator_loss` and `generator_loss`. "
                f"Received: {identifier!r}.{hint}"
            )
        return _LOSSES[identifier]()
    methods = ("discriminator_loss", "generator_loss")
    if isinstance(identifier, type) or not all(
        callable(getattr(identifier, method, None)) for method in methods
    ):
        raise ValueError(
            f"Expected `loss` to be one of {names()} or an object (not a class) with "
            f"the methods {' and '.join(methods)}. Received: {identifier!r}"
        )
    return identifier
