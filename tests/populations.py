"""Populations whose numbers are all known, and tables of rows drawn from them."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bitveil.codes import code_likelihood

WORLDS = 1_000


@dataclass(frozen=True)
class Population:
    """The code distributions of all rows of each target and group: cells[y][g] is (rows, c)."""

    cells: list[list[Tensor]]

    @property
    def truth(self) -> np.ndarray:
        """p(t | y, g), with shape (y, k, c)."""

        return np.array([[cell.mean(0).numpy() for cell in row] for row in self.cells])

    def tables(self, sizes, *, draws="soft", seed=0, worlds=WORLDS) -> Tensor:
        """Tables with so many rows of each target and group, with shape (worlds, y, k, c)."""

        generator = torch.Generator().manual_seed(seed)
        draw = _soft if draws == "soft" else _hard
        tables = [
            torch.stack(
                [draw(cell, n, worlds, generator) for cell, n in zip(row, ns, strict=True)], 1
            )
            for row, ns in zip(self.cells, sizes, strict=True)
        ]
        return torch.stack(tables, 1)


def _soft(cell, n, worlds, generator):
    chosen = torch.randint(len(cell), (worlds, n), generator=generator)
    return torch.nn.functional.embedding_bag(chosen, cell, mode="sum")


def _hard(cell, n, worlds, generator):
    # A row drawn at random with a code drawn from it: a code drawn from the mean.
    codes = torch.multinomial(cell.mean(0).expand(worlds, -1), n, True, generator=generator)
    counts = torch.zeros(worlds, cell.shape[1], dtype=torch.float64)
    return counts.scatter_add_(1, codes, torch.ones_like(codes, dtype=torch.float64))


def leaning(lean, m=3, k=2, targets=1, points=64, scale=2.0) -> Population:
    """Points with logits, equally likely in all groups, except that each group leans a little."""

    generator = torch.Generator().manual_seed(5)

    def cell(logits):
        noise = torch.randn(logits.shape, generator=generator, dtype=torch.float64)
        return code_likelihood(logits + lean * noise)

    def row():
        logits = scale * torch.randn(points, m, generator=generator, dtype=torch.float64)
        return [code_likelihood(logits), *(cell(logits) for _ in range(k - 1))]

    return Population([row() for _ in range(targets)])


def fixed(p) -> Population:
    """One row for each cell. Codes drawn from it are drawn from p(t | y, g)."""

    return Population([[torch.tensor([q], dtype=torch.float64) for q in row] for row in p])


def sure(shares) -> Population:
    """One deterministic bit, from the shares of ones among the rows of each cell."""

    def cell(share):
        ones = (torch.arange(1000) < round(1000 * share)).double()
        return torch.stack([1 - ones, ones], 1)

    return Population([[cell(share) for share in row] for row in shares])


def kdd_census() -> pd.DataFrame | None:
    """The 299,285 rows of KDD Census-Income, six columns of numbers, sex, race and income."""

    folder = Path(os.environ.get("BITVEIL_DATA", "")) / "kdd_census_income"
    files = [folder / f"census_income_1994_1995_{part}.csv.gz" for part in ("train", "test")]
    if "BITVEIL_DATA" not in os.environ or not all(file.exists() for file in files):
        return None
    columns = {0: "age", 5: "wage", 10: "race", 12: "sex", 16: "gains", 18: "dividends"}
    columns |= {30: "employer", 39: "weeks", 41: "income"}
    read = [
        pd.read_csv(file, header=None, usecols=list(columns), skipinitialspace=True)
        for file in files
    ]
    return pd.concat(read).rename(columns=columns)


def people(n=299_285) -> pd.DataFrame:
    """A simulated table with the same columns."""

    rng = np.random.default_rng(0)
    male = rng.random(n) < 0.48
    weeks = np.where(rng.random(n) < 0.5, 0, rng.integers(1, 53, n))
    rich = rng.random(n) < np.where(male, 0.10, 0.03) * (weeks > 20)
    return pd.DataFrame(
        {
            "age": rng.integers(0, 90, n),
            "wage": np.where(rng.random(n) < 0.06, rng.integers(1, 3000, n), 0),
            "race": rng.choice(list("abcde"), n, p=[0.84, 0.1, 0.03, 0.02, 0.01]),
            "sex": np.where(male, "Male", "Female"),
            "gains": np.where(rng.random(n) < 0.03 + 0.2 * rich, 5000, 0),
            "dividends": np.where(rng.random(n) < 0.1 + 0.2 * rich, 500, 0),
            "employer": np.where(weeks > 0, rng.integers(1, 7, n), 0),
            "weeks": np.clip(weeks + 8 * male, 0, 52),
            "income": np.where(rich, "50000+.", "- 50000."),
        }
    )


def census_code(table: pd.DataFrame, m=4) -> Tensor:
    """The logits of a fixed code of a few columns, of shape (n, m)."""

    numbers = table[["age", "wage", "gains", "dividends", "employer", "weeks"]].to_numpy(float)
    x = torch.from_numpy(np.tanh(numbers / [40, 500, 1000, 200, 3, 26]))
    weight = torch.randn(6, m, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return 3 * (x - x.mean(0)) @ weight


def census_population(table, logits, column, by_income=False) -> Population:
    """The rows as a population: over (income, group), or over the groups alone."""

    likelihood = code_likelihood(logits)
    groups = np.unique(table[column], return_inverse=True)[1]
    rich = table["income"].str.startswith("50000").to_numpy().astype(int)
    y = rich if by_income else 0 * rich
    return Population(
        [
            [likelihood[(y == target) & (groups == g)] for g in range(groups.max() + 1)]
            for target in range(y.max() + 1)
        ]
    )
