"""Finds latents of pictures: keras-gan project --model=runs/digits"""

from absl import flags

from keras_gan.commands import quiet, shared_flags


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan project`."""
    shared_flags.define_pictures(values)
    flags.DEFINE_string(
        "output",
        "projection.png",
        "A .png shows each picture beside its reconstruction. A .npz holds latents, "
        "labels, errors and samples. A directory, such as found/, gets both.",
        flag_values=values,
    )
    shared_flags.define_descent(values, steps=500)
    quiet.define_import(values)


def main(values: flags.FlagValues):
    """Writes latents or reconstructions to --output, and prints the errors."""
    quiet.load_package(values)
    from keras_gan import runs

    found, classes = runs.write_projection(
        values.model, values.output, **shared_flags.of_descent(values)
    )
    print("picture  error" if classes is None else "picture  error   class")
    for number, error in enumerate(found.errors):
        name = "" if classes is None else f"  {classes[number]}"
        print(f"{number:7}  {error:.4f}{name}")
    print(f"Mean squared error of a value: {found.errors.mean():.4f}")
    print(f"{len(found.errors)} pictures are in {values.output}")
