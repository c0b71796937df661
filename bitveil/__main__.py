"""`python -m bitveil` is `bitveil`."""

from bitveil.cli import main

main()
