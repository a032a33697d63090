"""A line that transfers share in simulated time: each at its own machine's speed, or at an equal part of the whole.

Equal shares need no bookkeeping per transfer: all advance alike, so each ends when the common progress reaches what it
was at its beginning plus its own bytes.
"""

from __future__ import annotations

import heapq

import simpy


class SharedLine:
    """`each_bytes_s`: the most one transfer gets; `all_bytes_s`: all of them together."""

    def __init__(self, env: simpy.Environment, each_bytes_s: float, all_bytes_s: float) -> None:
        self._env = env
        self._each_bytes_s, self._all_bytes_s = each_bytes_s, all_bytes_s
        self._open: list[tuple[float, int, simpy.Event]] = []  # by the progress at which each ends
        self._progress, self._seen_s = 0.0, 0.0  # bytes of a transfer that never ends, and when that was
        self._begun, self._timer = 0, 0

    def send(self, count_bytes: float) -> simpy.Event:
        """Begin a transfer; the event is its end."""
        end = self._env.event()
        if count_bytes <= 0:
            return end.succeed()
        self._advance()
        self._begun += 1
        heapq.heappush(self._open, (self._progress + count_bytes, self._begun, end))
        self._set_timer()
        return end

    def _speed(self) -> float:
        return min(self._each_bytes_s, self._all_bytes_s / len(self._open))

    def _advance(self) -> None:
        if self._open:
            self._progress += (self._env.now - self._seen_s) * self._speed()
        self._seen_s = self._env.now

    def _set_timer(self) -> None:
        self._timer += 1
        if self._open:
            left_s = max(0.0, self._open[0][0] - self._progress) / self._speed()
            self._env.timeout(left_s, self._timer).callbacks.append(self._on_timer)

    def _on_timer(self, timer: simpy.Event) -> None:
        if timer.value != self._timer:  # others came or went since
            return
        self._advance()
        self._progress = max(self._progress, self._open[0][0])  # rounding must not leave the first one a rest
        while self._open and self._open[0][0] <= self._progress:
            heapq.heappop(self._open)[2].succeed()
        self._set_timer()
