"""`deploy/acl.py`, run as people run it."""

import hashlib
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from farm.settings import Settings

SCRIPT = Path(__file__).parents[3] / "deploy/acl.py"
USERS = ("client", "coordinator", "worker", "flower", "health")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, umask=0)


def url_of(directory: Path, user: str) -> str:
    return (directory / f"{user}.env").read_text().strip().removeprefix("FARM_REDIS_URL=")


def test_each_user_has_a_line_for_redis_and_a_url_with_its_own_password(tmp_path: Path) -> None:
    made = tmp_path / "users"
    assert run(made, "--address", "rediss://redis.example:6379").returncode == 0
    lines = {line.split()[1]: line for line in (made / "users.acl").read_text().splitlines()}
    assert set(lines) == {"default", *USERS}
    passwords = set()
    for user in USERS:
        url = urlsplit(Settings.load({"FARM_REDIS_URL": url_of(made, user)}).redis_url)
        assert (url.scheme, url.username, url.hostname) == ("rediss", user, "redis.example")
        assert f"#{hashlib.sha256((url.password or '').encode()).hexdigest()}" in lines[user].split()
        passwords.add(url.password)
    assert len(passwords) == len(USERS)
    assert lines["default"].split() == ["user", "default", "reset"]


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    run(tmp_path / "users")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "users").iterdir()} == {0o600}


def test_what_is_there_stays(tmp_path: Path) -> None:
    run(tmp_path / "users")
    before = {path: path.read_bytes() for path in (tmp_path / "users").iterdir()}
    again = run(tmp_path / "users")
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1
    assert {path: path.read_bytes() for path in (tmp_path / "users").iterdir()} == before


def test_no_user_has_all_keys_all_commands_or_a_category(tmp_path: Path) -> None:
    run(tmp_path / "users")
    for line in (tmp_path / "users" / "users.acl").read_text().splitlines():
        words = line.split()[2:]
        assert not {"~*", "allkeys", "&*", "allchannels", "+@all", "allcommands", "nopass"} & set(words)
        assert not [word for word in words if word.startswith("+@")]
