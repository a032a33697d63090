"""What Flower looks through: `celery -A farm.monitor flower`, so that no address or secret is on a command line.

Refuses to start without a login. Closes the one page Flower leaves open: `/metrics` names workers and tasks.
"""

from __future__ import annotations

import os

from flower.views.monitor import Metrics  # type: ignore[import-untyped]
from tornado.web import authenticated

from farm.broker import make_app
from farm.contract.errors import InvalidParameter
from farm.settings import Settings

LOGINS = ("FLOWER_BASIC_AUTH", "FLOWER_AUTH")

if not any(os.environ.get(name) for name in LOGINS):
    raise InvalidParameter(f"Flower has no login; set {LOGINS[0]}=user:password", name=LOGINS[0], value="")

Metrics.get = authenticated(Metrics.get)
app = make_app(Settings.load(), "farm-monitor")
# Flower asks the workers from a dozen threads at once; with kombu's ten connections they can wait for each other.
app.conf.broker_pool_limit = 64
