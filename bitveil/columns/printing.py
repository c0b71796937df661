"""Printing: text from the data that a terminal or a browser can show without obeying it."""

import unicodedata

__all__ = ["printable"]

_INVISIBLE = (
    "Cc",
    "Cf",
    "Cs",
    "Zl",
    "Zp",
)  # they show nothing, or move other characters
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
