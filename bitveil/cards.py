"""Cards: what anybody who gets published codes must know about them, on one sheet.

A card lies beside the codes, as Markdown for people and as JSON for programs. It says what the
codes are for, what is certified about them, how to read them, and what must not be done. It holds
neither the key nor the content of any row, and counts nothing by group.
"""

import datetime
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from bitveil.audits.headlines import among_those, certainty, headline
from bitveil.audits.record import Audit
from bitveil.audits.rounding import percent, points
from bitveil.audits.words import and_listed, group_name, rows_with_code
from bitveil.columns.printing import as_markdown, printable
from bitveil.estimators import InvariantEncoder
from bitveil.notebooks import certified_sentence

__all__ = ["CARD_SCHEMA", "Card", "CodeAnswer", "TargetAnswers", "card"]

CARD_SCHEMA = "bitveil.card/1"
"""The version of the JSON. Fields may be added; none is removed or changes its meaning."""

RARE = 10
"""A code of fewer rows is not listed: its answer could be about single people."""

_LISTED = 64  # codes of a target that are listed at most

_MUST_NOT = (
    "Do not publish other columns of these rows beside the codes. Whoever combines a code with "
    "other columns can learn more than the codes alone reveal.",
    "Do not try to find out who a row belongs to, and do not link the codes with other data about "
    "the same people.",
    "Do not give a row a second code, from another key or another fit. Several codes of one row "
    "reveal more than one.",
    "Do not publish probabilities, logits or thresholded bits. All that is said here is about the "
    "published codes only.",
    "Do not use the codes for another population, or years later, without a new audit.",
    "Do not call the codes anonymous for what is said here alone. In the sense of the GDPR that "
    "takes more: nobody may be singled out or linked by any means that are likely to be used.",
    "Do not pass on the folder of the encoder. It holds the key of the draws.",
)


@dataclass(frozen=True)
class CodeAnswer:
    """The best answer to one code.

    Attributes:
        code: The bits.
        rows: About how many rows have it, of those to fit and to select, before any are blank.
        answer: The most probable class, or the mean of a number.
        probabilities: The probability of each class, in the order of the classes; None for a
            number.
    """

    code: str
    rows: int
    answer: Any
    probabilities: tuple[float, ...] | None


@dataclass(frozen=True)
class TargetAnswers:
    """The best answers to the codes for one target.

    Attributes:
        target: Its name.
        classes: Its classes; None if it is a number.
        constant: The best answer without a code: for a blank row, or for a code that is not
            listed.
        codes: The answers to the listed codes, first those of many rows.
        n_rare: How many codes are not listed because they have fewer than 10 rows.
        n_more: How many other codes are not listed, since there are too many.
    """

    target: str
    classes: tuple[Any, ...] | None
    constant: CodeAnswer
    codes: tuple[CodeAnswer, ...]
    n_rare: int
    n_more: int


@dataclass(frozen=True)
class Card:
    """What anybody who gets published codes must know about them.

    Attributes:
        purpose: What the codes are for.
        contact: Whom to ask.
        date: The day of the card, as year-month-day.
        sensitive: The names of the sensitive columns.
        groups: The groups that they make.
        targets: The names of the targets.
        useful_for: What the codes are made to tell, in words: the targets, or the columns.
        goal: What was asked for: the names of the settings, and their values.
        says: What is certified, in a sentence.
        certificate: The certificate, field by field; None where nothing was certified.
        share: The probability that a row gets a code. The other rows stay blank.
        published: The columns that are published.
        reads: The columns that the encoder reads.
        answers: How to read the codes, target by target; empty without a target, or where a
            network reads them.
        price: What protection costs on held-out rows, in a sentence; empty where not known.
        audit: What an audit found on other rows, in sentences; empty without one.
        remarks: What else is known about the fit.
        must_not: What must not be done.
        version: The version of bitveil.
        schema: The version of the JSON.
    """

    purpose: str
    contact: str
    date: str
    sensitive: tuple[str, ...]
    groups: tuple[str, ...]
    targets: tuple[str, ...]
    useful_for: str
    goal: dict[str, Any]
    says: str
    certificate: dict[str, Any] | None
    share: float
    published: tuple[str, ...]
    reads: tuple[str, ...]
    answers: tuple[TargetAnswers, ...]
    price: str
    audit: tuple[str, ...]
    remarks: tuple[str, ...]
    must_not: tuple[str, ...]
    version: str
    schema: str = CARD_SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain values: strings, numbers, lists and dictionaries."""

        own: dict[str, Any] = json.loads(json.dumps(asdict(self), default=_plain_value))

        return own

    def to_json(self) -> str:
        """The card as JSON."""

        return json.dumps(self.to_dict(), indent=2) + "\n"

    def to_markdown(self) -> str:
        """The card as Markdown. Names from the data are escaped."""

        return "\n".join(self._markdown_lines()).rstrip() + "\n"

    def _markdown_lines(self) -> Iterator[str]:
        yield f"# Codes that hide {_listed_names(self.sensitive) or 'the sensitive attribute'}\n"
        yield f"{as_markdown(self.says, most=None)}\n"
        yield from _table_lines(("", ""), [*self._facts()])
        for sentence in (self.price, *self.audit):
            if sentence:
                yield f"{as_markdown(sentence, most=None)}\n"
        yield "## What must not be done\n"
        yield from (f"- {each}" for each in self.must_not)
        yield "\n## How to read the codes\n"
        for of_target in self.answers:
            yield from _answer_lines(of_target)
        if not self.answers:
            yield "No table of answers belongs to these codes.\n"
        if self.remarks:
            yield "## Remarks on the fit\n"
            yield from (f"- {as_markdown(remark, most=None)}" for remark in self.remarks)
            yield ""
        yield f"Made by bitveil {self.version}. Format: {self.schema}."

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "Purpose", as_markdown(self.purpose or "not stated", most=None)
        yield "Contact", as_markdown(self.contact or "not stated", most=None)
        yield "Date", self.date
        yield "Useful for", as_markdown(self.useful_for, most=None)
        groups = [as_markdown(group) for group in self.groups]
        yield "Groups that are compared", "; ".join(groups)
        goal = ", ".join(f"{name} = {value}" for name, value in self.goal.items())
        yield "Goal of the fit", as_markdown(goal, most=None) or "none"
        yield "Certificate", _certificate_words(self.certificate)
        yield "Rows with a code", as_markdown(_share_words(self.share))
        yield "Published columns", ", ".join(map(as_markdown, self.published))
        yield "Columns that the encoder reads", ", ".join(map(as_markdown, self.reads))


def card(
    model: InvariantEncoder,
    *,
    purpose: str = "",
    contact: str = "",
    audit: Audit | None = None,
    date: datetime.date | None = None,
) -> Card:
    """The card of the codes of a fitted encoder, to be published beside them.

    Codes that fewer than 10 rows have are not listed. Nothing is counted by group.

    Arguments:
        model: The fitted encoder.
        purpose: What the codes are for, in a sentence or two.
        contact: Whom to ask: a name, an address.
        audit: An audit of these codes on other rows, which the card sums up.
        date: The day of the card; None: today.

    Raises:
        NotFittedError: If the encoder is not fitted.

    Example:
        >>> from bitveil import InvariantClassifier
        >>> rng = np.random.default_rng(0)
        >>> X = rng.normal(size=(4000, 2))
        >>> y, s = np.where(X[:, 0] > 0, "yes", "no"), np.where(X[:, 1] > 0, "a", "b")
        >>> model = InvariantClassifier(1, max_gap=0.2, random_state=0)
        >>> found = card(model.fit(X, y, sensitive_features=s), purpose="A study")
        >>> print(found.says)
        No rule that sees only these codes treats a and b more than 20 percentage points
        differently (95 % certain).
        >>> sorted(each.answer for each in found.answers[0].codes)
        ['no', 'yes']
    """

    check_is_fitted(model, "coder_")
    certificate, schema = model.certificate_, model.schema_
    says = "No goal was set, so nothing is certified about these codes."
    if certificate is not None:
        says = certified_sentence(model, certificate)
    names = schema.feature_names or [f"column {j}" for j in range(schema.shape[0])]

    return Card(
        purpose=" ".join(purpose.split()),
        contact=" ".join(contact.split()),
        date=(date or datetime.date.today()).isoformat(),
        sensitive=tuple(str(name) for name in schema.sensitive_names or () if name is not None),
        groups=tuple(group_name(group) for group in model.groups_.tolist()),
        targets=tuple(str(name) for name in _target_names(model)),
        useful_for=_useful_for(model),
        goal=_goal_of(model),
        says=says,
        certificate=None if certificate is None else certificate.to_dict(),
        share=float(model.share_),
        published=tuple(model.coder_.columns),
        reads=tuple(map(str, names)) if len(schema.shape) == 1 else ("the pixels of an image",),
        answers=tuple(_answers_of(model)),
        price=_price_sentence(model),
        audit=() if audit is None else tuple(_audit_sentences(audit)),
        remarks=tuple(model.remarks_),
        must_not=_MUST_NOT,
        version=version("bitveil"),
    )


def _goal_of(model: InvariantEncoder) -> dict[str, Any]:
    goals = {"max_gap": model.max_gap, "max_information": model.max_information}
    asked = {name: float(value) for name, value in goals.items() if value is not None}

    return asked | {"criterion": model.criterion, "delta": float(model.delta)} if asked else {}


def _target_names(model: InvariantEncoder) -> list[Any]:
    """The names of the targets. One without a name is called target."""

    schema = model.schema_
    names = [schema.target_name] if len(schema.target.names) == 1 else [*schema.target.names]

    return ["target" if name is None else name for name in names]


def _useful_for(model: InvariantEncoder) -> str:
    """What the codes are made to tell, in words."""

    schema = model.schema_
    task = model.settings().task_for(schema.target, schema.shape)
    if task == "target":
        return and_listed([printable(name) for name in _target_names(model)])
    n = schema.shape[0]
    columns = f"the {n} columns" if n > 1 else "the column"
    read = "an image" if len(schema.shape) > 1 else f"{columns} that the encoder reads"
    told = {
        "columns": f"telling the contents of {read}",
        "reconstruction": f"rebuilding {read} with a decoder",
        "information": "telling a row from other rows",
    }
    no_target = "" if schema.target.names else " (no target was set)"

    return told[task] + no_target


def _answers_of(model: InvariantEncoder) -> Iterator[TargetAnswers]:
    """The answers to the codes for each target, from the tables of the decoder."""

    decoder, target = model.decoder_, model.schema_.target
    if decoder.network is not None or not decoder.tables:
        return
    codes = _all_codes(model.n_bits)
    bits = np.hstack([codes, np.zeros((len(codes), int(decoder.blanks)), np.uint8)])
    classes = [j for j, kind in enumerate(target.kinds) if kind == "classes"]
    numbers = [j for j, kind in enumerate(target.kinds) if kind == "numbers"]
    names = _target_names(model)
    chances = decoder.probabilities(bits) if classes else []
    for i, j in enumerate(classes):
        table = decoder.tables[f"target{i}"].numpy()
        rest = table.sum(1) / table.sum()
        values = tuple(target.classes[i].tolist())
        yield _listed_answers(names[j], values, codes, table.sum(0), chances[i], rest)
    means = decoder.means(bits) if numbers else np.zeros((0, 0))
    for i, j in enumerate(numbers):
        counts = decoder.tables["counts"][i].numpy()
        rest = np.array([target.means[i]])
        yield _listed_answers(names[j], None, codes, counts, means[:, i : i + 1], rest)


def _listed_answers(
    name: Any,
    classes: tuple[Any, ...] | None,
    codes: NDArray[np.uint8],
    counts: NDArray[np.float64],
    answers: NDArray[np.float64],
    constant: NDArray[np.float64],
) -> TargetAnswers:
    """The answers for one target: those to codes of enough rows, first the most frequent."""

    order = np.argsort(-counts, kind="stable")
    enough = [int(t) for t in order if counts[t] >= RARE]
    rare = int(((counts > 0.5) & (counts < RARE)).sum())
    words = ["".join(map(str, code)) for code in codes.tolist()]

    return TargetAnswers(
        str(name),
        classes,
        _code_answer("", counts.sum(), constant, classes),
        tuple(_code_answer(words[t], counts[t], answers[t], classes) for t in enough[:_LISTED]),
        rare,
        len(enough[_LISTED:]),
    )


def _code_answer(
    code: str, rows: float, numbers: NDArray[np.float64], classes: tuple[Any, ...] | None
) -> CodeAnswer:
    if classes is None:
        return CodeAnswer(code, round(rows), float(f"{numbers[0]:.4g}"), None)
    shares = tuple(round(float(share), 3) for share in numbers)

    return CodeAnswer(code, round(rows), classes[int(numbers.argmax())], shares)


def _all_codes(m: int) -> NDArray[np.uint8]:
    """All codes of m bits, in the order of their numbers."""

    return (np.arange(2**m)[:, None] >> np.arange(m - 1, -1, -1) & 1).astype(np.uint8)


def _price_sentence(model: InvariantEncoder) -> str:
    price = getattr(model, "price_", None)
    if price is None:
        return ""
    said = percent if price.measure == "accuracy" else "R² {:.3f}".format
    code, free = (
        f"{said(each.score)} with a gap of {points(each.gap)} points"
        for each in (price.protected, price.unprotected)
    )

    return f"On {price.rows}, answers from the codes reach {code}; without protection {free}."


def _audit_sentences(found: Audit) -> Iterator[str]:
    """What an audit found, for a reader of the card."""

    first = found.intervals[0]
    if found.broken:
        yield "An audit of other rows refutes the certificate. Do not use these codes."
        return
    sure = certainty(first.certificate.delta)
    yield f"An audit of {found.n_rows:,} other rows found (each bound {sure} certain):"
    among = among_those(first, found.target, found.positive)
    yield " ".join(map(str, headline(first, found.groups, among)))


def _certificate_words(found: dict[str, Any] | None) -> str:
    if found is None:
        return "none"

    return (
        f"{found['quantity']} at most {found['bound']:.4g}, wrong with probability at most "
        f"{found['delta']:g}, from {sum(found['sizes']):,} rows that were held out"
    )


def _share_words(share: float) -> str:
    return "all" if share == 1 else rows_with_code(share)


def _listed_names(names: Sequence[str]) -> str:
    return and_listed([as_markdown(name) for name in names])


def _answer_lines(found: TargetAnswers) -> Iterator[str]:
    """A target's answers as a table."""

    yield f"Best answers for {as_markdown(found.target)}:\n"
    shown = [*found.codes, found.constant]
    names = [each.code or "blank, or not listed" for each in shown]
    chances = [each.probabilities for each in shown]
    head = ["Code", "Rows, about", "Best answer" if found.classes else "Mean"]
    head += [f"Probability of {as_markdown(name)}" for name in found.classes or ()]
    rows = [
        (
            name,
            str(each.rows) if each.code else "",
            as_markdown(each.answer),
            *(f"{p:.3f}" for p in shares or ()),
        )
        for name, each, shares in zip(names, shown, chances, strict=True)
    ]
    yield from _table_lines(tuple(head), rows)
    if found.n_rare:
        yield f"Not listed: {found.n_rare} codes that fewer than {RARE} rows have.\n"
    if found.n_more:
        yield f"Not listed: {found.n_more} more codes. The first {len(found.codes)} are listed.\n"


def _table_lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _plain_value(value: Any) -> Any:
    """A value of the data as JSON holds it: numbers of numpy as numbers, all else as text."""

    return value.item() if isinstance(value, np.generic) else printable(value)
