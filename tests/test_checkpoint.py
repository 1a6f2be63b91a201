"""Checkpoints: what is in them, what survives, and that nothing changes by them."""

import contextlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import tempfile
import textwrap
import threading
import time

import keras
import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf

import keras_gan
from keras_gan import experiments, files, optimizers, runs
from keras_gan.runs import callbacks, checkpoint, provenance, training
from tests import helpers, nursery

# === The file ===

VALUES = [
    np.arange(6, dtype=np.float32).reshape(2, 3) - np.float32(1e-30),
    np.array(7, np.int64),
    np.array([0xFFFFFFFF, 0], np.uint32),
    np.array([1.5, -2], ml_dtypes.bfloat16),
    np.zeros((0, 4), np.float64),
    np.array([True, False]),
]


def written(path, values=VALUES, step=12, about=None):
    checkpoint.write(
        path, checkpoint.Checkpoint(step, values, about or {"a": "0" * 64})
    )
    return path


def test_what_is_read_is_what_was_written(tmp_path):
    found = checkpoint.read(written(tmp_path / "x.safetensors"))
    assert (found.step, found.about) == (12, {"a": "0" * 64})
    assert found.path == tmp_path / "x.safetensors"
    for value, expected in zip(found.values, VALUES, strict=True):
        assert (value.dtype, value.shape) == (expected.dtype, expected.shape)
        assert value.tobytes() == expected.tobytes()


def test_the_file_is_laid_out_as_safetensors(tmp_path):
    """By its specification: u64 length, JSON, then the values without a gap."""
    content = written(tmp_path / "x.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert (8 + length) % 8 == 0
    metadata = header.pop("__metadata__")
    assert all(isinstance(value, str) for value in metadata.values())
    begin = 0
    names = ["F32", "I64", "U32", "BF16", "F64", "BOOL"]
    for tensor, name, value in zip(header.values(), names, VALUES, strict=True):
        assert tensor["dtype"] == name and tensor["shape"] == list(value.shape)
        assert tensor["data_offsets"] == [begin, begin + value.nbytes]
        begin += value.nbytes
    assert len(content) == 8 + length + begin
    assert content[8 + length :].startswith(VALUES[0].tobytes())


def test_any_cut_and_any_flipped_bit_is_noticed(tmp_path):
    path = written(tmp_path / "x.safetensors")
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for length in (0, 7, 8, 100, *rng.integers(0, len(whole), 20), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(checkpoint.DamagedCheckpoint, match="Expected a whole"):
            checkpoint.read(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(checkpoint.DamagedCheckpoint, match="SHA-256"):
        checkpoint.read(path)
    for place in (0, 8, 40, 100, *rng.integers(0, len(whole), 40), len(whole) - 1):
        altered = bytearray(whole)
        altered[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(altered)
        with pytest.raises(checkpoint.DamagedCheckpoint) as error:
            checkpoint.read(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    path.write_bytes(whole)
    assert checkpoint.read(path).step == 12


def test_the_one_before_a_damaged_one_counts(tmp_path, capsys):
    assert checkpoint.newest(tmp_path / "nowhere") is None
    for step in (9, 10, 1_000_000_000):
        written(tmp_path / f"step_{step:09}.safetensors", step=step)
    (tmp_path / ".incoming-1-step_000000011.safetensors").write_bytes(b"half")
    (tmp_path / "step_x.safetensors").write_bytes(b"something else")
    assert checkpoint.newest(tmp_path).step == 1_000_000_000
    assert capsys.readouterr().err == ""
    for step, before in ((1_000_000_000, 10), (10, 9)):
        path = tmp_path / f"step_{step:09}.safetensors"
        os.truncate(path, path.stat().st_size // 2)
        assert checkpoint.newest(tmp_path).step == before
        (line, *_) = capsys.readouterr().err.splitlines()
        assert line.startswith("warning: Expected a whole checkpoint. Received: ")
        assert "step_1000000000.safetensors" in line
    os.truncate(tmp_path / "step_000000009.safetensors", 0)
    assert checkpoint.newest(tmp_path) is None
    assert len(capsys.readouterr().err.splitlines()) == 3


# === The writer ===


def test_the_writer_keeps_the_newest(tmp_path):
    writer = checkpoint.Writer(tmp_path / "new", keep=2)
    for step in (0, 5, 10, 15):
        writer.submit(checkpoint.Checkpoint(step, VALUES, {}))
    writer.wait()
    assert [path.name for path in checkpoint.paths(tmp_path / "new")] == [
        "step_000000015.safetensors",
        "step_000000010.safetensors",
    ]
    assert len(list((tmp_path / "new").iterdir())) == 2 and writer.step == 15
    # Not those of a training that came further, and what it has just written least.
    writer.submit(checkpoint.Checkpoint(3, VALUES, {}))
    writer.wait()
    kept = checkpoint.paths(writer.directory)
    assert [checkpoint.read(path).step for path in kept] == [15, 10, 3]
    for keep in (0, True, 1.5):
        with pytest.raises(ValueError, match="`keep` to be an int >= 1. Received"):
            checkpoint.Writer(tmp_path, keep=keep)


def test_a_write_that_fails_is_a_line_and_the_newest_stays(tmp_path, capfd):
    """A file that may not grow, as on a full disk; then a folder that is none."""
    writer = checkpoint.Writer(tmp_path, keep=1)
    writer.submit(checkpoint.Checkpoint(1, VALUES, {}))
    writer.wait()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = [np.ones(100_000, np.float32)]
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, limits[1]))
        writer.submit(checkpoint.Checkpoint(2, large, {}))
        writer.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("warning: ") and "step_000000002" in line
    assert "File too large" in line and "last checkpoint is that of step 1" in line
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000001.safetensors"]
    assert checkpoint.newest(tmp_path).step == 1
    writer.submit(checkpoint.Checkpoint(3, large, {}))
    writer.wait()
    assert checkpoint.newest(tmp_path).step == 3 == writer.step

    (tmp_path / "file").write_text("")
    writer = checkpoint.Writer(tmp_path / "file" / "folder")
    writer.submit(checkpoint.Checkpoint(4, VALUES, {}))
    writer.wait()
    (line,) = capfd.readouterr().err.splitlines()
    assert "Not a directory" in line and "its last checkpoint is none" in line


@contextlib.contextmanager
def only_what_modes_allow():
    """Root may write anywhere; as nobody, this process may not."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_folder_that_has_become_read_only_keeps_its_newest(capfd):
    """The training goes on, says what happened, and is saved once it can be again."""
    # pytest's own folders nobody but their owner can enter.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        folder = pathlib.Path(folder, "checkpoints")
        writer = checkpoint.Writer(folder, keep=1)
        watch = [callbacks.Checkpoints(writer, every_steps=2)]
        gan = helpers.tiny_gan()
        options = {"batch_size": 6, "seed": 5, "verbose": 0}
        checkpoint.fit(gan, line_data(), epochs=1, callbacks=watch, **options)
        assert checkpoint.newest(folder).step == 4
        before = checkpoint.paths(folder)[0].read_bytes()
        os.chmod(folder, 0o555)
        with only_what_modes_allow():
            start = checkpoint.newest(folder)
            watch = [callbacks.Checkpoints(writer, every_steps=2, start=start)]
            checkpoint.fit(
                gan, line_data(), epochs=2, start=start, callbacks=watch, **options
            )
            # TensorFlow may have had a word there too.
            lines = [
                line
                for line in capfd.readouterr().err.splitlines()
                if line.startswith("warning: ")
            ]
            assert gan.generator_steps == 8
            for line, step in zip(lines, (6, 8), strict=True):
                assert "Permission denied" in line
                assert f"step_{step:09}" in line
                assert "last checkpoint is that of step 4" in line
        assert [path.read_bytes() for path in folder.iterdir()] == [before]
        os.chmod(folder, 0o755)
        watch[0].save()
        assert checkpoint.newest(folder).step == 8


def test_a_write_does_not_hold_up_the_training(tmp_path, monkeypatch):
    """While one is being written, steps go on, and what is due waits its turn."""
    release, write = threading.Event(), checkpoint.write
    monkeypatch.setattr(checkpoint, "write", lambda *a: (release.wait(60), write(*a)))
    gan = helpers.tiny_gan()
    writer = checkpoint.Writer(tmp_path, keep=9)
    steps = []

    class Release(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            steps.append(batch)
            if batch == 6:
                assert writer.busy and checkpoint.paths(tmp_path) == []
                release.set()
                writer.wait()

    watch = [Release(), callbacks.Checkpoints(writer, every_steps=1)]
    data = keras_gan.datasets.Dataset(helpers.examples(40), value_range=None)
    checkpoint.fit(gan, data, 4, seed=0, epochs=1, callbacks=watch, verbose=0)
    saved = [checkpoint.read(path).step for path in checkpoint.paths(tmp_path)]
    assert steps == list(range(10))
    # The start, held up; after its release each step that finds no write going on.
    assert saved[-1] == 0 and saved[0] == 10 and saved[-2] >= 7


# === Exactness, step by step ===


def line_data(count=23):
    return keras_gan.datasets.Dataset(helpers.examples(count), value_range=None)


def sgd():
    """The recipes' schedules, fast enough to matter within ten steps."""
    return optimizers.ScheduledSGD(
        optimizers.InverseExponentialDecay(0.1, divisor=1.1),
        momentum=optimizers.LinearRamp(0.5, 0.9, start_step=2, final_step=9),
    )


KINDS = {
    "scheduled sgd": lambda: {
        "generator_optimizer": sgd(), "discriminator_optimizer": sgd(),
    },
    "adam with averages": lambda: {
        "generator_optimizer": keras.optimizers.Adam(0.01, beta_1=0.5),
        "discriminator_optimizer": keras.optimizers.Adam(0.01, beta_1=0.5),
        "ema_decay": 0.9,
    },
    # Scales that double every three steps: the raw gradients stand for scaled ones.
    "loss scales": lambda: {
        f"{network}_optimizer": keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(4.0), initial_scale=2.0, dynamic_growth_steps=3
        )
        for network in ("generator", "discriminator")
    },
    "three steps at once": lambda: {
        "generator_optimizer": sgd(), "discriminator_optimizer": sgd(),
        "steps_per_execution": 3,
    },
    "two steps at once": lambda: {
        "generator_optimizer": sgd(), "discriminator_optimizer": sgd(),
        "steps_per_execution": 2,
    },
}  # fmt: skip


class Diary(keras.callbacks.Callback):
    """What callbacks get to see: steps, and the logs at each epoch's end."""

    def __init__(self):
        super().__init__()
        self.steps, self.epochs, self.calls = [], {}, []

    def on_train_begin(self, logs=None):
        self.calls.append("begin")

    def on_train_end(self, logs=None):
        self.calls.append("end")

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append((self._epoch, batch))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs[epoch] = (int(self.model.generator_optimizer.iterations), logs)


def assert_same_state(one, other):
    assert len(one) == len(other)
    for number, (a, b) in enumerate(zip(one, other, strict=True)):
        assert a.dtype == b.dtype and a.tobytes() == b.tobytes(), number


@pytest.mark.parametrize("kind", KINDS)
def test_n_and_m_steps_are_n_plus_m_steps(kind, tmp_path):
    """From every step of two epochs of four, with dropout, k = 2 and short batches.

    The model that goes on has another seed and other weights; nothing of it may stay.
    It must not be traced again for any of it.
    """
    options = {"batch_size": 6, "seed": 5, "epochs": 2, "verbose": 0}

    def gan(seed):
        return helpers.tiny_gan(
            seed=seed, dropout=0.3, discriminator_steps=2, **KINDS[kind]()
        )

    whole, diary = gan(0), Diary()
    writer = checkpoint.Writer(tmp_path, keep=100)
    wait = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: writer.wait()
    )
    watch = [diary, wait, callbacks.Checkpoints(writer, every_steps=1)]
    checkpoint.fit(whole, line_data(), callbacks=watch, **options)
    final = checkpoint.snapshot(whole, 8)
    starts = [checkpoint.read(path) for path in checkpoint.paths(tmp_path)]
    together = KINDS[kind]().get("steps_per_execution", 1)
    # Three do not divide the four of an epoch, whose last execution is of one.
    saved = [8, 7, 4, 3, 0] if together == 3 else list(range(8, -1, -together))
    assert [start.step for start in starts] == saved

    again, traces = gan(1), []
    step = again.train_step
    again.train_step = lambda data: (traces.append(1), step(data))[1]
    for start in starts:
        checkpoint.restore(again, start)
        assert_same_state(checkpoint.snapshot(again, 0).values, start.values)
        watch = Diary()
        checkpoint.fit(again, line_data(), start=start, callbacks=[watch], **options)
        assert_same_state(checkpoint.snapshot(again, 8).values, final.values)
        epoch, batch = divmod(start.step, 4)
        assert watch.epochs == {e: diary.epochs[e] for e in range(epoch, 2)}
        assert watch.steps == [x for x in diary.steps if x >= (epoch, batch)]
        assert watch.calls == ["begin", "end"]
        if start.step == saved[1]:  # the first that trains at all
            traced = len(traces)
    assert 0 < len(traces) <= traced + (together == 3)


def test_several_steps_at_once_are_this_trainings_matter(tmp_path):
    """The model, also as it is saved meanwhile, says what it was compiled with."""
    ends = []
    for together in (None, 2, 3):
        gan, watch = helpers.tiny_gan(dropout=0.3), Diary()
        save = callbacks.SaveModel(tmp_path / "gan.keras")
        options = {"batch_size": 6, "seed": 5, "epochs": 2, "verbose": 0}
        checkpoint.fit(
            gan, line_data(), callbacks=[watch, save], steps_per_execution=together,
            **options,
        )  # fmt: skip
        loaded = keras.saving.load_model(tmp_path / "gan.keras")
        assert gan.steps_per_execution == loaded.steps_per_execution == 1
        # A later fit is not held to it.
        gan.fit(line_data().batches(6, seed=0, endless=True), steps_per_epoch=5)
        assert gan.generator_steps == 13
        ends.append((watch.epochs, checkpoint.snapshot(gan, 13).values))
        calls = {None: 8, 2: 4, 3: 4}
        assert len(watch.steps) == calls[together]
    for epochs, values in ends[1:]:
        assert epochs == ends[0][0]
        assert_same_state(values, ends[0][1])


def test_the_end_of_an_epoch_is_saved_after_what_the_callbacks_do_there(tmp_path):
    """A kill before they are done must go back to before the epoch's end."""
    writer, seen = checkpoint.Writer(tmp_path, keep=9), []

    def note(*_, **__):
        writer.wait()
        seen.append([checkpoint.read(p).step for p in checkpoint.paths(tmp_path)][0])

    before = keras.callbacks.LambdaCallback(
        on_train_batch_end=note, on_epoch_end=note, on_train_end=note
    )
    watch = [before, callbacks.Checkpoints(writer, every_steps=1)]
    checkpoint.fit(
        helpers.tiny_gan(), line_data(), 12, 0, epochs=2, callbacks=watch, verbose=0
    )
    # Two steps and the end of each epoch, then that of all.
    assert seen == [0, 1, 1, 2, 3, 3, 3]
    assert checkpoint.newest(tmp_path).step == 4


def test_every_part_of_the_state_matters(tmp_path):
    """A variable that is left out of the restoring shows: the test above can fail."""
    gan = helpers.tiny_gan(dropout=0.3, **KINDS["adam with averages"]())
    options = {"batch_size": 6, "seed": 5, "verbose": 0}
    checkpoint.fit(gan, line_data(), epochs=1, **options)
    middle = checkpoint.snapshot(gan, 4)
    checkpoint.fit(gan, line_data(), epochs=2, start=middle, **options)
    final = checkpoint.snapshot(gan, 8)
    listed = checkpoint.variables(gan)
    parts = [
        *gan.generator.variables, *gan.discriminator.variables,
        *gan.averaged_generator.variables, gan._average_steps,
        gan._training_seeds.state, gan._sampling_seeds.state,
        *gan.generator_optimizer.variables, *gan.discriminator_optimizer.variables,
        *(variable for metric in gan.metrics for variable in metric.variables),
    ]  # fmt: skip
    assert len(listed) == len({id(v) for v in listed}) == len({id(v) for v in parts})
    assert {id(v) for v in listed} == {id(v) for v in parts}
    assert sum(v.name == "seed_generator_state" for v in listed) == 3
    logs = {id(v) for metric in gan.metrics for v in metric.variables}
    sampling = {id(gan._sampling_seeds.state)}
    unused = {
        id(optimizer._learning_rate) for optimizer in
        (gan.generator_optimizer, gan.discriminator_optimizer)
    }  # fmt: skip
    for number, variable in enumerate(listed):
        if id(variable) in logs | sampling | unused:
            continue  # at an epoch's start, or without a training's reading them
        checkpoint.restore(gan, middle)
        kept = gan.metrics and variable.numpy()
        variable.assign(kept + (1 if kept.dtype.kind in "iu" else np.float32(0.125)))
        checkpoint.fit(gan, line_data(), epochs=2, start=middle, **options)
        changed = checkpoint.snapshot(gan, 8).values
        assert any(
            a.tobytes() != b.tobytes()
            for a, b in zip(changed, final.values, strict=True)
        ), (number, variable.path)


def test_under_a_strategy_the_data_are_those_of_the_step(tmp_path):
    """Keras then takes a batch before the first epoch, to build by."""
    options = {"batch_size": 6, "seed": 5, "epochs": 2, "verbose": 0}
    states = []
    for strategy in (None, tf.distribute.OneDeviceStrategy("CPU:0")):
        with strategy.scope() if strategy else tf.device("CPU:0"):
            gan = helpers.tiny_gan(dropout=0.3, discriminator_steps=2)
        writer = checkpoint.Writer(tmp_path / str(strategy is None), keep=100)
        wait = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs, writer=writer: writer.wait()
        )
        watch = [wait, callbacks.Checkpoints(writer, every_steps=1)]
        checkpoint.fit(gan, line_data(), callbacks=watch, **options)
        states.append(checkpoint.snapshot(gan, 8).values)
        start = checkpoint.read(writer.directory / "step_000000003.safetensors")
        checkpoint.restore(gan, start)
        checkpoint.fit(gan, line_data(), start=start, **options)
        states.append(checkpoint.snapshot(gan, 8).values)
    for state in states[1:]:
        assert_same_state(states[0], state)


def test_a_training_that_a_callback_ends_in_its_first_epoch_ends_once():
    gan = helpers.tiny_gan()
    options = {"batch_size": 6, "seed": 5, "epochs": 3, "verbose": 0}
    diary = Diary()
    diary.on_train_batch_end = lambda batch, logs: setattr(gan, "stop_training", True)
    start = checkpoint.snapshot(gan, 2)
    checkpoint.fit(gan, line_data(), start=start, callbacks=[diary], **options)
    assert diary.calls == ["begin", "end"] and list(diary.epochs) == [0]


def test_the_guides_example_goes_on(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    guide = (root / "docs" / "guide.md").read_text()
    (code,) = re.findall(
        r"(    from keras_gan import callbacks, c.+?\n)\n\(", guide, re.S
    )
    names = {"gan": helpers.tiny_gan(dropout=0.3), "data": line_data(401)}
    for epochs, start in ((3, None), (5, 9), (5, 15)):
        exec(textwrap.dedent(code).replace("epochs=50", f"epochs={epochs}"), names)
        found = names["start"]
        assert (found.step if found else None) == start
    assert checkpoint.newest("checkpoints").step == 15
    whole = helpers.tiny_gan(dropout=0.3)
    checkpoint.fit(whole, line_data(401), 200, seed=0, epochs=5, verbose=0)
    assert_same_state(
        checkpoint.snapshot(whole, 15).values, checkpoint.newest("checkpoints").values
    )


def test_another_model_is_refused_and_left_alone():
    gan = helpers.tiny_gan()
    before = checkpoint.snapshot(gan, 0)
    adam = helpers.tiny_gan(generator_optimizer="adam")
    for other in (adam, helpers.tiny_gan(batch_normalization=True)):
        with pytest.raises(
            ValueError, match=r"same networks and optimizers, whose variable \d+.* is "
        ) as error:
            checkpoint.restore(gan, checkpoint.snapshot(other, 0))
        assert "\n" not in str(error.value) and "Received:" in str(error.value)
    values = [np.float64(value) for value in before.values]
    with pytest.raises(ValueError, match=r"is int64 \(2,\)\. Received: float64"):
        checkpoint.restore(gan, checkpoint.Checkpoint(0, values, {}))
    assert_same_state(checkpoint.snapshot(gan, 0).values, before.values)


# === Signals, locks ===


@pytest.fixture
def interruptible():
    """A shell starts what runs in its background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)],
)
def test_a_signal_saves_and_a_second_does_not_cut_it_short(
    number, error, tmp_path, monkeypatch
):
    gan = helpers.tiny_gan()
    write = checkpoint.write

    def slow_write(path, saved):
        if saved.step == 3:
            for _ in range(3):
                os.kill(os.getpid(), number)
                time.sleep(0.02)
        write(path, saved)

    monkeypatch.setattr(checkpoint, "write", slow_write)
    monkeypatch.setattr(checkpoint.StopRequest, "PATIENCE", 0.0)
    before = signal.getsignal(number)
    kill = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: (
            os.kill(os.getpid(), number) if batch == 2 else None
        )
    )
    with checkpoint.StopRequest() as request, pytest.raises(error) as caught:
        watch = callbacks.Checkpoints(checkpoint.Writer(tmp_path), request=request)
        checkpoint.fit(
            gan, line_data(), 6, seed=0, epochs=5, callbacks=[kill, watch], verbose=0
        )
    assert signal.getsignal(number) is before
    assert error is KeyboardInterrupt or caught.value.code == 143
    saved = checkpoint.newest(tmp_path)
    assert saved.step == 3
    assert_same_state(saved.values, checkpoint.snapshot(gan, 3).values)


@pytest.mark.usefixtures("interruptible")
def test_an_impatient_second_interrupt_ends_what_hangs(monkeypatch):
    monkeypatch.setattr(checkpoint.StopRequest, "PATIENCE", 0.0)
    with checkpoint.StopRequest() as request:
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    seen = []
    thread = threading.Thread(
        target=lambda: seen.append(checkpoint.StopRequest().__enter__()._handlers)
    )
    thread.start()
    thread.join()
    assert seen == [{}]


def test_one_lock_one_process(tmp_path):
    lock = tmp_path / ".lock"
    lock.write_text("999999\n")  # of a process that was killed
    with files.locked(lock, "a run"):
        with pytest.raises(ValueError) as error, files.locked(lock, "a run"):
            pass
        assert str(error.value) == (
            "Expected a run that no other process is at work in. Received: "
            f"{tmp_path}, where process {os.getpid()} is"
        )
    assert not lock.exists()
    with files.locked(lock), pytest.raises(ValueError, match="Expected something"):
        files.locked(lock).__enter__()


def test_a_spoilt_weight_is_not_saved(tmp_path):
    gan = helpers.tiny_gan()
    writer = checkpoint.Writer(tmp_path)
    callback = callbacks.Checkpoints(writer)
    callback.set_model(gan)
    callback.save()
    gan.generator.trainable_variables[0].assign(np.full((3, 5), np.nan, np.float32))
    callback.step = 1
    with pytest.raises(callbacks.TrainingDiverged, match="the weights .*kernel"):
        callback.save()
    assert checkpoint.newest(tmp_path).step == 0


def test_intervals_are_checked(tmp_path):
    for minutes, steps in ((-1, 0), (float("nan"), 0), (1, -1), (1, 2.0), (1, True)):
        with pytest.raises(ValueError, match=r"at least 0 minutes and 0 steps .*Rec"):
            runs.CheckpointPlan(minutes, steps)
    with pytest.raises(ValueError, match="`resume` to be one of .*Received: 'yes'"):
        runs.train(runs.Run(tmp_path / "run", experiments.PRESETS["digits"]), "yes")
    assert list(tmp_path.iterdir()) == []


# === Whole runs ===

# Momentum and rates that move, dropout, k = 2; six steps an epoch, and checkpoints in
# the middle of epochs. A short last epoch of the pictures.
SGD_RUN = (
    "--preset=digits", "--set=optimizer=sgd", "--discriminator_steps=2",
    "--set=learning_rate_divisor=1.01", "--set=momentum_final_epoch=9",
    "--set=sample_epochs=5", "--checkpoint_steps=5",
)  # fmt: skip
# Averaged weights, evaluations, the best model.
ADAM_RUN = (
    "--preset=ring8", "--epochs=7", "--batch_size=2500", "--set=ema_decay=0.99",
    "--set=evaluation_epochs=2", "--set=keep_best=reverse_kl_divergence",
    "--set=sample_epochs=4", "--checkpoint_steps=9",
)  # fmt: skip


@pytest.fixture(scope="module")
def forks(root, tmp_path_factory):
    log = tmp_path_factory.mktemp("nursery") / "log.txt"
    with nursery.Nursery(root, log) as forks:
        yield forks


def started(forks, workdir, *flags):
    """A training in a process of its own."""
    output = workdir.with_name(f"{workdir.name}.{time.monotonic_ns()}.txt")
    return forks.start(output, "scripts/train.py", f"--workdir={workdir}", *flags)


def finished(forks, workdir, *flags):
    child = started(forks, workdir, *flags)
    assert child.wait() == 0, child.text()
    return child.text()


def newest_step(workdir):
    found = checkpoint.paths(workdir / "checkpoints")
    return int(found[0].stem.removeprefix("step_")) if found else -1


def wait_for_step(child, workdir, step, rng):
    nursery.wait_until(lambda: newest_step(workdir) >= step, child)
    time.sleep(rng.uniform(0.0, 0.2))


def lines(path):
    """The lines of JSON without the time they took."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def events(workdir):
    """(step, tag, value) of every event of a run, sorted."""
    found = []
    for path in (workdir / "events").iterdir():
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            for value in event.summary.value:
                found.append((event.step, value.tag, value.tensor.SerializeToString()))
    return sorted(found)


def assert_same_runs(one, other):
    """To the last bit: state, logs, scores, pictures and events."""
    states = [checkpoint.newest(run / "checkpoints") for run in (one, other)]
    assert states[0].step == states[1].step
    assert_same_state(states[0].values, states[1].values)
    names = sorted(path.name for path in one.iterdir())
    assert names == sorted(path.name for path in other.iterdir())
    assert not {name for name in names if name.startswith(".")}
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        if name in names:
            assert lines(one / name) == lines(other / name)
    pictures = sorted(path.name for path in (one / "samples").iterdir())
    assert pictures == sorted(path.name for path in (other / "samples").iterdir())
    for name in pictures:
        assert (one / "samples" / name).read_bytes() == (
            other / "samples" / name
        ).read_bytes()
    assert events(one) == events(other)
    for name in ("gan.keras", "best.keras"):
        if name in names:
            models = [runs.load_gan(run / name) for run in (one, other)]
            weights = [[v.numpy() for v in model.weights] for model in models]
            layers = len(models[0].trainable_variables)
            assert len(weights[0]) >= layers > 0
            for a, b in zip(*weights, strict=True):
                if a.dtype.kind == "f":  # Keras does not save the random generators
                    np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def sgd_runs(forks, tmp_path_factory):
    """(uninterrupted, three times killed and continued, what the latter printed)."""
    folder = tmp_path_factory.mktemp("sgd")
    whole, broken = folder / "whole", folder / "broken"
    rng = random.Random(0)
    texts = []
    finished(forks, whole, *SGD_RUN, "--epochs=10")
    targets = sorted(rng.sample(range(1, 45), 3))
    for number, target in enumerate(targets):
        child = started(forks, broken, *SGD_RUN, "--epochs=9", "--resume=auto")
        wait_for_step(child, broken, target, rng)
        if number == 2:
            # A second one in the same directory, and then no kill but a request.
            second = started(forks, broken, *SGD_RUN, "--epochs=9", "--resume=auto")
            texts.append((second.wait(), second.text(), child.process_id))
        child.kill(signal.SIGTERM if number == 2 else signal.SIGKILL)
        code = child.wait()
        texts.append((code, child.text(), newest_step(broken)))
        if number == 0 and newest_step(broken) > 0:
            path = checkpoint.paths(broken / "checkpoints")[0]
            os.truncate(path, path.stat().st_size - 1000)
    texts.append(finished(forks, broken, *SGD_RUN, "--epochs=10", "--resume=auto"))
    return whole, broken, texts


def test_a_killed_run_ends_as_if_it_had_not_been(sgd_runs):
    whole, broken, texts = sgd_runs
    assert_same_runs(whole, broken)
    assert len(lines(broken / "metrics.jsonl")) == 10
    assert checkpoint.newest(broken / "checkpoints").step == 60
    config = runs.Run.open(broken).config
    assert len(config["resumed"]) == 3 and config["experiment"]["train"]["epochs"] == 10
    killed, after_damage = texts[0], texts[1]
    assert killed[0] == -9 and after_damage[0] == -9
    if killed[2] > 0:
        assert "warning: Expected a whole checkpoint. Received: " in after_damage[1]
    assert "Resuming after step" in after_damage[1]


def test_a_second_run_in_a_directory_is_refused(sgd_runs):
    code, text, process_id = sgd_runs[2][2]
    assert code == 1 and "Traceback" not in text
    (line,) = (line for line in text.splitlines() if line.startswith("error"))
    assert line.startswith("error: Expected a run that no other process is at work in.")
    assert line.endswith(f"{sgd_runs[1]}, where process {process_id} is")


def test_sigterm_saves_and_says_how_to_go_on(sgd_runs):
    code, text, step = sgd_runs[2][3]
    assert code == 143 and "Traceback" not in text
    assert f"Stopped at step {step}." in text
    (line,) = (line for line in text.splitlines() if line.startswith("To resume: "))
    for words in (
        "scripts/train.py --preset=digits", f"--workdir={sgd_runs[1]}", "--resume=auto",
        "--set=train.epochs=9", "--set=generator.optimizer=sgd",
        "--set=discriminator.learning_rate_divisor=1.01",
    ):  # fmt: skip
        assert words in line
    assert f"Resuming after step {step}, from" in sgd_runs[2][4]


def test_adam_averages_and_scores_go_on_too(forks, tmp_path):
    rng = random.Random(1)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    finished(forks, whole, *ADAM_RUN)
    child = started(forks, broken, *ADAM_RUN, "--resume=auto")
    wait_for_step(child, broken, rng.randrange(1, 60), rng)
    child.kill()
    assert child.wait() == -9
    # Half a line, and lines and pictures of after the checkpoint.
    ahead = {"epoch": 99, "step": 9900, "reverse_kl_divergence": 0.0}
    for name in ("metrics.jsonl", "evaluations.jsonl"):
        with open(broken / name, "a") as file:
            file.write(json.dumps(ahead) + '\n{"epoch": 1, "st')
    (broken / "samples" / "epoch_00099.png").write_bytes(b"later")
    (broken / ".incoming-1-gan.keras").write_bytes(b"half")
    child = started(forks, broken, *ADAM_RUN, "--resume=auto")
    nursery.wait_until(lambda: "Resuming after step" in child.text(), child)
    wait_for_step(child, broken, newest_step(broken) + 9, rng)
    child.kill(signal.SIGINT)
    time.sleep(0.02)
    child.kill(signal.SIGINT)
    code = child.wait()
    assert code == 130, child.text()
    step = int(child.text().split("Stopped at step ")[1].split(".")[0])
    assert newest_step(broken) == step > 0
    finished(forks, broken, *ADAM_RUN, "--resume=auto")
    assert_same_runs(whole, broken)


def test_what_can_not_be_gone_on_with_is_named(sgd_runs, tmp_path, capsys):
    """Before any work, and without a change to what is there."""
    run = tmp_path / "run"
    shutil.copytree(sgd_runs[0], run)
    settings = dict(
        flag.removeprefix("--").removeprefix("set=").split("=", 1)
        for flag in SGD_RUN
        if not flag.startswith(("--preset", "--checkpoint"))
    )

    def refused(message, resume="auto", **changes):
        preset = experiments.get_preset("digits", {**settings, "epochs": 10, **changes})
        before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}
        with pytest.raises(ValueError, match=message) as error:
            runs.train(runs.Run(run, preset), resume)
        assert "\n" not in str(error.value)
        after = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}
        assert before == after

    refused(
        r"Expected train.batch_size=100, train.seed=0, as .*run has it .*Received: "
        "train.batch_size=50, train.seed=1. Choose another directory",
        seed=1,
        batch_size=50,
    )
    refused(
        r"train.epochs=10, .*only epochs may grow.*Received: train.epochs=9", epochs=9
    )
    refused("Received: generator.optimizer='adam'", optimizer="adam")
    refused("holds a run already .config.json.*Pass resume='auto'", resume="never")
    # Gone on with as it is, it stays as it is.
    preset = experiments.get_preset("digits", {**settings, "epochs": 10})
    runs.train(runs.Run(run, preset), resume="auto")
    assert_same_runs(sgd_runs[0], run)
    assert runs.Run.open(run).config["resumed"][0]["step"] == 60
    for path in checkpoint.paths(run / "checkpoints"):
        os.truncate(path, 1000)
    refused("a run already .config.json.*no valid checkpoint to resume.*overwrite=True")
    assert capsys.readouterr().err.count("warning: Expected a whole checkpoint") == 2


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_again(tmp_path):
    preset = experiments.get_preset("digits")
    path = tmp_path / "run"

    def start(resume, overwrite=False):
        return training.find_start(runs.Run(path, preset), resume, overwrite)

    runs.Run.create(path, preset)
    for resume in ("auto", "never"):  # nothing was trained in it
        assert start(resume) is None
    for name in ("samples", "checkpoints", "events"):
        (path / name).mkdir()
    (path / "moments.npz").write_text("")  # recorded before the first step
    assert start("auto") is None
    with pytest.raises(ValueError, match="config.json, moments.npz, samples, events, "):
        start("never")
    (path / "metrics.jsonl").write_text("")  # it has trained: worth keeping
    with pytest.raises(ValueError, match="metrics.jsonl.*no valid checkpoint to resum"):
        start("auto")
    assert start("auto", overwrite=True) is start("never", overwrite=True) is None


def test_other_data_under_the_same_name_are_refused(sgd_runs):
    found = checkpoint.newest(sgd_runs[0] / "checkpoints")
    data = keras_gan.datasets.load("digits", "train")
    described = provenance.describe_data(data)
    run = runs.Run.open(sgd_runs[0])
    training._check_same("data", found, {"data": described}, run)
    other = provenance.describe_data(data.subset(np.arange(len(data))[::-1], "train"))
    with pytest.raises(ValueError, match=r"began with: content '\w+'\. Received: con"):
        training._check_same("data", found, {"data": other}, run)
