"""What a card remembers of a few samples, for another process to match.

`verification/probe.py` loads this file by its path, in a process that must not find
`keras_gan`: it may import nothing but NumPy.
"""

import numpy as np

# Small, negative, and beyond 32 bits.
SEEDS = (0, 1, -3, 2**40 + 7)
_MAX_VALUES = 64


def goldens(seeds, latents, samples, labels=None, encoded=None) -> list[dict]:
    """Returns the goldens of samples, as JSON can hold them.

    Args:
        seeds: ints, one a row.
        latents: float array `(len(seeds), L)`.
        samples: float array `(len(seeds), *sample_shape)`.
        labels: int array `(len(seeds),)`, or None where there are none.
        encoded: float array `(len(seeds), L)`, what an encoder makes of the samples; or
            None where there is none.

    Returns:
        list of dicts: `seed`, `label` if there are some, all `latents`, up to 64
        `values` spread evenly over the sample, the `mean` of all its values, and
        `encoded`, if there are some.
    """
    return [
        {
            "seed": seed,
            **({} if labels is None else {"label": int(labels[row])}),
            **_golden(latents[row], samples[row]),
            **({} if encoded is None else {"encoded": encoded[row].tolist()}),
        }
        for row, seed in enumerate(seeds)
    ]


def inputs_of(goldens: list[dict]) -> dict:
    """Returns what the signature `sample` is asked for the samples of goldens."""
    inputs = {"seed": np.asarray([golden["seed"] for golden in goldens], np.int64)}
    if any("label" in golden for golden in goldens):
        inputs["labels"] = np.asarray([each["label"] for each in goldens], np.int64)
    return inputs


def _golden(latents, sample):
    values = np.asarray(sample, np.float64).ravel()
    count = min(_MAX_VALUES, len(values))
    places = np.linspace(0, len(values) - 1, count).astype(int)
    return {
        "latents": np.asarray(latents, np.float64).tolist(),
        "values": values[places].tolist(),
        "mean": float(values.mean()),
    }
