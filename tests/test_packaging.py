"""The wheel: what is in it, what it requires, and that it works far from a checkout."""

import importlib.metadata
import os
import re
import runpy
import shutil
import subprocess
import sys
import venv
import zipfile

import pytest

from keras_gan.commands import console
from keras_gan.version import __version__

SOURCES = ("keras_gan", "keras_gan_command.py", "setup.py", "pyproject.toml",
           "README.md", "LICENSE")  # fmt: skip


def run(*arguments, cwd, timeout=1200):
    """Runs a program that finds no keras_gan but an installed one."""
    environment = dict(os.environ)
    for name in ("PYTHONPATH", "TF_CPP_MIN_LOG_LEVEL"):
        environment.pop(name, None)
    return subprocess.run(
        list(map(str, arguments)),
        cwd=cwd,
        capture_output=True,
        text=True,
        env=environment,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """The wheel, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        if (root / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(root / name, folder / name, ignore=ignored)
        else:
            shutil.copy(root / name, folder / name)
    # pyproject.toml asks for setuptools 77. pip downloads it where it is not installed.
    installed = int(importlib.metadata.version("setuptools").partition(".")[0])
    process = run(
        sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--wheel-dir=dist",
        *(["--no-build-isolation"] if installed >= 77 else []), cwd=folder,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    (path,) = (folder / "dist").glob("*.whl")
    return path


def test_the_wheel_holds_the_package_and_the_command_alone(root, wheel):
    with zipfile.ZipFile(wheel) as file:
        names = {name for name in file.namelist() if ".dist-info/" not in name}
    package = {
        str(path.relative_to(root)) for path in (root / "keras_gan").rglob("*.py")
    }
    assert names == package | {"keras_gan_command.py"}
    # A folder without this file would be missing from the wheel.
    for path in (root / "keras_gan").rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), path


def test_the_wheel_installs_the_command(wheel):
    with zipfile.ZipFile(wheel) as file:
        (entries,) = (n for n in file.namelist() if n.endswith("entry_points.txt"))
        text = file.read(entries).decode()
    assert text.split() == ["[console_scripts]", "keras-gan", "=",
                            "keras_gan_command:main"]  # fmt: skip
    assert f"keras_gan-{__version__}-" in wheel.name


def requirements(wheel):
    """What the wheel's metadata require."""
    with zipfile.ZipFile(wheel) as file:
        (metadata,) = (n for n in file.namelist() if n.endswith("/METADATA"))
        lines = file.read(metadata).decode().partition("\n\n")[0].splitlines()
    return [line[15:] for line in lines if line.startswith("Requires-Dist: ")]


def names_of(found, extra=None):
    """The packages of an extra; of none, the hard ones."""
    pattern = rf"extra == ['\"]{extra}['\"]" if extra else r"^[^;]*$"
    return {re.match(r"[\w.-]+", r)[0].lower() for r in found if re.search(pattern, r)}


def test_what_the_main_job_does_not_need_is_an_extra(wheel):
    found = requirements(wheel)
    assert "tensorflow" in names_of(found) and "pillow" in names_of(found)
    optional = {
        "figures": {"matplotlib"},
        "datasets": {
            "tensorflow-datasets",
            "tensorflow-metadata",
            "importlib-resources",
        },  # fmt: skip
        "serving": {"tensorflow-serving-api"},
        "onnx": {"onnx", "onnxruntime", "tf2onnx"},
        "tensorboard": {"tensorboard"},
    }
    for extra, packages in optional.items():
        normalized = {name.replace("_", "-") for name in names_of(found, extra)}
        assert normalized == packages
        assert not packages & names_of(found)
        assert names_of(found, extra) <= names_of(found, "all")
        assert names_of(found, extra) <= names_of(found, "dev")
    # A page to play with is not what a machine that trains needs.
    assert names_of(found, "demo") == {"gradio"}
    assert {"gradio", "playwright"} <= names_of(found, "dev")
    assert not {"gradio", "playwright"} & (names_of(found, "all") | names_of(found))
    # Who trains reads no lectures; the tests run them.
    assert {"ipykernel", "nbclient"} <= names_of(found, "notebooks")
    assert names_of(found, "notebooks") <= names_of(found, "dev")
    assert not {"ipykernel", "nbclient"} & names_of(found, "all")


def test_every_requirement_has_a_lower_bound_and_none_an_upper_one(root, wheel):
    found = requirements(wheel)
    lower_bounds = runpy.run_path(str(root / ".ci/lower_bounds.py"))["lower_bounds"]
    bounds = lower_bounds(found)
    assert bounds["tensorflow"] and bounds["matplotlib"]
    assert set(bounds) == {re.match(r"[\w.-]+", r)[0].lower() for r in found}
    assert not any("<" in requirement.partition(";")[0] for requirement in found)


@pytest.mark.parametrize("wrong", ["numpy", "numpy<3", "numpy>=2,>=1"])
def test_a_requirement_without_one_lower_bound_is_refused(root, wrong):
    lower_bounds = runpy.run_path(str(root / ".ci/lower_bounds.py"))["lower_bounds"]
    expected = {"tensorflow": "2.18", "scipy": "1.14"}
    good = ["TensorFlow[and-cuda]<3,>=2.18; extra == 'gpu'", "scipy>=1.14"]
    assert lower_bounds(good) == expected
    with pytest.raises(ValueError, match="Expected one lower bound of numpy"):
        lower_bounds([*good, wrong])


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(wheel, tmp_path):
    """Outside of any checkout. The main job first, without an extra."""
    venv.create(tmp_path / "venv", with_pip=True)
    folder = tmp_path / "folder"
    folder.mkdir()
    binaries = tmp_path / "venv" / "bin"

    def install(requirement):
        process = run(
            binaries / "python", "-m", "pip", "install", "--quiet", requirement,
            cwd=folder,
        )  # fmt: skip
        assert process.returncode == 0, process.stderr

    def command(*arguments, code=0):
        process = run(binaries / "keras-gan", *arguments, cwd=folder)
        assert process.returncode == code, process.stdout + process.stderr
        assert "Traceback" not in process.stderr
        return process.stdout if code == 0 else process.stderr

    install(str(wheel))
    text = command("--help")
    assert all(name in text for name in console.COMMANDS)
    text = command("train", "--preset=digits", "--epochs=2")
    assert "keras-gan generate --model=runs/digits" in text
    assert "epoch 2 of 2, step 22 of 22 (100%)" in text
    assert "9 samples" in command(
        "generate", "--model=runs/digits", "--num_samples=9", "--output=grid.png"
    )
    assert (folder / "grid.png").read_bytes()[:4] == b"\x89PNG"
    for extra, arguments in {
        "figures": ("figures", "--model=runs/digits", "--figure=curves"),
        "datasets": ("train", "--preset=mnist"),
    }.items():
        (line,) = command(*arguments, code=1).splitlines()
        assert line.startswith("error: ")
        assert f"pip install 'keras_gan[{extra}]'" in line

    install(f"{wheel}[all]")
    assert "Parzen LL" in command(
        "evaluate", "--model=runs/digits", "--num_samples=100"
    )
    text = command("figures", "--model=runs/digits")
    for name in (
        *("figure_2.png", "figure_3.png", "curves.png", "health.png", "training.gif"),
    ):
        assert f"Wrote runs/digits/figures/{name}" in text
    text = command("export", "--model=runs/digits")
    assert "It can be served.\nPublished runs/digits/export/1" in text
    command("generate", "--model=runs/digits/export", "--output=exported.npz")
    command("theory", "--output=theory")
    assert len(list((folder / "theory").glob("*.png"))) == 4
