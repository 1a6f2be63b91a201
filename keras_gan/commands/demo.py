"""Opens a local page to play with a generator: keras-gan demo --model=runs/digits"""

from absl import flags

from keras_gan.commands import addresses, quiet, shared_flags


def define_flags(values: flags.FlagValues):
    """Defines the flags of `keras-gan demo`."""
    shared_flags.define_model(values)
    addresses.define(values, port=7860)
    shared_flags.define_data_dir(values)
    quiet.define_import(values)


def more_help(values: flags.FlagValues) -> str:
    """Returns what the page is for, and who sees it."""
    lines = (
        "Open the URL that it prints. Of a run, the page does all that it can; of an",
        "export or a .keras file, all but choose samples by D and show the training.",
        "By default only this machine sees it: it has no TLS and no password.",
        "docs/demo.md says how to let others see it.",
    )
    return "\n".join(lines)


def main(values: flags.FlagValues):
    """Serves the page of --model until SIGINT or SIGTERM."""
    from keras_gan import checks

    # A missing extra is answered before TensorFlow is loaded.
    checks.require("gradio", extra="demo")
    quiet.load_package(values)
    from keras_gan.demo import server, studio

    server.serve(
        studio.Studio(values.model, values.data_dir),
        values.host,
        values.port,
        started=lambda url: addresses.announce(url, values.host),
    )
