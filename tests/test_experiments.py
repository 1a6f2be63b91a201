"""Experiments: settings, presets, and what is built of them."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import experiments, runs
from keras_gan.experiments import PRESETS, Experiment, building
from keras_gan.runs import checkpoint, training

# Presets of small networks beside ring8.
SMALL = ("digits", "gaussian1d", "grid25")


def small(name="digits", settings=None, **short):
    """A preset cut down to seconds."""
    cut = {"epochs": 2, "sample_epochs": 1}
    return experiments.get_preset(name, {**cut, **short, **(settings or {})})


# === Settings ===


def test_experiments_load_without_tensorflow():
    """Commands list settings and presets at once."""
    code = (
        "import sys, types\n"
        "package = types.ModuleType('keras_gan')\n"
        "package.__path__ = ['keras_gan']\n"  # without its eager imports
        "sys.modules['keras_gan'] = package\n"
        "from keras_gan import experiments\n"
        "print(len(experiments.PRESETS), len(experiments.settings()))\n"
        "print(sorted({'tensorflow', 'keras', 'absl'} & set(sys.modules)))\n"
    )
    root = keras_gan.__path__[0].removesuffix("keras_gan")
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root
    )
    assert process.stdout.splitlines()[1:] == ["[]"], process.stderr
    assert int(process.stdout.split()[0]) == len(PRESETS)


def test_every_setting_says_what_it_is():
    found = experiments.settings()
    assert {"train.epochs", "generator.beta_1", "networks.name", "name"} <= set(found)
    for path, field in found.items():
        assert field.description.endswith("."), path
        assert experiments.expectation(field), path
    assert experiments.expectation(found["train.epochs"]) == "an int in [1, 10,000,000]"
    assert (
        experiments.expectation(found["train.ema_decay"])
        == "a number in (0, 1) or none"
    )
    assert (
        experiments.expectation(found["runtime.jit_compile"])
        == "true or false, or auto"
    )


def test_an_experiment_survives_json():
    for preset in PRESETS.values():
        experiment = preset.with_settings(
            {"networks.generator_noise": 0.25, "data.value_range": None,
             "penalties": [{"name": "r1", "weight": 2}]}
        )  # fmt: skip
        values = json.loads(json.dumps(experiment.to_dict()))
        assert Experiment.from_dict(values) == experiment
        assert values["networks"]["generator_noise"] == 0.25
    # What is newer than the file has its default.
    del values["prior"]["scale"], values["runtime"]
    assert Experiment.from_dict(values).prior.scale == 1.0
    values["train"]["epoch"] = 3
    with pytest.raises(ValueError, match="train settings among epochs.*mean 'epochs'"):
        Experiment.from_dict(values)


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({"train.epochs": "7"}, {"train.epochs": 7}),
        ({"epochs": 7}, {"train.epochs": 7}),
        ({"dataset": "folder:7"}, {"data.name": "folder:7"}),
        ({"loss": "minimax"}, {"loss.name": "minimax"}),
        ({"prior": "normal"}, {"prior.name": "normal"}),
        (
            {"learning_rate": "2e-4"},
            {"generator.learning_rate": 2e-4, "discriminator.learning_rate": 2e-4},
        ),
        ({"generator.learning_rate": "1"}, {"generator.learning_rate": 1.0}),
        ({"contrast_normalization": "True"}, {"data.contrast_normalization": True}),
        ({"jit_compile": "false"}, {"runtime.jit_compile": False}),
        ({"distribute": "mirrored"}, {"runtime.distribute": "mirrored"}),
        ({"ema_decay": ".9"}, {"train.ema_decay": 0.9}),
        ({"value_range": "(-1, 1)"}, {"data.value_range": [-1.0, 1.0]}),
        ({"networks.generator_noise": "0.5"}, {"networks.generator_noise": 0.5}),
        (
            {"penalties": '[{"name": "r1", "weight": 1}]'},
            {"penalties": [{"name": "r1", "weight": 1}]},
        ),
        ({"augmentation": "ada"}, {"augmentation": {"name": "ada"}}),
        ({"augmentation": "None"}, {}),
        ({"generator.beta_1": 0.5, "ema_decay": "none"}, {}),
    ],
)
def test_settings_are_read_as_their_field(settings, changed):
    preset = experiments.get_preset("digits", settings)
    assert preset.differences(PRESETS["digits"]) == list(changed)
    for path, value in changed.items():
        assert preset.get(path) == value and type(preset.get(path)) is type(value)
    assert PRESETS["digits"].train.epochs == 500


def test_another_component_drops_the_arguments_of_the_one_before():
    stage2 = PRESETS["tfd_stage2"]
    assert stage2.networks.arguments == {"pretrained": "runs/tfd"}
    other = stage2.with_settings({"networks": "toy_mlp"})
    assert other.networks == experiments.Component(name="toy_mlp")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epoch": "3"}, r"a setting by its path.*Received: 'epoch'.*mean 'epochs'"),
        ({"train.epoch": "3"}, r"Received: 'train.epoch'.*mean 'train.epochs'"),
        ({"generator_learning_rate": "1"}, "mean 'generator.learning_rate'"),
        ({"train.epochs.x": "3"}, "Received: 'train.epochs.x'"),
        ({"networks.a.b": "3"}, "Received: 'networks.a.b'"),
        ({"epochs": "0"}, r"train.epochs to be an int in \[1, 10,000,000\].*ed: 0"),
        ({"epochs": "many"}, "train.epochs to be an int.*Received: 'many'"),
        ({"epochs": 2.5}, "train.epochs to be an int.*Received: 2.5"),
        ({"epochs": True}, "train.epochs to be an int.*Received: True"),
        ({"epochs": "none"}, "train.epochs to be an int.*Received: 'none'"),
        ({"generator.learning_rate": "-1"}, "generator.learning_rate.*above 0.*: -1"),
        ({"learning_rate": "nan"}, "generator.learning_rate.*above 0.*: nan"),
        ({"discriminator_steps": "0"}, r"discriminator_steps to be an int in \[1"),
        ({"mixed_precision": "half"}, "mixed_precision to be one of auto, float32"),
        ({"jit_compile": "yes"}, "jit_compile to be true or false, or auto.*'yes'"),
        ({"distribute": "all"}, "one of mirrored, multi_worker or none.*'all'"),
        ({"contrast_normalization": "maybe"}, "to be true or false.*'maybe'"),
        ({"beta_1": "1"}, r"beta_1 to be a number in \[0, 1\).*Received: 1"),
        ({"ema_decay": "0"}, r"ema_decay to be a number in \(0, 1\) or none"),
        ({"scale": "0"}, r"prior.scale to be a number in \[1e-06, 1e\+06\]"),
        ({"discriminator.optimizer": "x"}, "discriminator.optimizer.*sgd, adam"),
        ({"seed": "-1"}, "train.seed to be an int in"),
        ({"value_range": "(1, -1)"}, "data.value_range to be .low, high. with low <"),
        ({"value_range": "1"}, "data.value_range to be two numbers"),
        (
            {"value_range": "(0, 1)", "contrast_normalization": "true"},
            "data.value_range to be none where contrast_normalization",
        ),
        ({"momentum_final_epoch": "1"}, "below momentum_final_epoch=1. Received: 1"),
        ({"keep_best": "reverse_kl"}, "train.evaluation_epochs to be an int, so that"),
        ({"penalties": '[{"weight": 1}]'}, "penalties.0.name to be text"),
        ({"penalties": "r1"}, "penalties to be a list of objects with a name"),
        (
            {"generator.decay": "cosine", "generator.learning_rate_divisor": 1.1},
            "generator.decay to be none where learning_rate_divisor=1.1",
        ),
        ({"generator.decay": "linear"}, "decay to be one of cosine, exponential or no"),
        ({"final_share": "0"}, r"final_share to be a number in \(0, 1\]"),
        (
            {"ema_decay": 0.9, "ema_half_life": 100},
            "train.ema_decay to be none where ema_half_life is set",
        ),
        ({"ema_ramp": 0.1}, "train.ema_ramp to be none where no average is kept"),
        ({"ema_half_life": 0.01}, "train.ema_half_life to be .* at least 0.1 images"),
        ({"generator": "adam"}, "generator to be an object with optimizer, learning"),
    ],
)
def test_wrong_settings_are_one_clear_line(settings, message):
    with pytest.raises(experiments.SettingError, match=message) as error:
        experiments.get_preset("digits", settings)
    assert "\n" not in str(error.value)


def test_parts_refuse_in_one_line_too():
    with pytest.raises(ValueError, match="^Expected epochs to be an int") as error:
        experiments.Train(epochs=0)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="^Expected train.epochs to be an int"):
        Experiment(**{**PRESETS["digits"].to_dict(), "train": {"epochs": 0}})
    with pytest.raises(ValueError, match="to be one of 'digits'.*'digit'.*mean"):
        experiments.get_preset("digit")
    with pytest.raises(ValueError, match="frozen"):
        PRESETS["digits"].train.epochs = 3


def test_what_forbids_to_resume():
    """All that decides the training; epochs may grow."""
    begun = small(epochs=10)

    def conflicts(**settings):
        return small(epochs=settings.pop("epochs", 10), **settings).resume_conflicts(
            begun
        )

    assert conflicts() == conflicts(epochs=11) == conflicts(source="other words") == []
    assert conflicts(jit_compile=False, steps_per_execution=3) == []
    assert conflicts(epochs=9) == ["train.epochs"]
    assert conflicts(seed=1, batch_size=7) == ["train.batch_size", "train.seed"]
    assert conflicts(networks="toy_mlp", settings={"name": "x"}) == [
        "name",
        "networks.name",
    ]
    assert conflicts(settings={"networks.generator_noise": 0.1}) == [
        "networks.generator_noise"
    ]


@pytest.mark.parametrize(
    ("settings", "grows"),
    [
        ({"generator.decay": "cosine"}, False),
        ({"generator.decay": "cosine", "generator.decay_images": 5000}, True),
        ({"penalties": [{"name": "r1", "final_share": 0.1}]}, False),
        ({"penalties": [{"name": "r1"}]}, True),
    ],
)
def test_epochs_may_not_grow_where_a_schedule_lasts_all_of_them(settings, grows):
    settings = {"generator.learning_rate_divisor": 1.0, **settings}
    begun, longer = (small(epochs=e, settings=settings) for e in (10, 11))
    assert longer.resume_conflicts(begun) == ([] if grows else ["train.epochs"])


# === Components ===


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"networks": "unet"}, "`networks.name` to be one of .*'paper_cifar_conv'"),
        ({"networks": "digit_mlp"}, "Did you mean 'digits_mlp'"),
        ({"loss": "hing"}, "`loss.name` to be one of 'auxiliary_classifier', 'hinge'"),
        (
            {"networks.generator_nois": 0.5},
            "arguments of digits_mlp among generator_noise, generator_dropout.*"
            "networks.generator_nois=0.5.*mean 'generator_noise'",
        ),
        ({"networks.generator_noise": "x"}, "networks.generator_noise to be a number"),
        ({"networks.seed": 3}, "arguments of digits_mlp among"),
        ({"networks.pretrained": "x"}, "arguments of digits_mlp among"),
        ({"loss.weight": 2}, "arguments of non_saturating among none"),
        ({"penalties": [{"name": "r9"}]}, "`penalties.0.name` to be one of"),
        ({"networks": "paper_tfd_stage2"}, "networks.pretrained to be the run"),
        ({"augmentation": "ad"}, "`augmentation.name` to be one of 'ada', 'diffaug"),
        (
            {"augmentation": "ada", "augmentation.imags": 1},
            "arguments of ada among policy, target.*mean 'images'",
        ),
        ({"augmentation": "ada", "augmentation.policy": "colr"}, "mean 'color'"),
        ({"augmentation": "ada", "augmentation.every": "x"}, "every to be an int"),
        ({"augmentation": "ada", "augmentation.images": "none"}, "images to be an int"),
        (
            {"penalties": [{"name": "r2", "final_share": 1.5}]},
            r"penalties.0.final_share to be a number in \[0, 1\]. Received: 1.5",
        ),
        (
            {"penalties": [{"name": "r1"}, {"name": "dragan", "final_share": -1}]},
            r"penalties.1.final_share to be a number in \[0, 1\]. Received: -1",
        ),
        (
            {"evaluation_epochs": 1, "keep_best": "reverse_kl"},
            "`train.keep_best` to be one of .*mean 'reverse_kl_divergence'",
        ),
    ],
)
def test_components_are_checked_before_any_data_are_loaded(settings, message, tmp_path):
    experiment = small(settings={"dataset": "nothing", **settings})
    with pytest.raises(ValueError, match=message) as error:
        runs.train(runs.Run(tmp_path / "run", experiment))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_options_that_a_builder_lacks_are_refused():
    preset = small("ring8", {"networks.generator_noise": 0.5})
    with pytest.raises(ValueError, match="arguments of toy_mlp among units.*noise=0.5"):
        building.build(preset, building.load_data(preset.data))


@pytest.mark.parametrize(
    ("name", "becomes"),
    [
        ("folder:a/b", "folder:a/b@64"),
        ("folder:a@48x32", "folder:a@48x32"),
        ("folder:a@b", "folder:a@b@64"),
        ("celeb_a", "celeb_a"),
    ],
)
def test_a_folder_without_a_size_takes_that_of_the_preset(name, becomes):
    preset = experiments.get_preset("pictures64", {"dataset": name})
    assert preset.data.name == becomes
    plain = experiments.get_preset("digits", {"dataset": name})
    assert plain.data.name == name


def test_a_target_of_none_reaches_ada_which_any_loss_then_takes():
    settings = {
        "networks": "dcgan",
        "networks.width": 4,
        "loss": "relativistic",
        "augmentation": "ada",
        "augmentation.target": "none",
        "augmentation.initial_p": 0.3,
    }
    data = keras_gan.datasets.load("digits", "train")
    augment = building.build(small(settings=settings), data).augmentation
    assert (augment.target, augment.initial_p) == (None, 0.3)


def test_none_reaches_a_builder_that_takes_it():
    settings = {
        "networks": "dcgan",
        "networks.discriminator_normalization": "none",
        "networks.width": 4,
    }
    data = keras_gan.datasets.load("digits", "train")
    gan = building.build(small(settings=settings), data)
    kinds = {type(layer).__name__ for layer in gan.discriminator.layers}
    assert "BatchNormalization" not in kinds
    kinds = {type(layer).__name__ for layer in gan.generator.layers}
    assert "BatchNormalization" in kinds
    for wrong in ({"networks.width": None}, {"networks.minibatch_stddev": "none"}):
        with pytest.raises(ValueError, match="Expected networks.*Received: None"):
            building.check(small(settings={**settings, **wrong}))


def test_arguments_reach_the_builder():
    data = keras_gan.datasets.load("digits", "train")
    plain, noisy = (
        building.build(small(settings=settings), data).generator
        for settings in ({}, {"networks.generator_noise": 0.5})
    )
    kinds = [type(layer).__name__ for layer in noisy.layers]
    assert kinds.count("GaussianNoise") == 2
    assert "GaussianNoise" not in [type(layer).__name__ for layer in plain.layers]


def test_the_work_of_a_step_counts_weights_in_every_place():
    """A convolution's weights in each place: a bound by weights alone took seconds."""
    inner = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(2, 3, padding="same"),  # 20 weights in 64 places
            keras.layers.Conv2DTranspose(1, 2, strides=2),  # 9 weights in 64
        ]
    )
    network = keras.Sequential([inner, keras.layers.Flatten(), keras.layers.Dense(1)])
    network.build((None, 8, 8, 1))
    assert keras_gan.networks.multiply_adds(network) == 20 * 64 + 9 * 64 + 257
    data = keras_gan.datasets.load("digits", "train")
    gan = building.build(small(), data)
    for dense in (gan.generator, gan.discriminator):
        assert keras_gan.networks.multiply_adds(dense) == dense.count_params()


# === Presets ===


def test_every_preset_states_its_source_and_is_within_the_limits():
    for name, preset in PRESETS.items():
        assert preset.name == name and preset.source
        assert experiments.get_preset(name, preset.to_dict()) == preset
        building.check(preset)


def test_the_papers_recipes():
    mnist = PRESETS["mnist"]
    assert mnist.generator.learning_rate == 0.1
    assert mnist.discriminator.learning_rate == 0.1  # the departure that it states
    assert "not half of it" in mnist.source
    assert (mnist.train.batch_size, mnist.prior.name) == (100, "uniform")
    for name, rate, batch_size, prior in (
        ("tfd", 0.05, 100, "normal"),
        ("tfd_stage2", 0.05, 100, "normal"),
        ("cifar10_mlp", 0.025, 100, "normal"),
        ("cifar10_conv", 0.004, 128, "normal"),
    ):
        preset = PRESETS[name]
        assert preset.generator.learning_rate == rate
        # Half the released rate: Algorithm 1 does not halve D's loss.
        assert preset.discriminator.learning_rate == rate / 2
        assert preset.train.batch_size == batch_size and preset.prior.name == prior
        for optimizer in (preset.generator, preset.discriminator):
            assert optimizer.learning_rate_divisor == 1.000004
            assert optimizer.min_learning_rate == 1e-6
            assert (optimizer.initial_momentum, optimizer.final_momentum) == (0.5, 0.7)
            assert optimizer.momentum_start_epoch == 1
            assert optimizer.momentum_final_epoch == 250
            assert optimizer.optimizer == "sgd"
        assert preset.train.discriminator_steps == 1 and preset.prior.latent_dim == 100
        assert preset.loss.name == "non_saturating" and preset.prior.scale == 1


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
    gan = building.build(preset, data)
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


def test_learning_rates_fall_and_rise_by_the_images_seen():
    """k = 3, m = 100: 300 images a generator step, 4 steps an epoch, 5 epochs."""
    settings = {
        "generator.decay": "cosine",
        "generator.final_share": 0.1,
        "generator.beta_2": 0.99,
        "discriminator.decay": "exponential",
        "discriminator.decay_images": 1500,
        "discriminator.warmup_images": 600,
    }
    preset = small(
        epochs=5,
        discriminator_steps=3,
        learning_rate=1e-2,
        learning_rate_divisor=1.0,
        batch_size=100,
        settings=settings,
    )
    gan = building.build(preset, keras_gan.datasets.load("digits", "train"))
    rates = [float(gan.generator_optimizer._learning_rate(s)) for s in (0, 10, 20, 30)]
    assert rates == pytest.approx([1e-2, 0.55e-2, 1e-3, 1e-3], rel=1e-4)
    assert gan.generator_optimizer.beta_2 == 0.99
    # Three updates a generator step: 6 to warm up, 15 to fall.
    rate = gan.discriminator_optimizer._learning_rate
    fall = 0.05 ** (1 / 15)
    assert [float(rate(update)) for update in (0, 5, 9, 15, 99)] == pytest.approx(
        [1e-2 / 6, 1e-2 * fall**5, 1e-2 * fall**9, 5e-4, 5e-4], rel=1e-4
    )


def test_a_half_life_in_images_is_the_averages_decay():
    preset = small(
        discriminator_steps=2, batch_size=50, ema_half_life=500.0, ema_ramp=0.05
    )
    gan = building.build(preset, keras_gan.datasets.load("digits", "train"))
    assert gan.average.decay == pytest.approx(0.5 ** (1 / 5))
    assert gan.average.ramp == 0.05


def test_a_penalty_falls_to_its_share_over_all_epochs():
    preset = small(
        epochs=5,
        discriminator_steps=3,
        batch_size=100,
        settings={"penalties": [{"name": "r1", "gamma": 2.0, "final_share": 0.1}]},
    )
    gan = building.build(preset, keras_gan.datasets.load("digits", "train"))
    [penalty] = gan.penalties
    assert [float(penalty.schedule(step)) for step in (0, 30, 60, 90)] == pytest.approx(
        [1.0, 0.55, 0.1, 0.1], rel=1e-5
    )


def test_each_network_can_have_its_own_optimizer():
    """With its own rate and the schedules of its kind."""
    data = keras_gan.datasets.load("digits", "train")
    sgd, adam = keras_gan.optimizers.ScheduledSGD, keras_gan.optimizers.Adam
    for settings, kinds in (
        ({"optimizer": "sgd"}, (sgd, sgd)),
        ({"optimizer": "adam"}, (adam, adam)),
        ({"optimizer": "sgd", "discriminator.optimizer": "adam"}, (sgd, adam)),
        ({"optimizer": "adam", "discriminator.optimizer": "sgd"}, (adam, sgd)),
    ):
        preset = small(
            settings={"discriminator.learning_rate": 7e-4, **settings},
            discriminator_steps=2,
            learning_rate_divisor=1.5,
            momentum_final_epoch=3,
            beta_1=0.25,
            batch_size=150,
        )
        gan = building.build(preset, data)
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
        building.build(
            small(prior=name, latent_dim=50, **settings), data
        ).latent_prior.sample(400, 3)
        for settings in ({}, {"scale": 8.0})
    )
    # 20,000 numbers: their deviation is within 3% of the prior's.
    assert np.std(latents) == pytest.approx(1, rel=0.03)
    np.testing.assert_array_equal(latents, prior(50).sample(400, 3))
    np.testing.assert_allclose(wide, 8 * latents, rtol=1e-5, atol=1e-6)


def test_a_run_of_before_a_setting_existed_resumes(tmp_path):
    """Its files lack the setting; the default is what it ran with."""
    run = runs.train(runs.Run(tmp_path / "run", small(epochs=1)))
    start = checkpoint.newest(run.checkpoints_dir)
    config = run.config
    for experiment in (config["experiment"], start.metadata["experiment"]):
        del experiment["prior"]["scale"], experiment["penalties"]
        del experiment["augmentation"]
    run.config_path.write_text(json.dumps(config))
    checkpoint.write(start.path, start)
    runs.train(runs.Run(run.path, small(epochs=2)), resume="auto")
    assert run.gan().generator_optimizer.iterations == 22
    with pytest.raises(ValueError, match="prior.scale=1.0, as .* prior.scale=2.0"):
        runs.train(runs.Run(run.path, small(epochs=3, scale=2.0)), resume="auto")


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
    assert building.dtype_policy("auto") == policy
    assert building.dtype_policy("mixed_float16") == "mixed_float16"


@pytest.mark.parametrize(
    "name", ["ring8", *(pytest.param(n, marks=pytest.mark.slow) for n in SMALL)]
)
def test_small_presets_step_in_float16_under_xla(name):
    preset = small(name, mixed_precision="mixed_float16", jit_compile="true")
    data = building.load_data(preset.data)
    gan = building.build(preset, data)
    assert gan.jit_compile is True
    assert keras.mixed_precision.dtype_policy().name == "float32"
    for network in (gan.generator, gan.discriminator):
        assert network.compute_dtype == "float16"
    logs = gan.train_on_batch(data.examples(slice(0, 8)), return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    plain = building.build(small(name), data)  # auto, without a GPU
    if not tf.config.list_physical_devices("GPU"):
        assert plain.generator.compute_dtype == "float32" and not plain.jit_compile


# === The average of a short training ===


@pytest.mark.parametrize(
    ("settings", "warns"),
    [
        ({"ema_decay": 0.999}, True),
        ({"ema_half_life": 100_000}, True),
        ({"ema_decay": 0.9}, False),
        ({"ema_half_life": 1000}, False),
        # A ramp has forgotten the start by then.
        ({"ema_decay": 0.999, "ema_ramp": 0.05}, False),
        ({"ema_half_life": 100_000, "ema_ramp": 0.05}, False),
        ({}, False),
    ],
)
def test_an_average_over_more_steps_than_there_are_is_warned_of(
    settings, warns, caplog
):
    data = keras_gan.datasets.load("digits", "train")
    experiment = small(epochs=10, settings=settings)
    assert 30 < 10 * data.steps_per_epoch(experiment.train.batch_size) < 900
    training._warn_of_a_short_average(experiment, data)
    assert ("averages the generator over" in caplog.text) == warns
