"""Presets, and runs on real data."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_gan
from keras_gan import evaluation
from keras_gan.experiments.presets import PRESETS
from keras_gan.runs import run as runs
from keras_gan.runs import scoring, training

# Presets of small networks beside ring8.
SMALL = ("digits", "gaussian1d", "grid25")


def small(name="digits", **settings):
    """A preset cut down to seconds."""
    return training.get_preset(name, {"epochs": 2, "sample_epochs": 1, **settings})


# === Presets ===


def test_every_preset_states_its_source_and_is_within_the_limits():
    for name, preset in PRESETS.items():
        assert preset.name == name and preset.source
        settings = dataclasses.asdict(preset)
        del settings["name"]
        assert training.get_preset(name, settings) == preset


def test_the_papers_recipes():
    mnist = PRESETS["mnist"]
    assert mnist.generator_learning_rate == 0.1
    assert mnist.discriminator_learning_rate == 0.1  # the departure that it states
    assert "not half of it" in mnist.source
    assert (mnist.batch_size, mnist.latent_prior) == (100, "uniform")
    for name, rate, batch_size, prior in (
        ("tfd", 0.05, 100, "normal"),
        ("tfd_stage2", 0.05, 100, "normal"),
        ("cifar10_mlp", 0.025, 100, "normal"),
        ("cifar10_conv", 0.004, 128, "normal"),
    ):
        preset = PRESETS[name]
        assert preset.generator_learning_rate == rate
        # Half the released rate: Algorithm 1 does not halve D's loss.
        assert preset.discriminator_learning_rate == rate / 2
        assert preset.batch_size == batch_size and preset.latent_prior == prior
        assert preset.learning_rate_divisor == 1.000004
        assert preset.min_learning_rate == 1e-6
        assert (preset.initial_momentum, preset.final_momentum) == (0.5, 0.7)
        assert (preset.momentum_start_epoch, preset.momentum_final_epoch) == (1, 250)
        assert preset.discriminator_steps == 1 and preset.latent_dim == 100
        assert preset.loss == "non_saturating" and preset.optimizer == "sgd"
        assert preset.latent_scale == 1 and preset.discriminator_optimizer == "same"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": "3"}, r"field of a preset.*Received: 'epoch'.*mean 'epochs'"),
        ({"epochs": "0"}, r"epochs to be int, from 1 to 10,000,000\. Received: '0'"),
        ({"epochs": "many"}, "epochs to be int"),
        ({"epochs": 2.5}, "epochs to be int"),
        ({"generator_learning_rate": "-1"}, "generator_learning_rate.*above 0"),
        ({"generator_learning_rate": "nan"}, "generator_learning_rate.*above 0"),
        ({"discriminator_steps": "0"}, "discriminator_steps to be int, from 1"),
        ({"loss": "hinge"}, "loss to be str, one of minimax, non_saturating"),
        ({"mixed_precision": "half"}, "mixed_precision to be str, one of auto, float"),
        ({"jit_compile": "yes"}, "jit_compile to be str, one of auto, false, true"),
        ({"networks": "resnet"}, "networks to be str, one of .*paper_cifar_conv"),
        ({"contrast_normalization": "maybe"}, "contrast_normalization to be bool"),
        ({"beta_1": "1"}, r"beta_1 to be float, in \[0, 1\)"),
        ({"latent_scale": "0"}, "latent_scale to be float, from 1e-6 to 1e6"),
        ({"discriminator_optimizer": "x"}, "discriminator_optimizer.*adam, same, sgd"),
        ({"seed": "-1"}, "seed to be int"),
        ({"momentum_final_epoch": "1"}, "momentum_start_epoch < momentum_final_epoch"),
        ({"name": "x"}, "field of a preset"),
    ],
)
def test_wrong_settings_are_one_clear_line(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        training.get_preset("digits", settings)
    assert "\n" not in str(error.value)


def test_settings_are_read_as_their_field():
    preset = training.get_preset(
        "digits",
        {
            "contrast_normalization": "True",
            "beta_1": "0.25",
            "epochs": "7",
            "loss": "minimax",
        },
    )
    assert preset.contrast_normalization is True
    assert (preset.beta_1, preset.epochs, preset.loss) == (0.25, 7, "minimax")
    with pytest.raises(
        ValueError, match="preset among digits.*Received: 'digit'.*mean"
    ):
        training.get_preset("digit")


def test_schedules_count_generator_steps_for_both_networks():
    """k = 3: D's optimizer has made three updates when G's has made one."""
    preset = small(
        optimizer="sgd",
        discriminator_steps=3,
        learning_rate_divisor=1.5,
        momentum_final_epoch=3,
        batch_size=100,
    )
    data = keras_gan.datasets.load("digits", "train")
    gan = training.build(preset, data)
    rates, momenta = zip(
        *(
            (
                float(optimizer._learning_rate(steps * updates)),
                float(optimizer.momentum(steps * updates)),
            )
            for steps in (2, 9)
            for optimizer, updates in (
                (gan.generator_optimizer, 1),
                (gan.discriminator_optimizer, 3),
            )
        ),
        strict=True,
    )
    assert rates == pytest.approx([3e-3 / 1.5**2] * 2 + [3e-3 / 1.5**9] * 2, rel=1e-4)
    assert momenta[0] == momenta[1] == 0.5 and momenta[2] == pytest.approx(momenta[3])
    # ceil(1078 / 300) = 4 steps an epoch: the ramp goes from step 4 to step 12.
    assert momenta[2] == pytest.approx(0.5 + 0.2 * 5 / 8)


def test_each_network_can_have_its_own_optimizer():
    """With its own rate and the schedules of its kind; by default D's is G's."""
    data = keras_gan.datasets.load("digits", "train")
    sgd, adam = keras_gan.optimizers.ScheduledSGD, keras_gan.optimizers.Adam
    for settings, kinds in (
        ({"optimizer": "sgd"}, (sgd, sgd)),
        ({"optimizer": "adam"}, (adam, adam)),
        ({"optimizer": "sgd", "discriminator_optimizer": "adam"}, (sgd, adam)),
        ({"optimizer": "adam", "discriminator_optimizer": "sgd"}, (adam, sgd)),
    ):
        preset = small(
            discriminator_steps=2,
            discriminator_learning_rate=7e-4,
            learning_rate_divisor=1.5,
            momentum_final_epoch=3,
            beta_1=0.25,
            batch_size=150,
            **settings,
        )
        gan = training.build(preset, data)
        pair = (gan.generator_optimizer, gan.discriminator_optimizer)
        assert tuple(type(optimizer) for optimizer in pair) == kinds
        for optimizer, rate, updates in zip(pair, (3e-3, 7e-4), (1, 2), strict=True):
            # The ninth step of G: ceil(1078 / 300) = 4 make an epoch.
            assert float(optimizer._learning_rate(9 * updates)) == pytest.approx(
                rate / 1.5**9, rel=1e-4
            )
            if isinstance(optimizer, adam):
                assert optimizer.beta_1 == 0.25
            else:
                momentum = float(optimizer.momentum(9 * updates))
                assert momentum == pytest.approx(0.5 + 0.2 * 5 / 8)


@pytest.mark.parametrize(
    ("name", "prior"),
    [("normal", keras_gan.priors.Normal), ("uniform", keras_gan.priors.Uniform)],
)
def test_the_scale_of_the_latents_is_their_standard_deviation(name, prior):
    """At 1, the default, they are the prior's own to the last bit."""
    data = keras_gan.datasets.load("digits", "train")
    latents, wide = (
        training.build(
            small(latent_prior=name, latent_dim=50, **settings), data
        ).latent_prior.sample(400, 3)
        for settings in ({}, {"latent_scale": 8.0})
    )
    # 20,000 numbers: their deviation is within 3% of the prior's.
    assert np.std(latents) == pytest.approx(1, rel=0.03)
    np.testing.assert_array_equal(latents, prior(50).sample(400, 3))
    np.testing.assert_allclose(wide, 8 * latents, rtol=1e-5, atol=1e-6)


def test_a_run_of_before_a_field_existed_goes_on(tmp_path):
    """Its config.json lacks the field; the default is what it ran with."""
    workdir = training.train(small(epochs=1), tmp_path / "run")
    config = json.loads((workdir / "config.json").read_text())
    for field in ("latent_scale", "discriminator_optimizer"):
        del config["preset"][field]
    (workdir / "config.json").write_text(json.dumps(config))
    training.train(small(epochs=2), workdir, resume="auto")
    assert runs.load_gan(workdir).generator_optimizer.iterations == 22
    with pytest.raises(ValueError, match="latent_scale"):
        training.train(small(epochs=3, latent_scale=2.0), workdir, resume="auto")


def test_options_that_a_builder_lacks_are_refused():
    preset = small("ring8", generator_noise=0.5)
    with pytest.raises(ValueError, match="generator_noise=0: toy_mlp has no such"):
        training.build(preset, training.load_data(preset))


@pytest.mark.parametrize(
    ("capabilities", "policy"),
    [
        ([], "float32"),
        ([(9, 0)], "mixed_bfloat16"),
        ([(8, 0), (8, 6)], "mixed_bfloat16"),
        ([(9, 0), (7, 5)], "mixed_float16"),
        ([(6, 1)], "float32"),
        ([None], "float32"),  # TensorFlow knows it of NVIDIA's alone
    ],
)
def test_auto_takes_what_every_gpu_multiplies_fast(capabilities, policy, monkeypatch):
    monkeypatch.setattr(
        tf.config, "list_physical_devices", lambda kind: list(range(len(capabilities)))
    )
    monkeypatch.setattr(
        tf.config.experimental,
        "get_device_details",
        lambda gpu: (
            {} if capabilities[gpu] is None
            else {"compute_capability": capabilities[gpu]}
        ),
    )  # fmt: skip
    assert training.dtype_policy("auto") == policy
    assert training.dtype_policy("mixed_float16") == "mixed_float16"


@pytest.mark.parametrize(
    "name", ["ring8", *(pytest.param(n, marks=pytest.mark.slow) for n in SMALL)]
)
def test_small_presets_step_in_float16_under_xla(name):
    preset = small(name, mixed_precision="mixed_float16", jit_compile="true")
    data = training.load_data(preset)
    gan = training.build(preset, data)
    assert gan.jit_compile is True
    assert keras.mixed_precision.dtype_policy().name == "float32"
    for network in (gan.generator, gan.discriminator):
        assert network.compute_dtype == "float16"
    logs = gan.train_on_batch(data.examples(slice(0, 8)), return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    plain = training.build(small(name), data)  # auto, without a GPU
    if not tf.config.list_physical_devices("GPU"):
        assert plain.generator.compute_dtype == "float32" and not plain.jit_compile


# === A run ===


def test_a_run_leaves_what_it_promises_and_can_be_drawn_from(tmp_path):
    preset = small()
    workdir = training.train(preset, tmp_path / "run")
    assert sorted(path.name for path in workdir.iterdir()) == [
        "checkpoints", "config.json", "events", "gan.keras", "metrics.jsonl",
        "reals.png", "samples",
    ]  # fmt: skip
    config = runs.load_config(workdir)
    assert config["preset"] == dataclasses.asdict(preset)
    assert config["versions"]["keras"] == keras.__version__
    assert config["data"]["examples"] == len(keras_gan.datasets.load("digits", "train"))

    gan = runs.load_gan(workdir)
    runs.write_samples(workdir, tmp_path / "samples.npz", 5, seed=3)
    with np.load(tmp_path / "samples.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(file["samples"], gan.generate(5, seed=3), atol=1e-6)
        assert file["value_range"].tolist() == [0.0, 1.0]
    runs.write_samples(workdir / "gan.keras", tmp_path / "grid.png", 5, seed=3)
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")

    report = scoring.evaluate(workdir, num_samples=200)
    assert report == json.loads((workdir / "scores.json").read_text())
    assert "held-out digits" in evaluation.format_report(report)


def test_a_run_is_repeatable_and_not_overwritten_unasked(tmp_path):
    preset = small(discriminator_steps=2)
    weights = []
    for name in ("a", "b"):
        training.train(preset, tmp_path / name)
        gan = runs.load_gan(tmp_path / name)
        weights.append([variable.numpy() for variable in gan.trainable_variables])
        keras.utils.set_random_seed(99)
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="holds config.json, .*--overwrite"):
        training.train(preset, tmp_path / "a")
    (tmp_path / "a" / "notes.txt").write_text("mine")
    training.train(small(epochs=1), tmp_path / "a", overwrite=True)
    assert len((tmp_path / "a" / "metrics.jsonl").read_text().splitlines()) == 1
    assert (tmp_path / "a" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "settings, checkpoint_steps, expected",
    [
        # 11 steps an epoch, all at once; those between two checkpoints; one, if told.
        ({}, 0, 11),
        ({}, 22, 11),
        ({}, 8, 1),
        ({"steps_per_execution": 1}, 0, 1),
        ({"steps_per_execution": 4}, 8, 4),
        # 22 an epoch; half as much work, but no 22 divides it within 16.
        ({"batch_size": 50}, 0, 11),
        # 6 an epoch, of which two pass between checkpoints.
        ({"discriminator_steps": 2}, 8, 2),
        # 2 an epoch, but too long a step for two at once.
        ({"batch_size": 1000}, 0, 1),
    ],
)
def test_short_steps_are_made_several_at_once(settings, checkpoint_steps, expected):
    preset = small(**settings)
    data = training.load_data(preset)
    gan = training.build(preset, data)
    together = training.steps_per_execution(preset, gan, data, checkpoint_steps)
    assert together == expected
    # Of a GAN by itself Keras asks for one, so that a saved one fits any data.
    assert gan.steps_per_execution == 1


def test_figure_1_is_recorded_at_its_steps():
    preset = small("gaussian1d")  # 84 steps an epoch: 14 would divide it
    data = training.load_data(preset)
    gan = training.build(preset, data)
    assert training.steps_per_execution(preset, gan, data) == 2


def test_several_steps_at_once_are_the_same_training(tmp_path):
    """To the last bit, losses too, with Adam, dropout, k = 2 and a short batch."""
    ends = []
    for together in (1, 3, 4, 6):  # of 6 an epoch: 4 does not divide it
        preset = small(discriminator_steps=2, steps_per_execution=together)
        workdir = training.train(preset, tmp_path / str(together))
        gan = runs.load_gan(workdir)
        assert gan.steps_per_execution == 1
        lines = (workdir / "metrics.jsonl").read_text().splitlines()
        logs = [json.loads(line) for line in lines]
        for line in logs:
            del line["seconds"]
        state = [variable.numpy().tobytes() for variable in gan.variables]
        ends.append((logs, state))
    assert len(ends[0][0]) == 2 and ends[0][0][-1]["step"] == 12
    assert all(end == ends[0] for end in ends[1:])


@pytest.mark.parametrize("name", ["gaussian1d", "ring8", "grid25"])
def test_toy_presets_run(name, tmp_path):
    workdir = training.train(small(name, epochs=1), tmp_path / name)
    assert (workdir / "samples" / "epoch_00001.png").exists()
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    # 50,000 examples in batches of k * m: 600 of the Gaussian, 500 of the others.
    assert json.loads(lines[-1])["step"] == (84 if name == "gaussian1d" else 100)


def evaluations(workdir, name):
    """One score of each evaluation of a run."""
    lines = (workdir / runs.EVALUATIONS).read_text().splitlines()
    return np.array([json.loads(line)[name] for line in lines])


@pytest.mark.slow
def test_gaussian1d_approaches_its_data(tmp_path):
    """A twentieth of the training. Untrained it is .67 nats away; log 2 is .69."""
    preset = small("gaussian1d", epochs=5, evaluation_epochs=5, sample_epochs=5)
    data = training.load_data(preset)
    untrained = evaluation.ValidationScores(data)(training.build(preset, data))
    workdir = training.train(preset, tmp_path / "run")
    [divergence] = evaluations(workdir, "jensen_shannon_divergence")
    assert untrained["jensen_shannon_divergence"] > 0.4
    assert divergence < 0.08


@pytest.mark.slow
def test_gaussian1d_ends_at_its_data(tmp_path):
    """docs/results.md: medians of the last ten evaluations."""
    preset = training.get_preset("gaussian1d", {"seed": 3})
    workdir = training.train(preset, tmp_path / "run")
    divergences = evaluations(workdir, "jensen_shannon_divergence")
    assert len(divergences) == preset.epochs // preset.evaluation_epochs
    assert np.median(divergences[-10:]) < 0.01
    deviations = evaluations(workdir, "largest_deviation_of_d")
    assert np.median(deviations[-10:]) < 0.05


def test_a_diverging_run_keeps_the_last_good_model(tmp_path):
    good = small("ring8", epochs=1)
    workdir = training.train(good, tmp_path / "run")
    before = (workdir / "gan.keras").read_bytes()
    bad = small("ring8", epochs=3, optimizer="sgd", generator_learning_rate=1e9)
    with pytest.raises(
        keras_gan.callbacks.TrainingDiverged, match="diverged in steps 1 to 10: "
    ):
        training.train(bad, tmp_path / "bad")
    files = {path.name for path in (tmp_path / "bad").iterdir()}
    if "gan.keras" in files:
        gan = runs.load_gan(tmp_path / "bad")
        assert all(np.isfinite(v.numpy()).all() for v in gan.trainable_variables)
    assert (workdir / "gan.keras").read_bytes() == before


def test_the_settings_of_a_preset_reach_the_run(tmp_path):
    """k, m, loss, prior, seed: each changes what the run leaves."""
    preset = small(
        discriminator_steps=2,
        batch_size=60,
        loss="minimax",
        latent_prior="normal",
        latent_dim=7,
        latent_scale=2.5,
        epochs=1,
        seed=5,
    )
    workdir = training.train(preset, tmp_path / "run")
    gan = runs.load_gan(workdir)
    assert isinstance(gan.adversarial_loss, keras_gan.losses.Minimax)
    assert isinstance(gan.latent_prior, keras_gan.priors.Normal)
    assert (gan.latent_prior.latent_dim, gan.latent_prior.scale) == (7, 2.5)
    assert (gan.seed, gan.discriminator_steps) == (5, 2)
    # Batches of k * m = 120: ceil(1078 / 120) = 9.
    assert gan.generator_optimizer.iterations == 9
    assert gan.discriminator_optimizer.iterations == 18
    expected = keras_gan.pictures.sample_picture(gan.generate(100, seed=5), gan.spec)
    with Image.open(workdir / "samples" / "epoch_00001.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected[:, :, 0])


def test_a_run_in_float16_can_be_loaded_scored_and_exported(tmp_path):
    preset = small(mixed_precision="mixed_float16", ema_decay=0.9)
    workdir = training.train(preset, tmp_path / "run")
    assert runs.load_config(workdir)["execution"] == {
        "dtype_policy": "mixed_float16",
        "jit_compile": False,
        "replicas": 1,
    }
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    line = json.loads(lines[-1])
    gan = runs.load_gan(workdir)
    optimizer = gan.generator_optimizer
    assert isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)
    skipped = sum(json.loads(line)["generator_skipped_steps"] for line in lines)
    assert int(optimizer.iterations) == line["step"] == 2 * 11 - skipped
    exported = keras_gan.export.ExportedGenerator(runs.export_run(workdir, verify=True))
    np.testing.assert_allclose(
        exported.generate(4, seed=1), gan.generate(4, seed=1), atol=0.01
    )


def test_files_of_another_kind_are_not_removed_unasked(tmp_path):
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "precious.png").write_text("mine")
    with pytest.raises(ValueError, match="which holds samples;.*--overwrite"):
        training.train(small(), tmp_path)
    assert (tmp_path / "samples" / "precious.png").read_text() == "mine"


def test_the_digits_table_needs_digits_that_were_held_back(tmp_path):
    workdir = training.train(small(split="all", epochs=1), tmp_path / "run")
    assert "digits" not in scoring.evaluate(workdir, num_samples=100)


def test_bad_data_leaves_no_directory(tmp_path):
    preset = small(dataset=f"folder:{tmp_path}/nothing")
    with pytest.raises(ValueError):
        training.train(preset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_directory_that_cannot_be_written_is_named_before_any_work(
    tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="Received a file"):
        training.train(small(), tmp_path / "file")
    (tmp_path / "locked").mkdir(mode=0o500)
    if os.geteuid() == 0:  # root writes anywhere: what others would be told
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="can be written.*--workdir"):
        training.train(small(), tmp_path / "locked" / "run")
    assert list((tmp_path / "locked").iterdir()) == []


def test_ctrl_c_saves_the_model(tmp_path, root):
    """A real SIGINT to a real training; the step saved is the step said."""
    process = subprocess.Popen(
        [sys.executable, "scripts/train.py", f"--workdir={tmp_path}/run",
         "--epochs=100000", "--set=sample_epochs=100000"],
        cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell starts what runs in its background with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    metrics = tmp_path / "run" / "metrics.jsonl"
    try:
        for _ in range(600):
            if metrics.exists() and process.poll() is None:
                break
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    step = int(output.split("Stopped at step ")[1].split(".")[0])
    gan = runs.load_gan(tmp_path / "run")
    assert int(gan.generator_optimizer.iterations) == step > 0


def test_dry_run_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = training.dry_run(small())
    assert report["generator_parameters"] == 101 * 256 + 257 * 512 + 513 * 64
    assert report["steps_per_epoch"] == 11 and report["peak_memory_gib"] > 0.1
    assert "peak memory gib" in training.format_dry_run(report)
    assert list(tmp_path.iterdir()) == []


# === Reading a run ===


def test_what_is_no_run_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"run's directory with a gan\.keras"):
        runs.load_gan(tmp_path)
    with pytest.raises(ValueError, match=r"scripts/train.py made, with a config\.json"):
        runs.load_config(tmp_path)
    for content in ("{}", "[]", '{"preset": {}, "data_dir": null}', "half a fi"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(
            ValueError, match=r"scripts/train.py made, with a config\.json"
        ):
            runs.load_config(tmp_path)
    (tmp_path / "gan.keras").write_bytes(b"PK half a file")
    with pytest.raises(ValueError, match="cannot be read"):
        runs.load_gan(tmp_path)
    with pytest.raises(ValueError, match=r"ends in \.png or \.npz"):
        runs.write_samples(tmp_path, tmp_path / "x.jpg", 1, 0)
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match="Received a directory"):
        runs.write_samples(tmp_path, tmp_path / "folder.png", 1, 0)
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.save(tmp_path / "gan.keras")
    with pytest.raises(ValueError, match="a GAN saved by keras_gan"):
        runs.load_gan(tmp_path)


# === The paper's presets ===


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mnist", (28, 28, 1)),
        pytest.param("tfd", (48, 48, 1), marks=pytest.mark.slow),
        pytest.param("cifar10_mlp", (32, 32, 3), marks=pytest.mark.slow),
        pytest.param("cifar10_conv", (32, 32, 3), marks=pytest.mark.slow),
    ],
)
def test_the_papers_networks_compile_and_step(name, shape, jit_compile):
    """Two steps on noise, in a graph and under XLA: finite, and both networks move."""
    preset = small(name, batch_size=4)
    noise = np.random.default_rng(0).integers(0, 256, (8, *shape)).astype(np.uint8)
    data = keras_gan.datasets.Dataset(noise)
    if preset.contrast_normalization:
        data = data.contrast_normalized()
    gan = training.build(preset, data)
    gan.jit_compile = jit_compile
    networks = (gan.generator, gan.discriminator)
    before = [network.trainable_variables[-1].numpy() for network in networks]
    for batch in data.batches(4, seed=0):
        logs = gan.train_on_batch(batch, return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    for network, old in zip(networks, before, strict=True):
        assert np.abs(network.trainable_variables[-1].numpy() - old).max() > 0
    assert gan.generate(2, seed=0).shape == (2, *shape)


def test_the_second_stage_continues_the_whole_first(tmp_path, monkeypatch):
    """tfd_stage2 on small networks: stage 1's generator is inside, and goes on."""
    monkeypatch.setitem(
        training.NETWORKS, "paper_tfd_mlp", keras_gan.networks.digits_mlp
    )
    training.train(
        small("tfd", dataset="digits", split="train", epochs=1), tmp_path / "tfd"
    )
    stage2 = small(
        "tfd_stage2", dataset="digits", split="train", pretrained=str(tmp_path / "tfd")
    )
    data = training.load_data(stage2)
    gan = training.build(stage2, data)
    first = runs.load_gan(tmp_path / "tfd").generator
    inner = gan.generator.layers[-1]
    latents = np.random.default_rng(0).random((3, 100), np.float32)
    np.testing.assert_allclose(inner(latents), first(latents), atol=1e-6)
    gan.fit(data.batches(100, seed=0), verbose=0, shuffle=False)
    assert np.abs(np.asarray(inner(latents)) - np.asarray(first(latents))).max() > 0
    with pytest.raises(ValueError, match="run's directory with a gan.keras"):
        training.build(small("tfd_stage2", dataset="digits", split="train",
                             pretrained="nowhere"), data)  # fmt: skip


# === What a training is worth ===


def digits_scores(workdir):
    report = scoring.evaluate(workdir)
    rows = report["digits"]["rows"]
    return report, rows["samples"], rows["held-out digits"], rows["Gaussian draws"]


def test_a_fifth_of_the_digits_training_beats_the_blob(tmp_path):
    """Already after 100 epochs the samples explain held-out digits better."""
    workdir = training.train(small(epochs=100, sample_epochs=100), tmp_path / "run")
    report, samples, _, blob = digits_scores(workdir)
    assert (
        report["pixel_frechet_distance"] < report["pixel_frechet_distance_at_start"] / 2
    )
    assert samples["log_likelihood"] > blob["log_likelihood"]


@pytest.mark.slow
def test_the_digits_training_makes_digits_of_all_classes(tmp_path):
    workdir = training.train(training.get_preset("digits"), tmp_path / "run")
    report, samples, real, blob = digits_scores(workdir)
    assert report["digits"]["classifier_accuracy"] > 0.98
    assert min(samples["class_shares"]) >= 0.04
    assert samples["log_likelihood"] > blob["log_likelihood"] + 8
    assert samples["within_class_distance"] > real["within_class_distance"] / 2
