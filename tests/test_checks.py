"""Checks: settings out of their range are refused with what was expected and what came."""

import numpy as np
import pytest

from bitveil.checks import check_choice, check_number, check_probability, check_whole


@pytest.mark.parametrize("value", [1, 7, np.int64(3)])
def test_whole_numbers_are_accepted(value):
    check_whole("n_bits", value, 1)


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", None, True, np.nan])
def test_other_values_are_not_whole_numbers(value):
    with pytest.raises(ValueError, match="`n_bits` expects a whole number from 1 on, got "):
        check_whole("n_bits", value, 1)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.1)])
def test_numbers_in_the_range_are_accepted(value):
    check_number("gamma", value, least=0, most=1)
    check_number("strength", value, least=0)
    check_number("learning_rate", value, above=0)


@pytest.mark.parametrize("value", [-0.1, np.nan, np.inf, -np.inf, "0.5", None, 0.5j])
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"least": 0}, "a number from 0 on"),
        ({"least": 0, "most": 1}, "a number from 0 to 1"),
        ({"above": 0}, "a number above 0"),
        ({"above": 0, "most": 1}, "a number above 0 and up to 1"),
        ({"above": 0, "unit": "a number of bits"}, "a number of bits above 0"),
    ],
)
def test_numbers_outside_the_range_are_refused(value, limits, words):
    with pytest.raises(ValueError, match=f"`x` expects {words}, got "):
        check_number("x", value, **limits)


def test_the_ends_of_a_range_belong_to_it_unless_they_are_excluded():
    check_number("gamma", 0, least=0, most=1)
    check_number("gamma", 1, least=0, most=1)
    with pytest.raises(ValueError, match="above 0"):
        check_number("max_gap", 0, above=0, most=1)


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.1, np.nan, "0.05", None])
def test_a_probability_lies_between_zero_and_one(value):
    check_probability("delta", 0.05)
    with pytest.raises(ValueError, match="`delta` expects a probability between 0 and 1, got "):
        check_probability("delta", value)


@pytest.mark.parametrize("value", ["flat", None, 1, ["uniform"], np.array(["uniform"])])
def test_only_known_texts_are_choices(value):
    check_choice("prior", "uniform", ("empirical", "uniform"))
    with pytest.raises(ValueError, match=r"`prior` expects one of \['empirical', 'uniform'\]"):
        check_choice("prior", value, ("empirical", "uniform"))
