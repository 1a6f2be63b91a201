"""Prints the lower bound of every dependency of setup.py, as pip's constraints.

    python .ci/lower_bounds.py > constraints.txt

It runs in an environment in which keras_gan is installed: its metadata hold the
requirements as setup.py states them.
"""

import importlib.metadata
import re


def lower_bounds(requirements: list[str]) -> dict[str, str]:
    """Returns the version after ">=" of each requirement, by the package's name.

    Raises:
        ValueError: a requirement without a lower bound, or with two.
    """
    bounds = {}
    for requirement in requirements:
        specification = requirement.partition(";")[0]
        name = re.match(r"[\w.-]+", specification)[0].lower()
        versions = re.findall(r">=\s*([\w.]+)", specification)
        if len(versions) != 1 or bounds.setdefault(name, versions[0]) != versions[0]:
            raise ValueError(
                f"Expected one lower bound of {name}. Received: {requirement}"
            )
    return bounds


if __name__ == "__main__":
    for name, version in lower_bounds(importlib.metadata.requires("keras_gan")).items():
        print(f"{name}=={version}")
