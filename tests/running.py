"""A process of our own for the length of a block."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

END_LIMIT_S = 20.0


@contextmanager
def running(command: list[str], environ: Mapping[str, str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """The command's process while the block runs; then it is asked to end, and ended."""
    with subprocess.Popen(command, env=environ, **options) as process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(END_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
