"""Write a file of generated secrets: `.env` for docker compose, or only the secrets, for Kubernetes.

Standard library only: it runs before anything is installed. Never overwrites: a farm's secrets outlive the second
call. The file is readable by its owner alone from the moment it exists.
"""

import argparse
import os
import secrets
import shutil
import sys
from pathlib import Path

COMPOSE = """\
# This farm's secrets and settings, made by `make env`. Keep the file to yourself.
# The CLI on this machine finds the farm with: set -a; . ./.env; set +a

COMPOSE_PROFILES={profile}

REDIS_PASSWORD={redis_password}
FARM_REDIS_URL=redis://:{redis_password}@127.0.0.1:6379/0

FARM_S3_ENDPOINT=http://127.0.0.1:8333
FARM_S3_REGION=us-east-1
FARM_S3_BUCKET=farm
FARM_S3_ACCESS_KEY={s3_access_key}
FARM_S3_SECRET_KEY={s3_secret_key}

FLOWER_BASIC_AUTH=farm:{flower_password}
FARM_FLOWER_URL=http://127.0.0.1:5555
"""

SECRETS_ONLY = """\
REDIS_PASSWORD={redis_password}
FARM_S3_ACCESS_KEY={s3_access_key}
FARM_S3_SECRET_KEY={s3_secret_key}
FLOWER_BASIC_AUTH=farm:{flower_password}
"""


def env_text(*, secrets_only: bool = False) -> str:
    """The file's text, with new secrets at every call. Hexadecimal: no shell, URL or YAML needs it quoted."""
    return (SECRETS_ONLY if secrets_only else COMPOSE).format(
        profile="gpu" if shutil.which("nvidia-smi") else "cpu",
        redis_password=secrets.token_hex(24),
        s3_access_key=secrets.token_hex(10),
        s3_secret_key=secrets.token_hex(24),
        flower_password=secrets.token_hex(16),
    )


def write_env(path: Path, *, secrets_only: bool = False) -> None:
    """Make `path`, mode 0600; FileExistsError where something is there already."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(env_text(secrets_only=secrets_only))


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 where the file is there in the end, old or new."""
    parser = argparse.ArgumentParser(prog="env.py", description="Write a file of generated secrets.")
    parser.add_argument("path", type=Path, nargs="?", default=Path(".env"))
    parser.add_argument("--secrets-only", action="store_true", help="no settings: for Kubernetes' secretGenerator")
    given = parser.parse_args(arguments)
    try:
        write_env(given.path, secrets_only=given.secrets_only)
    except FileExistsError:
        sys.stdout.write(f"{given.path} is there already and stays as it is; delete it first for new secrets\n")
        return 0
    except OSError as error:
        sys.stderr.write(f"can't write {given.path}: {error.strerror}; name another path\n")
        return 1
    sys.stdout.write(f"{given.path}: new secrets, readable by you alone\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
