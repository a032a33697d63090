"""`deploy/alive.py`, run as the probes run it, against a Redis that stalls."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile.worker").read_text()


def probe(part: str, kind: str) -> dict[str, Any]:
    """A probe of a Kubernetes deployment."""
    (deployment,) = [
        each
        for each in yaml.safe_load_all((ROOT / f"deploy/kubernetes/base/{part}.yaml").read_text())
        if each["kind"] == "Deployment"
    ]
    return dict(deployment["spec"]["template"]["spec"]["containers"][0][kind])


def health(port: int, *words: str) -> tuple[int, float]:
    """The exit code, and the seconds it took."""
    environ = {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT),
        "FARM_REDIS_URL": f"redis://worker:word@127.0.0.1:{port}/0",
    }  # fmt: skip
    began_s = time.monotonic()
    command = [sys.executable, ROOT / "deploy/alive.py", *words]
    done = subprocess.run(command, env=environ, check=False, capture_output=True, timeout=60)
    return done.returncode, time.monotonic() - began_s


@pytest.fixture(params=["silent", "dripping"])
def stalled(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of one that takes every connection and says nothing, or a byte a second and never a whole answer."""
    ended = threading.Event()

    def drip(server: socket.socket) -> None:
        taken = []
        while not ended.wait(0.5):
            with suppress(TimeoutError):
                taken.append(server.accept()[0])
            for connection in taken:
                if request.param == "dripping":
                    connection.send(b"+")
        for connection in taken:
            connection.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        ended.set()
        thread.join()


def test_a_redis_that_stalls_costs_no_executor_its_life(stalled: int) -> None:
    """A probe that is cut off has failed: with all of them at once the whole farm was started anew."""
    code, took_s = health(stalled)
    assert code == 0
    allowed_s = [probe(part, kind)["timeoutSeconds"] for part in PARTS for kind in ("startupProbe", "livenessProbe")]
    allowed_s += [int(found) for found in re.findall(r"--timeout=(\d+)s [^\n]*alive\.py", DOCKERFILE)]
    assert len(allowed_s) == 6
    assert took_s < min(allowed_s) - 3


def test_an_executor_that_never_reached_redis_is_not_ready(stalled: int) -> None:
    assert health(stalled, "--ready")[0] == 1


PARTS = ("coordinator", "worker")
ALIVE, READY = ["python", "/opt/alive.py"], ["python", "/opt/alive.py", "--ready"]


@pytest.mark.parametrize("part", PARTS)
def test_kubernetes_starts_by_the_strict_check_and_restarts_by_the_lenient_one(part: str) -> None:
    assert probe(part, "startupProbe")["exec"]["command"] == READY
    assert probe(part, "livenessProbe")["exec"]["command"] == ALIVE


def test_docker_calls_healthy_only_whom_redis_has_heard_from() -> None:
    found = re.findall(r'^HEALTHCHECK .*(\["python", "/opt/alive\.py".*\])$', DOCKERFILE, re.MULTILINE)
    assert [yaml.safe_load(each) for each in found] == [READY, READY]
