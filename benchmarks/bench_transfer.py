"""How useful a published code is for targets that it was not made for.

Adult, blind to sex, official test rows. There are four targets: income, more than 40 hours a week,
married, a bachelor's degree or more. We drop the columns that state one of them. Codes are made
for one target, for all four, or for none (the columns are then what the code tells), with
`max_gap`. Then boosted trees predict every target from the bits. They learn from the rows that are
held out for the certificate. The reference is boosted trees that learn from all columns of all
training rows. A second table has codes of 4 to 256 bits at a fixed strength: how use grows with
the bits, and how well an attacker does.

Each fit is a line of JSON in --records. Fits that are already there are not repeated. Runs go seed
by seed, so that an interrupted table is balanced. --made-for none runs the codes for none alone.
--page writes both tables into a page between comments: `<!-- table: transfer -->` or
`<!-- table: widths -->`, and `<!-- end -->`.

    python benchmarks/bench_transfer.py [--records FILE] [--seeds 3] [--jobs 2]
        [--made-for WHAT] [--figure FILE] [--page FILE]
"""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from runs import Runs, fill, options
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from bitveil.certificates import UncertifiableError
from bitveil.datasets import load_adult
from bitveil.estimators import InvariantEncoder
from bitveil.features import Features
from bitveil.training import Training

TARGETS = ("income", "hours", "married", "bachelor")
STATING = ["hours_per_week", "marital_status", "relationship", "education", "education_num"]
GAPS = (0.10, 0.20)
MADE_FOR = (*TARGETS, "all", "none")
BITS = {"all": 8, "none": 8}  # six for one target
WIDTHS = (4, 8, 12, 16, 64, 128, 256)
KEYS = ("kind", "made_for", "gap", "bits", "seed")


class People(NamedTuple):
    """A table without the columns that state a target, the targets, and the sex."""

    X: pd.DataFrame
    targets: pd.DataFrame
    sex: NDArray[Any]

    def take(self, rows: NDArray[Any]) -> "People":
        """Some of them."""

        return People(self.X.iloc[rows], self.targets.iloc[rows], self.sex[rows])


def people() -> tuple[People, People]:
    """The rows for learning, and the official test rows."""

    data = load_adult()
    table = data.features
    married = table["marital_status"].isin(["Married-civ-spouse", "Married-AF-spouse"])
    targets = pd.DataFrame(
        {
            "income": data.target,
            "hours": table["hours_per_week"] > 40,
            "married": married,
            "bachelor": table["education_num"] >= 13,
        }
    ).astype(int)
    everyone = People(
        data.without("sex").drop(columns=STATING), targets, data.sensitive["sex"].to_numpy()
    )

    return everyone.take(np.flatnonzero(~data.test)), everyone.take(np.flatnonzero(data.test))


def made(rows: People, made_for: str, seed: int, **settings: Any) -> InvariantEncoder:
    """An encoder for one target, for all, or for none."""

    y = None if made_for == "none" else rows.targets[list(TARGETS)]
    if made_for in TARGETS:
        y = rows.targets[made_for]
    encoder = InvariantEncoder(random_state=seed, **settings)

    return encoder.fit(rows.X, y, sensitive_features=rows.sex, ids=rows.X.index)


def used(seen: Any, known: People, scored: Any, test: People) -> dict[str, float]:
    """The accuracy of boosted trees for each target, and the attacker's AUC."""

    def model(y: NDArray[Any]) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(random_state=0).fit(seen, y)

    found = {
        name: float(model(known.targets[name].to_numpy()).score(scored, test.targets[name]))
        for name in TARGETS
    }
    male = model(known.sex == "Male").predict_proba(scored)[:, 1]
    found["attack_auc"] = float(roc_auc_score(test.sex == "Male", male))

    return found


def certified(rows: People, test: People, made_for: str, gap: float, seed: int) -> dict[str, Any]:
    """A code with a certificate, and its scores, or the reason why there is none."""

    started = time.perf_counter()
    try:
        encoder = made(rows, made_for, seed, max_gap=gap, n_bits=BITS.get(made_for, 6))
    except UncertifiableError as error:
        return {"refused": str(error)}
    seconds, known = time.perf_counter() - started, rows.take(encoder.rows_["certify"])
    assert encoder.certificate_ is not None
    found = used(published(encoder, known), known, published(encoder, test), test)

    return {
        "share": encoder.share_,
        "bound": encoder.certificate_.bound,
        "measured": encoder.certificate_.estimate,
        "seconds": seconds,
        **found,
    }


def published(encoder: InvariantEncoder, rows: People) -> NDArray[Any]:
    """The codes of rows, drawn by their names."""

    return encoder.transform(rows.X, ids=rows.X.index)


def wide(rows: People, test: People, bits: int, seed: int) -> dict[str, Any]:
    """A code of many bits for all targets, at strength 1, without certificate.

    Boosted trees learn from the rows that the encoder was fitted on. Its features are raw, so the
    bits of these rows do not reveal more than those of others.
    """

    started = time.perf_counter()
    settings = {"strength": 1.0, "n_bits": bits, "features": "raw"}
    encoder = made(rows, "all", seed, **settings, training=Training(epochs=40))
    seconds = time.perf_counter() - started

    return {
        "seconds": seconds,
        **used(published(encoder, rows), rows, published(encoder, test), test),
    }


def raw(rows: People, test: People) -> dict[str, Any]:
    """Without protection: all columns, all rows."""

    features = Features("raw").fit(rows.X)

    return used(features.transform(rows.X), rows, features.transform(test.X), test)


def wanted(seeds: int) -> Iterator[dict[str, Any]]:
    """All runs, seed by seed."""

    yield which("raw", "nothing", 1.0, 0, 0)  # the same for all seeds
    for seed in range(seeds):
        for made_for in MADE_FOR:
            for gap in GAPS:
                yield which("certified", made_for, gap, BITS.get(made_for, 6), seed)
        for bits in WIDTHS:
            yield which("wide", "all", 1.0, bits, seed)


def which(*values: Any) -> dict[str, Any]:
    """The fields that identify a run."""

    return dict(zip(KEYS, values, strict=True))


def run(one: dict[str, Any], rows: People, test: People) -> dict[str, Any]:
    """One line of the records."""

    torch.set_num_threads(1)
    head = one | {
        "date": datetime.now(UTC).date().isoformat(),
        "bitveil": version("bitveil"),
        "torch": torch.__version__,
    }
    if one["kind"] == "raw":
        return head | raw(rows, test)
    if one["kind"] == "wide":
        return head | wide(rows, test, one["bits"], one["seed"])

    return head | certified(rows, test, one["made_for"], one["gap"], one["seed"])


def ran(
    file: Path, wanted: Iterable[dict[str, Any]], rows: People, test: People, n_jobs: int
) -> pd.DataFrame:
    """All records, after the missing ones have run. Each is written when its run ends."""

    runs = Runs(file)
    done = runs.done(*KEYS)
    jobs = (delayed(run)(one, rows, test) for one in wanted if tuple(one.values()) not in done)
    for record in Parallel(n_jobs, return_as="generator_unordered", batch_size=1)(jobs):
        runs.add(record)

    return pd.DataFrame(runs.read())


def spread(values: pd.Series, digits: int = 1) -> str:
    """The mean, and the standard deviation if there are several values."""

    beside = f" ± {values.std():.{digits}f}" if values.count() > 1 else ""

    return f"{values.mean():.{digits}f}{beside}" if values.count() else ""


def scores(some: pd.DataFrame) -> str:
    """The cells of the accuracies, in percent, and of the attacker's AUC."""

    return " | ".join(
        [*(spread(100 * some[target]) for target in TARGETS), spread(some.attack_auc, 3)]
    )


def most_frequent(test: People) -> pd.Series:
    """The accuracy of the most frequent answer."""

    shares = test.targets[list(TARGETS)].mean()

    return shares.where(shares > 0.5, 1 - shares)


def transfer_table(records: pd.DataFrame, test: People) -> str:
    """The accuracies of codes, as Markdown: means and standard deviations over seeds."""

    lines = [
        "| code | bits | certified gap | measured | "
        + " | ".join(TARGETS)
        + " | attack | seeds |",
        "| --- " * (6 + len(TARGETS)) + "|",
    ]
    guess = " | ".join(f"{100 * share:.1f}" for share in most_frequent(test))
    lines.append(f"| most frequent answer | | | | {guess} | 0.500 | |")
    lines.append(f"| all columns | | | | {scores(records[records.kind == 'raw'])} | |")
    for made_for in MADE_FOR:
        for gap in GAPS:
            tried = codes(records, made_for, gap)
            some = tried.dropna(subset=["attack_auc"])  # the others were refused
            cells = f"{BITS.get(made_for, 6)} | ≤ {gap:.2f} | | | | | |"
            if len(some):
                measured = spread(some.measured, 3) if "measured" in some else ""
                cells = f"{some.bits.max()} | ≤ {some.bound.mean():.2f} | {measured} | "
                cells += scores(some)
            if len(tried):
                lines.append(f"| for {made_for} | {cells} | {len(some)} of {len(tried)} |")

    return "\n".join([*lines, "", origin(records)])


def codes(records: pd.DataFrame, made_for: str, gap: float) -> pd.DataFrame:
    """The records of codes with a certificate, made for one purpose."""

    at_gap = (records.kind == "certified") & (records.gap == gap)

    return records[at_gap & (records.made_for == made_for)]


def widths(records: pd.DataFrame) -> pd.DataFrame:
    """The records of wide codes, for the seeds that every width has."""

    some = records[records.kind == "wide"]
    counted = some.groupby("seed").bits.nunique()

    return some[some.seed.isin(counted.index[counted == some.bits.nunique()])]


def widths_table(records: pd.DataFrame) -> str:
    """How use grows with the bits, as Markdown: means and standard deviations over seeds."""

    some = widths(records)
    lines = [
        "| bits | " + " | ".join(TARGETS) + " | attack | seconds | seeds |",
        "| --- " * (4 + len(TARGETS)) + "|",
    ]
    for bits, of in some.groupby("bits"):
        lines.append(f"| {bits} | {scores(of)} | {of.seconds.median():.0f} | {len(of)} |")

    return "\n".join(lines)


def origin(records: pd.DataFrame) -> str:
    """The dates and versions of the dated records."""

    dates = records.reindex(columns=["date", "bitveil", "torch"]).dropna()
    if dates.empty:
        return "Records without a date."
    bitveil, torch_, date = (
        ", ".join(sorted(set(dates[n]))) for n in ("bitveil", "torch", "date")
    )

    return f"Measured on {date} with bitveil {bitveil} and torch {torch_}."


def draw(records: pd.DataFrame, test: People, path: Path) -> None:
    """Draw the use of codes for each target at each gap, and how it grows with the bits."""

    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    style = {"svg.fonttype": "none", "svg.hashsalt": "bitveil"}  # text as text, the same names
    with matplotlib.rc_context(style):
        figure, panels = plt.subplots(1, 3, figsize=(11, 4.2), layout="constrained")
        panels[1].sharex(panels[0])  # first, so that both share their limits
        for axes, gap in zip(panels, GAPS, strict=False):
            draw_targets(axes, records, test, gap)
        draw_widths(panels[-1], widths(records))
        panels[1].set_yticklabels([])
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower left", ncols=5, fontsize="small")
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def draw_targets(axes: Any, records: pd.DataFrame, test: People, gap: float) -> None:
    """Draw a line of dots for each target: one for each kind of code, and the reference."""

    made_for = {"code made for it": None, "code for all": "all", "code for none": "none"}
    raw_rows, guesses = records[records.kind == "raw"], most_frequent(test)
    places = np.arange(len(TARGETS))[::-1]
    for (name, of), marker, up in zip(made_for.items(), "osD", (0.2, 0, -0.2), strict=True):
        rows = [codes(records, of or target, gap)[target].dropna() for target in TARGETS]
        axes.errorbar(
            [100 * some.mean() for some in rows],
            places + up,
            xerr=[100 * some.std() if len(some) > 1 else 0 for some in rows],
            fmt=marker,
            label=name,
        )
    ends = {"most frequent answer": guesses, "all columns": raw_rows[list(TARGETS)].mean()}
    for (name, shares), line in zip(ends.items(), (":", "-"), strict=True):
        low, high = places - 0.35, places + 0.35
        axes.vlines(100 * shares, low, high, color="black", ls=line, label=name)
    axes.set_yticks(places, TARGETS)
    axes.set_xlabel("accuracy on test rows (%)")
    axes.set_title(f"certified gap ≤ {gap:.2f}", fontsize="medium")


def draw_widths(axes: Any, rows: pd.DataFrame) -> None:
    """Draw how accuracy for each target and the attacker's AUC grow with the bits."""

    over = rows.groupby("bits")[[*TARGETS, "attack_auc"]]
    mean, deviation = 100 * over.mean(), 100 * over.std().fillna(0)
    for name, style in zip(mean, ("o-", "s-", "^-", "v-", "kx--"), strict=True):
        label = "attacker's AUC" if name == "attack_auc" else name
        axes.errorbar(mean.index, mean[name], yerr=deviation[name], fmt=style, label=label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(mean.index), [str(bits) for bits in mean.index])
    axes.set_xlabel("bits of a code for all, at strength 1")
    axes.set_ylabel("accuracy, 100 x AUC on test rows")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, fontsize="x-small")


def main() -> None:
    """Run what is missing, and print the tables."""

    parser = options(__doc__, "transfer", seeds=3, figure=True)
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--made-for", choices=MADE_FOR, help="the codes to run, and no others")
    parser.add_argument("--page", type=Path, help="the page to write the tables into")
    arguments = parser.parse_args()
    rows, test = people()
    planned = [
        one
        for one in (wanted(arguments.seeds) if arguments.seeds else ())
        if arguments.made_for is None
        or (one["kind"], one["made_for"]) == ("certified", arguments.made_for)
    ]
    records = ran(arguments.records, planned, rows, test, arguments.jobs)
    tables = {"transfer": transfer_table(records, test), "widths": widths_table(records)}
    print(*tables.values(), sep="\n\n")
    if arguments.figure is not None:
        draw(records, test, arguments.figure)
    if arguments.page is not None:
        fill(arguments.page, tables)


if __name__ == "__main__":
    main()
