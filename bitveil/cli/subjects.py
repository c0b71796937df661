"""What can be audited from files: an encoder with rows, codes from anywhere, or counts."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bitveil.checks import check_roles
from bitveil.cli.progress import shown_steps
from bitveil.cli.tables import columns_of, features_of, ids_of, join, require

if TYPE_CHECKING:
    import pandas as pd

    from bitveil.audits import Audit

__all__ = ["Attackers", "Question", "audit_codes", "audit_counts", "audit_encoder"]

Attackers = Literal["quick", "all"]


@dataclass(frozen=True)
class Question:
    """What the user asks about the codes.

    Attributes:
        target: The column that the codes should predict.
        sensitive: The columns that they should hide.
        delta: The probability that the certificate may be wrong; None: the default.
        attackers: The attackers to train.
        id: The column that identifies rows.
    """

    target: str | None
    sensitive: list[str]
    delta: float | None
    attackers: Attackers
    id: str | None

    @property
    def roles(self) -> list[str]:
        """The sensitive columns and the target, as far as they are named."""

        return [*self.sensitive, *([] if self.target is None else [self.target])]

    @property
    def settings(self) -> dict[str, Any]:
        """What every audit takes."""

        delta = {} if self.delta is None else {"delta": self.delta}

        return {"attackers": self.attackers, **delta}


@shown_steps()
def audit_encoder(model: Path, file: Path, asked: Question) -> "Audit":
    """Audit the codes that an encoder gives to the rows of a table."""

    from bitveil.columns.files import read_table
    from bitveil.models import load
    from bitveil.sources import is_large
    from bitveil.steps import say_step

    say_step("reading the rows")
    encoder = load(model)
    if is_large(file):
        return _audit_files(encoder, file, asked)
    sensitive = list(asked.sensitive or encoder.schema_.sensitive_names or [])
    if not sensitive:
        raise ValueError(
            f"{model} does not say which column is sensitive. Name it with --sensitive."
        )
    check_roles([*sensitive, asked.target, asked.id])
    targets = [asked.target] if asked.target else [*encoder.schema_.target.names]
    table = read_table(file, typed=[*sensitive, *targets])
    require(table, [*sensitive, asked.target], file)
    known = bool(targets) and all(name in table for name in targets)

    return encoder.audit(
        features_of(encoder, table, model, file),
        columns_of(table, targets) if known else None,
        sensitive_features=columns_of(table, sensitive),
        ids=ids_of(table, asked.id, file),
        **asked.settings,
    )


def _audit_files(encoder: Any, file: Path, asked: Question) -> "Audit":
    """Audit the codes of more rows than are read at once."""

    from bitveil.sources import open_source
    from bitveil.stream_audits import audit_source

    return audit_source(
        encoder,
        open_source(str(file)),
        sensitive=asked.sensitive or None,
        target=asked.target,
        ids=asked.id,
        **asked.settings,
    )


@shown_steps()
def audit_codes(codes: Path, file: Path | None, columns: list[str], asked: Question) -> "Audit":
    """Audit published columns of a table, whoever made them.

    Arguments:
        codes: The table with the codes.
        file: A table with the attributes; None: they are in the table of the codes.
        columns: The columns that are published; none: all without another role.
        asked: What to find out.
    """

    from bitveil.audits import audit

    _check_codes(file, columns, asked)
    table = _coded_rows(codes, file, columns, asked)
    require(table, asked.roles, file or codes)
    _check_sensitive(table[asked.sensitive])
    published = columns or [str(name) for name in table if name not in {*asked.roles, asked.id}]
    if not published:
        raise ValueError(f"{codes} has no column left that could be a code.")

    return audit(
        columns_of(table, published),
        columns_of(table, asked.sensitive),
        table[asked.target] if asked.target else None,
        ids=ids_of(table, asked.id, file or codes),
        **asked.settings,
    )


@shown_steps()
def audit_counts(file: Path, asked: Question) -> "Audit":
    """Audit a table of counts."""

    from bitveil.audits import audit_table
    from bitveil.columns.files import read_table

    if file.suffix == ".counts":
        raise ValueError(
            f"{file} holds counts by `bitveil count`. Certify them with: bitveil merge {file}"
        )
    if len(asked.sensitive) != 1 or asked.target is not None:
        raise ValueError(
            "--counts needs exactly one --sensitive, the column of the groups, and no --target."
        )
    table = read_table(file)
    require(table, asked.sensitive, file)

    return audit_table(table.set_index(asked.sensitive[0]), **asked.settings)


def _check_codes(file: Path | None, columns: list[str], asked: Question) -> None:
    if not asked.sensitive:
        raise ValueError("--codes needs --sensitive, the column that the codes should hide.")
    if file is not None and file.is_dir():
        raise ValueError(
            f"{file} is a folder. With --codes, name the table that has the attributes. Leave "
            "--codes out to audit an encoder."
        )
    check_roles([*columns, *asked.roles, asked.id])


def _coded_rows(
    codes: Path, file: Path | None, columns: list[str], asked: Question
) -> "pd.DataFrame":
    """The table of the codes, joined with the attributes if they are in another file."""

    from bitveil.columns.files import read_table

    table = read_table(codes, untyped=[asked.id])
    require(table, [*columns, asked.id], codes)
    if file is None:
        return table
    if asked.id is None:
        raise ValueError(
            f"{codes} and {file} can only be joined by a column of ids that both have. Name it "
            "with --id."
        )
    attributes = read_table(file, untyped=[asked.id])

    return join(table, attributes, asked.id, asked.roles, (codes, file))


def _check_sensitive(columns: "pd.DataFrame") -> None:
    """Refuse sensitive columns that make no groups. The error names the column."""

    from bitveil.columns.labels import number_labels

    for name in columns:
        number_labels(f"--sensitive {name}", columns[name], len(columns))
