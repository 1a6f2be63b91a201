"""What D says of examples that it was not trained on: whether it overfits."""

import keras
import numpy as np

from keras_gan.evaluation import measures

# Of large images fewer, so that they take no more memory than these: 128 MiB.
_MOST_EXAMPLES, _MOST_VALUES = 1000, 2**25
_BATCH_SIZE = 256


class HeldOutAnswers:
    """D's answers to held-out examples, and to as many training examples.

    Calling it with a `GAN` gives a dict of floats. It has what the GAN's loss logs
    (`AdversarialLoss.diagnostics`) of held-out examples and samples, named with "val_",
    and what that says of real examples, of training examples and the same samples,
    named with "train_": for the paper's losses `val_value`, `val_d_real`, `val_d_fake`
    and `train_d_real`, for others `val_real_logits`, `val_fake_logits` and
    `train_real_logits`. Both networks run with `training=False`, unlike in the logs of
    the training, so that dropout and running statistics make no difference between the
    two. Where D overfits, the first is far below the second, as in T. Karras et al.,
    Training Generative Adversarial Networks with Limited Data, arXiv 2006.06676,
    figure 1.

    Args:
        data: `Dataset` that the GAN is trained on.
        valid: `Dataset` of other examples like these; labelled where the GAN is.
        seed: int, of the samples.
        num_examples: int, how many of each at most; fewer of large images.
    """

    def __init__(self, data, valid, seed: int = 0, num_examples: int = _MOST_EXAMPLES):
        fitting = max(1, _MOST_VALUES // data.spec.num_values)
        self.count = min(len(data), len(valid), num_examples, fitting)
        self.seed = seed
        # As D takes them, read once.
        self.examples = {
            "train": _read(data, self.count),
            "val": _read(valid, self.count),
        }

    def __call__(self, gan) -> dict[str, float]:
        latents = gan.latent_prior.sample(self.count, self.seed)
        samples = gan.samples_of(latents)
        fake = _answers(gan, gan.critic_inputs(samples, latents))
        found = {}
        for name, (examples, labels) in self.examples.items():
            if gan.is_labelled:
                examples = {"samples": examples, "labels": labels}
            real = _answers(gan, examples, are_real=True)
            said = gan.adversarial_loss.diagnostics(real, fake)
            found |= {
                f"{name}_{log}": float(mean)
                for log, mean in said.items()
                if name == "val" or "real" in log.split("_")
            }
        return found


def _read(data, count):
    """(examples, labels or None) that stand for all of `data`."""
    rows = measures.representative_rows(data, count)
    labels = None if data.labels is None else np.asarray(data.labels[rows], np.int32)
    return data.examples(rows), labels


def _answers(gan, inputs, are_real=False):
    """What D answers, as often as it does: one that judges packs answers less."""
    critic = gan.critic(training=False)
    answers = []
    for start in range(0, len(keras.tree.flatten(inputs)[0]), _BATCH_SIZE):
        rows = slice(start, start + _BATCH_SIZE)
        # All tensors: latents may be, beside samples that are arrays.
        judged = keras.tree.map_structure(
            lambda part, rows=rows: keras.ops.convert_to_tensor(part[rows]), inputs
        )
        if are_real:
            judged = gan.judged_real(judged, training=False)
        answers.append(np.asarray(critic.answers(judged)))
    return np.concatenate(answers)
