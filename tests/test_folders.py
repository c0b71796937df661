"""Folders: encoders that come back from disk as they were."""

import hashlib
import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.exceptions import NotFittedError

from bitveil.estimators import InvariantClassifier, InvariantEncoder, load
from bitveil.folders import libraries, staged

KEY = b"a key that is for these tests"
FILES = ("encoder.json", "weights.safetensors", "features.skops", "secret.key")


# An encoder on disk


@pytest.fixture(scope="module")
def model(people):
    X, y, s = people(400)
    settings = {"n_bits": 3, "hidden": (8,), "epochs": 8, "random_state": 0, "key": KEY}

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
    assert loaded.get_params() | {"random_state": 0, "key": KEY} == model.get_params()


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
    edit(saved, libraries=libraries() | {"skrub": "0.1"})

    with pytest.raises(ValueError, match=r"saved with .*0\.1.*installed are"):
        load(saved)


def test_files_outside_the_folder_are_not_read(saved):
    (saved.parent / "outside").write_bytes(b"secret")
    outside = {"../outside": hashlib.sha256(b"secret").hexdigest()}
    edit(saved, files=json.loads((saved / "encoder.json").read_text())["files"] | outside)

    with pytest.raises(ValueError, match=r"lists the files .*outside"):
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
