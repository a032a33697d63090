"""Two hundred small jobs over three workers, for ten minutes in which every few seconds one of them dies.

    make soak
    SOAK_JOBS=10 SOAK_S=60 make soak    # a short one

Every job ends with the frames of an undisturbed run; nothing is left in Redis that has no owner; and what lives through
it all — Redis, the coordinator and its pool, the parent of the worker of which only children die — does not grow.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.soak import WORKERS, Soak
from chaos.yard import CHUNK_FRAMES, Yard

JOBS = int(os.environ.get("SOAK_JOBS", "200"))
LENGTH_S = float(os.environ.get("SOAK_S", "600"))
TABLE = os.environ.get("SOAK_TABLE", "")
"""Where the figures go, from the repository's root; empty: nowhere."""

LEAST_S = 300.0
"""In a shorter soak memory is still growing for good reasons: each process loads its libraries at its first film."""

HEAD = f"""# Soak

What `make soak` measured: {JOBS} jobs of {2 * CHUNK_FRAMES} frames in two chunks, one every {LENGTH_S / JOBS:.1f} s for
{LENGTH_S:.0f} s, over {len(WORKERS)} workers, Redis, an S3 server and a coordinator on one machine of {os.cpu_count()}
cores. Every 4 to 10 s a worker, or its child, is killed. Each job's film and frames are, byte for byte, those of an
undisturbed run.

"""

TAIL = """
Start, middle and end are medians over a fifth of the samples each; the first tenth of the time is left out. Growth is
the slope of a straight line through the samples of the second half, times its length. Redis keeps the records of jobs
until they are forgotten: it may grow by 16 KiB a job.
"""

pytestmark = [pytest.mark.chaos, pytest.mark.soak, pytest.mark.timeout(4 * LENGTH_S + 1800)]


@pytest.fixture
def soaked(tmp_path: Path) -> Iterator[Yard]:
    """A yard of its own: three workers, and a shorter clip."""
    yard = Yard(tmp_path / "soak", frames=2 * CHUNK_FRAMES)
    try:
        yard.revive(WORKERS)
        yield yard
    finally:
        yard.close()


def test_many_jobs_end_well_while_workers_die_and_nothing_grows(soaked: Yard) -> None:
    first = soaked.submit()
    soaked.finish(first)
    reference = soaked.painted(first)
    soak = Soak(soaked, JOBS, LENGTH_S)
    soak.run()
    soak.prove(reference)
    if TABLE:
        path = Path(__file__).parents[2] / TABLE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + soak.table() + TAIL)
    if LENGTH_S < LEAST_S:
        return
    meter = soak.meter
    grown = {part: meter.growth(part) for part in meter.used if meter.growth(part) > meter.limit(part, JOBS)}
    assert not grown, f"grew in the second half, in bytes: {grown}\n{soak.table()}"
