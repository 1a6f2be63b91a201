"""Latent priors p_z(z): TFP distributions that can be seeded and saved.

`Uniform(100)` and `Normal(100)` are the paper's two. `LatentPrior(distribution)` makes
a prior of any `tfp.distributions` object with event shape `(L,)` that can be rebuilt
from its parameters: mixtures, truncated normals, one-hot codes, and so on.
"""

import contextlib
import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_gan import checks
from keras_gan import labels as class_labels

tfd = tfp.distributions

_SQRT_3 = math.sqrt(3.0)


def stateless_seed(seed):
    """Returns the stateless seed, int32 of shape `(2,)`, that stands for `seed`.

    Args:
        seed: an int of at most 64 bits, signed or not, split into its low and its high
            word; or an integer tensor of shape `(2,)`, cast to int32.

    Raises:
        ValueError: `seed` is neither.
    """
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        if not -(2**63) <= seed < 2**64:
            raise ValueError(f"Expected a seed of at most 64 bits. Received: {seed}")
        words = (int(seed) & 0xFFFFFFFF, int(seed) >> 32 & 0xFFFFFFFF)
        return tf.constant(np.array(words, np.uint32).view(np.int32))
    if tuple(getattr(seed, "shape", ())) != (2,):
        raise ValueError(
            "Expected `seed` to be an int or an integer tensor of shape (2,). "
            f"Received: {seed!r}"
        )
    return tf.cast(seed, tf.int32)


@keras.saving.register_keras_serializable("keras_gan")
class LatentPrior:
    """A latent prior: the distribution p_z(z) that the generator's latents come from.

    Args:
        distribution: a `tfp.distributions.Distribution` with batch shape `()` and event
            shape `(L,)`, whose parameters are numbers, arrays or distributions.

    A subclass may give the generator more than latents: `sample` then returns a dict
    with "latents" `(num_samples, L)` and "labels", int32 `(num_samples,)`, and
    `symbolic_sample` says so. Such a prior is labelled, as `Labelled` is: the GAN is
    one of p(x | label), its generator takes that dict, its discriminator takes
    {"samples", "labels"}, and data come with labels.

    Attributes:
        distribution: the TFP distribution.
        latent_dim: int, L.
        num_classes: int, or None where no labels are drawn, or any integers.
        class_names: tuple of str, one for each class, or None.

    Raises:
        ValueError: another shape, or parameters that cannot be saved.
    """

    num_classes = None
    class_names = None

    def __init__(self, distribution):
        if not isinstance(distribution, tfd.Distribution):
            raise ValueError(
                "Expected a latent prior such as priors.Normal(100), or a "
                "tfp.distributions.Distribution with event shape (L,). "
                f"Received: {distribution!r}"
            )
        # Of joint distributions both are structures of shapes, not shapes.
        shapes = (distribution.batch_shape, distribution.event_shape)
        if [getattr(shape, "rank", None) for shape in shapes] != [0, 1]:
            raise ValueError(
                "Expected a latent prior with batch shape () and event shape (L,). "
                f"Received: batch shape {shapes[0]}, event shape {shapes[1]}; "
                "tfd.Independent or tfd.Sample turns the one into the other, "
                "tfd.Blockwise joins several."
            )
        self.distribution = distribution
        self.latent_dim = int(distribution.event_shape[0])
        # A prior that cannot be saved or rebuilt fails here, not after the training.
        _deserialize(_serialize(distribution))

    def sample(self, num_samples, seed):
        """Latents z ~ p_z(z).

        Args:
            num_samples: int or integer scalar tensor.
            seed: see `stateless_seed`. The same seed gives the same latents in any
                process, eagerly and in a graph; under XLA, TensorFlow's default random
                algorithm gives other numbers of the same distribution.

        Returns:
            float32 `(num_samples, L)`.
        """
        latents = self.distribution.sample(num_samples, seed=stateless_seed(seed))
        return tf.cast(latents, tf.float32)

    def sample_each(self, seeds):
        """Returns latents of which row i is that of `sample(1, seeds[i])`.

        Args:
            seeds: sequence of seeds, see `stateless_seed`; at least one.

        Raises:
            ValueError: no seeds.
        """
        rows = [self.sample(1, seed) for seed in seeds]
        if not rows:
            raise ValueError("Expected at least one seed. Received: none")
        return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *rows)

    @property
    def is_labelled(self) -> bool:
        """Whether `sample` draws labels too."""
        return isinstance(self.symbolic_sample(), dict)

    @property
    def classes(self):
        """The labels that may be drawn, int array; None where these are not known."""
        return None if self.num_classes is None else np.arange(self.num_classes)

    def labels_of(self, labels, num_samples: int):
        """Returns the labels that `num_samples` samples are asked for.

        Args:
            labels: a class or `num_samples` of them: integers, or names.

        Returns:
            int32 array `(num_samples,)`.

        Raises:
            ValueError: a prior that draws none; labels that are no class of it.
        """
        if not self.is_labelled:
            # Each once: a command gives one for each sample.
            given = ", ".join(np.unique(np.ravel(labels).astype(str)))
            raise ValueError(
                "Expected no `labels`: the model is not conditional. Received: "
                f"{given}; priors.Labelled and networks with num_classes make it so"
            )
        return class_labels.asked_for(
            labels, num_samples, self.num_classes, self.class_names
        )

    def between(self, start, end, share):
        """Returns latents on the way from `start` to `end`: on a straight line.

        Args:
            start, end: float arrays `(..., L)`, independent draws.
            share: float in [0, 1] of the way.
        """
        return (1.0 - share) * start + share * end

    def truncated(self, drawn, psi):
        """Returns what `sample` has drawn, with its latents pulled towards their mean.

            z' = mean + psi (z - mean)

        Samples of latents near the mean are, most of them, better and less varied: the
        truncation of StyleGAN (arXiv 1812.04948, appendix B), here of z itself. As the
        way to the mean is straight, latents stay within the bounds of the prior.

        Args:
            drawn: what `sample` returns; its labels stay.
            psi: float in [0, 1]; 1 changes nothing, at 0 all latents are the mean. None
                is 1.

        Raises:
            ValueError: another `psi`; a prior of discrete latents or without a mean; a
                mixture: its mean may lie between its parts, where G has seen nothing.
        """
        if psi is None:
            return drawn
        if not (checks.is_number(psi) and 0 <= psi <= 1):
            raise ValueError(
                f"Expected a truncation `psi` in [0, 1]. Received: {psi!r}"
            )
        mean = _mean(self.distribution)
        if isinstance(drawn, dict):
            return {**drawn, "latents": mean + psi * (drawn["latents"] - mean)}
        return mean + psi * (drawn - mean)

    def symbolic_sample(self):
        """Returns what `sample` returns for any number of rows, as `KerasTensor`s."""
        return keras.KerasTensor((None, self.latent_dim), dtype="float32")

    def get_config(self):
        return {"distribution": _serialize(self.distribution)}

    @classmethod
    def from_config(cls, config):
        if "distribution" in config:
            return cls(_deserialize(config["distribution"]))
        return cls(**config)

    def __repr__(self):
        return f"<{type(self).__name__} prior, {self.distribution}>"


@keras.saving.register_keras_serializable("keras_gan")
class Uniform(LatentPrior):
    """Independent latents, uniform on [low, high).

    Args:
        latent_dim: int, L.
        low, high: floats; the default, +-sqrt(3), has unit variance and is what the
            paper's MNIST recipe uses.

    Raises:
        ValueError: no latents, or `low` is not below `high`.
    """

    def __init__(self, latent_dim, low=-_SQRT_3, high=_SQRT_3):
        _check_latent_dim(latent_dim)
        if not low < high:
            raise ValueError(f"Expected low < high. Received: {low}, {high}")
        self.low, self.high = float(low), float(high)
        marginal = tfd.Uniform(np.float32(low), np.float32(high))
        super().__init__(tfd.Sample(marginal, latent_dim))

    def get_config(self):
        return {
            "latent_dim": int(self.distribution.event_shape[0]),
            "low": self.low,
            "high": self.high,
        }


@keras.saving.register_keras_serializable("keras_gan")
class Normal(LatentPrior):
    """Independent normal latents; by default N(0, I), as in the paper's TFD recipe.

    Args:
        latent_dim: int, L.
        loc: float, the mean of each.
        scale: float > 0, the standard deviation of each.

    Raises:
        ValueError: no latents, or a scale that is not positive.
    """

    def __init__(self, latent_dim, loc=0.0, scale=1.0):
        _check_latent_dim(latent_dim)
        if not scale > 0:
            raise ValueError(f"Expected scale > 0. Received: {scale}")
        self.loc, self.scale = float(loc), float(scale)
        marginal = tfd.Normal(np.float32(loc), np.float32(scale))
        super().__init__(tfd.Sample(marginal, latent_dim))

    def between(self, start, end, share):
        """Returns latents at a `share` of the way from `start` to `end`: on an arc.

        Each of them follows the prior, too: a sum of independent normal draws does, if
        the squares of their weights sum to 1. Half way on a straight line they would be
        shorter than any that G has seen.
        """
        angle = share * math.pi / 2
        start, end = start - self.loc, end - self.loc
        return self.loc + math.cos(angle) * start + math.sin(angle) * end

    def get_config(self):
        return {
            "latent_dim": int(self.distribution.event_shape[0]),
            "loc": self.loc,
            "scale": self.scale,
        }


@keras.saving.register_keras_serializable("keras_gan")
class Labelled(LatentPrior):
    """Latents, and the label of a class beside them: the prior of p(x | label).

    `sample` returns {"latents": float32 `(n, L)`, "labels": int32 `(n,)`}, drawn
    independently. The latents are those that `prior` draws by the same seed. M. Mirza
    and S. Osindero, Conditional Generative Adversarial Nets, arXiv 1411.1784 (2014).

    Args:
        prior: `LatentPrior`, or a TFP distribution with event shape `(L,)`.
        probabilities: the share of each class: `(C,)` floats >= 0 that sum to 1, as
            `Dataset.class_probabilities` gives them, or a `tfd.Categorical`.
        class_names: names of the classes 0, 1, ..., or None.

    Attributes:
        prior: `LatentPrior`, of the latents alone.
        probabilities: float64 array `(C,)`.
        distribution: that of the latents.

    Raises:
        ValueError: a prior that draws labels already, shares that are no
            probabilities, or another number of names.
    """

    def __init__(self, prior, probabilities, class_names=None):
        self.prior = get(prior)
        if self.prior.is_labelled:
            raise ValueError(
                "Expected a prior of latents alone. Received one that draws labels: "
                f"{self.prior!r}"
            )
        super().__init__(self.prior.distribution)
        self.probabilities = _probabilities(probabilities)
        self.num_classes = len(self.probabilities)
        self.class_names = class_labels.check_names(class_names, self.num_classes)
        with np.errstate(divide="ignore"):  # a class that is never drawn
            logits = np.log(self.probabilities).astype(np.float32)
        self._categorical = tfd.Categorical(logits=logits)

    def sample(self, num_samples, seed):
        """Returns latents and labels, see the class; arguments as in `LatentPrior`."""
        seed = stateless_seed(seed)
        own = tf.random.experimental.stateless_fold_in(seed, 1)
        return {
            "latents": self.prior.sample(num_samples, seed),
            "labels": self._categorical.sample(num_samples, seed=own),
        }

    @property
    def classes(self):
        """The classes whose probability is not 0, int array."""
        return np.flatnonzero(self.probabilities)

    def labels_of(self, labels, num_samples: int):
        """Returns labels as `LatentPrior.labels_of` does.

        Args:
            labels, num_samples: as there.

        Raises:
            ValueError: also for a class of probability 0, which no training saw.
        """
        labels = super().labels_of(labels, num_samples)
        never = labels[self.probabilities[labels] == 0.0]
        if never.size:
            raise ValueError(
                "Expected `labels` of classes that the model was trained on. Received: "
                f"{self._shown(never[0])}, whose probability is 0"
            )
        return labels

    def between(self, start, end, share):
        """Returns latents, without labels, as `prior.between` does."""
        return self.prior.between(start, end, share)

    def symbolic_sample(self):
        labels = keras.KerasTensor((None,), dtype="int32")
        return {"latents": self.prior.symbolic_sample(), "labels": labels}

    def get_config(self):
        return {
            "prior": keras.saving.serialize_keras_object(self.prior),
            "probabilities": self.probabilities.tolist(),
            "class_names": self.class_names,
        }

    @classmethod
    def from_config(cls, config):
        prior = keras.saving.deserialize_keras_object(config["prior"])
        return cls(**{**config, "prior": prior})

    def __repr__(self):
        return f"<Labelled prior, {self.num_classes} classes, {self.prior!r}>"

    def _shown(self, label):
        name = f" ({self.class_names[label]!r})" if self.class_names else ""
        return f"{label}{name}"


def get(identifier):
    """Returns a `LatentPrior`: `identifier`, or that of a TFP distribution."""
    if isinstance(identifier, LatentPrior):
        return identifier
    return LatentPrior(identifier)


def with_labels(drawn, labels):
    """Returns what a prior drew, with other labels unless they are None."""
    return drawn if labels is None else {**drawn, "labels": labels}


def _mean(distribution):
    """Returns the mean of latents that are continuous and of one piece."""
    mean = np.full(distribution.event_shape, np.nan)
    # Mixtures and discrete draws are no smooth functions of noise.
    if distribution.reparameterization_type == tfd.FULLY_REPARAMETERIZED:
        with contextlib.suppress(NotImplementedError):
            mean = np.asarray(distribution.mean(), np.float32)
    if not np.isfinite(mean).all():
        raise ValueError(
            "Expected a prior of continuous latents around one mean, such as Normal or "
            f"Uniform, to truncate. Received: {distribution}"
        )
    return mean


def _check_latent_dim(latent_dim):
    if not isinstance(latent_dim, (int, np.integer)) or latent_dim < 1:
        raise ValueError(
            f"Expected latent_dim to be a positive int. Received: {latent_dim!r}"
        )


def _probabilities(shares):
    """Returns the shares of the classes as float64 `(C,)`."""
    if isinstance(shares, tfd.Categorical):
        if shares.batch_shape.rank != 0:
            raise ValueError(
                "Expected a Categorical with batch shape (). Received: "
                f"{shares.batch_shape}"
            )
        shares = shares.probs_parameter()
    try:
        shares = np.asarray(shares, np.float64)
    except (TypeError, ValueError):
        shares = np.asarray(np.nan)
    total = shares.sum()
    # float32 shares of many classes sum to a little more or less than 1.
    if shares.ndim != 1 or not (shares >= 0).all() or not abs(total - 1) < 1e-4:
        raise ValueError(
            "Expected `probabilities` of shape (C,), numbers >= 0 that sum to 1, or a "
            f"tfd.Categorical. Received: shape {shares.shape} with sum {total:g}"
        )
    return shares


def _serialize(value):
    """A TFP distribution or one of its parameters as what JSON can hold."""
    if isinstance(value, tfd.Distribution):
        name = type(value).__name__
        if getattr(tfd, name, None) is not type(value):
            raise ValueError(
                "Expected a distribution of tfp.distributions, which a saved GAN can "
                f"find again. Received: {type(value)}"
            )
        parameters = {
            key: _serialize(parameter)
            for key, parameter in value.parameters.items()
            if parameter is not None
        }
        return {"distribution": name, "parameters": parameters}
    # NumPy's float64 is a Python float, which TFP would take for float32.
    is_plain = isinstance(value, (bool, int, float, str))
    if value is None or (is_plain and not isinstance(value, np.number)):
        return value
    if isinstance(value, tf.DType):
        return {"dtype": value.name}
    if isinstance(value, (list, tuple)):
        # Not as an array: TFP takes Python numbers for float32, NumPy for float64.
        return [_serialize(item) for item in value]
    if _is_numeric(value):
        array = np.asarray(value)
        return {"array": array.tolist(), "dtype": array.dtype.name}
    raise ValueError(
        "Expected a distribution whose parameters are numbers, arrays or "
        f"distributions. Received a parameter of {type(value)}, which cannot be saved."
    )


def _is_numeric(value):
    try:
        return np.asarray(value).dtype.kind in "biuf"
    except (TypeError, ValueError, NotImplementedError):
        return False


def _deserialize(config):
    if isinstance(config, list):
        return [_deserialize(item) for item in config]
    if not isinstance(config, dict):
        return config
    if "array" in config:
        return np.asarray(config["array"], config["dtype"])
    if "dtype" in config:
        return tf.as_dtype(config["dtype"])
    # A file names only the class, and only a TFP distribution is ever called.
    name = config["distribution"]
    cls = getattr(tfd, name, None)
    if not (isinstance(cls, type) and issubclass(cls, tfd.Distribution)):
        raise ValueError(
            f"Expected the name of a class of tfp.distributions. Received: {name!r}"
        )
    parameters = config["parameters"]
    return cls(**{key: _deserialize(value) for key, value in parameters.items()})
