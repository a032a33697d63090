"""The Celery app Flower looks through: `celery -A farm.stack.monitor flower`, so no secret is on a command line."""

from __future__ import annotations

from farm.broker import make_app
from farm.settings import Settings

app = make_app(Settings.load(), "farm-monitor")
