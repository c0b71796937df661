"""Formulas as MathML, made when the pages are built: a reader's browser loads nothing."""

import re
from typing import Any

from latex2mathml.converter import convert
from docutils.nodes import SkipNode
from sphinx.util import logging

logger = logging.getLogger(__name__)


def mathml(formula: str, node: Any, display: str) -> str:
    """The MathML of a formula. It warns of commands that the converter does not know."""

    found = convert(formula, display=display)
    # An unknown command comes back as a name that still has its backslash.
    if unknown := re.findall(r"\\\w+|&#x0005C;\w+", found):
        logger.warning("unknown in a formula: %s", ", ".join(unknown), location=node, type="math")

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
