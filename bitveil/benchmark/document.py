"""A document of a few kinds of blocks, which can be rendered as Markdown and as HTML.

Text is plain, except for `**strong**` and backticks.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from bitveil.audits.page.environment import integrity, page_environment

__all__ = [
    "Block",
    "Figure",
    "Heading",
    "Items",
    "Page",
    "PageTable",
    "Text",
    "html",
    "linked",
    "markdown",
]


@dataclass(frozen=True)
class Heading:
    """A heading.

    Attributes:
        text: Its text.
        level: 2 for a section, 3 for a subsection.
    """

    text: str
    level: int = 2
    kind: ClassVar[str] = "heading"

    @property
    def key(self) -> str:
        """Its name in links.

        Example:
            >>> Heading("Where a baseline is better").key
            'where-a-baseline-is-better'
        """

        return re.sub(r"\W+", "-", self.text.lower()).strip("-")


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: ClassVar[str] = "text"


@dataclass(frozen=True)
class Items:
    """A list."""

    items: tuple[str, ...]
    kind: ClassVar[str] = "items"


@dataclass(frozen=True)
class PageTable:
    """A table. Its first column names the rows."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kind: ClassVar[str] = "table"


@dataclass(frozen=True)
class Figure:
    """A figure in a file beside the document."""

    file: str
    alt: str
    kind: ClassVar[str] = "figure"


Block = Heading | Text | Items | PageTable | Figure


@dataclass(frozen=True)
class Page:
    """A page of a document of several.

    Attributes:
        name: The name of its file, without its ending.
        title: Its title.
        blocks: Its blocks. Their headings are of level 2 and below.
    """

    name: str
    title: str
    blocks: tuple[Block, ...]

    @property
    def section(self) -> tuple[Block, ...]:
        """The page as a section of a larger one: its title is a heading, and others are below.

        Example:
            >>> Page("one", "One", (Heading("Part"),)).section
            (Heading(text='One', level=2), Heading(text='Part', level=3))
        """

        lowered = (
            Heading(block.text, block.level + 1) if isinstance(block, Heading) else block
            for block in self.blocks
        )

        return (Heading(self.title), *lowered)


def linked(pages: Sequence[Page], folder: str) -> str:
    """Links to pages in a folder, in Markdown, and the same pages for Sphinx's contents.

    Example:
        >>> print(linked([Page("one", "First", ())], "rest"), end="")
        - [First](rest/one.md)
        <BLANKLINE>
        ```{toctree}
        :hidden:
        <BLANKLINE>
        rest/one
        ```
    """

    links = "\n".join(f"- [{page.title}]({folder}/{page.name}.md)" for page in pages)
    contents = "\n".join(f"{folder}/{page.name}" for page in pages)

    return f"{links}\n\n```{{toctree}}\n:hidden:\n\n{contents}\n```\n"


def markdown(title: str, blocks: Sequence[Block], *, figures: str = "") -> str:
    """The document as Markdown.

    Arguments:
        title: Its title.
        blocks: Its blocks.
        figures: The folder of its figures, with a slash at the end; empty: beside the document.

    Example:
        >>> print(markdown("Title", [PageTable(("a", "b"), (("1", "x|y"),))]), end="")
        # Title
        <BLANKLINE>
        | a | b |
        | --- | --- |
        | 1 | x\\|y |
    """

    return "\n\n".join([f"# {title}", *(_markdown(block, figures) for block in blocks)]) + "\n"


def _markdown(block: Block, figures: str) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {text}"
        case Text(text):
            return text.strip()
        case Items(items):
            return "\n".join(f"- {item}" for item in items)
        case Figure(file, alt):
            return f"![{alt}]({figures}{file})"
        case PageTable(head, rows):
            return "\n".join(map(_row, [head, ("---",) * len(head), *rows]))


def _row(cells: Sequence[str]) -> str:
    # A line break would end the row, and a bar the cell.
    safe = [" ".join(cell.split()).replace("|", "\\|") for cell in cells]

    return f"| {' | '.join(safe)} |"


def html(title: str, blocks: Sequence[Block], drawings: Mapping[str, bytes]) -> str:
    """The document as one page that works offline.

    Arguments:
        title: Its title.
        blocks: Its blocks.
        drawings: The SVG of each figure, by the name of its file.
    """

    from importlib.resources import files

    environment = page_environment("bitveil.benchmark", "pages")
    environment.filters["inline"] = _inline
    sheets = [
        ("bitveil.audits.page", "templates/page.css"),
        ("bitveil.benchmark", "pages/report.css"),
    ]
    style = "".join(files(of).joinpath(name).read_text("utf-8") for of, name in sheets)
    images = {name: base64.b64encode(content).decode() for name, content in drawings.items()}

    return environment.get_template("report.html").render(
        title=title, blocks=blocks, images=images, style=style, hashes={"style": integrity(style)}
    )


def _inline(text: str) -> str:
    r"""Text as HTML. Everything except `**strong**` and code is escaped.

    Example:
        >>> print(_inline("a **b** < `c`"))
        a <strong>b</strong> &lt; <code>c</code>
    """

    from markupsafe import Markup, escape

    safe = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(escape(text)))

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", safe))
