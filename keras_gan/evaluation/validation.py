"""Scores while a model trains, by which the best one can be kept."""

from keras_gan import metrics, theory
from keras_gan.evaluation import distances, measures, protocol

# The scores of `ValidationScores`, with whether more of it is better.
VALIDATION_SCORES = {
    "validation_log_likelihood": True,
    "pixel_frechet_distance": False,
    "pixel_kernel_distance": False,
    "jensen_shannon_divergence": False,
    "largest_deviation_of_d": False,
    "modes_covered": True,
    "high_quality_share": True,
    "reverse_kl_divergence": False,
}

# Samples, and for the kernel distance examples, that pixels are compared on.
_NUM_PIXEL_SAMPLES = 2000


class ValidationScores:
    """Scores a GAN while it trains, cheaply enough for every few epochs.

    No test example takes part, so that a model chosen by these scores can still be
    tested. Whatever does not change between evaluations is computed once, here.

    Calling it with a `GAN` gives a dict of floats, named by `names`:

    - Images: `pixel_frechet_distance` of 2,000 samples to `data`. With more than
      `distances.MAX_COVARIANCE_VALUES` values an image, `pixel_kernel_distance` of
      2,000 samples to 2,000 examples instead, which needs no covariance. With a
      validation split, also `validation_log_likelihood`: the Parzen estimate, best of
      `sigmas_for` the range, of 1,000 validation examples with 10,000 samples as
      centres.
    - One dimension: `jensen_shannon_divergence`, of 100,000 samples in 100 bins, and
      `largest_deviation_of_d`.
    - More dimensions: those of `score_points`, of 2,500 samples.

    Args:
        data: `Dataset` that the GAN is trained on.
        valid: `Dataset` of the validation split, or None.
        seed: int, of the samples.

    Raises:
        ValueError: data with neither a density nor a range.
    """

    def __init__(self, data, valid=None, seed: int = 0):
        self.data = data
        self.seed = seed
        self.validation = None
        if protocol.has_density(data):
            if data.spec.num_values == 1:
                self.edges = theory.quantile_edges(data.distribution, 100)
                self.intervals = None
            return
        if valid is not None:
            rows = measures.representative_rows(valid, 1000)
            self.validation = valid.examples(rows)
        self.moments = self.pixels = None
        if distances.too_many_values(data.spec.num_values):
            self.pixels = data.fixed_examples(_NUM_PIXEL_SAMPLES)
        else:
            self.moments = distances.data_moments(data)

    @property
    def names(self) -> tuple[str, ...]:
        """The scores that calling it gives; `VALIDATION_SCORES` says which way."""
        if protocol.has_density(self.data):
            if self.data.spec.num_values == 1:
                return "jensen_shannon_divergence", "largest_deviation_of_d"
            return "modes_covered", "high_quality_share", "reverse_kl_divergence"
        pixels = "pixel_kernel_distance"
        if self.moments is not None:
            pixels = "pixel_frechet_distance"
        if self.validation is None:
            return (pixels,)
        return pixels, "validation_log_likelihood"

    def __call__(self, gan) -> dict[str, float]:
        data = self.data
        if not protocol.has_density(data):
            return self._by_examples(gan)
        samples = gan.generate(
            protocol.default_num_samples(data), seed=self.seed, batch_size=2500
        )
        if data.spec.num_values > 1:
            return measures.score_points(samples, data.distribution)
        if self.intervals is None:
            self.intervals = measures.central_intervals(data, gan)
        return {
            "jensen_shannon_divergence": theory.binned_jensen_shannon_divergence(
                samples, data.distribution, self.edges
            ),
            "largest_deviation_of_d": measures.largest_deviation_of_d(
                gan, self.intervals
            ),
        }

    def _by_examples(self, gan):
        data = self.data
        num_samples = _NUM_PIXEL_SAMPLES if self.validation is None else 10_000
        samples = measures.check_samples(
            gan.generate(num_samples, seed=self.seed), data.spec.shape
        )
        scores = {}
        compared = samples[:_NUM_PIXEL_SAMPLES]
        if self.moments is None:
            scores["pixel_kernel_distance"] = metrics.kernel_distance(
                self.pixels, compared
            ).distance
        else:
            scores["pixel_frechet_distance"] = metrics.frechet_distance(
                metrics.Moments().update(compared), self.moments
            )
        if self.validation is not None:
            # The width is chosen on the very examples that the estimate is of.
            estimate = metrics.parzen_estimate(
                self.validation,
                self.validation,
                samples,
                sigmas=protocol.sigmas_for(data.value_range),
            )
            scores["validation_log_likelihood"] = estimate.mean
        return scores
