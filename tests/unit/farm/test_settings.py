"""Settings: every variable, its default, its refusal; and that no secret shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm import settings as module
from farm.contract.errors import InvalidParameter
from farm.settings import Settings, usable_cores, usable_memory_bytes, without_secrets

FULL = {
    "FARM_REDIS_URL": "rediss://user:p%40ss@redis.example:6380/2",
    "FARM_S3_ENDPOINT": "https://s3.example",
    "FARM_S3_BUCKET": "paintings",
    "FARM_S3_ACCESS_KEY": "access",
    "FARM_S3_SECRET_KEY": "hush-hush",
    "FARM_S3_REGION": "eu-central-1",
    "FARM_S3_ADDRESSING": "virtual",
    "FARM_HOME": "/srv/farm",
    "FARM_CACHE_DIR": "/var/cache/farm",
    "FARM_CACHE_GB": "12",
    "FARM_WEIGHTS_DIR": "/srv/weights",
    "FARM_THREADS": "3",
    "FARM_DEVICE": "cuda:1",
    "FARM_PRECISION": "bfloat16",
    "FARM_COMPILE": "on",
    "FARM_MEMORY_MB": "6144",
    "FARM_VISIBILITY_TIMEOUT_S": "600",
    "FARM_LEASE_S": "1.5",
    "FARM_SWEEP_S": "0.25",
    "FARM_MAX_ATTEMPTS": "7",
    "FARM_MAX_FAILED_TASKS": "4",
    "FARM_ELSEWHERE_S": "30.0",
    "FARM_QUARANTINE_S": "90.0",
    "FARM_STUCK_S": "45.0",
    "FARM_GRACE_S": "4.0",
    "FARM_MAX_PIXELS": "1000000",
    "FARM_MAX_FRAMES": "5000",
    "FARM_MAX_DURATION_S": "90.5",
    "FARM_DECODE_MEMORY_MB": "2048",
    "FARM_DECODE_CPU_S": "60",
    "FARM_DECODE_SILENT_S": "2.5",
    "FARM_FLOWER_URL": "http://flower.example:5555/",
}


def test_every_variable_arrives_and_environ_gives_them_back() -> None:
    settings = Settings.load(FULL)
    assert (settings.s3_bucket, settings.threads, settings.lease_s, settings.max_attempts) == ("paintings", 3, 1.5, 7)
    assert settings.home == Path("/srv/farm")
    assert settings.environ() == FULL
    assert Settings.load(settings.environ()) == settings


def test_the_defaults() -> None:
    settings = Settings.load({"HOME": "/home/ada"})
    assert not settings.configured
    assert settings.home == Path("/home/ada/.local/share/farm")
    assert settings.cache_dir == Path("/home/ada/.cache/farm")
    assert settings.cache_gb == 50
    assert (settings.s3_bucket, settings.device, settings.s3_addressing) == ("farm", "auto", "auto")
    assert (settings.visibility_timeout_s, settings.lease_s, settings.sweep_s) == (21600, 30.0, 5.0)
    assert settings.threads == usable_cores() >= 1


def test_xdg_directories_are_honoured_unless_relative() -> None:
    assert Settings.load({"HOME": "/h", "XDG_DATA_HOME": "/data"}).home == Path("/data/farm")
    assert Settings.load({"HOME": "/h", "XDG_DATA_HOME": "data"}).home == Path("/h/.local/share/farm")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FARM_REDIS_URL", "http://host"),
        ("FARM_REDIS_URL", "redis://"),
        ("FARM_REDIS_URL", "redis://host:99999"),
        ("FARM_REDIS_URL", "redis://host/queue"),
        ("FARM_S3_ENDPOINT", "host:8333"),
        ("FARM_S3_ENDPOINT", "http://access:key@host"),
        ("FARM_S3_BUCKET", "A_B"),
        ("FARM_S3_ADDRESSING", "dns"),
        ("FARM_THREADS", "0"),
        ("FARM_THREADS", "2.5"),
        ("FARM_THREADS", "many"),
        ("FARM_DEVICE", "gpu"),
        ("FARM_MEMORY_MB", "6G"),
        ("FARM_PRECISION", "half"),
        ("FARM_COMPILE", "yes"),
        ("FARM_DEVICE", "cuda:"),
        ("FARM_CACHE_GB", "0"),
        ("FARM_CACHE_GB", "0.5"),
        ("FARM_LEASE_S", "nan"),
        ("FARM_LEASE_S", "inf"),
        ("FARM_SWEEP_S", "-1"),
        ("FARM_VISIBILITY_TIMEOUT_S", "1h"),
        ("FARM_MAX_ATTEMPTS", "0"),
        ("FARM_STUCK_S", "0"),
        ("FARM_MAX_PIXELS", "0"),
        ("FARM_DECODE_MEMORY_MB", "1"),
        ("FARM_DECODE_SILENT_S", "0"),
    ],
)
def test_a_bad_value_is_refused_in_one_line_that_names_it(name: str, value: str) -> None:
    with pytest.raises(InvalidParameter, match=f"^{name}=.*can't be used; give ") as caught:
        Settings.load({name: value})
    assert "\n" not in str(caught.value)
    assert caught.value.name == name


def test_half_a_key_pair_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="FARM_S3_SECRET_KEY is set without FARM_S3_ACCESS_KEY") as caught:
        Settings.load({"FARM_S3_SECRET_KEY": "hush-hush"})
    assert "hush-hush" not in str(caught.value)


def test_empty_variables_count_as_unset() -> None:
    assert Settings.load({"FARM_THREADS": " ", "FARM_REDIS_URL": ""}).threads == usable_cores()


def test_repr_shows_no_secret() -> None:
    shown = repr(Settings.load(FULL))
    assert "p%40ss" not in shown
    assert "hush-hush" not in shown
    assert "rediss://user:***@redis.example:6380/2" in shown
    assert Settings.load(FULL).redis_url_shown == "rediss://user:***@redis.example:6380/2"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@h:1/0", "redis://:***@h:1/0"),
        ("redis://:p@w/x#y@h:1/0", "redis://:***@h:1/0"),
        ("redis://h:1/0?password=pw&a=b", "redis://h:1/0?password=***&a=b"),
        ("redis://h:1/0", "redis://h:1/0"),
    ],
)
def test_urls_lose_their_passwords(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


def test_a_malformed_url_is_refused_without_its_password() -> None:
    with pytest.raises(InvalidParameter) as caught:
        Settings.load({"FARM_REDIS_URL": "redis://:top/se#cret@host:6379"})
    assert "cret" not in str(caught.value)


def write_state(home: Path, pid: int) -> None:
    environ = {"FARM_REDIS_URL": "redis://:pw@127.0.0.1:1/0", "FARM_S3_ENDPOINT": "http://127.0.0.1:2"}
    (home / "stack.json").write_text(json.dumps({"parts": {"redis": {"pid": pid}}, "environ": environ}))


def test_a_running_private_farm_is_the_default(tmp_path: Path) -> None:
    write_state(tmp_path, os.getpid())
    settings = Settings.load({"FARM_HOME": str(tmp_path), "FARM_S3_BUCKET": "mine"})
    assert settings.redis_url == "redis://:pw@127.0.0.1:1/0"
    assert settings.s3_endpoint == "http://127.0.0.1:2"


def test_a_named_farm_wins_over_the_private_one(tmp_path: Path) -> None:
    write_state(tmp_path, os.getpid())
    named = Settings.load({"FARM_HOME": str(tmp_path), "FARM_REDIS_URL": "redis://other"})
    assert (named.redis_url, named.s3_endpoint) == ("redis://other", "")
    assert not Settings.load({"FARM_HOME": str(tmp_path), "FARM_S3_ENDPOINT": "http://other"}).configured


def test_a_private_farm_that_ended_is_none(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(timeout=20)
    write_state(tmp_path, ended.pid)
    assert not Settings.load({"FARM_HOME": str(tmp_path)}).configured


@pytest.mark.parametrize("text", ["", "null", "{}", '{"parts": []}', "\x00"])
def test_a_broken_state_file_is_no_farm(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.json").write_text(text)
    assert not Settings.load({"FARM_HOME": str(tmp_path)}).configured


def test_settings_import_only_the_standard_library() -> None:
    code = "import sys, farm.settings; print([m for m in ('boto3', 'redis', 'celery', 'numpy') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("limit", "usable"), [("1073741824\n", 2**30), ("max\n", None), (None, None), ("9" * 18, None)]
)
def test_a_containers_memory_is_all_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str | None, usable: int | None
) -> None:
    monkeypatch.setattr(module, "CGROUP", tmp_path)
    if limit is not None:
        (tmp_path / "memory.max").write_text(limit)
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert usable_memory_bytes() == (usable or machine)
