"""All commands under one name, and what happens to their warnings and errors."""

import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from bitveil.benchmark import command
from bitveil.cli.audit import audit_command
from bitveil.cli.card import card_command
from bitveil.cli.count import count_command
from bitveil.cli.demo import demo_command
from bitveil.cli.encode import encode_command
from bitveil.cli.fit import fit_command
from bitveil.cli.merge import merge_command
from bitveil.cli.messages import errors_as_lines, note

__all__ = ["commands", "main"]

_FAULT = 3
"""The exit code if bitveil itself fails, since 1 is a verdict and 2 a mistake in the call."""

commands = typer.Typer(
    help="Publish codes that are useful for a target and certified to reveal little about a "
    "sensitive attribute.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
commands.command("demo")(demo_command)
commands.command("fit")(fit_command)
commands.command("encode")(encode_command)
commands.command("audit")(audit_command)
commands.command("card")(card_command)
commands.command("count")(count_command)
commands.command("merge")(merge_command)
commands.add_typer(command.app, name="bench")


def main() -> None:
    """Run the command line.

    A mistake in the call or in a file gives one line and exit code 2. If bitveil itself fails, the
    traceback says where, and the exit code is 3.
    """

    said: set[str] = set()

    def once(message: Warning | str, *_args: Any, **_rest: Any) -> None:
        kind = str(message).partition("{")[0]  # each batch of rows may name other values
        if kind not in said:
            note(str(message))
        said.add(kind)

    with errors_as_lines(), _faults_apart(), warnings.catch_warnings():
        warnings.showwarning = once
        commands()


@contextmanager
def _faults_apart() -> Iterator[None]:
    """Give faults of bitveil an exit code of their own."""

    try:
        yield
    except (ValueError, OSError):
        raise
    except Exception as error:
        traceback.print_exc()
        raise SystemExit(_FAULT) from error
