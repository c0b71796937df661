"""Mixing two encoders by a coin, compared with training for the goal itself, on Adult.

Adult, blind to sex, six bits, official test rows. Of the training rows 70 % are for fitting (and
selection), and 30 % are held out for certificates, at random within each sex. We fit encoders at
several strengths. With their tables on the test rows, we compare each with the best mixture of the
others at its gap. A dent is how far it lies below their concave hull. Then, for each goal,
`Mixture.for_gap` mixes the encoders of strength 3 and 0.1, which we fixed beforehand. Beside it is
one `InvariantClassifier(max_gap=...)` on all training rows, which trains for the goal.

The posterior features are made once for each seed, from the rows for fitting. Each result is a
line of JSON in --records. Seeds that are already there are not repeated.

    python benchmarks/bench_mixture.py [--records FILE] [--seeds 2]
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from runs import Runs, options

from bitveil.certificates import UncertifiableError
from bitveil.codes import all_codes
from bitveil.datasets import load_adult
from bitveil.features import Features
from bitveil.information import total_variation
from bitveil.mixtures import Mixture
from bitveil.models import InvariantClassifier
from bitveil.tables import joint_table

STRENGTHS = (0.0, 0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 10.0)
SAFE, USEFUL = 3.0, 0.1
GOALS = (0.05, 0.08, 0.10, 0.15, 0.20)


class Rows(NamedTuple):
    """Posterior features, the target, the attribute, and names that decide the draws."""

    X: NDArray[np.float32]
    y: NDArray[np.int64]
    s: NDArray[np.int64]
    ids: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> "Rows":
        """Some of them."""

        return Rows(*(each[rows] for each in self))


def adult(seed: int) -> tuple[Rows, Rows, Rows]:
    """The rows for fitting, the held-out rows, and the official test rows."""

    data = load_adult()
    X, test = data.without("sex"), np.asarray(data.official_test)
    y, s = data.target.to_numpy(), (data.sensitive["sex"] == "Male").to_numpy(np.int64)
    held = np.zeros(len(y), dtype=bool)
    for group in (0, 1):
        rows = np.random.RandomState(seed).permutation(np.flatnonzero(~test & (s == group)))
        held[rows[: round(0.3 * len(rows))]] = True
    fit, features = ~test & ~held, Features("posterior", random_state=seed)
    known = features.fit_transform(X[fit], y[fit], s[fit])
    seen = [known, features.transform(X[held]), features.transform(X[test])]
    names = np.arange(len(y))
    parts = [
        Rows(x, y[rows], s[rows], names[rows])
        for x, rows in zip(seen, (fit, held, test), strict=True)
    ]

    return parts[0], parts[1], parts[2]


def fitted(rows: Rows, seed: int, **goal: float) -> InvariantClassifier:
    """One encoder, on ready features."""

    model = InvariantClassifier(features="raw", random_state=seed, **goal)

    return model.fit(rows.X, rows.y, sensitive_features=rows.s, ids=rows.ids)


def point(model: InvariantClassifier, test: Rows) -> dict[str, float]:
    """The gap of the codes on the test rows, and the expected accuracy of the draws."""

    logits = torch.from_numpy(model.logits(test.X, ids=test.ids))
    table = joint_table(logits, torch.from_numpy(test.s), 2)
    by_target = joint_table(logits, torch.from_numpy(test.y), 2)
    codes = all_codes(model.n_bits).numpy().astype(np.uint8)
    answers = torch.from_numpy(model.decode(codes).argmax(1))
    right = by_target.gather(0, answers.unsqueeze(0)).sum() / by_target.sum()

    return {"gap": total_variation(table).item(), "accuracy": right.item()}


def hull(points: NDArray[np.float64], gap: float) -> float:
    """The accuracy of the best mixture of two of the points at a gap, or of one below it."""

    best = max((a for g, a in points if g <= gap), default=-np.inf)
    for g0, a0 in points:
        for g1, a1 in points:
            if g0 <= gap < g1:
                best = max(best, a0 + (a1 - a0) * (gap - g0) / (g1 - g0))

    return float(best)


def run(seed: int) -> Iterator[dict[str, Any]]:
    """All results of a seed."""

    fit, held, test = adult(seed)
    models = {strength: fitted(fit, seed, strength=strength) for strength in STRENGTHS}
    for strength, model in models.items():
        yield {"kind": "strength", "strength": strength, "seed": seed, **point(model, test)}
    both = Rows(*(np.concatenate(pair) for pair in zip(fit, held, strict=True)))
    for goal in GOALS:
        yield {"kind": "mixture", "goal": goal, "seed": seed, **mixed(models, held, test, goal)}
        yield {"kind": "trained", "goal": goal, "seed": seed, **trained(both, test, goal, seed)}


def mixed(
    models: dict[float, InvariantClassifier], held: Rows, test: Rows, goal: float
) -> dict[str, Any]:
    """Two encoders mixed for a goal: the expected scores, and those of one draw."""

    pair = models[SAFE], models[USEFUL]
    try:
        mixture = Mixture.for_gap(*pair, goal, held.X, sensitive_features=held.s, ids=held.ids)
    except UncertifiableError as error:
        return {"refused": str(error)}
    safe, useful = (point(model, test) for model in pair)
    share = float(mixture.shares[1])
    drawn = mixture.predict(test.X, ids=test.ids) == test.y

    return {
        "share": share,
        **{name: (1 - share) * safe[name] + share * useful[name] for name in safe},
        "drawn": float(drawn.mean()),
    }


def trained(rows: Rows, test: Rows, goal: float, seed: int) -> dict[str, Any]:
    """One encoder that is trained and certified for the goal."""

    try:
        model = fitted(rows, seed, max_gap=goal)
    except UncertifiableError as error:
        return {"refused": str(error)}

    return {**point(model, test), "drawn": float(model.score(test.X, test.y))}


def table(records: pd.DataFrame) -> str:
    """Both tables, as Markdown: means over seeds."""

    lines = [
        "| strength | gap | accuracy | below the hull of the others, points |",
        "| --- | --- | --- | --- |",
    ]
    for strength, rows in records[records.kind == "strength"].groupby("strength"):
        dents = [max(0.0, 100 * dent(records, row)) for row in rows.itertuples()]
        cells = f"{rows.gap.mean():.3f} | {100 * rows.accuracy.mean():.1f} %"
        lines.append(f"| {strength:g} | {cells} | {', '.join(f'{d:.2f}' for d in dents)} |")
    lines += [
        "",
        "| certified gap ≤ | share | mixture: gap | accuracy | trained: gap | accuracy |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for goal, rows in records[records.kind != "strength"].groupby("goal"):
        ways = [rows[rows.kind == kind] for kind in ("mixture", "trained")]
        lines.append(f"| {goal:.2f} | {share(ways[0])} | {scores(ways[0])} | {scores(ways[1])} |")

    return "\n".join(lines)


def dent(records: pd.DataFrame, row: Any) -> float:
    """How far an encoder lies below the concave hull of the others of its seed."""

    others = records[(records.kind == "strength") & (records.seed == row.seed)]
    points = others[others.strength != row.strength][["gap", "accuracy"]].to_numpy()

    return hull(points, row.gap) - row.accuracy


def share(rows: pd.DataFrame) -> str:
    """The mean share, over the seeds that certified."""

    return "none" if rows.share.isna().all() else f"{rows.share.mean():.2f}"


def scores(rows: pd.DataFrame) -> str:
    """Gap and accuracy, over the seeds that certified."""

    known = rows[rows.accuracy.notna()]
    if known.empty:
        return "none | none"
    some = "" if len(known) == len(rows) else f" ({len(known)} of {len(rows)})"

    return f"{known.gap.mean():.3f} | {100 * known.accuracy.mean():.1f} %{some}"


def main() -> None:
    """Run what is missing, and print the tables."""

    parser = options(__doc__, "mixture", seeds=2)
    arguments = parser.parse_args()
    runs = Runs(arguments.records)
    done = runs.done("seed")
    for seed in range(arguments.seeds):
        if (seed,) not in done:
            runs.add(*list(run(seed)))

    print(table(runs.table()))


if __name__ == "__main__":
    main()
