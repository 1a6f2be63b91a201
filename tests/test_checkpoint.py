"""Checkpoints: what is in them, what survives, and that nothing changes by them."""

import contextlib
import errno
import itertools
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import tempfile
import threading
import time

import keras
import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import tensorflow as tf

import keras_gan
from keras_gan import experiments, optimizers, runs
from keras_gan.runs import callbacks, checkpoint, interrupts, provenance, starting
from keras_gan.runs.checkpoint import storage
from tests import helpers, nursery

# === The file ===

STATE = {
    "generator/dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3) - 1e-30,
    "generator_optimizer/adam/iteration": np.array(7, np.int64),
    "gan/seed": np.array([0xFFFFFFFF, 0], np.uint32),
    "a": np.array([1.5, -2], ml_dtypes.bfloat16),
    "b": np.zeros((0, 4), np.float64),
    "B": np.array([True, False]),
}


def written(path, state=STATE, step=12, metadata=None):
    checkpoint.write(
        path, checkpoint.Checkpoint(step, state, metadata or {"a": "0" * 64})
    )
    return path


def test_what_is_read_is_what_was_written(tmp_path):
    found = checkpoint.read(written(tmp_path / "x.safetensors"))
    assert (found.step, found.metadata) == (12, {"a": "0" * 64})
    assert found.path == tmp_path / "x.safetensors"
    # In this order too, which is not that of the tensors in the file.
    assert list(found.state) == list(STATE)
    for name, expected in STATE.items():
        value = found.state[name]
        assert (value.dtype, value.shape) == (expected.dtype, expected.shape)
        assert value.tobytes() == expected.tobytes()
    # What JSON changes comes back as JSON has it, with a digest that fits.
    metadata = {"pair": (1, 2.5), "by number": {10: "ten", 2: None}, "infinite": np.inf}
    found = checkpoint.read(written(tmp_path / "y.safetensors", metadata=metadata))
    metadata = {
        "pair": [1, 2.5],
        "by number": {"10": "ten", "2": None},
        "infinite": np.inf,
    }
    assert found.metadata == metadata


def test_any_reader_of_safetensors_opens_the_file(tmp_path):
    path = written(tmp_path / "x.safetensors")
    with safetensors.safe_open(path, "np") as file:
        assert set(file.keys()) == set(STATE)
        for name in set(STATE) - {"a"}:  # NumPy's reader lacks bfloat16
            np.testing.assert_array_equal(file.get_tensor(name), STATE[name])
        entry = json.loads(file.metadata()["checkpoint"])
    assert (entry["format"], entry["step"]) == (2, 12)
    assert entry["metadata"] == {"a": "0" * 64}
    assert entry["names"] == list(STATE) and re.fullmatch(
        "[0-9a-f]{64}", entry["sha256"]
    )


def test_the_file_is_laid_out_as_safetensors(tmp_path):
    """By its specification: u64 length, JSON, then the values without a gap."""
    content = written(tmp_path / "x.safetensors").read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert (8 + length) % 8 == 0
    metadata = header.pop("__metadata__")
    assert all(isinstance(value, str) for value in metadata.values())
    kinds = ["F32", "I64", "U32", "BF16", "F64", "BOOL"]
    spans = []
    for (name, value), kind in zip(STATE.items(), kinds, strict=True):
        tensor = header.pop(name)
        assert tensor["dtype"] == kind and tensor["shape"] == list(value.shape)
        begin, end = tensor["data_offsets"]
        assert content[8 + length :][begin:end] == value.tobytes()
        spans.append((begin, end))
    spans.sort()
    assert not header and spans[0][0] == 0 and spans[-1][1] == len(content) - 8 - length
    assert all(one[1] == other[0] for one, other in itertools.pairwise(spans))
    # The same content makes the same file, and what is not contiguous its own values.
    twice = {**STATE, "b": np.asfortranarray(np.arange(6.0).reshape(2, 3))}
    contents = [
        written(tmp_path / name, twice).read_bytes() for name in ("y.st", "z.st")
    ]
    assert contents[0] == contents[1] != content
    found = checkpoint.read(tmp_path / "y.st").state["b"]
    np.testing.assert_array_equal(found, np.arange(6.0).reshape(2, 3))


def test_any_cut_and_any_flipped_bit_is_noticed(tmp_path):
    path = written(tmp_path / "x.safetensors")
    intact = path.read_bytes()
    rng = np.random.default_rng(0)
    lengths = (0, 7, 8, 100, *rng.integers(0, len(intact), 20), len(intact) - 1)
    for length in lengths:
        path.write_bytes(intact[:length])
        with pytest.raises(checkpoint.DamagedCheckpoint, match="is damaged: "):
            checkpoint.read(path)
    path.write_bytes(intact + b"\0")
    with pytest.raises(checkpoint.DamagedCheckpoint):
        checkpoint.read(path)
    # The last value's last bit: the library sees nothing there.
    path.write_bytes(intact[:-1] + bytes([intact[-1] ^ 1]))
    with pytest.raises(checkpoint.DamagedCheckpoint, match="SHA-256"):
        checkpoint.read(path)
    # Every place, and so every digit of the step, name and brace of the header.
    for place in range(len(intact)):
        altered = bytearray(intact)
        altered[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(altered)
        with pytest.raises(checkpoint.DamagedCheckpoint) as error:
            checkpoint.read(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)
    path.write_bytes(intact)
    assert checkpoint.read(path).step == 12


@pytest.mark.parametrize(
    "entry", ['{"format": 2}', "[]", "7", "", "[" * 100_000, '{"names": ["x", "x"]}']
)
def test_a_file_with_other_metadata_is_damaged(tmp_path, entry):
    path = tmp_path / "x.safetensors"
    safetensors.numpy.save_file({"x": np.zeros(3)}, path, {"checkpoint": entry})
    with pytest.raises(checkpoint.DamagedCheckpoint, match="x.safetensors is damaged"):
        checkpoint.read(path)
    safetensors.numpy.save_file({"x": np.zeros(3)}, path, {"format": "pt"})
    with pytest.raises(checkpoint.DamagedCheckpoint, match="x.safetensors is damaged"):
        checkpoint.read(path)


def test_the_one_before_a_damaged_one_counts(tmp_path, caplog):
    assert checkpoint.newest(tmp_path / "nowhere") is None
    for step in (9, 10, 1_000_000_000):
        written(tmp_path / f"step_{step:09}.safetensors", step=step)
    (tmp_path / ".incoming-1-step_000000011.safetensors").write_bytes(b"half")
    (tmp_path / "step_x.safetensors").write_bytes(b"something else")
    assert checkpoint.newest(tmp_path).step == 1_000_000_000
    assert helpers.warned(caplog) == []
    for step, before in ((1_000_000_000, 10), (10, 9)):
        path = tmp_path / f"step_{step:09}.safetensors"
        os.truncate(path, path.stat().st_size // 2)
        caplog.clear()
        assert checkpoint.newest(tmp_path).step == before
        (line, *_) = helpers.warned(caplog)
        assert re.search(r"step_1000000000.safetensors is damaged: .*before it", line)
        assert "\n" not in line
    os.truncate(tmp_path / "step_000000009.safetensors", 0)
    caplog.clear()
    assert checkpoint.newest(tmp_path) is None
    assert len(helpers.warned(caplog)) == 3


def first_version(path, step=12):
    """A file as keras_gan 0.1 wrote it."""
    value = np.arange(3, dtype=np.float32)
    header = {
        "__metadata__": {
            "sha256": "0" * 64,
            "format": "keras_gan checkpoint 1",
            "step": str(step),
            "metadata": "{}",
        },
        "00000": {"dtype": "F32", "shape": [3], "data_offsets": [0, value.nbytes]},
    }
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    path.write_bytes(len(header).to_bytes(8, "little") + header + value.tobytes())


def test_a_checkpoint_of_another_version_is_refused_and_stays(tmp_path, caplog):
    written(tmp_path / "step_000000009.safetensors", step=9)
    path = tmp_path / "step_000000012.safetensors"
    first_version(path)
    with pytest.raises(checkpoint.UnsupportedCheckpoint) as error:
        checkpoint.newest(tmp_path)
    assert str(error.value) == (
        f"The checkpoint {path} was written by keras_gan 0.1. Finish its training with "
        "that version, or start a new one from its gan.keras."
    )
    assert not isinstance(error.value, checkpoint.DamagedCheckpoint)
    # A newer one that is valid is the newest, whatever lies before it.
    written(tmp_path / "step_000000013.safetensors", step=13)
    assert checkpoint.newest(tmp_path).step == 13
    assert helpers.warned(caplog) == [] and path.exists()


def test_a_later_format_is_refused_by_its_number(tmp_path, monkeypatch):
    path = tmp_path / "step_000000012.safetensors"
    with monkeypatch.context() as later:
        later.setattr(storage, "_FORMAT", 3)
        written(path)
    with pytest.raises(
        checkpoint.UnsupportedCheckpoint, match="has format 3.*reads format 2"
    ):
        checkpoint.newest(tmp_path)


def test_what_cannot_be_read_is_neither_damaged_nor_passed_over(monkeypatch, caplog):
    """Permissions, and a disk's error: the caller must not take an older one."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        folder = pathlib.Path(folder, "checkpoints")
        for step in (9, 10):
            written(folder / f"step_{step:09}.safetensors", step=step)
        newest = folder / "step_000000010.safetensors"
        os.chmod(newest, 0o000)
        with only_what_modes_allow(), pytest.raises(PermissionError) as error:
            checkpoint.newest(folder)
        assert error.value.strerror.startswith(
            f"The checkpoint {newest} cannot be read (Permission denied). "
        )
        assert "\n" not in str(error.value)
        os.chmod(newest, 0o644)
        os.chmod(folder, 0o000)
        with only_what_modes_allow(), pytest.raises(PermissionError):
            checkpoint.newest(folder)
        os.chmod(folder, 0o755)
        assert checkpoint.newest(folder).step == 10

        read_bytes = pathlib.Path.read_bytes

        def broken(path):
            if path == newest:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            return read_bytes(path)

        monkeypatch.setattr(pathlib.Path, "read_bytes", broken)
        with pytest.raises(
            OSError, match="cannot be read .Input/output error"
        ) as error:
            checkpoint.newest(folder)
        assert error.value.errno == errno.EIO and len(checkpoint.paths(folder)) == 2
    assert helpers.warned(caplog) == []


# === The writer ===


def test_the_writer_keeps_the_newest(tmp_path):
    writer = checkpoint.Writer(tmp_path / "new", keep=2)
    for step in (0, 5, 10, 15):
        writer.submit(checkpoint.Checkpoint(step, STATE, {}))
    writer.wait()
    assert [path.name for path in checkpoint.paths(tmp_path / "new")] == [
        "step_000000015.safetensors",
        "step_000000010.safetensors",
    ]
    assert len(list((tmp_path / "new").iterdir())) == 2 and writer.step == 15
    # Not those of a training that came further, and what it has just written least.
    writer.submit(checkpoint.Checkpoint(3, STATE, {}))
    writer.wait()
    kept = checkpoint.paths(writer.directory)
    assert [checkpoint.read(path).step for path in kept] == [15, 10, 3]
    for keep in (0, True, 1.5):
        with pytest.raises(ValueError, match="`keep` to be an int >= 1. Received"):
            checkpoint.Writer(tmp_path, keep=keep)


def test_a_write_that_fails_is_a_line_and_the_newest_stays(tmp_path, caplog):
    """A file that may not grow, as on a full disk; then a folder that is none."""
    writer = checkpoint.Writer(tmp_path, keep=1)
    writer.submit(checkpoint.Checkpoint(1, STATE, {}))
    writer.wait()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = {"weights": np.ones(100_000, np.float32)}
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, limits[1]))
        writer.submit(checkpoint.Checkpoint(2, large, {}))
        writer.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    (line,) = helpers.warned(caplog)
    assert line.startswith("The checkpoint ") and "step_000000002" in line
    assert "File too large" in line and "last checkpoint is that of step 1" in line
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000001.safetensors"]
    assert checkpoint.newest(tmp_path).step == 1
    writer.submit(checkpoint.Checkpoint(3, large, {}))
    writer.wait()
    assert checkpoint.newest(tmp_path).step == 3 == writer.step

    (tmp_path / "file").write_text("")
    caplog.clear()
    writer = checkpoint.Writer(tmp_path / "file" / "folder")
    writer.submit(checkpoint.Checkpoint(4, STATE, {}))
    writer.wait()
    (line,) = helpers.warned(caplog)
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


def test_a_folder_that_has_become_read_only_keeps_its_newest(caplog):
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
            assert gan.generator_steps == 8
            for line, step in zip(helpers.warned(caplog), (6, 8), strict=True):
                assert "Permission denied" in line
                assert f"step_{step:09}" in line
                assert "last checkpoint is that of step 4" in line
        assert [path.read_bytes() for path in folder.iterdir()] == [before]
        os.chmod(folder, 0o755)
        watch[0].save()
        assert checkpoint.newest(folder).step == 8


def test_a_write_does_not_hold_up_the_training(tmp_path, monkeypatch):
    """While one is being written, steps go on, and what is due waits its turn."""
    release, write = threading.Event(), storage.write
    monkeypatch.setattr(storage, "write", lambda *a: (release.wait(60), write(*a)))
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
    """Two states, dicts of arrays, of GANs that were built alike."""
    assert len(one) == len(other)
    for (name, a), b in zip(one.items(), other.values(), strict=True):
        assert a.dtype == b.dtype and a.tobytes() == b.tobytes(), name


@pytest.mark.parametrize("data", [np.zeros((8, 4), np.float32), None])
def test_other_data_than_a_dataset_are_named(data):
    with pytest.raises(ValueError, match="Expected a keras_gan.datasets.Dataset, who"):
        checkpoint.fit(helpers.tiny_gan(), data, 4, seed=0, epochs=1)


@pytest.mark.parametrize(
    "kind",
    helpers.mostly_slow(KINDS, KINDS.keys() - {"loss scales", "two steps at once"}),
)
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
        assert_same_state(checkpoint.snapshot(again, 0).state, start.state)
        watch = Diary()
        checkpoint.fit(again, line_data(), start=start, callbacks=[watch], **options)
        assert_same_state(checkpoint.snapshot(again, 8).state, final.state)
        epoch, batch = divmod(start.step, 4)
        assert watch.epochs == {e: diary.epochs[e] for e in range(epoch, 2)}
        assert watch.steps == [x for x in diary.steps if x >= (epoch, batch)]
        assert watch.calls == ["begin", "end"]
        if start.step == saved[1]:  # the first that trains at all
            traced = len(traces)
    assert 0 < len(traces) <= traced + (together == 3)


@pytest.mark.slow
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
        ends.append((watch.epochs, checkpoint.snapshot(gan, 13).state))
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
    named = checkpoint.variables(gan)
    listed = list(named.values())
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
    for name, variable in named.items():
        if id(variable) in logs | sampling | unused:
            continue  # at an epoch's start, or without a training's reading them
        checkpoint.restore(gan, middle)
        kept = gan.metrics and variable.numpy()
        variable.assign(kept + (1 if kept.dtype.kind in "iu" else np.float32(0.125)))
        checkpoint.fit(gan, line_data(), epochs=2, start=middle, **options)
        changed = checkpoint.snapshot(gan, 8).state
        assert any(
            changed[each].tobytes() != final.state[each].tobytes() for each in named
        ), name


@pytest.mark.slow
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
        states.append(checkpoint.snapshot(gan, 8).state)
        start = checkpoint.read(writer.directory / "step_000000003.safetensors")
        checkpoint.restore(gan, start)
        checkpoint.fit(gan, line_data(), start=start, **options)
        states.append(checkpoint.snapshot(gan, 8).state)
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
        r"```python\n(from keras_gan import callbacks, c.+?\n)```", guide, re.S
    )
    code = code.replace("batch_size=32", "batch_size=200")
    names = {"gan": helpers.tiny_gan(dropout=0.3), "data": line_data(401)}
    for epochs, start in ((3, None), (5, 9), (5, 15)):
        exec(code.replace("epochs=3", f"epochs={epochs}"), names)
        found = names["start"]
        assert (found.step if found else None) == start
    assert checkpoint.newest("checkpoints").step == 15
    whole = helpers.tiny_gan(dropout=0.3)
    checkpoint.fit(whole, line_data(401), 200, seed=0, epochs=5, verbose=0)
    assert_same_state(
        checkpoint.snapshot(whole, 15).state, checkpoint.newest("checkpoints").state
    )


def test_another_model_is_refused_and_left_alone():
    gan = helpers.tiny_gan()
    before = checkpoint.snapshot(gan, 0)
    adam = helpers.tiny_gan(generator_optimizer="adam")
    normalised = helpers.tiny_gan(batch_normalization=True)
    for other, first in (
        (adam, r"generator_optimizer/(?:sgd|SGD)\S*/iteration. Received: "
               r"generator_optimizer/adam\S*/iteration"),
        (normalised, r"discriminator/dense\S*/kernel. Received: "
                     r"discriminator/batch_normalization\S*/gamma"),
    ):  # fmt: skip
        with pytest.raises(
            ValueError, match=f"same networks and optimizers, with the variable {first}"
        ) as error:
            checkpoint.restore(gan, checkpoint.snapshot(other, 0))
        assert "\n" not in str(error.value)

    def refused(message, state):
        with pytest.raises(ValueError, match=message):
            checkpoint.restore(gan, checkpoint.Checkpoint(0, state, {}))

    # The first of two, by its dtype, then by its shape; then one too few, or too many.
    state = before.state
    first, second = list(state)[3:5]
    wrong = {**state, first: np.float64(state[first]), second: np.zeros(99)}
    dtype = re.escape(f"{state[first].dtype} {state[first].shape}")
    refused(rf"variable {first}, {dtype}. Received: float64", wrong)
    wrong = {**state, second: np.zeros((99, 2), state[second].dtype)}
    refused(rf"variable {second}, .*Received: \w+ \(99, 2\), in the checkp", wrong)
    last = list(state)[-1]
    few = {name: value for name, value in state.items() if name != last}
    refused(f"variable {last}. Received: none", few)
    refused("variable none. Received: more", {**state, "more": np.zeros(3)})
    assert_same_state(checkpoint.snapshot(gan, 0).state, before.state)


def test_names_decide_and_the_numbers_of_a_process_do_not():
    """In another order, by name; by the order, where Keras has numbered on."""
    gan, other = helpers.tiny_gan(seed=0), helpers.tiny_gan(seed=1)
    before = checkpoint.snapshot(gan, 0)
    turned = dict(reversed(before.state.items()))
    for variable in checkpoint.variables(gan).values():
        variable.assign(variable.numpy() + np.ones((), variable.dtype))
    checkpoint.restore(gan, checkpoint.Checkpoint(0, turned, {}))
    assert_same_state(checkpoint.snapshot(gan, 0).state, before.state)

    assert set(before.state) != set(checkpoint.variables(other))
    checkpoint.restore(other, before)
    assert_same_state(checkpoint.snapshot(other, 0).state, before.state)
    turned = dict(reversed(before.state.items()))
    with pytest.raises(ValueError, match="same networks and optimizers, with the var"):
        checkpoint.restore(other, checkpoint.Checkpoint(0, turned, {}))


def test_a_name_is_a_part_and_a_path():
    gan = helpers.tiny_gan(dropout=0.3, **KINDS["adam with averages"]())
    named = checkpoint.variables(gan)
    kernel = gan.generator.trainable_variables[0]
    assert named[f"generator/{kernel.path}"] is kernel
    average = gan.averaged_generator.weights[0]
    assert named[f"averaged_generator/{average.path}"] is average
    iteration = gan.discriminator_optimizer.iterations
    assert named[f"discriminator_optimizer/{iteration.path}"] is iteration
    assert "logs/d_real/total" in named


def test_a_path_that_two_variables_share_is_numbered():
    def layer():
        return keras.layers.Dense(4, name="same")

    latents, samples = keras.Input((3,)), keras.Input((4,))
    hidden = keras.Input((4,))
    inner = keras.Model(hidden, layer()(hidden))
    generator = keras.Model(latents, inner(layer()(latents)))
    gan = keras_gan.GAN(
        generator, keras.Model(samples, keras.layers.Dense(1)(samples)),
        keras_gan.priors.Normal(3), value_range=None, seed=0,
    )  # fmt: skip
    gan.compile("sgd", "sgd")
    first, _, second, _ = gan.generator.weights
    assert first.path == second.path == "same/kernel"
    named = checkpoint.variables(gan)
    assert named["generator/same/kernel"] is first
    assert named["generator/same/kernel#2"] is second
    before = checkpoint.snapshot(gan, 0)
    second.assign(second.numpy() + 1)
    checkpoint.restore(gan, before)
    assert_same_state(checkpoint.snapshot(gan, 0).state, before.state)


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
    [
        (signal.SIGINT, KeyboardInterrupt),
        helpers.slow(signal.SIGTERM, SystemExit),
    ],
)
def test_a_signal_saves_and_a_second_does_not_cut_it_short(
    number, error, tmp_path, monkeypatch
):
    gan = helpers.tiny_gan()
    write = storage.write

    def slow_write(path, saved):
        if saved.step == 3:
            for _ in range(3):
                os.kill(os.getpid(), number)
                time.sleep(0.02)
        write(path, saved)

    monkeypatch.setattr(storage, "write", slow_write)
    monkeypatch.setattr(interrupts.StopRequest, "PATIENCE", 0.0)
    before = signal.getsignal(number)
    kill = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: (
            os.kill(os.getpid(), number) if batch == 2 else None
        )
    )
    with interrupts.StopRequest() as request, pytest.raises(error) as caught:
        watch = callbacks.Checkpoints(checkpoint.Writer(tmp_path), request=request)
        checkpoint.fit(
            gan, line_data(), 6, seed=0, epochs=5, callbacks=[kill, watch], verbose=0
        )
    assert signal.getsignal(number) is before
    assert error is KeyboardInterrupt or caught.value.code == 143
    saved = checkpoint.newest(tmp_path)
    assert saved.step == 3
    assert_same_state(saved.state, checkpoint.snapshot(gan, 3).state)


@pytest.mark.usefixtures("interruptible")
def test_an_impatient_second_interrupt_ends_what_hangs(monkeypatch):
    monkeypatch.setattr(interrupts.StopRequest, "PATIENCE", 0.0)
    announced = []
    with interrupts.StopRequest(announce=announced.append) as request:
        assert announced == []
        os.kill(os.getpid(), signal.SIGTERM)
        assert request.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert announced == [signal.SIGTERM]
    seen = []
    thread = threading.Thread(
        target=lambda: seen.append(interrupts.StopRequest().__enter__()._handlers)
    )
    thread.start()
    thread.join()
    assert seen == [{}]


@pytest.mark.usefixtures("interruptible")
def test_a_signal_is_noted_where_nobody_reads_of_it():
    reader, writer = os.pipe()
    os.close(reader)  # as of `keras-gan train | tee log`, when Ctrl-C ends tee first
    with interrupts.StopRequest(lambda _: os.write(writer, b"Stopping\n")) as request:
        os.kill(os.getpid(), signal.SIGINT)
    os.close(writer)
    assert request.signal == signal.SIGINT


def test_a_corrupt_weight_is_not_saved(tmp_path):
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
    assert_same_state(states[0].state, states[1].state)
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
        assert re.search(r"The checkpoint \S+ is damaged: ", after_damage[1])
    assert "Resuming after step" in after_damage[1]


def test_a_second_run_in_a_directory_is_refused(sgd_runs):
    code, text, process_id = sgd_runs[2][2]
    assert code == 1 and "Traceback" not in text
    (line,) = (line for line in text.splitlines() if line.startswith("error"))
    assert line == (
        f"error: {sgd_runs[1]} is in use by process {process_id}. Wait for it to "
        "finish, or choose another directory."
    )


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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("settings", "epochs", "reason"),
    [
        ({"decay": "cosine", "learning_rate_divisor": 1.0}, 11, "schedules last all"),
        ({"decay": "cosine", "learning_rate_divisor": 1.0}, 9, "only epochs may grow"),
        ({"penalties": [{"name": "r1", "final_share": 0.1}]}, 11, "schedules last all"),
        ({}, 9, "only epochs may grow"),
    ],
)
def test_why_other_epochs_are_refused_is_said(tmp_path, settings, epochs, reason):
    begun = experiments.get_preset("digits", {**settings, "epochs": 10})
    run = runs.Run(tmp_path, begun.with_settings({"epochs": epochs}))
    start = checkpoint.Checkpoint(0, {}, {"experiment": begun.to_dict()})
    with pytest.raises(ValueError, match="Expected train.epochs=10, as ") as error:
        starting._check_settings(start, run)
    message = str(error.value)
    assert reason in message and f"Received: train.epochs={epochs}." in message
    assert ("may grow" in message) == (epochs == 9) and "\n" not in message


def test_what_can_not_be_gone_on_with_is_named(sgd_runs, tmp_path, caplog):
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
    assert sum("is damaged: " in message for message in helpers.warned(caplog)) == 2


def test_a_run_that_was_killed_before_its_first_checkpoint_starts_again(tmp_path):
    preset = experiments.get_preset("digits")
    path = tmp_path / "run"

    def start(resume, overwrite=False):
        return starting.find_start(runs.Run(path, preset), resume, overwrite)

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
    starting.check_same("data", found, {"data": described}, run)
    other = provenance.describe_data(data.subset(np.arange(len(data))[::-1], "train"))
    with pytest.raises(ValueError, match=r"began with: content '\w+'\. Received: con"):
        starting.check_same("data", found, {"data": other}, run)
