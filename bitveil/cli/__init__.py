"""The command line: fit, encode and audit tables on disk, and run a demonstration."""

from bitveil.cli.app import main

__all__ = ["main"]
