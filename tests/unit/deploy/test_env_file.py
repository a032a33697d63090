"""`deploy/env.py`, run as people run it."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from farm.settings import Settings

SCRIPT = Path(__file__).parents[3] / "deploy/env.py"
USERS = ("client", "coordinator", "worker", "flower", "health")
SECRETS = {
    "FARM_S3_ACCESS_KEY", "FARM_S3_SECRET_KEY", "COORDINATOR_S3_ACCESS_KEY", "COORDINATOR_S3_SECRET_KEY",
    "WORKER_S3_ACCESS_KEY", "WORKER_S3_SECRET_KEY", "FLOWER_BASIC_AUTH",
    *(f"REDIS_{user.upper()}_PASSWORD" for user in USERS),
}  # fmt: skip


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    # -S: no installed package is found, the standard library is all there is.
    command = [sys.executable, "-E", "-s", "-S", SCRIPT, *map(str, arguments)]
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


def test_an_existing_file_is_never_overwritten(env_file: Path) -> None:
    before = env_file.read_text()
    done = run(env_file)
    assert (done.returncode, env_file.read_text()) == (0, before)
    assert "stays as it is" in done.stdout


def test_an_old_file_without_users_is_refused_in_one_line_that_names_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("REDIS_PASSWORD=one-for-all\n")
    done = run(tmp_path / ".env")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "REDIS_CLIENT_PASSWORD" in done.stderr
    assert "new secrets" in done.stderr
    assert (tmp_path / ".env").read_text() == "REDIS_PASSWORD=one-for-all\n"


def test_what_the_servers_read_is_made_again_from_the_same_secrets(env_file: Path) -> None:
    files = sorted((env_file.parent / "secrets").iterdir())
    before = {path.name: path.read_text() for path in files}
    files[0].unlink()
    files[1].write_text("of another .env")
    run(env_file)
    assert {path.name: path.read_text() for path in files} == before


def test_redis_file_of_users_has_the_hash_of_each_password_and_no_password(env_file: Path) -> None:
    text = (env_file.parent / "secrets/redis-users.acl").read_text()
    for user in USERS:
        password = values(env_file)[f"REDIS_{user.upper()}_PASSWORD"]
        (line,) = [line for line in text.splitlines() if line.startswith(f"user {user} ")]
        assert f"#{hashlib.sha256(password.encode()).hexdigest()}" in line.split()
        assert password not in text


def test_s3_identities_are_their_owners_alone_and_have_the_rights_of_the_policy(env_file: Path) -> None:
    path = env_file.parent / "secrets/s3-identities.json"
    assert path.stat().st_mode & 0o777 == 0o600
    plain, found = json.loads(path.read_text()), values(env_file)
    prefixes = {"client": "FARM", "coordinator": "COORDINATOR", "worker": "WORKER"}
    assert {each["name"]: each["credentials"] for each in plain["identities"]} == {
        role: [{"accessKey": found[f"{prefix}_S3_ACCESS_KEY"], "secretKey": found[f"{prefix}_S3_SECRET_KEY"]}]
        for role, prefix in prefixes.items()
    }
    # All rights come by the policy of the same name; an action of its own would be one more.
    assert all(each["actions"] == [] and each["policyNames"] == [each["name"]] for each in plain["identities"])
    contents = {each["name"]: json.loads(each["content"])["Statement"] for each in plain["policies"]}
    policy = json.loads((SCRIPT.parent / "s3-policy.json").read_text())["Statement"]
    for role in prefixes:
        wanted = [each for each in policy if str(each["Principal"]).endswith(f"role/farm-{role}'}}")]
        assert [(each["Action"], each["Resource"]) for each in contents[role]] == [
            (each["Action"], each["Resource"]) for each in wanted
        ]


def test_another_bucket_gets_the_rights(env_file: Path) -> None:
    env_file.write_text(env_file.read_text().replace("FARM_S3_BUCKET=farm", "FARM_S3_BUCKET=paint"))
    run(env_file)
    text = (env_file.parent / "secrets/s3-identities.json").read_text()
    assert "arn:aws:s3:::paint/media/*" in text
    assert "arn:aws:s3:::farm" not in text


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")
    run(tmp_path / ".env")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_not_there_is_refused_in_one_line(tmp_path: Path) -> None:
    done = run(tmp_path / "absent/.env")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "absent/.env" in done.stderr


def test_the_folder_for_kubernetes_is_its_owners_alone_and_stays(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    assert run("--kubernetes", folder).returncode == 0
    before = {path: path.read_text() for path in folder.iterdir()}
    assert {path.stat().st_mode & 0o777 for path in before} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    again = run("--kubernetes", folder)
    assert (again.returncode, {path: path.read_text() for path in folder.iterdir()}) == (0, before)
    assert not [word for text in before.values() for word in re.findall(r"[0-9a-f]{32,}", text) if word in again.stdout]


def test_in_kubernetes_every_file_that_names_a_bucket_names_the_one_asked_for(tmp_path: Path) -> None:
    run("--kubernetes", tmp_path / "plain")
    named = {
        path.name
        for path in (tmp_path / "plain").iterdir()
        if re.search(r"BUCKET=farm$|:::farm\b", path.read_text(), re.M)
    }
    assert named == {"client.env", "s3-identities.json"}
    assert run("--kubernetes", "--bucket", "paint", tmp_path / "secrets").returncode == 0
    assert values(tmp_path / "secrets/client.env")["FARM_S3_BUCKET"] == "paint"
    text = (tmp_path / "secrets/s3-identities.json").read_text()
    assert "arn:aws:s3:::paint/media/*" in text
    assert "arn:aws:s3:::farm" not in text


def test_a_name_that_is_no_buckets_is_refused(tmp_path: Path) -> None:
    done = run("--kubernetes", "--bucket", 'a"b', tmp_path / "secrets")
    assert (done.returncode, (tmp_path / "secrets").exists()) == (2, False)
    assert "lower-case" in done.stderr


def test_in_kubernetes_no_parts_file_has_anothers_secret(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    run("--kubernetes", folder)
    words = [set(re.findall(r"[0-9a-f]{20,}", path.read_text())) for path in folder.glob("*.env")]
    assert len(words) == 5
    assert sum(map(len, words)) == len(set().union(*words)) == 3 * 3 + 2 + 1


def test_the_url_for_the_cli_is_the_clients(env_file: Path) -> None:
    found = values(env_file)
    assert found["FARM_REDIS_URL"] == f"redis://client:{found['REDIS_CLIENT_PASSWORD']}@127.0.0.1:6379/0"


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
