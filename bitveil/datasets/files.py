"""Files that do not come with bitveil: finding, downloading and checking them.

bitveil looks for a file in the folder that the environment variable `BITVEIL_DATA` names, then in
the cache folder (`bitveil` in `XDG_CACHE_HOME`, or in `.cache` of the home folder). If the file is
missing and has an address, pooch downloads it into the cache folder. Every file must have the
right md5 after unpacking.
"""

__all__ = ["DataFile", "find", "missing", "read_checked", "stored", "unpacked"]

import gzip
import hashlib
import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory


@dataclass(frozen=True)
class DataFile:
    """A file that a loader needs.

    Attributes:
        name: Its path inside the data folder, which ends in `.gz`. An unpacked file without that
            ending also works.
        md5: The digest of the unpacked content, in hexadecimal.
        origin: Where a person gets the file, in words.
        address: The address for a download, packed or not, or None if there is none.
    """

    name: str
    md5: str
    origin: str
    address: str | None = None

    @property
    def places(self) -> list[Path]:
        """The paths to look at, in the data folder and then in the cache folder.

        Example:
            >>> file = DataFile("toy/toy.csv.gz", "", "nowhere")
            >>> [path.name for path in file.places[-2:]]
            ['toy.csv.gz', 'toy.csv']
        """

        names = [self.name, self.name.removesuffix(".gz")]

        return [folder / name for folder in folders() for name in names]


def read_checked(file: DataFile) -> io.BytesIO:
    """The content of a file, unpacked and checked. Downloads the file if it is missing.

    Raises:
        FileNotFoundError: If the file is missing and cannot be downloaded.
        ValueError: If a file of that name has different content, or is damaged.
    """

    return io.BytesIO(unpacked(file, find(file)))


def find(file: DataFile) -> Path:
    """The path of a file. Downloads it if it is missing, but does not check the content."""

    return stored(file) or download(file)


def stored(file: DataFile) -> Path | None:
    """The path of a file in the data folder or the cache folder, or None if it is missing."""

    return next((path for path in file.places if path.is_file()), None)


def folders() -> list[Path]:
    """The folders to search, in order: that of `BITVEIL_DATA`, if it is set, and the cache."""

    given = os.environ.get("BITVEIL_DATA")
    if not given:
        return [cache()]
    if not Path(given).is_dir():
        raise FileNotFoundError(
            f"`BITVEIL_DATA` expects the path of a folder, got {given!r}, which is not a folder. "
            "Correct the variable, or unset it to use only the cache folder."
        )

    return [Path(given), cache()]


def cache() -> Path:
    """The folder for downloads. It may not exist yet."""

    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bitveil"


def unpacked(file: DataFile, path: Path) -> bytes:
    """The unpacked content of the file at a path. Refuses the wrong file."""

    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"`{file.name}` expects a whole gzip file at {path}, got a damaged one ({error}). "
                f"Remove it and get it again: {file.origin}."
            ) from error

    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != file.md5:
        raise ValueError(
            f"`{file.name}` expects content with md5 {file.md5}, unpacked, but the file at {path} "
            f"has {digest}. It is damaged or another version. Remove it and get it again: "
            f"{file.origin}."
        )

    return content


def download(file: DataFile) -> Path:
    """Download a file into the cache folder. Only a whole and checked file is kept."""

    if file.address is None:
        raise FileNotFoundError(f"{missing(file)} It has no address for a download.")
    try:
        import pooch  # type: ignore[import-untyped]
    except ImportError as error:
        raise FileNotFoundError(
            f"{missing(file)} To download it from {file.address}: `pip install pooch`."
        ) from error

    suffix = ".gz" if file.address.endswith(".gz") else ""
    target = cache() / (file.name.removesuffix(".gz") + suffix)
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent) as folder:
        fresh = Path(folder) / target.name
        try:
            pooch.HTTPDownloader()(file.address, str(fresh), None)
        except OSError as error:
            raise FileNotFoundError(
                f"{missing(file)} The download from {file.address} failed: {error}."
            ) from error
        unpacked(file, fresh)
        fresh.replace(target)

    return target


def missing(file: DataFile) -> str:
    """The error text for a missing file: the places searched, and how to get the file."""

    places = ", ".join(str(path) for path in file.places)

    return (
        f"`{file.name}` does not come with bitveil, and is missing at {places}. Get it: "
        f"{file.origin}. Put it into a folder under the name {file.name} (md5, unpacked: "
        f"{file.md5}), and set `BITVEIL_DATA` to the path of that folder."
    )
