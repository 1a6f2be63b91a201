"""The protocol: everything that a table of scores depends on, besides the samples."""

import dataclasses
import hashlib
import json

from keras_gan import checks, metrics


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Everything that a table of scores depends on, besides the samples.

    Attributes:
        dataset: str.
        train, valid, test: (split, number of examples, digest of them), or None where
            there is none. Samples are compared with `test` (`train`, where there is
            none), and `valid` chooses the Parzen windows' width. The digest is empty
            where an exact density takes the place of examples.
        contrast_normalization: bool, whether each image's contrast is normalised.
        value_range: (low, high) of the values, or None.
        num_samples, sample_seed: ints.
        num_validation: int, examples that the width is chosen on.
        sigmas: widths to choose from, in units of the values.
        features: str, the name of the feature extractor; `features_key`, a digest of
            what its features depend on.
        nearest_k: int, of precision, recall, density and coverage.
        subset_size: int, of the kernel distance.
        bins: int, of the histogram of one-dimensional samples.
        versions: dict of package versions.
    """

    dataset: str
    train: tuple
    valid: tuple | None
    test: tuple | None
    contrast_normalization: bool
    value_range: tuple | None
    num_samples: int
    sample_seed: int
    num_validation: int = 1000
    sigmas: tuple = tuple(metrics.PAPER_SIGMAS.tolist())
    features: str = "none"
    features_key: str = "none"
    nearest_k: int = 5
    subset_size: int = 1000
    bins: int = 100
    versions: dict = dataclasses.field(default_factory=dict)

    @property
    def hash(self) -> str:
        """12 hexadecimal digits: scores with one hash can be compared."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def protocol_for(
    dataset: str,
    contrast_normalization: bool,
    train,
    valid,
    test,
    num_samples: int | None = None,
    seed: int = 0,
    versions: dict | None = None,
) -> Protocol:
    """Returns the `Protocol` by which samples of a dataset are scored.

    Args:
        dataset: str, what the data are called, see `datasets.load`.
        contrast_normalization: bool, whether the contrast of `train`, `valid` and
            `test` is normalised.
        train, valid, test: `Dataset`s; the last two may be None.
        num_samples: int >= 2, or None for `default_num_samples`.
        seed: int, of the samples.
        versions: dict of package versions.

    Raises:
        ValueError: fewer than 2 samples, or data that samples cannot be scored by.
    """
    exact = has_density(train)
    if num_samples is None:
        num_samples = default_num_samples(train)
    else:
        checks.num_samples(num_samples, minimum=2)

    def described(data):
        # Where the density is known, no examples take part in the scores.
        digest = "" if exact else metrics.data_key(data)[:16]
        return data.split, len(data), digest

    return Protocol(
        dataset=dataset,
        train=described(train),
        valid=None if valid is None else described(valid),
        test=None if test is None else described(test),
        contrast_normalization=contrast_normalization,
        value_range=train.value_range,
        num_samples=num_samples,
        sample_seed=seed,
        sigmas=() if exact else sigmas_for(train.value_range),
        versions=versions or {},
    )


def has_density(data) -> bool:
    """Returns whether samples of `data` are scored by its exact density.

    They are compared with examples otherwise, which takes a range: it sets the scale
    of the Parzen windows.

    Args:
        data: `Dataset`.

    Raises:
        ValueError: data with neither a density nor a range.
    """
    if data.distribution is not None and not data.spec.is_image:
        return True
    if data.value_range is None:
        raise ValueError(
            "Expected a dataset with a `distribution` or a `value_range`, to score "
            f"samples by. Received: {data.name!r}, a {data.spec.kind} with neither"
        )
    return False


def default_num_samples(data) -> int:
    """Returns how many samples the protocol scores.

    They are 10,000 where they are compared with examples, as in the paper, 100,000 of
    a density in one dimension, and 2,500 in more, as in PacGAN (arXiv 1712.04086).

    Args:
        data: `Dataset`, the training data.
    """
    if not has_density(data):
        return 10_000
    return 100_000 if data.spec.num_values == 1 else 2_500


def sigmas_for(value_range) -> tuple[float, ...]:
    """Returns the paper's ten widths, in units of the range, which was [0, 1] there."""
    low, high = value_range
    return tuple((metrics.PAPER_SIGMAS * (high - low)).tolist())
