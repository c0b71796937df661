"""Every Python block of the README and the pages runs; the blocks of a page share their names.

If a block needs packages that bitveil does not depend on, the line before it names them:
`<!-- needs: faiss -->`. It runs if they are installed. Otherwise the test says what is missing.
"""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(path.name for path in (ROOT / "docs").glob("*.md"))]


class Block(NamedTuple):
    """The code of a block, and the packages that it needs."""

    code: str
    needs: tuple[str, ...]


def read_blocks(text):
    pattern = r"^(?:<!-- needs: ([\w, ]+) -->\n)?```python\n(.*?)^```"
    found = re.findall(pattern, text, flags=re.DOTALL | re.MULTILINE)

    return [Block(code, tuple(needs.replace(",", " ").split())) for needs, code in found]


def blocks(page):
    return read_blocks((ROOT / page if page == "README.md" else ROOT / "docs" / page).read_text())


def seen_before(page):
    earlier = PAGES[: PAGES.index(page)]
    return {block for other in earlier for block in blocks(other)}


def run(page, needs):
    """Run the blocks of a page that need nothing more, and those that need exactly these."""

    names = {}
    for block in blocks(page):
        if block not in seen_before(page) and block.needs in ((), needs):
            exec(compile(block.code, page, "exec"), names)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_code_runs(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BITVEIL_EXAMPLE_ROWS", "400")
    run(page, needs=())

    printed = capsys.readouterr().out
    if page == "README.md":
        assert (
            "gap of every classifier that sees the code ≤ 0.1000 with probability ≥ 0.95"
            in printed
        )
        assert "joint information" in printed
        assert printed.rstrip().endswith("0.0\n1.0")


@pytest.mark.parametrize(
    ("page", "needs"),
    sorted({(page, block.needs) for page in PAGES for block in blocks(page) if block.needs}),
)
def test_code_that_needs_more_runs(page, needs, tmp_path, monkeypatch):
    if missing := [name for name in needs if find_spec(name) is None]:
        pytest.skip(f"{', '.join(missing)} not installed")
    monkeypatch.chdir(tmp_path)
    run(page, needs)


def test_blocks_say_what_they_need():
    text = "<!-- needs: a, b -->\n```python\n1\n```\n<!-- a remark -->\n```python\n2\n```\n"

    assert read_blocks(text) == [Block("1\n", ("a", "b")), Block("2\n", ())]


def test_links_inside_the_repository_lead_somewhere():
    for page in PAGES:
        folder = ROOT if page == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\(([^)#:]+)\)", (folder / page).read_text()):
            assert (folder / target).exists(), f"{page} links to {target}"
