"""All commands under one name, and what happens to their warnings and errors."""

import warnings
from typing import Any

import typer

from bitveil.benchmark import command
from bitveil.cli.audit import audit_command
from bitveil.cli.compose import compose_command
from bitveil.cli.count import count_command
from bitveil.cli.demo import demo_command
from bitveil.cli.encode import encode_command
from bitveil.cli.fit import fit_command
from bitveil.cli.merge import merge_command
from bitveil.cli.messages import errors_as_lines, note
from bitveil.cli.monitor import monitor_command

__all__ = ["commands", "main"]

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
commands.command("count")(count_command)
commands.command("merge")(merge_command)
commands.command("compose")(compose_command)
commands.command("monitor")(monitor_command)
commands.add_typer(command.app, name="bench")


def main() -> None:
    """Run the command line. A mistake in the call or in a file gives one line and exit code 2."""

    said: set[str] = set()

    def once(message: Warning | str, *_args: Any, **_rest: Any) -> None:
        kind = str(message).partition("{")[0]  # each batch of rows may name other values
        if kind not in said:
            note(str(message))
        said.add(kind)

    with errors_as_lines(), warnings.catch_warnings():
        warnings.showwarning = once
        commands()
