"""Group tables: parts add up to the whole, a file gives them back, misfits are refused."""

import numpy as np
import pytest
import torch

import brute
from bitveil.certificates import EQUALISED_ODDS_GAP, PARITY_GAP, certify
from bitveil.criteria import CRITERIA, compared_strata
from bitveil.group_tables import GroupTables


def rows(n=300, m=3, k=3, seed=0):
    """Logits, strata (some unknown) and groups of some rows."""

    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(n, m, generator=generator, dtype=torch.float64)
    strata = torch.randint(-1, 2, (n,), generator=generator)

    return logits, strata, torch.randint(k, (n,), generator=generator)


def expected(logits, strata, groups):
    return GroupTables.expected(logits, strata, groups, n_strata=2, k=3)


def observed(codes, strata, groups):
    distinct, numbers = np.unique(codes.numpy(), axis=0, return_inverse=True)

    return GroupTables.observed(
        torch.from_numpy(numbers.ravel()),
        strata,
        groups,
        n_strata=2,
        k=3,
        c=len(distinct),
        codes=torch.from_numpy(distinct),
    )


def same(one, other):
    assert torch.allclose(one.known, other.known)
    assert torch.allclose(one.groups, other.groups)
    assert torch.equal(one.rows, other.rows)


@pytest.mark.parametrize("stop", [0, 1, 100, 300])
def test_expected_counts_of_parts_add_up(stop):
    given = rows()
    parts = [tuple(each[part] for each in given) for part in (slice(stop), slice(stop, None))]

    same(expected(*parts[0]) + expected(*parts[1]), expected(*given))


def test_expected_counts_are_those_of_brute_force():
    logits, strata, groups = rows(60)
    tables = expected(logits, strata, groups)

    np.testing.assert_allclose(tables.groups, brute.table(logits, groups, 3))
    for stratum in range(2):
        inside = strata == stratum
        known = brute.table(logits[inside], groups[inside], 3)
        np.testing.assert_allclose(tables.known[stratum], known)
    assert tables.rows.sum() == 60
    assert tables.rows[2].sum() == (strata < 0).sum()


def test_counts_of_drawn_codes_add_up_whatever_codes_each_part_has():
    _, strata, groups = rows(200)
    codes = torch.randint(40, (200, 2), generator=torch.Generator().manual_seed(1))
    parts = [slice(0, 3), slice(3, 90), slice(90, None)]
    whole = observed(codes, strata, groups)
    added = [observed(codes[part], strata[part], groups[part]) for part in parts]
    summed = added[0] + added[1] + added[2]

    same(summed, whole)
    assert torch.equal(summed.codes, whole.codes)
    same(added[2] + (added[0] + added[1]), whole)


@pytest.mark.parametrize("kind", [expected, observed])
def test_a_file_gives_the_tables_back(kind, tmp_path):
    logits, strata, groups = rows()
    tables = kind((logits > 0).long() if kind is observed else logits, strata, groups)
    tables.save(tmp_path / "part-0")
    again = GroupTables.load(tmp_path / "part-0")

    same(again, tables)
    assert (again.codes is None) == (tables.codes is None)
    for quantity in (PARITY_GAP, EQUALISED_ODDS_GAP):
        assert certify(again, quantity) == certify(tables, quantity)


def test_rows_are_counted_also_where_they_have_weights():
    logits, strata, groups = rows()
    weights = torch.full((300,), 2.5)
    weighted = GroupTables.expected(logits, strata, groups, 2, 3, weights=weights)

    same(
        weighted,
        GroupTables(
            *(2.5 * t for t in _parts(expected(logits, strata, groups))),
            expected(logits, strata, groups).rows,
        ),
    )
    assert weighted.rows.sum() == 300


def _parts(tables):
    return tables.known, tables.unknown


def test_the_gradient_passes_through():
    logits, strata, groups = rows(20)
    logits.requires_grad_()

    assert torch.autograd.gradcheck(lambda x: expected(x, strata, groups).groups, logits)
    assert torch.autograd.gradcheck(lambda x: expected(x, strata, groups).known, logits)


def test_a_criterion_compares_all_rows_or_those_of_strata():
    tables = expected(*rows())

    assert torch.equal(tables.compared("independence")[0], tables.groups)
    assert torch.equal(tables.compared("separation"), tables.known)
    assert torch.equal(tables.compared("equal_opportunity", 1), tables.known[1:])
    for criterion in CRITERIA:
        compared = tables.compared(criterion, 1).sum(-1)
        torch.testing.assert_close(compared, tables.compared_rows(criterion, 1).double())


def test_tables_without_codes_reveal_nothing():
    tables = expected(*rows()).without_codes()

    assert certify(tables).estimate == 0
    assert torch.equal(tables.rows, expected(*rows()).rows)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (GroupTables.of([[1.0, 2], [3, 4]]), "same strata, groups"),
        (GroupTables.of(np.ones((2, 3, 4))), "same codes"),
        (observed(torch.ones(3, 2).long(), *(torch.tensor([0, 1, 2]) % 2,) * 2), "kind of codes"),
    ],
)
def test_tables_of_other_strata_groups_or_codes_do_not_add_up(other, words):
    with pytest.raises(ValueError, match=words):
        _ = GroupTables.of(np.ones((2, 3, 8))) + other


@pytest.mark.parametrize(
    "counts", [[1.0, 2.0], [[-1.0, 2.0]], [[np.nan, 1.0]], [[np.inf, 1.0]], np.ones((1, 1, 1, 1))]
)
def test_counts_that_are_none_are_refused(counts):
    with pytest.raises(ValueError, match=r"expects counts over .* none below 0"):
        GroupTables.of(counts)


def test_groups_and_strata_that_do_not_fit_are_refused(unchecked):
    logits, strata, groups = rows(5)
    with pytest.raises(ValueError, match="expects groups from 0 to"):
        GroupTables.expected(logits, strata, groups + 3, 2, 3)
    with pytest.raises(ValueError, match="expects groups from 0 to"):
        GroupTables.expected(logits, strata + 9, groups, 2, 3)
    with pytest.raises(ValueError, match="number of a target from 0 to 1, got 2"):
        compared_strata("equal_opportunity", 2, 2)
    with pytest.raises(ValueError, match="`criterion` expects one of"):
        compared_strata("independence", 2)


def test_files_that_hold_no_tables_are_refused(tmp_path):
    file = tmp_path / "part"
    with pytest.raises(FileNotFoundError, match="no file of group tables"):
        GroupTables.load(file)
    file.write_bytes(b"not a table")
    with pytest.raises(ValueError, match="damaged, or does not hold group tables"):
        GroupTables.load(file)
    GroupTables.of([[600, 400], [500, 500]]).save(file)
    content = file.read_bytes()
    file.write_bytes(content[:-8])
    with pytest.raises(ValueError, match="damaged, or does not hold group tables"):
        GroupTables.load(file)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": torch.tensor([[-5, 5]])},
        {"rows": torch.tensor([[5.0, 5.0]])},
        {"rows": torch.tensor([[5, 5, 5]])},
        {"unknown": torch.tensor([[-1.0, 2.0], [1.0, 1.0]])},
        {"unknown": torch.tensor([[float("nan"), 2.0], [1.0, 1.0]])},
        {"unknown": torch.ones(3, 2)},
        {"codes": torch.zeros(5, 1)},
        {"metadata": {}},
    ],
)
def test_a_file_that_was_changed_is_refused(change, tmp_path):
    from safetensors.torch import load_file, save_file

    file = tmp_path / "part"
    GroupTables.of([[6, 4], [5, 5]]).save(file)
    metadata = change.pop("metadata", {"format": "bitveil.group_tables/1"})
    save_file(load_file(file) | change, file, metadata)

    with pytest.raises(ValueError, match=r"was changed after|expects the format"):
        GroupTables.load(file)
