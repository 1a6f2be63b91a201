"""Files and functions that one can read: no long module, no long function."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "keras_gan"
FILES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 500
MOST_CODE_LINES = 60


def code_lines(function, text):
    """Lines of a function without its docstring, comments and blank lines."""
    lines = text.splitlines()[function.lineno - 1 : function.end_lineno]
    body = function.body[0]
    if ast.get_docstring(function) is not None:
        first, last = (n - function.lineno for n in (body.lineno, body.end_lineno))
        lines = lines[:first] + lines[last + 1 :]
    return sum(bool(line.strip()) and line.strip()[0] != "#" for line in lines)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_and_no_function_is_long(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    # Not a dict: two classes of a module both have an __init__.
    sizes = [
        (node.name, code_lines(node, text))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [size for size in sizes if size[1] > MOST_CODE_LINES] == []


def test_algorithm_1_fits_on_a_screen():
    """`train_step` and both objectives, without their docstrings, within 80 lines."""
    text = (PACKAGE / "gan.py").read_text()
    names = ("train_step", "discriminator_objective", "generator_objective")
    functions = {
        node.name: code_lines(node, text)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    }
    assert sum(functions[name] for name in names) <= 80
    assert len(text.splitlines()) <= 380
