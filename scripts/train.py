"""Trains a GAN: python scripts/train.py --preset=digits

The run's directory (--workdir) gets the model, pictures of samples and the losses.
"""

import common
from absl import flags

common.define_flags()
PRESET = flags.DEFINE_string(
    "preset",
    "digits",
    "The experiment: digits, mnist, tfd, tfd_stage2, cifar10_mlp, cifar10_conv, "
    "gaussian1d, ring8 or grid25.",
)
flags.DEFINE_string("workdir", None, "The run's directory; runs/<preset>.")
flags.DEFINE_string("data_dir", None, "Where the data are or are cached.")
flags.DEFINE_bool("overwrite", False, "Replace a run that is there already.")
flags.DEFINE_enum(
    "resume",
    "never",
    ["auto", "never"],
    "auto goes on from the newest whole checkpoint in --workdir, if there is one.",
)
flags.DEFINE_float("checkpoint_minutes", 2.0, "Between checkpoints; 0: not by time.")
flags.DEFINE_integer("checkpoint_steps", 0, "Between checkpoints; 0: not by steps.")
flags.DEFINE_integer("keep_checkpoints", 2, "How many of the newest stay.")
RUN = (
    "workdir", "data_dir", "overwrite", "resume",
    "checkpoint_minutes", "checkpoint_steps", "keep_checkpoints",
)  # fmt: skip
DRY_RUN = flags.DEFINE_bool(
    "dry_run", False, "Print parameters, time and memory of a step; write nothing."
)
SETTINGS = flags.DEFINE_multi_string(
    "set", [], "field=value: sets any field of the preset; may be repeated."
)
flags.DEFINE_string("dataset", None, "What to train on: a name, or folder:PATH[@SIZE].")
flags.DEFINE_string("loss", None, "non_saturating or minimax.")
flags.DEFINE_integer("seed", None, "Seed of everything random.")
flags.DEFINE_integer("epochs", None, "Passes over the data.")
flags.DEFINE_integer("batch_size", None, "m, examples in a minibatch.")
flags.DEFINE_integer("discriminator_steps", None, "k, minibatches for each step of G.")
flags.DEFINE_string(
    "mixed_precision",
    None,
    "auto, float32, mixed_bfloat16 or mixed_float16; auto: 16 bits on a GPU.",
)
flags.DEFINE_string("jit_compile", None, "XLA: auto, true or false; auto: on a GPU.")
flags.DEFINE_string(
    "distribute", None, "Devices: none (one), mirrored or multi_worker (TF_CONFIG)."
)
FIELDS = (
    "dataset", "loss", "seed", "epochs", "batch_size", "discriminator_steps",
    "mixed_precision", "jit_compile", "distribute",
)  # fmt: skip


def main():
    settings = {}
    for setting in SETTINGS.value:
        field, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"Expected --set=field=value. Received: --set={setting}")
        settings[field] = value
    for field in FIELDS:
        if flags.FLAGS[field].value is not None:
            settings[field] = flags.FLAGS[field].value

    from keras_gan.experiments import get_preset
    from keras_gan.runs.dry_run import dry_run, format_dry_run
    from keras_gan.runs.run import Run
    from keras_gan.runs.training import CheckpointPlan, train

    experiment = get_preset(PRESET.value, settings)
    values = {name: flags.FLAGS[name].value for name in RUN}
    if DRY_RUN.value:
        print(format_dry_run(dry_run(experiment, values["data_dir"])))
        return
    path = values["workdir"] or f"runs/{experiment.name}"
    run = Run(path, experiment, values["data_dir"])
    plan = CheckpointPlan(
        values["checkpoint_minutes"],
        values["checkpoint_steps"],
        values["keep_checkpoints"],
    )
    try:
        train(run, values["resume"], values["overwrite"], plan)
    except (KeyboardInterrupt, SystemExit):
        print(f"To resume: {common.resume_command(run)}", flush=True)
        raise
    print(
        f"Next: {common.python()} scripts/generate.py --model={path} "
        "--num_samples=100 --output=grid.png"
    )


if __name__ == "__main__":
    common.run(main)
