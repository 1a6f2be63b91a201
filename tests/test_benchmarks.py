"""The benchmarks run, at a small size, and write what they print."""

import importlib.util
import json
import sys
import time

import numpy as np
import pytest


def run(root, monkeypatch, name, *arguments):
    path = root / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, "argv", [str(path), *arguments])
    module.main()
    return module


SMALL = ("--tests=7", "--centres=60", "--features=9", "--sigma=0.3", "--rounds=2")


def test_parzen_prints_its_table_and_writes_it(root, monkeypatch, capsys, tmp_path):
    output = tmp_path / "parzen.json"
    run(root, monkeypatch, "parzen", *SMALL, f"--output={output}")
    printed = capsys.readouterr().out
    report = json.loads(output.read_text())
    names = ["keras_gan", "scikit-learn", "broadcast", "product alone"]
    assert list(report["rows"]) == names
    floor = report["rows"]["product alone"]["minimum_seconds"]
    for name in names:
        row = report["rows"][name]
        assert row["ratio_to_product"] == row["minimum_seconds"] / floor
        line = next(line for line in printed.splitlines() if line.startswith(name))
        assert f"{row['minimum_seconds']:.4f}" in line
    for name in names[:3]:
        assert report["rows"][name]["largest_relative_difference"] < 1e-10
    assert report["data"] == "uniform" and report["arguments"]["centres"] == 60


def test_parzen_reports_no_time_of_a_wrong_result(root, monkeypatch, capsys):
    from keras_gan import metrics

    right = metrics.parzen_log_likelihood
    monkeypatch.setattr(
        metrics, "parzen_log_likelihood", lambda *a, **k: right(*a, **k) * (1 + 1e-6)
    )
    with pytest.raises(SystemExit, match="^error: Expected keras_gan to agree"):
        run(root, monkeypatch, "parzen", *SMALL)
    assert capsys.readouterr().out == ""


def test_parzen_refuses_sizes_of_zero(root, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(root, monkeypatch, "parzen", "--rounds=0")
    assert "Expected --rounds > 0. Received: 0" in capsys.readouterr().err


@pytest.fixture
def small_mnist(monkeypatch, tmp_path):
    """Stands in for MNIST: the digits, and a classifier that is trained briefly."""
    from keras_gan import datasets, metrics

    train, test = (datasets.load("digits", split) for split in ("train", "test"))
    splits = {
        "train": train,
        "valid": test.subset(slice(0, None, 2), "test[0::2]"),
        "test": test.subset(slice(1, None, 2), "test[1::2]"),
    }
    monkeypatch.setattr(
        datasets, "load", lambda name, split, data_dir=None: splits[split]
    )
    monkeypatch.setattr(metrics.Classifier, "STEPS", 60)
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "cache"))


def test_corruption_tables_and_figure(root, monkeypatch, capsys, tmp_path, small_mnist):
    output, figure = tmp_path / "corruption.json", tmp_path / "corruption.png"
    module = run(
        root, monkeypatch, "corruption", "--num_images=200",
        f"--output={output}", f"--figure={figure}",
    )  # fmt: skip
    printed = capsys.readouterr().out
    report = json.loads(output.read_text())
    assert report["num_images"] == 200
    assert figure.read_bytes()[:4] == b"\x89PNG"
    noise, classes, copies = report["rows"].values()
    assert [row["level"] for row in noise] == list(module.DEVIATIONS)
    assert [row["level"] for row in classes] == list(module.CLASSES)
    assert [row["distinct"] for row in copies] == [200, 100, 50, 12, 3]
    # The first level of each leaves the images as they are.
    for measure in module.MEASURES:
        assert noise[0][measure] == classes[0][measure] == copies[0][measure]
    # 1,078 digits hold fewer than 200 of one class: they repeat.
    assert classes[-1]["distinct"] < 200 == classes[0]["distinct"]
    assert f"{noise[-1]['frechet_distance']:.4g}" in printed
    for worst in (noise[-1], classes[-1], copies[-1]):
        assert worst["coverage"] < noise[0]["coverage"]
    with pytest.raises(SystemExit, match="--num_images from 10 to"):
        run(root, monkeypatch, "corruption", "--num_images=9")


def test_scoring_times_every_stage(root, monkeypatch, capsys, tmp_path, small_mnist):
    from keras_gan import metrics

    functions = metrics.prdc, metrics.parzen_estimate, metrics.Moments.update
    output = tmp_path / "scoring.json"
    run(
        root, monkeypatch, "scoring", "--num_samples=100", "--rounds=1",
        f"--output={output}",
    )  # fmt: skip
    report = json.loads(output.read_text())
    assert len(report["seconds"]) == 10
    assert min(report["seconds"].values()) > 0
    assert report["total_seconds"] == pytest.approx(sum(report["seconds"].values()))
    assert report["num_samples"] == 100 and report["scores"]["recall"] > 0
    printed = capsys.readouterr().out
    for stage in report["seconds"]:
        assert stage in printed
    # What was timed is again what it was.
    assert functions == (
        metrics.prdc,
        metrics.parzen_estimate,
        metrics.Moments.update,
    )


@pytest.mark.parametrize("damage", [False, True])
def test_resume_compares_what_the_trainings_left(
    root, monkeypatch, capsys, tmp_path, damage
):
    """Trainings that end before they can be killed: it says so, and how they differ."""
    from keras_gan import checkpoint

    class Ended:
        def poll(self):
            return 0

        def wait(self, timeout=None):
            return 0

        def kill(self):
            pass

    def start(workdir, arguments):
        value = np.zeros(3, np.float32)
        value[1] = 1e-45 if damage and workdir.name == "broken" else 0.0
        step = checkpoint.Checkpoint(800, [value, np.array(7)], {})
        checkpoint.write(workdir / "checkpoints" / "step_000000800.safetensors", step)
        line = {"epoch": 1, "seconds": time.monotonic()}
        (workdir / "metrics.jsonl").write_text(json.dumps(line) + "\n")
        output = workdir.with_suffix(".txt")
        output.write_text("Training digits\nGoing on after step 5, from x\n")
        return Ended(), output

    path = root / "benchmarks" / "resume.py"
    spec = importlib.util.spec_from_file_location("benchmark_resume", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "start", start)
    output = tmp_path / "resume.json"
    monkeypatch.setattr(sys, "argv", [str(path), f"--output={output}"])
    if damage:
        with pytest.raises(SystemExit, match="^error: Expected the same training"):
            module.main()
    else:
        module.main()
    report = json.loads(output.read_text())
    assert report["variables_that_differ"] == int(damage)
    assert report["same_logs"] and report["kills"] == 0 and report["steps"] == 800
    assert report["rows"][0]["went_on_from"] == 5
    assert f"variables that differ: {int(damage)} of 2" in capsys.readouterr().out


@pytest.mark.slow
def test_resume_kills_and_finds_no_difference(root, monkeypatch, capsys, tmp_path):
    output = tmp_path / "resume.json"
    run(
        root, monkeypatch, "resume", "--kills=2", "--epochs=60", "--longest=0.2",
        "--checkpoint_steps=7", f"--output={output}",
    )  # fmt: skip
    report = json.loads(output.read_text())
    assert report["kills"] == 2 and report["steps"] == 360
    assert report["variables_that_differ"] == 0 and report["same_logs"]
    assert "variables that differ: 0 of" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run(root, monkeypatch, "resume", "--kills=0")
    assert "Expected --kills > 0. Received: 0" in capsys.readouterr().err
