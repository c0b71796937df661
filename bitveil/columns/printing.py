"""Printing: text from the data that a terminal, a browser or Markdown shows without obeying it."""

import re
import unicodedata

__all__ = ["as_markdown", "printable"]

_INVISIBLE = (
    "Cc",
    "Cf",
    "Cs",
    "Zl",
    "Zp",
)  # they show nothing, or move other characters
_OBEYED_MARKS = r"[\\`*_{}\[\]|~$]|(?<=[^\W\d])\.(?=\S)|:(?=\S)|^[#+=-]|^\d+(?=[.)](?:\s|$))"
_JOINERS = "\u200c\u200d"  # invisible too, but Persian and emojis need them


def printable(value: object, *, most: int | None = 80) -> str:
    """Text from the data, safe to show in a terminal or a browser.

    Control characters, line breaks and marks that change the direction of writing become escapes.
    Long text loses its middle.

    Arguments:
        value: Text, or anything that can be made text.
        most: The largest number of characters; None: no limit.

    Example:
        >>> printable("two\\nlines"), printable("abcdefghijk", most=7)
        ('two\\\\nlines', 'ab...jk')
    """

    text = "".join(map(_escaped, str(value)))
    if most is None or len(text) <= most:
        return text
    half = (most - 3) // 2

    return f"{text[:half]}...{text[-half:]}"


def _escaped(character: str) -> str:
    invisible = unicodedata.category(character) in _INVISIBLE and character not in _JOINERS

    return character.encode("unicode_escape").decode() if invisible else character


def as_markdown(value: object, *, most: int | None = 80) -> str:
    """Text from the data as Markdown that shows it as it is: no link, no markup, no HTML.

    Arguments:
        value: Text, or anything that can be made text.
        most: The largest number of characters before they are escaped; None: no limit.

    Example:
        >>> print(as_markdown("<b>|[a](b)"), as_markdown("a_b"), as_markdown("me@here"))
        &lt;b&gt;\\|\\[a\\](b) a\\_b me&#64;here
    """

    text = printable(value, most=most).replace("&", "&amp;")
    text = re.sub(_OBEYED_MARKS, _marked, text)

    return text.replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")


def _marked(found: re.Match[str]) -> str:
    """A mark of Markdown as a character: after a backslash, or a number at the start as is."""

    mark = found[0]

    return f"\\{mark}" if not mark.isdigit() else f"{mark[:-1]}&#{ord(mark[-1])};"
