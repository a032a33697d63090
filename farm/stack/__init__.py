"""The private farm on one machine: Redis, an S3 server, coordinator, workers and Flower, for `farm up` and `farm down`.

    stack = Stack(settings.home)
    info = stack.up()          # waits until healthy; info.settings reaches it
    stack.down()               # ends just these

Prints nothing; `on_event` hears each step. Parts: `farm.stack.parts`; processes: `farm.stack.process`;
the state file: `farm.stack.state`.
"""

from __future__ import annotations

from farm.stack.stack import PARTS, PartInfo, Stack, StackEvent, StackInfo, private_stack

__all__ = ["PARTS", "PartInfo", "Stack", "StackEvent", "StackInfo", "private_stack"]
