"""Publishes a generator for a server: keras-gan export --model=runs/digits"""

from absl import flags

from keras_gan.commands import quiet


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan export`."""
    flags.DEFINE_string(
        "model", None, "A run's directory, or a .keras file.", flag_values=values
    )
    flags.DEFINE_string(
        "base",
        None,
        "The directory that holds the versions: BASE/1, BASE/2 ... By default export/ "
        "in the run.",
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
        "Check the version before it is published, which takes 10 s.",
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
    """Publishes a version of --model, or checks --check."""
    if (values.model is None) == (values.check is None):
        raise ValueError("Expected one of --model and --check. Received: both or none")
    quiet.load_package(values)
    from keras_gan.runs import exporting

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
