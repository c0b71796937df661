"""`bitveil fit` and `bitveil audit` on folders: a sample, and all other rows."""

import json

import pandas as pd
import pytest

from bitveil.models import load
from builders import table_of

FIT = ("fit", "people", "--target", "hired", "--sensitive", "sex", "--id", "person")
FIT = (*FIT, "--drop", "extra", "--max-gap", "0.9", "-o", "new")


@pytest.fixture
def folder(tmp_path, monkeypatch, people):
    """Rows in two files of a folder, and other rows in another folder."""

    monkeypatch.chdir(tmp_path)
    for name, seed in (("people", 5), ("others", 6)):
        (tmp_path / name).mkdir()
        rows = table_of(people, seed=seed)
        rows = rows.assign(person=name[0] + rows["person"])
        rows[:150].to_csv(tmp_path / name / "part-0.csv", index=False)
        rows[150:].to_csv(tmp_path / name / "part-1.csv", index=False)

    return tmp_path


def test_a_sample_of_a_folder_is_fitted_and_the_rest_certifies(bitveil, folder):
    code, out, _ = bitveil(*FIT, "--sample", "200", "--json")
    found = json.loads(out)

    assert code == 0
    assert sum(found["rows"].values()) == 400
    assert sum(load("new").certificate_.sizes) == found["rows"]["certify"]
    assert "of 400 rows, drawn at random" in found["remarks"][-1]


def test_a_folder_with_few_rows_is_fitted_whole_and_audited_by_another_folder(bitveil, folder):
    code, out, _ = bitveil(*FIT, "--json")
    assert code == 0
    assert json.loads(out)["rows"] == {"fit": 143, "select": 57, "certify": 200}

    code, out, _ = bitveil("audit", "new", "others", "--id", "person", "--report", "page.html")
    assert code == 0
    assert " 400 (f: " in out
    assert all(f"part-{n}.csv, SHA-256" in (folder / "page.html").read_text() for n in (0, 1))

    code, _, err = bitveil("audit", "new", "people", "--id", "person")
    assert code == 2
    assert "used" in err


@pytest.mark.filterwarnings("default:The key of the draws")
def test_a_folder_and_one_file_with_the_same_rows_give_the_same_encoder(bitveil, folder):
    """Types of text come from the rows to fit, however many files they are in."""

    parts = [pd.read_csv(folder / "people" / f"part-{n}.csv", dtype=str) for n in (0, 1)]
    pd.concat(parts).to_csv(folder / "people.csv", index=False)
    seed = ("--seed", "3")
    assert bitveil(*FIT, *seed)[0] == 0
    assert bitveil("fit", "people.csv", *FIT[2:-1], "one", *seed)[0] == 0
    X = parts[0][load("one").feature_names_in_]

    assert (load("one").transform(X) == load("new").transform(X)).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sample", "1"), "--sample expects"),
        (("--sample", "200", "--weight", "age"), "--weight needs all rows"),
        (("--drop", "hired"), "one role"),
        (("--drop", "nothing"), "no column 'nothing'"),
    ],
)
def test_mistakes_give_one_line(bitveil, folder, words, said):
    code, out, err = bitveil(*FIT, *words)

    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert not (folder / "new").exists()


def test_a_column_that_one_file_lacks_is_named_with_the_file(bitveil, folder):
    file = folder / "people" / "part-1.csv"
    pd.read_csv(file).drop(columns="age").to_csv(file, index=False)
    code, _, err = bitveil(*FIT, "--sample", "200")

    assert code == 2
    assert "part-1.csv" in err
    assert "'age'" in err


def test_a_fit_of_a_sample_says_its_steps(bitveil, folder):
    from bitveil.steps import listening

    heard = {}
    with listening(lambda step, n_rows: heard.update({step: heard.get(step, 0) + n_rows})):
        assert bitveil(*FIT, "--sample", "200")[0] == 0
    assert heard["counting groups"] == heard["reading the sample"] == 400
    assert heard["preparing the rows that certify"] == 400
    assert heard["certifying"] == 0
    assert list(heard).index("reading the sample") < list(heard).index("certifying")
