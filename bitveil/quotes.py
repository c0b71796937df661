"""Quotes: values in a message, as Python writes them, and without the names of numpy's types."""

from typing import Any

import numpy as np

__all__ = ["quoted"]


def quoted(value: Any) -> str:
    """A value from a user's data or call, as a message shows it.

    Numbers and texts of numpy look like Python's own, inside lists and tuples too.

    Example:
        >>> quoted(np.int64(65)), quoted([np.str_("a"), (np.float32(0.5), None)])
        ('65', "['a', (0.5, None)]")
    """

    return repr(_of_python(value))


def _of_python(value: Any) -> Any:
    if isinstance(value, np.bool_ | np.integer | np.character | np.complexfloating):
        return value.item()
    if isinstance(value, np.floating):
        return float(str(value))  # 0.1 as float32 is 0.1
    if isinstance(value, np.datetime64 | np.timedelta64):
        return str(value)
    if isinstance(value, np.ndarray):
        return [_of_python(each) for each in value]
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(_of_python, value))
    if type(value) is dict:
        return {_of_python(key): _of_python(each) for key, each in value.items()}

    return value
