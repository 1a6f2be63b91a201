"""The console command: help, flags, messages, and what it lets TensorFlow say."""

import contextlib
import logging
import os
import shlex
import subprocess
import sys

import pytest
from absl import flags

from keras_gan.commands import console, quiet, settings, train, wording
from keras_gan.experiments import PRESETS
from keras_gan.experiments import settings as all_settings
from keras_gan.runs import Run
from keras_gan.version import __version__


def fresh_process(root, code):
    """What `code` prints in a new Python, from the checkout."""
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["trian"],
        *([name, "--help"] for name in console.COMMANDS),
    ],
    ids=" ".join,
)
def test_what_needs_no_tensorflow_loads_none(root, arguments):
    code = (
        "import sys, keras_gan_command\n"
        f"sys.argv = ['keras-gan', *{arguments}]\n"
        "try:\n"
        "    keras_gan_command.main()\n"
        "except SystemExit:\n"
        "    pass\n"
        "print('loaded:', sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert fresh_process(root, code).endswith("loaded: []\n")


@pytest.mark.slow
def test_the_package_is_loaded_in_full_after_the_flags(root):
    code = (
        "import keras_gan_command as command\n"
        "command.reading_flags = True\n"
        "import keras_gan\n"
        "assert not hasattr(keras_gan, 'GAN')\n"
        "command.load_package()\n"
        "assert set(keras_gan.api.__all__) <= set(vars(keras_gan))\n"
        "print(keras_gan.GAN.__name__)"
    )
    assert fresh_process(root, code) == "GAN\n"


@pytest.mark.slow
def test_the_entry_point_leaves_import_keras_gan_alone(root):
    code = "import keras_gan_command, keras_gan; print(keras_gan.GAN.__name__)"
    assert fresh_process(root, code) == "GAN\n"


# === Help ===


def test_the_overview_names_every_command(capsys):
    assert console.run(["--help"]) == 0
    text = capsys.readouterr().out
    for name in console.COMMANDS:
        assert f"\n  {name} " in text


def test_version(capsys):
    assert console.run(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("command", console.COMMANDS)
def test_help_names_every_flag_with_a_sentence(command, capsys):
    assert console.run([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(console._module(command).__doc__.partition("\n")[0])
    for name in console.flag_values(console._module(command)):
        assert f"--{name}=" in text or f"--[no]{name}" in text
    assert "repeat this option" not in text and "<" not in text


def test_help_says_choices_defaults_and_what_may_be_repeated(capsys):
    console.run(["figures", "--help"])
    text = capsys.readouterr().out
    assert "--figure=1|2|3|classes|curves|health|training|all" in text
    console.run(["generate", "--help"])
    text = capsys.readouterr().out
    assert "The number of samples. Default: 100." in text
    assert "Default: grid.png." in text


def test_help_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    for command in console.COMMANDS:
        assert max(map(len, console.help_text(command).splitlines())) <= 84


def test_help_lists_the_presets_and_every_setting_with_its_value(capsys):
    assert console.run(["train", "--help", "--preset=ring8"]) == 0
    text = capsys.readouterr().out
    for name, preset in PRESETS.items():
        assert f"\n  {name} " in text and preset.source[:20] in text
    assert "with their values in ring8" in text
    for line in (
        "data.name=ring8", "loss=relativistic", "networks=toy_mlp",
        "prior.name=normal", "prior.latent_dim=2",
        "generator.learning_rate=0.003", "train.ema_decay=none",
        "train.batch_size=500", "runtime.distribute=none", "penalties=[",
        "augmentation=none",
    ):  # fmt: skip
        assert f"\n  {line}" in text
    words = " ".join(text.split())
    assert "The learning rate at the start (a number above 0)." in words
    # All of them, the experiment's own name and source aside.
    shown = {line.split("=")[0].strip() for line in text.splitlines() if "=" in line}
    parts = {f"{part}.name": part for part in ("networks", "loss", "augmentation")}
    expected = {parts.get(path, path) for path in all_settings()} - {"name", "source"}
    assert expected <= shown


def test_help_survives_flags_that_are_wrong(capsys):
    assert console.run(["train", "--preset=nothing", "--help"]) == 0
    assert "with their values in digits" in capsys.readouterr().out
    assert console.run(["train", "--no_such_flag", "--help"]) == 0


def read(*arguments):
    """Returns the experiment that flags of `keras-gan train` ask for."""
    values = console.flag_values(console._module("train"))
    values(["train", *arguments])
    return settings.read(values)


def test_flags_and_set_replace_settings():
    experiment = read(
        "--preset=ring8", "--epochs=3", "--batch_size=7", "--seed=9", "--loss=minimax",
        "--dataset=grid25", "--distribute=mirrored", "--jit_compile=false",
        "--discriminator_steps=2", "--mixed_precision=float32",
        "--set=generator.learning_rate=2e-4", "--set=ema_decay=0.5",
    )  # fmt: skip
    assert experiment.differences(PRESETS["ring8"]) == [
        "data.name", "loss.name", "generator.learning_rate", "train.epochs",
        "train.batch_size", "train.discriminator_steps", "train.ema_decay",
        "train.seed", "runtime.mixed_precision", "runtime.jit_compile",
        "runtime.distribute",
    ]  # fmt: skip
    assert experiment.generator.learning_rate == 2e-4
    assert experiment.runtime.jit_compile is False
    assert read("--preset=digits") == PRESETS["digits"]


def test_a_folder_is_trained_by_the_preset_of_pictures():
    """The digits' small MLP, which is the default, would make mush of photographs."""
    assert read("--dataset=folder:photos").name == "pictures64"
    assert read("--dataset=folder:photos", "--preset=digits").name == "digits"
    assert read("--dataset=mnist").name == read().name == "digits"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_arguments_that_are_set_reach_what_a_flag_names(place):
    given = ["--set=loss.from_samples=false", "--set=loss.weight=0.5"]
    given.insert(place, "--loss=auxiliary_classifier")
    loss = read(*given).loss
    assert loss.name == "auxiliary_classifier"
    assert loss.arguments == {"from_samples": False, "weight": 0.5}


def test_the_command_that_resumes_gives_the_same_settings(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["scripts/train.py"])
    monkeypatch.setattr(sys, "executable", "/usr/bin/python")
    values = console.flag_values(train)
    given = ["--preset=ring8", "--overwrite", "--epochs=3", "--set=ema_decay=0.5"]
    given += ["--set=prior.scale=2.0", "--workdir", "a b", "--data_dir=d"]
    given += ["--set=networks=digits_mlp", "--set=networks.generator_noise=0.1"]
    given += ["--set=data.value_range=(-1, 1)", "--set=runtime.jit_compile=true"]
    given += ['--set=penalties=[{"name": "r1", "weight": 2.0}]', "--loss=minimax"]
    given += ["--checkpoint_steps=5", "--nodry_run", "--resume=never"]
    values(["train", *given])
    run = Run("a b", settings.read(values), "d")
    program, script, *words = shlex.split(train._resume_command(run, values))
    assert (program, script) == ("/usr/bin/python", "scripts/train.py")
    again = console.flag_values(train)
    again(["train", *words])
    assert settings.read(again) == settings.read(values)
    for name, value in {
        "workdir": "a b", "data_dir": os.path.abspath("d"), "resume": "auto",
        "overwrite": False, "checkpoint_steps": 5,
    }.items():  # fmt: skip
        assert again[name].value == value
    assert "--set=train.epochs=3" in words and "--set=networks=digits_mlp" in words


# === Mistakes ===


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "Expected a command among train, generate, walk, project, complete, "
         "resample, evaluate, figures, export, serve, demo, theory. Received: none. "
         "See keras-gan --help"),
        (["trian"], "Expected a command among train, generate, walk, project, "
         "complete, resample, evaluate, figures, export, serve, demo, theory. "
         "Received: 'trian'. Did you mean 'train'? See keras-gan --help"),
        (["generate"], "Expected --model=... Received: none. See keras-gan generate "
         "--help"),
        (["generate", "--model=x", "y"], "Expected only flags. Received: y"),
        (["generate", "--modle=x"], "Unknown command line flag 'modle'. Did you mean: "
         "model ? See keras-gan generate --help"),
        (["generate", "--model=x", "--num_samples=0"], "flag --num_samples=0: 0 is not "
         "an integer in the range [1, 2147483647] See keras-gan generate --help"),
        (["export"], "Expected one of --model and --check. Received: both or none"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_flags_is_one_line(arguments, line, capsys):
    assert console.run(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    if "range" in line:  # absl words the bounds
        assert captured.err.startswith("error: flag --num_samples=0")
        assert len(captured.err.splitlines()) == 1
    else:
        assert captured.err == f"error: {line}\n"


@pytest.fixture
def command(monkeypatch):
    """A command whose `main` the test gives, in place of theory."""

    def install(main):
        module = console._module("theory")
        monkeypatch.setattr(module, "main", main)
        return lambda *arguments: console.run(["theory", *arguments])

    return install


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ValueError("Expected this.\n  Received: that"), 1,
         "error: Expected this. Received: that"),
        (PermissionError(13, "Permission denied", "runs/x"), 1,
         "error: [Errno 13] Permission denied: 'runs/x'"),
        (ArithmeticError("Training diverged"), 1, "error: Training diverged"),
        (ModuleNotFoundError("x is not installed. Run: pip install 'keras_gan[all]'"),
         1, "error: x is not installed. Run: pip install 'keras_gan[all]'"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)  # fmt: skip
def test_what_a_user_can_cause_is_one_line(command, capsys, error, status, line):
    def main(values):
        raise error

    assert command(main)() == status
    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (KeyError("a bug"), []),
        (ModuleNotFoundError("No module named 'a_bug'"), []),
        (ValueError("a mistake"), ["--traceback"]),
    ],
)
def test_bugs_and_what_the_user_wants_to_see_keep_their_traceback(
    command, error, arguments
):
    def main(values):
        raise error

    with pytest.raises(type(error)):
        command(main)(*arguments)


def test_what_the_package_logs_is_printed_while_a_command_runs(command, capsys):
    logger = logging.getLogger("keras_gan.runs")

    def main(values):
        logger.info("Resuming after step %d", 7)
        logger.warning("pass output='x' next time")

    assert command(main)() == 0
    captured = capsys.readouterr()
    assert captured.out == "Resuming after step 7\n"
    assert captured.err == "warning: pass --output=x next time\n"
    logger.warning("nobody prints this")
    assert "nobody" not in capsys.readouterr().out
    assert logging.getLogger("keras_gan").handlers == []


# === Words ===


@pytest.fixture
def values():
    values = flags.FlagValues()
    flags.DEFINE_bool("overwrite", False, "", flag_values=values)
    flags.DEFINE_string("resume", "never", "", flag_values=values)
    flags.DEFINE_integer("epochs", None, "", flag_values=values)
    return values


@pytest.mark.parametrize(
    ("python", "in_flags"),
    [
        ("pass overwrite=True to replace it", "pass --overwrite to replace it"),
        ("or overwrite=False.", "or --nooverwrite."),
        ("pass resume='auto', or", "pass --resume=auto, or"),
        ('pass resume="auto".', "pass --resume=auto."),
        ("Expected epochs=5. Received: epochs=3", 
         "Expected --epochs=5. Received: --epochs=3"),
        ("Expected `epochs` to be an int", "Expected --epochs to be an int"),
        ("Received: none; pass its name as epochs", "Received: none; pass --epochs"),
        # No flag of the command, or a flag already, or something else of that name.
        ("pass seed=3 or `seed`", "pass seed=3 or `seed`"),
        ("pass --epochs=3", "pass --epochs=3"),
        ("--set=epochs=3", "--set=epochs=3"),
        ("train.epochs=3 and batch_epochs=3", "train.epochs=3 and batch_epochs=3"),
        ("overwrite=maybe", "overwrite=maybe"),
        ("runs/epochs=3 holds a run", "runs/epochs=3 holds a run"),
        ("epochs=12/gan.keras is", "epochs=12/gan.keras is"),
        ("a == epochs == b", "a == epochs == b"),
    ],
)  # fmt: skip
def test_python_is_translated_into_flags(values, python, in_flags):
    assert wording.in_flags(python, values) == in_flags


def test_a_command_with_settings_is_told_the_setting(values):
    message = "remove them, or pass skip_broken=True"
    assert wording.in_flags(message, values) == message
    flags.DEFINE_multi_string("set", [], "", flag_values=values)
    told = wording.in_flags(message, values)
    assert told == "remove them, or pass --set=skip_broken=true"
    assert wording.in_flags("overwrite=True", values) == "--overwrite"


# === The next command ===


def test_the_next_command_is_typed_like_this_one(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv/bin/python"))
    program = tmp_path / ".venv/bin/keras-gan"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", "")

    def typed_by(program, *arguments):
        monkeypatch.setattr(sys, "argv", [str(program)])
        return console.typed("generate", *arguments)

    assert typed_by("scripts/train.py", "--model=a b") == (
        ".venv/bin/python scripts/generate.py '--model=a b'"
    )
    assert typed_by(tmp_path / "keras_gan_command.py") == (
        ".venv/bin/python -m keras_gan_command generate"
    )
    assert typed_by(program) == ".venv/bin/keras-gan generate"
    monkeypatch.setenv("PATH", str(program.parent))
    assert typed_by(program) == "keras-gan generate"


# === Quiet ===


def test_stderr_is_held_back_and_shown_after_an_exception(capfd):
    with quiet.held_back_stderr():
        os.write(2, b"a note\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), quiet.held_back_stderr():
        os.write(2, b"libfoo.so is missing\n")
        raise ImportError
    assert capfd.readouterr().err == "libfoo.so is missing\n"
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


# === An output whose reader leaves ===


@pytest.mark.parametrize(
    ("redirection", "says"),
    [
        (">/dev/full", ""),
        pytest.param(">&- 2>&-", "", marks=pytest.mark.slow),
        pytest.param(">&-", "", marks=pytest.mark.slow),
        pytest.param("2>&-", "Next: ", marks=pytest.mark.slow),
        pytest.param("2>/dev/full", "Next: ", marks=pytest.mark.slow),
    ],
)
def test_the_output_does_not_decide_over_a_training(root, tmp_path, redirection, says):
    process = subprocess.run(
        f"{sys.executable} -m keras_gan_command train --preset=digits --epochs=1 "
        f"--workdir={tmp_path}/run {redirection}",
        shell=True,
        capture_output=True,
        text=True,
        cwd=root,
    )
    assert process.returncode == 0 and (tmp_path / "run" / "gan.keras").exists()
    assert says in process.stdout + process.stderr


def test_what_could_not_be_told_is_a_failure(root, monkeypatch, capsys):
    class Full:
        def write(self, text):
            raise OSError(28, "No space left on device")

        def flush(self):
            pass

    monkeypatch.setattr("sys.stdout", Full())
    arguments = ["export", f"--check={root / 'saved_models/digits/1'}"]
    assert console.run(arguments) == 1
    assert "error: Expected a standard output that can be" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]])
def test_a_reader_may_leave_the_help(monkeypatch, arguments):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", closefd=False) as stream:
        monkeypatch.setattr("sys.stdout", stream)
        assert console.run(arguments) == 0
        with contextlib.suppress(OSError):
            stream.close()
    os.close(writer)


# === The user's own modules ===

MINE = """
import keras, keras_gan

@keras.saving.register_keras_serializable("mine")
class Double(keras.layers.Layer):
    def call(self, inputs):
        return 2.0 * inputs

@keras.saving.register_keras_serializable("mine")
class Mine(keras_gan.losses.NonSaturating):
    pass

keras_gan.losses.BY_NAME["mine"] = Mine
"""


@pytest.mark.slow
def test_commands_know_a_module_of_the_users(root, tmp_path):
    """In two processes, neither of which has the module before --import."""
    (tmp_path / "mine.py").write_text(MINE)
    train = (
        "from keras_gan.commands import console\n"
        "assert console.run(['train', '--preset=digits', '--epochs=1',"
        " '--import=mine', '--set=loss=mine']) == 0\n"
        "import mine, keras, keras_gan\n"
        "g = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, 'sigmoid'),"
        " mine.Double(), keras.layers.Reshape((2, 2, 1), dtype='float32')])\n"
        "d = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(),"
        " keras.layers.Dense(1)])\n"
        "gan = keras_gan.GAN(g, d, keras_gan.priors.Normal(3))\n"
        "gan.save('gan.keras')\n"
    )
    generate = (
        "from keras_gan.commands import console\n"
        "assert console.run(['generate', '--model=gan.keras']) == 1\n"
        "import os\n"
        "assert not os.path.exists('grid.png')\n"
        "assert console.run(['generate', '--model=gan.keras', '--import=mine']) == 0\n"
    )
    for code in (train, generate):
        # In a folder of its own: only --import is to find the module.
        (tmp_path / "code").mkdir(exist_ok=True)
        (tmp_path / "code" / "main.py").write_text(code)
        told = subprocess.run(
            [sys.executable, str(tmp_path / "code" / "main.py")],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
        )
        assert told.returncode == 0, told.stderr
    assert any(
        line.endswith("not registered with Keras. Pass --import=ITS_MODULE.")
        and "needs Double, which is" in line
        for line in told.stderr.splitlines()
    )
    assert (tmp_path / "grid.png").exists()
    assert '"name": "mine"' in (tmp_path / "runs/digits/config.json").read_text()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing_here", "ModuleNotFoundError: No module named 'nothing_here'"),
        ("broken_here", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_line(
    tmp_path, monkeypatch, values, name, reason
):
    (tmp_path / "broken_here.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(quiet, "_load_package", lambda: None)
    quiet.define_import(values)
    values(["generate", f"--import={name}"])
    with pytest.raises(ValueError) as error:
        quiet.load_package(values)
    expected = f"a module that can be imported. Received: {name} ({reason})"
    assert str(error.value) == f"Expected {expected}"
