"""What cannot be audited, or only loosely."""

import numpy as np
import pytest

from bitveil.audits import audit, audit_table, html_report
from worlds import audit_named


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, [0, 1]), r"`codes`, or `logits` with `ids`, got neither"),
        ((np.zeros((2, 2)), [0]), r"`sensitive_features` expects one value for each of the 2"),
        ((np.zeros((2, 2)), [0, 0]), r"`sensitive_features` has one value only"),
        ((np.zeros((2, 2)), [0, None]), r"`sensitive_features` has 1 missing values"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        audit(*arguments)


@pytest.mark.usefixtures("unchecked")
def test_logits_are_accepted_only_for_rows_with_names_and_with_their_own_bits():
    logits = np.zeros((3, 1))
    with pytest.raises(ValueError, match=r"only where every row has a name.*give `ids`"):
        audit(None, [0, 1, 1], logits=logits)
    with pytest.raises(ValueError, match=r"`ids` gives 1 of 3 rows the name of an earlier"):
        audit(None, [0, 1, 1], logits=logits, ids=["a", "b", "a"])
    with pytest.raises(ValueError, match=r"a name for each of the 3 rows, got 1 of them missing"):
        audit(None, [0, 1, 1], logits=logits, ids=["a", "b", None])
    with pytest.raises(ValueError, match=r"finite `logits`, got NaN"):
        audit(None, [0, 1, 1], logits=logits * np.nan, ids=range(3))
    with pytest.raises(ValueError, match=r"bits as 0 and 1"):
        audit([[0.5], [1], [0]], [0, 1, 1], logits=logits, ids=range(3))
    with pytest.raises(ValueError, match=r"same rows and bits, got shapes \(3, 1\) and \(2, 1\)"):
        audit([[0], [1]], [0, 1, 1], logits=logits, ids=range(3))


def test_copies_of_one_person_are_refused_for_foreign_codes_too():
    with pytest.raises(ValueError, match="`ids` gives 20 of 40 rows the name of an earlier"):
        audit(np.arange(40) % 4, np.arange(40) % 2, ids=np.tile(np.arange(20), 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codes": [1, 2, 3]}, r"`sensitive_features` expects one value for each of the 3 rows"),
        ({"codes": [1, None]}, r"`codes` has 1 rows with missing values"),
        ({"codes": np.zeros((2, 2, 2))}, r"`codes` expects a column .* 3 dimensions"),
        ({"codes": [1, 2]}, r"at least two of each, got one of \['a', 'b'\]"),
        (
            {"codes": [[0], [1]], "attackers": "some"},
            r"`attackers` expects one of \['quick', 'all'\]",
        ),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_codes_that_cannot_be_audited_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        audit(sensitive_features=["a", "b"], **arguments)


@pytest.mark.parametrize("delta", [0, 1, -0.1, 2])
def test_a_delta_that_is_no_probability_is_refused(delta):
    with pytest.raises(ValueError, match="`delta` expects a probability between 0 and 1"):
        audit(np.zeros((8, 1)), [0, 1] * 4, delta=delta)


def test_an_attribute_or_a_target_of_too_many_values_is_refused():
    with pytest.raises(ValueError, match="`sensitive_features` has 60 different values"):
        audit(np.zeros((120, 1)), np.arange(120) % 60)
    with pytest.raises(ValueError, match="`y` has 120 different values"):
        audit(np.zeros((120, 1)), np.arange(120) % 2, np.arange(120))


@pytest.mark.parametrize(
    ("table", "names", "message"),
    [
        ([[1, 2], [0, 0]], (None, None), r"the groups \[1\] have no rows"),
        ([[1.5, 2], [2, 2]], (None, None), "whole numbers from 0 to 2"),
        ([[-1, 2], [2, 2]], (None, None), "whole numbers from 0 to 2"),
        ([[1, np.nan], [2, 2]], (None, None), "whole numbers from 0 to 2"),
        ([[2, 2], [2, 2]], (["f"], None), "for each of 2 groups and 2 codes, got 1 and 2"),
        ([[3, 4]], (None, None), "one value only"),
    ],
)
def test_tables_that_are_no_counts_are_refused(table, names, message):
    with pytest.raises(ValueError, match=message):
        audit_table(table, *names)


def test_more_codes_than_rows_give_a_warning_and_a_loose_bound():
    rng = np.random.default_rng(0)
    s, bits = np.arange(100) % 2, rng.integers(0, 2, (100, 10))
    with pytest.warns(
        UserWarning, match="More codes than rows of the smallest group: [0-9]+ codes, 50 "
    ):
        hard = audit(bits, s)
    with pytest.warns(UserWarning, match="More codes than rows: 1024 codes, 100 rows"):
        soft = audit_named(bits - 0.5, s)

    for found in (hard, soft):
        assert found.notes[0].startswith("More codes than rows")
        assert found.notes[0] in html_report(found)
    assert hard.certificate.bound == 1


def test_codes_that_are_too_wide_to_list_are_counted_as_drawn():
    s = np.arange(400) % 2
    logits = np.where(np.arange(30) == 3, 400.0 * s[:, None] - 200, 200)
    found = audit_named(logits, s)

    assert found.certificate.draws == "hard"
    assert found.meaning.revealing.parts == ("bit 3",)
    assert any("too many codes of 30 bits to list" in note for note in found.notes)
    assert found.neuron_information_bits == pytest.approx(1)


def test_an_encoder_that_makes_other_codes_is_refused():
    with pytest.raises(ValueError, match="`encode` must return the 1 parts of the code, got 2"):
        audit(
            np.zeros((8, 1)),
            [0, 1] * 4,
            encode=lambda X: np.zeros((len(X), 2)),
            X=np.zeros((8, 3)),
        )
