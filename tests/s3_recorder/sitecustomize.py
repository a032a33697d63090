"""Writes down every S3 call of a process that has this folder on PYTHONPATH: a JSON line each, in S3_CALLS."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

if os.environ.get("S3_CALLS"):
    from botocore import client

    _call = client.BaseClient._make_api_call

    def _recorded(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        batch = [item["Key"] for item in parameters.get("Delete", {}).get("Objects", [])]
        with Path(os.environ["S3_CALLS"]).open("a") as file:
            for key in batch or [parameters.get("Key", "")]:
                file.write(json.dumps([operation, key]) + "\n")
        return _call(self, operation, parameters)

    client.BaseClient._make_api_call = _recorded
