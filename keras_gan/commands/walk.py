"""Films a walk through the latents: keras-gan walk --model=runs/digits"""

from absl import flags

from keras_gan.commands import quiet


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan walk`."""
    flags.DEFINE_string(
        "model",
        None,
        "A run's directory, a .keras file, or an export.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "output", "walk.gif", "A .gif, or a .mp4 film.", flag_values=values
    )
    flags.DEFINE_integer("seed", 0, "Seed of the first walk.", flag_values=values)
    for name, default, least, meaning in (
        ("num_samples", 16, 1, "Walks side by side."),
        ("stops", 4, 2, "Latents that a walk visits before it is back at the first."),
        ("frames", 20, 1, "Frames from one stop to the next."),
        ("fps", 20, 1, "Frames in a second."),
    ):
        flags.DEFINE_integer(
            name, default, meaning, lower_bound=least, flag_values=values
        )
    quiet.define_import(values)


def main(values: flags.FlagValues):
    """Writes the film to --output."""
    quiet.load_package(values)
    from keras_gan import runs

    runs.write_walk(
        values.model,
        values.output,
        num_samples=values.num_samples,
        seed=values.seed,
        stops=values.stops,
        frames=values.frames,
        fps=values.fps,
    )
    seconds = values.stops * values.frames / values.fps
    print(f"A walk of {seconds:.1f} s is in {values.output}")
