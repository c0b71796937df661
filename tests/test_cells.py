"""Cells: as good as the linear program, within their limit, certain, for every kind of target."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from bitveil.batches import Rows
from bitveil.best_cells import STEPS, best_cells
from bitveil.cells import Cells, PosteriorColumns
from bitveil.codes import code_index
from bitveil.exports import to_onnx
from bitveil.goals import Limit
from bitveil.group_tables import GroupTables
from bitveil.measures import Measure
from bitveil.models import InvariantClassifier, load
from bitveil.objectives import Constrained
from bitveil.tasks import task_accuracy, task_information, task_usefulness
from bitveil.trainers import CellTrainer
from bitveil.training import Training
from builders import leaning_rows

N = 1500


def log_odds(p):
    """The log-odds of all values but the first, for probabilities with shape (n, k)."""

    return np.log(p[:, 1:] / (1 - p[:, 1:]))


def posteriors(k, lean, seed):
    """Probabilities of k values, and values drawn from them."""

    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(N, k)) * 1.5 + lean
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)

    return p, (p.cumsum(1) < rng.random((N, 1))).sum(1).clip(max=k - 1)


def world(classes=2, groups=2, numbers=False):
    """Rows whose features are true posteriors, and what the columns mean.

    The group leans on the target, so that useful codes leak. Given the features, target and group
    are independent.
    """

    y_p, y = posteriors(classes, np.zeros(classes), 0)
    lean = np.zeros((N, groups))
    lean[:, -1] = 2 * (y_p[:, -1] - 0.5)
    s_p, s = posteriors(groups, lean, 1)
    pairs = (y_p[:, :, None] * s_p[:, None, :]).reshape(N, -1)
    blocks = [("classes", classes), ("classes", groups), ("classes", classes * groups)]
    raw, values = [log_odds(y_p), log_odds(s_p), log_odds(pairs)], None
    if numbers:
        values = torch.from_numpy(y_p[:, -1:]).float()
        blocks[0], raw[0] = ("numbers", 1), y_p[:, -1:]
    x = np.hstack(raw)
    mean, scale = x.mean(0), x.std(0)
    strata = torch.from_numpy(y)
    labels = strata[:, None][:, : 0 if numbers else 1]
    rows = Rows(
        torch.from_numpy((x - mean) / scale),
        torch.from_numpy(s),
        strata,
        labels,
        groups,
        classes,
        () if numbers else (classes,),
        values=values,
    )

    return rows, PosteriorColumns(tuple(blocks), 1, mean, scale)


def trained(rows, columns, limit, n_cells=6, task=task_usefulness, seed=0, **measure):
    objective = Constrained(task, Measure(**measure), limit=limit)
    generator = torch.Generator().manual_seed(seed)

    return best_cells(rows, columns, objective, n_cells=n_cells, n_bits=3, generator=generator)


def expected_table(cells, rows, columns, number):
    """The expected counts over (value, cell) by the posteriors of a label, one by one."""

    one_hot = torch.nn.functional.one_hot(cells.scores(rows.x).argmax(1), len(cells.bias))
    start = sum(k - 1 for _, k in columns.blocks[:number])
    others = columns.posteriors(rows.x)[:, start : start + columns.blocks[number][1] - 1]
    p = torch.cat([1 - others.sum(1, keepdim=True), others], 1)

    return torch.stack([(p[:, [k]] * one_hot).sum(0) for k in range(p.shape[1])])


def distance(table):
    """The largest total variation between two rows of a table."""

    shares = (table / table.sum(1, keepdim=True)).numpy()

    return max(abs(a - b).sum() / 2 for a, b in combinations(shares, 2))


def scored(cells, rows, **measure):
    """The accuracy, the information and the gap of cells, by the labels of the rows."""

    batch = rows.batch(cells)
    gap = Measure(**measure)(batch).item()

    return -task_accuracy(batch).item(), -task_information(batch).item(), gap


@pytest.fixture(scope="module")
def two():
    return world()


@pytest.mark.parametrize("limit", [0.004, 0.02, 0.05, 0.1, 0.2])
def test_cells_keep_their_limit_and_never_collapse(two, limit):
    rows, columns = two
    cells, history = trained(rows, columns, limit)
    accuracy, information, gap = scored(cells, rows)

    assert distance(expected_table(cells, rows, columns, 1)) <= 1.03 * limit + 0.001
    assert gap <= limit + 0.045  # the labels of 3,000 rows show six cells this much apart
    assert accuracy > 0.7
    assert information > 0.05
    assert len(cells.scores(rows.x).argmax(1).unique()) == 6
    assert history.epochs[history.best].merit == min(
        epoch.merit for epoch in history.epochs if epoch.merit is not None
    )


@pytest.mark.parametrize("limit", [0.0, 0.02, 0.05, 0.1])
def test_two_cells_are_as_accurate_as_the_linear_program(two, limit):
    """The program spreads each row over two answers: the primal of what is dual here."""

    rows, columns = two
    rows = rows[:600]
    eta, p = columns.posteriors(rows.x)[:, :2].T.numpy()
    d = p / p.mean() - (1 - p) / (1 - p).mean()
    best = linprog(
        -(2 * eta - 1) / len(eta),
        A_ub=np.stack([d, -d]) / len(d),
        b_ub=[limit, limit],
        bounds=(0, 1),
    )
    cells, _ = trained(rows, columns, limit, n_cells=2, task=task_accuracy)
    table = expected_table(cells, rows, columns, 0)

    assert distance(expected_table(cells, rows, columns, 1)) <= limit + 0.004
    assert table.amax(0).sum() / len(eta) == pytest.approx(1 - eta.mean() - best.fun, abs=0.004)


@pytest.mark.parametrize("limit", [0.02, 0.1])
def test_more_cells_tell_more_within_the_same_limit(two, limit):
    rows, columns = two
    told = []
    for n_cells in (2, 4, 6):
        cells, _ = trained(rows, columns, limit, n_cells, task_information)
        table = expected_table(cells, rows, columns, 0) / N
        told.append((table * (table / table.sum(0) / table.sum(1, keepdim=True)).log()).nansum())

    assert told[0] < told[1] < told[2]


def test_labels_of_rows_change_nothing(two):
    rows, columns = two
    order = torch.randperm(N, generator=torch.Generator().manual_seed(0))
    other = Rows.of_target(rows.x, rows.strata[order], rows.s[order], 2, 2)
    one, same = (trained(each, columns, 0.1)[0] for each in (rows, other))

    assert torch.equal(one.weight, same.weight)


def test_codes_are_certain(two):
    rows, columns = two
    cells, _ = trained(rows, columns, 0.1)
    logits = cells(rows.x)
    drawn = GroupTables.observed(
        code_index((logits > 0).to(torch.uint8)), rows.strata, rows.s, 2, 2, c=8
    )

    assert (logits.abs() == 50).all()
    torch.testing.assert_close(
        GroupTables.expected(logits, rows.strata, rows.s, 2, 2).known, drawn.known
    )


@pytest.mark.parametrize(
    ("shape", "measure"),
    [
        ({"classes": 3}, {}),
        ({"groups": 4}, {}),
        ({"groups": 3}, {"reading": "doeblin_complement"}),
        ({}, {"criterion": "separation"}),
        ({"classes": 3}, {"criterion": "equal_opportunity", "positive": 2}),
        ({"numbers": True}, {}),
        ({"numbers": True, "groups": 3}, {"criterion": "separation"}),
    ],
)
def test_every_kind_of_target_and_criterion(shape, measure):
    rows, columns = world(**shape)
    found = [trained(rows, columns, limit, **measure) for limit in (0.06, 0.3)]
    tight, loose = (history.epochs[history.best] for _, history in found)
    _, information, gap = scored(found[0][0], rows, **measure)

    assert tight.measure <= 0.066  # by the posteriors
    assert gap <= 0.06 + 0.09  # by the labels of a few hundred rows
    assert information > 0.02
    assert loose.task <= tight.task + 0.002


def test_the_tables_of_pairs_give_those_of_groups(two):
    """The pairs' posteriors are products here, so both ways must agree."""

    rows, columns = two
    cells, _ = trained(rows, columns, 0.1, criterion="separation")
    pairs = expected_table(cells, rows, columns, 2).view(2, 2, -1)

    # Those of pairs keep away from 0, by 1e-4 at most.
    of_groups = expected_table(cells, rows, columns, 1)
    torch.testing.assert_close(pairs.sum(0), of_groups, atol=1e-2, rtol=1e-5)
    assert max(distance(table) for table in pairs) <= 0.103


def test_the_same_seed_gives_the_same_cells(two):
    rows, columns = two
    one, other = (trained(rows, columns, 0.1)[0] for _ in range(2))

    assert all(torch.equal(w, other.state_dict()[n]) for n, w in one.state_dict().items())


def test_there_are_no_more_cells_than_different_rows(two):
    rows, columns = two
    few = rows[torch.arange(5).repeat(20)]
    cells, _ = trained(few, columns, 0.5)

    assert len(cells.bias) == 5


def test_there_are_no_more_cells_than_codes(two):
    rows, columns = two
    trainer = CellTrainer(columns, 1, task_usefulness, Measure(), Training(), 0)

    assert len(trainer(Limit(0.1), rows, rows[:0]).encoder.bias) == 2
    assert Cells(2, 16, 64)(torch.zeros(1, 2)).shape == (1, 16)


def test_few_cells_are_tried_too(two):
    _, columns = two
    many = CellTrainer(columns, 3, task_usefulness, Measure(), Training(), 0)
    one_bit = replace(many, n_bits=1)

    assert [form.n_cells for form in many.forms] == [4, 2]
    assert one_bit.forms == [one_bit]


def test_a_number_has_twice_as_many_cells_as_a_probability(two):
    _, columns = two
    number = replace(columns, blocks=(("numbers", 1), columns.blocks[1]))
    of_number = CellTrainer(number, 4, task_usefulness, Measure(), Training(), 0)
    of_many = replace(of_number, columns=replace(columns, blocks=(("classes", 20),), n_targets=1))

    assert [form.n_cells for form in of_number.forms] == [8, 4, 2]
    assert [form.n_cells for form in replace(of_number, n_bits=2).forms] == [4, 2]
    assert [form.n_cells for form in of_many.forms] == [16]  # no more than codes, and only once


def test_fewer_rows_for_certification_are_expected_to_show_a_larger_gap(two):
    rows, columns = two
    trainer = CellTrainer(columns, 3, task_usefulness, Measure(), Training(), 0)
    equal, fewer = (
        replace(trainer, held_out=share)(Limit(0.05), rows, rows[:0]).step for share in (1.0, 0.2)
    )

    assert equal.gap == pytest.approx(equal.measure)
    assert fewer.gap > equal.gap + 0.005
    assert fewer.usefulness == equal.usefulness


def test_three_classes_get_more_cells_than_two():
    rows, columns = world(classes=3)
    trainer = CellTrainer(columns, 4, task_usefulness, Measure(), Training(), 0)

    assert len(trainer(Limit(0.1), rows, rows[:0]).encoder.bias) == 8


def test_one_group_needs_no_limit(two):
    rows, columns = two
    alone = rows[(rows.s == 0).nonzero()[:, 0]]
    one = PosteriorColumns(
        (("classes", 2), ("classes", 1)), 1, columns.mean[:1], columns.scale[:1]
    )
    x = Rows.of_target(alone.x[:, :1], alone.strata, alone.s, 2, 1)
    accuracy, _, _ = scored(trained(x, one, 0.0)[0], x)

    assert accuracy > 0.75


def test_a_group_that_no_row_has_needs_other_columns(two):
    rows, columns = two

    with pytest.raises(ValueError, match="expect 2 groups among the rows, got 1"):
        trained(rows[(rows.s == 0).nonzero()[:, 0]], columns, 0.1)


def test_weights_count_like_repeated_rows(two):
    rows, columns = two
    twice = rows.s == 0
    heavy = Rows.of_target(rows.x, rows.strata, rows.s, 2, 2, weights=1 + twice.float())
    weighted, history = trained(heavy, columns, 0.1)
    repeated = expected_table(weighted, rows.joined(rows[twice.nonzero()[:, 0]]), columns, 1)

    assert distance(repeated) == pytest.approx(history.epochs[history.best].measure, abs=0.003)
    assert not torch.equal(weighted.weight, trained(rows, columns, 0.1)[0].weight)


def test_each_turn_is_told(two):
    rows, columns = two
    seen = []
    objective = Constrained(task_usefulness, Measure(), limit=0.1)
    _, history = best_cells(
        rows,
        columns,
        objective,
        n_cells=4,
        n_bits=2,
        generator=torch.Generator(),
        after_epoch=seen.append,
    )

    assert len(seen) == len(history.epochs) >= STEPS


@pytest.mark.filterwarnings("ignore:The key of the draws follows")
def test_cells_are_saved_loaded_audited_and_exported(tmp_path):
    X, y, s = leaning_rows(1500)
    model = InvariantClassifier(max_gap=0.3, n_bits=3, random_state=0)
    model.fit(X, y, sensitive_features=s, ids=range(1500))
    model.save(tmp_path / "model")
    again, (X, y, s) = load(tmp_path / "model"), leaning_rows(1000, seed=1)
    encoder = model.coder_.encoder
    audit = again.audit(X, y, sensitive_features=s, ids=range(5000, 6000))
    to_onnx(encoder, tmp_path / "cells.onnx", n_inputs=len(encoder.mean))

    assert isinstance(again.coder_.encoder, Cells)
    assert (model.logits(X) == again.logits(X)).all()
    assert audit.certificate.bound < 1
    assert (tmp_path / "cells.onnx").exists()


def test_a_batch_counts_by_posteriors(two):
    """Its tables are those of its rows, each in all classes by its posteriors."""

    rows, columns = two
    cells, history = trained(rows, columns, 0.1)
    table = expected_table(cells, rows, columns, 0) / N
    told = -(table * (table / table.sum(0) / table.sum(1, keepdim=True)).log()).nansum()
    right = -table.amax(0).sum()

    assert history.epochs[history.best].task == pytest.approx(
        ((told + right) / 2).item(), abs=0.003
    )


@pytest.mark.parametrize("known", ["all", "few", "the middle", "one side"])
def test_numbers_that_are_known_for_some_rows_still_shape_the_cells(known):
    """A range of known numbers that is narrower than that of all rows ended as one code."""

    rows, columns = world(numbers=True)
    number = rows.values[:, 0]
    keep = {
        "all": torch.ones(N, dtype=torch.bool),
        "few": torch.arange(N) % 4 == 0,
        "the middle": (number - 0.5).abs() < 0.1,
        "one side": number < 0.3,
    }[known]
    some = replace(rows, values=rows.values.where(keep[:, None], torch.nan))
    cells, _ = trained(some, columns, 0.5, task=task_information, n_cells=4)

    assert len(code_index((cells(rows.x) > 0).long()).unique()) == 4


def test_a_rare_first_group_keeps_its_share():
    """Posteriors of many groups keep away from 0, and may sum to more than one."""

    k, n = 40, 4000
    s = torch.arange(n) % k
    sharp = np.full((n, k), 1e-6)
    sharp[np.arange(n), s] = 1
    clipped = np.clip(sharp[:, 1:], 1e-4, 1 - 1e-4)
    columns = PosteriorColumns((("classes", k),), 0, np.zeros(k - 1), np.ones(k - 1))
    posteriors = columns.posteriors(torch.from_numpy(np.log(clipped / (1 - clipped))))
    seen = torch.cat([posteriors, posteriors.new_ones(n, 1)], 1)
    share = columns.label(0) @ seen.mean(0)

    torch.testing.assert_close(share, torch.full((k,), 1 / k).double(), atol=4e-4, rtol=0)
