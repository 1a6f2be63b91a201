"""Markov chains whose states are latents: independent proposals, and Langevin's."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_gan import critics, priors
from keras_gan.generation import at_least_float32
from keras_gan.inference import judges
from keras_gan.inference.latent_space import LatentSpace

# Of all accepted proposals of Langevin's algorithm, where it is fastest in many
# dimensions: G. Roberts and J. Rosenthal, J. R. Statist. Soc. B 60, 255 (1998).
_BEST_ACCEPTANCE = 0.574


class Judged:
    """A generator whose samples D gives density ratios, for samples in fixed places.

    Args:
        gan: `GAN`.
        calibration: `Calibration`, or None.
        labels: int32 `(n,)`, those of the n samples to draw, or None.
        batch_size: int, samples that G and D work on at once.
        seed: int >= 0.
        progress: None, or a function of the share done.
    """

    def __init__(self, gan, calibration, labels, batch_size, seed, progress=None):
        self.gan = gan
        self.calibration = calibration
        self.labels = labels
        self.batch_size = batch_size
        self.seed = seed
        self.progress = progress or (lambda share: None)
        self.judge = judges.judge_of(gan) if calibration is None else calibration.judge
        self._logits = tf.function(self.logits_in_graph)

    def latents(self, places, *words):
        """Returns draws of the prior, float32 `(m, L)`, for `places`, int `(m,)`.

        Args:
            words: ints >= 0, which tell draws apart.
        """
        seed = judges.seed_of(self.seed, *words)
        drawn = self.gan.latent_prior.sample(len(places), seed)
        return np.asarray(drawn["latents"] if isinstance(drawn, dict) else drawn)

    def log_ratios(self, latents, places):
        """Returns log p_data/p_g of G's samples of latents, float64 `(m,)`.

        Raises:
            ValueError: logits that are not finite.
        """
        logits = np.empty(len(latents))
        for first in range(0, len(latents), self.batch_size):
            # Whole batches, of which the last repeats rows: one graph serves all.
            rows = np.arange(first, min(first + self.batch_size, len(latents)))
            padded = np.resize(rows, self.batch_size)
            labels = self.labels_at(places[padded])
            logits[rows] = self._logits(latents[padded], labels)[: len(rows)]
        judges.check_finite(logits)
        if self.calibration is None:
            return logits
        return self.calibration.log_ratios(logits)

    def labels_at(self, places):
        """Returns the labels of places, an int32 tensor `(m,)`; or None."""
        return None if self.labels is None else tf.constant(self.labels[places])

    def logits_in_graph(self, latents, labels):
        """Returns D's logits of G's samples, float32 `(m,)`, which gradients reach."""
        if labels is not None:
            latents = {"latents": latents, "labels": labels}
        judged = self.gan.judged(latents, training=False)
        answers = at_least_float32(self.judge(judged, training=False))
        return tf.cast(critics.logits(answers)[:, 0], tf.float32)

    def uniform(self, *words):
        """Returns a `numpy.random.Generator` of its own for `words`."""
        return np.random.default_rng((self.seed, *words))

    def real_log_ratios(self, count):
        """Returns log ratios of held-out examples, one for each place; or None.

        They are drawn with replacement, of the class of a place where there are
        classes. Of a class that no held-out example has, they are of any.
        """
        if self.calibration is None:
            return None
        ratios, classes = self.calibration.real_ratios, self.calibration.real_labels
        random = self.uniform(1)
        found = random.choice(ratios, count)
        if self.labels is None:
            return found
        for label in np.unique(self.labels):
            of_class = ratios[classes == label]
            places = np.flatnonzero(self.labels == label)
            if len(of_class):
                found[places] = random.choice(of_class, len(places))
        return found


class _Chains:
    """n chains of independent proposals: their states, and how they came about."""

    def __init__(self, ratios, latent_dim):
        self.ratios = np.array(ratios)
        self.latents = np.zeros((len(ratios), latent_dim), np.float32)
        self.accepted = []
        self.trace = []

    def step(self, latents, ratios, log_uniforms):
        """Accepts each proposal with the probability min(1, r(proposal)/r(state))."""
        taken = log_uniforms < ratios - self.ratios
        self.ratios = np.where(taken, ratios, self.ratios)
        self.latents[taken] = latents[taken]
        self.accepted.append(taken)
        self.trace.append(self.ratios)


def metropolis_hastings(judged, num_samples, num_steps):
    """Runs a chain of independent proposals for each sample, see `resample`.

    Returns:
        (latents, statistics): float32 `(n, L)`, and a dict of floats, as `Resampled`
        has them.
    """
    places = np.arange(num_samples)
    latent_dim = judged.gan.latent_prior.latent_dim
    # The first proposal is better than such a state.
    worst = np.full(num_samples, -np.inf)
    starts = [worst, judged.real_log_ratios(num_samples)]
    chains = [_Chains(start, latent_dim) for start in starts if start is not None]
    random = judged.uniform(2)
    for number in range(num_steps):
        latents = judged.latents(places, 3, number)
        ratios = judged.log_ratios(latents, places)
        log_uniforms = np.log(random.uniform(size=num_samples))
        for each in chains:
            each.step(latents, ratios, log_uniforms)
        judged.progress((number + 1) / num_steps)
    from_sample, chosen = chains[0], chains[-1]
    accepted, trace = np.array(chosen.accepted), np.array(chosen.trace)
    # What would give back the held-out example, of which only the ratio is known.
    stuck = ~accepted.any(axis=0)
    accepted[:, stuck] = np.array(from_sample.accepted)[:, stuck]
    trace[:, stuck] = np.array(from_sample.trace)[:, stuck]
    latents = np.where(stuck[:, None], from_sample.latents, chosen.latents)
    return latents, {"acceptance": float(accepted.mean()), **mixing(trace)}


def langevin(judged, num_samples, burn_in, num_steps, step_size):
    """Runs a chain in the coordinates of the latents for each sample, see `resample`.

    A step of Hamiltonian Monte Carlo with one leapfrog step is one of the
    Metropolis-adjusted Langevin algorithm (R. Neal, MCMC using Hamiltonian dynamics,
    arXiv 1206.1901, section 5.2); that of TFP can adapt its length.

    Returns:
        As `metropolis_hastings`.
    """
    space = LatentSpace(judged.gan.latent_prior)
    map_ = judged.calibration
    slope, offset = (1.0, 0.0) if map_ is None else (map_.slope, map_.offset)

    @tf.function
    def run(coordinates, labels, seed):
        def log_density(u):
            logits = judged.logits_in_graph(space.latents(u), labels)
            ratios = slope * logits + offset
            return space.log_density_of_coordinates(u) + ratios

        kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
            tfp.mcmc.HamiltonianMonteCarlo(log_density, step_size, 1),
            num_adaptation_steps=burn_in * 4 // 5,
            target_accept_prob=_BEST_ACCEPTANCE,
        )

        def kept(state, results):
            inner = results.inner_results
            density = inner.accepted_results.target_log_prob
            ratios = density - space.log_density_of_coordinates(state)
            return inner.is_accepted, ratios

        states, (accepted, trace) = tfp.mcmc.sample_chain(
            num_steps, coordinates, None, kernel, burn_in, trace_fn=kept, seed=seed
        )
        return space.latents(states[-1]), accepted, trace

    places = np.arange(num_samples)
    starts = space.coordinates(judged.latents(places, 4))
    parts = []
    size = min(judged.batch_size, num_samples)
    for first in range(0, num_samples, size):
        # Whole batches, of which the last repeats places: one graph serves all.
        rows = np.resize(places[first : first + size], size)
        labels = judged.labels_at(rows)
        seed = priors.stateless_seed(judges.seed_of(judged.seed, 5, first))
        found = run(tf.gather(starts, rows), labels, seed)
        kept = min(size, num_samples - first)
        latents, accepted, trace = found
        parts.append((latents[:kept], accepted[:, :kept], trace[:, :kept]))
        judged.progress((first + kept) / num_samples)
    latents, accepted, trace = (
        np.concatenate(each, axis=axis)
        for each, axis in zip(zip(*parts, strict=True), (0, 1, 1), strict=True)
    )
    return latents, {"acceptance": float(accepted.mean()), **mixing(trace)}


def mixing(trace) -> dict:
    """Returns how well chains mix: `effective_sample_size` and `r_hat`, by TFP.

    Args:
        trace: float `(T, n)`, a number of each state of n chains.

    Returns:
        dict of floats: how many independent draws the T states of a chain are worth,
        by the correlations within and between the chains; and the potential scale
        reduction, which one chain alone does not have (NaN).
    """
    trace = np.asarray(trace, np.float64)
    length, count = trace.shape
    if length < 2:
        return {"effective_sample_size": float(length), "r_hat": float("nan")}
    size = tfp.mcmc.effective_sample_size(
        trace,
        filter_beyond_positive_pairs=True,
        cross_chain_dims=1 if count > 1 else None,
    )
    r_hat = np.nan
    if count > 1:
        r_hat = tfp.mcmc.potential_scale_reduction(trace, independent_chain_ndims=1)
    return {
        "effective_sample_size": float(np.sum(size)) / count,
        "r_hat": float(r_hat),
    }
