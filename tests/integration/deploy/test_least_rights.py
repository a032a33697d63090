"""`deploy/redis.acl` and `deploy/s3-policy.json`: each part of a real farm, as its own user, does its work alone."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import redis
from clips import make_clip
from running import running
from styled import styled_cache

from deploy import acl
from farm.client import Farm
from farm.contract import keys
from farm.contract.errors import AccessDenied
from farm.contract.messages import Stage, StoredFrame, TaskId
from farm.contract.states import JobState
from farm.settings import Settings
from farm.stack.parts import find_redis
from farm.stack.process import free_ports

pytestmark = pytest.mark.timeout(180)
USERS = ("client", "coordinator", "worker", "flower")
ADMIN = "only-for-this-test"
START_S = 60.0


@dataclass(frozen=True)
class Server:
    """A Redis with the farm's users, and one more who sees what was refused."""

    port: int
    passwords: dict[str, str]

    def url(self, user: str) -> str:
        return f"redis://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/0"

    def connect(self, user: str) -> Any:
        return redis.Redis.from_url(self.url(user), decode_responses=True, socket_timeout=5)


def wait_until(ready: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + START_S
    while not ready():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.1)


@contextmanager
def logged(command: list[str], environ: dict[str, str], log: Path) -> Iterator[None]:
    """The command's process while the block runs."""
    with log.open("wb") as out, running(command, environ, stdout=out, stderr=out):
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("acl")
    lines = acl.users(acl.TEMPLATE.read_text())
    passwords = acl.new_passwords(lines)
    text = acl.filled(lines, passwords)
    passwords["admin"] = ADMIN
    hashed = hashlib.sha256(ADMIN.encode()).hexdigest()
    (home / "users.acl").write_text(f"{text}user admin on #{hashed} ~* &* +@all\n")
    (port,) = free_ports(1)
    lines = ("bind 127.0.0.1", f"port {port}", 'save ""', f"dir {home}", f"aclfile {home}/users.acl")
    (home / "redis.conf").write_text("\n".join(lines) + "\n")
    found = Server(port, passwords)

    def answers() -> bool:
        try:
            return bool(found.connect("admin").ping())
        except redis.ConnectionError:
            return False

    with logged([find_redis(), str(home / "redis.conf")], dict(os.environ), home / "redis.log"):
        wait_until(answers, "Redis")
        yield found


def refused(server: Server) -> list[tuple[str, str, str]]:
    """Who was refused what, by Redis' own record."""
    with server.connect("admin") as admin:
        entries = admin.acl_log(128)
    # redis-py tells every server its version; where it may not, it goes on.
    return [
        (entry["username"], entry["reason"], entry["object"])
        for entry in entries
        if not str(entry["object"]).lower().startswith("client")
    ]


@dataclass(frozen=True)
class Run:
    """What a whole farm did, each part under its own name."""

    states: tuple[JobState, ...]  # of a job that was let paint, and of one that was canceled
    pages: dict[str, int]  # Flower's answers
    refused: list[tuple[str, str, str]]  # by Redis
    calls: dict[str, set[tuple[str, str]]]  # of S3: role -> (operation, key)


PAGES = (
    "workers?refresh=1", "tasks", "broker", "api/tasks", "api/workers?refresh=1", "api/queues/length",
)  # fmt: skip
ROWS = (
    "tasks/datatable?draw=1&start=0&length=10&search[value]=&order[0][column]=0&order[0][dir]=asc&columns[0][data]=name"
)
ORDERS = ("api/worker/shutdown/worker", "api/task/send-task/farm.sweep", "api/task/revoke/0?terminate=true")


@pytest.fixture(scope="module")
def run(server: Server, _store_service: Settings, tmp_path_factory: pytest.TempPathFactory, kept_styles: Path) -> Run:
    """A coordinator, a worker, Flower and a client at work on two jobs, and a collection after them."""
    home = tmp_path_factory.mktemp("farm")
    base = replace(
        _store_service,
        threads=1,
        device="cpu",
        lease_s=3.0,
        sweep_s=0.5,
        visibility_timeout_s=60,
        cache_dir=styled_cache(home, kept_styles),
    )
    (port,) = free_ports(1)
    with server.connect("admin") as admin:
        admin.flushall()
        admin.acl_log_reset()
    with ExitStack() as processes:
        for user, module in (("coordinator", "farm.coordinator"), ("worker", "worker")):
            environ = {**own_environ(server, base, home, user), "PYTHONPATH": str(RECORDER)}
            processes.enter_context(logged([sys.executable, "-m", module], environ, home / f"{user}.log"))
        environ = {
            **own_environ(server, base, home, "flower"), "FLOWER_BASIC_AUTH": "a:b", "FLOWER_READ_ONLY": "false",
            "FLOWER_ADDRESS": "127.0.0.1", "FLOWER_PORT": str(port),
        }  # fmt: skip
        command = [sys.executable, "-m", "celery", "--quiet", "-A", "farm.monitor", "flower"]
        processes.enter_context(logged(command, environ, home / "flower.log"))
        farm = Farm.from_settings(replace(base, redis_url=server.url("client"), home=home / "client"))
        wait_until(farm.workers, "the worker")
        wait_until(lambda: page(port, "") == 200, "Flower")
        command = [sys.executable, "-c", CLIENT, str(make_clip(home / "clip.mp4", frames=8).path)]
        environ = {
            **own_environ(server, base, home, "client"),
            "PYTHONPATH": f"{RECORDER}{os.pathsep}{RECORDER.parent}",
        }
        subprocess.run(command, env=environ, timeout=150, check=True)
        states = tuple(record.state for record in sorted(farm.ledger.jobs(), key=lambda record: record.created_s))
        pages = {path: page(port, path) for path in PAGES}
        pages |= {path: page(port, path, method="POST") for path in (ROWS, *ORDERS)}
    calls = {user: recorded(home / f"{user}.s3") for user in ("client", "coordinator", "worker")}
    return Run(states, pages, refused(server), calls)


RECORDER = Path(__file__).parents[2] / "s3_recorder"
CLIENT = """
import hashlib, sys, time
from dataclasses import replace
from acceptance.conftest import QUICK
from farm.client import Farm
from farm.collect import Collector
from farm.contract.params import Color
farm = Farm.from_settings()
farm.check()
farm.store.probe()
job = farm.submit(sys.argv[1], "swirl", params=replace(QUICK, color=Color.MATCH), size_px=64, chunk_frames=4)
job.wait(timeout_s=100)
job.fetch(sys.argv[1] + ".film.mp4")
stopped = farm.submit(sys.argv[1], "wheat", params=QUICK, size_px=64, chunk_frames=4)
def wait_until(ready):
    until = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.1)
wait_until(lambda: list(stopped.logs()) and list(farm.store.list(f"jobs/{stopped.name}/manifests/anchor/")))
stopped.cancel()
wait_until(lambda: stopped.status().ended)
orphan = hashlib.sha256(b"a style that no job names").hexdigest()
farm.store.put_once(f"media/{orphan}.png", b"a style that no job names")
time.sleep(1)  # the collection below takes what ended before this second
Collector(farm.store, farm.ledger, 0.5, frames=True).collect()
"""


def own_environ(server: Server, base: Settings, home: Path, user: str) -> dict[str, str]:
    """A process's environment as this user."""
    own = replace(base, redis_url=server.url(user), home=home / user)
    return {**os.environ, **own.environ(), "FARM_WORKER_NAME": user, "S3_CALLS": str(home / f"{user}.s3")}


def recorded(path: Path) -> set[tuple[str, str]]:
    return {(operation, key) for operation, key in map(json.loads, path.read_text().splitlines())}


def test_a_farm_whose_every_part_is_its_own_user_paints_a_film(run: Run) -> None:
    assert run.states == (JobState.SUCCEEDED, JobState.CANCELED)


def test_redis_refuses_such_a_farm_nothing(run: Run) -> None:
    assert run.refused == []


def test_flower_shows_the_farm_to_its_own_user(run: Run) -> None:
    assert {path: run.pages[path] for path in (*PAGES, ROWS)} == dict.fromkeys((*PAGES, ROWS), 200)


def test_flower_is_read_only_by_the_farms_own_code_whatever_its_option_says(run: Run) -> None:
    assert {path: run.pages[path] for path in ORDERS} == dict.fromkeys(ORDERS, 403)


POLICY: dict[str, Any] = json.loads((Path(acl.__file__).parent / "s3-policy.json").read_text())
BUCKET = "arn:aws:s3:::farm"
ACTIONS = {
    "HeadBucket": "s3:ListBucket", "ListObjectsV2": "s3:ListBucket", "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject", "PutObject": "s3:PutObject", "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject", "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload", "DeleteObjects": "s3:DeleteObject",
}  # fmt: skip
"""The right each operation asks for, as Amazon's service authorization reference has it."""
Grant = tuple[str, str]


def granted(role: str) -> set[Grant]:
    """What the policy allows a role: `(action, pattern of resources)`."""
    return {
        (action, resource)
        for statement in POLICY["Statement"]
        if statement["Effect"] == "Allow" and statement["Principal"]["AWS"].endswith(f"/farm-{role}")
        for action in statement["Action"]
        for resource in ([statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"])
    }


def needed(calls: set[tuple[str, str]]) -> set[Grant]:
    wanted = {(ACTIONS[operation], key) for operation, key in calls}
    if any(operation == "HeadObject" for operation, _ in calls):
        wanted.add(("s3:ListBucket", ""))  # without it S3 answers for a key that is not there: forbidden, not missing
    return {(action, BUCKET if action == "s3:ListBucket" else f"{BUCKET}/{key}") for action, key in wanted}


def allows(grant: Grant, need: Grant) -> bool:
    return grant[0] == need[0] and fnmatchcase(need[1], grant[1])


@pytest.mark.parametrize("role", ["client", "coordinator", "worker"])
def test_the_s3_policy_allows_every_call_a_role_made(run: Run, role: str) -> None:
    needs = needed(run.calls[role])
    assert len(needs) > 10
    assert {need for need in needs if not any(allows(grant, need) for grant in granted(role))} == set()


@pytest.mark.parametrize("role", ["client", "coordinator", "worker"])
def test_the_s3_policy_allows_no_role_what_it_does_not_do(run: Run, role: str) -> None:
    needs = needed(run.calls[role])
    unused = {grant for grant in granted(role) if not any(allows(grant, need) for need in needs)}
    # Here no upload in parts fails and is given up, and no job is collected that was stopped while it was encoded.
    rare = {grant for grant in unused if grant[0] == "s3:AbortMultipartUpload"}
    rare |= {("s3:DeleteObject", f"{BUCKET}/jobs/*/{end}/*") for end in ("segments", "output") if role == "client"}
    rare |= DAMAGED if role == "coordinator" else set()
    assert unused <= rare


DAMAGED = {
    ("s3:DeleteObject", f"{BUCKET}/jobs/*/{folder}/*")
    for stage, folder in (("anchor", "anchors"), ("stylize", "stylized"), ("blend", "blended"), ("segment", "segments"))
    for folder in (folder, f"manifests/{stage}")
}
"""Nor is a frame or a segment found damaged: what it takes to have one made again."""


def test_the_coordinator_may_delete_what_it_has_made_again() -> None:
    """Its own code says which objects these are; who does the work of `farm.coordinator.repair` needs no more."""
    makers = [TaskId(stage, 4) for stage in (Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND, Stage.SEGMENT)]
    deleted = [keys.frame("a-0123456789", StoredFrame(maker, 4)) for maker in makers]
    deleted += [keys.manifest("a-0123456789", maker) for maker in makers]
    deleted.append(keys.segment_film("a-0123456789", 4, ".mp4"))
    needs = [("s3:DeleteObject", f"{BUCKET}/{key}") for key in deleted]
    assert [need for need in needs if not any(allows(grant, need) for grant in granted("coordinator"))] == []


@pytest.mark.parametrize(
    ("role", "action", "key"),
    [
        ("worker", "s3:PutObject", "jobs/a-1/spec.json"), ("worker", "s3:PutObject", "jobs/a-1/output/film.mp4"),
        ("worker", "s3:PutObject", "media/0"), ("worker", "s3:DeleteObject", "jobs/a-1/stylized/00000000.png"),
        ("worker", "s3:PutObject", "jobs/a-1/manifests/assemble/0.json"),
        ("worker", "s3:PutObject", "jobs/a-1/segments/00000000.mp4"),
        ("client", "s3:PutObject", "jobs/a-1/segments/00000000.mp4"),
        ("coordinator", "s3:PutObject", "jobs/a-1/stylized/0.png"), ("coordinator", "s3:DeleteObject", "media/0"),
        ("coordinator", "s3:DeleteObject", "jobs/a-1/plan.json"),
        ("coordinator", "s3:DeleteObject", "jobs/a-1/manifests/plan/00000000.json"),
        ("coordinator", "s3:PutObject", "jobs/a-1/spec.json"), ("coordinator", "s3:PutObject", "media/0"),
        ("client", "s3:PutObject", "jobs/a-1/stylized/0.png"), ("client", "s3:DeleteObject", "jobs/a-1/spec.json"),
        ("client", "s3:PutObject", "jobs/a-1/plan.json"), ("client", "s3:GetObject", "others/key"),
    ],
)  # fmt: skip
def test_the_s3_policy_keeps_each_role_to_its_work(role: str, action: str, key: str) -> None:
    assert not any(allows(grant, (action, f"{BUCKET}/{key}")) for grant in granted(role))


def page(port: int, path: str, *, method: str = "GET") -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{path}", method=method)
    request.add_header("Authorization", "Basic " + base64.b64encode(b"a:b").decode())
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=15) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


HARM = [
    "FLUSHALL", "FLUSHDB", "CONFIG GET *", "CONFIG SET dir /tmp", "CONFIG REWRITE", "KEYS *", "SHUTDOWN NOSAVE",
    "DEBUG SLEEP 0", "MONITOR", "SAVE", "BGREWRITEAOF", "REPLICAOF NO ONE", "MODULE LIST", "ACL LIST",
    "ACL SETUSER x on",
    "CLIENT LIST", "CLIENT KILL TYPE normal", "SCRIPT FLUSH", "EVAL return(1) 0", "MIGRATE a 1 k 0 1", "SWAPDB 0 1",
    "RENAME farm:jobs farm:x", "DUMP farm:jobs", "SORT farm:jobs", "SET other 1", "GET other", "LPUSH other 1",
    "PUBLISH other 1",
]  # fmt: skip


@pytest.mark.parametrize("user", [*USERS, "health"])
@pytest.mark.parametrize("command", HARM)
def test_no_user_can_harm_redis_or_reach_other_keys(server: Server, user: str, command: str) -> None:
    with server.connect(user) as connection, pytest.raises(redis.exceptions.NoPermissionError):
        connection.execute_command(*command.split())


BEYOND = [
    ("flower", "HGETALL farm:{job}"), ("flower", "GET farm:worker:w"), ("flower", "LRANGE stylize 0 -1"),
    ("flower", "SET farm:mark:x 1"), ("flower", "HGET unacked x"),
    ("worker", "LPUSH media x"), ("worker", "BRPOP media 1"), ("worker", "LRANGE stylize 0 -1"), ("worker", "INFO"),
    ("client", "BRPOP coordinate 1"), ("client", "RPOP stylize"), ("client", "HGET unacked x"),
    ("client", "INCR farm:x"),
    ("client", "SUBSCRIBE /0.celeryev"), ("client", "PUBLISH /0.celery.pidbox x"),
    ("coordinator", "INFO"), ("health", "GET farm:x"), ("health", "INFO"), ("health", "PUBLISH /0.celeryev/x y"),
]  # fmt: skip


@pytest.mark.parametrize(("user", "command"), BEYOND, ids=lambda item: item)
def test_no_user_can_do_anothers_work(server: Server, user: str, command: str) -> None:
    with server.connect(user) as connection, pytest.raises(redis.exceptions.NoPermissionError):
        connection.execute_command(*command.split())


def test_without_a_name_nobody_gets_in(server: Server) -> None:
    with redis.Redis(port=server.port) as nobody, pytest.raises(redis.exceptions.AuthenticationError):
        nobody.ping()


def test_a_user_without_the_right_password_is_told_so_in_one_line(server: Server) -> None:
    farm_settings = replace(Settings(), redis_url=f"redis://client:wrong@127.0.0.1:{server.port}/0")
    with pytest.raises(AccessDenied, match="FARM_REDIS_URL") as refusal:
        Farm.from_settings(farm_settings).ledger.ping()
    assert "wrong@" not in str(refusal.value)
    assert "\n" not in str(refusal.value)
