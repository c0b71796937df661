"""Bins: numbers are cut at quantiles, equal numbers stay together, and names say where."""

import numpy as np
import pandas as pd
import pytest

from bitveil.columns.bins import bin_numbers, binned, quantile_edges


@pytest.mark.parametrize("method", ["linear", "higher"])
@pytest.mark.parametrize("bins", [2, 5, 9])
def test_bins_have_about_equally_many_values(bins, method):
    values = np.random.default_rng(0).normal(size=1000)
    edges = quantile_edges(values, bins, method=method)
    sizes = np.bincount(bin_numbers(values, edges), minlength=bins)

    assert list(edges) == sorted(set(edges))
    assert sizes == pytest.approx(1000 / bins, abs=1)


@pytest.mark.parametrize("method", ["linear", "higher"])
def test_no_bin_lies_below_the_least_value(method):
    rng = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9, 1.0):
        values = np.where(rng.random(200) < share, 0.0, rng.poisson(3.0, 200))
        edges = quantile_edges(values, 5, method=method)

        assert all(edge > values.min() for edge in edges)
        assert bin_numbers(values, edges).min() == 0


def test_edges_with_the_method_higher_are_values_themselves():
    values = np.random.default_rng(0).normal(size=77)

    assert set(quantile_edges(values, 5, method="higher")) <= set(values.tolist())


def test_a_value_at_an_edge_is_in_the_bin_above():
    assert bin_numbers(np.array([1.9, 2.0, 3.0, np.nan]), [2.0, 3.0]).tolist() == [0, 1, 2, -1]


@pytest.mark.parametrize("dtype", ["float64", "Float64", "float32", object])
def test_numbers_in_one_bin_have_one_name(dtype):
    column = pd.Series([0.5, 2.0, 2.5, None, 9.0], dtype=dtype)

    names = binned(column, [2.0, 4.0])
    assert names.dropna().tolist() == ["below 2", "2 to below 4", "2 to below 4", "from 4"]
    assert names.isna().tolist() == [False, False, False, True, False]
    assert set(binned(column.dropna(), [])) == {"all"}
