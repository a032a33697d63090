"""The commands docker-compose.yml starts Redis and SeaweedFS with, and a fresh `.env`, run for real, without Docker."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import redis
import yaml
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from farm.ledger import WorkerInfo
from farm.redis_ledger import RedisLedger
from farm.stack.parts import sockets_of
from farm.stack.process import free_ports

ROOT = Path(__file__).parents[3]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
BIN = Path(sys.executable).parent
START_TIMEOUT_S = 60.0
OWNER = "user owner on nopass ~* &* +@all\n"
"""One who may ask Redis how it is set up, beside the users that the farm has."""
SEAWEED_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
    "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc",
)  # fmt: skip


def on_path(name: str) -> str:
    found = shutil.which(name, path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert found, f"{name} is not installed; run make setup"
    return found


@contextmanager
def running(
    command: list[str], environ: dict[str, str], is_up: Callable[[], bool], log: Path
) -> Iterator[psutil.Process]:
    """The command's process, once `is_up`; ended when the block ends."""
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=environ, stdout=out, stderr=out, start_new_session=True) as process,
    ):
        try:
            until = time.monotonic() + START_TIMEOUT_S
            while not is_up():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.1)
            yield psutil.Process(process.pid)
        finally:
            # SeaweedFS takes 16 s to end in order, and what it wrote is thrown away; the bucket's maker goes with it.
            os.killpg(process.pid, signal.SIGKILL)


def answers_ping(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `make env` wrote, and in SECRETS the folder beside it."""
    path = tmp_path_factory.mktemp("env") / ".env"
    subprocess.run([sys.executable, ROOT / "deploy/env.py", path], check=True, capture_output=True, timeout=60)
    lines = [line for line in path.read_text().splitlines() if "=" in line and not line.startswith("#")]
    return {**dict(line.split("=", 1) for line in lines), "SECRETS": str(path.parent / "secrets")}


@pytest.fixture(scope="module")
def redis_process(
    given: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[psutil.Process, int]]:
    folder, (port,) = tmp_path_factory.mktemp("redis"), free_ports(1)
    users = folder / "users.acl"
    users.write_text(Path(f"{given['SECRETS']}/redis-users.acl").read_text() + OWNER)
    moved = {"/data": str(folder), "/etc/farm/redis-users.acl": str(users)}
    words = [moved.get(word, word) for word in SERVICES["redis"]["command"]]
    (server,) = SERVICES["redis"]["entrypoint"]
    command = [on_path(server), *words, "--port", str(port), "--bind", "127.0.0.1"]
    client = redis.Redis(port=port, username="health", password=given["REDIS_HEALTH_PASSWORD"])
    with client, running(command, {"PATH": "/usr/bin:/bin"}, lambda: answers_ping(client), folder / "log") as process:
        yield process, port


@pytest.fixture(scope="module")
def seaweed(
    given: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[psutil.Process, dict[str, int]]]:
    folder = tmp_path_factory.mktemp("seaweed")
    ports = dict(zip(SEAWEED_PORTS, free_ports(len(SEAWEED_PORTS)), strict=True))
    (script,) = SERVICES["seaweedfs"]["command"]
    moved = {
        "$$": "$", "install -m 0400 -o 1000 -g 1000": "install -m 0400", "-dir=/data": f"-dir={folder}",
        "/etc/farm": given["SECRETS"], "/tmp/s3-identities.json": f"{folder}/identities",
        "/entrypoint.sh": "weed -logtostderr=true",
        "-master=127.0.0.1:9333": f"-master=127.0.0.1:{ports['master.port']}.{ports['master.port.grpc']}",
        "-filer=127.0.0.1:8888": f"-filer=127.0.0.1:{ports['filer.port']}.{ports['filer.port.grpc']}",
    }  # fmt: skip
    for word, here in moved.items():
        assert word in script
        script = script.replace(word, here)
    # Where a flag is given twice the later one counts. Loopback only, also here, for the S3 gateway.
    script = script.rstrip() + "".join(f" -{name}={port}" for name, port in ports.items())
    environ = {"PATH": f"{Path(on_path('weed')).parent}:/usr/bin:/bin", "FARM_S3_BUCKET": given["FARM_S3_BUCKET"]}
    command = [*SERVICES["seaweedfs"]["entrypoint"], script]

    def has_bucket() -> bool:
        client = s3(ports["s3.port"], given["FARM_S3_ACCESS_KEY"], given["FARM_S3_SECRET_KEY"])
        try:
            return bool(client.head_bucket(Bucket="farm"))
        except (ClientError, BotoCoreError):
            return False

    try:
        with running(command, environ, has_bucket, folder / "log") as process:
            yield process, ports
    finally:
        for path in sockets_of(ports):
            path.unlink(missing_ok=True)


def status(port: int, path: str) -> int:
    """The HTTP status of a GET without credentials; 0 where nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


def s3(port: int, access_key: str, secret_key: str) -> Any:
    return boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
        aws_access_key_id=access_key, aws_secret_access_key=secret_key,
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


def connect(user: str, given: dict[str, str], port: int) -> redis.Redis:
    return redis.Redis(
        port=port, username=user, password=given[f"REDIS_{user.upper()}_PASSWORD"], decode_responses=True
    )


def test_redis_refuses_who_has_no_name_or_anothers_password(
    redis_process: tuple[psutil.Process, int], given: dict[str, str]
) -> None:
    with redis.Redis(port=redis_process[1]) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
    mistaken = redis.Redis(port=redis_process[1], username="client", password=given["REDIS_WORKER_PASSWORD"])
    with mistaken as client, pytest.raises(redis.AuthenticationError):
        client.ping()


ALLOWED = {
    "client": "HGETALL farm:x", "coordinator": "LPUSH stylize\x06\x169 x", "worker": "HGETALL farm:x",
    "flower": "LLEN stylize", "health": "PING",
}  # fmt: skip
REFUSED = {
    "client": "RPOP stylize", "coordinator": "CONFIG GET *", "worker": "LPUSH media x", "flower": "HGETALL farm:x",
    "health": "GET farm:x",
}  # fmt: skip


@pytest.mark.parametrize("user", ALLOWED)
def test_redis_lets_each_user_do_its_work_and_no_others(
    redis_process: tuple[psutil.Process, int], given: dict[str, str], user: str
) -> None:
    with connect(user, given, redis_process[1]) as client:
        client.execute_command(*ALLOWED[user].split(" "))
        for command in (REFUSED[user], "FLUSHALL", "SET other 1", "ACL LIST"):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command.split(" "))


def test_the_clients_url_leads_in(redis_process: tuple[psutil.Process, int], given: dict[str, str]) -> None:
    RedisLedger(given["FARM_REDIS_URL"].replace(":6379/", f":{redis_process[1]}/")).ping()


def test_redis_keeps_everything_and_forgets_nothing(redis_process: tuple[psutil.Process, int]) -> None:
    words = SERVICES["redis"]["command"]
    assert words[words.index("--maxmemory-policy") + 1] == "noeviction"
    assert words[words.index("--appendonly") + 1] == "yes"
    (folder,) = {Path(redis_process[0].cwd())}
    assert [path for path in folder.rglob("*.aof*") if path.is_file()]


def test_redis_refuses_before_it_takes_the_containers_memory_and_writes_its_log_alone(
    redis_process: tuple[psutil.Process, int],
) -> None:
    """Every argument arrives as it is meant, the empty one too."""
    with redis.Redis(port=redis_process[1], username="owner", password="any", decode_responses=True) as owner:
        found = {name: owner.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy", "save", "appendonly")}
        assert found == {"maxmemory": "536870912", "maxmemory-policy": "noeviction", "save": "", "appendonly": "yes"}
        owner.config_set("maxmemory", 1)
        try:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                owner.set("farm:x", "1")
        finally:
            owner.config_set("maxmemory", found["maxmemory"])


def test_redis_gets_the_stop_signal_itself_and_shows_no_password(
    redis_process: tuple[psutil.Process, int], given: dict[str, str]
) -> None:
    process, _ = redis_process
    assert process.name() == "redis-server"
    assert not [word for name, word in given.items() if "PASSWORD" in name and word in " ".join(process.cmdline())]


def test_the_health_check_of_redis_passes_and_can_fail(
    redis_process: tuple[psutil.Process, int], given: dict[str, str]
) -> None:
    kind, script = SERVICES["redis"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    script = script.replace("$$", "$").replace("redis-cli", f"{on_path('redis-cli')} -p {redis_process[1]}")
    codes = [
        subprocess.run(["/bin/sh", "-c", script], env={"PATH": "/usr/bin:/bin", "REDIS_HEALTH_PASSWORD": word},
                       check=False, capture_output=True, timeout=20).returncode
        for word in (given["REDIS_HEALTH_PASSWORD"], "wrong")
    ]  # fmt: skip
    assert codes == [0, 1]


Role = Callable[[str], Any]


@pytest.fixture
def role(seaweed: tuple[psutil.Process, dict[str, int]], given: dict[str, str]) -> Role:
    """An S3 client with a role's keys."""

    def connected(name: str) -> Any:
        prefix = "FARM" if name == "client" else name.upper()
        return s3(seaweed[1]["s3.port"], given[f"{prefix}_S3_ACCESS_KEY"], given[f"{prefix}_S3_SECRET_KEY"])

    return connected


def test_seaweedfs_lets_nobody_in_without_the_keys(
    seaweed: tuple[psutil.Process, dict[str, int]], given: dict[str, str]
) -> None:
    port = seaweed[1]["s3.port"]
    assert status(port, "/farm/") == 403
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3(port, given["FARM_S3_ACCESS_KEY"], "wrong").list_objects_v2(Bucket="farm")


def test_seaweedfs_writes_once(role: Role) -> None:
    worker, key = role("worker"), "jobs/once-1/stylized/0/00000000.png"
    worker.put_object(Bucket="farm", Key=key, Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        worker.put_object(Bucket="farm", Key=key, Body=b"second", IfNoneMatch="*")
    assert role("coordinator").get_object(Bucket="farm", Key=key)["Body"].read() == b"first"


WRITES = {
    "client": ("media/1", "jobs/a-1/spec.json"),
    "coordinator": ("jobs/a-1/plan.json", "jobs/a-1/output/film.mp4", "jobs/a-1/manifests/assemble/00000000.json"),
    "worker": ("jobs/a-1/anchors/0.png", "jobs/a-1/blended/0.png", "jobs/a-1/manifests/stylize/00000000.json"),
}


@pytest.mark.parametrize("name", WRITES)
def test_seaweedfs_lets_each_role_write_what_it_makes_and_nothing_else(role: Role, name: str) -> None:
    client = role(name)
    assert client.head_bucket(Bucket="farm")
    for writer, names in WRITES.items():
        for key in names:
            if writer == name:
                client.put_object(Bucket="farm", Key=key, Body=b"x")
                assert client.get_object(Bucket="farm", Key=key)["Body"].read() == b"x"
                assert client.create_multipart_upload(Bucket="farm", Key=key)["UploadId"]
            else:
                with pytest.raises(ClientError, match="AccessDenied"):
                    client.put_object(Bucket="farm", Key=key, Body=b"x")
    with pytest.raises(ClientError, match="Not Found"):  # not "forbidden": the farm asks whether a frame is there
        client.head_object(Bucket="farm", Key="jobs/a-1/nothing")
    for refused in ("others/key", "jobs-2/key"):
        with pytest.raises(ClientError, match="AccessDenied"):
            client.get_object(Bucket="farm", Key=refused)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.create_bucket(Bucket=f"of-{name}")
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_bucket_policy(Bucket="farm", Policy="{}")


def test_no_role_but_the_client_deletes_a_clip_in_seaweedfs(role: Role) -> None:
    role("client").put_object(Bucket="farm", Key="media/2", Body=b"clip")
    for name in ("worker", "coordinator", "client"):
        answer = role(name).delete_objects(Bucket="farm", Delete={"Objects": [{"Key": "media/2"}]})
        assert [error["Code"] for error in answer.get("Errors", [])] == ([] if name == "client" else ["AccessDenied"])


def test_only_the_s3_gateway_of_seaweedfs_leaves_the_container(seaweed: tuple[psutil.Process, dict[str, int]]) -> None:
    process, ports = seaweed
    listening = {c.laddr for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
    outside = {address.port for address in listening if not address.ip.startswith("127.")}
    assert outside == {ports["s3.port"], ports["s3.port.grpc"]}


def test_a_container_is_alive_while_its_executor_beats(
    redis_process: tuple[psutil.Process, int], given: dict[str, str]
) -> None:
    url = f"redis://worker:{given['REDIS_WORKER_PASSWORD']}@127.0.0.1:{redis_process[1]}/0"

    def health(redis_url: str, *words: str) -> int:
        environ = {
            "PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONPATH": str(ROOT), "FARM_REDIS_URL": redis_url
        }  # fmt: skip
        command = [sys.executable, ROOT / "deploy/alive.py", *words]
        return subprocess.run(command, env=environ, check=False, timeout=60).returncode

    assert (health(url), health(url, "--ready")) == (1, 1)
    info = WorkerInfo(name="w", host=socket.gethostname(), pid=1, device="cpu", queues=("stylize",))
    RedisLedger(url).heartbeat(info, ttl_s=30)
    assert (health(url), health(url, "--ready")) == (0, 0)
    # Redis down is not the executor's illness; but who never reached it has not started.
    down = re.sub(r":\d+/0", f":{free_ports(1)[0]}/0", url)
    assert (health(down), health(down, "--ready")) == (0, 1)
    assert health(url.replace("worker:", "worker:x")) == 1
