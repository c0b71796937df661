"""The page: what it says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from audit_pages import Parsed, full_audit, rows_of
from bitveil.audits import audit, html_report
from bitveil.audits.page.figures import figures
from bitveil.audits.page.marks import axis_of
from bitveil.audits.page.view import View
from bitveil.audits.patterns import Pattern
from bitveil.audits.rounding import at_least, at_most, bits_at_most
from bitveil.certificates import EQUAL_OPPORTUNITY_GAP, EQUALISED_ODDS_GAP
from worlds import audit_named, noisy_copy, parity_trap


@pytest.fixture(scope="module")
def adult():
    return full_audit()


# Numbers


def test_bounds_are_never_rounded_in_their_favour():
    for share in [*np.random.default_rng(0).random(2_000), 0, 0.1, 0.0949, 0.095, 1]:
        assert share - 1e-9 <= float(at_most(share)) / 100 < share + 0.001 + 1e-9
        assert share - 0.001 - 1e-9 < float(at_least(share)) / 100 <= share + 1e-9
        assert share - 1e-9 <= float(bits_at_most(share)) < share + 0.001 + 1e-9


@pytest.mark.parametrize("low", [None, 0.0])
@pytest.mark.parametrize(
    "values", [[0.0], [0.3], [1.0], [0.01, 0.99], [0.8649, 0.8651], [7, 9], [-0.2, 0.1]]
)
def test_an_axis_holds_its_numbers(values, low):
    axis = axis_of([value for value in values if low is None or value >= low], "bits", "", low=low)
    values = [max(value, axis.low) for value in values] if low == 0 else values

    assert axis.low <= min(values)
    assert max(values) <= axis.high
    assert axis.length > 0
    assert 2 <= len(axis.ticks) <= 8
    assert (axis.share(axis.low), axis.share(axis.high)) == (0, 1)
    assert (axis.at(axis.low - 9), axis.at(axis.high + 9)) == ("0%", "100%")


# What it says


def test_the_first_sentence_says_what_is_certified_and_what_is_certain():
    logits, s = rows_of(noisy_copy(0.3), 1_000)
    sex = pd.Series(np.where(s, "women", "men"), name="sex")
    found = audit_named(logits, sex)
    words = Parsed(html_report(found)).words()

    assert found.certificate.bound == pytest.approx(0.4400, abs=1e-4)
    assert found.certain_gap == pytest.approx(0.3408, abs=1e-4)
    assert (
        "Any classifier of these codes treats men and women differently by at most 44.1 "
        "percentage points, with probability 95 %. Some classifier reaches at least 34 points"
    ) in words
    assert "What these codes reveal about sex" in words
    assert "for each of 2,000 rows a code of 1 bit" in words
    assert "in at most 5 of 100 such audits" in words


def test_the_page_says_where_nothing_is_certified_or_certain():
    blind = audit_named(np.zeros((2_000, 1)), np.arange(2_000) % 3)
    few = audit_named(*rows_of(parity_trap(), 2), delta=0.01)

    assert (
        "treats any two of the 3 groups differently by at most 5.1 percentage points, with "
        "probability 95 %. These rows cannot show whether there is any gap at all."
    ) in Parsed(html_report(blind)).words()
    assert "no gap" not in Parsed(html_report(blind)).words()
    assert (
        "Nothing is certified. Some classifier of these codes may treat 0 and 1 differently by up "
        "to 100 percentage points. These rows cannot show whether there is any gap at all."
    ) in Parsed(html_report(few)).words()


def leaning(n=2_000, p=0.6):
    """An audit of a code that leans on the group, with a target."""

    rng = np.random.default_rng(0)
    s, y = rng.integers(0, 2, (2, n))
    sex = pd.Series(np.array(["f", "m"])[s], name="sex")
    hired = pd.Series(np.array(["no", "yes"])[y], name="hired")

    return audit(np.where(rng.random(n) < p, s, 1 - s), sex, hired)


def led_by(found, interval):
    """The same audit of an encoder that was fitted for another gap."""

    others = tuple(each for each in found.intervals if each is not interval)

    return replace(
        found,
        intervals=(interval, *others),
        certificate=interval.certificate,
        certain_gap=interval.least,
    )


def test_an_audit_leads_with_the_gap_that_the_encoder_was_fitted_for():
    found = leaning()
    parity, odds = found.intervals[0], found.intervals[3]
    leads = led_by(found, odds)
    words = Parsed(html_report(leads)).words()

    assert odds.certificate.quantity == EQUALISED_ODDS_GAP
    assert (
        "Among rows of the same hired, any classifier of these codes treats f and m differently "
        f"by at most {at_most(odds.certificate.bound)} percentage points"
    ) in words
    assert f"Some classifier reaches at least {at_least(odds.least)} points" in words
    assert words.index("equalised odds") < words.index("demographic parity")
    assert f"certified: at most {at_most(parity.certificate.bound)}" in words  # beside attackers
    first, second = [line for line in str(leads).splitlines() if line.startswith("certified")]
    assert f"rows of the same hired ≤ {odds.certificate.bound:.4f}" in first
    assert first.index("≤") > 0
    assert f"of the codes ≤ {parity.certificate.bound:.4f}" in second


def test_the_gap_of_equal_opportunity_is_among_the_rows_of_one_target():
    found = leaning()
    parity = found.intervals[0]
    one = replace(parity.certificate, quantity=EQUAL_OPPORTUNITY_GAP, bound=0.321)
    leads = led_by(found, replace(parity, certificate=one))
    leads = replace(leads, intervals=(*leads.intervals, parity))

    assert (
        "Among rows whose hired is the positive one, any classifier of these codes treats f and m "
        "differently by at most 32.1 percentage points"
    ) in Parsed(html_report(leads)).words()
    assert "among rows whose hired is the positive one ≤ 0.3210" in str(leads)
    object.__setattr__(leads, "positive", "yes")
    assert "Among rows whose hired is yes, any classifier" in Parsed(html_report(leads)).words()
    assert "among rows whose hired is yes ≤ 0.3210" in str(leads)


def test_a_refuted_bound_is_marked_everywhere():
    found = leaning(p=0.9)
    forged = replace(found.certificate, bound=0.05)
    checks = tuple(replace(check, bound=0.05, holds=False) for check in found.checks)
    parity, *others = found.intervals
    broken = replace(
        found,
        certificate=forged,
        intervals=(replace(parity, certificate=forged), *others),
        checks=checks,
    )
    worst = max(checks, key=lambda check: check.excess)
    content = html_report(broken)
    words = Parsed(content).words()

    assert worst.excess == pytest.approx(worst.measured - worst.noise - 0.05)
    assert "The certified bound is refuted. An attacker" in words
    assert f"treats the groups differently by at least {at_least(worst.least)} perc" in words
    assert "The certificate allows at most 5." in words
    assert "at most 7.5 of 100 audits" in words
    assert "rows were used in fitting, rows are copies of others, or these are not" in words
    assert "Any classifier of these codes" not in words
    for certified in ("to 5 points", "at most 5", "0.0500"):
        for after in words.split(certified)[1:]:
            assert after.startswith((" (does not hold)", ".")), after[:40]
    lines = str(broken).splitlines()
    assert lines[0].startswith("THE BOUND IS REFUTED")
    assert f"{worst.excess:.4f} too much" in lines[0]
    assert all("DOES NOT HOLD" in line for line in lines if line.startswith("certified"))
    assert "DOES NOT HOLD" not in str(found)
    assert "does not hold" not in html_report(found)


def few_have_a_code():
    """Two thousand rows, of which 4 have one code and 9 another, all of one group."""

    s, codes = np.arange(2_000) % 2, np.arange(2_000) // 2 % 2
    codes[0:8:2], codes[9:27:2] = 7, 8

    return audit(pd.Series(codes, name="zone"), pd.Series(s, name="sex"))


def test_codes_of_few_rows_are_not_listed_with_their_group():
    found = few_have_a_code()
    assert {cell.code: cell.rows for cell in found.meaning.cells}["7"] == 4
    view, asked = View("x", "", found), View("x", "", found, small_cells=True)
    figure, whole = figures(view)["codes"], figures(asked)["codes"]
    content, full = html_report(found), html_report(found, small_cells=True)

    assert [sorted(row.label for row in plot.rows) for plot in (figure, whole)] == [
        ["0", "1"],
        ["0", "1", "7", "8"],
    ]
    assert len(figure.table.rows) == 2
    assert "Left out: 2 of 4 codes, which have fewer than 10 rows each and 13 in all" in content
    assert "published codes could tell the group of those rows" in content
    assert 'data-code="7"' not in content
    assert 'data-code="7"' in full
    assert "Left out" not in full
    assert 'data-code="7"' in html_report({"": found}, small_cells=True)


def test_patterns_of_few_rows_are_not_listed():
    found = few_have_a_code()
    few = Pattern(("zone",), (7,), False, 9, 0.0045, 0, 1.0, 0.5, 0.75, 0.05)
    found = replace(found, meaning=replace(found.meaning, patterns=(few,)))
    words = Parsed(html_report(found)).words()

    assert "zone = 7" not in words
    assert "Left out: 1 of 1 patterns that stand out" in words
    assert "No rows stand out" not in words
    assert "zone = 7" in Parsed(html_report(found, small_cells=True)).words()
    assert "zone = 7" in str(found)  # the record keeps all


def test_bits_of_few_rows_and_pages_without_a_code_to_list():
    s, bits = np.arange(60) % 2, np.zeros((60, 2), int)
    bits[:8:2, 0], bits[:, 1] = 1, np.arange(60) // 2 % 2
    rare = audit(bits, s)
    names = audit(np.arange(60) // 8, s)

    assert "fewer than 10 rows have a 1, or a 0" in html_report(rare)
    assert "fewer than 10 rows have" not in html_report(rare, small_cells=True)
    words = Parsed(html_report(names)).words()
    assert "No code is listed. Left out: 8 of 8 codes" in words
    assert 'id="a0-codes"' not in html_report(names)


def test_planted_leaks_are_named():
    rng = np.random.default_rng(0)
    s, bits = rng.integers(0, 2, 8_000), rng.integers(0, 2, (8_000, 8))
    trap, rare = bits.copy(), bits.copy()
    trap[:, 5] = trap[:, 2] ^ s
    rare[:, 7] = np.where(rng.random(8_000) < 0.01, s, 0)
    by_trap, by_rare = audit(trap, s), audit(rare, s)
    told = Parsed(html_report(by_trap)).words()

    assert "bit 2, bit 5 together reveal 1.0000 of the 1.0000 bits" in told
    assert "bit 2 = 0 and bit 5 = 1" in told
    assert "bit 2 and bit 5 together reveal 1.0000 of 1.0000 bits" in str(by_trap)
    told = Parsed(html_report(by_rare)).words()
    share = f"{rare[:, 7].mean():.1%}".replace("%", " %")
    assert f"{rare[:, 7].sum()} rows ({share}) with bit 7 = 1, 100.0 % are 1" in told
    assert "bit 7 = 1" in str(by_rare)


def test_every_page_says_what_it_does_not_say_and_how_to_repeat_the_audit(content):
    words = Parsed(content).words()

    for part in (
        "What this does not say",
        "rows that were used in fitting",
        "another population",
        "two draws for one row",
        "other columns of the row",
        "How to repeat this audit",
        "Seed",
        "SHA-256",
        "scikit-learn",
        "bitveil.audit/1",
    ):
        assert part in words


def test_a_full_page_shows_all_that_was_found(adult, pages):
    words = Parsed(pages["adult"]).words()

    for part in (
        "None of",
        "boosting, 50 draws",
        "not covered",
        "search: ",
        "equalised odds",
        "Each sensitive column",
        "old alone",
        "How this code was chosen",
        "education_num",
        "Counted: expected counts, since every row has a name of its own",
        "true positive rate",
    ):
        assert part in words
    assert adult.made.checksum in words


def test_several_audits_are_shown_side_by_side(pages):
    words = Parsed(pages["several"]).words()

    assert "What 3 codes reveal about" in words
    for label in ("Adult", "a code of others", "<b>"):
        assert words.count(label) > 3
    with pytest.raises(ValueError, match="at least one audit"):
        html_report({})


def test_words_fit_what_is_audited():
    s = np.arange(60) % 3
    table = pd.DataFrame({"a": s > 0, "b": s > 1})
    view = View("x", "", audit(pd.Series(s % 2, name="zone").map(str), table))

    assert view.attribute == "a and b"
    assert view.code == "the value of zone (2 different ones)"
    assert view.groups == ["False, False", "True, False", "True, True"]
    assert View("x", "", audit(s, s)).attribute == "the sensitive attribute"


def test_a_page_needs_neither_target_nor_certificate_to_be_drawn():
    found = audit_named(*rows_of(noisy_copy(0.3), 50))
    bare = replace(
        found, path=(), notes=(), meaning=replace(found.meaning, revealing=None, patterns=())
    )

    assert "No rows stand out" in Parsed(html_report(bare)).words()
