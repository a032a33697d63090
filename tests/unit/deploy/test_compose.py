"""`docker-compose.yml`: facts that its schema does not check."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from farm.settings import Settings

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SECRET_NAME = re.compile(r"PASSWORD|SECRET|ACCESS_KEY|AUTH|TOKEN")
SETTINGS = {f"FARM_{field.name.upper()}" for field in dataclasses.fields(Settings)}


def test_a_secret_is_never_given_a_default() -> None:
    names = re.findall(r"\$\{(\w+)(:?[-?+][^}]*)?\}", TEXT)
    secret = [(name, rest) for name, rest in names if SECRET_NAME.search(name)]
    assert {name for name, _ in secret} == {
        "REDIS_COORDINATOR_PASSWORD", "REDIS_WORKER_PASSWORD", "REDIS_FLOWER_PASSWORD", "REDIS_HEALTH_PASSWORD",
        "COORDINATOR_S3_ACCESS_KEY", "COORDINATOR_S3_SECRET_KEY", "WORKER_S3_ACCESS_KEY", "WORKER_S3_SECRET_KEY",
        "FLOWER_BASIC_AUTH",
    }  # fmt: skip
    assert {rest for _, rest in secret} == {":?run make env"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_secret_is_never_written_out(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    secret = {key: value for key, value in environment.items() if SECRET_NAME.search(key) or key.endswith("_URL")}
    assert secret or name == "seaweedfs"  # its secrets are in the file that is mounted
    assert all(":?run make env}" in value for value in secret.values())


@pytest.mark.parametrize("name", ["coordinator", "worker", "worker-cpu", "flower"])
def test_each_part_has_its_own_user_and_sees_no_others_secret(name: str) -> None:
    own = name.removesuffix("-cpu")
    environment = SERVICES[name]["environment"]
    url = environment["CELERY_BROKER_URL" if own == "flower" else "FARM_REDIS_URL"]
    assert url == f"redis://{own}:${{REDIS_{own.upper()}_PASSWORD:?run make env}}@redis:6379/0"
    secret = set(re.findall(r"\$\{(\w*(?:PASSWORD|_KEY|AUTH)):", str(environment)))
    assert {word for word in secret if own.upper() not in word} == set()


@pytest.mark.parametrize(("name", "file"), [("redis", "redis-users.acl"), ("seaweedfs", "s3-identities.json")])
def test_a_server_whose_users_are_missing_does_not_start(name: str, file: str) -> None:
    """Docker would otherwise make an empty folder in the file's place."""
    (mount,) = [each for each in SERVICES[name]["volumes"] if isinstance(each, dict)]
    assert (mount["source"], mount["target"]) == (f"./secrets/{file}", f"/etc/farm/{file}")
    assert mount["read_only"] is True
    assert mount["bind"] == {"create_host_path": False}
    assert mount["target"] in " ".join(SERVICES[name]["command"])


def test_the_settings_know_every_variable() -> None:
    given = {key for service in SERVICES.values() for key in service.get("environment", {}) if key.startswith("FARM_")}
    assert given
    assert given <= SETTINGS | {"FARM_LOG"}


@pytest.mark.parametrize("name", ["coordinator", "worker", "worker-cpu"])
def test_what_the_readme_names_reaches_every_part_from_the_env_file(name: str) -> None:
    table = re.findall(r"^\| (`FARM_.*?) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    named = {variable for row in table for variable in re.findall(r"FARM_\w+", row)}
    inside = {"FARM_HOME", "FARM_CACHE_DIR", "FARM_WEIGHTS_DIR", "FARM_DEVICE"}  # the image's and the service's own
    by_hand = {"FARM_QUEUES", "FARM_WORKER_NAME", "FARM_DEBUG"}
    painters = {"FARM_THREADS", "FARM_MEMORY_MB", "FARM_PRECISION", "FARM_COMPILE"} if name == "coordinator" else set()
    assert named - inside - by_hand - painters <= SERVICES[name]["environment"].keys()


@pytest.mark.parametrize("name", ["coordinator", "worker", "worker-cpu"])
def test_clips_and_films_lie_on_a_volume_whose_limit_can_be_set(name: str) -> None:
    (folder,) = re.findall(r"FARM_CACHE_DIR=(\S+)", (ROOT / "Dockerfile.worker").read_text())
    volumes = dict(volume.split(":")[::-1] for volume in SERVICES[name]["volumes"])
    assert volumes[folder] in COMPOSE["volumes"]
    assert SERVICES[name]["environment"]["FARM_CACHE_GB"] == "${FARM_CACHE_GB:-}"


def test_every_part_of_the_farm_has_the_same_visibility_timeout() -> None:
    timeouts = {
        SERVICES[name]["environment"]["FARM_VISIBILITY_TIMEOUT_S"] for name in ("coordinator", "worker", "worker-cpu")
    }
    assert len(timeouts) == 1


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["restart"] == "unless-stopped"
    assert not service.get("privileged")


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_unless_asked(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert all(port.startswith(("127.0.0.1:", "${BIND_ADDRESS:-127.0.0.1}:")) for port in ports)


def test_the_addresses_in_the_env_file_are_the_artists_alone() -> None:
    """Where Redis and S3 are published elsewhere they are changed, and no part may look for them there."""
    assert not re.findall(r"\$\{?(?:FARM_REDIS_URL|FARM_S3_ENDPOINT)\b", TEXT)
    assert not [name for name, service in SERVICES.items() if "env_file" in service]


def test_flower_stays_on_loopback_whatever_is_asked() -> None:
    assert SERVICES["flower"]["ports"] == ["127.0.0.1:5555:5555"]
    assert SERVICES["flower"]["environment"]["FLOWER_BASIC_AUTH"] == "${FLOWER_BASIC_AUTH:?run make env}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_healthy_ones(name: str) -> None:
    waits_for = SERVICES[name].get("depends_on", {})
    assert {wait["condition"] for wait in waits_for.values()} <= {"service_healthy"}
    assert all("healthcheck" in SERVICES[other] for other in waits_for)


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_a_pinned_tag(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9/-]+:\d+\.\d+[\w.-]*", SERVICES[name]["image"])


def test_only_the_gpu_worker_asks_for_a_gpu() -> None:
    reserving = [name for name, service in SERVICES.items() if "deploy" in service]
    assert reserving == ["worker"]
    device = SERVICES["worker"]["deploy"]["resources"]["reservations"]["devices"][0]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert (SERVICES["worker"]["profiles"], SERVICES["worker-cpu"]["profiles"]) == (["gpu"], ["cpu"])


def test_every_target_it_builds_is_in_the_dockerfile() -> None:
    stages = set(re.findall(r"^FROM .* AS (\S+)$", (ROOT / "Dockerfile.worker").read_text(), re.MULTILINE))
    wanted = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert wanted == {"coordinator", "worker", "monitor"}
    assert wanted <= stages


def test_every_named_volume_is_used_and_declared() -> None:
    volumes = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    used = {volume.split(":")[0] for volume in volumes if isinstance(volume, str)}
    assert used == set(COMPOSE["volumes"])
