"""The adversarial losses of Goodfellow et al. (2014), and those since, on logits.

With logits `a = logit D(x)` of real examples and `b = logit D(G(z))` of generated
samples, so that `D(.) = sigmoid(logit)`,

    log D(x)          = -softplus(-a)
    log(1 - D(G(z)))  = -softplus(b)

and everything below is finite, with finite gradients, for any finite logit. There is
no hidden label smoothing and no hidden factor.

A loss for `GAN.compile` is an `AdversarialLoss` that Keras can serialise.

References: Goodfellow et al., Generative Adversarial Nets, arXiv 1406.2661; A. Odena et
al., Conditional Image Synthesis with Auxiliary Classifier GANs, arXiv 1610.09585.
"""

import keras
from keras import ops

from keras_gan import checks
from keras_gan.critics import logits


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
        boundary: float, the logit at which D cannot tell an example from a sample; None
            where only differences of logits count.
        columns: int, of what D answers: 1, the logits. A loss that reads 2 is given
            `(m, 2)` in the place of logits, whose first column are the logits.
    """

    relativistic = False
    boundary = 0.0
    columns = 1

    def discriminator_loss(self, real_logits, fake_logits):
        """Returns the scalar that the discriminator descends, from logits `(m, 1)`."""
        raise NotImplementedError

    def generator_loss(self, fake_logits, real_logits=None):
        """Returns the scalar that the generator descends, from logits `(m, 1)`.

        Args:
            fake_logits: logits of samples.
            real_logits: logits of examples where `relativistic` is true, else None. A
                loss that is not relativistic may leave the argument out.
        """
        raise NotImplementedError

    def diagnostics(self, real_logits, fake_logits) -> dict:
        """Returns what is logged beside the losses: float scalars by name.

        Here the mean logits. A loss under which D's sigmoid is a probability returns
        `losses.probabilities`, which the curves and the health page then read.

        Args:
            real_logits, fake_logits: as for the losses.
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


@keras.saving.register_keras_serializable("keras_gan")
class Hinge(AdversarialLoss):
    """Margins of 1: D descends E max(0, 1 - a) + E max(0, 1 + b), G descends -E b.

    Logits beyond the margin give D no gradient. Reference: J. H. Lim and J. C. Ye,
    Geometric GAN, arXiv 1705.02894.
    """

    def discriminator_loss(self, real_logits, fake_logits):
        real = ops.mean(ops.relu(1.0 - real_logits))
        return real + ops.mean(ops.relu(1.0 + fake_logits))

    def generator_loss(self, fake_logits, real_logits=None):
        return -ops.mean(fake_logits)


@keras.saving.register_keras_serializable("keras_gan")
class LeastSquares(AdversarialLoss):
    """D regresses 1 for examples and 0 for samples; G descends E (b - 1)^2.

    D descends E (a - 1)^2 + E b^2. Reference: X. Mao et al., Least Squares Generative
    Adversarial Networks, arXiv 1611.04076, equation 9 without its factors of 1/2.
    """

    boundary = 0.5

    def discriminator_loss(self, real_logits, fake_logits):
        real = ops.mean(ops.square(real_logits - 1.0))
        return real + ops.mean(ops.square(fake_logits))

    def generator_loss(self, fake_logits, real_logits=None):
        return ops.mean(ops.square(fake_logits - 1.0))


@keras.saving.register_keras_serializable("keras_gan")
class Wasserstein(AdversarialLoss):
    """D descends E b - E a, G descends -E b: a distance, if D is 1-Lipschitz.

    Nothing here makes D so: add `penalties.GradientPenalty`, without which its logits
    grow for ever. Reference: M. Arjovsky et al., Wasserstein GAN, arXiv 1701.07875.
    """

    boundary = None

    def discriminator_loss(self, real_logits, fake_logits):
        return ops.mean(fake_logits) - ops.mean(real_logits)

    def generator_loss(self, fake_logits, real_logits=None):
        return -ops.mean(fake_logits)


@keras.saving.register_keras_serializable("keras_gan")
class Relativistic(AdversarialLoss):
    """Pairs each sample with an example: D says which of the two is real.

    D descends E softplus(-(a - b)), G descends E softplus(-(b - a)), row by row. A
    sample that follows one mode is judged beside all of them, which leaves collapse no
    local minimum. References: A. Jolicoeur-Martineau, arXiv 1807.00734; Y. Huang et
    al., The GAN is dead; long live the GAN!, arXiv 2501.05441, equation 2.
    """

    relativistic = True
    boundary = None

    def discriminator_loss(self, real_logits, fake_logits):
        return ops.mean(ops.softplus(fake_logits - real_logits))

    def generator_loss(self, fake_logits, real_logits=None):
        return ops.mean(ops.softplus(real_logits - fake_logits))


@keras.saving.register_keras_serializable("keras_gan")
class AuxiliaryClassifier(AdversarialLoss):
    """AC-GAN: a loss of logits, and for both players the cross entropy of the labels.

    D answers two columns: the logits a and b of another loss, which no label changes,
    and log p(label | sample), see `conditional.LabelLogProbability`. With the latter's
    means A over examples and B over samples,

        D descends  loss_D(a, b) - weight * (A + B)
        G descends  loss_G(b)    - weight * B

    With `loss="non_saturating"` these are L_S and L_C of arXiv 1610.09585, equations 2
    and 3. It logs what the other loss does, and the cross entropies -A and -B in nats,
    `class_loss_real` and `class_loss_fake`: log(number of classes) where D guesses.

    In the paper D learns the classes from samples too, also from those that are not yet
    of the class asked for. `from_samples=False` leaves B out of what D descends.

    Args:
        loss: `AdversarialLoss` of logits, or its name.
        weight: float >= 0.
        from_samples: bool, whether D learns the classes from samples too.

    Raises:
        ValueError: an unknown loss, or one that reads more than logits; a `weight`
            below 0 or no number.
    """

    columns = 2

    def __init__(self, loss="non_saturating", weight=1.0, from_samples=True):
        self.loss = get(loss)
        if self.loss.columns != 1:
            raise ValueError(
                "Expected `loss` to be a loss of logits alone. Received: "
                f"{type(self.loss).__name__}"
            )
        if not checks.is_number(weight) or weight < 0:
            raise ValueError(f"Expected weight >= 0. Received: {weight!r}")
        self.weight = weight
        self.from_samples = from_samples
        self.relativistic = self.loss.relativistic
        self.boundary = self.loss.boundary

    def discriminator_loss(self, real_logits, fake_logits):
        loss = self.loss.discriminator_loss(logits(real_logits), logits(fake_logits))
        learned = [real_logits, fake_logits] if self.from_samples else [real_logits]
        return loss + self.weight * sum(map(_class_loss, learned))

    def generator_loss(self, fake_logits, real_logits=None):
        seen = [fake_logits] if real_logits is None else [fake_logits, real_logits]
        loss = self.loss.generator_loss(*map(logits, seen))
        return loss + self.weight * _class_loss(fake_logits)

    def diagnostics(self, real_logits, fake_logits):
        terms = self.loss.diagnostics(logits(real_logits), logits(fake_logits))
        return {
            **terms,
            "class_loss_real": _class_loss(real_logits),
            "class_loss_fake": _class_loss(fake_logits),
        }

    def get_config(self):
        loss = keras.saving.serialize_keras_object(self.loss)
        return {
            "loss": loss,
            "weight": self.weight,
            "from_samples": self.from_samples,
        }

    @classmethod
    def from_config(cls, config):
        loss = keras.saving.deserialize_keras_object(config["loss"])
        return cls(**{**config, "loss": loss})


def _class_loss(answers):
    """Returns the mean cross entropy of the labels, from `(m, 2)`."""
    return -ops.mean(answers[:, 1])


# The names by which `get` and experiments know them.
BY_NAME = {
    "auxiliary_classifier": AuxiliaryClassifier,
    "hinge": Hinge,
    "least_squares": LeastSquares,
    "minimax": Minimax,
    "non_saturating": NonSaturating,
    "relativistic": Relativistic,
    "wasserstein": Wasserstein,
}


def names() -> list[str]:
    """Returns the names that `get` knows, sorted."""
    return sorted(BY_NAME)


def get(identifier) -> AdversarialLoss:
    """Returns the adversarial loss that `identifier` stands for.

    Args:
        identifier: one of `names`, or an `AdversarialLoss`, which is returned as it
            is.

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
