"""The command line on rows of any number: folders, streams, counts and their sums, bad input."""

import io
import json
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from bitveil.cli import progress
from bitveil.models import load
from builders import KEY, quick, table_of

ENCODE = ("encode", "encoder", "people", "--id", "person", "-o")
WHOSE = (
    "bitveil: note: The column person says whose code each row is. Publish it only if nobody else "
    "knows who has which id; otherwise take it out first.\n"
)
COUNT = ("count", "encoder", "people", "--id", "person", "-o", "people.counts")


@pytest.fixture
def folder(place, people):
    """New rows in three files of a folder."""

    rows = table_of(people, seed=5)
    (place / "people").mkdir()
    for part, start in enumerate((0, 150, 300)):
        write_part(place, part, rows[start : start + 150])

    return place


def write_part(place, part, rows):
    rows.to_parquet(place / "people" / f"part-{part}.parquet", row_group_size=40)


def read_part(place, part):
    return pd.read_parquet(place / "people" / f"part-{part}.parquet")


def whole(place):
    return pd.concat([read_part(place, part) for part in range(3)], ignore_index=True)


def expected(place):
    table, encoder = whole(place), load("encoder")
    return encoder.transform(table[encoder.feature_names_in_], ids=table["person"])


def piped(monkeypatch, table):
    """Standard streams with a table as Arrow's IPC format. Returns what gets the output."""

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=70)
    taken = io.BytesIO()
    out = SimpleNamespace(
        buffer=taken, isatty=lambda: False, write=lambda _: None, flush=lambda: 0
    )
    monkeypatch.setattr(
        sys, "stdin", SimpleNamespace(buffer=io.BytesIO(sink.getvalue().to_pybytes()))
    )
    monkeypatch.setattr(sys, "stdout", out)

    return taken


# encode


def test_a_folder_becomes_one_file(bitveil, folder):
    for name in ("codes.csv", "codes.parquet"):
        code, out, err = bitveil(*ENCODE, name)
        assert (code, out) == (0, f"400 codes of 3 bits in {name}\n")
        assert err == WHOSE
    codes = [pd.read_csv("codes.csv"), pd.read_parquet("codes.parquet")]

    for frame in codes:
        assert frame["person"].tolist() == whole(folder)["person"].tolist()
        np.testing.assert_array_equal(frame.drop(columns="person"), expected(folder))


def test_a_folder_becomes_a_folder_with_the_same_row_groups(bitveil, folder):
    assert bitveil(*ENCODE, "codes")[0] == 0
    for part in range(3):
        name = f"part-{part}.parquet"
        found = pyarrow.parquet.ParquetFile(folder / "codes" / name).metadata
        source = pyarrow.parquet.ParquetFile(folder / "people" / name).metadata
        sizes = [
            [m.row_group(i).num_rows for i in range(m.num_row_groups)] for m in (found, source)
        ]
        assert sizes[0] == sizes[1]
    codes = pd.concat([pd.read_parquet(path) for path in sorted((folder / "codes").iterdir())])

    np.testing.assert_array_equal(codes.drop(columns="person"), expected(folder))
    assert "exists already" in bitveil(*ENCODE, "codes", "--force")[2]


def test_a_pattern_names_some_files(bitveil, folder):
    pattern = ("encode", "encoder", "people/part-[01].parquet", "--id", "person", "-o")

    assert bitveil(*pattern, "codes")[0] == 0
    assert bitveil(*pattern, "codes.csv")[1].startswith("300 codes")
    assert sorted(path.name for path in (folder / "codes").iterdir()) == [
        "part-0.parquet",
        "part-1.parquet",
    ]


def test_a_stream_goes_in_and_out(bitveil, folder, monkeypatch):
    taken = piped(monkeypatch, pyarrow.Table.from_pandas(whole(folder)))
    code, _, err = bitveil("encode", "encoder", "-", "--id", "person", "-o", "-")
    codes = pyarrow.ipc.open_stream(taken.getvalue()).read_all().to_pandas()

    assert (code, err) == (0, f"{WHOSE}400 codes of 3 bits in the standard output\n")
    np.testing.assert_array_equal(codes.drop(columns="person"), expected(folder))


def test_a_stream_becomes_a_file(bitveil, folder, monkeypatch):
    piped(monkeypatch, pyarrow.Table.from_pandas(whole(folder)))

    assert bitveil("encode", "encoder", "-", "--id", "person", "-o", "codes.parquet")[0] == 0
    codes = pd.read_parquet("codes.parquet")
    np.testing.assert_array_equal(codes.drop(columns="person"), expected(folder))


def test_a_stream_without_rows_or_of_another_format_is_refused(bitveil, folder, monkeypatch):
    piped(monkeypatch, pyarrow.Table.from_pandas(whole(folder)[:0]))
    empty = bitveil("encode", "encoder", "-", "-o", "codes.csv")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"id,age\n1,2\n")))
    text = bitveil("encode", "encoder", "-", "-o", "codes.csv")

    assert (empty[0], text[0]) == (2, 2)
    assert "The standard input has no rows" in empty[2]
    assert "The standard input is no stream of Arrow's IPC format" in text[2]
    assert not (folder / "codes.csv").exists()


def test_folders_of_a_sensitive_column_are_not_repeated_in_the_output(bitveil, folder):
    for sex, part in whole(folder).groupby("sex"):
        (folder / "by" / f"sex={sex}").mkdir(parents=True)
        part.drop(columns="sex").to_parquet(folder / "by" / f"sex={sex}" / "part.parquet")
    refused = bitveil("encode", "encoder", "by", "--id", "person", "-o", "codes")
    code, _, err = bitveil("encode", "encoder", "by", "--id", "person", "-o", "codes.csv")

    assert refused[0] == 2
    assert "give the sensitive columns ['sex']" in refused[2]
    assert code == 0
    assert "Shuffle them before you publish them" in err


@pytest.mark.filterwarnings("default")
def test_values_that_were_not_fitted_are_said_once_for_all_batches(bitveil, folder):
    for part, job in enumerate(("pilot", "nurse", "pilot")):
        write_part(folder, part, read_part(folder, part).assign(job=job))
    code, _, err = bitveil(*ENCODE, "codes.csv")

    assert code == 0
    assert len(err.splitlines()) == 2
    assert err.endswith(WHOSE)
    assert "note: Values that were not fitted count as none of the known ones" in err


# count and merge


def certified(bitveil, *files):
    code, out, err = bitveil("merge", *files, "--json")
    assert code == 0, err

    return json.loads(out)


def test_counts_of_parts_add_up_to_those_of_the_whole(bitveil, folder):
    assert bitveil(*COUNT)[0] == 0
    for part in range(3):
        source = f"people/part-{part}.parquet"
        words = ("count", "encoder", source, "--id", "person", "-o", f"{part}.counts")
        code, out, err = bitveil(*words)
        assert (code, err) == (0, "")
        assert out.startswith(f"Counts in {part}.counts")
    parts = [f"{part}.counts" for part in range(3)]
    one, several = certified(bitveil, "people.counts"), certified(bitveil, *parts)

    assert (one["rows"], one["draws"], one["groups"]) == (400, "soft", ["f", "m"])
    assert one["sizes"] == several["sizes"]
    assert several["parts"][2] == {"name": "people/part-2.parquet", "rows": 100}
    for name in ("information_bits", "total_variation"):
        assert several[name] == pytest.approx(one[name], abs=1e-12)
    for mine, yours in zip(one["intervals"], several["intervals"], strict=True):
        assert mine["certificate"]["bound"] == pytest.approx(yours["certificate"]["bound"])
        assert mine["least"] <= mine["certificate"]["estimate"]


def test_merge_says_what_it_found_and_what_that_does_not_say(bitveil, folder):
    bitveil(*COUNT)
    code, out, err = bitveil("merge", "people.counts", "-o", "all.counts", "--delta", "0.1")
    words = " ".join(out.split())

    assert (code, err) == (0, "")
    assert words.startswith("What the codes counted in people.counts reveal about sex")
    for said in (
        "≤ largest gap of any classifier that sees the code ≤",
        "each bound with probability ≥ 0.9",
        "joint information",
        "total variation",
        "expected codes",
        "within one file of counts only",
        "do not cover",
    ):
        assert said in words
    assert certified(bitveil, "all.counts")["rows"] == 400


def test_codes_of_rows_without_names_are_counted_as_published(bitveil, folder):
    code, out, _ = bitveil("count", "encoder", "people", "-o", "people.counts")

    assert code == 0
    assert "codes as they are published" in " ".join(out.split())
    assert certified(bitveil, "people.counts")["draws"] == "hard"


def test_merge_refuses_what_does_not_belong_together(bitveil, folder):
    bitveil(*COUNT)
    bitveil("count", "encoder", "people", "-o", "drawn.counts")
    (folder / "torn.counts").write_bytes((folder / "people.counts").read_bytes()[:-9])
    (folder / "text.counts").write_text("no counts")
    for words, said in (
        (("people.counts", "people.counts"), "The same rows were counted twice"),
        (("people.counts", "drawn.counts"), "differ in `draws`"),
        (("people.counts", "torn.counts"), "torn.counts is damaged"),
        (("text.counts",), "text.counts is damaged"),
        (("none.counts",), "none.counts"),
        (("people.counts", "-o", "people.counts", "--force"), "even --force"),
        (("people.counts", "--delta", "2"), "--delta expects a probability"),
    ):
        code, out, err = bitveil("merge", *words)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert said in err


def test_a_group_without_rows_in_any_part_is_named(bitveil, folder):
    for part in range(3):
        rows = read_part(folder, part)
        write_part(folder, part, rows[rows["sex"] == "f"])
    assert bitveil(*COUNT)[0] == 0
    code, out, err = bitveil("merge", "people.counts")

    assert (code, out) == (2, "")
    assert "No row of the group m of sex was counted, in people" in err


def test_a_group_without_rows_of_a_target_is_named(bitveil, folder, people):
    seen = table_of(people, seed=1)
    X = seen.drop(columns=["person", "sex", "hired", "extra"])
    model = quick(key=KEY, criterion="separation")
    model.fit(X, seen["hired"], sensitive_features=seen[["sex"]]).save("separate")
    for part in range(3):
        rows = read_part(folder, part)
        write_part(folder, part, rows[(rows["sex"] == "f") | (rows["hired"] == "no")])
    assert bitveil("count", "separate", *COUNT[2:])[0] == 0
    code, _, err = bitveil("merge", "people.counts")

    assert code == 2
    assert "No row of the group m of sex was counted among the rows whose hired is yes" in err


def test_audit_sends_files_of_counts_to_merge(bitveil, folder):
    bitveil(*COUNT)
    code, _, err = bitveil("audit", "--counts", "people.counts")

    assert code == 2
    assert "bitveil merge people.counts" in err


# Bad input


def without_rows(place):
    write_part(place, 2, read_part(place, 2)[:0])


def without_bytes(place):
    (place / "people" / "part-2.parquet").write_bytes(b"")


def cut_short(place):
    file = place / "people" / "part-2.parquet"
    file.write_bytes(file.read_bytes()[:3000])


def garbled(place):
    file = place / "people" / "part-2.parquet"
    content = bytearray(file.read_bytes())
    content[4:3000] = b"\xff" * 2996
    file.write_bytes(content)


def without_a_column(place):
    write_part(place, 2, read_part(place, 2).drop(columns="age"))


def with_text(place):
    rows = read_part(place, 2)
    write_part(place, 2, rows.assign(height=["x", *rows["height"].astype(str)[1:]]))


def with_an_id_of_before(place):
    write_part(place, 2, read_part(place, 2).assign(person=lambda t: ["p7", *t["person"][1:]]))


def without_an_id(place):
    write_part(place, 2, read_part(place, 2).assign(person=lambda t: [None, *t["person"][1:]]))


def with_another_group(place):
    write_part(place, 2, read_part(place, 2).assign(sex="x"))


LAST = "people/part-2.parquet"
BAD = {
    "no rows": (without_rows, [f"{LAST} has no rows"]),
    "no bytes": (without_bytes, [f"{LAST} cannot be read"]),
    "cut short": (cut_short, [f"{LAST} cannot be read"]),
    "garbled": (garbled, [f"{LAST} cannot be read"]),
    "a column that is missing": (without_a_column, [LAST, "'age'", "same columns"]),
    "text among numbers": (with_text, [LAST, "'height' held numbers", "'x'"]),
    "an id of another file": (with_an_id_of_before, ["people"]),
    "a missing id": (without_an_id, [LAST, "--id person expects a name", "1 of them missing"]),
    "a group that was not fitted": (with_another_group, [LAST, "--sensitive", "['x']"]),
}


@pytest.mark.parametrize("command", ["encode", "count"])
@pytest.mark.parametrize("name", BAD)
def test_bad_input_in_the_last_file_is_one_clear_line_and_leaves_nothing(
    bitveil, folder, command, name
):
    harm, said = BAD[name]
    harm(folder)
    before = sorted(folder.rglob("*"))
    words = (*ENCODE, "codes.csv") if command == "encode" else COUNT
    code, out, err = bitveil(*words)

    if (command, name) == ("encode", "a group that was not fitted"):
        assert code == 0
        return
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert all(word in err for word in said), err
    assert sorted(folder.rglob("*")) == before


def test_rows_of_the_fit_are_not_counted(bitveil, place, people):
    table_of(people, seed=1).to_csv("seen.csv", index=False)
    code, _, err = bitveil("count", "encoder", "seen.csv", "-o", "seen.counts")

    assert code == 2
    assert "seen.csv: 400 of 400 rows have the content of rows that the encoder was fitted" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*COUNT[:-1], "people.csv"), "ends in .counts, got people.csv"),
        ((*ENCODE, "codes.txt"), "ends in .csv or .parquet, got codes.txt"),
        ((*ENCODE, "people/codes.csv"), "people/codes.csv would overwrite people"),
        ((*COUNT, "--sensitive", "sexx"), "no column 'sexx'"),
        (("encode", "encoder", "none/*.csv", "-o", "codes.csv"), "none/*.csv holds no .csv"),
        (
            ("encode", "encoder", "people.csv", "-o", "codes"),
            "ends in .csv or .parquet, got codes",
        ),
    ],
)
def test_mistakes_leave_nothing(bitveil, folder, words, said):
    before = sorted(folder.rglob("*"))
    code, out, err = bitveil(*words)

    assert (code, out) == (2, "")
    assert said in err
    assert sorted(folder.rglob("*")) == before


# Progress


def test_progress_is_shown_only_where_it_takes_time_and_somebody_looks(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_AFTER", 0.0)
    for always in (False, True):
        with progress.progress(1000, always=always) as report:
            report(200, True)
            report(100, False)
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("bitveil: 200 of 1,000 rows") == always


def test_progress_in_a_terminal_goes_to_the_error_stream(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_AFTER", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.progress(None, always=False) as report:
        for _ in range(3):
            report(100, False)

    assert capsys.readouterr().out == ""
