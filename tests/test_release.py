"""Release: bits that stay as they are, and encoders that come back from disk as they were."""

import hashlib
import io
import json
import shutil
import stat
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.exceptions import NotFittedError

from bitveil.estimators import InvariantClassifier, InvariantEncoder, load
from bitveil.release import freeze, frozen_uniforms, row_digests, staged

KEY, OTHER = b"0123456789abcdef", b"fedcba9876543210"
FILES = ("encoder.json", "weights.safetensors", "features.skops", "secret.key")


def rows_and_theta(n, m, seed=0):
    rng = np.random.default_rng(seed)

    return row_digests(rng.normal(size=(n, 3))), rng.random((n, m))


# Frozen draws


def test_same_row_and_key_always_get_the_same_bits():
    rows, theta = rows_and_theta(200, 6)
    bits = freeze(theta, rows, KEY)
    order = np.random.default_rng(1).permutation(200)

    assert bits.dtype == np.uint8
    np.testing.assert_array_equal(freeze(theta, rows, KEY), bits)
    np.testing.assert_array_equal(freeze(theta[order], rows[order], KEY), bits[order])
    np.testing.assert_array_equal(freeze(theta[50:90], rows[50:90], KEY), bits[50:90])
    for i in range(20):
        np.testing.assert_array_equal(freeze(theta[[i]], rows[[i]], KEY), bits[[i]])


def test_another_key_gives_other_bits():
    rows, _ = rows_and_theta(4000, 16)
    fair = np.full((4000, 16), 0.5)
    differ = freeze(fair, rows, KEY) != freeze(fair, rows, OTHER)

    assert differ.mean(0) == pytest.approx(0.5, abs=0.04)  # five standard deviations


def test_other_rows_get_other_bits():
    rows, _ = rows_and_theta(4000, 64)
    bits = freeze(np.full((4000, 64), 0.5), rows, KEY)

    assert (bits[1:] != bits[:-1]).mean() == pytest.approx(0.5, abs=0.005)
    assert len(np.unique(bits, axis=0)) == 4000


def test_bits_are_one_as_often_as_theta_says():
    rows, theta = rows_and_theta(4000, 70)
    bits = freeze(theta, rows, KEY)

    for low in np.arange(0, 1, 0.1):
        chosen = (theta >= low) & (theta < low + 0.1)
        assert bits[chosen].mean() == pytest.approx(theta[chosen].mean(), abs=0.015)
    assert bits.mean(0) == pytest.approx(theta.mean(0), abs=0.04)


def test_bits_of_a_row_are_drawn_apart():
    rows, _ = rows_and_theta(4000, 130)
    correlation = np.corrcoef(freeze(np.full((4000, 130), 0.5), rows, KEY).T)

    assert np.abs(correlation - np.eye(130)).max() < 0.09  # 5.7 standard deviations


def test_certain_bits_are_certain():
    rows, _ = rows_and_theta(1000, 2)
    bits = freeze(np.tile([0.0, 1.0], (1000, 1)), rows, KEY)

    assert bits.min(0).tolist() == [0, 1]
    assert bits.max(0).tolist() == [0, 1]


@pytest.mark.parametrize("m", [1, 7, 8, 9, 64, 65, 200])
def test_the_first_bits_do_not_depend_on_how_many_follow(m):
    rows, theta = rows_and_theta(50, 200)

    np.testing.assert_array_equal(freeze(theta[:, :m], rows, KEY), freeze(theta, rows, KEY)[:, :m])


def test_averaging_a_thousand_encodings_teaches_no_more_than_one():
    row, theta = rows_and_theta(1, 12)
    asked_again = np.stack([freeze(theta, row, KEY)[0] for _ in range(1000)])
    in_one_table = freeze(np.repeat(theta, 1000, 0), np.repeat(row, 1000, 0), KEY)

    np.testing.assert_array_equal(asked_again.mean(0), asked_again[0])
    np.testing.assert_array_equal(in_one_table, asked_again)


def test_bits_are_one_where_the_uniform_number_is_less_than_theta():
    rows, theta = rows_and_theta(200, 70)
    uniforms = frozen_uniforms(rows, 70, KEY)

    assert uniforms.dtype == np.float64
    assert ((uniforms >= 0) & (uniforms < 1)).all()
    assert (uniforms * 2.0**53 % 1 == 0).all()
    np.testing.assert_array_equal(freeze(theta, rows, KEY), uniforms < theta)
    np.testing.assert_array_equal(freeze(uniforms, rows, KEY), 0)
    np.testing.assert_array_equal(freeze(np.nextafter(uniforms, 2), rows, KEY), 1)


def test_frozen_bits_are_those_of_the_first_version():
    bits = freeze(np.full((2, 12), 0.5), np.arange(8, dtype=np.uint8).reshape(2, 4), KEY)

    assert bits.tolist() == [
        [0, 0, 0, 1, 0, 1, 1, 1, 0, 1, 1, 1],
        [1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0],
    ]


def test_no_rows_have_no_bits():
    assert row_digests(pd.DataFrame({"a": []})).shape == (0, 16)
    assert freeze(np.zeros((0, 5)), np.zeros((0, 16), np.uint8), KEY).shape == (0, 5)


@pytest.mark.parametrize("length", [0, 15, 65])
def test_a_key_of_the_wrong_length_is_refused(length):
    rows, theta = rows_and_theta(2, 3)

    with pytest.raises(ValueError, match=f"16 to 64 bytes, got {length}.*token_bytes"):
        freeze(theta, rows, b"k" * length)


@pytest.mark.parametrize("length", [16, 32, 64])
def test_all_of_the_key_counts(length):
    rows, _ = rows_and_theta(100, 8)
    fair, key = np.full((100, 8), 0.5), b"k" * length

    assert (freeze(fair, rows, key) != freeze(fair, rows, key[:-1] + b"x")).any()


# Digests of rows


@pytest.mark.parametrize(
    "stored",
    [
        pd.Series([1, 0, 30], dtype="int8"),
        pd.Series([1.0, 0.0, 30.0]),
        pd.Series([1.0, -0.0, 30.0], dtype="float32"),
        pd.Series([1, 0.0, 30], dtype=object),
        pd.Series([True, False, 30], dtype=object),
        pd.Series([1, 0, 30], dtype="Int64"),
        pd.Series([1, 0, 30], dtype="category"),
        np.array([[1], [0], [30]]),
        np.array([[1.0], [0.0], [30.0]]),
    ],
    ids=lambda stored: str(getattr(stored, "dtype", "")),
)
def test_equal_numbers_have_equal_digests_however_they_are_stored(stored):
    table = pd.DataFrame({"a": stored}) if isinstance(stored, pd.Series) else stored

    np.testing.assert_array_equal(row_digests(table), row_digests(pd.DataFrame({"a": [1, 0, 30]})))


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
def test_all_kinds_of_missing_values_are_one(missing):
    table = pd.DataFrame({"a": pd.Series(["x", missing], dtype=object)})

    np.testing.assert_array_equal(
        row_digests(table), row_digests(pd.DataFrame({"a": ["x", None]}))
    )


def test_dates_have_equal_digests_however_they_are_stored():
    stamps = pd.DataFrame({"a": pd.to_datetime(["2020-01-31", "2021-12-01"])})
    others = [
        stamps.astype("datetime64[ns]"),
        stamps.astype(object),
        pd.DataFrame({"a": [datetime(2020, 1, 31), datetime(2021, 12, 1)]}),
        pd.DataFrame({"a": [date(2020, 1, 31), date(2021, 12, 1)]}),
    ]

    for other in others:
        np.testing.assert_array_equal(row_digests(other), row_digests(stamps))


@pytest.mark.parametrize(
    "name", ["skill", "height", "age", "job", "size", "since", "member", "planet", "notes"]
)
def test_rows_read_back_from_csv_and_parquet_have_their_digests(people, name):
    table = people(100).X[[name]]
    csv = pd.read_csv(io.StringIO(table.to_csv(index=False)))
    parquet = pd.read_parquet(io.BytesIO(table.to_parquet()))

    np.testing.assert_array_equal(row_digests(parquet), row_digests(table))
    np.testing.assert_array_equal(row_digests(csv), row_digests(table))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": ["ab"], "b": ["c"]}, {"a": ["a"], "b": ["bc"]}),
        ({"a": ["x"], "b": ["y"]}, {"a": ["y"], "b": ["x"]}),
        ({"a": [1], "b": [None]}, {"a": [None], "b": [1]}),
        ({"a": ["missing"]}, {"a": [None]}),
        ({"a": ["nan"]}, {"a": [np.nan]}),
        ({"a": [0.1]}, {"a": [0.1 + 1e-16]}),
        ({"a": [2**53]}, {"a": [2**53 + 1]}),
        ({"a": [10**400]}, {"a": [10**400 + 1]}),
        ({"a": ["x"]}, {"a": ["x "]}),
    ],
)
def test_other_content_has_another_digest(one, other):
    assert (row_digests(pd.DataFrame(one)) != row_digests(pd.DataFrame(other))).any()


def test_different_rows_have_different_digests():
    digests = row_digests(np.arange(20_000).reshape(-1, 2))

    assert len(np.unique(digests, axis=0)) == 10_000


# An encoder on disk


@pytest.fixture(scope="module")
def model(people):
    X, y, s = people(400)
    settings = {"n_bits": 3, "hidden": (8,), "epochs": 8, "random_state": 0}

    return InvariantClassifier(max_gap=0.5, features="both", **settings).fit(
        X, y, sensitive_features=pd.Series(s, name="sex")
    )


@pytest.fixture(scope="module")
def original(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("release") / "encoder"
    model.save(folder)

    return folder


@pytest.fixture
def saved(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "encoder"))


def quick(cls=InvariantEncoder, **settings):
    return cls(**{"n_bits": 2, "features": "raw", "hidden": (4,), "epochs": 2} | settings)


def edit(folder, **changes):
    """Change the manifest, and make its checksum fit again, as a forger would."""

    manifest = json.loads((folder / "encoder.json").read_text()) | changes
    del manifest["checksum"]
    content = json.dumps(manifest, sort_keys=True).encode()
    manifest["checksum"] = hashlib.sha256(content).hexdigest()
    (folder / "encoder.json").write_text(json.dumps(manifest))


def test_a_loaded_encoder_gives_the_same_bits_and_answers(model, saved, people):
    X = people(100, seed=1).X
    loaded = load(saved)

    assert type(loaded) is InvariantClassifier
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    np.testing.assert_array_equal(loaded.logits(X), model.logits(X))
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    np.testing.assert_array_equal(
        loaded.transform(X, ids=range(100)), model.transform(X, ids=range(100))
    )


def test_a_loaded_encoder_knows_what_it_is(model, saved):
    loaded = load(saved)

    assert loaded.certificate_ == model.certificate_
    assert loaded.path_ == model.path_
    assert loaded.key_ == model.key_
    assert loaded.classes_.tolist() == ["no", "yes"]
    assert loaded.groups_.tolist() == ["f", "m"]
    assert loaded.sensitive_names_ == ["sex"]
    assert loaded.feature_names_in_ == model.feature_names_in_
    assert loaded.get_params() | {"random_state": 0, "hidden": (8,)} == model.get_params()


def test_a_loaded_encoder_can_be_saved_again(model, saved, tmp_path, people):
    X = people(20, seed=1).X
    load(saved).save(tmp_path / "again")
    again = load(tmp_path / "again")

    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    assert again.certificate_ == model.certificate_


def test_the_folder_has_four_files_and_the_key_is_for_the_owner_only(model, saved):
    assert sorted(path.name for path in saved.iterdir()) == sorted(FILES)
    assert stat.S_IMODE((saved / "secret.key").stat().st_mode) == 0o600
    assert (saved / "secret.key").read_bytes() == model.key_
    for name in set(FILES) - {"secret.key"}:
        assert model.key_ not in (saved / name).read_bytes()


def test_a_given_key_is_only_in_its_file(people, tmp_path):
    key = b"a key that nobody else may know!"
    quick(key=key).fit(*people()[:2], sensitive_features=people().s).save(tmp_path / "encoder")

    assert load(tmp_path / "encoder").key_ == key
    assert key.decode() not in (tmp_path / "encoder" / "encoder.json").read_text()


@pytest.mark.parametrize(
    "s",
    [
        np.array([True, False]),
        np.array([3, 7]),
        np.array([0.5, 1.5]),
        np.array(["f", "m"]),
        np.array([["f", "old"], ["m", "young"]]),
        pd.DataFrame({"sex": ["f", "m"], "old": [1, 0], "height": [1.5, 1.75]}),
        pd.Series(pd.to_datetime(["2020-01-31", "2021-12-01"])),
        pd.DataFrame({"sex": ["f", "m"], "born": pd.to_datetime(["2020-01-31", "2021-12-01"])}),
    ],
    ids=["booleans", "integers", "floats", "text", "pairs", "triples", "dates", "date pairs"],
)
def test_every_label_that_can_be_fitted_comes_back(s, tmp_path):
    s = pd.DataFrame(s).iloc[np.arange(60) % 2]
    y = s.iloc[:, 0]
    fitted = quick().fit(np.arange(120.0).reshape(60, 2), y, sensitive_features=s)
    fitted.save(tmp_path / "encoder")
    loaded = load(tmp_path / "encoder")

    assert loaded.groups_.tolist() == fitted.groups_.tolist()
    assert loaded.classes_.tolist() == fitted.classes_.tolist()


@pytest.mark.usefixtures("unchecked")
def test_numbers_of_numpy_as_settings_can_be_saved(people, tmp_path):
    fitted = quick(n_bits=np.int64(3), strength=np.float32(0.5), hidden=np.array([4, 4]))
    fitted.fit(*people()[:2], sensitive_features=people().s).save(tmp_path / "encoder")

    np.testing.assert_array_equal(
        load(tmp_path / "encoder").transform(people().X), fitted.transform(people().X)
    )


def test_loading_leaves_the_global_seed_alone(saved):
    before = torch.get_rng_state()
    load(saved)

    assert torch.equal(torch.get_rng_state(), before)


def test_what_is_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        InvariantClassifier().save(tmp_path / "encoder")

    assert not any(tmp_path.iterdir())


# Damage


@pytest.mark.parametrize("place", [0, 0.3, 0.7, 1])
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused_with_its_file(saved, name, place):
    content = bytearray((saved / name).read_bytes())
    content[round(place * (len(content) - 1))] ^= 1
    (saved / name).write_bytes(content)

    with pytest.raises(ValueError, match=name):
        load(saved)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_with_its_name(saved, name):
    (saved / name).unlink()

    with pytest.raises(FileNotFoundError, match=name):
        load(saved)


def test_what_is_no_folder_of_an_encoder_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=f"{place} is no saved encoder"):
            load(place)


def test_a_certificate_that_was_edited_is_refused(saved):
    manifest = json.loads((saved / "encoder.json").read_text())
    manifest["certificate"]["gap"] = 0.01
    (saved / "encoder.json").write_text(json.dumps(manifest))

    with pytest.raises(ValueError, match=r"encoder\.json was changed after it was saved"):
        load(saved)


@pytest.mark.parametrize("content", ["", "hello", "[]", "{}", '{"format": 1}'])
def test_a_manifest_that_is_none_is_refused(saved, content):
    (saved / "encoder.json").write_text(content)

    with pytest.raises(ValueError, match=r"encoder\.json"):
        load(saved)


def test_another_format_is_refused_with_what_to_do(saved):
    edit(saved, format=2)

    with pytest.raises(ValueError, match=r"reads format 1\. Fit and save the encoder anew"):
        load(saved)


def test_versions_on_which_the_bits_depend_are_refused(saved):
    edit(saved, libraries={"scikit-learn": "0.1", "skrub": "0.1"})

    with pytest.raises(ValueError, match=r"saved with .*0\.1.*installed are"):
        load(saved)


def test_files_outside_the_folder_are_not_read(saved):
    (saved.parent / "outside").write_bytes(b"secret")
    outside = {"../outside": hashlib.sha256(b"secret").hexdigest()}
    edit(saved, files=json.loads((saved / "encoder.json").read_text())["files"] | outside)

    with pytest.raises(FileNotFoundError, match="outside"):
        load(saved)


class Trap:
    """What must not wake up."""

    sprung = False

    def __setstate__(self, state):
        Trap.sprung = True


@pytest.mark.parametrize("hidden_in", ["alone", "among the features"])
def test_a_foreign_type_is_refused_before_anything_runs(model, saved, hidden_in):
    features = skops.io.loads(
        (saved / "features.skops").read_bytes(),
        trusted=skops.io.get_untrusted_types(data=(saved / "features.skops").read_bytes()),
    )
    trap = Trap()
    trap.state = 1
    features.known_ = {"job": trap}
    content = skops.io.dumps(trap if hidden_in == "alone" else features)
    (saved / "features.skops").write_bytes(content)
    files = json.loads((saved / "encoder.json").read_text())["files"]
    edit(saved, files=files | {"features.skops": hashlib.sha256(content).hexdigest()})

    with pytest.raises(ValueError, match=r"types that no bitveil encoder has.*Trap"):
        load(saved)
    assert not Trap.sprung


# All or nothing


@pytest.mark.parametrize("there", ["folder", "empty folder", "file"])
def test_what_is_there_is_not_overwritten(model, tmp_path, there):
    target = tmp_path / "encoder"
    if there == "file":
        target.write_text("mine")
    else:
        target.mkdir()
    if there == "folder":
        (target / "mine").write_text("mine")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(FileExistsError, match=f"{target} exists already and is not overwritten"):
        model.save(target)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_without_a_parent_is_refused(model, tmp_path):
    with pytest.raises(FileNotFoundError, match=f"{tmp_path / 'no'} is no folder to write into"):
        model.save(tmp_path / "no" / "encoder")


@pytest.mark.parametrize("failing", range(4))
def test_nothing_is_left_where_saving_fails_in_the_middle(model, tmp_path, monkeypatch, failing):
    write, written = Path.write_bytes, []

    def full(path, content):
        if len(written) == failing:
            raise OSError("no space left on device")
        written.append(path)
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="no space left"):
        model.save(tmp_path / "encoder")

    assert len(written) == failing
    assert not any(tmp_path.iterdir())


def test_staged_files_appear_at_the_end_only(tmp_path):
    target = tmp_path / "codes.csv"
    with staged(target) as path:
        path.write_text("new")
        assert path.suffix == ".csv"
        assert not target.exists()

    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_the_old_file(tmp_path):
    (tmp_path / "codes.csv").write_text("old")

    def fail():
        with staged(tmp_path / "codes.csv", overwrite=True) as path:
            path.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert (tmp_path / "codes.csv").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_only_what_may_be_overwritten_is(tmp_path):
    (tmp_path / "codes.csv").write_text("old")
    with pytest.raises(FileExistsError), staged(tmp_path / "codes.csv"):
        pass
    with staged(tmp_path / "codes.csv", overwrite=True) as path:
        path.write_text("new")

    assert (tmp_path / "codes.csv").read_text() == "new"
