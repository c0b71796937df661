"""Jobs that are killed: a second start goes on, and ends as if nothing had happened."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
import torch

import bitveil
from bitveil import code_files, count_files, jobs, sources
from bitveil.models import load
from bitveil.tallies import Tally

JOBS = {
    "encode": ("encode", "encoder", "people.parquet", "--id", "person", "-o", "codes.parquet"),
    "count": ("count", "encoder", "people.parquet", "--id", "person", "-o", "people.counts"),
}


def cut(table, size):
    """Write the rows in row groups of this size. A job makes one part of each."""

    people = pyarrow.Table.from_pandas(table, preserve_index=False)
    pyarrow.parquet.write_table(people, "people.parquet", row_group_size=size)


@pytest.fixture
def many(place, table):
    """The rows in eight row groups."""

    cut(table, 50)

    return place


def started(*words):
    """The command line as a process of its own."""

    here = os.environ | {"PYTHONPATH": str(Path(bitveil.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-m", "bitveil", *words],
        env=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed_after(n_parts, output, words):
    """Kill a job when so many parts are finished. Returns the time of each part."""

    job, folder = started(*words), Path(f"{output}.parts")
    while len(parts := sorted(folder.glob("part-*"))) < n_parts:
        assert job.poll() is None, job.communicate()
        time.sleep(0.002)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert job.returncode == -signal.SIGKILL

    return {part: part.stat().st_mtime_ns for part in parts}


def content(path):
    """The bytes of codes, or the numbers of counts, whose header has no fixed order."""

    if path.suffix != ".counts":
        return path.read_bytes()
    tally = Tally.load(path)
    whole = [tally.fixed.known, tally.fixed.rows, tally.scored.known, tally.scored.rows]

    return [torch.atleast_1d(part).tolist() for part in whole], tally.parts, tally.counted


@pytest.mark.parametrize("command", JOBS)
def test_a_job_that_was_killed_goes_on_and_ends_as_one_that_was_not(
    bitveil, place, table, command
):
    cut(table, 20)  # 16 parts are left when four are finished: there is time to kill the job
    words = JOBS[command]
    output = place / words[-1]
    assert bitveil(*words)[0] == 0
    uninterrupted = content(output)
    output.unlink()

    parts = killed_after(4, words[-1], words)
    assert not output.exists()
    assert {part: part.stat().st_mtime_ns for part in parts} == parts
    code, out, err = bitveil(*words)

    assert code == 0, err
    found = re.search(r"note: (\d+) of these rows were finished before an interruption", err)
    n_found = int(found[1])
    assert 20 * len(parts) <= n_found < 400
    assert content(output) == uninterrupted
    assert "400" in out
    assert sorted(path.name for path in place.iterdir()) == sorted(
        ["encoder", "people.csv", "people.parquet", words[-1]]
    )


class Killed(BaseException):
    """What no `except Exception` catches, as a signal to the process."""


class Killer:
    """Lets some rows pass, and then kills the job."""

    def __init__(self, n_rows):
        self.left = n_rows

    def __call__(self, n_rows, found):
        self.left -= n_rows
        if self.left < 0:
            raise Killed


@pytest.mark.parametrize("make", [code_files.encode_to, count_files.count_to])
def test_finished_parts_are_not_made_again(many, make):
    model, output = load("encoder"), many / "all.csv"
    for n_rows in (100, 300):
        with pytest.raises(Killed):
            make(model, "people.parquet", output, ids="person", report=Killer(n_rows))
    seen = {True: 0, False: 0}

    def report(n_rows, found):
        seen[found] += n_rows

    assert make(model, "people.parquet", output, ids="person", report=report).n_found == 300
    assert seen == {True: 300, False: 100}


def test_blocks_of_text_are_left_out_too(place, monkeypatch):
    monkeypatch.setattr(sources, "_BLOCK", 90)
    model = load("encoder")
    with pytest.raises(Killed):
        code_files.encode_to(model, "people.csv", "codes.csv", report=Killer(200))
    done = code_files.encode_to(model, "people.csv", "codes.csv")
    whole = code_files.encode_to(model, "people.parquet", "whole.csv")

    assert (done.n_found, whole.n_found) == (180, 0)
    assert (place / "codes.csv").read_bytes() == (place / "whole.csv").read_bytes()


def interrupted(many, ids="person"):
    with pytest.raises(Killed):
        code_files.encode_to(
            load("encoder"), "people.parquet", "codes.csv", ids=ids, report=Killer(100)
        )


def test_parts_of_another_job_are_refused_and_stay(bitveil, many, table):
    interrupted(many)
    parts = sorted((many / "codes.csv.parts").iterdir())
    words = ("encode", "encoder", "people.parquet", "-o", "codes.csv")
    said = [bitveil(*words)]
    table.to_parquet("people.parquet", row_group_size=3)
    said.append(bitveil(*words, "--id", "person"))

    for code, out, err in said:
        assert (code, out) == (2, "")
        assert "codes.csv.parts keeps the finished parts of another job" in err
        assert "Remove that folder" in err
    assert sorted((many / "codes.csv.parts").iterdir()) == parts


def test_a_folder_that_is_none_of_ours_is_left_alone(bitveil, many):
    (many / "codes.csv.parts").mkdir()
    (many / "codes.csv.parts" / "mine").write_text("precious")
    code, _, err = bitveil("encode", "encoder", "people.parquet", "-o", "codes.csv")

    assert code == 2
    assert "another job" in err
    assert (many / "codes.csv.parts" / "mine").read_text() == "precious"


def test_two_processes_do_not_work_on_one_output(many):
    source = sources.open_source("people.parquet")
    about = jobs.described(load("encoder").coder_, source)
    with (
        jobs.parts_folder(many / "codes.csv", about, overwrite=False),
        pytest.raises(ValueError, match="Another process works in"),
        jobs.parts_folder(many / "codes.csv", about, overwrite=False),
    ):
        pass


def test_a_kill_before_the_first_part_or_in_the_middle_of_one_harms_nothing(bitveil, many):
    interrupted(many)
    folder = many / "codes.csv.parts"
    (folder / ".bitveil-half").mkdir()
    (folder / ".bitveil-half" / "part-000000099").write_text("half a par")

    assert bitveil(*JOBS["encode"][:-1], "codes.csv")[0] == 0
    assert not folder.exists()
    folder.mkdir()
    assert bitveil(*JOBS["encode"][:-1], "codes.csv", "--force")[0] == 0
    assert not folder.exists()
