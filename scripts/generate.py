"""Draws samples: python scripts/generate.py --model=runs/digits --output=grid.png"""

import common
from absl import flags

common.define_flags()
MODEL = flags.DEFINE_string(
    "model", None, "A run's directory, a .keras file, or an export."
)
NUM_SAMPLES = flags.DEFINE_integer("num_samples", 100, "How many.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "The same seed draws the same samples.")
OUTPUT = flags.DEFINE_string(
    "output", "grid.png", "A .png for a grid, a .npz for the samples as numbers."
)
flags.mark_flag_as_required("model")


def main():
    from keras_gan import runs

    runs.write_samples(MODEL.value, OUTPUT.value, NUM_SAMPLES.value, SEED.value)
    print(f"{NUM_SAMPLES.value} samples of seed {SEED.value} are in {OUTPUT.value}")


if __name__ == "__main__":
    common.run(main)
