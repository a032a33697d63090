"""The private farm with real processes: up, down, and all that may go wrong between."""

from __future__ import annotations

import base64
import json
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from redis import AuthenticationError, Redis

from farm.contract.errors import InvalidParameter, StackError
from farm.settings import Settings
from farm.stack import Stack, StackEvent, StackInfo, private_stack, process
from farm.stack.parts import END_S
from farm.store import S3Store

REDIS = ("redis",)
SERVICES = ("redis", "store")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    one = stack_at(tmp_path / "home")
    yield one
    one.down()


def stack_at(home: Path) -> Stack:
    return Stack(home, Settings(home=home, cache_dir=home / "cache"))


def pids(info: StackInfo) -> dict[str, int]:
    return {part.name: part.pid for part in info.parts}


def ports(info: StackInfo) -> list[int]:
    return [port for part in info.parts for port in part.ports.values()]


def eventually(condition: Callable[[], bool], wait_s: float = 10.0) -> bool:
    deadline = time.monotonic() + wait_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def test_up_works_and_down_leaves_nothing_but_the_data(stack: Stack) -> None:
    info = stack.up(parts=SERVICES)
    store = S3Store.from_settings(info.settings)
    store.put_once("jobs/a/spec.json", b"abc")
    with Redis.from_url(info.settings.redis_url) as redis:
        assert redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        redis.set("k", "v")
    secrets = [info.settings.s3_secret_key, info.settings.redis_url.split(":")[2].split("@")[0]]
    family = process.marked(stack.home)
    assert not [word for one in family for word in one.cmdline() for secret in secrets if secret in word]
    listening = [c for one in family for c in one.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert {c.laddr.ip for c in listening} == {"127.0.0.1"}
    assert {c.laddr.port for c in listening} == set(ports(info))
    for name in ("stack.json", "redis.conf", "s3.json"):
        assert stat.S_IMODE((stack.home / name).stat().st_mode) == 0o600

    assert stack.down() == SERVICES
    assert not [one for one in family if one.is_running()]
    assert process.marked(stack.home) == []
    assert all(process.is_free(port) for port in ports(info))
    assert not stack.status().parts
    assert sorted(path.name for path in stack.home.iterdir()) == ["logs", "redis", "stack.lock", "store"]
    (numbers,) = (part.ports.values() for part in info.parts if part.name == "store")  # Redis's may be another store's
    assert not [path for port in numbers for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock")]

    again = stack.up(parts=SERVICES)
    assert again.settings.s3_secret_key != info.settings.s3_secret_key
    assert S3Store.from_settings(again.settings).get("jobs/a/spec.json") == b"abc"
    with Redis.from_url(again.settings.redis_url, decode_responses=True) as redis:
        assert redis.get("k") == "v"


def test_nothing_answers_without_its_password_or_key(stack: Stack) -> None:
    info = stack.up(parts=SERVICES)
    ported = {name: port for part in info.parts for name, port in part.ports.items()}
    with Redis(port=ported["redis"]) as redis, pytest.raises(AuthenticationError):
        redis.ping()
    for name, path in (("filer", "/"), ("filer", "/buckets/farm/x"), ("s3", "/farm/x"), ("volume", "/1,01")):
        for method in ("GET", "PUT"):
            address = f"http://127.0.0.1:{ported[name]}{path}"
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(urllib.request.Request(address, b"x", method=method), timeout=5)
            assert caught.value.code in (401, 403, 405), f"{method} {name}{path}"
            caught.value.close()


def test_settings_find_the_running_farm(stack: Stack) -> None:
    info = stack.up(parts=REDIS)
    assert Settings.load({"FARM_HOME": str(stack.home)}).redis_url == info.settings.redis_url
    stack.down()
    assert not Settings.load({"FARM_HOME": str(stack.home)}).configured


def test_a_second_up_keeps_what_runs(stack: Stack) -> None:
    first = stack.up(parts=REDIS)
    steps: list[StackEvent] = []
    second = stack_at(stack.home).up(parts=REDIS, on_event=steps.append)
    assert pids(first) == pids(second)
    assert [(event.part, event.step) for event in steps] == [("redis", "running")]
    assert first.settings == second.settings


def test_a_missing_part_is_started_where_it_was(stack: Stack) -> None:
    first = stack.up(parts=REDIS)
    psutil.Process(pids(first)["redis"]).kill()
    assert eventually(lambda: not stack.status().running)
    second = stack.up(parts=REDIS)
    assert pids(first) != pids(second)
    assert first.settings.redis_url == second.settings.redis_url


def test_ports_are_none_that_connections_get() -> None:
    ports = process.free_ports(8)
    assert len(set(ports)) == 8
    assert all(process.is_free(port) for port in ports)
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    if lowest <= process.SERVER_PORTS.start:
        pytest.skip("this machine gives connections every port")
    assert max(ports) < lowest


def test_no_port_left_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "is_free", lambda port: False)
    with pytest.raises(StackError, match="no port from 10000 to 32767 is free"):
        process.free_ports(1)


def test_a_part_that_hangs_is_replaced(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.stack.stack.KEPT_HEALTH_S", 0.5)
    monkeypatch.setitem(END_S, "redis", 0.5)
    first = stack.up(parts=REDIS)
    psutil.Process(pids(first)["redis"]).suspend()
    second = stack.up(parts=REDIS)
    assert pids(first) != pids(second)
    assert second.running


def test_two_ups_at_once_make_one_farm(stack: Stack) -> None:
    with ThreadPoolExecutor(2) as pool:
        infos = list(pool.map(lambda _: stack_at(stack.home).up(parts=REDIS), range(2)))
    assert pids(infos[0]) == pids(infos[1])
    assert len(process.marked(stack.home)) == 1


def test_a_stale_state_file_ends_no_strangers(stack: Stack) -> None:
    stack.up(parts=REDIS)
    stack.down()
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        record = {"pid": stranger.pid, "created_s": 1.0, "log": "", "ports": {"redis": 1}}
        state = {"parts": {"redis": record}, "secrets": {}, "environ": {}}
        (stack.home / "stack.json").write_text(json.dumps(state))
        assert not stack.status().running
        assert stack.up(parts=REDIS).running
        assert stack.down() == REDIS
        (stack.home / "stack.json").write_text(json.dumps(state))
        assert stack.down() == ()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(timeout=10)


@pytest.mark.parametrize("text", ["", "{}", '{"parts": {"redis": 1}, "secrets": {}, "environ": {}}'])
def test_a_broken_state_file_does_not_stop_up(stack: Stack, text: str) -> None:
    stack.home.mkdir()
    (stack.home / "stack.json").write_text(text)
    assert stack.up(parts=REDIS).running


UP_AND_WAIT = """
import sys, time
from pathlib import Path
from farm.settings import Settings
from farm.stack import Stack, private_stack
home = Path(sys.argv[1])
def told(event):
    if event.step == sys.argv[2]:
        print(event.step, flush=True)
        time.sleep(60)
base = Settings(home=home, cache_dir=home / "cache")
if sys.argv[3] == "up":
    Stack(home, base).up(parts=("redis",), on_event=told)
else:
    with private_stack(settings=base, parts=("redis",)) as info:
        print(info.home, flush=True)
        time.sleep(60)
"""


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Starts a Python process that starts a farm; gives it and the first line it prints."""
    children: list[subprocess.Popen[str]] = []

    def begin(step: str, how: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", UP_AND_WAIT, str(tmp_path / "home"), step, how]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    yield begin
    for child in children:
        child.kill()
        child.wait(timeout=10)
        if child.stdout:
            child.stdout.close()


def test_the_farm_outlives_a_killed_parent_and_down_ends_it(stack: Stack, parent: Callable[..., object]) -> None:
    child, line = parent("ready", "up")  # type: ignore[misc]
    assert line == "ready"
    child.kill()
    child.wait(timeout=10)
    assert stack.status().running
    assert stack.up(parts=REDIS).running
    assert stack.down() == REDIS
    assert process.marked(stack.home) == []


def test_what_a_killed_up_did_not_write_down_is_ended_all_the_same(stack: Stack) -> None:
    info = stack.up(parts=REDIS)
    (stack.home / "stack.json").unlink()  # as if killed between the start and the writing
    assert stack.down() == ()
    assert not psutil.pid_exists(pids(info)["redis"])
    info = stack.up(parts=REDIS)
    (stack.home / "stack.json").unlink()
    assert stack.up(parts=REDIS).running
    assert not psutil.pid_exists(pids(info)["redis"])
    assert len(process.marked(stack.home)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_private_farm_ends_with_its_owner(tmp_path: Path, number: int, parent: Callable[..., object]) -> None:
    child, line = parent("never", "private")  # type: ignore[misc]
    home = Path(line)
    assert len(process.marked(home)) == 1
    child.send_signal(number)
    child.wait(timeout=20)
    assert process.marked(home) == []
    assert not home.exists()


def test_a_private_farm_of_a_killed_owner_is_cleared_by_the_next(tmp_path: Path, parent: Callable[..., object]) -> None:
    child, line = parent("never", "private")  # type: ignore[misc]
    home = Path(line)
    base = Settings(home=tmp_path / "home", cache_dir=tmp_path / "home" / "cache")
    with private_stack(settings=base, parts=REDIS):
        assert len(process.marked(home)) == 1, "its owner lives"
    child.kill()
    child.wait(timeout=10)
    with private_stack(settings=base, parts=REDIS) as info:
        assert not home.exists()
        assert process.marked(home) == []
        own = info.home
    assert process.marked(own) == []


def test_a_private_farm_ends_when_its_body_fails(tmp_path: Path) -> None:
    base = Settings(home=tmp_path / "home", cache_dir=tmp_path / "cache")
    with pytest.raises(ZeroDivisionError), private_stack(settings=base, parts=REDIS) as info:
        _ = 1 / 0
    assert process.marked(info.home) == []
    assert list((tmp_path / "cache" / "private").glob("farm-*")) == []


def test_a_port_taken_meanwhile_is_replaced(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        offered = iter([[port]])
        honest = process.free_ports
        monkeypatch.setattr(process, "free_ports", lambda count: next(offered, None) or honest(count))
        info = stack.up(parts=REDIS)
    assert info.running
    assert ports(info) != [port]
    assert f":{ports(info)[0]}/" in info.settings.redis_url


def test_a_part_that_dies_at_start_is_named_with_its_last_words(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "redis-server"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Redis server v=7.2.0" && exit\necho; echo "no memory"; exit 1\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    with pytest.raises(StackError, match=r"redis ended as soon as it started: no memory; see .*redis.log") as caught:
        stack.up(parts=REDIS)
    assert caught.value.part == "redis"
    assert Path(str(caught.value.log)).read_text().strip() == "no memory"


def test_an_up_that_fails_ends_what_it_started_and_keeps_what_ran(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.stack.parts.find_weed", lambda: "/bin/false")
    with pytest.raises(StackError, match="store ended as soon as it started: it said nothing; see "):
        stack.up(parts=SERVICES)
    assert process.marked(stack.home) == []
    assert not (stack.home / "stack.json").exists()
    kept = pids(stack.up(parts=REDIS))
    with pytest.raises(StackError, match="store ended"):
        stack.up(parts=SERVICES)
    assert [one.pid for one in process.marked(stack.home)] == [kept["redis"]]
    assert stack.down() == REDIS


def test_an_old_redis_on_the_path_is_passed_over(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bin" / "redis-server"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "Redis server v=5.0.7"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:/usr/bin:/bin")
    assert stack.up(parts=REDIS).running


def test_unknown_parts_are_refused(stack: Stack) -> None:
    with pytest.raises(InvalidParameter, match="part 'rabbit' is unknown; choose from: redis, store"):
        stack.up(parts=("rabbit",))
    with pytest.raises(InvalidParameter, match="--workers -1"):
        stack.up(-1, parts=REDIS)


def status_of(address: str, login: str = "") -> int:
    headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_flower_shows_nothing_without_its_login(stack: Stack) -> None:
    info = stack.up(parts=("redis", "flower"))
    login = f"{info.flower_user}:{info.flower_password}"
    for path in ("", "workers", "tasks", "broker", "metrics", "api/workers", "api/tasks", "worker/x", "task/x"):
        assert status_of(info.flower_url + path) == 401, path
        assert status_of(info.flower_url + path, "farm:wrong") == 401, path
    assert status_of(info.flower_url + "workers", login) == 200
    words = [word for one in process.marked(stack.home) for word in one.cmdline()]
    assert not [word for word in words if info.flower_password in word or info.settings.redis_url in word]
    assert stack.down() == ("redis", "flower")
    assert process.marked(stack.home) == []
