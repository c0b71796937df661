"""Counts of codes of which some rows stay blank, and what is read from them and certified."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from bitveil.audits.published import PublishedCodes
from bitveil.certificates import certify
from bitveil.coder import draw_names, shown_rows
from bitveil.codes import code_likelihood
from bitveil.frozen import freeze
from worlds import audit_named, random_rows

SHARE = 0.3


def drawn_with(key, theta, names, share):
    """What is published of rows under a key: bits, and which rows are blank."""

    shown = shown_rows(names, key, share)[:, None]

    return np.hstack([freeze(theta, names, key) * shown, ~shown]).astype(np.uint8)


# Counts


def test_expected_counts_follow_the_formula():
    logits, groups = random_rows(50, 3, 3)
    published = PublishedCodes.of_named(logits, range(50), share=SHARE)
    table = published.tables(groups, 3).groups.view(3, 8, 2)
    each = torch.nn.functional.one_hot(groups).double().T
    whole, sizes = each @ code_likelihood(logits), each.sum(1)

    torch.testing.assert_close(table[:, :, 0], SHARE * whole)
    torch.testing.assert_close(table[:, 0, 1], (1 - SHARE) * sizes)
    assert not table[:, 1:, 1].any()
    for parts in ([0], [0, 2], [3], [1, 3], [0, 1, 2]):
        cells = published.tables(groups, 3, parts=parts).groups
        others = [1 + j for j in range(4) if j not in parts]
        expected = table.reshape(3, 2, 2, 2, 2).sum(others).flatten(1)
        torch.testing.assert_close(cells, expected)
    torch.testing.assert_close(
        published.tables(groups, 3, rows=torch.arange(20)).groups.sum(1),
        torch.bincount(groups[:20], minlength=3).double(),
    )


def test_expected_counts_are_the_mean_over_keys():
    logits, groups = random_rows(40, 2, 2)
    theta, names = expit(logits.numpy()), draw_names(np.zeros((40, 1)), range(40))
    expected = PublishedCodes.of_named(logits, range(40), share=SHARE).tables(groups, 2).groups
    total = np.zeros((2, 8))
    for number in range(500):
        bits = drawn_with(bytes([number % 256, number // 256]) * 8, theta, names, SHARE)
        np.add.at(total, (groups.numpy(), bits @ [4, 2, 1]), 1)
    noise = 4.5 * np.sqrt(expected.numpy() / 500) + 1e-9

    assert (np.abs(total / 500 - expected.numpy()) <= noise).all()


def test_readings_of_diluted_codes_are_the_share_of_those_of_the_codes():
    logits, groups = random_rows(60, 4, 3)
    whole, some = (
        audit_named(logits, groups.numpy(), share=share, delta=0.1) for share in (1.0, SHARE)
    )
    for name in (
        "information_bits",
        "information_left_out_bits",
        "neuron_information_bits",
        "total_variation",
        "total_variation_left_out",
    ):
        assert getattr(some, name) == pytest.approx(SHARE * getattr(whole, name)), name
    assert some.balanced_attack_accuracy == pytest.approx(
        SHARE * whole.balanced_attack_accuracy + (1 - SHARE) / 3
    )
    assert (some.n_bits, whole.n_bits) == (4, 4)
    for mine, yours in zip(some.meaning.parts, whole.meaning.parts, strict=False):
        assert mine.information == pytest.approx(SHARE * yours.information)
        assert mine.given_others == pytest.approx(SHARE * yours.given_others)
        assert mine.ones == pytest.approx([SHARE * ones for ones in yours.ones])
        assert mine.sure == yours.sure
    blank = some.meaning.parts[4]
    assert (blank.name, blank.sure, blank.ones) == ("blank", 0, pytest.approx([1 - SHARE] * 3))
    assert blank.information == pytest.approx(0, abs=1e-9)
    assert {cell.code for cell in some.meaning.cells} == {
        *(cell.code for cell in whole.meaning.cells if cell.rows >= 0.5 / SHARE),
        "blank",
    }


def test_codes_too_wide_to_list_are_counted_as_drawn():
    logits, groups = random_rows(80, 21, 2)
    found = PublishedCodes.of_named(logits, range(80), share=0.5)

    assert (found.draws, found.coin) == ("hard", 1.0)
    assert found.tables(groups, 2).groups.sum() == 80
    assert found.undiluted is found


# Certificates


def test_certificates_of_named_rows_are_those_of_the_codes_at_the_share():
    logits, groups = random_rows(2_000, 3, 2)
    y = (logits[:, 0] > 0).numpy()
    whole, some = (audit_named(logits, groups.numpy(), y, share=share) for share in (1.0, SHARE))

    assert len(whole.intervals) == len(some.intervals) == 4
    for mine, yours in zip(some.intervals, whole.intervals, strict=True):
        chance = 0.5 if mine.certificate.quantity.unit == "accuracy" else 0.0
        for least, most in (
            (mine.least, yours.least),
            (mine.certificate.bound, yours.certificate.bound),
            (mine.certificate.estimate, yours.certificate.estimate),
        ):
            assert least == pytest.approx(SHARE * most + (1 - SHARE) * chance)
        assert (mine.certificate.share, yours.certificate.share) == (SHARE, 1.0)
    published = PublishedCodes.of_named(logits, range(2_000), share=SHARE)
    loose = certify(published.tables(groups, 2))
    assert some.certificate.estimate == pytest.approx(loose.estimate)
    assert some.certificate.bound < loose.bound - 0.5 * (loose.bound - loose.estimate)
