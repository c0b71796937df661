"""Imports point one way, and importing the package stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import bitveil

ROOT = Path(bitveil.__file__).parent
ORDER = (
    "workers cautions shapes codes criteria tables group_tables information entropies "
    "finite_samples wide_codes blocks gradients layers batches measures tasks objectives "
    "networks training certificates columns features specimens frozen repeats inspection "
    "folders exports audits search rows plots saving estimators mixtures baselines datasets "
    "benchmark demo cli".split()
)
HEAVY = "lightning_fabric matplotlib optuna pandas skrub sklearn plotly rich typer".split()


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.split(".")[1] for name in names if name.startswith("bitveil."))


def test_each_module_uses_only_those_before_it():
    for path in ROOT.rglob("*.py"):
        place = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if place in ("__init__", "__main__"):
            continue
        later = [name for name in imported(path) if ORDER.index(name) > ORDER.index(place)]
        assert not later, f"{path.name} uses {later}, which come after it"


def test_importing_the_package_is_light():
    code = f"import bitveil, sys; print([n for n in {HEAVY} if n in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert loaded.stdout.strip() == "[]", loaded.stderr


def test_everything_that_is_exported_exists():
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        if module.endswith("__main__"):
            continue
        names = __import__(module, fromlist=["__all__"])
        for name in getattr(names, "__all__", []):
            assert hasattr(names, name), f"{module} exports {name}, which it lacks"
