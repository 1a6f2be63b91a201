"""Completes pictures: keras-gan complete --model=runs/digits --mask=lower"""

from absl import flags

from keras_gan.commands import quiet, shared_flags


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan complete`."""
    shared_flags.define_pictures(values)
    flags.DEFINE_string(
        "mask",
        "lower",
        "The part to hide: lower, upper, left, right, center, or an image file of the "
        "pictures' size, black where a pixel is hidden.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_completions",
        5,
        "Completions of each picture.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        "completion.png",
        "A .png shows each picture with its hidden part in grey, its completions, and "
        "the picture. A .npz holds all of it as numbers. A directory, such as found/, "
        "gets both.",
        flag_values=values,
    )
    shared_flags.define_descent(values, steps=200)
    quiet.define_import(values)


def main(values: flags.FlagValues):
    """Writes completions to --output, and prints their errors."""
    quiet.load_package(values)
    from keras_gan import runs

    found = runs.write_completion(
        values.model,
        values.output,
        values.mask,
        num_completions=values.num_completions,
        **shared_flags.of_descent(values),
    )
    print("picture  error of what is known, of each completion")
    for number, errors in enumerate(found.errors):
        print(f"{number:7}  {'  '.join(f'{error:.4f}' for error in errors)}")
    if found.explained is not None:
        print(f"Explained of the hidden variance: {found.explained:.1%}")
    print(f"{len(found.errors)} pictures are in {values.output}")
