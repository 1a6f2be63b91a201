"""The space of a prior's latents, in coordinates without bounds."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_gan import priors

tfb = tfp.bijectors
tfd = tfp.distributions

# Where a latent lies on the edge of its range, its coordinate is infinite: then this,
# of which the sigmoid is 1 to the last bit of float32.
_EDGE = 16.0


class LatentSpace:
    """The latents of a prior, as points that descent and Markov chains can move freely.

    Uniform latents, say, have bounds, which a step could cross. Here each latent z has
    coordinates u without bounds, z = b(u), by a TFP bijector b: the sigmoid between the
    bounds for what is uniform, the identity for what is normal.

    Args:
        prior: `priors.LatentPrior`, or a TFP distribution with event shape `(L,)`. The
            labels of one that draws labels are left aside.

    Attributes:
        distribution: the TFP distribution of the latents, in float32 as these are.
        latent_dim: int, L, of latents and of coordinates alike.

    Raises:
        ValueError: a prior of discrete latents, or of another kind that has no
            coordinates, such as a mixture of uniform ones.
    """

    def __init__(self, prior):
        prior = priors.get(prior)
        self.distribution = _in_float32(prior.distribution)
        self.latent_dim = prior.latent_dim
        self._bijector = _bijector(self.distribution)

    def latents(self, coordinates):
        """Returns z = b(u).

        Args:
            coordinates: float `(..., L)`, any values.

        Returns:
            float32 `(..., L)`, within the bounds of the prior.
        """
        return self._bijector.forward(tf.cast(coordinates, tf.float32))

    def coordinates(self, latents):
        """Returns u, of which `latents` are b(u).

        Args:
            latents: float32 `(..., L)`. Those on an edge of the prior's range get
                coordinates just inside it.

        Returns:
            float32 `(..., L)`, finite.

        Raises:
            tf.errors.InvalidArgumentError: latents that the prior cannot draw.
        """
        found = self._bijector.inverse(tf.cast(latents, tf.float32))
        found = tf.where(tf.math.is_inf(found), tf.sign(found) * _EDGE, found)
        return tf.debugging.check_numerics(
            found, "Expected latents within the range of the prior"
        )

    def coordinates_of(self, latents, name="latents") -> np.ndarray:
        """Returns the coordinates of latents that a user gives.

        Args:
            latents: float32 array `(..., L)`.
            name: str, what an error calls them.

        Returns:
            float32 array `(..., L)`, finite.

        Raises:
            ValueError: latents that the prior cannot draw.
        """
        try:
            return self.coordinates(latents).numpy()
        except tf.errors.InvalidArgumentError:
            raise ValueError(
                f"Expected `{name}` to be latents that the prior can draw. Received: "
                f"values from {np.min(latents):g} to {np.max(latents):g}, for "
                f"{self.distribution}"
            ) from None

    def log_density(self, latents):
        """Returns log p_z(z), float32 `(...)`, of latents `(..., L)`."""
        return self.distribution.log_prob(latents)

    def log_density_of_coordinates(self, coordinates):
        """Returns the log density of u where z = b(u) follows the prior.

        Args:
            coordinates: float32 `(..., L)`.

        Returns:
            float32 `(...)`: log p_z(b(u)) + log |det b'(u)|, what a Markov chain in u
            has to follow.
        """
        stretch = self._bijector.forward_log_det_jacobian(coordinates, event_ndims=1)
        return self.log_density(self.latents(coordinates)) + stretch


def _in_float32(distribution):
    """Returns a distribution of latents as one of float32, into which they are cast.

    NumPy's parameters are float64, and what goes with these is not float32. Rounded
    bounds hold all rounded draws.
    """
    if not distribution.dtype.is_floating or distribution.dtype == tf.float32:
        return distribution

    def cast(config):
        if isinstance(config, list):
            return [cast(each) for each in config]
        if not isinstance(config, dict):
            return config
        config = {name: cast(value) for name, value in config.items()}
        is_dtype = isinstance(config.get("dtype"), str)
        if is_dtype and tf.as_dtype(config["dtype"]).is_floating:
            config["dtype"] = "float32"
        return config

    config = priors.LatentPrior(distribution).get_config()
    return priors.LatentPrior.from_config(cast(config)).distribution


def _bijector(distribution):
    """Returns the bijector from coordinates to what a distribution draws."""
    found = None
    if isinstance(distribution, (tfd.Sample, tfd.Independent)):
        found = _bijector(distribution.distribution)
    elif isinstance(distribution, tfd.Blockwise):
        parts = distribution.distributions
        sizes = [int(tf.reduce_prod(part.event_shape)) for part in parts]
        return tfb.Blockwise([_bijector(part) for part in parts], block_sizes=sizes)
    elif isinstance(distribution, tfd.MixtureSameFamily):
        # Of all components at once: it must not depend on which one is drawn.
        found = _shared(_bijector(distribution.components_distribution))
    elif isinstance(distribution, tfd.Mixture):
        found = _shared(*(_bijector(each) for each in distribution.components))
    elif not distribution.dtype.is_integer:
        try:
            found = distribution.experimental_default_event_space_bijector()
        except (TypeError, NotImplementedError, AttributeError):
            found = None
    if found is None or not _keeps_shape(found, distribution):
        raise ValueError(
            "Expected a prior whose latents move continuously, in any direction, such "
            f"as Normal, Uniform or a mixture of normal ones. Received: {distribution}"
        )
    return found


def _shared(*bijectors):
    """Returns the bijector that all components have in common, or None."""
    first = bijectors[0]
    alike = all(type(each) is type(first) for each in bijectors)
    plain = isinstance(first, (tfb.Identity, tfb.Exp, tfb.Softplus))
    return first if alike and plain else None


def _keeps_shape(bijector, distribution):
    """Returns whether there are as many coordinates as latents."""
    shape = distribution.event_shape
    return bijector.inverse_event_shape(shape) == shape
