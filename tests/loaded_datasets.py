"""The data sets as tests load them: each once, or a skip if a file is missing."""

from collections.abc import Callable
from functools import cache, partial

import pandas as pd
import pytest

from bitveil.datasets import (
    Dataset,
    census_income,
    compas,
    heritage_health,
    law_school,
    load_adult,
    load_bank_marketing,
    load_census_income,
    load_communities_crime,
    load_compas,
    load_credit_card,
    load_german_credit,
    load_heritage_health,
    load_law_school,
)
from bitveil.datasets.files import DataFile, stored

Load = Callable[[], Dataset]


def fetched(load: Load, *files: DataFile) -> Load:
    """A loader of files that do not come with bitveil: without them, what needs it is skipped."""

    @cache
    def load_or_skip() -> Dataset:
        absent = [file.name for file in files if stored(file) is None]
        if absent:
            pytest.skip(f"{', '.join(absent)}: not in BITVEIL_DATA or the cache folder")
        return load()

    return load_or_skip


adult, bank, german = cache(load_adult), cache(load_bank_marketing), cache(load_german_credit)
crime, credit = cache(load_communities_crime), cache(load_credit_card)
census = fetched(load_census_income, census_income.TRAIN, census_income.TEST)
recidivism = fetched(load_compas, compas.GENERAL)
everybody = fetched(partial(load_compas, propublica_filter=False), compas.GENERAL)
violence = fetched(partial(load_compas, violent=True), compas.VIOLENT)
all_violence = fetched(partial(load_compas, violent=True, propublica_filter=False), compas.VIOLENT)
law = fetched(load_law_school, law_school.LAW_FILE)
health = fetched(load_heritage_health, heritage_health.HERITAGE_FILE)
health_3 = fetched(partial(load_heritage_health, year=3), heritage_health.HERITAGE_FILE)
BUNDLED = {"adult": adult, "bank": bank, "german": german, "crime": crime, "credit": credit}
FETCHED = {"census": census, "compas": recidivism, "compas, all": everybody} | {
    "compas, violent": violence,
    "law": law,
    "health": health,
    "health, year 3": health_3,
}


def _each(loaders: dict[str, Load]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("load", loaders.values(), ids=loaders.keys())


every_dataset = _each(BUNDLED | FETCHED)
every_bundled_dataset = _each(BUNDLED)


def assert_split(
    data: Dataset,
    part: "pd.Series[bool]",
    rows: int,
    rate: float,
    women: int,
    rate_women: float,
    rate_men: float,
) -> None:
    """The sizes and the base rates of an official split, for all and by sex."""

    target, female = data.target[part], data.sensitive["sex"][part] == "Female"

    assert part.sum() == rows
    assert target.mean() == pytest.approx(rate, abs=5e-5)
    assert female.sum() == women
    assert target[female].mean() == pytest.approx(rate_women, abs=5e-5)
    assert target[~female].mean() == pytest.approx(rate_men, abs=5e-5)


def toy(**changes: object) -> Dataset:
    fields = {
        "name": "Toy",
        "features": pd.DataFrame(
            {"age": [19, 40, 70], "retired": [0, 0, 1], "hours": [20, 38, 0]}
        ),
        "target": pd.Series([0, 1, 0], name="hired"),
        "sensitive": pd.DataFrame(
            {"age_group": ["young", "old", "old"], "origin": ["a", "b", "a"]}
        ),
        "stated_by": {"age_group": ("age", "retired"), "origin": ()},
    }
    return Dataset(**(fields | changes))  # type: ignore[arg-type]
