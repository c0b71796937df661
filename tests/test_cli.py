"""The command line: tables in, folders and tables out, and one line for a mistake."""

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from bitveil.audits import Audit
from bitveil.columns import files
from bitveil.columns.printing import printable
from bitveil.models import load
from builders import KEY, quick


def table_of(people, seed=0):
    X, y, s = people(400, seed=seed)

    return X.drop(columns="since").assign(
        person=[f"p{i}" for i in range(400)], sex=s, hired=y, extra=1.5
    )


@pytest.fixture(scope="module")
def table(people):
    return table_of(people)


@pytest.fixture(scope="module")
def fitted(people, tmp_path_factory):
    """The folder of an encoder of other rows; names, and the extra column, are no features."""

    seen = table_of(people, seed=1)
    X = seen.drop(columns=["person", "sex", "hired", "extra"])
    model = quick(key=KEY)
    folder = tmp_path_factory.mktemp("fitted") / "encoder"
    model.fit(X, seen["hired"], sensitive_features=seen[["sex"]]).save(folder)

    return folder


@pytest.fixture
def place(table, fitted, tmp_path, monkeypatch):
    """A folder to work in, with a table in both formats and an encoder."""

    table.to_csv(tmp_path / "people.csv", index=False)
    table.to_parquet(tmp_path / "people.parquet")
    shutil.copytree(fitted, tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)

    return tmp_path


@pytest.fixture
def bitveil(command_line, monkeypatch):
    """Run the command line, whose fits take a moment."""

    from bitveil.cli import fit

    kind_of_encoder = fit.kind_of_encoder

    def fast(table, targets):
        def build(*n_bits, training, **settings):
            training.set_params(hidden=(4,), epochs=1)
            return kind(*n_bits, training=training, features="raw", **settings)

        kind = kind_of_encoder(table, targets)
        return build

    monkeypatch.setattr(fit, "kind_of_encoder", fast)

    return command_line


def python(*words):
    """Run the command line as a process of its own."""

    return subprocess.run(
        [sys.executable, "-m", "bitveil", *words], capture_output=True, text=True, check=False
    )


def fit(file, output, *more):
    named = ("--target", "hired", "--sensitive", "sex", "--id", "person", "--drop", "extra")

    return "fit", file, *named, "-o", output, *more


# fit


def test_fit_writes_an_encoder_and_says_so_in_json(command_line, place):
    code, out, err = command_line(*fit("people.csv", "new", "--bits", "2", "--json"))
    found, loaded = json.loads(out), load("new")

    assert (code, err) == (0, "")
    assert found == {
        "output": "new",
        "target": ["hired"],
        "sensitive": ["sex"],
        "features": ["skill", "height", "age", "job", "size", "member", "planet", "notes"],
        "rows": {"fit": 286, "select": 114},
        "n_bits": 2,
        "certified_gap": None,
        "certified": None,
        "delta": None,
    }
    assert list(loaded.feature_names_in_) == found["features"]
    assert loaded.n_bits == 2
    assert loaded.schema_.target_name == "hired"
    assert list(loaded.schema_.sensitive_names) == ["sex"]


def test_fit_certifies_a_goal_and_encode_and_audit_go_on_from_there(bitveil, place, people):
    code, out, _ = bitveil(*fit("people.parquet", "new", "--max-gap", "0.9", "--delta", "0.2"))
    assert code == 0
    assert all(word in out for word in ("hired; sex", "certificate", "0.9000", "≥ 0.8", "certify"))
    assert load("new").certificate_.bound == 0.9

    assert bitveil("encode", "new", "people.csv", "-o", "codes.csv")[0] == 0
    assert pd.read_csv("codes.csv").shape == (400, 6)
    table_of(people, seed=2).to_csv("others.csv", index=False)
    assert bitveil("audit", "new", "others.csv")[0] == 0


@pytest.mark.filterwarnings("default:The key of the draws")
def test_a_fit_with_a_seed_can_be_repeated_and_says_that_its_key_can_be_guessed(
    bitveil, place, table
):
    bits = []
    for name in ("one", "two"):
        few = ("--seed", "7", "--bits", "2", "--strength", "0.5", "--json")
        code, _, err = bitveil(*fit("people.csv", name, *few))
        assert code == 0
        assert "note: The key of the draws follows from --seed" in err
        bits.append(load(name).transform(table[load(name).feature_names_in_]))

    np.testing.assert_array_equal(*bits)


# encode


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_encoding_twice_writes_the_same_bytes(bitveil, place, suffix):
    for name in ("one", "two", "two"):
        written = ("-o", f"{name}.{suffix}", "--force")
        code, out, err = bitveil("encode", "encoder", "people.csv", *written)
        assert (code, out, err) == (0, f"400 codes of 3 bits in {name}.{suffix}\n", "")

    assert (place / f"one.{suffix}").read_bytes() == (place / f"two.{suffix}").read_bytes()


def test_codes_are_those_of_the_encoder_in_every_format(bitveil, place, table):
    for source in ("csv", "parquet"):
        for target in ("csv", "parquet"):
            bitveil("encode", "encoder", f"people.{source}", "-o", f"{source}.{target}")
    codes = [pd.read_csv("csv.csv"), pd.read_csv("parquet.csv")]
    codes += [pd.read_parquet("csv.parquet"), pd.read_parquet("parquet.parquet")]
    encoder = load("encoder")

    for frame in codes:
        assert frame.columns.tolist() == ["bit0", "bit1", "bit2"]
        np.testing.assert_array_equal(
            frame, encoder.transform(table[list(encoder.feature_names_in_)])
        )


def test_dates_are_read_alike_from_both_formats(bitveil, people, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y, s = people(300)
    quick(key=KEY).fit(X, y, sensitive_features=s).save("encoder")
    X.to_csv("people.csv", index=False)
    X.to_parquet("people.parquet")
    for source in ("csv", "parquet"):
        assert bitveil("encode", "encoder", f"people.{source}", "-o", f"from_{source}.csv")[0] == 0

    assert (tmp_path / "from_csv.csv").read_bytes() == (tmp_path / "from_parquet.csv").read_bytes()


def test_another_process_draws_the_same_codes(bitveil, place):
    ran = python("encode", "encoder", "people.csv", "-o", "there.csv")
    bitveil("encode", "encoder", "people.csv", "-o", "here.csv")

    assert (ran.returncode, ran.stdout) == (0, "400 codes of 3 bits in there.csv\n")
    assert (place / "there.csv").read_bytes() == (place / "here.csv").read_bytes()


def test_ids_come_first_and_decide_the_draw(bitveil, place, table):
    bitveil("encode", "encoder", "people.csv", "-o", "codes.csv", "--id", "person")
    codes, encoder = pd.read_csv("codes.csv"), load("encoder")
    X = table[list(encoder.feature_names_in_)]

    assert codes.columns.tolist() == ["person", "bit0", "bit1", "bit2"]
    assert codes["person"].tolist() == table["person"].tolist()
    np.testing.assert_array_equal(
        codes.drop(columns="person"), encoder.transform(X, ids=table["person"])
    )


def test_a_code_stands_beside_its_own_id_whatever_the_index(bitveil, place, table):
    table.sample(frac=1, random_state=0).to_parquet("shuffled.parquet")
    for name in ("people", "shuffled"):
        written = ("-o", f"of_{name}.csv", "--id", "person")
        bitveil("encode", "encoder", f"{name}.parquet", *written)
    codes = [pd.read_csv(f"of_{name}.csv").set_index("person") for name in ("people", "shuffled")]

    pd.testing.assert_frame_equal(codes[1].loc[codes[0].index], codes[0])


def test_rows_that_share_a_draw_are_said_on_the_error_stream(bitveil, place, table):
    pd.concat([table, table[:20]]).to_csv("twice.csv", index=False)
    code, out, err = bitveil("encode", "encoder", "twice.csv", "-o", "codes.csv")

    assert code == 0
    assert out == "420 codes of 3 bits in codes.csv\n"
    assert "40 of 420 rows have the same content as another row" in err
    assert "--id" in err


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("command", ["encode", "audit"])
def test_unseen_values_are_said_once_on_the_error_stream(bitveil, place, table, command):
    table.assign(job="pilot").to_csv("pilots.csv", index=False)
    more = ("-o", "codes.csv") if command == "encode" else ()
    code, out, err = bitveil(command, "encoder", "pilots.csv", *more)

    assert code == 0
    assert "pilot" not in out.replace("pilots.csv", "")
    assert err.splitlines() == [
        "bitveil: note: Values that were not fitted count as none of the known ones: "
        "{'job': ['pilot']}."
    ]


# audit


def test_audit_says_what_it_found_and_what_that_does_not_say(bitveil, place):
    code, out, err = bitveil("audit", "encoder", "people.csv")

    assert (code, err) == (0, "")
    assert out.startswith(
        "What codes from encoder reveal about sex, measured on the rows of people.csv"
    )
    assert all(word in out for word in ("joint information", "attacker", "do not cover"))


def test_audit_prints_its_record_as_json(bitveil, place, table):
    code, out, err = bitveil("audit", "encoder", "people.csv", "--delta", "0.1", "--json")
    found = json.loads(out)

    assert (code, err) == (0, "")
    assert set(found) == {field.name for field in dataclasses.fields(Audit)}
    assert found["groups"] == ["f", "m"]
    assert found["sizes"] == table["sex"].value_counts()[["f", "m"]].tolist()
    assert found["certificate"]["delta"] == 0.1
    assert found["use_accuracy"] is not None


def test_audit_of_other_columns_than_the_fitted_ones(bitveil, place):
    named = ("--sensitive", "sex", "--sensitive", "member", "--target", "size")
    found = json.loads(bitveil("audit", "encoder", "people.parquet", *named, "--json")[1])

    assert found["groups"] == [["f", False], ["f", True], ["m", False], ["m", True]]


def test_audit_needs_no_target(bitveil, place, table):
    table.drop(columns="hired").to_csv("new.csv", index=False)
    code, out, _ = bitveil("audit", "encoder", "new.csv", "--id", "person", "--json")

    assert code == 0
    assert json.loads(out)["use_accuracy"] is None
    assert json.loads(out)["counted"].startswith("expected counts, since every row has a name")


# Mistakes


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
    "an infinite number": (fit("infinite.csv", "new"), ["infinities in ['age']"]),
    "no rows": (fit("header.csv", "new"), ["header.csv has no rows"]),
    "an empty file": (fit("empty.csv", "new"), ["empty.csv"]),
    "half a CSV": (fit("torn.csv", "new"), ["torn.csv"]),
    "half a Parquet": (fit("torn.parquet", "new"), ["torn.parquet"]),
    "an impossible goal": (
        fit("people.csv", "new", "--max-gap", "0.01"),
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
        ["bits.csv", "a bit has the name of the column 'bit0', too"],
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
    for words in (
        fit("people.csv", "new"),
        ("encode", "encoder", "people.csv", "-o", "codes.csv"),
    ):
        code, out, err = bitveil(*words)
        assert (code, out) == (2, "")
        assert "cannot be written to. Name another folder" in err


def test_codes_that_appear_meanwhile_are_not_written_over(bitveil, place, monkeypatch):
    read = files.read_table

    def meanwhile(path, **settings):
        (place / "codes.csv").write_text("theirs")
        return read(path, **settings)

    monkeypatch.setattr(files, "read_table", meanwhile)
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
        ("say `missing_sensitive='group'`", "say --missing-group"),
        ("`sensitive_features` expects, not `y`", "--sensitive expects, not --target"),
        ("Use `InvariantRegressor`, or cut them", "Cut them"),
        ("Join rare values, or use `features='raw'`.", "Join rare values."),
        ("with a `random_state` the key", "with a --seed the key"),
        ("`--sensitive y` and 'y' and `other`", "`--sensitive y` and 'y' and `other`"),
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


@pytest.mark.parametrize("command", ["demo", "fit", "encode", "audit"])
def test_every_command_explains_itself(bitveil, command):
    code, out, err = bitveil(command, "--help")

    assert (code, err) == (0, "")
    assert command in out


def test_dates_may_be_a_sensitive_column(bitveil, place, table):
    born = pd.to_datetime(np.where(table["sex"] == "m", "2020-01-31", "2021-12-01"))
    table.assign(sex=born).to_parquet("born.parquet")

    assert bitveil(*fit("born.parquet", "new", "--bits", "1", "--json"))[0] == 0
    assert len(load("new").groups_) == 2
