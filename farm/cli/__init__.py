"""The command line: parse, call `farm.client`, print; exit codes.

A thin skin. One module per family of commands; what they need is imported inside the command, so that
`farm --help` answers at once. Data goes to stdout, words for people to stderr.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script `farm`."""
    from farm.cli.app import run

    sys.exit(run(sys.argv[1:]))


__all__ = ["main"]
