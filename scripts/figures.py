"""Draws the paper's figures: python scripts/figures.py --model=runs/digits"""

import common
from absl import flags

common.define_flags()
MODEL = flags.DEFINE_string("model", None, "A run's directory.")
FIGURE = flags.DEFINE_enum(
    "figure",
    "all",
    ["1", "2", "3", "curves", "health", "all"],
    "A figure of the paper, the curves of the training, a page that says how the "
    "training went, or all that fit the run.",
)
OUTPUT = flags.DEFINE_string("output", None, "A directory; figures/ in the run.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of the samples and latents.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "As for train.py; the run's own.")
flags.mark_flag_as_required("model")


def main():
    from keras_gan.runs import figures as drawing

    for path in drawing.draw_figures(
        MODEL.value, FIGURE.value, OUTPUT.value, SEED.value, DATA_DIR.value
    ):
        print(f"Wrote {path}")


if __name__ == "__main__":
    common.run(main)
