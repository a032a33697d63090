"""The private farm on one machine: Redis, an S3 server, coordinator, workers and Flower, for `farm up` and `farm down`.

    stack = Stack(settings.home)
    info = stack.up()          # waits until healthy; info.settings reaches it
    stack.down()               # ends just these

Prints nothing; `on_event` hears each step. Parts: `farm.stack.parts`; processes: `farm.stack.process`;
the state file: `farm.stack.state`.
"""

from __future__ import annotations

from importlib.util import find_spec

from farm.contract.errors import StackError

if find_spec("psutil") is None:
    raise StackError(
        "a private farm's parts are not installed here; pip install '.[stack,worker]' in its checkout", part="psutil"
    )

from farm.stack.stack import PARTS, PartInfo, Stack, StackEvent, StackInfo, private_stack

__all__ = ["PARTS", "PartInfo", "Stack", "StackEvent", "StackInfo", "private_stack"]
