"""Mistakes on the command line: each gives one clear line and leaves every file as it was."""

import ast
import importlib
import os
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bitveil as package
from bitveil import sources
from bitveil.cli.messages import _PYTHON
from bitveil.columns import files
from bitveil.columns.printing import printable
from bitveil.models import load
from builders import KEY, python, quick
from builders import fit_words as fit


@pytest.fixture
def broken(place, table):
    """Tables and folders that something is wrong with."""

    table.assign(hired=1).to_csv("one.csv", index=False)
    table.assign(sex=[f"{i} f" for i in range(400)]).to_csv("many.csv", index=False)
    table.assign(sex=table["sex"].where(table.index > 2)).to_csv("unsaid.csv", index=False)
    table.assign(age=np.inf).to_csv("infinite.csv", index=False)
    table.assign(person="p").to_csv("namesakes.csv", index=False)
    table[:0].to_csv("header.csv", index=False)
    table.drop(columns=["age", "job"]).to_csv("lacking.csv", index=False)
    table.assign(sex="f").to_csv("women.csv", index=False)
    table.assign(hired=table["hired"].where(table.index > 2)).to_csv("unhired.csv", index=False)
    table.assign(person=table["person"].where(table.index > 1)).to_csv("nameless.csv", index=False)
    table.assign(bit0=table["person"]).to_csv("bits.csv", index=False)
    table.assign(sex=table["sex"].where(table.index > 0, "x")).to_csv("rare.csv", index=False)
    called = np.where(table.index < 9, "missing", table["sex"])
    table.assign(sex=pd.Series(called).where(table.index > 3)).to_csv("called.csv", index=False)
    weights = {
        "below": -1.0,
        "none": 0.0,
        "women": (table["sex"] == "f") * 1.0,
        "hirings": (table["hired"] == "yes") * 1.0,
    }
    table.assign(**weights).to_csv("weights.csv", index=False)
    unweighed = pd.Series(1.0, table.index).where(table.index > 1)
    table.assign(weight=unweighed).to_csv("unweighed.csv", index=False)
    (place / "link.csv").symlink_to("people.csv")
    os.link("people.csv", "second.csv")
    (place / "nowhere.csv").symlink_to("nothing.csv")
    (place / "empty.csv").touch()
    (place / "torn.csv").write_text('a,b\n1,2\n"3')
    (place / "torn.parquet").write_text("PAR1 but not really")
    (place / "people.txt").touch()
    (place / "folder.csv").mkdir()
    shutil.copytree("encoder", "damaged")
    (place / "damaged" / "weights.safetensors").write_bytes(b"?")
    X = table[["height", "age"]].to_numpy()
    of = quick(key=KEY)
    of.fit(X, table["hired"], sensitive_features=table["sex"].to_numpy()).save("of")

    return place


MISTAKES = {
    "no such file": (fit("nobody.csv", "new"), ["no file nobody.csv"]),
    "a folder for a file": (fit("folder.csv", "new"), ["folder.csv"]),
    "a wrong suffix": (fit("people.txt", "new"), [".csv or .parquet, got people.txt"]),
    "a misspelled target": (
        ("fit", "people.csv", "--target", "hird", "--sensitive", "sex", "-o", "new"),
        ["people.csv has no column 'hird'", "Did you mean 'hired'?"],
    ),
    "a misspelled attribute": (
        ("fit", "people.csv", "--target", "hired", "--sensitive", "sexx", "-o", "new"),
        ["no column 'sexx'", "Did you mean 'sex'?"],
    ),
    "a name that is near none": (
        ("fit", "people.csv", "--target", "hired", "--sensitive", "zodiac", "-o", "new"),
        ["no column 'zodiac'", "'height'"],
    ),
    "an attribute given twice": (fit("people.csv", "new", "--sensitive", "sex"), ["sex"]),
    "a target with one value": (fit("one.csv", "new"), ["hired", "one class only"]),
    "an attribute of many values": (fit("many.csv", "new"), ["sex", "400 different values"]),
    "an attribute with gaps": (fit("unsaid.csv", "new"), ["sex", "3 missing values"]),
    "an attribute with gaps, and a sample": (
        fit("unsaid.csv", "new", "--sample", "200", "--max-gap", "0.5"),
        ["`--sensitive sex` has", "missing values", "make them a group with --missing-group"],
    ),
    "a plan for an attribute with gaps": (
        ("plan", "unsaid.csv", "--sensitive", "sex"),
        ["`--sensitive sex` has 3 missing values", "make them a group with --missing-group"],
    ),
    "a plan for a target with gaps": (
        tuple("plan unhired.csv --sensitive sex --target hired --criterion separation".split()),
        ["`--target hired` contains NaN or missing values in 3 rows"],
    ),
    "an audit of an attribute with gaps": (
        ("audit", "encoder", "unsaid.csv"),
        ["--sensitive has 3 missing values, and the fitted rows had none. Leave those rows out."],
    ),
    "a weight with gaps": (
        fit("unweighed.csv", "new", "--weight", "weight"),
        ["--weight expects a finite weight", "of the 400 rows, got none for 2 of them"],
    ),
    "an infinite number": (fit("infinite.csv", "new"), ["infinities in ['age']"]),
    "no rows": (fit("header.csv", "new"), ["header.csv has no rows"]),
    "an empty file": (fit("empty.csv", "new"), ["empty.csv"]),
    "half a CSV": (fit("torn.csv", "new"), ["torn.csv"]),
    "half a Parquet": (fit("torn.parquet", "new"), ["torn.parquet"]),
    "an impossible goal": (
        fit("people.csv", "new", "--max-gap", "0.01", "--on-unmet", "raise"),
        ["--max-gap 0.01 is too small for these rows", "(--delta 0.05)"],
    ),
    "a goal that is none": (fit("people.csv", "new", "--max-gap", "10"), ["--max-gap expects"]),
    "two goals": (
        fit("people.csv", "new", "--max-gap", "0.5", "--strength", "1"),
        ["Set one goal only, got --max-gap and --strength"],
    ),
    "no bits": (fit("people.csv", "new", "--bits", "0"), ["--bits expects"]),
    "one bin": (fit("people.csv", "new", "--bins", "1"), ["--bins expects"]),
    "a strength below 0": (fit("people.csv", "new", "--strength", "-1"), ["--strength expects"]),
    "information below 0": (
        fit("people.csv", "new", "--max-information", "-1"),
        ["--max-information expects"],
    ),
    "a probability that is none": (fit("people.csv", "new", "--delta", "2"), ["--delta expects"]),
    "a target with gaps": (
        fit("unhired.csv", "new"),
        ["`--target hired` contains", "missing values in 3 rows. Leave those rows out."],
    ),
    "an opportunity of numbers": (
        fit("people.csv", "new", "--criterion", "equal_opportunity", "--target", "height"),
        ["--criterion equal_opportunity needs one target with classes"],
    ),
    "weights that are words": (fit("people.csv", "new", "--weight", "job"), ["--weight expects"]),
    "weights below 0": (fit("weights.csv", "new", "--weight", "below"), ["--weight expects"]),
    "no weight at all": (fit("weights.csv", "new", "--weight", "none"), ["--weight expects some"]),
    "no weight of a group": (
        fit("weights.csv", "new", "--weight", "women"),
        ["--weight", "['m']", "weigh 0, or so little"],
    ),
    "no weight of a class": (
        fit("weights.csv", "new", "--weight", "hirings"),
        ["--target has one class only", "--weight is above 0"],
    ),
    "a rare group": (fit("rare.csv", "new"), ["--sensitive: too few rows of ['x']", "Join rare"]),
    "two attributes of many values": (
        fit("people.csv", "new", "--sensitive", "age", "--bins", "40"),
        ["--sensitive", "different values, more than the"],
    ),
    "a group that is called missing": (
        fit("called.csv", "new", "--missing-group"),
        ["'sex' has rows whose value is 'missing'", "Rename that value"],
    ),
    "an encoder that is there": (fit("people.csv", "encoder"), ["encoder exists already"]),
    "no folder to write into": (
        fit("people.csv", "no/new", "--bits", "1"),
        ["There is no folder no to write into"],
    ),
    "no encoder": (
        ("encode", "nothing", "people.csv", "-o", "codes.csv"),
        ["nothing is not a saved encoder"],
    ),
    "a damaged encoder": (
        ("encode", "damaged", "people.csv", "-o", "codes.csv"),
        ["weights.safetensors was changed after it was saved"],
    ),
    "columns that are not there": (
        ("encode", "encoder", "lacking.csv", "-o", "codes.csv"),
        ["lacking.csv lacks columns", "['age', 'job']"],
    ),
    "an encoder of arrays": (("encode", "of", "people.csv", "-o", "codes.csv"), ["of", "columns"]),
    "ids that are not there": (
        ("encode", "encoder", "people.csv", "-o", "codes.csv", "--id", "persom"),
        ["no column 'persom'", "Did you mean 'person'?"],
    ),
    "ids that name two rows": (
        ("encode", "encoder", "namesakes.csv", "-o", "codes.csv", "--id", "person"),
        ["namesakes.csv", "some rows share an id in the column 'person'"],
    ),
    "ids that are missing": (
        ("encode", "encoder", "nameless.csv", "-o", "codes.csv", "--id", "person"),
        ["nameless.csv", "--id person expects a name for each", "got 2 of them missing"],
    ),
    "ids with the name of a bit": (
        ("encode", "encoder", "bits.csv", "-o", "codes.csv", "--id", "bit0"),
        ["bits.csv", "A published column has the name of the column 'bit0', too"],
    ),
    "codes over their own rows": (
        ("encode", "encoder", "people.csv", "-o", "people.csv", "--force"),
        ["people.csv would overwrite people.csv", "even --force"],
    ),
    "codes over their own rows, by another way": (
        ("encode", "encoder", "people.csv", "-o", "folder.csv/../people.csv", "--force"),
        ["even --force"],
    ),
    "codes over their own rows, by a link": (
        ("encode", "encoder", "people.csv", "-o", "link.csv", "--force"),
        ["link.csv would overwrite people.csv"],
    ),
    "codes over their own rows, by a second name": (
        ("encode", "encoder", "people.csv", "-o", "second.csv", "--force"),
        ["second.csv would overwrite people.csv"],
    ),
    "codes into the encoder": (
        ("encode", "encoder", "people.csv", "-o", "encoder/codes.csv", "--force"),
        ["encoder/codes.csv would overwrite encoder"],
    ),
    "codes over another file": (
        ("encode", "encoder", "people.csv", "-o", "women.csv"),
        ["women.csv already exists", "use --force"],
    ),
    "codes over a link to nowhere": (
        ("encode", "encoder", "people.csv", "-o", "nowhere.csv"),
        ["nowhere.csv already exists", "use --force"],
    ),
    "codes in a wrong suffix": (
        ("encode", "encoder", "people.csv", "-o", "codes.txt"),
        [".csv or .parquet, got codes.txt"],
    ),
    "codes over a folder": (
        ("encode", "encoder", "people.csv", "-o", "folder.csv"),
        ["folder.csv exists already"],
    ),
    "codes into no folder": (
        ("encode", "encoder", "people.csv", "-o", "no/codes.csv"),
        ["There is no folder no to write into"],
    ),
    "an audit of one group": (
        ("audit", "encoder", "women.csv"),
        ["--sensitive has one value only"],
    ),
    "an audit of a misspelled group": (
        ("audit", "encoder", "people.csv", "--sensitive", "sexx"),
        ["no column 'sexx'", "Did you mean 'sex'?"],
    ),
    "an audit of an encoder of arrays": (
        ("audit", "of", "people.csv", "--sensitive", "sex"),
        ["of", "columns"],
    ),
    "an audit without a group": (("audit", "of", "people.csv"), ["--sensitive"]),
    "an audit with a delta that is none": (
        ("audit", "encoder", "people.csv", "--delta", "2"),
        ["--delta expects a probability"],
    ),
}


PYTHON = re.compile(r"`\w+`|`\w+=|\w_\w|Invariant|pandas|\.as|None")
"""Words for Python users, which no message of the command line contains."""


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line_and_leaves_nothing(bitveil, broken, name):
    words, said = MISTAKES[name]
    before = sorted(broken.rglob("*"))
    code, out, err = bitveil(*words)

    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("bitveil: ")
    assert all(word in err for word in said), err
    assert not PYTHON.search(err.replace("equal_opportunity", "")), err
    assert sorted(broken.rglob("*")) == before


def test_places_that_cannot_be_written_are_said_before_anything_is_made(
    bitveil, broken, monkeypatch
):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    monkeypatch.setattr(files, "read_table", None)  # nothing is read either
    monkeypatch.setattr(sources, "open_source", None)
    for words in (
        fit("people.csv", "new"),
        ("encode", "encoder", "people.csv", "-o", "codes.csv"),
    ):
        code, out, err = bitveil(*words)
        assert (code, out) == (2, "")
        assert "cannot be written to. Name another folder" in err


def test_codes_that_appear_meanwhile_are_not_written_over(bitveil, place, monkeypatch):
    importlib.import_module("bitveil.code_files")  # it takes the function that is there
    opened = sources.open_source

    def meanwhile(data, form=None):
        (place / "codes.csv").write_text("theirs")
        return opened(data, form)

    monkeypatch.setattr(sources, "open_source", meanwhile)
    code, _, err = bitveil("encode", "encoder", "people.csv", "-o", "codes.csv")

    assert code == 2
    assert "codes.csv exists already and is not overwritten" in err
    assert (place / "codes.csv").read_text() == "theirs"


def test_force_writes_over_another_file(bitveil, place):
    (place / "codes.csv").write_text("old")

    assert bitveil("encode", "encoder", "people.csv", "-o", "codes.csv", "--force")[0] == 0
    assert pd.read_csv("codes.csv").shape == (400, 3)


def test_a_column_is_called_by_its_name_though_python_has_the_same_one(bitveil, place, table):
    table.assign(y=[f"{i} f" for i in range(400)]).to_csv("y.csv", index=False)
    words = ("fit", "y.csv", "--target", "hired", "--sensitive", "y", "-o", "new")

    assert "`--sensitive y` has 400 different values" in bitveil(*words)[2]


HOSTILE = "a\x1b[31m\u202ered\u2066\x07"
OBEYED = "\x1b\u202e\u2066\x07"


@pytest.mark.parametrize("name", ["height [cm]", "km[/h]", ":smile: [bold]", HOSTILE])
def test_names_print_as_they_are_and_a_terminal_obeys_none(bitveil, place, table, name):
    columns = {"height": name, "hired": f"{name} of job", "sex": f"{name} of person"}
    table.rename(columns=columns).to_csv("odd.csv", index=False)
    folder = f"new {name.replace('/', '')}"
    roles = ("--target", f"{name} of job", "--sensitive", f"{name} of person", "--id", "person")
    code, out, err = bitveil("fit", "odd.csv", *roles, "-o", folder, "--bits", "1")
    words = " ".join(out.split())  # the table breaks its lines

    assert (code, err.strip()) == (0, "")
    assert name in load(folder).feature_names_in_
    assert printable(f"{name} of job; {name} of person") in words
    assert f"skill, {printable(name)}, age" in words
    assert words.startswith(f"Encoder in {printable(folder)}")
    codes = f"codes {folder}.csv"
    encoded = bitveil("encode", folder, "odd.csv", "-o", codes)
    assert encoded == (0, f"400 codes of 1 bits in {printable(codes)}\n", "")
    lost = bitveil("encode", folder, "people.csv", "-o", "other.csv")[2]
    again = bitveil("encode", folder, "odd.csv", "-o", codes)[2]
    assert f"{printable(codes)} already exists" in again
    assert not set(OBEYED) & set(out + encoded[1] + lost + again)


def test_hostile_groups_are_spelled_in_an_audit(bitveil, place, table):
    other = table.assign(job=table["sex"] + HOSTILE, sex=table["sex"] + HOSTILE)
    other.to_csv("odd.csv", index=False)
    named = ("--column", "job", "--sensitive", "sex")
    code, out, _ = bitveil("audit", "--codes", "odd.csv", *named)
    table.assign(sex=table["sex"] + HOSTILE).to_csv("groups.csv", index=False)
    error = bitveil("audit", "encoder", "groups.csv")[2]

    assert code == 0
    assert f"m{printable(HOSTILE)}: " in out
    assert f"job = m{printable(HOSTILE)}" in out
    assert "groups that were not fitted" in error
    assert not set(OBEYED) & set(out + error)


@pytest.mark.parametrize(
    ("python", "here"),
    [
        ("`max_gap=0.1` could not be certified", "--max-gap 0.1 could not be certified"),
        ("Names for the rows (`ids`) help", "Names for the rows (--id) help"),
        ("`sensitive_features` expects, not `y`", "--sensitive expects, not --target"),
        ("Use `InvariantRegressor`, or cut them", "Cut them"),
        ("Join rare values, or use `features='raw'`.", "Join rare values."),
        ("with a `random_state` the key", "with a --seed the key"),
        ("`--sensitive y` and 'y' and `other`", "`--sensitive y` and 'y' and `other`"),
        ("Name it: `sensitive=`.", "Name it: --sensitive."),
        ("Try `sep=';'`, or `encoding='cp1252'`.", "Try --sep ';', or --encoding cp1252."),
        ("Join groups (`join_rare`).", "Join groups (--join-rare)."),
        ("on a table in memory: `model.audit`.", "on a table in memory."),
        ("person (in `fit`, `sample_weight` says", "person (in `bitveil fit`, --weight says"),
        ("Make them text, for example with `.map(bytes.hex)`.", "Make them text."),
        (
            "differ. `load(..., accept_versions=True)` loads it if the bits of its specimens are "
            "the same. Or install those",
            "differ. Install those",
        ),
        (
            "again, as `load(directory, encoder=...)`. The weights are put into a copy.",
            "again, from Python.",
        ),
    ],
)
@pytest.mark.filterwarnings("default")
def test_messages_of_python_speak_of_options(bitveil, place, monkeypatch, python, here):
    def refuse(path, **settings):
        warnings.warn(python, stacklevel=1)
        raise ValueError(python)

    monkeypatch.setattr(files, "read_table", refuse)
    err = bitveil(*fit("people.csv", "new"))[2]

    assert err == f"bitveil: note: {here}\nbitveil: {here}\n"


def texts_of(tree):
    """The texts of a module, with a brace for each value that is put in."""

    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [getattr(part, "value", None) for part in node.values]
            yield "".join(part if isinstance(part, str) else "{}" for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_all_advice_that_is_replaced_is_given_somewhere():
    """Advice that was reworded would slip through."""

    folder = Path(package.__file__).parent
    paths = [path for path in folder.rglob("*.py") if path.name != "messages.py"]
    said = [text for path in paths for text in texts_of(ast.parse(path.read_text()))]
    replaced = [
        python.replace("encoder=", "{}=").replace("decoder=", "{}=") for python, _ in _PYTHON
    ]

    assert [python for python in replaced if not any(python in text for text in said)] == []


def test_a_name_without_an_end_is_cut(bitveil, place):
    err = bitveil("fit", "people.csv", "--target", "x" * 9_000, "--sensitive", "s", "-o", "n")[2]

    assert len(err) < 2_100
    assert "xxx...xxx" in err


def test_columns_that_are_all_dropped_leave_nothing_to_encode(bitveil, place, table):
    table[["person", "sex", "hired", "extra"]].to_csv("bare.csv", index=False)
    code, _, err = bitveil(*fit("bare.csv", "new", "--json"))

    assert code == 2
    assert "column" in err
    assert not os.path.exists("new")


def test_a_mistake_is_no_traceback_in_a_process_of_its_own(place):
    ran = python(*fit("nobody.csv", "new"))

    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr == "bitveil: There is no file nobody.csv.\n"


def test_codes_that_were_there_stay_where_encoding_fails(bitveil, broken):
    (broken / "codes.csv").write_text("old")
    bitveil("encode", "encoder", "lacking.csv", "-o", "codes.csv")

    assert (broken / "codes.csv").read_text() == "old"
