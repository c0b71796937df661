"""What the command line prints: lines, tables, notes, and errors in words of its options."""

import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = [
    "CAVEAT",
    "errors_as_lines",
    "heard_notes",
    "in_options",
    "listed",
    "note",
    "print_table",
    "say",
]

CAVEAT = """These numbers do not cover rows that were used in fitting, another population, two
draws for one row, or someone who knows other columns of the row besides its code."""
"""What every audit has to say at its end."""

_LONGEST = 2_000  # characters of a line; only a line with an endless name is longer

_OPTIONS = {
    "after": "--after",
    "attackers": "--attackers",
    "audit_table": "--counts",
    "bins": "--bins",
    "codes": "--codes",
    "criterion": "--criterion",
    "delta": "--delta",
    "encoding": "--encoding",
    "ids": "--id",
    "join_rare": "--join-rare",
    "limit": "--limit",
    "max_gap": "--max-gap",
    "max_information": "--max-information",
    "missing_sensitive": "--missing-group",
    "n_bits": "--bits",
    "on_unmet": "--on-unmet",
    "quantity": "--quantity",
    "random_state": "--seed",
    "sample_weight": "--weight",
    "sensitive": "--sensitive",
    "sensitive_features": "--sensitive",
    "sep": "--sep",
    "strength": "--strength",
    "target": "--target",
    "y": "--target",
}
"""The options that set the library's arguments."""

_PYTHON = (
    (", or let them count for the sensitive attribute only: `missing_target='unlabelled'`", ""),
    (", or use `features='raw'`", ""),
    (", for example with `pandas.qcut`", ""),
    (", for example with `.map(bytes.hex)`", ""),
    (", for example with `.astype(str)`", ""),
    (": `.astype(str)`", ""),
    (" For expected counts use `certify`.", ""),
    (": `model.audit`", ""),
    ("In `fit`", "In `bitveil fit`"),
    ("in `fit`", "in `bitveil fit`"),
    ("`audit` expects", "`bitveil audit` expects"),
    (
        " `load(..., accept_versions=True)` loads it if the bits of its specimens are the same. "
        "Or install",
        " Install",
    ),
    (", as `load(directory, encoder=...)`. The weights are put into a copy", ", from Python"),
    (", as `load(directory, decoder=...)`. The weights are put into a copy", ", from Python"),
    ("`audit_table` expects", "--counts expects"),
    ("Use `InvariantRegressor`, or cut", "Cut"),
    ("(delta = ", "(--delta "),
    ("Input y ", "`y` "),
)
"""Advice that only Python users can follow, and what the command line says instead."""


@contextmanager
def errors_as_lines() -> Iterator[None]:
    """Print an error that the user can fix as one line on the error stream, and exit with 2."""

    try:
        yield
    except (ValueError, OSError) as error:
        say(f"bitveil: {in_options(str(error))}", file=sys.stderr)
        raise SystemExit(2) from error


def note(message: str) -> None:
    """Print a note on the error stream."""

    say(f"bitveil: note: {in_options(message)}", file=sys.stderr)


@contextmanager
def heard_notes() -> Iterator[set[str]]:
    """Collect the warnings that are shown meanwhile, so that nobody says them again."""

    heard: set[str] = set()
    show = warnings.showwarning

    def hear(message: Warning | str, *args: Any, **rest: Any) -> None:
        heard.add(str(message))
        show(message, *args, **rest)

    warnings.showwarning = hear
    try:
        yield heard
    finally:
        warnings.showwarning = show


def say(words: str, *, file: Any = None) -> None:
    """Print one line without anything that a terminal would obey."""

    from bitveil.columns.printing import printable

    print(printable(" ".join(words.split()), most=_LONGEST), file=file)


def listed(names: Sequence[Any]) -> str:
    """Names from the data, separated by commas and safe to show."""

    from bitveil.columns.printing import printable

    return ", ".join(map(printable, names))


def print_table(title: str, rows: Mapping[str, str]) -> None:
    """Print a title, and a line for each name and its value."""

    table = Table(
        "", "", title=_plain_text(title), title_justify="left", show_header=False, box=None
    )
    for name, value in rows.items():
        table.add_row(_plain_text(name), _plain_text(value))
    Console(soft_wrap=False).print(table)


def _plain_text(words: str) -> Text:
    """Text in which rich reads no brackets and colons as its markup."""

    from bitveil.columns.printing import printable

    return Text(printable(words, most=None))


def in_options(message: str) -> str:
    """A message of the library that names options instead of Python's arguments.

    Example:
        >>> in_options("Try `sep=';'` and `bins=3`, or a longer `delta`.")
        "Try --sep ';' and --bins 3, or a longer --delta."
    """

    for python, here in _PYTHON:
        message = message.replace(python, here)

    return re.sub(r"`(\w+)(?:=([^`]*))?`", _option, message)


def _option(found: re.Match[str]) -> str:
    option = _OPTIONS.get(found[1])
    if option is None:
        return found[0]

    return option if not found[2] else f"{option} {shlex.quote(found[2].strip(chr(39)))}"
