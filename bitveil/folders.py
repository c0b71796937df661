"""Folders: an encoder on disk.

A saved encoder is a folder with `encoder.json` (its settings and what it learned, with checksums),
`weights.safetensors`, `features.skops` and `secret.key`. Loading executes nothing: tensors and
JSON cannot be executed, and skops only rebuilds a fixed list of types. The checksums find damage
and careless edits. They do not stop a forger who computes new ones, so everything that is read is
also inspected.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from bitveil.frozen import Secret, check_key
from bitveil.inspection import blaming, check_archive, check_fitted_features, fits
from bitveil.staging import staged

__all__ = ["Parts", "check_mark", "libraries", "load_parts", "save_parts"]

FORMAT = 2
"""The version of the folder's layout. Folders of other versions are refused."""

FILES = {"weights.safetensors", "features.skops", "secret.key"}
"""The files beside `encoder.json`."""

_TRUSTED = [
    "numpy.dtype",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfMultinomialLoss",
    "sklearn._loss._loss.CyHalfSquaredError",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.decomposition._truncated_svd.TruncatedSVD",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier",
    "sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_extraction.text.TfidfTransformer",
    "sklearn.feature_extraction.text.TfidfVectorizer",
    "sklearn.impute._base.MissingIndicator",
    "sklearn.impute._base.SimpleImputer",
    "sklearn.linear_model._logistic.LogisticRegression",
    "sklearn.linear_model._ridge.Ridge",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing._data.StandardScaler",
    "sklearn.preprocessing._encoders.OneHotEncoder",
    "sklearn.preprocessing._label.LabelEncoder",
    "skrub._apply_to_each_col.ApplyToEachCol",
    "skrub._check_input.CheckInputDataFrame",
    "skrub._clean_categories.CleanCategories",
    "skrub._clean_null_strings.CleanNullStrings",
    "skrub._dataframe._common.is_any_date",
    "skrub._dataframe._common.is_categorical",
    "skrub._dataframe._common.is_numeric",
    "skrub._datetime_encoder.DatetimeEncoder",
    "skrub._drop_uninformative.DropUninformative",
    "skrub._duration_to_float.DurationToFloat",
    "skrub._string_encoder.StringEncoder",
    "skrub._table_vectorizer.PassThrough",
    "skrub._table_vectorizer.ShortReprDict",
    "skrub._table_vectorizer.TableVectorizer",
    "skrub._table_vectorizer._created_by_predicate",
    "skrub._to_datetime.ToDatetime",
    "skrub._to_float.ToFloat",
    "skrub._to_str.ToStr",
    "skrub.selectors._base.All",
    "skrub.selectors._base.And",
    "skrub.selectors._base.Cols",
    "skrub.selectors._base.Filter",
    "skrub.selectors._base.Sub",
    "skrub.selectors._selectors._cardinality_below",
    "bitveil.features.Features",
    "bitveil.posteriors.Pool",
    "bitveil.posteriors.Posterior",
    "bitveil.posteriors.PosteriorScore",
]


class Parts(NamedTuple):
    """The parts of an encoder on disk.

    Attributes:
        manifest: Its settings and what it learned, as JSON.
        weights: Its tensors, by name.
        features: Its fitted features.
        key: The secret key of its draws.
    """

    manifest: dict[str, Any]
    weights: dict[str, Tensor]
    features: Any
    key: bytes


def save_parts(directory: str | os.PathLike[str], parts: Parts) -> None:
    """Write a folder that `load_parts` can read, as a whole or not at all.

    Raises:
        FileExistsError: If the folder exists already.
        ValueError: If the features hold a model that `load_parts` would refuse.
    """

    from safetensors.torch import save

    contents = {
        "weights.safetensors": save(parts.weights),
        "features.skops": _archived(parts.features),
        "secret.key": parts.key,
    }
    manifest = {
        "format": FORMAT,
        "libraries": libraries(),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        **parts.manifest,
    }
    manifest["checksum"] = _checksum(manifest)
    contents["encoder.json"] = json.dumps(manifest, indent=2).encode()

    with staged(directory) as folder:
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        (folder / "secret.key").chmod(0o600)


def load_parts(directory: str | os.PathLike[str], *, accept_versions: bool = False) -> Parts:
    """Read a folder that `save_parts` wrote. Nothing in it is executed.

    Arguments:
        directory: The folder.
        accept_versions: Whether other versions of the libraries may have written it. The caller
            must then compare its bits.

    Raises:
        FileNotFoundError: If it is not the folder of an encoder, or a file is missing.
        ValueError: If a file was changed, or other versions wrote it.
    """

    import skops.io
    from safetensors.torch import load
    from sklearn.exceptions import InconsistentVersionWarning

    folder = Path(directory)
    manifest = _manifest(folder)
    saved = manifest["libraries"]
    if saved != libraries() and not accept_versions:
        raise ValueError(
            f"{folder} was saved with {saved}; installed are {libraries()}, whose bits could "
            "differ. `load(..., accept_versions=True)` loads it if the bits of its specimens are "
            "the same. Or install those versions, or fit the encoder again."
        )
    contents = {
        name: _checked_content(folder, name, sha) for name, sha in manifest["files"].items()
    }
    with blaming(folder), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", InconsistentVersionWarning
        )  # the bits are compared instead
        check_key(contents["secret.key"])
        check_archive(contents["features.skops"], _TRUSTED)
        features = skops.io.loads(contents["features.skops"], trusted=_TRUSTED)
        check_fitted_features(features)

        return Parts(
            manifest,
            load(contents["weights.safetensors"]),
            features,
            Secret(contents["secret.key"]),
        )


def _archived(features: Any) -> bytes:
    """The archive of fitted features. What `load_parts` would refuse is not saved."""

    import skops.io

    try:
        content: bytes = skops.io.dumps(features)
        check_archive(content, _TRUSTED)
        check_fitted_features(features)
    except Exception as error:
        raise ValueError(
            f"An encoder with `posteriors={features.posteriors!r}` cannot be saved: {error}. "
            "Loading a folder runs no foreign code. So it holds only logistic regression, ridge "
            "regression and histogram boosting of scikit-learn, or bitveil's own posteriors. Fit "
            "with one of these. Or keep the estimator with joblib, where only you can write."
        ) from error

    return content


def check_mark(folder: Path, fit: str) -> None:
    """Mark a folder of checkpoints with its fit, or refuse it if it belongs to another fit.

    Raises:
        ValueError: If it belongs to another fit, or its mark cannot be read.
    """

    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / "fit.json"
    if not mark.exists():
        with staged(mark) as path:
            path.write_text(json.dumps({"fit": fit}))
    try:
        marked = json.loads(mark.read_bytes())["fit"]
        damaged = not isinstance(marked, str)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        damaged = True
    if damaged:
        raise ValueError(
            f"{mark} is damaged: it does not say which fit the checkpoints belong to. Remove the "
            f"folder {folder}, and the fit starts from the beginning; or name another folder."
        )
    if marked != fit:
        raise ValueError(
            f"The checkpoint {folder} belongs to another fit, with other rows, settings or "
            "networks. Remove it, or name another folder."
        )


def libraries() -> dict[str, str]:
    """The versions of the libraries that decide the bits of a saved encoder."""

    return {name: version(name).split("+")[0] for name in ("scikit-learn", "skrub", "torch")}


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / "encoder.json"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a saved encoder: it has no encoder.json.")
    content = path.read_bytes()
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: it cannot be read as JSON ({error}).") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(
            f"{path} was not written by this version of bitveil, which reads format {FORMAT}. "
            "Fit and save the encoder again, or install the version that wrote it."
        )
    if manifest.pop("checksum", None) != _checksum(manifest):
        raise ValueError(f"{path} was changed after it was saved, and is not loaded.")
    for name in ("libraries", "files"):
        if not fits(manifest.get(name), dict[str, str]):
            raise ValueError(f"{path} was changed after it was saved: it has no `{name}`.")
    if set(manifest["files"]) != FILES:
        raise ValueError(
            f"{path} was changed after it was saved: it lists the files "
            f"{sorted(manifest['files'])}, and an encoder has {sorted(FILES)}."
        )

    return manifest


def _checked_content(folder: Path, name: str, sha: str) -> bytes:
    if not (folder / name).is_file():
        raise FileNotFoundError(f"{folder} is incomplete: {name} is missing.")
    content = (folder / name).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha:
        raise ValueError(f"{folder / name} was changed after it was saved, and is not loaded.")

    return content


def _checksum(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
