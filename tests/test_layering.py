"""The house: a module imports only from floors with a smaller number."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parent.parent / "keras_gan"
FLOORS = (
    {"version", "checks", "files", "replicas", "keras_private", "streams", "backend"},
    {"critics", "labels", "normalization"},
    {
        "samples",
        "losses",
        "layers",
        "conditional",
        "resampling",
        "optimizers",
        "priors",
        "penalties",
        "augmentation",
        "players",
        "averaging",
        "logs",
        "watching",
    },
    {"datasets", "networks", "metrics", "layer_checks"},
    {"model_checks", "minibatches"},
    {"inputs"},
    {"export"},
    {"generation", "serialization", "serving"},
    {"gan"},
    {"theory", "inference"},
    {"evaluation", "pictures"},
    {"experiments"},
    {"runs"},
    {"demo"},
    {"api"},
    {"commands"},
)
FLOOR = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}


def module_of(path):
    """The name of the floor's entry that a file belongs to: a module or a folder."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    """The modules of the package that a file imports, as (name, line)."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            parts = (node.module or "").split(".")
            if parts[0] != "keras_gan":
                continue
            if len(parts) > 1:
                yield parts[1], node.lineno
            else:
                yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                parts = alias.name.split(".")
                if parts[0] == "keras_gan":
                    yield parts[1] if len(parts) > 1 else "__init__", node.lineno


FILES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path.parent != PACKAGE or path.name != "__init__.py"
)


def test_every_module_has_a_floor():
    assert {module_of(path) for path in FILES} == set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path):
    module = module_of(path)
    for name, line in imported(path):
        inside = name == module and path.parent != PACKAGE
        assert inside or FLOOR[name] < FLOOR[module], (
            f"{path}:{line}: {module} (floor {FLOOR[module]}) imports {name}"
        )


def test_gan_takes_built_networks():
    names = {name for name, _ in imported(PACKAGE / "gan.py")}
    assert not names & {"networks", "datasets", "experiments", "runs"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_second_framework_and_no_flags_in_the_package(path):
    roots = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    forbidden = {"torch", "jax", "pickle"}
    if module_of(path) != "commands":
        forbidden |= {"absl"}
    assert not roots & forbidden
