"""The main job on Adult: how much accuracy protection costs, and what the codes reveal."""

import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from bitveil.audits import Audit
from bitveil.audits.attacks import attack
from bitveil.audits.fairness import parity_gap
from bitveil.audits.families import FAMILIES
from bitveil.audits.probes import Split
from bitveil.datasets.adult import load_adult
from bitveil.models import InvariantClassifier
from bitveil.steps import say_step
from bitveil.training import Training
from bitveil.workers import one_thread

__all__ = ["Demo", "demo"]


@dataclass(frozen=True)
class Demo:
    """What the demonstration measured. The test rows are the official ones of Adult.

    Attributes:
        test_accuracy: The accuracy of the classifier that sees only the published codes.
        unprotected_accuracy: The accuracy of boosting on the raw columns.
        certified_gap: The certified upper bound on the parity gap of any classifier of the codes.
        delta: The probability that the certificate may be wrong.
        empirical_gap: The parity gap of the classifier of the codes, on the test rows.
        unprotected_gap: The parity gap of boosting on the raw columns, on the test rows.
        attacker_auc_raw: The higher AUC of a linear and a boosted attacker on the raw columns.
        attacker_auc_codes: The same for the codes. Both attackers learn from all training rows.
        joint_information_bits: The information of the codes about sex, on the test rows.
        n_bits: The number of bits of a code.
        seconds: The seconds that the demonstration took.
        audit: The audit of the codes of the test rows.
    """

    test_accuracy: float
    unprotected_accuracy: float
    certified_gap: float
    delta: float
    empirical_gap: float
    unprotected_gap: float
    attacker_auc_raw: float
    attacker_auc_codes: float
    joint_information_bits: float
    n_bits: int
    seconds: float
    audit: Audit = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The numbers without the audit."""

        return {name: value for name, value in asdict(self).items() if name != "audit"}


@one_thread()
def demo(*, max_gap: float = 0.10, random_state: int = 0, verbose: int = 0) -> Demo:
    """Fit, encode and audit Adult, with income above 50,000 as target and sex as sensitive."""

    start = time.perf_counter()
    adult = load_adult()
    rows = np.asarray(adult.official_test)
    X, X_test = adult.without("sex")[~rows], adult.without("sex")[rows]
    y, y_test = adult.target[~rows], adult.target[rows]
    sex, sex_test = adult.sensitive["sex"][~rows], adult.sensitive["sex"][rows]
    s, s_test = (np.asarray(column == "Male", np.int64) for column in (sex, sex_test))

    # The number of a row identifies its person, so no two people share a draw.
    training = Training(verbose=verbose)
    model = InvariantClassifier(max_gap=max_gap, training=training, random_state=random_state)
    model.fit(X, y, sensitive_features=sex, ids=X.index)
    certificate = model.certificate_
    assert certificate is not None
    codes, codes_test = model.transform(X, ids=X.index), model.transform(X_test, ids=X_test.index)
    found = model.audit(X_test, y_test, sensitive_features=sex_test, ids=X_test.index)

    raw, raw_test = _numbers(X, X_test)
    answers = model.classes_[model.decode(codes_test).argmax(1)]
    say_step("training a model without protection")
    unprotected = FAMILIES["boosting"]().fit(raw, y).predict(raw_test)

    return Demo(
        test_accuracy=float(np.mean(answers == y_test)),
        unprotected_accuracy=float(np.mean(unprotected == y_test)),
        certified_gap=certificate.bound,
        delta=certificate.delta,
        empirical_gap=parity_gap(answers, s_test),
        unprotected_gap=parity_gap(unprotected, s_test),
        attacker_auc_raw=max(p.auc for p in attack(Split(raw, s, raw_test, s_test))),
        attacker_auc_codes=max(p.auc for p in attack(Split(codes, s, codes_test, s_test))),
        joint_information_bits=found.information_bits,
        n_bits=model.n_bits,
        seconds=time.perf_counter() - start,
        audit=found,
    )


def _numbers(X: pd.DataFrame, X_test: pd.DataFrame) -> tuple[NDArray[Any], NDArray[Any]]:
    """The raw columns as numbers, with the median in place of missing ones."""

    from skrub import StringEncoder, TableVectorizer

    columns = TableVectorizer(high_cardinality=StringEncoder(random_state=0))
    vectorizer = make_pipeline(columns, SimpleImputer(strategy="median"))

    return np.asarray(vectorizer.fit_transform(X)), np.asarray(vectorizer.transform(X_test))
