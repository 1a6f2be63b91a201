"""Scores a run: python scripts/evaluate.py --model=runs/digits"""

import common
from absl import flags

common.define_flags()
MODEL = flags.DEFINE_string("model", None, "A run's directory.")
NUM_SAMPLES = flags.DEFINE_integer("num_samples", 2000, "How many.", lower_bound=2)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the samples.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "As for train.py; the run's own.")
flags.mark_flag_as_required("model")


def main():
    from keras_gan import evaluation, training

    report = training.evaluate(
        MODEL.value, NUM_SAMPLES.value, DATA_DIR.value, SEED.value
    )
    print(evaluation.format_report(report))


if __name__ == "__main__":
    common.run(main)
