"""Write a farm's generated secrets: `.env` for docker compose, or a folder of files for Kubernetes.

Every part has a user of its own in Redis and keys of its own in S3, with least rights. For compose, what the servers
read stands beside `.env` in `secrets/`: Redis' users and SeaweedFS' identities. It is made from `.env` at every call,
so a lost or an old one is mended; `.env` itself is never overwritten, as a farm's secrets outlive the second call.

Standard library only: it runs before anything is installed. Files with secrets are readable by their owner alone from
the moment they exist.
"""

import argparse
import os
import re
import secrets
import shutil
import sys
from pathlib import Path

import acl
import identities

ARTIST = """\
FARM_REDIS_URL=redis://client:{redis_client}@127.0.0.1:6379/0
FARM_S3_ENDPOINT=http://127.0.0.1:8333
FARM_S3_REGION=us-east-1
FARM_S3_BUCKET={bucket}
FARM_S3_ACCESS_KEY={s3_client_access}
FARM_S3_SECRET_KEY={s3_client_secret}
"""
"""What an artist's machine needs; from another one with other addresses."""

COMPOSE = (
    """\
# This farm's secrets and settings, made by `make env`. Keep the file to yourself.
# The CLI on this machine finds the farm with: set -a; . ./.env; set +a
# `make env` makes secrets/ from this file: call it after a change, then `docker compose up --detach --force-recreate`.

COMPOSE_PROFILES={profile}

# The artist's: all that another artist's machine needs, with other addresses, are these lines. The farm's own parts do
# not read the two addresses. With BIND_ADDRESS=10.0.0.5 here they have to be that one.
"""
    + ARTIST
    + """\

# The parts': each its own.
REDIS_CLIENT_PASSWORD={redis_client}
REDIS_COORDINATOR_PASSWORD={redis_coordinator}
REDIS_WORKER_PASSWORD={redis_worker}
REDIS_FLOWER_PASSWORD={redis_flower}
REDIS_HEALTH_PASSWORD={redis_health}
COORDINATOR_S3_ACCESS_KEY={s3_coordinator_access}
COORDINATOR_S3_SECRET_KEY={s3_coordinator_secret}
WORKER_S3_ACCESS_KEY={s3_worker_access}
WORKER_S3_SECRET_KEY={s3_worker_secret}

FLOWER_BASIC_AUTH=farm:{flower_password}
FARM_FLOWER_URL=http://127.0.0.1:5555
"""
)

KUBERNETES = {
    "coordinator.env": """\
FARM_REDIS_URL=redis://coordinator:{redis_coordinator}@redis:6379/0
FARM_S3_ACCESS_KEY={s3_coordinator_access}
FARM_S3_SECRET_KEY={s3_coordinator_secret}
""",
    "worker.env": """\
FARM_REDIS_URL=redis://worker:{redis_worker}@redis:6379/0
FARM_S3_ACCESS_KEY={s3_worker_access}
FARM_S3_SECRET_KEY={s3_worker_secret}
""",
    "flower.env": """\
CELERY_BROKER_URL=redis://flower:{redis_flower}@redis:6379/0
FLOWER_BASIC_AUTH=farm:{flower_password}
""",
    "redis.env": """\
REDIS_HEALTH_PASSWORD={redis_health}
""",
    # Not for the cluster, but for an artist: through forwarded ports.
    "client.env": ARTIST
    + """\
FARM_FLOWER_URL=http://127.0.0.1:5555
""",
}

S3_NAMES = {"client": "FARM_S3", "coordinator": "COORDINATOR_S3", "worker": "WORKER_S3"}
"""What a role's keys are called in `.env`, before _ACCESS_KEY and _SECRET_KEY."""


class OldEnv(ValueError):
    """A `.env` without a secret that this farm needs."""


def redis_users() -> list[str]:
    """Redis' users, a line each, without passwords."""
    return acl.users(acl.TEMPLATE.read_text(encoding="utf-8"))


def new_secrets() -> dict[str, str]:
    """New ones at every call, by their places in the texts above."""
    made = {f"redis_{user}": password for user, password in acl.new_passwords(redis_users()).items()}
    for role in identities.ROLES:
        made[f"s3_{role}_access"], made[f"s3_{role}_secret"] = identities.new_keys()
    return made | {"flower_password": secrets.token_hex(16)}


def write_env(path: Path, bucket: str = identities.BUCKET) -> None:
    """Make `path`, mode 0600; FileExistsError where something is there already."""
    profile = "gpu" if shutil.which("nvidia-smi") else "cpu"
    acl.write_private(path, COMPOSE.format(profile=profile, bucket=bucket, **new_secrets()))


def read_env(path: Path) -> dict[str, str]:
    """The values of a `.env`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def write_derived(env: Path) -> None:
    """`secrets/` beside `.env`: what Redis and SeaweedFS read. OldEnv where `.env` lacks a secret."""
    given = read_env(env)
    try:
        passwords = {user: given[f"REDIS_{user.upper()}_PASSWORD"] for user in acl.new_passwords(redis_users())}
        keys = {role: (given[f"{name}_ACCESS_KEY"], given[f"{name}_SECRET_KEY"]) for role, name in S3_NAMES.items()}
    except KeyError as error:
        raise OldEnv(f"{env} has no {error.args[0]}: move it away and make new secrets") from None
    folder = env.parent / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Redis runs as another user than the file's owner. Hashes of 192 random bits tell nobody a password.
    replace(folder / "redis-users.acl", acl.filled(redis_users(), passwords), mode=0o644)
    bucket = given.get("FARM_S3_BUCKET") or identities.BUCKET
    replace(folder / "s3-identities.json", identities.identities(keys, bucket), mode=0o600)


def replace(path: Path, text: str, mode: int) -> None:
    """Put `text` in the file that is there, which a container may have mounted, or in a new one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)


def write_kubernetes(folder: Path, bucket: str = identities.BUCKET) -> None:
    """Make `folder` with a file for each Secret; FileExistsError where it is there already."""
    made = new_secrets()
    folder.mkdir(mode=0o700)
    for name, text in KUBERNETES.items():
        acl.write_private(folder / name, text.format(bucket=bucket, **made))
    passwords = {user: made[f"redis_{user}"] for user in acl.new_passwords(redis_users())}
    acl.write_private(folder / "redis-users.acl", acl.filled(redis_users(), passwords))
    keys = {role: (made[f"s3_{role}_access"], made[f"s3_{role}_secret"]) for role in identities.ROLES}
    acl.write_private(folder / "s3-identities.json", identities.identities(keys, bucket))


def compose(path: Path, bucket: str) -> str:
    """Write what is missing for compose; the line to tell people."""
    try:
        write_env(path, bucket)
        told = f"{path}: new secrets, readable by you alone"
    except FileExistsError:
        told = f"{path} is there already and stays as it is; move it away first for new secrets"
    write_derived(path)
    return told


def kubernetes(folder: Path, bucket: str) -> str:
    """Write what is missing for Kubernetes; the line to tell people."""
    try:
        write_kubernetes(folder, bucket)
    except FileExistsError:
        return f"{folder} is there already and stays as it is; move it away first for new secrets"
    return f"{folder}: new secrets, readable by you alone"


def bucket_name(text: str) -> str:
    """`text`, where S3 takes it for a bucket's name."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no bucket; give 3 to 63 lower-case letters, digits, dots or hyphens"
        )
    return text


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 where the files are there in the end, old or new."""
    parser = argparse.ArgumentParser(prog="env.py", description="Write a farm's generated secrets.")
    parser.add_argument("path", type=Path, nargs="?", default=Path(".env"))
    parser.add_argument("--kubernetes", action="store_true", help="a folder of files, for kustomize's secretGenerator")
    parser.add_argument(
        "--bucket", type=bucket_name, default=identities.BUCKET, help="what new keys lead to (%(default)s)"
    )
    given = parser.parse_args(arguments)
    try:
        told = (kubernetes if given.kubernetes else compose)(given.path, given.bucket)
    except OldEnv as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"can't write {error.filename}: {error.strerror}; name another path\n")
        return 1
    sys.stdout.write(f"{told}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
