"""Scores a run: python scripts/evaluate.py --model=runs/digits"""

import common
from absl import flags

common.define_flags()
MODEL = flags.DEFINE_multi_string(
    "model",
    None,
    "A run's directory, a .keras file in one, or an .npz of samples. Several, each "
    "with a flag of its own, give the mean and standard deviation over them.",
)
NUM_SAMPLES = flags.DEFINE_integer(
    "num_samples",
    None,
    "How many; by default 10,000 images, or as the toy's protocol says.",
    lower_bound=2,
)
SEED = flags.DEFINE_integer("seed", 0, "Seed of the samples.")
FEATURES = flags.DEFINE_string(
    "features", "auto", "auto, classifier, pixels or inception."
)
DATASET = flags.DEFINE_string("dataset", None, "What the samples of an .npz stand for.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "As for train.py; the run's own.")
OUTPUT = flags.DEFINE_string("output", None, "JSON; scores.json in the run.")
flags.mark_flag_as_required("model")


def main():
    from keras_gan import evaluation
    from keras_gan.runs import scoring

    with scoring.Bars() as bars:
        reports = scoring.evaluate_all(
            MODEL.value,
            output=OUTPUT.value,
            progress=bars,
            on_report=lambda report: print(evaluation.format_report(report)),
            num_samples=NUM_SAMPLES.value,
            data_dir=DATA_DIR.value,
            seed=SEED.value,
            features=FEATURES.value,
            dataset=DATASET.value,
        )
    if len(reports) > 1:
        summary = evaluation.summarize(reports)
        print("", evaluation.format_summary(reports, summary), sep="\n")


if __name__ == "__main__":
    common.run(main)
