"""A person's own table and own method in the benchmark."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from bitveil.benchmark import run as running
from bitveil.benchmark import scoring
from bitveil.benchmark.own import OwnTable, own_method

METHOD = '''
import numpy as np

class Sign:
    """One bit: the sign of the first column, flipped with some probability."""

    n_bits = 1

    def __init__(self, noise=0.1, random_state=None):
        self.noise = noise

    def fit(self, X, y, *, sensitive_features):
        return self

    def likelihoods(self, X):
        one = np.where(X[:, 0] > 0, 1 - self.noise, self.noise)
        return np.stack([1 - one, one], 1)

    def transform(self, X):
        return (X[:, [0]] > 0).astype(np.uint8)


class Mute:
    """A method that cannot be fitted."""

    def transform(self, X):
        return X
'''


def people(n=400, seed=0):
    """A table in which the first column is the group, turned over in a tenth of the rows."""

    rng = np.random.default_rng(seed)
    s = rng.integers(2, size=n)
    a = np.where(rng.random(n) < 0.1, 1 - s, s)
    hired = np.where(rng.random(n) < 0.2, 1 - a, a)

    return pd.DataFrame(
        {
            "a": a + 0.01 * rng.normal(size=n),
            "town": rng.choice(["Ulm", "Bonn"], n),
            "sex": np.where(s == 1, "m", "f"),
            "hired": np.where(hired == 1, "yes", "no"),
        }
    )


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a table and a method, in which the command is called."""

    running._problem.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(scoring, "CLASSIFIERS", ("linear",))
    (tmp_path / "my_method.py").write_text(METHOD)
    people().to_csv("people.csv", index=False)
    yield tmp_path
    running._problem.cache_clear()


@pytest.fixture
def bench(place, command_line):
    """Run `bitveil bench run` there: its exit code, output and errors."""

    pytest.importorskip("optuna")

    return lambda *words: command_line("bench", "run", *words, "--out", "records")


OWN = "--data people.csv --target hired --sensitive sex --seed 0 --configurations 3".split()
SIGN = "--method my_method:Sign --sweep noise=0.01:0.5".split()


def test_an_own_table_and_method_get_the_scores_of_all_others(place, bench):
    code, out, _ = bench(*OWN, *SIGN)

    assert code == 0
    assert "1 of 1: people, my_method:Sign, split 0: 3 done" in out
    lines = (place / "records/people/my_method.Sign-0.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]

    assert [record["settings"]["noise"] for record in records] == pytest.approx(
        [0.01, 0.5, 0.01 * 50**0.5]
    )
    assert records[0]["groups"] == ["f", "m"]
    leaks, silent = records[0]["test_variation"], records[1]["test_variation"]
    assert leaks == pytest.approx(0.8 * 0.98, abs=0.1)  # turned over twice
    assert silent == pytest.approx(0, abs=1e-9)
    assert records[0]["bound"] > leaks > silent
    assert records[0]["test_accuracy"] == pytest.approx(0.8, abs=0.1)


def test_records_of_another_table_are_not_continued(bench):
    assert "1 cells, 1 of them to run" in bench(*OWN, *SIGN)[1]
    assert "1 cells, 0 of them to run" in bench(*OWN, *SIGN)[1]
    people(seed=1).to_csv("people.csv", index=False)
    code, _, err = bench(*OWN, *SIGN)

    assert code == 2
    assert "records of another table" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--data people.csv", "needs --target and --sensitive"),
        ("--target hired", "--target belong to --data"),
        ("--data people.csv --target hired --sensitive sex --dataset adult", "exclude each"),
        ("--data people.csv --target town --sensitive sexx", r"no columns \['sexx'\]"),
        ("--data people.csv --target a --sensitive sex", "two values in the target 'a', got 400"),
        ("--data people.csv --target hired --sensitive a", "2 to 20 values .* 'a', got 400"),
        ("--data people.csv --target hired --sensitive hired", "one role"),
        ("--data people.csv --target hired --sensitive sex --positive si", "no value 'si'"),
        ("--data nobody.csv --target hired --sensitive sex", "nobody.csv"),
        ("--method my_method:Nobody --dataset adult", "cannot be imported"),
        ("--method my_method:Mute --dataset adult", "lacks fit"),
        ("--method my_method:Sign --dataset adult --sweep noise=0:1", "both above 0"),
        ("--method tree --dataset adult --sweep noise=0.1:1", "belongs to a method of your own"),
    ],
)
def test_mistakes_get_one_line(bench, words, says):
    code, _, err = bench(*words.split())

    assert code == 2
    assert re.search(says, err), err
    assert err.count("\n") == 1


def test_missing_values_of_the_roles_are_not_dropped(place):
    table = people()
    table.loc[3, "sex"] = None
    table.to_csv("people.csv", index=False)

    with pytest.raises(ValueError, match=r"'sex' lacks a value in 1 rows"):
        OwnTable(place / "people.csv", "hired", "sex").load()


def test_a_table_with_a_name_of_the_benchmark_is_refused(bench):
    people().to_csv("adult.csv", index=False)
    words = "--data adult.csv --target hired --sensitive sex --method tree".split()
    code, _, err = bench(*words)

    assert code == 2
    assert "Rename the file" in err


def test_an_own_method_needs_a_module_and_a_class():
    with pytest.raises(ValueError, match="'module:Class'"):
        own_method("Encoder")
