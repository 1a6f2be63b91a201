"""Draws better samples by D: keras-gan resample --model=runs/digits"""

from absl import flags

from keras_gan.commands import quiet, shared_flags


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan resample`."""
    flags.DEFINE_string(
        "model",
        None,
        "A run's directory. Its held-out examples say what D is worth.",
        required=True,
        flag_values=values,
    )
    shared_flags.define_num_samples(values)
    flags.DEFINE_enum(
        "method",
        "rejection",
        ["rejection", "metropolis_hastings", "langevin"],
        "rejection keeps a sample of G with a probability, metropolis_hastings takes "
        "the last of a chain of samples, and langevin moves the latents.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "steps",
        0,
        "Steps in which the judge is trained (further) first, while G stands still.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "judge",
        "discriminator",
        ["discriminator", "fourier"],
        "What judges the samples: the run's D, or, of points alone, a new network that "
        "sees finer detail. The latter needs --steps=3000 or so.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", 0, "Equal seeds draw equal samples.", lower_bound=0, flag_values=values
    )
    flags.DEFINE_string(
        "output",
        "grid.png",
        "A .png gets a grid of pictures, a .npz the samples as numbers.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "labels",
        None,
        "The classes to draw, by number or name, taken in turn. By default they are "
        "drawn as often as in the training.",
        flag_values=values,
    )
    shared_flags.define_data_dir(values)
    quiet.define_import(values)


def main(values: flags.FlagValues):
    """Writes samples to --output, and prints what D is worth."""
    quiet.load_package(values)
    from keras_gan import runs, streams

    with streams.share_bar("Training D") as progress:
        found, calibration = runs.write_resampled(
            values.model,
            values.output,
            num_samples=values.num_samples,
            method=values.method,
            seed=values.seed,
            steps=values.steps,
            judge=values.judge,
            labels=values.labels,
            data_dir=values.data_dir,
            progress=progress,
        )
    print(
        f"D prefers a held-out example to a sample in {calibration.auc:.1%} of pairs "
        f"(standard error {calibration.auc_standard_error:.1%}); log loss "
        f"{calibration.log_loss_before:.4f}, calibrated "
        f"{calibration.log_loss_after:.4f}"
    )
    line = f"Accepted {found.acceptance:.1%} of the proposals"
    if found.r_hat is not None:
        line += (
            f"; a chain is worth {found.effective_sample_size:.1f} independent draws, "
            f"R-hat {found.r_hat:.3f}"
        )
    print(line)
    print(
        f"{values.num_samples} samples by {values.method} of seed {values.seed} are in "
        f"{values.output}"
    )
