"""Summary tables of the API: their pages stay out of the side bar, which would have 500 lines."""

from typing import Any

from sphinx.ext.autosummary import autosummary_toc


def drop_contents(app: Any, doctree: Any) -> None:
    """Remove the contents that belong to summary tables. The tables themselves link the pages."""

    for node in list(doctree.findall(autosummary_toc)):
        node.parent.remove(node)


def skip_foreign(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> Any:
    """Leave out what classes inherit from other packages, whose own pages describe it."""

    where = getattr(thing, "__module__", None) or "bitveil"

    return None if where.partition(".")[0] == "bitveil" or what == "module" else True


def setup(app: Any) -> dict[str, Any]:
    """Remove contents before Sphinx collects those of a page."""

    app.connect("doctree-read", drop_contents, priority=100)
    app.connect("autodoc-skip-member", skip_foreign)

    return {"parallel_read_safe": True, "parallel_write_safe": True}
