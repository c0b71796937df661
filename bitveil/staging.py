"""Staging: a file or a folder appears whole, or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["check_place", "staged"]


@contextmanager
def staged(target: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """A path to write to, which becomes `target` at the end, or vanishes if something fails.

    Raises:
        FileExistsError: If `target` exists and may not be overwritten.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     target = Path(folder) / "codes.csv"
        ...     with staged(target) as path:
        ...         _ = path.write_text("0,1")
        ...         early = target.exists()
        ...     early, target.read_text()
        (False, '0,1')
    """

    target = Path(target)
    check_place(target, overwrite=overwrite)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".bitveil-") as scratch:
        yield Path(scratch) / target.name
        os.replace(Path(scratch) / target.name, target)


def check_place(target: Path, *, overwrite: bool = False) -> None:
    """Refuse a place that cannot be written to, before there is something to write.

    Raises:
        FileExistsError: If something exists there that may not be overwritten.
        FileNotFoundError: If the folder around it does not exist.
        PermissionError: If that folder cannot be written to.
    """

    if target.is_dir() or (target.exists() and not overwrite):
        raise FileExistsError(
            f"{target} exists already and is not overwritten. Name another place, or remove it."
        )
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"There is no folder {target.parent} to write into. Make it first."
        )
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(
            f"{target.parent} cannot be written to. Name another folder, or ask for permission."
        )
