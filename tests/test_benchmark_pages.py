"""The pages of the benchmark, from records whose numbers can be computed by hand."""

import re

import numpy as np
import pytest

from benchmark_records import against, record
from bitveil.benchmark.document import Figure, PageTable, markdown
from bitveil.benchmark.fronts import done
from bitveil.benchmark.methods import METHODS
from bitveil.benchmark.names import label
from bitveil.benchmark.overview import draw_overview
from bitveil.benchmark.plots import draw_fronts
from bitveil.benchmark.report import pages, write
from bitveil.certificates.planning import least_gap

OURS = METHODS["bitveil"].title


def said(records):
    return "".join(markdown(page.title, page.blocks) for page in pages(records))


def losses(records):
    """The table of what others do better, on the last page."""

    text = markdown("T", pages(records)[-1].blocks)
    return [line for line in text.splitlines() if line.startswith("| toy")]


def test_the_report_shows_where_bitveil_loses():
    """Bounds of 0.08, so that at 0.05 five rows in eight have a code."""

    shown = losses(against(accuracy=0.8, ours=0.7))

    assert any(
        f"certified gap 0.10 | {OURS} 70.00 ± 0.00 | **FCRL 80.00 ± 0.00** |" in line
        for line in shown
    )
    assert any(f"certified gap 0.05 | {OURS} 62.50" in line for line in shown)
    assert any("gap of the worst attacker 0.05" in line for line in shown)
    assert len(shown) == 3 * 6
    assert not losses(against(accuracy=0.6, ours=0.7))


def test_methods_that_do_not_compete_are_never_ahead():
    for method, mark in (("reduction", "†"), ("correlation", "‡")):
        records = against(method, accuracy=0.8, ours=0.7)
        text = said(records)

        assert not losses(records)
        assert re.search(rf"\| {re.escape(label(method))} \| [^|]+ \| 68.8 ± 0.0 \|", text)
        assert f"{mark} does not compete, because" in text
        assert "In **0 of 18** a competing method" in text


def test_the_report_shows_the_trees_with_their_own_bound_too():
    text = said(against("tree", 0.6, 0.7, bound_fare=0.20))

    line = "| FARE-style tree; FARE's own bound | 51.5 ± 0.0 | 52.5 ± 0.0 |"
    assert line in text  # 0.1 · 0.03 / 0.20
    assert "| FARE-style tree | 53.8 ± 0.0 | 56.2 ± 0.0 | 60.0 ± 0.0 |" in text


def test_the_highest_that_competes_is_bold():
    records = against(accuracy=0.8, ours=0.7) + [
        record(0.85, 0.05, method="reduction", seed=s, bound=False) for s in (0, 1)
    ]
    text = said(records)

    assert "| **68.8 ± 0.0** | **80.0 ± 0.0** |" in text
    assert f"| {label('reduction')} | 71.0 ± 0.0 | 85.0 ± 0.0 |" in text


def test_splits_that_a_method_lacks_are_counted():
    records = [record(0.7, 0.05), *against()]
    records = [r for r in records if (r["method"], r["seed"]) != ("bitveil", 1)]

    assert f"| {OURS} (1 of 2 splits) | 57.5 | 62.5 | 70.0 |" in said(records)


def test_the_report_says_what_these_rows_certify_without_leakage():
    records = [r | {"rows_certify_by_group": [400, 300]} for r in against()]

    assert f"reveals nothing has the bound {least_gap([400, 300]):.3f}" in said(records)


def test_the_rule_stands_beside_bitveil_at_equal_variation():
    """At 0.10 the rule has a code for half of the rows, and bitveil for all."""

    rule = [record(0.9, 0.2, method="rule", seed=s, test_task_bits=0.5) for s in (0, 1)]
    mine = [record(0.8, 0.1, seed=s) for s in (0, 1)]
    text = said([*rule, *mine])

    assert "## toy: against the closed-form rule" in text
    lines = [line for line in text.splitlines() if line.startswith(f"| {OURS} |")]
    accuracy, bits = ([line for line in lines if sign in line] for sign in ("(+", " ×)"))
    assert "| 80.0 ± 0.0 (+10.0) |" in accuracy[0]  # 0.5 + 0.4 / 2 at 0.10
    assert "| 0.300 ± 0.000 (1.20 ×) |" in bits[0]
    assert "closed-form rule" not in said(mine)


def test_the_scores_beside_accuracy_count_blanks():
    """Four rows in five have a code at a bound of 0.125. All scores by hand."""

    text = said([record(0.8, 0.06, bound_alone=0.125)])
    bits, loss = 0.8 * 0.3, 0.8 * 0.2 + 0.2 * np.log(2)

    scores = f"74.0 | 80.0 | {bits:.3f} | {loss:.3f} | 0.800 | 0.048 | 0.530"
    assert f"| {OURS} | {scores} |" in text


def test_a_method_with_its_own_goal_is_explained():
    fit = record(0.7, 0.05, method="bitveil-goal", own_goal=0.1, share=0.9, bound_alone=0.09)

    assert "we take the fit with the largest goal" in said([*against(), fit])
    assert "we take the fit with the largest goal" not in said(against())


def test_failures_and_what_is_missing_are_told():
    failed = {
        **{k: v for k, v in record(0.5, 0.1, method="cvib").items() if "_" not in k},
        **{"status": "failed", "error": "ValueError('a | b')", "seconds_scoring": 0.0},
    }
    text = said([*against(), failed])

    assert r"| toy | ICVAE / CVIB | failed | `ValueError('a \| b')` | 1 |" in text
    assert "toy: no split 1 of ICVAE / CVIB" in text
    assert "toy, ICVAE / CVIB, split 0: 1 of 2 configurations" in text
    assert "7 configurations: 6 done, 1 failed. Splits: 0, 1. Date: 2026-01-01." in text


def test_a_report_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="none of them finished"):
        write([{"status": "failed"}], tmp_path)


def test_the_same_records_give_the_same_bytes(tmp_path):
    pytest.importorskip("matplotlib")
    records = [r for r in against("paper") if r["seed"] == 0]
    for name in ("one", "two"):
        write(records, tmp_path / name)
    one, two = (
        {path.name: path.read_bytes() for path in sorted((tmp_path / name).rglob("*.*"))}
        for name in ("one", "two")
    )

    assert one == two
    assert sorted(one) == [
        *("benchmark.md", "losses.md", "overview.svg", "protocol.md", "report.html"),
        *("toy-attack.svg", "toy-certified.svg", "toy-classifiers.svg", "toy.md"),
    ]
    page = one["report.html"].decode()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert page.count("<img ") == 4


def test_every_data_set_has_a_page_and_the_losses_come_last():
    found = pages([*against(), *(r | {"dataset": "other"} for r in against())])

    assert [page.name for page in found] == ["benchmark", "other", "toy", "protocol", "losses"]
    for page in found[1:3]:
        text = markdown(page.title, page.blocks)
        (another,) = {"toy", "other"} - {page.title}
        assert f"## {page.title}: at a certified gap" in text
        assert f"{another}: " not in text


def tables(page):
    return [block for block in page.blocks if isinstance(block, PageTable)]


def test_the_overview_has_one_figure_and_the_best_methods_first():
    overview = pages(against("paper", accuracy=0.8, ours=0.7))[0]
    low, high, ahead = tables(overview)

    assert sum(isinstance(block, Figure) for block in overview.blocks) == 1
    assert (low.head, high.head) == (("certified gap 0.05", "toy"), ("certified gap 0.10", "toy"))
    assert low.rows[:2] == ((METHODS["paper"].title, "**68.8**"), (OURS, "62.5"))
    assert high.rows == (
        (METHODS["paper"].title, "**80.0**"),
        (OURS, "70.0"),
        ("majority class", "50.0"),
        ("no protection", "90.0"),
    )
    assert "3 methods compete: 2 with finite codes" in said(against("paper"))
    (row,) = ahead.rows
    assert row[:2] == ("toy", "6 of 6, 6 clearly: `paper`")


def test_an_overview_says_which_methods_did_not_run():
    other = [r | {"dataset": "other"} for r in against() if r["method"] != "fcrl"]
    low = tables(pages([*against("paper"), *other])[0])[0]

    assert low.head[1:] == ("other", "toy")
    assert {row[0]: row[1:] for row in low.rows}[METHODS["paper"].title] == ("–", "**68.8**")


def test_an_overview_of_codes_that_leak_everything():
    records = [record(0.7, 0.97), record(0.9, 0.5, method="unprotected", bound=False)]
    _, high, _ = tables(pages(records)[0])

    assert high.rows[0] == (OURS, "**52.0**")


def test_an_overview_without_bounds_or_protection_still_says_what_it_has():
    overview = pages([record(0.7, 0.1, method="fcrl", bound=False)])[0]
    text = markdown(overview.title, overview.blocks)

    assert "No competing method in these records has codes that can be certified." in text
    assert "These records contain no method of bitveil." in text


def test_the_overview_draws_a_panel_for_each_data_set():
    pytest.importorskip("matplotlib")
    other = [r | {"dataset": "other"} for r in against("paper")]
    drawing = draw_overview(done([*against("paper"), *other]))
    panels = [axes for axes in drawing.axes if axes.get_title(loc="left")]

    assert [axes.get_title(loc="left") for axes in panels] == ["other", "toy"]
    for axes in panels:
        heights = [line.get_ydata() for line in axes.lines]
        assert any(np.allclose(y, 0.5) for y in heights)  # the majority class
        assert any(np.allclose(y, 0.9) for y in heights)  # no protection
        assert any(np.max(y) == pytest.approx(0.8) for y in heights)  # the paper


def test_fronts_are_drawn_with_bands_from_the_lowest_split_to_the_highest():
    pytest.importorskip("matplotlib")
    records = [record(accuracy, 0.0, seed=s) for s, accuracy in enumerate((0.6, 0.9))]
    (axes,) = draw_fronts(done(records), "toy", "gap").axes
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]

    assert heights[heights > 0.5].min() == pytest.approx(0.6)
    assert heights.max() == pytest.approx(0.9)
    assert any(np.max(line.get_ydata()) == pytest.approx(0.75) for line in axes.lines)


def test_text_of_records_cannot_become_markup():
    text = markdown("T", [PageTable(("a|b",), (("x\ny",),))])

    assert r"| a\|b |" in text
    assert "| x y |" in text
