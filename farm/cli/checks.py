"""What a render needs, looked at one by one: each check says what it found, and how to mend it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from farm.cli.output import bytes_text
from farm.cli.terminal import one_line
from farm.contract.errors import AccessDenied, FarmError
from farm.contract.messages import Queue
from farm.contract.params import Backbone
from farm.contract.spec import WEIGHTS_SHA256, Codec
from farm.settings import Settings

if TYPE_CHECKING:
    from farm.client import Farm
    from farm.ledger import WorkerInfo

OLDEST_REDIS = (6, 2)
LEAST_FREE_BYTES = 2 * 10**9
LEAST_MEMORY_BYTES = 2 * 10**9


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"  # a render goes through, but not as well as it could
    FAIL = "fail"  # a render would not go through


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    verdict: Verdict
    found: str
    cure: str = ""  # how to mend it; empty where nothing is to mend


def all_checks() -> Iterator[Check]:
    """Every check, in the order in which a render would meet the trouble."""
    yield from _guarded("codecs", _codecs)
    try:
        settings = Settings.load()
    except FarmError as error:
        yield _failed("settings", error)
        return
    yield from _guarded("disk", lambda: _disk(settings))
    if not settings.configured:
        yield Check(
            "settings", Verdict.FAIL, "no farm configured", "run `farm up`, or set FARM_REDIS_URL and FARM_S3_ENDPOINT"
        )
        return
    yield Check(
        "settings",
        Verdict.OK,
        f"Redis {settings.redis_url_shown}, bucket {settings.s3_bucket} at {settings.s3_endpoint or 'AWS'}",
    )
    yield from _services(settings)


def _services(settings: Settings) -> Iterator[Check]:
    from farm.client import Farm

    try:
        farm = Farm.from_settings(settings)
    except FarmError as error:
        yield _failed("settings", error)
        return
    redis = list(_guarded("Redis", lambda: _redis(farm)))
    yield from redis
    yield from _guarded("store", lambda: _store(farm))
    if redis[0].verdict is Verdict.FAIL:
        yield Check("workers", Verdict.FAIL, "can't be seen without Redis", "mend Redis first")
        return
    yield from _guarded("coordinator", lambda: _coordinators(farm))
    yield from _guarded("workers", lambda: _workers(farm.workers()))


def _guarded(name: str, look: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """The checks `look` makes; where it fails, that as a check."""
    try:
        yield from look()
    except FarmError as error:
        yield _failed(name, error)
    except Exception as error:  # a check that breaks must not hide the others
        yield Check(name, Verdict.FAIL, one_line(f"{type(error).__name__}: {error}"), "run again with FARM_DEBUG=1")


def _failed(name: str, error: FarmError) -> Check:
    found, _, cure = error.message.rpartition("; ")
    return Check(name, Verdict.FAIL, found or cure, cure if found else "")


def _redis(farm: Farm) -> Iterator[Check]:
    farm.ledger.ping()
    info: dict[str, Any] = farm.ledger.info()  # type: ignore[attr-defined]  # of RedisLedger
    text = str(info.get("redis_version", "0"))
    version = tuple(int(part) for part in text.split(".")[:2])
    if version < OLDEST_REDIS:
        yield Check("Redis", Verdict.FAIL, f"version {text}", "install Redis 6.2 or newer")
    else:
        yield Check("Redis", Verdict.OK, f"version {text}, {bytes_text(float(info.get('used_memory', 0)))} in use")
    yield _eviction(str(info.get("maxmemory_policy", "?")), int(info.get("maxmemory", 0)))


def _eviction(policy: str, limit_bytes: int) -> Check:
    if policy == "noeviction":
        return Check("Redis eviction", Verdict.OK, "noeviction")
    # Without a limit nothing is evicted today; a limit set tomorrow would lose messages.
    verdict = Verdict.FAIL if limit_bytes else Verdict.WARN
    return Check(
        "Redis eviction", verdict, f"{policy}: Redis may drop jobs when memory is short",
        "set `maxmemory-policy noeviction` in redis.conf, or: redis-cli config set maxmemory-policy noeviction",
    )  # fmt: skip


def _store(farm: Farm) -> Iterator[Check]:
    farm.store.check()
    yield Check("store", Verdict.OK, f"bucket {farm.settings.s3_bucket} takes our keys")
    try:
        conditional = farm.store.probe().conditional_writes
    except AccessDenied as error:
        found, _, cure = error.message.rpartition("; ")
        yield Check("store writes", Verdict.FAIL, found, cure)
        return
    if conditional:
        yield Check("store writes", Verdict.OK, "conditional (If-None-Match): a frame can't be written twice")
    else:
        yield Check(
            "store writes", Verdict.WARN, "the server ignores If-None-Match; leases and HEAD stand in for it",
            "use a server that honours it: AWS S3, SeaweedFS, Ceph from Squid on",
        )  # fmt: skip


def _coordinators(farm: Farm) -> Iterator[Check]:
    found = farm.coordinators()
    if not found:
        yield Check(
            "coordinator", Verdict.FAIL, "none alive: nothing is planned", "start one: `farm coordinator`, or `farm up`"
        )
        return
    yield Check("coordinator", Verdict.OK, f"{len(found)} alive: {_names(found)}")


def _workers(workers: list[WorkerInfo]) -> Iterator[Check]:
    if not workers:
        yield Check("workers", Verdict.FAIL, "none alive: nothing is painted", "start one: `farm worker`, or `farm up`")
        return
    quarantined = [info for info in workers if info.quarantine]
    if len(quarantined) == len(workers):
        yield Check("workers", Verdict.FAIL, "all are in quarantine", "mend what they say below, then start them again")
    else:
        rest = f", {len(quarantined)} in quarantine" if quarantined else ""
        yield Check("workers", Verdict.OK, f"{len(workers)} alive{rest}")
    for queue in (Queue.STYLIZE, Queue.BLEND):
        if not any(queue in info.queues for info in workers):
            yield Check("workers", Verdict.FAIL, f"none serves the queue {queue}", "start one that does: `farm worker`")
    for info in workers:
        yield from _worker(info)
    yield from _versions(workers)


def _worker(info: WorkerInfo) -> Iterator[Check]:
    what = f"{info.device}, {bytes_text(info.memory_bytes)} memory"
    if info.quarantine:
        yield Check(
            f"  {info.name}", Verdict.WARN, f"in quarantine: {info.quarantine}", "mend it, then start that worker again"
        )
    elif 0 < info.memory_bytes < LEAST_MEMORY_BYTES:
        yield Check(f"  {info.name}", Verdict.WARN, what, "little memory: paint with a small --size")
    else:
        yield Check(f"  {info.name}", Verdict.OK, what)
    yield from _weights(info)


def _weights(info: WorkerInfo) -> Iterator[Check]:
    default = Backbone.EFFICIENTNET_LITE0
    if default not in info.weights:
        yield Check(
            f"  {info.name}", Verdict.FAIL, f"has no weights of {default}", "pip install '.[worker]' in its checkout"
        )
    for name, sha256 in info.weights.items():
        wanted = WEIGHTS_SHA256.get(Backbone(name)) if name in list(Backbone) else None
        if wanted and not sha256.startswith(wanted):
            yield Check(
                f"  {info.name}", Verdict.FAIL, f"weights of {name} are {sha256[:8]}…, the farm's are {wanted[:8]}…",
                f"install the farm's weights of {name} there (FARM_WEIGHTS_DIR)",
            )  # fmt: skip


def _versions(workers: list[WorkerInfo]) -> Iterator[Check]:
    """What may make one worker's pixels differ from another's; of a backbone, what its network computes in."""
    names = sorted({name for info in workers for name in info.versions})
    found = {name: sorted({info.versions[name] for info in workers if name in info.versions}) for name in names}
    mixed = {name: f"{name} {' and '.join(each)}" for name, each in found.items() if len(each) > 1}
    releases = [text for name, text in mixed.items() if name not in list(Backbone)]
    precisions = [text for name, text in mixed.items() if name in list(Backbone)]
    if releases:
        cure = "install the same release on every worker, for the same bytes everywhere"
        yield Check("versions", Verdict.WARN, "; ".join(releases), cure)
    if precisions:
        cure = "set FARM_PRECISION=float32 on every worker, for the same look everywhere"
        yield Check("versions", Verdict.WARN, "; ".join(precisions), cure)
    if names and not mixed:
        yield Check("versions", Verdict.OK, ", ".join(f"{name} {found[name][0]}" for name in names))


def _codecs() -> Iterator[Check]:
    from farm import video

    found = video.codecs()
    missing = [codec for codec in Codec if not found.get(codec)]
    if missing:
        yield Check(
            "codecs",
            Verdict.FAIL,
            f"no encoder for {', '.join(missing)}",
            "reinstall PyAV: pip install --force-reinstall av",
        )
        return
    yield Check("codecs", Verdict.OK, ", ".join(Codec))


def _disk(settings: Settings) -> Iterator[Check]:
    folder = settings.cache_dir
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    free = shutil.disk_usage(existing).free
    if free < LEAST_FREE_BYTES:
        yield Check(
            "disk", Verdict.WARN, f"{bytes_text(free)} free at {folder}", "free some space, or set FARM_CACHE_DIR"
        )
        return
    yield Check("disk", Verdict.OK, f"{bytes_text(free)} free at {folder}")


def _names(infos: list[WorkerInfo]) -> str:
    return ", ".join(info.name for info in infos)
