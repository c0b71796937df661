"""The page of the command line: every command with its help, written at each build."""

from pathlib import Path
from typing import Any

PAGE = "command_line.md"


def page() -> str:
    """All commands as Markdown, by Typer."""

    from typer.cli import get_docs_for_click
    from typer.main import get_command

    from bitveil.cli.app import commands

    command = get_command(commands)
    context = command.context_class(command, info_name="bitveil")
    written = get_docs_for_click(obj=command, ctx=context, name="bitveil")

    return written.replace("# `bitveil`", "# The command line", 1)


def write(app: Any, config: Any) -> None:
    """Write the page beside the others, if it is new."""

    file, text = Path(app.srcdir) / PAGE, page()
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    """Do it before Sphinx looks for pages."""

    app.connect("config-inited", write)

    return {"parallel_read_safe": True, "parallel_write_safe": True}
