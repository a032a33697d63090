"""Settings: the environment read once, checked, and frozen.

Owns the names and defaults of every `FARM_*` variable. Where no Redis and no S3 server is named, the connection
comes from the private farm's state file `$FARM_HOME/stack.json`. Refuses values outside their range in one line that
names the variable. Never shows a secret: not in `repr`, not in a message. Standard library only, so it costs nothing.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, urlsplit

from farm.contract.errors import InvalidParameter

STATE_FILE = "stack.json"
"""The private farm's state file, inside `FARM_HOME`."""

NOT_CONFIGURED = "no farm configured: run `farm up`, or set FARM_REDIS_URL and FARM_S3_ENDPOINT"
"""What to say where `Settings.configured` is False."""

HIDDEN = "***"
CGROUP = Path("/sys/fs/cgroup")
"""Where a container's limits stand (cgroup v2)."""
MEMORY_SHARE = 0.9
"""Of a device's memory, what its workers may paint with together: its driver and other kernels want some."""
PROCESS_BYTES = 1 << 30
"""What a worker takes before it paints: torch, its networks' weights, frames on their way. Part of the device's memory
where that is the machine's."""
DAY_S = 86400
CACHE_GB = 50


def usable_cores() -> int:
    """CPU cores this process may use: its affinity, and its container's quota where there is one."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return max(1, cores)


def usable_memory_bytes() -> int:
    """Memory this process may use: the machine's, or its container's limit where that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(machine, int((CGROUP / "memory.max").read_text()))
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return machine


def painting_bytes(device_bytes: int, *, on_cpu: bool, sharing: int = 1) -> int:
    """What each of `sharing` workers may paint with, on a device of so much memory, where no limit is set."""
    share = MEMORY_SHARE * device_bytes / sharing
    return int(max(share / 2, share - PROCESS_BYTES) if on_cpu else share)


@dataclass(frozen=True, slots=True, repr=False)
class Settings:
    """Everything a process of the farm takes from its environment."""

    redis_url: str = ""  # FARM_REDIS_URL: redis://user:password@host:6379/0, rediss:// with TLS; empty: none
    s3_endpoint: str = ""  # FARM_S3_ENDPOINT: http(s)://host:port; empty: AWS
    s3_bucket: str = "farm"  # FARM_S3_BUCKET
    s3_access_key: str = ""  # FARM_S3_ACCESS_KEY; empty: boto3's own chain
    s3_secret_key: str = ""  # FARM_S3_SECRET_KEY
    s3_region: str = ""  # FARM_S3_REGION; empty: boto3's own chain
    s3_addressing: str = "auto"  # FARM_S3_ADDRESSING: path, virtual, or auto (path where an endpoint is named)
    home: Path = field(default_factory=lambda: _home({}))  # FARM_HOME: the private farm's data
    cache_dir: Path = field(default_factory=lambda: _cache_dir({}))  # FARM_CACHE_DIR: may be deleted at any time
    cache_gb: int = CACHE_GB  # FARM_CACHE_GB: GiB of clips and styles kept in it, and never more than half of its disk
    weights_dir: Path | None = None  # FARM_WEIGHTS_DIR: backbones' weights; None: torch's cache, or a download
    threads: int = field(default_factory=usable_cores)  # FARM_THREADS: CPU threads of one process
    device: str = "auto"  # FARM_DEVICE: auto, cpu, cuda, cuda:N
    precision: str = "auto"  # FARM_PRECISION: the network's: float32, bfloat16, or auto: bfloat16 where that is faster
    compile: str = "off"  # FARM_COMPILE: on: the network's kernels are made for the device, for minutes, at its start
    memory_mb: int = 0  # FARM_MEMORY_MB: what a worker may paint with; 0: what `painting_bytes` says
    visibility_timeout_s: int = 6 * 3600  # FARM_VISIBILITY_TIMEOUT_S: Redis redelivers a message after this long
    lease_s: float = 30.0  # FARM_LEASE_S: an executor's lease on its task
    sweep_s: float = 5.0  # FARM_SWEEP_S: pause between two sweeps of the coordinator
    max_attempts: int = 3  # FARM_MAX_ATTEMPTS: of one task, before it fails
    max_failed_tasks: int = 3  # FARM_MAX_FAILED_TASKS: so many stop a job; fewer let its other tasks finish first
    elsewhere_s: float = 120.0  # FARM_ELSEWHERE_S: a worker leaves what failed on it to others for this long
    quarantine_s: float = 600.0  # FARM_QUARANTINE_S: a worker on which 3 tasks in a row failed takes none for this long
    stuck_s: float = 300.0  # FARM_STUCK_S: without a sign of life for this long, and for 10 frames' time: given up
    grace_s: float = 10.0  # FARM_GRACE_S: a worker's task that goes on for this long after SIGTERM is handed back
    max_pixels: int = 8192 * 8192  # FARM_MAX_PIXELS: of a clip's frame, a painted one or a style's picture
    max_frames: int = 1_000_000  # FARM_MAX_FRAMES: of a clip
    max_duration_s: float = float(DAY_S)  # FARM_MAX_DURATION_S: of a clip
    decode_memory_mb: int = 4096  # FARM_DECODE_MEMORY_MB: address space of a decoding process
    decode_cpu_s: int = 6 * 3600  # FARM_DECODE_CPU_S: CPU time of a decoding process
    decode_silent_s: float = 8.0  # FARM_DECODE_SILENT_S: without a packet or a picture for this long: it hangs
    flower_url: str = ""  # FARM_FLOWER_URL: the monitoring page, for people

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """The settings of this process; InvalidParameter where a variable can't be used."""
        home = _home(environ)
        given = {name: value for name, value in environ.items() if name.startswith("FARM_") and value.strip()}
        if not given.get("FARM_REDIS_URL") and not given.get("FARM_S3_ENDPOINT"):
            given = {**given, **private_farm_environ(home)}
        access_key, secret_key = _key_pair(given)
        return cls(
            redis_url=_redis_url(given),
            s3_endpoint=_endpoint(given),
            s3_bucket=_matching(
                given,
                "FARM_S3_BUCKET",
                "farm",
                r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
                "3 to 63 lower-case letters, digits, dots or hyphens",
            ),
            s3_access_key=access_key,
            s3_secret_key=secret_key,
            s3_region=_matching(given, "FARM_S3_REGION", "", r"[a-z0-9-]+", "a region such as eu-central-1"),
            s3_addressing=_matching(given, "FARM_S3_ADDRESSING", "auto", "path|virtual|auto", "path, virtual or auto"),
            home=home,
            cache_dir=_cache_dir(environ),
            cache_gb=int(_number(given, "FARM_CACHE_GB", CACHE_GB, 1, 2**20, whole=True)),
            weights_dir=_path(given["FARM_WEIGHTS_DIR"]) if "FARM_WEIGHTS_DIR" in given else None,
            threads=int(_number(given, "FARM_THREADS", usable_cores(), 1, 4096, whole=True)),
            device=_matching(given, "FARM_DEVICE", "auto", r"auto|cpu|cuda(:\d{1,3})?", "auto, cpu, cuda or cuda:N"),
            precision=_matching(given, "FARM_PRECISION", "auto", "auto|float32|bfloat16", "auto, float32 or bfloat16"),
            compile=_matching(given, "FARM_COMPILE", "off", "on|off", "on or off"),
            memory_mb=int(_number(given, "FARM_MEMORY_MB", 0, 0, 2**24, whole=True)),
            visibility_timeout_s=int(_number(given, "FARM_VISIBILITY_TIMEOUT_S", 6 * 3600, 1, 30 * DAY_S, whole=True)),
            lease_s=_number(given, "FARM_LEASE_S", 30.0, 0.5, 3600),
            sweep_s=_number(given, "FARM_SWEEP_S", 5.0, 0.05, 3600),
            max_attempts=int(_number(given, "FARM_MAX_ATTEMPTS", 3, 1, 100, whole=True)),
            max_failed_tasks=int(_number(given, "FARM_MAX_FAILED_TASKS", 3, 1, 10**6, whole=True)),
            elsewhere_s=_number(given, "FARM_ELSEWHERE_S", 120.0, 0, DAY_S),
            quarantine_s=_number(given, "FARM_QUARANTINE_S", 600.0, 0, DAY_S),
            stuck_s=_number(given, "FARM_STUCK_S", 300.0, 1, DAY_S),
            grace_s=_number(given, "FARM_GRACE_S", 10.0, 0, DAY_S),
            max_pixels=int(_number(given, "FARM_MAX_PIXELS", 8192 * 8192, 256, 2**31 - 1, whole=True)),
            max_frames=int(_number(given, "FARM_MAX_FRAMES", 1_000_000, 1, 10**8, whole=True)),
            max_duration_s=_number(given, "FARM_MAX_DURATION_S", DAY_S, 0.001, 365 * DAY_S),
            decode_memory_mb=int(_number(given, "FARM_DECODE_MEMORY_MB", 4096, 512, 2**20, whole=True)),
            decode_cpu_s=int(_number(given, "FARM_DECODE_CPU_S", 6 * 3600, 1, 30 * DAY_S, whole=True)),
            decode_silent_s=_number(given, "FARM_DECODE_SILENT_S", 8.0, 0.1, 3600),
            flower_url=given.get("FARM_FLOWER_URL", ""),
        )

    @property
    def configured(self) -> bool:
        """Whether a farm is named at all; where not, say `NOT_CONFIGURED`."""
        return bool(self.redis_url)

    @property
    def redis_url_shown(self) -> str:
        """The Redis URL for people: without its password."""
        return without_secrets(self.redis_url)

    def environ(self) -> dict[str, str]:
        """Variables from which `load` makes these settings again, for a child process. Holds the secrets."""
        pairs = ((info.name, getattr(self, info.name)) for info in fields(self))
        return {f"FARM_{name.upper()}": _text(value) for name, value in pairs if value not in ("", None)}

    def __repr__(self) -> str:
        shown = (f"{info.name}={_shown(info.name, getattr(self, info.name))!r}" for info in fields(self))
        return f"Settings({', '.join(shown)})"


def without_secrets(url: str) -> str:
    """`url` with the password, and any password in its query, replaced by `***`; also where it is not well formed."""
    # Up to the last "@": a password that should have been escaped may hold any character.
    url = re.sub(r"^([^:]*://[^:@]*):.*@", rf"\g<1>:{HIDDEN}@", url)
    return re.sub(r"(?i)([?&][^=&]*(?:password|secret|token)[^=&]*=)[^&]*", rf"\g<1>{HIDDEN}", url)


def private_farm_environ(home: Path) -> dict[str, str]:
    """The connection variables of the private farm running under `home`; empty where none runs."""
    try:
        state: Any = json.loads((home / STATE_FILE).read_text())
        redis_pid = int(state["parts"]["redis"]["pid"])
        environ = {str(name): str(value) for name, value in state["environ"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return environ if _alive(redis_pid) else {}


def _alive(pid: int) -> bool:
    """Whether a process of that id exists. Cheap: `farm.stack` also checks that it is still the same one."""
    if os.name != "posix":  # there os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _home(environ: Mapping[str, str]) -> Path:
    return _directory(environ, "FARM_HOME", "XDG_DATA_HOME", ".local/share")


def _cache_dir(environ: Mapping[str, str]) -> Path:
    return _directory(environ, "FARM_CACHE_DIR", "XDG_CACHE_HOME", ".cache")


def _directory(environ: Mapping[str, str], name: str, xdg_name: str, below_home: str) -> Path:
    if given := environ.get(name, "").strip():
        return _path(given)
    # The XDG base directory specification: a relative path is invalid and ignored.
    xdg = environ.get(xdg_name, "")
    if Path(xdg).is_absolute():
        return Path(xdg) / "farm"
    try:
        user_home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    except RuntimeError:
        _refuse(name, "", "a directory, as this user has no home directory")
    return user_home / below_home / "farm"


def _path(text: str) -> Path:
    return Path(os.path.abspath(os.path.expanduser(text.strip())))  # noqa: PTH100, PTH111 - a Path would follow links


def _redis_url(given: Mapping[str, str]) -> str:
    url = given.get("FARM_REDIS_URL", "").strip()
    if url:
        parts = _split(
            url, "FARM_REDIS_URL", ("redis", "rediss"), "redis://:password@host:6379/0, or rediss:// for TLS"
        )
        if not re.fullmatch(r"(/\d*)?", parts.path):
            _refuse("FARM_REDIS_URL", without_secrets(url), "a database number after the host, e.g. /0")
    return url


def _endpoint(given: Mapping[str, str]) -> str:
    url = given.get("FARM_S3_ENDPOINT", "").strip().rstrip("/")
    if url:
        parts = _split(url, "FARM_S3_ENDPOINT", ("http", "https"), "http://host:8333 or https://host")
        if parts.username is not None or parts.query:
            _refuse("FARM_S3_ENDPOINT", without_secrets(url), "no login or query; keys go in FARM_S3_ACCESS_KEY")
    return url


def _split(url: str, name: str, schemes: tuple[str, ...], wanted: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", url):
        _refuse(name, without_secrets(url), wanted)
    return parts


def _key_pair(given: Mapping[str, str]) -> tuple[str, str]:
    access_key, secret_key = (given.get(f"FARM_S3_{kind}_KEY", "").strip() for kind in ("ACCESS", "SECRET"))
    if bool(access_key) != bool(secret_key):
        present, absent = ("ACCESS", "SECRET") if access_key else ("SECRET", "ACCESS")
        name = f"FARM_S3_{absent}_KEY"
        raise InvalidParameter(f"FARM_S3_{present}_KEY is set without {name}; set both, or none", name=name, value="")
    return access_key, secret_key


def _matching(given: Mapping[str, str], name: str, default: str, pattern: str, wanted: str) -> str:
    value = given.get(name, default).strip()
    if value != default and not re.fullmatch(pattern, value):
        _refuse(name, value, wanted)
    return value


def _number(
    given: Mapping[str, str], name: str, default: float, low: float, high: float, *, whole: bool = False
) -> float:
    text = given.get(name, "").strip()
    if not text:
        return default
    try:
        value: float = int(text) if whole else float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:  # False for NaN, too
        _refuse(name, text, f"a {'whole ' if whole else ''}number from {low:g} to {high:g}")
    return value


def _refuse(name: str, value: str, wanted: str) -> NoReturn:
    raise InvalidParameter(f"{name}={value!r} can't be used; give {wanted}", name=name, value=value)


def _text(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def _shown(name: str, value: object) -> object:
    if name == "s3_secret_key" and value:
        return HIDDEN
    return without_secrets(value) if name.endswith("_url") and isinstance(value, str) else value
