"""Make Redis' file of users out of `redis.acl`: one line a user, a generated password each.

Writes `users.acl`, for `aclfile` in redis.conf, and `<user>.env` with that user's FARM_REDIS_URL. Standard library
only. Never overwrites; what it writes is readable by its owner alone.
"""

import argparse
import hashlib
import os
import re
import secrets
import sys
from pathlib import Path

TEMPLATE = Path(__file__).with_name("redis.acl")
PLACE = re.compile(r"\$\{([A-Z]+)_SHA256\}")


def users(template: str) -> list[str]:
    """The template's users, one line each, with the places for passwords still open."""
    lines = [line.strip() for line in template.splitlines() if line.strip() and not line.startswith("#")]
    return [" ".join(block.split()) for block in re.split(r"\n(?=user )", "\n".join(lines))]


def new_passwords(lines: list[str]) -> dict[str, str]:
    """A new password for each user who has one: hexadecimal, so no shell, URL or YAML needs it quoted."""
    return {name.lower(): secrets.token_hex(24) for name in PLACE.findall("\n".join(lines))}


def filled(lines: list[str], passwords: dict[str, str]) -> str:
    """The file for Redis. It holds hashes of long random passwords, so it needs no hiding itself."""
    text = "\n".join(lines) + "\n"
    return PLACE.sub(lambda found: hashlib.sha256(passwords[found[1].lower()].encode()).hexdigest(), text)


def write_private(path: Path, text: str) -> None:
    """Make `path`, mode 0600; FileExistsError where something is there already."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def write_users(directory: Path, address: str) -> None:
    """`users.acl` and one `<user>.env` each, in a directory that is made where it is missing."""
    lines = users(TEMPLATE.read_text(encoding="utf-8"))
    passwords = new_passwords(lines)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(directory / "users.acl", filled(lines, passwords))
    for user, password in passwords.items():
        scheme, _, host = address.rpartition("://")
        write_private(directory / f"{user}.env", f"FARM_REDIS_URL={scheme or 'redis'}://{user}:{password}@{host}/0\n")


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 where the files are new."""
    parser = argparse.ArgumentParser(prog="acl.py", description="Write Redis' users with generated passwords.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--address", default="redis://127.0.0.1:6379", help="rediss://host:port for TLS")
    given = parser.parse_args(arguments)
    try:
        write_users(given.directory, given.address)
    except OSError as error:
        sys.stderr.write(f"can't write {error.filename}: {error.strerror}; name an empty directory\n")
        return 1
    sys.stdout.write(f"{given.directory}: users.acl for Redis, and a FARM_REDIS_URL for each user\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
