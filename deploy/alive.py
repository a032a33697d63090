"""Container health: exit 0 while this container's executor sends heartbeats to the ledger.

A worker that hangs stops its heartbeats and is found out. Where Redis itself does not answer nobody can tell, and
restarting every worker would not mend it: that counts as alive.
"""

import socket
import sys

from farm.contract.errors import LedgerUnavailable
from farm.redis_ledger import RedisLedger
from farm.settings import Settings


def is_alive(settings: Settings, host: str) -> bool:
    """Whether the ledger knows an executor on `host`, or can't be asked."""
    try:
        return any(worker.host == host for worker in RedisLedger(settings.redis_url).workers())
    except LedgerUnavailable:
        return True


if __name__ == "__main__":
    sys.exit(0 if is_alive(Settings.load(), socket.gethostname()) else 1)
