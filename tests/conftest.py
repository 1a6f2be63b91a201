"""Settings and fixtures of the whole suite."""

import gc
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope="module")
def fresh_keras():
    """A module's graphs do not pile up on those of the modules before."""
    keras.backend.clear_session()
    # Garbage first, or it would stay as well: of all slow tests it was 12 GB.
    gc.collect()
    # What is left lives until the end. To look through these millions of objects again,
    # in this and every later collection, took seconds a module.
    gc.freeze()


@pytest.fixture(autouse=True)
def global_seed():
    """What a test draws from the global seed does not depend on those before it."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def policy(request):
    """The global dtype policy of a test, which it names as a parameter."""
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy(request.param)
    yield request.param
    keras.mixed_precision.set_dtype_policy(before)


@pytest.fixture(scope="session")
def test_data():
    """The folder of real data that stands in for the network, if there is one."""
    folder = os.environ.get("KERAS_GAN_TEST_DATA")
    if not folder:
        pytest.skip("KERAS_GAN_TEST_DATA names no folder of real data")
    return pathlib.Path(folder)


@pytest.fixture
def short_classifier(monkeypatch, tmp_path_factory):
    """Scores whose values do not matter: features after 60 steps, not 1,200."""
    from keras_gan import metrics

    monkeypatch.setattr(metrics.Classifier, "STEPS", 60)
    cache = tmp_path_factory.getbasetemp() / "short_classifier"
    monkeypatch.setenv("KERAS_GAN_CACHE", str(cache))


@pytest.fixture
def no_matplotlib(monkeypatch):
    """An installation without the extra `figures`."""
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs a command in this process: another one takes seconds to load TensorFlow."""
    from keras_gan.commands import console

    monkeypatch.setattr("keras_gan.commands.quiet.load_package", lambda values: None)
    monkeypatch.chdir(tmp_path)

    def run_here(*arguments):
        capsys.readouterr()
        status = console.run([str(word) for word in arguments])
        return status, *capsys.readouterr()

    return run_here
