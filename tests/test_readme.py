"""The README's code runs as it stands."""

import re

import numpy as np


def test_the_code_of_the_readme_runs(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.+?)```", (root / "README.md").read_text(), re.S)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    samples = names["samples"]
    assert samples.shape == (16, 8, 8, 1) and samples.dtype == np.float32
    assert (tmp_path / "first/1/saved_model.pb").exists()
    assert (tmp_path / "first.keras").exists()
    assert int(names["gan"].generator_optimizer.iterations) == 50 * 6
