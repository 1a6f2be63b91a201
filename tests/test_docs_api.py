"""The reference of the API: what it lists says what it takes, returns and raises.

All but the last test read sources alone, without MkDocs.
"""

import ast
import os
import re
import runpy
import subprocess
import sys

import pytest

from tests import test_docs_links
from tests.test_sizes import PACKAGE, code_lines

HOOK = runpy.run_path(PACKAGE.parent / "docs/site/hook.py")
SCOPES = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
# A docstring of one line may say all of a function of so few lines of code.
TINY = 12
# What Python asks for, and what a caller is never to see.
UNSAID = {"NotImplementedError", "AttributeError", "AssertionError"}

# Methods that Keras calls, to save and to load.
OF_KERAS = ("get_config", "from_config")


def definition(module, name):
    """The file and the definition of a module's function or class, if it is one."""
    path = HOOK["source_of"](module)
    for node in HOOK["statements"](path):
        if getattr(node, "name", None) == name:
            return path, node
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if name == (alias.asname or alias.name):
                    return definition(node.module, alias.name)
    return path, None


def listed():
    """Yields (where, docstring, function, file) of what the reference shows.

    A class comes with its `__init__`, or None; then its public methods, of which
    overriding ones may leave their docstring to the class above.
    """
    seen = set()
    for modules in HOOK["api"]().values():
        for module, names in modules.items():
            for path, node in (definition(module, name) for name in names):
                if node is None or (path, node.name) in seen:
                    continue
                seen.add((path, node.name))
                where = f"{path.relative_to(HOOK['ROOT'])}:{node.name}"
                if not isinstance(node, ast.ClassDef):
                    yield where, ast.get_docstring(node), node, path
                    continue
                methods = {
                    method.name: method
                    for method in node.body
                    if isinstance(method, ast.FunctionDef)
                }
                yield where, ast.get_docstring(node), methods.get("__init__"), path
                for name, method in methods.items():
                    text = ast.get_docstring(method)
                    is_shown = not name.startswith("_") and name not in OF_KERAS
                    if is_shown and (text or not node.bases):
                        yield f"{where}.{name}", text, method, path


LISTED = list(listed())
# With what the docstring of `__init__` adds to that of its class.
FUNCTIONS = [
    (where, f"{text}\n\n{own}" if own and own != text else text, function, path)
    for where, text, function, path in LISTED
    if text and function is not None
    for own in [ast.get_docstring(function)]
]


def section(text, title):
    """A section of a docstring; "" without one."""
    found = re.search(rf"^{title}:\n((?:(?: {{4}}.*)?(?:\n|$))+)", text, re.M)
    return found[1] if found else ""


def own_nodes(function):
    """All nodes of a function but those of functions and classes within."""
    nodes = list(function.body)
    while nodes:
        node = nodes.pop()
        if not isinstance(node, SCOPES):
            yield node
            nodes += ast.iter_child_nodes(node)


def arguments(function):
    given = function.args
    names = [a.arg for a in [*given.posonlyargs, *given.args, *given.kwonlyargs]]
    return [name for name in names if name not in ("self", "cls")]


def gives_something(function):
    nodes = list(own_nodes(function))
    values = [node.value for node in nodes if isinstance(node, ast.Return)]
    values = [value for value in values if value and ast.unparse(value) != "None"]
    return bool(values) or any(isinstance(n, ast.Yield | ast.YieldFrom) for n in nodes)


def caught_inside(function):
    """The `raise` statements whose error the `try` around them catches."""
    found = set()
    for node in own_nodes(function):
        if isinstance(node, ast.Try):
            names = {
                name.id
                for handler in node.handlers
                for name in ast.walk(handler.type or ast.Name("BaseException"))
                if isinstance(name, ast.Name)
            }
            found |= {
                inner
                for line in node.body
                for inner in ast.walk(line)
                if isinstance(inner, ast.Raise) and name_of(inner) in names
            }
    return found


def name_of(node):
    """The class of the error of a `raise`; "" of what was made elsewhere."""
    error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    name = ast.unparse(error).rpartition(".")[2] if error else ""
    return name if name[:1].isupper() else ""


def errors(function):
    """The names of what a function raises by itself, or by a check of an argument."""
    caught, found = caught_inside(function), set()
    for node in own_nodes(function):
        if isinstance(node, ast.Raise) and node not in caught:
            found.add(name_of(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in CHECKS:
            found.add("ValueError")
    return found - UNSAID - {""}


CHECKS = {
    f"checks.{node.name}"
    for node in ast.parse((PACKAGE / "checks.py").read_text()).body
    if isinstance(node, ast.FunctionDef) and "ValueError:" in ast.get_docstring(node)
}


def test_everything_has_a_docstring():
    assert [where for where, text, *_ in LISTED if not text] == []


def unnamed_arguments(text, function, path):
    """Arguments that neither `Args:` nor the text in backticks names."""
    if "\n" not in text and code_lines(function, path.read_text()) <= TINY:
        return []
    said = section(text, "Args")
    return [
        name
        for name in arguments(function)
        if not re.search(rf"\b{name}\b", said)
        and not re.search(rf"`{name}\b[^`]*`", text)
    ]


def test_a_docstring_says_what_it_takes():
    wrong = {
        where: unnamed_arguments(text, function, path)
        for where, text, function, path in FUNCTIONS
    }
    assert {where: names for where, names in wrong.items() if names} == {}


def unknown_arguments(text, function):
    """Arguments that `Args:` names and the signature does not have."""
    if function.args.kwarg or function.args.vararg:
        return []
    lines = re.sub(r",\n +", ", ", section(text, "Args")).splitlines()
    found = [re.match(r" {4}(\w[\w, ]*):", line) for line in lines]
    names = [name for line in found if line for name in line[1].split(", ")]
    return [name for name in names if name not in arguments(function)]


def test_what_a_docstring_says_that_it_takes_it_takes():
    wrong = {
        where: unknown_arguments(text, function)
        for where, text, function, _ in FUNCTIONS
    }
    assert {where: names for where, names in wrong.items() if names} == {}


def says_what_it_returns(text, function):
    decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
    return (
        function.name == "__init__"
        or not gives_something(function)
        or any("property" in decorator for decorator in decorators)
        or re.match(r"(Returns|Yields|Whether)\b", text)
        or section(text, "Returns")
        or section(text, "Yields")
    )


def test_a_docstring_says_what_it_returns():
    wrong = [
        where
        for where, text, function, _ in FUNCTIONS
        if not says_what_it_returns(text, function)
    ]
    assert wrong == []


def test_a_docstring_says_what_it_raises():
    wrong = {}
    for where, text, function, _ in FUNCTIONS:
        said = section(text, "Raises")
        unsaid = [n for n in errors(function) if not re.search(rf"\b{n}\b", said)]
        wrong |= {where: unsaid} if unsaid else {}
    assert wrong == {}


def test_what_the_rules_read():
    """The rules find what they look for; else they would hold of anything."""
    assert len(LISTED) > 350
    (function,) = ast.parse(
        "def f(self, a, *, b):\n"
        "    checks.count('a', a)\n"
        "    def g():\n"
        "        raise KeyError(1)\n"
        "    if b:\n"
        "        raise files.Busy('x') from None\n"
        "    try:\n"
        "        raise TypeError('y')\n"
        "    except (OSError, TypeError):\n"
        "        pass\n"
        "    return g\n"
    ).body
    assert arguments(function) == ["a", "b"]
    assert errors(function) == {"ValueError", "Busy"}
    assert gives_something(function)
    text = (
        "Does it.\n\nArgs:\n    a: int,\n        >= 1.\n    c: x.\n\nReturns:\n    g."
    )
    assert section(text, "Args").splitlines()[-2:] == ["    c: x.", ""]
    assert unnamed_arguments(text, function, __file__) == ["b"]
    assert unknown_arguments(text, function) == ["c"]
    assert section(text, "Returns") == "    g."
    assert section(text, "Raises") == ""


def test_every_public_module_has_a_page():
    pages = HOOK["api"]()
    assert set(pages) == set(HOOK["public_names"]("keras_gan.api"))
    for name, modules in pages.items():
        assert any(modules.values()), f"{name} shows nothing"
    (names,) = pages["metrics"].values()
    assert {"frechet_distance", "KernelDistance"} <= set(names)
    (names,) = pages["export"].values()
    assert "verify" in names  # imported lazily


def test_the_site_has_every_page_in_the_order_of_the_readme(root):
    pages = HOOK["pages"]()
    assert {root / page for page in pages} == set(test_docs_links.pages(root))
    assert pages[:3] == ["README.md", "docs/start.md", "docs/guide.md"]
    linked = HOOK["linked_files"]()
    assert "docs/images/digits.png" in linked and "LICENSE" in linked
    assert not any("#" in path or path.endswith(".md") for path in linked)


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(
    root, tmp_path
):
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package)
    process = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet",
         "--site-dir", tmp_path / "site"],
        cwd=root, capture_output=True, text=True, timeout=600,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    site = tmp_path / "site"
    for page in HOOK["pages"]():
        html = re.sub(r"(README)?\.md$", lambda m: ("index" if m[1] else "") + ".html",
                      page)  # fmt: skip
        text = (site / html).read_text()
        loaded = re.findall(r"<(?:script|img|link)\b[^>]*?(?:src|href)=\"?([^\s\">]+)",
                            text)  # fmt: skip
        assert loaded and not [t for t in loaded if re.match(r"(https?:)?//", t)]
    assert (site / "docs/images/digits.png").read_bytes()[:4] == b"\x89PNG"
    text = (site / "api/losses.html").read_text()
    assert 'id="keras_gan.losses.Hinge"' in text and "discriminator_loss" in text
    text = (site / "api/export.html").read_text()
    assert 'id="keras_gan.export.verify"' in text
