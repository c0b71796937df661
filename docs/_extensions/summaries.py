"""Summary tables of the API: their pages stay out of the side bar, which would have 500 lines."""

from typing import Any

from sphinx.ext.autosummary import autosummary_toc

COLON = "\ue000"  # stands for a colon; nobody uses it


def drop_contents(app: Any, doctree: Any) -> None:
    """Remove the contents that belong to summary tables. The tables themselves link the pages."""

    for node in list(doctree.findall(autosummary_toc)):
        node.parent.remove(node)


def skip_foreign(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> Any:
    """Leave out what classes inherit from other packages, whose own pages describe it."""

    where = getattr(thing, "__module__", None) or "bitveil"

    return None if where.partition(".")[0] == "bitveil" or what == "module" else True


def hide_colons(app: Any, what: str, name: str, thing: Any, options: Any, lines: Any) -> None:
    """Hide colons in the first line about a value: napoleon takes what is before one as a type."""

    if what in ("data", "attribute") and lines:
        lines[0] = lines[0].replace(":", COLON)


def show_colons(app: Any, what: str, name: str, thing: Any, options: Any, lines: Any) -> None:
    """Show them again."""

    lines[:] = [line.replace(COLON, ":") for line in lines]


def setup(app: Any) -> dict[str, Any]:
    """Remove contents before Sphinx collects those of a page."""

    app.connect("doctree-read", drop_contents, priority=100)
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("autodoc-process-docstring", hide_colons, priority=100)
    app.connect("autodoc-process-docstring", show_colons, priority=900)

    return {"parallel_read_safe": True, "parallel_write_safe": True}
