"""Flags that several commands have, defined alike."""

from absl import flags


def define_model(values: flags.FlagValues):
    """Defines --model of commands that draw: a run, a file or an export."""
    flags.DEFINE_string(
        "model",
        None,
        "A run's directory, a .keras file, or an export.",
        required=True,
        flag_values=values,
    )


def define_num_samples(values: flags.FlagValues):
    """Defines --num_samples of commands that draw."""
    flags.DEFINE_integer(
        "num_samples",
        100,
        "The number of samples.",
        lower_bound=1,
        flag_values=values,
    )


def define_data_dir(values: flags.FlagValues):
    """Defines --data_dir of commands that need a trained run's data."""
    flags.DEFINE_string(
        "data_dir",
        None,
        "Where the data are or are cached. By default as in the training.",
        flag_values=values,
    )


def define_pictures(values: flags.FlagValues):
    """Defines the flags that name a model, and pictures whose latents are wanted."""
    define_model(values)
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
    define_data_dir(values)


def define_descent(values: flags.FlagValues, steps: int):
    """Defines the flags that say how latents are looked for.

    Args:
        values: the command's flags.
        steps: int, the default of --steps.
    """
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


def of_descent(values: flags.FlagValues) -> dict:
    """Returns the arguments that the flags of pictures and of a descent stand for."""
    names = (
        "images", "num_images", "dataset", "data_dir", "seed", "steps", "restarts",
        "noise",
    )  # fmt: skip
    labels = values.labels
    if labels is not None and len(labels) == 1:
        (labels,) = labels
    return {**{name: values[name].value for name in names}, "labels": labels}
