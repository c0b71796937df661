"""`bitveil card`: what anybody who gets the codes must know, as Markdown and as JSON."""

from pathlib import Path
from typing import Annotated

import typer

from bitveil.cli.checks import check_output, check_suffix
from bitveil.cli.messages import say
from bitveil.cli.options import Encoder, Force

__all__ = ["card_command"]


def card_command(
    model: Encoder,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The .md to write, such as codes.card.md. A .json of the same name is written "
            "beside it.",
        ),
    ],
    purpose: Annotated[
        str, typer.Option(help="What the codes are for, in a sentence or two.")
    ] = "",
    contact: Annotated[str, typer.Option(help="Whom to ask: a name, an address.")] = "",
    force: Force = False,
) -> None:
    """Write the card of an encoder's codes, to be published beside them.

    It says what is certified, how to read the codes, and what must not be done with them. It
    holds neither the key nor the content of a row. Codes of fewer than 10 rows are not listed.
    """

    from bitveil.cards import card
    from bitveil.models import load
    from bitveil.staging import staged

    check_suffix(output, ".md")
    other = output.with_suffix(".json")
    for path in (output, other):
        check_output(path, [model], force=force)
    found = card(load(model), purpose=purpose, contact=contact)
    for path, content in ((output, found.to_markdown()), (other, found.to_json())):
        with staged(path, overwrite=force) as place:
            place.write_text(content, encoding="utf-8")
    say(f"The card is in {output} and {other}")
