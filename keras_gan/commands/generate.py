"""Draws samples: keras-gan generate --model=runs/digits --output=grid.png"""

from absl import flags

from keras_gan.commands import quiet


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan generate`."""
    flags.DEFINE_string(
        "model",
        None,
        "A run's directory, a .keras file, or an export.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_samples",
        100,
        "The number of samples.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", 0, "Equal seeds draw equal samples.", flag_values=values
    )
    flags.DEFINE_string(
        "output",
        "grid.png",
        "A .png gets a grid of pictures, a .npz the samples as numbers.",
        flag_values=values,
    )


def main(values: flags.FlagValues):
    """Writes samples to --output."""
    quiet.load_package()
    from keras_gan import runs

    runs.write_samples(values.model, values.output, values.num_samples, values.seed)
    print(f"{values.num_samples} samples of seed {values.seed} are in {values.output}")
