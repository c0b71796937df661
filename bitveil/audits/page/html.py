"""The page of an audit: one HTML file that opens offline and that a person can read.

Its plots are inline SVG, each with a table, made livelier by a short script. With plotly.js every
file would be 4.5 MB, draw nothing on paper or without a script, and have no table to read aloud.
The page forbids itself every request (content security policy) and escapes all text of the data.
"""

import datetime
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from bitveil.audits.page.answers import price_of
from bitveil.audits.page.compared import compared
from bitveil.audits.page.environment import integrity, page_environment
from bitveil.audits.page.figures import figures
from bitveil.audits.page.marks import SHAPES
from bitveil.audits.page.promise import promise_of
from bitveil.audits.page.view import SMALL, View
from bitveil.audits.record import Audit
from bitveil.audits.rounding import at_least, at_most, bits_at_most, percent
from bitveil.audits.words import group_name
from bitveil.columns.printing import printable

__all__ = ["html_report"]


def html_report(
    audits: Audit | Mapping[str, Audit],
    *,
    title: str | None = None,
    sources: Sequence[str] = (),
    small_cells: bool = False,
    limit: float | None = None,
    quantity: str | None = None,
    data: str = "",
    command: str = "",
    date: datetime.date | None = None,
) -> str:
    """One page about an audit, or about several that are compared. It opens offline.

    Arguments:
        audits: An audit, or several by the names of their codes.
        title: The title; None: what was audited.
        sources: Where the rows came from, line by line, such as files with their checksums.
        small_cells: Whether codes and patterns of fewer than 10 rows are listed with their group.
            Anyone who has the published codes could then tell the group of single rows.
        limit: The limit that the verdict is about: see `Audit.check`; None: the goal of the fit,
            if there is one.
        quantity: The limited quantity; None: the gap that comes first.
        data: What the rows are called, such as `"applicants of 2026"`.
        command: The command that made the page.
        date: The day of the audit; None: today.

    Raises:
        ValueError: If there is no audit, the limit is out of range, or an audit does not bound
            the quantity.
    """

    if not audits:
        raise ValueError("`html_report` expects at least one audit, got none.")
    found = audits if isinstance(audits, Mapping) else {"": audits}
    environment = page_environment("bitveil.audits.page", "templates", _shown)
    environment.filters.update(
        percent=percent,
        at_most=at_most,
        at_least=at_least,
        bits_at_most=bits_at_most,
        name=group_name,
        short=printable,
    )
    environment.globals.update(shapes=SHAPES, small=SMALL)
    day = date or datetime.date.today()
    views = [
        View(f"a{i}", printable(label) if len(found) > 1 else "", audit, small_cells)
        for i, (label, audit) in enumerate(found.items())
    ]
    folder = files("bitveil.audits.page").joinpath("templates")
    style, script = (folder.joinpath(f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))

    return environment.get_template("page.html").render(
        views=views,
        plots={view.key: figures(view) for view in views},
        prices={view.key: price_of(view) for view in views},
        promises={view.key: promise_of(view, limit, quantity, day) for view in views},
        origin={"data": data, "command": command, "date": f"{day.day} {day:%B %Y}"},
        title=title or _title(views),
        sources=list(sources),
        style=style,
        script=script,
        hashes={"style": integrity(style), "script": integrity(script)},
        compared=compared(views) if len(views) > 1 else [],
    )


def _title(views: Sequence[View]) -> str:
    if len(views) > 1:
        return f"What {len(views)} codes reveal about {views[0].attribute}"

    return f"What these codes reveal about {views[0].attribute}"


def _shown(value: Any) -> Any:
    """Text of the data as the page shows it: control characters are spelled out.

    A number and its percent sign stay on one line.
    """

    return printable(value, most=None).replace(" %", "\u00a0%") if type(value) is str else value
