"""Runs that start from the networks of another run: what is taken, and what is not."""

import hashlib
import json
import shutil

import keras
import numpy as np
import PIL.Image
import pytest

import keras_gan
from keras_gan import networks, priors, runs
from keras_gan.commands import console
from keras_gan.experiments import SettingError, get_preset
from keras_gan.networks.transfer import Transfer
from keras_gan.runs import initial
from keras_gan.runs.dry_run import dry_run
from tests import helpers

SHORT = {
    "train.epochs": 1,
    "train.sample_epochs": 1,
    "train.evaluation_epochs": None,
    "runtime.jit_compile": False,
}


def digits(**settings):
    """The preset digits, cut down to an epoch; with "__" for the dots of a path."""
    paths = {path.replace("__", "."): value for path, value in settings.items()}
    return get_preset("digits", {**SHORT, **paths})


def dcgan(shape, names=None, seed=0, width=4, builder=networks.dcgan, **options):
    """An untrained GAN of images whose classes are called `names`; None has none."""
    prior = priors.Normal(6)
    if names is not None:
        prior = priors.Labelled(prior, [1 / len(names)] * len(names), names)
        options["num_classes"] = len(names)
    pair = builder(shape, latent_dim=6, width=width, seed=seed, **options)
    gan = keras_gan.GAN(*pair, prior, seed=seed)
    gan.compile("adam", "adam")
    return gan


def disturbed(gan):
    """The GAN with weights that no builder gives."""
    rng = np.random.default_rng(7)
    for network in (gan.generator, gan.discriminator):
        for weight in network.weights:
            weight.assign(rng.normal(size=weight.shape) ** 2 + 0.1)
    return gan


def values(network, kind=None):
    return [
        weight.numpy()
        for layer in network.layers
        if kind in (None, type(layer).__name__)
        for weight in layer.weights
    ]


def equal(ours, theirs):
    return len(ours) == len(theirs) and all(map(np.array_equal, ours, theirs))


def taken(gan, other):
    """Gives `gan` the networks of `other`; returns what is said of each network."""
    return initial.take(gan, initial.Source("a", other, ""))["taken"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A run on the digits that keeps an average."""
    path = tmp_path_factory.mktemp("runs") / "source"
    return runs.train(runs.Run(path, digits(train__ema_decay=0.8)))


# === The same networks ===


def test_a_run_starts_as_the_other_ended(source, tmp_path, caplog):
    caplog.set_level("INFO", "keras_gan")
    seen = {}

    class Start(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            seen["samples"] = self.model.generate(8, seed=3)
            seen["discriminator"] = self.model.discriminator.get_weights()
            seen["generator"] = self.model.generator.get_weights()
            seen["steps"] = int(self.model.generator_optimizer.iterations)

    experiment = digits(train__init_from=str(source.path), train__ema_decay=0.9)
    run = runs.train(runs.Run(tmp_path / "run", experiment), callbacks=[Start()])
    theirs = source.gan()
    assert seen["steps"] == 0
    np.testing.assert_array_equal(seen["samples"], theirs.generate(8, seed=3))
    assert equal(seen["discriminator"], theirs.discriminator.get_weights())
    # The average is what the other run generates and is scored by.
    assert equal(seen["generator"], theirs.averaged_generator.get_weights())
    assert not equal(seen["generator"], theirs.generator.get_weights())
    said = [text for text in helpers.warned(caplog) if "Starting from" in text]
    assert said == [
        f"Starting from {source.path}: took 6 of 6 weights of the averaged generator.",
        f"Starting from {source.path}: took 6 of 6 weights of the discriminator.",
    ]
    # A training of its own, which says where it came from.
    assert run.gan().generator_steps == 11
    config = run.config
    assert config["experiment"]["train"]["init_from"] == str(source.path)
    content = source.model_path.read_bytes()
    assert config["initial"] == {
        "sha256": hashlib.sha256(content).hexdigest(),
        "taken": [line.partition(": took ")[2].removesuffix(".") for line in said],
    }
    assert source.config["initial"] is None


def test_without_an_average_the_generator_itself_is_taken(tmp_path):
    gan, other = dcgan((8, 8, 1), seed=1), disturbed(dcgan((8, 8, 1)))
    taken(gan, other)
    np.testing.assert_array_equal(gan.generate(3, seed=0), other.generate(3, seed=0))


def test_a_keras_file_will_do(source, tmp_path):
    path = shutil.copy(source.model_path, tmp_path / "mine.keras")
    run = runs.Run(tmp_path / "run", digits(train__init_from=str(path)))
    gan = run.build()
    initial.take(gan, initial.load(run.experiment, run.path))
    assert equal(
        gan.discriminator.get_weights(), source.gan().discriminator.get_weights()
    )


@pytest.mark.parametrize(
    "builder", ["dcgan", helpers.slow("resnet"), helpers.slow("r3gan")]
)
@pytest.mark.parametrize("names", [None, "abc"])
def test_every_weight_of_equal_networks_is_taken(builder, names, tmp_path):
    builder = networks.BUILDERS[builder]
    disturbed(dcgan((16, 16, 3), names, builder=builder)).save(tmp_path / "a.keras")
    other = runs.load_gan(tmp_path / "a.keras")
    gan = dcgan((16, 16, 3), names, seed=1, builder=builder)
    lines = taken(gan, other)
    assert "not:" not in " ".join(lines)
    assert equal(gan.generator.get_weights(), other.generator.get_weights())
    assert equal(gan.discriminator.get_weights(), other.discriminator.get_weights())


# === Other classes ===


def test_classes_of_the_same_name_are_taken_in_any_order():
    other = disturbed(dcgan((16, 16, 1), ["dog", "emu", "cat"]))
    gan = dcgan((16, 16, 1), ["ape", "cat", "dog", "yak"], seed=1)
    ours = [
        values(gan.generator, "ConditionalBatchNormalization"),
        values(gan.discriminator, "LabelProjection"),
    ]
    lines = taken(gan, other)
    # gain, shift, mean and variance of each layer.
    theirs = values(other.generator, "ConditionalBatchNormalization")
    now = values(gan.generator, "ConditionalBatchNormalization")
    assert len(now) == len(theirs) >= 8
    for number, (before, old, new) in enumerate(zip(ours[0], theirs, now, strict=True)):
        if number % 4 > 1:
            np.testing.assert_array_equal(new, old)
            continue
        np.testing.assert_array_equal(new[[1, 2]], old[[2, 0]])
        np.testing.assert_array_equal(new[[0, 3]], before[[0, 3]])
    (before,), (old,), (new,) = (
        ours[1],
        values(other.discriminator, "LabelProjection"),
        values(gan.discriminator, "LabelProjection"),
    )
    np.testing.assert_array_equal(new[[1, 2]], old[[2, 0]])
    np.testing.assert_array_equal(new[[0, 3]], before[[0, 3]])
    assert all("2 of 4 classes by name" in line for line in lines)


def test_classes_without_names_go_by_their_numbers():
    other, gan = dcgan((8, 8, 1), "ab"), dcgan((8, 8, 1), "abc", seed=1)
    other.latent_prior.class_names = gan.latent_prior.class_names = None
    lines = taken(gan, disturbed(other))
    (old,), (new,) = (
        values(each.discriminator, "LabelProjection") for each in (other, gan)
    )
    np.testing.assert_array_equal(new[:2], old)
    assert "2 of 3 classes by name" in lines[0]


def test_classes_that_share_no_name_start_as_built():
    other, gan = disturbed(dcgan((8, 8, 1), "ab")), dcgan((8, 8, 1), "cde", seed=1)
    (before,) = values(gan.discriminator, "LabelProjection")
    lines = taken(gan, other)
    np.testing.assert_array_equal(
        values(gan.discriminator, "LabelProjection")[0], before
    )
    assert "(0 of 3 classes by name); not: projection/embeddings (2, 4)" in lines[1]
    assert equal(
        values(gan.discriminator, "Conv2D"), values(other.discriminator, "Conv2D")
    )


def test_a_conditional_start_from_one_without_labels():
    """Every class gets the gain and the shift; the projection starts as built."""
    other, gan = disturbed(dcgan((8, 8, 1))), dcgan((8, 8, 1), "ab", seed=1)
    lines = taken(gan, other)
    theirs = values(other.generator, "BatchNormalization")
    now = values(gan.generator, "ConditionalBatchNormalization")
    for number, (old, new) in enumerate(zip(theirs, now, strict=True)):
        expected = old if number % 4 > 1 else np.stack([old, old])
        np.testing.assert_array_equal(new, expected)
    assert "not:" not in lines[0]
    assert "; not: projection (2, 4)" in lines[1]
    latents = other.latent_prior.sample(3, 0)
    labelled = {"latents": latents, "labels": np.array([0, 1, 1], np.int32)}
    ours, theirs = gan.samples_of(labelled), other.samples_of(latents)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_start_without_labels_from_a_conditional_one():
    other, gan = disturbed(dcgan((8, 8, 1), "ab")), dcgan((8, 8, 1), seed=1)
    before = values(gan.generator, "BatchNormalization")
    lines = taken(gan, other)
    now = values(gan.generator, "BatchNormalization")
    theirs = values(other.generator, "ConditionalBatchNormalization")
    assert equal(now[0:2], before[0:2]) and equal(now[2:4], theirs[2:4])
    assert "/gamma (2, 4) for (4,)" in lines[0]


def test_rows_of_joined_latents_are_taken_and_those_of_labels_start_as_built(source):
    """digits_mlp: 100 latents become 100 latents and 10 values of a label."""
    run = runs.Run("unused", digits(data__conditional=True))
    gan, other = run.build(), source.gan()
    kernel = gan.generator.get_layer("with_labels").output
    (first,) = [x for x in gan.generator.layers if x.input is kernel]
    before = first.kernel.numpy()
    lines = taken(gan, other)
    theirs = other.averaged_generator.layers[1].kernel.numpy()
    np.testing.assert_array_equal(first.kernel.numpy()[:100], theirs)
    np.testing.assert_array_equal(first.kernel.numpy()[100:], before[100:])
    assert "6 of 7 weights" in lines[0] and "100 of 110 rows" in lines[0]
    assert "not: embedded_labels" in lines[0]
    assert "6 of 7 weights" in lines[1] and "64 of 74 rows" in lines[1]


def test_rows_of_latents_are_taken_where_labels_are_other_ones():
    """Three classes have three values of a label, four have four, and none has none."""
    named = [
        dcgan((8, 8, 1), names, seed=seed, generator_normalization=None)
        for seed, names in enumerate(["abc", "abcd", None])
    ]
    disturbed(named[0])
    theirs, *_ = values(named[0].generator, "Dense")
    before, *_ = values(named[1].generator, "Dense")
    assert theirs.shape[0] == 9 and before.shape[0] == 10
    lines = taken(named[1], named[0])
    now, *_ = values(named[1].generator, "Dense")
    np.testing.assert_array_equal(now, np.concatenate([theirs[:6], before[6:]]))
    assert "(6 of 10 rows of " in lines[0] and "(3, 3) for (4, 4)" in lines[0]
    lines = taken(named[2], named[0])
    now, *_ = values(named[2].generator, "Dense")
    np.testing.assert_array_equal(now, theirs[:6])
    assert "rows of" not in lines[0] and "not:" not in lines[0]


# === Other images ===


def test_another_number_of_channels_changes_the_layers_at_the_image():
    other, gan = disturbed(dcgan((8, 8, 1))), dcgan((8, 8, 3), seed=1)
    lines = taken(gan, other)
    # (4, 4, input, output) forward, (4, 4, output, input) transposed: G is alike.
    assert all(" (4, 4, 1, 4) for (4, 4, 3, 4)" in line for line in lines)
    assert lines[0].startswith("5 of 7 weights of the generator; not: ")
    assert lines[1].startswith("2 of 4 weights of the discriminator; not: ")
    assert equal(values(gan.generator, "Dense"), values(other.generator, "Dense"))


def test_a_normalised_layer_is_named_by_its_kernel():
    """Its first weight is the vector of the power iteration: "(4,) for (8,)"."""
    other, ours = (
        networks.toy_mlp((2,), units=units, discriminator_normalization="spectral")[1]
        for units in (4, 8)
    )
    assert "(2, 4) for (2, 8)" in Transfer(ours, other).take("discriminator")


def test_another_size_takes_what_fits_at_either_end():
    other, gan = disturbed(dcgan((16, 16, 3))), dcgan((32, 32, 3), seed=1)
    taken(gan, other)
    # The levels next to the image are alike: (kernel, ..., kernel, bias) of G.
    ours, theirs = (values(x.generator, "Conv2DTranspose") for x in (gan, other))
    assert len(ours) == 4 and equal(ours[1:], theirs)
    ours, theirs = (values(x.discriminator, "Conv2D") for x in (gan, other))
    assert len(ours) == 4 and equal(ours[:3], theirs)
    # At half the width those at the bottom are.
    other = disturbed(dcgan((16, 16, 3), width=8))
    gan = dcgan((32, 32, 3), seed=1)
    lines = taken(gan, other)
    ours, theirs = (values(x.generator, "Conv2DTranspose") for x in (gan, other))
    assert equal(ours[:1], theirs[:1])
    assert equal(values(gan.generator, "Dense"), values(other.generator, "Dense"))
    ours, theirs = (values(x.discriminator, "Conv2D") for x in (gan, other))
    assert len(ours) == 4 and equal(ours[3:], theirs[2:])
    logits = [values(each.discriminator, "Dense") for each in (gan, other)]
    assert equal(*logits)
    assert " (4, 4, 3, 8) for (4, 4, 4, 8), batch_norm" in lines[0]


def write_pictures(folder, classes, size, count=20):
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (size, size, 3), np.uint8)
            PIL.Image.fromarray(pixels).save(folder / name / f"{number}.png")


@pytest.mark.slow
def test_larger_pictures_of_other_classes_by_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "few", ["cat", "dog"], 32)
    write_pictures(tmp_path / "more", ["ape", "cat", "dog"], 64)
    common = [
        "--epochs=1", "--batch_size=20", "--conditional", "--set=networks.width=4",
        "--set=augmentation=none", "--set=penalties=[]", "--loss=non_saturating",
        "--jit_compile=false",
    ]  # fmt: skip
    first = ["train", "--preset=pictures32", "--dataset=folder:few", "--workdir=a"]
    assert console.run([*first, *common]) == 0
    capsys.readouterr()
    second = ["train", "--preset=pictures64", "--dataset=folder:more", "--workdir=b"]
    assert console.run([*second, *common, "--init_from=a"]) == 0
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith("Starting from ")]
    assert len(lines) == 2 and all("; not: " in line for line in lines)
    assert "2 of 3 classes by name" in lines[0]
    assert (tmp_path / "b" / "gan.keras").exists()


# === Mistakes ===


def refused(run, error, match):
    with pytest.raises(error, match=match) as caught:
        runs.train(run)
    assert "\n" not in str(caught.value)
    assert not run.path.exists()


def test_networks_of_which_nothing_fits_are_refused(source, tmp_path):
    settings = {"dataset": "ring8", "train.init_from": str(source.path)}
    experiment = get_preset("ring8", {**SHORT, **settings})
    refused(
        runs.Run(tmp_path / "run", experiment), ValueError, "have a layer that fits"
    )
    # Neither by the size of a single bias, such as that of the logits.
    wider = digits(networks="dcgan", networks__width=4)
    wider = wider.with_settings({"train.init_from": str(source.path)})
    refused(runs.Run(tmp_path / "run", wider), ValueError, "have a layer that fits")


@pytest.mark.parametrize("place", ["nowhere", "empty", "."])
def test_a_missing_run_is_named(place, tmp_path):
    (tmp_path / "empty").mkdir()
    experiment = digits(train__init_from=str(tmp_path / place))
    match = r"^Expected train.init_from to be a run's directory with a gan.keras"
    refused(runs.Run(tmp_path / "run", experiment), SettingError, match)


def test_a_damaged_model_is_one_line(source, tmp_path):
    content = source.model_path.read_bytes()
    for name, damaged in (("cut", content[: len(content) // 2]), ("text", b"hello")):
        path = tmp_path / f"{name}.keras"
        path.write_bytes(damaged)
        run = runs.Run(tmp_path / "run", digits(train__init_from=str(path)))
        refused(run, ValueError, "which cannot be read")


def test_the_run_itself_is_no_start(source):
    for path in (source.path, source.model_path):
        run = runs.Run(source.path, digits(train__init_from=str(path)))
        with pytest.raises(SettingError, match="train.init_from to be another run"):
            runs.train(run, overwrite=True)
    assert source.model_path.exists()


# === Resuming and commands ===


@pytest.mark.slow
def test_a_resumed_run_does_not_start_again(source, tmp_path):
    other = runs.Run(shutil.copytree(source.path, tmp_path / "other"), None)
    settings = {"train__epochs": 2, "train__init_from": str(other.path)}
    plan = runs.CheckpointPlan(0, 5, 2)
    whole = runs.train(runs.Run(tmp_path / "whole", digits(**settings)))

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.generator_steps >= 15:
                raise KeyboardInterrupt

    run = runs.Run(tmp_path / "run", digits(**settings))
    with pytest.raises(KeyboardInterrupt):
        runs.train(run, checkpoints=plan, callbacks=[Stop()])
    began = run.config["initial"]
    shutil.rmtree(other.path)  # it is needed no more
    run = runs.Run(tmp_path / "run", digits(**settings))
    runs.train(run, resume="auto", checkpoints=plan)
    assert run.config["initial"] == began == whole.config["initial"]
    ours, theirs = run.gan(), whole.gan()
    assert equal(ours.generator.get_weights(), theirs.generator.get_weights())
    assert equal(ours.discriminator.get_weights(), theirs.discriminator.get_weights())
    # Without it the training is another one.
    run = runs.Run(tmp_path / "run", digits(train__epochs=2))
    with pytest.raises(ValueError, match=r"Expected train.init_from='"):
        runs.train(run, resume="auto")
    # And nothing says how good networks were that are gone.
    report = runs.evaluate(run.path, num_samples=200)
    assert "pixel_frechet_distance" in report
    assert "pixel_frechet_distance_at_start" not in report


def test_a_dry_run_says_what_it_would_take_and_writes_nothing(
    source, tmp_path, caplog, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO", "keras_gan")
    dry_run(digits(train__init_from=str(source.path)), steps=1)
    assert sum("Starting from" in text for text in helpers.warned(caplog)) == 2
    assert not list(tmp_path.iterdir())
    with pytest.raises(SettingError, match=r"train.init_from"):
        dry_run(digits(train__init_from="nowhere"), steps=1)


def test_the_command_starts_from_a_run_by_a_relative_path(
    source, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(source.path, tmp_path / "a")
    arguments = ["train", "--epochs=1", "--workdir=b", "--init_from=a"]
    assert console.run(arguments) == 0
    out = capsys.readouterr().out
    assert f"Starting from {tmp_path / 'a'}: took 6 of 6 weights" in out
    config = json.loads((tmp_path / "b" / "config.json").read_text())
    assert config["experiment"]["train"]["init_from"] == str(tmp_path / "a")
    assert console.run(["train", "--workdir=c", "--init_from=gone"]) == 1
    err = capsys.readouterr().err
    assert "error: Expected train.init_from to be a run's" in err and "gone" in err
    assert not (tmp_path / "c").exists()
    # The card of an export tells no paths.
    runs.export_run("b")
    card = json.loads((tmp_path / "b/export/1/assets.extra/gan_card.json").read_text())
    assert card["experiment"]["train"]["init_from"] == "a"
