"""Repeats: used rows are refused, new rows are accepted, and a caution says if nobody can tell."""

import numpy as np
import pytest

from bitveil.repeats import UsedRows, check_copies

KEY = b"0123456789abcdef"


def contents(numbers):
    """The bytes of rows that differ in one number."""

    return np.asarray(numbers).astype("<u4")[:, None].view(np.uint8)


def sample(rng, kinds, n):
    """Rows of a population with so many contents, some far more frequent than others."""

    if kinds > 5000:
        return contents(rng.integers(0, kinds, n))
    return contents(rng.choice(kinds, n, p=np.random.default_rng(kinds).dirichlet(np.ones(kinds))))


POPULATIONS = [(6, 400, 400), (60, 3000, 3000), (200, 300, 50), (500, 3000, 9000)]
POPULATIONS += [(5000, 400, 400), (5000, 9000, 2000), (100_000, 400, 400), (10**9, 400, 3000)]


@pytest.mark.parametrize(("kinds", "n_used", "n"), POPULATIONS)
def test_new_rows_are_accepted_and_used_rows_are_refused(kinds, n_used, n):
    rng = np.random.default_rng(0)
    for _ in range(20):
        used = sample(rng, kinds, n_used)
        known = UsedRows.of(used, None, KEY)
        known.check(sample(rng, kinds, n), None)
        for again in (used, np.repeat(used, 2, axis=0), rng.permutation(used)):
            with pytest.raises(ValueError, match=r"fitted on.*use new rows\. Give `ids`"):
                known.check(again, None)


def test_a_tenth_of_used_rows_is_noticed_among_rows_that_rarely_repeat():
    rng = np.random.default_rng(0)
    used = sample(rng, 10**9, 2000)
    mixed = np.vstack([sample(rng, 10**9, 900), used[:100]])

    with pytest.raises(ValueError, match="100 of 1000 rows have the content of rows that"):
        UsedRows.of(used, None, KEY).check(mixed, None)


def test_a_caution_says_when_contents_cannot_decide():
    rng = np.random.default_rng(0)
    few = UsedRows.of(sample(rng, 60, 3000), None, KEY).check(sample(rng, 60, 900), None)
    many = UsedRows.of(sample(rng, 10**9, 3000), None, KEY).check(sample(rng, 10**9, 900), None)

    assert "repeat too often to show whether the rows are new" in few
    assert "Give `ids`" in few
    assert many is None


def test_names_decide_if_both_have_them():
    rng = np.random.default_rng(0)
    rows, names = sample(rng, 12, 300), contents(np.arange(300))
    known = UsedRows.of(rows, names, KEY)

    assert known.check(sample(rng, 12, 300), contents(np.arange(300, 600))) is None
    with pytest.raises(ValueError, match="1 of 300 rows have an id that the encoder was"):
        known.check(sample(rng, 12, 300), contents(np.arange(299, 599)))
    # The same rows under other names count as new, with a caution.
    distinct = UsedRows.of(contents(np.arange(300)), names, KEY)
    caution = distinct.check(contents(np.arange(300)), contents(np.arange(300, 600)))
    assert "Their ids are new, so they count as new rows" in caution


def test_the_digests_reveal_no_row_without_their_key():
    rows = contents(np.arange(50))
    one, other = (UsedRows.of(rows, None, key) for key in (KEY, KEY[::-1]))

    assert not set(one.contents.tolist()) & set(other.contents.tolist())
    assert KEY.decode() not in repr(one)


def test_a_table_without_rows_has_no_used_rows():
    assert UsedRows.of(contents([1, 2]), None, KEY).overlap(contents([]), None) == 0


# Copies


def test_equal_rows_with_different_labels_are_not_copies():
    rng = np.random.default_rng(0)
    rows, y, s = sample(rng, 200, 2000), rng.integers(2, size=2000), rng.integers(2, size=2000)

    check_copies(rows, y, s)


@pytest.mark.parametrize("times", [2, 3, 20])
@pytest.mark.parametrize("n", [12, 150])
def test_a_repeated_table_is_refused_as_copies_however_few_rows_it_has(n, times):
    rng = np.random.default_rng(0)
    rows, y, s = sample(rng, 200, n), rng.integers(2, size=n), rng.integers(2, size=n)
    copies = [np.repeat(part, times, 0) for part in (rows, y, s)]

    with pytest.raises(ValueError, match=rf"Every row occurs {times} times.*name them: `ids`"):
        check_copies(*copies)


def test_a_few_rows_that_occur_twice_are_copies_if_chance_repeats_none():
    rng = np.random.default_rng(0)
    rows, s = contents(rng.permutation(1000)), rng.integers(2, size=1000)
    some = np.concatenate([np.arange(1000), np.arange(30)])

    with pytest.raises(ValueError, match="30 of 1030 rows repeat another row in everything"):
        check_copies(rows[some], s[some])
    check_copies(rows[some[:1005]], s[some[:1005]])  # five could be chance
