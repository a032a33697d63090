"""Make SeaweedFS' file of identities out of `s3-policy.json`: one role, one pair of keys, the same rights as at AWS.

The statements that name a role become that role's own policy; the one about TLS is left out, as inside of the farm's
network nothing speaks TLS. Standard library only.
"""

import json
import secrets
from pathlib import Path
from typing import Any

POLICY = Path(__file__).with_name("s3-policy.json")
ROLES = ("client", "coordinator", "worker")
BUCKET = "farm"  # the policy's


def new_keys() -> tuple[str, str]:
    """An access key, which is a name, and its secret key."""
    return secrets.token_hex(10), secrets.token_hex(24)


def rights(role: str, bucket: str = BUCKET) -> dict[str, Any]:
    """What a role may do in `bucket`, as a policy of its own."""
    text = POLICY.read_text(encoding="utf-8").replace(f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{bucket}")
    statements = [
        {name: each[name] for name in ("Effect", "Action", "Resource")}
        for each in json.loads(text)["Statement"]
        if each["Effect"] == "Allow" and each["Principal"]["AWS"].endswith(f":role/farm-{role}")
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def identities(keys: dict[str, tuple[str, str]], bucket: str = BUCKET) -> str:
    """The file for `weed -s3.config`, with each role's access key and secret key."""
    plain = {
        "identities": [
            {
                "name": role,
                "credentials": [{"accessKey": access, "secretKey": secret}],
                "actions": [],
                "policyNames": [role],
            }
            for role, (access, secret) in keys.items()
        ],
        # SeaweedFS takes a policy as text.
        "policies": [{"name": role, "content": json.dumps(rights(role, bucket))} for role in keys],
    }
    return json.dumps(plain, indent=1) + "\n"
