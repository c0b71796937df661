import numpy as np
import pytest
import torch

from bitveil.finite_samples import (
    bootstrap_interval,
    corrected_information,
    leave_one_out,
    resized_variation,
    spread,
)
from bitveil.information import mutual_information, total_variation
from bitveil.tables import joint_table, observed_table, squared_table
from worlds import random_rows


def population(scale, m=6):
    """A way to draw rows, in double precision, and the nats and total variation of the code."""

    generator = torch.Generator().manual_seed(0)
    weight = scale * torch.randn(m, 2, generator=generator).double()

    def sample(n, seed):
        rows = torch.Generator().manual_seed(seed)
        groups = torch.randint(2, (n,), generator=rows)
        x = torch.randn(n, 2, generator=rows) + 0.3 * groups.unsqueeze(1)
        return x.double() @ weight.T, groups

    table = joint_table(*sample(400_000, seed=10**6), 2)
    return sample, mutual_information(table).item(), total_variation(table).item()


def test_squared_tables_are_sums_of_squares():
    logits, groups = random_rows(n=15, m=8)
    rows = joint_table(logits, torch.arange(15), 15)
    expected = torch.nn.functional.one_hot(groups, 3).double().T @ rows**2

    assert torch.allclose(squared_table(logits, groups, 3), expected, atol=1e-14)


def test_the_spread_of_certain_bits_is_the_number_of_codes_minus_one():
    logits = 200 * torch.randn(2_000, 3, generator=torch.Generator().manual_seed(0)).sign()

    assert spread(logits, torch.zeros(2_000).long(), 1).item() == pytest.approx(7, rel=0.01)


def test_identical_rows_have_no_spread():
    assert spread(torch.ones(50, 3).double(), torch.arange(50) % 2, 2).abs().max() < 1e-9


@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_correction_removes_most_of_the_bias(scale):
    sample, truth, _ = population(scale)
    found = [corrected_information(*sample(400, seed), 2) for seed in range(60)]
    plug_in = sum(f.plug_in for f in found) / 60 - truth
    corrected = sum(f.value for f in found) / 60 - truth

    assert plug_in > 0
    assert abs(corrected) < 0.35 * plug_in


def test_too_few_rows_for_the_codes_give_a_warning():
    logits = 200 * torch.randn(60, 5, generator=torch.Generator().manual_seed(0)).sign()
    with pytest.warns(UserWarning, match=r"too few rows for its codes .* not to be trusted"):
        corrected_information(logits, torch.arange(60) % 2, 2)


def test_the_bracket_holds_the_truth_in_expectation():
    sample, *truth = population(2.0)
    high, low = [], []
    for seed in range(60):
        logits, groups = sample(300, seed)
        table = joint_table(logits, groups, 2)
        high.append([mutual_information(table), total_variation(table)])
        low.append(leave_one_out(logits, groups, 2))
    truth, high, low = (torch.tensor(values) for values in (truth, high, low))

    assert (low.mean(0) < truth).all()
    assert (truth < high.mean(0)).all()


def test_leaving_rows_out_equals_a_loop_over_rows():
    logits, groups = random_rows(n=12, m=3, k=2)
    variation = 0.0
    for i in range(12):
        others = torch.arange(12) != i
        p = joint_table(logits[others], groups[others], 2)
        p = p / p.sum(1, keepdim=True)
        own, g = joint_table(logits[i : i + 1], groups[i : i + 1] * 0, 1)[0], groups[i]
        variation += (own * torch.sign(p[g] - p[1 - g])).sum() / (2 * (groups == g).sum())

    assert leave_one_out(logits, groups, 2)[1] == pytest.approx(variation.item())


@pytest.mark.parametrize("function", [leave_one_out, corrected_information])
def test_a_group_of_one_row_is_refused(function):
    with pytest.raises(ValueError, match=r"at least two rows of each, got groups of \[3, 1\]"):
        function(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1]), 2)


def test_the_bootstrap_interval_holds_the_truth_about_as_often_as_it_says():
    sample, *truths = population(2.0)
    for reading, truth in zip((mutual_information, total_variation), truths, strict=True):
        inside = 0
        for seed in range(100):
            generator = torch.Generator().manual_seed(seed)
            low, high = bootstrap_interval(
                *sample(400, seed), 2, reading, level=0.9, n_resamples=200, generator=generator
            )
            inside += low <= truth <= high

        assert 78 <= inside <= 98


def test_the_bootstrap_interval_has_the_width_of_a_bootstrap_over_rows():
    sample, *_ = population(2.0)
    logits, groups = sample(500, seed=3)
    low, high = bootstrap_interval(logits, groups, 2, generator=torch.Generator().manual_seed(0))
    rows = [torch.nonzero(groups == g).squeeze(1) for g in (0, 1)]
    generator = torch.Generator().manual_seed(0)
    values = []
    for _ in range(400):
        drawn = [r[torch.randint(len(r), (len(r),), generator=generator)] for r in rows]
        chosen = torch.cat(drawn)
        values.append(mutual_information(joint_table(logits[chosen], groups[chosen], 2)))
    edges = torch.stack(values).quantile(torch.tensor([0.025, 0.975]).double())

    assert high - low == pytest.approx((edges[1] - edges[0]).item(), rel=0.25)


@pytest.mark.usefixtures("unchecked")
def test_a_level_outside_0_and_1_is_refused():
    with pytest.raises(ValueError, match=r"`level` expects a number between 0 and 1, got 95"):
        bootstrap_interval(torch.zeros(4, 2), torch.arange(4) % 2, 2, level=95)


@pytest.mark.parametrize("k", [2, 3])
def test_a_smaller_sample_shows_the_resized_variation(k):
    """Subsamples of the rows, each with two fifths of them, show it in the mean."""

    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(k), 400)
    codes = rng.choice(4, len(groups), p=[0.4, 0.3, 0.2, 0.1])
    codes[: 400 // 8] = 0  # so that one group stands out
    table = observed_table(torch.from_numpy(codes), torch.from_numpy(groups), k, 4)
    shown = []
    for _ in range(500):
        some = np.concatenate([rng.permutation(400)[:160] + 400 * g for g in range(k)])
        part = observed_table(torch.from_numpy(codes[some]), torch.from_numpy(groups[some]), k, 4)
        shown.append(total_variation(part).item())

    found = resized_variation(table, 0.4).item()
    assert found > total_variation(table).item() + 0.01
    if k == 2:
        assert found == pytest.approx(np.mean(shown), abs=0.004)
    else:  # the largest of several pairs is larger in expectation than that of the worst one
        assert np.mean(shown) - 0.02 < found < np.mean(shown) + 0.004


def test_rows_cannot_tell_what_more_rows_would_show():
    table = torch.tensor([[30.0, 10.0], [20.0, 20.0]])

    torch.testing.assert_close(resized_variation(table, 3.0), total_variation(table))
