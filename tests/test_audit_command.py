"""`bitveil audit`: encoders, codes of others and tables of counts; reports; rows seen before."""

import hashlib
import json
import re
from functools import partial

import numpy as np
import pandas as pd
import pytest

from bitveil.audits import audit, audit_table
from bitveil.estimators import InvariantEncoder
from bitveil.models import load
from builders import KEY, quick


@pytest.fixture(scope="module")
def table(people):
    X, y, s = people(400)
    person = [f"p{i}" for i in range(400)]

    return X[["skill", "height", "age", "job"]].assign(person=person, sex=s, hired=y)


@pytest.fixture(scope="module")
def new(people):
    """Rows that no encoder was fitted on."""

    X, y, s = people(300, seed=7)
    person = [f"n{i}" for i in range(300)]

    return X[["skill", "height", "age", "job"]].assign(person=person, sex=s, hired=y)


@pytest.fixture(scope="module")
def codes(table):
    """What somebody else published: a cluster, a leaf, a postcode; it leans on height."""

    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "person": table["person"],
            "cluster": np.digitize(table["height"], [-1, 0, 1, 2]),
            "leaf": np.where(table["height"] > 1, "tall", "small"),
            "postcode": rng.integers(10_000, 10_020, 400),
            "sex": table["sex"],
            "hired": table["hired"],
        }
    )


@pytest.fixture(scope="module")
def fitted(table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    for seed in (0, 1):
        model = quick(random_state=seed, key=KEY)
        X = table[["skill", "height", "age", "job"]]
        model.fit(X, table["hired"], sensitive_features=table[["sex"]]).save(folder / f"e{seed}")

    return folder


@pytest.fixture
def place(table, new, codes, fitted, tmp_path, monkeypatch):
    new.to_csv(tmp_path / "new.csv", index=False)
    table.to_csv(tmp_path / "people.csv", index=False)
    codes.to_csv(tmp_path / "codes.csv", index=False)
    codes.to_parquet(tmp_path / "codes.parquet")
    codes[["person", "cluster"]].to_csv(tmp_path / "bare.csv", index=False)
    counts = pd.crosstab(codes["sex"], codes["leaf"]).reset_index()
    counts.to_csv(tmp_path / "counts.csv", index=False)
    for seed in (0, 1):
        (tmp_path / f"e{seed}").symlink_to(fitted / f"e{seed}")
    monkeypatch.chdir(tmp_path)

    return tmp_path


@pytest.fixture
def run(command_line):
    """Run `bitveil audit` in this process: its exit code, output and errors."""

    return partial(command_line, "audit")


# Codes of others


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("column", ["cluster", "leaf", "postcode"])
def test_a_column_of_codes_is_audited_as_in_python(run, place, codes, column, suffix):
    named = ("--column", column, "--sensitive", "sex", "--target", "hired", "--json")
    code, out, err = run("--codes", f"codes.{suffix}", *named)
    found = json.loads(out)
    there = audit(codes[column], codes["sex"], codes["hired"])

    assert (code, err) == (0, "")
    assert found == json.loads(there.to_json())
    assert (found["sensitive"], found["target"]) == (["sex"], "hired")


def test_codes_are_said_in_words(run, place):
    code, out, _ = run("--codes", "codes.csv", "--column", "leaf", "--sensitive", "sex")

    assert code == 0
    assert out.startswith("What codes from codes.csv reveal about sex\n")
    assert all(word in out for word in ("leaf = tall", "codes of 1 column", "do not cover"))


def test_all_columns_without_another_role_are_the_code(run, place, codes):
    apart = ("--id", "person", "--sensitive", "sex", "--target", "hired", "--json")
    found = json.loads(run("--codes", "codes.csv", *apart)[1])

    assert [part["name"] for part in found["meaning"]["parts"]] == ["cluster", "leaf", "postcode"]


def test_codes_are_joined_to_the_attributes_of_another_table(run, place, codes, table):
    table.sample(frac=1, random_state=0).to_csv("shuffled.csv", index=False)
    named = ("--id", "person", "--sensitive", "sex", "--json")
    code, out, err = run("--codes", "bare.csv", "shuffled.csv", *named)

    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(audit(codes["cluster"], codes["sex"]).to_json())


def test_what_encode_writes_can_be_audited_as_codes(run, place, table):
    encoder = load("e0")
    bits = encoder.transform(table[encoder.feature_names_in_], ids=table["person"])
    frame = pd.DataFrame(bits, columns=encoder.get_feature_names_out())
    frame.insert(0, "person", table["person"])
    frame.to_csv("published.csv", index=False)
    named = ("--id", "person", "--sensitive", "sex", "--json")
    found = json.loads(run("--codes", "published.csv", "people.csv", *named)[1])
    there = audit(bits, table["sex"])

    assert found["certificate"]["bound"] == there.certificate.bound
    assert found["meaning"]["parts"][0]["ones"] == list(there.meaning.parts[0].ones)


def test_a_table_of_counts_is_audited(run, place, codes):
    code, out, _ = run("--counts", "counts.csv", "--sensitive", "sex", "--json")
    there = audit_table(pd.crosstab(codes["sex"], codes["leaf"]))

    assert code == 0
    assert json.loads(out) == json.loads(there.to_json())


# Encoders and reports


def test_a_report_is_one_page_and_the_words_say_where(run, place):
    quick = ("--attackers", "quick", "--report", "out.html")
    code, out, err = run("e0", "new.csv", "--id", "person", *quick)
    content = (place / "out.html").read_text(encoding="utf-8")

    assert (code, err) == (0, "")
    assert out.rstrip().endswith("The report is in out.html")
    assert content.startswith("<!doctype html>")
    digest = hashlib.sha256((place / "new.csv").read_bytes()).hexdigest()
    assert f"new.csv, SHA-256 {digest}" in content
    assert "e0/encoder.json, SHA-256" in content
    assert "bitveil audit e0 new.csv --id person --attackers quick --report out.html" in content
    assert "from new.csv. This page loads nothing" in content
    assert "out.html already exists" in run("e0", "new.csv", *quick)[2]
    assert run("e0", "new.csv", *quick, "--force")[0] == 0


def test_the_verdict_of_a_report_is_about_the_limit(run, place):
    words = ("e0", "new.csv", "--id", "person", "--attackers", "quick", "--limit", "1")

    assert run(*words, "--quantity", "information", "--report", "kept.html")[0] == 0
    content = (place / "kept.html").read_text(encoding="utf-8")
    assert "✓ Kept" in content
    assert "At most 1 bit: information about sex" in content


def test_a_report_lists_small_cells_only_on_request(run, place, table):
    zone = np.where(table.index < 4, "rare", np.where(table.index % 2, "north", "south"))
    table[["sex"]].assign(zone=zone).to_csv("zones.csv", index=False)
    words = ("--codes", "zones.csv", "--sensitive", "sex", "--attackers", "quick")

    assert run(*words, "--report", "out.html")[0] == 0
    assert run(*words, "--report", "all.html", "--small-cells")[0] == 0
    assert 'data-code="rare"' not in (place / "out.html").read_text(encoding="utf-8")
    assert 'data-code="rare"' in (place / "all.html").read_text(encoding="utf-8")


def test_a_report_asks_all_attackers_and_which_columns_bits_follow(run, place, monkeypatch):
    asked = {}

    def stand_in(*_args, **settings):
        asked.update(settings)
        raise ValueError("enough")

    monkeypatch.setattr("bitveil.model_audits.audit", stand_in)
    run("e0", "new.csv", "--report", "other.html")

    assert asked["attackers"] == "all"
    assert list(asked["X"]) == ["skill", "height", "age", "job"]
    assert asked["encode"](asked["X"]).shape == (300, 3)
    run("e0", "new.csv")
    assert asked["attackers"] == "quick"


def test_encoders_are_compared_on_the_same_rows(run, place):
    words = ("e0", "new.csv", "--against", "e1", "--attackers", "quick")
    found = json.loads(run(*words, "--json", "--report", "both.html")[1])
    code, out, _ = run(*words)

    assert found["schema"] == "bitveil.audits/1"
    assert list(found["audits"]) == ["e0", "e1"]
    assert found["audits"]["e0"]["made"] != found["audits"]["e1"]["made"]
    assert code == 0
    assert all(f"What codes from {name} reveal about sex" in out for name in ("e0", "e1"))
    content = (place / "both.html").read_text(encoding="utf-8")
    assert "What 2 codes reveal about sex" in content


# Rows that were used in fitting


def test_a_real_encoder_refuses_its_own_rows(run, place, people):
    code, _, err = run("e0", "people.csv")

    assert code == 2
    assert "400 of 400 rows have the content of rows that the encoder was fitted on" in err


# Groups and targets as they were fitted


def test_a_sensitive_column_of_numbers_is_cut_as_in_fitting(run, place, table, people, tmp_path):
    X, y, _ = people(500, seed=3)
    model = quick(bins=3, key=KEY)
    model.fit(X[["skill", "height"]], pd.Series(y, name="hired"), sensitive_features=X[["age"]])
    model.save("ages")
    people(400, seed=4).X.to_csv("other.csv", index=False)
    found = json.loads(run("ages", "other.csv", "--json")[1])

    assert found["groups"] == model.groups_.tolist()
    assert len(found["groups"]) == 3
    assert found["sensitive"] == ["age"]


def test_a_fitted_target_that_is_a_number_is_cut_as_in_fitting(run, place, people):
    X, _, s = people(500, seed=3)
    model = quick(InvariantEncoder, key=KEY).fit(
        X[["skill", "height"]], X["age"], sensitive_features=pd.Series(s, name="sex")
    )
    model.save("numbers")
    people(400, seed=4).X.assign(sex=people(400, seed=4).s).to_csv("other.csv", index=False)
    found = json.loads(run("numbers", "other.csv", "--json")[1])

    assert found["target"] == "age"
    assert found["uses"]
    assert any("cut at quantiles of the fitted rows" in note for note in found["notes"])
    assert found["intervals"][-1]["certificate"]["quantity"] == "equalised odds gap"
    assert len(found["intervals"][-1]["certificate"]["sizes"]) == 2 * 5


def test_several_fitted_targets_are_found_in_the_table(run, place, table, new):
    y = table[["hired"]].assign(tall=table["height"] > 0)
    model = quick(InvariantEncoder, criterion="separation", key=b"k" * 16)
    model.fit(table[["skill", "age"]], y, sensitive_features=table["sex"]).save("two")
    new.assign(tall=new["height"] > 0).to_csv("tall.csv", index=False)
    found = json.loads(run("two", "tall.csv", "--id", "person", "--json")[1])

    assert found["certificate"]["quantity"] == "equalised odds gap"
    assert len(found["certificate"]["sizes"]) == 2 * 4
    assert json.loads(run("two", "new.csv", "--id", "person", "--json")[1])["uses"] == []


# Mistakes

PYTHON = re.compile(r"`\w+`|`\w+=|\w_\w|Invariant|pandas|\.as")
"""Words for Python users, which no message of the command line contains."""

MISTAKES = {
    "a delta of nothing": (
        ("--codes", "codes.csv", "--column", "leaf", "--sensitive", "sex", "--delta", "0"),
        ["--delta expects a probability between 0 and 1, got 0"],
    ),
    "nothing to audit": ((), ["Name an encoder and a table of rows, or use --codes or --counts"]),
    "an encoder without rows": (("e0",), ["Name an encoder and a table"]),
    "codes without a sensitive column": (("--codes", "codes.csv"), ["--codes needs --sensitive"]),
    "codes and another encoder": (
        ("--codes", "codes.csv", "--sensitive", "sex", "--against", "e1"),
        ["--codes cannot be combined with --against"],
    ),
    "codes and counts": (
        ("--codes", "codes.csv", "--counts", "counts.csv", "--sensitive", "sex"),
        ["--counts cannot be combined with --codes"],
    ),
    "a misspelled column": (
        ("--codes", "codes.csv", "--column", "clustr", "--sensitive", "sex"),
        ["codes.csv has no column 'clustr'", "Did you mean 'cluster'?"],
    ),
    "a column that is sensitive too": (
        ("--codes", "codes.csv", "--column", "sex", "--sensitive", "sex"),
        ["Each column has one role, got ['sex']"],
    ),
    "no column left": (
        ("--codes", "sexes.csv", "--sensitive", "sex"),
        ["sexes.csv has no column left that could be a code"],
    ),
    "a table to join without ids": (
        ("--codes", "bare.csv", "people.csv", "--sensitive", "sex"),
        ["joined by a column of ids", "Name it with --id"],
    ),
    "other people": (
        ("--codes", "bare.csv", "few.csv", "--id", "person", "--sensitive", "sex"),
        ["do not hold the same rows: 390 ids are in one of them only"],
    ),
    "an attribute in both tables": (
        ("--codes", "codes.csv", "people.csv", "--id", "person", "--sensitive", "sex"),
        ["codes.csv and people.csv both have ['sex']"],
    ),
    "a code with missing values": (
        ("--codes", "gaps.csv", "--column", "cluster", "--sensitive", "sex"),
        ["--codes has 3 rows with missing values"],
    ),
    "codes that are not there": (
        ("--codes", "nothing.csv", "--sensitive", "sex"),
        ["There is no file nothing.csv"],
    ),
    "codes in a folder": (("--codes", "e0", "--sensitive", "sex"), ["e0 is a folder, not a tab"]),
    "codes without columns": (
        ("--codes", "empty.csv", "--sensitive", "sex"),
        ["empty.csv cannot be read: No columns"],
    ),
    "codes and an encoder": (
        ("--codes", "bare.csv", "e0", "--id", "person", "--sensitive", "sex"),
        ["e0 is a folder", "name the table that has the attributes"],
    ),
    "codes and two tables": (
        ("--codes", "bare.csv", "people.csv", "new.csv", "--id", "person", "--sensitive", "sex"),
        ["--codes cannot be combined with a third table"],
    ),
    "ids that the codes lack": (
        ("--codes", "codes.csv", "--id", "persom", "--sensitive", "sex"),
        ["codes.csv has no column 'persom'", "Did you mean 'person'?"],
    ),
    "one code given twice": (
        ("--codes", "codes.csv", "--column", "leaf", "--column", "leaf", "--sensitive", "sex"),
        ["Each column has one role, got ['leaf'] more than once"],
    ),
    "a target that is sensitive": (
        ("--codes", "codes.csv", "--sensitive", "sex", "--target", "sex"),
        ["Each column has one role, got ['sex'] more than once"],
    ),
    "an id that is sensitive, of an encoder": (
        ("e0", "new.csv", "--sensitive", "sex", "--id", "sex"),
        ["Each column has one role, got ['sex'] more than once"],
    ),
    "a target of too many values": (
        ("--codes", "codes.csv", "--column", "leaf", "--sensitive", "sex", "--target", "person"),
        ["--target has 400 different values"],
    ),
    "a column of an encoder": (
        ("e0", "new.csv", "--column", "leaf"),
        ["--column can be used only with --codes"],
    ),
    "small cells of no report": (
        ("e0", "new.csv", "--small-cells", "--force"),
        ["--small-cells can be used only with --report"],
    ),
    "force without a file": (
        ("e0", "new.csv", "--force"),
        ["--force can be used only with --report, --summary or --junit"],
    ),
    "counts with ids": (
        ("--counts", "counts.csv", "--id", "person", "--sensitive", "sex"),
        ["--counts cannot be combined with --id"],
    ),
    "a group without counts": (
        ("--counts", "none.csv", "--sensitive", "sex"),
        ["--counts: the groups ['m'] have no rows"],
    ),
    "a report over its rows": (
        ("e0", "new.csv", "--report", "new.html", "--force"),
        ["new.html would overwrite new.csv", "even --force"],
    ),
    "a report over its codes": (
        ("--codes", "codes.csv", "--sensitive", "sex", "--report", "codes.html", "--force"),
        ["codes.html would overwrite codes.csv"],
    ),
    "a report into an encoder": (
        ("e0", "new.csv", "--against", "e1", "--report", "e1/out.html", "--force"),
        ["e1/out.html would overwrite e1"],
    ),
    "a report over another page": (
        ("e0", "new.csv", "--report", "page.html"),
        ["page.html already exists", "use --force"],
    ),
    "an encoder that is compared with itself": (
        ("e0", "new.csv", "--against", "./e0"),
        ["Name each encoder once"],
    ),
    "counts with a target": (
        ("--counts", "counts.csv", "--sensitive", "sex", "--target", "hired"),
        ["--counts needs exactly one --sensitive", "no --target"],
    ),
    "counts that are no numbers": (
        ("--counts", "words.csv", "--sensitive", "sex"),
        ["how many rows of each group have each code"],
    ),
    "an attribute of too many values": (
        ("--codes", "codes.csv", "--column", "leaf", "--sensitive", "person"),
        ["400 different values, more than the 50"],
    ),
    "a report that is no page": (
        ("e0", "people.csv", "--report", "out.pdf"),
        ["ends in .html, got out.pdf"],
    ),
    "a report into no folder": (
        ("e0", "people.csv", "--report", "no/out.html"),
        ["There is no folder no to write into"],
    ),
    "another encoder that is none": (
        ("e0", "new.csv", "--against", "e9", "--report", "out.html", "--attackers", "quick"),
        ["e9 is not a saved encoder"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line_and_leaves_nothing(run, place, codes, table, name):
    codes[["sex"]].to_csv("sexes.csv", index=False)
    table[:10].to_csv("few.csv", index=False)
    codes.assign(cluster=codes["cluster"].where(codes.index > 2)).to_csv("gaps.csv", index=False)
    pd.DataFrame({"sex": ["f", "m"], "a": ["x", "y"]}).to_csv("words.csv", index=False)
    pd.DataFrame({"sex": ["f", "m"], "a": [5, 0]}).to_csv("none.csv", index=False)
    (place / "empty.csv").touch()
    (place / "page.html").touch()
    (place / "new.html").symlink_to("new.csv")
    (place / "codes.html").symlink_to("codes.csv")
    words, said = MISTAKES[name]
    before = sorted(place.rglob("*"))
    code, out, err = run(*words)

    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("bitveil: ")
    assert all(word in err for word in said), err
    assert not PYTHON.search(err), err
    assert sorted(place.rglob("*")) == before
