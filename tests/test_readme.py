"""The README's code runs as it stands, and the changelog names what there is."""

import inspect
import operator
import re

import numpy as np

import keras_gan
from keras_gan import experiments, replicas  # noqa: F401 (no part of the API's names)
from keras_gan.runs import interrupts  # noqa: F401
from keras_gan.theory import figures  # noqa: F401


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


def new_names(root, section):
    """What stands in backticks in the right column of a table of the changelog."""
    text = (root / "CHANGELOG.md").read_text()
    (table,) = re.findall(rf"^### {section}$(.+?)^### ", text, re.S | re.M)
    cells = re.findall(r"^\|[^|]*`[^|]*\|([^|]*)\|$", table, re.M)
    names = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert len(cells) > 8 and len(names) >= len(cells)
    return names


def test_the_names_of_the_changelog_exist(root):
    for name in new_names(root, "Names"):
        # `runs.train(run)` is runs.train, and `.gan()` belongs to the Run before it.
        path = re.sub(r"\(.*\)$", "", name)
        owner = keras_gan.runs.Run if path.startswith(".") else keras_gan
        operator.attrgetter(path.lstrip("."))(owner)


def test_the_settings_of_the_changelog_exist(root):
    known = set(experiments.settings())
    known |= {path.rpartition(".")[2] for path in known}
    for builder in keras_gan.networks.BUILDERS.values():
        known |= {f"networks.{name}" for name in inspect.signature(builder).parameters}
    # "pretrained" is a run's path, whose generator the builder gets.
    known |= {"networks", "networks.pretrained"}
    for name in new_names(root, "Settings"):
        path, _, value = name.partition("=")
        assert path in known, name
        if path == "networks":
            assert value in keras_gan.networks.BUILDERS
