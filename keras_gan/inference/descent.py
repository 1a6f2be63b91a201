"""Descent in the coordinates of latents: many points at once, by Adam."""

import math

import numpy as np
import tensorflow as tf

# Steps between two calls of `progress`.
_STEPS_AT_ONCE = 25
# Adam's. A short memory of squares: the gradients shrink by orders of magnitude on the
# way, and with the usual 0.999 ill-conditioned latents hardly move at the end.
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.9, 1e-8
# Lengths of gradients are scaled from 2^-60 to 2^60, whose squares float32 can hold.
_EXPONENT = 60


class Descent:
    """Moves the coordinates of latents downhill, a batch of points at once.

    A point u has a picture x, some of whose values are known. Its energy is

        E(u) = |f(G(b(u))) - f(x)|^2 / (2 noise^2) + prior_term(u),

    summed over the known values. Adam (D. Kingma and J. Ba, arXiv 1412.6980) makes
    `steps` steps, whose length falls from `learning_rate` to 0 by a cosine. A point
    ends where its energy was least on the way.

    Args:
        gan: what makes samples of latents: a `GAN` or an `export.ExportedGenerator`.
        space: `LatentSpace` of its prior, with b.
        noise: float > 0.
        prior_term: function of coordinates `(N, L)` and of what a batch's `rows` gave
            to `(N,)`; None leaves it out.
        features: f, from samples to a tensor of floats, which are compared as float32;
            None compares the samples themselves.
        steps, learning_rate: int and float.
        batch_size: int, points that move at once.
    """

    def __init__(
        self, gan, space, noise, prior_term, features, steps, learning_rate, batch_size
    ):
        self._gan = gan
        self._space = space
        self._noise = noise
        self._prior_term = prior_term
        self._features = features
        self._steps = steps
        self._learning_rate = learning_rate
        self._batch_size = batch_size
        # All batches have one shape: it is traced once.
        self._advance_graph = tf.function(self._advance)

    def __call__(self, starts, labels, rows, progress=None):
        """Descends from several starts for each problem, and keeps the least energy.

        Args:
            starts: float32 `(m, T, L)`, latents that m problems start at.
            labels: int32 `(m, T)`, their labels, or None.
            rows: function of the numbers of problems, int `(n,)`, to a dict of what
                these have: "images", float32, and "known", bool, both `(n,
                *sample_shape)`, and what `prior_term` reads.
            progress: None, or a function of the share done, a float in (0, 1].

        Returns:
            (latents, labels, path): float32 `(m, L)`; int32 `(m,)` or None; float32
            `(steps + 1, m)`, the mean squared error over the known values at the point
            of the least energy so far, from the start on.
        """
        num_problems, num_tries, latent_dim = starts.shape

        def of_points(points):
            found = rows(points // num_tries)
            if labels is not None:
                found["labels"] = labels.ravel()[points]
            return {name: tf.constant(values) for name, values in found.items()}

        coordinates = self._space.coordinates(starts.reshape(-1, latent_dim)).numpy()
        coordinates, energies, moved, path = self._descend(
            coordinates, of_points, progress
        )
        _check_moved(moved.reshape(num_problems, num_tries))
        best = np.argmin(energies.reshape(num_problems, num_tries), axis=1)
        best += num_tries * np.arange(num_problems)
        latents = self._space.latents(coordinates[best]).numpy()
        labels = None if labels is None else labels.ravel()[best]
        return latents, labels, path[:, best]

    def _descend(self, coordinates, of_points, progress):
        """Descends from all points.

        Returns:
            (coordinates, energies, moved, errors on the way), the third bool: whether a
            point had a finite gradient once.
        """
        size = min(self._batch_size, len(coordinates))
        num_batches = math.ceil(len(coordinates) / size)
        # The last evaluation finds out where the last step has led.
        stops = [*range(0, self._steps + 1, _STEPS_AT_ONCE), self._steps + 1]
        found = []
        for batch in range(num_batches):
            # The last batch is filled up with the first points.
            points = np.arange(batch * size, (batch + 1) * size) % len(coordinates)
            given = of_points(points)
            state, path = _start(coordinates[points]), []
            for first, last in zip(stops, stops[1:], strict=False):
                state, errors = self._advance_graph(
                    state, given, tf.constant(first), tf.constant(last)
                )
                path.append(errors)
                if progress:
                    progress((batch + last / stops[-1]) / num_batches)
            path = np.concatenate(path).T
            parts = (state[name].numpy() for name in ("best", "energy", "moved"))
            found.append((*parts, path))
        best, energies, moved, path = (
            np.concatenate(parts)[: len(coordinates)]
            for parts in zip(*found, strict=True)
        )
        return best, energies, moved, path.T

    def _advance(self, state, given, first, last):
        """Makes the steps from `first` on, before `last`.

        Returns:
            (state, errors): that after the steps, and `(last - first, n)`.
        """
        is_compared = self._features is not None
        wanted = self._features_of(given["images"]) if is_compared else None
        errors = tf.TensorArray(tf.float32, last - first)

        def body(step, state, errors):
            with tf.GradientTape() as tape:
                tape.watch(state["at"])
                energy, error, scale = self._energy(state["at"], given, wanted)
                scaled = energy * scale
            gradient = tape.gradient(scaled, state["at"]) / scale[:, None]
            better = energy < state["energy"]
            state = {
                **state,
                "best": tf.where(better[:, None], state["at"], state["best"]),
                "energy": tf.where(better, energy, state["energy"]),
                "error": tf.where(better, error, state["error"]),
            }
            errors = errors.write(step - first, state["error"])
            return step + 1, self._moved(state, gradient, step), errors

        _, state, errors = tf.while_loop(
            lambda step, *_: step < last, body, [first, state, errors]
        )
        return state, errors.stack()

    def _energy(self, coordinates, given, wanted):
        """Returns the energy of points, and what goes with it.

        Returns:
            (energy, error, scale), float32 `(n,)`: the mean squared error of the known
            values, and by what to multiply the energy before it is differentiated.
        """
        latents = self._space.latents(coordinates)
        if "labels" in given:
            latents = {"latents": latents, "labels": given["labels"]}
        samples = tf.cast(self._gan(latents, training=False), tf.float32)
        known = tf.cast(given["known"], tf.float32)
        squares = _summed((samples - given["images"]) ** 2 * known)
        error = squares / _summed(known)
        if wanted is not None:
            squares = _summed((self._features_of(samples) - wanted) ** 2)
        energy = squares / (2 * self._noise**2)
        scale = _scale(tf.sqrt(squares) / self._noise**2)
        if self._prior_term is not None:
            energy += self._prior_term(coordinates, given)
        return energy, error, scale

    def _features_of(self, samples):
        return tf.cast(self._features(samples), tf.float32)

    def _moved(self, state, gradient, step):
        """Returns the state after a step of Adam, number `step` from 0.

        A point whose gradient is not finite goes back to the best it has been.
        """
        step = tf.cast(step, tf.float32)
        rate = (1 + tf.cos(math.pi * step / self._steps)) / 2 * self._learning_rate
        mean = _BETA_1 * state["mean"] + (1 - _BETA_1) * gradient
        square = _BETA_2 * state["square"] + (1 - _BETA_2) * gradient**2
        unbiased_mean = mean / (1 - _BETA_1 ** (step + 1))
        unbiased_square = square / (1 - _BETA_2 ** (step + 1))
        move = rate * unbiased_mean / (tf.sqrt(unbiased_square) + _EPSILON)
        is_finite = tf.reduce_all(tf.math.is_finite(gradient), axis=1)
        there = is_finite[:, None]
        return {
            **state,
            "at": tf.where(there, state["at"] - move, state["best"]),
            "mean": tf.where(there, mean, state["mean"]),
            "square": tf.where(there, square, state["square"]),
            "moved": state["moved"] | is_finite,
        }


def _start(coordinates):
    """Returns the state of points before the first step."""
    coordinates = tf.constant(coordinates, tf.float32)
    infinite = tf.fill(coordinates.shape[:1], np.float32(np.inf))
    return {
        "at": coordinates,
        "mean": tf.zeros_like(coordinates),
        "square": tf.zeros_like(coordinates),
        "best": coordinates,
        "energy": infinite,
        "error": infinite,
        "moved": tf.fill(coordinates.shape[:1], False),
    }


def _scale(length):
    """Returns what brings gradients of a length, float32 `(n,)`, to a length near 1.

    On their way back through a G that computes in float16 they would exceed its 65504,
    or vanish. A power of 2, so that in float32 it does not change a bit of them.
    """
    length = tf.clip_by_value(tf.stop_gradient(length), 2.0**-_EXPONENT, 2.0**_EXPONENT)
    return 2.0 ** -tf.round(tf.math.log(length) / math.log(2.0))


def _check_moved(moved):
    """Raises ValueError for a problem, `(m, T)`, of which no try could move."""
    stuck = np.count_nonzero(~moved.any(axis=1))
    if stuck:
        raise ValueError(
            "Expected a generator whose gradients are finite. Received: NaN or "
            f"infinity wherever {stuck:,} of {len(moved):,} descents began; if it "
            "computes in float16, load it in float32"
        )


def _summed(values):
    """Returns the sums over all axes but the first."""
    return tf.reduce_sum(values, axis=list(range(1, values.shape.rank)))
