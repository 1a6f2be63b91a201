"""Draws the paper's figures: keras-gan figures --model=runs/digits"""

from absl import flags

from keras_gan.commands import quiet, shared_flags


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan figures`."""
    flags.DEFINE_string(
        "model",
        None,
        "A run's directory, or one in which GAN.fit alone has left a gan.keras.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "figure",
        "all",
        ["1", "2", "3", "classes", "curves", "health", "training", "all"],
        "A figure of the paper by its number, the ways from class to class, the curves "
        "of the training, a page that says how the training went, its pictures of "
        "samples as a film, or all that fit the run.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        "A directory for the figures. By default figures/ in the run.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", 0, "Seed of the samples and latents.", flag_values=values
    )
    flags.DEFINE_list(
        "labels",
        None,
        "The classes that --figure=classes leads through, by number or name: "
        "--labels=3,8. By default all.",
        flag_values=values,
    )
    shared_flags.define_data_dir(values)
    flags.DEFINE_string(
        "dataset",
        None,
        "The dataset that a GAN of GAN.fit alone was trained on.",
        flag_values=values,
    )
    quiet.define_import(values)


def main(values: flags.FlagValues):
    """Writes the figures and prints their paths."""
    quiet.load_package(values)
    from keras_gan import runs

    for path in runs.draw_figures(
        values.model,
        values.figure,
        values.output,
        values.seed,
        values.data_dir,
        values.dataset,
        values.labels,
    ):
        print(f"Wrote {path}")
