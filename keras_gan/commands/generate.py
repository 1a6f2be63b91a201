"""Draws samples: keras-gan generate --model=runs/digits --output=grid.png"""

from absl import flags

from keras_gan.commands import quiet, shared_flags


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan generate`."""
    shared_flags.define_model(values)
    shared_flags.define_num_samples(values)
    flags.DEFINE_integer(
        "seed", 0, "Equal seeds draw equal samples.", flag_values=values
    )
    flags.DEFINE_string(
        "output",
        "grid.png",
        "A .png gets a grid of pictures, a .npz the samples as numbers, and a "
        "directory, such as samples/, a PNG file for each of the seeds from --seed on. "
        "Those that are there already are not drawn again.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "labels",
        None,
        "The classes to draw, by number or name: --labels=7, or --labels=cat,dog, "
        "taken in turn. By default they are drawn as often as in the training.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "truncation",
        None,
        "Pulls latents towards their mean: at 0.7 they are 0.7 times as far from it as "
        "drawn. Samples are then more typical, and vary less.",
        lower_bound=0.0,
        upper_bound=1.0,
        flag_values=values,
    )
    quiet.define_import(values)


def main(values: flags.FlagValues):
    """Writes samples to --output."""
    quiet.load_package(values)
    from keras_gan import runs
    from keras_gan.runs import generating

    runs.write_samples(
        values.model,
        values.output,
        values.num_samples,
        values.seed,
        values.labels,
        values.truncation,
    )
    what = f"samples of seed {values.seed} are"
    if generating.is_folder(values.output):
        last = values.seed + values.num_samples - 1
        what = f"samples, of the seeds {values.seed} to {last}, are"
    print(f"{values.num_samples} {what} in {values.output}")
