import math

import pytest
import torch

from bitveil.audits import certificates
from bitveil.audits.attacker import certain_gap
from bitveil.audits.certificates import certify_gap, certify_sequence, least_gap, slack
from bitveil.tables import joint_table

DELTA = 0.1
WORLDS = 1_000


def population(lean, m=3, points=64):
    """Points with logits, equally likely in both groups but for a lean, and their true TV."""

    generator = torch.Generator().manual_seed(5)
    logits = 2 * torch.randn(points, m, generator=generator, dtype=torch.float64)
    other = logits + lean * torch.randn(points, m, generator=generator, dtype=torch.float64)
    both = torch.cat([logits, other])
    table = joint_table(both, torch.arange(2).repeat_interleave(points), 2) / points
    return both.view(2, points, m), table


def resampled_tables(likelihoods, sizes, *, drawn, seed):
    """A table of held-out rows for each of the worlds: expected counts, or one draw a row."""

    generator = torch.Generator().manual_seed(seed)
    tables = []
    for likelihood, size in zip(likelihoods, sizes, strict=True):
        points, c = likelihood.shape
        chosen = torch.randint(points, (WORLDS, size), generator=generator)
        if drawn:
            codes = torch.multinomial(likelihood, size * WORLDS, True, generator=generator)
            rows = torch.arange(size * WORLDS).view(WORLDS, size)
            numbers = codes[chosen, rows]
            tables.append(torch.stack([torch.bincount(row, minlength=c) for row in numbers]))
        else:
            counts = torch.stack([torch.bincount(row, minlength=points) for row in chosen])
            tables.append(counts.double() @ likelihood)
    return torch.stack(tables, 1).double()


def violations(tables, truth, bound):
    return sum(bound(table) < truth for table in tables) / WORLDS


@pytest.fixture(scope="module", params=[0.0, 0.4, 3.0], ids=["fair", "leaning", "leaky"])
def world(request):
    logits, table = population(request.param)
    truth = (table[0] - table[1]).abs().sum().item() / 2
    likelihoods = [joint_table(rows, torch.arange(64), 64) for rows in logits]
    return likelihoods, truth


@pytest.mark.parametrize("drawn", [False, True], ids=["soft", "hard"])
@pytest.mark.parametrize("sizes", [(60, 300), (200, 200)])
def test_a_certificate_is_wrong_at_most_a_share_delta_of_the_time(world, drawn, sizes):
    likelihoods, truth = world
    tables = resampled_tables(likelihoods, sizes, drawn=drawn, seed=1)

    assert violations(tables, truth, lambda t: certify_gap(t, delta=DELTA).gap) <= DELTA


def test_a_broken_certificate_is_caught():
    """Slack halved twice over, and a plug-in that is too low: the same count must object."""

    logits, table = population(3.0)
    truth = (table[0] - table[1]).abs().sum().item() / 2
    likelihoods = [joint_table(rows, torch.arange(64), 64) for rows in logits]

    def broken(table):
        return 0.8 * certify_gap(table, delta=DELTA).estimate + slack([1000, 1000], DELTA) / 4

    tables = resampled_tables(likelihoods, (1000, 1000), drawn=False, seed=1)

    assert violations(tables, truth, broken) > DELTA


def test_what_is_certainly_leaked_is_leaked(world):
    likelihoods, truth = world
    fixed = resampled_tables(likelihoods, (200, 200), drawn=True, seed=1)
    scored = resampled_tables(likelihoods, (200, 200), drawn=True, seed=2)
    above = [certain_gap(a, b, delta=DELTA) > truth for a, b in zip(fixed, scored, strict=True)]

    assert sum(above) / WORLDS <= DELTA


def test_a_sequence_certifies_a_bad_code_at_most_a_share_delta_of_the_time():
    # Twenty codes at once, each just above the wish: without an order one in a few would pass.
    logits, table = population(0.4)
    truth = (table[0] - table[1]).abs().sum().item() / 2
    likelihoods = [joint_table(rows, torch.arange(64), 64) for rows in logits]
    per_world = torch.stack(
        [
            resampled_tables(likelihoods, (100, 100), drawn=True, seed=seed)[:200]
            for seed in range(20)
        ],
        1,
    )
    wish = truth - 1e-9
    wrong = sum(bool(certify_sequence(list(ts), wish, delta=DELTA)) for ts in per_world) / 200

    assert wrong <= DELTA


def test_the_sequence_stops_at_the_first_that_fails():
    fair, leaky = torch.full((2, 2), 500.0), torch.tensor([[900.0, 100.0], [100.0, 900.0]])
    passed = certify_sequence([fair, fair, leaky, fair], 0.2, delta=0.05)

    assert [certificate.gap for certificate in passed] == [0.2, 0.2]
    assert certify_sequence([leaky, fair], 0.2) == []


def test_the_bound_is_measured_gap_plus_slack():
    table = torch.tensor([[30.0, 10.0], [30.0, 30.0]])
    certificate = certify_gap(table, delta=0.05)

    assert certificate.estimate == pytest.approx(0.25)
    assert certificate.sizes == (40, 60)
    expected = 0.25 + math.sqrt(0.5 * math.log(20) * (1 / 40 + 1 / 60))
    assert certificate.gap == pytest.approx(expected)
    assert "≤ 0.4998 with probability ≥ 0.95 (40 + 60 held-out rows" in str(certificate)


def test_more_groups_share_delta_among_their_pairs():
    two = certify_gap(torch.full((2, 4), 100.0), delta=0.05).gap
    three = certify_gap(torch.full((3, 4), 100.0), delta=0.05).gap

    assert three == pytest.approx(slack([400, 400], 0.05 / 3))
    assert three > two


def test_the_least_gap_is_that_of_the_two_smallest_groups():
    assert least_gap([100, 50, 900], 0.05) == pytest.approx(slack([50, 100], 0.05 / 3))


def test_a_bound_is_never_above_one():
    assert certify_gap(torch.eye(2)).gap == 1.0


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, 5.0])
def test_a_delta_that_is_no_probability_is_refused(delta):
    with pytest.raises(ValueError, match=r"`delta` expects a probability between 0 and 1"):
        certify_gap(torch.ones(2, 2), delta=delta)


@pytest.mark.parametrize("table", [torch.ones(1, 4), torch.tensor([[1.0, 1.0], [0.0, 0.0]])])
def test_a_group_without_rows_is_refused(table):
    with pytest.raises(ValueError, match=r"held-out rows of each of at least two, got groups of"):
        certify_gap(table)


def test_the_theorem_stands_in_the_docstring():
    for word in ("Theorem", "Proof", "Jensen", "McDiarmid", "does not say"):
        assert word in certificates.__doc__
