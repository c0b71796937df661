"""What pages that work offline share: how templates are filled, their head, and their hashes."""

import base64
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["integrity", "page_environment"]


def page_environment(
    package: str, folder: str, finalize: Callable[[Any], Any] | None = None
) -> "Environment":
    """An environment for the templates of a package, which may also use `head.html`.

    Arguments:
        package: The package that has the templates.
        folder: Their folder inside it.
        finalize: What is done with each value before it is escaped; None: nothing.
    """

    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    shared = PackageLoader("bitveil.audits.page", "templates")

    return Environment(
        loader=ChoiceLoader([PackageLoader(package, folder), shared]),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def integrity(content: str) -> str:
    """The hash that allows a page its own style or script, and no other."""

    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
