"""`deploy/env.py`, run as people run it."""

import subprocess
import sys
from pathlib import Path

import pytest

from farm.settings import Settings

SCRIPT = Path(__file__).parents[3] / "deploy/env.py"
SECRETS = {"REDIS_PASSWORD", "FARM_S3_ACCESS_KEY", "FARM_S3_SECRET_KEY", "FLOWER_BASIC_AUTH"}


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, umask=0)


def values(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    assert run(tmp_path / ".env").returncode == 0
    return tmp_path / ".env"


def test_only_its_owner_can_read_the_file_even_with_an_open_umask(env_file: Path) -> None:
    assert env_file.stat().st_mode & 0o777 == 0o600


def test_two_files_share_no_secret(env_file: Path, tmp_path: Path) -> None:
    run(tmp_path / "other")
    first, second = values(env_file), values(tmp_path / "other")
    assert set(first) >= SECRETS
    assert all(first[name] != second[name] for name in SECRETS)
    # 20 hexadecimal digits are 80 bits; the access key is a name more than a secret.
    assert all(len(first[name]) >= 20 for name in SECRETS)
    assert len({first[name] for name in SECRETS}) == len(SECRETS)


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("mine")
    done = run(path)
    assert (done.returncode, path.read_text()) == (0, "mine")
    assert "stays as it is" in done.stdout


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")
    run(tmp_path / ".env")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "absent/.env")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "absent/.env" in done.stderr


def test_secrets_only_holds_nothing_but_secrets(tmp_path: Path) -> None:
    run("--secrets-only", tmp_path / "secrets.env")
    assert set(values(tmp_path / "secrets.env")) == SECRETS
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600


def test_the_url_for_the_cli_carries_the_password(env_file: Path) -> None:
    found = values(env_file)
    assert found["FARM_REDIS_URL"] == f"redis://:{found['REDIS_PASSWORD']}@127.0.0.1:6379/0"


def test_the_settings_accept_what_the_file_says(env_file: Path) -> None:
    found = values(env_file)
    settings = Settings.load(found)
    assert (settings.s3_access_key, settings.s3_secret_key) == (
        found["FARM_S3_ACCESS_KEY"],
        found["FARM_S3_SECRET_KEY"],
    )
    assert settings.s3_endpoint == "http://127.0.0.1:8333"


def test_no_secret_goes_to_the_terminal(tmp_path: Path) -> None:
    done = run(tmp_path / ".env")
    assert not [name for name in SECRETS if values(tmp_path / ".env")[name] in done.stdout + done.stderr]
