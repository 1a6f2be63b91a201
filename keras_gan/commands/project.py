"""Finds latents of pictures: keras-gan project --model=runs/digits"""

from absl import flags

from keras_gan.commands import quiet


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan project`."""
    define_pictures(values)
    flags.DEFINE_string(
        "output",
        "projection.png",
        "A .png gets each picture with its reconstruction beside it, a .npz the "
        "latents, labels, errors and samples, and a directory, such as found/, both.",
        flag_values=values,
    )
    define_descent(values, steps=500)
    quiet.define_import(values)


def define_pictures(values):
    """Defines the flags that name a model and pictures."""
    flags.DEFINE_string(
        "model",
        None,
        "A run's directory, a .keras file, or an export.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_list(
        "images",
        None,
        "Files and folders of pictures; folder:PATH is one, too. By default the first "
        "held-out pictures of the run's dataset.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_images",
        10,
        "How many held-out pictures.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_string(
        "dataset",
        None,
        "The dataset of the held-out pictures, for an export or a model of GAN.fit "
        "alone.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        "Where the data are or are cached. By default as in the training.",
        flag_values=values,
    )


def define_descent(values, steps):
    """Defines the flags that say how latents are looked for."""
    flags.DEFINE_integer(
        "seed", 0, "Seed of the latents to begin at.", flag_values=values
    )
    flags.DEFINE_integer(
        "steps", steps, "Steps of the descent.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_integer(
        "restarts",
        4,
        "Descents from different latents; the best is kept.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_float(
        "noise",
        None,
        "The standard deviation of what the generator cannot make of a pixel, in the "
        "unit of its range. By default a twentieth of the range, to project, and a "
        "tenth, to complete.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "labels",
        None,
        "The class of all pictures, or one each, by number or name, where the model is "
        "conditional. By default the classes are tried.",
        flag_values=values,
    )


def asked_for(values):
    """Returns the arguments that the flags of both functions stand for."""
    names = (
        "images", "num_images", "dataset", "data_dir", "seed", "steps", "restarts",
        "noise",
    )  # fmt: skip
    labels = values.labels
    if labels is not None and len(labels) == 1:
        (labels,) = labels
    return {**{name: values[name].value for name in names}, "labels": labels}


def main(values: flags.FlagValues):
    """Writes latents or reconstructions to --output, and prints the errors."""
    quiet.load_package(values)
    from keras_gan import runs

    found, classes = runs.write_projection(
        values.model, values.output, **asked_for(values)
    )
    print("picture  error" if classes is None else "picture  error   class")
    for number, error in enumerate(found.errors):
        name = "" if classes is None else f"  {classes[number]}"
        print(f"{number:7}  {error:.4f}{name}")
    print(f"Mean squared error of a value: {found.errors.mean():.4f}")
    print(f"{len(found.errors)} pictures are in {values.output}")
