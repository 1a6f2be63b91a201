"""The limits of one action of a page, and the check that holds it to them."""

import dataclasses
import time


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits of one action.

    Attributes:
        num_samples: int, pictures that are drawn at once.
        seconds: float, after which an action ends with a sentence.
        max_pixels: int, of an uploaded picture.
        max_bytes: int, of an uploaded file.
    """

    num_samples: int = 100
    seconds: float = 20.0
    max_pixels: int = 25_000_000
    max_bytes: int = 16 * 2**20

    def deadline(self, remedy=None):
        """Returns a function of the share done, which raises when time is up.

        Args:
            remedy: str, what makes the action shorter; None where nothing does.

        Returns:
            a function for `progress` of `inference.project` and others. It raises
            TimeoutError.
        """
        end = time.monotonic() + self.seconds

        def check(share):
            if time.monotonic() > end:
                raise TimeoutError(
                    f"Stopped after {self.seconds:g} s, with {share:.0%} done: one "
                    "action of the page may take no longer; "
                    + (remedy or "try again when the machine is less busy")
                )

        return check
