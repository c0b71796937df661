"""The page: what it says."""

import datetime
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from audit_pages import Parsed, full_audit, odds_audit, rows_of
from bitveil.audits import audit, html_report
from bitveil.audits.families import FAMILIES
from bitveil.audits.page.figures import figures
from bitveil.audits.page.marks import RowPlot, axis_of
from bitveil.audits.page.view import View
from bitveil.audits.patterns import Pattern
from bitveil.audits.prices import Answers, Price
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
        "No rule that sees only these codes treats men and women more than 44.1 percentage points "
        "differently (95 % certain). Some rule differs by at least 34."
    ) in words
    assert "What these codes reveal about sex" in words
    assert "for each of 2,000 rows a code of 1 bit" in words
    assert "in at most 5 of 100 such audits" in words


def test_the_page_says_where_nothing_is_certified_or_certain():
    blind = audit_named(np.zeros((2_000, 1)), np.arange(2_000) % 3)
    few = audit_named(*rows_of(parity_trap(), 2), delta=0.01)

    assert (
        "treats any two groups more than 5.1 percentage points differently (95 % certain). "
        "Whether there is any difference cannot be told from these rows."
    ) in Parsed(html_report(blind)).words()
    assert "no gap" not in Parsed(html_report(blind)).words()
    assert (
        "These rows certify no limit. Some rule that sees only these codes may treat the groups 0 "
        "and 1 up to 100 percentage points differently. Whether there is any difference cannot be "
        "told from these rows."
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
        "Among those with the same hired, no rule that sees only these codes treats f and m more "
        f"than {at_most(odds.certificate.bound)} percentage points differently"
    ) in words
    assert f"Some rule differs by at least {at_least(odds.least)}." in words
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
        "Among those with the positive hired, no rule that sees only these codes treats f and m "
        "more than 32.1 percentage points differently"
    ) in Parsed(html_report(leads)).words()
    assert "among rows whose hired is the positive one ≤ 0.3210" in str(leads)
    object.__setattr__(leads, "positive", "yes")
    assert "Among those whose hired is yes, no rule" in Parsed(html_report(leads)).words()
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
    assert "something is wrong: rows helped to make the codes, or rows are copies" in words
    assert "No rule that sees only these codes" not in words
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
    rows = rare[:, 7].sum()
    assert f"{rows} rows ({share}) have bit 7 = 1. Of these, 100.0 % are 1" in told
    assert "bit 7 = 1" in str(by_rare)


def test_every_page_says_what_it_does_not_say_and_how_to_repeat_the_audit(content):
    words = Parsed(content).words()

    for part in (
        "Verdict",
        "What this does not say",
        "another population",
        "other columns of the row",
        "How to repeat this audit",
        "seed",
        "SHA-256",
        "scikit-learn",
        "bitveil.audit/1",
    ):
        assert part in words


def test_only_a_page_of_an_encoder_speaks_of_its_fit_and_of_draws(pages):
    own, others = (Parsed(pages[name]).words() for name in ("odds", "groups"))

    for words in ("rows that were used in fitting", "two draws for one row", "none of them used"):
        assert words in own
        assert words not in others
    assert "rows that helped to make the codes" in others
    for word in ("fitted", "fitting", "drawn", "draw", "held-out"):
        assert word not in others.split()


# The verdict


def test_the_verdict_is_about_the_goal_of_the_fit_and_comes_first():
    found = odds_audit()
    words = Parsed(html_report(found, date=datetime.date(2026, 11, 30))).words()
    bound = at_most(found.certificate.bound)

    assert found.check().kept
    assert (
        f"✓ Kept These rows certify at most {bound} percentage points. The limit is 70." in words
    )
    assert "Goal of the fit At most 70 percentage points" in words
    assert "(equalised odds)" in words
    assert "Each bound is right with probability 95 % (δ = 0.05)." in words
    assert "30 November 2026" in words
    assert words.index("✓ Kept") < words.index("Among those with the same income, no rule")


@pytest.mark.parametrize(
    ("limit", "says"),
    [
        (
            0.001,
            "✕ Broken Some rule reaches at least {least} percentage points. The limit is 0.1.",
        ),
        (
            0.15,
            "? Not shown These rows cannot tell: they show at least {least} and at most {most} "
            "percentage points. The limit is 15. More rows may decide.",
        ),
        (0.9, "✓ Kept These rows certify at most {most} percentage points. The limit is 90."),
    ],
)
def test_the_verdict_is_about_a_given_limit(limit, says):
    found = leaning(400)
    most, least = at_most(found.certificate.bound), at_least(found.certain_gap)

    assert 0.001 < found.certain_gap < 0.15 < found.certificate.bound < 0.9
    words = Parsed(html_report(found, limit=limit)).words()
    assert says.format(most=most, least=least) in words


def test_limits_of_bits_and_of_guesses_have_their_units():
    found = leaning()
    bits = Parsed(html_report(found, limit=0.5, quantity="information")).words()
    guesses = Parsed(html_report(found, limit=0.51, quantity="balanced_attack_accuracy")).words()

    assert "The limit is 0.5." in bits
    assert "At most 0.5 bits: information about sex" in bits
    assert "✕ Broken Some rule reaches at least" in guesses
    assert "At most 51 %: how often an attacker guesses the group" in guesses
    with pytest.raises(ValueError, match="limit"):
        html_report(found, limit=1.5)


def test_without_a_promise_nothing_is_kept_or_broken():
    words = Parsed(html_report(leaning())).words()

    assert "No limit set Nothing was promised, so nothing is kept or broken." in words
    assert "Kept" not in words
    assert "Broken" not in words


def test_a_refuted_certificate_keeps_nothing():
    found = leaning(p=0.9)
    checks = tuple(replace(check, bound=0.05, holds=False) for check in found.checks)
    words = Parsed(html_report(replace(found, checks=checks, goal=0.95))).words()

    assert "? Not shown An attacker refutes the certificate" in words
    assert "✓" not in words


# Intervals


def test_every_attacker_and_every_user_has_an_interval_around_its_number(adult):
    view = View("x", "", adult)
    drawn = figures(view)

    for name in ("attackers", "use", "differences"):
        plot = drawn[name]
        for row in plot.rows[name == "attackers" :]:
            whiskers = [mark for mark in row.marks if mark.kind == "whisker"]
            dots = [mark for mark in row.marks if mark.end is None]
            assert len(whiskers) == len(dots) > 0, row.label
            for whisker, dot in zip(whiskers, dots, strict=True):
                assert plot.axis.low <= whisker.value <= whisker.end <= plot.axis.high
                assert name == "differences" or whisker.value <= dot.value <= whisker.end
    labels = ", ".join(row.label for row in drawn["attackers"].rows)
    for seen in (*FAMILIES, "1 draw", "50 draws", "logits"):
        assert seen in labels


def test_rows_with_the_same_numbers_are_one(adult):
    for plot in figures(View("x", "", adult)).values():
        if isinstance(plot, RowPlot) and not plot.rows[0].code:
            shown = [(row.text, tuple(m.value for m in row.marks)) for row in plot.rows]
            assert len(shown) == len(set(shown)), plot.key


def test_nothing_is_minus_zero(content):
    assert not re.search(r"[-−]0(\.0+)?(?![\d.])", Parsed(content).words())


def test_a_pattern_of_few_rows_is_not_at_the_head_of_the_page():
    found = few_have_a_code()
    few = Pattern(("zone",), (7,), False, 12, 0.006, 0, 1.0, 0.5, 0.75, 0.05)
    many = replace(few, rows=40, values=(8,))
    alone = replace(found, meaning=replace(found.meaning, patterns=(few,)))
    both = replace(found, meaning=replace(found.meaning, patterns=(few, many)))

    assert "Who stands out most" not in Parsed(html_report(alone)).words()
    assert "zone = 7" in Parsed(html_report(alone)).words()  # but in the list
    assert (
        "Who stands out most: 40 rows (0.6 %) have zone = 8." in Parsed(html_report(both)).words()
    )


# Use


def test_the_price_stands_beside_the_codes():
    price = Price(
        "accuracy", Answers(0.87, 0.18), Answers(0.84, -0.0001), 0.76, "40 rows", "boosting"
    )
    found = replace(leaning(), price=price)
    words = Parsed(html_report(found)).words()

    assert "What protection costs, measured on 40 rows:" in words
    assert "all columns, no protection: boosting 87.0 % 18.0 points" in words
    assert "the published codes 84.0 % 0.0 points" in words
    assert "nothing: always the same answer 76.0 % 0.0 points" in words
    assert "of little use" not in words
    useless = replace(price, protected=Answers(0.76, 0.0))
    assert "of little use" in Parsed(html_report(replace(found, price=useless))).words()


def test_rates_are_named_by_the_values_of_the_target(pages):
    words = Parsed(pages["odds"]).words()

    assert "among those with income above 50K" in words
    assert "among those with income of at most 50K" in words
    assert "true positive rate" not in words


def test_the_page_says_where_it_comes_from(pages):
    page = html_report(
        leaning(), data="<i>|rows", command="bitveil audit 'a b'", date=datetime.date(2026, 1, 2)
    )
    words = Parsed(page).words()

    assert "Data <i>|rows" in words
    assert "Command bitveil audit 'a b'" in words
    assert "on 2 January 2026 from <i>|rows" in words
    assert str(datetime.date.today().year) in Parsed(html_report(leaning())).words()


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
        "among those whose income_above_50k is 1",
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
