"""Samples that a page has drawn, and those that a user has picked."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Drawn:
    """Samples, and where they come from.

    Attributes:
        samples: float32 `(n, *spec.shape)` in `spec.value_range`.
        latents: float32 `(n, L)`.
        labels: int32 `(n,)`, or None.
    """

    samples: np.ndarray
    latents: np.ndarray
    labels: np.ndarray | None

    def __len__(self):
        return len(self.samples)

    def pick(self, number) -> "Drawn":
        """Returns one of them, as a `Drawn` of length 1."""
        rows = slice(number, number + 1)
        labels = None if self.labels is None else self.labels[rows]
        return Drawn(self.samples[rows], self.latents[rows], labels)

    @property
    def label(self) -> int | None:
        """The class of the first, or None."""
        return None if self.labels is None else int(self.labels[0])


@dataclasses.dataclass(frozen=True, eq=False)
class Picks:
    """Two samples: one to edit, and one that a way leads to.

    Attributes:
        first, second: `Drawn` of length 1.
        first_number, second_number: ints, their numbers in the grid; None of those that
            come from elsewhere.
        chosen: bool, whether the user has picked one of them.
    """

    first: Drawn
    second: Drawn
    first_number: int | None
    second_number: int | None
    chosen: bool = False

    def replaced(self, role, sample, number) -> "Picks":
        """Returns the user's picks with another "first" or "second"."""
        changes = {role: sample, f"{role}_number": number, "chosen": True}
        return dataclasses.replace(self, **changes)

    def elsewhere(self) -> "Picks":
        """Returns the picks, where the grid shows other samples."""
        return dataclasses.replace(self, first_number=None, second_number=None)
