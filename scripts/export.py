"""Publishes a generator for a server: python scripts/export.py --model=runs/digits"""

import common
from absl import flags

common.define_flags()
MODEL = flags.DEFINE_string("model", None, "A run's directory, or a .keras file.")
BASE = flags.DEFINE_string(
    "base", None, "Where versions are kept: BASE/1, BASE/2 ...; export/ in the run."
)
VERSION = flags.DEFINE_integer("version", None, "The next one.", lower_bound=1)
VERIFY = flags.DEFINE_bool("verify", True, "Check it before it is published, 10 s.")
CHECK = flags.DEFINE_string(
    "check", None, "Export nothing: check this version, or the latest of this base."
)


def main():
    from keras_gan.runs import exporting

    def progress(name):
        print(f"{name:8} {exporting.CHECKED[name]} ...")

    if (MODEL.value is None) == (CHECK.value is None):
        raise ValueError("Expected one of --model and --check. Received: both or none")
    if CHECK.value is not None:
        exporting.verify_export(CHECK.value, progress)
        print("It can be served.")
        return
    path = exporting.export_run(
        MODEL.value, BASE.value, VERSION.value, VERIFY.value, progress
    )
    print(f"{'It can be served.' + chr(10) if VERIFY.value else ''}Published {path}")


if __name__ == "__main__":
    common.run(main)
