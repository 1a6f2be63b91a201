"""Publishes a generator: keras-gan export --model=runs/digits"""

from absl import flags

from keras_gan.commands import quiet


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan export`."""
    flags.DEFINE_string(
        "model", None, "A run's directory, or a .keras file.", flag_values=values
    )
    flags.DEFINE_enum(
        "format",
        "saved_model",
        ["saved_model", "onnx", "litert"],
        "A SavedModel for a server, or one file that turns latents into samples "
        "without TensorFlow.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "base",
        None,
        "The directory that holds the versions of a SavedModel: BASE/1, BASE/2 ... By "
        "default export/ in the run.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        "The file of another format, .onnx or .tflite. By default in export/ in the "
        "run, with the run's name.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "version",
        None,
        "The number of the version. By default the next one.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "verify",
        True,
        "Check the version before it is published, which takes 10 s. Files are always "
        "checked.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "check",
        None,
        "Export nothing, but check this version, or the latest version of this base.",
        flag_values=values,
    )
    quiet.define_import(values)


def main(values: flags.FlagValues):
    """Publishes --model, or checks --check."""
    if (values.model is None) == (values.check is None):
        raise ValueError("Expected one of --model and --check. Received: both or none")
    _check_flags_of_format(values)
    quiet.load_package(values)
    from keras_gan.runs import exporting

    if values.format != "saved_model":
        # The converters complain in many lines, beside the exception with its reason.
        with quiet.held_back_stderr(shown_after_errors=False):
            path = exporting.export_run_file(values.model, values.format, values.output)
        print("It computes the samples that Keras does.")
        print(f"Published {path}")
        return

    def progress(name):
        print(f"{name:8} {exporting.CHECKED[name]} ...", flush=True)

    if values.check is not None:
        exporting.verify_export(values.check, progress)
        print("It can be served.")
        return
    path = exporting.export_run(
        values.model, values.base, values.version, values.verify, progress
    )
    if values.verify:
        print("It can be served.")
    print(f"Published {path}")


def _check_flags_of_format(values):
    """Raises for a flag that the format does not have, before TensorFlow is loaded."""
    if values.format == "saved_model":
        wrong, instead = ["output"], "--format=onnx or --format=litert for a file"
    else:
        wrong, instead = ["base", "version", "verify", "check"], "--output for the file"
    given = [name for name in wrong if values[name].present]
    if given:
        raise ValueError(
            f"Expected no --{given[0]} with --format={values.format}. Pass {instead}."
        )
