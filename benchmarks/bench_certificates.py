"""How far certificates are above the truth: ours, FARE's, and two unions over all classifiers.

Each code is fixed, and every row of its population is known, so the worst gap of any classifier is
known too. The populations are Adult (all of its rows, sex, codes of encoders trained on half of
them), and a made-up population of a million rows. We draw as many rows from the population as
`fit` holds out of Adult, and each method certifies the same code from the same rows. FARE needs
three samples: it gets these rows for its cells, and twice as many more for its other two.

A record is one code with one draw of rows, a line of JSON in --records. Records that are already
there are not repeated.

    python benchmarks/bench_certificates.py [--records FILE] [--seeds 20]
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from runs import Runs, options
from torch import Tensor

from bitveil.certificates import certify
from bitveil.certificates.other_bounds import fare_certificate, rademacher_gap, weissman_gap
from bitveil.codes import code_index, draw
from bitveil.datasets import load_adult
from bitveil.estimators import InvariantEncoder
from bitveil.group_tables import GroupTables
from bitveil.information import total_variation
from bitveil.tables import joint_table, observed_table

ROWS = 14_653  # three tenths of Adult
METHODS = ("soft", "hard", "fare", "weissman", "rademacher")


class Code(NamedTuple):
    """The logits and groups of all rows of a population."""

    population: str
    name: str
    logits: Tensor
    s: Tensor


def adult_codes() -> Iterator[Code]:
    """Encoders of several widths and strengths, trained on a random half of Adult."""

    adult = load_adult()
    X, y, sex = adult.without("sex"), adult.target, adult.sensitive["sex"]
    half = np.random.default_rng(0).random(len(X)) < 0.5
    s = torch.from_numpy((sex == "Male").to_numpy(np.int64))
    for m in (2, 4, 6):
        for strength in (0.0, 1.0):
            model = InvariantEncoder(m, strength=strength, random_state=0)
            model.fit(X[half], y[half], sensitive_features=sex[half])
            yield Code("Adult", f"{m} bits, strength {strength:g}", _logits(model, X), s)


def made_up_codes(n: int = 1_000_000) -> Iterator[Code]:
    """Bits of ten columns that depend on the group, a little or more."""

    for m in (2, 4, 6, 8):
        for lean in (0.02, 0.2):
            generator = torch.Generator().manual_seed(m)
            x = torch.randn(n, 10, generator=generator)
            weight = torch.randn(10, m, generator=generator) / 2
            s = (torch.rand(n, generator=generator) < 2 / 3).long()
            side = lean * torch.randn(m, generator=generator) * (2 * s - 1).unsqueeze(1)
            yield Code("made up", f"{m} bits, lean {lean:g}", x @ weight + side, s)


def _logits(model: InvariantEncoder, X: pd.DataFrame) -> Tensor:
    return torch.from_numpy(model.logits(X))


def run(code: Code, seed: int) -> dict[str, Any]:
    """The bounds of all methods from the same rows."""

    generator = torch.Generator().manual_seed(seed)
    m = code.logits.shape[1]
    tables = []
    for _ in range(3):
        rows = torch.randint(len(code.s), (ROWS,), generator=generator)
        logits, s = code.logits[rows].double(), code.s[rows]
        numbers = code_index(draw(logits, generator=generator))
        tables.append((joint_table(logits, s, 2), observed_table(numbers, s, 2, 2**m).double()))
    (soft, cells), (_, base), (_, others) = tables

    return {
        "population": code.population,
        "code": code.name,
        "seed": seed,
        "truth": total_variation(joint_table(code.logits.double(), code.s, 2)).item(),
        "soft": certify(GroupTables.of(soft)).bound,
        "hard": certify(GroupTables.of(cells), draws="hard").bound,
        "fare": fare_certificate(base.sum(1), cells, others.sum(0)).bound,
        "weissman": weissman_gap(cells),
        "rademacher": rademacher_gap(cells),
    }


def table(records: pd.DataFrame) -> str:
    """The median distance above the truth over draws of rows, as Markdown."""

    lines = [
        "| population | code | truth | ours, expected | ours, drawn | FARE | Weissman "
        "| Rademacher | ours / FARE | wrong |",
        "| --- |" + " --- |" * 9,
    ]
    for (population, code), rows in records.groupby(["population", "code"], sort=False):
        above = rows[list(METHODS)].sub(rows["truth"], axis=0)
        median = above.median()
        cells = [f"{rows['truth'].iloc[0]:.4f}", *(f"{median[name]:.4f}" for name in METHODS)]
        ratio = median["soft"] / median["fare"]
        wrong = int((above < 0).to_numpy().sum())
        lines.append(f"| {population} | {code} | {' | '.join(cells)} | {ratio:.2f} | {wrong} |")

    return "\n".join(lines)


def main() -> None:
    """Run what is missing, and print the table."""

    arguments = options(__doc__, "certificates", seeds=20).parse_args()
    runs = Runs(arguments.records)
    done = runs.done("population", "code", "seed")
    for codes in (adult_codes, made_up_codes):
        for code in codes():
            for seed in range(arguments.seeds):
                if (code.population, code.name, seed) not in done:
                    runs.add(run(code, seed))

    print(f"{ROWS} rows, delta 0.05, {arguments.seeds} draws: median of bound minus truth\n")
    print(table(runs.table()))


if __name__ == "__main__":
    main()
