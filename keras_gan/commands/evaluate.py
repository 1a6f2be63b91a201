"""Scores a run: keras-gan evaluate --model=runs/digits"""

from absl import flags

from keras_gan.commands import quiet, shared_flags


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan evaluate`."""
    flags.DEFINE_multi_string(
        "model",
        None,
        "A run's directory, a .keras file in one, an export, an .npz of samples, or "
        "folder:PATH, a folder of images. "
        "Repeat the flag to score several, with their mean and standard deviation.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_samples",
        None,
        "The number of samples. By default 10,000 images, or what the protocol of the "
        "toy data says.",
        lower_bound=2,
        flag_values=values,
    )
    flags.DEFINE_integer("seed", 0, "Seed of the samples.", flag_values=values)
    flags.DEFINE_string(
        "features",
        "auto",
        "What images are compared by: classifier, pixels, inception, fid:PATH or auto. "
        "auto takes a classifier, trained on the data's labels, where there are "
        "labels, else pixels. fid:PATH takes the published FID's network, whose "
        "weights are in a file; fid alone fetches them once. fid-clean:PATH resizes as "
        "clean-fid does, fid-pytorch:PATH as pytorch-fid does.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "reference",
        "test",
        ["test", "train"],
        "The split that images are compared with, as far as there is one. Published "
        "FIDs compare with train.",
        flag_values=values,
    )
    _define_data_flags(values)
    flags.DEFINE_string(
        "output",
        None,
        "A JSON file for the scores. By default scores.json in the run.",
        flag_values=values,
    )
    quiet.define_import(values)


def _define_data_flags(values):
    """Defines the flags that say what the samples stand for."""
    flags.DEFINE_string(
        "dataset",
        None,
        "The dataset that the samples of an .npz, a folder, an export or a model "
        "of GAN.fit alone stand for.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "background",
        None,
        "The colour that transparent pixels are laid on in the folders that --model "
        "and --dataset name, by default white; none keeps the transparency as a fourth "
        "channel.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "skip_broken",
        None,
        "Leave out files that cannot be read in the folders that --model and --dataset "
        "name, with a warning. By default they end the command.",
        flag_values=values,
    )
    shared_flags.define_data_dir(values)


def main(values: flags.FlagValues):
    """Prints the tables of scores and writes them to --output."""
    quiet.load_package(values)
    from keras_gan import evaluation
    from keras_gan.runs import scoring

    with scoring.Bars() as bars:
        reports = scoring.evaluate_all(
            values.model,
            output=values.output,
            progress=bars,
            on_report=lambda report: print(evaluation.format_report(report)),
            num_samples=values.num_samples,
            data_dir=values.data_dir,
            seed=values.seed,
            features=values.features,
            dataset=values.dataset,
            reference=values.reference,
            folder_settings=_folder_settings(values),
        )
    if len(reports) > 1:
        summary = evaluation.summarize(reports)
        print("", evaluation.format_summary(reports, summary), sep="\n")


def _folder_settings(values):
    """The settings of folders that were given, as `scoring.evaluate` takes them."""
    given = {name: values[name].value for name in ("background", "skip_broken")}
    given = {name: value for name, value in given.items() if value is not None}
    if given.get("background", "").lower() == "none":
        given["background"] = None
    return given
