"""Files that do not come with bitveil: where they are looked for, and the check of what is found.

A file is taken from the folder that the environment variable `BITVEIL_DATA` names, else from the
cache folder (`bitveil` in `XDG_CACHE_HOME`, or in `.cache` of the home folder), else downloaded
into the cache folder with pooch, where an address is known. Wherever it comes from, its content
has to have the right md5 once it is unpacked.
"""

__all__ = ["DataFile", "find", "read", "stored"]

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
        name: Its path inside the data folder. It ends in `.gz`; unpacked, without it, will do.
        md5: The digest of the unpacked content, in hexadecimal.
        origin: In words, where a person gets the file.
        address: Where it can be downloaded, packed or not, or None where it cannot.
    """

    name: str
    md5: str
    origin: str
    address: str | None = None

    @property
    def places(self) -> list[Path]:
        """The paths where the file is looked for, the data folder before the cache folder.

        Example:
            >>> file = DataFile("toy/toy.csv.gz", "", "nowhere")
            >>> [path.name for path in file.places[-2:]]
            ['toy.csv.gz', 'toy.csv']
        """

        names = [self.name, self.name.removesuffix(".gz")]

        return [folder / name for folder in folders() for name in names]


def read(file: DataFile) -> io.BytesIO:
    """Find a file, download it where it is missing, and return its content, unpacked and checked.

    Raises:
        FileNotFoundError: If the file is nowhere and cannot be downloaded.
        ValueError: If a file of that name has another content, or is damaged.
    """

    return io.BytesIO(checked(file, find(file)))


def find(file: DataFile) -> Path:
    """The path of a file, which is downloaded where it is missing. `read` checks the content."""

    return stored(file) or download(file)


def stored(file: DataFile) -> Path | None:
    """The path of a file in the data folder or the cache folder, or None where it is missing."""

    return next((path for path in file.places if path.is_file()), None)


def folders() -> list[Path]:
    """The folders that are searched, in order: that of `BITVEIL_DATA` if it is set, the cache."""

    given = os.environ.get("BITVEIL_DATA")
    if not given:
        return [cache()]
    if not Path(given).is_dir():
        raise FileNotFoundError(
            f"`BITVEIL_DATA` expects the path of a folder; got {given!r}, where there is none. "
            "Correct the variable, or unset it to use the cache folder alone."
        )

    return [Path(given), cache()]


def cache() -> Path:
    """The folder that downloads go to. It need not exist."""

    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bitveil"


def checked(file: DataFile, path: Path) -> bytes:
    """The unpacked content of the file at a path, which is refused if it is not the right one."""

    content = path.read_bytes()
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"`{file.name}` expects a whole gzip file at {path}; got a damaged one ({error}). "
                f"Remove it and get it again: {file.origin}."
            ) from error

    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != file.md5:
        raise ValueError(
            f"`{file.name}` expects content with md5 {file.md5}, unpacked; the file at {path} has "
            f"{digest}. It is damaged or another version: remove it and get it again: "
            f"{file.origin}."
        )

    return content


def download(file: DataFile) -> Path:
    """Download a file into the cache folder, where it arrives whole and checked, or not at all."""

    if file.address is None:
        raise FileNotFoundError(f"{missing(file)} There is no address to download it from.")
    try:
        import pooch  # type: ignore[import-untyped]
    except ImportError as error:
        raise FileNotFoundError(
            f"{missing(file)} To have it downloaded from {file.address}: `pip install pooch`."
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
        checked(file, fresh)
        fresh.replace(target)

    return target


def missing(file: DataFile) -> str:
    """What is missing, where it was looked for, and how to get it."""

    places = ", ".join(str(path) for path in file.places)

    return (
        f"`{file.name}` expects a file that does not come with bitveil; there is none at "
        f"{places}. Get it: {file.origin}. Put it into a folder under the name {file.name} (md5, "
        f"unpacked: {file.md5}), and set `BITVEIL_DATA` to the path of the folder."
    )
