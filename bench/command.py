"""What the long benchmarks have in common as commands: lines of progress, and an end in one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

from farm.contract.errors import FarmError


def say(text: str) -> None:
    """A line of progress, with the time of day."""
    print(time.strftime("%H:%M:%S"), text, flush=True)


def run(main: Callable[[Sequence[str]], int]) -> None:
    """Run `main` with the command line and exit with its code; one line where the farm or the user ends it."""
    try:
        sys.exit(main(sys.argv[1:]))
    except FarmError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("interrupted: run it again, and it goes on from here")


def without(options: Sequence[str], words: Sequence[str]) -> list[str]:
    """A command line less some options and their values, be they `--option value` or `--option=value`."""
    befores = ("", *words)
    return [
        word
        for before, word in zip(befores, words, strict=False)
        if before not in options and word.split("=")[0] not in options
    ]
