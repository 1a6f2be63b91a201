"""Checks the paper's propositions by numbers: keras-gan theory --output=runs/theory"""

from absl import flags

from keras_gan.commands import quiet


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan theory`."""
    flags.DEFINE_string(
        "output", "runs/theory", "A directory for the figures.", flag_values=values
    )
    flags.DEFINE_integer("seed", 0, "Seed of everything random.", flag_values=values)


def main(values: flags.FlagValues):
    """Prints the table of checks and the paths of the figures."""
    quiet.load_package(values["import"].value)
    from keras_gan.theory import figures as theory_figures

    checks, paths = theory_figures.draw(values.output, values.seed)
    print(theory_figures.format_checks(checks))
    print("Figures:", *paths, sep="\n  ")
