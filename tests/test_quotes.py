"""Messages show values of numpy as a person wrote them."""

import warnings
from datetime import date

import numpy as np
import pandas as pd
import pytest

from bitveil.audits import audit
from bitveil.checks import check_choice, check_number, check_roles, check_whole
from bitveil.columns.attribute import Attribute
from bitveil.columns.groups import Grouping
from bitveil.columns.kinds import Kinds
from bitveil.columns.labels import number_labels
from bitveil.columns.names import read_names
from bitveil.columns.table import check_table
from bitveil.columns.targets import Target
from bitveil.delimited import lacks_columns
from bitveil.estimators import InvariantEncoder
from bitveil.plans import plan_of_sizes
from bitveil.quotes import quoted
from bitveil.settings import Settings
from builders import quick


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.int64(65), "65"),
        (np.str_("a'b"), '"a\'b"'),
        (np.float32(0.1), "0.1"),
        (np.float64("nan"), "nan"),
        (np.bool_(True), "True"),
        (np.bytes_(b"a"), "b'a'"),
        (np.complex64(1j), "1j"),
        (np.datetime64("2020-01-31"), "'2020-01-31'"),
        ([np.int8(1), (np.str_("a"), {np.uint8(2)})], "[1, ('a', {2})]"),
        ({np.str_("a"): [np.int64(7)]}, "{'a': [7]}"),
        (np.array([[1, 2]]), "[[1, 2]]"),
        (date(2020, 1, 31), "datetime.date(2020, 1, 31)"),
        (None, "None"),
    ],
)
def test_values_look_like_those_of_python(value, said):
    assert quoted(value) == said


TWO = pd.Series([np.str_("f"), np.str_("m")] * 20, dtype=object)
NUMBERS = pd.Series([np.int64(1), np.int64(2)] * 20, dtype=object)
MANY = pd.Series([np.int64(n) for n in range(40)], dtype=object)
NAMED = pd.DataFrame(
    np.zeros((40, 2)), columns=pd.Index([np.int64(1), np.str_("b")], dtype=object)
)


def fit(X=None, y=None, s=TWO, **settings):
    X = np.random.default_rng(0).normal(size=(40, 2)) if X is None else X

    return quick(InvariantEncoder, 1, epochs=1, **settings).fit(X, y, sensitive_features=s)


def fitted(column):
    return Grouping.fit("s", column, bins=2, missing="error")[0]


ERRORS = {
    "a choice": lambda: check_choice("prior", np.str_("flat"), ["uniform"]),
    "a whole number": lambda: check_whole("n_bits", np.float64(2.5), 1),
    "a number": lambda: check_number("delta", np.int64(7), most=1),
    "roles": lambda: check_roles([np.str_("a"), np.str_("a")]),
    "columns": lambda: lacks_columns("people", [np.str_("a")], [np.int64(7), np.str_("b")]),
    "one value": lambda: number_labels("s", pd.Series([np.str_("f")] * 4, dtype=object), 4),
    "groups not fitted": lambda: fitted(TWO).labels("s", MANY),
    "numbers not fitted": lambda: fitted(NUMBERS).numbers("s", MANY),
    "texts not fitted": lambda: fitted(TWO).numbers("s", NUMBERS),
    "other columns": lambda: fitted(NAMED.assign(b=MANY)).labels("s", NAMED[["b"]]),
    "rare groups": lambda: fitted(Attribute(pd.concat([NUMBERS, MANY[5:7]]), 3)),
    "all are rare": lambda: fitted(Attribute(MANY, 3)),
    "classes not fitted": lambda: Target.fit(NUMBERS.astype(int), 40)[0].cut(MANY, 40),
    "one class": lambda: Target.fit(pd.Series([np.str_("a")] * 5, dtype=object), 5),
    "no positive": lambda: Settings(
        criterion="equal_opportunity", positive=np.int64(7)
    ).positive_number(Target.fit(NUMBERS.astype(int), 40)[0]),
    "names": lambda: read_names([np.float64(0.5), "a"], 2),
    "infinities": lambda: check_table(NAMED + np.inf),
    "columns twice": lambda: check_table(NAMED.set_axis([np.str_("a")] * 2, axis=1)),
    "another kind": lambda: Kinds.fit(NAMED).read(NAMED.astype(object).replace(0, np.str_("x"))),
    "a list in a cell": lambda: Kinds.fit(pd.DataFrame({np.str_("a"): [[np.int64(7)]]})),
    "a complex cell": lambda: Kinds.fit(
        pd.DataFrame({np.str_("a"): pd.Series([np.complex64(1j)], dtype=object)})
    ),
    "unknown columns": lambda: fit(NAMED.assign(c=range(40))).transform(NAMED),
    "sizes": lambda: plan_of_sizes([np.int64(7), np.int64(0)]),
    "a rare class of the audit": lambda: audit(
        TWO, NUMBERS, MANY, criterion="equal_opportunity", positive=np.int64(99)
    ),
    "too few rows": lambda: fit(
        s=pd.concat([NUMBERS[1:], pd.Series([np.int64(5)], dtype=object)]), max_gap=0.9
    ),
    "a seed that is none": lambda: fit(strength=np.str_("a")),
    "a key by a seed": lambda: fit(random_state=np.int64(7)).save("never"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_no_message_names_a_type_of_numpy(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            returned = ERRORS[name]()
        except (ValueError, TypeError) as error:
            returned = str(error)
    said = [returned if isinstance(returned, str) else "", *(str(w.message) for w in warned)]

    assert any(said), "nothing was said"
    assert not any("np." in each or "numpy." in each for each in said), said
