"""Cells: as good as the closed form, within their limit, certain, and for every kind of target."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from bitveil.batches import Batch, Rows
from bitveil.cells import CellBatch, Cells, PosteriorColumns, train_cells
from bitveil.codes import code_index
from bitveil.exports import to_onnx
from bitveil.goals import Limit
from bitveil.group_tables import GroupTables
from bitveil.measures import Measure
from bitveil.models import InvariantClassifier, load
from bitveil.objectives import Constrained
from bitveil.tasks import task_accuracy, task_information, task_usefulness
from bitveil.trainers import CellTrainer
from bitveil.training import History, Training
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

    The group leans on the target, so that useful codes leak.
    """

    y_p, y = posteriors(classes, np.zeros(classes), 0)
    lean = np.zeros((N, groups))
    lean[:, -1] = 2 * (y_p[:, -1] - 0.5)
    s_p, s = posteriors(groups, lean, 1)
    blocks, raw = [("classes", classes), ("classes", groups)], [log_odds(y_p), log_odds(s_p)]
    values = None
    if numbers:
        values = torch.from_numpy(y_p[:, -1:]).float()
        blocks, raw = [("numbers", 1), blocks[1]], [y_p[:, -1:], raw[1]]
    x = np.hstack(raw)
    mean, scale = x.mean(0), x.std(0)
    strata = torch.from_numpy(y)
    labels = strata[:, None][:, : 0 if numbers else 1]
    rows = Rows(
        torch.from_numpy((x - mean) / scale).float(),
        torch.from_numpy(s),
        strata,
        labels,
        groups,
        classes,
        () if numbers else (classes,),
        values=values,
    )

    return rows, PosteriorColumns(tuple(blocks), 1, mean, scale)


def trained(rows, columns, limit, n_bits=3, task=task_usefulness, seed=0, **measure):
    objective = Constrained(task, Measure(**measure), limit=limit, start=0.25)
    generator = torch.Generator().manual_seed(seed)

    return train_cells(rows, columns, objective, n_bits=n_bits, generator=generator)


def scored(cells, rows, **measure):
    """The accuracy, the information and the gap of cells."""

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

    assert gap <= 1.1 * limit + 0.002
    assert accuracy > 0.7
    assert information > 0.05
    assert history.epochs[history.best].merit == min(
        epoch.merit for epoch in history.epochs if epoch.merit is not None
    )


@pytest.mark.parametrize("limit", [0.02, 0.05, 0.1])
def test_two_cells_are_as_accurate_as_the_closed_form(two, limit):
    """The best rule of one bit is 2 p(y|x) - 1 > l c(x), for the l that meets the limit."""

    rows, columns = two
    eta, p = (torch.sigmoid(rows.x * torch.tensor(columns.scale) + torch.tensor(columns.mean))).T
    share = (rows.s == 1).double().mean()
    c = p / share - (1 - p) / (1 - share)
    best = 0.0
    for weight in np.linspace(0, 1, 200):
        answer = 2 * eta - 1 > weight * c
        rates = [answer[rows.s == g].double().mean() for g in (0, 1)]
        if abs(rates[1] - rates[0]) <= limit:
            best = max(best, (answer == (rows.labels[:, 0] == 1)).double().mean().item())
    cells, _ = trained(rows, columns, limit, n_bits=1, task=task_accuracy)
    accuracy, _, gap = scored(cells, rows)

    assert gap <= limit + 0.005
    assert accuracy > best - 0.005


def test_codes_are_certain(two):
    rows, columns = two
    cells, _ = trained(rows, columns, 0.1)
    logits = cells.double()(rows.x.double())
    drawn = GroupTables.observed(
        code_index((logits > 0).to(torch.uint8)), rows.strata, rows.s, 2, 2, c=8
    )

    assert (logits.abs() == 50).all()
    torch.testing.assert_close(
        GroupTables.expected(logits, rows.strata, rows.s, 2, 2).known, drawn.known
    )


def test_a_batch_of_cells_counts_like_a_batch_of_bits(two):
    rows, _ = two
    logits = torch.randn(N, 2, generator=torch.Generator().manual_seed(0)).double()
    theta = logits.sigmoid()
    pairs = torch.stack([1 - theta, theta], 1)
    chances = (pairs[:, :, 0, None] * pairs[:, None, :, 1]).flatten(1)
    settings = {"n_groups": 2, "n_strata": 3, "n_labels": (2,), "weights": torch.rand(N).double()}
    labels = rows.labels.clone()
    labels[:10] = -1
    strata = torch.where(labels[:, 0] < 0, -1, labels[:, 0] + 1)
    bits = Batch(logits, rows.s, strata, labels, **settings)
    cells = CellBatch(chances, rows.s, strata, labels, **settings)
    columns = torch.randn(N, 2).double()

    torch.testing.assert_close(cells.tables.known, bits.tables.known)
    torch.testing.assert_close(cells.tables.unknown, bits.tables.unknown)
    torch.testing.assert_close(cells.targets, bits.targets)
    torch.testing.assert_close(cells.moments(columns), bits.moments(columns))


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
    tight, loose = (
        scored(trained(rows, columns, limit, **measure)[0], rows, **measure)
        for limit in (0.06, 0.3)
    )

    assert tight[2] <= 0.075
    assert tight[1] > 0.02
    assert tight[0] + tight[1] <= loose[0] + loose[1] + 1e-3


def test_the_same_seed_gives_the_same_cells(two):
    rows, columns = two
    one, other, third = (trained(rows, columns, 0.1, seed=seed)[0] for seed in (0, 0, 1))

    assert all(torch.equal(w, other.state_dict()[n]) for n, w in one.state_dict().items())
    assert not torch.equal(one.weight, third.weight)


def test_there_are_no_more_cells_than_different_rows(two):
    rows, columns = two
    few = rows[torch.arange(5).repeat(20)]
    cells, _ = trained(few, columns, 0.5)

    assert len(cells.bias) == 5


def test_there_are_no_more_cells_than_codes(two):
    rows, columns = two

    assert len(trained(rows, columns, 0.1, n_bits=1)[0].bias) == 2
    assert Cells(2, 16, 64)(torch.zeros(1, 2)).shape == (1, 16)


def test_weights_count(two):
    rows, columns = two
    weights = torch.where(rows.s == 0, 2.0, 0.5)
    cells, _ = trained(rows.joined(rows), columns, 0.1)
    heavy = Rows.of_target(rows.x, rows.strata, rows.s, 2, 2, weights=weights)
    weighted, _ = trained(heavy, columns, 0.1)

    assert not torch.equal(cells.weight, weighted.weight)
    assert scored(weighted, heavy)[2] <= 0.115


# Hidden layers


def test_hidden_layers_keep_the_limit_and_give_certain_codes(two):
    rows, columns = two
    objective = Constrained(task_usefulness, Measure(), limit=0.05, start=0.25)
    cells, _ = train_cells(
        rows, columns, objective, n_bits=3, generator=torch.Generator().manual_seed(0), hidden=8
    )
    accuracy, _, gap = scored(cells, rows)

    assert cells.hidden == 8
    assert cells.weight.shape == (8, 8)
    assert gap <= 0.057
    assert accuracy > 0.7
    assert (cells(rows.x).abs() == 50).all()


def test_the_same_generator_gives_the_same_hidden_layers():
    one, other, third = (
        Cells(2, 3, 8, 4, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))

    assert torch.equal(one.scores(x), other.scores(x))
    assert not torch.equal(one.scores(x), third.scores(x))


@pytest.mark.parametrize("better", [True, False])
def test_hidden_layers_are_kept_only_if_they_are_better_on_the_rows_to_select(
    two, monkeypatch, better
):
    rows, columns = two
    monkeypatch.setattr("bitveil.trainers.HIDDEN_FROM", 1)
    good, _ = trained(rows, columns, 0.1)
    blind = Cells(2, 3, 8)  # one code for all

    def fake(*_, hidden, **__):
        return deepcopy(good if bool(hidden) == better else blind), History()

    monkeypatch.setattr("bitveil.trainers.train_cells", fake)
    trainer = CellTrainer(columns, 3, task_usefulness, Measure(), Training(verbose=0), 0)
    settled = trainer.settled(Limit(0.1), rows, rows)

    assert settled.hidden == (32 if better else 0)
    assert torch.equal(settled(Limit(0.1), rows, rows).encoder.weight, good.double().weight)


def test_few_rows_try_no_hidden_layers(two):
    rows, columns = two
    trainer = CellTrainer(columns, 3, task_usefulness, Measure(), Training(verbose=0), 0)

    assert trainer.settled(Limit(0.1), rows, rows) is trainer
    assert trainer(Limit(0.1), rows, rows).encoder.hidden == 0


@pytest.fixture(scope="module")
def hidden_model():
    """A fitted estimator whose cells stand behind hidden layers."""

    X, y, s = leaning_rows(1500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bitveil.trainers.HIDDEN_FROM", 1)
        patch.setattr("bitveil.trainers._MARGIN", -100.0)
        model = InvariantClassifier(max_gap=0.3, n_bits=3, random_state=0)
        model.fit(X, y, sensitive_features=s, ids=range(1500))

    return model


@pytest.mark.filterwarnings("ignore:The key of the draws follows")
def test_hidden_layers_are_saved_and_loaded(hidden_model, tmp_path):
    X = leaning_rows(200, seed=1)[0]
    hidden_model.save(tmp_path / "model")
    again = load(tmp_path / "model")

    assert hidden_model.coder_.encoder.hidden == again.coder_.encoder.hidden == 32
    assert (hidden_model.logits(X) == again.logits(X)).all()


def test_codes_behind_hidden_layers_are_audited_and_exported(hidden_model, tmp_path):
    X, y, s = leaning_rows(1000, seed=2)
    encoder = hidden_model.coder_.encoder
    audit = hidden_model.audit(X, y, sensitive_features=s, ids=range(5000, 6000))
    to_onnx(encoder, tmp_path / "cells.onnx", n_inputs=len(encoder.mean))

    assert audit.certificate.bound < 1
    assert (tmp_path / "cells.onnx").exists()
