"""Container health: exit 0 while this container's executor sends heartbeats to the ledger.

A worker that hangs stops its heartbeats and is found out. Where Redis itself does not answer nobody can tell, and
restarting every worker would not mend it: that counts as alive. With `--ready` it does not: who never
reached Redis, where its address is wrong, has not started.

It asks once, and is done long before a probe's timeout: a probe that is cut off has failed, and a Redis that stalls
would have the whole farm restarted.
"""

import argparse
import os
import socket
import sys
import threading

from farm.contract.errors import FarmError, LedgerUnavailable
from farm.redis_ledger import RedisLedger
from farm.settings import Settings

ANSWER_S = 2.0
"""How long Redis may take for one answer."""
LIMIT_S = 6.0
"""How long all of it may take: the host's name looked up, and answers that come in drops."""


def heard_from(settings: Settings, host: str) -> bool:
    """Whether the ledger knows an executor on `host`; LedgerUnavailable where it can't be asked."""
    ledger = RedisLedger(settings.redis_url, timeout_s=ANSWER_S, retries=0)
    return any(worker.host == host for worker in ledger.workers())


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 where the executor is alive, or with `--ready` known to be."""
    parser = argparse.ArgumentParser(prog="alive.py", description="Does this container's executor work?")
    parser.add_argument("--ready", action="store_true", help="fail, too, where Redis can't be asked")
    ready = parser.parse_args(arguments).ready
    unasked = 1 if ready else 0
    # No exception reaches a thread that waits for a name server.
    late = threading.Timer(LIMIT_S, os._exit, [unasked])
    late.daemon = True
    late.start()
    host = socket.gethostname()
    try:
        if heard_from(Settings.load(), host):
            return 0
        sys.stderr.write(f"Redis has heard of no executor on {host}\n")
    except LedgerUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return unasked
    except FarmError as error:
        sys.stderr.write(f"{error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
