"""The scripts as a user runs them, and what they do with a user's mistakes."""

import os
import subprocess
import sys

import numpy as np
import pytest

SCRIPTS = (
    "train", "generate", "walk", "project", "complete", "resample", "evaluate",
    "export", "figures", "serve", "demo", "theory",
)  # fmt: skip


def run(root, *arguments, cwd=None):
    # The suite sets a log level of its own; a user has none.
    environment = {**os.environ}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd or root,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("flag", ["--help", "--prest=digits"])
def test_help_and_misspelt_flags_end_without_tensorflow(root, script, flag):
    code = (
        "import runpy, sys\n"
        f"sys.path.insert(0, 'scripts'); sys.argv = ['{script}.py', '{flag}']\n"
        "try:\n"
        f"    runpy.run_path('scripts/{script}.py', run_name='__main__')\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'tensorflow', 'keras', 'keras_gan.api', 'numpy'} & set(sys.modules)\n"
        "print('loaded:', sorted(heavy))\n"
    )
    process = run(root, "-c", code)
    assert "loaded: []" in process.stdout
    text = process.stdout + process.stderr
    assert "Traceback" not in text
    own = {"export": "--check", "serve": "--port", "demo": "--port"}
    own = own.get(script, "--seed")
    assert (own in text) if flag == "--help" else ("Unknown command line" in text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset=digit"], "Expected --preset to be one of 'digits'"),
        pytest.param(["--loss=hing"], "non_saturating", marks=pytest.mark.slow),
        (
            ["--discriminator_steps=0"],
            "Expected train.discriminator_steps to be an int in [1",
        ),
        (["--set=epochs"], "Expected --set=SETTING=VALUE"),
        (["--set=epoch=3"], "Did you mean 'epochs'?"),
        (["--dataset=digitz"], "Did you mean 'digits'?"),
        pytest.param(["--preset=tfd"], "TFD_48x48.mat", marks=pytest.mark.slow),
        pytest.param(
            ["--keep_checkpoints=0"],
            "Expected --keep_checkpoints to be an int >= 1",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--dry_run", "--distribute=mirrored"],
            "Expected runtime.distribute to be none for a dry run",
            marks=pytest.mark.slow,
        ),
        (["stray"], "Expected only flags"),
    ],
)
def test_a_users_mistake_is_one_line_and_leaves_nothing(
    root, tmp_path, arguments, message
):
    process = run(root, str(root / "scripts" / "train.py"), *arguments, cwd=tmp_path)
    assert process.returncode == 1, process.stderr
    text = process.stdout + process.stderr
    assert message in text and "Traceback" not in text
    (line,) = text.splitlines()
    assert line.startswith("error: Expected")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("short_classifier")
def test_train_generate_evaluate(root, tmp_path, command):
    scripts = root / "scripts"
    process = run(
        root, str(scripts / "train.py"), "--epochs=1", "--seed=3", "--batch_size=50",
        "--discriminator_steps=2", "--loss=minimax", "--set=latent_dim=20",
        cwd=tmp_path,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert "scripts/generate.py --model=runs/digits" in process.stdout
    generate = ["--model=runs/digits", "--seed=7", "--num_samples=12"]
    process = run(
        root, str(scripts / "generate.py"), *generate, "--output=a.npz", cwd=tmp_path
    )
    assert process.returncode == 0, process.stderr
    status, _, errors = command("generate", *generate, "--output=b.npz")
    assert status == 0, errors
    outputs = []
    for name in ("a", "b"):
        with np.load(tmp_path / f"{name}.npz", allow_pickle=False) as file:
            outputs.append(file["samples"])
    assert outputs[0].shape == (12, 8, 8, 1)
    np.testing.assert_array_equal(*outputs)  # across processes
    status, text, errors = command(
        "evaluate", "--model=runs/digits", "--num_samples=100"
    )
    assert status == 0, errors
    for words in ("Gaussian draws", "Parzen LL", "accuracy of D", "final (initial)"):
        assert words in text
    status, text, errors = command("figures", "--model=runs/digits")
    assert status == 0, errors
    for name in (
        *("figure_2.png", "figure_3.png", "curves.png", "health.png", "training.gif"),
    ):
        assert f"Wrote runs/digits/figures/{name}" in text
        assert (tmp_path / "runs" / "digits" / "figures" / name).stat().st_size > 1000
    status, _, errors = command("figures", "--model=runs/digits", "--figure=1")
    assert status == 1 and "Traceback" not in errors
    assert "error: Expected a run with moments.npz for figure 1" in errors
    status, text, errors = command("export", "--model=runs/digits")
    assert status == 0, errors
    assert "It can be served.\nPublished runs/digits/export/1" in text
    generate[0] = "--model=runs/digits/export"
    status, _, errors = command("generate", *generate, "--output=c.npz")
    assert status == 0, errors
    with np.load(tmp_path / "c.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(file["samples"], outputs[0], atol=1e-5)
    status, _, errors = command("train")
    assert status == 1 and "--overwrite" in errors
    status, _, errors = command("generate", "--model=nothing")
    assert status == 1 and "error: Expected a run's" in errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Expected one of --model and --check"),
        (["--model=a", "--check=b"], "Expected one of --model and --check"),
        (["--model=nothing"], "Expected a run's directory"),
        (["--check=nothing"], "Expected a directory with exported versions"),
    ],
)
def test_what_export_cannot_do_is_one_line(root, tmp_path, arguments, message):
    process = run(root, str(root / "scripts/export.py"), *arguments, cwd=tmp_path)
    assert process.returncode == 1, process.stderr
    (line,) = (line for line in process.stderr.splitlines() if message in line)
    assert line.startswith("error: Expected") and "Traceback" not in process.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_evaluate_takes_an_export(root, tmp_path):
    for script, *arguments in (
        ("train", "--epochs=1", "--workdir=run"),
        ("export", "--model=run", "--noverify"),
        ("evaluate", "--model=run/export", "--num_samples=100"),
    ):
        process = run(
            root, str(root / f"scripts/{script}.py"), *arguments, cwd=tmp_path
        )
        assert process.returncode == 0, process.stderr
    assert "Parzen LL" in process.stdout
    assert not list(tmp_path.rglob("*scores.json"))


@pytest.mark.slow
def test_theory(root, tmp_path):
    process = run(root, str(root / "scripts/theory.py"), "--output=new", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    for words in ("Proposition 1", "Theorem 1", "Proposition 2", "Section 3"):
        assert words in process.stdout
    for path in process.stdout.split("Figures:")[1].split():
        assert (tmp_path / path).read_bytes()[:4] == b"\x89PNG"
    assert len(list((tmp_path / "new").iterdir())) == 4
    process = run(root, str(root / "scripts/theory.py"), "--seed=-1", cwd=tmp_path)
    assert process.returncode == 1 and "error: Expected --seed" in process.stderr


def test_every_script_is_short(root):
    for path in (root / "scripts").glob("*.py"):
        assert len(path.read_text().splitlines()) < 90, path
