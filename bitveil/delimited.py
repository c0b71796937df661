"""Delimited text: how the fields of a CSV file are separated, and which bytes are which letters.

Readers of CSV share one `CsvForm`. It also knows the two mistakes that are made most: a file of
another separator is read as one column, and a file of another encoding cannot be read at all.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitveil.quotes import quoted

__all__ = ["CsvForm", "lacks_columns", "similar_name"]

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""The separators that files have, in words."""

_SPOKEN = {"tab": "\t", "\\t": "\t"}
"""What stands for a separator that is hard to type."""

_MOST_NAMES = 40
"""The most names of columns that a message lists."""

_FIRST_BYTES = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
"""The first bytes of files that say their encoding."""


class OneColumnError(ValueError):
    """A file seems to have another separator."""


@dataclass(frozen=True)
class CsvForm:
    r"""How a CSV file is written.

    Attributes:
        sep: What separates its fields: one character, or the word `"tab"`. None: a comma, and a
            file that looks as if it had another one is refused.
        encoding: The name of its encoding, as Python knows it. None: UTF-8.

    Raises:
        ValueError: If the separator is no single character, or there is no such encoding.

    Example:
        >>> CsvForm("tab").separator, CsvForm().pandas
        ('\t', {'sep': ',', 'encoding': 'utf-8'})
    """

    sep: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        if len(self.separator) != 1 or self.separator in '"\n\r':
            raise ValueError(
                "`sep` expects the one character that separates the fields of a CSV file, or the "
                f"word 'tab', got {quoted(self.sep)}."
            )
        try:
            "".encode(self.encoding or "utf-8")
        except LookupError as error:
            raise ValueError(
                f"`encoding` expects an encoding of text that Python knows, such as utf-8, cp1252 "
                f"or utf-16, got {quoted(self.encoding)}."
            ) from error

    @property
    def separator(self) -> str:
        """The character itself."""

        return "," if self.sep is None else _SPOKEN.get(self.sep, self.sep)

    @property
    def pandas(self) -> dict[str, Any]:
        """The same as arguments of `pandas.read_csv`."""

        return {"sep": self.separator, "encoding": self.encoding or "utf-8"}

    def check_used(self, path: Path) -> None:
        """Refuse a form for a file that is no CSV.

        Raises:
            ValueError: If a separator or an encoding is given, and the file has neither.
        """

        if path.suffix != ".csv" and self != CsvForm():
            raise ValueError(
                f"`sep` and `encoding` say how a .csv file is written, and {path} is none. Leave "
                "them out."
            )

    def check_names(self, names: Sequence[str]) -> None:
        """Refuse the one name of a file that seems to have another separator.

        Arguments:
            names: The names in its first line.

        Raises:
            OneColumnError: If there is one name that holds another separator.

        Example:
            >>> CsvForm().check_names(["age;sex"])
            Traceback (most recent call last):
            ...
            bitveil.delimited.OneColumnError: has one column, whose name holds semicolons. ...
        """

        if len(names) != 1 or (self.sep is not None and self.separator == ","):
            return
        for other, word in _SEPARATORS.items():
            if other != self.separator and other in names[0]:
                spoken = "tab" if other == "\t" else other
                by = "tabs" if other == "\t" else f"{other!r}"
                raise OneColumnError(
                    f"has one column, whose name holds {word}. Is it separated by {by}? Try "
                    f"`sep={spoken!r}`, or `sep=','` if it really has one column."
                )

    def blamed(self, error: Exception, path: Path) -> ValueError:
        """An error that names the file, and says what to do if its form is the reason."""

        if isinstance(error, OneColumnError):
            return ValueError(f"{path} {error}")
        said = self._on_encoding(path) if isinstance(error, UnicodeError) else str(error)

        return ValueError(f"{path} cannot be read: {said}")

    def _on_encoding(self, path: Path) -> str:
        """Why the bytes of a file are no text, and which encoding to try."""

        start = f"it is not written in {self.encoding or 'UTF-8'}. "
        with path.open("rb") as file:
            first = file.read(4)
        marked = next((name for mark, name in _FIRST_BYTES if first.startswith(mark)), None)
        if marked is not None and marked != self.encoding:
            return start + f"Its first bytes are those of {marked}: try `encoding='{marked}'`."
        if self.encoding is None:
            return start + (
                "Try `encoding='cp1252'`, which spreadsheets in Europe and America often write."
            )

        return start + "Give the encoding that its program names."


def lacks_columns(name: str, missing: Sequence[Any], columns: Sequence[Any]) -> str:
    """What a table lacks, and the most similar column that it has.

    Arguments:
        name: What the message calls the table.
        missing: The names that have no column.
        columns: The names of its columns.

    Example:
        >>> lacks_columns("people.csv", ["sexx"], ["age", "sex"])
        "people.csv has no column 'sexx'. Did you mean 'sex'?"
        >>> lacks_columns("people.csv", ["zodiac"], ["age", "sex"])
        "people.csv has no column 'zodiac'. It has ['age', 'sex']."
    """

    near = {each: similar_name(each, columns) for each in missing}
    if len(missing) > 1:
        known = [f"{quoted(like)} for {quoted(each)}" for each, like in near.items() if like]
        hint = f" Did you mean {', '.join(known)}?" if known else ""
        lacks = f"{name} lacks the columns {quoted(list(missing))}."
        return f"{lacks} It has {_listed_some(columns)}.{hint}"
    like = near[missing[0]]
    hint = f" Did you mean {quoted(like)}?" if like else f" It has {_listed_some(columns)}."

    return f"{name} has no column {quoted(missing[0])}.{hint}"


def _listed_some(names: Sequence[Any]) -> str:
    """The names of columns, or the first of very many."""

    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""

    return f"{quoted(list(names)[:_MOST_NAMES])}{more}"


def similar_name(name: Any, names: Sequence[Any]) -> str | None:
    """The name that is most similar, or None. Capitals and spaces at the ends hardly count.

    Example:
        >>> similar_name("sexx", ["age", "sex"]), similar_name("sex", ["age", " SEX"])
        ('sex', ' SEX')
    """

    alike = {str(each).strip().casefold(): str(each) for each in reversed(list(names))}
    found = difflib.get_close_matches(str(name).strip().casefold(), alike, n=1)

    return alike[found[0]] if found else None
