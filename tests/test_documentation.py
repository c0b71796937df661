"""Every Python block of README and documentation runs, those of a page one after the other."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(path.name for path in (ROOT / "docs").glob("*.md"))]


def blocks(page):
    text = (ROOT / page if page == "README.md" else ROOT / "docs" / page).read_text()
    return re.findall(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def seen_before(page):
    earlier = PAGES[: PAGES.index(page)]
    return {block for other in earlier for block in blocks(other)}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)])
def test_code_runs(page, capsys):
    names = {}
    for block in blocks(page):
        if block not in seen_before(page):
            exec(compile(block, page, "exec"), names)

    printed = capsys.readouterr().out
    if page == "README.md":
        assert (
            "gap of every classifier that sees the code ≤ 0.1000 with probability ≥ 0.95"
            in printed
        )
        assert "joint information" in printed
        assert printed.rstrip().endswith("0.0\n1.0")


def test_links_inside_the_repository_lead_somewhere():
    for page in PAGES:
        folder = ROOT if page == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\(([^)#:]+)\)", (folder / page).read_text()):
            assert (folder / target).exists(), f"{page} links to {target}"
