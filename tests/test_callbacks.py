"""Callbacks in a real `fit`."""

import io
import json
import math
import re
import resource
import shutil
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
import tqdm
from PIL import Image

import keras_gan
from keras_gan.pictures import grids
from keras_gan.runs import callbacks, checkpoint, history
from keras_gan.runs.callbacks import progress, saving
from keras_gan.samples import SampleSpec
from tests import helpers


def digits_gan(value_range=(0.0, 1.0)):
    gan = keras_gan.GAN(
        *keras_gan.networks.digits_mlp((8, 8, 1), latent_dim=5, seed=0),
        keras_gan.priors.Uniform(5),
        value_range=value_range,
        seed=0,
    )
    gan.compile("adam", "adam")
    return gan


def pictures(count=40):
    return np.random.default_rng(0).random((count, 8, 8, 1), np.float32)


def test_sample_grid_draws_the_same_latents_before_and_as_training_goes(tmp_path):
    gan = digits_gan()
    before = gan.generate(9, seed=5)
    grid = callbacks.SampleGrid(tmp_path / "samples", num_samples=9, every=2, seed=5)
    gan.fit(pictures(), batch_size=20, epochs=5, verbose=0, callbacks=[grid])
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == [f"epoch_{epoch:05}.png" for epoch in (0, 2, 4, 5)]
    for name, samples in (
        ("epoch_00000.png", before),
        ("epoch_00005.png", gan.generate(9, seed=5)),
    ):
        expected = keras_gan.pictures.sample_picture(samples, gan.spec)
        with Image.open(tmp_path / "samples" / name) as picture:
            np.testing.assert_array_equal(np.asarray(picture), expected[:, :, 0])


def test_sample_grid_plots_what_is_no_image(tmp_path):
    gan = keras_gan.GAN(
        *keras_gan.networks.toy_mlp((2,), seed=0),
        keras_gan.priors.Normal(2),
        value_range=None,
    )
    gan.compile("adam", "adam")
    points = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    grid = callbacks.SampleGrid(tmp_path, examples=points)
    gan.fit(points, batch_size=50, verbose=0, callbacks=[grid])
    with Image.open(tmp_path / "epoch_00001.png") as picture:
        assert picture.mode == "RGB" and np.asarray(picture).std() > 0


@pytest.mark.parametrize(
    "shape",
    [(5,), helpers.slow((3, 2)), helpers.slow((4, 4, 2)), (4, 4, 4), (4, 4, 13)],
)
def test_samples_of_any_form_are_drawn(tmp_path, shape):
    """Vectors of five values, series, images of two, four and thirteen channels."""
    gan = gan_of(shape)
    data = np.random.default_rng(0).random((8, *shape), np.float32)
    grid = callbacks.SampleGrid(tmp_path, examples=data)
    gan.fit(data, batch_size=4, epochs=2, verbose=0, callbacks=[grid])
    for epoch in range(3):
        with Image.open(tmp_path / f"epoch_0000{epoch}.png") as picture:
            assert picture.mode == "RGB" and np.asarray(picture).std() > 0


def test_a_sample_grid_shows_the_channels_that_are_chosen(tmp_path):
    gan = gan_of((4, 4, 5))
    data = np.random.default_rng(0).random((8, 4, 4, 5), np.float32)
    grid = callbacks.SampleGrid(tmp_path, num_samples=4, channels=(4, 0, 2))
    gan.fit(data, verbose=0, callbacks=[grid])
    samples = gan.generate(4, seed=0)[..., [4, 0, 2]]
    expected = grids.sample_picture(samples, SampleSpec.of((4, 4, 3), (0, 1)))
    with Image.open(tmp_path / "epoch_00001.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), expected)
    for channels in ((0, 1), (0, 1, 5), (-1,)):
        grid = callbacks.SampleGrid(tmp_path / "no", channels=channels)
        gan = gan_of((4, 4, 5))
        with pytest.raises(ValueError, match="one or three channels of 0 to 4 to show"):
            gan.fit(data, verbose=0, callbacks=[grid])
        assert gan.generator_steps == 0 and not (tmp_path / "no").exists()


def gan_of(shape):
    """Returns a compiled GAN of samples of a shape, in (0, 1)."""
    latents, samples = keras.Input((3,)), keras.Input(shape)
    generator = keras.layers.Dense(math.prod(shape), activation="sigmoid")(latents)
    generator = keras.Model(latents, keras.layers.Reshape(shape)(generator))
    discriminator = keras.layers.Dense(1)(keras.layers.Flatten()(samples))
    gan = keras_gan.GAN(
        generator,
        keras.Model(samples, discriminator),
        keras_gan.priors.Normal(3),
        value_range=(0.0, 1.0),
        seed=0,
    )
    gan.compile("sgd", "sgd")
    return gan


def test_points_within_bounds_are_plotted_as_points(tmp_path):
    gan = keras_gan.GAN(
        *keras_gan.networks.toy_mlp((2,), seed=0),
        keras_gan.priors.Normal(2),
        value_range=(0.0, 1.0),
    )
    gan.compile("sgd", "sgd")
    points = np.random.default_rng(0).random((20, 2), np.float32)
    gan.fit(points, verbose=0, callbacks=[callbacks.SampleGrid(tmp_path)])
    with Image.open(tmp_path / "epoch_00001.png") as picture:
        assert picture.mode == "RGB" and np.asarray(picture).std() > 0


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("bad_step", [1, 5])
def test_the_guard_stops_at_the_first_nan_with_its_step(
    tmp_path, jit_compile, bad_step
):
    data = np.concatenate([helpers.examples(4, seed=i) for i in range(6)])
    data[4 * bad_step - 2, 1] = np.nan
    gan = helpers.tiny_gan(jit_compile=jit_compile)
    save_model = callbacks.SaveModel(tmp_path / "gan.keras")
    batches = tf.data.Dataset.from_tensor_slices(data).batch(4)
    with pytest.raises(
        callbacks.TrainingDiverged, match=rf"^Training diverged at step {bad_step}: "
    ) as error:
        gan.fit(batches, verbose=0, callbacks=[callbacks.NonFiniteGuard(), save_model])
    assert "discriminator_loss is NaN" in str(error.value)
    assert str(error.value).endswith(
        ". Restore the last saved model and lower the learning rates, or check the "
        "data."
    )
    assert gan.generator_optimizer.iterations == bad_step
    assert not (tmp_path / "gan.keras").exists()


@pytest.mark.parametrize(
    "bad_step, words",
    [(5, "in steps 4 to 6"), (2, "in steps 1 to 3"), (7, "at step 7")],
)
def test_the_guard_names_the_steps_of_an_execution(bad_step, words):
    """Of seven steps, three at once: the last makes an execution alone."""
    data = np.concatenate([helpers.examples(4, seed=i) for i in range(7)])
    data[4 * (bad_step - 1), 1] = np.nan
    gan = helpers.tiny_gan(steps_per_execution=3)
    batches = tf.data.Dataset.from_tensor_slices(data).batch(4)
    with pytest.raises(
        callbacks.TrainingDiverged, match=f"^Training diverged {words}: d_"
    ):
        gan.fit(batches, verbose=0, callbacks=[callbacks.NonFiniteGuard()])


def test_the_last_good_model_stays(tmp_path):
    gan = helpers.tiny_gan()
    path = tmp_path / "gan.keras"
    data = helpers.examples(12)
    epochs = tf.data.Dataset.from_tensor_slices(data).batch(4)
    watch = [callbacks.NonFiniteGuard(), callbacks.SaveModel(path)]
    gan.fit(epochs, verbose=0, callbacks=watch)
    good = helpers.weights_of(gan)
    corrupt = tf.data.Dataset.from_tensor_slices(data * np.inf).batch(4)
    with pytest.raises(callbacks.TrainingDiverged):
        gan.fit(corrupt, verbose=0, callbacks=watch)
    for a, b in zip(
        good, helpers.weights_of(keras.saving.load_model(path)), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert [file.name for file in tmp_path.iterdir()] == ["gan.keras"]


def test_corrupt_weights_never_replace_good_ones(tmp_path):
    """As after an epoch's last step, or behind a ReLU: no loss has shown the NaN."""
    gan = helpers.tiny_gan(
        generator_optimizer=keras.optimizers.SGD(0.0),
        discriminator_optimizer=keras.optimizers.SGD(0.0),
    )
    save_model = callbacks.SaveModel(tmp_path / "gan.keras")
    save_model.set_model(gan)
    save_model.save()
    good = (tmp_path / "gan.keras").read_bytes()
    variable = gan.generator.trainable_variables[0]
    variable.assign(np.full(variable.shape, np.nan, np.float32))
    with pytest.raises(callbacks.TrainingDiverged, match="the weights .*kernel"):
        save_model.save()
    assert (tmp_path / "gan.keras").read_bytes() == good


def test_a_model_that_cannot_be_saved_is_named(tmp_path):
    save_model = callbacks.SaveModel(tmp_path / "gan.keras")
    save_model.set_model(helpers.tiny_gan())
    save_model.save()
    good = (tmp_path / "gan.keras").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(
            OSError, match=r"not saved in .*gan\.keras \(File too large\)"
        ):
            save_model.save()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "gan.keras").read_bytes() == good
    assert [path.name for path in tmp_path.iterdir()] == ["gan.keras"]


def test_a_training_goes_on_where_the_model_cannot_be_saved(
    tmp_path, monkeypatch, caplog
):
    """A full disk for a while, and a layer that Keras cannot save."""
    gan = helpers.tiny_gan()
    save, failures = gan.save, [OSError(28, "No space left"), NotImplementedError("x")]

    def fails_twice(path):
        if failures:
            raise failures.pop(0)
        save(path)

    monkeypatch.setattr(gan, "save", fails_twice)
    path = tmp_path / "gan.keras"
    data = helpers.examples(8)
    gan.fit(data, epochs=3, verbose=0, callbacks=[callbacks.SaveModel(path)])
    assert gan.generator_steps == 3 and path.exists()
    full, layer = helpers.warned(caplog)
    assert "No space left). Make room" in full and "The training goes on." in full
    assert "(x). Replace the layers that Keras cannot save." in layer
    # At the training's end there is no next time.
    failures += [OSError(28, "No space left")] * 2
    with pytest.raises(OSError, match="was not saved in"):
        gan.fit(data, verbose=0, callbacks=[callbacks.SaveModel(path)])


def test_the_model_is_saved_no_more_often_than_asked(tmp_path, monkeypatch):
    """A clock by hand: epochs end 4 s apart, saves lie 10 s apart, but for the last."""
    gan, saved = helpers.tiny_gan(), []
    clock = iter(range(0, 1000, 4))
    now = [0]
    tick = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: now.__setitem__(0, next(clock))
    )
    monkeypatch.setattr(saving.time, "monotonic", lambda: now[0])
    save_model = callbacks.SaveModel(tmp_path / "gan.keras", min_seconds=10.0)
    save = save_model.save
    save_model.save = lambda: (saved.append(now[0]), save())
    data = tf.data.Dataset.from_tensor_slices(helpers.examples(4)).batch(4)
    gan.fit(data, epochs=8, verbose=0, callbacks=[tick, save_model])
    assert saved == [0, 12, 24, 28]
    for a, b in zip(
        helpers.weights_of(gan),
        helpers.weights_of(keras.saving.load_model(tmp_path / "gan.keras")),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    # An epoch that is not saved is looked at all the same.
    variable = gan.generator.trainable_variables[0]
    variable.assign(np.full(variable.shape, np.nan, np.float32))
    with pytest.raises(callbacks.TrainingDiverged, match="the weights .*kernel"):
        save_model.on_epoch_end(9)


def test_sample_grid_goes_on_without_drawing_the_start_again(tmp_path):
    gan = digits_gan()
    grid = callbacks.SampleGrid(tmp_path, num_samples=4)
    gan.fit(pictures(), verbose=0, callbacks=[grid])
    start = (tmp_path / "epoch_00000.png").read_bytes()
    gan.fit(pictures(), verbose=0, epochs=2, initial_epoch=1, callbacks=[grid])
    assert (tmp_path / "epoch_00000.png").read_bytes() == start
    assert (tmp_path / "epoch_00002.png").exists()
    with pytest.raises(ValueError, match="`every` to be an int >= 1"):
        callbacks.SampleGrid(tmp_path, every=0)


def test_metrics_log_has_a_line_for_each_epoch(tmp_path):
    gan = helpers.tiny_gan(discriminator_steps=2)
    log = callbacks.MetricsLog(tmp_path / "metrics.jsonl")
    history = gan.fit(
        helpers.examples(20), batch_size=8, epochs=3, verbose=0, callbacks=[log]
    ).history
    lines = [
        json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ]
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 3), (2, 6), (3, 9)]
    for name, values in history.items():
        assert [line[name] for line in lines] == pytest.approx(values)


def test_lines_are_json_where_a_score_is_not_finite(tmp_path):
    """The divergence of ring8 is NaN as long as no sample is near a mode."""
    gan = helpers.tiny_gan()
    values = iter([math.nan, math.inf, 1.5])
    scores = callbacks.Evaluation(lambda gan: {"x": next(values)}, tmp_path / "e.jsonl")
    log = callbacks.MetricsLog(tmp_path / "m.jsonl")
    data = helpers.examples(4)
    gan.fit(data, epochs=3, verbose=0, callbacks=[scores, log])
    for name in ("e.jsonl", "m.jsonl"):
        lines = (tmp_path / name).read_text().splitlines()
        strict = [json.loads(line, parse_constant=pytest.fail) for line in lines]
        assert [line["x"] for line in strict] == [None, None, 1.5]
        read = [line["x"] for line in history.read_metrics(tmp_path / name)]
        assert np.isnan(read[:2]).all() and read[2] == 1.5
    lines = history.read_metrics(tmp_path / "m.jsonl")
    assert keras_gan.pictures.training_curves(lines).any()


def test_records_make_their_folders_before_the_first_step(tmp_path):
    gan = helpers.tiny_gan()
    log = callbacks.MetricsLog(tmp_path / "a" / "b" / "metrics.jsonl")
    scores = callbacks.Evaluation(lambda gan: {"x": 1}, tmp_path / "c" / "e.jsonl")
    seen = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: seen.append(
            (tmp_path / "a" / "b").is_dir() and (tmp_path / "c").is_dir()
        )
    )
    gan.fit(helpers.examples(4), verbose=0, callbacks=[log, scores, note])
    assert seen == [True]
    (line,) = (tmp_path / "a" / "b" / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["epoch"] == 1
    assert json.loads((tmp_path / "c" / "e.jsonl").read_text())["x"] == 1.0
    # A file in the way is known before the first step too.
    (tmp_path / "file").write_text("")
    log = callbacks.MetricsLog(tmp_path / "file" / "metrics.jsonl")
    with pytest.raises(OSError):
        gan.fit(helpers.examples(4), verbose=0, callbacks=[log])
    assert gan.generator_steps == 1


@pytest.mark.parametrize("make", [
    lambda every: callbacks.SampleGrid("x", every=every),
    lambda every: callbacks.Evaluation(dict, "x", every=every),
    lambda every: callbacks.FigureOne("x.npz", None, every=every),
])  # fmt: skip
@pytest.mark.parametrize("every", [0, True, 1.0, "2", None])
def test_intervals_are_ints(make, every):
    with pytest.raises(ValueError, match="`every` to be an int >= 1. Received: "):
        make(every)


def test_events_hold_scalars_and_pictures(tmp_path):
    gan = digits_gan()
    writer = tf.summary.create_file_writer(str(tmp_path / "events"))
    gan.fit(
        pictures(),
        batch_size=20,
        epochs=2,
        verbose=0,
        callbacks=[
            callbacks.MetricsLog(tmp_path / "metrics.jsonl", writer),
            callbacks.SampleGrid(tmp_path / "samples", summary_writer=writer),
        ],
    )
    writer.close()
    (file,) = (tmp_path / "events").iterdir()
    tags = [
        (value.tag, event.step)
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]
    assert [step for tag, step in tags if tag == "samples"] == [0, 2, 4]
    assert [step for tag, step in tags if tag == "value"] == [2, 4]


def line_gan():
    """A GAN whose samples and latents are one-dimensional."""
    gan = keras_gan.GAN(
        *keras_gan.networks.toy_mlp((1,), latent_dim=1, seed=0),
        keras_gan.priors.Uniform(1),
        value_range=None,
        seed=0,
    )
    gan.compile("adam", "adam")
    return gan


def test_figure_one_records_from_before_the_first_step_to_the_last(tmp_path):
    path = tmp_path / "moments.npz"
    distribution = keras_gan.datasets.load("gaussian1d", "valid").distribution
    points = np.random.default_rng(0).normal(2, 0.5, (70, 1)).astype(np.float32)
    gan = line_gan()
    before = keras_gan.pictures.frames.frame_of(gan, distribution)
    recorder = callbacks.FigureOne(path, distribution, every=3)
    gan.fit(points, batch_size=10, verbose=0, callbacks=[recorder])
    moments = keras_gan.pictures.load_frames(path)
    assert [moment.step for moment in moments] == [0, 3, 6, 7]
    after = keras_gan.pictures.frames.frame_of(gan, distribution)
    for recorded, expected in ((moments[0], before), (moments[-1], after)):
        np.testing.assert_array_equal(recorded.samples, expected.samples)
        np.testing.assert_array_equal(recorded.discriminator, expected.discriminator)
    assert np.abs(after.discriminator - before.discriminator).max() > 1e-3
    # A training that goes on adds to its past.
    again = callbacks.FigureOne(path, distribution, every=5)
    gan.fit(points, batch_size=10, verbose=0, callbacks=[again])
    moments = keras_gan.pictures.load_frames(path)
    assert [moment.step for moment in moments] == [0, 3, 6, 7, 12, 14]
    # A new one, in the same place, does not.
    line_gan().fit(points, batch_size=10, verbose=0,
                   callbacks=[callbacks.FigureOne(path, distribution)])  # fmt: skip
    moments = keras_gan.pictures.load_frames(path)
    assert [moment.step for moment in moments] == [0, 7]


@pytest.mark.slow
def test_figure_one_spaces_moments_by_a_twelfth(tmp_path, monkeypatch):
    distribution = keras_gan.datasets.load("gaussian1d", "valid").distribution
    points = np.random.default_rng(0).normal(2, 0.5, (27, 1)).astype(np.float32)
    recorder = callbacks.FigureOne(tmp_path / "m.npz", distribution, every=1)

    def few_samples(gan, distribution, moment=keras_gan.pictures.frames.frame_of):
        return moment(gan, distribution, num_samples=100)

    monkeypatch.setattr(keras_gan.pictures.frames, "frame_of", few_samples)
    line_gan().fit(points, batch_size=1, verbose=0, callbacks=[recorder])
    steps = [moment.step for moment in recorder.moments]
    # By hand: single steps up to 12 + 1, twos up to 24 + 1, then three, cut by the end.
    assert steps == [*range(14), 15, 17, 19, 21, 23, 25, 27]


@pytest.mark.slow
def test_figure_one_records_the_same_moments_when_a_training_goes_on(
    tmp_path, monkeypatch
):
    """Cut off in either epoch or between, with later moments on disk: as without."""

    def few_samples(gan, distribution, moment=keras_gan.pictures.frames.frame_of):
        return moment(gan, distribution, num_samples=100)

    monkeypatch.setattr(keras_gan.pictures.frames, "frame_of", few_samples)
    distribution = keras_gan.datasets.load("gaussian1d", "valid").distribution
    points = np.random.default_rng(0).normal(2, 0.5, (27, 1)).astype(np.float32)
    data = keras_gan.datasets.Dataset(points, value_range=None)
    options = {"batch_size": 4, "seed": 0, "epochs": 2, "verbose": 0}
    writer = checkpoint.Writer(tmp_path / "checkpoints", keep=99)
    wait = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: writer.wait()
    )
    first = callbacks.FigureOne(tmp_path / "first.npz", distribution, every=3)
    gan = line_gan()
    watch = [first, wait, callbacks.Checkpoints(writer, every_steps=1)]
    checkpoint.fit(gan, data, callbacks=watch, **options)
    assert [moment.step for moment in first.moments] == [0, 3, 6, 9, 12, 14]
    for step in (5, 7, 12):
        shutil.copy(tmp_path / "first.npz", tmp_path / "again.npz")
        again = callbacks.FigureOne(tmp_path / "again.npz", distribution, every=3)
        start = checkpoint.read(writer.directory / f"step_{step:09}.safetensors")
        checkpoint.restore(gan, start)
        checkpoint.fit(gan, data, start=start, callbacks=[again], **options)
        moments = keras_gan.pictures.load_frames(tmp_path / "again.npz")
        assert [m.step for m in moments] == [m.step for m in first.moments]
        for a, b in zip(moments, first.moments, strict=True):
            np.testing.assert_array_equal(a.samples, b.samples)
            np.testing.assert_array_equal(a.discriminator, b.discriminator)


def test_figure_one_refuses_what_it_cannot_record(tmp_path):
    distribution = keras_gan.datasets.load("gaussian1d", "valid").distribution
    with pytest.raises(ValueError, match=r"ends in \.npz"):
        callbacks.FigureOne(tmp_path / "moments", distribution)
    with pytest.raises(ValueError, match="int >= 1"):
        callbacks.FigureOne(tmp_path / "m.npz", distribution, every=0)
    recorder = callbacks.FigureOne(tmp_path / "m.npz", distribution)
    with pytest.raises(ValueError, match="of one dimension"):
        helpers.tiny_gan().fit(helpers.examples(4), verbose=0, callbacks=[recorder])
    corrupt = line_gan()
    corrupt.generator.trainable_variables[-1].assign([np.nan])
    points = np.ones((4, 1), np.float32)
    with pytest.raises(callbacks.TrainingDiverged, match="at step 0: the samples"):
        corrupt.fit(points, verbose=0, callbacks=[recorder])
    assert not (tmp_path / "m.npz").exists()


# === Progress ===


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    """Moves by a second whenever it is read."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1.0
        return self.now


def line_data(count=40):
    return keras_gan.datasets.Dataset(helpers.examples(count), value_range=None)


def shown(stream):
    """The states of the line that moves, as (step, total, words behind)."""
    states = re.findall(r"(\d+)/(\d+) \[[^\]]*?, (epoch=[^\]]*)\]", stream.getvalue())
    return [(int(step), int(total), words) for step, total, words in states]


@pytest.mark.parametrize("steps_per_execution", [1, helpers.slow(2), 3])
def test_progress_moves_over_all_steps_on_a_terminal(monkeypatch, steps_per_execution):
    """Ten steps an epoch; where three at once, an epoch's last execution is of one."""
    monkeypatch.setattr(progress, "time", Clock())
    stream, seen = Terminal(), []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(logs["d_real"])
    )
    checkpoint.fit(
        helpers.tiny_gan(), line_data(), 4, seed=0, epochs=3, verbose=0,
        callbacks=[note, callbacks.Progress(stream)],
        steps_per_execution=steps_per_execution,
    )  # fmt: skip
    states = shown(stream)
    ends = [min(n, 10) for n in range(steps_per_execution, 13, steps_per_execution)]
    ends = sorted(set(ends))
    expected = [10 * epoch + end for epoch in range(3) for end in ends]
    # tqdm shows the end again when it is closed.
    assert [step for step, _, _ in states] == [*expected, 30]
    assert {total for _, total, _ in states} == {30}
    for (step, _, words), d_real in zip(states, seen, strict=False):
        epoch = (step - 1) // 10 + 1
        assert re.fullmatch(
            rf"epoch={epoch}/3, d_real={d_real:.3f}, d_fake=0\.\d{{3}}", words
        )
    assert " 0/30 [" in stream.getvalue() and stream.getvalue().endswith("\n")


def test_progress_is_a_line_for_every_tenth_in_a_file(monkeypatch):
    stream = io.StringIO()
    seen = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(dict(logs))
    )
    watch = [note, callbacks.Progress(stream)]
    checkpoint.fit(
        helpers.tiny_gan(), line_data(), 4, seed=0, epochs=5, verbose=0, callbacks=watch
    )
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10 and "\r" not in stream.getvalue()
    for number, line in enumerate(lines, start=1):
        step, logs = 5 * number, seen[5 * number - 1]
        assert line.startswith(
            f"epoch {(step - 1) // 10 + 1} of 5, step {step} of 50 ({2 * step}%), "
            f"discriminator_loss {logs['discriminator_loss']:.3f}, "
            f"generator_loss {logs['generator_loss']:.3f}, "
            f"d_real {logs['d_real']:.3f}, d_fake {logs['d_fake']:.3f}, "
        )
        assert re.search(r", \d+ s, \d+ s left$", line)
    assert lines[-1].endswith(", 0 s left")


def test_progress_expects_the_rest_by_the_steps_behind_the_first(monkeypatch):
    """By hand: the first step took 100 s, the others 2 s each; 4 of 10 are left."""
    clock = Clock()
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(progress, "time", clock)
    stream = io.StringIO()
    watch = callbacks.Progress(stream)
    watch.set_params({"steps": 10, "epochs": 1})
    watch.on_train_begin()
    watch.on_epoch_begin(0)
    for batch in range(6):
        watch.on_train_batch_begin(batch)
        clock.now += 2.0 if batch else 100.0
        watch.on_train_batch_end(batch, {"generator_loss": 0.5})
    first, *_, last = stream.getvalue().splitlines()
    assert first.endswith("generator_loss 0.500, 100 s, 900 s left")
    assert last.endswith("generator_loss 0.500, 110 s, 8 s left")


def test_progress_without_probabilities_shows_the_losses():
    stream = Terminal()
    watch = callbacks.Progress(stream)
    watch.set_params({"steps": 2, "epochs": 1})
    watch.on_train_begin()
    watch.on_epoch_begin(0)
    for batch in range(2):
        watch.on_train_batch_begin(batch)
        watch.on_train_batch_end(batch, {"discriminator_loss": 1.5, "gap": 2.0})
    watch.on_train_end()
    assert shown(stream)[-1] == (2, 2, "epoch=1/1, discriminator_loss=1.500")


@pytest.mark.parametrize(
    ("step", "terminal"),
    [
        (13, True),
        (20, False),
        pytest.param(13, False, marks=pytest.mark.slow),
        pytest.param(20, True, marks=pytest.mark.slow),
    ],
)
def test_progress_counts_from_the_step_that_is_resumed_at(monkeypatch, terminal, step):
    """From the middle of an epoch and from its end, of three epochs of ten steps."""
    monkeypatch.setattr(progress, "time", Clock())
    gan = helpers.tiny_gan()
    start = checkpoint.snapshot(gan, step)
    stream = Terminal() if terminal else io.StringIO()
    checkpoint.fit(
        gan, line_data(), 4, seed=0, epochs=3, start=start, verbose=0,
        callbacks=[callbacks.Progress(stream)],
    )  # fmt: skip
    if terminal:
        assert f" {step}/30 [" in stream.getvalue()
        steps = [shown_step for shown_step, _, _ in shown(stream)]
        assert steps == [*range(step + 1, 31), 30]
    else:
        steps = re.findall(r"step (\d+) of 30", stream.getvalue())
        tenths = [n for n in range(3, 31, 3) if n > step]
        assert list(map(int, steps)) == tenths
        assert re.search("^epoch 3 of 3, step 30 of", stream.getvalue(), re.MULTILINE)


def test_progress_of_a_finished_training_says_nothing():
    gan = helpers.tiny_gan()
    start, stream = checkpoint.snapshot(gan, 10), io.StringIO()
    checkpoint.fit(
        gan, line_data(), 4, seed=0, epochs=1, start=start, verbose=0,
        callbacks=[callbacks.Progress(stream)],
    )  # fmt: skip
    assert stream.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_where_keras_does_not_know_the_steps(monkeypatch, terminal):
    """A stream of unknown length, by Keras's own `fit`: known after one epoch."""
    monkeypatch.setattr(progress, "time", Clock())
    data = tf.data.Dataset.from_tensor_slices(helpers.examples(12)).batch(4)
    data = data.filter(lambda batch: True)
    stream = Terminal() if terminal else io.StringIO()
    helpers.tiny_gan().fit(
        data, epochs=2, verbose=0, callbacks=[callbacks.Progress(stream)]
    )
    if terminal:
        assert [(step, total) for step, total, _ in shown(stream)][-1] == (6, 6)
    else:
        steps = re.findall(r"step (\d+) of 6", stream.getvalue())
        assert list(map(int, steps)) == [4, 5, 6]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_stream_that_breaks_does_not_end_the_training(terminal):
    class Broken(Terminal if terminal else io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    closed = Terminal() if terminal else io.StringIO()
    closed.close()
    for stream in (Broken(), closed):
        gan = helpers.tiny_gan()
        watch = [callbacks.Progress(stream)]
        gan.fit(helpers.examples(12), batch_size=4, verbose=0, callbacks=watch)
        assert gan.generator_steps == 3
        assert bars_can_be_drawn()


def bars_can_be_drawn():
    """Whether tqdm's lock is free, which a bar in another thread would wait for."""

    def take():
        with tqdm.tqdm.get_lock():
            pass

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(timeout=10)
    return not thread.is_alive()


def test_progress_writes_to_stderr_and_leaves_its_line_after_an_error(
    monkeypatch, capsys
):
    watch = callbacks.Progress()
    data = np.concatenate([helpers.examples(8), np.full((4, 4), np.nan, np.float32)])
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with pytest.raises(callbacks.TrainingDiverged):
        helpers.tiny_gan().fit(
            tf.data.Dataset.from_tensor_slices(data).batch(4),
            verbose=0,
            callbacks=[callbacks.NonFiniteGuard(), watch],
        )
    watch.close()
    watch.close()
    output = capsys.readouterr()
    assert output.out == "" and "1/3 [" in output.err and output.err.endswith("\n")
