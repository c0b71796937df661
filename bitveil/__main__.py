"""`python -m bitveil` does the same as `bitveil`."""

from bitveil.cli import main

main()
