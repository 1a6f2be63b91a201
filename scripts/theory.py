"""Checks the propositions by numbers: python scripts/theory.py --output=runs/theory"""

import common
from absl import flags

common.define_flags()
OUTPUT = flags.DEFINE_string("output", "runs/theory", "The folder for the figures.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of all that is random.")


def main():
    from keras_gan.theory import figures as theory_figures

    checks, paths = theory_figures.draw(OUTPUT.value, SEED.value)
    print(theory_figures.format_checks(checks))
    print("Figures:", *paths, sep="\n  ")


if __name__ == "__main__":
    common.run(main)
