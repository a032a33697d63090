"""The private farm's state file: which processes are ours, and how to reach them. Readable by its owner only."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from farm.contract.errors import StackError
from farm.settings import STATE_FILE
from farm.stack.process import PartRecord

LOCK_FILE = "stack.lock"
LOCK_WAIT_S = 90.0
REDIS_CONFIG, S3_CONFIG = "redis.conf", "s3.json"
SECRET_FILES = (REDIS_CONFIG, S3_CONFIG)
POLL_S = 0.1


@dataclass(slots=True)
class State:
    """What `farm up` wrote. Changes as parts come and go; saved after each change."""

    parts: dict[str, PartRecord] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    environ: dict[str, str] = field(default_factory=dict, repr=False)  # FARM_* by which a client reaches this farm

    @classmethod
    def load(cls, home: Path) -> State:
        """The state under `home`; an empty one where there is none or it can't be read."""
        try:
            plain: Any = json.loads((home / STATE_FILE).read_text())
            parts = {str(name): PartRecord(**record) for name, record in plain["parts"].items()}
            return cls(parts, dict(plain["secrets"]), dict(plain["environ"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def save(self, home: Path) -> None:
        """Write whole or not at all, readable by the owner only."""
        plain = {
            "parts": {name: asdict(record) for name, record in self.parts.items()},
            "secrets": self.secrets,
            "environ": self.environ,
        }
        write_private(home / STATE_FILE, json.dumps(plain, indent=1))

    def secret(self, name: str) -> str:
        """A password or key of this farm, made on first use."""
        return self.secrets.setdefault(name, secrets.token_hex(20))


def forget(home: Path) -> None:
    """Remove the state file and the parts' files with secrets; the data stays."""
    for name in (STATE_FILE, *SECRET_FILES):
        (home / name).unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read; it never exists with other rights or half written."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


@contextmanager
def locked(home: Path, name: str = LOCK_FILE, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
    """Hold a lock under `home`; so two `farm up` at once take turns. The system frees it if we are killed."""
    import fcntl  # not on every system; only `farm up` needs it

    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (home / name).open("a") as file:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StackError(f"another process holds {home / name}; wait for it to end", part=name) from None
                time.sleep(POLL_S)
        yield
