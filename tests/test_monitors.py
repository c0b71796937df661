"""Monitors: few false alarms over all periods, a drift seen in time, and no period twice."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binom

from bitveil.certificates import EQUALISED_ODDS_GAP, PARITY_GAP, lower_bound, slack
from bitveil.certificates.drifts import (
    certain_drift,
    drift_delta,
    periods_until_alarm,
    windows,
)
from bitveil.certificates.sequence import nth_delta
from bitveil.certificates.slacks import hoeffding_slack
from bitveil.group_tables import GroupTables
from bitveil.monitors import Monitor
from bitveil.tallies import Counted, CountedPart, Marks, Tally

PERIODS, BEFORE, ROWS, RUNS, DELTA = 24, 12, 2500, 500, 0.05
EVEN = np.full(4, 0.25)
LEANING = np.array([0.30, 0.20, 0.25, 0.25])  # a gap of 0.05
MOVED = np.array([0.35, 0.15, 0.25, 0.25])  # a gap of 0.10
ABOUT = ("independence", 0, ("f", "m"), (), ("sex",), None)
COUNTED = Counted("an encoder", 2, 1.0, "soft", *ABOUT)


def drawn(rng, f, m, n=ROWS, halves=2):
    """Counts of drawn codes of two groups in halves, with shape (halves, group, code)."""

    return np.stack([[rng.multinomial(n // halves, p) for p in (f, m)] for _ in range(halves)])


def tally(counts, mark, counted=COUNTED):
    first, second = (GroupTables.of(half.astype(float)) for half in counts)
    n = int(first.rows.sum() + second.rows.sum())

    return Tally(counted, first, second, parts=(CountedPart(f"file {mark}", n, mark),))


def histories(seed, runs=RUNS, drift_from=PERIODS):
    """Counts of many histories, with shape (runs, periods, halves, group, code)."""

    rng = np.random.default_rng(seed)
    n = ROWS // 2
    found = np.empty((runs, PERIODS, 2, 2, 4))
    for t in range(PERIODS):
        f = MOVED if t >= drift_from else LEANING
        found[:, t, :, 0] = rng.multinomial(n, f, (runs, 2))
        found[:, t, :, 1] = rng.multinomial(n, EVEN, (runs, 2))

    return found


def drifts(counts, j, w):
    """The measured drift in each history after period j, from w periods: written out by hand."""

    before = counts[:, : j - w].sum((1, 2))
    rates = before / before.sum(-1, keepdims=True)
    seen, now, past = counts[:, j - w, 0].copy(), 0.0, 0.0
    parts = [counts[:, j - w, 1], *(counts[:, i].sum(1) for i in range(j - w + 1, j))]
    n = sum(part[0, 0].sum() for part in parts)
    for part in parts:
        answers = (seen[:, :1] > seen[:, 1:]).astype(float)
        said = (answers * part).sum(-1) / n
        would = (answers * part.sum(-1, keepdims=True) * rates).sum(-1) / n
        now, past = now + said[:, 0] - said[:, 1], past + would[:, 0] - would[:, 1]
        seen = seen + part

    return now - abs(past), [*before[0].sum(-1), n, n]


def alarmed(counts, limit, scale=1.0, divided=True):
    """Whether each history has an alarm after each period."""

    found = np.zeros(counts.shape[:2], dtype=bool)
    for j in range(1, PERIODS + 1):
        halves = counts[:, j - 1]
        answers = halves[:, 0, 0] > halves[:, 0, 1]
        rates = (answers * (halves[:, 1, 0] - halves[:, 1, 1])).sum(-1) / (ROWS // 2)
        level = nth_delta(DELTA, j) / 2 if divided else DELTA / 2
        noise = slack([ROWS // 2] * 2, level)
        found[:, j - 1] = rates - scale * noise > limit
        for w in windows(j - 1):
            apart, sizes = drifts(counts, j, w)
            level = drift_delta(DELTA / 2, j) if divided else DELTA / 2
            found[:, j - 1] |= apart > scale * hoeffding_slack(sizes, level)

    return found


@pytest.fixture(scope="module")
def still():
    return histories(0)


@pytest.fixture(scope="module")
def moving():
    return histories(1, drift_from=BEFORE)


def test_without_drift_at_most_delta_of_the_histories_have_an_alarm(still):
    """The gap is exactly at the limit, where a false alarm is most likely."""

    wrong = alarmed(still, limit=0.05).any(1).sum()

    assert wrong <= binom.isf(1e-6, RUNS, DELTA)


@pytest.mark.parametrize("broken", [{"scale": 0.5}, {"divided": False}])
def test_a_monitor_with_half_of_the_slack_or_all_of_delta_each_time_is_caught(still, broken):
    assert alarmed(still, limit=0.05, **broken).any(1).sum() > binom.isf(1e-6, RUNS, DELTA)


def test_the_parts_of_delta_add_up_to_delta():
    drifts = [drift_delta(DELTA, j) * len(windows(j - 1)) for j in range(2, 20_000)]
    bounds = [nth_delta(DELTA, j) for j in range(1, 20_000)]

    assert 0.999 * DELTA < sum(drifts) < DELTA
    assert 0.999 * DELTA < sum(bounds) < DELTA


def test_a_drift_is_seen_within_the_periods_that_the_arithmetic_says(moving):
    n = periods_until_alarm(0.05, (ROWS, ROWS), before=BEFORE, codes=4, delta=DELTA / 2)
    alarms = alarmed(moving, limit=0.5)
    in_time = alarms[:, BEFORE : BEFORE + n].any(1).sum()

    assert n == 8
    assert not alarms[:, :BEFORE].any(1).sum() > binom.isf(1e-6, RUNS, DELTA)
    assert in_time >= binom.ppf(1e-6, RUNS, 0.95)
    assert alarms[:, BEFORE : BEFORE + 2].any(1).mean() < 0.95  # it is not seen at once


@pytest.mark.parametrize("codes", [4, 16])
def test_the_page_shows_what_the_arithmetic_says(codes):
    page = (Path(__file__).parents[1] / "docs" / "over_time.md").read_text()
    found = re.findall(r"^\| (\d+) \| (\d+) periods \| (\d+) periods \|$", page, re.MULTILINE)

    assert [int(row[0]) for row in found] == [3, 6, 12, 24]
    for before, *periods in found:
        n = periods_until_alarm(
            0.05, (ROWS, ROWS), before=int(before), codes=codes, delta=DELTA / 2
        )
        assert n == int(periods[codes == 16])


def test_a_drift_that_no_period_shows_has_no_number():
    assert periods_until_alarm(0.001, (9, 9), before=2, codes=4, most=20) is None


def test_a_monitor_finds_what_the_formulas_of_this_file_say(moving):
    counts = moving[:1]
    monitor = Monitor(limit=0.08, delta=DELTA)
    for t in range(PERIODS):
        monitor.add(f"month {t}", tally(counts[0, t], t))
    last = monitor.periods[-1]
    level = drift_delta(DELTA / 2, PERIODS)
    bounds = []
    for w in windows(PERIODS - 1):
        apart, sizes = drifts(counts, PERIODS, w)
        bounds.append((apart[0] - hoeffding_slack(sizes, level), f"month {PERIODS - w}"))
    halves = [GroupTables.of(half) for half in counts[0, -1]]
    least = lower_bound(*halves, delta=nth_delta(DELTA, PERIODS) / 2)

    assert [p.alarm for p in monitor.periods] == alarmed(counts, limit=0.08)[0].tolist()
    assert last.drift.least == pytest.approx(max(bounds)[0])
    assert last.drift.since == max(bounds)[1]
    assert last.drift.groups == ("f", "m")
    assert last.interval.least == pytest.approx(least)
    assert last.interval.certificate.delta == nth_delta(DELTA, PERIODS)


def test_upper_bounds_of_all_periods_hold_at_once():
    """In the worst world for a bound: the gap is one of two codes that are equally likely."""

    rng, runs, n = np.random.default_rng(2), 4000, 400
    truth, periods = 0.2, 8
    counts = rng.binomial(n, [0.6, 0.4], (runs, periods, 2))
    gaps = abs(counts[..., 0] - counts[..., 1]) / n
    levels = [nth_delta(0.2, j) for j in range(1, periods + 1)]
    noise = np.array([slack([n, n], level, draws="hard") for level in levels])
    undivided = slack([n, n], 0.2, draws="hard")

    assert (gaps + noise < truth).any(1).sum() <= binom.isf(1e-6, runs, 0.2)
    assert (gaps + undivided < truth).any(1).sum() > binom.isf(1e-6, runs, 0.2)


def test_the_gap_may_fall_without_an_alarm():
    rng = np.random.default_rng(3)
    monitor = Monitor()
    for t in range(8):
        monitor.add(str(t), tally(drawn(rng, EVEN if t > 3 else MOVED, EVEN, 20_000), t))

    assert not monitor.alarms


def test_a_large_drift_is_seen_at_once_and_says_since_when():
    rng = np.random.default_rng(4)
    monitor = Monitor()
    for t in range(6):
        f = np.array([0.6, 0.0, 0.2, 0.2]) if t == 5 else EVEN
        monitor.add(f"2026-{t:02}", tally(drawn(rng, f, EVEN), t))

    assert [period.name for period in monitor.alarms] == ["2026-05"]
    assert monitor.alarms[0].drift.since == "2026-05"
    assert "have moved apart since 2026-05" in monitor.alarms[0].reasons[0]


def test_pooled_bounds_are_those_of_all_rows_at_a_level_for_every_look():
    rng = np.random.default_rng(5)
    counts = [drawn(rng, LEANING, EVEN) for _ in range(3)]
    monitor = Monitor()
    for t, each in enumerate(counts):
        monitor.add(str(t), tally(each, t))
    pooled, whole = monitor.pooled(), tally(sum(counts), 9)

    assert pooled == whole.interval(PARITY_GAP, nth_delta(0.05, 3))
    assert pooled.certificate.bound < monitor.periods[-1].interval.certificate.bound


def test_a_drift_between_two_of_three_groups_is_found_among_the_right_target():
    rng = np.random.default_rng(6)

    def table(apart):
        p = np.full((2, 3, 2), 0.5)
        p[1, 2] = [0.5 + apart, 0.5 - apart]
        return GroupTables.of(rng.multinomial(4000, p.reshape(-1, 2)).reshape(p.shape) * 1.0)

    found = certain_drift(table(0), [table(0.1), table(0.1)], EQUALISED_ODDS_GAP)

    assert found.stratum == 1
    assert 2 in found.groups
    assert 0 < found.least < 0.1 < found.measured + 0.03


def test_a_drift_within_one_target_is_named_and_a_cell_without_rows_refused():
    about = ("separation", 0, ("f", "m"), ("no", "yes"), ("sex",), "hired")
    counted = Counted("an encoder", 1, 1.0, "soft", *about)
    fair = np.full((2, 2, 2), 5000.0)
    unfair = fair.copy()
    unfair[1, 0] = [8000, 2000]
    monitor = Monitor(limit=0.2)
    for t, each in enumerate((fair, unfair)):
        monitor.add(str(t), tally(np.stack([each, each]), t, counted))
    lacking = fair.copy()
    lacking[1, 1] = 0

    assert monitor.quantity == EQUALISED_ODDS_GAP
    assert monitor.periods[1].above
    assert monitor.periods[1].drift.among == "rows whose hired is yes"
    assert "among the rows whose hired is yes have moved apart" in monitor.periods[1].reasons[1]
    with pytest.raises(
        ValueError, match="no row of the group m among the rows whose hired is yes"
    ):
        monitor.add("2", tally(np.stack([lacking, lacking]), 2, counted))


def test_expected_counts_of_a_diluted_code_drift_by_their_share():
    rng = np.random.default_rng(7)
    counts = [drawn(rng, f, EVEN) for f in (LEANING, MOVED)]
    found = []
    for share in (1.0, 0.5):
        counted = Counted("an encoder", 2, share, "soft", *ABOUT)
        monitor = Monitor()
        for t, each in enumerate(counts):
            monitor.add(str(t), tally(each, t, counted))
        found.append(monitor.periods[-1].drift)

    assert found[1].measured == pytest.approx(found[0].measured / 2)
    assert found[1].least == pytest.approx(found[0].least / 2)


def test_codes_that_only_some_periods_have_are_lined_up():
    """Wide codes list what occurs: the columns of two periods stand for other codes."""

    def part(codes, counts, mark):
        tables = GroupTables(
            torch.zeros(0, 2, len(codes)).double(),
            torch.tensor(counts).double(),
            torch.tensor([[100, 100]]),
            torch.tensor(codes, dtype=torch.uint8)[:, None],
        )
        return Tally(COUNTED, tables, tables, parts=(CountedPart("file", 400, mark),))

    monitor = Monitor()
    monitor.add("a", part([3, 7], [[60, 40], [40, 60]], 1))
    monitor.add("b", part([7, 9], [[100, 0], [0, 100]], 2))

    assert monitor.periods[1].drift.measured == pytest.approx(1.0 - 0.2)


def test_a_period_of_twelve_rows_says_nothing_and_alarms_nobody():
    rng = np.random.default_rng(8)
    monitor = Monitor(limit=0.1)
    monitor.add("large", tally(drawn(rng, LEANING, EVEN), 0))
    tiny = np.array([[[3, 0, 0, 0], [0, 3, 0, 0]]] * 2)
    monitor.add("tiny", tally(tiny, 1))

    assert monitor.periods[1].interval.least == 0
    assert monitor.periods[1].interval.certificate.bound == 1
    assert not monitor.alarms


def test_a_period_of_one_row_a_group_is_kept_without_a_drift_of_its_own():
    monitor = Monitor()
    half, empty = np.array([[1, 0], [0, 1]]), np.zeros((2, 2))
    for t in range(2):
        monitor.add(str(t), tally(np.stack([half, empty]), t))

    assert monitor.periods[1].drift is None


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("first", {}, "There is a period 'first' already"),
        (" ", {}, "expects a name"),
        ("next", {"mark": 0}, "The same rows were counted twice"),
        ("next", {"counted": Counted("another", 2, 1.0, "soft", *ABOUT)}, "differ in `encoder`"),
        ("next", {"counts": np.array([[[5, 5], [0, 0]]] * 2)}, "no row of the group m"),
    ],
)
def test_what_is_no_new_period_is_refused_and_changes_nothing(name, change, said):
    counts = np.array([[[60, 40], [50, 50]]] * 2)
    monitor = Monitor()
    monitor.add("first", tally(counts, 0))
    with pytest.raises(ValueError, match=said):
        monitor.add(name, tally(**{"counts": counts, "mark": 1} | change))

    assert monitor.names == ["first"]
    assert monitor.pooled().certificate.sizes == (200, 200)


def test_rows_that_were_not_checked_are_refused():
    none = np.zeros(0, dtype=np.uint64)
    counts = tally(np.array([[[60, 40], [50, 50]]] * 2), 0)
    bare = Tally(counts.counted, counts.fixed, counts.scored, marks=Marks(none, none, none))
    with pytest.raises(ValueError, match="were not checked"):
        Monitor().add("first", bare)


@pytest.mark.parametrize("settings", [{"delta": 0.0}, {"delta": 1.0}, {"limit": -0.1}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Monitor(**settings)


def test_a_monitor_without_periods_has_no_bounds():
    with pytest.raises(ValueError, match="without periods"):
        Monitor().pooled()


# The folder


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    rng = np.random.default_rng(9)
    monitor = Monitor(limit=0.08, delta=0.1)
    for t in range(3):
        monitor.add(f"2026-{t}", tally(drawn(rng, LEANING, EVEN), t))
    monitor.save(tmp_path_factory.mktemp("monitors") / "monitor")

    return tmp_path_factory.getbasetemp(), monitor


@pytest.fixture
def kept(original, tmp_path):
    base, monitor = original
    shutil.copytree(next(base.glob("monitors*")) / "monitor", tmp_path / "monitor")

    return tmp_path / "monitor", monitor


def test_a_folder_keeps_order_bounds_and_alarms(kept):
    folder, monitor = kept

    assert Monitor.load(folder).periods == monitor.periods
    assert sorted(path.name for path in folder.iterdir()) == [
        "0001.counts",
        "0002.counts",
        "0003.counts",
        "monitor.json",
    ]


def test_a_period_is_written_once(kept):
    folder, _ = kept
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.counts")}
    monitor = Monitor.load(folder)
    monitor.add("early: 2025", tally(drawn(np.random.default_rng(1), LEANING, EVEN), 8))
    monitor.save(folder)

    assert Monitor.load(folder).names == [f"2026-{t}" for t in range(3)] + ["early: 2025"]
    assert before == {name: (folder / name).stat().st_mtime_ns for name in before}


def test_two_who_add_at_once_do_not_overwrite_each_other(kept):
    folder, _ = kept
    monitors = [Monitor.load(folder) for _ in range(2)]
    for mark, monitor in enumerate(monitors, 8):
        monitor.add(f"new {mark}", tally(drawn(np.random.default_rng(mark), EVEN, EVEN), mark))
    monitors[0].save(folder)
    with pytest.raises(ValueError, match="was changed since this one was read"):
        monitors[1].save(folder)

    assert Monitor.load(folder).names[-1] == "new 8"


def test_a_monitor_is_not_saved_over_another_or_into_other_files(kept, tmp_path):
    folder, _ = kept
    with pytest.raises(ValueError, match="holds another monitor"):
        Monitor(limit=0.2).save(folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear reader")
    with pytest.raises(FileExistsError, match="is no monitor"):
        Monitor().save(tmp_path / "full")


def test_a_folder_that_was_changed_is_refused(kept):
    folder, _ = kept
    content = (folder / "0002.counts").read_bytes()
    (folder / "0002.counts").write_bytes((folder / "0001.counts").read_bytes())
    with pytest.raises(ValueError, match=r"0002\.counts was changed"):
        Monitor.load(folder)
    (folder / "0002.counts").unlink()
    with pytest.raises(FileNotFoundError, match=r"0002\.counts is missing"):
        Monitor.load(folder)
    (folder / "0002.counts").write_bytes(content)

    index = json.loads((folder / "monitor.json").read_text())
    changes = (
        {"format": "other"},
        {"limit": "large"},
        {"delta": 3},
        {"periods": [{}]},
        {"quantity": {"quantity": "height"}},
        {"more": 1},
        {"periods": [index["periods"][0] | {"file": "../other"}]},
    )
    for change in changes:
        (folder / "monitor.json").write_text(json.dumps(index | change))
        with pytest.raises(ValueError, match=r"monitor\.json was changed, or is damaged"):
            Monitor.load(folder)
    (folder / "monitor.json").write_text("[")
    with pytest.raises(ValueError, match=r"monitor\.json was changed, or is damaged"):
        Monitor.load(folder)


def test_a_folder_without_a_monitor_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a monitor"):
        Monitor.load(tmp_path)
