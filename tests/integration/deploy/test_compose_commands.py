"""The commands docker-compose.yml starts Redis and SeaweedFS with, run for real, without Docker."""

import os
import re
import shutil
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
from botocore.exceptions import ClientError

from farm.ledger import WorkerInfo
from farm.redis_ledger import RedisLedger

ROOT = Path(__file__).parents[3]
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
BIN = Path(sys.executable).parent
PASSWORD, ACCESS_KEY, SECRET_KEY = "pass-9c1f", "access-77aa", "secret-51d0"
START_TIMEOUT_S = 30.0
SEAWEED_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
    "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc",
)  # fmt: skip


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def on_path(name: str) -> str:
    found = shutil.which(name, path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    assert found, f"{name} is not installed; run make setup"
    return found


@contextmanager
def running(
    command: list[str], environ: dict[str, str], is_up: Callable[[], bool], log: Path
) -> Iterator[psutil.Process]:
    """The command's process, once `is_up`; ended when the block ends."""
    with log.open("wb") as out, subprocess.Popen(command, env=environ, stdout=out, stderr=out) as process:
        try:
            until = time.monotonic() + START_TIMEOUT_S
            while not is_up():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.1)
            yield psutil.Process(process.pid)
        finally:
            process.kill()  # SeaweedFS takes 16 s to end in order, and what it wrote is thrown away


def answers_ping(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except (redis.ConnectionError, redis.TimeoutError):
        return False


@pytest.fixture(scope="module")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[psutil.Process, int]]:
    folder, (port,) = tmp_path_factory.mktemp("redis"), free_ports(1)
    (script,) = SERVICES["redis"]["command"]
    script = script.replace("$$", "$").replace("--dir /data", f"--dir {folder} --port {port} --bind 127.0.0.1")
    environ = {"PATH": f"{Path(on_path('redis-server')).parent}:/usr/bin:/bin", "REDIS_PASSWORD": PASSWORD}
    command = [*SERVICES["redis"]["entrypoint"], script]
    client = redis.Redis(port=port, password=PASSWORD)
    with client, running(command, environ, lambda: answers_ping(client), folder / "log") as process:
        yield process, port


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[psutil.Process, dict[str, int]]]:
    folder = tmp_path_factory.mktemp("seaweed")
    ports = dict(zip(SEAWEED_PORTS, free_ports(len(SEAWEED_PORTS)), strict=True))
    given = [word.replace("-dir=/data", f"-dir={folder}") for word in SERVICES["seaweedfs"]["command"]]
    # Where a flag is given twice the later one counts. Loopback only, also here, for the S3 gateway.
    moved = [f"-{name}={port}" for name, port in ports.items()]
    environ = {"PATH": "/usr/bin:/bin", "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}
    command = [on_path("weed"), "-logtostderr=true", *given, *moved]
    with running(command, environ, lambda: status(ports["s3.port"], "/healthz") == 200, folder / "log") as process:
        yield process, ports


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


def s3(port: int, secret_key: str) -> Any:
    return boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=secret_key,
        config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


def test_redis_refuses_who_has_no_password(redis_process: tuple[psutil.Process, int]) -> None:
    with redis.Redis(port=redis_process[1]) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_redis_keeps_everything_and_forgets_nothing(redis_process: tuple[psutil.Process, int]) -> None:
    with redis.Redis(port=redis_process[1], password=PASSWORD, decode_responses=True) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_the_shell_gives_way_to_redis_and_shows_no_password(redis_process: tuple[psutil.Process, int]) -> None:
    """It must be the process that gets the stop signal."""
    process, _ = redis_process
    assert process.name() == "redis-server"
    assert PASSWORD not in " ".join(process.cmdline())


def test_the_health_check_of_redis_passes_and_can_fail(redis_process: tuple[psutil.Process, int]) -> None:
    kind, script = SERVICES["redis"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    script = script.replace("$$", "$").replace("redis-cli", f"{on_path('redis-cli')} -p {redis_process[1]}")
    codes = [
        subprocess.run(["/bin/sh", "-c", script], env={"PATH": "/usr/bin:/bin", "REDIS_PASSWORD": word}, check=False,
                       capture_output=True, timeout=20).returncode
        for word in (PASSWORD, "wrong")
    ]  # fmt: skip
    assert codes == [0, 1]


def test_seaweedfs_lets_nobody_in_without_the_keys(seaweed: tuple[psutil.Process, dict[str, int]]) -> None:
    port = seaweed[1]["s3.port"]
    assert status(port, "/") == 403
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        s3(port, "wrong").list_buckets()


def test_seaweedfs_writes_once(seaweed: tuple[psutil.Process, dict[str, int]]) -> None:
    client = s3(seaweed[1]["s3.port"], SECRET_KEY)
    client.create_bucket(Bucket="farm")
    client.put_object(Bucket="farm", Key="frame", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket="farm", Key="frame", Body=b"second", IfNoneMatch="*")
    assert client.get_object(Bucket="farm", Key="frame")["Body"].read() == b"first"


def test_only_the_s3_gateway_of_seaweedfs_leaves_the_container(seaweed: tuple[psutil.Process, dict[str, int]]) -> None:
    process, ports = seaweed
    listening = {c.laddr for c in process.net_connections() if c.status == psutil.CONN_LISTEN}
    outside = {address.port for address in listening if not address.ip.startswith("127.")}
    assert outside == {ports["s3.port"], ports["s3.port.grpc"]}


def test_a_container_is_alive_while_its_executor_beats(redis_process: tuple[psutil.Process, int]) -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1:{redis_process[1]}/0"

    def alive(redis_url: str) -> int:
        environ = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "FARM_REDIS_URL": redis_url}
        command = [sys.executable, ROOT / "deploy/alive.py"]
        return subprocess.run(command, env=environ, check=False, timeout=60).returncode

    assert alive(url) == 1
    info = WorkerInfo(name="w", host=socket.gethostname(), pid=1, device="cpu", queues=("stylize",))
    RedisLedger(url).heartbeat(info, ttl_s=30)
    assert alive(url) == 0
    # Redis down is not the executor's illness.
    assert alive(re.sub(r":\d+/0", f":{free_ports(1)[0]}/0", url)) == 0
