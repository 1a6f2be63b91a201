"""The Python of the pages runs as it stands, and the flags of their commands exist."""

import importlib.util
import re
import shlex

import pytest

from keras_gan import experiments, networks
from keras_gan.commands import console, settings
from tests import helpers, test_layering

PAGES = ("README.md", "CHANGELOG.md", "docs/*.md", "saved_models/*.md", "serving/*.md")
# What only the reader knows, more of the same, or the beginning of a command.
PLACEHOLDERS = re.compile(r"\bNAME\b|\$|\.\.\.|=$")


# What a block that imports this name needs: extras that `make test` installs.
OPTIONAL = {"onnxruntime": ("onnxruntime", "onnx", "tf2onnx")}


def _is_missing(block):
    """Whether a block of a page needs packages that are not installed."""
    needed = [
        package
        for name, packages in OPTIONAL.items()
        if re.search(rf"^import {name}$", block, re.M)
        for package in packages
    ]
    return any(importlib.util.find_spec(package) is None for package in needed)


@pytest.mark.parametrize(
    "page",
    ["guide", "start", *map(helpers.slow, ("extend", "formats", "inference"))],
)
def test_the_blocks_of_a_page_run_in_order(root, tmp_path, monkeypatch, page):
    monkeypatch.chdir(tmp_path)
    # What a page adds there is not to reach other tests.
    monkeypatch.setattr(networks, "BUILDERS", dict(networks.BUILDERS))
    text = (root / "docs" / f"{page}.md").read_text()
    blocks = re.findall(r"^```python\n(.+?)^```", text, re.S | re.M)
    assert blocks or page == "start"
    names = {"__name__": "__docs__"}
    for number, block in enumerate(blocks, start=1):
        if _is_missing(block):
            continue
        exec(compile(block, f"docs/{page}.md, block {number}", "exec"), names)


def _commands(root):
    """(page, command line) of every `keras-gan COMMAND --FLAG` in the pages."""
    for page in sorted(page for pattern in PAGES for page in root.glob(pattern)):
        text = page.read_text().replace("\\\n", " ")
        lines = re.findall(r"^ {4,}.*?\b(keras-gan [^#&;\n]*)", text, re.M)
        lines += re.findall(r"`(keras-gan [^`]*)`", text)
        # docs/history.md lists presets with their flags.
        of_presets = re.findall(r"`(\w+ --[^`]*)`", text)
        lines += [
            f"keras-gan train --preset={line}"
            for line in of_presets
            if line.split()[0] in experiments.PRESETS
        ]
        for line in lines:
            if " --" in line and not PLACEHOLDERS.search(line):
                yield page.name, " ".join(line.split())


def test_the_commands_of_the_pages_have_flags_and_settings_that_exist(root):
    commands = list(_commands(root))
    assert len({page for page, _ in commands}) > 5 and len(commands) > 30
    for page, line in commands:
        _, command, *arguments = shlex.split(line)
        if command == "--help" or "--help" in arguments:
            continue
        module = console._module(command)
        values = console.flag_values(module)
        _, *stray = values([command, *arguments])
        assert not stray, f"{page}: {line}"
        # A module of the reader's may add names.
        if command == "train" and not values["import"].value:
            experiments.check(settings.read(values))


def test_the_floors_of_built_are_those_of_the_layering(root):
    text = (root / "docs/built.md").read_text()
    floors = {}
    for number, module in re.findall(r"^ {4}( {3}.\d| {5})  (\w+)  ", text, re.M):
        if number.strip():
            modules = floors[int(number)] = set()
        modules.add(module)
    assert list(floors) == list(range(len(test_layering.FLOORS), 0, -1))
    for floor, modules in floors.items():
        assert modules == test_layering.FLOORS[floor - 1]


def test_the_files_that_built_names_exist(root):
    text = (root / "docs/built.md").read_text()
    for name in re.findall(r"`([\w/]+(?:\.py|/))`", text):
        places = (root / name, root / "keras_gan" / name)
        assert any(place.exists() for place in places), name
