"""Cautions: warnings that point to a line of the user's own code."""

import inspect
import re
import warnings

__all__ = ["warn"]


def warn(message: str) -> None:
    """Warn at the line that called the estimator, through any number of wrappers."""

    frame, level = inspect.currentframe(), 1
    while frame is not None and re.match(
        r"(bitveil|sklearn|contextlib)\b", frame.f_globals.get("__name__", "")
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
