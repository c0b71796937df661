"""The gallery's examples can be built: their parts, and the built pages where there are any.

The documentation build runs the examples, and fails if one of them does. So they do not run here.
"""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
BUILT = ROOT / "docs" / "_build" / "html"
SECRETIVE = re.compile(r"/(home|root|tmp|work|usr)/|https?://(?!doi\.org|arxiv\.org)")


def parsed(example):
    return ast.parse(example.read_text(), str(example))


def calls(tree):
    """The names of all methods and functions that are called."""

    nodes = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]

    return {node.attr if isinstance(node, ast.Attribute) else node.id for node in nodes}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


def distributions():
    """What the package and its plots need, as the names that are imported."""

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["plots"]]
    names = {re.split(r"[>=\[]", each)[0].replace("-", "_") for each in needed}

    return names | {"sklearn"}


def test_there_are_examples():
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_its_parts(example):
    assert re.fullmatch(r"plot_\d\d_[a-z_]+", example.stem)  # sphinx-gallery runs only plot_*
    tree, text = parsed(example), example.read_text()
    title, line, empty, *introduction = ast.get_docstring(tree).splitlines()

    assert set(line) == {"="}
    assert len(line) == len(title) <= 40
    assert not empty
    assert "".join(introduction)
    assert text.count("\n# %%\n# ") >= 3  # cells with words between them
    assert text.rstrip().endswith("plt.show()")
    assert calls(tree) & {"subplots", "figure", "plot_monitor"}
    assert "set_title" in calls(tree) or "plot_monitor" in calls(tree)  # for those who cannot see


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_needs_nothing_from_elsewhere(example):
    """Only packages that come with bitveil and its plots, bundled data, and no place of ours."""

    known = distributions() | {"bitveil", "pathlib", "tempfile"}

    assert set(imported(parsed(example))) <= known
    assert not SECRETIVE.search(example.read_text())


def test_no_two_examples_have_one_number():
    numbers = [example.stem[5:7] for example in EXAMPLES]

    assert numbers == [f"{number:02}" for number in range(1, len(EXAMPLES) + 1)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_built_page_has_its_figure_and_its_downloads(example):
    page = BUILT / "gallery" / f"{example.stem}.html"
    if not page.exists() or page.stat().st_mtime < example.stat().st_mtime:
        pytest.skip("the documentation is not built, or older than the example")
    html = page.read_text()

    assert f"sphx_glr_{example.stem}_001.png" in html
    assert f"{example.stem}.ipynb" in html
    assert f"{example.stem}.py" in html
    assert "Traceback" not in html
    assert not SECRETIVE.search(re.sub(r"<[^>]*>", "", html))  # what a reader sees
