"""What coordinators and workers have in common as Celery processes."""

from __future__ import annotations

import time

from billiard import get_context, pool

from farm.service import PROCESS_END_TIMEOUT_S, bound_process_end


def test_a_pool_process_does_not_wait_long_for_a_result_that_nobody_counts() -> None:
    context = get_context()
    process = pool.Worker(context.SimpleQueue(), context.SimpleQueue(), on_ready_counter=context.Value("i", 0))
    bound_process_end()
    began_s = time.monotonic()
    assert process._ensure_messages_consumed(completed=1) is False
    assert time.monotonic() - began_s < PROCESS_END_TIMEOUT_S + 2
