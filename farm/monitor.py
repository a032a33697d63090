"""What Flower looks through: `celery -A farm.monitor flower`, so that no address or secret is on a command line.

Refuses to start without a login. Closes the one page Flower leaves open: `/metrics` names workers and tasks. Changes
nothing, whatever Flower's options say: it answers questions, and refuses every command.
"""

from __future__ import annotations

import os
from typing import Any, NoReturn

from flower.urls import handlers  # type: ignore[import-untyped]
from flower.views.monitor import Metrics  # type: ignore[import-untyped]
from flower.views.tasks import TasksDataTable  # type: ignore[import-untyped]
from tornado.options import options
from tornado.web import HTTPError, authenticated

from farm.broker import make_app
from farm.contract.errors import InvalidParameter
from farm.settings import Settings

LOGINS = ("FLOWER_BASIC_AUTH", "FLOWER_AUTH")
COMMANDS = ("post", "put", "patch", "delete")
"""The HTTP methods by which Flower shuts workers down, revokes tasks or sends new ones."""


@authenticated
def refuse(_handler: Any, *_: Any, **__: Any) -> NoReturn:
    """403, behind the login like everything else."""
    raise HTTPError(403, "Flower only shows this farm; control it with `farm`")


def make_read_only() -> None:
    """Close every command of every page; the option only hides the buttons."""
    options.read_only = True
    pages = {getattr(entry, "handler_class", None) or entry[1] for entry in handlers}
    for handler in pages - {TasksDataTable}:  # it asks for its rows by POST
        for method in COMMANDS:
            setattr(handler, method, refuse)


if not any(os.environ.get(name) for name in LOGINS):
    raise InvalidParameter(f"Flower has no login; set {LOGINS[0]}=user:password", name=LOGINS[0], value="")

Metrics.get = authenticated(Metrics.get)
make_read_only()
app = make_app(Settings.load(), "farm-monitor")
# Flower asks the workers from a dozen threads at once; with kombu's ten connections they can wait for each other.
app.conf.broker_pool_limit = 64
# It acknowledges nothing, so it neither gives out again nor can even see what others have in hand.
app.conf.broker_transport_options = {**app.conf.broker_transport_options, "ack_emulation": False}
