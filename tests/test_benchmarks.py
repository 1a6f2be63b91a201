"""The benchmarks run, at a small size, and write what they print."""

import importlib.util
import json
import sys

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
