"""Checks of options and of places to write, made before anything is computed."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bitveil.checks import check_whole
from bitveil.cli.messages import listed

__all__ = [
    "check_alone",
    "check_encoders",
    "check_grouping",
    "check_needed",
    "check_output",
    "check_suffix",
    "with_options",
]


def check_alone(option: str, others: Mapping[str, Any]) -> None:
    """Refuse options that an option excludes."""

    if found := [name for name, value in others.items() if value]:
        raise ValueError(f"{option} cannot be combined with {' and '.join(found)}.")


def check_grouping(bins: int | None, join_rare: int | None = None) -> None:
    """Refuse numbers of bins and of rows that make no groups."""

    if bins is not None:
        check_whole("bins", bins, 2)
    if join_rare is not None:
        check_whole("join_rare", join_rare, 2)


def check_needed(option: str, value: Any, others: Mapping[str, Any]) -> None:
    """Refuse options that mean nothing without another one."""

    found = [name for name, other in others.items() if other]
    if found and value is None:
        raise ValueError(f"{' and '.join(found)} can be used only with {option}.")


def check_encoders(models: Sequence[Path]) -> None:
    """Refuse folders without an encoder, and an encoder that is given twice."""

    if len({os.path.realpath(model) for model in models}) < len(models):
        raise ValueError(f"Name each encoder once, got {listed(models)}.")
    for model in models:
        if not (model / "encoder.json").is_file():
            raise FileNotFoundError(f"{model} is not a saved encoder: it has no encoder.json.")


def with_options(said: str) -> str:
    """An error that names the options which help, if it is on a sensitive column.

    Example:
        >>> with_options("`--sensitive job` has 60 different values. Join rare values.")
        '`--sensitive job` has 60 different values. Join rare values with --join-rare.'
    """

    if "`--sensitive " not in said:
        return said
    said = said.replace("Join rare values", "Join rare values with --join-rare")
    said = said.replace("cut numbers into bins", "cut numbers into bins with --bins")

    return said.replace(
        "such as 'unknown'.", "such as 'unknown', or make them a group with --missing-group."
    )


def check_suffix(path: Path, *suffixes: str) -> None:
    """Refuse a file of another format."""

    if path.suffix not in suffixes:
        raise ValueError(f"Expected a file that ends in {' or '.join(suffixes)}, got {path}.")


def check_output(path: Path, read: Sequence[Path], *, force: bool) -> None:
    """Refuse a file that cannot or should not be written."""

    from bitveil.staging import check_place

    for source in read:
        if _is_or_lies_in(path, source):
            raise ValueError(
                f"{path} would overwrite {source}, which is an input. Name another file: even "
                "--force does not allow that."
            )
    check_place(path, overwrite=True)
    if os.path.lexists(path) and not force:
        raise FileExistsError(f"{path} already exists. Name another file, or use --force.")


def _is_or_lies_in(path: Path, source: Path) -> bool:
    """Whether a path leads to a file, or to a place inside a folder, by whatever name."""

    if path.exists() and source.exists() and path.samefile(source):
        return True
    folder = os.path.realpath(source)
    places = (os.path.realpath(path), os.path.join(os.path.realpath(path.parent), path.name))

    return any(Path(place).is_relative_to(folder) for place in places)
