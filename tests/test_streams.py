"""Streams: the same codes and the same counts, however the rows are stored and cut."""

import numpy as np
import pandas as pd
import polars
import pyarrow
import pyarrow.parquet
import pytest
import torch

from bitveil.certificates import certify
from bitveil.certificates.dilution import interval_at_share
from bitveil.estimators import InvariantEncoder
from bitveil.group_tables import GroupTables
from bitveil.sources import open_source
from bitveil.streams import Roles, count, encode_batches, tables_of
from bitveil.tallies import Tally
from builders import KEY, quick, table_of

N = 400


@pytest.fixture(scope="module")
def rows(people):
    """Rows that no encoder of these tests was fitted on."""

    return table_of(people, seed=5).assign(extra=np.arange(N) / 8)


@pytest.fixture(scope="module")
def encoder(people):
    """An encoder of every kind of column."""

    return fitted_on(people)


def fitted_on(people, criterion="independence", n_bits=3, share=1.0, targets="hired"):
    seen = table_of(people, seed=1)
    X = seen.drop(columns=["person", "sex", "hired", "extra"])
    settings = {"criterion": criterion, "key": KEY}
    model = quick(InvariantEncoder, n_bits, **settings)
    seen["tall"] = np.where(X["height"] > 0.5, "tall", "small")
    model.fit(X, seen[targets], sensitive_features=seen[["sex"]])
    if share < 1:
        object.__setattr__(model.coder_, "share", share)

    return model


def as_stream(table):
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=90)

    return pyarrow.ipc.open_stream(sink.getvalue())


def stored(rows, how, folder):
    """The rows as another engine, or a disk, holds them."""

    table = pyarrow.Table.from_pandas(rows, preserve_index=False)
    if how == "parquet":
        pyarrow.parquet.write_table(table, folder / "rows.parquet", row_group_size=70)
    if how == "two files of text":
        for part, start in enumerate((0, 150)):
            end = 150 if part == 0 else N
            rows[start:end].to_csv(folder / f"part-{part}.csv", index=False)
    in_memory = {
        "pandas": lambda: rows,
        "arrow": lambda: table,
        "7 batches": lambda: table.to_batches(max_chunksize=60),
        "polars": lambda: polars.from_arrow(table),
        "polars, chunked": lambda: polars.concat(
            [polars.from_arrow(table[:99]), polars.from_arrow(table[99:])], rechunk=False
        ),
        "a stream": lambda: as_stream(table),
        "parquet": lambda: folder / "rows.parquet",
        "two files of text": lambda: folder,
    }

    return in_memory[how]()


HOW = "arrow,pandas,7 batches,polars,polars; chunked,a stream,parquet,two files of text".split(",")
HOW = [how.replace(";", ",") for how in HOW]


def all_codes(batches):
    return pyarrow.Table.from_batches(batches).to_pandas().to_numpy(np.int64)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("ids", [None, "person"])
def test_the_same_people_get_the_same_codes(rows, encoder, tmp_path, how, ids):
    features = rows[encoder.feature_names_in_]
    expected = encoder.transform(features, ids=None if ids is None else rows[ids])
    batches = [
        batch.select([name for name in batch.schema.names if name != ids])
        for batch in encode_batches(stored(rows, how, tmp_path), encoder, ids=ids)
    ]

    np.testing.assert_array_equal(all_codes(batches), expected)


def in_memory(model, rows, ids):
    """The counts of the whole table at once."""

    targets = model.schema_.target
    groups = (rows["sex"] == "m").to_numpy().astype(np.int64)
    values = targets.cut_values[0]
    strata = pd.Index(values).get_indexer(rows["hired"])
    X = rows[model.feature_names_in_]
    cells = torch.from_numpy(strata.astype(np.int64)), torch.from_numpy(groups), len(values), 2
    if ids is not None:
        logits = model.logits(X, ids=rows[ids])
        return GroupTables.expected(torch.from_numpy(logits), *cells)
    bits = model.transform(X)
    numbers = torch.from_numpy(bits @ 2 ** np.arange(bits.shape[1])[::-1])

    return GroupTables.observed(numbers.long(), *cells, c=2 ** bits.shape[1])


@pytest.mark.parametrize("how", ["arrow", "7 batches", "parquet", "two files of text"])
@pytest.mark.parametrize("ids", [None, "person"])
def test_counts_are_those_of_the_whole_table(rows, encoder, tmp_path, how, ids):
    whole = in_memory(encoder, rows, ids)
    found = tables_of(stored(rows, how, tmp_path), encoder, ids=ids)

    assert torch.equal(found.rows, whole.rows)
    torch.testing.assert_close(found.known, whole.known, rtol=0, atol=1e-9)
    assert found.known.sum().item() == pytest.approx(N)


def test_tallies_add_up_and_are_read_again(rows, encoder, tmp_path):
    whole, _ = count(pyarrow.Table.from_pandas(rows), encoder, ids="person")
    parts = [
        count(pyarrow.Table.from_pandas(part), encoder, ids="person")[0]
        for part in (rows[:130], rows[130:])
    ]
    for number, part in enumerate(parts):
        part.save(tmp_path / f"{number}.counts")
    total = Tally.load(tmp_path / "0.counts") + Tally.load(tmp_path / "1.counts")

    assert torch.equal(total.tables.rows, whole.tables.rows)
    torch.testing.assert_close(total.tables.known, whole.tables.known, rtol=0, atol=1e-9)
    assert total.n_rows == N
    assert [each.certificate.bound for each in total.intervals()] == pytest.approx(
        [each.certificate.bound for each in whole.intervals()]
    )
    assert total.information_bits == pytest.approx(whole.information_bits)
    with pytest.raises(ValueError, match="counted twice"):
        total + parts[0]


def test_tallies_of_another_encoder_or_of_other_counts_do_not_add_up(rows, encoder, people):
    table = pyarrow.Table.from_pandas(rows)
    named, _ = count(table[:200], encoder, ids="person")
    drawn, _ = count(table[200:], encoder)
    other, _ = count(table[200:], fitted_on(people, n_bits=2), ids="person")

    for wrong, field in ((drawn, "draws"), (other, "encoder")):
        with pytest.raises(ValueError, match=f"differ in `{field}`"):
            named + wrong


@pytest.mark.parametrize("place", [0.3, 0.6, 0.95])
def test_a_file_of_counts_that_was_changed_is_refused(rows, encoder, tmp_path, place):
    file = tmp_path / "people.counts"
    count(pyarrow.Table.from_pandas(rows), encoder, ids="person")[0].save(file)
    content = bytearray(file.read_bytes())
    start = int.from_bytes(content[:8], "little") + 8
    where = start + int((len(content) - start) * place) // 8 * 8
    content[where : where + 8] = b"\xff" * 8
    file.write_bytes(content)

    with pytest.raises(ValueError, match=r"changed after it was saved|damaged"):
        Tally.load(file)


@pytest.mark.parametrize("ids", [None, "person"])
def test_rows_that_repeat_in_another_batch_are_refused(rows, encoder, ids):
    twice = pyarrow.Table.from_pandas(pd.concat([rows, rows[:100]], ignore_index=True))

    with pytest.raises(ValueError, match=r"name of an earlier row|repeat another row"):
        count(twice.to_batches(max_chunksize=200), encoder, ids=ids)


def test_rows_of_the_fit_are_refused(people, encoder):
    with pytest.raises(ValueError, match="that the encoder was fitted on"):
        count(pyarrow.Table.from_pandas(table_of(people, seed=1)), encoder)


def test_names_of_folders_are_columns(rows, encoder, tmp_path):
    for sex, part in rows.groupby("sex"):
        (tmp_path / f"sex={sex}").mkdir()
        part.drop(columns="sex").to_parquet(tmp_path / f"sex={sex}" / "part-0.parquet")
    found, _ = count(tmp_path, encoder, ids="person")
    whole, _ = count(pyarrow.Table.from_pandas(rows), encoder, ids="person")

    assert torch.equal(found.tables.rows, whole.tables.rows)
    torch.testing.assert_close(found.tables.known, whole.tables.known, rtol=0, atol=1e-9)


def test_wide_codes_are_counted_by_those_that_occur(rows, people):
    wide = fitted_on(people, n_bits=20)
    table = pyarrow.Table.from_pandas(rows)
    found, _ = count(table.to_batches(max_chunksize=60), wide, ids="person")
    bits = wide.transform(rows[wide.feature_names_in_], ids=rows["person"])

    assert found.counted.draws == "hard"
    assert len(found.tables.codes) == len(np.unique(bits, axis=0))
    assert found.tables.known.sum().item() == N
    with pytest.warns(UserWarning, match="more drawn codes"):
        assert 0.9 < found.intervals()[0].certificate.bound <= 1


@pytest.mark.parametrize("ids", [None, "person"])
def test_blank_rows_are_counted(rows, people, ids):
    model = fitted_on(people, share=0.5)
    table = pyarrow.Table.from_pandas(rows)
    found, _ = count(table.to_batches(max_chunksize=60), model, ids=ids)
    codes = pyarrow.Table.from_batches(encode_batches(table, model, ids=ids))
    blank = sum(codes["blank"].to_pylist())

    assert 100 < blank < 300
    assert found.counted.share == 0.5
    if ids is None:
        assert found.tables.groups[:, -1].sum().item() == blank
    assert found.coin == (0.5 if ids else 1.0)


def test_separation_counts_each_pair_of_several_targets(rows, people):
    model = fitted_on(people, "separation", targets=["hired", "tall"])
    table = rows.assign(tall=np.where(rows["height"] > 0.5, "tall", "small"))
    found, _ = count(pyarrow.Table.from_pandas(table), model, ids="person")

    assert found.counted.criterion == "separation"
    sizes = table.groupby(["hired", "tall", "sex"]).size()
    for stratum, target in enumerate(found.counted.targets):
        assert found.tables.rows[stratum].tolist() == [sizes[(*target, s)] for s in ("f", "m")]


def test_a_group_that_was_not_fitted_is_refused_in_any_batch(rows, encoder):
    table = pyarrow.Table.from_pandas(rows.assign(sex=["f"] * 390 + ["x"] * 10))

    with pytest.raises(ValueError, match=r"not fitted: \['x'\]"):
        count(table.to_batches(max_chunksize=60), encoder)


def test_batches_with_another_schema_are_refused(rows, encoder):
    table = pyarrow.Table.from_pandas(rows)
    batches = [*table[:200].to_batches(), *table[200:].drop_columns(["age"]).to_batches()]

    with pytest.raises(ValueError, match="Batch 1 has no column 'age'"):
        list(encode_batches(batches, encoder))


def test_other_columns_than_the_fitted_ones_have_no_fitted_values(encoder, rows):
    names = list(rows)

    assert Roles.of(encoder, names).targets == ("hired",)
    assert Roles.of(encoder, [n for n in names if n != "hired"]).targets == ()
    with pytest.raises(ValueError, match="fitted `sensitive` columns"):
        Roles.of(encoder, names, sensitive="member")
    with pytest.raises(ValueError, match="one role"):
        Roles.of(encoder, names, ids="sex")


def test_a_source_says_what_it_lacks(rows, tmp_path):
    rows.to_parquet(tmp_path / "rows.parquet")

    with pytest.raises(ValueError, match=r"no column 'heigt'. Did you mean 'height'?"):
        list(open_source(tmp_path / "rows.parquet").batches(["heigt"]))


def test_halves_do_not_follow_the_order_of_the_rows(encoder, rows):
    """Couples alternate, and then every second row has one sex."""

    ordered = rows.sort_values("sex", kind="stable")
    half = len(ordered) // 2
    paired = ordered.iloc[np.arange(2 * half).reshape(2, half).T.ravel()]
    for ids in ("person", None):
        tally, _ = count(paired.reset_index(drop=True), encoder, ids=ids)
        for part in (tally.fixed, tally.scored):
            shares = part.rows.sum(0) / tally.tables.rows.sum(0)
            assert ((shares > 0.3) & (shares < 0.7)).all()


def test_a_half_without_rows_of_a_group_gives_no_lower_bound():
    both, one = GroupTables.of([[30.0, 10], [10, 30]]), GroupTables.of([[30.0, 10], [0, 0]])
    found = interval_at_share(one, both, both + one)

    assert found.least == 0
    assert found.certificate == certify(both + one)
