"""Rows a second of an encoder on one core, and what each step costs.

An encoder of Adult, fitted with default settings, encodes batches of Adult's rows with ids of
their own. The columns of each batch come as Arrow. The old way lets scikit-learn follow the trees
and skrub read every row. Both ways give the same bits, which is checked. CPU seconds are counted,
so that other programs disturb little.

    python benchmarks/bench_encode.py [--rows 262144] [--repeats 3]
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
from large_adult import people

from bitveil.coder import draw_names
from bitveil.datasets import load_adult
from bitveil.frozen import freeze
from bitveil.models import InvariantClassifier
from bitveil.sources import BATCH, frame_of
from bitveil.streams import encode_batch, feature_names
from bitveil.workers import one_thread


def fitted() -> InvariantClassifier:
    """An encoder of Adult without sex, with a goal of 0.10."""

    adult = load_adult()
    rows = ~np.asarray(adult.official_test)
    ids = [f"adult {number}" for number in np.flatnonzero(rows)]
    model = InvariantClassifier(max_gap=0.10, random_state=0)

    return model.fit(
        adult.without("sex")[rows],
        adult.target[rows],
        sensitive_features=adult.sensitive["sex"][rows],
        ids=ids,
    )


def batches(n_rows: int) -> list[pa.RecordBatch]:
    """Adult's rows, repeated, with ids of their own."""

    rows = people()
    starts = range(0, n_rows, BATCH)
    ids = [np.arange(start, min(start + BATCH, n_rows)) for start in starts]

    return [
        rows.take(each % len(rows)).add_column(0, "id", pa.array(each)).to_batches()[0]
        for each in ids
    ]


@contextmanager
def old_way() -> Iterator[None]:
    """Trees by scikit-learn, and columns by skrub."""

    def vectorized(vectorizer: Any, X: Any) -> Any:
        return np.asarray(vectorizer.transform(X), dtype=np.float32)

    with (
        patch("bitveil.forests.Forest.of", lambda model: None),
        patch("bitveil.forests._FORESTS", {}),
        patch("bitveil.features._vectorized", vectorized),
    ):
        yield


def rate(work: Callable[[pa.RecordBatch], Any], some: list[pa.RecordBatch], repeats: int) -> float:
    """Rows a CPU second, the median of the repeats."""

    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        for batch in some:
            work(batch)
        seconds.append(time.process_time() - start)

    return sum(batch.num_rows for batch in some) / float(np.median(seconds))


def steps(model: InvariantClassifier) -> dict[str, Callable[[pa.RecordBatch], Any]]:
    """The steps of an encoder, each after those that it needs."""

    coder, schema, names = model.coder_, model.schema_, feature_names(model)
    features = coder.features

    def read(batch: pa.RecordBatch) -> Any:
        return schema.read(frame_of(batch, names), features)

    def drawn(batch: pa.RecordBatch) -> Any:
        ids = draw_names(frame_of(batch, names), frame_of(batch, ["id"])["id"])
        return freeze(np.zeros((batch.num_rows, coder.n_bits)), ids, coder.key)

    return {
        "read the columns": read,
        "read, and features": lambda batch: features.transform(read(batch)),
        "names and draws": drawn,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2**18)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    warnings.filterwarnings("ignore", "Values that were not fitted")
    model, some = fitted(), batches(asked.rows)
    with one_thread():
        new_codes = [encode_batch(batch, model, ids="id") for batch in some[:1]]
        new = rate(lambda batch: encode_batch(batch, model, ids="id"), some, asked.repeats)
        for name, step in steps(model).items():
            print(f"{name:<24} {rate(step, some, asked.repeats):>12,.0f} rows a second")
        with old_way():
            old_codes = [encode_batch(batch, model, ids="id") for batch in some[:1]]
            old = rate(lambda batch: encode_batch(batch, model, ids="id"), some[:2], asked.repeats)
    print(f"{'all of it':<24} {new:>12,.0f} rows a second")
    print(f"{'all of it, the old way':<24} {old:>12,.0f} rows a second")
    print(f"ratio {new / old:.2f}, the same bits: {new_codes == old_codes}")


if __name__ == "__main__":
    main()
