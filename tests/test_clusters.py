"""Ray: codes and counts of one process, even if a worker is killed; no secret is written."""

import base64
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bitveil import clusters, load, streams
from bitveil.clusters import count_dataset, encode_dataset, plain_errors
from builders import KEY

MANY = 400


def killed_once(work, flag):
    """The same work, but the first to finish a second block is killed before it says so."""

    finished = []

    def deadly(model, batches):
        result = work(model, batches)
        finished.append(len(batches))
        if len(finished) == 2 and not flag.exists():
            flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return deadly


@pytest.fixture
def killed(monkeypatch, tmp_path):
    """Kill a worker in the middle of its work. The file tells that it happened."""

    flag, mapped = tmp_path / "killed", clusters._mapped

    def with_a_kill(*settings):
        return mapped(*settings[:-1], killed_once(settings[-1], flag))

    monkeypatch.setattr(clusters, "_mapped", with_a_kill)

    return flag


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of few rows, so that each worker gets several."""

    monkeypatch.setattr(clusters, "BATCH", MANY // 8)


@pytest.fixture
def dataset(ray_cluster, place):
    """The table of the tests, as Ray reads it."""

    import ray.data

    return ray.data.read_parquet(str(place / "people.parquet"))


def rows_of(dataset):
    """All rows of a dataset, in the order of the names that stand first."""

    rows = pd.DataFrame(dataset.take_all())

    return rows.sort_values(rows.columns[0], ignore_index=True)


def test_counts_are_those_of_one_process_though_a_worker_is_killed(
    dataset, place, killed, small_blocks
):
    seen = []
    settings = {"ids": "person", "drawn": True}
    counts, caution = count_dataset(
        dataset, place / "encoder", n_workers=2, after_block=seen.append, **settings
    )
    model = load(place / "encoder")
    whole, same = streams.count(place / "people.parquet", model, **settings)

    assert killed.exists()
    assert seen == [MANY // 8] * 8
    assert (counts.counted, caution) == (whole.counted, same)
    assert torch.equal(counts.tables.rows, whole.tables.rows)
    torch.testing.assert_close(counts.tables.known, whole.tables.known, rtol=1e-9, atol=1e-9)
    assert torch.equal(counts.drawn.known, whole.drawn.known)
    assert counts.parts[0].fingerprint == whole.parts[0].fingerprint
    assert counts.total_variation == pytest.approx(whole.total_variation, rel=1e-9)


def test_codes_are_those_of_one_process_though_a_worker_is_killed(
    ray_cluster, table, place, killed, small_blocks
):
    import ray.data

    people = ray.data.from_pandas(table)
    codes = rows_of(encode_dataset(people, place / "encoder", ids="person", n_workers=1))
    model = load(place / "encoder")
    order = np.argsort(table["person"].to_numpy(str))

    assert killed.exists()
    assert codes.columns.tolist() == ["person", "bit0", "bit1", "bit2"]
    assert codes["person"].tolist() == table["person"].iloc[order].tolist()
    expected = model.transform(table[model.feature_names_in_], ids=table["person"])[order]
    np.testing.assert_array_equal(codes.drop(columns="person"), expected)


def test_without_names_codes_keep_the_order_of_the_rows(dataset, table, place, small_blocks):
    codes = pd.DataFrame(encode_dataset(dataset, place / "encoder", n_workers=2).take_all())
    model = load(place / "encoder")

    np.testing.assert_array_equal(codes, model.transform(table[model.feature_names_in_]))


def test_rows_that_a_worker_refuses_give_one_plain_error(ray_cluster, table, place):
    import ray.data

    robots = ray.data.from_pandas(table.assign(sex="robot"))
    message = r"^`sensitive_features` has values that were not fitted: \['robot'\]. Known are"
    with pytest.raises(ValueError, match=message) as refused:
        count_dataset(robots, place / "encoder", ids="person", n_workers=1)

    assert type(refused.value) is ValueError
    assert "\n" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_lost_rows_are_noticed(dataset, table, place, monkeypatch):
    import pyarrow as pa

    model = load(place / "encoder")
    roles = streams.Roles.of(model, table.columns, ids="person")
    some = pa.RecordBatch.from_pandas(table[1:])
    tallies = [streams.count_batch(some, model, roles)]
    monkeypatch.setattr(clusters, "_tallies", lambda *_: tallies)
    with pytest.raises(RuntimeError, match=f"counted {MANY - 1} rows, and the dataset has {MANY}"):
        count_dataset(dataset, place / "encoder", ids="person")


def test_mistakes_are_found_before_workers_start(dataset, place):
    encoder = place / "encoder"
    with pytest.raises(ValueError, match="The dataset has no column 'height'"):
        count_dataset(dataset.drop_columns(["height"]), encoder)
    with pytest.raises(ValueError, match="The dataset has no column 'height'"):
        encode_dataset(dataset.drop_columns(["height"]), encoder)
    with pytest.raises(ValueError, match=r"no column 'persn'. Did you mean 'person'\?"):
        encode_dataset(dataset, encoder, ids="persn")
    with pytest.raises(ValueError, match="between 1 and the 2 cores of the cluster, got 3"):
        encode_dataset(dataset, encoder, n_workers=3)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        encode_dataset(dataset, place / "nowhere")
    with pytest.raises(ValueError, match="Expected the folder of a saved encoder, got Inv"):
        encode_dataset(dataset, load(encoder))


def test_a_worker_says_what_is_wrong_with_its_folder(place):
    import pyarrow as pa

    rows = pa.table({"a": [1]})
    with pytest.raises(ValueError, match=r"A worker cannot read the encoder.*all machines read"):
        clusters.Worker(str(place / "nowhere"), "", None)(rows)
    with pytest.raises(ValueError, match="A worker has another encoder at"):
        clusters.Worker(str(place / "encoder"), "", None)(rows)


def test_other_errors_of_ray_stay_as_they_are():
    exceptions = pytest.importorskip("ray.exceptions", reason="ray is not installed")
    with pytest.raises(exceptions.RayTaskError, match="many lines"), plain_errors():
        raise exceptions.RayTaskError("count", "many lines", KeyError("a defect"))


def written(secret):
    """The ways in which a secret could stand in a file."""

    coded = [base64.b64encode(secret[start:])[:-4] for start in range(3)]

    return [secret, secret.hex().encode(), repr(secret)[2:-1].encode(), *coded]


def files_with(secret, folder):
    files = [path for path in Path(folder).rglob("*") if path.is_file()]

    return [path for path in files if any(w in path.read_bytes() for w in written(secret))]


def test_no_secret_stands_in_what_ray_writes(dataset, ray_cluster, place):
    """It comes last, when workers have counted, encoded, failed and been killed."""

    model = load(place / "encoder")
    logs = [path.name for path in Path(ray_cluster).rglob("*") if path.is_file()]

    assert any(name.startswith("worker-") for name in logs)
    assert model.coder_.key == KEY
    for secret in (bytes(model.coder_.key), bytes(model.used_.key)):
        assert not files_with(secret, ray_cluster)


def test_a_secret_in_a_file_is_found(tmp_path):
    (tmp_path / "log").write_bytes(b"args=" + base64.b64encode(b"x" + KEY) + b"\n")

    assert files_with(KEY, tmp_path) == [tmp_path / "log"]
