"""Imports point one way, in the house and its folders, and importing the package is light."""

import ast
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

import bitveil

ROOT = Path(bitveil.__file__).parent
ORDER = (
    "steps workers cautions quotes checks staging delimited sources writers teams shapes codes "
    "criteria tables group_tables distributions information entropies finite_samples wide_codes "
    "blocks gradients layers "
    "batches measures tasks objectives networks checkpoints shared_batches processes training "
    "cells best_cells certificates columns forests learners posteriors features specimens frozen "
    "repeats inspection folders goals trainers search rows audits schema coder spills decoders "
    "tallies periods monitors plots settings fingerprints leaks remarks pricing tries "
    "architectures fitting samples plans saved_schema saved_statements saving model_audits "
    "exports notebooks estimators models compositions cards streams jobs code_files count_files "
    "clusters stream_audits shares mixtures baselines datasets benchmark demo cli".split()
)
HEAVY = "lightning_fabric matplotlib optuna pandas skrub sklearn plotly rich torch typer".split()
MOST_LINES = 500
MOST_SHARED = 10
"""How many top-level names two modules may both define. Fewer is better."""


def modules():
    """Every module of the package, by its dotted name, with its tree."""

    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        yield ".".join(parts).removesuffix(".__init__"), path, ast.parse(path.read_text())


MODULES = {name: (path, tree) for name, path, tree in modules()}


def imported(tree):
    """The modules and names that a module imports from the package."""

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield (inside, None) if inside in MODULES else (node.module, alias.name)


def used(name):
    """The modules that a module imports when it is itself imported, and lazily."""

    return {where for where, _ in imported(MODULES[name][1]) if where in MODULES and where != name}


def defined(tree):
    """The names that a module defines at its top level."""

    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def exported(tree):
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def test_each_room_uses_only_those_before_it():
    for name in MODULES:
        if name in ("bitveil", "bitveil.__main__"):
            continue
        place = name.split(".")[1]
        rooms = {where.split(".")[1] for where in used(name) if "." in where}
        later = [room for room in rooms if ORDER.index(room) > ORDER.index(place)]
        assert not later, f"{name} uses {later}, which come after it"


def test_every_room_stands_in_the_order():
    assert {name.split(".")[1] for name in MODULES if "." in name} - {"__main__"} == set(ORDER)


def test_no_imports_make_a_circle():
    """Inside folders too. A package's front may import its own modules, and they not the front."""

    below = {name: set(used(name)) for name in MODULES if name != "bitveil"}
    while free := [name for name, others in below.items() if not others & set(below)]:
        for name in free:
            below.pop(name)

    assert not below, f"circles among {sorted(below)}"


def test_only_what_a_module_exports_is_imported():
    for name, (_, tree) in MODULES.items():
        for where, what in imported(tree):
            if where in MODULES and what is not None and where != "bitveil":
                assert what in exported(MODULES[where][1]), f"{name} imports {where}.{what}"


def test_what_is_exported_is_defined():
    for name in MODULES:
        if name.endswith("__main__"):
            continue
        module = __import__(name, fromlist=["__all__"])
        for what in getattr(module, "__all__", []):
            assert hasattr(module, what), f"{name} exports {what}, which it lacks"


@pytest.mark.parametrize("folder", [ROOT, Path(__file__).parent], ids=["package", "tests"])
def test_no_file_is_long(folder):
    lines = {path.name: len(path.read_text().splitlines()) for path in folder.rglob("*.py")}

    assert not {name: n for name, n in lines.items() if n > MOST_LINES}


def checked_modules():
    """The modules whose shapes the tests check."""

    settings = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["tool"]["pytest"]
    (option,) = (
        words
        for words in settings["ini_options"]["addopts"]
        if words.startswith("--jaxtyping-packages=")
    )

    return option.removeprefix("--jaxtyping-packages=").split(",")[:-1]


def test_no_function_is_made_in_another_where_shapes_are_checked():
    """The checks would wrap it anew in every call, for about a millisecond."""

    functions = [
        (name, node)
        for name in checked_modules()
        for node in ast.walk(MODULES[name][1])
        if isinstance(node, ast.FunctionDef)
    ]
    inside = [
        f"{name}:{each.lineno}"
        for name, node in functions
        for each in ast.walk(node)
        if isinstance(each, ast.FunctionDef) and each is not node
    ]

    assert len(functions) > 100
    assert not inside


def test_few_names_are_defined_twice():
    ignored = {"__all__", "__getattr__", "__dir__"}
    places = Counter(what for _, tree in MODULES.values() for what in set(defined(tree)) - ignored)
    shared = sorted(what for what, n in places.items() if n > 1)

    assert len(shared) <= MOST_SHARED, shared


def test_the_criterion_is_dispatched_in_few_places():
    """Elsewhere tables, quantities and `bitveil.criteria` know what a criterion means."""

    names = {"independence", "separation", "equal_opportunity"}
    places = [
        f"{name}:{node.lineno}"
        for name, (_, tree) in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        and any(isinstance(n, ast.Constant) and n.value in names for n in ast.walk(node))
    ]

    assert len(places) <= 4, places


def test_importing_the_package_is_light():
    code = f"import bitveil, sys; print([n for n in {HEAVY} if n in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert loaded.stdout.strip() == "[]", loaded.stderr


def test_the_front_shows_what_is_inside():
    assert set(bitveil.__all__) <= set(dir(bitveil))
    assert all(
        getattr(bitveil, name).__module__.startswith("bitveil.") for name in bitveil.__all__
    )
