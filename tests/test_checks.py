"""Checks at the border: what each returns, and its one line."""

import json.decoder
import sys

import pytest

from keras_gan import checks


def test_require_returns_the_module_itself():
    # A dotted name gives the inner module, as `importlib.import_module` does.
    assert checks.require("json.decoder", "figures") is sys.modules["json.decoder"]
    assert checks.require("json", "figures") is json


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.inner"])
def test_require_names_the_extra_of_what_is_missing(module):
    with pytest.raises(ModuleNotFoundError) as caught:
        checks.require(module, "figures")
    assert str(caught.value) == (
        "no_such_package is not installed. Run: pip install 'keras_gan[figures]'"
    )
    assert caught.value.name == "no_such_package"


def test_require_names_what_the_module_itself_misses(tmp_path, monkeypatch):
    (tmp_path / "needs_another.py").write_text("import another_package")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="^another_package is not installed"):
        checks.require("needs_another", "serving")


def test_require_lets_other_errors_pass(tmp_path, monkeypatch):
    (tmp_path / "is_broken.py").write_text("from json import no_such_name")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ImportError, match="cannot import name") as caught:
        checks.require("is_broken", "serving")
    assert not isinstance(caught.value, ModuleNotFoundError)
