"""Every Python block of the README and the pages runs; the blocks of a page share their names.

If a block needs packages that bitveil does not depend on, the line before it names them:
`<!-- needs: faiss -->`. It runs if they are installed. Otherwise a test says what is missing.
"""

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = {"_build", "api", "api.rst", "gallery", "command_line.md"}
"""What a build makes in `docs`. It is not in the repository."""

PAGES = [
    "README.md",
    *sorted(
        path.relative_to(DOCS).as_posix()
        for path in DOCS.rglob("*.md")
        if path.relative_to(DOCS).parts[0] not in MADE
    ),
]


class Block(NamedTuple):
    """The code of a block, and the packages that it needs."""

    code: str
    needs: tuple[str, ...]


def read_blocks(text):
    pattern = r"^(?:<!-- needs: ([\w, ]+) -->\n)?```python\n(.*?)^```"
    found = re.findall(pattern, text, flags=re.DOTALL | re.MULTILINE)

    return [Block(code, tuple(needs.replace(",", " ").split())) for needs, code in found]


def blocks(page):
    return read_blocks((ROOT / page if page == "README.md" else DOCS / page).read_text())


def seen_before(page):
    earlier = PAGES[: PAGES.index(page)]
    return {block for other in earlier for block in blocks(other)}


def bound(trees):
    """The names that some blocks make, by any kind of statement."""

    nodes = [node for tree in trees for node in ast.walk(tree)]
    imports = [alias for node in nodes for alias in getattr(node, "names", [])]

    return (
        {
            node.id
            for node in nodes
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        | {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        | {alias.asname or alias.name for alias in imports if isinstance(alias, ast.alias)}
    )


def read(trees):
    """The names that some blocks use."""

    return {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)}


def missing(block):
    """The packages that a block needs, and that are not installed."""

    return [name for name in block.needs if find_spec(name) is None]


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's, of SQLAlchemy
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_code_runs(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BITVEIL_EXAMPLE_ROWS", "400")
    names = {}
    for block in blocks(page):
        if block not in seen_before(page) and not missing(block):
            exec(compile(block.code, page, "exec"), names)

    printed = capsys.readouterr().out
    if page == "README.md":
        assert (
            "gap of every classifier that sees the code ≤ 0.1000 with probability ≥ 0.95"
            in printed
        )
        assert "joint information" in printed
        assert printed.rstrip().endswith("0.0\n1.0")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_without_the_blocks_that_need_more(page):
    """No other block uses a name that only these make."""

    plain = [ast.parse(block.code) for block in blocks(page) if not block.needs]
    optional = [ast.parse(block.code) for block in blocks(page) if block.needs]

    assert not (bound(optional) - bound(plain)) & read(plain)


def test_a_name_that_only_an_optional_block_makes_is_found():
    plain, optional = ast.parse("a = 1\nprint(b)"), ast.parse("import b, c\na = c")

    assert (bound([optional]) - bound([plain])) & read([plain]) == {"b"}


@pytest.mark.parametrize(
    ("page", "block"),
    [(page, block) for page in PAGES for block in blocks(page) if block.needs],
    ids=lambda value: value if isinstance(value, str) else ", ".join(value.needs),
)
def test_nothing_is_missing_that_a_page_needs(page, block):
    if missing(block):
        pytest.skip(f"{', '.join(missing(block))} not installed")


def test_blocks_say_what_they_need():
    text = "<!-- needs: a, b -->\n```python\n1\n```\n<!-- a remark -->\n```python\n2\n```\n"

    assert read_blocks(text) == [Block("1\n", ("a", "b")), Block("2\n", ())]
