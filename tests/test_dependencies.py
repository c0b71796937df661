"""Everything imported is declared, everything declared is pinned, and nothing else is pinned."""

import ast
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "bitveil").rglob("*.py"))
CUDA = ("cuda-", "nvidia-", "triton")  # comes with the torch of some platforms, pinned by it


@cache
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def declared(*extras):
    """The requirements of bitveil itself and of these extras."""

    optional = project()["project"]["optional-dependencies"]
    lines = sum((optional[extra] for extra in extras), project()["project"]["dependencies"])
    return [Requirement(line) for line in lines]


def requirements(name, extra):
    if name == "bitveil":
        return declared(extra) if extra else declared()
    return [Requirement(line) for line in requires(name) or ()]


def closure(*wanted):
    """The names of all packages that these requirements need, directly or indirectly."""

    found, todo = set(), [("bitveil", extra) for extra in wanted]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in found or name.startswith(CUDA):
            continue
        found.add((name, extra))
        todo += [
            (canonicalize_name(each.name), inner)
            for each in requirements(name, extra)
            if each.marker is None or each.marker.evaluate({"extra": extra})
            for inner in ("", *each.extras)
        ]
    return {name for name, _ in found} - {"bitveil"}


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def third_party(nodes):
    for node in nodes:
        names = [node.module] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"bitveil"}


@cache
def owners():
    """The distributions of each top-level module: this reads what all of them say."""

    return packages_distributions()


def distributions(modules):
    return {canonicalize_name(owners().get(module, [module])[0]) for module in modules}


def names(requirements):
    return {canonicalize_name(each.name) for each in requirements}


def test_exactly_what_is_needed_is_pinned():
    pinned = [canonicalize_name(each.name) for each in pins()]

    assert set(pinned) == closure("dev") | {"pip"}
    assert len(pinned) == len(set(pinned))
    assert all(str(each.specifier).startswith("==") for each in pins())


def test_pins_are_within_what_the_project_allows():
    pinned = {canonicalize_name(each.name): str(each.specifier)[2:] for each in pins()}
    allowed = declared(*project()["project"]["optional-dependencies"])
    allowed += [Requirement(line) for line in project()["build-system"]["requires"]]

    for each in allowed:
        if each.name != "bitveil":
            assert each.specifier.contains(pinned[canonicalize_name(each.name)]), each


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_everything_imported_is_declared(path):
    """Modules import only what bitveil needs to run; functions may also import its extras."""

    tree = ast.parse(path.read_text())
    extras = [name for name in project()["project"]["optional-dependencies"] if name != "dev"]

    assert distributions(third_party(tree.body)) <= names(declared())
    assert distributions(third_party(ast.walk(tree))) <= names(declared(*extras))
