"""`bitveil audit`: encoders, codes of others and tables of counts; reports; rows seen before."""

import hashlib
import json
import sys
import warnings

import numpy as np
import pandas as pd
import pytest

from bitveil import cli, estimators
from bitveil.audits import audit, audit_table
from bitveil.estimators import InvariantClassifier, load
from bitveil.frozen import row_digests

QUICK = {"n_bits": 3, "features": "raw", "hidden": (8,), "epochs": 3, "random_state": 0}
QUICK["key"] = b"a key for the tests"  # one that follows from the seed is warned of


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
        model = InvariantClassifier(**{**QUICK, "random_state": seed})
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
def run(monkeypatch, capsys):
    """Run `bitveil audit` in this process: exit code, output and error stream."""

    def go(*words):
        monkeypatch.setattr(sys, "argv", ["bitveil", "audit", *map(str, words)])
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code or 0, *capsys.readouterr()

    return go


# Codes of others


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("column", ["cluster", "leaf", "postcode"])
def test_a_column_of_codes_is_audited_as_in_python(run, place, codes, column, suffix):
    named = ("--column", column, "--sensitive", "sex", "--target", "hired", "--json")
    code, out, err = run("--codes", f"codes.{suffix}", *named)
    found = json.loads(out)
    there = audit(None, codes["sex"], codes["hired"], codes=codes[column])

    assert (code, err) == (0, "")
    assert found == json.loads(there.to_json())
    assert (found["sensitive"], found["target"]) == (["sex"], "hired")


def test_codes_are_said_in_words(run, place):
    code, out, _ = run("--codes", "codes.csv", "--column", "leaf", "--sensitive", "sex")

    assert code == 0
    assert out.startswith("What codes from codes.csv reveal of sex\n")
    assert all(word in out for word in ("leaf = tall", "codes of 1 column", "do not say"))


def test_all_columns_without_another_role_are_the_code(run, place, codes):
    apart = ("--id", "person", "--sensitive", "sex", "--target", "hired", "--json")
    found = json.loads(run("--codes", "codes.csv", *apart)[1])

    assert [part["name"] for part in found["meaning"]["parts"]] == ["cluster", "leaf", "postcode"]


def test_codes_are_joined_to_the_attributes_of_another_table(run, place, codes, table):
    table.sample(frac=1, random_state=0).to_csv("shuffled.csv", index=False)
    named = ("--id", "person", "--sensitive", "sex", "--json")
    code, out, err = run("--codes", "bare.csv", "shuffled.csv", *named)

    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads(
        audit(None, codes["sex"], codes=codes["cluster"]).to_json()
    )


def test_what_encode_writes_can_be_audited_as_codes(run, place, table):
    encoder = load("e0")
    bits = encoder.transform(table[encoder.feature_names_in_], ids=table["person"])
    frame = pd.DataFrame(bits, columns=encoder.get_feature_names_out())
    frame.insert(0, "person", table["person"])
    frame.to_csv("published.csv", index=False)
    named = ("--id", "person", "--sensitive", "sex", "--json")
    found = json.loads(run("--codes", "published.csv", "people.csv", *named)[1])
    there = audit(None, table["sex"], bits=bits)

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
    assert run("e0", "new.csv", *quick)[0] == 0  # and may be written again


def test_a_report_asks_all_attackers_and_which_columns_bits_follow(run, place, monkeypatch):
    asked = {}

    def stand_in(*_args, **settings):
        asked.update(settings)
        raise ValueError("enough")

    monkeypatch.setattr("bitveil.audits.audit", stand_in)
    run("e0", "new.csv", "--report", "out.html")

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
    assert all(f"What codes from {name} reveal of sex" in out for name in ("e0", "e1"))
    content = (place / "both.html").read_text(encoding="utf-8")
    assert "What 2 codes reveal of sex" in content


# Rows that were used in fitting


class StandIn:
    """An encoder that knows the contents of the rows that it was fitted on."""

    feature_names_in_, sensitive_names_, target_name_ = ["age", "job"], ["sex"], "hired"

    def __init__(self, seen):
        self.fitted_digests_ = np.unique(self._digests(seen))

    def _digests(self, X):
        return row_digests(X)[:, :8].copy().view(np.uint64).ravel()

    def used_rows(self, X):
        return int(np.isin(self._digests(X), self.fitted_digests_).sum())

    def shared_rows(self, X):
        counts = np.unique(self._digests(X), return_counts=True)[1]
        return int(counts[counts > 1].sum())

    def logits(self, X, *, ids=None):
        return X[["age"]].to_numpy(float) / 40 - 1

    def transform(self, X, *, ids=None):
        return (self.logits(X) > 0).astype(np.uint8)


@pytest.fixture
def stand_in(place, monkeypatch):
    """Audit with an encoder that was fitted on some rows, in place of a folder."""

    def use(seen):
        encoder = StandIn(seen[["age", "job"]])
        monkeypatch.setattr(estimators, "load", lambda folder: encoder)

    return use


def people_of(n, seed, wide=True):
    """Rows that nearly all differ, or that are mostly alike."""

    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.random(n) * 60 if wide else rng.integers(20, 60, n),
            "job": rng.choice(["cook", "smith"], n),
            "sex": rng.choice(["f", "m"], n),
            "hired": rng.choice(["yes", "no"], n),
            "person": np.arange(n) + 1_000_000 * seed,
        }
    )


def test_rows_that_were_used_in_fitting_are_refused(run, stand_in):
    fitted, new = people_of(500, 1), people_of(300, 2)
    stand_in(fitted)
    pd.concat([new, fitted[:40]]).to_csv("mixed.csv", index=False)
    new.to_csv("new.csv", index=False)

    code, out, err = run("encoder", "mixed.csv", "--id", "person")
    assert (code, out) == (2, "")
    assert "40 of the 340 rows of mixed.csv have the content of rows that were used" in err
    assert "by chance no more than 0 would" in err
    assert run("encoder", "new.csv") == (0, run("encoder", "new.csv")[1], "")


def test_rows_of_equal_content_that_chance_explains_are_noted(run, stand_in):
    fitted, new = people_of(2_000, 1, wide=False), people_of(300, 2, wide=False)
    stand_in(fitted)
    new.to_csv("new.csv", index=False)
    code, out, err = run("encoder", "new.csv", "--json")

    assert code == 0
    assert json.loads(out)["n_rows"] == 300
    assert "300 of 300 rows have the content of rows that were used to make encoder" in err


def test_more_rows_than_chance_explains_are_refused(run, stand_in):
    fitted, new = people_of(600, 1), people_of(300, 2)
    new.loc[:1, ["age", "job"]] = (
        30.0,
        "cook",
    )
    stand_in(fitted)
    for many in (5, 100):
        pd.concat([new, fitted[:many]]).to_csv(f"{many}.csv", index=False)

    assert run("encoder", "5.csv")[0] == 0
    code, _, err = run("encoder", "100.csv")
    assert code == 2
    assert "100 of the 400 rows of 100.csv have the content" in err


def test_a_real_encoder_refuses_its_own_rows(run, place, people):
    code, _, err = run("e0", "people.csv")

    assert code == 2
    assert "400 of the 400 rows of people.csv have the content of rows that were used" in err


# Groups and targets as they were fitted


def test_a_sensitive_column_of_numbers_is_cut_as_in_fitting(run, place, table, people, tmp_path):
    X, y, _ = people(500, seed=3)
    model = InvariantClassifier(**QUICK, bins=3)
    model.fit(X[["skill", "height"]], pd.Series(y, name="hired"), sensitive_features=X[["age"]])
    model.save("ages")
    people(400, seed=4).X.to_csv("other.csv", index=False)
    found = json.loads(run("ages", "other.csv", "--json")[1])

    assert found["groups"] == model.groups_.tolist()
    assert len(found["groups"]) == 3
    assert found["sensitive"] == ["age"]


def test_a_fitted_target_that_is_a_number_is_not_scored_and_that_is_said(run, place, table):
    new = table.assign(hired=np.arange(400) / 7, height=table["height"] + 9)
    new.to_csv("numbers.csv", index=False)
    code, out, err = run("e0", "numbers.csv", "--json")

    assert code == 0
    assert json.loads(out)["uses"] == []
    assert "use is not scored: the target 'hired' has 400 values" in err


# What a person can mend

MISTAKES = {
    "nothing to audit": ((), ["Name an encoder and a table of rows, or --codes, or --counts"]),
    "an encoder without rows": (("e0",), ["Name an encoder and a table"]),
    "codes without a sensitive column": (("--codes", "codes.csv"), ["--codes needs --sensitive"]),
    "codes and another encoder": (
        ("--codes", "codes.csv", "--sensitive", "sex", "--against", "e1"),
        ["--codes goes without against"],
    ),
    "codes and counts": (
        ("--codes", "codes.csv", "--counts", "counts.csv", "--sensitive", "sex"),
        ["--counts goes without codes"],
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
        ["joined by a column that names rows: --id"],
    ),
    "other people": (
        ("--codes", "bare.csv", "few.csv", "--id", "person", "--sensitive", "sex"),
        ["do not hold the same rows: 390 ids are in one of them only"],
    ),
    "an attribute in both tables": (
        ("--codes", "codes.csv", "people.csv", "--id", "person", "--sensitive", "sex"),
        ["['sex'] are in codes.csv and in people.csv"],
    ),
    "a code with missing values": (
        ("--codes", "gaps.csv", "--column", "cluster", "--sensitive", "sex"),
        ["`codes` has 3 rows with missing values"],
    ),
    "counts with a target": (
        ("--counts", "counts.csv", "--sensitive", "sex", "--target", "hired"),
        ["--counts needs one --sensitive", "no --target"],
    ),
    "counts that are no numbers": (
        ("--counts", "words.csv", "--sensitive", "sex"),
        ["how many rows of each group got each code"],
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
        ["no is no folder to write into"],
    ),
    "another encoder that is none": (
        ("e0", "new.csv", "--against", "e9", "--report", "out.html", "--attackers", "quick"),
        ["e9 is no saved encoder"],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line_and_leaves_nothing(run, place, codes, table, name):
    codes[["sex"]].to_csv("sexes.csv", index=False)
    table[:10].to_csv("few.csv", index=False)
    codes.assign(cluster=codes["cluster"].where(codes.index > 2)).to_csv("gaps.csv", index=False)
    pd.DataFrame({"sex": ["f", "m"], "a": ["x", "y"]}).to_csv("words.csv", index=False)
    words, said = MISTAKES[name]
    before = sorted(place.rglob("*"))
    code, out, err = run(*words)

    assert code == 2
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("bitveil: ")
    assert all(word in err for word in said), err
    assert sorted(place.rglob("*")) == before
