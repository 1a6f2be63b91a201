"""The notebooks: what is kept of them is true, and each runs from beginning to end."""

import base64
import copy
import json
import os
import re
import runpy
import urllib.parse

import numpy as np
import pytest

from keras_gan import pictures
from tests.conftest import ROOT

FOLDER = ROOT / "notebooks"
NAMES = sorted(path.name for path in FOLDER.glob("*.ipynb"))
MOST_BYTES = 300_000
# Sentences beyond this are read twice.
MOST_WORDS = 32

execution = runpy.run_path(str(FOLDER / "execute.py"))
source_digest, execute = execution["source_digest"], execution["execute"]


def read(name):
    return json.loads((FOLDER / name).read_text())


def cells_of(notebook, kind):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


def outputs(notebook):
    return [out for cell in cells_of(notebook, "code") for out in cell["outputs"]]


def printed(notebook):
    """All that the cells of a notebook printed."""
    return "".join("".join(out.get("text", "")) for out in outputs(notebook))


def images(notebook):
    """The PNGs that the cells drew."""
    return [
        base64.b64decode("".join(out["data"]["image/png"]))
        for out in outputs(notebook)
        if "image/png" in out.get("data", {})
    ]


def text_of(notebook):
    """All but the pictures, whose base64 may spell anything."""
    notebook = copy.deepcopy(notebook)
    for out in outputs(notebook):
        out.get("data", {}).pop("image/png", None)
    return json.dumps(notebook)


def faults(notebook):
    """Returns what a reader of the stored file would be misled or stopped by."""
    found = []
    code = cells_of(notebook, "code")
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        found.append("the cells were not run once each, in order")
    if notebook["metadata"]["keras_gan"]["executed"] != source_digest(notebook):
        found.append("the outputs are of other code")
    if any(out["output_type"] == "error" for out in outputs(notebook)):
        found.append("an error is kept")
    if any(out.get("name") == "stderr" for out in outputs(notebook)):
        found.append("standard error is kept")
    if re.search(r"(?<![\w.])/(home|root|tmp|work|Users|content)/", text_of(notebook)):
        found.append("a path of a machine")
    return found


def sentences(notebook):
    """The prose, without headings, formulas, code and the targets of links."""
    text = "\n\n".join(source(cell) for cell in cells_of(notebook, "markdown"))
    text = re.sub(r"^#.*$", "", text, flags=re.M)
    text = re.sub(r"\$\$.*?\$\$", "", text, flags=re.S)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`", "code", text)
    return re.split(r"(?<=[.:?!])\s+|\n\n+", text)


def test_the_notebooks_are_numbered():
    assert [int(name.partition("_")[0]) for name in NAMES] == [
        *range(1, len(NAMES) + 1)
    ]
    assert len(NAMES) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_what_is_kept_of_a_notebook_is_what_its_code_gave(name):
    assert faults(read(name)) == []
    assert (FOLDER / name).stat().st_size <= MOST_BYTES


def _swap(notebook):
    first, second = cells_of(notebook, "code")[:2]
    first["execution_count"], second["execution_count"] = 2, 1


def _edit(notebook):
    cells_of(notebook, "code")[-1]["source"] += "\n# later"


def _fail(notebook):
    error = {"output_type": "error", "ename": "E", "evalue": "", "traceback": []}
    cells_of(notebook, "code")[-1]["outputs"] = [error]


def _warn(notebook):
    out = {"output_type": "stream", "name": "stderr", "text": "W0000"}
    cells_of(notebook, "code")[0]["outputs"] = [out]


def _tell(notebook):
    out = {"output_type": "stream", "name": "stdout", "text": ["in /home/me/runs"]}
    cells_of(notebook, "code")[0]["outputs"] = [out]


@pytest.mark.parametrize(
    "change, fault",
    [
        (_swap, "the cells were not run once each, in order"),
        (_edit, "the outputs are of other code"),
        (_fail, "an error is kept"),
        (_warn, "standard error is kept"),
        (_tell, "a path of a machine"),
    ],
)
def test_a_notebook_that_misleads_is_noticed(change, fault):
    notebook = {
        "metadata": {},
        "cells": [
            {"cell_type": "code", "execution_count": n, "outputs": [], "source": f"{n}"}
            for n in (1, 2)
        ],
    }
    notebook["metadata"]["keras_gan"] = {"executed": source_digest(notebook)}
    assert faults(notebook) == []
    change(notebook)
    assert faults(notebook) == [fault]


@pytest.mark.parametrize("name", NAMES)
def test_the_pictures_of_a_notebook_show_something(name):
    found = images(read(name))
    assert found
    for png in found:
        picture = pictures.decode_png(png)
        assert min(picture.shape[:2]) >= 16 and picture.std() > 10


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_says_before_each_cell_what_it_does(name):
    notebook = read(name)
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds[0] == "markdown" and ("code", "code") not in zip(
        kinds, kinds[1:], strict=False
    )
    for cell in cells_of(notebook, "code"):
        assert len(source(cell).splitlines()) <= 25


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_asks_one_question_that_a_number_answers(name):
    notebook = read(name)
    *others, last = cells_of(notebook, "markdown")
    assert source(last).count("**Question:**") == 1
    assert not any("**Question:**" in source(cell) for cell in others)
    # "Set `epochs` to 160": a setting that a cell has, with another number.
    setting, number = re.search(r"Set\s+`(\w+)`\s+to\s+([\d.]+)", source(last)).groups()
    code = "\n".join(source(cell) for cell in cells_of(notebook, "code"))
    (present,) = set(re.findall(rf"\b{setting}\b\"?\s*[:=]\s*([\d.]+)", code))
    assert float(present) != float(number)


@pytest.mark.parametrize("name", NAMES)
def test_the_prose_of_a_notebook_is_plain(name):
    found = sentences(read(name))
    assert len(found) > 10
    for sentence in found:
        assert not re.match(r"(Of|What|One that)\b", sentence), sentence
        assert len(sentence.split()) <= MOST_WORDS, sentence


@pytest.mark.parametrize("name", NAMES)
def test_the_links_of_a_notebook_lead_somewhere(name):
    text = "\n".join(source(cell) for cell in cells_of(read(name), "markdown"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert targets
    for target in targets:
        if not urllib.parse.urlsplit(target).scheme:
            assert (FOLDER / target.partition("#")[0]).is_file(), target


# === From beginning to end ===


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A function that runs a notebook with this checkout, and nothing of the user's."""
    for package in ("nbclient", "nbformat", "ipykernel", "matplotlib"):
        pytest.importorskip(package)
    monkeypatch.setenv("KERAS_GAN_CACHE", str(tmp_path / "cache"))
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), before))))

    def run(name):
        notebook = execute(FOLDER / name)
        assert faults(notebook) == []
        assert len(images(notebook)) == len(images(read(name)))
        return notebook

    return run


def numbers_after(words, text):
    (line,) = re.findall(rf"^{re.escape(words)}(.*)$", text, re.M)
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", line)]


def test_the_paper(fresh):
    """What the first notebook prints is what the paper proves."""
    text = printed(fresh("1_the_paper.ipynb"))
    (trained,) = numbers_after("V of the trained D ", text)
    (best,) = numbers_after("V of D* ", text.replace("V of D* where", "where"))
    (equal,) = numbers_after("V of D* where p_g equals p_data", text)
    assert equal == pytest.approx(-np.log(4), abs=1e-4)
    assert -np.log(4) < trained <= best < trained + 0.01


@pytest.mark.slow
def test_your_pictures(fresh):
    """The server's picture is that of the run, and the server ends well."""
    text = printed(fresh("2_your_pictures.ipynb"))
    assert "the same picture: True" in text
    assert "exit status 0" in text


@pytest.mark.slow
def test_change_one_thing(fresh):
    """All trainings are scored by one protocol, and three seeds of each are shown."""
    text = printed(fresh("3_change_one_thing.ipynb"))
    assert len(re.findall(r"'[0-9a-f]{12}'", text)) == 1
    for name in ("nothing", "loss", "penalty", "labels"):
        # The table of means, then that of the seeds.
        assert len(re.findall(rf"^{name} .*\d", text, re.M)) == 2


@pytest.mark.slow
def test_pictures_to_latents(fresh):
    """The descent is nearer than the encoder, and D refuses some of the samples."""
    text = printed(fresh("4_pictures_to_latents.ipynb"))
    (projected,) = numbers_after("squared error of the projection", text)
    (encoded,) = numbers_after("squared error of the encoder", text)
    assert 0 < projected < encoded < 0.2
    (accepted,) = numbers_after("accepted:", text)
    assert 0 < accepted < 100
