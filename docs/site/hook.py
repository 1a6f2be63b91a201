"""Tells MkDocs which files of the repository are pages, and makes those of the API.

The pages stay where they are and link to each other, to pictures and to sources by
paths of the repository. MkDocs is given all of them under these paths, so that each
link holds here as it does there. `mkdocs.yml` names this module as a hook.
"""

import ast
import pathlib
import re
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/*.md",
    "saved_models/README.md",
    "serving/README.md",
)
# A page of the API for classes whose modules `keras_gan.api` does not name.
GAN_PAGE = {"keras_gan.gan": ["GAN"], "keras_gan.generation": ["GenerativeModel"]}
# Modules of `keras_gan.api` that lie elsewhere than their name says.
ELSEWHERE = {
    "callbacks": "keras_gan.runs.callbacks",
    "checkpoint": "keras_gan.runs.checkpoint",
}


def pages() -> list[str]:
    """Returns the pages in the order of the README's list, then all others."""
    found = [path for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    found = [path.relative_to(ROOT).as_posix() for path in found]
    _, _, section = (ROOT / "README.md").read_text().partition("\n## Documentation\n")
    listed = re.findall(r"\]\(([^)#\s]+\.md)", section)
    return list(dict.fromkeys(["README.md", *listed, *found]))


def linked_files() -> list[str]:
    """Returns what the pages link to besides pages: pictures, sources, the license."""
    found = set()
    for page in pages():
        folder = (ROOT / page).parent
        for target in re.findall(r"\]\(([^)#\s]+)", (ROOT / page).read_text()):
            path = (folder / urllib.parse.unquote(target)).resolve()
            if path.is_file() and path.is_relative_to(ROOT) and path.suffix != ".md":
                found.add(path.relative_to(ROOT).as_posix())
    return sorted(found)


def source_of(module: str) -> pathlib.Path:
    """Returns the file of a module or package."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def statements(path: pathlib.Path) -> list[ast.stmt]:
    """Returns the statements of a module.

    Also those below an `if`: what is imported lazily is named for type checkers alone.
    """
    body = ast.parse(path.read_text()).body
    return [*body, *(s for node in body if isinstance(node, ast.If) for s in node.body)]


def public_names(module: str) -> list[str]:
    """Returns a module's `__all__`; without it, its functions, classes and re-exports.

    A re-export is `from a import b as b`, as a type checker reads it.
    """
    names = []
    for node in statements(source_of(module)):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
        if isinstance(node, ast.ImportFrom):
            names += [alias.name for alias in node.names if alias.asname == alias.name]
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
    return [name for name in names if not name.startswith("_")]


def api() -> dict[str, dict[str, list[str]]]:
    """Returns the pages of the API: names of modules, each with what it shows."""
    found = {"GAN": GAN_PAGE}
    modules = {name: name for name in public_names("keras_gan.api") if name != "GAN"}
    for name in sorted(modules):
        module = ELSEWHERE.get(name, f"keras_gan.{name}")
        # A module that has a page of its own is not shown twice.
        shown = [n for n in public_names(module) if n not in ELSEWHERE]
        found[name] = {module: shown}
    return found


def api_page(name: str, modules: dict[str, list[str]]) -> str:
    """Returns the Markdown of a page of the API, which mkdocstrings fills."""
    lines = [f"# keras_gan.{name}"]
    for module, names in modules.items():
        lines += ["", f"::: {module}", "    options:", "      members:"]
        lines += [f"        - {shown}" for shown in names]
        lines += ["      show_root_heading: false", "      show_root_toc_entry: false"]
    return "\n".join(lines) + "\n"


def on_config(config):
    """Sets the navigation: the README's list, then the reference of the API."""
    config.nav = [
        *pages(),
        {"API": [{name: f"api/{name}.md"} for name in api()]},
    ]
    return config


def on_files(files, config):
    """Gives MkDocs the pages, what they link to, and the pages of the API."""
    from mkdocs.structure.files import File

    # MkDocs has looked into docs/ and named its files as if that were the root.
    for file in list(files):
        if file.src_dir == config.docs_dir:
            files.remove(file)
    for path in [*pages(), *linked_files()]:
        source = str(ROOT / path)
        files.append(File.generated(config, path, abs_src_path=source))
    for name, modules in api().items():
        text = api_page(name, modules)
        files.append(File.generated(config, f"api/{name}.md", content=text))
    return files
