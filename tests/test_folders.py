"""Folders: an encoder comes back from disk unchanged, or is refused."""

import copy
import hashlib
import json
import pickle
import pprint
import secrets
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from bitveil.estimators import InvariantEncoder
from bitveil.folders import libraries
from bitveil.forests import Forest
from bitveil.mixtures import Mixture
from bitveil.models import InvariantClassifier, load
from builders import build

KEY = b"a key that is for these tests"
FILES = ("encoder.json", "weights.safetensors", "features.skops", "secret.key")


# An encoder on disk


@pytest.fixture(scope="module")
def model(people):
    X, y, s = people(400)
    settings = {"n_bits": 3, "hidden": (8,), "epochs": 8, "random_state": 0, "key": KEY}

    return build(InvariantClassifier, max_gap=0.5, features="both", **settings).fit(
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
    return build(cls, **{"n_bits": 2, "features": "raw", "hidden": (4,), "epochs": 2} | settings)


def edit(folder, **changes):
    """Change the manifest and make its checksum fit again, like a forger."""

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
    assert loaded.coder_.key == model.coder_.key
    assert loaded.classes_.tolist() == ["no", "yes"]
    assert loaded.groups_.tolist() == ["f", "m"]
    assert loaded.schema_.sensitive_names == ["sex"]
    assert loaded.feature_names_in_ == model.feature_names_in_
    unsaved = {"random_state": 0, "key": KEY, "training": model.training}
    assert loaded.get_params() | unsaved == model.get_params()


def test_a_loaded_encoder_can_be_saved_again(model, saved, tmp_path, people):
    X = people(20, seed=1).X
    load(saved).save(tmp_path / "again")
    again = load(tmp_path / "again")

    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    assert again.certificate_ == model.certificate_


def test_the_folder_has_four_files_and_the_key_is_for_the_owner_only(model, saved):
    assert sorted(path.name for path in saved.iterdir()) == sorted(FILES)
    assert stat.S_IMODE((saved / "secret.key").stat().st_mode) == 0o600
    assert (saved / "secret.key").read_bytes() == model.coder_.key
    for name in set(FILES) - {"secret.key"}:
        assert model.coder_.key not in (saved / name).read_bytes()


def test_a_given_key_is_only_in_its_file(people, tmp_path):
    key = b"a key that nobody else may know!"
    quick(key=key).fit(*people()[:2], sensitive_features=people().s).save(tmp_path / "encoder")

    assert load(tmp_path / "encoder").coder_.key == key
    assert key.decode() not in (tmp_path / "encoder" / "encoder.json").read_text()


def test_loading_leaves_the_global_seed_alone(saved):
    before = torch.get_rng_state()
    load(saved)

    assert torch.equal(torch.get_rng_state(), before)


def test_an_encoder_that_is_not_fitted_is_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        InvariantClassifier().save(tmp_path / "encoder")

    assert not any(tmp_path.iterdir())


# The key


def printed(model):
    """All forms in which a user may print a model."""

    return " ".join(
        [
            repr(model),
            str(vars(model)),
            repr(model.get_params()),
            f"{model.key} {model.coder_.key}",
            pprint.pformat(vars(model)),
            model._repr_html_() or "",
        ]
    )


def test_the_key_is_not_printed(people):
    key = b"a key that nobody else may know!"
    X, y, s = people(200)
    given = quick(key=key).fit(X, y, sensitive_features=s)
    drawn, seeded = (
        quick(random_state=seed).fit(X, y, sensitive_features=s) for seed in (None, 0)
    )
    copies = [clone(given), pickle.loads(pickle.dumps(given)), copy.deepcopy(given)]

    assert all(each.key == key for each in copies)
    assert copies[1].coder_.key == copies[2].coder_.key == key
    assert key.decode() not in repr([repr(each) + str(vars(each)) for each in copies])
    for model in (given, drawn, seeded):
        content = str(bytes(model.coder_.key))[2:-1]
        assert len(model.coder_.key) == 32
        assert content not in printed(model)
        assert "secret" in printed(model)
    drawn.coder_ = replace(drawn.coder_, key=key)  # as somebody does who gives the encoder away
    assert key.decode() not in printed(drawn)


def test_the_keys_of_a_loaded_encoder_and_a_mixture_are_not_printed(saved, people):
    loaded = load(saved)
    mixture = Mixture([loaded, loaded], [0.5, 0.5], key=b"a key that nobody else may know!")

    assert KEY.decode() not in str(vars(loaded)) + repr(loaded)
    assert KEY.decode() not in str(vars(mixture)) + repr(mixture)
    assert "nobody else" not in str(vars(mixture)) + repr(mixture.key)


def test_saving_warns_if_the_key_follows_from_the_seed(numbers, tmp_path):
    X, y, s = numbers
    seeded = quick(random_state=7).fit(X, y, sensitive_features=s)
    with pytest.warns(UserWarning, match=r"follows from `random_state=7`.*fit without it"):
        seeded.save(tmp_path / "seeded")

    quick().fit(X, y, sensitive_features=s).save(tmp_path / "drawn")
    quick(random_state=7, key=KEY).fit(X, y, sensitive_features=s).save(tmp_path / "given")
    seeded.coder_ = replace(seeded.coder_, key=secrets.token_bytes(32))
    seeded.set_params(key=seeded.coder_.key).save(tmp_path / "changed")


# Versions


@pytest.fixture
def upgraded(monkeypatch):
    """Another version of torch is installed."""

    versions = libraries() | {"torch": "99.0"}
    monkeypatch.setattr("bitveil.folders.libraries", lambda: versions)
    monkeypatch.setattr("bitveil.saving.libraries", lambda: versions)


@pytest.mark.parametrize("name", ["scikit-learn", "skrub", "torch"])
def test_another_version_with_the_same_bits_is_accepted_on_request(saved, model, people, name):
    edit(saved, libraries=libraries() | {name: "0.1"})
    with pytest.raises(
        ValueError, match=r"saved with .*0\.1.*installed are.*accept_versions=True"
    ):
        load(saved)
    X = people(100, seed=1).X

    np.testing.assert_array_equal(
        load(saved, accept_versions=True).transform(X), model.transform(X)
    )


@pytest.mark.usefixtures("upgraded")
def test_another_version_with_other_bits_is_refused(saved, monkeypatch):
    assert load(saved, accept_versions=True)
    sums = Forest.sums
    monkeypatch.setattr(Forest, "sums", lambda self, matrix: sums(self, matrix) / 2)

    with pytest.raises(
        ValueError, match=r"with .*99\.0.* get other codes than with .* of 192 bits"
    ):
        load(saved, accept_versions=True)


def test_a_network_with_the_same_weights_and_other_layers_is_refused(tmp_path):
    X, s = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 2
    layers = torch.nn.Linear(2, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)
    fitted = quick(encoder=torch.nn.Sequential(*layers)).fit(X, s, sensitive_features=s)
    fitted.save(tmp_path / "own")
    other = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[2])

    with pytest.raises(ValueError, match=r"`encoder` is another network, or .* was changed"):
        load(tmp_path / "own", encoder=other)


# Specimens


def test_specimens_are_invented(people, tmp_path):
    X, y, s = people(300)
    X["name"] = [f"Person Number{i} {i * 7919 % 1000}" for i in range(300)]
    fitted = quick().fit(X, y, sensitive_features=s)
    fitted.save(tmp_path / "encoder")
    made = load(tmp_path / "encoder").specimens_
    numbers = ["skill", "height", "age"]
    text = (tmp_path / "encoder" / "encoder.json").read_text()

    assert list(made) == list(X)
    assert not {*made["height"]} & {*X["height"]}
    for name in numbers:
        low, high = X[name].quantile([0.05, 0.95])
        assert made[name].dropna().between(low - 0.01 * abs(low), high + 0.01 * abs(high)).all()
    assert set(made["job"].dropna()) <= {"clerk", "cook", "smith"}
    assert not any(name in text for name in X["name"])
    assert made["skill"].isna().any()
    assert not made["height"].isna().any()


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


def test_a_folder_without_an_encoder_is_refused(tmp_path):
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=f"{place} is not a saved encoder"):
            load(place)


def test_a_certificate_that_was_edited_is_refused(saved):
    manifest = json.loads((saved / "encoder.json").read_text())
    manifest["certificate"]["bound"] = 0.01
    (saved / "encoder.json").write_text(json.dumps(manifest))

    with pytest.raises(ValueError, match=r"encoder\.json was changed after it was saved"):
        load(saved)


@pytest.mark.parametrize("content", ["", "hello", "[]", "{}", '{"format": 1}'])
def test_an_invalid_manifest_is_refused(saved, content):
    (saved / "encoder.json").write_text(content)

    with pytest.raises(ValueError, match=r"encoder\.json"):
        load(saved)


def test_another_format_is_refused_with_advice(saved):
    edit(saved, format=1)

    with pytest.raises(ValueError, match=r"reads format 2\. Fit and save the encoder again"):
        load(saved)


def test_other_versions_of_the_libraries_are_refused(saved):
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
    """A type whose code must not run."""

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
def test_existing_files_are_not_overwritten(model, tmp_path, there):
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
    with pytest.raises(FileNotFoundError, match=f"no folder {tmp_path / 'no'} to write into"):
        model.save(tmp_path / "no" / "encoder")


@pytest.mark.parametrize("failing", range(4))
def test_a_failure_while_saving_leaves_nothing(model, tmp_path, monkeypatch, failing):
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
