"""What the doctor makes of what workers and Redis say of themselves."""

from __future__ import annotations

import pytest

from farm.cli import checks
from farm.cli.checks import Verdict
from farm.contract.errors import AccessDenied
from farm.contract.params import Backbone
from farm.contract.spec import WEIGHTS_SHA256
from farm.ledger import WorkerInfo

LITE, VGG = Backbone.EFFICIENTNET_LITE0, Backbone.VGG19
GOOD = {str(LITE): WEIGHTS_SHA256[LITE]}


def worker(name: str = "paul", **facts: object) -> WorkerInfo:
    known: dict[str, object] = {
        "memory_bytes": 8 * 10**9, "weights": GOOD, "versions": {"torch": "2.15.0"}, "queues": ("stylize", "blend"),
    }  # fmt: skip
    return WorkerInfo(**{"name": name, "host": "h", "pid": 1, "device": "cpu", **known, **facts})  # type: ignore[arg-type]


def trouble(*workers: WorkerInfo) -> list[tuple[Verdict, str]]:
    found = list(checks._workers(list(workers)))
    assert all(check.cure for check in found if check.verdict is not Verdict.OK)
    return [(check.verdict, check.found) for check in found if check.verdict is not Verdict.OK]


def test_workers_of_one_kind_are_no_trouble() -> None:
    assert trouble(worker("paul"), worker("emil")) == []


def test_no_worker_is_a_failure() -> None:
    assert [verdict for verdict, _ in trouble()] == [Verdict.FAIL]


def test_a_worker_in_quarantine_is_a_warning_and_all_of_them_a_failure() -> None:
    ill = worker("emil", quarantine="3 tasks in a row failed on it, the last with: no memory")
    assert trouble(worker("paul"), ill) == [(Verdict.WARN, f"in quarantine: {ill.quarantine}")]
    assert [verdict for verdict, _ in trouble(ill)] == [Verdict.FAIL, Verdict.WARN]


def test_weights_unlike_the_farms_are_a_failure() -> None:
    ((verdict, found),) = trouble(worker(weights={str(LITE): "ab" * 32}))
    assert verdict is Verdict.FAIL
    assert "abababab…" in found
    assert WEIGHTS_SHA256[LITE][:8] in found


def test_weights_stated_by_their_first_digits_are_compared_by_these() -> None:
    assert trouble(worker(weights={**GOOD, str(VGG): WEIGHTS_SHA256[VGG] + "0" * 56})) == []
    assert len(trouble(worker(weights={**GOOD, str(VGG): "0" * 64}))) == 1


def test_a_worker_without_the_default_weights_is_a_failure() -> None:
    assert trouble(worker(weights={})) == [(Verdict.FAIL, "has no weights of efficientnet_lite0")]


def test_workers_of_several_releases_are_a_warning() -> None:
    found = trouble(worker("paul"), worker("emil", versions={"torch": "2.14.0"}))
    assert found == [(Verdict.WARN, "torch 2.14.0 and 2.15.0")]


def test_workers_that_compute_in_several_types_are_a_warning_with_its_own_cure() -> None:
    workers = [worker("paul", versions={str(VGG): "bfloat16"}), worker("emil", versions={str(VGG): "float32"})]
    (check,) = checks._versions(workers)
    assert (check.verdict, check.found) == (Verdict.WARN, "vgg19 bfloat16 and float32")
    assert "FARM_PRECISION=float32" in check.cure


def test_a_queue_that_no_worker_serves_is_a_failure() -> None:
    assert trouble(worker(queues=("stylize",))) == [(Verdict.FAIL, "none serves the queue blend")]


def test_little_memory_is_a_warning() -> None:
    assert [verdict for verdict, _ in trouble(worker(memory_bytes=10**9))] == [Verdict.WARN]


@pytest.mark.parametrize(
    ("policy", "limit_bytes", "verdict"),
    [("noeviction", 10**9, "ok"), ("allkeys-lru", 0, "warn"), ("allkeys-lru", 10**9, "fail")],
)
def test_redis_may_not_drop_jobs(policy: str, limit_bytes: int, verdict: str) -> None:
    check = checks._eviction(policy, limit_bytes)
    assert check.verdict == verdict
    assert bool(check.cure) == (verdict != "ok")


def test_a_check_that_fails_shows_the_cure_apart() -> None:
    def look() -> None:
        raise AccessDenied("the store refuses our key; check FARM_S3_SECRET_KEY")

    (check,) = checks._guarded("store", look)  # type: ignore[arg-type]
    assert (check.verdict, check.found) == (Verdict.FAIL, "the store refuses our key")
    assert check.cure == "check FARM_S3_SECRET_KEY"


def test_a_check_that_breaks_does_not_hide_the_others() -> None:
    def look() -> None:
        raise ZeroDivisionError("one\ntwo")

    (check,) = checks._guarded("store", look)  # type: ignore[arg-type]
    assert (check.verdict, check.found) == (Verdict.FAIL, "ZeroDivisionError: one two")
