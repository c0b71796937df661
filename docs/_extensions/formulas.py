"""Formulas as MathML, made when the pages are built: a reader's browser loads nothing."""

import re
from typing import Any

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from sphinx.util import logging

logger = logging.getLogger(__name__)


def unknown(markup: str) -> list[str]:
    """The commands in MathML that the converter did not know: they kept their backslash."""

    return re.findall(r"(?:\\|&#x0005C;)\w+", markup)


def spaced(markup: str) -> str:
    """MathML with thin spaces around the names of functions, such as log."""

    return re.sub(
        r"<(m[io])( [^>]*)?>([A-Za-z]{2,})</\1>",
        r'<mo\2 lspace="0.17em" rspace="0.17em">\3</mo>',
        markup,
    )


def mathml(formula: str, node: Any, display: str) -> str:
    """The MathML of a formula. Unknown commands are warned of, which fails a strict build."""

    found = spaced(convert(formula, display=display))
    if names := unknown(found):
        logger.warning("unknown in a formula: %s", ", ".join(names), location=node, type="math")

    return found


def inline(writer: Any, node: Any) -> None:
    """Write a formula inside a line."""

    writer.body.append(mathml(node.astext(), node, "inline"))
    raise SkipNode


def block(writer: Any, node: Any) -> None:
    """Write a formula of its own."""

    formula = mathml(node.astext(), node, "block")
    writer.body.append(f'<div class="math">{formula}</div>\n')
    raise SkipNode


def setup(app: Any) -> dict[str, Any]:
    """Register the renderer."""

    app.add_html_math_renderer("mathml", (inline, None), (block, None))

    return {"parallel_read_safe": True, "parallel_write_safe": True}
