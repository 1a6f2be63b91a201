"""Publishing: complete versions or none, whatever happens meanwhile."""

import errno
import json
import os
import re
import shlex
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_gan import export, files, priors
from keras_gan.export import cards, goldens, publishing, staging
from keras_gan.export.verification import verifier
from keras_gan.samples import SampleSpec
from tests import export_helpers, helpers

# Which of the 17 changes that an exporter makes in its base it is killed at: the first,
# its own folder, the card, flushing, renaming, and none.
POINTS = (1, 2, 4, 7, 16, 99)


# What a killed exporter leaves.
LEFT = f".incoming-{0:032x}"


def run_exporters(folder, *modes):
    process = subprocess.run(
        [sys.executable, "-m", "tests.export_exporter", str(folder), *modes],
        cwd=export_helpers.TESTS.parent,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert process.returncode == 0, process.stderr
    return [json.loads(line) for line in process.stdout.splitlines()]


@pytest.fixture(scope="module")
def exporters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exporters")
    points = ",".join(map(str, POINTS))
    modes = (f"kill:{points}", "race:3", "limit:2000", "mirrored:2")
    return folder, run_exporters(folder, *modes)


def check_kills(base, reports, points):
    whole = 0
    for report, point in zip(reports, points, strict=True):
        assert report["number"] == point
        left = report["left"] or []
        # Never more than one leftover: whoever comes next sweeps.
        assert sum(name.startswith(".incoming-") for name in left) <= report["killed"]
        found = [name for name in left if not name.startswith(".incoming-")]
        assert found == [str(number) for number in range(1, len(found) + 1)]
        assert len(found) in (whole, whole + 1) and (
            report["killed"] or len(found) == whole + 1
        )
        whole = len(found)
    for version in export.versions(base):
        path = base / str(version)
        assert cards.file_faults(path) == []
        assert verifier.graph_faults(path) == []


def test_killed_at_any_moment_leaves_complete_versions(exporters):
    folder, reports = exporters
    kills = [report for report in reports if report["mode"] == "kill"]
    assert [report["killed"] for report in kills] == [True] * 5 + [False]
    assert any(".incoming-" in str(report["left"]) for report in kills)
    check_kills(folder / "kill", kills, POINTS)


@pytest.mark.slow
def test_killed_at_every_moment_leaves_complete_versions(tmp_path):
    points = list(range(1, 21))
    reports = run_exporters(tmp_path, "kill:" + ",".join(map(str, points)))
    assert 10 < sum(report["killed"] for report in reports) < 20
    check_kills(tmp_path / "kill", reports, points)


def test_exporters_at_once_take_a_version_each(exporters):
    folder, reports = exporters
    versions = [report["version"] for report in reports if report["mode"] == "race"]
    assert sorted(versions) == ["1", "2", "3"]
    for version in versions:
        path = folder / "race" / version
        assert cards.file_faults(path) == []
        assert export.read_card(path)["version"] == int(version)
    assert sorted(os.listdir(folder / "race")) == ["1", "2", "3"]


def test_a_full_disk_is_an_os_error_and_leaves_nothing(exporters):
    (report,) = (report for report in exporters[1] if report["mode"] == "limit")
    assert report["error"].startswith("OSError: Cannot write to ")
    assert "\n" not in report["error"]
    assert report["left"] is None


def test_weights_on_several_devices(exporters):
    (report,) = (report for report in exporters[1] if report["mode"] == "mirrored")
    assert report.get("version") == "1", report


# === Versions ===


@pytest.fixture
def quick(monkeypatch):
    """Exports a file in the place of a SavedModel, whose content is all the same."""

    def write(servable, path):
        (path / "saved_model.pb").write_bytes(b"1")

    monkeypatch.setattr(publishing.signatures, "write_saved_model", write)
    monkeypatch.setattr(publishing.graph, "find_faults", lambda *arguments: [])

    def export_to(base, version=None, generator=None, prior=None, **options):
        generator = generator or helpers.tiny_networks()[0]
        prior = prior or priors.Normal(3)
        options = {"value_range": None, **options}
        return export.export_generator(generator, prior, base, version, **options)

    return export_to


def test_versions_count_up_and_are_never_overwritten(quick, tmp_path):
    base = tmp_path / "deep" / "base"
    assert quick(base) == base / "1"
    assert quick(base, 7) == base / "7"
    assert quick(base) == base / "8"
    assert quick(base, np.int64(3)) == base / "3"
    assert export.versions(base) == [1, 3, 7, 8]
    assert export.latest(base) == base / "8"
    before = cards.digests(base / "7")
    with pytest.raises(ValueError, match="already holds version 7"):
        quick(base, 7)
    assert cards.digests(base / "7") == before
    assert sorted(os.listdir(base)) == ["1", "3", "7", "8"]


@pytest.mark.parametrize("version", [0, -1, True, "x", "3", 1.0, 2**63])
def test_versions_that_are_no_positive_int(quick, tmp_path, version):
    with pytest.raises(ValueError, match=r"Expected `version` to be an int in \[1, "):
        quick(tmp_path / "base", version)
    assert os.listdir(tmp_path) == []


def test_names_that_a_server_would_read_as_versions(quick, tmp_path):
    (tmp_path / "4").write_text("a file, on which no folder can be renamed")
    (tmp_path / "006").mkdir()
    (tmp_path / "9").symlink_to(tmp_path / "nowhere")
    (tmp_path / "latest").mkdir()
    assert export.versions(tmp_path) == []
    assert quick(tmp_path) == tmp_path / "10"
    (tmp_path / "11").mkdir()
    with pytest.raises(ValueError, match="already holds version"):
        quick(tmp_path, 11)  # empty: `rename` would take its place
    with pytest.raises(ValueError, match="already holds version"):
        quick(tmp_path, 4)
    assert export.versions(tmp_path) == [10, 11]


def test_a_faster_exporter_is_no_error(quick, tmp_path, monkeypatch):
    digests = cards.digests

    def slow(path):
        # Between the choice of a number and the rename, twice.
        number = len(export.versions(tmp_path)) + 1
        if number < 3:
            (tmp_path / str(number)).mkdir()
            (tmp_path / str(number) / "file").write_text("another's")
        return digests(path)

    monkeypatch.setattr(cards, "digests", slow)
    assert quick(tmp_path) == tmp_path / "3"
    assert (tmp_path / "1" / "file").read_text() == "another's"
    assert export.read_card(tmp_path / "3")["version"] == 3


def test_leftovers_are_swept_but_not_those_of_a_live_exporter(quick, tmp_path):
    dead = tmp_path / LEFT
    (dead / "variables").mkdir(parents=True)
    with staging.folder_in(tmp_path) as alive:
        (alive / "file").write_text("at work")
        quick(tmp_path)
        assert not dead.exists()
        assert (alive / "file").read_text() == "at work"
    assert sorted(os.listdir(tmp_path)) == ["1"]


def test_without_locks_versions_appear_and_nothing_is_swept(
    quick, tmp_path, monkeypatch
):
    def unavailable(handle):
        raise files.LocksUnavailable(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files, "try_lock", unavailable)
    handles = os.listdir("/proc/self/fd")
    dead = tmp_path / LEFT
    dead.mkdir()
    assert quick(tmp_path) == tmp_path / "1"
    assert quick(tmp_path) == tmp_path / "2"
    assert sorted(os.listdir(tmp_path)) == [dead.name, "1", "2"]
    assert len(os.listdir("/proc/self/fd")) == len(handles)


def test_a_folder_that_another_exporter_sweeps_away_is_made_anew(tmp_path, monkeypatch):
    """Between making the folder and locking it, and between opening and locking."""
    calls = []

    def try_lock(handle, original=files.try_lock):
        calls.append(handle)
        if len(calls) == 1:
            for folder in tmp_path.iterdir():
                folder.rmdir()
        return original(handle) and len(calls) != 2

    monkeypatch.setattr(files, "try_lock", try_lock)
    with staging.folder_in(tmp_path) as folder:
        assert len(calls) == 3 and list(tmp_path.iterdir()) == [folder]
    assert os.listdir(tmp_path) == []


def test_a_lock_that_fails_leaves_no_folder(tmp_path, monkeypatch):
    def fail(handle):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, "try_lock", fail)
    with pytest.raises(OSError, match="Input/output error"):
        staging.folder_in(tmp_path).__enter__()
    assert os.listdir(tmp_path) == []


def test_only_folders_of_exporters_are_swept(quick, tmp_path):
    base, other = tmp_path / "base", tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("a user's")
    base.mkdir()
    (base / ".incoming-12-scores.json").write_text("being written")
    os.mkfifo(base / ".incoming-pipe")
    # Copies of users, whose processes hold no lock.
    copies = [
        ".copying-2", ".incoming-2", f"{LEFT}-mine", LEFT.upper(), f"x{LEFT}",
    ]  # fmt: skip
    for name in copies:
        (base / name).mkdir()
        (base / name / "saved_model.pb").write_text("half a copy")
    linked = LEFT.replace("0", "1")
    (base / linked).symlink_to(other)
    quick(base)
    for name in copies:
        assert os.listdir(base / name) == ["saved_model.pb"]
    assert os.listdir(other) == ["file"]
    assert sorted(os.listdir(base)) == sorted(
        [".incoming-12-scores.json", ".incoming-pipe", "1", linked, *copies]
    )


def test_an_exporter_that_is_killed_leaves_what_the_next_one_sweeps(
    quick, tmp_path, monkeypatch
):
    """The names that `folder_in` makes are those that `sweep` knows."""
    monkeypatch.setattr(staging.shutil, "rmtree", lambda *arguments, **options: None)
    with staging.folder_in(tmp_path) as left:
        (left / "saved_model.pb").write_text("half")
    monkeypatch.undo()
    assert left.exists()
    staging.sweep(tmp_path)
    assert os.listdir(tmp_path) == []


def test_the_recipe_of_a_copy_survives_an_export(quick, root, tmp_path, monkeypatch):
    """The commands of serving/README.md, with an export between the two."""
    monkeypatch.chdir(tmp_path)
    page = (root / "serving" / "README.md").read_text()
    (block,) = re.findall(r"```sh\n(cp -r .+?)```", page, re.S)
    copy, rename = block.splitlines()
    quick("runs/digits/export", 2)
    quick("saved_models/digits")
    subprocess.run(shlex.split(copy), check=True)
    quick("saved_models/digits", 3)
    subprocess.run(shlex.split(rename), check=True)
    assert export.versions("saved_models/digits") == [1, 2, 3]
    assert cards.file_faults("saved_models/digits/2") == []
    # Not `os.listdir`: a copy must not be a version before it is complete.
    assert not copy.split()[-1].rpartition("/")[2].isdecimal()


# === Cards ===


def test_goldens_are_latents_some_values_and_the_mean():
    latents = np.array([[1.5, -2.0], [0.25, 3.0]], np.float32)
    samples = np.stack([np.arange(127.0), np.full(127, 2.0)]).reshape(2, 127, 1, 1)
    first, second = goldens.goldens((7, -3), latents, samples)
    assert first == {
        "seed": 7,
        "latents": [1.5, -2.0],
        "values": list(range(0, 127, 2)),  # 64 of 127, with both ends
        "mean": 63.0,
    }
    assert second["seed"] == -3 and second["values"] == [2.0] * 64
    (short,) = goldens.goldens((0,), latents[:1], samples[:1, :3])
    assert short["values"] == [0, 1, 2]


def test_the_card_says_what_a_sample_is(quick, tmp_path):
    path = quick(tmp_path / "vectors", value_range=(-2, 3))
    card = export.read_card(path)
    spec = {"shape": [4], "kind": "vector", "value_range": [-2.0, 3.0]}
    assert card["spec"] == {**spec, "contrast_normalized": False}
    assert cards.read_spec(card) == SampleSpec.of((4,), (-2, 3))
    # An older card, which has no spec.
    del card["spec"]
    assert cards.read_spec(card) == SampleSpec.of((4,), (-2, 3))


# === What cannot be exported ===


def test_bases_that_cannot_be_written(quick, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("content")
    for base in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(ValueError, match="Expected an output directory"):
            quick(base)
    # Root may write anywhere: what a read-only folder says to all others.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionError, match="not writable. Choose another path"):
        quick(tmp_path / "base")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("module", "failing"),
    [(staging, "flush"), (publishing, "_publish"), (cards, "digests")],
)
def test_a_failure_leaves_nothing(quick, tmp_path, monkeypatch, module, failing):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, failing, fail)
    with pytest.raises(OSError, match="No space left"):
        quick(tmp_path / "deep" / "base")
    assert os.listdir(tmp_path) == []
    kept = tmp_path / "kept"
    kept.mkdir()
    with pytest.raises(OSError, match="No space left"):
        quick(kept)
    assert os.listdir(kept) == []


def test_generators_that_do_not_fit(quick, tmp_path):
    two = keras.Input((2,)), keras.Input((3,))
    joined = keras.layers.Concatenate()(list(two))
    for generator, message in (
        ("generator", "Expected a Keras model for a generator"),
        (keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]), r"\(None, 3\)"),
        (keras.Model(list(two), joined), r"Expected a generator that takes what"),
        (keras.Model(two[1], [two[1], two[1]]), r"to samples of one known shape"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            quick(tmp_path / "base", generator=generator)
        assert "\n" not in str(caught.value)
    generator, _ = helpers.tiny_networks()
    generator.layers[-1].bias.assign([0.0, np.nan, 0.0, 0.0])
    with pytest.raises(ValueError, match="samples hold NaN or infinity"):
        quick(tmp_path / "base", generator=generator)
    assert os.listdir(tmp_path) == []


def test_a_generator_without_labels_and_a_prior_with_some(quick, tmp_path):
    prior = priors.Labelled(priors.Normal(3), [0.5, 0.5])
    message = r"what the prior draws, latents \(None, 3\), labels \(None,\), to samples"
    with pytest.raises(ValueError, match=message) as caught:
        quick(tmp_path / "base", prior=prior)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_the_card_holds_what_json_can(quick, tmp_path):
    with pytest.raises(ValueError, match="Expected a card that JSON can hold"):
        quick(tmp_path / "base", card={"scores": {1, 2}})
    assert os.listdir(tmp_path) == []
    card = {"scores": {"a": float("nan"), "b": 0.1}, "files": "mine", "note": "é"}
    path = quick(tmp_path / "base", card=card)
    found = export.read_card(path)
    assert found["scores"] == {"a": None, "b": 0.1}
    assert found["note"] == "é" and set(found["files"]) == set(cards.digests(path))
    assert "NaN" not in (path / export.CARD).read_text()
    assert cards.is_sealed(path)


def test_what_a_check_refuses_is_never_published(tmp_path):
    seen = []

    def check(folder):
        seen.append(sorted(path.name for path in folder.iterdir()))
        assert export.read_card(folder)["version"] == 1
        raise export.VerificationError(folder, {"server": ["planted"]})

    gan = export_helpers.image_gan()
    with pytest.raises(export.VerificationError, match="server: planted"):
        gan.export(tmp_path / "base", check=check)
    assert seen == [["assets.extra", "fingerprint.pb", "saved_model.pb", "variables"]]
    assert not (tmp_path / "base").exists()
    assert gan.export(tmp_path / "base", check=seen.append).name == "1"
    assert len(seen) == 2
