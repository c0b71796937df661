"""Tampering: a folder that somebody changed gives one clear error, or an encoder that works.

The forger here makes all checksums fit again.
"""

import hashlib
import io
import json
import re
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import skops.io
import torch

from bitveil.estimators import InvariantEncoder
from bitveil.inspection import check_fitted_features
from bitveil.models import InvariantClassifier, InvariantRegressor, load
from builders import build

KEY = b"a key for the tests"
N = 120


def table(kind="numbers"):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, 2))
    s = pd.DataFrame({"age": rng.normal(50, 9, N), "sex": rng.choice(["f", "m"], N)})
    y = np.where(X[:, 0] > 0, "yes", "no")
    if kind == "frame":
        names = [f"{a} {b}" for a, b in rng.integers(1000, size=(N, 2))]
        jobs = rng.choice(["cook", "smith"], N)
        X = pd.DataFrame({"skill": X[:, 0], ("job", 1): jobs, 7: names})

    return X, y, s


def fitted(cls=InvariantClassifier, features="raw", kind="numbers", **settings):
    X, y, s = table(kind)
    y = X[:, 0] + 0.5 if cls is InvariantRegressor else y
    settings = {"n_bits": 3, "hidden": (4,), "epochs": 1, "bins": 2, "key": KEY} | settings

    return build(cls, features=features, **settings).fit(X, y, sensitive_features=s, ids=range(N))


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tampering") / "encoder"
    fitted(max_gap=1.0).save(folder)

    return folder


@pytest.fixture
def copy(original, tmp_path):
    return Path(shutil.copytree(original, tmp_path / "encoder"))


@pytest.fixture(scope="module")
def frame(tmp_path_factory):
    """The folder of an encoder for a table with texts, some of which are read by their letters."""

    folder = tmp_path_factory.mktemp("tampering") / "frame"
    fitted(InvariantEncoder, kind="frame").save(folder)

    return folder


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """The folder of an encoder with boosted trees."""

    folder = tmp_path_factory.mktemp("tampering") / "trees"
    fitted(InvariantEncoder, "posterior").save(folder)

    return folder


def forge(folder, manifest=None, **contents):
    """Write some files, and a manifest whose checksums fit."""

    manifest = manifest or json.loads((folder / "encoder.json").read_text())
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        manifest["files"][name] = hashlib.sha256(content).hexdigest()
    manifest.pop("checksum", None)
    checksum = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    (folder / "encoder.json").write_text(json.dumps(manifest | {"checksum": checksum}))


def attempt(act, *given):
    """The result of an act, or the error that it raises for the user."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return act(*given), None
        except (ValueError, FileNotFoundError) as error:
            return None, error


def outcome(folder, kind="numbers"):
    """Load and use an encoder: the error, which names the folder, or None if all works."""

    X, _, s = table(kind)
    model, error = attempt(load, folder)
    if error is not None:
        assert str(folder) in str(error)
        assert len(str(error)) < 2000
        return error
    assert model.transform(X).shape == (N, model.n_bits)
    assert model.shared_rows(X) == 0
    assert str(model.certificate_)
    assert repr(model)
    assert len(model.groups_) > 1
    if hasattr(model, "predict"):
        assert len(model.predict(X)) == N
    _, error = attempt(model.sensitive_groups, s)
    assert error is None or "sensitive_features" in str(error)

    return None


def places(content, path=()):
    """The path of every value in a manifest, also of lists and dicts."""

    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in pairs:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def changed(content, path, change):
    """The content with one value changed, or with one key removed."""

    content = json.loads(json.dumps(content))
    holder = content
    for key in path[:-1]:
        holder = holder[key]
    if change == "lost":
        del holder[path[-1]]
    else:
        holder[path[-1]] = change(holder[path[-1]])

    return content


DEEP = json.loads("[" * 400 + "]" * 400)
CHANGES = [
    "lost",
    lambda value: None,
    lambda value: -1,
    lambda value: 10**12,
    lambda value: "x",
    lambda value: [],
    lambda value: {},
    lambda value: [value],
    lambda value: {"array": ["int64", [10**30]]},
    lambda value: float("nan"),
    lambda value: DEEP,
    lambda value: not value,
    lambda value: {"interval": [0, "x", "right"]},
]


# The manifest


def test_unchanged_folders_are_loaded(copy, frame, trees):
    forge(copy)

    assert outcome(copy) is outcome(trees) is outcome(frame, "frame") is None


@pytest.mark.parametrize("turn", range(3))
def test_every_value_of_the_manifest_may_be_changed(copy, turn):
    what = json.loads((copy / "encoder.json").read_text())
    paths, refused = list(places(what)), 0
    for number, path in enumerate(paths):
        change = CHANGES[(number + 5 * turn) % len(CHANGES)]
        forge(copy, changed(what, path, change))
        refused += outcome(copy) is not None

    assert len(paths) > 100
    assert refused > 0.6 * len(paths)


@pytest.mark.parametrize("turn", range(2))
def test_every_cell_of_the_specimens_may_be_changed(frame, tmp_path, turn):
    copy = Path(shutil.copytree(frame, tmp_path / "encoder"))
    what = json.loads((copy / "encoder.json").read_text())
    paths = [path for path in places(what["specimens"]) if path[2:] in ((), (0,))]
    for number, path in enumerate(paths):
        change = CHANGES[(number + 3 * turn) % len(CHANGES)]
        forge(copy, what | {"specimens": changed(what["specimens"], path, change)})
        outcome(copy, "frame")

    assert len(paths) >= 6


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"format": ' + "[" * 100_000,
        '{"format": 1, "a": ' + '{"a": ' * 100_000 + "1" + "}" * 100_001,
        '{"format": ' + "1" * 10_000 + "}",
        "\x00" * 100,
    ],
    ids=["nested", "open", "nested objects", "digits", "nothing"],
)
def test_text_that_cannot_be_read_is_refused(copy, text):
    (copy / "encoder.json").write_text(text)

    assert "encoder.json" in str(outcome(copy))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_bits", 10**9),
        ("n_bits", 2**62),
        ("hidden", {"tuple": [10**9]}),
        ("hidden", [10**6] * 9),
    ],
)
def test_giant_networks_are_refused_before_they_are_made(copy, name, value):
    what = json.loads((copy / "encoder.json").read_text())
    part = "params" if name in what["params"] else "training"
    forge(copy, what | {part: what[part] | {name: value}})

    assert "other tensors than expected" in str(outcome(copy)) or "cannot be" in str(outcome(copy))


def test_giant_images_are_refused_before_anything_is_made(copy):
    what = json.loads((copy / "encoder.json").read_text())
    what["features_shape"] = {"tuple": [3, 10**9, 10**9]}
    forge(copy, what)

    assert "other tensors than expected" in str(outcome(copy))


# The files


@pytest.mark.parametrize("name", ["weights.safetensors", "features.skops", "secret.key"])
def test_every_file_may_be_cut_flipped_or_replaced(copy, name):
    content = (copy / name).read_bytes()
    rng = np.random.default_rng(0)
    contents = [b"", b"x", bytes(len(content)), b"PK\x03\x04", content * 2, content[1:]]
    contents += [content[: len(content) * share // 10] for share in range(1, 10)]
    for place in rng.integers(len(content), size=25):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.integers(8)
        contents.append(bytes(flipped))
    for other in contents:
        forge(copy, **{name: other})
        outcome(copy)


@pytest.mark.parametrize("name", ["weights.safetensors", "features.skops", "secret.key"])
def test_a_file_of_another_encoder_is_refused(copy, tmp_path, name):
    X, y, s = table()
    settings = {"features": "raw", "hidden": (4,), "epochs": 1, "bins": 2, "key": bytes(32)}
    build(InvariantClassifier, 3, **settings).fit(X + 1, y, sensitive_features=s).save(
        tmp_path / "other"
    )
    forge(copy, **{name: (tmp_path / "other" / name).read_bytes()})

    assert "its specimens get other codes" in str(outcome(copy))


@pytest.mark.parametrize("number", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["encoder.0.weight", "tables.target0"])
def test_numbers_that_are_not_finite_are_refused(copy, name, number):
    weights = safetensors.torch.load((copy / "weights.safetensors").read_bytes())
    weights[name][0, 0] = number
    forge(copy, **{"weights.safetensors": safetensors.torch.save(weights)})

    assert "not finite" in str(outcome(copy))


def test_every_tensor_may_be_changed(copy):
    weights = safetensors.torch.load((copy / "weights.safetensors").read_bytes())
    for name, tensor in weights.items():
        others = [None, tensor[:0], torch.zeros(()), tensor.unsqueeze(0), tensor.bool()]
        for other in others:
            some = {n: w for n, w in weights.items() if n != name}
            some |= {} if other is None else {name: other.contiguous()}
            forge(copy, **{"weights.safetensors": safetensors.torch.save(some)})
            outcome(copy)


# The archive of the features


def archive(content, compression=zipfile.ZIP_STORED, **parts):
    """The archive with some parts replaced or added, or compressed."""

    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w") as new:
        for part in old.infolist():
            given = parts.pop(part.filename, old.read(part.filename))
            new.writestr(part.filename, given, compression)
        for name, given in parts.items():
            new.writestr(name, given, compression)

    return made.getvalue()


def test_a_bomb_is_refused_before_it_is_unpacked(copy):
    content = (copy / "features.skops").read_bytes()
    bomb = archive(content, zipfile.ZIP_DEFLATED, **{"0.npy": bytes(10**8)})
    assert len(bomb) < 10**6
    forge(copy, **{"features.skops": bomb})

    assert "compressed parts" in str(outcome(copy))


def test_sparse_parts_are_refused_because_they_may_hold_bombs(copy):
    content = (copy / "features.skops").read_bytes()
    forge(copy, **{"features.skops": archive(content, **{"1.npz": b"PK"})})

    assert "parts that no encoder has" in str(outcome(copy))


@pytest.mark.parametrize("turn", range(2))
def test_every_value_of_the_schema_may_be_changed(copy, turn):
    content = (copy / "features.skops").read_bytes()
    schema = json.loads(zipfile.ZipFile(io.BytesIO(content)).read("schema.json"))
    paths = list(places(schema))
    for number, path in enumerate(paths[turn :: len(paths) // 60]):
        change = CHANGES[(number + turn) % len(CHANGES)]
        other = json.dumps(changed(schema, path, change))
        forge(copy, **{"features.skops": archive(content, **{"schema.json": other})})
        outcome(copy)


def test_arrays_with_a_giant_declared_shape_are_refused(copy):
    content = (copy / "features.skops").read_bytes()
    whole = zipfile.ZipFile(io.BytesIO(content))
    names = [name for name in whole.namelist() if name.endswith(".npy")]
    text = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    giant = whole.read(names[0])[:8] + len(text).to_bytes(2, "little") + text + bytes(16)
    forge(copy, **{"features.skops": archive(content, **dict.fromkeys(names, giant))})

    assert outcome(copy) is not None


# Trees and vocabularies


def boosting_of(features):
    return features.posteriors_[0].models[-1]


def tree_of(features):
    return boosting_of(features)._predictors[0][0]


def say(field, value):
    def change(features):
        nodes = tree_of(features).nodes
        nodes[field][0] = value

    return change


def chop(features):
    tree_of(features).nodes = tree_of(features).nodes[:1]


def retype(features):
    tree_of(features).nodes = tree_of(features).nodes.view(np.uint8)


def widen(features):
    del boosting_of(features).n_features_in_


def lose(features):
    boosting_of(features)._predictors[0] = []


def empty(features):
    tree_of(features).raw_left_cat_bitsets = np.zeros((0, 7), np.uint32)


@pytest.mark.parametrize(
    "change",
    [
        *(say(side, child) for side in ("left", "right") for child in (0, 10**6, 2**32 - 1)),
        *(say("feature_idx", column) for column in (-1, 2, 10**9)),
        say("is_categorical", 1),
        say("value", np.nan),
        chop,
        retype,
        widen,
        lose,
        empty,
    ],
)
def test_nodes_that_form_no_tree_are_refused(trees, tmp_path, change):
    copy = Path(shutil.copytree(trees, tmp_path / "encoder"))
    content = (copy / "features.skops").read_bytes()
    features = skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))
    check_fitted_features(features)
    change(features)
    forge(copy, **{"features.skops": skops.io.dumps(features)})

    assert re.search(r"a tree|a boosting|PREDICTOR|bin_threshold", str(outcome(copy)))


@pytest.mark.parametrize("place", [-1, 10**6, "1", None])
def test_words_without_a_column_are_refused(frame, tmp_path, place):
    copy = Path(shutil.copytree(frame, tmp_path / "encoder"))
    content = (copy / "features.skops").read_bytes()
    features = skops.io.loads(content, trusted=skops.io.get_untrusted_types(data=content))
    encoder = features.vectorizer_.transformers_["7"]
    words = encoder.vectorizer_.vocabulary_
    words[next(iter(words))] = place
    forge(copy, **{"features.skops": skops.io.dumps(features)})

    assert "vocabulary" in str(outcome(copy, "frame"))


def test_an_archive_of_something_else_is_refused(copy):
    forge(copy, **{"features.skops": skops.io.dumps({"kind": "raw"})})

    assert "holds a dict" in str(outcome(copy))
