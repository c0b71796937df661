"""The promises of `Dataset`, and how loaders and data sets of the benchmark are found."""

import dataclasses
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bitveil.datasets
from bitveil.datasets.catalogue import entries, loaders
from loaded_datasets import (
    Load,
    adult,
    every_bundled_dataset,
    toy,
)


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        toy().name = "Other"  # type: ignore[misc]


def test_repr_prints_no_rows() -> None:
    assert repr(toy()) == (
        "<Dataset Toy: 3 rows, 3 features, target hired, sensitive age_group, origin>"
    )


def test_equality_is_identity() -> None:
    data = toy()

    assert data == data
    assert data != toy()
    assert len({data, toy()}) == 2


def test_pickles() -> None:
    copy = pickle.loads(pickle.dumps(toy()))

    pd.testing.assert_frame_equal(copy.features, toy().features)


def test_unknown_name() -> None:
    with pytest.raises(ValueError, match="expects sensitive attributes of Adult") as raised:
        adult().without("sex", "gender")

    message = str(raised.value)
    assert "['sex', 'race', 'age_group']" in message
    assert "got ['gender']" in message
    assert "features.drop(columns=...)" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"target": pd.Series([0, 1], name="hired")},
        {"target": pd.Series([0, 1, 0], index=[1, 0, 2], name="hired")},
        {"sensitive": pd.DataFrame({"age_group": ["old"], "origin": ["a"]})},
        {"official_test": np.array([True, False])},
        {"fixed_test": np.array([True, False])},
        {"weights": pd.Series([1.0, 2.0])},
        {"persons": pd.Series([0, 0, 1], index=[2, 1, 0])},
    ],
)
def test_rows_that_do_not_line_up(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"all parts of Toy .* the same rows .* `reset_index"):
        toy(**changes)


@pytest.mark.parametrize(
    "stated_by",
    [
        {"age_group": ("age",)},
        {"age_group": ("age",), "origin": (), "sex": ()},
        {"age_group": ("birthday",), "origin": ()},
    ],
)
def test_stated_by_names_what_is_not_there(stated_by: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match=r"for each of \['age_group', 'origin'\].* empty tuple"):
        toy(stated_by=stated_by)


# What the catalogue finds


def test_every_loader_is_a_name_of_the_package() -> None:
    names = dir(bitveil.datasets)

    assert names == sorted({"Dataset", *loaders()})
    assert all(callable(getattr(bitveil.datasets, name)) for name in names)
    assert {"load_adult", "fetch_mnist", "make_parity_trap", "make_resonance_search"} <= set(names)


def test_a_name_that_is_no_loader_is_missing() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'load_nothing'"):
        _ = bitveil.datasets.load_nothing


def test_the_benchmark_finds_every_file_with_an_entry() -> None:
    assert {name: entry.sensitive for name, entry in entries().items()} == {
        "adult": "sex",
        "bank": "marital",
        "census": "sex",
        "communities": "black_share",
        "compas": "race",
        "credit": "sex",
        "german": "sex",
        "heritage": "age_group",
        "law": "race",
    }
    assert {name for name, entry in entries().items() if entry.files} == {
        "census",
        "compas",
        "heritage",
        "law",
    }


@every_bundled_dataset
def test_an_entry_names_a_sensitive_attribute_of_its_data_set(load: Load) -> None:
    data = load()
    (entry,) = [e for e in entries().values() if not e.files and e.load().name == data.name]

    assert entry.sensitive in data.sensitive


def test_a_new_file_is_found_without_an_entry_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new_world.py").write_text(
        "from bitveil.datasets.dataset import Entry\n"
        "__all__ = ['load_new_world']\n"
        "def load_new_world():\n"
        "    return 'loaded'\n"
        "NEW = Entry('new', load_new_world, 'group')\n"
    )
    monkeypatch.setattr(bitveil.datasets, "__path__", [*bitveil.datasets.__path__, str(tmp_path)])
    for found in (entries, loaders):
        found.cache_clear()
    try:
        assert bitveil.datasets.load_new_world() == "loaded"
        assert entries()["new"].sensitive == "group"
    finally:
        for found in (entries, loaders):
            found.cache_clear()
        sys.modules.pop("bitveil.datasets.new_world", None)
        vars(bitveil.datasets).pop("new_world", None)
