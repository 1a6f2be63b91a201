"""Films a walk through the latents: keras-gan walk --model=runs/digits"""

from absl import flags

from keras_gan.commands import quiet, shared_flags


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan walk`."""
    shared_flags.define_model(values)
    flags.DEFINE_string(
        "output", "walk.gif", "A .gif, or a .mp4 film.", flag_values=values
    )
    flags.DEFINE_integer("seed", 0, "Seed of the first walk.", flag_values=values)
    for name, default, least, meaning in (
        ("num_samples", None, 1, "Walks side by side, 16 by default."),
        (
            "stops",
            None,
            1,
            "Latents that a walk visits before it is back at the first: 4 by default, "
            "and 1 with several --labels.",
        ),
        ("frames", 20, 1, "Frames from one stop to the next."),
        ("fps", 20, 1, "Frames in a second."),
        ("steps", 500, 1, "Steps of the descent to the latents of --images."),
    ):
        flags.DEFINE_integer(
            name, default, meaning, lower_bound=least, flag_values=values
        )
    flags.DEFINE_list(
        "labels",
        None,
        "Classes that all walks visit, by number or name: --labels=3,8 leads from 3 to "
        "8 and back, --labels=7 stays in 7. By default each walk stays in a class that "
        "is drawn.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "images",
        None,
        "Pictures that one walk visits, by their latents: two or more files, or a "
        "folder; folder:PATH is one, too. See keras-gan project.",
        flag_values=values,
    )
    quiet.define_import(values)


def main(values: flags.FlagValues):
    """Writes the film to --output."""
    quiet.load_package(values)
    from keras_gan import runs

    num_frames = runs.write_walk(
        values.model,
        values.output,
        num_samples=values.num_samples,
        seed=values.seed,
        stops=values.stops,
        frames=values.frames,
        fps=values.fps,
        labels=values.labels,
        images=values.images,
        steps=values.steps,
    )
    print(f"A walk of {num_frames / values.fps:.1f} s is in {values.output}")
